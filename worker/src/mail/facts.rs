//! What mails say of a submission and of decisions, without characters that mislead. Templates print it.

use countersign_protos::{
    names,
    text::{
        attachment_name, clean, clean_line, day, display_name, full_moment, moment, money,
        time_zone,
    },
    v1::{
        Answer, Document, Item, Outcome, Status, Submission, Submitter, Verdict, Vote,
        reason::Reason,
    },
};
use jiff::tz::TimeZone;
use pbjson_types::Timestamp;

use super::{
    pieces::{Piece, pieces},
    quote::Quote,
    shape::{ActionFacts, DetailFacts},
    subject::{Subject, cut},
};

/// A mail lists at most this many items; the page shows all.
const MAX_ITEMS: usize = 200;
/// Of a title, as a heading.
const MAX_HEADING_CHARS: usize = 80;

/// Says times in the zone in which people read them; nothing if they are absent or out of range.
#[derive(Debug, Clone)]
pub(super) struct Clock(TimeZone);

impl Clock {
    pub(super) fn of(zone: &str) -> Self {
        Self(time_zone(zone))
    }

    /// The first time of a mail, which names the zone.
    pub(super) fn first(&self, time: &Option<Timestamp>) -> String {
        full_moment(time.as_ref(), &self.0)
    }

