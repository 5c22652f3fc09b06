use std::collections::BTreeSet;

use countersign_protos::{
    Json,
    v1::{Action, Document, Field, Submission, Submitter},
};
use jiff::Timestamp;

use super::{
    file::tests::{VALID, found, parse, policy},
    *,
};
use crate::{
    approval::{EmailAddress, OnDeadline, Operators, Quorum, Verdict},
    testing::address,
};

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

fn stages(policy: &Policy, submission: &Submission, submitter: &EmailAddress) -> Vec<PlannedStage> {
    match policy.route(submission, submitter).route {
        Ok(Route::Stages(stages)) => stages,
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
    let read: Vec<PlannedStage> = serde_json::from_str(&recorded).expect("stages");
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
            Ok(Route::Stages(stages)) => names(&stages[0].reviewers).join(" "),
            Ok(_) => "nobody".into(),
            Err(problems) => {
                problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
            }
        }
    };
    let problem = "$.submitter.employeeId: belongs to somebody other than the e-mail address: in the \
                   rules, the manager of e-7 is ann@example.com, and that of sue@example.com is \
                   bob@example.com";
    assert_eq!(route("", " e-7", "sue@example.com"), problem);
    assert_eq!(route("gift", "e-7", "sue@example.com"), problem, "whatever is decided about it");
    let tagged = problem.replace("that of sue@", "that of sue+me@");
    assert_eq!(route("", "e-7", "sue+me@example.com"), tagged);
    assert_eq!(route("", "E-8", "sue@example.com"), "bob");
    assert_eq!(route("", "E-9", "sue+me@example.com"), "bob+team", "one person in two spellings");
    // A name that only one of them gives contradicts nothing.
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
        let explained =
            policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string();
        let level = explained.split_once("without a decision then, ").expect("a level").1;
        let lines: Vec<&str> = level.lines().take(3).collect();
        assert_eq!(
            lines,
            ["only these can decide:", "  a@example.com", "  c@example.com"],
            "{explained}"
        );
    }
    // Whoever an earlier level has superseded is asked again.
    let again = format!("{}, {}", ends(r#""c@example.com""#), ends(r#""a@example.com""#));
    let policy = policy(&text("1", &again));
    let stage = stages(&policy, &submission("", "", "5.00", "EUR"), &address("sue")).remove(0);
    let levels: Vec<_> = stage.escalations.iter().map(|level| names(&level.reviewers)).collect();
    assert_eq!(levels, [["c"], ["a"]]);
    // Two are needed, and one would be left.
    let diagnostics = found(&text("2", &ends(r#""c@example.com""#)));
    assert_eq!(diagnostics[0].3, "2 approvals can never come from 1 person");
    let diagnostics = found(&text("2", &ends(r#""a@example.com", "B@example.com""#)));
    assert_eq!(diagnostics[0].3, "this level asks nobody new");
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
            Ok(Route::Stages(stages)) => names(&stages[0].reviewers).join(" "),
            route => format!("{route:?}"),
        }
    };
    assert_eq!(routed("sue"), "ann cfo");
    assert_eq!(routed("SUE+other"), "ann cfo");
    assert!(routed("sue.b").contains("Reject"));
    for (text, message) in [
        (
            "[groups]\ng = [\"ann@example.com\", \"Ann+x@example.com\"]\n",
            "ann+x@example.com, who is ann@example.com, is already in this group",
        ),
        (
            "[managers.employees]\n\"a+x@example.com\" = \"b@example.com\"\n\
             \"a@example.com\" = \"c@example.com\"\n",
            "\"a@example.com\" already has a manager",
        ),
        (
            "[managers.employees]\n\"a+x@example.com\" = \"a@example.com\"\n",
            "a@example.com would approve their own submissions",
        ),
        (
            "[managers.employees]\n\"a@example.com\" = \"b+x@example.com\"\n\
             \"b@example.com\" = \"a+y@example.com\"\n",
            "a@example.com would be above themselves, through b+x@example.com",
        ),
        (
            "[[absences]]\nreviewer = \"a@example.com\"\ndeputy = \"a+x@example.com\"\n\
             from = 2026-12-01\nto = 2026-12-02\n",
            "a+x@example.com cannot be their own deputy",
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
        let diagnostics = found(&format!("{text}[default]\ndecision = \"reject\"\n"));
        assert_eq!(diagnostics[0].3, message);
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
        assert!(
            matches!(routed.route, Ok(Route::Decided(Verdict::Reject))),
            "{kind:?}: {routed:?}"
        );
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
    // Punctuation alone is a category too.
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
    assert_eq!(managers("", "e 1"), "", "IDs do not match as names do");
}

/// Who is asked in the first stage; nobody where somebody has no manager.
fn stages_or_none(policy: &Policy, submission: &Submission) -> Vec<EmailAddress> {
    match policy.route(submission, &address("sue")).route {
        Ok(Route::Stages(mut stages)) => stages.remove(0).reviewers,
        _ => Vec::new(),
    }
}

#[test]
fn two_departments_that_people_read_alike_are_one() {
    let text = "[managers.departments]\n\"Field Sales\" = \"a@example.com\"\n\
                \"field_sales\" = \"b@example.com\"\n[default]\ndecision = \"reject\"\n";
    let diagnostics = found(text);
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    assert_eq!((diagnostics[0].0, diagnostics[0].1), (3, 1));
    assert_eq!(diagnostics[0].3, "\"field_sales\" already has a manager");
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
fn where_different_people_are_asked_who_is_in_two_stages_is_asked_in_the_first() {
    let rule = |different: bool, first: &str, second: &str, managers: &str| {
        format!(
            "{managers}[default]\nname = \"Four eyes\"\ndifferent_people = {different}\n\
             stages = [{{ {first} }}, {{ {second} }}]\n"
        )
    };
    let asked = |text: &str| -> Vec<Vec<String>> {
        let stages = stages(&policy(text), &submission("", "", "5", "EUR"), &address("sue"));
        let stages = stages.iter().map(|stage| names(&stage.reviewers));
        stages.map(|names| names.into_iter().map(str::to_owned).collect()).collect()
    };
    let (ann_bob, bob_cy) = (
        "reviewers = [\"ann@example.com\", \"bob@example.com\"]",
        "reviewers = [\"Bob+x@example.com\", \"cy@example.com\"]",
    );
    assert_eq!(asked(&rule(true, ann_bob, bob_cy, "")), [vec!["ann", "bob"], vec!["cy"]]);
    let explained = |different: bool| {
        let policy = policy(&rule(different, ann_bob, bob_cy, ""));
        let submission = submission("", "", "5", "EUR");
        let text = policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string();
        text.contains("One person decides at most one of these stages.")
    };
    assert!(explained(true) && !explained(false));
    let both = vec![vec!["ann", "bob"], vec!["bob+x", "cy"]];
    assert_eq!(asked(&rule(false, ann_bob, bob_cy, "")), both);
    // Those who would be asked later in the first stage, too.
    let escalating = format!("reviewers = [\"ann@example.com\"], escalate = [{{ {bob_cy} }}]");
    let dee = "reviewers = [\"cy@example.com\", \"dee@example.com\"]";
    assert_eq!(asked(&rule(true, &escalating, dee, "")), [vec!["ann"], vec!["dee"]]);
    // Who is above takes the place.
    let managers = "[managers]\ndefault = \"boss@example.com\"\n[managers.employees]\n\
                    \"boss@example.com\" = \"chief@example.com\"\n";
    let manager = "reviewers = [\"manager\"]";
    assert_eq!(asked(&rule(true, manager, manager, managers)), [vec!["boss"], vec!["chief"]]);
    let all = "reviewers = [\"boss@example.com\", \"chief@example.com\"], quorum = 2";
    let policy = policy(&rule(true, all, manager, managers));
    let route = policy.route(&submission("", "", "5", "EUR"), &address("sue")).route;
    let problems = route.expect_err("nobody is left for the second stage");
    assert_eq!(
        problems[0].message,
        "leaves 0 of the 1 approvers needed: nobody approves their own submission or decides two \
         stages of this rule, and the rules have no manager above them (rule \"Four eyes\", stage \
         \"Stage 2\")"
    );
    for (second, message) in [
        (ann_bob, "asks only people who are asked in a stage before"),
        (
            "quorum = 2, reviewers = [\"bob@example.com\", \"cy@example.com\"]",
            "leaves 1 of the 2 approvers needed: the others are asked in a stage before",
        ),
    ] {
        let found = found(&rule(true, ann_bob, second, ""));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].0, found[0].3.as_str()), (4, message));
        assert!(parse(&rule(false, ann_bob, second, "")).is_ok());
    }
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
        "has no manager in the rules other than themselves (rule \"default\", stage \"M\")"
    );
    let policy = self::policy(
        "[groups]\npair = [\"ann@example.com\", \"bob@example.com\"]\n[default]\nstages = [{ reviewers = [\"pair\"], quorum = 2 }]",
    );
    let routed = policy.route(&submission("", "", "5.00", "EUR"), &address("bob"));
    assert!(
        routed.route.expect_err("one is left")[0]
            .message
            .starts_with("leaves 1 of the 2 approvers needed")
    );
}

/// Random numbers, the same at each run.
struct Rng(u64);

impl Rng {
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
struct Intended {
    types: Vec<usize>,
    department: Option<usize>,
    amount: Option<(usize, usize, usize)>,
    outcome: usize,
}

impl Intended {
    fn random(rng: &mut Rng) -> Self {
        let types = (0..3).filter(|_| rng.roll(3) == 0).collect();
        let department = (rng.roll(2) == 0).then(|| rng.roll(3));
        let low = rng.roll(AMOUNTS - 1);
        let amount = (rng.roll(3) > 0).then(|| (rng.roll(3), low, low + rng.roll(AMOUNTS - low)));
        Self { types, department, amount, outcome: rng.roll(4) }
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
    let mut rng = Rng(0x9E37_79B9_7F4A_7C15);
    let mut routed = 0;
    let (mut refused, mut reached) = (0, BTreeSet::new());
    while routed < 100_000 {
        let mut rules: Vec<Intended> = Vec::new();
        let mut toml = PEOPLE.to_owned();
        let mut policy = self::policy(&toml);
        for _ in 0..1 + rng.roll(8) {
            let rule = Intended::random(&mut rng);
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
            let (kind, department) = (rng.roll(4), rng.roll(4));
            let (currency, amount) = (rng.roll(4), rng.roll(AMOUNTS));
            let submitter = address(&format!("p{}", rng.roll(6)));
            let amount_text =
                if currency == 3 { format!("{amount}.00") } else { amount.to_string() };
            let submission = submission(
                TYPES[kind],
                DEPARTMENTS[department],
                &amount_text,
                CURRENCIES[currency],
            );
            let Routed { rule, route, .. } = policy.route(&submission, &submitter);
            let first =
                rules.iter().position(|rule| rule.matches(kind, department, currency, amount));
            let expected = first.map_or("default".to_owned(), |rule| rule.to_string());
            assert_eq!(rule.name, expected, "{submission:?}\n{toml}");
            let outcome = first.map_or(1, |rule| rules[rule].outcome);
            reached.insert(outcome);
            match route.expect("somebody is always above somebody here") {
                Route::Decided(Verdict::Approve) => assert_eq!(outcome, 0),
                Route::Decided(Verdict::Reject) => assert_eq!(outcome, 1),
                Route::Decided(Verdict::RequestChanges) => panic!("no rule sends back"),
                Route::Stages(stages) => {
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
fn sound(stage: &PlannedStage, submitter: &EmailAddress) {
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
    let mut rng = Rng(0x2545_F491_4F6C_DD1D);
    let (mut reachable, mut unreachable) = (0, 0);
    for _ in 0..400 {
        let rules: Vec<Intended> =
            (0..2 + rng.roll(6)).map(|_| Intended::random(&mut rng)).collect();
        let rules: Vec<Intended> = rules
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
            .flat_map(|diagnostics| diagnostics.iter().map(|diagnostic| diagnostic.message.clone()))
            .collect();
        let mut reached = BTreeSet::new();
        for (kind, department, currency, amount) in every_submission() {
            let matches = |rule: &Intended| rule.matches(kind, department, currency, amount);
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
    let domains = Some(vec!["example.com".to_owned()]);
    let allowed = Operators { may_decide: true, may_reassign_to: domains, ..Operators::BY_RULES };
    assert_eq!(policy.operators(), &allowed);
    let (before, _) = text.split_once("\n[operators]\n").expect("what operators may do");
    assert!(before.lines().next_back().is_some_and(|line| line.starts_with("# ")), "and why");
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
    assert!(policy.calendar_for(&stages, Wait::default(), &[], at).is_some());
}

/// Who was superseded can stand in again, and a level in which all are asked already takes no time.
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
    let explained =
        policy.explain(&submission("", "", "5.00", "EUR"), &address("sue"), at).to_string();
    let stage = explained.split_once("Stage 1").expect("a stage").1;
    assert_eq!(
        stage,
        r#", "Stage 1": the first decision counts
  dep@example.com for ann@example.com, who is away on 2026-12-01
    until Wednesday, 2 December 2026, 12:00 UTC (1 day)
  the next level is skipped: everybody in it is already asked
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
fn who_is_away_without_a_deputy_is_left_out_and_explained() {
    let rules = |absent: &str| {
        policy(&format!(
            "[managers]\ndefault = \"ann@example.com\"\n\
             [[absences]]\nreviewer = \"{absent}@example.com\"\nfrom = 1969-12-31\nto = 1970-01-02\n\
             [[rules]]\nname = \"Manager\"\nwhen.type = \"expense\"\n\
             stages = [{{ reviewers = [\"manager\"] }}]\n\
             [default]\n[[default.stages]]\nname = \"Two\"\nquorum = \"all\"\n\
             reviewers = [\"ann@example.com\", \"bob@example.com\"]\n\
             escalate = [{{ reviewers = [\"manager\", \"cy@example.com\"], keep_earlier = false }}]\n"
        ))
    };
    let explained = |rules: &Policy, kind: &str| {
        let submission = submission(kind, "", "5.00", "EUR");
        rules.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string()
    };
    let without_bob = rules("bob");
    let text = explained(&without_bob, "");
    let asked = "all have to approve\n  not bob@example.com, who is away on 1970-01-01 without a \
                 deputy\n  ann@example.com\n    until";
    assert!(text.contains(asked), "{text}");
    assert_eq!(without_bob.nobody_left(&without_bob.default, &[], Timestamp::UNIX_EPOCH), None);
    // Nobody but the manager may decide, and the manager is away.
    let text = explained(&rules("ann"), "expense");
    let why = "It cannot be decided:\n  $.submitter nobody is left on 1970-01-01: ann@example.com is \
               away without a deputy (rule \"Manager\", stage \"Stage 1\")\n";
    assert!(text.ends_with(why), "{text}");
}

#[test]
fn what_the_last_deadline_does_is_explained() {
    let explained = |on_deadline: &str| {
        let policy = policy(&format!(
            "[default]\nstages = [{{ reviewers = [\"a@example.com\", \"b@example.com\"], quorum = 2, \
             on_deadline = \"{on_deadline}\" }}]\n"
        ));
        let submission = submission("", "", "5.00", "EUR");
        let text = policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string();
        text.trim_end().lines().last().unwrap_or_default().to_owned()
    };
    let end = "  without a decision then, it ";
    assert_eq!(explained("expire"), format!("{end}expires"));
    assert_eq!(explained("reject"), format!("{end}is rejected"));
    assert_eq!(explained("approve"), format!("{end}is approved unless somebody has rejected it"));
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
    let explained = policy
        .explain(&submission("", "", "5.00", "EUR"), &address("sue"), Timestamp::UNIX_EPOCH)
        .to_string();
    let last = "Once approved: workflow Pay on task queue payments, in the namespace finance\n";
    assert!(explained.ends_with(last), "{explained}");
}

#[test]
fn a_fallback_is_planned_last_and_explained_and_the_submitter_is_told_where_the_rule_says_so() {
    let text = r#"
[default]
name = "Everything"
tell_submitter = true
[[default.stages]]
name = "Manager"
reviewers = ["ann@example.com"]
deadline = "2 days"
escalate = [{ reviewers = ["coo@example.com"], deadline = "1 day" }]
fallback = ["sue@example.com", "cfo@example.com"]
"#;
    let (policy, asked) = (policy(text), submission("", "", "5.00", "EUR"));
    assert!(policy.route(&asked, &address("sue")).rule.tell_submitter);
    let stages = stages(&policy, &asked, &address("sue"));
    let [coo, fallback] = &stages[0].escalations[..] else { panic!("{stages:?}") };
    assert!(!coo.fallback && fallback.fallback && !fallback.keep_earlier, "{stages:?}");
    assert_eq!(names(&fallback.reviewers), ["cfo"], "never the submitter");
    assert_eq!(fallback.time, stages[0].time, "they have as long");
    let recorded = serde_json::to_string(&stages).expect("JSON");
    let read: Vec<PlannedStage> = serde_json::from_str(&recorded).expect("stages");
    assert_eq!(read, stages);
    let explained = policy.explain(&asked, &address("sue"), Timestamp::UNIX_EPOCH).to_string();
    for line in [
        "sue@example.com gets a mail when people are first asked.\n",
        "  if mail reaches nobody, these are asked: cfo@example.com\n",
        "  without a decision then, it expires\n",
    ] {
        assert!(explained.contains(line), "{explained}");
    }
}

#[test]
fn the_longest_wait_is_that_of_all_levels_and_stages_of_a_rule_and_of_changes() {
    let text = r#"
[[rules]]
name = "None"
when.type = "gift"
decision = "reject"

[[rules]]
name = "Long"
when.type = "purchase"
changes_within = "36 hours"

[[rules.stages]]
reviewers = ["ann@example.com"]
deadline = "2 days"
escalate = [{ reviewers = ["coo@example.com"], deadline = "1 day" }]

[[rules.stages]]
reviewers = ["bob@example.com"]
deadline = "3 days"

[default]
changes_within = "1 day"
stages = [{ reviewers = ["ann@example.com"], deadline = "5 days" }]
"#;
    let hours = |text: &str| policy(text).longest_wait(Timestamp::UNIX_EPOCH).as_hours();
    assert_eq!(hours(text), 6 * 24 + 36);
    assert_eq!(hours(&text.replace("\"5 days\"", "\"9 days\"")), 10 * 24);
}

#[test]
fn which_verdicts_need_a_comment_is_explained() {
    for (required, explained) in [
        ("[\"reject\"]", "A comment is required to reject."),
        ("\"approve\"", "A comment is required to approve."),
        ("[]", ""),
    ] {
        let policy = policy(&format!(
            "[default]\ncomment_required = {required}\n\
             stages = [{{ reviewers = [\"ann@example.com\"] }}]\n"
        ));
        let submission = submission("", "", "5.00", "EUR");
        let text = policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string();
        let said: String =
            text.lines().filter(|line| line.contains("comment is required")).collect();
        assert_eq!(said, explained, "{text}");
    }
}

#[test]
fn to_whom_reviewers_may_delegate_is_explained() {
    for (domains, explained) in [
        ("[\"Example.com\", \"bücher.example\"]", "of example.com, xn--bcher-kva.example."),
        ("\"example.com\"", "of example.com."),
        ("[]", ""),
    ] {
        let policy = policy(&format!(
            "[default]\ndelegate_to = {domains}\n\
             stages = [{{ reviewers = [\"ann@example.com\"] }}]\n"
        ));
        let submission = submission("", "", "5.00", "EUR");
        let text = policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string();
        let said: String = text.lines().filter(|line| line.contains("colleagues")).collect();
        assert!(said.ends_with(explained) && said.is_empty() == explained.is_empty(), "{text}");
    }
}

#[test]
fn what_is_filled_in_is_explained() {
    let policy = policy(
        "[default]\nfields = [{ name = \"until\", label = \"Until\", type = \"date\", required_for = \"approve\" },\n\
         { name = \"role\", label = \"Role\", type = \"choice\", choices = [\"a\", \"b\"], required_for = [\"approve\", \"reject\"] }]\n\
         stages = [{ reviewers = [\"ann@example.com\"] }]\n",
    );
    let mut submission = submission("", "", "5.00", "EUR");
    let own = Field {
        name: "ok".into(),
        label: "OK?".into(),
        r#type: "yes_no".into(),
        ..Field::default()
    };
    submission.fields = vec![own];
    let explain = |submission: &Submission| {
        policy.explain(submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string()
    };
    let text = explain(&submission);
    let said = "\nThose who decide fill in:\n  \"Until\" (until): date, required to approve\n  \
                \"Role\" (role): choice of a, b, required to approve and reject\n  \
                \"OK?\" (ok): yes or no; of the submission\n";
    assert!(text.contains(said), "{text}");
    submission.fields[0].name = "until".into();
    let text = explain(&submission);
    let refused = "It cannot be decided:\n  $.fields[0].name is a field of the rule";
    assert!(text.contains(refused), "{text}");
}

#[test]
fn that_decisions_are_confirmed_is_explained() {
    for (confirm, explained) in [("true", true), ("false", false)] {
        let policy = policy(&format!(
            "[default]\nconfirm = {confirm}\nstages = [{{ reviewers = [\"ann@example.com\"] }}]\n"
        ));
        let submission = submission("", "", "5.00", "EUR");
        let text = policy.explain(&submission, &address("sue"), Timestamp::UNIX_EPOCH).to_string();
        let said = text.contains("\n\nEach decision is confirmed on a second page.\n");
        assert_eq!(said, explained, "{text}");
    }
}

/// A submission without an amount, for this action.
fn calling(name: &str, risk: &str, arguments: serde_json::Value) -> Submission {
    let action = Action {
        name: name.into(),
        risk: risk.into(),
        arguments: Some(Json::from(&arguments)),
        ..Action::default()
    };
    let mut submission = submission("tool_call", "", "", "");
    submission.document.as_mut().expect("there").action = Some(action);
    submission
}

const CALLS: &str = r#"
[[rules]]
name = "Cheap"
when.amount = { EUR = { up_to = 100 } }
decision = "approve"
[[rules]]
name = "Large refunds"
when.action = ["payments.refund", "payments.payout"]
when.arguments."/amount" = { above = 100, up_to = 5_000.5 }
decision = "reject"
[[rules]]
name = "Live"
when.arguments."/env" = ["production", "staging"]
when.arguments."/steps/0/dry~1run" = false
when.arguments."/replicas" = [1, 2.5]
decision = "reject"
[[rules]]
name = "Risky"
when.risk = "very high"
decision = "reject"
[[rules]]
name = "Money"
when.currency = "EUR"
decision = "reject"
[default]
decision = "approve"
"#;

#[test]
fn a_rule_matches_an_action_its_risk_and_its_arguments() {
    use serde_json::json;
    let policy = policy(CALLS);
    let live = |env: &str, dry_run: serde_json::Value, replicas: serde_json::Value| {
        calling(
            "deploy",
            "",
            json!({"env": env, "steps": [{"dry/run": dry_run}], "replicas": replicas}),
        )
    };
    for (submission, rule) in [
        (calling("payments.refund", "", json!({"amount": 100.01})), "Large refunds"),
        (calling("Payments.Payout", "", json!({"amount": 5000.5})), "Large refunds"),
        (calling("payments.refund", "", json!({"amount": 100})), "default"),
        (calling("payments.refund", "", json!({"amount": 5000.51})), "default"),
        (calling("payments.refund", "", json!({"amount": "200"})), "default"),
        (calling("payments.refund", "", json!({"sum": 200})), "default"),
        (calling("payments.charge", "", json!({"amount": 200})), "default"),
        (live("production", json!(false), json!(1.0)), "Live"),
        (live("staging", json!(false), json!(2.5)), "Live"),
        // Compared exactly: they are for programs.
        (live("Production", json!(false), json!(1)), "default"),
        (live("production", json!("false"), json!(1)), "default"),
        (live("production", json!(false), json!("1")), "default"),
        (calling("anything", "Very-High", json!(null)), "Risky"),
        (calling("anything", "high", json!(null)), "default"),
    ] {
        let routed = policy.route(&submission, &address("sue")).rule;
        assert_eq!(routed.name, rule, "{:?}", submission.document);
    }
}

#[test]
fn a_rule_about_amounts_matches_nothing_without_an_amount() {
    let policy = policy(CALLS);
    let leave = submission("leave", "", "", "");
    assert_eq!(policy.route(&leave, &address("sue")).rule.name, "default");
    let zero = submission("leave", "", "0.00", "EUR");
    assert_eq!(policy.route(&zero, &address("sue")).rule.name, "Cheap");
}

#[test]
fn why_an_action_does_not_match_is_explained() {
    let refund =
        calling("payments.refund", "low", serde_json::json!({"amount": 50, "env": "test\u{202e}"}));
    let explained = policy(CALLS).explain(&refund, &address("sue"), Timestamp::UNIX_EPOCH);
    let expected = r#"S-1: Things, payments.refund, by sue@example.com
as if submitted Thursday, 1 January 1970, 00:00 UTC

  1. "Cheap" does not match: it has no amount; the rule is for EUR
  2. "Large refunds" does not match: its argument /amount is 50, not above 100 up to 5000.5
  3. "Live" does not match: its argument /env is "test⟨U+202E⟩", not "production" or "staging"; it has no argument /steps/0/dry~1run; the rule is for false; it has no argument /replicas; the rule is for 1 or 2.5
  4. "Risky" does not match: its risk is low, not very high
  5. "Money" does not match: it has no amount; the rule is for EUR
     "default", the default, applies.

Approved at once; nobody is asked.
"#;
    assert_eq!(explained.to_string(), expected);
}

/// Of arguments, nothing is known: what an earlier rule wants of them may not be so. But a rule that wants
/// something of them is reached by no more than the same rule without that.
#[test]
fn what_arguments_leave_open_covers_no_later_rule() {
    let unreachable = |first: &str, second: &str| {
        let rules = format!(
            "[[rules]]\nname = \"One\"\n{first}\ndecision = \"reject\"\n[[rules]]\nname = \"Two\"\n\
             {second}\ndecision = \"approve\"\n[default]\ndecision = \"reject\"\n"
        );
        match parse(&rules) {
            Ok(_) => false,
            Err(wrong) => {
                assert!(wrong.to_string().contains("\"Two\" can never be reached"), "{wrong}");
                true
            }
        }
    };
    let (action, risk) = ("when.action = \"deploy\"", "when.risk = \"high\"");
    let replicas = "when.arguments.\"/replicas\" = { above = 3 }";
    let both = format!("{action}\n{replicas}");
    assert!(unreachable(action, action));
    assert!(unreachable(action, &both));
    assert!(unreachable(action, &format!("{action}\n{risk}")));
    assert!(!unreachable(&both, action));
    assert!(!unreachable(&both, &both), "perhaps it is never reached, but that is not proven");
    assert!(!unreachable(action, risk));
    assert!(!unreachable(&format!("{action}\n{risk}"), action));
}
