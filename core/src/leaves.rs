//! What certifies itself in a history that others can write to, and how an outcome is recomputed from it.
//!
//! Who has the Temporal namespace can put anything into our worker's state. So nothing acts on the state:
//! it acts on what follows from the leaves. A plan is genuine by its seal, a seat by its approval ID, and a
//! vote by its proof; everything between them is computed anew. Time is not a leaf: a deadline can be made
//! to come early.

use countersign_protos::{Chain, GenuineLink, LinkContext, LinkKey};
use jiff::Timestamp;

use crate::{
    approval::{
        Approval, EmailAddress, Entry, Invited, Quorum, RuleDecision, SubmitterLink, ToAsk, Whom,
    },
    policy::{self, Invitee, Plan, Policy},
};

/// A sealed plan, the approval that it was sealed for, and the key that did.
#[derive(Debug, Clone, Copy)]
pub struct Leaves<'a> {
    pub chain: Chain<'a>,
    pub plan: &'a Plan,
    pub key: &'a LinkKey,
}

/// Somebody's seat in a stage.
#[derive(Debug, Clone, Copy)]
pub struct SeatOf<'a> {
    /// The stage's position, from 0.
    pub stage: usize,
    /// The number of seats that the stage had before.
    pub round: u32,
    pub reviewer: &'a EmailAddress,
    pub on_behalf_of: Option<&'a EmailAddress>,
    pub instead_of: Option<&'a EmailAddress>,
}

/// An entry of a journal is not genuine, or could not happen after those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what was recorded does not follow from the plan, its links and their votes (entry {0})")]
pub struct Contradiction(pub usize);

/// An approval to which nothing has happened yet.
pub fn begin(plan: &Plan, at: Timestamp) -> Approval {
    let submitter = plan.submitter.clone();
    let approval = match plan.rule_decision {
        Some(verdict) => {
            let rule = plan.rule.clone();
            Approval::decided_by_rule(submitter, RuleDecision { verdict, rule, at })
        }
        None => {
            let stages = plan.stages.iter().map(Into::into).collect();
            Approval::restricted(submitter, stages, plan.restrictions.clone())
                .with_fields(plan.submission.fields.clone())
        }
    };
    approval.of_version(plan.version())
}

/// The approval to which this has happened, if it can have; whether it is genuine is not looked at.
///
/// # Errors
/// The first entry that could not happen.
pub fn replay(
    plan: &Plan,
    began: Timestamp,
    journal: Vec<Entry>,
) -> Result<Approval, Contradiction> {
    repeat(plan, began, journal, |_, _| true)
}

/// Whether comments, answers or reasons were left out of it. An outcome is concluded from all of them.
pub fn is_brief(journal: &[Entry]) -> bool {
    journal.iter().any(|entry| match entry {
        Entry::Voted { ballot, .. } => {
            ballot.left_out.is_some() || ballot.answers_left_out.is_some()
        }
        Entry::Delegated { delegation, .. } => delegation.left_out.is_some(),
        _ => false,
    })
}

fn repeat(
    plan: &Plan,
    began: Timestamp,
    journal: Vec<Entry>,
    is_genuine: impl Fn(&Approval, &Entry) -> bool,
) -> Result<Approval, Contradiction> {
    let mut approval = begin(plan, began);
    for (position, entry) in journal.into_iter().enumerate() {
        if !is_genuine(&approval, &entry) || !approval.repeat(entry) {
            return Err(Contradiction(position));
        }
    }
    Ok(approval)
}

