//! Somebody who may do everything in the namespace, and answers tasks that are meant for a worker.

use std::time::Duration;

use countersign_protos::names;
use serde_json::Value;
use temporalio_client::{
    Client,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    command::v1::{
        Command, CompleteWorkflowExecutionCommandAttributes,
        ContinueAsNewWorkflowExecutionCommandAttributes, RecordMarkerCommandAttributes,
        ScheduleActivityTaskCommandAttributes, UpsertWorkflowSearchAttributesCommandAttributes,
        command::Attributes as CommandAttributes,
    },
    common::v1::{ActivityType, Payload, Payloads, RetryPolicy, SearchAttributes, WorkflowType},
    enums::v1::{CommandType, QueryResultType},
    history::v1::{HistoryEvent, MarkerRecordedEventAttributes, history_event::Attributes},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        PollActivityTaskQueueRequest, PollWorkflowTaskQueueRequest, PollWorkflowTaskQueueResponse,
        RespondActivityTaskCompletedRequest, RespondQueryTaskCompletedRequest,
        RespondWorkflowTaskCompletedRequest,
    },
};
use tokio::task::JoinHandle;

use crate::{
    grpc::{Grpc, NAMESPACE, json_payload, payloads},
    wait::eventually,
};

/// A poller of a task queue.
#[derive(Clone)]
pub struct Rogue {
    client: Client,
    queue: TaskQueue,
}

impl Grpc {
    /// Somebody who polls a task queue. Where a worker polls it too, either of them gets a task.
    pub fn rogue(&self, queue: &str) -> Rogue {
        let queue = TaskQueue { name: queue.to_owned(), ..TaskQueue::default() };
        Rogue { client: self.0.clone(), queue }
    }
}

impl Rogue {
    /// Waits for a workflow task; returns its token.
    pub async fn workflow_task(&self) -> Vec<u8> {
        let what = format!("a workflow task on {}", self.queue.name);
        eventually(what, async || {
            let task = self.poll().await.ok()?;
            (!task.task_token.is_empty() && task.query.is_none()).then_some(task.task_token)
        })
        .await
    }

    /// Answers a workflow task.
    pub async fn answer(&self, task_token: Vec<u8>, commands: Vec<Command>) {
        self.respond(task_token, commands, false).await;
    }

    /// Answers a workflow task, and has Temporal make another one at once.
    pub async fn answer_in_part(&self, task_token: Vec<u8>, commands: Vec<Command>) {
        self.respond(task_token, commands, true).await;
    }

    /// Answers all queries with this JSON, until the task is aborted.
    pub fn answer_queries(&self, state: &Value) -> JoinHandle<()> {
        let (rogue, state) = (self.clone(), json_payload(state));
        tokio::spawn(async move {
            loop {
                let Ok(task) = rogue.poll().await else { continue };
                if task.query.is_none() {
                    continue;
                }
                let answer = RespondQueryTaskCompletedRequest {
                    namespace: NAMESPACE.to_owned(),
                    task_token: task.task_token,
                    completed_type: QueryResultType::Answered as i32,
                    query_result: payloads(vec![state.clone()]),
                    ..RespondQueryTaskCompletedRequest::default()
                };
                let mut client = rogue.client.clone();
                // Whoever asked may not wait for the answer any more.
                let _ = client.respond_query_task_completed(answer.into_request()).await;
            }
        })
    }

    /// Waits for an activity of a type; returns its token.
    pub async fn activity_task(&self, activity: &str) -> Vec<u8> {
        let what = format!("{activity} on {}", self.queue.name);
        eventually(what, async || {
            let poll = PollActivityTaskQueueRequest {
                namespace: NAMESPACE.to_owned(),
                task_queue: Some(self.queue.clone()),
                ..PollActivityTaskQueueRequest::default()
            };
            let mut client = self.client.clone();
            let task = client.poll_activity_task_queue(poll.into_request()).await.ok()?;
            let task = task.into_inner();
            (task.activity_type?.name == activity).then_some(task.task_token)
        })
        .await
    }

    /// Completes an activity with this result, whatever it is.
    pub async fn complete(&self, task_token: Vec<u8>, result: Vec<Payload>) {
        let completed = RespondActivityTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token,
            result: payloads(result),
            ..RespondActivityTaskCompletedRequest::default()
        };
        let mut client = self.client.clone();
        let answer = client.respond_activity_task_completed(completed.into_request()).await;
        answer.expect("the result is taken");
    }

    async fn poll(&self) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let poll = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: Some(self.queue.clone()),
            ..PollWorkflowTaskQueueRequest::default()
        };
        let mut client = self.client.clone();
        Ok(client.poll_workflow_task_queue(poll.into_request()).await?.into_inner())
    }

    async fn respond(&self, task_token: Vec<u8>, commands: Vec<Command>, in_part: bool) {
        let completed = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token,
            commands,
            force_create_new_workflow_task: in_part,
            ..RespondWorkflowTaskCompletedRequest::default()
        };
        let mut client = self.client.clone();
        let answer = client.respond_workflow_task_completed(completed.into_request()).await;
        answer.expect("the commands are taken");
    }
}

