use countersign_protos::{
    Chain, LinkContext, LinkKeys, submission,
    v1::{Action, Item, Policy, Submitter},
};
use serde_json::Value;

use super::*;

fn detail(label: &str, value: &str) -> Detail {
    Detail { label: label.into(), value: value.into() }
}

fn submission() -> Submission {
    Submission {
        submission_id: "PO-1".into(),
        submission_type: "purchase".into(),
        submitter: Some(Submitter {
            name: "Priya".into(),
            email: "priya@example.com".into(),
            ..Submitter::default()
        }),
        document: Some(Document {
            title: "Ten laptops".into(),
            amount: "15750.00".into(),
            currency: "USD".into(),
            description: "For the team.\n\nSoon.".into(),
            details: vec![detail("From", "7 December"), detail("Until", "18 December\nat noon")],
            attachments: vec!["https://files.example.com/quote.pdf".into()],
            action: Some(Action { name: "order".into(), ..Action::default() }),
            ..Document::default()
        }),
        approval: Some(Policy::default()),
        ..Submission::default()
    }
}

/// As a browser sends the form back.
fn sent(draft: &Draft) -> Draft {
    let fields = draft.fields();
    let all = |name: &str| {
        let own = fields.iter().filter(|(field, _)| *field == name);
        own.map(|(_, text)| text.replace('\n', "\r\n")).collect()
    };
    Draft::read(all)
}

fn typed(change: impl FnOnce(&mut Draft)) -> Result<Submission, Vec<Mistake>> {
    let mut draft = Draft::of(&submission()).with_spare_rows();
    change(&mut draft);
    sent(&draft).apply(&submission())
}

#[test]
fn what_a_browser_sends_back_as_it_was_changes_nothing() {
    assert_eq!(typed(|_| ()), Err(vec![Mistake::ChangesNothing]));
    // A page shows no characters that mislead, and what stays keeps them.
    let mut before = submission();
    let document = before.document.as_mut().expect("there");
    document.description = " for\u{202e} the team\r\n".into();
    let mut draft = sent(&Draft::of(&before));
    assert_eq!(draft.apply(&before), Err(vec![Mistake::ChangesNothing]));
    draft.title = "Nine laptops".into();
    let after = draft.apply(&before).expect("good").document.expect("there");
    assert_eq!(after.description, " for\u{202e} the team\r\n");
}

#[test]
fn what_is_typed_takes_its_place_and_all_else_stays() {
    let revised = typed(|draft| {
        draft.title = " Nine laptops ".into();
        draft.amount = "14000".into();
        draft.details[0] = Default::default();
        draft.details[2] = ("Where".into(), "Leipzig".into());
    });
    let mut expected = submission();
    let document = expected.document.as_mut().expect("there");
    document.title = "Nine laptops".into();
    document.amount = "14000".into();
    document.details = vec![detail("Until", "18 December\nat noon"), detail("Where", "Leipzig")];
    assert_eq!(revised, Ok(expected));
}

#[test]
fn each_mistake_has_its_place_and_all_are_named_at_once() {
    let wrong = typed(|draft| {
        draft.title = " ".into();
        draft.currency.clear();
        draft.details[0].0.clear();
        draft.details[2].0 = "Where".into();
    });
    let expected = [
        Mistake::TitleMissing,
        Mistake::CurrencyMissing,
        Mistake::LabelMissing(0),
        Mistake::ValueMissing(2),
    ];
    assert_eq!(wrong, Err(expected.to_vec()));
    let places = expected.map(|mistake| mistake.place());
    assert_eq!(places, [Place::Title, Place::Currency, Place::Label(0), Place::Value(2)]);
    assert_eq!(typed(|draft| draft.amount.clear()), Err(vec![Mistake::AmountMissing]));
    let mut with_items = submission();
    with_items.document.as_mut().expect("there").items = vec![Item::default()];
    let mut draft = Draft::of(&with_items);
    draft.amount = "1.00".into();
    assert_eq!(draft.apply(&with_items), Err(vec![Mistake::AmountOfItems]));
    let long = Wish::Withdraw("x".repeat(2_001)).deed(&submission());
    assert_eq!(long, Err(vec![Mistake::ReasonTooLong(2_001)]));
}

#[test]
fn what_the_workflow_refuses_is_said_at_the_field_that_it_names() {
    let draft = Draft {
        // The first row was not sent.
        details: vec![Default::default(), ("From".into(), "x".into()), ("To".into(), "y".into())],
        ..Draft::default()
    };
    let at = |place, why: &str| Mistake::Refused(place, why.to_owned());
    let refused = draft.refused(
        "the submission cannot be used: $.document.title is too long: 300; $.document.details[1].value is \
         required; $.document.items add up to 1.00; $ changes nothing",
    );
    assert_eq!(
        refused,
        [
            at(Place::Title, "is too long: 300"),
            at(Place::Value(2), "is required"),
            at(Place::Whole, "document.items add up to 1.00"),
            at(Place::Whole, "changes nothing"),
        ]
    );
    let late = "a reviewer has already decided, so it can be revised only if changes are requested";
    assert_eq!(draft.refused(late), [at(Place::Whole, late)]);
}

#[test]
fn what_is_sent_is_what_is_signed_however_it_is_read() {
    let keys: LinkKeys = countersign_protos::TEST_KEYS[0].parse().expect("a key");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let link = keys.first().link(LinkContext::submitter(chain, "v1:0", "priya@example.com"));
    let draft = Draft { title: "Nine laptops".into(), ..Draft::of(&submission()) };
    let deed = Wish::Revise(draft).deed(&submission()).expect("good");
    let (name, payload) = deed.signed(&link, Timestamp::UNIX_EPOCH);
    assert_eq!(name, "revise");
    let revision: Revision = payload::decode(std::slice::from_ref(&payload)).expect("a revision");
    assert_eq!(revision.link, link.hash().as_str());
    // The worker's reader, which looks at the JSON itself.
    let json: Value = serde_json::from_slice(&payload.data).expect("JSON");
    let data = json["submission"].to_string().into_bytes();
    let (read, problems) = submission::read(&[payload::Payload { data, ..payload }]);
    assert_eq!((Some(&read), problems), (revision.submission.as_ref(), vec![]));
    let digest = revision_digest(&read);
    let holds = |digest: &str| {
        let proof = revision.proof.as_ref().expect("a proof");
        let statement = Statement::Revise { digest };
        proof.proves(&link.public_key(), link.hash().as_str(), statement)
    };
    assert!(holds(&digest) && !holds(&revision_digest(&submission())));
}

#[test]
fn what_was_written_is_copied_with_its_labels_and_without_what_is_empty() {
    let details = [("From", "7 December"), ("", "at noon"), ("Where", ""), ("", " ")];
    let details = details.map(|(label, value)| (label.to_owned(), value.to_owned())).to_vec();
    let draft = Draft {
        title: "Ten laptops".into(),
        amount: "15750.00".into(),
        currency: "USD".into(),
        details,
        ..Draft::default()
    };
    let text = "Title: Ten laptops\nAmount: 15750.00 USD\nFrom: 7 December\nat noon\nWhere";
    assert_eq!(Wish::Revise(draft).text(), text);
}

#[test]
fn blank_rows_are_kept_few() {
    let rows = |draft: &Draft| draft.clone().with_spare_rows().details.len();
    let draft = Draft::of(&submission());
    assert_eq!((rows(&draft), rows(&draft.clone().with_spare_rows())), (4, 4));
}
