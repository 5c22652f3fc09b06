//! Whoever acts on an outcome can check it in their language, with a library that nobody here wrote.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use countersign_e2e::{Stack, product, submission, text, tool, workspace};
use serde_json::{Value, json};

/// An outcome that Lee has decided by link, and the keys that the signaler publishes.
struct Decided {
    stack: Stack,
    outcome: Value,
    keys: PathBuf,
}

impl Decided {
    async fn new() -> Decided {
        let stack = Stack::start().await;
        let mut laptops = submission::laptops();
        laptops["approval"] = json!({"stages": [{"reviewers": ["lee@example.com"]}]});
        let workflow = stack.submit(&laptops).await;
        let link = stack.mail_to("lee@example.com").await.link("approve");
        stack.press(&link, "approve", "Within budget 👍").await.expect(200, &["recorded"]);
        let outcome = workflow.outcome().await;
        let published = stack.open(&stack.url("/.well-known/jwks.json")).await;
        published.expect(200, &["Ed25519"]);
        let keys = stack.dir().join("jwks.json");
        fs::write(&keys, &published.body).expect("written");
        Decided { stack, outcome, keys }
    }

    fn write(&self, name: &str, outcome: &Value) -> PathBuf {
        let file = self.stack.dir().join(name);
        fs::write(&file, outcome.to_string()).expect("written");
        file
    }

    fn genuine(&self) -> PathBuf {
        self.write("outcome.json", &self.outcome)
    }

    /// The outcome with each character of its signed claims and signature changed, one at a time.
    fn changed(&self) -> impl Iterator<Item = Value> {
        let jws = text(&self.outcome["jws"]);
        (0..jws.len()).map(move |at| {
            let mut changed = jws.clone();
            // Of the last character some bits mean nothing; these two differ in the others.
            let other = if &jws[at..=at] == "A" { "w" } else { "A" };
            changed.replace_range(at..=at, other);
            let mut outcome = self.outcome.clone();
            outcome["jws"] = json!(changed);
            outcome
        })
    }

    /// These, and the outcome with another document.
    fn forged(&self) -> impl Iterator<Item = Value> {
        let mut other = self.outcome.clone();
        other["document"]["amount"] = json!("1575000.00");
        self.changed().chain([other])
    }

    /// The outcome and, in a list, what is not one.
    fn all(&self) -> PathBuf {
        let forged: Vec<Value> = self.forged().collect();
        self.write("all.json", &json!({"genuine": self.outcome, "forged": forged}))
    }

