//! The settings, read once at startup. Every wrong setting is reported.

use std::{
    fs,
    io::{self, IsTerminal, stderr},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::Parser;
use countersign_connection::TemporalSettings;
use countersign_protos::{
    LinkKeys, Organization, PublicUrl,
    settings::{Environment, LOG_FORMAT, Secret, WrongSettings, is_json},
};
use countersign_telemetry::{
    listener::{self, METRICS_LISTEN},
    traces::TraceSettings,
};
use ipnet::{IpNet, Ipv4Net};
use temporalio_client::envconfig::LoadClientConfigProfileOptions;
use tracing::{error, subscriber::with_default};
use tracing_subscriber::EnvFilter;

use crate::rate_limit::Rate;

const MORE_HELP: &str = "\
Secrets have no flag. A secret comes from its variable, or from the file whose path is in the
variable of the same name plus _FILE. In a file, put each key or webhook secret on its own line:
  COUNTERSIGN_LINK_KEYS, COUNTERSIGN_LINK_KEYS_FILE
          the worker's link keys: 32 bytes each in base64, separated by commas or line breaks.
          The first one signs approval IDs, all verify. Required. Make one with:
          countersign-worker new-key
  COUNTERSIGN_PAYLOAD_KEYS, COUNTERSIGN_PAYLOAD_KEYS_FILE
          the worker's payload keys, where it has any: ID:KEY, separated by commas or line
          breaks. The first one encrypts, all decrypt
  COUNTERSIGN_NOTIFY, COUNTERSIGN_NOTIFY_FILE
          how the worker sends mails. With outbox:DIR, /outbox shows them on this machine,
          with their links: use it only for trials. Other values matter only to the worker

Temporal's own settings, read by its SDK from the environment and from temporal.toml:
  TEMPORAL_ADDRESS           host:port or URL of the server [default: localhost:7233]
  TEMPORAL_NAMESPACE         [default: default]
  TEMPORAL_API_KEY           for Temporal Cloud; switches TLS on
  TEMPORAL_TLS, TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH,
  TEMPORAL_TLS_SERVER_CA_CERT_PATH, TEMPORAL_TLS_SERVER_NAME
  TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE
                             the path of temporal.toml, and the profile to use

Traces are sent by OTLP where OpenTelemetry's own variables name a collector:
  OTEL_EXPORTER_OTLP_ENDPOINT   such as http://collector:4318
  OTEL_EXPORTER_OTLP_PROTOCOL   http/protobuf or grpc [default: http/protobuf]
  OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES,
  OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_SDK_DISABLED";

/// Shows reviewers what they are asked to approve, and signals their decisions to the workflow.
#[derive(Parser)]
#[command(name = "countersign-signaler", version, about, after_help = MORE_HELP)]
#[allow(rustdoc::bare_urls)] // This is the text of --help.
pub struct Arguments {
    /// The URL at which people reach this service, such as https://approvals.example.com. It may
    /// have a path, and must be https, unless it is this machine. Required.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Who runs the approvals, and whom people ask about them, such as
    /// "Example Corp <it-help@example.com>": pages say so. The worker's mails do too, if it has the same.
    #[arg(long, env = "COUNTERSIGN_ORGANIZATION", value_name = "NAME <CONTACT>")]
    organization: Option<String>,

    /// The address to listen on. [default: 127.0.0.1:8088]
    #[arg(long, env = "COUNTERSIGN_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// true: links may travel without TLS to other machines too, where whoever reads one can decide.
    /// For networks that nobody else reads. [default: false]
    #[arg(long, env = "COUNTERSIGN_ALLOW_INSECURE", value_name = "true|false")]
    allow_insecure: Option<String>,

    /// Comma-separated addresses or networks of proxies whose X-Forwarded-For is trusted.
    /// [default: none]
    #[arg(long, env = "COUNTERSIGN_TRUSTED_PROXIES", value_name = "NETWORKS")]
    trusted_proxies: Option<String>,

    /// The rate limit of one client address: how many requests at once, and how many a second after
    /// that. An IPv6 /64 counts as one address. [default: 3000/100]
    #[arg(long, env = "COUNTERSIGN_LIMIT_ADDRESS", value_name = "BURST/PER_SECOND")]
    limit_address: Option<String>,

    /// The same for one link. [default: 1500/50]
    #[arg(long, env = "COUNTERSIGN_LIMIT_LINK", value_name = "BURST/PER_SECOND")]
    limit_link: Option<String>,

    /// The log level, or a filter such as info,countersign_signaler=debug.
    /// [default: info]
    #[arg(long, env = "COUNTERSIGN_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// The log format: text or json. [default: text]
    #[arg(long, env = "COUNTERSIGN_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,

    /// Where to serve /metrics (Prometheus), such as 0.0.0.0:9464. They contain nothing from
    /// approvals. [default: nowhere]
    #[arg(long, env = "COUNTERSIGN_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    metrics_listen: Option<String>,
}

/// Not printable, since it holds secrets.
pub struct Settings {
    pub(crate) link_keys: LinkKeys,
    /// The base of every link.
    pub public_url: PublicUrl,
    pub(crate) organization: Option<Organization>,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The directory of the outbox, if mails go there.
    pub outbox: Option<PathBuf>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) limit_address: Rate,
    pub(crate) limit_link: Rate,
    /// Levels and targets to log.
    pub log: EnvFilter,
    /// Whether log lines are JSON, for machines.
    pub logs_json: bool,
    /// Where to serve metrics; nowhere without it.
    pub metrics_listen: Option<SocketAddr>,
    /// Where traces go; nowhere without it.
    pub traces: Option<TraceSettings>,
    pub(crate) temporal: TemporalSettings,
}

