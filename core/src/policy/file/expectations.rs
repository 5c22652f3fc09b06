//! Submissions and who must be asked about them, in a file: `check-policy --expect`.

use std::{collections::BTreeSet, fmt, io, ops::Range};

use countersign_protos::v1::Problem;

use super::{
    diagnostics::{Diagnostic, Diagnostics},
    keys::EXPECTATIONS,
    read,
    toml::{Table, Text, Value},
};
use crate::{
    approval::{EmailAddress, Quorum, Verdict},
    policy::{AsOf, Explained, ExplainedLevel, ExplainedStage, Explanation},
};

/// What a company expects of its rules.
#[derive(Debug)]
pub struct Expectations {
    name: String,
    text: String,
    cases: Vec<Case>,
}

/// A submission, and what is expected of it. Whatever is not written is not compared.
#[derive(Debug)]
pub struct Case {
    name: Text,
    /// As JSON.
    pub submission: String,
    /// As if it were submitted then; `None` is now.
    pub at: Option<AsOf>,
    rule: Option<Text>,
    decision: Option<(Range<usize>, Verdict)>,
    problems: Option<(Range<usize>, BTreeSet<String>)>,
    stages: Option<(Range<usize>, Vec<Stage>)>,
}

#[derive(Debug)]
struct Stage {
    name: Option<Text>,
    reviewers: Asked,
    quorum: Option<(Range<usize>, Quorum)>,
    /// The reviewers of each level after the first.
    levels: Option<(Range<usize>, Vec<Asked>)>,
    fallback: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    span: Range<usize>,
    people: BTreeSet<EmailAddress>,
}

/// What rules make of a case: the problems of a submission that cannot be read, or an explanation.
type Came = Result<Explanation, Vec<Problem>>;

impl Expectations {
    /// Reads a file of cases. `read_file` reads the submissions that it names.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn parse(
        text: &str,
        name: &str,
        read_file: impl Fn(&str) -> io::Result<String>,
    ) -> Result<Self, Diagnostics> {
        let (cases, _) = read(text, name, &EXPECTATIONS, |root| cases(root, &read_file))?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), cases })
    }

    /// Compares each case with what rules make of it. Returns the number of cases, and the rules that apply
    /// to them.
    ///
    /// # Errors
    /// Every difference.
    pub fn check(
        &self,
        make: impl Fn(&Case) -> Result<Explanation, Vec<Problem>>,
    ) -> Result<(usize, BTreeSet<String>), Diagnostics> {
        let mut rules = BTreeSet::new();
        let mut differences = Vec::new();
        for case in &self.cases {
            let came = make(case);
            rules.extend(rule(&came).map(str::to_owned));
            differences.extend(case.compare(&came));
        }
        match differences.is_empty() {
            true => Ok((self.cases.len(), rules)),
            false => Err(Diagnostics::new(&self.name, &self.text, differences)),
        }
    }
}

fn cases(root: &Table<'_>, read_file: &dyn Fn(&str) -> io::Result<String>) -> Option<Vec<Case>> {
    root.only();
    let at = root.get("at").and_then(|value| value.moment());
    let place = root.required("cases")?.span;
    let cases = root.tables("cases");
    if cases.is_empty() {
        root.wrong_at(place, "must have at least one case");
    }
    // All of them are read, so that every error is reported.
    let cases: Vec<Option<Case>> = cases.iter().map(|table| case(table, at, read_file)).collect();
    cases.into_iter().collect()
}

