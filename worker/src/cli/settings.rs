//! The worker's settings: read once, checked all at once.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use clap::{Args, Parser, Subcommand};
use countersign_protos::{LinkKeys, PublicUrl, names::DEFAULT_TASK_QUEUE};
use jiff::Timestamp;
use lettre::message::Mailbox;
use tokio::sync::watch;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    filter::{FilterExt, LevelFilter, Targets},
    layer::Filter,
};
use url::Url;

use super::load_policy;
use crate::{
    activities::{
        Countersign,
        webhook::{WEBHOOK_QUEUE_SUFFIX, Webhook},
    },
    approval::EmailAddress,
    limits::{MAX_REVIEWER_BYTES, MAX_SEATS},
    notifier::{AwsEnvironment, Notifier, Outbox, Smtp, Sns, TopicArn},
    policy::Policy,
    validation::Routing,
};

/// Runs approval workflows: asks reviewers by mail, waits for their decisions, acts on them.
///
/// TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_* and temporal.toml set the
/// connection to Temporal, as for every Temporal client.
#[derive(Parser)]
#[command(name = "countersign-worker", version)]
pub struct Cli {
    /// What to do instead of running the worker.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of the worker.
    #[command(flatten)]
    pub settings: RawSettings,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Subscribe a reviewer to the SNS topic of COUNTERSIGN_NOTIFY, so that they get their own
    /// mails and nobody else's. SNS then asks them to confirm.
    Subscribe {
        /// The reviewer's e-mail address.
        reviewer: EmailAddress,
    },
    /// Check a file of routing rules: every mistake at once, with its place. Needs no settings.
    CheckPolicy {
        /// The file, such as examples/policy.toml.
        file: PathBuf,
        /// Say which rule matches this submission, why the earlier ones do not, who would be asked,
        /// and until when.
        #[arg(long, value_name = "SUBMISSION.json")]
        explain: Option<PathBuf>,
        /// As if it were submitted at that time, such as 2026-11-24T09:00:00+01:00. [default: now]
        #[arg(long, requires = "explain", value_name = "TIME")]
        at: Option<Timestamp>,
    },
}

/// The settings as they come; [`RawSettings::check`] says what is wrong with them. Without `Debug`:
/// keys and passwords are among them.
#[derive(Args)]
#[allow(rustdoc::bare_urls)] // These are the words of --help.
pub struct RawSettings {
    /// The task queue to poll. [default: approvals]
    #[arg(long, env = "COUNTERSIGN_TASK_QUEUE", global = true)]
    task_queue: Option<String>,

    /// Comma-separated base64 keys of 32 bytes; the first one signs links, all verify them. The
    /// signaler needs the same. Make one with: openssl rand -base64 32
    #[arg(long, env = "COUNTERSIGN_LINK_KEYS", hide_env_values = true, global = true)]
    link_keys: Option<String>,

    /// The start of every link, such as https://approve.example.com: where people reach the
    /// signaler.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_URL", global = true)]
    public_url: Option<String>,

    /// How to send mail: outbox:DIR, sns:TOPIC_ARN, smtp://USER:PASSWORD@HOST:PORT?tls=required
    /// or smtps://USER:PASSWORD@HOST
    #[arg(long, env = "COUNTERSIGN_NOTIFY", hide_env_values = true, global = true)]
    notify: Option<String>,

    /// The sender of mails, such as "Approvals <approvals@example.com>"; for outbox and SMTP.
    #[arg(long, env = "COUNTERSIGN_MAIL_FROM", global = true)]
    mail_from: Option<String>,

    /// Comma-separated addresses of reviewers, for submissions that name none. Only without routing
    /// rules.
    #[arg(long, env = "COUNTERSIGN_REVIEWERS", global = true)]
    reviewers: Option<String>,

    /// A file of routing rules (TOML), which says who is asked. Read at startup and again on SIGHUP.
    /// Submissions may name reviewers only if the file allows it. To check it, run
    /// countersign-worker check-policy FILE
    #[arg(long, env = "COUNTERSIGN_POLICY", global = true)]
    policy: Option<String>,

