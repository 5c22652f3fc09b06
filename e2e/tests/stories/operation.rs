//! What an operator sees: wrong settings, stops, and mails in the outbox.

use std::time::Duration;

use countersign_e2e::{Stack, Temporal, eventually, link_key, submission};

#[tokio::test]
async fn wrong_settings_stop_the_start_and_are_all_named_at_once() {
    let wrong = [
        ("COUNTERSIGN_LINK_KEYS", "c2hvcnQ="),
        ("COUNTERSIGN_PUBLIC_URL", "not a url"),
        ("COUNTERSIGN_NOTIFY", "pigeon:loft"),
        ("COUNTERSIGN_MAIL_FROM", "nobody"),
        ("COUNTERSIGN_REVIEWERS", "ann@example.com,bob"),
        ("COUNTERSIGN_WEBHOOK_URL", "ftp//x"),
        ("COUNTERSIGN_WEBHOOK_SECRET", "whsec_%"),
    ];
    let mut installation = Stack::beside(Temporal::shared().await);
    for (name, value) in wrong {
        installation = installation.with(name, value);
    }
    let (exit, log) = installation.run("worker", &[]).await;
    assert!((1..128).contains(&exit.code), "{exit:?}: {log}");
    for (name, _) in wrong {
        assert!(log.contains(name), "{name} is not named: {log}");
    }
    assert!(!log.contains("c2hvcnQ="), "a key is a secret, also a wrong one: {log}");

    let wrong = [
        ("COUNTERSIGN_LINK_KEYS", "c2hvcnQ="),
        ("COUNTERSIGN_PUBLIC_URL", "not a url"),
        ("COUNTERSIGN_LISTEN", "everywhere"),
    ];
    let mut installation = Stack::beside(Temporal::shared().await);
    for (name, value) in wrong {
        installation = installation.with(name, value);
    }
    let (exit, log) = installation.run("signaler", &[]).await;
    assert!((1..128).contains(&exit.code), "{exit:?}: {log}");
    for (name, _) in wrong {
        assert!(log.contains(name), "{name} is not named: {log}");
    }
}

#[tokio::test]
async fn a_missing_setting_stops_the_start_too() {
    for (name, program) in [
        ("COUNTERSIGN_LINK_KEYS", "worker"),
        ("COUNTERSIGN_PUBLIC_URL", "worker"),
        ("COUNTERSIGN_LINK_KEYS", "signaler"),
        ("COUNTERSIGN_PUBLIC_URL", "signaler"),
    ] {
        let installation = Stack::beside(Temporal::shared().await).without(name);
        let (exit, log) = installation.run(program, &[]).await;
        assert!((1..128).contains(&exit.code), "{program} without {name}: {exit:?}: {log}");
        assert!(log.contains(name), "{program} does not name {name}: {log}");
    }
}

#[tokio::test]
async fn worker_and_signaler_stop_in_time_when_asked_and_another_worker_goes_on() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    let stopped = stack.stop_worker().await;
    assert_eq!(stopped.code, 0, "{}", stack.logs());
    assert!(stopped.took < Duration::from_secs(10), "{stopped:?}");
    stack.press(&link, "approve", "").await.expect(202, &["recorded"]);
    stack.start_worker();
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    let stopped = stack.stop_signaler().await;
    assert_eq!(stopped.code, 0, "{}", stack.logs());
    assert!(stopped.took < Duration::from_secs(10), "{stopped:?}");
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_while_it_starts_stops() {
    let mut stack = Stack::beside(Temporal::shared().await).start_without_worker().await;
    for attempt in 1..=5 {
        stack.start_worker();
        eventually("the worker to reach Temporal", async || {
            let reached = stack.worker().log().matches("connected to Temporal").count();
            (reached == attempt).then_some(())
        })
        .await;
        let stopped = stack.stop_worker().await;
        assert_eq!(stopped.code, 0, "{}", stack.logs());
        assert!(stopped.took < Duration::from_secs(10), "{stopped:?}");
    }
}

