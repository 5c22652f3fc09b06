//! Approval IDs: what a mailed link carries, and the keyed hashes that keep it safe.
//!
//! An ID is derived, never stored. It is 80 bits of HMAC-SHA256 over its [`LinkContext`], followed by
//! 40 bits of HMAC-SHA256 over those 80, so that a forged ID is refused without a look-up. Temporal
//! sees only the [`LinkHash`].

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_STANDARD};
use data_encoding::{Encoding, Specification};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::Verdict;

const BODY_LEN: usize = 10;
const CHECK_LEN: usize = 5;
const ID_LEN: usize = BODY_LEN + CHECK_LEN;
const ID_CHARS: usize = 24;
const HASH_CHARS: usize = 20;
/// 160 bits: 32 characters of base32.
const REQUEST_LEN: usize = 20;

/// Crockford's base32 (<https://www.crockford.com/base32.html>), with its tolerance for look-alikes.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    spec.translate.from.push_str("abcdefghjkmnpqrstvwxyzoOiIlL");
    spec.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    spec.encoding().expect("a constant, valid specification")
});

/// The secret in a mailed link: its holder can decide for one reviewer.
///
/// It shows its characters only through [`ApprovalId::reveal`], so that it cannot reach a log by
/// accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ApprovalId([u8; ID_LEN]);

/// The string is malformed: no key can have made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an approval ID has 24 letters and digits, such as 7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T")]
pub struct InvalidApprovalId;

impl ApprovalId {
    /// The ID as it is mailed: groups of four characters.
    pub fn reveal(&self) -> String {
        let text = CROCKFORD.encode(&self.0);
        let groups: Vec<&str> = (0..ID_CHARS).step_by(4).map(|i| &text[i..i + 4]).collect();
        groups.join("-")
    }

    /// The only form of this ID that may leave the process, except in a mail.
    pub fn hash(&self) -> LinkHash {
        let digest =
            Sha256::new().chain_update(b"countersign link hash\0").chain_update(self.0).finalize();
        let text = CROCKFORD.encode(&digest[..ID_LEN]).to_ascii_lowercase();
        LinkHash(text[..HASH_CHARS].to_owned())
    }
}

impl FromStr for ApprovalId {
    type Err = InvalidApprovalId;

    /// Accepts any case, `O` for `0`, `I` and `L` for `1`, spaces and missing dashes.
    fn from_str(text: &str) -> Result<Self, InvalidApprovalId> {
        // Anything much longer is not a typo.
        if text.len() > 2 * ID_CHARS {
            return Err(InvalidApprovalId);
        }
        let symbols: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
        let bytes = CROCKFORD.decode(symbols.as_bytes()).map_err(|_| InvalidApprovalId)?;
        bytes.try_into().map(ApprovalId).map_err(|_| InvalidApprovalId)
    }
}

impl fmt::Debug for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApprovalId(hash {})", self.hash().short())
    }
}

/// 100 bits of an approval ID's SHA-256: enough to find its approval, useless for deciding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkHash(String);

impl LinkHash {
    /// The hash's 20 characters, as search attributes and signals have them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 6 characters, for logs.
    pub fn short(&self) -> &str {
        &self.0[..6]
    }
}

/// A verified approval ID: its hash, and the key that made it.
#[derive(Clone)]
pub struct GenuineLink {
    hash: LinkHash,
    key: [u8; 32],
}

impl GenuineLink {
    /// The hash of the ID that was verified.
    pub fn hash(&self) -> &LinkHash {
        &self.hash
    }

    /// The request ID of the signal that carries this verdict to a run: the same whenever it is sent
    /// again, so that Temporal records one event; another one for each `attempt`.
    ///
    /// Temporal drops a signal whose request ID it has seen. Only holders of the key can compute the
    /// ID, so nobody else can use it up in advance.
    pub fn request_id(&self, run_id: &str, verdict: Verdict, attempt: u32) -> String {
        let parts = [
            self.hash.0.as_bytes(),
            &i32::from(verdict).to_be_bytes(),
            &attempt.to_be_bytes(),
            run_id.as_bytes(),
        ];
        let id = &mac(&self.key, b"signal request", &parts)[..REQUEST_LEN];
        format!("countersign-{}", CROCKFORD.encode(id).to_ascii_lowercase())
    }
}

