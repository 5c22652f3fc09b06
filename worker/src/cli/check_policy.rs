//! `countersign-worker check-policy`: reports the errors in a rules file, or explains what the rules do.

use std::{fs, path::Path};

use countersign_protos::{
    payload::{self, Encoding},
    submission,
    v1::Submission,
};
use jiff::Timestamp;

use crate::{policy::Policy, validation};

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
    let text = fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let read_file = |file: &str| fs::read_to_string(folder.join(file));
    Policy::parse(&text, &path.display().to_string(), read_file)
        .map_err(|diagnostics| diagnostics.render(colours))
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
    fn docs_policy_md_shows_what_explain_prints() {
        let docs = fs::read_to_string(example("../docs/POLICY.md")).expect("the documentation");
        let at: Timestamp = "2026-11-24T09:00:00+01:00".parse().expect("a time");
        let names = ["taxi", "conference", "monitors", "cleaning", "generator", "refund"];
        let shown = names.map(|name| format!("```text\n{}\n```", explained(name, at).trim_end()));
        let missing: Vec<&str> =
            shown.iter().map(String::as_str).filter(|shown| !docs.contains(shown)).collect();
        assert!(missing.is_empty(), "docs/POLICY.md does not show:\n{}", missing.join("\n"));
    }

    fn explained(name: &str, at: Timestamp) -> String {
        let submission = example(&format!("submissions/{name}.json"));
        let explained = check_policy(&example("policy.toml"), Some(&submission), Some(at), false);
        explained.unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    #[test]
    fn the_examples_have_a_rule_each_with_an_amount_or_without() {
        let at: Timestamp = "2026-11-24T09:00:00+01:00".parse().expect("a time");
        for (name, about, rule, asked) in [
            ("conference", "684.00 EUR", "Expenses", "sales.deputy@example.com"),
            ("leave", "Leave from 7 to 18 December, by", "Leave", "sales.deputy@example.com"),
            ("deployment", ", deploy, by", "Deployments to production", "it.security@example.com"),
            ("access", ", access.grant, by", "Access", "office.lead@example.com"),
            ("refund", ", payments.refund, by", "Refunds", "finance.two@example.com"),
        ] {
            let explained = explained(name, at);
            assert!(
                explained.lines().next().is_some_and(|line| line.contains(about)),
                "{explained}"
            );
            assert!(explained.contains(&format!(". {rule:?} matches.\n")), "{explained}");
            assert!(explained.contains(&format!("\n  {asked}")), "{explained}");
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
