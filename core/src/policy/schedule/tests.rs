use jiff::{
    civil::{DateTime, date},
    tz::TimeZone,
};
use proptest::prelude::*;

use super::*;

fn berlin() -> Calendar {
    Calendar {
        time_zone: TimeZone::get("Europe/Berlin").expect("bundled"),
        holidays: ["2026-12-24", "2026-12-31"].map(|day| day.parse().expect("a date")).into(),
        yearly_holidays: ["12-25", "12-26", "01-01"].map(|day| day.parse().expect("a day")).into(),
        ..Calendar::default()
    }
}

fn with_hours(hours: &[&str]) -> Calendar {
    let hours = hours.iter().map(|hours| hours.parse().expect("hours"));
    Calendar { working_hours: hours.collect(), ..berlin() }
}

fn at(calendar: &Calendar, wall: &str) -> Timestamp {
    let wall: DateTime = wall.parse().expect("a wall clock's time");
    calendar.time_zone.to_timestamp(wall).expect("in range")
}

fn wall(calendar: &Calendar, at: Timestamp) -> String {
    calendar.time_zone.to_datetime(at).strftime("%a %F %H:%M").to_string()
}

fn wait(text: &str) -> Wait {
    text.parse().expect(text)
}

fn after(calendar: &Calendar, start: &str, text: &str) -> String {
    wall(calendar, wait(text).after(at(calendar, start), calendar))
}

fn before(calendar: &Calendar, end: &str, text: &str) -> String {
    wall(calendar, wait(text).before(at(calendar, end), calendar))
}

#[test]
fn a_working_day_is_the_same_time_on_the_next_one() {
    let calendar = berlin();
    for (start, text, end) in [
        // A Thursday.
        ("2026-11-26 15:00", "1 working day", "Fri 2026-11-27 15:00"),
        ("2026-11-26 15:00", "2 working days", "Mon 2026-11-30 15:00"),
        ("2026-11-26 15:00", "7 working days", "Mon 2026-12-07 15:00"),
        // Outside of hours: from the next opening.
        ("2026-11-27 20:00", "1 working day", "Tue 2026-12-01 09:00"),
        ("2026-11-28 12:00", "1 working day", "Tue 2026-12-01 09:00"),
        ("2026-11-30 06:00", "1 working day", "Tue 2026-12-01 09:00"),
        ("2026-11-30 09:00", "1 working day", "Tue 2026-12-01 09:00"),
        ("2026-11-30 16:59", "1 working day", "Tue 2026-12-01 16:59"),
        ("2026-11-30 17:00", "1 working day", "Wed 2026-12-02 09:00"),
        // Over Christmas, which is Thursday to Saturday, and New Year.
        ("2026-12-23 15:00", "1 working day", "Mon 2026-12-28 15:00"),
        ("2026-12-24 15:00", "1 working day", "Tue 2026-12-29 09:00"),
        ("2026-12-30 15:00", "1 working day", "Mon 2027-01-04 15:00"),
    ] {
        assert_eq!(after(&calendar, start, text), end, "{text} from {start}");
    }
}

#[test]
fn working_hours_pass_only_inside_working_hours() {
    let calendar = with_hours(&["09:00-12:00", "13:00-17:00"]);
    for (start, text, end) in [
        ("2026-11-26 09:00", "3 working hours", "Thu 2026-11-26 12:00"),
        ("2026-11-26 11:00", "2 working hours", "Thu 2026-11-26 14:00"),
        ("2026-11-26 12:30", "4 working hours", "Thu 2026-11-26 17:00"),
        ("2026-11-26 16:00", "2 working hours", "Fri 2026-11-27 10:00"),
        ("2026-11-27 16:30", "1 working hour", "Mon 2026-11-30 09:30"),
        ("2026-11-28 16:30", "7 working hours", "Mon 2026-11-30 17:00"),
        ("2026-12-23 16:00", "10 working hours", "Tue 2026-12-29 11:00"),
    ] {
        assert_eq!(after(&calendar, start, text), end, "{text} from {start}");
    }
    let all_day = with_hours(&["00:00-24:00"]);
    assert_eq!(after(&all_day, "2026-11-27 23:00", "2 working hours"), "Mon 2026-11-30 01:00");
}