impl fmt::Debug for GenuineLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenuineLink(hash {})", self.hash.short())
    }
}

/// What an approval ID is derived from, besides the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkContext<'a> {
    /// Drawn by the workflow at its start, so that a reused workflow ID does not revive old links.
    pub approval: Uuid,
    /// The stage's index, from 0.
    pub stage: u32,
    /// How many times this stage has issued links before.
    pub round: u32,
    /// The reviewer's e-mail address.
    pub reviewer: &'a str,
}

/// The keys of `COUNTERSIGN_LINK_KEYS`: the first one signs, all verify.
#[derive(Clone)]
pub struct LinkKeys(Vec<[u8; 32]>);

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
    /// Derives the ID with the signing key.
    pub fn issue(&self, context: LinkContext<'_>) -> ApprovalId {
        derive(&self.0[0], context)
    }

    /// Derives the ID that has this hash; `None` if the key that issued it was removed.
    pub fn reissue(&self, context: LinkContext<'_>, hash: &str) -> Option<ApprovalId> {
        self.0.iter().map(|key| derive(key, context)).find(|id| id.hash().as_str() == hash)
    }

    /// `None` if no key made this ID.
    pub fn verify(&self, id: &ApprovalId) -> Option<GenuineLink> {
        let (body, check) = id.0.split_at(BODY_LEN);
        let made =
            |key: &&[u8; 32]| bool::from(mac(key, b"check", &[body])[..CHECK_LEN].ct_eq(check));
        self.0.iter().find(made).map(|key| GenuineLink { hash: id.hash(), key: *key })
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
                Ok(key)
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
        write!(f, "LinkKeys({} keys)", self.0.len())
    }
}

fn derive(key: &[u8; 32], context: LinkContext<'_>) -> ApprovalId {
    let body = mac(
        key,
        b"body",
        &[
            context.approval.as_bytes(),
            &context.stage.to_be_bytes(),
            &context.round.to_be_bytes(),
            context.reviewer.as_bytes(),
        ],
    );
    let body = &body[..BODY_LEN];
    let check = mac(key, b"check", &[body]);
    let mut id = [0; ID_LEN];
    id[..BODY_LEN].copy_from_slice(body);
    id[BODY_LEN..].copy_from_slice(&check[..CHECK_LEN]);
    ApprovalId(id)
}

