//! With keys for payloads, Temporal stores nothing that somebody has written.

use std::{fs, process::Command};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign_e2e::{
    Grpc, MailServer, PAYLOAD_KEYS, Stack, StackBuilder, Temporal, Workflow, coded,
    encrypting_client, eventually, json_payload, payload, payload_keys, python_with, text, tool,
    workspace,
};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::{
    common::v1::Payload, history::v1::history_event::Attributes,
};

use crate::secrets::holds;

/// A caller with Python's SDK: it starts an approval, signals, queries, and waits for its end. Where the environment
/// has keys, it encrypts as `examples/python/codec.py` does.
const CALLER: &str = r#"
import asyncio, json, os, sys
from codec import data_converter
from temporalio.client import Client, WorkflowFailureError

async def main(address, queue, workflow_id, verb, name=""):
    client = await Client.connect(address, data_converter=data_converter())
    handle, given = client.get_workflow_handle(workflow_id), json.load(sys.stdin)
    if verb == "start":
        await client.start_workflow(
            "ApprovalWorkflow", given, id=workflow_id, task_queue=queue,
            memo={"note": "Zweitschrift beim Notar"}, static_summary="Kaufvertrag Seeblick",
        )
        return {}
    if verb == "signal":
        await handle.signal(name, given)
        return {}
    if verb == "query":
        return await handle.query(name)
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        return {"type": error.cause.type, "message": error.cause.message, "details": error.cause.details}

print(json.dumps(asyncio.run(main(*sys.argv[1:]))), flush=True)
# The SDK's threads may be in the way of an interpreter that ends.
os._exit(0)
"#;

/// What people have written, and who they are: none of it is in Temporal's database.
const WRITTEN: [&str; 15] = [
    "Grundstueck am Seeufer",
    "Bebauungsplan 17b",
    "Wilhelmine Ackermann",
    "wilhelmine.ackermann@example.com",
    "ludovica@example.com",
    "ottokar@example.com",
    "filtered@example.com",
    "nikodemus@example.com",
    "Nur mit Wegerecht",
    "Preis ist angemessen",
    "Ludovica ist im Urlaub",
    "Zweitschrift beim Notar",
    "Kaufvertrag Seeblick",
    "Waehrung Taler",
    "Blocked: http",
];

#[tokio::test]
async fn nothing_that_people_have_written_is_in_temporals_database_where_payloads_are_encrypted() {
    let encrypted = Approvals::with(Some(payload_keys())).await;
    encrypted.run().await;
    assert_eq!(encrypted.found_in_database().await, [""; 0]);
}

/// The control: the same search finds everything where nothing is encrypted.
#[tokio::test]
async fn everything_that_people_have_written_is_in_temporals_database_where_payloads_are_not_encrypted()
 {
    let plain = Approvals::with(None).await;
    plain.run().await;
    assert_eq!(plain.found_in_database().await, WRITTEN);
}

/// An installation with a server of its own, and approvals from their start to their end.
struct Approvals {
    stack: Stack,
    _mails: MailServer,
    keys: Option<&'static str>,
}

impl Approvals {
    async fn with(keys: Option<&'static str>) -> Approvals {
        let builder = Stack::beside(Temporal::start().await);
        let mails = MailServer::start(builder.dir()).await;
        let builder = builder.without(PAYLOAD_KEYS).with("COUNTERSIGN_NOTIFY", mails.url());
        let builder = match keys {
            Some(keys) => builder.with(PAYLOAD_KEYS, keys),
            None => builder,
        };
        Approvals { stack: builder.start().await, _mails: mails, keys }
    }

    async fn call(&self, id: &str, verb: &[&str], given: &Value) -> Value {
        let Stack { temporal, queue, .. } = &self.stack;
        let settings: Vec<_> = self.keys.map(|keys| (PAYLOAD_KEYS, keys)).into_iter().collect();
        let address = temporal.address();
        let arguments = [&[&*address, queue, id][..], verb].concat();
        let (code, printed) = python_with(&settings, CALLER, &arguments, &given.to_string()).await;
        assert_eq!(code, 0, "{printed}");
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"))
    }

