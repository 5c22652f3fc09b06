//! Signals that have no effect: not yet, or never.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::signals::Signal;

/// How many signals are held at most; beyond that it is a flood, not a mistake.
pub(super) const MAX_HELD: usize = 200;
/// How many reasons for ignored signals are kept.
pub(super) const MAX_REASONS: usize = 20;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Inbox {
    /// Taken when a stage opens.
    pub(super) until_open: Vec<Signal>,
    /// Taken when all that follows from new links has been scheduled.
    pub(super) while_issuing: Vec<Signal>,
    pub(super) ignored: u32,
    /// The latest, each with its signal's name.
    pub(super) reasons: VecDeque<String>,
}

impl Inbox {
    pub(super) fn hold_while_issuing(&mut self, signal: Signal) {
        match self.while_issuing.len() < MAX_HELD {
            true => self.while_issuing.push(signal),
            false => self.ignore(signal.name(), "too many signals at once"),
        }
    }

    /// Counts a signal that has no effect.
    pub(super) fn ignore(&mut self, signal: &str, why: &str) {
        self.ignored = self.ignored.saturating_add(1);
        self.reasons.push_back(format!("{signal}: {why}"));
        self.limit_reasons();
    }

    /// Adds what came in before this run had its state.
    pub(super) fn merge(&mut self, newer: Inbox) {
        self.ignored = self.ignored.saturating_add(newer.ignored);
        self.reasons.extend(newer.reasons);
        self.limit_reasons();
        self.until_open.extend(newer.until_open);
    }

    fn limit_reasons(&mut self) {
        self.reasons.drain(..self.reasons.len().saturating_sub(MAX_REASONS));
    }
}
