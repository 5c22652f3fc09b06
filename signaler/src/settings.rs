//! The settings, read once at startup. Every wrong setting is reported.

use std::{
    fmt,
    io::{IsTerminal, stderr},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use clap::Parser;
use countersign_protos::{LinkKeys, PublicUrl};
use ipnet::{IpNet, Ipv4Net};
use temporalio_client::{
    ClientOptions, ConnectionOptions, envconfig::LoadClientConfigProfileOptions,
};
use tracing::{error, subscriber::with_default};
use tracing_subscriber::EnvFilter;

use crate::rate_limit::Rate;

const TEMPORAL_HELP: &str = "\
Temporal's own settings, read by its SDK from the environment and from temporal.toml:
  TEMPORAL_ADDRESS           host:port or URL of the server [default: localhost:7233]
  TEMPORAL_NAMESPACE         [default: default]
  TEMPORAL_API_KEY           for Temporal Cloud; switches TLS on
  TEMPORAL_TLS, TEMPORAL_TLS_CLIENT_CERT_PATH, TEMPORAL_TLS_CLIENT_KEY_PATH,
  TEMPORAL_TLS_SERVER_CA_CERT_PATH, TEMPORAL_TLS_SERVER_NAME
  TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE
                             the path of temporal.toml, and the profile to use";

/// Shows reviewers what they are asked to approve, and signals their decisions to the workflow.
#[derive(Parser)]
#[command(name = "countersign-signaler", version, about, after_help = TEMPORAL_HELP)]
#[allow(rustdoc::bare_urls)] // This is the text of --help.
pub struct Arguments {
    /// The worker's link keys: comma-separated, each 32 bytes in base64. The first one signs approval
    /// IDs, all verify. Make one with `openssl rand -base64 32`. Required.
    #[arg(long, env = "COUNTERSIGN_LINK_KEYS", value_name = "KEYS", hide_env_values = true)]
    link_keys: Option<String>,

    /// The URL at which people reach this service, such as https://approvals.example.com. It may
    /// have a path. Required.
    #[arg(long, env = "COUNTERSIGN_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// The address to listen on. [default: 127.0.0.1:8088]
    #[arg(long, env = "COUNTERSIGN_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<String>,

    /// How the worker sends mails. With outbox:DIR, /outbox shows them with their links: use it only
    /// for trials. Other values matter only to the worker.
    #[arg(long, env = "COUNTERSIGN_NOTIFY", value_name = "NOTIFIER", hide_env_values = true)]
    notify: Option<String>,

    /// Comma-separated addresses or networks of proxies whose X-Forwarded-For is trusted.
    /// [default: none]
    #[arg(long, env = "COUNTERSIGN_TRUSTED_PROXIES", value_name = "NETWORKS")]
    trusted_proxies: Option<String>,

    /// The rate limit of one client address: how many requests at once, and how many a second after
    /// that. An IPv6 /64 counts as one address. [default: 3000/100]
    #[arg(long, env = "COUNTERSIGN_LIMIT_ADDRESS", value_name = "BURST/PER_SECOND")]
    limit_address: Option<String>,

    /// The same for one approval ID. [default: 1500/50]
    #[arg(long, env = "COUNTERSIGN_LIMIT_LINK", value_name = "BURST/PER_SECOND")]
    limit_link: Option<String>,

    /// The log level, or a filter such as info,countersign_signaler=debug.
    /// [default: info]
    #[arg(long, env = "COUNTERSIGN_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// The log format: text or json. [default: text]
    #[arg(long, env = "COUNTERSIGN_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<String>,
}

/// Not printable, since it holds secrets.
pub struct Settings {
    pub(crate) link_keys: LinkKeys,
    /// The base of every link.
    pub public_url: PublicUrl,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The directory of the outbox, if mails go there.
    pub outbox: Option<PathBuf>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) limit_address: Rate,
    pub(crate) limit_link: Rate,
    /// Levels and targets to log.
    pub log: EnvFilter,
    /// The format of log lines.
    pub log_format: LogFormat,
    pub(crate) temporal: (ConnectionOptions, ClientOptions),
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain lines, for people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl LogFormat {
    /// Installs the process's logger, to standard error.
    ///
    /// # Panics
    /// If there is one already.
    pub fn log(self, filter: EnvFilter) {
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(stderr)
            .with_ansi(stderr().is_terminal());
        match self {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().init(),
        }
    }

    /// Reports why the program cannot start, regardless of the log filter, and exits with code 2.
    pub fn cannot_start(self, why: &str) -> ! {
        match self {
            LogFormat::Text => eprintln!("{why}"),
            LogFormat::Json => {
                let json = tracing_subscriber::fmt().json().with_writer(stderr).finish();
                with_default(json, || error!("{why}"));
            }
        }
        std::process::exit(2)
    }

    /// Text unless the setting is `json`: also wrong settings are reported in a format.
    fn of(setting: Option<&str>) -> Self {
        match setting.map(str::trim) {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        }
    }
}

/// A wrong setting: its name, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    name: &'static str,
    why: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)
    }
}

