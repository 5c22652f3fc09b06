//! Another worker takes over what a dead one has begun, and would do the same.

use std::{fs, time::Duration};

use countersign_e2e::{Grpc, Stack, eventually, link_key, payload, replay, submission};
use futures_util::future::join_all;
use serde_json::{Value, json};
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
};
use tokio::{task::JoinHandle, time::sleep};

const KEYS: &str = "COUNTERSIGN_LINK_KEYS";

/// Time enough for a worker to answer some queries, and for decisions to follow.
const HEAD_START: Duration = Duration::from_secs(3);

/// A query that a dead worker no longer answers goes to another one, and shows it what is in the
/// history by then. Here that is a cancellation; a decision comes before its workflow task begins.
#[tokio::test]
async fn a_query_that_runs_ahead_of_the_next_workflow_task_changes_nothing() {
    for _ in 0..10 {
        let mut stack = Stack::start().await;
        let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
        workflow.until_asked().await;
        stack.kill_worker().await;
        let taken_over = take_over(&mut stack, &[workflow.id], "ann@example.com").await;
        // Its message may be encrypted. Ours are refused for nothing else.
        let is_refused = |one: &TakenOver| {
            one.answer.as_ref().is_err_and(|refused| refused.code() == Code::InvalidArgument)
        };
        if judge(taken_over, is_refused).await {
            return;
        }
    }
    panic!("the machine was always too slow for a query between the two");
}

/// The same where the last workflow task has shown the workflow nothing but a local activity's result, since a query
/// had the one before end early.
#[tokio::test]
async fn nor_does_a_query_behind_a_task_that_another_query_has_split() {
    for _ in 0..10 {
        let mut stack = Stack::start().await;
        let grpc = stack.temporal.grpc().await;
        let ids = join_all((0..20).map(|_| two_stages(&stack))).await;
        // The next requests fail, so that they add no events.
        let (outbox, away) = (stack.dir().join("outbox"), stack.dir().join("away"));
        fs::rename(&outbox, &away).expect("an outbox");
        fs::write(&outbox, "").expect("a writable directory");
        join_all(approve_and_ask(&mut stack, &ids).await).await;
        join_all(ids.iter().map(|id| {
            eventually("the second stage's requests", async || {
                let kinds = grpc.events(id).await.into_iter().map(|event| event.event_type());
                let scheduled = kinds.filter(|kind| *kind == EventType::ActivityTaskScheduled);
                (scheduled.count() >= 4).then_some(())
            })
        }))
        .await;
        stack.kill_worker().await;
        fs::remove_file(&outbox).expect("a file");
        fs::rename(&away, &outbox).expect("the outbox");
        let taken_over = take_over(&mut stack, &ids, "bob@example.com").await;
        if judge(taken_over, TakenOver::follows_a_split).await {
            return;
        }
    }
    panic!("no task was split, or the machine was always too slow for a query between the two");
}

/// An approval whose worker has died, and with which another one went on.
struct TakenOver {
    /// The answer to a query between the two.
    answer: Result<Value, Status>,
    outcome: Value,
    history: Vec<HistoryEvent>,
    /// How many events there were before that query.
    events: usize,
}

impl TakenOver {
    /// Whether the decision came before the next workflow task.
    fn is_in_time(&self) -> bool {
        let kinds = self.history[self.events..].iter().map(HistoryEvent::event_type);
        kinds
            .take_while(|kind| *kind != EventType::WorkflowTaskCompleted)
            .any(|kind| kind == EventType::WorkflowExecutionSignaled)
    }

    /// Whether the last workflow task before that query began because another query had one end early.
    fn follows_a_split(&self) -> bool {
        let is_task = |event: &HistoryEvent| event.event_type() == EventType::WorkflowTaskStarted;
        let last = self.history[..self.events].iter().rposition(is_task);
        last.is_some_and(|last| was_split(&self.history[last..]))
    }
}

