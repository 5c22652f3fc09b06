//! What the decision core is told of a stage before anything happens in it: whom to ask, how many have to agree, and
//! what the rules forbid.

mod quorum;
mod restrictions;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::email::EmailAddress;

pub use quorum::{NotAQuorum, Quorum, Verdict};
pub use restrictions::{Operators, Restrictions};

/// A stage as it was planned. Deadlines are set when a level is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePlan {
    pub name: String,
    /// Counts those who have decided or may still decide.
    pub quorum: Quorum,
    pub on_deadline: OnDeadline,
    /// Each is asked when the deadline of the one before has passed. The last may be a fallback.
    pub levels: Vec<Level>,
}

impl StagePlan {
    /// The reviewers of all levels.
    pub fn reviewers(&self) -> impl Iterator<Item = &EmailAddress> {
        self.levels.iter().flat_map(|level| &level.reviewers)
    }
}

/// Reviewers who are asked together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Each once, never the submitter.
    pub reviewers: Vec<EmailAddress>,
    /// Whether those of the levels before may still decide.
    pub keep_earlier: bool,
    /// Whether no deadline has it asked: only that nobody can be reached.
    pub fallback: bool,
}

/// What the last deadline does to a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDeadline {
    /// The approval ends undecided.
    #[default]
    Expire,
    Reject,
    /// A stage in which somebody has rejected is rejected all the same.
    Approve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"expire\", \"reject\" or \"approve\"")]
pub struct NotOnDeadline;

impl FromStr for OnDeadline {
    type Err = NotOnDeadline;

    fn from_str(text: &str) -> Result<Self, NotOnDeadline> {
        match text {
            "expire" => Ok(OnDeadline::Expire),
            "reject" => Ok(OnDeadline::Reject),
            "approve" => Ok(OnDeadline::Approve),
            _ => Err(NotOnDeadline),
        }
    }
}

impl fmt::Display for OnDeadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnDeadline::Expire => "expire",
            OnDeadline::Reject => "reject",
            OnDeadline::Approve => "approve",
        })
    }
}

/// The times of a level that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub deadline: Timestamp,
    /// Ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminders: Vec<Timestamp>,
}

/// A decision that a rule made without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDecision {
    pub verdict: Verdict,
    /// Its name, which people see as the reason.
    pub rule: String,
    pub at: Timestamp,
}
