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
    /// The key at this position, from 1, can be guessed: see [`is_example`].
    #[error("key {0} is one of examples and tests, or repeats a few bytes: {new}", new = NEW)]
    Example(usize),
    /// The key at this position, from 1, is what somebody typed.
    #[error("key {0} is made of printable characters alone, as passwords are: {new}", new = NEW)]
    Printable(usize),
    /// The key at this position, from 1, is also at another one before it.
    #[error("key {0} is key {1} again: remove one of them, or {new}", new = NEW)]
    Repeated(usize, usize),
}

const NEW: &str =
    "make a random one with `countersign-worker new-key` or `openssl rand -base64 32`";

impl LinkKeys {
    /// The key that signs.
    pub fn first(&self) -> &LinkKey {
        &self.0[0]
    }

    /// All of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &LinkKey> {
        self.0.iter()
    }

    /// Their fingerprints in one line, for logs; the one that signs is marked.
    pub fn fingerprints(&self) -> String {
        let others = self.iter().skip(1).map(LinkKey::fingerprint);
        let first = format!("{} (signs)", self.first().fingerprint());
        std::iter::once(first).chain(others).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a secret can be guessed: it repeats a few bytes or counts, as those of examples and tests do. 24
/// random bytes do so once in about 10^20 draws.
pub fn is_example(secret: &[u8]) -> bool {
    const FEW: usize = 9;
    let steps = secret.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    secret.iter().collect::<BTreeSet<_>>().len() < FEW || steps.collect::<BTreeSet<_>>().len() < FEW
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

    /// The keys may also stand on lines of their own.
    fn from_str(text: &str) -> Result<Self, LinkKeysError> {
        let mut keys = Vec::new();
        let all = text.split([',', '\n']).map(str::trim).filter(|key| !key.is_empty());
        for (key, number) in all.zip(1..) {
            let key = LinkKey::read(key, number)?;
            if let Some(earlier) = keys.iter().position(|other| *other == key) {
                return Err(LinkKeysError::Repeated(number, earlier + 1));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(LinkKeysError::Empty);
        }
        Ok(LinkKeys(keys))
    }
}

impl LinkKey {
    /// `number` is the key's position, from 1.
    fn read(base64: &str, number: usize) -> Result<Self, LinkKeysError> {
        let bytes = BASE64_STANDARD.decode(base64).map_err(|_| LinkKeysError::NotBase64(number))?;
        let key: [u8; 32] = bytes
            .try_into()
            .map_err(|bytes: Vec<u8>| LinkKeysError::WrongLength(number, bytes.len()))?;
        if is_example(&key) {
            return Err(LinkKeysError::Example(number));
        }
        // 32 random bytes are all printable once in about 10^14 draws.
        if key.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(LinkKeysError::Printable(number));
        }
        Ok(LinkKey(key))
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

    pub(crate) const KEY_A: &str = "CvguqOKqVKDK860eZ7NyUp5e5MtC5eQUsOsNC5Xq378=";
    pub(crate) const KEY_B: &str = "8oapFD6Ji3k4hgDsZXmPaL2ede+T0qBK5epfJ6skIyw=";

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
        assert_eq!(
            format!("{KEY_A},{KEY_B}\n{KEY_A}").parse::<LinkKeys>().unwrap_err(),
            LinkKeysError::Repeated(3, 1)
        );
    }

    #[test]
    fn keys_that_can_be_guessed_are_refused() {
        let counted: [u8; 32] = std::array::from_fn(|i| i as u8);
        let down: [u8; 32] = std::array::from_fn(|i| 200 - 3 * i as u8);
        for (bytes, why) in [
            ([0; 32], LinkKeysError::Example(1)),
            (counted, LinkKeysError::Example(1)),
            (counted.map(|byte| byte + 32), LinkKeysError::Example(1)),
            (down, LinkKeysError::Example(1)),
            (*b"0123456789abcdef0123456789abcdef", LinkKeysError::Example(1)),
            (*b"correct horse battery staple 42!", LinkKeysError::Printable(1)),
        ] {
            let refused = BASE64_STANDARD.encode(bytes).parse::<LinkKeys>().unwrap_err();
            assert_eq!(refused, why, "{bytes:?}");
            assert!(refused.to_string().contains("countersign-worker new-key"), "{refused}");
        }
    }

    #[test]
    fn keys_may_stand_on_lines_of_their_own() {
        for text in [format!("{KEY_A}\n{KEY_B}\n"), format!(" {KEY_A}\r\n\r\n,{KEY_B}\r\n")] {
            assert_eq!(keys(&text).0, keys(&format!("{KEY_A},{KEY_B}")).0, "{text:?}");
        }
    }

    #[test]
    fn fingerprints_say_which_key_signs() {
        let [a, b] = [KEY_A, KEY_B].map(|key| keys(key).first().fingerprint());
        assert_eq!(keys(&format!("{KEY_B},{KEY_A}")).fingerprints(), format!("{b} (signs), {a}"));
        assert_eq!(keys(KEY_A).fingerprints(), format!("{a} (signs)"));
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
        assert!(!shown.contains(&KEY_A[..4]) && !shown.contains("[10, 248"), "{shown}");
    }
}
