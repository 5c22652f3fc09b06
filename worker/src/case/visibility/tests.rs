use countersign_protos::{
    names::COMMENT_MAX_CHARS,
    payload::{self, Encoding, Payload},
    submission,
};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    approval::{Due, Quorum, Verdict},
    case::{
        Case, Event, Step,
        tests::{CHAIN, begin_with},
    },
    leaves::{Leaves, SeatOf},
    mail::Writer,
    policy::{FollowUp, Plan, PlannedStage, TimePlan},
    recorded::{About, Issued, Notice},
    testing::{address, docs_schema, is_valid, keys, strict},
    validation::{Routing, validate},
};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn stage(name: &str, reviewers: &[&str], quorum: Quorum) -> PlannedStage {
    PlannedStage {
        name: name.into(),
        reviewers: reviewers.iter().map(|name| address(name)).collect(),
        quorum,
        time: TimePlan { deadline: "24h".parse().expect("a wait"), reminders: vec![] },
        on_deadline: OnDeadline::Reject,
        escalations: vec![],
    }
}

fn open(case: &mut Case, links: &[&str], time: &str) {
    case.issue(links, at(time));
}

#[test]
fn where_payloads_are_encrypted_no_search_attribute_names_anybody() {
    for encrypted in [false, true] {
        let case = planned_case(|plan| plan.encrypted = encrypted);
        let fields = SearchAttributes::updates_to_proto(case.search_attributes()).indexed_fields;
        let shown = format!("{:?}", fields.values().map(|field| &field.data).collect::<Vec<_>>());
        let named = format!("{:?}", b"@example.com").trim_matches(['[', ']']).to_owned();
        assert_eq!(fields.contains_key(ATTRIBUTE_REVIEWERS), !encrypted);
        assert_eq!(shown.contains(&named), !encrypted, "{fields:?}");
        assert!(fields.contains_key(ATTRIBUTE_STATUS) && fields.contains_key(ATTRIBUTE_LINKS));
    }
}

#[test]
fn a_submission_that_cannot_be_used_waits_for_nobody() {
    let mut case = Case::default();
    assert_eq!(case.status().status(), v1::Status::Pending);
    case.refuse("The submission cannot be used.".to_owned());
    assert_eq!(case.status().status(), v1::Status::Unspecified);
    assert_eq!(case.status().reason, "The submission cannot be used.");
}

fn started(result: Result<(), &str>) -> Event {
    Event::FollowUpFinished(result.map_err(str::to_owned))
}

#[test]
fn follow_up_workflows_and_notices_that_fail_stand_in_the_details() {
    let now = at("2026-11-24T12:00:00Z");
    let mut case = planned_case(|plan| {
        let namespace = Some("finance".into());
        let (workflow, task_queue) = ("Purchase".into(), "purchases".into());
        plan.follow_ups.approved = Some(FollowUp { workflow, task_queue, namespace });
    });
    decide(&mut case, Verdict::Approve, "di", "2026-11-24T12:00:00Z");
    assert!(matches!(case.next(now), Step::EndStage { .. }));
    assert!(matches!(case.next(now), Step::Conclude { .. }));
    case.sealed();
    case.handle(started(Ok(())), now);
    let (details, outcome) = (case.details(), case.outcome());
    let (id, key) = (&outcome.child_workflow_id, &outcome.execution_key[..8]);
    assert_eq!(*id, format!("laptops-approved-{key}"));
    let shown = format!("\nFollow-up workflow: {id}\n");
    assert!(details.contains(&shown), "{details}");
    assert_eq!(outcome.child_namespace, "finance");
    case.handle(started(Err("laptops-approved: refused")), now);
    let error = "**The follow-up workflow was not started**: laptops-approved: refused";
    assert!(case.details().contains(error), "{}", case.details());
    assert_eq!(case.status().follow_up_error, "laptops-approved: refused");
    let outcome = case.outcome();
    assert_eq!((&*outcome.child_workflow_id, &*outcome.child_namespace), ("", ""));
    assert_eq!(outcome.follow_up_error, "laptops-approved: refused");
    let notice = case.start_notices().pop().expect("the submitter gets one");
    assert_eq!(notice.recipient, address("sue"));
    let number = notice.number;
    let result = Err("no such mailbox".into());
    case.handle(Event::NoticeFinished { number, result }, now);
    let error = "**sue@example.com cannot be reached**: no such mailbox";
    assert!(case.details().contains(error), "{}", case.details());
}

