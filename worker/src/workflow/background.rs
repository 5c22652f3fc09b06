//! Work that goes on while the workflow waits for something else, and what ends with a stage.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{FusedFuture, LocalBoxFuture},
};
use jiff::Timestamp;
use temporalio_sdk::{WorkflowCancellationToken, WorkflowContext};

use super::{ApprovalWorkflow, options};
use crate::recorded::{About, Notice};

/// Polls its work in the order in which it was added: commands follow from this order. Ready when all of it is done.
/// It is flat, since one mail may be retried for as long as thousands of others come and go.
#[derive(Default)]
pub(super) struct Background {
    work: Vec<LocalBoxFuture<'static, ()>>,
}

impl Background {
    pub(super) fn is_idle(&self) -> bool {
        self.work.is_empty()
    }

    pub(super) fn add(&mut self, new: impl Future<Output = ()> + 'static) {
        self.work.push(new.boxed_local());
    }
}

impl Future for Background {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_idle() {
            return Poll::Pending;
        }
        self.work.retain_mut(|work| work.poll_unpin(cx).is_pending());
        if self.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl FusedFuture for Background {
    fn is_terminated(&self) -> bool {
        self.is_idle()
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

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::pending, rc::Rc, task::Waker, thread};

    use super::*;

    fn poll(background: &mut Background) -> Poll<()> {
        background.poll_unpin(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_comes_behind_work_that_hangs_is_done_in_order_on_a_small_stack() {
        let run = || {
            let (mut background, done) = (Background::default(), Rc::new(RefCell::new(Vec::new())));
            background.add(pending());
            for number in 0..10_000 {
                let done = Rc::clone(&done);
                background.add(async move { done.borrow_mut().push(number) });
            }
            assert!(poll(&mut background).is_pending());
            assert!(done.borrow().iter().copied().eq(0..10_000));
            assert!(poll(&mut background).is_pending(), "what is done is not polled again");
        };
        let thread = thread::Builder::new().stack_size(128 * 1024).spawn(run);
        thread.expect("a thread").join().expect("no panic");
    }

    #[test]
    fn it_ends_once_with_all_of_its_work_and_takes_more() {
        let mut background = Background::default();
        for _ in 0..2 {
            assert!(background.is_idle() && poll(&mut background).is_pending());
            background.add(async {});
            background.add(async {});
            assert!(!background.is_idle() && poll(&mut background).is_ready());
        }
    }
}
