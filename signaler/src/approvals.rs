//! Approvals as Temporal holds them: which workflow a link belongs to, what it says, and how it is
//! told a decision.

use std::{sync::Arc, time::Duration};

use countersign_protos::{
    LinkHash, names,
    payload::{self, Encoding},
    v1::{ApprovalState, Decision, Status, Verdict},
};
use futures_util::StreamExt;
use moka::future::Cache;
use temporalio_client::{
    Client, ClientOptions, ConnectionOptions, HistoryEventFilterType, NamespacedClient,
    QueryRejectCondition, UntypedQuery, UntypedSignal, UntypedWorkflowHandle,
    WorkflowDescribeOptions, WorkflowExecutionDescription, WorkflowExecutionInfo,
    WorkflowExecutionStatus, WorkflowFetchHistoryOptions, WorkflowListOptions,
    WorkflowQueryOptions, WorkflowSignalOptions,
    errors::{WorkflowInteractionError, WorkflowQueryError},
    tonic::Code,
};
use temporalio_common::{
    data_converters::RawValue, protos::temporal::api::history::v1::HistoryEvent,
    search_attributes::SearchAttributeKey,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    history,
    judgement::{Ending, Reading, pending},
    temporal::{Failure, Temporal, call, tell},
};

const LOOK_UP: Duration = Duration::from_secs(3);
const QUERY: Duration = Duration::from_secs(2);
const SIGNAL: Duration = Duration::from_secs(5);
const HISTORY: Duration = Duration::from_secs(3);

/// The visibility index lags: how long a genuine link that is not there yet is looked for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Each pause is longer by this: Temporal answers ten such questions a second and namespace.
const PAUSE: Duration = Duration::from_millis(500);
/// A link that was not found is not looked for again before this long.
const FORGET_MISSING: Duration = Duration::from_secs(5);
const FORGET_FOUND: Duration = Duration::from_secs(24 * 3600);
const CACHED_LINKS: u64 = 100_000;

const STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword(names::ATTRIBUTE_STATUS);
pub(crate) const LINKS: SearchAttributeKey<Vec<String>> =
    SearchAttributeKey::keyword_list(names::ATTRIBUTE_LINKS);

/// Finds, reads and signals approvals.
pub(crate) struct Approvals {
    temporal: Temporal,
    located: Cache<LinkHash, Run>,
    missing: Cache<LinkHash, Unreadable>,
    rechecked: Cache<LinkHash, ()>,
}

/// The run of a workflow that a link was issued by.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    workflow_id: Arc<str>,
    run_id: Arc<str>,
}

/// Why an approval cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Temporal does not know it any more.
    Gone,
    /// Temporal does not answer.
    Unavailable,
}

/// Why a decision was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// The workflow is over.
    Closed,
    /// Nothing was recorded.
    Unavailable,
    /// It may or may not have been recorded.
    Unknown,
}

impl Approvals {
    /// Starts connecting; until then every answer is that Temporal is unavailable.
    pub(crate) fn connect(connection: ConnectionOptions, client: ClientOptions) -> Self {
        Approvals {
            temporal: Temporal::connect(connection, client),
            located: by_link(FORGET_FOUND),
            missing: by_link(FORGET_MISSING),
            rechecked: by_link(FORGET_MISSING),
        }
    }

    /// Whether Temporal answers right now.
    pub(crate) async fn ready(&self) -> bool {
        let ready = self.temporal.ready().await;
        if let Err(failure) = &ready {
            tracing::warn!(error = %failure, "not ready");
        }
        ready.is_ok()
    }

    /// The approval that `link` belongs to, and what can be learned about it.
    pub(crate) async fn find(&self, link: &LinkHash) -> Result<(Run, Reading), Unreadable> {
        let run = self.locate(link).await?;
        let found = self.follow(link, run).await;
        let over = match &found {
            Ok((_, Reading::Current(state))) => !pending(state.status()),
            Ok((_, Reading::Closed(_) | Reading::Ended(..))) | Err(Unreadable::Gone) => true,
            Ok((_, Reading::Unattended(_))) | Err(Unreadable::Unavailable) => false,
        };
        if !over || self.rechecked.get(link).await.is_some() {
            return found;
        }
        // A workflow that was reset goes on in another run, with the same links.
        self.rechecked.insert(link.clone(), ()).await;
        let next = match &found {
            Ok((run, _)) => self.latest(link, run).await,
            Err(_) => Some(self.locate_again(link).await?),
        };
        match next {
            Some(next) => self.follow(link, next).await,
            None => found,
        }
    }

