//! Mails leave by SNS or SMTP as they do by the outbox.

use std::{fs, sync::Arc, time::Duration};

use countersign_e2e::{
    Answer, Delivery, MailServer, Receiver, Stack, StackBuilder, Temporal, Topic, Workflow,
    eventually, list, submission, text,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

#[tokio::test]
async fn by_sns_each_reviewer_gets_exactly_their_own_message() {
    let builder = Stack::beside(Temporal::shared().await);
    let topic = Topic::start(builder.dir()).await;
    let ann = topic.subscribe("ann", "ann@example.com").await;
    let bob = topic.subscribe("bob", "bob@example.com").await;
    let stack = by_sns(builder, &topic).start().await;
    let stage = json!({"reviewers": ["ann@example.com", "bob@example.com"], "quorum": "all"});
    let mut asking = submission::asking(json!({"stages": [stage]}));
    asking["document"]["title"] = json!("Überraschung für das 会議 🎉 ".repeat(6).trim());
    let workflow = stack.submit(&asking).await;
    let mut links = Vec::new();
    for (queue, reviewer) in [(&ann, "ann@example.com"), (&bob, "bob@example.com")] {
        let messages = queue.messages(1).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        let message = &messages[0];
        assert_eq!(message["MessageAttributes"]["reviewer"]["Value"], reviewer, "{message}");
        assert_eq!(message["MessageAttributes"]["reviewer"]["Type"], "String", "{message}");
        let subject = text(&message["Subject"]);
        assert!(subject.is_ascii() && !subject.is_empty() && subject.len() < 100, "{subject:?}");
        assert!(!subject.contains(|c: char| c.is_control()), "{subject:?}");
        let body = text(&message["Message"]);
        assert!(body.contains("125.50 USD") && body.contains("会議"), "{body}");
        let link = body.split_whitespace().find(|word| word.ends_with("?choice=approve"));
        links.push(link.unwrap_or_else(|| panic!("no link in {body}")).to_owned());
    }
    assert_ne!(links[0], links[1]);
    for link in &links {
        assert_eq!(stack.press(link, "approve", "").await.status, 200);
    }
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    for queue in [&ann, &bob] {
        assert!(queue.is_empty().await, "nobody gets the submitter's or the other's message");
    }
}

#[tokio::test]
async fn by_sns_no_approval_id_is_logged_however_much_is() {
    let builder = Stack::beside(Temporal::shared().await);
    let topic = Topic::start(builder.dir()).await;
    let ann = topic.subscribe("ann", "ann@example.com").await;
    let stack = by_sns(builder, &topic).with("COUNTERSIGN_LOG", "trace").start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    let body = text(&ann.messages(1).await[0]["Message"]);
    let id = body.lines().find_map(|line| line.strip_prefix("Approval ID: ")).expect("an ID");
    let logs = stack.logs();
    assert!(logs.contains("aws_smithy_runtime"), "that it was sent is logged");
    assert!(!logs.contains(id), "an approval ID is in the logs");
}

#[tokio::test]
async fn a_reviewer_is_subscribed_to_their_own_mails_only() {
    let builder = Stack::beside(Temporal::shared().await);
    let topic = Topic::start(builder.dir()).await;
    let builder = by_sns(builder, &topic);
    let (exit, log) = builder.run("worker", &["subscribe", "ann@example.com"]).await;
    assert_eq!(exit.code, 0, "{log}");
    let subscriptions = topic.subscriptions().await;
    assert_eq!(subscriptions.len(), 1, "{subscriptions:?}");
    assert_eq!(subscriptions[0]["Protocol"], "email");
    assert_eq!(subscriptions[0]["Endpoint"], "ann@example.com");
    let filter: Value =
        serde_json::from_str(&text(&subscriptions[0]["FilterPolicy"])).expect("JSON");
    assert_eq!(filter, json!({"reviewer": ["ann@example.com"]}));
    let (exit, log) = builder.run("worker", &["subscribe", "nobody"]).await;
    assert_ne!(exit.code, 0, "{log}");
}

#[tokio::test]
async fn by_sns_nobody_is_said_to_have_a_mail_who_has_confirmed_no_subscription() {
    let builder = Stack::beside(Temporal::shared().await);
    let topic = Topic::start(builder.dir()).await;
    // The emulator takes every subscription for confirmed.
    let builder = by_sns(builder, &topic);
    let (exit, examined) = builder.tool(&["doctor"]).await;
    let nobody = "the topic has no subscription: nobody was invited to it";
    assert!(exit.code == 1 && examined.contains(nobody), "{examined}");
    assert!(
        examined.contains("To do: Subscribe the address: countersign-worker subscribe"),
        "{examined}"
    );
    let (exit, log) = builder.run("worker", &["subscribe", "ann@example.com"]).await;
    assert_eq!(exit.code, 0, "{log}");
    let stack = builder.start().await;
    let reviewers = ["ann@example.com", "bob@example.com"];
    let workflow = stack.submit(&submission::expense(&reviewers)).await;
    let delivered = |status: &Value| {
        let reviewers = list(&status["stages"][0]["reviewers"]);
        reviewers.map(|each| text(&each["delivery"])).collect::<Vec<_>>()
    };
    let anns_alone = |status: &Value| delivered(status) == ["SENT", "UNDELIVERABLE"];
    let status = workflow.status_where("a mail for Ann alone", anns_alone).await;
    let error = text(&status["stages"][0]["reviewers"][1]["deliveryError"]);
    let why = "bob@example.com has not confirmed a subscription to the topic";
    assert!(error.contains(why), "{status}");
    let line = line_about(why, &stack, &workflow).await;
    assert!(line.contains("failed, not retried"), "{line}");
    let explained = stack.tool(&["explain", &workflow.id]).await.1;
    assert!(explained.contains(why) && explained.contains("--name reissue"), "{explained}");
    let examined = stack.tool(&["doctor"]).await.1;
    assert!(examined.contains("1 confirmed"), "{examined}");
}

fn by_sns(builder: StackBuilder, topic: &Topic) -> StackBuilder {
    let settings = topic.settings(&topic.endpoint());
    settings.into_iter().fold(builder, |builder, (name, value)| builder.with(name, value))
}

#[tokio::test]
async fn by_smtp_envelope_headers_and_both_bodies_are_right() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = builder
        .with("COUNTERSIGN_NOTIFY", server.url())
        .with("COUNTERSIGN_MAIL_FROM", "Approvals <approvals@corp.example>")
        .start()
        .await;
    let mut expense = submission::expense(&["ann@example.com"]);
    expense["document"]["title"] = json!("Zugfahrt nach Köln 🚆");
    let workflow = stack.submit(&expense).await;
    let delivered = server.mails_to("ann@example.com", 1).await.swap_remove(0);
    assert_eq!(delivered.from, "approvals@corp.example");
    assert_eq!(delivered.to, ["ann@example.com"]);
    let mail = delivered.mail;
    assert_eq!(mail.from, "approvals@corp.example");
    assert_eq!(mail.to, ["ann@example.com"]);
    assert!(mail.subject.contains("Zugfahrt nach Köln 🚆"), "{}", mail.subject);
    assert_eq!(mail.content_type, "multipart/alternative");
    for body in [&mail.text, &mail.html] {
        assert!(body.contains("125.50 USD") && body.contains(&mail.approval_id()), "{body}");
    }
    for choice in ["approve", "reject"] {
        assert!(mail.html.contains(&mail.link(choice)), "{}", mail.html);
    }
    stack.press(&mail.link("reject"), "reject", "zu teuer").await.expect(200, &["rejected"]);
    assert_eq!(workflow.outcome().await["status"], "REJECTED");
    let told = server.mails_to("sam@example.com", 1).await.swap_remove(0).mail;
    assert!(told.text.contains("zu teuer"), "{}", told.text);
}

