//! Submissions of every shape, and payloads that are none.

use countersign_e2e::{json_payload, payload, submission};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::rng::{Draw, Rng};

/// How many reviewers have to approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// The first decision counts.
    Any,
    All,
    /// A number of them.
    Of(usize),
}

/// A stage as it was submitted.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) reviewers: Vec<String>,
    /// How many of them have to approve.
    pub(crate) quorum: Quorum,
    /// The seconds until its deadline, where reviewers may stay silent.
    pub(crate) deadline: Option<usize>,
    /// The seconds until the reminder.
    pub(crate) reminder: Option<usize>,
    /// What happens at the deadline: `onDeadline` of the submission.
    pub(crate) on_deadline: &'static str,
}

/// A submission, valid or malformed.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) workflow: String,
    /// Its stages; none where it is malformed.
    pub(crate) stages: Vec<Stage>,
}

impl Submission {
    /// About one in eight is malformed.
    pub(crate) fn random(workflow: String, rng: &mut Rng) -> Submission {
        if rng.percent(12) {
            return Submission { workflow, stages: Vec::new() };
        }
        let count = [1, 1, 1, 2, 2, 3][rng.usize(..6)];
        let mut stages: Vec<Stage> =
            (0..count).map(|stage| Stage::random(&workflow, stage, rng)).collect();
        if count > 1 && rng.percent(15) {
            // One person sits in two stages.
            let same = stages[0].reviewers[0].clone();
            stages[1].reviewers[0] = same;
        }
        Submission { workflow, stages }
    }

    /// A submission that one person decides.
    pub(crate) fn simple(workflow: String) -> Submission {
        let stage = Stage {
            reviewers: vec![format!("s0r0.{workflow}@example.com")],
            quorum: Quorum::Any,
            deadline: None,
            reminder: None,
            on_deadline: "expire",
        };
        Submission { workflow, stages: vec![stage] }
    }

    pub(crate) fn submitter(&self) -> String {
        format!("sub.{}@example.com", self.workflow)
    }

    /// The workflow's input; nonsense, or none at all, where the submission is malformed.
    pub(crate) fn input(&self, rng: &mut Rng) -> Option<Payload> {
        match self.stages.is_empty() {
            true => nonsense(rng),
            false => Some(json_payload(&self.json())),
        }
    }

    /// What is submitted, unless it is malformed.
    pub(crate) fn json(&self) -> Value {
        let stages: Vec<Value> =
            self.stages.iter().enumerate().map(|(i, stage)| stage.json(i)).collect();
        let mut json = submission::asking(json!({"stages": stages}));
        json["submissionId"] = json!(self.workflow);
        json["submitter"]["email"] = json!(self.submitter());
        json
    }
}

impl Submission {
    /// The same with another description, by which it is found again.
    pub(crate) fn revised(&self, description: &str) -> Value {
        let mut json = self.json();
        json["document"]["description"] = json!(description);
        json
    }
}

impl Stage {
    fn random(workflow: &str, stage: usize, rng: &mut Rng) -> Stage {
        let count = rng.usize(1..=4);
        let quorum = match rng.usize(..3) {
            0 => Quorum::Any,
            1 => Quorum::All,
            _ => Quorum::Of(rng.usize(1..=count)),
        };
        let deadline = rng.percent(30).then(|| rng.usize(4..14));
        Stage {
            reviewers: (0..count).map(|k| format!("s{stage}r{k}.{workflow}@example.com")).collect(),
            quorum,
            deadline,
            reminder: rng.percent(30).then(|| rng.usize(1..4)),
            on_deadline: ["expire", "reject", "approve"][rng.usize(..3)],
        }
    }

    fn json(&self, number: usize) -> Value {
        let mut json = json!({
            "name": format!("S{number}"),
            "reviewers": self.reviewers,
            "quorum": match self.quorum {
                Quorum::Any => json!("any"),
                Quorum::All => json!("all"),
                Quorum::Of(count) => json!(count),
            },
            "deadline": self.deadline.map_or("2 days".to_owned(), |s| format!("{s}s")),
            "onDeadline": self.on_deadline,
        });
        if let Some(reminder) = self.reminder {
            json["reminders"] = json!([format!("{reminder}s")]);
        }
        json
    }
}

/// The workflow ID that an address was made for.
pub(crate) fn workflow_of(address: &str) -> &str {
    let rest = address.split_once('.').map_or("", |(_, rest)| rest);
    rest.split('@').next().unwrap_or_default()
}

/// A payload that is neither a submission nor a decision, or none at all.
pub(crate) fn nonsense(rng: &mut Rng) -> Option<Payload> {
    Some(match rng.usize(..7) {
        0 => return None,
        1 => payload("json/plain", "{\"reviewer\": "),
        2 => json_payload(&json!([[], 7, null])),
        3 => json_payload(&json!("approve")),
        4 => payload("binary/protobuf", vec![0xff, 0x07, 0x13]),
        5 => payload("binary/encrypted", vec![1, 2, 3]),
        _ => json_payload(&json!({"reviewer": "nobody-at-all@example.org", "document": 7})),
    })
}
