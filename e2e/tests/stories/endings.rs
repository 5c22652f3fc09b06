//! How a decided approval ends: whoever acts on its outcome gets it once, and its result waits for nobody else.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign_e2e::{
    Answer, End, MailServer, Receiver, Stack, StackBuilder, Temporal, Workflow, eventually,
    json_payload, list, start_approval, submission, text, within,
};
use countersign_protos::{Chain, execution_key};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{common::v1::WorkflowType, enums::v1::EventType};

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];
const ANN: &str = "ann@example.com";
const SAM: &str = "sam@example.com";
const FULL: Option<(&str, &str)> = Some(("RCPT", "452 4.2.2 The mailbox is full"));

/// A follow-up workflow, in this namespace or in one that is named.
fn rules(namespace: &str) -> String {
    format!(
        r#"
[default]
name = "Everything"
on_approved = {{ workflow = "PayExpense", task_queue = "payments"{namespace} }}

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
"#
    )
}

/// The submitter is told at the start, too.
const TELLING: &str = r#"
[default]
name = "Everything"
tell_submitter = true

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
"#;

async fn telling(receiver: &Receiver) -> StackBuilder {
    Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
}

fn by_smtp(builder: StackBuilder, server: &MailServer) -> StackBuilder {
    builder
        .with("COUNTERSIGN_NOTIFY", server.url())
        .with("COUNTERSIGN_MAIL_FROM", "approvals@corp.example")
}

/// Everything is killed twice: after the first approval has its result, and before the second one has.
#[tokio::test]
async fn a_full_mailbox_delays_no_result_and_is_mailed_to_when_it_is_emptied() {
    let builder = Stack::beside(Temporal::start().await);
    let server = MailServer::start(builder.dir()).await;
    let mut stack = by_smtp(builder, &server).start().await;
    for (round, killed_before) in [(1, false), (2, true)] {
        let [parent, workflow] = submit_as_child(&stack, &submission::expense(&[ANN])).await;
        let link = server.mails_to(ANN, round).await.swap_remove(round - 1).mail.link("approve");
        server.reply(FULL);
        stack.press(&link, "approve", "").await.expect(200, &["you approved"]);
        if killed_before {
            workflow.pending_failure("The mailbox is full").await;
            let history = workflow.history().await;
            assert_eq!(history.count("WORKFLOW_EXECUTION_COMPLETED"), 0, "{}", history.outline());
            stack.kill_everything().await;
        }
        let result = time_of(&parent, EventType::ChildWorkflowExecutionCompleted).await;
        assert_eq!(workflow.outcome().await["status"], "APPROVED");
        let pressed = time_of(&workflow, EventType::WorkflowExecutionSignaled).await;
        let waited = result.duration_since(pressed).expect("a result after the press");
        assert!(waited >= Duration::from_secs(10), "{waited:?} for the mail");
        assert!(killed_before || waited <= Duration::from_secs(15), "{waited:?}");
        let notices = workflow.notices().await;
        notices.pending_failure("The mailbox is full").await;
        let told = || server.delivered().into_iter().filter(|each| each.to == [SAM]);
        assert_eq!(told().count(), round - 1, "nothing is delivered yet");

        if !killed_before {
            stack.kill_everything().await;
        }
        server.reply(None);
        let delivered = server.mails_to(SAM, round).await.swap_remove(round - 1);
        assert!(delivered.mail.text.contains("approved"), "{}", delivered.mail.text);
        assert!(matches!(notices.end().await, End::Completed(_)), "all is delivered");
        assert_eq!(told().count(), round, "one notice");
    }
}

/// A workflow of another type, and the approval that it has started as its child.
async fn submit_as_child(stack: &Stack, submission: &Value) -> [Workflow; 2] {
    let [parent, id] = [stack.new_workflow_id(), stack.new_workflow_id()];
    let grpc = stack.temporal.grpc().await;
    let kind = Some(WorkflowType { name: "Purchase".to_owned() });
    grpc.start_with(&parent, &parent, Vec::new(), |request| request.workflow_type = kind).await;
    let purchases = grpc.rogue(&parent);
    let start = start_approval(&stack.queue, &id, json_payload(submission));
    purchases.answer(purchases.workflow_task().await, vec![start]).await;
    [parent, id].map(|id| stack.temporal.workflow(&id))
}

