//! Activities: each converts, makes one call, and maps the error.

pub(crate) mod attempts;
mod delegations;
mod evidence;
mod operators;
mod revision;
pub(crate) mod start_workflow;
mod threads;
pub(crate) mod webhook;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use countersign_connection::encodes;
use countersign_protos::{
    ApprovalId, Chain, FIRST_VERSION, GenuineLink, LinkKeys, NotSealed, Organization, PublicUrl,
    names, submission,
    text::{self, clean_line},
    v1::{self, Outcome},
};
use countersign_telemetry::traces::{self, SpanKind};
use jiff::{SignedDuration, Timestamp};
use temporalio_common::{
    data_converters::RawValue, error::ApplicationFailure,
    protos::temporal::api::common::v1::link::WorkflowEvent,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{
    ActivityContext, ActivityDefinitions, ActivityError, ActivityInfo,
};
use tokio::{sync::watch, time::sleep};
use tracing::info;

use self::{
    evidence::Recomputed,
    start_workflow::NotStarted,
    threads::{thread, thread_of, thread_of_earlier, thread_of_submitter},
    webhook::{MAX_RETRY_AFTER, Webhook, WebhookError},
};
use crate::{
    approval::{Approval, Due, EmailAddress, Entry, UNKNOWN, Whom},
    leaves::{Leaves, SeatOf},
    mail::{Letter, Links, Writer},
    metrics::metrics,
    notifier::{Envelope, MailRate, Notifier, NotifyError},
    outcome,
    payload::from_temporal,
    policy::{Plan, Policy, schedule},
    recorded::{
        About, Concluded, Delivery, Evidence, Issue, Issued, Notice, RefusedSince, ReviewRequest,
        Revising, Sealed, StartFollowUp, StartWorkflow, Validated,
    },
    validation::{Routing, validate},
};

/// Temporal retries an attempt that has sent no heartbeat for this long.
pub(crate) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
const HEARTBEAT_EVERY: Duration = Duration::from_secs(2);

/// How long to retry a mail whose refusal does not say what it is about: as long as a rule or a
/// greylist takes to settle.
const UNEXPLAINED: SignedDuration = SignedDuration::from_mins(15);

impl RefusedSince {
    /// Counted from the first such refusal: until then the mail may have waited for a worker, or for a
    /// server that was away.
    fn is_final(self, now: Timestamp) -> bool {
        now.duration_since(self.refused_since) >= UNEXPLAINED
    }
}

/// What the activities work with.
pub struct Countersign {
    /// The worker's settings for every submission.
    pub routing: Routing,
    /// The routing rules, which may change while the worker runs.
    pub policy: Option<watch::Receiver<Arc<Policy>>>,
    /// The first one signs links; all of them verify.
    pub link_keys: LinkKeys,
    /// What every link starts with.
    pub public_url: PublicUrl,
    /// Who runs this, for mails.
    pub organization: Option<Organization>,
    /// The way mails go.
    pub notifier: Notifier,
    /// How many mails a second; as many as there are without it.
    pub mail_rate: Option<MailRate>,
    /// Where outcomes are delivered; nowhere without it.
    pub webhook: Option<Webhook>,
}

#[activities]
impl Countersign {
    /// Reads, checks and routes a workflow's start input, whatever it is, and seals the plan for the chain
    /// that starts with this run.
    #[activity(name = names::ACTIVITY_VALIDATE)]
    pub async fn validate_submission(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: RawValue,
    ) -> Result<Validated, ActivityError> {
        let mut input = from_temporal(input.payloads);
        // The workflow adds the first run's ID to its own input.
        let first_run_id = input.pop().map(|id| String::from_utf8_lossy(&id.data).into_owned());
        let first_run_id = first_run_id.unwrap_or_default();
        if let Some(revising) = Revising::of(&input) {
            let revising = revising.map_err(unreadable)?;
            return self.revise(&ctx, chain(&ctx, &first_run_id), revising).await;
        }
        let (submission, problems) = submission::read(&input);
        let (rules, now) = (self.rules(), Timestamp::now());
        let plan = match validate(submission, problems, &self.routing, rules.as_deref(), now) {
            Ok(plan) => plan,
            Err(problems) => {
                metrics().approvals.submitted(false);
                return Ok(Validated::Problems(problems));
            }
        };
        metrics().approvals.submitted(true);
        self.sealed(&ctx, plan, chain(&ctx, &first_run_id))
    }

    /// Issues an approval ID to each reviewer, or to their deputy, or to the submitter, and computes their deadline.
    /// Only the IDs' hashes and public keys leave this process.
    #[activity(name = names::ACTIVITY_ISSUE_LINKS)]
    pub async fn issue_links(
        self: Arc<Self>,
        ctx: ActivityContext,
        issue: Issue,
    ) -> Result<Issued, ActivityError> {
        let chain = chain(&ctx, &issue.first_run_id);
        let (plan, key) = issue.plan.open(chain, &self.link_keys).map_err(not_sealed)?;
        let (to_ask, at) = (&issue.to_ask, issue.opened_at);
        let leaves = Leaves { chain, plan: &plan, key };
        let submitter = leaves.submitter(to_ask);
        let invited = leaves.invite(to_ask, self.rules().as_deref(), at);
        let calendar = plan.calendar.clone().unwrap_or_default();
        let due = match to_ask.whom {
            Whom::Level(level) => {
                let level = plan.stages.get(to_ask.stage).and_then(|stage| stage.level(level));
                level.map(|(_, time)| schedule(time, &calendar, at))
            }
            Whom::Submitter => {
                let deadline = plan.changes_within.after(at, &calendar);
                Some(Due { deadline, reminders: Vec::new() })
            }
            Whom::Replacement(..) | Whom::Reissue { .. } => None,
        };
        if matches!(to_ask.whom, Whom::Level(level) if level > 0) {
            metrics().approvals.escalated();
        }
        Ok(Issued { opened_at: at, invited, due, submitter })
    }

    /// Computes the outcome anew from what certifies itself, seals and signs it.
    #[activity(name = names::ACTIVITY_CONCLUDE)]
    pub async fn conclude(
        self: Arc<Self>,
        ctx: ActivityContext,
        evidence: Evidence,
    ) -> Result<Concluded, ActivityError> {
        let chain = chain(&ctx, &evidence.first_run_id);
        let Recomputed { mut outcome, .. } = self.recompute_whole(chain, &evidence)?;
        if matches!(outcome.status(), v1::Status::Pending | v1::Status::ChangesRequested) {
            return Err(refusal(NOT_GENUINE, "what was recorded decides nothing yet"));
        }
        let events = operators::check(&outcome, &evidence, &ctx, chain.workflow_id).await?;
        operators::name(&mut outcome, &events);
        // Those who verify need the newest key, and the older ones for what they sealed.
        let key = self.link_keys.first();
        let jws = key.sign(&outcome::claims(&outcome, chain));
        tell(&outcome, chain.workflow_id, evidence.began);
        let outcome = Sealed::new(&outcome, chain, key).map_err(unreadable)?;
        Ok(Concluded { outcome, jws })
    }

    /// Mails one reviewer their links.
    #[activity(name = "request_approval")]
    pub async fn request_approval(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: ReviewRequest,
    ) -> Result<String, ActivityError> {
        let chain = chain(&ctx, &request.first_run_id);
        let (plan, key) = request.plan.open(chain, &self.link_keys).map_err(not_sealed)?;
        let leaves = Leaves { chain, plan: &plan, key };
        let seat = SeatOf {
            stage: request.stage as usize,
            round: request.round,
            reviewer: &request.reviewer,
            on_behalf_of: request.on_behalf_of.as_ref(),
            instead_of: request.instead_of.as_ref(),
        };
        let link = leaves.link(seat);
        if link.hash().as_str() != request.link {
            return Err(refusal(NOT_GENUINE, "this link was not issued to this reviewer"));
        }
        if let Some(from) = &request.instead_of {
            let to = request.on_behalf_of.as_ref().unwrap_or(&request.reviewer);
            match &request.delegated {
                Some(delegated) => {
                    delegations::check_delegation(leaves, request.stage, (from, to), delegated)?;
                }
                None => {
                    // The caller may leave out who wanted it: somebody must have, all the same.
                    let identity = request.reassigned_by.as_deref().unwrap_or(UNKNOWN);
                    let check = operators::check_reassignment(from, to, identity, &ctx, chain);
                    with_heartbeat(&ctx, check).await??;
                }
            }
        }
        let links = Links::new(&self.public_url, link.id(), chain.workflow_id);
        let letter = self.writer().request(&plan, &request, &links);
        let own = thread(&request.link, request.asked_at);
        let earlier = request.follows.as_ref();
        let earlier = earlier.and_then(|earlier| thread_of_earlier(leaves, seat, earlier));
        let envelope = envelope(ctx.info(), request.reviewer);
        let key = if request.reminder { envelope.key } else { own };
        let thread = earlier.unwrap_or_else(|| key.clone());
        let envelope = Envelope { key, thread, ..envelope };
        self.send(&ctx, envelope, letter, Some(link.id())).await
    }

    /// Mails the outcome to the submitter, or to a reviewer what concerns them.
    #[activity(name = "announce_decision")]
    pub async fn announce_decision(
        self: Arc<Self>,
        ctx: ActivityContext,
        notice: Notice,
    ) -> Result<String, ActivityError> {
        let Notice { workflow_id, number, recipient, about, follows } = notice;
        let first_run_id = about.first_run_id();
        let chain = Chain { workflow_id: &workflow_id, first_run_id };
        let (outcome, thread, letter, id) = match &about {
            About::Outcome { outcome, .. } => {
                let (outcome, _) = outcome.open(chain, &self.link_keys).map_err(not_sealed)?;
                concerns(&recipient, &submitter(&outcome))?;
                let letter = self.writer().outcome(&outcome);
                (outcome, thread_of_submitter(first_run_id), letter, None)
            }
            About::Revised { earlier: evidence, .. }
            | About::Started(evidence)
            | About::Unreachable(evidence)
            | About::ChangesRequested(evidence)
            | About::Superseded(evidence)
            | About::DecidedByOperator(evidence) => {
                self.of_evidence(&ctx, chain, &recipient, &about, evidence).await?
            }
        };
        // The same where another workflow goes on with it, or a reset repeats it.
        let status = outcome.status().as_str_name().to_lowercase();
        let key = match about {
            About::Started(_) if outcome.version() == FIRST_VERSION => thread.clone(),
            _ => format!("{first_run_id}.{}.{status}.{number}", letter.kind),
        };
        let thread = if follows || about.is_for_submitter() { thread } else { key.clone() };
        let envelope = Envelope { key, thread, ..envelope(ctx.info(), recipient) };
        self.send(&ctx, envelope, letter, id.as_ref()).await
    }

    /// Delivers the outcome to the webhook.
    #[activity(name = "process_decision")]
    pub async fn process_decision(
        self: Arc<Self>,
        ctx: ActivityContext,
        delivery: Delivery,
    ) -> Result<String, ActivityError> {
        let Some(webhook) = &self.webhook else {
            return Err(failure(
                "WebhookMissing",
                "this worker has no COUNTERSIGN_WEBHOOK_URL, unlike the one that planned this approval",
            ));
        };
        let chain = chain(&ctx, &delivery.first_run_id);
        let mut outcome = self.signed(chain, &delivery.outcome)?;
        if delivery.not_followed_up {
            (outcome.child_workflow_id, outcome.child_namespace) = <_>::default();
        }
        let _under_way = metrics().consequences.in_flight.begin();
        let began = Instant::now();
        let delivering = webhook.deliver(chain.workflow_id, &outcome);
        let delivered = with_heartbeat(&ctx, delivering).await?;
        metrics()
            .consequences
            .delivered(delivered.as_ref().map_or_else(WebhookError::kind, |_| "accepted"), began);
        delivered.map_err(not_taken)
    }

    /// Starts the follow-up workflow in another namespace.
    #[activity(name = "start_workflow")]
    pub async fn start_workflow(
        self: Arc<Self>,
        ctx: ActivityContext,
        start: StartFollowUp,
    ) -> Result<String, ActivityError> {
        let chain = chain(&ctx, &start.first_run_id);
        let (plan, _) = start.plan.open(chain, &self.link_keys).map_err(not_sealed)?;
        let outcome = self.signed(chain, &start.outcome)?;
        let Some(next) = outcome::follow_up(&plan, outcome.status()).cloned() else {
            return Err(refusal(NOT_GENUINE, "no workflow follows this outcome"));
        };
        let (workflow_id, encoding) = (outcome.child_workflow_id.clone(), start.encoding);
        let (info, client) = (ctx.info(), ctx.client());
        let from = WorkflowEvent {
            namespace: info.namespace.clone(),
            workflow_id: info.workflow_id.clone().unwrap_or_default(),
            run_id: info.workflow_run_id.clone().unwrap_or_default(),
            reference: None,
        };
        let key = format!("{}-{}", outcome.execution_key, outcome.status().as_str_name());
        let start = StartWorkflow { workflow_id, next, outcome, encoding };
        let starting = start_workflow::start(start, &client, from, key);
        let started = with_heartbeat(&ctx, starting).await?;
        metrics().consequences.started(match &started {
            Ok(_) => "started",
            Err(NotStarted::Refused(..)) => "refused",
            Err(NotStarted::Unavailable(..)) => "failed",
        });
        started.map_err(|error| match error {
            NotStarted::Refused(..) => refusal("WorkflowRefused", error.to_string()),
            NotStarted::Unavailable(..) => failure("NamespaceUnavailable", error.to_string()),
        })
    }
}

/// The failure type where something was not recorded by us, or does not follow from what was.
const NOT_GENUINE: &str = "NotGenuine";

/// The chain of an activity's workflow. The first run's ID is the caller's claim; seals prove it.
fn chain<'a>(ctx: &'a ActivityContext, first_run_id: &'a str) -> Chain<'a> {
    let workflow_id = ctx.info().workflow_id.as_deref().unwrap_or_default();
    Chain { workflow_id, first_run_id }
}

/// Whom of an outcome a notice is for.
type People = fn(&Outcome) -> Vec<&str>;

/// Checks that a notice is for one of these, by the exact address: another that counts as the same person's may be
/// somebody else's mailbox. The submission has the submitter's as it was typed.
fn concerns(recipient: &EmailAddress, people: &[&str]) -> Result<(), ActivityError> {
    let mut people = people.iter().filter_map(|person| person.parse::<EmailAddress>().ok());
    match people.any(|person| person.as_str() == recipient.as_str()) {
        true => Ok(()),
        false => Err(refusal(NOT_GENUINE, "this notice does not concern the recipient")),
    }
}

/// To whom the outcome is announced.
fn submitter(outcome: &Outcome) -> Vec<&str> {
    outcome.submitter.iter().map(|submitter| submitter.email.as_str()).collect()
}

/// Who was asked, whether they have decided or not.
fn asked(outcome: &Outcome) -> Vec<&str> {
    let votes = outcome.stages.iter().flat_map(|stage| &stage.decisions);
    votes.map(|vote| vote.reviewer.as_str()).chain(undecided(outcome)).collect()
}

/// Who was asked and has not decided.
fn undecided(outcome: &Outcome) -> Vec<&str> {
    outcome.stages.iter().flat_map(|stage| &stage.undecided).map(String::as_str).collect()
}

/// For whom an operator has decided.
fn represented(outcome: &Outcome) -> Vec<&str> {
    let votes = outcome.stages.iter().flat_map(|stage| &stage.decisions);
    votes.filter(|vote| vote.by == names::BY_OPERATOR).map(|vote| vote.reviewer.as_str()).collect()
}

/// Counts an outcome, and logs it.
fn tell(outcome: &Outcome, workflow_id: &str, began: Timestamp) {
    let decided_at = outcome.decided_at.as_ref().and_then(text::timestamp).unwrap_or(began);
    let took = Duration::try_from(decided_at.duration_since(began)).unwrap_or_default();
    metrics().approvals.concluded(outcome, took);
    let (workflow_id, status) = (clean_line(workflow_id), outcome.status().as_str_name());
    info!(workflow_id, status, basis = outcome.basis, "outcome");
}

/// The one activity of the worker that delivers outcomes.
pub(crate) fn deliveries(countersign: Arc<Countersign>) -> ActivityDefinitions {
    let mut activities = ActivityDefinitions::default();
    activities.register_activity::<countersign::ProcessDecision>(countersign);
    activities
}

impl Countersign {
    fn writer(&self) -> Writer<'_> {
        Writer { organization: self.organization.as_ref() }
    }

    /// The routing rules as they are now.
    fn rules(&self) -> Option<Arc<Policy>> {
        self.policy.as_ref().map(|policy| policy.borrow().clone())
    }

    /// What is recorded of a plan.
    fn sealed(
        &self,
        ctx: &ActivityContext,
        mut plan: Plan,
        chain: Chain<'_>,
    ) -> Result<Validated, ActivityError> {
        plan.encrypted = encodes(ctx.client().options());
        plan.webhook_queue = self.webhook.as_ref().and_then(|webhook| webhook.task_queue());
        let sealed = Sealed::new(&plan, chain, self.link_keys.first()).map_err(unreadable)?;
        Ok(Validated::Plan(sealed))
    }

    /// A notice that evidence bears out: the outcome so far, the notice's thread, the letter, and the approval ID in it.
    async fn of_evidence(
        &self,
        ctx: &ActivityContext,
        chain: Chain<'_>,
        recipient: &EmailAddress,
        about: &About,
        evidence: &Evidence,
    ) -> Result<(Outcome, String, Letter, Option<ApprovalId>), ActivityError> {
        let Recomputed { plan, key, approval, outcome } = self.recompute(chain, evidence)?;
        if let About::Revised { plan: later, .. } = about {
            let (later, _) = later.open(chain, &self.link_keys).map_err(not_sealed)?;
            if !later.revises(&plan.digest) {
                return Err(refusal(NOT_GENUINE, "it was not revised"));
            }
        }
        let of_submitter = || thread_of_submitter(chain.first_run_id);
        let of_reviewer = || thread_of(&approval, recipient);
        let (concerned, thread): (People, _) = match about {
            About::Revised { .. } => (asked, of_reviewer()),
            About::Superseded(_) => (undecided, of_reviewer()),
            About::DecidedByOperator(_) => (represented, of_reviewer()),
            About::Started(_)
            | About::Unreachable(_)
            | About::ChangesRequested(_)
            | About::Outcome { .. } => (submitter, of_submitter()),
        };
        concerns(recipient, &concerned(&outcome))?;
        let check = operators::check(&outcome, evidence, ctx, chain.workflow_id);
        with_heartbeat(ctx, check).await??;
        let link = link_of_submitter(Leaves { chain, plan: &plan, key }, evidence, about);
        let links =
            link.as_ref().map(|link| Links::new(&self.public_url, link.id(), chain.workflow_id));
        let of = (&plan, &approval, &outcome);
        let letter = letter(self.writer(), about, recipient, of, links.as_ref());
        let letter = letter.ok_or_else(|| refusal(NOT_GENUINE, "what it would say is not so"))?;
        Ok((outcome, thread, letter, link.map(|link| link.id().clone())))
    }

    /// A sealed outcome with its signature, which is the one that `conclude` has returned.
    fn signed(&self, chain: Chain<'_>, sealed: &Sealed<Outcome>) -> Result<Outcome, ActivityError> {
        let (outcome, key) = sealed.open(chain, &self.link_keys).map_err(not_sealed)?;
        Ok(Outcome { jws: key.sign(&outcome::claims(&outcome, chain)), ..outcome })
    }

    /// Sends a letter. Its approval ID is redacted in the result: mail servers may quote a mail that they
    /// refuse, and no history may have the ID.
    async fn send(
        &self,
        ctx: &ActivityContext,
        envelope: Envelope,
        letter: Letter,
        id: Option<&ApprovalId>,
    ) -> Result<String, ActivityError> {
        let redacted = |reply: String| match id {
            Some(id) => redact(id, reply),
            None => reply,
        };
        let sending = traces::in_span("mail", SpanKind::Client, async {
            traces::note("countersign.mail.kind", letter.kind);
            if let Some(rate) = &self.mail_rate {
                rate.wait_for_turn().await?;
            }
            self.notifier.send(&envelope, &letter).await.inspect_err(|_| traces::failed("mail"))
        });
        let (_under_way, began) = (metrics().mails.in_flight.begin(), Instant::now());
        let error = match with_heartbeat(ctx, sending).await? {
            Ok(reply) => {
                metrics().mails.ended(letter.kind, "sent", began);
                return Ok(redacted(reply));
            }
            Err(error) => error,
        };
        let is_final = match error {
            NotifyError::Rejected(_) => true,
            NotifyError::Unavailable(_) | NotifyError::Later(_) => false,
            NotifyError::Unexplained(_) => is_tried_for_long(ctx).await,
        };
        let why = redacted(error.to_string());
        metrics().mails.ended(letter.kind, result_of_mail(&error, is_final), began);
        Err(match error {
            NotifyError::Later(wait) => later("MailUnavailable", why, wait),
            _ if is_final => refusal("MailRejected", why),
            _ => failure("MailUnavailable", why),
        })
    }
}

