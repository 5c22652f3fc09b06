//! One stage: reviewers who are asked together, level after level.

use countersign_protos::v1::Answer;
use jiff::Timestamp;

use super::{
    Arranged, Ballot, Claim, Due, EmailAddress, Invited, Level, OnDeadline, Replacement, Seat,
    SeatStatus, StagePlan, Verdict, Vote, Whom,
};

/// A stage and what has happened in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    plan: StagePlan,
    seats: Vec<Seat>,
    state: State,
    opened_at: Option<Timestamp>,
    /// The number of levels that were asked.
    levels: usize,
    /// Of the level that was asked last.
    due: Option<Due>,
    reminded: usize,
    /// Those that have to be asked, in order.
    replacements: Vec<Replacement>,
}

/// Where a stage stands. `docs/STATES.md` shows what leads from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody was asked yet.
    NotOpened,
    /// Its reviewers may decide.
    Open,
    /// They may, and the next level has to be asked.
    Escalating,
    /// One of them has asked for changes, which wait for the submitter: until then, once they have a link.
    Paused {
        until: Option<Timestamp>,
    },
    Ended {
        end: End,
        at: Timestamp,
        by_deadline: bool,
    },
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The next stage opens.
    Approved,
    Rejected,
    Expired,
}

impl Stage {
    pub(super) fn new(plan: StagePlan) -> Self {
        Self {
            plan,
            seats: Vec::new(),
            state: State::NotOpened,
            opened_at: None,
            levels: 0,
            due: None,
            reminded: 0,
            replacements: Vec::new(),
        }
    }

