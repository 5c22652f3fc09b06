//! One stage: reviewers who are asked together, level after level.

use std::{fmt, str::FromStr};

use countersign_protos::{
    Statement, answers, comment_hash,
    v1::{Answer, Proof},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Arranged, Ballot, Claim, EmailAddress, Quorum, Verdict, replacement::Replacement};

/// A stage as it was planned. Deadlines are set when a level is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePlan {
    pub name: String,
    /// Counts those who have decided or may still decide.
    pub quorum: Quorum,
    pub on_deadline: OnDeadline,
    /// Each is asked when the deadline of the one before has passed. The last may be a fallback.
    pub levels: Vec<Level>,
}

/// Reviewers who are asked together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Each once, never the submitter.
    pub reviewers: Vec<EmailAddress>,
    /// Whether those of the levels before may still decide.
    pub keep_earlier: bool,
    /// Whether no deadline has it asked: only that nobody can be reached.
    pub fallback: bool,
}

/// What the last deadline does to a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDeadline {
    /// The approval ends undecided.
    #[default]
    Expire,
    Reject,
    /// A stage in which somebody has rejected is rejected all the same.
    Approve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"expire\", \"reject\" or \"approve\"")]
pub struct NotOnDeadline;

impl FromStr for OnDeadline {
    type Err = NotOnDeadline;

    fn from_str(text: &str) -> Result<Self, NotOnDeadline> {
        match text {
            "expire" => Ok(OnDeadline::Expire),
            "reject" => Ok(OnDeadline::Reject),
            "approve" => Ok(OnDeadline::Approve),
            _ => Err(NotOnDeadline),
        }
    }
}

impl fmt::Display for OnDeadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnDeadline::Expire => "expire",
            OnDeadline::Reject => "reject",
            OnDeadline::Approve => "approve",
        })
    }
}

/// The times of a level that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub deadline: Timestamp,
    /// Ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminders: Vec<Timestamp>,
}

/// A stage and what has happened in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    plan: StagePlan,
    seats: Vec<Seat>,
    opened_at: Option<Timestamp>,
    /// The number of levels that were asked.
    levels: usize,
    /// Of the level that was asked last.
    due: Option<Due>,
    reminded: usize,
    /// Whether the next level has to be asked.
    escalates: bool,
    /// Those that have to be asked, in order.
    replacements: Vec<Replacement>,
    /// Until when changes that were requested wait for the submitter.
    changes_due: Option<Timestamp>,
    /// When the last deadline passed without a decision, or that of the changes without a revision.
    timed_out: Option<Timestamp>,
}

/// A reviewer who was asked in a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Seat {
    pub reviewer: EmailAddress,
    /// The absent reviewer, if this one is their deputy.
    pub on_behalf_of: Option<EmailAddress>,
    /// The number of seats that the stage had before; with the reviewer, it makes a link.
    pub round: u32,
    /// The reviewer whom this one replaces.
    pub instead_of: Option<EmailAddress>,
    /// Who wanted that.
    pub arranged: Option<Arranged>,
    /// The hash of their approval ID.
    pub link: String,
    /// What checks the proofs of this link.
    pub key: String,
    pub status: SeatStatus,
    pub vote: Option<Vote>,
}

/// Whether a reviewer may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatStatus {
    Asked,
    /// They may decide, but their request was refused permanently.
    Unreachable,
    /// They may not: somebody else was asked in their place.
    Superseded,
}

/// A reviewer who is asked, with their link and what it was issued for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invited {
    /// The stage's position, from 0.
    pub stage: u32,
    /// The number of seats that the stage had before.
    pub round: u32,
    pub reviewer: EmailAddress,
    /// The absent reviewer, if this one is their deputy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<EmailAddress>,
    /// The reviewer whom this one replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<EmailAddress>,
    /// The hash of their approval ID.
    pub link: String,
    /// What checks the proofs of this link: see [`Proof`].
    pub key: String,
}

impl Invited {
    /// Whether both are for the same mailboxes as well as for the same people, who may have several.
    pub fn is_exactly(&self, other: &Self) -> bool {
        fn texts(one: &Invited) -> (&str, [Option<&str>; 2]) {
            let others = [&one.on_behalf_of, &one.instead_of];
            (one.reviewer.as_str(), others.map(|one| one.as_ref().map(EmailAddress::as_str)))
        }
        self == other && texts(self) == texts(other)
    }
}

