//! The reconciliation of every answer that users got with every workflow's history.
//!
//! The votes are counted again here, by rules written a second time from the README, so that the
//! product's own counting is checked and not repeated.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use countersign_e2e::text;
use serde_json::Value;

use crate::{
    history::Event,
    ledger::{Act, Entry, Misuse},
    receiver::Taken,
    submission::{Quorum, Stage, Submission},
};

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An acknowledged decision is not exactly one event.
    Lost,
    /// An event has a decision that nobody has made.
    Invented,
    /// An outcome does not follow from its history, or there are two.
    Contradiction,
    /// An answer was wrong.
    Disagreement,
    /// An outcome did not reach the webhook as one message, or its submitter as one mail.
    Effect,
    /// The workflow did not end.
    Stuck,
    /// The history does not replay.
    Unrepeatable,
    /// An approval ID is outside of mails.
    Leak,
    /// Nobody got an answer of the contract.
    Unseen,
}

impl Kind {
    /// All kinds, in the report's order.
    pub(crate) const ALL: [Kind; 9] = [
        Kind::Lost,
        Kind::Invented,
        Kind::Contradiction,
        Kind::Disagreement,
        Kind::Effect,
        Kind::Stuck,
        Kind::Unrepeatable,
        Kind::Leak,
        Kind::Unseen,
    ];

    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Lost => "acknowledged decisions lost or doubled",
            Kind::Invented => "decisions that nobody made",
            Kind::Contradiction => "contradictory outcomes",
            Kind::Disagreement => "answers that disagree with the history",
            Kind::Effect => "outcomes without webhook or mail",
            Kind::Stuck => "stuck workflows",
            Kind::Unrepeatable => "histories that do not replay",
            Kind::Leak => "approval IDs outside of mails",
            Kind::Unseen => "rows of the answer table that nobody got",
        }
    }
}

/// Something that must not happen, with its evidence.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    /// The workflow ID; empty where it is about the whole run.
    pub(crate) workflow: String,
    /// The hash of the link, or the request ID of the signal, of a lost decision.
    pub(crate) key: String,
    pub(crate) why: String,
}

impl Finding {
    pub(crate) fn about(workflow: &str, kind: Kind, why: String) -> Self {
        Finding { kind, workflow: workflow.to_owned(), key: String::new(), why }
    }

    /// About the whole run.
    pub(crate) fn of_all(kind: Kind, why: String) -> Self {
        Self::about("", kind, why)
    }
}

/// One stage as it is counted here.
#[derive(Debug, Default, Clone, PartialEq)]
struct Count {
    votes: Vec<(String, bool)>,
    end: Option<&'static str>,
}

/// The votes in the history's order, counted again.
struct Tally<'a> {
    plan: &'a [Stage],
    links: HashMap<&'a str, (usize, &'a str)>,
    counts: Vec<Count>,
    withdrawn: bool,
}

impl<'a> Tally<'a> {
    fn of(plan: &'a [Stage], events: &'a [Event]) -> Self {
        let links = events.iter().filter_map(|event| match event {
            Event::Asked(link, stage, reviewer) => Some((&**link, (*stage, &**reviewer))),
            _ => None,
        });
        let mut tally = Tally {
            plan,
            links: links.collect(),
            counts: vec![Count::default(); plan.len()],
            withdrawn: false,
        };
        // Decisions that are there when the workflow acts count before a withdrawal or a deadline.
        let (mut deadlines, mut cancelled) = (Vec::new(), false);
        for event in events {
            match event {
                Event::Signal { name, decision, .. } => tally.signal(name, decision),
                Event::Deadline(stage) => deadlines.push(*stage),
                Event::Reminder(stage, true) => deadlines.push(*stage),
                Event::Reminder(_, false) => {}
                Event::Cancelled => cancelled = true,
                Event::Acted => {
                    // Withdrawing comes before the deadline where both are there.
                    tally.withdrawn |= cancelled && tally.open().is_some();
                    deadlines.drain(..).for_each(|stage| tally.deadline(stage));
                }
                Event::Asked(..) | Event::MailedAgain | Event::Completed(_) | Event::Failed(_) => {}
            }
        }
        tally
    }

    /// The stage that takes decisions now.
    fn open(&self) -> Option<usize> {
        if self.withdrawn {
            return None;
        }
        let open = self.counts.iter().position(|count| count.end != Some("APPROVED"))?;
        self.counts[open].end.is_none().then_some(open)
    }

