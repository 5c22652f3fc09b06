//! The text of mails. Pure.

mod subject;

use askama::Template;
use countersign_protos::{
    ApprovalId, PublicUrl,
    text::{attachment_name, clean, clean_line, full_moment, moment, money, time_zone},
    v1::{Document, Outcome, Status, Submitter},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use self::subject::Subject;
use crate::{
    approval::{OnDeadline, Release},
    policy::Plan,
    recorded::ReviewRequest,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Part of an outbox file's name.
    pub(crate) kind: &'static str,
    pub(crate) subject: Subject,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// The workflow's ID in a link, percent-encoded, has at most this many bytes.
const MAX_HINT_BYTES: usize = 200;
/// What RFC 3986, 2.3, leaves as it is, without the dot: `.` and `..` have a meaning in paths.
const HINT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// A mail lists at most this many items; the page shows all.
const MAX_ITEMS: usize = 200;

#[derive(Debug, Clone)]
pub(crate) struct Links {
    approve: String,
    reject: String,
    home: String,
    id: String,
}

impl Links {
    /// The workflow's ID in a link is a hint: with it the signaler needs no index. It is left out if it is too
    /// long.
    pub(crate) fn new(base: &PublicUrl, id: &ApprovalId, workflow_id: &str) -> Self {
        let home = base.as_str();
        let id = id.reveal();
        let hint = utf8_percent_encode(workflow_id, HINT).to_string();
        let hint = match hint.len() <= MAX_HINT_BYTES {
            true => format!("/{hint}"),
            false => String::new(),
        };
        Self {
            approve: format!("{home}/a/{id}{hint}?choice=approve"),
            reject: format!("{home}/a/{id}{hint}?choice=reject"),
            home: format!("{home}/"),
            id,
        }
    }
}

struct Facts {
    title: String,
    amount: String,
    category: String,
    description: String,
    submission_id: String,
    submission_type: String,
    submitter: String,
    submitter_email: String,
    department: String,
    employee_id: String,
    submitted: String,
    items: Vec<ItemFacts>,
    more_items: usize,
    attachments: Vec<AttachmentFacts>,
}

struct ItemFacts {
    description: String,
    amount: String,
    date: String,
}

struct AttachmentFacts {
    name: String,
    uri: String,
}

impl Facts {
    fn new(
        submission_id: &str,
        submission_type: &str,
        submitter: Option<&Submitter>,
        document: Option<&Document>,
    ) -> Self {
        let submitter = submitter.cloned().unwrap_or_default();
        let document = document.cloned().unwrap_or_default();
        let item = |item: &countersign_protos::v1::Item| ItemFacts {
            description: clean_line(&item.description),
            amount: money(&item.amount, &document.currency),
            date: clean_line(&item.date),
        };
        let attachment = |uri: &String| AttachmentFacts {
            name: clean_line(attachment_name(uri)),
            uri: clean_line(uri),
        };
        Self {
            title: clean_line(&document.title),
            amount: money(&document.amount, &document.currency),
            category: clean_line(&document.category),
            description: clean(&document.description),
            submission_id: clean_line(submission_id),
            submission_type: clean_line(submission_type).replace('_', " "),
            submitter: clean_line(&submitter.name),
            submitter_email: clean_line(&submitter.email),
            department: clean_line(&submitter.department),
            employee_id: clean_line(&submitter.employee_id),
            submitted: String::new(),
            items: document.items.iter().take(MAX_ITEMS).map(item).collect(),
            more_items: document.items.len().saturating_sub(MAX_ITEMS),
            attachments: document.attachments.iter().map(attachment).collect(),
        }
    }

    fn subject(&self, start: &str, whose: &str) -> Subject {
        Subject::new(start, &self.title, &self.amount, whose)
    }
}

#[derive(Template)]
#[template(path = "request.txt")]
struct RequestText<'a> {
    facts: &'a Facts,
    links: &'a Links,
    reminder: bool,
    place: &'a str,
    stage: &'a str,
    deadline: &'a str,
    consequence: &'a str,
}

#[derive(Template)]
#[template(path = "request.html")]
struct RequestHtml<'a> {
    facts: &'a Facts,
    links: &'a Links,
    reminder: bool,
    place: &'a str,
    stage: &'a str,
    deadline: &'a str,
    consequence: &'a str,
}