#[test]
fn a_webhook_that_takes_no_outcome_is_to_be_seen_wherever_one_looks() {
    let undeliverable = |case: &Case| {
        let name = ATTRIBUTE_UNDELIVERABLE;
        let attributes = case.search_attributes();
        let shown = attributes.iter().find(|update| format!("{update:?}").contains(name));
        format!("{:?}", shown.expect("the attribute"))
    };
    let mut case = case();
    case.delivered("d", true, Ok(()));
    let before = undeliverable(&case);
    let refusal = Err("the webhook answered 410 Gone".to_owned());
    let now = at("2026-11-24T12:00:00Z");
    case.handle(Event::WebhookFinished(refusal), now);
    assert_ne!(undeliverable(&case), before, "a search finds it");
    let told = "the webhook answered 410 Gone";
    assert_eq!((&*case.status().webhook_error, &*case.outcome().webhook_error), (told, told));
    let told = "**The webhook did not take the outcome**: the webhook answered 410 Gone";
    assert!(case.details().contains(told), "{}", case.details());
}

#[test]
fn a_stage_that_is_not_open_yet_has_no_approvals_to_count() {
    let stages = vec![
        stage("Manager", &["ann"], Quorum::Any),
        stage("Finance", &["bob", "cy"], Quorum::All),
    ];
    let mut case = Case::default();
    let now = "2026-11-24T09:00:00Z";
    begin_with(&mut case, &Plan::asking(Default::default(), address("sue"), stages));
    assert_eq!(case.outcome().reason, "Manager is asked next.");
    let stages = case.status().stages;
    let on_deadline = stages.iter().map(|stage| stage.on_deadline.as_str());
    assert_eq!(on_deadline.collect::<Vec<_>>(), ["reject", "reject"], "nobody else is asked");
    open(&mut case, &["a"], now);
    assert_eq!(case.outcome().reason, "Manager waits for a decision.");
    decide(&mut case, Verdict::Approve, "ann", now);
    assert_eq!(case.outcome().reason, "Finance is asked next.");
    open(&mut case, &["b", "c"], now);
    assert_eq!(case.outcome().reason, "Finance has 0 of the 2 approvals it needs.");
}

/// A manager approved; of Finance, two of three are needed and one has approved.
fn case() -> Case {
    planned_case(|_| ())
}

fn planned_case(plan_further: impl FnOnce(&mut Plan)) -> Case {
    let document = v1::Document {
        title: "15 *new* laptops".into(),
        amount: "15750.00".into(),
        currency: "USD".into(),
        ..Default::default()
    };
    let submitter = v1::Submitter { name: "Sue".into(), ..Default::default() };
    let mut case = Case::default();
    let submission = v1::Submission {
        submission_id: "PO_1".into(),
        submitter: Some(submitter),
        document: Some(document),
        ..Default::default()
    };
    let stages = vec![
        stage("Manager", &["ann", "zed"], Quorum::Any),
        stage("Finance", &["bob", "cy", "di"], Quorum::at_least(2).expect("positive")),
    ];
    let mut plan = Plan::asking(submission, address("sue"), stages);
    plan_further(&mut plan);
    begin_with(&mut case, &plan);
    open(&mut case, &["a", "z"], "2026-11-24T09:00:00Z");
    case.delivered("a", false, Ok(()));
    decide(&mut case, Verdict::Approve, "ann", "2026-11-24T10:00:00Z");
    open(&mut case, &["b", "c", "d"], "2026-11-24T10:00:01Z");
    case.delivered("b", false, Ok(()));
    case.delivered("d", false, Err("no such mailbox".into()));
    decide(&mut case, Verdict::Approve, "bob", "2026-11-24T11:00:00Z");
    case
}

fn decide(case: &mut Case, verdict: Verdict, name: &str, time: &str) {
    let decision = v1::Decision { reviewer: address(name).to_string(), ..Default::default() };
    case.decide(verdict, &[payload::encode(&decision, Encoding::JsonPlain)], at(time));
}

