//! Every page in every state: for what holds on all of them, and for `scripts/screenshots`.

mod versions;

use std::{collections::BTreeSet, path::Path};

use countersign_protos::{
    Json, Organization,
    answers::{self, Kind},
    v1::{
        self, Action, ApprovalState, Delegation, Detail, Document, Item, ReviewerState, StageState,
        Status, Submission, Submitter, Vote,
    },
};

use super::{
    tests::{at, body, link, site},
    *,
};
use crate::{
    answer::{Ending, after_sending, on_view, settled},
    inputs::wrong_answers,
    outbox::{Mail, Part, Summary},
    views::{HomePage, MailPage, OutboxPage},
};

const ANN: usize = 0;
const BOB: usize = 1;
const COMMENT: &str = "The docks are dearer than in spring.\nPlease ask for a second offer.";

/// What happens to an approval, in words of the workflow. Ann, whose link it is, and Bob are asked first, and
/// Fay after them.
struct Happening(ApprovalState);

impl Happening {
    fn asked() -> Self {
        let seat = |reviewer: &str, link: &str| ReviewerState {
            reviewer: reviewer.into(),
            link: link.into(),
            ..ReviewerState::default()
        };
        let first = StageState {
            name: "Management".into(),
            status: Status::Pending.into(),
            quorum: "all".into(),
            opened_at: at(-90_000),
            deadline: at(259_200),
            on_deadline: "escalate".into(),
            reviewers: vec![seat("ann@example.com", link().as_str()), seat("bob@example.com", "b")],
            ..StageState::default()
        };
        let second = StageState {
            name: "Finance".into(),
            status: Status::Pending.into(),
            quorum: "any".into(),
            reviewers: vec![seat("fay@example.com", "")],
            ..StageState::default()
        };
        Self(ApprovalState {
            status: Status::Pending.into(),
            submission: Some(submission()),
            stages: vec![first, second],
            rule: "Hardware above 5,000 USD".into(),
            time_zone: "Europe/Berlin".into(),
            ..ApprovalState::default()
        })
    }

    fn of(change: impl FnOnce(&mut Document)) -> Self {
        Self::asked().but(|state| {
            let submission = state.submission.get_or_insert_default();
            change(submission.document.get_or_insert_default());
        })
    }

    fn but(mut self, change: impl FnOnce(&mut ApprovalState)) -> Self {
        change(&mut self.0);
        self
    }

    fn seat(self, seat: usize, change: impl FnOnce(&mut ReviewerState)) -> Self {
        self.but(|state| change(&mut state.stages[0].reviewers[seat]))
    }

    fn vote(self, seat: usize, verdict: Verdict, comment: &str) -> Self {
        self.seat(seat, |one| {
            one.vote = Some(Vote {
                reviewer: one.reviewer.clone(),
                verdict: verdict.into(),
                comment: comment.into(),
                decided_at: at(-3_600 + seat as i64),
                by: "link".into(),
                ..Vote::default()
            });
        })
    }

    fn close_stage(self, status: Status) -> Self {
        self.but(|state| {
            state.stages[0].status = status.into();
            state.stages[0].closed_at = at(0);
            state.stages[1].opened_at = at(0);
            state.stages[1].deadline = at(345_600);
        })
    }

    fn end(self, status: Status, reason: &str) -> Self {
        self.but(|state| {
            state.status = status.into();
            state.stages[0].status = status.into();
            state.stages[0].closed_at = at(0);
            state.reason = reason.into();
            state.decided_at = at(0);
        })
    }

    fn approved() -> Self {
        let voted = Self::asked().vote(ANN, Verdict::Approve, "").vote(BOB, Verdict::Approve, "");
        let alone = voted.but(|state| state.stages.truncate(1));
        alone.end(Status::Approved, "Approved by ann@example.com and bob@example.com.")
    }

    fn rejected() -> Self {
        let voted = Self::asked().vote(BOB, Verdict::Reject, "Not before the audit.");
        voted.end(Status::Rejected, "Rejected by bob@example.com.")
    }

    fn expired() -> Self {
        Self::asked().end(Status::Expired, "Nobody in Management decided in time.")
    }

    fn current(self) -> Reading {
        Reading::Current(self.0)
    }

    fn viewed(self) -> Reply {
        self.chosen(None)
    }

    fn chosen(self, choice: Option<Verdict>) -> Reply {
        let reading = self.current();
        said(on_view(&reading, &link()), reading, choice)
    }

