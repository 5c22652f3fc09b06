//! Who is who in a rules file: groups, managers, absences.

use std::collections::{BTreeMap, BTreeSet};

use countersign_protos::text::did_you_mean;
use jiff::civil::Date;

use super::{
    diagnostics::Diagnostic,
    toml::{Table, Text, Value},
};
use crate::{
    approval::EmailAddress,
    policy::{
        Absence,
        rules::{Ask, Employee, Managers, as_read},
    },
};

/// What rules can refer to.
pub(super) struct People {
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) managers: Managers,
    pub(super) absences: Vec<Absence>,
    pub(super) has_managers: bool,
}

pub(super) struct Group {
    pub(super) members: Vec<EmailAddress>,
    /// Whether nothing was reported about the members.
    pub(super) complete: bool,
}

impl People {
    pub(super) fn read(root: &Table<'_>) -> Self {
        Self {
            groups: groups(root),
            managers: root
                .table("managers")
                .map(|table| managers(root, &table))
                .unwrap_or_default(),
            absences: absences(root),
            has_managers: root.get("managers").is_some(),
        }
    }
}

impl People {
    /// The domains of all their addresses.
    pub(super) fn domains(&self) -> BTreeSet<String> {
        let members = self.groups.values().flat_map(|group| &group.members);
        let Managers { employees, departments, default } = &self.managers;
        let employed = employees.keys().filter_map(|employee| match employee {
            Employee::Address(address) => Some(address),
            Employee::Id(_) => None,
        });
        let managers = employees.values().chain(departments.values()).chain(default);
        let absent = self
            .absences
            .iter()
            .flat_map(|absence| [&absence.reviewer].into_iter().chain(&absence.deputy));
        let everybody = members.chain(employed).chain(managers).chain(absent);
        everybody.map(|person| person.domain().to_owned()).collect()
    }
}

/// A person who is named again, with the earlier spelling where it differs.
pub(super) fn spelt(person: &EmailAddress, before: &EmailAddress) -> String {
    match person.as_str() == before.as_str() {
        true => person.to_string(),
        false => format!("{person}, who is {before},"),
    }
}

fn groups(root: &Table<'_>) -> BTreeMap<String, Group> {
    let mut groups = BTreeMap::new();
    let entries = root.table("groups").map(|t| t.entries()).unwrap_or_default();
    for (name, value) in &entries {
        if name.text == Ask::MANAGER || name.text == Ask::MANAGERS_MANAGER {
            let message = format!("{:?} is reserved for the submitter's", name.text);
            let help = "choose another name for this group";
            value.report(Diagnostic::new(name.span.clone(), message).help(help));
        } else if name.text.contains('@') {
            value
                .wrong_at(name.span.clone(), "a group's name must not look like an e-mail address");
        } else {
            groups.insert(name.text.clone(), group(root, value));
        }
    }
    groups
}

fn group(root: &Table<'_>, value: &Value<'_>) -> Group {
    let before = root.reported();
    let mut members: Vec<EmailAddress> = Vec::new();
    for member in value.texts() {
        let help = |group: &str| {
            format!(
                "list the members of {group} here, or ask both groups where they are asked: a group holds \
                 people, and no group"
            )
        };
        let Some(address) = person(root, root, &member, help) else { continue };
        if let Some(same) = members.iter().find(|same| **same == address) {
            value.wrong_at(
                member.span,
                format!("{} is already in this group", spelt(&address, same)),
            );
        } else {
            members.push(address);
        }
    }
    Group { members, complete: root.reported() == before }
}

/// The person that a text names. What names a group instead is reported with this help.
fn person(
    root: &Table<'_>,
    table: &Table<'_>,
    text: &Text,
    help: impl Fn(&str) -> String,
) -> Option<EmailAddress> {
    if text.text.contains('@') {
        return table.parse(text);
    }
    let groups = root.get("groups").filter(Value::is_table).and_then(|groups| groups.table());
    let groups = groups.map(|groups| groups.entries()).unwrap_or_default();
    let names = groups.iter().map(|(name, _)| name.text.as_str());
    let Some(group) = did_you_mean(text.text.trim(), names) else { return table.parse(text) };
    let message = format!("must be an e-mail address, not the group {group:?}");
    table.report(Diagnostic::new(text.span.clone(), message).help(help(group)));
    None
}

/// A person who has a place alone, as a manager or a deputy.
fn one_person(root: &Table<'_>, table: &Table<'_>, text: &Text) -> Option<EmailAddress> {
    person(root, table, text, |group| format!("name one person of {group}: one decides here"))
}

