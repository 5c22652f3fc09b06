use crate::policy::{
    Policy,
    file::tests::{VALID, policy},
};

/// What is warned about, each in one line; notes too.
fn warnings(text: &str) -> Vec<String> {
    let warned = policy(text).warnings().lines();
    warned.into_iter().map(|line| line.trim_start_matches("policy.toml:").to_owned()).collect()
}

const CALENDAR: &str = "[calendar]\ntime_zone = \"Europe/Berlin\"\n";
const DEFAULT: &str = "[default]\nname = \"D\"\n[[default.stages]]\nname = \"S\"\n\
                       reviewers = [\"a@example.com\"]\n";

#[test]
fn what_cannot_be_mistaken_is_not_warned_about() {
    assert_eq!(warnings(VALID), ["5: note: holidays: 2 in 2026, 1 in other years"]);
    assert_eq!(warnings(&format!("{CALENDAR}{DEFAULT}")), Vec::<String>::new());
    let holidays =
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20261225\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let example = include_str!("../../../../../examples/policy.toml");
    let example = Policy::parse(example, "policy.toml", |_| Ok(holidays.to_owned()));
    let lines = example.expect("the example").warnings().lines();
    assert!(lines.iter().all(|line| line.contains(": note: ")), "{lines:#?}");
}

#[test]
fn a_department_that_neither_managers_nor_another_rule_know_is_warned_about() {
    let rules = |department: &str, more: &str| {
        format!(
            "{CALENDAR}[managers]\ndefault = \"hr@example.com\"\n\
             departments = {{ Sales = \"lead@example.com\", IT = \"it@example.com\" }}\n\
             [[rules]]\nname = \"R\"\nwhen.department = [\"sales\", \"{department}\"]\ndecision = \"reject\"\n\
             {more}{DEFAULT}"
        )
    };
    let known = "[[rules]]\nname = \"M\"\nwhen.department = [\"Marketing\", \"IT\"]\n\
                 decision = \"reject\"\n";
    assert_eq!(
        warnings(&rules("Salse", "")),
        ["8: warning: nothing else knows the department \"Salse\": did you mean \"Sales\"?"]
    );
    let unknown = "8: warning: nothing else knows the department \"Marketing\": [managers.departments] has others";
    assert_eq!(warnings(&rules("Marketing", "")), [unknown]);
    assert_eq!(warnings(&rules("marketing", known)), Vec::<String>::new(), "two rules know it");
    assert_eq!(warnings(&rules("it", "")), Vec::<String>::new());
}

#[test]
fn a_type_or_category_that_is_almost_another_is_warned_about() {
    let rules = |condition: &str, names: [&str; 3]| {
        let rule = |(i, name): (usize, &&str)| {
            format!("[[rules]]\nname = \"{i}\"\nwhen.{condition} = {name}\ndecision = \"reject\"\n")
        };
        let rules: String = names.iter().enumerate().map(rule).collect();
        format!("{CALENDAR}{rules}{DEFAULT}")
    };
    for condition in ["type", "category", "department"] {
        let text = rules(condition, ["\"expense_report\"", "\"contract\"", "\"Expence Report\""]);
        assert_eq!(
            warnings(&text),
            [format!(
                "13: warning: nothing else knows the {condition} \"Expence Report\": did you mean \
                 \"expense_report\"?"
            )]
        );
        // Of one list, of numbered ones, or of short ones, both may be meant.
        for names in [
            ["[\"Gift\", \"Gifts\"]", "\"Travel\"", "\"Hardware\""],
            ["\"Region 1\"", "\"Region 2\"", "\"Region 13\""],
            ["\"IT\"", "\"HR\"", "\"PR\""],
        ] {
            assert_eq!(warnings(&rules(condition, names)), Vec::<String>::new(), "{names:?}");
        }
    }
}

