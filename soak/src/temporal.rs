//! Temporal as the soak calls it: directly, not through the network that fails.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::Result;
use countersign_e2e::Grpc;
use temporalio_client::tonic::{Code, Status};
use temporalio_common::protos::temporal::api::{
    common::v1::Payload,
    history::v1::{HistoryEvent, history_event::Attributes},
};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(300);
const TRIES: usize = 400;

/// A client that keeps trying while the server is away.
#[derive(Clone)]
pub(crate) struct TemporalClient {
    grpc: Grpc,
    queue: String,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Acknowledged,
    /// Temporal refuses it: the workflow has closed.
    Refused,
    /// There was no answer.
    Unknown,
}

impl TemporalClient {
    /// A client that starts approvals on a task queue.
    pub(crate) fn new(grpc: Grpc, queue: &str) -> Self {
        TemporalClient { grpc, queue: queue.to_owned() }
    }

    /// Every call, without trying again.
    pub(crate) fn grpc(&self) -> &Grpc {
        &self.grpc
    }

    /// The approvals' task queue.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// Starts an approval with this input, whatever it is. Returns its first run's ID.
    pub(crate) async fn start(&self, id: &str, input: Option<Payload>) -> Result<String, Status> {
        persistently(|| {
            let input = Vec::from_iter(input.clone());
            self.grpc.try_start_with(&self.queue, id, input, |start| start.request_id = id.into())
        })
        .await
    }

    /// Sends a signal; several with the same `request_id` are one.
    pub(crate) async fn signal(
        &self,
        id: &str,
        name: &str,
        request_id: &str,
        input: Option<Payload>,
    ) -> Sent {
        let attempts = AtomicUsize::new(0);
        let sent = persistently(|| {
            attempts.fetch_add(1, Ordering::Relaxed);
            self.grpc.try_signal_once(request_id, id, name, Vec::from_iter(input.clone()))
        });
        match sent.await {
            Ok(()) => Sent::Acknowledged,
            // An earlier attempt may have been what closed the workflow.
            Err(status) if status.code() == Code::NotFound && attempts.into_inner() == 1 => {
                Sent::Refused
            }
            Err(_) => Sent::Unknown,
        }
    }

    /// Cancels an approval, unless it has ended.
    pub(crate) async fn cancel(&self, id: &str) {
        let request_id = format!("cancel-{id}");
        // Its history says whether it had ended before.
        let _ = persistently(|| self.grpc.try_cancel(&request_id, id)).await;
    }

    /// A workflow's whole history, from this run on, through all that continue it as new.
    pub(crate) async fn history_from(
        &self,
        id: &str,
        first_run_id: &str,
    ) -> Result<Vec<HistoryEvent>> {
        let (mut all, mut run_id) = (Vec::new(), first_run_id.to_owned());
        loop {
            let run = timeout(4 * PATIENCE, self.grpc.try_events_of_run(id, &run_id)).await??;
            let next = run.last().and_then(continued_as);
            all.extend(run);
            match next {
                Some(next) => run_id = next,
                None => return Ok(all),
            }
        }
    }

    /// A workflow's whole history.
    pub(crate) async fn history(&self, id: &str) -> Result<Vec<HistoryEvent>> {
        Ok(timeout(4 * PATIENCE, self.grpc.try_events(id)).await??)
    }
}

/// The run that continues the one which this event ends.
fn continued_as(event: &HistoryEvent) -> Option<String> {
    match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(continued) => {
            Some(continued.new_execution_run_id.clone())
        }
        _ => None,
    }
}

/// Asks until there is an answer that would be the same the next time.
pub(crate) async fn persistently<T, F>(ask: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut last = Status::unavailable("never asked");
    for _ in 0..TRIES {
        last = match timeout(PATIENCE, ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("no answer"),
        };
        if is_definite(&last) {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(last)
}

/// Whether the answer would be the same the next time. A server that comes back may answer before it
/// has read its namespaces.
fn is_definite(status: &Status) -> bool {
    match status.code() {
        Code::NotFound => !status.message().starts_with("Namespace "),
        Code::InvalidArgument | Code::AlreadyExists => true,
        _ => false,
    }
}
