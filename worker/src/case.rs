//! One approval as the workflow holds it: the core, the plan it follows, and what became of its
//! mails. Deterministic, like the workflow that owns it.

use std::collections::{BTreeMap, VecDeque};

use countersign_protos::{names, payload::Payload, v1, words::to_message};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    activities::{Announcement, Issue, Issued, ReviewRequest},
    approval::{
        Approval, Ballot, Claim, EmailAddress, NotReassigned, Receipt, Ruling, Seat, Stage, ToAsk,
        Verdict, Whom,
    },
    policy::{Continuation, Plan},
    signals::{self, Told, clean},
};

/// Signals that are kept while no stage is open; more of them are no mistake but a flood.
const MAX_EARLY: usize = 200;
/// Reasons that are kept for signals that did not count.
const MAX_REASONS: usize = 20;
/// Bytes of others' comments that one who is released is told, so that the notices to all of them
/// fit into one message to Temporal, which takes 4 MiB.
const MAX_TOLD_COMMENTS: usize = 16 * 1024;
/// Rounds of reminders that operators may ask for, so that a history stays small.
const MAX_REMINDED_BY_HAND: u32 = 100;

/// See the module. Serialised, it is what a workflow that continues as new goes on from.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Case {
    begun: Option<Begun>,
    /// Why nobody is asked about it; such a case goes on in no other run.
    #[serde(skip)]
    refused: Option<String>,
    /// What was told while no stage was open.
    early: Vec<Told>,
    /// Whether links are being issued, and what was told meanwhile.
    opening: bool,
    meanwhile: Vec<Told>,
    ignored: u32,
    ignored_because: VecDeque<String>,
    /// Reviewers whom an operator wants to be reminded now.
    to_remind: Vec<EmailAddress>,
    reminded_by_hand: u32,
    /// How often an operator's signal had an effect.
    orders: u32,
}

/// A case whose submission can be decided.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Makes its links its own.
    id: Uuid,
    pub(crate) plan: Plan,
    pub(crate) approval: Approval,
    /// By link.
    pub(crate) mails: BTreeMap<String, Mail>,
    /// To those who wait for an outcome and have not been written to yet, by number.
    announcements: BTreeMap<u32, Announcement>,
    announced: u32,
    pub(crate) child_workflow_id: String,
    #[serde(default)]
    pub(crate) child_namespace: String,
    /// Why the submitter could not be mailed the outcome, where that is so.
    #[serde(default)]
    pub(crate) untold: String,
    /// Why nothing goes on with the outcome, where something should.
    #[serde(default)]
    pub(crate) not_continued: String,
    /// Why the webhook takes no outcome, where that is so.
    #[serde(default)]
    pub(crate) webhook_error: String,
    /// The outcome as it was handed on: times in a replay may differ from those.
    handed_on: Option<v1::Outcome>,
    /// Whether the webhook is done with, whatever came of it. That is after the last run has begun.
    #[serde(skip)]
    webhook_is_over: bool,
}

/// What became of the requests to one reviewer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mail {
    /// Whether a request or a reminder is being sent.
    #[serde(default)]
    on_its_way: bool,
    pub(crate) sent: bool,
    pub(crate) error: String,
    pub(crate) reminders: u32,
}

impl Case {
    /// The submission is valid; this is who is asked, or what a rule has decided.
    pub(crate) fn begin(&mut self, id: Uuid, plan: Plan, now: Timestamp) {
        let submitter = plan.submitter.clone();
        let approval = match plan.ruling {
            Some(verdict) => {
                let rule = plan.rule.clone();
                Approval::ruled(submitter, Ruling { verdict, rule, at: now })
            }
            None => Approval::new(submitter, plan.stages.iter().map(Into::into).collect()),
        };
        self.begun = Some(Begun {
            id,
            plan,
            approval,
            mails: BTreeMap::new(),
            announcements: BTreeMap::new(),
            announced: 0,
            child_workflow_id: String::new(),
            child_namespace: String::new(),
            untold: String::new(),
            not_continued: String::new(),
            webhook_error: String::new(),
            handed_on: None,
            webhook_is_over: false,
        });
        self.catch_up(now);
    }

    /// Nobody is asked about it, for this reason. Nothing else is known of it from then on.
    pub(crate) fn refuse(&mut self, why: String) {
        self.begun = None;
        self.refused = Some(why);
    }

    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Goes on in another run, which was told something already: requests that were on their way are
    /// sent again, reminders are not.
    pub(crate) fn resume(&mut self, told_first: Case, now: Timestamp) {
        if let Some(begun) = &mut self.begun {
            begun.mails.retain(|_, mail| mail.sent || !mail.error.is_empty());
            begun.mails.values_mut().for_each(|mail| mail.on_its_way = false);
        }
        self.ignored = self.ignored.saturating_add(told_first.ignored);
        self.ignored_because.extend(told_first.ignored_because);
        let too_many = self.ignored_because.len().saturating_sub(MAX_REASONS);
        self.ignored_because.drain(..too_many);
        self.early.extend(told_first.early);
        self.catch_up(now);
    }

    /// Takes what was told too early, as far as it is time for it.
    fn catch_up(&mut self, now: Timestamp) {
        for told in std::mem::take(&mut self.early) {
            self.hear(told, now);
        }
    }

    pub(crate) fn begun(&self) -> Option<&Begun> {
        self.begun.as_ref()
    }

