//! Which run issued a link.
//!
//! Temporal's index only says which runs claim a link: anybody may start a workflow with any search
//! attributes, and *Start Workflow Like This One* in the Web UI copies them. A run belongs to a link
//! only if its state or its history proves that it issued it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use countersign_protos::{LinkHash, names};
use futures_util::{StreamExt, TryStreamExt, stream};
use moka::future::Cache;
use serde_json::Value;
use temporalio_client::{
    Client, NamespacedClient, UntypedWorkflowHandle, WorkflowExecutionInfo,
    WorkflowFetchHistoryOptions, WorkflowListOptions, errors::WorkflowInteractionError,
};
use temporalio_common::protos::{
    constants::LOCAL_ACTIVITY_MARKER_NAME,
    temporal::api::{
        common::v1::Payloads,
        enums::v1::ContinueAsNewInitiator,
        history::v1::{
            HistoryEvent, MarkerRecordedEventAttributes, WorkflowExecutionStartedEventAttributes,
            history_event::Attributes,
        },
    },
};
use tokio::time::{Instant, sleep, timeout};

use crate::temporal::{Failure, Temporal, call};

const LOOK_UP: Duration = Duration::from_secs(3);
/// To read one run's history.
pub(crate) const HISTORY: Duration = Duration::from_secs(3);
/// To read the histories of all runs that claim a link.
const HISTORIES: Duration = Duration::from_secs(10);
/// How many histories are read at the same time.
const AT_ONCE: usize = 8;
/// Ten pages of the index. More claims to one link are an attack, for operators to clean up.
const MAX_CLAIMS: usize = 10_000;

/// The visibility index lags: how long to look for a genuine link that is not there yet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Each pause between look-ups is longer by this: Temporal allows ten a second per namespace.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a link counts as missing without another look-up.
pub(crate) const FORGET_MISSING: Duration = Duration::from_secs(5);
const FORGET_FOUND: Duration = Duration::from_secs(24 * 3600);
const CACHED_LINKS: u64 = 100_000;

pub(crate) type Handle = UntypedWorkflowHandle<Client>;

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

/// Of a workflow's run, or of its latest one.
pub(crate) fn handle(client: &Client, workflow_id: &str, run_id: Option<&str>) -> Handle {
    WorkflowExecutionInfo::builder()
        .namespace(client.namespace())
        .workflow_id(workflow_id)
        .maybe_run_id(run_id)
        .build()
        .bind_untyped(client.clone())
}

/// Proof that a run issued a link.
pub(crate) struct Issued {
    /// The run's first event.
    pub(crate) first: HistoryEvent,
}

/// Why there is no approval to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// Temporal no longer knows it.
    Gone,
    /// Temporal does not answer.
    Unavailable,
}

impl Issued {
    /// The ID of the chain's first run: unchanged by resets and by continuing as new, and new for each
    /// start.
    fn chain(&self) -> &str {
        match &self.first.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                &started.first_execution_run_id
            }
            _ => "",
        }
    }
}

/// Reads a history until it proves that the run issued the link; `None` if it does not.
pub(crate) async fn issued(handle: &Handle, link: &LinkHash) -> Result<Option<Issued>, Failure> {
    call(HISTORY, |rpc| {
        let options = WorkflowFetchHistoryOptions::builder().rpc_options(rpc).build();
        let mut events = handle.fetch_history(options);
        async move {
            let Some(first) = events.try_next().await? else { return Ok(None) };
            let mut proven = proves(&first, link);
            while !proven {
                let Some(event) = events.try_next().await? else { return Ok(None) };
                proven = proves(&event, link);
            }
            Ok::<_, WorkflowInteractionError>(Some(Issued { first }))
        }
    })
    .await
}

/// Finds runs by link, with caches.
pub(crate) struct Lookup {
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
    pub(crate) fn new() -> Self {
        Lookup { located: by_link(FORGET_FOUND), missing: by_link(FORGET_MISSING) }
    }

    /// The run of a link, from the cache or from the index. It may be one that only claims the link.
    pub(crate) async fn locate(
        &self,
        temporal: &Temporal,
        link: &LinkHash,
    ) -> Result<Run, LookupError> {
        self.find(temporal, link, Proof::Unrivalled).await
    }