#[tokio::test]
async fn the_mails_about_a_request_are_in_its_thread_and_say_who_asks() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = builder.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let request = server.mails_to("ann@example.com", 1).await.swap_remove(0).mail;
    assert!(request.subject.contains("from Sam Submitter"), "{}", request.subject);
    workflow.until_asked().await;
    workflow.signal("remind", &json!({})).await;
    server.mails_to("ann@example.com", 2).await;
    workflow.signal("reissue", &json!({})).await;
    let new_link = server.mails_to("ann@example.com", 3).await.swap_remove(2).mail;
    workflow.until_asked().await;
    let to_cy = json!({"reviewer": "ann@example.com", "to": "cy@example.com"});
    workflow.signal("reassign", &to_cy).await;
    let (id, again) = (request.header("Message-ID"), new_link.header("Message-ID"));
    let all = server.mails_to("ann@example.com", 4).await;
    for (later, earlier) in all[1..].iter().zip([&id, &id, &again]) {
        assert_eq!(later.mail.header("References"), *earlier, "{}", later.mail.subject);
        assert_eq!(later.mail.header("In-Reply-To"), *earlier, "{}", later.mail.subject);
        assert_ne!(later.mail.header("Message-ID"), *earlier, "{}", later.mail.subject);
    }
    let cy = server.mails_to("cy@example.com", 1).await.swap_remove(0).mail;
    assert_ne!(cy.header("Message-ID"), id, "a thread for each person");
    assert_eq!(cy.header("References"), "");
    workflow.signal("approve", &json!({"reviewer": "cy@example.com"})).await;
    let told = server.mails_to("sam@example.com", 1).await.swap_remove(0).mail;
    let thread = told.header("References");
    assert!(thread.ends_with(".submitter@example.com>"), "no mail to Sam begins it: {thread}");
}

