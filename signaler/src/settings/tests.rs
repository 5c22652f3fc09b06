use temporalio_client::envconfig::DataSource;

use super::*;

const KEY: &str = countersign_protos::TEST_KEYS[0];

/// Temporal's own settings, with nothing from the environment.
fn temporal(toml: &str) -> LoadClientConfigProfileOptions {
    LoadClientConfigProfileOptions::builder()
        .config_source(DataSource::Data(toml.into()))
        .disable_env(true)
        .build()
}

const KEYS: &str = Secret::LINK_KEYS.name;
const NOTIFY: &str = Secret::NOTIFY.name;

/// As given, with nothing from this process's environment. Names of secrets are in capitals.
fn read(given: &[(&str, &str)]) -> Result<Settings, WrongSettings> {
    let none = [
        "public-url",
        "allow-insecure",
        "organization",
        "listen",
        "trusted-proxies",
        "limit-address",
        "limit-link",
        "log",
        "log-format",
        "metrics-listen",
    ];
    let flags = none.map(|name| {
        let value = given.iter().find(|(given, _)| *given == name).map_or("", |(_, v)| v);
        format!("--{name}={value}")
    });
    let arguments = ["signaler".to_owned()].into_iter().chain(flags);
    let environment = Environment::new(given.iter().copied(), read_file);
    Settings::read(&Arguments::parse_from(arguments), &environment, temporal(""))
}

/// The settings that are wrong; what is wrong with one may take several lines.
fn names(wrong: &WrongSettings) -> Vec<String> {
    let is_name = |name: &&str| name.bytes().all(|b| b.is_ascii_uppercase() || b"_*".contains(&b));
    let said = wrong.to_string();
    let names = said.lines().filter_map(|line| Some(line.strip_prefix("  ")?.split_once(": ")?.0));
    names.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn keys_and_a_public_url_are_enough() {
    let settings = read(&[(KEYS, KEY), ("public-url", "https://ok.example/base")]).expect("good");
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8088");
    assert_eq!(settings.limit_address, Rate::new(3000, 100));
    assert_eq!(settings.outbox, None);
    assert_eq!(settings.temporal.connection.target.as_str(), "http://localhost:7233/");
    assert_eq!(settings.temporal.client.namespace, "default");
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let wrong = read(&[
        (KEYS, "c2hvcnQ="),
        ("allow-insecure", "maybe"),
        ("public-url", "ftp://x"),
        ("organization", "Example Corp"),
        ("listen", "8088"),
        (NOTIFY, "outbox:"),
        ("trusted-proxies", "10.0.0.0/8, everybody"),
        ("limit-address", "0/0"),
        ("limit-link", "many"),
        ("log", "info,=="),
        ("log-format", "xml"),
        ("metrics-listen", "9464"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
    ])
    .err()
    .expect("all wrong");
    assert_eq!(
        names(&wrong),
        [
            "COUNTERSIGN_LINK_KEYS",
            "COUNTERSIGN_ALLOW_INSECURE",
            "COUNTERSIGN_PUBLIC_URL",
            "COUNTERSIGN_ORGANIZATION",
            "COUNTERSIGN_LISTEN",
            "COUNTERSIGN_NOTIFY",
            "COUNTERSIGN_TRUSTED_PROXIES",
            "COUNTERSIGN_LIMIT_ADDRESS",
            "COUNTERSIGN_LIMIT_LINK",
            "COUNTERSIGN_LOG",
            "COUNTERSIGN_LOG_FORMAT",
            "COUNTERSIGN_METRICS_LISTEN",
            "OTEL_TRACES_EXPORTER",
        ]
    );
    let missing = read(&[]).err().expect("two missing");
    assert_eq!(names(&missing), ["COUNTERSIGN_LINK_KEYS", "COUNTERSIGN_PUBLIC_URL"]);
    assert_eq!(missing.to_string().matches("is required").count(), 2, "{missing}");
    let arguments = Arguments::parse_from(["s", "--public-url", "https://ok.example"]);
    let environment = Environment::new([(KEYS, KEY)], read_file);
    let wrong = Settings::read(&arguments, &environment, temporal("[profile.default"));
    let wrong = wrong.err().expect("bad TOML").to_string();
    assert!(wrong.starts_with("\n  temporal.toml: TOML parse error at line 1"), "{wrong}");
    let environment = Environment::new([(KEYS, KEY), ("TEMPORAL_NAMESPACE", "")], read_file);
    let wrong = Settings::read(&arguments, &environment, temporal("")).err().expect("empty");
    assert_eq!(names(&wrong), ["TEMPORAL_NAMESPACE"]);
}

/// As `docker run --env-file` leaves them around a value.
#[test]
fn quotation_marks_around_any_setting_are_named() {
    let wrong = read(&[
        (KEYS, "\"some\""),
        ("allow-insecure", "\"false\""),
        ("public-url", "'https://ok.example'"),
        ("organization", "'Example Corp <it@example.com>'"),
        ("listen", "\"127.0.0.1:8088\""),
        (NOTIFY, "'outbox:mails'"),
        ("trusted-proxies", "\"10.0.0.0/8\""),
        ("limit-address", "\"1/1\""),
        ("limit-link", "\"1/1\""),
        ("log", "\"info\""),
        ("log-format", "\"json\""),
        ("TEMPORAL_NAMESPACE", "\"default\""),
    ]);
    let said = wrong.err().expect("all wrong").to_string();
    assert_eq!(said.matches(": has quotation marks around it").count(), 12, "{said}");
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
        let read = read(&[(KEYS, KEY), ("public-url", url.as_str()), (NOTIFY, "outbox:/mails")]);
        assert_eq!(read.is_ok(), good, "{path}");
        read.map(|settings| crate::App::new(settings).router()).ok();
    }
}

#[test]
fn a_key_never_shows_in_what_is_printed() {
    let keys = format!("{KEY},{KEY}x");
    let wrong = read(&[(KEYS, keys.as_str())]).err().expect("a bad key");
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

#[test]
fn secrets_are_no_flags_and_help_names_their_variables() {
    let help = Arguments::try_parse_from(["signaler", "--help"]).err().expect("the help");
    let help = help.render().to_string();
    for secret in [Secret::LINK_KEYS, Secret::NOTIFY] {
        assert!(help.contains(&format!("{}, {}", secret.name, secret.file)), "{help}");
    }
    for flag in ["--link-keys", "--notify"] {
        let refused = Arguments::try_parse_from(["signaler", flag, "hush"]).err().expect("no flag");
        assert!(!help.contains(flag) && !refused.to_string().contains("hush"), "{help}{refused}");
    }
}
