//! Pages of requests that are sent back and revised, and the submitter's own.

use countersign_protos::v1::{ChangeRequest, EarlierVersion, Withdrawal};

use super::*;
use crate::{
    answer::{Former, acted},
    revision::{Draft, Mistake, Place},
};

const ASKED: &str = "Please add the quote of a second supplier.\nAnd are the docks needed?";

impl Happening {
    /// Somebody has requested changes.
    fn sent_back(seat: usize) -> Self {
        let voted = Self::asked().vote(seat, Verdict::RequestChanges, ASKED);
        voted.but(|state| {
            state.status = Status::ChangesRequested.into();
            state.stages[0].status = Status::ChangesRequested.into();
            state.change_request = Some(ChangeRequest {
                stage: state.stages[0].name.clone(),
                vote: state.stages[0].reviewers[seat].vote.clone(),
                deadline: at(604_800),
            });
        })
    }

    /// The version after that.
    fn revised() -> Self {
        Self::asked().but(|state| {
            let mut before = submission();
            let document = before.document.get_or_insert_default();
            document.title = "17 laptops for the platform team".into();
            document.amount = "17850.00".into();
            document.items[0].description = "Laptop, 14 inch, 32 GB, 17 pieces".into();
            document.items[0].amount = "16350.00".into();
            let amount = "340.00".to_owned();
            document.items.push(Item { amount, ..Item::default() });
            document.description = "It is needed. ".repeat(60);
            document.attachments.truncate(1);
            state.previous = Some(before);
            state.version = 2;
            state.earlier_versions = vec![EarlierVersion {
                by: "link".into(),
                request: Some(Vote {
                    reviewer: "bob@example.com".into(),
                    comment: ASKED.into(),
                    ..Vote::default()
                }),
                revised_at: at(-7_200),
                ..EarlierVersion::default()
            }];
        })
    }

    /// The same to the submitter by their own link.
    fn for_submitter(self) -> Self {
        self.seat(ANN, |ann| ann.link = "a".into())
            .but(|state| state.submitter_link = link().as_str().into())
    }

    fn of_submitter(self, said: impl FnOnce(Answer) -> Said) -> Reply {
        let reading = self.for_submitter().current();
        let answer = acted(&reading, &link()).unwrap_or_else(|| on_view(&reading, &link()));
        Reply::OfSubmitter { said: said(answer), reading: reading.into(), link: link() }
    }

    fn unrevised(self, mistakes: Vec<Mistake>, wish: Wish) -> Reply {
        let problem = Problem::Mistaken(mistakes);
        self.of_submitter(|_| Said::Refused { problem, wish })
    }

    fn withdrawn_by_link() -> Self {
        let ended = Self::asked().end(Status::Withdrawn, "Withdrawn: ordered twice.");
        ended.but(|state| {
            let link = link().as_str().to_owned();
            state.withdrawal = Some(Withdrawal { link, ..Withdrawal::default() });
        })
    }
}

/// By a link of an earlier version.
fn formerly(former: Former, pressed: Option<Verdict>) -> Reply {
    // The reviewers of the new one have new links.
    let revised = Happening::revised().seat(ANN, |ann| ann.link = "a".into());
    let reading = Reading::Revised(former, revised.0);
    let (answer, choice) = (on_view(&reading, &link()), None);
    Reply::Approval { answer, reading: reading.into(), link: link(), choice, pressed }
}

fn draft() -> Draft {
    let mut draft = Draft::of(&submission());
    draft.title.clear();
    draft.details = vec![("Supplier".into(), String::new()), (String::new(), COMMENT.into())];
    draft
}

fn without_items(document: &mut Document) {
    let detail = |label: &str, value: &str| Detail { label: label.into(), value: value.into() };
    document.items.clear();
    document.details = vec![detail("Cost centre", "4711"), detail("Delivery", "Leipzig,\nHall 3")];
}

/// Each with its name.
pub(super) fn pages() -> Vec<(&'static str, Reply)> {
    [reviewers_pages(), submitters_pages()].into_iter().flatten().collect()
}

