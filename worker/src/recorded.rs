//! What activities take and return, as histories have it.
//!
//! From 0.4.0 on fields are only added, each with a default: activities that an older worker scheduled
//! are still to run, and a replay reads results again. `recorded/snapshot.json` holds the JSON of all
//! of it, that of the core's types included.

use countersign_protos::{
    payload::Encoding,
    v1::{Outcome, Submission},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    approval::{Due, EmailAddress, Invited, OnDeadline},
    policy::{Absence, Calendar, FollowUp, TimePlan},
};

/// The input of `issue_links`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Issue {
    /// Drawn by the workflow when it starts.
    pub approval: Uuid,
    /// The stage's position, from 0.
    pub stage: u32,
    /// How many seats the stage had before.
    pub round: u32,
    pub reviewers: Vec<EmailAddress>,
    pub opened_at: Timestamp,
    /// `None` for a replacement, which does not change the stage's deadline.
    pub time: Option<TimePlan>,
    pub calendar: Option<Calendar>,
    pub absences: Vec<Absence>,
    /// Never asked, nor as a deputy.
    pub submitter: Option<EmailAddress>,
    /// Never asked as deputies: they have a seat in the stage already, or are being replaced.
    pub asked: Vec<EmailAddress>,
}

/// The result of `issue_links`. Later steps need no calendar.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Issued {
    pub invited: Vec<Invited>,
    /// `None` for a replacement.
    pub due: Option<Due>,
}

/// The input of `request_approval`: a request to one reviewer, or a reminder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReviewRequest {
    pub approval: Uuid,
    pub stage: u32,
    pub round: u32,
    pub stage_name: String,
    pub reviewer: EmailAddress,
    #[serde(default)]
    pub on_behalf_of: Option<EmailAddress>,
    /// The hash of their approval ID.
    pub link: String,
    pub deadline: Option<pbjson_types::Timestamp>,
    pub on_deadline: OnDeadline,
    /// Whether the deadline passes the request on to other reviewers.
    #[serde(default)]
    pub escalates: bool,
    pub reminder: bool,
    pub submission: Submission,
}

/// What an attempt of `request_approval` or `announce_decision` leaves to the next one, in its last
/// heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusedSince {
    /// The first refusal that did not say what it is about.
    pub(crate) refused_since: Timestamp,
}

/// The input of `announce_decision`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    pub recipient: EmailAddress,
    /// Whether the recipient is a reviewer who need not decide any more. Otherwise it is the submitter.
    pub reviewer: bool,
    /// For a reviewer, as of the moment at which they were superseded.
    pub outcome: Outcome,
}

/// The result of `process_decision`, whose input is an [`Outcome`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivered {
    /// The receiver's status, for people who read the history.
    pub taken: String,
    /// Exactly what was delivered, which the workflow then returns.
    pub outcome: Outcome,
}

/// The input of `start_workflow`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartWorkflow {
    /// The ID of the workflow to start.
    pub workflow_id: String,
    /// Its type, task queue and namespace.
    pub next: FollowUp,
    /// The input of that workflow, encoded as `encoding` says.
    pub outcome: Outcome,
    /// The encoding of the approval's own input.
    pub encoding: Encoding,
}

#[cfg(test)]
mod tests;
