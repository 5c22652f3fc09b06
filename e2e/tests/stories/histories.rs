//! A history reads like a story, and is as short as it can be.

use countersign_e2e::{End, History, Stack, submission};
use serde_json::json;

#[tokio::test]
async fn one_reviewer_and_one_decision_take_28_events() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let request = stack.mail_to("ann@example.com").await;
    workflow.until_asked().await;
    let keys = stack.setting("COUNTERSIGN_LINK_KEYS").parse().expect("keys");
    let vote = request.approval(&keys, "fine");
    stack.temporal.grpc().await.signal(&workflow.id, "approve", vec![vote]).await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["stages"][0]["decisions"][0]["by"], "link", "{outcome}");
    assert_tasks(&workflow.history().await, 4);
    assert_eq!(stack.mails_so_far("ann@example.com").len(), 1);
    assert_eq!(stack.mails_so_far("sam@example.com").len(), 1);
}

#[tokio::test]
async fn a_press_on_a_page_takes_one_workflow_task_more_at_most() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    workflow.until_asked().await;
    stack.press(&link, "approve", "fine").await.expect(200, &["approved"]);
    workflow.outcome().await;
    let history = workflow.history().await;
    // The SDK answers the query that comes with the signal before the outcome is sealed.
    let more = history.count("WORKFLOW_TASK_COMPLETED") > 4;
    assert_tasks(&history, 4 + usize::from(more));
}

/// So many workflow tasks of three events each, and what else the simplest approval takes.
#[track_caller]
fn assert_tasks(history: &History, tasks: usize) {
    let outline = history.outline();
    assert_eq!(history.count("WORKFLOW_TASK_COMPLETED"), tasks, "{outline}");
    assert_eq!(history.count("ACTIVITY_TASK_SCHEDULED"), 2, "{outline}");
    assert_eq!(history.events().len(), 16 + 3 * tasks, "{outline}");
}

#[tokio::test]
async fn a_cancelled_approval_is_withdrawn_and_its_link_gone() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.open(&link).await.expect(200, &["125.50 USD"]);
    workflow.cancel().await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "WITHDRAWN", "{outcome}");
    stack.open(&link).await.expect(410, &["withdrawn"]);
    stack.press(&link, "approve", "").await.expect(410, &["withdrawn"]);
    let mail = stack.mail_to("sam@example.com").await;
    assert!(mail.text.to_lowercase().contains("withdrawn"), "{}", mail.text);
}

#[tokio::test]
async fn a_reused_workflow_id_does_not_revive_old_links() {
    let stack = Stack::start().await;
    let id = stack.new_workflow_id();
    let file = submission::write(stack.dir(), "again", &submission::expense(&["ann@example.com"]));
    let first = stack.temporal.start_workflow(&stack.queue, &id, &file).await;
    let old = stack.mail_to("ann@example.com").await;
    first.cancel().await;
    first.outcome().await;
    let second = stack.temporal.start_workflow(&stack.queue, &id, &file).await;
    let is_new =
        |mail: &countersign_e2e::Mail| mail.has_links() && mail.approval_id() != old.approval_id();
    let new = countersign_e2e::eventually("a mail with another link", async || {
        stack.mails_so_far("ann@example.com").into_iter().find(is_new)
    })
    .await;
    let page = stack.press(&old.link("approve"), "approve", "").await;
    assert_eq!(page.status, 410, "{}", page.text());
    assert_eq!(second.status().await["status"], "PENDING");
    stack.press(&new.link("reject"), "reject", "").await.expect(200, &["rejected"]);
    assert_eq!(second.outcome().await["status"], "REJECTED");
}

#[tokio::test]
async fn an_approval_is_a_child_like_any_other_and_fails_like_one() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&json!({"submissionId": ""})).await;
    let End::Failed { kind, .. } = workflow.end().await else {
        panic!("{}", workflow.history().await.outline());
    };
    assert_eq!(kind, "InvalidSubmission");
    let history = workflow.history().await;
    assert_eq!(history.count("WORKFLOW_TASK_FAILED"), 0, "{}", history.outline());
}
