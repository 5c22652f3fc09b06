//! A decision is there, and what has to take it is not: that is seen, and an operator can go on.

use countersign_e2e::{Answer, Receiver, Stack, Temporal, Workflow, submission};
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Approvals go on in a namespace that is not there, and every outcome goes to the webhook.
const RULES: &str = r#"
[default]
name = "Everything"
on_approved = { workflow = "PayExpense", task_queue = "payments", namespace = "nowhere" }

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
"#;

async fn says(workflow: &Workflow, to: &str) -> Value {
    let sentence = format!("Decided; handing the outcome on to {to}.");
    let says = |status: &Value| status["handingOn"] == sentence;
    let status = workflow.status_where(&format!("{sentence:?}"), says).await;
    let details = workflow.details().await;
    assert!(details.contains(&sentence) && !details.contains("closed"), "{details}");
    status
}

#[tokio::test]
async fn an_outcome_that_is_not_taken_is_to_be_seen_and_an_operator_lets_it_go() {
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

    let refused = "the namespace \"nowhere\" does not take the workflow";
    let start = workflow.pending_failure(refused).await;
    let status = says(&workflow, "the workflow PayExpense and the webhook").await;
    assert_eq!(status["status"], "APPROVED", "{status}");
    let page = stack.open(&link).await;
    page.expect(200, &["approved", "Decided; handing the outcome on."]);
    assert!(!page.says("closed") && !page.says("webhook"), "{}", page.text());

    // As README has it: by hand somebody has started what goes on.
    workflow.on_activity("complete", &start, &["--result", r#""by hand""#]).await;
    says(&workflow, "the webhook").await;

    let hand_on = workflow.pending_failure("503").await;
    let before = receiver.deliveries_so_far().len();
    workflow.on_activity("reset", &hand_on, &[]).await;
    countersign_e2e::eventually("another attempt", async || {
        (receiver.deliveries_so_far().len() > before).then_some(())
    })
    .await;
    workflow.pending_failure("503").await;
    workflow.on_activity("complete", &hand_on, &["--result", r#""by hand""#]).await;

    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    assert_eq!(outcome["childWorkflowId"], format!("{}-approved", workflow.id), "{outcome}");
    assert!(workflow.status().await["handingOn"].is_null(), "nothing is pending any more");
    let page = stack.open(&link).await;
    page.expect(200, &["approved"]);
    assert!(!page.says("handing"), "{}", page.text());
}

#[tokio::test]
async fn a_withdrawn_approval_says_that_its_outcome_is_handed_on_too() {
    let receiver = Receiver::that_answers([Answer::Says(503, None, "")]).await;
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    workflow.signal("withdraw", &json!({"reason": "Ordered twice"})).await;
    says(&workflow, "the webhook").await;
    stack.open(&link).await.expect(410, &["Ordered twice", "Decided; handing the outcome on."]);
}