    /// How many signals did not count, and why the latest did not.
    pub(crate) fn ignored(&self) -> (u32, impl Iterator<Item = &String>) {
        (self.ignored, self.ignored_because.iter())
    }

    fn approval(&self) -> Option<&Approval> {
        self.begun().map(|begun| &begun.approval)
    }

    fn open_stage(&self) -> Option<&Stage> {
        self.approval()?.open_stage()
    }

    /// The position of the stage that the approval waits for.
    pub(crate) fn pending_stage(&self) -> Option<usize> {
        let approval = self.approval()?;
        approval.open().or_else(|| approval.to_ask().map(|to_ask| to_ask.stage))
    }

    /// Whom to issue links to now, and what the history says about it.
    pub(crate) fn to_issue(&self, now: Timestamp) -> Option<(String, Issue)> {
        let begun = self.begun()?;
        let ToAsk { stage, round, whom, taken } = begun.approval.to_ask()?;
        let planned = &begun.plan.stages[stage];
        let name = &planned.name;
        let mut issue = Issue {
            approval: begun.id,
            stage: stage as u32,
            round,
            opened_at: now,
            submitter: Some(begun.plan.submitter.clone()),
            calendar: begun.plan.calendar.clone(),
            absences: begun.plan.absences.clone(),
            asked: taken,
            ..Default::default()
        };
        let summary = match whom {
            Whom::Instead(from, to) => {
                issue.reviewers = vec![to];
                format!("Issue an approval link for {name} in the place of {from}")
            }
            Whom::Level(level) => {
                let (reviewers, time) = planned.level(level)?;
                issue.reviewers = reviewers.to_vec();
                issue.time = Some(time.clone());
                match level {
                    0 => format!("Issue approval links for {name}"),
                    level => format!("Escalate {name} (level {level})"),
                }
            }
        };
        Some((summary, issue))
    }

    /// Links are being issued: what is told now counts when all that follows has been begun.
    ///
    /// A query that comes meanwhile splits the workflow task in two, and the SDK then shows the links
    /// together with what came later; a replay shows them before.
    pub(crate) fn opening(&mut self) {
        self.opening = true;
    }

    /// All that follows from new links has been begun.
    pub(crate) fn opened(&mut self, now: Timestamp) {
        for told in std::mem::take(&mut self.meanwhile) {
            self.hear(told, now);
        }
    }

    /// When time next has an effect, and what it does then.
    pub(crate) fn next_deadline(&self) -> Option<(Timestamp, String)> {
        let stage = self.open_stage()?;
        let due = self.approval()?.next_deadline()?;
        let name = &stage.plan().name;
        let summary = match stage.deadline() == Some(due) {
            true => format!("Deadline of {name}"),
            false => format!("Reminder for {name}"),
        };
        Some((due, summary))
    }

    /// Whether this stage is pending with nobody to ask and no deadline, which no approval comes to by
    /// itself: a forged one would have its workflow task go round for ever.
    pub(crate) fn waits_for_nothing(&self, stage: usize) -> bool {
        self.pending_stage() == Some(stage) && self.next_deadline().is_none()
    }

    /// Whether a run can go on from it: it has begun, has stages, and each of them is in its plan.
    pub(crate) fn is_whole(&self) -> bool {
        self.begun().is_some_and(|begun| {
            let stages = begun.approval.stages().len();
            stages > 0 && stages == begun.plan.stages.len()
        })
    }

    /// How many decisions counted so far.
    pub(crate) fn decisions(&self) -> usize {
        let stages = self.approval().map(Approval::stages).unwrap_or_default();
        stages.iter().map(|stage| stage.votes().len()).sum()
    }

    /// What changes when the workflow has something to do: decisions, orders, and whether somebody
    /// has to be asked.
    pub(crate) fn news(&self) -> (usize, u32, bool) {
        let to_ask = self.approval().is_some_and(|approval| approval.to_ask().is_some());
        (self.decisions(), self.orders, to_ask)
    }

    /// Those of [`to_issue`](Self::to_issue) have their links. Answers with the links of those who are
    /// released by that, who are told where they were asked; decisions that came early are taken. A
    /// reassignment that has become pointless meanwhile is a signal that does not count.
    pub(crate) fn issued(&mut self, issued: Issued, now: Timestamp) -> Vec<String> {
        self.opening = false;
        let Some(begun) = &mut self.begun else { return Vec::new() };
        let to_ask = begun.approval.to_ask();
        let released = begun.approval.ask(issued.invited, issued.due, now);
        if let Some(ToAsk { stage, round, whom: Whom::Instead(from, _), .. }) = to_ask {
            let stage = &begun.approval.stages()[stage];
            let why = match stage.undecided().any(|seat| seat.reviewer == from) {
                true => NotReassigned::AskedAlready,
                false => NotReassigned::NotAsked,
            };
            if stage.seats().len() == round as usize {
                self.ignore(names::SIGNAL_REASSIGN, &why.to_string());
            }
        }
        self.catch_up(now);
        let outcome = self.outcome();
        for seat in released.iter().filter(|seat| self.was_asked(seat)).collect::<Vec<_>>() {
            self.tell(release(seat, &outcome));
        }
        released.into_iter().map(|seat| seat.link).collect()
    }

    /// Takes the payloads of a decision, whatever they are.
    pub(crate) fn decide(&mut self, verdict: Verdict, payloads: &[Payload], now: Timestamp) {
        self.signalled(verdict.name(), signals::decision(verdict, payloads), now);
    }

