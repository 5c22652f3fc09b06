//! Where one approval stands, why, and what to do: the words of `explain`.

use std::{collections::BTreeSet, fmt::Write};

use countersign_protos::{
    names::{SIGNAL_APPROVE, SIGNAL_REJECT, SIGNAL_REQUEST_CHANGES},
    text::{clean, clean_line, timestamp},
    v1::{self, ApprovalState, Delivery, StageState},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Activity, Approval, Area, Failure, Kind, Poller, causes::steps, counted, listed, moment,
    readable, remedy, span,
};

/// A workflow, as Temporal and its worker tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub approval: Approval,
    /// Its workflow type, which may be another.
    pub workflow_type: String,
    /// The workflow that has started it, if one has: of notices, their approval.
    pub parent: Option<String>,
    /// How it ended, if it has.
    pub end: Option<End>,
    /// The answer of the query `status`, or why there is none.
    pub state: Result<ApprovalState, String>,
    /// Who has polled its task queue for workflows lately.
    pub pollers: Vec<Poller>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub how: How,
    pub at: Option<Timestamp>,
    /// With which it failed.
    pub failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Completed,
    Failed,
    Terminated,
    Cancelled,
    TimedOut,
    Other,
}

/// What is to be said of an approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    #[serde(rename = "workflowId")]
    pub workflow_id: String,
    /// Where it stands.
    pub stands: String,
    /// Why, each cause in a sentence.
    pub why: Vec<String>,
    /// What to do, each step in a sentence or two.
    #[serde(rename = "toDo")]
    pub to_do: Vec<String>,
}

impl Explanation {
    pub fn text(&self) -> String {
        let mut text = format!("{}\n  {}\n", clean_line(&self.workflow_id), self.stands);
        for (heading, lines) in [("Why", &self.why), ("To do", &self.to_do)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{heading}:");
            }
            for line in lines {
                let _ = writeln!(text, "- {}", line.replace('\n', "\n  "));
            }
        }
        clean(&text)
    }

    fn says(&mut self, why: impl Into<String>, to_do: impl Into<String>) {
        self.why.push(why.into());
        self.advises(to_do);
    }

    /// `ID` in a command stands for the workflow's.
    fn advises(&mut self, to_do: impl Into<String>) {
        let this = format!("--workflow-id {}", clean_line(&self.workflow_id));
        let to_do: String = to_do.into();
        let to_do = to_do.replace("--workflow-id ID", &this);
        if !to_do.is_empty() && !self.to_do.contains(&to_do) {
            self.to_do.push(to_do);
        }
    }
}

/// Says where an approval stands. `details` names its title.
pub fn explain(case: &Case, now: Timestamp, details: bool) -> Explanation {
    let mut said = Explanation {
        workflow_id: case.approval.workflow_id.clone(),
        stands: stands(case, now),
        ..Explanation::default()
    };
    if let Some(title) = case.approval.title.as_ref().filter(|_| details) {
        said.stands = format!("{}: {}", clean_line(title), said.stands);
    }
    if let Some(end) = &case.end {
        ended(&mut said, end);
    } else {
        tasks(&mut said, case, now);
        signals(&mut said, case, now);
        activities(&mut said, &case.approval, now);
        overdue(&mut said, &case.approval, now);
    }
    if let Ok(state) = &case.state {
        people(&mut said, case, state, now);
        errors(&mut said, &case.approval, state, now);
        ignored(&mut said, state);
    }
    if case.end.is_none() && said.to_do.is_empty() {
        nothing(&mut said, case);
    }
    said
}

fn stands(case: &Case, now: Timestamp) -> String {
    let Case { approval, workflow_type, end, state, .. } = case;
    if approval.kind == Kind::Notices {
        return delivers_notices(case, now);
    }
    if let Some(end) = end {
        return format!("{}{}", how_it_ended(end, state), at(end.at, now));
    }
    match state {
        Ok(state) if state.status() == v1::Status::Pending => pending(state, now),
        Ok(state) if waits_for_submitter(state) => sent_back(state, now),
        Ok(state) => {
            let when = state.decided_at.as_ref().and_then(timestamp);
            let status = state.status().as_str_name();
            format!("{status}{}: {} {}", at(when, now), state.reason, state.handing_on)
                .trim_end()
                .to_owned()
        }
        Err(_) => without_answer(approval, workflow_type, now),
    }
}

fn delivers_notices(case: &Case, now: Timestamp) -> String {
    let since = moment(case.approval.started, now);
    let whose = case.parent.as_deref().map_or_else(|| "an approval".to_owned(), clean_line);
    match &case.end {
        None => format!(
            "It delivers the notices for which {whose} did not wait when it closed, since {since}. It is no approval \
             itself."
        ),
        Some(end) => format!(
            "It delivered the notices for which {whose} did not wait when it closed, from {since}. It closed{}",
            at(end.at, now)
        ),
    }
}

