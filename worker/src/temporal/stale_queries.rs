//! Evicts a workflow after a query has applied events ahead of their workflow task.
//!
//! After a worker's death Temporal may send a query to another one while a workflow task is pending.
//! The SDK (1.1) then applies the history so far, keeps the workflow in its cache, and applies later
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

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use temporalio_common::protos::coresdk::workflow_activation::{
    QueryWorkflow, WorkflowActivation, workflow_activation_job::Variant,
};
use temporalio_sdk::{
    WorkerOptions,
    interceptors::WorkerInterceptor,
    runtime::CoreWorker,
    workflow_interceptors::{
        HandleQueryInput, HandleQueryResult, SyncWorkflowInterceptorContext, WorkflowInterceptor,
        WorkflowInterceptorConstructor, WorkflowNext,
    },
};

/// The SDK's ID of a query that comes by itself, and not together with a workflow task.
const QUERY_ALONE: &str = "legacy_query";

/// Watches a worker's cached runs. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct StaleQueries(Arc<Shared>);

#[derive(Default)]
struct Shared {
    worker: OnceLock<Arc<CoreWorker>>,
    /// By run ID.
    shown: Mutex<HashMap<String, Shown>>,
}

/// The events that a cached run has applied.
struct Shown {
    events: u32,
    /// Seconds and nanoseconds of its latest workflow task.
    task: Option<(i64, i32)>,
    /// Whether some of them belonged to no workflow task.
    ahead: bool,
    progress: Progress,
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

impl StaleQueries {
    /// Registers the interceptors. They evict nothing until [`Self::set_worker`] is called.
    pub(crate) fn watch(&self, options: &mut WorkerOptions) {
        let watching = self.clone();
        options.worker_interceptor(self.clone());
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
        let before = shown.get(&activation.run_id);
        let is_new = before.is_none_or(|before| before.events < events);
        let ahead = before.is_some_and(|before| {
            before.ahead || is_new && before.task == task && !activation.is_replaying
        });
        let progress = match before.map(|before| before.progress) {
            // Queries are always shown as part of a replay.
            Some(progress) if is_query => progress,
            _ if activation.is_replaying => Progress::Replayed,
            Some(Progress::Replayed) if is_new => Progress::Once,
            Some(progress) if !is_new => progress,
            Some(_) | None => Progress::Live,
        };
        shown.insert(activation.run_id.clone(), Shown { events, task, ahead, progress });
        match (ahead, is_alone && progress == Progress::Once) {
            (true, _) => Finding::Ahead,
            (false, true) => Finding::PerhapsAhead,
            (false, false) => Finding::InStep,
        }
    }
}

fn is_query_alone(job: &Variant) -> bool {
    matches!(job, Variant::QueryWorkflow(QueryWorkflow { query_id, .. }) if query_id == QUERY_ALONE)
}

#[async_trait::async_trait(?Send)]
impl WorkerInterceptor for StaleQueries {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        if self.note(activation) != Finding::InStep
            && let Some(worker) = self.0.worker.get()
        {
            worker.request_workflow_eviction(&activation.run_id);
        }
        Ok(())
    }
}

impl WorkflowInterceptor for StaleQueries {
    fn handle_query(
        &self,
        ctx: SyncWorkflowInterceptorContext,
        input: HandleQueryInput,
        next: WorkflowNext<'_, HandleQueryInput, HandleQueryResult>,
    ) -> HandleQueryResult {
        if self.shown().get(ctx.run_id()).is_some_and(|shown| shown.ahead) {
            let refusal: Box<dyn Error + Send + Sync> =
                "another worker is taking over this workflow; ask again in a moment".into();
            return Err(refusal.into());
        }
        next.run(input)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use temporalio_common::protos::coresdk::workflow_activation::{
        RemoveFromCache, SignalWorkflow, WorkflowActivationJob,
    };

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
        let watch = StaleQueries::default();
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
}
