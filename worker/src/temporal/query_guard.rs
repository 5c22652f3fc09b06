//! Keeps queries from having a workflow do other than a replay would.
//!
//! **Ahead of a task.** After a worker's death Temporal may send a query to another one while a workflow task is
//! pending. The SDK (1.1) then applies the history so far, keeps the workflow in its cache, and applies later
//! events one by one until the task begins. A replay applies all of them at once, signals first, and
//! may produce other commands. So the workflow is evicted and replayed for its task:
//!
//! - Events of no new task were applied ahead for certain. A query is then refused, since its answer
//!   might not hold.
//! - A replayed task that shows the workflow nothing is not seen here, and events behind it look like
//!   those of a new one. So the first events after a replay may be ahead if a query of its own follows.
//!   It is answered: nearly always they were a task's.
//!
//! The second kind costs more than it finds: an eviction makes the next task a replay, whose first events are
//! again followed by a query. So a run that was replayed once, after a deploy or for want of room in the
//! cache, may be evicted after each task that a query follows, until two tasks come without one. That is
//! accepted: a replay takes milliseconds, such tasks and queries are as few as people's clicks, and the other
//! choice is to leave a run that may be ahead, whose commands another worker would not repeat.
//!
//! **In the middle of a task.** An answer to a query ends the workflow task, also while a local activity runs. If
//! that one's result reaches the SDK (1.1) while the query is answered, it is recorded in the task that ends, but
//! shown to the workflow together with the events of the next one; a replay shows it before them, and may fail over
//! what it then cancels. So results wait until the answer is given: then they are recorded in the next task, which is
//! as it should be. For that, a result lets the task of the worker that sees queries have two turns first: in one it
//! may report what began the local activity, in the next it sees a query that comes with the workflow task. A result
//! that was on its way all the same when a query came fails the task, whose next attempt answers it.

use std::{
    collections::HashMap,
    error::Error,
    panic::resume_unwind,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{Either, select},
};
use temporalio_common::protos::coresdk::{
    workflow_activation::{QueryWorkflow, WorkflowActivation, workflow_activation_job::Variant},
    workflow_completion::WorkflowActivationCompletion,
};
use temporalio_sdk::{
    WorkerOptions,
    interceptors::{
        ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
        WorkerInterceptor,
    },
    runtime::CoreWorker,
    workflow_interceptors::{
        HandleQueryInput, HandleQueryResult, SyncWorkflowInterceptorContext, WorkflowInterceptor,
        WorkflowInterceptorConstructor, WorkflowNext,
    },
};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot, watch,
    },
    time::sleep,
};

/// The SDK's ID of a query that comes by itself, and not together with a workflow task.
const QUERY_ALONE: &str = "legacy_query";

/// How long the SDK's core may take for what was handed to it. Much less, if there is a processor for it.
const HANDED_OVER: Duration = Duration::from_millis(1);

/// Watches a worker's cached runs. Clones share their state.
#[derive(Clone)]
pub(crate) struct QueryGuard(Arc<Shared>);

struct Shared {
    worker: OnceLock<Arc<CoreWorker>>,
    turns: UnboundedSender<oneshot::Sender<()>>,
    /// By run ID.
    shown: Mutex<HashMap<String, Shown>>,
}

/// Those who wait for a turn of the task that runs the worker.
pub(crate) struct Turns(UnboundedReceiver<oneshot::Sender<()>>);

impl Turns {
    /// Runs a worker. Whoever waits has its turn when the worker has had one.
    pub(crate) async fn around<T>(&mut self, worker: impl Future<Output = T>) -> T {
        let turns = async {
            while let Some(waiting) = self.0.recv().await {
                // They may wait no longer.
                let _ = waiting.send(());
            }
        };
        // The first one is polled first.
        match select(pin!(worker), pin!(turns)).await {
            Either::Left((done, _)) => done,
            Either::Right(((), worker)) => worker.await,
        }
    }
}

/// What a cached run has been shown.
struct Shown {
    events: u32,
    /// Seconds and nanoseconds of its latest workflow task.
    task: Option<(i64, i32)>,
    /// Whether some events belonged to no workflow task.
    ahead: bool,
    progress: Progress,
    /// How many results of local activities are on their way.
    results: usize,
    /// While it answers a query. Dropped when it has.
    answering: Option<watch::Sender<()>>,
}

