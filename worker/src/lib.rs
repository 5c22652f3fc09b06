//! The worker's side of Countersign: the approval workflow, its activities, and the Temporal
//! plugin that adds both to a worker.

// The SDK's macros make markers without documentation in these two.
#[allow(missing_docs)]
mod activities;
mod case;
pub mod cli;
mod mail;
mod metrics;
pub mod monitoring;
pub mod notifier;
mod payload;
mod recorded;
pub mod temporal;
#[cfg(test)]
mod testing;
#[allow(missing_docs)]
mod workflow;

pub use activities::Countersign;
pub use countersign_core::{approval, policy, validation};
use countersign_core::{leaves, limits, outcome, revision};
/// For replays. Workers run approvals by [`temporal::worker()`] or [`temporal::plugin()`], whose
/// interceptors say who calls an activity, and who has sent a signal.
pub use workflow::{ApprovalNotices, ApprovalWorkflow};

/// Delivers outcomes, signed as Standard Webhooks specifies.
pub mod webhook {
    pub use crate::activities::webhook::{Webhook, WebhookError, WebhookSecrets};
}

/// Follow-up workflows in other namespaces.
pub mod follow_up {
    pub use crate::{
        activities::start_workflow::{NotStarted, start},
        recorded::StartWorkflow,
    };
}
