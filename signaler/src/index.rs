//! Temporal's visibility index: which runs claim a link.
//!
//! All programs of a namespace together may ask it ten times a second by default. So links that are wanted
//! within a moment share a request.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use countersign_protos::{LinkHash, names};
use serde_json::Value;
use temporalio_client::{
    Client, NamespacedClient, UntypedWorkflowHandle, WorkflowExecutionInfo,
    grpc::WorkflowService,
    tonic::{self, IntoRequest},
};
use temporalio_common::protos::temporal::api::{
    workflow::v1, workflowservice::v1::ListWorkflowExecutionsRequest,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::temporal::{Failure, Temporal, call};

const LOOK_UP: Duration = Duration::from_secs(3);
/// How many links share a request at most.
const TOGETHER: usize = 50;
/// How long a link waits for others to share its request.
const MOMENT: Duration = Duration::from_millis(20);
/// How many requests with fewer links may follow each other at once. After them, links wait up to [`EVERY`].
const BURST: u32 = 5;
const EVERY: Duration = Duration::from_secs(1);
/// How many runs a server puts on a page at most.
const PAGE: i32 = 1_000;
/// More claims to one link are an attack, for operators to clean up.
const MAX_PAGES: usize = 10;

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) workflow_id: Arc<str>,
    pub(crate) run_id: Arc<str>,
}

pub(crate) type Handle = UntypedWorkflowHandle<Client>;

impl Run {
    pub(crate) fn handle(&self, client: &Client) -> Handle {
        handle(client, &self.workflow_id, Some(&self.run_id))
    }
}

/// Of a workflow's run, or of its latest one.
pub(crate) fn handle(client: &Client, workflow_id: &str, run_id: Option<&str>) -> Handle {
    WorkflowExecutionInfo::builder()
        .namespace(client.namespace())
        .workflow_id(workflow_id)
        .maybe_run_id(run_id)
        .build()
        .bind_untyped(client.clone())
}

/// Runs that claim a link, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) runs: Vec<Run>,
    /// Whether the index may have more of them.
    pub(crate) more: bool,
}

/// A page of the index.
#[derive(Debug, Clone, Default)]
struct Page {
    claims: Vec<Claim>,
    /// Names the next page; empty after the last one.
    next: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Claim {
    /// When the run started: seconds and nanoseconds.
    started: (i64, i32),
    run: Run,
    links: Vec<String>,
}

struct Asked {
    link: LinkHash,
    answer: oneshot::Sender<Result<Claims, Failure>>,
}

/// The index, with requests shared among all who ask.
pub(crate) struct Index {
    temporal: Arc<Temporal>,
    asked: mpsc::UnboundedSender<Asked>,
}

impl Index {
    /// # Panics
    /// Outside a Tokio runtime.
    pub(crate) fn new(temporal: Arc<Temporal>) -> Self {
        let asked = temporal.clone();
        let list = move |links: Vec<LinkHash>, token| {
            let temporal = asked.clone();
            async move { list(&temporal.client()?, &links, token).await }
        };
        Index { temporal, asked: serving(list) }
    }

    /// The runs that claim a link: all of them, unless there are [`more`](Claims::more).
    pub(crate) async fn claims(&self, link: &LinkHash) -> Result<Claims, Failure> {
        ask(&self.asked, link).await
    }

    /// All claims to one link, page by page. It asks for itself alone: only many claims are more than a page.
    pub(crate) fn pages(&self, link: &LinkHash) -> Pages {
        Pages {
            temporal: self.temporal.clone(),
            link: link.clone(),
            next: Some(Vec::new()),
            seen: 0,
        }
    }
}

pub(crate) struct Pages {
    temporal: Arc<Temporal>,
    link: LinkHash,
    /// Names the next page; `None` after the last one.
    next: Option<Vec<u8>>,
    seen: usize,
}

impl Pages {
    /// `None` after the last page.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Run>>, Failure> {
        let Some(token) = self.next.take() else { return Ok(None) };
        let links = [self.link.clone()];
        if self.seen == MAX_PAGES {
            let query = query(&links);
            let why = format!("too many workflows match {query}: delete those that do not belong");
            return Err(Failure::Refused(why));
        }
        self.seen += 1;
        let page = list(&self.temporal.client()?, &links, token).await?;
        self.next = Some(page.next).filter(|next| !next.is_empty());
        Ok(Some(oldest_first(page.claims)))
    }
}

async fn ask(asked: &mpsc::UnboundedSender<Asked>, link: &LinkHash) -> Result<Claims, Failure> {
    let (answer, answered) = oneshot::channel();
    let _ = asked.send(Asked { link: link.clone(), answer });
    // Nobody answers only while the process stops.
    answered.await.unwrap_or_else(|_| Err(Failure::NotSent("stopping".to_owned())))
}

