//! Sent back and revised: the approval begins anew, with links of its own.

use countersign_e2e::{Mail, Stack, Temporal, Workflow, ignored_because, list, submission, text};
use countersign_protos::{LinkKeys, Verdict, names};
use serde_json::{Value, json};

/// Large amounts have one reviewer. Smaller ones have two, who are slow, and then two of three.
const RULES: &str = r#"
[[rules]]
name = "Small"
when.amount = { USD = { up_to = 1000 } }
delegate_to = ["example.com"]

[[rules.stages]]
name = "Team"
reviewers = ["lee@example.com", "max@example.com"]
quorum = 2
deadline = "6s"
escalate = [{ reviewers = ["ann@example.com", "bob@example.com", "cem@example.com"], deadline = "1h" }]

[default]
name = "Large"

[[default.stages]]
name = "Finance"
reviewers = ["ann@example.com"]
"#;

fn keys(stack: &Stack) -> LinkKeys {
    stack.setting("COUNTERSIGN_LINK_KEYS").parse().expect("keys")
}

/// Presses by the link of a mail, past the signaler.
async fn press(stack: &Stack, workflow: &Workflow, mail: &Mail, verdict: Verdict, comment: &str) {
    let vote = mail.vote(&keys(stack), verdict, comment);
    let name = verdict.terms().name;
    stack.temporal.grpc().await.signal(&workflow.id, name, vec![vote]).await;
}

/// Revises by the link of the submitter's latest mail, past the signaler.
async fn revise(stack: &Stack, workflow: &Workflow, mail: &Mail, submission: &Value) {
    let revision = mail.revision(&keys(stack), submission);
    let grpc = stack.temporal.grpc().await;
    grpc.signal(&workflow.id, names::SIGNAL_REVISE, vec![revision]).await;
}

/// The version that a status is about.
fn version(status: &Value) -> u64 {
    status["version"].as_u64().unwrap_or(1)
}

#[tokio::test]
async fn sent_back_twice_escalated_delegated_and_approved_by_two_of_three() {
    let stack = Stack::beside(Temporal::shared().await).with_rules(RULES).start().await;
    let workflow = stack.submit(&submission::routed("5000.00")).await;
    let mut asked = Vec::new();
    for (round, amount) in [(1, "4000.00"), (2, "900.00")] {
        asked = stack.mails_to("ann@example.com", round).await;
        workflow.until_asked().await;
        let comment = format!("Less than this, round {round}");
        press(&stack, &workflow, &asked[round - 1], Verdict::RequestChanges, &comment).await;
        let own = stack.mails_to("sam@example.com", round).await.swap_remove(round - 1);
        assert!(own.text.contains(&format!("> {comment}")), "{}", own.text);
        let sent_back = |status: &Value| {
            status["status"] == "CHANGES_REQUESTED" && version(status) as usize == round
        };
        let status = workflow.status_where("changes requested", sent_back).await;
        assert_eq!(status["changeRequest"]["vote"]["by"], "link", "{status}");
        // The mail has been taken by then, so that each round has the same events.
        until_idle(&workflow).await;
        revise(&stack, &workflow, &own, &submission::routed(amount)).await;
    }
    let thread = asked[1].header("In-Reply-To");
    assert_eq!(thread, asked[0].header("Message-ID"), "the thread of the earlier request");
    assert!(
        asked[1].text.contains("- Amount: 4,000.00 USD (was 5,000.00 USD)"),
        "{}",
        asked[1].text
    );
    assert_ne!(asked[0].approval_id(), asked[1].approval_id());

    // The rules route the last version otherwise: Ann is told, and asked again by the escalation.
    let asked = stack.mails_to("ann@example.com", 4).await;
    let revised = &asked[2];
    assert!(revised.text.starts_with("This request was revised"), "{}", revised.text);
    assert!(asked[3].text.contains("- Amount: 900.00 USD (was 4,000.00 USD)"), "{}", asked[3].text);
    let bob = stack.mail_to("bob@example.com").await;
    workflow.until_asked().await;
    until_idle(&workflow).await;
    let delegation = bob.delegation(&keys(&stack), "dan@example.com", "He knows trains");
    let grpc = stack.temporal.grpc().await;
    grpc.signal(&workflow.id, names::SIGNAL_REASSIGN, vec![delegation]).await;
    let dan = stack.mail_to("dan@example.com").await;
    until_idle(&workflow).await;
    // An old link decides nothing.
    press(&stack, &workflow, &asked[1], Verdict::Approve, "").await;
    press(&stack, &workflow, &asked[3], Verdict::Approve, "").await;
    let approved =
        |status: &Value| list(&status["stages"][0]["reviewers"]).any(|one| one["vote"].is_object());
    let status = workflow.status_where("one approval", approved).await;
    assert_eq!(
        ignored_because(&status),
        ["approve: the holder of this link had it for a version that was revised since"]
    );
    let details = workflow.details().await.replace('\\', "");
    for told in [
        "version 1: ann@example.com requested changes in Finance (\"Less than this, round 1\"), and was revised by \
         its submitter at ",
        "version 2: ann@example.com requested changes in Finance (\"Less than this, round 2\")",
        "This is version 3.",
        "**Team** (quorum 2, escalated once)",
        "ann@example.com **approved**",
        "bob@example.com had dan@example.com asked instead: He knows trains",
    ] {
        assert!(details.contains(told), "{told:?} is not told: {details}");
    }
    until_idle(&workflow).await;
    press(&stack, &workflow, &dan, Verdict::Approve, "").await;
    let outcome = workflow.outcome().await;
    assert_eq!(
        (&outcome["status"], &outcome["version"]),
        (&json!("APPROVED"), &json!(3)),
        "{outcome}"
    );
    assert_eq!(
        (&outcome["rule"], &outcome["operator"]),
        (&json!("Small"), &Value::Null),
        "{outcome}"
    );
    let amounts = list(&outcome["earlierVersions"]).map(|version| text(&version["digest"]));
    let digests: Vec<String> = amounts.chain([text(&outcome["digest"])]).collect();
    assert!(digests[0] != digests[1] && digests[1] != digests[2], "{digests:?}");
    let mail = stack.mails_to("sam@example.com", 3).await.swap_remove(2);
    assert!(mail.text.contains("this is about version 3, the latest."), "{}", mail.text);
    assert_events(&workflow).await;
}

