//! Whoever acts on an outcome is told once it can be, and can check who tells it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use countersign_e2e::{
    Answer, Receiver, SelfSigned, Stack, StackBuilder, Temporal, eventually, json_payload,
    submission, text, within,
};
use futures_util::future::join_all;
use serde_json::json;

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];
const OTHER_SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[1];

#[tokio::test]
async fn the_outcome_arrives_signed() {
    told_after(0).await;
}

#[tokio::test]
async fn the_outcome_arrives_signed_also_after_five_refusals() {
    told_after(5).await;
}

#[tokio::test]
async fn a_workflow_id_that_is_used_again_and_fits_no_header_is_told_of_each_time() {
    let receiver = Receiver::refusing(0).await;
    let stack = telling(receiver.url()).await.start().await;
    let id = format!("Einkauf-Köln-{}", stack.new_workflow_id());
    let file = submission::write(stack.dir(), "again", &submission::expense(&["ann@example.com"]));
    for (verdict, status) in [("approve", "APPROVED"), ("reject", "REJECTED")] {
        let workflow = stack.temporal.start_workflow(&stack.queue, &id, &file).await;
        workflow.signal(verdict, &json!({"reviewer": "ann@example.com"})).await;
        assert_eq!(workflow.outcome().await["status"], status);
    }
    let told = receiver.deliveries_so_far();
    assert_eq!(told.len(), 2, "each is told once");
    assert_ne!(told[0].header("webhook-id"), told[1].header("webhook-id"));
    for (delivery, status) in told.iter().zip(["APPROVED", "REJECTED"]) {
        assert!(delivery.is_verified_by_the_standard_library(SECRET).await);
        let data = &delivery.json()["data"];
        assert_eq!((&data["workflowId"], &data["status"]), (&json!(id), &json!(status)));
    }
}

async fn told_after(refusals: usize) {
    let receiver = Receiver::refusing(refusals).await;
    let stack = telling(receiver.url()).await.start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let decision = json!({"reviewer": "ann@example.com", "comment": "ok — ✓"});
    workflow.signal("approve", &decision).await;
    let deliveries = receiver.deliveries_until_taken().await;
    assert_eq!(deliveries.len(), refusals + 1);
    for delivery in &deliveries {
        let key = delivery.json()["data"]["executionKey"].as_str().map(str::to_owned);
        let id = format!("{}-approved", key.expect("a key"));
        assert_eq!(delivery.header("webhook-id"), id, "the key against acting twice");
        assert_eq!(delivery.body, deliveries[0].body, "it tells of the same event");
        assert!(delivery.is_verified_by_the_standard_library(SECRET).await);
    }
    let mut forged = deliveries[refusals].clone();
    let told = forged.json();
    forged.body.extend(b" ");
    assert!(!forged.is_verified_by_the_standard_library(SECRET).await);
    let mut outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED");
    outcome["workflowId"] = json!(workflow.id);
    assert_eq!(told["type"], "approval.approved");
    assert_eq!(told["data"], outcome);
    assert_eq!(told["timestamp"], outcome["decidedAt"], "when it was decided");
    assert_eq!(receiver.deliveries_so_far().len(), refusals + 1, "told once");
}

/// An installation that hands its outcomes on.
async fn telling(url: &str) -> StackBuilder {
    Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", url)
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
}

/// Small amounts need nobody; about others, somebody is asked.
const RULES: &str = r#"
[[rules]]
name = "Small expenses"
when.amount = { USD = { up_to = 20 } }
decision = "approve"

[default]
name = "Everything else"

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
deadline = "1h"
on_deadline = "reject"
"#;

/// How many outcomes wait for the receiver that hangs: twenty times those that are delivered at once.
const WAITING: usize = 400;

