//! Routing rules: who is asked, who else is asked when time passes, and what happens next.

use std::fs;

use countersign_e2e::{
    End, MailServer, Stack, Temporal, eventually, ignored_because, is_encrypted, rules,
    submission::{self, routed},
    text,
};
use countersign_protos::{payload::Encoding, v1::Outcome};
use countersign_worker::{
    follow_up::{self, NotStarted, StartWorkflow},
    policy::FollowUp,
};
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::link::WorkflowEvent;
use uuid::Uuid;

/// Small amounts need nobody, gifts are refused, and everything else goes to people.
const RULES: &str = r#"
[calendar]
time_zone = "Europe/Berlin"

[[rules]]
name = "Small expenses"
when.amount = { USD = { up_to = 20 } }
decision = "approve"
on_approved = { workflow = "PayExpense", task_queue = "payments" }

[[rules]]
name = "Gifts are not refunded"
when.category = "Gifts"
decision = "reject"

[default]
name = "Everything else"

[[default.stages]]
name = "Review"
reviewers = ["ann@example.com"]
deadline = "1h"
on_deadline = "reject"
"#;

/// One stage that somebody is asked in, and somebody else three seconds later.
fn escalating(first: &str, keep_earlier: bool) -> String {
    format!(
        r#"
[default]
name = "Everything"

[[default.stages]]
name = "Review"
reviewers = ["{first}"]
deadline = "3s"
escalate = [{{ reviewers = ["boss@example.com"], deadline = "1h", keep_earlier = {keep_earlier} }}]
on_deadline = "reject"
"#
    )
}

async fn stack_with(rules: &str) -> Stack {
    Stack::beside(Temporal::shared().await).with_rules(rules).start().await
}

#[tokio::test]
async fn a_rule_approves_without_asking_anybody_and_a_child_workflow_goes_on() {
    let stack = stack_with(RULES).await;
    let workflow = stack.submit(&routed("19.99")).await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    assert_eq!(outcome["rule"], "Small expenses", "{outcome}");
    assert_eq!(outcome["reason"], "Approved by the rule Small expenses.", "{outcome}");
    let child = follow_up(&workflow.id, &outcome);
    assert_eq!(outcome["childWorkflowId"], child, "{outcome}");
    let child = stack.temporal.workflow(&child).history().await;
    let started = &child.events()[0]["workflowExecutionStartedEventAttributes"];
    assert_eq!(started["workflowType"]["name"], "PayExpense");
    assert_eq!(started["taskQueue"]["name"], "payments");
    assert!(child.with_payloads_decoded().contains("Small expenses"), "the outcome is its input");
    let mails = stack.mails_to("sam@example.com", 1).await;
    assert!(mails[0].text.contains("Approved by the rule Small expenses."), "{}", mails[0].text);
    assert_eq!(stack.outbox_size(), 1, "nobody else gets a mail");
}

/// Two stages by different people, and operators who may only ask colleagues.
const FOUR_EYES: &str = r#"
[operators]
may_reassign_to = ["example.com"]
may_withdraw = false

[default]
name = "Four eyes"
different_people = true

[[default.stages]]
name = "First"
reviewers = ["ann@example.com", "bob@example.com"]

[[default.stages]]
name = "Second"
reviewers = ["bob@example.com", "cy@example.com"]
"#;

