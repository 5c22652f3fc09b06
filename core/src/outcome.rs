//! What was decided, as messages and in words: made from a plan and its approval.

use countersign_protos::{text::to_message, v1};
use jiff::Timestamp;

use crate::{
    approval::{
        Approval, EmailAddress, End, OnDeadline, Reason, Seat, SeatStatus, Stage, Status, Verdict,
        Vote,
    },
    policy::Plan,
};

/// The outcome; of an approval that is pending, what has been decided so far.
pub fn outcome(plan: &Plan, approval: &Approval) -> v1::Outcome {
    let submission = &plan.submission;
    let opened = approval.stages().iter().filter(|stage| stage.opened_at().is_some());
    v1::Outcome {
        status: status(approval).into(),
        submission_id: submission.submission_id.clone(),
        submission_type: submission.submission_type.clone(),
        decided_at: decided_at(approval).map(to_message),
        reason: reason(approval),
        because: Some(approval.reason().into()),
        submitter: submission.submitter.clone(),
        document: submission.document.clone(),
        stages: opened.map(|stage| stage_outcome(approval, stage)).collect(),
        rule: plan.rule.clone(),
        ..Default::default()
    }
}

/// The verdict of an approval that was approved or rejected.
pub fn verdict(approval: &Approval) -> Option<Verdict> {
    match approval.status() {
        Status::Approved(..) => Some(Verdict::Approve),
        Status::Rejected(..) => Some(Verdict::Reject),
        Status::Pending(..) | Status::Expired(..) | Status::Withdrawn(_) => None,
    }
}

/// Whether others were asked instead of a reviewer who had not decided.
pub fn is_superseded(seat: &Seat) -> bool {
    seat.status == SeatStatus::Superseded && seat.vote.is_none()
}

pub fn status(approval: &Approval) -> v1::Status {
    match approval.status() {
        Status::Pending(..) => v1::Status::Pending,
        Status::Approved(..) => v1::Status::Approved,
        Status::Rejected(..) => v1::Status::Rejected,
        Status::Expired(..) => v1::Status::Expired,
        Status::Withdrawn(_) => v1::Status::Withdrawn,
    }
}

pub fn stage_status(approval: &Approval, stage: &Stage) -> v1::Status {
    match stage.end() {
        None if matches!(approval.status(), Status::Withdrawn(_)) => v1::Status::Withdrawn,
        None => v1::Status::Pending,
        Some((End::Approved, _)) => v1::Status::Approved,
        Some((End::Rejected, _)) => v1::Status::Rejected,
        Some((End::Expired, _)) => v1::Status::Expired,
    }
}

pub fn decided_at(approval: &Approval) -> Option<Timestamp> {
    match approval.status() {
        Status::Pending(..) => None,
        Status::Approved(_, at) | Status::Rejected(_, at) | Status::Expired(_, at) => Some(at),
        Status::Withdrawn(withdrawal) => Some(withdrawal.at),
    }
}

/// Why an approval has its status, in one sentence.
pub fn reason(approval: &Approval) -> String {
    match approval.reason() {
        Reason::NotOpened { stage } => format!("{stage} is asked next."),
        Reason::Waiting { stage, needed: 1, .. } => format!("{stage} waits for a decision."),
        Reason::Waiting { stage, approvals, needed } => {
            format!("{stage} has {approvals} of the {needed} approvals it needs.")
        }
        Reason::Votes { verdict, reviewers, .. } => {
            format!("{} by {}.", decided(verdict), names(&reviewers))
        }
        Reason::Rule { rule, verdict } => format!("{} by the rule {rule}.", decided(verdict)),
        Reason::DeadlinePassed { stage, effect, rejected_by } => {
            let consequence = match effect {
                OnDeadline::Approve => "which counts as approval".to_owned(),
                OnDeadline::Expire => "which ends the approval".to_owned(),
                OnDeadline::Reject if rejected_by.is_empty() => {
                    "which counts as rejection".to_owned()
                }
                OnDeadline::Reject => {
                    format!("and counts as rejected, as {} rejected it", names(&rejected_by))
                }
            };
            format!("{stage} was not decided before its deadline, {consequence}.")
        }
        Reason::Withdrawn { text: "" } => "Withdrawn before it was decided.".into(),
        Reason::Withdrawn { text } => format!("Withdrawn: {text}"),
    }
}

fn decided(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "Approved",
        Verdict::Reject => "Rejected",
    }
}

fn names(people: &[&EmailAddress]) -> String {
    let names: Vec<&str> = people.iter().map(|person| person.as_str()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nobody".to_owned(),
    }
}

fn stage_outcome(approval: &Approval, stage: &Stage) -> v1::StageOutcome {
    let votes = stage.votes();
    let silent = stage.seats().iter().filter(|seat| seat.vote.is_none());
    v1::StageOutcome {
        name: stage.plan().name.clone(),
        status: stage_status(approval, stage).into(),
        decisions: votes.iter().map(|(seat, vote)| vote_message(seat, vote)).collect(),
        undecided: silent.map(|seat| seat.reviewer.to_string()).collect(),
    }
}

pub fn vote_message(seat: &Seat, vote: &Vote) -> v1::Vote {
    v1::Vote {
        reviewer: seat.reviewer.to_string(),
        link: seat.link.clone(),
        verdict: vote.verdict.into(),
        comment: vote.comment.clone(),
        decided_at: Some(to_message(vote.at)),
        on_behalf_of: seat.on_behalf_of.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}
