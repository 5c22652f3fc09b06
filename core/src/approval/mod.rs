//! The decision core: who decided what, and what follows from it.
//!
//! Every event goes to an [`Approval`] together with its time. From it follow a [`Receipt`], the
//! [`Status`], whom to [`ask`](Approval::to_ask) now, and when to [`tick`](Approval::tick) next.
//!
//! The tie rule: a decision that arrives before the deadline's tick counts, however late it is. So a
//! decision that reached the history while every worker was down is never lost.

mod delegating;
mod journal;
mod stage;
mod submitter;

use countersign_protos::{FIRST_VERSION, can_be_revised, v1::Field, version_of};
use jiff::Timestamp;

pub use stage::{End, Stage, State};

pub use crate::{
    ballot::{Ballot, Claim, Reviser, Signed, SubmitterLink, Withdrawal},
    delegation::Delegation,
    email::{EmailAddress, NotAnEmailAddress},
    journal::Entry,
    receipt::{NotDelegated, NotReassigned, NotReissued, NotRevised, NotWithdrawn, Receipt},
    seat::{Arranged, By, Invited, Seat, SeatStatus, ToAsk, Vote, Whom},
    stage_plan::{
        Due, Level, NotAQuorum, NotOnDeadline, OnDeadline, Operators, Quorum, Restrictions,
        RuleDecision, StagePlan, Verdict,
    },
};

pub(crate) use crate::seat::Replacement;

use crate::limits::MAX_SEATS;

/// One submission on its way through its stages.
///
/// All of it follows from what was planned and from its [journal](Self::journal).
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    submitter: EmailAddress,
    stages: Vec<Stage>,
    restrictions: Restrictions,
    /// What those who decide fill in.
    fields: Vec<Field>,
    rule_decision: Option<RuleDecision>,
    withdrawn: Option<Withdrawal>,
    /// Which version of its submission it is about.
    version: u32,
    submitter_link: Option<SubmitterLink>,
    journal: Vec<Entry>,
}

