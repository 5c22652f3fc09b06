//! Links: opening one changes nothing, pressing counts once, and the page tells the truth.

use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

use axum::{Router, response::Html, routing::get};
use countersign_e2e::{
    Browser, Mail, Reader, Stack, Temporal, eventually, json_payload, submission, within,
};
use countersign_protos::{ApprovalId, LinkHash, names};
use futures_util::{StreamExt, future::join_all, stream};
use tokio::net::TcpListener;

#[tokio::test]
async fn opening_both_links_a_thousand_times_changes_nothing() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let mail = stack.mail_to("ann@example.com").await;
    let links = ["approve", "reject"].map(|choice| mail.link(choice));
    workflow.until_asked().await;
    stack.open(&links[0]).await.expect(200, &["125.50 USD"]);
    let before = workflow.history().await;
    let reader = &stack.reader();
    for link in &links {
        assert_eq!(reader.head(link).await.status, 200);
        assert_eq!(reader.head(link).await.body, "");
    }
    for batch in 0..125 {
        let pages = (0..8).map(|i| reader.open(&links[(batch + i) % 2]));
        for page in join_all(pages).await {
            page.expect(200, &["Train to the fair"]);
        }
    }
    assert_eq!(workflow.history().await, before);
    stack.press(&links[1], "reject", "read it").await.expect(200, &["rejected"]);
    assert_ne!(workflow.history().await, before, "the comparison notices a decision");
}

const CONNECTIONS: usize = 50;
const LOOK_UP: &str = "ListWorkflowExecutions";

/// A namespace may ask the index ten times a second. A mailed link names its workflow; typed IDs share requests.
#[tokio::test]
async fn two_thousand_links_need_no_index_and_as_many_typed_ids_a_hundred_requests() {
    const APPROVALS: usize = 125;
    const REVIEWERS: usize = 16;
    let temporal = Temporal::start_with(&["frontend.namespaceRPS.visibility=10"]).await;
    let mut stack = Stack::beside(temporal.clone()).start().await;
    let grpc = temporal.grpc().await;
    let reviewers = (0..REVIEWERS).map(|number| format!("r{number}@x.org")).collect::<Vec<_>>();
    let reviewers: Vec<&str> = reviewers.iter().map(String::as_str).collect();
    let input = json_payload(&submission::expense(&reviewers));
    for _ in 0..APPROVALS {
        grpc.start(&stack.queue, &stack.new_workflow_id(), vec![input.clone()]).await;
    }
    let everybody = APPROVALS * REVIEWERS;
    within(Duration::from_secs(600), "a mail to everybody", async || {
        (stack.outbox_size() >= everybody).then_some(())
    })
    .await;
    let mails = stack.outbox();
    let links: BTreeSet<String> = mails.iter().map(|mail: &Mail| mail.link("approve")).collect();
    assert_eq!(links.len(), everybody, "everybody has a link of their own");

    let links: Vec<String> = links.into_iter().collect();
    let refused = open_all(&links).await;
    assert_eq!(refused, [], "{} were not answered", refused.len());
    // The server counts calls in order, and says so a second later.
    temporal.list("WorkflowType = 'None'").await;
    let calls = eventually("a look-up", async || {
        let calls = temporal.calls(LOOK_UP).await;
        (calls > 0).then_some(calls)
    })
    .await;
    assert_eq!(calls, 1, "nobody else has asked the index");

    // Others claim the links of twenty of them.
    let ids: Vec<String> = mails.iter().map(Mail::approval_id).collect();
    let hashes = ids[..20].iter().map(|id| id.parse::<ApprovalId>().expect("an ID").hash());
    let hashes: Vec<LinkHash> = hashes.collect();
    let claimed: Vec<&str> = hashes.iter().map(LinkHash::as_str).collect();
    for _ in 0..20 {
        let decoy = stack.new_workflow_id();
        grpc.start_with_links("nowhere", &decoy, vec![input.clone()], &claimed).await;
    }
    let claims = format!("{} = '{}'", names::ATTRIBUTE_LINKS, claimed[0]);
    eventually("the decoys in the index", async || {
        (temporal.list(&claims).await.len() == 21).then_some(())
    })
    .await;
    stack.renew_signaler().await;
    let before = look_ups(&temporal).await;
    let typed: Vec<String> = ids.iter().map(|id| stack.url(&format!("/a/{id}"))).collect();
    let refused = open_all(&typed).await;
    assert_eq!(refused, [], "{} were not answered", refused.len());
    let asked = look_ups(&temporal).await - before;
    assert!((40..=100).contains(&asked), "{asked} requests for {everybody} IDs");
    // What is known is not looked up again, nor is what nobody has issued.
    let forged = stack.url("/a/7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T");
    assert_eq!(stack.open(&forged).await.status, 404);
    assert_eq!(open_all(&typed[..50]).await, []);
    assert_eq!(look_ups(&temporal).await - before, asked);
    over_its_limits(&stack).await;
}

