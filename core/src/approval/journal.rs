//! What has happened to an approval, in order: with its plan, that is all of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Approval, Ballot, Delegation, Due, EmailAddress, Invited, Signed, SubmitterLink, UNKNOWN,
};

/// Something that has had an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// Those of [`Approval::to_ask`] were asked.
    Asked {
        invited: Vec<Invited>,
        due: Option<Due>,
        at: Timestamp,
    },
    /// The submitter has a link: with a deadline if changes were requested.
    SubmitterAsked {
        link: SubmitterLink,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
        at: Timestamp,
    },
    Voted {
        ballot: Ballot,
        at: Timestamp,
    },
    /// A reviewer has somebody else asked.
    Delegated {
        delegation: Delegation,
        at: Timestamp,
    },
    /// By an operator, as the two below.
    Reassigned {
        from: EmailAddress,
        to: EmailAddress,
        identity: String,
        at: Timestamp,
    },
    /// `None` for all who had not decided.
    Reminded {
        reviewer: Option<EmailAddress>,
        identity: String,
        at: Timestamp,
    },
    /// New links were ordered; `None` for all who had not decided.
    Reissued {
        reviewer: Option<EmailAddress>,
        identity: String,
        at: Timestamp,
    },
    /// By an operator, by cancelling the workflow, or by the submitter's link.
    Withdrawn {
        reason: String,
        /// Empty where it is by link.
        identity: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
        at: Timestamp,
    },
    /// Whether a request reached its reviewer.
    Reached {
        link: String,
        reached: bool,
    },
    /// A deadline, or the time of a reminder.
    TimePassed {
        at: Timestamp,
    },
}

impl Approval {
    /// What has happened, in order.
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// When this link was issued. A reset of the workflow issues it again.
    pub fn asked_at(&self, link: &str) -> Option<Timestamp> {
        self.journal.iter().find_map(|entry| match entry {
            Entry::Asked { invited, at, .. } if invited.iter().any(|one| one.link == link) => {
                Some(*at)
            }
            _ => None,
        })
    }

    /// Whether nobody but those who were asked first was asked.
    pub fn has_asked_once(&self) -> bool {
        let asked = self.journal.iter().filter(|entry| matches!(entry, Entry::Asked { .. }));
        asked.count() == 1
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
