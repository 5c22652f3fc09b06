use countersign_protos::{
    payload::{self, Encoding},
    submission,
};
use serde_json::{Value, json};

use super::*;
use countersign_protos::Chain;

use crate::{
    approval::Operators,
    commands, leaves,
    outcome::{claims, outcome, routed_by},
    testing::Schema,
};

fn routing() -> Routing {
    Routing { reviewers: vec!["boss@example.com".parse().expect("an address")], webhook: false }
}

type Checked = Result<Plan, Vec<Problem>>;

fn validated(json: &Value) -> Checked {
    validated_by(json, &routing(), None)
}

fn validated_by(json: &Value, routing: &Routing, rules: Option<&Policy>) -> Checked {
    validated_text(&json.to_string(), routing, rules)
}

fn validated_text(json: &str, routing: &Routing, rules: Option<&Policy>) -> Checked {
    let mut payload = payload::encode(&Submission::default(), Encoding::JsonPlain);
    payload.data = json.as_bytes().to_vec();
    let (submission, problems) = submission::read(&[payload]);
    validate(submission, problems, routing, rules, Timestamp::UNIX_EPOCH)
}

fn rules(text: &str) -> Policy {
    let no_file = |_: &str| Err::<Vec<u8>, _>(std::io::ErrorKind::NotFound.into());
    Policy::parse(text, "rules.toml", no_file).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn plan(json: &Value) -> Plan {
    match validated(json) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// The problems as `path: message`.
fn problems(json: &Value) -> Vec<String> {
    problems_of(validated(json))
}

fn problems_of(validated: Checked) -> Vec<String> {
    match validated {
        Ok(plan) => panic!("{plan:#?}"),
        Err(problems) => problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect(),
    }
}

fn minimal() -> Value {
    json!({
        "submissionId": "EXP-1",
        "submitter": {"name": "Sue", "email": "sue@example.com"},
        "document": {"title": "Train to Lyon", "amount": 125.5, "currency": "EUR"},
    })
}

/// The minimal submission with one value replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut json = minimal();
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    json.pointer_mut(parent).expect("a parent")[field] = value;
    json
}

fn stage(stage: Value) -> Value {
    with("/approval", json!({"stages": [stage]}))
}

#[test]
fn the_required_fields_are_enough_and_the_default_reviewers_are_asked() {
    let plan = plan(&minimal());
    assert_eq!(plan.submission.document.as_ref().map(|d| d.amount.as_str()), Some("125.50"));
    assert_eq!(plan.stages.len(), 1);
    assert_eq!(plan.stages[0].reviewers, routing().reviewers);
    assert_eq!(plan.stages[0].quorum, Quorum::Any);
    assert_eq!(plan.stages[0].time.deadline.to_string(), "7 days");
}

#[test]
fn what_nobody_sees_is_no_title_and_no_name() {
    let json = with("/document/title", json!("\u{202e}\u{200b}"));
    assert_eq!(problems(&json), ["$.document.title: has only invisible characters"]);
    let json = with("/submitter/name", json!("\u{200b}"));
    assert_eq!(problems(&json), ["$.submitter.name: has only invisible characters"]);
    let json = with("/document/category", json!(""));
    assert!(validated(&json).is_ok());
}

/// A local activity's result that cannot be read again would fail the workflow task for ever.
#[test]
fn what_is_recorded_of_any_time_is_read_again_as_it_is() {
    let submission = plan(&minimal()).submission;
    let year_1 = -62_135_596_800;
    for (seconds, nanos, usable) in [
        (1_795_509_000, 0, true),
        (year_1, 0, true),
        (year_1 - 1, 0, false),
        (253_402_207_200, 999_999_999, true),
        (1_795_509_000_000, 0, false),
        (i64::MAX, i32::MAX, false),
        (i64::MIN, i32::MIN, false),
        (0, -1, false),
        (0, 1_000_000_000, false),
    ] {
        let submitted_at = Some(pbjson_types::Timestamp { seconds, nanos });
        let submission = Submission { submitted_at, ..submission.clone() };
        let now = Timestamp::UNIX_EPOCH;
        let validated = validate(submission, Vec::new(), &routing(), None, now);
        let recorded = serde_json::to_string(&validated).expect("it can be written");
        let read: Checked = serde_json::from_str(&recorded).expect("it can be read");
        assert_eq!(read, validated);
        match usable {
            true => assert!(read.is_ok(), "{seconds} {nanos}"),
            false => assert_eq!(
                problems_of(read),
                ["$.submittedAt: must be a time in the years 1 to 9999"],
                "{seconds} {nanos}"
            ),
        }
    }
    let bc = with("/submittedAt", json!("-000001-01-01T00:00:00Z"));
    assert_eq!(problems(&bc), ["$.submittedAt: must be a time in the years 1 to 9999"]);
}

#[test]
fn a_plan_says_which_commands_its_workflow_makes() {
    let mut recorded = serde_json::to_value(plan(&minimal())).expect("JSON");
    assert_eq!(recorded["commands"], commands::CURRENT);
    recorded["commands"] = json!(commands::CURRENT - 1);
    let earlier: Plan = serde_json::from_value(recorded).expect("a plan");
    assert!(earlier.commands < commands::CURRENT);
}

#[test]
fn a_full_purchase_is_planned_as_it_says() {
    let plan = plan(&json!({
        "submissionId": "PO-2041", "submissionType": "equipment_purchase",
        "submitter": {"name": "Sue", "email": "Sue@Example.com", "department": "R&D", "employeeId": "E7"},
        "document": {
            "title": "15 laptops", "amount": 15750.00, "currency": "USD", "category": "hardware",
            "description": "For the new hires.\nQuote attached.",
            "items": [
                {"description": "14 laptops", "amount": "14700", "date": "2026-11-20"},
                {"description": "1 workstation", "amount": 1050.0},
            ],
            "attachments": ["s3://quotes/a.pdf", "s3://quotes/b.pdf"],
        },
        "submittedAt": "2026-11-24T09:30:00Z",
        "approval": {"stages": [
            {"name": "Manager", "reviewers": ["Ann@Example.com"], "deadline": "36h", "reminders": ["1 day", "PT2H"]},
            {"reviewers": ["bob@example.com", "cy@example.com", "di@example.com"], "quorum": 2, "onDeadline": "reject"},
        ]},
    }));
    let document = plan.submission.document.expect("a document");
    assert_eq!(document.amount, "15750.00");
    assert_eq!(document.items[0].amount, "14700.00");
    assert_eq!(plan.submitter.as_str(), "sue@example.com");
    assert_eq!(plan.stages[0].name, "Manager");
    assert_eq!(plan.stages[0].reviewers[0].as_str(), "ann@example.com");
    let reminders: Vec<_> = plan.stages[0].time.reminders.iter().map(ToString::to_string).collect();
    assert_eq!(reminders, ["1 day", "2h"]);
    assert_eq!(plan.stages[1].name, "Stage 2");
    assert_eq!(plan.stages[1].quorum, Quorum::at_least(2).expect("positive"));
    assert_eq!(plan.stages[1].on_deadline, OnDeadline::Reject);
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    assert_eq!(
        problems(&json!({"document": {"title": " "}, "submitter": {}})),
        [
            "$.submissionId: is required",
            "$.submitter.name: is required",
            "$.submitter.email: is required",
            "$.document.title: is required",
        ]
    );
    assert_eq!(
        problems(&json!({})),
        [
            "$.submissionId: is required",
            "$.submitter: is required: an object with name and email",
            "$.document: is required: an object with a title",
        ]
    );
}

#[test]
fn a_wrong_type_is_named_once_and_not_also_as_missing() {
    assert_eq!(
        problems(
            &json!({"submissionId": 7, "submitter": [], "document": {"title": {}, "amount": true, "currency": "EUR"}})
        ),
        [
            "$.submissionId: must be a string, not a number",
            "$.submitter: must be an object, not an array",
            "$.document.title: must be a string, not an object",
            "$.document.amount: must be a number, not true or false",
        ]
    );
}

#[test]
fn one_wrong_field_does_not_hide_another() {
    let mut json = with("/document/currency", json!("ABC"));
    json["document"]["amount"] = json!(-3);
    let found = problems(&json);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[1], "$.document.amount: must not be negative");
}

