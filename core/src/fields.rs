//! What reviewers are asked to fill in: the definitions, whoever makes them. Answers are checked in
//! [`countersign_protos::answers`], by the same rules as on the page.

use std::collections::BTreeSet;

use countersign_protos::{
    Verdict,
    answers::{self, Kind},
    submission::problem,
    text,
    v1::{Field, Problem},
};

/// Of a rule and a submission together.
pub const MAX_FIELDS: usize = 20;
const MAX_NAME_CHARS: usize = 64;
const MAX_LABEL_CHARS: usize = 200;
const MAX_CHOICES: usize = 50;
const MAX_CHOICE_CHARS: usize = 100;
/// Of the answers of everybody: `status` has them all, beside as many comments, in a mebibyte.
const MAX_ANSWER_BYTES: usize = 320 * 1024;
/// What an answer takes in JSON beside its name, its label and its value.
const FRAME_BYTES: usize = 40;

/// A part of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Name,
    Label,
    Type,
    Choices,
    /// One of them, from 0.
    Choice(usize),
    /// One of the verdicts, from 0.
    RequiredFor(usize),
}

/// What is wrong with a definition by itself, in the order of its parts.
pub fn wrong(field: &Field) -> Vec<(Part, String)> {
    let Field { name, label, r#type, choices, required_for, .. } = field;
    let mut wrong = Vec::new();
    let mut report = |part, message: String| {
        if !message.is_empty() {
            wrong.push((part, message));
        }
    };
    report(Part::Name, wrong_name(name));
    report(Part::Label, wrong_line(label, MAX_LABEL_CHARS));
    let kind = Kind::of(field);
    if kind.is_none() {
        let kinds = Kind::ALL.map(|kind| format!("{:?}", kind.name()));
        let meant = text::did_you_mean(r#type, Kind::ALL.map(Kind::name));
        let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        report(Part::Type, format!("must be one of {}{meant}", kinds.join(", ")));
    }
    match (kind, choices.len()) {
        (Some(Kind::Choice), 0) => report(Part::Choices, "is required: what can be chosen".into()),
        (Some(Kind::Choice), 1..=MAX_CHOICES) | (_, 0) | (None, _) => {}
        (Some(Kind::Choice), _) => {
            report(Part::Choices, format!("has more than {MAX_CHOICES} elements"));
        }
        (Some(_), _) => report(Part::Choices, "must be left out: only a choice has them".into()),
    }
    for (i, choice) in choices.iter().enumerate().take(MAX_CHOICES) {
        let message = wrong_line(choice, MAX_CHOICE_CHARS);
        let is_twice = message.is_empty() && choices[..i].contains(choice);
        report(Part::Choice(i), if is_twice { "is here twice".to_owned() } else { message });
    }
    for (i, name) in required_for.iter().enumerate() {
        report(Part::RequiredFor(i), wrong_verdict(name, &required_for[..i]));
    }
    wrong
}

/// What is wrong with a name; empty if nothing is. It becomes part of a form, and of what programs write.
fn wrong_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match name.chars().count() {
        0 => "is required".to_owned(),
        1..=MAX_NAME_CHARS if name.chars().all(is_plain) => String::new(),
        1..=MAX_NAME_CHARS => {
            "must have letters of ASCII, digits, \"_\" and \"-\" alone".to_owned()
        }
        chars => format!("has {chars} characters; at most {MAX_NAME_CHARS} are accepted"),
    }
}

/// What is wrong with what people read on one line.
fn wrong_line(line: &str, most: usize) -> String {
    match line.chars().count() {
        _ if line.trim().is_empty() => "is required".to_owned(),
        _ if line.chars().any(char::is_control) => {
            "must not contain line breaks or other control characters".to_owned()
        }
        _ if text::clean_line(line).is_empty() => "has only invisible characters".to_owned(),
        // Otherwise what is shown could not be chosen.
        _ if text::clean(line).trim() != line => {
            "must not contain invisible characters that reorder or hide others".to_owned()
        }
        chars if chars > most => format!("has {chars} characters; at most {most} are accepted"),
        _ => String::new(),
    }
}

fn wrong_verdict(name: &str, before: &[String]) -> String {
    match Verdict::from_name(name) {
        Some(Verdict::Approve | Verdict::Reject) if before.iter().any(|other| other == name) => {
            "is here twice".to_owned()
        }
        Some(Verdict::Approve | Verdict::Reject) => String::new(),
        Some(Verdict::RequestChanges) | None => "must be \"approve\" or \"reject\"".to_owned(),
    }
}

/// Those of a rule, marked as such, and a submission's own ones behind them.
///
/// # Errors
/// The problems of the submission with them.
pub fn together(rule: &str, of_rule: &[Field], own: &[Field]) -> Result<Vec<Field>, Vec<Problem>> {
    let known: BTreeSet<&str> = of_rule.iter().map(|field| field.name.as_str()).collect();
    let mut problems = Vec::new();
    for (i, _) in own.iter().enumerate().filter(|(_, field)| known.contains(&*field.name)) {
        let message = format!("is a field of the rule {rule:?} already");
        problems.push(problem(format!("$.fields[{i}].name"), message));
    }
    let number = of_rule.len() + own.len();
    if number > MAX_FIELDS {
        let message = format!(
            "has {} elements, and the rule {rule:?} has {}; at most {MAX_FIELDS} fit together",
            own.len(),
            of_rule.len()
        );
        problems.push(problem("$.fields", message));
    }
    let marked = of_rule.iter().map(|field| Field { from_rule: true, ..field.clone() });
    let all = marked.chain(own.iter().cloned()).collect();
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// Why the answers of so many people may be too much for one approval.
pub fn too_much(fields: &[Field], people: usize) -> Option<String> {
    let bytes = most_bytes(fields);
    (bytes * people > MAX_ANSWER_BYTES).then(|| {
        format!(
            "may have answers of {bytes} bytes from each of {people} people; at most \
             {MAX_ANSWER_BYTES} bytes fit. Ask fewer people, or for fewer texts"
        )
    })
}

/// The most that the answers of one person can take in JSON.
fn most_bytes(fields: &[Field]) -> usize {
    let value = |field: &Field| match Kind::of(field) {
        // A character of UTF-8 has at most four bytes.
        Some(Kind::Text) | None => 4 * answers::MAX_CHARS,
        Some(Kind::Number) => 32,
        Some(Kind::Choice) => field.choices.iter().map(String::len).max().unwrap_or_default(),
        Some(Kind::YesNo) => 3,
        Some(Kind::Date) => 10,
    };
    let values: usize = fields.iter().map(value).sum();
    let frame = |field: &Field| FRAME_BYTES + field.name.len() + field.label.len();
    values.min(answers::MAX_BYTES) + fields.iter().map(frame).sum::<usize>()
}

#[cfg(test)]
mod tests;
