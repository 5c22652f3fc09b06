//! What was decided, as messages and in words: made from a plan and its approval.

mod possible;
mod queries;
mod reason;
mod superseded;

use countersign_protos::{
    Chain, Claims, execution_key, names,
    text::{self, to_message},
    v1, version_field,
};
use jiff::Timestamp;

use crate::{
    approval::{
        Approval, Basis, By, ChangeRequest, Delegation, EmailAddress, End, Entry, OnDeadline, Seat,
        SeatStatus, Signed, Stage, Status, Verdict, Vote,
    },
    limits::MAX_NAME_BYTES,
    policy::{FollowUp, Plan},
};

pub use possible::Possible;
pub use reason::Reason;
pub use superseded::Superseded;

/// How many hexadecimal digits of the execution key tell apart approvals of the same workflow ID.
const ID_KEY_CHARS: usize = 8;

/// The outcome; of an approval that is pending, what has been decided so far.
pub fn outcome(plan: &Plan, approval: &Approval, chain: Chain<'_>) -> v1::Outcome {
    let submission = &plan.submission;
    let opened = approval.stages().iter().filter(|stage| stage.opened_at().is_some());
    let status = status(approval);
    let (child_workflow_id, child_namespace) = match follow_up(plan, status) {
        Some(next) => {
            let namespace = next.namespace.clone().unwrap_or_default();
            (follow_up_id(chain, &plan.digest, status), namespace)
        }
        None => Default::default(),
    };
    v1::Outcome {
        status: status.into(),
        submission_id: submission.submission_id.clone(),
        submission_type: submission.submission_type.clone(),
        decided_at: decided_at(approval).map(to_message),
        reason: reason(approval),
        because: Some(approval.reason().into()),
        submitter: submission.submitter.clone(),
        document: submission.document.clone(),
        fields: submission.fields.clone(),
        stages: opened.map(|stage| stage_outcome(approval, stage)).collect(),
        rule: plan.rule.clone(),
        routed_by: routed_by(plan).to_owned(),
        time_zone: plan.time_zone.clone(),
        digest: plan.digest.clone(),
        action_digest: plan.action_digest.clone(),
        execution_key: execution_key(chain, &plan.digest),
        basis: basis(approval).to_owned(),
        operator: operator_had_a_part(approval),
        operator_actions: operator_actions(plan, approval),
        child_workflow_id,
        child_namespace,
        version: version_field(plan.version()),
        earlier_versions: plan.earlier.clone(),
        withdrawal: withdrawal(approval),
        // Signed later, and what comes after that.
        ..Default::default()
    }
}

/// Who said who is asked.
pub fn routed_by(plan: &Plan) -> &'static str {
    match (&plan.submission.approval, plan.rule.is_empty()) {
        (Some(_), _) => "submission",
        (None, false) => "rule",
        (None, true) => "settings",
    }
}

/// The workflow that is started with this outcome.
pub fn follow_up(plan: &Plan, status: v1::Status) -> Option<&FollowUp> {
    match status {
        v1::Status::Approved => plan.follow_ups.approved.as_ref(),
        v1::Status::Rejected => plan.follow_ups.rejected.as_ref(),
        v1::Status::Pending
        | v1::Status::ChangesRequested
        | v1::Status::Expired
        | v1::Status::Withdrawn
        | v1::Status::Unspecified => None,
    }
}

fn follow_up_id(chain: Chain<'_>, digest: &str, status: v1::Status) -> String {
    id(chain, digest, &status.as_str_name().to_lowercase())
}

/// The ID of the workflow that goes on delivering notices.
pub fn notices_id(chain: Chain<'_>, outcome: &v1::Outcome) -> String {
    let status = outcome.status().as_str_name().to_lowercase();
    id(chain, &outcome.digest, &format!("{status}-notices"))
}

/// The ID of a workflow that belongs to an approval. It is the same after a reset, and another one for
/// another approval of the same workflow ID. If the readable one is too long, it is the execution key's.
fn id(chain: Chain<'_>, digest: &str, what: &str) -> String {
    let key = execution_key(chain, digest);
    let readable = format!("{}-{what}-{}", chain.workflow_id, &key[..ID_KEY_CHARS]);
    match readable.len() <= MAX_NAME_BYTES {
        true => readable,
        false => format!("{key}-{what}"),
    }
}