#[test]
fn each_rule_names_its_field() {
    for (json, problem) in [
        (
            with("/submissionId", json!("x".repeat(129))),
            "$.submissionId: has 129 characters; at most 128 are accepted",
        ),
        (
            with("/submitter/email", json!("sue at example")),
            "$.submitter.email: must be an e-mail address, such as ann@example.com",
        ),
        (
            with("/document/title", json!("a\r\nBcc: eve@example.com")),
            "$.document.title: must not contain line breaks or other control characters",
        ),
        (
            with("/document/title", json!("a\u{0}b")),
            "$.document.title: must not contain line breaks or other control characters",
        ),
        (with("/document/amount", json!(-5)), "$.document.amount: must not be negative"),
        (
            with("/document/amount", json!("1e999")),
            "$.document.amount: must be below 1,000,000,000,000,000",
        ),
        (
            with("/document/amount", json!("125.5055")),
            "$.document.amount: EUR has 2 decimals at most",
        ),
        (
            with("/document/amount", json!("a lot")),
            "$.document.amount: must be a decimal number, such as 1500 or 125.50: a point before the \
             decimals, digits on both sides of it, and no spaces or other signs",
        ),
        (
            with("/document/currency", json!("EURO")),
            "$.document.currency: must be an ISO 4217 currency code, such as USD",
        ),
        (
            with("/document/description", json!("\u{7}")),
            "$.document.description: must not contain control characters other than line breaks and tabs",
        ),
        (
            with("/document/items", json!([{"amount": 100}, {"amount": "25.40"}])),
            "$.document.items: add up to 125.40, not to the amount 125.50",
        ),
        (
            with("/document/items", json!([{"amount": 125.5, "date": "24.11.2026"}])),
            "$.document.items[0].date: must be a date, such as 2026-11-24",
        ),
        (
            with("/document/items", json!([{"description": "x"}])),
            "$.document.items[0].amount: is required",
        ),
        (
            with("/document/attachments", json!(["s3://ok/a", "quote.pdf"])),
            "$.document.attachments[1]: must be a URI, such as s3://bucket/invoice.pdf",
        ),
        (
            with("/submittedAt", json!("24 November")),
            "$.submittedAt: must be an RFC 3339 time, such as 2026-11-24T09:30:00Z",
        ),
        (
            with("/submitter/email", json!("boss@example.com")),
            "$.approval: is required: the only default reviewer is the submitter",
        ),
        (with("/approval", json!({})), "$.approval.stages: is required: at least one stage"),
        (
            stage(json!({})),
            "$.approval.stages[0].reviewers: is required: at least one e-mail address",
        ),
        (
            stage(json!({"reviewers": ["Sue@example.com", "a@example.com"]})),
            "$.approval.stages[0].reviewers[0]: is the submitter, who does not approve their own submission",
        ),
        (
            stage(json!({"reviewers": ["a@example.com", "A@example.com"]})),
            "$.approval.stages[0].reviewers[1]: is already in this stage: one reviewer has one vote",
        ),
        (
            stage(json!({"reviewers": ["sue+boss@example.com", "a@example.com"]})),
            "$.approval.stages[0].reviewers[0]: is the submitter, who does not approve their own submission",
        ),
        (
            stage(json!({"reviewers": ["a.b@gmail.com", "AB+x@googlemail.com"]})),
            "$.approval.stages[0].reviewers[1]: is already in this stage: one reviewer has one vote",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "quorum": 2})),
            "$.approval.stages[0].quorum: 2 approvals can never come from 1 reviewers",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "quorum": "most"})),
            "$.approval.stages[0].quorum: must be \"any\", \"all\" or a number from 1",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "deadline": "soon"})),
            "$.approval.stages[0].deadline: must be a span of time, such as 36h, 3 days, PT45M or 2 working days",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "deadline": "-1h"})),
            "$.approval.stages[0].deadline: must be at least a second",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "deadline": "400 days"})),
            "$.approval.stages[0].deadline: must be at most 366 days",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "deadline": "1h", "reminders": ["2h"]})),
            "$.approval.stages[0].reminders[0]: must come between the request and the deadline, 1h later",
        ),
        (
            stage(json!({
                "reviewers": ["a@example.com"], "deadline": "2 working days",
                "reminders": ["1h", "3 working days"],
            })),
            "$.approval.stages[0].reminders[1]: must come between the request and the deadline, 2 working days later",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "reminders": ["every 1h"]})),
            "$.approval.stages[0].reminders[0]: would come more than 20 times in 7 days",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "onDeadline": "panic"})),
            "$.approval.stages[0].onDeadline: must be \"expire\", \"reject\" or \"approve\"",
        ),
        (
            stage(json!({"reviewers": ["a@example.com"], "quorom": 1})),
            "$.approval.stages[0].quorom: is not known; did you mean `quorum`?",
        ),
    ] {
        assert_eq!(problems(&json), [problem]);
    }
}

