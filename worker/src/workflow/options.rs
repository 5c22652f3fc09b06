//! Time-outs and retries.

use std::time::Duration;

use jiff::Timestamp;
use temporalio_common::RetryPolicy;
use temporalio_sdk::{
    ActivityCloseTimeouts, ActivityOptions, ChildWorkflowOptions, LocalActivityOptions,
    ParentClosePolicy, TimerOptions, WaitConditionOptions, WorkflowCancellationToken,
    WorkflowIdReusePolicy,
};

use crate::{activities::HEARTBEAT_TIMEOUT, notifier::LONGEST_ATTEMPT};

/// Stop trying to mail an outcome after a week.
const NOTICE_WITHIN: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Local activities run inside the workflow task, also when the workflow is being cancelled.
pub(super) fn local(summary: String) -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(Duration::from_secs(10))
        .summary(summary)
        .cancellation_token(WorkflowCancellationToken::new())
        .build()
}

/// A request is tried until it is taken, refused for good, or cancelled.
pub(super) fn request(summary: String, cancel: WorkflowCancellationToken) -> ActivityOptions {
    let timeouts = ActivityCloseTimeouts::StartToClose(mail_attempt());
    mail(timeouts, summary, cancel)
}

/// A notice is tried until it is taken, refused for good, or cancelled, for a week at most.
pub(super) fn notice(summary: String, cancel: WorkflowCancellationToken) -> ActivityOptions {
    let timeouts = ActivityCloseTimeouts::ScheduleAndStartToClose {
        schedule_to_close: NOTICE_WITHIN,
        start_to_close: mail_attempt(),
    };
    mail(timeouts, summary, cancel)
}

/// Heartbeats find a worker that died; this is for one that waits for a slow mail server.
fn mail_attempt() -> Duration {
    LONGEST_ATTEMPT + Duration::from_mins(1)
}

fn mail(
    timeouts: ActivityCloseTimeouts,
    summary: String,
    cancel: WorkflowCancellationToken,
) -> ActivityOptions {
    ActivityOptions::with_close_timeouts(timeouts)
        .heartbeat_timeout(HEARTBEAT_TIMEOUT)
        .summary(summary)
        .cancellation_token(cancel)
        .retry_policy(retry(Duration::from_secs(60)))
        .build()
}

/// What acts on an outcome is tried until it is done or refused for good.
pub(super) fn consequence(summary: String) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(30))
        .heartbeat_timeout(HEARTBEAT_TIMEOUT)
        .summary(summary)
        .cancellation_token(WorkflowCancellationToken::new())
        .retry_policy(retry(Duration::from_secs(300)))
        .build()
}

/// Outlives the approval, and is started once, also where the approval is reset. On the approval's own task
/// queue unless another one is given.
pub(super) fn child(
    workflow_id: String,
    task_queue: Option<String>,
    summary: String,
) -> ChildWorkflowOptions {
    ChildWorkflowOptions::builder()
        .workflow_id(workflow_id)
        .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
        .maybe_task_queue(task_queue)
        .parent_close_policy(ParentClosePolicy::Abandon)
        .cancellation_token(WorkflowCancellationToken::new())
        .static_summary(summary)
        .build()
}

pub(super) fn timer(
    until: Timestamp,
    now: Timestamp,
    summary: String,
    cancel: WorkflowCancellationToken,
) -> TimerOptions {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    // Temporal takes no timer of zero.
    TimerOptions::builder(left.max(Duration::from_millis(1)))
        .summary(summary)
        .cancellation_token(cancel)
        .build()
}

/// Waits also while the workflow is being cancelled.
pub(super) fn condition() -> WaitConditionOptions {
    WaitConditionOptions::builder().cancellation_token(WorkflowCancellationToken::new()).build()
}

fn retry(maximum_interval: Duration) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(maximum_interval)
        .build()
}