/// What of an outcome is signed.
pub fn claims(outcome: &v1::Outcome, chain: Chain<'_>) -> Claims {
    let decided_at = outcome.decided_at.as_ref().and_then(text::timestamp);
    Claims {
        workflow_id: chain.workflow_id.to_owned(),
        first_run_id: chain.first_run_id.to_owned(),
        submission_id: outcome.submission_id.clone(),
        status: outcome.status().as_str_name().to_owned(),
        basis: outcome.basis.clone(),
        operator: outcome.operator,
        digest: outcome.digest.clone(),
        action_digest: outcome.action_digest.clone(),
        execution_key: outcome.execution_key.clone(),
        decided_at: decided_at.unwrap_or_default().to_string(),
    }
}

/// Where a stage was decided by its deadline, people alone have not decided.
fn basis(approval: &Approval) -> &'static str {
    match approval.status() {
        Status::Pending(..) | Status::ChangesRequested(_) => "",
        Status::Withdrawn(_) => "withdrawal",
        Status::Approved(Basis::Rule(_), _) | Status::Rejected(Basis::Rule(_), _) => "rule",
        Status::Expired(..) => "deadline",
        Status::Approved(Basis::Stage(_), _) | Status::Rejected(Basis::Stage(_), _) => {
            match approval.stages().iter().any(Stage::ended_by_deadline) {
                true => "deadline",
                false => "people",
            }
        }
    }
}

fn operator_had_a_part(approval: &Approval) -> bool {
    let seats = approval.stages().iter().flat_map(Stage::seats);
    let mut votes = seats.filter_map(|seat| Some((seat, seat.vote.as_ref()?)));
    votes.any(|(seat, vote)| {
        approval.is_chosen_by_operator(seat) || matches!(vote.by, By::Operator(_))
    })
}

/// How the submitter withdrew it, if they did so by their link.
pub fn withdrawal(approval: &Approval) -> Option<v1::Withdrawal> {
    let Status::Withdrawn(withdrawal) = approval.status() else { return None };
    let Signed { link, proof } = withdrawal.signed.clone()?;
    Some(v1::Withdrawal { reason: withdrawal.reason.clone(), link, proof: Some(proof) })
}

/// Which changes wait for the submitter.
pub fn change_request(approval: &Approval) -> Option<v1::ChangeRequest> {
    let Status::ChangesRequested(ChangeRequest { stage, seat, vote, deadline, .. }) =
        approval.status()
    else {
        return None;
    };
    Some(v1::ChangeRequest {
        stage: stage.plan().name.clone(),
        vote: Some(vote_message(seat, vote)),
        deadline: deadline.map(to_message),
    })
}

/// What operators did besides deciding, in order: of earlier versions, that they revised them.
pub fn operator_actions(plan: &Plan, approval: &Approval) -> Vec<v1::OperatorAction> {
    let action = |action: &str, identity: &String, at: &Timestamp| v1::OperatorAction {
        action: action.to_owned(),
        at: Some(to_message(*at)),
        identity: identity.clone(),
        ..Default::default()
    };
    let actions = approval.journal().iter().filter_map(|entry| match entry {
        Entry::Reassigned { from, to, identity, at } => Some(v1::OperatorAction {
            reviewer: from.to_string(),
            to: to.to_string(),
            ..action(names::SIGNAL_REASSIGN, identity, at)
        }),
        Entry::Reminded { reviewer, identity, at } => Some(v1::OperatorAction {
            reviewer: reviewer.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..action(names::SIGNAL_REMIND, identity, at)
        }),
        Entry::Reissued { reviewer, identity, at } => Some(v1::OperatorAction {
            reviewer: reviewer.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..action(names::SIGNAL_REISSUE, identity, at)
        }),
        Entry::Withdrawn { identity, at, signed: None, .. } => {
            Some(action(names::SIGNAL_WITHDRAW, identity, at))
        }
        Entry::Withdrawn { signed: Some(_), .. }
        | Entry::SubmitterAsked { .. }
        | Entry::Asked { .. }
        | Entry::Voted { .. }
        | Entry::Delegated { .. }
        | Entry::Reached { .. }
        | Entry::TimePassed { .. } => None,
    });
    let revisions = plan.earlier.iter().filter(|earlier| earlier.by == names::BY_OPERATOR);
    let revisions = revisions.map(|earlier| v1::OperatorAction {
        action: names::SIGNAL_REVISE.to_owned(),
        at: earlier.revised_at,
        identity: earlier.identity.clone(),
        principal: earlier.principal.clone(),
        ..Default::default()
    });
    revisions.chain(actions).collect()
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
        Status::ChangesRequested(_) => v1::Status::ChangesRequested,
        Status::Expired(..) => v1::Status::Expired,
        Status::Withdrawn(_) => v1::Status::Withdrawn,
    }
}

