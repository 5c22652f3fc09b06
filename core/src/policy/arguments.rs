//! Conditions on the arguments of an action.

use countersign_protos::{Json, text};

use super::bounds::Bounds;

/// How much of an argument is said where it does not match.
const MAX_SHOWN_CHARS: usize = 60;

/// What one argument has to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Argument {
    /// A JSON pointer (RFC 6901).
    pub(super) pointer: String,
    pub(super) is: Is,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Is {
    /// A number in this range.
    Within(Bounds<f64>),
    /// Exactly one of these.
    OneOf(Vec<Json>),
}

impl Argument {
    /// Whether it is there and so.
    pub(super) fn admits(&self, arguments: Option<&Json>) -> bool {
        let Some(value) = arguments.and_then(|json| json.pointer(&self.pointer)) else {
            return false;
        };
        match &self.is {
            Is::Within(bounds) => value.as_f64().is_some_and(|number| bounds.contain(number)),
            Is::OneOf(values) => values.contains(&Json::from(&value)),
        }
    }

    /// Why it does not match.
    pub(super) fn refusal(&self, arguments: Option<&Json>) -> String {
        let Self { pointer, is } = self;
        let expected = match is {
            Is::Within(bounds) => bounds.told(|number| number.to_string()),
            Is::OneOf(values) => values.iter().map(Json::as_str).collect::<Vec<_>>().join(" or "),
        };
        match arguments.and_then(|json| json.pointer(pointer)) {
            Some(value) => {
                let value = text::visible_line(Json::from(&value).as_str());
                let short: String = value.chars().take(MAX_SHOWN_CHARS).collect();
                let cut = if short.len() < value.len() { "…" } else { "" };
                format!("its argument {pointer} is {short}{cut}, not {expected}")
            }
            None => format!("it has no argument {pointer}; the rule is for {expected}"),
        }
    }
}
