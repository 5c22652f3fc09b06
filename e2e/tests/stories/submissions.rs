//! Submissions that nobody here wrote: the good ones work, the bad ones say what is wrong.

use std::{fmt::Write, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign_e2e::{DEFAULT_REVIEWER, End, Stack, Workflow, list, payload, submission, text};
use serde_json::{Value, json};

#[tokio::test]
async fn laptops_with_two_items_and_two_attachments() {
    let mut laptops = submission::laptops();
    let outcome = approved(
        &mut laptops,
        &["15,750.00 USD", "Laptop, 14 inch", "14,250.00", "1,500.00", "quote-7781.pdf"],
    )
    .await;
    assert_eq!(outcome["document"]["amount"], "15750.00");
    assert_eq!(outcome["document"]["items"][1]["amount"], "1500.00");
    assert_eq!(outcome["document"]["attachments"][1], "s3://purchasing/2026/budget.xlsx");
    assert_eq!(outcome["submitter"]["employeeId"], "E-1042");
    assert_eq!(outcome["submissionId"], "eq-2026-0107");
}

#[tokio::test]
async fn an_expense_report_whose_amount_is_a_number() {
    let mut expense = submission::expense(&[]);
    expense["document"]["amount"] = json!(125.5);
    let outcome = approved(&mut expense, &["125.50 USD", "Train to the fair"]).await;
    assert_eq!(outcome["document"]["amount"], "125.50");
}

#[tokio::test]
async fn an_amount_in_yen_has_no_decimals() {
    let mut expense = submission::expense(&[]);
    expense["document"]["amount"] = json!("1500000");
    expense["document"]["currency"] = json!("JPY");
    let outcome = approved(&mut expense, &["1,500,000 JPY"]).await;
    assert_eq!(outcome["document"]["amount"], "1500000");
}

#[tokio::test]
async fn two_hundred_items_in_many_scripts_with_emoji() {
    let title = "会議の備品 – Ausrüstung für Zürich – لوازم – 🪑🖥️";
    let items: Vec<Value> = (1..=200)
        .map(|i| json!({"description": format!("椅子 {i} – Stühle 🪑"), "amount": "0.10"}))
        .collect();
    let mut many = submission::expense(&[]);
    many["document"]["title"] = json!(title);
    many["document"]["amount"] = json!("20");
    many["document"]["currency"] = json!("CHF");
    many["document"]["items"] = json!(items);
    many["submitter"]["name"] = json!("Zoë Ωmega 山田");
    let words = ["20.00 CHF", title, "椅子 1 –", "椅子 200 – Stühle 🪑", "Zoë Ωmega 山田"];
    let outcome = approved(&mut many, &words).await;
    assert_eq!(outcome["document"]["items"].as_array().map(Vec::len), Some(200));
    assert_eq!(outcome["document"]["items"][199]["description"], "椅子 200 – Stühle 🪑");
    assert_eq!(outcome["document"]["title"], title);
}

#[tokio::test]
async fn only_the_required_fields() {
    let stack = Stack::start().await;
    let required = json!({
        "submissionId": "x",
        "submitter": {"name": "Sam", "email": "sam@example.com"},
        "document": {"title": "Pens", "amount": "9.99", "currency": "EUR"},
    });
    let workflow = stack.submit(&required).await;
    let mail = stack.mail_to(DEFAULT_REVIEWER).await;
    assert!(mail.text.contains("9.99 EUR"), "{}", mail.text);
    stack.open(&mail.link("approve")).await.expect(200, &["9.99 EUR"]);
    stack.press(&mail.link("approve"), "approve", "").await.expect(200, &["approved"]);
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["document"]["amount"], "9.99");
    assert_eq!(outcome["stages"][0]["decisions"][0]["reviewer"], DEFAULT_REVIEWER);
}

#[tokio::test]
async fn text_that_looks_like_markup_is_shown_as_it_is() {
    let mut sly = submission::expense(&[]);
    let title = "<script>alert(1)</script> & <b>bold</b> {{title}}";
    sly["document"]["title"] = json!(title);
    let outcome = approved(&mut sly, &["<script>alert(1)</script> & <b>bold</b> {{title}}"]).await;
    assert_eq!(outcome["document"]["title"], title);
}

