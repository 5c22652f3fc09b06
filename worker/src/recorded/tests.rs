//! The JSON of all that histories hold of ours, types of the core included.

use std::sync::LazyLock;

use countersign_protos::v1;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    approval::{Ballot, Claim, Operators, Quorum, Restrictions, Signed, Verdict, Whom},
    policy::{Absence, Calendar, FollowUps, PlannedLevel, PlannedStage, TimePlan},
    testing::{address, keys, sealed},
};

const SNAPSHOT: &str = include_str!("snapshot.json");

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn submission() -> v1::Submission {
    v1::Submission { submission_id: "PO-1".into(), ..<_>::default() }
}

fn outcome() -> Outcome {
    Outcome { submission_id: "PO-1".into(), status: v1::Status::Approved.into(), ..<_>::default() }
}

fn follow_up() -> FollowUp {
    FollowUp {
        workflow: "PayExpense".into(),
        task_queue: "payments".into(),
        namespace: Some("finance".into()),
    }
}

fn absence() -> Absence {
    let day = |text: &str| text.parse().expect("a day");
    Absence {
        reviewer: address("ann"),
        deputy: Some(address("dee")),
        from: day("2026-11-24"),
        to: day("2026-11-27"),
    }
}

fn time() -> TimePlan {
    let wait = |text: &str| text.parse().expect("a wait");
    TimePlan { deadline: wait("2 working days"), reminders: Vec::new() }
}

fn earlier() -> v1::EarlierVersion {
    v1::EarlierVersion {
        digest: "v1:0".into(),
        stage: "Finance".into(),
        request: Some(v1::Vote { reviewer: "ann@example.com".into(), ..<_>::default() }),
        by: "operator".into(),
        identity: "op@laptop".into(),
        ..<_>::default()
    }
}

fn plan() -> Plan {
    let stage = PlannedStage {
        name: "Finance".into(),
        reviewers: vec![address("ann"), address("bob")],
        quorum: Quorum::at_least(2).expect("positive"),
        time: time(),
        on_deadline: OnDeadline::Approve,
        escalations: vec![PlannedLevel {
            reviewers: vec![address("boss")],
            time: time(),
            keep_earlier: true,
            fallback: true,
        }],
    };
    Plan {
        commands: 1,
        webhook: true,
        webhook_queue: Some("approvals-webhook".into()),
        rule: "Everything".into(),
        rule_decision: Some(Verdict::Approve),
        restrictions: Restrictions {
            different_people: true,
            comment_required: vec![Verdict::Reject],
            operators: Operators::BY_RULES,
            delegate_to: vec!["example.com".into()],
        },
        tell_submitter: true,
        time_zone: "Europe/Berlin".into(),
        calendar: Some(Calendar::default()),
        absences: vec![absence()],
        follow_ups: FollowUps { approved: Some(follow_up()), rejected: None },
        confirm: true,
        submitter_link: true,
        earlier: vec![earlier()],
        previous: Some(submission()),
        ..Plan::asking(submission(), address("sue"), vec![stage])
    }
}

const CHAIN: Chain<'_> = Chain { workflow_id: "po-1", first_run_id: "run" };
const HASH: &str = "7K3Q9XHT2M4VZB8DJW5P";

fn invited() -> Invited {
    Invited {
        stage: 1,
        round: 2,
        reviewer: address("dee"),
        on_behalf_of: Some(address("ann")),
        instead_of: Some(address("bob")),
        link: HASH.into(),
        key: "key".into(),
    }
}

fn submitters_link() -> SubmitterLink {
    SubmitterLink { link: HASH.into(), key: "key".into() }
}

fn signed() -> Signed {
    let proof = v1::Proof { signature: "signature".into(), at: Some(<_>::default()) };
    Signed { link: HASH.into(), proof }
}

fn revising(by: Reviser) -> Revising {
    Revising { evidence: evidence(), submission: submission(), by }
}

fn due() -> Due {
    let reminders = vec![at("2026-11-25T09:00:00Z")];
    Due { deadline: at("2026-11-26T09:00:00Z"), reminders }
}

