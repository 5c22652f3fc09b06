//! The working calendar of a rules file.

use std::{collections::BTreeSet, io};

use countersign_protos::text::did_you_mean;
use jiff::tz::TimeZone;

use super::{
    diagnostics::Diagnostic,
    ical,
    toml::{Holiday, Table, Text},
};
use crate::policy::{Calendar, DayOfWeek, Hours};

/// Reads `[calendar]`; `read_file` reads the iCalendar files that it names.
pub(super) fn read(root: &Table<'_>, read_file: &dyn Fn(&str) -> io::Result<String>) -> Calendar {
    let mut calendar = Calendar::default();
    let Some(table) = root.table("calendar") else { return calendar };
    table.only();
    if let Some(zone) = table.required("time_zone").and_then(|value| value.text()) {
        match TimeZone::get(&zone.text) {
            Ok(known) if known.iana_name().is_some() => calendar.time_zone = known,
            _ => table.report(no_time_zone(&zone)),
        }
    }
    if table.get("working_days").is_some() {
        calendar.working_days = working_days(&table);
    }
    if table.get("working_hours").is_some() {
        calendar.working_hours = working_hours(&table);
    }
    for value in table.get("holidays").map(|value| value.array()).unwrap_or_default() {
        match value.holiday() {
            Some(Holiday::Once(date)) => _ = calendar.holidays.insert(date),
            Some(Holiday::Yearly(day)) => _ = calendar.yearly_holidays.insert(day),
            None => {}
        }
    }
    for file in table.texts("holidays_file") {
        let read = read_file(&file.text).map_err(|error| vec![format!("cannot be read: {error}")]);
        match read.and_then(|text| ical::read(&text)) {
            Ok(holidays) => {
                calendar.holidays.extend(holidays.dates);
                calendar.yearly_holidays.extend(holidays.yearly);
            }
            Err(wrong) => wrong.into_iter().for_each(|why| {
                table.wrong_at(file.span.clone(), format!("{}: {why}", file.text));
            }),
        }
    }
    calendar
}

fn no_time_zone(zone: &Text) -> Diagnostic {
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let help = match did_you_mean(&zone.text, known.iter().map(String::as_str)) {
        Some(name) => format!("did you mean {name:?}?"),
        None => "use a name of the IANA database, such as Europe/Berlin".into(),
    };
    let message = format!("unknown time zone {:?}", zone.text);
    Diagnostic::new(zone.span.clone(), message).help(help)
}

fn working_days(table: &Table<'_>) -> BTreeSet<DayOfWeek> {
    let mut days = BTreeSet::new();
    for text in table.texts("working_days") {
        match DayOfWeek::span(text.text.trim()) {
            Ok(span) => days.extend(span),
            Err(error) => table.report(Diagnostic::new(text.span, error.to_string())),
        }
    }
    days
}

fn working_hours(table: &Table<'_>) -> Vec<Hours> {
    let mut hours: Vec<Hours> = Vec::new();
    for text in table.texts("working_hours") {
        let Some(next) = table.parse::<Hours>(&text) else { continue };
        if hours.last().is_some_and(|last| next.from < last.to) {
            table.wrong_at(text.span, "must start after the previous hours end");
        } else {
            hours.push(next);
        }
    }
    hours
}
