//! How a signal is sent by a link, and followed until the workflow says what became of it.

use std::{ops::ControlFlow, time::Duration};

use countersign_connection::encodes;
use countersign_protos::{
    GenuineLink, LinkHash, ignored,
    payload::Payload,
    text::{clean_line, identity},
    v1::ApprovalState,
};
use countersign_telemetry::traces::{self, SpanKind};
use temporalio_client::{
    NamespacedClient, UntypedSignal, WorkflowSignalOptions, grpc::WorkflowService,
    tonic::IntoRequest,
};
use temporalio_common::{
    data_converters::RawValue,
    protos::temporal::api::{
        common::v1::WorkflowExecution, workflowservice::v1::ResetStickyTaskQueueRequest,
    },
};
use tokio::time::sleep;

use crate::{
    answer::{Reading, is_submitters, reviewer_by_link},
    approvals::Approvals,
    index::Run,
    lookup::LookupError,
    problem::Problem,
    temporal::{Failure, call_with_effect, to_temporal},
};

const SIGNAL: Duration = Duration::from_secs(5);
const RELEASE: Duration = Duration::from_secs(2);
/// How long a query waits after a signal, for a worker to have begun the workflow task, in milliseconds. A query
/// that comes with the task is answered before the outcome is sealed, and costs another task.
const SETTLE: u64 = 5;
/// What finds its run closed goes to the next run, once.
const RUNS: usize = 2;
/// What was acknowledged but is missing is sent again, once.
const ATTEMPTS: usize = 2;

/// What somebody wants to have done by their link.
pub(crate) trait Intent: Sized {
    /// What of it is sent.
    type Sent;
    /// What comes of it.
    type Effect;
    /// How long the workflow has to process it, in pauses between queries, in milliseconds.
    const PAUSES: &'static [u64] = &[SETTLE];
    /// Its name in the log where it was acknowledged and the workflow does not have it, so that it is sent again.
    /// `None` if it counts as stored then.
    const SENT_AGAIN_AS: Option<&'static str>;

    /// What of it is to be sent, or why nothing is.
    ///
    /// # Errors
    /// Where it cannot be done by this link, or not any more.
    fn ready(&self, link: &GenuineLink, before: &Reading) -> Result<Ready<Self>, Problem>;

    /// Its signal to a run. Repeating an attempt records no second event.
    fn signal(&self, sent: &Self::Sent, link: &GenuineLink, run: &Run, attempt: u32) -> Signal;

    /// What the workflow says of it; `None` if it does not have it, and could take it.
    fn effect(&self, link: &LinkHash, before: &Reading, after: &Reading) -> Option<Self::Effect>;

    /// What is said of it where Temporal has it, and no worker has processed it yet.
    fn stored(&self, reading: &Reading) -> Self::Effect;

    /// Logs what came of it. The worker's line about it has the same workflow ID and link.
    fn log(&self, workflow_id: &str, link: &str, effect: &Self::Effect);
}

/// What follows from what is known before anything is sent.
pub(crate) enum Ready<I: Intent> {
    Send(I::Sent),
    /// Nothing is sent.
    Settled(I::Effect),
}

/// What is sent to a workflow.
pub(crate) struct Signal {
    pub(crate) name: &'static str,
    pub(crate) payload: Payload,
    /// Of two with the same, Temporal records one.
    pub(crate) request_id: String,
}

/// Why a signal was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignalError {
    /// The workflow is closed.
    Closed,
    /// The call failed, and certainly had no effect.
    Unavailable,
    /// It may or may not have been recorded.
    Unknown,
}

impl Approvals {
    /// Sends it unless what is known settles it, and answers with its effect.
    pub(crate) async fn signal<I: Intent>(
        &self,
        link: &GenuineLink,
        hint: Option<&str>,
        intent: I,
    ) -> Result<(I::Effect, Reading), Problem> {
        for _ in 0..RUNS {
            let (run, before) = self.find(link, hint).await.map_err(not_found)?;
            let sent = match intent.ready(link, &before)? {
                Ready::Send(sent) => sent,
                Ready::Settled(effect) => return Ok((effect, before)),
            };
            let workflow_id = clean_line(&run.workflow_id);
            if let Some((effect, after)) = self.deliver(link, run, (&intent, &sent), before).await?
            {
                intent.log(&workflow_id, link.hash().short(), &effect);
                return Ok((effect, after));
            }
        }
        Err(Problem::NothingRecorded)
    }

    /// Sends it to a run, and answers with its effect; `None` if the run was closed before.
    async fn deliver<I: Intent>(
        &self,
        link: &GenuineLink,
        mut run: Run,
        (intent, sent): (&I, &I::Sent),
        before: Reading,
    ) -> Result<Option<(I::Effect, Reading)>, Problem> {
        if before.is_unattended() {
            self.release(&run).await;
        }
        let who = holder(before.state(), link.hash());
        let (mut attempt, mut acknowledged) = (0, false);
        for _ in 0..ATTEMPTS {
            let signal = intent.signal(sent, link, &run, attempt);
            let result = self.send(link, &run, who, signal).await;
            match result {
                Ok(()) if before.is_unattended() => {
                    return Ok(Some((intent.stored(&before), before)));
                }
                Ok(()) => acknowledged = true,
                Err(SignalError::Closed) if !acknowledged => return Ok(None),
                Err(SignalError::Unavailable) if !acknowledged => {
                    return Err(Problem::NothingRecorded);
                }
                // The workflow's state may still show whether it arrived.
                Err(_) => {}
            }
            let looked = self.look_for_effect(link, run.clone(), intent, &before, acknowledged);
            let next = match looked.await? {
                ControlFlow::Break(said) => return Ok(Some(said)),
                ControlFlow::Continue(next) => next,
            };
            match (result, I::SENT_AGAIN_AS) {
                (Ok(()), Some(name)) => {
                    let link = link.hash().short();
                    tracing::warn!(link, attempt, "an acknowledged {name} is missing");
                }
                (Ok(()), None) => return Ok(Some((intent.stored(&before), before))),
                (Err(_), _) => break,
            }
            // As in a repeated press, which starts at 0 with the run that it finds: its request IDs
            // must be the same.
            attempt = if next == run { attempt + 1 } else { 0 };
            run = next;
        }
        Err(Problem::Unknown)
    }

