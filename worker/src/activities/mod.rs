//! Activities: each converts, makes one call, and maps the error.

pub(crate) mod attempts;
pub(crate) mod start_workflow;
pub(crate) mod webhook;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use countersign_protos::{
    ApprovalId, LinkContext, LinkKeys, PublicUrl, names, submission, v1::Outcome,
};
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

use self::{
    start_workflow::NotStarted,
    webhook::{MAX_RETRY_AFTER, Webhook, WebhookError},
};
use crate::{
    approval::{EmailAddress, Invited},
    mail::{self, Letter, Links},
    notifier::{Envelope, Notifier, NotifyError},
    payload::from_temporal,
    policy::{self, Invitee, Policy, schedule},
    recorded::{Delivered, Issue, Issued, Notice, RefusedSince, ReviewRequest, StartWorkflow},
    validation::{self, Routing, Validated},
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
    /// Sends mails.
    pub notifier: Notifier,
    /// Receives outcomes.
    pub webhook: Option<Webhook>,
}

#[activities]
impl Countersign {
    /// Reads, checks and routes a workflow's start input, whatever it is.
    #[activity(name = "validate_submission")]
    pub async fn validate_submission(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: RawValue,
    ) -> Result<Validated, ActivityError> {
        let (submission, problems) = submission::read(&from_temporal(input.payloads));
        let rules = self.policy.as_ref().map(|policy| policy.borrow().clone());
        let (rules, now) = (rules.as_deref(), Timestamp::now());
        let mut validated = validation::validate(submission, problems, &self.routing, rules, now);
        if let Validated::Plan(plan) = &mut validated {
            plan.webhook_queue = self.webhook.as_ref().and_then(|webhook| webhook.task_queue());
        }
        Ok(validated)
    }

    /// Issues one approval ID to each who is there, or to their deputy, and says until when they
    /// have time. Only the IDs' hashes leave this process.
    #[activity(name = names::ACTIVITY_ISSUE_LINKS)]
    pub async fn issue_links(
        self: Arc<Self>,
        _ctx: ActivityContext,
        issue: Issue,
    ) -> Result<Issued, ActivityError> {
        let Issue { approval, stage, round, .. } = issue;
        let rules = self.policy.as_ref().map(|policy| policy.borrow().clone());
        let invitees = invitees(&issue, rules.as_deref());
        let invite = |Invitee { reviewer, on_behalf_of, .. }| {
            let asked =
                LinkContext { approval, stage, round, reviewer: EmailAddress::as_str(&reviewer) };
            let link = self.link_keys.issue(asked).hash().as_str().to_owned();
            Invited { reviewer, on_behalf_of, link }
        };
        let calendar = issue.calendar.unwrap_or_default();
        let due = issue.time.map(|time| schedule(&time, &calendar, issue.opened_at));
        Ok(Issued { invited: invitees.into_iter().map(invite).collect(), due })
    }

    /// Mails one reviewer their links.
    #[activity(name = "request_approval")]
    pub async fn request_approval(
        self: Arc<Self>,
        ctx: ActivityContext,
        request: ReviewRequest,
    ) -> Result<String, ActivityError> {
        let asked = LinkContext {
            approval: request.approval,
            stage: request.stage,
            round: request.round,
            reviewer: request.reviewer.as_str(),
        };
        // Retryable: it goes away when the key is back in COUNTERSIGN_LINK_KEYS.
        let id = self.link_keys.reissue(asked, &request.link).ok_or_else(|| {
            failure(
                "LinkKeyMissing",
                "the key that issued this link is not in COUNTERSIGN_LINK_KEYS",
            )
        })?;
        let links = Links::new(&self.public_url, &id);
        let letter = mail::request(&request, &links);
        self.send(&ctx, &request.reviewer, letter, Some(&id)).await
    }

    /// Mails the outcome to somebody who waits for it.
    #[activity(name = "announce_decision")]
    pub async fn announce_decision(
        self: Arc<Self>,
        ctx: ActivityContext,
        notice: Notice,
    ) -> Result<String, ActivityError> {
        let letter = match notice.reviewer {
            true => mail::superseded(&notice.outcome),
            false => mail::outcome(&notice.outcome),
        };
        self.send(&ctx, &notice.recipient, letter, None).await
    }

    /// Delivers the outcome to the webhook.
    #[activity(name = "process_decision")]
    pub async fn process_decision(
        self: Arc<Self>,
        ctx: ActivityContext,
        outcome: Outcome,
    ) -> Result<Delivered, ActivityError> {
        let Some(webhook) = &self.webhook else {
            return Err(failure(
                "WebhookMissing",
                "this worker has no COUNTERSIGN_WEBHOOK_URL, unlike the one that planned this approval",
            ));
        };
        let info = ctx.info();
        let run = info.workflow_run_id.as_deref().unwrap_or_default();
        let workflow = info.workflow_id.as_deref().unwrap_or_default();
        let taken = with_heartbeat(&ctx, webhook.deliver(run, workflow, &outcome))
            .await?
            .map_err(not_taken)?;
        Ok(Delivered { taken, outcome })
    }

