//! What others have written.

use countersign_protos::text::clean;

/// What somebody has written, in their own lines.
#[derive(Debug)]
pub(super) struct Quote {
    pub(super) label: String,
    pub(super) text: String,
}

impl Quote {
    /// `None` if nothing was written.
    pub(super) fn new(label: String, text: &str) -> Option<Self> {
        let text = clean(text);
        (!text.trim().is_empty()).then_some(Self { label, text })
    }
}
