//! Seals: proof that a holder of the link keys recorded these bytes, for this approval alone.

use subtle::ConstantTimeEq;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::keys::{LinkKey, LinkKeys};

const VERSION: &str = "v1";

/// All runs of one start of a workflow: the server keeps the first run's ID through resets and
/// continue-as-new, and nobody chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain<'a> {
    /// Unique among open workflows only.
    pub workflow_id: &'a str,
    /// The ID of its first run.
    pub first_run_id: &'a str,
}

/// What a seal is for: bytes that are sealed as one are not accepted as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// The plan that `validate_submission` made of a submission.
    Plan,
    /// The outcome that `conclude` recomputed.
    Outcome,
}

/// Why bytes are not accepted as sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    /// Nobody with our keys sealed this. No retry changes it.
    #[error("it was not recorded for this approval by a worker with these COUNTERSIGN_LINK_KEYS")]
    Forged,
    /// It may be genuine: another process has the key, or is newer.
    #[error("its seal was made with the key {0:?}, which is not in COUNTERSIGN_LINK_KEYS")]
    UnknownKey(String),
    /// A newer version made it.
    #[error("its seal has the version {0:?}, which this version does not know")]
    UnknownVersion(String),
}

impl LinkKey {
    /// Seals bytes for an approval of what has this [digest](crate::digest): `v1.FINGERPRINT.MAC`.
    pub fn seal(&self, what: Sealing, chain: Chain<'_>, digest: &str, bytes: &[u8]) -> String {
        let mac = BASE64_URL_SAFE_NO_PAD.encode(mac(self, what, chain, digest, bytes));
        format!("{VERSION}.{}.{mac}", self.fingerprint())
    }

    /// Whether this key made the seal, for these bytes and this approval.
    pub fn has_sealed(
        &self,
        seal: &str,
        what: Sealing,
        chain: Chain<'_>,
        digest: &str,
        bytes: &[u8],
    ) -> bool {
        self.seal(what, chain, digest, bytes).as_bytes().ct_eq(seal.as_bytes()).into()
    }
}

impl LinkKeys {
    /// Checks a seal, and returns the key that made it.
    ///
    /// # Errors
    /// If the bytes were not sealed, or not for this, or with a key that is not here.
    pub fn unseal(
        &self,
        seal: &str,
        what: Sealing,
        chain: Chain<'_>,
        digest: &str,
        bytes: &[u8],
    ) -> Result<&LinkKey, NotSealed> {
        let mut parts = seal.splitn(3, '.');
        let (Some(version), Some(fingerprint), Some(sealed)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(NotSealed::Forged);
        };
        if version != VERSION {
            return Err(NotSealed::UnknownVersion(version.to_owned()));
        }
        let key = self.iter().find(|key| key.fingerprint() == fingerprint);
        let key = key.ok_or_else(|| NotSealed::UnknownKey(fingerprint.to_owned()))?;
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).map_err(|_| NotSealed::Forged)?;
        match bool::from(mac(key, what, chain, digest, bytes).ct_eq(&sealed)) {
            true => Ok(key),
            false => Err(NotSealed::Forged),
        }
    }
}

fn mac(key: &LinkKey, what: Sealing, chain: Chain<'_>, digest: &str, bytes: &[u8]) -> [u8; 32] {
    let Chain { workflow_id, first_run_id } = chain;
    let parts = [workflow_id.as_bytes(), first_run_id.as_bytes(), digest.as_bytes(), bytes];
    let purpose = match what {
        Sealing::Plan => "plan",
        Sealing::Outcome => "sealed outcome",
    };
    key.mac(purpose, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::{KEY_A, KEY_B, keys};

    const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

    #[test]
    fn any_other_byte_approval_or_document_breaks_a_seal() {
        let keys = keys(KEY_A);
        let bytes = br#"{"plan":1}"#;
        let seal = keys.first().seal(Sealing::Plan, CHAIN, "v1:0", bytes);
        assert_eq!(keys.unseal(&seal, Sealing::Plan, CHAIN, "v1:0", bytes), Ok(keys.first()));
        let has_sealed =
            |seal: &str, bytes| keys.first().has_sealed(seal, Sealing::Plan, CHAIN, "v1:0", bytes);
        assert!(has_sealed(&seal, bytes));
        assert!(
            !has_sealed(&seal, b"{}") && !has_sealed("", bytes) && !has_sealed(&seal[1..], bytes)
        );
        for at in 0..bytes.len() {
            let mut other = bytes.to_vec();
            other[at] ^= 1;
            assert_eq!(
                keys.unseal(&seal, Sealing::Plan, CHAIN, "v1:0", &other),
                Err(NotSealed::Forged),
                "{at}"
            );
        }
        let other = keys.unseal(&seal, Sealing::Outcome, CHAIN, "v1:0", bytes);
        assert_eq!(other, Err(NotSealed::Forged), "as something else");
        let others = [
            (Chain { workflow_id: "other", ..CHAIN }, "v1:0"),
            (Chain { first_run_id: "other", ..CHAIN }, "v1:0"),
            (CHAIN, "v1:1"),
        ];
        for (chain, digest) in others {
            assert_eq!(
                keys.unseal(&seal, Sealing::Plan, chain, digest, bytes),
                Err(NotSealed::Forged)
            );
        }
        for at in 0..seal.len() {
            let mut other = seal.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).expect("ASCII");
            assert!(keys.unseal(&other, Sealing::Plan, CHAIN, "v1:0", bytes).is_err(), "{other}");
        }
    }

    #[test]
    fn a_key_that_is_not_here_may_be_elsewhere() {
        let (old, new) = (keys(KEY_A), keys(KEY_B));
        let both = keys(&format!("{KEY_A},{KEY_B}"));
        let seal = new.first().seal(Sealing::Plan, CHAIN, "v1:0", b"plan");
        let fingerprint = new.first().fingerprint();
        assert_eq!(
            old.unseal(&seal, Sealing::Plan, CHAIN, "v1:0", b"plan"),
            Err(NotSealed::UnknownKey(fingerprint))
        );
        assert_eq!(both.unseal(&seal, Sealing::Plan, CHAIN, "v1:0", b"plan"), Ok(new.first()));
        let newer = seal.replacen("v1", "v2", 1);
        let unknown = Err(NotSealed::UnknownVersion("v2".to_owned()));
        assert_eq!(both.unseal(&newer, Sealing::Plan, CHAIN, "v1:0", b"plan"), unknown);
        for malformed in ["", "v1", "v1.", "..."] {
            assert!(
                both.unseal(malformed, Sealing::Plan, CHAIN, "v1:0", b"plan").is_err(),
                "{malformed}"
            );
        }
    }
}
