//! The JSON of all that histories hold of ours, types of the core included.

use countersign_protos::v1;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    approval::{Quorum, Verdict},
    policy::{FollowUps, Plan, PlannedLevel, PlannedStage},
    testing::address,
    validation::Validated,
};

const SNAPSHOT: &str = include_str!("snapshot.json");

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn submission() -> Submission {
    Submission { submission_id: "PO-1".into(), ..Submission::default() }
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
        deputy: address("dee"),
        from: day("2026-11-24"),
        to: day("2026-11-27"),
    }
}

fn time() -> TimePlan {
    let wait = |text: &str| text.parse().expect("a wait");
    TimePlan { deadline: wait("2 working days"), reminders: Vec::new() }
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
        }],
    };
    Plan {
        version: 1,
        webhook: true,
        webhook_queue: Some("approvals-webhook".into()),
        rule: "Everything".into(),
        rule_decision: Some(Verdict::Approve),
        calendar: Some(Calendar::default()),
        absences: vec![absence()],
        follow_ups: FollowUps { approved: Some(follow_up()), rejected: None },
        ..Plan::asking(submission(), address("sue"), vec![stage])
    }
}

fn issue() -> Issue {
    Issue {
        stage: 1,
        round: 2,
        reviewers: vec![address("ann")],
        opened_at: at("2026-11-24T09:00:00Z"),
        time: Some(time()),
        calendar: Some(Calendar::default()),
        absences: vec![absence()],
        submitter: Some(address("sue")),
        asked: vec![address("bob")],
        ..Issue::default()
    }
}

fn issued() -> Issued {
    let invited = Invited {
        reviewer: address("dee"),
        on_behalf_of: Some(address("ann")),
        link: "7K3Q9XHT2M4VZB8DJW5P".into(),
    };
    let reminders = vec![at("2026-11-25T09:00:00Z")];
    let due = Due { deadline: at("2026-11-26T09:00:00Z"), reminders };
    Issued { invited: vec![invited], due: Some(due) }
}

fn request() -> ReviewRequest {
    ReviewRequest {
        approval: Uuid::nil(),
        stage: 1,
        round: 2,
        stage_name: "Finance".into(),
        reviewer: address("dee"),
        on_behalf_of: Some(address("ann")),
        link: "7K3Q9XHT2M4VZB8DJW5P".into(),
        deadline: Some(<_>::default()),
        on_deadline: OnDeadline::Reject,
        escalates: true,
        reminder: true,
        submission: submission(),
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
    let notice = Notice { recipient: address("bob"), reviewer: true, outcome: outcome() };
    let start = StartWorkflow {
        workflow_id: "po-1-approved".into(),
        next: follow_up(),
        outcome: outcome(),
        encoding: Encoding::JsonProtobuf,
    };
    let written: Map<String, Value> = [
        ("Validated::Plan", json_of(Validated::Plan(Box::new(plan())))),
        ("Validated::Problems", json_of(Validated::Problems(vec![problem]))),
        ("Issue", json_of(issue())),
        ("Issued", json_of(issued())),
        ("ReviewRequest", json_of(request())),
        ("RefusedSince", json_of(RefusedSince { refused_since: Timestamp::UNIX_EPOCH })),
        ("Notice", json_of(notice)),
        ("Delivered", json_of(Delivered { taken: "200 OK".into(), outcome: outcome() })),
        ("StartWorkflow", json_of(start)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    let expected: Map<String, Value> = serde_json::from_str(SNAPSHOT).expect("JSON");
    let written = Value::Object(written);
    assert_eq!(written, Value::Object(expected), "histories would have:\n{written:#}");
}
