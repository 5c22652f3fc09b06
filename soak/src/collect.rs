//! Collects what a run leaves behind, and everything that is wrong with it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use countersign_e2e::Receiver;
use prost::Message;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use tokio::time::sleep;

use crate::{
    checker::{self, Finding, Kind},
    control::Loss,
    history::{self, Event},
    ledger::{Act, Entry},
    receiver::{self, Taken},
    report,
    secret_scan::Secrets,
    submission::Submission,
    temporal::TemporalClient,
    users::World,
};

/// What a run leaves behind.
pub(crate) struct Collection {
    /// What must not happen, and did.
    pub(crate) findings: Vec<Finding>,
    submissions: Vec<Arc<Submission>>,
    histories: BTreeMap<String, Vec<Event>>,
    answers: BTreeMap<String, Vec<Entry>>,
    taken: BTreeMap<String, Vec<Taken>>,
    /// By address: the Message-IDs of notices.
    notified: HashMap<String, BTreeSet<String>>,
    /// How many mails came, came again, and were refused.
    mails: [usize; 3],
    secrets: Secrets,
}

impl Collection {
    /// Reads every workflow's history, once it has ended or `patience` is over, and everything that
    /// users, mail servers and the webhook's receiver got.
    pub(crate) async fn collect(
        world: &World,
        receiver: &Receiver,
        submissions: Vec<Arc<Submission>>,
        patience: Duration,
    ) -> Collection {
        let (mails, temporal) = (&world.cluster.mails, &world.cluster.client);
        let mailed = mails.ids();
        let unmailed = world.unmailed.lock().clone();
        let secrets = Secrets::of(mailed.into_iter().chain(unmailed));
        let (mut histories, mut findings) = (BTreeMap::new(), Vec::new());
        let until = Instant::now() + patience;
        for Submission { workflow, .. } in submissions.iter().map(Arc::as_ref) {
            if let Some((history, events)) = read(workflow, temporal, until).await {
                findings.extend(wrong_by_itself(workflow, history, &secrets).await);
                histories.insert(workflow.clone(), events);
            }
        }
        let mut taken: BTreeMap<String, Vec<Taken>> = BTreeMap::new();
        for each in receiver::taken(receiver) {
            taken.entry(each.workflow.clone()).or_default().push(each);
        }
        let (notified, mails) =
            mails.read(|found| (found.notified.clone(), [found.mails, found.again, found.refused]));
        let answers = world.ledger.by_workflow();
        Collection { findings, submissions, histories, answers, taken, notified, mails, secrets }
    }

    /// Checks every answer against the histories, and in a `complete` run also that there was each
    /// answer of the contract.
    pub(crate) fn check(&mut self, complete: bool) {
        let Collection { findings, submissions, histories, answers, taken, notified, .. } = self;
        for submission in submissions {
            let id = &submission.workflow;
            let events = histories.get(id).map_or(&[][..], Vec::as_slice);
            let answers = answers.get(id).map_or(&[][..], Vec::as_slice);
            let taken = taken.get(id).map_or(&[][..], Vec::as_slice);
            let notices = notified.get(&submission.submitter());
            findings.extend(checker::check(submission, events, answers, taken, notices));
        }
        findings.extend(answers.values().flat_map(|answers| checker::misused(answers)));
        let unseen = report::contract(answers.values().flatten()).filter(|(_, times)| *times == 0);
        if complete {
            findings.extend(unseen.map(|(row, _)| Finding::of_all(Kind::Unseen, row.to_owned())));
        }
    }

    /// Looks for approval IDs in files.
    pub(crate) fn search(&mut self, files: Vec<PathBuf>) -> Result<()> {
        for path in files {
            let found = self.secrets.count_in_file(&path);
            let found = found.with_context(|| path.display().to_string())?;
            if found > 0 {
                let why = format!("{found} in {:?}", path.file_name());
                self.findings.push(Finding::of_all(Kind::Leak, why));
            }
        }
        Ok(())
    }

