//! What a history says of an approval while no worker can answer for it, and whether it issued a
//! link.

use countersign_protos::{
    LinkHash, names, payload, submission,
    v1::{
        ApprovalState, Outcome, ReviewerState, StageOutcome, StageState, Status, Submission, Vote,
    },
};
use serde_json::Value;
use temporalio_common::protos::{
    constants::LOCAL_ACTIVITY_MARKER_NAME,
    temporal::api::{
        common::v1::Payloads,
        enums::v1::ContinueAsNewInitiator,
        history::v1::{
            HistoryEvent, MarkerRecordedEventAttributes, WorkflowExecutionStartedEventAttributes,
            history_event::Attributes,
        },
    },
};

use crate::{
    judgement::{self, Ending, Reading},
    temporal::from_temporal,
};

/// Reads the first and the closing event of a workflow, whose search attribute says this status.
/// Nothing where the workflow goes on in another run.
pub(crate) fn read(
    first: Option<HistoryEvent>,
    closing: Option<HistoryEvent>,
    status: Status,
) -> Option<Reading> {
    let submission = match first.and_then(|event| event.attributes) {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
            // What has the wrong shape is the worker's to complain about.
            submission::recorded(&from_temporal(started.input.unwrap_or_default().payloads))
        }
        _ => Submission::default(),
    };
    let pending = ApprovalState {
        status: Status::Pending.into(),
        submission: Some(submission),
        ..ApprovalState::default()
    };
    // It may have been decided before, and still have had something to do.
    let ended = |ending, state| match judgement::pending(status) {
        true => Reading::Ended(ending, state),
        false => Reading::Closed(ApprovalState { status: status.into(), ..state }),
    };
    let closed_at = closing.as_ref().and_then(|event| event.event_time);
    Some(match closing.and_then(|event| event.attributes) {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => {
            match payload::decode(&from_temporal(completed.result.unwrap_or_default().payloads)) {
                Ok(outcome) => Reading::Closed(decided(outcome, pending)),
                Err(_) => Reading::Ended(Ending::Unreadable, pending),
            }
        }
        Some(Attributes::WorkflowExecutionCanceledEventAttributes(_)) => {
            Reading::Closed(ApprovalState {
                status: Status::Withdrawn.into(),
                decided_at: closed_at.map(|time| pbjson_types::Timestamp {
                    seconds: time.seconds,
                    nanos: time.nanos,
                }),
                ..pending
            })
        }
        Some(Attributes::WorkflowExecutionFailedEventAttributes(_)) => {
            ended(Ending::Failed, pending)
        }
        Some(Attributes::WorkflowExecutionTerminatedEventAttributes(_)) => {
            ended(Ending::Terminated, pending)
        }
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(_)) => {
            ended(Ending::TimedOut, pending)
        }
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)) => return None,
        _ => Reading::Unattended(pending),
    })
}

/// Whether this event shows that its run issued the link: the marker of the local activity that did,
/// or the start of a run that goes on with what the run before it had.
///
/// Search attributes show nothing: whoever starts a workflow chooses them.
pub(crate) fn shows(event: &HistoryEvent, link: &LinkHash) -> bool {
    match &event.attributes {
        Some(Attributes::MarkerRecordedEventAttributes(marker)) => issues(marker, link),
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
            inherits(started, link)
        }
        _ => false,
    }
}

/// Such a marker's `data` says which activity it was, and `result` what it returned: Temporal Core,
/// `external_data.proto`.
fn issues(marker: &MarkerRecordedEventAttributes, link: &LinkHash) -> bool {
    marker.marker_name == LOCAL_ACTIVITY_MARKER_NAME
        && json(marker.details.get("data"))
            .is_some_and(|data| data["activity_type"] == names::ACTIVITY_ISSUE_LINKS)
        && json(marker.details.get("result")).is_some_and(|issued| has_link(&issued, link))
}

/// A cron schedule and a retry begin with what somebody started the workflow with.
fn inherits(started: &WorkflowExecutionStartedEventAttributes, link: &LinkHash) -> bool {
    started.initiator() == ContinueAsNewInitiator::Workflow
        && json(started.input.as_ref()).is_some_and(|input| has_link(&input["case"], link))
}

fn json(payloads: Option<&Payloads>) -> Option<Value> {
    serde_json::from_slice(&payloads?.payloads.first()?.data).ok()
}

/// Whether a field `link` somewhere inside has this hash.
fn has_link(value: &Value, link: &LinkHash) -> bool {
    match value {
        Value::Array(values) => values.iter().any(|value| has_link(value, link)),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            name == "link" && value.as_str() == Some(link.as_str()) || has_link(value, link)
        }),
        _ => false,
    }
}

