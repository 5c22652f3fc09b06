//! Messages from and to payloads, in the three encodings of Temporal's SDKs for protobuf messages.
//!
//! Decoding never panics and does not use the SDK's own conversion, with which a payload that does
//! not decode fails the workflow task for ever.

use std::{collections::HashMap, fmt};

use prost::{Message, Name};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapDeserializer},
};
use serde_json::value::RawValue;

/// A payload, as far as messages are concerned: Temporal's own type has other fields too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// By name. `encoding` is always there; `messageType` is optional.
    pub metadata: HashMap<String, Vec<u8>>,
    /// Encoded as the metadata says.
    pub data: Vec<u8>,
}

/// An encoding that Countersign reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Encoding {
    /// `json/plain`: what people write and most SDKs send.
    #[default]
    JsonPlain,
    /// `json/protobuf`: what the SDKs make of a protobuf message by default.
    JsonProtobuf,
    /// `binary/protobuf`: the message in protobuf's wire format.
    BinaryProtobuf,
}

/// Why a payload cannot be decoded, for people who send payloads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// Exactly one payload is expected.
    #[error("expected one input, got none")]
    Missing,
    /// Exactly one payload is expected.
    #[error("expected one input, got {0}")]
    TooMany(usize),
    /// The metadata names another encoding.
    #[error("the encoding {0:?} is not json/plain, json/protobuf or binary/protobuf")]
    Encoding(String),
    /// A codec has encrypted it under the key with this ID, and nobody has decrypted it.
    #[error(
        "it is encrypted (encoding \"binary/encrypted\", key {0:?}) and cannot be decrypted here: give all workers and \
         signalers this key by COUNTERSIGN_PAYLOAD_KEYS_FILE"
    )]
    Encrypted(String),
    /// The metadata names another message.
    #[error("the message is a {0}, not a {1}")]
    MessageType(String, String),
    /// The data is not what its encoding says.
    #[error("{0}")]
    Data(String),
}

/// The name of the encoding, in a payload's metadata.
pub const ENCODING: &str = "encoding";
/// The encoding of encrypted payloads, as Temporal's samples have it.
pub const ENCRYPTED: &[u8] = b"binary/encrypted";
/// The name of the key's ID, in the metadata of an encrypted payload.
pub const KEY_ID: &str = "encryption-key-id";
const MESSAGE_TYPE: &str = "messageType";
/// How SDKs encode an argument of nil, None, null or undefined.
const NULL: &[u8] = b"binary/null";

impl Encoding {
    /// The name in a payload's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::JsonPlain => "json/plain",
            Encoding::JsonProtobuf => "json/protobuf",
            Encoding::BinaryProtobuf => "binary/protobuf",
        }
    }

    /// The encoding that a payload's metadata names.
    pub fn of(metadata: &HashMap<String, Vec<u8>>) -> Result<Self, PayloadError> {
        let name = metadata.get(ENCODING).map_or(&b""[..], Vec::as_slice);
        [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf]
            .into_iter()
            .find(|encoding| encoding.as_str().as_bytes() == name)
            .ok_or_else(|| match encrypted_with(metadata) {
                Some(key) => PayloadError::Encrypted(key),
                None => PayloadError::Encoding(quoted(name)),
            })
    }
}

/// The ID of the key with which a payload is encrypted; `None` if it is not.
pub fn encrypted_with(metadata: &HashMap<String, Vec<u8>>) -> Option<String> {
    let is_encrypted = metadata.get(ENCODING).is_some_and(|name| name == ENCRYPTED);
    is_encrypted.then(|| quoted(metadata.get(KEY_ID).map_or(&b""[..], Vec::as_slice)))
}

/// Something that nobody can decrypt.
pub fn encrypted() -> Payload {
    let metadata = [(ENCODING.to_owned(), ENCRYPTED.to_vec())].into();
    Payload { metadata, data: Vec::new() }
}

/// The first 100 bytes of a name that a sender chose: errors go to places with little room.
fn quoted(name: &[u8]) -> String {
    const MAX: usize = 100;
    match name.len() {
        0..=MAX => String::from_utf8_lossy(name).into_owned(),
        _ => format!("{}…", String::from_utf8_lossy(&name[..MAX])),
    }
}

/// Whether an argument is nil: `binary/null`, or the JSON `null`.
fn is_nil(payload: &Payload) -> bool {
    match Encoding::of(&payload.metadata) {
        Ok(Encoding::JsonPlain | Encoding::JsonProtobuf) => payload.data.trim_ascii() == b"null",
        Ok(Encoding::BinaryProtobuf) => false,
        Err(_) => payload.metadata.get(ENCODING).is_some_and(|name| name == NULL),
    }
}