fn case(
    table: &Table<'_>,
    at: Option<AsOf>,
    read_file: &dyn Fn(&str) -> io::Result<String>,
) -> Option<Case> {
    table.only();
    let name = table.required("name").and_then(|name| name.line());
    let submission = table.required("submission").and_then(|value| submission(&value, read_file));
    let decision =
        table.get("decision").and_then(|value| Some((value.span.clone(), verdict(&value)?)));
    let problems = table.get("problems").map(|value| {
        let paths = value.texts().into_iter().map(|text| text.text);
        (value.span.clone(), paths.collect())
    });
    let stages = table.get("stages").map(|value| {
        (value.span.clone(), table.tables("stages").iter().filter_map(stage).collect())
    });
    let rule = table.get("rule").and_then(|rule| rule.line());
    let kinds = ["decision", "problems", "stages"];
    match kinds.into_iter().filter(|key| table.get(key).is_some()).count() {
        0 if rule.is_none() => {
            let message = "expects nothing: add a `decision`, `stages`, `problems` or a `rule`";
            table.wrong(message);
        }
        0 | 1 => {}
        _ => table
            .wrong("expects two things: it has either a `decision`, or `stages`, or `problems`"),
    }
    let at = table.get("at").and_then(|value| value.moment()).or(at);
    Some(Case { name: name?, submission: submission?, at, rule, decision, problems, stages })
}

/// A submission as JSON.
fn submission(value: &Value<'_>, read_file: &dyn Fn(&str) -> io::Result<String>) -> Option<String> {
    if value.is_table() {
        return Some(value.json());
    }
    let path = value.text()?.text;
    let wrong = |error: io::Error| value.wrong(format!("{path}: cannot be read: {error}"));
    read_file(&path).map_err(wrong).ok()
}

fn verdict(value: &Value<'_>) -> Option<Verdict> {
    let verdict = Verdict::from_name(&value.text()?.text);
    if verdict.is_none() {
        value.wrong("must be \"approve\" or \"reject\"");
    }
    verdict
}

fn stage(table: &Table<'_>) -> Option<Stage> {
    table.only();
    let people = |value: Value<'_>| Asked {
        span: value.span.clone(),
        people: value.texts().iter().filter_map(|text| value.parse(text)).collect(),
    };
    let quorum = table.get("quorum").and_then(|value| {
        let quorum = value.number().and_then(|text| value.parse(&text))?;
        Some((value.span, quorum))
    });
    let level = |level: &Table<'_>| {
        level.only();
        level.required("reviewers").map(people)
    };
    let levels = table
        .get("escalate")
        .map(|value| (value.span, table.tables("escalate").iter().filter_map(level).collect()));
    Some(Stage {
        name: table.get("name").and_then(|name| name.line()),
        reviewers: table.required("reviewers").map(people)?,
        quorum,
        levels,
        fallback: table.get("fallback").map(|value| Asked {
            span: value.span.clone(),
            people: value.one_or_more().iter().filter_map(Value::parsed).collect(),
        }),
    })
}

/// The rule that applies.
fn rule(came: &Came) -> Option<&str> {
    let applies = came.as_ref().ok()?.applies.as_ref()?;
    Some(&applies.rule)
}

impl Case {
    /// Every difference between what is expected and what came.
    fn compare(&self, came: &Came) -> Vec<Diagnostic> {
        let (mut found, result) = (Vec::new(), Got::of(came));
        let mut differs = |span: &Range<usize>, expected: String, got: String| {
            let message = format!("{:?}: expected {expected}, got {got}", self.name.text);
            found.push(Diagnostic::new(span.clone(), message));
        };
        if let Some(expected) = &self.rule
            && rule(came) != Some(expected.text.trim())
        {
            let got = rule(came).map_or_else(|| result.to_string(), |rule| format!("{rule:?}"));
            differs(&expected.span, format!("the rule {:?}", expected.text), got);
        }
        if let Some((span, verdict)) = &self.decision
            && !matches!(result, Got::Decision(got) if got == *verdict)
        {
            differs(span, Got::Decision(*verdict).to_string(), result.to_string());
        }
        if let Some((span, paths)) = &self.problems
            && !matches!(&result, Got::Problems(got) if paths_of(got) == *paths)
        {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            differs(span, format!("problems at {}", paths.join(", ")), result.to_string());
        }
        match (&self.stages, &result) {
            (Some((_, stages)), Got::Stages(got)) if stages.len() == got.len() => {
                for (stage, got) in stages.iter().zip(*got) {
                    stage.compare(got, &mut differs);
                }
            }
            (Some((span, stages)), result) => {
                differs(span, count(stages.len(), "stage"), result.to_string());
            }
            (None, _) => {}
        }
        found
    }
}