#[tokio::test]
async fn a_mail_server_that_refuses_us_uses_up_no_escalation_level_and_loses_no_outcome() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    server.reply(Some(("RCPT", "554 5.7.1 <ann@example.com>: Relay access denied")));
    let levels = r#"
[default]
name = "Two levels"

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
deadline = "1h"
escalate = [{ reviewers = ["boss@example.com"], deadline = "1h" }]
"#;
    let stack = builder.with_rules(levels).with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let workflow = stack.submit(&submission::routed("50.00")).await;
    workflow.pending_failure("Relay access denied").await;
    workflow.pending_attempt(3).await;
    let status = workflow.status().await;
    let reviewers: Vec<_> = list(&status["stages"][0]["reviewers"]).collect();
    assert_eq!(reviewers.len(), 1, "nobody else was asked: {status}");
    assert_eq!(reviewers[0]["delivery"], "SENDING", "{status}");

    server.reply(None);
    let link = server.mails_to("ann@example.com", 1).await[0].mail.link("approve");
    server.reply(Some(("DATA", "554 5.7.1 Message rejected as spam by content filtering")));
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    // That names nobody: it is tried for a while, counted from the first such reply.
    let first = workflow.pending_heartbeat("refusedSince").await;
    workflow.pending_attempt(4).await;
    assert_eq!(workflow.pending_heartbeat("refusedSince").await, first);
    server.reply(None);
    server.mails_to("sam@example.com", 1).await;
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    assert!(server.delivered().iter().all(|mail| mail.to != ["boss@example.com"]));
}

/// Replies that servers give to a command, and what they speak of. Where that is the recipient, a mail is
/// undeliverable.
const REPLIES: &str = include_str!("smtp-replies.tsv");

#[tokio::test]
async fn whatever_a_mail_server_answers_status_history_and_log_say_the_same() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = builder.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    for [command, reply, of] in rows(REPLIES) {
        server.reply(Some((command, reply)));
        status_history_and_log_have(reply, of == "recipient", &stack).await;
    }
    assert_eq!(server.count(), 0, "none was taken");
}

/// Errors with which SNS answers `Publish`, and what they speak of. Where that is the recipient or the
/// message, a mail is undeliverable.
const ERRORS: &str = include_str!("sns-errors.tsv");
/// Whom SNS lists: Ann has confirmed a subscription.
const LISTED: &str = "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult>\
    <Subscriptions><member><Protocol>email</Protocol><Endpoint>ann@example.com</Endpoint>\
    <SubscriptionArn>arn:aws:sns:eu-central-1:123456789012:approvals:1</SubscriptionArn></member>\
    </Subscriptions></ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>";

