//! Signals that have no effect: not yet, or never.

use std::{collections::VecDeque, mem};

use countersign_protos::{ignored, text::clean_line};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::signals::Signal;

/// How many signals are held at most; beyond that it is a flood, not a mistake.
pub(super) const MAX_HELD: usize = 200;
/// How many bytes they take at most, as JSON. The next run gets them with the state in one payload, of which Temporal
/// takes 2 MiB: half of it is left for the state. A revision that anybody can be asked about is smaller, since it is
/// carried twice in as much.
pub(super) const MAX_HELD_BYTES: usize = 1024 * 1024;
/// How many reasons for ignored signals are kept.
pub(super) const MAX_REASONS: usize = 20;
/// How many characters of a signal's name are kept: anybody may send any.
const MAX_NAME_CHARS: usize = 50;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Inbox {
    /// Taken when a stage opens.
    pub(super) until_open: Held,
    /// Taken when all that follows from new links has been scheduled.
    pub(super) while_issuing: Held,
    pub(super) ignored: u32,
    /// The latest, each with its signal's name, and when it turned out to have no effect.
    pub(super) reasons: VecDeque<String>,
}

/// Signals that wait, in the order in which they came. A replay holds the same ones: what there is room for follows
/// from the signals alone.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Held {
    pub(super) signals: Vec<Signal>,
    /// Of those that this run has held. What the run before has left is taken at once, and held anew.
    #[serde(skip)]
    bytes: usize,
}

impl Held {
    /// Returns a signal that there is no room for.
    pub(super) fn hold(&mut self, signal: Signal) -> Option<Signal> {
        let bytes = self.bytes.saturating_add(signal.bytes());
        if self.signals.len() >= MAX_HELD || bytes > MAX_HELD_BYTES {
            return Some(signal);
        }
        self.bytes = bytes;
        self.signals.push(signal);
        None
    }

    pub(super) fn take(&mut self) -> Vec<Signal> {
        mem::take(self).signals
    }

    pub(super) fn take_decisions(&mut self) -> Vec<Signal> {
        let is_decision = |signal: &mut Signal| matches!(signal, Signal::Decision(_));
        let decisions: Vec<Signal> = self.signals.extract_if(.., is_decision).collect();
        let bytes: usize = decisions.iter().map(Signal::bytes).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        decisions
    }
}

impl Inbox {
    pub(super) fn hold_while_issuing(&mut self, signal: Signal, now: Timestamp) {
        if let Some(signal) = self.while_issuing.hold(signal) {
            let why = "too many signals at once".to_owned();
            self.ignore_about(signal.name(), signal.whom(), why, now);
        }
    }

    /// Counts a signal that has no effect.
    pub(super) fn ignore(&mut self, signal: &str, why: &str, now: Timestamp) {
        self.ignored = self.ignored.saturating_add(1);
        let signal: String = clean_line(signal).chars().take(MAX_NAME_CHARS).collect();
        self.reasons.push_back(ignored::entry(&signal, now, why));
        self.limit_reasons();
    }

    /// As [`ignore`](Self::ignore), of a signal about somebody, who is named if the reason does not do so.
    pub(super) fn ignore_about(
        &mut self,
        signal: &str,
        whom: Option<String>,
        why: String,
        now: Timestamp,
    ) {
        match whom.filter(|whom| !why.contains(whom)) {
            Some(whom) => self.ignore(signal, &ignored::about(&why, &whom), now),
            None => self.ignore(signal, &why, now),
        }
    }

    /// Adds what came in before this run had its state.
    pub(super) fn merge(&mut self, newer: Inbox) {
        self.ignored = self.ignored.saturating_add(newer.ignored);
        self.reasons.extend(newer.reasons);
        self.limit_reasons();
        self.until_open.signals.extend(newer.until_open.signals);
    }

    fn limit_reasons(&mut self) {
        self.reasons.drain(..self.reasons.len().saturating_sub(MAX_REASONS));
    }
}
