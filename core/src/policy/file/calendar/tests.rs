use jiff::Timestamp;

use super::{super::ical::tests::ics, *};
use crate::policy::{Diagnostics, Policy, Wait};

/// Rules with these keys of a calendar in Berlin, and this `holidays.ics`.
fn parse(keys: &str, file: &str) -> Result<Policy, Diagnostics> {
    let text = format!(
        "[calendar]\ntime_zone = \"Europe/Berlin\"\n{keys}\n[default]\ndecision = \"approve\"\n"
    );
    Policy::parse(&text, "policy.toml", |name| match name {
        "holidays.ics" => Ok(file.to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

fn policy(keys: &str, file: &str) -> Policy {
    parse(keys, file).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// When that has passed from a wall clock's time on, by the wall clock.
fn after(policy: &Policy, start: &str, wait: &str) -> String {
    let calendar = policy.calendar();
    let start: jiff::civil::DateTime = start.parse().expect("a time");
    let start = calendar.time_zone.to_timestamp(start).expect("in range");
    wall(policy, wait.parse::<Wait>().expect("a wait").after(start, calendar))
}

fn before(policy: &Policy, end: &str, wait: &str) -> String {
    let calendar = policy.calendar();
    let end: jiff::civil::DateTime = end.parse().expect("a time");
    let end = calendar.time_zone.to_timestamp(end).expect("in range");
    wall(policy, wait.parse::<Wait>().expect("a wait").before(end, calendar))
}

fn wall(policy: &Policy, at: Timestamp) -> String {
    policy.calendar().time_zone.to_datetime(at).strftime("%a %F %H:%M").to_string()
}

/// Line and message of each error.
fn wrong(keys: &str, file: &str) -> Vec<(usize, String)> {
    let diagnostics = parse(keys, file).expect_err(keys);
    let line = |wrong: &Diagnostic| (diagnostics.position(wrong).0, wrong.message.clone());
    diagnostics.iter().map(line).collect()
}

/// Rows that were found in the wild: two calendars in a file, an event of a day as programs write it, and so on.
#[test]
fn a_working_day_ends_where_people_would_end_it_by_their_calendar_file() {
    const YEARLY: &str =
        "UID:1\nDTSTART;VALUE=DATE:20250427\nDTEND;VALUE=DATE:20250428\nRRULE:FREQ=YEARLY";
    let instance =
        |event: &str| ics(&format!("{YEARLY}\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\n{event}"));
    let moved = instance(
        "RECURRENCE-ID;VALUE=DATE:20260427\nDTSTART;VALUE=DATE:20260428\nDTEND;VALUE=DATE:20260429",
    );
    let cancelled = instance(
        "RECURRENCE-ID;VALUE=DATE:20260427\nDTSTART;VALUE=DATE:20260427\nSTATUS:CANCELLED",
    );
    let one = |day: &str| ics(&format!("UID:1\nSUMMARY:H\nDTSTART;VALUE=DATE:{day}"));
    let mixed = one("20261130").replace("UID:1\r\nSUMMARY:H\r\n", "UID:1\nSUMMARY:H\n");
    let spaces = one("20261130").replace("\r\nEND", " \r\nEND").replace(":H", ":H ");
    for (what, file, start, end) in [
        (
            "no file says otherwise",
            ics("DTSTART:20261130T090000"),
            "2026-11-27 10:00",
            "Mon 2026-11-30 10:00",
        ),
        (
            "a moved instance replaces the original",
            moved,
            "2026-04-24 10:00",
            "Mon 2026-04-27 10:00",
        ),
        (
            "a cancelled instance is no holiday",
            cancelled,
            "2026-04-24 10:00",
            "Mon 2026-04-27 10:00",
        ),
        (
            "00:00 to 23:59 is a whole day",
            ics("DTSTART:20261130T000000\nDTEND:20261130T235959"),
            "2026-11-27 10:00",
            "Tue 2026-12-01 10:00",
        ),
        (
            "two calendars in one file",
            one("20261130") + &one("20261201"),
            "2026-11-27 10:00",
            "Wed 2026-12-02 10:00",
        ),
        ("mixed line ends", mixed, "2026-11-27 10:00", "Tue 2026-12-01 10:00"),
        ("trailing spaces", spaces, "2026-11-27 10:00", "Tue 2026-12-01 10:00"),
        (
            "a yearly holiday begins with its first day",
            ics("DTSTART;VALUE=DATE:20271130\nRRULE:FREQ=YEARLY"),
            "2026-11-27 10:00",
            "Mon 2026-11-30 10:00",
        ),
        (
            "a weekday of a month",
            ics("DTSTART;VALUE=DATE:20251127\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH"),
            "2026-11-25 10:00",
            "Fri 2026-11-27 10:00",
        ),
        (
            "until its last year",
            ics("DTSTART;VALUE=DATE:20251130\nRRULE:FREQ=YEARLY;UNTIL=20301130"),
            "2026-11-27 10:00",
            "Tue 2026-12-01 10:00",
        ),
        (
            "and not after it",
            ics("DTSTART;VALUE=DATE:20201130\nRRULE:FREQ=YEARLY;UNTIL=20251130"),
            "2026-11-27 10:00",
            "Mon 2026-11-30 10:00",
        ),
    ] {
        let policy = policy("holidays_file = \"holidays.ics\"", &file);
        assert_eq!(after(&policy, start, "1 working day"), end, "{what}");
    }
}

#[test]
fn an_extra_working_day_is_one_on_a_weekend_and_on_a_holiday() {
    let keys = "holidays = [\"12-25\"]\nholidays_file = \"holidays.ics\"\n\
                extra_working_days = [2026-12-19, 2026-12-25, 2026-12-28]";
    let policy = policy(keys, &ics("DTSTART:20261228\nDTEND:20261231"));
    for (start, end) in [
        ("2026-12-18 10:00", "Sat 2026-12-19 10:00"),
        ("2026-12-24 10:00", "Fri 2026-12-25 10:00"),
        ("2026-12-25 10:00", "Mon 2026-12-28 10:00"),
        ("2026-12-28 10:00", "Thu 2026-12-31 10:00"),
    ] {
        assert_eq!(after(&policy, start, "1 working day"), end, "{start}");
        assert_eq!(after(&policy, start, "8 working hours"), end, "{start}");
    }
    let both = "holidays = [2026-12-24]\nextra_working_days = [2026-12-24]";
    assert_eq!(wrong(both, ""), [(4, "2026-12-24 is in `holidays`, too".to_owned())]);
}

#[test]
fn days_of_the_week_have_hours_of_their_own() {
    let keys = "working_hours = [\"09:00-12:00\", \"13:00-17:00\"]\n\
                extra_working_days = [2026-11-28]\n\
                [calendar.working_hours_on]\nMon = \"12:00-20:00\"\nFri-Sat = [\"08:00-10:00\", \"11:00-14:00\"]";
    let policy = policy(keys, "");
    for (start, wait, end) in [
        // From Thursday over a short Friday and Saturday to a late Monday.
        ("2026-11-26 16:00", "1 working hour", "Thu 2026-11-26 17:00"),
        ("2026-11-26 16:00", "2 working hours", "Fri 2026-11-27 09:00"),
        ("2026-11-26 16:00", "6 working hours", "Fri 2026-11-27 14:00"),
        ("2026-11-26 16:00", "7 working hours", "Sat 2026-11-28 09:00"),
        ("2026-11-26 16:00", "12 working hours", "Mon 2026-11-30 13:00"),
        // The same time, or the next opening of that day, or its closing.
        ("2026-11-26 09:30", "1 working day", "Fri 2026-11-27 09:30"),
        ("2026-11-26 10:30", "1 working day", "Fri 2026-11-27 11:00"),
        ("2026-11-26 16:00", "1 working day", "Fri 2026-11-27 14:00"),
        ("2026-11-26 09:30", "3 working days", "Mon 2026-11-30 12:00"),
        ("2026-11-30 19:00", "1 working day", "Tue 2026-12-01 17:00"),
        ("2026-11-27 14:30", "1 working day", "Mon 2026-11-30 12:00"),
    ] {
        assert_eq!(after(&policy, start, wait), end, "{wait} from {start}");
    }
    for (end, wait, start) in [
        ("2026-12-01 09:30", "1 working day", "Mon 2026-11-30 12:00"),
        ("2026-11-30 19:00", "1 working day", "Sat 2026-11-28 14:00"),
        ("2026-11-28 08:30", "2 working days", "Thu 2026-11-26 09:00"),
        ("2026-11-28 10:30", "1 working day", "Fri 2026-11-27 10:00"),
        ("2026-11-30 13:00", "7 working hours", "Fri 2026-11-27 13:00"),
    ] {
        assert_eq!(before(&policy, end, wait), start, "{wait} before {end}");
    }
    for (keys, line, message) in [
        ("working_hours = { Fri = \"09:00-14:00\" }", 3, "must be a string or an array"),
        (
            "working_hours_on = { Fry = \"09:00-14:00\" }",
            3,
            "must be a day or days of the week, such as Mon or Mon-Fri",
        ),
        (
            "working_hours_on = { Mon-Fri = \"9-17\" }",
            3,
            "must be a span of a day, such as 09:00-17:30",
        ),
        (
            "working_hours_on = { Mon-Fri = \"09:00-17:00\", Fri = \"09:00-14:00\" }",
            3,
            "Fri already has hours",
        ),
        ("working_hours_on = { Fri = [] }", 3, "must not be empty"),
    ] {
        assert_eq!(wrong(keys, ""), [(line, message.to_owned())], "{keys}");
    }
}

#[test]
fn what_a_plan_records_of_a_calendar_reads_like_the_rules_and_is_read_again() {
    let keys = "working_hours_on = { Fri = \"09:00-14:00\" }\nextra_working_days = [2026-12-19]\n\
                holidays_file = \"holidays.ics\"";
    let policy = policy(keys, &ics("DTSTART:20161224\nRRULE:FREQ=YEARLY"));
    let recorded = policy.calendar().from_date_on(jiff::civil::date(2026, 12, 19));
    let json = serde_json::to_value(&recorded).expect("JSON");
    assert_eq!(json["hoursOn"], serde_json::json!({"Fri": ["09:00-14:00"]}));
    assert_eq!(json["extraWorkingDays"], serde_json::json!(["2026-12-19"]));
    // Ten years of them: no wait is longer.
    let holidays: Vec<String> = (2026..2037).map(|year| format!("{year}-12-24")).collect();
    assert_eq!(json["holidays"], serde_json::json!(holidays));
    assert_eq!(serde_json::from_value::<Calendar>(json).expect("a calendar"), recorded);
    let later = policy.calendar().from_date_on(jiff::civil::date(2026, 12, 20));
    assert_eq!(later.extra_working_days, BTreeSet::new());
}

#[test]
fn holidays_of_a_file_are_chosen_by_words() {
    let file = ics(
        "UID:1\nSUMMARY:Christmas Day\nDESCRIPTION:Public holiday\nDTSTART:20261225\nEND:VEVENT\n\
                    BEGIN:VEVENT\nUID:2\nSUMMARY:Christmas Eve\nDESCRIPTION:Observance\nDTSTART:20261224",
    );
    for (keys, holidays) in [
        ("", 2),
        ("holidays_with = \"public holiday\"", 1),
        ("holidays_without = [\"Observance\"]", 1),
        ("holidays_with = [\"Public holiday\", \"Eve\"]", 2),
    ] {
        let policy = policy(&format!("holidays_file = \"holidays.ics\"\n{keys}"), &file);
        assert_eq!(policy.calendar().holidays.len(), holidays, "{keys}");
        assert_eq!(warned(&policy), Vec::<String>::new(), "{keys}");
    }
    let message = "remove `holidays_without`: it chooses among the events of a `holidays_file`";
    assert_eq!(wrong("holidays_without = \"Observance\"", ""), [(3, message.to_owned())]);
}

#[test]
fn calendar_files_that_cannot_be_read_are_errors_with_their_own_lines() {
    let file = ics(
        "SUMMARY:A\nDTSTART:2026-12-24\nEND:VEVENT\nBEGIN:VEVENT\nSUMMARY:B\nDTSTART:20261225\nEXRULE:FREQ=DAILY",
    );
    let keys = "holidays_file = [\"holidays.ics\", \"missing.ics\"]";
    assert_eq!(
        wrong(keys, &file),
        [
            "holidays.ics:5: event \"A\": DTSTART 2026-12-24 is not a date",
            "holidays.ics:10: event \"B\": EXRULE is not supported",
            "missing.ics: cannot be read: entity not found",
        ]
        .map(|message| (3, message.to_owned()))
    );
    let rendered = parse(keys, &file).expect_err("wrong").to_string();
    assert!(rendered.contains("help: write a day as 20261224"), "{rendered}");
}

/// The warnings, without their places and without notes.
fn warned(policy: &Policy) -> Vec<String> {
    let lines = policy.warnings().lines();
    lines.iter().filter_map(|line| Some(line.split_once(": warning: ")?.1.to_owned())).collect()
}

#[test]
fn a_calendar_in_which_something_has_no_effect_is_warned_about() {
    let one = ics("SUMMARY:Party\nDTSTART;VALUE=DATE:20261224");
    let no_holidays = "holidays.ics has no holidays: only events of whole days count, of those that \
                       holidays_with and holidays_without leave";
    for (keys, file, warnings) in [
        ("holidays_file = \"holidays.ics\"", one.clone(), &[][..]),
        ("holidays_file = \"holidays.ics\"", ics("DTSTART:20261224T090000"), &[no_holidays]),
        (
            "holidays_file = \"holidays.ics\"\nholidays_without = \"party\"",
            one.clone(),
            &[no_holidays],
        ),
        (
            "holidays_file = \"holidays.ics\"\nholidays_without = \"Observance\"",
            one.clone(),
            &["no event has the words \"Observance\""],
        ),
        ("holidays_file = \"holidays.ics\"\nextra_working_days = [2026-12-24]", one.clone(), &[]),
        ("extra_working_days = [2026-12-24]", one, &["2026-12-24 is a working day anyway"]),
    ] {
        assert_eq!(warned(&policy(keys, &file)), warnings, "{keys}");
    }
}
