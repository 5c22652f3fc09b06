//! Delegations as they come in, and what follows for requests.

use jiff::Timestamp;

use super::Open;
use crate::{
    approval::{Arranged, Delegation, EmailAddress, Seat, SeatStatus, Stage},
    recorded::Delegated,
};

impl Open {
    /// Whether the one who is to be replaced next in this stage wants it.
    pub(super) fn is_delegating(&self, stage: usize, from: &EmailAddress) -> bool {
        let delegations = self.approval.stages()[stage].delegations();
        let mut waiting =
            delegations.iter().filter(|(seat, ..)| seat.status != SeatStatus::Superseded);
        waiting.any(|(seat, ..)| seat.reviewer == *from)
    }

    /// Takes a delegation. Returns whether it changes anything, or why it is ignored.
    pub(super) fn delegate(
        &mut self,
        delegation: Delegation,
        now: Timestamp,
    ) -> Result<bool, String> {
        if self.approval.has_delegated(&delegation.link, &delegation.to) {
            return Ok(false);
        }
        let delegated = self.approval.delegate(delegation, now);
        delegated.map(|()| true).map_err(|why| why.to_string())
    }
}

/// The identity that the operator claims who had somebody asked in another's place.
pub(super) fn reassigned_by(seat: &Seat) -> Option<String> {
    match seat.arranged.as_ref()? {
        Arranged::Operator(identity) => Some(identity.clone()),
        Arranged::Delegation { .. } => None,
    }
}

/// What makes somebody's request that of a colleague, who had this seat.
pub(super) fn delegated(stage: &Stage, seat: &Seat) -> Option<Delegated> {
    let Arranged::Delegation { delegation, .. } = seat.arranged.as_ref()? else { return None };
    let from = stage.seats().iter().find(|from| from.link == delegation.link)?;
    let Seat { round, on_behalf_of, instead_of, .. } = from.clone();
    Some(Delegated { round, on_behalf_of, instead_of, delegation: delegation.clone() })
}
