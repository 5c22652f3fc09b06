//! What a reviewer's page asks before a decision counts, and why it asks them.

use countersign_e2e::{
    Browser, Mail, Page, Reader, Stack, Temporal, Workflow, list, rules, submission, text,
};
use serde_json::{Value, json};

const ANN: &str = "ann@example.com";

const CONFIRM: &str = r#"
[default]
name = "Everything"
confirm = true

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
"#;

/// An approval that waits for Ann, and her mail.
async fn asked() -> (Stack, Workflow, Mail) {
    let stack = Stack::beside(Temporal::shared().await).with_rules(CONFIRM).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let mail = stack.mail_to(ANN).await;
    workflow.until_asked().await;
    (stack, workflow, mail)
}

/// Presses on both pages, to approve or to reject.
async fn decide(reader: &Reader, link: &str, verdict: &str, comment: &str) -> Page {
    let first = reader.press(link, verdict, comment).await;
    first.expect(200, &["Not recorded yet", &format!("You are about to {verdict} this")]);
    let nonce = first.hidden("confirm");
    let fields = [("verdict", verdict), ("comment", comment), ("confirm", &*nonce)];
    reader.submit(link, &fields).await
}

#[tokio::test]
async fn a_scanner_that_presses_every_button_of_the_page_decides_nothing() {
    let (stack, workflow, mail) = asked().await;
    let (reader, before) = (stack.reader(), workflow.history().await);
    for choice in ["approve", "reject"] {
        let link = mail.link(choice);
        let page = stack.open(&link).await;
        page.expect(200, &["You confirm your decision on the next page"]);
        let abouts = ["approve this", "reject this", "request changes"];
        assert_eq!(page.buttons().len(), abouts.len(), "{}", page.body);
        for ((name, value), about) in page.buttons().into_iter().zip(abouts) {
            // One that fills in each field, too: changes are requested with a comment alone.
            let pressed = reader.submit(&link, &[(&*name, &*value), ("comment", "x")]).await;
            let about = format!("You are about to {about}");
            let says = ["Not recorded yet", "Train to the fair", "50.00 USD", &*about];
            pressed.expect(200, &says);
            let empty = reader.submit(&link, &[(&*name, &*value), ("comment", "")]).await;
            match &*value {
                "request_changes" => empty.expect(422, &["say which in a comment"]),
                _ => empty.expect(200, &says),
            };
        }
    }
    assert_eq!(workflow.history().await, before);
    let link = mail.link("approve");
    decide(&reader, &link, "approve", "").await.expect(200, &["Recorded: you approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn a_confirmation_is_for_one_decision_and_its_comment_survives() {
    let (stack, workflow, mail) = asked().await;
    let (reader, link) = (stack.reader(), mail.link("reject"));
    let comment = "Too dear.\r\nSee <the quote>";
    let first = reader.press(&link, "reject", comment).await;
    first.expect(200, &["Not recorded yet", "Too dear."]);
    let nonce = first.hidden("confirm");
    let before = workflow.history().await;
    for (verdict, comment, nonce) in
        [("approve", comment, &*nonce), ("reject", "Fine", &*nonce), ("reject", comment, "1.x")]
    {
        let fields = [("verdict", verdict), ("comment", comment), ("confirm", nonce)];
        reader.submit(&link, &fields).await.expect(200, &["Not recorded yet"]);
    }
    assert_eq!(workflow.history().await, before);
    let fields = [("verdict", "reject"), ("comment", comment), ("confirm", &*nonce)];
    reader.submit(&link, &fields).await.expect(200, &["Recorded: you rejected"]);
    reader.submit(&link, &fields).await.expect(200, &["Already recorded"]);
    let vote = &workflow.outcome().await["stages"][0]["decisions"][0];
    assert_eq!(vote["comment"], "Too dear.\nSee <the quote>", "{vote}");
}

const COMMENTED: &str = r#"
[operators]
may_decide = true

[default]
name = "Everything"
comment_required = ["reject"]

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
"#;

#[tokio::test]
async fn a_rejection_without_the_comment_that_the_rule_requires_counts_nowhere() {
    let mut stack = Stack::beside(Temporal::shared().await).with_rules(COMMENTED).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    let link = stack.mail_to(ANN).await.link("reject");
    workflow.until_asked().await;
    let (reader, before) = (stack.reader(), workflow.history().await);
    let required = "To reject, a comment is required";
    let refused = reader.press(&link, "reject", " ").await;
    refused.expect(422, &[required, "Train to the fair", "You pressed Reject"]);
    let json = reader.submit_as_json(&link, &[("verdict", "reject")]).await;
    let json: Value = serde_json::from_str(&json.body).expect("JSON");
    assert_eq!((&json["answer"], &json["field"]), (&json!("invalid"), &json!("comment")), "{json}");
    let seen = reader.open_as_json(&link).await;
    let seen: Value = serde_json::from_str(&seen.body).expect("JSON");
    assert_eq!(seen["approval"]["commentRequired"], json!(["REJECT"]), "{seen}");
    assert_eq!(workflow.history().await, before, "nothing was sent");

    let browser = Browser::start(stack.dir()).await;
    browser.open(&link).await;
    browser.press("reject").await;
    let is_asked = "return document.activeElement.id + location.search";
    assert_eq!(browser.evaluate(is_asked).await, "comment?choice=reject", "it asks for one itself");
    browser.close().await;

    stack.kill_worker().await;
    reader.press(&link, "reject", "").await.expect(422, &[required]);
    workflow.signal("reject", &json!({"reviewer": ANN})).await;
    stack.start_worker();
    let ignored = "ann@example.com wrote no comment, which the rule requires to reject";
    workflow
        .status_where("that it was ignored", |status| {
            list(&status["ignoredBecause"]).any(|why| text(why).contains(ignored))
        })
        .await;
    reader.press(&link, "reject", "Too dear").await.expect(200, &["Recorded: you rejected"]);
    let vote = &workflow.outcome().await["stages"][0]["decisions"][0];
    assert_eq!((&vote["comment"], &vote["by"]), (&json!("Too dear"), &json!("link")), "{vote}");
}

const ASKING: &str = r#"
[operators]
may_decide = true

[default]
name = "Everything"
confirm = true
fields = [
    { name = "budget", label = "Budget in EUR", type = "number", required_for = ["approve"] },
    { name = "from", label = "From which year?", type = "choice", choices = ["2026", "2027"] },
    { name = "urgent", label = "Is it urgent?", type = "yes_no" },
]

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com", "bob@example.com"]
quorum = "all"
"#;

#[tokio::test]
async fn a_reviewer_fills_in_what_is_asked_for_and_the_outcome_has_it() {
    let stack = Stack::beside(Temporal::shared().await).with_rules(ASKING).start().await;
    let mut routed = submission::routed("50.00");
    routed["fields"] = json!([{"name": "why", "label": "Why?"}]);
    let workflow = stack.submit(&routed).await;
    let link = stack.mail_to(ANN).await.link("approve");
    workflow.until_asked().await;
    let (reader, before) = (stack.reader(), workflow.history().await);
    let wrong = [("verdict", "approve"), ("answers.from", "2025"), ("answers.other", "x")];
    let json = reader.submit_as_json(&link, &wrong).await;
    assert_eq!(json.status, 422, "{}", json.body);
    let json: Value = serde_json::from_str(&json.body).expect("JSON");
    let named: Vec<String> = list(&json["problems"]).map(|wrong| text(&wrong["field"])).collect();
    assert_eq!(named, ["answers.budget", "answers.from", "answers"], "{json}");
    assert_eq!(workflow.history().await, before, "nothing was sent");

    let browser = Browser::start(stack.dir()).await;
    browser.open(&link).await;
    browser.write("answers.budget", "1,5").await;
    browser.choose("answers.from", "2027").await;
    browser.choose("answers.urgent", "no").await;
    browser.write("answers.why", "Two lines,\nboth kept").await;
    browser.press("approve").await;
    browser.expect("“Budget in EUR” must be a number").await;
    let kept = "return ['budget', 'from', 'why'].map(name => \
                document.getElementsByName('answers.' + name)[0].value).join('|')";
    assert_eq!(browser.evaluate(kept).await, "1,5|2027|Two lines,\nboth kept");
    assert_eq!(workflow.history().await, before, "nothing was sent");
    browser.write("answers.budget", "1500.50").await;
    browser.press("approve").await;
    browser.expect("You are about to approve this").await;
    browser.expect("Budget in EUR 1500.5").await;
    browser.press("approve").await;
    browser.expect("Recorded: you approved").await;
    browser.close().await;

    let by_hand = |answers: Value| json!({"reviewer": "bob@example.com", "answers": answers});
    workflow.signal("approve", &by_hand(json!({"budget": true}))).await;
    workflow.signal("approve", &by_hand(json!({"budget": 7, "urgent": true}))).await;
    let outcome = workflow.outcome().await;
    let votes: Vec<Value> = list(&outcome["stages"][0]["decisions"])
        .map(|vote| list(&vote["answers"]).map(|it| it["value"].clone()).collect())
        .collect();
    let anns = json!(["1500.5", "2027", "no", "Two lines,\nboth kept"]);
    assert_eq!(votes, [anns, json!(["7", "yes"])], "{outcome}");
    assert_eq!(outcome["stages"][0]["decisions"][0]["by"], "link", "{outcome}");
    let ignored = workflow.status().await["ignoredBecause"].to_string();
    assert!(ignored.contains("bob@example.com: `budget` must be a number"), "{ignored}");
    let told = stack.mail_to("sam@example.com").await;
    for words in ["Budget in EUR: 1500.5", "From which year?: 2027", "Budget in EUR: 7"] {
        assert!(told.text.contains(words), "{words}: {}", told.text);
    }
}

#[tokio::test]
async fn a_program_confirms_with_what_the_answer_gives_it() {
    let (stack, workflow, mail) = asked().await;
    let (reader, link) = (stack.reader(), mail.link("approve"));
    let first = reader.submit_as_json(&link, &[("verdict", "approve")]).await;
    assert_eq!(first.status, 428, "{}", first.body);
    let json: Value = serde_json::from_str(&first.body).expect("JSON");
    assert_eq!(json["answer"], "unconfirmed", "{json}");
    let nonce = json["confirm"].as_str().expect("what confirms it");
    let second = reader.submit_as_json(&link, &[("verdict", "approve"), ("confirm", nonce)]).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn while_no_worker_runs_a_decision_is_confirmed_too() {
    let (mut stack, workflow, mail) = asked().await;
    stack.kill_worker().await;
    let link = mail.link("approve");
    let why = "You are asked by the rule “Everything” in the stage “Review”.";
    stack.open(&link).await.expect(200, &["You confirm your decision on the next page", why]);
    decide(&stack.reader(), &link, "approve", "").await.expect(202, &["recorded"]);
    stack.start_worker();
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn a_person_confirms_in_a_browser() {
    let (stack, workflow, mail) = asked().await;
    let browser = Browser::start(stack.dir()).await;
    browser.open(&mail.link("approve")).await;
    browser.write_comment("Within budget 👍").await;
    browser.press("approve").await;
    browser.expect("You are about to approve this").await;
    browser.expect("50.00 USD").await;
    browser.press("approve").await;
    browser.expect("Recorded: you approved").await;
    let vote = &workflow.outcome().await["stages"][0]["decisions"][0];
    assert_eq!(vote["comment"], "Within budget 👍", "{vote}");
    browser.close().await;
}

#[tokio::test]
async fn a_page_says_by_what_in_which_stage_and_in_whose_place_one_is_asked() {
    let stack = Stack::beside(Temporal::shared().await).with_rules(rules::LONG_WAY).start().await;
    stack.submit(&submission::routed("5000.00")).await;
    let dee = stack.mail_to("dee@example.com").await.link("approve");
    let why = "You are asked by the rule “Everything else” in the stage “Manager”, as the deputy \
               of lee@example.com, who is away.";
    stack.open(&dee).await.expect(200, &[why]);

    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&[ANN])).await;
    let ann = stack.mail_to(ANN).await.link("approve");
    let why = "You are asked as the submission says in the stage “Review”.";
    stack.open(&ann).await.expect(200, &[why]);
    workflow.signal("reassign", &json!({"reviewer": ANN, "to": "cy@example.com"})).await;
    let cy = stack.mail_to("cy@example.com").await.link("approve");
    let why = "An operator asked you in place of ann@example.com.";
    stack.open(&cy).await.expect(200, &[why]);
}
