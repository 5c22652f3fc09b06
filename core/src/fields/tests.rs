use countersign_protos::v1;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{
    approval::{Approval, Ballot, Claim, Invited, Level, OnDeadline, Quorum, Receipt, StagePlan},
    leaves, outcome,
    policy::Plan,
    testing::address,
};

fn field(name: &str, kind: &str) -> Field {
    Field { name: name.into(), label: "A label".into(), r#type: kind.into(), ..Field::default() }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.into()).collect()
}

#[test]
fn a_definition_says_all_that_is_wrong_with_it() {
    let choice = |choices: &[&str]| Field { choices: strings(choices), ..field("a", "choice") };
    let for_verdicts =
        |names: &[&str]| Field { required_for: strings(names), ..field("a", "text") };
    let labelled = |label: &str| Field { label: label.into(), ..field("a", "text") };
    for (field, expected) in [
        (field("Budget-2_x", ""), ""),
        (for_verdicts(&["approve", "reject"]), ""),
        (choice(&["one", "two"]), ""),
        (field("", "text"), "Name is required"),
        (field("it is", "text"), "Name must have letters"),
        (field("größe", "text"), "Name must have letters"),
        (field(&"a".repeat(65), "text"), "Name has 65 characters"),
        (labelled(" "), "Label is required"),
        (labelled("a\nb"), "Label must not contain line breaks"),
        (labelled("a\u{202E}b"), "Label must not contain invisible"),
        (labelled(&"é".repeat(201)), "Label has 201 characters"),
        (
            field("a", "nubmer"),
            "Type must be one of \"text\", \"number\", \"choice\", \"yes_no\", \"date\"; did you mean \"number\"?",
        ),
        (choice(&[]), "Choices is required"),
        (choice(&["one", "", "one"]), "Choice(1) is required|Choice(2) is here twice"),
        (Field { choices: strings(&["one"]), ..field("a", "date") }, "Choices must be left out"),
        (
            Field { choices: (0..51).map(|i| i.to_string()).collect(), ..field("a", "choice") },
            "Choices has more than 50",
        ),
        (
            for_verdicts(&["reject", "reject", "request_changes", "x"]),
            "RequiredFor(1) is here twice|RequiredFor(2) must be|RequiredFor(3) must be",
        ),
        (
            Field { label: String::new(), ..field("", "x") },
            "Name is required|Label is required|Type must be one of",
        ),
    ] {
        let found = wrong(&field);
        let expected: Vec<&str> = expected.split('|').filter(|text| !text.is_empty()).collect();
        assert_eq!(found.len(), expected.len(), "{field:?}: {found:?}");
        for ((part, message), expected) in found.iter().zip(expected) {
            let said = format!("{part:?} {message}");
            assert!(said.starts_with(expected), "{said}");
        }
    }
}

#[test]
fn a_submissions_fields_come_after_those_of_its_rule_and_replace_none() {
    let (of_rule, own) = ([field("a", "text")], [field("b", "date")]);
    let all = together("R", &of_rule, &own).expect("they fit");
    let told: Vec<(&str, bool)> = all.iter().map(|it| (&*it.name, it.from_rule)).collect();
    assert_eq!(told, [("a", true), ("b", false)]);
    let twice = together("R", &of_rule, &[field("b", ""), field("a", "")]);
    let problem = &twice.expect_err("one is there twice")[0];
    let said = (&*problem.path, &*problem.message);
    assert_eq!(said, ("$.fields[1].name", "is a field of the rule \"R\" already"));
    let many: Vec<Field> = (0..20).map(|i| field(&format!("f{i}"), "text")).collect();
    assert!(together("R", &[], &many).is_ok());
    let problems = together("R", &of_rule, &many).expect_err("too many");
    assert_eq!(problems[0].path, "$.fields");
}

#[test]
fn what_everybody_may_answer_fits() {
    let texts = |number: usize| vec![field("a", "text"); number];
    assert_eq!((too_much(&[], 80), too_much(&texts(1), 40)), (None, None));
    assert!(too_much(&texts(1), 41).is_some_and(|why| why.contains("41 people")));
    assert!(too_much(&texts(20), 18).is_none(), "a decision has so much at most");
    assert!(too_much(&texts(20), 19).is_some());
    assert!(too_much(&vec![field("a", "yes_no"); 20], 80).is_none());
}

/// Anything that somebody may send.
fn answer() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ -~]{0,12}",
        "\\PC{0,8}",
        "-?[0-9]{1,5}([.,][0-9]{1,4})?(e[0-9]{1,2})?",
        "[0-9]{4}-[0-1][0-9]-[0-3][0-9]",
        prop::sample::select(vec![
            "yes",
            "No",
            "true",
            "FALSE",
            "one",
            "two",
            " one ",
            "o\u{200B}ne"
        ])
        .prop_map(str::to_owned),
        (0_usize..5_000).prop_map(|chars| "\u{1F600}".repeat(chars)),
    ]
}