    async fn run(&self) {
        let id = self.stack.new_workflow_id();
        let mut submission = json!({
            "submissionId": "KV-17",
            "submissionType": "purchase",
            "submitter": {
                "name": "Wilhelmine Ackermann", "email": "wilhelmine.ackermann@example.com",
            },
            "document": {
                "title": "Grundstueck am Seeufer", "amount": "480000", "currency": "EUR",
                "details": [{"label": "Plan", "value": "Bebauungsplan 17b"}],
            },
            "approval": {"stages": [
                {"reviewers": ["ludovica@example.com", "filtered@example.com"], "quorum": "any"},
                {"reviewers": ["nikodemus@example.com"]},
            ]},
        });
        self.call(&id, &["start"], &submission).await;
        let status = async || self.call(&id, &["query", "status"], &json!({})).await;
        let said = async |what: &'static str| {
            eventually(what.to_owned(), async || {
                let status = status().await;
                status.to_string().contains(what).then_some(status)
            })
            .await
        };
        said("Blocked: http").await;
        let other = json!({"reviewer": "ludovica@example.com", "to": "ottokar@example.com"});
        self.call(&id, &["signal", "reassign"], &other).await;
        said("ottokar@example.com").await;
        let decision = json!({"reviewer": "ottokar@example.com", "comment": "Nur mit Wegerecht"});
        self.call(&id, &["signal", "approve"], &decision).await;
        // It is ignored, with what was meant.
        let late = json!({"reviewer": "ludovica@example.com", "comment": "Ludovica ist im Urlaub"});
        self.call(&id, &["signal", "reject"], &late).await;
        said("\"ignoredSignals\":1").await;
        let decision =
            json!({"reviewer": "nikodemus@example.com", "comment": "Preis ist angemessen"});
        self.call(&id, &["signal", "approve"], &decision).await;
        let outcome = self.call(&id, &["result"], &json!({})).await;
        assert_eq!(outcome["status"], "APPROVED", "{outcome}");
        assert!(outcome.to_string().contains("Preis ist angemessen"), "{outcome}");

        let id = self.stack.new_workflow_id();
        submission["document"]["currency"] = json!("Waehrung Taler");
        self.call(&id, &["start"], &submission).await;
        let failure = self.call(&id, &["result"], &json!({})).await;
        assert_eq!(failure["type"], "InvalidSubmission", "{failure}");
        assert!(failure["message"].to_string().contains("$.document.currency"), "{failure}");
        assert_eq!(failure["details"][0][0]["path"], "$.document.currency", "{failure}");
    }

    /// What is in the database as it was written. The rest of what is known of the workflows is.
    async fn found_in_database(self) -> Vec<&'static str> {
        let temporal = self.stack.temporal.clone();
        temporal.kill().await;
        let read = |path: String| fs::read(path).unwrap_or_default();
        let database = temporal.database().display().to_string();
        let database = [read(database.clone()), read(format!("{database}-wal"))].concat();
        assert!(holds(&database, "ApprovalWorkflow") && holds(&database, "InvalidSubmission"));
        let is_there = |written: &&str| holds(&database, written);
        WRITTEN.into_iter().filter(is_there).collect()
    }
}

#[tokio::test]
async fn by_a_link_a_decision_is_encrypted_too_and_what_tools_show_is_not() {
    let keys = payload_keys();
    let mut stack = encrypting(Temporal::start().await).start().await;
    let stages =
        json!({"stages": [{"reviewers": ["lee@example.com"]}, {"reviewers": ["ann@example.com"]}]});
    let submission = vec![json_payload(&countersign_e2e::submission::asking(stages))];
    let workflow = stack.temporal.workflow(&stack.new_workflow_id());
    let grpc = stack.temporal.grpc().await;
    let submission = coded(&encrypting_client(), true, submission).await;
    grpc.start(&stack.queue, &workflow.id, submission).await;
    let lee = stack.mail_to("lee@example.com").await;
    stack.press(&lee.link("approve"), "approve", "Mit Vorbehalt").await.expect(200, &["recorded"]);
    // Without a worker, the page reads the history.
    let ann = stack.mail_to("ann@example.com").await;
    stack.stop_worker().await;
    stack.press(&ann.link("approve"), "approve", "Auch ich").await.expect(202, &["recorded"]);
    stack.renew_signaler().await;
    stack.open(&ann.link("approve")).await.expect(200, &["Train to the fair"]);
    stack.start_worker();
    let outcome = outcome(&grpc, &workflow.id).await.to_string();
    assert!(outcome.contains("Mit Vorbehalt") && outcome.contains("Auch ich"), "{outcome}");
    let raw = raw_history(&stack.temporal, &workflow).await;
    for hidden in ["Mit Vorbehalt", "Auch ich", "lee@example.com", "ann@example.com"] {
        assert!(!raw.contains(hidden), "{hidden} is in the history");
    }
    let (exit, explained) = stack.tool(&["explain", "--details", &workflow.id]).await;
    assert_eq!(exit.code, 0, "{explained}");
    assert!(
        explained.contains("APPROVED") && explained.contains("Train to the fair"),
        "{explained}"
    );
    let (_, sound) = stack.tool(&["doctor"]).await;
    let id = keys.split(':').next().expect("an ID");
    assert!(sound.contains("payload keys") && sound.contains(&format!("{id}:")), "{sound}");
}