impl Shown {
    /// Whether a local activity's result may be recorded in the task that an answer ends, and shown in the next one.
    fn is_torn(&self) -> bool {
        self.answering.is_some() && self.results > 0
    }
}

/// What a cached run has applied since it was replayed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Replayed,
    /// New events, once.
    Once,
    /// New events, several times; or the run was never replayed.
    Live,
}

/// What is to be done about a run.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    InStep,
    /// It may be ahead of its workflow tasks. It is evicted.
    PerhapsAhead,
    /// It is. It is evicted, and answers no query before that.
    Ahead,
}

impl QueryGuard {
    pub(crate) fn new() -> (Self, Turns) {
        let (turns, waiting) = unbounded_channel();
        let (worker, shown) = (OnceLock::new(), Mutex::default());
        (Self(Arc::new(Shared { worker, turns, shown })), Turns(waiting))
    }

    /// Registers the interceptors. They evict nothing until [`Self::set_worker`] is called.
    pub(crate) fn watch(&self, options: &mut WorkerOptions) {
        let watching = self.clone();
        options.worker_interceptor(self.clone());
        options.activity_inbound_interceptor(self.clone());
        options
            .workflow_interceptor(WorkflowInterceptorConstructor::new(move |_| watching.clone()));
    }

    pub(crate) fn set_worker(&self, worker: Arc<CoreWorker>) {
        self.0.worker.get_or_init(|| worker);
    }

    fn shown(&self) -> MutexGuard<'_, HashMap<String, Shown>> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what a run applies now.
    fn note(&self, activation: &WorkflowActivation) -> Finding {
        let jobs = || activation.jobs.iter().filter_map(|job| job.variant.as_ref());
        let mut shown = self.shown();
        if jobs().any(|job| matches!(job, Variant::RemoveFromCache(_))) {
            shown.remove(&activation.run_id);
            return Finding::InStep;
        }
        let is_query = jobs().all(|job| matches!(job, Variant::QueryWorkflow(_)));
        let is_alone = jobs().any(is_query_alone);
        let events = activation.history_length;
        let task = activation.timestamp.as_ref().map(|time| (time.seconds, time.nanos));
        let before = shown.remove(&activation.run_id);
        let is_new = before.as_ref().is_none_or(|before| before.events < events);
        let ahead = before.as_ref().is_some_and(|before| {
            before.ahead || is_new && before.task == task && !activation.is_replaying
        });
        let progress = match before.as_ref().map(|before| before.progress) {
            // Queries are always shown as part of a replay.
            Some(progress) if is_query => progress,
            _ if activation.is_replaying => Progress::Replayed,
            Some(Progress::Replayed) if is_new => Progress::Once,
            Some(progress) if !is_new => progress,
            Some(_) | None => Progress::Live,
        };
        let shown_now = jobs().filter(|job| is_local_result(job)).count();
        let results = before.map_or(0, |before| before.results).saturating_sub(shown_now);
        let answering = is_query.then(|| watch::Sender::new(()));
        let now = Shown { events, task, ahead, progress, results, answering };
        shown.insert(activation.run_id.clone(), now);
        match (ahead, is_alone && progress == Progress::Once) {
            (true, _) => Finding::Ahead,
            (false, true) => Finding::PerhapsAhead,
            (false, false) => Finding::InStep,
        }
    }

    fn note_answer(&self, run_id: &str) {
        if let Some(shown) = self.shown().get_mut(run_id) {
            shown.answering = None;
        }
    }

    /// Waits while the run answers a query, and notes whether a local activity's result is on its way then.
    async fn note_result(&self, run_id: &str, is_result: bool) {
        for _ in 0..2 {
            let (turn, had) = oneshot::channel();
            let _ = self.0.turns.send(turn);
            // It fails where the worker has ended.
            let _ = had.await;
            sleep(HANDED_OVER).await;
        }
        while let Some(mut answering) = self.answering_or_note(run_id, is_result) {
            // It fails when the sender is dropped, which is what this waits for.
            let _ = answering.changed().await;
            sleep(HANDED_OVER).await;
        }
    }

