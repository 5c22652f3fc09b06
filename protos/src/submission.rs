//! Reads a submission as people write it, and reports everything that has the wrong shape.
//!
//! Deserializers stop at the first mistake. This reader continues: it returns what it could read
//! together with every [`Problem`], each with its JSON path.

use std::{cell::RefCell, collections::BTreeMap};

use jiff::{Timestamp, civil::DateTime};
use serde_json::value::RawValue;

use crate::{
    payload::{self, Encoding, Fields, Payload, PayloadError},
    text,
    v1::{Document, Item, Policy, Problem, Stage, Submission, Submitter},
};

/// The largest submission, in bytes: one mail's worth, and far below Temporal's 2 MiB for a payload,
/// since a history holds it several times.
pub const MAX_BYTES: usize = 256 * 1024;

/// Reads a workflow's start input. Without problems the submission has the right shape; the worker
/// checks whether it makes sense.
pub fn read(payloads: &[Payload]) -> (Submission, Vec<Problem>) {
    match small(payloads).and_then(read_payload) {
        Ok(read) => read,
        Err(unreadable) => (Submission::default(), vec![problem("$", unreadable.to_string())]),
    }
}

/// Reads a start input from a history, ignoring problems and its size: a run that was continued as
/// new starts from more than the submission.
pub fn recorded(payloads: &[Payload]) -> Submission {
    payload::single(payloads).and_then(read_payload).unwrap_or_default().0
}

fn small(payloads: &[Payload]) -> Result<&Payload, PayloadError> {
    let payload = payload::single(payloads)?;
    match payload.data.len() {
        0..=MAX_BYTES => Ok(payload),
        size => Err(PayloadError::Data(format!(
            "the submission has {size} bytes; at most {MAX_BYTES} are accepted: put large content \
             behind an attachment's URI"
        ))),
    }
}

fn read_payload(payload: &Payload) -> Result<(Submission, Vec<Problem>), PayloadError> {
    if Encoding::of(&payload.metadata)? == Encoding::BinaryProtobuf {
        return Ok((without_unset_times(payload::decode_binary(payload)?), Vec::new()));
    }
    let json = serde_json::from_slice::<&RawValue>(&payload.data)
        .map_err(|error| PayloadError::Data(format!("not JSON: {error}")))?;
    let problems = RefCell::default();
    let root = Value { path: "$".to_owned(), json, problems: &problems };
    let submission = root.object().map(submission).unwrap_or_default();
    Ok((without_unset_times(submission), problems.into_inner()))
}

/// Removes unset times: languages whose times cannot be absent, such as Go, send the first moment of
/// year 1 instead.
fn without_unset_times(mut submission: Submission) -> Submission {
    submission.submitted_at = submission.submitted_at.filter(|time| !is_unset(time.seconds));
    for item in submission.document.iter_mut().flat_map(|document| &mut document.items) {
        if is_written_unset(&item.date) {
            item.date.clear();
        }
    }
    submission
}

/// Whether this is the first moment of year 1 in any time zone, with up to a minute of tolerance: the
/// offsets of that time have seconds, which RFC 3339 leaves out.
fn is_unset(seconds: i64) -> bool {
    (text::YEAR_1 - 59..text::YEAR_1 + 60).contains(&seconds)
}

/// As [`is_unset`], for a string; also without a zone, as .NET writes it.
fn is_written_unset(text: &str) -> bool {
    const LOCAL: DateTime = DateTime::constant(1, 1, 1, 0, 0, 0, 0);
    match text.parse::<Timestamp>() {
        Ok(time) => is_unset(time.as_second()),
        Err(_) => text.parse().is_ok_and(|local: DateTime| local == LOCAL),
    }
}

/// One problem at `path`.
pub fn problem(path: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { path: path.into(), message: message.into() }
}