#[test]
fn the_details_tell_the_story_so_far() {
    let mut case = case();
    decide(&mut case, Verdict::Approve, "eve", "2026-11-24T11:00:00Z");
    assert_eq!(
        case.details(),
        "### 15 \\*new\\* laptops

**15,750.00 USD** for PO\\_1, submitted by Sue (sue@example.com)

**PENDING** Finance has 1 of the 2 approvals it needs.


**Manager** (quorum any), ended Tue 24 Nov 2026, 10:00 UTC

- ann@example.com **approved**, recorded by an operator (op@laptop)
- zed@example.com did not decide

**Finance** (quorum 2), reject at Wed 25 Nov 2026, 10:00 UTC

- bob@example.com **approved**, recorded by an operator (op@laptop)
- cy@example.com is being asked
- di@example.com **cannot be reached**: no such mailbox

Ignored signals: 1. The query `status` says why.
"
    );
}

#[test]
fn the_details_begin_with_the_amount_the_action_or_the_title_alone() {
    let with = |change: fn(&mut v1::Document)| {
        let mut case = Case::default();
        let mut document = v1::Document { title: "Shop".into(), ..Default::default() };
        change(&mut document);
        let submission = v1::Submission {
            submission_id: "D-1".into(),
            document: Some(document),
            ..Default::default()
        };
        let stages = vec![stage("Ops", &["ann"], Quorum::Any)];
        begin_with(&mut case, &Plan::asking(submission, address("sue"), stages));
        case.details().lines().nth(2).unwrap_or_default().to_owned()
    };
    let action = |name: &str| Some(v1::Action { name: name.into(), ..Default::default() });
    let by = "submitted by  (sue@example.com)";
    assert_eq!(with(|_| ()), format!("D-1, {by}"));
    let shown = with(|document| {
        document.action = Some(v1::Action { name: "deploy\n_all_".into(), ..Default::default() });
    });
    assert_eq!(shown, format!("**deploy⟨U+000A⟩\\_all\\_** for D-1, {by}"));
    let mut both = v1::Document { amount: "5.00".into(), currency: "EUR".into(), ..<_>::default() };
    both.action = action("pay");
    assert_eq!(lead(&both), "**5.00 EUR**, **pay** for ");
}

#[test]
fn a_time_out_that_ends_an_approval_before_its_deadline_stands_in_the_details() {
    let words = "**Temporal ends this workflow at Wed 25 Nov 2026, 09:59 UTC**, before the deadline of \
                 Finance: it was started with a time-out.";
    let mut case = case();
    for (ends, is_said) in
        [(None, false), (Some("2026-11-25T09:59:00Z"), true), (Some("2026-11-25T10:00:01Z"), false)]
    {
        case.times_out(ends.map(at));
        assert_eq!(case.details().contains(words), is_said, "{}", case.details());
        assert_eq!(case.status().times_out_at.is_some(), ends.is_some());
    }
    case.times_out(Some(at("2026-11-25T09:59:00Z")));
    decide(&mut case, Verdict::Approve, "cy", "2026-11-24T12:00:00Z");
    assert!(!case.details().contains("Temporal ends"), "it is decided: {}", case.details());
}

#[test]
fn times_are_those_of_the_calendars_zone() {
    let mut case = planned_case(|plan| plan.time_zone = "America/Los_Angeles".into());
    assert_eq!(case.status().time_zone, "America/Los_Angeles");
    assert_eq!(case.outcome().time_zone, "America/Los_Angeles");
    let details = case.details().replace('\\', "");
    let end = "ended Tue 24 Nov 2026, 02:00 PST (America/Los_Angeles)\n";
    assert!(details.contains(end), "{details}");
    let deadline = "Wed 25 Nov 2026, 02:00 PST (America/Los_Angeles)";
    assert!(details.contains(&format!("reject at {deadline}\n")), "{details}");
    let (_, summary) = case.next_wait(at("2026-11-24T11:00:00Z")).until.expect("a deadline");
    assert_eq!(summary, format!("Deadline of Finance ({deadline})"));
}

