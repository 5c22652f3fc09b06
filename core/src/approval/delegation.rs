//! What a reviewer signs who has a colleague asked in their place.

use countersign_protos::{Statement, comment_hash, text, v1::Proof};
use serde::{Deserialize, Serialize};

use super::{EmailAddress, NotReassigned};

/// That the holder of a link wants somebody else to be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delegation {
    /// The hash of their approval ID.
    pub link: String,
    pub to: EmailAddress,
    /// Why, for whom they name.
    pub reason: String,
    /// The hash of a reason that was left out to save space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// That the link's holder wants it so.
    pub proof: Proof,
}

/// Why nobody else is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDelegated {
    #[error("the signature does not hold: only a reviewer's own link can delegate")]
    NotProven,
    #[error("the rule lets reviewers have nobody of this domain asked (`delegate_to`)")]
    NotAllowed,
    #[error("it has no reason")]
    NoReason,
    #[error(transparent)]
    NotReplaced(#[from] NotReassigned),
}

impl Delegation {
    /// Whether the holder of a link with this public key wants it.
    pub fn is_proven(&self, public_key: &str) -> bool {
        let reason = self.reason_hash();
        let statement = Statement::Delegate { to: self.to.as_str(), reason: &reason };
        self.proof.proves(public_key, &self.link, statement)
    }

    /// A hash says nothing for another reason that stands beside it.
    fn reason_hash(&self) -> String {
        let left_out = self.left_out.clone().filter(|_| self.reason.is_empty());
        left_out.unwrap_or_else(|| comment_hash(&self.reason))
    }

    pub(super) fn lacks_reason(&self) -> bool {
        text::comment(&self.reason).is_empty() && self.reason_hash() == comment_hash(&self.reason)
    }
}
