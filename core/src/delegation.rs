//! What a reviewer signs who has a colleague asked in their place.

use countersign_protos::{Statement, comment_hash, text, v1::Proof};
use serde::{Deserialize, Serialize};

use crate::email::EmailAddress;

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

    pub(crate) fn lacks_reason(&self) -> bool {
        text::comment(&self.reason).is_empty() && self.reason_hash() == comment_hash(&self.reason)
    }
}