/// Opens these over fifty connections; what was not answered as it should be.
async fn open_all(links: &[String]) -> Vec<(u16, String)> {
    let opened = stream::iter(links.chunks(links.len() / CONNECTIONS)).map(async |links| {
        let reader = Reader::default();
        let mut refused = Vec::new();
        for link in links {
            let page = reader.open(link).await;
            // A worker that is slower than a query waits is one that does not run: they can still decide.
            let right = page.status == 200 && page.says("Train to the fair");
            refused.extend((!right).then(|| (page.status, page.text())));
        }
        refused
    });
    opened.buffer_unordered(CONNECTIONS).concat().await
}

/// How often the index was asked so far. The server counts calls in order, and says so a second later.
async fn look_ups(temporal: &Temporal) -> u64 {
    const MARK: &str = "DescribeTaskQueue";
    let marked = temporal.calls(MARK).await;
    temporal.must(["task-queue", "describe", "--task-queue", "nowhere"]).await;
    eventually("the server to count", async || (temporal.calls(MARK).await > marked).then_some(()))
        .await;
    temporal.calls(LOOK_UP).await
}

/// What the tools say of a namespace that is asked more than it may be.
async fn over_its_limits(stack: &Stack) {
    let grpc = stack.temporal.grpc().await;
    let busy = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            every.tick().await;
            let grpc = grpc.clone();
            tokio::spawn(async move { grpc.try_count("WorkflowType = 'None'").await });
        }
    });
    let (_, found) = stack.tool(&["doctor"]).await;
    busy.abort();
    for words in ["limits", "over a limit", "frontend.namespaceRPS.visibility"] {
        assert!(found.contains(words), "{words}: {found}");
    }
}

#[tokio::test]
async fn two_reviewers_who_race_get_one_outcome_and_two_pages_that_agree_with_it() {
    let stack = Stack::start().await;
    let mut winners = [0, 0];
    for round in 0..10 {
        let reviewers = ["ann", "bob"].map(|name| format!("{name}-{round}@example.com"));
        let workflow =
            stack.submit(&submission::expense(&reviewers.each_ref().map(|r| &**r))).await;
        let approve = stack.mail_to(&reviewers[0]).await.link("approve");
        let reject = stack.mail_to(&reviewers[1]).await.link("reject");
        let (approved, rejected) = if round % 2 == 0 {
            tokio::join!(stack.press(&approve, "approve", ""), stack.press(&reject, "reject", ""))
        } else {
            let (second, first) = tokio::join!(
                stack.press(&reject, "reject", ""),
                stack.press(&approve, "approve", "")
            );
            (first, second)
        };
        let outcome = workflow.outcome().await;
        let (winner, says, denies) = match outcome["status"].as_str() {
            Some("APPROVED") => (0, "approved", "rejected"),
            Some("REJECTED") => (1, "rejected", "approved"),
            other => panic!("undecided: {other:?}"),
        };
        winners[winner] += 1;
        let pages = [approved, rejected];
        pages[winner].expect(200, &[says]);
        pages[1 - winner].expect(409, &[says, &reviewers[winner]]);
        for page in &pages {
            assert!(!page.says(denies), "{outcome}: {}", page.text());
        }
        let decisions = &outcome["stages"][0]["decisions"];
        assert_eq!(decisions.as_array().map(Vec::len), Some(1), "{outcome}");
        assert_eq!(decisions[0]["reviewer"], reviewers[winner], "{outcome}");
    }
    println!("approve won {} times, reject {} times", winners[0], winners[1]);
}

