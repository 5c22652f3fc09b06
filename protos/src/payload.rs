//! Payloads in the three encodings that Temporal's SDKs give protobuf messages, and back.
//!
//! Decoding never panics and never goes through the SDK's own conversion, where a payload that
//! does not decode fails the workflow task for ever.

use std::collections::HashMap;

use prost::{Message, Name};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use temporalio_common::protos::temporal::api::common::v1::Payload;

/// An encoding that Countersign reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Encoding {
    /// `json/plain`: what people write and most SDKs send.
    #[default]
    JsonPlain,
    /// `json/protobuf`: what the SDKs make of a protobuf message by default.
    JsonProtobuf,
    /// `binary/protobuf`.
    BinaryProtobuf,
}

/// Why a payload cannot be read; a sentence for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Exactly one payload is expected.
    #[error("one input is expected, and there is none")]
    Missing,
    /// Exactly one payload is expected.
    #[error("one input is expected, and there are {0}")]
    TooMany(usize),
    /// The metadata names another encoding.
    #[error("the encoding {0:?} is not json/plain, json/protobuf or binary/protobuf")]
    Encoding(String),
    /// The metadata names another message.
    #[error("the message is a {0}, not a {1}")]
    MessageType(String, String),
    /// The data is not what its encoding says.
    #[error("{0}")]
    Data(String),
}

const ENCODING: &str = "encoding";
const MESSAGE_TYPE: &str = "messageType";

impl Encoding {
    /// The name in a payload's metadata.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::JsonPlain => "json/plain",
            Encoding::JsonProtobuf => "json/protobuf",
            Encoding::BinaryProtobuf => "binary/protobuf",
        }
    }

    /// The encoding of one payload.
    pub fn of(payload: &Payload) -> Result<Self, Unreadable> {
        let name = payload.metadata.get(ENCODING).map_or(&b""[..], Vec::as_slice);
        [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf]
            .into_iter()
            .find(|encoding| encoding.as_str().as_bytes() == name)
            .ok_or_else(|| Unreadable::Encoding(quoted(name)))
    }
}

/// The beginning of a name that somebody else chose: whoever is told of it need not read more, and it
/// is told in places that have room for little.
fn quoted(name: &[u8]) -> String {
    const MAX: usize = 100;
    match name.len() {
        0..=MAX => String::from_utf8_lossy(name).into_owned(),
        _ => format!("{}…", String::from_utf8_lossy(&name[..MAX])),
    }
}

/// The one payload of an input.
pub fn single(payloads: &[Payload]) -> Result<&Payload, Unreadable> {
    match payloads {
        [] => Err(Unreadable::Missing),
        [payload] => Ok(payload),
        more => Err(Unreadable::TooMany(more.len())),
    }
}

/// Reads one message from the only payload of an input.
pub fn decode<M>(payloads: &[Payload]) -> Result<M, Unreadable>
where
    M: Message + Name + Default + DeserializeOwned,
{
    let payload = single(payloads)?;
    match Encoding::of(payload)? {
        Encoding::BinaryProtobuf => decode_binary(payload),
        Encoding::JsonPlain | Encoding::JsonProtobuf => serde_json::from_slice(&payload.data)
            .map_err(|error| Unreadable::Data(format!("not the expected JSON: {error}"))),
    }
}

/// As [`decode`], but no payload at all is a message in which nothing is set.
pub fn decode_optional<M>(payloads: &[Payload]) -> Result<M, Unreadable>
where
    M: Message + Name + Default + DeserializeOwned,
{
    match payloads {
        [] => Ok(M::default()),
        payloads => decode(payloads),
    }
}

/// Reads one message from a payload in `binary/protobuf`.
pub fn decode_binary<M>(payload: &Payload) -> Result<M, Unreadable>
where
    M: Message + Name + Default,
{
    if let Some(name) = payload.metadata.get(MESSAGE_TYPE)
        && name != M::full_name().as_bytes()
    {
        return Err(Unreadable::MessageType(quoted(name), M::full_name()));
    }
    M::decode(payload.data.as_slice())
        .map_err(|error| Unreadable::Data(format!("not the expected message: {error}")))
}

/// Writes one message.
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
    Payload { metadata, data, ..Payload::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Decision, Outcome};

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
            assert_eq!(Encoding::of(&payload), Ok(encoding));
            assert_eq!(decode(&[payload]), Ok(decision()));
        }
    }

    #[test]
    fn another_message_in_the_same_bytes_is_refused() {
        let payload = encode(&decision(), Encoding::BinaryProtobuf);
        assert!(matches!(decode::<Outcome>(&[payload]), Err(Unreadable::MessageType(..))));
    }

    #[test]
    fn garbage_none_and_two_are_told_apart() {
        let good = encode(&decision(), Encoding::JsonPlain);
        assert_eq!(decode::<Decision>(&[]), Err(Unreadable::Missing));
        assert_eq!(decode::<Decision>(&[good.clone(), good.clone()]), Err(Unreadable::TooMany(2)));
        let unknown = Payload::default();
        assert_eq!(decode::<Decision>(&[unknown]), Err(Unreadable::Encoding(String::new())));
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
            assert!(matches!(decode::<Decision>(&[garbage]), Err(Unreadable::Data(_))));
        }
    }
}
