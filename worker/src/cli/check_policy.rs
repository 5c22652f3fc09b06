//! `countersign-worker check-policy`: reports the errors in a rules file, explains what the rules do, or compares
//! that with what is expected.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{ArgGroup, Args};
use countersign_protos::{
    payload::{self, Encoding},
    submission,
    v1::{Problem, Submission},
};
use jiff::Timestamp;

use super::policy_file::{beside, load};
use crate::{
    approval::EmailAddress,
    policy::{AsOf, Expectations, Policy, policy_schema},
    validation,
};

/// What to check.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("submissions").args(["explain", "expect"])))]
pub struct CheckPolicy {
    /// The file, such as examples/policy.toml.
    #[arg(required_unless_present = "schema")]
    file: Option<PathBuf>,

    /// Say which rule matches this submission, why the earlier ones do not, who would be asked, and
    /// until when.
    #[arg(long, value_name = "SUBMISSION.json")]
    explain: Option<PathBuf>,

    /// Explain as JSON, for programs.
    #[arg(long, requires = "explain")]
    json: bool,

    /// Compare what the rules do with submissions with what this file expects, such as
    /// examples/expectations.toml. Names each difference, and exits with 1 if there is one.
    #[arg(long, value_name = "EXPECTATIONS.toml")]
    expect: Option<PathBuf>,

    /// As if it were submitted then: a date or a time in the rules' time zone, such as 2026-11-24 or
    /// 2026-11-24T09:00, or with an offset. [default: now]
    #[arg(long, requires = "submissions", value_name = "TIME")]
    at: Option<AsOf>,

    /// Print the JSON Schema of such files, for editors.
    #[arg(long, exclusive = true)]
    schema: bool,
}

/// Returns a one-line summary of valid rules and what may be wrong with them, or with a submission how
/// they decide it, or with expectations that they hold.
///
/// # Errors
/// Every error in the rules, every problem of the submission, or every difference from what is expected, as
/// text.
pub fn check_policy(what: &CheckPolicy, colours: bool) -> Result<String, String> {
    let Some(file) = what.file.as_deref().filter(|_| !what.schema) else {
        return Ok(format!("{:#}", policy_schema()));
    };
    let policy = load(file, colours)?;
    match (&what.explain, &what.expect) {
        (Some(path), _) => explain(what, path, &policy),
        (_, Some(path)) => Ok(lines(file, &policy) + "\n" + &expect(what, path, &policy, colours)?),
        _ => Ok(lines(file, &policy)),
    }
}

/// A summary of rules, and what may be wrong with them.
fn lines(file: &Path, policy: &Policy) -> String {
    let summary = format!("{}: {}", file.display(), policy.summary());
    [vec![summary], policy.warnings().lines()].concat().join("\n")
}

fn at(as_of: Option<AsOf>, policy: &Policy) -> Timestamp {
    as_of.map_or_else(Timestamp::now, |as_of| as_of.at(policy.calendar()))
}

fn explain(what: &CheckPolicy, path: &Path, policy: &Policy) -> Result<String, String> {
    let json = fs::read(path).map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
    let (submission, submitter) = read(json, policy).map_err(|problems| {
        let problem = |it: &Problem| format!("\n  {}: {}", it.path, it.message);
        let problems: String = problems.iter().map(problem).collect();
        format!("{} cannot be decided:{problems}", path.display())
    })?;
    let explanation = policy.explain(&submission, &submitter, at(what.at, policy));
    match what.json {
        true => serde_json::to_string_pretty(&explanation).map_err(|error| error.to_string()),
        false => Ok(explanation.to_string()),
    }
}

fn expect(
    what: &CheckPolicy,
    path: &Path,
    policy: &Policy,
    colours: bool,
) -> Result<String, String> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|why| format!("{name} cannot be read: {why}"))?;
    let beside = |file: &str| fs::read_to_string(beside(path, file));
    let rendered = |wrong: crate::policy::Diagnostics| wrong.render(colours);
    let expectations = Expectations::parse(&text, &name, beside).map_err(rendered)?;
    let held = expectations.check(|case| {
        let (submission, submitter) = read(case.submission.clone().into_bytes(), policy)?;
        Ok(policy.explain(&submission, &submitter, at(case.at.or(what.at), policy)))
    });
    let (cases, rules) = held.map_err(rendered)?;
    let held = match cases {
        1 => format!("{name}: the case holds"),
        cases => format!("{name}: all {cases} cases hold"),
    };
    let untried: Vec<String> = policy
        .rules()
        .filter(|rule| !rules.contains(&rule.name))
        .map(|rule| format!("{:?}", rule.name))
        .collect();
    match untried.is_empty() {
        true => Ok(held),
        false => Ok(format!("{held}\n{name}: no case is for {}", untried.join(", "))),
    }
}

/// Reads a submission as a worker with these rules does.
fn read(json: Vec<u8>, rules: &Policy) -> Result<(Submission, EmailAddress), Vec<Problem>> {
    let mut payload = payload::encode(&Submission::default(), Encoding::JsonPlain);
    payload.data = json;
    let (submission, problems) = submission::read(&[payload]);
    validation::check(submission, problems, rules)
}

#[cfg(test)]
mod tests;
