//! What mails say of details and of an action: as much as fits, and whether that is all. The page shows all.

use countersign_protos::{
    text::{clean, clean_line, visible_line},
    v1::{Action, Detail, Document},
};

use super::{quote::Quote, subject::cut};

/// Of a detail's value.
const MAX_VALUE_CHARS: usize = 500;
const MAX_ARGUMENTS: usize = 20;
/// Of an argument.
const MAX_ARGUMENT_CHARS: usize = 120;

pub(super) struct DetailFacts {
    pub(super) label: String,
    /// With line breaks.
    pub(super) value: String,
}

impl DetailFacts {
    /// The details of a document, and whether something of them is left out.
    pub(super) fn of(document: &Document) -> (Vec<Self>, bool) {
        let mut is_cut = false;
        let detail = |Detail { label, value }: &Detail| {
            let whole = clean(value);
            let value = cut(whole.trim(), MAX_VALUE_CHARS);
            is_cut |= value != whole.trim();
            Self { label: clean_line(label), value }
        };
        (document.details.iter().map(detail).collect(), is_cut)
    }

    pub(super) fn is_one_line(&self) -> bool {
        !self.value.contains('\n')
    }
}

pub(super) struct ActionFacts {
    pub(super) name: String,
    pub(super) risk: String,
    pub(super) on_behalf_of: String,
    pub(super) reason: Option<Quote>,
    pub(super) arguments: Vec<ArgumentFacts>,
    pub(super) more_arguments: usize,
    /// Whether something of the arguments is left out.
    pub(super) is_excerpt: bool,
}

/// A value in the arguments that holds no others.
pub(super) struct ArgumentFacts {
    /// Such as `steps[0].image`; empty if it is all there is.
    pub(super) place: String,
    /// As JSON, so that text, numbers and nothing at all differ.
    pub(super) value: String,
}

impl ActionFacts {
    pub(super) fn of(action: &Action) -> Self {
        let leaves = action.arguments.as_ref().map(|json| json.leaves()).unwrap_or_default();
        let more_arguments = leaves.len().saturating_sub(MAX_ARGUMENTS);
        let mut is_excerpt = more_arguments > 0;
        let argument = |(place, value): (String, String)| {
            let whole = visible_line(&value);
            let value = cut(&whole, MAX_ARGUMENT_CHARS);
            is_excerpt |= value != whole;
            ArgumentFacts { place, value }
        };
        let arguments = leaves.into_iter().take(MAX_ARGUMENTS).map(argument).collect();
        Self {
            name: visible_line(&action.name),
            risk: clean_line(&action.risk),
            on_behalf_of: clean_line(&action.on_behalf_of),
            reason: Quote::new("Why:".to_owned(), &action.reason),
            arguments,
            more_arguments,
            is_excerpt,
        }
    }
}
