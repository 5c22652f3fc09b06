use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Value, json};

use super::*;
use crate::{digest, v1::Policy};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(vec!["", "a", "b", "12.50", "EUR", "two\nlines", "\"", ", ", "Ü"]).prop_map(str::to_owned),
        1 => ".{0,12}",
    ]
}

fn arguments() -> impl Strategy<Value = Option<Json>> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|it| json!(it)),
        (-5..5i64).prop_map(|it| json!(it)),
        text().prop_map(|it| json!(it)),
    ];
    // Names as long as a place does not show them, too.
    let name = prop_oneof![4 => "[a-c/.\\[\\]]{0,2}", 1 => "x{63,67}"];
    let tree = leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((name.clone(), inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    option::of(tree.prop_map(|tree| Json::from(&tree)))
}

prop_compose! {
    fn actions()(texts in [text(), text(), text(), text()], arguments in arguments()) -> Action {
        let [name, risk, reason, on_behalf_of] = texts;
        Action { name, arguments, risk, reason, on_behalf_of }
    }
}

prop_compose! {
    fn fields()(
        texts in [text(), text(), text()], choices in vec(text(), 0..3), required_for in vec(text(), 0..3),
        from_rule in any::<bool>()
    ) -> Field {
        let [name, label, kind] = texts;
        Field { name, label, r#type: kind, choices, required_for, from_rule }
    }
}

prop_compose! {
    fn documents()(
        texts in [text(), text(), text(), text(), text()],
        items in vec([text(), text(), text()], 0..3),
        attachments in vec(text(), 0..3),
        details in vec([text(), text()], 0..3),
        action in option::of(actions()),
    ) -> Document {
        let [title, amount, currency, category, description] = texts;
        let item = |[description, amount, date]: [String; 3]| Item { description, amount, date };
        let items = items.into_iter().map(item).collect();
        let detail = |[label, value]: [String; 2]| Detail { label, value };
        let details = details.into_iter().map(detail).collect();
        Document {
            title, amount, currency, category, description, items, attachments, details, action,
        }
    }
}

prop_compose! {
    fn submissions()(
        texts in [text(), text()],
        submitter in option::of([text(), text(), text(), text()]),
        document in option::of(documents()),
        fields in vec(fields(), 0..3),
    ) -> Submission {
        let [submission_id, submission_type] = texts;
        let submitter = submitter.map(|[name, email, department, employee_id]| {
            Submitter { name, email, department, employee_id }
        });
        Submission {
            submission_id, submission_type, submitter, document, fields, ..Submission::default()
        }
    }
}

type Change = (&'static str, fn(&mut Submission, usize) -> Option<&mut String>);

fn document(submission: &mut Submission) -> Option<&mut Document> {
    submission.document.as_mut()
}

fn one<T>(all: &mut [T], i: usize) -> Option<&mut T> {
    let i = i % all.len().max(1);
    all.get_mut(i)
}

/// Where each text of a submission is; `#` stands for a position in a list.
const TEXTS: [Change; 28] = [
    ("$.submissionId", |it, _| Some(&mut it.submission_id)),
    ("$.submissionType", |it, _| Some(&mut it.submission_type)),
    ("$.submitter.name", |it, _| Some(&mut it.submitter.as_mut()?.name)),
    ("$.submitter.email", |it, _| Some(&mut it.submitter.as_mut()?.email)),
    ("$.submitter.department", |it, _| Some(&mut it.submitter.as_mut()?.department)),
    ("$.submitter.employeeId", |it, _| Some(&mut it.submitter.as_mut()?.employee_id)),
    ("$.document.title", |it, _| Some(&mut document(it)?.title)),
    ("$.document.amount", |it, _| Some(&mut document(it)?.amount)),
    ("$.document.currency", |it, _| Some(&mut document(it)?.currency)),
    ("$.document.category", |it, _| Some(&mut document(it)?.category)),
    ("$.document.description", |it, _| Some(&mut document(it)?.description)),
    ("$.document.items[#].description", |it, i| {
        Some(&mut one(&mut document(it)?.items, i)?.description)
    }),
    ("$.document.items[#].amount", |it, i| Some(&mut one(&mut document(it)?.items, i)?.amount)),
    ("$.document.items[#].date", |it, i| Some(&mut one(&mut document(it)?.items, i)?.date)),
    ("$.document.attachments[#]", |it, i| one(&mut document(it)?.attachments, i)),
    ("$.document.details[#].label", |it, i| Some(&mut one(&mut document(it)?.details, i)?.label)),
    ("$.document.details[#].value", |it, i| Some(&mut one(&mut document(it)?.details, i)?.value)),
    ("$.document.action.name", |it, _| Some(&mut document(it)?.action.as_mut()?.name)),
    ("$.document.action.risk", |it, _| Some(&mut document(it)?.action.as_mut()?.risk)),
    ("$.document.action.reason", |it, _| Some(&mut document(it)?.action.as_mut()?.reason)),
    ("$.document.action.onBehalfOf", |it, _| {
        Some(&mut document(it)?.action.as_mut()?.on_behalf_of)
    }),
    ("$.fields[#].name", |it, i| Some(&mut one(&mut it.fields, i)?.name)),
    ("$.fields[#].label", |it, i| Some(&mut one(&mut it.fields, i)?.label)),
    ("$.fields[#].type", |it, i| Some(&mut one(&mut it.fields, i)?.r#type)),
    ("$.fields[#].choices", |it, i| one(&mut one(&mut it.fields, i)?.choices, i)),
    ("$.fields[#].requiredFor", |it, i| one(&mut one(&mut it.fields, i)?.required_for, i)),
    ("$.document.action.arguments", |_, _| None),
    ("$.fields[#].fromRule", |_, _| None),
];

/// A place in any list.
fn pattern(path: &str) -> String {
    match path.strip_prefix("$.document.action.arguments") {
        Some(_) => "$.document.action.arguments".to_owned(),
        None => path.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect(),
    }
}

fn of(submission: &Submission) -> String {
    digest(&serde_json::to_value(submission).expect("JSON"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn each_changed_field_is_named_with_what_it_was_and_is(
        earlier in submissions(), changes in vec((any::<Index>(), 0..3usize, text()), 1..5)
    ) {
        let mut later = earlier.clone();
        let mut changed = BTreeMap::new();
        for (which, i, new) in changes {
            let (path, at) = TEXTS[which.index(TEXTS.len())];
            let Some(text) = at(&mut later, i) else { continue };
            text.clone_from(&new);
            changed.insert((path, i), ());
        }
        let found = differences(&earlier, &later);
        for (path, i) in changed.into_keys() {
            let at = TEXTS.iter().find(|(other, _)| *other == path).expect("of the table").1;
            let texts = [&earlier, &later].map(|it| at(&mut it.clone(), i).cloned());
            let is_named = found.iter().any(|difference| pattern(&difference.path) == path);
            prop_assert!(is_named || texts[0] == texts[1], "{path} in {found:?}");
        }
        for Difference { path, label, before, after, .. } in &found {
            prop_assert_ne!(before, after, "{}", path);
            prop_assert!(!label.is_empty() || path.ends_with(".value"), "{}", path);
            prop_assert!(TEXTS.iter().any(|(known, _)| *known == pattern(path)), "{}", path);
        }
        for ChangeText { label, before, after, .. } in ChangeText::of(&found) {
            prop_assert_ne!(before, after, "{}", label);
        }
    }

    #[test]
    fn nothing_differs_exactly_where_both_have_one_digest(
        earlier in submissions(), later in submissions(), arguments in arguments(), is_other in any::<bool>()
    ) {
        prop_assert_eq!(differences(&earlier, &later).is_empty(), of(&earlier) == of(&later));
        let mut later = if is_other { later } else { earlier.clone() };
        if let Some(action) = later.document.as_mut().and_then(|document| document.action.as_mut()) {
            action.arguments = arguments;
        }
        later.approval = Some(Policy::default());
        prop_assert_eq!(differences(&earlier, &later).is_empty(), of(&earlier) == of(&later));
        prop_assert_eq!(differences(&later, &later), []);
    }
}

#[test]
fn what_was_added_moved_and_removed_is_shown_as_people_read_it() {
    let detail = |label: &str, value: &str| Detail { label: label.into(), value: value.into() };
    let arguments = |json: Value| Some(Json::from(&json));
    let action = |arguments| Action { name: "deploy".into(), arguments, ..Action::default() };
    let earlier = Document {
        amount: "100.00".into(),
        details: vec![detail("From", "Monday")],
        attachments: vec!["https://files.example/a.pdf".into()],
        action: Some(action(arguments(json!({"version": "2.3", "steps": ["build"]})))),
        ..Document::default()
    };
    let later = Document {
        amount: "120.00".into(),
        details: vec![detail("From", "Tuesday"), detail("To", "Friday")],
        attachments: Vec::new(),
        action: Some(action(arguments(json!({"version": "2.4", "steps": ["build", "test"]})))),
        ..Document::default()
    };
    let [earlier, later] = [earlier, later]
        .map(|document| Submission { document: Some(document), ..Submission::default() });
    let found = differences(&earlier, &later);
    let lines: Vec<String> = found
        .iter()
        .map(|it| format!("{} ({}): {:?} to {:?}", it.path, it.label, it.before, it.after))
        .collect();
    assert_eq!(
        lines,
        [
            r#"$.document.amount (Amount): "100.00" to "120.00""#,
            r#"$.document.attachments[0] (Attachment 1): "https://files.example/a.pdf" to """#,
            r#"$.document.details[0].value (From): "Monday" to "Tuesday""#,
            r#"$.document.details[1].label (Detail 2, label): "" to "To""#,
            r#"$.document.details[1].value (To): "" to "Friday""#,
            r#"$.document.action.arguments.steps[1] (steps[1]): "" to "\"test\"""#,
            r#"$.document.action.arguments.version (version): "\"2.3\"" to "\"2.4\"""#,
        ]
    );
}

#[test]
fn amounts_and_dates_are_as_people_read_them_and_an_element_is_one_change() {
    let item = |description: &str, amount: &str, date: &str| Item {
        description: description.into(),
        amount: amount.into(),
        date: date.into(),
    };
    let detail = |label: &str, value: &str| Detail { label: label.into(), value: value.into() };
    let earlier = Document {
        amount: "15750.00".into(),
        currency: "USD".into(),
        items: vec![item("Laptops", "14700.00", "2026-11-20"), item("", "1050.00", "")],
        details: vec![detail("From", "Monday")],
        ..Document::default()
    };
    let later = Document {
        amount: "14700.50".into(),
        currency: "EUR".into(),
        items: vec![item("Laptops", "", "2026-11-23")],
        details: vec![detail("From", "Tuesday"), detail("To", "Friday"), detail("Why", "")],
        ..Document::default()
    };
    let [earlier, later] = [earlier, later]
        .map(|document| Submission { document: Some(document), ..Submission::default() });
    let changes = ChangeText::of(&differences(&earlier, &later));
    let lines: Vec<String> = changes
        .iter()
        .map(|it| format!("{} ({}): {:?} to {:?}", it.label, it.is_element, it.before, it.after))
        .collect();
    assert_eq!(
        lines,
        [
            r#"Amount (false): "15,750.00 USD" to "14,700.50 EUR""#,
            r#"Currency (false): "USD" to "EUR""#,
            r#"Item 1, amount (false): "14,700.00 USD" to """#,
            r#"Item 1, date (false): "Fri 20 Nov 2026" to "Mon 23 Nov 2026""#,
            r#"Item 2 (true): "amount: 1,050.00 USD" to """#,
            r#"From (false): "Monday" to "Tuesday""#,
            r#"Detail 2 (true): "" to "To: Friday""#,
            r#"Detail 3 (true): "" to "label: Why""#,
        ]
    );
}

#[test]
fn what_differs_never_looks_the_same() {
    let dated = |date: &str| {
        let items = vec![Item { date: date.into(), ..Item::default() }];
        let document = Some(Document { items, ..Document::default() });
        Submission { document, ..Submission::default() }
    };
    let changes = ChangeText::of(&differences(&dated("2026-11-20"), &dated("20261120")));
    let both: Vec<_> = changes.iter().map(|it| (it.before.as_str(), it.after.as_str())).collect();
    assert_eq!(both, [("2026-11-20", "20261120")]);
}