    /// Any other, with the zone's abbreviation alone.
    pub(super) fn later(&self, time: &Option<Timestamp>) -> String {
        moment(time.as_ref(), &self.0)
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
    /// Empty if there is none.
    pub(super) amount: String,
    pub(super) action: Option<ActionFacts>,
    pub(super) details: Vec<DetailFacts>,
    /// Whether something of the details is left out.
    pub(super) are_details_cut: bool,
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
    /// Empty if nobody says it.
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
    pub(super) fn of_submission(submission: &Submission, clock: &Clock) -> Self {
        let Submission {
            submission_id, submission_type, submitter, document, submitted_at, ..
        } = submission;
        let facts = Self::new(submission_id, submission_type, submitter, document);
        Self { submitted: clock.later(submitted_at), ..facts }
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
        let (details, are_details_cut) = DetailFacts::of(&document);
        Self {
            imprint: String::new(),
            addresses: vec![clean_line(&submitter.email)],
            heading: cut(&title, MAX_HEADING_CHARS),
            title,
            amount: money(&document.amount, &document.currency),
            action: document.action.as_ref().map(ActionFacts::of),
            details,
            are_details_cut,
            category: clean_line(&document.category),
            description: Quote::new(format!("From {asker}:"), &document.description),
            submission_id: clean_line(submission_id),
            submission_type: clean_line(submission_type).replace('_', " "),
            asker,
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

    /// A sentence of ours, as HTML shows it.
    pub(super) fn pieces(&self, sentence: &str) -> Vec<Piece> {
        pieces(sentence, &self.addresses)
    }

    /// What a mail shows largest besides the title: the amount or, without one, the action. May be empty.
    pub(super) fn lead(&self) -> &str {
        match &self.action {
            Some(action) if self.amount.is_empty() => &action.name,
            _ => &self.amount,
        }
    }

    pub(super) fn is_title_cut(&self) -> bool {
        self.heading != self.title
    }

    /// For a reviewer, who knows requests by their submitters.
    pub(super) fn subject(&self, start: &str) -> Subject {
        let is_called_so = self.asker == self.submitter;
        let who = if is_called_so { &self.submitter } else { &self.submitter_email };
        Subject::new(start, &self.title, self.lead(), &format!("from {who}"))
    }

    /// For the submitter, who knows them by their IDs.
    pub(super) fn own_subject(&self, start: &str) -> Subject {
        Subject::new(start, &self.title, self.lead(), &self.submission_id)
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

/// A vote of an outcome: the position of its stage, and its own in there.
pub(super) type VoteAt = (usize, usize);

pub(super) struct DecisionFacts {
    /// Of a mail that says it before any other time.
    pub(super) decided: String,
    /// What was written with the vote that the mail begins with.
    pub(super) comment: Option<Quote>,
    /// What was filled in with it.
    pub(super) answers: Vec<AnswerFacts>,
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
    pub(super) decided: String,
    pub(super) answers: Vec<AnswerFacts>,
    pub(super) comment: Option<Quote>,
}

pub(super) struct AnswerFacts {
    pub(super) label: String,
    /// May have several lines.
    pub(super) value: String,
}

/// The stages of an outcome that have ended, or in which somebody has decided; without a vote that was shown
/// before, and its stage if it was the only one. The first time names the zone unless `is_dated`.
pub(super) fn stages(
    outcome: &Outcome,
    shown: Option<VoteAt>,
    detail: Detail,
    clock: &Clock,
    mut is_dated: bool,
) -> Vec<StageFacts> {
    let all = match detail {
        Detail::All | Detail::Votes => &outcome.stages[..],
        Detail::Nothing => &[],
    };
    let mut stages = Vec::new();
    for (position, stage) in all.iter().enumerate() {
        let mut votes = Vec::new();
        for (index, vote) in stage.decisions.iter().enumerate() {
            if shown == Some((position, index)) {
                continue;
            }
            let decided = match std::mem::replace(&mut is_dated, true) {
                true => clock.later(&vote.decided_at),
                false => clock.first(&vote.decided_at),
            };
            let (comment, answers) = match detail {
                Detail::All => (comment(vote), answers(vote)),
                Detail::Votes | Detail::Nothing => Default::default(),
            };
            votes.push(VoteFacts { decided, comment, answers, ..VoteFacts::new(vote) });
        }
        let is_open = matches!(
            stage.status(),
            Status::Pending | Status::ChangesRequested | Status::Withdrawn
        );
        let is_shown = shown.is_some_and(|(stage, _)| stage == position);
        if !votes.is_empty() || !is_open && !is_shown {
            let (name, word) = (clean_line(&stage.name), status_word(stage.status()));
            stages.push(StageFacts { name, word, votes });
        }
    }
    stages
}

impl VoteFacts {
    /// Without its time, its comment and its answers.
    fn new(vote: &Vote) -> Self {
        Self {
            reviewer: reviewer(vote),
            word: vote.verdict().known().map_or("decided", |verdict| verdict.terms().past),
            operator: operator(vote),
            decided: String::new(),
            answers: Vec::new(),
            comment: None,
        }
    }
}

/// What was written with a vote of an outcome.
pub(super) fn comment_of(outcome: &Outcome, at: VoteAt) -> Option<Quote> {
    vote_at(outcome, at).and_then(comment)
}

/// What was filled in with a vote of an outcome.
pub(super) fn answers_of(outcome: &Outcome, at: VoteAt) -> Vec<AnswerFacts> {
    vote_at(outcome, at).map(answers).unwrap_or_default()
}

fn answers(vote: &Vote) -> Vec<AnswerFacts> {
    let answer = |Answer { label, value, .. }: &Answer| AnswerFacts {
        label: clean_line(label),
        value: clean(value),
    };
    vote.answers.iter().map(answer).collect()
}

fn vote_at(outcome: &Outcome, (stage, vote): VoteAt) -> Option<&Vote> {
    outcome.stages.get(stage)?.decisions.get(vote)
}

fn comment(vote: &Vote) -> Option<Quote> {
    Quote::new("Comment:".to_owned(), &vote.comment)
}

pub(super) fn reviewer(vote: &Vote) -> String {
    match vote.on_behalf_of.as_str() {
        "" => clean_line(&vote.reviewer),
        absent => clean_line(&format!("{} (for {absent})", vote.reviewer)),
    }
}

/// The identity is what the operator's client claimed.
pub(super) fn operator(vote: &Vote) -> String {
    match vote.by.as_str() {
        names::BY_OPERATOR => format!(", recorded by an operator ({})", clean_line(&vote.identity)),
        _ => String::new(),
    }
}

/// Why an outcome is what it is, as data.
pub(super) fn because(outcome: &Outcome) -> Option<&Reason> {
    outcome.because.as_ref()?.reason.as_ref()
}

/// The vote that decided, if it was one alone.
pub(super) fn deciding_vote(outcome: &Outcome) -> Option<VoteAt> {
    let Reason::Votes(_) = because(outcome)? else { return None };
    let verdict = match outcome.status() {
        Status::Approved => Verdict::Approve,
        Status::Rejected => Verdict::Reject,
        Status::Pending
        | Status::ChangesRequested
        | Status::Expired
        | Status::Withdrawn
        | Status::Unspecified => return None,
    };
    let (stage, last) = outcome.stages.iter().enumerate().next_back()?;
    let votes = last.decisions.iter().enumerate();
    let mut votes = votes.filter(|(_, vote)| vote.verdict() == verdict);
    let (vote, _) = votes.next().filter(|_| votes.next().is_none())?;
    Some((stage, vote))
}

/// Who or what decided, behind the result in one word.
pub(super) fn decided_by(outcome: &Outcome) -> String {
    match because(outcome) {
        Some(Reason::Votes(votes)) => {
            let deciding = deciding_vote(outcome).and_then(|at| vote_at(outcome, at));
            let (who, operator) = match deciding {
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
        Status::ChangesRequested => "sent back",
        Status::Pending | Status::Unspecified => "still open",
    }
}
