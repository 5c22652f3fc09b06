//! Approvals as Temporal holds them: found by link, read, and signalled.

use std::time::Duration;

use countersign_protos::{
    GenuineLink, LinkHash, Verdict, names,
    payload::{self, Encoding},
    v1::{ApprovalState, Decision, Status},
};
use futures_util::TryStreamExt;
use moka::future::Cache;
use temporalio_client::{
    ClientOptions, ConnectionOptions, HistoryEventFilterType, QueryRejectCondition, UntypedQuery,
    UntypedSignal, WorkflowDescribeOptions, WorkflowExecutionDescription, WorkflowExecutionStatus,
    WorkflowFetchHistoryOptions, WorkflowQueryOptions, WorkflowSignalOptions,
    errors::WorkflowQueryError, tonic::Code,
};
use temporalio_common::{
    data_converters::RawValue, protos::temporal::api::history::v1::HistoryEvent,
    search_attributes::SearchAttributeKey,
};
use tokio::time::timeout;

use crate::{
    answer::{Ending, Reading, pending, reviewer_by_link},
    history,
    lookup::{
        FORGET_MISSING, HISTORY, Handle, Lookup, LookupError, Proof, Run, by_link, handle, issued,
    },
    temporal::{Failure, Temporal, call, call_with_effect, from_temporal, to_temporal},
};

const QUERY: Duration = Duration::from_secs(2);
const SIGNAL: Duration = Duration::from_secs(5);

/// How many runs to follow: a claiming run and the issuer may each have been continued as new.
const MAX_RUNS: usize = 4;

const STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword(names::ATTRIBUTE_STATUS);

/// Finds, reads and signals approvals.
pub(crate) struct Approvals {
    temporal: Temporal,
    lookup: Lookup,
    rechecked: Cache<LinkHash, ()>,
}

/// What one run knows about a link.
enum RunReading {
    /// The run has issued the link.
    Approval(Box<Reading>),
    /// The run's state has moved to the next run.
    Continued,
    NotIssued,
}

/// Why a decision was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalError {
    /// The workflow is closed.
    Closed,
    /// The call failed, and certainly had no effect.
    Unavailable,
    /// It may or may not have been recorded.
    Unknown,
}

impl Approvals {
    /// Starts connecting. Until connected, Temporal counts as unavailable.
    pub(crate) fn connect(connection: ConnectionOptions, client: ClientOptions) -> Self {
        Approvals {
            temporal: Temporal::connect(connection, client),
            lookup: Lookup::new(),
            rechecked: by_link(FORGET_MISSING),
        }
    }

    pub(crate) async fn ready(&self) -> bool {
        let ready = self.temporal.ready().await;
        if let Err(failure) = &ready {
            tracing::warn!(error = %failure, "not ready");
        }
        ready.is_ok()
    }

    /// The approval that `link` belongs to, and its current run.
    pub(crate) async fn find(&self, link: &LinkHash) -> Result<(Run, Reading), LookupError> {
        let run = self.lookup.locate(&self.temporal, link).await?;
        let found = self.follow(link, run).await;
        let over = match &found {
            Ok((_, Reading::Current(state))) => !pending(state.status()),
            Ok((_, Reading::Closed(_) | Reading::Ended(..))) | Err(LookupError::Gone) => true,
            Ok((_, Reading::NoWorker(_))) | Err(LookupError::Unavailable) => false,
        };
        if !over || self.rechecked.get(link).await.is_some() {
            return found;
        }
        // A workflow that was reset continues in another run, with the same links.
        self.rechecked.insert(link.clone(), ()).await;
        match &found {
            Ok((run, _)) => match self.latest(run).await {
                Some(latest) => self.prefer(link, latest, found).await,
                None => found,
            },
            Err(_) => {
                let again =
                    self.lookup.locate_again(&self.temporal, link, Proof::Unrivalled).await?;
                self.follow(link, again).await
            }
        }
    }

    /// The latest run's reading, or the earlier one if the latest run has not issued the link: a workflow
    /// may be reset to before it did.
    async fn prefer(
        &self,
        link: &LinkHash,
        latest: Run,
        found: Result<(Run, Reading), LookupError>,
    ) -> Result<(Run, Reading), LookupError> {
        match self.read(link, &latest).await? {
            RunReading::Approval(reading) => {
                self.lookup.remember(link, &latest).await;
                Ok((latest, *reading))
            }
            RunReading::Continued | RunReading::NotIssued => found,
        }
    }