/// When the first event of a type came, once there is one; by Temporal's clock.
async fn time_of(workflow: &Workflow, kind: EventType) -> SystemTime {
    let what = format!("{} of {}", kind.as_str_name(), workflow.id);
    within(Duration::from_secs(120), what, async || {
        let events = workflow.temporal.grpc().await.try_events(&workflow.id).await.ok()?;
        let event = events.into_iter().find(|event| event.event_type() == kind)?;
        SystemTime::try_from(event.event_time?).ok()
    })
    .await
}

#[tokio::test]
async fn who_could_not_be_told_of_the_start_is_told_of_the_outcome_alone() {
    let builder = Stack::beside(Temporal::shared().await).with_rules(TELLING);
    let server = MailServer::start(builder.dir()).await;
    server.reply(FULL);
    let stack = by_smtp(builder, &server).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    workflow.pending_attempt(2).await;
    workflow.signal("approve", &json!({"reviewer": ANN})).await;
    eventually("mails about the stage to be cancelled", async || {
        let history = workflow.history().await;
        // One to Ann, and one to Sam.
        (history.count("ACTIVITY_TASK_CANCEL_REQUESTED") == 2).then_some(())
    })
    .await;
    server.reply(None);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    let told = server.mails_to(SAM, 1).await;
    assert_eq!(told.len(), 1, "one mail");
    assert!(told[0].mail.text.contains("approved"), "{}", told[0].mail.text);
}

#[tokio::test]
async fn who_was_decided_for_is_told_so_also_after_the_approval_has_closed() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = by_smtp(builder, &server).start().await;
    let workflow = stack.submit(&submission::expense(&[ANN])).await;
    server.mails_to(ANN, 1).await;
    server.reply(FULL);
    workflow.signal("approve", &json!({"reviewer": ANN})).await;
    let notices = workflow.notices().await;
    server.reply(None);
    let told = server.mails_to(ANN, 2).await.swap_remove(1).mail;
    assert!(told.text.starts_with("An operator ("), "{}", told.text);
    assert!(told.text.contains(") recorded an approval for you in "), "{}", told.text);
    assert!(matches!(notices.end().await, End::Completed(_)), "all is delivered");
}

#[tokio::test]
async fn a_notice_that_is_refused_later_makes_its_workflow_fail_where_a_search_finds_it() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = by_smtp(builder, &server).start().await;
    let workflow = stack.submit(&submission::expense(&[ANN])).await;
    let link = server.mails_to(ANN, 1).await.swap_remove(0).mail.link("approve");
    server.reply(FULL);
    stack.press(&link, "approve", "").await.expect(200, &["you approved"]);
    let notices = workflow.notices().await;
    server.reply(Some(("RCPT", "550 5.1.1 No such mailbox")));
    let end = notices.end().await;
    assert!(matches!(&end, End::Failed { kind, .. } if kind == "Undeliverable"), "{end:?}");
    let undeliverable = |attributes: &Value| attributes["ApprovalUndeliverable"] == true;
    notices.attributes_where("that it is undeliverable", undeliverable).await;
}

/// Two workers share the tasks, so that whatever is repeated may be the other one's.
#[tokio::test]
async fn whatever_is_repeated_after_a_reset_is_the_same_event() {
    for namespace in ["", ", namespace = \"default\""] {
        let receiver = Receiver::refusing(0).await;
        let stack = telling(&receiver).await.with_rules(&rules(namespace)).start().await;
        let mut beside = telling(&receiver).await.with_rules(&rules(namespace));
        for same in ["COUNTERSIGN_TASK_QUEUE", "COUNTERSIGN_NOTIFY", "COUNTERSIGN_LINK_KEYS"] {
            beside = beside.with(same, stack.setting(same));
        }
        let _beside = beside.start().await;
        let workflow = stack.submit(&submission::routed("50.00")).await;
        let link = stack.mail_to(ANN).await.link("approve");
        stack.press(&link, "approve", "").await.expect(200, &["you approved"]);
        let outcome = workflow.outcome().await;
        let run = stack.temporal.grpc().await.run(&workflow.id).await;
        let events = workflow.history().await.events();
        let tasks = events
            .iter()
            .filter(|event| text(&event["eventType"]) == "EVENT_TYPE_WORKFLOW_TASK_COMPLETED");
        let tasks: Vec<String> = tasks.map(|event| text(&event["eventId"])).collect();
        let mut resets = 0;
        for task in &tasks {
            let reset = ["workflow", "reset", "--workflow-id", &workflow.id, "--run-id", &run];
            let task = ["--event-id", task, "--reason", "A story"];
            let reset = stack.temporal.cli([&reset[..], &task].concat()).await;
            if !reset.status.success() {
                let why = String::from_utf8_lossy(&reset.stderr);
                assert!(why.contains("must be at the boundary"), "{why}");
                continue;
            }
            resets += 1;
            let again = workflow.outcome().await;
            for same in ["status", "executionKey", "childWorkflowId"] {
                assert_eq!(
                    again[same], outcome[same],
                    "{same}, after a reset to {task:?}: {again}"
                );
            }
            assert!(again["followUpError"].is_null(), "{again}");
        }
        assert!(resets >= 3, "{resets} of {tasks:?}");
        let deliveries = receiver.deliveries_so_far();
        let ids: BTreeSet<&str> = deliveries.iter().map(|one| one.header("webhook-id")).collect();
        assert_eq!(ids.len(), 1, "one event: {ids:?}");
        let child = text(&outcome["childWorkflowId"]);
        let runs = stack.temporal.list(&format!("WorkflowId = '{child}'")).await;
        assert_eq!(runs.len(), 1, "the follow-up workflow has run once");
        let notices = stack.mails_so_far(SAM);
        let told: BTreeSet<String> = notices.iter().map(|mail| mail.header("Message-ID")).collect();
        assert_eq!(told.len(), 1, "one mail, however often it is sent: {told:?}");
    }
}

