//! The description of the signaler's routes, held against the signaler.

use std::{fs, process::Command};

use countersign_e2e::{Stack, Temporal, submission, tool};
use serde_json::{Value, json};

/// Some of its approvals are confirmed, some need a comment, and in all of them reviewers may delegate.
const RULES: &str = r#"
[[rules]]
name = "Small"
when.amount = { USD = { up_to = 100 } }
delegate_to = ["example.com"]
stages = [{ name = "Review", reviewers = ["ann@example.com", "bob@example.com"], quorum = "all" }]

[default]
name = "Everything else"
confirm = true
comment_required = ["reject"]
delegate_to = ["example.com"]
stages = [{ name = "Review", reviewers = ["ann@example.com"] }]
"#;

/// A promise for programs as well as for browsers. About every second approval ID that is tried was mailed.
#[tokio::test]
async fn schemathesis_finds_no_server_error_and_no_answer_that_is_not_documented() {
    let stack = Stack::beside(Temporal::shared().await).with_rules(RULES).start().await;
    let (mut ids, mut workflows) = (Vec::new(), Vec::new());
    for amount in ["50.00", "60.00", "5000.00", "6000.00"] {
        let workflow = stack.submit(&submission::routed(amount)).await;
        workflow.until_asked().await;
        workflows.push(workflow.id.clone());
    }
    for mail in stack.mails_to("ann@example.com", 4).await {
        ids.push(mail.approval_id());
    }
    ids.extend(stack.mails_to("bob@example.com", 2).await.iter().map(|mail| mail.approval_id()));
    let document = stack.open(&stack.url("/openapi.json")).await;
    document.expect(200, &[]);
    let mut document: Value = serde_json::from_str(&document.body).expect("JSON");
    let some = |known: &[String]| json!({"anyOf": [{"enum": known}, {"type": "string"}]});
    let parameters = &mut document["components"]["parameters"];
    parameters["ApprovalId"]["schema"] = some(&ids);
    parameters["ApprovalId"]["example"] = json!(ids[0]);
    parameters["WorkflowId"]["schema"] = some(&workflows);
    let file = stack.dir().join("openapi.json");
    fs::write(&file, document.to_string()).expect("written");
    for accept in ["application/json", "text/html"] {
        let mut run = Command::new(tool("schemathesis"));
        run.arg("run").arg(&file).args(["--url", &stack.url(""), "--header"]);
        run.arg(format!("Accept: {accept}")).args(["--seed", "7", "--max-time", "10"]);
        run.args(["--max-redirects", "0", "--no-color", "--checks"]).arg(CHECKS.join(","));
        // It keeps what it has learned below its working directory.
        let ran = run.current_dir(stack.dir()).env("HOME", stack.dir()).output();
        let ran = ran.expect("schemathesis runs");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(
            ran.status.success(),
            "for {accept}: {said}{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

const CHECKS: [&str; 7] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
];
