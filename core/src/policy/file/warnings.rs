//! What is allowed in rules, and may still be a mistake. Only rules without errors are looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter::successors,
    ops::Range,
};

use countersign_protos::v1::Field;

use super::{
    diagnostics::Diagnostic,
    toml::{Node, Table, Text},
};
use crate::{
    approval::{EmailAddress, Verdict},
    policy::{
        Calendar, MonthDay, Policy, Rule,
        routing::people,
        rules::{Ask, Decision, Managers, When, as_read, is_covered},
    },
};

/// Reports everything that may be a mistake.
pub(super) fn find(root: &Table<'_>, policy: &Policy) {
    let rules = rules(root, policy);
    for (table, rule) in &rules {
        silent_approvals(table);
        silent_answers(table, rule);
        approvers_below(table, rule, policy);
    }
    unknown_names(root, &rules);
    no_default_manager(root, &rules, policy);
    unbounded_approvals(&rules);
    no_calendar(root, &rules);
    holidays(root, policy.calendar());
}

/// Every rule and the default, beside what was read of it.
fn rules<'a, 'p>(root: &Table<'a>, policy: &'p Policy) -> Vec<(Table<'a>, &'p Rule)> {
    let default = root.table("default").map(|table| (table, &policy.default));
    root.tables("rules").into_iter().zip(&policy.rules).chain(default).collect()
}

/// The stages of a rule, and their levels after the first.
fn levels<'a>(rule: &Table<'a>) -> Vec<Table<'a>> {
    let with_levels = |stage: Table<'a>| {
        let later = stage.tables("escalate");
        [stage].into_iter().chain(later)
    };
    rule.tables("stages").into_iter().flat_map(with_levels).collect()
}

fn warn<T>(node: &Node<'_, T>, span: Range<usize>, message: impl Into<String>, help: &str) {
    node.report(Diagnostic::warning(span, message).help(help));
}

fn silent_approvals(rule: &Table<'_>) {
    for stage in rule.tables("stages") {
        let on_deadline = stage.get("on_deadline").and_then(|value| value.text());
        if let Some(approve) = on_deadline.filter(|text| text.text == "approve") {
            let message = "silence approves here, which is only as safe as the namespace: whoever can \
                           write to it can bring the deadline about";
            warn(&stage, approve.span, message, "see docs/SECURITY.md");
        }
    }
}

/// Answers that are required to approve, where silence approves too.
fn silent_answers(table: &Table<'_>, rule: &Rule) {
    let is_required = |field: &&Field| field.is_required_for(Verdict::Approve);
    let Some(field) = rule.fields.iter().find(is_required) else { return };
    for stage in table.tables("stages") {
        let on_deadline = stage.get("on_deadline").and_then(|value| value.text());
        if let Some(approve) = on_deadline.filter(|text| text.text == "approve") {
            let message = format!(
                "silence approves here without {:?}, which is required to approve",
                field.name
            );
            let help = "let silence reject, or do without `required_for` there";
            warn(&stage, approve.span, message, help);
        }
    }
}

/// The names in one condition, each with the position of its rule.
fn names(rules: &[(Table<'_>, &Rule)], condition: &str) -> Vec<(usize, Text)> {
    let mut names = Vec::new();
    // Only the default has no conditions.
    let conditional = rules.iter().filter(|(_, rule)| !rule.when.is_empty());
    for (i, (table, _)) in conditional.enumerate() {
        let texts = table.table("when").map(|when| when.texts(condition));
        names.extend(texts.unwrap_or_default().into_iter().map(|text| (i, text)));
    }
    names
}

/// Types, categories and departments that nothing else in the file knows. Departments have a register; of
/// other names, those that are spelt almost like another.
fn unknown_names(root: &Table<'_>, rules: &[(Table<'_>, &Rule)]) {
    let departments = root.table("managers").and_then(|managers| managers.table("departments"));
    let departments = departments.map(|departments| departments.entries()).unwrap_or_default();
    for condition in ["type", "category", "department"] {
        let register = if condition == "department" { &departments[..] } else { &[] };
        let register: Vec<&Text> = register.iter().map(|(name, _)| name).collect();
        let named = names(rules, condition);
        for (rule, name) in &named {
            let read = as_read(&name.text);
            let others = || named.iter().filter(|(other, _)| other != rule);
            let mut known = others().map(|(_, other)| other).chain(register.iter().copied());
            if known.any(|known| as_read(&known.text) == read) {
                continue;
            }
            // Of two that are spelt alike, the later one is the mistake.
            let before = others().filter(|(other, _)| other < rule).map(|(_, other)| other);
            let mut before = before.chain(register.iter().copied());
            let help = match before.find(|known| is_near(&read, &as_read(&known.text))) {
                Some(similar) => format!("did you mean {:?}?", similar.text),
                None if register.is_empty() => continue,
                None => "[managers.departments] has others".to_owned(),
            };
            let message = format!("nothing else knows the {condition} {:?}", name.text);
            warn(root, name.span.clone(), message, &help);
        }
    }
}

