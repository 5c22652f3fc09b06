//! The end of an approval that is decided, in this order, which [`Case::next`](super::Case::next) keeps:
//!
//! 1. The outcome is concluded: computed anew, sealed and signed. Nothing acts on another one.
//! 2. The follow-up workflow is started, and the webhook gets the outcome, which says whether one was. A child
//!    is never refused, so both begin together; another namespace may refuse, so the webhook waits for it.
//! 3. Notices are sent while that goes on: no mail waits for a receiver. They are scheduled after what can
//!    begin of it, as what acts on the outcome is more urgent.
//! 4. When what acts on the outcome has it, notices have [`GRACE`]. Those that are undelivered then go to
//!    a workflow of their own: no result waits for a mailbox.
//! 5. Search attributes are written together with the result, or before step 2 where that waits for a
//!    receiver; and before step 1 where no signal has decided, as a trace of that. Nothing of the last
//!    stage is cancelled where the workflow is about to close anyway.
//!
//! Another run never needs it: a workflow that is decided does not continue as new.

use countersign_protos::v1;
use jiff::{SignedDuration, Timestamp};

use super::{Open, Step, Wait};
use crate::{
    outcome,
    policy::FollowUp,
    recorded::{Delivery, Sealed, StartFollowUp},
};

/// How long notices may take until the approval closes without them.
pub(super) const GRACE: SignedDuration = SignedDuration::from_secs(10);

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
    /// The input of `start_workflow`, which starts it in another namespace.
    pub(crate) request: StartFollowUp,
}

#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The outcome, once it is sealed; and with its signature.
    pub(super) concluded: Option<(Sealed<v1::Outcome>, v1::Outcome)>,
    pub(super) follow_up: Progress,
    /// Why the follow-up workflow has failed; empty if it has not, or did so after the approval had closed.
    pub(super) follow_up_failure: String,
    pub(super) webhook: Progress,
    /// Until when the result waits for notices.
    pub(super) notices_until: Option<Timestamp>,
    /// The workflow that goes on delivering notices.
    pub(super) notices_in: Option<String>,
}

impl Ending {
    /// Why the follow-up workflow was not started or has failed; empty otherwise.
    pub(super) fn follow_up_error(&self) -> &str {
        match self.follow_up.error() {
            "" => &self.follow_up_failure,
            why => why,
        }
    }
}

/// Of something that acts on the outcome.
#[derive(Debug, Default)]
pub(super) enum Progress {
    /// To be done, if there is any.
    #[default]
    Pending,
    Started,
    Done(Result<(), String>),
}

impl Progress {
    /// Why it was given up; empty if it was not.
    pub(super) fn error(&self) -> &str {
        match self {
            Self::Done(Err(why)) => why,
            Self::Pending | Self::Started | Self::Done(Ok(())) => "",
        }
    }

    fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

impl Open {
    /// What to do next about an approval that is decided.
    pub(super) fn next_of_end(&mut self, now: Timestamp) -> Step {
        if self.ending.concluded.is_none() {
            let evidence = Box::new(self.evidence(self.approval.journal().len()));
            return Step::Conclude { evidence, publish: std::mem::take(&mut self.untraced) };
        }
        if let Some(consequence) = self.begin_consequence() {
            return Step::Act(Box::new(consequence));
        }
        let wait = |until, publish| {
            Step::Wait(Wait { until, publish, stop: Vec::new(), requests: Vec::new(), open: false })
        };
        if self.follow_up().is_some() || self.needs_webhook() {
            let publish = self.waits_for_receiver() && std::mem::take(&mut self.unpublished);
            return wait(None, publish);
        }
        let until = *self.ending.notices_until.get_or_insert_with(|| {
            // Within the range of a timestamp for thousands of years.
            now.checked_add(GRACE).unwrap_or(now)
        });
        if self.notices.are_pending() && now < until {
            return wait(Some((until, "Wait for notices to be delivered".to_owned())), false);
        }
        let undelivered = self.hand_over().map(Box::new);
        // To hand over may fail, and a search has to find that.
        let publish = std::mem::take(&mut self.unpublished) || undelivered.is_some();
        Step::Close { publish, undelivered }
    }

    /// Whether the result waits for somebody who may let it wait for long.
    pub(super) fn waits_for_receiver(&self) -> bool {
        self.needs_webhook() || self.may_refuse_follow_up()
    }

    /// Whether a follow-up workflow is not started yet that another namespace may refuse.
    fn may_refuse_follow_up(&self) -> bool {
        self.follow_up().is_some_and(|next| next.namespace.is_some())
    }

    /// The follow-up workflow that is not started yet.
    pub(super) fn follow_up(&self) -> Option<&FollowUp> {
        let follow_up = outcome::follow_up(&self.plan, outcome::status(&self.approval));
        follow_up.filter(|_| !self.ending.follow_up.is_done())
    }

    /// Whether the webhook does not have the outcome yet.
    pub(super) fn needs_webhook(&self) -> bool {
        self.plan.webhook && !self.ending.webhook.is_done()
    }

    /// What can begin now: the webhook waits for a follow-up workflow that may be refused, of which it is told.
    fn begin_consequence(&mut self) -> Option<Consequence> {
        let (sealed, outcome) = self.ending.concluded.as_ref()?;
        let (first_run_id, encoding) = (self.first_run_id.clone(), self.encoding);
        let is_new = matches!(self.ending.follow_up, Progress::Pending);
        if let Some(next) = self.follow_up().filter(|_| is_new) {
            let (plan, sealed) = (self.sealed.clone(), sealed.clone());
            let start = FollowUpStart {
                next: next.clone(),
                outcome: Box::new(outcome.clone()),
                request: StartFollowUp { plan, outcome: sealed, first_run_id, encoding },
            };
            self.ending.follow_up = Progress::Started;
            return Some(Consequence::FollowUp(start));
        }
        let is_new = matches!(self.ending.webhook, Progress::Pending);
        if !self.plan.webhook || !is_new || self.may_refuse_follow_up() {
            return None;
        }
        let not_followed_up = !self.ending.follow_up.error().is_empty();
        let delivery = Delivery { outcome: sealed.clone(), first_run_id, not_followed_up };
        self.ending.webhook = Progress::Started;
        Some(Consequence::Webhook { delivery, task_queue: self.plan.webhook_queue.clone() })
    }
}

#[cfg(test)]
mod tests;
