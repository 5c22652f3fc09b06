//! The reconciliation of every answer that users got with every workflow's history.
//!
//! The votes are counted again here, by rules written a second time from the documentation, so that the
//! product's own counting is checked and not repeated.

mod tally;

use std::collections::{BTreeMap, BTreeSet};

use countersign_e2e::{list, text};
use serde_json::Value;

use self::tally::{Tally, holders, key};
use crate::{
    history::Event,
    ledger::{Act, Entry, Misuse},
    receiver::Taken,
    submission::{DOMAIN, Submission},
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

/// The status that follows from a history.
pub(crate) fn status(submission: &Submission, events: &[Event]) -> &'static str {
    Tally::of(submission, events).status()
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
    lost_delegations(submission, events, entries, &mut findings);
    let mut find =
        |kind, why: String| findings.push(Finding::about(&submission.workflow, kind, why));
    invented(events, entries, &mut find);
    if let Some(event) = events.iter().find(|event| is_refused(event)) {
        find(Kind::Disagreement, format!("what is refused was sent on: {event:?}"));
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

/// Whether it is what no signaler sends on: a comment that is too long, or a delegation to a foreign domain.
fn is_refused(event: &Event) -> bool {
    let Event::Signal { name, decision, .. } = event else { return false };
    let is_foreign = !text(&decision["to"]).ends_with(DOMAIN);
    text(&decision["comment"]).len() > 2_000 || name == "reassign" && is_foreign
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
    for entry in entries.iter().filter(|entry| entry.answer == "acknowledged") {
        let Some(name) = sent_as(entry.act) else { continue };
        let is_it = |event: &&Event| is_signal(event, name, &entry.key);
        let count = events.iter().filter(is_it).count();
        if count != 1 {
            findings.push(Finding {
                key: entry.key.clone(),
                ..Finding::about(
                    &submission.workflow,
                    Kind::Lost,
                    format!("{count} events of {entry:?}"),
                )
            });
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

/// Every delegation that was acknowledged is one event.
fn lost_delegations(
    submission: &Submission,
    events: &[Event],
    entries: &[Entry],
    findings: &mut Vec<Finding>,
) {
    let is_sent = |entry: &&Entry| {
        entry.act == Act::Delegate && matches!(entry.answer.as_str(), "delegated" | "accepted")
    };
    let sent = entries.iter().filter(is_sent);
    let sent: BTreeMap<_, _> = sent.map(|it| ((it.key.as_str(), it.to.as_str()), it)).collect();
    for ((link, to), entry) in sent {
        let is_it = |event: &&Event| match event {
            Event::Signal { name, decision, .. } => {
                name == "reassign" && decision["link"] == link && decision["to"] == to
            }
            _ => false,
        };
        let count = events.iter().filter(is_it).count();
        if count != 1 {
            let why = format!("{count} events of {entry:?}");
            findings.push(Finding::about(&submission.workflow, Kind::Lost, why));
        }
    }
}

/// The signal of what is neither an approval nor a rejection.
fn sent_as(act: Act) -> Option<&'static str> {
    match act {
        Act::SendBack => Some("request_changes"),
        Act::Revise => Some("revise"),
        Act::Withdraw => Some("withdraw"),
        Act::Look | Act::Press | Act::Delegate | Act::Signal | Act::Nonsense | Act::Misuse(_) => {
            None
        }
    }
}

fn is_signal(event: &Event, wanted: &str, of: &str) -> bool {
    matches!(event, Event::Signal { name, decision, .. } if name == wanted && key(decision) == of)
}

/// Every decision that is an event was made by somebody, and its answer did not deny it.
fn invented(events: &[Event], entries: &[Entry], find: &mut impl FnMut(Kind, String)) {
    for event in events {
        let Event::Signal { name, decision, at } = event else { continue };
        if text(&decision["link"]).is_empty() && key(decision).is_empty() {
            // Nonsense, which decides nothing.
            continue;
        }
        let made = |entry: &&Entry| entry.sent_at <= *at && has_made(entry, name, decision);
        let mut attempts = entries.iter().filter(made);
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

/// Whether what somebody did can have become this signal.
fn has_made(entry: &Entry, name: &str, decision: &Value) -> bool {
    let [link, comment, to] = ["link", "comment", "to"].map(|field| text(&decision[field]));
    match name {
        "approve" | "reject" => {
            let key = if link.is_empty() { comment } else { link };
            let decided = matches!(entry.act, Act::Press | Act::Signal);
            decided && entry.key == key && entry.approves == Some(name == "approve")
        }
        "reassign" => entry.act == Act::Delegate && entry.key == link && entry.to == to,
        _ => sent_as(entry.act) == Some(name) && entry.key == key(decision),
    }
}

/// The outcome follows from the votes.
fn contradicted(
    submission: &Submission,
    events: &[Event],
    outcome: &Value,
    find: &mut impl FnMut(Kind, String),
) {
    let tally = Tally::of(submission, events);
    if outcome["status"] != tally.status() {
        find(Kind::Contradiction, format!("counted {}, ended with {outcome}", tally.status()));
    }
    let stages = outcome["stages"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (i, count) in tally.counts.iter().enumerate() {
        let decisions = stages.get(i).map(decisions).unwrap_or_default();
        let delegations = stages.get(i).map(delegations).unwrap_or_default();
        let in_place = stages.get(i).is_none_or(|stage| are_in_place(stage, &count.delegations));
        let end = stages.get(i).and_then(|stage| stage["status"].as_str());
        // A stage that was open at the withdrawal is shown as withdrawn.
        let end = end.filter(|end| !(tally.withdrawn && *end == "WITHDRAWN"));
        let as_counted = decisions == count.votes && delegations == count.delegations;
        if !as_counted || !in_place || end != count.end {
            let stage = stages.get(i);
            find(Kind::Contradiction, format!("stage {i}: counted {count:?}, outcome {stage:?}"));
        }
    }
}

fn decisions(stage: &Value) -> Vec<(String, bool)> {
    let all = stage["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|vote| (text(&vote["reviewer"]), vote["verdict"] == "APPROVE")).collect()
}

/// Who has had whom asked in their place in a stage, and why.
fn delegations(stage: &Value) -> Vec<[String; 3]> {
    let fields = ["reviewer", "to", "reason"];
    list(&stage["delegations"]).map(|it| fields.map(|field| text(&it[field]))).collect()
}

/// Whether each vote says in whose place it is.
fn are_in_place(stage: &Value, delegations: &[[String; 3]]) -> bool {
    list(&stage["decisions"]).all(|vote| {
        let own = delegations.iter().find(|[_, to, _]| vote["reviewer"] == **to);
        text(&vote["insteadOf"]) == own.map_or("", |[from, ..]| from.as_str())
    })
}

/// Every answer agrees with the history.
fn disagreed(
    events: &[Event],
    entries: &[Entry],
    outcome: &Value,
    find: &mut impl FnMut(Kind, String),
) {
    let asked = holders(events);
    let latest = 1 + events.iter().filter(|it| **it == Event::Revised).count();
    let by_page = |it: &&Entry| matches!(it.act, Act::Look | Act::Press | Act::Delegate);
    for entry in entries.iter().filter(by_page) {
        let holder = asked.get(entry.key.as_str());
        if holder.is_some_and(|holder| holder.version < latest) {
            // The outcome says nothing of what was decided over earlier versions.
            continue;
        }
        let stage = holder.map(|holder| &outcome["stages"][holder.stage]);
        let votes = stage.map(decisions).unwrap_or_default();
        let vote = votes.iter().find(|(who, _)| *who == entry.reviewer).map(|(_, vote)| *vote);
        let delegated = stage.map(delegations).unwrap_or_default();
        let mut own = delegated.iter().filter(|[from, ..]| *from == entry.reviewer);
        let is_delegated = own.any(|[_, to, _]| entry.to.is_empty() || *to == entry.to);
        let said = matches!(
            entry.said.as_str(),
            "" | "PENDING" | "CHANGES_REQUESTED" | "STATUS_UNSPECIFIED"
        ) || outcome["status"] == entry.said;
        let true_answer = match entry.answer.as_str() {
            "recorded" | "already_recorded" => vote.is_some() && vote == entry.approves,
            "other_verdict" => vote.is_some() && vote != entry.approves,
            "voted" => vote.is_some(),
            "too_late" => vote.is_none() || entry.act == Act::Delegate,
            "delegated" => is_delegated,
            "invalid" if entry.act == Act::Delegate => !is_delegated,
            // While no worker answers, also because of one that it is going to ignore.
            "superseded" => events.iter().any(|event| is_delegation(event, &entry.key)),
            "expired" => outcome["status"] == "EXPIRED",
            "withdrawn" => outcome["status"] == "WITHDRAWN",
            "decided" => outcome["status"] == "APPROVED" || outcome["status"] == "REJECTED",
            "gone" | "not_issued" | "ended" => false,
            _ => true,
        };
        if !said || !true_answer {
            find(Kind::Disagreement, format!("answered {entry:?}, it ended with {outcome}"));
        }
    }
}

/// Whether the holder of this link has wanted somebody else to be asked.
fn is_delegation(event: &Event, link: &str) -> bool {
    let Event::Signal { name, decision, .. } = event else { return false };
    name == "reassign" && decision["link"] == link
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