    /// Starts the follow-up workflow in another namespace.
    #[activity(name = "start_workflow")]
    pub async fn start_workflow(
        self: Arc<Self>,
        ctx: ActivityContext,
        start: StartWorkflow,
    ) -> Result<String, ActivityError> {
        let (info, client) = (ctx.info(), ctx.client());
        let from = WorkflowEvent {
            namespace: info.namespace.clone(),
            workflow_id: info.workflow_id.clone().unwrap_or_default(),
            run_id: info.workflow_run_id.clone().unwrap_or_default(),
            reference: None,
        };
        let starting = start_workflow::start(start, &client, from, key(info));
        with_heartbeat(&ctx, starting).await?.map_err(|error| match error {
            NotStarted::Refused(..) => refusal("WorkflowRefused", error.to_string()),
            NotStarted::Unavailable(..) => failure("NamespaceUnavailable", error.to_string()),
        })
    }
}

/// The one activity of the worker that delivers outcomes.
pub(crate) fn deliveries(countersign: Arc<Countersign>) -> ActivityDefinitions {
    let mut activities = ActivityDefinitions::default();
    activities.register_activity::<countersign::ProcessDecision>(countersign);
    activities
}

impl Countersign {
    /// Sends a letter. Its approval ID is redacted in the result: mail servers may quote a mail that they
    /// refuse, and no history may have the ID.
    async fn send(
        &self,
        ctx: &ActivityContext,
        recipient: &EmailAddress,
        letter: Letter,
        id: Option<&ApprovalId>,
    ) -> Result<String, ActivityError> {
        let envelope = envelope(ctx.info(), recipient.clone());
        let redacted = |reply: String| match id {
            Some(id) => redact(id, reply),
            None => reply,
        };
        let error = match with_heartbeat(ctx, self.notifier.send(&envelope, &letter)).await? {
            Ok(reply) => return Ok(redacted(reply)),
            Err(error) => error,
        };
        let is_final = match error {
            NotifyError::Rejected(_) => true,
            NotifyError::Unavailable(_) => false,
            NotifyError::Unexplained(_) => is_tried_for_long(ctx).await,
        };
        let why = redacted(error.to_string());
        Err(match is_final {
            true => refusal("MailRejected", why),
            false => failure("MailUnavailable", why),
        })
    }
}

/// Who gets a link: the reviewers, or the deputies of those who are away.
///
/// A plan has the absences of the reviewers whom it names. A replacement that an operator names need not
/// be one of them: today's rules apply to it, if the worker has any.
fn invitees(issue: &Issue, rules: Option<&Policy>) -> Vec<Invitee> {
    let Some(submitter) = &issue.submitter else {
        return issue.reviewers.iter().cloned().map(Invitee::from).collect();
    };
    let recorded = issue.calendar.clone().unwrap_or_default();
    let (calendar, absences) = match rules.filter(|_| issue.time.is_none()) {
        Some(today) => (today.calendar(), today.absences()),
        None => (&recorded, &issue.absences[..]),
    };
    let on = calendar.date(issue.opened_at);
    policy::invitees(&issue.reviewers, &issue.asked, absences, on, submitter)
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

/// The same for each attempt, so that a mail that is sent twice is recognised.
fn envelope(info: &ActivityInfo, recipient: EmailAddress) -> Envelope {
    Envelope {
        recipient,
        key: key(info),
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
            let later = wait + wait.mul_f64(fastrand::f64() / 10.0);
            ApplicationFailure::builder(error.to_string())
                .type_name("WebhookRefused".to_owned())
                .next_retry_delay(later.min(MAX_RETRY_AFTER))
                .build()
                .into()
        }
        _ => failure("WebhookRefused", error.to_string()),
    }
}

/// A failure that Temporal retries; its message is what people see in the Web UI.
fn failure(kind: &str, message: impl Into<String>) -> ActivityError {
    ApplicationFailure::builder(message.into()).type_name(kind.to_owned()).build().into()
}

