//! Workflows of other namespaces request approvals by Nexus: the example in Python is one of them.

use std::{
    fs,
    process::{Command, Output},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use countersign_e2e::{
    DEFAULT_REVIEWER, History, PAYLOAD_KEYS, Process, Stack, Temporal, Workflow, eventually,
    is_encrypted, list, payload_keys, text, tool, workspace,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// One stack for all that a caller sees: each of it is one order.
#[tokio::test]
async fn a_workflow_of_another_namespace_requests_approvals_by_nexus() {
    let mut shop = Shop::open().await;
    a_handler_that_is_away_delays_and_a_reset_keeps_the_completion(&mut shop).await;
    a_refused_submission_fails_the_operation_with_the_paths(&shop).await;
    cancelling_the_operation_withdraws(&shop).await;
    let stopped = shop.stack.stop_worker().await;
    assert_eq!(stopped.code, 0, "{}", shop.stack.logs());
}

async fn a_handler_that_is_away_delays_and_a_reset_keeps_the_completion(shop: &mut Shop) {
    shop.order("desk", json!({"title": "Desk"})).await;
    eventually("the operation to be scheduled", async || {
        let events = shop.history("desk").await;
        (events.count("NEXUS_OPERATION_SCHEDULED") == 1).then_some(())
    })
    .await;
    assert_eq!(shop.history("desk").await.count("NEXUS_OPERATION_STARTED"), 0, "no worker runs");
    shop.stack.start_worker();
    let link = shop.stack.mail_to(DEFAULT_REVIEWER).await.link("approve");
    let status = shop.status("desk").await;
    assert_eq!(status["status"], "PENDING", "{status}");
    assert_eq!(status["submission"]["submissionId"], "PO-2026-0311", "{status}");

    let approval = shop.approval("desk").await;
    let endpoint = format!("nexus.{}.", shop.namespace);
    assert!(approval.id.starts_with(&endpoint), "{}", approval.id);
    let started = approval.history().await.events().remove(0);
    let callbacks = &started["workflowExecutionStartedEventAttributes"]["completionCallbacks"];
    let links = list(callbacks).flat_map(|callback| list(&callback["links"]));
    let callers: Vec<_> = links.map(|link| text(&link["workflowEvent"]["workflowId"])).collect();
    assert_eq!(callers, ["desk"], "the Web UI leads to the caller: {started}");

    let reset = ["workflow", "reset", "--workflow-id", &approval.id, "--reason", "A story"];
    shop.stack.temporal.must([&reset[..], &["--type", "FirstWorkflowTask"]].concat()).await;
    approval.until_asked().await;
    shop.stack.press(&link, "approve", "Within budget").await.expect(200, &["approved"]);
    let result = shop.result("desk").await;
    assert_eq!(result["ordered"], true, "its signature holds: {result}");
    let decision = &result["outcome"]["stages"][0]["decisions"][0];
    assert_eq!(decision["comment"], "Within budget", "{result}");
    let history = approval.history().await;
    let failed = history.count("WORKFLOW_TASK_FAILED");
    assert_eq!(failed, 1, "that of the reset: {}", history.outline());
}

async fn a_refused_submission_fails_the_operation_with_the_paths(shop: &Shop) {
    let wrong = json!({"currency": "EURO", "buyer": {"name": "Amira Haddad", "email": "nobody"}});
    shop.order("nothing", wrong).await;
    let result = shop.result("nothing").await;
    assert_eq!(result["ordered"], false, "{result}");
    let paths: Vec<String> = list(&result["problems"]).map(|one| text(&one["path"])).collect();
    let expected = ["$.document.currency", "$.submitter.email"];
    assert!(expected.iter().all(|path| paths.iter().any(|named| named == path)), "{result}");
}

async fn cancelling_the_operation_withdraws(shop: &Shop) {
    shop.order("lamp", json!({"title": "Lamp"})).await;
    let mail = eventually("a request for the lamp", async || {
        let mails = shop.stack.mails_so_far(DEFAULT_REVIEWER);
        mails.into_iter().find(|mail| mail.subject.contains("Lamp"))
    })
    .await;
    shop.cli(&["workflow", "cancel", "--workflow-id", "lamp"]).await;
    let result = shop.result("lamp").await;
    let outcome = &result["outcome"];
    assert_eq!(outcome["status"], "WITHDRAWN", "{result}");
    assert!(text(&outcome["reason"]).contains("cancelled by the workflow that"), "{result}");
    shop.stack.open(&mail.link("approve")).await.expect(410, &["withdrawn"]);
}

/// A namespace whose workflows order, and the endpoint that leads from it to the approvals. Both have one name.
struct Shop {
    namespace: String,
    stack: Stack,
    worker: Process,
}

impl Shop {
    /// Approvals without a worker, and the example's worker in a namespace of its own.
    async fn open() -> Shop {
        let temporal = Temporal::shared().await;
        let namespace = format!("shop-{}", Uuid::new_v4().simple());
        temporal.must(["operator", "namespace", "create", "--namespace", &namespace]).await;
        let builder = Stack::beside(temporal.clone()).with("COUNTERSIGN_NEXUS", "true");
        let stack = builder.start_without_worker().await;
        let create = ["operator", "nexus", "endpoint", "create", "--name", &namespace];
        let target = ["--target-namespace", "default", "--target-task-queue", &stack.queue];
        temporal.must([&create[..], &target].concat()).await;
        // Temporal itself knows a new namespace only after a while.
        eventually("the namespace to serve", async || {
            let list = ["workflow", "list", "--namespace", &namespace];
            temporal.cli(list).await.status.success().then_some(())
        })
        .await;
        let examples = workspace().join("examples");
        let mut worker = Command::new(tool("python"));
        worker.arg("worker.py").current_dir(examples.join("nexus"));
        worker.env("PYTHONPATH", examples.join("python")).env("PYTHONDONTWRITEBYTECODE", "1");
        worker.env("TEMPORAL_ADDRESS", temporal.address()).env("TEMPORAL_NAMESPACE", &namespace);
        worker.env("JWKS", stack.url("/.well-known/jwks.json"));
        if is_encrypted() {
            worker.env(PAYLOAD_KEYS, payload_keys());
        }
        let worker = Process::start("shop", stack.dir(), &worker);
        Shop { namespace, stack, worker }
    }

    /// Runs `temporal` in the shop's namespace.
    async fn try_cli(&self, arguments: &[&str]) -> Output {
        let namespace = ["--namespace", &self.namespace];
        self.stack.temporal.cli([arguments, &namespace].concat()).await
    }

    async fn cli(&self, arguments: &[&str]) -> String {
        let output = self.try_cli(arguments).await;
        assert!(output.status.success(), "temporal {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Starts the order of examples/purchase.json with these changes.
    async fn order(&self, id: &str, changes: Value) {
        let file =
            fs::read(workspace().join("examples/purchase.json")).expect("the examples' input");
        let mut order: Value = serde_json::from_slice(&file).expect("JSON");
        for (name, value) in changes.as_object().expect("an object") {
            order[name] = value.clone();
        }
        let (start, order) = (["workflow", "start", "--type", "OrderWorkflow"], order.to_string());
        let which = ["--task-queue", "orders", "--workflow-id", id, "--input", &order];
        self.cli(&[&start[..], &which].concat()).await;
    }

    /// What an order came to.
    async fn result(&self, id: &str) -> Value {
        self.cli(&["workflow", "result", "--workflow-id", id]).await;
        let last = self.history(id).await.events().pop().expect("an event");
        let result = &last["workflowExecutionCompletedEventAttributes"]["result"]["payloads"][0];
        let result = BASE64_STANDARD.decode(text(&result["data"])).expect("base64");
        serde_json::from_slice(&result).expect("JSON")
    }

    /// What the operation `status` says of an order's approval.
    async fn status(&self, id: &str) -> Value {
        let update = ["workflow", "update", "execute", "--name", "status", "--output", "json"];
        let printed = self.cli(&[&update[..], &["--workflow-id", id]].concat()).await;
        let answer: Value = serde_json::from_str(&printed).expect("JSON");
        answer["result"].clone()
    }

    async fn history(&self, id: &str) -> History {
        self.stack.temporal.history_in(&self.namespace, id).await
    }

    /// The approval that an order has requested: its workflow ID is in the operation's token.
    async fn approval(&self, id: &str) -> Workflow {
        let events = self.history(id).await.events();
        let mut started = events.iter().map(|it| &it["nexusOperationStartedEventAttributes"]);
        let token = started.find_map(|it| it["operationToken"].as_str()).expect("a token");
        let token = BASE64_URL_SAFE_NO_PAD.decode(token).expect("base64");
        let token: Value = serde_json::from_slice(&token).expect("JSON");
        self.stack.temporal.workflow(&text(&token["wid"]))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.worker.recent_log());
        }
    }
}
