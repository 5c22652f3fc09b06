//! The secrets that worker and signaler share, and what is derived from them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use ed25519_dalek::SigningKey;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// One of the [`LinkKeys`].
#[derive(Clone, PartialEq, Eq)]
pub struct LinkKey([u8; 32]);

/// The keys of `COUNTERSIGN_LINK_KEYS`: the first one signs, all verify. Never empty.
#[derive(Clone)]
pub struct LinkKeys(Vec<LinkKey>);

/// Every problem with link keys, without the keys themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{}; make a random one with `countersign-worker new-key` or `openssl rand -base64 32`",
    .0.join(", ")
)]
pub struct LinkKeysError(Vec<String>);

/// The beginnings of the SHA-256 of secrets that everybody knows, in base64url: the example of Standard Webhooks,
/// and those that this repository's tests had.
const PUBLISHED: [&str; 5] =
    ["904XILdhSIE", "syNKL-kgS30", "Vl4nQ5-M3V4", "m3Kx1bkcxUo", "cPIUqFQNcSE"];

const EXAMPLE: &str = "is one of examples and tests, or repeats a few bytes";

impl LinkKeys {
    /// The key that signs.
    pub fn first(&self) -> &LinkKey {
        &self.0[0]
    }

    /// All of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &LinkKey> {
        self.0.iter()
    }

    /// The fingerprint of each, that of the first one first.
    pub fn names(&self) -> Vec<String> {
        self.iter().map(LinkKey::fingerprint).collect()
    }

    /// Their fingerprints in one line, for logs; the one that signs is marked.
    pub fn fingerprints(&self) -> String {
        let others = self.iter().skip(1).map(LinkKey::fingerprint);
        let first = format!("{} (signs)", self.first().fingerprint());
        std::iter::once(first).chain(others).collect::<Vec<_>>().join(", ")
    }
}

/// Why a secret can be guessed: it is published, it repeats a few bytes or counts, as those of examples and tests do,
/// or somebody has typed it. 24 random bytes do the former once in about 10^20 draws, and look like the latter once in 10^10.
pub fn guessable(secret: &[u8]) -> Option<&'static str> {
    let is_printable = secret.iter().all(|byte| (b' '..=b'~').contains(byte));
    of_examples(secret)
        .or(is_printable.then_some("is made of printable characters alone, as passwords are"))
}

/// The same without those that may be typed: a key that others have made, and use already.
pub fn of_examples(secret: &[u8]) -> Option<&'static str> {
    const FEW: usize = 9;
    let steps = secret.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let repeats = secret.iter().collect::<BTreeSet<_>>().len() < FEW
        || steps.collect::<BTreeSet<_>>().len() < FEW;
    let hash = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(secret)[..8]);
    (repeats || PUBLISHED.contains(&hash.as_str())).then_some(EXAMPLE)
}

/// Good keys for tests. They are computed, so that they stand nowhere for somebody to copy them.
#[doc(hidden)]
pub const TEST_KEYS: [&str; 2] = [as_text(&FIRST_TEST_KEY), as_text(&SECOND_TEST_KEY)];
const FIRST_TEST_KEY: [u8; 44] = test_key(1);
const SECOND_TEST_KEY: [u8; 44] = test_key(2);

/// The same as secrets of webhooks.
#[doc(hidden)]
pub const TEST_WEBHOOK_SECRETS: [&str; 2] =
    [as_text(&FIRST_TEST_WEBHOOK_SECRET), as_text(&SECOND_TEST_WEBHOOK_SECRET)];
const FIRST_TEST_WEBHOOK_SECRET: [u8; 50] = test_webhook_secret(&FIRST_TEST_KEY);
const SECOND_TEST_WEBHOOK_SECRET: [u8; 50] = test_webhook_secret(&SECOND_TEST_KEY);

const fn test_webhook_secret(key: &[u8; 44]) -> [u8; 50] {
    let mut text = *b"whsec_--------------------------------------------";
    let (_, base64) = text.split_at_mut(6);
    base64.copy_from_slice(key);
    text
}

/// 32 bytes in base64, from a linear congruential generator.
const fn test_key(seed: u32) -> [u8; 44] {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut text, mut state, mut i) = ([b'='; 44], seed, 0);
    while i < 43 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The last character has four bits.
        let bits = if i < 42 { state >> 26 } else { (state >> 26) & !3 };
        text[i] = BASE64[bits as usize];
        i += 1;
    }
    text
}

