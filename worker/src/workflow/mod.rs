//! `ApprovalWorkflow`: validate, ask stage after stage, wait, act on the decision.
//!
//! Signals and activities tell the state what has happened; the run asks it what to do. It calls the
//! state's methods in this order, and every replay rests on that order: commands follow from it.
//!
//! 1. `handle` with a signal: at any time, before everything else in a workflow task
//! 2. `is_of`, `resume`: what the run before has left; or `begin` with a valid plan. Then `times_out`
//! 3. `refuse`: the run fails
//! 4. `next`: have a revision looked at, issue links, wait, end a stage, conclude, act on the outcome, or close
//! 5. `search_attributes`: after `resume`; before a wait or the end, where they have changed; and before a revision is
//!    looked at, links are issued or the outcome is concluded, where time, a cancellation or a mail's end has decided that
//! 6. `start_notices`: mails to those who need not decide any more, or to the submitter; when a stage ends,
//!    what the submitter was to be told of it is cancelled with its requests
//! 7. `drain`: signals that came while a revision was looked at or links were issued, when all that follows from
//!    that is scheduled
//! 8. `handle`, then `details`: after each thing that was done
//! 9. `has_changed`: whether to ask for what is next; or `submission`, to continue as new
//! 10. `result`
//!
//! `status` answers the query; `new_votes` and `new_delegations` are for logs and metrics: they change nothing.
//! `has_notices_to_start` is for [`ApprovalNotices`].

mod background;
mod handlers;
mod notices;
mod options;
mod origin;
mod votes;

use std::{convert::Infallible, future::pending, pin::pin};

use countersign_protos::{
    names,
    payload::{self, Encoding, Payload, PayloadError},
    v1,
};
use futures::{FutureExt, poll};
use jiff::Timestamp;
use temporalio_common::{
    UntypedWorkflow,
    data_converters::{PayloadConversionError, RawValue},
    error::ApplicationFailure,
    protos::temporal::api::common::v1 as temporal,
};
use temporalio_sdk::{
    ActivityExecutionError, ChildWorkflowStartError, ContinueAsNewOptions,
    StartChildWorkflowExecutionFailedCause, WorkflowCancellationToken, WorkflowContext,
    WorkflowResult, WorkflowTermination, workflows::select,
};

pub use self::notices::ApprovalNotices;
use self::{
    background::{Background, StageWork, Timer},
    origin::{Continued, Origin, Refused, chain, times_out_at},
};
use crate::{
    activities::Countersign,
    case::{Case, Consequence, Event, FollowUpStart, Step, Undelivered, unset},
    payload::{from_temporal, to_temporal},
    policy::Plan,
    recorded::{Delivery, Evidence, Issue, Notice, ReviewRequest, Revising, Sealed, Validated},
};

/// Carries the identity that a signal's sender claims to its handler.
pub(crate) const IDENTITY_HEADER: &str = "countersign-signal-identity";

/// A run with this many events continues as new, whatever is on its way. Temporal takes 10,000 signals
/// and 51,200 events a run.
const MAX_EVENTS: u32 = 8_000;

/// One approval, from its submission to its outcome.
#[derive(Default)]
pub struct ApprovalWorkflow {
    case: Case,
    /// How many signals this run has got.
    signals: u32,
}

/// Why a wait has ended.
enum Wake {
    StateChanged,
    Timer,
    HistoryLimit,
}

impl ApprovalWorkflow {
    /// Runs the approval. Takes a [`v1::Submission`] and returns a [`v1::Outcome`] in the same
    /// encoding; fails with `InvalidSubmission` if the submission cannot be used, and with
    /// `InvalidStart` if an approval does not run as it was started.
    async fn execute(ctx: &mut WorkflowContext<Self>, input: RawValue) -> WorkflowResult<RawValue> {
        let mut background = Background::default();
        match Self::origin(ctx, &input)? {
            Origin::Case(case) => {
                let (now, ends) = (now(ctx.workflow_time()), times_out_at(ctx.info().raw()));
                ctx.state_mut(|workflow| {
                    workflow.case.resume(*case, now);
                    workflow.case.times_out(ends);
                });
                Self::publish(ctx);
            }
            Origin::Submission => {
                let encoding = encoding_of(&input);
                let plan = Self::validate(ctx, input).await?;
                let (now, info) = (now(ctx.workflow_time()), ctx.info());
                let (chain, ends) = (chain(info.raw()), times_out_at(info.raw()));
                let begun =
                    ctx.state_mut(|workflow| workflow.case.begin(plan, chain, encoding, now));
                begun.map_err(|why| Self::refuse(ctx, Refused::Plan(why)))?;
                ctx.state_mut(|workflow| workflow.case.times_out(ends));
            }
        }
        Self::decide(ctx, &mut background).await?;
        Ok(raw(ctx.state(|workflow| workflow.case.result())))
    }

