//! What the worker and the signaler must agree on: messages, names, payloads, approval IDs and
//! what their links start with.
//!
//! Nothing here talks to anybody: no I/O, no clock, no randomness.

mod approval_id;
mod public_url;
mod verdict;

pub mod names;
pub mod payload;
pub mod submission;
pub mod words;

pub use approval_id::{
    ApprovalId, Asked, GenuineLink, LinkHash, LinkKeys, LinkKeysError, NotAnApprovalId,
};
pub use public_url::{NotAPublicUrl, PublicUrl};
pub use verdict::Verdict;

/// The messages, as their `.proto` files describe them, with protobuf's JSON mapping.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/countersign.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/countersign.v1.serde.rs"));
}
