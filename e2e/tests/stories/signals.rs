//! Signals by hand, good and bad: none of them wedges an approval.

use countersign_e2e::{
    Stack, Temporal, is_encrypted, json_payload, list, payload, product, submission, text,
};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::{Header, Payload};

#[tokio::test]
async fn an_operator_decides_by_hand_for_a_reviewer() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let decision = json!({"reviewer": "ann@example.com", "comment": "by phone"});
    workflow.signal("reject", &decision).await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "REJECTED");
    assert_eq!(outcome["stages"][0]["decisions"][0]["comment"], "by phone");
}

#[tokio::test]
async fn a_decision_that_comes_before_the_workflow_waits_for_it_counts() {
    let mut stack = Stack::start().await;
    stack.kill_worker().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    stack.start_worker();
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn bad_signals_are_counted_and_leave_the_approval_decidable() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    stack.mail_to("ann@example.com").await;
    let ann = json!({"reviewer": "ann@example.com"}).to_string();
    let bad: [&[&str]; 9] = [
        &[],
        &["--input", &ann, "--input", &ann],
        &["--input", "7"],
        &["--input", "[]"],
        &["--input", "null"],
        &["--input", "{}"],
        &["--input", r#"{"reviewer": "eve@example.com"}"#],
        &["--input", r#"{"link": "00000000000000000000"}"#],
        &["--input-base64", "--input", "/////w==", "--input-meta", "encoding=binary/plain"],
    ];
    for arguments in bad {
        workflow.signal_with("approve", arguments).await;
    }
    // The command line would refuse to send this.
    let garbage = payload("json/plain", *b"\xff{{ not JSON");
    stack.temporal.grpc().await.signal(&workflow.id, "approve", vec![garbage]).await;
    let status =
        workflow.status_where("ten ignored signals", |status| status["ignoredSignals"] == 10).await;
    assert_eq!(status["status"], "PENDING", "{status}");
    assert_eq!(list(&status["ignoredBecause"]).count(), 10, "{status}");
    workflow.signal("aprove", &json!({"reviewer": "ann@example.com"})).await;
    let counted = |status: &Value| status["ignoredSignals"] == 11;
    let status = workflow.status_where("a signal that there is not", counted).await;
    let why = text(&status["ignoredBecause"][10]);
    let (name, said) = why.split_once(" at ").expect("a time");
    let (time, said) = said.split_once(": ").expect("a reason");
    assert_eq!((name, said), ("aprove", "there is no such signal; did you mean approve?"));
    assert!(time.starts_with("20") && time.ends_with('Z'), "{why}");
    assert_eq!(status["status"], "PENDING", "{status}");
    let failed = workflow.history().await.count("WORKFLOW_TASK_FAILED");
    assert_eq!(failed, 0, "no signal may wedge the workflow");
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

/// What has to come of a signal.
#[derive(Debug)]
enum Right {
    Counts,
    Withdrawn,
    Reminded,
    Reissued,
    /// It is counted, and its reason has these words.
    Ignored(&'static str),
}

#[tokio::test]
async fn signals_as_sdks_and_people_send_them_have_their_effect_or_a_reason() {
    use Right::{Counts, Ignored, Reissued, Reminded, Withdrawn};
    let json = |data: &str| payload("json/plain", data);
    let cases = [
        ("approve", json(r#"{"reviewer":"manager@example.com","comment":null}"#), Counts),
        (
            "approve",
            json(r#"{"link":null,"reviewer":"manager@example.com","comment":null}"#),
            Counts,
        ),
        ("approve", json(r#"{"reviewer":" Manager@Example.com "}"#), Counts),
        ("withdraw", json(r#"{"reason":null}"#), Withdrawn),
        ("withdraw", json("null"), Withdrawn),
        ("withdraw", payload("binary/null", ""), Withdrawn),
        ("remind", payload("binary/null", ""), Reminded),
        ("remind", json(r#"{"reviewer":null}"#), Reminded),
        ("reissue", payload("binary/null", ""), Reissued),
        ("reissue", json(r#"{"reviewer":" Manager@Example.com "}"#), Reissued),
        (
            "reissue",
            json(r#"{"reviewer":"boss@example.com"}"#),
            Ignored("no reviewer who was asked is still undecided"),
        ),
        (
            "aprove",
            json(r#"{"reviewer":"manager@example.com"}"#),
            Ignored("there is no such signal; did you mean approve?"),
        ),
        ("approve", payload("binary/encrypted", "\u{1}\u{2}"), Ignored("\"binary/encrypted\"")),
        (
            "approve",
            json(r#"{"reviewer":"boss@example.com"}"#),
            Ignored("boss@example.com is not asked"),
        ),
        ("approve", json("null"), Ignored("got none")),
    ];
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let mut sent = Vec::new();
    for (name, payload, right) in cases {
        let workflow = stack.submit(&submission::expense(&["manager@example.com"])).await;
        // Nobody is reminded whose first mail is on its way.
        workflow.until_asked().await;
        grpc.signal(&workflow.id, name, vec![payload.clone()]).await;
        sent.push((workflow, format!("{name} {payload:?}"), right));
    }
    for (workflow, signal, right) in sent {
        match right {
            Counts => assert_eq!(workflow.outcome().await["status"], "APPROVED", "{signal}"),
            Withdrawn => assert_eq!(workflow.outcome().await["status"], "WITHDRAWN", "{signal}"),
            Reminded => {
                let reminders =
                    |status: &Value| status["stages"][0]["reviewers"][0]["reminders"] == 1;
                workflow.status_where(&format!("a reminder: {signal}"), reminders).await;
            }
            Reissued => {
                let reissued = |status: &Value| {
                    let reviewers = &status["stages"][0]["reviewers"];
                    reviewers[0]["reissued"] == true && reviewers[1]["delivery"] == "SENT"
                };
                workflow.status_where(&format!("a new link: {signal}"), reissued).await;
            }
            Ignored(why) => {
                let ignored = |status: &Value| status["ignoredSignals"] == 1;
                let status = workflow.status_where(&format!("it counted: {signal}"), ignored).await;
                let reason = text(&status["ignoredBecause"][0]);
                assert!(reason.contains(why), "{signal}: {reason}");
                assert_eq!(status["status"], "PENDING", "{signal}");
            }
        }
    }
}

/// Temporal drops a signal whose request ID it has seen: a press must not have one that others know.
#[tokio::test]
async fn nobody_can_use_up_a_press() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let both = ["ann@example.com", "bob@example.com"];
    let stage = json!({"reviewers": both, "quorum": "all"});
    let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
    let bob = stack.mail_to(both[1]).await.link("approve");
    let ann = stack.mail_to(both[0]).await.link("approve");
    workflow.until_asked().await;
    let status = workflow.status().await;
    let hash = text(&status["stages"][0]["reviewers"][0]["link"]);
    stack.press(&bob, "approve", "").await.expect(200, &["approved"]);
    let events = workflow.history().await.events();
    let used = events.iter().map(|event| &event["workflowExecutionSignaledEventAttributes"]);
    let used: Vec<String> = used.map(|signal| text(&signal["requestId"])).collect();
    let of_bob = used.iter().find(|id| !id.is_empty()).expect("the request ID of a press");
    for known in [format!("countersign-{hash}-approve"), hash, of_bob.clone()] {
        let nonsense = vec![payload("json/plain", "{}")];
        grpc.try_signal_as(&known, &workflow.id, "approve", nonsense).await.expect("sent");
    }
    stack.press(&ann, "approve", "").await.expect(200, &["recorded", "approved"]);
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn the_status_and_the_search_attributes_say_who_is_still_asked() {
    let stack = Stack::start().await;
    let stage = json!({"reviewers": ["ann@example.com", "bob@example.com"], "quorum": "all"});
    let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
    let asked = |attributes: &Value| {
        let mut asked: Vec<_> = list(&attributes["ApprovalReviewers"]).map(text).collect();
        asked.sort();
        asked
    };
    let both = if is_encrypted() { vec![] } else { vec!["ann@example.com", "bob@example.com"] };
    let bob = both.get(1..).unwrap_or_default();
    workflow.attributes_where("both reviewers", |attributes| asked(attributes) == both).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    workflow.attributes_where("bob only", |attributes| asked(attributes) == bob).await;
    let of_ann = |status: &Value| text(&status["stages"][0]["reviewers"][0]["vote"]["verdict"]);
    let status = workflow.status_where("ann's vote", |status| of_ann(status) == "APPROVE").await;
    let deadline = text(&status["stages"][0]["deadline"]);
    let day = &deadline[..10];
    let of_bob = if is_encrypted() {
        "ApprovalStatus = 'PENDING'"
    } else {
        "ApprovalReviewers = 'bob@example.com'"
    };
    for waiting in [
        of_bob.to_owned(),
        format!("ApprovalDeadline BETWEEN '{day}T00:00:00Z' AND '{day}T23:59:59.999Z'"),
    ] {
        let waiting = format!("{waiting} AND TaskQueue = '{}'", stack.queue);
        countersign_e2e::eventually(format!("{waiting} to be found"), async || {
            (stack.temporal.list(&waiting).await == [workflow.id.clone()]).then_some(())
        })
        .await;
    }
    workflow.signal("approve", &json!({"reviewer": "bob@example.com"})).await;
    workflow.outcome().await;
    let done = workflow.attributes_where("nobody", |attributes| asked(attributes).is_empty()).await;
    assert_eq!(done["ApprovalStatus"], "APPROVED", "{done}");
    assert!(done.get("ApprovalDeadline").is_none(), "nobody waits any more: {done}");
}

/// Whoever reads the history, in the Web UI too.
#[tokio::test]
async fn the_history_says_whose_press_a_signal_was() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    workflow.outcome().await;
    let events = workflow.history().await.events();
    let mut signals = events.iter().map(|event| &event["workflowExecutionSignaledEventAttributes"]);
    let press = signals.find(|signal| signal.is_object()).expect("a press");
    let identity = text(&press["identity"]);
    // Nobody encrypts an identity: there it is the program's alone.
    let named = if is_encrypted() { "" } else { "ann@example.com (" };
    assert!(identity.starts_with(&format!("{named}countersign-signaler@")), "{press}");
}

/// By this header our interceptor tells handlers who has sent a signal, also in a worker that embeds the plugin.
#[tokio::test]
async fn nobody_says_by_a_header_who_they_are() {
    for program in ["countersign-worker", "panicking_worker"] {
        let mut stack = Stack::beside(Temporal::shared().await)
            .with("PANICS_OVER", "submission")
            .start_without_worker()
            .await;
        stack.run_as_worker(&product(program));
        let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
        workflow.until_asked().await;
        let claimed = Payload { data: b"the CFO".to_vec(), ..Payload::default() };
        let fields = [("countersign-signal-identity".to_owned(), claimed)].into();
        let decision = json_payload(&json!({"reviewer": "ann@example.com"}));
        let grpc = stack.temporal.grpc().await;
        let sent = grpc.try_signal_with(&workflow.id, "approve", vec![decision], |signal| {
            signal.identity = "help desk".to_owned();
            signal.header = Some(Header { fields });
        });
        sent.await.expect("an open approval");
        let outcome = workflow.outcome().await;
        let vote = &outcome["stages"][0]["decisions"][0];
        assert_eq!(vote["identity"], "help desk", "{program}: {outcome}");
    }
}
