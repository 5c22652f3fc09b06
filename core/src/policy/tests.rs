use std::{collections::BTreeSet, io};

use countersign_protos::v1::{Document, Submission, Submitter};
use jiff::Timestamp;

use super::*;
use crate::approval::{EmailAddress, OnDeadline, Quorum};

const VALID: &str = r#"[calendar]
time_zone = "Europe/Berlin"
working_days = ["Mon-Fri"]
working_hours = ["09:00-17:00"]
holidays = [2026-12-24, "12-25"]

[groups]
finance = ["ann@example.com", "bob@example.com"]

[managers]
default = "hr@example.com"

[managers.employees]
"E-1" = "ann@example.com"
"ann@example.com" = "cfo@example.com"

[[absences]]
reviewer = "ann@example.com"
deputy = "bob@example.com"
from = 2026-12-01
to = 2026-12-11

[[rules]]
name = "Small"
when.type = "expense_report"
when.amount.EUR = { up_to = 100 }
decision = "approve"

[[rules]]
name = "Large"
when.type = "expense_report"

[[rules.stages]]
name = "Finance"
reviewers = ["finance"]
quorum = 2
deadline = "2 working days"
reminders = ["1 working day"]
on_deadline = "reject"
escalate = [{ reviewers = ["cfo@example.com"], deadline = "1 day" }]

[default]
decision = "reject"
"#;

const NOT_A_NUMBER: &str = "must be a decimal number, such as 1500 or 125.50: a point before the decimals, \
    digits on both sides of it, and no spaces or other signs";

