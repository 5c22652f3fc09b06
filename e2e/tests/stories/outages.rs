//! Processes die; decisions do not.

use std::{collections::BTreeSet, time::Duration};

use countersign_e2e::{
    Mail, Page, Stack, Temporal, Workflow, eventually, list, submission, within,
};
use serde_json::json;
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, history_event::Attributes,
};

#[tokio::test]
async fn with_every_worker_killed_the_page_is_shown_and_a_decision_takes_effect_later() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    // A signal that comes during a workflow task is in the history only after that task.
    workflow.until_asked().await;
    stack.kill_worker().await;

    stack.open(&link).await.expect(200, &["Train to the fair", "125.50 USD"]);
    let page = stack.press(&link, "approve", "while you were out").await;
    let pressed = "You pressed Approve as ann@example.com";
    page.expect(202, &["recorded", pressed, "The deadline is "]);
    assert!(!page.says("approved"), "nothing is decided yet: {}", page.text());
    let page = stack.open(&link).await;
    page.expect(200, &["Your decision is stored", pressed, "The deadline is ", "125.50 USD"]);
    assert!(page.buttons().is_empty(), "there is nothing more to press: {}", page.text());
    let other = stack.press(&link, "reject", "").await;
    other.expect(202, &["You pressed Reject", "You had pressed Approve before"]);
    assert_eq!(workflow.history().await.count("WORKFLOW_EXECUTION_SIGNALED"), 2);

    stack.start_worker();
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED");
    assert_eq!(outcome["stages"][0]["decisions"][0]["comment"], "while you were out");
    stack.open(&link).await.expect(200, &["approved", "while you were out"]);
}

#[tokio::test]
async fn a_worker_killed_at_any_moment_loses_no_decision_and_mails_no_second_link() {
    let mut stack = Stack::start().await;
    for moment in ["started", "asked", "decided"] {
        let reviewer = format!("{moment}@example.com");
        let workflow = stack.submit(&submission::expense(&[&reviewer])).await;
        match moment {
            "asked" => drop(stack.mail_to(&reviewer).await),
            "decided" => workflow.signal("approve", &json!({"reviewer": reviewer})).await,
            _ => {}
        }
        stack.kill_worker().await;
        stack.start_worker();
        if moment != "decided" {
            let link = stack.mail_to(&reviewer).await.link("approve");
            let pressed = stack.press(&link, "approve", "").await;
            assert!([200, 202].contains(&pressed.status), "{}", pressed.text());
        }
        approved_once(&workflow).await;
        let mails = stack.mails_so_far(&reviewer);
        let ids: BTreeSet<String> =
            mails.iter().filter(|mail| mail.has_links()).map(Mail::approval_id).collect();
        assert!(ids.len() <= 1, "{moment}: two different links for one reviewer");
    }
}

#[tokio::test]
async fn a_worker_killed_while_it_tells_the_submitter_is_followed_by_one_that_does() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    stack.mail_to("sam@example.com").await;
    stack.kill_worker().await;
    stack.start_worker();
    // Temporal gives up on a lost activity when its time is over, which is a minute.
    workflow.end_within(Duration::from_secs(120)).await.expect("an end");
    approved_once(&workflow).await;
}

/// Temporal gives a workflow's tasks to the worker that has it cached, and notices only after a while that it
/// is dead.
#[tokio::test]
async fn a_press_goes_to_another_worker_at_once_where_the_one_before_was_killed() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    workflow.until_asked().await;
    stack.kill_worker().await;
    stack.start_worker();
    let pressed = stack.press(&link, "approve", "").await;
    assert!([200, 202].contains(&pressed.status), "{} {}", pressed.status, pressed.text());
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    let history = workflow.history().await;
    assert_eq!(history.count("WORKFLOW_TASK_TIMED_OUT"), 0, "{}", history.outline());
}

#[tokio::test]
async fn what_was_on_its_way_to_a_worker_that_was_killed_waits_eight_seconds_for_another() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    stack.mail_to("ann@example.com").await;
    workflow.until_asked().await;
    stack.kill_worker().await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    stack.start_worker();
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    let events = stack.temporal.grpc().await.events(&workflow.id).await;
    let seconds = |event: &HistoryEvent| event.event_time.expect("a time").seconds;
    let waited = events.iter().find_map(|event| match &event.attributes {
        Some(Attributes::WorkflowTaskTimedOutEventAttributes(timed_out)) => {
            let scheduled = &events[timed_out.scheduled_event_id as usize - 1];
            Some(seconds(event) - seconds(scheduled))
        }
        _ => None,
    });
    let waited = waited.expect("the dead worker's task timed out");
    assert!((7..10).contains(&waited), "{waited} s");
}

