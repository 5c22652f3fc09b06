//! TOML with the place of every value in the file. Whatever has the wrong shape is reported, and reading
//! goes on.

use std::{cell::RefCell, fmt::Display, ops::Range, str::FromStr};

use ::toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use countersign_protos::{Json, MAX_NUMBER, text::did_you_mean};
use jiff::civil::Date;

use super::{
    diagnostics::Diagnostic,
    keys::{Form, Key},
    meant::alias,
};
use crate::{
    limits::MAX_NAME_BYTES,
    policy::{AsOf, MonthDay},
};

const ONE_LINE: &str = "must be a string of one line, and not empty";

/// Everything that was reported so far.
pub(super) type Reports = RefCell<Vec<Diagnostic>>;

/// A part of the file, its place, what is expected there, and where to report what is wrong with it.
#[derive(Clone)]
pub(super) struct Node<'a, T> {
    pub(super) span: Range<usize>,
    inner: &'a T,
    key: &'static Key,
    /// That of the whole file.
    file: &'static Key,
    reports: &'a Reports,
}

/// A table; its place is that of its header, or of its braces.
pub(super) type Table<'a> = Node<'a, DeTable<'a>>;

/// A value and its place.
pub(super) type Value<'a> = Node<'a, DeValue<'a>>;

/// A string and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) span: Range<usize>,
    pub(super) text: String,
}

pub(super) enum Holiday {
    Once(Date),
    Yearly(MonthDay),
}

impl<'a, T> Node<'a, T> {
    pub(super) fn report(&self, diagnostic: Diagnostic) {
        self.reports.borrow_mut().push(diagnostic);
    }

    /// How many errors were reported so far.
    pub(super) fn reported(&self) -> usize {
        self.reports.borrow().iter().filter(|report| report.is_error()).count()
    }

    /// Reports what is wrong with all of it.
    pub(super) fn wrong(&self, message: impl Into<String>) {
        self.wrong_at(self.span.clone(), message);
    }

    /// Reports what is wrong at a place.
    pub(super) fn wrong_at(&self, span: Range<usize>, message: impl Into<String>) {
        self.report(Diagnostic::new(span, message));
    }

    /// A string of it, parsed; or a report at its place.
    pub(super) fn parse<V: FromStr<Err: Display>>(&self, text: &Text) -> Option<V> {
        let wrong = |error: V::Err| self.wrong_at(text.span.clone(), error.to_string());
        text.text.parse().map_err(wrong).ok()
    }

    fn value(&self, value: &'a Spanned<DeValue<'a>>, key: &'static Key) -> Value<'a> {
        Node {
            span: value.span(),
            inner: value.get_ref(),
            key,
            file: self.file,
            reports: self.reports,
        }
    }
}

impl<'a> Table<'a> {
    /// A whole file.
    pub(super) fn new(
        root: &'a Spanned<DeTable<'a>>,
        key: &'static Key,
        reports: &'a Reports,
    ) -> Self {
        Self { span: 0..0, inner: root.get_ref(), key, file: key, reports }
    }

    /// Reports unknown keys.
    pub(super) fn only(&self) {
        for key in self.inner.keys().filter(|key| self.key.key(key.get_ref()).is_none()) {
            let message = format!("unknown key `{}`", key.get_ref());
            let help = self.instead_of(key.get_ref());
            self.report(Diagnostic::new(key.span(), message).help(help));
        }
    }

    /// What was probably meant by an unknown key.
    fn instead_of(&self, name: &str) -> String {
        let known = || self.key.keys().iter().map(|key| key.name);
        let meant = alias(name, |name| self.key.key(name).is_some());
        if let Some(meant) = meant.or_else(|| did_you_mean(name, known())) {
            return format!("did you mean `{meant}`?");
        }
        let places: Vec<String> = match self.places(name) {
            places if places.len() > 3 => Vec::new(),
            places => places.iter().map(|place| format!("`{place}`")).collect(),
        };
        match places.is_empty() {
            true => format!("known keys: {}", known().collect::<Vec<_>>().join(", ")),
            false => format!("it belongs in {}", places.join(" or ")),
        }
    }

