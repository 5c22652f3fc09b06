//! `countersign-worker`, as somebody runs it whose settings are wrong.

use std::process::Command;

#[test]
fn all_that_is_wrong_is_named_at_once_and_temporals_own_settings_too() {
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
