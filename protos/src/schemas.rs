//! The JSON Schemas in `docs/schemas` of what is sent, made from the messages of `proto/` and their comments.

use std::{collections::BTreeMap, fs, path::Path};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use serde_json::{Map, Value, json};

/// What a submission needs, by the names of its messages. The worker's tests compare it with what it accepts.
const REQUIRED: [(&str, &[&str]); 9] = [
    ("Submission", &["submissionId", "submitter", "document"]),
    ("Submitter", &["name", "email"]),
    ("Document", &["title"]),
    ("Detail", &["label", "value"]),
    ("Action", &["name"]),
    ("Item", &["amount"]),
    ("Policy", &["stages"]),
    ("Stage", &["reviewers"]),
    ("Field", &["name", "label"]),
];
/// Fields of a submission that come together or not at all.
const TOGETHER: (&str, [&str; 2]) = ("Document", ["amount", "currency"]);
/// Messages of a submission in which unknown fields are refused.
const CLOSED: [&str; 5] = ["Submission", "Action", "Policy", "Stage", "Field"];
/// Fields of a submission that may be JSON numbers.
const NUMBERS: [(&str, &str); 3] =
    [("Document", "amount"), ("Item", "amount"), ("Stage", "quorum")];

/// The messages, by their full names, each with its place and the comments of its file.
#[derive(Default)]
struct Messages {
    messages: BTreeMap<String, (DescriptorProto, Comments, Vec<i32>)>,
    enums: BTreeMap<String, EnumDescriptorProto>,
}

/// By the place of what they are about.
type Comments = BTreeMap<Vec<i32>, String>;

/// Which way a message goes: what is read is checked, and of what is sent, more may come.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Read,
    Sent,
}

impl Messages {
    fn of_this_project() -> Self {
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let files = ["submission", "status", "outcome"];
        let files = files.map(|name| format!("countersign/v1/{name}.proto"));
        let compiled = protox::compile(files, [proto]).expect("messages");
        let mut messages = Self::default();
        compiled.file.into_iter().for_each(|file| messages.add_file(file));
        messages
    }

    fn add_file(&mut self, file: FileDescriptorProto) {
        let package = format!(".{}", file.package());
        let locations = file.source_code_info.clone().unwrap_or_default().location;
        let comment = |location: prost_types::source_code_info::Location| {
            let text = location.leading_comments().split_whitespace().collect::<Vec<_>>().join(" ");
            (location.path, text)
        };
        let comments: Comments = locations.into_iter().map(comment).collect();
        for (i, message) in file.message_type.into_iter().enumerate() {
            self.add(&package, message, &comments, vec![4, i as i32]);
        }
        for each in file.enum_type {
            self.enums.insert(format!("{package}.{}", each.name()), each);
        }
    }

    fn add(&mut self, outer: &str, message: DescriptorProto, comments: &Comments, path: Vec<i32>) {
        let name = format!("{outer}.{}", message.name());
        for (i, nested) in message.nested_type.iter().enumerate() {
            let path = [&path[..], &[3, i as i32]].concat();
            self.add(&name, nested.clone(), comments, path);
        }
        self.messages.insert(name, (message, comments.clone(), path));
    }

    /// The schema of a message.
    fn object(&self, name: &str, way: Way) -> Value {
        let (message, comments, path) = &self.messages[name];
        let property = |(i, field): (usize, &FieldDescriptorProto)| {
            let mut schema = self.values(message, field, way);
            let place = [&path[..], &[2, i as i32]].concat();
            if let Some(comment) = comments.get(&place).filter(|comment| !comment.is_empty()) {
                schema["description"] = json!(comment);
            }
            (field.json_name().to_owned(), schema)
        };
        let properties: Map<String, Value> =
            message.field.iter().enumerate().map(property).collect();
        let mut schema = json!({"type": "object", "properties": properties});
        if let Some(comment) = comments.get(path).filter(|comment| !comment.is_empty()) {
            schema["description"] = json!(comment);
        }
        if !message.oneof_decl.is_empty() {
            schema["maxProperties"] = json!(1);
        }
        if way == Way::Read {
            let required = REQUIRED.iter().find(|(name, _)| *name == message.name());
            if let Some((_, fields)) = required {
                schema["required"] = json!(fields);
            }
            if let (true, [one, other]) = (TOGETHER.0 == message.name(), TOGETHER.1) {
                schema["dependencies"] = json!({one: [other], other: [one]});
            }
            if CLOSED.contains(&message.name()) {
                schema["additionalProperties"] = json!(false);
            }
        }
        schema
    }

