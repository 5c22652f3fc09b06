//! Reads a rules file, and finds everything that is wrong with it.

mod diagnostics;
mod ical;
mod toml;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
};

use ::toml::de::DeTable;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use self::toml::{Holiday, Reports, Table, Text, Value};
use super::{
    Absence, Calendar, Continuation, Continuations, DayOfWeek, Hours, MAX_REMINDERS, Policy,
    Reminder, TimePlan, Wait, most_bytes,
    routing::{deciding, in_reach},
    rules::{
        Ask, Bounds, Decision, Employee, Escalation, Managers, Rule, Stage, When, as_read,
        is_covered,
    },
};
use crate::{
    approval::{EmailAddress, OnDeadline, Quorum},
    limits::{MAX_REVIEWER_BYTES, MAX_SEATS},
    money::{self, Money},
};
use diagnostics::meant;
pub use diagnostics::{Mistake, Mistakes};

impl Policy {
    /// Reads rules. `read_file` reads the calendar files that they name.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(
        text: &str,
        name: &str,
        read_file: impl Fn(&str) -> io::Result<String>,
    ) -> Result<Policy, Mistakes> {
        let reports = Reports::default();
        let (readable, mut mistakes) = syntax(text);
        let (root, _) = DeTable::parse_recoverable(&readable);
        let policy = File::new(Table::new(&root, &reports)).policy(&read_file);
        let lines: BTreeSet<usize> = mistakes.iter().map(|m| line(text, m.span.start)).collect();
        // A file that is read in part only seems to lack what is in the other part.
        let genuine = |mistake: &Mistake| {
            lines.is_empty()
                || !(mistake.missing || lines.contains(&line(text, mistake.span.start)))
        };
        mistakes.extend(reports.into_inner().into_iter().filter(genuine));
        match policy {
            Some(policy) if mistakes.is_empty() => Ok(policy),
            _ => Err(Mistakes::new(name, text, mistakes)),
        }
    }
}