const fn as_text(ascii: &[u8]) -> &str {
    match std::str::from_utf8(ascii) {
        Ok(text) => text,
        Err(_) => panic!("base64 is ASCII"),
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

    /// The keys may also stand on lines of their own.
    fn from_str(text: &str) -> Result<Self, LinkKeysError> {
        listed(text, "key", LinkKey::read).map(LinkKeys).map_err(LinkKeysError)
    }
}

/// The secrets of a list, which commas or line breaks separate: each once, and at least one. `what` they are called.
///
/// # Errors
/// Every problem, without the secrets themselves.
pub fn listed<T: PartialEq>(
    text: &str,
    what: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Vec<String>> {
    let (mut secrets, mut wrong) = (Vec::<(usize, T)>::new(), Vec::new());
    let all = text.split([',', '\n']).map(str::trim).filter(|secret| !secret.is_empty());
    for (secret, number) in all.zip(1..) {
        match read(secret) {
            Err(why) => wrong.push(format!("{what} {number} {why}")),
            Ok(secret) => match secrets.iter().find(|(_, other)| *other == secret) {
                Some((earlier, _)) => {
                    let again = format!("{what} {number} is {what} {earlier} again");
                    wrong.push(format!("{again}: remove one of them"));
                }
                None => secrets.push((number, secret)),
            },
        }
    }
    match (secrets.is_empty(), wrong.is_empty()) {
        (false, true) => Ok(secrets.into_iter().map(|(_, secret)| secret).collect()),
        (true, true) => Err(vec![format!("no {what} is given")]),
        (_, false) => Err(wrong),
    }
}

impl LinkKey {
    /// Or what is wrong with it.
    fn read(base64: &str) -> Result<Self, String> {
        let bytes = BASE64_STANDARD.decode(base64).map_err(|_| "is not base64")?;
        let key: [u8; 32] = bytes
            .try_into()
            .map_err(|bytes: Vec<u8>| format!("has {} bytes, not 32", bytes.len()))?;
        if let Some(why) = guessable(&key) {
            return Err(why.to_owned());
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

    pub(crate) const KEY_A: &str = TEST_KEYS[0];
    pub(crate) const KEY_B: &str = TEST_KEYS[1];

    pub(crate) fn keys(text: &str) -> LinkKeys {
        text.parse().expect("good keys")
    }

    /// What is wrong with these, without the remedy behind it.
    fn wrong(text: &str) -> String {
        let wrong = text.parse::<LinkKeys>().expect_err("wrong").to_string();
        let (why, remedy) = wrong.rsplit_once("; ").expect("a remedy");
        assert!(remedy.contains("countersign-worker new-key"), "{remedy}");
        why.to_owned()
    }

    #[test]
    fn every_wrong_key_is_named() {
        for (text, why) in [
            (String::new(), "no key is given"),
            (" ,\n".to_owned(), "no key is given"),
            (format!("{KEY_A},x y"), "key 2 is not base64"),
            ("c2hvcnQ=".to_owned(), "key 1 has 5 bytes, not 32"),
            (format!("{KEY_A},{KEY_B}\n{KEY_A}"), "key 3 is key 1 again: remove one of them"),
            (
                format!("x y,{KEY_B},c2hvcnQ=,{KEY_B}"),
                "key 1 is not base64, key 3 has 5 bytes, not 32, key 4 is key 2 again: remove one of \
                 them",
            ),
        ] {
            assert_eq!(wrong(&text), why);
        }
    }

    #[test]
    fn keys_that_can_be_guessed_are_refused() {
        let counted: [u8; 32] = std::array::from_fn(|i| i as u8);
        let down: [u8; 32] = std::array::from_fn(|i| 200 - 3 * i as u8);
        let typed = "is made of printable characters alone, as passwords are";
        for (bytes, why) in [
            ([0; 32], EXAMPLE),
            (counted, EXAMPLE),
            (counted.map(|byte| byte + 32), EXAMPLE),
            (down, EXAMPLE),
            (*b"0123456789abcdef0123456789abcdef", EXAMPLE),
            (*b"correct horse battery staple 42!", typed),
        ] {
            assert_eq!(wrong(&BASE64_STANDARD.encode(bytes)), format!("key 1 {why}"), "{bytes:?}");
        }
        // Those that our tests had.
        for published in [
            "CvguqOKqVKDK860eZ7NyUp5e5MtC5eQUsOsNC5Xq378=",
            "8oapFD6Ji3k4hgDsZXmPaL2ede+T0qBK5epfJ6skIyw=",
        ] {
            assert_eq!(wrong(published), format!("key 1 {EXAMPLE}"));
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
        let bytes = format!("{:?}", &keys(KEY_A).first().0[..2]);
        let bytes = bytes.trim_end_matches(']');
        assert!(!shown.contains(&KEY_A[..4]) && !shown.contains(bytes), "{shown}");
    }
}
