//! A decoder that panics, in a worker that embeds the plugin: the cause is seen, and once the
//! decoder is mended the approval is decided as if nothing had been.

use countersign_e2e::{
    Grpc, Stack, Temporal, Workflow, eventually, list, payload, product, submission, task_failures,
    text,
};
use serde_json::json;
use temporalio_common::protos::temporal::api::common::v1::Payload;

const PANIC: &str = "no key for this payload";

#[tokio::test]
async fn a_panic_over_a_signal_fails_the_workflow_task_and_only_that() {
    let (mut stack, grpc) = with_a_worker_that_panics_over("signal").await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.until_asked().await;
    grpc.signal(&workflow.id, "approve", vec![encrypted()]).await;
    let failure = eventually("a workflow task to fail", async || {
        task_failures(&grpc.events(&workflow.id).await).pop()
    })
    .await;
    assert!(failure.contains(PANIC), "the history names the cause: {failure}");
    assert!(stack.worker().log().contains(PANIC), "so does the log");
    // Good decisions wait behind it; those for other approvals do not.
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    decided_as_ever(&stack).await;

    stack.stop_worker().await;
    stack.start_worker();
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    let status = workflow.status().await;
    assert_eq!(status["ignoredSignals"], 1, "{status}");
}

#[tokio::test]
async fn a_panic_over_a_submission_fails_its_check_which_is_tried_again() {
    let (mut stack, grpc) = with_a_worker_that_panics_over("submission").await;
    let id = stack.new_workflow_id();
    grpc.start(&stack.queue, &id, vec![encrypted()]).await;
    eventually("the panic to be in the log", async || {
        stack.worker().log().contains(PANIC).then_some(())
    })
    .await;
    decided_as_ever(&stack).await;

    stack.stop_worker().await;
    stack.start_worker();
    let events = grpc.closed(&id).await;
    let (kind, failure) = countersign_e2e::application_failure(&events).expect("a failure");
    assert_eq!(kind, "InvalidSubmission");
    assert!(failure.message.contains("binary/encrypted"), "{}", failure.message);
    assert_eq!(task_failures(&events), Vec::<String>::new());
}

/// The SDK runs a codec beside its workflows and not inside of one, so a panic there ends the
/// program, as any does. Nothing is lost by that.
#[tokio::test]
async fn a_codec_that_panics_ends_the_worker_and_another_one_goes_on() {
    // Its codec takes the place of ours, without which it reads nothing that is encrypted.
    if countersign_e2e::is_encrypted() {
        return;
    }
    let (mut stack, grpc) = with_a_worker_that_panics_over("codec").await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.until_asked().await;
    grpc.signal(&workflow.id, "approve", vec![encrypted()]).await;
    let exit = stack.worker_exit().await;
    assert_ne!(exit.code, 0);
    assert!(stack.logs().contains(PANIC), "{}", stack.logs());

    stack.start_worker();
    workflow.status_where("one ignored signal", |status| status["ignoredSignals"] == 1).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

async fn with_a_worker_that_panics_over(what: &str) -> (Stack, Grpc) {
    let mut stack = Stack::beside(Temporal::shared().await)
        .with("PANICS_OVER", what)
        .start_without_worker()
        .await;
    stack.run_as_worker(&product("panicking_worker"));
    let grpc = stack.temporal.grpc().await;
    (stack, grpc)
}

/// Another approval goes from start to end.
async fn decided_as_ever(stack: &Stack) {
    let workflow: Workflow = stack.submit(&submission::expense(&["bob@example.com"])).await;
    let link = stack.mail_to("bob@example.com").await.link("reject");
    workflow.until_asked().await;
    stack.press(&link, "reject", "as ever").await.expect(200, &["rejected"]);
    let outcome = workflow.outcome().await;
    let comments: Vec<String> =
        list(&outcome["stages"][0]["decisions"]).map(|each| text(&each["comment"])).collect();
    assert_eq!(comments, ["as ever"], "{outcome}");
}

/// What the decoder should read, and panics over.
fn encrypted() -> Payload {
    payload("binary/encrypted", *b"\x01\x02\x03")
}
