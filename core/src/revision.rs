//! Revisions: from a plan, what has happened to it and another submission to the plan of the next version.
//!
//! That begins anew, with an empty journal. What came before is in the new plan, so that its seal certifies it.

use countersign_protos::{
    differences,
    names::{BY_LINK, BY_OPERATOR},
    submission::problem,
    text::to_message,
    v1::{EarlierVersion, Problem, Submission},
    version_field,
};
use jiff::Timestamp;

use crate::{
    approval::{Approval, ChangeRequest, Reviser, Signed, Status},
    leaves::Leaves,
    outcome::vote_message,
    policy::{Plan, Policy},
    validation::{Routing, carried, validate},
};

/// A revision as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// As sent.
    pub submission: Submission,
    /// What is wrong with its shape.
    pub problems: Vec<Problem>,
    pub by: Reviser,
}

/// The plan of the version after this one, to which that has happened: validated and routed as a new submission.
/// What has happened has to be [recomputed](Leaves::recompute), and so is the submitter's link.
///
/// # Errors
/// Every problem.
pub fn revise(
    leaves: Leaves<'_>,
    approval: &Approval,
    revision: Revision,
    routing: &Routing,
    rules: Option<&Policy>,
    at: Timestamp,
) -> Result<Plan, Vec<Problem>> {
    let plan = leaves.plan;
    let Revision { submission, mut problems, by } = revision;
    if let Err(why) = approval.may_revise(&by, &submission) {
        return Err(vec![problem("$", why.to_string())]);
    }
    problems.extend(kept(&plan.submission, &submission));
    let revised = validate(submission, problems, routing, rules, at)?;
    if revised.submitter.as_str() != plan.submitter.as_str() {
        return Err(vec![problem("$.submitter.email", SUBMITTER_STAYS)]);
    }
    // A mailbox that gets the submitter's link must not come to decide who decides.
    let routes_alike = revised.submission.approval == plan.submission.approval;
    if matches!(by, Reviser::Submitter(_)) && !routes_alike {
        return Err(vec![problem("$.approval", APPROVAL_STAYS)]);
    }
    if differences(&plan.submission, &revised.submission).is_empty() {
        return Err(vec![problem("$", "changes nothing of what is to be decided")]);
    }
    let mut earlier = plan.earlier.clone();
    earlier.push(record(plan, approval, by, at));
    let revised = revised.revising(earlier, plan.submission.clone());
    carried(&revised).map_err(|too_large| vec![too_large])?;
    Ok(revised)
}

const APPROVAL_STAYS: &str =
    "must stay as it is: by the submitter's link, nobody changes who decides";
const SUBMITTER_STAYS: &str = "must stay as it is: a revision has the same submitter";

/// What a revision must not change, as problems.
fn kept(earlier: &Submission, later: &Submission) -> Vec<Problem> {
    let mut problems = Vec::new();
    if earlier.submission_id != later.submission_id {
        let message = format!("must stay {:?}: a revision has the same ID", earlier.submission_id);
        problems.push(problem("$.submissionId", message));
    }
    problems
}

/// What the next version says of this one.
fn record(plan: &Plan, approval: &Approval, by: Reviser, at: Timestamp) -> EarlierVersion {
    let (stage, request) = match approval.status() {
        Status::ChangesRequested(ChangeRequest { stage, seat, vote, .. }) => {
            (stage.plan().name.clone(), Some(vote_message(seat, vote)))
        }
        Status::Pending(..)
        | Status::Approved(..)
        | Status::Rejected(..)
        | Status::Expired(..)
        | Status::Withdrawn(_) => (String::new(), None),
    };
    let version = EarlierVersion {
        version: version_field(plan.version()),
        digest: plan.digest.clone(),
        stage,
        request,
        revised_at: Some(to_message(at)),
        ..EarlierVersion::default()
    };
    match by {
        Reviser::Submitter(Signed { link, proof }) => {
            EarlierVersion { by: BY_LINK.to_owned(), link, proof: Some(proof), ..version }
        }
        Reviser::Operator(identity) => {
            EarlierVersion { by: BY_OPERATOR.to_owned(), identity, ..version }
        }
    }
}

#[cfg(test)]
mod tests;
