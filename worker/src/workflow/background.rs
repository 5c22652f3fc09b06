//! Work that goes on while the workflow waits for something else, and what ends with a stage.

use std::{future::Future, pin::Pin};

use futures::{
    FutureExt,
    future::{Fuse, FusedFuture, LocalBoxFuture},
};
use jiff::Timestamp;
use temporalio_sdk::{WorkflowCancellationToken, WorkflowContext, workflows::join};

use super::{ApprovalWorkflow, options};
use crate::recorded::{About, Notice};

pub(super) struct Background {
    pub(super) work: Fuse<LocalBoxFuture<'static, ()>>,
}

impl Default for Background {
    fn default() -> Self {
        Self { work: Fuse::terminated() }
    }
}

impl Background {
    pub(super) fn is_idle(&self) -> bool {
        self.work.is_terminated()
    }

    /// Goes on with it after what was added before: commands follow from this order.
    pub(super) fn add(&mut self, new: impl Future<Output = ()> + 'static) {
        let earlier = std::mem::replace(&mut self.work, Fuse::terminated());
        let both = async move {
            match earlier.is_terminated() {
                true => new.await,
                false => drop(join!(earlier, new)),
            }
        };
        self.work = both.boxed_local().fuse();
    }
}

/// What is cancelled when a stage ends or is paused: its timer, and mails about it that were not sent yet.
pub(super) struct StageWork<'a> {
    over: WorkflowCancellationToken,
    timer: Option<Timer<'a>>,
    /// Each with the hash of its link.
    requests: Vec<(String, WorkflowCancellationToken)>,
}

impl<'a> StageWork<'a> {
    pub(super) fn new() -> Self {
        Self { over: WorkflowCancellationToken::new(), timer: None, requests: Vec::new() }
    }

    pub(super) fn cancel(self) {
        self.over.cancel();
    }

    /// A token for the request with this link.
    pub(super) fn request(&mut self, link: &str) -> WorkflowCancellationToken {
        let token = self.over.child_token();
        self.requests.push((link.to_owned(), token.clone()));
        token
    }

    /// A token for a notice: what the submitter is told of the stage ends with it, and nothing else does.
    pub(super) fn notice(&self, notice: &Notice) -> WorkflowCancellationToken {
        match notice.about {
            About::Started(_) | About::Unreachable(_) | About::ChangesRequested(_) => {
                self.over.child_token()
            }
            About::Outcome { .. }
            | About::Revised { .. }
            | About::Superseded(_)
            | About::DecidedByOperator(_) => WorkflowCancellationToken::new(),
        }
    }

    pub(super) fn stop_requests(&mut self, links: &[String]) {
        let stopped = self.requests.extract_if(.., |(link, _)| links.contains(link));
        stopped.for_each(|(_, token)| token.cancel());
    }

    /// The timer for this moment: the one that is set, or a new one in its place.
    pub(super) fn timer(
        &mut self,
        ctx: &'a WorkflowContext<ApprovalWorkflow>,
        until: Timestamp,
        now: Timestamp,
        summary: String,
    ) -> &mut Timer<'a> {
        if let Some(other) = self.timer.take_if(|timer| timer.until != until) {
            other.token.cancel();
        }
        let over = &self.over;
        self.timer.get_or_insert_with(|| {
            let token = over.child_token();
            let options = options::timer(until, now, summary, token.clone());
            let firing = Box::pin(ctx.timer(options).map(drop).fuse());
            Timer { until, firing, fired: false, token }
        })
    }

    pub(super) fn forget_timer(&mut self) {
        self.timer = None;
    }
}

pub(super) struct Timer<'a> {
    until: Timestamp,
    firing: Pin<Box<dyn FusedFuture<Output = ()> + 'a>>,
    fired: bool,
    token: WorkflowCancellationToken,
}

impl Timer<'_> {
    /// Returns at once if it has fired before.
    pub(super) async fn fires(&mut self) {
        if !self.fired {
            self.firing.as_mut().await;
            self.fired = true;
        }
    }
}
