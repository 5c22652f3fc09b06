//! Which run issued a link.
//!
//! Temporal's index only says which runs claim a link: anybody may start a workflow with any search
//! attributes, and *Start Workflow Like This One* in the Web UI copies them. A run belongs to a link
//! only if its state or its history proves that it issued it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use countersign_connection::decoded;
use countersign_protos::{
    Chain, FIRST_VERSION, GenuineLink, LinkContext, LinkHash, Sealing, Verdict, digest_of_version,
    is_newer, names,
    v1::{EarlierVersion, ReviewerState, Submission},
    version_after,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use moka::future::Cache;
use serde::de::DeserializeOwned;
use serde_json::Value;
use temporalio_client::{Client, WorkflowFetchHistoryOptions, errors::WorkflowInteractionError};
use temporalio_common::protos::{
    constants::LOCAL_ACTIVITY_MARKER_NAME,
    temporal::api::{
        common::v1::Payloads,
        history::v1::{HistoryEvent, MarkerRecordedEventAttributes, history_event::Attributes},
    },
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    index::{Claims, Handle, Index, Pages, Run},
    metrics::metrics,
    temporal::{Failure, Temporal, call},
};

/// To read one run's history.
pub(crate) const HISTORY: Duration = Duration::from_secs(3);
/// To read the histories of all runs that claim a link.
const HISTORIES: Duration = Duration::from_secs(10);
/// How many histories are read at the same time.
const AT_ONCE: usize = 8;

/// The visibility index lags: how long to look for a genuine link that is not there yet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Each pause between look-ups is longer by this.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a link counts as missing without another look-up.
pub(crate) const FORGET_MISSING: Duration = Duration::from_secs(5);
const FORGET_FOUND: Duration = Duration::from_secs(24 * 3600);
const CACHED_LINKS: u64 = 100_000;

/// What a history proves of a link.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The ID of the chain's first run.
    pub(crate) first_run_id: String,
    /// Of the submission in its version.
    pub(crate) digest: String,
    /// Which version that is.
    pub(crate) version: u32,
    /// Whether it is the submitter's: then there is no seat.
    pub(crate) is_submitters: bool,
    /// What the link was issued for.
    pub(crate) submission: Submission,
    /// The position of the stage that it was issued in.
    pub(crate) stage: usize,
    /// Who decides by it.
    pub(crate) seat: ReviewerState,
    pub(crate) planned: Planned,
}

/// What the plan says besides, as the key of the link has sealed it.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    /// The rule that the plan names; empty if it names none.
    pub(crate) rule: String,
    /// Whether decisions have to be confirmed.
    pub(crate) confirm: bool,
    /// The verdicts that need a comment.
    pub(crate) comment_required: Vec<Verdict>,
    /// The domains to whose people reviewers may delegate.
    pub(crate) delegate_to: Vec<String>,
    /// The zone in which people read times; empty for UTC.
    pub(crate) time_zone: String,
    /// The name of the link's stage.
    pub(crate) stage: String,
    /// What came before, in order, and the submission of the last of them.
    pub(crate) earlier: Vec<EarlierVersion>,
    pub(crate) previous: Option<Submission>,
}

/// The version that a history has last, as the key of the link has sealed its plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latest {
    pub(crate) digest: String,
    pub(crate) submission: Submission,
    pub(crate) earlier: Vec<EarlierVersion>,
    pub(crate) previous: Option<Submission>,
}

impl Latest {
    pub(crate) fn version(&self) -> u32 {
        version_after(&self.earlier)
    }
}

impl Planned {
    fn read(plan: &Value, stage: usize) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let required = plan["restrictions"]["commentRequired"].as_array();
        let verdict = |value: &Value| serde_json::from_value(value.clone()).ok();
        let domains = plan["restrictions"]["delegateTo"].as_array();
        Planned {
            rule: text(&plan["rule"]),
            confirm: plan["confirm"] == true,
            comment_required: required.into_iter().flatten().filter_map(verdict).collect(),
            delegate_to: domains.into_iter().flatten().map(text).collect(),
            time_zone: text(&plan["time_zone"]),
            stage: text(&plan["stages"][stage]["name"]),
            earlier: read(&plan["earlier"]),
            previous: read(&plan["previous"]),
        }
    }

    /// Of a plan whose seal does not hold: nothing but that a decision is confirmed, since it might have to be.
    fn unsealed() -> Self {
        Planned { confirm: true, ..Self::default() }
    }
}