/// Sees `words` in the mail and on the page, approves, and returns the outcome.
async fn approved(submission: &mut Value, words: &[&str]) -> Value {
    let stack = Stack::start().await;
    submission["approval"] = json!({"stages": [{"reviewers": ["lee@example.com"]}]});
    let workflow = stack.submit(submission).await;
    let mail = stack.mail_to("lee@example.com").await;
    let page = stack.open(&mail.link("approve")).await;
    page.expect(200, words);
    let unwrapped = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in words {
        assert!(unwrapped(&mail.text).contains(words), "{words:?} is not in {}", mail.text);
    }
    assert!(mail.html.contains("lee@example.com") || mail.html.contains("/a/"), "{}", mail.html);
    stack.press(&mail.link("approve"), "approve", "").await.expect(200, &["approved"]);
    workflow.outcome().await
}

/// How soon a bad submission has to fail, with two dozen others at once.
const PROMPTLY: Duration = Duration::from_secs(20);

/// What is wrong with a submission, and the paths that have to be named.
struct Bad {
    name: &'static str,
    input: Vec<String>,
    paths: Vec<&'static str>,
}

fn bad(name: &'static str, submission: Value, paths: &[&'static str]) -> Bad {
    inputs(name, &["--input", &submission.to_string()], paths)
}

fn inputs(name: &'static str, input: &[&str], paths: &[&'static str]) -> Bad {
    Bad { name, input: input.iter().map(|&each| each.to_owned()).collect(), paths: paths.to_vec() }
}

/// A good expense report with one value replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut changed = submission::expense(&["lee@example.com"]);
    let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
    changed.pointer_mut(parent).expect("an object")[name] = value;
    changed
}

fn with_items(items: Value) -> Value {
    with("/document/items", items)
}

