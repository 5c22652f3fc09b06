//! Dates and times of an iCalendar file, and the days that they mean.

use jiff::{SignedDuration, civil::Date, tz::TimeZone};

const DAY: u16 = 24 * 60;
const LAST_MINUTE: u16 = DAY - 1;

/// A date, or a date and a time (RFC 5545, 3.3.4 and 3.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) date: Date,
    /// Since midnight, at most a day. `None` if it is a date.
    minutes: Option<u16>,
    is_utc: bool,
}

impl Moment {
    /// `20261224`, `20261224T090000` or `20261224T090000Z`; a day may end at `T240000`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text.as_str(), None),
        };
        let date = match numbers(date, &[4, 2, 2])?[..] {
            [year, month, day] => Date::new(year as i16, month as i8, day as i8).ok()?,
            _ => return None,
        };
        let Some(time) = time else { return Some(Self { date, minutes: None, is_utc: false }) };
        let (time, is_utc) = time.strip_suffix('Z').map_or((time, false), |time| (time, true));
        let minutes = match numbers(time, &[2, 2, 2]).or_else(|| numbers(time, &[2, 2]))?[..] {
            // A leap second too.
            [hours @ 0..24, minutes @ 0..60, 0..=60] | [hours @ 0..24, minutes @ 0..60] => {
                60 * hours + minutes
            }
            [24, 0, 0] | [24, 0] => DAY,
            _ => return None,
        };
        Some(Self { date, minutes: Some(minutes), is_utc })
    }

    /// This much later. A date is then a time.
    pub(super) fn after(self, duration: SignedDuration) -> Option<Self> {
        let start = self.date.at(0, 0, 0, 0);
        let passed = SignedDuration::from_mins(self.minutes.unwrap_or_default().into()) + duration;
        let end = start.checked_add(passed).ok()?;
        let minutes = Some(60 * end.hour() as u16 + end.minute() as u16);
        Some(Self { date: end.date(), minutes, is_utc: self.is_utc })
    }

    fn in_zone(self, zone: &TimeZone) -> Self {
        let Some(minutes) = self.minutes.filter(|_| self.is_utc) else { return self };
        let passed = SignedDuration::from_mins(minutes.into());
        let wall = self.date.at(0, 0, 0, 0).checked_add(passed).ok();
        let at = wall.and_then(|wall| TimeZone::UTC.to_timestamp(wall).ok());
        let Some(local) = at.map(|at| zone.to_datetime(at)) else { return self };
        let minutes = Some(60 * local.hour() as u16 + local.minute() as u16);
        Self { date: local.date(), minutes, is_utc: false }
    }

    pub(super) fn is_date(self) -> bool {
        self.minutes.is_none()
    }

    /// Whether a day begins with it.
    pub(super) fn starts_day(self) -> bool {
        self.minutes.unwrap_or_default() == 0
    }

    /// Whether a day ends with it: many write the day's last minute.
    pub(super) fn ends_day(self) -> bool {
        matches!(self.minutes, None | Some(0) | Some(LAST_MINUTE..))
    }

    /// Where something ends by it, the day after its last one.
    pub(super) fn day_after(self) -> Option<Date> {
        match self.minutes {
            Some(LAST_MINUTE..) => self.date.tomorrow().ok(),
            _ => Some(self.date),
        }
    }
}

/// Numbers of these lengths, one behind the other.
fn numbers(text: &str, lengths: &[usize]) -> Option<Vec<u16>> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.len() != lengths.iter().sum::<usize>() {
        return None;
    }
    let mut rest = text;
    let numbers = lengths.iter().map(|length| {
        let (number, more) = rest.split_at(*length);
        rest = more;
        number.parse().ok()
    });
    numbers.collect()
}

/// How an event's times are read: by the clock of its start.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// For what is in UTC. `None` takes it as it is written, as for a day that was written as midnight in UTC.
    zone: Option<TimeZone>,
}

impl Clock {
    /// Of an event that starts at that moment, in the zone `name` if that is known, else in `zone`.
    pub(super) fn of(start: Moment, name: Option<&str>, zone: &TimeZone) -> Self {
        let as_written = start.is_date() || start.is_utc && start.starts_day();
        let named = || name.and_then(|name| TimeZone::get(name).ok());
        Self { zone: (!as_written).then(|| named().unwrap_or_else(|| zone.clone())) }
    }

    pub(super) fn as_written() -> Self {
        Self { zone: None }
    }

    pub(super) fn read(&self, moment: Moment) -> Moment {
        self.zone.as_ref().map_or(moment, |zone| moment.in_zone(zone))
    }
}