    /// Pressed when it was so already.
    fn pressed(self, verdict: Verdict) -> Reply {
        let reading = self.current();
        let answer = settled(&reading, &link(), verdict).expect("settled");
        followed(answer, reading, verdict)
    }

    /// It became so by the press.
    fn sent(self) -> Reply {
        let reading = self.current();
        let answer = after_sending(&reading, &link(), Verdict::Approve);
        followed(answer.expect("an effect"), reading, Verdict::Approve)
    }

    /// The form was sent with a mistake.
    fn refused(self, problem: Problem, verdict: Option<Verdict>, comment: &str) -> Reply {
        let filled = Filled { verdict, comment: comment.to_owned(), ..Filled::default() };
        Reply::Refused { problem, filled, reading: self.current().into(), link: link() }
    }

    /// Somebody has had a colleague asked.
    fn delegated(self, seat: usize, to: &str) -> Self {
        self.but(|state| {
            let stage = &mut state.stages[0];
            let from = &mut stage.reviewers[seat];
            from.released = true;
            let delegation = Delegation {
                reviewer: from.reviewer.clone(),
                to: to.into(),
                reason: "They have bought laptops before.".into(),
                at: at(-3_600),
                link: from.link.clone(),
                ..Delegation::default()
            };
            stage.delegations.push(delegation);
        })
    }

    /// The form that has a colleague asked was sent with a mistake.
    fn not_delegated(self, why: NotDelegated) -> Reply {
        let (to, reason) = ("bob@example.com".to_owned(), COMMENT.to_owned());
        let filled = Delegating { to, reason, is_ambiguous: false };
        Reply::NotDelegated { why, filled, reading: self.current().into(), link: link() }
    }

    /// With something to fill in, of each kind.
    fn asking() -> Self {
        Self::of(without_amount).but(|state| {
            state.submission.get_or_insert_default().fields = fields();
        })
    }

    /// The form was sent with answers that are none.
    fn misanswered() -> Reply {
        let state = Self::asking().0;
        let answers = [("cover", "Kim"), ("days", "ten"), ("paid", "yes"), ("back", "soon")];
        let answers = answers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let filled = Filled { verdict: Some(Verdict::Approve), comment: COMMENT.into(), answers };
        let wrong = answers::check(&fields(), Verdict::Approve, &filled.answers);
        let wrong = wrong.expect_err("three are wrong");
        let problem = Problem::WrongAnswers(wrong_answers(&fields(), wrong));
        let reading = Reading::Current(state).into();
        Reply::Refused { problem, filled, reading, link: link() }
    }

    /// All that is known without a worker.
    fn alone(self) -> Self {
        self.but(|state| {
            state.stages.truncate(1);
            state.stages[0].reviewers.truncate(1);
        })
    }
}

fn submission() -> Submission {
    let item = |description: &str, amount: &str| Item {
        description: description.into(),
        amount: amount.into(),
        date: "2026-11-20".into(),
    };
    Submission {
        submission_id: "PO-2026-2041".into(),
        submission_type: "equipment_purchase".into(),
        submitter: Some(Submitter {
            name: "Priya Natarajan".into(),
            email: "priya.natarajan@example.com".into(),
            department: "Platform".into(),
            employee_id: "E-1042".into(),
        }),
        document: Some(Document {
            title: "15 laptops for the platform team".into(),
            amount: "15750.00".into(),
            currency: "USD".into(),
            category: "hardware".into(),
            description:
                "Replaces machines from 2021, whose batteries fail.\n\nThe quote holds until \
                          Friday."
                    .into(),
            items: vec![
                item("Laptop, 14 inch, 32 GB, 15 pieces", "14250.00"),
                item("USB-C dock, 15 pieces", "1500.00"),
            ],
            attachments: vec![
                "https://files.example.com/quotes/2026/quote-7781.pdf".into(),
                "s3://example-purchases/2026/PO-2026-2041/budget.xlsx".into(),
            ],
            ..Document::default()
        }),
        submitted_at: at(-93_600),
        ..Submission::default()
    }
}

/// What whoever decides a leave may be asked.
fn fields() -> Vec<v1::Field> {
    let field = |name: &str, label: &str, kind: Kind, required_for: &[&str]| v1::Field {
        name: name.into(),
        label: label.into(),
        r#type: kind.name().into(),
        required_for: required_for.iter().map(|&verdict| verdict.into()).collect(),
        ..v1::Field::default()
    };
    let who = field("cover", "Who covers what cannot wait", Kind::Text, &["approve"]);
    let kind = field("kind", "Kind of leave", Kind::Choice, &["approve"]);
    let kinds = ["Annual leave", "Special leave", "Unpaid leave"].map(Into::into);
    vec![
        who,
        field("days", "Working days that count", Kind::Number, &["approve"]),
        v1::Field { choices: kinds.into(), ..kind },
        field("paid", "Is overtime paid out before?", Kind::YesNo, &[]),
        field("back", "First day back", Kind::Date, &[]),
    ]
}

