//! Calendar files are read day for day as another program reads them, or refused with a line.

use std::ops::Range;

use countersign_e2e::holidays;
use countersign_worker::policy::Policy;
use jiff::civil::{Date, date};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::TestRunner,
};

const ZONE: &str = "Europe/Berlin";
const YEARS: Range<i16> = 2015..2035;

/// Days off among the years, or the errors of the rules that name the file.
fn days_off(file: &str) -> Result<Vec<String>, String> {
    let rules = format!(
        "[calendar]\ntime_zone = \"{ZONE}\"\nworking_days = \"Mon-Sun\"\nholidays_file = \"file.ics\"\n\
         [default]\ndecision = \"approve\"\n"
    );
    let policy = Policy::parse(&rules, "policy.toml", |_| Ok(file.to_owned()));
    let policy = policy.map_err(|wrong| {
        wrong.iter().map(|wrong| wrong.message.clone()).collect::<Vec<_>>().join("\n")
    })?;
    let mut days = date(YEARS.start, 1, 1).series(jiff::Span::new().days(1));
    let days = days.by_ref().take_while(|day| day.year() < YEARS.end);
    let off = days.filter(|day| !policy.calendar().is_working_day(*day));
    Ok(off.map(|day| day.to_string()).collect())
}

fn names_lines(errors: &str) -> bool {
    errors.lines().all(|error| {
        let line = error.strip_prefix("file.ics:").and_then(|rest| rest.split_once(':'));
        line.is_some_and(|(line, _)| line.parse::<usize>().is_ok())
    })
}

#[tokio::test]
async fn random_series_have_the_days_that_another_program_finds() {
    let mut runner = TestRunner::deterministic();
    let files: Vec<String> =
        (0..400).map(|_| calendar().new_tree(&mut runner).expect("a file").current()).collect();
    let mut refused = 0;
    for file in holidays(Some(&files), ZONE, YEARS).await {
        let theirs = file.days.unwrap_or_else(|| panic!("no calendar: {}", file.text));
        match days_off(&file.text) {
            Ok(ours) => assert_eq!(ours, theirs, "{}", file.text),
            // What a standard forbids, and the other program does not mind.
            Err(errors) => {
                assert!(names_lines(&errors), "{errors}");
                refused += 1;
            }
        }
    }
    assert!(refused < 40, "{refused} of 400 are refused");
}

#[tokio::test]
async fn files_in_the_wild_are_read_as_another_program_reads_them_or_refused_with_a_line() {
    const OTHERWISE: [&str; 3] = [
        // An instance of an earlier version, which its series no longer has: it counts here.
        "issue_253_additional_recurrence_id.ics",
        // Whole days that an hour's event has in addition: they do not.
        "issue_1633_rdate_with_dates.ics",
        "issue_1633_rdate_with_dates_and_tzid.ics",
    ];
    let (mut same, mut refused) = (0, 0);
    for file in holidays(None, ZONE, YEARS).await {
        match (days_off(&file.text), file.days) {
            _ if OTHERWISE.contains(&file.name.as_str()) => {}
            (Ok(ours), Some(theirs)) => {
                assert_eq!(ours, theirs, "{}", file.name);
                same += usize::from(!ours.is_empty());
            }
            (Ok(_), None) => {}
            (Err(errors), _) => {
                assert!(names_lines(&errors), "{}: {errors}", file.name);
                refused += 1;
            }
        }
    }
    assert!(same >= 20 && refused >= 20, "{same} are the same, {refused} are refused");
}

/// A calendar of a few series.
fn calendar() -> impl Strategy<Value = String> {
    vec(series(), 1..4).prop_map(|series| {
        let events: String = series
            .iter()
            .enumerate()
            .map(|(i, it)| it.replace("UID:", &format!("UID:{i}")))
            .collect();
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n{events}END:VCALENDAR\r\n")
    })
}

/// How an all-day event writes its days.
#[derive(Debug, Clone, Copy)]
enum Form {
    Date,
    Floating,
    Zoned,
    Utc,
}

impl Form {
    /// A property whose days begin at these dates.
    fn line(self, name: &str, days: &[Date]) -> String {
        let values: Vec<String> = days.iter().map(|day| self.value(*day)).collect();
        let parameter = match self {
            Form::Date => ";VALUE=DATE".to_owned(),
            Form::Zoned => format!(";TZID={ZONE}"),
            Form::Floating | Form::Utc => String::new(),
        };
        format!("{name}{parameter}:{}\r\n", values.join(","))
    }

    fn value(self, day: Date) -> String {
        day.strftime(match self {
            Form::Date => "%Y%m%d",
            Form::Floating | Form::Zoned => "%Y%m%dT000000",
            Form::Utc => "%Y%m%dT000000Z",
        })
        .to_string()
    }

    /// The end of a rule: of zoned times, it is in UTC.
    fn until(self, day: Date) -> String {
        match self {
            Form::Zoned => Form::Utc.value(day),
            form => form.value(day),
        }
    }
}

fn any_day() -> impl Strategy<Value = Date> {
    (0..20 * 365_i64).prop_map(|days| date(2014, 6, 1).saturating_add(jiff::Span::new().days(days)))
}