#[tokio::test]
async fn four_hundred_outcomes_to_a_receiver_that_hangs_delay_no_mail() {
    let receiver = Receiver::that_answers([Answer::Hangs]).await;
    let stack = Stack::beside(Temporal::start().await)
        .with_rules(RULES)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    let grpc = stack.temporal.grpc().await;
    let small = json_payload(&submission::routed("5.00"));
    let ids: Vec<String> = (0..WAITING).map(|_| stack.new_workflow_id()).collect();
    for some in ids.chunks(16) {
        join_all(some.iter().map(|id| grpc.start(&stack.queue, id, vec![small.clone()]))).await;
    }
    let decided = "ApprovalStatus = 'APPROVED' AND ExecutionStatus = 'Running'";
    within(Duration::from_secs(600), "all outcomes to be handed on", async || {
        let counted = stack.temporal.must(["workflow", "count", "--query", decided]).await;
        counted.contains(&format!("Total: {WAITING}")).then_some(())
    })
    .await;
    // From here on, the latest of those under way waits for as long as any can.
    let so_far = receiver.deliveries_so_far().len();
    eventually("another delivery to begin", async || {
        (receiver.deliveries_so_far().len() > so_far).then_some(())
    })
    .await;
    let before = receiver.under_way();
    let start = Instant::now();
    let large = json_payload(&submission::routed("500.00"));
    // To read hundreds of mails takes its time too: only where there is another one.
    let mut mails = stack.outbox_size();
    grpc.start(&stack.queue, &stack.new_workflow_id(), vec![large]).await;
    eventually("the mail", async || {
        let before = std::mem::replace(&mut mails, stack.outbox_size());
        (mails > before && !stack.mails_so_far("ann@example.com").is_empty()).then_some(())
    })
    .await;
    let took = start.elapsed();
    let still = receiver.under_way();
    eprintln!("mailed after {took:?}, beside {} deliveries under way", still.len());
    assert!(!before.is_disjoint(&still), "the mail has waited for all that were under way");
    assert!(still.len() <= 20, "{} at once are too many for a receiver", still.len());
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_tried_again_and_everybody_can_see_it() {
    let receiver = Receiver::that_answers([Answer::Says(410, None, "moved\u{7} away")]).await;
    let stack = telling(receiver.url()).await.start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "the workflow goes on");
    assert_eq!(outcome["webhookError"], workflow.status().await["webhookError"], "{outcome}");
    assert_eq!(receiver.deliveries_so_far().len(), 1);
    let error = text(&workflow.status().await["webhookError"]);
    assert!(error.contains("410 Gone: moved away"), "{error}");
    workflow
        .attributes_where("an outcome that is undeliverable", |attributes| {
            attributes["ApprovalUndeliverable"] == true
        })
        .await;
    let arguments = ["workflow", "metadata", "--workflow-id", &workflow.id];
    let details = stack.temporal.must(arguments).await;
    assert!(details.contains("The webhook did not take the outcome"), "{details}");
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let later = Answer::Says(429, Some(("retry-after", "4")), "slowly, please");
    let receiver = Receiver::that_answers([later, Answer::Takes(Duration::ZERO)]).await;
    let stack = telling(receiver.url()).await.start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.signal("reject", &json!({"reviewer": "ann@example.com"})).await;
    let deliveries = receiver.deliveries_until_taken().await;
    let between = deliveries[1].at - deliveries[0].at;
    assert!(between >= Duration::from_secs(4), "{between:?} is sooner than it asked for");
    assert_eq!(workflow.outcome().await["status"], "REJECTED");
    let history = workflow.history().await;
    assert!(history.0.contains("429 Too Many Requests: slowly, please"), "{}", history.0);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_has_the_same_event_sent_again() {
    let late = Answer::Takes(Duration::from_secs(25));
    let receiver = Receiver::that_answers([late, Answer::Takes(Duration::ZERO)]).await;
    let stack = telling(receiver.url()).await.start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    let deliveries = receiver.deliveries_until_taken().await;
    let ids: BTreeSet<&str> = deliveries.iter().map(|each| each.header("webhook-id")).collect();
    assert_eq!((deliveries.len(), ids.len()), (2, 1), "a receiver counts one event");
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    let history = workflow.history().await;
    assert!(history.0.contains("no answer within 20s"), "{}", history.0);
}

#[tokio::test]
async fn a_receiver_whose_certificate_nobody_trusts_is_named_as_such() {
    let builder = Stack::beside(Temporal::shared().await);
    let receiver = SelfSigned::start(builder.dir()).await;
    let stack = builder
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    eventually("a warning at the start", async || {
        let warned = "COUNTERSIGN_WEBHOOK_URL: cannot connect";
        let log = stack.worker().log();
        (log.contains(warned) && log.contains("its certificate is self-signed")).then_some(())
    })
    .await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    workflow.pending_failure("its certificate is self-signed").await;
}

#[tokio::test]
async fn while_secrets_are_rotated_receivers_may_know_either() {
    let receiver = Receiver::refusing(0).await;
    let both = format!("{OTHER_SECRET}, {SECRET}");
    let stack =
        telling(receiver.url()).await.with("COUNTERSIGN_WEBHOOK_SECRET", both).start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    let delivery = receiver.deliveries_until_taken().await.swap_remove(0);
    for secret in [SECRET, OTHER_SECRET] {
        assert!(delivery.is_verified_by_the_standard_library(secret).await, "{secret}");
    }
    let neither = "whsec_ZXZlbiBhbm90aGVyIHNlY3JldCBvZiBzb21lYm9keQ==";
    assert!(!delivery.is_verified_by_the_standard_library(neither).await);
}
