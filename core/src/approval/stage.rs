//! One stage: people who are asked at the same time, and those who are asked after them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ballot, Claim, EmailAddress, Quorum, Verdict};

/// A stage as it was planned. How long anybody has is said when they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// What people call it.
    pub name: String,
    /// How many have to agree, of those who have decided or may still decide.
    pub quorum: Quorum,
    /// How it ends when the last deadline has passed.
    pub on_deadline: OnDeadline,
    /// Who is asked first, and who is asked when those before have let their deadline pass.
    pub levels: Vec<Level>,
}

/// People who are asked together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Who: each once, never the submitter.
    pub reviewers: Vec<EmailAddress>,
    /// Whether those of the levels before may still decide.
    pub keep_earlier: bool,
}

/// What the last deadline does to a stage.
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

/// When time has an effect on a level that has been opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// When its time is up.
    pub deadline: Timestamp,
    /// When those who have not decided are reminded, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminders: Vec<Timestamp>,
}

/// A stage and what has happened in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    plan: StagePlan,
    seats: Vec<Seat>,
    opened_at: Option<Timestamp>,
    /// How many levels have been opened.
    levels: usize,
    /// Of the level that was opened last.
    due: Option<Due>,
    reminded: usize,
    /// Whether the next level has to be opened.
    escalates: bool,
    /// Reviewers who have to be replaced, and by whom.
    replacements: Vec<(EmailAddress, EmailAddress)>,
    /// When the last deadline was told to a stage without a decision.
    timed_out: Option<Timestamp>,
}

/// A reviewer in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub reviewer: EmailAddress,
    /// Whose deputy they are.
    pub on_behalf_of: Option<EmailAddress>,
    /// How many seats the stage had before they were asked: with the reviewer, this makes a link.
    pub round: u32,
    /// The hash of their approval ID.
    pub link: String,
    /// Whether they may decide.
    pub standing: Standing,
    /// Their decision.
    pub vote: Option<Vote>,
}

/// Whether a reviewer may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// They may.
    Asked,
    /// They may, but their request was refused for good.
    Unreachable,
    /// Somebody else was asked in their place.
    Released,
}

/// Somebody who is asked, with their link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invited {
    /// Who.
    pub reviewer: EmailAddress,
    /// Whose deputy they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
    /// The hash of their approval ID.
    pub link: String,
}

/// Whom a stage has to ask now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// The reviewers of a level.
    Level(usize),
    /// Somebody in the place of another.
    Instead(EmailAddress, EmailAddress),
}

/// A decision that counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

impl StagePlan {
    /// Everybody who may be asked.
    pub fn reviewers(&self) -> impl Iterator<Item = &EmailAddress> {
        self.levels.iter().flat_map(|level| &level.reviewers)
    }
}

impl Seat {
    fn waits(&self) -> bool {
        self.vote.is_none() && self.standing != Standing::Released
    }

    /// Whose vote this is: the reviewer's, and that of whom they stand in for.
    pub fn people(&self) -> impl Iterator<Item = &EmailAddress> {
        std::iter::once(&self.reviewer).chain(&self.on_behalf_of)
    }
}

impl Stage {
    pub(super) fn new(plan: StagePlan) -> Self {
        Self {
            plan,
            seats: Vec::new(),
            opened_at: None,
            levels: 0,
            due: None,
            reminded: 0,
            escalates: false,
            replacements: Vec::new(),
            timed_out: None,
        }
    }

    /// What was planned.
    pub fn plan(&self) -> &StagePlan {
        &self.plan
    }

    /// Everybody who was asked, in that order.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Whose place is taken: those who are asked or have decided, and those for whom they do.
    pub fn represented(&self) -> impl Iterator<Item = &EmailAddress> {
        self.represented_besides(None)
    }

    /// As [`represented`](Self::represented), were this seat empty.
    fn represented_besides(&self, seat: Option<usize>) -> impl Iterator<Item = &EmailAddress> {
        let active = self.seats.iter().enumerate().filter(move |(position, other)| {
            Some(*position) != seat && other.standing != Standing::Released
        });
        active.flat_map(|(_, seat)| seat.people())
    }

    /// Whether this reviewer's place is taken.
    pub fn represents(&self, reviewer: &EmailAddress) -> bool {
        self.represented().any(|other| other == reviewer)
    }

    /// When its reviewers were first asked.
    pub fn opened_at(&self) -> Option<Timestamp> {
        self.opened_at
    }

