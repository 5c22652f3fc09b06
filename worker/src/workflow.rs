//! `ApprovalWorkflow`: validate, ask stage after stage, wait, act on the decision.
//!
//! Handlers only tell the core what happened. `run` asks the core what follows, and does it.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    time::Duration,
};

use countersign_protos::{
    names,
    payload::{self, Encoding},
    v1,
};
use futures::{
    FutureExt,
    future::{Fuse, FusedFuture, LocalBoxFuture},
    poll,
};
use jiff::Timestamp;
use temporalio_common::{
    RetryPolicy, UntypedWorkflow, data_converters::RawValue, error::ApplicationFailure,
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ActivityExecutionError, ActivityOptions, ChildWorkflowOptions, ContinueAsNewOptions,
    LocalActivityOptions, ParentClosePolicy, SyncWorkflowContext, TimerOptions,
    WorkflowCancellationToken, WorkflowContext, WorkflowContextView, WorkflowResult,
    WorkflowTermination,
    workflows::{join, select},
};
use uuid::Uuid;

use crate::{
    activities::{Announcement, Countersign, HEARTBEAT_TIMEOUT, HandedOn, Issue, ReviewRequest},
    approval::Verdict,
    case::Case,
    elsewhere::Elsewhere,
    limits::MAX_NAME_BYTES,
    notifier::LONGEST_ATTEMPT,
    origin::{Continued, Origin, Refused},
    payload::{from_temporal, to_temporal},
    policy::{Continuation, Plan},
    report::unset,
    validation::Validated,
};

/// Work that goes on while the workflow waits for something else.
struct Background {
    work: Fuse<LocalBoxFuture<'static, ()>>,
    /// The number of the next announcement.
    next_told: u32,
}

impl Default for Background {
    fn default() -> Self {
        Self { work: Fuse::terminated(), next_told: 0 }
    }
}

impl Background {
    fn add(&mut self, new: impl Future<Output = ()> + 'static) {
        let earlier = std::mem::replace(&mut self.work, Fuse::terminated());
        let both = async move {
            match earlier.is_terminated() {
                true => new.await,
                false => drop(join!(new, earlier)),
            }
        };
        self.work = both.boxed_local().fuse();
    }
}

/// After that an outcome is no news any more.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A run with so many events makes room for the next one, whatever is on its way. Temporal takes
/// 10,000 signals and 51,200 events a run.
const MAX_EVENTS: u32 = 8_000;

/// One approval, from its submission to its outcome.
#[workflow]
#[derive(Default)]
pub struct ApprovalWorkflow {
    case: Case,
}

/// What the wait for a stage's end was for.
enum Woken {
    /// Something was told: by people, by operators, or about a mail.
    News,
    /// Time has come.
    Timer,
    /// The run has had enough events.
    Crowded,
}

#[workflow_methods]
impl ApprovalWorkflow {
    /// Runs the approval. Takes a [`v1::Submission`] and returns a [`v1::Outcome`] in the same
    /// encoding; fails with `InvalidSubmission` where the submission cannot be used, and with
    /// `InvalidStart` where an approval does not run as it was started.
    #[run(name = names::WORKFLOW_TYPE)]
    pub async fn run(ctx: &mut WorkflowContext<Self>, input: RawValue) -> WorkflowResult<RawValue> {
        let mut background = Background::default();
        let encoding = match Self::origin(ctx, &input)? {
            Origin::Case(continued) => {
                Self::resume(ctx, continued.case, &mut background);
                continued.encoding
            }
            Origin::Submission => {
                let encoding = encoding_of(&input);
                let plan = Self::validate(ctx, input).await?;
                let id = ctx.uuid4().parse::<Uuid>().map_err(ApplicationFailure::new)?;
                let now = now(ctx.workflow_time());
                ctx.state_mut(|workflow| workflow.case.begin(id, plan, now));
                encoding
            }
        };
        while let Some(stage) = ctx.state(|workflow| workflow.case.pending_stage()) {
            Self::ask(ctx, stage, encoding, &mut background).await?;
            ctx.state_mut(|workflow| workflow.case.release(stage));
            Self::tell(ctx, &mut background);
        }
        let encoding = encoding.unwrap_or_default();
        let outcome = Self::conclude(ctx, background, encoding).await;
        Ok(RawValue::new(vec![to_temporal(payload::encode(&outcome, encoding))]))
    }

