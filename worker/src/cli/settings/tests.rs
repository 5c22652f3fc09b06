use tracing::Level;
use tracing_subscriber::prelude::*;

use super::*;

const KEY: &str = countersign_protos::TEST_KEYS[0];

const KEYS: &str = Secret::LINK_KEYS.name;
const NOTIFY: &str = Secret::NOTIFY.name;

fn check_beside(
    aws: &AwsEnvironment,
    secrets: &[(&str, &str)],
    flags: &[&str],
) -> Result<Settings, String> {
    let args = ["countersign-worker"].iter().chain(flags);
    let cli = Cli::try_parse_from(args).expect("known flags");
    let environment = Environment::new(secrets.iter().copied(), read_file);
    cli.settings.check_beside(&environment, aws).map_err(|wrong| wrong.to_string())
}

fn check(secrets: &[(&str, &str)], flags: &[&str]) -> Result<Settings, String> {
    check_beside(&AwsEnvironment::default(), secrets, flags)
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let secrets = [
        (KEYS, "c2hvcnQ="),
        (NOTIFY, "pigeon:coop"),
        (Secret::WEBHOOK_SECRET.name, "whsec_AAEC,hush"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
    ];
    let long = "q".repeat(248);
    let flags = [
        "--public-url",
        "approve.example.com",
        "--mail-rate",
        "10/s",
        "--organization",
        "Example Corp",
        "--reviewers",
        "ann, bob@example.com, BOB+x@example.com",
        "--webhook-url",
        "ftp://x.example",
        "--task-queue",
        long.as_str(),
        "--log",
        "a=b=c",
        "--log-format",
        "xml",
        "--allow-insecure",
        "yes",
        "--metrics-listen",
        "9464",
        "--nexus",
        "on",
    ];
    let wrong = check(&secrets, &flags).expect_err("wrong");
    for name in [
        "COUNTERSIGN_LINK_KEYS: key 1 has 5 bytes, not 32",
        "COUNTERSIGN_PUBLIC_URL: must be a URL such as https://",
        "COUNTERSIGN_NOTIFY: must start with",
        "COUNTERSIGN_MAIL_FROM: is required",
        "COUNTERSIGN_MAIL_RATE: must be a number of mails a second, such as 10 or 0.5",
        "COUNTERSIGN_ORGANIZATION: must be a name and a contact, such as Example Corp <",
        "COUNTERSIGN_REVIEWERS: \"ann\" must be an e-mail address",
        "COUNTERSIGN_REVIEWERS: bob+x@example.com is listed twice",
        "COUNTERSIGN_WEBHOOK_URL: must start with https://",
        "COUNTERSIGN_WEBHOOK_SECRET: secret 1 has 3 bytes, and needs at least 24, secret 2 must be",
        "COUNTERSIGN_TASK_QUEUE: has 248 bytes; at most 247 leave room",
        "COUNTERSIGN_LOG: is not a tracing filter",
        "COUNTERSIGN_LOG_FORMAT: must be text or json",
        "COUNTERSIGN_ALLOW_INSECURE: must be true or false",
        "COUNTERSIGN_METRICS_LISTEN: must be ADDRESS:PORT, such as 0.0.0.0:9464",
        "COUNTERSIGN_NEXUS: must be true or false",
        "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL",
    ] {
        assert!(wrong.contains(name), "{name} is missing in:\n{wrong}");
    }
    assert!(!wrong.contains("hush"), "a secret: {wrong}");
}

/// As `docker run --env-file` leaves them around a value.
#[test]
fn quotation_marks_around_any_setting_are_named() {
    let names = [
        "public-url",
        "mail-from",
        "mail-rate",
        "organization",
        "reviewers",
        "policy",
        "webhook-url",
        "task-queue",
        "log",
        "log-format",
        "allow-insecure",
    ];
    let flags = names.map(|name| format!("--{name}=\"some\""));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let secrets = [
        (KEYS, "\"some\""),
        (NOTIFY, "smtps://mail.example.com"),
        (Secret::WEBHOOK_SECRET.name, "'some'"),
    ];
    let wrong = check(&secrets, &flags).expect_err("wrong");
    let variables =
        names.map(|name| format!("COUNTERSIGN_{}", name.replace('-', "_").to_uppercase()));
    let secrets = [KEYS, Secret::WEBHOOK_SECRET.name].map(str::to_owned);
    for name in variables.iter().chain(&secrets) {
        let named = format!("{name}: has quotation marks around it");
        assert!(wrong.contains(&named), "{named} is missing in:\n{wrong}");
    }
}

#[test]
fn no_settings_at_all_name_the_three_that_are_required() {
    let wrong = check(&[], &[]).expect_err("wrong");
    for name in ["COUNTERSIGN_LINK_KEYS", "COUNTERSIGN_PUBLIC_URL", "COUNTERSIGN_NOTIFY"] {
        assert!(wrong.contains(&format!("{name}: is required")), "{wrong}");
    }
}

#[test]
fn no_filter_has_what_is_sent_logged() {
    let logged = |filter: &str| {
        let args = ["countersign-worker", "--log", filter];
        let settings = Cli::try_parse_from(args).expect("known flags").settings;
        let log = tracing_subscriber::fmt::layer().with_filter(settings.log_filter());
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
        let flags = [
            "--public-url",
            "https://a.example/x/",
            "--mail-from",
            "Approvals <approvals@example.com>",
        ];
        let settings = check(&[(KEYS, KEY), (NOTIFY, notify)], &flags);
        let shown = format!("{settings:?}");
        assert!(settings.is_ok(), "{notify}: {shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[test]
fn more_default_reviewers_than_can_be_asked_are_refused_at_the_start() {
    let refusal = |count: usize, domain: &str| {
        let reviewers: Vec<_> = (0..count).map(|i| format!("{i}@{domain}")).collect();
        check(&[], &["--reviewers", &reviewers.join(",")]).expect_err("no other setting is there")
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
    let notify = [(NOTIFY, "smtp://me:secret@mail.example.com")];
    for allow in ["false", "true"] {
        let wrong = check(&notify, &["--allow-insecure", allow]).expect_err("wrong");
        assert!(wrong.contains("COUNTERSIGN_NOTIFY: would send the password in clear"), "{wrong}");
        assert!(wrong.contains("COUNTERSIGN_MAIL_FROM: is required"), "all at once: {wrong}");
    }
}

#[tokio::test]
async fn nothing_travels_in_the_clear_to_other_machines_unless_that_is_allowed() {
    const NAMES: [&str; 3] =
        ["COUNTERSIGN_PUBLIC_URL", "COUNTERSIGN_NOTIFY", "COUNTERSIGN_WEBHOOK_URL"];
    let wrong = |[public_url, notify, webhook]: [&str; 3], allow: &str| {
        let secret = countersign_protos::TEST_WEBHOOK_SECRETS[0];
        let secrets = [(KEYS, KEY), (NOTIFY, notify), (Secret::WEBHOOK_SECRET.name, secret)];
        let urls = ["--public-url", public_url, "--webhook-url", webhook];
        let others = ["--allow-insecure", allow, "--mail-from", "approvals@example.com"];
        let flags = [urls, others].concat();
        let said = check(&secrets, &flags).err().unwrap_or_default();
        NAMES.map(|name| said.contains(&format!("{name}: would send ")))
    };
    let in_clear =
        ["http://a.example", "smtp://mail.example.com:25", "http://hooks.example.com/approvals"];
    assert_eq!(wrong(in_clear, ""), [true; 3], "all at once");
    assert_eq!(wrong(in_clear, "false"), [true; 3]);
    assert_eq!(wrong(in_clear, "true"), [false; 3]);
    let by_tls =
        ["https://a.example", "smtp://mail.example.com?tls=required", "https://hooks.example.com"];
    assert_eq!(wrong(by_tls, ""), [false; 3]);
    let here = ["http://[::1]:8088", "smtp://localhost:1025", "http://127.0.0.2:8080/hook"];
    assert_eq!(wrong(here, ""), [false; 3]);
    for (notify, is_wrong) in [
        // It may be sent without TLS: whoever is between can see to that.
        ("smtp://mail.example.com?tls=opportunistic", true),
        ("smtp://mail.example.com:587?tls=opportunistic", true),
        ("smtp://10.0.0.1", true),
        ("smtps://mail.example.com", false),
        ("smtp://[::1]:25", false),
        ("smtp://127.0.0.1?tls=opportunistic", false),
        ("outbox:mails", false),
    ] {
        let found = wrong(["https://a.example", notify, "https://hooks.example.com"], "");
        assert_eq!(found, [false, is_wrong, false], "{notify}");
    }
}

#[test]
fn what_sns_cannot_do_is_refused_at_the_start() {
    for notify in [
        "sns:approvals",
        "sns:arn:aws:sqs:eu-west-1:123456789012:q",
        "sns:arn:aws:sns:eu-west-1:1:a.fifo",
    ] {
        let secrets = [(KEYS, KEY), (NOTIFY, notify)];
        let wrong = check(&secrets, &["--public-url", "https://a.example"]).expect_err(notify);
        assert!(wrong.contains("COUNTERSIGN_NOTIFY: needs a"), "{notify}");
    }
}

#[test]
fn a_region_that_contradicts_the_topic_stops_the_start() {
    let notify = [(NOTIFY, "sns:arn:aws:sns:eu-west-1:123456789012:approvals")];
    let refusal = |region: &str| {
        let aws = [("AWS_REGION".to_owned(), region.to_owned())].into_iter().collect();
        check_beside(&aws, &notify, &[]).expect_err("other settings are missing")
    };
    let wrong = refusal("us-east-1");
    assert!(wrong.contains("AWS_REGION: is us-east-1, but the topic"), "{wrong}");
    assert!(wrong.contains("COUNTERSIGN_LINK_KEYS: is required"), "all at once: {wrong}");
    assert!(!refusal("eu-west-1").contains("AWS_REGION"));
}

#[test]
fn workers_with_the_same_keys_and_reviewers_say_so_and_never_a_key() {
    let secrets = [(KEYS, KEY), (NOTIFY, "outbox:mails")];
    let identity = |reviewers: &str| {
        let flags = [
            "--public-url",
            "https://a.example",
            "--mail-from",
            "a@example.com",
            "--reviewers",
            reviewers,
        ];
        check(&secrets, &flags).expect("good settings").identity(None)
    };
    let (one, same, other) = (identity("ann@x.org"), identity("ann@x.org"), identity("bob@x.org"));
    assert_eq!((&one.keys, &one.rules), (&same.keys, &same.rules));
    assert_ne!(one.rules, other.rules);
    let key: LinkKeys = KEY.parse().expect("a key");
    assert_eq!(one.keys, [key.first().fingerprint()]);
    let text = one.to_string();
    assert!(!text.contains(&KEY[..8]) && !text.contains("ann@"), "{text}");
    assert_eq!(text.parse::<WorkerIdentity>().map(|read| read.keys), Ok(one.keys));
}

#[test]
fn secrets_are_no_flags_and_help_names_their_variables() {
    let help = Cli::try_parse_from(["countersign-worker", "--help"]).err().expect("the help");
    let help = help.render().to_string();
    for secret in [Secret::LINK_KEYS, Secret::NOTIFY, Secret::WEBHOOK_SECRET, Secret::PAYLOAD_KEYS]
    {
        assert!(help.contains(&format!("{}, {}", secret.name, secret.file)), "{help}");
    }
    for flag in ["--link-keys", "--notify", "--webhook-secret", "--payload-keys"] {
        assert!(!help.contains(flag), "{help}");
        for args in [vec![flag.to_owned(), "hush".to_owned()], vec![format!("{flag}=hush")]] {
            let args = ["countersign-worker".to_owned()].into_iter().chain(args);
            let refused = Cli::try_parse_from(args).err().expect("no flag").to_string();
            assert!(refused.contains(flag) && !refused.contains("hush"), "{refused}");
        }
    }
}