/// Where an approval stands, and since when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status<'a> {
    /// The stage that is open or opens next, and its position.
    Pending(usize, &'a Stage),
    /// Every stage approved, or a rule did.
    Approved(Basis<'a>, Timestamp),
    /// A stage rejected, or a rule did.
    Rejected(Basis<'a>, Timestamp),
    /// A reviewer has asked for changes, which wait for the submitter.
    ChangesRequested(ChangeRequest<'a>),
    /// A stage's deadline ended the approval undecided, or changes that were requested in it were not made in time.
    Expired(&'a Stage, Timestamp),
    /// It was withdrawn before a decision.
    Withdrawn(&'a Withdrawal),
}

/// What a reviewer has asked for, instead of deciding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangeRequest<'a> {
    /// The stage's position, from 0.
    pub position: usize,
    pub stage: &'a Stage,
    pub seat: &'a Seat,
    /// Its comment says what to change.
    pub vote: &'a Vote,
    /// Until when it waits for the submitter. `None` until they have a link.
    pub deadline: Option<Timestamp>,
}

/// What an approval was decided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis<'a> {
    /// The stage that rejected it, or the last one.
    Stage(&'a Stage),
    /// A rule, by its name.
    Rule(&'a str),
}

/// The identity of who did something, where nobody knows any, as of who cancels a workflow.
pub const UNKNOWN: &str = "unknown";

impl Approval {
    /// An approval of which no stage is open yet.
    ///
    /// # Panics
    /// When there are no stages: routing never makes such a plan.
    pub fn new(submitter: EmailAddress, plans: Vec<StagePlan>) -> Self {
        Self::restricted(submitter, plans, Restrictions::default())
    }

    /// As [`new`](Self::new), where not everybody may decide everything.
    ///
    /// # Panics
    /// As it does.
    pub fn restricted(
        submitter: EmailAddress,
        plans: Vec<StagePlan>,
        restrictions: Restrictions,
    ) -> Self {
        assert!(!plans.is_empty(), "an approval has at least one stage");
        let stages = plans.into_iter().map(Stage::new).collect();
        Self { restrictions, stages, ..Self::blank(submitter) }
    }

    /// An approval that a rule decides.
    pub fn decided_by_rule(submitter: EmailAddress, rule_decision: RuleDecision) -> Self {
        Self { rule_decision: Some(rule_decision), ..Self::blank(submitter) }
    }

    fn blank(submitter: EmailAddress) -> Self {
        Self {
            submitter,
            stages: Vec::new(),
            restrictions: Restrictions::default(),
            fields: Vec::new(),
            rule_decision: None,
            withdrawn: None,
            version: FIRST_VERSION,
            submitter_link: None,
            journal: Vec::new(),
        }
    }

    /// The same, where those who decide fill in these.
    pub fn with_fields(self, fields: Vec<Field>) -> Self {
        Self { fields, ..self }
    }

    /// The same, about this version of its submission.
    pub fn of_version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    pub fn submitter(&self) -> &EmailAddress {
        &self.submitter
    }

    pub(crate) fn restrictions(&self) -> &Restrictions {
        &self.restrictions
    }

    /// All stages, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    pub fn status(&self) -> Status<'_> {
        if let Some(RuleDecision { verdict, rule, at }) = &self.rule_decision {
            return match verdict {
                Verdict::Approve => Status::Approved(Basis::Rule(rule), *at),
                // No rule sends back, and what is not approved is rejected.
                Verdict::Reject | Verdict::RequestChanges => {
                    Status::Rejected(Basis::Rule(rule), *at)
                }
            };
        }
        if let Some(withdrawal) = &self.withdrawn {
            return Status::Withdrawn(withdrawal);
        }
        let mut last = (&self.stages[0], Timestamp::MIN);
        for (position, stage) in self.stages.iter().enumerate() {
            let pending = Status::Pending(position, stage);
            match stage.state() {
                State::NotOpened | State::Open | State::Escalating => return pending,
                State::Paused { until: deadline } => {
                    let request = |(seat, vote)| {
                        Status::ChangesRequested(ChangeRequest {
                            position,
                            stage,
                            seat,
                            vote,
                            deadline,
                        })
                    };
                    // Nothing but a vote pauses it.
                    return stage.change_request().map_or(pending, request);
                }
                State::Ended { end: End::Approved, at, .. } => last = (stage, at),
                State::Ended { end: End::Rejected, at, .. } => {
                    return Status::Rejected(Basis::Stage(stage), at);
                }
                State::Ended { end: End::Expired, at, .. } => return Status::Expired(stage, at),
            }
        }
        Status::Approved(Basis::Stage(last.0), last.1)
    }

    /// Whether it has its final status.
    pub fn is_final(&self) -> bool {
        self.current().is_none()
    }

    /// The position of the stage whose reviewers are being asked. `None` while changes are requested.
    pub fn open(&self) -> Option<usize> {
        self.pending().filter(|stage| self.stages[*stage].opened_at().is_some())
    }

    /// The stage whose reviewers are being asked.
    pub fn open_stage(&self) -> Option<&Stage> {
        self.open().map(|stage| &self.stages[stage])
    }

    /// Who has to be asked now: the next stage, the next level of the open one, or somebody in
    /// another's place.
    pub fn to_ask(&self) -> Option<ToAsk> {
        let stage = self.current()?;
        let open = &self.stages[stage];
        let whom = open.whom()?;
        let mut taken = open.taken(&whom);
        taken.extend(self.in_other_stages(stage));
        Some(ToAsk { stage, round: open.seats().len() as u32, whom, taken })
    }

    /// Records that those of [`to_ask`](Self::to_ask) are asked, each with a link of their own; a level
    /// has a deadline too. Leaves out the submitter and people who have a place already. Returns the
    /// seats that are superseded.
    pub fn ask(&mut self, invited: Vec<Invited>, due: Option<Due>, now: Timestamp) -> Vec<Seat> {
        let Some(stage) = self.pending() else { return Vec::new() };
        let mut barred = self.in_other_stages(stage);
        barred.push(self.submitter.clone());
        let stage = &mut self.stages[stage];
        self.journal.push(Entry::Asked { invited: invited.clone(), due: due.clone(), at: now });
        let superseded = stage.ask(invited, due, &barred, now);
        superseded.into_iter().map(|seat| stage.seats()[seat].clone()).collect()
    }

    /// Counts a decision, or says why it does not count.
    pub fn vote(&mut self, mut ballot: Ballot, now: Timestamp) -> Receipt {
        if !ballot.is_for(self.version) {
            return Receipt::OtherVersion(version_of(ballot.version));
        }
        let submitter = &self.submitter;
        if matches!(&ballot.claim, Claim::Reviewer(reviewer) if reviewer == submitter) {
            return Receipt::SelfVote;
        }
        let open = self.current().filter(|stage| self.stages[*stage].opened_at().is_some());
        // Somebody with seats in two stages means the one that is open, or else the last one.
        let newest_first = (0..self.stages.len()).rev();
        let seat = open
            .into_iter()
            .chain(newest_first)
            .find_map(|i| self.stages[i].seat_of(&ballot.claim).map(|seat| (i, seat)));
        let Some((i, position)) = seat else { return self.not_asked(&ballot.claim) };
        let answers = ballot.check_answers(&self.fields);
        let seat = &self.stages[i].seats()[position];
        match &seat.vote {
            Some(vote) if vote.verdict == ballot.verdict => Receipt::Duplicate,
            Some(_) => Receipt::Contradiction,
            None if seat.status == SeatStatus::Superseded => Receipt::Superseded,
            None if open != Some(i) => Receipt::StageNotOpen,
            None if self.stages[i].change_request().is_some() => Receipt::ChangesRequested,
            None if !self.restrictions.operators.may_decide
                && matches!(seat.by(&ballot), By::Operator(_)) =>
            {
                Receipt::LinkRequired
            }
            None if ballot.verdict == Verdict::RequestChanges && !self.has_revisions_left() => {
                Receipt::NoMoreChanges
            }
            None if ballot.is_silent() && self.restrictions.require_comment(ballot.verdict) => {
                Receipt::CommentRequired
            }
            None => match answers {
                Ok(answers) => {
                    self.journal.push(Entry::Voted { ballot: ballot.clone(), at: now });
                    self.stages[i].count(position, ballot, answers, now);
                    Receipt::Counted
                }
                Err(why) => Receipt::InvalidAnswers(why),
            },
        }
    }

    /// The receipt for somebody without a seat: they may be planned for a later stage, or have a deputy.
    fn not_asked(&self, claim: &Claim) -> Receipt {
        let planned = |reviewer| {
            self.stages.iter().any(|stage| stage.plan().reviewers().any(|other| other == reviewer))
        };
        let represented =
            |reviewer| self.open_stage().is_some_and(|stage| stage.represents(reviewer));
        match claim {
            Claim::Reviewer(reviewer) if represented(reviewer) => Receipt::Superseded,
            Claim::Reviewer(reviewer) if planned(reviewer) => Receipt::StageNotOpen,
            _ => Receipt::NotAReviewer,
        }
    }

    /// Plans to ask somebody in place of a reviewer who has not decided, as an operator who claims this
    /// identity wants it.
    ///
    /// # Errors
    /// Why that is impossible.
    pub fn reassign(
        &mut self,
        from: EmailAddress,
        to: EmailAddress,
        identity: String,
        now: Timestamp,
    ) -> Result<(), NotReassigned> {
        let Some(position) = self.pending() else { return Err(NotReassigned::NotAsked) };
        if !self.restrictions.operators.may_ask(&to) {
            return Err(NotReassigned::NotAllowed);
        }
        self.check_replacement(position, &from, &to)?;
        let by = Some(Arranged::Operator(identity.clone()));
        self.stages[position].replace(Replacement { from: from.clone(), to: to.clone(), by });
        self.journal.push(Entry::Reassigned { from, to, identity, at: now });
        Ok(())
    }

    /// Whether somebody can be asked in place of another in this stage, whoever wants it.
    fn check_replacement(
        &self,
        position: usize,
        from: &EmailAddress,
        to: &EmailAddress,
    ) -> Result<(), NotReassigned> {
        let stage = &self.stages[position];
        match () {
            () if *to == self.submitter => Err(NotReassigned::Submitter),
            () if self.in_other_stages(position).contains(to) => Err(NotReassigned::OtherStage),
            () if !stage.can_be_replaced(from) => Err(NotReassigned::NotAsked),
            () if stage.is_taken(from, to) => Err(NotReassigned::AskedAlready),
            () if self.seats_left() == 0 => Err(NotReassigned::TooMany),
            () => Ok(()),
        }
    }

    /// How many more people can be asked besides those whom the plan asks.
    pub(crate) fn seats_left(&self) -> usize {
        let seats: usize = self.stages.iter().map(|stage| stage.seats().len()).sum();
        let planned: usize = self.stages.iter().map(Stage::planned).sum();
        MAX_SEATS.saturating_sub(seats + planned)
    }

    /// Plans to issue a new link to a reviewer who has not decided, or to all of these in the open stage, as
    /// an operator who claims this identity wants it. Votes, quorum and deadline stay as they are.
    ///
    /// # Errors
    /// Why that is impossible; then nobody gets one.
    pub fn reissue(
        &mut self,
        reviewer: Option<EmailAddress>,
        identity: String,
        now: Timestamp,
    ) -> Result<(), NotReissued> {
        let left = self.seats_left();
        let Some(stage) = self.pending().map(|stage| &mut self.stages[stage]) else {
            return Err(NotReissued::NotAsked);
        };
        let whom = stage.reissuable(reviewer.as_ref());
        match whom.len() {
            0 => Err(NotReissued::NotAsked),
            wanted if wanted > left => Err(NotReissued::TooMany { wanted, left }),
            _ => {
                whom.into_iter().for_each(|who| stage.replace(Replacement::by_new_link(who)));
                self.journal.push(Entry::Reissued { reviewer, identity, at: now });
                Ok(())
            }
        }
    }

    /// Records whether a request reached its reviewer. If no request did, the next level is asked at
    /// once.
    pub fn reached(&mut self, link: &str, reached: bool) {
        let Some(stage) = self.pending() else { return };
        if self.stages[stage].reached(link, reached) {
            self.journal.push(Entry::Reached { link: link.to_owned(), reached });
        }
    }

    /// Records that an operator who claims this identity had one reviewer reminded, or all.
    pub fn reminded(&mut self, reviewer: Option<EmailAddress>, identity: String, now: Timestamp) {
        self.journal.push(Entry::Reminded { reviewer, identity, at: now });
    }

    /// Applies the time: passes the open stage's deadline, or returns who has to be reminded.
    pub fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        let Some(stage) = self.current() else { return Vec::new() };
        if self.stages[stage].is_due(now) {
            self.journal.push(Entry::TimePassed { at: now });
        }
        self.stages[stage].tick(now)
    }

    /// When [`tick`](Self::tick) next has an effect. `None` also while the next level has to be asked.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.stages[self.current()?].next_deadline()
    }

    /// Who is left out of a stage where one person decides at most one: whoever has a place in another, or
    /// is planned for it. Somebody who is planned for several is asked in the first.
    fn in_other_stages(&self, stage: usize) -> Vec<EmailAddress> {
        if !self.restrictions.different_people {
            return Vec::new();
        }
        let own: Vec<&EmailAddress> = self.stages[stage].plan().reviewers().collect();
        let others = self.stages.iter().enumerate().filter(|(other, _)| *other != stage);
        let people = others.flat_map(|(other, others)| {
            let is_first = |person: &&EmailAddress| other < stage || !own.contains(person);
            let planned = others.plan().reviewers().filter(is_first);
            planned.chain(others.seats().iter().flat_map(Seat::people)).collect::<Vec<_>>()
        });
        people.cloned().collect()
    }

    /// The position of the stage that waits for reviewers.
    fn pending(&self) -> Option<usize> {
        self.current().filter(|stage| self.stages[*stage].change_request().is_none())
    }

    /// The position of the stage that waits, for reviewers or for the submitter.
    fn current(&self) -> Option<usize> {
        match self.status() {
            Status::Pending(position, _)
            | Status::ChangesRequested(ChangeRequest { position, .. }) => Some(position),
            Status::Approved(..)
            | Status::Rejected(..)
            | Status::Expired(..)
            | Status::Withdrawn(_) => None,
        }
    }

    pub(crate) fn has_revisions_left(&self) -> bool {
        can_be_revised(self.version)
    }
}

#[cfg(test)]
mod tests;
