//! What a history says of an approval while no worker answers.

use countersign_protos::{
    GenuineLink, Statement, Verdict,
    answers::{self, Answers},
    comment_hash, names, payload,
    text::{self, to_message},
    v1::{
        ApprovalState, Decision, Outcome, Proof, Reassignment, Reissue, ReviewerState,
        StageOutcome, StageState, Status, Submission, Vote,
    },
    version_field,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, WorkflowExecutionSignaledEventAttributes, history_event::Attributes,
};

use crate::{
    address::mailbox,
    answer::{self, Ending, Reading},
    disclosure::without_document,
    lookup::{Issued, Planned, json, local_activity},
    temporal::from_temporal,
};

/// Reads the closing event of a workflow; `status` is its search attribute, and `time_zone` that of its plan.
/// `None` if the run was continued as new.
pub(crate) fn read(
    submission: Submission,
    time_zone: String,
    closing: Option<HistoryEvent>,
    status: Status,
) -> Option<Reading> {
    let pending = ApprovalState {
        status: Status::Pending.into(),
        submission: Some(submission),
        time_zone,
        ..ApprovalState::default()
    };
    // It may have been decided before that, with notices still to send.
    let ended = |ending, state| match answer::pending(status) {
        true => Reading::Ended(ending, state),
        false => Reading::Closed(ApprovalState { status: status.into(), ..state }),
    };
    let closed_at = closing.as_ref().and_then(time_of);
    Some(match closing.and_then(|event| event.attributes) {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => {
            match payload::decode(&from_temporal(completed.result.unwrap_or_default().payloads)) {
                Ok(outcome) => Reading::Closed(decided(outcome, pending)),
                Err(_) => Reading::Ended(Ending::Unreadable, pending),
            }
        }
        Some(Attributes::WorkflowExecutionCanceledEventAttributes(_)) => {
            Reading::Closed(ApprovalState {
                status: Status::Withdrawn.into(),
                decided_at: closed_at,
                ..pending
            })
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(_)) => {
            ended(Ending::Failed, pending)
        }
        Some(Attributes::WorkflowExecutionTerminatedEventAttributes(_)) => {
            ended(Ending::Terminated, pending)
        }
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(_)) => {
            ended(Ending::TimedOut, ApprovalState { times_out_at: closed_at, ..pending })
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)) => return None,
        _ => Reading::NoWorker(pending),
    })
}

/// A seat, as it is recorded where its link is issued.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seat {
    stage: u32,
    round: u32,
    reviewer: String,
    #[serde(default)]
    on_behalf_of: Option<String>,
    #[serde(default)]
    instead_of: Option<String>,
    link: String,
}

impl Seat {
    fn is_later_than(&self, other: &Seat) -> bool {
        self.stage == other.stage && self.round > other.round
    }

    /// Whether it is the same people's by a new link.
    fn renews(&self, earlier: &Seat) -> bool {
        let Seat { reviewer, on_behalf_of, instead_of, .. } = earlier;
        self.is_later_than(earlier)
            && (&self.reviewer, &self.on_behalf_of, &self.instead_of)
                == (reviewer, on_behalf_of, instead_of)
    }

    /// All that were recorded here, at any depth.
    fn all(recorded: &Value) -> Vec<Self> {
        match recorded {
            Value::Array(values) => values.iter().flat_map(Self::all).collect(),
            Value::Object(fields) => match Self::deserialize(recorded) {
                Ok(seat) => vec![seat],
                Err(_) => fields.values().flat_map(Self::all).collect(),
            },
            _ => Vec::new(),
        }
    }
}

/// How many signatures are checked for a page: anybody may signal any number.
const MAX_PROOFS: usize = 100;

/// An open approval while no worker answers, as far as the events of its run tell; `None` if they cannot be read.
pub(crate) fn unattended(
    state: ApprovalState,
    issued: &Issued,
    link: &GenuineLink,
    events: Option<&[HistoryEvent]>,
) -> Reading {
    let Planned { rule, confirm, comment_required, delegate_to, .. } = &issued.planned;
    let comment_required = comment_required.iter().map(|verdict| i32::from(*verdict)).collect();
    let state = ApprovalState {
        rule: rule.clone(),
        confirm: *confirm,
        comment_required,
        delegate_to: delegate_to.clone(),
        version: version_field(issued.version),
        earlier_versions: issued.planned.earlier.clone(),
        previous: issued.planned.previous.clone(),
        ..state
    };
    let state = of_version(state, issued, link);
    if issued.is_submitters {
        // What would be signed is not known.
        return Reading::Outdated(without_document(state));
    }
    if events.is_some_and(|events| replaces(link, events)) {
        return Reading::Replaced(without_document(state));
    }
    let key = link.public_key();
    let mut place = Place { link, key, issued, deadline: None, tried: 0, vote: None };
    events.unwrap_or_default().iter().for_each(|event| place.read(event));
    let state = ApprovalState { stages: vec![place.stage()], ..state };
    Reading::NoWorker(if events.is_some() { state } else { with_fields_alone(state) })
}

