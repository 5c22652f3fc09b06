//! What follows from evidence, which an activity takes from a caller that may be anybody.

use countersign_protos::{Chain, LinkKey, v1::Outcome};
use temporalio_sdk::activities::ActivityError;

use super::{Countersign, NOT_GENUINE, not_sealed, refusal};
use crate::{
    approval::Approval,
    leaves::{self, Leaves},
    outcome,
    policy::Plan,
    recorded::Evidence,
};

/// What follows from genuine evidence.
pub(super) struct Recomputed<'a> {
    pub(super) plan: Plan,
    /// Which has sealed the plan.
    pub(super) key: &'a LinkKey,
    pub(super) approval: Approval,
    /// So far.
    pub(super) outcome: Outcome,
}

impl Countersign {
    /// What follows from evidence, which has to be genuine. Some comments may be left out.
    pub(super) fn recompute<'a>(
        &'a self,
        chain: Chain<'_>,
        evidence: &Evidence,
    ) -> Result<Recomputed<'a>, ActivityError> {
        let (plan, key) = evidence.plan.open(chain, &self.link_keys).map_err(not_sealed)?;
        let leaves = Leaves { chain, plan: &plan, key };
        let approval = leaves.recompute(evidence.began, evidence.journal.clone());
        let approval = approval.map_err(|why| refusal(NOT_GENUINE, why.to_string()))?;
        let outcome = outcome::outcome(&plan, &approval, chain);
        Ok(Recomputed { plan, key, approval, outcome })
    }

    /// The same of evidence with all comments.
    pub(super) fn recompute_whole<'a>(
        &'a self,
        chain: Chain<'_>,
        evidence: &Evidence,
    ) -> Result<Recomputed<'a>, ActivityError> {
        match leaves::is_brief(&evidence.journal) {
            true => Err(refusal(NOT_GENUINE, "a comment is missing in what was recorded")),
            false => self.recompute(chain, evidence),
        }
    }
}
