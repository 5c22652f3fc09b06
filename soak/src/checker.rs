//! The reconciliation of every answer that users got with every workflow's history.
//!
//! The votes are counted again here, by rules written a second time from the documentation, so that the
//! product's own counting is checked and not repeated.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use countersign_e2e::{list, text};
use serde_json::Value;

use crate::{
    history::Event,
    ledger::{Act, Entry, Misuse},
    receiver::Taken,
    submission::{DOMAIN, Quorum, Stage, Submission},
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
    /// Who had whom asked in their place, and why.
    delegations: Vec<[String; 3]>,
    /// Whether somebody wants changes.
    is_sent_back: bool,
    end: Option<&'static str>,
}

impl Count {
    /// Whether this reviewer of the stage was asked and has not been replaced.
    fn asks(&self, plan: &Stage, reviewer: &str) -> bool {
        let is_replaced = self.delegations.iter().any(|[from, ..]| from == reviewer);
        !is_replaced && self.has_asked(plan, reviewer)
    }

    /// Whether this reviewer has, or had, a place in the stage.
    fn has_asked(&self, plan: &Stage, reviewer: &str) -> bool {
        plan.reviewers.iter().any(|planned| planned == reviewer)
            || self.delegations.iter().any(|[_, to, _]| to == reviewer)
    }

    fn has_voted(&self, reviewer: &str) -> bool {
        self.votes.iter().any(|(other, _)| other == reviewer)
    }
}

/// Whose link it is.
struct Holder<'a> {
    version: usize,
    stage: usize,
    reviewer: &'a str,
}

/// How often a submission can be revised.
const MAX_REVISIONS: usize = 5;

/// The votes in the history's order, counted again: those for the latest version.
struct Tally<'a> {
    submission: &'a Submission,
    plan: &'a [Stage],
    links: HashMap<&'a str, Holder<'a>>,
    counts: Vec<Count>,
    version: usize,
    /// What came while a revision was looked at.
    held: Option<Vec<(&'a str, &'a Value)>>,
    /// The stages whose deadlines have passed, and were not acted on yet.
    deadlines: Vec<usize>,
    cancelled: bool,
    /// Whether it was revised, and nobody is asked yet: who decides now has not seen it.
    is_unseen: bool,
    withdrawn: bool,
}

impl<'a> Tally<'a> {
    fn of(submission: &'a Submission, events: &'a [Event]) -> Self {
        let plan = &submission.stages[..];
        let mut tally = Tally {
            submission,
            plan,
            links: holders(events),
            counts: vec![Count::default(); plan.len()],
            version: 0,
            held: None,
            deadlines: Vec::new(),
            cancelled: false,
            is_unseen: false,
            withdrawn: false,
        };
        for event in events {
            match event {
                Event::Signal { name, decision, .. } => tally.receive(name, decision),
                Event::Revised => tally.revise(),
                Event::NotRevised => {
                    tally.release();
                    tally.act();
                }
                Event::Deadline(stage) => tally.deadlines.push(*stage),
                Event::Reminder(stage, true) => tally.deadlines.push(*stage),
                Event::Reminder(_, false) => {}
                Event::Cancelled => tally.cancelled = true,
                Event::Acted => tally.act(),
                Event::Asked(..) => tally.is_unseen = false,
                Event::MailedAgain | Event::Completed(_) | Event::Failed(_) => {}
            }
        }
        tally
    }

    /// The stage that takes decisions now.
    fn open(&self) -> Option<usize> {
        if self.withdrawn {
            return None;
        }
        self.current().filter(|stage| !self.counts[*stage].is_sent_back)
    }

    /// The stage that takes decisions, or changes.
    fn current(&self) -> Option<usize> {
        let open = self.counts.iter().position(|count| count.end != Some("APPROVED"))?;
        (self.counts[open].end.is_none() && !self.withdrawn).then_some(open)
    }

