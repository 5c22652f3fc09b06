//! What a rule has reviewers fill in.

use std::ops::Range;

use countersign_protos::{answers::Kind, v1::Field};

use super::{
    diagnostics::Diagnostic,
    nobody_is_asked,
    toml::{Table, Text, Value},
};
use crate::fields::{self, MAX_FIELDS, Part};

/// The fields of a rule. What is wrong with them is reported.
pub(super) fn read(table: &Table<'_>) -> Vec<Field> {
    let Some(value) = table.get("fields") else { return Vec::new() };
    let tables = table.tables("fields");
    if !tables.is_empty() {
        nobody_is_asked(table, &value, "fields");
    }
    if tables.len() > MAX_FIELDS {
        value.wrong(format!("has more than {MAX_FIELDS} fields"));
    }
    let mut names: Vec<Text> = Vec::new();
    let mut fields = Vec::new();
    for table in tables.iter().take(MAX_FIELDS) {
        table.only();
        fields.push(field(table));
        let Some(name) = table.text("name") else { continue };
        if let Some(same) = names.iter().find(|known| known.text == name.text) {
            let message = format!("another field is named {:?}", name.text);
            let diagnostic = Diagnostic::new(name.span.clone(), message);
            table.report(diagnostic.also(same.span.clone(), "this one"));
        }
        names.push(name);
    }
    fields
}

fn field(table: &Table<'_>) -> Field {
    let before = table.reported();
    let [name, label] =
        ["name", "label"].map(|key| table.required(key).and_then(|value| value.text()));
    let kind = table.text("type");
    let choices = table.texts("choices");
    let required_for = table.get("required_for").map(|value| value.one_or_more());
    let required_for: Vec<Text> = required_for.iter().flatten().filter_map(Value::text).collect();
    let text = |text: &Option<Text>| text.as_ref().map(|it| it.text.clone()).unwrap_or_default();
    let texts = |texts: &[Text]| texts.iter().map(|it| it.text.trim().to_owned()).collect();
    let field = Field {
        name: text(&name),
        label: text(&label).trim().to_owned(),
        r#type: kind.as_ref().map_or(Kind::Text.name(), |kind| &kind.text).to_owned(),
        choices: texts(&choices),
        required_for: texts(&required_for),
        from_rule: false,
    };
    // What has another shape, or is missing, was reported.
    if table.reported() > before {
        return field;
    }
    for (part, message) in fields::wrong(&field) {
        let span: Option<Range<usize>> = match part {
            Part::Name => name.as_ref().map(|name| name.span.clone()),
            Part::Label => label.as_ref().map(|label| label.span.clone()),
            Part::Type => kind.as_ref().map(|kind| kind.span.clone()),
            Part::Choices => table.get("choices").map(|choices| choices.span),
            Part::Choice(i) => choices.get(i).map(|choice| choice.span.clone()),
            Part::RequiredFor(i) => required_for.get(i).map(|verdict| verdict.span.clone()),
        };
        match (span, part) {
            (Some(span), _) => table.wrong_at(span, message),
            (None, Part::Choices) => table.wrong(format!("`choices` {message}")),
            (None, _) => table.wrong(message),
        }
    }
    field
}