    fn status(&self) -> &'static str {
        match self.open() {
            _ if self.withdrawn => "WITHDRAWN",
            Some(_) => "PENDING",
            None => self
                .counts
                .iter()
                .find_map(|c| c.end.filter(|end| *end != "APPROVED"))
                .unwrap_or("APPROVED"),
        }
    }

    fn signal(&mut self, name: &str, decision: &Value) {
        let approves = match name {
            "approve" => true,
            "reject" => false,
            _ => return,
        };
        let Some(open) = self.open() else { return };
        let (link, reviewer) = (text(&decision["link"]), text(&decision["reviewer"]));
        let reviewer = match (link.as_str(), self.links.get(link.as_str())) {
            ("", _) => reviewer,
            (_, Some((stage, reviewer))) if *stage == open => (*reviewer).to_owned(),
            _ => return,
        };
        let (plan, count) = (&self.plan[open], &mut self.counts[open]);
        let again = count.votes.iter().any(|(other, _)| *other == reviewer);
        if again || !plan.reviewers.contains(&reviewer) {
            return;
        }
        count.votes.push((reviewer, approves));
        let asked = plan.reviewers.len();
        let needed = match plan.quorum {
            Quorum::Any => 1,
            Quorum::All => asked,
            Quorum::Of(needed) => needed,
        };
        let approvals = count.votes.iter().filter(|(_, approves)| *approves).count();
        let rejections = count.votes.len() - approvals;
        let hopeless = match plan.quorum {
            Quorum::Any => rejections > 0,
            _ => asked - rejections < needed,
        };
        if approvals >= needed {
            count.end = Some("APPROVED");
        } else if hopeless {
            count.end = Some("REJECTED");
        }
    }

    fn deadline(&mut self, stage: usize) {
        if self.open() == Some(stage) {
            let rejected = self.counts[stage].votes.iter().any(|(_, approves)| !approves);
            self.counts[stage].end = Some(match self.plan[stage].on_deadline {
                "approve" if !rejected => "APPROVED",
                "approve" | "reject" => "REJECTED",
                _ => "EXPIRED",
            });
        }
    }
}

/// The status that follows from a history.
pub(crate) fn status(plan: &[Stage], events: &[Event]) -> &'static str {
    Tally::of(plan, events).status()
}

/// Checks one workflow's history against its submission, the users' answers and its effects: what the webhook
/// took, and the Message-IDs of the submitter's notices if there are any.
pub(crate) fn check(
    submission: &Submission,
    events: &[Event],
    entries: &[Entry],
    taken: &[Taken],
    notices: Option<&BTreeSet<String>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    lost(submission, events, entries, &mut findings);
    let mut find =
        |kind, why: String| findings.push(Finding::about(&submission.workflow, kind, why));
    invented(events, entries, &mut find);
    let refused = |event: &Event| match event {
        Event::Signal { decision, .. } => text(&decision["comment"]).len() > 2_000,
        _ => false,
    };
    if events.iter().any(refused) {
        find(Kind::Disagreement, "a comment that was refused as too long was sent on".to_owned());
    }
    let ends: Vec<&Event> = events
        .iter()
        .filter(|event| matches!(event, Event::Completed(_) | Event::Failed(_)))
        .collect();
    match (ends.as_slice(), submission.stages.is_empty()) {
        ([], _) => find(Kind::Stuck, format!("its history has no end: {events:?}")),
        ([Event::Failed(kind)], true) if kind == "InvalidSubmission" => {}
        ([Event::Completed(outcome)], false) => {
            contradicted(submission, events, outcome, &mut find);
            disagreed(events, entries, outcome, &mut find);
            if taken.is_empty() {
                find(Kind::Effect, "no webhook took its outcome".to_owned());
            }
            for Taken { webhook_id, outcome: delivered, .. } in taken {
                if delivered != outcome {
                    let why = format!("the webhook took {delivered}, it ended with {outcome}");
                    find(Kind::Contradiction, why);
                }
                if webhook_id.is_empty() || *webhook_id != taken[0].webhook_id {
                    find(Kind::Effect, format!("the webhook took it as {webhook_id} too"));
                }
            }
            match notices {
                None => find(Kind::Effect, "its submitter was not notified".to_owned()),
                Some(ids) if ids.len() > 1 => {
                    find(Kind::Effect, format!("its submitter was notified by {ids:?}"));
                }
                Some(_) => {}
            }
        }
        (ends, _) => find(Kind::Contradiction, format!("it ended so: {ends:?}")),
    }
    findings
}

/// Every acknowledged decision is one event.
fn lost(submission: &Submission, events: &[Event], entries: &[Entry], findings: &mut Vec<Finding>) {
    let mut acknowledged = BTreeMap::new();
    for entry in entries {
        let sent = matches!(entry.answer.as_str(), "recorded" | "accepted" | "acknowledged");
        let decided = matches!(entry.act, Act::Press | Act::Signal);
        if let (true, Some(approves)) = (sent && decided, entry.approves) {
            acknowledged.insert((entry.key.as_str(), approves), entry);
        }
    }
    for ((key, approves), entry) in acknowledged {
        let wanted = if approves { "approve" } else { "reject" };
        let is_it = |event: &&Event| match event {
            Event::Signal { name, decision, .. } => {
                name == wanted && (decision["link"] == key || decision["comment"] == key)
            }
            _ => false,
        };
        let count = events.iter().filter(is_it).count();
        if count != 1 {
            let why = format!("{count} events of {entry:?}");
            findings.push(Finding {
                key: key.to_owned(),
                ..Finding::about(&submission.workflow, Kind::Lost, why)
            });
        }
    }
}