/// What is no TOML in a text, and the text without what keeps the rest from being read.
fn syntax(text: &str) -> (String, Vec<Mistake>) {
    let mut readable = text.to_owned();
    let mut mistakes: Vec<Mistake> = Vec::new();
    loop {
        let errors = DeTable::parse_recoverable(&readable).1;
        let mistake =
            |error: &::toml::de::Error| Mistake::new(error.span().unwrap_or(0..0), error.message());
        let new: Vec<Mistake> =
            errors.iter().map(mistake).filter(|new| !mistakes.contains(new)).collect();
        // The parser gives up at a key without a value, and goes on after everything else.
        let stop = new.iter().find(|new| new.message.starts_with("key with no value")).cloned();
        mistakes.extend(new);
        let Some(stop) = stop else { return (readable, mistakes) };
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

/// A rules file, and what rules can refer to in it.
struct File<'a> {
    root: Table<'a>,
    groups: BTreeMap<String, Group>,
    managers: Managers,
    absences: Vec<Absence>,
    has_managers: bool,
    has_calendar: bool,
}

/// People who are asked together; not complete where a mistake was reported.
struct Group {
    members: Vec<EmailAddress>,
    complete: bool,
}

/// Who is asked, and where it says so; not complete where a mistake was reported.
struct Asked {
    span: Range<usize>,
    people: Vec<Ask>,
    complete: bool,
}

impl<'a> File<'a> {
    fn new(root: Table<'a>) -> Self {
        let has = |key| root.get(key).is_some();
        let (has_managers, has_calendar) = (has("managers"), has("calendar"));
        let (groups, managers) = (BTreeMap::new(), Managers::default());
        Self { root, groups, managers, absences: Vec::new(), has_managers, has_calendar }
    }

    fn policy(mut self, read_file: &dyn Fn(&str) -> io::Result<String>) -> Option<Policy> {
        self.root.only(&[
            "submissions",
            "calendar",
            "groups",
            "managers",
            "absences",
            "rules",
            "default",
        ]);
        let may_name_reviewers = may_name_reviewers(&self.root);
        let calendar = match self.root.table("calendar") {
            Some(table) => calendar(&table, read_file),
            None => Calendar::default(),
        };
        self.groups = self.groups();
        self.managers = self.managers();
        self.absences = absences(&self.root);
        let rules = self.rules();
        let default = self.root.required("default").and_then(|value| value.table());
        let default = default.and_then(|table| {
            table.only(&["name", "decision", "stages", "on_approved", "on_rejected"]);
            let name = name(&table, "default");
            self.outcome(&table, name, When::default())
        });
        let Self { managers, absences, .. } = self;
        Some(Policy { may_name_reviewers, calendar, managers, absences, rules, default: default? })
    }

    fn groups(&self) -> BTreeMap<String, Group> {
        let mut groups = BTreeMap::new();
        for (name, value) in self.root.table("groups").map(|t| t.entries()).unwrap_or_default() {
            if name.text == Ask::MANAGER || name.text == Ask::MANAGERS_MANAGER {
                let message = format!("{:?} always means the submitter's", name.text);
                value.report(Mistake::new(name.span, message).help("name this group otherwise"));
                continue;
            }
            if name.text.contains('@') {
                let message = "a group's name must not look like an e-mail address";
                value.report(Mistake::new(name.span, message));
                continue;
            }
            let before = self.root.mistakes();
            let mut members: Vec<EmailAddress> = Vec::new();
            for member in value.texts() {
                let Some(address) = address(&self.root, &member) else { continue };
                if let Some(same) = members.iter().find(|same| **same == address) {
                    let message = format!("{} is in this group already", spelt(&address, same));
                    value.report(Mistake::new(member.span, message));
                } else {
                    members.push(address);
                }
            }
            let complete = self.root.mistakes() == before;
            groups.insert(name.text, Group { members, complete });
        }
        groups
    }

    fn managers(&self) -> Managers {
        let Some(table) = self.root.table("managers") else { return Managers::default() };
        table.only(&["employees", "departments", "default"]);
        let default = table.text("default").and_then(|text| address(&table, &text));
        let employees = entries(&table, "employees", Employee::named, |employee, manager| {
            *employee == Employee::Address(manager.clone())
        });
        let departments = entries(&table, "departments", as_read, |_, _| false);
        let managers = Managers { employees, departments, default };
        for (name, value) in table.table("employees").map(|t| t.entries()).unwrap_or_default() {
            let first = Employee::named(&name.text);
            let mut seen: Vec<&EmailAddress> = Vec::new();
            let mut next = managers.employees.get(&first);
            while let Some(manager) = next.filter(|manager| !seen.contains(manager)) {
                if first == Employee::Address(manager.clone()) {
                    let circle: Vec<&str> = seen.iter().map(|who| who.as_str()).collect();
                    let circle = circle.join(", ");
                    let message =
                        format!("{} would be above themselves, by way of {circle}", name.text);
                    value.report(Mistake::new(name.span, message));
                    break;
                }
                seen.push(manager);
                next = managers.manager(manager);
            }
        }
        managers
    }

    fn rules(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        let mut names: Vec<Text> = Vec::new();
        let mut conditions: Vec<(Text, When)> = Vec::new();
        for (i, table) in self.root.tables("rules").iter().enumerate() {
            table.only(&["name", "when", "decision", "stages", "on_approved", "on_rejected"]);
            let unnamed = || Text { span: table.span.clone(), text: format!("rule {}", i + 1) };
            table.required("name");
            let name = table.texts("name").into_iter().next().unwrap_or_else(unnamed);
            if let Some(same) = names.iter().find(|known| known.text == name.text) {
                let message = format!("another rule is called {:?} too", name.text);
                let mistake = Mistake::new(name.span.clone(), message);
                table.report(mistake.also(same.span.clone(), "this one"));
            }
            names.push(name.clone());
            let when = table.table("when").map(|when| self.when(&when));
            if when.as_ref().is_none_or(|when| when.as_ref().is_some_and(When::is_empty)) {
                let message = format!("rule {:?} has no conditions", name.text);
                let help = "what applies to every submission belongs into [default]";
                table.report(Mistake::new(name.span.clone(), message).help(help).missing());
            }
            let when = when.flatten();
            let outcome = self.outcome(table, name.text.clone(), when.clone().unwrap_or_default());
            // Conditions that are wrong must not make other rules seem unreachable.
            if let Some(when) = when.filter(|when| !when.is_empty()) {
                unreachable(table, &name, &when, &conditions);
                conditions.push((name, when));
            }
            rules.extend(outcome);
        }
        rules
    }

    /// Conditions; `None` where a mistake was reported.
    fn when(&self, table: &Table<'_>) -> Option<When> {
        table.only(&["type", "category", "department", "submitter", "currency", "amount"]);
        let before = table.mistakes();
        let names =
            |key| table.texts(key).into_iter().map(|text| text.text.trim().to_owned()).collect();
        let submitters = table.texts("submitter");
        let submitters = submitters.iter().filter_map(|text| address(table, text));
        let currencies = table.texts("currency");
        let currencies = currencies.iter().filter_map(|code| currency(table, code));
        let ranges = table.table("amount").map(|ranges| (ranges.span.clone(), ranges.entries()));
        if let Some((place, _)) = ranges.as_ref().filter(|(_, ranges)| ranges.is_empty()) {
            let message = "must have a currency, such as `EUR = { up_to = 100 }`";
            table.report(Mistake::new(place.clone(), message));
        }
        let mut amounts = BTreeMap::new();
        for (code, value) in ranges.map(|(_, ranges)| ranges).unwrap_or_default() {
            let Some(currency) = currency(table, &code) else { continue };
            let Some(bounds) = value.table().and_then(|table| bounds(&table, currency)) else {
                continue;
            };
            if amounts.insert(currency.code().to_owned(), bounds).is_some() {
                let message = format!("{} has a range already", currency.code());
                table.report(Mistake::new(code.span, message));
            }
        }
        if let (Some(both), false) = (table.get("currency"), amounts.is_empty()) {
            both.wrong("`amount` says the currencies already: leave `currency` out");
        }
        let when = When {
            types: names("type"),
            categories: names("category"),
            departments: names("department"),
            submitters: submitters.collect(),
            currencies: currencies.map(|currency| currency.code().to_owned()).collect(),
            amounts,
        };
        (table.mistakes() == before).then_some(when)
    }

    /// What becomes of what matches; `None` where a mistake was reported.
    fn outcome(&self, table: &Table<'_>, name: String, when: When) -> Option<Rule> {
        let before = table.mistakes();
        let decision = match (table.get("decision"), table.get("stages")) {
            (Some(decision), None) => match decision.text()?.text.as_str() {
                "approve" => Some(Decision::Approve),
                "reject" => Some(Decision::Reject),
                _ => {
                    decision.wrong("must be \"approve\" or \"reject\"");
                    None
                }
            },
            (None, Some(_)) => Some(Decision::Stages(self.stages(table, &when))),
            (Some(decision), Some(_)) => {
                decision.wrong("a rule has either a `decision` or `stages`");
                None
            }
            (None, None) => {
                let message = format!("{name:?} does not say what it leads to");
                let help = "give it `decision = \"approve\"` or \"reject\", or [[rules.stages]]";
                table.report(Mistake::new(table.span.clone(), message).help(help).missing());
                None
            }
        };
        let then = Continuations {
            approved: continuation(table, "on_approved"),
            rejected: continuation(table, "on_rejected"),
        };
        let rule = Rule { name, when, decision: decision?, then };
        (table.mistakes() == before).then_some(rule)
    }

    fn stages(&self, table: &Table<'_>, when: &When) -> Vec<Stage> {
        let mut stages = Vec::new();
        let mut seats = 0;
        let tables = table.tables("stages");
        if tables.is_empty() {
            let message = "must have at least one stage";
            table.report(Mistake::new(table.span.clone(), message).missing());
        }
        for (i, stage) in tables.iter().enumerate() {
            stage.only(&[
                "name",
                "reviewers",
                "quorum",
                "deadline",
                "reminders",
                "on_deadline",
                "escalate",
            ]);
            stages.extend(self.stage(i, stage, when, &mut seats));
        }
        if seats > MAX_SEATS {
            let message = format!("asks {seats} people; at most {MAX_SEATS} can be asked");
            table.report(Mistake::new(table.span.clone(), message));
        }
        stages
    }

    fn stage(&self, i: usize, table: &Table<'_>, when: &When, seats: &mut usize) -> Option<Stage> {
        let name = name(table, &format!("Stage {}", i + 1));
        let asked = self.asked(table);
        let quorum = table.get("quorum");
        let quorum_place = quorum.as_ref().map(|value| value.span.clone());
        let quorum: Quorum = quorum
            .and_then(|value| value.number().and_then(|text| value.parse(text)))
            .unwrap_or(Quorum::Any);
        let on_deadline = match table.text("on_deadline") {
            None => OnDeadline::Expire,
            Some(text) => match text.text.as_str() {
                "expire" => OnDeadline::Expire,
                "reject" => OnDeadline::Reject,
                "approve" => OnDeadline::Approve,
                _ => {
                    let message = "must be \"expire\", \"reject\" or \"approve\"";
                    table.report(Mistake::new(text.span, message));
                    OnDeadline::Expire
                }
            },
        };
        let time = self.time(table);
        let levels = table.tables("escalate");
        let asked = asked?;
        if asked.complete {
            self.reach(table, &asked, quorum, quorum_place, asked.people.len());
            self.self_approval(table, &asked, quorum, when);
        }
        let mut people = asked.people.clone();
        let mut able = asked.people.clone();
        *seats += able.len();
        let mut escalations = Vec::new();
        for level in &levels {
            level.only(&["reviewers", "deadline", "reminders", "keep_earlier"]);
            let keep_earlier =
                level.get("keep_earlier").and_then(|keep| keep.boolean()).unwrap_or(true);
            let time = self.time(level);
            let Some(next) = self.asked(level) else { continue };
            *seats += next.people.iter().filter(|ask| !able.contains(ask)).count();
            match deciding(&able, &next.people, keep_earlier) {
                Some(after) => {
                    if next.complete && asked.complete {
                        self.reach(level, &next, quorum, None, after.len());
                    }
                    able = after;
                }
                None if next.complete && asked.complete => {
                    let message = "everybody here is asked before: this level asks nobody";
                    let help = "escalate to others; nobody has two votes";
                    level.report(Mistake::new(next.span.clone(), message).help(help));
                }
                None => {}
            }
            people.extend(next.people.iter().cloned());
            escalations.push(Escalation { reviewers: next.people, time, keep_earlier });
        }
        people.sort();
        people.dedup();
        let bytes = self.most_bytes(&asked.people, &people, quorum);
        if bytes > MAX_REVIEWER_BYTES {
            let message = format!(
                "the addresses take {bytes} bytes; at most {MAX_REVIEWER_BYTES} can be asked in a stage"
            );
            table.report(Mistake::new(asked.span, message));
        }
        Some(Stage { name, reviewers: asked.people, quorum, time, on_deadline, escalations })
    }

    /// The bytes of all addresses in a stage at most: whoever is somebody's manager, stands in, or
    /// takes the place of a submitter.
    fn most_bytes(&self, first: &[Ask], all: &[Ask], quorum: Quorum) -> usize {
        let person = |person: &EmailAddress| most_bytes([person], &self.absences);
        let managers = self.managers.employees.values().chain(self.managers.departments.values());
        let manager = managers.chain(&self.managers.default).map(person).max().unwrap_or(0);
        let bytes = |ask: &Ask| match ask {
            Ask::Person(who) => person(who),
            Ask::Manager | Ask::ManagersManager => manager,
        };
        let needs_all = !in_reach(quorum, first.len().saturating_sub(1));
        let submitter = first.iter().map(bytes).min().filter(|_| needs_all);
        let more = submitter.map_or(0, |submitter| manager.saturating_sub(submitter));
        all.iter().map(bytes).sum::<usize>() + more
    }

    /// Who a stage or level asks; `None` where it says nothing of it.
    fn asked(&self, table: &Table<'_>) -> Option<Asked> {
        let value = table.required("reviewers")?;
        let before = table.mistakes();
        let mut people: Vec<Ask> = Vec::new();
        let mut complete = true;
        for text in value.texts() {
            let asks = match text.text.trim() {
                Ask::MANAGER => vec![Ask::Manager],
                Ask::MANAGERS_MANAGER => vec![Ask::ManagersManager],
                name if name.contains('@') => {
                    address(table, &text).map(Ask::Person).into_iter().collect()
                }
                name => match self.groups.get(name) {
                    Some(group) => {
                        complete &= group.complete;
                        group.members.iter().cloned().map(Ask::Person).collect()
                    }
                    None => self.no_group(&value, &text, name),
                },
            };
            if !self.has_managers && asks.iter().any(|ask| !matches!(ask, Ask::Person(_))) {
                let message = "nobody is known to be anybody's manager";
                let help = "say who is in [managers.employees], [managers.departments] or [managers] default";
                value.report(Mistake::new(text.span.clone(), message).help(help).missing());
            }
            for ask in asks {
                match (people.iter().find(|same| **same == ask), &ask) {
                    (None, _) => people.push(ask),
                    (Some(Ask::Person(same)), Ask::Person(person)) => {
                        let message = format!("{} is asked here already", spelt(person, same));
                        let help = "one reviewer has one vote";
                        value.report(Mistake::new(text.span.clone(), message).help(help));
                    }
                    _ => {}
                }
            }
        }
        complete &= table.mistakes() == before;
        Some(Asked { span: value.span, people, complete })
    }

    fn no_group(&self, value: &Value<'_>, text: &Text, name: &str) -> Vec<Ask> {
        let names = self.groups.keys().map(String::as_str);
        let known = names.chain([Ask::MANAGER, Ask::MANAGERS_MANAGER]);
        let help = match meant(name, known) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => {
                "reviewers are groups of [groups], \"manager\", \"manager's manager\", or e-mail \
                     addresses"
                    .to_owned()
            }
        };
        let mistake = Mistake::new(text.span.clone(), format!("there is no group {name:?}"));
        value.report(mistake.help(help).missing());
        Vec::new()
    }

    /// Reports a quorum that so many people can never reach.
    fn reach(
        &self,
        table: &Table<'_>,
        asked: &Asked,
        quorum: Quorum,
        place: Option<Range<usize>>,
        people: usize,
    ) {
        if in_reach(quorum, people) {
            return;
        }
        let number = if people == 1 { "1 person".to_owned() } else { format!("{people} people") };
        let message = format!("{quorum} approvals can never come from {number}");
        let mistake = match place {
            Some(place) => Mistake::new(place, message).also(asked.span.clone(), "these are asked"),
            None => Mistake::new(asked.span.clone(), message)
                .help("ask more people, or keep the earlier ones' links valid with `keep_earlier`"),
        };
        table.report(mistake);
    }

    /// Reports a stage that asks only the submitter, or too few others with nobody above to step in.
    fn self_approval(&self, table: &Table<'_>, asked: &Asked, quorum: Quorum, when: &When) {
        for submitter in &when.submitters {
            let is_other = |ask: &&Ask| !matches!(ask, Ask::Person(person) if person == submitter);
            let others = asked.people.iter().filter(is_other).count();
            let message = match others {
                0 => format!("asks only {submitter}, who is the submitter"),
                others if !self.has_managers && !in_reach(quorum, others) => {
                    format!("asks {submitter}, who is the submitter, and too few others")
                }
                _ => continue,
            };
            let help = "nobody approves their own submission: ask somebody else too";
            table.report(Mistake::new(asked.span.clone(), message).help(help));
        }
    }

    fn time(&self, table: &Table<'_>) -> TimePlan {
        let deadline =
            self.waits(table, "deadline", |text: &Text| text.text.parse::<Wait>(), |wait| *wait);
        let deadline = deadline.into_iter().next().map(|(_, wait)| wait).unwrap_or_default();
        let reminders = self.waits(
            table,
            "reminders",
            |text: &Text| text.text.parse::<Reminder>(),
            |r| r.wait(),
        );
        if let Some((extra, _)) = reminders.get(MAX_REMINDERS) {
            let message = format!("at most {MAX_REMINDERS} reminders can be given");
            table.report(Mistake::new(extra.clone(), message));
        }
        for (span, reminder) in &reminders {
            if let Err(unsuited) = reminder.suits(deadline) {
                table.report(Mistake::new(span.clone(), unsuited.to_string()));
            }
        }
        TimePlan {
            deadline,
            reminders: reminders.into_iter().map(|(_, reminder)| reminder).collect(),
        }
    }

    /// Waiting times, each with its place; those in working time need a calendar.
    fn waits<T, E: std::fmt::Display>(
        &self,
        table: &Table<'_>,
        key: &str,
        parse: impl Fn(&Text) -> Result<T, E>,
        wait: impl Fn(&T) -> Wait,
    ) -> Vec<(Range<usize>, T)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let values = if key == "deadline" { vec![value] } else { value.one_or_more() };
        let mut waits = Vec::new();
        for text in values.iter().filter_map(|value| value.text()) {
            match parse(&text) {
                Err(error) => table.report(Mistake::new(text.span, error.to_string())),
                Ok(parsed) => {
                    if wait(&parsed).is_working_time() && !self.has_calendar {
                        let message = "working time needs a calendar";
                        let help = "say in [calendar] when people work, and in which time zone";
                        let mistake = Mistake::new(text.span.clone(), message).help(help);
                        table.report(mistake.missing());
                    }
                    waits.push((text.span, parsed));
                }
            }
        }
        waits
    }
}

