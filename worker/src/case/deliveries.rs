//! What became of the requests and reminders to each reviewer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::approval::{EmailAddress, Seat, Stage};

/// How often operators may have people reminded, so that a history stays small.
pub(super) const MAX_REMINDED_BY_OPERATORS: u32 = 100;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Deliveries {
    by_link: BTreeMap<String, Delivery>,
    /// Whom to remind at the next opportunity.
    to_remind: Vec<EmailAddress>,
    reminded_by_operators: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Delivery {
    /// Whether a request or a reminder is being sent.
    on_its_way: bool,
    pub(super) sent: bool,
    /// Why the latest mail was refused for good; empty if it was not.
    pub(super) error: String,
    pub(super) reminders: u32,
}

impl Deliveries {
    pub(super) fn get(&self, link: &str) -> Option<&Delivery> {
        self.by_link.get(link)
    }

    pub(super) fn was_sent(&self, seat: &Seat) -> bool {
        self.get(&seat.link).is_some_and(|delivery| delivery.sent)
    }

    pub(super) fn is_on_its_way(&self, seat: &Seat) -> bool {
        self.get(&seat.link).is_some_and(|delivery| delivery.on_its_way)
    }

    pub(super) fn remind(&mut self, late: impl IntoIterator<Item = EmailAddress>) {
        for late in late {
            if !self.to_remind.contains(&late) {
                self.to_remind.push(late);
            }
        }
    }

    /// Takes an operator's order to remind one reviewer, or all who have not decided.
    pub(super) fn remind_by_operator(
        &mut self,
        stage: Option<&Stage>,
        whom: Option<EmailAddress>,
    ) -> Result<(), String> {
        let undecided = stage.into_iter().flat_map(Stage::undecided);
        let late = undecided.map(|seat| seat.reviewer.clone());
        let late: Vec<_> =
            late.filter(|late| whom.as_ref().is_none_or(|whom| whom == late)).collect();
        match whom {
            Some(whom) if late.is_empty() => Err(format!("{whom} has nothing to decide now")),
            None if late.is_empty() => Err("there is nobody to remind".to_owned()),
            _ if self.reminded_by_operators >= MAX_REMINDED_BY_OPERATORS => {
                Err(format!("people were reminded {MAX_REMINDED_BY_OPERATORS} times already"))
            }
            _ => {
                self.reminded_by_operators += 1;
                self.remind(late);
                Ok(())
            }
        }
    }

    /// Whom to mail now, and whether that is a reminder. A reviewer who is being mailed gets no reminder
    /// beside it: after an outage, one mail arrives.
    pub(super) fn start<'a>(&mut self, stage: &'a Stage) -> Vec<(&'a Seat, bool)> {
        let to_remind = std::mem::take(&mut self.to_remind);
        let mut started = Vec::new();
        for seat in stage.undecided() {
            let reminder = match self.get(&seat.link) {
                None => false,
                Some(delivery) if delivery.on_its_way => continue,
                Some(_) if to_remind.contains(&seat.reviewer) => true,
                Some(_) => continue,
            };
            self.by_link.entry(seat.link.clone()).or_default().on_its_way = true;
            started.push((seat, reminder));
        }
        started
    }

    /// A mail was sent, or refused for good. Returns whether its reviewer could be reached before, and
    /// whether they can be now.
    pub(super) fn finish(
        &mut self,
        link: &str,
        reminder: bool,
        result: Result<(), String>,
    ) -> (bool, bool) {
        let delivery = self.by_link.entry(link.to_owned()).or_default();
        delivery.on_its_way = false;
        let before = delivery.error.is_empty();
        match result {
            Ok(()) => {
                delivery.sent = true;
                delivery.error.clear();
                delivery.reminders += u32::from(reminder);
            }
            Err(error) => delivery.error = error,
        }
        (before, delivery.error.is_empty())
    }

    /// In a new run, requests that were on their way are sent again; reminders are not.
    pub(super) fn resume(&mut self) {
        self.by_link.retain(|_, delivery| delivery.sent || !delivery.error.is_empty());
        self.by_link.values_mut().for_each(|delivery| delivery.on_its_way = false);
    }
}