    pub fn plan(&self) -> &StagePlan {
        &self.plan
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// In the order in which they were asked.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Who has a place: those who are asked or have decided, and those they stand in for.
    pub fn represented(&self) -> impl Iterator<Item = &EmailAddress> {
        self.represented_besides(None)
    }

    /// As [`represented`](Self::represented), without this seat.
    fn represented_besides(&self, seat: Option<usize>) -> impl Iterator<Item = &EmailAddress> {
        let active = self.seats.iter().enumerate().filter(move |(position, other)| {
            Some(*position) != seat && other.status != SeatStatus::Superseded
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

    /// The deadline of the level that was asked last.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.due.as_ref().map(|due| due.deadline)
    }

    /// The number of the level that is asked now; 0 also before anybody is.
    pub fn level(&self) -> usize {
        self.levels.saturating_sub(1)
    }

    /// Whether another level is asked when the deadline passes.
    pub fn has_next_level(&self) -> bool {
        self.plan.levels.get(self.levels).is_some_and(|level| !level.fallback)
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
        match self.state {
            State::Ended { end, at, .. } => Some((end, at)),
            State::NotOpened | State::Open | State::Escalating | State::Paused { .. } => None,
        }
    }

    /// What the last deadline does as votes stand: it does not approve what somebody has rejected, even
    /// if one rejection is too few to end the stage.
    pub fn on_deadline(&self) -> OnDeadline {
        let rejects =
            |seat: &Seat| seat.vote.as_ref().is_some_and(|vote| vote.verdict == Verdict::Reject);
        match self.plan.on_deadline {
            OnDeadline::Approve if self.seats.iter().any(rejects) => OnDeadline::Reject,
            planned => planned,
        }
    }

    /// The vote that asks for changes: it pauses the stage for good.
    pub fn change_request(&self) -> Option<(&Seat, &Vote)> {
        let votes = self.seats.iter().filter_map(|seat| Some((seat, seat.vote.as_ref()?)));
        votes.into_iter().find(|(_, vote)| vote.verdict == Verdict::RequestChanges)
    }

    /// Sets until when changes that were requested wait for the submitter, once. Returns whether that was to be done.
    pub(super) fn pause_until(&mut self, deadline: Timestamp) -> bool {
        let is_new = self.state == State::Paused { until: None };
        if is_new {
            self.state = State::Paused { until: Some(deadline) };
        }
        is_new
    }

    /// Whether its deadline ended it, rather than its reviewers.
    pub fn ended_by_deadline(&self) -> bool {
        matches!(self.state, State::Ended { by_deadline: true, .. })
    }

    /// How its votes end it, if they do.
    fn quorum_reached(&self) -> Option<End> {
        let (quorum, electorate) = (self.plan.quorum, self.electorate());
        // Where nobody is there, nobody agrees.
        let reached = |verdict, needed: usize| {
            let votes = self.votes().into_iter();
            votes.filter(|(_, vote)| vote.verdict == verdict).count() >= needed.max(1)
        };
        match () {
            () if reached(Verdict::Approve, quorum.approvals(electorate)) => Some(End::Approved),
            () if reached(Verdict::Reject, quorum.rejections(electorate)) => Some(End::Rejected),
            () => None,
        }
    }

    /// Whom it has to ask next, while it has not ended.
    pub(super) fn whom(&self) -> Option<Whom> {
        match self.state {
            State::NotOpened | State::Escalating => return Some(Whom::Level(self.levels)),
            State::Paused { until: None } => return Some(Whom::Submitter),
            State::Paused { .. } | State::Ended { .. } => return None,
            State::Open => {}
        }
        let Replacement { from, to, .. } = self.replacements.first()?;
        let again = (from == to).then(|| self.seat_of(&Claim::Reviewer(from.clone())));
        Some(match again.flatten().map(|seat| &self.seats[seat]) {
            Some(Seat { reviewer, on_behalf_of, instead_of, round, link, .. }) => Whom::Reissue {
                reviewer: reviewer.clone(),
                on_behalf_of: on_behalf_of.clone(),
                instead_of: instead_of.clone(),
                old_round: *round,
                old_link: link.clone(),
            },
            None => Whom::Replacement(from.clone(), to.clone()),
        })
    }

    /// Who must not be asked with them, because they have a place. Somebody who is replaced gives up
    /// theirs and that of whom they stand in for, and is not asked again.
    pub(super) fn taken(&self, whom: &Whom) -> Vec<EmailAddress> {
        match whom {
            Whom::Level(_) => self.represented().cloned().collect(),
            Whom::Replacement(from, _) => {
                let others = self.represented_besides(self.seat_that_waits(from));
                // Nobody is asked twice because of a delegation, not even as a deputy.
                let is_delegated = self.replacements.first().is_some_and(Replacement::is_delegated);
                let before = self.seats.iter().filter(|_| is_delegated).map(|seat| &seat.reviewer);
                others.chain([from]).chain(before).cloned().collect()
            }
            Whom::Reissue { reviewer, .. } => {
                self.represented_besides(self.seat_that_waits(reviewer)).cloned().collect()
            }
            Whom::Submitter => Vec::new(),
        }
    }

    /// Asks those of [`whom`](Self::whom). Returns the seats that are superseded.
    ///
    /// Those who are asked already keep their seats; nobody gets a second one, not even through a deputy.
    /// The `barred` get none.
    /// A level with nobody new is skipped: the next one is asked, or else the present deadline is the
    /// last.
    pub(super) fn ask(
        &mut self,
        invited: Vec<Invited>,
        due: Option<Due>,
        barred: &[EmailAddress],
        now: Timestamp,
    ) -> Vec<usize> {
        let Some(whom) = self.whom() else { return Vec::new() };
        let mut taken = self.taken(&whom);
        let (leaving, arranged) = match &whom {
            Whom::Level(level) => {
                self.opened_at.get_or_insert(now);
                (self.levels, self.state) = (level + 1, State::Open);
                (self.leaving_for(*level), None)
            }
            Whom::Replacement(from, _) | Whom::Reissue { reviewer: from, .. } => {
                let by = self.replacements.remove(0).by;
                // They may have decided meanwhile.
                let Some(seat) = self.seat_that_waits(from) else { return Vec::new() };
                // A new link is for whoever has had them asked before.
                (vec![seat], by.or_else(|| self.seats[seat].arranged.clone()))
            }
            Whom::Submitter => return Vec::new(),
        };
        let round = self.seats.len() as u32;
        let invited = invited.into_iter().filter(|one| one.can_be_among(&whom));
        for Invited { reviewer, on_behalf_of, instead_of, link, key, .. } in invited {
            let status = SeatStatus::Asked;
            let arranged = arranged.clone();
            let seat = Seat {
                reviewer,
                on_behalf_of,
                round,
                instead_of,
                arranged,
                link,
                key,
                status,
                vote: None,
            };
            if !seat.people().any(|person| barred.contains(person) || taken.contains(person)) {
                taken.extend(seat.people().cloned());
                self.seats.push(seat);
            }
        }
        let somebody_new = self.seats.len() > round as usize;
        match due {
            Some(_) if !somebody_new && self.due.is_some() => {
                self.state = if self.has_next_level() { State::Escalating } else { self.state };
            }
            Some(due) => (self.due, self.reminded) = (Some(due), 0),
            None => {}
        }
        let superseded = match whom {
            _ if !somebody_new => Vec::new(),
            Whom::Level(_) if !self.can_spare(&leaving) => Vec::new(),
            // A replacement takes nobody away, so that it decides nothing.
            Whom::Level(_) | Whom::Replacement(..) | Whom::Reissue { .. } => leaving,
            Whom::Submitter => Vec::new(),
        };
        self.supersede(&superseded);
        self.escalate_if_nobody_is_reached();
        superseded
    }

    /// The seats that are superseded when this level is asked.
    fn leaving_for(&self, level: usize) -> Vec<usize> {
        let Some(Level { reviewers, keep_earlier: false, .. }) = self.plan.levels.get(level) else {
            return Vec::new();
        };
        // A deputy of somebody in this level stays too.
        let leaves =
            |seat: &Seat| seat.waits() && !seat.people().any(|person| reviewers.contains(person));
        (0..self.seats.len()).filter(|seat| leaves(&self.seats[*seat])).collect()
    }

    /// Whether superseding these seats alone does not decide the stage, and leaves enough people.
    fn can_spare(&self, seats: &[usize]) -> bool {
        let mut without = self.clone();
        without.supersede(seats);
        let electorate = without.electorate();
        electorate >= self.plan.quorum.approvals(electorate) && without.quorum_reached().is_none()
    }

    fn supersede(&mut self, seats: &[usize]) {
        for seat in seats {
            self.seats[*seat].status = SeatStatus::Superseded;
        }
    }

    fn seat_that_waits(&self, reviewer: &EmailAddress) -> Option<usize> {
        self.seats.iter().position(|seat| seat.reviewer == *reviewer && seat.waits())
    }

    /// How many more are asked if every deadline passes.
    pub(super) fn planned(&self) -> usize {
        let levels = self.plan.levels.iter().skip(self.levels);
        levels.map(|level| level.reviewers.len()).sum::<usize>() + self.replacements.len()
    }

    /// Whether this reviewer may decide and is not about to be replaced.
    pub(crate) fn can_be_replaced(&self, reviewer: &EmailAddress) -> bool {
        self.seat_that_waits(reviewer).is_some()
            && !self.replacements.iter().any(|one| one.from == *reviewer)
    }

    /// Whether somebody has, or is about to get, a place other than the one they would take over.
    pub(super) fn is_taken(&self, from: &EmailAddress, to: &EmailAddress) -> bool {
        let mut others = self.represented_besides(self.seat_that_waits(from)).chain([from]);
        others.any(|other| other == to) || self.replacements.iter().any(|one| one.to == *to)
    }

    pub(super) fn replace(&mut self, replacement: Replacement) {
        self.replacements.push(replacement);
    }

    pub(crate) fn replacements(&self) -> &[Replacement] {
        &self.replacements
    }

    /// By whom others were asked in another's place, or are about to be, in order.
    pub(crate) fn arranged(&self) -> impl Iterator<Item = &Arranged> {
        let arranged = self.seats.iter().filter_map(|seat| seat.arranged.as_ref());
        arranged.chain(self.replacements.iter().filter_map(|one| one.by.as_ref()))
    }

    /// Whether this person has, or had, a link of this stage.
    pub(super) fn has_asked(&self, person: &EmailAddress) -> bool {
        self.seats.iter().any(|seat| seat.reviewer == *person)
    }

    /// Who can get a new link: this reviewer, or everybody who has not decided and is not replaced anyway.
    pub(super) fn reissuable(&self, reviewer: Option<&EmailAddress>) -> Vec<EmailAddress> {
        let waiting = self.undecided().map(|seat| &seat.reviewer);
        let asked = waiting.filter(|who| reviewer.is_none_or(|one| one == *who));
        asked.filter(|who| self.can_be_replaced(who)).cloned().collect()
    }

    /// Records whether a request reached its reviewer. Returns whether that is new.
    pub(super) fn reached(&mut self, link: &str, reached: bool) -> bool {
        let status = if reached { SeatStatus::Asked } else { SeatStatus::Unreachable };
        let news =
            |seat: &&mut Seat| seat.status != SeatStatus::Superseded && seat.status != status;
        let asked = self.seats.iter_mut().find(|seat| seat.link == link);
        let Some(seat) = asked.filter(news) else { return false };
        seat.status = status;
        self.escalate_if_nobody_is_reached();
        true
    }

    /// If no request reached anybody, nobody can decide: the next level is asked without waiting, a fallback
    /// too.
    fn escalate_if_nobody_is_reached(&mut self) {
        let somebody = self.undecided().any(|seat| seat.status == SeatStatus::Asked);
        if self.state == State::Open && !somebody && self.levels < self.plan.levels.len() {
            self.state = State::Escalating;
        }
    }

    /// The position of the seat that a claim is for.
    pub(crate) fn seat_of(&self, claim: &Claim) -> Option<usize> {
        match claim {
            Claim::Link(link) => {
                self.seats.iter().position(|seat| !link.is_empty() && seat.link == *link)
            }
            // Somebody who was asked again means the seat that may still vote.
            Claim::Reviewer(reviewer) => self.seat_that_waits(reviewer).or_else(|| {
                let own = |seat: &Seat| seat.reviewer == *reviewer;
                let voted = self.seats.iter().position(|seat| own(seat) && seat.vote.is_some());
                voted.or_else(|| self.seats.iter().position(own))
            }),
        }
    }

    pub(super) fn count(
        &mut self,
        seat: usize,
        ballot: Ballot,
        answers: Vec<Answer>,
        now: Timestamp,
    ) {
        let order = self.votes().len();
        let seat = &mut self.seats[seat];
        let by = seat.by(&ballot);
        let Ballot { verdict, comment, .. } = ballot;
        seat.vote = Some(Vote { verdict, by, comment, answers, at: now, order });
        if verdict == Verdict::RequestChanges {
            self.state = State::Paused { until: None };
        } else if let Some(end) = self.quorum_reached() {
            self.state = State::Ended { end, at: now, by_deadline: false };
        }
        self.escalate_if_nobody_is_reached();
    }

    /// Whether [`tick`](Self::tick) has an effect now.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next_deadline().is_some_and(|due| due <= now)
    }

    /// Passes a deadline, or returns who has to be reminded.
    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        let effect = match (self.state, &self.due) {
            _ if !self.is_due(now) => return Vec::new(),
            (State::Open, Some(due)) if now < due.deadline => {
                self.reminded = due.reminders.iter().take_while(|time| **time <= now).count();
                return self.undecided().map(|seat| seat.reviewer.clone()).collect();
            }
            (State::Open, _) if self.has_next_level() => {
                self.state = State::Escalating;
                return Vec::new();
            }
            (State::Open, _) => self.on_deadline(),
            _ => OnDeadline::Expire,
        };
        let end = match effect {
            OnDeadline::Expire => End::Expired,
            OnDeadline::Reject => End::Rejected,
            OnDeadline::Approve => End::Approved,
        };
        self.state = State::Ended { end, at: now, by_deadline: true };
        Vec::new()
    }

    /// When time next has an effect.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        match self.state {
            State::Open => {
                let due = self.due.as_ref()?;
                let reminder = due.reminders.get(self.reminded);
                Some(*reminder.filter(|time| **time < due.deadline).unwrap_or(&due.deadline))
            }
            State::Paused { until } => until,
            State::NotOpened | State::Escalating | State::Ended { .. } => None,
        }
    }
}
