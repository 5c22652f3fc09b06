//! What a run leaves behind, and all that is wrong with it.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use prost::Message;
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;
use tokio::time::sleep;

use crate::{
    checker::{self, Finding, Kind},
    control,
    leaks::Secrets,
    ledger::{Act, Entry},
    people::{Case, World},
    receiver::{Receiver, Taken},
    report,
    story::{self, Event},
    temporal::Direct,
};

/// See the module.
pub(crate) struct Evidence {
    /// What must not be.
    pub(crate) findings: Vec<Finding>,
    cases: Vec<Arc<Case>>,
    stories: BTreeMap<String, Vec<Event>>,
    answers: BTreeMap<String, Vec<Entry>>,
    taken: BTreeMap<String, Vec<Taken>>,
    told: HashSet<String>,
    /// How many came, came again, and were refused.
    mails: [usize; 3],
    secrets: Secrets,
}

impl Evidence {
    /// Reads every workflow's history, once it is over or there is no more patience, and all that
    /// people, mail servers and the receiver of webhooks got.
    pub(crate) async fn gather(
        world: &World,
        receiver: &Receiver,
        cases: Vec<Arc<Case>>,
        patience: Duration,
    ) -> Evidence {
        let (mails, temporal) = (&world.installation.mails, &world.installation.direct);
        let mailed: Vec<String> = mails
            .look(|found| found.links.values().flatten().map(|link| link.id.clone()).collect());
        let unmailed = world.unmailed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let secrets = Secrets::of(mailed.into_iter().chain(unmailed));
        let (mut stories, mut findings) = (BTreeMap::new(), Vec::new());
        let until = Instant::now() + patience;
        for Case { workflow, .. } in cases.iter().map(Arc::as_ref) {
            if let Some((history, story)) = read(workflow, temporal, until).await {
                findings.extend(wrong_by_itself(workflow, history, &secrets).await);
                stories.insert(workflow.clone(), story);
            }
        }
        let mut taken: BTreeMap<String, Vec<Taken>> = BTreeMap::new();
        for each in receiver.taken() {
            taken.entry(each.workflow.clone()).or_default().push(each);
        }
        let (told, mails) =
            mails.look(|found| (found.told.clone(), [found.mails, found.again, found.refused]));
        let answers = world.ledger.by_workflow();
        Evidence { findings, cases, stories, answers, taken, told, mails, secrets }
    }

    /// Holds what everybody was told against what the histories say. Whether it was `complete`: a
    /// brief run may not come by every row of the contract.
    pub(crate) fn judge(&mut self, complete: bool) {
        let Evidence { findings, cases, stories, answers, taken, told, .. } = self;
        for case in cases {
            let id = &case.workflow;
            let story = stories.get(id).map_or(&[][..], Vec::as_slice);
            let answers = answers.get(id).map_or(&[][..], Vec::as_slice);
            let taken = taken.get(id).map_or(&[][..], Vec::as_slice);
            let is_told = told.contains(&case.submitter());
            findings.extend(checker::check(case, story, answers, taken, is_told));
        }
        findings.extend(answers.values().flat_map(|answers| checker::misused(answers)));
        let unseen = report::contract(answers.values().flatten()).filter(|(_, times)| *times == 0);
        if complete {
            findings.extend(unseen.map(|(row, _)| Finding::of_all(Kind::Unseen, row.to_owned())));
        }
    }

    /// Looks for approval IDs where none may be.
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

    /// Writes down the histories of what was found.
    pub(crate) async fn keep_histories(&self, temporal: &Direct, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to)?;
        for Finding { workflow, .. } in &self.findings {
            if let Ok(history) = temporal.history(workflow).await {
                std::fs::write(to.join(format!("{workflow}.history")), story::outline(&history))?;
            }
        }
        Ok(())
    }

    /// Every answer that anybody got.
    pub(crate) fn answers(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.answers.values().flatten()
    }

    /// What can be counted: names and numbers, in the report's order.
    pub(crate) fn counts(&self, control: Option<&control::Known>) -> Vec<(&'static str, String)> {
        let events = |is_it: fn(&Event) -> bool| {
            self.stories.values().flatten().filter(|event| is_it(event)).count().to_string()
        };
        let nonsense =
            |entry: &&Entry| entry.act == Act::Nonsense && entry.answer == "acknowledged";
        let [mails, again, refused] = self.mails;
        let handed_on = self.taken.len();
        let repeated = self.taken.values().flatten().count() - handed_on;
        let mut counts = vec![
            ("approvals started", self.cases.len().to_string()),
            ("of these malformed, and failed so", events(|e| matches!(e, Event::Failed(_)))),
            ("signals in histories", events(|e| matches!(e, Event::Signal { .. }))),
            ("malformed signals acknowledged", self.answers().filter(nonsense).count().to_string()),
            ("answers in the ledger", self.answers().count().to_string()),
            ("outcomes handed on", handed_on.to_string()),
            ("delivered once more, with the same key and outcome", share(repeated, handed_on)),
            ("mails", mails.to_string()),
            ("came once more", share(again, mails)),
            ("attempts at mails that were not the first", events(|e| *e == Event::MailedAgain)),
            ("mails refused for good, and decided by an operator instead", refused.to_string()),
        ];
        if let Some(control) = control {
            let lost = self.findings.iter().filter(|finding| finding.kind == Kind::Lost);
            let killed = lost.filter(|finding| control.was_killed(&finding.key)).count();
            counts.push(("of the lost decisions, lost by a kill", killed.to_string()));
        }
        counts
    }
}

/// One workflow's history, once it is over or there is no more patience.
async fn read(
    workflow: &str,
    temporal: &Direct,
    until: Instant,
) -> Option<(Vec<HistoryEvent>, Vec<Event>)> {
    loop {
        let patient = Instant::now() < until;
        match temporal.history(workflow).await {
            Ok(history) => {
                let story = story::story(&history);
                if story::is_over(&story) || !patient {
                    return Some((history, story));
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

/// What is wrong with a history, whatever anybody was told.
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

fn share(part: usize, whole: usize) -> String {
    format!("{part} ({:.2}%)", 100.0 * part as f64 / whole.max(1) as f64)
}
