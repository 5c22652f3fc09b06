//! Every answer, as a page and as JSON.

use axum::body::to_bytes;
use countersign_protos::{
    ApprovalId,
    answers::{self, Answers, Kind},
    v1::{
        self, ApprovalState, Delivery, Document, Item, Policy, ReviewerState, StageState, Status,
        Submission, Submitter, Vote,
    },
};

use super::*;
use crate::{
    answer::{Ending, after_sending, on_view, settled},
    inputs::wrong_answers,
};

const ID: &str = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T";

pub(super) fn link() -> LinkHash {
    ID.parse::<ApprovalId>().expect("well-formed").hash()
}

pub(super) fn site() -> Site {
    Site {
        root: String::new(),
        origin: "https://ok.example".into(),
        stylesheet: "/assets/s.css".into(),
        outbox: false,
        imprint: "This is about an approval at <Example>.".into(),
    }
}

pub(super) fn at(seconds: i64) -> Option<pbjson_types::Timestamp> {
    Some(pbjson_types::Timestamp { seconds: 1_795_795_200 + seconds, nanos: 0 })
}

fn vote(reviewer: &str, verdict: Verdict, comment: &str) -> Option<Vote> {
    Some(Vote {
        reviewer: reviewer.into(),
        verdict: verdict.into(),
        comment: comment.into(),
        decided_at: at(0),
        by: "link".into(),
        ..Vote::default()
    })
}

fn answer(name: &str, label: &str, value: &str) -> v1::Answer {
    v1::Answer { name: name.into(), label: label.into(), value: value.into() }
}

fn before_ann(vote: Vote) -> Vote {
    Vote { decided_at: at(-1), ..vote }
}

/// Ann, whose link it is, and Bob are asked first, Fay after them.
fn approval(status: Status, stage: Status, ann: Option<Vote>, bob: Option<Vote>) -> ApprovalState {
    let reviewer = |name: &str, link: &str, vote| ReviewerState {
        reviewer: name.into(),
        link: link.into(),
        vote,
        ..ReviewerState::default()
    };
    let first = StageState {
        name: "Managers".into(),
        status: stage.into(),
        quorum: "all".into(),
        opened_at: at(-60),
        deadline: at(86_400),
        reviewers: vec![
            reviewer("ann@example.com", link().as_str(), ann),
            reviewer("bob@example.com", "hash-of-bob", bob),
        ],
        ..StageState::default()
    };
    let second = StageState {
        name: "Finance".into(),
        status: Status::Pending.into(),
        reviewers: vec![reviewer("fay@example.com", "", None)],
        ..StageState::default()
    };
    ApprovalState {
        status: status.into(),
        submission: Some(Submission {
            submission_id: "R-1".into(),
            submission_type: "equipment_purchase".into(),
            submitter: Some(Submitter {
                name: "Sam".into(),
                email: "sam@example.com".into(),
                ..Submitter::default()
            }),
            document: Some(Document {
                title: "Ten laptops".into(),
                amount: "15750.00".into(),
                currency: "USD".into(),
                ..Document::default()
            }),
            ..Submission::default()
        }),
        stages: vec![first, second],
        decided_at: (status != Status::Pending).then(|| at(0)).flatten(),
        ..ApprovalState::default()
    }
}

fn viewed(answer: Answer, reading: Reading, choice: Option<Verdict>) -> Reply {
    Reply::Approval { answer, reading: reading.into(), link: link(), choice, pressed: None }
}

fn decided(answer: Answer, reading: Reading, verdict: Verdict) -> Reply {
    let receipt = "receipt".to_owned();
    Reply::Decided { answer, reading: reading.into(), link: link(), verdict, receipt }
}

async fn said(answer: Answer, reading: Reading, accept: Accept) -> (u16, String) {
    text_of(viewed(answer, reading, None).respond(&site(), accept)).await
}

async fn text_of(response: Response) -> (u16, String) {
    (response.status().as_u16(), body(response).await)
}

pub(super) async fn body(response: Response) -> String {
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    String::from_utf8(body.to_vec()).expect("text")
}

/// The page without the tags around its times.
fn untimed(page: &str) -> String {
    let (first, rest) = page.split_once("<time ").unwrap_or((page, ""));
    let rest = rest.split("<time ").map(|part| part.split_once('>').map_or("", |(_, text)| text));
    format!("{first}{}", rest.collect::<String>()).replace("</time>", "")
}

