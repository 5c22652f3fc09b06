//! From one version of a submission to the next: a revision is held, validated and routed, and the approval begins
//! anew. What is left of the version before is who has to be told, and how they know it.

use countersign_protos::{ignored, names, v1::Submission};
use jiff::Timestamp;

use super::{
    Case, Open,
    evidence::{Asked, Left, Previous, brief},
    inbox::Inbox,
    notices::Kind,
    signals::Claimant,
};
use crate::{
    approval::{EmailAddress, Reviser, Seat, Signed, Stage, Status},
    outcome::is_superseded,
    policy::Plan,
    recorded::{EarlierRequest, EarlierSeat, Evidence, Revising, Sealed, Validated},
};

/// How many links of earlier versions are kept, so that a search still finds the approval by them. Those that there
/// is room for are published.
const MAX_EARLIER_LINKS: usize = 80;

/// A submission that is to take the place of the present one.
#[derive(Debug)]
pub(super) struct Revision {
    submission: Submission,
    by: Reviser,
}

impl Claimant {
    /// Whoever names a link has to prove that they have it.
    fn signed(self) -> Result<Result<Signed, String>, String> {
        match (self.link, self.proof) {
            (link, _) if link.is_empty() => Ok(Err(self.identity)),
            (link, Some(proof)) => Ok(Ok(Signed { link, proof })),
            (_, None) => Err("`link` is given without its `proof`".to_owned()),
        }
    }
}

impl Case {
    /// The answer to a revision. It may be refused, and nothing has happened then.
    pub(super) fn revised(&mut self, validated: Validated, now: Timestamp) {
        let Some(open) = &mut self.open else { return };
        if !std::mem::take(&mut open.issuing) {
            return;
        }
        let next = match validated {
            Validated::Plan(plan) => open.next_version(plan, now),
            Validated::Problems(problems) => Err(ignored::unusable(&problems)),
        };
        match next {
            Ok(next) => {
                *open = next;
                (self.votes_told, self.delegations_told) = (0, 0);
                self.inbox.forget_decisions(now);
            }
            Err(why) => self.inbox.ignore(names::SIGNAL_REVISE, &why, now),
        }
    }
}

impl Inbox {
    /// Whoever decided while a revision was looked at, or before anybody was asked about it, has not seen it, whichever
    /// version they name.
    pub(super) fn forget_decisions(&mut self, now: Timestamp) {
        let early = self.until_open.take_decisions();
        for signal in early.into_iter().chain(self.while_issuing.take_decisions()) {
            let (name, whom) = (signal.name(), signal.whom());
            self.ignore_about(name, whom, "it was revised meanwhile".to_owned(), now);
        }
    }
}

impl Open {
    /// Withdraws it, as an operator or the submitter wants.
    pub(super) fn withdraw(
        &mut self,
        reason: String,
        by: Claimant,
        now: Timestamp,
    ) -> Result<(), String> {
        let withdrawn = match by.signed()? {
            Ok(signed) => self.approval.withdraw_by_link(reason, signed, now),
            Err(identity) => self.approval.withdraw(reason, identity, now),
        };
        withdrawn.map_err(|why| why.to_string())
    }

    /// Has a revision looked at, if there can be one.
    pub(super) fn hold_revision(
        &mut self,
        submission: Submission,
        by: Claimant,
    ) -> Result<(), String> {
        let by = match by.signed()? {
            Ok(signed) => Reviser::Submitter(signed),
            Err(identity) => Reviser::Operator(identity),
        };
        self.approval.may_revise(&by, &submission).map_err(|why| why.to_string())?;
        self.revision = Some(Box::new(Revision { submission, by }));
        Ok(())
    }

    /// The revision that is to be looked at now, and a summary for people.
    pub(super) fn take_revision(&mut self) -> Option<(String, Revising)> {
        let Revision { submission, by } = *self.revision.take()?;
        let evidence = self.evidence(self.approval.journal().len());
        let summary = format!("Check version {} and route it", self.plan.version() + 1);
        Some((summary, Revising { evidence, submission, by }))
    }