/// Waits until no activity is under way.
async fn until_idle(workflow: &Workflow) {
    let grpc = workflow.temporal.grpc().await;
    countersign_e2e::eventually(format!("{} to be idle", workflow.id), async || {
        let described = grpc.describe(&workflow.id).await;
        let is_idle =
            described.pending_activities.is_empty() && described.pending_workflow_task.is_none();
        is_idle.then_some(())
    })
    .await;
}

/// Its events are the sum of its parts', besides those of workflow tasks.
async fn assert_events(workflow: &Workflow) {
    const MAIL: usize = 3;
    const SIGNAL: usize = 1;
    // Links, search attributes and a timer.
    const OPENED: usize = 3;
    let parts = [
        ("start, and the marker of its plan", 2),
        ("asks Ann", OPENED + MAIL),
        (
            "is sent back: its timer is cancelled, and the submitter has a link",
            SIGNAL + 1 + OPENED + MAIL,
        ),
        ("is revised: as that, and a plan", SIGNAL + 1 + 1 + OPENED + MAIL),
        ("is sent back", SIGNAL + 1 + OPENED + MAIL),
        ("is revised, for two; Ann is told", SIGNAL + 1 + 1 + OPENED + 3 * MAIL),
        ("escalates: what time decides is written first; two are told", 1 + 1 + OPENED + 5 * MAIL),
        ("is delegated: a link and search attributes", SIGNAL + 2 + MAIL),
        ("is pressed by an old link", SIGNAL),
        ("is approved by Ann", SIGNAL + 1),
        (
            "is approved by Dan: signed, and two are told while it waits for that",
            SIGNAL + 1 + 1 + 2 * MAIL,
        ),
        ("end", 2),
    ];
    let history = workflow.history().await;
    let tasks: usize = ["SCHEDULED", "STARTED", "COMPLETED", "TIMED_OUT", "FAILED"]
        .map(|kind| history.count(&format!("WORKFLOW_TASK_{kind}")))
        .iter()
        .sum();
    let sum: usize = parts.iter().map(|(_, events)| events).sum();
    assert_eq!(history.events().len() - tasks, sum, "{parts:?}\n{}", history.outline());
    assert_eq!(history.count("WORKFLOW_TASK_FAILED"), 0);
}

