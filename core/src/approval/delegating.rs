//! Delegation: a reviewer has a colleague asked in their place, by their link.

use jiff::Timestamp;

use super::{
    Approval, Arranged, Claim, Delegation, EmailAddress, Entry, NotDelegated, NotReassigned, Seat,
    Stage, replacement::Replacement,
};

impl Approval {
    /// Plans to ask somebody in place of a reviewer who has not decided, as that one wants it by their link. Nobody
    /// is asked twice in a stage that way.
    ///
    /// # Errors
    /// Why that is impossible.
    pub fn delegate(&mut self, delegation: Delegation, now: Timestamp) -> Result<(), NotDelegated> {
        let (position, seat) = self.seat_that_delegates(&delegation)?;
        let (from, to) = (seat.reviewer.clone(), delegation.to.clone());
        let stage = &self.stages[position];
        match () {
            () if !self.restrictions.may_delegate_to(&to) => return Err(NotDelegated::NotAllowed),
            () if delegation.lacks_reason() => return Err(NotDelegated::NoReason),
            () if stage.has_asked(&to) => return Err(NotReassigned::AskedAlready.into()),
            () => self.check_replacement(position, &from, &to)?,
        }
        if !delegation.is_proven(&self.seat_that_delegates(&delegation)?.1.key) {
            return Err(NotDelegated::NotProven);
        }
        let by = Arranged::Delegation { delegation: delegation.clone(), at: now };
        self.stages[position].replace(Replacement { from, to, by: Some(by) });
        self.journal.push(Entry::Delegated { delegation, at: now });
        Ok(())
    }

    /// The seat of the link, if it may still decide, and its stage.
    fn seat_that_delegates(
        &self,
        delegation: &Delegation,
    ) -> Result<(usize, &Seat), NotReassigned> {
        let position = self.open().ok_or(NotReassigned::NotAsked)?;
        let stage = &self.stages[position];
        let seat = stage.seat_of(&Claim::Link(delegation.link.clone()));
        let seat = seat.map(|seat| &stage.seats()[seat]).filter(|seat| seat.waits());
        Ok((position, seat.ok_or(NotReassigned::NotAsked)?))
    }

    /// All that were made, in order: each with its stage and the seat that it was made for.
    pub fn delegations(&self) -> impl Iterator<Item = (&Stage, &Seat, &Delegation)> {
        self.journal.iter().filter_map(|entry| {
            let Entry::Delegated { delegation, .. } = entry else { return None };
            let seats = |stage| Stage::seats(stage).iter().map(move |seat| (stage, seat));
            let mut seats = self.stages.iter().flat_map(seats);
            let (stage, seat) = seats.find(|(_, seat)| seat.link == delegation.link)?;
            Some((stage, seat, delegation))
        })
    }

    /// Whether somebody else is asked, or about to be, because the holder of this link wants it.
    pub fn has_delegated(&self, link: &str, to: &EmailAddress) -> bool {
        let mut delegations = self.stages.iter().flat_map(Stage::delegations);
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
                    let mut seats = self.stages.iter().flat_map(Stage::seats);
                    match seats.find(|other| other.link == delegation.link) {
                        Some(from) => from,
                        None => return true,
                    }
                }
            };
        }
    }
}

impl Stage {
    /// By which of its reviewers others are asked, or about to be, in order.
    pub fn delegations(&self) -> Vec<(&Seat, &Delegation, Timestamp)> {
        let arranged = self.seats().iter().filter_map(|seat| seat.arranged.as_ref());
        let planned = self.replacements().iter().filter_map(|one| one.by.as_ref());
        let mut all: Vec<(&Seat, &Delegation, Timestamp)> = Vec::new();
        for by in arranged.chain(planned) {
            let Arranged::Delegation { delegation, at } = by else { continue };
            // Somebody with a new link has another seat for the same reason.
            let is_new = all.iter().all(|(_, known, _)| known.link != delegation.link);
            let from = self.seats().iter().find(|seat| seat.link == delegation.link);
            all.extend(from.filter(|_| is_new).map(|from| (from, delegation, *at)));
        }
        all
    }
}

#[cfg(test)]
mod tests;
