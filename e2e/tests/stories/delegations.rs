//! A reviewer has a colleague asked in their place.

use countersign_e2e::{Browser, Mail, Stack, Temporal, ignored_because, list, submission};
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";
const CY: &str = "cy@example.com";

const DELEGATING: &str = r#"
[default]
name = "Everything"
delegate_to = ["example.com"]

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com", "bob@example.com"]
quorum = "all"
"#;

fn form<'a>(to: &'a str, reason: &'a str) -> [(&'static str, &'a str); 2] {
    [("delegate_to", to), ("reason", reason)]
}

/// By page and by JSON, and by a signal that nobody has signed.
#[tokio::test]
async fn a_colleague_decides_in_a_reviewers_place_who_has_signed_that_and_nobody_else_can_order_it()
{
    let stack = Stack::beside(Temporal::shared().await).with_rules(DELEGATING).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let ann = stack.mail_to(ANN).await.link("approve");
    workflow.until_asked().await;
    let (reader, before) = (stack.reader(), workflow.history().await);
    stack.open(&ann).await.expect(200, &["Ask a colleague instead", "at example.com"]);
    for (to, reason, says) in [
        ("cy@example.org", "why", "Only people with an address at example.com"),
        ("bob@example.com", "why", "bob@example.com is, or was, a reviewer of this already"),
        ("sam@example.com", "why", "The submitter does not decide"),
        ("cy", "You know <b>trains</b>", "Please name your colleague by an e-mail address"),
        (CY, " ", "Please say why"),
    ] {
        let refused = reader.submit(&ann, &form(to, reason)).await;
        refused.expect(422, &["Nobody else was asked", says, "Train to the fair"]);
        assert!(refused.body.contains(&format!("value=\"{to}\"")), "{}", refused.body);
        assert!(!refused.body.contains("<b>trains"), "{}", refused.body);
        let json = reader.submit_as_json(&ann, &form(to, reason)).await;
        assert_eq!(json.status, 422, "{}", json.body);
        let json: Value = serde_json::from_str(&json.body).expect("JSON");
        let field = if to == CY { "reason" } else { "delegate_to" };
        assert_eq!((&json["answer"], &json["field"]), (&json!("invalid"), &json!(field)), "{json}");
    }
    assert_eq!(workflow.history().await, before, "nothing was sent");

    let link = workflow.status().await["stages"][0]["reviewers"][0]["link"].clone();
    workflow.signal("reassign", &json!({"link": link, "to": "eve@example.com"})).await;
    let proof = json!({"signature": "A".repeat(86), "at": "2026-11-24T09:00:00Z"});
    let forged = json!({"link": link, "to": "eve@example.com", "reason": "why", "proof": proof});
    workflow.signal("reassign", &forged).await;
    let status = workflow
        .status_where("that both are ignored", |status| ignored_because(status).len() == 2)
        .await;
    assert!(status["stages"][0]["delegations"].is_null(), "{status}");
    stack.open(&ann).await.expect(200, &["Your decision is needed"]);

    let browser = Browser::start(stack.dir()).await;
    browser.open(&ann).await;
    let fill = format!(
        "document.querySelector('.delegate summary').click();
         document.getElementById('delegate_to').value = '{CY}';
         document.getElementById('reason').value = 'You know trains.';
         document.querySelector('.delegate button').click();"
    );
    browser.evaluate(&fill).await;
    browser.expect("You asked cy@example.com to decide instead").await;
    let went_on = browser.evaluate("return location.search").await;
    assert_eq!(went_on, "?pressed=delegate", "going back sends nothing again");
    browser.close().await;

    let mail: Mail = stack.mail_to(CY).await;
    let says = "ann@example.com passed this to you.";
    assert!(mail.text.contains(says) && mail.text.contains("> You know trains."), "{}", mail.text);
    let cy = mail.link("approve");
    let why = "ann@example.com passed this to you. They were asked by the rule “Everything”";
    stack.open(&cy).await.expect(200, &[why, "You know trains.", "Train to the fair"]);
    let page = stack.open(&ann).await;
    page.expect(200, &["You asked cy@example.com to decide instead", "You know trains."]);
    assert!(!page.says("Train to the fair"), "{}", page.text());
    reader.press(&ann, "approve", "").await.expect(410, &["You asked cy@example.com to decide"]);
    let again = reader.submit_as_json(&ann, &form(CY, "You know trains.")).await;
    let again: Value = serde_json::from_str(&again.body).expect("JSON");
    assert_eq!(again["answer"], "delegated", "{again}");
    reader
        .submit(&cy, &form(ANN, "no time"))
        .await
        .expect(422, &["ann@example.com is, or was, a reviewer of this already"]);

    stack.press(&cy, "approve", "").await.expect(200, &["Recorded: you approved"]);
    let bob = stack.mail_to("bob@example.com").await.link("approve");
    stack.press(&bob, "approve", "").await.expect(200, &["Recorded: you approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!((&outcome["status"], &outcome["operator"]), (&json!("APPROVED"), &Value::Null));
    let delegation = &outcome["stages"][0]["delegations"][0];
    let who = [&delegation["reviewer"], &delegation["to"], &delegation["reason"]];
    assert_eq!(who, ["ann@example.com", CY, "You know trains."], "{delegation}");
    let decisions = &outcome["stages"][0]["decisions"];
    assert_eq!(list(decisions).next().expect("a vote")["insteadOf"], ANN, "{decisions}");
    assert!(outcome["operatorActions"].is_null(), "{outcome}");
    assert_eq!(stack.mails_so_far(ANN).len(), 1, "her page says it all");
    // Two forged ones, the delegation, Ann's press after it, and two votes.
    let events = workflow.history().await;
    assert_eq!(events.count("WORKFLOW_EXECUTION_SIGNALED"), 6, "{}", events.outline());
}

#[tokio::test]
async fn while_no_worker_runs_a_delegation_is_stored_and_takes_effect_later() {
    let mut stack = Stack::beside(Temporal::shared().await).with_rules(DELEGATING).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let ann = stack.mail_to(ANN).await.link("approve");
    workflow.until_asked().await;
    stack.kill_worker().await;
    stack.open(&ann).await.expect(200, &["Ask a colleague instead"]);
    let stored = stack.reader().submit(&ann, &form(CY, "You know trains.")).await;
    stored.expect(
        202,
        &["Stored: cy@example.com is still to be asked", "There is no need to press again"],
    );
    stack.open(&ann).await.expect(410, &["others were asked in your place"]);
    stack.start_worker();
    stack.mail_to(CY).await;
    stack.open(&ann).await.expect(200, &["You asked cy@example.com to decide instead"]);
}
