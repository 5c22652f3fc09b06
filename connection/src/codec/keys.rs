//! Payload keys: several with their IDs, of which the first one encrypts and all decrypt.

use std::{fmt, io, str::FromStr, sync::Arc};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use countersign_protos::{listed, of_examples};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};

/// In place of a first key: payloads are read with the others, and written without encryption.
const NONE: &str = "none";
/// The longest ID of a key.
const MAX_ID_BYTES: usize = 100;

/// The keys of `COUNTERSIGN_PAYLOAD_KEYS`: never empty.
#[derive(Clone)]
pub struct PayloadKeys {
    keys: Arc<[PayloadKey]>,
    encrypt: bool,
}

struct PayloadKey {
    /// As it stands in the metadata of what the key encrypts.
    id: String,
    key: LessSafeKey,
    fingerprint: String,
}

/// Every problem with payload keys, without the keys themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}; each is ID:KEY, such as 2026-12:KEY with 32 random bytes in base64, as `openssl rand -base64 32` prints \
     them",
    .0.join(", ")
)]
pub struct PayloadKeysError(Vec<String>);

/// Why something is not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotDecrypted {
    /// No key of this ID is here.
    KeyMissing,
    /// The key of this ID has not encrypted this.
    Altered,
}

/// As long as a key encrypts no more than some 2^32 payloads, random nonces do not repeat (NIST SP 800-38D, 8.3).
pub(super) fn random_nonce() -> io::Result<[u8; NONCE_LEN]> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(io::Error::from)?;
    Ok(nonce)
}

impl PayloadKeys {
    /// Whether payloads are encrypted, and not only decrypted.
    pub fn encrypt(&self) -> bool {
        self.encrypt
    }

    /// The ID of each key with its fingerprint, which reveals nothing; the one that encrypts comes first. Where none
    /// does, that is `none`.
    pub fn names(&self) -> Vec<String> {
        let none = (!self.encrypt).then(|| NONE.to_owned());
        let name = |key: &PayloadKey| format!("{}:{}", key.id, key.fingerprint);
        none.into_iter().chain(self.keys.iter().map(name)).collect()
    }

    /// The ID of the first key, and the nonce with what the key has made of this plaintext.
    pub(super) fn encrypted(&self, nonce: [u8; NONCE_LEN], mut plain: Vec<u8>) -> (&str, Vec<u8>) {
        let PayloadKey { id, key, .. } = &self.keys[0];
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut plain)
            .expect("Temporal's messages are shorter than 64 GiB");
        (id, [&nonce[..], &plain].concat())
    }

    /// What a key of this ID has encrypted.
    pub(super) fn decrypted(&self, id: &[u8], data: &[u8]) -> Result<Vec<u8>, NotDecrypted> {
        let key = self.keys.iter().find(|key| key.id.as_bytes() == id);
        let PayloadKey { key, .. } = key.ok_or(NotDecrypted::KeyMissing)?;
        let (nonce, encrypted) = data.split_at_checked(NONCE_LEN).ok_or(NotDecrypted::Altered)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotDecrypted::Altered)?;
        let mut encrypted = encrypted.to_vec();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut encrypted);
        plain.map(|plain| plain.to_vec()).map_err(|_| NotDecrypted::Altered)
    }
}

impl FromStr for PayloadKeys {
    type Err = PayloadKeysError;

    /// The keys may also stand on lines of their own.
    fn from_str(text: &str) -> Result<Self, PayloadKeysError> {
        let text = text.trim_start();
        let (first, rest) = text.split_once([',', '\n']).unwrap_or((text, ""));
        let encrypt = first.trim() != NONE;
        let keys = listed(if encrypt { text } else { rest }, "key", PayloadKey::read);
        let keys = keys.map_err(PayloadKeysError)?.into();
        Ok(PayloadKeys { keys, encrypt })
    }
}

impl PayloadKey {
    /// Or what is wrong with it.
    fn read(text: &str) -> Result<Self, String> {
        let (id, base64) = text.split_once(':').ok_or("is not ID:KEY")?;
        let (id, base64) = (id.trim(), base64.trim());
        let is_plain = id.bytes().all(|byte| byte.is_ascii_graphic());
        if id.is_empty() || id == NONE || id.len() > MAX_ID_BYTES || !is_plain {
            return Err(format!(
                "must have an ID of 1 to {MAX_ID_BYTES} letters, digits or signs, other than {NONE}"
            ));
        }
        let bytes = BASE64_STANDARD.decode(base64).map_err(|_| "is not base64 behind its ID")?;
        if bytes.len() != AES_256_GCM.key_len() {
            return Err(format!("has {} bytes, not {}", bytes.len(), AES_256_GCM.key_len()));
        }
        // Not one that was typed: callers may have had it before us.
        if let Some(why) = of_examples(&bytes) {
            return Err(why.to_owned());
        }
        let key = UnboundKey::new(&AES_256_GCM, &bytes).expect("it has the length of a key");
        Ok(PayloadKey {
            id: id.to_owned(),
            key: LessSafeKey::new(key),
            fingerprint: fingerprint(&bytes),
        })
    }
}

/// 11 characters of base64url.
fn fingerprint(key: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mac = hmac::sign(&key, b"countersign 1 payload key's fingerprint");
    BASE64_URL_SAFE_NO_PAD.encode(&mac.as_ref()[..8])
}

/// Those with one ID count as the same.
impl PartialEq for PayloadKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for PayloadKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