/// An event, perhaps with a rule, more days and fewer, and an instance that is moved or cancelled.
fn series() -> impl Strategy<Value = String> {
    let form = select(vec![Form::Date, Form::Date, Form::Floating, Form::Zoned, Form::Utc]);
    let end = (option::of(any_day()), option::of(1..9_u32));
    let dates = (vec(any_day(), 0..3), vec(1..6_i32, 0..3));
    let changed = option::of((1..6_i32, -3..4_i64, any::<bool>()));
    let event = (any_day(), 1..4_i64, form, option::of(rule()));
    (event, end, dates, changed).prop_map(|((first, length, form, rule), end, dates, changed)| {
        // Anniversaries are instances more often than other days are.
        let anniversary = |years: &i32| first.saturating_add(jiff::Span::new().years(*years));
        let end_of = |day: Date| day.saturating_add(jiff::Span::new().days(length));
        let mut lines = "BEGIN:VEVENT\r\nUID:\r\nSUMMARY:H\r\n".to_owned();
        lines += &form.line("DTSTART", &[first]);
        lines += &form.line("DTEND", &[end_of(first)]);
        if let Some(rule) = &rule {
            lines += &format!("RRULE:{rule}");
            lines += &match end {
                (Some(until), _) => format!(";UNTIL={}", form.until(until)),
                (None, Some(count)) => format!(";COUNT={count}"),
                (None, None) => String::new(),
            };
            lines += "\r\n";
        }
        let (more, fewer) = &dates;
        let fewer: Vec<Date> = fewer.iter().map(anniversary).collect();
        for (name, days) in [("RDATE", more), ("EXDATE", &fewer)] {
            if !days.is_empty() {
                lines += &form.line(name, days);
            }
        }
        lines += "END:VEVENT\r\n";
        if let (Some((years, days, cancelled)), Some(_)) = (changed, rule) {
            let instance = anniversary(&years);
            let moved = instance.saturating_add(jiff::Span::new().days(days));
            lines += "BEGIN:VEVENT\r\nUID:\r\nSUMMARY:H\r\n";
            lines += &form.line("RECURRENCE-ID", &[instance]);
            lines += &form.line("DTSTART", &[moved]);
            lines += &form.line("DTEND", &[end_of(moved)]);
            lines += if cancelled { "STATUS:CANCELLED\r\n" } else { "" };
            lines += "END:VEVENT\r\n";
        }
        lines
    })
}

fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// A rule as people's holidays have them, mostly yearly.
fn rule() -> impl Strategy<Value = String> {
    let months = subsequence((1..=12).collect::<Vec<i32>>(), 1..3);
    let days_of_month = vec((-3..=31_i32).prop_filter("not zero", |day| *day != 0), 1..3);
    let weekdays = subsequence(vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"], 1..3);
    let nth = (select(vec![-2, -1, 1, 2, 3, 4]), weekdays.clone());
    let nth = nth.prop_map(|(n, days)| {
        list(&days.iter().map(|day| format!("{n}{day}")).collect::<Vec<_>>())
    });
    let parts = prop_oneof![
        Just("FREQ=YEARLY".to_owned()),
        months.clone().prop_map(|months| format!("FREQ=YEARLY;BYMONTH={}", list(&months))),
        (months.clone(), days_of_month.clone()).prop_map(|(months, days)| {
            format!("FREQ=YEARLY;BYMONTH={};BYMONTHDAY={}", list(&months), list(&days))
        }),
        (months.clone(), nth.clone())
            .prop_map(|(months, nth)| format!("FREQ=YEARLY;BYMONTH={};BYDAY={nth}", list(&months))),
        nth.clone().prop_map(|nth| format!("FREQ=YEARLY;BYDAY={nth}")),
        (months.clone(), weekdays.clone(), -2..5_i32).prop_map(|(months, days, n)| {
            let n = if n == 0 { 1 } else { n };
            format!("FREQ=YEARLY;BYMONTH={};BYDAY={};BYSETPOS={n}", list(&months), list(&days))
        }),
        // The first Monday after a day, as for Labor Day.
        (months, weekdays.clone(), 1..22_i32).prop_map(|(months, days, from)| {
            let of_month: Vec<i32> = (from..from + 7).collect();
            let (months, days) = (list(&months), list(&days));
            format!("FREQ=YEARLY;BYMONTH={months};BYMONTHDAY={};BYDAY={days}", list(&of_month))
        }),
        (-366..=366_i32)
            .prop_filter("not zero", |day| *day != 0)
            .prop_map(|day| format!("FREQ=YEARLY;BYYEARDAY={day}")),
        (1..53_i32, weekdays.clone())
            .prop_map(|(week, days)| format!("FREQ=YEARLY;BYWEEKNO={week};BYDAY={}", list(&days))),
        days_of_month.prop_map(|days| format!("FREQ=MONTHLY;BYMONTHDAY={}", list(&days))),
        nth.prop_map(|nth| format!("FREQ=MONTHLY;BYDAY={nth}")),
        weekdays.prop_map(|days| format!("FREQ=WEEKLY;BYDAY={}", list(&days))),
    ];
    let week = option::of(select(vec!["MO", "SU"]));
    (parts, 1..4_i32, week).prop_map(|(parts, interval, week)| {
        let week = week.map(|day| format!(";WKST={day}")).unwrap_or_default();
        format!("{parts};INTERVAL={interval}{week}")
    })
}
