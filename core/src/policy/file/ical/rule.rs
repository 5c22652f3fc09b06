//! Recurrence rules, expanded to days.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rrule::RRuleSet;

use super::moment::{Clock, Moment};

/// A series without end is read until the end of this year.
pub(super) const LAST_YEAR: i16 = 2100;
/// The most days of one rule: one a week, for two centuries.
const MAX_DAYS: usize = 10_500;

/// The days of an RRULE whose event starts with `first`; `None` if it ended before that.
///
/// # Errors
/// Why it cannot be expanded.
pub(super) fn days(rule: &str, first: Date, clock: &Clock) -> Result<Option<Vec<Date>>, String> {
    let mut parts = Vec::new();
    for part in rule.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match (name.trim().to_ascii_uppercase().as_str(), value.trim()) {
            ("UNTIL", until) => {
                let last =
                    Moment::parse(until).ok_or_else(|| format!("UNTIL {until} is no date"))?;
                let last = clock.read(last).date;
                if last < first {
                    return Ok(None);
                }
                parts.push(format!("UNTIL={}", midnight(last)));
            }
            ("FREQ", often) if is_often(often) => {
                return Err(format!("FREQ={often} is more often than a day"));
            }
            // They choose times of a day, and here only the day counts.
            ("BYHOUR" | "BYMINUTE" | "BYSECOND", _) => {}
            (name, value) => parts.push(format!("{name}={value}")),
        }
    }
    let text = format!("DTSTART:{}\nRRULE:{}", midnight(first), parts.join(";"));
    let set: RRuleSet = text.parse().map_err(|error: rrule::RRuleError| error.to_string())?;
    let set = set.limit();
    let days = set.into_iter().map_while(|at| Timestamp::from_second(at.timestamp()).ok());
    let days = days.map(|at| TimeZone::UTC.to_datetime(at).date());
    let days = days.take_while(|date| date.year() <= LAST_YEAR);
    let days: Vec<Date> = days.take(MAX_DAYS + 1).collect();
    if days.len() > MAX_DAYS {
        return Err(format!("has more than {MAX_DAYS} days until the end of {LAST_YEAR}"));
    }
    Ok(Some(days))
}

fn is_often(frequency: &str) -> bool {
    ["HOURLY", "MINUTELY", "SECONDLY"].iter().any(|often| often.eq_ignore_ascii_case(frequency))
}

fn midnight(date: Date) -> String {
    date.strftime("%Y%m%dT000000Z").to_string()
}
