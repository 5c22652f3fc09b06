//! JSON that others have chosen, in its one canonical form.

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{DecodeContext, WireType},
};
use prost_types::{ListValue, Struct, Value as Wire, value::Kind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};
use serde_json::{Map, Number, Value, value::RawValue};

use crate::{payload::Fields, text, v1::Problem};

/// How deep objects and arrays may be nested. Protobuf's decoders take 100 messages in one another, and an
/// object takes three.
pub const MAX_DEPTH: usize = 20;
/// Of the canonical text.
const MAX_BYTES: usize = 64 * 1024;
/// Numbers up to 2^53-1 are the same in every program (RFC 7493, 2.2).
pub const MAX_NUMBER: f64 = 9_007_199_254_740_991.0;
/// A double keeps no more.
const MAX_DIGITS: usize = 17;
/// More are not reported, since a validation does not show more.
const MAX_PROBLEMS: usize = 200;
/// Of a name, in a problem's path.
const MAX_NAME_CHARS: usize = 64;

const NULL: &str = "null";
/// Stands for what protobuf holds and JSON does not, and is refused as that.
const NOT_FINITE: &str = "1e400";

/// Any JSON, held as its canonical text (RFC 8785). In messages it is a `google.protobuf.Value`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Json(String);

impl Json {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same as a tree. Null where a number in it is none, which [validation](Self::problems) refuses.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Whether it is `null`, which counts as absent.
    pub fn is_null(&self) -> bool {
        self.0 == NULL
    }

    /// The value to which a JSON pointer leads (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<Value> {
        self.value().pointer(pointer).cloned()
    }

    /// Each value in it that holds no others, as JSON, with its place, such as `steps[0].image`.
    pub fn leaves(&self) -> Vec<(String, String)> {
        let mut leaves = Vec::new();
        collect(&self.value(), String::new(), &mut leaves);
        leaves
    }

    /// What of it programs would not all read alike, or is too large, by its place below this path.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        match serde_json::from_str(&self.0) {
            _ if self.0 == NOT_FINITE => {
                vec![problem(path, "has NaN or an infinity, which JSON does not have")]
            }
            Ok(json) => read(json, path).1,
            Err(error) => vec![problem(path, format!("is not JSON: {error}"))],
        }
    }
}

impl Default for Json {
    fn default() -> Self {
        Self(NULL.to_owned())
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        // A tree of JSON has a canonical form: its keys are strings, its numbers finite.
        serde_json_canonicalizer::to_string(value).map(Self).unwrap_or_default()
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::from(&value))
    }
}

impl Message for Json {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        to_wire(&self.value()).encode_raw(buffer);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut wire = to_wire(&self.value());
        wire.merge_field(tag, wire_type, buffer, context)?;
        *self = match from_wire(wire) {
            Some(value) => Self::from(&value),
            None => Self(NOT_FINITE.to_owned()),
        };
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        to_wire(&self.value()).encoded_len()
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

fn to_wire(value: &Value) -> Wire {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => {
            Kind::ListValue(ListValue { values: values.iter().map(to_wire).collect() })
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), to_wire(value)));
            Kind::StructValue(Struct { fields: fields.collect() })
        }
    };
    Wire { kind: Some(kind) }
}

/// `None` if a number is not finite.
fn from_wire(wire: Wire) -> Option<Value> {
    Some(match wire.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(number)) => Value::Number(Number::from_f64(number)?),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => {
            Value::Array(list.values.into_iter().map(from_wire).collect::<Option<_>>()?)
        }
        Some(Kind::StructValue(object)) => {
            let field = |(name, wire)| Some((name, from_wire(wire)?));
            Value::Object(object.fields.into_iter().map(field).collect::<Option<_>>()?)
        }
    })
}

fn collect(value: &Value, place: String, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let place = within(&place, name).trim_start_matches('.').to_owned();
                collect(value, place, leaves);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for (i, value) in values.iter().enumerate() {
                collect(value, format!("{place}[{i}]"), leaves);
            }
        }
        leaf => leaves.push((place, Json::from(leaf).0)),
    }
}

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem { path: path.to_owned(), message: message.into() }
}

