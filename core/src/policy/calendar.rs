//! Working time: a time zone, working hours, working days, holidays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    iter::successors,
    str::FromStr,
};

use jiff::{SignedDuration, Span, Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::string_form::string_form;

string_form!(Hours, MonthDay, DayOfWeek);

/// A bound on every search for a working day.
const HORIZON_DAYS: usize = 3_660;

/// A working calendar. It is recorded with a plan, so that a later one does not change open approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Calendar {
    #[serde(with = "jiff::fmt::serde::tz::required")]
    pub(crate) time_zone: TimeZone,
    /// Of every working day that has none of its own: at least one span, ascending.
    pub(crate) working_hours: Vec<Hours>,
    /// Of single days of the week, likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) hours_on: BTreeMap<DayOfWeek, Vec<Hours>>,
    /// Never empty: searches for a working day would not end.
    #[serde(with = "weekdays")]
    pub(crate) working_days: BTreeSet<DayOfWeek>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) holidays: BTreeSet<Date>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) yearly_holidays: BTreeSet<MonthDay>,
    /// Worked also where they would be days off.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) extra_working_days: BTreeSet<Date>,
}

impl Default for Calendar {
    /// Monday to Friday, 09:00 to 17:00, UTC.
    fn default() -> Self {
        Self {
            time_zone: TimeZone::UTC,
            working_hours: vec![Hours { from: 9 * 60, to: 17 * 60 }],
            hours_on: BTreeMap::new(),
            working_days: (0..5).map(DayOfWeek).collect(),
            holidays: BTreeSet::new(),
            yearly_holidays: BTreeSet::new(),
            extra_working_days: BTreeSet::new(),
        }
    }
}

impl Calendar {
    /// The date in the time zone.
    pub fn date(&self, at: Timestamp) -> Date {
        self.time_zone.to_datetime(at).date()
    }

    /// The IANA name of the time zone; empty for UTC.
    pub fn zone_name(&self) -> &str {
        self.time_zone.iana_name().filter(|name| *name != "UTC").unwrap_or_default()
    }

    /// The calendar with the days that waits from that date on can meet, to be recorded.
    pub fn from_date_on(&self, date: Date) -> Self {
        let last = date.saturating_add(Span::new().days(HORIZON_DAYS as i64));
        let kept = |days: &BTreeSet<Date>| days.range(date..=last).copied().collect();
        Self {
            holidays: kept(&self.holidays),
            extra_working_days: kept(&self.extra_working_days),
            ..self.clone()
        }
    }

    pub fn is_working_day(&self, date: Date) -> bool {
        let is_day_off = || {
            !self.working_days.contains(&DayOfWeek::of(date))
                || self.holidays.contains(&date)
                || self.yearly_holidays.contains(&MonthDay::of(date))
        };
        self.extra_working_days.contains(&date) || !is_day_off()
    }

    /// The moment when this much working time has passed.
    pub(super) fn add_hours(&self, start: Timestamp, mut hours: SignedDuration) -> Timestamp {
        for (opens, closes) in self.spans_from(start) {
            let from = opens.max(start);
            let open_for = closes.duration_since(from);
            if open_for >= hours {
                return from.saturating_add(hours).unwrap_or(Timestamp::MAX);
            }
            hours -= open_for.max(SignedDuration::ZERO);
        }
        self.horizon(start)
    }

    /// The moment from which this much working time passes until `end`.
    pub(super) fn sub_hours(&self, end: Timestamp, mut hours: SignedDuration) -> Timestamp {
        for (opens, closes) in self.spans_until(end) {
            let until = closes.min(end);
            let open_for = until.duration_since(opens);
            if open_for >= hours {
                return until.saturating_sub(hours).unwrap_or(Timestamp::MIN);
            }
            hours -= open_for.max(SignedDuration::ZERO);
        }
        Timestamp::MIN
    }