#[tokio::test]
async fn with_temporal_killed_nothing_is_recorded_and_all_goes_on_when_it_is_back() {
    let temporal = Temporal::start().await;
    let stack = Stack::beside(temporal.clone()).with_metrics().start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.open(&link).await.expect(200, &["125.50 USD"]);
    assert_eq!(stack.watch("worker", "/readyz").await.status, 200);
    let events = workflow.history().await;
    temporal.kill().await;

    refused(&stack.press(&link, "approve", "lost?").await, "nothing was recorded");
    refused(&stack.open(&link).await, "nothing was changed");
    let alive = stack.open(&stack.url("/healthz")).await;
    assert_eq!(alive.status, 200, "the process itself is well");
    assert_eq!(stack.open(&stack.url("/readyz")).await.status, 503);
    assert_eq!(stack.watch("worker", "/readyz").await.status, 503, "the worker says so too");
    assert_eq!(stack.watch("worker", "/healthz").await.status, 200, "it is to be left alone");
    let unreachable = "\ncountersign_temporal_reachable 0\n";
    eventually("the signaler to count Temporal as unreachable", async || {
        stack.watch("signaler", "/metrics").await.body.contains(unreachable).then_some(())
    })
    .await;

    temporal.restart().await;
    let page = eventually("the page to come back by itself", async || {
        let page = stack.open(&link).await;
        (page.status == 200).then_some(page)
    })
    .await;
    page.expect(200, &["Train to the fair"]);
    let recorded = workflow.history().await.count("WORKFLOW_EXECUTION_SIGNALED");
    assert_eq!(recorded, events.count("WORKFLOW_EXECUTION_SIGNALED"), "nothing was recorded");

    let pressed = stack.press(&link, "approve", "now").await;
    assert!([200, 202].contains(&pressed.status), "{} {}", pressed.status, pressed.text());
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["stages"][0]["decisions"][0]["comment"], "now", "{outcome}");
    // A new approval, from start to end, with the worker and signaler that saw it all.
    let workflow = stack.submit(&submission::expense(&["bob@example.com"])).await;
    let link = stack.mail_to("bob@example.com").await.link("reject");
    stack.press(&link, "reject", "").await.expect(200, &["rejected"]);
    assert_eq!(workflow.outcome().await["status"], "REJECTED");
}

#[tokio::test]
async fn worker_and_signaler_wait_for_a_temporal_that_is_not_there_yet() {
    let temporal = Temporal::start().await;
    temporal.kill().await;
    let mut stack = Stack::beside(temporal.clone()).start_unready().await;
    stack.start_worker();
    within(Duration::from_secs(20), "both to say what they wait for", async || {
        let address = temporal.address();
        let waits = |log: String| log.contains(&address);
        (waits(stack.worker().log()) && waits(stack.signaler().log())).then_some(())
    })
    .await;
    assert_eq!(stack.open(&stack.url("/readyz")).await.status, 503);
    temporal.restart().await;
    stack.until_ready().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn worker_and_signaler_wait_for_a_namespace_that_is_not_there_yet() {
    let temporal = Temporal::start().await;
    let default = Stack::beside(temporal.clone()).start().await;
    default.submit(&submission::expense(&["ann@example.com"])).await;
    let genuine = default.mail_to("ann@example.com").await.approval_id();
    let mut stack = Stack::beside(temporal.clone())
        .with("TEMPORAL_NAMESPACE", "finance")
        .with("COUNTERSIGN_LINK_KEYS", default.setting("COUNTERSIGN_LINK_KEYS"))
        .start_unready()
        .await;
    stack.start_worker();
    let create = ["operator", "namespace", "create", "--namespace", "finance"];
    eventually("the worker to say what it waits for", async || {
        stack.worker().log().contains(&create.join(" ")).then_some(())
    })
    .await;
    assert_eq!(stack.open(&stack.url("/readyz")).await.status, 503);
    let link = stack.url(&format!("/a/{genuine}"));
    refused(&stack.open(&link).await, "nothing was changed");

    temporal.must(create).await;
    stack.until_ready().await;
    let expense = submission::expense(&["bob@example.com"]);
    let file = submission::write(stack.dir(), "expense", &expense);
    let file = file.to_str().expect("a UTF-8 path");
    let arguments = ["--namespace", "finance", "--input-file", file];
    // Temporal itself knows a new namespace only after a while.
    eventually("the namespace to take a workflow", async || {
        temporal.try_start_workflow(&stack.queue, "expense", &arguments).await.ok()
    })
    .await;
    let link = stack.mail_to("bob@example.com").await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
}

async fn approved_once(workflow: &Workflow) {
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    assert_eq!(list(&outcome["stages"][0]["decisions"]).count(), 1, "{outcome}");
}

#[track_caller]
fn refused(page: &Page, comfort: &str) {
    page.expect(503, &[comfort, "try again"]);
    assert!(page.header("retry-after").parse::<u32>().is_ok(), "{:?}", page.headers);
}