#[tokio::test]
async fn the_same_press_ten_times_at_once_is_one_event() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    let reader = stack.reader();
    let pages = join_all((0..10).map(|_| reader.press(&link, "approve", "once"))).await;
    for page in pages {
        page.expect(200, &["approved"]);
    }
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    assert_eq!(workflow.history().await.count("WORKFLOW_EXECUTION_SIGNALED"), 1);
}

#[tokio::test]
async fn a_press_right_after_the_mail_is_not_too_early() {
    let stack = Stack::start().await;
    for round in 0..5 {
        let reviewer = format!("quick-{round}@example.com");
        let workflow = stack.submit(&submission::expense(&[&reviewer])).await;
        let link = stack.mail_to(&reviewer).await.link("approve");
        stack.press(&link, "approve", "").await.expect(200, &["approved"]);
        assert_eq!(workflow.outcome().await["status"], "APPROVED");
    }
}

#[tokio::test]
async fn forged_and_mistyped_ids_are_told_apart() {
    let stack = Stack::start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    let id = stack.mail_to("ann@example.com").await.approval_id();
    let swapped = if id.starts_with('A') { "B" } else { "A" };
    let forged = format!("{swapped}{}", &id[1..]);
    for wrong in [forged.as_str(), "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T", "x", "a%00b"] {
        let link = stack.url(&format!("/a/{wrong}"));
        assert_eq!(stack.open(&link).await.status, 404, "{wrong}");
        assert_eq!(stack.press(&link, "approve", "").await.status, 404, "{wrong}");
    }
    let typed = id.to_lowercase().replace('-', "").replace('0', "o").replace('1', "l");
    stack.open(&stack.url(&format!("/a/{typed}"))).await.expect(200, &["125.50 USD"]);
    // Another installation's link, however genuine it is there.
    let other = Stack::start().await;
    assert_eq!(other.open(&other.url(&format!("/a/{id}"))).await.status, 404);
}

#[tokio::test]
async fn a_form_that_makes_no_sense_is_refused_and_the_field_named() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    let reader = stack.reader();
    workflow.until_asked().await;
    let before = workflow.history().await;
    let one = "press one of the buttons";
    reader.submit(&link, &[("comment", "hm")]).await.expect(422, &[one, "hm"]);
    reader.submit(&link, &[("verdict", "maybe")]).await.expect(422, &[one]);
    let long = "x".repeat(2_001);
    reader.press(&link, "approve", &long).await.expect(422, &["comment"]);
    let huge = "x".repeat(140_000);
    assert_eq!(reader.press(&link, "approve", &huge).await.status, 413);
    assert_eq!(workflow.history().await, before);
    let longest = "é".repeat(2_000);
    reader.press(&link, "approve", &longest).await.expect(200, &["approved", &longest]);
    let decision = &workflow.outcome().await["stages"][0]["decisions"][0];
    assert_eq!(decision["comment"], longest);
}

/// As the signaler's own tests read them, which have no request to open.
const ARRIVALS: &str = include_str!("../../../signaler/tests/links.tsv");

#[tokio::test]
async fn a_link_that_was_changed_on_its_way_opens_its_request_with_the_choice_that_is_left() {
    let stack = Stack::start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    let id = stack.mail_to("ann@example.com").await.approval_id();
    let mut chosen = 0;
    for row in ARRIVALS.lines().filter(|row| row.starts_with("path\t/")) {
        let [_, path, right] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        if path.contains(' ') || !right.starts_with("the request") {
            continue;
        }
        let page = stack.open(&stack.url(&path.replace("ID", &id))).await;
        page.expect(200, &["125.50 USD"]);
        let is_chosen = right.ends_with("approve chosen");
        assert_eq!(page.says("You chose Approve"), is_chosen, "{path}: {}", page.text());
        chosen += usize::from(is_chosen);
    }
    assert_eq!(chosen, 2, "of them");
}

