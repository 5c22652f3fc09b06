//! `countersign-worker new-key`, `public-key` and `verify`, run with no other setting than the link keys.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::LazyLock,
};

use countersign_protos::{Chain, Claims, LinkKeys, TEST_KEYS, digest, execution_key};
use serde_json::{Value, json};

/// The older one last.
static KEYS: LazyLock<String> = LazyLock::new(|| format!("{},{}", TEST_KEYS[1], TEST_KEYS[0]));

fn run(args: &[&str], keys: Option<&str>, input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-worker"));
    command.env_clear().envs(keys.map(|keys| ("COUNTERSIGN_LINK_KEYS", keys))).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    // One that needs no input may have ended.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Signed with the older key.
fn outcome() -> Value {
    let chain = Chain { workflow_id: "laptops-42", first_run_id: "run" };
    let document = json!({"title": "Laptops", "amount": "15750.00", "currency": "USD"});
    let mut outcome = json!({
        "submissionId": "PO-1", "status": "REJECTED", "basis": "people", "document": document,
        "decidedAt": "2026-11-24T10:00:00Z",
    });
    let digest = digest(&outcome);
    let claims = Claims {
        workflow_id: chain.workflow_id.into(),
        first_run_id: chain.first_run_id.into(),
        submission_id: "PO-1".into(),
        status: "REJECTED".into(),
        basis: "people".into(),
        operator: false,
        execution_key: execution_key(chain, &digest),
        decided_at: "2026-11-24T10:00:00Z".into(),
        digest,
        action_digest: String::new(),
    };
    let keys: LinkKeys = KEYS.parse().expect("keys");
    outcome["digest"] = json!(claims.digest);
    outcome["executionKey"] = json!(claims.execution_key);
    outcome["jws"] = json!(keys.iter().last().expect("the older one").sign(&claims));
    outcome
}

#[test]
fn an_outcome_is_verified_with_public_keys_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, published, err) = run(&["public-key"], Some(KEYS.as_str()), "");
    assert_eq!(code, Some(0), "{err}");
    let jwks: Value = serde_json::from_str(&published).expect("JSON");
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(2), "{jwks}");
    let keys = folder.path().join("jwks.json");
    fs::write(&keys, &published).expect("written");
    let keys = keys.to_str().expect("UTF-8");

    let json = outcome().to_string();
    let words = "Genuine: PO-1 was rejected by its reviewers.\n";
    for (args, env) in
        [(&["verify", "-", "--keys", keys][..], None), (&["verify", "-"], Some(KEYS.as_str()))]
    {
        let (code, out, err) = run(args, env, &json);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.starts_with(words), "{out}");
    }
    let file = folder.path().join("outcome.json");
    let mut forged = outcome();
    forged["status"] = json!("APPROVED");
    fs::write(&file, forged.to_string()).expect("written");
    let (code, out, err) =
        run(&["verify", file.to_str().expect("UTF-8"), "--keys", keys], None, "");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("do not act on this outcome"), "{err}");
    assert!(err.contains("status: it is \"APPROVED\", and \"REJECTED\" was signed"), "{err}");
}

#[test]
fn each_new_key_is_another_good_one() {
    let made = [(); 2].map(|()| {
        let (code, key, err) = run(&["new-key"], None, "");
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(key.lines().count(), 1, "{key}");
        key
    });
    let keys: LinkKeys = made.concat().parse().expect("two keys, as a file has them");
    assert_eq!(keys.iter().count(), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    fs::write(&file, made.concat()).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-worker"));
    command.env_clear().env("COUNTERSIGN_LINK_KEYS_FILE", file).arg("public-key");
    let output = command.output().expect("the program runs");
    let jwks: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(2), "{jwks}");
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    for (keys, words) in [(None, "COUNTERSIGN_LINK_KEYS"), (Some("x y"), "key 1 is not base64")] {
        for args in [&["public-key"][..], &["verify", "-"]] {
            let (code, _, err) = run(args, keys, "");
            assert_eq!(code, Some(2), "{err}");
            assert!(err.contains(words), "{err}");
        }
    }
    let (code, _, err) = run(&["verify", "-", "--keys", "none.json"], None, "");
    assert_eq!(code, Some(2));
    assert!(err.contains("none.json cannot be read"), "{err}");
}
