//! Series of events, and the instances that are moved or cancelled.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{civil::Date, tz::TimeZone};

use super::{Wrong, event::Event, moment::Clock, words::Words};

/// The events of a calendar with the same UID: those that recur or stand alone, and changed instances of them.
#[derive(Debug, Default)]
pub(super) struct Series<'a> {
    events: Vec<&'a Event>,
    instances: Vec<&'a Event>,
}

impl<'a> Series<'a> {
    pub(super) fn push(&mut self, event: &'a Event) {
        match event.get("RECURRENCE-ID") {
            Some(_) => self.instances.push(event),
            None => self.events.push(event),
        }
    }

    /// The texts of its events.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        self.events.iter().chain(&self.instances).map(|event| event.text())
    }

    /// The days of each event with the right words, or why they cannot be read.
    pub(super) fn days(
        &self,
        zone: &TimeZone,
        words: &Words,
    ) -> Vec<Result<BTreeSet<Date>, Wrong>> {
        let events = self.chosen(words);
        let clock = events.first().map_or_else(Clock::as_written, |event| event.clock(zone));
        let mut changed = BTreeMap::new();
        let mut results = Vec::new();
        for event in self.chosen_instances(zone, words, &events) {
            match event.replaces(&clock) {
                Ok(date) => changed.extend(date.map(|date| (date, event))),
                Err(wrong) => results.push(Err(wrong)),
            }
        }
        let replaced = changed.keys().copied().collect();
        for event in &events {
            // Deleted after it was changed. What is wrong with EXDATE is reported below.
            let left_out = event.dates("EXDATE", &clock).unwrap_or_default();
            changed.retain(|date, _| !left_out.contains(date));
        }
        let counts = |event: &&&Event| !event.is_cancelled();
        results.extend(events.iter().filter(counts).map(|event| event.all_days(zone, &replaced)));
        results.extend(changed.values().filter(counts).map(|event| event.own_days(zone)));
        results
    }

    /// The latest version of its events, with the right words. Many files have one UID for several events, all
    /// of the same version.
    fn chosen(&self, words: &Words) -> Vec<&'a Event> {
        let latest = self.events.iter().map(|event| event.sequence()).max();
        let latest = self.events.iter().filter(|event| Some(event.sequence()) == latest);
        latest.copied().filter(|event| words.admit(&event.text())).collect()
    }

    /// The changed instances of the chosen events, latest version last. They may have other words than their
    /// series, unless that is not in the file.
    fn chosen_instances(
        &self,
        zone: &TimeZone,
        words: &Words,
        events: &[&Event],
    ) -> Vec<&'a Event> {
        let takes_days = |event: &Event| !matches!(event.days(zone), Ok(None));
        let whole_days = events.iter().any(|event| takes_days(event));
        let is_meant = |event: &Event| match self.events.is_empty() {
            true => words.admit(&event.text()),
            false => !events.is_empty(),
        };
        let mut instances = self.instances.clone();
        instances.retain(|event| is_meant(event) && (whole_days || takes_days(event)));
        instances.sort_by_key(|event| event.sequence());
        instances
    }
}
