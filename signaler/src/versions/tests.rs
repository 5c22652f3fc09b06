use countersign_protos::{
    Chain, Json, LinkContext, LinkKeys, Sealing, Verdict, digest_of_version, names,
    v1::{
        Action, Detail, Document, Field, Item, ReviewerState, StageState, Status, Submission,
        Submitter,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};
use temporalio_common::protos::{
    constants::LOCAL_ACTIVITY_MARKER_NAME,
    temporal::api::{
        common::v1::{Payload, Payloads},
        history::v1::{
            MarkerRecordedEventAttributes, WorkflowExecutionStartedEventAttributes,
            history_event::Attributes,
        },
    },
};

use super::*;
use crate::{
    answer::{Answer, on_view, settled},
    disclosure::disclosed,
    genuine,
    reply::answer_status,
};

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };
const ANN: &str = "ann@example.com";
const PRIYA: &str = "priya@example.com";

fn keys() -> LinkKeys {
    countersign_protos::TEST_KEYS[0].parse().expect("a key")
}

fn digest(submission: &Submission, version: u32) -> String {
    digest_of_version(&serde_json::to_value(submission).expect("JSON"), version)
}

/// Ann's link to a version.
fn of_ann(submission: &Submission, version: u32) -> GenuineLink {
    let digest = digest(submission, version);
    keys().first().link(LinkContext::new(CHAIN, &digest, ANN))
}

/// Priya's, whose submission it is.
fn of_priya(submission: &Submission, version: u32) -> GenuineLink {
    let digest = digest(submission, version);
    keys().first().link(LinkContext::submitter(CHAIN, &digest, PRIYA))
}

fn payloads(json: &Value) -> Payloads {
    let data = json.to_string().into_bytes();
    Payloads { payloads: vec![Payload { data, ..Payload::default() }] }
}

fn marker(activity: &str, result: &Value) -> HistoryEvent {
    let data = json!({"seq": 1, "attempt": 1, "activity_type": activity});
    let details = [("data", payloads(&data)), ("result", payloads(result))];
    let attributes = MarkerRecordedEventAttributes {
        marker_name: LOCAL_ACTIVITY_MARKER_NAME.to_owned(),
        details: details.map(|(name, value)| (name.to_owned(), value)).into(),
        ..MarkerRecordedEventAttributes::default()
    };
    let attributes = Attributes::MarkerRecordedEventAttributes(attributes);
    HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() }
}

fn begins() -> HistoryEvent {
    let attributes = WorkflowExecutionStartedEventAttributes {
        input: Some(payloads(&json!({}))),
        first_execution_run_id: CHAIN.first_run_id.to_owned(),
        ..WorkflowExecutionStartedEventAttributes::default()
    };
    let attributes = Attributes::WorkflowExecutionStartedEventAttributes(attributes);
    HistoryEvent { attributes: Some(attributes), ..HistoryEvent::default() }
}

/// The plan of the last of these versions, sealed by a key.
fn planned(versions: &[Submission], key: &LinkKeys) -> HistoryEvent {
    let (last, before) = versions.split_last().expect("a version");
    let earlier = (1..).zip(before).map(|(version, submission)| {
        let (field, digest) = (version_field(version), digest(submission, version));
        json!({"version": field, "digest": digest, "by": "link"})
    });
    let digest = digest(last, version_after(before));
    let plan = json!({
        "submission": last, "digest": digest, "submitter": PRIYA, "previous": before.last(),
        "earlier": earlier.collect::<Vec<_>>(),
    });
    let json = plan.to_string();
    let seal = key.first().seal(Sealing::Plan, CHAIN, &digest, json.as_bytes());
    marker(names::ACTIVITY_VALIDATE, &json!({"plan": {"json": json, "seal": seal}}))
}

/// Ann and Priya have a link to each version.
fn history(versions: &[Submission]) -> Vec<HistoryEvent> {
    let of = |position: usize| {
        let (submission, version) = (&versions[position], version_after(&versions[..position]));
        let seat = json!({
            "stage": 0, "round": 0, "reviewer": ANN, "key": "",
            "link": of_ann(submission, version).hash().as_str(),
        });
        let submitter = json!({"link": of_priya(submission, version).hash().as_str(), "key": ""});
        let issued = json!({"invited": [seat], "submitter": submitter});
        let refused = json!({"problems": [{"path": "$", "message": "changes nothing"}]});
        [
            planned(&versions[..=position], &keys()),
            marker(names::ACTIVITY_ISSUE_LINKS, &issued),
            marker(names::ACTIVITY_VALIDATE, &refused),
        ]
    };
    [begins()].into_iter().chain((0..versions.len()).flat_map(of)).collect()
}

/// What the workflow says of the last version, in which Ann is asked.
fn says(versions: &[Submission]) -> ApprovalState {
    let (last, before) = versions.split_last().expect("a version");
    let version = version_after(before);
    let link = of_ann(last, version).hash().as_str().to_owned();
    let ann = ReviewerState { reviewer: ANN.into(), link, ..ReviewerState::default() };
    let pending = Status::Pending.into();
    let stage = StageState { status: pending, reviewers: vec![ann], ..StageState::default() };
    ApprovalState {
        status: pending,
        submission: Some(last.clone()),
        digest: digest(last, version),
        version: version_field(version),
        stages: vec![stage],
        submitter_link: of_priya(last, version).hash().as_str().to_owned(),
        ..ApprovalState::default()
    }
}

