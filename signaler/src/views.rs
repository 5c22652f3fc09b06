//! The data of each page's template. Pure.

use askama::Template;
use countersign_protos::{
    Act, Terms, Verdict,
    answers::Answers,
    can_be_revised, differences,
    names::ACTION_DELEGATE,
    text::{self, clean, clean_line},
    v1::{Document, Item, ReviewerState, StageState, Status, Vote},
};
use url::Url;

use crate::{
    answer::{
        self, Answer, asked_since, fields, is_offered, is_open, is_possible, own_vote, pending,
    },
    delegation_form::{Delegating, NotDelegated},
    form::{Filled, Unconfirmed},
    inputs::{self, Input, Shape as InputShape},
    outbox::{Mail, Summary},
    problem::Problem,
    revision::Wish,
    shape::{Changes, Shape, leading_action},
    submitter::{self, OwnForms},
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
    /// What the submitter is asked to change; empty if nothing is.
    asked_for: String,
    /// Whether to link to the page itself.
    again: bool,
    title: String,
    version_note: Vec<Piece>,
    /// What the reviewer whom the note names had asked for; empty if nobody is named.
    revised_for: String,
    changes: Changes,
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
    own: Option<OwnForms>,
    /// What its author has written into a form that is no longer there, to copy.
    to_copy: String,
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
    /// Whether no more changes can be requested.
    is_last_version: bool,
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

/// What a browser asks for before it sends anything.
struct Asked {
    /// For these verdicts: of what several sets of them need it asks for one set's alone.
    verdicts: Vec<Verdict>,
    comment: bool,
}

impl Asked {
    /// `needing` are the verdicts that need a comment. Changes are requested more seldom than the others are decided, so
    /// what these need comes first.
    fn of(inputs: &[Input], needing: &[Verdict]) -> Self {
        let changes = Verdict::RequestChanges;
        let ruled: Vec<_> = needing.iter().copied().filter(|it| *it != changes).collect();
        let sets = inputs.iter().map(|input| &input.required_for).chain([&ruled]);
        let mut verdicts = sets.rev().find(|set| !set.is_empty()).cloned().unwrap_or_default();
        let comment = verdicts == ruled;
        let is_alone = inputs.iter().all(|input| input.required_for != verdicts);
        if comment && needing.contains(&changes) && (is_alone || verdicts.is_empty()) {
            verdicts.push(changes);
        }
        Self { comment: comment && !verdicts.is_empty(), verdicts }
    }
}

impl Form {
    fn new(case: Case<'_>, choice: Option<Verdict>) -> Self {
        let mut buttons = answer::verdicts(case.state);
        buttons.retain(|verdict| is_possible(case.state, case.link, verdict.terms().name));
        let mut needing = answer::comment_required(case.state);
        needing.retain(|verdict| buttons.contains(verdict));
        let inputs = inputs::empty(fields(case.state));
        let asked = Asked::of(&inputs, &needing);
        Form {
            inputs,
            comment_hint: wording::comment_hint(&needing, buttons.len()),
            buttons: buttons.into_iter().map(Verdict::terms).collect(),
            chosen: choice.map(Verdict::terms),
            pressed: None,
            refused: String::new(),
            comment_refused: false,
            comment: String::new(),
            comment_required: asked.comment,
            asked_for: asked.verdicts,
            confirm: case.state.confirm,
            is_last_version: !can_be_revised(case.state.version()),
            delegate: DelegateForm::new(case),
        }
    }

    /// Whether any part of it is, and has to be corrected.
    fn is_refused(&self) -> bool {
        let delegate = self.delegate.as_ref();
        !self.refused.is_empty() || delegate.is_some_and(|form| !form.refused.is_empty())
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
            None => (wording::REQUEST, wording::hidden(case)),
        };
        let document = submission.document.unwrap_or_default();
        let stages = match case.answer.is_unattended() {
            // Only the reader's own place is known.
            true => Vec::new(),
            false => case.state.stages.iter().map(|s| stage(s, case, times)).collect(),
        };
        let offered = is_offered(case.answer, case.state, case.link);
        let own = OwnForms::new(case);
        ApprovalPage {
            site,
            tone: tone(case),
            headline: wording::headline(case),
            explanation: times.mark(&clean_line(&wording::explanation(case))),
            asked_for: wording::asked_for(case),
            again: !offered
                && own.is_none()
                && (case.answer.is_unattended() || case.answer == Answer::Sealing),
            title: or(clean_line(&document.title), untitled),
            version_note: times.mark(&wording::version_note(case)),
            revised_for: wording::revised_for(case),
            changes: Changes::of(case.changes),
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
            own,
            to_copy: String::new(),
        }
    }

    /// With the submitter's form as it was sent, and what is wrong with it.
    pub(crate) fn unrevised(
        site: &'a Site,
        case: Case<'_>,
        problem: &Problem,
        wish: &Wish,
    ) -> Self {
        let page = Self::new(site, case, None);
        let own = page.own.map(|forms| forms.refused(problem, wish));
        let is_kept = own.as_ref().is_some_and(OwnForms::is_refused);
        let to_copy = if is_kept { String::new() } else { wish.text() };
        let explanation = Times::of(case).mark(&submitter::why_refused(problem));
        let headline = wording::not_done(wish.act()).to_owned();
        ApprovalPage { tone: "wait", headline, explanation, own, to_copy, ..page }
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
        let explanation = Times::of(case).mark(&wording::at_head(problem));
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

    /// With the colleague who is to be asked once a worker runs.
    pub(crate) fn delegation_stored(site: &'a Site, case: Case<'_>, to: &str) -> Self {
        ApprovalPage { headline: wording::delegation_stored(to), ..Self::new(site, case, None) }
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
        let is_marked = page.form.as_ref().is_some_and(|form| form.delegate.is_some());
        let head = if is_marked { wording::CORRECT } else { &refused };
        let explanation = Times::of(case).mark(head);
        let (to, reason) = (filled.to.clone(), filled.reason.clone());
        let as_sent = |it| DelegateForm { to, reason, refused, field: why.field(), ..it };
        let form = page.form.map(|form| Form { delegate: form.delegate.map(as_sent), ..form });
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
    heading: &'static str,
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
            heading: wording::deciding(pressed.verdict),
            verdict: pressed.verdict.terms(),
            answers: inputs::shown(&pressed.answers),
            hidden: inputs::hidden(&pressed.answers),
            pressed,
        }
    }
}

