//! Which events of a calendar are meant, by their words.

use crate::policy::rules::folded;

/// Words that events must have, one of them, and must not have, any of them; whatever their case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Words {
    with: Vec<String>,
    without: Vec<String>,
}

impl Words {
    pub(in super::super) fn new<'a>(
        with: impl Iterator<Item = &'a str>,
        without: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self { with: with.map(folded).collect(), without: without.map(folded).collect() }
    }

    /// Whether an event with that text is meant.
    pub(super) fn admit(&self, text: &str) -> bool {
        let has = |words: &String| has(text, words);
        (self.with.is_empty() || self.with.iter().any(has)) && !self.without.iter().any(has)
    }

    /// Whether a text, as [`Holidays::texts`](super::Holidays::texts) are, has these words.
    pub(in super::super) fn occur(words: &str, text: &str) -> bool {
        has(text, &folded(words))
    }
}

/// Whether a folded text has whole words. In scripts without upper and lower case, words need no spaces
/// between them, and any part of one counts.
fn has(text: &str, words: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_lowercase() || c.is_numeric());
    let cuts = |left: Option<char>, right: Option<char>| is_letter(left) && is_letter(right);
    text.match_indices(words).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !cuts(before, found.chars().next()) && !cuts(found.chars().next_back(), after)
    })
}