/// How it reads by a link, while that workflow says this.
fn reading(link: &GenuineLink, events: &[HistoryEvent], says: ApprovalState) -> Reading {
    assert!(!genuine::fits(link, CHAIN, &says), "it is of another version");
    let (issued, latest) = read(CHAIN.workflow_id, link, events);
    let issued = issued.expect("the history has it");
    placed(Traced { issued, latest }, link, Reading::Current(says))
}

fn answers(reading: &Reading, link: &GenuineLink) -> (Answer, Option<Answer>) {
    (on_view(reading, link.hash()), settled(reading, link.hash(), Verdict::Approve))
}

fn words() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z ]{1,12}", "[0-9]{1,4}\\.[0-9]{2}", "\\PC{1,8}"]
}

prop_compose! {
    /// With something in each field.
    fn submissions()(
        texts in proptest::collection::vec(words(), 24), flag in any::<bool>(), number in 0..100,
    ) -> Submission {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().expect("enough of them");
        let (item, detail) = (
            Item { description: text(), amount: text(), date: text() },
            Detail { label: text(), value: text() },
        );
        let arguments = json!({"a": {"b": [text(), number]}, "flag": flag});
        Submission {
            submission_id: "PO-1".into(),
            submission_type: text(),
            submitter: Some(Submitter {
                name: text(), email: PRIYA.into(), department: text(), employee_id: text(),
            }),
            document: Some(Document {
                title: text(), amount: text(), currency: text(), category: text(),
                description: text(), items: vec![item], attachments: vec![text()],
                details: vec![detail],
                action: Some(Action {
                    name: text(), arguments: Some(Json::from(&arguments)), risk: text(),
                    reason: text(), on_behalf_of: text(),
                }),
            }),
            fields: vec![Field {
                name: text(), label: text(), r#type: "choice".into(), choices: vec![text()],
                required_for: vec!["approve".into()], from_rule: false,
            }],
            ..Submission::default()
        }
    }
}

type Change = fn(&mut Submission);

/// What can be revised, and how it is called in a path.
const CHANGES: [(&str, Change); 24] = [
    ("$.submissionType", |it| it.submission_type.push('!')),
    ("$.submitter.name", |it| submitter(it).name.push('!')),
    ("$.submitter.department", |it| submitter(it).department.push('!')),
    ("$.submitter.employeeId", |it| submitter(it).employee_id.push('!')),
    ("$.document.title", |it| document(it).title.push('!')),
    ("$.document.amount", |it| document(it).amount.push('1')),
    ("$.document.currency", |it| document(it).currency.push('X')),
    ("$.document.category", |it| document(it).category.push('!')),
    ("$.document.description", |it| document(it).description.push('!')),
    ("$.document.items[0].description", |it| document(it).items[0].description.push('!')),
    ("$.document.items[0].amount", |it| document(it).items[0].amount.push('1')),
    ("$.document.items[0].date", |it| document(it).items[0].date.push('1')),
    ("$.document.items[1].amount", |it| {
        document(it).items.push(Item { amount: "1.00".into(), ..Item::default() });
    }),
    ("$.document.attachments[0]", |it| document(it).attachments[0].push('!')),
    ("$.document.details[0].label", |it| document(it).details[0].label.push('!')),
    ("$.document.details[0].value", |it| document(it).details.clear()),
    ("$.document.action.name", |it| action(it).name.push('!')),
    ("$.document.action.risk", |it| action(it).risk.push('!')),
    ("$.document.action.reason", |it| action(it).reason.push('!')),
    ("$.document.action.onBehalfOf", |it| action(it).on_behalf_of.push('!')),
    ("$.document.action.arguments", |it| {
        let mut arguments = action(it).arguments.as_ref().expect("arguments").value();
        arguments["a"]["b"][0] = json!("another text than any other");
        action(it).arguments = Some(Json::from(&arguments));
    }),
    ("$.fields[0].label", |it| it.fields[0].label.push('!')),
    ("$.fields[0].choices", |it| it.fields[0].choices.push("another".into())),
    ("$.fields[0].requiredFor", |it| it.fields[0].required_for.push("reject".into())),
];

fn submitter(submission: &mut Submission) -> &mut Submitter {
    submission.submitter.as_mut().expect("a submitter")
}

fn document(submission: &mut Submission) -> &mut Document {
    submission.document.as_mut().expect("a document")
}