fn issue(whom: Whom) -> Issue {
    Issue {
        plan: sealed(&plan(), CHAIN),
        first_run_id: CHAIN.first_run_id.into(),
        to_ask: ToAsk { stage: 1, round: 2, whom, taken: vec![address("bob")] },
        opened_at: at("2026-11-24T09:00:00Z"),
    }
}

fn delegation() -> Delegation {
    Delegation {
        link: HASH.into(),
        to: address("cy"),
        reason: "away".into(),
        left_out: Some("hash".into()),
        proof: v1::Proof { signature: "signature".into(), at: Some(<_>::default()) },
    }
}

fn evidence() -> Evidence {
    let (identity, at) = ("op@laptop".to_owned(), at("2026-11-24T09:00:00Z"));
    let proof = v1::Proof { signature: "signature".into(), at: Some(<_>::default()) };
    let ballot = Ballot {
        left_out: Some("hash".into()),
        answers: [("budget".to_owned(), "1500".to_owned())].into(),
        answers_left_out: Some("hash".into()),
        proof: Some(proof),
        identity: identity.clone(),
        ..Ballot::new(Claim::Link(HASH.into()), Verdict::Approve, "ok".into())
    };
    let by_operator = Ballot {
        version: 2,
        ..Ballot::new(Claim::Reviewer(address("ann")), Verdict::Reject, String::new())
    };
    let (from, to) = (address("ann"), address("cy"));
    Evidence {
        plan: sealed(&plan(), CHAIN),
        first_run_id: CHAIN.first_run_id.into(),
        began: at,
        journal: vec![
            Entry::Asked { invited: vec![invited()], due: Some(due()), at },
            Entry::Voted { ballot, at },
            Entry::Voted { ballot: by_operator, at },
            Entry::Delegated { delegation: delegation(), at },
            Entry::SubmitterAsked { link: submitters_link(), deadline: Some(at), at },
            Entry::Reassigned { from, to, identity: identity.clone(), at },
            Entry::Reminded { reviewer: Some(address("ann")), identity: identity.clone(), at },
            Entry::Reissued { reviewer: Some(address("ann")), identity: identity.clone(), at },
            Entry::Withdrawn { reason: "typo".into(), identity, signed: None, at },
            Entry::Withdrawn {
                reason: "typo".into(),
                identity: String::new(),
                signed: Some(signed()),
                at,
            },
            Entry::Reached { link: HASH.into(), reached: false },
            Entry::TimePassed { at },
        ],
    }
}

fn request() -> ReviewRequest {
    ReviewRequest {
        plan: sealed(&plan(), CHAIN),
        first_run_id: CHAIN.first_run_id.into(),
        stage: 1,
        round: 2,
        reviewer: address("dee"),
        on_behalf_of: Some(address("ann")),
        instead_of: Some(address("bob")),
        reassigned_by: Some("op@laptop".into()),
        delegated: Some(Delegated {
            round: 1,
            on_behalf_of: Some(address("ann")),
            instead_of: Some(address("eve")),
            delegation: delegation(),
        }),
        link: HASH.into(),
        asked_at: Some(at("2026-11-24T09:00:00Z")),
        deadline: Some(<_>::default()),
        times_out_at: Some(<_>::default()),
        on_deadline: OnDeadline::Reject,
        escalates: true,
        reminder: true,
        new_link: true,
        follows: Some(EarlierRequest {
            round: 1,
            asked_at: at("2026-11-23T09:00:00Z"),
            version: Some(EarlierSeat {
                digest: "v1:0".into(),
                stage: 1,
                on_behalf_of: Some(address("ann")),
                instead_of: Some(address("bob")),
            }),
        }),
    }
}

/// The JSON of a value, which it is read from again.
fn json_of<T: Serialize + DeserializeOwned>(value: T) -> Value {
    let written = json!(value);
    let read: T = serde_json::from_value(written.clone()).expect("it can be read");
    assert_eq!(json!(read), written, "nothing is lost");
    written
}