/// An outcome in the shape of the workflow's own answer. A value that only a newer version knows is
/// unspecified: as it is, it could not be written as JSON.
fn decided(outcome: Outcome, pending: ApprovalState) -> ApprovalState {
    let submission = pending.submission.unwrap_or_default();
    ApprovalState {
        status: outcome.status().into(),
        submission: Some(Submission {
            submitter: outcome.submitter.or(submission.submitter),
            document: outcome.document.or(submission.document),
            ..submission
        }),
        stages: outcome.stages.into_iter().map(stage).collect(),
        decided_at: outcome.decided_at,
        reason: outcome.reason,
        ..ApprovalState::default()
    }
}

fn stage(stage: StageOutcome) -> StageState {
    let status = stage.status().into();
    let decided = stage.decisions.into_iter().map(|vote| ReviewerState {
        reviewer: vote.reviewer.clone(),
        link: vote.link.clone(),
        on_behalf_of: vote.on_behalf_of.clone(),
        vote: Some(Vote { verdict: vote.verdict().into(), ..vote }),
        ..ReviewerState::default()
    });
    let undecided = stage
        .undecided
        .into_iter()
        .map(|reviewer| ReviewerState { reviewer, ..ReviewerState::default() });
    StageState {
        name: stage.name,
        status,
        reviewers: decided.chain(undecided).collect(),
        ..StageState::default()
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::{ApprovalId, Verdict, payload::Encoding, v1::Document};
    use serde_json::json;
    use temporalio_common::protos::temporal::api::{
        common::v1::{Payload, Payloads, SearchAttributes},
        history::v1::{
            WorkflowExecutionCanceledEventAttributes, WorkflowExecutionCompletedEventAttributes,
            WorkflowExecutionFailedEventAttributes, WorkflowExecutionSignaledEventAttributes,
            WorkflowExecutionTerminatedEventAttributes, WorkflowExecutionTimedOutEventAttributes,
            WorkflowTaskScheduledEventAttributes,
        },
    };

    use super::*;
    use crate::temporal::to_temporal;

    fn event(attributes: Attributes) -> Option<HistoryEvent> {
        Some(HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() })
    }

    fn started() -> Option<HistoryEvent> {
        let document = Some(Document { title: "Ten laptops".into(), ..Document::default() });
        let submission = Submission { document, ..Submission::default() };
        let payloads = vec![to_temporal(payload::encode(&submission, Encoding::JsonPlain))];
        event(Attributes::WorkflowExecutionStartedEventAttributes(
            WorkflowExecutionStartedEventAttributes {
                input: Some(Payloads { payloads }),
                ..Default::default()
            },
        ))
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

    fn link() -> LinkHash {
        "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
    }

    fn one(data: Value) -> Payloads {
        let data = data.to_string().into_bytes();
        Payloads { payloads: vec![Payload { data, ..Payload::default() }] }
    }

    fn marker(name: &str, activity_type: &str, result: Value) -> HistoryEvent {
        let data = json!({"seq": 1, "attempt": 1, "activity_type": activity_type});
        let details = [("data", one(data)), ("result", one(result))];
        let attributes = MarkerRecordedEventAttributes {
            marker_name: name.to_owned(),
            details: details.map(|(name, value)| (name.to_owned(), value)).into(),
            ..Default::default()
        };
        event(Attributes::MarkerRecordedEventAttributes(attributes)).expect("an event")
    }

    fn begins(initiator: ContinueAsNewInitiator, input: Value) -> HistoryEvent {
        let hashes =
            Payload { data: json!([link().as_str()]).to_string().into(), ..Default::default() };
        let attribute = (names::ATTRIBUTE_LINKS.to_owned(), hashes);
        let attributes = WorkflowExecutionStartedEventAttributes {
            initiator: initiator.into(),
            input: Some(one(input)),
            // As copied by whoever starts it.
            search_attributes: Some(SearchAttributes { indexed_fields: [attribute].into() }),
            ..Default::default()
        };
        event(Attributes::WorkflowExecutionStartedEventAttributes(attributes)).expect("an event")
    }

    #[test]
    fn a_link_is_that_of_the_run_that_issued_it_and_of_those_that_follow() {
        use ContinueAsNewInitiator::{CronSchedule, Retry, Unspecified, Workflow};
        const LOCAL: &str = LOCAL_ACTIVITY_MARKER_NAME;
        const ISSUE: &str = names::ACTIVITY_ISSUE_LINKS;
        let hash = link().as_str().to_owned();
        let people = |hash: &str| {
            json!({"invited": [
                {"reviewer": "bob@example.com", "link": "00000000000000000000"},
                {"reviewer": "ann@example.com", "link": hash},
            ], "due": null})
        };
        let case = json!({"case": {"begun": {"approval": {"stages": [
            {"seats": [{"reviewer": "ann@example.com", "link": hash}]},
        ]}}}});
        let mentions = json!({"case": {"link": {"of": hash}, "early": [{"Link": hash}, hash]}});
        let signal = WorkflowExecutionSignaledEventAttributes {
            input: Some(one(people(&hash))),
            ..Default::default()
        };
        let signalled = event(Attributes::WorkflowExecutionSignaledEventAttributes(signal));
        for (event, shown) in [
            (marker(LOCAL, ISSUE, people(&hash)), true),
            (marker(LOCAL, ISSUE, people("11111111111111111111")), false),
            (marker(LOCAL, ISSUE, json!({"invited": [], "due": hash})), false),
            (marker(LOCAL, ISSUE, json!(null)), false),
            (marker(LOCAL, "validate_submission", people(&hash)), false),
            (marker("Version", ISSUE, people(&hash)), false),
            (begins(Workflow, case.clone()), true),
            (begins(Workflow, mentions), false),
            (begins(Workflow, json!({"link": hash})), false),
            (begins(Unspecified, case.clone()), false),
            (begins(CronSchedule, case.clone()), false),
            (begins(Retry, case), false),
            (signalled.expect("an event"), false),
            (HistoryEvent::default(), false),
        ] {
            assert_eq!(shows(&event, &link()), shown, "{event:?}");
        }
    }

    #[test]
    fn an_open_workflow_shows_its_submission() {
        let scheduled = event(Attributes::WorkflowTaskScheduledEventAttributes(
            WorkflowTaskScheduledEventAttributes::default(),
        ));
        for closing in [None, scheduled] {
            let Some(Reading::Unattended(state)) = read(started(), closing, Status::Pending) else {
                panic!("not open")
            };
            assert_eq!(title(&state), "Ten laptops");
            assert_eq!(state.status(), Status::Pending);
        }
        let nothing = read(None, None, Status::Unspecified);
        assert!(matches!(nothing, Some(Reading::Unattended(_))));
    }

    #[test]
    fn a_run_that_follows_another_one_shows_its_submission_however_much_comes_with_it() {
        let mut first = started().expect("an event");
        let Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) =
            &mut first.attributes
        else {
            panic!("not the start")
        };
        let input = &mut started.input.as_mut().expect("an input").payloads[0].data;
        let case = serde_json::json!({"comments": "x".repeat(submission::MAX_BYTES)});
        let mut continued: serde_json::Value = serde_json::from_slice(input).expect("JSON");
        continued["case"] = case;
        *input = continued.to_string().into_bytes();
        let Some(Reading::Unattended(state)) = read(Some(first), None, Status::Pending) else {
            panic!("not open")
        };
        assert_eq!(title(&state), "Ten laptops");
    }

    #[test]
    fn a_completed_workflow_shows_who_decided_and_who_did_not() {
        let vote = Vote {
            reviewer: "ann@example.com".into(),
            verdict: Verdict::Approve.into(),
            ..Vote::default()
        };
        let outcome = Outcome {
            status: Status::Approved.into(),
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
            let Some(Reading::Closed(state)) = read(started(), closing, Status::Approved) else {
                panic!("not closed")
            };
            assert_eq!(state.status(), Status::Approved);
            assert_eq!(title(&state), "Ten laptops");
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
        let closed = read(started(), completed(vec![payload]), Status::Approved);
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
            let ended = read(started(), closing.clone(), Status::Pending);
            let Some(Reading::Ended(ending, state)) = ended else { panic!("{how:?}") };
            assert_eq!((ending, title(&state)), (how, "Ten laptops"));
            if ending != Ending::Unreadable {
                let after_its_outcome = read(started(), closing, Status::Approved);
                let Some(Reading::Closed(state)) = after_its_outcome else { panic!("{how:?}") };
                assert_eq!((state.status(), title(&state)), (Status::Approved, "Ten laptops"));
            }
        }
        let cancelled = event(Attributes::WorkflowExecutionCanceledEventAttributes(
            WorkflowExecutionCanceledEventAttributes::default(),
        ));
        let Some(Reading::Closed(state)) = read(started(), cancelled, Status::Pending) else {
            panic!("not closed")
        };
        assert_eq!(state.status(), Status::Withdrawn);
    }
}
