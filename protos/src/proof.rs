//! Proofs of what is done by a link: only whoever has it, and the signaler that it was pressed at, can make one.
//!
//! A proof is an Ed25519 signature (RFC 8032) by a key pair that is derived from the approval ID. Checking
//! it takes the public key alone, which histories have, so workflow code can.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    GenuineLink, Verdict,
    text::{timestamp, to_message},
    v1::Proof,
};

/// What somebody does by their link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Statement<'a> {
    /// With a comment of this [hash](comment_hash), and answers of [this one](crate::answers::hash).
    Vote {
        verdict: Verdict,
        comment: &'a str,
        answers: &'a str,
    },
    /// Has this person asked instead, for a reason of this [hash](comment_hash).
    Delegate {
        to: &'a str,
        reason: &'a str,
    },
    /// Replaces what is to be decided by what has this [digest](crate::revision_digest).
    Revise {
        digest: &'a str,
    },
    Withdraw {
        reason: &'a str,
    },
}

impl GenuineLink {
    /// What checks this link's proofs, in base64url.
    pub fn public_key(&self) -> String {
        let pair = self.key().pair("vote", self.secret());
        BASE64_URL_SAFE_NO_PAD.encode(pair.verifying_key())
    }

    /// Proves that this link's holder decided so, without answers. The comment must be
    /// [clean](crate::text::comment).
    pub fn sign(&self, verdict: Verdict, comment: &str, at: Timestamp) -> Proof {
        self.prove(Statement::Vote { verdict, comment: &comment_hash(comment), answers: "" }, at)
    }

    /// Proves that this link's holder did so.
    pub fn prove(&self, statement: Statement<'_>, at: Timestamp) -> Proof {
        let at = to_message(at);
        let signed = statement.signed(self.hash().as_str(), &at);
        let signature = self.key().pair("vote", self.secret()).sign(&signed);
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes());
        Proof { signature, at: Some(at) }
    }
}

impl Proof {
    /// Whether it has the form of one, whatever it proves.
    pub fn is_well_formed(&self) -> bool {
        // The base64 of 64 bytes.
        self.signature.len() == 86 && self.at.as_ref().and_then(timestamp).is_some()
    }

    /// Whether the holder of this link decided so without answers, with the comment of this [hash](comment_hash).
    pub fn holds(&self, public_key: &str, link: &str, verdict: Verdict, comment: &str) -> bool {
        self.proves(public_key, link, Statement::Vote { verdict, comment, answers: "" })
    }

    /// Whether the holder of this link did so.
    pub fn proves(&self, public_key: &str, link: &str, statement: Statement<'_>) -> bool {
        self.check(public_key, link, statement).is_some()
    }

    fn check(&self, public_key: &str, link: &str, statement: Statement<'_>) -> Option<()> {
        let key = BASE64_URL_SAFE_NO_PAD.decode(public_key).ok()?.try_into().ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(&self.signature).ok()?;
        let signed = statement.signed(link, self.at.as_ref()?);
        let key = VerifyingKey::from_bytes(&key).ok()?;
        key.verify_strict(&signed, &Signature::from_slice(&signature).ok()?).ok()
    }
}

impl Statement<'_> {
    /// Each part with its length, so that no other statement has the same bytes.
    pub(crate) fn signed(&self, link: &str, at: &pbjson_types::Timestamp) -> Vec<u8> {
        let (purpose, parts): (&str, &[&str]) = match self {
            Statement::Vote { verdict, comment, answers: "" } => {
                ("vote", &[verdict.terms().name, comment])
            }
            Statement::Vote { verdict, comment, answers } => {
                ("vote", &[verdict.terms().name, comment, answers])
            }
            Statement::Delegate { to, reason } => ("delegate", &[to, reason]),
            Statement::Revise { digest } => ("revise", &[digest]),
            Statement::Withdraw { reason } => ("withdraw", &[reason]),
        };
        let mut signed = format!("countersign {purpose} 1\0").into_bytes();
        for part in std::iter::once(&link).chain(parts) {
            signed.extend((part.len() as u64).to_be_bytes());
            signed.extend(part.as_bytes());
        }
        signed.extend(at.seconds.to_be_bytes());
        signed.extend(at.nanos.to_be_bytes());
        signed
    }
}

/// What a proof covers of a comment, so that it can be checked without it: SHA-256, in hexadecimal.
pub fn comment_hash(comment: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(comment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Chain, LinkContext,
        keys::tests::{KEY_A, KEY_B, keys},
    };

    fn link(key: &str, reviewer: &str) -> GenuineLink {
        keys(key).first().link(LinkContext::new(
            Chain { workflow_id: "laptops", first_run_id: "run" },
            "v1:0",
            reviewer,
        ))
    }

    #[test]
    fn a_proof_holds_for_one_vote_of_one_link() {
        use Verdict::{Approve, Reject};
        let (ann, bob) = (link(KEY_A, "ann@example.com"), link(KEY_A, "bob@example.com"));
        let at = Timestamp::from_second(1_795_509_000).expect("in range");
        let (key, hash, fine) = (ann.public_key(), ann.hash().as_str(), comment_hash("fine"));
        let proof = ann.sign(Approve, "fine", at);
        assert!(proof.holds(&key, hash, Approve, &fine));
        assert!(!proof.holds(&key, hash, Reject, &fine));
        assert!(!proof.holds(&key, hash, Approve, &comment_hash("Fine")));
        assert!(!proof.holds(&key, bob.hash().as_str(), Approve, &fine));
        assert!(!proof.holds(&bob.public_key(), hash, Approve, &fine));
        assert!(!proof.holds(&link(KEY_B, "ann@example.com").public_key(), hash, Approve, &fine));
        for key in ["", "x", &"A".repeat(43), &key[1..]] {
            assert!(!proof.holds(key, hash, Approve, &fine), "{key}");
        }
        let later = Proof {
            at: Some(to_message(at + jiff::SignedDuration::from_secs(1))),
            ..proof.clone()
        };
        assert!(!later.holds(&key, hash, Approve, &fine));
        assert!(!Proof { at: None, ..proof.clone() }.holds(&key, hash, Approve, &fine));
        for at in 0..proof.signature.len() {
            let mut signature = proof.signature.clone().into_bytes();
            signature[at] = if signature[at] == b'A' { b'B' } else { b'A' };
            let signature = String::from_utf8(signature).expect("ASCII");
            let forged = Proof { signature, ..proof.clone() };
            assert!(!forged.holds(&key, hash, Approve, &fine), "byte {at}");
        }
    }
    #[test]
    fn a_proof_of_one_statement_proves_no_other() {
        let ann = link(KEY_A, "ann@example.com");
        let at = Timestamp::from_second(1_795_509_000).expect("in range");
        let (key, hash) = (ann.public_key(), ann.hash().as_str());
        let statements = [
            Statement::Vote { verdict: Verdict::Approve, comment: "x", answers: "" },
            Statement::Vote { verdict: Verdict::Approve, comment: "x", answers: "x" },
            Statement::Vote { verdict: Verdict::Approve, comment: "x", answers: "y" },
            Statement::Delegate { to: "approve", reason: "x" },
            Statement::Delegate { to: "approv", reason: "ex" },
            Statement::Revise { digest: "x" },
            Statement::Withdraw { reason: "x" },
        ];
        for (made, statement) in statements.iter().enumerate() {
            let proof = ann.prove(*statement, at);
            let proven = statements.map(|other| proof.proves(&key, hash, other));
            assert_eq!(proven, std::array::from_fn(|other| other == made), "{statement:?}");
        }
    }
}