fn definition() -> impl Strategy<Value = Field> {
    let kind =
        prop::sample::select(vec!["", "text", "number", "choice", "yes_no", "date", "colour"]);
    let verdicts = prop::sample::subsequence(vec!["approve", "reject"], 0..=2);
    (0_usize..6, kind, prop::sample::subsequence(vec!["one", "two", "yes"], 1..=3), verdicts)
        .prop_map(|(name, kind, choices, required_for)| Field {
            name: format!("f{name}"),
            label: format!("Field {name}"),
            r#type: kind.into(),
            choices: if kind == "choice" { strings(&choices) } else { Vec::new() },
            required_for: strings(&required_for),
            from_rule: false,
        })
}

/// Up to five fields, each with another name.
fn definitions() -> impl Strategy<Value = Vec<Field>> {
    prop::collection::vec(definition(), 0..6).prop_map(|mut fields| {
        let mut seen = BTreeSet::new();
        fields.retain(|field| seen.insert(field.name.clone()));
        fields
    })
}

fn given() -> impl Strategy<Value = answers::Answers> {
    prop::collection::btree_map("f[0-6]", answer(), 0..6)
}

/// Whether a value is within the definition, said in other words than the product's.
fn is_within(field: &Field, value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match field.r#type.as_str() {
        "" | "text" => value.chars().count() <= 2_000 && !value.trim().is_empty(),
        "number" => {
            let plain = value.strip_prefix('-').unwrap_or(value);
            let (whole, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
            digits(whole) && digits(fraction) && (whole == "0" || !whole.starts_with('0'))
        }
        "choice" => field.choices.iter().any(|choice| choice == value),
        "yes_no" => ["yes", "no"].contains(&value),
        "date" => value.len() == 10 && value.parse::<jiff::civil::Date>().is_ok(),
        _ => false,
    }
}

/// What a plan of these fields, of which nothing else matters here, concludes from a vote.
fn concluded(fields: &[Field], ballot: Ballot) -> Option<v1::Vote> {
    let at = Timestamp::UNIX_EPOCH;
    let submission = v1::Submission { fields: fields.to_vec(), ..v1::Submission::default() };
    let plan = Plan::asking(submission, address("sue"), Vec::new());
    let level = Level { reviewers: vec![address("ann")], keep_earlier: false, fallback: false };
    let stage = StagePlan {
        name: "S".into(),
        quorum: Quorum::Any,
        on_deadline: OnDeadline::Expire,
        levels: vec![level],
    };
    let mut approval = Approval::new(address("sue"), vec![stage]).with_fields(fields.to_vec());
    approval.ask(vec![Invited::new(address("ann"), "hash".into())], None, at);
    let before = approval.clone();
    let receipt = approval.vote(ballot, at);
    assert_eq!(receipt == Receipt::Counted, approval != before, "{receipt:?}");
    assert!(!leaves::is_brief(approval.journal()));
    let chain = countersign_protos::Chain { workflow_id: "w", first_run_id: "r" };
    let outcome = outcome::outcome(&plan, &approval, chain);
    assert_eq!(outcome.fields, fields);
    outcome.stages.into_iter().flat_map(|stage| stage.decisions).next()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_answer_outside_its_definition_reaches_an_outcome(
        fields in definitions(), given in given(), approves in any::<bool>()
    ) {
        let verdict = if approves { Verdict::Approve } else { Verdict::Reject };
        let ballot = Ballot::new(Claim::Reviewer(address("ann")), verdict, String::new());
        let ballot = Ballot { answers: given.clone(), ..ballot };
        let required = |field: &&Field| field.required_for.iter().any(|it| it == verdict.terms().name);
        let vote = concluded(&fields, ballot);
        if let Some(vote) = &vote {
            for answer in &vote.answers {
                let field = fields.iter().find(|field| field.name == answer.name);
                prop_assert!(field.is_some_and(|field| is_within(field, &answer.value)), "{:?}", answer);
                prop_assert_eq!(field.map(|field| &field.label), Some(&answer.label));
            }
            let has = |field: &Field| vote.answers.iter().any(|answer| answer.name == field.name);
            prop_assert!(fields.iter().filter(required).all(has), "{:?}", vote);
            let order: Vec<usize> = vote.answers.iter()
                .filter_map(|answer| fields.iter().position(|field| field.name == answer.name))
                .collect();
            prop_assert!(order.is_sorted() && order.len() == vote.answers.len());
        }
        // What was given and what is asked for is all there is: nothing else is refused.
        let is_blank = |name: &String| given.get(name).is_none_or(|it| it.trim().is_empty());
        if !fields.iter().any(|field| required(&field)) && given.keys().all(is_blank) {
            prop_assert!(vote.is_some());
        }
    }
}

/// 10,000, or more where `PROPTEST_CASES` says so.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(10_000)
}
