//! Digests: names for exactly what is decided, the same in every language.

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::seal::Chain;

const VERSION: &str = "v1";

/// The first bytes of what is hashed: nothing else can have the same digest.
const SUBMISSION: &str = "countersign submission v1\n";
const EXECUTION: &str = "countersign execution v1\n";

/// What a digest covers: what reviewers are shown, and neither routing nor times.
const FIELDS: [&str; 5] = ["submissionId", "submissionType", "submitter", "document", "fields"];

/// The digest of a submission, as validated and as JSON: `v1:` and the SHA-256, in hexadecimal, of a line
/// that names the purpose and of the canonical JSON (RFC 8785) of its decided fields.
///
/// Unset fields have to be left out. Fields inside them that this version does not know count.
pub fn digest(submission: &Value) -> String {
    let field = |name: &str| Some((name.to_owned(), submission.get(name)?.clone()));
    let decided: Map<String, Value> = FIELDS.into_iter().filter_map(field).collect();
    format!("{VERSION}:{}", hash(SUBMISSION, &decided))
}

/// Whether a digest has another form than [`digest`] gives it: then a newer version has made it.
pub fn is_newer(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(version, _)| version != VERSION)
}

/// A name for doing what an approval allows: the same for each delivery of its outcome, after a reset and a
/// rotation of keys too, so that it is done once.
pub fn execution_key(chain: Chain<'_>, digest: &str) -> String {
    hash(EXECUTION, &[chain.workflow_id, chain.first_run_id, digest])
}

fn hash(purpose: &str, value: &impl Serialize) -> String {
    // Strings and maps of them have a canonical form.
    let json = serde_json_canonicalizer::to_vec(value).unwrap_or_default();
    HEXLOWER.encode(&Sha256::new().chain_update(purpose).chain_update(json).finalize())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        submission: Value,
        digest: String,
    }

    #[test]
    fn every_language_has_these_digests() {
        let vectors = include_str!("../vectors/digest.json");
        let vectors: Vec<Vector> = serde_json::from_str(vectors).expect("vectors");
        for Vector { name, submission, digest: expected } in vectors {
            assert_eq!(digest(&submission), expected, "{name}");
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
}
