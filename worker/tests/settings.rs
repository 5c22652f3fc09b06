//! `countersign-worker` with wrong settings.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::Path,
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
const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];

fn worker() -> Command {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_countersign-worker"));
    worker.env_clear();
    worker
}

/// What a start says that these settings stop.
fn refusal(settings: &[(&str, &str)]) -> String {
    let mut program = worker();
    program.env("COUNTERSIGN_LOG", "off").envs(settings.iter().copied());
    let output = program.output().expect("the program runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
    said
}

#[test]
fn every_wrong_setting_is_reported_at_once_including_temporals() {
    let said = refusal(&[
        ("COUNTERSIGN_NOTIFY", "pigeon:loft"),
        ("COUNTERSIGN_MAIL_FROM", "nobody"),
        ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere/ca.pem"),
    ]);
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

/// A good setting under each name that a set-up does not change; `_FILE` stands for the same setting.
fn good_but_for(changes: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let good = [
        ("COUNTERSIGN_LINK_KEYS", KEY),
        ("COUNTERSIGN_PUBLIC_URL", "https://approvals.example.com"),
        ("COUNTERSIGN_NOTIFY", "smtps://me:hush@mail.example.com"),
        ("COUNTERSIGN_MAIL_FROM", "approvals@example.com"),
        ("COUNTERSIGN_WEBHOOK_URL", "https://hooks.example.com"),
        ("COUNTERSIGN_WEBHOOK_SECRET", SECRET),
    ];
    let is_changed = |name: &str| {
        changes.iter().any(|(changed, _)| changed.strip_suffix("_FILE").unwrap_or(changed) == name)
    };
    let kept = good.into_iter().filter(|(name, _)| !is_changed(name));
    kept.map(|(name, value)| (name, value.to_owned())).chain(changes.iter().cloned()).collect()
}

/// Each with what is wrong, and what to do about it.
type SetUp = (Vec<(&'static str, String)>, &'static str, &'static str);

fn broken_and_unsafe(folder: &Path) -> Vec<SetUp> {
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let keys = |text: &str| vec![("COUNTERSIGN_LINK_KEYS", text.to_owned())];
    let keys_file = |path: String| vec![("COUNTERSIGN_LINK_KEYS_FILE", path)];
    let one = |name, value: &str| vec![(name, value.to_owned())];
    let both = vec![
        ("COUNTERSIGN_LINK_KEYS", KEY.to_owned()),
        ("COUNTERSIGN_LINK_KEYS_FILE", file("same", KEY.to_owned())),
    ];
    let cut = format!("{}\n{}\n", &KEY[..22], &KEY[22..]);
    let make_one = "`countersign-worker new-key`";
    let allow = "set COUNTERSIGN_ALLOW_INSECURE=true";
    vec![
        (
            one("COUNTERSIGN_PUBLIC_URL", "http://approvals.example.com"),
            "COUNTERSIGN_PUBLIC_URL: would send links in the clear: start it with https://",
            allow,
        ),
        (
            one("COUNTERSIGN_NOTIFY", "smtp://mail.example.com"),
            "COUNTERSIGN_NOTIFY: would send links in the clear: write smtps://",
            allow,
        ),
        (
            one("COUNTERSIGN_WEBHOOK_URL", "http://hooks.example.com"),
            "COUNTERSIGN_WEBHOOK_URL: would send outcomes in the clear",
            allow,
        ),
        (
            one("COUNTERSIGN_ALLOW_INSECURE", "maybe"),
            "COUNTERSIGN_ALLOW_INSECURE: must be",
            "true or false",
        ),
        (keys(TEST_KEY), "COUNTERSIGN_LINK_KEYS: key 1 is one of examples and tests", make_one),
        (keys(PASSWORD), "COUNTERSIGN_LINK_KEYS: key 1 is made of printable characters", make_one),
        (
            keys(&format!("{KEY},{OTHER_KEY},{KEY}")),
            "COUNTERSIGN_LINK_KEYS: key 3 is key 1 again",
            "remove one of them",
        ),
        (both, "COUNTERSIGN_LINK_KEYS_FILE: is set, and so is COUNTERSIGN_LINK_KEYS", "unset one"),
        (
            keys_file(file("cut", cut)),
            "COUNTERSIGN_LINK_KEYS_FILE: key 1 is not base64",
            "each stands whole on a line of its own",
        ),
        (
            keys_file(file("empty", "\n".to_owned())),
            "COUNTERSIGN_LINK_KEYS_FILE: names an empty file",
            "write the setting's value into it",
        ),
        (
            keys_file(folder.join("missing").to_str().expect("UTF-8").to_owned()),
            "COUNTERSIGN_LINK_KEYS_FILE: names a file that cannot be read",
            "must have a path that this process may read",
        ),
        (
            vec![("COUNTERSIGN_NOTIFY_FILE", folder.to_str().expect("UTF-8").to_owned())],
            "COUNTERSIGN_NOTIFY_FILE: names a file that cannot be read",
            "must have a path that this process may read",
        ),
        (
            one("COUNTERSIGN_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            "COUNTERSIGN_WEBHOOK_SECRET: secret 1 is one of examples and tests",
            "generate one with",
        ),
    ]
}

#[test]
fn broken_and_unsafe_set_ups_stop_the_start_with_setting_and_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    for (changes, wrong, remedy) in broken_and_unsafe(folder.path()) {
        let settings = good_but_for(&changes);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
        let said = refusal(&settings);
        assert!(said.contains(wrong) && said.contains(remedy), "{wrong}, {remedy}:\n{said}");
        assert_eq!(said.matches("\n  COUNTERSIGN_").count(), 1, "nothing else is wrong:\n{said}");
        for secret in [KEY, &KEY[..22], &KEY[22..], OTHER_KEY, TEST_KEY, PASSWORD, "hush", SECRET] {
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
fn with_settings_of_temporal_that_cannot_work_the_worker_stops_within_seconds() {
    // The first bytes of a server with TLS, an alert, and of one without, HTTP/2's first frame.
    let with_tls = server(b"\x15\x03\x03\0\x02\x02\x28");
    let without = server(b"\0\0\0\x04\0\0\0\0\0");
    for (settings, named) in [
        (&[("TEMPORAL_NAMESPACE", "")][..], "TEMPORAL_NAMESPACE: is empty"),
        (&[("TEMPORAL_NAMESPACE", "\"default\"")], "TEMPORAL_NAMESPACE: has quotation marks"),
        (&[("TEMPORAL_API_KEY", "hu\nsh")], "TEMPORAL_API_KEY: has a line break"),
        (
            &[("TEMPORAL_TLS_CLIENT_CERT_PATH", "/nowhere/cert.pem")],
            "TEMPORAL_TLS_CLIENT_CERT_PATH: names a file that cannot be read: /nowhere/cert.pem",
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
        let good = good_but_for(&[]);
        let good = good.iter().map(|(name, value)| (*name, &**value));
        let said = refusal(&good.chain(settings.iter().copied()).collect::<Vec<_>>());
        assert!(said.contains(named), "{named} is missing in:\n{said}");
        assert!(!said.contains("COUNTERSIGN_"), "nothing else is wrong:\n{said}");
        assert!(began.elapsed() < Duration::from_secs(15), "{named}: {:?}", began.elapsed());
    }
}

/// As many at once as there are settings for.
#[test]
fn what_is_broken_and_unsafe_is_reported_all_at_once() {
    let keys = format!("{TEST_KEY},{PASSWORD},{KEY},{OTHER_KEY},{KEY}");
    let said = refusal(&[
        ("COUNTERSIGN_LINK_KEYS", keys.as_str()),
        ("COUNTERSIGN_PUBLIC_URL", "http://approvals.example.com"),
        ("COUNTERSIGN_NOTIFY", "smtp://mail.example.com?tls=opportunistic"),
        ("COUNTERSIGN_MAIL_FROM", "approvals@example.com"),
        ("COUNTERSIGN_WEBHOOK_URL", "http://hooks.example.com"),
        ("COUNTERSIGN_WEBHOOK_SECRET", SECRET),
        ("COUNTERSIGN_WEBHOOK_SECRET_FILE", "/nowhere/secret"),
        ("COUNTERSIGN_ALLOW_INSECURE", "1"),
    ]);
    for named in [
        "COUNTERSIGN_ALLOW_INSECURE: must be true or false",
        "COUNTERSIGN_LINK_KEYS: key 1 is one of examples and tests",
        ", key 2 is made of printable characters",
        ", key 5 is key 3 again",
        "COUNTERSIGN_PUBLIC_URL: would send links in the clear",
        "COUNTERSIGN_NOTIFY: would send links in the clear",
        "COUNTERSIGN_WEBHOOK_URL: would send outcomes in the clear",
        "COUNTERSIGN_WEBHOOK_SECRET_FILE: is set, and so is COUNTERSIGN_WEBHOOK_SECRET",
    ] {
        assert!(said.contains(named), "{named} is missing in:\n{said}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let cut = folder.path().join("cut");
    fs::write(&cut, format!("{}\n{}\n", &KEY[..22], &KEY[22..])).expect("written");
    let [cut, folder] = [cut.as_path(), folder.path()].map(|path| path.to_str().expect("UTF-8"));
    let said = refusal(&[
        ("COUNTERSIGN_LINK_KEYS_FILE", cut),
        ("COUNTERSIGN_NOTIFY_FILE", folder),
        ("COUNTERSIGN_WEBHOOK_URL", "https://hooks.example.com"),
        ("COUNTERSIGN_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ]);
    for named in [
        "COUNTERSIGN_LINK_KEYS_FILE: key 1 is not base64",
        "COUNTERSIGN_NOTIFY_FILE: names a file that cannot be read",
        "COUNTERSIGN_PUBLIC_URL: is required",
        "COUNTERSIGN_WEBHOOK_SECRET: secret 1 is one of examples and tests",
    ] {
        assert!(said.contains(named), "{named} is missing in:\n{said}");
    }
}

/// With logs in JSON, a failed start writes one line of JSON and nothing else.
#[test]
fn a_failed_start_is_logged_as_json_if_logs_are() {
    let mut wrong = worker();
    wrong.env("COUNTERSIGN_LOG_FORMAT", "json").env("COUNTERSIGN_LOG", "a=b=c");
    let mut by_flag = worker();
    by_flag.args(["--log-format", "json"]).env("COUNTERSIGN_NOTIFY", "pigeon:loft");
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

#[test]
fn completions_know_the_commands_and_the_options() {
    for shell in ["bash", "zsh", "fish"] {
        let output = worker().args(["completions", shell]).output().expect("the program runs");
        let script = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success(), "{shell}");
        for known in ["check-policy", "new-key", "explain", "metrics-listen"] {
            assert!(script.contains(known), "{shell}: {known}");
        }
    }
}