fn answers() -> Vec<v1::Answer> {
    let given = ["Kim takes the pager.\nLee answers the suppliers.", "10", "Annual leave", "no"];
    let answer = |(field, value): (v1::Field, &str)| {
        let v1::Field { name, label, .. } = field;
        v1::Answer { name, label, value: value.into() }
    };
    fields().into_iter().zip(given).map(answer).collect()
}

/// As an accountant's export has them.
fn items(count: usize) -> Vec<Item> {
    let things = [
        "Train, Leipzig to Hamburg and back, second class, with a seat",
        "Hotel, one night",
        "Reisekostenabrechnungsgenehmigungsformular, notarially certified",
        "Taxi",
        "Conference ticket, two days, with the workshop on durable execution for teams",
    ];
    let item = |number: usize| Item {
        description: format!("{}. {}", number + 1, things[number % things.len()]),
        amount: format!("{}.50", number * 7919 % 4000),
        date: format!("2026-11-{:02}", 1 + number % 28),
    };
    (0..count).map(item).collect()
}

fn long(document: &mut Document) {
    let url = format!("https://quotes.example/{}", "long-name".repeat(24));
    document.title = format!("Donaudampfschifffahrtsgesellschaftskapitänsmützen: {}", &url[..90]);
    document.amount = "-999999999999999.999".into();
    document.currency = "BHD".into();
    document.description = format!("See {url}\n\n{}", "It is needed in every branch. ".repeat(40));
    let (description, date) = (url.clone(), "in autumn, or when it is delivered at last".into());
    document.items = vec![
        Item { description, amount: document.amount.clone(), date },
        Item { amount: "0.001".into(), ..Item::default() },
        Item { description: "Without an amount".into(), ..Item::default() },
    ];
    document.attachments = vec![url, format!("s3://{}", "bucket".repeat(30))];
}

fn right_to_left(document: &mut Document) {
    document.title = "15 מחשבים ניידים (14 אינץ׳)".into();
    document.currency = "ILS".into();
    document.description = "שלום! מחליף מכונות מ-2021.\nThis has to be paid by Friday.".into();
    document.items[0].description = "حاسوب محمول، 14 بوصة، 15 قطعة.".into();
    document.attachments = vec!["https://files.example.com/הצעה.pdf".into()];
}

/// A request for leave, without an amount.
fn without_amount(document: &mut Document) {
    let detail = |label: &str, value: &str| Detail { label: label.into(), value: value.into() };
    *document = Document {
        title: "Leave from 7 to 18 December".into(),
        details: vec![
            detail("From", "Monday, 7 December 2026"),
            detail("Until", "Friday, 18 December 2026"),
            detail("In the meantime", "Kim takes the pager.\nLee answers the suppliers."),
            detail("הערה", "תודה רבה!"),
            detail("Handover", &"What is open stands in the team's list. ".repeat(30)),
        ],
        ..Document::default()
    };
}

/// What an agent wants to run.
fn tool_call(document: &mut Document) {
    let steps: Vec<serde_json::Value> = (0..60)
        .map(|number| serde_json::json!({"host": format!("db-{number}.example.com"), "wait": true}))
        .collect();
    let arguments = serde_json::json!({
        "environment": "production",
        "image": "registry.example.com/shop:2026-11-26",
        "replicas": 12,
        "force": false,
        "window": null,
        "note": "שדרוג לילי",
        "limits": {"cpu": 1.5, "memory": "2Gi"},
        "steps": steps,
    });
    *document = Document {
        title: "Deploy the shop".into(),
        action: Some(Action {
            name: "deploy".into(),
            arguments: Some(Json::from(&arguments)),
            risk: "high".into(),
            reason: "The fix for the basket is in this image.\nTests have passed.".into(),
            on_behalf_of: "Priya Natarajan".into(),
        }),
        ..Document::default()
    };
}

fn said(answer: Answer, reading: Reading, choice: Option<Verdict>) -> Reply {
    Reply::Approval { answer, reading: reading.into(), link: link(), choice, pressed: None }
}

