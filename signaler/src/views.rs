//! The data of each page's template. Pure.

use askama::Template;
use countersign_protos::{
    Terms, Verdict,
    answers::Answers,
    names::ACTION_DELEGATE,
    text::{self, clean, clean_line},
    v1::{Document, Item, ReviewerState, StageState, Status, Vote},
};
use url::Url;

use crate::{
    answer::{Answer, fields, is_offered, is_open, is_possible, own_vote, pending},
    delegating::{Delegating, NotDelegated},
    form::{Filled, Unconfirmed},
    inputs::{self, Input, Shape as InputShape},
    outbox::{Mail, Summary},
    problem::Problem,
    shape::{Shape, leading_action},
    times::{Piece, Times},
    wording::{self, Case, Seat},
};

/// What all pages share.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The path of the public URL, without a trailing slash.
    pub(crate) root: String,
    /// The origin of the public URL.
    pub(crate) origin: String,
    /// A path that starts with `root`.
    pub(crate) stylesheet: String,
    /// Whether to link to the outbox.
    pub(crate) outbox: bool,
    /// Who runs this; empty if nobody says so.
    pub(crate) imprint: String,
}

#[derive(Template)]
#[template(path = "approval.html")]
pub(crate) struct ApprovalPage<'a> {
    site: &'a Site,
    tone: &'static str,
    headline: String,
    explanation: Vec<Piece>,
    /// Whether to link to the page itself.
    again: bool,
    title: String,
    /// Why the document is not shown; empty if it is.
    hidden: &'static str,
    amount: Amount,
    action: String,
    facts: Vec<(&'static str, Vec<Piece>)>,
    shape: Shape,
    description: String,
    items: Vec<ItemRow>,
    attachments: Vec<Attachment>,
    stages: Vec<Stage>,
    reviewer: String,
    why_asked: String,
    form: Option<Form>,
}

/// An amount, and the class by which it is never broken nor wider than the page.
struct Amount {
    text: String,
    class: &'static str,
}

struct ItemRow {
    what: String,
    date: String,
    amount: Amount,
}

struct Attachment {
    name: String,
    uri: String,
    linked: bool,
}

struct Stage {
    name: String,
    status: &'static str,
    tone: &'static str,
    note: Vec<Piece>,
    reviewers: Vec<Reviewer>,
}

struct Reviewer {
    name: String,
    tone: &'static str,
    did: Vec<Piece>,
    /// Labels with values.
    answers: Vec<(String, String)>,
    comment: String,
}

/// What the page's buttons do.
const OFFERED: [Verdict; 2] = [Verdict::Approve, Verdict::Reject];

struct Form {
    buttons: Vec<Terms>,
    /// The verdict of the mailed link. It gives no button more weight.
    chosen: Option<Terms>,
    /// The button that was pressed, where the form is refused.
    pressed: Option<Terms>,
    inputs: Vec<Input>,
    /// Why it is refused; empty if it is not.
    refused: String,
    /// Whether it is refused because of its comment.
    comment_refused: bool,
    comment: String,
    comment_hint: String,
    /// The verdicts for which the browser asks for what they need: for one set of them alone, since it asks for the
    /// same whichever button is pressed.
    asked_for: Vec<Verdict>,
    comment_required: bool,
    confirm: bool,
    /// For somebody else to be asked; `None` where the rule lets nobody.
    delegate: Option<DelegateForm>,
}

/// The form that has a colleague asked.
struct DelegateForm {
    /// Whose people can be asked.
    domains: String,
    to: String,
    reason: String,
    /// Why it is refused, and the field that is wrong; empty if it is not.
    refused: String,
    field: &'static str,
}

impl DelegateForm {
    fn new(case: Case<'_>) -> Option<Self> {
        let domains = &case.state.delegate_to;
        let empty = DelegateForm {
            domains: wording::domains(domains),
            to: String::new(),
            reason: String::new(),
            refused: String::new(),
            field: "",
        };
        let can = is_possible(case.state, case.link, ACTION_DELEGATE);
        (can && !domains.is_empty()).then_some(empty)
    }
}

