//! Records the histories that the worker's replay test replays, for the version that is being
//! built: `worker/tests/histories/VERSION/NAME.json`, or `NAME.json` in the directory that is given.
//!
//! A release is recorded once; a version that is still being built, such as 0.5.0-dev, as often as its
//! commands change.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use countersign_e2e::{
    Answer, End, MailServer, Receiver, Stack, Temporal, Workflow, payload, rules, submission,
    workspace,
};
use countersign_protos::{Verdict, names};
use serde_json::{Value, json};
use temporalio_client::{UntypedWorkflow, WorkflowFetchHistoryOptions};

/// Somebody whose mail is refused, and somebody who is asked then. For small amounts, nobody is in the end.
const UNREACHABLE: &str = r#"
[[rules]]
name = "Small expenses"
when.amount = { USD = { up_to = 20 } }
tell_submitter = true

[[rules.stages]]
name = "First"
reviewers = ["nobody@example.com"]
fallback = ["boss@example.com"]

[[rules.stages]]
name = "Second"
reviewers = ["nobody@example.com"]

[default]
name = "Everything"

[[default.stages]]
name = "Review"
reviewers = ["nobody@example.com"]
deadline = "1h"
escalate = [{ reviewers = ["chief@example.com"], deadline = "1h" }]
on_deadline = "reject"
"#;

/// Reviewers of small amounts answer and delegate, and the submitter has a link from the start. For others, the
/// deadline asks somebody else, and what is sent back soon expires.
const ANSWERING: &str = r#"
[[rules]]
name = "Small expenses"
when.amount = { USD = { up_to = 20 } }
delegate_to = ["example.com"]
submitter_link = true
fields = [{ name = "budget", label = "Budget in EUR", type = "number", required_for = ["approve"] }]

[[rules.stages]]
name = "Review"
reviewers = ["hal@example.com"]

[default]
name = "Everything else"
changes_within = "2s"

[[default.stages]]
name = "Review"
reviewers = ["ida@example.com"]
deadline = "2s"
escalate = [{ reviewers = ["jon@example.com"], deadline = "1h" }]
"#;

/// A follow-up workflow in another namespace.
const FOLLOW_UP: &str = r#"
[default]
name = "Everything"
decision = "approve"
on_approved = { workflow = "PayExpense", task_queue = "payments", namespace = "finance" }
"#;

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];

/// After so many events Temporal wants a run to make room for the next one.
const SHORT_RUNS: &str = "limit.historyCount.suggestContinueAsNew=30";