/// Whether submissions may say who is asked; only where the file says so.
fn may_name_reviewers(root: &Table<'_>) -> bool {
    let Some(table) = root.table("submissions") else { return false };
    table.only(&["may_name_reviewers"]);
    table.get("may_name_reviewers").and_then(|value| value.boolean()).unwrap_or(false)
}

fn name(table: &Table<'_>, default: &str) -> String {
    let name = table.texts("name").into_iter().next();
    name.map_or_else(|| default.to_owned(), |name| name.text.trim().to_owned())
}

fn address(table: &Table<'_>, text: &Text) -> Option<EmailAddress> {
    let address = text.text.parse();
    address.map_err(|error| table.report(Mistake::new(text.span.clone(), format!("{error}")))).ok()
}

/// A person who is named again, with the other spelling where it is another one.
fn spelt(person: &EmailAddress, before: &EmailAddress) -> String {
    match person.as_str() == before.as_str() {
        true => person.to_string(),
        false => format!("{person}, who is {before},"),
    }
}

/// Who is whose manager in a table; `is_own` says who would be their own.
fn entries<K: Ord>(
    table: &Table<'_>,
    key: &str,
    read: fn(&str) -> K,
    is_own: fn(&K, &EmailAddress) -> bool,
) -> BTreeMap<K, EmailAddress> {
    let mut managers = BTreeMap::new();
    for (name, value) in table.table(key).map(|table| table.entries()).unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        let Some(manager) = address(table, &text) else { continue };
        let who = read(&name.text);
        if is_own(&who, &manager) {
            let message = format!("{manager} would approve their own submissions");
            let help = "name somebody else as their manager";
            value.report(Mistake::new(text.span, message).help(help));
        } else if managers.insert(who, manager).is_some() {
            let message = format!("{:?} has a manager already", name.text);
            value.report(Mistake::new(name.span, message));
        }
    }
    managers
}

