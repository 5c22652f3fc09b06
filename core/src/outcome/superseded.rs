//! Why somebody who was asked is superseded, and why somebody is asked in another's place, as data.

use crate::approval::{
    Approval, Arranged, EmailAddress, Entry, Invited, Seat, SeatStatus, Stage, Status,
};

/// Why a reviewer who has not decided need not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Superseded<'a> {
    /// An operator who claims this identity had another one asked in their place.
    Replaced { by: &'a EmailAddress, identity: &'a str },
    /// They had this one asked in their place.
    Delegated { to: &'a EmailAddress },
    /// Others are asked, since the deadline has passed.
    Escalated,
    /// Others are asked, since nobody could be reached.
    Unreachable,
    /// The stage's last deadline has passed.
    DeadlinePassed,
    /// The approval was withdrawn.
    Withdrawn,
    /// Others have decided the stage.
    Decided,
}

impl Approval {
    /// Why a reviewer is superseded. `None` for those who still may, have decided, or were not
    /// asked.
    pub fn superseded(&self, reviewer: &EmailAddress) -> Option<Superseded<'_>> {
        let silent = |seat: &&Seat| seat.reviewer == *reviewer && seat.vote.is_none();
        let mut newest_first = self.stages().iter().rev();
        let (stage, seat) = newest_first
            .find_map(|stage| stage.seats().iter().rfind(silent).map(|seat| (stage, seat)))?;
        if seat.status == SeatStatus::Superseded {
            let mut seats = stage.seats().iter();
            // Somebody may have replaced them before they got this seat.
            let replaces = |other: &&Seat| {
                other.round > seat.round && other.instead_of.as_ref() == Some(reviewer)
            };
            let by = seats.rfind(replaces);
            let replaced = by.and_then(|by| match by.arranged.as_ref()? {
                Arranged::Operator(identity) => {
                    Some(Superseded::Replaced { by: &by.reviewer, identity })
                }
                Arranged::Delegation { delegation, .. } => {
                    Some(Superseded::Delegated { to: &delegation.to })
                }
            });
            return Some(replaced.unwrap_or(match self.escalated_in_time() {
                true => Superseded::Escalated,
                false => Superseded::Unreachable,
            }));
        }
        match stage.end() {
            Some(_) if stage.ended_by_deadline() => Some(Superseded::DeadlinePassed),
            Some(_) => Some(Superseded::Decided),
            None => matches!(self.status(), Status::Withdrawn(_)).then_some(Superseded::Withdrawn),
        }
    }

    /// Whether the level that was asked last was asked because the deadline before it had passed. A level with
    /// nobody new is skipped, and changes no deadline.
    fn escalated_in_time(&self) -> bool {
        let has_seat = |one: &Invited| {
            let mut seats = self.stages().iter().flat_map(Stage::seats);
            seats.any(|seat| seat.link == one.link)
        };
        let (mut deadline, mut passed, mut in_time) = (None, false, false);
        for entry in self.journal() {
            match entry {
                Entry::Asked { invited, due: Some(due), .. } if invited.iter().any(has_seat) => {
                    (in_time, passed, deadline) = (passed, false, Some(due.deadline));
                }
                Entry::TimePassed { at } => passed |= deadline.is_some_and(|due| *at >= due),
                _ => {}
            }
        }
        in_time
    }
}
