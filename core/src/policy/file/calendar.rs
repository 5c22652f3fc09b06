//! The working calendar of a rules file.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use countersign_protos::text::did_you_mean;
use jiff::{civil::Date, tz::TimeZone};

use super::{
    diagnostics::Diagnostic,
    ical::{self, Holidays, Words, Wrong},
    toml::{Holiday, Table, Text, Value},
};
use crate::policy::{Calendar, DayOfWeek, Hours};

/// Reads a file that the rules name.
pub(super) type ReadFile<'a> = dyn Fn(&str) -> io::Result<Vec<u8>> + 'a;

/// Reads `[calendar]`; `read_file` reads the iCalendar files that it names.
pub(super) fn read(root: &Table<'_>, read_file: &ReadFile<'_>) -> Calendar {
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
    if let Some(value) = table.get("working_hours") {
        calendar.working_hours = working_hours(&value);
    }
    calendar.hours_on = hours_on(&table);
    for value in table.get("holidays").map(|value| value.array()).unwrap_or_default() {
        match value.holiday() {
            Some(Holiday::Once(date)) => _ = calendar.holidays.insert(date),
            Some(Holiday::Yearly(day)) => _ = calendar.yearly_holidays.insert(day),
            None => {}
        }
    }
    let listed = calendar.holidays.clone();
    read_holidays(&table, &mut calendar, read_file);
    extra_working_days(&table, &mut calendar, &listed);
    calendar
}

/// Adds the holidays of `holidays_file` to a calendar that has its time zone.
fn read_holidays(table: &Table<'_>, calendar: &mut Calendar, read_file: &ReadFile<'_>) {
    let files = table.texts("holidays_file");
    let filters = ["holidays_with", "holidays_without"].map(|key| (key, table.texts(key)));
    let [with, without] = filters.each_ref().map(|(_, words)| words.iter().map(|word| &*word.text));
    let words = Words::new(with, without);
    let mut texts = Vec::new();
    for file in &files {
        let Some(bytes) = read_bytes(table, file, read_file) else { continue };
        let Some(holidays) = read_calendar(table, file, &bytes, &calendar.time_zone, &words) else {
            continue;
        };
        if holidays.dates.is_empty() {
            let message = format!("{} has no holidays", file.text);
            let help = "only events of whole days count, of those that holidays_with and \
                        holidays_without leave";
            table.report(Diagnostic::warning(file.span.clone(), message).help(help));
        }
        calendar.holidays.extend(holidays.dates);
        texts.extend(holidays.texts);
    }
    for (key, words) in &filters {
        if let (Some(value), true) = (table.get(key), files.is_empty()) {
            value
                .wrong(format!("remove `{key}`: it chooses among the events of a `holidays_file`"));
        }
        let unknown = words.iter().filter(|word| {
            !texts.is_empty() && !texts.iter().any(|text| Words::occur(&word.text, text))
        });
        for word in unknown {
            let message = format!("no event has the words {:?}", word.text);
            table.report(Diagnostic::warning(word.span.clone(), message));
        }
    }
}

fn read_bytes(table: &Table<'_>, file: &Text, read_file: &ReadFile<'_>) -> Option<Vec<u8>> {
    let report = |error: io::Error| {
        table.wrong_at(file.span.clone(), format!("{}: cannot be read: {error}", file.text));
    };
    read_file(&file.text).map_err(report).ok()
}

/// What a calendar file says; `None` if something was reported.
fn read_calendar(
    table: &Table<'_>,
    file: &Text,
    bytes: &[u8],
    zone: &TimeZone,
    words: &Words,
) -> Option<Holidays> {
    let report = |wrong: Wrong| {
        let message = format!("{}:{}: {}", file.text, wrong.line, wrong.message);
        table.report(Diagnostic::new(file.span.clone(), message).help(wrong.help));
    };
    ical::read(bytes, zone, words).map_err(|wrong| wrong.into_iter().for_each(report)).ok()
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

fn working_hours(value: &Value<'_>) -> Vec<Hours> {
    if value.is_table() {
        let help =
            "for the hours of single days, add `working_hours_on = { Fri = \"09:00-14:00\" }`";
        value
            .report(Diagnostic::new(value.span.clone(), "must be a string or an array").help(help));
        return Vec::new();
    }
    let mut hours: Vec<Hours> = Vec::new();
    for text in value.texts() {
        let Some(next) = value.parse::<Hours>(&text) else { continue };
        if hours.last().is_some_and(|last| next.from < last.to) {
            value.wrong_at(text.span, "must start after the previous hours end");
        } else {
            hours.push(next);
        }
    }
    hours
}

fn hours_on(table: &Table<'_>) -> BTreeMap<DayOfWeek, Vec<Hours>> {
    let mut hours_on = BTreeMap::new();
    let Some(table) = table.table("working_hours_on") else { return hours_on };
    for (days, value) in table.entries() {
        let hours = working_hours(&value);
        let span = DayOfWeek::span(days.text.trim());
        let span = span.map_err(|error| table.wrong_at(days.span.clone(), error.to_string()));
        for day in span.unwrap_or_default() {
            if hours_on.insert(day, hours.clone()).is_some() {
                table.wrong_at(days.span.clone(), format!("{day} already has hours"));
            }
        }
    }
    hours_on
}

/// Adds the extra working days to a calendar that has its holidays, some of which the rules list.
fn extra_working_days(table: &Table<'_>, calendar: &mut Calendar, listed: &BTreeSet<Date>) {
    let days = table.get("extra_working_days").map(|value| value.array()).unwrap_or_default();
    for value in days {
        let Some(date) = value.date() else { continue };
        if listed.contains(&date) {
            value.wrong(format!("{date} is in `holidays`, too"));
        } else if calendar.is_working_day(date) {
            let message = format!("{date} is a working day anyway");
            value.report(Diagnostic::warning(value.span.clone(), message));
        }
        calendar.extra_working_days.insert(date);
    }
}

#[cfg(test)]
mod tests;
