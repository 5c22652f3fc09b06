//! Conditions on the arguments of an action, by JSON pointers.

use super::{
    bounds,
    toml::{Table, Value},
};
use crate::policy::arguments::{Argument, Is};

pub(super) fn read(table: &Table<'_>) -> Vec<Argument> {
    let Some(conditions) = table.table("arguments") else { return Vec::new() };
    let entries = conditions.entries();
    if entries.is_empty() {
        conditions.wrong("must have an argument, such as `\"/amount\" = { above = 100 }`");
    }
    let mut arguments = Vec::new();
    for (pointer, value) in entries {
        if !is_pointer(&pointer.text) {
            let message = "must be a JSON pointer, such as \"/amount\" or \"/items/0/name\"";
            table.wrong_at(pointer.span, message);
            continue;
        }
        arguments.extend(condition(&value).map(|is| Argument { pointer: pointer.text, is }));
    }
    arguments
}

/// RFC 6901, 3. The whole of the arguments, which is the empty pointer, is never one value that rules know.
fn is_pointer(text: &str) -> bool {
    let mut escapes = text.split('~').skip(1);
    text.starts_with('/') && escapes.all(|escape| escape.starts_with(['0', '1']))
}

/// A range, a value, or an array of values.
fn condition(value: &Value<'_>) -> Option<Is> {
    if value.is_table() {
        let table = value.table()?;
        let bounds = bounds(&table, |bound| bound.double())?;
        let is_empty = match (bounds.low, bounds.high) {
            (Some((low, has_low)), Some((high, has_high))) => {
                low > high || low == high && !(has_low && has_high)
            }
            _ => false,
        };
        if is_empty {
            table.wrong("no number is in this range");
        }
        return (!is_empty).then_some(Is::Within(bounds));
    }
    let values = value.one_or_more();
    if values.is_empty() {
        value.wrong("must not be empty");
    }
    let values: Vec<_> = values.iter().filter_map(Value::scalar).collect();
    (!values.is_empty()).then_some(Is::OneOf(values))
}
