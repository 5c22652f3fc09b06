//! What came of something that was done to an approval, and why nothing did.

use countersign_protos::MAX_REVISIONS;

use crate::limits::MAX_SEATS;

/// What a decision did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    Counted,
    /// The reviewer already decided so.
    Duplicate,
    /// The reviewer already decided the opposite, which stands.
    Contradiction,
    /// It is for this version, and another one is asked about.
    OtherVersion(u32),
    /// The claim fits nobody who is or was asked.
    NotAReviewer,
    /// The submitter does not approve their own submission.
    SelfVote,
    /// Without the proof of their link, which the rules require.
    LinkRequired,
    /// Without a comment, which the rule requires with this verdict.
    CommentRequired,
    /// With answers other than the fields ask for, or without one that they require: why, field by field.
    InvalidAnswers(String),
    /// Changes are requested: nobody decides until the submitter has revised it.
    ChangesRequested,
    /// Changes cannot be requested: it was revised as often as it can be.
    NoMoreChanges,
    /// Somebody else was asked in the reviewer's place.
    Superseded,
    /// The reviewer's stage is not open: it was decided before, or is not reached yet.
    StageNotOpen,
}

/// Why a reviewer is not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReassigned {
    #[error("the reviewer to replace is not being asked")]
    NotAsked,
    #[error("the new reviewer, or their deputy, is asked in this stage already")]
    AskedAlready,
    #[error("the submitter does not decide their own submission")]
    Submitter,
    #[error("the new reviewer has a place in another stage, and the rule asks different people")]
    OtherStage,
    #[error("`may_reassign_to` in [operators] does not include this address's domain")]
    NotAllowed,
    #[error("no more reviewers can be asked in this approval")]
    TooMany,
}

/// Why no new link is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReissued {
    #[error("no reviewer who was asked is still undecided")]
    NotAsked,
    #[error(
        "{wanted} new links were requested, but only {left} can still be issued (at most {max} per \
         approval, planned ones included)",
        max = MAX_SEATS
    )]
    TooMany { wanted: usize, left: usize },
}

/// Why a submission is not revised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRevised {
    #[error("the rules do not let operators revise (`may_revise` in [operators])")]
    NotAllowed,
    #[error("it is not by the submitter's link, or its proof is of something else")]
    NotProven,
    #[error("it is decided already")]
    Decided,
    #[error("a reviewer has already decided, so it can be revised only if changes are requested")]
    Voted,
    #[error("it was revised as often as it can be ({max} times)", max = MAX_REVISIONS)]
    TooOften,
}

/// Why an approval is not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotWithdrawn {
    #[error("the rules do not let operators withdraw (`may_withdraw` in [operators])")]
    NotAllowed,
    #[error("it is not by the submitter's link, or its proof is of something else")]
    NotProven,
    #[error("it is decided already")]
    Decided,
}

/// Why nobody else is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDelegated {
    #[error("the signature does not hold: only a reviewer's own link can delegate")]
    NotProven,
    #[error("the rule lets reviewers have nobody of this domain asked (`delegate_to`)")]
    NotAllowed,
    #[error("it has no reason")]
    NoReason,
    #[error(transparent)]
    NotReplaced(#[from] NotReassigned),
}