fn reviewers_pages() -> Vec<(&'static str, Reply)> {
    use Verdict::{Approve, RequestChanges};
    let outdated = || Reading::Outdated(Happening::revised().0);
    let last =
        Happening::revised().but(|state| state.version = countersign_protos::MAX_REVISIONS + 1);
    vec![
        ("open-revised", Happening::revised().viewed()),
        ("open-last-version", last.viewed()),
        ("sent-back", Happening::sent_back(BOB).viewed()),
        ("sent-back-own", Happening::sent_back(ANN).viewed()),
        (
            "pressed-changes",
            followed(Answer::Recorded, Happening::sent_back(ANN).current(), RequestChanges),
        ),
        ("pressed-paused", followed(Answer::Paused, Happening::sent_back(BOB).current(), Approve)),
        ("revised-since", formerly(Former::Reviewer, None)),
        ("pressed-revised-since", formerly(Former::Reviewer, Some(Approve))),
        ("outdated", said(Answer::Outdated, outdated(), None)),
    ]
}

fn submitters_pages() -> Vec<(&'static str, Reply)> {
    let confirming = || Happening::of(without_items).but(|state| state.confirm = true);
    let mut before = submission();
    without_items(before.document.get_or_insert_default());
    let revised = Wish::Revise(Draft { title: "Twelve laptops".into(), ..Draft::of(&before) });
    let withdraw = || Wish::Withdraw("Ordered twice, see PO-2026-2040.".into());
    let to_confirm = |wish: Wish| {
        confirming().of_submitter(|_| Said::Unconfirmed { wish, nonce: "1795795200.mac".into() })
    };
    let mistakes = vec![
        Mistake::TitleMissing,
        Mistake::ValueMissing(0),
        Mistake::LabelMissing(1),
        Mistake::Refused(Place::Description, "has 12,000 characters; at most 10,000 fit".into()),
    ];
    let whole =
        "a reviewer has already decided, so it can be revised only if changes are requested"
            .to_owned();
    let refused = vec![Mistake::Refused(Place::Whole, whole)];
    let no_worker = || {
        let alone = Happening::of(without_items).alone().for_submitter();
        Reading::NoWorker(alone.but(|state| state.stages.clear()).0)
    };
    let stored =
        Said::Done { answer: Answer::Accepted, act: Act::Withdraw, receipt: String::new() };
    let voted = || Happening::asked().vote(BOB, Verdict::Approve, "");
    let revised_by_them = Happening::revised().seat(ANN, |ann| ann.link = "a".into());
    vec![
        ("submitter-open", Happening::of(without_items).for_submitter().viewed()),
        ("submitter-voted", voted().for_submitter().viewed()),
        ("submitter-to-revise", Happening::sent_back(BOB).for_submitter().viewed()),
        ("submitter-to-confirm", confirming().for_submitter().viewed()),
        ("submitter-refused", Happening::sent_back(BOB).unrevised(mistakes, Wish::Revise(draft()))),
        ("submitter-too-late", voted().unrevised(refused, Wish::Revise(draft()))),
        (
            "submitter-long-reason",
            Happening::asked().unrevised(vec![Mistake::ReasonTooLong(2_346)], withdraw()),
        ),
        ("submitter-confirms-revision", to_confirm(revised)),
        ("submitter-confirms-withdrawal", to_confirm(withdraw())),
        ("submitter-revised", formerly(Former::Submitter, None)),
        (
            "submitter-pressed-revise",
            Reply::OfSubmitter {
                said: Said::After { answer: Answer::Resubmitted, act: Act::Revise },
                reading: Reading::Revised(Former::Submitter, revised_by_them.0).into(),
                link: link(),
            },
        ),
        ("submitter-withdrawn", Happening::withdrawn_by_link().for_submitter().viewed()),
        (
            "submitter-pressed-withdraw",
            Happening::withdrawn_by_link()
                .of_submitter(|answer| Said::After { answer, act: Act::Withdraw }),
        ),
        (
            "submitter-pressed-too-late",
            Happening::approved().of_submitter(|answer| Said::After { answer, act: Act::Withdraw }),
        ),
        ("submitter-approved", Happening::approved().for_submitter().viewed()),
        ("submitter-no-worker", said(Answer::NoWorker, no_worker(), None)),
        (
            "submitter-pressed-no-worker",
            Reply::OfSubmitter { said: stored, reading: no_worker().into(), link: link() },
        ),
    ]
}

async fn page_of(name: &str) -> String {
    let (_, reply) = pages().into_iter().find(|page| page.0 == name).expect("a page");
    body(reply.respond(&site(), Accept::Html)).await
}