#[test]
fn silence_does_not_approve_what_somebody_rejected_and_people_are_told_so() {
    let mut finance = stage("Finance", &["ann", "bob", "cy"], Quorum::at_least(2).expect("two"));
    finance.on_deadline = OnDeadline::Approve;
    let plan = Plan::asking(Default::default(), address("sue"), vec![finance]);
    let mut case = Case::default();
    let now = "2026-11-24T09:00:00Z";
    begin_with(&mut case, &plan);
    open(&mut case, &["a", "b", "c"], now);
    let consequences = |case: &mut Case| {
        let reminder = v1::Reminder { reviewer: address("cy").to_string() };
        let reminder = payload::encode(&reminder, Encoding::JsonPlain);
        case.send("remind", &[reminder], at(now));
        let wait = case.next_wait(at(now));
        for request in &wait.requests {
            case.delivered(&request.link, request.reminder, Ok(()));
        }
        let mail = wait.requests.iter().find(|request| request.link == "c").expect("Cy's mail");
        (case.status().stages[0].on_deadline.clone(), mail.on_deadline)
    };
    assert_eq!(consequences(&mut case), ("approve".to_owned(), OnDeadline::Approve));
    decide(&mut case, Verdict::Approve, "ann", now);
    decide(&mut case, Verdict::Reject, "bob", now);
    assert_eq!(case.status().status(), v1::Status::Pending, "two of three may still approve");
    assert_eq!(consequences(&mut case), ("reject".to_owned(), OnDeadline::Reject));
    case.handle(Event::TimePassed, at("2026-11-30T00:00:00Z"));
    let outcome = case.outcome();
    assert_eq!(outcome.status(), v1::Status::Rejected);
    assert_eq!(
        outcome.reason,
        "Finance was not decided before its deadline, and counts as rejected, as \
         bob@example.com rejected it."
    );
}

#[test]
fn what_has_not_taken_the_outcome_yet_is_said_until_it_has() {
    let next = FollowUp {
        workflow: "Purchase_1".into(),
        task_queue: "purchases".into(),
        namespace: Some("finance".into()),
    };
    let decided = || {
        let mut case = planned_case(|plan| {
            plan.webhook = true;
            plan.follow_ups.approved = Some(next.clone());
        });
        assert_eq!(case.status().handing_on, "", "it is not decided");
        assert!(!case.details().contains("Decided"), "{}", case.details());
        decide(&mut case, Verdict::Approve, "di", "2026-11-24T12:00:00Z");
        case
    };
    let said = |case: &Case, pending: &str| {
        let (handing_on, details) = (case.status().handing_on, case.details());
        assert_eq!(handing_on, format!("Decided. Waiting for {pending}."));
        let shown = format!("\n\n{}\n\n", markdown(&handing_on));
        assert!(details.contains(&shown), "{details}");
        assert!(!details.contains("closed"), "{details}");
    };
    let now = at("2026-11-24T12:00:00Z");
    for start in [Ok(()), Err("it is there")] {
        let mut case = decided();
        said(&case, "the workflow Purchase_1 to start and the webhook to accept the outcome");
        case.handle(started(start), now);
        said(&case, "the webhook to accept the outcome");
        case.handle(Event::WebhookFinished(Ok(())), now);
        assert_eq!(case.status().handing_on, "");
        assert!(!case.details().contains("Decided"), "{}", case.details());
    }
    let mut case = planned_case(|plan| plan.webhook = true);
    case.handle(Event::Cancelled("ordered twice".into()), at("2026-11-24T12:00:00Z"));
    said(&case, "the webhook to accept the outcome");
}

/// A search attribute, as Temporal gets it.
fn attribute(case: &Case, name: &str) -> String {
    let mut fields = SearchAttributes::updates_to_proto(case.search_attributes()).indexed_fields;
    String::from_utf8(fields.remove(name).expect("it is written").data).expect("UTF-8")
}

#[test]
fn a_search_finds_until_when_the_open_stage_has_to_be_decided_and_nothing_afterwards() {
    let mut case = case();
    let deadline = |case: &Case| attribute(case, ATTRIBUTE_DEADLINE);
    assert_eq!(deadline(&case), "\"2026-11-25T10:00:01.000000000Z\"");
    decide(&mut case, Verdict::Approve, "di", "2026-11-24T12:00:00Z");
    assert_eq!(deadline(&case), "[]", "nobody waits any more");
    case.sealed();
    assert_eq!(deadline(&case), "[]");

    let mut unopened = Case::default();
    let stages =
        vec![stage("Manager", &["ann"], Quorum::Any), stage("Finance", &["bob"], Quorum::Any)];
    begin_with(&mut unopened, &Plan::asking(Default::default(), address("sue"), stages));
    assert_eq!(deadline(&unopened), "[]");
    open(&mut unopened, &["a"], "2026-11-24T09:00:00.5Z");
    assert_eq!(deadline(&unopened), "\"2026-11-25T09:00:00.500000000Z\"");
    decide(&mut unopened, Verdict::Approve, "ann", "2026-11-24T10:00:00Z");
    assert_eq!(deadline(&unopened), "[]", "the next stage is not open yet");
    open(&mut unopened, &["b"], "2026-11-24T10:00:01Z");
    assert_eq!(deadline(&unopened), "\"2026-11-25T10:00:01.000000000Z\"", "the next stage's");
    unopened.handle(Event::TimePassed, at("2026-11-30T00:00:00Z"));
    assert_eq!(deadline(&unopened), "[]");
}