/// Answers in the background until nobody can ask any more. `list` gets a page for some links.
fn serving<F, Fut>(list: F) -> mpsc::UnboundedSender<Asked>
where
    F: Fn(Vec<LinkHash>, Vec<u8>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Page, Failure>> + Send + 'static,
{
    let (sender, mut asked) = mpsc::unbounded_channel::<Asked>();
    tokio::spawn(async move {
        let mut pace = Pace::new();
        while let Some(first) = asked.recv().await {
            let mut together = vec![first];
            let until = pace.earliest().max(Instant::now() + MOMENT);
            while together.len() < TOGETHER
                && let Ok(Some(next)) = timeout_at(until, asked.recv()).await
            {
                together.push(next);
            }
            pace.note(Instant::now());
            tokio::spawn(answer(together, list.clone()));
        }
    });
    sender
}

/// Lets [`BURST`] requests pass at once, and then one in [`EVERY`].
struct Pace {
    /// Each request moves it by [`EVERY`]; the burst is spent when it is that far ahead.
    ahead: Instant,
}

impl Pace {
    fn new() -> Self {
        Pace { ahead: Instant::now() }
    }

    fn earliest(&self) -> Instant {
        self.ahead.checked_sub((BURST - 1) * EVERY).unwrap_or(self.ahead)
    }

    /// Counts a request. Full ones do not wait, and make none wait longer than [`EVERY`].
    fn note(&mut self, now: Instant) {
        self.ahead = (self.ahead.max(now) + EVERY).min(now + BURST * EVERY);
    }
}

async fn answer<F, Fut>(asked: Vec<Asked>, list: F)
where
    F: Fn(Vec<LinkHash>, Vec<u8>) -> Fut,
    Fut: Future<Output = Result<Page, Failure>>,
{
    let links: Vec<LinkHash> = asked.iter().map(|asked| asked.link.clone()).collect();
    let found = find(&links, list).await;
    for Asked { link, answer } in asked {
        let claims = match &found {
            Ok((found, more)) => {
                let runs = oldest_first(found.get(&link).cloned().unwrap_or_default());
                Ok(Claims { runs, more: *more })
            }
            Err(failure) => Err(failure.clone()),
        };
        // Whoever asked may have gone.
        let _ = answer.send(claims);
    }
}

/// The claims to each of these links, and whether there are more. Pages on until each link has one.
async fn find<F, Fut>(
    links: &[LinkHash],
    list: F,
) -> Result<(BTreeMap<LinkHash, Vec<Claim>>, bool), Failure>
where
    F: Fn(Vec<LinkHash>, Vec<u8>) -> Fut,
    Fut: Future<Output = Result<Page, Failure>>,
{
    let (mut found, mut token) = (BTreeMap::<LinkHash, Vec<Claim>>::new(), Vec::new());
    for _ in 0..MAX_PAGES {
        let page = list(links.to_vec(), token).await?;
        for claim in page.claims {
            let claimed =
                |link: &&LinkHash| claim.links.iter().any(|claimed| claimed == link.as_str());
            for link in links.iter().filter(claimed) {
                found.entry(link.clone()).or_default().push(claim.clone());
            }
        }
        token = page.next;
        if token.is_empty() || links.iter().all(|link| found.contains_key(link)) {
            break;
        }
    }
    Ok((found, !token.is_empty()))
}

/// Each run once.
fn oldest_first(mut claims: Vec<Claim>) -> Vec<Run> {
    claims.sort_by(|one, other| {
        (one.started, &one.run.run_id).cmp(&(other.started, &other.run.run_id))
    });
    claims.dedup_by(|one, other| one.run == other.run);
    claims.into_iter().map(|claim| claim.run).collect()
}

async fn list(client: &Client, links: &[LinkHash], token: Vec<u8>) -> Result<Page, Failure> {
    let request = ListWorkflowExecutionsRequest {
        namespace: client.namespace(),
        page_size: PAGE,
        next_page_token: token,
        query: query(links),
    };
    let listed = call(LOOK_UP, |rpc| {
        let (mut client, mut request) = (client.clone(), request.clone().into_request());
        request.set_timeout(rpc.timeout.unwrap_or(LOOK_UP));
        async move {
            let listed = client.list_workflow_executions(request).await?.into_inner();
            Ok::<_, tonic::Status>(listed)
        }
    })
    .await?;
    Ok(Page {
        claims: listed.executions.into_iter().filter_map(claim).collect(),
        next: listed.next_page_token,
    })
}

fn query(links: &[LinkHash]) -> String {
    let links: Vec<String> = links.iter().map(|link| format!("'{}'", link.as_str())).collect();
    format!(
        "{} IN ({}) AND WorkflowType = '{}'",
        names::ATTRIBUTE_LINKS,
        links.join(", "),
        names::WORKFLOW_TYPE
    )
}

fn claim(info: v1::WorkflowExecutionInfo) -> Option<Claim> {
    let started = info.start_time.unwrap_or_default();
    let execution = info.execution?;
    let attributes = info.search_attributes.unwrap_or_default().indexed_fields;
    let claimed = attributes.get(names::ATTRIBUTE_LINKS)?;
    // Some stores give a list of one as that one.
    let links = match serde_json::from_slice(&claimed.data).ok()? {
        Value::String(link) => vec![link],
        Value::Array(links) => links.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return None,
    };
    let run = Run { workflow_id: execution.workflow_id.into(), run_id: execution.run_id.into() };
    Some(Claim { started: (started.seconds, started.nanos), run, links })
}

#[cfg(test)]
mod tests;
