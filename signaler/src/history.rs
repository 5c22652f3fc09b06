//! What a history says of an approval while no worker answers.

use countersign_protos::{
    payload,
    v1::{
        ApprovalState, Outcome, ReviewerState, StageOutcome, StageState, Status, Submission, Vote,
    },
};
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, history_event::Attributes,
};

use crate::{
    answer::{self, Ending, Reading},
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
    let closed_at = closing.as_ref().and_then(|event| event.event_time);
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
                decided_at: closed_at.map(|time| pbjson_types::Timestamp {
                    seconds: time.seconds,
                    nanos: time.nanos,
                }),
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
            ended(Ending::TimedOut, pending)
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)) => return None,
        _ => Reading::NoWorker(pending),
    })
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