    fn status(&self) -> &'static str {
        match self.current() {
            _ if self.withdrawn => "WITHDRAWN",
            Some(stage) if self.counts[stage].is_sent_back => "CHANGES_REQUESTED",
            Some(_) => "PENDING",
            None => self
                .counts
                .iter()
                .find_map(|c| c.end.filter(|end| *end != "APPROVED"))
                .unwrap_or("APPROVED"),
        }
    }

    /// What comes while a revision is looked at waits for the answer.
    fn receive(&mut self, name: &'a str, decision: &'a Value) {
        if let Some(held) = &mut self.held {
            return held.push((name, decision));
        }
        match name {
            "revise" if self.can_be_revised() && !key(decision).is_empty() => {
                self.held = Some(Vec::new());
            }
            "withdraw" => self.withdrawn |= self.current().is_some(),
            "reassign" => self.delegate(decision),
            _ if self.is_unseen => {}
            _ => self.signal(name, decision),
        }
    }

    fn can_be_revised(&self) -> bool {
        let is_sent_back = self.current().is_some_and(|stage| self.counts[stage].is_sent_back);
        let has_votes = self.counts.iter().any(|count| !count.votes.is_empty());
        let is_open = is_sent_back || self.current().is_some() && !has_votes;
        is_open && self.version < MAX_REVISIONS
    }

    /// It begins anew, and no earlier vote stays. Whoever decided meanwhile has not seen it.
    fn revise(&mut self) {
        self.counts = vec![Count::default(); self.plan.len()];
        self.version += 1;
        self.is_unseen = true;
        self.deadlines.clear();
        self.release();
    }

    fn release(&mut self) {
        let held = self.held.take().unwrap_or_default();
        held.into_iter().for_each(|(name, decision)| self.receive(name, decision));
    }

    /// Decisions that are there when the workflow acts count before a withdrawal, and that before a deadline. While a
    /// revision is looked at, the workflow acts on nothing else.
    fn act(&mut self) {
        if self.held.is_none() {
            self.withdrawn |= self.cancelled && self.current().is_some();
            std::mem::take(&mut self.deadlines).into_iter().for_each(|stage| self.deadline(stage));
        }
    }

    /// Whoever may decide in the open stage, and has not, can have a colleague asked who never was there. Nothing that
    /// the replaced one does afterwards counts.
    fn delegate(&mut self, decision: &Value) {
        let [link, to, reason] = ["link", "to", "reason"].map(|field| text(&decision[field]));
        let Some(holder) = self.links.get(link.as_str()) else { return };
        let (version, stage, from) = (holder.version, holder.stage, holder.reviewer.to_owned());
        if version != self.version || self.open() != Some(stage) {
            return;
        }
        let (plan, count) = (&self.plan[stage], &mut self.counts[stage]);
        let waits = count.asks(plan, &from) && !count.has_voted(&from);
        let is_allowed = self.submission.may_delegate_to(&to) && !reason.trim().is_empty();
        if waits && is_allowed && !count.has_asked(plan, &to) {
            count.delegations.push([from, to, reason]);
        }
    }

    fn signal(&mut self, name: &str, decision: &Value) {
        let (approves, is_back) = match name {
            "approve" => (true, false),
            "reject" => (false, false),
            "request_changes" => (false, true),
            _ => return,
        };
        let Some(open) = self.open() else { return };
        let (link, reviewer) = (text(&decision["link"]), text(&decision["reviewer"]));
        // A link is of one version; whoever names a reviewer means the first one, unless they name another.
        let named = decision["version"].as_u64().unwrap_or_default() as usize;
        let reviewer = match (link.as_str(), self.links.get(link.as_str())) {
            ("", _) if named == self.version => reviewer,
            (_, Some(holder)) if (holder.version, holder.stage) == (self.version, open) => {
                holder.reviewer.to_owned()
            }
            _ => return,
        };
        let (plan, count) = (&self.plan[open], &mut self.counts[open]);
        let is_silent = is_back && text(&decision["comment"]).trim().is_empty();
        if count.has_voted(&reviewer) || is_silent || !count.asks(plan, &reviewer) {
            return;
        }
        if is_back && self.version == MAX_REVISIONS {
            return;
        }
        count.votes.push((reviewer, approves));
        if is_back {
            count.is_sent_back = true;
            return;
        }
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

/// The links of all versions.
fn holders(events: &[Event]) -> HashMap<&str, Holder<'_>> {
    let (mut version, mut holders) = (0, HashMap::new());
    for event in events {
        match event {
            Event::Revised => version += 1,
            Event::Asked(link, stage, reviewer) => {
                holders.insert(&**link, Holder { version, stage: *stage, reviewer });
            }
            _ => {}
        }
    }
    holders
}

/// By what a signal of somebody is found again.
fn key(decision: &Value) -> String {
    let places = [
        &decision["comment"],
        &decision["reason"],
        &decision["document"]["description"],
        &decision["submission"]["document"]["description"],
    ];
    places.iter().map(|place| text(place)).find(|key| !key.is_empty()).unwrap_or_default()
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
    let (asked, version) =
        (holders(events), events.iter().filter(|it| **it == Event::Revised).count());
    let by_page = |it: &&Entry| matches!(it.act, Act::Look | Act::Press | Act::Delegate);
    for entry in entries.iter().filter(by_page) {
        let holder = asked.get(entry.key.as_str());
        if holder.is_some_and(|holder| holder.version < version) {
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
