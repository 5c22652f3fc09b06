//! Outcomes on their way to people.

use std::collections::BTreeMap;

use countersign_protos::v1;
use serde::{Deserialize, Serialize};

use crate::{
    approval::{EmailAddress, Seat},
    recorded::Notice,
};

/// Bytes of comments in the notice to a superseded reviewer: the notices to all of them go to Temporal
/// in one message, of 4 MiB at most.
const MAX_COMMENT_BYTES: usize = 16 * 1024;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Notices {
    /// By number. A new run sends all of them again.
    undelivered: BTreeMap<u32, Notice>,
    count: u32,
    /// The number of the next one to send.
    #[serde(skip)]
    next: u32,
    /// Why the submitter could not be notified; empty if they could.
    pub(super) submitter_error: String,
}

impl Notices {
    pub(super) fn notify_submitter(&mut self, recipient: EmailAddress, outcome: v1::Outcome) {
        self.notify(Notice { recipient, reviewer: false, outcome });
    }

    pub(super) fn notify_superseded(&mut self, seat: &Seat, outcome: &v1::Outcome) {
        let (recipient, mut outcome) = (seat.reviewer.clone(), outcome.clone());
        let mut left = MAX_COMMENT_BYTES;
        for vote in outcome.stages.iter_mut().flat_map(|stage| &mut stage.decisions) {
            match left.checked_sub(vote.comment.len()) {
                Some(less) => left = less,
                None => vote.comment = "…".to_owned(),
            }
        }
        self.notify(Notice { recipient, reviewer: true, outcome });
    }

    fn notify(&mut self, notice: Notice) {
        self.undelivered.insert(self.count, notice);
        self.count += 1;
    }

    /// Those that are to be sent, each once in a run.
    pub(super) fn start(&mut self) -> Vec<(u32, Notice)> {
        let new = self.undelivered.range(self.next..);
        let new = new.map(|(number, notice)| (*number, notice.clone())).collect();
        self.next = self.count;
        new
    }

    /// A notice was sent, or refused for good. Returns whether the submitter could not be notified.
    pub(super) fn finish(&mut self, number: u32, result: Result<(), String>) -> bool {
        let notice = self.undelivered.remove(&number);
        let Some(Notice { reviewer: false, .. }) = notice else { return false };
        self.submitter_error = result.err().unwrap_or_default();
        !self.submitter_error.is_empty()
    }
}
