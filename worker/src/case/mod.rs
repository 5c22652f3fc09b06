//! The state of one approval in its workflow. Deterministic, and without I/O: [`Case::handle`] takes
//! what has happened, [`Case::next`] says what to do.

mod counted;
mod delegations;
mod deliveries;
mod ending;
mod evidence;
mod inbox;
mod issuing;
mod notices;
mod requests;
mod signals;
mod versions;
mod visibility;
mod votes;

use countersign_protos::{
    Chain, names,
    payload::{self, Encoding, Payload},
    text::{self, to_message},
    v1,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use temporalio_common::search_attributes::SearchAttributeUpdate;

pub(crate) use self::{
    counted::{CountedDelegation, CountedVote},
    ending::{Consequence, FollowUpStart},
    evidence::{HandOver, Undelivered},
    signals::Signal,
    visibility::unset,
};
use self::{
    deliveries::Deliveries,
    ending::{Ending, Progress},
    evidence::{Left, Previous},
    inbox::Inbox,
    notices::{Kind, Notices},
    versions::Revision,
};
use crate::{
    approval::{Approval, Ballot, Claim, Seat, Status},
    outcome,
    policy::Plan,
    recorded::{
        Concluded, Evidence, Issue, Issued, Notice, ReviewRequest, Revising, Sealed, Validated,
    },
};

/// Serialised, it is what a workflow that continues as new leaves to its next run.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Case {
    inbox: Inbox,
    /// `None` until the submission is validated.
    open: Option<Open>,
    /// Why the submission cannot be decided. The workflow then fails.
    #[serde(skip)]
    refused: Option<String>,
    /// Whether something happened since the last [`Case::next`] that it has to look at.
    #[serde(skip)]
    changed: bool,
    /// How many votes [`Case::new_votes`] has returned.
    #[serde(skip)]
    votes_told: usize,
    /// How many delegations [`Case::new_delegations`] has returned.
    #[serde(skip)]
    delegations_told: usize,
}

/// An approval whose submission can be decided.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Left")]
struct Open {
    sealed: Sealed<Plan>,
    plan: Plan,
    workflow_id: String,
    first_run_id: String,
    /// When the plan was made.
    began: Timestamp,
    /// Of the submission, and therefore of the outcome.
    encoding: Encoding,
    approval: Approval,
    /// In which people read times.
    time_zone: TimeZone,
    /// When Temporal ends this run, whatever it waits for. Each run has its own.
    times_out_at: Option<Timestamp>,
    deliveries: Deliveries,
    notices: Notices,
    ending: Ending,
    previous: Option<Previous>,
    /// What is to be looked at next.
    revision: Option<Box<Revision>>,
    /// What [`Case::next`] has worked on. Once it has ended, that is to be said.
    phase: Option<Phase>,
    /// Whether links are being issued, or a revision is looked at.
    issuing: bool,
    /// Whether search attributes have changed since they were last written.
    unpublished: bool,
    /// Whether time, a cancellation or a mail's end has decided what is next, and no command shows it yet.
    ///
    /// A query may have the workflow task end early, while links are issued or the outcome is concluded. The
    /// SDK takes such a task for none if it has no command, and after a worker's death shows what came in it
    /// together with what came later, signals first: a vote would then come before a deadline that has had
    /// its effect. So search attributes are written first.
    untraced: bool,
}

/// What an approval waits for while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Phase {
    version: u32,
    stage: usize,
    /// Whether it waits for the submitter, and not for the stage's reviewers.
    is_paused: bool,
}

/// Something that has happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// What somebody who claims this identity has sent as the signal of this name, which there may not be.
    Signal(String, Vec<Payload>, String),
    /// The workflow is cancelled, for this reason.
    Cancelled(String),
    /// The answer to [`Step::Issue`].
    LinksIssued(Issued),
    /// The answer to [`Step::Revise`].
    Revised(Validated),
    /// The time of a [`Wait`] has come.
    TimePassed,
    /// A request was sent, or refused for good.
    RequestFinished { link: String, reminder: bool, result: Result<(), String> },
    /// A notice was sent, or refused for good.
    NoticeFinished { number: u32, result: Result<(), String> },
    /// The answer to [`Step::Conclude`].
    Concluded(Concluded),
    /// The follow-up workflow was started, or refused for good.
    FollowUpFinished(Result<(), String>),
    /// The follow-up workflow has failed while the approval is still open.
    FollowUpFailed(String),
    /// The webhook took the outcome, or refused it for good.
    WebhookFinished(Result<(), String>),
    /// No other workflow goes on delivering notices, for this reason.
    NoticesNotHandedOver(String),
}

