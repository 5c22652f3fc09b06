use countersign_protos::{Verdict, payload::Encoding, v1::Document};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, Payloads},
    history::v1::{
        WorkflowExecutionCanceledEventAttributes, WorkflowExecutionCompletedEventAttributes,
        WorkflowExecutionFailedEventAttributes, WorkflowExecutionTerminatedEventAttributes,
        WorkflowExecutionTimedOutEventAttributes, WorkflowTaskScheduledEventAttributes,
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
