//! Named points: before and after a call or an effect, where a process can be caught and killed.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::installation::Part;

/// When somebody is caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The call has not left the caller's side of the network.
    Before,
    /// The call is on its way to the server.
    During,
    /// It is done, and the caller has not heard so.
    After,
}

/// Where somebody is caught: the name of an RPC or of another effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    /// What is done there.
    pub(crate) what: &'static str,
    /// When.
    pub(crate) moment: Moment,
}

impl Point {
    /// What the report calls it.
    pub(crate) fn name(self) -> String {
        let when = match self.moment {
            Moment::Before => "before",
            Moment::During => "at",
            Moment::After => "after",
        };
        format!("{when} {}", self.what)
    }
}

/// A mail has been taken by whoever delivers it.
pub(crate) const MAIL: Point = Point { what: "mail", moment: Moment::After };
/// An outcome has been taken by whoever acts on it.
pub(crate) const WEBHOOK: Point = Point { what: "webhook", moment: Moment::After };

/// At most one trap at a time.
#[derive(Default)]
pub(crate) struct Traps(Mutex<Option<(Point, oneshot::Sender<Part>)>>);

impl Traps {
    /// Waits at a point; the answer is who came there first, and is held there.
    pub(crate) fn set(&self, point: Point) -> oneshot::Receiver<Part> {
        let (caught, who) = oneshot::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((point, caught));
        who
    }

    /// Whether somebody is waited for at a point.
    pub(crate) fn is_set(&self, point: Point) -> bool {
        let trap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trap.as_ref().is_some_and(|(at, caught)| *at == point && !caught.is_closed())
    }

    /// Somebody is at a point; whether they are caught, and have to be held.
    pub(crate) fn catches(&self, what: &str, moment: Moment, who: Part) -> bool {
        let mut trap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trap.take_if(|(at, _)| at.what == what && at.moment == moment) {
            // Nobody is held for a trap that was given up.
            Some((_, caught)) => caught.send(who).is_ok(),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_is_caught_at_the_point_and_nobody_else() {
        let traps = Traps::default();
        let worker = Part::Worker(1);
        let who = traps.set(MAIL);
        assert!(traps.is_set(MAIL) && !traps.is_set(WEBHOOK));
        assert!(!traps.catches("mail", Moment::Before, worker));
        assert!(!traps.catches("webhook", Moment::After, worker));
        assert!(traps.catches("mail", Moment::After, worker));
        assert!(!traps.catches("mail", Moment::After, worker));
        assert_eq!(who.await, Ok(worker));
        drop(traps.set(MAIL));
        assert!(!traps.catches("mail", Moment::After, worker));
    }
}