    /// A reviewer approves. The payload is a [`v1::Decision`].
    #[signal(name = names::SIGNAL_APPROVE)]
    pub fn approve(&mut self, ctx: &mut SyncWorkflowContext<Self>, decision: RawValue) {
        self.case.decide(
            Verdict::Approve,
            &from_temporal(decision.payloads),
            now(ctx.workflow_time()),
        );
    }

    /// A reviewer rejects. The payload is a [`v1::Decision`].
    #[signal(name = names::SIGNAL_REJECT)]
    pub fn reject(&mut self, ctx: &mut SyncWorkflowContext<Self>, decision: RawValue) {
        self.case.decide(
            Verdict::Reject,
            &from_temporal(decision.payloads),
            now(ctx.workflow_time()),
        );
    }

    /// An operator has somebody else asked. The payload is a [`v1::Reassignment`].
    #[signal(name = names::SIGNAL_REASSIGN)]
    pub fn reassign(&mut self, ctx: &mut SyncWorkflowContext<Self>, order: RawValue) {
        self.case.reassign(&from_temporal(order.payloads), now(ctx.workflow_time()));
    }

    /// An operator has reviewers reminded. The payload is a [`v1::Reminder`], or nothing.
    #[signal(name = names::SIGNAL_REMIND)]
    pub fn remind(&mut self, ctx: &mut SyncWorkflowContext<Self>, order: RawValue) {
        self.case.remind(&from_temporal(order.payloads), now(ctx.workflow_time()));
    }

    /// An operator calls it off. The payload is a [`v1::Withdrawal`], or nothing.
    #[signal(name = names::SIGNAL_WITHDRAW)]
    pub fn withdraw(&mut self, ctx: &mut SyncWorkflowContext<Self>, order: RawValue) {
        self.case.withdraw_by_order(&from_temporal(order.payloads), now(ctx.workflow_time()));
    }

    /// Answers with the whole state, a [`v1::ApprovalState`]: as JSON, or in the encoding of an
    /// argument where there is one.
    #[query(name = names::QUERY_STATUS)]
    pub fn status(&self, _ctx: &WorkflowContextView, question: RawValue) -> RawValue {
        let encoding = encoding_of(&question);
        let state = self.case.state();
        RawValue::new(vec![to_temporal(payload::encode(&state, encoding.unwrap_or_default()))])
    }

    /// What this run starts from. Search attributes that it was started with go, in its first workflow
    /// task and before anything else: they may be those of another approval. A run that goes on has
    /// its own, and publishes them at once.
    fn origin(ctx: &WorkflowContext<Self>, input: &RawValue) -> WorkflowResult<Origin> {
        match Origin::of(ctx.info().raw(), &input.payloads) {
            Ok(Origin::Submission) => {
                Self::unset_search_attributes(ctx);
                Ok(Origin::Submission)
            }
            Ok(case) => Ok(case),
            Err(refused) => Err(Self::refuse(ctx, refused)),
        }
    }

    /// Fails the workflow, which leaves nothing behind that a search finds.
    fn refuse(ctx: &WorkflowContext<Self>, refused: Refused) -> WorkflowTermination {
        let why = refused.to_string();
        Self::unset_search_attributes(ctx);
        ctx.state_mut(|workflow| workflow.case.refuse(why.clone()));
        invalid_start(why).into()
    }

    fn unset_search_attributes(ctx: &WorkflowContext<Self>) {
        let unset = unset(&ctx.search_attributes());
        if !unset.is_empty() {
            ctx.upsert_search_attributes(unset);
        }
    }