    /// The approval of the next version, to which nothing has happened yet.
    fn next_version(&self, plan: Sealed<Plan>, now: Timestamp) -> Result<Open, String> {
        let first_run_id = self.first_run_id.clone();
        let mut notices = self.notices.clone();
        notices.revise();
        let left = Left {
            evidence: Evidence { plan, first_run_id, began: now, journal: Vec::new() },
            workflow_id: self.workflow_id.clone(),
            encoding: self.encoding,
            deliveries: self.deliveries.of_next_version(),
            notices,
            outcome: None,
            previous: Some(self.as_previous()),
        };
        let mut next = left.open()?;
        if next.plan.version() != self.plan.version() + 1 {
            return Err("it is another version than the next one".to_owned());
        }
        (next.times_out_at, next.phase, next.unpublished) = (self.times_out_at, self.phase, true);
        if next.approval.is_final() {
            next.tell_those_not_asked_again();
        }
        Ok(next)
    }

    fn as_previous(&self) -> Previous {
        let stages = self.approval.stages().iter().enumerate();
        let seats = stages.flat_map(|(at, stage)| stage.seats().iter().map(move |seat| (at, seat)));
        let asked = seats.filter_map(|(stage, seat)| self.as_asked(stage, seat));
        // Somebody who was sent no request about this version may have one about that before it.
        let before = self.previous.iter().flat_map(|previous| previous.asked.iter().cloned());
        let before = before.filter(|asked| self.has_unsent(&asked.reviewer));
        let (asked, links) = (before.chain(asked).collect(), self.links().take(MAX_EARLIER_LINKS));
        let evidence = brief(self.evidence(self.approval.journal().len()));
        Previous { evidence, asked, links: links.collect(), is_told: false }
    }

    fn has_unsent(&self, reviewer: &EmailAddress) -> bool {
        let seats = self.approval.stages().iter().flat_map(Stage::seats);
        let mut own = seats.filter(|seat| seat.reviewer == *reviewer).peekable();
        own.peek().is_some() && own.all(|seat| !self.deliveries.of(seat).sent)
    }

    /// Whoever was sent a request, unless others have replaced them: they were told so.
    fn as_asked(&self, stage: usize, seat: &Seat) -> Option<Asked> {
        let is_replaced = is_superseded(seat) && !self.approval.stages()[stage].is_reissued(seat);
        if is_replaced || !self.deliveries.of(seat).sent {
            return None;
        }
        let version = EarlierSeat {
            digest: self.plan.digest.clone(),
            stage: stage as u32,
            on_behalf_of: seat.on_behalf_of.clone(),
            instead_of: seat.instead_of.clone(),
        };
        let asked_at = self.approval.asked_at(&seat.link)?;
        let request = EarlierRequest { round: seat.round, asked_at, version: Some(version) };
        Some(Asked { reviewer: seat.reviewer.clone(), request })
    }

    /// The hashes of all links by which it can be found: those of this version, and then those before.
    pub(super) fn links(&self) -> impl Iterator<Item = String> {
        let seats = self.approval.stages().iter().flat_map(Stage::seats);
        let own = seats.map(|seat| &seat.link);
        let submitter = self.approval.submitter_link().map(|submitter| &submitter.link);
        let earlier = self.previous.iter().flat_map(|previous| &previous.links);
        own.chain(submitter).chain(earlier).filter(|link| !link.is_empty()).cloned()
    }

    /// Whether a link is one of an earlier version.
    pub(super) fn was_revised_since(&self, link: &str) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.links.iter().any(|one| one == link))
    }

    /// The request to this reviewer about the version before.
    pub(super) fn asked_before(&self, reviewer: &EmailAddress) -> Option<EarlierRequest> {
        let asked = &self.previous.as_ref()?.asked;
        asked.iter().rfind(|asked| asked.reviewer == *reviewer).map(|asked| asked.request.clone())
    }

    /// Notifies those who were asked about the version before, and are not asked about this one now.
    pub(super) fn tell_those_not_asked_again(&mut self) {
        let Some(previous) = self.previous.as_mut().filter(|previous| !previous.is_told) else {
            return;
        };
        previous.is_told = true;
        let seats: Vec<&Seat> = self.approval.stages().iter().flat_map(Stage::seats).collect();
        let is_asked = |who: &EmailAddress| seats.iter().any(|seat| seat.reviewer == *who);
        let mut told: Vec<&EmailAddress> = Vec::new();
        for Asked { reviewer, .. } in &previous.asked {
            if !is_asked(reviewer) && !told.contains(&reviewer) {
                told.push(reviewer);
            }
        }
        let entries = previous.evidence.journal.len();
        for reviewer in told {
            self.notices.notify(reviewer.clone(), Kind::Revised, entries);
        }
    }

    /// Whether it waits for the submitter.
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.approval.status(), Status::ChangesRequested(_))
    }
}

#[cfg(test)]
mod tests;
