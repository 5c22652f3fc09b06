//! What the worker and the signaler must agree on: messages, names, payloads, approval IDs and
//! the base of their links.
//!
//! Pure: no I/O, no clock, no randomness, no Temporal crate.

mod act;
mod approval_id;
mod confirmation;
mod decimal;
mod differences;
mod digest;
mod json;
mod jws;
mod keys;
mod organization;
mod proof;
mod public_url;
#[cfg(test)]
mod schemas;
mod seal;
mod verdict;
mod version;

pub mod answers;
pub mod ignored;
pub mod names;
pub mod payload;
pub mod settings;
pub mod submission;
pub mod text;

pub use act::Act;
pub use approval_id::{ApprovalId, GenuineLink, InvalidApprovalId, LinkContext, LinkHash, Role};
pub use confirmation::Pressed;
pub use decimal::Written;
pub use differences::{ChangeText, Difference, differences};
pub use digest::{
    action_digest, digest, digest_of_version, execution_key, is_newer, revision_digest,
};
pub use json::{Json, MAX_DEPTH, MAX_NUMBER};
pub use jws::{Claims, InvalidJws, Jwks};
pub use keys::{
    LinkKey, LinkKeys, LinkKeysError, TEST_KEYS, TEST_WEBHOOK_SECRETS, guessable, listed,
    of_examples,
};
pub use organization::{NotAnOrganization, Organization};
pub use proof::{Statement, comment_hash};
pub use public_url::{InvalidPublicUrl, PublicUrl, is_loopback};
pub use seal::{Chain, NotSealed, Sealing};
pub use verdict::{Terms, Verdict};
pub use version::{
    FIRST_VERSION, MAX_REVISIONS, can_be_revised, is_for_version, version_after, version_field,
    version_of,
};

/// The messages of `proto/`, with protobuf's JSON mapping.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/countersign.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/countersign.v1.serde.rs"));
}
