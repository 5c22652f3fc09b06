//! Links between an operation's event in the caller's history and the start of its approval, which Temporal's Web UI
//! shows on both sides. What a caller's link says is the caller's word: nothing depends on it.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use temporalio_common::protos::temporal::api::{
    common::v1::{
        Link,
        link::{self, WorkflowEvent, workflow_event},
    },
    enums::v1::EventType,
    nexus::v1 as nexus,
};
use url::Url;

/// The type of a link to an event of a workflow.
const TO_EVENT: &str = "temporal.api.common.v1.Link.WorkflowEvent";

/// The start of a run, as its caller's history refers to it.
pub(super) fn to_start(namespace: &str, workflow_id: &str, run_id: &str) -> nexus::Link {
    let mut url = Url::parse("temporal:///").expect("a URL");
    if let Ok(mut path) = url.path_segments_mut() {
        path.extend(["namespaces", namespace, "workflows", workflow_id, run_id, "history"]);
    }
    url.query_pairs_mut()
        .append_pair("referenceType", "EventReference")
        .append_pair("eventID", "1")
        .append_pair("eventType", "WorkflowExecutionStarted");
    nexus::Link { url: url.into(), r#type: TO_EVENT.to_owned() }
}

/// A link of a request, as the approval's history refers to it; `None` where it leads to anything but an event.
pub(super) fn from_caller(link: &nexus::Link) -> Option<Link> {
    let url = Url::parse(&link.url).ok()?;
    if link.r#type != TO_EVENT || url.scheme() != "temporal" {
        return None;
    }
    let path: Vec<String> = url.path_segments()?.map(decoded).collect::<Option<_>>()?;
    let [namespaces, namespace, workflows, workflow_id, run_id, history] = path.try_into().ok()?;
    if [namespaces, workflows, history] != ["namespaces", "workflows", "history"] {
        return None;
    }
    let query: HashMap<_, _> = url.query_pairs().collect();
    let event = workflow_event::EventReference {
        event_id: query.get("eventID").and_then(|id| id.parse().ok()).unwrap_or_default(),
        event_type: query.get("eventType").and_then(|name| event_type(name))?.into(),
    };
    let reference = Some(workflow_event::Reference::EventRef(event));
    let event = WorkflowEvent { namespace, workflow_id, run_id, reference };
    Some(Link { variant: Some(link::Variant::WorkflowEvent(event)) })
}

fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

/// Of a name such as `NexusOperationScheduled`.
fn event_type(name: &str) -> Option<EventType> {
    let mut constant = String::from("EVENT_TYPE");
    for letter in name.chars() {
        if letter.is_uppercase() {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    EventType::from_str_name(&constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "temporal:///namespaces/shop/workflows/purchase%2F1%3F/run-1/history?eventID=5&eventType=NexusOperationScheduled&referenceType=EventReference";

    fn link(url: &str, kind: &str) -> nexus::Link {
        nexus::Link { url: url.to_owned(), r#type: kind.to_owned() }
    }

    #[test]
    fn a_callers_event_is_read_from_its_link() {
        let read = from_caller(&link(CALLER, TO_EVENT)).and_then(|link| link.variant);
        let Some(link::Variant::WorkflowEvent(event)) = read else { panic!("{read:?}") };
        assert_eq!(
            (event.namespace.as_str(), event.workflow_id.as_str(), event.run_id.as_str()),
            ("shop", "purchase/1?", "run-1")
        );
        let Some(workflow_event::Reference::EventRef(event)) = event.reference else { panic!() };
        assert_eq!((event.event_id, event.event_type()), (5, EventType::NexusOperationScheduled));
    }

    #[test]
    fn what_leads_elsewhere_is_no_link_to_an_event() {
        for (url, kind) in [
            ("", TO_EVENT),
            ("https://shop.example/", TO_EVENT),
            (&CALLER.replace("temporal:", "https://host"), TO_EVENT),
            (&CALLER.replace("/history", ""), TO_EVENT),
            (&CALLER.replace("workflows", "batches"), TO_EVENT),
            (&CALLER.replace("Nexus", "Nonsense"), TO_EVENT),
            (CALLER, "temporal.api.common.v1.Link.BatchJob"),
        ] {
            assert_eq!(from_caller(&link(url, kind)), None, "{url}");
        }
    }

    #[test]
    fn the_start_of_a_run_is_linked_as_it_is_read() {
        let started = to_start("approvals", "nexus.shop.a", "run-2");
        let read = from_caller(&started).and_then(|link| link.variant);
        let Some(link::Variant::WorkflowEvent(event)) = read else { panic!("{started:?}") };
        assert_eq!((event.workflow_id.as_str(), event.run_id.as_str()), ("nexus.shop.a", "run-2"));
        let Some(workflow_event::Reference::EventRef(event)) = event.reference else { panic!() };
        assert_eq!((event.event_id, event.event_type()), (1, EventType::WorkflowExecutionStarted));
    }
}
