//! Reads a rules file and reports everything that is wrong in it, each thing with its place.

mod arguments;
mod calendar;
mod diagnostics;
mod expectations;
mod fields;
mod ical;
mod keys;
mod meant;
mod people;
mod schema;
mod stages;
mod toml;
mod warnings;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use ::toml::de::DeTable;
use iso_currency::Currency;
use rust_decimal::Decimal;

use self::{
    calendar::ReadFile,
    keys::{Key, POLICY},
    people::People,
    stages::Stages,
    toml::{Reports, Table, Text, Value},
};
pub use self::{
    diagnostics::{Diagnostic, Diagnostics, Severity},
    expectations::{Case, Expectations},
    schema::{expectations_schema, policy_schema},
};
use super::{
    FollowUp, FollowUps, Policy, Wait,
    bounds::Bounds,
    rules::{Decision, Rule, When, is_covered},
};
use crate::{
    approval::{EmailAddress, Operators, Verdict},
    money::{self, Money},
};

impl Policy {
    /// Reads rules. `read_file` reads the calendar files that they name.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse<Bytes: Into<Vec<u8>>>(
        text: &str,
        name: &str,
        read_file: impl Fn(&str) -> io::Result<Bytes>,
    ) -> Result<Policy, Diagnostics> {
        let read_file = |file: &str| read_file(file).map(Into::into);
        let (policy, warnings) = read(text, name, &POLICY, |root| {
            let policy = policy(root, &read_file)?;
            if root.reported() == 0 {
                warnings::find(root, &policy);
            }
            Some(policy)
        })?;
        Ok(Policy { warnings, ..policy })
    }
}

