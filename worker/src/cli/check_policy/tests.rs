use clap::Parser;
use countersign_core::policy::expectations_schema;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{
    cli::{Cli, PolicyFile},
    testing::{docs_schema, is_valid},
};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    what: CheckPolicy,
}

fn example(file: &str) -> String {
    format!("{}/../examples/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn check(arguments: &[&str]) -> Result<String, String> {
    let arguments = ["check-policy"].into_iter().chain(arguments.iter().copied());
    let Arguments { what } = Arguments::try_parse_from(arguments).expect("known flags");
    check_policy(&what, false)
}

/// Files in a folder of their own.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.0.path().join(name), text).expect("written");
        self.path(name)
    }
}

#[test]
fn docs_policy_md_shows_what_explain_prints() {
    let docs = fs::read_to_string(example("../docs/POLICY.md")).expect("the documentation");
    let names = ["taxi", "conference", "monitors", "cleaning", "generator", "refund"];
    let shown = names.map(|name| format!("```text\n{}\n```", explained(name).trim_end()));
    let missing: Vec<&str> =
        shown.iter().map(String::as_str).filter(|shown| !docs.contains(shown)).collect();
    assert!(missing.is_empty(), "docs/POLICY.md does not show:\n{}", missing.join("\n"));
}

fn explained(name: &str) -> String {
    let submission = example(&format!("submissions/{name}.json"));
    let at = ["--at", "2026-11-24T09:00:00+01:00"];
    let explained = check(&[&example("policy.toml"), "--explain", &submission, at[0], at[1]]);
    explained.unwrap_or_else(|wrong| panic!("{wrong}"))
}

#[test]
fn the_examples_have_a_rule_each_with_an_amount_or_without() {
    for (name, about, rule, asked) in [
        ("conference", "684.00 EUR", "Expenses", "sales.deputy@example.com"),
        ("leave", "Leave from 7 to 18 December, by", "Leave", "sales.deputy@example.com"),
        ("deployment", ", deploy, by", "Deployments to production", "it.security@example.com"),
        ("access", ", access.grant, by", "Access", "office.lead@example.com"),
        ("refund", ", payments.refund, by", "Refunds", "finance.two@example.com"),
    ] {
        let explained = explained(name);
        assert!(explained.lines().next().is_some_and(|line| line.contains(about)), "{explained}");
        assert!(explained.contains(&format!(". {rule:?} matches.\n")), "{explained}");
        assert!(explained.contains(&format!("\n  {asked}")), "{explained}");
    }
}

#[test]
fn a_submission_that_cannot_be_decided_is_not_explained() {
    let files = Files::new();
    let file =
        files.write("broken.json", r#"{"submissionId": "S-1", "submitter": {"name": "Sue"}}"#);
    let wrong = check(&[&example("policy.toml"), "--explain", &file]).expect_err("wrong");
    assert!(wrong.contains("\n  $.submitter.email: is required"), "{wrong}");
    assert!(wrong.contains("\n  $.document: is required"), "{wrong}");
    let missing = check(&[&files.path("none.toml")]);
    assert!(missing.expect_err("wrong").contains("none.toml cannot be read"));
}

#[test]
fn a_stage_that_silence_approves_is_warned_about() {
    let files = Files::new();
    let check = |on_deadline: &str| {
        let rules = format!(
            "[calendar]\ntime_zone = \"Europe/Berlin\"\n[default]\n[[default.stages]]\n\
             reviewers = [\"b@example.com\"]\non_deadline = \"{on_deadline}\"\n"
        );
        check(&[&files.write("rules.toml", &rules)]).expect("rules")
    };
    let warned = check("approve");
    assert_eq!(warned.lines().count(), 2, "{warned}");
    let place = format!("\n{}:6: warning: silence approves here", files.path("rules.toml"));
    assert!(warned.contains(&place), "{warned}");
    assert_eq!(check("reject").lines().count(), 1);
}

#[test]
fn explain_refuses_a_submission_that_names_reviewers_as_the_worker_does() {
    let files = Files::new();
    let own = files.write(
        "own.json",
        r#"{"submissionId": "S-1", "submitter": {"name": "Sue", "email": "sue@example.com"},
            "document": {"title": "T", "amount": 1000000, "currency": "USD"},
            "approval": {"stages": [{"reviewers": ["a@example.com"]}]}}"#,
    );
    let board = "[default]\nstages = [{ reviewers = [\"board@example.com\"] }]\n";
    let rules = files.write("rules.toml", board);
    let wrong = check(&[&rules, "--explain", &own]).expect_err("wrong");
    assert!(wrong.contains("\n  $.approval: must be left out: the routing rules"), "{wrong}");
    let may = format!("[submissions]\nmay_name_reviewers = true\n{board}");
    let rules = files.write("may.toml", &may);
    let explained = check(&[&rules, "--explain", &own]).expect("explained");
    assert!(explained.contains("It says itself who decides (approval)"), "{explained}");
    let json = check(&[&rules, "--explain", &own, "--json"]).expect("explained");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["rule"], &json["stages"]), (&Value::Null, &Value::Null));
    let summary = check(&[&rules]).expect("rules");
    assert!(summary.ends_with(", submissions may name reviewers"), "{summary}");
}