#[tokio::test]
async fn while_changes_are_requested_reviewers_read_who_asked_and_that_it_waits() {
    for (name, words) in [
        ("sent-back", "bob@example.com requested changes on"),
        ("sent-back", "Please add the quote of a second supplier."),
        ("sent-back-own", "You requested changes"),
        ("pressed-changes", "Recorded: you requested changes"),
        ("pressed-changes", "The request waits for the submitter until"),
        ("pressed-paused", "You pressed Approve; nothing was changed."),
    ] {
        let page = page_of(name).await;
        assert!(page.contains(words), "{name}: {words}: {page}");
        assert!(!page.contains("<form"), "{name}: there is nothing to press");
        assert!(page.contains("Changes requested</span>"), "{name}: {page}");
    }
    for name in ["sent-back", "sent-back-own", "pressed-changes", "submitter-to-revise"] {
        let said = page_of(name).await.matches("Please add the quote of a second").count();
        assert_eq!(said, 1, "{name}: what is asked for is said once");
    }
}

#[tokio::test]
async fn a_later_version_says_what_changed_and_a_link_of_the_one_before_only_that() {
    let changes = [
        "What changed",
        "17 laptops for the platform team",
        "dir=\"auto\">17,850.00 USD</div>",
        "Laptop, 14 inch, 32 GB, 17 pieces",
        "dir=\"auto\">16,350.00 USD</div>",
        "<dt dir=\"auto\">Item 3</dt>",
        "dir=\"auto\">amount: 340.00 USD</div>",
        "<div class=\"text\">(removed)</div>",
        "Attachment 2",
    ];
    for (name, shows_document) in [("open-revised", true), ("pressed-revised-since", false)] {
        let page = page_of(name).await;
        for words in changes {
            assert!(page.contains(words), "{name}: {words}: {page}");
        }
        assert_eq!(page.contains("name=\"verdict\""), shows_document, "{name}");
        assert_eq!(page.contains("USB-C dock"), shows_document, "{name}: what did not change");
        assert_eq!(page.contains(ASKED), shows_document, "{name}: what it was revised for");
    }
    let page = page_of("pressed-revised-since").await;
    let rest = "no longer the rest of the request";
    for words in
        ["You pressed Approve; nothing was changed.", "a newer mail has your new link", rest]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    let outdated = page_of("outdated").await;
    assert!(!outdated.contains("laptops") && !outdated.contains("What changed"), "{outdated}");
    assert!(!outdated.contains("This link shows"), "it shows nothing: {outdated}");
}

#[tokio::test]
async fn the_last_version_offers_no_more_changes() {
    let buttons = async |name: &str| page_of(name).await.matches("name=\"verdict\"").count();
    assert_eq!((buttons("open-revised").await, buttons("open-last-version").await), (3, 2));
    let says_why = async |name: &str| page_of(name).await.contains(crate::wording::LAST_VERSION);
    assert_eq!(
        (says_why("open-revised").await, says_why("open-last-version").await),
        (false, true)
    );
}

#[tokio::test]
async fn the_submitter_is_offered_what_can_be_done_and_decides_nothing() {
    for (name, expected) in [
        ("submitter-open", &["revise", "withdraw"][..]),
        ("submitter-voted", &["withdraw"]),
        ("submitter-to-revise", &["revise", "withdraw"]),
        ("submitter-no-worker", &["revise", "withdraw"]),
        ("submitter-revised", &[]),
        ("submitter-withdrawn", &[]),
        ("submitter-approved", &[]),
    ] {
        let page = page_of(name).await;
        let offered = ["revise", "withdraw"].into_iter().filter(|act| {
            page.contains(&format!("<button type=\"submit\" name=\"act\" value=\"{act}\""))
        });
        assert_eq!(offered.collect::<Vec<_>>(), expected, "{name}");
        assert!(!page.contains("name=\"verdict\"") && !page.contains("(you)"), "{name}");
        assert_eq!(page.contains("class=\"jump\""), !expected.is_empty(), "{name}");
    }
    let page = page_of("submitter-to-revise").await;
    for words in ["Fri 4 Dec 2026", "are the docks needed?", "name=\"amount\"", " readonly"] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test]