    fn values(&self, message: &DescriptorProto, field: &FieldDescriptorProto, way: Way) -> Value {
        let value = self.value(message, field, way);
        match field.label() {
            Label::Repeated => json!({"type": "array", "items": value}),
            Label::Optional | Label::Required => value,
        }
    }

    /// By protobuf's JSON mapping.
    fn value(&self, message: &DescriptorProto, field: &FieldDescriptorProto, way: Way) -> Value {
        let may_be_number = NUMBERS.contains(&(message.name(), field.name()));
        match (field.r#type(), field.type_name()) {
            (Type::String, _) if way == Way::Read && may_be_number => {
                json!({"type": ["string", "number"]})
            }
            (Type::String, _) => json!({"type": "string"}),
            (Type::Bool, _) => json!({"type": "boolean"}),
            (Type::Uint32, _) => json!({"type": "integer", "minimum": 0}),
            (Type::Enum, name) => {
                let names = self.enums[name].value.iter().filter(|value| value.number() != 0);
                json!({"enum": names.map(|value| value.name()).collect::<Vec<_>>()})
            }
            (Type::Message, ".google.protobuf.Timestamp") => {
                json!({"type": "string", "format": "date-time"})
            }
            (Type::Message, ".google.protobuf.Struct") => json!({"type": "object"}),
            (Type::Message, ".google.protobuf.Value") => json!({}),
            (Type::Message, name) => self.object(name, way),
            (other, _) => panic!("no schema for {other:?} in {}", message.name()),
        }
    }
}

fn schema(title: &str, mut schema: Value) -> Value {
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema["title"] = json!(title);
    schema
}

/// What the webhook gets: the outcome, and which workflow's it is.
fn webhook(outcome: &Value) -> Value {
    let mut data = outcome.clone();
    data["properties"]["workflowId"] =
        json!({"type": "string", "description": "The ID of the approval's workflow."});
    data["required"] = json!(["workflowId"]);
    let kinds =
        ["approved", "rejected", "expired", "withdrawn"].map(|kind| format!("approval.{kind}"));
    json!({
        "type": "object",
        "description": "The body of a webhook, by the Standard Webhooks specification.",
        "properties": {
            "type": {"enum": kinds},
            "timestamp": {
                "type": "string", "format": "date-time",
                "description": "When it was decided: the same for each attempt.",
            },
            "data": data,
        },
        "required": ["type", "timestamp", "data"],
    })
}

/// With `UPDATE_SCHEMAS` they are written.
#[test]
fn schemas_of_what_is_sent_are_those_of_the_messages() {
    let messages = Messages::of_this_project();
    let outcome = messages.object(".countersign.v1.Outcome", Way::Sent);
    let submission = messages.object(".countersign.v1.Submission", Way::Read);
    let status = messages.object(".countersign.v1.ApprovalState", Way::Sent);
    for (name, schema) in [
        ("submission", schema("Submission", submission)),
        ("status", schema("Status of an approval", status)),
        ("webhook", schema("Webhook", webhook(&outcome))),
        ("outcome", schema("Outcome of an approval", outcome)),
    ] {
        let path = format!("{}/../docs/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = format!("{schema:#}\n");
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, &text).expect("written");
        }
        let documented = fs::read_to_string(&path).expect("a schema");
        assert!(documented == text, "{path} is another one: run with UPDATE_SCHEMAS=1");
    }
}
