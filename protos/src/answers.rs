//! What reviewers fill in beside their decision, checked against the fields that ask for it. The page, the workflow
//! and whoever recomputes an outcome follow the same rules.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use jiff::civil::Date;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{
    Verdict,
    decimal::{self, Written},
    payload::{self, Encoding, Fields, Payload, PayloadError},
    text,
    v1::{Answer, Decision, Field},
};

/// By the names of fields.
pub type Answers = BTreeMap<String, String>;

/// Of a text.
pub const MAX_CHARS: usize = 2_000;
/// Of all answers of one decision, in UTF-8: a form carries them all, and a history several times.
pub const MAX_BYTES: usize = 16 * 1024;
/// Of a number, on either side of its point.
const MAX_DIGITS: usize = 15;

/// What an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Up to [`MAX_CHARS`], in lines.
    Text,
    /// An exact decimal.
    Number,
    /// One of the field's choices, as it is written there.
    Choice,
    /// `yes` or `no`.
    YesNo,
    /// A calendar date, such as `2026-11-30`.
    Date,
}

impl Kind {
    /// As they are listed for people.
    pub const ALL: [Kind; 5] = [Kind::Text, Kind::Number, Kind::Choice, Kind::YesNo, Kind::Date];

    /// As fields name it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Number => "number",
            Kind::Choice => "choice",
            Kind::YesNo => "yes_no",
            Kind::Date => "date",
        }
    }

    /// That of a field: a text unless it says otherwise; `None` if only a newer version knows it.
    pub fn of(field: &Field) -> Option<Self> {
        match field.r#type.as_str() {
            "" => Some(Kind::Text),
            name => Kind::ALL.into_iter().find(|kind| kind.name() == name),
        }
    }
}