/// The receiver answers late, and the submitter's mailbox is full until all is over.
#[tokio::test]
async fn what_is_repeated_after_a_kill_at_each_step_of_the_end_is_the_same_event() {
    let late = Answer::Takes(Duration::from_secs(2));
    let answers = [Answer::TakesAndHangs, Answer::TakesAndHangs, late];
    let receiver = Receiver::that_answers(answers).await;
    let builder = telling(&receiver).await.with_rules(&rules(""));
    let server = MailServer::start(builder.dir()).await;
    let mut stack = by_smtp(builder, &server).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let link = server.mails_to(ANN, 1).await.swap_remove(0).mail.link("approve");
    workflow.until_asked().await;
    server.reply(FULL);
    stack.kill_worker().await;
    stack.press(&link, "approve", "").await.expect(202, &["recorded"]);
    stack.start_worker();
    // The outcome is sealed, and the follow-up workflow, webhook and notice have begun.
    kill_worker_at(&mut stack, &workflow, "START_CHILD_WORKFLOW_EXECUTION_INITIATED", 1).await;
    eventually("the outcome to be at the receiver", async || {
        (!receiver.under_way().is_empty()).then_some(())
    })
    .await;
    for (step, times) in [
        // A request, and nothing since.
        ("ACTIVITY_TASK_COMPLETED", 1),
        // The webhook.
        ("ACTIVITY_TASK_COMPLETED", 2),
        // For notices, after the stage's deadline.
        ("TIMER_STARTED", 2),
        // For notices, after the follow-up workflow.
        ("START_CHILD_WORKFLOW_EXECUTION_INITIATED", 2),
        ("WORKFLOW_EXECUTION_COMPLETED", 1),
    ] {
        kill_worker_at(&mut stack, &workflow, step, times).await;
    }
    server.reply(None);
    let notices = workflow.notices().await;
    assert!(matches!(notices.end().await, End::Completed(_)), "all is delivered");
    let told = server.mails_to(SAM, 1).await;
    let told: BTreeSet<String> = told.iter().map(|one| one.mail.header("Message-ID")).collect();
    assert_eq!(told.len(), 1, "one kind of notice: {told:?}");
    let deliveries = receiver.deliveries_so_far();
    let ids: BTreeSet<&str> = deliveries.iter().map(|one| one.header("webhook-id")).collect();
    assert!(deliveries.len() > 1 && ids.len() == 1, "one event: {ids:?}");
    let outcome = workflow.outcome().await;
    assert!(outcome["followUpError"].is_null() && outcome["webhookError"].is_null(), "{outcome}");
    let child = text(&outcome["childWorkflowId"]);
    let runs = stack.temporal.list(&format!("WorkflowId = '{child}'")).await;
    assert_eq!(runs.len(), 1, "the follow-up workflow has run once");
}

/// Kills the worker as soon as a history has so many events of a type, and starts another one, which gets the
/// workflow's tasks at once.
async fn kill_worker_at(stack: &mut Stack, workflow: &Workflow, kind: &str, times: usize) {
    within(Duration::from_secs(120), format!("{times} {kind}"), async || {
        (workflow.history().await.count(kind) >= times).then_some(())
    })
    .await;
    stack.kill_worker().await;
    // It is refused where the workflow has closed.
    let _ = workflow.temporal.grpc().await.try_reset_stickiness(&workflow.id).await;
    stack.start_worker();
}

