//! What an operator sees: wrong settings, stops, and mails in the outbox.

use std::{collections::HashMap, time::Duration};

use countersign_e2e::{
    SelfSigned, Stack, Temporal, eventually, free_port, is_encrypted, link_key, list, submission,
    text,
};
use countersign_protos::LinkKeys;
use serde_json::{Value, json};

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
    let mut builder = Stack::beside(Temporal::shared().await);
    for (name, value) in wrong {
        builder = builder.with(name, value);
    }
    let (exit, log) = builder.run("worker", &[]).await;
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
    let mut builder = Stack::beside(Temporal::shared().await);
    for (name, value) in wrong {
        builder = builder.with(name, value);
    }
    let (exit, log) = builder.run("signaler", &[]).await;
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
        let builder = Stack::beside(Temporal::shared().await).without(name);
        let (exit, log) = builder.run(program, &[]).await;
        assert!((1..128).contains(&exit.code), "{program} without {name}: {exit:?}: {log}");
        assert!(log.contains(name), "{program} does not name {name}: {log}");
    }
}

/// To a real server without TLS, and to one with it, whose certificate nobody knows.
#[tokio::test]
async fn where_one_side_has_no_tls_both_programs_stop_within_seconds_and_say_so() {
    let folder = Stack::beside(Temporal::shared().await);
    let server = SelfSigned::start(folder.dir()).await;
    let with_tls = server.url().replace("https://", "").replace("/hook", "");
    for (address, tls, named) in [
        (None, "true", "has no TLS, and the connection would use it: set TEMPORAL_TLS=false"),
        (
            Some(&with_tls),
            "false",
            "expects TLS, and the connection has none: set TEMPORAL_TLS=true",
        ),
        (Some(&with_tls), "true", "Temporal's certificate is not accepted (UnknownIssuer)"),
    ] {
        let mut builder = Stack::beside(Temporal::shared().await).with("TEMPORAL_TLS", tls);
        if let Some(address) = address {
            builder = builder.with("TEMPORAL_ADDRESS", address.as_str());
        }
        for program in ["worker", "signaler"] {
            let (exit, log) = builder.run(program, &[]).await;
            assert_eq!(exit.code, 2, "{program}: {log}");
            assert!(exit.took < Duration::from_secs(15), "{program}: {exit:?}");
            assert!(log.contains(named), "{program} does not say that it {named}: {log}");
        }
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
    let keys: LinkKeys = stack.setting("COUNTERSIGN_LINK_KEYS").parse().expect("keys");
    for process in [stack.worker(), stack.signaler()] {
        let log = process.log();
        assert!(log.contains(&keys.fingerprints()), "an operator can compare the keys: {log}");
        assert!(!log.contains(&old_key) && !log.contains(&new_key), "a key is a secret: {log}");
    }
}

/// As docs/OPERATE.md says, step by step.
#[tokio::test]
async fn after_a_link_key_has_leaked_everybody_is_asked_again_by_links_under_another() {
    const ANN: &str = "ann@example.com";
    const BOB: &str = "bob@example.com";
    let mut stack = Stack::start().await;
    let both = json!({"stages": [{"reviewers": [ANN, BOB], "quorum": "all"}]});
    let workflow = stack.submit(&submission::asking(both)).await;
    let old = [stack.mail_to(ANN).await, stack.mail_to(BOB).await].map(|mail| mail.link("approve"));
    workflow.until_asked().await;
    stack.press(&old[0], "approve", "").await.expect(200, &["you approved"]);

    stack.restart_with("COUNTERSIGN_LINK_KEYS", link_key()).await;
    let reset = ["workflow", "reset", "--workflow-id", &workflow.id, "--type", "FirstWorkflowTask"];
    let without = ["--reapply-exclude", "Signal", "--reason", "A key leaked"];
    stack.temporal.must([&reset[..], &without].concat()).await;
    let (ann, bob) = (stack.mails_to(ANN, 2).await, stack.mails_to(BOB, 2).await);
    workflow.until_asked().await;
    let status = workflow.status().await;
    let reviewers: Vec<&Value> = list(&status["stages"][0]["reviewers"]).collect();
    assert!(reviewers.iter().all(|reviewer| reviewer["vote"].is_null()), "no vote: {status}");
    for link in &old {
        assert_eq!(stack.open(link).await.status, 404, "an old link");
        assert_eq!(stack.press(link, "reject", "").await.status, 404, "an old link");
    }
    for mails in [ann, bob] {
        stack.press(&mails[1].link("approve"), "approve", "").await.expect(200, &["you approved"]);
    }
    let outcome = workflow.outcome().await;
    assert_eq!((&outcome["status"], &outcome["operator"]), (&json!("APPROVED"), &Value::Null));
    let keys: LinkKeys = stack.setting("COUNTERSIGN_LINK_KEYS").parse().expect("a key");
    keys.jwks().verify(&text(&outcome["jws"])).expect("signed with the new key");
}

/// As docs/PERSONAL-DATA.md says.
#[tokio::test]
async fn what_is_kept_of_an_approval_is_exported_and_erased() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    workflow.until_asked().await;
    eventually("a search for her to find what she is asked", async || {
        let hers = "ApprovalReviewers = 'ann@example.com'";
        // Where nobody is named there, by a list of all.
        let query = if is_encrypted() { "ApprovalStatus = 'PENDING'" } else { hers };
        let found = stack.temporal.list(query).await;
        found.contains(&workflow.id).then_some(())
    })
    .await;
    let status = workflow.status().await;
    assert_eq!(status["submission"]["submitter"]["email"], "sam@example.com", "{status}");
    let history = workflow.history().await.with_payloads_decoded();
    assert!(history.contains("Sam Submitter"), "{history}");

    workflow.signal("withdraw", &json!({"reason": "To be erased"})).await;
    assert_eq!(workflow.outcome().await["status"], "WITHDRAWN");
    stack.temporal.must(["workflow", "delete", "--yes", "--workflow-id", &workflow.id]).await;
    let own = format!("WorkflowId = '{}'", workflow.id);
    eventually("no trace in the index", async || {
        stack.temporal.list(&own).await.is_empty().then_some(())
    })
    .await;
    let grpc = stack.temporal.grpc().await;
    eventually("no history", async || grpc.try_events(&workflow.id).await.err()).await;
    eventually("the link to be gone", async || {
        stack.open(&link).await.says("This request no longer exists").then_some(())
    })
    .await;
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
    shown.expect(200, &["125.50 USD", "The same as text"]);
    let html = stack.open(&stack.url(&format!("/outbox/{path}/html"))).await;
    html.expect(200, &["125.50 USD", "Review and approve"]);
    assert!(html.header("content-security-policy").contains("sandbox"), "{:?}", html.headers);
    for outside in ["../signaler.log", "..%2Fsignaler.log", "%2Fetc%2Fpasswd", "nothing.eml"] {
        let page = stack.open(&stack.url(&format!("/outbox/{outside}"))).await;
        assert_eq!(page.status, 404, "{outside}");
    }
}

