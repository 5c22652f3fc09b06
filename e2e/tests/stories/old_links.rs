//! Links that can decide nothing any more: an operator has issued a new one, or it is decided.

use countersign_e2e::{Page, Stack, ignored_because, list, submission, text};
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

/// Both have to approve.
fn both() -> Value {
    submission::asking(json!({"stages": [{"reviewers": [ANN, BOB], "quorum": "all"}]}))
}

/// That a page, as HTML and as JSON, names the submission, and shows neither it nor these words.
async fn shows_no_document(stack: &Stack, link: &str, status: u16, hidden: &[&str]) -> Page {
    let (page, json) = (stack.open(link).await, stack.reader().open_as_json(link).await);
    for page in [&page, &json] {
        assert_eq!(page.status, status, "{}", page.body);
        assert!(page.body.contains("exp-2026-0042"), "{}", page.body);
        for hidden in ["Train to the fair", "125.50", "Sam Submitter"].iter().chain(hidden) {
            assert!(!page.body.contains(hidden), "{hidden} is shown: {}", page.body);
        }
    }
    page
}

#[tokio::test]
async fn a_new_link_replaces_the_old_one_and_votes_are_kept() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&both()).await;
    let (old, bob) = (stack.mail_to(ANN).await, stack.mail_to(BOB).await.link("approve"));
    workflow.until_asked().await;
    stack.press(&bob, "approve", "fine").await.expect(200, &["approved"]);
    let deadline = workflow.status().await["stages"][0]["deadline"].clone();

    workflow.signal("reissue", &json!({})).await;
    let new = stack.mails_to(ANN, 2).await.swap_remove(1);
    assert!(new.subject.starts_with("New link: please decide"), "{}", new.subject);
    assert!(new.text.contains("These links replace those in an earlier mail"), "{}", new.text);
    assert_ne!(new.approval_id(), old.approval_id());
    for choice in ["approve", "reject"] {
        let link = old.link(choice);
        stack.open(&link).await.expect(410, &["A new link was mailed to you"]);
        let pressed = stack.press(&link, choice, "stolen").await;
        pressed.expect(410, &["A new link was mailed to you"]);
    }
    let status = workflow.status().await;
    assert_eq!(status["stages"][0]["deadline"], deadline, "{status}");
    let ignored = ignored_because(&status);
    let why = |verdict: &str| format!("{verdict}: {ANN} has a new link");
    assert_eq!(ignored, [why("approve"), why("reject")], "{status}");
    stack.press(&new.link("approve"), "approve", "").await.expect(200, &["Recorded", "APPROVED"]);

    let outcome = workflow.outcome().await;
    let stage = &outcome["stages"][0];
    let votes = list(&stage["decisions"]).map(|vote| [text(&vote["reviewer"]), text(&vote["by"])]);
    assert_eq!(votes.collect::<Vec<_>>(), [[BOB, "link"], [ANN, "link"]], "{outcome}");
    assert!(stage["undecided"].is_null() && outcome["operator"].is_null(), "{outcome}");
    let action = &outcome["operatorActions"][0];
    assert_eq!(action["action"], "reissue", "{outcome}");
    assert_eq!(action["identity"], "operator@example.com", "{outcome}");
    let mails = [ANN, BOB].map(|who| stack.mails_so_far(who).len());
    assert_eq!(mails, [2, 1], "nobody is told that they are not needed");
}

#[tokio::test]
async fn one_reviewer_alone_can_get_a_new_link_and_a_deputy_stays_one() {
    let rules = r#"
[[absences]]
reviewer = "lee@example.com"
deputy = "dee@example.com"
from = 2020-01-01
to = 2099-12-31

[default]
name = "Everything"
stages = [{ reviewers = ["lee@example.com", "ann@example.com"], quorum = "all" }]
"#;
    let temporal = countersign_e2e::Temporal::shared().await;
    let stack = Stack::beside(temporal).with_rules(rules).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let ann = stack.mail_to(ANN).await.link("approve");
    stack.mail_to("dee@example.com").await;
    workflow.until_asked().await;
    workflow.signal("reissue", &json!({"reviewer": "dee@example.com"})).await;
    let dee = stack.mails_to("dee@example.com", 2).await.swap_remove(1);
    assert!(dee.text.contains("instead of lee@example.com, who is away"), "{}", dee.text);
    stack.press(&dee.link("approve"), "approve", "").await.expect(200, &["approved"]);
    stack.press(&ann, "approve", "").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["stages"][0]["decisions"][0]["onBehalfOf"], "lee@example.com", "{outcome}");
    assert_eq!(stack.mails_so_far(ANN).len(), 1, "her link is the same");
}