#[tokio::test]
async fn whatever_sns_answers_status_history_and_log_say_the_same() {
    let error = Arc::new(Mutex::new(""));
    let now = error.clone();
    let answer = move |_: usize, asked: &Delivery| {
        let publishes = String::from_utf8_lossy(&asked.body).contains("Action=Publish&");
        match publishes {
            true => Answer::Says(400, None, *now.lock()),
            false => Answer::Says(200, None, LISTED),
        }
    };
    let sns = Receiver::that_decides(answer).await;
    let stack = Stack::beside(Temporal::shared().await)
        .with("COUNTERSIGN_NOTIFY", "sns:arn:aws:sns:eu-central-1:123456789012:approvals")
        .with("AWS_ENDPOINT_URL_SNS", sns.url())
        .with("AWS_MAX_ATTEMPTS", "1")
        .with("AWS_ACCESS_KEY_ID", "test")
        .with("AWS_SECRET_ACCESS_KEY", "test")
        .start()
        .await;
    for [code, message, of] in rows(ERRORS) {
        let said = format!("<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>");
        *error.lock() = format!("<ErrorResponse><Error>{said}</Error></ErrorResponse>").leak();
        let reply = format!("Amazon SNS: {code}: {message}");
        let is_final = matches!(of, "recipient" | "message");
        status_history_and_log_have(&reply, is_final, &stack).await;
    }
}

/// The three columns of a table; lines that begin with # are comments.
fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 3]> {
    table.lines().filter(|line| !line.starts_with('#')).map(|row| {
        let columns: Vec<_> = row.split('\t').collect();
        <[&str; 3]>::try_from(columns).unwrap_or_else(|_| panic!("{row}"))
    })
}

/// Submits a request whose mail is refused with `reply`, and looks for that everywhere, and for what becomes
/// of the mail: undeliverable if it is final, otherwise tried again.
async fn status_history_and_log_have(reply: &str, is_final: bool, stack: &Stack) {
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let asked = |status: &Value| status["stages"][0]["reviewers"][0].clone();
    let says = |is: &'static str| move |status: &Value| asked(status)["delivery"] == is;
    let words = match is_final {
        true => {
            let refused = says("UNDELIVERABLE");
            let status = workflow.status_where("a refused mail", refused).await;
            let error = text(&asked(&status)["deliveryError"]);
            assert!(error.contains(reply), "{reply}: {status}");
            let failed = workflow.history().await.events().into_iter().find_map(|event| {
                let failure = &event["activityTaskFailedEventAttributes"]["failure"];
                failure["message"].as_str().map(str::to_owned)
            });
            assert!(failed.is_some_and(|why| why.contains(reply)), "{reply} in the history");
            "failed, not retried"
        }
        false => {
            workflow.pending_failure(reply).await;
            workflow.status_where("a mail that is being sent", says("SENDING")).await;
            "failed, will be retried"
        }
    };
    let line = line_about(reply, stack, &workflow).await;
    assert!(line.contains(words), "{line}");
    stack.temporal.must(["workflow", "terminate", "--workflow-id", &workflow.id]).await;
}

/// Waits for a line of the worker's log about a workflow.
async fn line_about(what: &str, stack: &Stack, workflow: &Workflow) -> String {
    eventually(format!("a line about {what:?}"), async || {
        let log = stack.worker().log();
        let is_it = |line: &&str| line.contains(&workflow.id) && line.contains(what);
        log.lines().find(is_it).map(str::to_owned)
    })
    .await
}

/// RFC 5321 gives a server ten minutes for this answer; it is the one that busy servers need.
const LATE: Duration = Duration::from_secs(25);

