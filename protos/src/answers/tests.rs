use proptest::prelude::*;

use super::*;
use crate::payload::encode;

fn field(kind: Kind) -> Field {
    let choices: &[&str] = if kind == Kind::Choice { &["Ten", "twenty"] } else { &[] };
    Field {
        name: "it".into(),
        label: "It".into(),
        r#type: kind.name().into(),
        choices: choices.iter().map(|&choice| choice.into()).collect(),
        ..Field::default()
    }
}

fn given(value: &str) -> Answers {
    Answers::from([("it".to_owned(), value.to_owned())])
}

/// Its canonical form; empty if nothing is given.
fn checked(kind: Kind, value: &str) -> Result<String, NotAnAnswer> {
    let checked = check(&[field(kind)], Verdict::Approve, &given(value));
    match checked {
        Ok(answers) => Ok(answers.into_iter().map(|answer| answer.value).collect()),
        Err(mut wrong) => {
            assert_eq!((wrong.len(), &*wrong[0].name), (1, "it"));
            Err(wrong.remove(0).why)
        }
    }
}

#[test]
fn numbers_are_exact_and_have_one_form() {
    for (number, canonical) in [
        ("1500", "1500"),
        (" 007 ", "7"),
        ("-0.0", "0"),
        ("12.50", "12.5"),
        ("-12.5", "-12.5"),
        ("1e3", "1000"),
        ("1.5E+1", "15"),
        ("12e-4", "0.0012"),
        ("0.125", "0.125"),
        ("1234.567", "1234.567"),
        ("12.3450", "12.3450"),
        ("1.234e0", "1.2340"),
        ("999999999999999.000000000000001", "999999999999999.000000000000001"),
    ] {
        assert_eq!(checked(Kind::Number, number), Ok(canonical.into()), "{number}");
    }
    for number in
        ["twelve", "1,5", "1.", ".5", "+1", "1 000", "0x1", "NaN", "1e", "１", "--1", "€5"]
    {
        assert_eq!(checked(Kind::Number, number), Err(NotAnAnswer::NotANumber), "{number}");
    }
    for number in
        ["1e15", "1e-16", "1000000000000000", "1e99999999999999999999", "1e-9223372036854775808"]
    {
        assert_eq!(checked(Kind::Number, number), Err(NotAnAnswer::TooManyDigits), "{number}");
    }
    for (number, thousands, decimals) in [
        ("1.234", "1234", "1.2340"),
        ("-12,000", "-12000", "-12.0000"),
        ("999.999", "999999", "999.9990"),
    ] {
        let (thousands, decimals) = (thousands.to_owned(), decimals.to_owned());
        let ambiguous = Err(NotAnAnswer::Ambiguous { thousands, decimals });
        assert_eq!(checked(Kind::Number, number), ambiguous, "{number}");
    }
}

