//! What the rules forbid: deciding in two stages, deciding without a word, and what operators and reviewers may not do.

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::email::EmailAddress;

/// What the rules forbid. By default, nothing but delegating.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Restrictions {
    /// One person decides at most one stage.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub different_people: bool,
    /// The verdicts that count only with a comment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comment_required: Vec<Verdict>,
    pub operators: Operators,
    /// To whom reviewers may delegate: the domains of their addresses, in ASCII.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delegate_to: Vec<String>,
}

impl Restrictions {
    /// Whether they are the default.
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether reviewers may have this person asked.
    pub fn may_delegate_to(&self, person: &EmailAddress) -> bool {
        self.delegate_to.iter().any(|domain| domain == person.domain())
    }

    /// Whether this verdict counts only with a comment: whoever wants changes says which.
    pub(crate) fn require_comment(&self, verdict: Verdict) -> bool {
        verdict == Verdict::RequestChanges || self.comment_required.contains(&verdict)
    }
}

/// What may be done by signals that need no link. Whoever may send signals in the namespace is an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default = "Operators::by_rules")]
pub struct Operators {
    /// To decide for a reviewer.
    pub may_decide: bool,
    /// To have others asked in a reviewer's place: the domains of their addresses, in ASCII. `None` for any.
    pub may_reassign_to: Option<Vec<String>>,
    pub may_withdraw: bool,
    /// To replace a submission by another version.
    pub may_revise: bool,
}

impl Operators {
    /// What they may do where the rules do not say.
    pub const BY_RULES: Self = Self {
        may_decide: false,
        may_reassign_to: Some(Vec::new()),
        may_withdraw: true,
        may_revise: false,
    };

    fn by_rules() -> Self {
        Self::BY_RULES
    }

    /// Whether they may have this person asked.
    pub(crate) fn may_ask(&self, person: &EmailAddress) -> bool {
        let domains = self.may_reassign_to.as_ref();
        domains.is_none_or(|domains| domains.iter().any(|domain| domain == person.domain()))
    }
}

/// Everything, as where there are no rules.
impl Default for Operators {
    fn default() -> Self {
        Self { may_decide: true, may_reassign_to: None, may_withdraw: true, may_revise: true }
    }
}
