//! The worker's side of Countersign: the approval workflow, its activities, and the Temporal
//! plugin that adds both to a worker.

// The SDK's macros make markers without documentation in these two.
#[allow(missing_docs)]
pub mod activities;
mod ahead;
pub mod approval;
mod attempts;
mod case;
pub mod check_policy;
pub mod elsewhere;
pub mod mail;
pub mod money;
pub mod notifier;
mod origin;
mod payload;
mod plugin;
pub mod policy;
mod report;
pub mod settings;
mod signals;
pub mod startup;
pub mod validation;
mod versions;
pub mod webhook;
#[allow(missing_docs)]
mod workflow;

pub use plugin::{Workers, plugin, slots, worker};
pub use workflow::ApprovalWorkflow;