    /// The same wall-clock time this many working days later. Outside working hours, counting starts at the
    /// next opening; it ends within those of the last day.
    pub(super) fn add_days(&self, start: Timestamp, number: u32) -> Timestamp {
        let opening = self.spans_from(start).find(|(_, closes)| start < *closes);
        let Some((opens, _)) = opening else { return self.horizon(start) };
        let from = self.time_zone.to_datetime(start.max(opens));
        let mut working_days =
            days(from.date(), Date::tomorrow).skip(1).filter(|date| self.is_working_day(*date));
        let Some(date) = working_days.nth((number.max(1) - 1) as usize) else {
            return self.horizon(start);
        };
        let end = self.moment(date.to_datetime(from.time())).unwrap_or(Timestamp::MAX);
        // The next opening of that day, or its closing.
        let open = self.spans(date).find(|(_, closes)| end <= *closes);
        let closing = || self.spans(date).next_back().map_or(end, |(_, closes)| closes);
        open.map_or_else(closing, |(opens, _)| end.max(opens))
    }

    /// The same wall-clock time this many working days before. Outside working hours, counting starts at
    /// the last closing; it ends within those of the last day.
    pub(super) fn sub_days(&self, end: Timestamp, number: u32) -> Timestamp {
        let closing = self.spans_until(end).find(|(opens, _)| *opens <= end);
        let Some((_, closes)) = closing else { return Timestamp::MIN };
        let until = self.time_zone.to_datetime(end.min(closes));
        let mut working_days =
            days(until.date(), Date::yesterday).skip(1).filter(|date| self.is_working_day(*date));
        let Some(date) = working_days.nth((number.max(1) - 1) as usize) else {
            return Timestamp::MIN;
        };
        let start = self.moment(date.to_datetime(until.time())).unwrap_or(Timestamp::MIN);
        // The last closing of that day, or its opening.
        let open = self.spans(date).rev().find(|(opens, _)| *opens <= start);
        let opening = || self.spans(date).next().map_or(start, |(opens, _)| opens);
        open.map_or_else(opening, |(_, closes)| start.min(closes))
    }

    /// The working hours from that moment's day on, in absolute time: the day on which clocks change has an
    /// hour more or less.
    fn spans_from(&self, at: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = self.date(at);
        let working_days = days(today, Date::tomorrow).filter(|date| self.is_working_day(*date));
        working_days.flat_map(move |date| self.spans(date))
    }

    /// The working hours up to that moment's day, latest first.
    fn spans_until(&self, at: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = self.date(at);
        let working_days = days(today, Date::yesterday).filter(|date| self.is_working_day(*date));
        working_days.flat_map(move |date| self.spans(date).rev())
    }

    /// The working hours of a day, if it is a working day.
    fn spans(&self, date: Date) -> impl DoubleEndedIterator<Item = (Timestamp, Timestamp)> {
        let hours = self.hours_on.get(&DayOfWeek::of(date)).unwrap_or(&self.working_hours);
        hours.iter().filter_map(move |hours| self.span(date, *hours))
    }

    fn span(&self, date: Date, hours: Hours) -> Option<(Timestamp, Timestamp)> {
        let moment = |minutes: u16| {
            let date = if minutes == Hours::MIDNIGHT { date.tomorrow().ok()? } else { date };
            let minutes = minutes % Hours::MIDNIGHT;
            self.moment(date.at((minutes / 60) as i8, (minutes % 60) as i8, 0, 0))
        };
        Some((moment(hours.from)?, moment(hours.to)?)).filter(|(from, to)| from < to)
    }

    /// A wall-clock time that a change of clocks skips is later by the change; of one that occurs twice, the
    /// first counts.
    fn moment(&self, wall: jiff::civil::DateTime) -> Option<Timestamp> {
        self.time_zone.to_timestamp(wall).ok()
    }

    fn horizon(&self, start: Timestamp) -> Timestamp {
        let days = SignedDuration::from_hours(24 * HORIZON_DAYS as i64);
        start.saturating_add(days).unwrap_or(Timestamp::MAX)
    }
}

