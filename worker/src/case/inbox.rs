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
    while_issuing: Vec<Signal>,
    pub(super) ignored: u32,
    /// The latest, each with its signal's name.
    pub(super) reasons: VecDeque<String>,
}

impl Inbox {
    /// Gives the signal back if too many are held.
    pub(super) fn hold_until_open(&mut self, signal: Signal) -> Option<Signal> {
        if self.until_open.len() >= MAX_HELD {
            return Some(signal);
        }
        self.until_open.push(signal);
        None
    }

    pub(super) fn hold_while_issuing(&mut self, signal: Signal) {
        match self.while_issuing.len() < MAX_HELD {
            true => self.while_issuing.push(signal),
            false => self.ignore(signal.name(), "too many signals at once"),
        }
    }

    pub(super) fn drain_until_open(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.until_open)
    }

    pub(super) fn drain_while_issuing(&mut self) -> Vec<Signal> {
        std::mem::take(&mut self.while_issuing)
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
