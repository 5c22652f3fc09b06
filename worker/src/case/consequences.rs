//! What acts on an outcome, and how far it got.
//!
//! Another run never needs it: a workflow that is decided does not continue as new.

use countersign_protos::v1;

use crate::{
    approval::Verdict,
    policy::{FollowUp, Plan},
    recorded::StartWorkflow,
};

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
    /// The follow-up workflow that is still to be started.
    pub(super) fn follow_up<'a>(
        &self,
        plan: &'a Plan,
        decided: Option<Verdict>,
    ) -> Option<&'a FollowUp> {
        let follow_up = match decided? {
            Verdict::Approve => &plan.follow_ups.approved,
            Verdict::Reject => &plan.follow_ups.rejected,
        };
        follow_up.as_ref().filter(|_| self.follow_up.is_none())
    }

    /// Whether the webhook still has to get the outcome.
    pub(super) fn needs_webhook(&self, plan: &Plan) -> bool {
        plan.webhook && self.webhook.is_none()
    }

    /// Why the follow-up workflow was not started; empty if it was, or may be.
    pub(super) fn follow_up_error(&self) -> &str {
        self.follow_up
            .as_ref()
            .and_then(|started| started.as_ref().err())
            .map_or("", String::as_str)
    }

    /// Why the webhook refused the outcome; empty if it did not.
    pub(super) fn webhook_error(&self) -> &str {
        self.webhook.as_ref().and_then(|taken| taken.as_ref().err()).map_or("", String::as_str)
    }

    pub(super) fn started(&self) -> Option<&Started> {
        self.follow_up.as_ref().and_then(|started| started.as_ref().ok())
    }
}
