//! The result of a run: a summary in a few lines, and tables in Markdown.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    checker::{Finding, Kind},
    control::Loss,
    faults::{FaultLog, Recovery},
    ledger::{Act, Entry, Misuse},
};

/// How many findings of a kind are printed with their evidence.
const EVIDENCE: usize = 25;

type Row = (&'static str, fn(&Entry) -> bool);

/// The answers of the contract, each of which a long run has to get.
const CONTRACT: [Row; 23] = [
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
    ("delegated: 200", |e| delegated(e, 200, "delegated")),
    ("delegated to whom the rule does not allow, or who is asked: 422", |e| {
        delegated(e, 422, "invalid")
    }),
    ("pressed by who has delegated: 410, superseded", |e| pressed(e, 410, "superseded")),
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

fn delegated(entry: &Entry, status: u16, answer: &str) -> bool {
    entry.act == Act::Delegate && entry.status == status && entry.answer == answer
}

/// How often there was each answer of the contract.
pub(crate) fn contract<'a>(
    entries: impl Iterator<Item = &'a Entry> + Clone,
) -> impl Iterator<Item = (&'static str, usize)> {
    CONTRACT.iter().map(move |(row, is_it)| (*row, entries.clone().filter(|e| is_it(e)).count()))
}

/// The result of a run.
pub(crate) struct Report<'a> {
    /// The command that repeats it.
    pub(crate) command: String,
    /// How long it took.
    pub(crate) took: Duration,
    /// The faults that were injected.
    pub(crate) faults: &'a FaultLog,
    /// Every answer that users got.
    pub(crate) entries: Vec<&'a Entry>,
    /// What must not happen, and did.
    pub(crate) findings: &'a [Finding],
    /// Names and numbers, in order.
    pub(crate) counts: Vec<(&'static str, String)>,
    /// The slowest recoveries, each with the longest pause in its probe's history.
    pub(crate) slow: Vec<(Recovery, String)>,
    /// The faults that this machine does not allow.
    pub(crate) untried: Vec<&'static str>,
}

impl Report<'_> {
    /// All tables and findings, in Markdown.
    pub(crate) fn details(&self) -> String {
        let mut text = format!("`{}`, {:.0} s\n", self.command, self.took.as_secs_f64());
        let mut counts: Vec<_> =
            self.counts.iter().map(|(name, count)| format!("{name} | {count}")).collect();
        let kills = &self.faults.kills;
        let kinds: Vec<_> = kills.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        let killed = kills.values().sum::<usize>();
        counts.push(format!("processes killed | {killed}: {}", kinds.join(", ")));
        counts.extend(
            Kind::ALL.map(|kind| format!("**{}** | **{}**", kind.name(), self.count(kind))),
        );
        table(&mut text, "what | |", counts);
        let faults = self.faults.faults.iter().map(|(fault, times)| format!("{fault} | {times}"));
        table(&mut text, "fault | times |", faults);
        for what in &self.untried {
            text += &format!("\nNot tried: {what}.\n");
        }
        let recoveries = [
            self.recovery("a new submission's mail", |recovery| recovery.asked),
            self.recovery("that, workers alone killed", |recovery| {
                recovery.asked.filter(|_| recovery.is_of_workers())
            }),
            self.recovery("an open approval's decision and outcome", |recovery| recovery.decided),
            self.recovery("that, workers alone killed", |recovery| {
                recovery.decided.filter(|_| recovery.is_of_workers())
            }),
        ];
        table(
            &mut text,
            "from a kill until | times | median | 99th percentile | maximum |",
            recoveries,
        );
        let slow = self.slow.iter().map(|(Recovery { fault, asked, decided, .. }, pause)| {
            format!("{fault} | {} | {} | {pause}", seconds(*asked), seconds(*decided))
        });
        table(&mut text, "slowest recoveries | new | open | where |", slow);
        let contract = contract(self.entries.iter().copied());
        let contract = contract.map(|(row, times)| format!("{row} | {times}"));
        table(&mut text, "the contract's answers | times |", contract);
        let mut answers = BTreeMap::new();
        for entry in &self.entries {
            *answers.entry((entry.act, entry.status, &entry.answer)).or_insert(0) += 1;
        }
        let answers = answers.into_iter().map(|((act, status, answer), times)| {
            format!("{act:?}: {answer} | {status} | {times}")
        });
        table(&mut text, "every answer | HTTP status | times |", answers);
        text + &self.listed_findings()
    }

    /// The findings, with their evidence.
    pub(crate) fn listed_findings(&self) -> String {
        let of_kind = |kind| self.findings.iter().filter(move |finding| finding.kind == kind);
        let first = Kind::ALL.into_iter().flat_map(|kind| of_kind(kind).take(EVIDENCE));
        let line = |Finding { kind, workflow, why, .. }: &Finding| {
            format!("\n- {}: {workflow}: {why}\n", kind.name())
        };
        first.map(line).collect()
    }

    /// The result in a few lines.
    pub(crate) fn summary(&self) -> String {
        let kills: usize = self.faults.kills.values().sum();
        let faults = self.faults.faults.values().filter(|times| **times > 0).count();
        format!(
            "{} approvals, {kills} kills, {faults} kinds of faults, {} answers checked against the \
             histories, {:.0} s.\nFound: {}.",
            self.counts.first().map_or("", |(_, count)| count),
            self.entries.len(),
            self.took.as_secs_f64(),
            self.found(|_| true),
        )
    }

    /// The result of the control in a few lines, and whether it is as expected: decisions were lost,
    /// and the checker has found each.
    pub(crate) fn summary_of_control(&self, losses: &[(Loss, bool)]) -> (String, bool) {
        let count = |of: Loss| losses.iter().filter(|(loss, _)| *loss == of).count();
        let missed = losses.iter().filter(|(_, found)| !found).count();
        let as_expected = !losses.is_empty() && missed == 0;
        let verdict = match (losses.len(), missed) {
            (0, _) => "NOT as expected: it had to lose some".to_owned(),
            (_, 0) => "The checker found each of them, as expected".to_owned(),
            _ => format!("NOT as expected: the checker missed {missed} of them"),
        };
        let text = format!(
            "The control, a signaler that is wrong on purpose, acknowledged and lost {} decisions: {} \
             when it was killed, {} when the approval had ended.\n{verdict}. It also found what \
             follows from such a signaler: {}.",
            losses.len(),
            count(Loss::Killed),
            count(Loss::TooLate),
            self.found(|kind| kind != Kind::Lost),
        );
        (text, as_expected)
    }

    /// How many findings there are of the wanted kinds, in words.
    fn found(&self, wanted: impl Fn(Kind) -> bool) -> String {
        let counts = Kind::ALL.into_iter().filter(|kind| wanted(*kind) && self.count(*kind) > 0);
        let counts: Vec<_> =
            counts.map(|kind| format!("{} {}", self.count(kind), kind.name())).collect();
        if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") }
    }

    fn count(&self, kind: Kind) -> usize {
        self.findings.iter().filter(|finding| finding.kind == kind).count()
    }

    fn recovery(&self, what: &str, of: impl Fn(&Recovery) -> Option<Duration>) -> String {
        let mut times: Vec<Duration> = self.faults.recoveries.iter().filter_map(of).collect();
        times.sort();
        let at = |share: usize| {
            let place = (times.len() * share).div_ceil(100).saturating_sub(1);
            seconds(times.get(place).copied())
        };
        format!("{what} | {} | {} | {} | {}", times.len(), at(50), at(99), at(100))
    }
}

/// Adds a table; its first column is on the left, the others are on the right.
fn table(text: &mut String, head: &str, rows: impl IntoIterator<Item = String>) {
    let columns = head.matches('|').count();
    *text += &format!("\n| {head}\n| --- |{}\n", " ---: |".repeat(columns - 1));
    text.extend(rows.into_iter().map(|row| format!("| {row} |\n")));
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}
