//! What is known outside of the system: who submitted, pressed and signalled what.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use countersign_e2e::text;
use countersign_protos::{Chain, LinkContext, LinkKeys, digest};
use serde_json::Value;

use crate::submission::{Stage, Submission};

/// A link may be issued in the place of another at most so late: no approval here has more seats in a stage.
const ROUNDS: u32 = 16;

/// An approval that somebody has really started.
#[derive(Debug, Clone)]
pub(crate) struct Approval {
    pub(crate) workflow: String,
    /// Its first run's ID.
    pub(crate) first_run_id: String,
    pub(crate) submission: Value,
    pub(crate) stages: Vec<Stage>,
}

impl Approval {
    /// An approval of a valid submission.
    pub(crate) fn new(submission: &Submission, first_run_id: String) -> Approval {
        Approval {
            workflow: submission.workflow.clone(),
            first_run_id,
            submission: submission.json(),
            stages: submission.stages.clone(),
        }
    }

    /// What names it to everybody.
    pub(crate) fn submission_id(&self) -> String {
        text(&self.submission["submissionId"])
    }

    /// The digest of what was submitted.
    pub(crate) fn digest(&self) -> String {
        digest(&self.submission)
    }

    /// What names it in seals and signatures.
    pub(crate) fn chain(&self) -> Chain<'_> {
        Chain { workflow_id: &self.workflow, first_run_id: &self.first_run_id }
    }

    /// Who has submitted it.
    pub(crate) fn submitter(&self) -> String {
        text(&self.submission["submitter"]["email"])
    }
}

/// A press on a button, with or without an answer.
#[derive(Debug, Clone)]
pub(crate) struct Press {
    /// The reviewer who pressed.
    pub(crate) reviewer: String,
    /// The hash of their link.
    pub(crate) link: String,
    pub(crate) approves: bool,
    /// Since 1970.
    pub(crate) at: Duration,
}

/// What somebody did without a link: an operator, for those who read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OperatorAct {
    /// Decided for a reviewer, who is named by address or by the hash of a link.
    Vote {
        /// The address or the hash.
        of: String,
        approves: bool,
    },
    /// Had somebody else asked.
    Reassign { from: String, to: String },
    /// Withdrew the approval, or cancelled it.
    Withdraw,
}

/// What a link was issued for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The stage's position, from 0.
    pub(crate) stage: usize,
    pub(crate) reviewer: String,
}

/// All that is known outside of the system.
#[derive(Clone)]
pub(crate) struct Facts {
    /// The keys of the links.
    pub(crate) keys: LinkKeys,
    /// Of the webhook.
    pub(crate) secret: String,
    /// All approvals, the adversary's own included.
    pub(crate) approvals: Vec<Approval>,
    pub(crate) presses: Vec<Press>,
    /// What operators did, by workflow ID.
    pub(crate) acts: HashMap<String, Vec<OperatorAct>>,
    /// What a forged state says of operators, by workflow ID. A page shows a state before anything is checked
    /// against what was signalled; nothing else may tell of it.
    pub(crate) made_up: HashMap<String, Vec<OperatorAct>>,
    /// The decisions that Temporal has as signals: link's hash and verdict.
    pub(crate) signals: HashSet<(String, bool)>,
    /// The workflows in which a deadline or a reminder was due, or in which the adversary has claimed so.
    pub(crate) late: HashSet<String>,
    /// Whose requests were refused for good: workflow ID and reviewer.
    pub(crate) refused: HashSet<(String, String)>,
}

impl Facts {
    /// As a page may show them.
    pub(super) fn as_shown(&self) -> Facts {
        let mut shown = self.clone();
        for (workflow, acts) in &self.made_up {
            shown.acts.entry(workflow.clone()).or_default().extend(acts.iter().cloned());
        }
        shown
    }

    /// Whether a request to this reviewer was refused for good.
    pub(super) fn is_refused(&self, approval: &Approval, reviewer: &str) -> bool {
        self.refused.contains(&(approval.workflow.clone(), reviewer.to_owned()))
    }

    /// What operators did in a workflow.
    pub(crate) fn acts(&self, workflow: &str) -> &[OperatorAct] {
        self.acts.get(workflow).map_or(&[], Vec::as_slice)
    }

    /// Whom operators had asked in the place of another.
    pub(crate) fn reassigned<'a>(
        &'a self,
        workflow: &str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.acts(workflow).iter().filter_map(|act| match act {
            OperatorAct::Reassign { from, to } => Some((&**from, &**to)),
            _ => None,
        })
    }

    /// Everybody who can have been asked in a stage.
    pub(crate) fn can_be_asked(&self, approval: &Approval, stage: usize, who: &str) -> bool {
        let planned =
            approval.stages.get(stage).is_some_and(|s| s.reviewers.iter().any(|r| r == who));
        planned || self.reassigned(&approval.workflow).any(|(_, to)| to == who)
    }

    /// Whose link it is, if this approval can have issued it.
    pub(crate) fn seat(&self, approval: &Approval, link: &str) -> Option<Seat> {
        let digest = approval.digest();
        let is = |stage: usize, round, reviewer: &str, instead_of: &str| {
            let context = LinkContext {
                stage: stage as u32,
                round,
                instead_of,
                ..LinkContext::new(approval.chain(), &digest, reviewer)
            };
            self.keys.iter().any(|key| key.link(context).hash().as_str() == link)
        };
        for (stage, planned) in approval.stages.iter().enumerate() {
            let asked = planned.reviewers.iter().find(|who| is(stage, 0, who, ""));
            let replaced = || {
                let is_it =
                    |(from, to): &(&str, &str)| (1..ROUNDS).any(|round| is(stage, round, to, from));
                self.reassigned(&approval.workflow).find(is_it).map(|(_, to)| to.to_owned())
            };
            if let Some(reviewer) = asked.cloned().or_else(replaced) {
                return Some(Seat { stage, reviewer });
            }
        }
        None
    }

    /// Whether an operator has decided so for this reviewer.
    pub(crate) fn has_operator_decided(
        &self,
        approval: &Approval,
        reviewer: &str,
        approves: bool,
    ) -> bool {
        self.acts(&approval.workflow).iter().any(|act| match act {
            OperatorAct::Vote { of, approves: so } if *so == approves => {
                of == reviewer
                    || self.seat(approval, of).is_some_and(|seat| seat.reviewer == reviewer)
            }
            _ => false,
        })
    }
}