/// HMAC-SHA256 over `purpose` and `parts`. Only the last part may vary in length, or different parts
/// could have the same bytes.
fn mac(key: &[u8; 32], purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(b"countersign approval id\0");
    mac.update(purpose);
    mac.update(b"\0");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_A: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const KEY_B: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    fn keys(text: &str) -> LinkKeys {
        text.parse().expect("good keys")
    }

    fn context(reviewer: &str) -> LinkContext<'_> {
        LinkContext { approval: Uuid::from_u128(7), stage: 0, round: 0, reviewer }
    }

    #[test]
    fn an_id_is_the_same_each_time_and_differs_by_everything_it_is_derived_from() {
        let keys = keys(KEY_A);
        let base = context("ann@example.com");
        let same = [base, base].map(|context| keys.issue(context).reveal());
        assert_eq!(same[0], same[1]);
        let others = [
            LinkContext { approval: Uuid::from_u128(8), ..base },
            LinkContext { stage: 1, ..base },
            LinkContext { round: 1, ..base },
            context("bob@example.com"),
        ];
        let all: BTreeSet<String> = others
            .iter()
            .map(|context| keys.issue(*context).reveal())
            .chain([same[0].clone()])
            .collect();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn a_typed_id_is_forgiven_its_case_dashes_spaces_and_look_alikes() {
        let id = keys(KEY_A).issue(context("ann@example.com"));
        let mailed = id.reveal();
        assert_eq!(mailed.len(), 29);
        for typed in [
            mailed.to_lowercase(),
            mailed.replace('-', ""),
            mailed.replace('-', " "),
            mailed.replace('0', "O").replace('1', "l"),
            mailed.replace('0', "o").replace('1', "I"),
            format!("  {mailed} "),
        ] {
            assert_eq!(typed.parse(), Ok(id.clone()), "{typed}");
        }
    }

    #[test]
    fn what_cannot_be_an_id_is_refused() {
        for text in [
            "",
            "7K3Q",
            "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6",
            "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6TA",
            "UUUU-UUUU-UUUU-UUUU-UUUU-UUUU",
            "7K3Q/9XHT/2M4V/ZB8D/JW5P/QR6T",
            "é".repeat(24).as_str(),
            " ".repeat(5_000).as_str(),
        ] {
            assert_eq!(text.parse::<ApprovalId>(), Err(InvalidApprovalId), "{text:?}");
        }
    }

    #[test]
    fn a_changed_character_anywhere_makes_a_forged_id() {
        let keys = keys(KEY_A);
        let mailed = keys.issue(context("ann@example.com")).reveal();
        for (i, c) in mailed.char_indices().filter(|(_, c)| *c != '-') {
            let mut forged = mailed.clone();
            forged.replace_range(i..=i, if c == 'A' { "B" } else { "A" });
            let forged: ApprovalId = forged.parse().expect("well-formed");
            assert!(keys.verify(&forged).is_none(), "position {i}");
        }
    }

    #[test]
    fn after_a_rotation_old_links_still_verify_and_old_mails_are_repeated_unchanged() {
        let old = keys(KEY_A);
        let rotated = keys(&format!("{KEY_B},{KEY_A}"));
        let id = old.issue(context("ann@example.com"));
        assert!(rotated.verify(&id).is_some());
        assert_ne!(rotated.issue(context("ann@example.com")), id);
        let again = rotated.reissue(context("ann@example.com"), id.hash().as_str());
        assert_eq!(again, Some(id.clone()));
        let retired = keys(KEY_B);
        assert!(retired.verify(&id).is_none());
        assert_eq!(retired.reissue(context("ann@example.com"), id.hash().as_str()), None);
    }

    #[test]
    fn a_signals_request_id_is_its_own_and_only_holders_of_the_key_know_it() {
        use Verdict::{Approve, Reject};
        let link = |keys: &LinkKeys, reviewer: &str| {
            keys.verify(&keys.issue(context(reviewer))).expect("genuine")
        };
        let ann = link(&keys(KEY_A), "ann@example.com");
        let same = ann.request_id("run", Approve, 0);
        assert_eq!(ann.request_id("run", Approve, 0), same);
        let others = [
            ann.request_id("run", Reject, 0),
            ann.request_id("run", Approve, 1),
            ann.request_id("other", Approve, 0),
            link(&keys(KEY_A), "bob@example.com").request_id("run", Approve, 0),
            // The same hash under another key.
            GenuineLink { key: [7; 32], ..ann.clone() }.request_id("run", Approve, 0),
        ];
        let all: BTreeSet<&String> = others.iter().chain([&same]).collect();
        assert_eq!(all.len(), 6, "{all:?}");
        assert!(!same.contains(ann.hash().as_str()), "{same}");
    }

    #[test]
    fn a_rotation_of_keys_leaves_request_ids_as_they_were() {
        let old = keys(KEY_A);
        let id = old.issue(context("ann@example.com"));
        let request = |keys: &LinkKeys| {
            keys.verify(&id).expect("genuine").request_id("run", Verdict::Approve, 0)
        };
        assert_eq!(request(&keys(&format!("{KEY_B},{KEY_A}"))), request(&old));
    }

    #[test]
    fn neither_ids_nor_keys_show_in_debug_output() {
        let keys = keys(KEY_A);
        let id = keys.issue(context("ann@example.com"));
        let link = keys.verify(&id).expect("genuine");
        let shown = format!("{id:?} {keys:?} {link:?}");
        assert!(!shown.contains(&id.reveal()[..4]), "{shown}");
        assert!(shown.contains(id.hash().short()));
        assert!(!shown.contains("AAEC"));
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
}
