//! Forgets workflows that a query has shown more than their workflow tasks have.
//!
//! After a worker's death Temporal may ask another one a query while a workflow task is pending. The
//! SDK (1.1) then shows the workflow what is in the history so far, and keeps the workflow as it is:
//! what comes until the task begins is shown later, one thing after the other. A replay shows all of
//! that at once, signals first, and may come to something else. A workflow that has run ahead of its
//! tasks is therefore forgotten as soon as the query is answered, and replayed for the task.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use temporalio_common::protos::coresdk::workflow_activation::{
    WorkflowActivation, workflow_activation_job::Variant,
};
use temporalio_sdk::{interceptors::WorkerInterceptor, runtime::CoreWorker};

/// Watches a worker's workflows. Clones share what they know.
#[derive(Clone, Default)]
pub(crate) struct RunsAhead(Arc<Shared>);

#[derive(Default)]
struct Shared {
    worker: OnceLock<Arc<CoreWorker>>,
    /// By run, what it has been shown.
    shown: Mutex<HashMap<String, Shown>>,
}

/// How much of its history a workflow has been shown, and the time of its latest workflow task.
#[derive(Clone, Copy, PartialEq)]
struct Shown {
    events: u32,
    time: Option<(i64, i32)>,
}

impl Shown {
    fn by(activation: &WorkflowActivation) -> Self {
        let time = activation.timestamp.as_ref().map(|time| (time.seconds, time.nanos));
        Self { events: activation.history_length, time }
    }

    /// Events without a workflow task.
    fn is_ahead_of(self, before: Shown) -> bool {
        self.events > before.events && self.time == before.time
    }
}

impl RunsAhead {
    /// The worker whose workflows are watched.
    pub(crate) fn watch(&self, worker: Arc<CoreWorker>) {
        self.0.worker.get_or_init(|| worker);
    }

    /// Whether this shows a workflow more than its tasks have.
    fn runs_ahead(&self, activation: &WorkflowActivation) -> bool {
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if activation
            .jobs
            .iter()
            .any(|job| matches!(job.variant, Some(Variant::RemoveFromCache(_))))
        {
            shown.remove(&activation.run_id);
            return false;
        }
        let now = Shown::by(activation);
        let before = shown.insert(activation.run_id.clone(), now);
        before.is_some_and(|before| now.is_ahead_of(before))
    }
}

#[async_trait::async_trait(?Send)]
impl WorkerInterceptor for RunsAhead {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        if self.runs_ahead(activation)
            && let Some(worker) = self.0.worker.get()
        {
            worker.request_workflow_eviction(&activation.run_id);
        }
        Ok(())
    }
}