/// Reads a file with these keys. Returns what is read, and what may be wrong.
fn read<T>(
    text: &str,
    name: &str,
    key: &'static Key,
    read: impl FnOnce(&Table<'_>) -> Option<T>,
) -> Result<(T, Diagnostics), Diagnostics> {
    let reports = Reports::default();
    let (readable, mut diagnostics) = syntax(text);
    let (root, _) = DeTable::parse_recoverable(&readable);
    let read = read(&Table::new(&root, key, &reports));
    let (errors, warnings): (Vec<_>, Vec<_>) =
        reports.take().into_iter().partition(Diagnostic::is_error);
    let lines: BTreeSet<usize> = diagnostics.iter().map(|d| line(text, d.span.start)).collect();
    // In a file that is read only in part, what seems missing may be in the other part.
    let genuine = |found: &Diagnostic| {
        lines.is_empty() || !(found.missing || lines.contains(&line(text, found.span.start)))
    };
    diagnostics.extend(errors.into_iter().filter(genuine));
    match read {
        Some(read) if diagnostics.is_empty() => Ok((read, Diagnostics::new(name, text, warnings))),
        _ => Err(Diagnostics::new(name, text, diagnostics)),
    }
}

/// The syntax errors of a text, and the text without what keeps the rest from being read.
fn syntax(text: &str) -> (String, Vec<Diagnostic>) {
    let mut readable = text.to_owned();
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    loop {
        let errors = DeTable::parse_recoverable(&readable).1;
        let diagnostic = |error: &::toml::de::Error| {
            Diagnostic::new(error.span().unwrap_or(0..0), error.message())
        };
        let new: Vec<Diagnostic> =
            errors.iter().map(diagnostic).filter(|new| !diagnostics.contains(new)).collect();
        // The parser gives up at a key without a value, and recovers from everything else.
        let stop = new.iter().find(|new| new.message.starts_with("key with no value")).cloned();
        diagnostics.extend(new);
        let Some(stop) = stop else { return (readable, diagnostics) };
        let is_end = |byte: &u8| *byte == b'\n';
        let (before, after) = readable.as_bytes().split_at(stop.span.start.min(readable.len()));
        let start = before.iter().rposition(is_end).map_or(0, |end| end + 1);
        let end = before.len() + after.iter().position(is_end).unwrap_or(after.len());
        readable.replace_range(start..end, &" ".repeat(end - start));
    }
}

fn line(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

fn policy(root: &Table<'_>, read_file: &ReadFile<'_>) -> Option<Policy> {
    root.only();
    let may_name_reviewers = may_name_reviewers(root);
    let operators = operators(root);
    let calendar = calendar::read(root, read_file);
    let people = People::read(root);
    let stages = Stages { people: &people, has_calendar: root.get("calendar").is_some() };
    let rules = rules(root, &stages);
    let default = root.required("default").and_then(|value| value.table());
    let default = default.and_then(|table| {
        table.only();
        rule(&table, table.name("default"), When::default(), &stages)
    });
    let default = default?;
    let mut domains = people.domains();
    domains.extend(rules.iter().chain([&default]).flat_map(Rule::people).map(domain_of));
    let People { managers, absences, .. } = people;
    Some(Policy {
        may_name_reviewers,
        operators,
        domains,
        calendar,
        managers,
        absences,
        rules,
        default,
        warnings: Diagnostics::default(),
    })
}

fn domain_of(person: &EmailAddress) -> String {
    person.domain().to_owned()
}

fn operators(root: &Table<'_>) -> Operators {
    let mut operators = Operators::BY_RULES;
    let Some(table) = root.table("operators") else { return operators };
    table.only();
    let allowed = |key| table.get(key).and_then(|value| value.boolean());
    operators.may_decide = allowed("may_decide").unwrap_or(operators.may_decide);
    operators.may_withdraw = allowed("may_withdraw").unwrap_or(operators.may_withdraw);
    operators.may_revise = allowed("may_revise").unwrap_or(operators.may_revise);
    operators.may_reassign_to = Some(domains(&table, "may_reassign_to"));
    operators
}

/// Domains, in ASCII.
fn domains(table: &Table<'_>, key: &str) -> Vec<String> {
    let domains = table.get(key).map(|domains| domains.one_or_more());
    let domains = domains.unwrap_or_default().into_iter().filter_map(|domain| domain.text());
    let domains = domains.filter_map(|domain| {
        let anybody = format!("anybody@{}", domain.text.trim()).parse::<EmailAddress>();
        let wrong = |_| table.wrong_at(domain.span, "must be a domain, such as example.com");
        anybody.map_err(wrong).ok()
    });
    domains.map(|anybody| domain_of(&anybody)).collect()
}

fn may_name_reviewers(root: &Table<'_>) -> bool {
    let Some(table) = root.table("submissions") else { return false };
    table.only();
    table.get("may_name_reviewers").and_then(|value| value.boolean()).unwrap_or(false)
}

fn rules(root: &Table<'_>, stages: &Stages<'_>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut names: Vec<Text> = Vec::new();
    let mut conditions: Vec<(Text, When)> = Vec::new();
    for (i, table) in root.tables("rules").iter().enumerate() {
        table.only();
        let unnamed = || Text { span: table.span.clone(), text: format!("rule {}", i + 1) };
        let name = table.required("name").and_then(|name| name.line()).unwrap_or_else(unnamed);
        if let Some(same) = names.iter().find(|known| known.text == name.text) {
            let message = format!("another rule is named {:?}", name.text);
            let diagnostic = Diagnostic::new(name.span.clone(), message);
            table.report(diagnostic.also(same.span.clone(), "this one"));
        }
        names.push(name.clone());
        let conditions_of = table.table("when").map(|table| when(&table));
        if conditions_of.as_ref().is_none_or(|when| when.as_ref().is_some_and(When::is_empty)) {
            let message = format!("rule {:?} has no conditions", name.text);
            let help = "put what applies to every submission into [default]";
            table.report(Diagnostic::new(name.span.clone(), message).help(help).missing());
        }
        let when = conditions_of.flatten();
        rules.extend(rule(table, name.text.clone(), when.clone().unwrap_or_default(), stages));
        // Conditions that are wrong must not make other rules seem unreachable.
        if let Some(when) = when.filter(|when| !when.is_empty()) {
            report_unreachable(table, &name, &when, &conditions);
            conditions.push((name, when));
        }
    }
    rules
}

/// A rule's conditions; `None` if something was reported.
fn when(table: &Table<'_>) -> Option<When> {
    table.only();
    let before = table.reported();
    let names =
        |key| table.texts(key).into_iter().map(|text| text.text.trim().to_owned()).collect();
    let submitters = table.texts("submitter");
    let submitters = submitters.iter().filter_map(|text| table.parse(text));
    let currencies = table.texts("currency");
    let currencies = currencies.iter().filter_map(|code| currency(table, code));
    let when = When {
        types: names("type"),
        categories: names("category"),
        departments: names("department"),
        submitters: submitters.collect(),
        currencies: currencies.map(|currency| currency.code().to_owned()).collect(),
        amounts: amounts(table),
        actions: names("action"),
        risks: names("risk"),
        arguments: arguments::read(table),
    };
    if let (Some(both), false) = (table.get("currency"), when.amounts.is_empty()) {
        both.wrong("remove `currency`: `amount` already names the currencies");
    }
    (table.reported() == before).then_some(when)
}

fn amounts(table: &Table<'_>) -> BTreeMap<String, Bounds<Decimal>> {
    let mut amounts = BTreeMap::new();
    let Some(ranges) = table.get("amount").and_then(|value| range(&value, None)) else {
        return amounts;
    };
    if ranges.is_empty() {
        table
            .wrong_at(ranges.span.clone(), "must have a currency, such as `EUR = { up_to = 100 }`");
    }
    for (code, value) in ranges.entries() {
        let Some(currency) = currency(table, &code) else { continue };
        let range = range(&value, Some(&code.text));
        let Some(bounds) = range.and_then(|table| amount_bounds(&table, currency)) else {
            continue;
        };
        if amounts.insert(currency.code().to_owned(), bounds).is_some() {
            table.wrong_at(code.span, format!("{} already has a range", currency.code()));
        }
    }
    amounts
}

/// The table of ranges, or that of one currency's range; what else people write is shown as one.
fn range<'a>(value: &Value<'a>, currency: Option<&str>) -> Option<Table<'a>> {
    if value.is_table() {
        return value.table();
    }
    let message = match currency {
        None => "must be a range for each currency",
        Some(_) => "must be a range of amounts",
    };
    let help = format!("such as {}", meant::amount(&value.written(), currency));
    value.report(Diagnostic::new(value.span.clone(), message).help(help));
    None
}