    /// Takes a signal, whatever its name and its input.
    fn signal(ctx: &WorkflowContext<Self>, name: &str, input: RawValue) {
        let identity = ctx.headers().get(IDENTITY_HEADER);
        let identity = identity.map_or("unknown".into(), |id| String::from_utf8_lossy(&id.data));
        let payloads = Self::as_first_read(ctx, from_temporal(input.payloads));
        let event = Event::Signal(name.to_owned(), payloads, identity.into_owned());
        let now = now(ctx.workflow_time());
        ctx.state_mut(|workflow| {
            workflow.case.handle(event, now);
            workflow.tell_votes(ctx.workflow_id(), ctx.is_replaying());
        });
    }

    /// What a signal was when it was handled for the first time. One that no key here decrypts has no effect, and a
    /// marker says so: with the key, a replay would take it for what it is, and do what the first run has not done.
    fn as_first_read(ctx: &WorkflowContext<Self>, payloads: Vec<Payload>) -> Vec<Payload> {
        let number = ctx.state_mut(|workflow| {
            workflow.signals = workflow.signals.saturating_add(1);
            workflow.signals
        });
        let encrypted = |payload: &Payload| payload::encrypted_with(&payload.metadata).is_some();
        let is_encrypted = payloads.iter().any(encrypted);
        if !is_encrypted && !ctx.is_replaying() {
            return payloads;
        }
        match (ctx.patched(&format!("encrypted signal {number}")), is_encrypted) {
            (true, true) | (false, false) => payloads,
            (true, false) => vec![payload::encrypted()],
            // Another worker has decrypted it.
            (false, true) => panic!("a signal: {}", PayloadError::Encrypted(String::new())),
        }
    }

    /// Logs and counts the votes and delegations that have just come to count, each once: a replay tells nothing
    /// again. This changes nothing that a command follows from.
    fn tell_votes(&mut self, workflow_id: &str, is_replaying: bool) {
        let new = self.case.new_votes();
        let delegations = self.case.new_delegations();
        if !is_replaying {
            new.iter().for_each(|vote| votes::tell(workflow_id, vote));
            delegations
                .iter()
                .for_each(|delegation| votes::tell_delegation(workflow_id, delegation));
        }
    }

    /// Answers with the whole state, a [`v1::ApprovalState`]: as JSON, or in the encoding of an
    /// argument if there is one.
    fn status(&self, question: &RawValue) -> RawValue {
        let encoding = encoding_of(question);
        raw(payload::encode(&self.case.status(), encoding))
    }

    /// What this run starts from. Search attributes that it was started with are removed in its first
    /// workflow task and before anything else: they may be those of another approval. A run that
    /// continues another one has its own, and publishes them at once.
    fn origin(ctx: &WorkflowContext<Self>, input: &RawValue) -> WorkflowResult<Origin> {
        match Origin::of(ctx.info().raw(), &input.payloads) {
            Ok(Origin::Submission) => {
                Self::unset_search_attributes(ctx);
                Ok(Origin::Submission)
            }
            Ok(case) => Ok(case),
            // A key that is not here may be elsewhere: the workflow's task waits for it.
            Err(Refused::Encrypted(why)) => {
                Err(PayloadConversionError::EncodingError(Box::new(why)).into())
            }
            Err(refused) => Err(Self::refuse(ctx, refused)),
        }
    }

    /// Fails the workflow, and leaves nothing that a search finds.
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

    async fn validate(
        ctx: &WorkflowContext<Self>,
        input: RawValue,
    ) -> WorkflowResult<Sealed<Plan>> {
        match Self::route(ctx, input, "Check the submission and route it".to_owned()).await? {
            Validated::Plan(plan) => Ok(plan),
            Validated::Problems(problems) => {
                let why = "The submission cannot be used.".to_owned();
                ctx.state_mut(|workflow| workflow.case.refuse(why));
                Err(invalid_submission(problems).into())
            }
        }
    }

    /// Validates a submission, or one that takes the place of another, and plans what applies to it.
    async fn route(
        ctx: &WorkflowContext<Self>,
        mut input: RawValue,
        summary: String,
    ) -> WorkflowResult<Validated> {
        let first_run_id = chain(ctx.info().raw()).first_run_id.as_bytes().to_vec();
        input.payloads.push(temporal::Payload { data: first_run_id, ..Default::default() });
        let options = options::local(summary);
        Ok(ctx.execute_local_activity(Countersign::validate_submission, input, options).await?)
    }

