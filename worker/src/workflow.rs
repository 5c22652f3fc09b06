//! `ApprovalWorkflow`: validate, ask stage after stage, wait, act on the decision.
//!
//! Handlers only tell the core what happened. `run` asks the core what follows, and does it.

use std::{future::Future, time::Duration};

use countersign_protos::{
    names,
    payload::{self, Encoding},
    v1,
};
use futures::{
    FutureExt,
    future::{Fuse, FusedFuture, LocalBoxFuture},
};
use jiff::Timestamp;
use temporalio_common::{RetryPolicy, data_converters::RawValue, error::ApplicationFailure};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityExecutionError, ActivityOptions, LocalActivityOptions, SyncWorkflowContext,
    TimerOptions, WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowResult,
    workflows::{join, select},
};
use uuid::Uuid;

use crate::{
    activities::{Announcement, Countersign, HEARTBEAT_TIMEOUT, Issue, ReviewRequest},
    approval::Verdict,
    case::Case,
    validation::{Plan, Validated},
};

/// Work that goes on while the workflow waits for something else.
struct Background {
    work: Fuse<LocalBoxFuture<'static, ()>>,
}

impl Default for Background {
    fn default() -> Self {
        Self { work: Fuse::terminated() }
    }
}

impl Background {
    fn add(&mut self, new: impl Future<Output = ()> + 'static) {
        let earlier = std::mem::replace(&mut self.work, Fuse::terminated());
        let both = async move {
            match earlier.is_terminated() {
                true => new.await,
                false => {
                    join!(earlier, new);
                }
            }
        };
        self.work = both.boxed_local().fuse();
    }
}

/// After that an outcome is no news any more.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(7 * 24 * 3_600);

/// One approval, from its submission to its outcome.
#[workflow]
#[derive(Default)]
pub struct ApprovalWorkflow {
    case: Case,
}

#[workflow_methods]
impl ApprovalWorkflow {
    /// Runs the approval. Takes a [`v1::Submission`] and returns a [`v1::Outcome`] in the same
    /// encoding; fails with `InvalidSubmission` where the submission cannot be used.
    #[run(name = names::WORKFLOW_TYPE)]
    pub async fn run(ctx: &mut WorkflowContext<Self>, input: RawValue) -> WorkflowResult<RawValue> {
        let encoding = input.payloads.first().and_then(|payload| Encoding::of(payload).ok());
        let plan = Self::validate(ctx, input).await?;
        let approval_id = ctx.uuid4().parse::<Uuid>().map_err(ApplicationFailure::new)?;
        ctx.state_mut(|workflow| workflow.case.begin(plan));
        let mut background = Background::default();
        while let Some(stage) = ctx.state(|workflow| workflow.case.stage_to_open()) {
            Self::ask(ctx, approval_id, stage, &mut background).await?;
            for release in ctx.state(|workflow| workflow.case.releases(stage)) {
                background.add(Self::announce(ctx.clone(), release));
            }
        }
        let outcome = Self::conclude(ctx, background).await;
        let payload = payload::encode(&outcome, encoding.unwrap_or_default());
        Ok(RawValue::new(vec![payload]))
    }

    /// A reviewer approves. The payload is a [`v1::Decision`].
    #[signal(name = names::SIGNAL_APPROVE)]
    pub fn approve(&mut self, ctx: &mut SyncWorkflowContext<Self>, decision: RawValue) {
        self.case.decide(Verdict::Approve, &decision.payloads, now(ctx.workflow_time()));
    }

    /// A reviewer rejects. The payload is a [`v1::Decision`].
    #[signal(name = names::SIGNAL_REJECT)]
    pub fn reject(&mut self, ctx: &mut SyncWorkflowContext<Self>, decision: RawValue) {
        self.case.decide(Verdict::Reject, &decision.payloads, now(ctx.workflow_time()));
    }

    /// Answers with the whole state, a [`v1::ApprovalState`]: as JSON, or in the encoding of an
    /// argument where there is one.
    #[query(name = names::QUERY_STATUS)]
    pub fn status(&self, _ctx: &WorkflowContextView, question: RawValue) -> RawValue {
        let encoding = question.payloads.first().and_then(|payload| Encoding::of(payload).ok());
        let state = self.case.state();
        RawValue::new(vec![payload::encode(&state, encoding.unwrap_or_default())])
    }