    /// Takes an operator's order to ask somebody else.
    pub(crate) fn reassign(&mut self, payloads: &[Payload], now: Timestamp) {
        self.signalled(names::SIGNAL_REASSIGN, signals::reassignment(payloads), now);
    }

    /// Takes an operator's order to remind people.
    pub(crate) fn remind(&mut self, payloads: &[Payload], now: Timestamp) {
        self.signalled(names::SIGNAL_REMIND, signals::reminder(payloads), now);
    }

    /// Takes an operator's order to call the approval off.
    pub(crate) fn withdraw_by_order(&mut self, payloads: &[Payload], now: Timestamp) {
        self.signalled(names::SIGNAL_WITHDRAW, signals::withdrawal(payloads), now);
    }

    fn signalled(&mut self, signal: &str, told: Result<Told, String>, now: Timestamp) {
        match told {
            Ok(told) => self.hear(told, now),
            Err(why) => self.ignore(signal, &why),
        }
    }

    fn hear(&mut self, told: Told, now: Timestamp) {
        if self.opening {
            return match self.meanwhile.len() < MAX_EARLY {
                true => self.meanwhile.push(told),
                false => self.ignore(told.signal(), "too much was told at once"),
            };
        }
        // A withdrawal needs no open stage.
        let waits = match told {
            Told::Withdraw(_) => self.begun.is_none(),
            _ if self.may_ask_soon(&told) => true,
            _ => self.open_stage().is_none() && !self.approval().is_some_and(Approval::is_final),
        };
        if waits && self.early.len() < MAX_EARLY {
            return self.early.push(told);
        }
        let signal = told.signal();
        let done = match told {
            Told::Decision(ballot) => return self.vote(ballot, now),
            Told::Reassign(from, to) => self.replace(from, to),
            Told::Remind(whom) => self.remind_again(whom),
            Told::Withdraw(reason) => self.withdraw(reason, now),
        };
        match done {
            Ok(()) => self.orders = self.orders.wrapping_add(1),
            Err(why) => self.ignore(signal, &why),
        }
    }

    /// Whether it is about somebody who may be about to be asked in another's place.
    fn may_ask_soon(&self, told: &Told) -> bool {
        let who = match told {
            Told::Decision(Ballot { claim: Claim::Reviewer(reviewer), .. }) => Some(reviewer),
            Told::Reassign(from, _) => Some(from),
            Told::Remind(whom) => whom.as_ref(),
            _ => None,
        };
        let asks = |who| self.approval().is_some_and(|approval| approval.may_ask_soon(who));
        who.is_some_and(asks)
    }

    fn vote(&mut self, ballot: Ballot, now: Timestamp) {
        let verdict = ballot.verdict;
        let who = self.who(&ballot.claim);
        let receipt = match &mut self.begun {
            Some(begun) if begun.approval.is_about_to_release(&ballot.claim) => Receipt::Released,
            Some(begun) => begun.approval.vote(ballot, now),
            None => Receipt::StageNotOpen,
        };
        let why = match receipt {
            Receipt::Counted | Receipt::Duplicate => return,
            Receipt::Contradiction => format!("{who} decided otherwise before"),
            Receipt::NotAReviewer => format!("{who} is not asked"),
            Receipt::SelfVote => format!("{who} does not decide their own submission"),
            Receipt::Released => format!("somebody else was asked in the place of {who}"),
            Receipt::StageNotOpen => format!("the stage of {who} is not open"),
        };
        self.ignore(verdict.name(), &why);
    }

    /// Whose decision it claims to be.
    fn who(&self, claim: &Claim) -> String {
        let link = match claim {
            Claim::Reviewer(reviewer) => return reviewer.to_string(),
            Claim::Link(link) => link,
        };
        let seats = self.approval().into_iter().flat_map(Approval::stages).flat_map(Stage::seats);
        let reviewer = seats.into_iter().find(|seat| seat.link == *link);
        reviewer.map_or("whoever has this link".to_owned(), |seat| seat.reviewer.to_string())
    }

    fn replace(&mut self, from: EmailAddress, to: EmailAddress) -> Result<(), String> {
        let begun = self.begun.as_mut().ok_or("there is no stage yet")?;
        begun.approval.reassign(from, to).map_err(|why| why.to_string())
    }

    fn remind_again(&mut self, whom: Option<EmailAddress>) -> Result<(), String> {
        let waiting = self.open_stage().into_iter().flat_map(Stage::undecided);
        let late = waiting.map(|seat| seat.reviewer.clone());
        let late: Vec<_> =
            late.filter(|late| whom.as_ref().is_none_or(|whom| whom == late)).collect();
        if late.is_empty() {
            return Err(match whom {
                Some(whom) => format!("{whom} has nothing to decide now"),
                None => "there is nobody to remind".to_owned(),
            });
        }
        if self.reminded_by_hand >= MAX_REMINDED_BY_HAND {
            return Err(format!("people were reminded {MAX_REMINDED_BY_HAND} times already"));
        }
        self.reminded_by_hand += 1;
        for late in late {
            if !self.to_remind.contains(&late) {
                self.to_remind.push(late);
            }
        }
        Ok(())
    }

    /// Calls the approval off.
    pub(crate) fn withdraw(&mut self, reason: String, now: Timestamp) -> Result<(), String> {
        let begun = self.begun.as_mut().ok_or("there is nothing to call off yet")?;
        let withdrawn = begun.approval.withdraw(clean(&reason), now);
        withdrawn.then_some(()).ok_or_else(|| "it is decided already".to_owned())
    }