    /// Asks reviewers, stage after stage and level after level, until it is decided, and acts on that. A revision begins
    /// anew.
    async fn decide(
        ctx: &WorkflowContext<Self>,
        background: &mut Background,
    ) -> WorkflowResult<()> {
        let mut stage = StageWork::new();
        loop {
            let now = now(ctx.workflow_time());
            match ctx.state_mut(|workflow| workflow.case.next(now)) {
                Step::Revise { summary, revising, publish } => {
                    Self::revise(ctx, summary, *revising, publish).await?;
                }
                Step::Issue { summary, issue, publish } => {
                    Self::issue(ctx, summary, *issue, publish).await?;
                }
                Step::Wait(wait) => {
                    if wait.publish {
                        Self::publish(ctx);
                    }
                    stage.stop_requests(&wait.stop);
                    for request in wait.requests {
                        let token = stage.request(&request.link);
                        background.add(Self::request(ctx.clone(), request, token));
                    }
                    for notice in ctx.state_mut(|workflow| workflow.case.start_notices()) {
                        let token = stage.notice(&notice);
                        background.add(Self::notify(ctx.clone(), notice, token));
                    }
                    let until = wait.until;
                    let timer = until.map(|(until, what)| stage.timer(ctx, until, now, what));
                    match Self::wait(ctx, wait.open, timer, background).await {
                        Wake::StateChanged => {}
                        Wake::Timer => {
                            stage.forget_timer();
                            Self::handle(ctx, Event::TimePassed);
                        }
                        Wake::HistoryLimit => match Self::continue_as_new(ctx)? {},
                    }
                }
                Step::EndStage { cancel } => {
                    let ended = std::mem::replace(&mut stage, StageWork::new());
                    if cancel {
                        ended.cancel();
                    }
                }
                Step::Conclude { evidence, publish } => {
                    Self::conclude(ctx, *evidence, publish).await?;
                }
                Step::Act(consequence) => background.add(Self::act(ctx.clone(), *consequence)),
                Step::Close { publish, undelivered } => {
                    if let Some(undelivered) = undelivered {
                        Self::hand_over(ctx, *undelivered).await;
                    }
                    if publish {
                        Self::publish(ctx);
                    }
                    return Ok(());
                }
                Step::Stuck => return Err(Self::refuse(ctx, Refused::Contradictory)),
            }
        }
    }

    async fn revise(
        ctx: &WorkflowContext<Self>,
        summary: String,
        revising: Revising,
        publish: bool,
    ) -> WorkflowResult<()> {
        if publish {
            Self::publish(ctx);
        }
        let input = raw(revising.to_payload().map_err(ApplicationFailure::new)?);
        let validated = Self::route(ctx, input, summary).await?;
        Self::handle(ctx, Event::Revised(validated));
        Ok(())
    }

    async fn issue(
        ctx: &WorkflowContext<Self>,
        summary: String,
        issue: Issue,
        publish: bool,
    ) -> WorkflowResult<()> {
        if publish {
            Self::publish(ctx);
        }
        let options = options::local(summary);
        let issued = ctx.execute_local_activity(Countersign::issue_links, issue, options).await?;
        Self::handle(ctx, Event::LinksIssued(issued));
        Ok(())
    }

    async fn conclude(
        ctx: &WorkflowContext<Self>,
        evidence: Evidence,
        publish: bool,
    ) -> WorkflowResult<()> {
        if publish {
            Self::publish(ctx);
        }
        let options = options::local("Conclude and sign the outcome".to_owned());
        let concluded =
            ctx.execute_local_activity(Countersign::conclude, evidence, options).await?;
        Self::handle(ctx, Event::Concluded(concluded));
        Ok(())
    }

