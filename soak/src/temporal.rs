//! Temporal as the harness asks it: directly, not through the network that fails.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowExecutionInfo,
    WorkflowFetchHistoryOptions,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowExecution, WorkflowType},
    history::v1::HistoryEvent,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        DescribeNamespaceRequest, RequestCancelWorkflowExecutionRequest,
        SignalWorkflowExecutionRequest, StartWorkflowExecutionRequest,
    },
};
use tokio::time::{sleep, timeout};

const NAMESPACE: &str = "default";
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(300);
const TRIES: usize = 400;

/// A client that goes on trying while the server is away.
#[derive(Clone)]
pub(crate) struct Direct {
    client: Client,
    queue: String,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Temporal has it.
    Acknowledged,
    /// Temporal refuses it: the workflow is over.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Direct {
    /// Connects, once there is a server.
    pub(crate) async fn connect(port: u16, queue: &str) -> Result<Direct> {
        let url: Url = format!("http://127.0.0.1:{port}").parse()?;
        for _ in 0..TRIES {
            let options = ConnectionOptions::new(url.clone()).identity("soak".to_owned()).build();
            if let Ok(Ok(connection)) = timeout(PATIENCE, Connection::connect(options)).await {
                let options = ClientOptions::new(NAMESPACE).build();
                let client = Client::new(connection, options).context("a client")?;
                let direct = Direct { client, queue: queue.to_owned() };
                direct.until_ready().await?;
                return Ok(direct);
            }
            sleep(PAUSE).await;
        }
        anyhow::bail!("Temporal does not start")
    }

    async fn until_ready(&self) -> Result<()> {
        let namespace = NAMESPACE.to_owned();
        let request = DescribeNamespaceRequest { namespace, ..Default::default() };
        persistently(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.describe_namespace(request.into_request()).await }
        })
        .await
        .map_err(|status| anyhow::anyhow!("Temporal is not ready: {status}"))?;
        Ok(())
    }

    /// Starts an approval with whatever payload.
    pub(crate) async fn start(&self, id: &str, input: Option<Payload>) -> Result<(), Status> {
        let request = StartWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_id: id.to_owned(),
            workflow_type: Some(WorkflowType { name: "ApprovalWorkflow".to_owned() }),
            task_queue: Some(TaskQueue { name: self.queue.clone(), ..TaskQueue::default() }),
            input: input.map(|payload| Payloads { payloads: vec![payload] }),
            request_id: id.to_owned(),
            ..Default::default()
        };
        persistently(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.start_workflow_execution(request.into_request()).await }
        })
        .await
        .map(drop)
    }

    /// Sends a signal; the same however often `mark` is sent.
    pub(crate) async fn signal(
        &self,
        id: &str,
        name: &str,
        mark: &str,
        input: Option<Payload>,
    ) -> Sent {
        let execution =
            WorkflowExecution { workflow_id: id.to_owned(), ..WorkflowExecution::default() };
        let request = SignalWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: Some(execution),
            signal_name: name.to_owned(),
            input: input.map(|payload| Payloads { payloads: vec![payload] }),
            request_id: mark.to_owned(),
            ..Default::default()
        };
        let sent = persistently(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.signal_workflow_execution(request.into_request()).await }
        });
        match sent.await {
            Ok(_) => Sent::Acknowledged,
            Err(status) if status.code() == Code::NotFound => Sent::Refused,
            Err(_) => Sent::Unknown,
        }
    }

    /// Calls an approval off, unless it is over.
    pub(crate) async fn cancel(&self, id: &str) {
        let execution =
            WorkflowExecution { workflow_id: id.to_owned(), ..WorkflowExecution::default() };
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: Some(execution),
            request_id: format!("cancel-{id}"),
            ..Default::default()
        };
        let cancelled = persistently(|| {
            let (mut client, request) = (self.client.clone(), request.clone());
            async move { client.request_cancel_workflow_execution(request.into_request()).await }
        });
        // Whether it was over before is what its history says.
        let _ = cancelled.await;
    }

    /// A workflow's whole history.
    pub(crate) async fn history(&self, id: &str) -> Result<Vec<HistoryEvent>> {
        let execution =
            WorkflowExecutionInfo::builder().namespace(NAMESPACE).workflow_id(id).build();
        let handle = execution.bind_untyped(self.client.clone());
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::builder().build());
        Ok(timeout(4 * PATIENCE, history.into_events()).await??)
    }
}

/// A payload as people write it.
pub(crate) fn json(value: &Value) -> Payload {
    payload("json/plain", value.to_string())
}

/// A payload of whatever bytes.
pub(crate) fn payload(encoding: &str, data: impl Into<Vec<u8>>) -> Payload {
    let metadata = [("encoding".to_owned(), encoding.as_bytes().to_vec())].into();
    Payload { metadata, data: data.into(), ..Payload::default() }
}

/// Asks until there is an answer that would be the same the next time.
async fn persistently<T, F>(ask: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut last = Status::unavailable("never asked");
    for _ in 0..TRIES {
        last = match timeout(PATIENCE, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("no answer"),
        };
        if is_definite(&last) {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(last)
}

/// Whether the answer would be the same the next time. A server that comes back may answer before it
/// has read its namespaces.
fn is_definite(status: &Status) -> bool {
    match status.code() {
        Code::NotFound => !status.message().starts_with("Namespace "),
        Code::InvalidArgument | Code::AlreadyExists => true,
        _ => false,
    }
}