/// SQL stores accept search attributes some two seconds after they were registered.
#[tokio::test]
async fn in_a_new_namespace_no_first_task_fails_and_links_open_at_once() {
    let temporal = Temporal::shared().await;
    let namespace = format!("new-{}", uuid::Uuid::new_v4().simple());
    temporal.must(["operator", "namespace", "create", "--namespace", &namespace]).await;
    let mut stack = Stack::beside(temporal.clone())
        .with("TEMPORAL_NAMESPACE", &namespace)
        .start_without_worker()
        .await;
    let expense = submission::expense(&["ann@example.com"]);
    let file = submission::write(stack.dir(), "expense", &expense);
    let file = file.to_str().expect("a UTF-8 path");
    let arguments = ["--namespace", &namespace, "--input-file", file];
    // Temporal itself knows a new namespace only after a while.
    eventually("the namespace to take a workflow", async || {
        temporal.try_start_workflow(&stack.queue, "expense", &arguments).await.ok()
    })
    .await;
    stack.start_worker();
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.open(&link).await.expect(200, &["Your decision is needed"]);
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    let history = temporal.history_in(&namespace, "expense").await;
    assert_eq!(history.count("WORKFLOW_TASK_FAILED"), 0, "{}", history.outline());
}

#[tokio::test]
async fn links_outlive_their_key_as_long_as_it_is_still_listed() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let old = stack.mail_to("ann@example.com").await.link("approve");
    workflow.until_asked().await;
    let (old_key, new_key) = (stack.setting("COUNTERSIGN_LINK_KEYS").to_owned(), link_key());
    stack.restart_with("COUNTERSIGN_LINK_KEYS", new_key.as_str()).await;
    assert_eq!(stack.open(&old).await.status, 404, "the old key is retired");
    stack.restart_with("COUNTERSIGN_LINK_KEYS", format!("{new_key},{old_key}")).await;
    stack.press(&old, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn logs_for_machines_are_json_line_by_line() {
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_LOG_FORMAT", "json")
        .start()
        .await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    stack.open(&stack.mail_to("ann@example.com").await.link("approve")).await;
    let logs = stack.logs();
    assert!(logs.lines().count() > 3, "{logs}");
    for line in logs.lines() {
        let entry: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(entry.is_ok_and(|entry| entry["level"].is_string()), "{line}");
    }
}

#[tokio::test]
async fn logs_that_go_to_a_file_have_no_colours() {
    let stack = Stack::start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    stack.open(&stack.mail_to("ann@example.com").await.link("approve")).await;
    let logs = stack.logs();
    assert!(!logs.is_empty() && !logs.contains('\u{1b}'), "{logs}");
}

#[tokio::test]
async fn the_outbox_lists_the_mails_and_shows_each_one() {
    let stack = Stack::start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    let mail = stack.mail_to("ann@example.com").await;
    let outbox = stack.open(&stack.url("/outbox")).await;
    outbox.expect(200, &["ann@example.com", &mail.subject]);
    let (_, rest) = outbox.body.split_once("/outbox/").expect("a link to a mail");
    let path = rest.split(['"', '\'', '>']).next().expect("a path");
    let shown = stack.open(&stack.url(&format!("/outbox/{path}"))).await;
    shown.expect(200, &["125.50 USD"]);
    for outside in ["../signaler.log", "..%2Fsignaler.log", "%2Fetc%2Fpasswd", "nothing.eml"] {
        let page = stack.open(&stack.url(&format!("/outbox/{outside}"))).await;
        assert_eq!(page.status, 404, "{outside}");
    }
}

#[tokio::test]
async fn without_the_outbox_notifier_there_is_no_outbox() {
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_NOTIFY", "smtp://127.0.0.1:9")
        .start_without_worker()
        .await;
    assert_eq!(stack.open(&stack.url("/outbox")).await.status, 404);
}