    /// The URL to POST outcomes to.
    #[arg(long, env = "COUNTERSIGN_WEBHOOK_URL", hide_env_values = true, global = true)]
    webhook_url: Option<String>,

    /// The secret that signs outcomes by the Standard Webhooks specification: whsec_ and base64 of at
    /// least 24 bytes. Several, separated by commas, all sign, so that receivers can change from one to
    /// the next at any time.
    #[arg(long, env = "COUNTERSIGN_WEBHOOK_SECRET", hide_env_values = true, global = true)]
    webhook_secret: Option<String>,

    /// A tracing filter for the log, such as info,countersign_worker=debug. [default: info]
    #[arg(long, env = "COUNTERSIGN_LOG", global = true)]
    log: Option<String>,

    /// The format of the log: text or json. [default: text]
    #[arg(long, env = "COUNTERSIGN_LOG_FORMAT", global = true)]
    log_format: Option<String>,
}

/// The longest name of a task queue that every store of Temporal takes.
const MAX_QUEUE_BYTES: usize = 255;

/// How the process logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    filter: String,
    /// For machines rather than people.
    pub json: bool,
}

impl Logging {
    /// From the environment alone, for when the flags cannot be parsed.
    pub fn of_environment() -> Self {
        let [filter, format] =
            ["COUNTERSIGN_LOG", "COUNTERSIGN_LOG_FORMAT"].map(|name| std::env::var(name).ok());
        Self::of(&filter, &format)
    }

    /// Ignores invalid values; [`RawSettings::check`] reports them.
    fn of(filter: &Option<String>, format: &Option<String>) -> Self {
        let usable = |filter: &&str| EnvFilter::try_new(filter).is_ok();
        let filter = set(filter).filter(usable).unwrap_or("info").to_owned();
        Self { filter, json: set(format) == Some("json") }
    }

    /// Never logs a mail, which holds an approval ID: below debug the AWS SDK logs whole requests.
    /// Other clients (lettre, hyper, h2) log no bodies.
    pub fn filter<S: Subscriber>(&self) -> impl Filter<S> + use<S> {
        let no_bodies = Targets::new().with_default(LevelFilter::TRACE);
        let no_bodies = no_bodies.with_target("aws_", LevelFilter::DEBUG);
        FilterExt::<S>::and(EnvFilter::new(&self.filter), no_bodies)
    }
}

/// Settings that are valid, each and together.
#[derive(Debug)]
pub struct Settings {
    /// The task queue to poll.
    pub task_queue: String,
    link_keys: LinkKeys,
    public_url: PublicUrl,
    notify: Notify,
    routing: Routing,
    policy: Option<PolicyFile>,
    webhook: Option<Webhook>,
}

#[derive(Debug)]
enum Notify {
    Outbox(PathBuf, Mailbox),
    Sns(TopicArn),
    // Checked once; the value may hold a password.
    Smtp(Secret, Mailbox),
}

struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Every wrong setting, by its name, and why.
#[derive(Debug, Default)]
pub struct WrongSettings(Vec<(&'static str, String)>);

impl fmt::Display for WrongSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these settings are wrong (--help explains each):")?;
        for (name, why) in &self.0 {
            write!(f, "\n  {name}: {why}")?;
        }
        Ok(())
    }
}

impl std::error::Error for WrongSettings {}

impl WrongSettings {
    fn add(&mut self, name: &'static str, why: impl fmt::Display) {
        self.0.push((name, why.to_string()));
    }

    fn required<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
        value: Option<&str>,
    ) -> Option<T> {
        match value {
            None => {
                self.add(name, "is required");
                None
            }
            Some(value) => value.parse().map_err(|error: T::Err| self.add(name, error)).ok(),
        }
    }
}