#[test]
fn an_explanation_is_json_too_and_a_date_begins_in_the_rules_time_zone() {
    let explained = |name: &str| {
        let (rules, submission) =
            (example("policy.toml"), example(&format!("submissions/{name}.json")));
        let arguments = ["--json", "--at", "2026-11-24", "--explain", &submission];
        let json = check(&[&[&*rules], &arguments[..]].concat()).expect("explained");
        serde_json::from_str::<Value>(&json).expect("JSON")
    };
    let taxi = explained("taxi");
    assert_eq!((&taxi["rule"], &taxi["decision"]), (&"Small expenses".into(), &"approve".into()));
    assert_eq!(taxi["at"], "2026-11-24T00:00:00+01:00", "midnight in Berlin");
    assert_eq!(taxi["passedOver"][0]["rule"], "Gifts are not refunded");
    assert_eq!(taxi["followUps"]["approved"]["taskQueue"], "payments");
    let stage = &explained("conference")["stages"][0];
    let first = &stage["levels"][0];
    assert_eq!(first["reviewers"][0]["reviewer"], "sales.deputy@example.com");
    assert_eq!(first["reviewers"][0]["onBehalfOf"], "sales.lead@example.com");
    assert_eq!(
        (&first["deadline"], &first["until"]),
        (&"2 working days".into(), &"2026-11-26T09:00:00+01:00".into(),)
    );
    assert_eq!(stage["levels"][1]["reviewers"][0]["reviewer"], "coo@example.com");
    assert_eq!(stage["onDeadline"], "reject");
}

const SUE: &str = r#"{ submissionId = "S-1", submitter = { name = "Sue", email = "sue@example.com" }, document = { title = "T", amount = 684.00, currency = "EUR" } }"#;

#[test]
fn the_example_s_expectations_hold_and_a_rule_without_a_case_is_named() {
    let held = check(&[&example("policy.toml"), "--expect", &example("expectations.toml")]);
    let held = held.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(held.contains("expectations.toml: all "), "{held}");
    let files = Files::new();
    let rules = files.write(
        "rules.toml",
        "[[rules]]\nname = \"Small\"\nwhen.amount.EUR.up_to = 20\ndecision = \"approve\"\n\
         [default]\nname = \"All else\"\ndecision = \"reject\"\n",
    );
    let cases = format!("[[cases]]\nname = \"Sue\"\nsubmission = {SUE}\ndecision = \"reject\"\n");
    let cases = files.write("cases.toml", &cases);
    let held = check(&[&rules, "--expect", &cases]).expect("it holds");
    let lines = format!("\n{cases}: the case holds\n{cases}: no case is for \"Small\"");
    assert!(held.ends_with(&lines), "{held}");
}