#[tokio::test]
async fn on_pages_it_is_sent_back_and_revised_and_the_old_link_says_what_changed() {
    let stack = Stack::beside(Temporal::shared().await).with_rules(RULES).start().await;
    let workflow = stack.submit(&submission::routed("5000.00")).await;
    let reader = stack.reader();
    let first = stack.mail_to("ann@example.com").await.link("approve");
    reader.press(&first, "request_changes", " ").await.expect(422, &["say which in a comment"]);
    let sent_back = reader.press(&first, "request_changes", "Take the train.").await;
    sent_back.expect(200, &["Recorded: you requested changes", "waits for the submitter"]);
    reader.press(&first, "approve", "").await.expect(409, &["You pressed Approve"]);

    let own = stack.mail_to("sam@example.com").await;
    let own = own.own_link().expect("the submitter's link");
    reader.open(&own).await.expect(200, &["Changes are requested", "Take the train."]);
    reader.press(&own, "approve", "").await.expect(403, &["the submitter's"]);
    let revise = async |title, amount| {
        let fields = [
            ("act", "revise"),
            ("title", title),
            ("amount", amount),
            ("currency", "USD"),
            ("description", "Two of us go."),
            ("label", "Class"),
            ("value", "Second"),
        ];
        reader.submit(&own, &fields).await
    };
    let refused = revise("By train", "4,000").await;
    refused.expect(422, &["was not recorded", "correct what is marked below", "Second"]);
    for kept in ["value=\"By train\"", "value=\"4,000\"", "value=\"Class\""] {
        assert!(refused.body.contains(kept), "{kept}: {}", refused.body);
    }
    let revised = revise("By train", "4000.00").await;
    revised.expect(200, &["Recorded: you revised your request", "version 2"]);
    revise("By train", "4000.00").await.expect(200, &["you revised your request"]);

    for page in [reader.open(&first).await, reader.press(&first, "approve", "").await] {
        page.expect(409, &["What changed", "By train", "4,000.00 USD", "Two of us go.", "Second"]);
    }
    let second = stack.mails_to("ann@example.com", 2).await[1].link("approve");
    reader.open(&second).await.expect(200, &["Version 2", "What changed", "5,000.00 USD"]);
    reader.press(&second, "approve", "").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["document"]["title"], "By train", "{outcome}");
    assert_eq!(outcome["earlierVersions"][0]["by"], "link", "{outcome}");
    reader.open(&first).await.expect(200, &["approved"]);
}

#[tokio::test]
async fn a_bare_signal_revises_only_where_the_rules_let_operators_do_so() {
    let temporal = Temporal::shared().await;
    let forbidden = Stack::beside(temporal.clone()).with_rules(RULES).start().await;
    let allowed = Stack::beside(temporal).start().await;

    let workflow = forbidden.submit(&submission::routed("5000.00")).await;
    workflow.until_asked().await;
    workflow.signal("revise", &submission::routed("6000.00")).await;
    let ignored = |status: &Value| status["ignoredSignals"] == 1;
    let status = workflow.status_where("an ignored signal", ignored).await;
    assert_eq!(
        ignored_because(&status),
        ["revise: the rules do not let operators revise (`may_revise` in [operators])"]
    );
    assert_eq!(version(&status), 1, "{status}");
    let link = forbidden.mail_to("ann@example.com").await.link("approve");
    forbidden.press(&link, "approve", "").await.expect(200, &["approved"]);
    assert_eq!(workflow.outcome().await["document"]["amount"], "5000.00");

    let workflow = allowed.submit(&submission::expense(&["ann@example.com"])).await;
    let before = allowed.mail_to("ann@example.com").await;
    workflow.until_asked().await;
    workflow.signal("revise", &submission::expense(&["ann@example.com"])).await;
    workflow.signal("revise", &json!({"submissionId": "exp-2026-0042"})).await;
    let mut other = submission::expense(&["bob@example.com"]);
    other["submissionId"] = json!("another");
    workflow.signal("revise", &other).await;
    let ignored = |status: &Value| status["ignoredSignals"] == 3;
    let status = workflow.status_where("three ignored signals", ignored).await;
    let why = ignored_because(&status);
    for (said, word) in why.iter().zip(["changes nothing", "$.submitter", "$.submissionId"]) {
        assert!(
            said.starts_with("revise: ") && said.contains(word),
            "{word:?} is not said: {said}"
        );
    }
    assert_eq!((version(&status), &status["status"]), (1, &json!("PENDING")), "{status}");
    let mut cheaper = submission::expense(&["bob@example.com"]);
    cheaper["document"]["amount"] = json!("99.00");
    workflow.signal("revise", &cheaper).await;
    allowed.mail_to("bob@example.com").await;
    let told = allowed.mails_to("ann@example.com", 2).await.swap_remove(1);
    assert!(told.text.starts_with("This request was revised"), "{}", told.text);
    assert_eq!(told.header("In-Reply-To"), before.header("Message-ID"));
    workflow.signal("approve", &json!({"reviewer": "bob@example.com"})).await;
    workflow.signal("approve", &json!({"reviewer": "bob@example.com", "version": 1})).await;
    let ignored = |status: &Value| status["ignoredSignals"] == 5;
    let why = ignored_because(&workflow.status_where("two more of them", ignored).await);
    let other = "approve: it is for version 1, and version 2 is asked about: to decide that one, send \
                 `\"version\": 2` (bob@example.com)";
    assert_eq!(why[3..], [other; 2]);
    workflow.signal("approve", &json!({"reviewer": "bob@example.com", "version": 2})).await;
    let outcome = workflow.outcome().await;
    assert_eq!(
        (&outcome["status"], &outcome["document"]["amount"]),
        (&json!("APPROVED"), &json!("99.00"))
    );
    assert_eq!(outcome["stages"][0]["decisions"][0]["by"], "operator", "{outcome}");
    let earlier = &outcome["earlierVersions"][0];
    let by = (&earlier["by"], &earlier["identity"]);
    assert_eq!(by, (&json!("operator"), &json!("operator@example.com")), "{outcome}");
    assert_eq!(outcome["operatorActions"][0]["action"], "revise", "{outcome}");
    assert_eq!(workflow.history().await.count("WORKFLOW_TASK_FAILED"), 0);
}