fn submission(object: Object<'_>) -> Submission {
    Submission {
        submission_id: object.string("submissionId"),
        submission_type: object.string("submissionType"),
        submitter: object.object("submitter").map(|submitter| Submitter {
            name: submitter.string("name"),
            email: submitter.string("email"),
            department: submitter.string("department"),
            employee_id: submitter.string("employeeId"),
        }),
        document: object.object("document").map(|document| Document {
            title: document.string("title"),
            amount: document.amount("amount"),
            currency: document.string("currency"),
            category: document.string("category"),
            description: document.string("description"),
            items: document.objects("items", |item| Item {
                description: item.string("description"),
                amount: item.amount("amount"),
                date: item.string("date"),
            }),
            attachments: document.strings("attachments"),
        }),
        submitted_at: object.time("submittedAt"),
        approval: object.object("approval").map(|approval| {
            // Ignoring a misspelt rule would let the wrong people approve.
            approval.only(&["stages"]);
            Policy { stages: approval.objects("stages", stage) }
        }),
    }
}

fn stage(object: Object<'_>) -> Stage {
    object.only(&["name", "reviewers", "quorum", "deadline", "reminders", "onDeadline"]);
    Stage {
        name: object.string("name"),
        reviewers: object.strings("reviewers"),
        quorum: object.number("quorum"),
        deadline: object.string("deadline"),
        reminders: object.strings("reminders"),
        on_deadline: object.string("onDeadline"),
    }
}

/// One JSON value, its path, and where to report problems with it.
struct Value<'a> {
    path: String,
    json: &'a RawValue,
    problems: &'a RefCell<Vec<Problem>>,
}

/// The fields of a JSON object, under protobuf's JSON names or the names in the .proto files.
struct Object<'a> {
    path: String,
    /// By their names in the .proto files: the name that the sender wrote, and the value.
    fields: BTreeMap<String, Vec<(String, &'a RawValue)>>,
    problems: &'a RefCell<Vec<Problem>>,
}

impl<'a> Value<'a> {
    fn expected<T>(&self, what: &str, error: Option<serde_json::Error>) -> Option<T> {
        let found = match self.json.get().as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => "a number",
        };
        let message = match error {
            // Such as half of a surrogate pair, in a string that was cut.
            Some(error) if found == what => format!("cannot be read as {what}: {error}"),
            _ => format!("must be {what}, not {found}"),
        };
        let problem = problem(&self.path, message);
        self.problems.borrow_mut().push(problem);
        None
    }

    fn string(&self) -> Option<String> {
        match serde_json::from_str(self.json.get()) {
            Ok(text) => Some(text),
            Err(error) => self.expected("a string", Some(error)),
        }
    }

    /// A number's own digits, whether it is written as a number or as a string.
    fn number(&self) -> Option<String> {
        let json = self.json.get();
        match json.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Some(json.to_owned()),
            Some(b'"') => self.string(),
            _ => self.expected("a number", None),
        }
    }

    /// As [`number`](Self::number), for an amount. Three digits after the point of a string may be
    /// thousands; in a number they are decimals (RFC 8259, 6), and get a fourth one to show that.
    fn amount(&self) -> Option<String> {
        let number = self.number()?;
        let decimals = number.split_once('.').map_or("", |(_, decimals)| decimals);
        let is_string = self.json.get().starts_with('"');
        let is_plain = decimals.len() == 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
        Some(if is_plain && !is_string { number + "0" } else { number })
    }

    fn object(self) -> Option<Object<'a>> {
        let Fields(all) = match serde_json::from_str(self.json.get()) {
            Ok(all) => all,
            Err(error) => return self.expected("an object", Some(error)),
        };
        let mut fields: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for field in all {
            fields.entry(snake_case(&field.0)).or_default().push(field);
        }
        Some(Object { path: self.path, fields, problems: self.problems })
    }

    fn array(&self) -> Vec<Value<'a>> {
        let values: Vec<&RawValue> = match serde_json::from_str(self.json.get()) {
            Ok(values) => values,
            Err(error) => return self.expected("an array", Some(error)).unwrap_or_default(),
        };
        let value = |(i, json)| Value {
            path: format!("{}[{i}]", self.path),
            json,
            problems: self.problems,
        };
        values.into_iter().enumerate().map(value).collect()
    }
}

