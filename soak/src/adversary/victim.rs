//! An approval as everybody in the namespace can read it.

use countersign_e2e::{Marker, list, text};
use countersign_protos::{Chain, names};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    common::v1::Payload,
    history::v1::{
        HistoryEvent, WorkflowExecutionSignaledEventAttributes, history_event::Attributes,
    },
};

use crate::judge::Approval;

/// An approval, and all that has happened to it.
pub(super) struct Victim {
    pub(super) approval: Approval,
    pub(super) events: Vec<HistoryEvent>,
}

impl Victim {
    pub(super) fn id(&self) -> &str {
        &self.approval.workflow
    }

    pub(super) fn chain(&self) -> Chain<'_> {
        self.approval.chain()
    }

    fn markers(&self, activity: &str) -> impl Iterator<Item = Marker> {
        Marker::all(&self.events).filter(move |marker| marker.is_of(activity))
    }

    /// The events that complete workflow tasks.
    pub(super) fn completed_tasks(&self) -> Vec<i64> {
        let completed = self.events.iter().filter(|event| {
            matches!(event.attributes, Some(Attributes::WorkflowTaskCompletedEventAttributes(_)))
        });
        completed.map(|event| event.event_id).collect()
    }

    /// The marker of its plan.
    pub(super) fn plan_marker(&self) -> Option<Marker> {
        self.markers(names::ACTIVITY_VALIDATE).next()
    }

    /// Its sealed plan, if its submission was valid.
    pub(super) fn plan(&self) -> Option<Value> {
        self.plan_marker().map(|marker| marker.result()["plan"].clone()).filter(Value::is_object)
    }

    /// The marker of the links that were issued last.
    pub(super) fn links_marker(&self) -> Option<Marker> {
        self.markers(names::ACTIVITY_ISSUE_LINKS).last()
    }

    /// The results of all issues of links.
    pub(super) fn issued(&self) -> Vec<Value> {
        self.markers(names::ACTIVITY_ISSUE_LINKS).map(|marker| marker.result()).collect()
    }

    /// The seats of all stages, as `issue_links` has recorded them.
    pub(super) fn seats(&self) -> Vec<Value> {
        self.issued().iter().flat_map(|issued| list(&issued["invited"]).cloned()).collect()
    }

    /// The hashes of all links.
    pub(super) fn hashes(&self) -> Vec<String> {
        self.seats().iter().map(|seat| text(&seat["link"])).collect()
    }

    fn signals(&self) -> impl Iterator<Item = &WorkflowExecutionSignaledEventAttributes> {
        self.events.iter().filter_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowExecutionSignaledEventAttributes(signal) => Some(signal),
            _ => None,
        })
    }

    /// The decisions that were signalled with a proof, with their signals' names.
    pub(super) fn proven(&self) -> Vec<(String, Value)> {
        let decision = |signal: &WorkflowExecutionSignaledEventAttributes| {
            let input = signal.input.as_ref()?.payloads.first()?;
            let decision: Value = serde_json::from_slice(&input.data).ok()?;
            decision["proof"].is_object().then(|| (signal.signal_name.clone(), decision))
        };
        self.signals().filter_map(decision).collect()
    }

    /// The identities that senders of signals have claimed.
    pub(super) fn identities(&self) -> Vec<String> {
        let identities = self.signals().map(|signal| signal.identity.clone());
        identities.filter(|identity| !identity.is_empty()).collect()
    }

    /// The regular activities that were scheduled, with their inputs.
    pub(super) fn scheduled(&self) -> Vec<(String, Payload)> {
        let activity = |event: &HistoryEvent| match event.attributes.clone()? {
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                let input = scheduled.input.unwrap_or_default().payloads.pop()?;
                Some((scheduled.activity_type?.name, input))
            }
            _ => None,
        };
        self.events.iter().filter_map(activity).collect()
    }

    /// The sealed outcome and its signature, once it is concluded.
    pub(super) fn concluded(&self) -> Option<Value> {
        let concluded = self.markers(names::ACTIVITY_CONCLUDE).next()?.result();
        concluded.is_object().then_some(concluded)
    }

    /// The number of the next activity, local or not.
    pub(super) fn next_seq(&self) -> usize {
        Marker::all(&self.events).filter(|marker| !marker.result().is_null()).count()
            + self.scheduled().len()
            + 1
    }

    /// A journal in which all links were issued, and nobody has voted.
    pub(super) fn asked(&self) -> Vec<Value> {
        let asked = |issued: Value| {
            let (invited, due, at) = (&issued["invited"], &issued["due"], &issued["openedAt"]);
            json!({"asked": {"invited": invited, "due": due, "at": at}})
        };
        self.issued().into_iter().map(asked).collect()
    }
}