fn action(submission: &mut Submission) -> &mut Action {
    document(submission).action.as_mut().expect("an action")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 420, ..ProptestConfig::default() })]

    /// Each of these submissions with each field changed: 420 times 24, and so more than 10,000.
    #[test]
    fn whatever_is_revised_between_mail_and_press_is_a_conflict_that_names_it(before in submissions()) {
        for (path, change) in CHANGES {
            let mut after = before.clone();
            change(&mut after);
            let versions = [before.clone(), after];
            let link = of_ann(&versions[0], 1);
            let read = reading(&link, &history(&versions), says(&versions));
            let said = answers(&read, &link);
            prop_assert_eq!(said, (Answer::Revised, Some(Answer::Revised)), "{}", path);
            prop_assert_eq!(answer_status(said.0).0.as_u16(), 409);
            let shown = disclosed(said.0, read.state(), link.hash());
            let named = shown.changes.iter().any(|one| one.path.starts_with(path));
            prop_assert!(named, "{}: {:?}", path, shown.changes);
            prop_assert_eq!(&shown.state.previous, &None, "no link of another version shows a document");
            let document = shown.state.submission.and_then(|submission| submission.document);
            prop_assert_eq!(document, None);
        }
    }
}

fn titled(title: &str) -> Submission {
    let document = Some(Document { title: title.into(), ..Document::default() });
    let submitter = Submitter { email: PRIYA.into(), ..Submitter::default() };
    Submission { document, submitter: Some(submitter), ..Submission::default() }
}

#[test]
fn a_link_of_an_older_version_or_of_one_that_does_not_fit_is_gone() {
    // The third is as the first was: its links are others all the same.
    let versions = [titled("Ten laptops"), titled("Nine laptops"), titled("Ten laptops")];
    let (events, now) = (history(&versions), || says(&versions));
    let is_gone = |link: &GenuineLink, events: &[HistoryEvent], says: ApprovalState| {
        let read = reading(link, events, says);
        let gone = answers(&read, link) == (Answer::Outdated, Some(Answer::Outdated));
        let shown = disclosed(Answer::Outdated, read.state(), link.hash());
        let text = serde_json::to_string(&shown.state).expect("JSON");
        gone && shown.changes.is_empty() && !text.contains("laptops")
    };
    let (first, second) = (of_ann(&versions[0], 1), of_ann(&versions[1], 2));
    assert!(is_gone(&first, &events, now()));
    assert!(!is_gone(&second, &events, now()));
    assert_eq!(answer_status(Answer::Outdated).0.as_u16(), 410);
    // Somebody else than the worker answers.
    let mut forged = now();
    forged.submission = Some(titled("Ten cars"));
    forged.digest = digest(&titled("Ten cars"), 3);
    assert!(is_gone(&second, &events, forged));
    let forged = ApprovalState { version: 2, ..now() };
    assert!(is_gone(&first, &events, forged));
    // Somebody else has written a plan, which no key of ours has sealed.
    let other = countersign_protos::TEST_KEYS[1].parse().expect("a key");
    let cars = [titled("Ten laptops"), titled("Ten cars")];
    let events = [history(&versions[..1]), vec![planned(&cars, &other)]].concat();
    assert!(is_gone(&of_ann(&versions[0], 1), &events, says(&cars)));
}

#[test]
fn the_submitter_is_told_by_the_link_that_revised_it() {
    let versions = [titled("Ten laptops"), titled("Nine laptops")];
    let link = of_priya(&versions[0], 1);
    let read = reading(&link, &history(&versions), says(&versions));
    assert_eq!(on_view(&read, link.hash()), Answer::Resubmitted);
    let shown = disclosed(Answer::Resubmitted, read.state(), link.hash());
    assert_eq!(shown.changes.len(), 1, "{:?}", shown.changes);
}

#[test]
fn what_came_before_is_as_the_sealed_plan_has_it() {
    let versions = [titled("Ten laptops"), titled("Nine laptops")];
    let link = of_ann(&versions[1], 2);
    let (issued, latest) = read(CHAIN.workflow_id, &link, &history(&versions));
    let issued = issued.expect("the history has it");
    assert_eq!((issued.version, latest.expect("sealed").version()), (2, 2));
    let forged = ApprovalState { previous: Some(titled("Nine laptops")), ..says(&versions) };
    let shown = sealed(forged.clone(), &issued.planned);
    assert_eq!(shown.previous, Some(versions[0].clone()));
    assert_eq!(shown.earlier_versions.len(), 1);
    let unknown = sealed(forged, &Planned::default());
    assert_eq!((unknown.previous, unknown.earlier_versions.len()), (None, 0));
}

#[test]
fn while_no_worker_runs_the_last_version_is_that_of_the_history() {
    let versions = [titled("Ten laptops"), titled("Nine laptops")];
    let pending = || ApprovalState { status: Status::Pending.into(), ..ApprovalState::default() };
    for (link, answer) in [
        (of_ann(&versions[0], 1), Answer::Revised),
        (of_priya(&versions[0], 1), Answer::Resubmitted),
    ] {
        let (issued, latest) = read(CHAIN.workflow_id, &link, &history(&versions));
        let both = (issued.expect("issued"), latest.expect("sealed"));
        let read = unattended(pending(), both, &link);
        assert_eq!(on_view(&read, link.hash()), answer);
        assert_eq!(settled(&read, link.hash(), Verdict::Approve), Some(answer), "nothing is sent");
        assert_eq!(disclosed(answer, read.state(), link.hash()).changes.len(), 1);
    }
}
