//! Encrypted payloads, in the form of Temporal's own samples: AES-256-GCM over the serialised payload, with a nonce
//! of 12 random bytes before the ciphertext, and the key's ID in the metadata. So the samples' codecs and codec
//! servers read what we write, and we read what they write
//! (<https://github.com/temporalio/samples-python/tree/main/encryption>).

mod keys;

use std::sync::Arc;

use countersign_protos::payload::{ENCODING, ENCRYPTED, KEY_ID, PayloadError, encrypted_with};
use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use prost::Message;
use temporalio_client::{Client, ClientOptions};
use temporalio_common::{
    data_converters::{
        DataConverter, DefaultFailureConverter, PayloadCodec, PayloadConversionError,
        PayloadConverter, SerializationContextData,
    },
    payload_visitor::{PayloadVisitable, decode_payloads},
    protos::temporal::api::common::v1::Payload,
};

use self::keys::{NotDecrypted, random_nonce};
pub use self::keys::{PayloadKeys, PayloadKeysError};

/// A converter that encrypts with the first of the keys, and decrypts with all of them. Where it encrypts, what a
/// failure says is in an encrypted payload, too, and its message says no more than that.
pub(crate) fn converter(keys: &PayloadKeys) -> DataConverter {
    DataConverter::new(
        PayloadConverter::default(),
        DefaultFailureConverter::new(keys.encrypt()),
        Codec(Arc::new(keys.clone())),
    )
}

/// Whether a codec changes what this client writes: ours, or that of a program around the worker.
pub fn encodes(client: &ClientOptions) -> bool {
    let codec = client.data_converter.codec();
    let probe = codec.encode(&SerializationContextData::None, vec![Payload::default()]);
    // A codec that has to ask somebody does more than nothing.
    probe.now_or_never().is_none_or(
        |encoded| !matches!(encoded.as_deref(), Ok([same]) if *same == Payload::default()),
    )
}

/// A message that was read by a plain call, with its payloads decoded. Those that cannot be are left as they are.
pub async fn decoded<M: PayloadVisitable>(client: &Client, mut message: M) -> M {
    let codec = client.options().data_converter.codec();
    // Stops at the first payload that a codec other than ours refuses: what comes before it is decoded.
    let _ = decode_payloads(&mut message, codec, &SerializationContextData::None).await;
    message
}

/// Payloads as they are to be sent by a plain call.
///
/// # Errors
/// If the codec cannot encode them.
pub async fn encoded(
    client: &Client,
    payloads: Vec<Payload>,
) -> Result<Vec<Payload>, PayloadConversionError> {
    let codec = client.options().data_converter.codec();
    codec.encode(&SerializationContextData::None, payloads).await
}

/// Lets pass what is not encrypted, and what no key of its name has encrypted: whoever reads it says so. What is
/// encrypted with a key that is not here, others may read: a workflow's task and an activity wait for the key.
/// Otherwise a worker that lacks it would ignore what others do not, and a replay would differ from the first run.
struct Codec(Arc<PayloadKeys>);

impl Codec {
    fn encrypt(&self, payload: Payload) -> Result<Payload, PayloadConversionError> {
        if !self.0.encrypt() {
            return Ok(payload);
        }
        let nonce = random_nonce().map_err(failed)?;
        let (key_id, data) = self.0.encrypted(nonce, payload.encode_to_vec());
        let metadata = [(ENCODING, ENCRYPTED.to_vec()), (KEY_ID, key_id.as_bytes().to_vec())];
        let metadata = metadata.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Payload { metadata, data, ..Payload::default() })
    }

    fn decrypt(&self, payload: Payload, waits: bool) -> Result<Payload, PayloadConversionError> {
        let Some(shown) = encrypted_with(&payload.metadata) else { return Ok(payload) };
        let key_id = payload.metadata.get(KEY_ID).map_or(&b""[..], Vec::as_slice);
        match self.0.decrypted(key_id, &payload.data) {
            Ok(plain) => Ok(Payload::decode(&*plain).unwrap_or(payload)),
            // Without an ID, it is nobody's.
            Err(NotDecrypted::KeyMissing) if waits && !key_id.is_empty() => {
                Err(failed(PayloadError::Encrypted(shown)))
            }
            Err(_) => Ok(payload),
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> PayloadConversionError {
    PayloadConversionError::EncodingError(Box::new(error))
}

type Coded = BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>>;

impl PayloadCodec for Codec {
    fn encode(&self, _: &SerializationContextData, payloads: Vec<Payload>) -> Coded {
        ready(payloads.into_iter().map(|payload| self.encrypt(payload)).collect()).boxed()
    }

    fn decode(&self, context: &SerializationContextData, payloads: Vec<Payload>) -> Coded {
        let waits = !matches!(context, SerializationContextData::None);
        ready(payloads.into_iter().map(|payload| self.decrypt(payload, waits)).collect()).boxed()
    }
}

#[cfg(test)]
mod tests;
