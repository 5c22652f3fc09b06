//! The end of a run with an adversary: what everybody was told is collected, judged and reported.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
};

use countersign_e2e::{Marker, Receiver, text};
use countersign_protos::{LinkKeys, Sealing, names};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;

use crate::{
    adversary::{Account, MARK, Submissions},
    cluster::SECRET,
    history::{self, Event},
    judge::{Approval, Evidence, Facts, Finding, Kind, OperatorAct, Press, judge},
    ledger::Act,
    temporal::TemporalClient,
    users::World,
};

/// How many histories are read at once.
const READ_AT_ONCE: usize = 8;
/// How many findings of a kind are printed.
const PRINTED: usize = 10;

/// A run that is over.
pub(crate) struct Attacked {
    facts: Facts,
    evidence: Evidence,
    findings: Vec<Finding>,
}

impl Attacked {
    /// Collects everything, and judges it.
    pub(crate) async fn judge(
        world: &World,
        receiver: &Receiver,
        submissions: &Submissions,
        account: &Account,
    ) -> Attacked {
        let mut facts = Facts {
            keys: world.cluster.keys.clone(),
            secret: SECRET.to_owned(),
            approvals: started(world, submissions),
            presses: Vec::new(),
            acts: account.acts(),
            made_up: account.made_up(),
            signals: HashSet::new(),
            late: account.hurried(),
            refused: HashSet::new(),
        };
        facts.approvals.extend(account.approvals());
        // Before the histories: what is told while these are read may follow from what is not read of them.
        let mut evidence = Evidence {
            deliveries: receiver.deliveries_so_far(),
            mails: world.cluster.mails.kept(),
            pages: world.ledger.pages(),
            ..Evidence::default()
        };
        // A call of SNS that publishes nothing is no mail.
        evidence.mails.retain(|mail| !mail.to.concat().is_empty());
        let client = &world.cluster.client;
        let reading = stream::iter(facts.approvals.clone()).map(|one| {
            let resets = account.runs(&one.workflow);
            read(client, one, resets)
        });
        let histories: Vec<_> = reading.buffer_unordered(READ_AT_ONCE).collect().await;
        for (approval, events) in histories {
            facts.signals.extend(decisions(&events));
            let of_workflow = |reviewer| (approval.workflow.clone(), reviewer);
            facts.refused.extend(history::refused(&events).into_iter().map(of_workflow));
            if history::is_late(&events) {
                facts.late.insert(approval.workflow.clone());
            }
            evidence.outcomes.extend(concluded(&facts.keys, &approval, &events));
            evidence.results.extend(results(&events));
        }
        // Last: whatever was told, somebody may have done by now.
        read_ledger(world, &mut facts);
        let findings = judge(&facts, &evidence);
        Attacked { facts, evidence, findings }
    }

    /// What the run was, in Markdown: its attacks, what was judged, and the findings.
    pub(crate) fn details(&self, account: &Account) -> String {
        let mut text = "\n| attack | tried | took effect |\n| --- | ---: | ---: |\n".to_owned();
        for (attack, (tried, effective)) in account.attacks() {
            let _ = writeln!(text, "| {} | {tried} | {effective} |", attack.name());
        }
        text += "\n| judged | times | unexplained |\n| --- | ---: | ---: |\n";
        for kind in Kind::ALL {
            let found = self.found(kind).count();
            let _ = writeln!(text, "| {} | {} | {found} |", kind.name(), self.judged(kind));
        }
        text + &self.listed_findings()
    }

    /// The findings, with their evidence.
    pub(crate) fn listed_findings(&self) -> String {
        let printed = Kind::ALL.into_iter().flat_map(|kind| self.found(kind).take(PRINTED));
        let line = |finding: &Finding| {
            let Finding { kind, position, why } = finding;
            format!("\n- {}: {why}\n  {}\n", kind.name(), self.shown(*kind, *position))
        };
        printed.map(line).collect()
    }

    /// The result in a few lines, and whether it is as expected: nothing is unexplained, and there were attacks of
    /// all kinds.
    pub(crate) fn summary(&self, account: &Account, is_full: bool) -> (String, bool) {
        let tried: usize = account.attacks().values().map(|(tried, _)| tried).sum();
        let judged = Kind::ALL.map(|kind| format!("{} {}", self.judged(kind), kind.name()));
        let unexplained =
            Kind::ALL.map(|kind| format!("{} {}", self.found(kind).count(), kind.name()));
        let mut text = format!(
            "{} approvals, {tried} attacks; judged {}.\nUnexplained: {}.",
            self.facts.approvals.len(),
            judged.join(", "),
            unexplained.join(", "),
        );
        let missing = account.missing(is_full);
        if !missing.is_empty() {
            let _ = write!(text, "\nNOT as expected: without effect: {}.", missing.join("; "));
        }
        (text, self.findings.is_empty() && missing.is_empty())
    }

    /// The result of the control in a few lines, and whether it is as expected: forgeries came through, and
    /// the judge has found each.
    pub(crate) fn summary_of_control(&self) -> (String, bool) {
        let found: HashSet<_> = self.findings.iter().map(|one| (one.kind, one.position)).collect();
        let (mut through, mut missed) = (HashMap::new(), Vec::new());
        for kind in Kind::ALL {
            for position in 0..self.judged(kind) {
                if self.shown(kind, position).contains(MARK) {
                    *through.entry(kind).or_insert(0) += 1;
                    if !found.contains(&(kind, position)) {
                        missed.push((kind, position));
                    }
                }
            }
        }
        let counts = Kind::ALL
            .map(|kind| format!("{} {}", through.get(&kind).copied().unwrap_or(0), kind.name()));
        let as_expected = !through.is_empty() && missed.is_empty();
        let verdict = match (through.is_empty(), missed.len()) {
            (true, _) => "NOT as expected: some had to come through".to_owned(),
            (_, 0) => "The judge found each of them, as expected.".to_owned(),
            (_, count) => format!("NOT as expected: the judge missed {count} of them."),
        };
        let mut text = format!(
            "The control, an adversary who has the link keys: its forgeries came through in {}.\n{verdict}",
            counts.join(", "),
        );
        for (kind, position) in missed.into_iter().take(PRINTED) {
            let _ = write!(text, "\n- missed: {}: {}", kind.name(), self.shown(kind, position));
        }
        (text, as_expected)
    }

