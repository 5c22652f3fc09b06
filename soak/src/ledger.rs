//! What the people were told: kept outside of the system, and held against it afterwards.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
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
    /// Sent a signal that cannot be read.
    Nonsense,
    /// Did what a page does not allow, or asked for what is not there.
    Misuse(Misuse),
}

/// What people and programs try that does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Misuse {
    /// Opened a link with a part missing.
    Malformed,
    /// Opened a link that nobody issued.
    Forged,
    /// Sent the form without a verdict.
    NoVerdict,
    /// Sent the form with a verdict that does not exist.
    UnknownVerdict,
    /// Wrote 2,001 characters.
    LongComment,
    /// Sent more than a form may have.
    LargeBody,
    /// Sent forms faster than anybody reads.
    Flood,
    /// Opened a genuine link whose approval is not there.
    Unknown,
    /// Decided by such a link.
    UnknownPress,
}

impl Misuse {
    /// What is tried at a link that works otherwise.
    pub(crate) const AT_A_LINK: [Misuse; 7] = [
        Misuse::Malformed,
        Misuse::Forged,
        Misuse::NoVerdict,
        Misuse::UnknownVerdict,
        Misuse::LongComment,
        Misuse::LargeBody,
        Misuse::Flood,
    ];
}

/// One answer that somebody got.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When they began, since 1970.
    pub(crate) begun: Duration,
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

/// What somebody is about: it is written down when they have their answer, or leave without one.
pub(crate) struct Attempt<'a>(&'a Ledger, Entry);

impl Deref for Attempt<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.1
    }
}

impl DerefMut for Attempt<'_> {
    fn deref_mut(&mut self) -> &mut Entry {
        &mut self.1
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.1.clone());
    }
}

impl Ledger {
    /// Somebody begins, and has no answer yet.
    pub(crate) fn begin(
        &self,
        workflow: &str,
        act: Act,
        reviewer: &str,
        key: String,
        approves: Option<bool>,
    ) -> Attempt<'_> {
        let entry = Entry {
            begun: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            workflow: workflow.to_owned(),
            act,
            reviewer: reviewer.to_owned(),
            key,
            approves,
            status: 0,
            answer: "no answer".to_owned(),
            said: String::new(),
        };
        Attempt(self, entry)
    }

    /// Whether there is an answer of this kind.
    pub(crate) fn has(&self, like: impl Fn(&Entry) -> bool) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(like)
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
