//! Starts that Temporal offers and an approval does not take, and what a start leaves behind.

use countersign_e2e::{
    DenyingProxy, End, Grpc, History, Stack, Temporal, Workflow, eventually, is_encrypted,
    json_payload, list, payload, submission, text,
};
use countersign_protos::Chain;
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::{
    Payload, RetryPolicy, SearchAttributes,
};

use crate::forgery::{approved_by, continued, recorded};

fn input(submission: &Value) -> Vec<Payload> {
    vec![json_payload(submission)]
}

/// A state as the run before leaves it, with a genuine plan and everybody's votes.
async fn forged_state(stack: &Stack, grpc: &Grpc, workflow_id: &str) -> Vec<Payload> {
    let genuine = stack.submit(&submission::expense(&["ann@example.com"])).await;
    genuine.until_asked().await;
    let [plan, seats] = recorded(grpc, &genuine).await;
    let chain = Chain { workflow_id, first_run_id: "first" };
    let votes = approved_by(&seats.result(), &Value::Null);
    vec![continued(chain, &plan.result()["plan"], votes)]
}

/// A run's history, once it has failed.
async fn failed(temporal: &Temporal, workflow: &str, run: &str) -> Value {
    eventually(format!("run {run} of {workflow} to fail"), async || {
        let show = ["workflow", "show", "--output", "json", "--workflow-id", workflow];
        let history = History(temporal.must([&show[..], &["--run-id", run]].concat()).await);
        assert_eq!(history.count("WORKFLOW_TASK_FAILED"), 0, "{}", history.outline());
        assert_eq!(history.count("MARKER_RECORDED"), 0, "it fails before anything is done");
        let last = history.events().pop().expect("an event");
        let failed = &last["workflowExecutionFailedEventAttributes"];
        failed.is_object().then(|| failed.clone())
    })
    .await
}

fn message(failed: &Value) -> String {
    assert_eq!(failed["failure"]["applicationFailureInfo"]["type"], "InvalidStart", "{failed}");
    assert_eq!(failed["failure"]["applicationFailureInfo"]["nonRetryable"], true, "{failed}");
    text(&failed["failure"]["message"])
}

/// Temporal starts the next run of a cron schedule whatever the failure.
#[tokio::test]
async fn on_a_cron_schedule_each_run_fails_until_somebody_terminates_the_workflow() {
    let stack = Stack::start().await;
    let (temporal, grpc) = (&stack.temporal, stack.temporal.grpc().await);
    let workflow = temporal.workflow(&stack.new_workflow_id());
    let state = forged_state(&stack, &grpc, &workflow.id).await;
    let mails = stack.outbox_size();
    grpc.start_with(&stack.queue, &workflow.id, state, |request| {
        request.cron_schedule = "@every 1s".to_owned();
    })
    .await;
    let mut run = grpc.run(&workflow.id).await;
    for _ in 0..2 {
        let failed = failed(temporal, &workflow.id, &run).await;
        let said = message(&failed);
        assert!(said.contains("cron schedule (\"@every 1s\")"), "{said}");
        assert!(said.contains("until the workflow is terminated"), "{said}");
        let next = text(&failed["newExecutionRunId"]);
        assert_ne!(next, "", "Temporal goes on with the schedule");
        run = next;
    }
    temporal.must(["workflow", "terminate", "--workflow-id", &workflow.id]).await;
    let last = workflow.history().await.events().pop().expect("an event");
    assert_eq!(last["eventType"], "EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED");
    let next = &last["workflowExecutionTerminatedEventAttributes"]["newExecutionRunId"];
    assert!(next.is_null(), "no run follows: {last}");
    assert_eq!(stack.outbox_size(), mails, "nobody is asked or told anything");
}

#[tokio::test]
async fn with_a_retry_policy_an_approval_fails_at_once_and_is_not_retried() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let workflow = stack.temporal.workflow(&stack.new_workflow_id());
    let state = forged_state(&stack, &grpc, &workflow.id).await;
    let mails = stack.outbox_size();
    grpc.start_with(&stack.queue, &workflow.id, state, |request| {
        request.retry_policy = Some(RetryPolicy { maximum_attempts: 3, ..RetryPolicy::default() });
    })
    .await;
    let run = grpc.run(&workflow.id).await;
    let failed = failed(&stack.temporal, &workflow.id, &run).await;
    let said = message(&failed);
    assert!(said.contains("start it without one"), "{said}");
    assert!(failed["newExecutionRunId"].is_null(), "{failed}");
    assert_eq!(workflow.status().await["reason"], said, "`status` says it too");
    assert_eq!(stack.outbox_size(), mails, "nobody is asked or told anything");
}