/// The minimal submission without an amount, and with these fields in its document.
fn without_amount(fields: Value) -> Value {
    let mut document = json!({"title": "Deploy shop 2.3"});
    let (document_fields, Value::Object(fields)) = (document.as_object_mut(), fields) else {
        panic!("no object");
    };
    document_fields.expect("an object").extend(fields);
    with("/document", document)
}

#[test]
fn an_amount_and_its_currency_come_together_or_not_at_all() {
    let document = plan(&without_amount(json!({}))).submission.document.expect("a document");
    assert_eq!((&*document.amount, &*document.currency), ("", ""));
    for (fields, problem) in [
        (json!({"amount": 5}), "$.document.currency: is required with an amount"),
        (
            json!({"amount": "", "currency": "EUR"}),
            "$.document.amount: is required with a currency",
        ),
        (
            json!({"items": [{"amount": 1}]}),
            "$.document.amount: is required with items, which add up to it",
        ),
    ] {
        assert_eq!(problems(&without_amount(fields)), [problem]);
    }
}

#[test]
fn details_stand_as_they_are_written_and_in_their_order() {
    let details = json!([
        {"label": " From ", "value": " Mon 7 Dec,\n  morning "},
        {"label": "From", "value": "again"},
    ]);
    let document = plan(&without_amount(json!({"details": details}))).submission.document;
    let details = document.expect("a document").details;
    assert_eq!((&*details[0].label, &*details[0].value), ("From", " Mon 7 Dec,\n  morning "));
    assert_eq!(details[1].value, "again");
    let wrong = json!([{"label": "a\nb", "value": "x"}, {"label": "c"}, {"value": "\u{7}"}, {"label": 1, "value": "x"}]);
    assert_eq!(
        problems(&without_amount(json!({"details": wrong}))),
        [
            "$.document.details[3].label: must be a string, not a number",
            "$.document.details[0].label: must not contain line breaks or other control characters",
            "$.document.details[1].value: is required",
            "$.document.details[2].label: is required",
            "$.document.details[2].value: must not contain control characters other than line breaks and tabs",
        ]
    );
    let many = vec![json!({"label": "a", "value": "b"}); 101];
    assert_eq!(
        problems(&without_amount(json!({"details": many}))),
        ["$.document.details: has more than 100 elements"]
    );
}

#[test]
fn an_action_keeps_its_arguments_in_their_canonical_bytes() {
    let sent = r#"{"submissionId": "D-1", "submitter": {"name": "Sue", "email": "sue@example.com"}, "document": {
        "title": "Deploy", "action": {"name": "deploy", "arguments": { "to" : "2.3", "replicas": 3.0, "at": null }}}}"#;
    let plan = validated_text(sent, &routing(), None).expect("valid");
    let canonical = r#""arguments":{"at":null,"replicas":3,"to":"2.3"}"#;
    let recorded = serde_json::to_string(&plan).expect("JSON");
    assert!(recorded.contains(canonical), "{recorded}");
    let read: Plan = serde_json::from_str(&recorded).expect("a plan");
    assert_eq!(read, plan);
    assert_eq!(plan.action_digest.len(), 64);
    let chain = Chain { workflow_id: "deploy", first_run_id: "run" };
    let outcome = outcome(&plan, &leaves::begin(&plan, Timestamp::UNIX_EPOCH), chain);
    let result = serde_json::to_string(&outcome).expect("JSON");
    assert!(result.contains(canonical), "{result}");
    assert_eq!(claims(&outcome, chain).action_digest, plan.action_digest);
    assert!(!serde_json::to_string(&self::plan(&minimal())).expect("JSON").contains("action"));
}

#[test]
fn the_digest_covers_details_and_everything_of_an_action() {
    let action = json!({"name": "deploy", "arguments": {"to": "2.3"}, "risk": "high", "reason": "r", "onBehalfOf": "o"});
    let base = without_amount(json!({"details": [{"label": "a", "value": "b"}], "action": action}));
    let own = plan(&base);
    for (pointer, same_action) in [
        ("/document/details/0/label", true),
        ("/document/details/0/value", true),
        ("/document/action/name", false),
        ("/document/action/arguments/to", false),
        ("/document/action/risk", true),
        ("/document/action/reason", true),
        ("/document/action/onBehalfOf", true),
    ] {
        let mut changed = base.clone();
        *changed.pointer_mut(pointer).expect("there") = json!("other");
        let changed = plan(&changed);
        assert_ne!(changed.digest, own.digest, "{pointer}");
        assert_eq!(changed.action_digest == own.action_digest, same_action, "{pointer}");
    }
}

#[test]
fn every_problem_of_an_action_is_named_at_once() {
    let action = json!({
        "name": " deploy", "arguments": {"replicas": 1e300, "to": ["\u{fdd0}"]}, "risk": "a\nb", "resaon": "x",
    });
    assert_eq!(
        problems(&without_amount(json!({"action": action}))),
        [
            "$.document.action.resaon: is not known; did you mean `reason`?",
            "$.document.action.arguments.replicas: is beyond 2^53-1, up to which numbers are the same in every \
             program: write it as a string",
            "$.document.action.arguments.to[0]: has U+FDD0, which is not a character",
            "$.document.action.name: must not start or end with a space",
            "$.document.action.risk: must not contain line breaks or other control characters",
        ]
    );
    let nameless = without_amount(json!({"action": {"arguments": {}}}));
    assert_eq!(problems(&nameless), ["$.document.action.name: is required"]);
}

#[test]
fn credits_are_negative_items_and_yen_have_no_decimals() {
    plan(&with(
        "/document/items",
        json!([{"amount": 130}, {"amount": "-4.50", "description": "discount"}]),
    ));
    let mut yen = with("/document/currency", json!("JPY"));
    yen["document"]["amount"] = json!("120000");
    assert_eq!(plan(&yen).submission.document.map(|d| d.amount), Some("120000".into()));
}

#[test]
fn more_reviewers_than_a_search_attribute_holds_are_refused() {
    let reviewers: Vec<String> = (0..81).map(|i| format!("r{i}@x.io")).collect();
    let found = problems(&stage(json!({"reviewers": reviewers})));
    assert_eq!(found, ["$.approval.stages: ask 81 reviewers; at most 80 can be asked"]);
    let long: Vec<String> =
        (0..10).map(|i| format!("{i}@{}example.com", "a.".repeat(100))).collect();
    assert!(problems(&stage(json!({"reviewers": long})))[0].contains("bytes"));
}

