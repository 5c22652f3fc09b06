use std::time::Duration;

use serde_json::json;

use super::*;
use crate::{history, submission::Quorum};

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn signal(reviewer: &str, name: &str) -> Event {
    let decision = json!({"link": format!("link-{reviewer}")});
    Event::Signal { name: name.into(), decision, at: NOW }
}

fn asked(reviewer: &str) -> Event {
    Event::Asked(format!("link-{reviewer}"), 0, reviewer.into())
}

fn submission() -> Submission {
    let mut submission = Submission::simple("w".into());
    submission.stages[0].reviewers = vec!["ann".into(), "bob".into()];
    submission.stages[0].quorum = Quorum::All;
    submission
}

fn outcome(status: &str, votes: &[(&str, &str)]) -> Value {
    let votes: Vec<_> =
        votes.iter().map(|(who, what)| json!({"reviewer": who, "verdict": what})).collect();
    json!({"status": status, "stages": [{"status": status, "decisions": votes}]})
}

fn entry(reviewer: &str, approves: bool, answer: &str) -> Entry {
    Entry {
        sent_at: NOW,
        workflow: "w".into(),
        act: Act::Press,
        reviewer: reviewer.into(),
        key: format!("link-{reviewer}"),
        approves: Some(approves),
        to: String::new(),
        status: 200,
        answer: answer.into(),
        said: "PENDING".into(),
    }
}

fn good() -> (Vec<Event>, Vec<Entry>, Value) {
    let outcome = outcome("APPROVED", &[("ann", "APPROVE"), ("bob", "APPROVE")]);
    let events = vec![
        asked("ann"),
        asked("bob"),
        signal("ann", "approve"),
        signal("ann", "reject"),
        signal("bob", "approve"),
        Event::Acted,
        Event::Completed(outcome.clone()),
    ];
    let entries = vec![
        entry("ann", true, "recorded"),
        entry("ann", false, "other_verdict"),
        entry("bob", true, "accepted"),
    ];
    (events, entries, outcome)
}

fn taken(webhook_id: &str, outcome: &Value) -> Taken {
    let [workflow, webhook_id] = ["w", webhook_id].map(str::to_owned);
    Taken { workflow, webhook_id, outcome: outcome.clone() }
}

