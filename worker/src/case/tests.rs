mod delegation;

use countersign_protos::{
    Chain, comment_hash,
    payload::{self, Encoding},
};
use serde_json::json;

use super::{
    deliveries::MAX_REMINDED_BY_OPERATORS,
    inbox::{MAX_HELD, MAX_HELD_BYTES, MAX_REASONS},
    notices::AT_ONCE,
    *,
};
use crate::{
    approval::{Entry, Invited, OnDeadline, Quorum, ToAsk, Verdict, Whom},
    limits::MAX_SEATS,
    policy::{Absence, PlannedLevel, PlannedStage, TimePlan, invitees},
    recorded::About,
    testing::{self, address},
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// What tests do to a case, and see of it.
impl Case {
    pub(super) fn send(&mut self, signal: &str, payloads: &[Payload], now: Timestamp) {
        let identity = "op@laptop".to_owned();
        self.handle(Event::Signal(signal.to_owned(), payloads.to_vec(), identity), now);
    }

    pub(super) fn decide(&mut self, verdict: Verdict, payloads: &[Payload], now: Timestamp) {
        self.send(verdict.terms().name, payloads, now);
    }

    fn reassign(&mut self, from: &str, to: &str) {
        let order = json!({"reviewer": full(from), "to": full(to)});
        self.send(names::SIGNAL_REASSIGN, &order_of(order), NOW);
    }

    fn remind(&mut self, payloads: &[Payload]) {
        self.send(names::SIGNAL_REMIND, payloads, NOW);
    }

    fn reissue(&mut self, payloads: &[Payload]) {
        self.send(names::SIGNAL_REISSUE, payloads, NOW);
    }

    /// Has links issued for whoever is to be asked.
    pub(super) fn issue(&mut self, links: &[&str], now: Timestamp) {
        let issue = self.next_issue(now).expect("somebody to ask");
        self.handle(Event::LinksIssued(testing::issued(&issue, links)), now);
    }

    pub(super) fn next_issue(&mut self, now: Timestamp) -> Option<Issue> {
        loop {
            match self.next(now) {
                Step::Issue { issue, .. } => return Some(*issue),
                Step::EndStage { .. } => {}
                _ => return None,
            }
        }
    }

    /// What the workflow waits for, and does before.
    pub(super) fn next_wait(&mut self, now: Timestamp) -> Wait {
        match self.next(now) {
            Step::Wait(wait) => wait,
            other => panic!("{other:?}"),
        }
    }

    /// The links of those who get a mail now.
    fn mailed(&mut self) -> Vec<String> {
        self.next_wait(NOW).requests.into_iter().map(|request| request.link).collect()
    }

    /// That those who are to be asked have been mailed.
    pub(super) fn all_sent(&mut self) {
        for request in self.next_wait(NOW).requests {
            self.delivered(&request.link, request.reminder, Ok(()));
        }
    }

    pub(super) fn delivered(&mut self, link: &str, reminder: bool, result: Result<(), String>) {
        self.handle(Event::RequestFinished { link: link.into(), reminder, result }, NOW);
    }

    /// That the outcome is sealed.
    pub(super) fn sealed(&mut self) {
        let key = testing::keys();
        let outcome = Sealed::new(&self.outcome(), CHAIN, key.first()).expect("JSON");
        let jws = key.first().sign(&outcome::claims(&self.outcome(), CHAIN));
        self.handle(Event::Concluded(Concluded { outcome, jws }), NOW);
    }

    pub(super) fn outcome(&self) -> v1::Outcome {
        self.open.as_ref().map(Open::outcome).unwrap_or_default()
    }

    fn waiting(&self) -> Vec<&str> {
        let stage = self.open.as_ref().and_then(|open| open.approval.open_stage());
        let stage = stage.expect("an open stage");
        stage
            .undecided()
            .map(|seat| seat.reviewer.as_str().trim_end_matches("@example.com"))
            .collect()
    }

    fn votes(&self) -> usize {
        let stages = self.open.iter().flat_map(|open| open.approval.stages());
        stages.map(|stage| stage.votes().len()).sum()
    }

    /// Why signals at [`NOW`] were ignored.
    pub(super) fn reasons(&self) -> Vec<String> {
        let reasons = self.inbox.reasons.iter();
        reasons.map(|reason| reason.replacen(" at 1970-01-01T00:00:00Z: ", ": ", 1)).collect()
    }
}

fn full(name: &str) -> String {
    format!("{name}@example.com")
}

pub(super) fn plan() -> Plan {
    let stage = PlannedStage {
        name: "Finance".into(),
        reviewers: vec![address("ann"), address("bob")],
        quorum: Quorum::All,
        time: TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] },
        on_deadline: OnDeadline::Expire,
        escalations: vec![],
    };
    Plan::asking(v1::Submission::default(), address("sue"), vec![stage])
}

pub(super) const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

fn begin(case: &mut Case) {
    begin_with(case, &plan());
}

pub(super) fn begin_with(case: &mut Case, plan: &Plan) {
    let begun = case.begin(testing::sealed(plan, CHAIN), CHAIN, Encoding::JsonPlain, NOW);
    begun.expect("a plan");
}

fn valid_case() -> Case {
    let mut case = Case::default();
    begin(&mut case);
    case
}

/// Ann and Bob are asked, by the links `a` and `b`.
fn opened_case() -> Case {
    let mut case = valid_case();
    open(&mut case, &["a", "b"]);
    case
}

pub(super) fn open(case: &mut Case, links: &[&str]) {
    case.issue(links, NOW);
}

/// What a run leaves to the next one.
pub(super) fn left(case: &Case) -> Case {
    let json = serde_json::to_string(case).expect("it can be written");
    serde_json::from_str(&json).expect("it can be read")
}

pub(super) fn order_of(json: serde_json::Value) -> Vec<Payload> {
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    vec![Payload { metadata, data: json.to_string().into_bytes() }]
}

pub(super) fn signal(reviewer: &str, comment: &str) -> Vec<Payload> {
    let decision =
        v1::Decision { reviewer: reviewer.into(), comment: comment.into(), ..Default::default() };
    vec![payload::encode(&decision, Encoding::JsonPlain)]
}

#[test]
fn decisions_that_come_before_the_stage_is_open_are_taken_when_it_opens() {
    let mut case = Case::default();
    case.decide(Verdict::Approve, &signal("ann@example.com", "early"), NOW);
    begin(&mut case);
    case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
    assert_eq!(case.votes(), 0);
    open(&mut case, &["a", "b"]);
    assert_eq!(case.outcome().status(), v1::Status::Approved);
    assert_eq!(case.inbox.ignored, 0);
}

