//! Another worker takes over what a dead one has begun, and would do the same.

use countersign_e2e::{Grpc, Stack, eventually, payload, replay, submission};
use futures_util::future::join_all;
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};

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
    let grpc = stack.temporal.grpc().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.until_asked().await;
    let events = grpc.events(&workflow.id).await.len();
    stack.kill_worker().await;

    let (asking, id) = (grpc.clone(), workflow.id.clone());
    let question = tokio::spawn(async move { asking.try_status(&id).await });
    stack.start_worker();
    eventually("the next worker", async || {
        stack.worker().log().contains("countersign_worker: running").then_some(())
    })
    .await;
    workflow.cancel().await;
    let refused = question.await.expect("no panic").err()?;
    let decision = json!({"reviewer": "ann@example.com"}).to_string();
    grpc.try_signal(&workflow.id, "approve", vec![payload("json/plain", decision)]).await.ok()?;

    let outcome = workflow.outcome().await;
    let history = grpc.events(&workflow.id).await;
    let kinds = history[events..].iter().map(HistoryEvent::event_type);
    let task: Vec<_> = kinds.take_while(|kind| *kind != EventType::WorkflowTaskCompleted).collect();
    let decided = task.contains(&EventType::WorkflowExecutionSignaled);
    (refused.message().contains("taking over") && decided).then_some((outcome, history))
}

/// A query in a workflow task that issues links has the task end early: the workflow is shown the
/// links only in the next one, together with what came meanwhile. A replay shows them before.
#[tokio::test]
async fn a_query_while_links_are_issued_changes_nothing() {
    let mut stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let (mut cancelled, mut approved) = (0, 0);
    for _ in 0..10 {
        let ids = join_all((0..20).map(|_| two_stages(&stack))).await;
        stack.freeze_worker(true);
        join_all(ids.iter().map(|id| approve(&grpc, id, "ann@example.com"))).await;
        let asking = ids.iter().map(|id| {
            let (grpc, id) = (grpc.clone(), id.clone());
            tokio::spawn(async move { grpc.try_status(&id).await })
        });
        let questions: Vec<_> = asking.collect();
        stack.freeze_worker(false);
        let (to_cancel, to_approve) = ids.split_at(10);
        for (one, other) in to_cancel.iter().zip(to_approve) {
            grpc.cancel(one).await;
            approve(&grpc, other, "bob@example.com").await;
        }
        join_all(questions).await;
        for id in &ids {
            let history = grpc.closed(id).await;
            match came_while_links_were_issued(&history) {
                Some(EventType::WorkflowExecutionCancelRequested) => cancelled += 1,
                Some(_) => approved += 1,
                None => {}
            }
            replay(history).await.unwrap_or_else(|why| panic!("{id} would do otherwise: {why}"));
        }
        if cancelled > 0 && approved > 0 {
            return;
        }
    }
    panic!("{cancelled} cancellations and {approved} decisions came while links were issued");
}

async fn two_stages(stack: &Stack) -> String {
    let stage = |reviewer| json!({"reviewers": [reviewer, "eve@example.com"]});
    let stages = json!({"stages": [stage("ann@example.com"), stage("bob@example.com")]});
    let workflow = stack.submit(&submission::asking(stages)).await;
    workflow.until_asked().await;
    workflow.id
}

async fn approve(grpc: &Grpc, id: &str, reviewer: &str) {
    let decision = json!({"reviewer": reviewer}).to_string();
    grpc.signal(id, "approve", vec![payload("json/plain", decision)]).await;
}

/// What came last, where that was during a workflow task that a query ended early.
fn came_while_links_were_issued(history: &[HistoryEvent]) -> Option<EventType> {
    use EventType::{WorkflowExecutionCancelRequested, WorkflowExecutionSignaled};
    let told = [WorkflowExecutionCancelRequested, WorkflowExecutionSignaled];
    let last = history.iter().rposition(|event| told.contains(&event.event_type()))?;
    let mut tasks = history[last..].iter().filter_map(|event| match &event.attributes {
        Some(Attributes::WorkflowTaskStartedEventAttributes(task)) => Some(&task.request_id),
        _ => None,
    });
    let early = tasks.next()? == "request-from-RespondWorkflowTaskCompleted";
    early.then(|| history[last].event_type())
}
