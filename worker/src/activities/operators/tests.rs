use countersign_protos::{LinkContext, LinkKeys, Verdict, v1};
use serde_json::json;
use temporalio_common::protos::temporal::api::{
    common::v1::{self as temporal, Payloads, Principal},
    history::v1::{
        WorkflowExecutionCancelRequestedEventAttributes,
        WorkflowExecutionContinuedAsNewEventAttributes, WorkflowExecutionSignaledEventAttributes,
    },
};

use super::*;

/// A signal that claims to be by the help desk.
fn sent(name: &str, input: &str, by: &str) -> HistoryEvent {
    encoded("json/plain", name, input, by)
}

/// As a codec writes it.
fn encrypted(name: &str) -> HistoryEvent {
    encoded("binary/encrypted", name, "", "")
}

fn encoded(encoding: &str, name: &str, input: &str, by: &str) -> HistoryEvent {
    let metadata = [("encoding".to_owned(), encoding.into())].into();
    let payload = temporal::Payload { metadata, data: input.into(), ..<_>::default() };
    let signal = WorkflowExecutionSignaledEventAttributes {
        signal_name: name.to_owned(),
        input: Some(Payloads { payloads: vec![payload] }),
        identity: "help desk".to_owned(),
        ..Default::default()
    };
    let principal = Principal { r#type: "users".to_owned(), name: by.to_owned() };
    HistoryEvent {
        principal: (!by.is_empty()).then_some(principal),
        attributes: Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)),
        ..HistoryEvent::default()
    }
}

/// The principals of a vote for Ann, of Bob's own, and of what was done, where this was.
fn named(events: &[HistoryEvent]) -> [String; 3] {
    let vote = |reviewer: &str, by: &str| Vote {
        reviewer: reviewer.into(),
        link: format!("hash of {reviewer}"),
        verdict: v1::Verdict::Approve.into(),
        by: by.into(),
        identity: "help desk".into(),
        ..Vote::default()
    };
    let decisions = vec![vote("ann@example.com", "operator"), vote("bob@example.com", "link")];
    let action = OperatorAction {
        action: names::SIGNAL_REASSIGN.into(),
        identity: "help desk".into(),
        reviewer: "cy@example.com".into(),
        to: "dee@example.com".into(),
        ..OperatorAction::default()
    };
    let mut outcome = Outcome {
        stages: vec![v1::StageOutcome { decisions, ..<_>::default() }],
        operator_actions: vec![action],
        ..Outcome::default()
    };
    name(&mut outcome, events);
    let [ann, bob] = &outcome.stages[0].decisions[..] else { panic!("{outcome:?}") };
    [&ann.principal, &bob.principal, &outcome.operator_actions[0].principal].map(Clone::clone)
}

/// The first event of a run of the approval that began with `first`.
fn run(first: &str, continues: &str) -> HistoryEvent {
    event(Attributes::WorkflowExecutionStartedEventAttributes(
        WorkflowExecutionStartedEventAttributes {
            first_execution_run_id: first.to_owned(),
            continued_execution_run_id: continues.to_owned(),
            ..Default::default()
        },
    ))
}

fn event(attributes: Attributes) -> HistoryEvent {
    HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() }
}

fn and_before(start: HistoryEvent, events: &[HistoryEvent]) -> [String; 3] {
    named(&[&[start], events].concat())
}