fn currency(table: &Table<'_>, code: &Text) -> Option<Currency> {
    let currency = money::currency(&code.text);
    currency.map_err(|error| table.wrong_at(code.span.clone(), error.to_string())).ok()
}

fn amount_bounds(table: &Table<'_>, currency: Currency) -> Option<Bounds<Decimal>> {
    let amount = |value: &Value<'_>| {
        match Money::parse(&value.number()?.text, currency) {
            Ok(money) if money.is_negative() => value.wrong("must not be negative"),
            Ok(money) => return Some(money.amount()),
            Err(error) => value.wrong(error.to_string()),
        }
        None
    };
    let bounds = bounds(table, amount)?;
    if bounds.is_empty(currency) {
        table.wrong("no amount is in this range");
        return None;
    }
    Some(bounds)
}

/// A range with at least one bound.
fn bounds<N>(table: &Table<'_>, read: impl Fn(&Value<'_>) -> Option<N>) -> Option<Bounds<N>> {
    table.only();
    let bound = |key: &str| read(&table.get(key)?);
    let one = |inside: &str, outside: &str| {
        if let (Some(_), Some(second)) = (table.get(inside), table.get(outside)) {
            second.wrong(format!("use either `{inside}` or `{outside}`, not both"));
        }
        let bounds = (bound(inside), bound(outside));
        bounds.0.map(|low| (low, true)).or(bounds.1.map(|low| (low, false)))
    };
    let bounds = Bounds { low: one("from", "above"), high: one("up_to", "below") };
    if table.is_empty() {
        table.wrong("must have a bound: `from`, `above`, `below` or `up_to`");
        return None;
    }
    Some(bounds)
}

