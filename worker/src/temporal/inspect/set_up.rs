//! The server, the namespace, what these credentials may do, and who polls.

use std::time::Duration;

use countersign_core::diagnosis::{
    AttributeState, Call, Connected, Permission, Poller, Queue, Server, server_time,
};
use countersign_protos::names;
use jiff::{SignedDuration, Timestamp};
use temporalio_client::{
    Client, NamespacedClient,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::{TaskQueueKind, TaskQueueType},
    query::v1::WorkflowQuery,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, DescribeNamespaceRequest, DescribeTaskQueueRequest,
        DescribeWorkflowExecutionRequest, GetClusterInfoRequest, GetSystemInfoRequest,
        GetWorkflowExecutionHistoryRequest, ListWorkflowExecutionsRequest,
        PollActivityTaskQueueRequest, PollWorkflowTaskQueueRequest, QueryWorkflowRequest,
        RecordActivityTaskHeartbeatRequest, ResetStickyTaskQueueRequest,
        RespondActivityTaskCompletedRequest, RespondWorkflowTaskCompletedRequest,
        SignalWorkflowExecutionRequest,
    },
};
use tokio::time::{Instant, sleep, timeout};

use super::{IDENTITY, Inspector, time, words};
use crate::{
    activities::webhook::WEBHOOK_QUEUE_SUFFIX,
    temporal::search_attributes::{self, ATTRIBUTES, Attribute},
};

/// How long the server may take to show a poll, which needs a write.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longer than the server needs to take a poll for a long one.
const POLL: Duration = Duration::from_secs(20);