#[tokio::test]
async fn a_mail_server_that_answers_late_stores_one_copy() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start_slow(LATE, builder.dir()).await;
    let stack = builder.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let sent = |status: &Value| status["stages"][0]["reviewers"][0]["delivery"] == "SENT";
    workflow.status_where("a request that was taken", sent).await;
    assert_eq!(server.delivered().len(), 1);
    assert_eq!(server.times_received("ann@example.com"), 1, "it was never sent again");
}

#[tokio::test]
async fn copies_that_cannot_be_avoided_have_one_message_id() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start_slow(Duration::from_secs(4), builder.dir()).await;
    let mut stack = builder.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    stack.submit(&submission::expense(&["ann@example.com"])).await;
    eventually("a mail that the server has not kept yet", async || {
        (server.times_received("ann@example.com") == 1).then_some(())
    })
    .await;
    stack.kill_worker().await;
    stack.start_worker();
    let copies = server.mails_to("ann@example.com", 2).await;
    let ids: Vec<String> = copies.iter().map(|copy| copy.mail.header("Message-ID")).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].ends_with("@example.com>"), "{ids:?}");
    assert_eq!(copies[0].mail.approval_id(), copies[1].mail.approval_id());
}

#[tokio::test]
async fn a_worker_sends_no_more_mails_a_second_than_its_rate() {
    let builder = Stack::beside(Temporal::shared().await);
    let stack = builder.with("COUNTERSIGN_MAIL_RATE", "2").start().await;
    let reviewers = ["ann", "bob", "cy", "dee", "eve"].map(|name| format!("{name}@example.com"));
    let names = reviewers.each_ref().map(String::as_str);
    stack.submit(&submission::expense(&names)).await;
    for reviewer in names {
        stack.mail_to(reviewer).await;
    }
    let files = fs::read_dir(stack.dir().join("outbox")).expect("an outbox");
    let written = files.map(|file| file.and_then(|file| file.metadata()?.modified()));
    let mut written: Vec<_> = written.map(|time| time.expect("a time")).collect();
    written.sort();
    let [first, .., last] = written[..] else { panic!("{written:?}") };
    let between = last.duration_since(first).expect("they are sorted");
    // Two seconds, without what it takes to write the first one.
    assert!(between >= Duration::from_millis(1_500), "{between:?}");
}

#[tokio::test]
async fn a_mail_whose_turn_is_far_off_waits_in_temporal_and_not_in_the_worker() {
    let builder = Stack::beside(Temporal::shared().await);
    let stack = builder.with("COUNTERSIGN_MAIL_RATE", "0.01").start().await;
    let both = ["ann@example.com", "bob@example.com"];
    let workflow = stack.submit(&submission::expense(&both)).await;
    workflow.pending_failure("COUNTERSIGN_MAIL_RATE lets other mails out first").await;
    let one_of_them = || both.iter().map(|who| stack.mails_so_far(who).len()).sum::<usize>() == 1;
    eventually("the other one's mail", async || one_of_them().then_some(())).await;
}

#[tokio::test]
async fn a_way_that_is_closed_is_warned_about_when_the_worker_starts_and_does_not_stop_it() {
    let builder = Stack::beside(Temporal::shared().await);
    let nowhere = format!("smtp://127.0.0.1:{}", countersign_e2e::free_port());
    let stack = builder.with("COUNTERSIGN_NOTIFY", nowhere).start().await;
    eventually("a warning and a working worker", async || {
        let log = stack.worker().log();
        let warned = log.contains("the check of COUNTERSIGN_NOTIFY failed")
            && log.contains("onnection refused");
        (warned && log.contains("running")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_mail_server_that_is_away_delays_mails_and_everybody_can_see_why() {
    let builder = Stack::beside(Temporal::shared().await);
    let port = countersign_e2e::free_port();
    let stack =
        builder.with("COUNTERSIGN_NOTIFY", format!("smtp://127.0.0.1:{port}")).start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow
        .status_where("a request that is being sent", |status| {
            status["stages"][0]["reviewers"][0]["delivery"] == "SENDING"
        })
        .await;
    workflow.pending_failure("onnect").await;
    let server = MailServer::start_at(port, stack.dir()).await;
    let link = server.mails_to("ann@example.com", 1).await[0].mail.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}
