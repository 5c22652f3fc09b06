//! Which run issued a link.
//!
//! Temporal's index only says who claims a link: anybody may start a workflow with any search
//! attributes, and *Start Workflow Like This One* in the Web UI copies them. A run is taken for a
//! link only where its state or its history shows that it issued it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use countersign_protos::{LinkHash, names};
use futures_util::{StreamExt, TryStreamExt, stream};
use moka::future::Cache;
use temporalio_client::{
    Client, NamespacedClient, UntypedWorkflowHandle, WorkflowExecutionInfo,
    WorkflowFetchHistoryOptions, WorkflowListOptions, errors::WorkflowInteractionError,
};
use temporalio_common::protos::temporal::api::history::v1::{HistoryEvent, history_event};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    approvals::Unreadable,
    history,
    temporal::{Failure, Temporal, call},
};

const LOOK_UP: Duration = Duration::from_secs(3);
/// How long a run's history may take to be read.
pub(crate) const HISTORY: Duration = Duration::from_secs(3);
/// How long all histories of those who claim a link may take.
const HISTORIES: Duration = Duration::from_secs(10);
/// How many histories are read at once.
const AT_ONCE: usize = 8;
/// More claims to one link are an attack that has to be cleared away first. Ten pages of the index.
const MAX_CLAIMS: usize = 10_000;

/// The visibility index lags: how long a genuine link that is not there yet is looked for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Each pause is longer by this: Temporal answers ten such questions a second and namespace.
const PAUSE: Duration = Duration::from_millis(500);
/// A link that was not found is not looked for again before this long.
pub(crate) const FORGET_MISSING: Duration = Duration::from_secs(5);
const FORGET_FOUND: Duration = Duration::from_secs(24 * 3600);
const CACHED_LINKS: u64 = 100_000;

pub(crate) type Handle = UntypedWorkflowHandle<Client>;

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) workflow_id: Arc<str>,
    pub(crate) run_id: Arc<str>,
}

impl Run {
    pub(crate) fn handle(&self, client: &Client) -> Handle {
        handle(client, &self.workflow_id, Some(&self.run_id))
    }
}

/// A workflow's run, or its latest one.
pub(crate) fn handle(client: &Client, workflow_id: &str, run_id: Option<&str>) -> Handle {
    WorkflowExecutionInfo::builder()
        .namespace(client.namespace())
        .workflow_id(workflow_id)
        .maybe_run_id(run_id)
        .build()
        .bind_untyped(client.clone())
}

/// How a run came to a link.
pub(crate) struct Issued {
    /// The event that it began with.
    pub(crate) first: HistoryEvent,
}

impl Issued {
    /// The first run of those that follow each other: the same after a reset and after continuing
    /// as new, and another one for each start.
    fn chain(&self) -> &str {
        match &self.first.attributes {
            Some(history_event::Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                &started.first_execution_run_id
            }
            _ => "",
        }
    }
}

/// Reads a history until it shows that the run issued the link; `None` where it never does.
pub(crate) async fn issued(handle: &Handle, link: &LinkHash) -> Result<Option<Issued>, Failure> {
    call(HISTORY, |rpc| {
        let options = WorkflowFetchHistoryOptions::builder().rpc_options(rpc).build();
        let mut events = handle.fetch_history(options);
        async move {
            let Some(first) = events.try_next().await? else { return Ok(None) };
            let mut shown = history::shows(&first, link);
            while !shown {
                let Some(event) = events.try_next().await? else { return Ok(None) };
                shown = history::shows(&event, link);
            }
            Ok::<_, WorkflowInteractionError>(Some(Issued { first }))
        }
    })
    .await
}

/// Finds runs by link, and remembers them.
pub(crate) struct Lookup {
    located: Cache<LinkHash, Run>,
    missing: Cache<LinkHash, Unreadable>,
}

/// What makes a claim good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// That nobody else makes it: whoever reads the run finds out whether it is true.
    Unrivalled,
    /// That the run's history shows it.
    History,
}

impl Lookup {
    pub(crate) fn new() -> Self {
        Lookup { located: by_link(FORGET_FOUND), missing: by_link(FORGET_MISSING) }
    }

    /// The run of a link, as remembered or as the index has it. It may be one that only claims it.
    pub(crate) async fn locate(
        &self,
        temporal: &Temporal,
        link: &LinkHash,
    ) -> Result<Run, Unreadable> {
        self.find(temporal, link, Proof::Unrivalled).await
    }

    /// The same, where what is remembered is out of date.
    pub(crate) async fn locate_again(
        &self,
        temporal: &Temporal,
        link: &LinkHash,
    ) -> Result<Run, Unreadable> {
        self.located.invalidate(link).await;
        self.find(temporal, link, Proof::Unrivalled).await
    }

    /// The run whose history shows that it issued the link, where what is remembered did not.
    pub(crate) async fn locate_issuer(
        &self,
        temporal: &Temporal,
        link: &LinkHash,
    ) -> Result<Run, Unreadable> {
        self.located.invalidate(link).await;
        self.find(temporal, link, Proof::History).await
    }

    /// From now on this is the run of the link.
    pub(crate) async fn remember(&self, link: &LinkHash, run: &Run) {
        self.located.insert(link.clone(), run.clone()).await;
    }