#[test]
fn each_difference_from_what_is_expected_is_named_with_what_came_instead() {
    let files = Files::new();
    fs::create_dir(files.0.path().join("submissions")).expect("a folder");
    files.write("submissions/sue.json", r#"{"submissionId": "S-1"}"#);
    let rules = files.write(
        "rules.toml",
        "[default]\nname = \"Board\"\n[[default.stages]]\nname = \"Board\"\n\
         reviewers = [\"ann@example.com\", \"bob@example.com\"]\n",
    );
    let cases = files.write(
        "cases.toml",
        &format!(
            "[[cases]]\nname = \"One\"\nsubmission = {SUE}\nrule = \"Small\"\ndecision = \"approve\"\n\
             [[cases]]\nname = \"Two\"\nsubmission = {SUE}\n\
             stages = [{{ reviewers = [\"cy@example.com\"], quorum = 2 }}]\n\
             [[cases]]\nname = \"Three\"\nsubmission = \"submissions/sue.json\"\n\
             problems = [\"$.document\"]\n\
             [[cases]]\nname = \"Four\"\nsubmission = {SUE}\n\
             stages = [{{ reviewers = [\"bob@example.com\", \"Ann@example.com\"] }}]\n"
        ),
    );
    let wrong = check(&[&rules, "--expect", &cases]).expect_err("differences");
    for said in [
        "error: \"One\": expected the rule \"Small\", got \"Board\"",
        "cases.toml:4:8",
        "\"One\": expected approved at once, got ann@example.com, bob@example.com",
        "\"Two\": expected cy@example.com in \"Board\", got ann@example.com, bob@example.com",
        "\"Two\": expected the quorum 2 in \"Board\", got any",
        "\"Three\": expected problems at $.document, got $.submitter is required",
        "cases.toml: 5 errors",
    ] {
        assert!(wrong.contains(said), "{said} is missing in:\n{wrong}");
    }
}

/// What submissions of Sue's have to come to: rules, amount, currency, department, and what is said.
const CASES: &[(&str, &str, &str, &str, &[&str])] = &[
    // The default manager's own manager is asked beside them.
    (
        MANAGERS,
        "\"684.00\"",
        "EUR",
        "Marketing",
        &["\n  hr.lead@example.com\n", "\n  coo@example.com\n"],
    ),
    (MANAGERS, "\"684.00\"", "USD", "Marketing", &["\n  coo@example.com\n"]),
    (
        MANAGERS,
        "\"684.00\"",
        "GBP",
        "Marketing",
        &["\n  hr.lead@example.com\n", "\n  coo@example.com\n"],
    ),
    // A point before three digits may be one of thousands.
    (AMOUNTS, "\"15.000\"", "EUR", "", &["\"15.000\" could mean 15000.00 or 15.00"]),
    (AMOUNTS, "\"10.000\"", "JPY", "", &["\"10.000\" could mean 10000 or 10"]),
    (AMOUNTS, "\"10.00\"", "EUR", "", &["10.00 EUR", "Approved at once"]),
    (AMOUNTS, "\"1.500\"", "KWD", "", &["1.500 KWD", "Approved at once"]),
    (AMOUNTS, "18500000", "JPY", "", &["18,500,000 JPY", "\n  a@example.com\n"]),
    // A level keeps the places of those whom it names.
    (LEVEL, "1", "EUR", "", &["only these can decide:\n  a@example.com\n  c@example.com\n"]),
    (DEPARTMENTS, "1", "EUR", "AUSSENDIENST", &["\n  field@example.com\n"]),
    (DEPARTMENTS, "1", "EUR", "Innendienst", &["\n  hr@example.com\n"]),
];

const MANAGERS: &str = r#"
[managers]
default = "hr.lead@example.com"
[managers.employees]
"hr.lead@example.com" = "coo@example.com"
[[rules]]
name = "Both"
when.amount = { EUR = { above = 500 } }
stages = [{ reviewers = ["manager", "manager's manager"], quorum = "all" }]
[[rules]]
name = "Second level alone"
when.amount = { USD = { above = 500 } }
stages = [{ reviewers = ["manager's manager"] }]
[[rules]]
name = "Two of two"
when.amount = { GBP = { above = 500 } }
stages = [{ reviewers = ["manager", "manager's manager"], quorum = 2 }]
[default]
decision = "reject"
"#;
const AMOUNTS: &str = r#"
[[rules]]
name = "Small"
when.amount = { EUR = { up_to = 100 }, JPY = { up_to = 10_000 }, KWD = { up_to = 30 } }
decision = "approve"
[default]
stages = [{ reviewers = ["a@example.com"] }]
"#;
const LEVEL: &str = r#"
[default]
[[default.stages]]
reviewers = ["a@example.com", "b@example.com"]
quorum = "all"
deadline = "5s"
escalate = [{ reviewers = ["a@example.com", "c@example.com"], deadline = "1 day", keep_earlier = false }]
"#;
const DEPARTMENTS: &str = r#"
[managers]
default = "hr@example.com"
departments = { "Außendienst" = "field@example.com" }
[default]
stages = [{ reviewers = ["manager"] }]
"#;

#[test]
fn rules_and_amounts_come_out_right() {
    let files = Files::new();
    for (rules, amount, currency, department, says) in CASES {
        let rules = files.write("rules.toml", rules);
        let submission = format!(
            r#"{{"submissionId": "E", "submitter": {{"name": "Sue", "email": "sue@example.com",
                "department": "{department}"}},
                "document": {{"title": "T", "amount": {amount}, "currency": "{currency}"}}}}"#
        );
        let submission = files.write("submission.json", &submission);
        let text = check(&[&rules, "--explain", &submission]).unwrap_or_else(|wrong| wrong);
        for said in *says {
            assert!(text.contains(said), "{amount} {currency}: {said} is missing in:\n{text}");
        }
        assert_eq!(
            text.matches("Approved at once").count(),
            usize::from(says.contains(&"Approved at once"))
        );
    }
}