    async fn validate(ctx: &WorkflowContext<Self>, input: RawValue) -> WorkflowResult<Plan> {
        let options = local_activity("Check the submission and route it".to_owned());
        match ctx.execute_local_activity(Countersign::validate_submission, input, options).await? {
            Validated::Plan(plan) => Ok(*plan),
            Validated::Problems(problems) => {
                let why = "The submission cannot be used.".to_owned();
                ctx.state_mut(|workflow| workflow.case.refuse(why));
                Err(invalid_submission(problems).into())
            }
        }
    }

    /// Goes on from where the run before has stopped.
    fn resume(ctx: &WorkflowContext<Self>, case: Case, background: &mut Background) {
        let now = now(ctx.workflow_time());
        ctx.state_mut(|workflow| {
            // Signals that came before this run began were told to an empty case.
            let told_first = std::mem::replace(&mut workflow.case, case);
            workflow.case.resume(told_first, now);
        });
        Self::publish(ctx);
        Self::tell(ctx, background);
    }

    /// Asks one stage's reviewers, level after level, and waits until it is decided.
    async fn ask(
        ctx: &WorkflowContext<Self>,
        stage: usize,
        encoding: Option<Encoding>,
        background: &mut Background,
    ) -> WorkflowResult<()> {
        let stage_is_over = WorkflowCancellationToken::new();
        let mut mails = Mails::until(stage_is_over.clone());
        let mut timer: Option<Timer> = None;
        while ctx.state(|workflow| workflow.case.pending_stage()) == Some(stage) {
            // All who are to be asked, however many: what follows is waited for only then.
            while let Some((opened_at, summary, issue)) = Self::to_issue(ctx, stage) {
                ctx.state_mut(|workflow| workflow.case.opening());
                let options = local_activity(summary);
                let issuing = ctx.execute_local_activity(Countersign::issue_links, issue, options);
                let issued = issuing.await?;
                mails.stop(&ctx.state_mut(|w| w.case.issued(issued, opened_at)));
                Self::publish(ctx);
                Self::tell(ctx, background);
            }
            if ctx.state(|workflow| workflow.case.waits_for_nothing(stage)) {
                return Err(Self::refuse(ctx, Refused::Contradictory));
            }
            let requests = ctx.state_mut(|workflow| workflow.case.new_requests());
            let by_hand = ctx.state_mut(|workflow| workflow.case.take_reminders());
            let reminders = ctx.state_mut(|workflow| workflow.case.reminders(&by_hand));
            for request in requests.into_iter().chain(reminders) {
                mails.send(ctx, request, background);
            }
            let Some((due, summary)) = ctx.state(|workflow| workflow.case.next_deadline()) else {
                continue;
            };
            if let Some(wrong) = timer.take_if(|timer| timer.due != due) {
                wrong.token.cancel();
            }
            let decisions = ctx.state(|workflow| workflow.case.decisions());
            let set = timer.get_or_insert_with(|| Timer::set(ctx, due, summary, &stage_is_over));
            match Self::wait(ctx, set, background).await {
                Woken::News => {
                    let decided = ctx.state(|workflow| workflow.case.decisions()) > decisions;
                    if decided && ctx.state(|workflow| workflow.case.next_deadline()).is_some() {
                        Self::publish(ctx);
                    }
                }
                Woken::Timer => {
                    timer = None;
                    let now = now(ctx.workflow_time());
                    let late = ctx.state_mut(|workflow| workflow.case.tick(now));
                    for reminder in ctx.state_mut(|workflow| workflow.case.reminders(&late)) {
                        mails.send(ctx, reminder, background);
                    }
                }
                Woken::Crowded => match Self::continue_as_new(ctx, encoding)? {},
            }
        }
        stage_is_over.cancel();
        Ok(())
    }

    /// Who of this stage gets links now, if somebody does.
    fn to_issue(ctx: &WorkflowContext<Self>, stage: usize) -> Option<(Timestamp, String, Issue)> {
        let opened_at = now(ctx.workflow_time());
        let (summary, issue) = ctx.state(|workflow| workflow.case.to_issue(opened_at))?;
        (issue.stage as usize == stage).then_some((opened_at, summary, issue))
    }

