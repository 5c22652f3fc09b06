//! Holidays from an iCalendar file (RFC 5545), read as it was meant where files in use differ from the letter.

mod event;
mod lines;
mod moment;
mod rule;
mod series;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    str::Utf8Error,
};

use jiff::{civil::Date, tz::TimeZone};

pub(super) use self::words::Words;
use self::{
    event::Event,
    lines::{Line, lines},
    series::Series,
};

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holidays {
    /// Its days off. Series without end are read until [`rule::LAST_YEAR`].
    pub(super) dates: BTreeSet<Date>,
    /// What [`Words`] are looked for in, of every event.
    pub(super) texts: Vec<String>,
}

/// Something that cannot be read, in which line, counted from 1, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) help: String,
}

impl Wrong {
    fn new(line: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line, message: message.into(), help: help.into() }
    }
}

/// Reads the all-day events of a file that have the right words. Events shorter than a day are ignored; what
/// cannot be read is refused, since a holiday that is missing would be noticed too late.
///
/// Times in UTC are those of `zone`, unless they are midnight.
///
/// # Errors
/// Everything that is wrong, from top to bottom.
pub(super) fn read(bytes: &[u8], zone: &TimeZone, words: &Words) -> Result<Holidays, Vec<Wrong>> {
    let text = std::str::from_utf8(bytes).map_err(|error| vec![not_utf8(bytes, error)])?;
    let calendars = calendars(text).map_err(|wrong| vec![wrong])?;
    let mut holidays = Holidays::default();
    let mut wrong = Vec::new();
    for series in calendars.iter().flat_map(|events| series(events)) {
        holidays.texts.extend(series.texts());
        for days in series.days(zone, words) {
            match days {
                Ok(days) => holidays.dates.extend(days),
                Err(why) => wrong.push(why),
            }
        }
    }
    wrong.sort_by_key(|wrong| wrong.line);
    if wrong.is_empty() { Ok(holidays) } else { Err(wrong) }
}

/// The events of each calendar of a file.
fn calendars(text: &str) -> Result<Vec<Vec<Event>>, Wrong> {
    let mut calendars: Vec<Vec<Event>> = Vec::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    for line in lines(text) {
        let value = line.value.to_ascii_uppercase();
        match line.name.as_str() {
            "BEGIN" if open.is_empty() && value == "VCALENDAR" => {
                calendars.push(Vec::new());
                open.push((line.number, value));
            }
            _ if open.is_empty() => return Err(no_calendar(line.number)),
            "BEGIN" => {
                if let (1, "VEVENT", Some(events)) = (open.len(), &*value, calendars.last_mut()) {
                    events.push(Event::new(line.number));
                }
                open.push((line.number, value));
            }
            "END" => match open.pop() {
                Some((_, begun)) if begun == value => {}
                begun => return Err(misplaced_end(&line, begun)),
            },
            "CALSCALE" if value != "GREGORIAN" => {
                let message = format!("CALSCALE:{value} is not supported");
                return Err(Wrong::new(
                    line.number,
                    message,
                    "use a calendar with Gregorian dates",
                ));
            }
            _ if open.len() == 2 && open[1].1 == "VEVENT" => {
                if let Some(event) = calendars.last_mut().and_then(|events| events.last_mut()) {
                    event.push(line);
                }
            }
            _ => {}
        }
    }
    match open.last() {
        Some((line, name)) => {
            let message = format!("{name} has no end");
            Err(Wrong::new(*line, message, "take care that the file is complete"))
        }
        None if calendars.is_empty() => Err(no_calendar(1)),
        None => Ok(calendars),
    }
}

fn not_utf8(bytes: &[u8], error: Utf8Error) -> Wrong {
    let before = bytes.iter().take(error.valid_up_to());
    let line = before.filter(|byte| **byte == b'\n').count() + 1;
    Wrong::new(line, "is not in UTF-8", "save it in this encoding")
}

fn no_calendar(line: usize) -> Wrong {
    Wrong::new(line, "is not an iCalendar file", "it has to begin with BEGIN:VCALENDAR")
}

fn misplaced_end(line: &Line, begun: Option<(usize, String)>) -> Wrong {
    let (at, name) = begun.unwrap_or_default();
    let message = format!("END:{} comes before the end of {name}, begun in line {at}", line.value);
    Wrong::new(line.number, message, "take care that the file is complete")
}

/// Events with the same UID belong together; one without a UID is alone.
fn series(events: &[Event]) -> Vec<Series<'_>> {
    let mut series: BTreeMap<(Option<&str>, usize), Series<'_>> = BTreeMap::new();
    for event in events {
        let uid = event.get("UID").map(|uid| uid.value.as_str());
        let place = if uid.is_some() { 0 } else { event.line };
        series.entry((uid, place)).or_default().push(event);
    }
    series.into_values().collect()
}

#[cfg(test)]
pub(super) mod tests;
