//! What mails say of a submission and of decisions, without characters that mislead. Templates print it.

use std::{cell::Cell, ptr};

use countersign_protos::{
    text::{
        attachment_name, clean, clean_line, day, display_name, full_moment, moment, money,
        time_zone,
    },
    v1::{
        Document, Item, Outcome, StageOutcome, Status, Submission, Submitter, Verdict, Vote,
        reason::Reason,
    },
};
use jiff::tz::TimeZone;
use pbjson_types::Timestamp;

use super::{
    pieces::{Piece, pieces},
    subject::{Subject, cut},
};

/// A mail lists at most this many items; the page shows all.
const MAX_ITEMS: usize = 200;
/// Of a title, as a heading.
const MAX_HEADING_CHARS: usize = 80;

/// Says times in the order in which people read them: the first one with the zone's name, the others with its
/// abbreviation alone.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    zone: TimeZone,
    is_named: Cell<bool>,
}

impl Clock {
    pub(super) fn of(zone: &str) -> Self {
        Self { zone: time_zone(zone), is_named: Cell::new(false) }
    }

    /// Empty if absent or out of range.
    pub(super) fn say(&self, time: &Option<Timestamp>) -> String {
        let said = match self.is_named.get() {
            true => moment(time.as_ref(), &self.zone),
            false => full_moment(time.as_ref(), &self.zone),
        };
        self.is_named.set(self.is_named.get() || !said.is_empty());
        said
    }
}

/// What somebody has written, in their own lines.
#[derive(Debug)]
pub(super) struct Quote {
    pub(super) label: String,
    pub(super) text: String,
}

impl Quote {
    /// `None` if nothing was written.
    pub(super) fn new(label: String, text: &str) -> Option<Self> {
        let text = clean(text);
        (!text.trim().is_empty()).then_some(Self { label, text })
    }
}

pub(super) struct Facts {
    /// Who runs this; empty if nobody says so.
    pub(super) imprint: String,
    /// Those of people who take part, and of whom to ask: they are links.
    pub(super) addresses: Vec<String>,
    pub(super) title: String,
    /// The title, cut where it is long.
    pub(super) heading: String,
    pub(super) amount: String,
    pub(super) category: String,
    pub(super) description: Option<Quote>,
    pub(super) submission_id: String,
    pub(super) submission_type: String,
    pub(super) submitter: String,
    pub(super) submitter_email: String,
    /// The submitter, where their address does not stand beside.
    pub(super) asker: String,
    pub(super) department: String,
    pub(super) employee_id: String,
    pub(super) submitted: Option<Timestamp>,
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
    pub(super) fn of_submission(submission: &Submission) -> Self {
        let Submission {
            submission_id, submission_type, submitter, document, submitted_at, ..
        } = submission;
        let facts = Self::new(submission_id, submission_type, submitter, document);
        Self { submitted: *submitted_at, ..facts }
    }

    pub(super) fn of_outcome(outcome: &Outcome) -> Self {
        let Outcome { submission_id, submission_type, submitter, document, stages, .. } = outcome;
        let mut facts = Self::new(submission_id, submission_type, submitter, document);
        let votes = stages.iter().flat_map(|stage| &stage.decisions);
        let voters = votes.flat_map(|vote| [&vote.reviewer, &vote.on_behalf_of]);
        let silent = stages.iter().flat_map(|stage| &stage.undecided);
        facts.addresses.extend(voters.chain(silent).map(|address| clean_line(address)));
        facts
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
            date: day(&item.date),
        };
        let attachment = |uri: &String| AttachmentFacts {
            name: clean_line(attachment_name(uri)),
            uri: clean_line(uri),
        };
        let (title, asker) =
            (clean_line(&document.title), display_name(&submitter.name, &submitter.email));
        Self {
            imprint: String::new(),
            addresses: vec![clean_line(&submitter.email)],
            heading: cut(&title, MAX_HEADING_CHARS),
            title,
            amount: money(&document.amount, &document.currency),
            category: clean_line(&document.category),
            description: Quote::new(format!("From {asker}:"), &document.description),
            submission_id: clean_line(submission_id),
            submission_type: clean_line(submission_type).replace('_', " "),
            asker,
            submitter: clean_line(&submitter.name),
            submitter_email: clean_line(&submitter.email),
            department: clean_line(&submitter.department),
            employee_id: clean_line(&submitter.employee_id),
            submitted: None,
            items: document.items.iter().take(MAX_ITEMS).map(item).collect(),
            more_items: document.items.len().saturating_sub(MAX_ITEMS),
            attachments: document.attachments.iter().map(attachment).collect(),
        }
    }

    /// A sentence of ours, as HTML shows it.
    pub(super) fn pieces(&self, sentence: &str) -> Vec<Piece> {
        pieces(sentence, &self.addresses)
    }

    pub(super) fn is_title_cut(&self) -> bool {
        self.heading != self.title
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

/// How much of an approval a mail tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// To people who take part: the document, the votes, and what was written with them.
    All,
    /// To people who are out of it: who has decided what.
    Votes,
    /// To people who are out of it while it goes on.
    Nothing,
}