fn currency(table: &Table<'_>, code: &Text) -> Option<iso_currency::Currency> {
    let currency = money::currency(&code.text);
    currency.map_err(|error| table.report(Mistake::new(code.span.clone(), error.to_string()))).ok()
}

fn bounds(table: &Table<'_>, currency: iso_currency::Currency) -> Option<Bounds> {
    table.only(&["from", "above", "below", "up_to"]);
    let bound = |key: &str| -> Option<Decimal> {
        let value = table.get(key)?;
        let text = value.number()?;
        match Money::parse(&text.text, currency) {
            Ok(money) if money.is_negative() => {
                value.wrong("must not be negative");
                None
            }
            Ok(money) => Some(money.amount()),
            Err(error) => {
                value.wrong(error.to_string());
                None
            }
        }
    };
    let one = |inside: &str, outside: &str| {
        if let (Some(_), Some(second)) = (table.get(inside), table.get(outside)) {
            second.wrong(format!("`{inside}` or `{outside}`, not both"));
        }
        let bounds = (bound(inside), bound(outside));
        bounds.0.map(|low| (low, true)).or(bounds.1.map(|low| (low, false)))
    };
    let bounds = Bounds { low: one("from", "above"), high: one("up_to", "below") };
    if table.entries().is_empty() {
        let message = "must have a bound: `from`, `above`, `below` or `up_to`";
        table.report(Mistake::new(table.span.clone(), message));
        return None;
    }
    if bounds.is_empty(currency) {
        table.report(Mistake::new(table.span.clone(), "no amount is in this range"));
        return None;
    }
    Some(bounds)
}