    /// Where a key belongs: in this table, if it does anywhere in there.
    fn places(&self, name: &str) -> Vec<String> {
        let places = self.file.places(name);
        let inside = format!("{}.", self.key.name);
        let is_inside = |place: &&String| {
            let path = place.trim_start_matches('[');
            path.starts_with(&inside) || path.contains(&format!(".{inside}"))
        };
        match places.iter().filter(is_inside).cloned().collect::<Vec<_>>() {
            own if own.is_empty() => places,
            own => own,
        }
    }

    /// The value of a key that the table may have.
    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        let key = self.key.key(name);
        debug_assert!(key.is_some(), "{name} is no key of {}", self.key.name);
        let value = self.inner.get(name)?;
        Some(self.value(value, key?))
    }

    /// The value, or a report that it is missing.
    pub(super) fn required(&self, key: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        // A misspelt key is not missing, and was reported by `only`.
        let reported = |place| self.reports.borrow().iter().any(|known| known.span == place);
        let misspelt = || {
            let similar = |name: &str| did_you_mean(name, [key]).is_some();
            self.inner.keys().any(|name| similar(name.get_ref()) && reported(name.span()))
        };
        if value.is_none() && !misspelt() {
            let message = format!("`{key}` is required");
            self.report(Diagnostic::new(self.span.clone(), message).missing());
        }
        value
    }

    pub(super) fn text(&self, key: &str) -> Option<Text> {
        self.get(key)?.text()
    }

    pub(super) fn texts(&self, key: &str) -> Vec<Text> {
        self.get(key).map(|value| value.texts()).unwrap_or_default()
    }

    /// The key `name`, or a default.
    pub(super) fn name(&self, default: &str) -> String {
        let name = self.get("name").and_then(|name| name.line());
        name.map_or_else(|| default.to_owned(), |name| name.text.trim().to_owned())
    }

