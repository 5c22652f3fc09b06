//! `countersign-signaler`, as somebody runs it whose settings are wrong.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

const KEY: &str = countersign_protos::TEST_KEYS[0];
const OTHER_KEY: &str = countersign_protos::TEST_KEYS[1];
/// The bytes from 0 to 31.
const TEST_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// `correct horse battery staple 42!`
const PASSWORD: &str = "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSA0MiE=";
const KEYS: &str = "COUNTERSIGN_LINK_KEYS";
const KEYS_FILE: &str = "COUNTERSIGN_LINK_KEYS_FILE";
const URL: &str = "COUNTERSIGN_PUBLIC_URL";

fn signaler() -> Command {
    let mut signaler = Command::new(env!("CARGO_BIN_EXE_countersign-signaler"));
    signaler.env_clear();
    signaler
}

/// What a start says that these settings stop.
fn refusal(settings: &[(&str, &str)]) -> String {
    let output = signaler().envs(settings.iter().copied()).output().expect("the program runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
    said
}

#[test]
fn broken_and_unsafe_set_ups_stop_the_start_with_setting_and_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (same, empty) = (file("same", KEY), file("empty", "\n"));
    let cut = file("cut", &format!("{}\n{}\n", &KEY[..22], &KEY[22..]));
    let missing = folder.path().join("missing").display().to_string();
    let twice = format!("{KEY},{OTHER_KEY},{KEY}");
    let https = (URL, "https://approvals.example.com");
    let key = (KEYS, KEY);
    let make_one = "`countersign-worker new-key`";
    for (settings, wrong, remedy) in [
        (
            &[key, (URL, "http://approvals.example.com")][..],
            "COUNTERSIGN_PUBLIC_URL: would send links in the clear: start it with https://",
            "set COUNTERSIGN_ALLOW_INSECURE=true",
        ),
        (
            &[key, https, ("COUNTERSIGN_ALLOW_INSECURE", "maybe")],
            "COUNTERSIGN_ALLOW_INSECURE: must be",
            "true or false",
        ),
        (
            &[https, (KEYS, TEST_KEY)],
            "COUNTERSIGN_LINK_KEYS: key 1 is one of examples and tests",
            make_one,
        ),
        (
            &[https, (KEYS, PASSWORD)],
            "COUNTERSIGN_LINK_KEYS: key 1 is made of printable characters",
            make_one,
        ),
        (
            &[https, (KEYS, twice.as_str())],
            "COUNTERSIGN_LINK_KEYS: key 3 is key 1 again",
            "remove one of them",
        ),
        (
            &[https, key, (KEYS_FILE, same.as_str())],
            "COUNTERSIGN_LINK_KEYS_FILE: is set, and so is COUNTERSIGN_LINK_KEYS",
            "unset one of them",
        ),
        (
            &[https, (KEYS_FILE, cut.as_str())],
            "COUNTERSIGN_LINK_KEYS_FILE: key 1 is not base64",
            "each stands whole on a line of its own",
        ),
        (
            &[https, (KEYS_FILE, empty.as_str())],
            "COUNTERSIGN_LINK_KEYS_FILE: names an empty file",
            "write the setting's value into it",
        ),
        (
            &[https, (KEYS_FILE, missing.as_str())],
            "COUNTERSIGN_LINK_KEYS_FILE: names a file that cannot be read",
            "must have a path that this process may read",
        ),
        (
            &[https, key, ("COUNTERSIGN_NOTIFY_FILE", missing.as_str())],
            "COUNTERSIGN_NOTIFY_FILE: names a file that cannot be read",
            "must have a path that this process may read",
        ),
    ] {
        let said = refusal(settings);
        assert!(said.contains(wrong) && said.contains(remedy), "{wrong}, {remedy}:\n{said}");
        assert_eq!(said.matches("\n  COUNTERSIGN_").count(), 1, "nothing else is wrong:\n{said}");
        for secret in [KEY, &KEY[..22], &KEY[22..], OTHER_KEY, TEST_KEY, PASSWORD] {
            assert!(!said.contains(secret), "a secret is in:\n{said}");
        }
    }
}

/// Where somebody listens who says this to everybody, and hangs up.
fn server(says: &'static [u8]) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 16]);
            let _ = stream.write_all(says);
        }
    });
    address
}

#[test]
fn with_settings_of_temporal_that_cannot_work_the_signaler_stops_within_seconds() {
    // The first bytes of a server with TLS, an alert, and of one without, HTTP/2's first frame.
    let with_tls = server(b"\x15\x03\x03\0\x02\x02\x28");
    let without = server(b"\0\0\0\x04\0\0\0\0\0");
    for (settings, named) in [
        (&[("TEMPORAL_NAMESPACE", "")][..], "TEMPORAL_NAMESPACE: is empty"),
        (&[("TEMPORAL_ADDRESS", "'localhost:7233'")], "TEMPORAL_ADDRESS: has quotation marks"),
        (&[("TEMPORAL_API_KEY", "hu\nsh")], "TEMPORAL_API_KEY: has a line break"),
        (
            &[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere/ca.pem")],
            "TEMPORAL_TLS_SERVER_CA_CERT_PATH: names a file that cannot be read: /nowhere/ca.pem",
        ),
        (
            &[("TEMPORAL_CONFIG_FILE", "/nowhere/temporal.toml")],
            "TEMPORAL_CONFIG_FILE: names a file that cannot be read: /nowhere/temporal.toml",
        ),
        (&[("TEMPORAL_ADDRESS", with_tls.as_str())], "expects TLS, and the connection has none"),
        (
            &[("TEMPORAL_ADDRESS", without.as_str()), ("TEMPORAL_TLS", "true")],
            "has no TLS, and the connection would use it",
        ),
    ] {
        let began = Instant::now();
        let own = [
            (KEYS, KEY),
            (URL, "https://approvals.example.com"),
            ("COUNTERSIGN_LISTEN", "127.0.0.1:0"),
            ("COUNTERSIGN_LOG", "off"),
        ];
        let said = refusal(&[&own[..], settings].concat());
        assert!(said.contains(named), "{named} is missing in:\n{said}");
        assert!(!said.contains("COUNTERSIGN_"), "nothing else is wrong:\n{said}");
        assert!(began.elapsed() < Duration::from_secs(15), "{named}: {:?}", began.elapsed());
    }
}

#[test]
fn what_is_broken_and_unsafe_is_reported_all_at_once() {
    let keys = format!("{TEST_KEY},{PASSWORD},{KEY},{OTHER_KEY},{KEY}");
    let said = refusal(&[
        (KEYS, keys.as_str()),
        (URL, "http://approvals.example.com"),
        ("COUNTERSIGN_NOTIFY", "outbox:mails"),
        ("COUNTERSIGN_NOTIFY_FILE", "/nowhere/notify"),
        ("COUNTERSIGN_ALLOW_INSECURE", "1"),
    ]);
    for named in [
        "COUNTERSIGN_LINK_KEYS: key 1 is one of examples and tests",
        ", key 2 is made of printable characters",
        ", key 5 is key 3 again",
        "COUNTERSIGN_ALLOW_INSECURE: must be true or false",
        "COUNTERSIGN_PUBLIC_URL: would send links in the clear",
        "COUNTERSIGN_NOTIFY_FILE: is set, and so is COUNTERSIGN_NOTIFY",
    ] {
        assert!(said.contains(named), "{named} is missing in:\n{said}");
    }
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
        .env(KEYS, KEY)
        .env(URL, "https://a.example")
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