/// A state without its document, in which there is still what a decision needs.
fn with_fields_alone(state: ApprovalState) -> ApprovalState {
    let fields = state.submission.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
    let mut state = without_document(state);
    state.submission.iter_mut().for_each(|submission| submission.fields.clone_from(&fields));
    state
}

/// A state of the version that the link was issued for.
pub(crate) fn of_version(
    state: ApprovalState,
    issued: &Issued,
    link: &GenuineLink,
) -> ApprovalState {
    let submitter_link = match issued.is_submitters {
        true => link.hash().as_str().to_owned(),
        false => String::new(),
    };
    ApprovalState { digest: issued.digest.clone(), submitter_link, ..state }
}

/// What events tell of the reader's place: until when they may decide, and what they have decided.
struct Place<'a> {
    link: &'a GenuineLink,
    /// What checks its proofs.
    key: String,
    issued: &'a Issued,
    deadline: Option<Timestamp>,
    /// How many proofs were checked.
    tried: usize,
    vote: Option<Vote>,
}

impl Place<'_> {
    fn read(&mut self, event: &HistoryEvent) {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                let input = json(started.input.as_ref()).unwrap_or_default();
                let journal = input["case"]["open"]["evidence"]["journal"].as_array();
                journal.into_iter().flatten().for_each(|entry| self.read_entry(entry));
            }
            Some(Attributes::MarkerRecordedEventAttributes(marker)) => {
                let issued = local_activity(marker)
                    .filter(|(activity, _)| activity == names::ACTIVITY_ISSUE_LINKS);
                issued.iter().for_each(|(_, result)| self.asked(result));
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) => {
                let payloads = from_temporal(signal.input.clone().unwrap_or_default().payloads);
                let verdict = Verdict::from_name(&signal.signal_name);
                let decision = answers::decision(&payloads).ok();
                let Some((verdict, decision)) = verdict.zip(decision) else { return };
                if decision.link.trim() != self.link.hash().as_str() {
                    return;
                }
                self.voted(verdict, decision, time_of(event));
            }
            _ => {}
        }
    }

    /// What the run before has left.
    fn read_entry(&mut self, entry: &Value) {
        self.asked(&entry["asked"]);
        let (ballot, at) = (&entry["voted"]["ballot"], &entry["voted"]["at"]);
        let verdict = Verdict::deserialize(&ballot["verdict"]).ok();
        let decision = Decision {
            proof: Proof::deserialize(&ballot["proof"]).ok(),
            comment: ballot["comment"].as_str().unwrap_or_default().to_owned(),
            answers: Answers::deserialize(&ballot["answers"]).unwrap_or_default(),
            ..Decision::default()
        };
        let at = Timestamp::deserialize(at).ok().map(to_message);
        let is_own = ballot["claim"]["Link"] == self.link.hash().as_str();
        if let Some(verdict) = verdict.filter(|_| is_own) {
            self.voted(verdict, decision, at);
        }
    }

    /// Each level has a deadline of its own; new links and replacements have none.
    fn asked(&mut self, asked: &Value) {
        let seats = Seat::all(&asked["invited"]);
        let is_own = seats.iter().any(|seat| seat.stage as usize == self.issued.stage);
        let deadline = Timestamp::deserialize(&asked["due"]["deadline"]).ok();
        self.deadline = deadline.filter(|_| is_own).or(self.deadline);
    }

    /// The first decision that only the holder of the link can have made, and that the rule takes.
    fn voted(&mut self, verdict: Verdict, decision: Decision, at: Option<pbjson_types::Timestamp>) {
        let looks_on = self.vote.is_none() && self.tried < MAX_PROOFS;
        let Some(proof) = decision.proof.filter(|_| looks_on) else { return };
        self.tried += 1;
        let (hash, comment) = (self.link.hash().as_str(), text::comment(&decision.comment));
        let said = Statement::Vote {
            verdict,
            comment: &comment_hash(&comment),
            answers: &answers::hash(&decision.answers),
        };
        let is_own = proof.proves(&self.key, hash, said);
        let lacks_comment =
            comment.is_empty() && self.issued.planned.comment_required.contains(&verdict);
        let fields = &self.issued.submission.fields;
        let Ok(answers) = answers::check(fields, verdict, &decision.answers) else { return };
        if is_own && !lacks_comment {
            self.vote = Some(Vote {
                answers,
                reviewer: self.issued.seat.reviewer.clone(),
                verdict: verdict.into(),
                comment,
                decided_at: at,
                link: hash.to_owned(),
                by: names::BY_LINK.to_owned(),
                ..Vote::default()
            });
        }
    }

    fn stage(self) -> StageState {
        StageState {
            name: self.issued.planned.stage.clone(),
            deadline: self.deadline.map(to_message),
            reviewers: vec![ReviewerState { vote: self.vote, ..self.issued.seat.clone() }],
            ..StageState::default()
        }
    }
}

fn time_of(event: &HistoryEvent) -> Option<pbjson_types::Timestamp> {
    let at = event.event_time.as_ref()?;
    Some(pbjson_types::Timestamp { seconds: at.seconds, nanos: at.nanos })
}