/// The only payload of an input. A nil argument counts as none.
pub fn single(payloads: &[Payload]) -> Result<&Payload, PayloadError> {
    match payloads {
        [] => Err(PayloadError::Missing),
        [nil] if is_nil(nil) => Err(PayloadError::Missing),
        [payload] => Ok(payload),
        more => Err(PayloadError::TooMany(more.len())),
    }
}

/// Reads one message from the only payload of an input.
pub fn decode<M>(payloads: &[Payload]) -> Result<M, PayloadError>
where
    M: Message + Name + Default + DeserializeOwned,
{
    let payload = single(payloads)?;
    match Encoding::of(&payload.metadata)? {
        Encoding::BinaryProtobuf => decode_binary(payload),
        Encoding::JsonPlain | Encoding::JsonProtobuf => from_json(&payload.data)
            .map_err(|error| PayloadError::Data(format!("not the expected JSON: {error}"))),
    }
}

/// As [`decode`], but no payload, or a nil one, reads as the empty message.
pub fn decode_optional<M>(payloads: &[Payload]) -> Result<M, PayloadError>
where
    M: Message + Name + Default + DeserializeOwned,
{
    match decode(payloads) {
        Err(PayloadError::Missing) => Ok(M::default()),
        decoded => decoded,
    }
}

/// A `null` field reads as absent, as in protobuf's JSON mapping: SDKs with typed objects send it for
/// unset fields. Messages from outside are flat, so only the outermost fields are looked at.
fn from_json<M: DeserializeOwned>(data: &[u8]) -> serde_json::Result<M> {
    let Fields(fields) = serde_json::from_slice(data)?;
    from_fields(fields)
}

/// As a message's JSON has them. What is null is absent.
pub(crate) fn from_fields<M: DeserializeOwned>(
    fields: Vec<(String, &RawValue)>,
) -> serde_json::Result<M> {
    let present = fields.into_iter().filter(|(_, json)| json.get() != "null");
    M::deserialize(MapDeserializer::new(present))
}

/// The fields of a JSON object in their order, duplicates included, for their reader to refuse.
pub(crate) struct Fields<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// Reads one message from a payload in `binary/protobuf`, whatever encoding its metadata names.
pub fn decode_binary<M>(payload: &Payload) -> Result<M, PayloadError>
where
    M: Message + Name + Default,
{
    if let Some(name) = payload.metadata.get(MESSAGE_TYPE)
        && name != M::full_name().as_bytes()
    {
        return Err(PayloadError::MessageType(quoted(name), M::full_name()));
    }
    M::decode(payload.data.as_slice())
        .map_err(|error| PayloadError::Data(format!("not the expected message: {error}")))
}

