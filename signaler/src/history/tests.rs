use countersign_protos::{ApprovalId, Verdict, payload::Encoding, v1::Document};
use serde_json::json;
use temporalio_common::protos::{
    constants::LOCAL_ACTIVITY_MARKER_NAME,
    temporal::api::{
        common::v1::{Payload, Payloads},
        history::v1::{
            MarkerRecordedEventAttributes, WorkflowExecutionCanceledEventAttributes,
            WorkflowExecutionCompletedEventAttributes, WorkflowExecutionFailedEventAttributes,
            WorkflowExecutionStartedEventAttributes, WorkflowExecutionTerminatedEventAttributes,
            WorkflowExecutionTimedOutEventAttributes, WorkflowTaskCompletedEventAttributes,
            WorkflowTaskScheduledEventAttributes,
        },
    },
};

use super::*;
use crate::temporal::to_temporal;

const BERLIN: &str = "Europe/Berlin";

/// Of a plan whose calendar is in Berlin.
fn read(submission: Submission, closing: Option<HistoryEvent>, status: Status) -> Option<Reading> {
    super::read(submission, BERLIN.to_owned(), closing, status)
}

fn event(attributes: Attributes) -> Option<HistoryEvent> {
    Some(HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() })
}

fn submission() -> Submission {
    let document = Some(Document { title: "Ten laptops".into(), ..Document::default() });
    Submission { document, ..Submission::default() }
}

fn completed(payloads: Vec<Payload>) -> Option<HistoryEvent> {
    event(Attributes::WorkflowExecutionCompletedEventAttributes(
        WorkflowExecutionCompletedEventAttributes {
            result: Some(Payloads { payloads }),
            ..Default::default()
        },
    ))
}

fn title(state: &ApprovalState) -> &str {
    let document = state.submission.as_ref().and_then(|s| s.document.as_ref());
    document.map_or("", |document| &document.title)
}

#[test]
fn an_open_workflow_shows_its_submission() {
    let scheduled = event(Attributes::WorkflowTaskScheduledEventAttributes(
        WorkflowTaskScheduledEventAttributes::default(),
    ));
    for closing in [None, scheduled] {
        let Some(Reading::NoWorker(state)) = read(submission(), closing, Status::Pending) else {
            panic!("not open")
        };
        assert_eq!(title(&state), "Ten laptops");
        assert_eq!(state.status(), Status::Pending);
        assert_eq!(state.time_zone, BERLIN, "without a worker, too");
    }
}

#[test]
fn a_completed_workflow_shows_who_decided_and_who_did_not() {
    let vote = Vote {
        reviewer: "ann@example.com".into(),
        verdict: Verdict::Approve.into(),
        ..Vote::default()
    };
    let other = Document { title: "Ten cars".into(), ..Document::default() };
    let outcome = Outcome {
        status: Status::Approved.into(),
        document: Some(other),
        stages: vec![StageOutcome {
            name: "Managers".into(),
            status: Status::Approved.into(),
            decisions: vec![vote.clone()],
            undecided: vec!["bob@example.com".into()],
        }],
        ..Outcome::default()
    };
    for encoding in [Encoding::JsonPlain, Encoding::BinaryProtobuf] {
        let closing = completed(vec![to_temporal(payload::encode(&outcome, encoding))]);
        let Some(Reading::Closed(state)) = read(submission(), closing, Status::Approved) else {
            panic!("not closed")
        };
        assert_eq!(state.status(), Status::Approved);
        assert_eq!(title(&state), "Ten laptops", "what the link was issued for");
        let reviewers = &state.stages[0].reviewers;
        assert_eq!(reviewers[0].vote, Some(vote.clone()));
        assert_eq!(reviewers[1].reviewer, "bob@example.com");
        assert_eq!(reviewers[1].vote, None);
    }
}

#[test]
fn values_that_only_a_newer_version_knows_are_unspecified() {
    let vote = Vote { verdict: 77, ..Vote::default() };
    let stage = StageOutcome { status: 77, decisions: vec![vote], ..StageOutcome::default() };
    let outcome = Outcome { status: 77, stages: vec![stage], ..Outcome::default() };
    let payload = to_temporal(payload::encode(&outcome, Encoding::BinaryProtobuf));
    let closed = read(submission(), completed(vec![payload]), Status::Approved);
    let Some(Reading::Closed(state)) = closed else { panic!("not closed") };
    let vote = state.stages[0].reviewers[0].vote.as_ref().expect("a vote");
    let read = (state.status, state.stages[0].status, vote.verdict);
    assert_eq!(read, (0, 0, 0));
}

