//! A person's path: mail, link, page, comment, button, outcome.

use countersign_e2e::{Browser, Stack, Workflow, submission};
use serde_json::{Value, json};

#[tokio::test]
async fn a_reviewer_reads_the_page_in_a_browser_comments_and_approves() {
    let (stack, workflow, browser) = a_reviewer_with_a_browser().await;
    let mail = stack.mail_to("lee@example.com").await;
    browser.open(&mail.link("approve")).await;
    for words in [
        "15 laptops for the platform team",
        "15,750.00 USD",
        "Laptop, 14 inch, 32 GB",
        "14,250.00",
        "USB-C dock",
        "quote-7781.pdf",
        "budget.xlsx",
        "Priya Natarajan",
        "Replaces machines from 2021.",
    ] {
        browser.expect(words).await;
    }
    let too_wide = "return document.documentElement.scrollWidth > window.innerWidth";
    assert_eq!(browser.evaluate(too_wide).await, false, "a phone shows the page's whole width");
    browser.write_comment("Within budget 👍").await;
    browser.press("approve").await;
    browser.expect("Recorded: you approved").await;
    // Neither sends the form again: it would then be recorded already.
    browser.reload().await;
    browser.expect("Recorded: you approved").await;
    browser.back().await;
    assert_eq!(browser.evaluate("return location.search").await, "?choice=approve");
    browser.reload().await;
    browser.expect("lee@example.com (you) approved").await;
    assert_eq!(workflow.history().await.count("WORKFLOW_EXECUTION_SIGNALED"), 1);

    let outcome = workflow.outcome().await;
    assert_decided(&outcome, "APPROVED", "APPROVE", "Within budget 👍");
    browser.open(&mail.link("approve")).await;
    browser.expect("lee@example.com (you) approved").await;
    browser.expect("Within budget 👍").await;
    let mail = stack.mail_to("priya@example.com").await;
    for words in ["approved", "lee@example.com", "Within budget 👍", "15,750.00 USD"] {
        assert!(mail.text.to_lowercase().contains(&words.to_lowercase()), "{words}: {}", mail.text);
    }
    assert!(!mail.has_links(), "the submitter has nothing to decide");
    browser.close().await;
}

#[tokio::test]
async fn mails_and_pages_fit_a_phone_whatever_is_in_them() {
    let stack = Stack::start().await;
    let link = format!("https://files.example/{}", "x".repeat(236));
    let mut laptops = submission::laptops();
    laptops["approval"] = json!({"stages": [{"reviewers": ["lee@example.com"]}]});
    laptops["document"]["title"] = json!(link[..200]);
    laptops["document"]["description"] = json!(format!("See {link}"));
    laptops["document"]["items"][0]["description"] = json!(link);
    laptops["document"]["attachments"] = json!([link]);
    laptops["document"]["amount"] = json!("999999999999998.50");
    let item = |amount: &str| json!({"description": link, "amount": amount, "date": "2026-11-20"});
    let mut items = vec![item("0.25"); 58];
    items.extend([item("999999999999990.00"), item("-6.00")]);
    laptops["document"]["items"] = json!(items);
    stack.submit(&laptops).await;
    let request = stack.mail_to("lee@example.com").await;
    let browser = Browser::start(stack.dir()).await;
    browser.open(&request.link("approve")).await;
    a_long_page_fits_a_phone(&browser).await;
    stack.press(&request.link("reject"), "reject", &link).await.expect(200, &["rejected"]);
    let outcome = stack.mail_to("priya@example.com").await;
    let (asks, told) = ("asks for your decision", "Rejected by lee@example.com");
    for (mail, words) in [(request, asks), (outcome, told)] {
        let file = stack.dir().join("mail.html");
        std::fs::write(&file, &mail.html).expect("a writable directory");
        browser.open(&format!("file://{}", file.display())).await;
        browser.expect(words).await;
        let too_wide = "return document.documentElement.scrollWidth > window.innerWidth";
        assert_eq!(browser.evaluate(too_wide).await, false, "{}", mail.subject);
    }
    browser.close().await;
}

/// Also for who has doubled the size of text.
async fn a_long_page_fits_a_phone(browser: &Browser) {
    browser.expect("999,999,999,999,998.50 USD").await;
    for size in ["100%", "200%"] {
        let wrong = format!(
            "document.documentElement.style.fontSize = '{size}';
            const wrong = [], wide = document.documentElement.scrollWidth - innerWidth;
            if (wide > 0) wrong.push(`${{wide}} px too wide`);
            const lines = (element) => {{
                const range = document.createRange();
                range.selectNodeContents(element);
                return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size;
            }};
            for (const amount of document.querySelectorAll('.sum'))
                if (lines(amount) > 1) wrong.push(`broken: ${{amount.textContent}}`);
            for (const what of document.querySelectorAll('.what'))
                if (what.clientWidth < innerWidth / 2) wrong.push(`narrow: ${{what.clientWidth}} px`);
            return wrong;"
        );
        assert_eq!(browser.evaluate(&wrong).await, json!([]), "{size}");
    }
    let way = "document.documentElement.style.fontSize = '';
        scrollTo(0, 3000);
        const way = document.querySelector('.jump').getBoundingClientRect();
        return scrollY == 3000 && way.top >= 0 && way.bottom < innerHeight;";
    assert_eq!(browser.evaluate(way).await, true, "the way to the decision stays in sight");
    let arrived = "document.querySelector('.jump').click();
        const buttons = [...document.querySelectorAll('button[name=verdict]')];
        const places = buttons.map((button) => button.getBoundingClientRect());
        return places.length == 3 && places.every((it) => it.top > 0 && it.bottom < innerHeight);";
    assert_eq!(browser.evaluate(arrived).await, true, "it leads to all buttons");
    browser.expect("You chose Approve in the mail: press it here to decide").await;
}