/// Whether one of two names is probably the other one, misspelt. Numbers are not misspelt.
fn is_near(name: &str, other: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let (name, other) = (letters(name), letters(other));
    let length = name.chars().count().min(other.chars().count());
    let distance = strsim::damerau_levenshtein(&name, &other);
    distance > 0 && distance <= length / 4
}

/// `manager` where somebody may have none.
fn no_default_manager(root: &Table<'_>, rules: &[(Table<'_>, &Rule)], policy: &Policy) {
    let managers = &policy.managers;
    let (None, Some(table)) = (&managers.default, root.table("managers")) else { return };
    let all_have_one = |When { submitters, departments, .. }: &When| {
        let employed = |submitter| managers.manager(submitter).is_some();
        let listed = |department: &String| managers.departments.contains_key(&as_read(department));
        (!submitters.is_empty() && submitters.iter().all(employed))
            || (!departments.is_empty() && departments.iter().all(listed))
    };
    let open = rules.iter().filter(|(_, rule)| !all_have_one(&rule.when));
    let mut asked = open.flat_map(|(rule, _)| {
        let fallbacks = rule.tables("stages").into_iter().flat_map(|stage| stage.texts("fallback"));
        levels(rule).into_iter().flat_map(|level| level.texts("reviewers")).chain(fallbacks)
    });
    let is_manager =
        |text: &Text| [Ask::MANAGER, Ask::MANAGERS_MANAGER].contains(&text.text.trim());
    if let Some(manager) = asked.find(is_manager) {
        let message = "submitters who are neither in [managers.employees] nor in \
                       [managers.departments] have no manager, and cannot submit here";
        warn(&table, manager.span, message, "name a `default` in [managers]");
    }
}