impl Inspector {
    /// What the server says of itself.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn server(&self) -> Result<Server, String> {
        let system = self.call(|mut client| async move {
            client.get_system_info(GetSystemInfoRequest {}.into_request()).await
        });
        let version = system.await.map_err(|status| words(&status))?.server_version;
        // Not everybody may ask this.
        let cluster = self.call(|mut client| async move {
            client.get_cluster_info(GetClusterInfoRequest {}.into_request()).await
        });
        let stores = cluster.await.ok();
        let stores = stores.map(|cluster| (cluster.persistence_store, cluster.visibility_store));
        Ok(Server { version, stores: stores.filter(|(histories, _)| !histories.is_empty()) })
    }

    /// Everything that is asked of a server. `list` says which approvals are open.
    pub async fn examine(&self, task_queue: &str) -> Connected {
        let retention = self.retention().await.map_err(|status| words(&status));
        let attributes = self.attributes().await.map_err(|status| words(&status));
        let permissions = self.permissions().await;
        let webhook_queue = format!("{task_queue}{WEBHOOK_QUEUE_SUFFIX}");
        let queues = [self.queue(task_queue).await, self.queue(&webhook_queue).await];
        let (clock, writes) = self.clock().await;
        let now = server_time(Timestamp::now(), clock.as_ref().ok().copied());
        let approvals = self.overview(task_queue, false, now).await;
        let open = approvals.as_ref().ok().and_then(|overview| overview.an_approval());
        let answer = match open {
            Some(id) => Some((id.to_owned(), self.answer(id).await)),
            None => None,
        };
        Connected {
            answer,
            make_attributes: self.commands(attributes.as_deref().unwrap_or_default()),
            retention,
            attributes,
            permissions,
            queues: queues.map(|queue| queue.map_err(|status| words(&status))).into(),
            clock,
            writes,
            approvals: approvals.map_err(|status| words(&status)),
            refused: self.refused.lock().clone(),
        }
    }

    /// How long the namespace keeps closed workflows.
    ///
    /// # Errors
    /// As the server says.
    pub async fn retention(&self) -> Result<SignedDuration, Status> {
        let described = self.call(|mut client| async move {
            let namespace = client.namespace();
            let request = DescribeNamespaceRequest { namespace, ..Default::default() };
            client.describe_namespace(request.into_request()).await
        });
        let config = described.await?.config.unwrap_or_default();
        let kept = config.workflow_execution_retention_ttl.unwrap_or_default();
        Ok(SignedDuration::new(kept.seconds, kept.nanos))
    }

    pub(super) async fn attributes(&self) -> Result<Vec<(String, AttributeState)>, Status> {
        let listed = self.call(|client| async move { search_attributes::list(&client).await });
        let Ok(listed) = listed.await else { return self.attributes_by_search().await };
        let known = search_attributes::types(listed);
        let state = |(name, kind): Attribute| {
            let state = match known.get(name) {
                Some(known) if *known == kind as i32 => AttributeState::There,
                Some(_) => AttributeState::OtherType,
                None => AttributeState::Missing,
            };
            (name.to_owned(), state)
        };
        Ok(ATTRIBUTES.map(state).into())
    }

    /// Searching shows whether they exist, without permission for the operator service.
    async fn attributes_by_search(&self) -> Result<Vec<(String, AttributeState)>, Status> {
        let mut states = Vec::new();
        for attribute in ATTRIBUTES {
            let state = match self.count(search_attributes::probe(attribute)).await {
                Ok(_) => AttributeState::There,
                Err(status) if status.code() == Code::InvalidArgument => AttributeState::Missing,
                Err(status) => return Err(status),
            };
            states.push((attribute.0.to_owned(), state));
        }
        Ok(states)
    }

    /// What makes those that are missing.
    pub(super) fn commands(&self, states: &[(String, AttributeState)]) -> String {
        let is_missing = |(name, _): &Attribute| {
            states.iter().any(|(other, state)| other == name && *state == AttributeState::Missing)
        };
        let missing: Vec<Attribute> = ATTRIBUTES.into_iter().filter(is_missing).collect();
        search_attributes::create_command(&self.namespace(), &missing)
    }

    /// How many workflows match a query.
    ///
    /// # Errors
    /// As the server says.
    pub(super) async fn count(&self, query: String) -> Result<u64, Status> {
        let counted = self.search(|mut client| {
            let request = CountWorkflowExecutionsRequest {
                namespace: client.namespace(),
                query: query.clone(),
            };
            async move { client.count_workflow_executions(request.into_request()).await }
        });
        Ok(u64::try_from(counted.await?.count).unwrap_or_default())
    }

    /// A task queue, whose pollers are those of workflows and of activities.
    ///
    /// # Errors
    /// As the server says.
    pub async fn queue(&self, name: &str) -> Result<Queue, Status> {
        let mut queue = Queue { name: name.to_owned(), pollers: Vec::new(), oldest_task: None };
        for kind in [TaskQueueType::Workflow, TaskQueueType::Activity] {
            let normal = TaskQueue {
                name: name.to_owned(),
                kind: TaskQueueKind::Normal.into(),
                ..TaskQueue::default()
            };
            let described = self.describe_queue(normal, kind, true).await?;
            let workers = described.pollers.into_iter();
            queue.pollers.extend(workers.filter(|it| !it.identity.starts_with(IDENTITY)));
            queue.oldest_task = queue.oldest_task.max(described.oldest_task);
        }
        Ok(queue)
    }

    async fn describe_queue(
        &self,
        queue: TaskQueue,
        kind: TaskQueueType,
        report_stats: bool,
    ) -> Result<Queue, Status> {
        let name = queue.name.clone();
        let described = self.search(|mut client| {
            let request = DescribeTaskQueueRequest {
                namespace: client.namespace(),
                task_queue: Some(queue.clone()),
                task_queue_type: kind.into(),
                report_stats,
                ..DescribeTaskQueueRequest::default()
            };
            async move { client.describe_task_queue(request.into_request()).await }
        });
        let described = described.await?;
        let pollers = described.pollers.into_iter().filter_map(|poller| {
            let seen = poller.last_access_time?;
            let last_seen = time((seen.seconds, seen.nanos))?;
            Some(Poller { identity: poller.identity, last_seen })
        });
        let stats = described.stats.filter(|stats| stats.approximate_backlog_count > 0);
        let age = stats.and_then(|stats| stats.approximate_backlog_age);
        let oldest_task = age.map(|age| SignedDuration::new(age.seconds, age.nanos));
        Ok(Queue { name, pollers: pollers.collect(), oldest_task })
    }

    /// The time by the server's clock; by this machine's, where that cannot be learned.
    pub async fn server_time(&self) -> Timestamp {
        let (clock, _) = self.clock().await;
        server_time(Timestamp::now(), clock.ok())
    }

    /// This machine's clock minus the server's, and whether the server writes. A poll of a queue of its own says
    /// both: the server has to write down the queue, and then shows when it was polled.
    pub(super) async fn clock(&self) -> (Result<SignedDuration, String>, Result<(), String>) {
        let name = format!("countersign-doctor-{:016x}", fastrand::u64(..));
        let own = TaskQueue {
            // Kept for a day only. Whoever polls for a worker's queue may get its tasks.
            kind: TaskQueueKind::Sticky.into(),
            normal_name: format!("{name}-normal"),
            name,
        };
        let request = PollWorkflowTaskQueueRequest {
            namespace: self.namespace(),
            task_queue: Some(own.clone()),
            identity: self.identity.clone(),
            ..PollWorkflowTaskQueueRequest::default()
        };
        let mut request = request.into_request();
        request.set_timeout(POLL);
        let (sent, mut client) = (Timestamp::now(), self.client.clone());
        let mut poll = tokio::spawn(async move { client.poll_workflow_task_queue(request).await });
        let seen = timeout(SHOWN_WITHIN, self.own_poll(&own));
        let seen = tokio::select! {
            seen = seen => seen,
            Ok(Err(status)) = &mut poll => {
                let why = words(&status);
                return (Err(why.clone()), Err(why));
            }
        };
        poll.abort();
        match seen {
            Ok((at_server, answered)) => (Ok(offset(sent, at_server, answered)), Ok(())),
            Err(_) => {
                let why = format!("it has not taken a new task queue within {SHOWN_WITHIN:?}");
                (Err(why.clone()), Err(why))
            }
        }
    }

    /// When the server has seen this process's poll, by its clock, and when that was known, by ours.
    async fn own_poll(&self, queue: &TaskQueue) -> (Timestamp, Timestamp) {
        let start = Instant::now();
        loop {
            let described =
                self.describe_queue(queue.clone(), TaskQueueType::Workflow, false).await;
            let pollers = described.map(|queue| queue.pollers).unwrap_or_default();
            let own = pollers.into_iter().find(|poller| poller.identity == self.identity);
            if let Some(own) = own {
                return (own.last_seen, Timestamp::now());
            }
            // Whoever asks has a deadline.
            sleep(LOOK_EVERY + start.elapsed() / 10).await;
        }
    }

    /// Tries each call that workers and signalers make, in a way that has no effect: on what does not exist.
    pub(super) async fn permissions(&self) -> Vec<(Call, Permission)> {
        let mut permissions = Vec::new();
        for (name, without_it, attempt) in CALLS {
            let answer = timeout(super::ANSWER, attempt(self.client.clone())).await;
            let permission = match answer.map(|answer| answer.map_err(|status| status.code())) {
                Ok(Err(Code::PermissionDenied | Code::Unauthenticated)) => Permission::Denied,
                Ok(Ok(())) => Permission::Given,
                Ok(Err(code)) if is_an_answer(code) => Permission::Given,
                _ => Permission::Unknown,
            };
            permissions.push((Call { name, without_it }, permission));
        }
        permissions
    }
}