    /// Looks for an effect as long as the workflow may take. Without one, continues with the run that the approval has
    /// now.
    async fn look_for_effect<I: Intent>(
        &self,
        link: &GenuineLink,
        mut run: Run,
        intent: &I,
        before: &Reading,
        acknowledged: bool,
    ) -> Result<ControlFlow<(I::Effect, Reading), Run>, Problem> {
        for pause in I::PAUSES {
            sleep(Duration::from_millis(*pause)).await;
            let followed = self.follow(link, run).await;
            let (current, after) = followed.map_err(|_| Problem::Unknown)?;
            let is_stored = acknowledged && after.is_unattended();
            let stored = || is_stored.then(|| intent.stored(&after));
            if let Some(effect) = intent.effect(link.hash(), before, &after).or_else(stored) {
                return Ok(ControlFlow::Break((effect, after)));
            }
            run = current;
        }
        Ok(ControlFlow::Continue(run))
    }

    /// Lets any worker have the next workflow task of a run whose worker has not answered. Without this, the
    /// task would wait for that one until Temporal knows that it is gone. Best effort.
    async fn release(&self, run: &Run) {
        let Ok(mut client) = self.temporal.client() else { return };
        let request = ResetStickyTaskQueueRequest {
            namespace: client.namespace(),
            execution: Some(WorkflowExecution {
                workflow_id: run.workflow_id.to_string(),
                run_id: run.run_id.to_string(),
            }),
        };
        let mut request = request.into_request();
        request.set_timeout(RELEASE);
        if let Err(error) = client.reset_sticky_task_queue(request).await {
            tracing::warn!(%error, "a workflow stays with the worker that does not answer");
        }
    }

    /// Makes the call. Its event names whose link it is where they are known and payloads are not encrypted.
    async fn send(
        &self,
        link: &GenuineLink,
        run: &Run,
        who: Option<&str>,
        signal: Signal,
    ) -> Result<(), SignalError> {
        let Signal { name, payload, request_id } = signal;
        let payload = to_temporal(payload);
        let send = async {
            traces::note("temporalWorkflowID", run.workflow_id.to_string());
            let mut client = self.temporal.client()?;
            // Nobody encrypts an identity.
            if let Some(who) = who.filter(|_| !encodes(client.options())) {
                let own = client.connection_mut().identity_mut();
                *own = identity(&format!("{who} ({own})"));
            }
            let handle = run.handle(&client);
            call_with_effect(SIGNAL, |rpc| {
                let options = WorkflowSignalOptions::builder()
                    .request_id(request_id.clone())
                    .maybe_header(traces::temporal_header())
                    .rpc_options(rpc)
                    .build();
                let input = RawValue::new(vec![payload.clone()]);
                let handle = &handle;
                async move { handle.signal(UntypedSignal::new(name), input, options).await }
            })
            .await
        };
        let sent = traces::in_span(format!("SignalWorkflow:{name}"), SpanKind::Client, send);
        sent.await.map_err(|failure| {
            let link = link.hash().short();
            tracing::warn!(link, signal = name, error = %failure, "signal failed");
            match failure {
                Failure::NotFound(_) => SignalError::Closed,
                Failure::Refused(_) | Failure::Newer(_) => SignalError::Unavailable,
                Failure::NotSent(_) | Failure::Busy(_) => {
                    self.temporal.outage.note();
                    SignalError::Unavailable
                }
                Failure::Uncertain(_) => {
                    self.temporal.outage.note();
                    SignalError::Unknown
                }
            }
        })
    }
}

/// Why the workflow has ignored signals of this name since, the newest first.
pub(crate) fn newly_ignored<'a>(
    before: &ApprovalState,
    after: &'a ApprovalState,
    signal: &'static str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let new = after.ignored_signals.saturating_sub(before.ignored_signals) as usize;
    let entries = after.ignored_because.iter().rev().take(new);
    entries.filter_map(move |entry| ignored::why(entry, signal))
}

/// Why nothing was sent.
fn not_found(error: LookupError) -> Problem {
    match error {
        LookupError::Unavailable => Problem::NothingRecorded,
        LookupError::Gone | LookupError::Newer => error.into(),
    }
}

/// Whose link it is, as far as that is known.
fn holder<'a>(state: &'a ApprovalState, link: &LinkHash) -> Option<&'a str> {
    let submitter = state.submission.as_ref().and_then(|it| it.submitter.as_ref());
    match is_submitters(state, link) {
        true => submitter.map(|submitter| submitter.email.as_str()),
        false => reviewer_by_link(state, link).map(|(_, asked)| asked.reviewer.as_str()),
    }
}