/// What became of an attempt to send a mail, for metrics.
fn result_of_mail(error: &NotifyError, is_final: bool) -> &'static str {
    match error {
        NotifyError::Later(_) => "delayed",
        _ if is_final => "refused",
        _ => "failed",
    }
}

/// The submitter's link, if this notice has it. That it was issued follows from the evidence.
fn link_of_submitter(
    leaves: Leaves<'_>,
    evidence: &Evidence,
    about: &About,
) -> Option<GenuineLink> {
    let has_link = matches!(about, About::Started(_) | About::ChangesRequested(_));
    let is_issued = |entry: &Entry| matches!(entry, Entry::SubmitterAsked { .. });
    let is_issued = has_link && evidence.journal.iter().any(is_issued);
    is_issued.then(|| leaves.submitters_link())
}

/// What a notice says that evidence bears out. `None` if it is not so.
fn letter(
    writer: Writer<'_>,
    about: &About,
    recipient: &EmailAddress,
    (plan, approval, outcome): (&Plan, &Approval, &Outcome),
    links: Option<&Links>,
) -> Option<Letter> {
    match about {
        About::Started(_)
            if (plan.tell_submitter || plan.submitter_link) && approval.has_asked_once() =>
        {
            writer.started(outcome, approval, links)
        }
        About::ChangesRequested(_) => writer.changes_requested(outcome, approval, links?),
        About::Revised { .. } => Some(writer.revised(outcome)),
        About::Started(_) | About::Outcome { .. } => None,
        About::Unreachable(_) => writer.unreachable(outcome, approval),
        About::Superseded(_) => {
            let why = approval.superseded(recipient);
            why.map(|why| writer.superseded(outcome, why))
        }
        About::DecidedByOperator(_) => writer.decided_by_operator(outcome, recipient),
    }
}

