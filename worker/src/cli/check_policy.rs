//! `countersign-worker check-policy`: reports the errors in a rules file, or explains what the rules do.

use std::{cell::RefCell, fs, path::Path};

use countersign_protos::{
    payload::{self, Encoding},
    submission,
    v1::Submission,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{policy::Policy, validation};

/// How much of a hash tells rules apart.
const HASH_BYTES: usize = 6;

/// Returns a one-line summary of valid rules and what may be wrong with them, or with a submission how
/// they decide it.
///
/// # Errors
/// Every error in the rules, or every problem of the submission, as text.
pub fn check_policy(
    file: &Path,
    explain: Option<&Path>,
    at: Option<Timestamp>,
    colours: bool,
) -> Result<String, String> {
    let policy = load(file, colours)?;
    let Some(path) = explain else {
        let warnings = policy.warnings().into_iter().map(|warning| format!("\nwarning: {warning}"));
        return Ok(format!(
            "{}: {}{}",
            file.display(),
            policy.summary(),
            warnings.collect::<String>()
        ));
    };
    let (submission, submitter) = read(path, &policy)?;
    Ok(policy.explain(&submission, &submitter, at.unwrap_or_else(Timestamp::now)))
}

/// Reads a rules file. Paths in it are relative to it.
///
/// # Errors
/// Every error in it, as text.
pub fn load(path: &Path, colours: bool) -> Result<Policy, String> {
    load_hashed(path, colours).map(|(policy, _)| policy)
}

/// As [`load`], with a hash of the file and of those that it names: the same for the same rules.
///
/// # Errors
/// As it has.
pub(super) fn load_hashed(path: &Path, colours: bool) -> Result<(Policy, String), String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let hash = RefCell::new(Sha256::new());
    let with_hash = |text: String| {
        hash.borrow_mut().update(text.len().to_be_bytes());
        hash.borrow_mut().update(&text);
        text
    };
    let text = with_hash(text);
    let folder = path.parent().unwrap_or(Path::new(""));
    let read_file = |file: &str| fs::read_to_string(folder.join(file)).map(with_hash);
    let policy = Policy::parse(&text, &path.display().to_string(), read_file)
        .map_err(|diagnostics| diagnostics.render(colours))?;
    let hash = hash.borrow().clone().finalize();
    Ok((policy, hash.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()))
}

/// The same of other texts.
pub(super) fn hash_of<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let hash = Sha256::new();
    let hash = texts
        .fold(hash, |hash, text| hash.chain_update(text.len().to_be_bytes()).chain_update(text));
    hash.finalize().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a submission as a worker with these rules does.
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
        format!("{} cannot be decided:{}", path.display(), problems.concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(file: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file)
    }

    #[test]
    fn rules_have_the_same_hash_only_with_the_same_calendars() {
        let folder = tempfile::tempdir().expect("a folder");
        let [rules, holidays] =
            ["policy.toml", "holidays.ics"].map(|name| folder.path().join(name));
        let copy = |name: &str, to: &Path| {
            fs::copy(example(name), to).map(drop).expect("a copy");
        };
        let hash = || load_hashed(&rules, false).expect("good rules").1;
        copy("policy.toml", &rules);
        copy("holidays.ics", &holidays);
        let before = hash();
        assert_eq!((before.len(), &hash()), (12, &before));
        let calendar = fs::read_to_string(&holidays).expect("a calendar");
        fs::write(&holidays, calendar.replace("2026", "2027")).expect("written");
        assert_ne!(hash(), before);
        copy("holidays.ics", &holidays);
        assert_eq!(hash(), before);
    }

    #[test]
    fn docs_policy_md_shows_what_explain_prints() {
        let docs = fs::read_to_string(example("../docs/POLICY.md")).expect("the documentation");
        let at: Timestamp = "2026-11-24T09:00:00+01:00".parse().expect("a time");
        for name in ["taxi", "conference", "monitors", "cleaning", "generator"] {
            let submission = example(&format!("submissions/{name}.json"));
            let explained =
                check_policy(&example("policy.toml"), Some(&submission), Some(at), false);
            let explained = explained.unwrap_or_else(|wrong| panic!("{wrong}"));
            let shown = format!("```text\n{}\n```", explained.trim_end());
            assert!(docs.contains(&shown), "docs/POLICY.md does not show, for {name}:\n{shown}");
        }
    }

    #[test]
    fn a_submission_that_cannot_be_decided_is_not_explained() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("broken.json");
        fs::write(&file, r#"{"submissionId": "S-1", "submitter": {"name": "Sue"}}"#)
            .expect("written");
        let wrong =
            check_policy(&example("policy.toml"), Some(&file), None, false).expect_err("wrong");
        assert!(wrong.contains("\n  $.submitter.email: is required"), "{wrong}");
        assert!(wrong.contains("\n  $.document: is required"), "{wrong}");
        let missing = check_policy(&folder.path().join("none.toml"), None, None, false);
        assert!(missing.expect_err("wrong").contains("none.toml cannot be read"));
    }

    #[test]
    fn a_stage_that_silence_approves_is_warned_about() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rules.toml");
        let check = |on_deadline: &str| {
            let stage = format!(
                "{{ name = \"Board\", reviewers = [\"b@example.com\"], on_deadline = \"{on_deadline}\" }}"
            );
            fs::write(&file, format!("[default]\nstages = [{stage}]\n")).expect("written");
            check_policy(&file, None, None, false).expect("rules")
        };
        let warned = check("approve");
        assert_eq!(warned.lines().count(), 2, "{warned}");
        assert!(warned.contains("\nwarning: rule ") && warned.contains("\"Board\""), "{warned}");
        assert_eq!(check("reject").lines().count(), 1);
    }

    #[test]
    fn explain_refuses_a_submission_that_names_reviewers_as_the_worker_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let own = write(
            "own.json",
            r#"{"submissionId": "S-1", "submitter": {"name": "Sue", "email": "sue@example.com"},
                "document": {"title": "T", "amount": 1000000, "currency": "USD"},
                "approval": {"stages": [{"reviewers": ["a@example.com"]}]}}"#,
        );
        let board = "[default]\nstages = [{ reviewers = [\"board@example.com\"] }]\n";
        let rules = write("rules.toml", board);
        let wrong = check_policy(&rules, Some(&own), None, false).expect_err("wrong");
        assert!(wrong.contains("\n  $.approval: must be left out: the routing rules"), "{wrong}");
        let may = format!("[submissions]\nmay_name_reviewers = true\n{board}");
        let rules = write("may.toml", &may);
        let explained = check_policy(&rules, Some(&own), None, false).expect("explained");
        assert!(explained.contains("It says itself who decides (approval)"), "{explained}");
        let summary = check_policy(&rules, None, None, false).expect("rules");
        assert!(summary.ends_with(", submissions may name reviewers"), "{summary}");
    }
}