#[test]
fn a_flood_of_early_decisions_is_bounded_and_counted() {
    let mut case = Case::default();
    for _ in 0..MAX_HELD + 5 {
        case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    }
    assert_eq!(case.inbox.until_open.signals.len(), MAX_HELD);
    assert_eq!(case.inbox.ignored, 5);
}

/// Sends five signals, of which three take less than may be held, and four more.
fn send_large(case: &mut Case) {
    let large = order_of(json!({"link": "x".repeat(MAX_HELD_BYTES / 4)}));
    for _ in 0..5 {
        case.decide(Verdict::Approve, &large, NOW);
    }
}

#[test]
fn signals_are_held_up_to_a_size_and_those_beyond_it_are_counted() {
    let mut case = Case::default();
    send_large(&mut case);
    assert_eq!(case.reasons(), ["approve: no stage is open yet"; 2]);
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    assert_eq!(case.inbox.until_open.signals.len(), 4, "a small one still fits");
    case.inbox.forget_decisions(NOW);
    assert_eq!(case.inbox.ignored, 6);
    send_large(&mut case);
    assert_eq!(case.inbox.until_open.signals.len(), 3, "there is room again");

    let mut next = Case::default();
    send_large(&mut next);
    next.resume(left(&case), NOW);
    assert_eq!(next.inbox.until_open.signals.len(), 3, "of both runs together");
    assert_eq!(next.inbox.ignored, 8 + 2 + 3);

    let mut case = opened_case();
    case.reassign("ann", "cy");
    case.next_issue(NOW).expect("Cy is asked");
    send_large(&mut case);
    assert_eq!(case.inbox.while_issuing.signals.len(), 3);
    assert_eq!(case.reasons(), ["approve: too many signals at once"; 2]);
}

#[test]
fn what_does_not_count_is_counted_with_its_reason_and_without_its_content() {
    let mut case = opened_case();
    let mut garbage = signal("ann@example.com", "");
    garbage[0].data = b"\"7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T\"".to_vec();
    case.decide(Verdict::Approve, &garbage, NOW);
    case.decide(Verdict::Approve, &[], NOW);
    case.decide(Verdict::Reject, &[signal("a@b.c", ""), signal("a@b.c", "")].concat(), NOW);
    case.decide(Verdict::Reject, &signal("", ""), NOW);
    case.decide(Verdict::Reject, &signal("eve", ""), NOW);
    case.decide(Verdict::Reject, &signal("eve@example.com", ""), NOW);
    case.decide(Verdict::Approve, &signal("sue@example.com", ""), NOW);
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    case.decide(Verdict::Reject, &signal("ann@example.com", ""), NOW);
    assert_eq!(
        case.reasons(),
        [
            "approve: expected a JSON object with `link` or `reviewer`, and optionally `comment`, \
             `version` (a number) and `answers` (an object of strings, numbers, true and false)",
            "approve: expected one input, got none",
            "reject: expected one input, got 2",
            "reject: neither `link` nor `reviewer` is given",
            "reject: `reviewer` is not an e-mail address",
            "reject: eve@example.com is not asked",
            "approve: sue@example.com does not decide their own submission",
            "reject: ann@example.com decided otherwise before",
        ]
    );
    assert_eq!((case.inbox.ignored, case.votes()), (8, 1));
}

#[test]
fn a_verdict_without_the_comment_that_the_rule_requires_is_counted_as_ignored_with_its_reason() {
    let mut plan = plan();
    plan.restrictions.comment_required = vec![Verdict::Reject];
    let mut case = Case::default();
    begin_with(&mut case, &plan);
    open(&mut case, &["a", "b"]);
    assert_eq!(case.status().comment_required, [i32::from(Verdict::Reject)]);
    case.decide(Verdict::Reject, &signal("ann@example.com", " \n"), NOW);
    case.decide(Verdict::Reject, &pressed("b"), NOW);
    let why = |who: &str| {
        format!(
            "reject: {who}@example.com wrote no comment, which the rule requires to reject \
             (`comment_required`)"
        )
    };
    assert_eq!((case.votes(), case.reasons()), (0, vec![why("ann"), why("bob")]));
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    case.decide(Verdict::Reject, &signal("bob@example.com", "too dear"), NOW);
    assert_eq!((case.votes(), case.inbox.ignored), (2, 2));
}

/// Of all decisions, since an operator's client has no field that ends.
#[test]
fn a_comment_that_is_cut_ends_visibly() {
    let mut case = opened_case();
    case.decide(Verdict::Reject, &signal("ann@example.com", &"x".repeat(2_001)), NOW);
    let comment = &case.outcome().stages[0].decisions[0].comment;
    assert!(comment.ends_with("x…") && comment.chars().count() == 2_000, "{comment}");
}

#[test]
fn a_request_names_a_time_out_that_ends_the_workflow_before_its_deadline() {
    let hours = |hours| NOW + jiff::SignedDuration::from_hours(hours);
    for (ends, told) in [(None, false), (Some(0), true), (Some(2), false)] {
        let mut case = opened_case();
        case.times_out(ends.map(hours));
        let requests = case.next_wait(NOW).requests;
        assert!(requests.iter().all(|request| request.times_out_at.is_some() == told), "{ends:?}");
    }
}

#[test]
fn a_signal_that_there_is_not_is_counted_with_its_name_and_what_was_meant() {
    let mut case = opened_case();
    let ann = signal("ann@example.com", "");
    case.send("aprove", &ann, NOW);
    case.send("Escalate", &[], NOW);
    let hidden = format!("appro\u{202e}ve\n{}", "x".repeat(500));
    case.send(&hidden, &ann, NOW);
    let known =
        "there are approve, reject, request_changes, revise, reassign, remind, reissue, withdraw";
    assert_eq!(
        case.reasons(),
        [
            "aprove: there is no such signal; did you mean approve?".to_owned(),
            format!("Escalate: there is no such signal; {known}"),
            format!("approve {}: there is no such signal; {known}", "x".repeat(42)),
        ]
    );
    assert_eq!((case.inbox.ignored, case.votes(), case.has_changed()), (3, 0, false));
    assert_eq!(case.status().ignored_signals, 3);

    let mut early = Case::default();
    early.send("aprove", &ann, NOW);
    begin(&mut early);
    let mut next = Case::default();
    next.send("rejekt", &ann, NOW);
    next.resume(left(&early), NOW);
    assert_eq!(next.status().ignored_signals, 2, "in every run, and before anybody is asked");
}