/// Why there is no approval to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// Temporal no longer knows it.
    Gone,
    /// A newer version made it.
    Newer,
    /// Temporal does not answer.
    Unavailable,
}

/// Reads a history until it proves that the run issued the link; `None` if it does not.
///
/// # Errors
/// [`Failure::Newer`] if it names a digest with the link that this version cannot compute.
pub(crate) async fn issued(handle: &Handle, link: &GenuineLink) -> Result<Option<Issued>, Failure> {
    let (issued, newer) = call(HISTORY, |rpc| {
        let options = WorkflowFetchHistoryOptions::builder().rpc_options(rpc).build();
        let mut events = handle.fetch_history(options);
        async move {
            let mut reader = Reader::new(handle.info().workflow_id.clone(), link);
            while let Some(event) = events.try_next().await? {
                let event = decoded(handle.client(), event).await;
                if let Some(issued) = reader.read(&event) {
                    return Ok((Some(issued), None));
                }
            }
            Ok::<_, WorkflowInteractionError>((None, reader.newer))
        }
    })
    .await?;
    match newer {
        Some(digest) => Err(Failure::Newer(digest)),
        None => Ok(issued),
    }
}

/// All events of a run.
pub(crate) async fn events(handle: &Handle) -> Result<Vec<HistoryEvent>, Failure> {
    call(HISTORY, |rpc| {
        let options = WorkflowFetchHistoryOptions::builder().rpc_options(rpc).build();
        let events = handle.fetch_history(options);
        async move { events.then(|event| decoded_event(handle, event)).try_collect().await }
    })
    .await
}

/// An event as it is read, decoded.
pub(crate) async fn decoded_event<E>(
    handle: &Handle,
    event: Result<HistoryEvent, E>,
) -> Result<HistoryEvent, E> {
    Ok(decoded(handle.client(), event?).await)
}