/// Whether a mail whose refusal does not say what it is about has been tried for long enough. The last
/// heartbeat, which goes with the failure, tells the next attempt since when.
async fn is_tried_for_long(ctx: &ActivityContext) -> bool {
    let now = Timestamp::now();
    let earlier = ctx.heartbeat_details().deserialize::<RefusedSince>().ok().flatten();
    let refused = earlier.unwrap_or(RefusedSince { refused_since: now });
    let _ = ctx.record_heartbeat(refused).await;
    refused.is_final(now)
}

/// Replaces this approval ID, with or without dashes, in any case.
fn redact(id: &ApprovalId, mut text: String) -> String {
    let dashed = id.reveal();
    for secret in [dashed.replace('-', ""), dashed] {
        while let Some(at) = text.to_ascii_uppercase().find(&secret) {
            text.replace_range(at..at + secret.len(), "…");
        }
    }
    text
}

/// Runs `work` and sends heartbeats meanwhile: if this worker dies, another one takes over within
/// [`HEARTBEAT_TIMEOUT`]. Returns early when the activity is cancelled or the worker shuts down; in the
/// latter case Temporal retries it on another worker.
async fn with_heartbeat<T>(
    ctx: &ActivityContext,
    work: impl Future<Output = T>,
) -> Result<T, ActivityError> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = ctx.cancelled() => return Err(ActivityError::cancelled()),
            () = sleep(HEARTBEAT_EVERY) => {
                // Keep what earlier attempts left for later ones. A heartbeat that cannot be sent does
                // not stop the work.
                let _ = ctx.record_heartbeat(ctx.heartbeat_details().clone().into_raw()).await;
            }
        }
    }
}

