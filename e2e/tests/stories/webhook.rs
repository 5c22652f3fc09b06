//! Whoever acts on an outcome is told once it can be, and can check who tells it.

use countersign_e2e::{Receiver, Stack, Temporal, submission};
use serde_json::json;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

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
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
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
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let decision = json!({"reviewer": "ann@example.com", "comment": "ok — ✓"});
    workflow.signal("approve", &decision).await;
    let deliveries = receiver.deliveries_until_taken().await;
    assert_eq!(deliveries.len(), refusals + 1);
    let run = stack.temporal.wire().await.run(&workflow.id).await;
    for delivery in &deliveries {
        assert_eq!(delivery.header("webhook-id"), run, "the key against acting twice");
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