/// Every decision that is an event was made by somebody, and its answer did not deny it.
fn invented(events: &[Event], entries: &[Entry], find: &mut impl FnMut(Kind, String)) {
    for event in events {
        let Event::Signal { name, decision, at } = event else { continue };
        let approves = match name.as_str() {
            "approve" => true,
            "reject" => false,
            _ => continue,
        };
        let [link, comment] = ["link", "comment"].map(|field| text(&decision[field]));
        let key = if link.is_empty() { comment } else { link };
        if key.is_empty() {
            // Nonsense, which decides nothing.
            continue;
        }
        let mut attempts = entries.iter().filter(|entry| {
            let decided = matches!(entry.act, Act::Press | Act::Signal);
            decided && entry.key == key && entry.approves == Some(approves) && entry.sent_at <= *at
        });
        let Some(first) = attempts.next() else {
            find(Kind::Invented, format!("{event:?}"));
            continue;
        };
        let denied = |entry: &Entry| entry.answer == "nothing_recorded";
        if denied(first) && attempts.all(denied) {
            find(Kind::Disagreement, format!("answered {first:?}, and there is {event:?}"));
        }
    }
}

/// The outcome follows from the votes.
fn contradicted(
    submission: &Submission,
    events: &[Event],
    outcome: &Value,
    find: &mut impl FnMut(Kind, String),
) {
    let tally = Tally::of(&submission.stages, events);
    if outcome["status"] != tally.status() {
        find(Kind::Contradiction, format!("counted {}, ended with {outcome}", tally.status()));
    }
    let stages = outcome["stages"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (i, count) in tally.counts.iter().enumerate() {
        let decisions = stages.get(i).map(decisions).unwrap_or_default();
        let end = stages.get(i).and_then(|stage| stage["status"].as_str());
        // A stage that was open at the withdrawal is shown as withdrawn.
        let end = end.filter(|end| !(tally.withdrawn && *end == "WITHDRAWN"));
        if decisions != count.votes || end != count.end {
            let stage = stages.get(i);
            find(Kind::Contradiction, format!("stage {i}: counted {count:?}, outcome {stage:?}"));
        }
    }
}

fn decisions(stage: &Value) -> Vec<(String, bool)> {
    let all = stage["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|vote| (text(&vote["reviewer"]), vote["verdict"] == "APPROVE")).collect()
}

/// Every answer agrees with the history.
fn disagreed(
    events: &[Event],
    entries: &[Entry],
    outcome: &Value,
    find: &mut impl FnMut(Kind, String),
) {
    let asked: HashMap<&str, usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::Asked(link, stage, _) => Some((&**link, *stage)),
            _ => None,
        })
        .collect();
    for entry in entries.iter().filter(|entry| matches!(entry.act, Act::Look | Act::Press)) {
        let stage = asked.get(entry.key.as_str()).map(|stage| &outcome["stages"][*stage]);
        let votes = stage.map(decisions).unwrap_or_default();
        let vote = votes.iter().find(|(who, _)| *who == entry.reviewer).map(|(_, vote)| *vote);
        let said = matches!(entry.said.as_str(), "" | "PENDING" | "STATUS_UNSPECIFIED")
            || outcome["status"] == entry.said;
        let true_answer = match entry.answer.as_str() {
            "recorded" | "already_recorded" => vote.is_some() && vote == entry.approves,
            "other_verdict" => vote.is_some() && vote != entry.approves,
            "voted" => vote.is_some(),
            "too_late" => vote.is_none(),
            "expired" => outcome["status"] == "EXPIRED",
            "withdrawn" => outcome["status"] == "WITHDRAWN",
            "decided" => outcome["status"] == "APPROVED" || outcome["status"] == "REJECTED",
            "gone" | "not_issued" | "superseded" | "ended" => false,
            _ => true,
        };
        if !said || !true_answer {
            find(Kind::Disagreement, format!("answered {entry:?}, it ended with {outcome}"));
        }
    }
}

/// Every misuse gets the contract's answer, or none.
pub(crate) fn misused(entries: &[Entry]) -> Vec<Finding> {
    let expected = |how: Misuse, status: u16, answer: &str| match (how, status) {
        (_, 0) => true,
        (Misuse::Malformed | Misuse::Forged, _) => answer == "not_issued" && status == 404,
        (Misuse::Unknown | Misuse::UnknownPress, 410) => answer == "gone",
        (Misuse::Unknown | Misuse::UnknownPress, _) => status == 503,
        (_, 429) => answer == "too_many_requests",
        (Misuse::LargeBody, _) => status == 413,
        _ => status == 422 && answer == "invalid",
    };
    let unexpected = |entry: &&Entry| match entry.act {
        Act::Misuse(how) => !expected(how, entry.status, &entry.answer),
        _ => false,
    };
    let finding = |entry: &Entry| {
        Finding::about(&entry.workflow, Kind::Disagreement, format!("answered {entry:?}"))
    };
    entries.iter().filter(unexpected).map(finding).collect()
}

#[cfg(test)]
mod tests;
