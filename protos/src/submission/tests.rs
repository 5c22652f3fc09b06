use super::*;

fn json(text: impl AsRef<[u8]>) -> Vec<Payload> {
    let mut payload = payload::encode(&Submission::default(), Encoding::JsonPlain);
    payload.data = text.as_ref().to_vec();
    vec![payload]
}

fn paths(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.path.as_str()).collect()
}

#[test]
fn both_spellings_of_a_name_and_both_forms_of_an_amount_are_read() {
    let (camel, problems) = read(&json(
        r#"{"submissionId": "x", "document": {"amount": 15750.00}, "submittedAt": "2026-11-24T09:30:00+01:00",
            "approval": {"stages": [{"quorum": 2, "onDeadline": "reject"}]}}"#,
    ));
    assert_eq!(problems, []);
    assert_eq!(camel.document.as_ref().map(|d| d.amount.as_str()), Some("15750.00"));
    assert_eq!(camel.submitted_at.as_ref().map(|t| t.seconds), Some(1_795_509_000));
    let (snake, problems) = read(&json(
        r#"{"submission_id": "x", "document": {"amount": "15750.00"}, "submitted_at": "2026-11-24T08:30:00Z",
            "approval": {"stages": [{"quorum": "2", "on_deadline": "reject"}]}}"#,
    ));
    assert_eq!(problems, []);
    assert_eq!(camel, snake);
}

#[test]
fn a_number_keeps_more_digits_than_a_float_has() {
    let (read, _) = read(&json(r#"{"document": {"amount": 123456789012345678.01}}"#));
    assert_eq!(read.document.map(|d| d.amount), Some("123456789012345678.01".into()));
}

#[test]
fn every_field_of_the_wrong_type_is_named_and_the_rest_is_read() {
    let (read, problems) = read(&json(
        r#"{"submissionId": 5, "submitter": "ann", "submittedAt": "yesterday", "submissionType": null,
            "document": {"title": ["x"], "currency": "USD", "amount": {}, "items": [7, {"date": true}], "attachments": "a"},
            "approval": {"stages": [{"reviewrs": [], "reviewers": [1]}], "mode": 1}}"#,
    ));
    assert_eq!(read.document.map(|d| d.currency), Some("USD".into()));
    assert_eq!(
        paths(&problems),
        [
            "$.submissionId",
            "$.submitter",
            "$.document.title",
            "$.document.amount",
            "$.document.items[0]",
            "$.document.items[1].date",
            "$.document.attachments",
            "$.submittedAt",
            "$.approval.mode",
            "$.approval.stages[0].reviewrs",
            "$.approval.stages[0].reviewers[0]",
        ]
    );
}

#[test]
fn a_field_that_is_given_twice_is_a_problem_in_either_spelling() {
    let (_, problems) = read(&json(
        r#"{"submissionId": "x", "document": {"amount": 1, "amount": 2},
            "approval": {"stages": [{"quorum": "all", "reviewers": ["a@example.com"], "quorum": "any",
                "onDeadline": "reject", "on_deadline": "approve"}]}, "approval": {"stages": [{"name": "x"}]}}"#,
    ));
    assert_eq!(paths(&problems), ["$.document.amount", "$.approval"], "{problems:?}");
    let (_, problems) = read(&json(
        r#"{"approval": {"stages": [{"quorum": "all", "reviewers": [], "quorum": "any",
            "onDeadline": "reject", "on_deadline": "approve"}]}}"#,
    ));
    let twice = ["$.approval.stages[0].quorum", "$.approval.stages[0].on_deadline"];
    assert_eq!(paths(&problems), twice, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.message == "is given twice"));
    let ignored = json(r#"{"document": {"costCenter": 1, "cost_center": 2, "costCenter": 3}}"#);
    assert_eq!(read(&ignored).1, [], "what nobody knows may be given in any number");
}