impl Settings {
    /// Reads flags and environment. If any setting is wrong, reports all wrong ones and exits with
    /// code 2.
    pub fn from_environment() -> Self {
        let arguments = Arguments::try_parse().unwrap_or_else(|usage| {
            let format = std::env::var("COUNTERSIGN_LOG_FORMAT").ok();
            match LogFormat::of(format.as_deref()) {
                LogFormat::Json if usage.use_stderr() => {
                    LogFormat::Json.cannot_start(usage.render().to_string().trim_end())
                }
                _ => usage.exit(),
            }
        });
        let format = LogFormat::of(arguments.log_format.as_deref());
        Settings::read(arguments, Default::default()).unwrap_or_else(|wrong| {
            let wrong: String = wrong.iter().map(|wrong| format!("  {wrong}\n")).collect();
            format.cannot_start(&format!(
                "countersign-signaler cannot start:\n{wrong}--help lists all settings."
            ))
        })
    }

    /// Checks all settings. `temporal` is where Temporal's own come from.
    ///
    /// # Errors
    /// Every wrong setting.
    pub fn read(
        arguments: Arguments,
        temporal: LoadClientConfigProfileOptions,
    ) -> Result<Self, Vec<Wrong>> {
        let mut check = Check::default();
        let link_keys = check.required("COUNTERSIGN_LINK_KEYS", arguments.link_keys, |text| {
            text.parse::<LinkKeys>().map_err(|error| {
                format!("{error}; it must have the worker's keys, comma-separated base64 of 32 bytes each")
            })
        });
        let public_url = check.required("COUNTERSIGN_PUBLIC_URL", arguments.public_url, base);
        let listen = check.optional("COUNTERSIGN_LISTEN", arguments.listen, |text| {
            text.parse().map_err(|_| "it must be ADDRESS:PORT, such as 0.0.0.0:8088".to_owned())
        });
        let outbox = check.optional("COUNTERSIGN_NOTIFY", arguments.notify, outbox);
        let trusted_proxies =
            check.optional("COUNTERSIGN_TRUSTED_PROXIES", arguments.trusted_proxies, networks);
        let limit_address =
            check.optional("COUNTERSIGN_LIMIT_ADDRESS", arguments.limit_address, parsed);
        let limit_link = check.optional("COUNTERSIGN_LIMIT_LINK", arguments.limit_link, parsed);
        let log = check.optional("COUNTERSIGN_LOG", arguments.log, |text| {
            EnvFilter::try_new(text).map_err(|error| {
                format!(
                    "{error}; it must be a level such as info, or a filter such as info,hyper=warn"
                )
            })
        });
        let log_format =
            check.optional("COUNTERSIGN_LOG_FORMAT", arguments.log_format, |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("it must be text or json".to_owned()),
            });
        let temporal = ClientOptions::load_from_config(temporal).map_err(|error| {
            let why = format!("{error}; see the settings of Temporal in --help");
            check.wrong.push(Wrong { name: "TEMPORAL_*", why });
        });
        match (link_keys, public_url, temporal) {
            (Some(link_keys), Some(public_url), Ok(temporal)) if check.wrong.is_empty() => {
                Ok(Settings {
                    link_keys,
                    public_url,
                    listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8088))),
                    outbox: outbox.flatten(),
                    trusted_proxies: trusted_proxies.unwrap_or_default(),
                    limit_address: limit_address.unwrap_or(Rate::new(3000, 100)),
                    limit_link: limit_link.unwrap_or(Rate::new(1500, 50)),
                    log: log.unwrap_or_else(|| EnvFilter::new("info")),
                    log_format: log_format.unwrap_or(LogFormat::Text),
                    temporal,
                })
            }
            _ => Err(check.wrong),
        }
    }
}

#[derive(Default)]
struct Check {
    wrong: Vec<Wrong>,
}