/// The page that asks the submitter once more before what they do counts.
#[derive(Template)]
#[template(path = "confirm_act.html")]
pub(crate) struct ConfirmActPage<'a> {
    site: &'a Site,
    headline: String,
    explanation: String,
    /// As they will be.
    title: String,
    amount: Amount,
    action: String,
    heading: &'static str,
    act: Act,
    /// What a revision will change.
    changes: Changes,
    /// The form once more, field by field.
    fields: Vec<(&'static str, String)>,
    reason: &'a str,
    nonce: &'a str,
}

impl<'a> ConfirmActPage<'a> {
    pub(crate) fn new(site: &'a Site, case: Case<'_>, wish: &'a Wish, nonce: &'a str) -> Self {
        let submission = case.state.submission.clone().unwrap_or_default();
        let revised = wish.revised(&submission);
        let changes = revised.as_ref().map(|revised| differences(&submission, revised));
        let changes = changes.unwrap_or_default();
        let document = revised.unwrap_or(submission).document.unwrap_or_default();
        ConfirmActPage {
            site,
            headline: wording::headline(case),
            explanation: wording::explanation(case),
            title: or(clean_line(&document.title), wording::UNTITLED),
            amount: Amount::new(&document.amount, &document.currency),
            action: leading_action(&document),
            heading: wording::confirming(wish.act()),
            act: wish.act(),
            changes: Changes::of(&changes),
            fields: wish.fields(),
            reason: match wish {
                Wish::Withdraw(reason) => reason,
                Wish::Revise(_) | Wish::Replace(_) => "",
            },
            nonce,
        }
    }
}

/// The page of a problem.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage<'a> {
    site: &'a Site,
    headline: &'static str,
    message: String,
    /// The comment that was not recorded, for its author to copy.
    to_copy: &'a str,
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
        let message = match problem {
            Problem::NotDelegated(why) => format!("{} {message}", wording::not_delegated(why)),
            _ => message.to_owned(),
        };
        let Filled { comment, answers, .. } = filled;
        MessagePage {
            site,
            headline,
            message,
            to_copy: comment,
            answers,
            ask_for_id: matches!(problem, Problem::NotFound(_) | Problem::NotIssued(_)),
            typed: match problem {
                Problem::NotFound(id) | Problem::NotIssued(id) => clean_line(id),
                _ => String::new(),
            },
            again: !matches!(
                problem,
                Problem::NotFound(_)
                    | Problem::NotIssued(_)
                    | Problem::NotAForm
                    | Problem::MethodNotAllowed
                    | Problem::OutboxUnreadable
                    | Problem::NotLocal
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
        Answer::Open | Answer::Unconfirmed | Answer::ToRevise => "open",
        Answer::NoWorker
        | Answer::Accepted
        | Answer::DelegationStored
        | Answer::Sealing
        | Answer::SentBack
        | Answer::Submitted
        | Answer::Resubmitted
        | Answer::Revised
        | Answer::Paused => "wait",
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
        | Answer::YouWithdrew
        | Answer::Outdated
        | Answer::Unchangeable
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
    // While changes are requested, its deadline rests.
    let is_sent_back = stage.status() == Status::ChangesRequested;
    let waits = asks && opened && !is_sent_back;
    let seat = match (waits, pending(stage.status())) {
        (true, _) => Seat::Waiting,
        (false, false) if opened => Seat::Closed,
        (false, _) => Seat::Unknown,
    };
    let since = if waits { asked_since(stage) } else { Vec::new() };
    let reviewers = stage.reviewers.iter().chain(&since);
    Stage {
        name: wording::stage_name(stage, case),
        status: wording::stage_status(stage, opened, continues),
        tone: match pending(stage.status()) && !waits && !is_sent_back {
            true => "over",
            false => status_tone(stage.status()),
        },
        note: match asks && !is_sent_back {
            true => times.mark(&wording::stage_note(stage, opened, case)),
            false => Vec::new(),
        },
        reviewers: reviewers.map(|one| reviewer(one, seat, case, times)).collect(),
    }
}

fn reviewer(reviewer: &ReviewerState, seat: Seat, case: Case<'_>, times: &Times) -> Reviewer {
    let vote = reviewer.vote.as_ref();
    let is_quoted = vote.is_some_and(|vote| wording::is_quoted(vote, case));
    let written = if is_quoted { "" } else { wording::written(reviewer, case) };
    Reviewer {
        name: clean_line(&wording::reviewer_name(reviewer, case.link)),
        tone: vote_tone(vote),
        did: times.mark(&wording::reviewer_did(reviewer, seat, case)),
        answers: vote.map(|vote| inputs::shown(&vote.answers)).unwrap_or_default(),
        comment: clean(written.trim()),
    }
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}