    /// When the time of those who are asked now is up.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.due.as_ref().map(|due| due.deadline)
    }

    /// The number of the level that is asked now; 0 also before anybody is.
    pub fn level(&self) -> usize {
        self.levels.saturating_sub(1)
    }

    /// Whether others are asked when the deadline passes.
    pub fn has_next_level(&self) -> bool {
        self.levels < self.plan.levels.len()
    }

    /// Its votes, in the order in which they counted.
    pub fn votes(&self) -> Vec<(&Seat, &Vote)> {
        let mut votes: Vec<_> =
            self.seats.iter().filter_map(|seat| Some((seat, seat.vote.as_ref()?))).collect();
        votes.sort_by_key(|(_, vote)| vote.order);
        votes
    }

    /// Who has not decided and may.
    pub fn undecided(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| seat.waits())
    }

    /// How many have decided or may.
    pub fn electorate(&self) -> usize {
        self.seats.iter().filter(|seat| seat.vote.is_some() || seat.waits()).count()
    }

    /// How and when it ended.
    pub fn end(&self) -> Option<(End, Timestamp)> {
        self.quorum_reached().or_else(|| {
            let end = match self.on_deadline() {
                OnDeadline::Expire => End::Expired,
                OnDeadline::Reject => End::Rejected,
                OnDeadline::Approve => End::Approved,
            };
            self.timed_out.map(|at| (end, at))
        })
    }

    /// What the last deadline does as votes stand: silence is no yes to what somebody has rejected,
    /// even where one rejection is too few to end the stage.
    pub fn on_deadline(&self) -> OnDeadline {
        let rejects =
            |seat: &Seat| seat.vote.as_ref().is_some_and(|vote| vote.verdict == Verdict::Reject);
        match self.plan.on_deadline {
            OnDeadline::Approve if self.seats.iter().any(rejects) => OnDeadline::Reject,
            planned => planned,
        }
    }

    /// Whether its deadline ended it, rather than its reviewers.
    pub fn ended_by_deadline(&self) -> bool {
        self.timed_out.is_some()
    }

    fn quorum_reached(&self) -> Option<(End, Timestamp)> {
        let electorate = self.electorate();
        let last = |verdict, needed: usize| {
            let mut votes = self.votes();
            votes.retain(|(_, vote)| vote.verdict == verdict);
            (votes.len() >= needed).then(|| votes.last().map(|(_, vote)| vote.at)).flatten()
        };
        let quorum = self.plan.quorum;
        let approved =
            last(Verdict::Approve, quorum.approvals(electorate)).map(|at| (End::Approved, at));
        let rejected =
            || last(Verdict::Reject, quorum.rejections(electorate)).map(|at| (End::Rejected, at));
        approved.or_else(rejected)
    }

    /// Whom it has to ask now, while it has not ended.
    pub(super) fn whom(&self) -> Option<Whom> {
        if self.levels == 0 || self.escalates {
            return Some(Whom::Level(self.levels));
        }
        let (from, to) = self.replacements.first()?;
        Some(Whom::Instead(from.clone(), to.clone()))
    }

    /// Who must not be asked along with them: those whose place is taken. Whoever is replaced leaves
    /// theirs, and that of whom they stand in for, and is not asked again.
    pub(super) fn taken(&self, whom: &Whom) -> Vec<EmailAddress> {
        match whom {
            Whom::Level(_) => self.represented().cloned().collect(),
            Whom::Instead(from, _) => {
                let others = self.represented_besides(self.seat_that_waits(from));
                others.chain([from]).cloned().collect()
            }
        }
    }

    /// Asks those of [`whom`](Self::whom). Answers with the seats of those who are released.
    ///
    /// Whoever is asked already keeps their seat; nobody gets a second one, by whatever deputy. A level
    /// without anybody new is passed over: the next one is asked, or the time that those before have
    /// had is the last.
    pub(super) fn ask(
        &mut self,
        invited: Vec<Invited>,
        due: Option<Due>,
        submitter: &EmailAddress,
        now: Timestamp,
    ) -> Vec<usize> {
        let Some(whom) = self.whom() else { return Vec::new() };
        let mut taken = self.taken(&whom);
        let leaving = match whom {
            Whom::Level(level) => {
                self.opened_at.get_or_insert(now);
                (self.levels, self.escalates) = (level + 1, false);
                self.leaving_for(level)
            }
            Whom::Instead(from, _) => {
                self.replacements.remove(0);
                // Whoever has decided in the meantime is not replaced any more.
                let Some(seat) = self.seat_that_waits(&from) else { return Vec::new() };
                vec![seat]
            }
        };
        let round = self.seats.len() as u32;
        for Invited { reviewer, on_behalf_of, link } in invited {
            let standing = Standing::Asked;
            let seat = Seat { reviewer, on_behalf_of, round, link, standing, vote: None };
            if !seat.people().any(|person| person == submitter || taken.contains(person)) {
                taken.extend(seat.people().cloned());
                self.seats.push(seat);
            }
        }
        let somebody_new = self.seats.len() > round as usize;
        match due {
            Some(_) if !somebody_new && self.due.is_some() => {
                self.escalates = self.has_next_level();
            }
            Some(due) => (self.due, self.reminded) = (Some(due), 0),
            None => {}
        }
        let released = if somebody_new { self.release(leaving) } else { Vec::new() };
        self.escalate_if_nobody_is_reached();
        released
    }

    /// The seats of those who may decide no more when this level is asked.
    fn leaving_for(&self, level: usize) -> Vec<usize> {
        let Some(Level { reviewers, keep_earlier: false }) = self.plan.levels.get(level) else {
            return Vec::new();
        };
        // A deputy holds the place of somebody of this level too.
        let leaves =
            |seat: &Seat| seat.waits() && !seat.people().any(|person| reviewers.contains(person));
        (0..self.seats.len()).filter(|seat| leaves(&self.seats[*seat])).collect()
    }

    /// Releases these seats, or nobody: asking others decides nothing, and leaves enough people.
    fn release(&mut self, seats: Vec<usize>) -> Vec<usize> {
        let mut without = self.clone();
        for seat in &seats {
            without.seats[*seat].standing = Standing::Released;
        }
        let electorate = without.electorate();
        let too_few = electorate < self.plan.quorum.approvals(electorate);
        if too_few || without.quorum_reached().is_some() {
            return Vec::new();
        }
        *self = without;
        seats
    }

    fn seat_that_waits(&self, reviewer: &EmailAddress) -> Option<usize> {
        self.seats.iter().position(|seat| seat.reviewer == *reviewer && seat.waits())
    }

    /// How many more are asked if all goes on as planned.
    pub(super) fn planned(&self) -> usize {
        let levels = self.plan.levels.iter().skip(self.levels);
        levels.map(|level| level.reviewers.len()).sum::<usize>() + self.replacements.len()
    }

    /// Whether somebody waits here to decide, and is not about to be replaced.
    pub(super) fn can_be_replaced(&self, reviewer: &EmailAddress) -> bool {
        self.seat_that_waits(reviewer).is_some()
            && !self.replacements.iter().any(|(from, _)| from == reviewer)
    }

    /// Whether somebody cannot be asked in the place of another, because theirs is taken, or is about
    /// to be.
    pub(super) fn is_taken(&self, from: &EmailAddress, to: &EmailAddress) -> bool {
        let whom = Whom::Instead(from.clone(), to.clone());
        self.taken(&whom).contains(to) || self.replacements.iter().any(|(_, other)| other == to)
    }

    /// Whether this claim is that of somebody in whose place another is about to be asked.
    pub(super) fn is_about_to_release(&self, claim: &Claim) -> bool {
        let reviewer = self.seat_of(claim).map(|seat| &self.seats[seat].reviewer);
        reviewer.is_some_and(|reviewer| self.replacements.iter().any(|(from, _)| from == reviewer))
    }

    /// Whether this reviewer may be about to be asked in another's place, themselves or as a deputy:
    /// who that is turns out when they get their link.
    pub(super) fn may_ask_soon(&self, reviewer: &EmailAddress) -> bool {
        let own = |seat: &Seat| seat.standing != Standing::Released && seat.reviewer == *reviewer;
        !self.replacements.is_empty() && !self.seats.iter().any(own)
    }

    pub(super) fn replace(&mut self, from: EmailAddress, to: EmailAddress) {
        self.replacements.push((from, to));
    }

    /// Tells whether a request reached its reviewer.
    pub(super) fn reached(&mut self, link: &str, reached: bool) {
        let standing = if reached { Standing::Asked } else { Standing::Unreachable };
        let asked = self.seats.iter_mut().find(|seat| seat.link == link);
        if let Some(seat) = asked.filter(|seat| seat.standing != Standing::Released) {
            seat.standing = standing;
        }
        self.escalate_if_nobody_is_reached();
    }

    /// Waiting is in vain where no request came through.
    fn escalate_if_nobody_is_reached(&mut self) {
        let somebody = self.undecided().any(|seat| seat.standing == Standing::Asked);
        self.escalates |= self.levels > 0 && !somebody && self.has_next_level();
    }

    /// The position of the seat that a claim is for.
    pub(super) fn seat_of(&self, claim: &Claim) -> Option<usize> {
        match claim {
            Claim::Link(link) => {
                self.seats.iter().position(|seat| !link.is_empty() && seat.link == *link)
            }
            // Whoever was asked again means the seat that counts.
            Claim::Reviewer(reviewer) => self.seat_that_waits(reviewer).or_else(|| {
                let own = |seat: &Seat| seat.reviewer == *reviewer;
                let voted = self.seats.iter().position(|seat| own(seat) && seat.vote.is_some());
                voted.or_else(|| self.seats.iter().position(own))
            }),
        }
    }

    pub(super) fn count(&mut self, seat: usize, ballot: Ballot, now: Timestamp) {
        let order = self.votes().len();
        let Ballot { verdict, comment, .. } = ballot;
        self.seats[seat].vote = Some(Vote { verdict, comment, at: now, order });
        self.escalate_if_nobody_is_reached();
    }

    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        let Some(due) = &self.due else { return Vec::new() };
        if now >= due.deadline {
            match self.has_next_level() {
                true => self.escalates = true,
                false => self.timed_out = Some(now),
            }
            return Vec::new();
        }
        let passed = due.reminders.iter().take_while(|time| **time <= now).count();
        if passed <= self.reminded {
            return Vec::new();
        }
        self.reminded = passed;
        self.undecided().map(|seat| seat.reviewer.clone()).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let due = self.due.as_ref().filter(|_| !self.escalates)?;
        let reminder = due.reminders.get(self.reminded).filter(|time| **time < due.deadline);
        Some(*reminder.unwrap_or(&due.deadline))
    }
}
