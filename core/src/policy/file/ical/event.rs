//! Events of a calendar, and the days that they take.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Span, SpanRelativeTo, civil::Date, tz::TimeZone};

use super::{
    Wrong,
    lines::Line,
    moment::{Clock, Moment},
    rule,
};
use crate::policy::rules::folded;

/// The longest event that is taken for a holiday, in days.
const MAX_DAYS: i32 = 100;
const ONE_BY_ONE: &str = "list such holidays one by one";

/// A VEVENT.
#[derive(Debug)]
pub(super) struct Event {
    /// Where it begins.
    pub(super) line: usize,
    properties: Vec<Line>,
}

/// The all-day part of an event: its first day, how many there are, and how its times are read.
pub(super) struct Days {
    /// The line that says how long it is.
    line: usize,
    first: Date,
    length: i32,
    clock: Clock,
}

impl Days {
    /// The days of an instance that starts on another day.
    fn starting(&self, first: Date) -> impl Iterator<Item = Date> {
        first.series(Span::new().days(1)).take(self.length as usize)
    }
}

impl Event {
    pub(super) fn new(line: usize) -> Self {
        Self { line, properties: Vec::new() }
    }

    pub(super) fn push(&mut self, line: Line) {
        self.properties.push(line);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Line> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &Line> {
        self.properties.iter().filter(move |line| line.is_property && line.name == name)
    }

    /// What its words are looked for in, folded.
    pub(super) fn text(&self) -> String {
        let fields =
            ["SUMMARY", "DESCRIPTION", "CATEGORIES"].iter().flat_map(|name| self.all(name));
        folded(&fields.map(Line::text).collect::<Vec<_>>().join("\n"))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.get("STATUS").is_some_and(|status| status.value.eq_ignore_ascii_case("CANCELLED"))
    }

    pub(super) fn sequence(&self) -> i64 {
        self.get("SEQUENCE").and_then(|line| line.value.parse().ok()).unwrap_or_default()
    }

    fn wrong(&self, line: usize, why: impl std::fmt::Display, help: impl Into<String>) -> Wrong {
        let name = self.get("SUMMARY").map_or("without a SUMMARY".to_owned(), Line::text);
        Wrong::new(line, format!("event {name:?}: {why}"), help)
    }

    fn moment(&self, line: &Line, value: &str) -> Result<Moment, Wrong> {
        let wrong = || {
            let why = format!("{} {value} is not a date", line.name);
            self.wrong(line.number, why, "write a day as 20261224")
        };
        Moment::parse(value).ok_or_else(wrong)
    }

    fn start(&self) -> Result<(&Line, Moment), Wrong> {
        let missing = || self.wrong(self.line, "has no DTSTART", "add the first day");
        let line = self.get("DTSTART").ok_or_else(missing)?;
        Ok((line, self.moment(line, &line.value)?))
    }

    /// How its times are read; as they are written if it has no start.
    pub(super) fn clock(&self, zone: &TimeZone) -> Clock {
        let clock = |(line, start): (&Line, _)| Clock::of(start, line.parameter("TZID"), zone);
        self.start().map_or_else(|_| Clock::as_written(), clock)
    }

    /// Its days, if it takes whole ones.
    pub(super) fn days(&self, zone: &TimeZone) -> Result<Option<Days>, Wrong> {
        let (line, start) = self.start()?;
        let clock = Clock::of(start, line.parameter("TZID"), zone);
        let start = clock.read(start);
        if !start.starts_day() {
            return Ok(None);
        }
        let (line, end) =
            self.end(start, &clock)?.map_or((line, None), |(line, end)| (line, Some(end)));
        if !start.is_date() && end.is_some_and(|end| !end.ends_day()) {
            return Ok(None);
        }
        let after = match end {
            Some(end) => end.day_after(),
            None if start.is_date() => start.date.tomorrow().ok(),
            None => Some(start.date),
        };
        let length = after.and_then(|after| start.date.until(after).ok());
        let length = match length.map_or(i32::MAX, |length| length.get_days()) {
            // Against the standard, and widely used.
            0 if start.is_date() => 1,
            length => length,
        };
        Ok(Some(Days { line: line.number, first: start.date, length, clock }))
    }

    /// Refuses what is no holiday, or one that is written wrong.
    fn check_length(&self, days: &Days) -> Result<(), Wrong> {
        let (why, help) = match days.length {
            1..=MAX_DAYS => return Ok(()),
            0 => (
                "lasts no time, from midnight on".to_owned(),
                format!(
                    "for a day off, write DTSTART;VALUE=DATE:{}",
                    days.first.strftime("%Y%m%d")
                ),
            ),
            ..0 => (
                "ends before it begins".to_owned(),
                "DTEND is the day after the last one".to_owned(),
            ),
            _ => (
                format!("lasts more than {MAX_DAYS} days"),
                "split it, or leave it out with `holidays_without`".to_owned(),
            ),
        };
        Err(self.wrong(days.line, why, help))
    }

    /// When it ends, if it says so.
    fn end(&self, start: Moment, clock: &Clock) -> Result<Option<(&Line, Moment)>, Wrong> {
        if let Some(line) = self.get("DTEND") {
            let end = self.moment(line, &line.value)?;
            return Ok(Some((line, clock.read(end))));
        }
        let Some(line) = self.get("DURATION") else { return Ok(None) };
        let span = line.value.parse::<Span>().ok();
        let duration: Option<SignedDuration> =
            span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let duration = duration.filter(|it| !start.is_date() || it.as_secs() % (24 * 60 * 60) == 0);
        let wrong = || {
            let what = if start.is_date() { "a number of days" } else { "a duration" };
            let why = format!("DURATION {} is not {what}", line.value);
            self.wrong(line.number, why, "write one day as P1D")
        };
        let end = duration.and_then(|duration| start.after(duration)).ok_or_else(wrong)?;
        Ok(Some((line, end)))
    }

    /// The days of an instance that was moved.
    pub(super) fn own_days(&self, zone: &TimeZone) -> Result<BTreeSet<Date>, Wrong> {
        let Some(days) = self.days(zone)? else { return Ok(BTreeSet::new()) };
        self.check_lines()?;
        self.check_length(&days)?;
        Ok(days.starting(days.first).collect())
    }

    /// The days of its instances, other than those that are moved.
    pub(super) fn all_days(
        &self,
        zone: &TimeZone,
        moved: &BTreeSet<Date>,
    ) -> Result<BTreeSet<Date>, Wrong> {
        let Some(days) = self.days(zone)? else { return Ok(BTreeSet::new()) };
        self.check_lines()?;
        let starts = self.starts(&days, moved)?;
        if !starts.is_empty() {
            self.check_length(&days)?;
        }
        Ok(starts.into_iter().flat_map(|start| days.starting(start)).collect())
    }

    /// The first days of its instances, other than those that are moved.
    fn starts(&self, days: &Days, moved: &BTreeSet<Date>) -> Result<BTreeSet<Date>, Wrong> {
        if let Some(line) = self.get("EXRULE") {
            let help = "list the days that are left out in EXDATE";
            return Err(self.wrong(line.number, "EXRULE is not supported", help));
        }
        let rules: Vec<&Line> = self.all("RRULE").filter(|rule| !rule.value.is_empty()).collect();
        let mut starts = BTreeSet::new();
        let mut has_begun = rules.is_empty();
        for line in rules {
            let rule = rule::days(&line.value, days.first, &days.clock);
            let wrong = |why| {
                let why = format!("RRULE {}: {why}", line.value);
                self.wrong(line.number, why, ONE_BY_ONE)
            };
            if let Some(dates) = rule.map_err(wrong)? {
                starts.extend(dates);
                has_begun = true;
            }
        }
        // It is the first instance, also if the rule would leave it out.
        starts.extend(has_begun.then_some(days.first));
        starts.extend(self.dates("RDATE", &days.clock)?);
        let left_out = self.dates("EXDATE", &days.clock)?;
        starts.retain(|date| !left_out.contains(date) && !moved.contains(date));
        Ok(starts)
    }

    /// The days of RDATE or EXDATE, of all such lines.
    pub(super) fn dates(&self, name: &str, clock: &Clock) -> Result<BTreeSet<Date>, Wrong> {
        let mut dates = BTreeSet::new();
        for line in self.all(name) {
            for value in line.value.split(',').filter(|value| !value.trim().is_empty()) {
                if value.contains('/') {
                    let why = format!("{name} with a period is not supported");
                    return Err(self.wrong(line.number, why, "write the first days alone"));
                }
                dates.insert(clock.read(self.moment(line, value)?).date);
            }
        }
        Ok(dates)
    }

    /// Which instance of its series it replaces.
    pub(super) fn replaces(&self, clock: &Clock) -> Result<Option<Date>, Wrong> {
        let Some(line) = self.get("RECURRENCE-ID") else { return Ok(None) };
        if line.parameter("RANGE").is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE"))
        {
            let help = "end the series with UNTIL, and begin another one";
            let why = "RECURRENCE-ID with RANGE=THISANDFUTURE is not supported";
            return Err(self.wrong(line.number, why, help));
        }
        Ok(Some(clock.read(self.moment(line, &line.value)?).date))
    }

    /// Refuses what may have been one of its properties.
    fn check_lines(&self) -> Result<(), Wrong> {
        let Some(line) = self.properties.iter().find(|line| !line.is_property) else {
            return Ok(());
        };
        let help = "begin it with a space if it goes on with the line before";
        Err(self.wrong(line.number, "this line has no name and colon", help))
    }
}