#[tokio::test]
async fn operators_do_what_the_rules_allow_and_all_else_is_counted_with_its_reason() {
    let stack = stack_with(FOUR_EYES).await;
    let workflow = stack.submit(&routed("500.00")).await;
    let ann = stack.mail_to("ann@example.com").await;
    let hash = text(&workflow.status().await["stages"][0]["reviewers"][0]["link"]);
    let to = |to: &str| json!({"reviewer": "ann@example.com", "to": to});
    let (no_decision, no_reassignment) =
        ("`may_decide` in [operators]", "`may_reassign_to` in [operators]");
    for (i, (signal, input, why)) in [
        ("approve", json!({"reviewer": "ann@example.com"}), no_decision),
        ("reject", json!({"link": hash}), no_decision),
        ("withdraw", json!({}), "`may_withdraw` in [operators]"),
        ("reassign", to("eve@example.org"), no_reassignment),
        ("reassign", to("cy@example.com"), "asks different people"),
    ]
    .iter()
    .enumerate()
    {
        workflow.signal(signal, input).await;
        let counted = |status: &Value| status["ignoredSignals"] == i + 1;
        let status = workflow.status_where(&format!("it counted: {signal}"), counted).await;
        let reason = text(&status["ignoredBecause"][i]);
        assert!(reason.starts_with(signal) && reason.contains(why), "{reason}");
        assert_eq!(status["status"], "PENDING");
    }
    stack.press(&ann.link("approve"), "approve", "").await.expect(200, &["approved"]);
    let cy = stack.mail_to("cy@example.com").await;
    stack.press(&cy.link("approve"), "approve", "").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!((&outcome["status"], &outcome["routedBy"]), (&json!("APPROVED"), &json!("rule")));
    assert_eq!(outcome["stages"][1]["decisions"][0]["reviewer"], "cy@example.com");
    let undecided = &outcome["stages"][1]["undecided"];
    assert!(undecided.is_null(), "Bob was asked in the first stage alone: {undecided}");
}

/// The ID of the follow-up workflow of an approval whose own ID is not too long for that.
fn follow_up(workflow_id: &str, outcome: &Value) -> String {
    format!("{workflow_id}-approved-{}", &text(&outcome["executionKey"])[..8])
}

