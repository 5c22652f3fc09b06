//! One stage: people who are asked at the same time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Ballot, Claim, EmailAddress, Quorum, Verdict};

/// A stage as routing planned it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StagePlan {
    /// What people call it.
    pub name: String,
    /// Who is asked: each once, never the submitter.
    pub reviewers: Vec<EmailAddress>,
    /// How many have to agree.
    pub quorum: Quorum,
    /// How long after its opening the stage ends.
    pub deadline: SignedDuration,
    /// How long after its opening those who have not decided are reminded, ascending.
    pub reminders: Vec<SignedDuration>,
    /// How it ends then.
    pub on_deadline: OnDeadline,
}

/// What the deadline does to a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDeadline {
    /// The approval ends undecided.
    Expire,
    /// Silence is a no.
    Reject,
    /// Silence is a yes.
    Approve,
}

/// A stage and what has happened in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    plan: StagePlan,
    seats: Vec<Seat>,
    opened_at: Option<Timestamp>,
    reminded: usize,
    /// When the deadline was told to a stage without a decision.
    timed_out: Option<Timestamp>,
}

/// A reviewer in a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    /// Who.
    pub reviewer: EmailAddress,
    /// The hash of their approval ID; empty until the stage is opened.
    pub link: String,
    /// Their decision.
    pub vote: Option<Vote>,
}

/// A decision that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    /// Which way.
    pub verdict: Verdict,
    /// Why; may be empty.
    pub comment: String,
    /// When.
    pub at: Timestamp,
    /// How many had decided before in this stage.
    pub order: usize,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// On to the next stage.
    Approved,
    /// The approval is rejected.
    Rejected,
    /// The approval ends undecided.
    Expired,
}

impl Stage {
    pub(super) fn new(plan: StagePlan) -> Self {
        let seat = |reviewer: &EmailAddress| Seat {
            reviewer: reviewer.clone(),
            link: String::new(),
            vote: None,
        };
        let seats = plan.reviewers.iter().map(seat).collect();
        Self { plan, seats, opened_at: None, reminded: 0, timed_out: None }
    }

    /// What was planned.
    pub fn plan(&self) -> &StagePlan {
        &self.plan
    }

    /// Its reviewers, in the plan's order.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// When its reviewers were first asked.
    pub fn opened_at(&self) -> Option<Timestamp> {
        self.opened_at
    }

    /// When it ends by itself.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.opened_at.map(|at| at.saturating_add(self.plan.deadline).unwrap_or(Timestamp::MAX))
    }

    /// Its votes, in the order in which they counted.
    pub fn votes(&self) -> Vec<(&Seat, &Vote)> {
        let mut votes: Vec<_> =
            self.seats.iter().filter_map(|seat| Some((seat, seat.vote.as_ref()?))).collect();
        votes.sort_by_key(|(_, vote)| vote.order);
        votes
    }

    /// Who has not decided.
    pub fn undecided(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| seat.vote.is_none())
    }

    /// How and when it ended.
    pub fn end(&self) -> Option<(End, Timestamp)> {
        self.quorum_reached().or_else(|| {
            let end = match self.plan.on_deadline {
                OnDeadline::Expire => End::Expired,
                OnDeadline::Reject => End::Rejected,
                OnDeadline::Approve => End::Approved,
            };
            self.timed_out.map(|at| (end, at))
        })
    }

    /// Whether its deadline ended it, rather than its reviewers.
    pub fn ended_by_deadline(&self) -> bool {
        self.timed_out.is_some()
    }

    fn quorum_reached(&self) -> Option<(End, Timestamp)> {
        let reviewers = self.seats.len();
        let last = |verdict, needed: usize| {
            let mut votes = self.votes();
            votes.retain(|(_, vote)| vote.verdict == verdict);
            (votes.len() >= needed).then(|| votes.last().map(|(_, vote)| vote.at)).flatten()
        };
        let quorum = self.plan.quorum;
        let approved =
            last(Verdict::Approve, quorum.approvals(reviewers)).map(|at| (End::Approved, at));
        let rejected =
            || last(Verdict::Reject, quorum.rejections(reviewers)).map(|at| (End::Rejected, at));
        approved.or_else(rejected)
    }

    pub(super) fn open(&mut self, links: Vec<String>, now: Timestamp) {
        for (seat, link) in self.seats.iter_mut().zip(links) {
            seat.link = link;
        }
        self.opened_at = Some(now);
    }

    /// The position of the seat that a claim is for.
    pub(super) fn seat_of(&self, claim: &Claim) -> Option<usize> {
        self.seats.iter().position(|seat| match claim {
            Claim::Link(link) => !link.is_empty() && seat.link == *link,
            Claim::Reviewer(reviewer) => seat.reviewer == *reviewer,
        })
    }

    pub(super) fn count(&mut self, ballot: Ballot, now: Timestamp) {
        let order = self.votes().len();
        if let Some(seat) = self.seat_of(&ballot.claim) {
            let Ballot { verdict, comment, .. } = ballot;
            self.seats[seat].vote = Some(Vote { verdict, comment, at: now, order });
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        let Some(deadline) = self.deadline() else { return Vec::new() };
        if now >= deadline {
            self.timed_out = Some(now);
            return Vec::new();
        }
        let due = self.reminder_times().take_while(|time| *time <= now).count();
        if due <= self.reminded {
            return Vec::new();
        }
        self.reminded = due;
        self.undecided().map(|seat| seat.reviewer.clone()).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let deadline = self.deadline()?;
        let reminder = self.reminder_times().nth(self.reminded).filter(|time| *time < deadline);
        Some(reminder.unwrap_or(deadline))
    }

    fn reminder_times(&self) -> impl Iterator<Item = Timestamp> {
        let opened_at = self.opened_at.unwrap_or(Timestamp::MAX);
        let time = move |after: &SignedDuration| {
            opened_at.saturating_add(*after).unwrap_or(Timestamp::MAX)
        };
        self.plan.reminders.iter().map(time)
    }
}