#[tokio::test]
async fn each_answer_has_its_status_its_words_and_a_form_only_where_one_can_decide() {
    use Status::{Approved, Expired, Pending, Rejected, Withdrawn};
    let open = approval(Pending, Pending, None, None);
    let ann = || vote("ann@example.com", Verdict::Approve, "fine");
    let bob = || vote("bob@example.com", Verdict::Reject, "too dear");
    let voted = approval(Pending, Pending, ann(), None);
    let stage_over = approval(Pending, Approved, ann(), bob());
    let approved = approval(Approved, Approved, ann(), None);
    let rejected = approval(Rejected, Rejected, None, bob());
    let expired = ApprovalState {
        reason: "Nobody decided in time.".into(),
        ..approval(Expired, Expired, None, None)
    };
    let withdrawn = approval(Withdrawn, Pending, None, None);
    let mut superseded = open.clone();
    superseded.stages[0].reviewers[0].released = true;
    let mut reissued = superseded.clone();
    reissued.stages[0].reviewers[0].reissued = true;
    let looked = |state: &ApprovalState| {
        let reading = Reading::Current(state.clone());
        (on_view(&reading, &link()), reading)
    };
    let settled = |state: &ApprovalState, verdict| {
        let reading = Reading::Current(state.clone());
        (settled(&reading, &link(), verdict).expect("settled"), reading)
    };
    let sent = |state: &ApprovalState| {
        let reading = Reading::Current(state.clone());
        let said = after_sending(&reading, &link(), Verdict::Approve);
        (said.unwrap_or(Answer::Accepted), reading)
    };
    let no_worker = Reading::NoWorker(open.clone());
    let ended = Reading::Ended(Ending::Terminated, open.clone());
    for ((answer, reading), status, name, words, document) in [
        (looked(&open), 200, "open", "Your decision is needed", true),
        (
            (Answer::NoWorker, no_worker.clone()),
            200,
            "unattended",
            "You were asked to decide",
            true,
        ),
        ((Answer::NoWorker, no_worker.clone()), 200, "unattended", "not running right now", true),
        (looked(&voted), 200, "voted", "waiting for others: 1 of 2 approvals", true),
        (looked(&stage_over), 200, "stage_over", "continues with the stage “Finance”", true),
        (looked(&approved), 200, "decided", "The request was APPROVED on Fri 27 Nov 2026", false),
        (looked(&expired), 410, "expired", "Nobody decided in time. It ended on Fri 27 Nov", false),
        (looked(&withdrawn), 410, "withdrawn", "It was withdrawn on Fri", false),
        (
            (Answer::Ended(Ending::Terminated), ended),
            410,
            "ended",
            "Somebody stopped the process",
            false,
        ),
        (looked(&superseded), 410, "superseded", "others were asked in your place", false),
        (looked(&reissued), 410, "superseded", "A new link was mailed to you", false),
        (sent(&voted), 200, "recorded", "waiting for others: 1 of 2 approvals", true),
        (sent(&approved), 200, "recorded", "The request is now APPROVED.", false),
        (sent(&rejected), 409, "too_late", "The request was REJECTED", false),
        (sent(&open), 202, "accepted", "Your decision is recorded", true),
        ((Answer::Accepted, no_worker), 202, "accepted", "when the service that processes", true),
        (
            settled(&voted, Verdict::Approve),
            200,
            "already_recorded",
            "Already recorded: you approved",
            true,
        ),
        (
            settled(&voted, Verdict::Reject),
            409,
            "other_verdict",
            "Your first decision stands",
            true,
        ),
        (settled(&rejected, Verdict::Approve), 409, "too_late", "Already decided", false),
        (settled(&expired, Verdict::Approve), 410, "expired", "This request has expired", false),
    ] {
        let (page_status, page) = said(answer, reading.clone(), Accept::Html).await;
        assert_eq!(page_status, status, "{name}");
        assert!(untimed(&page).contains(words), "{name}: {words}\n{page}");
        let form = matches!(answer, Answer::Open | Answer::NoWorker);
        assert_eq!(page.contains("<form method=\"post\""), form, "{name}");
        let (json_status, body) = said(answer, reading, Accept::Json).await;
        assert_eq!(json_status, status, "{name}");
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(json["answer"], name);
        assert!(json["message"].as_str().is_some_and(|text| text.contains(words)), "{json}");
        assert!(page.contains("R-1") && body.contains("R-1"), "{name}: which one it is");
        assert_eq!(page.contains("15,750.00 USD"), document, "{name}");
        assert_eq!(body.contains("15750.00"), document, "{name}");
        for text in [&page, &body] {
            assert_eq!(text.contains("Ten laptops"), document, "{name}: {text}");
            assert_eq!(text.contains("Sam"), document, "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn an_approval_that_ended_without_a_decision_waits_for_nobody() {
    let open = approval(Status::Pending, Status::Pending, None, None);
    let ended = Reading::Ended(Ending::Terminated, open);
    let (_, page) = said(Answer::Ended(Ending::Terminated), ended, Accept::Html).await;
    assert!(page.contains("Not decided"), "{page}");
    for untrue in ["Waiting", "Until", "has not decided yet"] {
        assert!(!page.contains(untrue), "{untrue}: {page}");
    }
}

#[tokio::test]
async fn who_decided_what_and_why_is_shown_and_no_hash_is() {
    let votes = (
        vote("ann@example.com", Verdict::Approve, "fine with me\nreally"),
        vote("bob@example.com", Verdict::Reject, "too dear").map(before_ann),
    );
    let state = approval(Status::Rejected, Status::Rejected, votes.0, votes.1);
    let reading = Reading::Current(state);
    let (_, page) = said(Answer::Decided, reading.clone(), Accept::Html).await;
    for text in ["ann@example.com (you)", "approved on Fri 27 Nov 2026, 16:00 UTC", "too dear"] {
        assert!(untimed(&page).contains(text), "{text}\n{page}");
    }
    let (_, json) = said(Answer::Decided, reading, Accept::Json).await;
    assert!(json.contains("\"reviewer\":\"ann@example.com\""), "{json}");
    assert!(json.contains("fine with me\\nreally"), "{json}");
    for body in [page, json] {
        assert!(!body.contains(link().as_str()) && !body.contains("hash-of-bob"), "{body}");
    }
}

/// Whoever has not decided reads that others have, and not what they wrote.
#[tokio::test]
async fn what_others_wrote_is_not_shown_by_a_link_that_has_decided_nothing() {
    use Status::{Approved, Pending, Rejected};
    let bob = || vote("bob@example.com", Verdict::Reject, "too dear").map(before_ann);
    let ann = || vote("ann@example.com", Verdict::Approve, "fine");
    for (state, told) in [
        (approval(Pending, Pending, None, bob()), true),
        (approval(Pending, Rejected, None, bob()), false),
        (approval(Rejected, Rejected, None, bob()), false),
        (approval(Approved, Approved, ann(), bob()), true),
    ] {
        let reading = Reading::Current(state);
        for accept in [Accept::Html, Accept::Json] {
            let (_, text) = said(on_view(&reading, &link()), reading.clone(), accept).await;
            assert_eq!(text.contains("too dear"), told, "{text}");
            assert!(text.contains("bob@example.com"), "{text}");
        }
    }
}

async fn unconfirmed(accept: Accept, comment: &str) -> (u16, String) {
    let open = approval(Status::Pending, Status::Pending, None, None);
    let (verdict, comment, nonce) = (Verdict::Reject, comment.to_owned(), "1.mac".to_owned());
    let answers = vec![answer("reason", "Reason", "two\n<lines>")];
    let pressed = Unconfirmed { verdict, comment, answers, nonce };
    let reading = Reading::Current(ApprovalState { confirm: true, ..open }).into();
    text_of(Reply::Unconfirmed { pressed, reading, link: link() }.respond(&site(), accept)).await
}

/// The answer to a form in which Reject was pressed.
async fn refused(
    problem: Problem,
    comment: &str,
    reading: Reading,
    accept: Accept,
) -> (u16, String) {
    let comment = comment.to_owned();
    let filled = Filled { verdict: Some(Verdict::Reject), comment, ..Filled::default() };
    let reply = Reply::Refused { problem, filled, reading: reading.into(), link: link() };
    text_of(reply.respond(&site(), accept)).await
}

#[tokio::test]
async fn a_refused_form_keeps_verdict_and_text_and_says_what_is_wrong() {
    let open = || Reading::Current(approval(Status::Pending, Status::Pending, None, None));
    let no_worker = Reading::NoWorker(approval(Status::Pending, Status::Pending, None, None));
    let long = "é<".repeat(1_173);
    for (problem, comment, reading, says) in [
        (
            Problem::CommentTooLong,
            &*long,
            open(),
            "Your comment has 2,346 characters; at most 2,000 fit.",
        ),
        (Problem::CommentTooLong, &*long, no_worker, "Your comment has 2,346 characters"),
        (Problem::CommentMissing(Verdict::Reject), "", open(), "To reject, a comment is required"),
        (Problem::InvalidVerdict, "fine", open(), "press one of the buttons on the"),
    ] {
        let (status, page) = refused(problem.clone(), comment, reading.clone(), Accept::Html).await;
        assert_eq!(status, 422);
        let kept = format!(">{}</textarea>", comment.replace('<', "&#60;"));
        for words in
            ["Your decision was not recorded", says, "Ten laptops", "You pressed Reject", &kept]
        {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert_eq!(page.matches(says).count(), 1, "it is said once: {page}");
        assert_eq!(page.matches("<button type=\"submit\" name=\"verdict\"").count(), 3, "{page}");
        assert_eq!(page.contains(" autofocus"), problem != Problem::InvalidVerdict, "{page}");
        let (status, json) = refused(problem, comment, reading, Accept::Json).await;
        assert_eq!(status, 422);
        assert!(json.contains("\"answer\":\"invalid\"") && json.contains("\"field\":"), "{json}");
    }
}

/// With a field of each kind.
fn asking(required_for: &[&str]) -> ApprovalState {
    let mut open = approval(Status::Pending, Status::Pending, None, None);
    let field = |kind: Kind| v1::Field {
        name: kind.name().into(),
        label: format!("The <{}>", kind.name()),
        r#type: kind.name().into(),
        choices: if kind == Kind::Choice { vec!["ten \"10\"".into()] } else { Vec::new() },
        required_for: required_for.iter().map(|&verdict| verdict.into()).collect(),
        ..v1::Field::default()
    };
    open.submission.get_or_insert_default().fields = Kind::ALL.map(field).into();
    open
}

#[tokio::test]
async fn a_form_asks_for_each_field_by_its_kind_and_works_without_a_script() {
    for (required_for, hint, required, skips) in [
        // The comment, for changes that are requested.
        (&[][..], "(optional)", 1, &["approve", "reject"][..]),
        // Two buttons to choose from, and a third for no answer.
        (&["approve"], "(required to approve)", 7, &["reject", "request_changes"]),
        (&["approve", "reject"], "(required)", 6, &["request_changes"]),
    ] {
        let (_, page) =
            said(Answer::Open, Reading::Current(asking(required_for)), Accept::Html).await;
        for input in [
            "<textarea id=\"answers.text\" name=\"answers.text\" rows=\"2\"",
            "<input type=\"text\" inputmode=\"decimal\" autocomplete=\"off\" id=\"answers.number\"",
            "<select id=\"answers.choice\" name=\"answers.choice\"",
            "<option value=\"ten &#34;10&#34;\">ten &#34;10&#34;</option>",
            "<input type=\"radio\" name=\"answers.yes_no\" value=\"yes\"",
            "<input type=\"date\" id=\"answers.date\"",
            "<bdi>The &#60;number&#62;</bdi> <span class=\"hint\">",
        ] {
            assert!(page.contains(input), "{input}: {page}");
        }
        assert_eq!(page.matches(hint).count(), 5, "{page}");
        let (_, form) = page.split_once("id=\"decide\"").expect("a form");
        let tags = form.split('>').filter(|tag| tag.contains('<') && tag.contains(" required"));
        assert_eq!(tags.count(), required, "{required_for:?}: {form}");
        for button in Verdict::ALL.map(|verdict| verdict.terms().name) {
            let skipping = format!("class=\"{button}\" formnovalidate");
            let is_there = page.contains(&format!("class=\"{button}\""));
            let skips = skips.contains(&button) && is_there;
            assert_eq!(page.contains(&skipping), skips, "{button}: {page}");
        }
        assert!(!page.contains("<script"), "{page}");
    }
}

#[tokio::test]
async fn a_form_with_wrong_answers_says_so_at_each_and_keeps_all_that_was_typed() {
    let answers = [
        ("text", "typed & kept"),
        ("number", "1,5"),
        ("choice", "eleven"),
        ("yes_no", "no"),
        ("date", "tomorrow"),
    ];
    let answers: Answers = answers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let filled = Filled { verdict: Some(Verdict::Reject), comment: "So.".into(), answers };
    let state = asking(&["reject"]);
    let wrong = answers::check(
        &state.submission.clone().expect("there").fields,
        Verdict::Reject,
        &filled.answers,
    );
    let problem = Problem::WrongAnswers(wrong_answers(
        &state.submission.clone().expect("there").fields,
        wrong.expect_err("three"),
    ));
    let reply = |accept| {
        let (problem, filled) = (problem.clone(), filled.clone());
        let reading = Reading::Current(state.clone()).into();
        Reply::Refused { problem, filled, reading, link: link() }.respond(&site(), accept)
    };
    let (status, page) = text_of(reply(Accept::Html)).await;
    assert_eq!(status, 422);
    for words in [
        "Your decision was not recorded",
        "Please correct what is marked below, and press again.",
        ">typed &#38; kept</textarea>",
        "value=\"1,5\" required aria-invalid=\"true\" aria-describedby=\"answers.number.error\" autofocus>",
        "<p class=\"error\" id=\"answers.number.error\">“The &#60;number&#62;” must be a number",
        "“The &#60;choice&#62;” must be one of its choices.",
        "value=\"no\" checked",
        "inputmode=\"numeric\" autocomplete=\"off\" id=\"answers.date\" name=\"answers.date\" value=\"tomorrow\"",
        ">So.</textarea>",
        "You pressed Reject: nothing was recorded.",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert_eq!(page.matches(" autofocus").count(), 1, "{page}");
    assert_eq!(page.matches("class=\"error\"").count(), 3, "{page}");
    assert_eq!(page.matches("must be one of its choices").count(), 1, "it is said once: {page}");
    let (status, json) = text_of(reply(Accept::Json)).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (status, &json["answer"], &json["field"]),
        (422, &"invalid".into(), &"answers".into())
    );
    let fields = json["problems"].as_array().expect("an array").iter();
    let fields: Vec<&str> = fields.filter_map(|problem| problem["field"].as_str()).collect();
    assert_eq!(fields, ["answers.number", "answers.choice", "answers.date"]);
}

#[tokio::test]
async fn answers_stand_beside_each_vote_and_on_the_page_that_confirms_one() {
    let voted = |name: &str, value: &str| {
        let vote = vote(name, Verdict::Approve, "").map(before_ann);
        vote.map(|vote| Vote { answers: vec![answer("it", "Its <price>", value)], ..vote })
    };
    let state = approval(Status::Pending, Status::Pending, None, voted("bob@example.com", "1500"));
    let (_, page) = said(Answer::Open, Reading::Current(state.clone()), Accept::Html).await;
    let shown =
        "<dt dir=\"auto\">Its &#60;price&#62;</dt><dd class=\"text\" dir=\"auto\">1500</dd>";
    assert!(page.contains(shown), "{page}");
    let (_, json) = said(Answer::Open, Reading::Current(state), Accept::Json).await;
    assert!(json.contains("\"answers\":[{\"name\":\"it\""), "{json}");
    let (_, page) = unconfirmed(Accept::Html, "").await;
    let carried = "<input type=\"hidden\" name=\"answers.reason\" value=\"two\n&#60;lines&#62;\">";
    assert!(page.contains(carried), "{page}");
    assert!(page.contains("<dt dir=\"auto\">Reason</dt>"), "{page}");
    assert!(page.contains("what you have filled in is not kept"), "{page}");
}

#[tokio::test]
async fn a_page_says_which_verdict_needs_a_comment_and_its_browser_asks_for_one() {
    let requiring = |required: &[Verdict]| {
        let comment_required = required.iter().map(|verdict| i32::from(*verdict)).collect();
        let open = approval(Status::Pending, Status::Pending, None, None);
        Reading::Current(ApprovalState { comment_required, ..open })
    };
    let both = [Verdict::Approve, Verdict::Reject];
    let both_names = both.map(|verdict| verdict.terms().name);
    for (required, hint, skips) in [
        (&[][..], "(required to request changes; the submitter sees it)", &both_names[..]),
        (
            &both[1..],
            "(required to reject or to request changes; the submitter sees it)",
            &["approve"][..],
        ),
        (
            &both[..1],
            "(required to approve or to request changes; the submitter sees it)",
            &["reject"],
        ),
        (&both[..], "(required; the submitter sees it)", &[]),
    ] {
        let (_, page) = said(Answer::Open, requiring(required), Accept::Html).await;
        assert!(page.contains(hint), "{hint}: {page}");
        let (_, field) = page.split_once("<textarea ").expect("a field");
        let field = field.split('>').next().expect("a tag");
        assert!(field.ends_with(" required"), "{field}");
        assert!(!field.contains("maxlength"), "a browser would cut what is pasted: {field}");
        for button in Verdict::ALL.map(|verdict| verdict.terms().name) {
            let skipping = format!("class=\"{button}\" formnovalidate>");
            assert_eq!(page.contains(&skipping), skips.contains(&button), "{button}: {page}");
        }
        let (_, json) = said(Answer::Open, requiring(required), Accept::Json).await;
        assert_eq!(json.contains("\"commentRequired\":["), !required.is_empty(), "{json}");
    }
}

/// So that Back and Reload ask nothing. What is not known yet is shown where it was pressed.
#[tokio::test]
async fn a_browser_is_sent_on_after_a_press_that_the_workflow_has_answered_and_a_program_is_not() {
    use Status::{Approved, Expired, Pending};
    let current = |state| Reading::Current(state);
    let open = || approval(Pending, Pending, None, None);
    let ann = || vote("ann@example.com", Verdict::Approve, "");
    for (answer, reading, status, is_sent_on) in [
        (Answer::Recorded, current(approval(Pending, Pending, ann(), None)), 200, true),
        (Answer::AlreadyRecorded, current(approval(Pending, Pending, ann(), None)), 200, true),
        (Answer::OtherVerdict, current(approval(Pending, Pending, ann(), None)), 409, true),
        (Answer::TooLate, current(approval(Approved, Approved, None, None)), 409, true),
        (Answer::Expired, current(approval(Expired, Expired, None, None)), 410, true),
        (Answer::Withdrawn, current(approval(Status::Withdrawn, Pending, None, None)), 410, true),
        (Answer::Superseded, current(open()), 410, true),
        (Answer::Ended(Ending::Failed), Reading::Ended(Ending::Failed, open()), 410, true),
        (Answer::Accepted, Reading::NoWorker(open()), 202, false),
        (Answer::Sealing, Reading::Unsealed(open()), 202, false),
    ] {
        let response =
            decided(answer, reading.clone(), Verdict::Approve).respond(&site(), Accept::Html);
        let location = response.headers().get("location").map(|it| it.as_bytes().to_vec());
        let expected = is_sent_on.then(|| b"?pressed=receipt".to_vec());
        assert_eq!(location, expected, "{answer:?}");
        let sent_on = if is_sent_on { 303 } else { status };
        assert_eq!(response.status().as_u16(), sent_on, "{answer:?}");
        let reply = decided(answer, reading, Verdict::Approve);
        let (code, json) = text_of(reply.respond(&site(), Accept::Json)).await;
        assert_eq!(code, status, "{answer:?}");
        assert!(json.contains("\"message\":"), "{json}");
    }
}

#[tokio::test]
async fn a_press_that_changed_nothing_is_named() {
    use Status::{Approved, Expired, Pending};
    let ann = || vote("ann@example.com", Verdict::Approve, "");
    let named = "You pressed Reject; nothing was changed.";
    for (answer, state, words) in [
        (Answer::OtherVerdict, approval(Pending, Pending, ann(), None), named),
        (
            Answer::TooLate,
            approval(Approved, Approved, None, None),
            "It was decided before you pressed Reject; nothing was changed.",
        ),
        (Answer::Expired, approval(Expired, Expired, None, None), named),
        (Answer::Superseded, approval(Pending, Pending, None, None), named),
    ] {
        for pressed in [Some(Verdict::Reject), None] {
            let (reading, choice) = (Reading::Current(state.clone()).into(), None);
            let reply = Reply::Approval { answer, reading, link: link(), choice, pressed };
            let (_, page) = text_of(reply.respond(&site(), Accept::Html)).await;
            assert_eq!(page.contains(words), pressed.is_some(), "{answer:?}: {page}");
        }
    }
}

/// Ann's place alone is known, and what she has pressed.
fn unattended(pressed: Option<Verdict>) -> ApprovalState {
    let ann = pressed.and_then(|verdict| vote("ann@example.com", verdict, "fine"));
    let mut state = approval(Status::Pending, Status::Pending, ann, None);
    state.stages.truncate(1);
    state.stages[0].reviewers.truncate(1);
    state.stages[0].reviewers[0].on_behalf_of = "lee@example.com".into();
    state
}

#[tokio::test]
async fn without_a_worker_a_page_keeps_who_decides_as_whom_the_deadline_and_what_was_pressed() {
    let deadline = "The deadline is Sat 28 Nov 2026, 16:00 UTC.";
    let person = "ann@example.com, instead of lee@example.com";
    let look = async |pressed| {
        let reading = Reading::NoWorker(unattended(pressed));
        (said(Answer::NoWorker, reading.clone(), Accept::Html).await.1, reading)
    };
    let (page, reading) = look(None).await;
    for words in [
        "You were asked to decide",
        deadline,
        &format!("You decide as {person}."),
        "in the stage “Managers”, as the deputy of lee@example.com, who is away.",
        "<form method=\"post\"",
    ] {
        assert!(untimed(&page).contains(words), "{words}: {page}");
    }
    assert!(!page.contains("<h2>Decisions</h2>"), "others' places are not known: {page}");
    let (_, json) = said(Answer::NoWorker, reading, Accept::Json).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["reviewer"], "ann@example.com");
    assert!(json["approval"]["stages"].is_null(), "{json}");

    let (page, reading) = look(Some(Verdict::Approve)).await;
    let stored = format!("You pressed Approve as {person} on Fri 27 Nov 2026, 16:00 UTC.");
    for words in ["Your decision is stored", &stored, deadline, "There is no need to press again."]
    {
        assert!(untimed(&page).contains(words), "{words}: {page}");
    }
    assert!(!page.contains("<form method=\"post\""), "there is nothing to press: {page}");
    assert!(!page.contains("approved"), "nobody knows whether it counts: {page}");

    for (verdict, first) in [(Verdict::Approve, false), (Verdict::Reject, true)] {
        let reply = decided(Answer::Accepted, reading.clone(), verdict);
        let (status, page) = text_of(reply.respond(&site(), Accept::Html)).await;
        assert_eq!(status, 202);
        let pressed = format!("You pressed {} as {person}.", verdict.terms().button);
        assert!(page.contains(&pressed) && untimed(&page).contains(deadline), "{page}");
        let before = "You had pressed Approve before: your first decision is the one that counts.";
        assert_eq!(page.contains(before), first, "{page}");
    }
}

#[tokio::test]
async fn a_time_out_before_the_deadline_is_named_before_and_after_it_is_over() {
    let at_noon = ApprovalState {
        times_out_at: at(3_600),
        ..approval(Status::Pending, Status::Pending, None, None)
    };
    let (_, page) = said(Answer::Open, Reading::Current(at_noon.clone()), Accept::Html).await;
    let decide = "Please decide by Fri 27 Nov 2026, 17:00 UTC. It ends undecided then: it was started \
                  with a time-out, which is over before the deadline on Sat 28 Nov 2026, 16:00 UTC.";
    assert!(untimed(&page).contains(decide), "{page}");
    let ended = |state| Reading::Ended(Ending::TimedOut, state);
    let over =
        async |state| said(Answer::Ended(Ending::TimedOut), ended(state), Accept::Html).await.1;
    let page = over(at_noon.clone()).await;
    let words = "It was started with a time-out, which ended it on Fri 27 Nov 2026, 17:00 UTC, before \
                 its deadline on Sat 28 Nov 2026, 16:00 UTC. Its operator can tell you why.";
    assert!(untimed(&page).contains(words), "{page}");
    let without_deadline = ApprovalState { stages: vec![], ..at_noon.clone() };
    let page = over(without_deadline).await;
    assert!(untimed(&page).contains("which ended it on Fri 27 Nov 2026, 17:00 UTC."), "{page}");
    let page = over(ApprovalState { times_out_at: None, ..at_noon.clone() }).await;
    assert!(page.contains("The process behind it ran out of time."), "{page}");
    let later = ApprovalState { times_out_at: at(90_000), ..at_noon };
    let (_, page) = said(Answer::Open, Reading::Current(later), Accept::Html).await;
    let decide = "Please decide by Sat 28 Nov 2026, 16:00 UTC. If it is not decided by then";
    assert!(untimed(&page).contains(decide), "{page}");
}

#[tokio::test]
async fn a_decision_to_confirm_is_shown_once_more_and_carries_what_confirms_it() {
    let (status, page) = unconfirmed(Accept::Html, "too\n<b>dear").await;
    assert_eq!(status, 200);
    for part in [
        "Not recorded yet",
        "Ten laptops",
        "15,750.00 USD",
        "You are about to reject this",
        "You decide as ann@example.com.",
        "<input type=\"hidden\" name=\"confirm\" value=\"1.mac\">",
        "readonly>too\n&#60;b&#62;dear</textarea>",
        "name=\"verdict\" value=\"reject\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(page.matches("<button").count(), 1, "{page}");
    let (_, page) = unconfirmed(Accept::Html, "").await;
    assert!(!page.contains("<textarea"), "{page}");

    let (status, json) = unconfirmed(Accept::Json, "").await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((status, &json["answer"]), (428, &"unconfirmed".into()));
    assert_eq!(json["confirm"], "1.mac");
    assert!(json["message"].as_str().is_some_and(|text| text.starts_with("Not recorded yet")));
}

#[tokio::test]
async fn who_is_to_confirm_reads_so_before() {
    for confirm in [true, false] {
        let open = approval(Status::Pending, Status::Pending, None, None);
        let reading = Reading::Current(ApprovalState { confirm, ..open });
        let (_, page) = said(Answer::Open, reading, Accept::Html).await;
        assert_eq!(page.contains("You confirm your decision on the next page."), confirm, "{page}");
    }
}

#[tokio::test]
async fn a_page_says_why_its_reader_is_asked() {
    let asked = async |change: fn(&mut ApprovalState)| {
        let mut state = approval(Status::Pending, Status::Pending, None, None);
        change(&mut state);
        said(Answer::Open, Reading::Current(state), Accept::Html).await.1
    };
    type Change = fn(&mut ApprovalState);
    let changes: [(Change, &str); 6] = [
        (|_| (), "You are asked as one of the default reviewers in the stage “Managers”."),
        (
            |state| state.rule = "Hardware".into(),
            "You are asked by the rule “Hardware” in the stage “Managers”.",
        ),
        (
            |state| {
                state.submission.as_mut().expect("there").approval = Some(Policy::default());
            },
            "You are asked as the submission says in the stage “Managers”.",
        ),
        (
            |state| state.stages[0].reviewers[0].on_behalf_of = "lee@example.com".into(),
            "in the stage “Managers”, as the deputy of lee@example.com, who is away.",
        ),
        (
            |state| {
                state.rule = "Hardware".into();
                state.stages[0].reviewers[0].instead_of = "cy@example.com".into();
            },
            "An operator asked you in place of cy@example.com. They were asked by the rule “Hardware” \
             in the stage “Managers”.",
        ),
        (
            |state| {
                state.rule = "Hardware".into();
                state.stages.clear();
            },
            "You are asked by the rule “Hardware”.",
        ),
    ];
    for (change, says) in changes {
        let page = asked(change).await;
        assert!(page.contains(says), "{says}: {page}");
    }
}

/// Neither is first by weight, nor chosen in advance, whichever link of the mail was followed.
#[tokio::test]
async fn approve_and_reject_have_the_same_weight() {
    let button = |verdict: &str, label: &str| {
        let attributes = format!("name=\"verdict\" value=\"{verdict}\" class=\"{verdict}\"");
        // Neither needs the comment that is asked for where changes are requested.
        format!("<button type=\"submit\" {attributes} formnovalidate>{label}</button>\n")
    };
    let both = [button("approve", "Approve"), button("reject", "Reject")].concat();
    for choice in [None, Some(Verdict::Approve), Some(Verdict::Reject)] {
        let open = Reading::Current(approval(Status::Pending, Status::Pending, None, None));
        let body = viewed(Answer::Open, open, choice).respond(&site(), Accept::Html).into_body();
        let page = to_bytes(body, 1 << 20).await.expect("a body");
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains(&both), "{choice:?}: {page}");
        let chosen =
            choice.map(|verdict| format!("You chose {} in the mail", verdict.terms().button));
        assert_eq!(page.contains("You chose"), chosen.is_some(), "{page}");
        assert!(chosen.is_none_or(|chosen| page.contains(&chosen)), "{page}");
        assert!(!page.contains("autofocus"), "{page}");
    }
    // Each rule for one of them has its like for the other, which differs by colours alone.
    let style = include_str!("../../assets/style.css");
    let rules = |verdict: &str| -> Vec<String> {
        let class = format!(".{verdict}");
        let of_button = |line: &&str| line.contains("button") && line.contains(&class);
        let rules = style.lines().filter(of_button);
        let weight = |line: &str| -> String {
            let (selector, rule) = line.split_once('{').expect("a rule");
            let colours = ["background", "color", "border-color"];
            let is_weight = |one: &&str| {
                !colours.iter().any(|colour| one.trim().starts_with(&format!("{colour}:")))
            };
            let properties: Vec<&str> = rule.split(';').filter(is_weight).collect();
            format!("{} {properties:?}", selector.replace(&class, ""))
        };
        rules.map(weight).collect()
    };
    assert!(!rules("approve").is_empty());
    assert_eq!(rules("approve"), rules("reject"));
}

#[tokio::test]
async fn where_mail_reaches_nobody_a_page_says_so() {
    let ann = vote("ann@example.com", Verdict::Approve, "");
    let mut state = approval(Status::Pending, Status::Pending, ann, None);
    let unreachable = countersign_protos::v1::reason::Reason::Unreachable("Managers".into());
    state.because = Some(countersign_protos::v1::Reason { reason: Some(unreachable) });
    state.stages[0].reviewers[1].delivery = Delivery::Undeliverable.into();
    let reading = Reading::Current(state);
    let (_, page) = said(on_view(&reading, &link()), reading, Accept::Html).await;
    for words in ["Mail reaches nobody in Managers who may decide now", "cannot be reached"] {
        assert!(page.contains(words), "{words}\n{page}");
    }
    assert!(!page.contains("has not decided yet</span>"), "{page}");
}

#[tokio::test]
async fn every_page_says_who_runs_this_and_where_a_submitters_name_is_another_address_it_says_so() {
    let mut state = approval(Status::Pending, Status::Pending, None, None);
    let submission = state.submission.as_mut().expect("a submission");
    submission.submitter.as_mut().expect("a submitter").name = "ceo@example.com".into();
    let (_, page) = said(Answer::Open, Reading::Current(state), Accept::Html).await;
    assert!(
        page.contains("<dd dir=\"auto\">ceo@example.com &#60;sam@example.com&#62;</dd>"),
        "{page}"
    );
    let problem = Reply::from(Problem::Gone).respond(&site(), Accept::Html);
    let problem = to_bytes(problem.into_body(), 1 << 20).await.expect("a body");
    for page in [page, String::from_utf8_lossy(&problem).into_owned()] {
        assert!(
            page.contains("This is about an approval at &#60;Example&#62;.</footer>"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn times_are_those_of_the_calendars_zone_and_programs_can_read_them() {
    let ann = vote("ann@example.com", Verdict::Approve, "");
    let mut state = approval(Status::Pending, Status::Pending, ann, None);
    state.time_zone = "America/Los_Angeles".into();
    state.submission.as_mut().expect("a submission").submitted_at = at(-3_600);
    let (_, page) = said(Answer::Open, Reading::Current(state.clone()), Accept::Html).await;
    let deadline = "<time datetime=\"2026-11-28T16:00Z\">Sat 28 Nov 2026, 08:00 PST</time> \
                    (America/Los_Angeles)";
    for words in [
        format!("Please decide by {deadline}."),
        format!("Until {deadline}."),
        "approved on <time datetime=\"2026-11-27T16:00Z\">Fri 27 Nov 2026, 08:00 PST</time>".into(),
        "<dd dir=\"auto\"><time datetime=\"2026-11-27T15:00Z\">Fri 27 Nov 2026, 07:00 PST</time> \
         (America/Los_Angeles)</dd>"
            .into(),
    ] {
        assert!(page.contains(&words), "{words}\n{page}");
    }
    let (_, json) = said(Answer::Open, Reading::Current(state), Accept::Json).await;
    assert!(json.contains("Please decide by Sat 28 Nov 2026, 08:00 PST (America/Los_Angeles)."));
    for (answer, status, words) in [
        (Answer::Decided, Status::Approved, "The request was APPROVED on"),
        (Answer::Expired, Status::Expired, "Nobody decided in time. It ended on"),
    ] {
        let ended = ApprovalState {
            reason: "Nobody decided in time.".into(),
            time_zone: "America/Los_Angeles".into(),
            ..approval(status, status, None, None)
        };
        let (_, page) = said(answer, Reading::Current(ended), Accept::Html).await;
        let words = format!("{words} Fri 27 Nov 2026, 08:00 PST (America/Los_Angeles).");
        assert!(untimed(&page).contains(&words), "{words}\n{page}");
    }
}

#[tokio::test]
async fn whatever_a_submission_says_is_text() {
    let evil = "\"><script>alert(1)</script>\u{202E}&'";
    let mut state = approval(
        Status::Pending,
        Status::Pending,
        None,
        vote("bob@example.com", Verdict::Approve, evil),
    );
    state.submission = Some(Submission {
        submission_id: evil.into(),
        submission_type: evil.into(),
        submitter: Some(Submitter {
            name: evil.into(),
            email: evil.into(),
            department: evil.into(),
            employee_id: evil.into(),
        }),
        document: Some(Document {
            title: format!("{evil} https://evil.example/pay"),
            amount: evil.into(),
            currency: evil.into(),
            category: evil.into(),
            description: evil.into(),
            items: vec![Item { description: evil.into(), amount: evil.into(), date: evil.into() }],
            attachments: [
                "s3://bucket/quote.pdf",
                "https://files.example/quote.pdf",
                "javascript:alert(1)",
                "data:text/html,<script>1</script>",
                "https:x\" onclick=\"1",
                evil,
            ]
            .map(str::to_owned)
            .into(),
            ..Document::default()
        }),
        ..Submission::default()
    });
    state.reason = evil.into();
    state.stages[0].name = evil.into();
    state.stages[1].reviewers[0].reviewer = evil.into();
    let (_, page) = said(Answer::Open, Reading::Current(state), Accept::Html).await;
    assert!(!page.contains("<script") && !page.contains('\u{202E}'), "{page}");
    assert!(page.contains("&#60;script&#62;"), "{page}");
    assert!(page.contains(" https://evil.example/pay</h1>"), "{page}");
    let hrefs: Vec<&str> = page.split("<a href=\"").skip(1).collect();
    let hrefs: Vec<&str> = hrefs.iter().filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(hrefs, ["/", "https://files.example/quote.pdf"]);
    assert!(page.contains("rel=\"noopener noreferrer nofollow\""));
    assert!(page.contains("s3://bucket/quote.pdf"));
}

#[tokio::test]
async fn what_is_the_operators_is_not_told_to_reviewers() {
    let mut state = approval(Status::Pending, Status::Pending, None, None);
    state.announcement_error = "secret: mx1.internal refused it".into();
    state.webhook_error = "secret: the webhook answered 410 Gone".into();
    state.ignored_because = vec!["secret: approve: eve@example.com is not asked".into()];
    state.stages[0].reviewers[1].delivery_error = "secret: 550 no such mailbox".into();
    for accept in [Accept::Html, Accept::Json] {
        let (_, told) = said(Answer::Open, Reading::Current(state.clone()), accept).await;
        assert!(told.contains("Ten laptops") && !told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn an_outcome_being_delivered_is_mentioned_but_not_its_receivers() {
    for (answer, status) in [
        (Answer::Decided, Status::Approved),
        (Answer::Recorded, Status::Rejected),
        (Answer::TooLate, Status::Approved),
        (Answer::Expired, Status::Expired),
        (Answer::Withdrawn, Status::Withdrawn),
    ] {
        let mut state = approval(status, status, None, None);
        for accept in [Accept::Html, Accept::Json] {
            state.handing_on = "Decided. Waiting for the webhook to accept the outcome.".to_owned();
            let (_, told) = said(answer, Reading::Current(state.clone()), accept).await;
            assert!(
                told.contains("Waiting for the outcome to be delivered."),
                "{answer:?}: {told}"
            );
            assert!(!told.contains("webhook") && !told.contains("closed"), "{answer:?}: {told}");
            state.handing_on.clear();
            let (_, told) = said(answer, Reading::Current(state.clone()), accept).await;
            assert!(!told.contains("to be delivered"), "{answer:?}: {told}");
        }
    }
}

#[tokio::test]
async fn the_choice_of_the_mailed_link_is_said_and_gives_no_button_more_weight() {
    for (choice, says) in [
        (None, ""),
        (Some(Verdict::Approve), "You chose Approve in the mail"),
        (Some(Verdict::Reject), "You chose Reject in the mail"),
    ] {
        let reading = Reading::Current(approval(Status::Pending, Status::Pending, None, None));
        let reply = viewed(Answer::Open, reading, choice);
        let body = reply.respond(&site(), Accept::Html).into_body();
        let body = to_bytes(body, 1 << 20).await.expect("a body");
        let page = String::from_utf8_lossy(&body);
        assert!(page.contains("class=\"approve\"") && page.contains("class=\"reject\""), "{page}");
        assert!(page.contains(says) && page.contains("You chose") != says.is_empty(), "{page}");
        assert!(page.contains("<textarea") && !page.contains("autofocus"), "{page}");
    }
}

#[tokio::test]
async fn each_problem_has_its_status_and_its_words() {
    for (problem, status, name, words, retry) in [
        (Problem::NO_PAGE, 404, "not_found", "Page not found", false),
        (Problem::NotIssued(ID.into()), 404, "not_issued", "was not issued here", false),
        (Problem::Gone, 410, "gone", "was issued once", false),
        (Problem::InvalidVerdict, 422, "invalid", "press one of the buttons", false),
        (Problem::CommentTooLong, 422, "invalid", "longer than 2,000 characters", false),
        (
            Problem::CommentMissing(Verdict::Reject),
            422,
            "invalid",
            "To reject, a comment is required",
            false,
        ),
        (Problem::CrossSite, 403, "cross_site", "Nothing was recorded", false),
        (Problem::NotAForm, 415, "unsupported_media_type", "Nothing was recorded", false),
        (Problem::BodyTooLarge, 413, "too_large", "larger than 128 KiB", false),
        (Problem::Incomplete, 408, "incomplete", "Nothing was recorded", false),
        (Problem::MethodNotAllowed, 405, "method_not_allowed", "can be opened", false),
        (
            Problem::TooMany(Duration::from_millis(10)),
            429,
            "too_many_requests",
            "Too many requests",
            true,
        ),
        (Problem::Unavailable, 503, "unavailable", "Nothing was changed", true),
        (Problem::NothingRecorded, 503, "nothing_recorded", "Nothing was recorded", true),
        (Problem::Unknown, 503, "unknown", "pressing again is safe", true),
        (Problem::Unavailable.after_press(), 503, "unavailable", "what is recorded", true),
        (Problem::Newer.after_press(), 503, "newer", "what is recorded", true),
        (
            Problem::TooMany(Duration::from_millis(10)).after_press(),
            429,
            "too_many_requests",
            "no need to press again",
            true,
        ),
        (
            Problem::NotDelegated(NotDelegated::NotAnAddress),
            422,
            "invalid",
            "by an e-mail address",
            false,
        ),
        (Problem::OutboxUnreadable, 500, "unreadable", "log", false),
        (Problem::NotLocal, 403, "not_local", "machine that runs Countersign", false),
    ] {
        let answers = [("why".to_owned(), "<b>".to_owned())].into();
        let filled = Filled { comment: "<i>".to_owned(), answers, verdict: None };
        let reply = || Reply::Problem(problem.clone(), filled.clone());
        let page = reply().respond(&site(), Accept::Html);
        let json = reply().respond(&site(), Accept::Json);
        assert_eq!((page.status().as_u16(), json.status().as_u16()), (status, status), "{name}");
        assert_eq!(page.headers().contains_key(RETRY_AFTER), retry, "{name}");
        let page = to_bytes(page.into_body(), 1 << 20).await.expect("a body");
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains(words) && !page.contains("<i>"), "{name}: {page}");
        assert!(
            page.contains("&#60;i&#62;</textarea>"),
            "{name}: the comment is given back: {page}"
        );
        assert!(
            page.contains("<dt>why</dt><dd class=\"text\" dir=\"auto\">&#60;b&#62;</dd>"),
            "{page}"
        );
        let json = to_bytes(json.into_body(), 1 << 20).await.expect("a body");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!(json["answer"], name);
        if matches!(problem, Problem::Unknown | Problem::AfterPress(_)) {
            assert!(!page.contains("Nothing was"), "{page}");
            assert!(!page.contains("Nothing was recorded"), "{page}");
        }
    }
}

/// The submitter has no decision, and a colleague is asked in place of one.
#[tokio::test]
async fn a_problem_that_can_follow_any_form_names_no_decision() {
    let wait = Duration::from_secs(1);
    for problem in [
        Problem::Gone,
        Problem::Newer,
        Problem::InvalidAct,
        Problem::NotRevisable,
        Problem::CrossSite,
        Problem::NotAForm,
        Problem::BodyTooLarge,
        Problem::Incomplete,
        Problem::TooMany(wait),
        Problem::Unavailable,
        Problem::NothingRecorded,
        Problem::Unknown,
        Problem::Unavailable.after_press(),
        Problem::Newer.after_press(),
        Problem::TooMany(wait).after_press(),
    ] {
        let reply = Reply::from(problem.clone()).respond(&site(), Accept::Html);
        let page = body(reply).await.to_lowercase();
        let (_, said) = page.split_once("<main>").expect("a page");
        assert!(
            !said.contains("your decision") && !said.contains("to decide"),
            "{problem:?}: {said}"
        );
    }
}

#[tokio::test]
async fn what_is_about_to_be_confirmed_is_named_in_words() {
    for (verdict, words) in [
        (Verdict::Approve, "You are about to approve this"),
        (Verdict::Reject, "You are about to reject this"),
        (Verdict::RequestChanges, "You are about to request changes"),
    ] {
        let open = approval(Status::Pending, Status::Pending, None, None);
        let (comment, nonce) = ("So.".to_owned(), "1.mac".to_owned());
        let pressed = Unconfirmed { verdict, comment, answers: Vec::new(), nonce };
        let reading = Reading::Current(open).into();
        let reply = Reply::Unconfirmed { pressed, reading, link: link() };
        let page = body(reply.respond(&site(), Accept::Html)).await;
        assert!(page.contains(&format!("<h2>{words}</h2>")), "{page}");
    }
}

/// An approval by so many votes in each of these stages of three. Of the bits of `by_operators`, each says
/// whether an operator has given a vote.
fn approved_by(quorum: &str, stages: usize, votes: usize, by_operators: u32) -> ApprovalState {
    let reviewer = |stage: usize, seat: usize| {
        let (name, number) = (format!("{stage}.{seat}@example.com"), stage * votes + seat);
        let mut vote = vote(&name, Verdict::Approve, "").filter(|_| seat < votes);
        let by_operator = by_operators >> number & 1 == 1;
        if let Some(vote) = vote.as_mut().filter(|_| by_operator) {
            (vote.by, vote.identity) = ("operator".into(), "op@laptop".into());
        }
        let own = (stage, seat) == (0, 0);
        let link = if own { link().as_str().to_owned() } else { name.clone() };
        ReviewerState { reviewer: name, link, vote, ..ReviewerState::default() }
    };
    let stage = |stage: usize| StageState {
        name: format!("Stage {stage}"),
        status: Status::Approved.into(),
        quorum: quorum.into(),
        opened_at: at(-60),
        closed_at: at(0),
        reviewers: (0..3).map(|seat| reviewer(stage, seat)).collect(),
        ..StageState::default()
    };
    let stages = (0..stages).map(stage).collect();
    ApprovalState { stages, ..approval(Status::Approved, Status::Approved, None, None) }
}

#[tokio::test]
async fn a_page_tells_a_press_from_an_operators_signal_in_every_combination() {
    for (quorum, votes) in [("any", 1), ("all", 3), ("2", 2)] {
        for stages in [1, 2] {
            for by_operators in 0..1 << (stages * votes) {
                let reading = Reading::Current(approved_by(quorum, stages, votes, by_operators));
                let answer = on_view(&reading, &link());
                let (_, page) = said(answer, reading, Accept::Html).await;
                let page = untimed(&page);
                let votes_told = page.matches("approved on ").count();
                assert_eq!(votes_told, stages * votes, "{page}");
                let told = page.matches(", recorded by an operator (op@laptop)").count();
                assert_eq!(told as u32, by_operators.count_ones(), "{quorum}, {stages}: {page}");
            }
        }
    }
}