#[test]
fn default_reviewers_and_deputies_have_to_fit_too() {
    let long = "a.".repeat(100);
    let people = |number: usize, domain: &str| {
        (0..number).map(|i| format!("r{i}@{domain}").parse().expect("an address")).collect()
    };
    let asking = |reviewers| validated_by(&minimal(), &Routing { reviewers, webhook: false }, None);
    assert!(asking(people(80, "x.io")).is_ok());
    for (reviewers, found) in [
        (people(81, "x.io"), "81 default reviewers (COUNTERSIGN_REVIEWERS) take 881 bytes"),
        (
            people(9, &format!("{long}example.com")),
            "9 default reviewers (COUNTERSIGN_REVIEWERS) take 1953 bytes",
        ),
    ] {
        assert_eq!(
            problems_of(asking(reviewers)),
            [format!(
                "$.approval: is required: the worker's {found}; at most 80 reviewers and 1900 bytes fit"
            )]
        );
    }
    let away: String = (0..9)
        .map(|i| {
            format!(
                "[[absences]]\nreviewer = \"r{i}@x.io\"\ndeputy = \"d{i}@{long}example.com\"\n\
                 from = 2026-12-01\nto = 2026-12-02\n"
            )
        })
        .collect();
    let rules = format!("{MAY_NAME}[default]\ndecision = \"reject\"\n{away}");
    let rules = self::rules(&rules);
    let reviewers: Vec<String> = (0..9).map(|i| format!("r{i}@x.io")).collect();
    let own = stage(json!({"reviewers": reviewers}));
    assert!(validated(&own).is_ok());
    assert_eq!(
        problems_of(validated_by(&own, &routing(), Some(&rules))),
        ["$.approval.stages[0].reviewers: take 1953 bytes with their deputies; at most 1900 fit"]
    );
}

#[test]
fn a_submission_for_which_nobody_is_left_is_refused() {
    let with_ann = |deputy: &str| {
        rules(&format!(
            "{MAY_NAME}[managers]\ndefault = \"ann@example.com\"\n\
             [[absences]]\nreviewer = \"ann@example.com\"\n{deputy}from = 1969-12-31\nto = 2099-12-31\n\
             [default]\nname = \"All\"\nstages = [{{ name = \"Boss\", reviewers = [\"manager\"] }}]\n"
        ))
    };
    let alone = with_ann("");
    let why = "nobody is left on";
    let routed = problems_of(validated_by(&minimal(), &routing(), Some(&alone)));
    assert_eq!(routed.len(), 1, "{routed:?}");
    assert!(routed[0].starts_with(&format!("$.submitter: {why}")), "{routed:?}");
    assert!(routed[0].ends_with("(rule \"All\", stage \"Boss\")"), "{routed:?}");
    let own = stage(json!({"reviewers": ["ann@example.com"]}));
    let named = problems_of(validated_by(&own, &routing(), Some(&alone)));
    assert!(named[0].starts_with(&format!("$.approval.stages[0].reviewers: {why}")), "{named:?}");
    let with_deputy = with_ann("deputy = \"dee@example.com\"\n");
    assert!(validated_by(&minimal(), &routing(), Some(&with_deputy)).is_ok());
}

/// The schema of submissions, as editors and programs have it.
#[test]
fn the_schema_of_submissions_requires_and_knows_what_is_required_and_known() {
    let schema = include_str!("../../../docs/schemas/submission.json");
    let schema: Value = serde_json::from_str(schema).expect("JSON");
    let follows = Schema::new(schema.clone());
    let mut full = stage(json!({"reviewers": ["ann@example.com"]}));
    full["document"]["items"] = json!([{"amount": 125.5}]);
    full["document"]["details"] = json!([{"label": "From", "value": "Monday"}]);
    full["document"]["action"] = json!({"name": "pay", "arguments": {"sum": [1, null]}});
    full["fields"] = json!([{"name": "why", "label": "Why?"}]);
    assert_eq!(follows.errors(&full), None);
    for (pointer, path) in [
        ("", "$"),
        ("/submitter", "$.submitter"),
        ("/document", "$.document"),
        ("/document/items/0", "$.document.items[0]"),
        ("/document/details/0", "$.document.details[0]"),
        ("/document/action", "$.document.action"),
        ("/approval", "$.approval"),
        ("/approval/stages/0", "$.approval.stages[0]"),
        ("/fields/0", "$.fields[0]"),
    ] {
        let at = pointer.replace('/', "/properties/").replace("/properties/0", "/items");
        let of_object = schema.pointer(&at).expect("an object");
        let properties = of_object["properties"].as_object().expect("properties");
        let required = of_object["required"].as_array().expect("an array");
        for name in properties.keys() {
            let mut without = full.clone();
            let object = without.pointer_mut(pointer).and_then(Value::as_object_mut);
            object.expect("an object").remove(name);
            let is_required = required.iter().any(|required| required == name)
                || of_object.pointer(&format!("/dependencies/{name}")).is_some();
            let said = validated(&without).err().unwrap_or_default();
            let is_missed = said.iter().any(|problem| problem.path == format!("{path}.{name}"));
            assert_eq!(is_missed, is_required, "{path}.{name}: {said:?}");
            assert_eq!(follows.errors(&without).is_some(), is_required, "{path}.{name}");
        }
    }
    for (pointer, wrong) in [
        ("/submissionType", json!(7)),
        ("/submitter", json!("Sue")),
        ("/document/amount", json!(["1"])),
        ("/document/items", json!({})),
        ("/document/action", json!({"name": "pay", "args": {"sum": 1}})),
        ("/document/details", json!([{"label": "From", "value": 7}])),
        ("/submittedAt", json!("yesterday")),
        ("/fields", json!([{"name": "why", "label": "Why?", "required": true}])),
        ("/approvals", json!([])),
        ("/approval", json!({"stage": []})),
        ("/approval", json!({"stages": [{"reviewer": ["a@example.com"]}]})),
    ] {
        let wrong_one = with(pointer, wrong);
        assert!(validated(&wrong_one).is_err(), "{pointer}");
        assert!(follows.errors(&wrong_one).is_some(), "{pointer}");
    }
    for number in [json!(10), json!(10.5), json!("10.50")] {
        let right = with("/document/amount", number);
        assert!(validated(&right).is_ok() && follows.errors(&right).is_none(), "{right}");
    }
}

#[test]
fn a_submission_is_as_large_as_can_be_carried_to_all_who_are_asked() {
    let reviewers: Vec<String> = (0..79).map(|i| format!("r{i}@x.io")).collect();
    let asking = |people: usize, more: usize| {
        let mut json = stage(json!({"reviewers": reviewers[..people]}));
        json["document"]["description"] = json!("会".repeat(8_000) + &"x".repeat(more));
        json
    };
    let size = serde_json::to_vec(&plan(&asking(79, 0)).submission).expect("JSON").len();
    // 80 times 26,214 bytes are 2 MiB but for 32.
    let more = 26_214 - size;
    plan(&asking(79, more));
    assert_eq!(
        problems(&asking(79, more + 1)),
        [
            "$.document: is too large: the submission has 26215 bytes and is carried once for each of 79 \
             people and once more, 2097200 bytes in all; at most 2097152 fit. Shorten it, attach long \
             texts, or ask fewer people"
        ]
    );
    plan(&asking(78, more + 1));
}