    /// Waits until the state changes, the timer fires, or the history is too long. Only an `open` approval
    /// can be cancelled and continue as new.
    async fn wait(
        ctx: &WorkflowContext<Self>,
        open: bool,
        mut timer: Option<&mut Timer<'_>>,
        background: &mut Background,
    ) -> Wake {
        // A query that comes while links are issued splits the workflow task: the SDK then shows the links together
        // with what came later; a replay may show them before where the worker has no `QueryGuard`. So whatever
        // follows from the links is scheduled here, by polling once, and only then are held signals, cancellations,
        // and other mails' ends looked at. Without these two lines a replay may schedule the same commands in
        // another order.
        let _ = poll!(pin!(fires(&mut timer)));
        let _ = poll!(&mut *background);
        ctx.state_mut(|workflow| {
            workflow.case.drain(now(ctx.workflow_time()));
            workflow.tell_votes(ctx.workflow_id(), ctx.is_replaying());
        });
        loop {
            let idle = background.is_idle();
            let mut work = &mut *background;
            let too_long = || {
                let events = ctx.history_length();
                // The next run would not be cancelled.
                let stays = ctx.cancellation_token().is_cancelled();
                open && !stays && (idle && ctx.continue_as_new_suggested() || events > MAX_EVENTS)
            };
            let wakes = |workflow: &Self| workflow.case.has_changed() || too_long();
            let cancelled = async {
                match open {
                    true => ctx.cancelled().await,
                    false => pending().await,
                }
            };
            select! {
                _ = ctx.wait_condition_with_options(wakes, options::condition()).fuse() => {
                    return match ctx.state(|workflow| workflow.case.has_changed()) {
                        true => Wake::StateChanged,
                        false => Wake::HistoryLimit,
                    };
                }
                reason = pin!(cancelled.fuse()) => {
                    Self::handle(ctx, Event::Cancelled(reason.unwrap_or_default()));
                    return Wake::StateChanged;
                }
                _ = pin!(fires(&mut timer).fuse()) => return Wake::Timer,
                _ = work => {}
            }
        }
    }

    /// The same approval, in a new run with an empty history. It keeps its memo and search attributes, and shows its
    /// details anew. A summary that it was started with stays with its first run: the server (1.32) takes none for
    /// the next one, and the SDK shows it to no workflow.
    fn continue_as_new(ctx: &WorkflowContext<Self>) -> WorkflowResult<Infallible> {
        let case = ctx.state_mut(|workflow| std::mem::take(&mut workflow.case));
        let continued = Continued { submission: case.submission(), case };
        let input = continued.to_payload().map_err(ApplicationFailure::new)?;
        let input = RawValue::new(vec![input]);
        ctx.continue_as_new(input, ContinueAsNewOptions::default())
    }

    /// Mails a request or a reminder to one reviewer, and reports what became of it.
    async fn request(
        ctx: WorkflowContext<Self>,
        request: ReviewRequest,
        cancel: WorkflowCancellationToken,
    ) {
        let summary = match (request.reminder, &request.on_behalf_of) {
            (true, _) => format!("Remind {}", request.reviewer),
            (false, Some(absent)) => format!("Ask {} for {absent}", request.reviewer),
            (false, None) => format!("Ask {}", request.reviewer),
        };
        let (link, reminder) = (request.link.clone(), request.reminder);
        let options = options::request(summary, cancel);
        let result =
            match ctx.execute_activity(Countersign::request_approval, request, options).await {
                Ok(_) => Ok(()),
                Err(ActivityExecutionError::Cancelled(_)) => return,
                Err(error) => Err(cause(&error)),
            };
        Self::handle(&ctx, Event::RequestFinished { link, reminder, result });
    }

    /// Mails somebody an outcome, which does not depend on it, or what the submitter is told of a stage.
    async fn notify(ctx: WorkflowContext<Self>, notice: Notice, token: WorkflowCancellationToken) {
        if let Some(event) = notices::deliver(&ctx, notice, token).await {
            Self::handle(&ctx, event);
        }
    }

    /// Starts the follow-up workflow or delivers the outcome to the webhook, however long that takes.
    async fn act(ctx: WorkflowContext<Self>, consequence: Consequence) {
        match consequence {
            Consequence::FollowUp(start) => Self::follow_up(&ctx, start).await,
            Consequence::Webhook { delivery, task_queue } => {
                let delivered = Self::deliver(&ctx, delivery, task_queue).await;
                Self::handle(&ctx, Event::WebhookFinished(delivered));
            }
        }
    }

    /// Starts the follow-up workflow, and looks whether it fails for as long as the approval is open. Nothing waits
    /// for that: it may run for months. Of one in another namespace, nothing more is known than that it was started.
    async fn follow_up(ctx: &WorkflowContext<Self>, start: FollowUpStart) {
        let FollowUpStart { next, outcome, request } = start;
        let id = outcome.child_workflow_id.clone();
        let not_started = |why| format!("{id}: {why}");
        if next.namespace.is_some() {
            let options = options::consequence(format!("Start {id}"));
            let starting = ctx.execute_activity(Countersign::start_workflow, request, options);
            let started = starting.await.map(drop).map_err(|error| not_started(cause(&error)));
            return Self::handle(ctx, Event::FollowUpFinished(started));
        }
        let summary = format!("Follow-up to {}", outcome.submission_id);
        let options = options::child(id.clone(), Some(next.task_queue), summary);
        let input = raw(payload::encode(&*outcome, request.encoding));
        let child = UntypedWorkflow::new(next.workflow);
        let started = started(ctx.start_child_workflow(child, input, options).await);
        let (child, started) = match started {
            Ok(child) => (child, Ok(())),
            Err(why) => (None, Err(not_started(why))),
        };
        Self::handle(ctx, Event::FollowUpFinished(started));
        if let Some(child) = child
            && let Err(error) = child.result().await
            && error.failure().is_some()
        {
            let why = error.reason().map_or_else(|| error.to_string(), ToString::to_string);
            Self::handle(ctx, Event::FollowUpFailed(format!("{id} failed: {why}")));
        }
    }