#[test]
fn manager_without_a_default_is_warned_about_where_somebody_may_have_none() {
    let rules = |managers: &str, condition: &str| {
        format!(
            "{CALENDAR}[managers]\n{managers}\n\
             employees = {{ \"sue@example.com\" = \"ann@example.com\" }}\n\
             departments = {{ Sales = \"lead@example.com\" }}\n\
             [[rules]]\nname = \"R\"\n{condition}\n[[rules.stages]]\nreviewers = [\"manager\"]\n{DEFAULT}"
        )
    };
    let warning = "11: warning: submitters who are neither in [managers.employees] nor in \
                   [managers.departments] have no manager, and cannot submit here: name a `default` in \
                   [managers]";
    assert_eq!(warnings(&rules("", "when.type = \"x\"")), [warning]);
    assert_eq!(warnings(&rules("", "when.submitter = \"bob@example.com\"")), [warning]);
    for (managers, condition) in [
        ("default = \"hr@example.com\"", "when.type = \"x\""),
        ("", "when.submitter = \"Sue@example.com\""),
        ("", "when.department = \"SALES\""),
    ] {
        assert_eq!(warnings(&rules(managers, condition)), Vec::<String>::new(), "{condition}");
    }
    // In an escalation or a fallback, too.
    let later = DEFAULT.to_owned() + "fallback = [\"manager's manager\"]\n";
    let text = format!("{CALENDAR}[managers]\ndepartments = {{ A = \"b@example.com\" }}\n{later}");
    assert_eq!(warnings(&text).len(), 1);
}

#[test]
fn a_default_that_approves_other_currencies_than_rules_bound_is_warned_about() {
    let rules = |large: &str, between: &str, default: &str| {
        format!(
            "{CALENDAR}[[rules]]\nname = \"Large\"\nwhen.amount = {{ EUR = {{ above = 100 }}, USD = {{ above = 110 }} }}\n\
             {large}\n{between}[default]\nname = \"Small amounts need nobody\"\ndecision = \"{default}\"\n"
        )
    };
    let asked = "stages = [{ reviewers = [\"a@example.com\"] }]";
    let warning = "9: warning: \"Small amounts need nobody\" approves every amount in currencies other \
                   than EUR and USD, which rules before it bound: have a rule for other currencies, or \
                   ask somebody here";
    assert_eq!(warnings(&rules(asked, "", "approve")), [warning]);
    assert_eq!(warnings(&rules("decision = \"reject\"", "", "approve")), [warning]);
    assert_eq!(warnings(&rules(asked, "", "reject")), Vec::<String>::new());
    // Another rule decides the other currencies: only what nobody can submit is left.
    let others = "[[rules]]\nname = \"Yen\"\nwhen.currency = \"JPY\"\ndecision = \"reject\"\n";
    assert_eq!(warnings(&rules(asked, others, "approve")).len(), 1, "there are more than yen");
    // A rule that approves a type is the same for it.
    let taxi = "[[rules]]\nname = \"Taxis\"\nwhen.type = \"taxi\"\ndecision = \"approve\"\n";
    let warned = warnings(&rules(asked, taxi, "reject"));
    assert!(warned[0].contains("\"Taxis\" approves every amount"), "{warned:?}");
    // Of an action, not the amount but its arguments say how much it is.
    let action = taxi.replace("when.type = \"taxi\"", "when.action = \"taxi.book\"");
    assert_eq!(warnings(&rules(asked, &action, "reject")), Vec::<String>::new());
    let argument = taxi.replace("when.type = \"taxi\"", "when.arguments.\"/sum\" = { up_to = 9 }");
    assert_eq!(warnings(&rules(asked, &argument, "reject")), Vec::<String>::new());
    let risk = taxi.replace("when.type = \"taxi\"", "when.risk = \"low\"");
    assert_eq!(warnings(&rules(asked, &risk, "reject")).len(), 1);
    let contracts = asked.replace("stages", "when.type = \"contract\"\nstages");
    assert_eq!(warnings(&rules(&contracts, taxi, "reject")), Vec::<String>::new());
}