#[test]
fn a_follow_up_workflow_that_fails_while_the_approval_is_open_is_to_be_seen_wherever_one_looks() {
    let now = at("2026-11-24T12:00:00Z");
    let mut case = planned_case(|plan| {
        plan.webhook = true;
        let (workflow, task_queue) = ("Purchase".into(), "purchases".into());
        plan.follow_ups.approved = Some(FollowUp { workflow, task_queue, namespace: None });
    });
    decide(&mut case, Verdict::Approve, "di", "2026-11-24T12:00:00Z");
    assert!(matches!(case.next(now), Step::EndStage { .. }));
    assert!(matches!(case.next(now), Step::Conclude { .. }));
    case.sealed();
    assert!(matches!(case.next(now), Step::Act(_)), "the follow-up workflow");
    assert!(matches!(case.next(now), Step::Act(_)), "the webhook");
    case.handle(started(Ok(())), now);
    case.next_wait(now);
    let why = "laptops-approved-7 failed: no budget";
    case.handle(Event::FollowUpFailed(why.to_owned()), now);
    assert!(case.has_changed() && case.next_wait(now).publish, "a search finds it at once");
    assert_eq!(attribute(&case, ATTRIBUTE_UNDELIVERABLE), "true");
    let outcome = case.outcome();
    assert_eq!((&*case.status().follow_up_error, &*outcome.follow_up_error), (why, why));
    assert!(!outcome.child_workflow_id.is_empty(), "it was started");
    let shown = format!("**The follow-up workflow has failed**: {why}");
    assert!(case.details().contains(&shown), "{}", case.details());
    case.handle(Event::WebhookFinished(Ok(())), now);
    let Step::Wait(wait) = case.next(now) else { panic!("for the notice") };
    assert!(wait.until.is_some(), "nothing waits for it: {wait:?}");
}

#[test]
fn only_what_a_workflow_has_is_unset() {
    let foreign = SearchAttributeKey::<String>::keyword("Department").value_set("IT".into());
    assert!(unset(&SearchAttributes::new([foreign.clone()])).is_empty());
    let present = SearchAttributes::new([
        STATUS.value_set("PENDING".into()),
        LINKS.value_set(vec!["a".into()]),
        foreign,
    ]);
    let unset = unset(&present);
    let names: Vec<&str> = unset.iter().map(SearchAttributeUpdate::name).collect();
    assert_eq!(names, [ATTRIBUTE_STATUS, ATTRIBUTE_LINKS]);
    let sent = SearchAttributes::updates_to_proto(unset).indexed_fields;
    assert!(sent.values().all(|payload| payload.data == b"[]"), "{sent:?}");
}

#[test]
fn the_state_says_what_became_of_each_mail() {
    let state = case().status();
    let deliveries = |stage: usize| -> Vec<v1::Delivery> {
        state.stages[stage].reviewers.iter().map(v1::ReviewerState::delivery).collect()
    };
    use v1::Delivery::{NotNeeded, Sending, Sent, Undeliverable};
    assert_eq!(deliveries(0), [Sent, NotNeeded]);
    assert_eq!(deliveries(1), [Sent, Sending, Undeliverable]);
    assert_eq!(state.stages[1].reviewers[2].delivery_error, "no such mailbox");
    let mut case = case();
    case.delivered("c", false, Ok(()));
    let taken = "- cy@example.com was asked; the mail was taken for delivery\n";
    assert!(case.details().contains(taken), "{}", case.details());
    assert_eq!(state.status(), v1::Status::Pending);
}

