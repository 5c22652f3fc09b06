//! The decision core: who decided what, and what follows from it.
//!
//! Pure: no clock, no randomness, no I/O, and nothing of Temporal. Whatever happens is told to an
//! [`Approval`] together with the time; it answers with a [`Receipt`], with a derived [`Status`],
//! with whom to [`ask`](Approval::to_ask) now, and with the moment at which it next wants to be
//! told that time has passed.
//!
//! The tie rule: a decision that is told before the deadline's [`tick`](Approval::tick) counts,
//! however late it is. So what reached the history while every worker was down is never lost.

mod email;
mod properties;
mod quorum;
mod stage;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use email::{EmailAddress, NotAnEmailAddress};
pub use quorum::{NotAQuorum, Quorum, Verdict};
pub use stage::{
    Due, End, Invited, Level, OnDeadline, Seat, Stage, StagePlan, Standing, Vote, Whom,
};

use crate::limits::MAX_SEATS;

/// One submission on its way through its stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    submitter: EmailAddress,
    stages: Vec<Stage>,
    ruling: Option<Ruling>,
    withdrawn: Option<Withdrawal>,
}

/// That a rule decided, and nobody is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// Which way.
    pub verdict: Verdict,
    /// What the rule is called.
    pub rule: String,
    /// When.
    pub at: Timestamp,
}

/// That an approval was called off, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// When it happened.
    pub at: Timestamp,
    /// The canceller's words; may be empty.
    pub reason: String,
}

