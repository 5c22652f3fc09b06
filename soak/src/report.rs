//! The verdict, as a table in Markdown.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    checker::{Finding, Kind},
    faults::{Recovery, Toll},
    ledger::Entry,
};

/// So many findings of a kind are printed with their evidence.
const EVIDENCE: usize = 25;

/// Everything that there is to say about a run.
pub(crate) struct Report<'a> {
    /// How to run it again.
    pub(crate) command: String,
    /// How long it took.
    pub(crate) took: Duration,
    /// What went wrong on purpose.
    pub(crate) toll: &'a Toll,
    /// What people were told.
    pub(crate) entries: Vec<&'a Entry>,
    /// What must not be.
    pub(crate) findings: &'a [Finding],
    /// What was counted: names and numbers, in order.
    pub(crate) counts: Vec<(&'static str, String)>,
    /// The slowest recoveries, and in which pause of the probe's history the time went.
    pub(crate) slow: Vec<(Recovery, String)>,
}

impl Report<'_> {
    /// Prints it, with every finding.
    pub(crate) fn print(&self) {
        println!("`{}`, {:.0} s\n", self.command, self.took.as_secs_f64());
        println!("| what | |\n| --- | ---: |");
        for (name, count) in &self.counts {
            println!("| {name} | {count} |");
        }
        println!("| processes killed | {} |", self.toll.kills);
        for kind in Kind::ALL {
            let count = self.findings.iter().filter(|finding| finding.kind == kind).count();
            println!("| **{}** | **{count}** |", kind.name());
        }
        println!("\n| fault | times |\n| --- | ---: |");
        for (fault, times) in &self.toll.faults {
            println!("| {fault} | {times} |");
        }
        println!("\n| from a kill until | median | 99th percentile | maximum |");
        println!("| --- | ---: | ---: | ---: |");
        self.recovery("a new submission's mail", |recovery| recovery.asked);
        self.recovery("an open approval's decision and outcome", |recovery| recovery.decided);
        println!("\n| slowest recoveries | new | open | where |\n| --- | ---: | ---: | --- |");
        for (Recovery { fault, asked, decided, .. }, pause) in &self.slow {
            println!("| {fault} | {asked:.1?} | {decided:.1?} | {pause} |");
        }
        println!("\n| answer | HTTP status | times |\n| --- | ---: | ---: |");
        let mut answers = BTreeMap::new();
        for entry in &self.entries {
            *answers.entry((entry.act, entry.status, &entry.answer)).or_insert(0) += 1;
        }
        for ((act, status, answer), times) in answers {
            println!("| {act:?}: {answer} | {status} | {times} |");
        }
        for kind in Kind::ALL {
            let all = self.findings.iter().filter(|finding| finding.kind == kind);
            for finding in all.take(EVIDENCE) {
                println!("\n- {}: {}: {}", kind.name(), finding.workflow, finding.why);
            }
        }
    }

    fn recovery(&self, what: &str, of: impl Fn(&Recovery) -> Duration) {
        let mut times: Vec<Duration> = self.toll.recoveries.iter().map(of).collect();
        times.sort();
        let seconds = |time: Option<&Duration>| {
            time.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
        };
        let at = |share: usize| times.get((times.len() * share).div_ceil(100).saturating_sub(1));
        println!(
            "| {what} | {} | {} | {} |",
            seconds(at(50)),
            seconds(at(99)),
            seconds(times.last())
        );
    }
}