#[tokio::test]
async fn a_press_on_an_old_link_that_comes_behind_the_new_one_decides_nothing() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&[ANN])).await;
    let old = stack.mail_to(ANN).await.link("approve");
    workflow.until_asked().await;
    stack.kill_worker().await;
    workflow.signal("reissue", &json!({"reviewer": ANN})).await;
    stack.press(&old, "approve", "stolen").await.expect(410, &["This link has been superseded"]);
    stack.start_worker();
    let new = stack.mails_to(ANN, 2).await.swap_remove(1).link("reject");
    stack.press(&new, "reject", "").await.expect(200, &["rejected"]);
    assert_eq!(workflow.outcome().await["status"], "REJECTED");
    let ignored = [format!("approve: {ANN} has a new link")];
    assert_eq!(ignored_because(&workflow.status().await), ignored);
}

#[tokio::test]
async fn a_superseded_link_shows_neither_the_document_nor_what_others_write() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&both()).await;
    let (old, bob) = (stack.mail_to(ANN).await.link("approve"), stack.mail_to(BOB).await);
    workflow.until_asked().await;
    stack.open(&old).await.expect(200, &["Train to the fair", "125.50 USD"]);
    workflow.signal("reissue", &json!({"reviewer": ANN})).await;
    let new = stack.mails_to(ANN, 2).await.swap_remove(1).link("approve");
    stack.press(&bob.link("approve"), "approve", "Bob's remark").await.expect(200, &["approved"]);
    let page = shows_no_document(&stack, &old, 410, &["Bob's remark", "Bob&#39;s remark"]).await;
    page.expect(410, &["A new link was mailed to you", "bob@example.com"]);
    stack.open(&new).await.expect(200, &["Train to the fair", "Bob's remark"]);

    stack.press(&new, "approve", "Ann's remark").await.expect(200, &["Recorded", "Bob's remark"]);
    workflow.outcome().await;
    let page = shows_no_document(&stack, &new, 200, &[]).await;
    page.expect(200, &["APPROVED", "Ann's remark", "Bob's remark"]);
    // Bob decided first, so he has not read hers.
    let hers = ["Ann's remark", "Ann&#39;s remark"];
    let page = shows_no_document(&stack, &bob.link("approve"), 200, &hers).await;
    page.expect(200, &["APPROVED", "Bob's remark"]);
    let remarks = ["Bob's", "Bob&#39;s", "Ann's", "Ann&#39;s"];
    let page = shows_no_document(&stack, &old, 200, &remarks).await;
    page.expect(200, &["APPROVED", "Approved by bob@example.com and ann@example.com."]);
}

#[tokio::test]
async fn while_no_worker_runs_a_replaced_link_shows_no_document_either() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&both()).await;
    let (ann, bob) = (stack.mail_to(ANN).await, stack.mail_to(BOB).await);
    let (old, bob) = (ann.link("approve"), bob.link("approve"));
    workflow.until_asked().await;
    workflow.signal("reissue", &json!({"reviewer": ANN})).await;
    let new = stack.mails_to(ANN, 2).await.swap_remove(1).link("approve");
    stack.kill_worker().await;
    // Nobody issues Bob's new link yet.
    workflow.signal("reissue", &json!({"reviewer": BOB})).await;
    for link in [&old, &bob] {
        let page = shows_no_document(&stack, link, 410, &[]).await;
        page.expect(410, &["This link has been superseded", "a newer mail"]);
        let pressed = stack.press(link, "approve", "").await;
        pressed.expect(410, &["This link has been superseded", "exp-2026-0042"]);
        assert!(!pressed.says("Train to the fair"), "{}", pressed.text());
    }
    stack.open(&new).await.expect(200, &["not running right now", "Train to the fair"]);
}

#[tokio::test]
async fn after_the_close_a_link_shows_the_outcome_and_comments_only_to_who_has_decided() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&[ANN, BOB])).await;
    let (ann, bob) = (stack.mail_to(ANN).await, stack.mail_to(BOB).await.link("approve"));
    let ann = ann.link("approve");
    stack.press(&ann, "approve", "Within budget").await.expect(200, &["Recorded", "APPROVED"]);
    workflow.outcome().await;
    for worker in [true, false] {
        let page = shows_no_document(&stack, &ann, 200, &[]).await;
        page.expect(200, &["APPROVED", "Within budget"]);
        let page = shows_no_document(&stack, &bob, 200, &["Within budget"]).await;
        page.expect(200, &["APPROVED", "Approved by ann@example.com.", "approved on"]);
        let late = stack.press(&bob, "reject", "").await;
        late.expect(409, &["Already decided", "Approved by ann@example.com."]);
        assert!(!late.says("Train to the fair") && !late.says("Within budget"), "{}", late.text());
        if worker {
            stack.stop_worker().await;
            stack.renew_signaler().await;
        }
    }
}