/// Temporal's SQL stores hold IDs of 255 characters, and `-approved-` and eight digits are 18 of them.
#[tokio::test]
async fn what_goes_on_has_an_id_that_fits_however_long_the_approval_s_is() {
    for namespace in ["", ", namespace = \"default\""] {
        let queue = format!(r#"task_queue = "payments"{namespace} }}"#);
        let stack = stack_with(&RULES.replace(r#"task_queue = "payments" }"#, &queue)).await;
        for (length, is_derived) in [(237, true), (238, false), (255, false)] {
            let mut id = stack.new_workflow_id();
            id.push_str(&"x".repeat(length - id.len()));
            let outcome = stack.submit_as(&id, &routed("19.99")).await.outcome().await;
            let child = text(&outcome["childWorkflowId"]);
            assert_eq!(child == follow_up(&id, &outcome), is_derived, "{outcome}");
            assert!(child.contains("-approved") && child.len() <= 255, "{outcome}");
            let history = stack.temporal.workflow(&child).history().await;
            let input = history.with_payloads_decoded();
            assert!(input.contains("Small expenses"), "the outcome is its input: {input}");
        }
    }
}

#[tokio::test]
async fn a_workflow_in_another_namespace_goes_on_as_soon_as_the_namespace_is_there() {
    let namespace = &format!("finance-{}", Uuid::new_v4().simple());
    let there = format!(r#"task_queue = "payments", namespace = "{namespace}" }}"#);
    let rules = RULES.replace(r#"task_queue = "payments" }"#, &there);
    let stack = stack_with(&rules).await;
    let workflow = stack.submit(&routed("19.99")).await;
    let waits = format!("cannot be started in the namespace \"{namespace}\" yet");
    workflow.pending_failure(&waits).await;
    let mails = stack.mails_to("sam@example.com", 1).await;
    assert!(mails[0].text.contains("Approved by the rule Small expenses."), "{}", mails[0].text);

    stack.temporal.must(["operator", "namespace", "create", "--namespace", namespace]).await;
    let outcome = workflow.outcome().await;
    let next = follow_up(&workflow.id, &outcome);
    assert_eq!(outcome["childWorkflowId"], next, "{outcome}");
    assert_eq!(outcome["childNamespace"], **namespace, "{outcome}");
    let history = stack.temporal.history_in(namespace, &next).await;
    let started = &history.events()[0];
    assert_eq!(started["links"][0]["workflowEvent"]["workflowId"], workflow.id, "{started}");
    let started = &started["workflowExecutionStartedEventAttributes"];
    assert_eq!(started["workflowType"]["name"], "PayExpense");
    assert_eq!(started["taskQueue"]["name"], "payments");
    assert!(history.with_payloads_decoded().contains("Small expenses"), "the outcome is its input");
}

#[tokio::test]
async fn a_workflow_that_is_started_twice_in_another_namespace_runs_once() {
    let client = Temporal::shared().await.client().await;
    let start = async |request: &str| {
        let next = FollowUp {
            workflow: "PayExpense".to_owned(),
            task_queue: "payments".to_owned(),
            namespace: Some("default".to_owned()),
        };
        let follow_up = StartWorkflow {
            workflow_id: "started-twice".to_owned(),
            next,
            outcome: Outcome::default(),
            encoding: Encoding::JsonPlain,
        };
        let from = WorkflowEvent {
            namespace: "default".to_owned(),
            workflow_id: "approval".to_owned(),
            run_id: "01a21515-4dc2-7201-bc9f-28b77c492899".to_owned(),
            reference: None,
        };
        follow_up::start(follow_up, &client, from, request.to_owned()).await
    };
    let run = start("run.7").await.expect("a start");
    assert_eq!(start("run.7").await.expect("the same"), run);
    let refused = start("another run.7").await.expect_err("its ID is in use");
    assert!(matches!(refused, NotStarted::Refused(..)), "{refused}");
}

#[tokio::test]
async fn a_rule_rejects_without_asking_anybody() {
    let stack = stack_with(RULES).await;
    let mut gift = routed("99.00");
    gift["document"]["category"] = "Gifts".into();
    let outcome = stack.submit(&gift).await.outcome().await;
    assert_eq!(outcome["status"], "REJECTED", "{outcome}");
    assert_eq!(outcome["reason"], "Rejected by the rule Gifts are not refunded.", "{outcome}");
    assert!(outcome["childWorkflowId"].is_null(), "{outcome}");
}

#[tokio::test]
async fn where_there_are_rules_nobody_chooses_who_approves_what_they_submit() {
    let accomplice = json!({"stages": [
        {"reviewers": ["accomplice@example.org"], "deadline": "1s", "onDeadline": "approve"},
    ]});
    let mut own = submission::asking(accomplice);
    own["document"]["amount"] = "1000000.00".into();
    let stack = stack_with(RULES).await;
    let End::Failed { kind, details, .. } = stack.submit(&own).await.end().await else {
        panic!("it goes on");
    };
    assert_eq!(kind, "InvalidSubmission");
    let problems = details[0].json();
    assert_eq!(problems[0]["path"], "$.approval", "{problems}");
    assert!(text(&problems[0]["message"]).contains("may_name_reviewers = true"), "{problems}");
    assert!(stack.mails_so_far("accomplice@example.org").is_empty());

    let stack = stack_with(&format!("{}{RULES}", rules::MAY_NAME_REVIEWERS)).await;
    let workflow = stack.submit(&submission::expense(&["lee@example.com"])).await;
    let mail = stack.mail_to("lee@example.com").await;
    stack.press(&mail.link("approve"), "approve", "").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["reason"], "Approved by lee@example.com.", "{outcome}");
}

#[tokio::test]
async fn rules_that_change_touch_only_new_submissions_and_mistakes_change_nothing() {
    let mut stack = stack_with(RULES).await;
    let file = stack.setting("COUNTERSIGN_POLICY").to_owned();
    let open = stack.submit(&routed("50.00")).await;
    let link = stack.mail_to("ann@example.com").await.link("approve");

    // Found without being told.
    fs::write(&file, "[default]\nname = 7\n").expect("a writable file");
    let told = "routing rules not reloaded";
    countersign_e2e::eventually(told, async || stack.logs().contains(told).then_some(())).await;

    fs::write(&file, RULES.replace("ann@", "bea@")).expect("a writable file");
    stack.hang_up_worker();
    let told = "routing rules reloaded";
    countersign_e2e::eventually(told, async || stack.logs().contains(told).then_some(())).await;
    let new = stack.submit(&routed("50.00")).await;
    let new_link = stack.mail_to("bea@example.com").await.link("approve");

    stack.press(&link, "approve", "").await.expect(200, &["approved"]);
    stack.press(&new_link, "reject", "").await.expect(200, &["rejected"]);
    assert_eq!(open.outcome().await["status"], "APPROVED");
    assert_eq!(new.outcome().await["status"], "REJECTED");
}

#[tokio::test]
async fn people_read_times_in_the_zone_of_the_rules_calendar() {
    let stack = stack_with(&RULES.replace("Europe/Berlin", "Asia/Kathmandu")).await;
    let workflow = stack.submit(&routed("50.00")).await;
    let mail = stack.mail_to("ann@example.com").await;
    assert!(mail.text.contains(" UTC+0545 (Asia/Kathmandu)"), "{}", mail.text);
    let page = stack.open(&mail.link("approve")).await;
    page.expect(200, &["UTC+0545 (Asia/Kathmandu)"]);
    assert!(page.body.contains("<time datetime=\""), "{}", page.body);
    let details = workflow.details().await.replace('\\', "");
    assert!(details.contains("UTC+0545 (Asia/Kathmandu)"), "{details}");
    stack.press(&mail.link("approve"), "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["timeZone"], "Asia/Kathmandu");
    let told = stack.mail_to("sam@example.com").await;
    assert!(told.text.contains(" UTC+0545"), "{}", told.text);
}

#[tokio::test]
async fn when_nobody_answers_others_are_asked_with_links_of_their_own() {
    let stack = stack_with(&escalating("ann@example.com", false)).await;
    let workflow = stack.submit(&routed("50.00")).await;
    let ann = stack.mail_to("ann@example.com").await;
    assert!(ann.text.contains(", or others are asked."), "{}", ann.text);
    let boss = stack.mail_to("boss@example.com").await;
    let superseded = stack.mails_to("ann@example.com", 2).await;
    assert!(superseded[1].subject.starts_with("Deadline passed"), "{}", superseded[1].subject);
    let passed = "The deadline has passed without your decision. Others are asked now";
    assert!(superseded[1].text.starts_with(passed), "{}", superseded[1].text);

    stack.open(&ann.link("approve")).await.expect(410, &["others were asked in your place"]);
    stack.press(&ann.link("approve"), "approve", "").await.expect(410, &["others were asked"]);
    let status = workflow.status().await;
    assert_eq!(status["status"], "PENDING", "{status}");
    assert_eq!(status["stages"][0]["escalations"], 1, "{status}");
    assert_eq!(status["stages"][0]["reviewers"][0]["released"], true, "{status}");
    stack.press(&boss.link("approve"), "approve", "for Ann").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["reason"], "Approved by boss@example.com.", "{outcome}");
    assert_eq!(outcome["stages"][0]["undecided"], json!(["ann@example.com"]), "{outcome}");
}

#[tokio::test]
async fn earlier_reviewers_may_still_decide_where_the_rules_say_so() {
    let stack = stack_with(&escalating("ann@example.com", true)).await;
    let workflow = stack.submit(&routed("50.00")).await;
    let ann = stack.mail_to("ann@example.com").await;
    stack.mail_to("boss@example.com").await;
    stack.press(&ann.link("approve"), "approve", "late").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["reason"], "Approved by ann@example.com.", "{outcome}");
}

#[tokio::test]
async fn a_deputy_is_asked_and_everybody_reads_for_whom() {
    let absences = r#"
[[absences]]
reviewer = "ann@example.com"
deputy = "dee@example.com"
from = 2020-01-01
to = 2099-12-31
"#;
    let stack = stack_with(&format!("{absences}{}", escalating("ann@example.com", false))).await;
    let workflow = stack.submit(&routed("50.00")).await;
    let mail = stack.mail_to("dee@example.com").await;
    let place = "instead of ann@example.com, who is away";
    assert!(mail.text.contains(place), "{}", mail.text);
    let page = stack.open(&mail.link("approve")).await;
    page.expect(200, &["dee@example.com, instead of ann@example.com"]);
    stack.press(&mail.link("approve"), "approve", "").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    let decision = &outcome["stages"][0]["decisions"][0];
    assert_eq!(decision["reviewer"], "dee@example.com", "{outcome}");
    assert_eq!(decision["onBehalfOf"], "ann@example.com", "{outcome}");
    assert!(stack.mails_so_far("ann@example.com").is_empty());
    let history = workflow.history().await;
    let told = history.with_payloads_decoded();
    assert!(told.contains("Ask dee@example.com for ann@example.com"), "{told}");
}

#[tokio::test]
async fn where_no_mail_comes_through_others_are_asked_at_once_and_everybody_can_see_it() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let escalating = escalating("nobody@example.com", false).replace("3s", "1h");
    let rules = format!("{}{escalating}", rules::MAY_NAME_REVIEWERS);
    let stack = builder.with_rules(&rules).with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let workflow = stack.submit(&routed("50.00")).await;
    server.mails_to("boss@example.com", 1).await;
    let status = workflow.status().await;
    let asked = &status["stages"][0]["reviewers"][0];
    assert_eq!(asked["delivery"], "UNDELIVERABLE", "{status}");
    assert!(text(&asked["deliveryError"]).contains("No such mailbox"), "{status}");

    // Without anybody else to ask, it waits where it can be seen.
    let alone = stack.submit(&submission::expense(&["nobody@example.com"])).await;
    let attributes = alone
        .attributes_where("somebody who cannot be reached", |found| {
            found["ApprovalUndeliverable"] == true
        })
        .await;
    let asked = if is_encrypted() { json!(null) } else { json!(["nobody@example.com"]) };
    assert_eq!(attributes["ApprovalReviewers"], asked, "{attributes}");
    let sentence = "Nobody in Review can be reached.";
    alone.status_where(&format!("{sentence:?}"), |status| status["reason"] == sentence).await;
    let details = alone.details().await;
    assert!(details.contains(sentence), "{details}");
    let told = &server.mails_to("sam@example.com", 1).await[0].mail;
    let words =
        "Nobody can be reached to decide your submission. Ask whoever runs the approvals to";
    assert!(told.text.starts_with(words), "{}", told.text);
    assert!(told.text.contains("Mail to nobody@example.com was refused."), "{}", told.text);
    alone
        .signal("reassign", &json!({"reviewer": "nobody@example.com", "to": "cy@example.com"}))
        .await;
    server.mails_to("cy@example.com", 1).await;
    alone
        .attributes_where("that everybody can be reached", |found| {
            found["ApprovalUndeliverable"] == false
        })
        .await;
    alone.signal("approve", &json!({"reviewer": "cy@example.com"})).await;
    let told = server.mails_to("sam@example.com", 2).await;
    let threads = [&told[0], &told[1]].map(|each| each.mail.header("References"));
    assert!(!threads[0].is_empty() && threads[0] == threads[1], "one thread: {threads:?}");
}

#[tokio::test]
async fn the_submitter_is_told_at_the_start_and_a_fallback_is_asked_where_mail_reaches_nobody() {
    const WITH_FALLBACK: &str = r#"
[default]
name = "Everything"
tell_submitter = true

[[default.stages]]
name = "Review"
reviewers = ["nobody@example.com", "nobody.else@example.com"]
quorum = 1
fallback = ["boss@example.com"]
"#;
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack =
        builder.with_rules(WITH_FALLBACK).with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let workflow = stack.submit(&routed("50.00")).await;
    let boss = server.mails_to("boss@example.com", 1).await.swap_remove(0).mail;
    // What Sam is told of the stage would otherwise end with it.
    eventually("both mails to be known as taken", async || {
        let history = workflow.history().await;
        let both = history.count("ACTIVITY_TASK_COMPLETED") == 2;
        (both && history.outline().ends_with("WORKFLOW_TASK_COMPLETED")).then_some(())
    })
    .await;
    stack.press(&boss.link("approve"), "approve", "").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["reason"], "Approved by boss@example.com.", "{outcome}");
    let told = server.mails_to("sam@example.com", 2).await;
    let [start, end] = &told[..] else { panic!("{told:?}") };
    assert!(start.mail.subject.starts_with("Waiting: "), "{}", start.mail.subject);
    assert!(end.mail.subject.starts_with("Approved: "), "{}", end.mail.subject);
    let id = start.mail.header("Message-ID");
    assert_eq!(end.mail.header("References"), id);
    assert_ne!(end.mail.header("Message-ID"), id);
}

#[tokio::test]
async fn an_operator_has_somebody_else_asked_reminds_and_withdraws() {
    let stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let ann = stack.mail_to("ann@example.com").await;
    let to = |to: &str| json!({"reviewer": "ann@example.com", "to": to});
    workflow.signal("reassign", &to("sam@example.com")).await;
    workflow.signal("reassign", &to("cy@example.com")).await;
    let cy = stack.mail_to("cy@example.com").await;
    let place = " asked you to decide instead of ann@example.com.";
    assert!(cy.text.contains("An operator (") && cy.text.contains(place), "{}", cy.text);
    let told = &stack.mails_to("ann@example.com", 2).await[1];
    assert!(told.text.starts_with("cy@example.com is asked in your place."), "{}", told.text);
    stack.open(&ann.link("approve")).await.expect(410, &["others were asked in your place"]);
    workflow.signal("remind", &json!({})).await;
    let reminder = &stack.mails_to("cy@example.com", 2).await[1];
    assert!(reminder.subject.starts_with("Reminder"), "{}", reminder.subject);
    assert_eq!(reminder.link("approve"), cy.link("approve"));
    let status = workflow.status().await;
    let ignored =
        ["reassign: the submitter does not decide their own submission (ann@example.com to \
                    sam@example.com)"];
    assert_eq!(ignored_because(&status), ignored, "{status}");

    workflow.signal("withdraw", &json!({"reason": "ordered twice"})).await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "WITHDRAWN", "{outcome}");
    assert_eq!(outcome["reason"], "Withdrawn: ordered twice.", "{outcome}");
    stack.open(&cy.link("approve")).await.expect(410, &["withdrawn"]);
}