/// Whether these events of an open run put a new link, or somebody else, in the place of this link, or order a
/// new one that no worker has issued yet. Whom a deadline supersedes depends on the votes, so that is left out.
fn replaces(link: &GenuineLink, events: &[HistoryEvent]) -> bool {
    let (mut seats, mut ordered) = (Vec::<Seat>::new(), Vec::<String>::new());
    let (mut delegated, mut tried) = (false, 0);
    for event in events {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                let input = json(started.input.as_ref()).unwrap_or_default();
                seats.extend(Seat::all(&input["case"]["open"]["evidence"]["journal"]));
            }
            Some(Attributes::MarkerRecordedEventAttributes(marker)) => {
                let Some((activity, result)) = local_activity(marker) else { continue };
                match activity.as_str() {
                    // Who was asked in an earlier version is asked anew. A revision that is refused has no plan.
                    names::ACTIVITY_VALIDATE if result["plan"].is_object() => seats.clear(),
                    names::ACTIVITY_ISSUE_LINKS => seats.extend(Seat::all(&result["invited"])),
                    _ => {}
                }
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) => {
                ordered.extend(order(signal));
                let delegation = delegation(signal).filter(|it| it.link == link.hash().as_str());
                let looked_at = delegation.filter(|_| !delegated && tried < MAX_PROOFS);
                tried += usize::from(looked_at.is_some());
                delegated |= looked_at.is_some_and(|delegation| is_own(link, &delegation));
            }
            // A worker has seen the signals before it.
            Some(Attributes::WorkflowTaskCompletedEventAttributes(_)) => {
                ordered.clear();
                delegated = false;
            }
            _ => {}
        }
    }
    let own = seats.iter().find(|seat| seat.link == link.hash().as_str());
    let Some(own) = own else { return false };
    let is_own = |who: &String| mailbox(who) == mailbox(&own.reviewer);
    delegated
        || ordered.iter().any(|who| who.trim().is_empty() || is_own(who))
        || seats.iter().any(|seat| {
            let takes_over = seat.instead_of.as_ref().is_some_and(is_own)
                && seat.is_later_than(own)
                && !seats.iter().any(|earlier| seat.renews(earlier));
            takes_over || seat.renews(own)
        })
}

/// What a signal says that wants somebody else asked by a link.
fn delegation(signal: &WorkflowExecutionSignaledEventAttributes) -> Option<Reassignment> {
    let payloads = from_temporal(signal.input.clone().unwrap_or_default().payloads);
    let read = || payload::decode::<Reassignment>(&payloads).ok();
    (signal.signal_name == names::SIGNAL_REASSIGN).then(read)?
}

/// Whether the holder of the link wants it so.
fn is_own(link: &GenuineLink, delegation: &Reassignment) -> bool {
    let reason = comment_hash(&text::comment(&delegation.reason));
    let statement = Statement::Delegate { to: &delegation.to, reason: &reason };
    let proof = delegation.proof.as_ref();
    proof.is_some_and(|it| it.proves(&link.public_key(), link.hash().as_str(), statement))
}

/// For whom a signal orders new links; empty for all.
fn order(signal: &WorkflowExecutionSignaledEventAttributes) -> Option<String> {
    if signal.signal_name != names::SIGNAL_REISSUE {
        return None;
    }
    let payloads = from_temporal(signal.input.clone().unwrap_or_default().payloads);
    let read: Reissue = payload::decode_optional(&payloads).ok()?;
    Some(read.reviewer)
}

/// An outcome in the shape of the workflow's own answer. Enum values that only a newer version knows
/// become unspecified, since they cannot be written as JSON.
fn decided(outcome: Outcome, pending: ApprovalState) -> ApprovalState {
    ApprovalState {
        status: outcome.status().into(),
        // The outcome names them too, but the link proves only those that it was issued for.
        submission: pending.submission,
        stages: outcome.stages.into_iter().map(stage).collect(),
        decided_at: outcome.decided_at,
        reason: outcome.reason,
        because: outcome.because,
        digest: outcome.digest,
        jws: outcome.jws,
        version: outcome.version,
        withdrawal: outcome.withdrawal,
        time_zone: outcome.time_zone,
        ..ApprovalState::default()
    }
}

fn stage(stage: StageOutcome) -> StageState {
    let status = stage.status().into();
    let decided = stage.decisions.into_iter().map(|vote| ReviewerState {
        reviewer: vote.reviewer.clone(),
        link: vote.link.clone(),
        on_behalf_of: vote.on_behalf_of.clone(),
        instead_of: vote.instead_of.clone(),
        round: vote.round,
        vote: Some(Vote { verdict: vote.verdict().into(), ..vote }),
        ..ReviewerState::default()
    });
    let undecided = stage
        .undecided
        .into_iter()
        .map(|reviewer| ReviewerState { reviewer, ..ReviewerState::default() });
    StageState {
        name: stage.name,
        status,
        reviewers: decided.chain(undecided).collect(),
        ..StageState::default()
    }
}

#[cfg(test)]
mod tests;
