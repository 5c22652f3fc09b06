//! Digests: names for exactly what is decided, the same in every language.

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    seal::Chain,
    v1::{Action, Submission},
    version::FIRST_VERSION,
};

const VERSION: &str = "v1";

/// The first bytes of what is hashed: nothing else can have the same digest.
const SUBMISSION: &str = "countersign submission v1\n";
const EXECUTION: &str = "countersign execution v1\n";
const REVISION: &str = "countersign revision v1\n";

/// What a digest covers: what reviewers are shown, and neither routing nor times. An outcome has its version
/// beside the rest.
const FIELDS: [&str; 6] =
    ["submissionId", "submissionType", "submitter", "document", "fields", VERSION_OF_SUBMISSION];
const VERSION_OF_SUBMISSION: &str = "version";

/// The digest of a submission, as validated and as JSON: `v1:` and the SHA-256, in hexadecimal, of a line
/// that names the purpose and of the canonical JSON (RFC 8785) of its decided fields.
///
/// Unset fields have to be left out. Fields inside them that this version does not know count.
pub fn digest(submission: &Value) -> String {
    let field = |name: &str| Some((name.to_owned(), submission.get(name)?.clone()));
    let decided: Map<String, Value> = FIELDS.into_iter().filter_map(field).collect();
    format!("{VERSION}:{}", hash(SUBMISSION, &decided))
}

/// The [digest] of a version of a submission: where one comes back to what an earlier one was, it is another one all the
/// same.
pub fn digest_of_version(submission: &Value, version: u32) -> String {
    let mut submission = submission.clone();
    if let Some(fields) = submission.as_object_mut().filter(|_| version > FIRST_VERSION) {
        fields.insert(VERSION_OF_SUBMISSION.to_owned(), version.into());
    }
    digest(&submission)
}

/// What a [revision's proof](crate::Statement::Revise) covers: all of the submission as it is sent, routing and times
/// included. It is validated later.
pub fn revision_digest(submission: &Submission) -> String {
    hash(REVISION, submission)
}

/// The digest of an action: the SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of its `name` and,
/// unless they are null or absent, its `arguments`.
pub fn action_digest(action: &Action) -> String {
    let mut called = Map::from_iter([("name".to_owned(), Value::from(action.name.as_str()))]);
    if let Some(arguments) = action.arguments.as_ref().filter(|arguments| !arguments.is_null()) {
        called.insert("arguments".to_owned(), arguments.value());
    }
    hash("", &called)
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
    // JSON has a canonical form.
    let json = serde_json_canonicalizer::to_vec(value).unwrap_or_default();
    HEXLOWER.encode(&Sha256::new().chain_update(purpose).chain_update(json).finalize())
}

#[cfg(test)]
mod tests;