    fn found(&self, kind: Kind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }

    fn judged(&self, kind: Kind) -> usize {
        match kind {
            Kind::Outcome => self.evidence.outcomes.len(),
            Kind::Result => self.evidence.results.len(),
            Kind::Webhook => self.evidence.deliveries.len(),
            Kind::Mail => self.evidence.mails.len(),
            Kind::Page => self.evidence.pages.len(),
        }
    }

    /// A piece of evidence, as text. A result that is not signed counts for nothing.
    fn shown(&self, kind: Kind, position: usize) -> String {
        match kind {
            Kind::Outcome => self.evidence.outcomes[position].to_string(),
            Kind::Result => match &self.evidence.results[position] {
                outcome if self.is_signed(outcome) => outcome.to_string(),
                _ => String::new(),
            },
            Kind::Webhook => {
                String::from_utf8_lossy(&self.evidence.deliveries[position].body).into_owned()
            }
            Kind::Mail => {
                let mail = &self.evidence.mails[position];
                format!("to {:?}: {}", mail.to, mail.text)
            }
            Kind::Page => {
                let page = &self.evidence.pages[position];
                format!("{:?}: {}", page.entry, page.body)
            }
        }
    }

    fn is_signed(&self, outcome: &Value) -> bool {
        self.facts.keys.jwks().verify(&text(&outcome["jws"])).is_ok()
    }
}

/// All runs of an approval: its first one and those of resets, with all that continue them, and the latest, which
/// may be the adversary's own under the same ID.
async fn read(
    client: &TemporalClient,
    approval: Approval,
    resets: Vec<String>,
) -> (Approval, Vec<HistoryEvent>) {
    let Approval { workflow, first_run_id, .. } = &approval;
    let mut events = Vec::new();
    let mut runs = Vec::new();
    for run in std::iter::once(first_run_id).chain(&resets) {
        runs.push(client.history_from(workflow, run).await);
    }
    runs.push(client.history(workflow).await);
    for run in runs {
        match run {
            Ok(run) => events.extend(run),
            Err(error) => eprintln!("{workflow} cannot be read: {error}"),
        }
    }
    (approval, events)
}

/// The approvals that users have started.
fn started(world: &World, submissions: &Submissions) -> Vec<Approval> {
    let first_runs = world.first_runs.lock();
    let submissions = submissions.lock();
    let valid = submissions.iter().filter(|submission| !submission.stages.is_empty());
    let started = valid.filter_map(|submission| {
        let first_run = first_runs.get(&submission.workflow)?;
        Some(Approval::new(submission, first_run.clone()))
    });
    started.collect()
}

/// Adds what users did.
fn read_ledger(world: &World, facts: &mut Facts) {
    for workflow in world.cancelled.lock().iter() {
        facts.acts.entry(workflow.clone()).or_default().push(OperatorAct::Withdraw);
    }
    for entry in world.ledger.sent() {
        let Some(approves) = entry.approves else { continue };
        match entry.act {
            Act::Press => facts.presses.push(Press {
                reviewer: entry.reviewer,
                link: entry.key,
                approves,
                at: entry.sent_at,
            }),
            Act::Signal => {
                let act = OperatorAct::Vote { of: entry.reviewer, approves };
                facts.acts.entry(entry.workflow).or_default().push(act);
            }
            _ => {}
        }
    }
}

/// The decisions by link that Temporal has.
fn decisions(events: &[HistoryEvent]) -> Vec<(String, bool)> {
    let decision = |event: Event| match event {
        Event::Signal { name, decision, .. } if !decision["link"].is_null() => {
            Some((text(&decision["link"]), name == names::SIGNAL_APPROVE))
        }
        _ => None,
    };
    history::read(events).into_iter().filter_map(decision).collect()
}

/// The results of a history.
fn results(events: &[HistoryEvent]) -> Vec<Value> {
    let result = |event| match event {
        Event::Completed(result) => Some(result),
        _ => None,
    };
    history::read(events).into_iter().filter_map(result).collect()
}

/// The outcomes in a history that are sealed.
fn concluded(keys: &LinkKeys, approval: &Approval, events: &[HistoryEvent]) -> Vec<Value> {
    let outcome = |marker: Marker| {
        let concluded = marker.result();
        let sealed = &concluded["outcome"];
        let (json, seal) = (text(&sealed["json"]), text(&sealed["seal"]));
        let mut outcome: Value = serde_json::from_str(&json).ok()?;
        outcome["jws"] = concluded["jws"].clone();
        let (chain, digest) = (approval.chain(), text(&outcome["digest"]));
        let seal = keys.unseal(&seal, Sealing::Outcome, chain, &digest, json.as_bytes());
        seal.is_ok().then_some(outcome)
    };
    let conclusions = Marker::all(events).filter(|marker| marker.is_of(names::ACTIVITY_CONCLUDE));
    conclusions.filter_map(outcome).collect()
}