    /// What a run says, or the one that it goes on in.
    pub(crate) async fn follow(
        &self,
        link: &LinkHash,
        run: Run,
    ) -> Result<(Run, Reading), Unreadable> {
        if let Some(reading) = self.read(link, &run).await? {
            return Ok((run, reading));
        }
        let next = match self.latest(link, &run).await {
            Some(next) => next,
            None => self.locate_again(link).await?,
        };
        let reading = self.read(link, &next).await?.ok_or(Unreadable::Unavailable)?;
        Ok((next, reading))
    }

    /// The latest run of the same workflow, where that is another one with the same link. It is asked
    /// for without the index, which lags, and may be asked only so often.
    async fn latest(&self, link: &LinkHash, run: &Run) -> Option<Run> {
        let client = self.temporal.client().ok()?;
        let handle = handle(&client, &run.workflow_id, None);
        let latest = describe(&handle).await.ok()?;
        // Another approval may have the workflow ID by now.
        let links = latest.search_attributes().get(&LINKS).unwrap_or_default();
        if *latest.run_id() == *run.run_id || !links.iter().any(|other| other == link.as_str()) {
            return None;
        }
        let run_id = latest.run_id().into();
        let latest = Run { workflow_id: run.workflow_id.clone(), run_id };
        self.located.insert(link.clone(), latest.clone()).await;
        Some(latest)
    }

    async fn locate_again(&self, link: &LinkHash) -> Result<Run, Unreadable> {
        self.located.invalidate(link).await;
        self.locate(link).await
    }

    async fn locate(&self, link: &LinkHash) -> Result<Run, Unreadable> {
        if let Some(missing) = self.missing.get(link).await {
            return Err(missing);
        }
        let located = self.located.try_get_with_by_ref(link, self.look_up(link)).await;
        match located.as_ref().map_err(|failure| &**failure) {
            Ok(run) => Ok(run.clone()),
            Err(Failure::NotFound(_)) => {
                let missing = match self.temporal.is_steady() {
                    true => Unreadable::Gone,
                    // After an outage the index may lag for longer than anybody waits for a page.
                    false => Unreadable::Unavailable,
                };
                self.missing.insert(link.clone(), missing).await;
                Err(missing)
            }
            Err(failure) => Err(self.unavailable(link, "look-up", failure)),
        }
    }

    async fn look_up(&self, link: &LinkHash) -> Result<Run, Failure> {
        let until = Instant::now() + PATIENCE;
        for pause in (1..).map(|tries| tries * PAUSE) {
            let client = self.temporal.client()?;
            if let Some(run) = look_up_once(&client, link).await? {
                return Ok(run);
            }
            if Instant::now() + pause > until {
                break;
            }
            sleep(pause).await;
        }
        Err(Failure::NotFound("no workflow has this link".to_owned()))
    }

    /// What the workflow says; where no worker answers, what its history says. Nothing where it goes
    /// on in another run.
    async fn read(&self, link: &LinkHash, run: &Run) -> Result<Option<Reading>, Unreadable> {
        let failed = |what| {
            move |failure: Failure| match failure {
                Failure::NotFound(_) => Unreadable::Gone,
                failure => self.unavailable(link, what, &failure),
            }
        };
        let client = self.temporal.client().map_err(failed("read"))?;
        let handle = run.handle(&client);
        match query(&handle).await {
            Ok(reading) => Ok(reading),
            Err(failure @ (Failure::NotFound(_) | Failure::NotSent(_))) => {
                Err(failed("query")(failure))
            }
            Err(failure) => {
                tracing::info!(link = link.short(), error = %failure, "no worker answers; reading the history");
                let history = timeout(HISTORY, read_history(&handle)).await;
                let late = |_| Err(Failure::Uncertain(format!("no answer within {HISTORY:?}")));
                history.unwrap_or_else(late).map_err(failed("history"))
            }
        }
    }