    /// As [`locate`](Self::locate), where the cached run is out of date or did not issue the link.
    pub(crate) async fn locate_again(
        &self,
        temporal: &Temporal,
        link: &LinkHash,
        proof: Proof,
    ) -> Result<Run, LookupError> {
        self.located.invalidate(link).await;
        self.find(temporal, link, proof).await
    }

    pub(crate) async fn remember(&self, link: &LinkHash, run: &Run) {
        self.located.insert(link.clone(), run.clone()).await;
    }

    async fn find(
        &self,
        temporal: &Temporal,
        link: &LinkHash,
        proof: Proof,
    ) -> Result<Run, LookupError> {
        if let Some(missing) = self.missing.get(link).await {
            return Err(missing);
        }
        let look_up = look_up(temporal, link, proof);
        let located = self.located.try_get_with_by_ref(link, look_up).await;
        match located.as_ref().map_err(|failure| &**failure) {
            Ok(run) => Ok(run.clone()),
            Err(Failure::NotFound(_)) => {
                let missing = match temporal.outage.is_over() {
                    true => LookupError::Gone,
                    // After an outage the index may lag for longer than a page can wait.
                    false => LookupError::Unavailable,
                };
                self.missing.insert(link.clone(), missing).await;
                Err(missing)
            }
            Err(failure) => {
                temporal.note_failure(failure);
                tracing::warn!(link = link.short(), error = %failure, "look-up failed");
                Err(LookupError::Unavailable)
            }
        }
    }
}

pub(crate) fn by_link<V: Clone + Send + Sync + 'static>(forget: Duration) -> Cache<LinkHash, V> {
    Cache::builder().max_capacity(CACHED_LINKS).time_to_live(forget).build()
}

async fn look_up(temporal: &Temporal, link: &LinkHash, proof: Proof) -> Result<Run, Failure> {
    let until = Instant::now() + PATIENCE;
    // A link is used only after a history has it: a run whose history lacks it never issues it.
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

/// All runs that claim a link, oldest first.
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

/// The current run of the workflow that issued a link.
///
/// Nobody knows a hash before its workflow has issued it, so the oldest run that proves it is the
/// original. After a reset, or after continuing as new, several runs of that workflow have the link,
/// and the newest is current.
async fn issuer(client: &Client, link: &LinkHash, claims: &[Run]) -> Result<Option<Run>, Failure> {
    let Some((original, issued)) = first_issuer(client, link, claims.to_vec(), None).await? else {
        return Ok(None);
    };
    let of_same_workflow = claims.iter().filter(|run| run.workflow_id == original.workflow_id);
    let newest_first = of_same_workflow.rev().cloned().collect();
    let newest = first_issuer(client, link, newest_first, Some(issued.chain())).await?;
    Ok(newest.map(|(run, _)| run))
}

/// The first of these runs that issued the link, of this chain if one is named. If a run cannot be
/// read, no later one is taken instead.
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
                // It was deleted, but the index still lists it.
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

/// Whether this event proves that its run issued the link: the marker of the local activity that did,
/// or the start of a run that was continued as new with the link in its state.
///
/// Search attributes prove nothing: the starter of a workflow chooses them.
fn proves(event: &HistoryEvent, link: &LinkHash) -> bool {
    match &event.attributes {
        Some(Attributes::MarkerRecordedEventAttributes(marker)) => issues(marker, link),
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
            inherits(started, link)
        }
        _ => false,
    }
}

/// Such a marker's `data` names the activity, and `result` is what it returned: Temporal Core,
/// `external_data.proto`.
fn issues(marker: &MarkerRecordedEventAttributes, link: &LinkHash) -> bool {
    marker.marker_name == LOCAL_ACTIVITY_MARKER_NAME
        && json(marker.details.get("data"))
            .is_some_and(|data| data["activity_type"] == names::ACTIVITY_ISSUE_LINKS)
        && json(marker.details.get("result")).is_some_and(|issued| has_link(&issued, link))
}

/// The input of a run on a cron schedule, or of a retry, is its starter's.
fn inherits(started: &WorkflowExecutionStartedEventAttributes, link: &LinkHash) -> bool {
    started.initiator() == ContinueAsNewInitiator::Workflow
        && json(started.input.as_ref()).is_some_and(|input| has_link(&input["case"], link))
}

