//! What applies to a submission. It is recorded with it, so that later rules and settings change nothing.

use std::collections::BTreeSet;

use countersign_protos::{
    FIRST_VERSION, action_digest, digest_of_version,
    v1::{EarlierVersion, Field, Submission},
    version_after,
};
use serde::{Deserialize, Serialize};

use super::{Absence, Calendar, TimePlan, Wait};
use crate::{
    approval::{EmailAddress, Level, OnDeadline, Quorum, Restrictions, StagePlan, Verdict},
    commands,
};

/// A submission that can be decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// As sent, with every amount in its currency's number of decimals.
    pub submission: Submission,
    /// Of the submission. Recorded, since a program that knows fewer fields would compute another one.
    pub digest: String,
    /// Of the document's action; empty if it has none. Recorded for the same reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action_digest: String,
    pub submitter: EmailAddress,
    /// In the order in which they open; at least one, unless a rule has decided.
    pub stages: Vec<PlannedStage>,
    /// Whether the outcome goes to the webhook.
    pub webhook: bool,
    /// The task queue of the webhook's activity, if it differs from the workflow's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_queue: Option<String>,
    /// The name of the rule that applies; empty if the submission named its reviewers, or there are no
    /// rules.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// What the rule decided without asking anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_decision: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Restrictions::are_none")]
    pub restrictions: Restrictions,
    /// Whether the submitter gets a mail when people are first asked, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tell_submitter: bool,
    /// The IANA name of the zone in which people read times; empty for UTC. `calendar` has one only where it
    /// is needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// Working time and absences follow this calendar. `None` if nothing needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// Those that concern the reviewers and their deputies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absences: Vec<Absence>,
    #[serde(default)]
    pub follow_ups: FollowUps,
    /// Whether a decision by link counts only once it is confirmed on a second page. The signaler asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
    /// Whether payloads were encrypted when it was made. Then nobody is named where Temporal cannot encrypt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub encrypted: bool,
    /// How long changes that were requested wait for the submitter.
    #[serde(default)]
    pub changes_within: Wait,
    /// Whether the submitter has a link of their own from the start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submitter_link: bool,
    /// What came before this version of the submission, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierVersion>,
    /// The submission of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Submission>,
    /// Which commands the workflow makes: see [`commands`](crate::commands).
    #[serde(default = "commands::first")]
    pub commands: u32,
}

impl Plan {
    /// A plan that asks the reviewers of these stages and has nothing else in it.
    pub fn asking(
        submission: Submission,
        submitter: EmailAddress,
        stages: Vec<PlannedStage>,
    ) -> Self {
        let document = submission.document.as_ref();
        let action = document.and_then(|document| document.action.as_ref());
        Self {
            digest: digest_of(&submission, FIRST_VERSION),
            action_digest: action.map(action_digest).unwrap_or_default(),
            submission,
            submitter,
            stages,
            webhook: false,
            webhook_queue: None,
            rule: String::new(),
            rule_decision: None,
            restrictions: Restrictions::default(),
            tell_submitter: false,
            time_zone: String::new(),
            calendar: None,
            absences: Vec::new(),
            follow_ups: FollowUps::default(),
            confirm: false,
            encrypted: false,
            changes_within: Wait::default(),
            submitter_link: false,
            earlier: Vec::new(),
            previous: None,
            commands: commands::CURRENT,
        }
    }

    /// The same, where those who decide fill in these.
    pub fn with_fields(mut self, fields: Vec<Field>) -> Self {
        self.submission.fields = fields;
        self.digest = digest_of(&self.submission, self.version());
        self
    }

    /// Which version of the submission it is.
    pub fn version(&self) -> u32 {
        version_after(&self.earlier)
    }

    /// The same as the version after these, the last of which had this submission.
    pub fn revising(self, earlier: Vec<EarlierVersion>, previous: Submission) -> Self {
        let digest = digest_of(&self.submission, version_after(&earlier));
        Self { digest, earlier, previous: Some(previous), ..self }
    }

    /// Whether it is the version right after the one with this digest.
    pub fn revises(&self, digest: &str) -> bool {
        self.earlier.last().is_some_and(|earlier| earlier.digest == digest)
    }
}

fn digest_of(submission: &Submission, version: u32) -> String {
    digest_of_version(&serde_json::to_value(submission).unwrap_or_default(), version)
}

/// A stage for one submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStage {
    pub name: String,
    /// Who is asked, or their deputies: each once, never the submitter.
    pub reviewers: Vec<EmailAddress>,
    pub quorum: Quorum,
    #[serde(flatten)]
    pub time: TimePlan,
    /// What the last level's deadline does.
    pub on_deadline: OnDeadline,
    /// The levels after the first: one for each deadline that passes, and perhaps a fallback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<PlannedLevel>,
}

impl PlannedStage {
    /// The reviewers of all levels, each once.
    pub fn everybody(&self) -> impl Iterator<Item = &EmailAddress> {
        let later = self.escalations.iter().flat_map(|level| &level.reviewers);
        self.reviewers.iter().chain(later).collect::<BTreeSet<_>>().into_iter()
    }

    /// How many of those whom a level asks have to be there: of one that adds to those before, anybody.
    pub fn needed(&self, level: usize) -> Quorum {
        let adds = |level: &PlannedLevel| level.keep_earlier && !level.fallback;
        let later = level.checked_sub(1).and_then(|later| self.escalations.get(later));
        if later.is_some_and(adds) { Quorum::Any } else { self.quorum }
    }

    /// The reviewers and times of a level. Level 0 is asked first.
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

impl From<&PlannedStage> for StagePlan {
    fn from(stage: &PlannedStage) -> Self {
        let reviewers = stage.reviewers.clone();
        let first = Level { reviewers, keep_earlier: false, fallback: false };
        let later = stage.escalations.iter().map(|level| Level {
            reviewers: level.reviewers.clone(),
            keep_earlier: level.keep_earlier,
            fallback: level.fallback,
        });
        StagePlan {
            name: stage.name.clone(),
            quorum: stage.quorum,
            on_deadline: stage.on_deadline,
            levels: [first].into_iter().chain(later).collect(),
        }
    }
}

/// Reviewers who are asked because those before did not decide in time, or cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedLevel {
    /// Who is asked, or their deputies, unless they are asked already: each once, never the submitter.
    /// All of them may decide.
    pub reviewers: Vec<EmailAddress>,
    #[serde(flatten)]
    pub time: TimePlan,
    /// Whether those who were asked before may still decide.
    pub keep_earlier: bool,
    /// Whether no deadline has it asked: only that nobody can be reached. It is then the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
}

impl PlannedLevel {
    /// A level for when nobody else can be reached: those have had their time, and cannot decide.
    pub fn fallback(reviewers: Vec<EmailAddress>, time: TimePlan) -> Self {
        Self { reviewers, time, keep_earlier: false, fallback: true }
    }
}

/// The workflows that an outcome starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowUps {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<FollowUp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<FollowUp>,
}

/// A workflow that is started with an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowUp {
    pub workflow: String,
    pub task_queue: String,
    /// `None` starts a child workflow, in the approval's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