/// Installs the process's logger, to standard error.
///
/// # Panics
/// If there is one already.
pub fn log(filter: EnvFilter, json: bool) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    if json { log.json().init() } else { log.init() }
}

/// Reports why the program cannot start, regardless of the log filter, and exits with code 2.
pub fn cannot_start(why: &str, json: bool) -> ! {
    match json {
        false => eprintln!("{why}"),
        true => {
            let json = tracing_subscriber::fmt().json().with_writer(stderr).finish();
            with_default(json, || error!("{why}"));
        }
    }
    std::process::exit(2)
}

impl Settings {
    /// Reads flags and environment. If any setting is wrong, reports all wrong ones and exits with
    /// code 2.
    pub fn from_environment() -> Self {
        let arguments = Arguments::try_parse().unwrap_or_else(|usage| {
            if !usage.use_stderr() || !is_json(&std::env::var(LOG_FORMAT).ok()) {
                usage.exit();
            }
            cannot_start(usage.render().to_string().trim_end(), true)
        });
        let json = is_json(&arguments.log_format);
        let environment = Environment::new(std::env::vars_os(), read_file);
        Settings::read(&arguments, &environment, Default::default()).unwrap_or_else(|wrong| {
            let why = "countersign-signaler cannot start:";
            cannot_start(&format!("{why}{wrong}\n--help lists all settings."), json)
        })
    }

    /// The link keys' fingerprints, for the log.
    pub fn fingerprints(&self) -> String {
        self.link_keys.fingerprints()
    }

    /// Checks all settings. `environment` has the secrets, and `temporal` says where Temporal's own come
    /// from.
    ///
    /// # Errors
    /// Every wrong setting.
    pub fn read(
        arguments: &Arguments,
        environment: &Environment,
        temporal: LoadClientConfigProfileOptions,
    ) -> Result<Self, WrongSettings> {
        let mut wrong = WrongSettings::default();
        let link_keys = wrong.required_secret(Secret::LINK_KEYS, environment, |text| {
            text.parse::<LinkKeys>().map_err(|error| format!("{error}; workers need the same"))
        });
        let allow_insecure = wrong.allow_insecure(&arguments.allow_insecure);
        let public_url = wrong.public_url(&arguments.public_url, allow_insecure);
        if let Some(own) = public_url.as_ref().and_then(own_route) {
            let why = format!("must not have the path {own}, which is a route of this service");
            wrong.add("COUNTERSIGN_PUBLIC_URL", why);
        }
        let organization =
            wrong.optional("COUNTERSIGN_ORGANIZATION", &arguments.organization, str::parse);
        let listen = wrong.optional("COUNTERSIGN_LISTEN", &arguments.listen, |text| {
            text.parse().map_err(|_| "must be ADDRESS:PORT, such as 0.0.0.0:8088")
        });
        let outbox = wrong.optional_secret(Secret::NOTIFY, environment, outbox);
        let trusted_proxies =
            wrong.optional("COUNTERSIGN_TRUSTED_PROXIES", &arguments.trusted_proxies, networks);
        let limit_address =
            wrong.optional("COUNTERSIGN_LIMIT_ADDRESS", &arguments.limit_address, str::parse);
        let limit_link =
            wrong.optional("COUNTERSIGN_LIMIT_LINK", &arguments.limit_link, str::parse);
        let log = wrong.optional("COUNTERSIGN_LOG", &arguments.log, |text| {
            let right = "must be a level such as info, or a filter such as info,hyper=warn";
            EnvFilter::try_new(text).map_err(|error| format!("{error}; {right}"))
        });
        wrong.log_format(&arguments.log_format);
        let metrics_listen =
            wrong.optional(METRICS_LISTEN, &arguments.metrics_listen, listener::address);
        let traces = TraceSettings::read(|name| environment.variable(name), &mut wrong);
        let temporal = countersign_connection::read(environment, temporal, &mut wrong);
        let settings = || {
            Some(Settings {
                link_keys: link_keys?,
                public_url: public_url?,
                organization,
                listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8088))),
                outbox: outbox.flatten(),
                trusted_proxies: trusted_proxies.unwrap_or_default(),
                limit_address: limit_address.unwrap_or(Rate::new(3000, 100)),
                limit_link: limit_link.unwrap_or(Rate::new(1500, 50)),
                log: log.unwrap_or_else(|| EnvFilter::new("info")),
                logs_json: is_json(&arguments.log_format),
                metrics_listen,
                traces,
                temporal: temporal?,
            })
        };
        wrong.none_or(settings())
    }
}

/// Routes also exist at the root, for proxies that strip the path, and must not clash with it.
fn own_route(url: &PublicUrl) -> Option<&str> {
    Some(url.path()).filter(|path| matches!(*path, "/healthz" | "/readyz" | "/outbox"))
}

fn read_file(path: &str) -> io::Result<Vec<u8>> {
    fs::read(path)
}

fn outbox(text: &str) -> Result<Option<PathBuf>, &'static str> {
    match text.strip_prefix("outbox:") {
        Some("") => Err("needs a directory, such as outbox:/var/mails"),
        directory => Ok(directory.map(|directory| directory.trim().into())),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let network = |text: &str| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>()
            .or_else(|_| address())
            .map(canonical)
            .map_err(|_| format!("{text:?} is neither an address nor a network such as 10.0.0.0/8"))
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(network).collect()
}

/// An IPv4 network in IPv6-mapped form (RFC 4291, 2.5.5.2) becomes one of IPv4, as client addresses do
/// before they are compared.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    match (network, network.addr().to_canonical()) {
        (IpNet::V6(mapped), IpAddr::V4(address)) if mapped.prefix_len() >= MAPPED => {
            Ipv4Net::new(address, mapped.prefix_len() - MAPPED).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

#[cfg(test)]
mod tests;