/// A failure that no retry would change.
fn refusal(kind: &str, message: impl Into<String>) -> ActivityError {
    let refusal = ApplicationFailure::builder(message.into()).type_name(kind.to_owned());
    refusal.non_retryable(true).build().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::TimePlan, testing::address};

    #[test]
    fn reassigning_to_somebody_who_is_away_today_asks_their_deputy() {
        let away = |name: &str, deputy: &str| {
            format!(
                "[[absences]]\nreviewer = \"{name}@example.com\"\n\
                 deputy = \"{deputy}@example.com\"\nfrom = 2026-11-25\nto = 2026-11-25\n"
            )
        };
        let rules = |absences: &[(&str, &str)]| {
            let absences: String = absences.iter().map(|(who, by)| away(who, by)).collect();
            let text = format!(
                "[calendar]\ntime_zone = \"Europe/Berlin\"\n{absences}\
                 [default]\ndecision = \"reject\"\n"
            );
            Policy::parse(&text, "rules", |_| Ok(String::new())).expect("rules")
        };
        let replacing = |to: &str, taken: &[&str]| Issue {
            reviewers: vec![address(to)],
            // In Berlin, it is the 25th already.
            opened_at: "2026-11-24T23:30:00Z".parse().expect("a time"),
            submitter: Some(address("sue")),
            asked: taken.iter().map(|name| address(name)).collect(),
            ..Issue::default()
        };
        let asked = |issue: &Issue, rules: Option<&Policy>| {
            let name = |who: &EmailAddress| who.as_str().replace("@example.com", "");
            let invitee = invitees(issue, rules).pop().expect("somebody is asked");
            (name(&invitee.reviewer), invitee.on_behalf_of.as_ref().map(name))
        };
        let chain = rules(&[("fay", "gil"), ("gil", "hal"), ("ida", "hal"), ("jo", "sue+x")]);
        let for_whom = |who: &str, absent: &str| (who.to_owned(), Some(absent.to_owned()));
        let own = |who: &str| (who.to_owned(), None);
        let ann = ["ann"];
        assert_eq!(asked(&replacing("gil", &ann), Some(&chain)), for_whom("hal", "gil"));
        assert_eq!(asked(&replacing("fay+x", &ann), Some(&chain)), for_whom("hal", "fay+x"));
        assert_eq!(asked(&replacing("cy", &ann), Some(&chain)), own("cy"));
        // Two who are away have one deputy, who has one vote.
        assert_eq!(asked(&replacing("ida", &["ann", "hal", "fay"]), Some(&chain)), own("ida"));
        assert_eq!(asked(&replacing("jo", &ann), Some(&chain)), own("jo"), "not the submitter");
        assert_eq!(
            asked(&replacing("gil", &["hal"]), Some(&chain)),
            own("gil"),
            "whom she replaces"
        );

        // Without rules, and for those whom the plan asks, what the plan has recorded counts.
        let recorded = chain.absences().to_vec();
        let mut planned = Issue { absences: recorded, ..replacing("gil", &ann) };
        planned.calendar = Some(chain.calendar().clone());
        assert_eq!(asked(&planned, None), for_whom("hal", "gil"));
        let today = rules(&[]);
        assert_eq!(
            asked(&planned, Some(&today)),
            own("gil"),
            "today's rules apply to a replacement"
        );
        let deadline = "1h".parse().expect("a wait");
        planned.time = Some(TimePlan { deadline, reminders: Vec::new() });
        assert_eq!(asked(&planned, Some(&today)), for_whom("hal", "gil"));
    }

    #[test]
    fn a_mail_servers_words_have_no_approval_id_in_them() {
        let id: ApprovalId = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse().expect("an approval ID");
        let said = "554 5.7.1 blocked: http://a.example/a/7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T?choice=approve, \
                    7k3q9xht2m4vzb8djw5pqr6t";
        let redacted = redact(&id, said.to_owned());
        assert_eq!(redacted, "554 5.7.1 blocked: http://a.example/a/…?choice=approve, …");
    }

    #[test]
    fn what_the_webhook_answers_says_whether_and_when_it_is_tried_again() {
        let refused = |seconds: Option<u64>| WebhookError::Refused {
            answer: "503 Service Unavailable".into(),
            retry_after: seconds.map(Duration::from_secs),
        };
        let unreachable = WebhookError::Unreachable("no answer within 20s".into());
        for (error, kind, is_final, wait) in [
            (WebhookError::Gone("410 Gone".into()), "WebhookGone", true, None),
            (refused(None), "WebhookRefused", false, None),
            (refused(Some(20)), "WebhookRefused", false, Some(20..=22)),
            (refused(Some(3_600)), "WebhookRefused", false, Some(3_600..=3_600)),
            (unreachable, "WebhookRefused", false, None),
        ] {
            let said = error.to_string();
            let ActivityError::Application(failure) = not_taken(error) else { panic!("{said}") };
            assert_eq!((failure.to_string(), failure.type_name()), (said.clone(), Some(kind)));
            assert_eq!(failure.is_non_retryable(), is_final, "{said}");
            match (wait, failure.next_retry_delay()) {
                (None, None) => {}
                (Some(expected), Some(delay)) if expected.contains(&delay.as_secs()) => {}
                other => panic!("{said}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_refusal_that_names_nobody_is_final_after_a_quarter_of_an_hour() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let refused = RefusedSince { refused_since: time("2026-11-25T08:00:00Z") };
        for (now, is_final) in [
            ("2026-11-25T08:00:00Z", false),
            ("2026-11-25T08:14:59Z", false),
            ("2026-11-25T08:15:00Z", true),
            ("2026-11-26T08:00:00Z", true),
            // A clock that is behind the one of the worker before.
            ("2026-11-25T07:59:00Z", false),
        ] {
            assert_eq!(refused.is_final(time(now)), is_final, "{now}");
        }
    }
}