/// What a history has of a local activity, which no server has run: who answers a workflow task can
/// write it.
#[derive(Debug, Clone)]
pub struct Marker(MarkerRecordedEventAttributes);

impl Marker {
    /// The first one of a local activity of this type.
    pub fn of(events: &[HistoryEvent], activity: &str) -> Marker {
        let of_activity = |event: &HistoryEvent| match event.attributes.clone()? {
            Attributes::MarkerRecordedEventAttributes(marker) => {
                let data = marker.details.get("data")?.payloads.first()?;
                let data: Value = serde_json::from_slice(&data.data).ok()?;
                (data["activity_type"] == activity).then_some(Marker(marker))
            }
            _ => None,
        };
        let found = events.iter().find_map(of_activity);
        found.unwrap_or_else(|| panic!("no marker of {activity}"))
    }

    /// The result of the local activity, which is JSON.
    pub fn result(&self) -> Value {
        let result = self.0.details.get("result").and_then(|result| result.payloads.first());
        serde_json::from_slice(&result.expect("a result").data).expect("JSON")
    }

    /// The same with another result.
    pub fn with(mut self, result: &Value) -> Marker {
        let result = Payloads { payloads: vec![json_payload(result)] };
        self.0.details.insert("result".to_owned(), result);
        self
    }

    /// The command that records it.
    pub fn record(self) -> Command {
        let MarkerRecordedEventAttributes { marker_name, details, header, failure, .. } = self.0;
        let marker = RecordMarkerCommandAttributes { marker_name, details, header, failure };
        command(CommandType::RecordMarker, CommandAttributes::RecordMarkerCommandAttributes(marker))
    }
}

/// The command that has an activity run once, on a worker's task queue.
pub fn schedule_activity(queue: &str, id: &str, activity: &str, input: Vec<Payload>) -> Command {
    let schedule = ScheduleActivityTaskCommandAttributes {
        activity_id: id.to_owned(),
        activity_type: Some(ActivityType { name: activity.to_owned() }),
        task_queue: Some(TaskQueue { name: queue.to_owned(), ..TaskQueue::default() }),
        input: payloads(input),
        start_to_close_timeout: Duration::from_secs(30).try_into().ok(),
        retry_policy: Some(RetryPolicy { maximum_attempts: 1, ..RetryPolicy::default() }),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    command(
        CommandType::ScheduleActivityTask,
        CommandAttributes::ScheduleActivityTaskCommandAttributes(schedule),
    )
}

/// The command that has the index name a workflow for these links' hashes.
pub fn publish_links(hashes: &[&str]) -> Command {
    let hashes = json_payload(&serde_json::json!(hashes));
    let indexed_fields = [(names::ATTRIBUTE_LINKS.to_owned(), hashes)].into();
    let search_attributes = Some(SearchAttributes { indexed_fields });
    let upsert = UpsertWorkflowSearchAttributesCommandAttributes { search_attributes };
    command(
        CommandType::UpsertWorkflowSearchAttributes,
        CommandAttributes::UpsertWorkflowSearchAttributesCommandAttributes(upsert),
    )
}

/// The command that completes a workflow with this result.
pub fn complete_workflow(result: &Value) -> Command {
    let result = payloads(vec![json_payload(result)]);
    let complete = CompleteWorkflowExecutionCommandAttributes { result };
    command(
        CommandType::CompleteWorkflowExecution,
        CommandAttributes::CompleteWorkflowExecutionCommandAttributes(complete),
    )
}

/// The command that has a workflow go on as an approval, with this input.
pub fn continue_as_approval(queue: &str, input: Payload) -> Command {
    let continued = ContinueAsNewWorkflowExecutionCommandAttributes {
        workflow_type: Some(WorkflowType { name: names::WORKFLOW_TYPE.to_owned() }),
        task_queue: Some(TaskQueue { name: queue.to_owned(), ..TaskQueue::default() }),
        input: payloads(vec![input]),
        ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::ContinueAsNewWorkflowExecution,
        CommandAttributes::ContinueAsNewWorkflowExecutionCommandAttributes(continued),
    )
}

fn command(kind: CommandType, attributes: CommandAttributes) -> Command {
    Command { command_type: kind as i32, attributes: Some(attributes), ..Command::default() }
}
