//! The Nexus service `Approvals`, by which workflows of other namespaces request approvals. Experimental.
//!
//! The SDK (1.1) has no handlers of operations, so this is on Core's own polling. It runs beside the worker on the
//! same connection and task queue. It keeps nothing: what a request becomes is in Temporal, and whichever worker
//! gets the next attempt goes on with it.

mod links;
mod operation;
mod refusal;

use std::time::Duration;

use countersign_protos::names::{QUERY_STATUS, WORKFLOW_TYPE};
use futures::{StreamExt, stream};
use operation::{Operation, approval_of, token, workflow_id};
use refusal::{Kind, Refusal, refusal};
use temporalio_client::{
    Client, NamespacedClient,
    tonic::{Code, IntoRequest, Request, Status},
};
use temporalio_common::{
    data_converters::SerializationContextData,
    protos::{
        coresdk::nexus::{NexusTaskCompletion, nexus_task, nexus_task_completion},
        temporal::api::{
            common::v1::{
                Callback, Link, Payload, Payloads, WorkflowExecution, WorkflowType, callback,
            },
            enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
            nexus::v1::{
                self as nexus, CancelOperationRequest, CancelOperationResponse,
                StartOperationRequest, StartOperationResponse, request, response,
                start_operation_response as started,
            },
            query::v1::WorkflowQuery,
            taskqueue::v1::TaskQueue,
            workflow::v1::OnConflictOptions,
            workflowservice::v1::{
                PollNexusTaskQueueResponse, QueryWorkflowRequest,
                RequestCancelWorkflowExecutionRequest, StartWorkflowExecutionRequest,
            },
        },
    },
};
use temporalio_sdk_core::{PollError, Worker as CoreWorker};
use tokio::time::sleep;
use tracing::{info, warn};

/// How long a call to Temporal may take. The server gives a handler 10 seconds in all.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long to wait after the server has refused to be polled, as without the permission for it.
const POLL_AGAIN: Duration = Duration::from_secs(5);
/// The ID of a request to cancel: the next attempt is the same one.
const CANCEL: &str = "nexus-cancel";
/// The callback's header by which the caller's server knows an operation that ends before it has been told of its
/// start.
const TOKEN_HEADER: &str = "nexus-operation-token";

/// The service.
pub(super) struct Approvals {
    client: Client,
    task_queue: String,
}

impl Approvals {
    pub(super) fn new(client: Client, task_queue: String) -> Self {
        Self { client, task_queue }
    }

    /// Serves until the worker is shut down, and what it has begun to serve is answered.
    pub(super) async fn serve(&self, worker: &CoreWorker) {
        let tasks = stream::unfold((), async |()| Some((next(worker).await?, ())));
        // As many as the worker has slots.
        tasks.for_each_concurrent(None, |task| self.answer(worker, task)).await;
    }

    /// Every task is answered: Core waits for that before it ends.
    async fn answer(&self, worker: &CoreWorker, task: PollNexusTaskQueueResponse) {
        let request = task.request.unwrap_or_default();
        let status = match self.handle(&request.endpoint, request.variant).await {
            Ok(variant) => {
                nexus_task_completion::Status::Completed(nexus::Response { variant: Some(variant) })
            }
            Err(refusal) => {
                let endpoint = request.endpoint;
                warn!(endpoint, kind = ?refusal.kind, cause = refusal.why, "Nexus request refused");
                nexus_task_completion::Status::Failure(refusal.into())
            }
        };
        let completion = NexusTaskCompletion { task_token: task.task_token, status: Some(status) };
        if let Err(error) = worker.complete_nexus_task(completion).await {
            warn!(%error, "Nexus request not answered");
        }
    }

    async fn handle(
        &self,
        endpoint: &str,
        request: Option<request::Variant>,
    ) -> Result<response::Variant, Refusal> {
        match request {
            Some(request::Variant::StartOperation(start)) => {
                let variant = match Operation::named(&start.service, &start.operation)? {
                    Operation::Request => self.request(endpoint, start).await?,
                    Operation::Status => self.status(endpoint, start.payload).await?,
                };
                let variant = Some(variant);
                Ok(response::Variant::StartOperation(StartOperationResponse { variant }))
            }
            Some(request::Variant::CancelOperation(cancel)) => {
                self.cancel(endpoint, &cancel).await?;
                Ok(response::Variant::CancelOperation(CancelOperationResponse {}))
            }
            None => Err(refusal(Kind::NotImplemented, "a request of a kind that is not known")),
        }
    }

