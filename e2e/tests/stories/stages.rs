//! Stages and quorums.

use countersign_e2e::{Stack, submission};
use serde_json::json;

#[tokio::test]
async fn the_second_stage_is_asked_after_the_first_and_needs_two_of_three() {
    let stack = Stack::start().await;
    let second = ["ann@example.com", "bob@example.com", "cem@example.com"];
    let workflow = stack
        .submit(&submission::asking(json!({"stages": [
            {"name": "Manager", "reviewers": ["lee@example.com"]},
            {"name": "Board", "reviewers": second, "quorum": 2},
        ]})))
        .await;
    let manager = stack.mail_to("lee@example.com").await.link("approve");
    let status = workflow.status().await;
    assert_eq!(status["stages"][1]["status"], "PENDING", "{status}");
    assert!(status["stages"][1]["openedAt"].is_null(), "{status}");
    for reviewer in second {
        assert!(stack.mails_so_far(reviewer).is_empty(), "{reviewer} is asked too early");
    }
    let page = stack.press(&manager, "approve", "go on").await;
    assert_eq!(page.status, 200, "{}", page.text());

    let links = [
        stack.mail_to(second[0]).await.link("approve"),
        stack.mail_to(second[1]).await.link("reject"),
        stack.mail_to(second[2]).await.link("approve"),
    ];
    assert_eq!(stack.press(&links[0], "approve", "yes").await.status, 200);
    assert_eq!(stack.press(&links[1], "reject", "no").await.status, 200);
    assert_eq!(workflow.status().await["status"], "PENDING", "one of two, and one may still come");
    stack.press(&links[2], "approve", "well, yes").await.expect(200, &["approved"]);

    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    assert_eq!(outcome["stages"][0]["name"], "Manager", "{outcome}");
    assert_eq!(outcome["stages"][0]["decisions"].as_array().map(Vec::len), Some(1), "{outcome}");
    assert_eq!(outcome["stages"][1]["decisions"].as_array().map(Vec::len), Some(3), "{outcome}");
}

#[tokio::test]
async fn a_rejection_in_the_first_stage_ends_it_and_the_second_is_never_asked() {
    let stack = Stack::start().await;
    let workflow = stack
        .submit(&submission::asking(json!({"stages": [
            {"reviewers": ["lee@example.com"]},
            {"reviewers": ["ann@example.com"]},
        ]})))
        .await;
    let link = stack.mail_to("lee@example.com").await.link("reject");
    stack.press(&link, "reject", "no").await.expect(200, &["rejected"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "REJECTED", "{outcome}");
    assert_eq!(outcome["stages"].as_array().map(Vec::len), Some(1), "only opened stages count");
    assert!(stack.mails_so_far("ann@example.com").is_empty());
}

#[tokio::test]
async fn everybody_has_to_approve_where_the_quorum_is_all() {
    let stack = Stack::start().await;
    let everybody = |names: [&str; 2]| {
        let reviewers = names.map(|name| format!("{name}@example.com"));
        submission::asking(json!({"stages": [{"reviewers": reviewers, "quorum": "all"}]}))
    };
    let workflow = stack.submit(&everybody(["ann", "bob"])).await;
    let links = [
        stack.mail_to("ann@example.com").await.link("approve"),
        stack.mail_to("bob@example.com").await.link("approve"),
    ];
    assert_eq!(stack.press(&links[0], "approve", "").await.status, 200);
    assert_eq!(workflow.status().await["status"], "PENDING");
    stack.press(&links[1], "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");

    let workflow = stack.submit(&everybody(["cem", "dan"])).await;
    workflow.until_asked().await;
    let link = stack.mail_to("cem@example.com").await.link("reject");
    stack.press(&link, "reject", "").await.expect(200, &["rejected"]);
    assert_eq!(workflow.outcome().await["status"], "REJECTED");
    // Whoever no longer needs to act is told, and finds out on the page too.
    let mails = stack.mails_to("dan@example.com", 2).await;
    assert!(mails[1].text.to_lowercase().contains("rejected"), "{}", mails[1].text);
    assert!(!mails[1].has_links(), "{}", mails[1].text);
    let late = mails[0].link("approve");
    stack.press(&late, "approve", "").await.expect(409, &["rejected", "cem@example.com"]);
}
