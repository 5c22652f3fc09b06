//! What acts on an outcome, and how far it got.
//!
//! Another run never needs it: a workflow that is decided does not continue as new.

use countersign_protos::v1;

use crate::{
    policy::FollowUp,
    recorded::{Delivery, StartFollowUp},
};

/// What the workflow has to do about an outcome.
#[derive(Debug)]
pub(crate) enum Consequence {
    FollowUp(FollowUpStart),
    /// Deliver the outcome to the webhook; on a task queue of its own if there is one.
    Webhook {
        delivery: Delivery,
        task_queue: Option<String>,
    },
}

/// A follow-up workflow to start: as a child, or by an activity if it has a namespace.
#[derive(Debug)]
pub(crate) struct FollowUpStart {
    pub(crate) next: FollowUp,
    /// A child's input; it names the child's ID.
    pub(crate) outcome: Box<v1::Outcome>,
    /// The activity's input.
    pub(crate) request: StartFollowUp,
}

#[derive(Debug, Default)]
pub(super) struct Consequences {
    pub(super) follow_up: Option<Result<(), String>>,
    pub(super) webhook: Option<Result<(), String>>,
}

impl Consequences {
    /// Why the follow-up workflow was not started; empty if it was, or may be.
    pub(super) fn follow_up_error(&self) -> &str {
        error(&self.follow_up)
    }

    /// Why the webhook refused the outcome; empty if it did not.
    pub(super) fn webhook_error(&self) -> &str {
        error(&self.webhook)
    }
}

fn error(done: &Option<Result<(), String>>) -> &str {
    done.as_ref().and_then(|done| done.as_ref().err()).map_or("", String::as_str)
}