    async fn validate(ctx: &WorkflowContext<Self>, input: RawValue) -> WorkflowResult<Plan> {
        let options = local_activity("Check the submission and route it".to_owned());
        match ctx.execute_local_activity(Countersign::validate_submission, input, options).await? {
            Validated::Plan(plan) => Ok(*plan),
            Validated::Problems(problems) => Err(invalid_submission(problems).into()),
        }
    }

    /// Opens one stage, asks its reviewers, and waits until it is decided.
    async fn ask(
        ctx: &WorkflowContext<Self>,
        approval: Uuid,
        stage: usize,
        background: &mut Background,
    ) -> WorkflowResult<()> {
        let (name, reviewers) = ctx.state(|workflow| workflow.case.reviewers(stage));
        let issue = Issue { approval, stage: stage as u32, round: 0, reviewers };
        let options = local_activity(format!("Issue approval links for {name}"));
        let links = ctx.execute_local_activity(Countersign::issue_links, issue, options).await?;
        ctx.state_mut(|workflow| workflow.case.open(links, now(ctx.workflow_time())));
        Self::publish(ctx);

        let stage_is_over = WorkflowCancellationToken::new();
        for request in ctx.state(|workflow| workflow.case.requests(approval, None)) {
            background.add(Self::request(ctx.clone(), request, stage_is_over.clone()));
        }
        while let Some((due, summary)) = ctx.state(|workflow| workflow.case.next_deadline()) {
            let options = TimerOptions::builder(until(due, now(ctx.workflow_time())))
                .summary(summary)
                .cancellation_token(stage_is_over.clone())
                .build();
            let timer = Box::pin(ctx.timer(options));
            if Self::wait(ctx, timer, background).await {
                let at = now(ctx.workflow_time());
                let late = ctx.state_mut(|workflow| workflow.case.tick(at));
                for reminder in ctx.state(|workflow| workflow.case.requests(approval, Some(&late)))
                {
                    background.add(Self::request(ctx.clone(), reminder, stage_is_over.clone()));
                }
            }
        }
        stage_is_over.cancel();
        Ok(())
    }

    /// Waits for the stage's end or for its timer, whose firing it returns.
    async fn wait(
        ctx: &WorkflowContext<Self>,
        mut timer: impl FusedFuture + Unpin,
        background: &mut Background,
    ) -> bool {
        loop {
            let decisions = ctx.state(|workflow| workflow.case.decisions());
            let mut work = &mut background.work;
            let changed = |workflow: &Self| workflow.case.decisions() != decisions;
            select! {
                _ = Self::until(ctx, changed).fuse() => {
                    if ctx.state(|workflow| workflow.case.next_deadline()).is_none() {
                        return false;
                    }
                    Self::publish(ctx);
                }
                reason = ctx.cancelled() => {
                    let at = now(ctx.workflow_time());
                    ctx.state_mut(|workflow| workflow.case.withdraw(reason.unwrap_or_default(), at));
                    return false;
                }
                _ = timer => return true,
                _ = work => {}
            }
        }
    }

    /// Waits for a condition, whether or not the workflow is cancelled.
    async fn until(ctx: &WorkflowContext<Self>, condition: impl FnMut(&Self) -> bool) {
        let options = temporalio_sdk::WaitConditionOptions::builder()
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        let _ = ctx.wait_condition_with_options(condition, options).await;
    }

    /// Mails one reviewer, and keeps account of it.
    async fn request(
        ctx: WorkflowContext<Self>,
        request: ReviewRequest,
        stage_is_over: WorkflowCancellationToken,
    ) {
        let summary = match request.reminder {
            true => format!("Remind {}", request.reviewer),
            false => format!("Ask {}", request.reviewer),
        };
        let (link, reminder) = (request.link.clone(), request.reminder);
        let options = mail(summary, stage_is_over, None);
        let sent = ctx.execute_activity(Countersign::request_approval, request, options).await;
        if let Some(delivered) = delivery(sent) {
            ctx.state_mut(|workflow| workflow.case.delivered(&link, reminder, delivered));
            Self::describe(&ctx);
        }
    }

