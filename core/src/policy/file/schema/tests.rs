use std::{collections::BTreeSet, ops::Range};

use ::toml::de::{DeTable, DeValue};

use super::*;
use crate::{
    policy::{
        Policy,
        file::{tests::VALID, toml::json},
    },
    testing::Schema,
};

thread_local! {
    static POLICIES: Schema = Schema::new(policy_schema());
}

/// TOML as JSON, as editors compare it with a schema.
fn as_json(text: &str) -> Value {
    let root = DeTable::parse(text).expect("TOML").into_inner();
    serde_json::from_str(&json(&DeValue::Table(root))).expect("JSON")
}

fn errors(text: &str) -> Option<String> {
    POLICIES.with(|schema| schema.errors(&as_json(text)))
}

pub(in super::super) fn assert_follows(text: &str) {
    let errors = errors(text);
    assert!(errors.is_none(), "{}\n{text}", errors.unwrap_or_default());
}

fn read(text: &str) -> Result<Policy, String> {
    let read = |_: &str| Ok("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".to_owned());
    Policy::parse(text, "policy.toml", read).map_err(|wrong| wrong.to_string())
}

fn is_read(text: &str) -> bool {
    read(text).is_ok()
}

/// Every key there is, each value in one place.
const ALL: &str = r#"
submissions = { may_name_reviewers = true }
operators = { may_decide = true, may_reassign_to = ["example.com"], may_withdraw = false, may_revise = true }
calendar = { time_zone = "Europe/Berlin", working_days = "Mon-Fri", working_hours = ["09:00-17:00"], holidays = [2026-12-24, "12-25"], holidays_file = "holidays.ics", working_hours_on = { Fri = "09:00-14:00" }, extra_working_days = [2026-12-05], holidays_with = ["Public"], holidays_without = "Observance" }
groups = { finance = ["ann@example.com", "bob@example.com"] }
managers = { employees = { "E-1" = "ann@example.com" }, departments = { Sales = "lead@example.com" }, default = "hr@example.com" }
absences = [{ reviewer = "ann@example.com", deputy = "dee@example.com", from = 2026-12-01, to = "2026-12-11" }]
rules = [
    { name = "Small", when = { type = "a", category = "b", department = ["c"], submitter = "sue@example.com", amount = { EUR = { from = 1, up_to = "100" }, USD = { above = 1.5, below = 2_000 } }, action = "deploy", risk = ["high"], arguments = { "/replicas" = { from = -1, up_to = "100" }, "/share" = { above = 0.5, below = 2_000 }, "/env" = ["production", 1, true], "/dry~1run" = false } }, decision = "approve", on_approved = { workflow = "W", task_queue = "Q", namespace = "N" } },
    { name = "Large", when = { currency = ["EUR"] }, different_people = true, tell_submitter = true, confirm = true, comment_required = ["reject"], delegate_to = ["example.com"], changes_within = "3 working days", submitter_link = true, fields = [{ name = "ok", label = "Is it?", type = "yes_no", required_for = "approve" }, { name = "which", label = "Which?", type = "choice", choices = ["one", "two"], required_for = ["approve", "reject"] }], on_rejected = { workflow = "W", task_queue = "Q", namespace = "N" }, stages = [{ name = "S", reviewers = ["finance"], quorum = 2, deadline = "2 days", reminders = "1 day", on_deadline = "reject", escalate = [{ reviewers = ["manager"], deadline = "1 day", reminders = ["2h"], keep_earlier = true }, { reviewers = ["x@example.com", "y@example.com"] }], fallback = ["office@example.com", "z@example.com"] }] },
]
default = { name = "D", different_people = false, tell_submitter = false, confirm = false, comment_required = "approve", delegate_to = "example.com", changes_within = "2h", submitter_link = false, fields = [{ name = "ok", label = "Is it?", type = "choice", choices = "one", required_for = [] }], stages = [{ reviewers = "finance" }], on_approved = { workflow = "W", task_queue = "Q" }, on_rejected = { workflow = "W", task_queue = "Q" } }
"#;

/// A value in a file.
struct Place {
    key: &'static Key,
    /// Its key with that of the table around it.
    path: (&'static str, &'static str),
    span: Range<usize>,
}

/// Every value of a table, and every table of fixed keys in it.
fn places(
    key: &'static Key,
    table: &DeTable<'_>,
    found: &mut Vec<Place>,
    tables: &mut Vec<Range<usize>>,
) {
    for (name, value) in table {
        let inner = match &key.form {
            Form::Names(each) => each,
            _ => key.key(name.get_ref()).expect("a known key"),
        };
        found.push(Place { key: inner, path: (key.name, inner.name), span: value.span() });
        match (&inner.form, value.get_ref()) {
            (Form::Tables(_), DeValue::Array(elements)) => {
                for element in elements {
                    let DeValue::Table(table) = element.get_ref() else { panic!("a table") };
                    tables.push(element.span());
                    places(inner, table, found, tables);
                }
            }
            (Form::Keys(_) | Form::Names(_) | Form::Condition(_), DeValue::Table(table)) => {
                tables.extend((!matches!(inner.form, Form::Names(_))).then(|| value.span()));
                places(inner, table, found, tables);
            }
            _ => {}
        }
    }
}

