//! Against a Temporal that answers as a story has it.

use std::{
    future::pending,
    sync::{Arc, Mutex as StdMutex},
};

use countersign_connection::testing::fake_temporal;
use countersign_core::diagnosis::{AttributeState, Permission, State};
use countersign_protos::names;
use prost::Message;
use serde_json::{Value, json};
use temporalio_client::{ClientOptions, callback_based::GrpcRequest};
use temporalio_common::protos::temporal::api::{
    common::v1::{ActivityType, Payload, SearchAttributes, WorkflowExecution, WorkflowType},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::{
        ActivityTaskScheduledEventAttributes, History, HistoryEvent, history_event::Attributes,
    },
    sdk::v1::UserMetadata,
    taskqueue::v1::PollerInfo,
    workflow::v1::{PendingActivityInfo, WorkflowExecutionInfo},
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, CountWorkflowExecutionsResponse, DescribeTaskQueueRequest,
        DescribeTaskQueueResponse, DescribeWorkflowExecutionRequest,
        DescribeWorkflowExecutionResponse, GetWorkflowExecutionHistoryResponse,
        ListWorkflowExecutionsResponse, SignalWorkflowExecutionRequest,
    },
};

use super::*;

type Answer = Result<Vec<u8>, Status>;

/// Looks at a server that answers so; what it was asked.
async fn looking(
    answer: impl Fn(&GrpcRequest) -> Option<Answer> + Send + Sync + 'static,
) -> (Inspector, Arc<StdMutex<Vec<String>>>) {
    let asked = Arc::new(StdMutex::new(Vec::new()));
    let noted = asked.clone();
    let connection = fake_temporal(move |request| {
        noted.lock().expect("not poisoned").push(request.rpc.clone());
        let answer = match request.rpc.as_str() {
            "GetSystemInfo" => Some(Ok(Vec::new())),
            _ => answer(&request),
        };
        async move {
            match answer {
                Some(answer) => answer,
                None => pending().await,
            }
        }
    });
    let inspector =
        Inspector::connect((connection, ClientOptions::new("default").build()).into()).await;
    (inspector.expect("a connection"), asked)
}

