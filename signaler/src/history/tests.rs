use countersign_protos::{
    Chain, LinkContext, LinkKeys, Verdict,
    payload::Encoding,
    v1::{Document, Field},
};
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

fn at(mut event: HistoryEvent, seconds: i64) -> HistoryEvent {
    event.event_time.get_or_insert_default().seconds = seconds;
    event
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
            ..StageOutcome::default()
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
    let timed_out = timed_out.map(|event| at(event, 60));
    for (closing, how) in [
        (failed, Ending::Failed),
        (terminated, Ending::Terminated),
        (timed_out, Ending::TimedOut),
        (completed(vec![]), Ending::Unreadable),
    ] {
        let ended = read(submission(), closing.clone(), Status::Pending);
        let Some(Reading::Ended(ending, state)) = ended else { panic!("{how:?}") };
        let says_when = state.times_out_at.is_some();
        assert_eq!(says_when, how == Ending::TimedOut, "when its time-out was over");
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
    marker(names::ACTIVITY_ISSUE_LINKS, json!({"invited": invited, "due": null}))
}

fn marker(activity: &str, result: Value) -> Option<HistoryEvent> {
    let details = [("data", one(json!({"activity_type": activity}))), ("result", one(result))];
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
    let (own_link, other_link) = (genuine(), link_of("bob@example.com"));
    let link = own_link.hash();
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
        replaces(&own_link, &events)
    };
    let delegated = |by: &GenuineLink| {
        let (to, reason) = ("cy@example.com".to_owned(), "away".to_owned());
        let statement = Statement::Delegate { to: &to, reason: &comment_hash(&reason) };
        let proof = Some(by.prove(statement, Timestamp::UNIX_EPOCH));
        let link = own_link.hash().as_str().to_owned();
        signalled("reassign", &Reassignment { link, to, reason, proof, ..<_>::default() })
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
        (vec![delegated(&own_link)], true),
        (vec![delegated(&own_link), seen()], false),
        (vec![delegated(&other_link)], false),
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
    assert!(!replaces(&own_link, &again.into_iter().flatten().collect::<Vec<_>>()));

    // She was replaced in an earlier version; a revision that is refused begins none.
    for (plan, expected) in [(json!({"json": "{}"}), false), (Value::Null, true)] {
        let revised = [
            issued(json!([seat(0, ann, None, "first")])),
            issued(json!([seat(1, cy, Some(ann), "cy's")])),
            marker(names::ACTIVITY_VALIDATE, json!({"plan": plan})),
            issued(json!([own])),
        ];
        let events: Vec<_> = revised.into_iter().flatten().collect();
        assert_eq!(replaces(&own_link, &events), expected, "{plan}");
    }

    let asked = |seat: Value| json!({"asked": {"invited": [seat]}});
    let journal = json!([asked(own), asked(seat(1, ann, None, "new"))]);
    let case = json!({"case": {"open": {"evidence": {"journal": journal}}}});
    let continued = event(Attributes::WorkflowExecutionStartedEventAttributes(
        WorkflowExecutionStartedEventAttributes { input: Some(one(case)), ..Default::default() },
    ));
    assert!(replaces(&own_link, &continued.into_iter().collect::<Vec<_>>()));
}

/// Ann's, as the deputy of Lee.
fn genuine() -> GenuineLink {
    link_of("ann@example.com")
}

fn link_of(reviewer: &str) -> GenuineLink {
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("a key");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    keys.first().link(LinkContext::new(chain, "v1:0", reviewer))
}

fn signalled(name: &str, reassignment: &Reassignment) -> Option<HistoryEvent> {
    let payloads = vec![to_temporal(payload::encode(reassignment, Encoding::JsonPlain))];
    event(Attributes::WorkflowExecutionSignaledEventAttributes(
        WorkflowExecutionSignaledEventAttributes {
            signal_name: name.into(),
            input: Some(Payloads { payloads }),
            ..Default::default()
        },
    ))
}

fn place(comment_required: &[Verdict]) -> Issued {
    let link = genuine().hash().as_str().to_owned();
    let (reviewer, on_behalf_of) = ("ann@example.com".into(), "lee@example.com".into());
    let comment_required = comment_required.to_vec();
    let (stage, rule) = ("Managers".into(), "Hardware".into());
    Issued {
        first_run_id: "run".into(),
        digest: "v1:0".into(),
        version: 1,
        is_submitters: false,
        submission: submission(),
        stage: 1,
        seat: ReviewerState { reviewer, on_behalf_of, link, ..ReviewerState::default() },
        planned: Planned { rule, stage, comment_required, ..Planned::default() },
    }
}

/// A press as Temporal has it, by this link if it is `genuine`.
fn pressed(verdict: Verdict, comment: &str, by: &GenuineLink) -> HistoryEvent {
    let decision = Decision {
        link: genuine().hash().as_str().into(),
        comment: comment.into(),
        proof: Some(by.sign(verdict, comment, Timestamp::UNIX_EPOCH)),
        ..Decision::default()
    };
    let payloads = vec![to_temporal(payload::encode(&decision, Encoding::JsonPlain))];
    let attributes = WorkflowExecutionSignaledEventAttributes {
        signal_name: verdict.terms().name.into(),
        input: Some(Payloads { payloads }),
        ..Default::default()
    };
    event(Attributes::WorkflowExecutionSignaledEventAttributes(attributes)).expect("an event")
}

fn seats(stage: u32, due: Value) -> Value {
    let seat = json!({
        "stage": stage, "round": 0, "reviewer": "ann@example.com", "link": "other", "key": "",
    });
    json!({"invited": [seat], "due": due})
}

fn asked(stage: u32, due: Value) -> HistoryEvent {
    let details = [
        ("data", one(json!({"activity_type": names::ACTIVITY_ISSUE_LINKS}))),
        ("result", one(seats(stage, due))),
    ];
    let marker = MarkerRecordedEventAttributes {
        marker_name: LOCAL_ACTIVITY_MARKER_NAME.to_owned(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Default::default()
    };
    event(Attributes::MarkerRecordedEventAttributes(marker)).expect("an event")
}

/// The stage that is told of, and the verdict and time of the decision that is stored.
fn told(issued: &Issued, events: &[HistoryEvent]) -> (StageState, Option<(Verdict, i64)>) {
    let pending = ApprovalState { submission: Some(submission()), ..ApprovalState::default() };
    let reading = unattended(pending, issued, &genuine(), Some(events));
    let Reading::NoWorker(state) = reading else { panic!("{reading:?}") };
    assert_eq!((title(&state), &*state.rule), ("Ten laptops", "Hardware"));
    let [stage] = &state.stages[..] else { panic!("{state:?}") };
    let [ann] = &stage.reviewers[..] else { panic!("others' places are not known: {state:?}") };
    assert_eq!((&*ann.reviewer, &*ann.on_behalf_of), ("ann@example.com", "lee@example.com"));
    let at = |vote: &Vote| vote.decided_at.as_ref().map_or(0, |at| at.seconds);
    let vote = ann.vote.as_ref().map(|vote| (vote.verdict().known().expect("known"), at(vote)));
    (stage.clone(), vote)
}

#[test]
fn without_a_worker_a_history_says_until_when_ones_stage_waits() {
    let due = |deadline: &str| json!({"deadline": deadline});
    let (first, second) = ("2026-11-27T16:00:00Z", "2026-11-30T16:00:00Z");
    for (events, deadline) in [
        (vec![], None),
        (vec![asked(0, due(first))], None),
        (vec![asked(1, due(first))], Some(first)),
        // A level more, and a new link, which has no deadline of its own.
        (vec![asked(1, due(first)), asked(1, due(second)), asked(1, Value::Null)], Some(second)),
        (vec![asked(1, due(first)), asked(2, due(second))], Some(first)),
    ] {
        let (stage, _) = told(&place(&[]), &events);
        let expected = deadline.map(|at| to_message(at.parse().expect("a time")));
        assert_eq!((&*stage.name, stage.deadline), ("Managers", expected));
    }
}

#[test]
fn without_a_worker_the_first_decision_that_only_the_link_can_have_made_is_stored() {
    use Verdict::{Approve, Reject};
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("a key");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let eve = keys.first().link(LinkContext::new(chain, "v1:0", "eve@example.com"));
    let stored = |issued: &Issued, events: &[HistoryEvent]| told(issued, events).1;
    let ann = |verdict, comment: &str, seconds| at(pressed(verdict, comment, &genuine()), seconds);
    let by_eve = at(pressed(Reject, "", &eve), 5);
    assert_eq!(stored(&place(&[]), &[]), None);
    assert_eq!(stored(&place(&[]), std::slice::from_ref(&by_eve)), None, "anybody can signal");
    let twice = [by_eve, ann(Reject, "", 7), ann(Approve, "fine", 8)];
    assert_eq!(stored(&place(&[]), &twice), Some((Reject, 7)));
    assert_eq!(stored(&place(&[Reject]), &twice), Some((Approve, 8)), "the rule does not take it");

    // The run before has processed it, or left it to this one.
    let proof = json!(genuine().sign(Approve, "fine", Timestamp::UNIX_EPOCH));
    let ballot = json!({
        "claim": {"Link": genuine().hash().as_str()}, "verdict": "Approve", "comment": "fine",
        "proof": proof, "identity": "",
    });
    let first = "2026-11-27T16:00:00Z";
    let journal = json!([
        {"asked": seats(1, json!({"deadline": first}))},
        {"voted": {"ballot": ballot, "at": "1970-01-01T00:00:09Z"}},
    ]);
    let case = json!({"case": {"open": {"evidence": {"journal": journal}}}});
    let began =
        WorkflowExecutionStartedEventAttributes { input: Some(one(case)), ..Default::default() };
    let began = event(Attributes::WorkflowExecutionStartedEventAttributes(began));
    let (stage, vote) = told(&place(&[]), &began.into_iter().collect::<Vec<_>>());
    assert_eq!(stage.deadline, Some(to_message(first.parse().expect("a time"))));
    assert_eq!(vote, Some((Approve, 9)));
}

#[test]
fn where_a_history_cannot_be_read_the_place_is_known_and_the_document_is_not_shown() {
    let pending = ApprovalState { submission: Some(submission()), ..ApprovalState::default() };
    let reading = unattended(pending, &place(&[]), &genuine(), None);
    let Reading::NoWorker(state) = reading else { panic!("{reading:?}") };
    assert_eq!(title(&state), "");
    assert_eq!(state.stages[0].reviewers[0].reviewer, "ann@example.com");
    let submission = Submission { fields: vec![budget()], ..submission() };
    let pending = ApprovalState { submission: Some(submission), ..ApprovalState::default() };
    let reading = unattended(pending, &place(&[]), &genuine(), None);
    assert_eq!(title(reading.state()), "");
    let shown = reading.state().submission.clone().unwrap_or_default();
    assert_eq!(shown.fields, [budget()], "a decision needs it");
}

fn budget() -> Field {
    Field {
        name: "budget".into(),
        label: "Budget".into(),
        r#type: "number".into(),
        required_for: vec!["approve".into()],
        ..Field::default()
    }
}

#[test]
fn without_a_worker_a_decision_is_stored_with_the_answers_that_its_fields_ask_for() {
    let ann = |answers: Value| {
        let answers: Answers = serde_json::from_value(answers).expect("answers");
        let said = Statement::Vote {
            verdict: Verdict::Approve,
            comment: &comment_hash(""),
            answers: &answers::hash(&answers),
        };
        let proof = Some(genuine().prove(said, Timestamp::UNIX_EPOCH));
        let link = genuine().hash().as_str().to_owned();
        let decision = Decision { link, proof, answers, ..Decision::default() };
        let payloads = vec![to_temporal(payload::encode(&decision, Encoding::JsonPlain))];
        let attributes = WorkflowExecutionSignaledEventAttributes {
            signal_name: names::SIGNAL_APPROVE.into(),
            input: Some(Payloads { payloads }),
            ..Default::default()
        };
        event(Attributes::WorkflowExecutionSignaledEventAttributes(attributes)).expect("an event")
    };
    let mut issued = place(&[]);
    issued.submission.fields = vec![budget()];
    let stored = |events: &[HistoryEvent]| {
        let reading = unattended(ApprovalState::default(), &issued, &genuine(), Some(events));
        let vote = reading.state().stages[0].reviewers[0].vote.clone();
        vote.map(|vote| answers::by_name(&vote.answers))
    };
    let refused = [ann(json!({})), ann(json!({"budget": "much"}))];
    assert_eq!(stored(&refused), None);
    let [first, second] = refused;
    let answered = [("budget".to_owned(), "7".to_owned())].into();
    assert_eq!(stored(&[first, ann(json!({"budget": "7"})), second]), Some(answered));
}
