//! Another worker takes over what a dead one has begun.

use countersign_e2e::{Stack, eventually, payload, replay, submission};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{enums::v1::EventType, history::v1::HistoryEvent};

/// A query that a dead worker no longer answers goes to another one, and shows it what is in the
/// history by then. Here that is a cancellation; a decision comes before its workflow task begins.
#[tokio::test]
async fn a_query_that_runs_ahead_of_the_next_workflow_task_changes_nothing() {
    for _ in 0..5 {
        if let Some((outcome, history)) = cancelled_queried_and_approved().await {
            assert_eq!(outcome["status"], "APPROVED", "signals go before: {outcome}");
            return replay(history).await.expect("it does the same again");
        }
    }
    panic!("the machine was always too slow for a query between the two");
}

/// The outcome and the history; `None` where the query saw less, or the decision came too late.
async fn cancelled_queried_and_approved() -> Option<(Value, Vec<HistoryEvent>)> {
    let mut stack = Stack::start().await;
    let wire = stack.temporal.wire().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.until_asked().await;
    let events = wire.events(&workflow.id).await.len();
    stack.kill_worker().await;

    let (asking, id) = (wire.clone(), workflow.id.clone());
    let question = tokio::spawn(async move { asking.try_status(&id).await });
    stack.start_worker();
    eventually("the next worker", async || {
        stack.worker().log().contains("countersign_worker: working").then_some(())
    })
    .await;
    workflow.cancel().await;
    let refused = question.await.expect("no panic").err()?;
    let decision = json!({"reviewer": "ann@example.com"}).to_string();
    wire.try_signal(&workflow.id, "approve", vec![payload("json/plain", decision)]).await.ok()?;

    let outcome = workflow.outcome().await;
    let history = wire.events(&workflow.id).await;
    let kinds = history[events..].iter().map(HistoryEvent::event_type);
    let task: Vec<_> = kinds.take_while(|kind| *kind != EventType::WorkflowTaskCompleted).collect();
    let decided = task.contains(&EventType::WorkflowExecutionSignaled);
    (refused.message().contains("takes over") && decided).then_some((outcome, history))
}
