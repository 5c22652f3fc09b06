//! The verdict, as a table in Markdown.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    checker::{Finding, Kind},
    faults::{Recovery, Toll},
    ledger::{Act, Entry, Misuse},
};

/// So many findings of a kind are printed with their evidence.
const EVIDENCE: usize = 25;

type Row = (&'static str, fn(&Entry) -> bool);

/// The contract: which case gets which answer.
const CONTRACT: [Row; 20] = [
    ("malformed approval ID: 404", |e| got(e, Misuse::Malformed, 404)),
    ("forged approval ID: 404", |e| got(e, Misuse::Forged, 404)),
    ("genuine, but gone, opened: 410", |e| got(e, Misuse::Unknown, 410)),
    ("genuine, but gone, pressed: 410", |e| got(e, Misuse::UnknownPress, 410)),
    ("first decision: 200, recorded", |e| pressed(e, 200, "recorded")),
    ("same verdict again: 200, already recorded", |e| pressed(e, 200, "already_recorded")),
    ("other verdict: 409", |e| pressed(e, 409, "other_verdict")),
    ("somebody else was first: 409", |e| pressed(e, 409, "too_late")),
    ("expired: 410", |e| pressed(e, 410, "expired")),
    ("withdrawn: 410", |e| pressed(e, 410, "withdrawn")),
    ("verdict missing: 422", |e| got(e, Misuse::NoVerdict, 422)),
    ("verdict unknown: 422", |e| got(e, Misuse::UnknownVerdict, 422)),
    ("comment too long: 422", |e| got(e, Misuse::LongComment, 422)),
    ("body over the limit: 413", |e| got(e, Misuse::LargeBody, 413)),
    ("no worker, opened: 200, the document from history", |e| {
        (e.act, e.status, &*e.answer) == (Act::Look, 200, "unattended")
    }),
    ("no worker, pressed: 202, takes effect later", |e| pressed(e, 202, "accepted")),
    ("Temporal does not answer, opened: 503", |e| (e.act, e.status) == (Act::Look, 503)),
    ("Temporal does not answer, pressed: 503, nothing was recorded", |e| {
        pressed(e, 503, "nothing_recorded")
    }),
    ("Temporal does not answer, pressed: 503, unknown", |e| pressed(e, 503, "unknown")),
    ("too many requests: 429", |e| got(e, Misuse::Flood, 429)),
];

fn got(entry: &Entry, how: Misuse, status: u16) -> bool {
    entry.act == Act::Misuse(how) && entry.status == status
}

fn pressed(entry: &Entry, status: u16, answer: &str) -> bool {
    entry.act == Act::Press && entry.status == status && entry.answer == answer
}

/// How often each row of the contract was seen.
pub(crate) fn contract<'a>(
    entries: impl Iterator<Item = &'a Entry> + Clone,
) -> impl Iterator<Item = (&'static str, usize)> {
    CONTRACT.iter().map(move |(row, is_it)| (*row, entries.clone().filter(|e| is_it(e)).count()))
}

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
    /// What this system does not allow to be tried.
    pub(crate) untried: Vec<&'static str>,
}

impl Report<'_> {
    /// Prints it, with every finding.
    pub(crate) fn print(&self) {
        println!("`{}`, {:.0} s\n", self.command, self.took.as_secs_f64());
        println!("| what | |\n| --- | ---: |");
        for (name, count) in &self.counts {
            println!("| {name} | {count} |");
        }
        let kills = &self.toll.kills;
        let kinds: Vec<_> = kills.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        println!("| processes killed | {}: {} |", kills.values().sum::<usize>(), kinds.join(", "));
        for kind in Kind::ALL {
            let count = self.findings.iter().filter(|finding| finding.kind == kind).count();
            println!("| **{}** | **{count}** |", kind.name());
        }
        println!("\n| fault | times |\n| --- | ---: |");
        for (fault, times) in &self.toll.faults {
            println!("| {fault} | {times} |");
        }
        for what in &self.untried {
            println!("\nNot tried: {what}.");
        }
        println!("\n| from a kill until | times | median | 99th percentile | maximum |");
        println!("| --- | ---: | ---: | ---: | ---: |");
        self.recovery("a new submission's mail", |recovery| recovery.asked);
        self.recovery("an open approval's decision and outcome", |recovery| recovery.decided);
        println!("\n| slowest recoveries | new | open | where |\n| --- | ---: | ---: | --- |");
        for (Recovery { fault, asked, decided, .. }, pause) in &self.slow {
            let [asked, decided] = [*asked, *decided].map(seconds);
            println!("| {fault} | {asked} | {decided} | {pause} |");
        }
        println!("\n| the contract's answers | times |\n| --- | ---: |");
        for (row, times) in contract(self.entries.iter().copied()) {
            println!("| {row} | {times} |");
        }
        println!("\n| every answer | HTTP status | times |\n| --- | ---: | ---: |");
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

    fn recovery(&self, what: &str, of: impl Fn(&Recovery) -> Option<Duration>) {
        let mut times: Vec<Duration> = self.toll.recoveries.iter().filter_map(of).collect();
        times.sort();
        let at = |share: usize| {
            let place = (times.len() * share).div_ceil(100).saturating_sub(1);
            seconds(times.get(place).copied())
        };
        println!("| {what} | {} | {} | {} | {} |", times.len(), at(50), at(99), at(100));
    }
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}