#[test]
fn each_end_has_its_reason() {
    let approved = |case: &mut Case| decide(case, Verdict::Approve, "di", "2026-11-24T12:00:00Z");
    let rejected = |case: &mut Case| {
        decide(case, Verdict::Reject, "di", "2026-11-24T12:00:00Z");
        decide(case, Verdict::Reject, "cy", "2026-11-24T12:00:00Z");
    };
    let late = |case: &mut Case| {
        case.handle(Event::TimePassed, at("2026-11-30T00:00:00Z"));
    };
    let withdrawn = |case: &mut Case| {
        case.handle(Event::Cancelled("ordered twice".into()), at("2026-11-24T12:00:00Z"));
    };
    let check = |end: fn(&mut Case), status: v1::Status, reason: &str| {
        let mut case = case();
        end(&mut case);
        let outcome = case.outcome();
        assert_eq!((outcome.status(), outcome.reason.as_str()), (status, reason));
        assert_eq!(outcome.stages[0].status(), v1::Status::Approved);
        assert_eq!(outcome.stages[1].status(), status);
    };
    check(approved, v1::Status::Approved, "Approved by bob@example.com and di@example.com.");
    check(rejected, v1::Status::Rejected, "Rejected by di@example.com and cy@example.com.");
    let by_deadline = "Finance was not decided before its deadline, which counts as rejection.";
    check(late, v1::Status::Rejected, by_deadline);
    check(withdrawn, v1::Status::Withdrawn, "Withdrawn: ordered twice.");
    let (reason, at) = ("Wrong \u{201c}budget?\u{201d}", at("2026-11-24T12:00:00Z"));
    let mut case = case();
    case.handle(Event::Cancelled(reason.into()), at);
    assert_eq!(case.outcome().reason, format!("Withdrawn: {reason}"), "one full stop is enough");
}