#[tokio::test]
async fn mails_and_pages_say_who_runs_this() {
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_ORGANIZATION", "Example Corp <it-help@example.com>")
        .start()
        .await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    let mail = stack.mail_to("ann@example.com").await;
    let words = "an approval at Example Corp. If you have questions, or doubt that it is genuine, ask \
                 it-help@example.com";
    assert!(mail.text.contains(words), "{}", mail.text);
    assert!(mail.html.contains("href=\"mailto:it-help@example.com\""), "{}", mail.html);
    stack.open(&mail.link("approve")).await.expect(200, &[words]);
    stack.open(&stack.url("/")).await.expect(200, &[words]);
}

#[tokio::test]
async fn without_the_outbox_notifier_there_is_no_outbox() {
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_NOTIFY", "smtp://127.0.0.1:9")
        .start_without_worker()
        .await;
    assert_eq!(stack.open(&stack.url("/outbox")).await.status, 404);
}

/// Twenty mails and twenty outcomes find nobody. Each attempt counts, and no cause is said twice within
/// a second.
#[tokio::test]
async fn what_fails_is_logged_with_its_cause_and_a_flood_of_it_is_counted() {
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_NOTIFY", format!("smtp://127.0.0.1:{}", free_port()))
        .with("COUNTERSIGN_WEBHOOK_URL", format!("http://127.0.0.1:{}/hook", free_port()))
        .with("COUNTERSIGN_WEBHOOK_SECRET", countersign_protos::TEST_WEBHOOK_SECRETS[0])
        .with("COUNTERSIGN_LOG_FORMAT", "json")
        .start()
        .await;
    let mut workflows = Vec::new();
    for _ in 0..20 {
        let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
        if workflows.is_empty() {
            // The others may be decided before anybody is asked.
            workflow.pending_failure("onnect").await;
        }
        workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
        workflows.push(workflow);
    }
    for workflow in &workflows {
        workflow.pending_failure("the webhook cannot be reached").await;
    }
    let failures = || -> Vec<Value> {
        let log = stack.worker().log();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["fields"]["what"].is_string()).collect()
    };
    eventually("all failed attempts to be counted", async || {
        let of_webhooks = |line: &&Value| line["fields"]["what"] == "webhook";
        let counted: u64 = failures()
            .iter()
            .filter(of_webhooks)
            .map(|line| 1 + line["fields"]["left_out"].as_u64().unwrap_or_default())
            .sum();
        (counted >= 20).then_some(())
    })
    .await;
    let mut last: HashMap<String, f64> = HashMap::new();
    for line in failures() {
        let (fields, level) = (&line["fields"], text(&line["level"]));
        assert_eq!(level, "WARN", "{line}");
        let known = workflows.iter().any(|workflow| fields["workflow_id"] == workflow.id);
        assert!(known && fields["attempt"].is_u64(), "{line}");
        let time = seconds(&text(&line["timestamp"]));
        let before = last.insert(text(&fields["cause"]), time);
        assert!(before.is_none_or(|before| time - before >= 0.99), "twice within a second: {line}");
    }
    // Mails have one cause, so that a line may stand for another mail's attempt; each is made again.
    for what in ["webhook", "request to ann@example.com", "outcome to sam@example.com"] {
        eventually(format!("a line about {what}"), async || {
            failures().iter().any(|line| line["fields"]["what"] == what).then_some(())
        })
        .await;
    }
    let log = stack.worker().log();
    assert!(log.contains("COUNTERSIGN_WEBHOOK_URL: cannot connect"), "{log}");
}

/// The seconds of the day of a time as logs have it, such as 2026-11-25T08:05:00.25Z.
fn seconds(timestamp: &str) -> f64 {
    let time = timestamp.trim_end_matches('Z').split_once('T').expect("a time").1;
    let parts: Vec<f64> = time.split(':').map(|part| part.parse().expect("a number")).collect();
    parts[0] * 3_600.0 + parts[1] * 60.0 + parts[2]
}
