//! Who is to be asked in another's place, and who wanted that.

use jiff::Timestamp;

use super::{Delegation, EmailAddress};

/// A reviewer who has to be replaced, and by whom; by themselves where they get a new link.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Replacement {
    pub(super) from: EmailAddress,
    pub(super) to: EmailAddress,
    /// `None` for a new link.
    pub(super) by: Option<Arranged>,
}

impl Replacement {
    pub(super) fn by_new_link(reviewer: EmailAddress) -> Self {
        Self { from: reviewer.clone(), to: reviewer, by: None }
    }

    pub(super) fn is_delegated(&self) -> bool {
        matches!(self.by, Some(Arranged::Delegation { .. }))
    }
}

/// Who has had somebody asked in another's place.
#[derive(Debug, Clone, PartialEq)]
pub enum Arranged {
    /// An operator who claims this identity.
    Operator(String),
    /// The one who is replaced.
    Delegation { delegation: Delegation, at: Timestamp },
}