#[test]
fn plain_time_knows_no_weekend() {
    let calendar = berlin();
    assert_eq!(after(&calendar, "2026-11-27 20:00", "36h"), "Sun 2026-11-29 08:00");
    assert_eq!(after(&calendar, "2026-11-27 20:00", "3 days"), "Mon 2026-11-30 20:00");
}

#[test]
fn before_a_deadline_counts_backwards() {
    let calendar = berlin();
    for (end, text, start) in [
        ("2026-11-30 15:00", "1 working day", "Fri 2026-11-27 15:00"),
        ("2026-12-28 15:00", "2 working days", "Tue 2026-12-22 15:00"),
        // From outside of hours: from the last closing; at an opening, that opening.
        ("2026-11-29 03:00", "1 working day", "Thu 2026-11-26 17:00"),
        ("2026-12-02 09:00", "1 working day", "Tue 2026-12-01 09:00"),
        ("2026-12-02 08:00", "1 working day", "Mon 2026-11-30 17:00"),
        ("2026-11-30 10:00", "2 working hours", "Fri 2026-11-27 16:00"),
        ("2026-11-30 17:00", "8 working hours", "Mon 2026-11-30 09:00"),
        ("2026-11-29 03:00", "2 working hours", "Fri 2026-11-27 15:00"),
        ("2026-11-29 03:00", "2h", "Sun 2026-11-29 01:00"),
    ] {
        assert_eq!(before(&calendar, end, text), start, "{text} before {end}");
    }
}

#[test]
fn over_both_changes_of_clocks_working_time_keeps_to_the_wall_and_plain_time_does_not() {
    let calendar = berlin();
    // Sunday, 29 March 2026: 02:00 becomes 03:00. Thursday 15:00 is 14:00 UTC.
    assert_eq!(after(&calendar, "2026-03-26 15:00", "2 working days"), "Mon 2026-03-30 15:00");
    assert_eq!(after(&calendar, "2026-03-28 15:00", "24h"), "Sun 2026-03-29 16:00");
    let (start, end) = (at(&calendar, "2026-03-27 15:00"), at(&calendar, "2026-03-30 15:00"));
    assert_eq!(end.duration_since(start), SignedDuration::from_hours(71));
    assert_eq!(wait("1 working day").after(start, &calendar), end);
    assert_eq!(wait("1 working day").before(end, &calendar), start);
    // Sunday, 25 October 2026: 03:00 becomes 02:00.
    let (start, end) = (at(&calendar, "2026-10-23 15:00"), at(&calendar, "2026-10-26 15:00"));
    assert_eq!(end.duration_since(start), SignedDuration::from_hours(73));
    assert_eq!(wait("1 working day").after(start, &calendar), end);
    assert_eq!(wait("1 working day").before(end, &calendar), start);
    assert_eq!(after(&calendar, "2026-10-24 15:00", "24h"), "Sun 2026-10-25 14:00");
    assert_eq!(after(&calendar, "2026-10-23 16:00", "2 working hours"), "Mon 2026-10-26 10:00");
}

#[test]
fn a_night_at_work_has_an_hour_less_in_spring_and_one_more_in_autumn() {
    let nights = Calendar {
        working_days: ["Sat", "Sun"].map(|day| day.parse().expect("a day")).into(),
        ..with_hours(&["00:00-06:00"])
    };
    for (start, hours, end) in [
        ("2026-03-29 00:00", 5, "Sun 2026-03-29 06:00"),
        ("2026-03-29 00:00", 6, "Sat 2026-04-04 01:00"),
        ("2026-10-25 00:00", 7, "Sun 2026-10-25 06:00"),
        ("2026-10-25 00:00", 8, "Sat 2026-10-31 01:00"),
    ] {
        let text = format!("{hours} working hours");
        assert_eq!(after(&nights, start, &text), end, "{text} from {start}");
    }
    // 02:30 on Saturday is left out by Sunday's clock, and comes twice in autumn.
    assert_eq!(after(&nights, "2026-03-28 02:30", "1 working day"), "Sun 2026-03-29 03:30");
    let twice = wait("1 working day").after(at(&nights, "2026-10-24 02:30"), &nights);
    assert_eq!(twice.to_string(), "2026-10-25T00:30:00Z");
}