#[tokio::test]
async fn a_follow_up_workflow_that_cannot_be_started_stands_in_the_outcome_and_is_found() {
    let stack = Stack::beside(Temporal::shared().await)
        .with_rules(&rules(", namespace = \"default\""))
        .start()
        .await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let link = stack.mail_to(ANN).await.link("approve");
    let grpc = stack.temporal.grpc().await;
    let first_run_id = grpc.run(&workflow.id).await;
    let chain = Chain { workflow_id: &workflow.id, first_run_id: &first_run_id };
    let key = execution_key(chain, &text(&workflow.status().await["digest"]));
    let taken = format!("{}-approved-{}", workflow.id, &key[..8]);
    grpc.start("payments", &taken, Vec::new()).await;
    stack.press(&link, "approve", "").await.expect(200, &["you approved"]);
    let outcome = workflow.outcome().await;
    let why = text(&outcome["followUpError"]);
    assert!(why.contains(&taken) && why.contains("refused"), "{outcome}");
    assert!(outcome["childWorkflowId"].is_null(), "{outcome}");
    let undeliverable = |attributes: &Value| attributes["ApprovalUndeliverable"] == true;
    workflow.attributes_where("that it is undeliverable", undeliverable).await;
    assert!(!stack.open(&link).await.says("refused"), "that is the operators' concern");
}

/// Nothing waits for a follow-up workflow, but as long as the approval is open, it sees what becomes of one.
#[tokio::test]
async fn a_follow_up_workflow_that_fails_while_the_webhook_is_pending_stands_in_the_outcome() {
    static ACCEPTS: AtomicBool = AtomicBool::new(false);
    let receiver = Receiver::that_decides(|_, _| match ACCEPTS.load(Ordering::Relaxed) {
        true => Answer::Takes(Duration::ZERO),
        false => Answer::Says(503, Some(("Retry-After", "1")), ""),
    })
    .await;
    let stack = telling(&receiver).await.with_rules(&rules("")).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let link = stack.mail_to(ANN).await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["you approved"]);
    let started = format!("WorkflowId STARTS_WITH '{}-approved-'", workflow.id);
    let child =
        eventually("the follow-up workflow", async || stack.temporal.list(&started).await.pop())
            .await;
    let terminate = ["workflow", "terminate", "--workflow-id", &child, "--reason", "No budget"];
    stack.temporal.must(terminate).await;
    let has_failed = |status: &Value| status["followUpError"].is_string();
    let status = workflow.status_where("the failure", has_failed).await;
    let why = text(&status["followUpError"]);
    assert!(why.starts_with(&format!("{child} failed: ")), "{status}");
    let undeliverable = |attributes: &Value| attributes["ApprovalUndeliverable"] == true;
    workflow.attributes_where("that somebody has to act", undeliverable).await;
    ACCEPTS.store(true, Ordering::Relaxed);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["followUpError"], why, "{outcome}");
    assert_eq!(outcome["childWorkflowId"], child, "it was started: {outcome}");
}

/// Of what a decision brings about, in the order of the history.
#[tokio::test]
async fn what_acts_on_an_outcome_comes_before_notices_and_the_index_before_a_receiver_that_is_slow()
{
    for follow_up in [Some("START_CHILD_WORKFLOW_EXECUTION_INITIATED"), None] {
        let receiver = Receiver::that_answers([Answer::Says(503, None, "")]).await;
        let builder = telling(&receiver).await;
        let builder = match follow_up {
            Some(_) => builder.with_rules(&rules("")),
            None => builder.with("COUNTERSIGN_REVIEWERS", ANN),
        };
        let stack = builder.start().await;
        let workflow = stack.submit(&submission::routed("50.00")).await;
        workflow.signal("approve", &json!({"reviewer": ANN})).await;
        workflow.pending_failure("503").await;
        let decided = |attributes: &Value| attributes["ApprovalStatus"] == "APPROVED";
        workflow.attributes_where("the decision", decided).await;
        let events = workflow.history().await.events();
        let events: Vec<String> = events.iter().map(said).collect();
        let first = |what: &str| events.iter().position(|event| event == what).expect(what);
        let sealed = events.iter().rposition(|event| event == "marker").expect("a marker");
        let mut order = vec![first("WORKFLOW_EXECUTION_SIGNALED"), sealed];
        order.extend(follow_up.map(first));
        order.extend([first("process_decision"), first("announce_decision")]);
        assert!(order.is_sorted(), "{order:?} of {events:?}");
        assert_eq!(list(&workflow.status().await["stages"]).count(), 1);
    }
}

