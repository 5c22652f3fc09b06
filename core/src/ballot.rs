//! What people do to an approval, as it arrives: ballots, and what is signed by a link.

use countersign_protos::{
    Verdict,
    answers::{self, Answers},
    comment_hash, is_for_version, text,
    v1::{Answer, Field, Proof},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::email::EmailAddress;

/// Whose decision a signal claims to carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The hash of an approval ID.
    Link(String),
    /// A reviewer's address, named by an operator.
    Reviewer(EmailAddress),
}

/// A decision as it arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ballot {
    pub claim: Claim,
    pub verdict: Verdict,
    /// Empty if nothing was written.
    pub comment: String,
    /// The hash of a comment that was left out to save space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// What was filled in. Of a vote that counted, in its canonical form.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    pub answers: Answers,
    /// The hash of answers that were left out to save space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_left_out: Option<String>,
    /// That the link's holder decided so. Without one that holds, the decision is an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Which version it is for, as its sender says; 0 if they do not. See [`is_for_version`].
    #[serde(default, skip_serializing_if = "is_unsaid")]
    pub version: u32,
    /// The identity that the sender claims.
    pub identity: String,
}

impl Ballot {
    /// A decision without a proof, by somebody unknown.
    pub fn new(claim: Claim, verdict: Verdict, comment: String) -> Self {
        let (identity, answers) = (String::new(), Answers::new());
        let (left_out, answers_left_out, proof) = (None, None, None);
        Self {
            claim,
            verdict,
            comment,
            left_out,
            answers,
            answers_left_out,
            proof,
            version: 0,
            identity,
        }
    }

    /// Whether it is for the version that is asked about.
    pub(crate) fn is_for(&self, version: u32) -> bool {
        is_for_version(self.version, matches!(self.claim, Claim::Link(_)), version)
    }

    /// Its answers, which it then has in their canonical form, or why they are none. Those that were
    /// left out to save space were checked before.
    pub(crate) fn check_answers(&mut self, fields: &[Field]) -> Result<Vec<Answer>, String> {
        if self.answers.is_empty() && self.answers_left_out.is_some() {
            return Ok(Vec::new());
        }
        let answers = answers::check(fields, self.verdict, &self.answers);
        let answers = answers.map_err(|wrong| reasons(fields, &wrong))?;
        let canonical = answers::by_name(&answers);
        // Elsewhere it is checked with what counted.
        if self.proof.is_some() && self.answers != canonical {
            return Err("answers that are signed must be in their canonical form".to_owned());
        }
        self.answers = canonical;
        Ok(answers)
    }

    /// Whether it has no comment. One that was left out to save space is there.
    pub(crate) fn is_silent(&self) -> bool {
        let left_out = self.left_out.as_ref().is_some_and(|hash| *hash != comment_hash(""));
        text::comment(&self.comment).is_empty() && !left_out
    }
}

fn is_unsaid(version: &u32) -> bool {
    *version == 0
}

/// What is wrong with answers. What is given for no field is not quoted: it might be anything.
fn reasons(fields: &[Field], wrong: &[answers::Wrong]) -> String {
    let is_known = |name: &str| fields.iter().any(|field| field.name == name);
    let reason = |answers::Wrong { name, why }: &answers::Wrong| match is_known(name) {
        true => format!("`{name}` {why}"),
        false => "an answer is given for something that is not among the fields".to_owned(),
    };
    let mut reasons: Vec<String> = wrong.iter().map(reason).collect();
    reasons.dedup();
    reasons.join("; ")
}

/// The submitter's link to one version: what they do by it counts, and it decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmitterLink {
    /// The hash of their approval ID.
    pub link: String,
    /// What checks the proofs of this link.
    pub key: String,
}

/// That the holder of a link did something by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signed {
    /// The hash of their approval ID.
    pub link: String,
    pub proof: Proof,
}

/// Who revises a submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reviser {
    /// By their link.
    Submitter(Signed),
    /// Somebody who claims this identity.
    Operator(String),
}

/// A withdrawal before a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawal {
    pub at: Timestamp,
    /// The text given with it; may be empty.
    pub reason: String,
    /// Where the submitter did so by their link.
    pub signed: Option<Signed>,
}