#[tokio::test]
async fn without_keys_what_is_encrypted_is_named_and_with_them_nothing_is_done_otherwise() {
    let temporal = Temporal::shared().await;
    let mut stack = Stack::beside(temporal.clone())
        .without(PAYLOAD_KEYS)
        .with("TEMPORAL_CODEC_ENDPOINT", "http://127.0.0.1:9")
        .start()
        .await;
    let warned = "TEMPORAL_CODEC_ENDPOINT names a codec server";
    assert!(stack.logs().matches(warned).count() >= 1, "{}", stack.logs());
    let encrypting = encrypting_client();
    let encrypted = async |json: &Value| coded(&encrypting, true, vec![json_payload(json)]).await;
    let grpc = temporal.grpc().await;

    let id = stack.new_workflow_id();
    let submission = countersign_e2e::submission::expense(&["lee@example.com"]);
    grpc.start(&stack.queue, &id, encrypted(&submission).await).await;
    let failed = grpc.closed(&id).await;
    let (kind, failure) = countersign_e2e::application_failure(&failed).expect("a failure");
    assert_eq!(kind, "InvalidSubmission");
    for named in ["\"stories\"", "COUNTERSIGN_PAYLOAD_KEYS_FILE"] {
        assert!(failure.message.contains(named), "{}", failure.message);
    }

    let workflow = temporal.workflow(&stack.new_workflow_id());
    grpc.start(&stack.queue, &workflow.id, vec![json_payload(&submission)]).await;
    workflow.until_asked().await;
    let decision = json!({"reviewer": "lee@example.com"});
    grpc.signal(&workflow.id, "approve", encrypted(&decision).await).await;
    let ignored = |status: &Value| text(&status["ignoredBecause"][0]).contains("PAYLOAD_KEYS_FILE");
    workflow.status_where("an ignored signal", ignored).await;

    // With the keys, the same history is no decision either, and what comes now is one.
    stack.restart_with(PAYLOAD_KEYS, payload_keys()).await;
    let status = workflow.status_where("the same signal", ignored).await;
    assert_eq!(status["status"], "PENDING", "{status}");
    let rejection = json!({"reviewer": "lee@example.com", "comment": "Zu teuer"});
    grpc.signal(&workflow.id, "reject", encrypted(&rejection).await).await;
    let outcome = outcome(&grpc, &workflow.id).await;
    assert_eq!(outcome["status"], "REJECTED", "{outcome}");
    assert_eq!(countersign_e2e::task_failures(&grpc.events(&workflow.id).await), [""; 0]);
}

#[tokio::test]
async fn who_lacks_the_key_of_payloads_waits_for_it_and_refuses_nothing() {
    let mut stack = encrypting(Temporal::shared().await).start().await;
    let workflow = stack.submit(&countersign_e2e::submission::expense(&["lee@example.com"])).await;
    let lee = stack.mail_to("lee@example.com").await;
    let grpc = stack.temporal.grpc().await;
    for (keys, why) in [
        (format!("other:{}", countersign_e2e::link_key()), "it is encrypted"),
        (String::new(), "payload conversion failed"),
    ] {
        stack.stop_worker().await;
        stack.press(&lee.link("approve"), "approve", "").await;
        stack.set(PAYLOAD_KEYS, keys);
        stack.start_worker();
        eventually(format!("a task to fail over {why}"), async || {
            stack.worker().log().contains(why).then_some(())
        })
        .await;
    }
    stack.stop_worker().await;
    stack.set(PAYLOAD_KEYS, payload_keys());
    stack.start_worker();
    assert_eq!(outcome(&grpc, &workflow.id).await["status"], "APPROVED");
}