#[test]
fn what_histories_hold_is_written_as_it_was() {
    let problem = v1::Problem { path: "$.document".into(), message: "is missing".into() };
    let outcome = || Sealed::new(&outcome(), CHAIN, keys().first()).expect("JSON");
    let first_run_id = || CHAIN.first_run_id.to_owned();
    let notice = |about| {
        let (workflow_id, recipient) = ("laptops".to_owned(), address("bob"));
        Notice { workflow_id, number: 2, recipient, about, follows: true }
    };
    let announced = About::Outcome { outcome: outcome(), first_run_id: first_run_id() };
    let start = StartFollowUp {
        plan: sealed(&plan(), CHAIN),
        outcome: outcome(),
        first_run_id: first_run_id(),
        encoding: Encoding::JsonProtobuf,
    };
    let delivery =
        Delivery { outcome: outcome(), first_run_id: first_run_id(), not_followed_up: true };
    let opened_at = at("2026-11-24T09:00:00Z");
    let (invited, due, submitter) = (vec![invited()], Some(due()), Some(submitters_link()));
    let issued = Issued { opened_at, invited, due, submitter };
    let revised = About::Revised { earlier: evidence(), plan: sealed(&plan(), CHAIN) };
    let replacement = Whom::Replacement(address("ann"), address("cy"));
    let new_link = Whom::Reissue {
        reviewer: address("dee"),
        on_behalf_of: Some(address("ann")),
        instead_of: Some(address("bob")),
        old_round: 1,
        old_link: HASH.into(),
    };
    let written: Map<String, Value> = [
        ("Validated::Plan", json_of(Validated::Plan(sealed(&plan(), CHAIN)))),
        ("Validated::Problems", json_of(Validated::Problems(vec![problem]))),
        ("Revising by link", json_of(revising(Reviser::Submitter(signed())))),
        ("Revising by an operator", json_of(revising(Reviser::Operator("op@laptop".into())))),
        ("Issue", json_of(issue(Whom::Level(1)))),
        ("Issue of a replacement", json_of(issue(replacement))),
        ("Issue of a new link", json_of(issue(new_link))),
        ("Issue to the submitter", json_of(issue(Whom::Submitter))),
        ("Issued", json_of(issued)),
        ("ReviewRequest", json_of(request())),
        ("RefusedSince", json_of(RefusedSince { refused_since: Timestamp::UNIX_EPOCH })),
        ("Evidence", json_of(evidence())),
        ("Notice of an outcome", json_of(notice(announced))),
        ("Notice of a start", json_of(notice(About::Started(evidence())))),
        ("Notice that nobody is reached", json_of(notice(About::Unreachable(evidence())))),
        ("Notice of changes", json_of(notice(About::ChangesRequested(evidence())))),
        ("Notice of a revision", json_of(notice(revised))),
        ("Notice of a superseded reviewer", json_of(notice(About::Superseded(evidence())))),
        ("Notice of an operator's vote", json_of(notice(About::DecidedByOperator(evidence())))),
        (
            "Concluded",
            json_of(Concluded { outcome: outcome(), jws: "header.claims.signature".into() }),
        ),
        ("Delivery", json_of(delivery)),
        ("StartFollowUp", json_of(start)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    let expected: Map<String, Value> = serde_json::from_str(SNAPSHOT).expect("JSON");
    let written = Value::Object(written);
    assert_eq!(written, Value::Object(expected), "histories would have:\n{written:#}");
}

static GENUINE: LazyLock<Vec<u8>> =
    LazyLock::new(|| serde_json::to_vec(&sealed(&plan(), CHAIN)).expect("JSON"));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_changed_plan_is_not_sealed(place in any::<prop::sample::Index>(), by in 1..=255u8) {
        let mut changed = GENUINE.clone();
        let place = place.index(changed.len());
        changed[place] ^= by;
        let Ok(changed) = serde_json::from_slice::<Sealed<Plan>>(&changed) else { return Ok(()) };
        prop_assert!(changed.open(CHAIN, &keys()).is_err());
    }
}