fn days(
    first: Date,
    next: impl Fn(Date) -> Result<Date, jiff::Error>,
) -> impl Iterator<Item = Date> {
    successors(Some(first), move |date| next(*date).ok()).take(HORIZON_DAYS)
}

/// A span of a day, in minutes since its midnight, such as `09:00-17:30`; `24:00` ends the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHours {
    #[error("must be a span of a day, such as 09:00-17:30")]
    Form,
    #[error("must end after it starts, on the same day")]
    Order,
}

impl Hours {
    const MIDNIGHT: u16 = 24 * 60;
}

impl FromStr for Hours {
    type Err = NotHours;

    fn from_str(text: &str) -> Result<Self, NotHours> {
        let (from, to) = text.split_once('-').ok_or(NotHours::Form)?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        if from < to { Ok(Self { from, to }) } else { Err(NotHours::Order) }
    }
}

fn minutes(text: &str) -> Result<u16, NotHours> {
    let (hours, minutes) = text.trim().split_once(':').ok_or(NotHours::Form)?;
    let number = |digits: &str| match digits.len() {
        1 | 2 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    };
    match (number(hours), number(minutes)) {
        (Some(24), Some(0)) => Ok(Hours::MIDNIGHT),
        (Some(hours @ 0..24), Some(minutes @ 0..60)) => Ok(60 * hours + minutes),
        _ => Err(NotHours::Form),
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

/// A day of every year, such as `12-25`. 29 February occurs in leap years only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MonthDay {
    month: i8,
    day: i8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a date, such as 2026-12-25, or a month and day of every year, such as 12-25")]
pub struct NotAMonthDay;

impl MonthDay {
    pub(crate) fn of(date: Date) -> Self {
        Self { month: date.month(), day: date.day() }
    }
}

impl FromStr for MonthDay {
    type Err = NotAMonthDay;

    fn from_str(text: &str) -> Result<Self, NotAMonthDay> {
        // Any leap year: it has all days.
        let date = (text.len() == 5).then(|| format!("2024-{text}").parse::<Date>().ok()).flatten();
        date.map(Self::of).ok_or(NotAMonthDay)
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:02}", self.month, self.day)
    }
}

/// A day of the week; Monday is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DayOfWeek(i8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a day or days of the week, such as Mon or Mon-Fri")]
pub struct NotADayOfWeek;

impl DayOfWeek {
    const NAMES: [&str; 7] =
        ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

    fn of(date: Date) -> Self {
        Self(date.weekday().to_monday_zero_offset())
    }

    /// The days of `Mon`, `Monday` or `Mon-Fri`; a span may include the end of the week.
    pub fn span(text: &str) -> Result<Vec<Self>, NotADayOfWeek> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last): (Self, Self) = (first.trim().parse()?, last.trim().parse()?);
        let days = (last.0 - first.0).rem_euclid(7);
        Ok((0..=days).map(|day| Self((first.0 + day) % 7)).collect())
    }
}

impl FromStr for DayOfWeek {
    type Err = NotADayOfWeek;

    fn from_str(text: &str) -> Result<Self, NotADayOfWeek> {
        let is =
            |name: &&str| text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(&name[..3]);
        let offset = Self::NAMES.iter().position(is).ok_or(NotADayOfWeek)?;
        Ok(Self(offset as i8))
    }
}

impl fmt::Display for DayOfWeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::NAMES[self.0 as usize % 7][..3])
    }
}

/// As `"Mon Tue Wed"`.
mod weekdays {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::DayOfWeek;

    pub(super) fn serialize<S: Serializer>(
        days: &BTreeSet<DayOfWeek>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let names: Vec<String> = days.iter().map(DayOfWeek::to_string).collect();
        serializer.serialize_str(&names.join(" "))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<DayOfWeek>, D::Error> {
        let names = String::deserialize(deserializer)?;
        names.split(' ').map(str::parse).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}
