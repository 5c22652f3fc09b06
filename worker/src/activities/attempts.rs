//! Around every attempt of an activity: checks who scheduled it, logs failures, adds jitter to retries.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use countersign_protos::{
    names::{WORKFLOW_TYPE, WORKFLOW_TYPE_NOTICES},
    text::clean_line,
};
use countersign_telemetry::traces;
use futures::{FutureExt, future::ready};
use temporalio_common::{RetryPolicy, error::ApplicationFailure};
use temporalio_sdk::{
    activities::{ActivityError, ActivityInfo},
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
};
use tokio::time::sleep;
use tracing::warn;

use crate::{
    metrics::metrics,
    recorded::{Delivery, Notice, ReviewRequest, StartFollowUp},
};

/// Local activities, which run inside a workflow task. Anybody else can only schedule them as regular
/// ones.
const LOCAL: [&str; 3] = ["validate_submission", "issue_links", "conclude"];
/// Regular activities, which anybody who can write to the namespace can schedule.
const REGULAR: [&str; 4] = ["request_approval", ANNOUNCE, "process_decision", "start_workflow"];
/// The one that a workflow of notices calls, too.
const ANNOUNCE: &str = "announce_decision";
/// The same cause is logged at most once in this time.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// Intercepts attempts of our activities; those of others pass. Clones share what was logged.
#[derive(Clone)]
pub(crate) struct Attempts {
    /// The worker's own, if known.
    namespace: Option<String>,
    failures: Failures,
}

impl Attempts {
    /// `namespace` is the worker's own, if known.
    pub(crate) fn new(namespace: Option<String>) -> Self {
        Self { namespace, failures: Failures::default() }
    }
}

impl Attempts {
    /// Logs a failure, counts it, and says in the attempt's span which kind it is.
    fn note(&self, info: &ActivityInfo, what: String, failure: &ApplicationFailure) {
        let kind = failure.type_name().unwrap_or_default();
        metrics().process.failed(&info.activity_type, kind);
        traces::failed(kind.to_owned());
        self.failures.note(FailedAttempt::new(info, what, failure));
    }
}

impl ActivityInboundInterceptor for Attempts {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info().clone();
        let what = describe(&input);
        let allowed = Caller::of(&info).check(self.namespace.as_deref());
        if let Err(why) = allowed {
            let refusal = ApplicationFailure::builder(why).type_name("NotAnApproval".to_owned());
            let refusal = refusal.non_retryable(true).build();
            self.note(&info, what, &refusal);
            return ready(Err(refusal.into())).boxed();
        }
        async move {
            match next.run(input).await {
                Err(ActivityError::Application(failure)) if is_ours(&info.activity_type) => {
                    self.note(&info, what, &failure);
                    Err(with_jitter(*failure, &info).into())
                }
                done => done,
            }
        }
        .boxed()
    }
}

fn is_ours(activity: &str) -> bool {
    LOCAL.contains(&activity) || REGULAR.contains(&activity)
}

/// Who scheduled an activity, according to Temporal. Anybody who can write to the namespace can schedule
/// one on the worker's task queue, from a workflow of their own or from none.
struct Caller<'a> {
    activity: &'a str,
    is_local: bool,
    workflow_type: Option<&'a str>,
    namespace: &'a str,
}

impl<'a> Caller<'a> {
    fn of(info: &'a ActivityInfo) -> Self {
        Self {
            activity: &info.activity_type,
            is_local: info.is_local,
            workflow_type: info.workflow_type.as_deref(),
            namespace: &info.namespace,
        }
    }

    /// Accepts an approval in the worker's own namespace (if that is known) that calls our activity as the
    /// workflow does, and every caller of an activity that is not ours.
    fn check(&self, own: Option<&str>) -> Result<(), String> {
        let (activity, inside) = (self.activity, LOCAL.contains(&self.activity));
        let of_an_approval = (self.workflow_type == Some(WORKFLOW_TYPE)
            || self.workflow_type == Some(WORKFLOW_TYPE_NOTICES) && activity == ANNOUNCE)
            && own.is_none_or(|namespace| namespace == self.namespace);
        if !is_ours(activity) || of_an_approval && self.is_local == inside {
            return Ok(());
        }
        let caller = match self.workflow_type {
            Some(workflow) => format!("by {workflow} in the namespace {}", self.namespace),
            None => "outside a workflow".to_owned(),
        };
        let rule = match inside {
            true => format!("runs only inside a workflow task of {WORKFLOW_TYPE}"),
            false => format!("serves only {WORKFLOW_TYPE} in the worker's own namespace"),
        };
        Err(format!("{activity} {rule}; it was called {caller}"))
    }
}

