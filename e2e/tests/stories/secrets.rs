//! Raw approval IDs are in the mails and nowhere else.

use std::{collections::BTreeSet, fs};

use countersign_e2e::{Collector, MailServer, Receiver, Stack, Temporal, list, submission, text};
use serde_json::json;

#[tokio::test]
async fn no_raw_approval_id_is_in_logs_histories_search_attributes_or_temporals_database() {
    let temporal = Temporal::start().await;
    let receiver = Receiver::refusing(1).await;
    let collector = Collector::start().await;
    let mut stack = Stack::beside(temporal.clone())
        .with_metrics()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .with("OTEL_BSP_SCHEDULE_DELAY", "100")
        .with("COUNTERSIGN_LOG", "debug")
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", countersign_protos::TEST_WEBHOOK_SECRETS[0])
        .start()
        .await;
    let stages = json!({"stages": [
        {"reviewers": ["lee@example.com"], "reminders": ["1s"]},
        {"reviewers": ["ann@example.com", "bob@example.com"], "quorum": "all"},
    ]});
    let workflow = stack.submit(&submission::asking(stages)).await;
    let lee = stack.mails_to("lee@example.com", 2).await[1].clone();
    let reader = stack.reader();
    for link in [lee.link("approve"), lee.link("reject")] {
        reader.head(&link).await;
        reader.open(&link).await;
        reader.open_as_json(&link).await;
        reader.open(&link.to_lowercase().replace('-', "")).await;
        reader.open(&format!("{link}x")).await;
        reader.open(&link.replace("/a/", "/a//")).await;
        reader.submit(&link, &[("verdict", "perhaps")]).await;
    }
    assert_eq!(stack.press(&lee.link("approve"), "approve", "").await.status, 200);
    let ann = stack.mail_to("ann@example.com").await;
    let bob = stack.mail_to("bob@example.com").await;
    stack.press(&ann.link("approve"), "approve", "").await;
    // Also what is written when something is wrong.
    stack.kill_worker().await;
    assert_eq!(stack.press(&bob.link("reject"), "reject", "").await.status, 202);
    stack.open(&bob.link("reject")).await;
    stack.start_worker();
    workflow.outcome().await;
    stack.press(&bob.link("approve"), "approve", "").await.expect(409, &["rejected"]);
    let status = workflow.status().await;
    let attributes = workflow.attributes_where("anything", |_| true).await;
    let history = workflow.history().await.with_payloads_decoded();
    temporal.kill().await;
    assert_eq!(stack.press(&lee.link("reject"), "reject", "").await.status, 503);
    let metrics = [
        stack.watch("worker", "/metrics").await.body,
        stack.watch("signaler", "/metrics").await.body,
    ];
    // What was not sent yet is sent at the end.
    stack.stop().await;

    let ids: BTreeSet<String> = stack
        .outbox()
        .iter()
        .filter(|mail| mail.has_links())
        .map(|mail| mail.approval_id())
        .collect();
    assert_eq!(ids.len(), 3);
    let hashes: Vec<String> = list(&status["stages"])
        .flat_map(|stage| list(&stage["reviewers"]))
        .map(|reviewer| text(&reviewer["link"]))
        .collect();
    assert_eq!(hashes.len(), 3);
    let read = |path: &str| fs::read(path).unwrap_or_default();
    let database = temporal.database().display().to_string();
    let database = [read(&database), read(&format!("{database}-wal"))].concat();
    let logs = stack.logs();
    let places: [(&str, Vec<u8>); 8] = [
        ("the logs", logs.clone().into()),
        ("the history", history.into()),
        ("the search attributes", attributes.to_string().into()),
        ("the status", status.to_string().into()),
        ("Temporal's database", database),
        ("the webhook", receiver.deliveries_so_far().into_iter().flat_map(|d| d.body).collect()),
        ("the traces", collector.bytes()),
        ("the metrics", metrics.concat().into()),
    ];
    for (place, content) in &places {
        for id in &ids {
            assert!(!holds(content, id), "an approval ID is in {place}");
        }
    }
    // The search itself finds what is there: the hashes, and the IDs in a mail.
    for hash in &hashes {
        assert!(holds(&places[1].1, hash), "the history names every link's hash");
        assert!(holds(&places[2].1, hash), "the search attributes name every link's hash");
        assert!(holds(&places[4].1, hash), "the database names every link's hash");
    }
    let traced = collector.spans();
    assert!(traced.iter().any(|span| span.name == "POST /a/{approval-id}/{workflow-id}"));
    assert!(metrics[1].contains("countersign_presses_total"), "{}", metrics[1]);
    assert!(hashes.iter().any(|hash| logs.contains(&hash[..6])), "logs name links by their hash");
    assert!(holds(&lee.raw, &lee.approval_id()));
}

#[tokio::test]
async fn a_mail_server_that_quotes_links_brings_none_into_history_status_or_logs() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = builder.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let workflow = stack.submit(&submission::expense(&["filtered@example.com"])).await;
    let unreachable = |found: &serde_json::Value| found["ApprovalUndeliverable"] == true;
    workflow.attributes_where("a mail that was refused", unreachable).await;
    let status = workflow.status().await;
    let error = text(&status["stages"][0]["reviewers"][0]["deliveryError"]);
    assert!(error.contains("Blocked: http"), "{error}");
    let places = [error, workflow.history().await.with_payloads_decoded(), stack.logs()];
    for place in places {
        for quoted in place.split("/a/").skip(1) {
            assert!(quoted.starts_with('…'), "{place}");
        }
    }
}

/// Whether a text holds an ID, with dashes or without, in whatever case.
pub(crate) fn holds(content: &[u8], id: &str) -> bool {
    let content = String::from_utf8_lossy(content).to_uppercase();
    let bare = id.replace('-', "");
    content.contains(&id.to_uppercase()) || content.contains(&bare.to_uppercase())
}