    fn assert_claims(&self, printed: &Output) {
        let shown =
            String::from_utf8_lossy(&[&printed.stdout[..], &printed.stderr].concat()).into_owned();
        assert!(printed.status.success(), "{shown}");
        let claims: Value =
            serde_json::from_slice(&printed.stdout).unwrap_or_else(|_| panic!("{shown}"));
        for name in ["status", "basis", "submissionId", "digest", "executionKey"] {
            assert_eq!(claims[name], self.outcome[name], "{claims}");
        }
        assert_eq!(claims["status"], "APPROVED", "{claims}");
        assert_eq!((&claims["basis"], &claims["operator"]), (&json!("people"), &json!(false)));
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn example(language: &str) -> PathBuf {
    workspace().join("examples").join(language)
}

fn vectors() -> PathBuf {
    workspace().join("protos/vectors/digest.json")
}

fn succeeds(command: &mut Command) {
    let output = run(command);
    let shown =
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {shown}");
}

#[tokio::test]
async fn an_outcome_is_verified_by_the_command_line_and_by_pyjwt_jose_and_go_jose() {
    let decided = Decided::new().await;
    by_command_line(&decided);
    by_pyjwt(&decided);
    by_jose(&decided);
    by_go_jose(&decided);
}

fn by_command_line(decided: &Decided) {
    let keys = decided.stack.setting("COUNTERSIGN_LINK_KEYS");
    let worker = || {
        let mut worker = Command::new(product("countersign-worker"));
        worker.env_clear();
        worker
    };
    let printed = run(worker().arg("public-key").env("COUNTERSIGN_LINK_KEYS", keys));
    let published = fs::read(&decided.keys).expect("keys");
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    assert_eq!(json(&printed.stdout), json(&published), "the signaler serves the same");
    let verified =
        run(worker().arg("verify").arg(decided.genuine()).arg("--keys").arg(&decided.keys));
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(said.contains("eq-2026-0107 was approved by its reviewers"), "{said}");
    assert!(said.contains("15 laptops for the platform team, 15,750.00 USD"), "{said}");
}

fn by_pyjwt(decided: &Decided) {
    const CHECK: &str = "
import json, sys
import jwt
from verify import digest, public_keys, verify
everything, vectors = (json.load(open(name, encoding='utf-8')) for name in sys.argv[1:3])
keys = public_keys(sys.argv[3])
verify(everything['genuine'], keys)
for forged in everything['forged']:
    try:
        verify(forged, keys)
    except (jwt.PyJWTError, KeyError):
        continue
    sys.exit(forged['jws'])
for vector in vectors:
    assert digest(vector['submission']) == vector['digest'], vector['name']
";
    let python = || {
        let mut python = Command::new(tool("python"));
        python.current_dir(example("python")).env("PYTHONDONTWRITEBYTECODE", "1");
        python
    };
    let served = decided.stack.url("/.well-known/jwks.json");
    decided.assert_claims(&run(python().arg("verify.py").arg(decided.genuine()).arg(served)));
    let all = decided.all();
    succeeds(python().args(["-c", CHECK]).arg(all).arg(vectors()).arg(&decided.keys));
}

fn by_jose(decided: &Decided) {
    const CHECK: &str = "
import { readFileSync } from 'node:fs';
import { digest, publicKeys, verify } from './lib/checked/verify.mjs';
const [everything, vectors] = process.argv.slice(1, 3).map((name) => JSON.parse(readFileSync(name, 'utf8')));
const keys = publicKeys(process.argv[3]);
await verify(everything.genuine, keys);
for (const forged of everything.forged) {
  const accepted = await verify(forged, keys).then(() => true, () => false);
  if (accepted) throw new Error(forged.jws);
}
for (const { name, submission, digest: expected } of vectors) {
  if (digest(submission) !== expected) throw new Error(name);
}
";
    let folder = example("typescript");
    assert!(folder.join("node_modules").exists(), "no packages: run scripts/tools test");
    // Beside what `npm start` makes, which another story runs.
    let compile = ["--outDir", "lib/checked"];
    succeeds(Command::new(folder.join("node_modules/.bin/tsc")).args(compile).current_dir(&folder));
    let node = || {
        let mut node = Command::new("node");
        node.current_dir(&folder);
        node
    };
    let served = decided.stack.url("/.well-known/jwks.json");
    let verified = run(node().arg("lib/checked/verify.mjs").arg(decided.genuine()).arg(served));
    decided.assert_claims(&verified);
    let check = ["--input-type=module", "--eval", CHECK, "--"];
    succeeds(node().args(check).arg(decided.all()).arg(vectors()).arg(&decided.keys));
}

fn by_go_jose(decided: &Decided) {
    if Command::new("go").arg("version").output().is_err() {
        // `scripts/tools test` has said so, too.
        eprintln!("WARNING: go is not on the PATH, so examples/go is not tried.");
        return;
    }
    let go = || {
        let mut go = Command::new("go");
        go.current_dir(example("go"));
        go
    };
    succeeds(go().arg("test"));
    let program = decided.stack.dir().join("verify");
    succeeds(go().args(["build", "-o"]).arg(&program));
    let verify = |file: PathBuf| run(Command::new(&program).arg(file).arg(&decided.keys));
    decided.assert_claims(&verify(decided.genuine()));
    for forged in decided.forged() {
        let refused = verify(decided.write("forged.json", &forged));
        assert_eq!(refused.status.code(), Some(1), "{forged}");
    }
}
