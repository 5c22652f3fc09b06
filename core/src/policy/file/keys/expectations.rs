//! The keys of files of expectations.

use super::{Form, Key};

/// A file of submissions and who must be asked about them.
pub(in super::super) static EXPECTATIONS: Key = Key::new(
    "",
    Form::Keys(&[AT, CASES.required()]),
    "",
    "Submissions, and what routing rules have to make of them, for `countersign-worker check-policy --expect` \
     (docs/POLICY.md).",
);

const AT: Key = Key::new(
    "at",
    Form::Moment,
    "at = 2026-11-24T09:00:00+01:00",
    "As if it were submitted then: a date or a local time is of the rules' time zone. The present time by \
     default.",
);

const CASES: Key = Key::new(
    "cases",
    Form::Tables(&[
        Key::new(
            "name",
            Form::Text,
            "name = \"A taxi is paid at once\"",
            "What is expected, in words.",
        )
        .required(),
        Key::new(
            "submission",
            Form::Json,
            "submission = \"submissions/taxi.json\"",
            "The path of a JSON file, relative to this one, or the submission itself as a table.",
        )
        .required(),
        AT,
        Key::new("rule", Form::Text, "rule = \"Expenses\"", "The name of the rule that applies."),
        Key::new(
            "decision",
            Form::Choice(&["approve", "reject"]),
            "decision = \"approve\"",
            "What is decided at once, without asking anybody.",
        ),
        Key::new(
            "problems",
            Form::Texts,
            "problems = [\"$.submitter.employeeId\"]",
            "The JSON paths of the problems for which it is refused.",
        ),
        Key::new(
            "stages",
            Form::Tables(&[
                Key::new("name", Form::Text, "name = \"Manager\"", "The stage's name."),
                ASKED.required(),
                Key::new(
                    "quorum",
                    Form::Quorum,
                    "quorum = \"all\"",
                    "`\"any\"`, `\"all\"` or a number.",
                ),
                Key::new(
                    "escalate",
                    Form::Tables(&[ASKED.required()]),
                    "escalate = [{ reviewers = [\"coo@example.com\"] }]",
                    "All levels after the first, with those who are new in each.",
                ),
                Key::new(
                    "fallback",
                    Form::AnyTexts,
                    "fallback = [\"office@example.com\"]",
                    "Who is asked if mail reaches nobody.",
                ),
            ]),
            "stages = [{ reviewers = [\"sales.lead@example.com\"] }]",
            "All stages in order. Only what is written of each is compared.",
        ),
    ]),
    "[[cases]]",
    "Each has either a `decision`, or `stages`, or `problems`, or only the `rule`.",
);

const ASKED: Key = Key::new(
    "reviewers",
    Form::Texts,
    "reviewers = [\"sales.deputy@example.com\"]",
    "The e-mail addresses of all who are asked, deputies instead of those who are away.",
);
