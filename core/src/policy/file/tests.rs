use std::io;

use super::{ical::tests::ics, schema::tests::assert_follows, *};

pub(crate) const VALID: &str = r#"[calendar]
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
    ("\"Europe/Berlin\"", "«\"Europe/Belin\"»", "unknown time zone \"Europe/Belin\""),
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
        "must start after the previous hours end",
    ),
    ("2026-12-24", "«\"2026-13-24\"»", "must be a date, such as 2026-12-24"),
    (
        "\"12-25\"",
        "«\"25 Dec\"»",
        "must be a date, such as 2026-12-25, or a month and day of every year, such as 12-25",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.arguments.«amount» = { up_to = 100 }",
        "must be a JSON pointer, such as \"/amount\" or \"/items/0/name\"",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.arguments.«\"/a~2\"» = 1",
        "must be a JSON pointer, such as \"/amount\" or \"/items/0/name\"",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.arguments.\"/amount\" = { up_to = «\"many\"» }",
        "must be a number between -(2^53-1) and 2^53-1",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.arguments.\"/amount\" = «{ above = 5, below = 5 }»",
        "no number is in this range",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.arguments.\"/amount\" = { «over» = 5 }",
        "unknown key `over`",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.arguments.\"/to\" = [\"ann\", «2026-12-24»]",
        "must be a string, a number, or true or false, not a date or time",
    ),
    ("when.amount.EUR = { up_to = 100 }", "when.arguments.\"/to\" = «[]»", "must not be empty"),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.arguments = «{}»",
        "must have an argument, such as `\"/amount\" = { above = 100 }`",
    ),
    (
        "\"12-25\"]",
        "\"12-25\"]\nholidays_file = «\"missing.ics\"»",
        "missing.ics: cannot be read: entity not found",
    ),
    (
        "\"12-25\"]",
        "\"12-25\"]\nholidays_file = «\"hourly.ics\"»",
        "hourly.ics:6: event \"Stocktaking\": RRULE FREQ=HOURLY: FREQ=HOURLY is more often than a day",
    ),
    ("[groups]", "«roups» = 1\n[groups]", "unknown key `roups`"),
    (
        "\"bob@example.com\"]",
        "«\"bob at example.com\"»]",
        "must be an e-mail address, such as ann@example.com",
    ),
    (
        "\"bob@example.com\"]",
        "«\"Ann@Example.com\"»]\nmore = [\"bob@example.com\"]",
        "ann@example.com is already in this group",
    ),
    (
        "finance = [",
        "«manager» = [\"x@example.com\"]\nfinance = [",
        "\"manager\" is reserved for the submitter's",
    ),
    (
        "\"ann@example.com\" = \"cfo@example.com\"",
        "\"ann@example.com\" = «\"ann@example.com\"»",
        "ann@example.com would approve their own submissions",
    ),
    (
        "\"E-1\" = \"ann@example.com\"",
        "\"e-1\" = \"bob@example.com\"\n«\"E-1\"» = \"ann@example.com\"",
        "\"E-1\" already has a manager",
    ),
    ("to = 2026-12-11", "to = «2026-11-11»", "the last day is before the first one"),
    (
        "deputy = \"bob@example.com\"",
        "deputy = «\"ann@example.com\"»",
        "ann@example.com cannot be their own deputy",
    ),
    ("from = 2026-12-01\n", "", "`from` is required"),
    (
        "to = 2026-12-11",
        "to = 2026-12-11\n[[absences]]\nreviewer = «\"ann@example.com\"»\ndeputy = \"cfo@example.com\"\nfrom = 2026-12-11\nto = 2026-12-12",
        "ann@example.com is already away on some of these days",
    ),
    (
        "to = 2026-12-11",
        "to = 2026-12-11\n[[absences]]\nreviewer = \"bob@example.com\"\ndeputy = «\"ann@example.com\"»\nfrom = 2026-12-10\nto = 2026-12-20",
        "deputies form a cycle from 2026-12-10 to 2026-12-11",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = \"Pay\", task_queue = \"payments\", \
         namespace = «\"\"» }",
        "must be a string of one line, and not empty",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = «[\"Pay\", \"Tell\"]», task_queue = \"payments\" }",
        "must be a string, not an array",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = \"Pay\", task_queue = «\"payments \"» }",
        "must not start or end with a space",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\non_approved = { workflow = \"Pay\", task_queue = «\"/_sys/payments\"» }",
        "must not start with /_sys/, which Temporal reserves",
    ),
    ("name = \"Small\"", "«nmae» = \"Small\"", "unknown key `nmae`"),
    ("name = \"Small\"", "name = «[\"Small\"]»", "must be a string, not an array"),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.amount = «\"<= 2000 CHF\"»",
        "must be a range for each currency",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.amount = { EUR = «100» }",
        "must be a range of amounts",
    ),
    (
        "[groups]\n",
        "[groups]\neverybody = [«\"finance\"», \"cfo@example.com\"]\n",
        "must be an e-mail address, not the group \"finance\"",
    ),
    (
        "default = \"hr@example.com\"",
        "default = «\"Finance\"»",
        "must be an e-mail address, not the group \"finance\"",
    ),
    (
        "deputy = \"bob@example.com\"",
        "deputy = «\"finance\"»",
        "must be an e-mail address, not the group \"finance\"",
    ),
    (
        "deadline = \"1 day\"",
        "deadline = «\"3 business days\"»",
        "must be a span of time, such as 36h or 2 working days: did you mean \"3 working days\"?",
    ),
    (
        "[\"1 working day\"]",
        "«\"daily\"»",
        "must be a span of time, such as 36h or 2 working days: did you mean \"every 1 day\"?",
    ),
    ("name = \"Large\"", "name = «\"Small\"»", "another rule is named \"Small\""),
    (
        "when.type = \"expense_report\"\nwhen.amount",
        "when.«typ» = \"expense_report\"\nwhen.amount",
        "unknown key `typ`",
    ),
    (
        "when.type = \"expense_report\"\nwhen.amount",
        "when.type = «7»\nwhen.amount",
        "must be a string, not a number",
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
        "remove `currency`: `amount` already names the currencies",
    ),
    ("{ up_to = 100 }", "{ up_to = «100.0055» }", "EUR has 2 decimals at most"),
    (
        "{ up_to = 100 }",
        "{ up_to = «10.000» }",
        "\"10.000\" could mean 10000.00 or 10.00: write one of them (EUR has 2 decimals at most)",
    ),
    (
        "{ up_to = 100 }",
        "{ up_to = «\"15,000\"» }",
        "\"15,000\" could mean 15000.00 or 15.00: write one of them (EUR has 2 decimals at most)",
    ),
    (
        "amount.EUR = { up_to = 100 }",
        "amount.JPY = { up_to = «\"10.000\"» }",
        "\"10.000\" could mean 10000 or 10: write one of them (JPY has no decimals)",
    ),
    ("{ up_to = 100 }", "{ up_to = «\"1_000\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «\"+100\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «\"100.\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «\"1,000.00\"» }", NOT_A_NUMBER),
    ("{ up_to = 100 }", "{ up_to = «inf» }", NOT_A_NUMBER),
    (
        "amount.EUR = { up_to = 100 }",
        "amount = { EUR = { up_to = 100 }, «eur» = { up_to = 200 } }",
        "EUR already has a range",
    ),
    (
        "[groups]",
        "[submissions]\n«may_name_reviewer» = true\n[groups]",
        "unknown key `may_name_reviewer`",
    ),
    (
        "[groups]",
        "[submissions]\nmay_name_reviewers = «\"yes\"»\n[groups]",
        "must be true or false, not a string",
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
    (
        "{ up_to = 100 }",
        "{ up_to = 100, below = «200» }",
        "use either `up_to` or `below`, not both",
    ),
    ("decision = \"approve\"", "decision = «\"aprove\"»", "must be \"approve\" or \"reject\""),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\nconfirm = «true»",
        "remove `confirm`: nobody is asked where a rule has a `decision`",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\nchanges_within = «\"1 day\"»",
        "remove `changes_within`: nobody is asked where a rule has a `decision`",
    ),
    (
        "[[rules.stages]]",
        "changes_within = «\"soon\"»\n[[rules.stages]]",
        "must be a span of time, such as 36h, 3 days, PT45M or 2 working days",
    ),
    (
        "[[rules.stages]]",
        "comment_required = «\"request_changes\"»\n[[rules.stages]]",
        "must be \"approve\" or \"reject\"",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\ntell_submitter = «true»",
        "remove `tell_submitter`: nobody is asked where a rule has a `decision`",
    ),
    ("[[rules.stages]]", "confirm = «1»\n[[rules.stages]]", "must be true or false, not a number"),
    (
        "[[rules.stages]]",
        "comment_required = [«\"rejection\"»]\n[[rules.stages]]",
        "must be \"approve\" or \"reject\"",
    ),
    (
        "[[rules.stages]]",
        "comment_required = [\"reject\", «\"reject\"»]\n[[rules.stages]]",
        "\"reject\" is here twice",
    ),
    (
        "[[rules.stages]]",
        "comment_required = «true»\n[[rules.stages]]",
        "must be a string, not true or false",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\ncomment_required = «[\"reject\"]»",
        "remove `comment_required`: nobody is asked where a rule has a `decision`",
    ),
    (
        "[[rules.stages]]",
        "delegate_to = [«\"@example.com\"»]\n[[rules.stages]]",
        "must be a domain, such as example.com",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\ndelegate_to = «[\"example.com\"]»",
        "remove `delegate_to`: nobody is asked where a rule has a `decision`",
    ),
    (
        "[[rules.stages]]",
        "fields = [{ name = \"a\", label = \"A\", type = «\"nubmer\"» }]\n[[rules.stages]]",
        "must be one of \"text\", \"number\", \"choice\", \"yes_no\", \"date\"; did you mean \"number\"?",
    ),
    ("[[rules.stages]]", "fields = [«{ label = \"A\" }»]\n[[rules.stages]]", "`name` is required"),
    (
        "[[rules.stages]]",
        "fields = [{ name = «\"a b\"», label = \"A\" }]\n[[rules.stages]]",
        "must have letters of ASCII, digits, \"_\" and \"-\" alone",
    ),
    (
        "[[rules.stages]]",
        "fields = [«{ name = \"a\", label = \"A\", type = \"choice\" }»]\n[[rules.stages]]",
        "`choices` is required: what can be chosen",
    ),
    (
        "[[rules.stages]]",
        "fields = [{ name = \"a\", label = \"A\", type = \"choice\", choices = [\"x\", «\"x\"»] }]\n[[rules.stages]]",
        "is here twice",
    ),
    (
        "[[rules.stages]]",
        "fields = [{ name = \"a\", label = \"A\", required_for = [«\"aprove\"»] }]\n[[rules.stages]]",
        "must be \"approve\" or \"reject\"",
    ),
    (
        "[[rules.stages]]",
        "fields = [{ name = \"a\", label = \"A\" }, { name = «\"a\"», label = \"B\" }]\n[[rules.stages]]",
        "another field is named \"a\"",
    ),
    (
        "decision = \"approve\"",
        "decision = \"approve\"\nfields = «[{ name = \"a\", label = \"A\" }]»",
        "remove `fields`: nobody is asked where a rule has a `decision`",
    ),
    (
        "decision = \"approve\"",
        "decision = «\"approve\"»\nstages = [{ reviewers = [\"finance\"] }]",
        "a rule has either a `decision` or `stages`, not both",
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
    ("[\"finance\"]", "[«\"finanse\"»]", "unknown group \"finanse\""),
    ("reviewers = [\"finance\"]\n", "", "`reviewers` is required"),
    (
        "[\"finance\"]",
        "[\"finance\", «\"bob@example.com\"»]",
        "bob@example.com is already asked here",
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
        "this level asks nobody new",
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
        "must come between the request and the deadline, 2 working days later",
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
        "must be true or false, not a string",
    ),
    ("[default]\ndecision = \"reject\"\n", "", "`default` is required"),
    (
        "[groups]\n",
        "[operators]\nmay_reassign_to = [«\"@example.com\"»]\n[groups]\n",
        "must be a domain, such as example.com",
    ),
    (
        "[groups]\n",
        "[operators]\nmay_decide = «\"yes\"»\n[groups]\n",
        "must be true or false, not a string",
    ),
    (
        "name = \"Large\"\n",
        "name = \"Large\"\ndifferent_people = «1»\n",
        "must be true or false, not a number",
    ),
    (
        "name = \"Large\"\n",
        "name = \"Large\"\ntell_submitter = «1»\n",
        "must be true or false, not a number",
    ),
    (
        "on_deadline = \"reject\"\n",
        "on_deadline = \"reject\"\nfallback = [«\"finanse\"»]\n",
        "unknown group \"finanse\"",
    ),
    (
        "on_deadline = \"reject\"\n",
        "on_deadline = \"reject\"\nfallback = «[\"finance\"]»\n",
        "the fallback asks nobody new",
    ),
    (
        "on_deadline = \"reject\"\n",
        "on_deadline = \"reject\"\nfallback = «[\"cfo@example.com\"]»\n",
        "2 approvals can never come from a fallback of 1",
    ),
];

/// Whatever is read follows the schema for editors, too.
pub(crate) fn parse(text: &str) -> Result<Policy, Diagnostics> {
    let policy = Policy::parse(text, "policy.toml", |file| match file {
        "hourly.ics" => {
            Ok(ics("SUMMARY:Stocktaking\nDTSTART;VALUE=DATE:20260131\nRRULE:FREQ=HOURLY"))
        }
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    });
    if policy.is_ok() {
        assert_follows(text);
    }
    policy
}

pub(crate) fn policy(text: &str) -> Policy {
    parse(text).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// Line, column, marked text and message of each diagnostic.
pub(crate) fn found(text: &str) -> Vec<(usize, usize, String, String)> {
    let diagnostics = parse(text).expect_err(text);
    diagnostics
        .iter()
        .map(|diagnostic| {
            let (line, column) = diagnostics.position(diagnostic);
            (line, column, text[diagnostic.span.clone()].to_owned(), diagnostic.message.clone())
        })
        .collect()
}

#[test]
fn each_seeded_error_is_found_alone_and_in_its_place() {
    assert!(parse(VALID).is_ok(), "{}", parse(VALID).expect_err("wrong"));
    assert!(SEEDED.len() >= 25);
    let mut failures = Vec::new();
    for (right, wrong, message) in SEEDED {
        assert!(VALID.contains(right), "{right} is not in the file");
        let seeded = VALID.replacen(right, wrong, 1);
        let diagnostics = found(&seeded.replace(['«', '»'], ""));
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
        match &diagnostics[..] {
            [(line, column, marked, said)]
                if said == message && right_place(*line, *column, marked) => {}
            diagnostics => {
                failures.push(format!("{wrong}\n  {expected:?} {message}\n  {diagnostics:?}"))
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// In `VALID`, what is replaced by what, and what is offered instead.
const OFFERED: &[(&str, &str, &str)] = &[
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.amount = \"<= 2000 CHF\"",
        "such as `when.amount = { CHF = { up_to = 2000 } }`",
    ),
    (
        "when.amount.EUR = { up_to = 100 }",
        "when.amount.EUR = \"< 2000\"",
        "such as `when.amount = { EUR = { below = 2000 } }`",
    ),
    ("{ up_to = 100 }", "{ max = 100 }", "did you mean `up_to`?"),
    ("[[rules.stages]]", "[[stages]]", "it belongs in `[[rules.stages]]` or `[[default.stages]]`"),
    ("[calendar]\n", "[calendar]\nmay_decide = true\n", "it belongs in `[operators]`"),
    (
        "name = \"Large\"",
        "name = \"Large\"\ntype = \"expense_report\"",
        "it belongs in `[rules.when]` or `[[rules.fields]]`",
    ),
    ("reviewers = [\"finance\"]", "approvers = [\"finance\"]", "did you mean `reviewers`?"),
    (
        "[groups]\n",
        "[groups]\neverybody = [\"finance\"]\n",
        "list the members of finance here, or ask both groups where they are asked: a group holds people, \
         and no group",
    ),
    ("default = \"hr@", "default = \"finance\" # ", "name one person of finance: one decides here"),
    ("deadline = \"1 day\"", "deadline = 3", "such as `deadline = \"2 working days\"`"),
    (
        "escalate = [{ reviewers = [\"cfo@example.com\"], deadline = \"1 day\" }]",
        "escalate = \"cfo@example.com\"",
        "such as `escalate = [{ reviewers = [\"manager's manager\"], deadline = \"1 working day\" }]`",
    ),
    ("[default]\n", "[[default]]\n", "such as `[default]`"),
    ("[[absences]]\n", "[absences]\n", "such as `[[absences]]`"),
];

#[test]
fn errors_come_with_an_example_of_what_was_meant() {
    for (right, wrong, offered) in OFFERED {
        assert!(VALID.contains(right), "{right} is not in the file");
        let diagnostics = parse(&VALID.replacen(right, wrong, 1)).expect_err(wrong);
        let help: Vec<&str> = diagnostics.iter().filter_map(|it| it.help.as_deref()).collect();
        assert!(help.contains(offered), "{wrong}: {help:#?}");
    }
}

fn away(who: &str, deputy: &str, from: &str, to: &str) -> String {
    format!("[[absences]]\nreviewer = \"{who}@example.com\"\n{deputy}from = {from}\nto = {to}\n")
}

#[test]
fn a_day_on_which_nobody_is_left_to_ask_is_an_error() {
    let deputy = "deputy = \"dee@example.com\"\n";
    let stage = |more: &str| {
        format!(
            "[default]\n[[default.stages]]\nreviewers = [\"ann@example.com\", \"bob@example.com\"]\n{more}\n"
        )
    };
    let ann = away("ann", "", "2026-12-01", "2026-12-11");
    let bob = away("bob", "", "2026-12-09", "2026-12-20");
    // One of two is left, or a deputy is.
    policy(&format!("{}{ann}", stage("")));
    policy(&format!("{}{ann}", stage("quorum = \"all\"")));
    policy(&format!("{}{ann}{}", stage(""), away("bob", deputy, "2026-12-09", "2026-12-20")));
    policy(&format!("{}{ann}{}", stage(""), away("bob", "", "2026-12-12", "2026-12-20")));
    let only = |text: String| match &found(&text)[..] {
        [(line, _, marked, message)] => (*line, marked.clone(), message.clone()),
        found => panic!("{found:?}"),
    };
    let pair = "[\"ann@example.com\", \"bob@example.com\"]".to_owned();
    let none = "nobody is left on 2026-12-09: ann@example.com and bob@example.com are away without a \
                deputy";
    assert_eq!(only(format!("{}{ann}{bob}", stage(""))), (3, pair.clone(), none.to_owned()));
    let one = "only 1 of the 2 approvers needed is left on 2026-12-01: ann@example.com is away without \
               a deputy";
    assert_eq!(only(format!("{}{ann}", stage("quorum = 2"))), (3, pair, one.to_owned()));
    // A deputy who is away without one leaves nobody, either.
    let dee = away("dee", "", "2026-12-10", "2026-12-10");
    let chain = format!("{}{}{dee}", stage(""), away("ann", deputy, "2026-12-01", "2026-12-11"));
    policy(&chain);
    assert!(only(format!("{chain}{bob}")).2.contains("on 2026-12-10: "));
    // In a level or a fallback.
    let cfo = away("cfo", "", "2026-12-24", "2026-12-24");
    for key in
        ["fallback = [\"cfo@example.com\"]", "escalate = [{ reviewers = [\"cfo@example.com\"] }]"]
    {
        let (_, marked, message) = only(format!("{}{cfo}", stage(key)));
        assert_eq!(marked, "[\"cfo@example.com\"]");
        assert!(message.starts_with("nobody is left on 2026-12-24: cfo@"), "{message}");
    }
    // Who a manager is depends on the submitter.
    policy(&format!(
        "[managers]\ndefault = \"cfo@example.com\"\n[default]\nstages = [{{ reviewers = [\"manager\"] }}]\n{cfo}"
    ));
}

#[test]
fn all_errors_are_reported_at_once_from_top_to_bottom() {
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
    let lines: Vec<usize> = found(&text).iter().map(|diagnostic| diagnostic.0).collect();
    assert_eq!(lines, [2, 5, 26, 35, 36]);
    let rendered = parse(&text).expect_err("wrong").to_string();
    for words in [
        "error: unknown group \"finanse\"",
        "policy.toml:35:14",
        "35 | reviewers = [\"finanse\"]",
        "             ^^^^^^^^^",
        "help: did you mean \"finance\"?",
        "policy.toml: 5 errors",
    ] {
        assert!(rendered.contains(words), "{words} is missing in:\n{rendered}");
    }
}

#[test]
fn a_submitter_without_whom_too_few_are_asked_is_a_error_unless_somebody_is_above() {
    let text = |managers: &str| {
        format!(
            "{managers}[[rules]]\nname = \"Ann\"\nwhen.submitter = \"ann@example.com\"\n\
             stages = [{{ reviewers = [\"ann@example.com\", \"bob@example.com\"], quorum = 2 }}]\n\
             [default]\ndecision = \"reject\"\n"
        )
    };
    let diagnostics = found(&text(""));
    assert_eq!(diagnostics.len(), 1);
    assert_eq!((diagnostics[0].0, diagnostics[0].1), (4, 25));
    assert_eq!(diagnostics[0].3, "asks ann@example.com, who is the submitter, and too few others");
    policy(&text("managers.default = \"hr@example.com\"\n"));
}

#[test]
fn more_reviewers_than_an_approval_holds_are_an_error() {
    let asking = |number: usize, domain: &str| {
        let people: Vec<String> = (0..number).map(|i| format!("p{i}@{domain}")).collect();
        format!("[default]\nstages = [{{ reviewers = {people:?} }}]\n")
    };
    policy(&asking(80, "x.io"));
    let diagnostics = found(&asking(81, "x.io"));
    assert_eq!(diagnostics[0].3, "asks 81 people; at most 80 can be asked");
    let diagnostics = found(&asking(30, &format!("{}example.com", "a.".repeat(40))));
    assert!(diagnostics[0].3.starts_with("these addresses take 2"), "{diagnostics:?}");
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
    let number_of_errors = |text: String| parse(&text).map_or_else(|m| m.iter().count(), |_| 0);
    assert_eq!(number_of_errors(stage(9, "1") + &deputies(9)), 0);
    let diagnostics = found(&(stage(10, "1") + &deputies(10)));
    assert_eq!(diagnostics[0].3, "these addresses take 1960 bytes; at most 1900 fit into a stage");
    // A deputy's deputy too.
    let next = format!(
        "[[absences]]\nreviewer = \"d@x.io\"\ndeputy = \"{long}\"\nfrom = 2026-12-01\nto = 2026-12-02\n"
    );
    let chain: String = (0..10).map(|i| away(i, "d@x.io")).collect();
    assert_eq!(number_of_errors(stage(10, "1") + &chain), 0);
    assert_eq!(number_of_errors(stage(10, "1") + &chain + &next), 1);
    // Where everybody is needed, a manager takes the submitter's place.
    let managers = format!("[managers]\ndefault = \"{long}\"\n");
    assert_eq!(number_of_errors(stage(70, "69") + &managers + &deputies(6)), 0);
    assert_eq!(number_of_errors(stage(70, "70") + &managers + &deputies(6)), 1);
}

#[test]
fn what_is_no_toml_is_reported_with_what_else_is_wrong_but_not_with_what_seems_missing() {
    let text = VALID
        .replace("finance = [", "finance [")
        .replace("deputy = \"bob", "deputy = bob")
        .replace("decision = \"reject\"", "decision = \"refuse\"");
    let lines: BTreeSet<usize> = found(&text).iter().map(|diagnostic| diagnostic.0).collect();
    assert_eq!(lines.into_iter().collect::<Vec<_>>(), [8, 19, 43]);
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
    let Err(diagnostics) = parse(&format!("[default]\ndecision = \"approve\"\n{chain}{chain}"))
    else {
        panic!("no diagnostics")
    };
    let away = |diagnostic: &&Diagnostic| {
        diagnostic.message.contains("is already away on some of these days")
    };
    assert_eq!(diagnostics.iter().filter(away).count(), 40);
}

proptest::proptest! {
    /// Broken rules are reported, whatever is wrong with them.
    #[test]
    fn no_damage_to_a_file_is_more_than_errors(
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
        if let Err(diagnostics) = parse(&text) {
            proptest::prop_assert!(diagnostics.iter().count() > 0, "{text}");
            let rendered = diagnostics.render(true);
            for diagnostic in diagnostics.iter() {
                proptest::prop_assert!(rendered.contains(diagnostic.message.lines().next().unwrap_or("")));
                proptest::prop_assert!(text.get(diagnostic.span.clone()).is_some(), "{diagnostic:?}");
            }
        }
    }
}
