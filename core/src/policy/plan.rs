//! What a rule makes of a submission: recorded with it, so that later rules change nothing.

use std::collections::BTreeSet;

use countersign_protos::v1::Submission;
use serde::{Deserialize, Serialize};

use super::{Absence, Calendar, TimePlan};
use crate::approval::{self, EmailAddress, OnDeadline, Quorum, StagePlan, Verdict};

/// A submission that can be decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// As sent, but with every amount in its currency's decimals.
    pub submission: Submission,
    /// Who asks.
    pub submitter: EmailAddress,
    /// Who is asked, stage after stage; at least one, unless a rule has decided.
    pub stages: Vec<StageRule>,
    /// Whether the outcome is handed on.
    pub webhook: bool,
    /// The task queue of the webhook, where it is another than the workflow's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_queue: Option<String>,
    /// The rule that applies; empty where none was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// What the rule decided without asking anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Verdict>,
    /// By which working time is counted and days away are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// Who of the reviewers is away when, and who stands in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absences: Vec<Absence>,
    /// What goes on with the outcome.
    #[serde(default)]
    pub then: Continuations,
    /// Which workflow code planned it. 0 until whoever runs it records that.
    pub version: u32,
}

impl Plan {
    /// These stages' reviewers are asked, and nothing else happens.
    pub fn asking(submission: Submission, submitter: EmailAddress, stages: Vec<StageRule>) -> Self {
        Self {
            submission,
            submitter,
            stages,
            webhook: false,
            webhook_queue: None,
            rule: String::new(),
            ruling: None,
            calendar: None,
            absences: Vec::new(),
            then: Continuations::default(),
            version: 0,
        }
    }
}

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

impl StageRule {
    /// Who may be asked, unless they are away: each once.
    pub fn everybody(&self) -> impl Iterator<Item = &EmailAddress> {
        let later = self.escalations.iter().flat_map(|level| &level.reviewers);
        self.reviewers.iter().chain(later).collect::<BTreeSet<_>>().into_iter()
    }

    /// A level: who is asked, and for how long. 0 is asked first.
    pub fn level(&self, level: usize) -> Option<(&[EmailAddress], &TimePlan)> {
        match level {
            0 => Some((&self.reviewers, &self.time)),
            level => {
                let level = self.escalations.get(level - 1)?;
                Some((&level.reviewers, &level.time))
            }
        }
    }
}

impl From<&StageRule> for StagePlan {
    fn from(rule: &StageRule) -> Self {
        let first = approval::Level { reviewers: rule.reviewers.clone(), keep_earlier: false };
        let later = rule.escalations.iter().map(|level| approval::Level {
            reviewers: level.reviewers.clone(),
            keep_earlier: level.keep_earlier,
        });
        StagePlan {
            name: rule.name.clone(),
            quorum: rule.quorum,
            on_deadline: rule.on_deadline,
            levels: [first].into_iter().chain(later).collect(),
        }
    }
}

/// People who are asked because those before did not decide in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// Who is asked, unless they are away or asked already: each once, never the submitter. They may
    /// decide in any case.
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

/// A workflow that goes on with an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Continuation {
    /// Its type.
    pub workflow: String,
    /// Where its worker takes tasks from.
    pub task_queue: String,
    /// Where it runs. Nothing: as a child workflow, in the approval's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
