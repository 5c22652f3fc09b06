//! Every answer that a user got: kept outside of the system, and checked against it afterwards.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde_json::Value;

/// What a user did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    Look,
    Press,
    /// Had a colleague asked in their place.
    Delegate,
    /// Sent a signal past the signaler.
    Signal,
    /// Sent it back, past the signaler.
    SendBack,
    /// Revised it, past the signaler.
    Revise,
    /// Withdrew it by the submitter's link, past the signaler.
    Withdraw,
    /// Sent a signal that cannot be read.
    Nonsense,
    /// Did what a page does not allow, or asked for a page that does not exist.
    Misuse(Misuse),
}

/// What users try that does not work.
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
    /// Wrote 2,001 characters, one too many.
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
    /// What is tried with a link that works otherwise.
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

/// One answer that a user got.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When the request was sent, since 1970.
    pub(crate) sent_at: Duration,
    pub(crate) workflow: String,
    /// What the user did.
    pub(crate) act: Act,
    pub(crate) reviewer: String,
    /// The hash of their link; the request ID of a signal.
    pub(crate) key: String,
    /// Whether the decision approves, where there was one.
    pub(crate) approves: Option<bool>,
    /// Whom they want to be asked in their place; empty where nobody.
    pub(crate) to: String,
    /// The HTTP status; 0 where there was no answer.
    pub(crate) status: u16,
    /// The field `answer` of the JSON.
    pub(crate) answer: String,
    /// The approval's status, as the answer gives it.
    pub(crate) said: String,
}

/// All answers that users got.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Mutex<Vec<Entry>>,
    /// Decisions as they were sent, with or without an answer by now.
    sent: Mutex<Vec<Entry>>,
    pages: Mutex<Vec<Page>>,
}

/// A page as a user saw it.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) entry: Entry,
    /// The whole page, as JSON.
    pub(crate) body: Value,
}

/// A request that is recorded when its answer has come, or when its sender gives up.
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
        self.0.entries.lock().push(self.1.clone());
    }
}

impl Ledger {
    /// Begins a request that has no answer yet.
    pub(crate) fn begin(
        &self,
        workflow: &str,
        act: Act,
        reviewer: &str,
        key: String,
        approves: Option<bool>,
    ) -> Attempt<'_> {
        let entry = Entry {
            sent_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            workflow: workflow.to_owned(),
            act,
            reviewer: reviewer.to_owned(),
            key,
            approves,
            to: String::new(),
            status: 0,
            answer: "no answer".to_owned(),
            said: String::new(),
        };
        if matches!(act, Act::Press | Act::Signal) {
            self.sent.lock().push(entry.clone());
        }
        Attempt(self, entry)
    }

    /// All decisions that were sent, also those that wait for their answers.
    pub(crate) fn sent(&self) -> Vec<Entry> {
        self.sent.lock().clone()
    }

    /// Keeps a page that a user saw.
    pub(crate) fn keep_page(&self, entry: &Entry, body: Value) {
        self.pages.lock().push(Page { entry: entry.clone(), body });
    }

    /// All pages that were kept.
    pub(crate) fn pages(&self) -> Vec<Page> {
        self.pages.lock().clone()
    }

    /// Whether an entry satisfies `like`.
    pub(crate) fn has(&self, like: impl Fn(&Entry) -> bool) -> bool {
        self.entries.lock().iter().any(like)
    }

    /// All entries, by workflow.
    pub(crate) fn by_workflow(&self) -> BTreeMap<String, Vec<Entry>> {
        let mut all: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for entry in self.entries.lock().iter() {
            all.entry(entry.workflow.clone()).or_default().push(entry.clone());
        }
        all
    }
}