/// A request or a reminder to a reviewer.
pub(crate) fn request(plan: &Plan, request: &ReviewRequest, links: &Links) -> Letter {
    let submission = &plan.submission;
    let mut facts = Facts::new(
        &submission.submission_id,
        &submission.submission_type,
        submission.submitter.as_ref(),
        submission.document.as_ref(),
    );
    let zone = time_zone(&plan.time_zone);
    facts.submitted = moment(submission.submitted_at.as_ref(), &zone);
    let (facts, stage) = (&facts, stage_name(plan, request.stage));
    let (stage, reminder) = (stage.as_str(), request.reminder);
    let deadline = full_moment(request.deadline.as_ref(), &zone);
    let deadline = deadline.as_str();
    let consequence = match request.on_deadline {
        _ if request.escalates => "others are asked",
        OnDeadline::Expire => "it ends undecided",
        OnDeadline::Reject => "it counts as rejected",
        OnDeadline::Approve => "it counts as approved unless somebody has rejected it",
    };
    let start = if reminder { "Reminder: please decide" } else { "Please decide" };
    let place = place(request);
    let place = place.as_str();
    let text = RequestText { facts, links, reminder, place, stage, deadline, consequence };
    let html = RequestHtml { facts, links, reminder, place, stage, deadline, consequence };
    Letter {
        kind: if reminder { "reminder" } else { "request" },
        subject: facts.subject(start, &format!("from {}", facts.submitter)),
        text: rendered(&text),
        html: rendered(&html),
    }
}

/// In whose place somebody is asked, and who wanted that; empty if they have their own.
fn place(request: &ReviewRequest) -> String {
    let ReviewRequest { reviewer, on_behalf_of, instead_of, reassigned_by, .. } = request;
    let away = on_behalf_of.as_ref();
    let away = away.map(|absent| format!("You are asked instead of {absent}, who is away."));
    let replaced = instead_of.as_ref().map(|from| {
        let who = on_behalf_of.as_ref().unwrap_or(reviewer);
        let who = if who == reviewer { "you" } else { who.as_str() };
        match reassigned_by.as_deref() {
            Some(by) => format!("{} has had {who} asked in place of {from}.", an_operator(by)),
            None => format!("In place of {from}, {who} should decide."),
        }
    });
    replaced.into_iter().chain(away).collect::<Vec<_>>().join(" ")
}

/// The identity is what the operator's client claimed.
fn an_operator(identity: &str) -> String {
    format!("An operator ({})", clean_line(identity))
}

#[derive(Template)]
#[template(path = "outcome.txt")]
struct OutcomeText<'a> {
    facts: &'a Facts,
    decision: &'a DecisionFacts,
    opening: &'a str,
}

#[derive(Template)]
#[template(path = "outcome.html")]
struct OutcomeHtml<'a> {
    facts: &'a Facts,
    decision: &'a DecisionFacts,
    opening: &'a str,
}

struct DecisionFacts {
    reason: String,
    decided: String,
    stages: Vec<StageFacts>,
}

struct StageFacts {
    name: String,
    word: &'static str,
    votes: Vec<VoteFacts>,
}

struct VoteFacts {
    reviewer: String,
    word: &'static str,
    /// Who signalled the vote for the reviewer, in words; empty if the reviewer pressed.
    operator: String,
    decided: String,
    comment: String,
}

impl DecisionFacts {
    fn new(outcome: &Outcome) -> Self {
        let zone = time_zone(&outcome.time_zone);
        let vote = |vote: &countersign_protos::v1::Vote| VoteFacts {
            reviewer: match vote.on_behalf_of.as_str() {
                "" => clean_line(&vote.reviewer),
                absent => clean_line(&format!("{} (for {absent})", vote.reviewer)),
            },
            word: vote.verdict().known().map_or("decided", |verdict| verdict.terms().past),
            operator: operator(vote),
            decided: moment(vote.decided_at.as_ref(), &zone),
            comment: clean(&vote.comment),
        };
        let stage = |stage: &countersign_protos::v1::StageOutcome| StageFacts {
            name: clean_line(&stage.name),
            word: status_word(stage.status()),
            votes: stage.decisions.iter().map(vote).collect(),
        };
        Self {
            reason: clean_line(&outcome.reason),
            decided: moment(outcome.decided_at.as_ref(), &zone),
            stages: outcome.stages.iter().map(stage).collect(),
        }
    }
}

