//! The decision core: who decided what, and what follows from it.
//!
//! Every event goes to an [`Approval`] together with its time. From it follow a [`Receipt`], the
//! [`Status`], whom to [`ask`](Approval::to_ask) now, and when to [`tick`](Approval::tick) next.
//!
//! The tie rule: a decision that arrives before the deadline's tick counts, however late it is. So a
//! decision that reached the history while every worker was down is never lost.

mod delegating;
mod delegation;
mod email;
mod journal;
mod possible;
mod quorum;
mod reason;
mod replacement;
mod restrictions;
mod stage;
mod submitter;
mod superseded;

use countersign_protos::{
    MAX_REVISIONS,
    answers::{self, Answers},
    v1::{Answer, Field, Proof},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use delegation::{Delegation, NotDelegated};
pub use email::{EmailAddress, NotAnEmailAddress};
pub use journal::Entry;
pub use possible::Possible;
pub use quorum::{NotAQuorum, Quorum, Verdict};
pub use reason::Reason;
pub use replacement::Arranged;
pub use restrictions::{Operators, Restrictions};
pub use stage::{
    By, Due, End, Invited, Level, NotOnDeadline, OnDeadline, Seat, SeatStatus, Stage, StagePlan,
    Vote, Whom,
};
pub use submitter::{NotRevised, NotWithdrawn, Reviser, Signed, SubmitterLink};
pub use superseded::Superseded;

use self::replacement::Replacement;
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
    /// The number of revisions before.
    version: u32,
    submitter_link: Option<SubmitterLink>,
    journal: Vec<Entry>,
}

/// A decision that a rule made without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDecision {
    pub verdict: Verdict,
    /// Its name, which people see as the reason.
    pub rule: String,
    pub at: Timestamp,
}

/// A withdrawal before a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawal {
    pub at: Timestamp,
    /// The text given with it; may be empty.
    pub reason: String,
    /// Where the submitter did so by their link.
    pub signed: Option<Signed>,
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

/// Whose decision a signal claims to carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The hash of an approval ID.
    Link(String),
    /// A reviewer's address, named by an operator.
    Reviewer(EmailAddress),
}

/// A decision as it arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ballot {
    pub claim: Claim,
    pub verdict: Verdict,
    /// Empty if nothing was written.
    pub comment: String,
    /// The hash of a comment that was left out to save space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// What was filled in. Of a vote that counted, in its canonical form.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    pub answers: Answers,
    /// The hash of answers that were left out to save space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_left_out: Option<String>,
    /// That the link's holder decided so. Without one that holds, the decision is an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The identity that the sender claims.
    pub identity: String,
}

impl Ballot {
    /// A decision without a proof, by somebody unknown.
    pub fn new(claim: Claim, verdict: Verdict, comment: String) -> Self {
        let (identity, answers) = (String::new(), Answers::new());
        let (left_out, answers_left_out, proof) = (None, None, None);
        Self { claim, verdict, comment, left_out, answers, answers_left_out, proof, identity }
    }
}

/// What a decision did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    Counted,
    /// The reviewer already decided so.
    Duplicate,
    /// The reviewer already decided the opposite, which stands.
    Contradiction,
    /// The claim fits nobody who is or was asked.
    NotAReviewer,
    /// The submitter does not approve their own submission.
    SelfVote,
    /// Without the proof of their link, which the rules require.
    LinkRequired,
    /// Without a comment, which the rule requires with this verdict.
    CommentRequired,
    /// With answers other than the fields ask for, or without one that they require: why, field by field.
    InvalidAnswers(String),
    /// Changes are requested: nobody decides until the submitter has revised it.
    ChangesRequested,
    /// Changes cannot be requested: it was revised as often as it can be.
    NoMoreChanges,
    /// Somebody else was asked in the reviewer's place.
    Superseded,
    /// The reviewer's stage is not open: it was decided before, or is not reached yet.
    StageNotOpen,
}

/// Why a reviewer is not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReassigned {
    #[error("the reviewer to replace is not being asked")]
    NotAsked,
    #[error("the new reviewer, or their deputy, is asked in this stage already")]
    AskedAlready,
    #[error("the submitter does not decide their own submission")]
    Submitter,
    #[error("the new reviewer has a place in another stage, and the rule asks different people")]
    OtherStage,
    #[error("`may_reassign_to` in [operators] does not include this address's domain")]
    NotAllowed,
    #[error("no more reviewers can be asked in this approval")]
    TooMany,
}

/// Why no new link is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReissued {
    #[error("no reviewer who was asked is still undecided")]
    NotAsked,
    #[error(
        "{wanted} new links were requested, but only {left} can still be issued (at most {max} per \
         approval, planned ones included)",
        max = MAX_SEATS
    )]
    TooMany { wanted: usize, left: usize },
}

/// The identity of who did something, where nobody knows any, as of who cancels a workflow.
pub const UNKNOWN: &str = "unknown";