/// Whoever has got hold of a link, and of the reviewer's browser, must not have it decide: neither from
/// another site nor from another port of the same host, which browsers take for the same site.
#[tokio::test]
async fn a_form_on_another_page_decides_nothing_and_ours_does() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    workflow.until_asked().await;
    let before = workflow.history().await;
    let target = link.split('?').next().expect("a link").to_owned();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let page = Html(format!(
        "<!doctype html><title>Win a prize</title><form method=post action='{target}'>\
         <input name=verdict value=approve></form>"
    ));
    let other_page = Router::new().route("/", get(async || page));
    let other = tokio::spawn(async { axum::serve(listener, other_page).await });

    let browser = Browser::start(stack.dir()).await;
    for host in ["127.0.0.1", "localhost"] {
        browser.open(&format!("http://{host}:{port}/")).await;
        browser.evaluate("document.forms[0].submit()").await;
        browser.expect("Nothing was recorded").await;
        assert_eq!(workflow.history().await, before, "from {host}");
    }
    browser.open(&link).await;
    browser.press("approve").await;
    browser.expect("recorded").await;
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    browser.close().await;
    other.abort();
}

#[tokio::test]
async fn programs_get_the_same_answers_as_json() {
    let stack = Stack::start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    let answer = stack.reader().open_as_json(&link).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/json"), "{:?}", answer.headers);
    let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(answer.body.contains("125.50"), "{json}");
    let missing = stack.reader().open_as_json(&stack.url("/a/nonsense")).await;
    assert_eq!(missing.status, 404);
    serde_json::from_str::<serde_json::Value>(&missing.body).expect("JSON");
}

#[tokio::test]
async fn every_answer_is_safe_to_show_in_a_browser() {
    let stack = Stack::start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    let pages = [
        stack.open(&link).await,
        stack.open(&stack.url("/")).await,
        stack.open(&stack.url("/nowhere")).await,
        stack.press(&link, "", "").await,
        stack.press(&link, "approve", "").await,
    ];
    for page in pages {
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe-inline"), "{policy}");
        assert!(page.header("cache-control").contains("no-store"), "{:?}", page.headers);
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "same-origin");
    }
}

#[tokio::test]
async fn too_many_requests_for_one_link_are_told_when_to_come_back() {
    let stack =
        Stack::beside(Temporal::shared().await).with("COUNTERSIGN_LIMIT_LINK", "5/1").start().await;
    let both = ["ann@example.com", "bob@example.com"];
    stack.submit(&submission::expense(&both)).await;
    let busy = stack.mail_to(both[0]).await.link("approve");
    let other = stack.mail_to(both[1]).await.link("approve");
    let pages = join_all((0..20).map(|_| stack.open(&busy))).await;
    assert!(pages.iter().filter(|page| page.status == 200).count() >= 5);
    let limited = pages.iter().find(|page| page.status == 429).expect("a limit");
    assert!(limited.header("retry-after").parse::<u32>().is_ok(), "{:?}", limited.headers);
    stack.open(&other).await.expect(200, &["125.50 USD"]);
}

#[tokio::test]
async fn too_many_requests_from_one_address_are_told_when_to_come_back() {
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_LIMIT_ADDRESS", "20/1")
        .start()
        .await;
    let front = stack.url("/");
    let pages = join_all((0..60).map(|_| stack.open(&front))).await;
    assert!(pages.iter().any(|page| page.status == 200));
    let limited = pages.iter().find(|page| page.status == 429).expect("a limit");
    assert!(limited.header("retry-after").parse::<u32>().is_ok(), "{:?}", limited.headers);
    eventually("the limit to be over", async || {
        (stack.open(&front).await.status == 200).then_some(())
    })
    .await;
}