fn at(when: Option<Timestamp>, now: Timestamp) -> String {
    when.map(|when| format!(" at {}", moment(when, now))).unwrap_or_default()
}

fn how_it_ended(end: &End, state: &Result<ApprovalState, String>) -> String {
    let kind = end.failure.as_ref().map_or("", |failure| failure.kind.as_str());
    match (end.how, kind, state) {
        (How::Completed, _, Ok(state)) => {
            format!("{}: {} It closed", state.status().as_str_name(), state.reason)
        }
        (How::Completed, _, Err(_)) => "It was decided and closed".to_owned(),
        (How::Failed, "InvalidSubmission", _) => {
            "Nobody was asked: its submission is invalid. It failed".to_owned()
        }
        (How::Failed, "InvalidStart", _) => "It cannot run as it was started. It failed".to_owned(),
        (How::Failed, ..) => "It failed".to_owned(),
        (How::Terminated, ..) => "Somebody terminated it, so nobody was notified".to_owned(),
        (How::Cancelled, ..) => "It was cancelled before its first task".to_owned(),
        (How::TimedOut, ..) => "It ran out of the time that its start allowed".to_owned(),
        (How::Other, ..) => "It closed".to_owned(),
    }
}

/// Where a pending approval stands: its open stage.
fn pending(state: &ApprovalState, now: Timestamp) -> String {
    let (count, open) = (state.stages.len(), open_stage(state));
    let Some((number, stage)) = open else {
        return "PENDING: its first stage is not open yet.".to_owned();
    };
    let asked: Vec<String> = undecided(stage).map(|reviewer| reviewer.reviewer.clone()).collect();
    let opened = stage.opened_at.as_ref().and_then(timestamp);
    let deadline = stage.deadline.as_ref().and_then(timestamp);
    let until = match deadline {
        Some(deadline) => format!("; its deadline is {}: {}", moment(deadline, now), effect(stage)),
        None => String::new(),
    };
    format!(
        "PENDING: stage {:?} ({number} of {count}, quorum {}) waits for {} since {}{until}.",
        stage.name,
        stage.quorum,
        listed(&asked),
        opened.map(|opened| moment(opened, now)).unwrap_or_default(),
    )
}

fn waits_for_submitter(state: &ApprovalState) -> bool {
    state.status() == v1::Status::ChangesRequested
}

/// Where an approval stands whose submitter is to revise it.
fn sent_back(state: &ApprovalState, now: Timestamp) -> String {
    let request = state.change_request.clone().unwrap_or_default();
    let vote = request.vote.unwrap_or_default();
    let until = request.deadline.as_ref().and_then(timestamp);
    format!(
        "CHANGES_REQUESTED: {} asked for changes in stage {:?}{}. It waits for the submitter, {}, to revise or \
         withdraw it{}.",
        clean_line(&vote.reviewer),
        clean_line(&request.stage),
        at(vote.decided_at.as_ref().and_then(timestamp), now),
        clean_line(&submitter(state)),
        until
            .map(|until| format!(" until {}; then it expires", moment(until, now)))
            .unwrap_or_default(),
    )
}

/// The submitter's address.
fn submitter(state: &ApprovalState) -> String {
    let submission = state.submission.clone().unwrap_or_default();
    submission.submitter.unwrap_or_default().email
}

fn effect(stage: &StageState) -> &'static str {
    match stage.on_deadline.as_str() {
        "escalate" => "then others are asked",
        "approve" => "then it is approved",
        "reject" => "then it is rejected",
        _ => "then it expires",
    }
}

/// The open stage and its number, from 1.
fn open_stage(state: &ApprovalState) -> Option<(usize, &StageState)> {
    let mut stages = state.stages.iter().enumerate();
    let is_open = |stage: &StageState| stage.opened_at.is_some() && stage.closed_at.is_none();
    stages.find(|(_, stage)| is_open(stage)).map(|(i, stage)| (i + 1, stage))
}

fn undecided(stage: &StageState) -> impl Iterator<Item = &v1::ReviewerState> {
    stage.reviewers.iter().filter(|reviewer| reviewer.vote.is_none() && !reviewer.released)
}

/// What search attributes say, where no worker answers.
fn without_answer(approval: &Approval, workflow_type: &str, now: Timestamp) -> String {
    let started = moment(approval.started, now);
    let Approval { status, reviewers, deadline, .. } = approval;
    if status.is_empty() {
        return format!("{workflow_type}, started {started}. Nobody was asked yet.");
    }
    let asked = match reviewers.is_empty() {
        true => String::new(),
        false => format!(" It asks {}.", listed(reviewers)),
    };
    let until = deadline.map(|deadline| format!(" Its deadline is {}.", moment(deadline, now)));
    format!("{status}, started {started}.{asked}{}", until.unwrap_or_default())
}