    /// Waits for a decision, an order, or the stage's timer, or until the run is too long.
    async fn wait(
        ctx: &WorkflowContext<Self>,
        timer: &mut Timer<'_>,
        background: &mut Background,
    ) -> Woken {
        let news = ctx.state(|workflow| workflow.case.news());
        // Both schedule what has begun, before signals and cancellations are looked at: a replay, which
        // may show these earlier than the first run did, then repeats the same commands in their order.
        let _ = poll!(pin!(timer.fires()));
        let _ = poll!(&mut background.work);
        ctx.state_mut(|workflow| workflow.case.opened(now(ctx.workflow_time())));
        loop {
            let idle = background.work.is_terminated();
            let mut work = &mut background.work;
            let crowded = || {
                let events = ctx.history_length();
                // A withdrawal would not follow into the next run.
                let stays = ctx.cancellation_token().is_cancelled();
                !stays && (idle && ctx.continue_as_new_suggested() || events > MAX_EVENTS)
            };
            let changed = |workflow: &Self| workflow.case.news() != news || crowded();
            select! {
                _ = Self::until(ctx, changed).fuse() => {
                    let still = ctx.state(|workflow| workflow.case.news()) == news;
                    return if still { Woken::Crowded } else { Woken::News };
                }
                reason = ctx.cancelled() => {
                    let at = now(ctx.workflow_time());
                    let reason = reason.unwrap_or_default();
                    // Whoever is late with a withdrawal is late; the outcome stands.
                    let _ = ctx.state_mut(|workflow| workflow.case.withdraw(reason, at));
                    return Woken::News;
                }
                _ = timer.fires().fuse() => return Woken::Timer,
                _ = work => {}
            }
        }
    }

    /// Makes room: the same approval goes on in a new run, whose history is empty.
    fn continue_as_new(
        ctx: &WorkflowContext<Self>,
        encoding: Option<Encoding>,
    ) -> WorkflowResult<Infallible> {
        let case = ctx.state_mut(|workflow| std::mem::take(&mut workflow.case));
        let submission = case.begun().map(|begun| begun.plan.submission.clone());
        let continued = Continued { submission: submission.unwrap_or_default(), case, encoding };
        let input = continued.to_payload().map_err(ApplicationFailure::new)?;
        let input = RawValue::new(vec![input]);
        ctx.continue_as_new(input, ContinueAsNewOptions::default())
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
        no_longer_wanted: WorkflowCancellationToken,
    ) {
        let summary = match (request.reminder, &request.on_behalf_of) {
            (true, _) => format!("Remind {}", request.reviewer),
            (false, Some(absent)) => format!("Ask {} for {absent}", request.reviewer),
            (false, None) => format!("Ask {}", request.reviewer),
        };
        let (link, reminder) = (request.link.clone(), request.reminder);
        let options = mail(summary, no_longer_wanted, None);
        let sent = ctx.execute_activity(Countersign::request_approval, request, options).await;
        let Some(delivered) = delivery(sent) else { return };
        match ctx.state_mut(|workflow| workflow.case.delivered(&link, reminder, delivered)) {
            true => Self::publish(&ctx),
            false => Self::describe(&ctx),
        }
    }

    /// Writes to those who wait for an outcome and have not been written to.
    fn tell(ctx: &WorkflowContext<Self>, background: &mut Background) {
        for (number, to) in ctx.state(|w| w.case.announcements(background.next_told)) {
            background.next_told = number + 1;
            background.add(Self::announce(ctx.clone(), number, to));
        }
    }

    /// Tells the world: hands the outcome on, and writes to whoever waits for it.
    async fn conclude(
        ctx: &WorkflowContext<Self>,
        mut background: Background,
        encoding: Encoding,
    ) -> v1::Outcome {
        ctx.state_mut(|workflow| {
            workflow.case.opened(now(ctx.workflow_time()));
            workflow.case.conclude();
        });
        Self::publish(ctx);
        let mut next = ctx.state(|workflow| workflow.case.continuation());
        if let Some(child) = next.take_if(|next| next.namespace.is_none()) {
            Self::go_on(ctx, child, encoding).await;
        }
        Self::tell(ctx, &mut background);
        background.add(Self::hand_on(ctx.clone(), next, encoding));
        background.work.await;
        ctx.state(|workflow| workflow.case.result())
    }