async fn a_revision_that_is_refused_keeps_all_that_was_typed_and_says_what_is_wrong_where() {
    let page = page_of("submitter-refused").await;
    for words in [
        "Your revision was not recorded",
        "correct what is marked below",
        "value=\"Supplier\"",
        COMMENT,
        "id=\"wrong-title\">A title is required.",
        "aria-describedby=\"wrong-value-1\"",
        "id=\"wrong-label-2\">",
        "It has 12,000 characters; at most 10,000 fit.",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let page = page_of("submitter-too-late").await;
    assert!(page.contains("It was not accepted: a reviewer has already decided, so"), "{page}");
    let (_, to_copy) = page.split_once("<textarea id=\"to-copy\"").expect("a text to copy");
    let (written, _) = to_copy.split_once("</textarea>").expect("its end");
    assert!(written.contains(COMMENT), "the form is not there any more: {page}");
    let page = page_of("submitter-long-reason").await;
    assert!(page.contains("Your reason has 2,346 characters; at most 2,000 fit."), "{page}");
    assert!(page.contains("see PO-2026-2040.</textarea>"), "{page}");
}

#[tokio::test]
async fn the_link_of_a_refused_form_leads_to_that_form_and_its_first_mistake_has_the_focus() {
    for (name, link, focused) in [
        ("submitter-open", "class=\"jump\" href=\"#revise\">Go to revise or withdraw</a>", ""),
        ("submitter-voted", "class=\"jump\" href=\"#withdraw\">Go to withdraw</a>", ""),
        (
            "submitter-refused",
            "class=\"jump still\" href=\"#revise\">Correct it below</a>",
            "\"wrong-title\" autofocus",
        ),
        (
            "submitter-long-reason",
            "class=\"jump still\" href=\"#withdraw\">Correct it below</a>",
            "\"wrong-reason\" autofocus",
        ),
    ] {
        let page = page_of(name).await;
        assert!(page.contains(link) && page.contains(focused), "{name}: {page}");
        let focuses = usize::from(!focused.is_empty());
        assert_eq!(page.matches(" autofocus").count(), focuses, "{name}: {page}");
    }
}

#[tokio::test]
async fn what_is_to_be_confirmed_carries_the_whole_form() {
    let page = page_of("submitter-confirms-revision").await;
    for part in [
        "You are about to revise this",
        "<h1 dir=\"auto\">Twelve laptops</h1>",
        "<span class=\"sum\">15,750.00 USD</span>",
        "<a href=\"?#revise\">Go back</a>",
        "<input type=\"hidden\" name=\"confirm\" value=\"1795795200.mac\">",
        "name=\"title\" value=\"Twelve laptops\"",
        "name=\"label\" value=\"Cost centre\"",
        "What changes",
        "Confirm: Revise",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = page_of("submitter-confirms-withdrawal").await;
    assert!(page.contains("readonly>\nOrdered twice, see PO-2026-2040.</textarea>"), "{page}");
    assert!(page.contains("value=\"withdraw\""), "{page}");
    assert!(page.contains("<span class=\"sum\">15,750.00 USD</span>"), "{page}");
    assert!(page.contains("<a href=\"?#withdraw\">Go back</a>"), "{page}");
}

#[tokio::test]
async fn programs_get_the_same_without_links() {
    let json = async |name: &str| {
        let (_, reply) = pages().into_iter().find(|page| page.0 == name).expect("a page");
        let response = reply.respond(&site(), Accept::Json);
        let status = response.status().as_u16();
        let text = body(response).await;
        assert!(!text.contains(link().as_str()), "{name}: {text}");
        (status, serde_json::from_str::<serde_json::Value>(&text).expect("JSON"))
    };
    for (name, status, answer) in [
        ("sent-back", 200, "sent_back"),
        ("pressed-paused", 409, "paused"),
        ("revised-since", 409, "revised"),
        ("outdated", 410, "outdated"),
        ("submitter-open", 200, "submitted"),
        ("submitter-to-revise", 200, "to_revise"),
        ("submitter-revised", 200, "resubmitted"),
        ("submitter-withdrawn", 200, "withdrawn_by_you"),
        ("submitter-pressed-too-late", 409, "too_late"),
        ("submitter-confirms-revision", 428, "unconfirmed"),
        ("submitter-refused", 422, "invalid"),
        ("submitter-pressed-no-worker", 202, "accepted"),
    ] {
        let (code, json) = json(name).await;
        assert_eq!((code, &json["answer"]), (status, &answer.into()), "{name}: {json}");
    }
    let (_, revised) = json("revised-since").await;
    assert_eq!(revised["changes"][0]["path"], "$.document.title");
    assert!(revised["approval"]["previous"].is_null(), "{revised}");
    let (_, refused) = json("submitter-refused").await;
    let fields: Vec<&str> = refused["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .filter_map(|problem| problem["field"].as_str())
        .collect();
    assert_eq!(fields, ["title", "value", "label", "description"]);
    assert_eq!(json("submitter-confirms-revision").await.1["confirm"], "1795795200.mac");
}
