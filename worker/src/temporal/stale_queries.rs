//! Evicts a workflow after a query has applied events ahead of their workflow task.
//!
//! After a worker's death Temporal may send a query to another one while a workflow task is pending.
//! The SDK (1.1) then applies the history so far, keeps the workflow in its cache, and applies later
//! events one by one until the task begins. A replay applies all of them at once, signals first, and
//! may produce other commands. So such a query is refused, since its answer might not hold, and the
//! workflow is evicted and replayed for its task.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use temporalio_common::protos::coresdk::workflow_activation::{
    WorkflowActivation, workflow_activation_job::Variant,
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

    /// Records what a run applies now. Returns whether it is ahead of its workflow tasks.
    fn note(&self, activation: &WorkflowActivation) -> bool {
        let is_eviction = |variant: &Variant| matches!(variant, Variant::RemoveFromCache(_));
        let mut shown = self.shown();
        if activation.jobs.iter().filter_map(|job| job.variant.as_ref()).any(is_eviction) {
            shown.remove(&activation.run_id);
            return false;
        }
        let events = activation.history_length;
        let task = activation.timestamp.as_ref().map(|time| (time.seconds, time.nanos));
        let ahead = shown.get(&activation.run_id).is_some_and(|before| {
            let without_task = before.events < events && before.task == task;
            before.ahead || without_task && !activation.is_replaying
        });
        shown.insert(activation.run_id.clone(), Shown { events, task, ahead });
        ahead
    }
}

#[async_trait::async_trait(?Send)]
impl WorkerInterceptor for StaleQueries {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        if self.note(activation)
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
        QueryWorkflow, RemoveFromCache, SignalWorkflow, WorkflowActivationJob,
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

    fn query(events: u32, task: u64) -> WorkflowActivation {
        shown(Variant::QueryWorkflow(QueryWorkflow::default()), events, task, true)
    }

    #[test]
    fn tasks_and_queries_between_them_are_not_ahead() {
        let watch = StaleQueries::default();
        let tasks = [signal(3, 1), query(3, 1), signal(9, 2), signal(9, 3), query(9, 3)];
        assert!(tasks.iter().all(|task| !watch.note(task)));
        assert!(!watch.note(&query(12, 3)), "the last events of a workflow that has closed");
    }

    #[test]
    fn events_without_a_task_are_ahead_until_the_workflow_is_evicted() {
        let watch = StaleQueries::default();
        assert!(!watch.note(&signal(3, 1)));
        assert!(watch.note(&signal(5, 1)));
        assert!(watch.note(&query(5, 1)));
        let eviction = Variant::RemoveFromCache(RemoveFromCache::default());
        assert!(!watch.note(&shown(eviction, 5, 1, false)));
        assert!(!watch.note(&signal(8, 2)), "replayed for its task");
    }
}
