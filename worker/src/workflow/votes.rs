//! One line in the log for each vote that counts, and for each delegation. The signaler's line about the press has the
//! same workflow ID and link.

use countersign_protos::text::clean_line;
use tracing::info;

use crate::{
    approval::By,
    case::{CountedDelegation, CountedVote},
    metrics::{came_by, metrics},
};

/// How much of a link's hash logs have.
const SHORT: usize = 6;

pub(super) fn tell(workflow_id: &str, counted: &CountedVote) {
    let CountedVote { stage, reviewer, link, vote } = counted;
    metrics().approvals.decided(vote);
    let identity = match &vote.by {
        By::Link(_) => None,
        By::Operator(identity) => Some(clean_line(identity)),
    };
    info!(
        workflow_id = clean_line(workflow_id),
        stage = clean_line(stage),
        reviewer = clean_line(reviewer.as_str()),
        verdict = vote.verdict.terms().name,
        by = came_by(&vote.by),
        identity,
        link = link.get(..SHORT),
        "decision"
    );
}

pub(super) fn tell_delegation(workflow_id: &str, counted: &CountedDelegation) {
    let CountedDelegation { stage, from, link, to } = counted;
    metrics().approvals.delegated();
    info!(
        workflow_id = clean_line(workflow_id),
        stage = clean_line(stage),
        reviewer = clean_line(from.as_str()),
        to = clean_line(to.as_str()),
        link = link.get(..SHORT),
        "delegation"
    );
}
