//! What `list` shows: open approvals and what is wrong with them.

use std::{collections::BTreeMap, fmt::Write};

use countersign_protos::text::{clean, clean_line};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Activity, Approval, Area, Failure, Kind, State, causes::is_same_cause, listed, moment,
};

/// How many workflows are described at most. Temporal allows thousands a second, but people read fewer.
pub const MAX_ROWS: usize = 100;

/// How many there are, by the index; `None` where it could not be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub waiting: Option<u64>,
    pub overdue: Option<u64>,
    pub undeliverable: Option<u64>,
    /// Decided and still open.
    pub decided: Option<u64>,
    /// Workflows that go on with notices.
    pub notices: Option<u64>,
}

/// An open workflow in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub workflow_id: String,
    pub kind: Kind,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// What fails, each thing on one line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Only with details.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who is still asked; only with details.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
    #[serde(skip)]
    failures: Vec<Failing>,
    /// What was refused for good, and when.
    #[serde(skip)]
    refused: Vec<Failing>,
}

/// What fails, in which words, and since when.
type Failing = (Area, String, Timestamp);

/// Open approvals: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    pub counts: Counts,
    /// The worst ones first, and at most [`MAX_ROWS`].
    pub rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// Open workflows that belong into a list and could not be described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub count: usize,
    /// Why one of them could not.
    pub why: String,
}

impl Missing {
    pub(super) fn text(&self) -> String {
        format!("{} more could not be looked at: {}", self.count, clean_line(&self.why))
    }
}

impl Row {
    /// With `details`, it names the title and people.
    pub fn new(approval: &Approval, now: Timestamp, details: bool) -> Self {
        let (state, since) = approval.state(now);
        let failing = |activity: &Activity| {
            let failure = activity.failure.as_ref();
            let text = failure.map(Failure::text_without_people).unwrap_or_default();
            (activity.area(), text, activity.since)
        };
        let activities = approval.failing().map(failing);
        let refused = approval.refused.iter().filter(|_| approval.undeliverable);
        let task = approval.task.as_ref().filter(|task| task.is_stuck(now)).and_then(|task| {
            let text = format!("its workflow task fails: {}", task.failure.as_ref()?.kind);
            Some((Area::Task, text, task.since))
        });
        Row {
            workflow_id: approval.workflow_id.clone(),
            kind: approval.kind,
            state,
            since,
            deadline: approval.deadline,
            causes: approval.causes(now, details),
            title: approval.title.clone().filter(|_| details),
            reviewers: if details { approval.reviewers.clone() } else { Vec::new() },
            failures: activities.chain(task).collect(),
            refused: refused.map(failing).collect(),
        }
    }
}

/// Failures of the same cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) area: Area,
    pub(super) text: String,
    pub(super) count: usize,
    pub(super) since: Timestamp,
    /// One of them.
    pub(super) workflow_id: String,
}

impl Overview {
    /// Puts the worst rows first, each with those that began first.
    pub fn new(counts: Counts, mut rows: Vec<Row>) -> Self {
        rows.sort_by(|one, other| {
            (one.state, one.since, &one.workflow_id).cmp(&(
                other.state,
                other.since,
                &other.workflow_id,
            ))
        });
        Overview { counts, rows, missing: None }
    }

    /// What fails in these rows, by cause; the most frequent one first.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut groups = BTreeMap::<String, Group>::new();
        for row in &self.rows {
            for (area, text, since) in &row.failures {
                let group = groups.entry(text.clone()).or_insert_with(|| Group {
                    area: *area,
                    text: text.clone(),
                    count: 0,
                    since: *since,
                    workflow_id: row.workflow_id.clone(),
                });
                group.count += 1;
                group.since = group.since.min(*since);
            }
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by(|one, other| (other.count, one.since).cmp(&(one.count, other.since)));
        groups
    }

    /// An open approval, if there is one.
    pub fn an_approval(&self) -> Option<&str> {
        let mut approvals = self.rows.iter().rev().filter(|row| row.kind == Kind::Approval);
        approvals.next().map(|row| row.workflow_id.as_str())
    }

    /// When something was first refused for good for the same cause.
    pub(super) fn refused_since(&self, area: Area, says: &str) -> Option<Timestamp> {
        let refused = self.rows.iter().flat_map(|row| &row.refused);
        let alike = refused
            .filter(|(other, text, _)| *other == area && is_same_cause(area, text, says))
            .map(|(_, _, since)| *since);
        alike.min()
    }

    /// How many rows there are of each state, such as `2 failing and 1 waiting`.
    pub(super) fn states(&self) -> String {
        let states = State::ALL.into_iter().filter_map(|state| {
            match self.rows.iter().filter(|row| row.state == state).count() {
                0 => None,
                count => Some(format!("{count} {}", state.name())),
            }
        });
        listed(&states.collect::<Vec<_>>())
    }

    /// As text, grouped by state.
    pub fn text(&self, now: Timestamp) -> String {
        let (seen, missing) = (self.rows.len(), self.missing.as_ref());
        let is_cut_off = seen + missing.map_or(0, |missing| missing.count) >= MAX_ROWS;
        let mut text = match seen {
            _ if is_cut_off => format!(
                "{}\nThese {seen} are the overdue, undeliverable and decided ones, and then the newest.\n",
                self.counts.text()
            ),
            0 => "No approval is open.\n".to_owned(),
            _ => format!("Open approvals: {}.\n", self.states()),
        };
        if let Some(missing) = missing {
            let _ = writeln!(text, "{}.", missing.text());
        }
        for state in State::ALL {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.state == state).collect();
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{}: {}", state.name(), rows.len());
            for row in rows {
                row.write(&mut text, now);
            }
        }
        let is_wrong = |row: &Row| !matches!(row.state, State::Waiting | State::ChangesRequested);
        text.push_str(match self.rows.iter().any(is_wrong) {
            true => "\ncountersign-worker explain WORKFLOW says why, and what to do.",
            false => {
                "\nNothing is recorded against these. For the installation, run countersign-worker doctor."
            }
        });
        clean(&text)
    }
}

impl Counts {
    fn text(&self) -> String {
        let Counts { waiting, overdue, undeliverable, decided, notices } = self;
        let count = |count: &Option<u64>| match count {
            Some(count) => count.to_string(),
            None => "an unknown number".to_owned(),
        };
        format!(
            "Open approvals: {} waiting, {} overdue, {} undeliverable, {} decided; {} with notices to deliver.",
            count(waiting),
            count(overdue),
            count(undeliverable),
            count(decided),
            count(notices)
        )
    }
}

impl Row {
    fn write(&self, text: &mut String, now: Timestamp) {
        let since = self.since.map(|since| format!(" since {}", moment(since, now)));
        let _ = write!(text, "  {}{}", clean_line(&self.workflow_id), since.unwrap_or_default());
        let waits = matches!(self.state, State::Waiting | State::ChangesRequested);
        if let Some(deadline) = self.deadline.filter(|_| waits) {
            let _ = write!(text, ", deadline {}", moment(deadline, now));
        }
        text.push('\n');
        let title = self.title.iter().map(|title| clean_line(title));
        let asked =
            (!self.reviewers.is_empty()).then(|| format!("asks {}", self.reviewers.join(", ")));
        for line in title.chain(asked).chain(self.causes.iter().cloned()) {
            let _ = writeln!(text, "    {line}");
        }
    }
}
