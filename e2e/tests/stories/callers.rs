//! Who may have the worker act: approvals, and nobody else who can write to the namespace.

use countersign_e2e::{Receiver, Stack, Temporal, json_payload, submission};
use serde_json::json;
use temporalio_common::protos::temporal::api::{
    common::v1::Payload,
    history::v1::{HistoryEvent, history_event::Attributes},
};

/// What a genuine approval had done is asked for again, word for word, from outside of it.
#[tokio::test]
async fn nobody_but_an_approval_has_a_mail_sent_a_webhook_signed_or_a_link_issued() {
    let receiver = Receiver::refusing(0).await;
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_WEBHOOK_URL", receiver.url())
        .with("COUNTERSIGN_WEBHOOK_SECRET", countersign_protos::TEST_WEBHOOK_SECRETS[0])
        .start()
        .await;
    let grpc = stack.temporal.grpc().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.until_asked().await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    workflow.outcome().await;
    let (mails, deliveries) = (stack.outbox_size(), receiver.deliveries_so_far().len());

    let mut asked = scheduled(&grpc.events(&workflow.id).await);
    assert_eq!(asked.len(), 4, "a request, two notices and a webhook");
    let sealed = json!({"json": "{}", "seal": "v1.forged.forged"});
    let follow_up = json!({
        "plan": sealed, "outcome": sealed, "firstRunId": "forged", "encoding": "JsonPlain",
    });
    let evidence = json!({
        "plan": sealed, "firstRunId": "forged", "began": "2026-11-24T09:00:00Z", "journal": [],
    });
    let to_ask = json!({"stage": 0, "round": 0, "whom": {"Level": 0}, "taken": []});
    let issue = json!({
        "plan": sealed, "firstRunId": "forged", "toAsk": to_ask, "openedAt": "2026-11-24T09:00:00Z",
    });
    for (activity, input) in [
        ("start_workflow", follow_up),
        ("issue_links", issue),
        ("conclude", evidence),
        ("validate_submission", submission::expense(&["eve@example.com"])),
    ] {
        asked.push((activity.to_owned(), json_payload(&input)));
    }
    for (activity, input) in asked {
        let queues = match activity.as_str() {
            "process_decision" => vec![stack.queue.clone(), format!("{}-webhook", stack.queue)],
            _ => vec![stack.queue.clone()],
        };
        for queue in queues {
            let refused = grpc.run_for_another(&queue, &activity, vec![input.clone()]).await;
            let refused = refused.unwrap_or_else(|| panic!("{activity} acts for another workflow"));
            assert!(refused.contains("it was called by Rogue"), "{activity}: {refused}");
            let refused = by_nobody(&stack, &queue, &activity, &input).await;
            assert!(refused.contains("it was called outside a workflow"), "{activity}: {refused}");
        }
    }
    assert_eq!(stack.outbox_size(), mails, "no mail");
    assert_eq!(receiver.deliveries_so_far().len(), deliveries, "no webhook");
    assert!(stack.logs().contains("it was called by Rogue"), "operators see it");
}

/// The regular activities of a history, with their inputs.
pub(crate) fn scheduled(events: &[HistoryEvent]) -> Vec<(String, Payload)> {
    let activity = |event: &HistoryEvent| match event.attributes.clone()? {
        Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
            let input = scheduled.input.unwrap_or_default().payloads.pop()?;
            Some((scheduled.activity_type?.name, input))
        }
        _ => None,
    };
    events.iter().filter_map(activity).collect()
}

/// Has an activity run with no workflow around it, and returns why it failed.
async fn by_nobody(stack: &Stack, queue: &str, activity: &str, input: &Payload) -> String {
    let id = stack.new_workflow_id();
    let input = std::str::from_utf8(&input.data).expect("JSON");
    let common = ["--type", activity, "--activity-id", &id, "--task-queue", queue];
    let limits = ["--start-to-close-timeout", "30s", "--output", "json", "--input", input];
    let arguments = [&["activity", "execute"], &common[..], &limits[..]].concat();
    let output = stack.temporal.cli(arguments).await;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!output.status.success(), "{activity} acts for nobody: {said}");
    said
}