#[test]
fn a_workflow_without_an_outcome_says_how_it_ended() {
    let failed = event(Attributes::WorkflowExecutionFailedEventAttributes(
        WorkflowExecutionFailedEventAttributes::default(),
    ));
    let terminated = event(Attributes::WorkflowExecutionTerminatedEventAttributes(
        WorkflowExecutionTerminatedEventAttributes::default(),
    ));
    let timed_out = event(Attributes::WorkflowExecutionTimedOutEventAttributes(
        WorkflowExecutionTimedOutEventAttributes::default(),
    ));
    for (closing, how) in [
        (failed, Ending::Failed),
        (terminated, Ending::Terminated),
        (timed_out, Ending::TimedOut),
        (completed(vec![]), Ending::Unreadable),
    ] {
        let ended = read(submission(), closing.clone(), Status::Pending);
        let Some(Reading::Ended(ending, state)) = ended else { panic!("{how:?}") };
        assert_eq!((ending, title(&state), &*state.time_zone), (how, "Ten laptops", BERLIN));
        if ending != Ending::Unreadable {
            let after_its_outcome = read(submission(), closing, Status::Approved);
            let Some(Reading::Closed(state)) = after_its_outcome else { panic!("{how:?}") };
            assert_eq!((state.status(), title(&state)), (Status::Approved, "Ten laptops"));
        }
    }
    let cancelled = event(Attributes::WorkflowExecutionCanceledEventAttributes(
        WorkflowExecutionCanceledEventAttributes::default(),
    ));
    let Some(Reading::Closed(state)) = read(submission(), cancelled, Status::Pending) else {
        panic!("not closed")
    };
    assert_eq!(state.status(), Status::Withdrawn);
}

fn one(data: Value) -> Payloads {
    let data = data.to_string().into_bytes();
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    Payloads { payloads: vec![Payload { data, metadata, ..Payload::default() }] }
}

fn issued(invited: Value) -> Option<HistoryEvent> {
    let details = [
        ("data", one(json!({"activity_type": names::ACTIVITY_ISSUE_LINKS}))),
        ("result", one(json!({"invited": invited, "due": null}))),
    ];
    event(Attributes::MarkerRecordedEventAttributes(MarkerRecordedEventAttributes {
        marker_name: LOCAL_ACTIVITY_MARKER_NAME.to_owned(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Default::default()
    }))
}

/// The signal `reissue`.
fn ordered(payload: Value) -> Option<HistoryEvent> {
    event(Attributes::WorkflowExecutionSignaledEventAttributes(
        WorkflowExecutionSignaledEventAttributes {
            signal_name: names::SIGNAL_REISSUE.to_owned(),
            input: Some(one(payload)),
            ..Default::default()
        },
    ))
}

#[test]
fn a_new_link_replaces_an_old_one_without_a_worker_too_and_others_in_ones_place_do() {
    let link = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash();
    let seat = |round: u32, reviewer: &str, instead_of: Option<&str>, link: &str| {
        json!({
            "stage": 0, "round": round, "reviewer": reviewer, "insteadOf": instead_of,
            "link": link, "key": "",
        })
    };
    let next = |reviewer, instead_of| issued(json!([seat(2, reviewer, instead_of, "next")]));
    let [ann, bob, cy] = ["ann@example.com", "bob@example.com", "cy@example.com"];
    let own = seat(0, ann, None, link.as_str());
    let replaced = |later: &[Option<HistoryEvent>]| {
        let first = issued(json!([own, seat(0, bob, None, "bob's")]));
        let events: Vec<_> = [first].iter().chain(later).flatten().cloned().collect();
        replaces(&link, &events)
    };
    let other_stage = || {
        let mut seat = seat(1, ann, None, "second stage");
        seat["stage"] = json!(1);
        issued(json!([seat]))
    };
    let seen = || {
        event(Attributes::WorkflowTaskCompletedEventAttributes(
            WorkflowTaskCompletedEventAttributes::default(),
        ))
    };
    for (later, expected) in [
        (vec![], false),
        (vec![next(ann, None)], true),
        (vec![next(cy, Some(ann))], true),
        (vec![next(cy, Some(bob))], false),
        (vec![next(bob, None)], false),
        // At a deadline: she may decide all the same.
        (vec![next(cy, None)], false),
        (vec![other_stage()], false),
        (vec![ordered(json!({"reviewer": " Ann@Example.com"}))], true),
        (vec![ordered(json!({}))], true),
        (vec![ordered(json!({"reviewer": bob}))], false),
        (vec![ordered(json!(7))], false),
        // The worker has ignored it, or its link would be here.
        (vec![ordered(json!({})), seen()], false),
    ] {
        assert_eq!(replaced(&later), expected, "{later:?}");
    }

    // She was replaced before she was asked again, by this link.
    let again = [
        issued(json!([seat(0, ann, None, "first")])),
        issued(json!([seat(1, cy, Some(ann), "cy's")])),
        issued(json!([seat(2, ann, None, link.as_str())])),
        issued(json!([seat(3, cy, Some(ann), "cy's second")])),
    ];
    assert!(!replaces(&link, &again.into_iter().flatten().collect::<Vec<_>>()));

    let asked = |seat: Value| json!({"asked": {"invited": [seat]}});
    let journal = json!([asked(own), asked(seat(1, ann, None, "new"))]);
    let case = json!({"case": {"open": {"evidence": {"journal": journal}}}});
    let continued = event(Attributes::WorkflowExecutionStartedEventAttributes(
        WorkflowExecutionStartedEventAttributes { input: Some(one(case)), ..Default::default() },
    ));
    assert!(replaces(&link, &continued.into_iter().collect::<Vec<_>>()));
}
