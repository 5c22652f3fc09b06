use serde_json::json;

use super::*;
use crate::{
    payload::{Encoding, Payload, decode, encode},
    submission,
    v1::{Document, Submission},
};

#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    submission: Value,
    digest: String,
}

#[test]
fn every_language_has_these_digests() {
    let vectors = include_str!("../../vectors/digest.json");
    let vectors: Vec<Vector> = serde_json::from_str(vectors).expect("vectors");
    for Vector { name, submission, digest: expected } in vectors {
        assert_eq!(digest(&submission), expected, "{name}");
    }
}

/// What the programs of all languages agree on, and what no submission may have.
#[derive(serde::Deserialize)]
struct Actions {
    actions: Vec<ActionVector>,
    refused: Vec<Refused>,
}

#[derive(serde::Deserialize)]
struct ActionVector {
    name: String,
    sent: String,
    canonical: String,
    digest: String,
}

#[derive(serde::Deserialize)]
struct Refused {
    name: String,
    arguments: String,
    path: String,
}

fn actions() -> Actions {
    serde_json::from_str(include_str!("../../vectors/action.json")).expect("vectors")
}

fn submitted(json: String, encoding: Encoding) -> (Option<Action>, Vec<crate::v1::Problem>) {
    let payload = Payload { data: json.into(), ..encode(&Submission::default(), encoding) };
    let (submission, problems) = submission::read(&[payload]);
    (submission.document.and_then(|document| document.action), problems)
}

#[test]
fn every_language_has_these_digests_of_actions() {
    let wrapped = |action: &str| format!(r#"{{"document": {{"action": {action}}}}}"#);
    for ActionVector { name, sent, canonical, digest: expected } in actions().actions {
        let (action, problems) = submitted(wrapped(&sent), Encoding::JsonPlain);
        assert_eq!(problems, [], "{name}");
        let action = action.unwrap_or_default();
        assert_eq!(action_digest(&action), expected, "{name}");
        assert_eq!(HEXLOWER.encode(&Sha256::digest(&canonical)), expected, "{name}");
        let arguments = action.arguments.as_ref().map(|json| json.as_str()).unwrap_or_default();
        assert!(canonical.contains(arguments), "{name}: {arguments}");

        // The same in every encoding, and in every program that passes it on.
        let document = Some(Document { action: Some(action), ..Document::default() });
        let submission = Submission { document, ..Submission::default() };
        for encoding in [Encoding::JsonPlain, Encoding::JsonProtobuf, Encoding::BinaryProtobuf] {
            let (read, problems) = submission::read(&[encode(&submission, encoding)]);
            assert_eq!((&read, &problems[..]), (&submission, &[][..]), "{name} {encoding:?}");
            let decoded = decode::<Submission>(&[encode(&submission, encoding)]);
            assert_eq!(decoded.as_ref(), Ok(&submission), "{name} {encoding:?}");
        }
    }
}

#[test]
fn what_programs_would_read_in_two_ways_is_refused_with_its_place() {
    for Refused { name, arguments, path } in actions().refused {
        let json =
            format!(r#"{{"document": {{"action": {{"name": "x", "arguments": {arguments}}}}}}}"#);
        let (_, problems) = submitted(json, Encoding::JsonPlain);
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, [path], "{name}: {problems:?}");
    }
}

#[test]
fn a_number_in_it_counts_to_its_last_digit() {
    let of = |number: &str| {
        let text = format!(r#"{{"document": {{"action": {{"arguments": {number}}}}}}}"#);
        digest(&serde_json::from_str(&text).expect("JSON"))
    };
    // A reader that is not exact takes each for its neighbour.
    for (number, neighbour) in
        [("31.245270191439438", "31.24527019143944"), ("121.48791951161945", "121.48791951161946")]
    {
        assert_ne!(of(number), of(neighbour), "{number}");
    }
}

#[test]
fn what_is_decided_counts_and_routing_does_not() {
    let submission = json!({"submissionId": "PO-1", "document": {"title": "Laptops"}});
    let with = |field: &str, value: Value| {
        let mut other = submission.clone();
        other[field] = value;
        digest(&other)
    };
    let own = digest(&submission);
    assert_eq!(with("approval", json!({"stages": []})), own);
    assert_eq!(with("submittedAt", json!("2026-11-24T10:00:00Z")), own);
    for field in FIELDS {
        assert_ne!(with(field, json!("another")), own, "{field}");
    }
    assert_ne!(with("document", json!({"title": "Laptops", "newer": 1})), own);
}

#[test]
fn a_version_that_comes_back_has_a_digest_of_its_own() {
    let submission = json!({"submissionId": "PO-1", "document": {"title": "Laptops"}});
    let versions = [1, 2, 3, 6].map(|version| digest_of_version(&submission, version));
    assert_eq!(versions[0], digest(&submission));
    let different: std::collections::BTreeSet<_> = versions.iter().collect();
    assert_eq!(different.len(), versions.len());
    // As an outcome has it.
    let outcome = json!({"submissionId": "PO-1", "document": {"title": "Laptops"}, "version": 2});
    assert_eq!(digest(&outcome), versions[1]);
}

#[test]
fn a_revisions_proof_covers_who_decides_it() {
    let submission = Submission { submission_id: "PO-1".into(), ..Submission::default() };
    let own = revision_digest(&submission);
    let approval = Some(crate::v1::Policy::default());
    assert_ne!(revision_digest(&Submission { approval, ..submission.clone() }), own);
    assert_ne!(revision_digest(&Submission { submission_type: "x".into(), ..submission }), own);
}

#[test]
fn a_digest_of_another_form_is_a_newer_versions() {
    assert!(is_newer("v2:0") && is_newer("v10:0"));
    assert!(!is_newer(&digest(&json!({}))) && !is_newer(""));
}

#[test]
fn an_execution_key_is_for_one_document_of_one_approval() {
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let own = execution_key(chain, "v1:0");
    assert_eq!(own.len(), 64);
    assert_ne!(execution_key(chain, "v1:1"), own);
    assert_ne!(execution_key(Chain { workflow_id: "other", ..chain }, "v1:0"), own);
    assert_ne!(execution_key(Chain { first_run_id: "other", ..chain }, "v1:0"), own);
}