#[tokio::test]
async fn what_python_and_typescript_encrypt_is_read_and_what_is_encrypted_here_they_read() {
    const PYTHON: &str = r"
import asyncio, sys
from codec import EncryptionCodec, given_keys
from google.protobuf import json_format
from temporalio.api.common.v1 import Payloads

codec = EncryptionCodec(given_keys())
payloads = json_format.Parse(sys.stdin.read(), Payloads()).payloads
coded = asyncio.run(getattr(codec, sys.argv[1])(payloads))
print(json_format.MessageToJson(Payloads(payloads=coded)))
";
    const TYPESCRIPT: &str = r"
import { readFileSync } from 'node:fs';
import codec from './lib/codec/codec.js';

const map = (object, f) => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, f(v)]));
const { payloads } = JSON.parse(readFileSync(0));
const read = ({ metadata, data }) => ({
  metadata: map(metadata, (v) => Buffer.from(v, 'base64')), data: Buffer.from(data, 'base64'),
});
const write = ({ metadata, data }) => ({
  metadata: map(metadata, (v) => Buffer.from(v).toString('base64')),
  data: Buffer.from(data).toString('base64'),
});
const encryption = new codec.EncryptionCodec(process.env.COUNTERSIGN_PAYLOAD_KEYS);
const coded = await encryption[process.argv[1]](payloads.map(read));
console.log(JSON.stringify({ payloads: coded.map(write) }));
";
    let folder = workspace().join("examples/typescript");
    assert!(folder.join("node_modules").exists(), "no packages: run scripts/tools test");
    let compiled = Command::new(folder.join("node_modules/.bin/tsc"))
        .args(["--outDir", "lib/codec"])
        .current_dir(&folder)
        .status();
    assert!(compiled.expect("tsc runs").success());
    let node = || {
        let mut node = Command::new("node");
        node.current_dir(&folder).args(["--input-type=module", "--eval", TYPESCRIPT, "--"]);
        node
    };
    let python = || {
        let mut python = Command::new(tool("python"));
        python.arg("-c").arg(PYTHON).env("PYTHONPATH", workspace().join("examples/python"));
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        python
    };
    let client = encrypting_client();
    let plain = vec![
        json_payload(&json!({"title": "Zoë’s 💻"})),
        payload("binary/protobuf", [0, 1, 255]),
        payload("json/plain", "x".repeat(100_000)),
    ];
    let ours = coded(&client, true, plain.clone()).await;
    for program in [&python as &dyn Fn() -> Command, &node] {
        assert_eq!(run(program(), "decode", &ours), plain);
        let theirs = run(program(), "encode", &plain);
        assert_ne!(theirs, plain);
        assert_eq!(coded(&client, false, theirs).await, plain);
    }
}

/// Payloads as another program encodes or decodes them, in the form that codec servers take.
fn run(mut program: Command, verb: &str, payloads: &[Payload]) -> Vec<Payload> {
    use std::{io::Write, process::Stdio};
    let encode = |bytes: &Vec<u8>| BASE64_STANDARD.encode(bytes);
    let written = payloads.iter().map(|Payload { metadata, data, .. }| {
        let metadata: serde_json::Map<String, Value> =
            metadata.iter().map(|(name, value)| (name.clone(), encode(value).into())).collect();
        json!({"metadata": metadata, "data": encode(data)})
    });
    let written = json!({"payloads": written.collect::<Vec<_>>()}).to_string();
    program.arg(verb).env(PAYLOAD_KEYS, payload_keys());
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().expect("it runs");
    let mut input = child.stdin.take().expect("a pipe");
    std::thread::spawn(move || input.write_all(written.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let decode = |json: &Value| BASE64_STANDARD.decode(text(json)).expect("base64");
    let all = read["payloads"].as_array().expect("payloads").iter();
    all.map(|json| {
        let metadata = json["metadata"].as_object().expect("metadata").iter();
        let metadata = metadata.map(|(name, value)| (name.clone(), decode(value))).collect();
        Payload { metadata, data: decode(&json["data"]), ..Payload::default() }
    })
    .collect()
}

/// A stack with keys for payloads, however the others run.
fn encrypting(temporal: std::sync::Arc<Temporal>) -> StackBuilder {
    Stack::beside(temporal).without(PAYLOAD_KEYS).with(PAYLOAD_KEYS, payload_keys())
}

/// With what an approval has completed.
async fn outcome(grpc: &Grpc, id: &str) -> Value {
    let events = grpc.closed(id).await;
    let Some(Attributes::WorkflowExecutionCompletedEventAttributes(completed)) =
        &events.last().expect("events").attributes
    else {
        panic!("{id} has not completed: {:?}", events.last());
    };
    let result = &completed.result.as_ref().expect("a result").payloads[0];
    serde_json::from_slice(&result.data).expect("JSON")
}

/// What the server has, and no codec has decoded.
async fn raw_history(temporal: &Temporal, workflow: &Workflow) -> String {
    let output = Command::new(tool("temporal"))
        .args(["workflow", "show", "--output", "json", "--workflow-id", &workflow.id])
        .env("TEMPORAL_ADDRESS", temporal.address())
        .output()
        .expect("the Temporal CLI runs");
    let history = countersign_e2e::History(String::from_utf8(output.stdout).expect("UTF-8"));
    history.with_payloads_decoded()
}
