//! TOML with every value's place in the file: goes on after a mistake, and reports each.

use std::{cell::RefCell, fmt::Display, ops::Range, str::FromStr};

use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use jiff::civil::Date;

use super::{
    super::MonthDay,
    diagnostics::{Mistake, meant},
};
use crate::limits::MAX_NAME_BYTES;

const ONE_LINE: &str = "must be a text of one line, and not empty";

/// Where mistakes are reported.
pub(super) type Reports = RefCell<Vec<Mistake>>;

/// A table and its place: that of its header, or of its braces.
#[derive(Clone)]
pub(super) struct Table<'a> {
    pub(super) span: Range<usize>,
    table: &'a DeTable<'a>,
    reports: &'a Reports,
}

/// A value and its place.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) span: Range<usize>,
    value: &'a DeValue<'a>,
    reports: &'a Reports,
}

/// A text and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) span: Range<usize>,
    pub(super) text: String,
}

/// A day off.
pub(super) enum Holiday {
    Once(Date),
    Yearly(MonthDay),
}

impl<'a> Table<'a> {
    pub(super) fn new(root: &'a Spanned<DeTable<'a>>, reports: &'a Reports) -> Self {
        Self { span: 0..0, table: root.get_ref(), reports }
    }

    pub(super) fn report(&self, mistake: Mistake) {
        self.reports.borrow_mut().push(mistake);
    }

    /// How many mistakes were reported so far.
    pub(super) fn mistakes(&self) -> usize {
        self.reports.borrow().len()
    }

    /// Reports keys other than these.
    pub(super) fn only(&self, known: &[&str]) {
        for key in self.table.keys() {
            let name = key.get_ref();
            if known.contains(&name.as_ref()) {
                continue;
            }
            let help = match meant(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            self.report(Mistake::new(key.span(), format!("`{name}` is not known here")).help(help));
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        let value = self.table.get(key)?;
        Some(Value { span: value.span(), value: value.get_ref(), reports: self.reports })
    }

    /// The value, or a report that it is missing.
    pub(super) fn required(&self, key: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        // Misspelt is not missing, and reported already.
        let reported = |place| self.reports.borrow().iter().any(|known| known.span == place);
        let misspelt = || {
            let similar = |name: &str| meant(name, [key]).is_some();
            self.table.keys().any(|name| similar(name.get_ref()) && reported(name.span()))
        };
        if value.is_none() && !misspelt() {
            self.report(Mistake::new(self.span.clone(), format!("`{key}` is required")).missing());
        }
        value
    }

    pub(super) fn text(&self, key: &str) -> Option<Text> {
        self.get(key)?.text()
    }

    pub(super) fn texts(&self, key: &str) -> Vec<Text> {
        self.get(key).map(|value| value.texts()).unwrap_or_default()
    }

    pub(super) fn table(&self, key: &str) -> Option<Table<'a>> {
        self.get(key)?.table()
    }

    pub(super) fn tables(&self, key: &str) -> Vec<Table<'a>> {
        let Some(list) = self.get(key) else { return Vec::new() };
        list.list().iter().filter_map(Value::table).collect()
    }

    /// Every key with its value.
    pub(super) fn entries(&self) -> Vec<(Text, Value<'a>)> {
        let mut entries: Vec<_> = self
            .table
            .iter()
            .map(|(key, value)| {
                let text = Text { span: key.span(), text: key.get_ref().to_string() };
                let value =
                    Value { span: value.span(), value: value.get_ref(), reports: self.reports };
                (text, value)
            })
            .collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }
}

impl<'a> Value<'a> {
    pub(super) fn report(&self, mistake: Mistake) {
        self.reports.borrow_mut().push(mistake);
    }

    pub(super) fn wrong(&self, message: impl Into<String>) {
        self.report(Mistake::new(self.span.clone(), message));
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(format!("must be {what}, not {found}"));
        None
    }

    pub(super) fn text(&self) -> Option<Text> {
        match self.value {
            DeValue::String(text) => Some(Text { span: self.span.clone(), text: text.to_string() }),
            _ => self.expected("a text"),
        }
    }

    /// A name that Temporal takes.
    pub(super) fn name(&self) -> Option<String> {
        let name = self.text()?.text;
        let message = match () {
            () if name.trim().is_empty() || name.chars().any(char::is_control) => ONE_LINE.into(),
            () if name.trim() != name => "must not begin or end with a blank".to_owned(),
            () if name.len() > MAX_NAME_BYTES => {
                format!("must have at most {MAX_NAME_BYTES} bytes, as Temporal's names have")
            }
            () if name.starts_with("/_sys/") => {
                "must not begin with /_sys/, which Temporal keeps for itself".to_owned()
            }
            () => return Some(name),
        };
        self.report(Mistake::new(self.span.clone(), message));
        None
    }

    /// A number's own digits, whether it is written as a number or as a text. Of a number the parser
    /// has taken TOML's underscores, and TOML's plus goes here; a text stays as it is.
    pub(super) fn number(&self) -> Option<Text> {
        let unsigned = |number: &str| number.trim_start_matches('+').to_owned();
        let text = match self.value {
            DeValue::Integer(number) if number.radix() == 10 => unsigned(number.as_str()),
            DeValue::Float(number) => unsigned(number.as_str()),
            DeValue::String(text) => text.to_string(),
            _ => return self.expected("a number"),
        };
        Some(Text { span: self.span.clone(), text })
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.parse(self.text()?)
    }

    /// Parses this value's text.
    pub(super) fn parse<T: FromStr<Err: Display>>(&self, text: Text) -> Option<T> {
        text.text.parse().map_err(|error: T::Err| self.wrong(error.to_string())).ok()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// A date, as TOML has it or as a text.
    pub(super) fn date(&self) -> Option<Date> {
        let text = match self.value {
            DeValue::Datetime(date) => date.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => return self.expected("a date, such as 2026-12-24"),
        };
        let date = (text.len() == 10).then(|| text.parse().ok()).flatten();
        if date.is_none() {
            self.wrong("must be a date, such as 2026-12-24");
        }
        date
    }

    /// A day off: a date, or a day of every year.
    pub(super) fn holiday(&self) -> Option<Holiday> {
        match self.value {
            DeValue::String(text) if text.len() != 10 => self.parsed().map(Holiday::Yearly),
            _ => self.date().map(Holiday::Once),
        }
    }

    pub(super) fn list(&self) -> Vec<Value<'a>> {
        match self.value {
            DeValue::Array(values) => values
                .iter()
                .map(|value| Value {
                    span: value.span(),
                    value: value.get_ref(),
                    reports: self.reports,
                })
                .collect(),
            _ => self.expected("a list").unwrap_or_default(),
        }
    }

    /// One, or a list of them.
    pub(super) fn one_or_more(&self) -> Vec<Value<'a>> {
        match self.value {
            DeValue::Array(_) => self.list(),
            _ => vec![self.clone()],
        }
    }

    /// One text, or a list of at least one.
    pub(super) fn texts(&self) -> Vec<Text> {
        let texts: Vec<Text> = self.one_or_more().iter().filter_map(Value::text).collect();
        if matches!(self.value, DeValue::Array(values) if values.is_empty()) {
            self.wrong("must not be empty");
        }
        for text in &texts {
            if text.text.trim().is_empty() || text.text.chars().any(char::is_control) {
                self.report(Mistake::new(text.span.clone(), ONE_LINE));
            }
        }
        texts
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(table) => {
                Some(Table { span: self.span.clone(), table, reports: self.reports })
            }
            _ => self.expected("a table"),
        }
    }
}
