use std::io;

use super::*;
use crate::policy::file::tests::policy;

const RULES: &str = r#"
[groups]
finance = ["ann@example.com", "bob@example.com"]
[[rules]]
name = "Small"
when.amount.EUR.up_to = 20
decision = "approve"
[default]
name = "All else"
[[default.stages]]
name = "Finance"
reviewers = ["finance"]
escalate = [{ reviewers = ["cfo@example.com"] }, { reviewers = ["ceo@example.com"] }]
fallback = ["office@example.com"]
[[default.stages]]
name = "Board"
reviewers = ["chair@example.com"]
quorum = "all"
"#;

fn parse(text: &str) -> Result<Expectations, Vec<String>> {
    let none = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
    let said = |wrong: Diagnostics| wrong.iter().map(|it| it.message.clone()).collect();
    Expectations::parse(text, "cases.toml", none).map_err(said)
}

/// What is said about a case with an amount in euros.
fn differences(amount: &str, expected: &str) -> Vec<String> {
    let (text, policy) =
        (format!("[[cases]]\nname = \"Case\"\nsubmission = {{}}\n{expected}\n"), policy(RULES));
    let expectations = parse(&text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let checked = expectations.check(|_| {
        let document = countersign_protos::v1::Document {
            amount: amount.into(),
            currency: "EUR".into(),
            ..Default::default()
        };
        let submission =
            countersign_protos::v1::Submission { document: Some(document), ..Default::default() };
        let submitter = "sue@example.com".parse().expect("an address");
        Ok(policy.explain(&submission, &submitter, jiff::Timestamp::UNIX_EPOCH))
    });
    let said = |wrong: Diagnostics| wrong.iter().map(|it| it.message.clone()).collect();
    checked.map_or_else(said, |_| Vec::new())
}

#[test]
fn what_is_expected_and_comes_is_no_difference() {
    for (amount, expected) in [
        ("20", "decision = \"approve\""),
        ("20", "rule = \"Small\""),
        ("21", "rule = \"All else\""),
        (
            "21",
            "stages = [{ reviewers = [\"bob@example.com\", \"ANN@example.com\"] }, \
             { name = \"Board\", reviewers = \"chair@example.com\", quorum = \"all\" }]",
        ),
        (
            "21",
            "[[cases.stages]]\nname = \"Finance\"\nquorum = \"any\"\n\
             reviewers = [\"ann@example.com\", \"bob@example.com\"]\n\
             escalate = [{ reviewers = [\"cfo@example.com\"] }, { reviewers = [\"ceo@example.com\"] }]\n\
             fallback = [\"office@example.com\"]\n\
             [[cases.stages]]\nreviewers = [\"chair@example.com\"]\nescalate = []\nfallback = []\n",
        ),
    ] {
        assert_eq!(differences(amount, expected), Vec::<String>::new(), "{expected}");
    }
}

#[test]
fn whatever_differs_is_said_with_what_came() {
    let stages = |finance: &str, board: &str| {
        format!("stages = [{{ {finance} }}, {{ reviewers = [\"chair@example.com\"], {board} }}]")
    };
    let pair = "reviewers = [\"ann@example.com\", \"bob@example.com\"]";
    let got_stages = "ann@example.com, bob@example.com; then chair@example.com";
    for (amount, expected, said) in [
        ("20", "decision = \"reject\"".to_owned(), "expected rejected at once, got approved at once".to_owned()),
        ("21", "decision = \"approve\"".into(), format!("expected approved at once, got {got_stages}")),
        ("21", "rule = \"Small\"".into(), "expected the rule \"Small\", got \"All else\"".into()),
        ("21", "problems = \"$.submitter\"".into(), format!("expected problems at $.submitter, got {got_stages}")),
        ("20", format!("stages = [{{ {pair} }}]"), "expected 1 stage, got approved at once".into()),
        ("21", format!("stages = [{{ {pair} }}]"), format!("expected 1 stage, got {got_stages}")),
        ("21", stages("reviewers = \"ann@example.com\"", ""), "expected ann@example.com in \"Finance\", got ann@example.com, bob@example.com".into()),
        ("21", stages(pair, "quorum = 1"), "expected the quorum 1 in \"Board\", got all".into()),
        ("21", stages(pair, "name = \"Bored\""), "expected the stage \"Bored\", got \"Board\"".into()),
        (
            "21",
            stages(&format!("{pair}, escalate = [{{ reviewers = [\"cfo@example.com\"] }}]"), ""),
            "expected 1 level of escalation in \"Finance\", got cfo@example.com; then ceo@example.com".into(),
        ),
        (
            "21",
            stages(&format!("{pair}, escalate = [{{ reviewers = [\"coo@example.com\"] }}, {{ reviewers = [\"ceo@example.com\"] }}]"), ""),
            "expected coo@example.com in level 1 of escalation in \"Finance\", got cfo@example.com".into(),
        ),
        (
            "21",
            stages(&format!("{pair}, fallback = []"), ""),
            "expected nobody as the fallback of \"Finance\", got office@example.com".into(),
        ),
    ] {
        let said = format!("\"Case\": {said}");
        assert_eq!(differences(amount, &expected), [said], "{expected}");
    }
}

#[test]
fn what_is_wrong_in_a_file_of_expectations_is_reported_all_at_once() {
    let wrong = parse(
        "[[cases]]\nname = \"One\"\nsubmission = \"none.json\"\ndecision = \"yes\"\n\
         [[cases]]\nname = \"Two\"\nsubmission = {}\n\
         [[cases]]\nsubmission = 3\nat = \"noon\"\nrule = \"x\"\n\
         [[cases]]\nname = \"Four\"\nsubmission = {}\ndecision = \"approve\"\n\
         stages = [{ reviewer = \"finance\" }]\n",
    );
    let said = [
        "none.json: cannot be read: entity not found",
        "must be \"approve\" or \"reject\"",
        "expects nothing: add a `decision`, `stages`, `problems` or a `rule`",
        "`name` is required",
        "must be a string, not a number",
        "must be a date or a time, such as 2026-11-24, 2026-11-24T09:00 or 2026-11-24T09:00:00+01:00",
        "expects two things: it has either a `decision`, or `stages`, or `problems`",
        "unknown key `reviewer`",
    ];
    assert_eq!(wrong.expect_err("wrong"), said);
    assert_eq!(parse("").expect_err("wrong"), ["`cases` is required"]);
    assert_eq!(parse("cases = []").expect_err("wrong"), ["must have at least one case"]);
}

#[test]
fn a_submission_in_the_file_keeps_its_numbers_digits() {
    let text = "[[cases]]\nname = \"N\"\nrule = \"R\"\n[cases.submission]\nid = \"a\\\"b\"\n\
                submitted_at = 2026-11-24T09:00:00Z\nlist = [1, true]\n\
                document = { amount = 15.000, large = 1_000_000.10, signed = +7, odd = 0xff }\n";
    let expectations = parse(text).expect("cases");
    let json = &expectations.cases[0].submission;
    let read: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(read["id"], "a\"b");
    assert_eq!(read["submitted_at"], "2026-11-24T09:00:00Z");
    assert_eq!(read["list"], serde_json::json!([1, true]));
    for number in ["\"amount\":15.000", "\"large\":1000000.10", "\"signed\":7"] {
        assert!(json.contains(number), "{json}");
    }
}