#[test]
fn each_kind_takes_what_it_is_and_refuses_the_rest() {
    use NotAnAnswer::{NotAChoice, NotADate, NotYesOrNo, TooLong};
    for (kind, value, expected) in [
        (Kind::Text, " two\r\nlines\u{202E}\0 ", Ok("two\nlines")),
        (Kind::Text, " \u{200B} ", Ok("")),
        (Kind::Choice, "Ten ", Ok("Ten")),
        (Kind::Choice, "ten", Err(NotAChoice)),
        (Kind::Choice, "Ten\ntwenty", Err(NotAChoice)),
        (Kind::YesNo, "Yes", Ok("yes")),
        (Kind::YesNo, "false", Ok("no")),
        (Kind::YesNo, "on", Err(NotYesOrNo)),
        (Kind::Date, "2028-02-29", Ok("2028-02-29")),
        (Kind::Date, "2026-02-29", Err(NotADate)),
        (Kind::Date, "2026-11-30T09", Err(NotADate)),
        (Kind::Date, "20261130", Err(NotADate)),
        (Kind::Date, "30.11.2026", Err(NotADate)),
    ] {
        assert_eq!(checked(kind, value), expected.map(str::to_owned), "{value:?}");
    }
    let longest = "é".repeat(MAX_CHARS);
    assert_eq!(checked(Kind::Text, &longest), Ok(longest.clone()));
    assert_eq!(checked(Kind::Text, &format!("{longest}!")), Err(TooLong(MAX_CHARS + 1)));
    let newer = Field { r#type: "colour".into(), ..field(Kind::Text) };
    let unknown = check(&[newer], Verdict::Approve, &given("red")).expect_err("unknown");
    assert_eq!(unknown[0].why, NotAnAnswer::Unknown);
}

#[test]
fn everything_that_is_wrong_with_answers_is_said_in_the_order_of_the_fields() {
    let named = |name: &str, kind| Field { name: name.into(), label: name.into(), ..field(kind) };
    let fields = [
        Field { required_for: vec!["reject".into()], ..named("z", Kind::Text) },
        named("y", Kind::Number),
        named("x", Kind::Date),
    ];
    let answers = |given: &[(&str, &str)]| -> Answers {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let wrong = |verdict, given: &[(&str, &str)]| -> Vec<String> {
        let wrong = check(&fields, verdict, &answers(given)).err().unwrap_or_default();
        wrong.iter().map(|wrong| format!("{} {}", wrong.name, wrong.why)).collect()
    };
    assert_eq!(
        wrong(Verdict::Reject, &[("a", "7"), ("b", " "), ("x", "soon"), ("y", "much")]),
        [
            "z is required to reject",
            "y must be a number, such as 10 or 2.5",
            "x must be a date, such as 2026-11-30",
            "a is not asked for",
        ]
    );
    assert_eq!(wrong(Verdict::Approve, &[]), [""; 0], "it is required to reject alone");
    assert_eq!(wrong(Verdict::Reject, &[("z", "so")]), [""; 0]);
    let found = check(&fields, Verdict::Approve, &answers(&[("x", "2026-11-30"), ("z", "so")]));
    let found = found.expect("right");
    assert_eq!(found.iter().map(|answer| &*answer.name).collect::<String>(), "zx");
    assert_eq!(by_name(&found), answers(&[("x", "2026-11-30"), ("z", "so")]));

    let texts: Vec<Field> = (0..5).map(|i| named(&i.to_string(), Kind::Text)).collect();
    let long = "\u{1F600}".repeat(1_000);
    let all: Answers = (0..5).map(|i| (i.to_string(), long.clone())).collect();
    let too_much = check(&texts, Verdict::Approve, &all).expect_err("20,000 bytes");
    assert_eq!(
        too_much[0].why.to_string(),
        "is too long: all answers together have at most 16,384 bytes"
    );
}

#[test]
fn a_hash_of_answers_is_that_of_their_canonical_json() {
    let answers = Answers::from([("b".into(), "é\"".into()), ("a".into(), "7".into())]);
    let expected = HEXLOWER.encode(&Sha256::digest("{\"a\":\"7\",\"b\":\"é\\\"\"}"));
    assert_eq!((hash(&answers), hash(&Answers::new())), (expected, String::new()));
}

fn json(text: &str) -> [Payload; 1] {
    [Payload { data: text.into(), ..encode(&Decision::default(), Encoding::JsonPlain) }]
}

#[test]
fn a_signal_has_answers_as_strings_numbers_or_booleans() {
    let read = |answers: &str| {
        decision(&json(&format!(r#"{{"reviewer": "a@x.io", "answers": {answers}}}"#)))
    };
    let answers = |given: &[(&str, &str)]| -> Answers {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    for (sent, expected) in [
        ("null", &[][..]),
        ("{}", &[]),
        (
            r#"{"a": "7", "b": null, "c": true, "d": false}"#,
            &[("a", "7"), ("c", "true"), ("d", "false")],
        ),
        (
            r#"{"a": 1.234, "b": -1e3, "c": 12345678901234567890}"#,
            &[("a", "1.2340"), ("b", "-1e3"), ("c", "12345678901234567890")],
        ),
    ] {
        let decision = read(sent).expect(sent);
        assert_eq!(
            (decision.answers, &*decision.reviewer),
            (answers(expected), "a@x.io"),
            "{sent}"
        );
    }
    for wrong in [
        "[]",
        "7",
        "\"a\"",
        r#"{"a": {}}"#,
        r#"{"a": []}"#,
        r#"{"a": 1, "a": 2}"#,
        r#"{"a": "\ud800"}"#,
    ] {
        assert!(matches!(read(wrong), Err(PayloadError::Data(_))), "{wrong}");
    }
    let twice = json(r#"{"reviewer": "a@x.io", "answers": {}, "answers": {}}"#);
    assert!(matches!(decision(&twice), Err(PayloadError::Data(_))));
    let sent = Decision { answers: answers(&[("a", "7")]), ..Decision::default() };
    for encoding in [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf] {
        assert_eq!(decision(&[encode(&sent, encoding)]), Ok(sent.clone()), "{encoding:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// So the page, the workflow and whoever recomputes an outcome have the same, and its signature holds.
    #[test]
    fn what_is_in_its_canonical_form_stays_as_it_is(
        kind in prop::sample::select(&Kind::ALL[..]),
        value in prop_oneof![
            "\\PC{0,40}",
            "-?[0-9]{0,4}[.,]?[0-9]{0,4}(e-?[0-9]{1,2})?",
            "[0-9]{4}-[0-9]{2}-[0-9]{2}",
            " ?(Ten|twenty|yes|NO|True|false) ?",
        ],
    ) {
        if let Ok(canonical) = checked(kind, &value) {
            prop_assert_eq!(checked(kind, &canonical), Ok(canonical));
        }
    }
}
