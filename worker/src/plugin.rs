//! The Temporal plugin: adds the approval workflow and its activities to a worker.

use temporalio_sdk::{SimplePlugin, activities::ActivityDefinitions, plugins::WorkflowDefinitions};

use crate::{activities::Countersign, workflow::ApprovalWorkflow};

/// Adds `ApprovalWorkflow` to a worker of yours; `examples/embedded.rs` shows it.
///
/// # Panics
/// Never: it registers one workflow type, once.
pub fn plugin(countersign: Countersign) -> SimplePlugin {
    let mut activities = ActivityDefinitions::default();
    activities.register_activities(countersign);
    let mut workflows = WorkflowDefinitions::default();
    workflows.register_workflow::<ApprovalWorkflow>().expect("one type is registered once");
    SimplePlugin::builder("countersign").activities(activities).workflows(workflows).build()
}
