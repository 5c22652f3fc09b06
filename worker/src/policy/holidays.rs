//! Holidays from an iCalendar file.

use std::collections::BTreeSet;

use icalendar::parser::{Component, read_calendar, unfold};
use jiff::{Span, civil::Date};

use super::MonthDay;

/// An event longer than that is no holiday.
const MAX_DAYS: i32 = 60;

/// Days off, once and in every year.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holidays {
    pub(super) dates: BTreeSet<Date>,
    pub(super) yearly: BTreeSet<MonthDay>,
}

/// Reads the all-day events of a calendar. What is no whole day is no holiday and left out; what
/// recurs in another way than every year is refused, because leaving it out would be wrong.
pub(super) fn read(text: &str) -> Result<Holidays, Vec<String>> {
    let text = unfold(text.trim_start_matches('\u{feff}'));
    let calendar = read_calendar(&text).map_err(|_| vec!["is no iCalendar file".to_owned()])?;
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
        let first = date(start).ok_or_else(|| format!("DTSTART {start} is no date"))?;
        // Exclusive, by RFC 5545.
        let end = match (property(event, "DTEND"), property(event, "DURATION")) {
            (Some(end), _) => date(end).ok_or_else(|| format!("DTEND {end} is no date"))?,
            (None, Some(duration)) => {
                let span: Span =
                    duration.parse().map_err(|_| format!("DURATION {duration} is none"))?;
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

/// Whether it recurs on the same day of every year, for ever.
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