#[test]
fn why_a_signal_is_ignored_is_said_with_its_time_and_the_address_in_it() {
    let nine: Timestamp = "2026-11-24T09:00:00.123456789Z".parse().expect("a time");
    let mut case = opened_case();
    case.send(names::SIGNAL_APPROVE, &signal("Boss@example.com", ""), nine);
    let decision = v1::Decision {
        link: "a".into(),
        reviewer: "ann@example.com".into(),
        ..v1::Decision::default()
    };
    let both = [payload::encode(&decision, Encoding::JsonPlain)];
    case.send(names::SIGNAL_REJECT, &both, nine);
    let eve = order_of(json!({"reviewer": "eve@example.com"}));
    case.send(names::SIGNAL_REISSUE, &eve, nine);
    let mut broken = payload::encode(&decision, Encoding::BinaryProtobuf);
    broken.data = b"{".to_vec();
    case.send(names::SIGNAL_APPROVE, &[broken], nine);
    assert_eq!(
        case.status().ignored_because,
        [
            "approve at 2026-11-24T09:00:00Z: boss@example.com is not asked",
            "reject at 2026-11-24T09:00:00Z: both `link` and `reviewer` are given \
             (ann@example.com)",
            "reissue at 2026-11-24T09:00:00Z: no reviewer who was asked is still undecided \
             (eve@example.com)",
            "approve at 2026-11-24T09:00:00Z: expected a JSON object with `link` or `reviewer`, and \
             optionally `comment`, `version` (a number) and `answers` (an object of strings, numbers, \
             true and false); got binary/protobuf, which cannot be read",
        ]
    );
}