impl<'a> Object<'a> {
    /// `null` means absent, as in protobuf's JSON mapping, and so does `""`, which exports write for
    /// missing values.
    fn value(&self, name: &str) -> Option<Value<'a>> {
        let fields = self.fields.get(&snake_case(name))?;
        for (other, _) in &fields[1..] {
            // Choosing one would be a guess.
            let path = format!("{}.{other}", self.path);
            self.problems.borrow_mut().push(problem(path, "is given twice"));
        }
        let path = format!("{}.{name}", self.path);
        let json = fields.last()?.1;
        (!matches!(json.get(), "null" | "\"\"")).then_some(Value {
            path,
            json,
            problems: self.problems,
        })
    }

    fn string(&self, name: &str) -> String {
        self.value(name).and_then(|value| value.string()).unwrap_or_default()
    }

    fn number(&self, name: &str) -> String {
        self.value(name).and_then(|value| value.number()).unwrap_or_default()
    }

    fn amount(&self, name: &str) -> String {
        self.value(name).and_then(|value| value.amount()).unwrap_or_default()
    }

    fn object(&self, name: &str) -> Option<Object<'a>> {
        self.value(name).and_then(Value::object)
    }

    fn array(&self, name: &str) -> Vec<Value<'a>> {
        self.value(name).map(|value| value.array()).unwrap_or_default()
    }

    /// Elements of the wrong shape are kept as defaults, so that later positions stay right.
    fn objects<T: Default>(&self, name: &str, read: impl Fn(Object<'a>) -> T) -> Vec<T> {
        let read = |value: Value<'a>| value.object().map(&read).unwrap_or_default();
        self.array(name).into_iter().map(read).collect()
    }

    fn strings(&self, name: &str) -> Vec<String> {
        let read = |value: Value<'a>| value.string().unwrap_or_default();
        self.array(name).into_iter().map(read).collect()
    }

    fn time(&self, name: &str) -> Option<pbjson_types::Timestamp> {
        let value = self.value(name)?;
        let text = value.string()?;
        match text.parse::<Timestamp>() {
            Ok(time) => Some(text::to_message(time)),
            Err(_) if is_written_unset(&text) => None,
            Err(_) => {
                let message = "must be an RFC 3339 time, such as 2026-11-24T09:30:00Z";
                self.problems.borrow_mut().push(problem(value.path, message));
                None
            }
        }
    }

    /// Reports every field that is not one of `names`.
    fn only(&self, names: &[&str]) {
        let known =
            |field: &str| names.iter().any(|name| *name == field || snake_case(name) == field);
        for (name, _) in self.fields.values().flatten().filter(|(name, _)| !known(name)) {
            let message = format!("is not known; there are {}", names.join(", "));
            self.problems.borrow_mut().push(problem(format!("{}.{name}", self.path), message));
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: impl AsRef<[u8]>) -> Vec<Payload> {
        let mut payload = payload::encode(&Submission::default(), Encoding::JsonPlain);
        payload.data = text.as_ref().to_vec();
        vec![payload]
    }

    fn paths(problems: &[Problem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.path.as_str()).collect()
    }

    #[test]
    fn both_spellings_of_a_name_and_both_forms_of_an_amount_are_read() {
        let (camel, problems) = read(&json(
            r#"{"submissionId": "x", "document": {"amount": 15750.00}, "submittedAt": "2026-11-24T09:30:00+01:00",
                "approval": {"stages": [{"quorum": 2, "onDeadline": "reject"}]}}"#,
        ));
        assert_eq!(problems, []);
        assert_eq!(camel.document.as_ref().map(|d| d.amount.as_str()), Some("15750.00"));
        assert_eq!(camel.submitted_at.as_ref().map(|t| t.seconds), Some(1_795_509_000));
        let (snake, problems) = read(&json(
            r#"{"submission_id": "x", "document": {"amount": "15750.00"}, "submitted_at": "2026-11-24T08:30:00Z",
                "approval": {"stages": [{"quorum": "2", "on_deadline": "reject"}]}}"#,
        ));
        assert_eq!(problems, []);
        assert_eq!(camel, snake);
    }

    #[test]
    fn a_number_keeps_more_digits_than_a_float_has() {
        let (read, _) = read(&json(r#"{"document": {"amount": 123456789012345678.01}}"#));
        assert_eq!(read.document.map(|d| d.amount), Some("123456789012345678.01".into()));
    }

    #[test]
    fn every_field_of_the_wrong_type_is_named_and_the_rest_is_read() {
        let (read, problems) = read(&json(
            r#"{"submissionId": 5, "submitter": "ann", "submittedAt": "yesterday", "submissionType": null,
                "document": {"title": ["x"], "currency": "USD", "amount": {}, "items": [7, {"date": true}], "attachments": "a"},
                "approval": {"stages": [{"reviewrs": [], "reviewers": [1]}], "mode": 1}}"#,
        ));
        assert_eq!(read.document.map(|d| d.currency), Some("USD".into()));
        assert_eq!(
            paths(&problems),
            [
                "$.submissionId",
                "$.submitter",
                "$.document.title",
                "$.document.amount",
                "$.document.items[0]",
                "$.document.items[1].date",
                "$.document.attachments",
                "$.submittedAt",
                "$.approval.mode",
                "$.approval.stages[0].reviewrs",
                "$.approval.stages[0].reviewers[0]",
            ]
        );
    }

    #[test]
    fn a_field_that_is_given_twice_is_a_problem_in_either_spelling() {
        let (_, problems) = read(&json(
            r#"{"submissionId": "x", "document": {"amount": 1, "amount": 2},
                "approval": {"stages": [{"quorum": "all", "reviewers": ["a@example.com"], "quorum": "any",
                    "onDeadline": "reject", "on_deadline": "approve"}]}, "approval": {"stages": [{"name": "x"}]}}"#,
        ));
        assert_eq!(paths(&problems), ["$.document.amount", "$.approval"], "{problems:?}");
        let (_, problems) = read(&json(
            r#"{"approval": {"stages": [{"quorum": "all", "reviewers": [], "quorum": "any",
                "onDeadline": "reject", "on_deadline": "approve"}]}}"#,
        ));
        let twice = ["$.approval.stages[0].quorum", "$.approval.stages[0].on_deadline"];
        assert_eq!(paths(&problems), twice, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.message == "is given twice"));
        let ignored = json(r#"{"document": {"costCenter": 1, "cost_center": 2, "costCenter": 3}}"#);
        assert_eq!(read(&ignored).1, [], "what nobody knows may be given in any number");
    }

    #[test]
    fn a_text_that_was_cut_within_a_character_is_named_as_what_it_is() {
        let (_, problems) = read(&json(r#"{"document": {"title": "Tick\ud83d"}}"#));
        assert_eq!(paths(&problems), ["$.document.title"]);
        assert!(problems[0].message.contains("hex escape"), "{problems:?}");
    }

    #[test]
    fn what_is_no_submission_at_all_has_one_problem_at_the_root() {
        let two = [json("{}"), json("{}")].concat();
        let large = json(format!("{{\"document\": \"{}\"}}", "x".repeat(3_000_000)));
        for payloads in [
            vec![],
            two,
            large,
            json("nonsense"),
            json("[]"),
            json("7"),
            json(b"\xff\xfe"),
            vec![Payload::default()],
        ] {
            let (read, problems) = read(&payloads);
            assert_eq!(read, Submission::default());
            assert_eq!(paths(&problems), ["$"], "{problems:?}");
        }
    }

    #[test]
    fn all_three_encodings_are_read_alike() {
        let (submission, _) = read(&json(
            r#"{"submissionId": "x", "document": {"title": "t", "amount": "1.50", "items": [{"amount": "1.50"}]},
                "submittedAt": "2026-11-24T08:30:00Z", "approval": {"stages": [{"reviewers": ["a@example.com"]}]}}"#,
        ));
        for encoding in [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf] {
            let payload = payload::encode(&submission, encoding);
            assert_eq!(read(&[payload]), (submission.clone(), vec![]), "{encoding:?}");
        }
    }

    /// What the SDKs' languages write for a time that nobody has set.
    #[test]
    fn a_time_that_nobody_has_set_is_absent() {
        for unset in [
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00+00:00",
            "0001-01-01T01:00:00+01:00",
            // Of zones whose first offset has seconds, which RFC 3339 leaves out.
            "0001-01-01T00:53:28+00:53",
            "0000-12-31T19:03:58-04:56",
            "0001-01-01T00:00:00",
            "",
        ] {
            let text = format!(
                r#"{{"submittedAt": "{unset}", "document": {{"items": [{{"date": "{unset}"}}]}}}}"#
            );
            let (read, problems) = read(&json(&text));
            assert_eq!(problems, [], "{unset}");
            assert_eq!(read.submitted_at, None, "{unset}");
            assert_eq!(read.document.expect("there").items[0].date, "", "{unset}");
            assert_eq!(recorded(&json(&text)).submitted_at, None, "{unset}");
        }
        let (read, _) = read(&json(r#"{"document": {"items": [{"date": "0001-01-01"}]}}"#));
        assert_eq!(read.document.expect("there").items[0].date, "");
        let message = Submission {
            submitted_at: Some(pbjson_types::Timestamp { seconds: -62_135_596_800, nanos: 0 }),
            ..Submission::default()
        };
        for encoding in [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf] {
            let (read, problems) = super::read(&[payload::encode(&message, encoding)]);
            assert_eq!((read, problems), (Submission::default(), vec![]), "{encoding:?}");
        }
    }

    #[test]
    fn a_time_that_was_set_stays_and_one_without_a_zone_is_a_problem() {
        for set in ["0001-01-02T00:00:00Z", "1970-01-01T00:00:00Z", "2026-11-24T08:30:00Z"] {
            let (read, problems) = read(&json(format!(r#"{{"submittedAt": "{set}"}}"#)));
            assert_eq!(problems, []);
            assert!(read.submitted_at.is_some(), "{set}");
        }
        let (_, problems) = read(&json(r#"{"submittedAt": "2026-11-24T08:30:00"}"#));
        assert_eq!(paths(&problems), ["$.submittedAt"]);
    }

    /// As exports write what they do not have.
    #[test]
    fn an_empty_text_is_an_absent_field() {
        let fields = [
            "submissionType",
            "submittedAt",
            "approval",
            "submitter",
            "submitter.department",
            "submitter.employeeId",
            "document",
            "document.category",
            "document.description",
            "document.items",
            "document.attachments",
        ];
        for field in fields {
            let text = match field.split_once('.') {
                Some((object, field)) => format!(r#"{{"{object}": {{"{field}": ""}}}}"#),
                None => format!(r#"{{"{field}": ""}}"#),
            };
            let (found, problems) = read(&json(&text));
            assert_eq!(problems, [], "{field}");
            assert_eq!(found, read(&json(text.replace("\"\"", "null"))).0, "{field}");
        }
        for field in ["name", "reviewers", "quorum", "deadline", "reminders", "onDeadline"] {
            let text = format!(r#"{{"approval": {{"stages": [{{"{field}": ""}}]}}}}"#);
            let (read, problems) = read(&json(text));
            assert_eq!(problems, [], "{field}");
            assert_eq!(read.approval.expect("there").stages, [Stage::default()], "{field}");
        }
    }

    #[test]
    fn a_number_s_point_is_never_one_of_thousands() {
        for (number, read_as) in [
            ("15.000", "15.0000"),
            ("-4.125", "-4.1250"),
            ("15.00", "15.00"),
            ("15.0000", "15.0000"),
            ("1.500e3", "1.500e3"),
            ("15000", "15000"),
            ("\"15.000\"", "15.000"),
        ] {
            let (read, problems) =
                read(&json(format!(r#"{{"document": {{"amount": {number}}}}}"#)));
            assert_eq!(problems, []);
            assert_eq!(read.document.expect("there").amount, read_as);
        }
    }
}
