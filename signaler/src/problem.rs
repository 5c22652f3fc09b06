//! Why a request is answered without an approval.

use std::time::Duration;

use countersign_protos::Verdict;

use crate::{delegation_form::NotDelegated, lookup::LookupError, revision::Mistake};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// With the approval ID in the address, if there is one.
    NotFound(String),
    /// This approval ID, as it was typed, was never issued.
    NotIssued(String),
    /// It was issued, but its workflow no longer exists.
    Gone,
    /// A newer version issued it, whose digests this one cannot compute.
    Newer,
    /// The form's verdict is missing, unknown or given twice.
    InvalidVerdict,
    /// The form's act is unknown, or it has more than one submission.
    InvalidAct,
    CommentTooLong,
    /// The rule requires one with this verdict.
    CommentMissing(Verdict),
    /// Changes are requested of what was revised as often as it can be.
    NoMoreChanges,
    /// The link that is to revise or withdraw is a reviewer's.
    NotTheSubmitter,
    /// The link that is to decide is the submitter's.
    SubmitterDecides,
    /// Somebody has voted, or it was revised as often as it can be.
    NotRevisable,
    /// What is wrong with a submission that a program sent, by paths.
    InvalidRevision(Vec<(String, String)>),
    /// What is wrong with the form of a revision.
    Mistaken(Vec<Mistake>),
    /// Nobody else is asked, for this reason.
    NotDelegated(NotDelegated),
    /// What is wrong with the answers, by the names of fields, in words.
    WrongAnswers(Vec<(String, String)>),
    /// A browser says that a page of another site sent the form.
    CrossSite,
    NotAForm,
    BodyTooLarge,
    /// The body did not arrive, or not all of it.
    Incomplete,
    MethodNotAllowed,
    /// Allowed again after this long.
    TooMany(Duration),
    /// Temporal does not answer: nothing can be shown.
    Unavailable,
    /// Temporal did not accept the decision.
    NothingRecorded,
    /// Temporal may or may not have accepted the decision.
    Unknown,
    /// The page that follows a press cannot be shown, for this reason. What was recorded is not known here.
    AfterPress(Box<Problem>),
    OutboxUnreadable,
    /// The outbox is shown on the machine itself alone.
    NotLocal,
}

impl Problem {
    pub(crate) const NO_PAGE: Problem = Problem::NotFound(String::new());

    /// The same on the page that follows a press: it must not say that nothing was recorded.
    pub(crate) fn after_press(self) -> Self {
        match self {
            Problem::TooMany(_) | Problem::Unavailable | Problem::Newer => {
                Problem::AfterPress(Box::new(self))
            }
            problem => problem,
        }
    }
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Gone => Problem::Gone,
            LookupError::Newer => Problem::Newer,
            LookupError::Unavailable => Problem::Unavailable,
        }
    }
}
