//! Temporal's own calls, for what its command line cannot send or cannot send often enough.

use std::time::Duration;

use countersign_connection::decoded;
use serde_json::Value;
use temporalio_client::{
    Client,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::{
        ActivityType, Payload, Payloads, RetryPolicy, SearchAttributes, WorkflowExecution,
        WorkflowType,
    },
    enums::v1::HistoryEventFilterType,
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::{HistoryEvent, history_event::Attributes},
    query::v1::WorkflowQuery,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, DescribeWorkflowExecutionRequest,
        DescribeWorkflowExecutionResponse, GetWorkflowExecutionHistoryRequest,
        QueryWorkflowRequest, RequestCancelWorkflowExecutionRequest, ResetStickyTaskQueueRequest,
        ResetWorkflowExecutionRequest, SignalWorkflowExecutionRequest,
        StartActivityExecutionRequest, StartWorkflowExecutionRequest,
    },
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    codec,
    rogue::schedule_activity,
    temporal::{Temporal, Workflow},
    wait::until,
};

pub(crate) const NAMESPACE: &str = "default";
/// How long Temporal and a workflow may take among many others, when nobody has to act any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to Temporal; clones share it.
#[derive(Clone)]
pub struct Grpc(pub(crate) Client);

impl Temporal {
    /// Connects to this server.
    pub async fn grpc(&self) -> Grpc {
        Grpc(self.client().await)
    }
}

/// What stories ask so often that a process for each look would slow them all down.
impl Workflow {
    /// The answer of the query `status`; `None` while no worker answers it.
    pub async fn try_status(&self) -> Option<Value> {
        let grpc = Grpc(self.temporal.try_client().await?);
        timeout(PATIENCE, grpc.try_status(&self.id)).await.ok()?.ok()
    }

    /// Its search attributes, once they are as expected.
    pub async fn attributes_where(&self, what: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let what = format!("the search attributes of {} to have {what}", self.id);
        let grpc = self.temporal.grpc().await;
        until(PATIENCE, what, async || {
            let info = grpc.describe(&self.id).await.workflow_execution_info.unwrap_or_default();
            let fields = info.search_attributes.unwrap_or_default().indexed_fields.into_iter();
            let json = |data: &[u8]| serde_json::from_slice::<Value>(data).unwrap_or_default();
            let attributes: Value = fields.map(|(name, field)| (name, json(&field.data))).collect();
            if expected(&attributes) { Ok(attributes) } else { Err(attributes) }
        })
        .await
    }
}

impl Grpc {
    /// Starts an approval with this input, whatever it is.
    pub async fn start(&self, queue: &str, id: &str, input: Vec<Payload>) {
        self.start_with(queue, id, input, |_| ()).await;
    }

    /// The same with these hashes in its search attribute `ApprovalLinks`, as *Start Workflow Like
    /// This One* in Temporal's Web UI copies them.
    pub async fn start_with_links(
        &self,
        queue: &str,
        id: &str,
        input: Vec<Payload>,
        links: &[&str],
    ) {
        let hashes = json_payload(&serde_json::json!(links));
        let indexed_fields = [("ApprovalLinks".to_owned(), hashes)].into();
        let attributes = Some(SearchAttributes { indexed_fields });
        self.start_with(queue, id, input, |request| request.search_attributes = attributes).await;
    }

    /// Starts one with more in the request.
    pub async fn start_with(
        &self,
        queue: &str,
        id: &str,
        input: Vec<Payload>,
        more: impl FnOnce(&mut StartWorkflowExecutionRequest),
    ) {
        let started = self.try_start_with(queue, id, input, more).await;
        started.unwrap_or_else(|status| panic!("{id} does not start: {status}"));
    }

