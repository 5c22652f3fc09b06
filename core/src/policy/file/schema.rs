//! JSON Schemas of the files that people write, for their editors. Draft 7 is the one that most editors know.

use serde_json::{Map, Value, json};

use super::keys::{EXPECTATIONS, Form, Key, POLICY};

/// The schema of a file of routing rules. TOML's dates are strings in it, as editors have them.
pub fn policy_schema() -> Value {
    file("Routing rules", &POLICY)
}

/// The schema of a file of expectations, as [`policy_schema`].
pub fn expectations_schema() -> Value {
    file("Expectations of routing rules", &EXPECTATIONS)
}

fn file(title: &str, key: &Key) -> Value {
    let mut schema = of(key);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    schema["description"] = json!(key.about);
    schema
}

/// The schema of a key's value.
fn of(key: &Key) -> Value {
    let mut schema = form(&key.form);
    let example = match key.example {
        "" => String::new(),
        example => format!("\n\n```toml\n{example}\n```"),
    };
    schema["description"] = json!(format!("{}{example}", key.about));
    schema
}

fn form(form: &Form) -> Value {
    let text = || json!({"type": "string", "minLength": 1});
    let texts = |least: usize| {
        let array = json!({"type": "array", "items": text(), "minItems": least});
        json!({"anyOf": [text(), array]})
    };
    match form {
        Form::Boolean => json!({"type": "boolean"}),
        Form::Number => json!({"anyOf": [{"type": "number", "minimum": 0}, text()]}),
        Form::Double => json!({"anyOf": [{"type": "number"}, text()]}),
        Form::Quorum => {
            let number = json!({"type": "integer", "minimum": 1});
            let digits = json!({"type": "string", "pattern": "^[0-9]+$"});
            json!({"anyOf": [{"enum": ["any", "all"]}, number, digits]})
        }
        Form::Date => {
            json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
        }
        Form::Moment => json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}"}),
        Form::Text => text(),
        Form::Choice(words) => json!({"enum": words}),
        Form::Choices(words) => {
            let array = json!({"type": "array", "items": {"enum": words}});
            json!({"anyOf": [{"enum": words}, array]})
        }
        Form::Texts => texts(1),
        Form::AnyTexts => texts(0),
        Form::Days => json!({"type": "array", "items": text()}),
        Form::Keys(keys) => table(keys),
        Form::Condition(keys) => {
            let scalar = json!({"type": ["string", "number", "boolean"]});
            let array = json!({"type": "array", "items": scalar, "minItems": 1});
            json!({"anyOf": [scalar, array, table(keys)]})
        }
        Form::Tables(keys) => json!({"type": "array", "items": table(keys)}),
        Form::Names(each) => json!({"type": "object", "additionalProperties": of(each)}),
        Form::Json => json!({"anyOf": [text(), {"type": "object"}]}),
    }
}

fn table(keys: &[Key]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), of(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

#[cfg(test)]
pub(super) mod tests;
