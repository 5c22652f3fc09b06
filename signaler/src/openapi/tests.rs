//! The document has all routes and all their answers, and no others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use countersign_protos::Verdict;

use super::*;
use crate::{
    answer::{Answer, Ending},
    delegation_form::NotDelegated,
    problem::Problem,
    reply::{answer_status, problem_status},
    revision::{Mistake, Place},
    routes::PATHS,
};

/// Whether an answer comes to somebody who looks, and to somebody who sends a form.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    View,
    Press,
    Both,
}

const ANSWERS: [Answer; 30] = [
    Answer::Open,
    Answer::NoWorker,
    Answer::Voted,
    Answer::StageOver,
    Answer::Decided,
    Answer::Expired,
    Answer::Withdrawn,
    Answer::Ended(Ending::Failed),
    Answer::Superseded,
    Answer::Delegated,
    Answer::DelegationStored,
    Answer::Unconfirmed,
    Answer::Uncommented,
    Answer::Unanswered,
    Answer::Recorded,
    Answer::AlreadyRecorded,
    Answer::OtherVerdict,
    Answer::TooLate,
    Answer::Accepted,
    Answer::Sealing,
    Answer::Ended(Ending::Unconfirmed),
    Answer::SentBack,
    Answer::Paused,
    Answer::Revised,
    Answer::Outdated,
    Answer::Submitted,
    Answer::ToRevise,
    Answer::Resubmitted,
    Answer::YouWithdrew,
    Answer::Unchangeable,
];

/// Exhaustive, so that a new answer is thought of.
fn to(answer: Answer) -> To {
    match answer {
        Answer::Open
        | Answer::NoWorker
        | Answer::Voted
        | Answer::StageOver
        | Answer::Decided
        | Answer::SentBack
        | Answer::Submitted
        | Answer::ToRevise => To::View,
        // The page after a press says these, too.
        Answer::Recorded | Answer::AlreadyRecorded | Answer::OtherVerdict | Answer::TooLate => {
            To::Both
        }
        Answer::Expired
        | Answer::Withdrawn
        | Answer::Paused
        | Answer::Revised
        | Answer::Outdated
        | Answer::Resubmitted
        | Answer::YouWithdrew
        | Answer::Ended(_)
        | Answer::Superseded
        | Answer::Delegated
        | Answer::Sealing => To::Both,
        Answer::Accepted
        | Answer::DelegationStored
        | Answer::Unconfirmed
        | Answer::Uncommented
        | Answer::Unchangeable
        | Answer::Unanswered => To::Press,
    }
}

fn problems() -> Vec<Problem> {
    vec![
        Problem::NO_PAGE,
        Problem::NotIssued(String::new()),
        Problem::Gone,
        Problem::Newer,
        Problem::InvalidVerdict,
        Problem::CommentTooLong,
        Problem::CommentMissing(Verdict::Reject),
        Problem::NotDelegated(NotDelegated::ReasonMissing),
        Problem::WrongAnswers(Vec::new()),
        Problem::InvalidAct,
        Problem::NoMoreChanges,
        Problem::NotTheSubmitter,
        Problem::SubmitterDecides,
        Problem::NotRevisable,
        Problem::InvalidRevision(Vec::new()),
        Problem::Mistaken(vec![Mistake::TitleMissing]),
        Problem::CrossSite,
        Problem::NotAForm,
        Problem::BodyTooLarge,
        Problem::Incomplete,
        Problem::MethodNotAllowed,
        Problem::TooMany(Duration::ZERO),
        Problem::Unavailable,
        Problem::NothingRecorded,
        Problem::Unknown,
        Problem::OutboxUnreadable,
        Problem::NotLocal,
    ]
}

/// Exhaustive, too. `None` for what no page of an approval answers.
fn of_approvals(problem: &Problem) -> Option<To> {
    match problem {
        Problem::NotFound(_)
        | Problem::NotIssued(_)
        | Problem::Gone
        | Problem::Newer
        | Problem::TooMany(_) => Some(To::Both),
        Problem::Unavailable | Problem::AfterPress(_) => Some(To::View),
        Problem::InvalidVerdict
        | Problem::CommentTooLong
        | Problem::CommentMissing(_)
        | Problem::InvalidAct
        | Problem::NoMoreChanges
        | Problem::NotTheSubmitter
        | Problem::SubmitterDecides
        | Problem::NotRevisable
        | Problem::InvalidRevision(_)
        | Problem::Mistaken(_)
        | Problem::NotDelegated(_)
        | Problem::WrongAnswers(_)
        | Problem::CrossSite
        | Problem::NotAForm
        | Problem::BodyTooLarge
        | Problem::Incomplete
        | Problem::NothingRecorded
        | Problem::Unknown => Some(To::Press),
        Problem::MethodNotAllowed | Problem::OutboxUnreadable | Problem::NotLocal => None,
    }
}

