//! What activities take and return, as histories have it.
//!
//! From 0.4.0 on fields are only added, each with a default: activities that an older worker scheduled
//! are still to run, and a replay reads results again. `recorded/snapshot.json` holds the JSON of all
//! of it, that of the core's types included.

use std::marker::PhantomData;

use countersign_protos::{
    Chain, LinkKey, LinkKeys, NotSealed, Sealing,
    payload::{Encoding, Payload},
    v1::{Outcome, Problem, Submission},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    approval::{
        Delegation, Due, EmailAddress, Entry, Invited, OnDeadline, Reviser, SubmitterLink, ToAsk,
    },
    policy::{FollowUp, Plan},
};

/// JSON with a seal over its exact bytes. It is a string, since the SDK reads JSON into values, which forget
/// the order of keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sealed<T> {
    json: String,
    seal: String,
    #[serde(skip)]
    of: PhantomData<T>,
}

/// What is sealed, and for what.
pub trait Sealable: Serialize + DeserializeOwned {
    /// Nothing else is accepted in its place.
    const SEALING: Sealing;
    /// Of the submission, which the seal covers too.
    fn digest(&self) -> &str;
}

impl Sealable for Plan {
    const SEALING: Sealing = Sealing::Plan;

    fn digest(&self) -> &str {
        &self.digest
    }
}

impl Sealable for Outcome {
    const SEALING: Sealing = Sealing::Outcome;

    fn digest(&self) -> &str {
        &self.digest
    }
}

impl<T: Sealable> Sealed<T> {
    /// Seals a value for an approval.
    ///
    /// # Errors
    /// If it has no JSON.
    pub(crate) fn new(value: &T, chain: Chain<'_>, key: &LinkKey) -> serde_json::Result<Self> {
        let json = serde_json::to_string(value)?;
        let seal = key.seal(T::SEALING, chain, value.digest(), json.as_bytes());
        Ok(Self { json, seal, of: PhantomData })
    }

    /// The value, whether it is genuine or not: workflow code has no keys. Only show it.
    pub(crate) fn unverified(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.json)
    }

    /// The value, and the key that sealed it for this approval.
    ///
    /// # Errors
    /// If it was not sealed for it, or with a key that is not here.
    pub(crate) fn open<'a>(
        &self,
        chain: Chain<'_>,
        keys: &'a LinkKeys,
    ) -> Result<(T, &'a LinkKey), NotSealed> {
        let value = self.unverified().map_err(|_| NotSealed::Forged)?;
        let bytes = self.json.as_bytes();
        let key = keys.unseal(&self.seal, T::SEALING, chain, value.digest(), bytes)?;
        Ok((value, key))
    }
}

/// The result of `validate_submission`. Its input is the workflow's, or [`Revising`], and the ID of its first
/// run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Validated {
    Plan(Sealed<Plan>),
    Problems(Vec<Problem>),
}

/// The input of `validate_submission` for a submission that takes the place of another.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Revising {
    /// What has happened to the version before, with all comments.
    pub(crate) evidence: Evidence,
    pub(crate) submission: Submission,
    pub(crate) by: Reviser,
}

impl Revising {
    /// Marks an input of `validate_submission` as one.
    const MARK: &str = "countersign.Revising";

    pub(crate) fn to_payload(&self) -> serde_json::Result<Payload> {
        let data = serde_json::to_vec(self)?;
        let metadata = [("encoding", "json/plain"), ("messageType", Self::MARK)];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.into())).into();
        Ok(Payload { metadata, data })
    }

    /// What was written so; `None` for the input of a workflow.
    pub(crate) fn of(input: &[Payload]) -> Option<serde_json::Result<Self>> {
        let [Payload { metadata, data }] = input else { return None };
        let is_marked =
            metadata.get("messageType").is_some_and(|mark| mark == Self::MARK.as_bytes());
        is_marked.then(|| serde_json::from_slice(data))
    }
}

/// The input of `issue_links`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    pub plan: Sealed<Plan>,
    /// The first run's ID: with the workflow's, it names the approval.
    pub first_run_id: String,
    pub to_ask: ToAsk,
    pub opened_at: Timestamp,
}

/// The result of `issue_links`. Later steps need no calendar.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issued {
    /// As asked for: a replay may see another time, and deputies depend on it.
    pub opened_at: Timestamp,
    pub invited: Vec<Invited>,
    /// `None` for a replacement or a new link, which do not change the stage's deadline. For the submitter, it is
    /// the time until which changes are expected.
    pub due: Option<Due>,
    /// Where the submitter gets a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitter: Option<SubmitterLink>,
}