/// Reads a history's events in order.
pub(crate) struct Reader<'a> {
    link: &'a GenuineLink,
    workflow_id: String,
    first_run_id: String,
    /// The plan with its seal, once it is read.
    plan: Value,
    /// The digest that the link goes with, where it is a newer version's.
    newer: Option<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(workflow_id: String, link: &'a GenuineLink) -> Self {
        Self { link, workflow_id, first_run_id: String::new(), plan: Value::Null, newer: None }
    }

    /// What is proven, once it is: by the marker of the local activity that issued the link, or by the start
    /// of a run that was continued as new with the link in its state.
    ///
    /// Others can write all of these. What they cannot make is a link that fits, and a seal.
    pub(crate) fn read(&mut self, event: &HistoryEvent) -> Option<Issued> {
        match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionStartedEventAttributes(started) => {
                self.first_run_id.clone_from(&started.first_execution_run_id);
                let evidence = json(started.input.as_ref())?["case"]["open"]["evidence"].take();
                self.plan = evidence["plan"].clone();
                self.proof(&evidence["journal"])
            }
            Attributes::MarkerRecordedEventAttributes(marker) => {
                let (activity, result) = local_activity(marker)?;
                match activity.as_str() {
                    // A revision that is refused has none.
                    names::ACTIVITY_VALIDATE => {
                        let plan = Some(&result["plan"]).filter(|plan| plan.is_object());
                        self.plan = plan.cloned().unwrap_or_else(|| self.plan.take());
                        None
                    }
                    names::ACTIVITY_ISSUE_LINKS => {
                        self.proof(&result["invited"]).or_else(|| self.proof(&result["submitter"]))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn proof(&mut self, recorded: &Value) -> Option<Issued> {
        let seat = seat(recorded, self.link.hash())?;
        let json = self.plan["json"].as_str().unwrap_or_default();
        let plan: Value = serde_json::from_str(json).unwrap_or_default();
        let claimed = plan["digest"].as_str().unwrap_or_default();
        if is_newer(claimed) {
            self.newer = Some(claimed.to_owned());
            return None;
        }
        let text = |field: &str| seat[field].as_str().unwrap_or_default();
        let number = |field: &str| seat[field].as_u64().and_then(|number| number.try_into().ok());
        let chain = Chain { workflow_id: &self.workflow_id, first_run_id: &self.first_run_id };
        let version = version(&plan);
        let digest = digest_of_version(&plan["submission"], version);
        // A reviewer's has a seat.
        let is_submitters = seat.get("reviewer").is_none();
        let context = match is_submitters {
            true => {
                let submitter = plan["submitter"].as_str().unwrap_or_default();
                LinkContext::submitter(chain, &digest, submitter)
            }
            false => LinkContext {
                stage: number("stage")?,
                round: number("round")?,
                on_behalf_of: text("onBehalfOf"),
                instead_of: text("insteadOf"),
                ..LinkContext::new(chain, &digest, text("reviewer"))
            },
        };
        if !self.link.is_for(context) {
            return None;
        }
        let stage = context.stage as usize;
        let planned = match self.is_sealed(json, claimed) {
            true => Planned::read(&plan, stage),
            false => Planned::unsealed(),
        };
        Some(Issued {
            first_run_id: self.first_run_id.clone(),
            submission: read(&plan["submission"]),
            version,
            is_submitters,
            stage,
            seat: ReviewerState {
                reviewer: context.reviewer.to_owned(),
                on_behalf_of: context.on_behalf_of.to_owned(),
                instead_of: context.instead_of.to_owned(),
                round: context.round,
                link: self.link.hash().as_str().to_owned(),
                ..ReviewerState::default()
            },
            planned,
            digest,
        })
    }

    /// The last version that was read; `None` if its seal does not hold.
    pub(crate) fn latest(&self) -> Option<Latest> {
        let json = self.plan["json"].as_str()?;
        let plan: Value = serde_json::from_str(json).ok()?;
        let is_sealed = self.is_sealed(json, plan["digest"].as_str().unwrap_or_default());
        is_sealed.then(|| Latest {
            digest: digest_of_version(&plan["submission"], version(&plan)),
            submission: read(&plan["submission"]),
            earlier: read(&plan["earlier"]),
            previous: read(&plan["previous"]),
        })
    }

    /// Whether the link's key has sealed this plan, which says that it has this digest.
    fn is_sealed(&self, json: &str, claimed: &str) -> bool {
        let seal = self.plan["seal"].as_str().unwrap_or_default();
        let chain = Chain { workflow_id: &self.workflow_id, first_run_id: &self.first_run_id };
        self.link.key().has_sealed(seal, Sealing::Plan, chain, claimed, json.as_bytes())
    }
}

/// Which version of its submission a plan is for.
fn version(plan: &Value) -> u32 {
    plan["earlier"].as_array().map_or(FIRST_VERSION, |earlier| version_after(earlier))
}

/// What a plan has there; nothing if it cannot be read.
fn read<T: Default + DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// Finds runs by link, with caches.
pub(crate) struct Lookup {
    index: Index,
    located: Cache<LinkHash, Run>,
    missing: Cache<LinkHash, LookupError>,
}

/// Which claim to a link is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The only one: reading the run will show whether it is true.
    Unrivalled,
    /// The one that the run's history proves.
    History,
}

impl Lookup {
    pub(crate) fn new(index: Index) -> Self {
        Lookup { index, located: by_link(FORGET_FOUND), missing: by_link(FORGET_MISSING) }
    }

    /// The run of a link, from the cache or from the index. It may be one that only claims the link.
    pub(crate) async fn locate(
        &self,
        temporal: &Temporal,
        link: &GenuineLink,
    ) -> Result<Run, LookupError> {
        self.find(temporal, link, Proof::Unrivalled).await
    }

    /// As [`locate`](Self::locate), where the cached run is out of date or did not issue the link.
    pub(crate) async fn locate_again(
        &self,
        temporal: &Temporal,
        link: &GenuineLink,
        proof: Proof,
    ) -> Result<Run, LookupError> {
        self.located.invalidate(link.hash()).await;
        self.find(temporal, link, proof).await
    }

    /// Whether a run of the link is known.
    pub(crate) fn is_located(&self, link: &GenuineLink) -> bool {
        self.located.contains_key(link.hash())
    }

    pub(crate) async fn remember(&self, link: &LinkHash, run: &Run) {
        self.located.insert(link.clone(), run.clone()).await;
    }

    async fn find(
        &self,
        temporal: &Temporal,
        link: &GenuineLink,
        proof: Proof,
    ) -> Result<Run, LookupError> {
        let (located, missing) = (&self.located, &self.missing);
        let is_cached = located.contains_key(link.hash()) || missing.contains_key(link.hash());
        let found = self.find_uncounted(temporal, link, proof).await;
        metrics().looked_up(match found {
            _ if is_cached => "cached",
            Ok(_) => "found",
            Err(LookupError::Gone) => "gone",
            Err(LookupError::Newer) => "newer",
            Err(LookupError::Unavailable) => "unavailable",
        });
        found
    }

    async fn find_uncounted(
        &self,
        temporal: &Temporal,
        link: &GenuineLink,
        proof: Proof,
    ) -> Result<Run, LookupError> {
        if let Some(missing) = self.missing.get(link.hash()).await {
            return Err(missing);
        }
        let look_up = look_up(temporal, &self.index, link, proof);
        let located = self.located.try_get_with_by_ref(link.hash(), look_up).await;
        match located.as_ref().map_err(|failure| &**failure) {
            Ok(run) => Ok(run.clone()),
            Err(Failure::NotFound(_)) => {
                let missing = match temporal.outage.is_over() {
                    true => LookupError::Gone,
                    // After an outage the index may lag for longer than a page can wait.
                    false => LookupError::Unavailable,
                };
                self.missing.insert(link.hash().clone(), missing).await;
                Err(missing)
            }
            Err(failure) => {
                temporal.note_failure(failure);
                tracing::warn!(link = link.hash().short(), error = %failure, "look-up failed");
                match failure {
                    Failure::Newer(_) => {
                        self.missing.insert(link.hash().clone(), LookupError::Newer).await;
                        Err(LookupError::Newer)
                    }
                    _ => Err(LookupError::Unavailable),
                }
            }
        }
    }
}

pub(crate) fn by_link<V: Clone + Send + Sync + 'static>(forget: Duration) -> Cache<LinkHash, V> {
    Cache::builder().max_capacity(CACHED_LINKS).time_to_live(forget).build()
}

async fn look_up(
    temporal: &Temporal,
    index: &Index,
    link: &GenuineLink,
    proof: Proof,
) -> Result<Run, Failure> {
    let until = Instant::now() + PATIENCE;
    // A link is used only after a history has it: a run whose history lacks it never issues it.
    let mut impostors = HashSet::new();
    for pause in (1..).map(|tries| tries * PAUSE) {
        let client = temporal.client()?;
        let Claims { mut runs, more } = index.claims(link.hash()).await?;
        runs.retain(|run| !impostors.contains(&run.run_id));
        match &runs[..] {
            [] if !more => {}
            [one] if proof == Proof::Unrivalled && impostors.is_empty() => return Ok(one.clone()),
            _ => {
                let claims = (runs, more.then(|| index.pages(link.hash())));
                let issuer = issuer_among(&client, link, claims, &mut impostors);
                let late = |_| Err(Failure::Uncertain("too many histories to read".to_owned()));
                if let Some(run) = timeout(HISTORIES, issuer).await.unwrap_or_else(late)? {
                    return Ok(run);
                }
            }
        }
        if Instant::now() + pause > until {
            break;
        }
        sleep(pause).await;
    }
    Err(Failure::NotFound("no workflow has issued this link".to_owned()))
}

/// The current run of the workflow that issued a link, among these claims or, if none of them proves it, on
/// further pages. Those that do not are impostors.
async fn issuer_among(
    client: &Client,
    link: &GenuineLink,
    (mut claims, mut pages): (Vec<Run>, Option<Pages>),
    impostors: &mut HashSet<Arc<str>>,
) -> Result<Option<Run>, Failure> {
    loop {
        if let Some(run) = issuer(client, link, &claims).await? {
            return Ok(Some(run));
        }
        if let Some(first) = claims.first() {
            tracing::warn!(
                link = link.hash().short(),
                runs = claims.len(),
                workflow = &*first.workflow_id,
                "the search attribute {} of these runs has a link that they did not issue",
                names::ATTRIBUTE_LINKS
            );
        }
        impostors.extend(claims.iter().map(|run| run.run_id.clone()));
        let Some(pages) = &mut pages else { return Ok(None) };
        let Some(page) = pages.next().await? else { return Ok(None) };
        claims = page;
        claims.retain(|run| !impostors.contains(&run.run_id));
    }
}

/// The current run of the workflow that issued a link.
///
/// Nobody knows a hash before its workflow has issued it, so the oldest run that proves it is the
/// original. After a reset, or after continuing as new, several runs of that workflow have the link,
/// and the newest is current.
async fn issuer(
    client: &Client,
    link: &GenuineLink,
    claims: &[Run],
) -> Result<Option<Run>, Failure> {
    let Some((original, issued)) = first_issuer(client, link, claims.to_vec(), None).await? else {
        return Ok(None);
    };
    let of_same_workflow = claims.iter().filter(|run| run.workflow_id == original.workflow_id);
    let newest_first = of_same_workflow.rev().cloned().collect();
    let newest = first_issuer(client, link, newest_first, Some(&issued.first_run_id)).await?;
    Ok(newest.map(|(run, _)| run))
}

/// The first of these runs that issued the link, of this chain if one is named. If a run cannot be
/// read, no later one is taken instead; one that claims to be newer than this version does not hide others.
async fn first_issuer(
    client: &Client,
    link: &GenuineLink,
    runs: Vec<Run>,
    chain: Option<&str>,
) -> Result<Option<(Run, Issued)>, Failure> {
    let histories = runs.into_iter().map(|run| {
        let (handle, link) = (run.handle(client), link.clone());
        async move {
            match issued(&handle, &link).await {
                Ok(issued) => Ok(issued.map(|issued| (run, issued))),
                // It was deleted, but the index still lists it.
                Err(Failure::NotFound(_)) => Ok(None),
                Err(failure) => Err(failure),
            }
        }
    });
    let mut histories = stream::iter(histories).buffered(AT_ONCE);
    let mut newer = None;
    while let Some(history) = histories.next().await {
        match history {
            Ok(Some((run, issued))) if chain.is_none_or(|chain| chain == issued.first_run_id) => {
                return Ok(Some((run, issued)));
            }
            Ok(_) => {}
            Err(failure @ Failure::Newer(_)) => newer = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    newer.map_or(Ok(None), Err)
}

/// The type and the result of a local activity. Its marker's `data` names it, and `result` is what it
/// returned: Temporal Core, `external_data.proto`.
pub(crate) fn local_activity(marker: &MarkerRecordedEventAttributes) -> Option<(String, Value)> {
    if marker.marker_name != LOCAL_ACTIVITY_MARKER_NAME {
        return None;
    }
    let data = json(marker.details.get("data"))?;
    Some((data["activity_type"].as_str()?.to_owned(), json(marker.details.get("result"))?))
}

/// The run that this one continues.
pub(crate) fn continued(events: &[HistoryEvent]) -> Option<String> {
    match events.first()?.attributes.as_ref()? {
        Attributes::WorkflowExecutionStartedEventAttributes(started) => {
            Some(started.continued_execution_run_id.clone()).filter(|id| !id.is_empty())
        }
        _ => None,
    }
}

/// What a payload has, if it is JSON.
pub(crate) fn json(payloads: Option<&Payloads>) -> Option<Value> {
    serde_json::from_slice(&payloads?.payloads.first()?.data).ok()
}

/// The object at any depth whose field `link` has this hash.
fn seat<'a>(value: &'a Value, link: &LinkHash) -> Option<&'a Value> {
    match value {
        Value::Array(values) => values.iter().find_map(|value| seat(value, link)),
        Value::Object(_) if value["link"] == link.as_str() => Some(value),
        Value::Object(fields) => fields.values().find_map(|value| seat(value, link)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
