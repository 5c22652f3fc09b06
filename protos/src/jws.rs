//! Signed outcomes: a compact JWS (RFC 7515, EdDSA by RFC 8037) that any JWT library checks.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::keys::{LinkKey, LinkKeys};

/// What a signed outcome says: the facts that a caller acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// The approval's workflow ID, which a later approval may have too.
    pub workflow_id: String,
    /// The first run of its chain: another start of the same workflow ID has another one.
    pub first_run_id: String,
    /// The submission's own ID, which nothing makes unique.
    pub submission_id: String,
    /// The name of a final [`Status`](crate::v1::Status).
    pub status: String,
    /// What decided: `people`, `rule`, `deadline` or `withdrawal`.
    pub basis: String,
    /// Whether somebody without a link had a part in it: by a vote that counted, or by naming a reviewer
    /// whose vote counted.
    pub operator: bool,
    /// What was decided: see [`digest`](crate::digest).
    pub digest: String,
    /// What may be done: see [`action_digest`](crate::action_digest). Empty if there is no action.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action_digest: String,
    /// The same for each delivery: see [`execution_key`](crate::execution_key).
    pub execution_key: String,
    /// When (RFC 3339).
    pub decided_at: String,
}

/// A set of public keys (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

/// A public key (RFC 8037, 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    #[serde(default, rename = "use")]
    purpose: String,
    #[serde(default)]
    alg: String,
    kid: String,
    x: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

/// Why a signed outcome is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJws {
    /// It is not a JWS at all, or uses another algorithm.
    #[error("it is not a compact JWS with the algorithm EdDSA")]
    Malformed,
    /// It may be genuine: another process has its key.
    #[error("its key {0:?} is not among these public keys")]
    UnknownKey(String),
    /// It was changed, or somebody else signed it.
    #[error("its signature is wrong: it was changed, or forged")]
    Forged,
}

impl LinkKey {
    /// Signs an outcome. The same claims have the same signature.
    pub fn sign(&self, claims: &Claims) -> String {
        let header = Header { alg: "EdDSA".to_owned(), kid: self.fingerprint() };
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.outcome_pair().sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn outcome_pair(&self) -> SigningKey {
        self.pair("outcome", &[])
    }
}

impl LinkKeys {
    /// The public keys of all outcomes that these keys have signed.
    pub fn jwks(&self) -> Jwks {
        let key = |key: &LinkKey| Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            purpose: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            kid: key.fingerprint(),
            x: BASE64_URL_SAFE_NO_PAD.encode(key.outcome_pair().verifying_key()),
        };
        Jwks { keys: self.iter().map(key).collect() }
    }
}

impl Jwks {
    /// The fingerprints of the link keys that they belong to, that of the one that signs first.
    pub fn names(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.kid.clone()).collect()
    }

    /// The claims of a signed outcome.
    ///
    /// # Errors
    /// If none of these keys has signed exactly this.
    pub fn verify(&self, jws: &str) -> Result<Claims, InvalidJws> {
        let (signed, signature) = jws.rsplit_once('.').ok_or(InvalidJws::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidJws::Malformed)?;
        let header: Header = read(header).ok_or(InvalidJws::Malformed)?;
        if header.alg != "EdDSA" {
            return Err(InvalidJws::Malformed);
        }
        let key = self.keys.iter().find(|key| key.kid == header.kid).and_then(Jwk::public);
        let key = key.ok_or(InvalidJws::UnknownKey(header.kid))?;
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(signature).ok();
        let signature = decoded.and_then(|bytes| Signature::from_slice(&bytes).ok());
        let signature = signature.ok_or(InvalidJws::Forged)?;
        key.verify_strict(signed.as_bytes(), &signature).map_err(|_| InvalidJws::Forged)?;
        read(claims).ok_or(InvalidJws::Malformed)
    }
}

impl Jwk {
    fn public(&self) -> Option<VerifyingKey> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&self.x).ok()?.try_into().ok()?;
        VerifyingKey::from_bytes(&bytes).ok()
    }
}

fn part(value: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn read<T: for<'a> Deserialize<'a>>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{KEY_A, KEY_B, keys};

    fn claims() -> Claims {
        Claims {
            workflow_id: "laptops".into(),
            first_run_id: "run".into(),
            submission_id: "PO-1".into(),
            status: "APPROVED".into(),
            basis: "people".into(),
            operator: false,
            digest: "v1:0".into(),
            action_digest: String::new(),
            execution_key: "0".into(),
            decided_at: "2026-11-24T10:00:00Z".into(),
        }
    }

    #[test]
    fn a_signed_outcome_is_checked_with_public_keys_old_ones_too() {
        let old = keys(KEY_A);
        let rotated = keys(&format!("{KEY_B},{KEY_A}"));
        let jws = old.first().sign(&claims());
        assert_eq!(old.first().sign(&claims()), jws, "the same each time");
        assert_eq!(rotated.jwks().verify(&jws), Ok(claims()));
        let kid = old.first().fingerprint();
        assert_eq!(keys(KEY_B).jwks().verify(&jws), Err(InvalidJws::UnknownKey(kid)));
        let published = serde_json::to_string(&rotated.jwks()).expect("JSON");
        let read: Jwks = serde_json::from_str(&published).expect("a JWK set");
        assert_eq!(read.verify(&jws), Ok(claims()));
    }

    #[test]
    fn what_may_be_done_is_signed_and_costs_nothing_where_there_is_no_action() {
        let action_digest = "a".repeat(64);
        let with_action = Claims { action_digest: action_digest.clone(), ..claims() };
        let jws = keys(KEY_A).first().sign(&with_action);
        let read = keys(KEY_A).jwks().verify(&jws).expect("genuine");
        assert_eq!(read.action_digest, action_digest);
        assert!(!serde_json::to_string(&claims()).expect("JSON").contains("action"));
    }

    #[test]
    fn a_changed_character_anywhere_breaks_it() {
        let jwks = keys(KEY_A).jwks();
        let jws = keys(KEY_A).first().sign(&claims());
        for at in 0..jws.len() {
            let mut changed = jws.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(jwks.verify(&changed).is_err(), "character {at}");
        }
        let none = format!(
            "{}.{}.",
            part(&serde_json::json!({"alg": "none", "kid": ""})),
            part(&claims())
        );
        for malformed in ["", ".", "..", "a.b.c", &none] {
            assert_eq!(jwks.verify(malformed), Err(InvalidJws::Malformed), "{malformed}");
        }
    }
}
