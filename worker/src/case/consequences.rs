//! What acts on an outcome, and how far it got.
//!
//! Another run never needs it: a workflow that is decided does not continue as new.

use countersign_protos::v1;

use crate::recorded::StartWorkflow;

/// What the workflow has to do about an outcome.
#[derive(Debug)]
pub(crate) enum Consequence {
    /// Start the follow-up workflow, as a child unless it has a namespace.
    FollowUp(StartWorkflow),
    /// Deliver the outcome to the webhook; on a task queue of its own if there is one.
    Webhook { outcome: v1::Outcome, task_queue: Option<String> },
}

#[derive(Debug, Default)]
pub(super) struct Consequences {
    pub(super) follow_up: Option<Result<Started, String>>,
    /// What the receiver took, or why it takes nothing.
    pub(super) webhook: Option<Result<Box<v1::Outcome>, String>>,
}

/// A follow-up workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) workflow_id: String,
    pub(crate) namespace: Option<String>,
}

impl Consequences {
    pub(super) fn started(&self) -> Option<&Started> {
        self.follow_up.as_ref()?.as_ref().ok()
    }

    /// Why the follow-up workflow was not started; empty if it was, or may be.
    pub(super) fn follow_up_error(&self) -> &str {
        error(self.follow_up.as_ref())
    }

    /// Why the webhook refused the outcome; empty if it did not.
    pub(super) fn webhook_error(&self) -> &str {
        error(self.webhook.as_ref())
    }
}

fn error<T>(result: Option<&Result<T, String>>) -> &str {
    result.and_then(|result| result.as_ref().err()).map_or("", String::as_str)
}
