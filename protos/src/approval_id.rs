//! Approval IDs: what a mailed link carries, and the keyed hashes that keep it safe.
//!
//! An ID is derived, never stored. It is 80 bits of HMAC-SHA256 over its [`LinkContext`], followed by
//! 40 bits of HMAC-SHA256 over those 80, so that a forged ID is refused without a look-up. It commits to
//! what it is for: nothing else has this ID. Temporal sees only the [`LinkHash`].

use std::{fmt, str::FromStr, sync::LazyLock};

use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    Verdict,
    keys::{LinkKey, LinkKeys},
    seal::Chain,
    text::clean,
};

const BODY_LEN: usize = 10;
const CHECK_LEN: usize = 5;
const ID_LEN: usize = BODY_LEN + CHECK_LEN;
const ID_CHARS: usize = 24;
/// Anything longer is not a typo. Full-width letters and dashes have three bytes each.
const MAX_TYPED_BYTES: usize = 8 * ID_CHARS;
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

    /// The only ID in a text, such as a line of a mail; `None` if there is none, or more than one.
    pub fn find(text: &str) -> Option<Self> {
        let typed = as_typed(text);
        let mut found = typed
            .split(|c: char| !c.is_alphanumeric() && !is_dash(c))
            .filter_map(|word| word.parse().ok());
        found.next().filter(|_| found.next().is_none())
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

    /// Accepts any case, `O` for `0`, `I` and `L` for `1`, full-width letters, missing and other dashes, spaces,
    /// invisible characters, and punctuation around the ID. The [keyed check](LinkKeys::verify) makes that safe.
    fn from_str(text: &str) -> Result<Self, InvalidApprovalId> {
        if text.len() > MAX_TYPED_BYTES {
            return Err(InvalidApprovalId);
        }
        let mut symbols = as_typed(text);
        symbols.retain(|c| !c.is_whitespace() && !is_dash(c));
        let symbols = symbols.trim_matches(|c: char| !c.is_alphanumeric());
        let bytes = CROCKFORD.decode(symbols.as_bytes()).map_err(|_| InvalidApprovalId)?;
        bytes.try_into().map(ApprovalId).map_err(|_| InvalidApprovalId)
    }
}

/// Without invisible characters, those that join or hyphenate words included, and with full-width letters as
/// others.
fn as_typed(text: &str) -> String {
    let mut text = clean(text);
    text.retain(|c| !matches!(c, '\u{AD}' | '\u{180E}' | '\u{200C}' | '\u{200D}'));
    let narrow = |c| match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        c => c,
    };
    text.chars().map(narrow).collect()
}

/// As keyboards and programs that "correct" text write it.
fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}')
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

/// A verified approval ID, and the key that made it.
#[derive(Clone)]
pub struct GenuineLink {
    id: ApprovalId,
    hash: LinkHash,
    key: LinkKey,
}

impl GenuineLink {
    /// The hash of the ID that was verified.
    pub fn hash(&self) -> &LinkHash {
        &self.hash
    }

    /// The key that made it, and with it all that belongs to its approval.
    pub fn key(&self) -> &LinkKey {
        &self.key
    }

    /// Whether the ID was made for this, and for nothing else.
    pub fn is_for(&self, context: LinkContext<'_>) -> bool {
        self.key.link(context).id == self.id
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
        self.request_id_from(self.key.mac("signal request", &parts))
    }

    /// The same for a delegation to this address.
    pub fn delegation_request_id(&self, run_id: &str, to: &str, attempt: u32) -> String {
        let parts =
            [self.hash.0.as_bytes(), to.as_bytes(), &attempt.to_be_bytes(), run_id.as_bytes()];
        self.request_id_from(self.key.mac("delegation request", &parts))
    }

    pub(crate) fn request_id_from(&self, mac: [u8; 32]) -> String {
        format!("countersign-{}", CROCKFORD.encode(&mac[..REQUEST_LEN]).to_ascii_lowercase())
    }

    /// The bytes from which the key pair of this link's votes is derived.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.id.0
    }
}

impl fmt::Debug for GenuineLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenuineLink(hash {})", self.hash.short())
    }
}

/// What an approval ID is derived from, besides the key. No time is in it, so that a reset keeps the ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkContext<'a> {
    /// The approval: a reused workflow ID does not revive old links.
    pub chain: Chain<'a>,
    /// Of what is to be decided: see [`digest`](crate::digest).
    pub digest: &'a str,
    /// The stage's position, from 0.
    pub stage: u32,
    /// How many seats the stage had before; with the reviewer, it is one seat.
    pub round: u32,
    /// How many links the seat had before.
    pub number: u32,
    /// The reviewer's e-mail address.
    pub reviewer: &'a str,
    /// The absent reviewer whose deputy this is; may be empty.
    pub on_behalf_of: &'a str,
    /// The reviewer whom an operator has replaced by this one; may be empty.
    pub instead_of: &'a str,
    /// What its holder may do.
    pub role: Role,
}