fn paths_of(problems: &[Problem]) -> BTreeSet<String> {
    problems.iter().map(|problem| problem.path.clone()).collect()
}

impl Stage {
    fn compare(
        &self,
        got: &ExplainedStage,
        differs: &mut impl FnMut(&Range<usize>, String, String),
    ) {
        let name = &got.name;
        if let Some(expected) = self.name.as_ref().filter(|expected| expected.text.trim() != name) {
            differs(&expected.span, format!("the stage {:?}", expected.text), format!("{name:?}"));
        }
        if let Some((span, quorum)) = self.quorum.as_ref().filter(|(_, it)| *it != got.quorum) {
            differs(span, format!("the quorum {quorum} in {name:?}"), got.quorum.to_string());
        }
        let mut levels = got.levels.iter();
        let first = levels.next().map(people_of).unwrap_or_default();
        self.reviewers.compare(&first, &format!("in {name:?}"), differs);
        if let Some((span, expected)) = &self.levels {
            let later: Vec<BTreeSet<EmailAddress>> =
                levels.map(people_of).filter(|people| !people.is_empty()).collect();
            if later.len() != expected.len() {
                let all: Vec<String> = later.iter().map(names).collect();
                let got = if all.is_empty() { "none".to_owned() } else { all.join("; then ") };
                differs(
                    span,
                    format!("{} of escalation in {name:?}", count(expected.len(), "level")),
                    got,
                );
            } else {
                for (i, (expected, got)) in expected.iter().zip(&later).enumerate() {
                    let place = format!("in level {} of escalation in {name:?}", i + 1);
                    expected.compare(got, &place, differs);
                }
            }
        }
        if let Some(expected) = &self.fallback {
            let got: BTreeSet<EmailAddress> = got.fallback.iter().cloned().collect();
            expected.compare(&got, &format!("as the fallback of {name:?}"), differs);
        }
    }
}

impl Asked {
    fn compare(
        &self,
        got: &BTreeSet<EmailAddress>,
        place: &str,
        differs: &mut impl FnMut(&Range<usize>, String, String),
    ) {
        if self.people != *got {
            differs(&self.span, format!("{} {place}", names(&self.people)), names(got));
        }
    }
}

fn people_of(level: &ExplainedLevel) -> BTreeSet<EmailAddress> {
    level.reviewers.iter().map(|invitee| invitee.reviewer.clone()).collect()
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn names(people: &BTreeSet<EmailAddress>) -> String {
    let names: Vec<&str> = people.iter().map(EmailAddress::as_str).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// What came, as far as it is compared. It is displayed as what was got.
enum Got<'a> {
    Decision(Verdict),
    Stages(&'a [ExplainedStage]),
    Problems(&'a [Problem]),
    /// The submission says itself who decides.
    Own,
}

impl<'a> Got<'a> {
    fn of(came: &'a Came) -> Self {
        match came {
            Err(problems) => Got::Problems(problems),
            Ok(Explanation { applies: None, .. }) => Got::Own,
            Ok(Explanation { applies: Some(applies), .. }) => match &applies.explained {
                Explained::Decision(verdict) => Got::Decision(*verdict),
                Explained::Stages(stages) => Got::Stages(stages),
                Explained::Problems(problems) => Got::Problems(problems),
            },
        }
    }
}

impl fmt::Display for Got<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Got::Decision(verdict) => write!(f, "{} at once", verdict.terms().past),
            Got::Stages(stages) => {
                let first = |stage: &ExplainedStage| {
                    stage
                        .levels
                        .first()
                        .map(people_of)
                        .map(|people| names(&people))
                        .unwrap_or_default()
                };
                let stages: Vec<String> = stages.iter().map(first).collect();
                f.write_str(&stages.join("; then "))
            }
            Got::Problems(problems) => {
                let problems: Vec<String> = problems
                    .iter()
                    .map(|problem| format!("{} {}", problem.path, problem.message))
                    .collect();
                f.write_str(&problems.join("; "))
            }
            Got::Own => f.write_str("a submission that says itself who decides"),
        }
    }
}

#[cfg(test)]
mod tests;