impl RawSettings {
    /// The topic of `sns:TOPIC_ARN`, which is all that subscribing needs.
    ///
    /// # Errors
    /// When mail does not go out through SNS, or what is wrong with the topic.
    pub fn topic(&self) -> Result<TopicArn, WrongSettings> {
        let mut wrong = WrongSettings::default();
        let arn = set(&self.notify).and_then(|notify| notify.strip_prefix("sns:"));
        let topic = match arn {
            Some(arn) => topic(arn, &AwsEnvironment::of_this_process(), &mut wrong),
            None => {
                wrong.add(NOTIFY, "must be sns:TOPIC_ARN to subscribe");
                None
            }
        };
        topic.filter(|_| wrong.0.is_empty()).ok_or(wrong)
    }

    /// How the process logs, also where other settings are wrong.
    pub fn logging(&self) -> Logging {
        Logging::of(&self.log, &self.log_format)
    }

    /// Checks all settings at once.
    ///
    /// # Errors
    /// Every wrong setting.
    pub fn check(&self) -> Result<Settings, WrongSettings> {
        self.check_beside(&AwsEnvironment::of_this_process())
    }

    fn check_beside(&self, aws: &AwsEnvironment) -> Result<Settings, WrongSettings> {
        let mut wrong = WrongSettings::default();
        let link_keys = wrong.required("COUNTERSIGN_LINK_KEYS", set(&self.link_keys));
        let public_url = wrong.required("COUNTERSIGN_PUBLIC_URL", set(&self.public_url));
        let notify = self.notify(aws, &mut wrong);
        let reviewers = self.reviewers(&mut wrong);
        let policy = self.policy(&mut wrong);
        let webhook = self.webhook(&mut wrong);
        let task_queue = self.task_queue(&mut wrong);
        self.check_logging(&mut wrong);
        match (link_keys, public_url, notify, wrong.0.is_empty()) {
            (Some(link_keys), Some(public_url), Some(notify), true) => Ok(Settings {
                task_queue,
                link_keys,
                public_url,
                notify,
                routing: Routing { reviewers, webhook: webhook.is_some() },
                policy,
                webhook,
            }),
            _ => Err(wrong),
        }
    }

    fn notify(&self, aws: &AwsEnvironment, wrong: &mut WrongSettings) -> Option<Notify> {
        let Some(notify) = set(&self.notify) else {
            wrong.add(NOTIFY, "is required");
            return None;
        };
        if let Some(arn) = notify.strip_prefix("sns:") {
            return topic(arn, aws, wrong).map(Notify::Sns);
        }
        let from = self.mail_from(wrong);
        if let Some(folder) = notify.strip_prefix("outbox:") {
            if folder.is_empty() {
                wrong.add(NOTIFY, "needs a folder, such as outbox:/var/mail/outbox");
                return None;
            }
            return Some(Notify::Outbox(folder.into(), from?));
        }
        if notify.starts_with("smtp://") || notify.starts_with("smtps://") {
            return match Smtp::check(notify) {
                Ok(()) => Some(Notify::Smtp(Secret(notify.to_owned()), from?)),
                Err(why) => {
                    wrong.add(NOTIFY, why);
                    None
                }
            };
        }
        wrong.add(NOTIFY, "must start with outbox:, sns:, smtp:// or smtps://");
        None
    }

    fn mail_from(&self, wrong: &mut WrongSettings) -> Option<Mailbox> {
        const NAME: &str = "COUNTERSIGN_MAIL_FROM";
        let from: String = wrong.required(NAME, set(&self.mail_from))?;
        let example = "must be an address, such as Approvals <approvals@example.com>";
        from.parse().map_err(|_| wrong.add(NAME, example)).ok()
    }

