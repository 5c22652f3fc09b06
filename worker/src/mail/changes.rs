//! What a revision changed, as much of it as a mail has room for. The page shows all.

use countersign_protos::{
    ChangeText, differences,
    text::{clean, clean_line},
    v1::Submission,
};

use super::subject::cut;

const MAX_CHANGES: usize = 30;
/// Of what a field said, and of what it says.
const MAX_VALUE_CHARS: usize = 200;

/// What a revision changed.
pub(super) struct Changes {
    /// The version with these changes.
    pub(super) version: u32,
    pub(super) changes: Vec<Change>,
    pub(super) more: usize,
    /// Whether something of them is left out.
    pub(super) is_excerpt: bool,
}

/// A field that was changed.
pub(super) struct Change {
    pub(super) label: String,
    /// On one line; empty if it was not there.
    pub(super) before: String,
    /// On one line; empty if it is not there any more.
    pub(super) after: String,
}

impl Changes {
    pub(super) fn new(version: u32, earlier: &Submission, later: &Submission) -> Self {
        let all = ChangeText::of(&differences(earlier, later));
        let more = all.len().saturating_sub(MAX_CHANGES);
        let mut is_excerpt = more > 0;
        let mut shown = |value: &str| {
            let whole = clean_line(&clean(value).replace('\n', " "));
            let value = cut(&whole, MAX_VALUE_CHARS);
            is_excerpt |= value != whole;
            value
        };
        let change = |one: &ChangeText| Change {
            label: clean_line(&one.label),
            before: shown(&one.before),
            after: shown(&one.after),
        };
        let changes = all.iter().take(MAX_CHANGES).map(change).collect();
        Self { version, changes, more, is_excerpt }
    }
}