#[tokio::test]
async fn reassigning_to_somebody_who_is_away_asks_their_deputy_and_gives_nobody_two_votes() {
    let stack = stack_with(
        r#"
[[absences]]
reviewer = "lee@example.com"
deputy = "dee@example.com"
from = 2020-01-01
to = 2099-12-31

[default]
name = "Everything"
stages = [{ reviewers = ["ann@example.com", "bob@example.com"], quorum = "all" }]
"#,
    )
    .await;
    let workflow = stack.submit(&routed("50.00")).await;
    stack.mail_to("ann@example.com").await;
    let reassign = async |from: &str, to: &str| {
        workflow.signal("reassign", &json!({"reviewer": from, "to": to})).await;
    };
    reassign("ann@example.com", "lee@example.com").await;
    let dee = stack.mail_to("dee@example.com").await;
    assert!(dee.text.contains("lee@example.com"), "{}", dee.text);
    reassign("bob@example.com", "Lee+holiday@example.com").await;
    reassign("bob@example.com", "sam+me@example.com").await;
    stack.press(&dee.link("approve"), "approve", "").await.expect(200, &["approved"]);
    let by_phone = json!({"reviewer": "Bob+mobile@Example.com", "comment": "By phone"});
    workflow.signal("approve", &by_phone).await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["reason"], "Approved by dee@example.com and bob@example.com.", "{outcome}");
    let decision = &outcome["stages"][0]["decisions"][0];
    assert_eq!(decision["onBehalfOf"], "lee@example.com", "{outcome}");
    let ignored = [
        "reassign: the new reviewer, or their deputy, is asked in this stage already (bob@example.com to \
         lee+holiday@example.com)",
        "reassign: the submitter does not decide their own submission (bob@example.com to \
         sam+me@example.com)",
    ];
    assert_eq!(ignored_because(&workflow.status().await), ignored);
}

