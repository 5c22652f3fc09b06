//! What proves an outcome, for activities and for a next run: the rest of the state follows from it.

use countersign_protos::{answers, comment_hash, payload::Encoding, text, v1::Outcome};
use serde::{Deserialize, Serialize, Serializer};

use super::{
    Open,
    deliveries::Deliveries,
    ending::Ending,
    notices::{Kind, Notices, Pending},
};
use crate::{
    approval::{EmailAddress, Entry, Stage},
    leaves, outcome,
    recorded::{About, EarlierRequest, Evidence, Notice, Sealed},
};

/// Bytes of comments, answers and reasons in a notice to a reviewer: the notices to all of them go to Temporal in one
/// message, of 4 MiB at most.
const MAX_COMMENT_BYTES: usize = 16 * 1024;

/// What the next run gets of an open approval. The rest follows from it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Left {
    pub(super) evidence: Evidence,
    pub(super) workflow_id: String,
    pub(super) encoding: Encoding,
    pub(super) deliveries: Deliveries,
    pub(super) notices: Notices,
    /// Once it is decided. Only a workflow that goes on delivering notices gets that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Sealed<Outcome>>,
    /// Once it was revised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<Previous>,
}

/// What is left of the version before.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Previous {
    /// What proves that somebody was asked. Some comments may be left out.
    pub(super) evidence: Evidence,
    /// Who was sent a request, in the order in which they were asked.
    pub(super) asked: Vec<Asked>,
    /// The hashes of the links of all earlier versions, those of the latest first.
    pub(super) links: Vec<String>,
    /// Whether all of them were told who are not asked again.
    #[serde(default)]
    pub(super) is_told: bool,
}

/// Somebody who was sent a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    pub(super) reviewer: EmailAddress,
    pub(super) request: EarlierRequest,
}

/// What the workflow gets that goes on delivering notices of a decided approval, as JSON of a
/// [`Case`](super::Case).
#[derive(Debug, Serialize)]
pub(crate) struct HandOver {
    open: Left,
}

/// Notices that another workflow goes on delivering.
#[derive(Debug)]
pub(crate) struct Undelivered {
    pub(crate) workflow_id: String,
    pub(crate) input: HandOver,
}

impl Open {
    /// What proves the outcome as it was when so many entries had been made.
    pub(super) fn evidence(&self, entries: usize) -> Evidence {
        let journal = self.approval.journal();
        Evidence {
            plan: self.sealed.clone(),
            first_run_id: self.first_run_id.clone(),
            began: self.began,
            journal: journal[..entries.min(journal.len())].to_vec(),
        }
    }

    fn left(&self) -> Left {
        Left {
            evidence: self.evidence(self.approval.journal().len()),
            workflow_id: self.workflow_id.clone(),
            encoding: self.encoding,
            deliveries: self.deliveries.clone(),
            notices: self.notices.clone(),
            outcome: None,
            previous: self.previous.clone(),
        }
    }

    /// What is left of the notices of a concluded approval.
    pub(super) fn hand_over(&mut self) -> Option<Undelivered> {
        let concluded = self.ending.concluded.as_ref().filter(|_| self.notices.are_pending());
        let (sealed, outcome) = concluded?;
        let workflow_id = outcome::notices_id(self.chain(), outcome);
        let left = self.left();
        let (evidence, outcome) = (brief(left.evidence), Some(sealed.clone()));
        let input = HandOver { open: Left { evidence, outcome, ..left } };
        self.ending.notices_in = Some(workflow_id.clone());
        Some(Undelivered { workflow_id, input })
    }