/// Whether a server that does not permit the call would not say this.
fn is_an_answer(code: Code) -> bool {
    matches!(
        code,
        Code::NotFound | Code::InvalidArgument | Code::FailedPrecondition | Code::ResourceExhausted
    )
}

/// How far our clock is ahead of the server's, at least: what it saw then happened between these two.
fn offset(sent: Timestamp, at_server: Timestamp, answered: Timestamp) -> SignedDuration {
    match at_server {
        early if early < sent => sent.duration_since(early),
        late if late > answered => answered.duration_since(late),
        _ => SignedDuration::ZERO,
    }
}

type Attempt = fn(Client) -> futures::future::BoxFuture<'static, Result<(), Status>>;

/// Makes a call of this name with this request.
macro_rules! attempt {
    ($call:ident, $request:ident { $($field:ident: $value:expr),* }) => {
        |mut client| Box::pin(async move {
            let mut request = $request::default();
            request.namespace = client.namespace();
            $(request.$field = $value;)*
            let mut request = request.into_request();
            request.set_timeout(super::ANSWER);
            client.$call(request).await.map(drop)
        })
    };
}

/// A workflow that nobody has.
fn nobodys() -> Option<WorkflowExecution> {
    let workflow_id = format!("countersign-doctor-{:016x}", fastrand::u64(..));
    Some(WorkflowExecution { workflow_id, ..WorkflowExecution::default() })
}

