//! What operators see and do when the outcome cannot be delivered.

use countersign_e2e::{Answer, Receiver, Stack, Temporal, Workflow, submission, text};
use serde_json::{Value, json};

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];

/// The follow-up workflow is in a namespace that does not exist.
const RULES: &str = r#"
[default]
name = "Everything"
on_approved = { workflow = "PayExpense", task_queue = "payments", namespace = "nowhere" }

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
"#;

async fn waits_for(workflow: &Workflow, pending: &str) -> Value {
    let sentence = format!("Decided. Waiting for {pending}.");
    let says = |status: &Value| status["handingOn"] == sentence;
    let status = workflow.status_where(&format!("{sentence:?}"), says).await;
    let details = workflow.details().await;
    assert!(details.contains(&sentence) && !details.contains("closed"), "{details}");
    status
}

#[tokio::test]
async fn an_undelivered_outcome_is_visible_and_an_operator_can_complete_it() {
    let receiver = Receiver::that_answers([Answer::Says(503, None, "")]).await;
    let stack = Stack::beside(Temporal::shared().await)
        .with_rules(RULES)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["you approved"]);

    let refused = "cannot be started in the namespace \"nowhere\" yet";
    let start = workflow.pending_failure(refused).await;
    let pending = "the workflow PayExpense to start and the webhook to accept the outcome";
    let status = waits_for(&workflow, pending).await;
    assert_eq!(status["status"], "APPROVED", "{status}");
    let page = stack.open(&link).await;
    page.expect(200, &["approved", "Decided. Waiting for the outcome to be delivered."]);
    assert!(!page.says("closed") && !page.says("webhook"), "{}", page.text());

    // As docs/OPERATE.md describes: somebody has started the follow-up workflow by hand.
    workflow.on_activity("complete", &start, &["--result", r#""by hand""#]).await;
    waits_for(&workflow, "the webhook to accept the outcome").await;

    let delivery = workflow.pending_failure("503").await;
    let before = receiver.deliveries_so_far().len();
    workflow.on_activity("reset", &delivery, &[]).await;
    countersign_e2e::eventually("another attempt", async || {
        (receiver.deliveries_so_far().len() > before).then_some(())
    })
    .await;
    workflow.pending_failure("503").await;
    workflow.on_activity("complete", &delivery, &["--result", r#""by hand""#]).await;

    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    let follow_up = text(&outcome["childWorkflowId"]);
    assert!(follow_up.starts_with(&format!("{}-approved-", workflow.id)), "{outcome}");
    assert!(workflow.status().await["handingOn"].is_null(), "nothing is pending any more");
    let page = stack.open(&link).await;
    page.expect(200, &["approved"]);
    assert!(!page.says("to be delivered"), "{}", page.text());
}

#[tokio::test]
async fn the_outcome_of_a_withdrawn_approval_is_delivered_too() {
    let receiver = Receiver::that_answers([Answer::Says(503, None, "")]).await;
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    workflow.signal("withdraw", &json!({"reason": "Ordered twice"})).await;
    waits_for(&workflow, "the webhook to accept the outcome").await;
    stack
        .open(&link)
        .await
        .expect(410, &["Ordered twice", "Decided. Waiting for the outcome to be delivered."]);
}