    async fn find(
        &self,
        temporal: &Temporal,
        link: &LinkHash,
        proof: Proof,
    ) -> Result<Run, Unreadable> {
        if let Some(missing) = self.missing.get(link).await {
            return Err(missing);
        }
        let look_up = look_up(temporal, link, proof);
        let located = self.located.try_get_with_by_ref(link, look_up).await;
        match located.as_ref().map_err(|failure| &**failure) {
            Ok(run) => Ok(run.clone()),
            Err(Failure::NotFound(_)) => {
                let missing = match temporal.is_steady() {
                    true => Unreadable::Gone,
                    // After an outage the index may lag for longer than anybody waits for a page.
                    false => Unreadable::Unavailable,
                };
                self.missing.insert(link.clone(), missing).await;
                Err(missing)
            }
            Err(failure) => {
                temporal.note_failure(failure);
                tracing::warn!(link = link.short(), error = %failure, "look-up failed");
                Err(Unreadable::Unavailable)
            }
        }
    }
}

pub(crate) fn by_link<V: Clone + Send + Sync + 'static>(forget: Duration) -> Cache<LinkHash, V> {
    Cache::builder().max_capacity(CACHED_LINKS).time_to_live(forget).build()
}

async fn look_up(temporal: &Temporal, link: &LinkHash, proof: Proof) -> Result<Run, Failure> {
    let until = Instant::now() + PATIENCE;
    // Whoever has a link has it from a history that shows it: runs that do not never will.
    let mut impostors = HashSet::new();
    for pause in (1..).map(|tries| tries * PAUSE) {
        let client = temporal.client()?;
        let mut claims = claims(&client, link).await?;
        claims.retain(|run| !impostors.contains(&run.run_id));
        match &claims[..] {
            [] => {}
            [one] if proof == Proof::Unrivalled && impostors.is_empty() => return Ok(one.clone()),
            claims => {
                let issuer = timeout(HISTORIES, issuer(&client, link, claims)).await;
                let late = |_| Err(Failure::Uncertain("too many histories to read".to_owned()));
                if let Some(run) = issuer.unwrap_or_else(late)? {
                    return Ok(run);
                }
                tracing::warn!(
                    link = link.short(),
                    runs = claims.len(),
                    workflow = &*claims[0].workflow_id,
                    "the search attribute {} of these runs has a link that they did not issue",
                    names::ATTRIBUTE_LINKS
                );
                impostors.extend(claims.iter().map(|run| run.run_id.clone()));
            }
        }
        if Instant::now() + pause > until {
            break;
        }
        sleep(pause).await;
    }
    Err(Failure::NotFound("no workflow has issued this link".to_owned()))
}

/// All runs that the index names for a link, the oldest first.
async fn claims(client: &Client, link: &LinkHash) -> Result<Vec<Run>, Failure> {
    let query = format!(
        "{} = '{}' AND WorkflowType = '{}'",
        names::ATTRIBUTE_LINKS,
        link.as_str(),
        names::WORKFLOW_TYPE
    );
    let mut runs: Vec<_> = call(LOOK_UP, |rpc| {
        let options = WorkflowListOptions::builder().limit(MAX_CLAIMS + 1).rpc_options(rpc).build();
        client.list_workflows(&query, options).try_collect()
    })
    .await?;
    if runs.len() > MAX_CLAIMS {
        let why = format!(
            "more than {MAX_CLAIMS} workflows match {query}: delete those that do not belong"
        );
        return Err(Failure::Refused(why));
    }
    runs.sort_by_key(|run| run.start_time());
    Ok(runs
        .iter()
        .map(|run| Run { workflow_id: run.id().into(), run_id: run.run_id().into() })
        .collect())
}

/// The run that goes on with a link.
///
/// Nobody knows a hash before its workflow has issued it, so the oldest run that shows it is the
/// original. After a reset, or where it continued as new, several runs of the same workflow have
/// the link, and the newest matters.
async fn issuer(client: &Client, link: &LinkHash, claims: &[Run]) -> Result<Option<Run>, Failure> {
    let Some((original, issued)) = first_issuer(client, link, claims.to_vec(), None).await? else {
        return Ok(None);
    };
    let of_same_workflow = claims.iter().filter(|run| run.workflow_id == original.workflow_id);
    let newest_first = of_same_workflow.rev().cloned().collect();
    let newest = first_issuer(client, link, newest_first, Some(issued.chain())).await?;
    Ok(newest.map(|(run, _)| run))
}

/// The first of these runs that issued the link, of one chain where one is named. A run that cannot
/// be read is no reason to take another.
async fn first_issuer(
    client: &Client,
    link: &LinkHash,
    runs: Vec<Run>,
    chain: Option<&str>,
) -> Result<Option<(Run, Issued)>, Failure> {
    let histories = runs.into_iter().map(|run| {
        let (handle, link) = (run.handle(client), link.clone());
        async move {
            match issued(&handle, &link).await {
                Ok(issued) => Ok(issued.map(|issued| (run, issued))),
                // It was deleted, and the index does not know yet.
                Err(Failure::NotFound(_)) => Ok(None),
                Err(failure) => Err(failure),
            }
        }
    });
    let mut histories = stream::iter(histories).buffered(AT_ONCE);
    while let Some(history) = histories.next().await {
        if let Some((run, issued)) = history?
            && chain.is_none_or(|chain| chain == issued.chain())
        {
            return Ok(Some((run, issued)));
        }
    }
    Ok(None)
}