#[tokio::main]
async fn main() -> Result<()> {
    let dir: PathBuf = match env::args_os().nth(1) {
        Some(given) => given.into(),
        None => workspace().join("worker/tests/histories").join(env!("CARGO_PKG_VERSION")),
    };
    check_destination(&dir, env!("CARGO_PKG_VERSION_PRE").is_empty())?;
    let temporal = Temporal::shared().await;
    let rules = format!("{}{}", rules::MAY_NAME_REVIEWERS, rules::LONG_WAY);
    let stack = Stack::beside(temporal.clone()).with_rules(&rules).start().await;
    let by_smtp = Stack::beside(temporal.clone()).with_rules(UNREACHABLE);
    let server = MailServer::start(by_smtp.dir()).await;
    let by_smtp = by_smtp.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let answering = Stack::beside(temporal.clone()).with_rules(ANSWERING).start().await;
    let handing_over = Stack::beside(temporal.clone()).with_rules(FOLLOW_UP).start().await;
    temporal.must(["operator", "namespace", "create", "--namespace", "finance"]).await;
    let crowded = Stack::beside(Temporal::start_with(&[SHORT_RUNS]).await).start().await;
    let unreachable = ask_somebody_unreachable(&by_smtp, &server).await;
    let [full, left] = notify_a_full_mailbox(&by_smtp, &server).await;
    let fallen_back = fall_back(&by_smtp, &server).await;
    let mut recorded = Vec::new();
    for (name, workflow) in [
        ("approve", decide(&stack, "ann@example.com", "approve").await),
        ("reject", decide(&stack, "bob@example.com", "reject").await),
        ("deadline", miss_the_deadline(&stack).await),
        ("two_stages", pass_two_stages(&stack).await),
        ("long_way", go_a_long_way(&stack).await),
        ("operator_actions", act_as_operator(&stack).await),
        ("cancelled", cancel(&stack).await),
        ("encrypted_signal", ignore_what_is_encrypted(&stack).await),
        ("rule", stack.submit(&submission::routed("19.99")).await),
        ("undeliverable", unreachable),
        ("full_mailbox", full),
        ("notices", left),
        ("fallback", fallen_back),
        ("start_workflow", handing_over.submit(&submission::routed("50.00")).await),
        ("webhook", tell_a_webhook(&temporal, &rules).await),
        ("given_up", give_up(&temporal).await),
        ("continued", continue_as_new(&crowded).await),
        ("revised", send_back(&stack).await),
        ("changes_expired", let_changes_expire(&answering).await),
        ("delegated", delegate(&answering).await),
        ("withdrawn", withdraw_by_link(&answering).await),
    ] {
        ensure!(matches!(workflow.end().await, End::Completed(_)), "{} fails", workflow.id);
        let client = workflow.temporal.client().await;
        let handle = client.get_workflow_handle::<UntypedWorkflow>(&workflow.id);
        let history = handle.fetch_history(WorkflowFetchHistoryOptions::default());
        // The SDK's own JSON, which its replayer reads; the command line's is another one.
        let mut history: Value = serde_json::from_slice(&history.to_json().await?)?;
        forget_who_recorded(&mut history);
        recorded.push((dir.join(format!("{name}.json")), format!("{history:#}\n")));
    }
    // All or none: a folder with some of them would stand in the way of the next try.
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    for (file, history) in recorded {
        fs::write(&file, &history).with_context(|| file.display().to_string())?;
        println!("{}", file.display());
    }
    Ok(())
}

