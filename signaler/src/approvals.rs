//! Approvals as Temporal holds them: found by link, and read.

use std::{sync::Arc, time::Duration};

use countersign_protos::{
    Chain, FIRST_VERSION, GenuineLink, Jwks, LinkHash, digest_of_version, names,
    payload::{self, Payload, PayloadError},
    v1::{ApprovalState, Status},
};
use countersign_telemetry::traces::{self, SpanKind};
use futures_util::StreamExt;
use moka::future::Cache;
use serde_json::Value;
use temporalio_client::{
    ClientOptions, ConnectionOptions, HistoryEventFilterType, QueryRejectCondition, UntypedQuery,
    WorkflowDescribeOptions, WorkflowExecutionDescription, WorkflowExecutionStatus,
    WorkflowFetchHistoryOptions, WorkflowQueryOptions, errors::WorkflowQueryError, tonic::Code,
};
use temporalio_common::{
    data_converters::RawValue, protos::temporal::api::history::v1::HistoryEvent,
    search_attributes::SearchAttributeKey,
};
use tokio::time::{sleep, timeout};

use crate::{
    answer::{self, Ending, Reading, pending},
    genuine, history,
    index::{Handle, Index, Run, handle},
    lookup::{
        FORGET_MISSING, HISTORY, Lookup, LookupError, Proof, by_link, decoded_event, events, issued,
    },
    signalled::signalled,
    temporal::{Failure, Temporal, call, from_temporal},
    versions,
};

const QUERY: Duration = Duration::from_secs(2);

const CACHED_CHAINS: u64 = 100_000;
/// Temporal takes no longer ID.
const MAX_HINT_BYTES: usize = 1_000;
/// How often an outcome that is being sealed is looked at again.
const SEALING: usize = 10;
/// After how long the first time; each time twice as long, and no longer than [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How many runs to follow: a claiming run and the issuer may each have been continued as new.
const MAX_RUNS: usize = 4;

const STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword(names::ATTRIBUTE_STATUS);

/// Finds and reads approvals.
pub(crate) struct Approvals {
    pub(crate) temporal: Arc<Temporal>,
    lookup: Lookup,
    rechecked: Cache<LinkHash, ()>,
    /// The first runs' IDs, by run ID.
    chains: Cache<Arc<str>, Arc<str>>,
    /// The public keys of outcomes.
    jwks: Jwks,
}

/// What one run knows about a link.
enum RunReading {
    /// The run has issued the link.
    Approval(Box<Reading>),
    /// The run's state has moved to the next run.
    Continued,
    NotIssued,
}

impl Approvals {
    /// Starts connecting. Until connected, Temporal counts as unavailable.
    pub(crate) fn connect(
        connection: ConnectionOptions,
        client: ClientOptions,
        jwks: Jwks,
    ) -> Self {
        let temporal = Arc::new(Temporal::connect(connection, client));
        Approvals {
            lookup: Lookup::new(Index::new(temporal.clone())),
            temporal,
            rechecked: by_link(FORGET_MISSING),
            chains: Cache::new(CACHED_CHAINS),
            jwks,
        }
    }

