//! `countersign-worker` with wrong settings.

use std::process::Command;

use serde_json::Value;

#[test]
fn every_wrong_setting_is_reported_at_once_including_temporals() {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign-worker"))
        .env_clear()
        .env("COUNTERSIGN_NOTIFY", "pigeon:loft")
        .env("COUNTERSIGN_MAIL_FROM", "nobody")
        .env("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere/ca.pem")
        .output()
        .expect("the program runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{said}");
    for named in [
        "COUNTERSIGN_LINK_KEYS: is required",
        "COUNTERSIGN_PUBLIC_URL: is required",
        "COUNTERSIGN_NOTIFY: must start with",
        "COUNTERSIGN_MAIL_FROM:",
        "TEMPORAL_",
    ] {
        assert!(said.contains(named), "{named} is missing in:\n{said}");
    }
    assert!(!said.contains("pigeon"), "a setting's value may be a secret: {said}");
}

/// With logs in JSON, a failed start writes one line of JSON and nothing else.
#[test]
fn a_failed_start_is_logged_as_json_if_logs_are() {
    let worker = || {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_countersign-worker"));
        worker.env_clear();
        worker
    };
    let mut wrong = worker();
    wrong.env("COUNTERSIGN_LOG_FORMAT", "json").env("COUNTERSIGN_LOG", "a=b=c");
    let mut by_flag = worker();
    by_flag.args(["--log-format", "json", "--notify", "pigeon:loft"]);
    let mut usage = worker();
    usage.env("COUNTERSIGN_LOG_FORMAT", "json").arg("--pigeon");
    for (mut start, said) in [
        (wrong, "COUNTERSIGN_LOG: is not a tracing filter"),
        (by_flag, "COUNTERSIGN_NOTIFY: must start with"),
        (usage, "unexpected argument '--pigeon'"),
    ] {
        let output = start.output().expect("the program runs");
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{errors}");
        let line: Value = serde_json::from_str(&errors).expect("one line of JSON");
        assert_eq!(line["level"], "ERROR");
        let message = line["fields"]["message"].as_str().expect("a message");
        assert!(message.contains(said), "{message}");
    }
}
