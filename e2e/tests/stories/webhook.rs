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
    for delivery in &deliveries {
        assert_eq!(delivery.header("webhook-id"), workflow.id, "the key against acting twice");
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
    assert!(told["timestamp"].is_string(), "{told}");
    assert_eq!(receiver.deliveries_so_far().len(), refusals + 1, "told once");
}