fn continuation(table: &Table<'_>, key: &str) -> Option<Continuation> {
    let table = table.table(key)?;
    table.only(&["workflow", "task_queue", "namespace"]);
    let workflow = table.required("workflow").and_then(|value| value.name());
    let task_queue = table.required("task_queue").and_then(|value| value.name());
    let namespace = table.get("namespace").and_then(|value| value.name());
    Some(Continuation { workflow: workflow?, task_queue: task_queue?, namespace })
}

/// Reports a rule that nothing reaches.
fn unreachable(table: &Table<'_>, name: &Text, when: &When, earlier: &[(Text, When)]) {
    let conditions: Vec<&When> = earlier.iter().map(|(_, when)| when).collect();
    if !is_covered(when, &conditions) {
        return;
    }
    let message = format!("rule {:?} can never be reached", name.text);
    let mistake = Mistake::new(name.span.clone(), message);
    let alone = earlier.iter().find(|(_, other)| is_covered(when, &[other]));
    table.report(match alone {
        Some((by, _)) => mistake.also(by.span.clone(), "this one matches everything that it would"),
        None => mistake.help("the rules before it together match everything that it would"),
    });
}

fn calendar(table: &Table<'_>, read_file: &dyn Fn(&str) -> io::Result<String>) -> Calendar {
    table.only(&["time_zone", "working_days", "working_hours", "holidays", "holidays_file"]);
    let mut calendar = Calendar::default();
    if let Some(zone) = table.required("time_zone").and_then(|value| value.text()) {
        match TimeZone::get(&zone.text) {
            Ok(known) if known.iana_name().is_some() => calendar.time_zone = known,
            _ => {
                let message = format!("there is no time zone {:?}", zone.text);
                let known: Vec<String> =
                    jiff::tz::db().available().map(|name| name.to_string()).collect();
                let help = match meant(&zone.text, known.iter().map(String::as_str)) {
                    Some(meant) => format!("did you mean {meant:?}?"),
                    None => "it must be a name of the IANA database, such as Europe/Berlin".into(),
                };
                table.report(Mistake::new(zone.span, message).help(help));
            }
        }
    }
    if table.get("working_days").is_some() {
        calendar.working_days = working_days(table);
    }
    if table.get("working_hours").is_some() {
        calendar.working_hours = working_hours(table);
    }
    for value in table.get("holidays").map(|value| value.list()).unwrap_or_default() {
        match value.holiday() {
            Some(Holiday::Once(date)) => _ = calendar.holidays.insert(date),
            Some(Holiday::Yearly(day)) => _ = calendar.yearly_holidays.insert(day),
            None => {}
        }
    }
    for file in table.texts("holidays_file") {
        let read = read_file(&file.text).map_err(|error| vec![format!("cannot be read: {error}")]);
        match read.and_then(|text| ical::read(&text)) {
            Ok(holidays) => {
                calendar.holidays.extend(holidays.dates);
                calendar.yearly_holidays.extend(holidays.yearly);
            }
            Err(wrong) => {
                for why in wrong {
                    let message = format!("{}: {why}", file.text);
                    table.report(Mistake::new(file.span.clone(), message));
                }
            }
        }
    }
    calendar
}

