//! Tells signal handlers which identity the sender claims. The SDK (1.1) drops it on the way to them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use temporalio_common::protos::{
    coresdk::workflow_activation::{WorkflowActivation, workflow_activation_job::Variant},
    temporal::api::common::v1::Payload,
};
use temporalio_sdk::{
    interceptors::WorkerInterceptor,
    workflow_interceptors::{
        HandleSignalInput, HandleSignalResult, WorkflowInterceptor, WorkflowInterceptorConstructor,
        WorkflowInterceptorContext, WorkflowInterceptorFuture, WorkflowNext,
    },
};

use crate::workflow::IDENTITY_HEADER;

/// The identities of the signals that a run is about to handle. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct Identities {
    /// By run ID, in order.
    coming: Arc<Mutex<HashMap<String, VecDeque<Sender>>>>,
}

/// A signal's name, and the identity that its sender claims.
type Sender = (String, String);

impl Identities {
    /// To be registered wherever approvals run: without them, a sender's own header would be believed.
    pub(super) fn interceptors(
        self,
    ) -> (Vec<Arc<dyn WorkerInterceptor>>, Vec<WorkflowInterceptorConstructor>) {
        let watching = self.clone();
        let handlers = WorkflowInterceptorConstructor::new(move |_| watching.clone());
        (vec![Arc::new(self)], vec![handlers])
    }

    fn note(&self, activation: &WorkflowActivation) {
        let signals = activation.jobs.iter().filter_map(|job| match &job.variant {
            Some(Variant::SignalWorkflow(signal)) => {
                Some((signal.signal_name.clone(), signal.identity.clone()))
            }
            _ => None,
        });
        let signals: VecDeque<_> = signals.collect();
        let mut coming = self.coming.lock();
        match signals.is_empty() {
            true => drop(coming.remove(&activation.run_id)),
            false => drop(coming.insert(activation.run_id.clone(), signals)),
        }
    }

    /// The identity of the next signal of this name. Those that the SDK has no handler for never come, such as one
    /// to [`ApprovalNotices`](crate::workflow::ApprovalNotices).
    fn next(&self, run_id: &str, signal: &str) -> Option<String> {
        let mut coming = self.coming.lock();
        let signals = coming.get_mut(run_id)?;
        std::iter::from_fn(|| signals.pop_front())
            .find(|(name, _)| name == signal)
            .map(|(_, identity)| identity)
    }
}

#[async_trait::async_trait(?Send)]
impl WorkerInterceptor for Identities {
    async fn on_workflow_activation(&self, activation: &WorkflowActivation) -> anyhow::Result<()> {
        self.note(activation);
        Ok(())
    }
}

impl WorkflowInterceptor for Identities {
    fn handle_signal<'a>(
        &'a self,
        ctx: WorkflowInterceptorContext,
        mut input: HandleSignalInput,
        next: WorkflowNext<
            'a,
            HandleSignalInput,
            WorkflowInterceptorFuture<'a, HandleSignalResult>,
        >,
    ) -> WorkflowInterceptorFuture<'a, HandleSignalResult> {
        let identity = self.next(ctx.run_id(), input.name());
        // A sender may have set the header too.
        input.headers_mut().remove(IDENTITY_HEADER);
        if let Some(identity) = identity {
            let payload = Payload { data: identity.into_bytes(), ..Payload::default() };
            input.headers_mut().insert(IDENTITY_HEADER.to_owned(), payload);
        }
        next.run(input)
    }
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::coresdk::workflow_activation::{
        SignalWorkflow, WorkflowActivationJob,
    };

    use super::*;

    fn activation(signals: &[(&str, &str)]) -> WorkflowActivation {
        let job = |(name, identity): &(&str, &str)| WorkflowActivationJob {
            variant: Some(Variant::SignalWorkflow(SignalWorkflow {
                signal_name: (*name).to_owned(),
                identity: (*identity).to_owned(),
                ..Default::default()
            })),
        };
        let jobs = signals.iter().map(job).collect();
        WorkflowActivation { run_id: "run".into(), jobs, ..Default::default() }
    }

    #[test]
    fn each_signal_has_its_senders_identity_whatever_comes_between() {
        let identities = Identities::default();
        identities.note(&activation(&[("approve", "ann"), ("aprove", "bob"), ("remind", "cy")]));
        assert_eq!(identities.next("other", "approve"), None);
        assert_eq!(identities.next("run", "approve").as_deref(), Some("ann"));
        assert_eq!(identities.next("run", "remind").as_deref(), Some("cy"));
        assert_eq!(identities.next("run", "remind"), None);
        identities.note(&activation(&[("approve", "ann"), ("approve", "bob")]));
        identities.note(&activation(&[("approve", "eve")]));
        assert_eq!(identities.next("run", "approve").as_deref(), Some("eve"), "a new task");
        identities.note(&activation(&[]));
        assert!(identities.coming.lock().is_empty());
    }
}