    /// Reads a run, or the one that it continues in, or the one that issued the link.
    pub(crate) async fn follow(
        &self,
        link: &LinkHash,
        run: Run,
    ) -> Result<(Run, Reading), LookupError> {
        let mut next = run.clone();
        for _ in 0..MAX_RUNS {
            next = match self.read(link, &next).await? {
                RunReading::Approval(reading) => {
                    if next != run {
                        self.lookup.remember(link, &next).await;
                    }
                    return Ok((next, *reading));
                }
                RunReading::Continued => match self.latest(&next).await {
                    Some(latest) => latest,
                    None => {
                        self.lookup.locate_again(&self.temporal, link, Proof::Unrivalled).await?
                    }
                },
                RunReading::NotIssued => {
                    self.lookup.locate_again(&self.temporal, link, Proof::History).await?
                }
            };
        }
        Err(LookupError::Unavailable)
    }

    /// The latest run of the same chain, if it is another one. Does not use the index, which lags and is
    /// rate-limited.
    async fn latest(&self, run: &Run) -> Option<Run> {
        let client = self.temporal.client().ok()?;
        let latest = describe(&handle(&client, &run.workflow_id, None)).await.ok()?;
        if *latest.run_id() == *run.run_id {
            return None;
        }
        // The workflow ID may have been reused for another approval.
        let this = describe(&run.handle(&client)).await.ok()?;
        let follows = first_run(&latest) == first_run(&this);
        let (workflow_id, run_id) = (run.workflow_id.clone(), latest.run_id().into());
        follows.then_some(Run { workflow_id, run_id })
    }

    /// Queries the workflow; if no worker answers, reads its history.
    async fn read(&self, link: &LinkHash, run: &Run) -> Result<RunReading, LookupError> {
        let failed = |what| {
            move |failure: Failure| match failure {
                Failure::NotFound(_) => LookupError::Gone,
                failure => self.unavailable(link, what, &failure),
            }
        };
        let client = self.temporal.client().map_err(failed("read"))?;
        let handle = run.handle(&client);
        match query(&handle).await {
            Ok(Some(reading)) if reviewer_by_link(reading.state(), link).is_none() => {
                Ok(RunReading::NotIssued)
            }
            Ok(Some(reading)) => Ok(RunReading::Approval(Box::new(reading))),
            Ok(None) => Ok(RunReading::Continued),
            Err(failure @ (Failure::NotFound(_) | Failure::NotSent(_))) => {
                Err(failed("query")(failure))
            }
            Err(failure) => {
                tracing::info!(link = link.short(), error = %failure, "no worker answers; reading the history");
                let history = timeout(HISTORY, read_history(&handle, link)).await;
                let late = |_| Err(Failure::Uncertain(format!("no answer within {HISTORY:?}")));
                history.unwrap_or_else(late).map_err(failed("history"))
            }
        }
    }