/// The same for each attempt, so that a mail that is sent twice is recognised. Begins a thread.
fn envelope(info: &ActivityInfo, recipient: EmailAddress) -> Envelope {
    let key = key(info);
    Envelope {
        recipient,
        thread: key.clone(),
        key,
        written_at: info.scheduled_time.unwrap_or_else(SystemTime::now),
    }
}

/// An idempotency key: the same for each attempt, and for nothing else.
fn key(info: &ActivityInfo) -> String {
    format!("{}.{}", info.workflow_run_id.as_deref().unwrap_or_default(), info.activity_id)
}

/// Whether and when to retry a delivery that the webhook did not take.
fn not_taken(error: WebhookError) -> ActivityError {
    match error {
        WebhookError::Gone(_) => refusal("WebhookGone", error.to_string()),
        WebhookError::Refused { retry_after: Some(wait), .. } => {
            // Jitter: deliveries that were refused together are not retried together.
            let jitter = wait.mul_f64(fastrand::f64() / 10.0);
            later("WebhookRefused", error.to_string(), wait + jitter)
        }
        _ => failure("WebhookRefused", error.to_string()),
    }
}

/// A forgery stays one. With a missing key, the call succeeds once it is in COUNTERSIGN_LINK_KEYS.
fn not_sealed(error: NotSealed) -> ActivityError {
    match error {
        NotSealed::Forged => refusal(NOT_GENUINE, error.to_string()),
        NotSealed::UnknownKey(_) => failure("LinkKeyMissing", error.to_string()),
        NotSealed::UnknownVersion(_) => failure("NewerVersion", error.to_string()),
    }
}

fn unreadable(error: serde_json::Error) -> ActivityError {
    failure("Unreadable", error.to_string())
}

/// A failure that Temporal retries; its message is what people see in the Web UI.
fn failure(kind: &str, message: impl Into<String>) -> ActivityError {
    ApplicationFailure::builder(message.into()).type_name(kind.to_owned()).build().into()
}

/// A failure that Temporal retries after this time, or after an hour: after a longer wait, it would seem lost.
fn later(kind: &str, message: impl Into<String>, wait: Duration) -> ActivityError {
    let failure = ApplicationFailure::builder(message.into()).type_name(kind.to_owned());
    failure.next_retry_delay(wait.min(MAX_RETRY_AFTER)).build().into()
}

/// A failure that no retry would change.
fn refusal(kind: &str, message: impl Into<String>) -> ActivityError {
    let refusal = ApplicationFailure::builder(message.into()).type_name(kind.to_owned());
    refusal.non_retryable(true).build().into()
}

#[cfg(test)]
mod tests;
