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
        "--mail-rate",
        "10/s",
        "--organization",
        "Example Corp",
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
        "COUNTERSIGN_MAIL_RATE: must be a number of mails a second, such as 10 or 0.5",
        "COUNTERSIGN_ORGANIZATION: must be a name and a contact, such as Example Corp <",
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
        let wrong =
            check(&["--link-keys", KEY, "--public-url", "https://a.example", "--notify", notify]);
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
