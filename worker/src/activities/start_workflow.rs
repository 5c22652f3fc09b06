//! Starts a follow-up workflow in another namespace.
//!
//! A child workflow runs in its parent's namespace: Temporal Cloud, and by default servers from 1.30.1
//! on, refuse to start one in another (<https://github.com/temporalio/temporal/pull/8971>). A client can.

use std::{iter, time::Duration};

use countersign_connection::encoded;
use countersign_protos::payload;
use countersign_telemetry::traces;
use temporalio_client::{
    Client, NamespacedClient,
    tonic::{Code, IntoRequest},
};
use temporalio_common::protos::{
    coresdk::AsJsonPayloadExt,
    temporal::api::{
        common::v1::{
            Link, Payloads, WorkflowType,
            link::{self, WorkflowEvent},
        },
        enums::v1::WorkflowIdReusePolicy,
        sdk::v1::UserMetadata,
        taskqueue::v1::TaskQueue,
        workflowservice::v1::StartWorkflowExecutionRequest,
    },
};

use crate::{payload::to_temporal, recorded::StartWorkflow};

/// Shorter than the time-out of an attempt, so that the failure names the cause.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a follow-up workflow was not started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// Its ID is in use, or the request is invalid. Never retried.
    #[error("the namespace {0:?} refused to start the workflow {1:?}: {2}")]
    Refused(String, String, String),
    /// Retried: Temporal may answer again, or the namespace or the permission may be added.
    #[error("the workflow {1:?} cannot be started in the namespace {0:?} yet: {2}")]
    Unavailable(String, String, String),
}

/// Starts a follow-up workflow, with a link to the approval's run. Returns its run ID. Idempotent: the
/// same `request_id` starts it once.
///
/// # Errors
/// If Temporal did not start it, or did not answer in time.
pub async fn start(
    start: StartWorkflow,
    client: &Client,
    from: WorkflowEvent,
    request_id: String,
) -> Result<String, NotStarted> {
    let StartWorkflow { workflow_id, next, outcome, encoding } = start;
    let namespace = next.namespace.unwrap_or_default();
    let summary = format!("Follow-up to {}", outcome.submission_id).as_json_payload().ok();
    let payloads = iter::once(to_temporal(payload::encode(&outcome, encoding))).chain(summary);
    let mut payloads = match encoded(client, payloads.collect()).await {
        Ok(payloads) => payloads.into_iter(),
        Err(error) => {
            let why = error.to_string();
            return Err(NotStarted::Unavailable(namespace, workflow_id, why));
        }
    };
    let (input, summary) = (payloads.by_ref().take(1).collect(), payloads.next());
    let request = StartWorkflowExecutionRequest {
        namespace: namespace.clone(),
        workflow_id: workflow_id.clone(),
        workflow_type: Some(WorkflowType { name: next.workflow }),
        task_queue: Some(TaskQueue { name: next.task_queue, ..TaskQueue::default() }),
        input: Some(Payloads { payloads: input }),
        identity: client.identity(),
        request_id,
        workflow_id_reuse_policy: WorkflowIdReusePolicy::RejectDuplicate.into(),
        links: vec![Link { variant: Some(link::Variant::WorkflowEvent(from)) }],
        header: traces::temporal_header(),
        user_metadata: Some(UserMetadata { summary, details: None }),
        ..StartWorkflowExecutionRequest::default()
    };
    let mut request = request.into_request();
    request.set_timeout(TIMEOUT);
    let mut temporal = client.connection().workflow_service();
    let answer = temporal.start_workflow_execution(request).await;
    let started = answer.map_err(|status| {
        let why = status.message().to_owned();
        match status.code() {
            Code::AlreadyExists | Code::InvalidArgument => {
                NotStarted::Refused(namespace, workflow_id, why)
            }
            _ => NotStarted::Unavailable(namespace, workflow_id, why),
        }
    })?;
    Ok(started.into_inner().run_id)
}
