//! The stages of a rule.

use std::{fmt::Display, ops::Range, str::FromStr};

use countersign_protos::text::did_you_mean;
use jiff::civil::Date;

use super::{
    diagnostics::Diagnostic,
    people::{People, spelt},
    toml::{Table, Text, Value},
};
use crate::{
    approval::{EmailAddress, OnDeadline, Quorum},
    limits::{MAX_REVIEWER_BYTES, MAX_SEATS},
    policy::{
        MAX_REMINDERS, Reminder, TimePlan, Wait,
        absence::{concerning, most_bytes, too_few_left},
        routing::deciding,
        rules::{Ask, Escalation, RuleStage},
    },
};

/// What stages refer to.
pub(super) struct Stages<'a> {
    pub(super) people: &'a People,
    pub(super) has_calendar: bool,
}

/// Who is asked, and where the file says so.
struct Asked {
    span: Range<usize>,
    people: Vec<Ask>,
    /// Whether nothing was reported about them.
    complete: bool,
}

impl Stages<'_> {
    /// The stages of a rule that is for these submitters only; for all, if there are none.
    pub(super) fn read(
        &self,
        rule: &Table<'_>,
        submitters: &[EmailAddress],
        different_people: bool,
    ) -> Vec<RuleStage> {
        let mut stages: Vec<RuleStage> = Vec::new();
        let mut seats = 0;
        let tables = rule.tables("stages");
        if tables.is_empty() {
            let message = "must have at least one stage";
            rule.report(Diagnostic::new(rule.span.clone(), message).missing());
        }
        for (i, table) in tables.iter().enumerate() {
            table.only();
            let stage = self.stage(i, table, submitters, &mut seats);
            if let (Some(stage), true) = (&stage, different_people) {
                self.report_same_people(table, &stages, stage);
            }
            stages.extend(stage);
        }
        if seats > MAX_SEATS {
            rule.wrong(format!("asks {seats} people; at most {MAX_SEATS} can be asked"));
        }
        stages
    }

    fn stage(
        &self,
        i: usize,
        table: &Table<'_>,
        submitters: &[EmailAddress],
        seats: &mut usize,
    ) -> Option<RuleStage> {
        let name = table.name(&format!("Stage {}", i + 1));
        let asked = self.asked(table, "reviewers");
        let quorum = table.get("quorum");
        let quorum_place = quorum.as_ref().map(|value| value.span.clone());
        let quorum = quorum.and_then(|value| value.number().and_then(|text| value.parse(&text)));
        let quorum: Quorum = quorum.unwrap_or(Quorum::Any);
        let on_deadline = table.get("on_deadline").and_then(|value| value.parsed::<OnDeadline>());
        let time = self.time(table);
        let asked = asked?;
        if asked.complete {
            report_out_of_reach(table, &asked, quorum, quorum_place, asked.people.len());
            self.report_self_approval(table, &asked, quorum, submitters);
            self.report_nobody_left(table, &asked, quorum);
        }
        *seats += asked.people.len();
        let escalations = self.escalations(table, &asked, quorum, seats);
        let fallback = self.fallback(table, &asked, quorum, seats);
        let mut people = asked.people.clone();
        people.extend(escalations.iter().flat_map(|level| &level.reviewers).cloned());
        people.extend(fallback.iter().cloned());
        people.sort();
        people.dedup();
        let bytes = self.most_bytes(&asked.people, &people, quorum);
        if bytes > MAX_REVIEWER_BYTES {
            let message = format!(
                "these addresses take {bytes} bytes; at most {MAX_REVIEWER_BYTES} fit into a stage"
            );
            table.wrong_at(asked.span, message);
        }
        Some(RuleStage {
            name,
            reviewers: asked.people,
            quorum,
            time,
            on_deadline: on_deadline.unwrap_or_default(),
            escalations,
            fallback,
        })
    }

    fn escalations(
        &self,
        stage: &Table<'_>,
        first: &Asked,
        quorum: Quorum,
        seats: &mut usize,
    ) -> Vec<Escalation> {
        let mut able = first.people.clone();
        let mut escalations = Vec::new();
        for level in &stage.tables("escalate") {
            level.only();
            let keep_earlier =
                level.get("keep_earlier").and_then(|keep| keep.boolean()).unwrap_or(true);
            let time = self.time(level);
            let Some(asked) = self.asked(level, "reviewers") else { continue };
            *seats += asked.people.iter().filter(|ask| !able.contains(ask)).count();
            let complete = asked.complete && first.complete;
            if asked.complete {
                let needed = if keep_earlier { Quorum::Any } else { quorum };
                self.report_nobody_left(level, &asked, needed);
            }
            match deciding(&able, &asked.people, keep_earlier) {
                Some(after) => {
                    if complete {
                        report_out_of_reach(level, &asked, quorum, None, after.len());
                    }
                    able = after;
                }
                None if complete => {
                    let message = "this level asks nobody new";
                    let help = "escalate to others: one reviewer has one vote";
                    level.report(Diagnostic::new(asked.span.clone(), message).help(help));
                }
                None => {}
            }
            escalations.push(Escalation { reviewers: asked.people, time, keep_earlier });
        }
        escalations
    }

    /// Whom a stage asks if mail reaches nobody else.
    fn fallback(
        &self,
        stage: &Table<'_>,
        first: &Asked,
        quorum: Quorum,
        seats: &mut usize,
    ) -> Vec<Ask> {
        let asked = stage.get("fallback").and_then(|_| self.asked(stage, "fallback"));
        let Some(asked) = asked else { return Vec::new() };
        *seats += asked.people.iter().filter(|ask| !first.people.contains(ask)).count();
        if !(asked.complete && first.complete) {
            return asked.people;
        }
        self.report_nobody_left(stage, &asked, quorum);
        if asked.people.iter().all(|ask| first.people.contains(ask)) {
            let help = "name others than `reviewers`: mail does not reach those";
            let diagnostic = Diagnostic::new(asked.span, "the fallback asks nobody new");
            stage.report(diagnostic.help(help));
        } else if !quorum.is_in_reach(asked.people.len()) {
            let number = asked.people.len();
            let message = format!("{quorum} approvals can never come from a fallback of {number}");
            let help = "the others cannot be reached then: ask as many as have to approve";
            stage.report(Diagnostic::new(asked.span, message).help(help));
        }
        asked.people
    }

    /// The most bytes that the addresses of a stage can take, whoever is the submitter's manager,
    /// stands in, or takes the submitter's place.
    fn most_bytes(&self, first: &[Ask], all: &[Ask], quorum: Quorum) -> usize {
        let People { managers, absences, .. } = self.people;
        let person = |person: &EmailAddress| most_bytes([person], absences);
        let everybody = managers.employees.values().chain(managers.departments.values());
        let manager = everybody.chain(&managers.default).map(person).max().unwrap_or(0);
        let bytes = |ask: &Ask| match ask {
            Ask::Person(who) => person(who),
            Ask::Manager | Ask::ManagersManager => manager,
        };
        let needs_all = !quorum.is_in_reach(first.len().saturating_sub(1));
        let submitter = first.iter().map(bytes).min().filter(|_| needs_all);
        let more = submitter.map_or(0, |submitter| manager.saturating_sub(submitter));
        all.iter().map(bytes).sum::<usize>() + more
    }

    /// Who a stage or level asks by this key; `None` if it does not say.
    fn asked(&self, table: &Table<'_>, key: &str) -> Option<Asked> {
        let value = table.required(key)?;
        let before = table.reported();
        let mut people: Vec<Ask> = Vec::new();
        let mut complete = true;
        for text in value.texts() {
            for ask in self.asks(&value, &text, &mut complete) {
                match (people.iter().find(|same| **same == ask), &ask) {
                    (None, _) => people.push(ask),
                    (Some(Ask::Person(same)), Ask::Person(person)) => {
                        let message = format!("{} is already asked here", spelt(person, same));
                        let help = "one reviewer has one vote";
                        value.report(Diagnostic::new(text.span.clone(), message).help(help));
                    }
                    _ => {}
                }
            }
        }
        complete &= table.reported() == before;
        Some(Asked { span: value.span, people, complete })
    }

    /// Who is meant by one element of `reviewers`.
    fn asks(&self, value: &Value<'_>, text: &Text, complete: &mut bool) -> Vec<Ask> {
        let asks = match text.text.trim() {
            Ask::MANAGER => vec![Ask::Manager],
            Ask::MANAGERS_MANAGER => vec![Ask::ManagersManager],
            name if name.contains('@') => value.parse(text).map(Ask::Person).into_iter().collect(),
            name => match self.people.groups.get(name) {
                Some(group) => {
                    *complete &= group.complete;
                    group.members.iter().cloned().map(Ask::Person).collect()
                }
                None => {
                    value.report(self.no_group(text, name));
                    Vec::new()
                }
            },
        };
        if !self.people.has_managers && asks.iter().any(|ask| !matches!(ask, Ask::Person(_))) {
            let message = "the file names no managers";
            let help = "add [managers.employees], [managers.departments] or [managers] default";
            value.report(Diagnostic::new(text.span.clone(), message).help(help).missing());
        }
        asks
    }

    fn no_group(&self, text: &Text, name: &str) -> Diagnostic {
        let names = self.people.groups.keys().map(String::as_str);
        let known = names.chain([Ask::MANAGER, Ask::MANAGERS_MANAGER]);
        let help = match did_you_mean(name, known) {
            Some(name) => format!("did you mean {name:?}?"),
            None => "reviewers are groups of [groups], \"manager\", \"manager's manager\", or \
                     e-mail addresses"
                .to_owned(),
        };
        let message = format!("unknown group {name:?}");
        Diagnostic::new(text.span.clone(), message).help(help).missing()
    }

    /// Reports a stage that asks only the submitter, or too few others with nobody above to step in.
    fn report_self_approval(
        &self,
        table: &Table<'_>,
        asked: &Asked,
        quorum: Quorum,
        submitters: &[EmailAddress],
    ) {
        for submitter in submitters {
            let is_other = |ask: &&Ask| !matches!(ask, Ask::Person(person) if person == submitter);
            let others = asked.people.iter().filter(is_other).count();
            let message = match others {
                0 => format!("asks only {submitter}, who is the submitter"),
                others if !self.people.has_managers && !quorum.is_in_reach(others) => {
                    format!("asks {submitter}, who is the submitter, and too few others")
                }
                _ => continue,
            };
            let help = "nobody approves their own submission: ask somebody else too";
            table.report(Diagnostic::new(asked.span.clone(), message).help(help));
        }
    }

    /// Reports a stage that has too few people who are not asked in one before it, and nobody above to
    /// step in.
    fn report_same_people(&self, table: &Table<'_>, earlier: &[RuleStage], stage: &RuleStage) {
        let asked_before =
            |ask: &&Ask| earlier.iter().any(|other| other.asks().any(|it| it == *ask));
        let others = stage.reviewers.iter().filter(|ask| !asked_before(ask)).count();
        if self.people.has_managers
            || others == stage.reviewers.len()
            || stage.quorum.is_in_reach(others)
        {
            return;
        }
        let message = match others {
            0 => "asks only people who are asked in a stage before".to_owned(),
            others => format!(
                "leaves {others} of the {} approvers needed: the others are asked in a stage before",
                stage.quorum.approvals(others)
            ),
        };
        let help = "the rule has `different_people = true`: ask others too";
        table.report(Diagnostic::new(table.place("reviewers"), message).help(help));
    }

    /// Reports a day on which too few of these people are there, for the others are away without a deputy.
    /// Who a manager is depends on the submitter: that is seen when they submit.
    fn report_nobody_left(&self, table: &Table<'_>, asked: &Asked, quorum: Quorum) {
        let person = |ask: &Ask| match ask {
            Ask::Person(person) => Some(person.clone()),
            Ask::Manager | Ask::ManagersManager => None,
        };
        let Some(people) = asked.people.iter().map(person).collect::<Option<Vec<_>>>() else {
            return;
        };
        let absences = concerning(&people, &self.people.absences, Date::MIN);
        let people: Vec<&EmailAddress> = people.iter().collect();
        // Nobody more is away than on the first day of one of these absences.
        let mut days: Vec<Date> = absences.iter().map(|absence| absence.from).collect();
        days.sort();
        let why = days.into_iter().find_map(|day| too_few_left(&people, &absences, day, quorum));
        if let Some(why) = why {
            let help = "name a `deputy` for one of them, or ask others too";
            table.report(Diagnostic::new(asked.span.clone(), why).help(help));
        }
    }

    fn time(&self, table: &Table<'_>) -> TimePlan {
        let deadline = table.get("deadline").and_then(|deadline| self.wait(table, deadline));
        let deadline = deadline.unwrap_or_default();
        let reminders = table.get("reminders").map(|value| value.one_or_more());
        let reminders =
            self.waits(table, reminders.unwrap_or_default(), |reminder: &Reminder| reminder.wait());
        if let Some((extra, _)) = reminders.get(MAX_REMINDERS) {
            table.wrong_at(extra.clone(), format!("at most {MAX_REMINDERS} reminders are allowed"));
        }
        for (span, reminder) in &reminders {
            if let Err(unsuited) = reminder.suits(deadline) {
                table.wrong_at(span.clone(), unsuited.to_string());
            }
        }
        let reminders = reminders.into_iter().map(|(_, reminder)| reminder).collect();
        TimePlan { deadline, reminders }
    }

    /// A waiting time, if nothing was reported about it.
    pub(super) fn wait(&self, table: &Table<'_>, value: Value<'_>) -> Option<Wait> {
        let waits = self.waits(table, vec![value], |wait: &Wait| *wait);
        waits.into_iter().next().map(|(_, wait)| wait)
    }

    /// Waiting times, each with its place; those in working time need a calendar.
    fn waits<T: FromStr<Err: Display>>(
        &self,
        table: &Table<'_>,
        values: Vec<Value<'_>>,
        wait: impl Fn(&T) -> Wait,
    ) -> Vec<(Range<usize>, T)> {
        let mut waits = Vec::new();
        for value in values {
            let Some(parsed) = value.parsed::<T>() else { continue };
            if wait(&parsed).is_working_time() && !self.has_calendar {
                let message = "working time needs a calendar";
                let help = "add [calendar] with a time zone and working hours";
                let diagnostic = Diagnostic::new(value.span.clone(), message).help(help);
                table.report(diagnostic.missing());
            }
            waits.push((value.span, parsed));
        }
        waits
    }
}

/// Reports a quorum that this many people can never reach.
fn report_out_of_reach(
    table: &Table<'_>,
    asked: &Asked,
    quorum: Quorum,
    place: Option<Range<usize>>,
    people: usize,
) {
    if quorum.is_in_reach(people) {
        return;
    }
    let number = if people == 1 { "1 person".to_owned() } else { format!("{people} people") };
    let message = format!("{quorum} approvals can never come from {number}");
    table.report(match place {
        Some(place) => Diagnostic::new(place, message).also(asked.span.clone(), "these are asked"),
        None => Diagnostic::new(asked.span.clone(), message)
            .help("ask more people, or keep the earlier ones' links valid with `keep_earlier`"),
    });
}