pub fn stage_status(approval: &Approval, stage: &Stage) -> v1::Status {
    match stage.end() {
        None if matches!(approval.status(), Status::Withdrawn(_)) => v1::Status::Withdrawn,
        None if stage.change_request().is_some() => v1::Status::ChangesRequested,
        None => v1::Status::Pending,
        Some((End::Approved, _)) => v1::Status::Approved,
        Some((End::Rejected, _)) => v1::Status::Rejected,
        Some((End::Expired, _)) => v1::Status::Expired,
    }
}

pub fn decided_at(approval: &Approval) -> Option<Timestamp> {
    match approval.status() {
        Status::Pending(..) | Status::ChangesRequested(_) => None,
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
        Reason::Unreachable { stage } => format!("Nobody in {stage} can be reached."),
        Reason::ChangesRequested { stage, reviewer } => {
            format!("{reviewer} requested changes in {stage}.")
        }
        Reason::NotRevised { stage } => {
            format!(
                "The changes that {stage} requested were not made in time, which ends the approval."
            )
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
        Reason::Withdrawn { text } => format!("Withdrawn: {}", sentence(text)),
    }
}

/// What somebody wrote, with a full stop if it lacks one: more may follow.
fn sentence(text: &str) -> String {
    let end = text.trim_end().trim_end_matches(['"', '\'', '”', '’', '»', ')']);
    match end.ends_with(['.', '!', '?', '…', '。', '！', '？']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}

fn decided(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "Approved",
        Verdict::Reject => "Rejected",
        Verdict::RequestChanges => "Changes requested",
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
    // Somebody with a new link has another seat, and is named by that one.
    let silent = |seat: &&Seat| seat.vote.is_none() && !stage.is_reissued(seat);
    let silent = stage.seats().iter().filter(silent);
    v1::StageOutcome {
        name: stage.plan().name.clone(),
        status: stage_status(approval, stage).into(),
        decisions: votes.iter().map(|(seat, vote)| vote_message(seat, vote)).collect(),
        undecided: silent.map(|seat| seat.reviewer.to_string()).collect(),
        delegations: delegations(stage),
    }
}

/// Who has had others asked in their place, in order.
pub fn delegations(stage: &Stage) -> Vec<v1::Delegation> {
    let delegations = stage.delegations().into_iter();
    let message = |(from, delegation, at): (&Seat, &Delegation, Timestamp)| v1::Delegation {
        reviewer: from.reviewer.to_string(),
        to: delegation.to.to_string(),
        reason: delegation.reason.clone(),
        at: Some(to_message(at)),
        link: delegation.link.clone(),
        proof: Some(delegation.proof.clone()),
    };
    delegations.map(message).collect()
}

pub fn vote_message(seat: &Seat, vote: &Vote) -> v1::Vote {
    v1::Vote {
        reviewer: seat.reviewer.to_string(),
        link: seat.link.clone(),
        verdict: vote.verdict.into(),
        comment: vote.comment.clone(),
        answers: vote.answers.clone(),
        decided_at: Some(to_message(vote.at)),
        on_behalf_of: seat.on_behalf_of.as_ref().map(ToString::to_string).unwrap_or_default(),
        by: match &vote.by {
            By::Link(_) => names::BY_LINK,
            By::Operator(_) => names::BY_OPERATOR,
        }
        .to_owned(),
        identity: match &vote.by {
            By::Link(_) => String::new(),
            By::Operator(identity) => identity.clone(),
        },
        proof: match &vote.by {
            By::Link(proof) => Some(proof.clone()),
            By::Operator(_) => None,
        },
        round: seat.round,
        instead_of: seat.instead_of.as_ref().map(ToString::to_string).unwrap_or_default(),
        principal: String::new(),
    }
}