impl Field {
    /// Whether a decision so counts only with an answer.
    pub fn is_required_for(&self, verdict: Verdict) -> bool {
        self.required_for.iter().any(|name| name == verdict.terms().name)
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The field's, or what was given as one.
    pub name: String,
    /// Why it is none.
    pub why: NotAnAnswer,
}

/// Why something is no answer, behind the name of its field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAnswer {
    /// The verdict needs one.
    #[error("is required to {0}")]
    Missing(&'static str),
    /// With its number of characters.
    #[error("has {} characters; at most {} fit", grouped(.0), grouped(&MAX_CHARS))]
    TooLong(usize),
    /// All of them together are too long.
    #[error("is too long: all answers together have at most {} bytes", grouped(&MAX_BYTES))]
    TooMuch,
    /// Not in the form of one.
    #[error("must be a number, such as 10 or 2.5")]
    NotANumber,
    /// A separator with three digits behind it may group thousands.
    #[error("could mean {thousands} or {decimals}: write one of them")]
    Ambiguous {
        /// The number if it does.
        thousands: String,
        /// The number if it is a point.
        decimals: String,
    },
    /// More than every program keeps.
    #[error("must have at most 15 digits before its point, and 15 behind it")]
    TooManyDigits,
    /// None of those there are.
    #[error("must be one of its choices")]
    NotAChoice,
    /// Neither.
    #[error("must be yes or no")]
    NotYesOrNo,
    /// Not a day of the calendar.
    #[error("must be a date, such as 2026-11-30")]
    NotADate,
    /// Its field cannot be checked.
    #[error("is of a type that only a newer version knows")]
    Unknown,
    /// No field has this name.
    #[error("is not asked for")]
    NotAsked,
}

fn grouped(number: &usize) -> String {
    text::money(&number.to_string(), "")
}

/// The answers that were given with a decision, in the order of the fields and in their canonical form. What is
/// empty is not given.
///
/// # Errors
/// Everything that is wrong, in the same order.
pub fn check(
    fields: &[Field],
    verdict: Verdict,
    given: &Answers,
) -> Result<Vec<Answer>, Vec<Wrong>> {
    let (mut answers, mut all_wrong) = (Vec::new(), Vec::new());
    for field in fields {
        let Field { name, label, .. } = field;
        match checked(field, verdict, given.get(name).map_or("", String::as_str)) {
            Ok(None) => {}
            Ok(Some(value)) => {
                answers.push(Answer { name: name.clone(), label: label.clone(), value });
            }
            Err(why) => all_wrong.push(Wrong { name: name.clone(), why }),
        }
    }
    let is_asked = |name: &String| fields.iter().any(|field| field.name == *name);
    let unasked = given.iter().filter(|(name, value)| !is_asked(name) && !value.trim().is_empty());
    all_wrong
        .extend(unasked.map(|(name, _)| Wrong { name: name.clone(), why: NotAnAnswer::NotAsked }));
    if answers.iter().map(|answer| answer.value.len()).sum::<usize>() > MAX_BYTES {
        let longest = answers.iter().max_by_key(|answer| answer.value.len());
        let too_much =
            |answer: &Answer| Wrong { name: answer.name.clone(), why: NotAnAnswer::TooMuch };
        all_wrong.extend(longest.map(too_much));
    }
    if all_wrong.is_empty() { Ok(answers) } else { Err(all_wrong) }
}

/// By the names of their fields.
pub fn by_name(answers: &[Answer]) -> Answers {
    answers.iter().map(|answer| (answer.name.clone(), answer.value.clone())).collect()
}

/// What a proof covers of answers: SHA-256 of their canonical JSON (RFC 8785), in hexadecimal; empty without any.
pub fn hash(answers: &Answers) -> String {
    // Strings by strings have a canonical form.
    match answers.is_empty() {
        true => String::new(),
        false => {
            let json = serde_json_canonicalizer::to_vec(answers).unwrap_or_default();
            HEXLOWER.encode(&Sha256::digest(json))
        }
    }
}

/// Whether these can have been made of what was given, whatever the fields are.
pub fn are_of(given: &Answers, counted: &[Answer]) -> bool {
    let number_of_given =
        given.values().filter(|value| !text::clean(value).trim().is_empty()).count();
    let is_of = |Answer { name, value, .. }: &Answer| {
        let given = given.get(name).map(|given| text::clean(given)).unwrap_or_default();
        let given = given.trim();
        given == value
            || number(given).is_ok_and(|it| it == *value)
            || yes_or_no(given) == Ok(value)
    };
    number_of_given == counted.len() && counted.iter().all(is_of)
}

/// An answer in its canonical form, if there is one.
fn checked(field: &Field, verdict: Verdict, given: &str) -> Result<Option<String>, NotAnAnswer> {
    let given = text::clean(given);
    let given = given.trim();
    if given.is_empty() {
        return match field.is_required_for(verdict) {
            true => Err(NotAnAnswer::Missing(verdict.terms().name)),
            false => Ok(None),
        };
    }
    let value = match Kind::of(field).ok_or(NotAnAnswer::Unknown)? {
        Kind::Text => match given.chars().count() {
            0..=MAX_CHARS => given.to_owned(),
            chars => return Err(NotAnAnswer::TooLong(chars)),
        },
        Kind::Number => number(given)?,
        Kind::Choice => {
            let chosen = field.choices.iter().find(|choice| *choice == given);
            chosen.ok_or(NotAnAnswer::NotAChoice)?.clone()
        }
        Kind::YesNo => yes_or_no(given)?.to_owned(),
        Kind::Date => match given.parse::<Date>() {
            Ok(date) if date.to_string() == given => given.to_owned(),
            _ => return Err(NotAnAnswer::NotADate),
        },
    };
    Ok(Some(value))
}

fn yes_or_no(given: &str) -> Result<&'static str, NotAnAnswer> {
    match given.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok("yes"),
        "no" | "false" => Ok("no"),
        _ => Err(NotAnAnswer::NotYesOrNo),
    }
}