/// Whose link it is. No link is for two roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Decides.
    Reviewer,
    /// Revises and withdraws, and never decides.
    Submitter,
}

impl<'a> LinkContext<'a> {
    /// The first link of the first seat in the first stage, for nobody else.
    pub fn new(chain: Chain<'a>, digest: &'a str, reviewer: &'a str) -> Self {
        let (on_behalf_of, instead_of, role) = ("", "", Role::Reviewer);
        Self {
            chain,
            digest,
            stage: 0,
            round: 0,
            number: 0,
            reviewer,
            on_behalf_of,
            instead_of,
            role,
        }
    }

    /// The submitter's link to the version of what has this digest.
    pub fn submitter(chain: Chain<'a>, digest: &'a str, submitter: &'a str) -> Self {
        Self { role: Role::Submitter, ..Self::new(chain, digest, submitter) }
    }
}

impl LinkKeys {
    /// `None` if no key made this ID.
    pub fn verify(&self, id: &ApprovalId) -> Option<GenuineLink> {
        let (body, check) = id.0.split_at(BODY_LEN);
        let made = |key: &&LinkKey| bool::from(key.mac("check", &[body])[..CHECK_LEN].ct_eq(check));
        let key = self.iter().find(made)?.clone();
        Some(GenuineLink { id: id.clone(), hash: id.hash(), key })
    }
}

impl LinkKey {
    /// The approval ID for this, always the same.
    pub fn link(&self, context: LinkContext<'_>) -> GenuineLink {
        let body = self.mac(
            match context.role {
                Role::Reviewer => "body",
                Role::Submitter => "submitter's body",
            },
            &[
                context.chain.workflow_id.as_bytes(),
                context.chain.first_run_id.as_bytes(),
                context.digest.as_bytes(),
                &context.stage.to_be_bytes(),
                &context.round.to_be_bytes(),
                &context.number.to_be_bytes(),
                context.reviewer.as_bytes(),
                context.on_behalf_of.as_bytes(),
                context.instead_of.as_bytes(),
            ],
        );
        let body = &body[..BODY_LEN];
        let check = self.mac("check", &[body]);
        let mut id = [0; ID_LEN];
        id[..BODY_LEN].copy_from_slice(body);
        id[BODY_LEN..].copy_from_slice(&check[..CHECK_LEN]);
        let id = ApprovalId(id);
        GenuineLink { hash: id.hash(), id, key: self.clone() }
    }
}

impl GenuineLink {
    /// The ID to mail.
    pub fn id(&self) -> &ApprovalId {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::tests::{KEY_A, KEY_B, keys};

    fn context(reviewer: &str) -> LinkContext<'_> {
        LinkContext::new(Chain { workflow_id: "laptops", first_run_id: "run" }, "v1:0", reviewer)
    }

    fn issue(keys: &LinkKeys, context: LinkContext<'_>) -> ApprovalId {
        keys.first().link(context).id
    }

    #[test]
    fn an_id_is_the_same_each_time_and_is_for_nothing_else() {
        let keys = keys(KEY_A);
        let base = context("ann@example.com");
        let link = keys.verify(&issue(&keys, base)).expect("genuine");
        assert!(link.is_for(base));
        let chain = base.chain;
        let others = [
            LinkContext { chain: Chain { workflow_id: "other", ..chain }, ..base },
            LinkContext { chain: Chain { first_run_id: "other", ..chain }, ..base },
            LinkContext { digest: "v1:1", ..base },
            LinkContext { stage: 1, ..base },
            LinkContext { round: 1, ..base },
            LinkContext { number: 1, ..base },
            context("bob@example.com"),
            LinkContext { on_behalf_of: "bob@example.com", ..base },
            LinkContext { instead_of: "bob@example.com", ..base },
            LinkContext { role: Role::Submitter, ..base },
        ];
        for other in others {
            assert!(!link.is_for(other), "{other:?}");
        }
        let all: BTreeSet<String> =
            others.iter().map(|context| issue(&keys, *context).reveal()).collect();
        assert_eq!(all.len(), others.len());
    }