#[test]
fn a_text_that_was_cut_within_a_character_is_named_as_what_it_is() {
    let (_, problems) = read(&json(r#"{"document": {"title": "Tick\ud83d"}}"#));
    assert_eq!(paths(&problems), ["$.document.title"]);
    assert!(problems[0].message.contains("hex escape"), "{problems:?}");
}

#[test]
fn what_is_no_submission_at_all_has_one_problem_at_the_root() {
    let two = [json("{}"), json("{}")].concat();
    let large = json(format!("{{\"document\": \"{}\"}}", "x".repeat(3_000_000)));
    for payloads in [
        vec![],
        two,
        large,
        json("nonsense"),
        json("[]"),
        json("7"),
        json(b"\xff\xfe"),
        vec![Payload::default()],
    ] {
        let (read, problems) = read(&payloads);
        assert_eq!(read, Submission::default());
        assert_eq!(paths(&problems), ["$"], "{problems:?}");
    }
}

#[test]
fn all_three_encodings_are_read_alike() {
    let (submission, _) = read(&json(
        r#"{"submissionId": "x", "document": {"title": "t", "amount": "1.50", "items": [{"amount": "1.50"}]},
            "submittedAt": "2026-11-24T08:30:00Z", "approval": {"stages": [{"reviewers": ["a@example.com"]}]}}"#,
    ));
    for encoding in [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf] {
        let payload = payload::encode(&submission, encoding);
        assert_eq!(read(&[payload]), (submission.clone(), vec![]), "{encoding:?}");
    }
}

/// What the SDKs' languages write for a time that nobody has set.
#[test]
fn a_time_that_nobody_has_set_is_absent() {
    for unset in [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00+00:00",
        "0001-01-01T01:00:00+01:00",
        // Of zones whose first offset has seconds, which RFC 3339 leaves out.
        "0001-01-01T00:53:28+00:53",
        "0000-12-31T19:03:58-04:56",
        "0001-01-01T00:00:00",
        "",
    ] {
        let text = format!(
            r#"{{"submittedAt": "{unset}", "document": {{"items": [{{"date": "{unset}"}}]}}}}"#
        );
        let (read, problems) = read(&json(&text));
        assert_eq!(problems, [], "{unset}");
        assert_eq!(read.submitted_at, None, "{unset}");
        assert_eq!(read.document.expect("there").items[0].date, "", "{unset}");
        assert_eq!(recorded(&json(&text)).submitted_at, None, "{unset}");
    }
    let (read, _) = read(&json(r#"{"document": {"items": [{"date": "0001-01-01"}]}}"#));
    assert_eq!(read.document.expect("there").items[0].date, "");
    let message = Submission {
        submitted_at: Some(pbjson_types::Timestamp { seconds: -62_135_596_800, nanos: 0 }),
        ..Submission::default()
    };
    for encoding in [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf] {
        let (read, problems) = super::read(&[payload::encode(&message, encoding)]);
        assert_eq!((read, problems), (Submission::default(), vec![]), "{encoding:?}");
    }
}

#[test]
fn a_time_that_was_set_stays_and_one_without_a_zone_is_a_problem() {
    for set in ["0001-01-02T00:00:00Z", "1970-01-01T00:00:00Z", "2026-11-24T08:30:00Z"] {
        let (read, problems) = read(&json(format!(r#"{{"submittedAt": "{set}"}}"#)));
        assert_eq!(problems, []);
        assert!(read.submitted_at.is_some(), "{set}");
    }
    let (_, problems) = read(&json(r#"{"submittedAt": "2026-11-24T08:30:00"}"#));
    assert_eq!(paths(&problems), ["$.submittedAt"]);
}

/// As exports write what they do not have.
#[test]
fn an_empty_text_is_an_absent_field() {
    let fields = [
        "submissionType",
        "submittedAt",
        "approval",
        "submitter",
        "submitter.department",
        "submitter.employeeId",
        "document",
        "document.category",
        "document.description",
        "document.items",
        "document.attachments",
    ];
    for field in fields {
        let text = match field.split_once('.') {
            Some((object, field)) => format!(r#"{{"{object}": {{"{field}": ""}}}}"#),
            None => format!(r#"{{"{field}": ""}}"#),
        };
        let (found, problems) = read(&json(&text));
        assert_eq!(problems, [], "{field}");
        assert_eq!(found, read(&json(text.replace("\"\"", "null"))).0, "{field}");
    }
    for field in ["name", "reviewers", "quorum", "deadline", "reminders", "onDeadline", "fallback"]
    {
        let text = format!(r#"{{"approval": {{"stages": [{{"{field}": ""}}]}}}}"#);
        let (read, problems) = read(&json(text));
        assert_eq!(problems, [], "{field}");
        assert_eq!(read.approval.expect("there").stages, [Stage::default()], "{field}");
    }
}

#[test]
fn a_number_s_point_is_never_one_of_thousands() {
    for (number, read_as) in [
        ("15.000", "15.0000"),
        ("-4.125", "-4.1250"),
        ("15.00", "15.00"),
        ("15.0000", "15.0000"),
        ("1.500e3", "1.500e3"),
        ("15000", "15000"),
        ("\"15.000\"", "15.000"),
    ] {
        let (read, problems) = read(&json(format!(r#"{{"document": {{"amount": {number}}}}}"#)));
        assert_eq!(problems, []);
        assert_eq!(read.document.expect("there").amount, read_as);
    }
}

#[test]
fn details_and_actions_are_read_and_a_misspelt_field_of_an_action_is_a_problem() {
    let (submission, problems) = read(&json(
        r#"{"document": {"details": [{"label": "Service", "value": "shop"}, {"label": "From", "value": " 2.2 "}],
            "action": {"name": "deploy", "arguments": {"to": 2.30, "at": null}, "risk": "high",
                "reason": "Fixes the checkout.", "on_behalf_of": "sue@example.com"}}}"#,
    ));
    assert_eq!(problems, []);
    let document = submission.document.expect("a document");
    let detail = |label: &str, value: &str| Detail { label: label.into(), value: value.into() };
    assert_eq!(document.details, [detail("Service", "shop"), detail("From", " 2.2 ")]);
    let action = document.action.expect("an action");
    let arguments = action.arguments.as_ref().map(Json::as_str);
    assert_eq!(arguments, Some(r#"{"at":null,"to":2.3}"#));
    assert_eq!((&*action.name, &*action.risk), ("deploy", "high"));
    assert_eq!(action.on_behalf_of, "sue@example.com");
    let (_, problems) = read(&json(
        r#"{"action": {"name": "x"}, "document": {"action": {"name": "x", "argument": {}, "arguments": "", "risk": 3}}}"#,
    ));
    let expected = ["$.action", "$.document.action.argument", "$.document.action.risk"];
    assert_eq!(paths(&problems), expected, "{problems:?}");
    assert!(problems[0].message.contains("it belongs in `document`"), "{problems:?}");
}

#[test]
fn an_empty_string_is_an_argument_and_null_is_none() {
    let arguments = |text: &str| {
        let action = format!(r#"{{"document": {{"action": {{"arguments": {text}}}}}}}"#);
        let (submission, problems) = read(&json(action));
        assert_eq!(problems, []);
        submission.document.and_then(|it| it.action).and_then(|action| action.arguments)
    };
    assert_eq!(arguments("\"\"").as_ref().map(Json::as_str), Some("\"\""));
    assert_eq!(arguments(" {} ").as_ref().map(Json::as_str), Some("{}"));
    assert_eq!(arguments("null"), None);
}

#[test]
fn arguments_in_binary_are_checked_too() {
    let large = Json::from(&serde_json::json!({"amount": [1, 1e300]}));
    let action = Action { name: "refund".into(), arguments: Some(large), ..Action::default() };
    let document = Some(Document { action: Some(action), ..Document::default() });
    let submission = Submission { document, ..Submission::default() };
    let (_, problems) = read(&[payload::encode(&submission, Encoding::BinaryProtobuf)]);
    assert_eq!(paths(&problems), ["$.document.action.arguments.amount[1]"]);
}

#[test]
fn a_revision_is_read_alone_or_with_a_link_in_each_encoding() {
    let whole = r#"{"submissionId": "x", "document": {"title": "15 laptops"}}"#;
    let alone = read_revision(&json(whole));
    let submission = alone.0.submission.clone().expect("a submission");
    let of_link =
        |proof| Revision { submission: Some(submission.clone()), link: "hash".into(), proof };
    assert_eq!(alone, (Revision { link: String::new(), ..of_link(None) }, vec![]));
    let proof = Proof { signature: "s".into(), at: Some(text::to_message(Timestamp::UNIX_EPOCH)) };
    let with_link = format!(
        r#"{{"submission": {whole}, "link": "hash", "proof": {{"signature": "s", "at": "1970-01-01T00:00:00Z"}}}}"#
    );
    assert_eq!(read_revision(&json(with_link)), (of_link(Some(proof.clone())), vec![]));
    for encoding in [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf] {
        let encoded = |revision: &Revision| read_revision(&[payload::encode(revision, encoding)]);
        assert_eq!(encoded(&of_link(Some(proof.clone()))), (of_link(Some(proof.clone())), vec![]));
        let alone = read_revision(&[payload::encode(&submission, encoding)]);
        assert_eq!(alone.0.submission.as_ref(), Some(&submission), "{encoding:?}");
    }
}

#[test]
fn every_problem_of_a_revision_is_named_where_a_submission_alone_has_it() {
    let wrong = r#"{"submission": {"document": {"titel": "x"}, "submitter": 7}, "lnk": "hash"}"#;
    let (_, problems) = read_revision(&json(wrong));
    assert_eq!(paths(&problems), ["$.lnk", "$.submitter"]);
    let (read, problems) = read_revision(&json(r#"{"submission": 7}"#));
    assert_eq!((read, paths(&problems)), (Revision::default(), vec!["$.submission"]));
    for payloads in [vec![], json("["), json("7"), json(vec![b'x'; MAX_BYTES + 1])] {
        let (read, problems) = read_revision(&payloads);
        assert_eq!((read, paths(&problems)), (Revision::default(), vec!["$"]));
    }
}

#[test]
fn fields_are_read_and_what_is_misspelt_in_one_is_a_problem() {
    let (camel, problems) = read(&json(
        r#"{"fields": [{"name": "until", "label": "Until", "type": "date", "requiredFor": ["approve"], "fromRule": true},
                       {"name": "role", "label": "Role", "type": "choice", "choices": ["a", "b"], "requiredFor": null}]}"#,
    ));
    assert_eq!(problems, []);
    let until = Field {
        name: "until".into(),
        label: "Until".into(),
        r#type: "date".into(),
        required_for: vec!["approve".into()],
        from_rule: true,
        ..Field::default()
    };
    assert_eq!(camel.fields[0], until);
    assert_eq!(camel.fields[1].choices, ["a", "b"]);
    let (_, problems) = read(&json(
        r#"{"fields": [7, {"choices": "a", "required_for": [1], "fromRule": "yes", "required": true}]}"#,
    ));
    let wrong = ["required", "choices", "requiredFor[0]", "fromRule"];
    let wrong = wrong.map(|name| format!("$.fields[1].{name}"));
    let expected: Vec<&str> =
        ["$.fields[0]"].into_iter().chain(wrong.iter().map(|it| &**it)).collect();
    assert_eq!(paths(&problems), expected);
}