/// Rules that approve whatever the amount, behind others that have bounds for some currencies. Rules about actions
/// are left out: what those cost is among their arguments, if anywhere.
fn unbounded_approvals(rules: &[(Table<'_>, &Rule)]) {
    let approves = |rule: &Rule| rule.decision == Decision::Verdict(Verdict::Approve);
    for (i, (table, rule)) in rules.iter().enumerate() {
        let when = &rule.when;
        let is_bounded = !when.amounts.is_empty() || !when.currencies.is_empty();
        let is_about_actions = !when.actions.is_empty() || !when.arguments.is_empty();
        if !approves(rule) || is_bounded || is_about_actions {
            continue;
        }
        let earlier: Vec<&Rule> = rules[..i].iter().map(|(_, rule)| *rule).collect();
        let bounding =
            earlier.iter().filter(|rule| !approves(rule) && may_both_match(&rule.when, when));
        let bounded: BTreeSet<&str> =
            bounding.flat_map(|rule| rule.when.amounts.keys()).map(String::as_str).collect();
        let conditions: Vec<&When> = earlier.iter().map(|rule| &rule.when).collect();
        // No currency has this code, so no rule names it.
        let other_currency = When { currencies: vec![String::new()], ..when.clone() };
        if bounded.is_empty() || is_covered(&other_currency, &conditions) {
            continue;
        }
        let currencies: Vec<&str> = bounded.into_iter().collect();
        let message = format!(
            "{:?} approves every amount in currencies other than {}, which rules before it bound",
            rule.name,
            currencies.join(" and "),
        );
        let help = "have a rule for other currencies, or ask somebody here";
        warn(table, table.place("decision"), message, help);
    }
}

/// Whether a submission may match both, whatever its amount.
fn may_both_match(one: &When, other: &When) -> bool {
    let share = |one: &[String], other: &[String]| {
        let both = |name: &String| other.iter().any(|other| as_read(other) == as_read(name));
        one.is_empty() || other.is_empty() || one.iter().any(both)
    };
    share(&one.types, &other.types)
        && share(&one.categories, &other.categories)
        && share(&one.departments, &other.departments)
        && share(&one.actions, &other.actions)
        && share(&one.risks, &other.risks)
        && (one.submitters.is_empty()
            || other.submitters.is_empty()
            || one.submitters.iter().any(|submitter| other.submitters.contains(submitter)))
}

/// Approvers whose manager is the submitter, or somebody below the submitter.
fn approvers_below(table: &Table<'_>, rule: &Rule, policy: &Policy) {
    let managers = &policy.managers;
    for (place, stage) in table.tables("stages").iter().zip(rule.stages()) {
        let asks: Vec<Ask> = stage.asks().cloned().collect();
        for submitter in &rule.when.submitters {
            let above = managers.above(managers.manager(submitter), submitter);
            let asked = people(&asks, &above, std::slice::from_ref(submitter));
            if let Some(person) = asked.iter().find(|who| is_below(who, submitter, managers)) {
                let message =
                    format!("{person} is below {submitter}, whose submissions this rule is for");
                warn(place, place.place("reviewers"), message, "ask somebody who is not");
            }
        }
    }
}

fn is_below(person: &EmailAddress, other: &EmailAddress, managers: &Managers) -> bool {
    let above = successors(managers.manager(person), |next| managers.manager(next));
    above.take(managers.employees.len()).any(|manager| manager == other)
}

/// Times and absences in UTC, for there is no calendar.
fn no_calendar(root: &Table<'_>, rules: &[(Table<'_>, &Rule)]) {
    if root.get("calendar").is_some() {
        return;
    }
    let help = "add [calendar] with your `time_zone`";
    if let Some(absence) = root.tables("absences").first() {
        let message = "without a [calendar], absences begin and end at midnight UTC";
        warn(absence, absence.place("from"), message, help);
    }
    let mut levels = rules.iter().flat_map(|(rule, _)| levels(rule));
    let timed = |level: Table<'_>| Some(level.get("deadline").or(level.get("reminders"))?.span);
    if let Some(time) = levels.find_map(timed) {
        warn(root, time, "without a [calendar], people read times in UTC", help);
    }
}

/// How many holidays were read, year by year: whoever keeps the list sees which years it lacks.
fn holidays(root: &Table<'_>, calendar: &Calendar) {
    let Some(table) = root.table("calendar") else { return };
    if let Some(place) = table.get("holidays_file").or(table.get("holidays")) {
        let message = format!("holidays: {}", years(calendar));
        place.report(Diagnostic::note(place.span.clone(), message));
    }
}

/// The number of holidays in each year, such as `13 in 2026, 12 in 2027-2029, 9 in other years`.
fn years(calendar: &Calendar) -> String {
    let yearly = calendar.yearly_holidays.len();
    let mut numbers: BTreeMap<i16, usize> = BTreeMap::new();
    for date in &calendar.holidays {
        let is_new = !calendar.yearly_holidays.contains(&MonthDay::of(*date));
        *numbers.entry(date.year()).or_insert(yearly) += usize::from(is_new);
    }
    let mut spans: Vec<(i16, i16, usize)> = Vec::new();
    for (year, number) in numbers {
        match spans.last_mut() {
            Some((_, last, same)) if *same == number && *last + 1 == year => *last = year,
            _ => spans.push((year, year, number)),
        }
    }
    let others = if spans.is_empty() { "every year" } else { "other years" };
    let years = spans.into_iter().map(|(first, last, number)| match first == last {
        true => format!("{number} in {first}"),
        false => format!("{number} in {first}-{last}"),
    });
    let yearly = if yearly == 0 { "none".to_owned() } else { yearly.to_string() };
    years.chain([format!("{yearly} in {others}")]).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
