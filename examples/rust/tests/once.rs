//! A thousand attempts from several processes at each of ten approved actions, and attempts that nobody
//! approved.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use countersign_example::{NotRun, run_once};
use countersign_protos::{
    Claims, Json, LinkKeys, TEST_KEYS, action_digest, digest,
    v1::{self, Action},
};
use serde_json::{Value, json};

const PROCESSES: usize = 5;
const ATTEMPTS_EACH: usize = 200;
const ACTIONS: usize = 10;
/// The folder that the processes share.
const FOLDER: &str = "COUNTERSIGN_ATTEMPTS";

fn keys(which: usize) -> LinkKeys {
    TEST_KEYS[which].parse().expect("a key")
}

fn arguments(number: usize) -> Value {
    json!({"number": number, "lines": [{"amount": 1.5, "note": null}]})
}

/// As the product signs it.
fn outcome(number: usize, status: &str, keys: &LinkKeys) -> Value {
    let action = json!({"name": "pay", "arguments": arguments(number)});
    let mut outcome = json!({
        "status": status,
        "submissionId": format!("S-{number}"),
        "submitter": {"name": "Sue", "email": "sue@example.com"},
        "document": {"title": "Pay", "action": action},
    });
    let arguments = Some(Json::from(&arguments(number)));
    let action = Action { name: "pay".into(), arguments, ..Action::default() };
    let jws = keys.first().sign(&Claims {
        workflow_id: "pay".into(),
        first_run_id: "run".into(),
        submission_id: format!("S-{number}"),
        status: status.into(),
        basis: "people".into(),
        operator: false,
        digest: digest(&outcome),
        action_digest: action_digest(&action),
        execution_key: format!("key-{number}"),
        decided_at: "2026-11-24T10:00:00Z".into(),
    });
    outcome["jws"] = json!(jws);
    outcome
}

/// Tries it; the effect is a line in a file.
fn attempt(folder: &Path, outcome: &Value, name: &str, arguments: &Value) -> Result<Value, NotRun> {
    let pay = |arguments: &Value| {
        let mut effects = OpenOptions::new();
        let effects = effects.create(true).append(true).open(folder.join("effects"));
        writeln!(effects.expect("a file"), "{}", arguments["number"]).expect("written");
        arguments["number"].clone()
    };
    run_once(outcome, &keys(0).jwks(), name, arguments, pay, &folder.join("runs.db"))
}

fn effects(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("effects")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// One of the processes.
fn try_all(folder: &Path) {
    let outcomes: Vec<Value> = (0..ACTIONS).map(|i| outcome(i, "APPROVED", &keys(0))).collect();
    for _ in 0..ATTEMPTS_EACH {
        for (number, outcome) in outcomes.iter().enumerate() {
            match attempt(folder, outcome, "pay", &arguments(number)) {
                Ok(result) => assert_eq!(result, json!(number)),
                Err(NotRun::Unfinished(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn an_approved_action_runs_once_in_a_thousand_attempts_of_several_processes() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return try_all(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let this = "an_approved_action_runs_once_in_a_thousand_attempts_of_several_processes";
    let start = |_| {
        let mut process = Command::new(std::env::current_exe().expect("this program"));
        process.args(["--exact", this]).env(FOLDER, folder.path()).stdout(Stdio::null());
        process.spawn().expect("a process")
    };
    let processes: Vec<Child> = (0..PROCESSES).map(start).collect();
    for mut process in processes {
        assert!(process.wait().expect("it ends").success());
    }
    let once: Vec<String> = (0..ACTIONS).map(|number| number.to_string()).collect();
    assert_eq!(effects(folder.path()), once);
}

#[test]
fn nothing_runs_that_was_not_approved_exactly_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let genuine = outcome(1, "APPROVED", &keys(0));
    let mut other_document = genuine.clone();
    other_document["document"]["title"] = json!("Pay twice");
    let mut unsigned = genuine.clone();
    unsigned["jws"] = json!("");
    let own = arguments(1);
    let mut more = own.clone();
    more["lines"][0]["amount"] = json!(15);
    let mut hidden = own.clone();
    hidden["extra"] = json!(null);
    for (outcome, name, arguments) in [
        (&outcome(1, "REJECTED", &keys(0)), "pay", &own),
        (&outcome(1, "APPROVED", &keys(1)), "pay", &own),
        (&outcome(2, "APPROVED", &keys(0)), "pay", &own),
        (&other_document, "pay", &own),
        (&unsigned, "pay", &own),
        (&genuine, "Pay", &own),
        (&genuine, "pay", &more),
        (&genuine, "pay", &hidden),
        (&genuine, "pay", &Value::Null),
    ] {
        attempt(folder.path(), outcome, name, arguments).expect_err("not approved");
    }
    assert!(effects(folder.path()).is_empty());
    let otherwise_written: Value =
        serde_json::from_str(r#"{"lines": [{"note": null, "amount": 15e-1}], "number": 1.0}"#)
            .expect("JSON");
    attempt(folder.path(), &genuine, "pay", &otherwise_written).expect("the same bytes");
    assert_eq!(effects(folder.path()), ["1"]);
}

#[test]
fn a_run_that_was_interrupted_is_not_repeated_unseen() {
    let folder = tempfile::tempdir().expect("a folder");
    let genuine = outcome(1, "APPROVED", &keys(0));
    let (keys, database) = (keys(0).jwks(), folder.path().join("runs.db"));
    let interrupted = std::panic::catch_unwind(|| {
        let dies = |_: &Value| panic!("in the middle");
        run_once(&genuine, &keys, "pay", &arguments(1), dies, &database)
    });
    interrupted.expect_err("it died");
    let again = attempt(folder.path(), &genuine, "pay", &arguments(1));
    assert!(matches!(again, Err(NotRun::Unfinished(key)) if key == "key-1"));
    assert!(effects(folder.path()).is_empty());
}

#[test]
fn the_vectors_have_these_digests_and_what_is_refused_never_runs() {
    #[derive(serde::Deserialize)]
    struct Vectors {
        actions: Vec<Sent>,
        refused: Vec<Refused>,
    }
    #[derive(serde::Deserialize)]
    struct Sent {
        name: String,
        sent: String,
        digest: String,
    }
    #[derive(serde::Deserialize)]
    struct Refused {
        name: String,
        arguments: String,
        unnoticed: bool,
    }
    let vectors = include_str!("../../../protos/vectors/action.json");
    let Vectors { actions, refused } = serde_json::from_str(vectors).expect("vectors");
    for Sent { name, sent, digest } in actions {
        let action: v1::Action = serde_json::from_str(&sent).expect("an action");
        assert_eq!(action_digest(&action), digest, "{name}");
    }
    for Refused { name, arguments, unnoticed } in refused {
        let problems = match serde_json::from_str::<Value>(&arguments) {
            Ok(read) => Json::from(&read).problems("arguments").len(),
            Err(_) => 1,
        };
        assert!(unnoticed || problems > 0, "{name}");
    }
}