    fn ignore(&mut self, signal: &str, why: &str) {
        self.ignored = self.ignored.saturating_add(1);
        if self.ignored_because.len() == MAX_REASONS {
            self.ignored_because.pop_front();
        }
        self.ignored_because.push_back(format!("{signal}: {why}"));
    }

    /// Tells that time has passed; answers with who has to be reminded.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        self.begun.as_mut().map(|begun| begun.approval.tick(now)).unwrap_or_default()
    }

    /// Whom operators want to be reminded, once.
    pub(crate) fn take_reminders(&mut self) -> Vec<EmailAddress> {
        std::mem::take(&mut self.to_remind)
    }

    /// The requests to those of the open stage who have been asked by no mail yet.
    pub(crate) fn new_requests(&mut self) -> Vec<ReviewRequest> {
        let Some(begun) = &mut self.begun else { return Vec::new() };
        let open = begun.approval.open_stage().into_iter();
        let links = open.flat_map(Stage::undecided).map(|seat| seat.link.clone());
        let new: Vec<String> = links.filter(|link| !begun.mails.contains_key(link)).collect();
        for link in &new {
            begun.mails.insert(link.clone(), Mail { on_its_way: true, ..Mail::default() });
        }
        self.requests(|seat| new.contains(&seat.link), false)
    }

    /// Reminders to some of the open stage who have not decided. Whoever is being mailed is not
    /// reminded too: after an outage, one mail comes.
    pub(crate) fn reminders(&mut self, late: &[EmailAddress]) -> Vec<ReviewRequest> {
        let mails = self.begun().map(|begun| &begun.mails);
        let busy = |seat: &Seat| {
            mails.and_then(|mails| mails.get(&seat.link)).is_some_and(|mail| mail.on_its_way)
        };
        let wanted = |seat: &Seat| late.contains(&seat.reviewer) && !busy(seat);
        let reminders = self.requests(wanted, true);
        for reminder in &reminders {
            if let Some(mail) =
                self.begun.as_mut().and_then(|begun| begun.mails.get_mut(&reminder.link))
            {
                mail.on_its_way = true;
            }
        }
        reminders
    }

    fn requests(&self, wanted: impl Fn(&Seat) -> bool, reminder: bool) -> Vec<ReviewRequest> {
        let Some(begun) = self.begun() else { return Vec::new() };
        let Some(position) = begun.approval.open() else { return Vec::new() };
        let stage = &begun.approval.stages()[position];
        let request = |seat: &Seat| ReviewRequest {
            approval: begun.id,
            stage: position as u32,
            round: seat.round,
            stage_name: stage.plan().name.clone(),
            reviewer: seat.reviewer.clone(),
            on_behalf_of: seat.on_behalf_of.clone(),
            link: seat.link.clone(),
            deadline: stage.deadline().map(to_message),
            on_deadline: stage.on_deadline(),
            escalates: stage.has_next_level(),
            reminder,
            submission: begun.plan.submission.clone(),
        };
        stage.undecided().filter(|seat| wanted(seat)).map(request).collect()
    }

    /// Keeps account of a request that was sent, or refused for good. Says whether that changes who
    /// can be reached.
    pub(crate) fn delivered(
        &mut self,
        link: &str,
        reminder: bool,
        result: Result<(), String>,
    ) -> bool {
        let Some(begun) = &mut self.begun else { return false };
        let mail = begun.mails.entry(link.to_owned()).or_default();
        mail.on_its_way = false;
        let was_reached = mail.error.is_empty();
        match result {
            Ok(()) => {
                mail.sent = true;
                mail.error.clear();
                mail.reminders += u32::from(reminder);
            }
            Err(error) => mail.error = error,
        }
        let reached = mail.error.is_empty();
        begun.approval.reached(link, reached);
        reached != was_reached
    }

    /// Whether the outcome is handed on.
    pub(crate) fn has_webhook(&self) -> bool {
        self.begun().is_some_and(|begun| begun.plan.webhook)
    }

    /// The task queue of the webhook, where it is another than the workflow's.
    pub(crate) fn webhook_queue(&self) -> Option<String> {
        self.begun().and_then(|begun| begun.plan.webhook_queue.clone())
    }

    /// The webhook takes no outcome, and is not tried any more.
    pub(crate) fn webhook_refused(&mut self, why: String) {
        if let Some(begun) = &mut self.begun {
            begun.webhook_error = why;
        }
    }

    /// The outcome was handed on so.
    pub(crate) fn handed_on(&mut self, outcome: v1::Outcome) {
        if let Some(begun) = &mut self.begun {
            begun.handed_on = Some(outcome);
        }
    }

    /// The webhook has the outcome, or is not tried any more.
    pub(crate) fn webhook_is_over(&mut self) {
        if let Some(begun) = &mut self.begun {
            begun.webhook_is_over = true;
        }
    }

    /// Who still has to take the outcome before the workflow completes.
    pub(crate) fn handing_on_to(&self) -> Vec<String> {
        let Some(begun) = self.begun().filter(|begun| begun.approval.is_final()) else {
            return Vec::new();
        };
        let started = !begun.child_workflow_id.is_empty() || !begun.not_continued.is_empty();
        let next = self.continuation().filter(|_| !started);
        let next = next.map(|next| format!("the workflow {}", next.workflow));
        let webhook = begun.plan.webhook && !begun.webhook_is_over;
        next.into_iter().chain(webhook.then(|| "the webhook".to_owned())).collect()
    }

    /// What the workflow returns: what was handed on, where that was.
    pub(crate) fn result(&self) -> v1::Outcome {
        let handed_on = self.begun().and_then(|begun| begun.handed_on.clone());
        handed_on.unwrap_or_else(|| self.outcome())
    }

    /// A name that is its own.
    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.begun().map(|begun| begun.id).unwrap_or_default())
    }

    /// The workflow that goes on with the outcome.
    pub(crate) fn continuation(&self) -> Option<Continuation> {
        let begun = self.begun()?;
        match self.outcome().status() {
            v1::Status::Approved => begun.plan.then.approved.clone(),
            v1::Status::Rejected => begun.plan.then.rejected.clone(),
            _ => None,
        }
    }

    /// The workflow that goes on has this ID, and a namespace where it has one of its own; or it
    /// could not be started.
    pub(crate) fn continued_by(
        &mut self,
        workflow_id: String,
        namespace: Option<String>,
        started: Result<(), String>,
    ) {
        let Some(begun) = &mut self.begun else { return };
        match started {
            Ok(()) => {
                begun.child_workflow_id = workflow_id;
                begun.child_namespace = namespace.unwrap_or_default();
            }
            Err(why) => begun.not_continued = format!("{workflow_id} could not be started: {why}"),
        }
    }

    fn was_asked(&self, seat: &Seat) -> bool {
        self.begun().and_then(|begun| begun.mails.get(&seat.link)).is_some_and(|mail| mail.sent)
    }

    /// A stage is over: those who were asked and need not act any more are told.
    pub(crate) fn release(&mut self, stage: usize) {
        let Some(begun) = self.begun() else { return };
        let outcome = self.outcome();
        let seats = begun.approval.stages()[stage].undecided();
        let told: Vec<_> =
            seats.filter(|seat| self.was_asked(seat)).map(|seat| release(seat, &outcome)).collect();
        told.into_iter().for_each(|announcement| self.tell(announcement));
    }

    /// It is decided: the submitter is told.
    pub(crate) fn conclude(&mut self) {
        let outcome = self.outcome();
        if let Some(recipient) = self.begun().map(|begun| begun.plan.submitter.clone()) {
            self.tell(Announcement { recipient, reviewer: false, outcome });
        }
    }

    fn tell(&mut self, announcement: Announcement) {
        if let Some(begun) = &mut self.begun {
            begun.announcements.insert(begun.announced, announcement);
            begun.announced += 1;
        }
    }

    /// Who has to be told something, from a number on.
    pub(crate) fn announcements(&self, from: u32) -> Vec<(u32, Announcement)> {
        let all = self.begun().map(|begun| begun.announcements.range(from..));
        all.into_iter().flatten().map(|(number, to)| (*number, to.clone())).collect()
    }

    /// They have been told, or cannot be. Says whether that is to be seen.
    pub(crate) fn told(&mut self, number: u32, told: Result<(), String>) -> bool {
        let Some(begun) = &mut self.begun else { return false };
        let announcement = begun.announcements.remove(&number);
        match (announcement, told) {
            (Some(Announcement { reviewer: false, .. }), Err(why)) => {
                begun.untold = why;
                true
            }
            _ => false,
        }
    }
}

