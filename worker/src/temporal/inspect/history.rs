//! What only a workflow's history says: when something was tried for the first time, and how it ended.

use std::collections::BTreeMap;

use countersign_core::diagnosis::{Activity, Approval, Failure};
use countersign_protos::submission;
use jiff::Timestamp;
use serde::Deserialize;
use temporalio_client::{
    NamespacedClient,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, WorkflowExecution},
    failure::v1::{self, failure::FailureInfo},
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::GetWorkflowExecutionHistoryRequest,
};

use super::{Inspector, time};
use crate::payload::from_temporal;

/// Of some hundred events each.
const MAX_PAGES: usize = 20;

/// What was read of a history.
#[derive(Debug, Default)]
pub(super) struct Past {
    title: Option<String>,
    /// By the event that says so.
    scheduled: BTreeMap<i64, Activity>,
    refused: Vec<Activity>,
    /// Those that no workflow task has taken: what arrives while one is under way is written down after it.
    signals: Vec<(String, Timestamp)>,
    /// Of the workflow task, if it has failed since one succeeded: when it did so first, and how last. Attempts after
    /// the first one are not in a history.
    task_failure: Option<(Option<Timestamp>, Failure)>,
    /// With which the workflow completed.
    pub(super) result: Option<Payload>,
    /// With which it failed.
    pub(super) failure: Option<Failure>,
}

impl Inspector {
    pub(super) async fn past(&self, execution: WorkflowExecution) -> Result<Past, Status> {
        let (mut past, mut token) = (Past::default(), Vec::new());
        for _ in 0..MAX_PAGES {
            let read = self.read(|mut client| {
                let request = GetWorkflowExecutionHistoryRequest {
                    namespace: client.namespace(),
                    execution: Some(execution.clone()),
                    next_page_token: token.clone(),
                    ..GetWorkflowExecutionHistoryRequest::default()
                };
                async move { client.get_workflow_execution_history(request.into_request()).await }
            });
            let page = read.await?;
            page.history.unwrap_or_default().events.into_iter().for_each(|event| past.take(event));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        Ok(past)
    }
}

impl Past {
    fn take(&mut self, event: HistoryEvent) {
        let at = event.event_time.and_then(|at| time((at.seconds, at.nanos)));
        let summary = event.user_metadata.and_then(|metadata| metadata.summary);
        let summary = summary.and_then(|summary| serde_json::from_slice(&summary.data).ok());
        match event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                let input = started.input.unwrap_or_default().payloads;
                let (submission, _) = submission::read(&from_temporal(input));
                self.title = submission.document.map(|document| document.title);
            }
            Some(Attributes::ActivityTaskScheduledEventAttributes(scheduled)) => {
                let activity = Activity {
                    kind: scheduled.activity_type.unwrap_or_default().name,
                    id: scheduled.activity_id,
                    summary: summary.unwrap_or_default(),
                    attempt: 1,
                    since: at.unwrap_or_default(),
                    failure: None,
                    paused: false,
                };
                self.scheduled.insert(event.event_id, activity);
            }
            Some(Attributes::ActivityTaskFailedEventAttributes(failed)) => {
                self.refuse(failed.scheduled_event_id, at, failed.failure);
            }
            Some(Attributes::ActivityTaskTimedOutEventAttributes(late)) => {
                self.refuse(late.scheduled_event_id, at, late.failure);
            }
            Some(Attributes::ActivityTaskCompletedEventAttributes(completed)) => {
                if let Some(done) = self.scheduled.get(&completed.scheduled_event_id) {
                    // Such as another mail to somebody whom the first one did not reach. Without a summary, such as
                    // one under a key that is not here, nothing says to whom.
                    let is_done = |it: &Activity| {
                        let is_same = (&it.kind, &it.summary) == (&done.kind, &done.summary);
                        is_same && !done.summary.is_empty()
                    };
                    self.refused.retain(|refused| !is_done(refused));
                }
            }
            Some(Attributes::WorkflowTaskFailedEventAttributes(failed)) => {
                let cause = failed.cause().as_str_name();
                let cause = cause.trim_start_matches("WORKFLOW_TASK_FAILED_CAUSE_").to_owned();
                // What a reset writes is not a worker's failure.
                if cause != "RESET_WORKFLOW" {
                    let message = failed.failure.map(text_of).unwrap_or_default();
                    let first = self.task_failure.take().map_or(at, |(first, _)| first);
                    self.task_failure = Some((first, Failure { kind: cause, message }));
                }
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(signal)) => {
                self.signals.push((signal.signal_name, at.unwrap_or_default()));
            }
            Some(Attributes::WorkflowTaskCompletedEventAttributes(_)) => {
                self.task_failure = None;
                self.signals.clear();
            }
            Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) => {
                self.result = completed.result.unwrap_or_default().payloads.into_iter().next();
            }
            Some(Attributes::WorkflowExecutionFailedEventAttributes(failed)) => {
                self.failure = failed.failure.map(read_failure);
            }
            _ => {}
        }
    }

    fn refuse(&mut self, event_id: i64, at: Option<Timestamp>, failure: Option<v1::Failure>) {
        if let (Some(scheduled), Some(at)) = (self.scheduled.get(&event_id), at) {
            let failure = failure.map(read_failure);
            self.refused.push(Activity { since: at, failure, ..scheduled.clone() });
        }
    }

    /// Adds what a description lacks.
    pub(super) fn complete(&self, approval: &mut Approval) {
        approval.title.clone_from(&self.title);
        if let (Some(task), Some((first, failure))) = (&mut approval.task, &self.task_failure)
            && task.has_failed()
        {
            task.since = first.unwrap_or(task.since);
            task.failure = Some(failure.clone());
        }
        approval.refused.clone_from(&self.refused);
        approval.signals.clone_from(&self.signals);
        for activity in &mut approval.activities {
            if let Some(known) = self.scheduled.values().find(|known| known.id == activity.id) {
                activity.since = known.since;
                activity.summary.clone_from(&known.summary);
            }
        }
    }
}