/// The outcome, to the submitter.
pub(crate) fn outcome(outcome: &Outcome) -> Letter {
    let start = match outcome.status() {
        Status::Approved => "Approved",
        Status::Rejected => "Rejected",
        Status::Expired => "Not decided in time",
        _ => "Withdrawn",
    };
    let opening = format!("Your submission is {}.", status_word(outcome.status()));
    about("outcome", start, &opening, outcome, &outcome.submission_id)
}

/// To a reviewer whose decision is no longer needed.
pub(crate) fn superseded(outcome: &Outcome, release: Release<'_>) -> Letter {
    let (start, opening) = match release {
        Release::Replaced { by, identity } => (
            "Somebody else is asked",
            format!(
                "{by} is asked in your place. {} wanted that; your link does not decide any more.",
                an_operator(identity)
            ),
        ),
        Release::Escalated => ("Deadline passed", format!("{PASSED} {OTHERS}")),
        Release::Unreachable => ("Others are asked", format!("Mails were refused. {OTHERS}")),
        Release::DeadlinePassed => ("Deadline passed", PASSED.to_owned()),
        Release::Withdrawn => {
            ("Withdrawn", "It was withdrawn: your decision is no longer needed.".to_owned())
        }
        Release::Decided => ("No longer needed", "Your decision is no longer needed.".to_owned()),
    };
    about("superseded", start, &opening, outcome, &from_submitter(outcome))
}

const PASSED: &str = "The deadline has passed without your decision.";
const OTHERS: &str = "Others are asked now; your link does not decide any more.";

/// To a reviewer for whom an operator has decided.
pub(crate) fn decided_by_operator(outcome: &Outcome) -> Letter {
    let opening = "An operator has recorded a decision for you. If you did not ask for that, tell \
                   whoever runs the approvals.";
    about("decided", "Decided for you", opening, outcome, &from_submitter(outcome))
}

fn from_submitter(outcome: &Outcome) -> String {
    let name = outcome.submitter.as_ref().map(|submitter| clean_line(&submitter.name));
    format!("from {}", name.unwrap_or_default())
}

fn about(
    kind: &'static str,
    start: &str,
    opening: &str,
    outcome: &Outcome,
    whose: &str,
) -> Letter {
    let facts = &Facts::new(
        &outcome.submission_id,
        &outcome.submission_type,
        outcome.submitter.as_ref(),
        outcome.document.as_ref(),
    );
    let decision = &DecisionFacts::new(outcome);
    Letter {
        kind,
        subject: facts.subject(start, &clean_line(whose)),
        text: rendered(&OutcomeText { facts, decision, opening }),
        html: rendered(&OutcomeHtml { facts, decision, opening }),
    }
}

/// The identity is what the operator's client claimed.
fn operator(vote: &countersign_protos::v1::Vote) -> String {
    match vote.by.as_str() {
        "operator" => format!(", recorded by an operator ({})", clean_line(&vote.identity)),
        _ => String::new(),
    }
}

fn stage_name(plan: &Plan, stage: u32) -> String {
    plan.stages.get(stage as usize).map(|stage| clean_line(&stage.name)).unwrap_or_default()
}

fn status_word(status: Status) -> &'static str {
    match status {
        Status::Approved => "approved",
        Status::Rejected => "rejected",
        Status::Expired => "not decided in time",
        Status::Withdrawn => "withdrawn",
        Status::Pending | Status::Unspecified => "still open",
    }
}

fn rendered(template: &impl Template) -> String {
    template.render().expect("the templates print only strings")
}

#[cfg(test)]
mod tests;
