//! What was approved is done, exactly that and once: by the helpers in examples/, which others can copy.
//! The one in Rust has tests of its own, in examples/rust.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
};

use countersign_e2e::{tool, workspace};
use countersign_protos::{Claims, Json, LinkKeys, TEST_KEYS, action_digest, digest, v1::Action};
use serde_json::{Value, json};

const PROCESSES: usize = 5;
/// At each of ten actions, in each process.
const ATTEMPTS: &str = "200";

fn keys(which: usize) -> LinkKeys {
    TEST_KEYS[which].parse().expect("a key")
}

/// As the product signs it.
fn outcome(number: usize, status: &str, keys: &LinkKeys) -> Value {
    let arguments =
        json!({"number": number, "lines": [{"amount": 1.5, "note": null, "ö": "\u{1F600}"}]});
    let mut outcome = json!({
        "status": status,
        "submissionId": format!("S-{number}"),
        "submitter": {"name": "Sue", "email": "sue@example.com"},
        "document": {"title": "Pay", "action": {"name": "pay", "arguments": arguments}},
    });
    let arguments = Some(Json::from(&arguments));
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

/// What allows nothing, each with the action that somebody tries with it.
fn not_allowed() -> Value {
    let genuine = outcome(20, "APPROVED", &keys(0));
    let own = genuine["document"]["action"].clone();
    let mut other_document = genuine.clone();
    other_document["document"]["title"] = json!("Pay twice");
    let mut unsigned = genuine.clone();
    unsigned.as_object_mut().expect("an object").remove("jws");
    let mut more = own.clone();
    more["arguments"]["lines"][0]["amount"] = json!(15);
    let mut hidden = own.clone();
    hidden["arguments"]["extra"] = json!(null);
    let tries = [
        (outcome(20, "REJECTED", &keys(0)), own.clone()),
        (outcome(20, "APPROVED", &keys(1)), own.clone()),
        (outcome(21, "APPROVED", &keys(0)), own.clone()),
        (other_document, own.clone()),
        (unsigned, own),
        (genuine.clone(), more),
        (genuine.clone(), hidden),
        (genuine.clone(), json!({"name": "Pay", "arguments": {}})),
        (genuine, json!({"name": "pay", "arguments": null})),
    ];
    tries.map(|(outcome, action)| json!({"outcome": outcome, "action": action})).into()
}

/// Runs a helper in several processes, and says which effects there were.
fn tried(folder: &Path, start: impl Fn(&Path) -> Command) -> Vec<String> {
    let outcomes: Vec<Value> = (0..10).map(|i| outcome(i, "APPROVED", &keys(0))).collect();
    let keys = serde_json::to_value(keys(0).jwks()).expect("JSON");
    let vectors = fs::read_to_string(workspace().join("protos/vectors/action.json"));
    let vectors: Value = serde_json::from_str(&vectors.expect("vectors")).expect("JSON");
    for (name, json) in [
        ("jwks.json", keys),
        ("all.json", json!({"outcomes": outcomes, "refused": not_allowed(), "vectors": vectors})),
    ] {
        fs::write(folder.join(name), json.to_string()).expect("written");
    }
    let spawn = |_| start(folder).arg(folder).arg(ATTEMPTS).spawn().expect("a process");
    let processes: Vec<Child> = (0..PROCESSES).map(spawn).collect();
    for mut process in processes {
        assert!(process.wait().expect("it ends").success());
    }
    let effects = fs::read_to_string(folder.join("effects")).unwrap_or_default();
    let mut effects: Vec<String> = effects.lines().map(str::to_owned).collect();
    effects.sort();
    effects
}

fn once_each() -> Vec<String> {
    (0..10).map(|number| number.to_string()).collect()
}

#[test]
fn in_python_each_of_ten_approved_actions_runs_once_in_a_thousand_attempts_and_nothing_else_does() {
    const TRY: &str = "
import json, sys
from hashlib import sha256
from once import NotApproved, Unfinished, canonical, run_once
from verify import public_keys
folder, attempts = sys.argv[1], int(sys.argv[2])
keys = public_keys(f'{folder}/jwks.json')
with open(f'{folder}/all.json', encoding='utf-8') as file:
    everything = json.load(file)

def pay(arguments):
    with open(f'{folder}/effects', 'a') as effects:
        effects.write(f\"{arguments['number']}\\n\")
    return arguments['number']

def attempt(outcome, action):
    return run_once(outcome, keys, action['name'], action['arguments'], pay, f'{folder}/runs.db')

for _ in range(attempts):
    for outcome in everything['outcomes']:
        action = outcome['document']['action']
        try:
            assert attempt(outcome, action) == action['arguments']['number']
        except Unfinished:
            pass
for refused in everything['refused']:
    try:
        attempt(refused['outcome'], refused['action'])
    except Exception:
        continue
    sys.exit(str(refused))
for vector in everything['vectors']['actions']:
    action = json.loads(vector['sent'])
    called = canonical(action['name'], action.get('arguments'))
    assert called.decode() == vector['canonical'], vector['name']
    assert sha256(called).hexdigest() == vector['digest'], vector['name']
for vector in everything['vectors']['refused']:
    try:
        canonical('pay', json.loads(vector['arguments']))
    except ValueError:
        continue
    assert vector['unnoticed'], vector['name']
";
    let folder = tempfile::tempdir().expect("a folder");
    let effects = tried(folder.path(), |_| {
        let mut python = Command::new(tool("python"));
        python.current_dir(workspace().join("examples/python"));
        python.env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", TRY]);
        python
    });
    assert_eq!(effects, once_each());
}

#[test]
fn in_typescript_each_of_ten_approved_actions_runs_once_in_a_thousand_attempts_and_nothing_else_does()
 {
    const TRY: &str = "
import { appendFileSync, readFileSync } from 'node:fs';
import { NotApproved, Unfinished, canonical, runOnce, sha256 } from './lib/once/once.mjs';
import { publicKeys } from './lib/once/verify.mjs';
const [folder, attempts] = process.argv.slice(1);
const keys = publicKeys(`${folder}/jwks.json`);
const { outcomes, refused, vectors } = JSON.parse(readFileSync(`${folder}/all.json`, 'utf8'));
const pay = (args) => {
  appendFileSync(`${folder}/effects`, `${args.number}\\n`);
  return args.number;
};
const attempt = (outcome, action) =>
  runOnce(outcome, keys, action.name, action.arguments, pay, `${folder}/runs.db`);
for (let i = 0; i < Number(attempts); i++) {
  for (const outcome of outcomes) {
    const { action } = outcome.document;
    try {
      if ((await attempt(outcome, action)) !== action.arguments.number) throw new Error(action.name);
    } catch (error) {
      if (!(error instanceof Unfinished)) throw error;
    }
  }
}
for (const { outcome, action } of refused) {
  const ran = await attempt(outcome, action).then(() => true, () => false);
  if (ran) throw new Error(JSON.stringify(action));
}
for (const { name, sent, canonical: expected, digest } of vectors.actions) {
  const action = JSON.parse(sent);
  const called = canonical(action.name, action.arguments);
  if (called !== expected || sha256(called) !== digest) throw new Error(name);
}
for (const { name, arguments: sent, unnoticed } of vectors.refused) {
  try {
    canonical('pay', JSON.parse(sent));
  } catch {
    continue;
  }
  if (!unnoticed) throw new Error(name);
}
";
    let sources = workspace().join("examples/typescript");
    assert!(sources.join("node_modules").exists(), "no packages: run scripts/tools test");
    // Beside what other stories make of the same.
    let compiled = Command::new(sources.join("node_modules/.bin/tsc"))
        .args(["--outDir", "lib/once"])
        .current_dir(&sources)
        .status();
    assert!(compiled.expect("tsc runs").success());
    let folder = tempfile::tempdir().expect("a folder");
    let effects = tried(folder.path(), |_| {
        let mut node = Command::new("node");
        node.current_dir(&sources).args(["--input-type=module", "--eval", TRY, "--"]);
        node
    });
    assert_eq!(effects, once_each());
}
