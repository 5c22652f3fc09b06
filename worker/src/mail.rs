//! The text of mails. Pure.

mod facts;
mod subject;

use askama::Template;
use countersign_protos::{
    ApprovalId, Organization, PublicUrl,
    text::{clean_line, full_moment, time_zone, to_message},
    v1::{Outcome, Status},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::facts::{DecisionFacts, Facts, status_word};
pub(crate) use self::subject::Subject;
use crate::{
    approval::{Approval, OnDeadline, Release},
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

#[derive(Template)]
#[template(path = "request.txt")]
struct RequestText<'a> {
    facts: &'a Facts,
    links: &'a Links,
    reminder: bool,
    new_link: bool,
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
    new_link: bool,
    place: &'a str,
    stage: &'a str,
    deadline: &'a str,
    consequence: &'a str,
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

/// Writes letters for whoever runs the approvals.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writer<'a> {
    pub(crate) organization: Option<&'a Organization>,
}

const PASSED: &str = "The deadline has passed without your decision.";
const OTHERS: &str = "Others are asked now; your link does not decide any more.";

impl Writer<'_> {
    /// A request or a reminder to a reviewer.
    pub(crate) fn request(self, plan: &Plan, request: &ReviewRequest, links: &Links) -> Letter {
        let zone = time_zone(&plan.time_zone);
        let facts = &self.signed(Facts::of_submission(&plan.submission, &zone));
        let stage = stage_name(plan, request.stage);
        let (stage, reminder, new_link) = (stage.as_str(), request.reminder, request.new_link);
        let deadline = full_moment(request.deadline.as_ref(), &zone);
        let deadline = deadline.as_str();
        let consequence = match request.on_deadline {
            _ if request.escalates => "others are asked",
            on_deadline => consequence(on_deadline),
        };
        let start = match (reminder, new_link) {
            (true, _) => "Reminder: please decide",
            (false, true) => "New link: please decide",
            (false, false) => "Please decide",
        };
        let place = place(request);
        let place = place.as_str();
        let text =
            RequestText { facts, links, reminder, new_link, place, stage, deadline, consequence };
        let html =
            RequestHtml { facts, links, reminder, new_link, place, stage, deadline, consequence };
        Letter {
            kind: if reminder { "reminder" } else { "request" },
            subject: facts.subject(start),
            text: rendered(&text),
            html: rendered(&html),
        }
    }

    /// The outcome, to the submitter.
    pub(crate) fn outcome(self, outcome: &Outcome) -> Letter {
        let start = match outcome.status() {
            Status::Approved => "Approved",
            Status::Rejected => "Rejected",
            Status::Expired => "Not decided in time",
            _ => "Withdrawn",
        };
        let opening = format!("Your submission is {}.", status_word(outcome.status()));
        self.about("outcome", &opening, outcome, |facts| facts.own_subject(start))
    }

    /// To the submitter: people are asked. `None` if nobody is.
    pub(crate) fn started(self, outcome: &Outcome, approval: &Approval) -> Option<Letter> {
        let (people, deadline) = asked(outcome, approval)?;
        let opening = format!(
            "Your submission is waiting for a decision. Asked to decide by {deadline}: {people}."
        );
        Some(self.about("started", &opening, outcome, |facts| facts.own_subject("Waiting")))
    }

    /// To the submitter: mail reaches nobody who may decide. `None` if it reaches somebody.
    pub(crate) fn unreachable(self, outcome: &Outcome, approval: &Approval) -> Option<Letter> {
        let stage = approval.open_stage().filter(|stage| stage.is_unreachable())?;
        let (people, deadline) = asked(outcome, approval)?;
        let consequence = match stage.escalates_at_deadline() {
            true => "others are asked",
            false => consequence(stage.on_deadline()),
        };
        let opening = format!(
            "Nobody can be reached to decide your submission: mails to {people} were refused. Ask {} to \
             have somebody else asked. Otherwise, {consequence} on {deadline}.",
            self.whom()
        );
        let start = "Nobody can be reached";
        Some(self.about("unreachable", &opening, outcome, |facts| facts.own_subject(start)))
    }

    /// To a reviewer who need not decide any more.
    pub(crate) fn superseded(self, outcome: &Outcome, release: Release<'_>) -> Letter {
        let (start, opening) = match release {
            Release::Replaced { by, identity } => (
                "Somebody else is asked",
                format!(
                    "{by} is asked in your place. {} wanted that; your link does not decide any \
                     more.",
                    an_operator(identity)
                ),
            ),
            Release::Escalated => ("Deadline passed", format!("{PASSED} {OTHERS}")),
            Release::Unreachable => ("Others are asked", format!("Mails were refused. {OTHERS}")),
            Release::DeadlinePassed => ("Deadline passed", PASSED.to_owned()),
            Release::Withdrawn => {
                ("Withdrawn", "It was withdrawn: your decision is no longer needed.".to_owned())
            }
            Release::Decided => {
                ("No longer needed", "Your decision is no longer needed.".to_owned())
            }
        };
        self.about("superseded", &opening, outcome, |facts| facts.subject(start))
    }

    /// To a reviewer for whom an operator has decided.
    pub(crate) fn decided_by_operator(self, outcome: &Outcome) -> Letter {
        let opening = format!(
            "An operator has recorded a decision for you. If you did not ask for that, tell {}.",
            self.whom()
        );
        self.about("decided", &opening, outcome, |facts| facts.subject("Decided for you"))
    }

    fn about(
        self,
        kind: &'static str,
        opening: &str,
        outcome: &Outcome,
        subject: impl FnOnce(&Facts) -> Subject,
    ) -> Letter {
        let facts = &self.signed(Facts::of_outcome(outcome));
        let decision = &DecisionFacts::new(outcome);
        Letter {
            kind,
            subject: subject(facts),
            text: rendered(&OutcomeText { facts, decision, opening }),
            html: rendered(&OutcomeHtml { facts, decision, opening }),
        }
    }

    /// Whom people ask about approvals.
    fn whom(self) -> String {
        match self.organization {
            Some(Organization { name, contact }) => format!("{name} ({contact})"),
            None => "whoever runs the approvals".to_owned(),
        }
    }

    /// With the words about who runs this.
    fn signed(self, facts: Facts) -> Facts {
        let imprint = self.organization.map(Organization::imprint).unwrap_or_default();
        Facts { imprint, ..facts }
    }
}