fn paths(key: &'static Key, found: &mut BTreeSet<(&'static str, &'static str)>) {
    let inner: Vec<&'static Key> = match &key.form {
        Form::Names(each) => vec![each],
        _ => key.keys().iter().collect(),
    };
    for each in inner {
        found.insert((key.name, each.name));
        paths(each, found);
    }
}

fn found_in_all() -> (Vec<Place>, Vec<Range<usize>>) {
    let (mut found, mut tables) = (Vec::new(), Vec::new());
    let root = DeTable::parse(ALL).expect("TOML");
    places(&POLICY, root.get_ref(), &mut found, &mut tables);
    (found, tables)
}

#[test]
fn every_key_that_is_read_is_in_the_schema_and_the_other_way_round() {
    read(ALL).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_follows(ALL);
    let (found, _) = found_in_all();
    let mut known = BTreeSet::new();
    paths(&POLICY, &mut known);
    let mut used: BTreeSet<_> = found.iter().map(|place| place.path).collect();
    // It has stages instead, and rules have both.
    used.insert(("default", "decision"));
    assert_eq!(used, known, "the file above has every key");
    let docs = include_str!("../../../../../docs/POLICY.md");
    let has_names =
        ["groups", "employees", "departments", "amount", "arguments", "working_hours_on"];
    for (_, name) in known.into_iter().filter(|(table, _)| !has_names.contains(table)) {
        let is_told = docs.contains(&format!("`{name}`")) || docs.contains(&format!("\n{name} = "));
        assert!(is_told || docs.contains(&format!("[{name}]")), "docs/POLICY.md lacks {name}");
    }
}

#[test]
fn what_has_a_wrong_type_is_refused_by_reader_and_schema() {
    for Place { key, path, span } in found_in_all().0 {
        let wrong = ["{ x = { y = 1 } }", "[[7]]", "true"];
        let may_be_true = matches!(key.form, Form::Boolean | Form::Condition(_));
        for wrong in wrong.into_iter().filter(|wrong| !(may_be_true && *wrong == "true")) {
            let mut text = ALL.to_owned();
            text.replace_range(span.clone(), wrong);
            assert!(!is_read(&text), "{path:?} = {wrong} is read");
            assert!(errors(&text).is_some(), "the schema lets {path:?} be {wrong}");
        }
    }
}

#[test]
fn unknown_keys_are_refused_by_reader_and_schema() {
    let (_, tables) = found_in_all();
    assert!(tables.len() > 15);
    let inside = tables.into_iter().map(|table| {
        let mut text = ALL.to_owned();
        text.insert_str(table.start + 1, " nonsense = 1,");
        text
    });
    for text in inside.chain([format!("nonsense = 1\n{ALL}")]) {
        assert!(!is_read(&text), "{text}");
        assert!(errors(&text).is_some(), "{text}");
    }
}

#[test]
fn what_lacks_a_required_key_is_refused_by_reader_and_schema() {
    let required = [
        (r#"time_zone = "Europe/Berlin", "#, ""),
        (r#"reviewer = "ann@example.com", "#, ""),
        ("from = 2026-12-01, ", ""),
        (r#", to = "2026-12-11""#, ""),
        (r#"name = "Small", "#, ""),
        (r#"when = { currency = ["EUR"] }, "#, ""),
        (r#"stages = [{ reviewers = "finance" }]"#, "stages = [{}]"),
        (r#"{ workflow = "W", task_queue = "Q" }"#, r#"{ task_queue = "Q" }"#),
        (r#"{ workflow = "W", task_queue = "Q" }"#, r#"{ workflow = "W" }"#),
        ("\ndefault = ", "\n# "),
    ];
    for (right, wrong) in required {
        assert!(ALL.contains(right), "{right}");
        let text = ALL.replacen(right, wrong, 1);
        assert!(!is_read(&text), "without {right}");
        assert!(errors(&text).is_some(), "the schema, without {right}");
    }
}

#[test]
fn the_example_follows_the_schema_and_the_default_of_the_tests_does() {
    assert_follows(include_str!("../../../../../examples/policy.toml"));
    assert_follows(VALID);
}

/// What is shown as an example is one.
#[test]
fn every_example_follows_the_schema_of_its_key() {
    fn check(key: &Key) {
        let inner = match &key.form {
            Form::Names(each) => std::slice::from_ref(*each),
            _ => key.keys(),
        };
        inner.iter().for_each(check);
        if key.example.is_empty() || key.example.starts_with('[') {
            return;
        }
        let mut value = as_json(key.example);
        while let Value::Object(table) = &mut value {
            let (name, inner) = table.iter_mut().next().expect("a key");
            let is_it = *name == key.name || !key.example.starts_with("when.");
            value = inner.take();
            if is_it {
                break;
            }
        }
        let errors = Schema::new(of(key)).errors(&value);
        assert!(errors.is_none(), "{}: {}", key.example, errors.unwrap_or_default());
    }
    check(&POLICY);
    check(&EXPECTATIONS);
}

#[test]
fn the_example_s_expectations_follow_their_schema() {
    let schema = Schema::new(expectations_schema());
    let right = include_str!("../../../../../examples/expectations.toml");
    assert_eq!(schema.errors(&as_json(right)), None);
    for (written, wrong) in [("[[cases]]", "[[case]]"), ("decision = \"approve\"", "decision = 1")]
    {
        assert!(right.contains(written));
        assert!(schema.errors(&as_json(&right.replacen(written, wrong, 1))).is_some(), "{wrong}");
    }
}