    /// The ID of the workflow that goes on with an outcome.
    fn next_id(ctx: &WorkflowContext<Self>, outcome: &v1::Outcome) -> String {
        let outcome = outcome.status().as_str_name().to_lowercase();
        let id = format!("{}-{outcome}", ctx.workflow_id());
        match id.len() <= MAX_NAME_BYTES {
            true => id,
            false => ctx.state(|workflow| workflow.case.name(&outcome)),
        }
    }

    /// Starts the child workflow that goes on with the outcome. Where it cannot be started, history
    /// and details say why.
    async fn go_on(ctx: &WorkflowContext<Self>, next: Continuation, encoding: Encoding) {
        let outcome = ctx.state(|workflow| workflow.case.outcome());
        let id = Self::next_id(ctx, &outcome);
        let options = ChildWorkflowOptions::builder()
            .workflow_id(id.clone())
            .task_queue(next.task_queue)
            .parent_close_policy(ParentClosePolicy::Abandon)
            .cancellation_token(WorkflowCancellationToken::new())
            .static_summary(format!("Goes on with {}", outcome.submission_id))
            .build();
        let input = RawValue::new(vec![to_temporal(payload::encode(&outcome, encoding))]);
        let child = UntypedWorkflow::new(next.workflow);
        let started = ctx.start_child_workflow(child, input, options).await;
        let started = started.map(drop).map_err(|error| error.to_string());
        ctx.state_mut(|workflow| workflow.case.continued_by(id, None, started));
        Self::describe(ctx);
    }

    /// Starts the workflow that goes on with the outcome in another namespace, for as long as it
    /// takes. Where it is refused, history and details say why.
    async fn go_on_elsewhere(ctx: &WorkflowContext<Self>, next: Continuation, encoding: Encoding) {
        let outcome = ctx.state(|workflow| workflow.case.outcome());
        let (workflow_id, namespace) = (Self::next_id(ctx, &outcome), next.namespace.clone());
        let options = acting(format!("Start {workflow_id}"));
        let elsewhere = Elsewhere { workflow_id: workflow_id.clone(), next, outcome, encoding };
        let started = ctx.execute_activity(Countersign::start_workflow, elsewhere, options).await;
        let started = started.map(drop).map_err(|error| why(&error));
        ctx.state_mut(|workflow| workflow.case.continued_by(workflow_id, namespace, started));
        Self::describe(ctx);
    }

    /// Writes to somebody who waits for the outcome, which does not depend on it.
    async fn announce(ctx: WorkflowContext<Self>, number: u32, to: Announcement) {
        let summary = format!("Tell {}", to.recipient);
        let options = mail(summary, WorkflowCancellationToken::new(), Some(ANNOUNCE_WITHIN));
        let told = ctx.execute_activity(Countersign::announce_decision, to, options).await;
        let told = told.map(drop).map_err(|error| why(&error));
        if ctx.state_mut(|workflow| workflow.case.told(number, told)) {
            Self::publish(&ctx);
        }
    }