/// What the workflow does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Have a revision validated and routed, and hand the answer to the state as [`Event::Revised`]; write search
    /// attributes first if `publish`.
    Revise { summary: String, revising: Box<Revising>, publish: bool },
    /// Issue links, and hand them to the state as [`Event::LinksIssued`]; write search attributes first if
    /// `publish`.
    Issue { summary: String, issue: Box<Issue>, publish: bool },
    /// Send requests, and wait for the state to change or for the time to come.
    Wait(Wait),
    /// A stage has ended, or is paused. Cancel its timer, its requests and what the submitter is told of it, unless the
    /// workflow is about to close.
    EndStage { cancel: bool },
    /// Compute and seal the outcome, and hand it to the state as [`Event::Concluded`]; write search attributes
    /// first if `publish`.
    Conclude { evidence: Box<Evidence>, publish: bool },
    /// Begin to act on the outcome.
    Act(Box<Consequence>),
    /// Have another workflow deliver the notices that are left, and return the result.
    Close { publish: bool, undelivered: Option<Box<Undelivered>> },
    /// Give up: the stage waits for nobody and for no time. No approval gets there by itself; the
    /// workflow task of a forged one would never end.
    Stuck,
}

/// See [`Step::Wait`].
#[derive(Debug)]
pub(crate) struct Wait {
    /// Whether search attributes have to be written first.
    pub(crate) publish: bool,
    /// The links of reviewers who were superseded before their request was sent.
    pub(crate) stop: Vec<String>,
    pub(crate) requests: Vec<ReviewRequest>,
    /// When time has an effect, and which, for people.
    pub(crate) until: Option<(Timestamp, String)>,
    /// Whether the approval can still be cancelled and continue as new.
    pub(crate) open: bool,
}

impl Case {
    /// The submission is valid: its plan says who is asked, or what a rule has decided.
    ///
    /// # Errors
    /// Why the plan is not one that we record.
    pub(crate) fn begin(
        &mut self,
        plan: Sealed<Plan>,
        chain: Chain<'_>,
        encoding: Encoding,
        now: Timestamp,
    ) -> Result<(), String> {
        let first_run_id = chain.first_run_id.to_owned();
        let left = Left {
            evidence: Evidence { plan, first_run_id, began: now, journal: Vec::new() },
            workflow_id: chain.workflow_id.to_owned(),
            encoding,
            deliveries: Deliveries::default(),
            notices: Notices::default(),
            outcome: None,
            previous: None,
        };
        self.open = Some(left.open()?);
        self.drain_until_open(now);
        Ok(())
    }

    /// Temporal ends this run then, by a time-out that it was started with.
    pub(crate) fn times_out(&mut self, at: Option<Timestamp>) {
        if let Some(open) = &mut self.open {
            open.times_out_at = at;
        }
    }

    /// The submission cannot be decided.
    pub(crate) fn refuse(&mut self, why: String) {
        (self.open, self.refused) = (None, Some(why));
    }

    /// Goes on from what the run before has left, and takes the signals of this run.
    pub(crate) fn resume(&mut self, left: Case, now: Timestamp) {
        let newer = std::mem::replace(self, left);
        self.inbox.merge(newer.inbox);
        // The run before has told of them.
        self.new_votes();
        self.new_delegations();
        if let Some(open) = &mut self.open {
            open.deliveries.resume();
            open.phase = open.pending();
        }
        self.drain_until_open(now);
        if let Some(open) = &mut self.open {
            // The run publishes everything when it starts.
            open.unpublished = false;
        }
    }

