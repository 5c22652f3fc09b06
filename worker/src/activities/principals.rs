//! Who has sent the signals of operators, as far as the server knows.
//!
//! From 1.31 on, a server that authenticates its callers can write a principal into each event. The SDK
//! drops it on the way to the workflow, so it is read from the history: once, when the outcome is concluded,
//! and only where an operator acted. It is evidence of which operator it was, and no more: after a reset, the
//! signals that are applied again carry the principal of who has reset the workflow.

use std::time::Duration;

use countersign_protos::{
    names,
    payload::{self, Payload},
    text::clean_line,
    v1::{self, Decision, OperatorAction, Outcome, Vote},
};
use temporalio_client::{
    Client,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::GetWorkflowExecutionHistoryRequest,
};
use temporalio_sdk::activities::{ActivityContext, ActivityInfo};
use tokio::time::timeout;

use crate::{approval::EmailAddress, payload::from_temporal};

/// An outcome does not wait any longer for evidence.
const WITHIN: Duration = Duration::from_secs(2);

/// Adds the principals to what operators did, where the server has them and answers soon.
pub(super) async fn add(outcome: &mut Outcome, ctx: &ActivityContext) {
    let mut votes = outcome.stages.iter().flat_map(|stage| &stage.decisions);
    if outcome.operator_actions.is_empty() && !votes.any(|vote| vote.by == "operator") {
        return;
    }
    match timeout(WITHIN, events(ctx.client(), ctx.info())).await {
        Ok(Ok(events)) => name(outcome, &events),
        Ok(Err(error)) => tracing::warn!(%error, "an outcome has no principals"),
        Err(_) => tracing::warn!(error = "no answer in time", "an outcome has no principals"),
    }
}

/// What has happened to the activity's workflow.
async fn events(mut client: Client, info: &ActivityInfo) -> Result<Vec<HistoryEvent>, Status> {
    let mut request = GetWorkflowExecutionHistoryRequest {
        namespace: info.namespace.clone(),
        execution: Some(WorkflowExecution {
            workflow_id: info.workflow_id.clone().unwrap_or_default(),
            run_id: info.workflow_run_id.clone().unwrap_or_default(),
        }),
        ..GetWorkflowExecutionHistoryRequest::default()
    };
    let mut all = Vec::new();
    loop {
        let answer = client.get_workflow_execution_history(request.clone().into_request()).await?;
        let answer = answer.into_inner();
        all.extend(answer.history.unwrap_or_default().events);
        if answer.next_page_token.is_empty() {
            return Ok(all);
        }
        request.next_page_token = answer.next_page_token;
    }
}

/// A run that continues another may have counted signals to the one before: it names nobody.
fn name(outcome: &mut Outcome, events: &[HistoryEvent]) {
    let continues = events.iter().any(|event| match &event.attributes {
        Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
            !started.continued_execution_run_id.is_empty()
        }
        _ => false,
    });
    if continues {
        return;
    }
    for action in &mut outcome.operator_actions {
        action.principal = principal(events, |event| is_action(event, action));
    }
    let votes = outcome.stages.iter_mut().flat_map(|stage| &mut stage.decisions);
    for vote in votes.filter(|vote| vote.by == "operator") {
        vote.principal = principal(events, |event| is_vote(event, vote));
    }
}

/// The principal of the events that may be the one that counted; empty if they differ.
fn principal(events: &[HistoryEvent], may_be: impl Fn(&HistoryEvent) -> bool) -> String {
    let candidates = events.iter().filter(|event| may_be(event));
    let mut principals = candidates.map(|event| event.principal.as_ref());
    match principals.next() {
        Some(Some(one)) if principals.all(|other| other == Some(one)) => {
            clean_line(&format!("{}:{}", one.r#type, one.name))
        }
        _ => String::new(),
    }
}

fn is_action(event: &HistoryEvent, action: &OperatorAction) -> bool {
    match signal(event, &action.action, &action.identity) {
        Some(payloads) if action.action == names::SIGNAL_REASSIGN => {
            let read: v1::Reassignment = payload::decode(&payloads).unwrap_or_default();
            is_same(&read.reviewer, &action.reviewer) && is_same(&read.to, &action.to)
        }
        Some(_) => true,
        // Nobody knows who has cancelled, and that is shown as an unknown withdrawal.
        None => {
            action.action == names::SIGNAL_WITHDRAW
                && matches!(
                    event.attributes,
                    Some(Attributes::WorkflowExecutionCancelRequestedEventAttributes(_))
                )
        }
    }
}

fn is_vote(event: &HistoryEvent, vote: &Vote) -> bool {
    let Some(verdict) = vote.verdict().known() else { return false };
    let payloads = signal(event, verdict.terms().name, &vote.identity);
    let Some(decision) = payloads.and_then(|all| payload::decode::<Decision>(&all).ok()) else {
        return false;
    };
    decision.link.trim() == vote.link
        || is_same(&decision.reviewer, &vote.reviewer)
        || is_same(&decision.reviewer, &vote.on_behalf_of)
}

/// The payloads of a signal of this name by who claims this identity, which may be cut or unknown.
fn signal(event: &HistoryEvent, name: &str, identity: &str) -> Option<Vec<Payload>> {
    let Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) = &event.attributes
    else {
        return None;
    };
    let claims = identity == "unknown" || clean_line(&signal.identity).starts_with(identity);
    let payloads = signal.input.clone().unwrap_or_default().payloads;
    (signal.signal_name == name && claims).then(|| from_temporal(payloads))
}

fn is_same(written: &str, reviewer: &str) -> bool {
    let address = |text: &str| text.trim().parse::<EmailAddress>().ok();
    address(written).is_some_and(|written| address(reviewer) == Some(written))
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::temporal::api::{
        common::v1::{self as temporal, Payloads, Principal},
        history::v1::{
            WorkflowExecutionSignaledEventAttributes, WorkflowExecutionStartedEventAttributes,
        },
    };

    use super::*;

    /// A signal that claims to be by the help desk.
    fn sent(name: &str, input: &str, by: &str) -> HistoryEvent {
        let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
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
        let continued_execution_run_id = "before".to_owned();
        let started = Attributes::WorkflowExecutionStartedEventAttributes(
            WorkflowExecutionStartedEventAttributes {
                continued_execution_run_id,
                ..Default::default()
            },
        );
        let continued = HistoryEvent { attributes: Some(started), ..HistoryEvent::default() };
        assert_eq!(and(continued), ["", "", ""], "the run before may have had others");
    }
}