/// What an attempt is for, as the log says it.
fn describe(input: &ExecuteActivityInput) -> String {
    if let Some(request) = input.args_ref::<ReviewRequest>() {
        let kind = if request.reminder { "reminder" } else { "request" };
        return format!("{kind} to {}", request.reviewer);
    }
    if let Some(notice) = input.args_ref::<Notice>() {
        return format!("outcome to {}", notice.recipient);
    }
    if input.args_ref::<StartFollowUp>().is_some() {
        return "follow-up workflow".to_owned();
    }
    match input.args_ref::<Delivery>() {
        Some(_) => "webhook".to_owned(),
        None => input.activity_info().activity_type.clone(),
    }
}

/// The same failure with a random retry delay, so that attempts that failed together, for example during
/// an outage, are not retried together. Temporal's retry policy has no jitter.
fn with_jitter(failure: ApplicationFailure, info: &ActivityInfo) -> ApplicationFailure {
    let is_settled = failure.is_non_retryable() || failure.next_retry_delay().is_some();
    if is_settled || info.is_local {
        return failure;
    }
    let policy = info.retry_policy.clone().unwrap_or_default();
    let delay = backoff(&policy, info.attempt).mul_f64(0.5 + fastrand::f64() / 2.0);
    ApplicationFailure::builder(failure.to_string())
        .maybe_type_name(failure.type_name().map(str::to_owned))
        .category(failure.category())
        .next_retry_delay(delay)
        .build()
}

/// How long Temporal would wait after an attempt. Attempts count from 1.
fn backoff(policy: &RetryPolicy, attempt: u32) -> Duration {
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds =
        policy.initial_interval().as_secs_f64() * policy.backoff_coefficient().powi(exponent);
    // Temporal's default.
    let most = policy.maximum_interval().unwrap_or(100 * policy.initial_interval());
    Duration::try_from_secs_f64(seconds).map_or(most, |wait| wait.min(most))
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FailedAttempt {
    workflow_id: String,
    what: String,
    attempt: u32,
    cause: String,
    is_final: bool,
}

impl FailedAttempt {
    fn new(info: &ActivityInfo, what: String, failure: &ApplicationFailure) -> Self {
        Self {
            workflow_id: clean_line(info.workflow_id.as_deref().unwrap_or_default()),
            what: clean_line(&what),
            attempt: info.attempt,
            cause: clean_line(&failure.to_string()),
            is_final: failure.is_non_retryable(),
        }
    }

    /// Logs it, with how many others of the same cause were left out.
    fn log(&self, left_out: u32) {
        let Self { workflow_id, what, attempt, cause, is_final } = self;
        let left_out = (left_out > 0).then_some(left_out);
        match is_final {
            true => warn!(workflow_id, what, attempt, cause, left_out, "failed, not retried"),
            false => {
                warn!(workflow_id, what, attempt, cause, left_out, "failed, will be retried")
            }
        }
    }
}

/// Logs the same cause at most once in [`LOG_EVERY`], with how many failures were left out.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<HashMap<String, LeftOut>>>);

/// Failures with one cause since it was last logged.
#[derive(Default)]
struct LeftOut {
    count: u32,
    latest: Option<FailedAttempt>,
}

impl Failures {
    fn note(&self, failed: FailedAttempt) {
        match self.recent().entry(failed.cause.clone()) {
            Entry::Occupied(same) => {
                let same = same.into_mut();
                same.count += 1;
                same.latest = Some(failed);
            }
            Entry::Vacant(new) => {
                new.insert(LeftOut::default());
                failed.log(0);
                tokio::spawn(self.clone().log_later(failed.cause));
            }
        }
    }

    /// Logs further failures with this cause until there are none.
    async fn log_later(self, cause: String) {
        loop {
            sleep(LOG_EVERY).await;
            let Some((failed, left_out)) = self.take(&cause) else { return };
            failed.log(left_out);
        }
    }

    /// Takes the latest failure that was left out, and the number of others. Forgets the cause if there is
    /// none.
    fn take(&self, cause: &str) -> Option<(FailedAttempt, u32)> {
        let mut recent = self.recent();
        let LeftOut { count, latest } = recent.get_mut(cause).map(std::mem::take)?;
        if latest.is_none() {
            recent.remove(cause);
        }
        latest.map(|failed| (failed, count - 1))
    }

    fn recent(&self) -> MutexGuard<'_, HashMap<String, LeftOut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
