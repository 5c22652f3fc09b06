//! One open workflow of ours, as Temporal describes it, and the state that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use countersign_protos::{text::clean_line, v1};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Area, readable};

/// A deadline that has just passed is not overdue: its timer may be firing. The metrics use it, too.
pub const LATE: SignedDuration = SignedDuration::from_mins(1);
/// Temporal itself tries a workflow task again after ten seconds.
const TAKEN_WITHIN: SignedDuration = SignedDuration::from_secs(30);
/// From this attempt on, a workflow task fails again and again.
const FAILS: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Approval,
    /// Goes on with the notices of an approval that has closed.
    Notices,
}

/// An open workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    pub workflow_id: String,
    pub kind: Kind,
    pub task_queue: String,
    pub started: Timestamp,
    /// By its search attribute: the name of a status; empty before its first task.
    pub status: String,
    /// By its search attribute: who is still asked.
    pub reviewers: Vec<String>,
    /// By its search attribute: the next deadline.
    pub deadline: Option<Timestamp>,
    /// By its search attribute.
    pub undeliverable: bool,
    pub task: Option<Task>,
    pub activities: Vec<Activity>,
    /// What was refused for good and has not been done since, if its history was read. `since` is when it was refused.
    pub refused: Vec<Activity>,
    /// The names of signals that are recorded and that no worker has taken yet, and when each was sent, if its history
    /// was read.
    pub signals: Vec<(String, Timestamp)>,
    /// Of the submission, if it was asked for.
    pub title: Option<String>,
}

/// The workflow task that waits for a worker or is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// When it was scheduled first: for a long one, when the work began that is still under way; for one that fails,
    /// when it first failed, as far as that is known.
    pub since: Timestamp,
    pub attempt: u32,
    /// Whether a worker has taken it.
    pub is_running: bool,
    /// How it has failed; its kind is a cause such as `NON_DETERMINISTIC_ERROR`.
    pub failure: Option<Failure>,
}

/// An activity that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its type, such as `request_approval`.
    pub kind: String,
    pub id: String,
    /// What it does, as the Web UI says it. Names people.
    pub summary: String,
    pub attempt: u32,
    /// When it was scheduled for the first time; the attempt's own time, where that is not known.
    pub since: Timestamp,
    /// Of the attempt before this one.
    pub failure: Option<Failure>,
    pub paused: bool,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its type, such as `MailUnavailable`; empty if it has none.
    pub kind: String,
    pub message: String,
}

impl Failure {
    /// What it says on one line: others write parts of it.
    pub fn text(&self) -> String {
        match readable(&self.message) {
            message if message.is_empty() => clean_line(&self.kind),
            message => message,
        }
    }

    /// The same without addresses, which mail servers and Amazon quote.
    pub(super) fn text_without_people(&self) -> String {
        let text = self.text();
        let words = text.split(' ').map(|word| if word.contains('@') { "somebody" } else { word });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Its type and what it says.
    pub(super) fn both(&self) -> String {
        readable(&format!("{} {}", self.kind, self.message))
    }
}

/// What is to be said first of an open workflow; the worst one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An attempt has failed and is made again, or no worker makes any.
    Failing,
    /// Its deadline has passed, and nothing has happened.
    Overdue,
    /// Mail to somebody was refused for good.
    Undeliverable,
    /// It is decided, and waits for the webhook or the follow-up workflow.
    WebhookPending,
    /// It is decided, and notices are on their way.
    Notices,
    /// A reviewer has asked for changes, which wait for the submitter.
    ChangesRequested,
    /// It waits for reviewers.
    Waiting,
}

impl State {
    /// All of them, the worst one first.
    pub const ALL: [State; 7] = [
        State::Failing,
        State::Overdue,
        State::Undeliverable,
        State::WebhookPending,
        State::Notices,
        State::ChangesRequested,
        State::Waiting,
    ];

    pub fn name(self) -> &'static str {
        match self {
            State::Failing => "failing",
            State::Overdue => "overdue",
            State::Undeliverable => "undeliverable",
            State::WebhookPending => "webhook pending",
            State::Notices => "notices pending",
            State::ChangesRequested => "changes requested",
            State::Waiting => "waiting",
        }
    }
}