/// Of the database in the program, whatever the machine has: `worker/tests/check_policy.rs` holds that.
#[test]
fn zones_follow_the_latest_laws() {
    for (zone, at, local) in [
        // Since March 2026, British Columbia changes its clocks no more.
        ("America/Vancouver", "2026-12-21T17:00:00Z", "2026-12-21 10:00"),
        ("America/Los_Angeles", "2026-12-21T17:00:00Z", "2026-12-21 09:00"),
        ("Europe/Berlin", "2026-12-21T17:00:00Z", "2026-12-21 18:00"),
        ("Asia/Kolkata", "2026-12-21T17:00:00Z", "2026-12-21 22:30"),
    ] {
        let zone = TimeZone::get(zone).expect(zone);
        let at: Timestamp = at.parse().expect("a time");
        assert_eq!(zone.to_datetime(at).strftime("%F %H:%M").to_string(), local);
    }
}

#[test]
fn reminders_come_at_intervals_and_before_the_deadline() {
    let calendar = berlin();
    let plan = TimePlan {
        deadline: wait("2 working days"),
        reminders: [
            "1h",
            "every 24h",
            "2 working hours before the deadline",
            "1 working day before",
            // None of these comes in between.
            "4 days",
            "30 days before the deadline",
        ]
        .map(|text| text.parse().expect(text))
        .into(),
    };
    let due = schedule(&plan, &calendar, at(&calendar, "2026-11-26 15:00"));
    assert_eq!(wall(&calendar, due.deadline), "Mon 2026-11-30 15:00");
    let reminders: Vec<_> = due.reminders.iter().map(|at| wall(&calendar, *at)).collect();
    assert_eq!(
        reminders,
        [
            "Thu 2026-11-26 16:00",
            "Fri 2026-11-27 15:00",
            "Sat 2026-11-28 15:00",
            "Sun 2026-11-29 15:00",
            "Mon 2026-11-30 13:00",
        ]
    );
    let recorded = serde_json::to_string(&due).expect("JSON");
    assert_eq!(serde_json::from_str::<Due>(&recorded).expect("JSON"), due);
}

#[test]
fn a_reminder_that_is_meant_alone_has_its_place_before_those_that_come_again_and_again() {
    let plan = TimePlan {
        deadline: wait("3 days"),
        reminders: ["every 1h", "1h before the deadline", "2 days"]
            .map(|text| text.parse().expect(text))
            .into(),
    };
    let opened_at = at(&berlin(), "2026-11-23 09:00");
    let due = schedule(&plan, &berlin(), opened_at);
    let hours: Vec<i64> =
        due.reminders.iter().map(|at| at.duration_since(opened_at).as_hours()).collect();
    let first_ones: Vec<i64> = (1..=18).collect();
    assert_eq!(hours, [&first_ones[..], &[48, 71]].concat());
}

#[test]
fn a_reminder_suits_a_deadline_unless_it_surely_comes_too_late_or_too_often() {
    let suits = |reminder: &str, deadline: &str| {
        reminder.parse::<Reminder>().expect(reminder).suits(wait(deadline))
    };
    for (reminder, deadline) in [
        ("2h", "2h"),
        ("3 working days", "2 working days"),
        ("every 2 working hours", "2 working hours"),
        ("25 working hours before the deadline", "1 day"),
        ("2 working days", "1 day"),
    ] {
        let late = Err(Unsuited::Late(wait(deadline)));
        assert_eq!(suits(reminder, deadline), late, "{reminder} in {deadline}");
    }
    for (reminder, deadline) in [
        ("every 1h", "22h"),
        ("every 1h", "3 working days"),
        ("every 1 working hour", "22 working hours"),
        ("every 1 working day", "22 working days"),
    ] {
        let too_often = Err(Unsuited::TooOften(wait(deadline)));
        assert_eq!(suits(reminder, deadline), too_often, "{reminder} in {deadline}");
    }
    for (reminder, deadline) in [
        ("every 1h", "21h"),
        ("every 1 working day", "21 working days"),
        // Over a weekend, a change of clocks, in a long working day.
        ("1 day", "4 working hours"),
        ("1 working day", "23h"),
        ("1 working day", "20 working hours"),
    ] {
        assert_eq!(suits(reminder, deadline), Ok(()), "{reminder} in {deadline}");
    }
}