/// The page to which a browser is sent after a press.
fn followed(answer: Answer, reading: Reading, pressed: Verdict) -> Reply {
    let (choice, pressed) = (None, Some(pressed));
    Reply::Approval { answer, reading: reading.into(), link: link(), choice, pressed }
}

/// The answer to a press itself, where that is shown.
fn decided(answer: Answer, reading: Reading) -> Reply {
    let (verdict, receipt) = (Verdict::Approve, String::new());
    Reply::Decided { answer, reading: reading.into(), link: link(), verdict, receipt }
}

fn to_confirm(verdict: Verdict, comment: &str) -> Reply {
    let reading = Happening::asked().but(|state| state.confirm = true).current().into();
    let (comment, nonce) = (comment.to_owned(), "1795795200.mac".to_owned());
    let answers = if comment.is_empty() { Vec::new() } else { answers() };
    let pressed = Unconfirmed { verdict, comment, answers, nonce };
    Reply::Unconfirmed { pressed, reading, link: link() }
}

fn no_worker(happening: Happening) -> Reading {
    Reading::NoWorker(happening.alone().0)
}

fn open_pages() -> Vec<(&'static str, Reply)> {
    use Verdict::{Approve, Reject};
    let asked = Happening::asked;
    let plain = |document: &mut Document| {
        *document = Document { title: document.title.clone(), ..Document::default() }
    };
    let sixty = |document: &mut Document| document.items = items(60);
    let hebrew = Happening::of(right_to_left).but(|state| {
        state.rule = "רכש".into();
        state.stages[0].name = "הנהלה".into();
        state.submission.get_or_insert_default().submitter.get_or_insert_default().name =
            "פריה נטראג׳ן".into();
    });
    let vague = "about fifteen thousand, or a little more";
    let requiring = || asked().but(|state| state.comment_required = vec![Reject.into()]);
    let missing = Problem::CommentMissing(Reject);
    let too_long = [COMMENT, "\n"].concat().repeat(30);
    let deputy = asked().seat(ANN, |one| one.on_behalf_of = "lee@example.com".into());
    let delegating = || asked().but(|state| state.delegate_to = vec!["example.com".into()]);
    let asked_already = NotDelegated::AskedAlready("bob@example.com".into());
    let by_colleague = delegating().delegated(BOB, "ann@example.com").seat(ANN, |one| {
        one.instead_of = "bob@example.com".into();
    });
    vec![
        ("open", asked().viewed()),
        ("open-approve-chosen", asked().chosen(Some(Approve))),
        ("open-reject-chosen", asked().chosen(Some(Reject))),
        ("open-title-alone", Happening::of(plain).viewed()),
        ("open-without-amount", Happening::of(without_amount).viewed()),
        ("open-tool-call", Happening::of(tool_call).viewed()),
        ("open-tool-call-chosen", Happening::of(tool_call).chosen(Some(Approve))),
        ("open-60-items", Happening::of(sixty).viewed()),
        ("open-60-items-chosen", Happening::of(sixty).chosen(Some(Approve))),
        ("open-long", Happening::of(long).chosen(Some(Reject))),
        ("open-right-to-left", hebrew.vote(BOB, Approve, "בסדר גמור, 2 מתוך 3.").viewed()),
        ("open-refused", Happening::of(|document| document.amount = vague.into()).viewed()),
        ("open-deputy", deputy.viewed()),
        ("open-to-confirm", asked().but(|state| state.confirm = true).viewed()),
        ("open-to-comment", requiring().chosen(Some(Reject))),
        ("open-to-delegate", delegating().viewed()),
        ("open-by-colleague", by_colleague.viewed()),
        ("refused-delegation", delegating().not_delegated(asked_already)),
        ("refused-delegation-reason", delegating().not_delegated(NotDelegated::ReasonMissing)),
        ("open-to-answer", Happening::asking().viewed()),
        (
            "open-answered-by-another",
            Happening::asking()
                .vote(BOB, Approve, "")
                .seat(BOB, |one| one.vote.get_or_insert_default().answers = answers())
                .viewed(),
        ),
        ("refused-answers", Happening::misanswered()),
        ("open-times-out", asked().but(|state| state.times_out_at = at(3_600)).viewed()),
        ("no-worker", said(Answer::NoWorker, no_worker(asked()), Some(Approve))),
        ("refused-comment-missing", requiring().refused(missing, Some(Reject), "")),
        (
            "refused-comment-too-long",
            asked().refused(Problem::CommentTooLong, Some(Approve), &too_long),
        ),
        ("refused-verdict", asked().refused(Problem::InvalidVerdict, None, COMMENT)),
    ]
}