    fn reviewers(&self, wrong: &mut WrongSettings) -> Vec<EmailAddress> {
        const NAME: &str = "COUNTERSIGN_REVIEWERS";
        let list = set(&self.reviewers).unwrap_or_default();
        let mut reviewers: Vec<EmailAddress> = Vec::new();
        for reviewer in list.split(',').map(str::trim).filter(|reviewer| !reviewer.is_empty()) {
            match reviewer.parse::<EmailAddress>() {
                Ok(reviewer) if reviewers.contains(&reviewer) => {
                    wrong.add(NAME, format!("{reviewer} is listed twice"));
                }
                Ok(reviewer) => reviewers.push(reviewer),
                Err(error) => wrong.add(NAME, format!("{reviewer:?} {error}")),
            }
        }
        let count = reviewers.len();
        if count > MAX_SEATS {
            wrong.add(NAME, format!("names {count} people; at most {MAX_SEATS} can be asked"));
        }
        let bytes: usize = reviewers.iter().map(|reviewer| reviewer.as_str().len() + 3).sum();
        if bytes > MAX_REVIEWER_BYTES {
            let most = format!("at most {MAX_REVIEWER_BYTES} fit into a search attribute");
            wrong.add(NAME, format!("these addresses take {bytes} bytes; {most}"));
        }
        reviewers
    }

    fn policy(&self, wrong: &mut WrongSettings) -> Option<PolicyFile> {
        const NAME: &str = "COUNTERSIGN_POLICY";
        let file = PolicyFile::open(set(&self.policy)?.into());
        file.map_err(|mistakes| wrong.add(NAME, mistakes)).ok()
    }

    fn webhook(&self, wrong: &mut WrongSettings) -> Option<Webhook> {
        let (url, secret) = (set(&self.webhook_url), set(&self.webhook_secret));
        if url.is_none() && secret.is_none() {
            return None;
        }
        let secret = wrong.required("COUNTERSIGN_WEBHOOK_SECRET", secret);
        let url = wrong.required::<Url>("COUNTERSIGN_WEBHOOK_URL", url)?;
        if !matches!(url.scheme(), "http" | "https") {
            wrong.add("COUNTERSIGN_WEBHOOK_URL", "must start with https:// or http://");
            return None;
        }
        Webhook::new(url, secret?).map_err(|why| wrong.add("COUNTERSIGN_WEBHOOK_URL", why)).ok()
    }

    fn task_queue(&self, wrong: &mut WrongSettings) -> String {
        let task_queue = set(&self.task_queue).unwrap_or(DEFAULT_TASK_QUEUE);
        let most = MAX_QUEUE_BYTES - WEBHOOK_QUEUE_SUFFIX.len();
        if task_queue.len() > most {
            let bytes = task_queue.len();
            wrong.add(
                "COUNTERSIGN_TASK_QUEUE",
                format!(
                    "has {bytes} bytes; at most {most} leave room for the webhook's queue, which is \
                     called the same with {WEBHOOK_QUEUE_SUFFIX} behind"
                ),
            );
        }
        task_queue.to_owned()
    }

    fn check_logging(&self, wrong: &mut WrongSettings) {
        let filter = set(&self.log).unwrap_or("info");
        if let Err(error) = EnvFilter::try_new(filter) {
            wrong.add("COUNTERSIGN_LOG", format!("is not a tracing filter: {error}"));
        }
        let format = set(&self.log_format).unwrap_or("text");
        if !matches!(format, "text" | "json") {
            wrong.add("COUNTERSIGN_LOG_FORMAT", "must be text or json");
        }
    }
}

impl Settings {
    /// Whether a submission without reviewers of its own can be decided.
    pub fn decides_by_default(&self) -> bool {
        self.policy.is_some() || !self.routing.reviewers.is_empty()
    }

    /// The routing rules, which may be read again.
    pub fn policy(&self) -> Option<&PolicyFile> {
        self.policy.as_ref()
    }

    /// What the activities work with.
    ///
    /// # Errors
    /// When the mail server's address, checked before, is no address any more.
    pub async fn countersign(self) -> Result<Countersign, String> {
        let notifier = match self.notify {
            Notify::Outbox(folder, from) => Notifier::Outbox(Outbox::new(folder, from)),
            Notify::Sns(topic) => {
                Notifier::Sns(Sns::new(topic, AwsEnvironment::of_this_process()).await)
            }
            Notify::Smtp(url, from) => Notifier::Smtp(Smtp::new(&url.0, from)?),
        };
        Ok(Countersign {
            routing: self.routing,
            policy: self.policy.map(|policy| policy.rules.subscribe()),
            link_keys: self.link_keys,
            public_url: self.public_url,
            notifier,
            webhook: self.webhook,
        })
    }
}