impl Form {
    fn new(case: Case<'_>, choice: Option<Verdict>) -> Self {
        let required = &case.state.comment_required;
        let required = |verdict: &Verdict| required.contains(&i32::from(*verdict));
        let comment_required: Vec<_> = Verdict::ALL.into_iter().filter(required).collect();
        let can = |button: &Terms| is_possible(case.state, case.link, button.name);
        let inputs = inputs::empty(fields(case.state));
        let sets = inputs.iter().map(|input| &input.required_for).chain([&comment_required]);
        let asked_for = sets.rev().find(|set| !set.is_empty()).cloned().unwrap_or_default();
        Form {
            inputs,
            buttons: OFFERED.map(Verdict::terms).into_iter().filter(can).collect(),
            chosen: choice.map(Verdict::terms),
            pressed: None,
            refused: String::new(),
            comment_refused: false,
            comment: String::new(),
            comment_hint: wording::comment_hint(&comment_required),
            comment_required: !comment_required.is_empty() && comment_required == asked_for,
            asked_for,
            confirm: case.state.confirm,
            delegate: DelegateForm::new(case),
        }
    }

    /// Whether a browser lets this button be pressed without what another one needs.
    fn needs_nothing(&self, button: &Terms) -> bool {
        let needs = |verdict: &Verdict| verdict.terms().name == button.name;
        !self.asked_for.is_empty() && !self.asked_for.iter().any(needs)
    }

    /// Whether an input before the comment is refused.
    fn has_error(&self) -> bool {
        self.inputs.iter().any(|input| input.is_first_error)
    }

    /// Whether a browser asks for this answer.
    fn asks_for(&self, input: &Input) -> bool {
        !input.required_for.is_empty() && input.required_for == self.asked_for
    }
}

impl<'a> ApprovalPage<'a> {
    /// `choice` is the verdict of the mailed link.
    pub(crate) fn new(site: &'a Site, case: Case<'_>, choice: Option<Verdict>) -> Self {
        let submission = case.state.submission.clone().unwrap_or_default();
        let times = &Times::of(case);
        let facts = wording::facts(&submission, case).into_iter();
        let (untitled, hidden) = match &submission.document {
            Some(_) => (wording::UNTITLED, ""),
            None => (wording::REQUEST, wording::OUTCOME_ONLY),
        };
        let document = submission.document.unwrap_or_default();
        let stages = match case.answer.is_unattended() {
            // Only the reader's own place is known.
            true => Vec::new(),
            false => case.state.stages.iter().map(|s| stage(s, case, times)).collect(),
        };
        let offered = is_offered(case.answer, case.state, case.link);
        ApprovalPage {
            site,
            tone: tone(case),
            headline: wording::headline(case),
            explanation: times.mark(&clean_line(&wording::explanation(case))),
            again: !offered && (case.answer.is_unattended() || case.answer == Answer::Sealing),
            title: or(clean_line(&document.title), untitled),
            hidden,
            amount: Amount::new(&document.amount, &document.currency),
            action: leading_action(&document),
            shape: Shape::of(&document),
            facts: facts.map(|(name, value)| (name, times.mark(&value))).collect(),
            description: clean(document.description.trim()),
            items: items(&document),
            attachments: document.attachments.iter().map(|uri| attachment(uri)).collect(),
            stages,
            reviewer: clean_line(&wording::deciding_as(case)),
            why_asked: wording::why_asked(case),
            form: offered.then(|| Form::new(case, choice)),
        }
    }

    /// With the form as it was sent, and why it is refused.
    pub(crate) fn refused(
        site: &'a Site,
        case: Case<'_>,
        problem: &Problem,
        filled: &Filled,
    ) -> Self {
        let page = Self::new(site, case, None);
        let refused = wording::refusal(problem, &filled.comment);
        let explanation = Times::of(case).mark(&refused);
        let form = page.form.map(|form| Form {
            inputs: inputs::refused(fields(case.state), filled.verdict, &filled.answers),
            pressed: filled.verdict.map(Verdict::terms),
            refused,
            comment_refused: matches!(
                problem,
                Problem::CommentTooLong | Problem::CommentMissing(_)
            ),
            comment: filled.comment.clone(),
            ..form
        });
        let headline = wording::NOT_RECORDED.to_owned();
        ApprovalPage { tone: "wait", headline, explanation, form, ..page }
    }