/// A decimal without superfluous zeros, but for the fourth digit of one that could otherwise be read as thousands.
fn number(given: &str) -> Result<String, NotAnAnswer> {
    let Some(written) = Written::parse(given, '.') else {
        let comma = Written::parse(given, ',').filter(may_be_thousands);
        return Err(comma.map_or(NotAnAnswer::NotANumber, ambiguous));
    };
    match may_be_thousands(&written) {
        true => Err(ambiguous(written)),
        false => canonical(written),
    }
}

fn may_be_thousands(written: &Written<'_>) -> bool {
    written.has_three_decimals() && (1..=3).contains(&written.whole.len())
}

fn ambiguous(Written { sign, whole, fraction, .. }: Written<'_>) -> NotAnAnswer {
    let (thousands, decimals) =
        (format!("{sign}{whole}{fraction}"), format!("{sign}{whole}.{fraction}0"));
    NotAnAnswer::Ambiguous { thousands, decimals }
}

fn canonical(written: Written<'_>) -> Result<String, NotAnAnswer> {
    let Written { sign, whole, fraction, exponent } = written;
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_matches('0');
    if significant.is_empty() {
        return Ok("0".to_owned());
    }
    // The number is the significant digits, with the point behind so many of them.
    let zeros = (digits.len() - digits.trim_start_matches('0').len()) as i64;
    let point = (whole.len() as i64 - zeros).saturating_add(exponent.unwrap_or_default());
    let length = significant.len() as i64;
    if point > MAX_DIGITS as i64 || length.saturating_sub(point) > MAX_DIGITS as i64 {
        return Err(NotAnAnswer::TooManyDigits);
    }
    let padded = match point {
        ..=0 => format!("{}{significant}", "0".repeat(point.unsigned_abs() as usize)),
        _ => format!("{significant:0<width$}", width = point as usize),
    };
    let (whole, fraction) = padded.split_at(point.max(0) as usize);
    let padding = if fraction.len() == 3 && (1..=3).contains(&whole.len()) { "0" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(match fraction.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{fraction}{padding}"),
    })
}

/// Reads the payload of a signal that decides. In JSON, answers may be numbers and booleans too.
pub fn decision(payloads: &[Payload]) -> Result<Decision, PayloadError> {
    let payload = payload::single(payloads)?;
    if Encoding::of(&payload.metadata)? == Encoding::BinaryProtobuf {
        return payload::decode_binary(payload);
    }
    let wrong = |error| PayloadError::Data(format!("not the expected JSON: {error}"));
    let Fields(fields) = serde_json::from_slice(&payload.data).map_err(wrong)?;
    let (answers, others): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(name, _)| name == "answers");
    let decision: Decision = payload::from_fields(others).map_err(wrong)?;
    let answers = match &answers[..] {
        [] => Answers::new(),
        [(_, json)] if json.get() == "null" => Answers::new(),
        [(_, json)] => read(json)?,
        _ => return Err(PayloadError::Data("`answers` is given twice".to_owned())),
    };
    Ok(Decision { answers, ..decision })
}

fn read(json: &RawValue) -> Result<Answers, PayloadError> {
    let wrong = |what: &str| PayloadError::Data(format!("`answers` {what}"));
    let Fields(fields) =
        serde_json::from_str(json.get()).map_err(|_| wrong("must be an object"))?;
    let mut answers = Answers::new();
    for (name, json) in fields {
        let json = json.get();
        let value = match json.as_bytes().first() {
            Some(b'"') => serde_json::from_str(json)
                .map_err(|_| wrong("have a string that cannot be read"))?,
            Some(b't' | b'f') => json.to_owned(),
            Some(b'-' | b'0'..=b'9') => decimal::of_json(json),
            Some(b'n') => continue,
            _ => return Err(wrong("must be strings, numbers, true or false")),
        };
        if answers.insert(name, value).is_some() {
            return Err(wrong("have one that is given twice"));
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests;
