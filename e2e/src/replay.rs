//! Whether the workflow code would do again what a history says it did.

use countersign_worker::{ApprovalNotices, ApprovalWorkflow};
use temporalio_client::WorkflowHistory;
use temporalio_common::protos::temporal::api::history::v1::{History, HistoryEvent};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};

/// Runs the workflow code of this build on a history; why it comes to other commands, if it does.
pub async fn replay(events: Vec<HistoryEvent>) -> Result<(), String> {
    run(WorkflowHistory::from(History { events })).await
}

/// The same with a history as the SDK writes it to a file.
pub async fn replay_json(json: &[u8]) -> Result<(), String> {
    run(WorkflowHistory::from_json(json).map_err(|error| error.to_string())?).await
}

async fn run(history: WorkflowHistory) -> Result<(), String> {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<ApprovalWorkflow>()
        .and_then(|options| options.register_workflow::<ApprovalNotices>())
        .map_err(|error| error.to_string())?
        .build();
    let replayer = WorkflowReplayer::new(options).map_err(|error| error.to_string())?;
    replayer.replay_workflow(history).await.map_err(|error| error.to_string())
}