/// A file of routing rules, and what was last read from it.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    path: PathBuf,
    rules: watch::Sender<Arc<Policy>>,
}

impl PolicyFile {
    fn open(path: PathBuf) -> Result<Self, String> {
        let rules = watch::Sender::new(Arc::new(load_policy(&path, false)?));
        Ok(Self { path, rules })
    }

    /// Reads the file again. Approvals that are under way keep what applied to them.
    ///
    /// # Errors
    /// What is wrong in it; the rules that were read before stay in force.
    pub fn read_again(&self) -> Result<String, String> {
        let policy = load_policy(&self.path, false)?;
        let summary = policy.summary();
        self.rules.send_replace(Arc::new(policy));
        Ok(summary)
    }

    /// What is in force, in one line.
    pub fn summary(&self) -> String {
        self.rules.borrow().summary()
    }
}

const NOTIFY: &str = "COUNTERSIGN_NOTIFY";

/// A topic, and whatever contradicts it.
fn topic(arn: &str, aws: &AwsEnvironment, wrong: &mut WrongSettings) -> Option<TopicArn> {
    let topic: TopicArn = arn.parse().map_err(|error| wrong.add(NOTIFY, error)).ok()?;
    aws.problems(&topic).into_iter().for_each(|(name, why)| wrong.add(name, why));
    Some(topic)
}