fn decode<M: Message + Default>(request: &GrpcRequest) -> M {
    M::decode(request.proto.clone()).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn what_credentials_may_not_do_is_found_without_an_effect() {
    let (inspector, asked) = looking(|request| {
        Some(match request.rpc.as_str() {
            "SignalWorkflowExecution" => {
                let asked: SignalWorkflowExecutionRequest = decode(request);
                let id = asked.workflow_execution.unwrap_or_default().workflow_id;
                assert!(id.starts_with("countersign-doctor-"), "{id} may be somebody's");
                Err(Status::permission_denied("Request unauthorized."))
            }
            "QueryWorkflow" => Err(Status::unavailable("shutting down")),
            "CountWorkflowExecutions" => Ok(Vec::new()),
            _ => Err(Status::not_found("workflow not found")),
        })
    })
    .await;
    let permissions = inspector.permissions().await;
    let with = |wanted: Permission| -> Vec<&str> {
        let those = permissions.iter().filter(|(_, permission)| *permission == wanted);
        those.map(|(call, _)| call.name).collect()
    };
    assert_eq!(with(Permission::Denied), ["SignalWorkflowExecution"]);
    assert_eq!(with(Permission::Unknown), ["QueryWorkflow"]);
    assert_eq!(with(Permission::Given).len(), 10);
    let asked = asked.lock().expect("not poisoned");
    let changes = ["StartWorkflowExecution", "TerminateWorkflowExecution", "UpdateNamespace"];
    assert!(!changes.iter().any(|call| asked.iter().any(|asked| asked == call)), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_ask_the_operator_service_finds_attributes_by_searching() {
    let (inspector, _) = looking(|request| {
        Some(match request.rpc.as_str() {
            "CountWorkflowExecutions" => {
                let asked: CountWorkflowExecutionsRequest = decode(request);
                match asked.query.contains(names::ATTRIBUTE_LINKS) {
                    true => Err(Status::invalid_argument("column name is not defined")),
                    false => Ok(CountWorkflowExecutionsResponse::default().encode_to_vec()),
                }
            }
            _ => Err(Status::permission_denied("Request unauthorized.")),
        })
    })
    .await;
    let states = inspector.attributes().await.expect("states");
    let missing = states.iter().filter(|(_, state)| *state == AttributeState::Missing);
    assert_eq!(
        missing.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        [names::ATTRIBUTE_LINKS]
    );
    let commands = inspector.commands(&states);
    assert!(
        commands.ends_with("--namespace default --name ApprovalLinks --type KeywordList"),
        "{commands}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_over_a_limit_is_counted_and_asked_again() {
    let refusals = StdMutex::new(3);
    let (inspector, _) =
        looking(move |_| {
            let mut left = refusals.lock().expect("not poisoned");
            *left -= 1;
            Some(match *left >= 0 {
                true => Err(Status::resource_exhausted("namespace rate limit exceeded")),
                false => Ok(CountWorkflowExecutionsResponse { count: 7, ..Default::default() }
                    .encode_to_vec()),
            })
        })
        .await;
    assert_eq!(inspector.count("x".into()).await.expect("a number"), 7);
    let calls = [("CountWorkflowExecutions".to_owned(), 3)].into();
    let words = "namespace rate limit exceeded".to_owned();
    assert_eq!(*inspector.refused.lock(), Refused { calls, words });
    let start = Instant::now();
    for _ in 0..9 {
        inspector.count("x".into()).await.expect("a number");
    }
    assert!(
        start.elapsed() >= 8 * SEARCH_EVERY,
        "it leaves others their share: {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_poll_of_its_own_shows_the_servers_clock_and_that_it_writes() {
    let polls = Arc::new(StdMutex::new(None));
    let (inspector, _) = looking(move |request| match request.rpc.as_str() {
        "PollWorkflowTaskQueue" => {
            let poll: temporalio_common::protos::temporal::api::workflowservice::v1::PollWorkflowTaskQueueRequest = decode(request);
            // Whoever polls a sticky queue may get tasks of the normal one.
            let queue = poll.task_queue.expect("a queue");
            for name in [queue.name, queue.normal_name] {
                assert!(name.starts_with("countersign-doctor-"), "{name}");
            }
            *polls.lock().expect("not poisoned") = Some(poll.identity);
            None
        }
        "DescribeTaskQueue" => {
            let asked: DescribeTaskQueueRequest = decode(request);
            assert!(asked.task_queue.expect("a queue").name.starts_with("countersign-doctor-"));
            let identity = polls.lock().expect("not poisoned").clone();
            let pollers = identity.into_iter().map(|identity| {
                let early = Timestamp::now().as_second() - 600;
                let last_access_time = serde_json::from_value(json!(
                    Timestamp::from_second(early).expect("a time").to_string()
                ));
                PollerInfo { identity, last_access_time: last_access_time.ok(), ..Default::default() }
            });
            let described =
                DescribeTaskQueueResponse { pollers: pollers.collect(), ..Default::default() };
            Some(Ok(described.encode_to_vec()))
        }
        other => panic!("{other}"),
    })
    .await;
    let (clock, writes) = inspector.clock().await;
    let ahead = clock.expect("a difference").as_secs();
    assert!((598..=602).contains(&ahead), "{ahead} s");
    assert_eq!(writes, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_write_shows_no_poll() {
    let full = "database or disk is full (13)";
    let (inspector, _) = looking(move |request| match request.rpc.as_str() {
        "PollWorkflowTaskQueue" => Some(Err(Status::unavailable(full))),
        _ => None,
    })
    .await;
    let (_, writes) = inspector.clock().await;
    assert_eq!(writes, Err(full.into()));
    let (inspector, _) = looking(|_| None).await;
    let (clock, writes) = inspector.clock().await;
    let why = "it has not taken a new task queue within 5s";
    assert_eq!((clock, writes), (Err(why.into()), Err(why.into())));
}

fn execution(id: &str) -> Option<WorkflowExecution> {
    Some(WorkflowExecution { workflow_id: id.into(), run_id: format!("run-of-{id}") })
}

fn payload(value: &Value) -> Payload {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    Payload { metadata, data: value.to_string().into_bytes(), ..Payload::default() }
}

/// An approval whose mail fails.
fn failing() -> DescribeWorkflowExecutionResponse {
    let attributes = [
        (names::ATTRIBUTE_STATUS, json!("PENDING")),
        (names::ATTRIBUTE_REVIEWERS, json!(["ann@example.com"])),
        (names::ATTRIBUTE_DEADLINE, json!("2099-12-01T09:00:00Z")),
    ];
    let indexed_fields = attributes.map(|(name, value)| (name.to_owned(), payload(&value))).into();
    let failure = Failure {
        message: "the mail server: Connection refused".into(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: "MailUnavailable".into(),
            ..Default::default()
        })),
        ..Failure::default()
    };
    DescribeWorkflowExecutionResponse {
        workflow_execution_info: Some(WorkflowExecutionInfo {
            execution: execution("laptops"),
            r#type: Some(WorkflowType { name: names::WORKFLOW_TYPE.into() }),
            search_attributes: Some(SearchAttributes { indexed_fields }),
            task_queue: "approvals".into(),
            ..Default::default()
        }),
        pending_activities: vec![PendingActivityInfo {
            activity_id: "3".into(),
            activity_type: Some(ActivityType { name: "request_approval".into() }),
            attempt: 5,
            scheduled_time: "2026-12-01T09:30:00Z".parse().ok(),
            last_failure: Some(failure),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn history() -> GetWorkflowExecutionHistoryResponse {
    let scheduled =
        ActivityTaskScheduledEventAttributes { activity_id: "3".into(), ..Default::default() };
    let event = HistoryEvent {
        event_time: "2026-12-01T08:00:00Z".parse().ok(),
        attributes: Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)),
        user_metadata: Some(UserMetadata {
            summary: Some(payload(&json!("Ask ann@example.com"))),
            ..Default::default()
        }),
        ..Default::default()
    };
    GetWorkflowExecutionHistoryResponse {
        history: Some(History { events: vec![event] }),
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_fails_is_listed_with_its_cause_since_its_first_attempt() {
    let (inspector, _) = looking(|request| {
        Some(match request.rpc.as_str() {
            "CountWorkflowExecutions" => {
                let asked: CountWorkflowExecutionsRequest = decode(request);
                // As where that search attribute is missing.
                match asked.query.contains(names::ATTRIBUTE_DEADLINE) {
                    true => Err(Status::invalid_argument("column name is not defined")),
                    false => Ok(CountWorkflowExecutionsResponse { count: 1, ..Default::default() }
                        .encode_to_vec()),
                }
            }
            "ListWorkflowExecutions" => {
                let info =
                    WorkflowExecutionInfo { execution: execution("laptops"), ..Default::default() };
                Ok(ListWorkflowExecutionsResponse { executions: vec![info], ..Default::default() }
                    .encode_to_vec())
            }
            "DescribeWorkflowExecution" => Ok(failing().encode_to_vec()),
            "GetWorkflowExecutionHistory" => Ok(history().encode_to_vec()),
            other => panic!("{other}"),
        })
    })
    .await;
    let overview = inspector.overview("approvals", false, Timestamp::now()).await.expect("a list");
    assert_eq!(overview.counts.waiting, Some(1));
    assert_eq!(overview.counts.overdue, None, "the others are known all the same");
    let [row] = &overview.rows[..] else { panic!("once: {overview:?}") };
    assert_eq!((row.state, row.workflow_id.as_str()), (State::Failing, "laptops"));
    assert_eq!(row.since, "2026-12-01T08:00:00Z".parse().ok());
    assert_eq!(
        row.causes,
        ["the request: the mail server: Connection refused (4 failed attempts)"]
    );
    let overview = inspector.overview("approvals", true, Timestamp::now()).await.expect("a list");
    let named = "Ask ann@example.com: the mail server: Connection refused (4 failed attempts)";
    assert_eq!(overview.rows[0].causes, [named], "with details");
}

#[tokio::test(start_paused = true)]
async fn approvals_of_which_none_can_be_described_are_not_said_to_be_none() {
    for (why, expected) in [
        (Status::unavailable("shard status unknown"), Err("shard status unknown")),
        (Status::not_found("workflow not found"), Ok(0)),
    ] {
        let (inspector, _) = looking(move |request| {
            Some(match request.rpc.as_str() {
                "CountWorkflowExecutions" => Ok(Vec::new()),
                "ListWorkflowExecutions" => {
                    let execution = execution("laptops");
                    let info = WorkflowExecutionInfo { execution, ..Default::default() };
                    let executions = vec![info];
                    Ok(ListWorkflowExecutionsResponse { executions, ..Default::default() }
                        .encode_to_vec())
                }
                "DescribeWorkflowExecution" => Err(why.clone()),
                other => panic!("{other}"),
            })
        })
        .await;
        let overview = inspector.overview("approvals", false, Timestamp::now()).await;
        let listed = overview.map(|overview| overview.rows.len());
        assert_eq!(listed.as_ref().map_err(Status::message), expected.as_ref().map_err(|it| *it));
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_says_how_many_approvals_could_not_be_described_and_why() {
    let (inspector, _) = looking(|request| {
        Some(match request.rpc.as_str() {
            "CountWorkflowExecutions" => Ok(Vec::new()),
            "ListWorkflowExecutions" => {
                let info =
                    |id| WorkflowExecutionInfo { execution: execution(id), ..Default::default() };
                let executions = ["laptops", "desks"].map(info).into();
                Ok(ListWorkflowExecutionsResponse { executions, ..Default::default() }
                    .encode_to_vec())
            }
            "DescribeWorkflowExecution" => {
                let asked: DescribeWorkflowExecutionRequest = decode(request);
                match asked.execution == execution("desks") {
                    true => Err(Status::unavailable("shard status unknown")),
                    false => Ok(failing().encode_to_vec()),
                }
            }
            "GetWorkflowExecutionHistory" => Ok(history().encode_to_vec()),
            other => panic!("{other}"),
        })
    })
    .await;
    let overview = inspector.overview("approvals", false, Timestamp::now()).await.expect("a list");
    assert_eq!(overview.rows.len(), 1);
    let missing = overview.missing.map(|missing| (missing.count, missing.why));
    assert_eq!(missing, Some((1, "shard status unknown".to_owned())));
}