    /// Whether Temporal serves this process, or why not.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        let ready = self.temporal.ready().await;
        if let Err(failure) = &ready {
            tracing::warn!(error = %failure, "not ready");
        }
        ready
    }

    /// See [`Temporal::misconfigured`].
    pub(crate) fn misconfigured(&self) -> impl Future<Output = String> + use<> {
        self.temporal.misconfigured()
    }

    /// The approval that `link` belongs to, and its current run.
    ///
    /// `hint` is the ID of the workflow that is said to have issued it. It saves the index, which lags and is
    /// rate-limited; where the link does not fit, the index is asked all the same.
    pub(crate) async fn find(
        &self,
        link: &GenuineLink,
        hint: Option<&str>,
    ) -> Result<(Run, Reading), LookupError> {
        let run = match self.hinted(link, hint).await? {
            Some(run) => run,
            None => self.lookup.locate(&self.temporal, link).await?,
        };
        let found = self.follow(link, run).await;
        let over = match &found {
            Ok((_, Reading::Current(state))) => !pending(state.status()),
            Ok((_, Reading::Closed(_) | Reading::Ended(..))) | Err(LookupError::Gone) => true,
            Ok((
                _,
                Reading::NoWorker(_)
                | Reading::Replaced(_)
                | Reading::Unsealed(_)
                | Reading::Revised(..)
                | Reading::Outdated(_),
            ))
            | Err(LookupError::Unavailable | LookupError::Newer) => false,
        };
        if !over || self.rechecked.get(link.hash()).await.is_some() {
            return found;
        }
        // A workflow that was reset continues in another run, with the same links.
        self.rechecked.insert(link.hash().clone(), ()).await;
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

    /// The latest run of the workflow that the hint names, unless another run is known. `None` if there is none.
    async fn hinted(
        &self,
        link: &GenuineLink,
        hint: Option<&str>,
    ) -> Result<Option<Run>, LookupError> {
        let Some(workflow_id) = hint.filter(|id| !id.is_empty() && id.len() <= MAX_HINT_BYTES)
        else {
            return Ok(None);
        };
        if self.lookup.is_located(link) {
            return Ok(None);
        }
        let described = async {
            let client = self.temporal.client()?;
            describe(&handle(&client, workflow_id, None)).await
        };
        match described.await {
            Ok(latest) => {
                let run = Run { workflow_id: workflow_id.into(), run_id: latest.run_id().into() };
                let first = first_run(&latest).unwrap_or_default();
                self.chains.insert(run.run_id.clone(), first.into()).await;
                Ok(Some(run))
            }
            // Anybody can write a hint.
            Err(Failure::NotFound(_) | Failure::Refused(_)) => Ok(None),
            Err(failure) => Err(self.unavailable(link.hash(), "describe", &failure)),
        }
    }

    /// The public keys of outcomes.
    pub(crate) fn jwks(&self) -> &Jwks {
        &self.jwks
    }

    /// The latest run's reading, or the earlier one if the latest run has not issued the link: a workflow
    /// may be reset to before it did.
    async fn prefer(
        &self,
        link: &GenuineLink,
        latest: Run,
        found: Result<(Run, Reading), LookupError>,
    ) -> Result<(Run, Reading), LookupError> {
        match self.read(link, &latest).await? {
            RunReading::Approval(reading) => {
                self.lookup.remember(link.hash(), &latest).await;
                Ok((latest, *reading))
            }
            RunReading::Continued | RunReading::NotIssued => found,
        }
    }

    /// Reads a run, or the one that it continues in, or the one that issued the link.
    pub(crate) async fn follow(
        &self,
        link: &GenuineLink,
        run: Run,
    ) -> Result<(Run, Reading), LookupError> {
        let (mut next, mut sealing, mut pause) = (run.clone(), 0, PAUSE);
        for _ in 0..MAX_RUNS + SEALING {
            next = match self.read(link, &next).await? {
                RunReading::Approval(reading)
                    if matches!(*reading, Reading::Unsealed(_)) && sealing < SEALING =>
                {
                    sealing += 1;
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(2 * pause);
                    continue;
                }
                RunReading::Approval(reading) => {
                    if next != run || !self.lookup.is_located(link) {
                        self.lookup.remember(link.hash(), &next).await;
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
    async fn read(&self, link: &GenuineLink, run: &Run) -> Result<RunReading, LookupError> {
        let failed = |what| {
            move |failure: Failure| match failure {
                Failure::NotFound(_) => LookupError::Gone,
                failure @ Failure::Newer(_) => {
                    tracing::warn!(link = link.hash().short(), error = %failure, "{what} failed");
                    LookupError::Newer
                }
                failure => self.unavailable(link.hash(), what, &failure),
            }
        };
        let client = self.temporal.client().map_err(failed("read"))?;
        let handle = run.handle(&client);
        match query(&handle).await {
            Ok(Some(reading)) => self.confirm(link, run, reading).await.map_err(failed("describe")),
            Ok(None) => Ok(RunReading::Continued),
            Err(failure @ (Failure::NotFound(_) | Failure::NotSent(_))) => {
                Err(failed("query")(failure))
            }
            Err(failure) => {
                tracing::info!(link = link.hash().short(), error = %failure, "no worker answers; reading the history");
                let longest = 2 * HISTORY;
                let history = timeout(longest, read_history(&handle, link, &self.jwks)).await;
                let late = |_| Err(Failure::Uncertain(format!("no answer within {longest:?}")));
                history.unwrap_or_else(late).map_err(failed("history"))
            }
        }
    }

    /// What of a workflow's answer is genuine.
    async fn confirm(
        &self,
        link: &GenuineLink,
        run: &Run,
        reading: Reading,
    ) -> Result<RunReading, Failure> {
        let first_run_id = self.first_run_id(run).await?;
        let chain = Chain { workflow_id: &run.workflow_id, first_run_id: &first_run_id };
        let state = reading.state();
        let fits = genuine::fits(link, chain, state);
        let is_own = answer::is_submitters(state, link.hash());
        if !fits && state.version() == FIRST_VERSION && !is_own {
            return Ok(RunReading::NotIssued);
        }
        let handle = run.handle(&self.temporal.client()?);
        let reading = confirmed(&handle, link, chain, &self.jwks, reading).await?;
        // What the submitter signs is as the plan has it, with all that no digest covers.
        let reading = match reading {
            reading if !fits || is_own => match versions::trace(&handle, link).await? {
                Some(traced) => versions::placed(traced, link, reading),
                None => return Ok(RunReading::NotIssued),
            },
            Reading::Current(state)
                if state.version() > FIRST_VERSION && pending(state.status()) =>
            {
                let issued = issued(&handle, link).await.ok().flatten();
                let planned = issued.map(|issued| issued.planned).unwrap_or_default();
                Reading::Current(versions::sealed(state, &planned))
            }
            reading => reading,
        };
        Ok(RunReading::Approval(Box::new(reading)))
    }

    /// A run's chain never changes.
    async fn first_run_id(&self, run: &Run) -> Result<Arc<str>, Failure> {
        if let Some(first) = self.chains.get(&run.run_id).await {
            return Ok(first);
        }
        let described = describe(&run.handle(&self.temporal.client()?)).await?;
        let first: Arc<str> = first_run(&described).unwrap_or_default().into();
        self.chains.insert(run.run_id.clone(), first.clone()).await;
        Ok(first)
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
    let asking = call(QUERY, |rpc| {
        let options = WorkflowQueryOptions::builder()
            .reject_condition(condition)
            .maybe_header(traces::temporal_header())
            .rpc_options(rpc)
            .build();
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
    });
    let span = format!("QueryWorkflow:{}", names::QUERY_STATUS);
    match traces::in_span(span, SpanKind::Client, asking).await? {
        Ok(value) => match read_status(from_temporal(value.payloads)) {
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

/// Reads a state, whose digest is then that of the submission in it. Fields of the submission that only a
/// newer worker knows count.
fn read_status(payloads: Vec<Payload>) -> Result<ApprovalState, PayloadError> {
    let state: ApprovalState = payload::decode(&payloads)?;
    let json = payloads.first().map(|payload| serde_json::from_slice::<Value>(&payload.data));
    let json = json.and_then(Result::ok).unwrap_or_default();
    Ok(ApprovalState { digest: digest_of_version(&json["submission"], state.version()), ..state })
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

async fn read_history(
    handle: &Handle,
    link: &GenuineLink,
    jwks: &Jwks,
) -> Result<RunReading, Failure> {
    let description = describe(handle).await?;
    let issued = match issued(handle, link).await? {
        Some(issued) => issued,
        // In a run before, for an earlier version.
        None => match versions::trace(handle, link).await? {
            Some(traced) => traced.issued,
            None => return Ok(RunReading::NotIssued),
        },
    };
    // For an open workflow, Temporal takes seconds to answer that there is no closing event.
    let closing = match description.close_time() {
        Some(_) => closing_event(handle).await?,
        None => None,
    };
    let status = description.search_attributes().get(&STATUS).unwrap_or_default();
    let status = Status::from_str_name(&status).unwrap_or_default();
    let workflow_id = &handle.info().workflow_id;
    let chain = Chain { workflow_id, first_run_id: &issued.first_run_id };
    // Anybody who may poll can complete a workflow.
    let (submission, time_zone) = (issued.submission.clone(), issued.planned.time_zone.clone());
    let reading = match history::read(submission, time_zone, closing, status) {
        Some(Reading::Closed(state)) => {
            let state = match state.version() > issued.version {
                true => versions::decided(state, versions::trace(handle, link).await?),
                false => history::of_version(state, &issued, link),
            };
            Some(confirmed(handle, link, chain, jwks, Reading::Closed(state)).await?)
        }
        Some(Reading::NoWorker(state)) => {
            // A press needs no document, so it need not wait until a long history can be read.
            let events = timeout(HISTORY, events(handle)).await.ok().and_then(Result::ok);
            let latest = events.as_deref().and_then(|it| versions::read(workflow_id, link, it).1);
            Some(match latest {
                Some(latest) if issued.is_submitters || latest.version() > issued.version => {
                    versions::unattended(state, (issued, latest), link)
                }
                _ => history::unattended(state, &issued, link, events.as_deref()),
            })
        }
        reading => reading,
    };
    Ok(reading.map_or(RunReading::Continued, |reading| RunReading::Approval(Box::new(reading))))
}

/// What of a reading is genuine. What operators have signalled is read only where it tells of any.
async fn confirmed(
    handle: &Handle,
    link: &GenuineLink,
    chain: Chain<'_>,
    jwks: &Jwks,
    reading: Reading,
) -> Result<Reading, Failure> {
    let signalled = match genuine::tells_of_operators(link, chain, reading.state()) {
        true => signalled(handle).await?,
        false => Vec::new(),
    };
    Ok(genuine::confirmed(link, chain, jwks, &signalled, reading))
}

async fn closing_event(handle: &Handle) -> Result<Option<HistoryEvent>, Failure> {
    call(HISTORY, |rpc| {
        let options = WorkflowFetchHistoryOptions::builder()
            .event_filter_type(HistoryEventFilterType::CloseEvent)
            .rpc_options(rpc)
            .build();
        let mut events = handle.fetch_history(options);
        async move {
            match events.next().await {
                Some(event) => decoded_event(handle, event).await.map(Some),
                None => Ok(None),
            }
        }
    })
    .await
}