/// As SDKs and people send them to an approval that a manager is asked for, and what comes of each.
#[test]
fn each_signal_as_sdks_and_people_send_it_has_its_effect_or_is_counted() {
    let encoded = |encoding: &str, data: &str| Payload {
        metadata: [("encoding".to_owned(), encoding.into())].into(),
        data: data.into(),
    };
    let json = |data: &str| encoded("json/plain", data);
    let nil = || encoded("binary/null", "");
    for (name, payload, right) in [
        ("approve", json(r#"{"reviewer":"manager@example.com","comment":null}"#), "APPROVED"),
        (
            "approve",
            json(r#"{"link":null,"reviewer":"manager@example.com","comment":null}"#),
            "APPROVED",
        ),
        ("approve", json(r#"{"reviewer":" Manager@Example.com "}"#), "APPROVED"),
        ("withdraw", json(r#"{"reason":null}"#), "WITHDRAWN"),
        ("withdraw", json("null"), "WITHDRAWN"),
        ("withdraw", nil(), "WITHDRAWN"),
        ("remind", nil(), "reminded"),
        ("remind", json(r#"{"reviewer":null}"#), "reminded"),
        ("aprove", json(r#"{"reviewer":"manager@example.com"}"#), "aprove: there is no such"),
        ("approve", encoded("binary/encrypted", "\u{1}"), "approve: it is encrypted (encoding"),
        ("approve", json(r#"{"reviewer":"boss@example.com"}"#), "approve: boss@example.com is not"),
    ] {
        let mut case = Case::default();
        let stages =
            vec![PlannedStage { reviewers: vec![address("manager")], ..plan().stages.remove(0) }];
        begin_with(&mut case, &Plan { stages, ..plan() });
        open(&mut case, &["m"]);
        case.all_sent();
        case.send(name, &[payload], NOW);
        let reminded = || format!("{:?}", case.status().operator_actions);
        let came = match (case.outcome().status(), &case.reasons()[..]) {
            (v1::Status::Pending, [why]) => why.clone(),
            (v1::Status::Pending, []) => reminded().replace("remind", "reminded"),
            (status, _) => status.as_str_name().to_owned(),
        };
        assert!(came.contains(right), "{name}: {came}, not {right}");
        let is_ignored = right.contains(": ");
        assert_eq!(case.inbox.ignored, u32::from(is_ignored), "{name}, {right}");
    }
}

#[test]
fn operators_signals_have_their_effect_or_a_reason() {
    let mut case = opened_case();
    case.all_sent();
    let whom = |reviewer: &str| order_of(json!({"reviewer": reviewer}));
    case.reassign("ann", "sue");
    let to_nobody = order_of(json!({"reviewer": "ann@example.com", "to": "cy"}));
    case.send(names::SIGNAL_REASSIGN, &to_nobody, NOW);
    case.send(names::SIGNAL_REASSIGN, &[], NOW);
    case.remind(&whom("eve@example.com"));
    case.remind(&[order_of(json!({})), whom("")].concat());
    assert!(!case.has_changed());
    assert_eq!(
        case.reasons(),
        [
            "reassign: the submitter does not decide their own submission (ann@example.com to \
             sue@example.com)",
            "reassign: `to` is not an e-mail address",
            "reassign: expected one input, got none",
            "remind: eve@example.com has nothing to decide now",
            "remind: expected one input, got 2",
        ]
    );
    case.remind(&whom("Bob@Example.com"));
    assert!(case.has_changed());
    assert_eq!(case.mailed(), ["b"]);
    case.delivered("b", true, Ok(()));
    case.reassign("ann", "cy");
    assert!(case.has_changed());
    open(&mut case, &["c"]);
    case.all_sent();
    case.remind(&[]);
    assert_eq!(case.mailed(), ["b", "c"]);
    case.send(names::SIGNAL_WITHDRAW, &order_of(json!({"reason": "ordered twice"})), NOW);
    case.send(names::SIGNAL_WITHDRAW, &[], NOW);
    assert_eq!(case.outcome().reason, "Withdrawn: ordered twice.");
    assert_eq!(case.inbox.ignored, 6, "the second withdrawal is one too many");
}

#[test]
fn decisions_behind_a_reassignment_are_taken_in_their_order() {
    let mut case = opened_case();
    case.reassign("ann", "cy");
    case.decide(Verdict::Reject, &signal("ann@example.com", "too late"), NOW);
    case.decide(Verdict::Approve, &signal("cy@example.com", "by phone"), NOW);
    case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
    open(&mut case, &["c"]);
    assert_eq!(case.outcome().reason, "Approved by bob@example.com and cy@example.com.");
    let late = "reject: somebody else was asked instead of ann@example.com";
    assert_eq!(case.reasons(), [late]);
}

#[test]
fn whoever_is_about_to_be_asked_can_be_replaced_and_reminded() {
    let mut case = opened_case();
    case.reassign("ann", "cy");
    case.reassign("cy", "di");
    case.remind(&order_of(json!({"reviewer": "di@example.com"})));
    open(&mut case, &["c"]);
    open(&mut case, &["d"]);
    assert_eq!(case.inbox.ignored, 0, "{:?}", case.reasons());
    assert_eq!(case.mailed(), ["b", "d"], "one mail is enough");
    case.decide(Verdict::Approve, &signal("di@example.com", ""), NOW);
    assert_eq!(case.votes(), 1);
}

/// Asks whoever is to be asked, as the activity does that issues links: Dee stands in for Fay.
fn open_for_fay(case: &mut Case, link: &str) {
    let today = "1970-01-01".parse().expect("a date");
    let (reviewer, deputy) = (address("fay"), Some(address("dee")));
    let absences = [Absence { reviewer, deputy, from: today, to: today }];
    let ToAsk { whom, taken, .. } = case.next_issue(NOW).expect("somebody to ask").to_ask;
    let Whom::Replacement(_, to) = whom else { panic!("a level") };
    let invitees = invitees(&[to], &taken, &absences, today, &address("sue"), Quorum::Any);
    let invited = invitees.into_iter().map(|invitee| Invited {
        on_behalf_of: invitee.on_behalf_of,
        ..Invited::new(invitee.reviewer, link.into())
    });
    let issued = Issued { opened_at: NOW, invited: invited.collect(), due: None, submitter: None };
    case.handle(Event::LinksIssued(issued), NOW);
}

#[test]
fn a_reassignment_that_turns_out_to_give_somebody_two_votes_is_counted_as_ignored() {
    let mut case = opened_case();
    // Before the links are issued, nobody knows that Dee stands in for Fay.
    case.reassign("ann", "fay");
    case.reassign("bob", "dee");
    open_for_fay(&mut case, "d");
    open_for_fay(&mut case, "e");
    assert_eq!(case.waiting(), ["bob", "dee"], "Bob keeps his place");
    let why = "reassign: the new reviewer, or their deputy, is asked in this stage already";
    let to_dee = format!("{why} (bob@example.com to dee@example.com)");
    assert_eq!(case.reasons(), [to_dee.as_str()]);
    // Nor does Fay get a vote beside that of her deputy.
    case.reassign("bob", "fay+x");
    assert_eq!(case.reasons(), [to_dee, format!("{why} (bob@example.com to fay+x@example.com)")]);
}

#[test]
fn a_decision_behind_a_reassignment_waits_for_the_deputy_to_be_asked() {
    let mut case = opened_case();
    case.reassign("ann", "fay");
    case.decide(Verdict::Approve, &signal("fay@example.com", "from the beach"), NOW);
    case.decide(Verdict::Approve, &signal("dee@example.com", "by phone"), NOW);
    case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
    open_for_fay(&mut case, "d");
    assert_eq!(case.outcome().reason, "Approved by bob@example.com and dee@example.com.");
    assert_eq!(case.outcome().stages[0].decisions[1].on_behalf_of, "fay@example.com");
    assert_eq!(case.reasons(), ["approve: somebody else was asked instead of fay@example.com"]);
}

#[test]
fn the_place_of_somebody_who_is_back_is_given_back_by_their_deputy() {
    let mut case = opened_case();
    case.reassign("ann", "fay");
    open_for_fay(&mut case, "d");
    // Even while the rules still say that she is away: Dee is not asked in her own place.
    case.reassign("dee", "fay");
    open_for_fay(&mut case, "f");
    assert_eq!(case.waiting(), ["bob", "fay"]);
    assert_eq!(case.inbox.ignored, 0, "{:?}", case.reasons());
}

#[test]
fn a_reassignment_that_comes_while_links_are_issued_counts_with_them() {
    let mut case = opened_case();
    case.reassign("ann", "fay");
    case.next_issue(NOW).expect("Fay is asked");
    case.reassign("bob", "dee");
    assert_eq!(case.inbox.ignored, 0, "it is held");
    let on_behalf_of = Some(address("fay"));
    let invited = Invited { on_behalf_of, ..Invited::new(address("dee"), "d".into()) };
    case.handle(
        Event::LinksIssued(Issued {
            opened_at: NOW,
            invited: vec![invited],
            due: None,
            submitter: None,
        }),
        NOW,
    );
    case.drain(NOW);
    assert!(case.next_issue(NOW).is_none());
    let why = "reassign: the new reviewer, or their deputy, is asked in this stage already";
    assert_eq!(case.reasons(), [format!("{why} (bob@example.com to dee@example.com)")]);
}

#[test]
fn a_withdrawal_that_comes_early_is_taken_when_it_is_time() {
    let mut case = Case::default();
    case.send(names::SIGNAL_WITHDRAW, &[], NOW);
    begin(&mut case);
    assert_eq!(case.outcome().status(), v1::Status::Withdrawn);
}

#[test]
fn a_reviewer_who_is_being_mailed_is_not_reminded_too() {
    let mut case = opened_case();
    assert_eq!(case.mailed(), ["a", "b"]);
    case.delivered("a", false, Ok(()));
    let reminded = |case: &mut Case| {
        case.remind(&[]);
        case.mailed()
    };
    assert_eq!(reminded(&mut case), ["a"], "Bob's first mail is on its way");
    assert_eq!(reminded(&mut case), [""; 0], "so is Ann's reminder");
    case.delivered("a", true, Ok(()));
    case.delivered("b", false, Err("refused".into()));
    assert_eq!(reminded(&mut case), ["a", "b"]);
    case.resume(left(&case), NOW);
    assert_eq!(case.mailed(), [""; 0], "another run sends no earlier reminder");
    assert_eq!(reminded(&mut case), ["a", "b"]);
}

#[test]
fn reminders_by_operators_are_bounded() {
    let mut case = opened_case();
    for _ in 0..MAX_REMINDED_BY_OPERATORS + 3 {
        case.remind(&[]);
    }
    assert_eq!(case.inbox.ignored, 3);
}

#[test]
fn a_reviewer_who_is_replaced_gets_no_more_mail_and_a_notice_only_if_they_were_asked() {
    for sent in [false, true] {
        let mut case = opened_case();
        assert_eq!(case.mailed(), ["a", "b"]);
        if sent {
            case.delivered("a", false, Ok(()));
        }
        case.reassign("ann", "cy");
        open(&mut case, &["c"]);
        let unsent: &[&str] = if sent { &[] } else { &["a"] };
        assert_eq!(case.next_wait(NOW).stop, unsent);
        assert_eq!(case.start_notices().len(), usize::from(sent));
        assert!(case.start_notices().is_empty(), "each once");
    }
}

#[test]
fn search_attributes_are_written_once_for_each_change_that_stays_within_a_stage() {
    let mut case = opened_case();
    assert!(case.next_wait(NOW).publish, "with the links");
    case.delivered("a", false, Ok(()));
    assert!(!case.has_changed(), "Ann could be reached all the time");
    case.delivered("a", true, Err("refused".into()));
    assert!(case.has_changed());
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    assert!(case.has_changed());
    assert!(case.next_wait(NOW).publish);
    assert!(!case.has_changed());
    assert!(!case.next_wait(NOW).publish);
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    assert!(!case.has_changed(), "nothing new");
}

#[test]
fn a_stage_without_anybody_or_a_deadline_is_not_waited_for() {
    let mut case = valid_case();
    case.next_issue(NOW).expect("somebody to ask");
    case.handle(
        Event::LinksIssued(Issued {
            opened_at: NOW,
            invited: Vec::new(),
            due: None,
            submitter: None,
        }),
        NOW,
    );
    assert!(matches!(case.next(NOW), Step::Stuck));
}

/// What a reviewer is asked for with an approval.
fn budget() -> v1::Field {
    v1::Field {
        name: "budget".into(),
        label: "Budget in EUR".into(),
        r#type: "number".into(),
        required_for: vec!["approve".into()],
        ..v1::Field::default()
    }
}

#[test]
fn answers_come_with_signals_as_people_send_them_and_are_told_where_they_are_none() {
    let mut case = Case::default();
    begin_with(&mut case, &plan().with_fields(vec![budget()]));
    open(&mut case, &["a", "b"]);
    let decide = |case: &mut Case, name: &str, answers: serde_json::Value| {
        let decision = json!({"reviewer": format!("{name}@example.com"), "answers": answers});
        let payload = Payload {
            data: decision.to_string().into(),
            ..payload::encode(&v1::Decision::default(), Encoding::JsonPlain)
        };
        case.decide(Verdict::Approve, &[payload], NOW);
    };
    decide(&mut case, "ann", json!({"budget": "much"}));
    decide(&mut case, "ann", json!({"budget": [1500]}));
    decide(&mut case, "ann", json!(null));
    assert_eq!(
        case.reasons(),
        [
            "approve: ann@example.com: `budget` must be a number, such as 10 or 2.5",
            "approve: expected a JSON object with `link` or `reviewer`, and optionally `comment`, \
             `version` (a number) and `answers` (an object of strings, numbers, true and false)",
            "approve: ann@example.com: `budget` is required to approve",
        ]
    );
    decide(&mut case, "ann", json!({"budget": 1500.0}));
    decide(&mut case, "bob", json!({"budget": "12.5"}));
    let told: Vec<(String, String)> = case
        .outcome()
        .stages
        .iter()
        .flat_map(|stage| &stage.decisions)
        .flat_map(|vote| &vote.answers)
        .map(|answer| (answer.label.clone(), answer.value.clone()))
        .collect();
    let label = || "Budget in EUR".to_owned();
    assert_eq!(
        told,
        [(label(), "1500".to_owned()), (label(), "12.5".to_owned())],
        "none is merged"
    );
    assert!(case.details().contains("**approved**, recorded by an operator"), "{}", case.details());
    assert!(case.details().contains("; Budget in EUR: 1500"), "{}", case.details());
    assert_eq!(
        case.status().stages[0].reviewers[0].vote.clone().unwrap_or_default().answers.len(),
        1
    );
}

#[test]
fn notices_to_superseded_reviewers_have_as_many_comments_and_answers_as_fit() {
    let mut case = Case::default();
    let text = v1::Field { name: "why".into(), label: "Why".into(), ..v1::Field::default() };
    let mut plan = plan().with_fields(vec![text]);
    let reviewers = (0..MAX_SEATS).map(|i| address(&i.to_string()));
    plan.stages[0].reviewers = reviewers.collect();
    begin_with(&mut case, &plan);
    let links: Vec<String> = (0..MAX_SEATS).map(|i| i.to_string()).collect();
    open(&mut case, &links.iter().map(String::as_str).collect::<Vec<_>>());
    for link in &links {
        case.delivered(link, false, Ok(()));
    }
    let long = "\u{1F600}".repeat(names::COMMENT_MAX_CHARS);
    for i in 0..MAX_SEATS / 2 {
        let decision = v1::Decision {
            reviewer: format!("{i}@example.com"),
            comment: long.clone(),
            answers: [("why".to_owned(), "so".to_owned())].into(),
            ..v1::Decision::default()
        };
        case.decide(Verdict::Approve, &[payload::encode(&decision, Encoding::JsonPlain)], NOW);
    }
    case.decide(Verdict::Reject, &signal("79@example.com", "no"), NOW);
    assert!(matches!(case.next(NOW), Step::EndStage { .. }));
    let mut superseded = Vec::new();
    loop {
        let notices = case.start_notices();
        let bytes: usize = notices.iter().map(|notice| json!(notice).to_string().len()).sum();
        assert!(notices.len() <= AT_ONCE && bytes < 1024 * 1024, "{bytes} bytes");
        if notices.is_empty() {
            break;
        }
        for notice in notices {
            let number = notice.number;
            case.handle(Event::NoticeFinished { number, result: Ok(()) }, NOW);
            superseded.extend(match notice.about {
                About::Superseded(evidence) => Some(evidence),
                _ => None,
            });
        }
    }
    assert_eq!(superseded.len(), MAX_SEATS / 2 - 1);
    let ballots = superseded[0].journal.iter().filter_map(|entry| match entry {
        Entry::Voted { ballot, .. } => Some((ballot.comment.as_str(), ballot.left_out.clone())),
        _ => None,
    });
    let ballots: Vec<_> = ballots.collect();
    assert_eq!(ballots[1], (&*long, None));
    assert_eq!(ballots[2], ("", Some(comment_hash(&long))));
    assert_eq!(ballots[40], ("no", None));
    let answered = superseded[0].journal.iter().filter_map(|entry| match entry {
        Entry::Voted { ballot, .. } => {
            Some((ballot.answers.len(), ballot.answers_left_out.is_some()))
        }
        _ => None,
    });
    let answered: Vec<_> = answered.collect();
    // 16,384 bytes are two comments of 8,000, and 76 answers of five.
    assert_eq!((answered[0], answered[39]), ((1, false), (1, false)));
}

#[test]
fn signals_that_come_while_links_are_issued_wait_until_all_that_follows_is_scheduled() {
    let mut case = Case::default();
    case.decide(Verdict::Approve, &signal("ann@example.com", "early"), NOW);
    begin(&mut case);
    let issue = case.next_issue(NOW).expect("somebody to ask");
    case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
    case.handle(Event::LinksIssued(testing::issued(&issue, &["a", "b"])), NOW);
    assert_eq!(case.votes(), 1, "the early one counts as the stage opens");
    assert_eq!(case.mailed(), ["b"], "Bob is asked");
    case.drain(NOW);
    assert_eq!(case.outcome().status(), v1::Status::Approved);
}

#[test]
fn a_flood_while_links_are_issued_is_bounded_and_overtakes_nothing() {
    let mut case = opened_case();
    case.reassign("ann", "cy");
    case.next_issue(NOW).expect("Cy is asked");
    for _ in 0..MAX_HELD {
        case.decide(Verdict::Approve, &signal("eve@example.com", ""), NOW);
    }
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    assert_eq!((case.votes(), case.inbox.ignored), (0, 1));
    assert_eq!(case.reasons(), ["approve: too many signals at once (ann@example.com)"]);
}

#[test]
fn another_run_goes_on_where_this_one_stopped() {
    let mut case = opened_case();
    assert_eq!(case.mailed(), ["a", "b"]);
    case.delivered("a", false, Ok(()));
    case.decide(Verdict::Approve, &signal("ann@example.com", "fine"), NOW);
    let mut without_signals = Case::default();
    without_signals.resume(left(&case), NOW);
    assert_eq!(without_signals.mailed(), ["b"], "Bob's mail was not sent yet");
    let mut next = Case::default();
    next.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
    next.decide(Verdict::Approve, &[], NOW);
    next.resume(left(&case), NOW);
    assert_eq!(next.outcome().status(), v1::Status::Approved);
    assert_eq!(next.outcome().stages[0].decisions[0].comment, "fine");
    assert_eq!(next.inbox.ignored, 1);
}

#[test]
fn each_vote_that_counts_is_told_once_also_over_runs() {
    let told = |case: &mut Case| -> Vec<(String, String, Verdict)> {
        let new = case.new_votes().into_iter();
        new.map(|it| (it.reviewer.to_string(), it.stage, it.vote.verdict)).collect()
    };
    let of = |name: &str, verdict| (full(name), "Finance".to_owned(), verdict);
    let mut case = opened_case();
    assert_eq!(told(&mut case), []);
    case.decide(Verdict::Approve, &signal("ann@example.com", "fine"), NOW);
    case.decide(Verdict::Approve, &signal("ann@example.com", "again"), NOW);
    case.decide(Verdict::Approve, &signal("eve@example.com", "is not asked"), NOW);
    assert_eq!(told(&mut case), [of("ann", Verdict::Approve)]);
    assert_eq!(told(&mut case), []);
    let mut next = Case::default();
    next.decide(Verdict::Reject, &signal("bob@example.com", ""), NOW);
    assert_eq!(told(&mut next), [], "it waits for what the run before has left");
    next.resume(left(&case), NOW);
    assert_eq!(told(&mut next), [of("bob", Verdict::Reject)]);
}

#[test]
fn who_need_not_decide_any_more_is_notified_also_if_another_run_was_decided_before_it_began() {
    let mut case = opened_case();
    case.all_sent();
    let mut next = Case::default();
    next.send(names::SIGNAL_WITHDRAW, &[], NOW);
    next.resume(left(&case), NOW);
    assert!(matches!(next.next(NOW), Step::EndStage { .. }));
    let notices = next.start_notices();
    let recipients: Vec<&str> = notices.iter().map(|notice| notice.recipient.as_str()).collect();
    assert_eq!(recipients, ["ann@example.com", "bob@example.com"]);
    let mut voted = Case::default();
    voted.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    voted.resume(left(&case), NOW);
    assert!(!voted.next_wait(NOW).publish, "all is published when a run starts");
}

#[test]
fn a_reviewer_for_whom_an_operator_decides_is_told() {
    let mut case = opened_case();
    case.decide(Verdict::Approve, &signal("ann@example.com", "by phone"), NOW);
    let notices = case.start_notices();
    let [Notice { recipient, about: About::DecidedByOperator(evidence), .. }] = &notices[..] else {
        panic!("{notices:?}")
    };
    assert_eq!(*recipient, address("ann"));
    let entry = evidence.journal.last().expect("a vote");
    assert!(matches!(entry, Entry::Voted { ballot, .. } if ballot.identity == "op@laptop"));
    let votes = &case.outcome().stages[0].decisions;
    assert_eq!((&*votes[0].by, &*votes[0].identity), ("operator", "op@laptop"));
}

#[test]
fn what_operators_do_is_kept() {
    let mut case = opened_case();
    case.remind(&[]);
    case.reassign("ann", "cy");
    case.reissue(&[]);
    case.send(names::SIGNAL_WITHDRAW, &[], NOW);
    let actions = case.outcome().operator_actions;
    let kept: Vec<_> = actions
        .iter()
        .map(|one| [&*one.action, &*one.identity, &*one.reviewer, &*one.to])
        .collect();
    assert_eq!(
        kept,
        [
            ["remind", "op@laptop", "", ""],
            ["reassign", "op@laptop", "ann@example.com", "cy@example.com"],
            ["reissue", "op@laptop", "", ""],
            ["withdraw", "op@laptop", "", ""],
        ]
    );
}

pub(super) fn pressed(link: &str) -> Vec<Payload> {
    let decision = v1::Decision { link: link.into(), ..Default::default() };
    vec![payload::encode(&decision, Encoding::JsonPlain)]
}

#[test]
fn a_new_link_is_mailed_and_the_old_one_decides_nothing_from_then_on() {
    let mut case = opened_case();
    case.all_sent();
    case.decide(Verdict::Approve, &pressed("b"), NOW);
    assert_eq!(case.start_notices().len(), 1, "to Bob, since nothing proves his press");
    case.reissue(&[]);
    assert!(case.has_changed());
    case.decide(Verdict::Reject, &pressed("a"), NOW);
    open(&mut case, &["c"]);
    case.decide(Verdict::Reject, &pressed("a"), NOW);
    let why = "reject: ann@example.com has a new link";
    assert_eq!(case.votes(), 1);
    assert_eq!(case.reasons(), [why, why]);

    let wait = case.next_wait(NOW);
    let [request] = &wait.requests[..] else { panic!("{wait:?}") };
    assert_eq!((&*request.link, request.new_link, request.reminder), ("c", true, false));
    assert_eq!(request.follows.as_ref().map(|earlier| earlier.round), Some(0), "in its thread");
    assert!(wait.publish && case.start_notices().is_empty(), "the mail says it all");
    let reviewers = &case.status().stages[0].reviewers;
    let shown: Vec<_> =
        reviewers.iter().map(|one| (&*one.link, one.released, one.reissued)).collect();
    assert_eq!(shown, [("a", true, true), ("b", false, false), ("c", false, false)]);
    assert!(case.details().contains("ann@example.com has a new link"), "{}", case.details());

    case.decide(Verdict::Approve, &pressed("c"), NOW);
    let outcome = case.outcome();
    assert_eq!(outcome.status(), v1::Status::Approved);
    assert!(outcome.stages[0].undecided.is_empty(), "{outcome:?}");
}

#[test]
fn a_mail_with_a_link_that_is_reissued_is_stopped() {
    let mut case = opened_case();
    assert_eq!(case.mailed(), ["a", "b"]);
    case.reissue(&order_of(json!({"reviewer": "ann@example.com"})));
    open(&mut case, &["c"]);
    let wait = case.next_wait(NOW);
    assert_eq!(wait.stop, ["a"]);
    let [request] = &wait.requests[..] else { panic!("Bob has his link: {wait:?}") };
    assert!(request.new_link && request.follows.is_none(), "the earlier mail was not taken");
}

/// Nor does a mail that was refused begin a thread.
#[test]
fn a_mail_continues_the_thread_of_one_that_was_taken_and_of_no_other() {
    let mut case = opened_case();
    case.next_wait(NOW);
    case.delivered("a", false, Ok(()));
    case.delivered("b", false, Err("no such mailbox".into()));
    case.remind(&[]);
    let reminders = case.next_wait(NOW).requests;
    let rounds = reminders.iter().map(|mail| mail.follows.as_ref().map(|earlier| earlier.round));
    assert_eq!(rounds.collect::<Vec<_>>(), [Some(0), None]);
    for name in ["ann", "bob"] {
        case.decide(Verdict::Approve, &signal(&full(name), "by phone"), NOW);
    }
    case.sealed();
    let notices = case.start_notices();
    let follows: Vec<_> = notices.iter().map(|it| (it.recipient.as_str(), it.follows)).collect();
    let reviewers = [("ann@example.com", true), ("bob@example.com", false)];
    assert_eq!(follows[..2], reviewers, "the submitter's is in a thread anyway");
}

#[test]
fn whether_a_submitter_can_be_reached_is_what_became_of_their_latest_mail() {
    for result in [Ok(()), Err("no such mailbox".to_owned())] {
        let mut case = Case::default();
        begin_with(&mut case, &Plan { tell_submitter: true, ..plan() });
        open(&mut case, &["a", "b"]);
        case.next_wait(NOW);
        let Notice { number, .. } = case.start_notices().remove(0);
        let error = result.clone().err().unwrap_or_default();
        case.handle(Event::NoticeFinished { number, result }, NOW);
        assert_eq!(case.status().announcement_error, error, "whatever the notice is about");
        assert_eq!(case.next_wait(NOW).publish, !error.is_empty(), "a search finds it");
        case.send(names::SIGNAL_WITHDRAW, &[], NOW);
        case.next(NOW);
        case.sealed();
        let Notice { number, .. } = case.start_notices().remove(0);
        case.handle(Event::NoticeFinished { number, result: Ok(()) }, NOW);
        assert_eq!(case.status().announcement_error, "", "this one has come");
    }
}

#[test]
fn what_an_operator_wants_of_a_reviewer_with_a_new_link_waits_for_it() {
    let mut case = opened_case();
    case.reissue(&order_of(json!({"reviewer": "ann@example.com"})));
    case.decide(Verdict::Approve, &signal("ann@example.com", "by phone"), NOW);
    case.reassign("ann", "cy");
    assert_eq!((case.votes(), case.inbox.ignored), (0, 0));
    open(&mut case, &["c"]);
    assert_eq!(case.outcome().stages[0].decisions[0].link, "c");
    let why = "the reviewer to replace is not being asked (ann@example.com to cy@example.com)";
    assert_eq!(case.reasons(), [format!("reassign: {why}")]);
}

#[test]
fn a_new_link_that_nobody_can_get_is_counted_with_its_reason() {
    let mut case = opened_case();
    case.reissue(&order_of(json!({"reviewer": "eve@example.com"})));
    case.reissue(&order_of(json!({"reviewer": "ann"})));
    case.reissue(&[order_of(json!({})), order_of(json!({}))].concat());
    assert!(!case.has_changed());
    assert_eq!(
        case.reasons(),
        [
            "reissue: no reviewer who was asked is still undecided (eve@example.com)",
            "reissue: `reviewer` is not an e-mail address",
            "reissue: expected one input, got 2",
        ]
    );
}

#[test]
fn another_run_issues_the_new_links_that_are_left() {
    let mut case = opened_case();
    case.all_sent();
    case.reissue(&[]);
    open(&mut case, &["c"]);
    let mut next = Case::default();
    next.resume(left(&case), NOW);
    open(&mut next, &["d"]);
    assert_eq!(next.mailed(), ["c", "d"], "neither was sent yet");
    let mut last = Case::default();
    last.decide(Verdict::Reject, &pressed("a"), NOW);
    last.resume(left(&next), NOW);
    assert_eq!(last.reasons(), ["reject: ann@example.com has a new link"]);
    assert_eq!(last.waiting(), ["ann", "bob"]);
}

#[test]
fn only_the_latest_reasons_are_kept() {
    let mut case = Case::default();
    for _ in 0..12_000 {
        case.decide(Verdict::Approve, &[], NOW);
    }
    assert_eq!(case.inbox.ignored, 12_000);
    assert_eq!(case.reasons().len(), MAX_REASONS);
}

#[test]
fn the_submitter_is_told_at_the_start_once_where_the_rule_says_so() {
    for told in [true, false] {
        let mut case = Case::default();
        begin_with(&mut case, &Plan { tell_submitter: told, ..plan() });
        assert!(case.start_notices().is_empty(), "nobody is asked yet");
        open(&mut case, &["a", "b"]);
        let notices = case.start_notices();
        assert_eq!(notices.len(), usize::from(told));
        if let [Notice { recipient, about: About::Started(evidence), .. }] = &notices[..] {
            assert_eq!(*recipient, address("sue"));
            assert!(matches!(evidence.journal[..], [Entry::Asked { .. }]), "{evidence:?}");
        }
        case.reassign("ann", "cy");
        open(&mut case, &["c"]);
        assert!(case.start_notices().is_empty());
    }
    // It is decided before that is said.
    let mut case = Case::default();
    begin_with(&mut case, &Plan { tell_submitter: true, ..plan() });
    open(&mut case, &["a", "b"]);
    case.send(names::SIGNAL_WITHDRAW, &[], NOW);
    assert!(matches!(case.next(NOW), Step::EndStage { cancel: false }), "none is on its way");
    case.sealed();
    let notices = case.start_notices();
    assert!(matches!(notices[..], [Notice { about: About::Outcome { .. }, .. }]), "{notices:?}");
}

/// It would come behind the outcome, and keep it waiting.
#[test]
fn what_a_submitter_is_told_of_a_stage_ends_with_it_also_on_its_way() {
    let mut case = Case::default();
    begin_with(&mut case, &Plan { tell_submitter: true, ..plan() });
    open(&mut case, &["a", "b"]);
    case.next_wait(NOW);
    let mut on_their_way = case.start_notices();
    case.delivered("a", false, Err("no such mailbox".into()));
    case.delivered("b", false, Err("no such mailbox".into()));
    case.next_wait(NOW);
    on_their_way.extend(case.start_notices());
    let [Notice { about: About::Started(_), .. }, Notice { about: About::Unreachable(_), .. }] =
        &on_their_way[..]
    else {
        panic!("{on_their_way:?}")
    };
    case.decide(Verdict::Reject, &signal("ann@example.com", "by phone"), NOW);
    assert!(matches!(case.next(NOW), Step::EndStage { cancel: true }), "they are cancelled");
    assert!(matches!(case.next(NOW), Step::Conclude { .. }));
    case.sealed();
    case.next_wait(NOW);
    let after = case.start_notices();
    assert_eq!(after.len(), 2, "to Ann and Sue: {after:?}");
    for Notice { number, .. } in after {
        case.handle(Event::NoticeFinished { number, result: Ok(()) }, NOW);
    }
    // One that had failed before it was cancelled.
    let late = Event::NoticeFinished { number: on_their_way[0].number, result: Err("no".into()) };
    case.handle(late, NOW);
    assert_eq!(case.status().announcement_error, "");
    assert!(matches!(case.next(NOW), Step::Close { undelivered: None, .. }), "nothing is left");
}

#[test]
fn where_mail_reaches_nobody_everybody_can_see_it_and_the_submitter_is_told_once() {
    let mut case = opened_case();
    case.next_wait(NOW);
    let told = |case: &mut Case| {
        case.next_wait(NOW);
        let notices = case.start_notices();
        notices.iter().filter(|notice| matches!(notice.about, About::Unreachable(_))).count()
    };
    case.delivered("a", false, Err("no such mailbox".into()));
    assert_eq!(told(&mut case), 0, "Bob may still read his");
    case.delivered("b", false, Err("no such mailbox".into()));
    assert_eq!(told(&mut case), 1);
    assert_eq!(case.status().reason, "Nobody in Finance can be reached.");
    assert!(case.details().contains("**PENDING** Nobody in Finance can be reached."));
    let unreachable = json!({"unreachable": "Finance"});
    assert_eq!(json!(case.status().because.expect("a reason")), unreachable);
    assert_eq!(told(&mut case), 0, "once");
    case.remind(&[]);
    case.next_wait(NOW);
    case.delivered("a", true, Ok(()));
    assert_eq!(told(&mut case), 0);
    assert_eq!(case.status().reason, "Finance has 0 of the 2 approvals it needs.");
    case.delivered("a", true, Err("no such mailbox".into()));
    assert_eq!(told(&mut case), 1, "again, since it is so again");
}

#[test]
fn a_fallback_is_asked_where_mail_reaches_nobody() {
    let mut plan = plan();
    let time = plan.stages[0].time.clone();
    plan.stages[0].escalations = vec![PlannedLevel::fallback(vec![address("cy")], time)];
    let mut case = Case::default();
    begin_with(&mut case, &plan);
    open(&mut case, &["a", "b"]);
    assert_eq!(case.status().stages[0].on_deadline, "expire", "no deadline has it asked");
    let requests = case.next_wait(NOW).requests;
    assert!(requests.iter().all(|request| !request.escalates), "{requests:?}");
    case.delivered("a", false, Err("no such mailbox".into()));
    case.delivered("b", false, Err("no such mailbox".into()));
    let Step::Issue { summary, issue, .. } = case.next(NOW) else { panic!("Cy is asked") };
    assert_eq!(summary, "Ask the fallback of Finance");
    case.handle(Event::LinksIssued(testing::issued(&issue, &["c"])), NOW);
    assert_eq!(case.waiting(), ["cy"]);
    assert_eq!(case.mailed(), ["c"]);
    assert_eq!(case.start_notices().len(), 0, "somebody can be reached");
    case.decide(Verdict::Approve, &signal("cy@example.com", ""), NOW);
    assert_eq!(case.outcome().reason, "Approved by cy@example.com.");
}

/// Whether search attributes are written before what comes next is worked out.
fn publishes_first(case: &mut Case) -> bool {
    loop {
        match case.next(LATE) {
            Step::Issue { publish, .. } | Step::Conclude { publish, .. } => return publish,
            Step::EndStage { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// After the deadline of [`opened_case`].
const LATE: Timestamp = Timestamp::constant(2 * 3_600, 0);

#[test]
fn what_time_a_cancellation_or_a_refused_mail_decides_is_shown_before_it_is_worked_out() {
    let mut expired = opened_case();
    expired.next_wait(NOW);
    expired.handle(Event::TimePassed, LATE);
    assert!(publishes_first(&mut expired));

    let mut cancelled = opened_case();
    cancelled.handle(Event::Cancelled(String::new()), NOW);
    assert!(publishes_first(&mut cancelled));

    let escalating = || {
        let mut plan = plan();
        let time = plan.stages[0].time.clone();
        plan.stages[0].escalations = vec![PlannedLevel::fallback(vec![address("cy")], time)];
        let mut case = Case::default();
        begin_with(&mut case, &plan);
        open(&mut case, &["a", "b"]);
        case.next_wait(NOW);
        case
    };
    let mut unreached = escalating();
    unreached.delivered("a", false, Err("no such mailbox".into()));
    unreached.delivered("b", false, Err("no such mailbox".into()));
    assert!(publishes_first(&mut unreached));
}

#[test]
fn what_signals_decide_costs_no_event_since_replays_show_signals_first_too() {
    let mut decided = opened_case();
    decided.next_wait(NOW);
    decided.decide(Verdict::Reject, &signal("ann@example.com", ""), NOW);
    assert!(!publishes_first(&mut decided));

    let mut reassigned = opened_case();
    reassigned.handle(Event::TimePassed, NOW);
    reassigned.next_wait(NOW);
    reassigned.reassign("ann", "fay");
    assert!(!publishes_first(&mut reassigned), "the time was that of a reminder");
}