    pub(super) fn start_notices(&mut self) -> Vec<Notice> {
        let new = self.notices.start();
        let notice = |(number, pending): (u32, Pending)| {
            let Pending { recipient, kind, entries, is_of_previous } = pending;
            let follows = self.has_thread(&recipient) || kind == Kind::Revised;
            let evidence = || match is_of_previous {
                true => self.previous_evidence(entries).map(brief),
                false => Some(brief(self.evidence(entries))),
            };
            let about = match kind {
                Kind::Outcome => {
                    let (outcome, _) = self.ending.concluded.as_ref()?;
                    let first_run_id = self.first_run_id.clone();
                    About::Outcome { outcome: outcome.clone(), first_run_id }
                }
                Kind::Started => About::Started(evidence()?),
                Kind::Unreachable => About::Unreachable(evidence()?),
                Kind::ChangesRequested => About::ChangesRequested(evidence()?),
                Kind::Revised => About::Revised { earlier: evidence()?, plan: self.sealed.clone() },
                Kind::Superseded => About::Superseded(evidence()?),
                Kind::DecidedByOperator => About::DecidedByOperator(evidence()?),
            };
            let workflow_id = self.workflow_id.clone();
            Some(Notice { workflow_id, number, recipient, about, follows })
        };
        new.into_iter().filter_map(notice).collect()
    }

    /// The [evidence](Self::evidence) of the version before.
    fn previous_evidence(&self, entries: usize) -> Option<Evidence> {
        let mut evidence = self.previous.as_ref()?.evidence.clone();
        evidence.journal.truncate(entries);
        Some(evidence)
    }

    /// Whether the mail that begins a reviewer's thread was taken.
    fn has_thread(&self, reviewer: &EmailAddress) -> bool {
        let mut seats = self.approval.stages().iter().flat_map(Stage::seats);
        let latest = seats.rfind(|seat| seat.reviewer == *reviewer);
        latest.is_some_and(|seat| self.deliveries.of(seat).sent)
    }
}

/// Leaves out comments, answers and reasons beyond what one notice may hold. Their proofs hold all the same.
pub(super) fn brief(mut evidence: Evidence) -> Evidence {
    let mut left = MAX_COMMENT_BYTES;
    let mut fits = |bytes: usize| {
        let less = left.checked_sub(bytes);
        left = less.unwrap_or(left);
        less.is_some()
    };
    for entry in &mut evidence.journal {
        match entry {
            Entry::Voted { ballot, .. } => {
                if !fits(ballot.comment.len()) {
                    ballot.left_out = Some(comment_hash(&std::mem::take(&mut ballot.comment)));
                }
                let answers = ballot.answers.iter().map(|(name, value)| name.len() + value.len());
                if !fits(answers.sum()) {
                    let answers = std::mem::take(&mut ballot.answers);
                    ballot.answers_left_out = Some(answers::hash(&answers));
                }
            }
            Entry::Delegated { delegation, .. } if !fits(delegation.reason.len()) => {
                let reason = std::mem::take(&mut delegation.reason);
                delegation.left_out = Some(comment_hash(&reason));
            }
            _ => {}
        }
    }
    evidence
}

impl Left {
    /// The approval to which all this has happened.
    pub(super) fn open(self) -> Result<Open, String> {
        let Left { evidence, workflow_id, encoding, deliveries, notices, outcome, previous } = self;
        let Evidence { plan: sealed, first_run_id, began, journal } = evidence;
        let plan = sealed.unverified().map_err(|error| error.to_string())?;
        if plan.stages.is_empty() && plan.rule_decision.is_none() {
            return Err("its plan has no stages".to_owned());
        }
        let approval = leaves::replay(&plan, began, journal).map_err(|why| why.to_string())?;
        let read = |sealed: Sealed<Outcome>| {
            let outcome = sealed.unverified();
            outcome.map(|outcome| (sealed, outcome)).map_err(|error| error.to_string())
        };
        let concluded = outcome.map(read).transpose()?;
        Ok(Open {
            sealed,
            time_zone: text::time_zone(&plan.time_zone),
            times_out_at: None,
            plan,
            workflow_id,
            first_run_id,
            began,
            encoding,
            approval,
            deliveries,
            notices,
            ending: Ending { concluded, ..Ending::default() },
            previous,
            revision: None,
            phase: None,
            issuing: false,
            unpublished: false,
            untraced: false,
        })
    }
}

impl TryFrom<Left> for Open {
    type Error = String;

    fn try_from(left: Left) -> Result<Self, String> {
        left.open()
    }
}

impl Serialize for Open {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.left().serialize(serializer)
    }
}