/// In `VALID`, what is replaced by what, with «the text that has to be marked», and what is said.
const SEEDED: &[(&str, &str, &str)] = &[
    ("time_zone = \"Europe/Berlin\"\n", "", "`time_zone` is required"),
    ("\"Europe/Berlin\"", "«\"Europe/Belin\"»", "there is no time zone \"Europe/Belin\""),
    (
        "[\"Mon-Fri\"]",
        "[\"Mon-Wed\", «\"Fry\"»]",
        "must be a day or days of the week, such as Mon or Mon-Fri",
    ),
    ("[\"09:00-17:00\"]", "[«\"9 to 5\"»]", "must be a span of a day, such as 09:00-17:30"),
    ("[\"09:00-17:00\"]", "«\"17:00-09:00\"»", "must end after it starts, on the same day"),
    (
        "[\"09:00-17:00\"]",
        "[\"09:00-13:00\", «\"12:00-17:00\"»]",
        "must start after the hours before it end",
    ),
    ("2026-12-24", "«\"2026-13-24\"»", "must be a date, such as 2026-12-24"),
    (
        "\"12-25\"",
        "«\"25 Dec\"»",
        "must be a date, such as 2026-12-25, or a month and day of every year, such as 12-25",
    ),
    (
        "\"12-25\"]",
        "\"12-25\"]\nholidays_file = «\"missing.ics\"»",
        "missing.ics: cannot be read: entity not found",
    ),
    (
        "\"12-25\"]",
        "\"12-25\"]\nholidays_file = «\"monthly.ics\"»",
        "monthly.ics: event \"Stocktaking\": RRULE FREQ=MONTHLY is not supported, only FREQ=YEARLY: list such holidays one by one",
    ),
    ("[groups]", "«roups» = 1\n[groups]", "`roups` is not known here"),
    (
        "\"bob@example.com\"]",
        "«\"bob at example.com\"»]",
        "must be an e-mail address, such as ann@example.com",
    ),
    (
        "\"bob@example.com\"]",
        "«\"Ann@Example.com\"»]\nmore = [\"bob@example.com\"]",
        "ann@example.com is in this group already",
    ),
    (
        "finance = [",
        "«manager» = [\"x@example.com\"]\nfinance = [",
        "\"manager\" always means the submitter's",
    ),
    (
        "\"ann@example.com\" = \"cfo@example.com\"",
        "\"ann@example.com\" = «\"ann@example.com\"»",
        "ann@example.com would approve their own submissions",
    ),
    (
        "\"E-1\" = \"ann@example.com\"",
        "\"e-1\" = \"bob@example.com\"\n«\"E-1\"» = \"ann@example.com\"",
        "\"E-1\" has a manager already",
    ),
    ("to = 2026-12-11", "to = «2026-11-11»", "the last day is before the first one"),
    (
        "deputy = \"bob@example.com\"",
        "deputy = «\"ann@example.com\"»",
        "ann@example.com cannot stand in for themselves",
    ),
    ("from = 2026-12-01\n", "", "`from` is required"),
    (
        "to = 2026-12-11",
        "to = 2026-12-11\n[[absences]]\nreviewer = «\"ann@example.com\"»\ndeputy = \"cfo@example.com\"\nfrom = 2026-12-11\nto = 2026-12-12",
        "ann@example.com is away on some of these days already",
    ),
    (
        "to = 2026-12-11",
        "to = 2026-12-11\n[[absences]]\nreviewer = \"bob@example.com\"\ndeputy = «\"ann@example.com\"»\nfrom = 2026-12-10\nto = 2026-12-20",
        "deputies go round in a circle from 2026-12-10 to 2026-12-11",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = \"Pay\", task_queue = \"payments\", \
         namespace = «\"\"» }",
        "must be a text of one line, and not empty",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = «[\"Pay\", \"Tell\"]», task_queue = \"payments\" }",
        "must be a text, not a list",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = \"Pay\", task_queue = «\"payments \"» }",
        "must not begin or end with a blank",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = \"Pay\", task_queue = «\"/_sys/payments\"» }",
        "must not begin with /_sys/, which Temporal keeps for itself",
    ),
    ("name = \"Small\"", "«nmae» = \"Small\"", "`nmae` is not known here"),
    ("name = \"Large\"", "name = «\"Small\"»", "another rule is called \"Small\" too"),
    (
        "when.type = \"expense_report\"\nwhen.amount",
        "when.«typ» = \"expense_report\"\nwhen.amount",
        "`typ` is not known here",
    ),
    (
        "when.type = \"expense_report\"\nwhen.amount",
        "when.type = «7»\nwhen.amount",
        "must be a text, not a number",
    ),
    (
        "when.type = \"expense_report\"\nwhen.amount",
        "when.department = «[]»\nwhen.amount",
        "must not be empty",
    ),
    ("when.amount.EUR", "when.amount.«EURO»", "must be an ISO 4217 currency code, such as USD"),
    (
        "when.amount.EUR",
        "when.currency = «\"USD\"»\nwhen.amount.EUR",
        "`amount` says the currencies already: leave `currency` out",
    ),
    ("{ up_to = 100 }", "{ up_to = «100.0055» }", "EUR has 2 decimals at most"),
    (
        "{ up_to = 100 }",
        "{ up_to = «10.000» }",
        "\"10.000\" could mean 10000.00 or 10.00: write the one that is meant (EUR has 2 decimals at most)",
    ),
    (
        "{ up_to = 100 }",
        "{ up_to = «\"15,000\"» }",
        "\"15,000\" could mean 15000.00 or 15.00: write the one that is meant (EUR has 2 decimals at most)",
    ),
    (
        "amount.EUR = { up_to = 100 }",
        "amount.JPY = { up_to = «\"10.000\"» }",
        "\"10.000\" could mean 10000 or 10: write the one that is meant (JPY has no decimals)",
    ),
    ("{ up_to = 100 }", "{ up_to = «\"1_000\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «\"+100\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «\"100.\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «\"1,000.00\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «inf» }", NOT_A_NUMBER),
    (
        "amount.EUR = { up_to = 100 }",
        "amount = { EUR = { up_to = 100 }, «eur» = { up_to = 200 } }",
        "EUR has a range already",
    ),
    (
        "[groups]",
        "[submissions]\n«may_name_reviewer» = true\n[groups]",
        "`may_name_reviewer` is not known here",
    ),
    (
        "[groups]",
        "[submissions]\nmay_name_reviewers = «\"yes\"»\n[groups]",
        "must be true or false, not a text",
    ),
    ("{ up_to = 100 }", "{ up_to = «-100» }", "must not be negative"),
    ("{ up_to = 100 }", "«{ above = 100, below = 100 }»", "no amount is in this range"),
    // Euros have no amount between these, and yen none between those.
    ("{ up_to = 100 }", "«{ above = 100, below = 100.01 }»", "no amount is in this range"),
    (
        "amount.EUR = { up_to = 100 }",
        "amount.JPY = «{ above = 7, below = 8 }»",
        "no amount is in this range",
    ),
    (
        "amount.EUR = { up_to = 100 }",
        "amount = «{}»",
        "must have a currency, such as `EUR = { up_to = 100 }`",
    ),
    ("{ up_to = 100 }", "«{}»", "must have a bound: `from`, `above`, `below` or `up_to`"),
    ("{ up_to = 100 }", "{ up_to = 100, below = «200» }", "`up_to` or `below`, not both"),
    ("decision = \"approve\"", "decision = «\"aprove\"»", "must be \"approve\" or \"reject\""),
    (
        "decision = \"approve\"",
        "decision = «\"approve\"»\nstages = [{ reviewers = [\"finance\"] }]",
        "a rule has either a `decision` or `stages`",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = «{ workflow = \"Pay\" }»",
        "`task_queue` is required",
    ),
    (
        "decision = \"approve\"\n\n[[rules]]\nname = \"Large\"\nwhen.type = \"expense_report\"",
        "decision = \"approve\"\n\n[[rules]]\nname = «\"Large\"»\nwhen.type = [\"Expense_Report\"]\nwhen.amount.EUR = { below = 50 }",
        "rule \"Large\" can never be reached",
    ),
    (
        "[default]",
        "[[rules]]\nname = «\"Tiny\"»\nwhen.type = \"expense_report\"\nwhen.department = \"Sales\"\ndecision = \"reject\"\n[default]",
        "rule \"Tiny\" can never be reached",
    ),
    ("[\"finance\"]", "[«\"finanse\"»]", "there is no group \"finanse\""),
    ("reviewers = [\"finance\"]\n", "", "`reviewers` is required"),
    (
        "[\"finance\"]",
        "[\"finance\", «\"bob@example.com\"»]",
        "bob@example.com is asked here already",
    ),
    ("quorum = 2", "quorum = «3»", "3 approvals can never come from 2 people"),
    ("quorum = 2", "quorum = «\"most\"»", "must be \"any\", \"all\" or a number from 1"),
    (
        "[\"cfo@example.com\"], deadline",
        "«[\"cfo@example.com\"]», keep_earlier = false, deadline",
        "2 approvals can never come from 1 person",
    ),
    (
        "[\"cfo@example.com\"], deadline",
        "«[\"bob@example.com\"]», deadline",
        "everybody here is asked before: this level asks nobody",
    ),
    (
        "name = \"Large\"\nwhen.type = \"expense_report\"\n\n[[rules.stages]]\nname = \"Finance\"\nreviewers = [\"finance\"]\nquorum = 2",
        "name = \"Large\"\nwhen.submitter = \"Ann@example.com\"\n\n[[rules.stages]]\nname = \"Finance\"\nreviewers = «[\"ann@example.com\"]»",
        "asks only ann@example.com, who is the submitter",
    ),
    (
        "deadline = \"2 working days\"",
        "deadline = «\"soon\"»",
        "must be a span of time, such as 36h, 3 days, PT45M or 2 working days",
    ),
    ("deadline = \"1 day\"", "deadline = «\"400 days\"»", "must be at most 366 days"),
    (
        "[\"1 working day\"]",
        "[«\"3 working days\"»]",
        "must come between the asking and the deadline, 2 working days later",
    ),
    ("[\"1 working day\"]", "[«\"every 1h\"»]", "would come more than 20 times in 2 working days"),
    (
        "deadline = \"1 day\"",
        "deadline = \"1 day\", reminders = [«\"every 1h\"»]",
        "would come more than 20 times in 1 day",
    ),
    (
        "on_deadline = \"reject\"",
        "on_deadline = «\"panic\"»",
        "must be \"expire\", \"reject\" or \"approve\"",
    ),
    (
        "deadline = \"1 day\" }",
        "deadline = \"1 day\", keep_earlier = «\"no\"» }",
        "must be true or false, not a text",
    ),
    ("[default]\ndecision = \"reject\"\n", "", "`default` is required"),
];

fn parse(text: &str) -> Result<Policy, Mistakes> {
    Policy::parse(text, "policy.toml", |file| match file {
        "monthly.ics" => {
            Ok(ics("SUMMARY:Stocktaking\nDTSTART;VALUE=DATE:20260131\nRRULE:FREQ=MONTHLY"))
        }
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    })
}

fn ics(event: &str) -> String {
    let text =
        format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n");
    text.replace('\n', "\r\n")
}

fn address(name: &str) -> EmailAddress {
    format!("{name}@example.com").parse().expect("an address")
}

/// Line, column, marked text and message of each mistake.
fn found(text: &str) -> Vec<(usize, usize, String, String)> {
    let mistakes = parse(text).expect_err(text);
    mistakes
        .iter()
        .map(|mistake| {
            let (line, column) = mistakes.position(mistake);
            (line, column, text[mistake.span.clone()].to_owned(), mistake.message.clone())
        })
        .collect()
}

#[test]
fn each_seeded_mistake_is_found_alone_and_in_its_place() {
    assert!(parse(VALID).is_ok(), "{}", parse(VALID).expect_err("wrong"));
    assert!(SEEDED.len() >= 25);
    let mut failures = Vec::new();
    for (right, wrong, message) in SEEDED {
        assert!(VALID.contains(right), "{right} is not in the file");
        let seeded = VALID.replacen(right, wrong, 1);
        let mistakes = found(&seeded.replace(['«', '»'], ""));
        // What is missing altogether has no text to mark.
        let expected = seeded.split_once('«').map(|(before, after)| {
            let (lines, last) = before.rsplit_once('\n').unwrap_or(("", before));
            let line = if lines.is_empty() { 1 } else { lines.split('\n').count() + 1 };
            let marked = after.split_once('»').expect("the marker's end").0;
            (line, last.chars().count() + 1, marked.to_owned())
        });
        let right_place = |line: usize, column: usize, marked: &str| match &expected {
            Some((l, c, text)) => (line, column, marked) == (*l, *c, text.as_str()),
            None => true,
        };
        match &mistakes[..] {
            [(line, column, marked, said)]
                if said == message && right_place(*line, *column, marked) => {}
            mistakes => failures.push(format!("{wrong}\n  {expected:?} {message}\n  {mistakes:?}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn all_mistakes_are_reported_at_once_from_top_to_bottom() {
    let mut text = VALID.to_owned();
    for (right, wrong) in [
        ("Europe/Berlin", "Europe/Belin"),
        ("2026-12-24", "\"Christmas\""),
        ("up_to = 100", "up_to = \"lots\""),
        ("[\"finance\"]", "[\"finanse\"]"),
        ("quorum = 2", "quorum = 0"),
    ] {
        text = text.replacen(right, wrong, 1);
    }
    let lines: Vec<usize> = found(&text).iter().map(|mistake| mistake.0).collect();
    assert_eq!(lines, [2, 5, 26, 35, 36]);
    let rendered = parse(&text).expect_err("wrong").to_string();
    for words in [
        "error: there is no group \"finanse\"",
        "policy.toml:35:14",
        "35 | reviewers = [\"finanse\"]",
        "             ^^^^^^^^^",
        "help: did you mean \"finance\"?",
        "policy.toml: 5 mistakes",
    ] {
        assert!(rendered.contains(words), "{words} is missing in:\n{rendered}");
    }
}

#[test]
fn a_submitter_without_whom_too_few_are_asked_is_a_mistake_unless_somebody_is_above() {
    let text = |managers: &str| {
        format!(
            "{managers}[[rules]]\nname = \"Ann\"\nwhen.submitter = \"ann@example.com\"\n\
             stages = [{{ reviewers = [\"ann@example.com\", \"bob@example.com\"], quorum = 2 }}]\n\
             [default]\ndecision = \"reject\"\n"
        )
    };
    let mistakes = found(&text(""));
    assert_eq!(mistakes.len(), 1);
    assert_eq!((mistakes[0].0, mistakes[0].1), (4, 25));
    assert_eq!(mistakes[0].3, "asks ann@example.com, who is the submitter, and too few others");
    policy(&text("managers.default = \"hr@example.com\"\n"));
}

#[test]
fn more_reviewers_than_an_approval_holds_are_a_mistake() {
    let asking = |number: usize, domain: &str| {
        let people: Vec<String> = (0..number).map(|i| format!("p{i}@{domain}")).collect();
        format!("[default]\nstages = [{{ reviewers = {people:?} }}]\n")
    };
    policy(&asking(80, "x.io"));
    let mistakes = found(&asking(81, "x.io"));
    assert_eq!(mistakes[0].3, "asks 81 people; at most 80 can be asked");
    let mistakes = found(&asking(30, &format!("{}example.com", "a.".repeat(40))));
    assert!(mistakes[0].3.starts_with("the addresses take 2"), "{mistakes:?}");
}

#[test]
fn whoever_may_be_asked_instead_has_to_fit_too() {
    let long = format!("{}@{}example.com", "b".repeat(60), "a.".repeat(60));
    let stage = |number: usize, quorum: &str| {
        let people: Vec<String> = (0..number).map(|i| format!("p{i}@x.io")).collect();
        format!("[default]\nstages = [{{ reviewers = {people:?}, quorum = {quorum} }}]\n")
    };
    let away = |i: usize, deputy: &str| {
        format!(
            "[[absences]]\nreviewer = \"p{i}@x.io\"\ndeputy = \"{deputy}\"\n\
             from = 2026-12-01\nto = 2026-12-02\n"
        )
    };
    let deputies = |number| (0..number).map(|i| away(i, &format!("{i}{long}"))).collect::<String>();
    let number_of_mistakes = |text: String| parse(&text).map_or_else(|m| m.iter().count(), |_| 0);
    assert_eq!(number_of_mistakes(stage(9, "1") + &deputies(9)), 0);
    let mistakes = found(&(stage(10, "1") + &deputies(10)));
    assert_eq!(
        mistakes[0].3,
        "the addresses take 1960 bytes; at most 1900 can be asked in a stage"
    );
    // A deputy's deputy too.
    let next = format!(
        "[[absences]]\nreviewer = \"d@x.io\"\ndeputy = \"{long}\"\nfrom = 2026-12-01\nto = 2026-12-02\n"
    );
    let chain: String = (0..10).map(|i| away(i, "d@x.io")).collect();
    assert_eq!(number_of_mistakes(stage(10, "1") + &chain), 0);
    assert_eq!(number_of_mistakes(stage(10, "1") + &chain + &next), 1);
    // Where everybody is needed, a manager takes the submitter's place.
    let managers = format!("[managers]\ndefault = \"{long}\"\n");
    assert_eq!(number_of_mistakes(stage(70, "69") + &managers + &deputies(6)), 0);
    assert_eq!(number_of_mistakes(stage(70, "70") + &managers + &deputies(6)), 1);
}

#[test]
fn what_is_no_toml_is_reported_with_what_else_is_wrong_but_not_with_what_seems_missing() {
    let text = VALID
        .replace("finance = [", "finance [")
        .replace("deputy = \"bob", "deputy = bob")
        .replace("decision = \"reject\"", "decision = \"refuse\"");
    let lines: BTreeSet<usize> = found(&text).iter().map(|mistake| mistake.0).collect();
    assert_eq!(lines.into_iter().collect::<Vec<_>>(), [8, 19, 43]);
}

fn submission(kind: &str, department: &str, amount: &str, currency: &str) -> Submission {
    Submission {
        submission_id: "S-1".into(),
        submission_type: kind.into(),
        submitter: Some(Submitter {
            name: "Sue".into(),
            email: "sue@example.com".into(),
            department: department.into(),
            employee_id: String::new(),
        }),
        document: Some(Document {
            title: "Things".into(),
            amount: amount.into(),
            currency: currency.into(),
            ..Document::default()
        }),
        ..Submission::default()
    }
}

fn policy(text: &str) -> Policy {
    parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn stages(policy: &Policy, submission: &Submission, submitter: &EmailAddress) -> Vec<StageRule> {
    match policy.route(submission, submitter).route {
        Ok(Route::Stages { stages, .. }) => stages,
        route => panic!("{route:?}"),
    }
}

fn names(people: &[EmailAddress]) -> Vec<&str> {
    people.iter().map(|person| person.as_str().trim_end_matches("@example.com")).collect()
}

#[test]
fn the_first_rule_that_matches_decides() {
    let policy = policy(VALID);
    for (kind, amount, currency, rule) in [
        ("expense_report", "100.00", "EUR", "Small"),
        ("Expense_Report", "0.00", "EUR", "Small"),
        ("expense_report", "100.01", "EUR", "Large"),
        // Amounts compare only within the rule's own currencies.
        ("expense_report", "5.00", "USD", "Large"),
        ("expense_report", "5", "JPY", "Large"),
        ("contract", "5.00", "EUR", "default"),
        ("", "5.00", "EUR", "default"),
    ] {
        let submission = submission(kind, "", amount, currency);
        assert_eq!(policy.route(&submission, &address("sue")).rule.name, rule, "{kind} {amount}");
    }
}

#[test]
fn a_stage_is_recorded_as_a_rule_has_it_and_read_again() {
    let large = submission("expense_report", "", "500.00", "EUR");
    let stages = stages(&policy(VALID), &large, &address("sue"));
    let recorded = serde_json::to_string(&stages).expect("JSON");
    assert_eq!(
        recorded,
        r#"[{"name":"Finance","reviewers":["ann@example.com","bob@example.com"],"quorum":"2","deadline":"2 working days","reminders":["1 working day"],"onDeadline":"reject","escalations":[{"reviewers":["cfo@example.com"],"deadline":"1 day","keepEarlier":true}]}]"#
    );
    let read: Vec<StageRule> = serde_json::from_str(&recorded).expect("stages");
    assert_eq!(read, stages);
}

const MANAGED: &str = r#"
[groups]
pair = ["ann@example.com", "bob@example.com"]
[managers]
default = "hr@example.com"
employees = { "E-7" = "ann@example.com", "ann@example.com" = "cfo@example.com", "cfo@example.com" = "ceo@example.com" }
departments = { Sales = "lead@example.com" }
[default]
[[default.stages]]
reviewers = ["manager"]
escalate = [
    { reviewers = ["manager's manager"] },
    { reviewers = ["ceo@example.com", "cfo@example.com"], keep_earlier = false },
]
[[default.stages]]
reviewers = ["pair"]
quorum = 2
"#;

#[test]
fn a_manager_is_found_by_employee_then_department_then_default() {
    let policy = policy(MANAGED);
    let first = |employee: &str, email: &str, department: &str| {
        let mut submission = submission("", department, "5.00", "EUR");
        submission.submitter.as_mut().expect("there").employee_id = employee.into();
        let stage = stages(&policy, &submission, &address(email)).remove(0);
        let levels = stage.escalations.iter().map(|level| names(&level.reviewers).join(" "));
        format!(
            "{} / {}",
            names(&stage.reviewers).join(" "),
            levels.collect::<Vec<_>>().join(" / ")
        )
    };
    assert_eq!(first("e-7", "sue", "Sales"), "ann / cfo / ceo cfo");
    assert_eq!(first("", "ann", "Sales"), "cfo / ceo");
    assert_eq!(first("", "sue", "SALES"), "lead / hr / ceo cfo");
    // The head of a department does not approve their own submission.
    assert_eq!(first("", "lead", "Sales"), "hr / ceo cfo");
    assert_eq!(first("", "sue", ""), "hr / ceo cfo");
}

#[test]
fn whoever_is_above_has_managers_too_by_whatever_entry_they_are_found() {
    let above = |managers: &str, department: &str| {
        let policy = policy(&format!(
            "[managers]\n{managers}\n[default]\nstages = \
             [{{ reviewers = [\"manager\", \"manager's manager\"], quorum = \"all\" }}]\n"
        ));
        let stage = stages(&policy, &submission("", department, "5.00", "EUR"), &address("sue"));
        names(&stage[0].reviewers).join(" ")
    };
    let chain = "employees = { \"hr@example.com\" = \"coo@example.com\", \
                 \"coo@example.com\" = \"ceo@example.com\" }";
    let default = "default = \"hr@example.com\"";
    assert_eq!(above(&format!("{default}\n{chain}"), ""), "hr coo", "the default");
    let department = "departments = { Sales = \"hr@example.com\" }";
    assert_eq!(above(&format!("{department}\n{chain}"), "Sales"), "hr coo", "a department's");
    // Above whom the table has nobody, there is the default, and above that one theirs.
    let lead = "departments = { Sales = \"lead@example.com\" }";
    assert_eq!(above(&format!("{default}\n{lead}\n{chain}"), "Sales"), "lead hr");
    assert_eq!(above(default, ""), "hr", "or the highest there is");
    // Nobody is above themselves, nor asked twice.
    let round = "employees = { \"hr@example.com\" = \"sue@example.com\" }";
    assert_eq!(above(&format!("{default}\n{round}"), ""), "hr");
    let own = "employees = { \"sue@example.com\" = \"hr@example.com\" }";
    assert_eq!(above(&format!("{default}\n{own}"), ""), "hr");
}

#[test]
fn a_submitters_places_go_up_as_far_as_the_defaults_managers() {
    let policy = policy(
        r#"
[managers]
default = "ann@example.com"
employees = { "ann@example.com" = "cfo@example.com" }
[default]
stages = [{ reviewers = ["sue@example.com", "ann@example.com"], quorum = 2 }]
"#,
    );
    let stage = stages(&policy, &submission("", "", "5.00", "EUR"), &address("sue"));
    assert_eq!(names(&stage[0].reviewers), ["ann", "cfo"]);
}

#[test]
fn an_employee_id_that_is_somebody_elses_is_a_problem() {
    let policy = policy(
        r#"
[managers]
default = "hr@example.com"
departments = { Sales = "lead@example.com" }
[managers.employees]
"E-7" = "ann@example.com"
"E-8" = "bob@example.com"
"E-9" = "Bob+team@example.com"
"sue@example.com" = "bob@example.com"
[[rules]]
name = "Gifts"
when.type = "gift"
decision = "approve"
[default]
stages = [{ reviewers = ["manager"] }]
"#,
    );
    let route = |kind: &str, id: &str, email: &str| {
        let mut submission = submission(kind, "Sales", "5.00", "EUR");
        submission.submitter.as_mut().expect("there").employee_id = id.into();
        match policy.route(&submission, &email.parse().expect("an address")).route {
            Ok(Route::Stages { stages, .. }) => names(&stages[0].reviewers).join(" "),
            Ok(_) => "nobody".into(),
            Err(problems) => {
                problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
            }
        }
    };
    let problem = "$.submitter.employeeId: names somebody else than the e-mail address: in the \
                   rules, the manager of e-7 is ann@example.com, and that of sue@example.com is \
                   bob@example.com";
    assert_eq!(route("", " e-7", "sue@example.com"), problem);
    assert_eq!(route("gift", "e-7", "sue@example.com"), problem, "whatever is decided about it");
    let tagged = problem.replace("that of sue@", "that of sue+me@");
    assert_eq!(route("", "e-7", "sue+me@example.com"), tagged);
    assert_eq!(route("", "E-8", "sue@example.com"), "bob");
    assert_eq!(route("", "E-9", "sue+me@example.com"), "bob+team", "one person in two spellings");
    // What only one of the two names is no contradiction.
    assert_eq!(route("", "E-7", "cy@example.com"), "ann");
    assert_eq!(route("", "E-1", "sue@example.com"), "bob");
    assert_eq!(route("", "", "sue@example.com"), "bob");
    assert_eq!(route("", "E-1", "cy@example.com"), "lead");
}

#[test]
fn a_level_that_ends_earlier_links_keeps_those_whom_it_names() {
    let text = |quorum: &str, levels: &str| {
        format!(
            "[default]\n[[default.stages]]\nquorum = {quorum}\non_deadline = \"reject\"\n\
             reviewers = [\"a@example.com\", \"b@example.com\"]\ndeadline = \"5s\"\n\
             escalate = [{levels}]\n"
        )
    };
    let ends = |people: &str| format!("{{ reviewers = [{people}], keep_earlier = false }}");
    let ac = ends(r#""A+x@example.com", "c@example.com""#);
    for quorum in ["\"all\"", "2"] {
        let policy = policy(&text(quorum, &ac));
        let submission = submission("", "", "5.00", "EUR");
        let stage = stages(&policy, &submission, &address("sue")).remove(0);
        assert_eq!(names(&stage.escalations[0].reviewers), ["a+x", "c"]);
        let explained = policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH);
        let level = explained.split_once("without a decision then, ").expect("a level").1;
        let lines: Vec<&str> = level.lines().take(3).collect();
        assert_eq!(
            lines,
            ["only these can decide:", "  a@example.com", "  c@example.com"],
            "{explained}"
        );
    }
    // Whoever an earlier level has released is asked again.
    let again = format!("{}, {}", ends(r#""c@example.com""#), ends(r#""a@example.com""#));
    let policy = policy(&text("1", &again));
    let stage = stages(&policy, &submission("", "", "5.00", "EUR"), &address("sue")).remove(0);
    let levels: Vec<_> = stage.escalations.iter().map(|level| names(&level.reviewers)).collect();
    assert_eq!(levels, [["c"], ["a"]]);
    // Two are needed, and one would be left.
    let mistakes = found(&text("2", &ends(r#""c@example.com""#)));
    assert_eq!(mistakes[0].3, "2 approvals can never come from 1 person");
    let mistakes = found(&text("2", &ends(r#""a@example.com", "B@example.com""#)));
    assert_eq!(mistakes[0].3, "everybody here is asked before: this level asks nobody");
}

#[test]
fn people_are_told_apart_by_their_mailboxes_and_not_by_how_they_are_written() {
    let policy = policy(
        r#"
[managers]
default = "hr@example.com"
employees = { "Sue+Work@example.com" = "cfo@example.com" }
[[rules]]
name = "Sue's"
when.submitter = "sue+expenses@example.com"
[[rules.stages]]
reviewers = ["Sue+Boss@example.com", "ann@example.com"]
quorum = 2
[default]
decision = "reject"
"#,
    );
    let routed = |who: &str| {
        let submitter = format!("{who}@example.com").parse().expect("an address");
        match policy.route(&submission("", "", "5.00", "EUR"), &submitter).route {
            Ok(Route::Stages { stages, .. }) => names(&stages[0].reviewers).join(" "),
            route => format!("{route:?}"),
        }
    };
    assert_eq!(routed("sue"), "ann cfo");
    assert_eq!(routed("SUE+other"), "ann cfo");
    assert!(routed("sue.b").contains("Reject"));
    for (text, message) in [
        (
            "[groups]\ng = [\"ann@example.com\", \"Ann+x@example.com\"]\n",
            "ann+x@example.com, who is ann@example.com, is in this group already",
        ),
        (
            "[managers.employees]\n\"a+x@example.com\" = \"b@example.com\"\n\
             \"a@example.com\" = \"c@example.com\"\n",
            "\"a@example.com\" has a manager already",
        ),
        (
            "[managers.employees]\n\"a+x@example.com\" = \"a@example.com\"\n",
            "a@example.com would approve their own submissions",
        ),
        (
            "[managers.employees]\n\"a@example.com\" = \"b+x@example.com\"\n\
             \"b@example.com\" = \"a+y@example.com\"\n",
            "a@example.com would be above themselves, by way of b+x@example.com",
        ),
        (
            "[[absences]]\nreviewer = \"a@example.com\"\ndeputy = \"a+x@example.com\"\n\
             from = 2026-12-01\nto = 2026-12-02\n",
            "a+x@example.com cannot stand in for themselves",
        ),
        (
            "[[rules]]\nname = \"Own\"\nwhen.submitter = \"a@example.com\"\n\
             stages = [{ reviewers = [\"a+x@example.com\"] }]\n",
            "asks only a@example.com, who is the submitter",
        ),
        (
            "[[rules]]\nname = \"One\"\nwhen.submitter = \"a@example.com\"\ndecision = \"reject\"\n\
             [[rules]]\nname = \"Two\"\nwhen.submitter = \"a+x@example.com\"\ndecision = \"approve\"\n",
            "rule \"Two\" can never be reached",
        ),
    ] {
        let mistakes = found(&format!("{text}[default]\ndecision = \"reject\"\n"));
        assert_eq!(mistakes[0].3, message);
    }
}

#[test]
fn names_and_addresses_are_compared_as_people_read_them() {
    let policy = policy(
        r#"
[managers]
employees = { "Ann@München.example" = "boss@example.com" }
departments = { "Büro 2" = "office@example.com" }
[[rules]]
name = "Gifts"
when.type = "Größere Geschenke"
decision = "reject"
[default]
[[default.stages]]
reviewers = ["manager"]
"#,
    );
    let ann = "ann@xn--mnchen-3ya.example".parse().expect("an address");
    let asked = stages(&policy, &submission("", "", "5.00", "EUR"), &ann);
    assert_eq!(names(&asked[0].reviewers), ["boss"]);
    for department in ["BÜRO 2", "Bu\u{308}ro  2", "Bü\u{200b}ro 2"] {
        let asked = stages(&policy, &submission("", department, "5.00", "EUR"), &address("sue"));
        assert_eq!(names(&asked[0].reviewers), ["office"], "{department:?}");
    }
    for kind in [
        "größere geschenke",
        "Gro\u{308}ßere  Geschenke",
        "Größere Ge\u{2060}schenke",
        "GRÖSSERE GESCHENKE",
        "größere_geschenke",
    ] {
        let routed = policy.route(&submission(kind, "", "5.00", "EUR"), &address("sue"));
        assert!(matches!(routed.route, Ok(Route::Reject { .. })), "{kind:?}: {routed:?}");
    }
}

#[test]
fn names_match_however_a_system_writes_them() {
    let policy = policy(
        r#"
[managers]
departments = { "Außendienst" = "field@example.com", "R&D Support" = "lab@example.com" }
employees = { "E-1" = "one@example.com" }
[[rules]]
name = "Reports"
when.type = "expense_report"
when.category = ["Straße", "ΟΔΟΣ", "-"]
decision = "reject"
[[rules]]
name = "Lee"
when.submitter = "ann-lee@example.com"
decision = "approve"
[default]
[[default.stages]]
reviewers = ["manager", "hr@example.com"]
"#,
    );
    let rule = |kind: &str, category: &str, submitter: &str| {
        let mut submission = submission(kind, "", "5.00", "EUR");
        submission.document.as_mut().expect("there").category = category.into();
        policy.route(&submission, &address(submitter)).rule.name.clone()
    };
    for kind in [
        "expense_report",
        "Expense Report",
        "expense-report",
        "EXPENSE_REPORT",
        "expense  report",
        "Expense\u{2010}Report",
        "expense \u{2013} report",
        "_expense_report_",
        "expense\u{a0}report",
    ] {
        assert_eq!(rule(kind, "Straße", "sue"), "Reports", "{kind:?}");
    }
    for kind in ["expensereport", "expense.report", "expense_reports", "expense_report_2", ""] {
        assert_eq!(rule(kind, "Straße", "sue"), "default", "{kind:?}");
    }
    // All letters fold as Unicode has it, also those that become two, and a sigma at a word's end.
    for category in ["STRASSE", "strasse", "STRAẞE", "straße", "οδος", "οδοσ"] {
        assert_eq!(rule("expense_report", category, "sue"), "Reports", "{category:?}");
    }
    assert_eq!(rule("expense_report", "Strase", "sue"), "default");
    // A sign alone stays one, and is no missing category.
    assert_eq!(rule("expense_report", "-", "sue"), "Reports");
    assert_eq!(rule("expense_report", "", "sue"), "default");
    // Addresses are no names: these are two people.
    assert_eq!(rule("", "", "ann-lee"), "Lee");
    assert_eq!(rule("", "", "ann_lee"), "default");

    let managers = |department: &str, employee: &str| {
        let mut submission = submission("", department, "5.00", "EUR");
        submission.submitter.as_mut().expect("there").employee_id = employee.into();
        names(&stages_or_none(&policy, &submission)).join(" ")
    };
    for department in ["Außendienst", "AUSSENDIENST", "aussendienst", "Aussen\u{200b}dienst"] {
        assert_eq!(managers(department, ""), "field hr", "{department:?}");
    }
    for department in ["R&D-Support", "r&d_support"] {
        assert_eq!(managers(department, ""), "lab hr", "{department:?}");
    }
    assert_eq!(managers("", "e-1"), "one hr");
    assert_eq!(managers("", "e 1"), "", "an ID is no name");
}

/// Who is asked in the first stage; nobody where somebody has no manager.
fn stages_or_none(policy: &Policy, submission: &Submission) -> Vec<EmailAddress> {
    match policy.route(submission, &address("sue")).route {
        Ok(Route::Stages { mut stages, .. }) => stages.remove(0).reviewers,
        _ => Vec::new(),
    }
}

#[test]
fn two_departments_that_people_read_alike_are_one() {
    let text = "[managers.departments]\n\"Field Sales\" = \"a@example.com\"\n\
                \"field_sales\" = \"b@example.com\"\n[default]\ndecision = \"reject\"\n";
    let mistakes = found(text);
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert_eq!((mistakes[0].0, mistakes[0].1), (3, 1));
    assert_eq!(mistakes[0].3, "\"field_sales\" has a manager already");
}

#[test]
fn bounds_are_numbers_as_toml_writes_them_and_currencies_in_any_case() {
    let policy = policy(
        r#"
[[rules]]
name = "Small"
when.amount = { eur = { above = 0.5, up_to = +1_000.50 }, JPY = { up_to = 1e4 }, KWD = { up_to = 30.125 }, Usd = { up_to = "99.9" } }
decision = "approve"
[[rules]]
name = "Francs"
when.currency = "chf"
decision = "approve"
[default]
decision = "reject"
"#,
    );
    for (amount, currency, rule) in [
        ("1000.50", "EUR", "Small"),
        ("1000.51", "EUR", "default"),
        ("0.50", "EUR", "default"),
        ("10000", "JPY", "Small"),
        ("10001", "JPY", "default"),
        ("30.125", "KWD", "Small"),
        ("30.126", "KWD", "default"),
        ("99.90", "USD", "Small"),
        ("99.91", "USD", "default"),
        ("5.00", "CHF", "Francs"),
    ] {
        let submission = submission("", "", amount, currency);
        let found = &policy.route(&submission, &address("sue")).rule.name;
        assert_eq!(found, rule, "{amount} {currency}");
    }
}

#[test]
fn a_submitters_place_is_taken_by_who_is_above_them() {
    let policy = policy(MANAGED);
    let second = |email: &str| {
        let submission = submission("", "", "5.00", "EUR");
        stages(&policy, &submission, &address(email)).remove(1).reviewers
    };
    assert_eq!(names(&second("sue")), ["ann", "bob"]);
    assert_eq!(names(&second("ann")), ["bob", "cfo"]);
    assert_eq!(names(&second("bob")), ["ann", "hr"]);
}

#[test]
fn a_submission_that_only_its_submitter_could_approve_says_so() {
    let policy = policy(
        "[managers]\ndefault = \"hr@example.com\"\n[default]\nstages = [{ name = \"M\", reviewers = [\"manager\"] }]",
    );
    let routed = policy.route(&submission("", "", "5.00", "EUR"), &address("hr"));
    let problems = routed.route.expect_err("nobody");
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path, "$.submitter");
    assert_eq!(
        problems[0].message,
        "has no manager in the rules but themselves (rule \"default\", stage \"M\")"
    );
    let policy = self::policy(
        "[groups]\npair = [\"ann@example.com\", \"bob@example.com\"]\n[default]\nstages = [{ reviewers = [\"pair\"], quorum = 2 }]",
    );
    let routed = policy.route(&submission("", "", "5.00", "EUR"), &address("bob"));
    assert!(
        routed.route.expect_err("one is left")[0]
            .message
            .starts_with("leaves 1 to approve, of whom 2")
    );
}

/// Random numbers, the same at each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // Xorshift, by George Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }
}

const TYPES: [&str; 4] = ["a", "b", "c", ""];
const DEPARTMENTS: [&str; 4] = ["Sales", "IT", "Legal", ""];
// Without decimals, so that whole amounts are all there are.
const CURRENCIES: [&str; 4] = ["JPY", "KRW", "ISK", "EUR"];
const AMOUNTS: usize = 8;

/// A rule as its author meant it: what it matches is said a second time, apart from the product.
#[derive(Clone)]
struct Meant {
    types: Vec<usize>,
    department: Option<usize>,
    amount: Option<(usize, usize, usize)>,
    outcome: usize,
}

impl Meant {
    fn random(dice: &mut Dice) -> Self {
        let types = (0..3).filter(|_| dice.roll(3) == 0).collect();
        let department = (dice.roll(2) == 0).then(|| dice.roll(3));
        let low = dice.roll(AMOUNTS - 1);
        let amount =
            (dice.roll(3) > 0).then(|| (dice.roll(3), low, low + dice.roll(AMOUNTS - low)));
        Self { types, department, amount, outcome: dice.roll(4) }
    }

    fn matches(&self, kind: usize, department: usize, currency: usize, amount: usize) -> bool {
        (self.types.is_empty() || self.types.contains(&kind))
            && self.department.is_none_or(|known| known == department)
            && self
                .amount
                .is_none_or(|(known, from, to)| known == currency && from <= amount && amount <= to)
    }

    fn toml(&self, name: usize) -> String {
        let mut toml = format!("[[rules]]\nname = \"{name}\"\n");
        if !self.types.is_empty() {
            let types: Vec<&str> = self.types.iter().map(|kind| TYPES[*kind]).collect();
            toml += &format!("when.type = {types:?}\n");
        }
        if let Some(department) = self.department {
            toml += &format!("when.department = {:?}\n", DEPARTMENTS[department]);
        }
        if let Some((currency, from, to)) = self.amount {
            // Every way of writing the same range comes up.
            let low = match from {
                0 => String::new(),
                from if to % 2 == 0 => format!("from = {from}, "),
                from => format!("above = {}, ", from - 1),
            };
            let high = match from % 2 {
                0 => format!("up_to = {to}"),
                _ => format!("below = {}", to + 1),
            };
            toml += &format!("when.amount.{} = {{ {low}{high} }}\n", CURRENCIES[currency]);
        }
        toml + match self.outcome {
            0 => "decision = \"approve\"\n",
            1 => "decision = \"reject\"\n",
            2 => {
                "stages = [{ reviewers = [\"manager\"], escalate = [{ reviewers = [\"manager's manager\"] }, { reviewers = [\"board\"] }] }]\n"
            }
            _ => {
                "stages = [{ reviewers = [\"board\"], quorum = 2 }, { reviewers = [\"board\", \"manager\"], quorum = \"all\" }]\n"
            }
        }
    }
}

const PEOPLE: &str = "[groups]\nboard = [\"p0@example.com\", \"p1@example.com\", \"p2@example.com\"]\n\
    [managers]\ndefault = \"p0@example.com\"\n\
    employees = { \"p0@example.com\" = \"p1@example.com\", \"p3@example.com\" = \"p2@example.com\" }\n\
    departments = { Sales = \"p3@example.com\" }\n[default]\ndecision = \"reject\"\n";

#[test]
fn every_one_of_100_000_submissions_has_exactly_one_route_and_nobody_approves_their_own() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut routed = 0;
    let (mut refused, mut reached) = (0, BTreeSet::new());
    while routed < 100_000 {
        let mut rules: Vec<Meant> = Vec::new();
        let mut toml = PEOPLE.to_owned();
        let mut policy = self::policy(&toml);
        for _ in 0..1 + dice.roll(8) {
            let rule = Meant::random(&mut dice);
            let longer = format!("{toml}{}", rule.toml(rules.len()));
            match parse(&longer) {
                Ok(valid) => {
                    policy = valid;
                    toml = longer;
                    rules.push(rule);
                }
                Err(_) => refused += 1,
            }
        }
        for _ in 0..500 {
            let (kind, department) = (dice.roll(4), dice.roll(4));
            let (currency, amount) = (dice.roll(4), dice.roll(AMOUNTS));
            let submitter = address(&format!("p{}", dice.roll(6)));
            let amount_text =
                if currency == 3 { format!("{amount}.00") } else { amount.to_string() };
            let submission = submission(
                TYPES[kind],
                DEPARTMENTS[department],
                &amount_text,
                CURRENCIES[currency],
            );
            let Routed { rule, route } = policy.route(&submission, &submitter);
            let first =
                rules.iter().position(|rule| rule.matches(kind, department, currency, amount));
            let expected = first.map_or("default".to_owned(), |rule| rule.to_string());
            assert_eq!(rule.name, expected, "{submission:?}\n{toml}");
            let outcome = first.map_or(1, |rule| rules[rule].outcome);
            reached.insert(outcome);
            match route.expect("somebody is always above somebody here") {
                Route::Approve { .. } => assert_eq!(outcome, 0),
                Route::Reject { .. } => assert_eq!(outcome, 1),
                Route::Stages { stages, .. } => {
                    assert!(outcome >= 2 && !stages.is_empty());
                    stages.iter().for_each(|stage| sound(stage, &submitter));
                }
            }
            routed += 1;
        }
    }
    assert!(refused > 0 && reached.len() == 4, "{refused} {reached:?}");
}

/// Nobody twice, never the submitter, and every quorum in reach.
fn sound(stage: &StageRule, submitter: &EmailAddress) {
    let mut asked: BTreeSet<&EmailAddress> = BTreeSet::new();
    for level in 0..=stage.escalations.len() {
        let (people, _) = stage.level(level).expect("a level");
        let once: BTreeSet<_> = people.iter().collect();
        assert!(!once.contains(submitter) && once.len() == people.len(), "{stage:?}");
        assert!(!once.is_subset(&asked), "somebody new: {stage:?}");
        asked.extend(once);
    }
    assert!(stage.quorum.approvals(stage.reviewers.len()) <= stage.reviewers.len(), "{stage:?}");
}

#[test]
fn a_rule_is_unreachable_just_when_no_submission_reaches_it() {
    let mut dice = Dice(0x2545_F491_4F6C_DD1D);
    let (mut reachable, mut unreachable) = (0, 0);
    for _ in 0..400 {
        let rules: Vec<Meant> = (0..2 + dice.roll(6)).map(|_| Meant::random(&mut dice)).collect();
        let rules: Vec<Meant> = rules
            .into_iter()
            .filter(|rule| {
                !rule.types.is_empty() || rule.department.is_some() || rule.amount.is_some()
            })
            .collect();
        let toml: String = rules.iter().enumerate().map(|(i, rule)| rule.toml(i)).collect();
        let toml = format!("{PEOPLE}{toml}");
        let reported: BTreeSet<String> = parse(&toml)
            .err()
            .iter()
            .flat_map(|mistakes| mistakes.iter().map(|mistake| mistake.message.clone()))
            .collect();
        let mut reached = BTreeSet::new();
        for (kind, department, currency, amount) in every_submission() {
            let matches = |rule: &Meant| rule.matches(kind, department, currency, amount);
            reached.extend(rules.iter().position(matches));
        }
        let expected: BTreeSet<String> = (0..rules.len())
            .filter(|rule| !reached.contains(rule))
            .map(|rule| format!("rule \"{rule}\" can never be reached"))
            .collect();
        reachable += reached.len();
        unreachable += expected.len();
        assert_eq!(reported, expected, "{toml}");
    }
    assert!(reachable > 500 && unreachable > 50, "{reachable} {unreachable}");
}

fn every_submission() -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..4 * 4 * 4 * (AMOUNTS + 1)).map(|i| (i % 4, i / 4 % 4, i / 16 % 4, i / 64))
}

#[test]
fn the_example_covers_a_company() {
    let text = include_str!("../../../examples/policy.toml");
    let holidays = include_str!("../../../examples/holidays.ics");
    let policy = Policy::parse(text, "policy.toml", |_| Ok(holidays.to_owned()))
        .unwrap_or_else(|wrong| panic!("{wrong}"));
    let calendar = policy.calendar();
    for (date, works) in [
        ("2026-12-23", true),
        ("2026-12-24", false),
        ("2026-12-29", false),
        ("2026-12-31", false),
        ("2027-12-24", false),
        ("2026-07-10", true),
    ] {
        assert_eq!(calendar.is_working_day(date.parse().expect("a date")), works, "{date}");
    }
    let mut contract = submission("contract", "Facilities", "48600.00", "EUR");
    contract.submitter.as_mut().expect("there").employee_id = "E-1904".into();
    let stages = stages(&policy, &contract, &address("amira.haddad"));
    assert_eq!(stages[1].escalations.len(), 3);
    assert_eq!(stages[1].on_deadline, OnDeadline::Reject);
    assert_eq!(stages[0].quorum, Quorum::Any);
    let at: Timestamp = "2026-11-24T08:00:00Z".parse().expect("a time");
    assert!(policy.absences_for(&stages, at).is_empty());
    assert!(policy.calendar_for(&stages, &[], at).is_some());
}

/// Who was released can stand in again, and a level in which all are asked already takes no time.
#[test]
fn the_levels_are_explained_as_the_workflow_asks_them() {
    let policy = policy(
        r#"
[default]
[[default.stages]]
reviewers = ["ann@example.com"]
deadline = "1 day"
on_deadline = "reject"
escalate = [
    { reviewers = ["dep@example.com"], deadline = "5 days" },
    { reviewers = ["cfo@example.com"], deadline = "1 day", keep_earlier = false },
    { reviewers = ["boss@example.com"], deadline = "1 day" },
]
[[absences]]
reviewer = "ann@example.com"
deputy = "dep@example.com"
from = 2026-12-01
to = 2026-12-31
[[absences]]
reviewer = "boss@example.com"
deputy = "dep@example.com"
from = 2026-12-01
to = 2026-12-31
"#,
    );
    let at: Timestamp = "2026-12-01T12:00:00Z".parse().expect("a time");
    let explained = policy.explain(&submission("", "", "5.00", "EUR"), &address("sue"), at);
    let stage = explained.split_once("Stage 1").expect("a stage").1;
    assert_eq!(
        stage,
        r#", "Stage 1": the first decision counts
  dep@example.com for ann@example.com, who is away on 2026-12-01
    until Wednesday, 2 December 2026, 12:00 UTC (1 day)
  the next level is left out: all of it are asked already
  without a decision then, earlier links end, and these are asked:
  cfo@example.com
    until Thursday, 3 December 2026, 12:00 UTC (1 day)
  without a decision then, earlier links stay valid, and these are asked:
  dep@example.com for boss@example.com, who is away on 2026-12-03
    until Friday, 4 December 2026, 12:00 UTC (1 day)
  without a decision then, it is rejected

"#
    );
}

#[test]
fn what_the_last_deadline_does_is_explained() {
    let explained = |on_deadline: &str| {
        let policy = policy(&format!(
            "[default]\nstages = [{{ reviewers = [\"a@example.com\", \"b@example.com\"], quorum = 2, \
             on_deadline = \"{on_deadline}\" }}]\n"
        ));
        let submission = submission("", "", "5.00", "EUR");
        let text = policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH);
        text.trim_end().lines().last().unwrap_or_default().to_owned()
    };
    let end = "  without a decision then, it ";
    assert_eq!(explained("expire"), format!("{end}expires"));
    assert_eq!(explained("reject"), format!("{end}is rejected"));
    assert_eq!(explained("approve"), format!("{end}is approved unless somebody has rejected it"));
}

/// Each of them twice would be 2^40 ways to go through.
#[test]
fn a_long_chain_of_deputies_that_is_there_twice_is_reported_soon() {
    let absence = |i: usize| {
        format!(
            "[[absences]]\nreviewer = \"p{i}@example.com\"\ndeputy = \"p{}@example.com\"\n\
             from = 2026-12-01\nto = 2026-12-02\n",
            i + 1
        )
    };
    let chain: String = (0..40).rev().map(absence).collect();
    let Err(mistakes) = parse(&format!("[default]\ndecision = \"approve\"\n{chain}{chain}")) else {
        panic!("no mistakes")
    };
    let away = |mistake: &&Mistake| mistake.message.contains("is away on some of these days");
    assert_eq!(mistakes.iter().filter(away).count(), 40);
}

#[test]
fn what_goes_on_is_explained_with_its_namespace() {
    let policy = policy(
        r#"
[default]
decision = "approve"
on_approved = { workflow = "Pay", task_queue = "payments", namespace = "finance" }
"#,
    );
    let explained =
        policy.explain(&submission("", "", "5.00", "EUR"), &address("sue"), Timestamp::UNIX_EPOCH);
    let last = "Once approved: workflow Pay on task queue payments, in the namespace finance\n";
    assert!(explained.ends_with(last), "{explained}");
}

proptest::proptest! {
    /// Broken rules are reported, whatever is wrong with them.
    #[test]
    fn no_damage_to_a_file_is_more_than_mistakes(
        cuts in proptest::collection::vec((0..VALID.len(), 0..12_usize, "[\\[\\]{}\"'=.,#\\n a1\u{e9}-]{0,3}"), 1..6)
    ) {
        let mut text = VALID.to_owned();
        for (at, length, inserted) in cuts {
            let at = at.min(text.len());
            if let Some(cut) = text.get(at..(at + length).min(text.len())) {
                let end = at + cut.len();
                text.replace_range(at..end, &inserted);
            }
        }
        if let Err(mistakes) = parse(&text) {
            proptest::prop_assert!(mistakes.iter().count() > 0, "{text}");
            let rendered = mistakes.render(true);
            for mistake in mistakes.iter() {
                proptest::prop_assert!(rendered.contains(mistake.message.lines().next().unwrap_or("")));
                proptest::prop_assert!(text.get(mistake.span.clone()).is_some(), "{mistake:?}");
            }
        }
    }
}
