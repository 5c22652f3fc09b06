//! The mails to reviewers that a wait begins with, and those that it stops.

use countersign_protos::text::to_message;
use jiff::Timestamp;

use super::{
    Open,
    delegations::{delegated, reassigned_by},
};
use crate::{
    approval::{Seat, Stage},
    outcome,
    recorded::{EarlierRequest, ReviewRequest},
};

impl Open {
    /// When Temporal ends this run, if that is before the stage's deadline.
    pub(super) fn times_out_before(&self, stage: &Stage) -> Option<Timestamp> {
        self.times_out_at.filter(|at| stage.deadline().is_some_and(|deadline| *at < deadline))
    }

    /// Requests to those who were not asked yet, and the reminders that are due.
    pub(super) fn requests(&mut self) -> Vec<ReviewRequest> {
        let Some(position) = self.approval.open() else { return Vec::new() };
        let stage = &self.approval.stages()[position];
        let mails = self.deliveries.start(stage);
        let follows = |seat: &Seat, reminder: bool| {
            let mut earlier = stage.superseded_links_of(seat).chain(reminder.then_some(seat));
            let Some(taken) = earlier.rfind(|earlier| self.deliveries.of(earlier).sent) else {
                return self.asked_before(&seat.reviewer);
            };
            let asked_at = self.approval.asked_at(&taken.link)?;
            Some(EarlierRequest { round: taken.round, asked_at, version: None })
        };
        let request = |(seat, reminder): (&Seat, bool)| ReviewRequest {
            plan: self.sealed.clone(),
            first_run_id: self.first_run_id.clone(),
            stage: position as u32,
            round: seat.round,
            reviewer: seat.reviewer.clone(),
            on_behalf_of: seat.on_behalf_of.clone(),
            instead_of: seat.instead_of.clone(),
            reassigned_by: reassigned_by(seat),
            delegated: delegated(stage, seat),
            link: seat.link.clone(),
            asked_at: self.approval.asked_at(&seat.link),
            deadline: stage.deadline().map(to_message),
            times_out_at: self.times_out_before(stage).map(to_message),
            on_deadline: stage.on_deadline(),
            escalates: stage.has_next_level(),
            reminder,
            new_link: stage.superseded_links_of(seat).next().is_some(),
            follows: follows(seat, reminder),
        };
        mails.into_iter().map(request).collect()
    }

    pub(super) fn unsent_to_superseded(&self) -> Vec<String> {
        let seats = self.approval.open_stage().into_iter().flat_map(Stage::seats);
        let superseded = seats.filter(|seat| outcome::is_superseded(seat));
        let unsent = superseded.filter(|seat| self.deliveries.of(seat).on_its_way);
        unsent.map(|seat| seat.link.clone()).collect()
    }
}