fn release(seat: &Seat, outcome: &v1::Outcome) -> Announcement {
    let mut outcome = outcome.clone();
    let mut room = MAX_TOLD_COMMENTS;
    for vote in outcome.stages.iter_mut().flat_map(|stage| &mut stage.decisions) {
        match room.checked_sub(vote.comment.len()) {
            Some(left) => room = left,
            None => vote.comment = "…".to_owned(),
        }
    }
    Announcement { recipient: seat.reviewer.clone(), reviewer: true, outcome }
}

#[cfg(test)]
mod tests {
    use countersign_protos::payload::{self, Encoding};
    use serde_json::json;

    use super::*;
    use crate::{
        approval::{Invited, OnDeadline, Quorum, Status},
        limits::MAX_SEATS,
        policy::{Absence, StageRule, TimePlan, stand_ins},
    };

    fn address(text: &str) -> EmailAddress {
        text.parse().expect("an address")
    }

    fn plan() -> Plan {
        let reviewers = vec![address("ann@example.com"), address("bob@example.com")];
        let stage = StageRule {
            name: "Finance".into(),
            reviewers,
            quorum: Quorum::All,
            time: TimePlan { deadline: "1h".parse().expect("a wait"), reminders: vec![] },
            on_deadline: OnDeadline::Expire,
            escalations: vec![],
        };
        Plan::asking(v1::Submission::default(), address("sue@example.com"), vec![stage])
    }

    fn begin(case: &mut Case) {
        case.begin(Uuid::nil(), plan(), NOW);
    }

    fn open(case: &mut Case, links: &[&str]) {
        let (_, issue) = case.to_issue(NOW).expect("somebody to ask");
        case.issued(issue.with_links(links), NOW);
    }

    fn signal(reviewer: &str, comment: &str) -> Vec<Payload> {
        let decision = v1::Decision {
            reviewer: reviewer.into(),
            comment: comment.into(),
            ..Default::default()
        };
        vec![payload::encode(&decision, Encoding::JsonPlain)]
    }

