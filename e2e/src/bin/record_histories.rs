//! Records the histories that the worker's replay test replays, for the version that is being
//! built: `worker/tests/histories/VERSION/NAME.json`, or `NAME.json` in the directory that is given.

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result};
use countersign_e2e::{Stack, Workflow, submission, workspace};
use serde_json::{Value, json};
use temporalio_client::{UntypedWorkflow, WorkflowFetchHistoryOptions};

#[tokio::main]
async fn main() -> Result<()> {
    let histories = || workspace().join("worker/tests/histories").join(env!("CARGO_PKG_VERSION"));
    let dir = env::args_os().nth(1).map_or_else(histories, PathBuf::from);
    fs::create_dir_all(&dir)?;
    let stack = Stack::start().await;
    let client = stack.temporal.client().await;
    for (name, workflow) in [
        ("approve", decide(&stack, "ann@example.com", "approve").await),
        ("reject", decide(&stack, "bob@example.com", "reject").await),
        ("deadline", miss_the_deadline(&stack).await),
        ("two_stages", pass_two_stages(&stack).await),
    ] {
        workflow.outcome().await;
        let handle = client.get_workflow_handle::<UntypedWorkflow>(&workflow.id);
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        // The SDK's own JSON, which its replayer reads; the command line's is another one.
        let mut history: Value = serde_json::from_slice(&history.to_json().await?)?;
        forget_who_recorded(&mut history);
        let file = dir.join(format!("{name}.json"));
        fs::write(&file, format!("{history:#}\n")).with_context(|| file.display().to_string())?;
        println!("{}", file.display());
    }
    Ok(())
}

async fn decide(stack: &Stack, reviewer: &str, verdict: &str) -> Workflow {
    let workflow = stack.submit(&submission::expense(&[reviewer])).await;
    let link = stack.mail_to(reviewer).await.link(verdict);
    workflow.until_asked().await;
    stack.press(&link, verdict, "as recorded").await;
    workflow
}

async fn miss_the_deadline(stack: &Stack) -> Workflow {
    let stage = json!({"reviewers": ["late@example.com"], "deadline": "3s", "reminders": ["1s"]});
    stack.submit(&submission::asking(json!({"stages": [stage]}))).await
}

async fn pass_two_stages(stack: &Stack) -> Workflow {
    let board = ["cem@example.com", "dan@example.com", "eva@example.com"];
    let workflow = stack
        .submit(&submission::asking(json!({"stages": [
            {"name": "Manager", "reviewers": ["lee@example.com"]},
            {"name": "Board", "reviewers": board, "quorum": 2},
        ]})))
        .await;
    for (reviewer, verdict) in [
        ("lee@example.com", "approve"),
        (board[0], "approve"),
        (board[1], "reject"),
        (board[2], "approve"),
    ] {
        let link = stack.mail_to(reviewer).await.link(verdict);
        workflow.until_asked().await;
        stack.press(&link, verdict, "as recorded").await;
    }
    workflow
}

fn forget_who_recorded(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "identity" {
                    *value = json!("recorded");
                }
                forget_who_recorded(value);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(forget_who_recorded),
        _ => {}
    }
}
