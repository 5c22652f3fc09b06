//! The pages: what a template needs, made from an answer. Pure.

use askama::Template;
use countersign_protos::{
    Verdict,
    v1::{Document, Item, ReviewerState, StageState, Status, Vote},
    words::{self, clean, clean_line},
};
use url::Url;

use crate::{
    judgement::{Answer, asked, own_vote, pending},
    sentences::{self, Case},
};

/// What all pages share: where the site is, and its stylesheet.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The path that every route is under, without a slash at its end.
    pub(crate) root: String,
    /// What browsers call it.
    pub(crate) origin: String,
    /// The path of the stylesheet.
    pub(crate) stylesheet: String,
    /// Whether the outbox is there.
    pub(crate) outbox: bool,
}

/// The review page, whatever it says.
#[derive(Template)]
#[template(path = "approval.html")]
pub(crate) struct ApprovalPage<'a> {
    site: &'a Site,
    tone: &'static str,
    headline: String,
    explanation: String,
    title: String,
    amount: String,
    facts: Vec<(&'static str, String)>,
    description: String,
    items: Vec<[String; 3]>,
    attachments: Vec<Attachment>,
    stages: Vec<Stage>,
    reviewer: String,
    form: Option<Form>,
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
    note: String,
    reviewers: Vec<Reviewer>,
}

struct Reviewer {
    name: String,
    tone: &'static str,
    did: String,
    comment: String,
}

struct Form {
    /// With what each button's class has besides its verdict.
    buttons: [(Verdict, &'static str); Verdict::ALL.len()],
    comment_max: usize,
}

impl<'a> ApprovalPage<'a> {
    /// The page for one answer; `choice` is the button that the link in the mail stood for.
    pub(crate) fn new(site: &'a Site, case: Case<'_>, choice: Option<Verdict>) -> Self {
        let submission = case.state.submission.clone().unwrap_or_default();
        let document = submission.document.unwrap_or_default();
        let submitter = submission.submitter.unwrap_or_default();
        let facts = [
            ("From", list([&submitter.name, &submitter.department, &submitter.employee_id])),
            ("E-mail", clean_line(&submitter.email)),
            ("Kind", words_of(&list([&submission.submission_type, &document.category]))),
            ("Reference", clean_line(&submission.submission_id)),
            ("Submitted", words::moment(submission.submitted_at.as_ref())),
        ];
        let open = matches!(case.answer, Answer::Open | Answer::Unattended);
        ApprovalPage {
            site,
            tone: tone(case),
            headline: sentences::headline(case),
            explanation: clean_line(&sentences::explanation(case)),
            title: or(clean_line(&document.title), "Untitled request"),
            amount: clean_line(&words::money(&document.amount, &document.currency)),
            facts: facts.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
            description: clean(document.description.trim()),
            items: items(&document),
            attachments: document.attachments.iter().map(|uri| attachment(uri)).collect(),
            stages: case.state.stages.iter().map(|s| stage(s, case)).collect(),
            reviewer: asked(case.state, case.link)
                .map(|(_, reviewer)| clean_line(&as_whom(reviewer)))
                .unwrap_or_default(),
            form: open.then_some(Form {
                buttons: Verdict::ALL.map(|verdict| (verdict, emphasis(verdict, choice))),
                comment_max: countersign_protos::names::COMMENT_MAX_CHARS,
            }),
        }
    }
}

/// A page that says one thing: most often, what went wrong.
#[derive(Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage<'a> {
    /// The site.
    pub(crate) site: &'a Site,
    /// The first line.
    pub(crate) headline: &'a str,
    /// What it means, and what to do.
    pub(crate) message: &'a str,
    /// A comment that could not be taken, so that its author can copy it.
    pub(crate) comment: &'a str,
    /// Whether a field for an approval ID would help.
    pub(crate) ask_for_id: bool,
    /// What that field has in it: an approval ID that does not work, to be corrected.
    pub(crate) typed: &'a str,
    /// Whether opening the same page again would help.
    pub(crate) again: bool,
}

/// The page with a field for an approval ID.
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct HomePage<'a> {
    /// The site.
    pub(crate) site: &'a Site,
    /// What is wrong with what was typed, if anything.
    pub(crate) problem: &'a str,
    /// What was typed and is wrong, to be corrected.
    pub(crate) typed: &'a str,
}

/// The list of mails in the outbox.
#[derive(Template)]
#[template(path = "outbox.html")]
pub(crate) struct OutboxPage<'a> {
    /// The site.
    pub(crate) site: &'a Site,
    /// The mails, newest first.
    pub(crate) mails: &'a [crate::outbox::Summary],
}

/// One mail.
#[derive(Template)]
#[template(path = "mail.html")]
pub(crate) struct MailPage<'a> {
    /// The site.
    pub(crate) site: &'a Site,
    /// The mail.
    pub(crate) mail: &'a crate::outbox::Mail,
}

