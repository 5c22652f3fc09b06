//! The decision core: who decided what, and what follows from it.
//!
//! Pure: no clock, no randomness, no I/O, and nothing of Temporal. Whatever happens is told to an
//! [`Approval`] together with the time; it answers with a [`Receipt`], with a derived [`Status`],
//! and with the moment at which it next wants to be told that time has passed.
//!
//! The tie rule: a decision that is told before the deadline's [`tick`](Approval::tick) counts,
//! however late it is. So what reached the history while every worker was down is never lost.

mod email;
mod quorum;
mod stage;

#[cfg(test)]
mod properties;

use jiff::Timestamp;

pub use email::{EmailAddress, NotAnEmailAddress};
pub use quorum::{NotAQuorum, Quorum, Verdict};
pub use stage::{End, OnDeadline, Seat, Stage, StagePlan, Vote};

/// One submission on its way through its stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    submitter: EmailAddress,
    stages: Vec<Stage>,
    withdrawn: Option<Withdrawal>,
}

/// That an approval was called off, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// When it happened.
    pub at: Timestamp,
    /// The canceller's words; may be empty.
    pub reason: String,
}

/// Where an approval stands, with what it stands on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Status<'a> {
    /// Somebody is still to be asked or to answer; the stage that is open or next to be opened.
    Pending(&'a Stage),
    /// Every stage approved; the last one.
    Approved(&'a Stage, Timestamp),
    /// A stage rejected.
    Rejected(&'a Stage, Timestamp),
    /// A stage's deadline ended the approval undecided.
    Expired(&'a Stage, Timestamp),
    /// It was called off.
    Withdrawn(&'a Withdrawal),
}

/// Who says that they decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The hash of an approval ID.
    Link(String),
    /// A reviewer's address, named by an operator.
    Reviewer(EmailAddress),
}

/// A decision as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// The reviewer's stage is not open: it was decided before, or is not reached yet.
    StageNotOpen,
}

impl Approval {
    /// An approval of which no stage is open yet.
    ///
    /// # Panics
    /// When there are no stages: routing never makes such a plan.
    pub fn new(submitter: EmailAddress, plans: Vec<StagePlan>) -> Self {
        assert!(!plans.is_empty(), "an approval has at least one stage");
        let stages = plans.into_iter().map(Stage::new).collect();
        Self { submitter, stages, withdrawn: None }
    }

    /// Who asks.
    pub fn submitter(&self) -> &EmailAddress {
        &self.submitter
    }

    /// All stages, in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Where it stands.
    pub fn status(&self) -> Status<'_> {
        if let Some(withdrawal) = &self.withdrawn {
            return Status::Withdrawn(withdrawal);
        }
        let mut last = &self.stages[0];
        for stage in &self.stages {
            last = stage;
            match stage.end() {
                None => return Status::Pending(stage),
                Some((End::Approved, _)) => {}
                Some((End::Rejected, at)) => return Status::Rejected(stage, at),
                Some((End::Expired, at)) => return Status::Expired(stage, at),
            }
        }
        let at = last.end().map_or(Timestamp::MIN, |(_, at)| at);
        Status::Approved(last, at)
    }

    /// Whether it has its final status.
    pub fn is_final(&self) -> bool {
        !matches!(self.status(), Status::Pending(_))
    }

    /// The position of the stage that has to be opened now.
    pub fn stage_to_open(&self) -> Option<usize> {
        let position = self.pending()?;
        self.stages[position].opened_at().is_none().then_some(position)
    }

    /// The stage whose reviewers are being asked.
    pub fn open_stage(&self) -> Option<&Stage> {
        let stage = &self.stages[self.pending()?];
        stage.opened_at().map(|_| stage)
    }

    /// Opens the stage of [`stage_to_open`](Self::stage_to_open) with one link a reviewer, in the
    /// reviewers' order. Without such a stage nothing happens.
    pub fn open(&mut self, links: Vec<String>, now: Timestamp) {
        if let Some(position) = self.stage_to_open() {
            self.stages[position].open(links, now);
        }
    }

    /// Takes a decision.
    pub fn vote(&mut self, ballot: Ballot, now: Timestamp) -> Receipt {
        let submitter = &self.submitter;
        if matches!(&ballot.claim, Claim::Reviewer(reviewer) if reviewer == submitter) {
            return Receipt::SelfVote;
        }
        let open = self.pending().filter(|i| self.stages[*i].opened_at().is_some());
        // Somebody who sits in two stages means the one that asks them now, or else the last one.
        let newest_first = (0..self.stages.len()).rev();
        let seat = open
            .into_iter()
            .chain(newest_first)
            .find_map(|i| self.stages[i].seat_of(&ballot.claim).map(|seat| (i, seat)));
        let Some((i, seat)) = seat else { return Receipt::NotAReviewer };
        let seat = &self.stages[i].seats()[seat];
        match &seat.vote {
            _ if seat.reviewer == *submitter => Receipt::SelfVote,
            Some(vote) if vote.verdict == ballot.verdict => Receipt::Duplicate,
            Some(_) => Receipt::Contradiction,
            None if open != Some(i) => Receipt::StageNotOpen,
            None => {
                self.stages[i].count(ballot, now);
                Receipt::Counted
            }
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

    /// When [`tick`](Self::tick) next has an effect.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.open_stage()?.next_deadline()
    }

    /// The position of the stage that the approval waits for.
    fn pending(&self) -> Option<usize> {
        match self.status() {
            Status::Pending(pending) => {
                self.stages.iter().position(|stage| std::ptr::eq(stage, pending))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use Verdict::{Approve, Reject};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn address(name: &str) -> EmailAddress {
        format!("{name}@example.com").parse().expect("an address")
    }

    fn plan(reviewers: &[&str], quorum: Quorum) -> StagePlan {
        StagePlan {
            name: "finance".into(),
            reviewers: reviewers.iter().map(|name| address(name)).collect(),
            quorum,
            deadline: SignedDuration::from_secs(100),
            reminders: vec![],
            on_deadline: OnDeadline::Expire,
        }
    }

    fn opened(plans: Vec<StagePlan>) -> Approval {
        let mut approval = Approval::new(address("sue"), plans);
        open(&mut approval, 0);
        approval
    }

    fn open(approval: &mut Approval, seconds: i64) {
        let stage = approval.stage_to_open().expect("a stage to open");
        let seats = approval.stages()[stage].seats();
        let links = seats.iter().map(|seat| format!("{stage}-{}", seat.reviewer)).collect();
        approval.open(links, at(seconds));
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
        assert!(matches!(approval.status(), Status::Pending(_)));
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
        assert!(matches!(approval.status(), Status::Pending(_)));
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
        let link = |link: &str| Ballot {
            claim: Claim::Link(link.into()),
            verdict: Approve,
            comment: "ok".into(),
        };
        assert_eq!(approval.vote(link("1-bob@example.com"), at(4)), Receipt::NotAReviewer);
        assert_eq!(approval.vote(link(""), at(4)), Receipt::NotAReviewer);
        assert_eq!(approval.vote(link("0-bob@example.com"), at(4)), Receipt::Counted);
        assert_eq!(vote(&mut approval, "bob", Approve, 5), Receipt::Duplicate);
    }

    #[test]
    fn a_submitter_who_is_listed_as_reviewer_still_has_no_vote() {
        let mut approval = opened(vec![plan(&["sue", "bob"], Quorum::Any)]);
        let ballot = Ballot {
            claim: Claim::Link("0-sue@example.com".into()),
            verdict: Approve,
            comment: String::new(),
        };
        assert_eq!(approval.vote(ballot, at(1)), Receipt::SelfVote);
    }

    #[test]
    fn the_next_stage_opens_only_after_the_one_before_it_approved() {
        let first = plan(&["ann"], Quorum::Any);
        let second = plan(&["ann", "bob"], Quorum::All);
        let mut approval = opened(vec![first, second]);
        assert_eq!(approval.stage_to_open(), None);
        assert_eq!(vote(&mut approval, "bob", Approve, 1), Receipt::StageNotOpen);
        vote(&mut approval, "ann", Approve, 1);
        assert_eq!(approval.stage_to_open(), Some(1));
        assert_eq!(approval.next_deadline(), None);
        open(&mut approval, 50);
        assert_eq!(approval.next_deadline(), Some(at(150)));
        assert_eq!(vote(&mut approval, "ann", Approve, 51), Receipt::Counted);
        assert_eq!(vote(&mut approval, "bob", Reject, 52), Receipt::Counted);
        assert!(
            matches!(approval.status(), Status::Rejected(stage, _) if stage.seats().len() == 2)
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
    fn a_decision_that_is_told_before_the_deadlines_tick_counts() {
        let mut approval = opened(vec![plan(&["ann"], Quorum::Any)]);
        assert_eq!(vote(&mut approval, "ann", Approve, 5_000), Receipt::Counted);
        approval.tick(at(5_000));
        assert!(matches!(approval.status(), Status::Approved(..)));
    }

    #[test]
    fn reminders_go_once_to_those_who_have_not_decided() {
        let reminders = [10, 20, 200].map(SignedDuration::from_secs).to_vec();
        let mut approval =
            opened(vec![StagePlan { reminders, ..plan(&["ann", "bob"], Quorum::All) }]);
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
        let reminders = [10, 20].map(SignedDuration::from_secs).to_vec();
        let mut approval = opened(vec![StagePlan { reminders, ..plan(&["ann"], Quorum::All) }]);
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

    #[test]
    fn the_core_imports_nothing_from_outside() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/approval");
        for entry in std::fs::read_dir(folder).expect("the core's folder") {
            let path = entry.expect("a file").path();
            let code = std::fs::read_to_string(&path).expect("readable");
            for line in code.lines().filter(|line| line.trim_start().starts_with("use ")) {
                let import = line.trim_start().trim_start_matches("use ");
                let allowed = [
                    "std::",
                    "super::",
                    "jiff::",
                    "serde::",
                    "email::",
                    "quorum::",
                    "stage::",
                    "proptest::",
                    "lettre::Address",
                    "Verdict::",
                ];
                assert!(
                    allowed.iter().any(|prefix| import.starts_with(prefix)),
                    "{}: {line}",
                    path.display()
                );
            }
            for word in ["tokio", "temporalio", "SystemTime", "Instant", "Timestamp::now", "async "]
            {
                assert!(
                    !code.contains(word) || path.ends_with("mod.rs"),
                    "{}: {word}",
                    path.display()
                );
            }
        }
    }
}