fn ended(said: &mut Explanation, end: &End) {
    let failure = end.failure.as_ref();
    let kind = failure.map_or("", |failure| failure.kind.as_str());
    if let Some(failure) = failure {
        let to_do = match kind {
            "InvalidSubmission" => {
                "Correct the submission and start another approval: a failed workflow's ID can be used again."
            }
            "InvalidStart" => "Start it without cron schedule and retry policy.",
            _ => "",
        };
        said.says(failure.text(), to_do);
    }
    if matches!(end.how, How::Terminated | How::TimedOut | How::Cancelled) {
        said.says(
            "No outcome was signed or delivered.",
            "If it should be decided after all: temporal workflow reset --workflow-id ID \
             --type FirstWorkflowTask --reason \"Ended by mistake\"",
        );
    }
}

/// Whether its workflow task is under way, and who could do it.
fn tasks(said: &mut Explanation, case: &Case, now: Timestamp) {
    let Some(task) = case.approval.task.as_ref().filter(|task| task.is_stuck(now)) else {
        // What delivers notices answers no query.
        if let Err(why) = &case.state
            && case.approval.kind == Kind::Approval
        {
            no_answer(said, case, why, now);
        }
        return;
    };
    let since = moment(task.since, now);
    if let Some(failure) = &task.failure {
        let why = failure.both();
        said.says(format!("{} since {since}: {why}", task.text()), remedy(Area::Task, &why));
    } else if task.is_running {
        said.says(
            format!("{} since {since}: a step inside it is being tried again", task.text()),
            "The worker's log says why. Most likely it lacks a link key that others have: \
             countersign-worker doctor compares them.",
        );
    } else {
        no_answer(said, case, &task.text(), now);
    }
}

/// What was sent to it and no worker has taken. One that answers has taken what its task has.
fn signals(said: &mut Explanation, case: &Case, now: Timestamp) {
    let is_stuck = case.approval.task.as_ref().is_some_and(|task| task.is_stuck(now));
    if case.state.is_ok() && !is_stuck {
        return;
    }
    for (name, at) in &case.approval.signals {
        let name = clean_line(name);
        let what = match name.as_str() {
            SIGNAL_APPROVE | SIGNAL_REJECT | SIGNAL_REQUEST_CHANGES => {
                format!("a decision (signal {name})")
            }
            _ => format!("the signal {name}"),
        };
        let at = moment(*at, now);
        said.says(format!("{what} was recorded at {at}, and waits for a worker"), "");
    }
}

/// Nobody does its task or answers its query: because nobody polls, or they are busy or broken.
fn no_answer(said: &mut Explanation, case: &Case, why: &str, now: Timestamp) {
    let queue = &case.approval.task_queue;
    let alive: Vec<&Poller> = case.pollers.iter().filter(|poller| poller.is_alive(now)).collect();
    if alive.is_empty() {
        let seen = case.pollers.iter().map(|poller| poller.last_seen).max();
        let waits = case.approval.task.as_ref().map(|task| task.since);
        let since = seen.or(waits).map(|since| format!(" since {}", moment(since, now)));
        let since = since.unwrap_or_default();
        said.says(
            format!("no worker polls the task queue {queue}{since}"),
            format!(
                "Start a worker on it: countersign-worker with COUNTERSIGN_TASK_QUEUE={queue}. It goes on where \
                 this one stopped; what reviewers pressed meanwhile takes effect then."
            ),
        );
    } else {
        let last = alive.iter().map(|poller| poller.last_seen).max().unwrap_or(now);
        let workers: BTreeSet<&str> = alive.iter().map(|poller| poller.process()).collect();
        said.says(
            format!(
                "{} polled {queue} lately, at last {}, and none answers: {why}",
                counted(workers.len(), "worker"),
                moment(last, now)
            ),
            "If a worker has just stopped, start it again: Temporal shows it for a minute longer. Otherwise its log \
             says what it waits for; run countersign-worker doctor, too.",
        );
    }
}

fn activities(said: &mut Explanation, approval: &Approval, now: Timestamp) {
    for activity in &approval.activities {
        let since = moment(activity.since, now);
        let why = format!("{}, since {since}", activity.text());
        match &activity.failure {
            _ if activity.paused => said.says(
                format!("{why}: somebody has paused it"),
                format!("temporal activity unpause --workflow-id ID --activity-id {}", activity.id),
            ),
            Some(failure) if activity.kind == "announce_decision" => {
                said.says(why, steps(activity.area(), &failure.both()).0);
            }
            Some(failure) => {
                said.says(why, remedy(activity.area(), &failure.both()));
            }
            None => said.says(why, ""),
        }
    }
}

