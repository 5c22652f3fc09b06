//! Reads a submission as people write it, and reports everything that has the wrong shape.
//!
//! Deserializers stop at the first mistake. This reader continues: it returns what it could read
//! together with every [`Problem`], each with its JSON path.

use std::{cell::RefCell, collections::BTreeMap};

use jiff::{Timestamp, civil::DateTime};
use serde_json::value::RawValue;

use crate::{
    Json, decimal, json,
    payload::{self, Encoding, Fields, Payload, PayloadError},
    text,
    v1::{
        Action, Detail, Document, Field, Item, Policy, Problem, Proof, Revision, Stage, Submission,
        Submitter,
    },
};

/// The largest submission, in bytes: one mail's worth, and far below Temporal's 2 MiB for a payload,
/// since a history holds it several times.
pub const MAX_BYTES: usize = 256 * 1024;

/// Where they are in binary.
const ARGUMENTS: &str = "$.document.action.arguments";

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

/// Reads the input of the signal `revise`: a [`Revision`], or a submission alone. Paths of problems with the
/// submission are those of a submission alone.
pub fn read_revision(payloads: &[Payload]) -> (Revision, Vec<Problem>) {
    match small(payloads).and_then(read_revision_payload) {
        Ok(read) => read,
        Err(unreadable) => (Revision::default(), vec![problem("$", unreadable.to_string())]),
    }
}

/// In binary, a submission alone has to be named as one.
fn read_revision_payload(payload: &Payload) -> Result<(Revision, Vec<Problem>), PayloadError> {
    let alone = |(submission, problems)| {
        (Revision { submission: Some(submission), ..Revision::default() }, problems)
    };
    if Encoding::of(&payload.metadata)? == Encoding::BinaryProtobuf {
        let mut revision: Revision = match payload::decode_binary(payload) {
            Err(PayloadError::MessageType(..)) => return read_payload(payload).map(alone),
            read => read?,
        };
        revision.submission = revision.submission.map(without_unset_times);
        let problems = revision.submission.as_ref().map(problems_of_arguments);
        return Ok((revision, problems.unwrap_or_default()));
    }
    let problems = RefCell::default();
    let root = root(payload, &problems)?.object();
    let revision = root.map(|object| match object.fields.contains_key("submission") {
        true => revision(object),
        false => Revision { submission: Some(submission(object)), ..Revision::default() },
    });
    let mut revision = revision.unwrap_or_default();
    revision.submission = revision.submission.map(without_unset_times);
    Ok((revision, problems.into_inner()))
}

fn revision(object: Object<'_>) -> Revision {
    object.only(&["submission", "link", "proof"], &[]);
    let inner = object.object("submission");
    Revision {
        submission: inner.map(|inner| submission(Object { path: object.path.clone(), ..inner })),
        link: object.string("link"),
        proof: object
            .object("proof")
            .map(|proof| Proof { signature: proof.string("signature"), at: proof.time("at") }),
    }
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
        let submission: Submission = payload::decode_binary(payload)?;
        let problems = problems_of_arguments(&submission);
        return Ok((without_unset_times(submission), problems));
    }
    let problems = RefCell::default();
    let submission = root(payload, &problems)?.object().map(submission).unwrap_or_default();
    Ok((without_unset_times(submission), problems.into_inner()))
}

fn root<'a>(
    payload: &'a Payload,
    problems: &'a RefCell<Vec<Problem>>,
) -> Result<Value<'a>, PayloadError> {
    let json = serde_json::from_slice::<&RawValue>(&payload.data)
        .map_err(|error| PayloadError::Data(format!("not JSON: {error}")))?;
    Ok(Value { path: "$".to_owned(), json, problems })
}

fn problems_of_arguments(submission: &Submission) -> Vec<Problem> {
    let action = submission.document.as_ref().and_then(|document| document.action.as_ref());
    let arguments = action.and_then(|action| action.arguments.as_ref());
    arguments.map(|it| it.problems(ARGUMENTS)).unwrap_or_default()
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

const SUBMISSION: [&str; 7] = [
    "submissionId",
    "submissionType",
    "submitter",
    "document",
    "submittedAt",
    "approval",
    "fields",
];
/// What the objects of a submission have, where it is often given beside them.
const INSIDE: [(&str, &[&str]); 3] = [
    ("submitter", &["name", "email", "department", "employeeId"]),
    (
        "document",
        &[
            "title",
            "amount",
            "currency",
            "category",
            "description",
            "items",
            "attachments",
            "details",
            "action",
        ],
    ),
    ("approval", &["stages"]),
];

fn submission(object: Object<'_>) -> Submission {
    // Ignoring `approvals` or `stages` would let the wrong people decide.
    object.only(&SUBMISSION, &INSIDE);
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
            details: document.objects("details", |detail| Detail {
                label: detail.string("label"),
                value: detail.string("value"),
            }),
            action: document.object("action").map(action),
        }),
        submitted_at: object.time("submittedAt"),
        approval: object.object("approval").map(|approval| {
            // Ignoring a misspelt rule would let the wrong people approve.
            approval.only(&["stages"], &[]);
            Policy { stages: approval.objects("stages", stage) }
        }),
        fields: object.objects("fields", field),
    }
}