/// A failure's type and message. That of a wrapper is that of its cause.
pub(super) fn read_failure(failure: v1::Failure) -> Failure {
    let kind = match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => info.r#type.clone(),
        Some(FailureInfo::TimeoutFailureInfo(info)) => info.timeout_type().as_str_name().to_owned(),
        _ => String::new(),
    };
    match &failure.cause {
        Some(_) if kind.is_empty() => read_failure(*failure.cause.unwrap_or_default()),
        _ => Failure { kind, message: text_of(failure) },
    }
}

/// What a failure says. Where payloads are encrypted, it has that beside its message, as the SDKs do it
/// (`encode_common_attributes`).
fn text_of(failure: v1::Failure) -> String {
    #[derive(Deserialize)]
    struct Attributes {
        message: String,
    }
    let decoded =
        failure.encoded_attributes.and_then(|json| serde_json::from_slice(&json.data).ok());
    decoded.map_or(failure.message, |Attributes { message }| message)
}

#[cfg(test)]
mod tests {
    use temporalio_common::protos::temporal::api::{
        enums::v1::WorkflowTaskFailedCause as Cause,
        failure::v1::ApplicationFailureInfo,
        history::v1::{
            ActivityTaskCompletedEventAttributes, ActivityTaskFailedEventAttributes,
            ActivityTaskScheduledEventAttributes, WorkflowExecutionSignaledEventAttributes,
            WorkflowTaskFailedEventAttributes,
        },
        sdk::v1::UserMetadata,
    };

    use super::*;

    #[test]
    fn a_task_fails_since_its_first_failure_that_no_success_has_followed() {
        let event = |at: &str, attributes| HistoryEvent {
            event_time: at.parse().ok(),
            attributes: Some(attributes),
            ..HistoryEvent::default()
        };
        let failed = |at: &str, cause: Cause| {
            let failed =
                WorkflowTaskFailedEventAttributes { cause: cause.into(), ..Default::default() };
            event(at, Attributes::WorkflowTaskFailedEventAttributes(failed))
        };
        let mut past = Past::default();
        past.take(failed("2026-12-01T08:00:00Z", Cause::BadSearchAttributes));
        let done = Attributes::WorkflowTaskCompletedEventAttributes(Default::default());
        past.take(event("2026-12-01T08:10:00Z", done));
        past.take(failed("2026-12-01T08:20:00Z", Cause::ResetWorkflow));
        past.take(failed("2026-12-01T09:00:00Z", Cause::BadSearchAttributes));
        // Something else arrived meanwhile, and the first attempt after it is written down.
        past.take(failed("2026-12-01T09:30:00Z", Cause::NonDeterministicError));
        let (first, failure) = past.task_failure.expect("a failure");
        assert_eq!(first, "2026-12-01T09:00:00Z".parse().ok());
        assert_eq!(failure.kind, "NON_DETERMINISTIC_ERROR");
    }

