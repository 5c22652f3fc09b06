//! `countersign-worker check-policy`: what is wrong with a rules file, or what it would do.

use std::{fs, path::Path};

use countersign_protos::{
    payload::{self, Encoding},
    submission,
    v1::Submission,
};
use jiff::Timestamp;

use crate::{policy::Policy, validation};

/// One line for rules that make sense; for a submission, what they would do with it.
///
/// # Errors
/// Every mistake in the rules, or every problem of the submission, for people to read.
pub fn check_policy(
    file: &Path,
    explain: Option<&Path>,
    at: Option<Timestamp>,
    colours: bool,
) -> Result<String, String> {
    let policy = Policy::load_with(file, colours)?;
    let Some(path) = explain else {
        return Ok(format!("{}: {}", file.display(), policy.summary()));
    };
    let (submission, submitter) = read(path, &policy)?;
    Ok(policy.explain(&submission, &submitter, at.unwrap_or_else(Timestamp::now)))
}

/// Reads a submission as the worker does that has these rules.
fn read(
    path: &Path,
    rules: &Policy,
) -> Result<(Submission, crate::approval::EmailAddress), String> {
    let json = fs::read(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
    let mut payload = payload::encode(&Submission::default(), Encoding::JsonPlain);
    payload.data = json;
    let (submission, problems) = submission::read(&[payload]);
    validation::check(submission, problems, rules).map_err(|problems| {
        let problems: Vec<String> = problems
            .iter()
            .map(|problem| format!("\n  {}: {}", problem.path, problem.message))
            .collect();
        format!("{} is no submission that can be decided:{}", path.display(), problems.concat())
    })
}