    /// Sends a decision. Repeating an attempt records no second event.
    pub(crate) async fn send(
        &self,
        link: &GenuineLink,
        run: &Run,
        (verdict, comment): (Verdict, &str),
        attempt: u32,
    ) -> Result<(), SignalError> {
        let decision = Decision {
            link: link.hash().as_str().to_owned(),
            comment: comment.to_owned(),
            ..Decision::default()
        };
        let payload = to_temporal(payload::encode(&decision, Encoding::JsonPlain));
        let signal = verdict.terms().name;
        let request_id = link.request_id(&run.run_id, verdict, attempt);
        let send = async {
            let handle = run.handle(&self.temporal.client()?);
            call_with_effect(SIGNAL, |rpc| {
                let options = WorkflowSignalOptions::builder()
                    .request_id(request_id.clone())
                    .rpc_options(rpc)
                    .build();
                let input = RawValue::new(vec![payload.clone()]);
                let handle = &handle;
                async move { handle.signal(UntypedSignal::new(signal), input, options).await }
            })
            .await
        };
        send.await.map_err(|failure| {
            let link = link.hash().short();
            tracing::warn!(link, signal, error = %failure, "signal failed");
            match failure {
                Failure::NotFound(_) => SignalError::Closed,
                Failure::Refused(_) => SignalError::Unavailable,
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

    fn unavailable(&self, link: &LinkHash, what: &str, failure: &Failure) -> LookupError {
        tracing::warn!(link = link.short(), error = %failure, "{what} failed");
        self.temporal.note_failure(failure);
        LookupError::Unavailable
    }
}

/// `None` if the run was continued as new.
async fn query(handle: &Handle) -> Result<Option<Reading>, Failure> {
    // A terminated workflow still answers queries, as pending.
    match query_status(handle, QueryRejectCondition::NotCompletedCleanly).await? {
        Ok(state) => Ok(Some(Reading::Current(state))),
        Err(WorkflowExecutionStatus::ContinuedAsNew) => Ok(None),
        Err(status) => {
            let state = query_status(handle, QueryRejectCondition::None).await?;
            let state = state.map_err(|_| Failure::Refused("the query is rejected".to_owned()))?;
            Ok(Some(match ending(status) {
                Some(ending) if pending(state.status()) => Reading::Ended(ending, state),
                _ => Reading::Current(state),
            }))
        }
    }
}

/// The workflow's state, or its status if the condition rejects the query.
async fn query_status(
    handle: &Handle,
    condition: QueryRejectCondition,
) -> Result<Result<ApprovalState, WorkflowExecutionStatus>, Failure> {
    let answer = call(QUERY, |rpc| {
        let options =
            WorkflowQueryOptions::builder().reject_condition(condition).rpc_options(rpc).build();
        async {
            let query = UntypedQuery::new(names::QUERY_STATUS);
            match handle.query(query, RawValue::new(vec![]), options).await {
                Ok(value) => Ok(Ok(value)),
                Err(WorkflowQueryError::Rejected { status }) => {
                    Ok(Err(status.unwrap_or(WorkflowExecutionStatus::Unknown)))
                }
                // A worker that takes over a workflow refuses queries until it has caught up.
                Err(WorkflowQueryError::Rpc(status)) if status.code() == Code::InvalidArgument => {
                    Err(Failure::Busy(status.message().to_owned()))
                }
                Err(error) => Err(error.into()),
            }
        }
    })
    .await?;
    match answer {
        Ok(value) => match payload::decode::<ApprovalState>(&from_temporal(value.payloads)) {
            // A run that is about to continue as new has given up its state.
            Ok(ApprovalState { submission: None, .. }) => {
                Err(Failure::Refused("the workflow's state is empty".to_owned()))
            }
            Ok(state) => Ok(Ok(state)),
            Err(error) => {
                Err(Failure::Refused(format!("the workflow's state cannot be read: {error}")))
            }
        },
        Err(status) => Ok(Err(status)),
    }
}

fn ending(status: WorkflowExecutionStatus) -> Option<Ending> {
    match status {
        WorkflowExecutionStatus::Failed => Some(Ending::Failed),
        WorkflowExecutionStatus::Terminated => Some(Ending::Terminated),
        WorkflowExecutionStatus::TimedOut => Some(Ending::TimedOut),
        _ => None,
    }
}

async fn describe(handle: &Handle) -> Result<WorkflowExecutionDescription, Failure> {
    call(QUERY, |rpc| handle.describe(WorkflowDescribeOptions::builder().rpc_options(rpc).build()))
        .await
}

/// The ID of the chain's first run, which all its runs share.
fn first_run(description: &WorkflowExecutionDescription) -> Option<&str> {
    let info = description.raw().workflow_execution_info.as_ref();
    info.map(|info| info.first_run_id.as_str())
}

async fn read_history(handle: &Handle, link: &LinkHash) -> Result<RunReading, Failure> {
    let description = describe(handle).await?;
    let Some(issued) = issued(handle, link).await? else { return Ok(RunReading::NotIssued) };
    // For an open workflow, Temporal takes seconds to answer that there is no closing event.
    let closing = match description.close_time() {
        Some(_) => closing_event(handle).await?,
        None => None,
    };
    let status = description.search_attributes().get(&STATUS).unwrap_or_default();
    let status = Status::from_str_name(&status).unwrap_or_default();
    let reading = history::read(Some(issued.first), closing, status);
    Ok(reading.map_or(RunReading::Continued, |reading| RunReading::Approval(Box::new(reading))))
}

async fn closing_event(handle: &Handle) -> Result<Option<HistoryEvent>, Failure> {
    call(HISTORY, |rpc| {
        let options = WorkflowFetchHistoryOptions::builder()
            .event_filter_type(HistoryEventFilterType::CloseEvent)
            .rpc_options(rpc)
            .build();
        let mut events = handle.fetch_history(options);
        async move { events.try_next().await }
    })
    .await
}
