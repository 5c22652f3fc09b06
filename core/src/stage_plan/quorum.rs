//! How many have to agree.

use std::{fmt, num::NonZeroUsize, str::FromStr};

pub use countersign_protos::Verdict;
use serde::{Deserialize, Serialize};

use crate::string_form::string_form;

string_form!(Quorum);

/// How many approvals a stage needs, and so how many rejections end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quorum {
    /// The first decision, whichever it is.
    Any,
    /// Everybody approves; one rejection is enough.
    All,
    /// This many approve; rejected as soon as that is out of reach.
    AtLeast(NonZeroUsize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"any\", \"all\" or a number from 1")]
pub struct NotAQuorum;

impl Quorum {
    /// A number of approvals; `None` for 0.
    pub fn at_least(approvals: usize) -> Option<Self> {
        NonZeroUsize::new(approvals).map(Quorum::AtLeast)
    }

    /// The approvals needed among this many reviewers.
    pub fn approvals(self, reviewers: usize) -> usize {
        match self {
            Quorum::Any => 1,
            Quorum::All => reviewers,
            Quorum::AtLeast(approvals) => approvals.get(),
        }
    }

    /// Whether this many people can approve.
    pub fn is_in_reach(self, people: usize) -> bool {
        people >= self.approvals(people).max(1)
    }

    /// The rejections that end it among this many reviewers.
    pub fn rejections(self, reviewers: usize) -> usize {
        match self {
            Quorum::Any | Quorum::All => 1,
            Quorum::AtLeast(approvals) => (reviewers + 1).saturating_sub(approvals.get()),
        }
    }
}

impl FromStr for Quorum {
    type Err = NotAQuorum;

    fn from_str(text: &str) -> Result<Self, NotAQuorum> {
        match text {
            "any" => Ok(Quorum::Any),
            "all" => Ok(Quorum::All),
            number => number.parse().map(Quorum::AtLeast).map_err(|_| NotAQuorum),
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quorum::Any => f.write_str("any"),
            Quorum::All => f.write_str("all"),
            Quorum::AtLeast(approvals) => approvals.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_says_how_many_approvals_and_how_many_rejections_decide() {
        for (text, reviewers, approvals, rejections) in
            [("any", 3, 1, 1), ("all", 3, 3, 1), ("2", 3, 2, 2), ("1", 3, 1, 3), ("3", 3, 3, 1)]
        {
            let quorum: Quorum = text.parse().expect("a quorum");
            assert_eq!(quorum.approvals(reviewers), approvals, "{text}");
            assert_eq!(quorum.rejections(reviewers), rejections, "{text}");
            assert_eq!(quorum.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_quorum_is_refused() {
        for text in ["", "0", "-1", "1.5", "Any", "most"] {
            assert_eq!(text.parse::<Quorum>(), Err(NotAQuorum), "{text}");
        }
    }
}
