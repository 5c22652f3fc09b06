//! What has happened to an approval, in order: with its plan, that is all of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ballot::{Ballot, Signed, SubmitterLink},
    delegation::Delegation,
    email::EmailAddress,
    seat::Invited,
    stage_plan::Due,
};

/// Something that has had an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// Those of [`Approval::to_ask`](crate::approval::Approval::to_ask) were asked.
    Asked {
        invited: Vec<Invited>,
        due: Option<Due>,
        at: Timestamp,
    },
    /// The submitter has a link: with a deadline if changes were requested.
    SubmitterAsked {
        link: SubmitterLink,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
        at: Timestamp,
    },
    Voted {
        ballot: Ballot,
        at: Timestamp,
    },
    /// A reviewer has somebody else asked.
    Delegated {
        delegation: Delegation,
        at: Timestamp,
    },
    /// By an operator, as the two below.
    Reassigned {
        from: EmailAddress,
        to: EmailAddress,
        identity: String,
        at: Timestamp,
    },
    /// `None` for all who had not decided.
    Reminded {
        reviewer: Option<EmailAddress>,
        identity: String,
        at: Timestamp,
    },
    /// New links were ordered; `None` for all who had not decided.
    Reissued {
        reviewer: Option<EmailAddress>,
        identity: String,
        at: Timestamp,
    },
    /// By an operator, by cancelling the workflow, or by the submitter's link.
    Withdrawn {
        reason: String,
        /// Empty where it is by link.
        identity: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
        at: Timestamp,
    },
    /// Whether a request reached its reviewer.
    Reached {
        link: String,
        reached: bool,
    },
    /// A deadline, or the time of a reminder.
    TimePassed {
        at: Timestamp,
    },
}