/// Many clients say so where they want no retries.
#[tokio::test]
async fn a_retry_policy_of_one_attempt_is_as_good_as_none() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let workflow = stack.temporal.workflow(&stack.new_workflow_id());
    let expense = submission::expense(&["ann@example.com"]);
    grpc.start_with(&stack.queue, &workflow.id, input(&expense), |request| {
        request.retry_policy = Some(RetryPolicy { maximum_attempts: 1, ..RetryPolicy::default() });
    })
    .await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn a_time_out_that_ends_an_approval_before_its_deadline_is_told_before_and_after() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let workflow = stack.temporal.workflow(&stack.new_workflow_id());
    let expense = submission::expense(&["ann@example.com"]);
    grpc.start_with(&stack.queue, &workflow.id, input(&expense), |request| {
        request.workflow_run_timeout.get_or_insert_default().seconds = 12;
    })
    .await;
    let mail = stack.mail_to("ann@example.com").await;
    let words = "it was started with a time-out, which is over before the deadline on";
    assert!(mail.text.contains(words), "{}", mail.text);
    let link = mail.link("approve");
    stack.open(&link).await.expect(200, &["It ends undecided then", "Train to the fair"]);
    let details = workflow.details().await;
    assert!(details.contains("**Temporal ends this workflow at "), "{details}");
    let ended = "It was started with a time-out, which ended it on ";
    let page = eventually("Temporal to end it", async || {
        let page = stack.open(&link).await;
        (page.status == 410).then_some(page)
    })
    .await;
    page.expect(410, &["This request ended without a decision", ended, "before its deadline on"]);
    let pressed = stack.press(&link, "approve", "").await;
    pressed.expect(410, &[ended, "You pressed Approve; nothing was changed."]);
}

#[tokio::test]
async fn a_first_run_that_claims_to_go_on_from_another_is_refused() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    for data in [r#"{"submissionId": "x", "case": {}, "encoding": null}"#, "", "garbage"] {
        let workflow = stack.temporal.workflow(&stack.new_workflow_id());
        let mut claims = payload("json/plain", data);
        claims.metadata.insert("messageType".to_owned(), b"countersign.Continued".to_vec());
        grpc.start(&stack.queue, &workflow.id, vec![claims]).await;
        let run = grpc.run(&workflow.id).await;
        let said = message(&failed(&stack.temporal, &workflow.id, &run).await);
        assert!(said.contains("start it with a submission"), "{said}");
    }
    assert_eq!(stack.outbox_size(), 0, "nobody is asked");
}

/// As *Start Workflow Like This One* in Temporal's Web UI copies them.
fn of_another_approval() -> SearchAttributes {
    let fields = [
        ("ApprovalStatus", r#""APPROVED""#),
        ("ApprovalReviewers", r#"["victim@example.com"]"#),
        ("ApprovalLinks", r#"["hash-of-another-approvals-link"]"#),
        ("ApprovalUndeliverable", "true"),
        ("ApprovalDeadline", r#""2020-01-01T00:00:00Z""#),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), payload("json/plain", value)));
    SearchAttributes { indexed_fields: fields.into() }
}

/// Starts a workflow with another approval's search attributes, and sees that it has none of them
/// after its first workflow task.
async fn start_like_another(
    stack: &Stack,
    submission: &Value,
    policy: Option<RetryPolicy>,
) -> Workflow {
    let grpc = stack.temporal.grpc().await;
    let workflow = stack.temporal.workflow(&stack.new_workflow_id());
    grpc.start_with(&stack.queue, &workflow.id, input(submission), |request| {
        request.search_attributes = Some(of_another_approval());
        request.retry_policy = policy;
    })
    .await;
    let first = eventually("a first workflow task", async || {
        let events = workflow.history().await.events();
        let done = |event: &Value| event["eventType"] == "EVENT_TYPE_WORKFLOW_TASK_COMPLETED";
        events.iter().position(done).and_then(|at| events.get(at + 1).cloned())
    })
    .await;
    let upserted = &first["upsertWorkflowSearchAttributesEventAttributes"]["searchAttributes"]["indexedFields"];
    let unset = upserted.as_object().unwrap_or_else(|| panic!("they are not unset first: {first}"));
    assert_eq!(unset.len(), 5, "{first}");
    workflow
}

#[tokio::test]
async fn search_attributes_that_a_workflow_is_started_with_are_gone_after_its_first_task() {
    let stack = Stack::start().await;
    let expense = submission::expense(&["ann@example.com"]);
    let empty = json!({"submissionId": ""});
    for (submission, policy, why) in [
        (&empty, None, "InvalidSubmission"),
        (&expense, Some(RetryPolicy::default()), "InvalidStart"),
    ] {
        let workflow = start_like_another(&stack, submission, policy).await;
        let end = workflow.end().await;
        assert!(matches!(&end, End::Failed { kind, .. } if kind == why), "{end:?}");
        let has_none = |attributes: &Value| {
            let name = |name: &String| name.starts_with("Approval");
            attributes.as_object().is_none_or(|all| !all.keys().any(name))
        };
        workflow.attributes_where("nothing of an approval", has_none).await;
    }

    let workflow = start_like_another(&stack, &expense, None).await;
    let own = |attributes: &Value| {
        let links: Vec<String> = list(&attributes["ApprovalLinks"]).map(text).collect();
        attributes["ApprovalStatus"] == "PENDING"
            && (is_encrypted() || attributes["ApprovalReviewers"] == json!(["ann@example.com"]))
            && attributes["ApprovalUndeliverable"] == false
            && text(&attributes["ApprovalDeadline"]).as_str() > "2021"
            && links.len() == 1
            && links[0] != "hash-of-another-approvals-link"
    };
    workflow.attributes_where("its own values", own).await;
}

/// As in clusters whose clients have rights on their namespace alone.
#[tokio::test]
async fn where_the_operator_service_is_denied_a_worker_starts_if_the_attributes_are_there() {
    let temporal = Temporal::shared().await;
    let proxy = DenyingProxy::start(&temporal).await;
    let stack = Stack::beside(temporal).with("TEMPORAL_ADDRESS", proxy.address()).start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    assert!(proxy.denied() > 0, "the worker has asked");
    let log = stack.worker().log();
    assert!(log.contains("the search attributes are there"), "{log}");
}
