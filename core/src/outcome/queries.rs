//! What follows from an approval for those who show it, or hold signals back until it is clear whom they are for. It
//! decides nothing.

use jiff::Timestamp;

use crate::approval::{
    Approval, Arranged, Claim, Delegation, EmailAddress, Entry, Replacement, Seat, SeatStatus,
    Stage, State,
};

impl Approval {
    /// When this link was issued. A reset of the workflow issues it again.
    pub fn asked_at(&self, link: &str) -> Option<Timestamp> {
        self.journal().iter().find_map(|entry| match entry {
            Entry::Asked { invited, at, .. } if invited.iter().any(|one| one.link == link) => {
                Some(*at)
            }
            _ => None,
        })
    }

    /// Whether nobody but those who were asked first was asked.
    pub fn has_asked_once(&self) -> bool {
        let asked = self.journal().iter().filter(|entry| matches!(entry, Entry::Asked { .. }));
        asked.count() == 1
    }

    /// All that were made, in order: each with its stage and the seat that it was made for.
    pub fn delegations(&self) -> impl Iterator<Item = (&Stage, &Seat, &Delegation)> {
        self.journal().iter().filter_map(|entry| {
            let Entry::Delegated { delegation, .. } = entry else { return None };
            let seats = |stage| Stage::seats(stage).iter().map(move |seat| (stage, seat));
            let mut seats = self.stages().iter().flat_map(seats);
            let (stage, seat) = seats.find(|(_, seat)| seat.link == delegation.link)?;
            Some((stage, seat, delegation))
        })
    }

    /// Whether somebody else is asked, or about to be, because the holder of this link wants it.
    pub fn has_delegated(&self, link: &str, to: &EmailAddress) -> bool {
        let mut delegations = self.stages().iter().flat_map(Stage::delegations);
        delegations.any(|(_, known, _)| known.link == link && known.to == *to)
    }

    /// Whether an operator has chosen who has this seat, also where those have delegated.
    pub fn is_chosen_by_operator(&self, seat: &Seat) -> bool {
        let mut seat = seat;
        loop {
            seat = match &seat.arranged {
                // A place in another's stead that nobody has arranged.
                None => return seat.instead_of.is_some(),
                Some(Arranged::Operator(_)) => return true,
                Some(Arranged::Delegation { delegation, .. }) => {
                    let mut seats = self.stages().iter().flat_map(Stage::seats);
                    match seats.find(|other| other.link == delegation.link) {
                        Some(from) => from,
                        None => return true,
                    }
                }
            };
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

    /// Whether the open stage waits for people none of whom can be reached.
    pub fn is_unreachable(&self) -> bool {
        self.open_stage().is_some_and(Stage::is_unreachable)
    }
}

impl Stage {
    /// By which of its reviewers others are asked, or about to be, in order.
    pub fn delegations(&self) -> Vec<(&Seat, &Delegation, Timestamp)> {
        let mut all: Vec<(&Seat, &Delegation, Timestamp)> = Vec::new();
        for by in self.arranged() {
            let Arranged::Delegation { delegation, at } = by else { continue };
            // Somebody with a new link has another seat for the same reason.
            let is_new = all.iter().all(|(_, known, _)| known.link != delegation.link);
            let from = self.seats().iter().find(|seat| seat.link == delegation.link);
            all.extend(from.filter(|_| is_new).map(|from| (from, delegation, *at)));
        }
        all
    }

    /// Whether a superseded seat's people have a new link.
    pub fn is_reissued(&self, seat: &Seat) -> bool {
        self.seats().iter().any(|later| later.replaces_link_of(seat))
    }

    /// The seats whose people have this one by a new link, in order.
    pub fn superseded_links_of<'a>(
        &'a self,
        seat: &'a Seat,
    ) -> impl DoubleEndedIterator<Item = &'a Seat> {
        self.seats().iter().filter(move |earlier| seat.replaces_link_of(earlier))
    }

    /// Whether another level is asked at the deadline of the present one, or of the first before that.
    pub fn escalates_at_deadline(&self) -> bool {
        self.plan().levels.get(self.level() + 1).is_some_and(|level| !level.fallback)
    }

    /// Whether it waits for people none of whom can be reached, and asks nobody else.
    pub fn is_unreachable(&self) -> bool {
        let mut undecided = self.undecided().peekable();
        let is_open = self.state() == State::Open && self.replacements().is_empty();
        let waits = is_open && undecided.peek().is_some();
        waits && undecided.all(|seat| seat.status == SeatStatus::Unreachable)
    }

    /// Whether somebody is about to be asked in place of the claim's reviewer, or they by a new link.
    fn is_about_to_supersede(&self, claim: &Claim) -> bool {
        let reviewer = self.seat_of(claim).map(|seat| &self.seats()[seat].reviewer);
        reviewer.is_some_and(|reviewer| self.replacements().iter().any(|one| one.from == *reviewer))
    }

    /// Whether this reviewer may be about to be asked, in place of another or by a new link. Who is asked,
    /// they or a deputy, is known when links are issued.
    fn may_ask_soon(&self, reviewer: &EmailAddress) -> bool {
        let own = |seat: &Seat| seat.status != SeatStatus::Superseded && seat.reviewer == *reviewer;
        let gets_new_link = self
            .replacements()
            .iter()
            .any(|Replacement { from, to, .. }| from == to && to == reviewer);
        gets_new_link || !self.replacements().is_empty() && !self.seats().iter().any(own)
    }
}