    /// Tells the workflow a decision. However often this is repeated, it is one event.
    pub(crate) async fn send(
        &self,
        link: &LinkHash,
        run: &Run,
        verdict: Verdict,
        comment: &str,
    ) -> Result<(), NotSent> {
        let decision = Decision {
            link: link.as_str().to_owned(),
            comment: comment.to_owned(),
            ..Decision::default()
        };
        let payload = payload::encode(&decision, Encoding::JsonPlain);
        let signal = names::signal_of(verdict);
        let request_id = format!("countersign-{}-{signal}", link.as_str());
        let send = async {
            let handle = run.handle(&self.temporal.client()?);
            tell(SIGNAL, |rpc| {
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
            tracing::warn!(link = link.short(), signal, error = %failure, "signal failed");
            match failure {
                Failure::NotFound(_) => NotSent::Closed,
                Failure::Refused(_) => NotSent::Unavailable,
                Failure::NotSent(_) | Failure::Busy(_) => {
                    self.temporal.note_trouble();
                    NotSent::Unavailable
                }
                Failure::Uncertain(_) => {
                    self.temporal.note_trouble();
                    NotSent::Unknown
                }
            }
        })
    }

    fn unavailable(&self, link: &LinkHash, what: &str, failure: &Failure) -> Unreadable {
        tracing::warn!(link = link.short(), error = %failure, "{what} failed");
        // A Temporal that was asked too often has lost nothing.
        if !matches!(failure, Failure::Busy(_)) {
            self.temporal.note_trouble();
        }
        Unreadable::Unavailable
    }
}

impl Run {
    fn handle(&self, client: &Client) -> Handle {
        handle(client, &self.workflow_id, Some(&self.run_id))
    }
}

fn by_link<V: Clone + Send + Sync + 'static>(forget: Duration) -> Cache<LinkHash, V> {
    Cache::builder().max_capacity(CACHED_LINKS).time_to_live(forget).build()
}

type Handle = UntypedWorkflowHandle<Client>;

/// A workflow's run, or its latest one.
fn handle(client: &Client, workflow_id: &str, run_id: Option<&str>) -> Handle {
    WorkflowExecutionInfo::builder()
        .namespace(client.namespace())
        .workflow_id(workflow_id)
        .maybe_run_id(run_id)
        .build()
        .bind_untyped(client.clone())
}

async fn look_up_once(client: &Client, link: &LinkHash) -> Result<Option<Run>, Failure> {
    let query = format!("{} = '{}'", names::ATTRIBUTE_LINKS, link.as_str());
    let runs: Vec<_> = call(LOOK_UP, |rpc| {
        let options = WorkflowListOptions::builder().limit(10).rpc_options(rpc).build();
        let runs = client.list_workflows(&query, options);
        async { runs.collect::<Vec<_>>().await.into_iter().collect::<Result<_, _>>() }
    })
    .await?;
    // After a reset several runs have the link; the one that goes on matters.
    let running = runs.iter().find(|run| run.status() == WorkflowExecutionStatus::Running);
    Ok(running
        .or_else(|| runs.iter().max_by_key(|run| run.start_time()))
        .map(|run| Run { workflow_id: run.id().into(), run_id: run.run_id().into() }))
}

async fn query(handle: &Handle) -> Result<Option<Reading>, Failure> {
    // A terminated workflow still answers, and would say that it is pending.
    match query_status(handle, QueryRejectCondition::NotCompletedCleanly).await? {
        Ok(state) => Ok(Some(Reading::Current(state))),
        // What it has to say has gone into the next run.
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

/// The workflow's state, or how it ended where the condition rejects the query.
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
                // The worker has refused it: it takes over from another one, and is asked again.
                Err(WorkflowQueryError::Rpc(status)) if status.code() == Code::InvalidArgument => {
                    Err(Failure::Busy(status.message().to_owned()))
                }
                Err(error) => Err(error.into()),
            }
        }
    })
    .await?;
    match answer {
        Ok(value) => match payload::decode::<ApprovalState>(&value.payloads) {
            // A run that is about to continue as new has handed over all that it knew.
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

async fn read_history(handle: &Handle) -> Result<Option<Reading>, Failure> {
    let description = describe(handle).await?;
    let first = one_event(handle, HistoryEventFilterType::AllEvent).await?;
    // Temporal takes seconds to say that an open workflow has no closing event.
    let closing = match description.close_time() {
        Some(_) => one_event(handle, HistoryEventFilterType::CloseEvent).await?,
        None => None,
    };
    let status = description.search_attributes().get(&STATUS).unwrap_or_default();
    Ok(history::read(first, closing, Status::from_str_name(&status).unwrap_or_default()))
}

/// The first event of the history, or its closing one.
async fn one_event(
    handle: &Handle,
    filter: HistoryEventFilterType,
) -> Result<Option<HistoryEvent>, Failure> {
    call(HISTORY, |rpc| {
        let options = WorkflowFetchHistoryOptions::builder()
            .event_filter_type(filter)
            .rpc_options(rpc)
            .build();
        let mut events = handle.fetch_history(options);
        async move { events.next().await.transpose() as Result<_, WorkflowInteractionError> }
    })
    .await
}