    /// The same, or why it is refused. Returns the run's ID.
    pub async fn try_start_with(
        &self,
        queue: &str,
        id: &str,
        input: Vec<Payload>,
        more: impl FnOnce(&mut StartWorkflowExecutionRequest),
    ) -> Result<String, Status> {
        let mut request = StartWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_id: id.to_owned(),
            workflow_type: Some(WorkflowType { name: "ApprovalWorkflow".to_owned() }),
            task_queue: Some(TaskQueue { name: queue.to_owned(), ..TaskQueue::default() }),
            input: payloads(input),
            request_id: Uuid::new_v4().to_string(),
            ..StartWorkflowExecutionRequest::default()
        };
        more(&mut request);
        let started = self.0.clone().start_workflow_execution(request.into_request()).await?;
        Ok(started.into_inner().run_id)
    }

    /// Sends a signal with this input, whatever it is.
    pub async fn signal(&self, id: &str, name: &str, input: Vec<Payload>) {
        let sent = self.try_signal(id, name, input).await;
        sent.unwrap_or_else(|status| panic!("{id} does not take {name}: {status}"));
    }

    /// The same, or why it is refused.
    pub async fn try_signal(
        &self,
        id: &str,
        name: &str,
        input: Vec<Payload>,
    ) -> Result<(), Status> {
        self.try_signal_as(&Uuid::new_v4().to_string(), id, name, input).await
    }

    /// The same under a request ID: of those that have the same one, Temporal takes the first.
    pub async fn try_signal_as(
        &self,
        request_id: &str,
        id: &str,
        name: &str,
        input: Vec<Payload>,
    ) -> Result<(), Status> {
        let what = format!("{id} to take the signal {name}");
        until(PATIENCE, what, async || {
            match self.try_signal_once(request_id, id, name, input.clone()).await {
                // Refused for the moment, or not answered; the request ID makes it one signal in
                // any case.
                Err(status)
                    if matches!(status.code(), Code::ResourceExhausted | Code::Cancelled) =>
                {
                    Err(status)
                }
                answer => Ok(answer),
            }
        })
        .await
    }

    /// The same without another attempt.
    pub async fn try_signal_once(
        &self,
        request_id: &str,
        id: &str,
        name: &str,
        input: Vec<Payload>,
    ) -> Result<(), Status> {
        self.try_signal_from("", request_id, id, name, input).await
    }

    /// The same from somebody who claims this identity.
    pub async fn try_signal_from(
        &self,
        identity: &str,
        request_id: &str,
        id: &str,
        name: &str,
        input: Vec<Payload>,
    ) -> Result<(), Status> {
        let more = |request: &mut SignalWorkflowExecutionRequest| {
            request.identity = identity.to_owned();
            request.request_id = request_id.to_owned();
        };
        self.try_signal_with(id, name, input, more).await
    }

    /// Sends one with more in the request, or says why it is refused.
    pub async fn try_signal_with(
        &self,
        id: &str,
        name: &str,
        input: Vec<Payload>,
        more: impl FnOnce(&mut SignalWorkflowExecutionRequest),
    ) -> Result<(), Status> {
        let mut request = SignalWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: Some(execution(id)),
            signal_name: name.to_owned(),
            input: payloads(input),
            request_id: Uuid::new_v4().to_string(),
            ..SignalWorkflowExecutionRequest::default()
        };
        more(&mut request);
        self.0.clone().signal_workflow_execution(request.into_request()).await.map(drop)
    }

    /// Asks a workflow to stop.
    pub async fn cancel(&self, id: &str) {
        let asked = self.try_cancel(&Uuid::new_v4().to_string(), id).await;
        asked.unwrap_or_else(|status| panic!("{id} cannot be cancelled: {status}"));
    }

    /// The same under a request ID, or why it is refused.
    pub async fn try_cancel(&self, request_id: &str, id: &str) -> Result<(), Status> {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: Some(execution(id)),
            request_id: request_id.to_owned(),
            ..RequestCancelWorkflowExecutionRequest::default()
        };
        self.0.clone().request_cancel_workflow_execution(request.into_request()).await.map(drop)
    }

    /// Resets a workflow's latest run to this event of a completed workflow task. Returns the new run's ID, or
    /// why it is refused.
    pub async fn try_reset(&self, id: &str, event_id: i64) -> Result<String, Status> {
        let request = ResetWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            workflow_execution: Some(execution(id)),
            workflow_task_finish_event_id: event_id,
            request_id: Uuid::new_v4().to_string(),
            ..ResetWorkflowExecutionRequest::default()
        };
        let reset = self.0.clone().reset_workflow_execution(request.into_request()).await?;
        Ok(reset.into_inner().run_id)
    }

    /// Has the next task or query of a workflow go to everybody who polls its task queue, and not to the worker
    /// that has it in its cache; or says why not.
    pub async fn try_reset_stickiness(&self, id: &str) -> Result<(), Status> {
        let request = ResetStickyTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(execution(id)),
        };
        self.0.clone().reset_sticky_task_queue(request.into_request()).await.map(drop)
    }

    /// Asks a workflow for its status; waits for the answer as long as it takes.
    pub async fn try_status(&self, id: &str) -> Result<Value, Status> {
        let query = WorkflowQuery { query_type: "status".to_owned(), ..WorkflowQuery::default() };
        let request = QueryWorkflowRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(execution(id)),
            query: Some(query),
            ..QueryWorkflowRequest::default()
        };
        let answer = self.0.clone().query_workflow(request.into_request()).await?.into_inner();
        let answer = decoded(&self.0, answer).await;
        let state = answer.query_result.and_then(|result| result.payloads.into_iter().next());
        Ok(serde_json::from_slice(&state.unwrap_or_default().data).expect("a state in JSON"))
    }

    /// Has an activity run on a worker's task queue, once, by a workflow of another type; returns the
    /// message of its failure, or nothing where it completes.
    pub async fn run_for_another(
        &self,
        queue: &str,
        activity: &str,
        input: Vec<Payload>,
    ) -> Option<String> {
        let id = format!("rogue-{}", Uuid::new_v4());
        let kind = Some(WorkflowType { name: "Rogue".to_owned() });
        self.start_with(&id, &id, Vec::new(), |request| request.workflow_type = kind).await;
        let rogue = self.rogue(&id);
        let task = rogue.workflow_task().await;
        rogue.answer(task, vec![schedule_activity(queue, "1", activity, input)]).await;
        self.end_of_activity(&id, "1").await
    }

    /// Has an activity run once on a worker's task queue, with no workflow around it, or says why not.
    pub async fn try_start_activity(
        &self,
        queue: &str,
        activity: &str,
        input: Vec<Payload>,
    ) -> Result<(), Status> {
        let request = StartActivityExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            request_id: Uuid::new_v4().to_string(),
            activity_id: format!("rogue-{}", Uuid::new_v4()),
            activity_type: Some(ActivityType { name: activity.to_owned() }),
            task_queue: Some(TaskQueue { name: queue.to_owned(), ..TaskQueue::default() }),
            input: payloads(input),
            schedule_to_close_timeout: Duration::from_secs(30).try_into().ok(),
            retry_policy: Some(RetryPolicy { maximum_attempts: 1, ..RetryPolicy::default() }),
            ..StartActivityExecutionRequest::default()
        };
        self.0.clone().start_activity_execution(request.into_request()).await.map(drop)
    }

    /// Waits until an activity of a workflow has ended; the message of its failure, or nothing where it
    /// has completed.
    pub async fn end_of_activity(&self, workflow: &str, activity: &str) -> Option<String> {
        until(PATIENCE, format!("activity {activity} of {workflow} to end"), async || {
            let events = self.events(workflow).await;
            let scheduled = events.iter().find_map(|event| match event.attributes.as_ref()? {
                Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                    (scheduled.activity_id == activity).then_some(event.event_id)
                }
                _ => None,
            });
            let scheduled = scheduled.ok_or("nothing scheduled")?;
            let ended = events.iter().find_map(|event| match event.attributes.as_ref()? {
                Attributes::ActivityTaskCompletedEventAttributes(completed) => {
                    (completed.scheduled_event_id == scheduled).then_some(None)
                }
                Attributes::ActivityTaskFailedEventAttributes(failed) => {
                    let why = failed.failure.as_ref().map(|failure| failure.message.clone());
                    (failed.scheduled_event_id == scheduled).then_some(why)
                }
                Attributes::ActivityTaskTimedOutEventAttributes(late) => {
                    (late.scheduled_event_id == scheduled).then_some(Some("time".to_owned()))
                }
                _ => None,
            });
            ended.ok_or("no end")
        })
        .await
    }

    /// The ID of a workflow's latest run.
    pub async fn run(&self, id: &str) -> String {
        let info = self.describe(id).await.workflow_execution_info;
        info.and_then(|info| info.execution).expect("a run").run_id
    }

    /// What Temporal knows of a workflow's latest run besides its history.
    pub async fn describe(&self, id: &str) -> DescribeWorkflowExecutionResponse {
        let request = DescribeWorkflowExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(execution(id)),
        };
        let answer = self.0.clone().describe_workflow_execution(request.into_request()).await;
        decoded(&self.0, answer.expect("a description").into_inner()).await
    }

    /// How many workflows match a visibility query.
    pub async fn count(&self, query: String) -> i64 {
        self.try_count(&query).await.expect("a count")
    }

    /// The same, or why the server does not say it.
    pub async fn try_count(&self, query: &str) -> Result<i64, Status> {
        let query = query.to_owned();
        let request = CountWorkflowExecutionsRequest { namespace: NAMESPACE.to_owned(), query };
        let answer = self.0.clone().count_workflow_executions(request.into_request()).await?;
        Ok(answer.into_inner().count)
    }

    /// Everything that has happened to a workflow.
    pub async fn events(&self, id: &str) -> Vec<HistoryEvent> {
        self.try_events(id).await.expect("a history")
    }

    /// The same, or why it cannot be read.
    pub async fn try_events(&self, id: &str) -> Result<Vec<HistoryEvent>, Status> {
        self.try_events_of_run(id, "").await
    }

    /// Everything that has happened in one run, or why it cannot be read.
    pub async fn try_events_of_run(
        &self,
        id: &str,
        run_id: &str,
    ) -> Result<Vec<HistoryEvent>, Status> {
        let (mut all, mut request) = (Vec::new(), history(id));
        request.execution = Some(WorkflowExecution { run_id: run_id.to_owned(), ..execution(id) });
        loop {
            let (events, next) = self.page(request.clone()).await?;
            all.extend(events);
            if next.is_empty() {
                return Ok(all);
            }
            request.next_page_token = next;
        }
    }

    /// Waits until a workflow has closed; returns everything that has happened to it.
    pub async fn closed(&self, id: &str) -> Vec<HistoryEvent> {
        let closing = async {
            let mut request = history(id);
            request.wait_new_event = true;
            request.history_event_filter_type = HistoryEventFilterType::CloseEvent as i32;
            loop {
                let (events, next) = self.page(request.clone()).await.expect("a history");
                if !events.is_empty() {
                    return;
                }
                request.next_page_token = next;
            }
        };
        let closed = timeout(PATIENCE, closing).await;
        assert!(closed.is_ok(), "after {PATIENCE:?} still waiting for {id} to close");
        self.events(id).await
    }

    async fn page(
        &self,
        request: GetWorkflowExecutionHistoryRequest,
    ) -> Result<(Vec<HistoryEvent>, Vec<u8>), Status> {
        let mut client = self.0.clone();
        let answer = client.get_workflow_execution_history(request.into_request()).await?;
        let answer = decoded(&self.0, answer.into_inner()).await;
        let events = answer.history.unwrap_or_default().events.into_iter().map(codec::revealed);
        Ok((events.collect(), answer.next_page_token))
    }
}