    /// Takes what has happened.
    pub(crate) fn handle(&mut self, event: Event, now: Timestamp) {
        match (event, &mut self.open) {
            (Event::Signal(name, payloads, identity), _) => {
                match signals::read(&name, &payloads, &identity) {
                    Ok(signal) => self.receive(signal, now),
                    Err(why) => self.inbox.ignore(&name, &why, now),
                }
            }
            (_, None) => {}
            (Event::LinksIssued(issued), Some(_)) => self.links_issued(issued),
            (Event::Revised(validated), Some(_)) => self.revised(validated, now),
            // If it has been decided meanwhile, cancelling changes nothing.
            (Event::Cancelled(reason), Some(open)) => {
                open.untraced |= open.approval.cancel(text::comment(&reason), now);
            }
            (Event::TimePassed, Some(open)) if open.approval.is_final() => {}
            (Event::TimePassed, Some(open)) => {
                open.deliveries.remind(open.approval.tick(now));
                open.untraced = true;
            }
            // It may be about the version before.
            (Event::RequestFinished { link, .. }, Some(open))
                if open.approval.asked_at(&link).is_none() => {}
            (Event::RequestFinished { link, reminder, result }, Some(open)) => {
                let (before, after) = open.deliveries.finish(&link, reminder, result);
                open.approval.reached(&link, after);
                open.unpublished |= before != after;
                let asks_others = open.approval.to_ask().is_some();
                open.untraced |= asks_others;
                self.changed |= asks_others || before != after;
            }
            (Event::NoticeFinished { number, result }, Some(open)) => {
                open.unpublished |= open.notices.finish(number, result);
                self.changed = true;
            }
            (Event::Concluded(Concluded { outcome: sealed, jws }), Some(open)) => {
                if let Ok(outcome) = sealed.unverified() {
                    open.ending.concluded = Some((sealed, v1::Outcome { jws, ..outcome }));
                    open.notices.notify(open.plan.submitter.clone(), Kind::Outcome, 0);
                    open.unpublished = true;
                }
            }
            (Event::FollowUpFinished(result), Some(open)) => {
                open.unpublished |= result.is_err();
                open.ending.follow_up = Progress::Done(result);
                self.changed = true;
            }
            (Event::FollowUpFailed(why), Some(open)) => {
                open.unpublished = true;
                open.ending.follow_up_failure = why;
                self.changed = true;
            }
            (Event::WebhookFinished(result), Some(open)) => {
                open.unpublished |= result.is_err();
                open.ending.webhook = Progress::Done(result);
                self.changed = true;
            }
            (Event::NoticesNotHandedOver(why), Some(open)) => open.notices.submitter_error = why,
        }
    }

    /// What to do now.
    pub(crate) fn next(&mut self, now: Timestamp) -> Step {
        self.changed = false;
        let Some(open) = &mut self.open else { return Step::Stuck };
        let pending = open.pending();
        if pending.is_some()
            && let Some((summary, revising)) = open.take_revision()
        {
            open.issuing = true;
            let publish = std::mem::take(&mut open.untraced);
            return Step::Revise { summary, revising: Box::new(revising), publish };
        }
        if open.revision.take().is_some() {
            self.inbox.ignore(names::SIGNAL_REVISE, "it is decided already", now);
        }
        if let Some(ended) = open.phase.take_if(|phase| Some(*phase) != pending) {
            open.notify_undecided(ended, pending);
            let is_told = open.notices.end_stage();
            let cancel = is_told || pending.is_some() || open.waits_for_receiver();
            return Step::EndStage { cancel };
        }
        open.phase = pending;
        if pending.is_none() {
            self.drain(now);
            return self.open.as_mut().map_or(Step::Stuck, |open| open.next_of_end(now));
        }
        if let Some((summary, issue)) = open.to_issue(now) {
            open.issuing = true;
            let publish = std::mem::take(&mut open.untraced);
            return Step::Issue { summary, issue: Box::new(issue), publish };
        }
        let Some(until) = open.next_deadline() else { return Step::Stuck };
        open.notify_if_unreachable();
        open.untraced = false;
        Step::Wait(Wait {
            publish: std::mem::take(&mut open.unpublished),
            stop: open.unsent_to_superseded(),
            requests: open.requests(),
            until: Some(until),
            open: true,
        })
    }

    /// Takes the signals that came while links were issued. To be called when all that a [`Wait`] asks
    /// for has been scheduled.
    pub(crate) fn drain(&mut self, now: Timestamp) {
        let held = self.inbox.while_issuing.take();
        held.into_iter().for_each(|signal| self.receive(signal, now));
    }

    /// Whether [`Case::next`] has something new to say.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// The notices that are to be sent, each once in a run.
    pub(crate) fn start_notices(&mut self) -> Vec<Notice> {
        self.open.as_mut().map(Open::start_notices).unwrap_or_default()
    }