fn json(payloads: Option<&Payloads>) -> Option<Value> {
    serde_json::from_slice(&payloads?.payloads.first()?.data).ok()
}

/// Whether a field `link` at any depth has this hash.
fn has_link(value: &Value, link: &LinkHash) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| has_link(value, link)),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            name == "link" && value.as_str() == Some(link.as_str()) || has_link(value, link)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::ApprovalId;
    use serde_json::json;
    use temporalio_common::protos::temporal::api::{
        common::v1::{Payload, SearchAttributes},
        history::v1::WorkflowExecutionSignaledEventAttributes,
    };

    use super::*;

    fn event(attributes: Attributes) -> HistoryEvent {
        HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() }
    }

    fn link() -> LinkHash {
        "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
    }

    fn one(data: Value) -> Payloads {
        let data = data.to_string().into_bytes();
        Payloads { payloads: vec![Payload { data, ..Payload::default() }] }
    }

    fn marker(name: &str, activity_type: &str, result: Value) -> HistoryEvent {
        let data = json!({"seq": 1, "attempt": 1, "activity_type": activity_type});
        let details = [("data", one(data)), ("result", one(result))];
        let attributes = MarkerRecordedEventAttributes {
            marker_name: name.to_owned(),
            details: details.map(|(name, value)| (name.to_owned(), value)).into(),
            ..Default::default()
        };
        event(Attributes::MarkerRecordedEventAttributes(attributes))
    }

    fn begins(initiator: ContinueAsNewInitiator, input: Value) -> HistoryEvent {
        let hashes =
            Payload { data: json!([link().as_str()]).to_string().into(), ..Default::default() };
        let attribute = (names::ATTRIBUTE_LINKS.to_owned(), hashes);
        let attributes = WorkflowExecutionStartedEventAttributes {
            initiator: initiator.into(),
            input: Some(one(input)),
            // As copied by whoever starts it.
            search_attributes: Some(SearchAttributes { indexed_fields: [attribute].into() }),
            ..Default::default()
        };
        event(Attributes::WorkflowExecutionStartedEventAttributes(attributes))
    }

    #[test]
    fn a_link_is_that_of_the_run_that_issued_it_and_of_those_that_follow() {
        use ContinueAsNewInitiator::{CronSchedule, Retry, Unspecified, Workflow};
        const LOCAL: &str = LOCAL_ACTIVITY_MARKER_NAME;
        const ISSUE: &str = names::ACTIVITY_ISSUE_LINKS;
        let hash = link().as_str().to_owned();
        let people = |hash: &str| {
            json!({"invited": [
                {"reviewer": "bob@example.com", "link": "00000000000000000000"},
                {"reviewer": "ann@example.com", "link": hash},
            ], "due": null})
        };
        let case = json!({"case": {"open": {"approval": {"stages": [
            {"seats": [{"reviewer": "ann@example.com", "link": hash}]},
        ]}}}});
        let mentions = json!({"case": {"link": {"of": hash}, "early": [{"Link": hash}, hash]}});
        let signal = WorkflowExecutionSignaledEventAttributes {
            input: Some(one(people(&hash))),
            ..Default::default()
        };
        let signalled = event(Attributes::WorkflowExecutionSignaledEventAttributes(signal));
        for (event, shown) in [
            (marker(LOCAL, ISSUE, people(&hash)), true),
            (marker(LOCAL, ISSUE, people("11111111111111111111")), false),
            (marker(LOCAL, ISSUE, json!({"invited": [], "due": hash})), false),
            (marker(LOCAL, ISSUE, json!(null)), false),
            (marker(LOCAL, "validate_submission", people(&hash)), false),
            (marker("Version", ISSUE, people(&hash)), false),
            (begins(Workflow, case.clone()), true),
            (begins(Workflow, mentions), false),
            (begins(Workflow, json!({"link": hash})), false),
            (begins(Unspecified, case.clone()), false),
            (begins(CronSchedule, case.clone()), false),
            (begins(Retry, case), false),
            (signalled, false),
            (HistoryEvent::default(), false),
        ] {
            assert_eq!(proves(&event, &link()), shown, "{event:?}");
        }
    }
}