    /// With the form that has a colleague asked as it was sent, and why it is refused.
    pub(crate) fn not_delegated(
        site: &'a Site,
        case: Case<'_>,
        why: &NotDelegated,
        filled: &Delegating,
    ) -> Self {
        let page = Self::new(site, case, None);
        let refused = wording::not_delegated(why);
        let explanation = Times::of(case).mark(&refused);
        let (to, reason) = (filled.to.clone(), filled.reason.clone());
        let form = page.form.map(|form| Form {
            delegate: form.delegate.map(|it| DelegateForm {
                to,
                reason,
                refused,
                field: why.field(),
                ..it
            }),
            ..form
        });
        let headline = wording::NOT_DELEGATED.to_owned();
        ApprovalPage { tone: "wait", headline, explanation, form, ..page }
    }
}

/// The page that asks for a decision once more before it counts.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage<'a> {
    site: &'a Site,
    headline: String,
    explanation: String,
    title: String,
    amount: Amount,
    action: String,
    reviewer: String,
    verdict: Terms,
    pressed: &'a Unconfirmed,
    /// Labels with values.
    answers: Vec<(String, String)>,
    /// The same, by the names of inputs.
    hidden: Vec<(String, &'a str)>,
}

impl<'a> ConfirmPage<'a> {
    pub(crate) fn new(site: &'a Site, case: Case<'_>, pressed: &'a Unconfirmed) -> Self {
        let submission = case.state.submission.clone().unwrap_or_default();
        let document = submission.document.unwrap_or_default();
        ConfirmPage {
            site,
            headline: wording::headline(case),
            explanation: wording::explanation(case),
            title: or(clean_line(&document.title), wording::UNTITLED),
            amount: Amount::new(&document.amount, &document.currency),
            action: leading_action(&document),
            reviewer: clean_line(&wording::deciding_as(case)),
            verdict: pressed.verdict.terms(),
            answers: inputs::shown(&pressed.answers),
            hidden: inputs::hidden(&pressed.answers),
            pressed,
        }
    }
}

/// The page of a problem.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage<'a> {
    site: &'a Site,
    headline: &'static str,
    message: &'static str,
    /// The comment that was not recorded, for its author to copy.
    comment: &'a str,
    /// So are the answers, by the names of their fields.
    answers: &'a Answers,
    /// Whether to show a field for an approval ID.
    ask_for_id: bool,
    /// The invalid approval ID, to be corrected.
    typed: String,
    /// Whether to link to the page itself.
    again: bool,
}

impl<'a> MessagePage<'a> {
    pub(crate) fn new(site: &'a Site, problem: &Problem, filled: &'a Filled) -> Self {
        let (headline, message) = wording::problem(problem);
        let Filled { comment, answers, .. } = filled;
        MessagePage {
            site,
            headline,
            message,
            comment,
            answers,
            ask_for_id: matches!(problem, Problem::NotFound(_) | Problem::NotIssued(_)),
            typed: match problem {
                Problem::NotFound(id) | Problem::NotIssued(id) => clean_line(id),
                _ => String::new(),
            },
            again: matches!(
                problem,
                Problem::Gone
                    | Problem::InvalidVerdict
                    | Problem::CommentTooLong
                    | Problem::CommentMissing(_)
                    | Problem::NotDelegated(_)
                    | Problem::WrongAnswers(_)
                    | Problem::CrossSite
                    | Problem::BodyTooLarge
                    | Problem::Incomplete
                    | Problem::TooMany(_)
                    | Problem::Newer
                    | Problem::Unavailable
                    | Problem::NothingRecorded
                    | Problem::Unknown
                    | Problem::AfterPress(_)
            ),
        }
    }
}

/// The page with a field for an approval ID.
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage<'a> {
    pub(crate) site: &'a Site,
    /// What is wrong with the typed approval ID; may be empty.
    pub(crate) problem: &'a str,
    /// The invalid approval ID, to be corrected.
    pub(crate) typed: &'a str,
}

#[derive(Template)]
#[template(path = "outbox.html")]
pub(crate) struct OutboxPage<'a> {
    pub(crate) site: &'a Site,
    /// Newest first, limited in number.
    pub(crate) mails: &'a [Summary],
}

#[derive(Template)]
#[template(path = "mail.html")]
pub(crate) struct MailPage<'a> {
    pub(crate) site: &'a Site,
    pub(crate) mail: &'a Mail,
    /// The name of its file in the outbox.
    pub(crate) file: &'a str,
}