    /// Whether [`Case::start_notices`] has any to send.
    pub(crate) fn has_notices_to_start(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.notices.can_start())
    }

    /// By what a search finds the approval.
    pub(crate) fn search_attributes(&self) -> Vec<SearchAttributeUpdate> {
        self.open.as_ref().map(visibility::search_attributes).unwrap_or_default()
    }

    /// What the Web UI shows of the workflow, in Markdown.
    pub(crate) fn details(&self) -> String {
        let details = |open| visibility::details(open, self.inbox.ignored);
        self.open.as_ref().map(details).unwrap_or_default()
    }

    /// The answer to the query `status`.
    pub(crate) fn status(&self) -> v1::ApprovalState {
        let mut state = match (&self.open, self.refused.clone()) {
            (Some(open), _) => visibility::state(open),
            (None, Some(reason)) => v1::ApprovalState { reason, ..Default::default() },
            (None, None) => {
                let status = v1::Status::Pending.into();
                v1::ApprovalState { status, ..Default::default() }
            }
        };
        state.ignored_signals = self.inbox.ignored;
        state.ignored_because.extend(self.inbox.reasons.iter().cloned());
        state
    }

    /// What the workflow returns.
    pub(crate) fn result(&self) -> Payload {
        let Some(open) = &self.open else { return Payload::default() };
        payload::encode(&open.outcome(), open.encoding)
    }

    /// Whether a run of this chain can continue from it.
    pub(crate) fn is_of(&self, chain: Chain<'_>) -> bool {
        self.open.as_ref().is_some_and(|open| open.chain() == chain)
    }

    /// What is to be decided; empty until it is validated.
    pub(crate) fn submission(&self) -> v1::Submission {
        self.open.as_ref().map(|open| open.plan.submission.clone()).unwrap_or_default()
    }

    /// Takes a signal, or holds it until it is time for it.
    fn receive(&mut self, signal: Signal, now: Timestamp) {
        let early = match &self.open {
            Some(open) if open.issuing || open.revision.is_some() => {
                return self.inbox.hold_while_issuing(signal, now);
            }
            Some(open) => open.is_early(&signal),
            None => true,
        };
        let signal = if early { self.inbox.until_open.hold(signal) } else { Some(signal) };
        let Some(signal) = signal else { return };
        let (name, whom) = (signal.name(), signal.whom());
        let done = match &mut self.open {
            Some(open) => open.act(signal, now),
            None => Err("no stage is open yet".to_owned()),
        };
        match done {
            Ok(changed) => self.changed |= changed,
            Err(why) => self.inbox.ignore_about(name, whom, why, now),
        }
    }

    fn drain_until_open(&mut self, now: Timestamp) {
        let held = self.inbox.until_open.take();
        held.into_iter().for_each(|signal| self.receive(signal, now));
    }
}

