//! Open approvals, and one of them.

use std::{collections::BTreeMap, time::Duration};

use countersign_connection::decoded;
use countersign_core::diagnosis::{
    Activity, Approval, Case, Counts, End, How, Kind, MAX_ROWS, Missing, Overview, Row, Task,
};
use countersign_protos::{
    names, payload,
    v1::{ApprovalState, Outcome},
};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use temporalio_client::{
    NamespacedClient,
    grpc::WorkflowService,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, WorkflowExecution},
    enums::v1::{PendingActivityState, PendingWorkflowTaskState, WorkflowExecutionStatus},
    query::v1::WorkflowQuery,
    workflow::v1::{PendingActivityInfo, WorkflowExecutionInfo},
    workflowservice::v1::{
        DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse,
        ListWorkflowExecutionsRequest, QueryWorkflowRequest,
    },
};

use tokio::time::{Instant, timeout};

use super::{
    Inspector,
    history::{Past, read_failure},
    time, words,
};
use crate::{payload::from_temporal, temporal::queries::Queries};

/// Longer than Temporal leaves a query to a worker that has died.
const QUERY: Duration = Duration::from_secs(10);
/// How many workflows are described at the same time.
const AT_ONCE: usize = 8;

impl Inspector {
    /// Open approvals of a task queue: how many there are, and the first of them. With `details`, their titles.
    /// `now` is by the server's clock.
    ///
    /// # Errors
    /// If they cannot be listed, or none of them can be described.
    pub async fn overview(
        &self,
        task_queue: &str,
        details: bool,
        now: Timestamp,
    ) -> Result<Overview, Status> {
        let queries = Queries::new(task_queue, now);
        let counts = Counts {
            waiting: self.count(queries.waiting()).await.ok(),
            overdue: self.count(queries.overdue()).await.ok(),
            undeliverable: self.count(queries.undeliverable()).await.ok(),
            decided: self.count(queries.decided()).await.ok(),
            notices: self.count(queries.notices()).await.ok(),
        };
        let special = [
            (counts.overdue, queries.overdue()),
            (counts.undeliverable, queries.undeliverable()),
            (counts.decided, queries.decided()),
            (counts.notices, queries.notices()),
        ];
        let mut found = BTreeMap::new();
        for (count, query) in special {
            if count.is_some_and(|count| count > 0) {
                self.list(query, &mut found).await?;
            }
        }
        self.list(queries.open(), &mut found).await?;
        let rows = stream::iter(found.into_values())
            .map(|execution| self.row(execution, now, details))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>();
        let (rows, missing) = described(rows.await)?;
        Ok(Overview { missing, ..Overview::new(counts, rows) })
    }

    /// Adds what matches, up to [`MAX_ROWS`] in all, by run ID.
    async fn list(
        &self,
        query: String,
        found: &mut BTreeMap<String, WorkflowExecution>,
    ) -> Result<(), Status> {
        let left = MAX_ROWS.saturating_sub(found.len());
        if left == 0 {
            return Ok(());
        }
        let listed = self.search(|mut client| {
            let request = ListWorkflowExecutionsRequest {
                namespace: client.namespace(),
                // Those that were found before may come again.
                page_size: MAX_ROWS as i32,
                query: query.clone(),
                ..ListWorkflowExecutionsRequest::default()
            };
            async move { client.list_workflow_executions(request.into_request()).await }
        });
        let executions = listed.await?.executions.into_iter().filter_map(|info| info.execution);
        for execution in executions {
            if found.len() < MAX_ROWS {
                found.insert(execution.run_id.clone(), execution);
            }
        }
        Ok(())
    }

    async fn row(
        &self,
        execution: WorkflowExecution,
        now: Timestamp,
        details: bool,
    ) -> Result<Row, Status> {
        let described = self.describe(execution.clone()).await?;
        let mut approval = approval(described);
        let has_failed = approval.undeliverable
            || approval.task.as_ref().is_some_and(Task::has_failed)
            || approval.failing().next().is_some();
        if details || has_failed {
            // Without it, what fails is said to have begun with its latest attempt.
            if let Ok(past) = self.past(execution).await {
                past.complete(&mut approval);
            }
        }
        Ok(Row::new(&approval, now, details))
    }

