//! Forgets workflows that a query has shown more than their workflow tasks have.
//!
//! After a worker's death Temporal may ask another one a query while a workflow task is pending. The
//! SDK (1.1) then shows the workflow what is in the history so far, and keeps the workflow as it is:
//! what comes until the task begins is shown later, one thing after the other. A replay shows all of
//! that at once, signals first, and may come to something else. So such a query is refused, since its
//! answer might not last, and the workflow is forgotten, and replayed for its task.

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

/// Watches a worker's workflows. Clones share what they know.
#[derive(Clone, Default)]
pub(crate) struct StaleQueries(Arc<Shared>);

#[derive(Default)]
struct Shared {
    worker: OnceLock<Arc<CoreWorker>>,
    /// By run, what it has been shown.
    shown: Mutex<HashMap<String, Shown>>,
}

/// What a workflow has been shown.
struct Shown {
    /// How much of its history.
    events: u32,
    /// The seconds and nanoseconds of its latest workflow task.
    task: Option<(i64, i32)>,
    /// Whether there was more than that task is about.
    ahead: bool,
}

impl StaleQueries {
    /// Has a worker's workflows watched, as soon as it is there.
    pub(crate) fn watch(&self, options: &mut WorkerOptions) {
        let watching = self.clone();
        options.worker_interceptor(self.clone());
        options
            .workflow_interceptor(WorkflowInterceptorConstructor::new(move |_| watching.clone()));
    }

    /// The worker that has been made.
    pub(crate) fn set_worker(&self, worker: Arc<CoreWorker>) {
        self.0.worker.get_or_init(|| worker);
    }

    fn shown(&self) -> MutexGuard<'_, HashMap<String, Shown>> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a workflow is shown now; answers whether it runs ahead of its tasks.
    fn note(&self, activation: &WorkflowActivation) -> bool {
        let leaves = |variant: &Variant| matches!(variant, Variant::RemoveFromCache(_));
        let mut shown = self.shown();
        if activation.jobs.iter().filter_map(|job| job.variant.as_ref()).any(leaves) {
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
                "another worker takes over this workflow; ask again in a moment".into();
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
    fn tasks_and_queries_between_them_run_ahead_of_nothing() {
        let watch = StaleQueries::default();
        let tasks = [signal(3, 1), query(3, 1), signal(9, 2), signal(9, 3), query(9, 3)];
        assert!(tasks.iter().all(|task| !watch.note(task)));
        assert!(!watch.note(&query(12, 3)), "the last events of a workflow that has closed");
    }

    #[test]
    fn events_without_a_task_run_ahead_until_the_workflow_is_forgotten() {
        let watch = StaleQueries::default();
        assert!(!watch.note(&signal(3, 1)));
        assert!(watch.note(&signal(5, 1)));
        assert!(watch.note(&query(5, 1)));
        let forgotten = Variant::RemoveFromCache(RemoveFromCache::default());
        assert!(!watch.note(&shown(forgotten, 5, 1, false)));
        assert!(!watch.note(&signal(8, 2)), "replayed for its task");
    }
}