#[tokio::test]
async fn orders_that_come_together_or_before_anybody_is_asked_all_have_their_effect() {
    let mut stack = Stack::start().await;
    stack.kill_worker().await;
    let reviewers = ["ann@example.com", "bob@example.com"];
    let workflow = stack
        .submit(&submission::asking(json!({"stages": [{"reviewers": reviewers, "quorum": "all"}]})))
        .await;
    let reassign = async |from: &str, to: &str| {
        workflow.signal("reassign", &json!({"reviewer": from, "to": to})).await;
    };
    reassign("ann@example.com", "cy@example.com").await;
    stack.start_worker();
    stack.mail_to("cy@example.com").await;
    stack.kill_worker().await;
    reassign("bob@example.com", "di@example.com").await;
    reassign("cy@example.com", "eve@example.com").await;
    stack.start_worker();
    for reviewer in ["di@example.com", "eve@example.com"] {
        let link = stack.mail_to(reviewer).await.link("approve");
        stack.press(&link, "approve", "").await;
    }
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
}

#[tokio::test]
async fn what_comes_behind_a_reassignment_while_no_worker_runs_is_taken_in_its_order() {
    let mut stack = Stack::start().await;
    let workflow = stack.submit(&submission::expense(&["ann@example.com"])).await;
    let ann = stack.mail_to("ann@example.com").await.link("reject");
    stack.kill_worker().await;
    let to = json!({"reviewer": "ann@example.com", "to": "cy@example.com"});
    workflow.signal("reassign", &to).await;
    stack.press(&ann, "reject", "too late").await.expect(202, &["recorded"]);
    let by_phone = json!({"reviewer": "cy@example.com", "comment": "By phone"});
    workflow.signal("approve", &by_phone).await;
    stack.start_worker();
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["reason"], "Approved by cy@example.com.", "{outcome}");
    let ignored = ["reject: somebody else was asked instead of ann@example.com"];
    assert_eq!(ignored_because(&workflow.status().await), ignored);
}

