//! What the people were told: kept outside of the system, and held against it afterwards.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Opened the page.
    Look,
    /// Pressed a button.
    Press,
    /// Sent a signal past the signaler.
    Signal,
}

/// One answer that somebody got.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The workflow.
    pub(crate) workflow: String,
    /// What was done.
    pub(crate) act: Act,
    /// By whom.
    pub(crate) reviewer: String,
    /// The hash of their link; of a signal, its own mark.
    pub(crate) key: String,
    /// The decision, where there was one: whether it approves.
    pub(crate) approves: Option<bool>,
    /// The HTTP status; 0 where there was no answer.
    pub(crate) status: u16,
    /// The answer's kind.
    pub(crate) answer: String,
    /// The approval's status, as the answer gives it.
    pub(crate) said: String,
}

/// All answers that anybody got.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Vec<Entry>>);

impl Ledger {
    /// Writes down an answer.
    pub(crate) fn note(&self, entry: Entry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Everything so far, by workflow.
    pub(crate) fn by_workflow(&self) -> BTreeMap<String, Vec<Entry>> {
        let mut all: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            all.entry(entry.workflow.clone()).or_default().push(entry.clone());
        }
        all
    }
}