/// Reads JSON, and reports everything in it that is not within RFC 7493 and our limits. What was reported is
/// not in the result.
pub(crate) fn read(json: &RawValue, path: &str) -> (Json, Vec<Problem>) {
    let mut reader = Reader::default();
    let canonical = Json::from(&reader.value(json, path, 0));
    let size = canonical.0.len();
    if reader.problems.is_empty() && size > MAX_BYTES {
        let message = format!(
            "has {size} bytes in its canonical form; at most {MAX_BYTES} are accepted: put large content \
             behind an attachment's URI"
        );
        reader.problems.push(problem(path, message));
    }
    (canonical, reader.problems)
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    /// `depth` is the number of objects and arrays around it.
    fn value(&mut self, json: &RawValue, path: &str, depth: usize) -> Value {
        let text = json.get();
        match text.as_bytes().first() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => {
                self.wrong(path, format!("is nested in {depth} others, and none may be deeper"))
            }
            Some(b'{') => self.object(text, path, depth),
            Some(b'[') => self.array(text, path, depth),
            Some(b'"') => self.string(text, path),
            Some(b'-' | b'0'..=b'9') => self.number(text, path),
            // true, false or null
            _ => serde_json::from_str(text).unwrap_or_default(),
        }
    }

    fn object(&mut self, text: &str, path: &str, depth: usize) -> Value {
        let Fields(fields) = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(error) => return self.wrong(path, format!("cannot be read as an object: {error}")),
        };
        let mut object = Map::new();
        for (name, json) in fields {
            let path = within(path, &name);
            self.characters(&name, &path);
            let value = self.value(json, &path, depth + 1);
            if object.insert(name, value).is_some() {
                self.wrong(&path, "is given twice");
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, text: &str, path: &str, depth: usize) -> Value {
        let values: Vec<&RawValue> = match serde_json::from_str(text) {
            Ok(values) => values,
            Err(error) => return self.wrong(path, format!("cannot be read as an array: {error}")),
        };
        let values = values.into_iter().enumerate();
        Value::Array(
            values.map(|(i, json)| self.value(json, &format!("{path}[{i}]"), depth + 1)).collect(),
        )
    }

    fn string(&mut self, text: &str, path: &str) -> Value {
        match serde_json::from_str::<String>(text) {
            Ok(text) => {
                self.characters(&text, path);
                Value::String(text)
            }
            // Half of a surrogate pair.
            Err(error) => self.wrong(path, format!("cannot be read as a string: {error}")),
        }
    }

    /// Reports code points that are no characters, now and for ever.
    fn characters(&mut self, text: &str, path: &str) {
        let is_none =
            |c: &char| matches!(*c, '\u{FDD0}'..='\u{FDEF}') || (*c as u32) & 0xFFFE == 0xFFFE;
        if let Some(none) = text.chars().find(is_none) {
            let message = format!("has U+{:04X}, which is not a character", none as u32);
            self.wrong(path, message);
        }
    }

    fn number(&mut self, text: &str, path: &str) -> Value {
        let number: f64 = text.parse().unwrap_or(f64::INFINITY);
        let digits = significant(text);
        let message = match () {
            () if number.abs() > MAX_NUMBER => {
                "is beyond 2^53-1, up to which numbers are the same in every program: write it as a string"
            }
            () if digits > MAX_DIGITS => {
                "has more than the 17 digits that a double keeps: shorten it, or write it as a string"
            }
            () if digits > 0 && number.abs() < f64::MIN_POSITIVE => {
                "is too small for a double to keep its digits: write it as a string"
            }
            () => return Number::from_f64(number).map_or(Value::Null, Value::Number),
        };
        self.wrong(path, message)
    }

    fn wrong(&mut self, path: &str, message: impl Into<String>) -> Value {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem(path, message));
        }
        Value::Null
    }
}

/// The number of digits between the zeros before and behind them.
fn significant(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.replace(|c: char| !c.is_ascii_digit(), "");
    digits.trim_matches('0').len()
}

/// The JSON path of a field.
fn within(path: &str, name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let plain = name.starts_with(|c: char| !c.is_ascii_digit()) && name.chars().all(is_plain);
    let short: String = name.chars().take(MAX_NAME_CHARS).collect();
    let cut = if short.len() < name.len() { "…" } else { "" };
    match plain {
        true => format!("{path}.{short}{cut}"),
        false => format!("{path}[{}]", Value::String(text::visible(&short) + cut)),
    }
}

#[cfg(test)]
mod tests;