    #[test]
    fn a_typed_id_is_forgiven_its_case_dashes_spaces_and_look_alikes() {
        let id = issue(&keys(KEY_A), context("ann@example.com"));
        let mailed = id.reveal();
        assert_eq!(mailed.len(), 29);
        for typed in [
            mailed.to_lowercase(),
            mailed.replace('-', ""),
            mailed.replace('-', " "),
            mailed.replace('0', "O").replace('1', "l"),
            mailed.replace('0', "o").replace('1', "I"),
            format!("  {mailed} "),
            format!("{mailed}."),
            format!("{mailed},"),
            format!("({mailed})"),
            format!("<{mailed}>"),
            format!("{mailed}/"),
            mailed.replace('-', "\u{2013}"),
            mailed.replace('-', "\u{2011}"),
            mailed.replace('-', "\u{2212}"),
            mailed.replace('-', "\u{A0}"),
            format!("{mailed}\u{200B}"),
            mailed.replace('-', "-\u{AD}"),
            full_width(&mailed),
        ] {
            assert_eq!(typed.parse(), Ok(id.clone()), "{typed}");
        }
    }

    fn full_width(text: &str) -> String {
        text.chars().filter_map(|c| char::from_u32(c as u32 + 0xFEE0)).collect()
    }

    #[test]
    fn the_only_id_in_a_text_is_found() {
        let keys = keys(KEY_A);
        let [ann, bob] =
            ["ann@example.com", "bob@example.com"].map(|who| issue(&keys, context(who)));
        let mailed = ann.reveal();
        for text in [
            mailed.clone(),
            format!("Approval ID: {mailed}"),
            format!("Approval ID\n{}\n", mailed.to_lowercase()),
            format!("please open {}, thanks", full_width(&mailed)),
            format!("https://ok.example/x/{mailed}/laptops?choice=approve"),
        ] {
            assert_eq!(ApprovalId::find(&text), Some(ann.clone()), "{text}");
        }
        for text in [
            String::new(),
            "Approval ID:".to_owned(),
            mailed[1..].to_owned(),
            format!("{mailed} {mailed}"),
            format!("{mailed}, {}", bob.reveal()),
        ] {
            assert_eq!(ApprovalId::find(&text), None, "{text}");
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
        let mailed = issue(&keys, context("ann@example.com")).reveal();
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
        let id = issue(&old, context("ann@example.com"));
        assert!(rotated.verify(&id).is_some());
        assert_ne!(issue(&rotated, context("ann@example.com")), id);
        let again = rotated.verify(&id).expect("genuine").key().link(context("ann@example.com"));
        assert_eq!(again.id, id);
        assert!(keys(KEY_B).verify(&id).is_none());
    }

    #[test]
    fn a_signals_request_id_is_its_own_and_only_holders_of_the_key_know_it() {
        use Verdict::{Approve, Reject};
        let link = |keys: &LinkKeys, reviewer: &str| keys.first().link(context(reviewer));
        let ann = link(&keys(KEY_A), "ann@example.com");
        let same = ann.request_id("run", Approve, 0);
        assert_eq!(ann.request_id("run", Approve, 0), same);
        let others = [
            ann.request_id("run", Reject, 0),
            ann.request_id("run", Approve, 1),
            ann.request_id("other", Approve, 0),
            link(&keys(KEY_A), "bob@example.com").request_id("run", Approve, 0),
            ann.delegation_request_id("run", "cy@example.com", 0),
            ann.delegation_request_id("run", "dee@example.com", 0),
            ann.delegation_request_id("run", "cy@example.com", 1),
            // The same hash under another key.
            GenuineLink { key: keys(KEY_B).first().clone(), ..ann.clone() }
                .request_id("run", Approve, 0),
        ];
        let all: BTreeSet<&String> = others.iter().chain([&same]).collect();
        assert_eq!(all.len(), 9, "{all:?}");
        assert!(!same.contains(ann.hash().as_str()), "{same}");
    }

    #[test]
    fn a_rotation_of_keys_leaves_request_ids_as_they_were() {
        let old = keys(KEY_A);
        let id = issue(&old, context("ann@example.com"));
        let request = |keys: &LinkKeys| {
            keys.verify(&id).expect("genuine").request_id("run", Verdict::Approve, 0)
        };
        assert_eq!(request(&keys(&format!("{KEY_B},{KEY_A}"))), request(&old));
    }

    #[test]
    fn neither_ids_nor_keys_show_in_debug_output() {
        let keys = keys(KEY_A);
        let id = issue(&keys, context("ann@example.com"));
        let link = keys.verify(&id).expect("genuine");
        let shown = format!("{id:?} {keys:?} {link:?}");
        assert!(!shown.contains(&id.reveal()[..4]), "{shown}");
        assert!(shown.contains(id.hash().short()));
        assert!(!shown.contains(&KEY_A[..4]));
    }
}
