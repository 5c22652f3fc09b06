//! What became of the requests and reminders to each reviewer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::approval::{EmailAddress, Seat, Stage};

/// How often operators may have people reminded, so that a history stays small.
pub(super) const MAX_REMINDED_BY_OPERATORS: u32 = 100;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Deliveries {
    by_link: BTreeMap<String, Delivery>,
    /// Whom to remind at the next opportunity.
    to_remind: BTreeSet<EmailAddress>,
    reminded_by_operators: u32,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Delivery {
    /// Whether a request or a reminder is being sent.
    pub(super) on_its_way: bool,
    pub(super) sent: bool,
    /// Why the latest mail was refused for good; empty if it was not.
    pub(super) error: String,
    pub(super) reminders: u32,
}

/// Of somebody to whom nothing was sent yet.
static NOTHING: Delivery =
    Delivery { on_its_way: false, sent: false, error: String::new(), reminders: 0 };

impl Deliveries {
    pub(super) fn of(&self, seat: &Seat) -> &Delivery {
        self.by_link.get(&seat.link).unwrap_or(&NOTHING)
    }

    pub(super) fn remind(&mut self, late: Vec<EmailAddress>) {
        self.to_remind.extend(late);
    }

    /// Takes an operator's order to remind one reviewer, or all who have not decided.
    pub(super) fn remind_by_operator(
        &mut self,
        stage: Option<&Stage>,
        whom: Option<&EmailAddress>,
    ) -> Result<(), String> {
        let late = stage.into_iter().flat_map(Stage::undecided).map(|seat| seat.reviewer.clone());
        let late: Vec<_> = late.filter(|it| whom.is_none_or(|whom| whom == it)).collect();
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
        let new = stage.undecided().filter_map(|seat| {
            let asked = self.by_link.contains_key(&seat.link);
            let delivery = self.by_link.entry(seat.link.clone()).or_default();
            let is_due = !asked || !delivery.on_its_way && to_remind.contains(&seat.reviewer);
            delivery.on_its_way |= is_due;
            is_due.then_some((seat, asked))
        });
        new.collect()
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
        let before = delivery.error.is_empty();
        delivery.on_its_way = false;
        delivery.sent |= result.is_ok();
        delivery.reminders += u32::from(reminder && result.is_ok());
        delivery.error = result.err().unwrap_or_default();
        (before, delivery.error.is_empty())
    }

    /// Of another version, to which nobody was sent anything yet.
    pub(super) fn of_next_version(&self) -> Self {
        Self { reminded_by_operators: self.reminded_by_operators, ..Self::default() }
    }

    /// In a new run, requests that were on their way are sent again; reminders are not.
    pub(super) fn resume(&mut self) {
        self.by_link.retain(|_, delivery| delivery.sent || !delivery.error.is_empty());
        self.by_link.values_mut().for_each(|delivery| delivery.on_its_way = false);
    }
}
