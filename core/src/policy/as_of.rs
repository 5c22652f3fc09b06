//! A moment as people write it.

use std::str::FromStr;

use jiff::{Timestamp, civil::DateTime};

use super::Calendar;

/// A moment; a date or a time without an offset is of the rules' time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    Exactly(Timestamp),
    Local(DateTime),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a date or a time, such as 2026-11-24, 2026-11-24T09:00 or 2026-11-24T09:00:00+01:00"
)]
pub struct NotAMoment;

impl FromStr for AsOf {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let exactly = text.parse().map(AsOf::Exactly);
        exactly.or_else(|_| text.parse().map(AsOf::Local)).map_err(|_: jiff::Error| NotAMoment)
    }
}

impl AsOf {
    /// A date is its midnight.
    pub fn at(self, calendar: &Calendar) -> Timestamp {
        match self {
            AsOf::Exactly(at) => at,
            AsOf::Local(time) => {
                calendar.time_zone.to_timestamp(time).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_date_is_one_in_the_rules_time_zone() {
        let time_zone = TimeZone::get("Europe/Berlin").expect("a time zone");
        let calendar = Calendar { time_zone, ..Calendar::default() };
        for (written, at) in [
            ("2026-11-24", "2026-11-23T23:00:00Z"),
            ("2026-07-01T09:30", "2026-07-01T07:30:00Z"),
            ("2026-11-24T09:00:00-05:00", "2026-11-24T14:00:00Z"),
            ("2026-11-24T09:00:00Z", "2026-11-24T09:00:00Z"),
        ] {
            let as_of: AsOf = written.parse().expect("a moment");
            assert_eq!(as_of.at(&calendar).to_string(), at, "{written}");
        }
        for wrong in ["", "tomorrow", "09:00", "24.11.2026", "2026-11-31"] {
            assert_eq!(wrong.parse::<AsOf>(), Err(NotAMoment), "{wrong}");
        }
    }
}
