//! The secrets that worker and signaler share, and what is derived from them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// One of the [`LinkKeys`].
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKey([u8; 32]);

/// The keys of `COUNTERSIGN_LINK_KEYS`: the first one signs, all verify. Never empty.
#[derive(Clone)]
pub struct LinkKeys(Vec<LinkKey>);

/// Why a string is not a list of link keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkKeysError {
    /// There is no key.
    #[error("no key is given")]
    Empty,
    /// The key at this position, from 1, is not base64.
    #[error("key {0} is not base64")]
    NotBase64(usize),
    /// The key at this position, from 1, has the wrong length.
    #[error("key {0} has {1} bytes, not 32")]
    WrongLength(usize, usize),
    /// The key at this position, from 1, can be guessed.
    #[error("key {0} repeats a few bytes: make a random one with `openssl rand -base64 32`")]
    Weak(usize),
}

impl LinkKeys {
    /// The key that signs.
    pub fn first(&self) -> &LinkKey {
        &self.0[0]
    }

    /// All of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &LinkKey> {
        self.0.iter()
    }
}

impl LinkKey {
    /// A name that reveals nothing: 11 characters of base64url.
    pub fn fingerprint(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(&self.mac("fingerprint", &[])[..8])
    }

    /// HMAC-SHA256 over the purpose and the parts, each with its length, so that no other parts have the
    /// same bytes.
    pub(crate) fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        for part in [&[b"countersign 1", purpose.as_bytes()], parts].concat() {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// A key pair of its own for each purpose and part (Ed25519, RFC 8032).
    pub(crate) fn pair(&self, purpose: &str, part: &[u8]) -> SigningKey {
        SigningKey::from_bytes(&self.mac(purpose, &[part]))
    }
}

impl FromStr for LinkKeys {
    type Err = LinkKeysError;

    fn from_str(text: &str) -> Result<Self, LinkKeysError> {
        let keys = text
            .split(',')
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .enumerate()
            .map(|(i, key)| {
                let bytes =
                    BASE64_STANDARD.decode(key).map_err(|_| LinkKeysError::NotBase64(i + 1))?;
                let key: [u8; 32] = bytes
                    .try_into()
                    .map_err(|bytes: Vec<u8>| LinkKeysError::WrongLength(i + 1, bytes.len()))?;
                // Such as all zeroes. 32 random bytes have fewer than 9 different values once in
                // about 10^30 draws.
                if key.iter().collect::<BTreeSet<_>>().len() < 9 {
                    return Err(LinkKeysError::Weak(i + 1));
                }
                Ok(LinkKey(key))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(LinkKeysError::Empty);
        }
        Ok(LinkKeys(keys))
    }
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkKey({})", self.fingerprint())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const KEY_A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    pub(crate) const KEY_B: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    pub(crate) fn keys(text: &str) -> LinkKeys {
        text.parse().expect("good keys")
    }

    #[test]
    fn wrong_keys_are_named() {
        assert_eq!("".parse::<LinkKeys>().unwrap_err(), LinkKeysError::Empty);
        assert_eq!(
            format!("{KEY_A},x y").parse::<LinkKeys>().unwrap_err(),
            LinkKeysError::NotBase64(2)
        );
        assert_eq!("c2hvcnQ=".parse::<LinkKeys>().unwrap_err(), LinkKeysError::WrongLength(1, 5));
        let zeroes = BASE64_STANDARD.encode([0; 32]);
        assert_eq!(zeroes.parse::<LinkKeys>().unwrap_err(), LinkKeysError::Weak(1));
    }

    #[test]
    fn parts_that_are_cut_elsewhere_have_another_mac() {
        let keys = keys(&format!("{KEY_A},{KEY_B}"));
        let macs: BTreeSet<_> = [
            ("a", vec![&b"bc"[..], b"d"]),
            ("a", vec![b"b", b"cd"]),
            ("a", vec![b"bcd"]),
            ("ab", vec![b"c", b"d"]),
            ("a", vec![]),
        ]
        .iter()
        .flat_map(|(purpose, parts)| keys.iter().map(move |key| key.mac(purpose, parts)))
        .collect();
        assert_eq!(macs.len(), 10);
    }

    #[test]
    fn keys_do_not_show_in_debug_output() {
        let shown = format!("{:?}", keys(KEY_A));
        assert!(shown.contains(&keys(KEY_A).first().fingerprint()), "{shown}");
        assert!(!shown.contains("AAEC") && !shown.contains("[0, 1, 2"), "{shown}");
    }
}