/// The causes and messages of the workflow tasks that failed.
///
/// A task that the server itself ended, because more signals came during it than it keeps aside, is
/// none of them: the worker had no part in it.
pub fn task_failures(events: &[HistoryEvent]) -> Vec<String> {
    let failure = |event: &HistoryEvent| match &event.attributes {
        Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => {
            let cause = failed.cause().as_str_name();
            let message = failed.failure.as_ref().map_or("", |failure| &failure.message);
            (!cause.ends_with("FORCE_CLOSE_COMMAND")).then(|| format!("{cause}: {message}"))
        }
        _ => None,
    };
    events.iter().filter_map(failure).collect()
}

/// The failure with which a workflow ended, and its type; `None` where it did not fail.
pub fn application_failure(events: &[HistoryEvent]) -> Option<(String, &Failure)> {
    let Some(Attributes::WorkflowExecutionFailedEventAttributes(failed)) =
        &events.last()?.attributes
    else {
        return None;
    };
    let failure = failed.failure.as_ref()?;
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => Some((info.r#type.clone(), failure)),
        _ => None,
    }
}

/// A payload that says it is in `encoding`, whatever its data is.
pub fn payload(encoding: &str, data: impl Into<Vec<u8>>) -> Payload {
    let metadata = [("encoding".to_owned(), encoding.as_bytes().to_vec())].into();
    Payload { metadata, data: data.into(), ..Payload::default() }
}

/// The same for JSON.
pub fn json_payload(value: &serde_json::Value) -> Payload {
    payload("json/plain", value.to_string())
}

pub(crate) fn payloads(all: Vec<Payload>) -> Option<Payloads> {
    (!all.is_empty()).then_some(Payloads { payloads: all })
}

fn execution(id: &str) -> WorkflowExecution {
    WorkflowExecution { workflow_id: id.to_owned(), ..WorkflowExecution::default() }
}

fn history(id: &str) -> GetWorkflowExecutionHistoryRequest {
    GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.to_owned(),
        execution: Some(execution(id)),
        ..GetWorkflowExecutionHistoryRequest::default()
    }
}