/// A rule or the default; `None` if something was reported.
fn rule(table: &Table<'_>, name: String, when: When, stages: &Stages<'_>) -> Option<Rule> {
    let before = table.reported();
    let different_people = wants(table, "different_people");
    let tell_submitter = wants(table, "tell_submitter");
    let decision = match (table.get("decision"), table.get("stages")) {
        (Some(decision), None) => match decision.text()?.text.as_str() {
            "approve" => Some(Decision::Verdict(Verdict::Approve)),
            "reject" => Some(Decision::Verdict(Verdict::Reject)),
            _ => {
                decision.wrong("must be \"approve\" or \"reject\"");
                None
            }
        },
        (None, Some(_)) => {
            let stages = stages.read(table, &when.submitters, different_people);
            Some(Decision::Stages(stages))
        }
        (Some(decision), Some(_)) => {
            decision.wrong("a rule has either a `decision` or `stages`, not both");
            None
        }
        (None, None) => {
            let message = format!("{name:?} has neither a `decision` nor `stages`");
            let help = "add `decision = \"approve\"` or \"reject\", or [[rules.stages]]";
            table.report(Diagnostic::new(table.span.clone(), message).help(help).missing());
            None
        }
    };
    let follow_ups = FollowUps {
        approved: follow_up(table, "on_approved"),
        rejected: follow_up(table, "on_rejected"),
    };
    let confirm = wants(table, "confirm");
    let comment_required = comment_required(table);
    let delegate_to = delegate_to(table);
    let fields = fields::read(table);
    let changes_within = changes_within(table, stages);
    let submitter_link = wants(table, "submitter_link");
    let rule = Rule {
        name,
        when,
        decision: decision?,
        different_people,
        tell_submitter,
        follow_ups,
        confirm,
        comment_required,
        delegate_to,
        fields,
        changes_within,
        submitter_link,
    };
    (table.reported() == before).then_some(rule)
}

/// The verdicts that need a comment, each once.
fn comment_required(table: &Table<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let Some(value) = table.get("comment_required") else { return verdicts };
    for text in value.one_or_more().iter().filter_map(Value::text) {
        match Verdict::from_name(&text.text) {
            Some(verdict) if verdicts.contains(&verdict) => {
                table.wrong_at(text.span, format!("{:?} is here twice", text.text));
            }
            Some(verdict @ (Verdict::Approve | Verdict::Reject)) => verdicts.push(verdict),
            // Nobody can request changes without saying which.
            Some(Verdict::RequestChanges) | None => {
                table.wrong_at(text.span, "must be \"approve\" or \"reject\"");
            }
        }
    }
    if !verdicts.is_empty() {
        nobody_is_asked(table, &value, "comment_required");
    }
    verdicts
}

/// To whom reviewers may delegate.
fn delegate_to(table: &Table<'_>) -> Vec<String> {
    let domains = domains(table, "delegate_to");
    if let (Some(value), false) = (table.get("delegate_to"), domains.is_empty()) {
        nobody_is_asked(table, &value, "delegate_to");
    }
    domains
}

fn changes_within(table: &Table<'_>, stages: &Stages<'_>) -> Wait {
    let Some(value) = table.get("changes_within") else { return Wait::default() };
    nobody_is_asked(table, &value, "changes_within");
    stages.wait(table, value).unwrap_or_default()
}

/// Something that a rule may want of its stages.
fn wants(table: &Table<'_>, key: &str) -> bool {
    let Some(value) = table.get(key) else { return false };
    let wants = value.boolean().unwrap_or(false);
    if wants {
        nobody_is_asked(table, &value, key);
    }
    wants
}

/// Reports what a rule wants of those whom it does not ask.
fn nobody_is_asked(table: &Table<'_>, value: &Value<'_>, key: &str) {
    if table.get("decision").is_some() {
        value.wrong(format!("remove `{key}`: nobody is asked where a rule has a `decision`"));
    }
}

fn follow_up(table: &Table<'_>, key: &str) -> Option<FollowUp> {
    let table = table.table(key)?;
    table.only();
    let workflow = table.required("workflow").and_then(|value| value.temporal_name());
    let task_queue = table.required("task_queue").and_then(|value| value.temporal_name());
    let namespace = table.get("namespace").and_then(|value| value.temporal_name());
    Some(FollowUp { workflow: workflow?, task_queue: task_queue?, namespace })
}

fn report_unreachable(table: &Table<'_>, name: &Text, when: &When, earlier: &[(Text, When)]) {
    let conditions: Vec<&When> = earlier.iter().map(|(_, when)| when).collect();
    if !is_covered(when, &conditions) {
        return;
    }
    let message = format!("rule {:?} can never be reached", name.text);
    let diagnostic = Diagnostic::new(name.span.clone(), message);
    let alone = earlier.iter().find(|(_, other)| is_covered(when, &[other]));
    table.report(match alone {
        Some((by, _)) => {
            diagnostic.also(by.span.clone(), "this one matches everything that it would")
        }
        None => diagnostic.help("the rules before it together match everything that it would"),
    });
}

#[cfg(test)]
pub(super) mod tests;