/// Has another worker answer queries, after cancellations and before a reviewer's decisions.
async fn take_over(stack: &mut Stack, ids: &[String], reviewer: &str) -> Vec<TakenOver> {
    let grpc = stack.temporal.grpc().await;
    let before = join_all(ids.iter().map(|id| grpc.events(id))).await;
    let questions: Vec<_> = ids.iter().map(|id| ask(&grpc, id)).collect();
    stack.start_worker();
    stack.until_worker_runs().await;
    // Temporal gives queries and workflow tasks up at the dead worker's queue after the same time each:
    // by so much the queries come to the other worker before the tasks.
    sleep(HEAD_START).await;
    join_all(ids.iter().map(|id| grpc.cancel(id))).await;
    let each = ids.iter().zip(before).zip(questions).map(async |((id, before), question)| {
        let answer = question.await.expect("no panic");
        let decision = json!({"reviewer": reviewer}).to_string();
        // It may be too late.
        let _ = grpc.try_signal(id, "approve", vec![payload("json/plain", decision)]).await;
        let outcome = stack.temporal.workflow(id).outcome().await;
        TakenOver { answer, outcome, history: grpc.events(id).await, events: before.len() }
    });
    join_all(each).await
}

/// Whether there is any as wanted, with a decision in time. Each has to do the same again.
async fn judge(taken_over: Vec<TakenOver>, is_as_wanted: impl Fn(&TakenOver) -> bool) -> bool {
    let mut found = false;
    for one in taken_over {
        if one.is_in_time() {
            assert_eq!(one.outcome["status"], "APPROVED", "signals go before: {}", one.outcome);
            found |= is_as_wanted(&one);
        }
        replay(one.history).await.expect("it does the same again");
    }
    found
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
        let questions = approve_and_ask(&mut stack, &ids).await;
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

/// A worker that lacks the key cannot conclude what a deadline has decided: its workflow task ends again and
/// again without a result. Everybody can see that the deadline has passed, before it dies and a decision comes.
#[tokio::test]
async fn what_a_deadline_has_decided_stays_so_whichever_worker_concludes_it() {
    let mut stack = Stack::start().await;
    let keys = stack.setting(KEYS).to_owned();
    let stage = json!({"reviewers": ["ann@example.com"], "deadline": "1s"});
    let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
    stack.mail_to("ann@example.com").await;
    stack.restart_with(KEYS, link_key()).await;
    workflow.status_where("an end", |status| status["status"] == "EXPIRED").await;
    stack.kill_worker().await;
    let grpc = stack.temporal.grpc().await;
    eventually("no workflow task that has begun", async || {
        let events = grpc.events(&workflow.id).await;
        let last = events.last().map(HistoryEvent::event_type);
        (last == Some(EventType::WorkflowTaskScheduled)).then_some(())
    })
    .await;
    approve(&grpc, &workflow.id, "ann@example.com").await;
    stack.start_worker();
    stack.restart_with(KEYS, keys).await;
    assert_eq!(workflow.outcome().await["status"], "EXPIRED");
    replay(grpc.events(&workflow.id).await).await.expect("it does the same again");
}

async fn two_stages(stack: &Stack) -> String {
    let stage = |reviewer| json!({"reviewers": [reviewer, "eve@example.com"]});
    let stages = json!({"stages": [stage("ann@example.com"), stage("bob@example.com")]});
    let workflow = stack.submit(&submission::asking(stages)).await;
    workflow.until_asked().await;
    workflow.id
}

/// Has the first stages' approvals and queries arrive together.
async fn approve_and_ask(stack: &mut Stack, ids: &[String]) -> Vec<Question> {
    let grpc = stack.temporal.grpc().await;
    stack.freeze_worker(true);
    join_all(ids.iter().map(|id| approve(&grpc, id, "ann@example.com"))).await;
    let questions = ids.iter().map(|id| ask(&grpc, id)).collect();
    stack.freeze_worker(false);
    questions
}

/// A query that has not been answered yet.
type Question = JoinHandle<Result<Value, Status>>;

fn ask(grpc: &Grpc, id: &str) -> Question {
    let (grpc, id) = (grpc.clone(), id.to_owned());
    tokio::spawn(async move { grpc.try_status(&id).await })
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
    was_split(&history[last..]).then(|| history[last].event_type())
}

/// Whether the next workflow task begins because a query had one end early.
fn was_split(history: &[HistoryEvent]) -> bool {
    let mut tasks = history.iter().filter_map(|event| match &event.attributes {
        Some(Attributes::WorkflowTaskStartedEventAttributes(task)) => Some(&task.request_id),
        _ => None,
    });
    tasks.next().is_some_and(|task| task == "request-from-RespondWorkflowTaskCompleted")
}