/// Where each of ten fields is, and what a revision makes of it: five for each approval, which allows no more.
const REVISED: [[(&str, &str); 5]; 2] = [
    [
        ("/document/title", "Train to the other fair"),
        ("/document/amount", "120.00"),
        ("/document/category", "travel"),
        ("/document/description", "Second class."),
        ("/submissionType", "travel_request"),
    ],
    [
        ("/document/details/0/value", "by the window"),
        ("/document/action/name", "travel.book_twice"),
        ("/document/action/risk", "high"),
        ("/document/action/arguments/class", "first"),
        ("/document/attachments/0", "s3://offers/2.pdf"),
    ],
];

#[tokio::test]
async fn each_of_ten_fields_that_is_revised_behind_a_mail_is_named_to_whoever_presses_its_link() {
    let stack = Stack::beside(Temporal::shared().await).start().await;
    let reader = stack.reader();
    for (person, fields) in ["ann@example.com", "bob@example.com"].iter().zip(REVISED) {
        let mut submission = submission::expense(&[person]);
        submission["document"]["details"] = json!([{"label": "Seat", "value": "any"}]);
        submission["document"]["attachments"] = json!(["s3://offers/1.pdf"]);
        let arguments = json!({"class": "second", "fair": 7});
        submission["document"]["action"] =
            json!({"name": "travel.book", "risk": "low", "arguments": arguments});
        let workflow = stack.submit(&submission).await;
        for (earlier, (field, value)) in fields.into_iter().enumerate() {
            workflow.until_asked().await;
            let mails = stack.mails_to(person, earlier + 1).await;
            match submission.pointer_mut(field) {
                Some(there) => *there = json!(value),
                None => {
                    submission["document"][field.trim_start_matches("/document/")] = json!(value)
                }
            }
            workflow.signal("revise", &submission).await;
            stack.mails_to(person, earlier + 2).await;
            let form = [("verdict", "approve")];
            let link = mails[earlier].link("approve");
            let pressed = reader.submit_as_json(&link, &form).await;
            assert_eq!(pressed.status, 409, "{field}: {}", pressed.body);
            let pressed: Value = serde_json::from_str(&pressed.body).expect("JSON");
            let named: Vec<String> =
                list(&pressed["changes"]).map(|change| text(&change["path"])).collect();
            assert_eq!(named, [path(field)], "{pressed}");
            if let Some(older) = earlier.checked_sub(1) {
                let gone = reader.submit_as_json(&mails[older].link("approve"), &form).await;
                assert_eq!(gone.status, 410, "{field}: {}", gone.body);
            }
        }
        let status = workflow.status().await;
        assert_eq!((version(&status), &status["status"]), (6, &json!("PENDING")), "{status}");
    }
}

/// The same place as a JSON path.
fn path(pointer: &str) -> String {
    let mut path = "$".to_owned();
    for part in pointer.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(number) => path.push_str(&format!("[{number}]")),
            Err(_) => path.push_str(&format!(".{part}")),
        }
    }
    path
}
