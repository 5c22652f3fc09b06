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
        ScheduleActivityTaskCommandAttributes, StartChildWorkflowExecutionCommandAttributes,
        UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes as CommandAttributes,
    },
    common::v1::{ActivityType, Payload, Payloads, RetryPolicy, SearchAttributes, WorkflowType},
    enums::v1::{CommandType, QueryResultType},
    history::v1::{HistoryEvent, MarkerRecordedEventAttributes, history_event::Attributes},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, PollWorkflowTaskQueueRequest,
        PollWorkflowTaskQueueResponse, RespondActivityTaskCompletedRequest,
        RespondQueryTaskCompletedRequest, RespondWorkflowTaskCompletedRequest,
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
    /// Polls for a workflow task or a query until the server answers, with an empty token if there is none.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn poll(&self) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let poll = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: Some(self.queue.clone()),
            ..PollWorkflowTaskQueueRequest::default()
        };
        let mut client = self.client.clone();
        Ok(client.poll_workflow_task_queue(poll.into_request()).await?.into_inner())
    }

    /// Polls for an activity until the server answers, with an empty token if there is none.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn poll_activity(&self) -> Result<PollActivityTaskQueueResponse, Status> {
        let poll = PollActivityTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: Some(self.queue.clone()),
            ..PollActivityTaskQueueRequest::default()
        };
        let mut client = self.client.clone();
        Ok(client.poll_activity_task_queue(poll.into_request()).await?.into_inner())
    }

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
        self.try_answer(task_token, commands, false).await.expect("the commands are taken");
    }

    /// Answers a workflow task, and has Temporal make another one at once.
    pub async fn answer_in_part(&self, task_token: Vec<u8>, commands: Vec<Command>) {
        self.try_answer(task_token, commands, true).await.expect("the commands are taken");
    }

    /// Answers a workflow task; `in_part`, Temporal makes another one at once.
    ///
    /// # Errors
    /// Why the server does not take the commands.
    pub async fn try_answer(
        &self,
        task_token: Vec<u8>,
        commands: Vec<Command>,
        in_part: bool,
    ) -> Result<(), Status> {
        let completed = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token,
            commands,
            force_create_new_workflow_task: in_part,
            ..RespondWorkflowTaskCompletedRequest::default()
        };
        let mut client = self.client.clone();
        client.respond_workflow_task_completed(completed.into_request()).await.map(drop)
    }

    /// Answers all queries with this JSON, until the task is aborted.
    pub fn answer_queries(&self, state: &Value) -> JoinHandle<()> {
        let (rogue, state) = (self.clone(), state.clone());
        tokio::spawn(async move {
            loop {
                let Ok(task) = rogue.poll().await else { continue };
                if task.query.is_none() {
                    continue;
                }
                // Whoever asked may not wait for the answer any more.
                let _ = rogue.answer_query(task.task_token, &state).await;
            }
        })
    }

    /// Answers one query with this JSON.
    ///
    /// # Errors
    /// Why the server does not take the answer.
    pub async fn answer_query(&self, task_token: Vec<u8>, state: &Value) -> Result<(), Status> {
        let answer = RespondQueryTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token,
            completed_type: QueryResultType::Answered as i32,
            query_result: payloads(vec![json_payload(state)]),
            ..RespondQueryTaskCompletedRequest::default()
        };
        let mut client = self.client.clone();
        client.respond_query_task_completed(answer.into_request()).await.map(drop)
    }

    /// Waits for an activity of a type; returns its token.
    pub async fn activity_task(&self, activity: &str) -> Vec<u8> {
        let what = format!("{activity} on {}", self.queue.name);
        eventually(what, async || {
            let task = self.poll_activity().await.ok()?;
            (task.activity_type?.name == activity).then_some(task.task_token)
        })
        .await
    }

    /// Completes an activity with this result, whatever it is.
    pub async fn complete(&self, task_token: Vec<u8>, result: Vec<Payload>) {
        self.try_complete(task_token, result).await.expect("the result is taken");
    }

    /// The same, or why the server does not take the result.
    ///
    /// # Errors
    /// As the server says.
    pub async fn try_complete(
        &self,
        task_token: Vec<u8>,
        result: Vec<Payload>,
    ) -> Result<(), Status> {
        let completed = RespondActivityTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token,
            result: payloads(result),
            ..RespondActivityTaskCompletedRequest::default()
        };
        let mut client = self.client.clone();
        client.respond_activity_task_completed(completed.into_request()).await.map(drop)
    }
}

/// What a history has of a local activity, which no server has run: who answers a workflow task can
/// write it.
#[derive(Debug, Clone)]
pub struct Marker(MarkerRecordedEventAttributes);

impl Marker {
    /// The first one of a local activity of this type.
    pub fn of(events: &[HistoryEvent], activity: &str) -> Marker {
        let found = Marker::all(events).find(|marker| marker.is_of(activity));
        found.unwrap_or_else(|| panic!("no marker of {activity}"))
    }

    /// Those of all local activities, in order.
    pub fn all(events: &[HistoryEvent]) -> impl Iterator<Item = Marker> {
        events.iter().filter_map(|event| match event.attributes.clone()? {
            Attributes::MarkerRecordedEventAttributes(marker) => Some(Marker(marker)),
            _ => None,
        })
    }

    /// Whether it is of a local activity of this type.
    pub fn is_of(&self, activity: &str) -> bool {
        self.detail("data")["activity_type"] == activity
    }

    /// The result of the local activity, which is JSON; `null` if it has failed.
    pub fn result(&self) -> Value {
        self.detail("result")
    }

    fn detail(&self, name: &str) -> Value {
        let detail = self.0.details.get(name).and_then(|detail| detail.payloads.first());
        detail.and_then(|json| serde_json::from_slice(&json.data).ok()).unwrap_or_default()
    }

    /// As if it were of the local activity of this type, the number `seq` of all activities of its workflow.
    pub fn as_of(mut self, activity: &str, seq: usize) -> Marker {
        let mut data = self.detail("data");
        data["activity_type"] = activity.into();
        data["seq"] = seq.into();
        data["activity_id"] = seq.to_string().into();
        let data = Payloads { payloads: vec![json_payload(&data)] };
        self.0.details.insert("data".to_owned(), data);
        self
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

/// The command that starts an approval as the workflow's child.
pub fn start_approval(queue: &str, id: &str, submission: Payload) -> Command {
    let start = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: id.to_owned(),
        workflow_type: Some(WorkflowType { name: names::WORKFLOW_TYPE.to_owned() }),
        task_queue: Some(TaskQueue { name: queue.to_owned(), ..TaskQueue::default() }),
        input: payloads(vec![submission]),
        ..StartChildWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::StartChildWorkflowExecution,
        CommandAttributes::StartChildWorkflowExecutionCommandAttributes(start),
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