pub(super) struct DecisionFacts {
    pub(super) decided: Option<Timestamp>,
    /// What was written with the vote that the mail begins with.
    pub(super) comment: Option<Quote>,
    /// In order. One that has not ended is left out unless somebody has decided in it.
    pub(super) stages: Vec<StageFacts>,
    /// Those without the vote that the mail begins with.
    pub(super) others: Vec<StageFacts>,
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
    pub(super) decided: Option<Timestamp>,
    pub(super) comment: Option<Quote>,
}

impl DecisionFacts {
    /// Of a mail that begins with this vote.
    pub(super) fn new(outcome: &Outcome, first: Option<&Vote>, detail: Detail) -> Self {
        let told = match detail {
            Detail::All | Detail::Votes => &outcome.stages[..],
            Detail::Nothing => &[],
        };
        let tells = |vote: &Vote| VoteFacts {
            comment: comment(vote).filter(|_| detail == Detail::All),
            ..VoteFacts::new(vote)
        };
        let is_first = |vote: &Vote| first.is_some_and(|first| ptr::eq(first, vote));
        let all = |stage: &StageOutcome| {
            let votes: Vec<_> = stage.decisions.iter().map(tells).collect();
            let is_open = matches!(stage.status(), Status::Pending | Status::Withdrawn);
            (!is_open || !votes.is_empty()).then(|| StageFacts::new(stage, votes))
        };
        let others = |stage: &StageOutcome| {
            let others = stage.decisions.iter().filter(|vote| !is_first(vote));
            let others: Vec<_> = others.map(tells).collect();
            let is_said = others.is_empty() && stage.decisions.iter().any(is_first);
            all(stage).filter(|_| !is_said).map(|_| StageFacts::new(stage, others))
        };
        Self {
            decided: outcome.decided_at,
            comment: first.and_then(comment),
            stages: told.iter().filter_map(all).collect(),
            others: told.iter().filter_map(others).collect(),
        }
    }
}

impl StageFacts {
    fn new(stage: &StageOutcome, votes: Vec<VoteFacts>) -> Self {
        Self { name: clean_line(&stage.name), word: status_word(stage.status()), votes }
    }
}

impl VoteFacts {
    /// Without its comment.
    fn new(vote: &Vote) -> Self {
        Self {
            reviewer: reviewer(vote),
            word: vote.verdict().known().map_or("decided", |verdict| verdict.terms().past),
            operator: operator(vote),
            decided: vote.decided_at,
            comment: None,
        }
    }
}

fn comment(vote: &Vote) -> Option<Quote> {
    Quote::new("Comment:".to_owned(), &vote.comment)
}

fn reviewer(vote: &Vote) -> String {
    match vote.on_behalf_of.as_str() {
        "" => clean_line(&vote.reviewer),
        absent => clean_line(&format!("{} (for {absent})", vote.reviewer)),
    }
}

/// The identity is what the operator's client claimed.
fn operator(vote: &Vote) -> String {
    match vote.by.as_str() {
        "operator" => format!(", recorded by an operator ({})", clean_line(&vote.identity)),
        _ => String::new(),
    }
}

/// Why an outcome is what it is, as data.
pub(super) fn because(outcome: &Outcome) -> Option<&Reason> {
    outcome.because.as_ref()?.reason.as_ref()
}

/// The vote that decided, if it was one alone.
pub(super) fn deciding_vote(outcome: &Outcome) -> Option<&Vote> {
    let Reason::Votes(_) = because(outcome)? else { return None };
    let verdict = match outcome.status() {
        Status::Approved => Verdict::Approve,
        Status::Rejected => Verdict::Reject,
        _ => return None,
    };
    let last = outcome.stages.last()?;
    let mut votes = last.decisions.iter().filter(|vote| vote.verdict() == verdict);
    votes.next().filter(|_| votes.next().is_none())
}

/// Who or what decided, behind the result in one word.
pub(super) fn decided_by(outcome: &Outcome) -> String {
    match because(outcome) {
        Some(Reason::Votes(votes)) => {
            let (who, operator) = match deciding_vote(outcome) {
                Some(vote) => (reviewer(vote), operator(vote)),
                None => (listed(&votes.reviewers), String::new()),
            };
            let is_last_of_several =
                outcome.status() == Status::Approved && outcome.stages.len() > 1;
            let last = if is_last_of_several { "last " } else { "" };
            format!("{last}by {who} in {}{operator}", clean_line(&votes.stage))
        }
        Some(Reason::Rule(rule)) => format!("by the rule {}", clean_line(rule)),
        _ => clean_line(&outcome.reason),
    }
}

/// People, as a sentence names them.
pub(super) fn listed(people: &[String]) -> String {
    let people: Vec<String> = people.iter().map(|person| clean_line(person)).collect();
    match &people[..] {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        others => others.concat(),
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
