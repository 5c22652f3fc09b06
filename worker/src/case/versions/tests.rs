use countersign_protos::{Statement, payload::Payload, revision_digest, v1, version_field};
use serde_json::json;

use super::*;
use crate::{
    approval::{Verdict, Whom},
    case::{
        Event, Step,
        tests::{CHAIN, begin_with, left, open, order_of, plan, pressed, signal},
    },
    leaves::Leaves,
    recorded::{About, Notice},
    testing::{address, keys, sealed},
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Ann and Bob were mailed, by the links `a` and `b`.
fn asked() -> Case {
    let mut case = Case::default();
    begin_with(&mut case, &plan());
    open(&mut case, &["a", "b"]);
    case.all_sent();
    case
}

/// Ann wants changes, and the submitter has a link.
fn sent_back() -> Case {
    let mut case = asked();
    case.decide(Verdict::RequestChanges, &signal("ann@example.com", "Cheaper ones"), NOW);
    assert!(matches!(case.next(NOW), Step::EndStage { cancel: true }));
    case.issue(&[], NOW);
    case
}

fn submission(title: &str) -> Submission {
    let document = Some(v1::Document { title: title.into(), ..Default::default() });
    Submission { document, ..Default::default() }
}

/// An operator's decision for a reviewer, and for this version.
fn naming(version: u32, reviewer: &str, comment: &str) -> Vec<Payload> {
    order_of(json!({"reviewer": reviewer, "comment": comment, "version": version}))
}

/// The version after this one, which asks these.
fn revised(earlier: &Plan, title: &str, reviewers: &[&str]) -> Plan {
    let mut before = earlier.earlier.clone();
    let (version, digest) = (version_field(earlier.version()), earlier.digest.clone());
    before.push(v1::EarlierVersion { version, digest, ..Default::default() });
    let mut stages = plan().stages;
    stages[0].reviewers = reviewers.iter().map(|name| address(name)).collect();
    Plan::asking(submission(title), address("sue"), stages)
        .revising(before, earlier.submission.clone())
}

fn revise(case: &mut Case, title: &str) {
    case.send(names::SIGNAL_REVISE, &order_of(json!(submission(title))), NOW);
}

/// Answers the revision that is to be looked at.
fn answer(case: &mut Case, answer: Validated) -> Revising {
    let Step::Revise { revising, .. } = case.next(NOW) else { panic!("nothing to look at") };
    case.handle(Event::Revised(answer), NOW);
    *revising
}

fn accept(case: &mut Case, plan: &Plan) -> Revising {
    answer(case, Validated::Plan(sealed(plan, CHAIN)))
}

fn told(notices: &[Notice]) -> Vec<(&str, &'static str)> {
    let kind = |notice: &Notice| match notice.about {
        About::ChangesRequested(_) => "changes",
        About::Revised { .. } => "revised",
        About::Superseded(_) => "superseded",
        About::DecidedByOperator(_) => "decided",
        About::Started(_) => "started",
        About::Outcome { .. } | About::Unreachable(_) => "other",
    };
    notices.iter().map(|notice| (notice.recipient.as_str(), kind(notice))).collect()
}

#[test]
fn a_request_for_changes_pauses_its_stage_until_the_submitter_has_revised_it() {
    let mut case = asked();
    case.decide(Verdict::RequestChanges, &signal("ann@example.com", ""), NOW);
    assert_eq!(case.status().status(), v1::Status::Pending, "without a word, nobody knows which");
    case.decide(Verdict::RequestChanges, &signal("ann@example.com", "Cheaper ones"), NOW);
    assert_eq!(case.status().status(), v1::Status::ChangesRequested);
    assert!(matches!(case.next(NOW), Step::EndStage { cancel: true }), "its timer and its mails");
    let issue = case.next_issue(NOW).expect("the submitter's link");
    assert_eq!(issue.to_ask.whom, Whom::Submitter);
    case.decide(Verdict::Approve, &pressed("b"), NOW);
    case.handle(Event::LinksIssued(crate::testing::issued(&issue, &[])), NOW);
    let wait = case.next_wait(NOW);
    let (until, summary) = wait.until.expect("the submitter's deadline");
    assert_eq!((until, wait.requests.len(), wait.open), (NOW + 7 * DAY, 0, true));
    assert!(
        summary.starts_with("Deadline of sue@example.com for changes in Finance ("),
        "{summary}"
    );
    let notices = case.start_notices();
    let expected = [("ann@example.com", "decided"), ("sue@example.com", "changes")];
    assert_eq!(told(&notices), expected);
    case.drain(NOW);
    let status = case.status();
    let request = status.change_request.expect("what is to be changed");
    assert_eq!((request.stage.as_str(), status.submitter_link.is_empty()), ("Finance", false));
    assert_eq!(
        case.reasons()[1..],
        ["approve: changes are requested: it waits for the submitter to revise it"]
    );
}

#[test]
fn changes_that_are_not_made_in_time_end_it_and_everybody_is_told() {
    let mut case = sent_back();
    let wait = case.next_wait(NOW);
    case.start_notices();
    let (until, _) = wait.until.expect("a deadline");
    case.handle(Event::TimePassed, until);
    assert_eq!(case.status().status(), v1::Status::Expired);
    assert!(matches!(case.next(until), Step::EndStage { cancel: true }), "the submitter's mail");
    assert!(matches!(case.next(until), Step::Conclude { publish: true, .. }), "time has decided");
    case.sealed();
    case.next_wait(until);
    let told_at_last = case.start_notices();
    let expected = [("bob@example.com", "superseded"), ("sue@example.com", "other")];
    assert_eq!(told(&told_at_last), expected);
}

#[test]
fn a_revision_begins_anew_and_those_who_are_asked_again_have_their_thread() {
    let mut case = sent_back();
    case.next_wait(NOW);
    case.start_notices();
    revise(&mut case, "Cheaper ones");
    assert!(case.has_changed());
    case.decide(Verdict::Approve, &signal("bob@example.com", "as it was"), NOW);
    let next = revised(&plan(), "Cheaper ones", &["ann", "cem"]);
    let revising = accept(&mut case, &next);
    assert_eq!(revising.submission, submission("Cheaper ones"));
    assert_eq!(revising.by, Reviser::Operator("op@laptop".into()));
    assert_eq!(revising.evidence.journal.len(), 3, "asked, sent back, and the submitter's link");
    assert_eq!(case.reasons(), ["approve: it was revised meanwhile (bob@example.com)"]);
    assert!(matches!(case.next(NOW), Step::EndStage { cancel: true }), "what waited for changes");
    let issue = case.next_issue(NOW).expect("the first stage again");
    assert_eq!((issue.to_ask.stage, &issue.to_ask.whom), (0, &Whom::Level(0)));
    case.handle(Event::LinksIssued(crate::testing::issued(&issue, &["c", "d"])), NOW);
    let wait = case.next_wait(NOW);
    assert!(wait.publish && wait.stop.is_empty());
    let follows = |at: usize| wait.requests[at].follows.clone().and_then(|it| it.version);
    let before = follows(0).expect("the request about the version before");
    assert_eq!((before.digest, before.stage), (plan().digest, 0));
    assert!(follows(1).is_none(), "Cem was not asked before");
    assert_eq!(told(&case.start_notices()), [("bob@example.com", "revised")]);
    let status = case.status();
    assert_eq!((status.version, status.status()), (2, v1::Status::Pending));
    assert_eq!(status.previous, Some(Submission::default()));
    assert_eq!(status.earlier_versions[0].digest, plan().digest);
    assert_eq!(status.stages[0].reviewers.len(), 2, "no earlier vote stays: {status:?}");
    case.decide(Verdict::Approve, &pressed("a"), NOW);
    let why = "approve: the holder of this link had it for a version that was revised since";
    assert_eq!(case.reasons()[1..], [why]);
    case.decide(Verdict::Approve, &pressed("c"), NOW);
    case.decide(Verdict::Approve, &pressed("d"), NOW);
    let outcome = case.outcome();
    assert_eq!((outcome.status(), outcome.version), (v1::Status::Approved, 2));
    assert_eq!(case.new_votes().len(), 2);
}

#[test]
fn nobody_decides_a_version_before_anybody_is_asked_about_it() {
    let mut case = sent_back();
    case.next_wait(NOW);
    revise(&mut case, "Cheaper ones");
    accept(&mut case, &revised(&plan(), "Cheaper ones", &["ann", "bob"]));
    // Sent about the version before, at the latest moment.
    case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
    assert!(matches!(case.next(NOW), Step::EndStage { cancel: true }));
    let issue = case.next_issue(NOW).expect("the first stage again");
    case.decide(Verdict::Approve, &naming(2, "bob@example.com", ""), NOW);
    case.handle(Event::LinksIssued(crate::testing::issued(&issue, &["c", "d"])), NOW);
    case.next_wait(NOW);
    case.drain(NOW);
    let why = ["ann@example.com", "bob@example.com"]
        .map(|who| format!("approve: it was revised meanwhile ({who})"));
    assert_eq!((case.reasons(), case.new_votes().len()), (why.to_vec(), 0));
    case.decide(Verdict::Approve, &naming(2, "ann@example.com", ""), NOW);
    assert_eq!(case.new_votes().len(), 1, "she is asked now");
}

#[test]
fn an_operators_decision_counts_only_for_the_version_that_it_names() {
    let mut case = asked();
    case.decide(Verdict::Approve, &naming(2, "ann@example.com", ""), NOW);
    revise(&mut case, "Cheaper ones");
    accept(&mut case, &revised(&plan(), "Cheaper ones", &["ann", "bob"]));
    open(&mut case, &["c", "d"]);
    case.all_sent();
    case.drain(NOW);
    for verdict in Verdict::ALL {
        case.decide(verdict, &signal("ann@example.com", "as it was"), NOW);
        case.decide(verdict, &naming(1, "ann@example.com", "as it was"), NOW);
    }
    let why = |name, named, asked| {
        format!(
            "{name}: it is for version {named}, and version {asked} is asked about: to decide that one, send \
             `\"version\": {asked}` (ann@example.com)"
        )
    };
    let twice = |verdict: Verdict| vec![why(verdict.terms().name, 1, 2); 2];
    let why = [vec![why("approve", 2, 1)], Verdict::ALL.map(twice).concat()].concat();
    assert_eq!((case.reasons(), case.new_votes().len()), (why, 0));
    let mut next = Case::default();
    next.resume(left(&case), NOW);
    next.decide(Verdict::Approve, &naming(2, "ann@example.com", ""), NOW);
    assert_eq!(next.new_votes().len(), 1, "in every run");
    let mut again = Case::default();
    again.resume(left(&next), NOW);
    let stages = [&next, &again].map(|case| case.outcome().stages);
    assert_eq!(stages[0], stages[1], "the vote is recorded with its version");
}

#[test]
fn a_revision_that_cannot_be_used_is_counted_and_changes_nothing() {
    let mut case = sent_back();
    case.next_wait(NOW);
    revise(&mut case, "");
    case.send(names::SIGNAL_REVISE, &order_of(json!({"document": 7})), NOW);
    let problem =
        |path: &str, message: &str| v1::Problem { path: path.into(), message: message.into() };
    let problems = vec![problem("$.document.title", "is missing"), problem("$", "changes nothing")];
    answer(&mut case, Validated::Problems(problems));
    assert!(
        case.next_wait(NOW).requests.is_empty(),
        "it waits as before, and nothing is cancelled"
    );
    case.drain(NOW);
    assert_eq!(
        case.reasons(),
        [
            "revise: the submission cannot be used: $.document must be an object, not a number",
            "revise: the submission cannot be used: $.document.title is missing; changes nothing",
        ]
    );
    let status = case.status();
    assert_eq!((status.status(), status.version), (v1::Status::ChangesRequested, 0));
    // A marker that nobody has asked for.
    case.handle(Event::Revised(Validated::Plan(sealed(&plan(), CHAIN))), NOW);
    assert_eq!(case.status().status(), v1::Status::ChangesRequested);
    revise(&mut case, "Cheaper ones");
    accept(&mut case, &plan());
    assert_eq!(case.status().version, 0, "it is no later version");
}

#[test]
fn nobody_revises_what_somebody_has_voted_on_or_what_is_decided() {
    let mut case = asked();
    revise(&mut case, "Before anybody has voted");
    accept(&mut case, &revised(&plan(), "Before anybody has voted", &["ann", "bob"]));
    open(&mut case, &["c", "d"]);
    case.all_sent();
    assert_eq!(case.status().version, 2);
    case.decide(Verdict::Approve, &pressed("c"), NOW);
    revise(&mut case, "Later");
    assert!(matches!(case.next(NOW), Step::Wait(_)));
    case.decide(Verdict::Approve, &pressed("d"), NOW);
    revise(&mut case, "Too late");
    let why = [
        "a reviewer has already decided, so it can be revised only if changes are requested",
        "it is decided already",
    ];
    assert_eq!(case.reasons(), why.map(|why| format!("revise: {why}")));
    let mut case = asked();
    revise(&mut case, "Together with a cancellation");
    case.handle(Event::Cancelled(String::new()), NOW);
    assert!(matches!(case.next(NOW), Step::EndStage { .. }));
    assert_eq!(case.reasons(), ["revise: it is decided already"]);
}

#[test]
fn rules_that_forbid_operators_to_revise_have_it_counted_as_ignored() {
    let mut plan = plan();
    plan.restrictions.operators.may_revise = false;
    let mut case = Case::default();
    begin_with(&mut case, &plan);
    open(&mut case, &["a", "b"]);
    revise(&mut case, "Cheaper ones");
    assert!(matches!(case.next(NOW), Step::Wait(_)));
    let why = "revise: the rules do not let operators revise (`may_revise` in [operators])";
    assert_eq!(case.reasons(), [why]);
}

/// What the submitter signs by their link to this version.
fn signed(plan: &Plan, statement: Statement<'_>) -> (String, v1::Proof) {
    let keys = keys();
    let own = Leaves { chain: CHAIN, plan, key: keys.first() }.submitters_link();
    (own.hash().as_str().to_owned(), own.prove(statement, NOW))
}

#[test]
fn the_submitter_revises_and_withdraws_by_their_link_alone() {
    let mut case = sent_back();
    let later = submission("Cheaper ones");
    let digest = revision_digest(&later);
    let (link, proof) = signed(&plan(), Statement::Revise { digest: &digest });
    let other = json!({"submission": submission("Other ones"), "link": link, "proof": proof});
    case.send(names::SIGNAL_REVISE, &order_of(other), NOW);
    let bare = json!({"submission": later, "link": link});
    case.send(names::SIGNAL_REVISE, &order_of(bare), NOW);
    case.send(names::SIGNAL_WITHDRAW, &order_of(json!({"link": link, "proof": proof})), NOW);
    let not_proven = "it is not by the submitter's link, or its proof is of something else";
    assert_eq!(
        case.reasons(),
        [
            format!("revise: {not_proven}"),
            "revise: `link` is given without its `proof`".to_owned(),
            format!("withdraw: {not_proven}"),
        ]
    );
    let own = json!({"submission": later, "link": link, "proof": proof});
    case.send(names::SIGNAL_REVISE, &order_of(own.clone()), NOW);
    let next = revised(&plan(), "Cheaper ones", &["ann", "bob"]);
    let revising = accept(&mut case, &next);
    assert!(matches!(revising.by, Reviser::Submitter(_)));
    open(&mut case, &["c", "d"]);
    case.send(names::SIGNAL_REVISE, &order_of(own), NOW);
    assert_eq!(case.reasons().len(), 4, "the link is of the version before");

    let mut told_at_start = plan();
    told_at_start.submitter_link = true;
    let mut case = Case::default();
    begin_with(&mut case, &told_at_start);
    open(&mut case, &["a", "b"]);
    case.next_wait(NOW);
    assert_eq!(told(&case.start_notices()), [("sue@example.com", "started")]);
    let (link, proof) = signed(&told_at_start, Statement::Withdraw { reason: "typo" });
    assert_eq!(case.status().submitter_link, link);
    let withdrawal = json!({"reason": "typo", "link": link, "proof": proof});
    case.send(names::SIGNAL_WITHDRAW, &order_of(withdrawal), NOW);
    let outcome = case.outcome();
    assert_eq!(
        (outcome.status(), outcome.reason.as_str()),
        (v1::Status::Withdrawn, "Withdrawn: typo.")
    );
    assert_eq!(
        (outcome.withdrawal.map(|own| own.link), outcome.operator_actions),
        (Some(link), vec![])
    );
}

#[test]
fn mails_of_the_version_before_change_nothing_when_they_end() {
    let mut case = Case::default();
    begin_with(&mut case, &plan());
    open(&mut case, &["a", "b"]);
    case.next_wait(NOW);
    case.delivered("a", false, Ok(()));
    revise(&mut case, "Cheaper ones");
    accept(&mut case, &revised(&plan(), "Cheaper ones", &["cem"]));
    open(&mut case, &["c"]);
    let wait = case.next_wait(NOW);
    assert_eq!(wait.requests.len(), 1);
    assert_eq!(
        told(&case.start_notices()),
        [("ann@example.com", "revised")],
        "Bob knows of nothing"
    );
    let before = case.status();
    case.delivered("b", false, Err("550 5.1.1 User unknown".into()));
    assert_eq!((case.status(), case.has_changed()), (before, false));
}

#[test]
fn a_revision_that_a_rule_decides_tells_everybody_who_was_asked() {
    let mut case = sent_back();
    revise(&mut case, "For a pittance");
    let mut next = revised(&plan(), "For a pittance", &[]);
    (next.stages, next.rule, next.rule_decision) =
        (Vec::new(), "Small".into(), Some(Verdict::Approve));
    accept(&mut case, &next);
    assert_eq!(case.outcome().status(), v1::Status::Approved);
    assert!(matches!(case.next(NOW), Step::EndStage { .. }));
    assert!(matches!(case.next(NOW), Step::Conclude { .. }));
    case.sealed();
    case.next_wait(NOW);
    let notices = case.start_notices();
    let notices = told(&notices);
    for told in [("ann@example.com", "revised"), ("bob@example.com", "revised")] {
        assert!(notices.contains(&told), "{notices:?}");
    }
}

#[test]
fn another_run_knows_the_versions_and_tells_who_is_not_asked_again() {
    let mut case = sent_back();
    case.next_wait(NOW);
    case.start_notices();
    let mut next = Case::default();
    next.resume(left(&case), NOW);
    let step = next.next(NOW);
    assert!(matches!(step, Step::Wait(_)), "it goes on waiting for the submitter: {step:?}");
    revise(&mut next, "Cheaper ones");
    accept(&mut next, &revised(&plan(), "Cheaper ones", &["cem"]));
    open(&mut next, &["c"]);
    next.next_wait(NOW);
    let notices = next.start_notices();
    let mut again = Case::default();
    again.resume(left(&next), NOW);
    assert_eq!(again.status(), next.status());
    again.next_wait(NOW);
    let repeated = again.start_notices();
    assert_eq!(told(&repeated), told(&notices), "each is sent again until it is delivered");
    let told: Vec<_> = told(&notices).into_iter().filter(|(_, what)| *what == "revised").collect();
    assert_eq!(told, [("ann@example.com", "revised"), ("bob@example.com", "revised")]);
    let links = |case: &Case| case.open.as_ref().map(|open| open.links().collect::<Vec<_>>());
    let found = links(&again).expect("open");
    assert_eq!(found[..3], ["c", "a", "b"]);
    assert_eq!(found.len(), 4, "the submitter's, too");
}

#[test]
fn after_five_revisions_nobody_can_request_changes() {
    let mut case = asked();
    let mut latest = plan();
    for round in 0..countersign_protos::MAX_REVISIONS {
        let title = format!("Revision {round}");
        revise(&mut case, &title);
        latest = revised(&latest, &title, &["ann"]);
        accept(&mut case, &latest);
        open(&mut case, &["a"]);
        case.all_sent();
    }
    revise(&mut case, "Once more");
    case.decide(Verdict::RequestChanges, &naming(6, "ann@example.com", "again"), NOW);
    assert_eq!(
        case.reasons(),
        [
            "revise: it was revised as often as it can be (5 times)",
            "request_changes: it was revised 5 times, and cannot be sent back again",
        ]
        .map(|why| if why.starts_with("request") {
            format!("{why} (ann@example.com)")
        } else {
            why.into()
        })
    );
    case.decide(Verdict::Approve, &pressed("a"), NOW);
    assert_eq!(case.outcome().version, 6);
}