    /// Hands the outcome to another namespace and to the webhook, for as long as it takes.
    async fn hand_on(ctx: WorkflowContext<Self>, next: Option<Continuation>, encoding: Encoding) {
        if let Some(next) = next {
            Self::go_on_elsewhere(&ctx, next, encoding).await;
        }
        if !ctx.state(|workflow| workflow.case.has_webhook()) {
            return;
        }
        let outcome = ctx.state(|workflow| workflow.case.outcome());
        let mut options = acting("Hand the outcome on".to_owned());
        options.task_queue = ctx.state(|workflow| workflow.case.webhook_queue());
        let handed_on = ctx.execute_activity(Countersign::process_decision, outcome, options).await;
        match handed_on {
            Ok(HandedOn { outcome, .. }) => {
                ctx.state_mut(|workflow| workflow.case.handed_on(outcome));
            }
            Err(error) => {
                ctx.state_mut(|workflow| workflow.case.webhook_refused(why(&error)));
                Self::publish(&ctx);
            }
        }
        ctx.state_mut(|workflow| workflow.case.webhook_is_over());
        Self::describe(&ctx);
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

/// The mails of one stage, each of which can be stopped.
struct Mails {
    stage_is_over: WorkflowCancellationToken,
    by_link: Vec<(String, WorkflowCancellationToken)>,
}

impl Mails {
    fn until(stage_is_over: WorkflowCancellationToken) -> Self {
        Self { stage_is_over, by_link: Vec::new() }
    }

    fn send(
        &mut self,
        ctx: &WorkflowContext<ApprovalWorkflow>,
        request: ReviewRequest,
        background: &mut Background,
    ) {
        let no_longer_wanted = self.stage_is_over.child_token();
        self.by_link.push((request.link.clone(), no_longer_wanted.clone()));
        background.add(ApprovalWorkflow::request(ctx.clone(), request, no_longer_wanted));
    }

    /// Whoever has one of these links is not mailed any more.
    fn stop(&mut self, links: &[String]) {
        let stopped = self.by_link.extract_if(.., |(link, _)| links.contains(link));
        stopped.for_each(|(_, no_longer_wanted)| no_longer_wanted.cancel());
    }
}

/// A timer that is set for a moment.
struct Timer<'a> {
    due: Timestamp,
    firing: Pin<Box<dyn FusedFuture<Output = ()> + 'a>>,
    fired: bool,
    token: WorkflowCancellationToken,
}

impl<'a> Timer<'a> {
    fn set(
        ctx: &'a WorkflowContext<ApprovalWorkflow>,
        due: Timestamp,
        summary: String,
        stage_is_over: &WorkflowCancellationToken,
    ) -> Self {
        let token = stage_is_over.child_token();
        let options = TimerOptions::builder(until(due, now(ctx.workflow_time())))
            .summary(summary)
            .cancellation_token(token.clone())
            .build();
        let firing = Box::pin(ctx.timer(options).map(drop).fuse());
        Self { due, firing, fired: false, token }
    }

    /// Waits until it fires; not at all where it has.
    async fn fires(&mut self) {
        if !self.fired {
            self.firing.as_mut().await;
            self.fired = true;
        }
    }
}

/// The time of the workflow task; deterministic.
fn now(workflow_time: Option<std::time::SystemTime>) -> Timestamp {
    workflow_time.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The encoding of the first argument, where there is one that can be read.
fn encoding_of(input: &RawValue) -> Option<Encoding> {
    input.payloads.first().and_then(|payload| Encoding::of(&payload.metadata).ok())
}

fn until(due: Timestamp, now: Timestamp) -> Duration {
    // Temporal takes no timer of no time at all.
    let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    left.max(Duration::from_millis(1))
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
    // Heartbeats find a worker that died; this is for one that waits for a slow mail server.
    let attempt = LONGEST_ATTEMPT + Duration::from_mins(1);
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

/// What acts on an outcome is tried again and again until it is done or refused for good.
fn acting(summary: String) -> ActivityOptions {
    ActivityOptions::with_start_to_close_timeout(Duration::from_secs(30))
        .heartbeat_timeout(HEARTBEAT_TIMEOUT)
        .summary(summary)
        .cancellation_token(WorkflowCancellationToken::new())
        .retry_policy(retry(Duration::from_secs(300)))
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
        Err(error) => Some(Err(why(&error))),
    }
}

fn why(error: &ActivityExecutionError) -> String {
    error.reason().map_or_else(|| error.to_string(), ToString::to_string)
}

fn invalid_start(why: String) -> ApplicationFailure {
    ApplicationFailure::builder(why)
        .type_name(names::FAILURE_INVALID_START.to_owned())
        .non_retryable(true)
        .build()
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