    /// Starts the workflow that goes on delivering notices.
    async fn hand_over(ctx: &WorkflowContext<Self>, undelivered: Undelivered) {
        let Undelivered { workflow_id, input } = undelivered;
        let summary = "Deliver the notices that are left".to_owned();
        let options = options::child(workflow_id.clone(), None, summary);
        let result = match notices::input(&input) {
            Ok(input) => {
                let child = UntypedWorkflow::new(names::WORKFLOW_TYPE_NOTICES);
                started(ctx.start_child_workflow(child, input, options).await).map(drop)
            }
            Err(error) => Err(error.to_string()),
        };
        match result {
            Ok(()) => Self::describe(ctx),
            Err(why) => {
                Self::handle(ctx, Event::NoticesNotHandedOver(format!("{workflow_id}: {why}")));
            }
        }
    }

    async fn deliver(
        ctx: &WorkflowContext<Self>,
        delivery: Delivery,
        task_queue: Option<String>,
    ) -> Result<(), String> {
        let mut options = options::consequence("Deliver the outcome to the webhook".to_owned());
        options.task_queue = task_queue;
        let delivered =
            ctx.execute_activity(Countersign::process_decision, delivery, options).await;
        delivered.map(drop).map_err(|error| cause(&error))
    }

    /// Hands an event to the state, and shows it.
    fn handle(ctx: &WorkflowContext<Self>, event: Event) {
        let now = now(ctx.workflow_time());
        ctx.state_mut(|workflow| {
            workflow.case.handle(event, now);
            workflow.tell_votes(ctx.workflow_id(), ctx.is_replaying());
        });
        Self::describe(ctx);
    }

    /// Makes the state visible from outside: search attributes and the Web UI's current details.
    fn publish(ctx: &WorkflowContext<Self>) {
        ctx.upsert_search_attributes(ctx.state(|workflow| workflow.case.search_attributes()));
        Self::describe(ctx);
    }

    /// Updates the Web UI's current details alone: they cost no event.
    fn describe(ctx: &WorkflowContext<Self>) {
        ctx.set_current_details(ctx.state(|workflow| workflow.case.details()));
    }
}

/// The time of the workflow task; deterministic.
fn now(workflow_time: Option<std::time::SystemTime>) -> Timestamp {
    workflow_time.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Never, without a timer.
async fn fires(timer: &mut Option<&mut Timer<'_>>) {
    match timer {
        Some(timer) => timer.fires().await,
        None => pending().await,
    }
}

/// The child workflow, if it was started here. Its ID is that of one outcome of one approval: where it exists, it
/// was started before a reset.
fn started<T>(started: Result<T, ChildWorkflowStartError>) -> Result<Option<T>, String> {
    match started {
        Ok(child) => Ok(Some(child)),
        Err(ChildWorkflowStartError::StartFailed {
            cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
            ..
        }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The encoding of the first argument; JSON if there is none.
fn encoding_of(input: &RawValue) -> Encoding {
    let encoding = input.payloads.first().map(|payload| Encoding::of(&payload.metadata));
    encoding.and_then(Result::ok).unwrap_or_default()
}

fn raw(payload: Payload) -> RawValue {
    RawValue::new(vec![to_temporal(payload)])
}

/// Why an activity failed. What it returned and this worker cannot decrypt, another one can: then the workflow's task
/// fails, which a panic does, and waits for that one.
fn cause(error: &ActivityExecutionError) -> String {
    if let ActivityExecutionError::Serialization(why) = error
        && lacks_key(why)
    {
        panic!("what an activity returned: {why}");
    }
    error.reason().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Whether nothing but a key is missing. Whatever else makes no sense, no worker of ours has returned.
fn lacks_key(error: &PayloadConversionError) -> bool {
    matches!(error, PayloadConversionError::EncodingError(why) if why.is::<PayloadError>())
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