    /// Both at once: between them, a query could come.
    fn answering_or_note(&self, run_id: &str, is_result: bool) -> Option<watch::Receiver<()>> {
        let mut shown = self.shown();
        let shown = shown.get_mut(run_id)?;
        let answering = shown.answering.as_ref().map(watch::Sender::subscribe);
        shown.results += usize::from(is_result && answering.is_none());
        answering
    }
}

fn is_query_alone(job: &Variant) -> bool {
    matches!(job, Variant::QueryWorkflow(QueryWorkflow { query_id, .. }) if query_id == QUERY_ALONE)
}

fn is_local_result(job: &Variant) -> bool {
    matches!(job, Variant::ResolveActivity(resolved) if resolved.is_local)
}

#[async_trait::async_trait(?Send)]
impl WorkerInterceptor for QueryGuard {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        if self.note(activation) != Finding::InStep
            && let Some(worker) = self.0.worker.get()
        {
            worker.request_workflow_eviction(&activation.run_id);
        }
        Ok(())
    }

    async fn on_workflow_activation_completion(&self, completion: &WorkflowActivationCompletion) {
        self.note_answer(&completion.run_id);
    }
}

impl ActivityInboundInterceptor for QueryGuard {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        let Some(run_id) = info.workflow_run_id.clone().filter(|_| info.is_local) else {
            return next.run(input);
        };
        async move {
            let done = next.run(input).await;
            // After a failure, the SDK tries it again by itself.
            self.note_result(&run_id, done.is_ok()).await;
            done
        }
        .boxed()
    }
}

