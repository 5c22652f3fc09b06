//! What is wrong with a set-up or with an approval, since when, and what to do: the words of `doctor`, `list`
//! and `explain`. What they say comes in as facts, which others get from Temporal.

mod approval;
mod causes;
mod explain;
mod identity;
mod list;
mod setup;

use std::{cmp::Reverse, fmt::Write};

use countersign_protos::text::clean;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use approval::{Activity, Approval, Failure, Kind, LATE, State, Task};
pub use causes::{Area, expired_at, readable, remedy};
pub use explain::{Case, End, Explanation, How, explain, not_found};
pub use identity::WorkerIdentity;
pub use list::{Counts, MAX_ROWS, Missing, Overview, Row};
pub use setup::{
    AttributeState, Call, Connected, Own, Permission, Poller, Queue, Refused, Server, Setup,
    Signaler, examine, server_time,
};

/// What was looked at, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `mail`.
    pub check: &'static str,
    pub level: Level,
    pub says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What to do about it; empty if there is nothing to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Good,
    /// It may be meant so.
    Note,
    Problem,
}

impl Finding {
    fn good(check: &'static str, says: impl Into<String>) -> Self {
        Finding { check, level: Level::Good, says: says.into(), since: None, remedy: String::new() }
    }

    fn note(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { level: Level::Note, remedy: remedy.into(), ..Self::good(check, says) }
    }

    fn problem(check: &'static str, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { level: Level::Problem, remedy: remedy.into(), ..Self::good(check, says) }
    }

    fn since(self, since: Option<Timestamp>) -> Self {
        Finding { since, ..self }
    }
}

/// Findings as JSON, and how many of them are problems.
pub fn as_json(findings: &[Finding]) -> serde_json::Value {
    serde_json::json!({"problems": problems(findings), "findings": findings})
}

/// Findings as text, one below the other: what is wrong, what to note, and what is well.
pub fn as_text(findings: &[Finding], now: Timestamp) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut text = String::new();
    let mut worst_first: Vec<&Finding> = findings.iter().collect();
    worst_first.sort_by_key(|finding| Reverse(finding.level));
    for Finding { check, level, says, since, remedy } in worst_first {
        let mark = match level {
            Level::Good => "ok     ",
            Level::Note => "note   ",
            Level::Problem => "PROBLEM",
        };
        let margin = " ".repeat(mark.len() + width + 3);
        let _ =
            writeln!(text, "{mark} {check:width$}  {}", says.replace('\n', &format!("\n{margin}")));
        let since = match since {
            Some(since) => format!("since {}\n", moment(*since, now)),
            None if *level == Level::Problem => "since when is not known\n".to_owned(),
            None => String::new(),
        };
        if !since.is_empty() {
            let _ = write!(text, "{margin}{since}");
        }
        if !remedy.is_empty() {
            let _ =
                writeln!(text, "{margin}To do: {}", remedy.replace('\n', &format!("\n{margin}")));
        }
    }
    let _ = write!(text, "\n{}", summary(findings));
    clean(&text)
}

/// Names the checks of problems, which may stand far above.
fn summary(findings: &[Finding]) -> String {
    let wrong = findings.iter().filter(|finding| finding.level == Level::Problem);
    let mut checks: Vec<String> = wrong.map(|finding| finding.check.to_owned()).collect();
    // Problems of one check stand together.
    checks.dedup();
    match problems(findings) {
        0 => "No problem was found.".to_owned(),
        count => format!("{}: {}.", counted(count, "problem"), listed(&checks)),
    }
}

/// How many of them are problems.
pub fn problems(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.level == Level::Problem).count()
}

/// A time to the second, and how long ago it was: `2026-12-01 09:12:05 UTC (3 h 5 min ago)`.
fn moment(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", utc(at), away(at, now))
}

/// Clocks that agree may differ by so much.
const HARDLY: SignedDuration = SignedDuration::from_secs(2);

/// How far a time is from now: `3 h 5 min ago`, `in 2 d` or `just now`.
fn away(at: Timestamp, now: Timestamp) -> String {
    match now.duration_since(at) {
        hardly if hardly.abs() < HARDLY => "just now".to_owned(),
        ago if ago.is_negative() => format!("in {}", span(-ago)),
        ago => format!("{} ago", span(ago)),
    }
}

fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A span of time by its two largest units, such as `3 h 5 min`.
fn span(span: SignedDuration) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = span.as_secs();
    let Some(first) = UNITS.iter().position(|(length, _)| seconds >= *length) else {
        return "0 s".to_owned();
    };
    let (length, unit) = UNITS[first];
    let larger = format!("{} {unit}", seconds / length);
    match UNITS.get(first + 1) {
        Some((smaller, unit)) if seconds % length >= *smaller => {
            format!("{larger} {} {unit}", seconds % length / smaller)
        }
        _ => larger,
    }
}

/// Things in a sentence: `a`, `a and b`, `a, b and c`.
fn listed(all: &[String]) -> String {
    match all {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A number of things: `1 worker`, `2 workers`.
fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests;
