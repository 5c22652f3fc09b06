//! Repeats what has happened.

use super::{Approval, Entry, UNKNOWN};

impl Approval {
    /// What has happened, in order.
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// Repeats what has happened. Returns whether it could happen now: else nothing has changed.
    #[must_use]
    pub fn repeat(&mut self, entry: Entry) -> bool {
        let before = self.journal.len();
        match entry {
            Entry::Asked { invited, due, at } => drop(self.ask(invited, due, at)),
            Entry::SubmitterAsked { link, deadline, at } => self.ask_submitter(link, deadline, at),
            Entry::Voted { ballot, at } => drop(self.vote(ballot, at)),
            Entry::Delegated { delegation, at } => {
                let _ = self.delegate(delegation, at);
            }
            Entry::Reassigned { from, to, identity, at } => {
                let _ = self.reassign(from, to, identity, at);
            }
            Entry::Reminded { reviewer, identity, at } => self.reminded(reviewer, identity, at),
            Entry::Reissued { reviewer, identity, at } => {
                let _ = self.reissue(reviewer, identity, at);
            }
            Entry::Withdrawn { reason, signed: Some(signed), at, .. } => {
                let _ = self.withdraw_by_link(reason, signed, at);
            }
            Entry::Withdrawn { reason, identity, at, .. } if identity == UNKNOWN => {
                self.cancel(reason, at);
            }
            Entry::Withdrawn { reason, identity, at, .. } => {
                let _ = self.withdraw(reason, identity, at);
            }
            Entry::Reached { link, reached } => self.reached(&link, reached),
            Entry::TimePassed { at } => drop(self.tick(at)),
        }
        self.journal.len() > before
    }
}