#[test]
fn a_principal_stands_where_one_alone_can_have_sent_what_counted() {
    const FOR_ANN: &str = r#"{"reviewer": " Ann@Example.com"}"#;
    const REASSIGN: &str = r#"{"reviewer": "cy@example.com", "to": "dee@example.com"}"#;
    let (approve, reassign) = (names::SIGNAL_APPROVE, names::SIGNAL_REASSIGN);
    let own = sent(approve, r#"{"link": "hash of bob@example.com"}"#, "signaler");
    let first = vec![own, sent(approve, FOR_ANN, "olga"), sent(reassign, REASSIGN, "omar")];
    assert_eq!(named(&first), ["users:olga", "", "users:omar"]);
    let and = |event: HistoryEvent| named(&[&first[..], &[event]].concat());
    let same = named(&first);
    assert_eq!(and(sent(approve, FOR_ANN, "olga")), same, "repeated by the same");
    assert_eq!(and(sent(approve, r#"{"reviewer": "eve@example.com"}"#, "eve")), same);
    assert_eq!(and(sent("reject", FOR_ANN, "eve")), same, "which does not count");
    assert_eq!(and(sent(approve, "{", "eve")), same, "nor does this");
    let by_hash = r#"{"link": "hash of ann@example.com"}"#;
    assert_eq!(and(sent(approve, by_hash, "eve"))[0], "", "either may have counted");
    assert_eq!(and(sent(approve, FOR_ANN, ""))[0], "", "somebody unknown may have");
    assert_eq!(named(&[]), ["", "", ""]);
    assert_eq!(and_before(run("first", ""), &first), same);
    let continued = and_before(run("first", "before"), &first);
    assert_eq!(continued, ["", "", ""], "the run before may have had others");
}

/// An operator's vote for Ann, as a deputy.
fn vote() -> Vote {
    Vote {
        reviewer: "ann@example.com".into(),
        on_behalf_of: "bob@example.com".into(),
        link: "hash".into(),
        verdict: v1::Verdict::Approve.into(),
        by: names::BY_OPERATOR.into(),
        identity: "help desk".into(),
        ..Vote::default()
    }
}

#[test]
fn an_operators_vote_is_one_that_somebody_has_signalled() {
    let vote = vote();
    let is_signalled = |event: HistoryEvent| Act::Vote(&vote, "", 1).is_in(&[event]);
    for (name, input, expected) in [
        ("approve", r#"{"reviewer": " Ann@Example.com"}"#, true),
        ("approve", r#"{"reviewer": "bob@example.com"}"#, true),
        ("approve", r#"{"link": " hash\n"}"#, true),
        ("reject", r#"{"reviewer": "ann@example.com"}"#, false),
        ("approve", r#"{"reviewer": "eve@example.com"}"#, false),
        ("approve", r#"{"link": "another hash"}"#, false),
        ("approve", "{", false),
        ("remind", r#"{"reviewer": "ann@example.com"}"#, false),
    ] {
        assert_eq!(is_signalled(sent(name, input, "")), expected, "{name} {input}");
    }
    let commented = Vote { comment: "fine".into(), ..vote.clone() };
    for (comment, expected) in [(" fine\n", true), ("better", false), ("", false)] {
        let input = json!({"reviewer": "ann@example.com", "comment": comment}).to_string();
        let event = sent("approve", &input, "");
        assert_eq!(Act::Vote(&commented, "", 1).is_in(&[event]), expected, "{comment:?}");
    }
    let answer =
        |value: &str| v1::Answer { name: "budget".into(), value: value.into(), ..<_>::default() };
    let answered = Vote { answers: vec![answer("1500")], ..vote.clone() };
    for (answers, expected) in [
        (json!({"budget": 1500}), true),
        (json!({"budget": "1500.0", "more": " "}), true),
        (json!({"budget": 1501}), false),
        (json!({"budget": 1500, "more": "x"}), false),
        (json!({}), false),
    ] {
        let input = json!({"reviewer": "ann@example.com", "answers": answers}).to_string();
        let event = sent("approve", &input, "");
        assert_eq!(Act::Vote(&answered, "", 1).is_in(&[event]), expected, "{answers}");
    }
    assert!(is_signalled(encrypted("approve")), "it may say anything");
    assert!(!is_signalled(encrypted("reject")));
    let by_ann = sent("approve", r#"{"reviewer": "ann@example.com"}"#, "");
    for another in ["somebody else", "help", ""] {
        let by_another = Vote { identity: another.into(), ..vote.clone() };
        assert!(!Act::Vote(&by_another, "", 1).is_in(std::slice::from_ref(&by_ann)), "{another}");
    }
    let by_unknown = Vote { identity: UNKNOWN.into(), ..vote.clone() };
    assert!(Act::Vote(&by_unknown, "", 1).is_in(&[run("first", ""), by_ann]));
    assert!(!Act::Vote(&by_unknown, "", 1).is_in(&[]));
}

#[test]
fn an_operators_vote_is_borne_out_by_a_signal_for_its_version_alone() {
    let (vote, named) =
        (vote(), |version| json!({"reviewer": "ann@example.com", "version": version}));
    for (input, first, second) in [
        (named(json!(null)), true, false),
        (named(json!(1)), true, false),
        (named(json!(2)), false, true),
        (json!({"link": "hash"}), true, true),
    ] {
        let event = [sent("approve", &input.to_string(), "")];
        let is_of = |version| Act::Vote(&vote, "", version).is_in(&event);
        assert_eq!((is_of(1), is_of(2)), (first, second), "{input}");
    }
}

#[test]
fn a_press_is_no_operators_vote() {
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("keys");
    let chain = Chain { workflow_id: "laptops", first_run_id: "first" };
    let link = keys.first().link(LinkContext::new(chain, "v1:0", "ann@example.com"));
    let at = "2026-11-30T10:00:00Z".parse().expect("a time");
    let proof = link.sign(Verdict::Approve, "fine", at);
    let decided = |comment: &str| {
        let decision = Decision {
            link: link.hash().as_str().to_owned(),
            comment: comment.to_owned(),
            proof: Some(proof.clone()),
            ..Decision::default()
        };
        sent("approve", &serde_json::to_string(&decision).expect("JSON"), "")
    };
    let (vote, key) = (Vote { link: link.hash().as_str().into(), ..vote() }, link.public_key());
    assert!(!Act::Vote(&vote, &key, 1).is_in(&[decided(" fine ")]));
    assert!(Act::Vote(&vote, &key, 1).is_in(&[decided("better")]), "this proof does not hold");
}

#[test]
fn what_operators_did_besides_is_what_somebody_has_signalled() {
    let action = |action: &str, reviewer: &str, to: &str| OperatorAction {
        action: action.into(),
        identity: "help desk".into(),
        reviewer: reviewer.into(),
        to: to.into(),
        ..OperatorAction::default()
    };
    let (ann, bob, eve) = ("ann@example.com", "bob@example.com", "eve@example.com");
    const REASSIGN: &str = r#"{"reviewer": "ann@example.com ", "to": "Bob@example.com"}"#;
    const REMIND: &str = r#"{"reviewer": "ann@example.com"}"#;
    for (act, name, input, expected) in [
        (action("reassign", ann, bob), "reassign", REASSIGN, true),
        (action("reassign", ann, eve), "reassign", REASSIGN, false),
        // The same person, and another mailbox.
        (action("reassign", ann, "bob+x@example.com"), "reassign", REASSIGN, false),
        (action("reassign", eve, bob), "reassign", REASSIGN, false),
        (action("reassign", ann, bob), "remind", REASSIGN, false),
        (action("remind", ann, ""), "remind", REMIND, true),
        (action("remind", eve, ""), "remind", REMIND, false),
        (action("remind", "", ""), "remind", REMIND, false),
        (action("remind", "", ""), "remind", "{}", true),
        (action("reissue", ann, ""), "reissue", REMIND, true),
        (action("reissue", eve, ""), "reissue", REMIND, false),
        (action("reissue", "", ""), "reissue", "{}", true),
        (action("reissue", "", ""), "reissue", REMIND, false),
        (action("reissue", ann, ""), "remind", REMIND, false),
        (action("withdraw", "", ""), "withdraw", r#"{"reason": "Done."}"#, true),
        (action("withdraw", "", ""), "remind", "{}", false),
    ] {
        let event = sent(name, input, "");
        assert_eq!(Act::Action(&act).is_in(&[event]), expected, "{act:?}: {name} {input}");
        let by_another = OperatorAction { identity: "somebody else".into(), ..act.clone() };
        assert!(!Act::Action(&by_another).is_in(&[sent(name, input, "")]), "{name} {input}");
        assert!(Act::Action(&act).is_in(&[encrypted(&act.action)]), "it may say anything");
    }
    let cancelled = event(Attributes::WorkflowExecutionCancelRequestedEventAttributes(
        WorkflowExecutionCancelRequestedEventAttributes::default(),
    ));
    let withdraw = action("withdraw", "", "");
    assert!(
        !Act::Action(&withdraw).is_in(std::slice::from_ref(&cancelled)),
        "nobody knows who cancels"
    );
    let by_unknown = OperatorAction { identity: UNKNOWN.into(), ..withdraw };
    assert!(Act::Action(&by_unknown).is_in(&[cancelled]));
}

#[test]
fn a_chain_of_runs_is_what_the_server_says_it_is() {
    let continued = event(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(
        WorkflowExecutionContinuedAsNewEventAttributes {
            new_execution_run_id: "third".to_owned(),
            ..Default::default()
        },
    ));
    let second = [run("first", "first"), sent("remind", "{}", ""), continued];
    assert!(is_of(&second, "first") && !is_of(&second, "second") && !is_of(&[], "first"));
    assert_eq!(before(&second).as_deref(), Some("first"));
    assert_eq!(after(&second).as_deref(), Some("third"));
    let only = [run("first", ""), sent("remind", "{}", "")];
    assert_eq!((before(&only), after(&only)), (None, None));
    let status =
        |details: &'static [u8]| Status::with_details(Code::NotFound, "not found", details.into());
    assert!(is_gone(&status(b"")));
    assert!(!is_gone(&status(
        b"type.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure"
    )));
    assert!(!is_gone(&Status::unavailable("not found")));
}

#[test]
fn a_revision_is_borne_out_by_the_very_signal_alone() {
    const REVISED: &str = r#"{"submissionId": "PO-1", "document": {"title": "12 laptops"}}"#;
    let revise = names::SIGNAL_REVISE;
    let document = v1::Document { title: "12 laptops".into(), ..<_>::default() };
    let submission =
        Submission { submission_id: "PO-1".into(), document: Some(document), ..<_>::default() };
    let is_it = |event: &HistoryEvent| {
        Act::Revision(&submission, "help desk").is_in(std::slice::from_ref(event))
    };
    assert!(is_it(&sent(revise, REVISED, "")));
    assert!(is_it(&sent(revise, &format!(r#"{{"submission": {REVISED}}}"#), "")));
    assert!(is_it(&encrypted(revise)), "a codec may have made it of anything");
    for other in [
        sent(revise, r#"{"submissionId": "PO-1", "document": {"title": "13 laptops"}}"#, ""),
        sent(revise, "{", ""),
        sent(names::SIGNAL_APPROVE, REVISED, ""),
    ] {
        assert!(!is_it(&other), "{other:?}");
    }
    assert!(!Act::Revision(&submission, "somebody else").is_in(&[sent(revise, REVISED, "")]));
    let version = v1::EarlierVersion {
        by: "operator".into(),
        identity: "help desk".into(),
        ..<_>::default()
    };
    let mut outcome = Outcome { earlier_versions: vec![version], ..<_>::default() };
    name(&mut outcome, &[sent(revise, REVISED, "olga")]);
    assert_eq!(outcome.earlier_versions[0].principal, "users:olga");
}