fn all_approvals() -> String {
    format!("WorkflowType = '{}'", names::WORKFLOW_TYPE)
}

/// Each call, what does not work without it, and an attempt that changes nothing.
const CALLS: [(&str, &str, Attempt); 12] = [
    (
        "PollWorkflowTaskQueue",
        "no approval goes on",
        attempt!(poll_workflow_task_queue, PollWorkflowTaskQueueRequest {}),
    ),
    (
        "RespondWorkflowTaskCompleted",
        "no approval goes on",
        attempt!(respond_workflow_task_completed, RespondWorkflowTaskCompletedRequest {}),
    ),
    (
        "PollActivityTaskQueue",
        "no mail is sent",
        attempt!(poll_activity_task_queue, PollActivityTaskQueueRequest {}),
    ),
    (
        "RespondActivityTaskCompleted",
        "mails are sent again and again",
        attempt!(respond_activity_task_completed, RespondActivityTaskCompletedRequest {}),
    ),
    (
        "RecordActivityTaskHeartbeat",
        "slow mails are given up",
        attempt!(record_activity_task_heartbeat, RecordActivityTaskHeartbeatRequest {}),
    ),
    (
        "SignalWorkflowExecution",
        "no decision is recorded",
        attempt!(
            signal_workflow_execution,
            SignalWorkflowExecutionRequest {
                workflow_execution: nobodys(),
                signal_name: "doctor".to_owned()
            }
        ),
    ),
    (
        "QueryWorkflow",
        "pages do not know what was decided",
        attempt!(
            query_workflow,
            QueryWorkflowRequest {
                execution: nobodys(),
                query: Some(WorkflowQuery {
                    query_type: names::QUERY_STATUS.to_owned(),
                    ..WorkflowQuery::default()
                })
            }
        ),
    ),
    (
        "DescribeWorkflowExecution",
        "no link opens",
        attempt!(
            describe_workflow_execution,
            DescribeWorkflowExecutionRequest { execution: nobodys() }
        ),
    ),
    (
        "GetWorkflowExecutionHistory",
        "operators' acts do not count, and links wait for workers",
        attempt!(
            get_workflow_execution_history,
            GetWorkflowExecutionHistoryRequest { execution: nobodys() }
        ),
    ),
    (
        "ResetStickyTaskQueue",
        "a press after a worker's death takes effect later",
        attempt!(reset_sticky_task_queue, ResetStickyTaskQueueRequest { execution: nobodys() }),
    ),
    (
        "ListWorkflowExecutions",
        "typed approval IDs are not found",
        attempt!(
            list_workflow_executions,
            ListWorkflowExecutionsRequest { page_size: 1, query: all_approvals() }
        ),
    ),
    (
        "CountWorkflowExecutions",
        "workers do not know whether search attributes are accepted",
        attempt!(
            count_workflow_executions,
            CountWorkflowExecutionsRequest { query: all_approvals() }
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_by_what_cannot_be_explained_by_the_way() {
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let seconds = SignedDuration::from_secs;
        assert_eq!(offset(at(100), at(101), at(103)), SignedDuration::ZERO);
        assert_eq!(offset(at(100), at(40), at(103)), seconds(60), "ahead");
        assert_eq!(offset(at(100), at(163), at(103)), -seconds(60), "behind");
    }
}