    async fn describe(
        &self,
        execution: WorkflowExecution,
    ) -> Result<DescribeWorkflowExecutionResponse, Status> {
        self.read(|mut client| {
            let request = DescribeWorkflowExecutionRequest {
                namespace: client.namespace(),
                execution: Some(execution.clone()),
            };
            async move { client.describe_workflow_execution(request.into_request()).await }
        })
        .await
    }

    /// All that there is to know of a workflow's latest run. `None` if there is no such workflow.
    ///
    /// # Errors
    /// As the server says.
    pub async fn case(&self, workflow_id: &str) -> Result<Option<Case>, Status> {
        let mut execution =
            WorkflowExecution { workflow_id: workflow_id.to_owned(), ..Default::default() };
        let described = match self.describe(execution.clone()).await {
            Ok(described) => described,
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status),
        };
        let info = described.workflow_execution_info.clone().unwrap_or_default();
        execution.run_id = info.execution.clone().unwrap_or_default().run_id;
        let workflow_type = info.r#type.clone().unwrap_or_default().name;
        let parent = info.parent_execution.clone().map(|parent| parent.workflow_id);
        let mut approval = approval(described);
        let past = self.past(execution.clone()).await.unwrap_or_default();
        past.complete(&mut approval);
        let end = past.end(&info);
        let state = match workflow_type == names::WORKFLOW_TYPE {
            true => self.state(execution, end.is_some(), past.result.as_ref()).await,
            false => Err("it is no approval".to_owned()),
        };
        let queue = self.queue(&approval.task_queue).await;
        let pollers = queue.map(|queue| queue.pollers).unwrap_or_default();
        Ok(Some(Case { approval, workflow_type, parent, end, state, pollers }))
    }

    /// How long a worker takes to answer a query of a workflow.
    ///
    /// # Errors
    /// Why none has answered.
    pub(super) async fn answer(&self, workflow_id: &str) -> Result<SignedDuration, String> {
        let execution =
            WorkflowExecution { workflow_id: workflow_id.to_owned(), ..Default::default() };
        let start = Instant::now();
        let answered = timeout(QUERY, self.query(execution)).await;
        let answered = answered.map_err(|_| format!("no answer within {QUERY:?}"))?;
        answered.map_err(|status| words(&status))?;
        Ok(SignedDuration::try_from(start.elapsed()).unwrap_or_default())
    }

    async fn query(&self, execution: WorkflowExecution) -> Result<Vec<Payload>, Status> {
        let mut client = self.client.clone();
        let query =
            WorkflowQuery { query_type: names::QUERY_STATUS.to_owned(), ..Default::default() };
        let request = QueryWorkflowRequest {
            namespace: client.namespace(),
            execution: Some(execution),
            query: Some(query),
            ..QueryWorkflowRequest::default()
        };
        let answer = client.query_workflow(request.into_request()).await?.into_inner();
        let answer = decoded(&self.client, answer).await;
        Ok(answer.query_result.unwrap_or_default().payloads)
    }

    /// What a worker answers; of a closed approval without a worker, what its result says.
    async fn state(
        &self,
        execution: WorkflowExecution,
        is_closed: bool,
        result: Option<&Payload>,
    ) -> Result<ApprovalState, String> {
        if let Some(result) = result.filter(|_| is_closed) {
            let outcome = payload::decode::<Outcome>(&from_temporal(vec![result.clone()]));
            return outcome.map(of_outcome).map_err(|error| error.to_string());
        }
        let answered = timeout(QUERY, self.query(execution)).await;
        let answered = answered.map_err(|_| format!("no answer within {QUERY:?}"))?;
        let payloads = answered.map_err(|status| words(&status))?;
        payload::decode(&from_temporal(payloads)).map_err(|error| error.to_string())
    }
}

/// Those that could be described, and how many could not.
///
/// # Errors
/// If none could: that does not mean that none is open.
fn described(rows: Vec<Result<Row, Status>>) -> Result<(Vec<Row>, Option<Missing>), Status> {
    let (mut described, mut failures) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Ok(row) => described.push(row),
            // It has closed meanwhile, and is gone.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => failures.push(status),
        }
    }
    let count = failures.len();
    match failures.pop() {
        Some(status) if described.is_empty() => Err(status),
        last => Ok((described, last.map(|status| Missing { count, why: words(&status) }))),
    }
}