fn tone(case: Case<'_>) -> &'static str {
    match case.answer {
        Answer::Open => "open",
        Answer::Unattended | Answer::Accepted => "wait",
        Answer::Voted | Answer::StageOver | Answer::Decided => match case.state.status() {
            status if !pending(status) => status_tone(status),
            _ => vote_tone(own_vote(case.state, case.link)),
        },
        Answer::Recorded | Answer::AlreadyRecorded => vote_tone(own_vote(case.state, case.link)),
        Answer::OtherVerdict | Answer::TooLate => "wait",
        Answer::Expired | Answer::Withdrawn | Answer::Ended(_) | Answer::Superseded => "over",
    }
}

fn status_tone(status: Status) -> &'static str {
    match status {
        Status::Approved => "yes",
        Status::Rejected => "no",
        Status::Pending | Status::Unspecified => "wait",
        Status::Expired | Status::Withdrawn => "over",
    }
}

fn vote_tone(vote: Option<&Vote>) -> &'static str {
    vote.and_then(|vote| vote.verdict().known()).map_or("wait", Verdict::tone)
}

fn emphasis(verdict: Verdict, choice: Option<Verdict>) -> &'static str {
    match choice {
        None => "",
        Some(choice) if choice == verdict => " chosen",
        Some(_) => " quiet",
    }
}

fn items(document: &Document) -> Vec<[String; 3]> {
    let item = |item: &Item| {
        [
            or(clean_line(&item.description), "Item"),
            clean_line(&item.date),
            clean_line(&words::money(&item.amount, &document.currency)),
        ]
    };
    document.items.iter().map(item).collect()
}

fn attachment(uri: &str) -> Attachment {
    let uri = clean_line(uri);
    let linked = Url::parse(&uri)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    Attachment { name: words::attachment_name(&uri).to_owned(), linked, uri }
}

fn stage(stage: &StageState, case: Case<'_>) -> Stage {
    let state = case.state;
    let opened = stage.opened_at.is_some() || stage.reviewers.iter().any(|r| r.vote.is_some());
    let waiting = pending(stage.status());
    let goes_on = pending(state.status()) && !matches!(case.answer, Answer::Ended(_));
    let name = match clean_line(&stage.name) {
        name if name.is_empty() && state.stages.len() > 1 => "Stage".to_owned(),
        name => or(name, "Reviewers"),
    };
    let deadline = words::moment(stage.deadline.as_ref());
    let note = match (waiting && goes_on, opened, deadline.is_empty()) {
        (true, true, false) => format!("Until {deadline}. {}", sentences::quorum(stage)),
        (true, _, _) => sentences::quorum(stage),
        (false, ..) => String::new(),
    };
    Stage {
        name,
        status: match (waiting, opened, goes_on) {
            (true, false, true) => "Not asked yet",
            (true, false, false) => "Not asked",
            (true, true, false) => "Not decided",
            _ => sentences::outcome_word(stage.status()),
        },
        tone: if waiting && !(opened && goes_on) { "over" } else { status_tone(stage.status()) },
        note: note.trim().to_owned(),
        reviewers: stage
            .reviewers
            .iter()
            .map(|one| reviewer(one, waiting && opened && goes_on, case.link))
            .collect(),
    }
}

/// As whom somebody decides.
fn as_whom(reviewer: &ReviewerState) -> String {
    match reviewer.on_behalf_of.as_str() {
        "" => reviewer.reviewer.clone(),
        absent => format!("{}, in the place of {absent}", reviewer.reviewer),
    }
}

fn reviewer(reviewer: &ReviewerState, waiting: bool, link: &str) -> Reviewer {
    let you = if reviewer.link == link { " (you)" } else { "" };
    let absent = match reviewer.on_behalf_of.as_str() {
        "" => String::new(),
        absent => format!(" for {absent}"),
    };
    let name = clean_line(&format!("{}{absent}{you}", reviewer.reviewer));
    match &reviewer.vote {
        Some(vote) => {
            let when = words::moment(vote.decided_at.as_ref());
            let past = sentences::past(Some(vote));
            Reviewer {
                name,
                tone: vote_tone(Some(vote)),
                did: if when.is_empty() { past.to_owned() } else { format!("{past} on {when}") },
                comment: clean(vote.comment.trim()),
            }
        }
        None => Reviewer {
            name,
            tone: "wait",
            did: match (reviewer.released, waiting) {
                (true, _) => "did not decide; others were asked",
                (false, true) => "has not decided yet",
                (false, false) => "",
            }
            .to_owned(),
            comment: String::new(),
        },
    }
}

fn list<const N: usize>(texts: [&String; N]) -> String {
    let texts = texts.map(|text| clean_line(text));
    texts.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}

/// `equipment_purchase` as people write it.
fn words_of(name: &str) -> String {
    let text = clean_line(&name.replace('_', " "));
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => text,
    }
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}