fn tone(case: Case<'_>) -> &'static str {
    match case.answer {
        Answer::Open | Answer::Unconfirmed => "open",
        Answer::NoWorker | Answer::Accepted | Answer::DelegationStored | Answer::Sealing => "wait",
        Answer::Voted | Answer::StageOver | Answer::Decided => match case.state.status() {
            status if !pending(status) => status_tone(status),
            _ => vote_tone(own_vote(case.state, case.link)),
        },
        Answer::Recorded | Answer::AlreadyRecorded => vote_tone(own_vote(case.state, case.link)),
        Answer::OtherVerdict | Answer::TooLate => "wait",
        Answer::Expired
        | Answer::Withdrawn
        | Answer::Ended(_)
        | Answer::Superseded
        | Answer::Uncommented
        | Answer::Unanswered
        | Answer::Delegated => "over",
    }
}

fn status_tone(status: Status) -> &'static str {
    match status {
        Status::Approved => "yes",
        Status::Rejected => "no",
        Status::Pending | Status::ChangesRequested | Status::Unspecified => "wait",
        Status::Expired | Status::Withdrawn => "over",
    }
}

fn vote_tone(vote: Option<&Vote>) -> &'static str {
    vote.and_then(|vote| vote.verdict().known()).map_or("wait", |verdict| verdict.terms().tone)
}

impl Amount {
    fn new(amount: &str, currency: &str) -> Self {
        let text = match clean_line(amount) {
            amount if amount.is_empty() => amount,
            amount => clean_line(&text::money(&amount, currency)),
        };
        // The stylesheet knows how small each of them has to be on a phone. The longest valid one is
        // -999,999,999,999,999.999 BHD; what is longer was refused.
        let class = match text.chars().count() {
            0..=13 => "sum",
            14..=20 => "sum long",
            21..=28 => "sum longest",
            _ => "sum refused",
        };
        Amount { text, class }
    }
}

impl ItemRow {
    fn has_figures(&self) -> bool {
        !self.date.is_empty() || !self.amount.text.is_empty()
    }
}

fn items(document: &Document) -> Vec<ItemRow> {
    let item = |item: &Item| ItemRow {
        what: or(clean_line(&item.description), wording::ITEM),
        date: text::day(&item.date),
        amount: Amount::new(&item.amount, &document.currency),
    };
    document.items.iter().map(item).collect()
}

fn attachment(uri: &str) -> Attachment {
    let uri = clean_line(uri);
    let linked = Url::parse(&uri)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    Attachment { name: text::attachment_name(&uri).to_owned(), linked, uri }
}

fn stage(stage: &StageState, case: Case<'_>, times: &Times) -> Stage {
    let opened = stage.opened_at.is_some() || stage.reviewers.iter().any(|r| r.vote.is_some());
    let undecided = is_open(stage);
    // While the approval continues, an undecided stage still waits for its reviewers.
    let continues = pending(case.state.status()) && !matches!(case.answer, Answer::Ended(_));
    // All decisions are made where only the seal is missing.
    let asks = undecided && continues && case.answer != Answer::Sealing;
    let waits = asks && opened;
    let seat = match (waits, pending(stage.status())) {
        (true, _) => Seat::Waiting,
        (false, false) if opened => Seat::Closed,
        (false, _) => Seat::Unknown,
    };
    Stage {
        name: wording::stage_name(stage, case),
        status: wording::stage_status(stage, opened, continues),
        tone: if pending(stage.status()) && !waits { "over" } else { status_tone(stage.status()) },
        note: match asks {
            true => times.mark(&wording::stage_note(stage, opened, case)),
            false => Vec::new(),
        },
        reviewers: stage.reviewers.iter().map(|one| reviewer(one, seat, case, times)).collect(),
    }
}

fn reviewer(reviewer: &ReviewerState, seat: Seat, case: Case<'_>, times: &Times) -> Reviewer {
    let vote = reviewer.vote.as_ref();
    Reviewer {
        name: clean_line(&wording::reviewer_name(reviewer, case.link)),
        tone: vote_tone(vote),
        did: times.mark(&wording::reviewer_did(reviewer, seat, case)),
        answers: vote.map(|vote| inputs::shown(&vote.answers)).unwrap_or_default(),
        comment: clean(wording::written(reviewer, case).trim()),
    }
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}