impl Approval {
    /// Its state, and since when it is so, as far as that is known.
    pub fn state(&self, now: Timestamp) -> (State, Option<Timestamp>) {
        let handing_over = self.activities.iter().filter(|activity| activity.hands_over());
        let failing = self.failing().filter(|activity| !activity.hands_over());
        if let Some(since) = failing.map(|activity| activity.since).min() {
            return (State::Failing, Some(since));
        }
        if let Some(task) = self.task.as_ref().filter(|task| task.is_stuck(now)) {
            return (State::Failing, Some(task.since));
        }
        if let Some(deadline) = self.missed_deadline(now) {
            return (State::Overdue, Some(deadline));
        }
        if let Some(since) = handing_over.map(|activity| activity.since).min() {
            return (State::WebhookPending, Some(since));
        }
        match (self.undeliverable, self.kind, self.is_decided()) {
            (true, ..) => {
                (State::Undeliverable, self.refused.iter().map(|refused| refused.since).min())
            }
            (false, Kind::Approval, false) if self.waits_for_submitter() => {
                (State::ChangesRequested, None)
            }
            (false, Kind::Approval, false) => (State::Waiting, Some(self.started)),
            _ => (State::Notices, self.activities.iter().map(|activity| activity.since).min()),
        }
    }

    /// The activities whose last attempt has failed.
    pub fn failing(&self) -> impl Iterator<Item = &Activity> {
        self.activities.iter().filter(|activity| activity.failure.is_some())
    }

    /// What it waits for or fails for, each thing on one line. With `people`, summaries name them.
    pub fn causes(&self, now: Timestamp, people: bool) -> Vec<String> {
        let task = self.task.as_ref().filter(|task| task.is_stuck(now)).map(|task| {
            // Its message may be about people.
            let cause = task.failure.as_ref().map(|failure| format!(": {}", failure.kind));
            format!("{}{}", task.text(), cause.unwrap_or_default())
        });
        let mut failing = BTreeMap::<String, Vec<u32>>::new();
        for activity in self.failing() {
            failing.entry(activity.fails(people)).or_default().push(activity.failed_attempts());
        }
        let failing = failing.into_iter().map(|(what, attempts)| {
            let most = super::counted(
                attempts.iter().copied().max().unwrap_or_default() as usize,
                "failed attempt",
            );
            match attempts.len() {
                1 => format!("{what} ({most})"),
                count => format!("{what} ({count} of these, up to {most})"),
            }
        });
        let refused = self.refused.iter().filter(|_| self.undeliverable);
        let refused: BTreeSet<String> = refused
            .map(|refused| format!("{} (refused for good)", refused.fails(people)))
            .collect();
        task.into_iter().chain(failing).chain(refused).collect()
    }

    fn is_decided(&self) -> bool {
        !matches!(self.status.as_str(), "" | "PENDING") && !self.waits_for_submitter()
    }

    fn waits_for_submitter(&self) -> bool {
        self.status == v1::Status::ChangesRequested.as_str_name()
    }

    /// Its deadline, if it should have taken effect by now.
    pub fn missed_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let is_late = |deadline: &Timestamp| now.duration_since(*deadline) >= LATE;
        self.deadline.filter(is_late).filter(|_| !self.is_decided())
    }
}

impl Task {
    /// Whether it does not come to an end by itself.
    pub fn is_stuck(&self, now: Timestamp) -> bool {
        self.attempt >= FAILS || now.duration_since(self.since) >= TAKEN_WITHIN
    }

    /// Whether attempts of it have failed.
    pub fn has_failed(&self) -> bool {
        self.attempt > 1
    }

    pub(super) fn text(&self) -> String {
        match self {
            Task { attempt, failure, .. } if *attempt >= FAILS || failure.is_some() => {
                format!("its workflow task fails (attempt {attempt})")
            }
            Task { is_running: true, .. } => "its workflow task does not end".to_owned(),
            Task { .. } => "no worker takes its workflow task".to_owned(),
        }
    }
}

impl Activity {
    /// Whether it hands an outcome over to what acts on it.
    fn hands_over(&self) -> bool {
        self.area() != Area::Mail
    }

    pub(super) fn area(&self) -> Area {
        Area::of_activity(&self.kind)
    }

    /// What it does, without naming anybody.
    fn name(&self) -> &str {
        match self.kind.as_str() {
            "request_approval" => "the request",
            "announce_decision" => "a notice",
            "process_decision" => "the webhook",
            "start_workflow" => "the follow-up workflow",
            other => other,
        }
    }

    /// What it does, and why that has failed.
    fn fails(&self, people: bool) -> String {
        let what = match (people, self.summary.as_str()) {
            (true, summary) if !summary.is_empty() => clean_line(summary),
            _ => self.name().to_owned(),
        };
        match &self.failure {
            Some(failure) if people => format!("{what}: {}", failure.text()),
            Some(failure) => format!("{what}: {}", failure.text_without_people()),
            None => what,
        }
    }

    fn failed_attempts(&self) -> u32 {
        self.attempt.saturating_sub(1).max(1)
    }

    pub(super) fn text(&self) -> String {
        let failed = super::counted(self.failed_attempts() as usize, "failed attempt");
        match &self.failure {
            Some(_) => format!("{} ({failed})", self.fails(true)),
            None => format!("{}: under way", self.fails(true)),
        }
    }
}