/// Encodes one message.
///
/// # Panics
/// If an enum field has an unknown number and the encoding is JSON.
pub fn encode<M>(message: &M, encoding: Encoding) -> Payload
where
    M: Message + Name + Serialize,
{
    let mut metadata =
        HashMap::from([(ENCODING.to_owned(), encoding.as_str().as_bytes().to_vec())]);
    if encoding != Encoding::JsonPlain {
        metadata.insert(MESSAGE_TYPE.to_owned(), M::full_name().into_bytes());
    }
    let data = match encoding {
        Encoding::BinaryProtobuf => message.encode_to_vec(),
        Encoding::JsonPlain | Encoding::JsonProtobuf => {
            serde_json::to_vec(message).expect("messages have string keys and known enum values")
        }
    };
    Payload { metadata, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{ApprovalState, Decision, Outcome, Status, Verdict};

    const ENCODINGS: [Encoding; 3] =
        [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf];

    fn decision() -> Decision {
        Decision {
            reviewer: "ann@example.com".into(),
            comment: "fine — 👍".into(),
            ..Decision::default()
        }
    }

    #[test]
    fn every_encoding_comes_back_as_what_it_was() {
        for encoding in ENCODINGS {
            let payload = encode(&decision(), encoding);
            assert_eq!(Encoding::of(&payload.metadata), Ok(encoding));
            assert_eq!(decode(&[payload]), Ok(decision()));
        }
    }

    fn json(data: &str) -> Payload {
        Payload { data: data.into(), ..encode(&decision(), Encoding::JsonPlain) }
    }

    #[test]
    fn null_is_absent() {
        let ann = Decision { reviewer: "ann@example.com".into(), ..Decision::default() };
        for same in [
            r#"{"reviewer": "ann@example.com"}"#,
            r#"{"reviewer": "ann@example.com", "comment": null}"#,
            r#"{"link": null, "reviewer": "ann@example.com", "comment": null, "unknown": null}"#,
            r#" { "reviewer" : null , "reviewer" : "ann@example.com" } "#,
        ] {
            assert_eq!(decode(&[json(same)]), Ok(ann.clone()), "{same}");
        }
        for other in [r#"{"comment": 7}"#, r#"{"comment": "a", "comment": "b"}"#, "[null]", "7"] {
            let read = decode::<Decision>(&[json(other)]);
            assert!(matches!(read, Err(PayloadError::Data(_))), "{other}: {read:?}");
        }
    }

    #[test]
    fn a_nil_argument_is_none() {
        let null = [(ENCODING.to_owned(), b"binary/null".to_vec())];
        let nil = Payload { metadata: null.into(), ..Payload::default() };
        for nil in [nil, json("null"), json(" null\n")] {
            assert_eq!(
                decode::<Decision>(std::slice::from_ref(&nil)),
                Err(PayloadError::Missing),
                "{nil:?}"
            );
            assert_eq!(
                decode_optional(std::slice::from_ref(&nil)),
                Ok(Decision::default()),
                "{nil:?}"
            );
            let two = decode_optional::<Decision>(&[nil.clone(), nil]);
            assert_eq!(two, Err(PayloadError::TooMany(2)));
        }
        assert_eq!(decode_optional(&[]), Ok(Decision::default()));
    }

    /// As a newer version writes them.
    #[test]
    fn an_unknown_enum_value_is_unspecified_and_the_rest_is_read() {
        for unknown in [r#""POSTPONED""#, "77"] {
            let newer = format!(
                r#"{{"status": {unknown}, "rule": "Small", "postponedUntil": {{"stage": 2}},
                    "stages": [{{"name": "Finance", "status": "APPROVED", "reviewers": [
                        {{"delivery": {unknown}, "vote": {{"verdict": {unknown}}}}}]}}]}}"#
            );
            let state: ApprovalState = decode(&[json(&newer)]).expect("readable");
            assert_eq!((state.status(), &*state.rule), (Status::Unspecified, "Small"));
            let stage = &state.stages[0];
            assert_eq!((stage.status(), &*stage.name), (Status::Approved, "Finance"));
            let vote = stage.reviewers[0].vote.as_ref().expect("a vote");
            assert_eq!(vote.verdict(), Verdict::Unspecified);
        }
        let wrong = decode::<ApprovalState>(&[json(r#"{"status": true}"#)]);
        assert!(matches!(wrong, Err(PayloadError::Data(_))), "{wrong:?}");
    }

    #[test]
    fn another_message_in_the_same_bytes_is_refused() {
        let payload = encode(&decision(), Encoding::BinaryProtobuf);
        assert!(matches!(decode::<Outcome>(&[payload]), Err(PayloadError::MessageType(..))));
    }

    #[test]
    fn garbage_none_and_two_are_told_apart() {
        let good = encode(&decision(), Encoding::JsonPlain);
        assert_eq!(decode::<Decision>(&[]), Err(PayloadError::Missing));
        assert_eq!(
            decode::<Decision>(&[good.clone(), good.clone()]),
            Err(PayloadError::TooMany(2))
        );
        let unknown = Payload::default();
        assert_eq!(decode::<Decision>(&[unknown]), Err(PayloadError::Encoding(String::new())));
        let metadata = [(ENCODING, ENCRYPTED), (KEY_ID, b"k1")];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_vec())).into();
        let encrypted = Payload { metadata, ..Payload::default() };
        let why = decode::<Decision>(&[encrypted]).expect_err("nobody has decrypted it");
        assert_eq!(why, PayloadError::Encrypted("k1".into()));
        assert!(why.to_string().contains("COUNTERSIGN_PAYLOAD_KEYS_FILE"), "{why}");
        let endless = "\u{1}".repeat(1_000_000).into_bytes();
        for name in [ENCODING, MESSAGE_TYPE] {
            let mut payload = encode(&decision(), Encoding::BinaryProtobuf);
            payload.metadata.insert(name.to_owned(), endless.clone());
            let why = decode::<Decision>(&[payload]).expect_err("unknown").to_string();
            assert!(why.len() < 1_000, "{} bytes", why.len());
        }
        for encoding in ENCODINGS {
            let mut garbage = encode(&decision(), encoding);
            garbage.data = b"\xff{{".to_vec();
            assert!(matches!(decode::<Decision>(&[garbage]), Err(PayloadError::Data(_))));
        }
    }
}