    fn reasons(case: &Case) -> Vec<&String> {
        case.ignored().1.collect()
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn decisions_that_come_before_the_stage_is_open_are_taken_when_it_opens() {
        let mut case = Case::default();
        case.decide(Verdict::Approve, &signal("ann@example.com", "early"), NOW);
        begin(&mut case);
        case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
        assert_eq!(case.decisions(), 0);
        open(&mut case, &["a", "b"]);
        let status =
            case.approval().map(|approval| matches!(approval.status(), Status::Approved(..)));
        assert_eq!(status, Some(true));
        assert_eq!(case.ignored().0, 0);
    }

    #[test]
    fn a_flood_of_early_decisions_is_bounded_and_counted() {
        let mut case = Case::default();
        for _ in 0..MAX_EARLY + 5 {
            case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
        }
        assert_eq!(case.early.len(), MAX_EARLY);
        assert_eq!(case.ignored().0, 5);
    }

    #[test]
    fn what_does_not_count_is_counted_with_its_reason_and_without_its_content() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        let mut garbage = signal("ann@example.com", "");
        garbage[0].data = b"\"7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T\"".to_vec();
        case.decide(Verdict::Approve, &garbage, NOW);
        case.decide(Verdict::Approve, &[], NOW);
        case.decide(Verdict::Reject, &[signal("a@b.c", ""), signal("a@b.c", "")].concat(), NOW);
        case.decide(Verdict::Reject, &signal("", ""), NOW);
        case.decide(Verdict::Reject, &signal("eve", ""), NOW);
        case.decide(Verdict::Reject, &signal("eve@example.com", ""), NOW);
        case.decide(Verdict::Approve, &signal("sue@example.com", ""), NOW);
        case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
        case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
        case.decide(Verdict::Reject, &signal("ann@example.com", ""), NOW);
        assert_eq!(
            reasons(&case),
            [
                "approve: the payload is no decision: a JSON object with link or reviewer, and comment",
                "approve: one input is expected, and there is none",
                "reject: one input is expected, and there are 2",
                "reject: it names neither link nor reviewer",
                "reject: its reviewer is no e-mail address",
                "reject: eve@example.com is not asked",
                "approve: sue@example.com does not decide their own submission",
                "reject: ann@example.com decided otherwise before",
            ]
        );
        assert_eq!((case.ignored().0, case.decisions()), (8, 1));
    }

    fn order(json: serde_json::Value) -> Vec<Payload> {
        let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
        vec![Payload { metadata, data: json.to_string().into_bytes() }]
    }