fn settled_pages() -> Vec<(&'static str, Reply)> {
    use Verdict::{Approve, Reject};
    let voted = || Happening::asked().vote(ANN, Approve, COMMENT);
    let next = || voted().vote(BOB, Approve, "").close_stage(Status::Approved);
    let withdrawn = "Withdrawn by kim@laptop-17: ordered twice, see PO-2026-2040.";
    let withdrawn = Happening::asked().end(Status::Withdrawn, withdrawn);
    let by_operator = voted().seat(ANN, |one| {
        let vote = one.vote.get_or_insert_default();
        (vote.by, vote.identity) = ("operator".into(), "kim@laptop-17".into());
    });
    let delivering = |state: &mut ApprovalState| state.handing_on = "Decided.".into();
    let ended = |ending| said(Answer::Ended(ending), Reading::Ended(ending, voted().0), None);
    let superseded = || Happening::asked().seat(ANN, |one| one.released = true);
    vec![
        ("voted", voted().viewed()),
        ("voted-by-operator", by_operator.viewed()),
        ("stage-over", next().viewed()),
        ("approved", Happening::approved().viewed()),
        ("approved-delivering", Happening::approved().but(delivering).viewed()),
        ("rejected", Happening::rejected().viewed()),
        ("expired", Happening::expired().viewed()),
        ("withdrawn", withdrawn.viewed()),
        ("ended-failed", ended(Ending::Failed)),
        ("ended-terminated", ended(Ending::Terminated)),
        ("ended-timed-out", ended(Ending::TimedOut)),
        ("no-worker-stored", said(Answer::NoWorker, no_worker(voted()), None)),
        ("superseded", superseded().viewed()),
        ("superseded-new-link", superseded().seat(ANN, |one| one.reissued = true).viewed()),
        ("delegated", Happening::asked().delegated(ANN, "cy@example.com").viewed()),
        (
            "delegated-no-worker",
            Reply::Delegated {
                answer: Answer::DelegationStored,
                reading: no_worker(Happening::asked()).into(),
                link: link(),
                to: "cy@example.com".into(),
            },
        ),
        ("delegated-pressed", Happening::asked().delegated(ANN, "cy@example.com").sent()),
        ("pressed-recorded", voted().sent()),
        ("pressed-approved", Happening::approved().sent()),
        ("pressed-again", voted().pressed(Approve)),
        ("pressed-other-verdict", voted().pressed(Reject)),
        ("pressed-too-late", Happening::rejected().pressed(Approve)),
        ("pressed-expired", Happening::expired().pressed(Approve)),
        ("pressed-no-worker", decided(Answer::Accepted, no_worker(Happening::asked()))),
        ("pressed-sealing", decided(Answer::Sealing, Reading::Unsealed(voted().0))),
        ("pressed-to-confirm", to_confirm(Approve, "")),
        ("pressed-to-confirm-comment", to_confirm(Reject, COMMENT)),
        ("pressed-to-confirm-changes", to_confirm(Verdict::RequestChanges, COMMENT)),
    ]
}

fn problem_pages() -> Vec<(&'static str, Reply)> {
    let mistyped = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6";
    let problems = [
        Problem::NO_PAGE,
        Problem::NotIssued(mistyped.to_owned()),
        Problem::Gone,
        Problem::Newer,
        Problem::InvalidVerdict,
        Problem::CommentTooLong,
        Problem::CommentMissing(Verdict::Reject),
        Problem::NotTheSubmitter,
        Problem::NotRevisable,
        Problem::NotDelegated(NotDelegated::ReasonMissing),
        Problem::CrossSite,
        Problem::NotAForm,
        Problem::BodyTooLarge,
        Problem::Incomplete,
        Problem::MethodNotAllowed,
        Problem::TooMany(Duration::from_secs(1)),
        Problem::Unavailable,
        Problem::NothingRecorded,
        Problem::Unknown,
        Problem::OutboxUnreadable,
        Problem::NotLocal,
    ];
    let of_form = [Problem::CommentTooLong, Problem::NothingRecorded, Problem::Unknown];
    let replies = problems.into_iter().map(|problem| {
        let comment = if of_form.contains(&problem) { COMMENT } else { "" };
        let name = match problem {
            Problem::CommentTooLong => "comment_too_long",
            Problem::CommentMissing(_) => "comment_missing",
            Problem::NotDelegated(_) => "not_delegated",
            Problem::WrongAnswers(_) => "wrong_answers",
            _ => problem_status(&problem).1,
        };
        let filled = Filled { comment: comment.to_owned(), ..Filled::default() };
        (name, Reply::Problem(problem, filled))
    });
    replies.collect()
}