impl Open {
    fn chain(&self) -> Chain<'_> {
        Chain { workflow_id: &self.workflow_id, first_run_id: &self.first_run_id }
    }

    /// The sealed outcome; before that, what has been decided so far.
    fn outcome(&self) -> v1::Outcome {
        let mut outcome = match &self.ending.concluded {
            Some((_, outcome)) => outcome.clone(),
            None => outcome::outcome(&self.plan, &self.approval, self.chain()),
        };
        outcome.webhook_error = self.ending.webhook.error().to_owned();
        outcome.follow_up_error = self.ending.follow_up_error().to_owned();
        if !self.ending.follow_up.error().is_empty() {
            (outcome.child_workflow_id, outcome.child_namespace) = <_>::default();
        }
        outcome
    }

    fn pending(&self) -> Option<Phase> {
        let version = self.plan.version();
        if let Status::ChangesRequested(request) = self.approval.status() {
            return Some(Phase { version, stage: request.position, is_paused: true });
        }
        let stage = self.approval.open().or_else(|| Some(self.approval.to_ask()?.stage))?;
        Some(Phase { version, stage, is_paused: false })
    }

    /// When time next has an effect, and which.
    fn next_deadline(&self) -> Option<(Timestamp, String)> {
        let due = self.approval.next_deadline()?;
        let what = match (self.approval.status(), self.approval.open_stage()) {
            (Status::ChangesRequested(request), _) => {
                format!(
                    "Deadline of {} for changes in {}",
                    self.plan.submitter,
                    request.stage.plan().name
                )
            }
            (_, stage) => {
                let stage = stage?;
                let is_deadline = stage.deadline() == Some(due);
                let what = if is_deadline { "Deadline of" } else { "Reminder for" };
                format!("{what} {}", stage.plan().name)
            }
        };
        let when = text::full_moment(Some(&to_message(due)), &self.time_zone);
        Some((due, format!("{what} ({when})")))
    }

    /// Notifies those who need not decide any more in a stage that has ended. Those whose stage is paused, or begins
    /// anew, are told when it is known whether they are asked again.
    fn notify_undecided(&mut self, ended: Phase, pending: Option<Phase>) {
        let same = |now: Phase| (now.version, now.stage) == (ended.version, ended.stage);
        if ended.version == self.plan.version() && !pending.is_some_and(same) {
            self.notify(self.approval.stages()[ended.stage].undecided().cloned().collect());
        }
    }

    /// Notifies those who were asked: others know of nothing.
    fn notify(&mut self, seats: Vec<Seat>) {
        let entries = self.approval.journal().len();
        for seat in seats.iter().filter(|seat| self.deliveries.of(seat).sent) {
            self.notices.notify(seat.reviewer.clone(), Kind::Superseded, entries);
        }
    }

    /// Notifies the submitter that people are first asked, where the rule says so.
    fn notify_of_start(&mut self) {
        let is_told = self.plan.tell_submitter || self.plan.submitter_link;
        if is_told && self.approval.has_asked_once() {
            let entries = self.approval.journal().len();
            self.notices.notify(self.plan.submitter.clone(), Kind::Started, entries);
        }
    }

    /// Notifies the submitter that mail reaches nobody who may decide, and again if that becomes so once more.
    fn notify_if_unreachable(&mut self) {
        let unreachable = self.approval.is_unreachable();
        if unreachable && !self.notices.notified_unreachable {
            let entries = self.approval.journal().len();
            self.notices.notify(self.plan.submitter.clone(), Kind::Unreachable, entries);
        }
        self.notices.notified_unreachable = unreachable;
    }

    /// Whether a signal has to wait for a stage to open, or for links: it may be about somebody who is
    /// about to replace another, or to get a new link. A withdrawal waits for nothing.
    fn is_early(&self, signal: &Signal) -> bool {
        let reviewer = match signal {
            Signal::Withdraw { .. } => return false,
            Signal::Revise { .. } => None,
            Signal::Decision(Ballot { claim: Claim::Reviewer(reviewer), .. }) => Some(reviewer),
            Signal::Decision(Ballot { claim: Claim::Link(_), .. }) | Signal::Delegate(_) => None,
            Signal::Reassign { from, .. } => Some(from),
            Signal::Remind { reviewer, .. } | Signal::Reissue { reviewer, .. } => reviewer.as_ref(),
        };
        let replaces_soon = reviewer.is_some_and(|who| self.approval.may_ask_soon(who));
        let opens = self.approval.open_stage().is_none() && !self.is_paused();
        replaces_soon || opens && !self.approval.is_final()
    }

    /// Acts on a signal. Returns whether it changes anything, or why it is ignored.
    fn act(&mut self, signal: Signal, now: Timestamp) -> Result<bool, String> {
        match signal {
            Signal::Decision(ballot) => return self.vote(ballot, now),
            Signal::Delegate(delegation) => return self.delegate(delegation, now),
            Signal::Reassign { from, to, identity } => {
                let reassigned = self.approval.reassign(from, to, identity, now);
                reassigned.map_err(|why| why.to_string())?;
            }
            Signal::Remind { reviewer, identity } => {
                let stage = self.approval.open_stage();
                self.deliveries.remind_by_operator(stage, reviewer.as_ref())?;
                self.approval.reminded(reviewer, identity, now);
            }
            Signal::Reissue { reviewer, identity } => {
                let reissued = self.approval.reissue(reviewer, identity, now);
                reissued.map_err(|why| why.to_string())?;
            }
            Signal::Withdraw { reason, by } => self.withdraw(reason, by, now)?,
            Signal::Revise { submission, by } => self.hold_revision(*submission, by)?,
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