    #[test]
    fn orders_have_their_effect_or_a_reason() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        let to = |reviewer: &str, to: &str| order(json!({"reviewer": reviewer, "to": to}));
        let whom = |reviewer: &str| order(json!({"reviewer": reviewer}));
        case.reassign(&to("ann@example.com", "sue@example.com"), NOW);
        case.reassign(&to("ann@example.com", "cy"), NOW);
        case.reassign(&[], NOW);
        case.remind(&whom("eve@example.com"), NOW);
        case.remind(&[order(json!({})), whom("")].concat(), NOW);
        assert_eq!(case.news(), (0, 0, false));
        assert_eq!(
            reasons(&case),
            [
                "reassign: the submitter does not decide their own submission",
                "reassign: its to is no e-mail address",
                "reassign: one input is expected, and there is none",
                "remind: eve@example.com has nothing to decide now",
                "remind: one input is expected, and there are 2",
            ]
        );
        case.reassign(&to("ann@example.com", "cy@example.com"), NOW);
        case.remind(&whom("Bob@Example.com"), NOW);
        assert_eq!(case.news(), (0, 2, true));
        assert_eq!(case.take_reminders(), [address("bob@example.com")]);
        open(&mut case, &["c"]);
        case.remind(&[], NOW);
        let everybody = [address("bob@example.com"), address("cy@example.com")];
        assert_eq!(case.take_reminders(), everybody);
        case.withdraw_by_order(&order(json!({"reason": "ordered twice"})), NOW);
        case.withdraw_by_order(&[], NOW);
        assert_eq!(case.outcome().reason, "Withdrawn: ordered twice");
        assert_eq!(case.ignored().0, 6, "the second withdrawal is one too many");
    }

    #[test]
    fn decisions_behind_a_reassignment_are_taken_in_their_order() {
        let decided = || {
            let mut case = Case::default();
            begin(&mut case);
            open(&mut case, &["a", "b"]);
            let to = |from: &str, to: &str| order(json!({"reviewer": from, "to": to}));
            case.reassign(&to("ann@example.com", "cy@example.com"), NOW);
            case.decide(Verdict::Reject, &signal("ann@example.com", "too late"), NOW);
            case.decide(Verdict::Approve, &signal("cy@example.com", "by phone"), NOW);
            case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
            if case.to_issue(NOW).is_some() {
                open(&mut case, &["c"]);
            }
            (case.outcome().reason, reasons(&case).into_iter().cloned().collect::<Vec<_>>())
        };
        let (reason, ignored) = decided();
        assert_eq!(reason, "Approved by bob@example.com and cy@example.com.");
        assert_eq!(ignored, ["reject: somebody else was asked in the place of ann@example.com"]);
    }

    #[test]
    fn whoever_is_about_to_be_asked_can_be_replaced_and_reminded() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        let to = |from: &str, to: &str| order(json!({"reviewer": from, "to": to}));
        case.reassign(&to("ann@example.com", "cy@example.com"), NOW);
        case.reassign(&to("cy@example.com", "di@example.com"), NOW);
        case.remind(&order(json!({"reviewer": "di@example.com"})), NOW);
        open(&mut case, &["c"]);
        open(&mut case, &["d"]);
        assert_eq!(case.ignored().0, 0, "{:?}", reasons(&case));
        assert_eq!(case.take_reminders(), [address("di@example.com")]);
        case.decide(Verdict::Approve, &signal("di@example.com", ""), NOW);
        assert_eq!(case.decisions(), 1);
    }

    /// Asks whoever is to be asked, as the activity does that issues links: Dee stands in for Fay.
    fn open_for_fay(case: &mut Case, link: &str) {
        let today = "1970-01-01".parse().expect("a date");
        let (reviewer, deputy) = (address("fay@example.com"), address("dee@example.com"));
        let absences = [Absence { reviewer, deputy, from: today, to: today }];
        let (_, issue) = case.to_issue(NOW).expect("somebody to ask");
        let submitter = issue.submitter.as_ref().expect("somebody submits");
        let invitees = stand_ins(&issue.reviewers, &issue.asked, &absences, today, submitter);
        let invited = invitees.into_iter().map(|invitee| Invited {
            reviewer: invitee.reviewer,
            on_behalf_of: invitee.on_behalf_of,
            link: link.into(),
        });
        case.issued(Issued { invited: invited.collect(), due: None }, NOW);
    }

    #[test]
    fn a_reassignment_that_turns_out_to_give_somebody_two_votes_is_counted_as_ignored() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        let to = |from: &str, to: &str| order(json!({"reviewer": from, "to": to}));
        // Before the links are issued, nobody knows that Dee stands in for Fay.
        case.reassign(&to("ann@example.com", "fay@example.com"), NOW);
        case.reassign(&to("bob@example.com", "dee@example.com"), NOW);
        open_for_fay(&mut case, "d");
        open_for_fay(&mut case, "e");
        let stage = case.open_stage().expect("an open stage");
        let waiting: Vec<&str> = stage.undecided().map(|seat| seat.link.as_str()).collect();
        assert_eq!(waiting, ["b", "d"], "Bob keeps his place");
        let why = "reassign: the new reviewer, or their deputy, is asked in this stage already";
        assert_eq!(reasons(&case), [why]);
        // Nor does Fay get a vote beside that of her deputy.
        case.reassign(&to("bob@example.com", "fay+x@example.com"), NOW);
        assert_eq!(reasons(&case), [why, why]);
    }

    #[test]
    fn a_decision_behind_a_reassignment_waits_for_the_deputy_to_be_asked() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        let to = json!({"reviewer": "ann@example.com", "to": "fay@example.com"});
        case.reassign(&order(to), NOW);
        case.decide(Verdict::Approve, &signal("fay@example.com", "from the beach"), NOW);
        case.decide(Verdict::Approve, &signal("dee@example.com", "by phone"), NOW);
        case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
        open_for_fay(&mut case, "d");
        assert_eq!(case.outcome().reason, "Approved by bob@example.com and dee@example.com.");
        assert_eq!(case.outcome().stages[0].decisions[1].on_behalf_of, "fay@example.com");
        assert_eq!(
            reasons(&case),
            ["approve: somebody else was asked in the place of fay@example.com"]
        );
    }

    #[test]
    fn the_place_of_somebody_who_is_back_is_given_back_by_their_deputy() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        let to = |from: &str, to: &str| order(json!({"reviewer": from, "to": to}));
        case.reassign(&to("ann@example.com", "fay@example.com"), NOW);
        open_for_fay(&mut case, "d");
        // Even while the rules still say that she is away: Dee is not asked in her own place.
        case.reassign(&to("dee@example.com", "fay@example.com"), NOW);
        open_for_fay(&mut case, "f");
        let stage = case.open_stage().expect("an open stage");
        let waiting: Vec<_> = stage.undecided().map(|seat| seat.reviewer.as_str()).collect();
        assert_eq!(waiting, ["bob@example.com", "fay@example.com"]);
        assert_eq!(case.ignored().0, 0, "{:?}", reasons(&case));
    }

    #[test]
    fn a_reassignment_told_while_links_are_issued_is_held_against_those_who_get_them() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        let to = |from: &str, to: &str| order(json!({"reviewer": from, "to": to}));
        case.reassign(&to("ann@example.com", "fay@example.com"), NOW);
        case.opening();
        case.reassign(&to("bob@example.com", "dee@example.com"), NOW);
        open_for_fay(&mut case, "d");
        case.opened(NOW);
        assert_eq!(case.to_issue(NOW).map(|(summary, _)| summary), None);
        let why = "reassign: the new reviewer, or their deputy, is asked in this stage already";
        assert_eq!(reasons(&case), [why]);
    }

    #[test]
    fn orders_that_come_early_are_taken_when_it_is_time() {
        let mut case = Case::default();
        case.withdraw_by_order(&[], NOW);
        begin(&mut case);
        assert_eq!(case.outcome().status(), v1::Status::Withdrawn);
    }

    #[test]
    fn whoever_is_being_mailed_is_not_reminded_too() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        case.new_requests();
        case.delivered("a", false, Ok(()));
        let both = [address("ann@example.com"), address("bob@example.com")];
        let reminded = |case: &mut Case| -> Vec<String> {
            case.reminders(&both).into_iter().map(|reminder| reminder.link).collect()
        };
        assert_eq!(reminded(&mut case), ["a"], "Bob's first mail is on its way");
        assert_eq!(reminded(&mut case), [""; 0], "so is Ann's reminder");
        case.delivered("a", true, Ok(()));
        case.delivered("b", false, Err("refused".into()));
        assert_eq!(reminded(&mut case), ["a", "b"]);
        case.resume(Case::default(), NOW);
        assert_eq!(reminded(&mut case), ["a", "b"], "another run sends no earlier reminder");
    }

    #[test]
    fn reminders_by_hand_are_bounded() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        for _ in 0..MAX_REMINDED_BY_HAND + 3 {
            case.remind(&[], NOW);
            case.take_reminders();
        }
        assert_eq!(case.ignored().0, 3);
    }

    #[test]
    fn whoever_is_replaced_is_mailed_no_more_and_told_only_if_they_were_asked() {
        for sent in [false, true] {
            let mut case = Case::default();
            begin(&mut case);
            open(&mut case, &["a", "b"]);
            if sent {
                case.delivered("a", false, Ok(()));
            }
            let to = json!({"reviewer": "ann@example.com", "to": "cy@example.com"});
            case.reassign(&order(to), NOW);
            let (_, issue) = case.to_issue(NOW).expect("somebody to ask");
            assert_eq!(case.issued(issue.with_links(&["c"]), NOW), ["a"]);
            assert_eq!(case.announcements(0).len(), usize::from(sent));
        }
    }

    #[test]
    fn those_who_are_released_are_told_as_many_comments_as_fit() {
        let mut case = Case::default();
        let mut plan = plan();
        let reviewers = (0..MAX_SEATS).map(|i| address(&format!("{i}@example.com")));
        plan.stages[0].reviewers = reviewers.collect();
        case.begin(Uuid::nil(), plan, NOW);
        let links: Vec<String> = (0..MAX_SEATS).map(|i| i.to_string()).collect();
        open(&mut case, &links.iter().map(String::as_str).collect::<Vec<_>>());
        for link in &links {
            case.delivered(link, false, Ok(()));
        }
        let long = "\u{1F600}".repeat(names::COMMENT_MAX_CHARS);
        for i in 0..MAX_SEATS / 2 {
            case.decide(Verdict::Approve, &signal(&format!("{i}@example.com"), &long), NOW);
        }
        case.decide(Verdict::Reject, &signal("79@example.com", "no"), NOW);
        case.release(0);
        let told = case.announcements(0);
        assert_eq!(told.len(), MAX_SEATS / 2 - 1);
        let comments: Vec<&str> =
            told[0].1.outcome.stages[0].decisions.iter().map(|vote| &*vote.comment).collect();
        assert_eq!((comments[1], comments[2], comments[40]), (&*long, "…", "no"));
        let bytes: usize = told.iter().map(|told| json!(told.1).to_string().len()).sum();
        assert!(bytes < 1024 * 1024, "{bytes} bytes");
    }

    #[test]
    fn what_is_told_while_links_are_issued_waits_until_all_that_follows_has_begun() {
        let mut case = Case::default();
        case.decide(Verdict::Approve, &signal("ann@example.com", "early"), NOW);
        begin(&mut case);
        case.opening();
        case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
        open(&mut case, &["a", "b"]);
        assert_eq!(case.decisions(), 1, "the early one counts as the stage opens");
        assert_eq!(case.new_requests().len(), 1, "Bob is asked");
        case.opened(NOW);
        assert_eq!(case.outcome().status(), v1::Status::Approved);
    }

    #[test]
    fn a_flood_while_links_are_issued_is_bounded_and_overtakes_nothing() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        case.opening = true;
        for _ in 0..MAX_EARLY {
            case.decide(Verdict::Approve, &signal("eve@example.com", ""), NOW);
        }
        case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
        assert_eq!((case.decisions(), case.ignored().0), (0, 1));
        assert_eq!(reasons(&case), ["approve: too much was told at once"]);
    }

    #[test]
    fn another_run_goes_on_where_this_one_stopped() {
        let mut case = Case::default();
        begin(&mut case);
        open(&mut case, &["a", "b"]);
        assert_eq!(case.new_requests().len(), 2);
        case.delivered("a", false, Ok(()));
        case.decide(Verdict::Approve, &signal("ann@example.com", "fine"), NOW);
        let json = serde_json::to_string(&case).expect("it can be written");
        let mut next: Case = serde_json::from_str(&json).expect("it can be read");
        let mut told_first = Case::default();
        told_first.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
        told_first.decide(Verdict::Approve, &[], NOW);
        let mut without_signals: Case = serde_json::from_str(&json).expect("it can be read");
        without_signals.resume(Case::default(), NOW);
        let again = without_signals.new_requests();
        assert_eq!(again.len(), 1, "Bob's mail was not sent yet");
        assert_eq!(again[0].link, "b");
        next.resume(told_first, NOW);
        assert_eq!(next.outcome().status(), v1::Status::Approved);
        assert_eq!(next.outcome().stages[0].decisions[0].comment, "fine");
        assert_eq!(next.ignored().0, 1);
    }

    #[test]
    fn only_the_latest_reasons_are_kept() {
        let mut case = Case::default();
        for _ in 0..12_000 {
            case.decide(Verdict::Approve, &[], NOW);
        }
        assert_eq!(case.ignored().0, 12_000);
        assert_eq!(reasons(&case).len(), MAX_REASONS);
    }
}