impl Leaves<'_> {
    /// A seat's link: it is for this seat of this approval alone.
    pub fn link(&self, seat: SeatOf<'_>) -> GenuineLink {
        self.key.link(LinkContext {
            stage: seat.stage as u32,
            round: seat.round,
            on_behalf_of: seat.on_behalf_of.map_or("", EmailAddress::as_str),
            instead_of: seat.instead_of.map_or("", EmailAddress::as_str),
            ..LinkContext::new(self.chain, &self.plan.digest, seat.reviewer.as_str())
        })
    }

    /// The submitter's link to this version.
    pub fn submitters_link(&self) -> GenuineLink {
        let submitter = self.plan.submitter.as_str();
        self.key.link(LinkContext::submitter(self.chain, &self.plan.digest, submitter))
    }

    /// The same as it is recorded, if it is sent together with these requests: where changes are requested, or at the
    /// start if the rule wants that.
    pub fn submitter(&self, to_ask: &ToAsk) -> Option<SubmitterLink> {
        let is_sent = match to_ask.whom {
            Whom::Submitter => true,
            Whom::Level(0) => to_ask.stage == 0 && self.plan.submitter_link,
            Whom::Level(_) | Whom::Replacement(..) | Whom::Reissue { .. } => false,
        };
        is_sent.then(|| self.recorded_submitters_link())
    }

    fn recorded_submitters_link(&self) -> SubmitterLink {
        let link = self.submitters_link();
        SubmitterLink { link: link.hash().as_str().to_owned(), key: link.public_key() }
    }

    /// Issues links to those who are to be asked, or to their deputies.
    ///
    /// A plan has the absences of the reviewers whom it names. A replacement that an operator names need not
    /// be one of them: today's rules apply to it, if there are any. Whose link was never issued gets no new one.
    pub fn invite(&self, to_ask: &ToAsk, rules: Option<&Policy>, at: Timestamp) -> Vec<Invited> {
        if !self.had_link(to_ask) {
            return Vec::new();
        }
        let invitees = invitees(self.plan, to_ask, rules, at).into_iter();
        invitees
            .map(|Invitee { reviewer, on_behalf_of, .. }| {
                self.invited(to_ask, reviewer, on_behalf_of)
            })
            .collect()
    }

    /// Whether somebody who is to get a new link had the old one. A state can name anybody.
    fn had_link(&self, to_ask: &ToAsk) -> bool {
        let Whom::Reissue { reviewer, on_behalf_of, instead_of, old_round, old_link } =
            &to_ask.whom
        else {
            return true;
        };
        let old = self.link(SeatOf {
            stage: to_ask.stage,
            round: *old_round,
            reviewer,
            on_behalf_of: on_behalf_of.as_ref(),
            instead_of: instead_of.as_ref(),
        });
        old.hash().as_str() == old_link
    }

    /// The approval to which this has happened.
    ///
    /// # Errors
    /// The first entry that is not genuine, or could not happen.
    pub fn recompute(
        &self,
        began: Timestamp,
        journal: Vec<Entry>,
    ) -> Result<Approval, Contradiction> {
        repeat(self.plan, began, journal, |approval, entry| match entry {
            Entry::Asked { invited, at, .. } => {
                approval.to_ask().is_some_and(|to_ask| self.issued(&to_ask, invited, *at))
            }
            Entry::SubmitterAsked { link, .. } => *link == self.recorded_submitters_link(),
            // A vote without a proof counts as an operator's, a delegation without one never happens, and everything
            // else only stops.
            Entry::Voted { .. }
            | Entry::Delegated { .. }
            | Entry::Reassigned { .. }
            | Entry::Reminded { .. }
            | Entry::Reissued { .. }
            | Entry::Withdrawn { .. }
            | Entry::Reached { .. }
            | Entry::TimePassed { .. } => true,
        })
    }

    /// Whether these are the links that were issued.
    fn issued(&self, to_ask: &ToAsk, invited: &[Invited], at: Timestamp) -> bool {
        match &to_ask.whom {
            Whom::Submitter => false,
            Whom::Level(_) | Whom::Reissue { .. } => {
                let genuine = self.invite(to_ask, None, at);
                genuine.len() == invited.len()
                    && genuine.iter().zip(invited).all(|(genuine, one)| one.is_exactly(genuine))
            }
            // Who the deputies were then is not recorded, but the link says whom it was issued to.
            Whom::Replacement(_, to) => invited.iter().all(|one| {
                let (reviewer, on_behalf_of) = (one.reviewer.clone(), one.on_behalf_of.clone());
                on_behalf_of.as_ref().unwrap_or(&reviewer) == to
                    && one.is_exactly(&self.invited(to_ask, reviewer, on_behalf_of))
            }),
        }
    }

    fn invited(
        &self,
        to_ask: &ToAsk,
        reviewer: EmailAddress,
        on_behalf_of: Option<EmailAddress>,
    ) -> Invited {
        let instead_of = match &to_ask.whom {
            Whom::Level(_) | Whom::Submitter => None,
            Whom::Replacement(from, _) => Some(from),
            Whom::Reissue { instead_of, .. } => instead_of.as_ref(),
        };
        let link = self.link(SeatOf {
            stage: to_ask.stage,
            round: to_ask.round,
            reviewer: &reviewer,
            on_behalf_of: on_behalf_of.as_ref(),
            instead_of,
        });
        let (hash, key) = (link.hash().as_str().to_owned(), link.public_key());
        let (stage, round, instead_of) = (to_ask.stage as u32, to_ask.round, instead_of.cloned());
        Invited { stage, round, reviewer, on_behalf_of, instead_of, link: hash, key }
    }
}

/// Who gets a link: the reviewers, or the deputies of those who are away. A new link is for whom the old one
/// was for.
fn invitees(plan: &Plan, to_ask: &ToAsk, rules: Option<&Policy>, at: Timestamp) -> Vec<Invitee> {
    let recorded = plan.calendar.clone().unwrap_or_default();
    let planned = plan.stages.get(to_ask.stage);
    let (reviewers, quorum, today) = match &to_ask.whom {
        Whom::Level(level) => {
            let asked = planned.and_then(|stage| stage.level(*level)).map(|(who, _)| who);
            (asked, planned.map_or(Quorum::Any, |stage| stage.needed(*level)), None)
        }
        Whom::Replacement(_, to) => (Some(std::slice::from_ref(to)), Quorum::Any, rules),
        Whom::Reissue { reviewer, on_behalf_of, .. } => {
            let (reviewer, on_behalf_of) = (reviewer.clone(), on_behalf_of.clone());
            return vec![Invitee { reviewer, on_behalf_of, kept: None }];
        }
        Whom::Submitter => return Vec::new(),
    };
    let (calendar, absences) = match today {
        Some(today) => (today.calendar(), today.absences()),
        None => (&recorded, &plan.absences[..]),
    };
    let reviewers = reviewers.unwrap_or_default();
    let (taken, on) = (&to_ask.taken, calendar.date(at));
    policy::invitees(reviewers, taken, absences, on, &plan.submitter, quorum)
}

#[cfg(test)]
mod tests;