    /// Tells the world: hands the outcome on, and writes to whoever waits for it.
    async fn conclude(ctx: &WorkflowContext<Self>, mut background: Background) -> v1::Outcome {
        let (outcome, announcement) =
            ctx.state(|workflow| (workflow.case.outcome(), workflow.case.announcement()));
        Self::publish(ctx);
        if let Some(announcement) = announcement {
            background.add(Self::announce(ctx.clone(), announcement));
        }
        if ctx.state(|workflow| workflow.case.has_webhook()) {
            background.add(Self::hand_on(ctx.clone(), outcome.clone()));
        }
        background.work.await;
        outcome
    }

    /// Writes to somebody who waits for the outcome. A mail that cannot be sent stands in the
    /// history; the outcome does not depend on it.
    async fn announce(ctx: WorkflowContext<Self>, announcement: Announcement) {
        let summary = format!("Tell {}", announcement.recipient);
        let options = mail(summary, WorkflowCancellationToken::new(), Some(ANNOUNCE_WITHIN));
        let _ = ctx.execute_activity(Countersign::announce_decision, announcement, options).await;
    }

    /// Hands the outcome to the webhook, for as long as it takes.
    async fn hand_on(ctx: WorkflowContext<Self>, outcome: v1::Outcome) {
        let options = ActivityOptions::with_start_to_close_timeout(Duration::from_secs(30))
            .heartbeat_timeout(HEARTBEAT_TIMEOUT)
            .summary("Hand the outcome on".to_owned())
            .cancellation_token(WorkflowCancellationToken::new())
            .retry_policy(retry(Duration::from_secs(300)))
            .build();
        let _ = ctx.execute_activity(Countersign::process_decision, outcome, options).await;
    }

    /// Makes the state visible from outside: search attributes and the Web UI's current details.
    fn publish(ctx: &WorkflowContext<Self>) {
        ctx.upsert_search_attributes(ctx.state(|workflow| workflow.case.search_attributes()));
        Self::describe(ctx);
    }

    /// The Web UI's current details alone: they cost no event.
    fn describe(ctx: &WorkflowContext<Self>) {
        ctx.set_current_details(ctx.state(|workflow| workflow.case.details()));
    }
}

/// The time of the workflow task; deterministic.
fn now(workflow_time: Option<std::time::SystemTime>) -> Timestamp {
    workflow_time.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// Local activities run inside the workflow task, also of a workflow that is being cancelled.
fn local_activity(summary: String) -> LocalActivityOptions {
    LocalActivityOptions::builder()
        .start_to_close_timeout(Duration::from_secs(10))
        .summary(summary)
        .cancellation_token(WorkflowCancellationToken::new())
        .build()
}

/// Mail goes out again and again until it is taken, refused for good, or no longer wanted.
fn mail(
    summary: String,
    no_longer_wanted: WorkflowCancellationToken,
    give_up: Option<Duration>,
) -> ActivityOptions {
    let attempt = Duration::from_secs(30);
    let timeouts = match give_up {
        Some(give_up) => temporalio_sdk::ActivityCloseTimeouts::ScheduleAndStartToClose {
            schedule_to_close: give_up,
            start_to_close: attempt,
        },
        None => temporalio_sdk::ActivityCloseTimeouts::StartToClose(attempt),
    };
    ActivityOptions::with_close_timeouts(timeouts)
        .heartbeat_timeout(HEARTBEAT_TIMEOUT)
        .summary(summary)
        .cancellation_token(no_longer_wanted)
        .retry_policy(retry(Duration::from_secs(60)))
        .build()
}

fn retry(maximum_interval: Duration) -> RetryPolicy {
    RetryPolicy::builder()
        .initial_interval(Duration::from_secs(1))
        .backoff_coefficient(2.0)
        .maximum_interval(maximum_interval)
        .build()
}

/// What became of a request; `None` where its stage was over before it was sent.
fn delivery(sent: Result<String, ActivityExecutionError>) -> Option<Result<(), String>> {
    match sent {
        Ok(_) => Some(Ok(())),
        Err(ActivityExecutionError::Cancelled(_)) => None,
        Err(error) => {
            let why = error.reason().map_or_else(|| error.to_string(), ToString::to_string);
            Some(Err(why))
        }
    }
}

fn invalid_submission(problems: Vec<v1::Problem>) -> ApplicationFailure {
    let list: Vec<String> =
        problems.iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect();
    ApplicationFailure::builder(format!("the submission cannot be used: {}", list.join("; ")))
        .type_name(names::FAILURE_INVALID_SUBMISSION.to_owned())
        .non_retryable(true)
        .details(problems)
        .build()
}
