//! Anybody who may start workflows can claim a link: its hash is a search attribute, and *Start
//! Workflow Like This One* in Temporal's Web UI copies those. A link stays that of its issuer.

use countersign_e2e::{Mail, Stack, eventually, json_payload, submission};
use futures_util::future::join_all;

/// A task queue without workers.
const NOWHERE: &str = "nowhere";
const COPIED: &str = "Coffee";
/// What names the approval whose link it is, also where its document is not shown.
const OWN: &str = "exp-2026-0042";

/// Starts a copy of an approval, with the same link and another document.
async fn copy(stack: &Stack, queue: &str, id: &str, link: &str) {
    let mut other = submission::expense(&["ann@example.com"]);
    other["document"]["title"] = COPIED.into();
    other["submissionId"] = COPIED.into();
    if queue != NOWHERE {
        // It fails in its first task, before it has links of its own.
        other["document"]["amount"] = "much".into();
    }
    let input = vec![json_payload(&other)];
    stack.temporal.grpc().await.start_with_links(queue, id, input, &[link]).await;
}

/// A link as it is typed: only the index says which approval it may be for.
fn without_hint(stack: &Stack, mail: &Mail) -> String {
    stack.url(&format!("/a/{}", mail.approval_id()))
}

/// Waits until the index has so many workflows, or runs of one, with this link.
async fn until_indexed(stack: &Stack, link: &str, count: usize) {
    let query = format!("ApprovalLinks = '{link}'");
    eventually(format!("{count} runs with the link in the index"), async || {
        (stack.temporal.list(&query).await.len() >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_a_paid_request_does_not_take_its_link_over() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    let hash = workflow.newest_link().await;
    stack.press(&link, "approve", "paid").await.expect(200, &["approved"]);
    workflow.outcome().await;
    let (queue, other) = (stack.queue.clone(), stack.new_workflow_id());
    copy(&stack, &queue, &stack.new_workflow_id(), &hash).await;
    copy(&stack, NOWHERE, &other, &hash).await;
    copy(&stack, NOWHERE, &workflow.id, &hash).await;
    until_indexed(&stack, &hash, 3).await;

    let stays = async |stack: &Stack| {
        let page = stack.open(&link).await;
        page.expect(200, &["approved", OWN]);
        assert!(!page.says(COPIED), "{}", page.text());
        stack.press(&link, "approve", "").await.expect(200, &["already", "paid"]);
        stack.press(&link, "reject", "").await.expect(409, &["approved"]);
    };
    stays(&stack).await;
    stack.renew_signaler().await;
    stays(&stack).await;
    stack.stop_worker().await;
    stays(&stack).await;
    stack.renew_signaler().await;
    stays(&stack).await;
    let grpc = stack.temporal.grpc().await;
    for copied in [&other, &workflow.id] {
        assert_eq!(grpc.events(copied).await.len(), 2, "nothing has come of {copied}");
    }
}

#[tokio::test]
async fn among_many_claims_a_link_opens_and_decides_what_it_was_mailed_for() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = without_hint(&stack, &stack.mail_to("ann@example.com").await);
    let hash = workflow.newest_link().await;
    workflow.until_asked().await;
    let copies: Vec<String> = (0..40).map(|_| stack.new_workflow_id()).collect();
    join_all(copies.iter().map(|id| copy(&stack, NOWHERE, id, &hash))).await;
    until_indexed(&stack, &hash, 41).await;
    stack.renew_signaler().await;
    stack.open(&link).await.expect(200, &["Train to the fair", "needed"]);

    stack.kill_worker().await;
    stack.renew_signaler().await;
    stack.open(&link).await.expect(200, &["Train to the fair", "You were asked"]);
    stack.press(&link, "approve", "").await.expect(202, &["recorded"]);
    stack.start_worker();
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    stack.open(&link).await.expect(200, &[OWN, "approved"]);
    let grpc = stack.temporal.grpc().await;
    for copied in &copies {
        assert_eq!(grpc.events(copied).await.len(), 2, "nothing has come of {copied}");
    }
}

#[tokio::test]
async fn where_only_copies_are_left_a_link_is_gone() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    let hash = workflow.newest_link().await;
    let copied = stack.new_workflow_id();
    copy(&stack, NOWHERE, &copied, &hash).await;
    stack.temporal.must(["workflow", "delete", "--yes", "--workflow-id", &workflow.id]).await;
    let left = format!("ApprovalLinks = '{hash}'");
    eventually("only the copy to be in the index", async || {
        (stack.temporal.list(&left).await == [copied.clone()]).then_some(())
    })
    .await;
    stack.renew_signaler().await;
    // For a while after its start a signaler does not trust the index to be complete.
    eventually("the link to be gone", async || {
        let page = stack.open(&link).await;
        assert!(!page.says(COPIED), "{}", page.text());
        (page.status == 410).then_some(())
    })
    .await;
    let pressed = stack.press(&link, "approve", "").await;
    assert!(pressed.status == 410 && !pressed.says(COPIED), "{}", pressed.text());
    assert_eq!(stack.temporal.grpc().await.events(&copied).await.len(), 2);
}

#[tokio::test]
async fn a_request_that_is_reset_goes_on_under_its_link_among_its_copies() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = without_hint(&stack, &stack.mail_to("ann@example.com").await);
    let hash = workflow.newest_link().await;
    workflow.until_asked().await;
    copy(&stack, NOWHERE, &stack.new_workflow_id(), &hash).await;
    let reset = ["--type", "LastWorkflowTask", "--reason", "tried"];
    let id = ["workflow", "reset", "--workflow-id", &workflow.id];
    stack.temporal.must([&id[..], &reset[..]].concat()).await;
    until_indexed(&stack, &hash, 3).await;
    stack.renew_signaler().await;
    stack.open(&link).await.expect(200, &["Train to the fair", "needed"]);
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}
