//! Failpoints: before and after a call or an effect, where a process can be held and killed.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::part::Part;

/// When a process is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The call has not left the caller's side of the network.
    Before,
    /// The call is on its way to the server.
    During,
    /// The call is done, and the caller does not know yet.
    After,
}

/// Where a process is held: the name of an RPC or of another effect, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// The name of the RPC or effect.
    pub(crate) what: &'static str,
    pub(crate) moment: Moment,
}

impl Point {
    /// The name in the report.
    pub(crate) fn name(self) -> String {
        let when = match self.moment {
            Moment::Before => "before",
            Moment::During => "at",
            Moment::After => "after",
        };
        format!("{when} {}", self.what)
    }
}

/// The mail server, topic or outbox has taken a mail.
pub(crate) const MAIL: Point = Point { what: "mail", moment: Moment::After };
/// The webhook's receiver has taken an outcome.
pub(crate) const WEBHOOK: Point = Point { what: "webhook", moment: Moment::After };

/// At most one active failpoint.
#[derive(Default)]
pub(crate) struct Failpoints(Mutex<Option<(Point, oneshot::Sender<Part>)>>);

impl Failpoints {
    /// Activates a failpoint. The receiver gets the first part that reaches it and is held there.
    pub(crate) fn set(&self, point: Point) -> oneshot::Receiver<Part> {
        let (hit, part) = oneshot::channel();
        *self.0.lock() = Some((point, hit));
        part
    }

    /// Whether a failpoint is active and somebody still waits for a part to reach it.
    pub(crate) fn is_set(&self, point: Point) -> bool {
        let active = self.0.lock();
        active.as_ref().is_some_and(|(at, hit)| *at == point && !hit.is_closed())
    }

    /// A part has reached a point. Returns whether it has to be held there.
    pub(crate) fn hit(&self, what: &str, moment: Moment, part: Part) -> bool {
        let mut active = self.0.lock();
        match active.take_if(|(at, _)| at.what == what && at.moment == moment) {
            // Where nobody waits any more, the part goes on.
            Some((_, hit)) => hit.send(part).is_ok(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_part_is_held_at_the_point_and_no_other() {
        let failpoints = Failpoints::default();
        let worker = Part::Worker(1);
        let part = failpoints.set(MAIL);
        assert!(failpoints.is_set(MAIL) && !failpoints.is_set(WEBHOOK));
        assert!(!failpoints.hit("mail", Moment::Before, worker));
        assert!(!failpoints.hit("webhook", Moment::After, worker));
        assert!(failpoints.hit("mail", Moment::After, worker));
        assert!(!failpoints.hit("mail", Moment::After, worker));
        assert_eq!(part.await, Ok(worker));
        drop(failpoints.set(MAIL));
        assert!(!failpoints.hit("mail", Moment::After, worker));
    }
}