/// Whom a stage has to ask next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whom {
    /// The reviewers of a level.
    Level(usize),
    /// The second in place of the first.
    Replacement(EmailAddress, EmailAddress),
    /// The same reviewer, for the same people, by a new link.
    #[serde(rename_all = "camelCase")]
    Reissue {
        reviewer: EmailAddress,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on_behalf_of: Option<EmailAddress>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<EmailAddress>,
        /// Of the seat that they have.
        old_round: u32,
        /// The hash of the link that they have: nobody knows that of one which was never issued.
        old_link: String,
    },
    /// Whoever submitted it, for the changes that were requested.
    Submitter,
}

/// How a decision came.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// The holder of the reviewer's link decided so.
    Link(Proof),
    /// Somebody signalled it for the reviewer, and claimed this identity.
    Operator(String),
}

/// A decision that counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    pub verdict: Verdict,
    pub by: By,
    /// Empty if nothing was written.
    pub comment: String,
    /// In the order of the fields.
    pub answers: Vec<Answer>,
    pub at: Timestamp,
    /// The number of votes that the stage had before.
    pub order: usize,
}

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The next stage opens.
    Approved,
    Rejected,
    Expired,
}

impl StagePlan {
    /// The reviewers of all levels.
    pub fn reviewers(&self) -> impl Iterator<Item = &EmailAddress> {
        self.levels.iter().flat_map(|level| &level.reviewers)
    }
}

impl Invited {
    /// The first one in the first stage, whose link can prove nothing.
    pub fn new(reviewer: EmailAddress, link: String) -> Self {
        let (on_behalf_of, instead_of, key) = (None, None, String::new());
        Self { stage: 0, round: 0, reviewer, on_behalf_of, instead_of, link, key }
    }

    /// Whether they can be meant: by a new link, nobody else is asked. Who the deputies are is known outside.
    fn can_be_among(&self, whom: &Whom) -> bool {
        match whom {
            Whom::Level(_) | Whom::Replacement(..) => true,
            Whom::Submitter => false,
            Whom::Reissue { reviewer, on_behalf_of, instead_of, .. } => {
                (&self.reviewer, &self.on_behalf_of, &self.instead_of)
                    == (reviewer, on_behalf_of, instead_of)
            }
        }
    }
}

impl Seat {
    pub(super) fn waits(&self) -> bool {
        self.vote.is_none() && self.status != SeatStatus::Superseded
    }

    /// How a decision for this seat came: by its link only if the proof holds.
    pub(super) fn by(&self, ballot: &Ballot) -> By {
        // A hash says nothing for another comment that stands beside it.
        let left_out = ballot.left_out.clone().filter(|_| ballot.comment.is_empty());
        let comment = &left_out.unwrap_or_else(|| comment_hash(&ballot.comment));
        let left_out = ballot.answers_left_out.clone().filter(|_| ballot.answers.is_empty());
        let answers = &left_out.unwrap_or_else(|| answers::hash(&ballot.answers));
        let said = Statement::Vote { verdict: ballot.verdict, comment, answers };
        let holds = |proof: &&Proof| proof.proves(&self.key, &self.link, said);
        match ballot.proof.as_ref().filter(holds) {
            Some(proof) => By::Link(proof.clone()),
            None => By::Operator(ballot.identity.clone()),
        }
    }

    /// Whether this is the same people's seat as an earlier one that is superseded.
    fn replaces_link_of(&self, earlier: &Seat) -> bool {
        let Seat { reviewer, on_behalf_of, instead_of, .. } = earlier;
        (&self.reviewer, &self.on_behalf_of, &self.instead_of)
            == (reviewer, on_behalf_of, instead_of)
            && earlier.status == SeatStatus::Superseded
            && self.round > earlier.round
    }