    /// Starts an approval whose outcome, or whose failure where the submission has problems, completes the operation.
    async fn request(
        &self,
        endpoint: &str,
        start: StartOperationRequest,
    ) -> Result<started::Variant, Refusal> {
        let namespace = self.client.namespace();
        let workflow_id = workflow_id(endpoint, &start.request_id)?;
        let operation_token = token(&namespace, &workflow_id);
        let links: Vec<Link> = start.links.iter().filter_map(links::from_caller).collect();
        let mut header = start.callback_header;
        header.insert(TOKEN_HEADER.to_owned(), operation_token.clone());
        let callback = callback::Nexus { url: start.callback, header };
        let callback = (!callback.url.is_empty()).then(|| Callback {
            links: links.clone(),
            variant: Some(callback::Variant::Nexus(callback)),
        });
        let request = StartWorkflowExecutionRequest {
            namespace: namespace.clone(),
            workflow_id: workflow_id.clone(),
            workflow_type: Some(WorkflowType { name: WORKFLOW_TYPE.to_owned() }),
            task_queue: Some(TaskQueue { name: self.task_queue.clone(), ..TaskQueue::default() }),
            input: Some(Payloads { payloads: start.payload.into_iter().collect() }),
            identity: self.client.identity(),
            request_id: start.request_id,
            // Another attempt gets the run of the first one, whether or not that has ended.
            workflow_id_reuse_policy: WorkflowIdReusePolicy::RejectDuplicate.into(),
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::UseExisting.into(),
            on_conflict_options: Some(OnConflictOptions {
                attach_request_id: true,
                attach_completion_callbacks: true,
                attach_links: true,
            }),
            completion_callbacks: callback.into_iter().collect(),
            links,
            ..StartWorkflowExecutionRequest::default()
        };
        let mut temporal = self.client.connection().workflow_service();
        let answer = temporal.start_workflow_execution(in_time(request)).await?.into_inner();
        info!(workflow_id, endpoint, "requested by Nexus");
        let links = vec![links::to_start(&namespace, &workflow_id, &answer.run_id)];
        Ok(started::Variant::AsyncSuccess(started::Async {
            operation_token,
            links,
            ..started::Async::default()
        }))
    }

    /// What an approval says now. The input is the token of the operation that requested it.
    async fn status(
        &self,
        endpoint: &str,
        input: Option<Payload>,
    ) -> Result<started::Variant, Refusal> {
        let converter = self.client.options().data_converter.clone();
        let read = converter
            .from_payload(&SerializationContextData::None, input.unwrap_or_default())
            .await;
        let token: String = read.map_err(|error| {
            let why = "the input has to be the operation token of a request, as a JSON string";
            refusal(Kind::BadRequest, format!("{why}: {error}"))
        })?;
        let request = QueryWorkflowRequest {
            namespace: self.client.namespace(),
            execution: Some(self.approval(&token, endpoint)?),
            query: Some(WorkflowQuery {
                query_type: QUERY_STATUS.to_owned(),
                ..WorkflowQuery::default()
            }),
            ..QueryWorkflowRequest::default()
        };
        let mut temporal = self.client.connection().workflow_service();
        let answer = temporal.query_workflow(in_time(request)).await.map_err(not_now)?.into_inner();
        let payload = answer.query_result.and_then(|result| result.payloads.into_iter().next());
        Ok(started::Variant::SyncSuccess(started::Sync { payload, links: Vec::new() }))
    }

    /// Withdraws an approval.
    async fn cancel(&self, endpoint: &str, cancel: &CancelOperationRequest) -> Result<(), Refusal> {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: self.client.namespace(),
            workflow_execution: Some(self.approval(&cancel.operation_token, endpoint)?),
            identity: self.client.identity(),
            request_id: CANCEL.to_owned(),
            reason: "cancelled by the workflow that requested it".to_owned(),
            ..RequestCancelWorkflowExecutionRequest::default()
        };
        let mut temporal = self.client.connection().workflow_service();
        match temporal.request_cancel_workflow_execution(in_time(request)).await {
            // Somebody else has cancelled it.
            Err(status) if status.code() == Code::AlreadyExists => Ok(()),
            answer => Ok(answer.map(drop)?),
        }
    }

    fn approval(&self, token: &str, endpoint: &str) -> Result<WorkflowExecution, Refusal> {
        let workflow_id = approval_of(token, &self.client.namespace(), endpoint)?;
        Ok(WorkflowExecution { workflow_id, run_id: String::new() })
    }
}

/// The next task; `None` once the worker is shut down. A task whose caller waits no longer is answered all the same.
async fn next(worker: &CoreWorker) -> Option<PollNexusTaskQueueResponse> {
    loop {
        match worker.poll_nexus_task().await.map(|task| task.variant) {
            Ok(Some(nexus_task::Variant::Task(task))) => return Some(task),
            Ok(Some(nexus_task::Variant::CancelTask(_)) | None) => {}
            Err(PollError::ShutDown) => return None,
            Err(error) => {
                warn!(%error, "Temporal gives no Nexus requests; asking again");
                sleep(POLL_AGAIN).await;
            }
        }
    }
}

fn in_time<T>(message: T) -> Request<T> {
    let mut request = message.into_request();
    request.set_timeout(TIMEOUT);
    request
}

/// Why a query has no answer now. Ours fails only while another worker takes the workflow over.
fn not_now(status: Status) -> Refusal {
    match status.code() {
        Code::InvalidArgument => refusal(Kind::Unavailable, status.message()),
        _ => status.into(),
    }
}

#[cfg(test)]
mod tests;