fn kinds(events: &[Event], entries: &[Entry], delivered: &Value) -> Vec<Kind> {
    let taken = [taken("one", delivered), taken("one", delivered)];
    let findings = check(&submission(), events, entries, &taken, Some(&BTreeSet::new()));
    findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn where_all_is_well_nothing_is_found() {
    let (events, entries, outcome) = good();
    assert_eq!(kinds(&events, &entries, &outcome), []);
}

#[test]
fn a_decision_that_was_acknowledged_and_is_no_event_is_lost() {
    let (events, mut entries, outcome) = good();
    entries.push(entry("ann", true, "accepted"));
    assert_eq!(kinds(&events, &entries, &outcome), [], "two answers, one event");
    entries.push(entry("cy", true, "accepted"));
    assert_eq!(kinds(&events, &entries, &outcome), [Kind::Lost]);
}

#[test]
fn a_decision_that_is_two_events_is_found() {
    let (mut events, entries, outcome) = good();
    events.insert(3, signal("ann", "approve"));
    assert_eq!(kinds(&events, &entries, &outcome), [Kind::Lost]);
}

#[test]
fn an_outcome_that_does_not_follow_from_the_votes_is_found() {
    let (mut events, entries, _) = good();
    let wrong = outcome("REJECTED", &[("ann", "APPROVE"), ("bob", "APPROVE")]);
    events.pop();
    events.push(Event::Completed(wrong.clone()));
    let found = kinds(&events, &entries, &wrong);
    assert_eq!(found, [Kind::Contradiction, Kind::Contradiction], "the stage and the whole");
}

#[test]
fn an_outcome_that_the_webhook_takes_differently_is_found() {
    let (events, entries, outcome) = good();
    assert_eq!(kinds(&events, &entries, &json!({}))[0], Kind::Contradiction);
    let both = ["one", "other"].map(|id| taken(id, &outcome));
    let found = |taken: &[Taken], notices: Option<&[&str]>| {
        let notices = notices.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        let findings = check(&submission(), &events, &entries, taken, notices.as_ref());
        findings.iter().map(|finding| finding.kind).collect::<Vec<_>>()
    };
    assert_eq!(found(&both[..1], Some(&["<1>"])), []);
    assert_eq!(found(&both[..1], Some(&[])), [], "through SNS");
    assert_eq!(found(&[], Some(&["<1>"])), [Kind::Effect], "nobody has it");
    assert_eq!(found(&both, Some(&["<1>"])), [Kind::Effect], "as two messages");
    assert_eq!(found(&both[..1], None), [Kind::Effect], "the submitter waits");
    assert_eq!(found(&both[..1], Some(&["<1>", "<2>"])), [Kind::Effect], "as two mails");
}

#[test]
fn a_decision_that_nobody_has_made_or_that_was_denied_is_found() {
    let (events, entries, outcome) = good();
    let unmade: Vec<_> = entries.iter().filter(|e| e.reviewer != "bob").cloned().collect();
    assert_eq!(kinds(&events, &unmade, &outcome), [Kind::Invented]);
    let mut late = entries.clone();
    late[2].sent_at += Duration::from_secs(1);
    assert_eq!(kinds(&events, &late, &outcome), [Kind::Invented]);
    let mut denied = entries;
    denied[2].answer = "nothing_recorded".into();
    assert_eq!(kinds(&events, &denied, &outcome), [Kind::Disagreement]);
    denied.push(entry("bob", true, "no answer"));
    assert_eq!(kinds(&events, &denied, &outcome), [], "it may have been the other press");
}

#[test]
fn an_answer_that_is_not_so_is_found() {
    let (events, mut entries, outcome) = good();
    entries.push(entry("ann", false, "already_recorded"));
    assert_eq!(kinds(&events, &entries, &outcome), [Kind::Disagreement]);
    entries[3] = Entry { said: "EXPIRED".into(), ..entry("ann", true, "too_late") };
    assert_eq!(kinds(&events, &entries, &outcome), [Kind::Disagreement]);
}

#[test]
fn a_workflow_without_an_end_is_stuck() {
    let (mut events, entries, outcome) = good();
    events.pop();
    assert!(!history::has_ended(&events));
    assert_eq!(kinds(&events, &entries, &outcome), [Kind::Stuck]);
}

#[test]
fn what_is_there_when_the_deadline_is_acted_on_counts() {
    let mut submission = submission();
    submission.stages[0].quorum = Quorum::Any;
    let late = [asked("ann"), Event::Deadline(0), signal("ann", "approve"), Event::Acted];
    assert_eq!(Tally::of(&submission, &late).status(), "APPROVED");
    let too_late = [asked("ann"), Event::Deadline(0), Event::Acted, signal("ann", "approve")];
    assert_eq!(Tally::of(&submission, &too_late).status(), "EXPIRED");
}

#[test]
fn a_reminder_that_is_acted_on_after_the_deadline_is_the_deadline() {
    let mut submission = submission();
    submission.stages[0].deadline = Some(4);
    let reminded = |too_late| {
        let late = Event::Reminder(0, too_late);
        let events = [asked("ann"), late, Event::Acted];
        Tally::of(&submission, &events).status()
    };
    assert_eq!((reminded(false), reminded(true)), ("PENDING", "EXPIRED"));
}

#[test]
fn what_is_called_off_is_withdrawn_unless_it_was_decided() {
    let submission = submission();
    let mut events = vec![asked("ann"), asked("bob"), signal("ann", "approve"), Event::Cancelled];
    events.extend([Event::Acted, signal("bob", "approve"), Event::Acted]);
    assert_eq!(Tally::of(&submission, &events).status(), "WITHDRAWN");
    events.swap(3, 5);
    assert_eq!(Tally::of(&submission, &events).status(), "APPROVED");
    let sent_back = [&sent_back()[..], &[Event::Acted, Event::Cancelled, Event::Acted]].concat();
    assert_eq!(Tally::of(&submission, &sent_back).status(), "WITHDRAWN", "or changes are awaited");
}

#[test]
fn a_quorum_that_cannot_be_reached_any_more_rejects() {
    let mut submission = submission();
    submission.stages[0].reviewers.push("cy".into());
    submission.stages[0].quorum = Quorum::Of(2);
    let mut events = vec![asked("ann"), asked("bob"), signal("ann", "reject")];
    assert_eq!(Tally::of(&submission, &events).status(), "PENDING");
    events.push(signal("bob", "reject"));
    assert_eq!(Tally::of(&submission, &events).status(), "REJECTED");
}

fn by_operator(name: &str, what: Value) -> Event {
    Event::Signal { name: name.into(), decision: what, at: NOW }
}

fn sent_back() -> [Event; 3] {
    let changes = json!({"link": "link-ann", "comment": "cheaper"});
    [asked("ann"), asked("bob"), by_operator("request_changes", changes)]
}

fn revision() -> Event {
    by_operator("revise", json!({"document": {"description": "cheaper ones"}}))
}

#[test]
fn votes_count_for_the_version_alone_that_they_were_asked_about() {
    let status = |events: &[Event]| Tally::of(&submission(), events).status();
    let both = |link: &str| {
        ["ann", "bob"].map(|who| by_operator("approve", json!({"link": format!("{link}-{who}")})))
    };
    let mut events = sent_back().to_vec();
    assert_eq!(status(&events), "CHANGES_REQUESTED");
    events.extend(both("link"));
    events.extend([Event::Deadline(0), Event::Acted]);
    assert_eq!(status(&events), "CHANGES_REQUESTED", "nothing counts meanwhile");
    let refused = [&events[..], &[revision(), Event::NotRevised]].concat();
    assert_eq!(status(&refused), "CHANGES_REQUESTED");
    let held = by_operator("approve", json!({"reviewer": "ann"}));
    events.extend([revision(), held.clone(), Event::Acted, Event::Revised, held.clone()]);
    let again = |who: &str| Event::Asked(format!("new-{who}"), 0, who.into());
    events.extend([again("ann"), again("bob")]);
    events.extend(both("link"));
    let operators = |version: Value| {
        let named = |who| json!({"reviewer": who, "version": version});
        ["ann", "bob"].map(|who| by_operator("approve", named(who)))
    };
    events.extend(operators(Value::Null));
    events.extend(operators(json!(1)));
    assert_eq!(status(&events), "PENDING", "neither old links nor who had not seen it count");
    let decided = [&events[..], &operators(json!(2))].concat();
    assert_eq!(status(&decided), "APPROVED", "by operators who name the version");
    events.extend(both("new"));
    assert_eq!(status(&events), "APPROVED");
    let withdrawal = by_operator("withdraw", json!({"reason": "twice"}));
    let withdrawn = [&sent_back()[..], &[withdrawal, held]].concat();
    assert_eq!(status(&withdrawn), "WITHDRAWN");
    let mut silent = sent_back();
    silent[2] = by_operator("request_changes", json!({"link": "link-ann", "comment": " "}));
    assert_eq!(status(&silent), "PENDING", "nobody knows which changes");
}

#[test]
fn what_passes_while_a_revision_is_looked_at_is_acted_on_if_that_is_refused() {
    let status = |meanwhile: &[Event], then: &[Event]| {
        let looks = [asked("ann"), asked("bob"), revision(), Event::Acted];
        let events = [&looks[..], meanwhile, &[Event::Acted], then].concat();
        Tally::of(&submission(), &events).status()
    };
    let (refused, taken) = ([Event::NotRevised], [Event::Revised, Event::Acted]);
    let late = [Event::Deadline(0)];
    assert_eq!(status(&late, &[]), "PENDING");
    assert_eq!(status(&late, &refused), "EXPIRED");
    assert_eq!(status(&late, &taken), "PENDING", "the deadline was that of the version before");
    let decided = |last| [signal("ann", "approve"), signal("bob", "approve"), last];
    assert_eq!(status(&decided(Event::Deadline(0)), &refused), "APPROVED", "decisions come first");
    assert_eq!(status(&decided(Event::Cancelled), &refused), "APPROVED");
    assert_eq!(status(&[Event::Cancelled], &refused), "WITHDRAWN");
    assert_eq!(status(&[Event::Cancelled], &taken), "WITHDRAWN");
}

#[test]
fn a_revision_that_was_acknowledged_and_is_no_event_is_lost_and_one_that_nobody_sent_invented() {
    let (events, mut entries, outcome) = good();
    let revised = Entry {
        act: Act::Revise,
        approves: None,
        key: "cheaper ones".into(),
        ..entry("sue", true, "acknowledged")
    };
    entries.push(revised.clone());
    assert_eq!(kinds(&events, &entries, &outcome), [Kind::Lost]);
    let late = [&events[..6], &[revision()], &events[6..]].concat();
    assert_eq!(kinds(&late, &entries, &outcome), [], "too late, and there");
    entries.pop();
    assert_eq!(kinds(&late, &entries, &outcome), [Kind::Invented]);
}

fn delegation(from: &str, to: &str) -> Event {
    let what = json!({"link": format!("link-{from}"), "to": to, "reason": "why"});
    by_operator("reassign", what)
}

const CY: &str = "cy@example.com";

/// Ann delegates to Cy, who decides with Bob.
fn delegated() -> (Vec<Event>, Vec<Entry>, Value) {
    let mut outcome = outcome("APPROVED", &[("bob", "APPROVE"), (CY, "APPROVE")]);
    outcome["stages"][0]["decisions"][1]["insteadOf"] = json!("ann");
    outcome["stages"][0]["delegations"] =
        json!([{"reviewer": "ann", "to": CY, "reason": "why", "link": "link-ann"}]);
    let events = vec![
        asked("ann"),
        asked("bob"),
        delegation("ann", CY),
        signal("ann", "reject"),
        Event::Acted,
        asked(CY),
        signal("bob", "approve"),
        signal(CY, "approve"),
        Event::Acted,
        Event::Completed(outcome.clone()),
    ];
    let entries = vec![
        Entry {
            act: Act::Delegate,
            approves: None,
            to: CY.into(),
            ..entry("ann", true, "delegated")
        },
        entry("ann", false, "superseded"),
        entry("bob", true, "recorded"),
        entry(CY, true, "recorded"),
    ];
    (events, entries, outcome)
}

fn kinds_of_team(events: &[Event], entries: &[Entry], outcome: &Value) -> Vec<Kind> {
    let submission = Submission { team: Some(0), ..submission() };
    let taken = [taken("one", outcome)];
    let findings = check(&submission, events, entries, &taken, Some(&BTreeSet::new()));
    findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn who_is_asked_in_anothers_place_decides_and_the_other_does_not() {
    let (events, entries, outcome) = delegated();
    assert_eq!(kinds_of_team(&events, &entries, &outcome), []);
    let not_allowed = kinds(&events, &entries, &outcome);
    assert_eq!(not_allowed, [Kind::Contradiction; 2], "the rule lets nobody delegate");
    let with = |change: fn(&mut Value)| {
        let (mut events, mut outcome) = (events.clone(), outcome.clone());
        change(&mut outcome["stages"][0]);
        *events.last_mut().expect("its end") = Event::Completed(outcome.clone());
        kinds_of_team(&events, &entries, &outcome)
    };
    let silent = with(|stage| stage["delegations"] = json!([]));
    assert_eq!(silent, [Kind::Contradiction, Kind::Disagreement], "it says nothing of it");
    let own = with(|stage| stage["decisions"][1]["insteadOf"] = json!("bob"));
    assert_eq!(own, [Kind::Contradiction], "in whose place");
}

#[test]
fn a_delegation_has_no_effect_that_must_not_have_one() {
    let team = Submission { team: Some(0), ..submission() };
    let submitter = team.submitter();
    let asked = [asked("ann"), asked("bob")];
    let counted = |events: &[Event]| {
        let events = [&asked[..], events].concat();
        Tally::of(&team, &events).counts[0].delegations.len()
    };
    for to in ["bob", "ann", "cy@example.org", &submitter] {
        assert_eq!(counted(&[delegation("ann", to)]), 0, "{to}");
    }
    let both = [delegation("ann", CY), delegation("bob", CY), delegation("ann", "d@example.com")];
    assert_eq!(counted(&both), 1, "nobody is asked twice, and nobody delegates twice");
    assert_eq!(counted(&[signal("ann", "approve"), delegation("ann", CY)]), 0, "she has decided");
    assert_eq!(counted(&[Event::Cancelled, Event::Acted, delegation("ann", CY)]), 0, "too late");
}

#[test]
fn a_delegation_that_is_lost_doubled_invented_or_denied_is_found() {
    let (events, entries, outcome) = delegated();
    let doubled = [&events[..3], &events[2..]].concat();
    assert_eq!(kinds_of_team(&doubled, &entries, &outcome), [Kind::Lost]);
    let unsent = kinds_of_team(&events, &entries[1..], &outcome);
    assert_eq!(unsent, [Kind::Invented], "nobody has sent it");
    let answered = |answer: &str, to: &str| {
        let mut entries = entries.clone();
        entries.push(Entry { answer: answer.into(), to: to.into(), ..entries[0].clone() });
        kinds_of_team(&events, &entries, &outcome)
    };
    assert_eq!(answered("delegated", CY), [], "once more");
    assert_eq!(answered("invalid", "bob"), [], "a wrong one");
    assert_eq!(answered("invalid", CY), [Kind::Disagreement]);
    assert_eq!(answered("accepted", "d@example.com"), [Kind::Lost]);
    let foreign = delegation("bob", "cy@example.org");
    let sent_on = [&events[..3], &[foreign], &events[3..]].concat();
    let bob = Entry { to: "cy@example.org".into(), key: "link-bob".into(), ..entries[0].clone() };
    let sent = [&entries[..], &[Entry { answer: "unknown".into(), ..bob }]].concat();
    assert_eq!(kinds_of_team(&sent_on, &sent, &outcome), [Kind::Disagreement], "a foreign domain");
    let mut wrong = entries.clone();
    wrong.push(entry("bob", true, "superseded"));
    assert_eq!(kinds_of_team(&events, &wrong, &outcome), [Kind::Disagreement], "he has not");
}
