//! An approval is a step of somebody's own workflow, in the SDK of their language.

use std::{fs, process::Command};

use countersign_e2e::{
    Mail, PAYLOAD_KEYS, Process, Stack, Temporal, Workflow, eventually, is_encrypted, list,
    payload_keys, text, tool, workspace,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_workflow_in_python_orders_what_is_approved_and_an_agents_call_is_run_once() {
    let mut worker = Command::new(tool("python"));
    worker.arg("worker.py").env("PYTHONDONTWRITEBYTECODE", "1");
    let example = Example::start("python", worker).await;
    orders_what_is_approved_and_nothing_else(&example).await;
    an_agents_call_is_run_once(&example).await;
}

#[tokio::test]
async fn a_workflow_in_typescript_orders_what_is_approved_and_nothing_else() {
    let packages = workspace().join("examples/typescript/node_modules");
    assert!(packages.exists(), "{} is not there: run scripts/tools test", packages.display());
    let mut worker = Command::new("npm");
    worker.args(["start", "--no-update-notifier"]);
    orders_what_is_approved_and_nothing_else(&Example::start("typescript", worker).await).await;
}

/// It is asked for, approved on the page that shows all of it, and run, also where Temporal starts it again.
async fn an_agents_call_is_run_once(example: &Example) {
    let stack = &example.stack;
    let refunds = stack.dir().join("refunds.jsonl");
    let refunded = || fs::read_to_string(&refunds).unwrap_or_default().lines().count();
    let file = fs::read(workspace().join("examples/refund.json")).expect("the example's input");
    let call: Value = serde_json::from_slice(&file).expect("JSON");

    let refund = example.start_workflow("ToolCallWorkflow", &call).await;
    let link = example.links("finance.one@example.com", "Refund order 60114", 1).await.remove(0);
    let mails = stack.mails_so_far("finance.one@example.com");
    let mail = mails.iter().find(|mail| mail.subject.contains("Refund")).expect("a mail");
    assert!(mail.subject.contains("payments.refund"), "{}", mail.subject);
    assert!(mail.text.contains("- amount: 249.9"), "{}", mail.text);
    let shown = ["payments.refund", "customer", "Zoë Łukasz", "249.9", "LAMP-7", "On behalf of"];
    stack.open(&link).await.expect(200, &shown);
    assert_eq!(refunded(), 0, "nobody has approved it");
    stack.press(&link, "approve", "The pictures are clear").await.expect(200, &["recorded"]);
    let result = refund.outcome().await;
    assert_eq!(result["done"], true, "{result}");
    assert_eq!(result["result"], "249.9 EUR are on their way", "{result}");
    assert_eq!(refunded(), 1);
    let paid: Value =
        serde_json::from_str(&fs::read_to_string(&refunds).expect("a ledger")).expect("JSON");
    assert_eq!(paid, call["arguments"], "exactly what was approved");

    // Temporal starts the tool once more after its approval: it has its first result, and no second effect.
    let events = refund.history().await.events();
    let mut scheduled = events.iter().map(|event| &event["activityTaskScheduledEventAttributes"]);
    let task = scheduled.find_map(|it| it["workflowTaskCompletedEventId"].as_str());
    let reset = ["workflow", "reset", "--workflow-id", &refund.id, "--reason", "A story"];
    let to = ["--event-id", task.expect("the tool was started")];
    stack.temporal.must([&reset[..], &to].concat()).await;
    let result = refund.outcome().await;
    assert_eq!(result["result"], "249.9 EUR are on their way", "{result}");
    assert_eq!(refunded(), 1);

    let mut small = call.clone();
    small["arguments"]["amount"] = json!(12.5);
    let result = example.start_workflow("ToolCallWorkflow", &small).await.outcome().await;
    assert_eq!((&result["done"], refunded()), (&json!(true), 2), "a rule approves it: {result}");
    let mut unknown = call;
    unknown["tool"] = json!("payments.payout");
    let result = example.start_workflow("ToolCallWorkflow", &unknown).await.outcome().await;
    assert_eq!((&result["done"], refunded()), (&json!(false), 2), "{result}");
}

async fn orders_what_is_approved_and_nothing_else(example: &Example) {
    let stack = &example.stack;

    let purchase = example.purchase("SeatStatus desk", json!({})).await;
    let link = example.links("office.lead@example.com", "SeatStatus desk", 1).await.remove(0);
    stack.open(&link).await.expect(200, &["649.00 EUR", "SeatStatus desk"]);
    stack.press(&link, "approve", "Within budget").await.expect(200, &["recorded"]);
    example.finance_approves("SeatStatus desk").await;
    let result = purchase.outcome().await;
    assert_eq!(result["ordered"], true, "{result}");
    assert_decided(&result, "APPROVED", "office.lead@example.com", "APPROVE", "Within budget");

    let it = json!({"buyer": {"department": "IT Operations"}});
    let purchase = example.purchase("Rack", it).await;
    let link = example.links("it.lead@example.com", "Rack", 1).await.remove(0);
    stack.press(&link, "reject", "Next year").await.expect(200, &["rejected"]);
    let result = purchase.outcome().await;
    assert_eq!(result["ordered"], false, "{result}");
    assert_decided(&result, "REJECTED", "it.lead@example.com", "REJECT", "Next year");

    let wrong = json!({"currency": "EURO", "buyer": {"email": "nobody"}});
    let result = example.purchase("Nothing", wrong).await.outcome().await;
    assert_eq!(result["ordered"], false, "{result}");
    let paths: Vec<String> = list(&result["problems"]).map(|one| text(&one["path"])).collect();
    let expected = ["$.document.currency", "$.submitter.email"];
    assert!(expected.iter().all(|path| paths.iter().any(|named| named == path)), "{result}");
    assert!(list(&result["problems"]).all(|one| !text(&one["message"]).is_empty()), "{result}");

    let purchase = example.purchase("Lamp", json!({})).await;
    let link = example.links("office.lead@example.com", "Lamp", 1).await.remove(0);
    purchase.cancel().await;
    let result = purchase.outcome().await;
    assert_eq!(result["ordered"], false, "{result}");
    assert_eq!(result["outcome"]["status"], "WITHDRAWN", "{result}");
    stack.open(&link).await.expect(410, &["withdrawn"]);

    let purchase = example.purchase("Carpet", json!({})).await;
    let link = example.links("office.lead@example.com", "Carpet", 1).await.remove(0);
    stack.temporal.must(["workflow", "terminate", "--workflow-id", &purchase.id]).await;
    let approval = stack.temporal.workflow(&format!("approval-{}", purchase.id)).outcome().await;
    assert_eq!(approval["status"], "WITHDRAWN", "{approval}");
    stack.open(&link).await.expect(410, &["withdrawn"]);

    // Reset to its beginning while the approval is pending: people are asked again.
    let purchase = example.purchase("Shelf", json!({})).await;
    example.links("office.lead@example.com", "Shelf", 1).await;
    example.reset(&purchase, "FirstWorkflowTask").await;
    let links = example.links("office.lead@example.com", "Shelf", 2).await;
    stack.open(&links[0]).await.expect(410, &["ended without a decision"]);
    stack.press(&links[1], "approve", "Again").await.expect(200, &["recorded"]);
    example.finance_approves("Shelf").await;
    let result = purchase.outcome().await;
    assert_eq!(result["ordered"], true, "{result}");
    assert_decided(&result, "APPROVED", "office.lead@example.com", "APPROVE", "Again");
}

/// An example's worker beside an installation that has the task queue and the rules of `make demo`.
struct Example {
    worker: Process,
    stack: Stack,
}

impl Example {
    async fn start(language: &str, mut worker: Command) -> Example {
        let temporal = Temporal::start().await;
        worker.current_dir(workspace().join("examples").join(language));
        worker.env("TEMPORAL_ADDRESS", temporal.address());
        let rules = workspace().join("examples/policy.toml");
        let builder = Stack::beside(temporal)
            .with("COUNTERSIGN_TASK_QUEUE", "approvals")
            .without("COUNTERSIGN_REVIEWERS")
            .with("COUNTERSIGN_POLICY", rules.to_str().expect("a UTF-8 path"));
        let stack = builder.start().await;
        if is_encrypted() {
            worker.env(PAYLOAD_KEYS, payload_keys());
        }
        // Those in Python run tools, too.
        worker.env("JWKS", stack.url("/.well-known/jwks.json")).env("RUNS", stack.dir());
        Example { worker: Process::start(language, stack.dir(), &worker), stack }
    }

    /// Starts the purchase of examples/purchase.json under another title, with these changes.
    async fn purchase(&self, title: &str, changes: Value) -> Workflow {
        let file = workspace().join("examples/purchase.json");
        let file = std::fs::read(file).expect("the examples' input");
        let mut purchase: Value = serde_json::from_slice(&file).expect("JSON");
        purchase["title"] = json!(title);
        change(&mut purchase, changes);
        self.start_workflow("PurchaseWorkflow", &purchase).await
    }

    /// Starts one of the example's workflows.
    async fn start_workflow(&self, kind: &str, input: &Value) -> Workflow {
        let (input, id) = (input.to_string(), self.stack.new_workflow_id());
        let start = ["workflow", "start", "--type", kind, "--task-queue", "purchases"];
        let arguments = ["--workflow-id", &id, "--input", &input];
        self.stack.temporal.must([&start[..], &arguments].concat()).await;
        self.stack.temporal.workflow(&id)
    }

    /// Resets a workflow, as an operator does.
    async fn reset(&self, workflow: &Workflow, to: &str) {
        let reset = ["workflow", "reset", "--workflow-id", &workflow.id, "--type", to];
        self.stack.temporal.must([&reset[..], &["--reason", "A story"]].concat()).await;
    }

    /// The links that `reviewer` was sent about a title, oldest first, once there are so many.
    async fn links(&self, reviewer: &str, title: &str, count: usize) -> Vec<String> {
        eventually(format!("{count} requests for {title} to {reviewer}"), async || {
            let mails = self.stack.mails_so_far(reviewer);
            let asks = |mail: &&Mail| mail.subject.contains(title) && mail.has_links();
            let links: Vec<_> =
                mails.iter().filter(asks).map(|mail| mail.link("approve")).collect();
            (links.len() >= count).then_some(links)
        })
        .await
    }

    /// Has the second stage approve, of whom one is enough.
    async fn finance_approves(&self, title: &str) {
        let link = self.links("finance.one@example.com", title, 1).await.remove(0);
        self.stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    }
}

/// Puts `changes` into `json`, object by object.
fn change(json: &mut Value, changes: Value) {
    match changes {
        Value::Object(changes) => {
            changes.into_iter().for_each(|(name, value)| change(&mut json[name.as_str()], value));
        }
        value => *json = value,
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.worker.recent_log());
        }
    }
}

#[track_caller]
fn assert_decided(result: &Value, status: &str, reviewer: &str, verdict: &str, comment: &str) {
    let outcome = &result["outcome"];
    let stage = &outcome["stages"][0];
    let decision = &stage["decisions"][0];
    assert_eq!(outcome["status"], status, "{result}");
    assert_eq!(outcome["submissionId"], "PO-2026-0311", "{result}");
    assert!(!text(&outcome["reason"]).is_empty(), "{result}");
    assert_eq!(stage["status"], status, "{result}");
    assert_eq!(decision["reviewer"], reviewer, "{result}");
    assert_eq!(decision["verdict"], verdict, "{result}");
    assert_eq!(decision["comment"], comment, "{result}");
}