#[tokio::test]
async fn a_reviewer_rejects_in_a_browser_and_the_submitter_reads_why() {
    let (stack, workflow, browser) = a_reviewer_with_a_browser().await;
    let mail = stack.mail_to("lee@example.com").await;
    browser.open(&mail.link("reject")).await;
    browser.expect("15,750.00 USD").await;
    browser.write_comment("Not this quarter").await;
    browser.press("reject").await;
    browser.expect("recorded").await;

    let outcome = workflow.outcome().await;
    assert_decided(&outcome, "REJECTED", "REJECT", "Not this quarter");
    let mail = stack.mail_to("priya@example.com").await;
    assert!(mail.text.contains("Not this quarter"), "{}", mail.text);
    assert!(mail.subject.to_lowercase().contains("rejected"), "{}", mail.subject);
    browser.close().await;
}

#[tokio::test]
async fn nobody_answers_and_the_deadline_does_what_the_rules_say() {
    let stack = Stack::start().await;
    for (rule, status) in [("expire", "EXPIRED"), ("reject", "REJECTED"), ("approve", "APPROVED")] {
        let reviewer = format!("late-{rule}@example.com");
        let stage = json!({"reviewers": [reviewer], "deadline": "2s", "onDeadline": rule});
        let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
        let mail = stack.mail_to(&reviewer).await;
        let outcome = workflow.outcome().await;
        assert_eq!(outcome["status"], status, "{outcome}");
        assert_eq!(outcome["stages"][0]["undecided"], json!([reviewer]), "{outcome}");
        // Too late: nobody is told that this click counted.
        let page = stack.press(&mail.link("reject"), "reject", "too late").await;
        let gone = if rule == "expire" { 410 } else { 409 };
        page.expect(gone, &[status]);
        assert_eq!(workflow.outcome().await, outcome);
    }
    let mails = stack.mails_to("sam@example.com", 3).await;
    assert_eq!(mails.len(), 3, "one mail for each outcome");
}

#[tokio::test]
async fn a_reviewer_is_reminded_and_the_reminder_has_the_same_links() {
    let stack = Stack::start().await;
    let stage = json!({"reviewers": ["busy@example.com"], "deadline": "1h", "reminders": ["1s"]});
    let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
    let mails = stack.mails_to("busy@example.com", 2).await;
    assert_eq!(mails[0].approval_id(), mails[1].approval_id());
    stack.press(&mails[1].link("approve"), "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn a_second_press_changes_nothing_and_the_page_says_so() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "first").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    let again = stack.press(&link, "approve", "second").await;
    again.expect(200, &["already", "first"]);
    assert!(!again.says("second"), "what was not recorded is not shown: {}", again.text());
    let third = stack.press(&link, "reject", "third").await;
    third.expect(
        409,
        &["You pressed Reject; nothing was changed", "ann@example.com (you) approved"],
    );
    assert_eq!(workflow.outcome().await, outcome);
    // A program is answered where it asks.
    let fields = [("verdict", "reject")];
    assert_eq!(stack.reader().submit_as_json(&link, &fields).await.status, 409);
    // What anybody can write says nothing.
    let sent_on = stack.reader().submit_only(&link, &fields).await;
    let receipt = sent_on.header("location").strip_prefix("?pressed=").expect("a receipt");
    let page = link.split('?').next().expect("a link");
    let look = async |receipt: &str| stack.open(&format!("{page}?pressed={receipt}")).await;
    look(receipt).await.expect(409, &["You pressed Reject; nothing was changed"]);
    for forged in ["reject", &receipt.replace("reject", "approve"), &receipt[..receipt.len() - 1]] {
        let page = look(forged).await;
        page.expect(200, &["Approved"]);
        assert!(!page.says("You pressed") && !page.says("recorded"), "{forged}: {}", page.text());
    }
}

async fn a_reviewer_with_a_browser() -> (Stack, Workflow, Browser) {
    let stack = Stack::start().await;
    let mut laptops = submission::laptops();
    laptops["approval"] = json!({"stages": [{"reviewers": ["lee@example.com"]}]});
    let workflow = stack.submit(&laptops).await;
    let browser = Browser::start(stack.dir()).await;
    (stack, workflow, browser)
}

#[track_caller]
fn assert_decided(outcome: &Value, status: &str, verdict: &str, comment: &str) {
    let decision = &outcome["stages"][0]["decisions"][0];
    assert_eq!(outcome["status"], status, "{outcome}");
    assert_eq!(decision["verdict"], verdict, "{outcome}");
    assert_eq!(decision["reviewer"], "lee@example.com", "{outcome}");
    assert_eq!(decision["comment"], comment, "{outcome}");
    for time in [&decision["decidedAt"], &outcome["decidedAt"]] {
        let time = time.as_str().unwrap_or_else(|| panic!("no time in {outcome}"));
        let in_utc = time.ends_with('Z') || time.ends_with("+00:00");
        assert!(time.contains('T') && in_utc, "{time} is no RFC 3339 time in UTC");
    }
}