async fn other_pages(site: &Site) -> Vec<(&'static str, String)> {
    let wrong = "an approval ID has 24 letters and digits, such as 7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T.";
    let home =
        async |problem, typed| body(page(StatusCode::OK, &HomePage { site, problem, typed })).await;
    let summary = |subject: &str, to: &str| Summary {
        file: "a.eml".into(),
        subject: subject.into(),
        to: to.into(),
        date: "Thu, 26 Nov 2026 15:00:00 +0000".into(),
    };
    let mails = [
        summary("Decide: 15 laptops, 15,750.00 USD", "Ann Arbor <ann@example.com>"),
        summary("החלטה: 15 מחשבים", "פריה <priya@example.com>"),
    ];
    let outbox = async |mails| body(page(StatusCode::OK, &OutboxPage { site, mails })).await;
    let part = |text: &str, link| Part { text: text.into(), link };
    let mail = Mail {
        subject: mails[0].subject.clone(),
        headers: vec![("To", mails[0].to.clone()), ("Date", mails[0].date.clone())],
        body: vec![
            part("Priya Natarajan asks for your decision.\n\nApprove: ", false),
            part(&format!("{}/a/7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T?choice=approve", site.origin), true),
        ],
        html: None,
    };
    let mail = MailPage { site, mail: &mail, file: "a.eml" };
    vec![
        ("home", home("", "").await),
        ("home-mistyped", home(wrong, "7K3Q-9XHT").await),
        ("outbox", outbox(&mails).await),
        ("outbox-empty", outbox(&[]).await),
        ("outbox-mail", body(page(StatusCode::OK, &mail)).await),
    ]
}

/// Each page with its name.
pub(super) async fn every_page(site: &Site) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for (name, reply) in open_pages().into_iter().chain(settled_pages()).chain(versions::pages()) {
        pages.push((name.to_owned(), body(reply.respond(site, Accept::Html)).await));
    }
    for (name, reply) in problem_pages() {
        let html = body(reply.respond(site, Accept::Html)).await;
        pages.push((format!("problem-{}", name.replace('_', "-")), html));
    }
    let others = other_pages(site).await.into_iter();
    pages.extend(others.map(|(name, html)| (name.to_owned(), html)));
    pages
}

/// Each tag of a page, with the text behind it.
fn tags(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split('<').filter_map(|part| part.split_once('>'))
}

#[tokio::test]
async fn a_page_fetches_its_stylesheet_alone_and_its_icon_is_in_it() {
    for (name, page) in every_page(&site()).await {
        let fetched: Vec<&str> =
            tags(&page).map(|(tag, _)| tag).filter(|tag| tag.starts_with("link ")).collect();
        let [icon, style] = fetched[..] else { panic!("{name}: {fetched:?}") };
        assert!(icon.starts_with("link rel=\"icon\" href=\"data:image/svg+xml,"), "{name}: {icon}");
        assert_eq!(style, "link rel=\"stylesheet\" href=\"/assets/s.css\"", "{name}");
        let others = ["<img", "<script", "<iframe", " style=", "@import", "srcset"];
        assert!(!others.iter().any(|other| page.contains(other)), "{name}: {page}");
    }
}

#[tokio::test]
async fn what_others_have_written_has_the_direction_of_its_letters() {
    let is_right_to_left = |c: &char| ('\u{590}'..='\u{6FF}').contains(c);
    let mut found = BTreeSet::new();
    for (name, page) in every_page(&site()).await {
        for (tag, text) in tags(&page).filter(|(tag, _)| *tag != "title") {
            let first = text.chars().find(|c| c.is_alphabetic());
            if first.as_ref().is_some_and(is_right_to_left) {
                // An address stays left to right, so that its brackets stay around it.
                let address = tag.contains("dir=\"ltr\"") && text.contains('@');
                let own = tag.contains("dir=\"auto\"") || tag == "bdi" || tag.starts_with("bdi ");
                let own = own || address;
                assert!(own, "{name}: <{tag}>{text}");
                found.insert(text.to_owned());
            }
        }
        let fields = tags(&page).filter(|(tag, _)| tag.starts_with("textarea "));
        fields.for_each(|(tag, _)| assert!(tag.contains("dir=\"auto\""), "{name}: <{tag}>"));
    }
    assert_eq!(
        found.len(),
        12,
        "title, submitter, description, item, file, stage, comment, detail and its label, argument, mail, its \
         reader: {found:?}"
    );
}