/// An empty setting counts as not set.
fn set(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::Level;
    use tracing_subscriber::prelude::*;

    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn check(args: &[&str]) -> Result<Settings, String> {
        let args = ["countersign-worker"].iter().chain(args);
        let cli = Cli::try_parse_from(args).expect("known flags");
        cli.settings.check_beside(&AwsEnvironment::default()).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let wrong = check(&[
            "--link-keys",
            "c2hvcnQ=",
            "--public-url",
            "approve.example.com",
            "--notify",
            "pigeon:coop",
            "--reviewers",
            "ann, bob@example.com, BOB+x@example.com",
            "--webhook-url",
            "ftp://x.example",
            "--webhook-secret",
            "whsec_AAEC,hush",
            "--task-queue",
            &"q".repeat(248),
            "--log",
            "a=b=c",
            "--log-format",
            "xml",
        ])
        .expect_err("wrong");
        for name in [
            "COUNTERSIGN_LINK_KEYS: key 1 has 5 bytes, not 32",
            "COUNTERSIGN_PUBLIC_URL: must be a URL such as https://",
            "COUNTERSIGN_NOTIFY: must start with",
            "COUNTERSIGN_MAIL_FROM: is required",
            "COUNTERSIGN_REVIEWERS: \"ann\" must be an e-mail address",
            "COUNTERSIGN_REVIEWERS: bob+x@example.com is listed twice",
            "COUNTERSIGN_WEBHOOK_URL: must start with https://",
            "COUNTERSIGN_WEBHOOK_SECRET: secret 1 has 3 bytes, and needs at least 24, secret 2 must be",
            "COUNTERSIGN_TASK_QUEUE: has 248 bytes; at most 247 leave room",
            "COUNTERSIGN_LOG: is not a tracing filter",
            "COUNTERSIGN_LOG_FORMAT: must be text or json",
        ] {
            assert!(wrong.contains(name), "{name} is missing in:\n{wrong}");
        }
        assert!(!wrong.contains("hush"), "a secret: {wrong}");
    }

    #[test]
    fn no_settings_at_all_name_the_three_that_are_required() {
        let wrong = check(&[]).expect_err("wrong");
        for name in ["COUNTERSIGN_LINK_KEYS", "COUNTERSIGN_PUBLIC_URL", "COUNTERSIGN_NOTIFY"] {
            assert!(wrong.contains(&format!("{name}: is required")), "{wrong}");
        }
    }

    #[test]
    fn no_filter_has_what_is_sent_logged() {
        let logged = |filter: &str| {
            let logging = Logging { filter: filter.to_owned(), json: false };
            let log = tracing_subscriber::fmt::layer().with_filter(logging.filter());
            tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
                [
                    tracing::enabled!(target: "countersign_worker::mail", Level::TRACE),
                    tracing::enabled!(target: "aws_smithy_runtime::client::orchestrator", Level::TRACE),
                    tracing::enabled!(target: "aws_smithy_runtime::client::orchestrator", Level::DEBUG),
                ]
            })
        };
        assert_eq!(logged("trace"), [true, false, true]);
        assert_eq!(logged("aws_smithy_runtime::client::orchestrator=trace"), [false, false, true]);
        assert_eq!(logged("info"), [false, false, false]);
    }

    #[tokio::test]
    async fn each_way_of_sending_is_understood() {
        for notify in [
            "outbox:mails",
            "smtp://localhost:1025",
            "smtps://me:secret@mail.example.com",
            "smtp://me:secret@mail.example.com:587?tls=required",
            "sns:arn:aws:sns:eu-west-1:123456789012:approvals",
        ] {
            let settings = check(&[
                "--link-keys",
                KEY,
                "--public-url",
                "https://a.example/x/",
                "--notify",
                notify,
                "--mail-from",
                "Approvals <approvals@example.com>",
            ]);
            let shown = format!("{settings:?}");
            assert!(settings.is_ok(), "{notify}: {shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn more_default_reviewers_than_can_be_asked_are_refused_at_the_start() {
        let refusal = |count: usize, domain: &str| {
            let reviewers: Vec<_> = (0..count).map(|i| format!("{i}@{domain}")).collect();
            check(&["--reviewers", &reviewers.join(",")]).expect_err("no other setting is there")
        };
        assert!(!refusal(80, "x.example").contains("COUNTERSIGN_REVIEWERS"));
        let many = refusal(81, "x.example");
        assert!(many.contains("COUNTERSIGN_REVIEWERS: names 81 people; at most 80 can"), "{many}");
        let long = refusal(80, "department.company.example.com");
        assert!(
            long.contains("COUNTERSIGN_REVIEWERS: these addresses take 2870 bytes; at most"),
            "{long}"
        );
    }

    #[test]
    fn no_password_travels_in_clear() {
        let notify = "smtp://me:secret@mail.example.com";
        let wrong = check(&["--notify", notify]).expect_err("wrong");
        assert!(wrong.contains("COUNTERSIGN_NOTIFY: would send the password in clear"), "{wrong}");
        assert!(wrong.contains("COUNTERSIGN_MAIL_FROM: is required"), "all at once: {wrong}");
    }

    #[test]
    fn what_sns_cannot_do_is_refused_at_the_start() {
        for notify in [
            "sns:approvals",
            "sns:arn:aws:sqs:eu-west-1:123456789012:q",
            "sns:arn:aws:sns:eu-west-1:1:a.fifo",
        ] {
            let wrong = check(&[
                "--link-keys",
                KEY,
                "--public-url",
                "https://a.example",
                "--notify",
                notify,
            ]);
            assert!(wrong.expect_err(notify).contains("COUNTERSIGN_NOTIFY: needs a"), "{notify}");
        }
    }

    #[test]
    fn a_region_that_contradicts_the_topic_stops_the_start() {
        let notify = "sns:arn:aws:sns:eu-west-1:123456789012:approvals";
        let arguments = ["countersign-worker", "--notify", notify];
        let cli = Cli::try_parse_from(arguments).expect("known flags");
        let refusal = |region: &str| {
            let aws = [("AWS_REGION".to_owned(), region.to_owned())].into_iter().collect();
            cli.settings.check_beside(&aws).expect_err("other settings are missing").to_string()
        };
        let wrong = refusal("us-east-1");
        assert!(wrong.contains("AWS_REGION: is us-east-1, but the topic"), "{wrong}");
        assert!(wrong.contains("COUNTERSIGN_LINK_KEYS: is required"), "all at once: {wrong}");
        assert!(!refusal("eu-west-1").contains("AWS_REGION"));
    }
}