/// The schemas in `docs/schemas` are what the reader of such files says. With `UPDATE_SCHEMAS` they are
/// written.
#[test]
fn schemas_of_files_are_those_of_their_reader() {
    let printed = check(&["--schema"]).expect("a schema");
    for (name, schema) in
        [("policy", printed), ("expectations", format!("{:#}", expectations_schema()))]
    {
        let path = example(&format!("../docs/schemas/{name}.json"));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, schema.clone() + "\n").expect("written");
        }
        let documented = fs::read_to_string(&path).expect("a schema");
        assert!(documented == schema + "\n", "{path} is another one: run with UPDATE_SCHEMAS=1");
    }
}

#[test]
fn the_example_names_schemas_that_it_follows() {
    for (file, schema) in [("policy.toml", "policy"), ("expectations.toml", "expectations")] {
        let text = fs::read_to_string(example(file)).expect("an example");
        assert!(text.starts_with(&format!("#:schema ../docs/schemas/{schema}.json\n")), "{file}");
    }
    let with_amounts = ["taxi", "conference", "monitors", "cleaning", "generator"];
    let others = ["leave", "deployment", "access", "refund"];
    for name in with_amounts.into_iter().chain(others) {
        let json = fs::read(example(&format!("submissions/{name}.json"))).expect("an example");
        let json: Value = serde_json::from_slice(&json).expect("JSON");
        assert!(is_valid(&docs_schema("submission"), &json), "{name}");
    }
}

/// Settings are the worker's; what a command does not read is not in its help.
#[test]
fn help_of_a_command_shows_its_own_options_alone() {
    let help = |command: &str| {
        let arguments = ["countersign-worker", command, "--help"];
        let help = Cli::try_parse_from(arguments).err().expect("the help").to_string();
        let options = help.split_whitespace().filter(|word| word.starts_with("--"));
        options.map(|word| word.trim_end_matches(',').to_owned()).collect::<Vec<String>>()
    };
    let own = ["--explain", "--json", "--expect", "--at", "--schema", "--help"];
    assert_eq!(help("check-policy"), own);
    for command in ["subscribe", "new-key", "public-key", "verify"] {
        let options = help(command);
        for setting in ["--policy", "--public-url", "--log", "--task-queue"] {
            assert!(!options.iter().any(|option| option == setting), "{command}: {options:?}");
        }
    }
}

#[test]
fn rules_have_the_same_hash_only_with_the_same_calendars() {
    let folder = tempfile::tempdir().expect("a folder");
    let [rules, holidays] = ["policy.toml", "holidays.ics"].map(|name| folder.path().join(name));
    let copy = |name: &str, to: &Path| {
        fs::copy(example(name), to).map(drop).expect("a copy");
    };
    let file = rules.to_str().expect("a UTF-8 path");
    let hash = || PolicyFile::open(file).expect("good rules").hash();
    copy("policy.toml", &rules);
    copy("holidays.ics", &holidays);
    let before = hash();
    assert_eq!((before.len(), &hash()), (12, &before));
    let calendar = fs::read_to_string(&holidays).expect("a calendar");
    fs::write(&holidays, calendar.replace("2026", "2027")).expect("written");
    assert_ne!(hash(), before);
    copy("holidays.ics", &holidays);
    assert_eq!(hash(), before);
}