#[tokio::test]
async fn each_field_has_a_label() {
    for (name, page) in every_page(&site()).await {
        // Labels are around the buttons of a question.
        let is_one_of_several = |tag: &str| tag.contains("type=\"radio\"");
        let several = tags(&page).filter(|(tag, _)| is_one_of_several(tag)).count();
        let labelled = page.matches("<label class=\"choice\"><input type=\"radio\"").count();
        assert_eq!(labelled, several, "{name}");
        let is_field = |tag: &&str| {
            let is_input = tag.starts_with("input ") && !tag.contains("type=\"hidden\"");
            is_input && !is_one_of_several(tag)
                || tag.starts_with("textarea ")
                || tag.starts_with("select ")
        };
        for field in tags(&page).map(|(tag, _)| tag).filter(is_field) {
            let id = field.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next());
            let label = format!("<label for=\"{}\">", id.expect("an ID"));
            assert_eq!(page.matches(&label).count(), 1, "{name}: {field}");
        }
    }
}

/// Sixty items take a phone's screen many times over. None of them is left out.
#[tokio::test]
async fn the_way_to_the_decision_stands_before_the_document_and_leads_past_every_item() {
    for (name, page) in every_page(&site()).await {
        let decides = page.contains("name=\"verdict\"") && !page.contains("Confirm: ");
        assert_eq!(page.contains("href=\"#decide\""), decides, "{name}");
        if !decides {
            continue;
        }
        let place = |part: &str| page.find(part).unwrap_or_else(|| panic!("{name}: {part}"));
        let mut parts = vec!["class=\"notice", "href=\"#decide\"", "<h1", "</article>"];
        parts.extend(["id=\"decide\"", "name=\"verdict\""]);
        // Without a worker, others' decisions are not known.
        parts.extend(page.contains("<h2>Decisions</h2>").then_some("class=\"stages\""));
        let places: Vec<usize> = parts.into_iter().map(place).collect();
        assert!(places.is_sorted(), "{name}: {places:?}");
        if name.contains("60") {
            assert_eq!(page.matches("<span class=\"what\"").count(), 60, "{name}");
            assert!(page.contains("<h2>Items (60)</h2>"), "{name}");
        }
    }
}

#[tokio::test]
async fn the_choice_of_the_mailed_link_is_said_before_the_document_and_at_the_buttons() {
    let pages = every_page(&site()).await;
    let page = |name: &str| &pages.iter().find(|page| page.0 == name).expect("a page").1;
    for (name, choice) in [("open-approve-chosen", "Approve"), ("open-reject-chosen", "Reject")] {
        let page = page(name);
        let (before, document) = page.split_once("<h1").expect("a heading");
        let said = format!(">You chose {choice}: confirm it below</a>");
        assert!(before.contains(&said), "{before}");
        let (_, form) = document.split_once("id=\"decide\"").expect("a form");
        let (above, _) = form.split_once("<button").expect("buttons");
        let said = format!(">You chose {choice} in the mail: press it here to decide.</p>");
        assert!(above.contains(&said), "{above}");
    }
    let unasked = page("open");
    assert!(unasked.contains(">Go to your decision</a>") && !unasked.contains("You chose"));
}

#[tokio::test]
async fn of_each_reviewer_a_page_says_only_what_is_known() {
    let pages = every_page(&site()).await;
    let page = |name: &str| &pages.iter().find(|page| page.0 == name).expect("a page").1;
    let said = |page: &str, words: &str| page.matches(words).count();
    for (name, yet, not) in [
        ("open", 2, 0),
        ("voted", 1, 0),
        ("stage-over", 1, 0),
        ("rejected", 0, 1),
        ("expired", 0, 2),
        ("ended-failed", 0, 0),
        ("pressed-sealing", 0, 0),
    ] {
        let page = page(name);
        let counts = (said(page, "has not decided yet"), said(page, "did not decide"));
        assert_eq!(counts, (yet, not), "{name}");
    }
    assert_eq!(said(page("pressed-sealing"), "Until"), 0, "nobody is asked any more");
    assert!(page("open-deputy").contains("ann@example.com (you) for lee@example.com"));
}