fn overdue(said: &mut Explanation, approval: &Approval, now: Timestamp) {
    if let Some(deadline) = approval.missed_deadline(now) {
        said.says(
            format!("its deadline was {}, and has not taken effect", moment(deadline, now)),
            "It takes effect as soon as a worker does its workflow task.",
        );
    }
}

fn people(said: &mut Explanation, case: &Case, state: &ApprovalState, now: Timestamp) {
    let Some((_, stage)) = open_stage(state).filter(|_| !waits_for_submitter(state)) else {
        return;
    };
    let mut ask_again = Vec::new();
    for reviewer in undecided(stage) {
        let who = &reviewer.reviewer;
        match reviewer.delivery() {
            Delivery::Undeliverable => {
                let error = readable(&reviewer.delivery_error);
                let since = refused_since(&case.approval, &error, now);
                let (reach, then) = mail_steps(&error, who);
                said.says(format!("{who} cannot be reached: {error}{since}"), reach);
                ask_again.extend(then);
            }
            Delivery::Sent => {
                let reminded = match reviewer.reminders {
                    0 => String::new(),
                    number => format!(", and {} after it", counted(number as usize, "reminder")),
                };
                said.says(format!("{who} has been sent the request{reminded}"), "");
            }
            _ => {}
        }
    }
    // One command asks all of them.
    ask_again.into_iter().for_each(|then| said.advises(then));
}

/// When this was last refused, in words; empty if that is not known.
fn refused_since(approval: &Approval, error: &str, now: Timestamp) -> String {
    let says = |refused: &&Activity| refused.failure.as_ref().is_some_and(|it| it.text() == error);
    let since = approval.refused.iter().filter(says).map(|refused| refused.since).max();
    since.map(|since| format!(", since {}", moment(since, now))).unwrap_or_default()
}

/// How to reach somebody, and how to ask them again then.
fn mail_steps(error: &str, recipient: &str) -> (String, Option<String>) {
    let subscribe = format!("subscribe {}", clean_line(recipient));
    let (reach, then) = steps(Area::Mail, error);
    (reach.replace("subscribe ADDRESS", &subscribe), then)
}

fn errors(said: &mut Explanation, approval: &Approval, state: &ApprovalState, now: Timestamp) {
    for (what, error, area) in [
        ("the submitter cannot be reached", &state.announcement_error, Area::Mail),
        ("the webhook did not take the outcome", &state.webhook_error, Area::Webhook),
        ("the follow-up workflow was not started", &state.follow_up_error, Area::FollowUp),
    ] {
        if !error.is_empty() {
            let error = readable(error);
            let to_do = match area {
                // Nobody asks the submitter for a decision.
                Area::Mail => mail_steps(&error, &submitter(state)).0,
                _ => remedy(area, &error),
            };
            let since = refused_since(approval, &error, now);
            said.says(format!("{what}: {error}{since}"), to_do);
        }
    }
}

fn ignored(said: &mut Explanation, state: &ApprovalState) {
    if state.ignored_signals == 0 {
        return;
    }
    let latest = state.ignored_because.last().map(|why| clean_line(why)).unwrap_or_default();
    said.says(
        format!(
            "{} had no effect; the latest: {latest}",
            counted(state.ignored_signals as usize, "signal")
        ),
        "",
    );
}

/// An approval shows no outage before it meets it.
const ELSEWHERE: &str = "For the installation, run countersign-worker doctor.";

fn nothing(said: &mut Explanation, case: &Case) {
    if case.state.as_ref().is_ok_and(waits_for_submitter) {
        return said.advises(format!(
            "Nothing is recorded against this approval: it waits for the submitter, who has a mail with a link. \
             {ELSEWHERE} If they cannot use it: temporal workflow signal --workflow-id ID --name revise --input-file SUBMISSION.json"
        ));
    }
    let people: BTreeSet<&str> = match &case.state {
        Ok(state) => open_stage(state)
            .into_iter()
            .flat_map(|(_, stage)| undecided(stage))
            .map(|reviewer| reviewer.reviewer.as_str())
            .collect(),
        Err(_) => BTreeSet::new(),
    };
    said.advises(match people.is_empty() {
        true => "Nothing: it goes on by itself.".to_owned(),
        false => format!(
            "Nothing is recorded against this approval: it waits for people. {ELSEWHERE} To remind them: temporal \
             workflow signal --workflow-id ID --name remind"
        ),
    });
}

/// Why there is nothing to explain.
pub fn not_found(workflow_id: &str, namespace: &str, retention: Option<SignedDuration>) -> String {
    let kept = match retention {
        Some(kept) => format!(" It keeps closed workflows for {}.", span(kept)),
        None => String::new(),
    };
    format!(
        "the namespace {namespace} has no workflow {workflow_id:?}: it was never started there, or has been \
         deleted.{kept} countersign-worker list shows those that are open"
    )
}