    /// Where a key's value is; the table's place if it has none.
    pub(super) fn place(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), |value| value.span)
    }

    pub(super) fn table(&self, key: &str) -> Option<Table<'a>> {
        self.get(key)?.table()
    }

    pub(super) fn tables(&self, key: &str) -> Vec<Table<'a>> {
        let Some(array) = self.get(key) else { return Vec::new() };
        array.array().iter().filter_map(Value::table).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Every name with its value, of a table with names of one's own.
    pub(super) fn entries(&self) -> Vec<(Text, Value<'a>)> {
        let Form::Names(of) = &self.key.form else { return Vec::new() };
        let entries = self.inner.iter().map(|(key, value)| {
            (Text { span: key.span(), text: key.get_ref().to_string() }, self.value(value, of))
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }
}

impl<'a> Value<'a> {
    fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.inner {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let diagnostic = Diagnostic::new(self.span.clone(), format!("must be {what}, not {found}"));
        self.report(diagnostic.help(format!("such as `{}`", self.key.example)));
        None
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.inner, DeValue::Table(_))
    }

    /// A string's or a number's own characters; empty for everything else.
    pub(super) fn written(&self) -> String {
        match self.inner {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            _ => String::new(),
        }
    }

    pub(super) fn text(&self) -> Option<Text> {
        match self.inner {
            DeValue::String(text) => Some(Text { span: self.span.clone(), text: text.to_string() }),
            _ => self.expected("a string"),
        }
    }

    /// A string of one line.
    pub(super) fn line(&self) -> Option<Text> {
        let text = self.text()?;
        self.check_line(&text);
        Some(text)
    }

    fn check_line(&self, text: &Text) {
        if text.text.trim().is_empty() || text.text.chars().any(char::is_control) {
            self.wrong_at(text.span.clone(), ONE_LINE);
        }
    }

    /// A name that Temporal accepts.
    pub(super) fn temporal_name(&self) -> Option<String> {
        let name = self.text()?.text;
        let message = match () {
            () if name.trim().is_empty() || name.chars().any(char::is_control) => ONE_LINE.into(),
            () if name.trim() != name => "must not start or end with a space".to_owned(),
            () if name.len() > MAX_NAME_BYTES => {
                format!("must be at most {MAX_NAME_BYTES} bytes long, Temporal's limit for names")
            }
            () if name.starts_with("/_sys/") => {
                "must not start with /_sys/, which Temporal reserves".to_owned()
            }
            () => return Some(name),
        };
        self.wrong(message);
        None
    }

    /// A number's own digits, whether it is written as a number or as a string. The parser has removed a
    /// number's underscores, and its plus is removed here; a string stays as it is.
    pub(super) fn number(&self) -> Option<Text> {
        let unsigned = |number: &str| number.trim_start_matches('+').to_owned();
        let text = match self.inner {
            DeValue::Integer(number) if number.radix() == 10 => unsigned(number.as_str()),
            DeValue::Float(number) => unsigned(number.as_str()),
            DeValue::String(text) => text.to_string(),
            _ => return self.expected("a number"),
        };
        Some(Text { span: self.span.clone(), text })
    }

    /// A number that a double holds.
    pub(super) fn double(&self) -> Option<f64> {
        let number = self.number()?.text.parse().ok();
        let number = number.filter(|number: &f64| number.abs() <= MAX_NUMBER);
        if number.is_none() {
            self.wrong("must be a number between -(2^53-1) and 2^53-1");
        }
        number
    }

    /// A string, a number, or true or false.
    pub(super) fn scalar(&self) -> Option<Json> {
        let value = match self.inner {
            DeValue::String(text) => serde_json::Value::from(text.as_ref()),
            DeValue::Boolean(value) => (*value).into(),
            DeValue::Integer(_) | DeValue::Float(_) => self.double()?.into(),
            _ => return self.expected("a string, a number, or true or false"),
        };
        Some(Json::from(&value))
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.parse(&self.text()?)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.inner {
            DeValue::Boolean(value) => Some(*value),
            _ => self.expected("true or false"),
        }
    }

    /// A date, as TOML's own type or as a string.
    pub(super) fn date(&self) -> Option<Date> {
        let text = match self.inner {
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

    /// A date or a time, as TOML's own type or as a string.
    pub(super) fn moment(&self) -> Option<AsOf> {
        let text = match self.inner {
            DeValue::Datetime(time) => time.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => return self.expected("a date or time"),
        };
        self.parse(&Text { span: self.span.clone(), text })
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> String {
        json(self.inner)
    }

    /// A day off: a date, or a day of every year.
    pub(super) fn holiday(&self) -> Option<Holiday> {
        match self.inner {
            DeValue::String(text) if text.len() != 10 => self.parsed().map(Holiday::Yearly),
            _ => self.date().map(Holiday::Once),
        }
    }

    pub(super) fn array(&self) -> Vec<Value<'a>> {
        match self.inner {
            DeValue::Array(values) => {
                values.iter().map(|value| self.value(value, self.key)).collect()
            }
            _ => self.expected("an array").unwrap_or_default(),
        }
    }

    /// One value, or an array of them.
    pub(super) fn one_or_more(&self) -> Vec<Value<'a>> {
        match self.inner {
            DeValue::Array(_) => self.array(),
            _ => vec![self.clone()],
        }
    }

    /// One string, or an array of at least one.
    pub(super) fn texts(&self) -> Vec<Text> {
        let texts: Vec<Text> = self.one_or_more().iter().filter_map(Value::text).collect();
        if matches!(self.inner, DeValue::Array(values) if values.is_empty()) {
            self.wrong("must not be empty");
        }
        texts.iter().for_each(|text| self.check_line(text));
        texts
    }

    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.inner {
            DeValue::Table(table) => {
                let Node { span, key, file, reports, .. } = self.clone();
                Some(Node { span, inner: table, key, file, reports })
            }
            _ => self.expected("a table"),
        }
    }
}

/// A value as JSON. A number keeps its digits, as a string if JSON has no such number.
pub(super) fn json(value: &DeValue<'_>) -> String {
    let string = |text: &str| serde_json::Value::from(text).to_string();
    let number = |text: &str| {
        let unsigned = text.trim_start_matches('+');
        let is_json = serde_json::from_str::<serde_json::Number>(unsigned).is_ok();
        if is_json { unsigned.to_owned() } else { string(text) }
    };
    match value {
        DeValue::String(text) => string(text),
        DeValue::Integer(digits) => number(digits.as_str()),
        DeValue::Float(digits) => number(digits.as_str()),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => string(&time.to_string()),
        DeValue::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| json(value.get_ref())).collect();
            format!("[{}]", values.join(","))
        }
        DeValue::Table(table) => {
            let member = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                format!("{}:{}", string(key), json(value.get_ref()))
            };
            format!("{{{}}}", table.iter().map(member).collect::<Vec<_>>().join(","))
        }
    }
}
