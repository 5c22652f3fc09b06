//! `countersign-signaler`, as somebody runs it whose settings are wrong.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Command,
};

use serde_json::Value;

fn signaler() -> Command {
    let mut signaler = Command::new(env!("CARGO_BIN_EXE_countersign-signaler"));
    signaler.env_clear();
    signaler
}

/// Whatever stops a start is one line of JSON on standard error where logs are JSON.
#[test]
fn failures_at_the_start_are_json_where_logs_are() {
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let mut wrong = signaler();
    wrong.env("COUNTERSIGN_LOG_FORMAT", "json");
    let mut by_flag = signaler();
    by_flag.args(["--log-format", "json", "--log", "a=b=c"]);
    let mut usage = signaler();
    usage.env("COUNTERSIGN_LOG_FORMAT", "json").arg("--pigeon");
    let mut taken = signaler();
    taken
        .env("COUNTERSIGN_LOG_FORMAT", "json")
        .env("COUNTERSIGN_LOG", "off")
        .env("COUNTERSIGN_LINK_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .env("COUNTERSIGN_PUBLIC_URL", "https://a.example")
        .env("COUNTERSIGN_LISTEN", busy.local_addr().expect("an address").to_string());
    for (mut start, said) in [
        (wrong, "COUNTERSIGN_LINK_KEYS: is required"),
        (by_flag, "COUNTERSIGN_LOG: "),
        (usage, "unexpected argument '--pigeon'"),
        (taken, "COUNTERSIGN_LISTEN: cannot listen on 127.0.0.1:"),
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

#[test]
fn failures_at_the_start_are_words_where_logs_are() {
    let output = signaler().output().expect("the program runs");
    let errors = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(errors.starts_with("countersign-signaler cannot start:\n  COUNTERSIGN_"), "{errors}");
    assert!(errors.ends_with("--help lists all settings.\n"), "{errors}");
}