/// What a reference leads to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|at| at.strip_prefix('#')) {
        Some(at) => document.pointer(at).expect("what is referred to"),
        None => value,
    }
}

/// The values that `answer` can have, anywhere in a schema.
fn names(schema: &Value, found: &mut BTreeSet<String>) {
    let answers = schema.pointer("/properties/answer/enum").and_then(Value::as_array);
    found.extend(answers.into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)));
    for kind in ["anyOf", "allOf"] {
        let parts = schema[kind].as_array();
        parts.into_iter().flatten().for_each(|part| names(part, found));
    }
}

/// Each status code with the names that its JSON can have.
fn documented(document: &Value, path: &str, method: &str) -> BTreeMap<u16, BTreeSet<String>> {
    let responses = document["paths"][path][method]["responses"].as_object().expect("answers");
    let one = |(status, response): (&String, &Value)| {
        let mut found = BTreeSet::new();
        let response = resolved(document, response);
        names(&response["content"]["application/json"]["schema"], &mut found);
        (status.parse().expect("a status code"), found)
    };
    responses.iter().map(one).collect()
}

#[test]
fn every_answer_of_an_approvals_page_is_documented_with_its_status_code_and_no_other() {
    let document = document();
    for (method, of) in [("get", To::View), ("post", To::Press)] {
        let mut expected: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
        let answers = ANSWERS.into_iter().filter(|answer| [of, To::Both].contains(&to(*answer)));
        let problems = problems();
        let problems = problems
            .iter()
            .filter(|problem| of_approvals(problem).is_some_and(|to| [of, To::Both].contains(&to)));
        let all = answers.map(answer_status).chain(problems.map(problem_status));
        for (status, name) in all {
            expected.entry(status.as_u16()).or_default().insert(name.to_owned());
        }
        if of == To::Press {
            // Where a browser goes on.
            expected.insert(303, BTreeSet::new());
        }
        for path in ["/a/{approval-id}", "/a/{approval-id}/{workflow-id}"] {
            assert_eq!(documented(&document, path, method), expected, "{method} {path}");
        }
    }
}

#[test]
fn every_route_is_documented_and_no_other() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let documented: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(documented, BTreeSet::from(PATHS));
}

#[test]
fn the_fields_that_problems_name_are_documented() {
    let fields =
        document()["components"]["schemas"]["Problem"]["properties"]["field"]["enum"].take();
    let documented: BTreeSet<String> = serde_json::from_value(fields).expect("names");
    let json = |problem: &Problem| {
        let json = serde_json::to_value(crate::json::ProblemJson::new(problem, "")).expect("JSON");
        json["field"].as_str().map(str::to_owned)
    };
    let mut named: BTreeSet<String> = problems().iter().filter_map(json).collect();
    named.extend(json(&Problem::NotDelegated(NotDelegated::NotAnAddress)));
    let mistakes = [
        Mistake::ChangesNothing,
        Mistake::AmountMissing,
        Mistake::CurrencyMissing,
        Mistake::LabelMissing(0),
        Mistake::ValueMissing(0),
        Mistake::ReasonTooLong(2_001),
        Mistake::Refused(Place::Description, String::new()),
    ];
    named.extend(mistakes.into_iter().filter_map(|it| json(&Problem::Mistaken(vec![it]))));
    assert_eq!(named, documented);
}

#[test]
fn references_lead_somewhere_and_tell_programs_when_to_come_back() {
    fn each(value: &Value, see: &mut dyn FnMut(&Value)) {
        see(value);
        match value {
            Value::Object(fields) => fields.values().for_each(|value| each(value, see)),
            Value::Array(values) => values.iter().for_each(|value| each(value, see)),
            _ => {}
        }
    }
    let document = document();
    each(&document, &mut |value| {
        resolved(&document, value);
    });
    let paths = document["paths"].as_object().expect("paths");
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().expect("operations") {
            for (status, response) in operation["responses"].as_object().expect("answers") {
                let later = !resolved(&document, response)["headers"]["Retry-After"].is_null();
                let waits = status == "429" || status == "503" && !path.ends_with("z");
                assert_eq!(later, waits, "{method} {path} {status}");
            }
        }
    }
}