/// Who is asked and has not decided, and until when.
fn asked(outcome: &Outcome, approval: &Approval) -> Option<(String, String)> {
    let stage = approval.open_stage()?;
    let people: Vec<&str> = stage.undecided().map(|seat| seat.reviewer.as_str()).collect();
    let deadline = stage.deadline().map(to_message);
    let deadline = full_moment(deadline.as_ref(), &time_zone(&outcome.time_zone));
    (!people.is_empty()).then(|| (people.join(", "), deadline))
}

/// In whose place somebody is asked, and who wanted that; empty if they have their own.
fn place(request: &ReviewRequest) -> String {
    let ReviewRequest { reviewer, on_behalf_of, instead_of, reassigned_by, .. } = request;
    let away = on_behalf_of.as_ref();
    let away = away.map(|absent| format!("You are asked instead of {absent}, who is away."));
    let replaced = instead_of.as_ref().map(|from| {
        let who = on_behalf_of.as_ref().map_or("you", |absent| absent.as_str());
        match reassigned_by.as_deref() {
            Some(by) => format!("{} has had {who} asked in place of {from}.", an_operator(by)),
            None => format!("{reviewer} is asked in place of {from}."),
        }
    });
    replaced.into_iter().chain(away).collect::<Vec<_>>().join(" ")
}

/// The identity is what the operator's client claimed.
fn an_operator(identity: &str) -> String {
    format!("An operator ({})", clean_line(identity))
}

/// What the last deadline does.
fn consequence(on_deadline: OnDeadline) -> &'static str {
    match on_deadline {
        OnDeadline::Expire => "it ends undecided",
        OnDeadline::Reject => "it counts as rejected",
        OnDeadline::Approve => "it counts as approved unless somebody has rejected it",
    }
}

fn stage_name(plan: &Plan, stage: u32) -> String {
    plan.stages.get(stage as usize).map(|stage| clean_line(&stage.name)).unwrap_or_default()
}

fn rendered(template: &impl Template) -> String {
    template.render().expect("the templates print only strings")
}

#[cfg(test)]
mod tests;