/// With whatever there is in them, and with nothing else.
#[test]
fn status_and_outcome_are_as_their_schemas_say() {
    let schemas = ["status", "outcome"].map(|name| strict(docs_schema(name)));
    let check = |case: &Case| {
        let status = payload::encode(&case.status(), Encoding::JsonPlain);
        let outcome = payload::encode(&case.outcome(), Encoding::JsonPlain);
        for (schema, sent) in schemas.iter().zip([status, outcome]) {
            let sent = serde_json::from_slice(&sent.data).expect("JSON");
            assert!(is_valid(schema, &sent));
        }
    };
    let now = at("2026-11-24T12:00:00Z");
    check(&Case::default());
    check(&case());
    let mut ended = case();
    let json = |message: &str| payload::Payload {
        data: message.as_bytes().to_vec(),
        ..payload::encode(&v1::Submission::default(), Encoding::JsonPlain)
    };
    ended.send("remind", &[json(r#"{"reviewer": "cy@example.com"}"#)], now);
    ended.send(
        "reassign",
        &[json(r#"{"reviewer": "di@example.com", "to": "eve@example.com"}"#)],
        now,
    );
    ended.send("approve", &[json("{}")], now);
    check(&ended);
    ended.send("withdraw", &[json(r#"{"reason": "ordered twice"}"#)], now);
    check(&ended);
    let mut late = case();
    late.handle(Event::TimePassed, at("2026-11-30T00:00:00Z"));
    check(&late);
    let mut approved = approved_by(Quorum::All, 2, 3, 0b01);
    approved.sealed();
    approved.handle(started(Err("refused")), now);
    approved.handle(Event::WebhookFinished(Err("410 Gone".to_owned())), now);
    check(&approved);
    let is_signed = !approved.status().jws.is_empty();
    assert!(is_signed && approved.status().stages[0].reviewers[1].vote.is_some());
    // Each schema is about something.
    assert!(!is_valid(&schemas[0], &serde_json::json!({"status": "DONE"})));
    assert!(!is_valid(&schemas[1], &serde_json::json!({"stage": []})));
}

/// An approval by so many votes in each of these stages of three. Of the bits of `by_operators`, each says
/// whether an operator has given a vote.
fn approved_by(quorum: Quorum, stages: usize, votes: usize, by_operators: u32) -> Case {
    let (keys, now) = (keys(), at("2026-11-24T09:00:00Z"));
    let people = [["ann", "bob", "cy"], ["di", "eve", "flo"]];
    let planned = people[..stages].iter().map(|people| stage("Stage", people, quorum)).collect();
    let plan = Plan::asking(Default::default(), address("sue"), planned);
    let leaves = Leaves { chain: CHAIN, plan: &plan, key: keys.first() };
    let mut case = Case::default();
    begin_with(&mut case, &plan);
    for position in 0..stages {
        let to_ask = case.next_issue(now).expect("somebody to ask").to_ask;
        let invited = leaves.invite(&to_ask, None, now);
        let due = Some(Due { deadline: at("2026-11-25T09:00:00Z"), reminders: vec![] });
        let issued = Issued { opened_at: now, invited: invited.clone(), due, submitter: None };
        case.handle(Event::LinksIssued(issued), now);
        for (seat, one) in invited.iter().take(votes).enumerate() {
            let (stage, round, reviewer) = (position, to_ask.round, &one.reviewer);
            let (on_behalf_of, instead_of) = (None, None);
            let link = SeatOf { stage, round, reviewer, on_behalf_of, instead_of };
            let press = v1::Decision {
                link: one.link.clone(),
                proof: Some(leaves.link(link).sign(Verdict::Approve, "", now)),
                ..Default::default()
            };
            let signal = v1::Decision { reviewer: reviewer.to_string(), ..Default::default() };
            let by_operator = by_operators >> (position * votes + seat) & 1 == 1;
            let decision = if by_operator { signal } else { press };
            case.decide(Verdict::Approve, &[payload::encode(&decision, Encoding::JsonPlain)], now);
        }
    }
    case
}

#[test]
fn a_press_and_an_operators_signal_are_told_apart_in_every_combination() {
    const TOLD: &str = "recorded by an operator (op@laptop)";
    let two = Quorum::at_least(2).expect("positive");
    for (quorum, votes) in [(Quorum::Any, 1), (Quorum::All, 3), (two, 2)] {
        for stages in [1, 2] {
            for by_operators in 0..1 << (stages * votes) {
                let what = format!("{quorum}, {stages} stages, {by_operators:b}");
                let mut case = approved_by(quorum, stages, votes, by_operators);
                let by = |vote: usize| ["link", "operator"][(by_operators >> vote & 1) as usize];
                let expected: Vec<&str> = (0..stages * votes).map(by).collect();
                let count = by_operators.count_ones() as usize;

                let (outcome, state) = (case.outcome(), case.status());
                assert_eq!(outcome.status(), v1::Status::Approved, "{what}: {outcome:?}");
                assert_eq!(outcome.operator, count > 0, "{what}");
                let votes = || outcome.stages.iter().flat_map(|stage| &stage.decisions);
                assert_eq!(votes().map(|vote| &*vote.by).collect::<Vec<_>>(), expected, "{what}");
                let reviewers = state.stages.iter().flat_map(|stage| &stage.reviewers);
                let shown = reviewers.filter_map(|one| one.vote.as_ref());
                assert_eq!(shown.map(|vote| &*vote.by).collect::<Vec<_>>(), expected, "{what}");
                assert_eq!(case.details().matches(TOLD).count(), count, "{what}");

                let letter = Writer::default().outcome(&outcome);
                for mail in [&letter.text, &letter.html] {
                    assert_eq!(mail.matches(TOLD).count(), count, "{what}: {mail}");
                }
                let told = case.start_notices().into_iter().filter_map(|notice| match notice {
                    Notice { recipient, about: About::DecidedByOperator(_), .. } => Some(recipient),
                    _ => None,
                });
                let told: Vec<String> = told.map(|whom| whom.to_string()).collect();
                let represented = votes().filter(|vote| vote.by == "operator");
                let represented: Vec<String> = represented.map(|it| it.reviewer.clone()).collect();
                assert_eq!(told, represented, "{what}");
            }
        }
    }
}

/// Temporal takes 2 MiB, and clients that it answers 4 MiB.
const MAX_STATUS_BYTES: usize = 1024 * 1024;

/// A submission of nearly so many bytes, with all that there may be of it, for each of these people.
fn large(bytes: usize, people: usize, parts: [usize; 4]) -> Value {
    let share = |part: usize| bytes * parts[part] / parts.iter().sum::<usize>().max(1);
    let text = |bytes: usize| "\u{1F600}".repeat((bytes / 4).min(10_000));
    let reviewers: Vec<String> = (0..people).map(|i| format!("r{i}@x.io")).collect();
    let details = (share(0) / 40_000).min(100);
    let details = vec![json!({"label": "More", "value": text(40_000)}); details];
    // The canonical form of a number may be longer than what was sent.
    let numbers = vec![1e15; (share(1) / 17).min(3_800)];
    let items = vec![
        json!({"amount": 1, "description": "\u{1F600}\"".repeat(30)});
        (share(2) / 260).min(1_000)
    ];
    let amount = items.len().to_string();
    let attachments =
        vec![format!("s3://x/{}", "\u{1F600}".repeat(2_000)); (share(3) / 8_100).min(50)];
    json!({
        "submissionId": "D-1",
        "submitter": {"name": "Sue", "email": "sue@example.com"},
        "document": {
            "title": "\u{1F600}".repeat(200), "amount": amount, "currency": "BHD", "description": text(bytes / 8),
            "items": items, "attachments": attachments, "details": details,
            "action": {"name": "deploy", "arguments": numbers, "reason": text(bytes / 8)},
        },
        "approval": {"stages": [{"reviewers": reviewers, "quorum": "all"}]},
        "fields": texts(people),
    })
}

/// As many fields as so many people can answer, which fill in what is longest.
fn texts(people: usize) -> Vec<Value> {
    let number = match people {
        0..=16 => 20,
        17..=38 => 1,
        _ => 0,
    };
    let label = "é".repeat(30);
    (0..number).map(|i| json!({"name": format!("f{i}"), "label": label})).collect()
}

/// The plan of the largest submission of this shape that is accepted.
fn largest(people: usize, parts: [usize; 4]) -> Plan {
    let planned = |bytes: usize| {
        let json = large(bytes, people, parts).to_string();
        let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
        let (read, problems) = submission::read(&[Payload { metadata, data: json.into() }]);
        validate(read, problems, &Routing::default(), None, Timestamp::UNIX_EPOCH).ok()
    };
    let (mut accepted, mut refused) = (0_usize, 64_usize);
    while refused - accepted > 1 {
        let between = accepted.midpoint(refused);
        match planned(4 * 1024 * between) {
            Some(_) => accepted = between,
            None => refused = between,
        }
    }
    planned(4 * 1024 * accepted).expect("the smallest is accepted")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn status_stays_under_a_mebibyte_whatever_is_submitted_and_said(
        people in prop_oneof![Just(1_usize), Just(7), Just(80), 1_usize..=80],
        parts in [0_usize..9, 0_usize..9, 0_usize..9, 0_usize..9],
    ) {
        let plan = largest(people, parts);
        let mut case = Case::default();
        begin_with(&mut case, &plan);
        let links: Vec<String> = (0..people).map(|i| format!("{i:0>52}")).collect();
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        let now = "2026-11-24T09:00:00Z";
        open(&mut case, &links, now);
        let longest = "\u{1F600}".repeat(COMMENT_MAX_CHARS);
        for (i, link) in links.iter().enumerate() {
            case.delivered(link, false, Err("x".repeat(1_000)));
            let reviewer = format!("r{i}@x.io");
            let reminder = v1::Reminder { reviewer: reviewer.clone() };
            case.send("remind", &[payload::encode(&reminder, Encoding::JsonPlain)], at(now));
            let fields = &plan.submission.fields;
            let answer = "\u{1F600}".repeat(4_000 / fields.len().max(2));
            let answers = fields.iter().map(|it| (it.name.clone(), answer.clone())).collect();
            let decision =
                v1::Decision { reviewer, comment: longest.clone(), answers, ..<_>::default() };
            let decision = [payload::encode(&decision, Encoding::JsonPlain)];
            case.decide(Verdict::Approve, &decision, at(now));
            case.decide(Verdict::Reject, &decision, at(now));
        }
        let votes = case.status().stages.into_iter().flat_map(|stage| stage.reviewers);
        prop_assert!(votes.filter_map(|one| one.vote).all(|vote| vote.answers.len() == plan.submission.fields.len()));
        case.sealed();
        let status = payload::encode(&case.status(), Encoding::JsonPlain).data;
        prop_assert!(status.len() < MAX_STATUS_BYTES, "{} people: {} bytes", people, status.len());
        let document = plan.submission.document.expect("there");
        prop_assert!(document.action.is_some());
    }
}
