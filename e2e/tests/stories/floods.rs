//! A thousand malformed messages at a time: each is answered, and none delays anything.

use std::{
    fmt::Debug,
    hash::{DefaultHasher, Hash, Hasher},
    iter,
};

use countersign_e2e::{
    Stack, Temporal, application_failure, eventually, json_payload, list, payload, submission,
    task_failures, text,
};
use countersign_protos::v1;
use futures_util::{StreamExt, stream};
use prost::Message;
use serde_json::{Value, json};
use temporalio_common::protos::temporal::api::common::v1::Payload;

const FLOOD: usize = 1_000;
const AT_ONCE: usize = 32;

/// An input, and what is wrong with it.
type Malformed = (String, Vec<Payload>);

#[tokio::test]
async fn a_thousand_malformed_submissions_fail_while_a_good_one_in_their_midst_is_decided() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let flood = malformed(FLOOD, &good_submission(), &good_submission_message());
    let id = |number: usize| format!("{}-malformed-{number}", stack.queue);
    let start = async |first: usize, inputs: &[Malformed]| {
        stream::iter(inputs.iter().enumerate())
            .for_each_concurrent(AT_ONCE, async |(number, (_, input))| {
                grpc.start(&stack.queue, &id(first + number), input.clone()).await;
            })
            .await;
    };
    let (before, after) = flood.split_at(FLOOD / 2);
    start(0, before).await;
    let good = stack.submit(&submission::expense(&["ann@example.com"])).await;
    start(before.len(), after).await;

    let link = stack.mail_to("ann@example.com").await.link("approve");
    stack.press(&link, "approve", "not drowned").await;
    let outcome = good.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    assert_eq!(outcome["stages"][0]["decisions"][0]["comment"], "not drowned", "{outcome}");

    let wrong: Vec<String> = stream::iter(flood.iter().enumerate())
        .map(async |(number, (what, _))| {
            let events = grpc.closed(&id(number)).await;
            let failures = task_failures(&events);
            if !failures.is_empty() {
                return Some(format!("{what}: {failures:?}"));
            }
            let failed_as = application_failure(&events).map(|(kind, failure)| {
                (kind, failure.message.starts_with("the submission cannot be used: $"))
            });
            let expected = Some(("InvalidSubmission".to_owned(), true));
            (failed_as != expected).then(|| format!("{what}: {:?}", events.last()))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(stack.outbox().len(), 2, "only ann and the submitter of hers have mail");
}

#[tokio::test]
async fn a_thousand_malformed_signals_are_counted_and_the_earlier_vote_stands() {
    let stack = Stack::start().await;
    let grpc = stack.temporal.grpc().await;
    let both = ["ann@example.com", "bob@example.com"];
    let stage = json!({"reviewers": both, "quorum": "all"});
    let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
    workflow.until_asked().await;
    let decision = json!({"reviewer": both[0], "comment": "before the flood"});
    workflow.signal("approve", &decision).await;

    let flood = malformed(FLOOD, &eves_decision(), &eves_decision_message());
    stream::iter(flood.iter().zip(["approve", "reject"].into_iter().cycle()))
        .for_each_concurrent(AT_ONCE, async |((_, input), name)| {
            grpc.signal(&workflow.id, name, input.clone()).await;
        })
        .await;
    let status = workflow
        .status_where("an ignored signal for each", |status| status["ignoredSignals"] == FLOOD)
        .await;
    assert_eq!(status["status"], "PENDING", "{status}");
    let reasons: Vec<String> = list(&status["ignoredBecause"]).map(text).collect();
    assert_eq!(reasons.len(), 20, "only the latest are kept: {status}");
    for name in ["approve at ", "reject at "] {
        assert!(reasons.iter().any(|reason| reason.starts_with(name)), "{reasons:?}");
    }
    assert_eq!(status["stages"][0]["reviewers"][0]["vote"]["verdict"], "APPROVE", "{status}");

    let link = stack.mail_to(both[1]).await.link("approve");
    stack.press(&link, "approve", "after the flood").await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    let comments: Vec<String> =
        list(&outcome["stages"][0]["decisions"]).map(|each| text(&each["comment"])).collect();
    assert_eq!(comments, ["before the flood", "after the flood"], "{outcome}");
    assert_eq!(task_failures(&grpc.events(&workflow.id).await), Vec::<String>::new());
}

/// This Temporal takes 1,000 signals a run, instead of 10,000: the approval goes on in another one,
/// with all it knows.
#[tokio::test]
async fn more_signals_than_a_run_takes_move_an_approval_into_another_with_its_votes_intact() {
    const SIGNALS: usize = 1_200;
    const BATCH: usize = 100;
    const TENTH: [&str; 2] =
        ["history.maximumSignalsPerExecution=1000", "limit.historyCount.suggestContinueAsNew=400"];
    let stack = Stack::beside(Temporal::start_with(&TENTH).await).start().await;
    let grpc = stack.temporal.grpc().await;
    let both = ["ann@example.com", "bob@example.com"];
    let stage = json!({"reviewers": both, "quorum": "all"});
    let workflow = stack.submit(&submission::asking(json!({"stages": [stage]}))).await;
    let ann = stack.mail_to(both[0]).await.link("approve");
    let bob = stack.mail_to(both[1]).await.link("approve");
    workflow.until_asked().await;
    stack.press(&ann, "approve", "before the flood").await;
    let first_run = grpc.run(&workflow.id).await;

    let eve = json_payload(&json!({"reviewer": "eve@example.com"}));
    let mut status = Value::Null;
    for sent in (BATCH..=SIGNALS).step_by(BATCH) {
        stream::iter(0..BATCH)
            .for_each_concurrent(AT_ONCE, async |_| {
                grpc.signal(&workflow.id, "approve", vec![eve.clone()]).await;
            })
            .await;
        // Temporal starts no other run while signals pour in.
        status = workflow
            .status_where("all of them to be ignored", |status| status["ignoredSignals"] == sent)
            .await;
    }
    assert_eq!(status["stages"][0]["reviewers"][0]["vote"]["comment"], "before the flood");
    assert_ne!(grpc.run(&workflow.id).await, first_run, "it goes on in another run");
    let history = workflow.history().await.with_payloads_decoded();
    assert!(history.contains("Deadline of "), "what the timer is for: {history}");
    let details = workflow.details().await;
    assert!(details.contains("approved") && details.contains("Ignored signals"), "{details}");

    // The links from before are the links of now, also for a signaler that knew the first run.
    eventually("the page to know the earlier decision", async || {
        stack.press(&ann, "approve", "").await.says("already recorded").then_some(())
    })
    .await;
    stack.press(&bob, "approve", "after the flood").await;
    let outcome = workflow.outcome().await;
    assert_eq!(outcome["status"], "APPROVED", "{outcome}");
    let comments: Vec<String> =
        list(&outcome["stages"][0]["decisions"]).map(|each| text(&each["comment"])).collect();
    assert_eq!(comments, ["before the flood", "after the flood"], "{outcome}");
    let mut votes = list(&outcome["stages"][0]["decisions"]);
    assert!(votes.all(|vote| vote["by"] == "link") && outcome["operator"] != true, "{outcome}");
    assert_eq!(stack.mails_so_far(both[1]).len(), 1, "nobody is asked twice");
}

/// A submission that would be decided, and whose every part is required.
fn good_submission() -> Value {
    json!({
        "submissionId": "flood",
        "submitter": {"name": "Sam", "email": "sam@example.com"},
        "document": {"title": "Sandbags", "amount": "9.90", "currency": "EUR"},
    })
}

fn good_submission_message() -> Vec<u8> {
    let message = v1::Submission {
        submission_id: "flood".to_owned(),
        submitter: Some(v1::Submitter {
            name: "Sam".to_owned(),
            email: "sam@example.com".to_owned(),
            ..v1::Submitter::default()
        }),
        document: Some(v1::Document {
            title: "Sandbags".to_owned(),
            amount: "9.90".to_owned(),
            currency: "EUR".to_owned(),
            ..v1::Document::default()
        }),
        ..v1::Submission::default()
    };
    message.encode_to_vec()
}

/// A decision of somebody who is not asked: where a part of it is still readable, it names nobody
/// whose vote could count.
fn eves_decision() -> Value {
    json!({"reviewer": "eve@example.com", "comment": "Let me in"})
}

fn eves_decision_message() -> Vec<u8> {
    let decision = v1::Decision {
        reviewer: "eve@example.com".to_owned(),
        comment: "Let me in".to_owned(),
        ..v1::Decision::default()
    };
    decision.encode_to_vec()
}

/// So many malformed inputs, of every kind in turn, made of a message in JSON and in protobuf of
/// which nothing may be missing.
fn malformed(count: usize, json: &Value, message: &[u8]) -> Vec<Malformed> {
    const ENCODINGS: [&str; 3] = ["json/plain", "json/protobuf", "binary/protobuf"];
    const UNKNOWN: [&str; 8] = [
        "",
        "JSON/PLAIN",
        "json/plain; charset=utf-16",
        "binary/plain",
        "binary/null",
        "binary/encrypted",
        "binary/protobuf\0",
        "../../etc/passwd",
    ];
    let text = json.to_string();
    let one = |what: String, encoding: &str, data: Vec<u8>| (what, vec![payload(encoding, data)]);
    let named = |what: &str, detail: &dyn Debug| format!("{what} ({detail:?})");

    let cut = (0..text.len()).map(|length| {
        let encoding = ENCODINGS[length % 2];
        one(named("JSON cut", &length), encoding, text.as_bytes()[..length].into())
    });
    let spoilt = (0..text.len()).map(|position| {
        let mut data = text.clone().into_bytes();
        data[position] = 0xff;
        one(named("JSON with a byte that is no UTF-8", &position), ENCODINGS[position % 2], data)
    });
    let cut_message = (0..message.len())
        .map(|length| one(named("a message cut", &length), ENCODINGS[2], message[..length].into()));
    let swapped = iter::once(one("JSON as protobuf".into(), ENCODINGS[2], text.clone().into()))
        .chain(
            ENCODINGS[..2]
                .iter()
                .map(|encoding| one(named("protobuf as JSON", encoding), encoding, message.into())),
        );
    let unknown = UNKNOWN
        .iter()
        .map(|encoding| one(named("an unknown encoding", encoding), encoding, text.clone().into()));
    let endless = [ENCODINGS[0], "x", "\u{1}"].map(|name| {
        let encoding = name.repeat(1_000_000 / name.len());
        one(named("an encoding of a million bytes", &name), &encoding, text.clone().into())
    });
    let mut bare = payload("", text.clone());
    bare.metadata.clear();
    let mut other = payload(ENCODINGS[2], message);
    other.metadata.insert("messageType".to_owned(), b"google.protobuf.Empty".to_vec());
    let mut long = payload(ENCODINGS[2], message);
    long.metadata.insert("messageType".to_owned(), b"x".repeat(1_000_000));
    let labels = [
        ("a type of a million bytes".to_owned(), vec![long]),
        ("no encoding".to_owned(), vec![bare]),
        ("another type".to_owned(), vec![other]),
    ];
    let several = [0, 2, 3, 50].into_iter().map(|count| {
        let input = iter::repeat_n(payload(ENCODINGS[0], text.clone()), count).collect();
        (named("so many inputs", &count), input)
    });
    let wrong_types = wrong_values(json)
        .map(|(what, value)| one(what, ENCODINGS[0], value.to_string().into_bytes()));
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let large = [
        ("UTF-16", utf16),
        ("a byte order mark", format!("\u{feff}{text}").into_bytes()),
        ("a shell's idea of JSON", text.replace('"', "'").into_bytes()),
        ("compressed data", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".to_vec()),
        ("half a surrogate pair", br#"{"submissionId": "\ud800", "link": "\ud800"}"#.to_vec()),
        ("deep nesting", "[".repeat(50_000).into_bytes()),
        ("deep and closed", format!("{}{}", "[".repeat(50_000), "]".repeat(50_000)).into_bytes()),
        ("a number of 100,000 digits", "7".repeat(100_000).into_bytes()),
        ("a list of 100,000", format!("[{}0]", "0,".repeat(99_999)).into_bytes()),
        (
            "stages that are none",
            format!("{{\"approval\":{{\"stages\":[{}0]}}}}", "0,".repeat(120_000)).into(),
        ),
        ("half a megabyte of text", format!("\"{}\"", "x".repeat(500_000)).into_bytes()),
        ("half a megabyte of zeros", vec![0; 500_000]),
    ];
    let large = large.into_iter().flat_map(|(what, data): (&str, Vec<u8>)| {
        ENCODINGS.map(|encoding| one(named(what, &encoding), encoding, data.clone()))
    });
    let noise = (0..).map(|seed: usize| {
        let data: Vec<u8> = (0..seed % 97).map(|position| noise(seed, position)).collect();
        one(named("noise", &data), ENCODINGS[seed % 3], data)
    });

    let kinds = cut.chain(spoilt).chain(cut_message).chain(swapped).chain(unknown).chain(endless);
    let kinds = kinds.chain(labels).chain(several).chain(wrong_types).chain(large);
    let all: Vec<Malformed> = kinds.chain(noise).take(count).collect();
    // Neighbours are of one kind; a flood is a mixture. 7 and 1,000 have no factor in common.
    (0..count).map(|number| all[number * 7 % count].clone()).collect()
}

/// The same JSON with each of its values replaced by what cannot stand there.
fn wrong_values(json: &Value) -> impl Iterator<Item = (String, Value)> {
    let outer = json.as_object().into_iter().flatten().flat_map(|(name, value)| {
        let inner = value.as_object().into_iter().flatten();
        iter::once(format!("/{name}"))
            .chain(inner.map(move |(field, _)| format!("/{name}/{field}")))
    });
    let wrong = [json!(true), json!([]), json!({"a": 1}), json!(-1), json!([[null]])];
    outer.flat_map(move |pointer| {
        wrong.clone().map(|value| {
            let mut changed = json.clone();
            let what = format!("{pointer} is {value}");
            *changed.pointer_mut(&pointer).expect("a value") = value;
            (what, changed)
        })
    })
}

/// The same for each run, so that a failure can be looked into.
fn noise(seed: usize, position: usize) -> u8 {
    let mut hasher = DefaultHasher::new();
    (seed, position).hash(&mut hasher);
    hasher.finish() as u8
}
