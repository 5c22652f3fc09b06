//! The worker's side of Countersign: the approval workflow, its activities, and the Temporal
//! plugin that adds both to a worker.

// The SDK's macros make markers without documentation in these two.
#[allow(missing_docs)]
pub mod activities;
mod ahead;
mod attempts;
mod case;
pub mod check_policy;
pub mod elsewhere;
pub mod mail;
pub mod notifier;
mod origin;
mod payload;
mod plugin;
mod report;
pub mod settings;
mod signals;
pub mod startup;
mod versions;
pub mod webhook;
#[allow(missing_docs)]
mod workflow;

pub use countersign_core::{approval, limits, money, policy, validation};
pub use plugin::{Workers, plugin, slots, worker};
pub use workflow::ApprovalWorkflow;