    /// Writes the histories of all findings to a directory.
    pub(crate) async fn keep_histories(&self, temporal: &TemporalClient, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to)?;
        for Finding { workflow, .. } in &self.findings {
            if let Ok(history) = temporal.history(workflow).await {
                std::fs::write(to.join(format!("{workflow}.history")), history::outline(&history))?;
            }
        }
        Ok(())
    }

    /// Every answer that users got.
    pub(crate) fn answers(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.answers.values().flatten()
    }

    /// The losses that the control has caused after it had acknowledged the decision, each with
    /// whether the checker has found it.
    pub(crate) fn noticed(&self, lost: HashMap<String, Loss>) -> Vec<(Loss, bool)> {
        let recorded = |link: &str| {
            self.answers().any(|entry| {
                entry.act == Act::Press && entry.key == link && entry.answer == "recorded"
            })
        };
        let found = |link: &str| {
            self.findings.iter().any(|finding| finding.kind == Kind::Lost && finding.key == link)
        };
        let acknowledged = lost.into_iter().filter(|(link, _)| recorded(link));
        acknowledged.map(|(link, loss)| (loss, found(&link))).collect()
    }

    /// Names and numbers, in the report's order.
    pub(crate) fn counts(&self) -> Vec<(&'static str, String)> {
        let events = |is_it: fn(&Event) -> bool| {
            self.histories.values().flatten().filter(|event| is_it(event)).count().to_string()
        };
        let nonsense =
            |entry: &&Entry| entry.act == Act::Nonsense && entry.answer == "acknowledged";
        let [mails, again, refused] = self.mails;
        let outcomes = self.taken.len();
        let repeated = self.taken.values().flatten().count() - outcomes;
        vec![
            ("approvals started", self.submissions.len().to_string()),
            ("of these malformed, and failed so", events(|e| matches!(e, Event::Failed(_)))),
            ("signals in histories", events(|e| matches!(e, Event::Signal { .. }))),
            ("of these delegations", events(is_delegation)),
            ("sent back and revised", events(|e| *e == Event::Revised)),
            ("malformed signals acknowledged", self.answers().filter(nonsense).count().to_string()),
            ("answers in the ledger", self.answers().count().to_string()),
            ("outcomes that the webhook took", outcomes.to_string()),
            ("delivered once more, with the same key and outcome", share(repeated, outcomes)),
            ("mails", mails.to_string()),
            ("came once more", share(again, mails)),
            ("attempts at mails that were not the first", events(|e| *e == Event::MailedAgain)),
            ("mails refused for good, and decided by an operator instead", refused.to_string()),
        ]
    }
}

/// One workflow's history, once it has ended or there is no more patience.
async fn read(
    workflow: &str,
    temporal: &TemporalClient,
    until: Instant,
) -> Option<(Vec<HistoryEvent>, Vec<Event>)> {
    loop {
        let patient = Instant::now() < until;
        match temporal.history(workflow).await {
            Ok(history) => {
                let events = history::read(&history);
                if history::has_ended(&events) || !patient {
                    return Some((history, events));
                }
            }
            Err(_) if patient => {}
            Err(error) => {
                eprintln!("{workflow} cannot be read: {error}");
                return None;
            }
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// What is wrong with a history by itself.
async fn wrong_by_itself(
    workflow: &str,
    history: Vec<HistoryEvent>,
    secrets: &Secrets,
) -> Vec<Finding> {
    let leaks = history.iter().map(|event| secrets.count_in(&event.encode_to_vec()));
    let leaks: usize = leaks.sum();
    let leaked = (leaks > 0).then(|| (Kind::Leak, format!("{leaks} in its history")));
    let replayed = countersign_e2e::replay(history).await;
    let unrepeatable = replayed.err().map(|why| (Kind::Unrepeatable, why));
    let found = leaked.into_iter().chain(unrepeatable);
    found.map(|(kind, why)| Finding::about(workflow, kind, why)).collect()
}

fn is_delegation(event: &Event) -> bool {
    matches!(event, Event::Signal { name, .. } if name == "reassign")
}

fn share(part: usize, whole: usize) -> String {
    format!("{part} ({:.2}%)", 100.0 * part as f64 / whole.max(1) as f64)
}
