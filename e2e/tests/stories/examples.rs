//! An approval is a step of somebody's own workflow, in the SDK of their language.

use std::process::Command;

use countersign_e2e::{Process, Stack, Temporal, Workflow, list, text, tool, workspace};
use serde_json::{Value, json};

#[tokio::test]
async fn a_workflow_in_python_orders_what_is_approved_and_nothing_else() {
    let mut worker = Command::new(tool("python"));
    worker.arg("worker.py").env("PYTHONDONTWRITEBYTECODE", "1");
    orders_what_is_approved_and_nothing_else("python", worker).await;
}

#[tokio::test]
async fn a_workflow_in_typescript_orders_what_is_approved_and_nothing_else() {
    let packages = workspace().join("examples/typescript/node_modules");
    assert!(packages.exists(), "{} is not there: run scripts/tools test", packages.display());
    let mut worker = Command::new("npm");
    worker.args(["start", "--no-update-notifier"]);
    orders_what_is_approved_and_nothing_else("typescript", worker).await;
}

async fn orders_what_is_approved_and_nothing_else(language: &str, worker: Command) {
    let example = Example::start(language, worker).await;
    let stack = &example.stack;

    let purchase = example.purchase("approves@example.com", "EUR").await;
    let link = stack.mail_to("approves@example.com").await.link("approve");
    stack.open(&link).await.expect(200, &["649.00 EUR", "Standing desk"]);
    stack.press(&link, "approve", "Within budget").await.expect(200, &["approved"]);
    let result = purchase.outcome().await;
    assert_eq!(result["ordered"], true, "{result}");
    assert_decided(&result, "APPROVED", "approves@example.com", "APPROVE", "Within budget");

    let purchase = example.purchase("rejects@example.com", "EUR").await;
    let link = stack.mail_to("rejects@example.com").await.link("reject");
    stack.press(&link, "reject", "Next year").await.expect(200, &["rejected"]);
    let result = purchase.outcome().await;
    assert_eq!(result["ordered"], false, "{result}");
    assert_decided(&result, "REJECTED", "rejects@example.com", "REJECT", "Next year");

    let result = example.purchase("nobody", "EURO").await.outcome().await;
    assert_eq!(result["ordered"], false, "{result}");
    let paths: Vec<String> = list(&result["problems"]).map(|one| text(&one["path"])).collect();
    let expected = ["$.document.currency", "$.approval.stages[0].reviewers[0]"];
    assert!(expected.iter().all(|path| paths.iter().any(|named| named == path)), "{result}");
    assert!(list(&result["problems"]).all(|one| !text(&one["message"]).is_empty()), "{result}");

    let purchase = example.purchase("waits@example.com", "EUR").await;
    let link = stack.mail_to("waits@example.com").await.link("approve");
    purchase.cancel().await;
    let result = purchase.outcome().await;
    assert_eq!(result["ordered"], false, "{result}");
    assert_eq!(result["outcome"]["status"], "WITHDRAWN", "{result}");
    stack.open(&link).await.expect(410, &["withdrawn"]);

    let purchase = example.purchase("forgotten@example.com", "EUR").await;
    let link = stack.mail_to("forgotten@example.com").await.link("approve");
    stack.temporal.must(["workflow", "terminate", "--workflow-id", &purchase.id]).await;
    let approval = stack.temporal.workflow(&format!("approval-{}", purchase.id)).outcome().await;
    assert_eq!(approval["status"], "WITHDRAWN", "{approval}");
    stack.open(&link).await.expect(410, &["withdrawn"]);
}

/// An example's worker beside an installation on the task queue that the examples name.
struct Example {
    worker: Process,
    stack: Stack,
}

impl Example {
    async fn start(language: &str, mut worker: Command) -> Example {
        let temporal = Temporal::start().await;
        worker.current_dir(workspace().join("examples").join(language));
        worker.env("TEMPORAL_ADDRESS", temporal.address());
        let installation = Stack::beside(temporal).with("COUNTERSIGN_TASK_QUEUE", "approvals");
        let stack = installation.start().await;
        Example { worker: Process::start(language, stack.dir(), &worker), stack }
    }

    /// Starts a purchase that `manager` has to approve.
    async fn purchase(&self, manager: &str, currency: &str) -> Workflow {
        let file = workspace().join("examples/purchase.json");
        let file = std::fs::read(file).expect("the examples' input");
        let mut purchase: Value = serde_json::from_slice(&file).expect("JSON");
        purchase["manager"] = json!(manager);
        purchase["currency"] = json!(currency);
        let (input, id) = (purchase.to_string(), self.stack.new_workflow_id());
        let start =
            ["workflow", "start", "--type", "PurchaseWorkflow", "--task-queue", "purchases"];
        let arguments = ["--workflow-id", &id, "--input", &input];
        self.stack.temporal.must([&start[..], &arguments].concat()).await;
        self.stack.temporal.workflow(&id)
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
    assert!(text(&outcome["reason"]).contains(reviewer), "{result}");
    assert_eq!(stage["status"], status, "{result}");
    assert_eq!(decision["reviewer"], reviewer, "{result}");
    assert_eq!(decision["verdict"], verdict, "{result}");
    assert_eq!(decision["comment"], comment, "{result}");
}
