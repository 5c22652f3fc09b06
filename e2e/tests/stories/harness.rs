//! The stories' own tools do what the stories rely on.

use std::{fs, panic::AssertUnwindSafe, path::Path, process::Command, time::Duration};

use countersign_e2e::{
    Browser, MailServer, Process, Receiver, Temporal, Topic, eventually, scratch, within,
};
use futures_util::FutureExt;
use serde_json::json;

#[tokio::test]
async fn a_process_ends_with_whoever_started_it_and_takes_its_children_along() {
    let dir = scratch("harness-");
    let mut shell = Command::new("sh");
    shell.args(["-c", "setsid sleep 1000 & echo child $!; exec sleep 1000"]);
    let process = Process::start("shell", dir.path(), &shell);
    let child = eventually("the child's process ID", async || {
        Some(process.log().strip_prefix("child ")?.trim().to_owned())
    })
    .await;
    let both = [process.pid().to_string(), child].map(|pid| format!("/proc/{pid}"));
    eventually("the child to leave for a session of its own", async || {
        fs::read_to_string(format!("{}/cmdline", both[1])).ok()?.starts_with("sleep").then_some(())
    })
    .await;
    assert!(both.iter().all(|process| Path::new(process).exists()));
    drop(process);
    assert!(both.iter().all(|process| !Path::new(process).exists()), "{both:?}");
}

#[tokio::test]
async fn a_test_that_waits_in_vain_fails_and_says_for_what() {
    let wait = within(Duration::from_millis(10), "Godot", async || None::<()>);
    let failure = AssertUnwindSafe(wait).catch_unwind().await.expect_err("a panic");
    let message = failure.downcast::<String>().expect("a message");
    assert!(message.contains("still waiting for Godot"), "{message}");
}

#[tokio::test]
async fn a_process_is_asked_or_forced_to_end_and_tells_how_it_did() {
    let dir = scratch("harness-");
    let mut polite = Command::new("sh");
    polite.args(["-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"]);
    let process = Process::start("polite", dir.path(), &polite);
    eventually("the trap", async || process.log().contains("ready").then_some(())).await;
    assert_eq!(process.terminate().await.code, 7);
    let mut sleep = Command::new("sleep");
    sleep.arg("1000");
    assert_eq!(Process::start("sleep", dir.path(), &sleep).terminate().await.code, 128 + 15);
}

#[tokio::test]
async fn temporal_keeps_its_workflows_when_it_is_killed() {
    let temporal = Temporal::start().await;
    let workflow =
        temporal.start_workflow_with("nobody", "kept", &["--input", r#"{"a": 1}"#]).await;
    workflow.signal("approve", &json!({"comment": "made it"})).await;
    let before = workflow.history().await;
    assert_eq!(before.count("WORKFLOW_EXECUTION_SIGNALED"), 1);
    assert!(!before.0.contains("made it") && before.with_payloads_decoded().contains("made it"));
    temporal.kill().await;
    assert!(!temporal.cli(["operator", "cluster", "health"]).await.status.success());
    temporal.restart().await;
    assert_eq!(workflow.history().await, before);
    let refused = temporal.try_start_workflow("nobody", "kept", &[]).await.err();
    assert!(refused.is_some_and(|error| error.contains("already")), "an ID is used once");
}

#[tokio::test]
async fn the_emulated_topic_filters_by_reviewer() {
    let dir = scratch("harness-");
    let topic = Topic::start(dir.path()).await;
    let ann = topic.subscribe("ann", "ann@example.com").await;
    let bob = topic.subscribe("bob", "bob@example.com").await;
    topic.publish("for ann", "ann@example.com").await;
    let received = ann.messages(1).await;
    assert_eq!(received[0]["Message"], "for ann");
    assert!(bob.is_empty().await);
}

#[tokio::test]
async fn the_mail_server_keeps_envelope_and_message() {
    let dir = scratch("harness-");
    let server = MailServer::start(dir.path()).await;
    server.send("from@example.com", "to@example.com", "Subject: Hello\r\n\r\nText\r\n").await;
    let mails = server.mails_to("to@example.com", 1).await;
    assert_eq!(mails[0].from, "from@example.com");
    assert_eq!(mails[0].mail.subject, "Hello");
}

#[tokio::test]
async fn the_browser_shows_a_page_and_presses_its_button() {
    let dir = scratch("harness-");
    let browser = Browser::start(dir.path()).await;
    let page = "data:text/html;charset=utf-8,<form action='about:blank'><textarea name=comment></textarea>\
                <button name=verdict value=approve>Yes</button></form><p>Déjà vu";
    browser.open(page).await;
    browser.expect("déjà vu").await;
    browser.write_comment("fine").await;
    let typed = browser.evaluate("return document.forms[0].comment.value").await;
    assert_eq!(typed, "fine");
    browser.press("approve").await;
    eventually("the form to be sent", async || {
        let address = browser.evaluate("return location.href").await;
        address.as_str()?.starts_with("about:blank").then_some(())
    })
    .await;
    browser.close().await;
}

#[tokio::test]
async fn the_receiver_refuses_as_often_as_told_and_forgeries_are_noticed() {
    let receiver = Receiver::refusing(1).await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    for status in [503, 204] {
        let sent = client.post(receiver.url()).header("webhook-id", "x").body("{}").send().await;
        assert_eq!(sent.expect("an answer").status(), status);
    }
    let deliveries = receiver.deliveries_until_taken().await;
    assert_eq!(deliveries.len(), 2);
    assert_eq!(deliveries[0].header("webhook-id"), "x");
    let secret = countersign_protos::TEST_WEBHOOK_SECRETS[0];
    assert!(!deliveries[1].is_verified_by_the_standard_library(secret).await);
}