/// The input of `request_approval`: a request to one reviewer, or a reminder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewRequest {
    pub plan: Sealed<Plan>,
    pub first_run_id: String,
    pub stage: u32,
    pub round: u32,
    pub reviewer: EmailAddress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<EmailAddress>,
    /// The identity that the operator claims who had them asked in another's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reassigned_by: Option<String>,
    /// That the one whom they replace wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated: Option<Delegated>,
    /// The hash of their approval ID.
    pub link: String,
    /// When the link was issued: with it, the thread of its mails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    pub deadline: Option<pbjson_types::Timestamp>,
    /// When Temporal ends the workflow by a time-out that it was started with, if that is before the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times_out_at: Option<pbjson_types::Timestamp>,
    pub on_deadline: OnDeadline,
    /// Whether the deadline passes the request on to other reviewers.
    #[serde(default)]
    pub escalates: bool,
    pub reminder: bool,
    /// Whether their link replaces one that was superseded.
    #[serde(default)]
    pub new_link: bool,
    /// The request that was taken before, and whose thread this mail continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<EarlierRequest>,
}

/// A delegation, and the seat of who delegates.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delegated {
    pub round: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<EmailAddress>,
    pub delegation: Delegation,
}

/// A request to the same people, for the same place; or to the same reviewer, for the version before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlierRequest {
    pub round: u32,
    pub asked_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<EarlierSeat>,
}

/// Where somebody was asked about another version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarlierSeat {
    /// Of that version.
    pub digest: String,
    pub stage: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<EmailAddress>,
}

/// What an attempt of `request_approval` or `announce_decision` leaves to the next one, in its last
/// heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedSince {
    /// The first refusal that did not say what it is about.
    pub(crate) refused_since: Timestamp,
}

/// The input of `conclude`: all that has happened, to compute the outcome from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    pub plan: Sealed<Plan>,
    pub first_run_id: String,
    /// When the plan was made.
    pub began: Timestamp,
    pub journal: Vec<Entry>,
}

/// The result of `conclude`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Concluded {
    /// Without `jws`, which is as long as the rest, and which no mail needs.
    pub outcome: Sealed<Outcome>,
    /// The outcome's signature, with the key that sealed it: each signature with it is the same.
    pub jws: String,
}

/// The input of `announce_decision`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Of the approval, which may be another than the workflow that delivers the notice.
    pub workflow_id: String,
    /// Counts the approval's notices, from 0.
    pub number: u32,
    pub recipient: EmailAddress,
    pub about: About,
    /// To a reviewer: whether the mail that begins their thread was taken.
    #[serde(default)]
    pub follows: bool,
}

/// What a notice is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum About {
    /// To the submitter: what was decided.
    Outcome { outcome: Sealed<Outcome>, first_run_id: String },
    /// To the submitter: people are asked for the first time, as of that moment.
    Started(Evidence),
    /// To the submitter: mail reaches nobody who may decide, as of that moment.
    Unreachable(Evidence),
    /// To the submitter: a reviewer has asked for changes.
    ChangesRequested(Evidence),
    /// To a reviewer who was asked about the version before: there is another one.
    Revised { earlier: Evidence, plan: Sealed<Plan> },
    /// To a reviewer who need not decide any more, as of that moment.
    Superseded(Evidence),
    /// To a reviewer for whom an operator has decided.
    DecidedByOperator(Evidence),
}

impl About {
    pub(crate) fn is_for_submitter(&self) -> bool {
        match self {
            Self::Outcome { .. }
            | Self::Started(_)
            | Self::Unreachable(_)
            | Self::ChangesRequested(_) => true,
            Self::Revised { .. } | Self::Superseded(_) | Self::DecidedByOperator(_) => false,
        }
    }

    /// The first run's ID of the approval.
    pub(crate) fn first_run_id(&self) -> &str {
        match self {
            Self::Outcome { first_run_id, .. } => first_run_id,
            Self::Started(evidence)
            | Self::Unreachable(evidence)
            | Self::ChangesRequested(evidence)
            | Self::Revised { earlier: evidence, .. }
            | Self::Superseded(evidence)
            | Self::DecidedByOperator(evidence) => &evidence.first_run_id,
        }
    }
}

/// The input of `process_decision`, which returns the receiver's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub outcome: Sealed<Outcome>,
    pub first_run_id: String,
    /// Whether the follow-up workflow that the outcome names could not be started.
    #[serde(default)]
    pub not_followed_up: bool,
}

/// The input of `start_workflow`, which starts the workflow that the plan names for this outcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartFollowUp {
    pub plan: Sealed<Plan>,
    pub outcome: Sealed<Outcome>,
    pub first_run_id: String,
    /// How the workflow's input is written.
    pub encoding: Encoding,
}

/// A workflow to start.
#[derive(Debug, Clone)]
pub struct StartWorkflow {
    /// The same for each attempt, so that it is started once.
    pub workflow_id: String,
    /// Its type, task queue and namespace.
    pub next: FollowUp,
    /// The workflow's input.
    pub outcome: Outcome,
    /// How the input is written.
    pub encoding: Encoding,
}

#[cfg(test)]
mod tests;