/// What a release did is recorded once: nothing may be there yet.
fn check_destination(dir: &Path, release: bool) -> Result<()> {
    let is_recorded = fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some());
    ensure!(
        !(release && is_recorded),
        "{} has histories already, and what a release did is recorded once: raise the version in \
         Cargo.toml first",
        dir.display(),
    );
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
            {"name": "Manager", "reviewers": ["mia@example.com"]},
            {"name": "Board", "reviewers": board, "quorum": 2},
        ]})))
        .await;
    for (reviewer, verdict) in [
        ("mia@example.com", "approve"),
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

/// A deputy, a reminder, an escalation, and two of three.
async fn go_a_long_way(stack: &Stack) -> Workflow {
    let workflow = stack.submit(&submission::routed("5000.00")).await;
    stack.mails_to("dee@example.com", 2).await;
    for reviewer in ["boss@example.com", "kim@example.com", "max@example.com"] {
        let link = stack.mail_to(reviewer).await.link("approve");
        workflow.until_asked().await;
        stack.press(&link, "approve", "as recorded").await;
    }
    workflow
}

async fn act_as_operator(stack: &Stack) -> Workflow {
    let workflow = stack.submit(&submission::expense(&["ava@example.com"])).await;
    stack.mail_to("ava@example.com").await;
    let order = json!({"reviewer": "ava@example.com", "to": "ben@example.com"});
    workflow.signal("reassign", &order).await;
    stack.mail_to("ben@example.com").await;
    workflow.signal("reissue", &json!({"reviewer": "ben@example.com"})).await;
    stack.mails_to("ben@example.com", 2).await;
    workflow.until_asked().await;
    workflow.signal("remind", &json!({})).await;
    stack.mails_to("ben@example.com", 3).await;
    workflow.signal("withdraw", &json!({"reason": "as recorded"})).await;
    workflow
}

async fn ask_somebody_unreachable(stack: &Stack, server: &MailServer) -> Workflow {
    let workflow = stack.submit(&submission::routed("50.00")).await;
    server.mails_to("chief@example.com", 1).await;
    workflow.signal("approve", &json!({"reviewer": "chief@example.com"})).await;
    workflow.outcome().await;
    workflow
}

/// The approval, and the workflow that delivers its notices when there is room for them.
async fn notify_a_full_mailbox(stack: &Stack, server: &MailServer) -> [Workflow; 2] {
    let workflow = stack.submit(&submission::routed("60.00")).await;
    server.mails_to("chief@example.com", 3).await;
    server.reply(Some(("RCPT", "452 4.2.2 The mailbox is full")));
    workflow.signal("approve", &json!({"reviewer": "chief@example.com"})).await;
    let notices = workflow.notices().await;
    server.reply(None);
    notices.end().await;
    [workflow, notices]
}

/// The submitter is told at the start, and when nobody can be reached any more.
async fn fall_back(stack: &Stack, server: &MailServer) -> Workflow {
    let workflow = stack.submit(&submission::routed("19.99")).await;
    server.mails_to("boss@example.com", 1).await;
    workflow.signal("approve", &json!({"reviewer": "boss@example.com"})).await;
    server.mails_to("sam@example.com", 4).await;
    let order = json!({"reviewer": "nobody@example.com", "to": "chief@example.com"});
    workflow.signal("reassign", &order).await;
    server.mails_to("chief@example.com", 5).await;
    workflow.signal("approve", &json!({"reviewer": "chief@example.com"})).await;
    workflow.outcome().await;
    workflow
}

async fn cancel(stack: &Stack) -> Workflow {
    let workflow = stack.submit(&submission::expense(&["kay@example.com"])).await;
    stack.mail_to("kay@example.com").await;
    workflow.until_asked().await;
    workflow.cancel().await;
    workflow
}

/// A marker says that the signal was encrypted when it came. This needs no keys to replay; a history whose payloads are
/// all encrypted would.
async fn ignore_what_is_encrypted(stack: &Stack) -> Workflow {
    let workflow = stack.submit(&submission::expense(&["lou@example.com"])).await;
    let link = stack.mail_to("lou@example.com").await.link("approve");
    workflow.until_asked().await;
    let vote = payload("binary/encrypted", *b"\x01\x02\x03");
    stack.temporal.grpc().await.signal(&workflow.id, names::SIGNAL_APPROVE, vec![vote]).await;
    let ignored = |status: &Value| status["ignoredSignals"] == 1;
    workflow.status_where("an ignored signal", ignored).await;
    stack.press(&link, "approve", "as recorded").await;
    workflow
}

/// Of what a rule has decided; there is a follow-up workflow, too.
async fn tell_a_webhook(temporal: &Arc<Temporal>, rules: &str) -> Workflow {
    let receiver = Receiver::refusing(0).await;
    let stack = telling(temporal, rules, &receiver).await;
    let workflow = stack.submit(&submission::routed("19.99")).await;
    workflow.outcome().await;
    workflow
}

/// An operator has started the follow-up workflow by hand, whose namespace is not there; and the receiver wants no more
/// outcomes.
async fn give_up(temporal: &Arc<Temporal>) -> Workflow {
    let receiver = Receiver::that_answers([Answer::Says(410, None, "")]).await;
    let rules = FOLLOW_UP.replace("finance", "nowhere");
    let stack = telling(temporal, &rules, &receiver).await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let start = workflow.pending_failure("nowhere").await;
    workflow.on_activity("complete", &start, &["--result", r#""by hand""#]).await;
    workflow.outcome().await;
    workflow
}

async fn telling(temporal: &Arc<Temporal>, rules: &str, receiver: &Receiver) -> Stack {
    Stack::beside(temporal.clone())
        .with_rules(rules)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", SECRET)
        .start()
        .await
}

/// One of two has decided in the run before.
async fn continue_as_new(stack: &Stack) -> Workflow {
    let both = ["ann@example.com", "bob@example.com"];
    let stage = json!({"reviewers": both, "quorum": "all"});
    let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
    let links = [stack.mail_to(both[0]).await, stack.mail_to(both[1]).await];
    let [ann, bob] = links.map(|mail| mail.link("approve"));
    workflow.until_asked().await;
    stack.press(&ann, "approve", "in the first run").await;
    let grpc = stack.temporal.grpc().await;
    let first = grpc.run(&workflow.id).await;
    let mut mails = 1;
    while grpc.run(&workflow.id).await == first {
        workflow.signal("remind", &json!({})).await;
        mails += 1;
        stack.mails_to(both[1], mails).await;
    }
    stack.press(&bob, "approve", "in another one").await;
    workflow
}

/// Changes are requested, and the submitter makes them, by their links.
async fn send_back(stack: &Stack) -> Workflow {
    let keys = stack.setting("COUNTERSIGN_LINK_KEYS").parse().expect("keys");
    let mut expense = submission::expense(&["fay@example.com", "gus@example.com"]);
    let workflow = stack.submit(&expense).await;
    let grpc = stack.temporal.grpc().await;
    let mail = stack.mail_to("fay@example.com").await;
    workflow.until_asked().await;
    let vote = mail.vote(&keys, Verdict::RequestChanges, "as recorded");
    grpc.signal(&workflow.id, names::SIGNAL_REQUEST_CHANGES, vec![vote]).await;
    let own = stack.own_mail(&workflow).await;
    expense["document"]["amount"] = json!("99.00");
    let revision = own.revision(&keys, &expense);
    grpc.signal(&workflow.id, names::SIGNAL_REVISE, vec![revision]).await;
    let link = stack.mails_to("fay@example.com", 2).await[1].link("approve");
    workflow.until_asked().await;
    stack.press(&link, "approve", "as recorded").await;
    workflow
}

/// The second level's reviewer requests changes, and nobody makes them.
async fn let_changes_expire(stack: &Stack) -> Workflow {
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let link = stack.mail_to("jon@example.com").await.link("reject");
    workflow.until_asked().await;
    stack.press(&link, "request_changes", "as recorded").await;
    workflow
}

/// A reviewer has a colleague asked, who answers what the rule asks for, of an action.
async fn delegate(stack: &Stack) -> Workflow {
    let mut expense = submission::routed("19.99");
    let arguments = json!({"class": "second"});
    expense["document"]["action"] = json!({"name": "travel.book", "arguments": arguments});
    let workflow = stack.submit(&expense).await;
    let link = stack.mail_to("hal@example.com").await.link("approve");
    workflow.until_asked().await;
    let colleague = [("delegate_to", "mae@example.com"), ("reason", "as recorded")];
    stack.reader().submit(&link, &colleague).await;
    let link = stack.mail_to("mae@example.com").await.link("approve");
    workflow.until_asked().await;
    let vote = [("verdict", "approve"), ("comment", "as recorded"), ("answers.budget", "1500")];
    stack.reader().submit(&link, &vote).await;
    workflow
}

/// By the submitter's own link, which they have from the start.
async fn withdraw_by_link(stack: &Stack) -> Workflow {
    let keys = stack.setting("COUNTERSIGN_LINK_KEYS").parse().expect("keys");
    let workflow = stack.submit(&submission::routed("19.99")).await;
    let own = stack.own_mail(&workflow).await;
    workflow.until_asked().await;
    let withdrawal = own.withdrawal(&keys, "as recorded");
    let grpc = stack.temporal.grpc().await;
    grpc.signal(&workflow.id, names::SIGNAL_WITHDRAW, vec![withdrawal]).await;
    workflow
}

fn forget_who_recorded(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            // The queue of one worker, which stands for another one, has its identity in its name.
            let is_own = fields.get("normal_name").is_some_and(|other| other != "");
            for (name, value) in fields {
                if name == "identity" || (is_own && name == "name") {
                    *value = json!("recorded");
                }
                forget_who_recorded(value);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(forget_who_recorded),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_still_being_built_is_recorded_again() {
        let dir = tempfile::tempdir().expect("a directory");
        check_destination(dir.path(), true).expect("nothing is there yet");
        fs::write(dir.path().join("approve.json"), "recorded").expect("written");
        check_destination(dir.path(), false).expect("it may be recorded again");
        let refusal = check_destination(dir.path(), true).expect_err("refused").to_string();
        assert!(refusal.contains("recorded once"), "{refusal}");
    }
}
