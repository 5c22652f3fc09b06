//! Revisions: from what has happened to a version to the sealed plan of the next one.

use countersign_protos::{Chain, names, text::clean_line};
use jiff::Timestamp;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tracing::info;

use super::{Countersign, evidence::Recomputed, operators};
use crate::{
    approval::Reviser,
    leaves::Leaves,
    metrics::metrics,
    recorded::{Revising, Validated},
    revision::{self, Revision},
};

impl Countersign {
    /// Validates and routes a submission that takes the place of another, and seals its plan.
    pub(super) async fn revise(
        &self,
        ctx: &ActivityContext,
        chain: Chain<'_>,
        revising: Revising,
    ) -> Result<Validated, ActivityError> {
        let Revising { evidence, submission, by } = revising;
        let Recomputed { plan, key, approval, outcome } = self.recompute_whole(chain, &evidence)?;
        // The new plan certifies what it says of the version before.
        operators::check(&outcome, &evidence, ctx, chain.workflow_id).await?;
        if let Reviser::Operator(identity) = &by {
            operators::check_revision(&submission, identity, ctx, chain).await?;
        }
        let came_by = match &by {
            Reviser::Submitter(_) => names::BY_LINK,
            Reviser::Operator(_) => names::BY_OPERATOR,
        };
        let revision = Revision { submission, problems: Vec::new(), by };
        let leaves = Leaves { chain, plan: &plan, key };
        let (rules, now) = (self.rules(), Timestamp::now());
        let rules = rules.as_deref();
        let revised = revision::revise(leaves, &approval, revision, &self.routing, rules, now);
        metrics().approvals.revised(came_by, revised.is_ok());
        match revised {
            Ok(plan) => {
                let workflow_id = clean_line(chain.workflow_id);
                info!(workflow_id, version = plan.version(), by = came_by, "revision");
                self.sealed(ctx, plan, chain)
            }
            Err(problems) => Ok(Validated::Problems(problems)),
        }
    }
}
