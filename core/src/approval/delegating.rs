//! Delegation: a reviewer has a colleague asked in their place, by their link.

use jiff::Timestamp;

use super::{
    Approval, Arranged, Claim, Delegation, Entry, NotDelegated, NotReassigned, Replacement, Seat,
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
        match () {
            () if !self.restrictions.may_delegate_to(&to) => return Err(NotDelegated::NotAllowed),
            () if delegation.lacks_reason() => return Err(NotDelegated::NoReason),
            () if self.stages[position].has_asked(&to) => {
                return Err(NotReassigned::AskedAlready.into());
            }
            () => self.check_replacement(position, &from, &to)?,
        }
        if !delegation.is_proven(&seat.key) {
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
}

#[cfg(test)]
mod tests;