    /// Whose vote this is: the reviewer's, and the absent one's.
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
            changes_due: None,
            timed_out: None,
        }
    }

    pub fn plan(&self) -> &StagePlan {
        &self.plan
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

    /// Whether a superseded seat's people have a new link.
    pub fn is_reissued(&self, seat: &Seat) -> bool {
        self.seats.iter().any(|later| later.replaces_link_of(seat))
    }

    /// The seats whose people have this one by a new link, in order.
    pub fn superseded_links_of<'a>(
        &'a self,
        seat: &'a Seat,
    ) -> impl DoubleEndedIterator<Item = &'a Seat> {
        self.seats.iter().filter(move |earlier| seat.replaces_link_of(earlier))
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

    /// Whether another level is asked at the deadline of the present one, or of the first before that.
    pub fn escalates_at_deadline(&self) -> bool {
        self.plan.levels.get(self.level() + 1).is_some_and(|level| !level.fallback)
    }

    /// Whether it waits for people none of whom can be reached, and asks nobody else.
    pub fn is_unreachable(&self) -> bool {
        let mut undecided = self.undecided().peekable();
        let waits = self.end().is_none() && self.whom().is_none() && undecided.peek().is_some();
        waits && undecided.all(|seat| seat.status == SeatStatus::Unreachable)
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
        if self.change_request().is_some() {
            return self.timed_out.map(|at| (End::Expired, at));
        }
        self.quorum_reached().or_else(|| {
            let end = match self.on_deadline() {
                OnDeadline::Expire => End::Expired,
                OnDeadline::Reject => End::Rejected,
                OnDeadline::Approve => End::Approved,
            };
            self.timed_out.map(|at| (end, at))
        })
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

    pub(super) fn has_votes(&self) -> bool {
        self.seats.iter().any(|seat| seat.vote.is_some())
    }

    /// Whether changes are requested of which the submitter does not know yet.
    pub(super) fn waits_for_submitter(&self) -> bool {
        self.change_request().is_some() && self.changes_due.is_none()
    }

    pub(super) fn deadline_of_changes(&self) -> Option<Timestamp> {
        self.changes_due
    }

    pub(super) fn set_deadline_of_changes(&mut self, deadline: Timestamp) {
        self.changes_due = Some(deadline);
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

    /// Whom it has to ask next, while it has not ended.
    pub(super) fn whom(&self) -> Option<Whom> {
        if self.change_request().is_some() {
            return self.changes_due.is_none().then_some(Whom::Submitter);
        }
        if self.levels == 0 || self.escalates {
            return Some(Whom::Level(self.levels));
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
                (self.levels, self.escalates) = (level + 1, false);
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
                self.escalates = self.has_next_level();
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
    pub(super) fn can_be_replaced(&self, reviewer: &EmailAddress) -> bool {
        self.seat_that_waits(reviewer).is_some()
            && !self.replacements.iter().any(|one| one.from == *reviewer)
    }

    /// Whether somebody has, or is about to get, a place other than the one they would take over.
    pub(super) fn is_taken(&self, from: &EmailAddress, to: &EmailAddress) -> bool {
        let mut others = self.represented_besides(self.seat_that_waits(from)).chain([from]);
        others.any(|other| other == to) || self.replacements.iter().any(|one| one.to == *to)
    }

    /// Whether somebody is about to be asked in place of the claim's reviewer, or they by a new link.
    pub(super) fn is_about_to_supersede(&self, claim: &Claim) -> bool {
        let reviewer = self.seat_of(claim).map(|seat| &self.seats[seat].reviewer);
        reviewer.is_some_and(|reviewer| self.replacements.iter().any(|one| one.from == *reviewer))
    }

    /// Whether this reviewer may be about to be asked, in place of another or by a new link. Who is asked,
    /// they or a deputy, is known when links are issued.
    pub(super) fn may_ask_soon(&self, reviewer: &EmailAddress) -> bool {
        let own = |seat: &Seat| seat.status != SeatStatus::Superseded && seat.reviewer == *reviewer;
        let gets_new_link = self
            .replacements
            .iter()
            .any(|Replacement { from, to, .. }| from == to && to == reviewer);
        gets_new_link || !self.replacements.is_empty() && !self.seats.iter().any(own)
    }

    pub(super) fn replace(&mut self, replacement: Replacement) {
        self.replacements.push(replacement);
    }

    pub(super) fn replacements(&self) -> &[Replacement] {
        &self.replacements
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
        let others = self.levels < self.plan.levels.len();
        self.escalates |= self.levels > 0 && !somebody && others;
    }

    /// The position of the seat that a claim is for.
    pub(super) fn seat_of(&self, claim: &Claim) -> Option<usize> {
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
        self.escalate_if_nobody_is_reached();
    }

    /// Whether [`tick`](Self::tick) has an effect now.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next_deadline().is_some_and(|due| due <= now)
    }

    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        if self.change_request().is_some() {
            self.timed_out = self.is_due(now).then_some(now);
            return Vec::new();
        }
        let Some(due) = self.due.as_ref().filter(|_| self.is_due(now)) else { return Vec::new() };
        if now >= due.deadline {
            match self.has_next_level() {
                true => self.escalates = true,
                false => self.timed_out = Some(now),
            }
            return Vec::new();
        }
        self.reminded = due.reminders.iter().take_while(|time| **time <= now).count();
        self.undecided().map(|seat| seat.reviewer.clone()).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.change_request().is_some() {
            return self.changes_due;
        }
        let due = self.due.as_ref().filter(|_| !self.escalates)?;
        let reminder = due.reminders.get(self.reminded).filter(|time| **time < due.deadline);
        Some(*reminder.unwrap_or(&due.deadline))
    }
}