#[tokio::test]
async fn where_a_page_will_say_more_a_link_leads_to_it_again() {
    let later = [
        "no-worker-stored",
        "delegated-no-worker",
        "pressed-no-worker",
        "pressed-sealing",
        "submitter-pressed-no-worker",
    ];
    for (name, page) in every_page(&site()).await {
        assert_eq!(page.contains(">Look again</a>"), later.contains(&&*name), "{name}");
    }
}

#[tokio::test]
async fn amounts_are_never_broken_and_their_size_follows_their_length() {
    let style = include_str!("../../assets/style.css");
    let unbroken = |line: &&str| line.starts_with(".sum {") && line.contains("white-space: nowrap");
    assert_eq!(style.lines().filter(unbroken).count(), 1);
    let pages = every_page(&site()).await;
    let page = |name: &str| &pages.iter().find(|page| page.0 == name).expect("a page").1;
    for (name, amounts) in [
        ("open", &["sum\">15,750.00 USD<", "sum\">14,250.00 USD<", "sum\">1,500.00 USD<"][..]),
        ("open-long", &["sum longest\">-999,999,999,999,999.999 BHD<", "sum\">0.001 BHD<"]),
        ("open-refused", &["sum refused\">about fifteen thousand, or a little more USD<"]),
        ("pressed-to-confirm", &["sum\">15,750.00 USD<"]),
    ] {
        for amount in amounts {
            assert!(page(name).contains(&format!("<span class=\"{amount}")), "{name}: {amount}");
        }
    }
    assert!(!page("open-long").contains("> BHD<") && !page("open-long").contains(">BHD<"));
}

#[tokio::test]
async fn what_reviewers_do_is_called_a_decision() {
    for (name, page) in every_page(&site()).await {
        let text: String = tags(&page).map(|(_, text)| text.to_lowercase()).collect();
        assert!(!text.contains("vote"), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_page_says_before_and_after_that_a_colleague_is_asked_at_once() {
    let pages = every_page(&site()).await;
    let page = |name: &str| &pages.iter().find(|page| page.0 == name).expect("a page").1;
    for (name, words) in [
        (
            "open-to-delegate",
            "They get a mail at once, with your reason. After that you can no longer decide.",
        ),
        ("open-to-delegate", "aria-describedby=\"delegates\">Ask them instead</button>"),
        ("refused-delegation", "Please correct what is marked below, and press again."),
        ("delegated", "You asked cy@example.com to decide instead"),
        ("delegated", "cy@example.com for ann@example.com</bdi>"),
        ("delegated", "your link decides nothing any more"),
        ("delegated-no-worker", "Stored: cy@example.com is still to be asked"),
        ("delegated-no-worker", "your link then decides nothing any more"),
    ] {
        assert!(page(name).contains(words), "{name}: {words}: {}", page(name));
    }
    let twice = "ann@example.com for bob@example.com";
    assert!(!page("open-by-colleague").contains(twice), "she has her place");
    let why = "bob@example.com is, or was, a reviewer of this already";
    let refused = page("refused-delegation").matches(why).count();
    assert_eq!(refused, 1, "it is said once");
}

/// Programs read the names of fields, people the words on the page.
#[tokio::test]
async fn problems_are_told_to_people_without_names_of_fields() {
    for (name, reply) in problem_pages() {
        let page = body(reply.respond(&site(), Accept::Html)).await;
        let text: String = tags(&page).map(|(_, text)| text.to_lowercase()).collect();
        for word in ["verdict", "field", "urlencoded"] {
            assert!(!text.contains(word), "{name}: {word}: {text}");
        }
    }
    let json = |problem: Problem| body(Reply::from(problem).respond(&site(), Accept::Json));
    assert!(json(Problem::InvalidVerdict).await.contains("verdict has to be given once"));
    assert!(json(Problem::NotAForm).await.contains("with the fields verdict and comment"));
}

#[tokio::test]
#[ignore = "writes files, for scripts/screenshots"]
async fn every_page_is_written_as_html() {
    let folder = std::env::var_os("COUNTERSIGN_PAGES").expect("COUNTERSIGN_PAGES names a folder");
    let folder = Path::new(&folder);
    let organization = "Example Corp <it-help@example.com>".parse::<Organization>();
    let imprint = organization.expect("an organization").imprint();
    let site = Site { stylesheet: "style.css".into(), outbox: true, imprint, ..site() };
    std::fs::write(folder.join("style.css"), include_str!("../../assets/style.css"))
        .expect("a writable folder");
    for (name, html) in every_page(&site).await {
        let file = folder.join(format!("{name}.html"));
        assert!(!file.exists(), "two pages are called {name}");
        std::fs::write(file, html).expect("a writable folder");
    }
}