/// Where an approval stands, with what it stands on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status<'a> {
    /// Somebody is still to be asked or to answer; the stage that is open or next to be opened, and
    /// its position.
    Pending(usize, &'a Stage),
    /// Every stage approved, or a rule did.
    Approved(Grounds<'a>, Timestamp),
    /// A stage rejected, or a rule did.
    Rejected(Grounds<'a>, Timestamp),
    /// A stage's deadline ended the approval undecided.
    Expired(&'a Stage, Timestamp),
    /// It was called off.
    Withdrawn(&'a Withdrawal),
}

/// What an approval was decided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Grounds<'a> {
    /// Its last stage.
    Stage(&'a Stage),
    /// A rule of this name.
    Rule(&'a str),
}

/// Who says that they decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The hash of an approval ID.
    Link(String),
    /// A reviewer's address, named by an operator.
    Reviewer(EmailAddress),
}

/// A decision as it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// Whose decision it is.
    pub claim: Claim,
    /// Which way.
    pub verdict: Verdict,
    /// Why; may be empty.
    pub comment: String,
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It counts.
    Counted,
    /// The same reviewer said the same before.
    Duplicate,
    /// The same reviewer said the opposite before; the first one stands.
    Contradiction,
    /// The claim belongs to nobody who is or was asked.
    NotAReviewer,
    /// The submitter does not approve their own submission.
    SelfVote,
    /// Somebody else was asked in the reviewer's place.
    Released,
    /// The reviewer's stage is not open: it was decided before, or is not reached yet.
    StageNotOpen,
}

/// Why somebody is not asked in another's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReassigned {
    /// There is nobody to replace.
    #[error("the reviewer to replace is not being asked")]
    NotAsked,
    /// They would have two votes.
    #[error("the new reviewer, or their deputy, is asked in this stage already")]
    AskedAlready,
    /// They would decide about themselves.
    #[error("the submitter does not decide their own submission")]
    Submitter,
    /// There is no room for another link.
    #[error("no more reviewers can be asked in this approval")]
    TooMany,
}

/// People who have to be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToAsk {
    /// The position of their stage.
    pub stage: usize,
    /// With the reviewer, this makes a link.
    pub round: u32,
    /// Who.
    pub whom: Whom,
    /// Whose place is taken: neither they nor anybody in their stead is asked.
    pub taken: Vec<EmailAddress>,
}

impl Approval {
    /// An approval of which no stage is open yet.
    ///
    /// # Panics
    /// When there are no stages: routing never makes such a plan.
    pub fn new(submitter: EmailAddress, plans: Vec<StagePlan>) -> Self {
        assert!(!plans.is_empty(), "an approval has at least one stage");
        let stages = plans.into_iter().map(Stage::new).collect();
        Self { submitter, stages, ruling: None, withdrawn: None }
    }

    /// An approval that a rule has decided.
    pub fn ruled(submitter: EmailAddress, ruling: Ruling) -> Self {
        Self { submitter, stages: Vec::new(), ruling: Some(ruling), withdrawn: None }
    }

    /// Who submitted it.
    pub fn submitter(&self) -> &EmailAddress {
        &self.submitter
    }

    /// All stages, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Where it stands.
    pub fn status(&self) -> Status<'_> {
        if let Some(Ruling { verdict, rule, at }) = &self.ruling {
            return match verdict {
                Verdict::Approve => Status::Approved(Grounds::Rule(rule), *at),
                Verdict::Reject => Status::Rejected(Grounds::Rule(rule), *at),
            };
        }
        if let Some(withdrawal) = &self.withdrawn {
            return Status::Withdrawn(withdrawal);
        }
        let mut last = &self.stages[0];
        for (position, stage) in self.stages.iter().enumerate() {
            last = stage;
            match stage.end() {
                None => return Status::Pending(position, stage),
                Some((End::Approved, _)) => {}
                Some((End::Rejected, at)) => return Status::Rejected(Grounds::Stage(stage), at),
                Some((End::Expired, at)) => return Status::Expired(stage, at),
            }
        }
        let at = last.end().map_or(Timestamp::MIN, |(_, at)| at);
        Status::Approved(Grounds::Stage(last), at)
    }

    /// Whether it has its final status.
    pub fn is_final(&self) -> bool {
        !matches!(self.status(), Status::Pending(..))
    }

    /// The position of the stage whose reviewers are being asked.
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
        let stage = self.pending()?;
        let open = &self.stages[stage];
        let whom = open.whom()?;
        let taken = open.taken(&whom);
        Some(ToAsk { stage, round: open.seats().len() as u32, whom, taken })
    }

    /// Tells that those of [`to_ask`](Self::to_ask) are asked, each with a link of their own; of a
    /// level, also until when. Answers with the seats of those who are released from now on.
    /// Whoever would decide about themselves or twice is left out.
    pub fn ask(&mut self, invited: Vec<Invited>, due: Option<Due>, now: Timestamp) -> Vec<Seat> {
        let Some(stage) = self.pending() else { return Vec::new() };
        let stage = &mut self.stages[stage];
        let released = stage.ask(invited, due, &self.submitter, now);
        released.into_iter().map(|seat| stage.seats()[seat].clone()).collect()
    }

    /// Takes a decision.
    pub fn vote(&mut self, ballot: Ballot, now: Timestamp) -> Receipt {
        let submitter = &self.submitter;
        if matches!(&ballot.claim, Claim::Reviewer(reviewer) if reviewer == submitter) {
            return Receipt::SelfVote;
        }
        let open = self.open();
        // Somebody who sits in two stages means the one that asks them now, or else the last one.
        let newest_first = (0..self.stages.len()).rev();
        let seat = open
            .into_iter()
            .chain(newest_first)
            .find_map(|i| self.stages[i].seat_of(&ballot.claim).map(|seat| (i, seat)));
        let Some((i, position)) = seat else { return self.not_asked(&ballot.claim) };
        let seat = &self.stages[i].seats()[position];
        match &seat.vote {
            Some(vote) if vote.verdict == ballot.verdict => Receipt::Duplicate,
            Some(_) => Receipt::Contradiction,
            None if seat.standing == Standing::Released => Receipt::Released,
            None if open != Some(i) => Receipt::StageNotOpen,
            None => {
                self.stages[i].count(position, ballot, now);
                Receipt::Counted
            }
        }
    }

    /// Whoever is planned for a stage that is not open yet, or has a deputy, is no stranger.
    fn not_asked(&self, claim: &Claim) -> Receipt {
        let planned = |reviewer| {
            self.stages.iter().any(|stage| stage.plan().reviewers().any(|other| other == reviewer))
        };
        let represented =
            |reviewer| self.open_stage().is_some_and(|stage| stage.represents(reviewer));
        match claim {
            Claim::Reviewer(reviewer) if represented(reviewer) => Receipt::Released,
            Claim::Reviewer(reviewer) if planned(reviewer) => Receipt::StageNotOpen,
            _ => Receipt::NotAReviewer,
        }
    }

    /// Has somebody asked in the place of another, who has not decided.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn reassign(&mut self, from: EmailAddress, to: EmailAddress) -> Result<(), NotReassigned> {
        let seats: usize = self.stages.iter().map(|stage| stage.seats().len()).sum();
        let planned: usize = self.stages.iter().map(Stage::planned).sum();
        let Some(stage) = self.pending().map(|stage| &mut self.stages[stage]) else {
            return Err(NotReassigned::NotAsked);
        };
        match () {
            () if to == self.submitter => Err(NotReassigned::Submitter),
            () if !stage.can_be_replaced(&from) => Err(NotReassigned::NotAsked),
            () if stage.is_taken(&from, &to) => Err(NotReassigned::AskedAlready),
            () if seats + planned >= MAX_SEATS => Err(NotReassigned::TooMany),
            () => {
                stage.replace(from, to);
                Ok(())
            }
        }
    }

    /// Whether this claim is that of somebody in whose place another is about to be asked.
    pub fn is_about_to_release(&self, claim: &Claim) -> bool {
        self.open_stage().is_some_and(|stage| stage.is_about_to_release(claim))
    }

    /// Whether this reviewer may be about to be asked in another's place, themselves or as a deputy.
    pub fn may_ask_soon(&self, reviewer: &EmailAddress) -> bool {
        self.open_stage().is_some_and(|stage| stage.may_ask_soon(reviewer))
    }

    /// Tells whether a request reached its reviewer: where nobody is reached, the next level is
    /// asked at once.
    pub fn reached(&mut self, link: &str, reached: bool) {
        if let Some(stage) = self.pending() {
            self.stages[stage].reached(link, reached);
        }
    }

    /// Calls the approval off. Says whether that changed anything.
    pub fn withdraw(&mut self, reason: String, now: Timestamp) -> bool {
        let pending = !self.is_final();
        if pending {
            self.withdrawn = Some(Withdrawal { at: now, reason });
        }
        pending
    }

    /// Tells that it is `now`: passes the open stage's deadline, or answers with who has to be
    /// reminded.
    pub fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        match self.pending() {
            Some(position) => self.stages[position].tick(now),
            None => Vec::new(),
        }
    }

    /// When [`tick`](Self::tick) next has an effect; `None` also while others have to be asked
    /// because the deadline has passed.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.open_stage()?.next_deadline()
    }

    /// The position of the stage that the approval waits for.
    fn pending(&self) -> Option<usize> {
        match self.status() {
            Status::Pending(position, _) => Some(position),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Approve, Reject};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn address(name: &str) -> EmailAddress {
        format!("{name}@example.com").parse().expect("an address")
    }

    fn addresses(names: &[&str]) -> Vec<EmailAddress> {
        names.iter().map(|name| address(name)).collect()
    }

    fn level(reviewers: &[&str], keep_earlier: bool) -> Level {
        Level { reviewers: addresses(reviewers), keep_earlier }
    }

    fn plan(reviewers: &[&str], quorum: Quorum) -> StagePlan {
        StagePlan {
            name: "finance".into(),
            quorum,
            on_deadline: OnDeadline::Expire,
            levels: vec![level(reviewers, false)],
        }
    }

    fn opened(plans: Vec<StagePlan>) -> Approval {
        let mut approval = Approval::new(address("sue"), plans);
        open(&mut approval, 0);
        approval
    }

    /// Asks whoever is to be asked, for 100 seconds.
    fn open(approval: &mut Approval, seconds: i64) -> Vec<Seat> {
        open_with(approval, seconds, &[])
    }

    fn open_with(approval: &mut Approval, seconds: i64, reminders: &[i64]) -> Vec<Seat> {
        let ToAsk { stage, round, whom, .. } = approval.to_ask().expect("somebody to ask");
        let (reviewers, due) = match whom {
            Whom::Instead(_, to) => (vec![to], None),
            Whom::Level(level) => {
                let plan = &approval.stages()[stage].plan().levels[level];
                let reminders = reminders.iter().map(|after| at(seconds + after)).collect();
                (plan.reviewers.clone(), Some(Due { deadline: at(seconds + 100), reminders }))
            }
        };
        let invited = |reviewer: EmailAddress| {
            let link = format!("{stage}-{round}-{reviewer}");
            Invited { reviewer, on_behalf_of: None, link }
        };
        approval.ask(reviewers.into_iter().map(invited).collect(), due, at(seconds))
    }

    fn link(approval: &mut Approval, link: &str, verdict: Verdict, seconds: i64) -> Receipt {
        let claim = Claim::Link(link.into());
        approval.vote(Ballot { claim, verdict, comment: "ok".into() }, at(seconds))
    }

    fn vote(approval: &mut Approval, name: &str, verdict: Verdict, seconds: i64) -> Receipt {
        let claim = Claim::Reviewer(address(name));
        approval.vote(Ballot { claim, verdict, comment: String::new() }, at(seconds))
    }

    #[test]
    fn with_any_the_first_decision_counts_whichever_it_is() {
        for (verdict, approved) in [(Approve, true), (Reject, false)] {
            let mut approval = opened(vec![plan(&["ann", "bob"], Quorum::Any)]);
            assert_eq!(vote(&mut approval, "bob", verdict, 5), Receipt::Counted);
            assert_eq!(vote(&mut approval, "ann", Reject, 5), Receipt::StageNotOpen);
            assert_eq!(matches!(approval.status(), Status::Approved(_, t) if t == at(5)), approved);
            assert_eq!(
                matches!(approval.status(), Status::Rejected(_, t) if t == at(5)),
                !approved
            );
        }
    }

    #[test]
    fn with_all_everybody_approves_and_one_rejection_is_enough() {
        let mut approval = opened(vec![plan(&["ann", "bob"], Quorum::All)]);
        vote(&mut approval, "ann", Approve, 1);
        assert!(matches!(approval.status(), Status::Pending(..)));
        vote(&mut approval, "bob", Approve, 2);
        assert!(matches!(approval.status(), Status::Approved(..)));
        let mut approval = opened(vec![plan(&["ann", "bob"], Quorum::All)]);
        vote(&mut approval, "ann", Reject, 1);
        assert!(matches!(approval.status(), Status::Rejected(..)));
    }

    #[test]
    fn two_of_three_needs_two_and_is_rejected_when_two_can_no_longer_happen() {
        let plans = || vec![plan(&["ann", "bob", "cy"], Quorum::at_least(2).expect("positive"))];
        let mut approval = opened(plans());
        vote(&mut approval, "ann", Reject, 1);
        vote(&mut approval, "bob", Approve, 1);
        assert!(matches!(approval.status(), Status::Pending(..)));
        vote(&mut approval, "cy", Approve, 1);
        assert!(matches!(approval.status(), Status::Approved(..)));
        let mut approval = opened(plans());
        vote(&mut approval, "ann", Reject, 1);
        vote(&mut approval, "cy", Reject, 1);
        assert!(matches!(approval.status(), Status::Rejected(..)));
    }

    #[test]
    fn a_second_word_changes_nothing_and_is_told_apart() {
        let mut approval = opened(vec![plan(&["ann", "bob"], Quorum::All)]);
        assert_eq!(vote(&mut approval, "ann", Approve, 1), Receipt::Counted);
        assert_eq!(vote(&mut approval, "ann", Approve, 2), Receipt::Duplicate);
        assert_eq!(vote(&mut approval, "ann", Reject, 3), Receipt::Contradiction);
        assert_eq!(vote(&mut approval, "eve", Approve, 3), Receipt::NotAReviewer);
        assert_eq!(vote(&mut approval, "sue", Approve, 3), Receipt::SelfVote);
        let bob = "0-0-bob@example.com";
        assert_eq!(link(&mut approval, "1-0-bob@example.com", Approve, 4), Receipt::NotAReviewer);
        assert_eq!(link(&mut approval, "", Approve, 4), Receipt::NotAReviewer);
        assert_eq!(link(&mut approval, bob, Approve, 4), Receipt::Counted);
        assert_eq!(vote(&mut approval, "bob", Approve, 5), Receipt::Duplicate);
    }

    #[test]
    fn a_submitter_who_is_listed_as_reviewer_has_no_seat() {
        let mut approval = opened(vec![plan(&["sue", "bob"], Quorum::Any)]);
        assert_eq!(approval.stages()[0].seats().len(), 1);
        assert_eq!(link(&mut approval, "0-0-sue@example.com", Approve, 1), Receipt::NotAReviewer);
        assert_eq!(vote(&mut approval, "sue", Approve, 1), Receipt::SelfVote);
    }

    #[test]
    fn what_a_rule_decided_is_decided() {
        for verdict in [Approve, Reject] {
            let ruling = Ruling { verdict, rule: "small".into(), at: at(1) };
            let mut approval = Approval::ruled(address("sue"), ruling);
            assert_eq!(vote(&mut approval, "ann", Reject, 2), Receipt::NotAReviewer);
            assert!(!approval.withdraw(String::new(), at(2)));
            let grounds = Grounds::Rule("small");
            assert_eq!(
                approval.status(),
                match verdict {
                    Approve => Status::Approved(grounds, at(1)),
                    Reject => Status::Rejected(grounds, at(1)),
                }
            );
            assert_eq!((approval.to_ask(), approval.next_deadline()), (None, None));
        }
    }

    fn escalating(keep_earlier: bool) -> Approval {
        let mut plan = plan(&["ann", "bob"], Quorum::All);
        plan.levels.extend([level(&["boss", "cfo"], keep_earlier), level(&["ceo"], false)]);
        opened(vec![plan])
    }

    #[test]
    fn level_after_level_is_asked_and_the_last_deadline_ends_it() {
        let mut approval = escalating(false);
        assert_eq!(approval.tick(at(100)), []);
        let taken = addresses(&["ann", "bob"]);
        let next = ToAsk { stage: 0, round: 2, whom: Whom::Level(1), taken };
        assert_eq!(approval.to_ask(), Some(next));
        assert_eq!(open(&mut approval, 100).len(), 2, "both are released");
        assert_eq!(approval.next_deadline(), Some(at(200)));
        approval.tick(at(200));
        open(&mut approval, 200);
        assert!(!approval.is_final());
        approval.tick(at(300));
        assert_eq!(approval.stages()[0].end(), Some((End::Expired, at(300))));
        assert_eq!(approval.to_ask(), None);
    }

    #[test]
    fn who_was_released_has_no_vote_but_their_earlier_one_counts() {
        let mut approval = escalating(false);
        vote(&mut approval, "ann", Approve, 1);
        approval.tick(at(100));
        assert_eq!(
            vote(&mut approval, "bob", Approve, 100),
            Receipt::Counted,
            "until others are asked"
        );
        assert!(matches!(approval.status(), Status::Approved(..)));

        let mut approval = escalating(false);
        vote(&mut approval, "ann", Approve, 1);
        approval.tick(at(100));
        open(&mut approval, 100);
        assert_eq!(vote(&mut approval, "bob", Reject, 101), Receipt::Released);
        assert_eq!(link(&mut approval, "0-0-bob@example.com", Reject, 101), Receipt::Released);
        assert_eq!(vote(&mut approval, "ann", Approve, 101), Receipt::Duplicate);
        vote(&mut approval, "boss", Approve, 102);
        assert!(!approval.is_final());
        vote(&mut approval, "cfo", Approve, 103);
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn earlier_reviewers_may_still_decide_where_the_plan_says_so() {
        let mut approval = escalating(true);
        approval.tick(at(100));
        assert_eq!(open(&mut approval, 100), []);
        for name in ["ann", "boss", "bob"] {
            assert_eq!(vote(&mut approval, name, Approve, 101), Receipt::Counted);
        }
        assert!(!approval.is_final(), "the CFO is asked too");
        vote(&mut approval, "cfo", Approve, 102);
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn whoever_is_of_the_next_level_too_keeps_their_place() {
        let mut plan = plan(&["ann"], Quorum::All);
        plan.levels.push(level(&["coo", "cfo"], false));
        let mut approval = opened(vec![plan]);
        assert_eq!(approval.reassign(address("ann"), address("coo")), Ok(()));
        open(&mut approval, 1);
        approval.tick(at(100));
        assert_eq!(open(&mut approval, 100), [], "the COO stays");
        assert_eq!(approval.next_deadline(), Some(at(200)));
        vote(&mut approval, "cfo", Approve, 101);
        assert!(!approval.is_final(), "all have to approve");
        vote(&mut approval, "coo", Approve, 102);
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn a_level_without_anybody_new_takes_no_time() {
        let mut plan = plan(&["ann"], Quorum::All);
        plan.levels.extend([level(&["ann"], false), level(&["cfo"], true)]);
        let mut shorter = plan.clone();
        shorter.levels.truncate(2);
        let mut approval = opened(vec![plan]);
        approval.tick(at(100));
        open(&mut approval, 100);
        assert_eq!(approval.to_ask().map(|ask| ask.whom), Some(Whom::Level(2)));
        open(&mut approval, 100);
        assert_eq!(approval.next_deadline(), Some(at(200)));

        let mut approval = opened(vec![shorter]);
        approval.tick(at(100));
        open(&mut approval, 100);
        assert_eq!((approval.to_ask(), approval.next_deadline()), (None, Some(at(100))));
        approval.tick(at(100));
        assert_eq!(approval.stages()[0].end(), Some((End::Expired, at(100))));
    }

    #[test]
    fn where_nobody_is_reached_the_next_level_is_asked_at_once() {
        let mut approval = escalating(false);
        approval.reached("0-0-ann@example.com", false);
        assert_eq!(approval.to_ask(), None, "Bob may be reached");
        approval.reached("0-0-bob@example.com", false);
        assert_eq!(approval.to_ask().map(|ask| ask.whom), Some(Whom::Level(1)));
        open(&mut approval, 5);
        assert_eq!(approval.next_deadline(), Some(at(105)));
        open_all_unreachable(&mut approval);
        open(&mut approval, 6);
        open_all_unreachable(&mut approval);
        assert_eq!(approval.to_ask(), None, "there is no level after the last");
        assert_eq!(approval.next_deadline(), Some(at(106)));
    }

    fn open_all_unreachable(approval: &mut Approval) {
        let stage = approval.open_stage().expect("an open stage");
        let links: Vec<_> = stage.undecided().map(|seat| seat.link.clone()).collect();
        links.iter().for_each(|link| approval.reached(link, false));
    }

    #[test]
    fn a_vote_that_leaves_only_the_unreachable_escalates() {
        let mut approval = escalating(false);
        approval.reached("0-0-bob@example.com", false);
        vote(&mut approval, "ann", Approve, 1);
        assert_eq!(approval.to_ask().map(|ask| ask.whom), Some(Whom::Level(1)));
    }

    #[test]
    fn whoever_has_a_deputy_hears_that_somebody_else_is_asked() {
        let mut approval = Approval::new(address("sue"), vec![plan(&["ann"], Quorum::Any)]);
        let deputy = Invited {
            reviewer: address("dee"),
            on_behalf_of: Some(address("ann")),
            link: "d".into(),
        };
        approval.ask(vec![deputy], Some(Due { deadline: at(100), reminders: vec![] }), at(0));
        assert_eq!(vote(&mut approval, "ann", Approve, 1), Receipt::Released);
        assert_eq!(vote(&mut approval, "eve", Approve, 1), Receipt::NotAReviewer);
        assert_eq!(vote(&mut approval, "dee", Approve, 1), Receipt::Counted);
    }

    #[test]
    fn somebody_is_asked_in_the_place_of_another() {
        let mut approval = opened(vec![plan(&["ann", "bob"], Quorum::All)]);
        assert_eq!(approval.reassign(address("ann"), address("cy")), Ok(()));
        assert_eq!(
            approval.reassign(address("ann"), address("di")),
            Err(NotReassigned::NotAsked),
            "Cy is on the way"
        );
        let released = open(&mut approval, 1);
        assert_eq!(released[0].reviewer, address("ann"));
        assert_eq!(approval.next_deadline(), Some(at(100)), "the deadline stays");
        assert_eq!(vote(&mut approval, "ann", Approve, 2), Receipt::Released);
        assert_eq!(link(&mut approval, "0-2-cy@example.com", Approve, 2), Receipt::Counted);
        vote(&mut approval, "bob", Approve, 3);
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn nobody_gets_two_votes_or_their_own_submission_by_being_put_in_a_place() {
        let mut approval = opened(vec![plan(&["ann", "bob"], Quorum::All)]);
        let mut reassign = |from, to| approval.reassign(address(from), address(to));
        assert_eq!(reassign("ann", "sue"), Err(NotReassigned::Submitter));
        assert_eq!(reassign("ann", "bob"), Err(NotReassigned::AskedAlready));
        assert_eq!(reassign("ann", "ann"), Err(NotReassigned::AskedAlready));
        assert_eq!(reassign("eve", "cy"), Err(NotReassigned::NotAsked));
        vote(&mut approval, "ann", Approve, 1);
        assert_eq!(approval.reassign(address("ann"), address("cy")), Err(NotReassigned::NotAsked));
    }

    #[test]
    fn a_deputy_and_whom_they_stand_in_for_have_one_vote() {
        let mut approval = Approval::new(address("sue"), vec![plan(&["ann", "bob"], Quorum::All)]);
        let invite = |reviewer: &str, absent: Option<&str>| Invited {
            reviewer: address(reviewer),
            on_behalf_of: absent.map(address),
            link: reviewer.into(),
        };
        let due = Due { deadline: at(100), reminders: vec![] };
        let invited = vec![invite("dee", Some("ann")), invite("bob", None)];
        approval.ask(invited, Some(due), at(0));
        let mut reassign = |from, to| approval.reassign(address(from), address(to));
        assert_eq!(reassign("bob", "ann"), Err(NotReassigned::AskedAlready));
        assert_eq!(reassign("bob", "ann+x"), Err(NotReassigned::AskedAlready));
        assert_eq!(reassign("bob", "dee"), Err(NotReassigned::AskedAlready));
        assert_eq!(reassign("dee", "bob"), Err(NotReassigned::AskedAlready));
        assert_eq!(reassign("dee", "sue+x"), Err(NotReassigned::Submitter));
        assert_eq!(reassign("ann", "eve"), Err(NotReassigned::NotAsked), "it is Dee's seat");
        // Whoever Cy turns out to be away for, nobody gets a second vote, and Bob keeps his.
        for invited in [("dee", "cy"), ("cy", "ann"), ("cy", "bob"), ("cy", "sue+x")] {
            assert_eq!(approval.reassign(address("bob"), address("cy")), Ok(()));
            let invited = invite(invited.0, Some(invited.1));
            assert_eq!(approval.ask(vec![invited], None, at(1)), []);
            assert_eq!(approval.stages()[0].seats().len(), 2);
        }
        // Ann is back.
        assert_eq!(approval.reassign(address("dee"), address("ann")), Ok(()));
        let taken = approval.to_ask().expect("somebody to ask").taken;
        assert_eq!(taken, [address("bob"), address("dee")]);
        open(&mut approval, 2);
        assert_eq!(vote(&mut approval, "dee", Approve, 3), Receipt::Released);
        assert_eq!(vote(&mut approval, "ann", Approve, 3), Receipt::Counted);
        assert_eq!(approval.reassign(address("bob"), address("dee")), Ok(()), "who has none now");
    }

    #[test]
    fn whoever_writes_their_address_in_another_way_is_the_same_person() {
        let carol: EmailAddress = "carol.davis@example.com".parse().expect("an address");
        let mut approval =
            Approval::new(carol, vec![plan(&["carol.davis+boss", "ann"], Quorum::All)]);
        open(&mut approval, 0);
        assert_eq!(approval.stages()[0].seats().len(), 1, "the submitter is not asked");
        assert_eq!(vote(&mut approval, "Carol.Davis+x", Approve, 1), Receipt::SelfVote);
        assert_eq!(vote(&mut approval, "ANN+by.phone", Approve, 1), Receipt::Counted);
        assert_eq!(vote(&mut approval, "ann", Reject, 1), Receipt::Contradiction);
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn back_and_forth_ends_where_there_is_no_room_for_more_links() {
        let mut approval = opened(vec![plan(&["ann"], Quorum::Any)]);
        let mut names = ["ann", "bob"].into_iter().cycle();
        let mut from = names.next().expect("endless");
        let refused = loop {
            let to = names.next().expect("endless");
            match approval.reassign(address(from), address(to)) {
                Ok(()) => drop(open(&mut approval, 1)),
                Err(refused) => break refused,
            }
            from = to;
        };
        assert_eq!(refused, NotReassigned::TooMany);
        assert_eq!(approval.stages()[0].seats().len(), MAX_SEATS);
        assert_eq!(vote(&mut approval, from, Approve, 2), Receipt::Counted);
    }

    #[test]
    fn the_next_stage_opens_only_after_the_one_before_it_approved() {
        let first = plan(&["ann"], Quorum::Any);
        let second = plan(&["ann", "bob"], Quorum::All);
        let mut approval = opened(vec![first, second]);
        assert_eq!(approval.to_ask(), None);
        assert_eq!(vote(&mut approval, "bob", Approve, 1), Receipt::StageNotOpen);
        vote(&mut approval, "ann", Approve, 1);
        assert_eq!(approval.to_ask().map(|ask| ask.stage), Some(1));
        assert_eq!(approval.next_deadline(), None);
        open(&mut approval, 50);
        assert_eq!(approval.next_deadline(), Some(at(150)));
        assert_eq!(vote(&mut approval, "ann", Approve, 51), Receipt::Counted);
        assert_eq!(vote(&mut approval, "bob", Reject, 52), Receipt::Counted);
        assert!(
            matches!(approval.status(), Status::Rejected(Grounds::Stage(stage), _) if stage.seats().len() == 2)
        );
    }

    #[test]
    fn the_deadline_does_what_the_plan_says() {
        for (on_deadline, end) in [
            (OnDeadline::Expire, End::Expired),
            (OnDeadline::Reject, End::Rejected),
            (OnDeadline::Approve, End::Approved),
        ] {
            let plan = StagePlan { on_deadline, ..plan(&["ann"], Quorum::Any) };
            let mut approval = opened(vec![plan]);
            assert_eq!(approval.next_deadline(), Some(at(100)));
            approval.tick(at(99));
            assert!(!approval.is_final());
            approval.tick(at(100));
            assert_eq!(approval.stages()[0].end(), Some((end, at(100))));
            assert_eq!(approval.next_deadline(), None);
            assert_eq!(vote(&mut approval, "ann", Approve, 100), Receipt::StageNotOpen);
        }
    }

    #[test]
    fn silence_approves_only_what_nobody_has_rejected() {
        let two = Quorum::at_least(2).expect("positive");
        for (votes, end) in [
            (&[][..], End::Approved),
            (&[("ann", Approve)], End::Approved),
            (&[("ann", Reject)], End::Rejected),
            (&[("ann", Approve), ("bob", Reject)], End::Rejected),
            (&[("ann", Reject), ("bob", Approve)], End::Rejected),
        ] {
            let first =
                StagePlan { on_deadline: OnDeadline::Approve, ..plan(&["ann", "bob", "cy"], two) };
            let mut escalated = first.clone();
            escalated.levels.push(level(&["cfo"], false));
            for (plan, deadline) in [(first, 100), (escalated, 200)] {
                let mut approval = opened(vec![plan]);
                for (name, verdict) in votes {
                    assert_eq!(vote(&mut approval, name, *verdict, 1), Receipt::Counted);
                }
                approval.tick(at(100));
                if deadline > 100 {
                    open(&mut approval, 100);
                }
                approval.tick(at(deadline));
                assert_eq!(approval.stages()[0].end(), Some((end, at(deadline))), "{votes:?}");
            }
        }
        // A rejection that an earlier stage's quorum has overruled is over with that stage.
        let second = StagePlan { on_deadline: OnDeadline::Approve, ..plan(&["di"], Quorum::Any) };
        let mut approval = opened(vec![plan(&["ann", "bob", "cy"], two), second]);
        for (name, verdict) in [("ann", Reject), ("bob", Approve), ("cy", Approve)] {
            vote(&mut approval, name, verdict, 1);
        }
        open(&mut approval, 2);
        approval.tick(at(102));
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn a_level_that_ends_earlier_links_leaves_those_it_names_theirs() {
        let mut plan = plan(&["ann", "bob"], Quorum::All);
        plan.levels.push(level(&["ann", "cy"], false));
        let mut approval = opened(vec![plan]);
        approval.tick(at(100));
        let released = open(&mut approval, 100);
        let released: Vec<_> = released.iter().map(|seat| seat.link.as_str()).collect();
        assert_eq!(released, ["0-0-bob@example.com"]);
        assert_eq!(link(&mut approval, "0-0-ann@example.com", Approve, 101), Receipt::Counted);
        assert_eq!(vote(&mut approval, "bob", Approve, 101), Receipt::Released);
        assert!(!approval.is_final());
        assert_eq!(vote(&mut approval, "cy", Approve, 102), Receipt::Counted);
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn a_decision_that_is_told_before_the_deadlines_tick_counts() {
        let mut approval = opened(vec![plan(&["ann"], Quorum::Any)]);
        assert_eq!(vote(&mut approval, "ann", Approve, 5_000), Receipt::Counted);
        approval.tick(at(5_000));
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn reminders_go_once_to_those_who_have_not_decided() {
        let plans = vec![plan(&["ann", "bob"], Quorum::All)];
        let mut approval = Approval::new(address("sue"), plans);
        open_with(&mut approval, 0, &[10, 20, 200]);
        assert_eq!(approval.next_deadline(), Some(at(10)));
        assert_eq!(approval.tick(at(9)), []);
        assert_eq!(approval.tick(at(10)), [address("ann"), address("bob")]);
        assert_eq!(approval.tick(at(10)), []);
        vote(&mut approval, "ann", Approve, 15);
        assert_eq!(approval.tick(at(20)), [address("bob")]);
        assert_eq!(approval.next_deadline(), Some(at(100)), "none after the deadline");
    }

    #[test]
    fn reminders_that_were_missed_together_go_as_one() {
        let mut approval = Approval::new(address("sue"), vec![plan(&["ann"], Quorum::All)]);
        open_with(&mut approval, 0, &[10, 20]);
        assert_eq!(approval.tick(at(50)), [address("ann")]);
        assert_eq!(approval.next_deadline(), Some(at(100)));
    }

    #[test]
    fn a_withdrawal_ends_what_is_pending_and_nothing_else() {
        let mut approval = opened(vec![plan(&["ann"], Quorum::Any)]);
        assert!(approval.withdraw("ordered twice".into(), at(3)));
        assert!(matches!(approval.status(), Status::Withdrawn(w) if w.reason == "ordered twice"));
        assert_eq!(vote(&mut approval, "ann", Approve, 4), Receipt::StageNotOpen);
        assert!(!approval.withdraw(String::new(), at(5)));
        let mut approval = opened(vec![plan(&["ann"], Quorum::Any)]);
        vote(&mut approval, "ann", Approve, 1);
        assert!(!approval.withdraw(String::new(), at(5)));
        assert!(matches!(approval.status(), Status::Approved(..)));
    }
}