/// Who has to be asked now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToAsk {
    /// The position of their stage.
    pub stage: usize,
    /// The number of seats that the stage has; with the reviewer, it makes a link.
    pub round: u32,
    pub whom: Whom,
    /// Who has a place in the stage already: neither they nor deputies for them are asked.
    pub taken: Vec<EmailAddress>,
}

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
            version: 0,
            submitter_link: None,
            journal: Vec::new(),
        }
    }

    /// The same, where those who decide fill in these.
    pub fn with_fields(self, fields: Vec<Field>) -> Self {
        Self { fields, ..self }
    }

    /// The same, of a submission that was revised so many times before.
    pub fn of_version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    pub fn submitter(&self) -> &EmailAddress {
        &self.submitter
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
        let mut last = &self.stages[0];
        for (position, stage) in self.stages.iter().enumerate() {
            last = stage;
            match stage.end() {
                None => return self.undecided(position, stage),
                Some((End::Approved, _)) => {}
                Some((End::Rejected, at)) => return Status::Rejected(Basis::Stage(stage), at),
                Some((End::Expired, at)) => return Status::Expired(stage, at),
            }
        }
        let at = last.end().map_or(Timestamp::MIN, |(_, at)| at);
        Status::Approved(Basis::Stage(last), at)
    }

    fn undecided<'a>(&self, position: usize, stage: &'a Stage) -> Status<'a> {
        match stage.change_request() {
            Some((seat, vote)) => {
                let deadline = stage.deadline_of_changes();
                Status::ChangesRequested(ChangeRequest { position, stage, seat, vote, deadline })
            }
            None => Status::Pending(position, stage),
        }
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
        let answers = self.answers(&mut ballot);
        let seat = &self.stages[i].seats()[position];
        match &seat.vote {
            Some(vote) if vote.verdict == ballot.verdict => Receipt::Duplicate,
            Some(_) => Receipt::Contradiction,
            None if seat.status == SeatStatus::Superseded => Receipt::Superseded,
            None if open != Some(i) => Receipt::StageNotOpen,
            None if self.stages[i].change_request().is_some() => Receipt::ChangesRequested,
            None if self.requires_link() && matches!(seat.by(&ballot), By::Operator(_)) => {
                Receipt::LinkRequired
            }
            None if ballot.verdict == Verdict::RequestChanges && !self.has_revisions_left() => {
                Receipt::NoMoreChanges
            }
            None if self.restrictions.lacks_comment(&ballot) => Receipt::CommentRequired,
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

    /// The answers of a ballot, which it then has in their canonical form, or why they are none. Those that were
    /// left out to save space were checked before.
    fn answers(&self, ballot: &mut Ballot) -> Result<Vec<Answer>, String> {
        if ballot.answers.is_empty() && ballot.answers_left_out.is_some() {
            return Ok(Vec::new());
        }
        let answers = answers::check(&self.fields, ballot.verdict, &ballot.answers);
        let answers = answers.map_err(|wrong| reasons(&self.fields, &wrong))?;
        let canonical = answers::by_name(&answers);
        // Elsewhere it is checked with what counted.
        if ballot.proof.is_some() && ballot.answers != canonical {
            return Err("answers that are signed must be in their canonical form".to_owned());
        }
        ballot.answers = canonical;
        Ok(answers)
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
    fn seats_left(&self) -> usize {
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

    /// Whether the claim's link is about to be superseded: somebody is about to be asked in its reviewer's
    /// place, or they get a new one.
    pub fn is_about_to_supersede(&self, claim: &Claim) -> bool {
        self.open_stage().is_some_and(|stage| stage.is_about_to_supersede(claim))
    }

    /// Whether this reviewer may be about to be asked: in place of another, as a deputy too, or by a new link.
    pub fn may_ask_soon(&self, reviewer: &EmailAddress) -> bool {
        self.open_stage().is_some_and(|stage| stage.may_ask_soon(reviewer))
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

    /// Whether the open stage waits for people none of whom can be reached.
    pub fn is_unreachable(&self) -> bool {
        self.open_stage().is_some_and(Stage::is_unreachable)
    }

    fn requires_link(&self) -> bool {
        !self.restrictions.operators.may_decide
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

    fn has_revisions_left(&self) -> bool {
        self.version < MAX_REVISIONS
    }
}

/// What is wrong with answers. What is given for no field is not quoted: it might be anything.
fn reasons(fields: &[Field], wrong: &[answers::Wrong]) -> String {
    let is_known = |name: &str| fields.iter().any(|field| field.name == name);
    let reason = |answers::Wrong { name, why }: &answers::Wrong| match is_known(name) {
        true => format!("`{name}` {why}"),
        false => "an answer is given for something that is not among the fields".to_owned(),
    };
    let mut reasons: Vec<String> = wrong.iter().map(reason).collect();
    reasons.dedup();
    reasons.join("; ")
}

#[cfg(test)]
mod tests;