impl Check {
    /// An empty value counts as absent: compose files set unused variables so.
    fn optional<T>(
        &mut self,
        name: &'static str,
        value: Option<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())?;
        read(&value).map_err(|why| self.wrong.push(Wrong { name, why })).ok()
    }

    fn required<T>(
        &mut self,
        name: &'static str,
        value: Option<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value.filter(|text| !text.trim().is_empty());
        if value.is_none() {
            let why = "it is required, and not set".to_owned();
            self.wrong.push(Wrong { name, why });
        }
        self.optional(name, value, read)
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Routes also exist at the root, for proxies that strip the path, and must not clash with it.
fn base(text: &str) -> Result<PublicUrl, String> {
    let url: PublicUrl = parsed(text)?;
    match url.path() {
        own @ ("/healthz" | "/readyz" | "/outbox") => {
            Err(format!("its path must not be {own}, which is a route of this service"))
        }
        _ => Ok(url),
    }
}

fn outbox(text: &str) -> Result<Option<PathBuf>, String> {
    match text.strip_prefix("outbox:") {
        Some(directory) if directory.trim().is_empty() => {
            Err("outbox: must be followed by a directory, such as outbox:/var/mails".to_owned())
        }
        Some(directory) => Ok(Some(PathBuf::from(directory.trim()))),
        None => Ok(None),
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
mod tests {
    use temporalio_client::envconfig::DataSource;

    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    /// Temporal's own settings, with nothing from the environment.
    fn temporal(toml: &str) -> LoadClientConfigProfileOptions {
        LoadClientConfigProfileOptions::builder()
            .config_source(DataSource::Data(toml.into()))
            .disable_env(true)
            .build()
    }

    /// As given, with nothing from the environment.
    fn read(flags: &[(&str, &str)]) -> Result<Settings, Vec<Wrong>> {
        let none = [
            "link-keys",
            "public-url",
            "listen",
            "notify",
            "trusted-proxies",
            "limit-address",
            "limit-link",
            "log",
            "log-format",
        ];
        let flags = none.map(|name| {
            let value = flags.iter().find(|(given, _)| *given == name).map_or("", |(_, v)| v);
            format!("--{name}={value}")
        });
        let arguments = ["signaler".to_owned()].into_iter().chain(flags);
        Settings::read(Arguments::parse_from(arguments), temporal(""))
    }

    #[test]
    fn keys_and_a_public_url_are_enough() {
        let settings =
            read(&[("link-keys", KEY), ("public-url", "https://ok.example/base")]).expect("good");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8088");
        assert_eq!(settings.limit_address, Rate::new(3000, 100));
        assert_eq!(settings.outbox, None);
        assert_eq!(settings.temporal.0.target.as_str(), "http://localhost:7233/");
        assert_eq!(settings.temporal.1.namespace, "default");
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let wrong = read(&[
            ("link-keys", "c2hvcnQ="),
            ("public-url", "ftp://x"),
            ("listen", "8088"),
            ("notify", "outbox:"),
            ("trusted-proxies", "10.0.0.0/8, everybody"),
            ("limit-address", "0/0"),
            ("limit-link", "many"),
            ("log", "info,=="),
            ("log-format", "xml"),
        ])
        .err()
        .expect("all wrong");
        let names: Vec<&str> = wrong.iter().map(|wrong| wrong.name).collect();
        assert_eq!(
            names,
            [
                "COUNTERSIGN_LINK_KEYS",
                "COUNTERSIGN_PUBLIC_URL",
                "COUNTERSIGN_LISTEN",
                "COUNTERSIGN_NOTIFY",
                "COUNTERSIGN_TRUSTED_PROXIES",
                "COUNTERSIGN_LIMIT_ADDRESS",
                "COUNTERSIGN_LIMIT_LINK",
                "COUNTERSIGN_LOG",
                "COUNTERSIGN_LOG_FORMAT",
            ]
        );
        let missing = read(&[]).err().expect("two missing");
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0].to_string().contains("required"));
        let arguments =
            Arguments::parse_from(["s", "--link-keys", KEY, "--public-url", "https://ok.example"]);
        let wrong =
            Settings::read(arguments, temporal("[profile.default")).err().expect("bad TOML");
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].name, "TEMPORAL_*");
    }

    #[tokio::test]
    async fn the_public_url_may_have_a_path_but_no_page_s_own() {
        for (path, good) in [
            ("", true),
            ("/approvals", true),
            ("/outbox/mine", true),
            ("/outbox", false),
            ("/readyz/", false),
        ] {
            let url = format!("https://ok.example{path}");
            let read =
                read(&[("link-keys", KEY), ("public-url", &url), ("notify", "outbox:/mails")]);
            assert_eq!(read.is_ok(), good, "{path}");
            read.map(|settings| crate::App::new(settings).router()).ok();
        }
    }

    #[test]
    fn a_key_never_shows_in_what_is_printed() {
        let wrong = read(&[("link-keys", &format!("{KEY},{KEY}x"))]).err().expect("a bad key");
        assert!(!format!("{wrong:?}").contains(&KEY[..6]), "{wrong:?}");
    }

    #[test]
    fn notifiers_and_networks_are_checked() {
        assert_eq!(outbox("smtp://mail.example"), Ok(None));
        assert_eq!(outbox("outbox:/mails"), Ok(Some("/mails".into())));
        assert_eq!(networks("10.0.0.1,2001:db8::/32").map(|n| n.len()), Ok(2));
    }

    #[test]
    fn a_proxy_may_be_written_in_ipv4_mapped_form() {
        for (written, proxy, stranger) in [
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("::ffff:10.0.0.0/104", "10.200.0.1", "11.0.0.1"),
            ("::ffff:a00:1/128", "10.0.0.1", "10.0.0.2"),
            ("::ffff:0:0/96", "192.0.2.1", "2001:db8::1"),
            ("10.0.0.0/8", "10.200.0.1", "11.0.0.1"),
            ("2001:db8::/32", "2001:db8::1", "32.1.13.184"),
        ] {
            let trusted = networks(written).expect("a network");
            let trusts = |address: &str| {
                let address: std::net::IpAddr = address.parse().expect("an address");
                crate::rate_limit::is_trusted(address, &trusted)
            };
            assert!(trusts(proxy) && !trusts(stranger), "{written}");
            if let Ok(address) = proxy.parse::<std::net::Ipv4Addr>() {
                assert!(trusts(&address.to_ipv6_mapped().to_string()), "{written}");
            }
        }
    }
}
