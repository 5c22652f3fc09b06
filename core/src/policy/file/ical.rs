//! Holidays from an iCalendar file.

use std::collections::BTreeSet;

use icalendar::parser::{Component, read_calendar, unfold};
use jiff::{Span, civil::Date};

use crate::policy::MonthDay;

/// The longest event that is taken for a holiday.
const MAX_DAYS: i32 = 60;

/// Days off, once and in every year.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holidays {
    pub(super) dates: BTreeSet<Date>,
    pub(super) yearly: BTreeSet<MonthDay>,
}

/// Reads the all-day events of a calendar. Events shorter than a day are ignored; those that recur other
/// than yearly are refused, because ignoring them would be wrong.
pub(super) fn read(text: &str) -> Result<Holidays, Vec<String>> {
    let text = unfold(text.trim_start_matches('\u{feff}'));
    let calendar = read_calendar(&text).map_err(|_| vec!["is not an iCalendar file".to_owned()])?;
    let mut holidays = Holidays::default();
    let mut wrong = Vec::new();
    for event in calendar.components.iter().filter(|component| component.name == "VEVENT") {
        if let Err(why) = holidays.add(event) {
            let name = property(event, "SUMMARY").unwrap_or("without a SUMMARY");
            wrong.push(format!("event {name:?}: {why}"));
        }
    }
    if wrong.is_empty() { Ok(holidays) } else { Err(wrong) }
}

impl Holidays {
    fn add(&mut self, event: &Component<'_>) -> Result<(), String> {
        let start = property(event, "DTSTART").ok_or("has no DTSTART")?;
        if start.contains('T') || property(event, "STATUS") == Some("CANCELLED") {
            return Ok(());
        }
        let first = date(start).ok_or_else(|| format!("DTSTART {start} is not a date"))?;
        // Exclusive, by RFC 5545.
        let end = match (property(event, "DTEND"), property(event, "DURATION")) {
            (Some(end), _) => date(end).ok_or_else(|| format!("DTEND {end} is not a date"))?,
            (None, Some(duration)) => {
                let span: Span = duration
                    .parse()
                    .map_err(|_| format!("DURATION {duration} is not a duration"))?;
                first.checked_add(span).map_err(|_| format!("DURATION {duration} is too long"))?
            }
            (None, None) => first.tomorrow().map_err(|_| "is too late".to_owned())?,
        };
        let length = first.until(end).map(|span| span.get_days()).unwrap_or(i32::MAX);
        if !(1..=MAX_DAYS).contains(&length) {
            return Err(format!("must last 1 to {MAX_DAYS} days"));
        }
        let days = first.series(Span::new().days(1)).take(length as usize);
        for unsupported in ["RDATE", "EXDATE", "EXRULE"] {
            if event.find_prop(unsupported).is_some() {
                return Err(format!(
                    "{unsupported} is not supported: list such holidays one by one"
                ));
            }
        }
        match property(event, "RRULE") {
            None => self.dates.extend(days),
            Some(rule) if is_yearly(rule, first) => self.yearly.extend(days.map(MonthDay::of)),
            Some(rule) => {
                return Err(format!(
                    "RRULE {rule} is not supported, only FREQ=YEARLY: list such holidays one by one"
                ));
            }
        }
        Ok(())
    }
}

/// Whether it recurs on the same day of every year, without end.
fn is_yearly(rule: &str, first: Date) -> bool {
    let parts: Vec<&str> = rule.split(';').collect();
    let month = format!("BYMONTH={}", first.month());
    let day = format!("BYMONTHDAY={}", first.day());
    // By RFC 5545, 3.3.10, a day without its month is one of every month.
    let same_day = |part: &str| part == month || part == day && parts.contains(&month.as_str());
    let harmless = |part: &str| {
        matches!(part, "FREQ=YEARLY" | "INTERVAL=1") || part.starts_with("WKST=") || same_day(part)
    };
    parts.contains(&"FREQ=YEARLY") && parts.iter().all(|part| harmless(part))
}

fn property<'a>(event: &'a Component<'_>, name: &str) -> Option<&'a str> {
    event.find_prop(name).map(|property| property.val.as_ref())
}

fn date(text: &str) -> Option<Date> {
    (text.len() == 8).then(|| Date::strptime("%Y%m%d", text).ok()).flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn ics(event: &str) -> String {
        let text = format!(
            "BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n"
        );
        text.replace('\n', "\r\n")
    }

    #[test]
    fn holidays_come_from_an_icalendar_file() {
        let read = |event: &str| super::read(&ics(event));
        let holidays =
            read("SUMMARY:Closed\nDTSTART;VALUE=DATE:20261228\nDTEND;VALUE=DATE:20261231")
                .expect("dates");
        let dates: Vec<String> = holidays.dates.iter().map(|date| date.to_string()).collect();
        assert_eq!(dates, ["2026-12-28", "2026-12-29", "2026-12-30"]);
        let yearly = read("DTSTART;VALUE=DATE:20201224\nDURATION:P2D\nRRULE:FREQ=YEARLY;INTERVAL=1;BYMONTH=12;BYMONTHDAY=24").expect("days");
        let days: Vec<String> = yearly.yearly.iter().map(|day| day.to_string()).collect();
        assert_eq!((yearly.dates.len(), days), (0, vec!["12-24".to_owned(), "12-25".to_owned()]));
        for no_day_off in
            ["DTSTART:20261224T090000Z", "STATUS:CANCELLED\nDTSTART;VALUE=DATE:20261224"]
        {
            assert_eq!(read(no_day_off), Ok(Holidays::default()), "{no_day_off}");
        }
        for (event, why) in [
            ("SUMMARY:X", "event \"X\": has no DTSTART"),
            (
                "SUMMARY:X\nDTSTART;VALUE=DATE:20261324",
                "event \"X\": DTSTART 20261324 is not a date",
            ),
            (
                "SUMMARY:X\nDTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261224",
                "event \"X\": must last 1 to 60 days",
            ),
            (
                "SUMMARY:X\nDTSTART;VALUE=DATE:20260101\nRRULE:FREQ=YEARLY;UNTIL=20300101",
                "event \"X\": RRULE FREQ=YEARLY;UNTIL=20300101 is not supported, only FREQ=YEARLY: list such holidays one by one",
            ),
            // The 24th of every month.
            (
                "SUMMARY:X\nDTSTART;VALUE=DATE:20261224\nRRULE:FREQ=YEARLY;BYMONTHDAY=24",
                "event \"X\": RRULE FREQ=YEARLY;BYMONTHDAY=24 is not supported, only FREQ=YEARLY: list such holidays one by one",
            ),
            (
                "SUMMARY:Easter\nDTSTART;VALUE=DATE:20260405\nRDATE;VALUE=DATE:20270328",
                "event \"Easter\": RDATE is not supported: list such holidays one by one",
            ),
        ] {
            assert_eq!(read(event), Err(vec![why.to_owned()]));
        }
        assert!(super::read("no calendar").is_err());
        // Folded, with a byte order mark, and with the line ends of the other systems.
        let folded =
            ics("SUMMARY:A very\n  long name\nDTSTART;VALUE=DATE:20261\n 224\nX-LONG;X=\"a:b\":c");
        for text in [format!("\u{feff}{folded}"), folded.replace("\r\n", "\n")] {
            let dates = super::read(&text).expect("a date").dates;
            assert_eq!(
                dates.into_iter().map(|date| date.to_string()).collect::<Vec<_>>(),
                ["2026-12-24"]
            );
        }
    }
}