/// A closed approval's state, as far as its outcome has it.
fn of_outcome(outcome: Outcome) -> ApprovalState {
    ApprovalState {
        status: outcome.status,
        decided_at: outcome.decided_at,
        reason: outcome.reason,
        webhook_error: outcome.webhook_error,
        follow_up_error: outcome.follow_up_error,
        ..ApprovalState::default()
    }
}

/// What a description says.
fn approval(described: DescribeWorkflowExecutionResponse) -> Approval {
    let info = described.workflow_execution_info.unwrap_or_default();
    let task = described.pending_workflow_task.and_then(|task| {
        let since = task.original_scheduled_time.or(task.scheduled_time)?;
        Some(Task {
            since: time((since.seconds, since.nanos))?,
            attempt: u32::try_from(task.attempt).unwrap_or_default(),
            is_running: task.state == i32::from(PendingWorkflowTaskState::Started),
            failure: None,
        })
    });
    let attribute = |name: &str| attribute(&info, name);
    let strings = |value: Value| match value {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let is_notices =
        info.r#type.as_ref().is_some_and(|kind| kind.name == names::WORKFLOW_TYPE_NOTICES);
    let deadline = attribute(names::ATTRIBUTE_DEADLINE);
    Approval {
        workflow_id: info.execution.as_ref().map(|it| it.workflow_id.clone()).unwrap_or_default(),
        kind: if is_notices { Kind::Notices } else { Kind::Approval },
        task_queue: info.task_queue.clone(),
        started: info.start_time.and_then(|at| time((at.seconds, at.nanos))).unwrap_or_default(),
        status: attribute(names::ATTRIBUTE_STATUS).as_str().unwrap_or_default().to_owned(),
        reviewers: strings(attribute(names::ATTRIBUTE_REVIEWERS)),
        deadline: deadline.as_str().and_then(|deadline| deadline.parse().ok()),
        undeliverable: attribute(names::ATTRIBUTE_UNDELIVERABLE) == true,
        task,
        activities: described.pending_activities.into_iter().filter_map(activity).collect(),
        refused: Vec::new(),
        signals: Vec::new(),
        title: None,
    }
}

/// A search attribute, which is JSON; null if it is not set.
fn attribute(info: &WorkflowExecutionInfo, name: &str) -> Value {
    let attributes = info.search_attributes.as_ref();
    let payload = attributes.and_then(|attributes| attributes.indexed_fields.get(name));
    payload.and_then(|payload| serde_json::from_slice(&payload.data).ok()).unwrap_or_default()
}

fn activity(info: PendingActivityInfo) -> Option<Activity> {
    let paused = [PendingActivityState::Paused, PendingActivityState::PauseRequested];
    let at = info.scheduled_time.or(info.last_started_time)?;
    Some(Activity {
        kind: info.activity_type.unwrap_or_default().name,
        id: info.activity_id,
        summary: String::new(),
        attempt: u32::try_from(info.attempt).unwrap_or_default(),
        since: time((at.seconds, at.nanos))?,
        failure: info.last_failure.map(read_failure),
        paused: paused.into_iter().any(|paused| info.state == i32::from(paused)),
    })
}

impl Past {
    /// How the workflow ended, if it has.
    fn end(&self, info: &WorkflowExecutionInfo) -> Option<End> {
        let how = match info.status() {
            WorkflowExecutionStatus::Running | WorkflowExecutionStatus::Unspecified => return None,
            WorkflowExecutionStatus::Completed => How::Completed,
            WorkflowExecutionStatus::Failed => How::Failed,
            WorkflowExecutionStatus::Canceled => How::Cancelled,
            WorkflowExecutionStatus::Terminated => How::Terminated,
            WorkflowExecutionStatus::TimedOut => How::TimedOut,
            _ => How::Other,
        };
        let at = info.close_time.and_then(|at| time((at.seconds, at.nanos)));
        Some(End { how, at, failure: self.failure.clone() })
    }
}
