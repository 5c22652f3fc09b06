//! Submissions of every shape, and payloads that are none.

use countersign_e2e::{json_payload, payload, submission};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::rng::{Draw, Rng, stream};

/// How many rules let reviewers delegate, each to its own team.
pub(crate) const TEAMS: usize = 8;
/// To whom they let them: the end of every reviewer's address.
pub(crate) const DOMAIN: &str = "@example.com";

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
    /// The rule that says who is asked, and lets them delegate. Otherwise the submission says it, and nobody can.
    pub(crate) team: Option<usize>,
}

impl Submission {
    /// About one in eight is malformed.
    pub(crate) fn random(workflow: String, rng: &mut Rng) -> Submission {
        if rng.percent(12) {
            return Submission { workflow, stages: Vec::new(), team: None };
        }
        let count = [1, 1, 1, 2, 2, 3][rng.usize(..6)];
        let mut stages: Vec<Stage> =
            (0..count).map(|stage| Stage::random(&workflow, stage, rng)).collect();
        if count > 1 && rng.percent(15) {
            // One person sits in two stages.
            let same = stages[0].reviewers[0].clone();
            stages[1].reviewers[0] = same;
        }
        Submission { workflow, stages, team: None }
    }

    /// A submission that a rule has a team decide.
    pub(crate) fn of_team(workflow: String, team: usize) -> Submission {
        let mut rng = stream(0, team as u64);
        let name = format!("team{team}");
        // Only rules let silence approve.
        let stage = |stage| match Stage::random(&name, stage, &mut rng) {
            stage if team.is_multiple_of(4) => {
                Stage { deadline: Some(8), on_deadline: "approve", ..stage }
            }
            stage => stage,
        };
        let stages = (0..1 + team % 2).map(stage).collect();
        Submission { workflow, stages, team: Some(team) }
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
        Submission { workflow, stages: vec![stage], team: None }
    }

    pub(crate) fn submitter(&self) -> String {
        format!("sub.{}@example.com", self.workflow)
    }

    /// Whether its reviewers may have this person asked, unless they are asked already.
    pub(crate) fn may_delegate_to(&self, person: &str) -> bool {
        self.team.is_some() && person.ends_with(DOMAIN) && person != self.submitter()
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
        if let (Some(team), Some(fields)) = (self.team, json.as_object_mut()) {
            fields.remove("approval");
            fields.insert("submissionType".to_owned(), json!(team_type(team)));
        }
        json
    }

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
            on_deadline: ["expire", "reject"][rng.usize(..2)],
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

    /// The same in rules, where JSON's values are those of TOML too.
    fn toml(&self, number: usize) -> String {
        let json = self.json(number);
        let keys = ["name", "reviewers", "quorum", "deadline", "reminders"].map(|key| (key, key));
        let keys = keys.into_iter().chain([("on_deadline", "onDeadline")]);
        let keys = keys.filter(|(_, key)| !json[*key].is_null());
        let lines = keys.map(|(name, key)| format!("{name} = {}\n", json[key]));
        format!("[[rules.stages]]\n{}", lines.collect::<String>())
    }
}

/// The rules: each team decides what is of its type, and its reviewers may delegate. Other submissions say who is
/// asked, and operators may do what they may without rules.
pub(crate) fn rules() -> String {
    let rule = |team: usize| {
        let Submission { stages, .. } = Submission::of_team(String::new(), team);
        let stages: String = stages.iter().enumerate().map(|(i, stage)| stage.toml(i)).collect();
        let (kind, domain) = (team_type(team), DOMAIN.trim_start_matches('@'));
        format!(
            "[[rules]]\nname = \"{kind}\"\nwhen.type = \"{kind}\"\ndelegate_to = [\"{domain}\"]\n{stages}"
        )
    };
    let rules: String = (0..TEAMS).map(rule).collect();
    format!("{OTHERS}{rules}")
}

const OTHERS: &str = r#"
[submissions]
may_name_reviewers = true

[operators]
may_decide = true
may_revise = true

[default]
name = "Nothing else"
stages = [{ name = "Nobody", reviewers = ["nobody@example.com"] }]

"#;

fn team_type(team: usize) -> String {
    format!("team{team}")
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