#[tokio::test]
async fn a_submitter_who_cannot_be_told_is_to_be_seen() {
    let builder = Stack::beside(Temporal::shared().await);
    let server = MailServer::start(builder.dir()).await;
    let stack = builder.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let mut expense = submission::expense(&["ann@example.com"]);
    expense["submitter"]["email"] = "nobody@example.com".into();
    let workflow = stack.submit(&expense).await;
    server.mails_to("ann@example.com", 1).await;
    workflow.signal("approve", &json!({"reviewer": "ann@example.com"})).await;
    assert_eq!(workflow.outcome().await["status"], "APPROVED");
    let status = workflow.status().await;
    assert!(text(&status["announcementError"]).contains("No such mailbox"), "{status}");
    workflow
        .attributes_where("somebody who cannot be reached", |found| {
            found["ApprovalUndeliverable"] == true
        })
        .await;
}

/// A reminder, an escalation, a deputy, and a second stage of which two of three are needed.
#[tokio::test]
async fn a_long_way_is_a_short_history() {
    let stack = stack_with(rules::LONG_WAY).await;
    let workflow = stack.submit(&routed("5000.00")).await;
    stack.mails_to("dee@example.com", 2).await;
    let boss = stack.mail_to("boss@example.com").await;
    stack.press(&boss.link("approve"), "approve", "Go on").await.expect(200, &["approved"]);
    for reviewer in ["kim@example.com", "max@example.com"] {
        let mail = stack.mail_to(reviewer).await;
        stack.press(&mail.link("approve"), "approve", "").await;
    }
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["reason"], "Approved by kim@example.com and max@example.com.", "{outcome}");
    let history = workflow.history().await;
    let (outline, told) = (history.outline(), history.with_payloads_decoded());
    // How many workflow tasks there are depends on how many mails are taken at once.
    let events = outline.lines().filter(|kind| !kind.starts_with("WORKFLOW_TASK_")).count();
    assert!(events <= 51, "{events} events: {outline}");
    for words in [
        "Ask dee@example.com for lee@example.com",
        "Remind dee@example.com",
        "Escalate Manager (level 1)",
        "Ask boss@example.com",
        "Issue approval links for Finance",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}