#[test]
fn what_is_recorded_reads_like_the_rule_and_is_read_again() {
    let plan: TimePlan = serde_json::from_str(
        r#"{"deadline": "PT168H", "reminders": ["PT36H", "every 4 working hours", "1 working day before"]}"#,
    )
    .expect("a plan");
    assert_eq!(
        serde_json::to_string(&plan).expect("JSON"),
        r#"{"deadline":"7 days","reminders":["36h","every 4 working hours","1 working day before the deadline"]}"#
    );
    let calendar = with_hours(&["09:00-12:00", "13:00-24:00"]);
    let recorded = serde_json::to_string(&calendar).expect("JSON");
    assert_eq!(
        recorded,
        r#"{"timeZone":"Europe/Berlin","workingHours":["09:00-12:00","13:00-24:00"],"workingDays":"Mon Tue Wed Thu Fri","holidays":["2026-12-24","2026-12-31"],"yearlyHolidays":["01-01","12-25","12-26"]}"#
    );
    assert_eq!(serde_json::from_str::<Calendar>(&recorded).expect("a calendar"), calendar);
    let later = calendar.from_date_on("2026-12-25".parse().expect("a date"));
    assert_eq!(later.holidays.len(), 1);
}

#[test]
fn what_is_no_waiting_time_is_refused_with_its_reason() {
    for text in ["", "soon", "5", "1.5 working days", "2 working", "-2 working days", "daily"] {
        assert_eq!(text.parse::<Wait>(), Err(NotAWait::Form), "{text}");
    }
    for text in ["0s", "-1h", "0 working days"] {
        assert_eq!(text.parse::<Wait>(), Err(NotAWait::TooShort), "{text}");
    }
    for text in ["400 days", "367 working days", "9000 working hours"] {
        assert_eq!(text.parse::<Wait>(), Err(NotAWait::TooLong), "{text}");
    }
}

#[test]
fn how_people_say_a_time_is_answered_with_how_it_is_written() {
    for (said, right) in [
        ("3 business days", "3 working days"),
        ("two working days", "2 working days"),
        ("2 Workdays", "2 working days"),
        ("1 weekday", "1 working day"),
        ("4 business hours", "4 working hours"),
        ("working day", "1 working day"),
        ("a week", "7 days"),
        ("one day", "1 day"),
        ("2 months", "60 days"),
        ("fortnight", "14 days"),
    ] {
        assert_eq!(said.parse::<Wait>(), Err(NotAWait::Meant(right.into())), "{said}");
    }
    for (said, right) in [
        ("daily", "every 1 day"),
        ("Hourly", "every 1 hour"),
        ("weekly", "every 7 days"),
        ("every day", "every 1 day"),
        ("every working day", "every 1 working day"),
        ("every 2 business days", "every 2 working days"),
        ("a day", "1 day"),
        ("2 business hours before the deadline", "2 working hours before the deadline"),
    ] {
        assert_eq!(said.parse::<Reminder>(), Err(NotAWait::Meant(right.into())), "{said}");
        assert!(right.parse::<Reminder>().is_ok(), "{right}");
    }
    let error = NotAWait::Meant("3 working days".into()).to_string();
    let says =
        "must be a span of time, such as 36h or 2 working days: did you mean \"3 working days\"?";
    assert_eq!(error, says);
}

#[test]
fn a_calendar_of_holidays_only_still_ends_every_wait() {
    let new_year = jiff::civil::date(2024, 1, 1);
    let days = new_year.series(jiff::Span::new().days(1)).take(366);
    let never =
        Calendar { yearly_holidays: days.map(super::super::MonthDay::of).collect(), ..berlin() };
    let start = at(&never, "2026-11-26 15:00");
    for text in ["1 working day", "1 working hour"] {
        let end = wait(text).after(start, &never);
        assert!(end > start && end < Timestamp::MAX, "{end}");
    }
}