#[test]
fn a_flood_of_problems_is_cut_and_counted() {
    let items: Vec<Value> = (0..900).map(|_| json!({"amount": "x"})).collect();
    let found = problems(&with("/document/items", json!(items)));
    assert_eq!(found.len(), 200);
    assert_eq!(found[199], "$: has 701 more problems");
}

/// In a time that grows with their number, and not with its square.
#[test]
fn a_hundred_thousand_mistakes_are_told_as_two_hundred() {
    let stages = vec![json!(0); 100_000];
    let problems = problems(&with("/approval", json!({ "stages": stages })));
    assert_eq!(problems.len(), MAX_PROBLEMS);
    assert_eq!(problems[0], "$.approval.stages[0]: must be an object, not a number");
    assert_eq!(problems.last().expect("many"), "$: has 99801 more problems");
}

/// What is written for an amount as JSON, in which currency, and what is right: the amount, or how the
/// problem begins.
const AMOUNTS: &[(&str, &str, Result<&str, &str>)] = &[
    // As other systems write them.
    (r#""125.50""#, "EUR", Ok("125.50")),
    (r#""1234.5""#, "EUR", Ok("1234.50")),
    (r#""10.000""#, "JPY", Err(r#""10.000" could mean 10000 or 10: write one of them"#)),
    (r#""15.000""#, "EUR", Err(r#""15.000" could mean 15000.00 or 15.00: write one of them"#)),
    (r#""1.500""#, "KWD", Ok("1.500")),
    (r#""12_50""#, "EUR", Err("must be a decimal number")),
    (r#""99_""#, "EUR", Err("must be a decimal number")),
    (r#""+125.50""#, "EUR", Err("must be a decimal number")),
    (r#""5.""#, "EUR", Err("must be a decimal number")),
    (r#"".5""#, "EUR", Err("must be a decimal number")),
    (r#""1,500.00""#, "EUR", Err("must be a decimal number")),
    ("1e5", "JPY", Ok("100000")),
    ("1e400", "EUR", Err("must be below 1,000,000,000,000,000")),
    ("-0", "EUR", Ok("0.00")),
    ("6E+2", "EUR", Ok("600.00")),
    ("0.30000000000000004", "EUR", Err("EUR has 2 decimals at most")),
    // Others of their kinds.
    (r#""15,000""#, "EUR", Err(r#""15,000" could mean 15000.00 or 15.00"#)),
    (r#""1,500""#, "KWD", Err(r#""1,500" could mean 1500.000 or 1.500"#)),
    (r#""15.125""#, "EUR", Err(r#""15.125" could mean 15125.00 or 15.125"#)),
    (r#""0.500""#, "EUR", Err(r#""0.500" could mean 500.00 or 0.50"#)),
    (r#""15750.000""#, "EUR", Err(r#""15750.000" could mean 15750000.00 or 15750.00"#)),
    (r#""1.000.000""#, "EUR", Err("must be a decimal number")),
    (r#""1.234,56""#, "EUR", Err("must be a decimal number")),
    (r#""15,50""#, "EUR", Err("must be a decimal number")),
    (r#""1'000""#, "EUR", Err("must be a decimal number")),
    (r#""1 000""#, "EUR", Err("must be a decimal number")),
    ("\"1\u{202f}000\"", "EUR", Err("must be a decimal number")),
    (r#"" 125.50""#, "EUR", Err("must be a decimal number")),
    (r#""125.50 ""#, "EUR", Err("must be a decimal number")),
    (r#""１２５.50""#, "EUR", Err("must be a decimal number")),
    (r#""١٢٥""#, "EUR", Err("must be a decimal number")),
    ("\"\u{2212}5\"", "EUR", Err("must be a decimal number")),
    (r#""1_0e2""#, "EUR", Err("must be a decimal number")),
    (r#""1.e2""#, "EUR", Err("must be a decimal number")),
    (r#""1e1_0""#, "EUR", Err("must be a decimal number")),
    (r#""-""#, "EUR", Err("must be a decimal number")),
    (r#""125.5000""#, "EUR", Ok("125.50")),
    (r#""1.500e3""#, "EUR", Ok("1500.00")),
    (r#""-0.00""#, "EUR", Ok("0.00")),
    ("0e400", "EUR", Ok("0.00")),
    ("1e99999999999999999999", "EUR", Err("must be below 1,000,000,000,000,000")),
    ("1e-99999999999999999999", "EUR", Err("EUR has 2 decimals at most")),
    ("0.5", "JPY", Err("JPY has no decimals")),
    // The point of a JSON number is never one of thousands.
    ("15.000", "EUR", Ok("15.00")),
    ("10.000", "JPY", Ok("10")),
    ("15.125", "EUR", Err("EUR has 2 decimals at most")),
    ("15.125", "KWD", Ok("15.125")),
];

#[test]
fn an_amount_is_read_as_it_was_meant_or_the_problem_asks() {
    let of = |document: &str| {
        let json = format!(
            r#"{{"submissionId": "E", "submitter": {{"name": "S", "email": "s@example.com"}},
                "document": {{"title": "T", {document}}}}}"#
        );
        match validated_text(&json, &routing(), None) {
            Ok(plan) => Ok(plan.submission.document.expect("a document")),
            problems => Err(problems_of(problems)),
        }
    };
    let mut failures = Vec::new();
    for (amount, currency, right) in AMOUNTS {
        let fits = |path: &str, found: Result<String, Vec<String>>| match (&found, right) {
            (Ok(found), Ok(right)) => found == right,
            (Err(problems), Err(right)) => {
                problems.len() == 1 && problems[0].starts_with(&format!("{path}: {right}"))
            }
            _ => false,
        };
        let found = of(&format!(r#""amount": {amount}, "currency": "{currency}""#));
        let found = found.map(|document| document.amount);
        if !fits("$.document.amount", found.clone()) {
            failures.push(format!("{amount} {currency}: {found:?}, not {right:?}"));
        }
        // An item's amount is read in the same way.
        let total = right.unwrap_or("7");
        let found = of(&format!(
            r#""amount": "{total}", "currency": "{currency}", "items": [{{"amount": {amount}}}]"#
        ));
        let found = found.map(|document| document.items[0].amount.clone());
        if !fits("$.document.items[0].amount", found.clone()) {
            failures.push(format!("item {amount} {currency}: {found:?}, not {right:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// However long the text is, what a problem says of it is not.
#[test]
fn an_amount_of_endless_digits_is_a_short_problem() {
    for amount in [format!("{}.000", "9".repeat(50_000)), format!("{}15.000", "0".repeat(50_000))] {
        let found = problems(&with("/document/amount", json!(amount)));
        assert_eq!(found.len(), 1);
        assert!(found[0].len() < 200, "{found:?}");
    }
}

/// What an amount may have depends on its currency: without one, only malformed numbers are reported.
#[test]
fn without_a_currency_an_amount_is_asked_about_later() {
    for (amount, found) in
        [("15.000", vec![]), ("125.55555", vec![]), ("-1", vec!["must not be negative"])]
    {
        let mut json = with("/document/amount", json!(amount));
        json["document"]["currency"] = json!("EURO");
        let currency = "$.document.currency: must be an ISO 4217 currency code, such as USD";
        let found = found.into_iter().map(|wrong| format!("$.document.amount: {wrong}"));
        let expected: Vec<String> = [currency.to_owned()].into_iter().chain(found).collect();
        assert_eq!(problems(&json), expected, "{amount}");
    }
}

#[test]
fn a_currency_is_read_in_any_case_and_kept_in_capitals() {
    for code in ["EUR", "eur", "Eur"] {
        let document = plan(&with("/document/currency", json!(code))).submission.document;
        assert_eq!(document.map(|document| document.currency), Some("EUR".into()), "{code}");
    }
    // A long s does not count as s.
    let found = problems(&with("/document/currency", json!("u\u{17f}d")));
    let message = "$.document.currency: must be an ISO 4217 currency code, such as USD";
    assert_eq!(found, [message]);
}

const BOARD: &str = "[default]\nstages = [{ reviewers = [\"board@example.com\"] }]\n";
const MAY_NAME: &str = "[submissions]\nmay_name_reviewers = true\n";

#[test]
fn where_there_are_rules_a_submission_does_not_say_who_decides() {
    let accomplice = json!({"stages": [
        {"reviewers": ["nobody@example.org"], "deadline": "1s", "onDeadline": "approve"},
    ]});
    let message = "$.approval: must be left out: the routing rules (COUNTERSIGN_POLICY) decide who is \
                   asked. They let submissions name reviewers only with `may_name_reviewers = true` \
                   in [submissions]";
    for own in [accomplice.clone(), json!({}), json!({"stages": []}), json!({"stages": [7]})] {
        let own = with("/approval", own);
        for text in [BOARD.to_owned(), format!("[submissions]\n{BOARD}")] {
            let rules = rules(&text);
            let found = problems_of(validated_by(&own, &routing(), Some(&rules)));
            assert!(found.contains(&message.to_owned()), "{own} {found:?}");
        }
        let rules = rules(&format!("[submissions]\nmay_name_reviewers = false\n{BOARD}"));
        let found = problems_of(validated_by(&own, &routing(), Some(&rules)));
        assert!(found.contains(&message.to_owned()), "{own} {found:?}");
    }
    // Whoever keeps the rules may say otherwise.
    let rules = rules(&format!("{MAY_NAME}{BOARD}"));
    let own = with("/approval", json!({"stages": [{"reviewers": ["Nobody@Example.com"]}]}));
    let Ok(plan) = validated_by(&own, &routing(), Some(&rules)) else {
        panic!("it may name reviewers")
    };
    assert_eq!(plan.stages[0].reviewers[0].as_str(), "nobody@example.com");
    assert_eq!((plan.rule.as_str(), routed_by(&plan)), ("", "submission"));
    // But neither strangers nor silence.
    let own = with("/approval", accomplice);
    let found = problems_of(validated_by(&own, &routing(), Some(&rules)));
    let outside = "is outside the domains of the routing rules (COUNTERSIGN_POLICY): no address in them \
                   ends in @example.org";
    let silence = "must not be \"approve\": only the routing rules (COUNTERSIGN_POLICY) let silence \
                   approve";
    assert_eq!(
        found,
        [
            format!("$.approval.stages[0].reviewers[0]: {outside}"),
            format!("$.approval.stages[0].onDeadline: {silence}"),
        ]
    );
    // A submission that names nobody is routed in either case.
    let Ok(plan) = validated_by(&minimal(), &routing(), Some(&rules)) else {
        panic!("the rules say who is asked")
    };
    assert_eq!(plan.stages[0].reviewers[0].as_str(), "board@example.com");
    assert_eq!(routed_by(&plan), "rule");
}

#[test]
fn where_there_are_rules_operators_do_what_these_allow_and_otherwise_everything() {
    let operators = |text: &str| {
        let rules = rules(&format!("{text}{BOARD}"));
        validated_by(&minimal(), &routing(), Some(&rules)).expect("a plan").restrictions.operators
    };
    assert_eq!(plan(&minimal()).restrictions.operators, Operators::default());
    assert_eq!(routed_by(&plan(&minimal())), "settings");
    assert_eq!(operators(""), Operators::BY_RULES);
    assert_eq!(operators("[operators]\n"), Operators::BY_RULES);
    assert_eq!(operators("[operators]\nmay_reassign_to = []\n"), Operators::BY_RULES);
    let allowed = "[operators]\nmay_decide = true\nmay_reassign_to = [\"Example.com\", \"münchen.de\"]\n\
                   may_withdraw = false\n";
    let domains = ["example.com", "xn--mnchen-3ya.de"].map(str::to_owned).into();
    let expected = Operators {
        may_decide: true,
        may_reassign_to: Some(domains),
        may_withdraw: false,
        may_revise: false,
    };
    assert_eq!(operators(allowed), expected);
}

#[test]
fn a_key_that_nobody_knows_is_a_problem_that_says_where_it_may_belong() {
    let own = json!({"stages": []});
    for (key, value, right) in [
        ("approvals", own.clone(), "did you mean `approval`?"),
        ("stages", json!([]), "it belongs in `approval`"),
        ("amount", json!(1), "it belongs in `document`"),
        ("employee_id", json!("E-1"), "it belongs in `submitter`"),
        ("submision_id", json!("x"), "did you mean `submissionId`?"),
        (
            "costCenter",
            json!(7),
            "there are submissionId, submissionType, submitter, document, submittedAt, approval, fields",
        ),
    ] {
        let mut json = minimal();
        json[key] = value;
        assert_eq!(problems(&json), [format!("$.{key}: is not known; {right}")]);
    }
    let mut absent = minimal();
    absent["approvals"] = Value::Null;
    absent["document"]["costCenter"] = json!(7);
    plan(&absent);
}

#[test]
fn where_rules_decide_all_else_that_is_wrong_is_named_too() {
    let mut own = stage(json!({"reviewers": ["nobody"]}));
    own["document"]["amount"] = json!("-1");
    let found = problems_of(validated_by(&own, &routing(), Some(&rules(BOARD))));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "$.document.amount: must not be negative");
    assert!(found[1].starts_with("$.approval: must be left out"), "{found:?}");
}

#[test]
fn blanks_and_line_ends_around_what_is_one_line_are_cut() {
    let submission = plan(&json!({
        "submissionId": "EXP-1", "submissionType": " expense_report\n",
        "submitter": {"name": "Sue\r\n", "email": "sue@example.com", "department": "Sales\u{a0}", "employeeId": "\tE7 "},
        "document": {
            "title": "Train to Lyon \r\n", "amount": 5, "currency": "EUR", "category": "Travel ",
            "description": " two\nlines\n", "items": [{"description": "Ticket\n", "amount": 5}],
        },
    }))
    .submission;
    let (document, who) =
        (submission.document.expect("there"), submission.submitter.expect("there"));
    assert_eq!(submission.submission_type, "expense_report");
    assert_eq!([who.name, who.department, who.employee_id], ["Sue", "Sales", "E7"]);
    assert_eq!([document.title, document.category], ["Train to Lyon", "Travel"]);
    assert_eq!(document.items[0].description, "Ticket");
    let named = plan(&stage(json!({"name": "Review\n", "reviewers": ["a@example.com"]})));
    assert_eq!(named.stages[0].name, "Review");
    assert_eq!(document.description, " two\nlines\n", "a text of several lines stays as it is");
    // An ID is somebody's key: it comes back as it was, or not at all.
    let message = "$.submissionId: must not contain line breaks or other control characters";
    assert_eq!(problems(&with("/submissionId", json!("EXP-1\n"))), [message]);
}

#[test]
fn an_attachment_s_uri_may_be_as_long_as_signed_ones_are() {
    let uri = |length: usize| format!("s3://bucket/{}", "x".repeat(length - "s3://bucket/".len()));
    plan(&with("/document/attachments", json!([uri(8_192)])));
    let found = problems(&with("/document/attachments", json!([uri(8_193)])));
    let message = "$.document.attachments[0]: has 8193 characters; at most 8192 are accepted";
    assert_eq!(found, [message]);
}

#[test]
fn the_zone_in_which_people_read_times_is_recorded_also_where_no_calendar_is_needed() {
    let zone = |text: &str| {
        let plan = validated_by(&minimal(), &routing(), Some(&rules(text))).expect("a plan");
        assert_eq!(plan.calendar, None, "its stages use no working time");
        plan.time_zone
    };
    let calendar = "[calendar]\ntime_zone = \"America/Los_Angeles\"\n";
    assert_eq!(zone(&format!("{calendar}{BOARD}")), "America/Los_Angeles");
    assert_eq!(zone(&format!("[calendar]\ntime_zone = \"UTC\"\n{BOARD}")), "");
    assert_eq!(zone(BOARD), "");
    assert_eq!(plan(&minimal()).time_zone, "", "without rules");
}

#[test]
fn a_submission_may_name_whom_to_ask_where_mail_reaches_nobody() {
    let staged = |fallback: Value| {
        let reviewers = json!(["ann@example.com", "bob@example.com"]);
        let stage = json!({"reviewers": reviewers, "quorum": 2, "fallback": fallback});
        with("/approval", json!({"stages": [stage]}))
    };
    let planned = plan(&staged(json!(["cy@example.com", "di@example.com"])));
    let [level] = &planned.stages[0].escalations[..] else { panic!("{planned:?}") };
    assert!(level.fallback && level.reviewers.len() == 2, "{level:?}");
    assert_eq!(plan(&staged(json!([]))).stages[0].escalations, []);
    assert_eq!(
        problems(&staged(json!(["cy@example.com"]))),
        ["$.approval.stages[0].quorum: 2 approvals can never come from 1 in `fallback`"]
    );
    let submitter = "$.approval.stages[0].fallback[1]: is the submitter, who does not approve their \
                     own submission";
    assert_eq!(problems(&staged(json!(["cy@example.com", "sue@example.com"]))), [submitter]);
    let rules = rules(&format!("{MAY_NAME}{BOARD}"));
    let strangers = staged(json!(["cy@example.com", "di@evil.example"]));
    let found = problems_of(validated_by(&strangers, &routing(), Some(&rules)));
    assert!(found[0].starts_with("$.approval.stages[0].fallback[1]: is outside"), "{found:?}");
}

#[test]
fn a_rule_says_whether_decisions_are_confirmed() {
    for (said, confirm) in [("", false), ("confirm = false\n", false), ("confirm = true\n", true)] {
        let rules = rules(&format!("[default]\n{said}{}", BOARD.trim_start_matches("[default]\n")));
        let Ok(plan) = validated_by(&minimal(), &routing(), Some(&rules)) else {
            panic!("the rules say who is asked")
        };
        assert_eq!(plan.confirm, confirm, "{said}");
        let recorded = serde_json::to_value(&plan).expect("JSON");
        assert_eq!(recorded.get("confirm"), confirm.then_some(&json!(true)), "{said}");
    }
}

#[test]
fn a_rule_says_which_verdicts_need_a_comment() {
    for (said, required) in [
        ("", None),
        ("comment_required = []\n", None),
        ("comment_required = [\"reject\"]\n", Some(json!(["Reject"]))),
        ("comment_required = \"reject\"\n", Some(json!(["Reject"]))),
        ("comment_required = [\"reject\", \"approve\"]\n", Some(json!(["Reject", "Approve"]))),
    ] {
        let rules = rules(&format!("[default]\n{said}{}", BOARD.trim_start_matches("[default]\n")));
        let Ok(plan) = validated_by(&minimal(), &routing(), Some(&rules)) else {
            panic!("the rules say who is asked")
        };
        let recorded = serde_json::to_value(&plan).expect("JSON");
        assert_eq!(recorded["restrictions"].get("commentRequired"), required.as_ref(), "{said}");
    }
}

#[test]
fn a_rule_says_to_whom_reviewers_may_delegate() {
    for (said, domains) in [
        ("", None),
        ("delegate_to = []\n", None),
        ("delegate_to = [\"Example.com\"]\n", Some(json!(["example.com"]))),
    ] {
        let rules = rules(&format!("[default]\n{said}{}", BOARD.trim_start_matches("[default]\n")));
        let Ok(plan) = validated_by(&minimal(), &routing(), Some(&rules)) else {
            panic!("the rules say who is asked")
        };
        let recorded = serde_json::to_value(&plan).expect("JSON");
        assert_eq!(recorded["restrictions"].get("delegateTo"), domains.as_ref(), "{said}");
    }
}

fn asking(fields: Value) -> Value {
    let mut submission = minimal();
    submission["fields"] = fields;
    submission
}

#[test]
fn fields_are_checked_each_with_its_path_and_get_their_type() {
    let found = problems(&asking(json!([
        {"name": "a b", "label": "", "type": "nubmer"},
        {"name": "pick", "label": "Pick", "type": "choice", "choices": ["one", "one"], "requiredFor": ["aprove"]},
        {"name": "pick", "label": "Pick"},
        {"name": "ok", "label": "OK", "type": "yes_no", "choices": ["y"], "required": true},
    ])));
    let paths: Vec<&str> =
        found.iter().map(|text| text.split(": ").next().unwrap_or(text)).collect();
    assert_eq!(
        paths,
        [
            "$.fields[3].required",
            "$.fields[0].name",
            "$.fields[0].label",
            "$.fields[0].type",
            "$.fields[1].choices[1]",
            "$.fields[1].requiredFor[0]",
            "$.fields[2].name",
            "$.fields[3].choices",
        ]
    );
    let many: Vec<Value> = (0..21).map(|i| json!({"name": i.to_string(), "label": "L"})).collect();
    assert_eq!(problems(&asking(json!(many))), ["$.fields: has more than 20 elements"]);
    let fields =
        json!([{"name": "why", "label": " Why? "}, {"name": "n", "label": "N", "type": "number"}]);
    let plan = plan(&asking(fields));
    let read: Vec<_> = plan.submission.fields.iter().map(|it| (&*it.label, &*it.r#type)).collect();
    assert_eq!(read, [("Why?", "text"), ("N", "number")]);
}

#[test]
fn a_rules_fields_come_first_and_are_part_of_what_is_decided() {
    let rules = rules(&format!(
        "[default]\nfields = [{{ name = \"budget\", label = \"Budget\", type = \"number\" }}]\n{}",
        BOARD.trim_start_matches("[default]\n")
    ));
    let by_rules = |submission: &Value| validated_by(submission, &routing(), Some(&rules));
    let own = asking(json!([{"name": "why", "label": "Why?"}]));
    let Ok(plan) = by_rules(&own) else { panic!("both are asked for") };
    let told = |plan: &Plan| -> Vec<(String, bool)> {
        plan.submission.fields.iter().map(|it| (it.name.clone(), it.from_rule)).collect()
    };
    assert_eq!(told(&plan), [("budget".into(), true), ("why".into(), false)]);
    let json = serde_json::to_value(&plan.submission).expect("JSON");
    assert_eq!(plan.digest, countersign_protos::digest(&json));
    let Ok(without) = by_rules(&minimal()) else { panic!("the rule's is asked for") };
    assert_ne!(plan.digest, without.digest);

    // As `status` has it, it is the same again.
    let mut again = minimal();
    again["fields"] = json["fields"].clone();
    let Ok(again) = by_rules(&again) else { panic!("the rule's own are left out") };
    assert_eq!((told(&again), again.digest), (told(&plan), plan.digest));

    let twice = asking(json!([{"name": "budget", "label": "B"}]));
    let found = problems_of(by_rules(&twice));
    assert_eq!(found, ["$.fields[0].name: is a field of the rule \"default\" already"]);
}

#[test]
fn fields_whose_answers_do_not_fit_from_so_many_people_are_refused() {
    let reviewers: Vec<String> = (0..41).map(|i| format!("r{i}@example.com")).collect();
    let mut submission = asking(json!([{"name": "why", "label": "Why?"}]));
    submission["approval"] = json!({"stages": [{"reviewers": reviewers}]});
    let found = problems(&submission);
    assert!(found.len() == 1 && found[0].starts_with("$.fields: may have answers of"), "{found:?}");
    submission["fields"][0]["type"] = json!("yes_no");
    assert_eq!(plan(&submission).submission.fields.len(), 1);
}

#[test]
fn each_example_is_valid_and_has_a_rule_of_its_own() {
    let rules = include_str!("../../../examples/policy.toml");
    let holidays = include_str!("../../../examples/holidays.ics");
    let rules = Policy::parse(rules, "policy.toml", |_| Ok(holidays.to_owned())).expect("rules");
    for (example, rule, fields) in [
        (
            include_str!("../../../examples/submissions/deployment.json"),
            "Deployments to production",
            &[][..],
        ),
        (include_str!("../../../examples/submissions/leave.json"), "Leave", &[]),
        (
            include_str!("../../../examples/submissions/access.json"),
            "Access",
            &["until", "personal_data"],
        ),
        (include_str!("../../../examples/submissions/refund.json"), "Refunds", &[]),
        (include_str!("../../../examples/submissions/conference.json"), "Expenses", &[]),
    ] {
        let example: Value = serde_json::from_str(example).expect("JSON");
        let plan = validated_by(&example, &routing(), Some(&rules)).expect(rule);
        assert_eq!(plan.rule, rule);
        let asked: Vec<&str> = plan.submission.fields.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(asked, fields, "{rule}");
    }
    let call: Value =
        serde_json::from_str(include_str!("../../../examples/submissions/refund.json"))
            .expect("JSON");
    let arguments = &call["document"]["action"]["arguments"];
    assert!(arguments["order"]["customer"].is_object(), "its arguments are nested");
}

#[test]
fn a_plan_says_how_long_changes_wait_and_whether_the_submitter_has_a_link() {
    let text = |more: &str| {
        format!(
            "[calendar]\ntime_zone = \"UTC\"\n[default]\n{more}\n\
             stages = [{{ reviewers = [\"ann@example.com\"] }}]\n"
        )
    };
    let planned = |more: &str| {
        let policy = rules(&text(more));
        validated_by(&minimal(), &routing(), Some(&policy)).expect("a plan")
    };
    let said = planned("changes_within = \"3 working days\"\nsubmitter_link = true");
    assert_eq!((said.changes_within, said.submitter_link), (Wait::WorkingDays(3), true));
    assert!(said.calendar.is_some(), "working days need one");
    assert!(!said.restrictions.operators.may_revise);
    let silent = planned("");
    assert_eq!((silent.changes_within, silent.submitter_link), (Wait::default(), false));
    assert!(silent.calendar.is_none());
    let without_rules = plan(&minimal());
    assert!(without_rules.restrictions.operators.may_revise && !without_rules.submitter_link);
}