#[test]
fn an_approver_below_the_submitter_is_warned_about() {
    let rules = |reviewers: &str| {
        format!(
            "{CALENDAR}[managers]\ndefault = \"hr@example.com\"\n\
             employees = {{ \"ann@example.com\" = \"lead@example.com\", \"lead@example.com\" = \"boss@example.com\" }}\n\
             [[rules]]\nname = \"Boss\"\nwhen.submitter = \"Boss@example.com\"\n\
             [[rules.stages]]\n{reviewers}\n{DEFAULT}"
        )
    };
    let warning = |who: &str| {
        format!(
            "10: warning: {who}@example.com is below boss@example.com, whose submissions this rule is \
             for: ask somebody who is not"
        )
    };
    assert_eq!(warnings(&rules("reviewers = [\"ann@example.com\"]")), [warning("ann")]);
    let escalating =
        "reviewers = [\"cfo@example.com\"]\nescalate = [{ reviewers = [\"lead@example.com\"] }]";
    assert_eq!(warnings(&rules(escalating)), [warning("lead")]);
    for fine in ["\"cfo@example.com\"", "\"manager\""] {
        assert_eq!(warnings(&rules(&format!("reviewers = [{fine}]"))), Vec::<String>::new());
    }
    let below = rules("reviewers = [\"manager\"]").replace("hr@", "lead@");
    assert_eq!(warnings(&below), [warning("lead")], "the default is below them");
}

#[test]
fn absences_and_times_without_a_calendar_are_warned_about() {
    let absence = "[[absences]]\nreviewer = \"a@example.com\"\ndeputy = \"d@example.com\"\n\
                   from = 2026-12-24\nto = 2026-12-24\n";
    let (days, times) = (
        "4: warning: without a [calendar], absences begin and end at midnight UTC: add [calendar] with \
         your `time_zone`",
        "11: warning: without a [calendar], people read times in UTC: add [calendar] with your \
         `time_zone`",
    );
    assert_eq!(warnings(&format!("{absence}{DEFAULT}")), [days]);
    let timed = format!("{absence}{DEFAULT}deadline = \"3 days\"\n");
    assert_eq!(warnings(&timed), [days, times]);
    assert_eq!(warnings(&format!("{CALENDAR}{timed}")), Vec::<String>::new());
    assert_eq!(warnings(DEFAULT), Vec::<String>::new(), "it sets no time");
}

#[test]
fn holidays_are_counted_year_by_year() {
    for (holidays, said) in [
        ("[\"12-25\", \"12-26\"]", "2 in every year"),
        ("[2026-04-03]", "1 in 2026, none in other years"),
        ("[2026-04-03, 2027-04-03, 2026-12-25, \"12-25\"]", "2 in 2026-2027, 1 in other years"),
        (
            "[2025-01-02, 2026-04-03, 2026-04-06, 2028-01-02]",
            "1 in 2025, 2 in 2026, 1 in 2028, none in other years",
        ),
        ("[]", "none in every year"),
    ] {
        let text = format!("{CALENDAR}holidays = {holidays}\n{DEFAULT}");
        assert_eq!(warnings(&text), [format!("3: note: holidays: {said}")]);
    }
}

#[test]
fn a_stage_that_silence_approves_is_warned_about_in_its_line() {
    let text = format!("{CALENDAR}{DEFAULT}on_deadline = \"approve\"\n");
    let warned = warnings(&text);
    assert_eq!(warned.len(), 1);
    assert!(warned[0].starts_with("8: warning: silence approves here"), "{warned:?}");
}

#[test]
fn an_answer_that_silence_does_not_give_is_warned_about() {
    let rules = |required: &str, on_deadline: &str| {
        format!(
            "{CALENDAR}[default]\nname = \"D\"\n\
             fields = [{{ name = \"until\", label = \"Until\", required_for = [{required}] }}]\n\
             [[default.stages]]\nname = \"S\"\nreviewers = [\"a@example.com\"]\n\
             on_deadline = \"{on_deadline}\"\n"
        )
    };
    let warned = |required, on_deadline| {
        let warned = warnings(&rules(required, on_deadline));
        warned.iter().filter(|line| line.contains("without \"until\"")).count()
    };
    assert_eq!(warned("\"approve\"", "approve"), 1);
    assert_eq!((warned("\"reject\"", "approve"), warned("\"approve\"", "reject")), (0, 0));
}