/// The type of an event, or of the activity that it schedules.
fn said(event: &Value) -> String {
    match text(&event["eventType"]).trim_start_matches("EVENT_TYPE_") {
        "ACTIVITY_TASK_SCHEDULED" => {
            text(&event["activityTaskScheduledEventAttributes"]["activityType"]["name"])
        }
        "MARKER_RECORDED" => "marker".to_owned(),
        other => other.to_owned(),
    }
}

#[tokio::test]
async fn nothing_that_closes_is_cancelled_or_written_twice() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&[ANN])).await;
    let link = stack.mail_to(ANN).await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["you approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    let history = workflow.history().await;
    for kind in ["TIMER_CANCELED", "ACTIVITY_TASK_CANCEL_REQUESTED"] {
        assert_eq!(history.count(kind), 0, "{}", history.outline());
    }
    let kind = "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES";
    assert_eq!(
        history.count(kind),
        2,
        "when they are asked, and at the end: {}",
        history.outline()
    );
    let events = history.events();
    let last = events.iter().rev().take(2).map(|event| text(&event["eventType"]));
    let last: Vec<String> = last.collect();
    assert!(last[1].ends_with(kind), "in the task that closes: {last:?}");
    let found = |attributes: &Value| attributes["ApprovalStatus"] == "APPROVED";
    workflow.attributes_where("the decision", found).await;
    assert!(
        stack.temporal.list(&format!("WorkflowId STARTS_WITH '{}-'", workflow.id)).await.is_empty()
    );
}

#[tokio::test]
async fn a_workflow_of_notices_that_no_approval_has_started_fails_and_mails_nobody() {
    let stack = Stack::start().await;
    for input in ["7", "null", r#"{"open": {}}"#] {
        let id = stack.new_workflow_id();
        let start = ["workflow", "start", "--type", "ApprovalNotices", "--workflow-id", &id];
        let with = ["--task-queue", &stack.queue, "--input", input];
        stack.temporal.must([&start[..], &with].concat()).await;
        let end = stack.temporal.workflow(&id).end().await;
        assert!(
            matches!(&end, End::Failed { kind, .. } if kind == "InvalidStart"),
            "{input}: {end:?}"
        );
    }
    assert_eq!(stack.outbox_size(), 0);
}

/// It has all that a real one has, but for what somebody has changed.
#[tokio::test]
async fn a_workflow_of_notices_with_a_forged_state_fails_and_mails_nobody() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = by_smtp(builder, &server).start().await;
    let workflow = stack.submit(&submission::expense(&[ANN])).await;
    let link = server.mails_to(ANN, 1).await.swap_remove(0).mail.link("approve");
    server.reply(FULL);
    stack.press(&link, "approve", "").await.expect(200, &["you approved"]);
    let notices = workflow.notices().await;
    server.reply(None);
    assert!(matches!(notices.end().await, End::Completed(_)), "all is delivered");
    let mails = server.count();

    let begins = notices.history().await.events().swap_remove(0);
    let input = &begins["workflowExecutionStartedEventAttributes"]["input"]["payloads"][0]["data"];
    let input = BASE64_STANDARD.decode(text(input)).expect("base64");
    let genuine: Value = serde_json::from_slice(&input).expect("JSON");
    let mut to_others = genuine.clone();
    let undelivered = to_others["open"]["notices"]["undelivered"].as_object_mut();
    for notice in undelivered.expect("a notice to Sam").values_mut() {
        notice["recipient"] = "mallory@example.com".into();
    }
    let mut of_others = genuine.clone();
    let outcome = text(&genuine["open"]["outcome"]["json"]);
    of_others["open"]["outcome"]["json"] = outcome.replace("Train to the fair", "Ten cars").into();
    for (forged, why) in [
        (to_others, "this notice does not concern the recipient"),
        (of_others, "it was not recorded for this approval"),
    ] {
        assert_ne!(forged, genuine);
        let (id, input) = (stack.new_workflow_id(), forged.to_string());
        let start = ["workflow", "start", "--type", "ApprovalNotices", "--workflow-id", &id];
        let with = ["--task-queue", &stack.queue, "--input", &input];
        stack.temporal.must([&start[..], &with].concat()).await;
        let started = stack.temporal.workflow(&id);
        let end = started.end().await;
        assert!(matches!(&end, End::Failed { kind, .. } if kind == "Undeliverable"), "{end:?}");
        let history = started.history().await.0;
        assert!(history.contains(why), "{why}: {history}");
    }
    assert_eq!((server.count(), server.times_received("mallory@example.com")), (mails, 0));
}
