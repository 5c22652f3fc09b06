//! What mails say of a submission and of decisions, without characters that mislead. Templates print it.

use countersign_protos::{
    text::{attachment_name, clean, clean_line, display_name, moment, money, time_zone},
    v1::{Document, Item, Outcome, StageOutcome, Status, Submission, Submitter, Vote},
};
use jiff::tz::TimeZone;

use super::subject::Subject;

/// A mail lists at most this many items; the page shows all.
const MAX_ITEMS: usize = 200;

pub(super) struct Facts {
    /// Who runs this; empty if nobody says so.
    pub(super) imprint: String,
    pub(super) title: String,
    pub(super) amount: String,
    pub(super) category: String,
    pub(super) description: String,
    pub(super) submission_id: String,
    pub(super) submission_type: String,
    pub(super) submitter: String,
    pub(super) submitter_email: String,
    /// The submitter, where their address does not stand beside.
    pub(super) asker: String,
    pub(super) department: String,
    pub(super) employee_id: String,
    pub(super) submitted: String,
    pub(super) items: Vec<ItemFacts>,
    pub(super) more_items: usize,
    pub(super) attachments: Vec<AttachmentFacts>,
}

pub(super) struct ItemFacts {
    pub(super) description: String,
    pub(super) amount: String,
    pub(super) date: String,
}

pub(super) struct AttachmentFacts {
    pub(super) name: String,
    pub(super) uri: String,
}

impl Facts {
    pub(super) fn of_submission(submission: &Submission, zone: &TimeZone) -> Self {
        let Submission {
            submission_id, submission_type, submitter, document, submitted_at, ..
        } = submission;
        let submitted = moment(submitted_at.as_ref(), zone);
        let facts = Self::new(submission_id, submission_type, submitter, document);
        Self { submitted, ..facts }
    }

    pub(super) fn of_outcome(outcome: &Outcome) -> Self {
        let Outcome { submission_id, submission_type, submitter, document, .. } = outcome;
        Self::new(submission_id, submission_type, submitter, document)
    }

    fn new(
        submission_id: &str,
        submission_type: &str,
        submitter: &Option<Submitter>,
        document: &Option<Document>,
    ) -> Self {
        let submitter = submitter.clone().unwrap_or_default();
        let document = document.clone().unwrap_or_default();
        let item = |item: &Item| ItemFacts {
            description: clean_line(&item.description),
            amount: money(&item.amount, &document.currency),
            date: clean_line(&item.date),
        };
        let attachment = |uri: &String| AttachmentFacts {
            name: clean_line(attachment_name(uri)),
            uri: clean_line(uri),
        };
        Self {
            imprint: String::new(),
            title: clean_line(&document.title),
            amount: money(&document.amount, &document.currency),
            category: clean_line(&document.category),
            description: clean(&document.description),
            submission_id: clean_line(submission_id),
            submission_type: clean_line(submission_type).replace('_', " "),
            asker: display_name(&submitter.name, &submitter.email),
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

    /// For a reviewer, who knows requests by their submitters.
    pub(super) fn subject(&self, start: &str) -> Subject {
        let is_called_so = self.asker == self.submitter;
        let who = if is_called_so { &self.submitter } else { &self.submitter_email };
        Subject::new(start, &self.title, &self.amount, &format!("from {who}"))
    }

    /// For the submitter, who knows them by their IDs.
    pub(super) fn own_subject(&self, start: &str) -> Subject {
        Subject::new(start, &self.title, &self.amount, &self.submission_id)
    }
}

pub(super) struct DecisionFacts {
    pub(super) reason: String,
    pub(super) decided: String,
    pub(super) stages: Vec<StageFacts>,
}

pub(super) struct StageFacts {
    pub(super) name: String,
    pub(super) word: &'static str,
    pub(super) votes: Vec<VoteFacts>,
}

pub(super) struct VoteFacts {
    pub(super) reviewer: String,
    pub(super) word: &'static str,
    /// Who signalled the vote for the reviewer, in words; empty if the reviewer pressed.
    pub(super) operator: String,
    pub(super) decided: String,
    pub(super) comment: String,
}

impl DecisionFacts {
    pub(super) fn new(outcome: &Outcome) -> Self {
        let zone = time_zone(&outcome.time_zone);
        let vote = |vote: &Vote| VoteFacts {
            reviewer: match vote.on_behalf_of.as_str() {
                "" => clean_line(&vote.reviewer),
                absent => clean_line(&format!("{} (for {absent})", vote.reviewer)),
            },
            word: vote.verdict().known().map_or("decided", |verdict| verdict.terms().past),
            operator: operator(vote),
            decided: moment(vote.decided_at.as_ref(), &zone),
            comment: clean(&vote.comment),
        };
        let stage = |stage: &StageOutcome| StageFacts {
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

/// The identity is what the operator's client claimed.
fn operator(vote: &Vote) -> String {
    match vote.by.as_str() {
        "operator" => format!(", recorded by an operator ({})", clean_line(&vote.identity)),
        _ => String::new(),
    }
}

/// What a submission or a stage is.
pub(super) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Approved => "approved",
        Status::Rejected => "rejected",
        Status::Expired => "not decided in time",
        Status::Withdrawn => "withdrawn",
        Status::Pending | Status::Unspecified => "still open",
    }
}