fn field(object: Object<'_>) -> Field {
    // Ignoring `required` would let somebody decide without an answer that is needed.
    object.only(&["name", "label", "type", "choices", "requiredFor", "fromRule"], &[]);
    Field {
        name: object.string("name"),
        label: object.string("label"),
        r#type: object.string("type"),
        choices: object.strings("choices"),
        required_for: object.strings("requiredFor"),
        from_rule: object.boolean("fromRule"),
    }
}

fn action(object: Object<'_>) -> Action {
    // Ignoring `argument` would have something else done than was meant.
    object.only(&["name", "arguments", "risk", "reason", "onBehalfOf"], &[]);
    Action {
        name: object.string("name"),
        arguments: object.json("arguments"),
        risk: object.string("risk"),
        reason: object.string("reason"),
        on_behalf_of: object.string("onBehalfOf"),
    }
}

fn stage(object: Object<'_>) -> Stage {
    let names = ["name", "reviewers", "quorum", "deadline", "reminders", "onDeadline", "fallback"];
    object.only(&names, &[]);
    Stage {
        name: object.string("name"),
        reviewers: object.strings("reviewers"),
        quorum: object.number("quorum"),
        deadline: object.string("deadline"),
        reminders: object.strings("reminders"),
        on_deadline: object.string("onDeadline"),
        fallback: object.strings("fallback"),
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

    /// As [`number`](Self::number), for an amount.
    fn amount(&self) -> Option<String> {
        let number = self.number()?;
        let is_string = self.json.get().starts_with('"');
        Some(if is_string { number } else { decimal::of_json(&number) })
    }

    fn boolean(&self) -> Option<bool> {
        match serde_json::from_str(self.json.get()) {
            Ok(value) => Some(value),
            Err(error) => self.expected("true or false", Some(error)),
        }
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
        self.given(name).filter(|value| value.json.get() != "\"\"")
    }

    /// As [`value`](Self::value), for a field in which `""` is a value like others.
    fn given(&self, name: &str) -> Option<Value<'a>> {
        let fields = self.fields.get(&snake_case(name))?;
        for (other, _) in &fields[1..] {
            // Choosing one would be a guess.
            let path = format!("{}.{other}", self.path);
            self.problems.borrow_mut().push(problem(path, "is given twice"));
        }
        let path = format!("{}.{name}", self.path);
        let json = fields.last()?.1;
        (json.get() != "null").then_some(Value { path, json, problems: self.problems })
    }

    fn json(&self, name: &str) -> Option<Json> {
        let value = self.given(name)?;
        let (json, problems) = json::read(value.json, &value.path);
        self.problems.borrow_mut().extend(problems);
        Some(json)
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

    fn boolean(&self, name: &str) -> bool {
        self.value(name).and_then(|value| value.boolean()).unwrap_or_default()
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

    /// Reports every field that is not one of `names`. Some may belong inside of one of them.
    fn only(&self, names: &[&str], inside: &[(&str, &[&str])]) {
        let is = |field: &str, name: &str| name == field || snake_case(name) == field;
        let known = |field: &str| names.iter().any(|name| is(field, name));
        let unknown = |(name, json): &&(String, &RawValue)| !known(name) && json.get() != "null";
        for (name, _) in self.fields.values().flatten().filter(unknown) {
            let outer = inside.iter().find(|(_, inner)| inner.iter().any(|inner| is(name, inner)));
            let right = match (outer, text::did_you_mean(name, names.iter().copied())) {
                (Some((outer, _)), _) => format!("it belongs in `{outer}`"),
                (None, Some(similar)) => format!("did you mean `{similar}`?"),
                (None, None) => format!("there are {}", names.join(", ")),
            };
            let path = format!("{}.{name}", self.path);
            self.problems.borrow_mut().push(problem(path, format!("is not known; {right}")));
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
mod tests;
