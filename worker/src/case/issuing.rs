//! Issuing links: to whom, and what follows once it is done.

use countersign_protos::{FIRST_VERSION, names};
use jiff::Timestamp;

use super::{Case, Open, notices::Kind};
use crate::{
    approval::{NotReassigned, NotReissued, Seat, ToAsk, Whom},
    recorded::{Issue, Issued},
};

impl Case {
    /// Opens the level or the seat that links were issued for, and takes the decisions that were held
    /// for it. Superseded reviewers are notified if they were asked before.
    pub(super) fn links_issued(&mut self, issued: Issued) {
        let Some(open) = &mut self.open else { return };
        if !std::mem::take(&mut open.issuing) {
            return;
        }
        let now = issued.opened_at;
        let is_new_version =
            open.plan.version() > FIRST_VERSION && open.approval.journal().is_empty();
        let (superseded, pointless) = open.ask(issued);
        open.tell_those_not_asked_again();
        if let Some((signal, why)) = pointless {
            self.inbox.ignore(signal, &why, now);
        }
        if is_new_version {
            self.inbox.forget_decisions(now);
        }
        self.drain_until_open(now);
        if let Some(open) = &mut self.open {
            open.notify(superseded);
            open.unpublished = true;
        }
    }
}

impl Open {
    /// Whom to issue links to now, and a summary for people.
    pub(super) fn to_issue(&self, now: Timestamp) -> Option<(String, Issue)> {
        let to_ask = self.approval.to_ask()?;
        let planned = self.plan.stages.get(to_ask.stage)?;
        let name = &planned.name;
        let is_fallback = |level: usize| {
            let level = level.checked_sub(1).and_then(|level| planned.escalations.get(level));
            level.is_some_and(|level| level.fallback)
        };
        let revised = match self.plan.version() {
            FIRST_VERSION => String::new(),
            version => format!(" (version {version})"),
        };
        let summary = match &to_ask.whom {
            Whom::Replacement(from, _) if self.is_delegating(to_ask.stage, from) => {
                format!("Issue an approval link for {name}, since {from} delegates")
            }
            Whom::Submitter => {
                format!("Issue a link for {} to make changes", self.plan.submitter)
            }
            Whom::Replacement(from, _) => {
                format!("Issue an approval link for {name} to replace {from}")
            }
            Whom::Reissue { reviewer, .. } => {
                format!("Issue a new approval link for {name} to {reviewer}")
            }
            Whom::Level(0) => format!("Issue approval links for {name}{revised}"),
            Whom::Level(level) if is_fallback(*level) => format!("Ask the fallback of {name}"),
            Whom::Level(level) => format!("Escalate {name} (level {level})"),
        };
        let (plan, first_run_id) = (self.sealed.clone(), self.first_run_id.clone());
        Some((summary, Issue { plan, first_run_id, to_ask, opened_at: now }))
    }

    /// Returns the seats of those to tell that others have taken them, and a signal that has become pointless
    /// meanwhile, with the reason.
    fn ask(&mut self, issued: Issued) -> (Vec<Seat>, Option<(&'static str, String)>) {
        let Issued { opened_at, invited, due, submitter } = issued;
        let to_ask = self.approval.to_ask();
        if matches!(&to_ask, Some(ToAsk { whom: Whom::Submitter, .. })) {
            if let Some(link) = submitter {
                self.approval.ask_submitter(link, due.map(|due| due.deadline), opened_at);
                let entries = self.approval.journal().len();
                self.notices.notify(self.plan.submitter.clone(), Kind::ChangesRequested, entries);
            }
            return (Vec::new(), None);
        }
        let mut superseded = self.approval.ask(invited, due, opened_at);
        if let Some(link) = submitter {
            self.approval.ask_submitter(link, None, opened_at);
        }
        self.notify_of_start();
        let Some(ToAsk { stage, round, whom, .. }) = to_ask else { return (superseded, None) };
        let stage = &self.approval.stages()[stage];
        let is_pointless = stage.seats().len() == round as usize;
        match whom {
            Whom::Level(_) | Whom::Submitter => (superseded, None),
            Whom::Replacement(from, to) => {
                // They wanted it, and their page says so.
                let delegated = stage.delegations();
                superseded.retain(|seat| delegated.iter().all(|(from, ..)| from.link != seat.link));
                let why = match stage.undecided().any(|seat| seat.reviewer == from) {
                    true => NotReassigned::AskedAlready,
                    false => NotReassigned::NotAsked,
                };
                let why = (names::SIGNAL_REASSIGN, format!("{why} ({from} to {to})"));
                (superseded, is_pointless.then_some(why))
            }
            // The mail with the new link says that it replaces the old one.
            Whom::Reissue { reviewer, .. } => {
                let why = format!("{} ({reviewer})", NotReissued::NotAsked);
                (Vec::new(), is_pointless.then_some((names::SIGNAL_REISSUE, why)))
            }
        }
    }
}