fn managers(root: &Table<'_>, table: &Table<'_>) -> Managers {
    table.only();
    let default = table.text("default").and_then(|text| one_person(root, table, &text));
    let named = |text: &Text| one_person(root, table, text);
    let employees = entries(table, "employees", named, Employee::named, |employee, manager| {
        *employee == Employee::Address(manager.clone())
    });
    let departments = entries(table, "departments", named, as_read, |_, _| false);
    let managers = Managers { employees, departments, default };
    report_cycles(table, &managers);
    managers
}

/// Who is whose manager; `is_own` says who would be their own.
fn entries<K: Ord>(
    table: &Table<'_>,
    key: &str,
    manager: impl Fn(&Text) -> Option<EmailAddress>,
    read: fn(&str) -> K,
    is_own: fn(&K, &EmailAddress) -> bool,
) -> BTreeMap<K, EmailAddress> {
    let mut managers = BTreeMap::new();
    for (name, value) in table.table(key).map(|table| table.entries()).unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        let Some(manager) = manager(&text) else { continue };
        let who = read(&name.text);
        if is_own(&who, &manager) {
            let message = format!("{manager} would approve their own submissions");
            let help = "name somebody else as their manager";
            value.report(Diagnostic::new(text.span, message).help(help));
        } else if managers.insert(who, manager).is_some() {
            value.wrong_at(name.span, format!("{:?} already has a manager", name.text));
        }
    }
    managers
}

fn report_cycles(table: &Table<'_>, managers: &Managers) {
    for (name, value) in table.table("employees").map(|t| t.entries()).unwrap_or_default() {
        let first = Employee::named(&name.text);
        let mut seen: Vec<&EmailAddress> = Vec::new();
        let mut next = managers.employees.get(&first);
        while let Some(manager) = next.filter(|manager| !seen.contains(manager)) {
            if first == Employee::Address(manager.clone()) {
                let cycle: Vec<&str> = seen.iter().map(|who| who.as_str()).collect();
                let cycle = cycle.join(", ");
                let message = format!("{} would be above themselves, through {cycle}", name.text);
                value.wrong_at(name.span, message);
                break;
            }
            seen.push(manager);
            next = managers.manager(manager);
        }
    }
}

fn absences(root: &Table<'_>) -> Vec<Absence> {
    let mut absences: Vec<Absence> = Vec::new();
    for table in root.tables("absences") {
        table.only();
        let Some(absence) = absence(root, &table) else { continue };
        let overlaps = |other: &&Absence| other.from <= absence.to && absence.from <= other.to;
        if absences.iter().filter(overlaps).any(|other| other.reviewer == absence.reviewer) {
            let message = format!("{} is already away on some of these days", absence.reviewer);
            table.wrong_at(table.place("reviewer"), message);
            continue;
        }
        absences.push(absence);
        if let Some((from, to)) = cycle(&absences) {
            let message = format!("deputies form a cycle from {from} to {to}");
            let help = "one of them has to be there, or to have another deputy";
            table.report(Diagnostic::new(table.place("deputy"), message).help(help));
        }
    }
    absences
}

fn absence(root: &Table<'_>, table: &Table<'_>) -> Option<Absence> {
    let before = table.reported();
    let address = |value: Value<'_>| one_person(root, table, &value.text()?);
    let reviewer = table.required("reviewer").and_then(address);
    let deputy = table.get("deputy").and_then(address);
    let from = table.required("from").and_then(|value| value.date());
    let to = table.required("to").and_then(|value| value.date());
    if table.reported() > before {
        return None;
    }
    let absence = Absence { reviewer: reviewer?, deputy, from: from?, to: to? };
    if absence.to < absence.from {
        let message = "the last day is before the first one";
        let diagnostic = Diagnostic::new(table.place("to"), message);
        table.report(diagnostic.also(table.place("from"), "the first day"));
        return None;
    }
    if let Some(deputy) = absence.deputy.as_ref().filter(|deputy| **deputy == absence.reviewer) {
        let message = format!("{deputy} cannot be their own deputy");
        table.wrong_at(table.place("deputy"), message);
        return None;
    }
    Some(absence)
}

/// The days on which the last absence closes a cycle of deputies who are all away.
fn cycle(absences: &[Absence]) -> Option<(Date, Date)> {
    let last = absences.last()?;
    let mut open = vec![(last.deputy.as_ref()?, last.from, last.to, absences.len())];
    while let Some((who, from, to, steps)) = open.pop() {
        if *who == last.reviewer {
            return Some((from, to));
        }
        let next = absences
            .iter()
            .filter(|next| next.reviewer == *who && next.from <= to && from <= next.to);
        if steps > 0 {
            open.extend(next.filter_map(|next| {
                Some((next.deputy.as_ref()?, from.max(next.from), to.min(next.to), steps - 1))
            }));
        }
    }
    None
}
