use countersign_protos::LinkKeys;
use serde_json::json;
use temporalio_common::protos::temporal::api::{
    common::v1::Payload,
    history::v1::{
        WorkflowExecutionSignaledEventAttributes, WorkflowExecutionStartedEventAttributes,
    },
};

use super::*;

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

fn event(attributes: Attributes) -> HistoryEvent {
    HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() }
}

fn submission() -> Value {
    json!({"submissionId": "PO-1", "document": {"title": "Laptops"}})
}

/// Cy's, who was asked second in the second stage, for Ann and instead of Bob.
fn link() -> GenuineLink {
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("a key");
    let digest = digest(&submission());
    keys.first().link(LinkContext {
        stage: 1,
        round: 1,
        on_behalf_of: "ann@example.com",
        instead_of: "bob@example.com",
        ..LinkContext::new(CHAIN, &digest, "cy@example.com")
    })
}

fn seat() -> Value {
    json!({
        "stage": 1, "round": 1, "reviewer": "cy@example.com", "onBehalfOf": "ann@example.com",
        "insteadOf": "bob@example.com", "link": link().hash().as_str(), "key": "",
    })
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

fn begins(first_run_id: &str, input: Value) -> HistoryEvent {
    event(Attributes::WorkflowExecutionStartedEventAttributes(
        WorkflowExecutionStartedEventAttributes {
            input: Some(one(input)),
            first_execution_run_id: first_run_id.to_owned(),
            ..Default::default()
        },
    ))
}

#[test]
fn what_a_newer_version_has_issued_is_neither_proven_nor_gone() {
    let plan = |digest: &str| {
        let json = json!({"digest": digest, "submission": submission()}).to_string();
        marker(
            LOCAL_ACTIVITY_MARKER_NAME,
            names::ACTIVITY_VALIDATE,
            json!({"plan": {"json": json}}),
        )
    };
    let issue = |seat: Value| {
        marker(LOCAL_ACTIVITY_MARKER_NAME, names::ACTIVITY_ISSUE_LINKS, json!({"invited": [seat]}))
    };
    let newer = |digest: &str, seat: Value| {
        let link = link();
        let mut reader = Reader::new(CHAIN.workflow_id.to_owned(), &link);
        let events = [begins(CHAIN.first_run_id, submission()), plan(digest), issue(seat)];
        let issued = events.iter().find_map(|event| reader.read(event)).is_some();
        (issued, reader.newer)
    };
    assert_eq!(newer("v2:0", seat()), (false, Some("v2:0".to_owned())));
    assert_eq!(newer("v1:0", seat()), (true, None), "its own digest is not believed");
    assert_eq!(newer("v2:0", json!({"link": "0"})), (false, None), "another link");
}

#[test]
fn what_the_plan_says_of_its_rule_is_read_with_the_link() {
    let read = |plan: &Value, is_sealed: bool| {
        let link = link();
        let mut reader = Reader::new(CHAIN.workflow_id.to_owned(), &link);
        let (json, digest) = (plan.to_string(), plan["digest"].as_str().unwrap_or_default());
        let sealed = if is_sealed { json.as_bytes() } else { b"another plan" };
        let seal = link.key().seal(Sealing::Plan, CHAIN, digest, sealed);
        let plan = json!({"plan": {"json": json, "seal": seal}});
        let issued = json!({"invited": [seat()]});
        let local = LOCAL_ACTIVITY_MARKER_NAME;
        let events = [
            begins(CHAIN.first_run_id, submission()),
            marker(local, names::ACTIVITY_VALIDATE, plan),
            marker(local, names::ACTIVITY_ISSUE_LINKS, issued),
        ];
        let issued = events.iter().find_map(|event| reader.read(event)).expect("proven");
        assert_eq!((issued.stage, issued.seat.round), (1, 1));
        let ReviewerState { reviewer, on_behalf_of, instead_of, .. } = &issued.seat;
        let people = [reviewer, on_behalf_of, instead_of].map(|who| who.split('@').next());
        assert_eq!(people, [Some("cy"), Some("ann"), Some("bob")], "who decides as whom");
        let Planned { rule, confirm, comment_required, time_zone, stage } = issued.planned;
        (rule, confirm, comment_required, time_zone, stage)
    };
    let none = || (String::new(), false, vec![], String::new(), String::new());
    let ruled = json!({
        "submission": submission(), "digest": digest(&submission()), "rule": "Hardware",
        "confirm": true, "time_zone": "Europe/Berlin",
        "restrictions": {"commentRequired": ["Reject", "Postpone"]},
        "stages": [{"name": "Managers"}, {"name": "Finance"}],
    });
    let texts = |text: &str| text.to_owned();
    let (rule, stage) = (texts("Hardware"), texts("Finance"));
    let berlin = texts("Europe/Berlin");
    assert_eq!(read(&ruled, true), (rule, true, vec![Verdict::Reject], berlin, stage));
    let plain = json!({"submission": submission()});
    assert_eq!(read(&plain, true), none());
    for plan in [&ruled, &plain] {
        let (rule, confirm, required, zone, stage) = read(plan, false);
        assert!(confirm, "it might have to be");
        assert_eq!((rule, false, required, zone, stage), none(), "no seal proves it");
    }
}

/// The title that these events prove the link to be for.
fn proven(events: &[HistoryEvent]) -> Option<String> {
    let link = link();
    let mut reader = Reader::new(CHAIN.workflow_id.to_owned(), &link);
    let issued = events.iter().find_map(|event| reader.read(event))?;
    assert_eq!(issued.first_run_id, CHAIN.first_run_id);
    Some(issued.submission.document.unwrap_or_default().title)
}

#[test]
fn a_link_is_that_of_the_run_that_issued_it_and_of_those_that_continue_it() {
    const LOCAL: &str = LOCAL_ACTIVITY_MARKER_NAME;
    let plan = |submission: Value| json!({"plan": {"json": json!({"submission": submission}).to_string()}});
    let planned = |submission: Value| marker(LOCAL, names::ACTIVITY_VALIDATE, plan(submission));
    let issue = |seat: Value| {
        let result = json!({"invited": [{"link": "0"}, seat], "due": null});
        marker(LOCAL, names::ACTIVITY_ISSUE_LINKS, result)
    };
    let first = || begins(CHAIN.first_run_id, submission());
    let laptops = Some("Laptops".to_owned());
    assert_eq!(proven(&[first(), planned(submission()), issue(seat())]), laptops);

    let journal = json!([{"asked": {"invited": [seat()]}}]);
    let evidence = json!({"plan": {"json": json!({"submission": submission()}).to_string()}, "journal": journal});
    let continued = json!({"case": {"open": {"evidence": evidence}}});
    assert_eq!(proven(&[begins(CHAIN.first_run_id, continued.clone())]), laptops);

    let coffee = json!({"submissionId": "PO-1", "document": {"title": "Coffee"}});
    let changed = |field: &str, value: Value| {
        let mut seat = seat();
        seat[field] = value;
        vec![first(), planned(submission()), issue(seat)]
    };
    let signal =
        WorkflowExecutionSignaledEventAttributes { input: Some(one(seat())), ..Default::default() };
    for forged in [
        vec![begins("other", continued)],
        vec![begins("other", submission()), planned(submission()), issue(seat())],
        vec![first(), planned(coffee), issue(seat())],
        vec![first(), issue(seat())],
        vec![first(), planned(submission()), marker("Version", "issue_links", seat())],
        vec![first(), planned(submission()), marker(LOCAL, "conclude", seat())],
        vec![first(), event(Attributes::WorkflowExecutionSignaledEventAttributes(signal))],
        changed("stage", json!(0)),
        changed("round", json!(0)),
        changed("reviewer", json!("eve@example.com")),
        changed("insteadOf", json!(null)),
        changed("link", json!("0")),
    ] {
        assert_eq!(proven(&forged), None, "{forged:?}");
    }
}
