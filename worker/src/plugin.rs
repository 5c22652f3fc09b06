//! A worker with the approval workflow and its activities, and the Temporal plugin that adds them.

use std::sync::Arc;

use anyhow::Context;
use temporalio_client::{Client, NamespacedClient};
use temporalio_sdk::{
    SimplePlugin, Worker, WorkerOptions,
    activities::ActivityDefinitions,
    plugins::{WorkerPlugin, WorkflowDefinitions},
};
use temporalio_sdk_core::{CoreRuntime, RuntimeOptions, init_worker};
use tokio::runtime::Handle;

use crate::{activities::Countersign, ahead::RunsAhead, workflow::ApprovalWorkflow};

/// A worker that runs approvals, besides what `options` register; `examples/embedded.rs` shows it.
///
/// Other than a worker that has only the [`plugin`], it lets no query change what a workflow does
/// after another worker's death.
///
/// # Errors
/// Where `options` are no worker's, or this is called outside of a Tokio runtime.
pub fn worker(
    client: &Client,
    countersign: Countersign,
    mut options: WorkerOptions,
) -> anyhow::Result<Worker> {
    let ahead = RunsAhead::default();
    ahead.watch(&mut options);
    plugin(countersign).configure_worker_options(&mut options)?;
    let config = options
        .to_core_options(client.namespace(), client.identity())
        .map_err(anyhow::Error::msg)
        .context("the worker's options")?;
    // Core would panic.
    Handle::try_current()?;
    let runtime = RuntimeOptions::builder().build().map_err(anyhow::Error::msg)?;
    let runtime = CoreRuntime::new_assume_tokio(runtime)?;
    let core = Arc::new(init_worker(&runtime, config, client.connection().clone())?);
    ahead.is_there(core.clone());
    Ok(Worker::new_from_core_options(core, client.options().clone(), options)?)
}

/// Adds `ApprovalWorkflow` to a worker that is made elsewhere; [`worker`] makes one that has it.
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