fn working_days(table: &Table<'_>) -> BTreeSet<DayOfWeek> {
    let mut days = BTreeSet::new();
    for text in table.texts("working_days") {
        match DayOfWeek::span(text.text.trim()) {
            Ok(span) => days.extend(span),
            Err(error) => table.report(Mistake::new(text.span, error.to_string())),
        }
    }
    days
}

fn working_hours(table: &Table<'_>) -> Vec<Hours> {
    let mut hours: Vec<Hours> = Vec::new();
    for text in table.texts("working_hours") {
        match text.text.parse::<Hours>() {
            Err(error) => table.report(Mistake::new(text.span, error.to_string())),
            Ok(next) if hours.last().is_some_and(|last| next.from < last.to) => {
                let message = "must start after the hours before it end";
                table.report(Mistake::new(text.span, message));
            }
            Ok(next) => hours.push(next),
        }
    }
    hours
}

fn absences(root: &Table<'_>) -> Vec<Absence> {
    let mut absences: Vec<Absence> = Vec::new();
    for table in root.tables("absences") {
        table.only(&["reviewer", "deputy", "from", "to"]);
        let address = |key| {
            let value: Option<Value<'_>> = table.required(key);
            value.and_then(|value| value.parsed::<EmailAddress>())
        };
        let (reviewer, deputy) = (address("reviewer"), address("deputy"));
        let from = table.required("from").and_then(|value| value.date());
        let to = table.required("to").and_then(|value| value.date());
        let (Some(reviewer), Some(deputy), Some(from), Some(to)) = (reviewer, deputy, from, to)
        else {
            continue;
        };
        let place = |key| table.get(key).map_or(table.span.clone(), |value| value.span);
        if to < from {
            let message = "the last day is before the first one";
            let mistake = Mistake::new(place("to"), message);
            table.report(mistake.also(place("from"), "the first day"));
            continue;
        }
        if reviewer == deputy {
            let message = format!("{deputy} cannot stand in for themselves");
            table.report(Mistake::new(place("deputy"), message));
            continue;
        }
        let absence = Absence { reviewer, deputy, from, to };
        let overlaps = |other: &&Absence| other.from <= absence.to && absence.from <= other.to;
        if absences.iter().filter(overlaps).any(|other| other.reviewer == absence.reviewer) {
            let message = format!("{} is away on some of these days already", absence.reviewer);
            table.report(Mistake::new(place("reviewer"), message));
            continue;
        }
        absences.push(absence);
        if let Some(circle) = circle(&absences) {
            let message =
                format!("deputies go round in a circle from {} to {}", circle.0, circle.1);
            let help = "somebody of them has to be there, or to have another deputy";
            table.report(Mistake::new(place("deputy"), message).help(help));
        }
    }
    absences
}

/// The days on which the last absence closes a circle of deputies who are all away.
fn circle(absences: &[Absence]) -> Option<(jiff::civil::Date, jiff::civil::Date)> {
    let last = absences.last()?;
    let mut open = vec![(&last.deputy, last.from, last.to, absences.len())];
    while let Some((who, from, to, steps)) = open.pop() {
        if *who == last.reviewer {
            return Some((from, to));
        }
        let next = absences
            .iter()
            .filter(|next| next.reviewer == *who && next.from <= to && from <= next.to);
        if steps > 0 {
            open.extend(
                next.map(|next| (&next.deputy, from.max(next.from), to.min(next.to), steps - 1)),
            );
        }
    }
    None
}
