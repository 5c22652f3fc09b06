//! The worker's side of Countersign: the approval workflow, its activities, and the Temporal
//! plugin that adds both to a worker.

// The SDK's macros make markers without documentation in these two.
#[allow(missing_docs)]
mod activities;
mod case;
pub mod cli;
mod mail;
mod notifier;
mod payload;
mod recorded;
mod temporal;
#[cfg(test)]
mod testing;
#[allow(missing_docs)]
mod workflow;

pub use activities::{
    Countersign,
    start_workflow::{NotStarted, start as start_workflow},
    webhook::{Webhook, WebhookError, WebhookSecrets},
};
pub use countersign_core::{approval, limits, money, policy, validation};
pub use notifier::{AwsEnvironment, Notifier, Outbox, Smtp, SmtpServer, Sns, TopicArn};
pub use recorded::StartWorkflow;
pub use temporal::{
    TemporalSettings, Workers, connect, plugin, register_search_attributes, slots,
    temporal_settings, worker,
};
pub use workflow::ApprovalWorkflow;