impl WorkflowInterceptor for QueryGuard {
    fn handle_query(
        &self,
        ctx: SyncWorkflowInterceptorContext,
        input: HandleQueryInput,
        next: WorkflowNext<'_, HandleQueryInput, HandleQueryResult>,
    ) -> HandleQueryResult {
        let shown = self.shown();
        let is = |what: fn(&Shown) -> bool| shown.get(ctx.run_id()).is_some_and(what);
        let (is_ahead, is_torn) = (is(|shown| shown.ahead), is(Shown::is_torn));
        drop(shown);
        if is_ahead {
            let refusal: Box<dyn Error + Send + Sync> =
                "another worker is taking over this workflow; ask again in a moment".into();
            return Err(refusal.into());
        }
        if is_torn {
            // The SDK fails the task over a panic. This one is nobody's fault, and passes the hook by.
            resume_unwind(Box::new("a query came between a local activity and its result"));
        }
        next.run(input)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use temporalio_common::protos::coresdk::workflow_activation::{
        RemoveFromCache, ResolveActivity, SignalWorkflow, WorkflowActivationJob,
    };
    use tokio::{spawn, task::yield_now};

    use super::*;

    fn shown(job: Variant, events: u32, task: u64, is_replaying: bool) -> WorkflowActivation {
        WorkflowActivation {
            run_id: "run".to_owned(),
            timestamp: Some((SystemTime::UNIX_EPOCH + Duration::from_secs(task)).into()),
            history_length: events,
            is_replaying,
            jobs: vec![WorkflowActivationJob { variant: Some(job) }],
            ..Default::default()
        }
    }

    fn signal(events: u32, task: u64) -> WorkflowActivation {
        shown(Variant::SignalWorkflow(SignalWorkflow::default()), events, task, false)
    }

    fn replayed(events: u32, task: u64) -> WorkflowActivation {
        shown(Variant::SignalWorkflow(SignalWorkflow::default()), events, task, true)
    }

    fn query(events: u32, task: u64) -> WorkflowActivation {
        let query_id = QUERY_ALONE.to_owned();
        let query = QueryWorkflow { query_id, ..QueryWorkflow::default() };
        shown(Variant::QueryWorkflow(query), events, task, true)
    }

    fn findings(activations: &[WorkflowActivation]) -> Vec<Finding> {
        let watch = QueryGuard::new().0;
        activations.iter().map(|activation| watch.note(activation)).collect()
    }

    #[test]
    fn tasks_and_queries_between_them_are_not_ahead() {
        let live = [signal(3, 1), query(3, 1), signal(9, 2), signal(9, 3), query(9, 3)];
        // The last events of a workflow that has closed.
        let closed = [query(12, 3)];
        let replayed = [replayed(3, 1), query(5, 1), signal(8, 2), signal(12, 3), query(12, 3)];
        for activations in [&*[live.as_slice(), &closed].concat(), &replayed] {
            let findings = findings(activations);
            assert!(findings.iter().all(|found| *found == Finding::InStep), "{findings:?}");
        }
    }

    #[test]
    fn events_without_a_task_are_ahead_until_the_workflow_is_evicted() {
        let eviction = Variant::RemoveFromCache(RemoveFromCache::default());
        let eviction = shown(eviction, 5, 1, false);
        let activations = [signal(3, 1), signal(5, 1), query(5, 1), eviction, signal(8, 2)];
        let [first, ahead, query, eviction, replayed] = &*findings(&activations) else { panic!() };
        assert_eq!([first, eviction, replayed], [&Finding::InStep; 3]);
        assert_eq!([ahead, query], [&Finding::Ahead; 2]);
    }

    #[test]
    fn the_first_events_after_a_replay_may_be_ahead_of_a_task_that_was_not_seen() {
        let part_of_a_task = shown(Variant::QueryWorkflow(QueryWorkflow::default()), 8, 2, true);
        let activations = [replayed(3, 1), signal(8, 2), signal(8, 2), part_of_a_task, query(8, 2)];
        let [rest @ .., query] = &*findings(&activations) else { panic!() };
        assert!(rest.iter().all(|found| *found == Finding::InStep), "{rest:?}");
        assert_eq!(*query, Finding::PerhapsAhead);
    }

    fn asked() -> WorkflowActivation {
        shown(Variant::QueryWorkflow(QueryWorkflow::default()), 3, 1, true)
    }

    #[tokio::test(start_paused = true)]
    async fn a_local_activitys_result_waits_for_the_answer_to_a_query() {
        let guard = QueryGuard::new().0;
        guard.note(&signal(3, 1));
        assert_eq!(guard.note(&asked()), Finding::InStep);
        let waiting = guard.clone();
        let result = spawn(async move { waiting.note_result("run", true).await });
        // The clock stands still but for this.
        sleep(Duration::from_secs(1)).await;
        assert!(!result.is_finished());
        guard.note_answer("run");
        result.await.expect("it ends");
    }

    #[tokio::test]
    async fn a_query_that_comes_when_a_result_is_on_its_way_tears_it_from_its_task() {
        let guard = QueryGuard::new().0;
        guard.note(&signal(3, 1));
        guard.note_result("run", true).await;
        let tears = |shown: &WorkflowActivation| {
            assert_eq!(guard.note(shown), Finding::InStep, "it is not evicted");
            guard.shown()["run"].is_torn()
        };
        assert!(tears(&asked()));
        guard.note_answer("run");
        guard.note_result("run", false).await;
        let mut resolved = ResolveActivity::default();
        let resolve = |resolved| Variant::ResolveActivity(resolved);
        let others = shown(resolve(resolved.clone()), 3, 1, false);
        resolved.is_local = true;
        let local = shown(resolve(resolved), 3, 1, false);
        let torn = [&others, &asked(), &local, &asked()].map(tears);
        assert_eq!(torn, [false, true, false, false], "another activity's result says nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_result_waits_for_no_run_that_is_evicted() {
        let guard = QueryGuard::new().0;
        guard.note(&asked());
        let waiting = guard.clone();
        let result = spawn(async move { waiting.note_result("run", true).await });
        sleep(Duration::from_secs(1)).await;
        assert!(!result.is_finished());
        guard.note(&shown(Variant::RemoveFromCache(RemoveFromCache::default()), 3, 1, false));
        result.await.expect("it ends");
    }

    #[tokio::test]
    async fn whoever_waits_has_a_turn_after_each_of_the_worker() {
        let (guard, mut turns) = QueryGuard::new();
        let (turn, mut had) = oneshot::channel();
        let worker = async {
            guard.0.turns.send(turn).expect("served");
            assert!(had.try_recv().is_err(), "not before the worker has had its own");
            yield_now().await;
            had.try_recv().expect("a turn");
        };
        turns.around(worker).await;
    }
}