proptest! {
    #[test]
    fn working_time_never_ends_early_or_outside_of_hours(
        start in 1_700_000_000..1_900_000_000_i64,
        number in 1..60_u32,
        days in any::<bool>(),
        short_days in any::<bool>(),
    ) {
        let mut calendar = with_hours(&["08:30-12:00", "13:00-17:15"]);
        if short_days {
            let short = ["10:00-11:30", "12:15-14:00"].map(|hours| hours.parse().expect("hours"));
            calendar.hours_on = [("Tue", &short[..1]), ("Fri", &short[..]), ("Sat", &short[1..])]
                .map(|(day, hours)| (day.parse().expect("a day"), hours.to_vec()))
                .into();
            calendar.extra_working_days = [date(2026, 12, 26), date(2025, 3, 30)].into();
        }
        let start = Timestamp::from_second(start).expect("in range");
        let wait = if days { Wait::WorkingDays(number) } else { Wait::WorkingHours(number) };
        let end = wait.after(start, &calendar);
        let minimum = if days { 0 } else { i64::from(number) };
        prop_assert!(end.duration_since(start) >= SignedDuration::from_hours(minimum));
        let wall = calendar.time_zone.to_datetime(end);
        prop_assert!(calendar.is_working_day(wall.date()));
        let minute = wall.hour() as u16 * 60 + wall.minute() as u16;
        let hours = calendar.hours_on.iter().find(|(day, _)| day.to_string() == wall.strftime("%a").to_string());
        let hours = hours.map_or(&calendar.working_hours, |(_, hours)| hours);
        prop_assert!(hours.iter().any(|h| (h.from..=h.to).contains(&minute)));
        // And back again, by as much.
        if !days {
            let again = wait.after(wait.before(end, &calendar), &calendar);
            prop_assert_eq!(again, end);
        }
    }

    #[test]
    fn what_is_due_is_in_order_and_in_time(
        start in 1_700_000_000..1_900_000_000_i64,
        waits in proptest::collection::vec((0..6_u8, 1..80_u32), 1..6),
    ) {
        let calendar = berlin();
        let start = Timestamp::from_second(start).expect("in range");
        let wait = |kind: u8, number| match kind % 3 {
            0 => Wait::Plain(SignedDuration::from_mins(i64::from(number) * 17)),
            1 => Wait::WorkingHours(number),
            _ => Wait::WorkingDays(number),
        };
        let reminders = waits.iter().enumerate().map(|(i, (kind, number))| match i % 3 {
            0 => Reminder::Every(wait(*kind, *number)),
            1 => Reminder::After(wait(*kind, *number)),
            _ => Reminder::Before(wait(*kind, *number)),
        });
        let plan = TimePlan { deadline: wait(waits[0].0 / 3, 40), reminders: reminders.collect() };
        let due = schedule(&plan, &calendar, start);
        prop_assert!(due.deadline > start);
        prop_assert!(due.reminders.len() <= MAX_REMINDERS);
        prop_assert!(due.reminders.is_sorted());
        prop_assert!(due.reminders.iter().all(|at| start < *at && *at < due.deadline));
        for reminder in &plan.reminders {
            let alone = TimePlan { reminders: vec![*reminder], ..plan.clone() };
            let sent = schedule(&alone, &calendar, start).reminders.len();
            match reminder.suits(plan.deadline) {
                Ok(()) => {}
                // So long before the deadline may be the opening after the asking.
                Err(Unsuited::Late(deadline)) if reminder.wait() == deadline => {}
                Err(Unsuited::Late(_)) => prop_assert_eq!(sent, 0, "{}", reminder),
                Err(Unsuited::TooOften(_)) => prop_assert_eq!(sent, MAX_REMINDERS),
            }
        }
        // Whatever else there is, those that are meant alone are there.
        for reminder in &plan.reminders {
            let at = match reminder {
                Reminder::Every(_) => continue,
                Reminder::After(wait) => wait.after(start, &calendar),
                Reminder::Before(wait) => wait.before(due.deadline, &calendar),
            };
            let in_time = start < at && at < due.deadline;
            prop_assert_eq!(due.reminders.contains(&at), in_time, "{}", reminder);
        }
    }
}
