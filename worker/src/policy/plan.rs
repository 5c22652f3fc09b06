//! What a rule makes of a submission: recorded with it, so that later rules change nothing.

use serde::{Deserialize, Serialize};

use super::TimePlan;
use crate::approval::{EmailAddress, OnDeadline, Quorum};

/// A stage as a rule has it for one submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageRule {
    /// What people call it.
    pub name: String,
    /// Who is asked, unless they are away: each once, never the submitter.
    pub reviewers: Vec<EmailAddress>,
    /// How many have to agree.
    pub quorum: Quorum,
    /// How long they have, and when they are reminded.
    #[serde(flatten)]
    pub time: TimePlan,
    /// How it ends when nobody is left to be asked.
    pub on_deadline: OnDeadline,
    /// Who is asked next, deadline after deadline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<Level>,
}

/// People who are asked because those before did not decide in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// Who is asked, unless they are away: nobody whom the stage asked before, never the submitter.
    pub reviewers: Vec<EmailAddress>,
    /// How long they have, and when they are reminded.
    #[serde(flatten)]
    pub time: TimePlan,
    /// Whether those who were asked before can still decide.
    pub keep_earlier: bool,
}

/// What goes on with an outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Continuations {
    /// With an approved submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Continuation>,
    /// With a rejected one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Continuation>,
}

/// A child workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Continuation {
    /// Its type.
    pub workflow: String,
    /// Where its worker takes tasks from.
    pub task_queue: String,
    /// In which namespace; the approval's own unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