#[tokio::test]
async fn bad_submissions_fail_promptly_and_name_every_problem() {
    let stack = Stack::start().await;
    let good = submission::expense(&["lee@example.com"]).to_string();
    let large = with("/document/description", json!("x".repeat(300_000)));
    let large = submission::write(stack.dir(), "large", &large);
    let cases = [
        bad("nothing but braces", json!({}), &["$.submissionId", "$.submitter", "$.document"]),
        bad(
            "empty parts",
            json!({"submissionId": "x", "submitter": {}, "document": {}}),
            &["$.submitter.name", "$.submitter.email", "$.document.title"],
        ),
        bad(
            "half of a price, and an action that programs read in two ways",
            json!({
                "submissionId": "x",
                "submitter": {"name": "Sam", "email": "sam@example.com"},
                "document": {"title": "t", "currency": "EUR", "details": [{"label": "From"}], "action": {
                    "arguments": {"amount": 1e300, "to": ["a", {"b": 12345678901234567890_u64}]}}},
            }),
            &[
                "$.document.amount",
                "$.document.details[0].value",
                "$.document.action.name",
                "$.document.action.arguments.amount",
                "$.document.action.arguments.to[1].b",
            ],
        ),
        bad(
            "wrong types",
            json!({
                "submissionId": 7,
                "submitter": {"name": ["x"], "email": true},
                "document": {"title": {}, "amount": [], "currency": 5, "items": "none"},
                "submittedAt": "yesterday",
            }),
            &[
                "$.submissionId",
                "$.submitter.name",
                "$.submitter.email",
                "$.document.title",
                "$.document.amount",
                "$.document.currency",
                "$.document.items",
                "$.submittedAt",
            ],
        ),
        bad("a negative amount", with("/document/amount", json!("-1.00")), &["$.document.amount"]),
        bad(
            "an amount of forty digits",
            with("/document/amount", json!("9".repeat(40))),
            &["$.document.amount"],
        ),
        bad("an amount in words", with("/document/amount", json!("much")), &["$.document.amount"]),
        bad("a huge exponent", with("/document/amount", json!("1e400")), &["$.document.amount"]),
        bad(
            "more decimals than the currency has",
            with("/document/amount", json!("1.005")),
            &["$.document.amount"],
        ),
        bad(
            "items that do not add up",
            with_items(json!([{"description": "a", "amount": "100.00"}])),
            &["$.document.items"],
        ),
        bad(
            "an item without an amount and one with a bad one",
            with_items(json!([{"description": "a"}, {"description": "b", "amount": "x"}])),
            &["$.document.items[0].amount", "$.document.items[1].amount"],
        ),
        bad(
            "an unknown currency",
            with("/document/currency", json!("ZZZ")),
            &["$.document.currency"],
        ),
        bad(
            "a bad e-mail",
            with("/submitter/email", json!("sam(at)example")),
            &["$.submitter.email"],
        ),
        bad(
            "a header smuggled into an e-mail",
            with("/submitter/email", json!("sam@example.com\r\nBcc: eve@example.com")),
            &["$.submitter.email"],
        ),
        bad(
            "control characters in the title",
            with("/document/title", json!("ring\u{7} the\r\nbell")),
            &["$.document.title"],
        ),
        bad(
            "a submission ID of 129 characters",
            with("/submissionId", json!("x".repeat(129))),
            &["$.submissionId"],
        ),
        bad(
            "a submitter who approves their own submission",
            submission::expense(&["sam@example.com"]),
            &["$.approval.stages[0].reviewers[0]"],
        ),
        bad(
            "bad rules",
            submission::asking(json!({"stages": [
                {"reviewers": ["a@example.com", "nobody"], "quorum": 3, "deadline": "soon"},
                {"reviewers": [], "onDeadline": "shrug", "quorom": "all"},
            ]})),
            &[
                "$.approval.stages[0].reviewers[1]",
                "$.approval.stages[0].deadline",
                "$.approval.stages[1].reviewers",
                "$.approval.stages[1].onDeadline",
                "$.approval.stages[1].quorom",
            ],
        ),
        bad("a list", json!([]), &["$"]),
        bad("a number", json!(7), &["$"]),
        bad("null", Value::Null, &["$"]),
        inputs("no input", &[], &["$"]),
        inputs("two inputs", &["--input", &good, "--input", &good], &["$"]),
        inputs("300 kB of text", &["--input-file", large.to_str().expect("UTF-8")], &["$"]),
        inputs(
            "an encoding that nobody knows",
            &["--input-base64", "--input", "/w==", "--input-meta", "encoding=binary/plain"],
            &["$"],
        ),
        inputs(
            "bytes that are no message",
            &["--input-base64", "--input", "/////w==", "--input-meta", "encoding=binary/protobuf"],
            &["$"],
        ),
    ];
    let mut workflows = Vec::new();
    for case in &cases {
        let id = stack.new_workflow_id();
        let input: Vec<&str> = case.input.iter().map(String::as_str).collect();
        workflows.push(stack.temporal.start_workflow_with(&stack.queue, &id, &input).await);
    }
    let mut wrong = String::new();
    for (case, workflow) in cases.iter().zip(&workflows) {
        if let Err(error) = fails_naming(workflow, &case.paths).await {
            writeln!(wrong, "{}: {error}", case.name).expect("a string");
        }
    }
    assert_eq!(wrong, "");
    assert_eq!(stack.outbox().len(), 0, "nobody is asked about a bad submission");
    let query = format!("TaskQueue = '{}' AND ExecutionStatus = 'Running'", stack.queue);
    assert_eq!(stack.temporal.list(&query).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_json_at_all_fails_too() {
    // The command line checks JSON itself, so this goes to the server directly.
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    for data in [&b"hello"[..], b"", b"\xff\xfe\x00", b"{\"submissionId\": ", b"\"\\ud800\""] {
        let id = stack.new_workflow_id();
        grpc.start(&stack.queue, &id, vec![payload("json/plain", data)]).await;
        let failed = fails_naming(&stack.temporal.workflow(&id), &["$"]).await;
        assert_eq!(failed, Ok(()), "{:?}", String::from_utf8_lossy(data));
    }
}

#[tokio::test]
async fn three_megabytes_of_text_are_refused_by_the_server_or_by_the_worker() {
    let stack = Stack::start().await;
    let huge = with("/document/description", json!("x".repeat(3_000_000)));
    let file = submission::write(stack.dir(), "huge", &huge);
    let id = stack.new_workflow_id();
    let input = ["--input-file", file.to_str().expect("UTF-8")];
    match stack.temporal.try_start_workflow(&stack.queue, &id, &input).await {
        Err(error) => assert!(error.contains("exceeds limit"), "{error}"),
        Ok(workflow) => assert_eq!(fails_naming(&workflow, &["$"]).await, Ok(())),
    }
    let query = format!("TaskQueue = '{}' AND ExecutionStatus = 'Running'", stack.queue);
    assert_eq!(stack.temporal.list(&query).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_same_submission_is_understood_in_all_three_encodings_and_answered_in_kind() {
    use countersign_protos::v1;
    use prost::Message;

    let stack = Stack::start().await;
    let message = v1::Submission {
        submission_id: "enc".to_owned(),
        submitter: Some(v1::Submitter {
            name: "Sam".to_owned(),
            email: "sam@example.com".to_owned(),
            ..v1::Submitter::default()
        }),
        document: Some(v1::Document {
            title: "Pens".to_owned(),
            amount: "9.90".to_owned(),
            currency: "EUR".to_owned(),
            ..v1::Document::default()
        }),
        ..v1::Submission::default()
    };
    let json = serde_json::to_string(&message).expect("JSON");
    let binary = BASE64_STANDARD.encode(message.encode_to_vec());
    let message_type = "messageType=countersign.v1.Submission";
    for (encoding, input) in [
        ("json/plain", vec!["--input", json.as_str()]),
        ("json/protobuf", vec!["--input", &json, "--input-meta", message_type]),
        ("binary/protobuf", vec!["--input-base64", "--input", &binary]),
    ] {
        let id = stack.new_workflow_id();
        let encoded = format!("encoding={encoding}");
        let arguments = [&input[..], &["--input-meta", &encoded]].concat();
        let workflow = stack.temporal.start_workflow_with(&stack.queue, &id, &arguments).await;
        workflow.signal("approve", &json!({"reviewer": DEFAULT_REVIEWER})).await;
        let End::Completed(result) = workflow.end().await else {
            panic!("{encoding} did not complete");
        };
        assert_eq!(result.encoding, encoding);
        let outcome = match encoding {
            "binary/protobuf" => v1::Outcome::decode(&result.data[..]).expect("an outcome"),
            _ => serde_json::from_slice(&result.data).expect("an outcome"),
        };
        assert_eq!(outcome.status(), v1::Status::Approved, "{encoding}");
        assert_eq!(outcome.document.map(|document| document.amount), Some("9.90".to_owned()));
    }
}

/// Whether a workflow failed with `InvalidSubmission`, naming at least these paths.
async fn fails_naming(workflow: &Workflow, paths: &[&str]) -> Result<(), String> {
    let Some(end) = workflow.end_within(PROMPTLY).await else {
        return Err(format!("it goes on after {PROMPTLY:?}"));
    };
    let End::Failed { kind, non_retryable: true, details } = &end else {
        return Err(format!("it does not fail for good: {end:?}"));
    };
    if kind != "InvalidSubmission" || details.len() != 1 {
        return Err(format!("it fails otherwise: {end:?}"));
    }
    let problems = details[0].json();
    let named: Vec<String> = list(&problems).map(|problem| text(&problem["path"])).collect();
    if let Some(missing) = paths.iter().find(|path| !named.iter().any(|named| named == *path)) {
        return Err(format!("{missing} is not named in {problems}"));
    }
    match list(&problems).all(|problem| !text(&problem["message"]).is_empty()) {
        true => Ok(()),
        false => Err(format!("a problem without a message: {problems}")),
    }
}
