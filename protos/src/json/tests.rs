use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read_text(text: &str) -> (Json, Vec<Problem>) {
    read(serde_json::from_str(text).expect("JSON"), "$")
}

fn paths(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.path.as_str()).collect()
}

/// Any JSON that may be sent.
fn values() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<f64>().prop_filter("in range", |n| n.abs() <= MAX_NUMBER
            && (*n == 0.0 || n.abs() >= f64::MIN_POSITIVE)),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(|n| n as f64),
        (0_u32..1_000_000).prop_map(|n| f64::from(n) / 100.0),
    ];
    let text = "\\PC{0,8}|[\u{0}-\u{1F}\"\\\\/\u{80}\u{2028}\u{FB33}😀]{0,4}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(|n| Number::from_f64(n).map_or(Value::Null, Value::Number)),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(text, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_is_read_as_it_is_in_every_encoding(value in values()) {
        let json = Json::from(&value);
        let (read, problems) = read_text(json.as_str());
        prop_assume!(problems.iter().all(|problem| !problem.message.contains("not a character")));
        prop_assert_eq!(&problems[..], &[]);
        prop_assert_eq!(&read, &json);
        prop_assert_eq!(Json::from(&json.value()), json.clone());
        let spaced = serde_json::to_string_pretty(&value).expect("JSON");
        prop_assert_eq!(&read_text(&spaced).0, &json, "however it was written");
        let message = Json::decode(json.encode_to_vec().as_slice());
        prop_assert_eq!(message.expect("a message"), json.clone());
        prop_assert_eq!(json.encode_to_vec(), json.clone().encode_to_vec());
        let written = serde_json::to_string(&json).expect("JSON");
        prop_assert_eq!(written, json.as_str());
        let deserialized: Json = serde_json::from_str(&spaced).expect("JSON");
        prop_assert_eq!(deserialized, json);
    }

    #[test]
    fn a_number_is_read_as_its_double_or_refused(number in any::<f64>()) {
        let (json, problems) = read_text(&format!("{number:e}"));
        match number.abs() <= MAX_NUMBER && (number == 0.0 || number.is_normal()) {
            true => prop_assert_eq!(json.value().as_f64(), Some(number)),
            false => prop_assert_eq!(paths(&problems), ["$"]),
        }
    }
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let (_, problems) = read_text(
        r#"{"a": [1e300, "\udc00", {"b": 1, "b": 2}], "c d": 12345678901234567890, "e\u202e": [3.14159265358979323846],
            "ok": 9007199254740991}"#,
    );
    let expected = ["$.a[0]", "$.a[1]", "$.a[2].b", "$[\"c d\"]", "$[\"e⟨U+202E⟩\"][0]"];
    assert_eq!(paths(&problems), expected, "{problems:?}");
    assert_eq!(
        problems[0].message,
        "is beyond 2^53-1, up to which numbers are the same in every program: write it as a string"
    );
    assert_eq!(problems[2].message, "is given twice");
}

#[test]
fn problems_stay_few_and_short_however_much_is_wrong() {
    let long = "x".repeat(1_000);
    let wrong = vec!["1e300"; 1_000].join(",");
    let mut text = format!("[{wrong}]");
    for _ in 0..10 {
        text = format!("{{\"{long}\": {text}}}");
    }
    let (_, problems) = read_text(&text);
    assert_eq!(problems.len(), MAX_PROBLEMS);
    assert!(problems.iter().all(|problem| problem.path.len() < 1_000), "{}", problems[0].path);
    assert!(problems[0].path.ends_with("x…[0]"), "{}", problems[0].path);
}

#[test]
fn it_is_as_large_as_64_kib_in_its_canonical_form() {
    let string = |chars: usize| Value::String("x".repeat(chars)).to_string();
    assert_eq!(read_text(&string(MAX_BYTES - 2)).1, []);
    // Written in fewer bytes than it takes.
    let exponents = format!("[{}]", vec!["1e15"; 4_000].join(","));
    for large in [string(MAX_BYTES - 1), exponents] {
        let (_, problems) = read_text(&large);
        assert_eq!(paths(&problems), ["$"]);
        assert!(problems[0].message.contains("at most 65536 are accepted"), "{problems:?}");
    }
}

#[test]
fn a_message_is_checked_like_text() {
    let wire = |number: f64| Wire { kind: Some(Kind::NumberValue(number)) };
    let list = |wire: Wire| {
        let values = vec![Wire { kind: None }, wire];
        Wire { kind: Some(Kind::ListValue(ListValue { values })) }
    };
    let read = |wire: Wire| Json::decode(wire.encode_to_vec().as_slice()).expect("a message");
    assert_eq!(read(list(wire(1.5))).as_str(), "[null,1.5]");
    assert_eq!(read(list(wire(1.5))).problems("$"), []);
    assert_eq!(paths(&read(list(wire(1e300))).problems("$")), ["$[1]"]);
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let problems = read(list(wire(number))).problems("$");
        assert_eq!(paths(&problems), ["$"]);
        assert!(problems[0].message.contains("NaN or an infinity"), "{problems:?}");
    }
    let mut deep = wire(1.0);
    for _ in 0..=MAX_DEPTH {
        deep = Wire { kind: Some(Kind::ListValue(ListValue { values: vec![deep] })) };
    }
    assert_eq!(read(deep).problems("$").len(), 1, "one level too many");
}

#[test]
fn pointers_lead_into_it() {
    let json = Json::from(&json!({"a": {"b/c": [1, "x"]}, "": null}));
    assert_eq!(json.pointer("/a/b~1c/1"), Some(json!("x")));
    assert_eq!(json.pointer("/"), Some(Value::Null));
    assert_eq!(json.pointer("/a/d"), None);
    assert!(Json::default().is_null() && !json.is_null());
}

#[test]
fn its_values_are_told_with_their_places() {
    let json = Json::from(&json!({"b": [1.0, {"c d": "x\n", "e": {}}], "a": null}));
    let leaves = json.leaves();
    let leaves: Vec<_> = leaves.iter().map(|(place, value)| (&**place, &**value)).collect();
    let expected = [("a", "null"), ("b[0]", "1"), ("b[1][\"c d\"]", "\"x\\n\""), ("b[1].e", "{}")];
    assert_eq!(leaves, expected);
    assert_eq!(Json::from(&json!("x")).leaves(), [(String::new(), "\"x\"".to_owned())]);
}
