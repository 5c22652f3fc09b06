//! Notices on their way to people.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::approval::EmailAddress;

/// How many notices to reviewers are on their way at most: with what proves each, those that start together
/// go to Temporal in one message, of 4 MiB at most.
pub(super) const AT_ONCE: usize = 20;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Notices {
    /// By number. A new run sends all of them again, and so does a workflow that goes on with them.
    undelivered: BTreeMap<u32, Pending>,
    count: u32,
    /// Those that are on their way.
    #[serde(skip)]
    started: BTreeSet<u32>,
    /// Why the submitter could not be notified the last time; empty if they could.
    pub(super) submitter_error: String,
    /// Whether the submitter was notified that mail reaches nobody who may decide now.
    pub(super) notified_unreachable: bool,
}

/// A notice that was not delivered yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) recipient: EmailAddress,
    pub(super) kind: Kind,
    /// How much of the journal it is about.
    pub(super) entries: usize,
    /// Whether that journal is of the version before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_of_previous: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// To the submitter, as the three behind.
    Outcome,
    /// People are asked for the first time.
    Started,
    /// Mail reaches nobody who may decide.
    Unreachable,
    ChangesRequested,
    /// To a reviewer of the version before, which that journal is of, as the two behind.
    Revised,
    Superseded,
    DecidedByOperator,
}

impl Kind {
    fn is_for_submitter(self) -> bool {
        self == Kind::Outcome || self.is_about_stage()
    }

    /// Whether it says what the open stage waits for, which is not so any more once that has ended.
    fn is_about_stage(self) -> bool {
        matches!(self, Kind::Started | Kind::Unreachable | Kind::ChangesRequested)
    }
}

impl Notices {
    /// Drops what was to be said of a stage that has ended. Returns whether some of it is on its way: that is
    /// to be cancelled.
    pub(super) fn end_stage(&mut self) -> bool {
        let stale = self.undelivered.extract_if(.., |_, notice| notice.kind.is_about_stage());
        stale.filter(|(number, _)| self.started.remove(number)).count() > 0
    }

    pub(super) fn notify(&mut self, recipient: EmailAddress, kind: Kind, entries: usize) {
        let is_of_previous = kind == Kind::Revised;
        self.undelivered.insert(self.count, Pending { recipient, kind, entries, is_of_previous });
        self.count += 1;
    }

    /// From now on, all of them are about the version before. Those about one before that are dropped, unless they are
    /// on their way: no evidence of it is kept.
    pub(super) fn revise(&mut self) {
        self.notified_unreachable = false;
        self.undelivered.retain(|_, notice| !std::mem::replace(&mut notice.is_of_previous, true));
    }

    /// Those that are to be sent now, each once in a run. The submitter's waits for no other.
    pub(super) fn start(&mut self) -> Vec<(u32, Pending)> {
        let mut room = self.room();
        let mut fits = |notice: &Pending| {
            let fits = notice.kind.is_for_submitter() || room > 0;
            room = room.saturating_sub(1);
            fits
        };
        let new = self.waiting().filter(|(_, notice)| fits(notice));
        let new: Vec<_> = new.map(|(number, notice)| (*number, notice.clone())).collect();
        self.started.extend(new.iter().map(|(number, _)| *number));
        new
    }

    /// Whether [`Notices::start`] has any to send.
    pub(super) fn can_start(&self) -> bool {
        let has_room = self.room() > 0;
        self.waiting().any(|(_, notice)| notice.kind.is_for_submitter() || has_room)
    }

    /// How many notices to reviewers can be started.
    fn room(&self) -> usize {
        AT_ONCE.saturating_sub(self.started.len())
    }

    /// Those that are not on their way. What is on its way may have been dropped.
    fn waiting(&self) -> impl Iterator<Item = (&u32, &Pending)> {
        self.undelivered.iter().filter(|(number, _)| !self.started.contains(number))
    }

    /// Whether some were neither delivered nor refused.
    pub(super) fn are_pending(&self) -> bool {
        !self.undelivered.is_empty()
    }

    /// A notice was sent, or refused for good. Returns whether that changes whether the submitter can be notified:
    /// their latest notice says it.
    pub(super) fn finish(&mut self, number: u32, result: Result<(), String>) -> bool {
        self.started.remove(&number);
        let Some(Pending { kind, .. }) = self.undelivered.remove(&number) else { return false };
        if !kind.is_for_submitter() {
            return false;
        }
        let error = result.err().unwrap_or_default();
        let before = std::mem::replace(&mut self.submitter_error, error);
        before.is_empty() != self.submitter_error.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify(notices: &mut Notices, kind: Kind) {
        notices.notify("ann@example.com".parse().expect("an address"), kind, 0);
    }

    #[test]
    fn what_was_dropped_on_its_way_hides_nothing_that_waits() {
        let mut notices = Notices::default();
        notify(&mut notices, Kind::Superseded);
        assert_eq!(notices.start().len(), 1);
        (1..=2).for_each(|_| notices.revise());
        assert!(!notices.can_start(), "nothing waits");
        notify(&mut notices, Kind::Superseded);
        assert!(notices.can_start());
        assert_eq!(notices.start().len(), 1);
        assert!(!notices.can_start());
    }

    #[test]
    fn the_submitters_notice_can_start_where_there_is_no_room_for_others() {
        let mut notices = Notices::default();
        (0..=AT_ONCE).for_each(|_| notify(&mut notices, Kind::Superseded));
        assert!(notices.can_start());
        assert_eq!(notices.start().len(), AT_ONCE);
        assert!(!notices.can_start());
        notify(&mut notices, Kind::Outcome);
        assert!(notices.can_start());
        assert_eq!(notices.start().len(), 1);
    }
}