    #[test]
    fn a_signal_waits_until_a_workflow_task_after_it_completes() {
        let sent = |name: &str| {
            let signal_name = name.to_owned();
            let it = WorkflowExecutionSignaledEventAttributes { signal_name, ..Default::default() };
            Attributes::WorkflowExecutionSignaledEventAttributes(it)
        };
        let done = Attributes::WorkflowTaskCompletedEventAttributes(Default::default());
        let mut past = Past::default();
        for attributes in [sent("remind"), done, sent("approve")] {
            past.take(HistoryEvent {
                event_time: "2026-12-01T08:00:00Z".parse().ok(),
                attributes: Some(attributes),
                ..HistoryEvent::default()
            });
        }
        let since: Timestamp = "2026-12-01T08:00:00Z".parse().expect("a time");
        assert_eq!(past.signals, [("approve".to_owned(), since)]);
    }

    /// What is refused, and since when, after one mail was refused and the next one taken. Both have this summary.
    fn refused_of(summary: Option<&str>) -> Vec<(String, Timestamp)> {
        let summary = summary.map(|data| Payload { data: data.into(), ..Payload::default() });
        let user_metadata = Some(UserMetadata { summary, ..UserMetadata::default() });
        let scheduled = |id: &str| {
            let activity_id = id.to_owned();
            let it = ActivityTaskScheduledEventAttributes { activity_id, ..Default::default() };
            Attributes::ActivityTaskScheduledEventAttributes(it)
        };
        let failed =
            ActivityTaskFailedEventAttributes { scheduled_event_id: 1, ..Default::default() };
        let taken =
            ActivityTaskCompletedEventAttributes { scheduled_event_id: 3, ..Default::default() };
        let events = [
            scheduled("1"),
            Attributes::ActivityTaskFailedEventAttributes(failed),
            scheduled("2"),
            Attributes::ActivityTaskCompletedEventAttributes(taken),
        ];
        let mut past = Past::default();
        for (event_id, attributes) in (1..).zip(events) {
            past.take(HistoryEvent {
                event_id,
                event_time: format!("2026-12-01T08:00:0{event_id}Z").parse().ok(),
                attributes: Some(attributes),
                user_metadata: user_metadata.clone(),
                ..HistoryEvent::default()
            });
        }
        past.refused.into_iter().map(|refused| (refused.id, refused.since)).collect()
    }

    #[test]
    fn a_mail_is_refused_since_its_last_attempt_until_another_one_is_taken() {
        assert!(refused_of(Some(r#""Ask ann@example.com""#)).is_empty());
        let since: Timestamp = "2026-12-01T08:00:02Z".parse().expect("a time");
        for nobody_knows_whose in [None, Some("\u{1}encrypted")] {
            let refused = refused_of(nobody_knows_whose);
            assert_eq!(refused, [("1".to_owned(), since)], "{nobody_knows_whose:?}");
        }
    }

    #[test]
    fn a_failure_goes_by_its_type_or_by_that_of_its_cause() {
        let application = v1::Failure {
            message: "the mail server: Connection refused".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                r#type: "MailUnavailable".into(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let wrapped = v1::Failure {
            message: "activity error".into(),
            cause: Some(Box::new(application.clone())),
            ..Default::default()
        };
        for failed in [application, wrapped] {
            let Failure { kind, message } = read_failure(failed);
            assert_eq!(
                (&*kind, &*message),
                ("MailUnavailable", "the mail server: Connection refused")
            );
        }
    }
}
