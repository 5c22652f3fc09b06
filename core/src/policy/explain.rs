//! Which rule decides a submission, and why: `check-policy --explain`, as text and as JSON.

use std::fmt;

use countersign_protos::{
    text,
    v1::{Field, Problem, Submission},
};
use jiff::{Timestamp, Zoned, civil::Date};
use serde::{Serialize, Serializer};

use super::{
    FollowUp, FollowUps, Invitee, PlannedStage, Policy, Reminder, Route, Routed, Rule, Wait,
    invitees, schedule,
};
use crate::approval::{
    Approval, Due, EmailAddress, Invited, OnDeadline, Quorum, Seat, ToAsk, Verdict, Whom,
};

/// What rules make of a submission. It is displayed as text for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub submission_id: String,
    pub title: String,
    pub amount: String,
    pub currency: String,
    /// The name of the action; empty without one.
    pub action: String,
    pub submitter: EmailAddress,
    /// As if it were submitted then.
    pub at: Moment,
    /// `None` for a submission that says itself who decides.
    #[serde(flatten)]
    pub applies: Option<Applies>,
}

/// The rule that applies, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applies {
    /// The rules before it.
    pub passed_over: Vec<PassedOver>,
    pub rule: String,
    pub is_default: bool,
    #[serde(flatten)]
    pub explained: Explained,
    pub different_people: bool,
    pub tell_submitter: bool,
    pub confirm: bool,
    pub comment_required: Vec<Verdict>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub delegate_to: Vec<String>,
    /// What those who decide fill in, those of the submission too.
    pub fields: Vec<Field>,
    /// How long changes that were requested wait for the submitter.
    pub changes_within: Wait,
    pub submitter_link: bool,
    pub follow_ups: FollowUps,
}

/// A rule that does not match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    pub rule: String,
    /// One reason for each condition that does not match.
    pub because: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Explained {
    /// Made at once, without asking anybody.
    Decision(#[serde(serialize_with = "name")] Verdict),
    Stages(Vec<ExplainedStage>),
    /// Why it cannot be decided.
    Problems(Vec<Problem>),
}

fn name<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.terms().name)
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedStage {
    pub name: String,
    pub quorum: Quorum,
    /// Whether the rule names the submitter, who is not asked.
    pub names_submitter: bool,
    /// The first level, and one for each deadline that passes.
    pub levels: Vec<ExplainedLevel>,
    /// Who is asked if mail reaches nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<EmailAddress>,
    pub on_deadline: OnDeadline,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedLevel {
    /// Who is asked, or their deputies; nobody if all of them are asked already.
    pub reviewers: Vec<Invitee>,
    /// Who is not asked, for they are away without a deputy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<EmailAddress>,
    /// Whether the links of those who were asked before end.
    pub ends_earlier: bool,
    /// Of those, who can decide all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Invitee>,
    pub deadline: Wait,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reminders: Vec<Reminder>,
    /// When the deadline and the reminders are, for the first stage: when later ones open is not known.
    #[serde(flatten)]
    pub due: Option<Moments>,
    /// The day for which absences count.
    #[serde(skip)]
    on: Date,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    pub until: Moment,
    pub reminded_at: Vec<Moment>,
}

/// A moment in the rules' time zone: in JSON by RFC 3339, with the zone's offset.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment(Zoned);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("%A, %-d %B %Y, %H:%M %Z").fmt(f)
    }
}

impl Policy {
    /// Which rule matches a submission that was checked, why each earlier one does not, who would be
    /// asked, and until when, were it submitted at that moment.
    pub fn explain(
        &self,
        submission: &Submission,
        submitter: &EmailAddress,
        at: Timestamp,
    ) -> Explanation {
        let document = submission.document.clone().unwrap_or_default();
        let routes = submission.approval.is_none();
        Explanation {
            submission_id: submission.submission_id.clone(),
            title: document.title,
            amount: document.amount,
            currency: document.currency,
            action: document.action.map(|action| action.name).unwrap_or_default(),
            submitter: submitter.clone(),
            at: self.moment(at),
            applies: routes.then(|| self.applies(submission, submitter, at)),
        }
    }

    fn applies(&self, submission: &Submission, submitter: &EmailAddress, at: Timestamp) -> Applies {
        let passed_over = self.passed_over(submission, submitter).into_iter();
        let passed_over: Vec<PassedOver> = passed_over
            .map(|(rule, because)| PassedOver { rule: rule.to_owned(), because })
            .collect();
        let Routed { rule, route, fields } = self.route(submission, submitter);
        let (fields, unfit) = match fields {
            Ok(fields) => (fields, None),
            Err(problems) => (Vec::new(), Some(problems)),
        };
        let explained = match unfit.map_or(route, Err) {
            Ok(Route::Decided(verdict)) => Explained::Decision(verdict),
            Ok(Route::Stages(stages)) => match self.nobody_left(rule, &stages, at) {
                Some(problem) => Explained::Problems(vec![problem]),
                None => Explained::Stages(self.stages(rule, &stages, submitter, at)),
            },
            Err(problems) => Explained::Problems(problems),
        };
        Applies {
            rule: rule.name.clone(),
            is_default: passed_over.len() == self.rules.len(),
            passed_over,
            explained,
            different_people: rule.different_people,
            tell_submitter: rule.tell_submitter,
            confirm: rule.confirm,
            comment_required: rule.comment_required.clone(),
            delegate_to: rule.delegate_to.clone(),
            fields,
            changes_within: rule.changes_within,
            submitter_link: rule.submitter_link,
            follow_ups: rule.follow_ups.clone(),
        }
    }

    fn stages(
        &self,
        rule: &Rule,
        stages: &[PlannedStage],
        submitter: &EmailAddress,
        at: Timestamp,
    ) -> Vec<ExplainedStage> {
        let explained = |(i, stage): (usize, &PlannedStage)| {
            let fallback = stage.escalations.iter().find(|level| level.fallback);
            ExplainedStage {
                name: stage.name.clone(),
                quorum: stage.quorum,
                names_submitter: rule.asks(i, submitter),
                levels: self.levels(stage, submitter, at, i == 0),
                fallback: fallback.map(|level| level.reviewers.clone()).unwrap_or_default(),
                on_deadline: stage.on_deadline,
            }
        };
        stages.iter().enumerate().map(explained).collect()
    }

    /// The levels of a stage if every deadline passes. The first stage opens at that moment; when a later one
    /// opens is not known, nor who is away then.
    fn levels(
        &self,
        stage: &PlannedStage,
        submitter: &EmailAddress,
        at: Timestamp,
        is_first: bool,
    ) -> Vec<ExplainedLevel> {
        // As in the workflow, the core says who is asked next and who is superseded.
        let mut approval = Approval::new(submitter.clone(), vec![stage.into()]);
        let (mut now, mut levels) = (at, Vec::new());
        while let Some(ToAsk { whom: Whom::Level(number), taken, .. }) = approval.to_ask() {
            let Some((reviewers, time)) = stage.level(number) else { break };
            let on = self.calendar.date(if is_first { now } else { at });
            let quorum = stage.needed(number);
            let invitees = invitees(reviewers, &taken, &self.absences, on, submitter, quorum);
            let due = match invitees.is_empty() {
                true => Due { deadline: now, reminders: Vec::new() },
                false => schedule(time, &self.calendar, now),
            };
            let ends = number.checked_sub(1).is_some_and(|i| !stage.escalations[i].keep_earlier);
            levels.push(ExplainedLevel {
                away: left_out(reviewers, &taken, &invitees, submitter),
                reviewers: invitees.clone(),
                ends_earlier: ends,
                kept: kept(&approval, reviewers).into_iter().filter(|_| ends).collect(),
                deadline: time.deadline,
                reminders: time.reminders.clone(),
                due: (is_first && !invitees.is_empty()).then(|| self.moments(&due)),
                on,
            });
            let invited = invitees.into_iter().map(|Invitee { reviewer, on_behalf_of, .. }| {
                let link = format!("{number} {reviewer}");
                Invited { on_behalf_of, ..Invited::new(reviewer, link) }
            });
            let deadline = due.deadline;
            approval.ask(invited.collect(), Some(due), now);
            approval.tick(deadline);
            now = deadline;
        }
        levels
    }

    fn moments(&self, due: &Due) -> Moments {
        Moments {
            until: self.moment(due.deadline),
            reminded_at: due.reminders.iter().map(|at| self.moment(*at)).collect(),
        }
    }

    fn moment(&self, at: Timestamp) -> Moment {
        Moment(at.to_zoned(self.calendar.time_zone.clone()))
    }
}

/// Who of a level gets no place, for nobody stands in.
fn left_out(
    reviewers: &[EmailAddress],
    taken: &[EmailAddress],
    invitees: &[Invitee],
    submitter: &EmailAddress,
) -> Vec<EmailAddress> {
    let has_place = |person: &&EmailAddress| {
        let is = |invitee: &Invitee| {
            invitee.reviewer == **person || invitee.on_behalf_of.as_ref() == Some(*person)
        };
        *person == submitter || taken.contains(person) || invitees.iter().any(is)
    };
    reviewers.iter().filter(|person| !has_place(person)).cloned().collect()
}

/// Those who were asked before and have not decided, whom a level names again.
fn kept(approval: &Approval, reviewers: &[EmailAddress]) -> Vec<Invitee> {
    let is_named = |seat: &&Seat| seat.people().any(|person| reviewers.contains(person));
    let seats = approval.stages()[0].undecided().filter(is_named);
    let invitee = |seat: &Seat| {
        let (reviewer, on_behalf_of) = (seat.reviewer.clone(), seat.on_behalf_of.clone());
        Invitee { on_behalf_of, ..Invitee::from(reviewer) }
    };
    seats.map(invitee).collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submission_id, submitter, .. } = self;
        let amount = text::money(&self.amount, &self.currency);
        let about =
            [&self.title, &amount, &self.action].into_iter().filter(|part| !part.is_empty());
        let about: Vec<&str> = about.map(String::as_str).collect();
        writeln!(f, "{submission_id}: {}, by {submitter}", about.join(", "))?;
        writeln!(f, "as if submitted {}\n", self.at)?;
        match &self.applies {
            Some(applies) => applies.write(f, submitter),
            None => writeln!(f, "It says itself who decides (approval): no rule is asked."),
        }
    }
}

impl Applies {
    fn write(&self, f: &mut fmt::Formatter<'_>, submitter: &EmailAddress) -> fmt::Result {
        for (i, PassedOver { rule, because }) in self.passed_over.iter().enumerate() {
            writeln!(f, "{:>3}. {rule:?} does not match: {}", i + 1, because.join("; "))?;
        }
        match self.is_default {
            true => writeln!(f, "     {:?}, the default, applies.\n", self.rule)?,
            false => writeln!(f, "{:>3}. {:?} matches.\n", self.passed_over.len() + 1, self.rule)?,
        }
        match &self.explained {
            Explained::Decision(Verdict::Approve) => {
                writeln!(f, "Approved at once; nobody is asked.")?;
            }
            // No rule sends back.
            Explained::Decision(Verdict::Reject | Verdict::RequestChanges) => {
                writeln!(f, "Rejected at once; nobody is asked.")?;
            }
            Explained::Stages(stages) => self.write_stages(f, stages, submitter)?,
            Explained::Problems(problems) => {
                writeln!(f, "It cannot be decided:")?;
                return problems
                    .iter()
                    .try_for_each(|problem| writeln!(f, "  {} {}", problem.path, problem.message));
            }
        }
        let FollowUps { approved, rejected } = &self.follow_ups;
        for (outcome, follow_up) in [("approved", approved), ("rejected", rejected)] {
            if let Some(FollowUp { workflow, task_queue, namespace }) = follow_up {
                write!(f, "Once {outcome}: workflow {workflow} on task queue {task_queue}")?;
                match namespace {
                    Some(namespace) => writeln!(f, ", in the namespace {namespace}")?,
                    None => writeln!(f)?,
                }
            }
        }
        Ok(())
    }

    fn write_stages(
        &self,
        f: &mut fmt::Formatter<'_>,
        stages: &[ExplainedStage],
        submitter: &EmailAddress,
    ) -> fmt::Result {
        if self.different_people {
            writeln!(f, "One person decides at most one of these stages.\n")?;
        }
        if self.tell_submitter {
            writeln!(f, "{submitter} gets a mail when people are first asked.\n")?;
        }
        if self.submitter_link {
            writeln!(
                f,
                "{submitter} gets a link to their own page when people are first asked.\n"
            )?;
        }
        for (i, stage) in stages.iter().enumerate() {
            stage.write(f, i + 1, submitter)?;
        }
        if self.confirm {
            writeln!(f, "Each decision is confirmed on a second page.\n")?;
        }
        for verdict in &self.comment_required {
            writeln!(f, "A comment is required to {}.\n", verdict.terms().name)?;
        }
        if !self.delegate_to.is_empty() {
            let domains = self.delegate_to.join(", ");
            writeln!(f, "Reviewers may have colleagues asked in their place, of {domains}.\n")?;
        }
        if !self.fields.is_empty() {
            writeln!(f, "Those who decide fill in:")?;
            self.fields.iter().try_for_each(|field| write_field(f, field))?;
            writeln!(f)?;
        }
        if self.changes_within != Wait::default() {
            let within = self.changes_within;
            writeln!(f, "Changes that are requested wait {within} for the submitter.\n")?;
        }
        Ok(())
    }
}

fn write_field(f: &mut fmt::Formatter<'_>, field: &Field) -> fmt::Result {
    let Field { name, label, r#type, choices, required_for, from_rule } = field;
    write!(f, "  {label:?} ({name}): {}", r#type.replace('_', " or "))?;
    if !choices.is_empty() {
        write!(f, " of {}", choices.join(", "))?;
    }
    if !required_for.is_empty() {
        write!(f, ", required to {}", required_for.join(" and "))?;
    }
    writeln!(f, "{}", if *from_rule { "" } else { "; of the submission" })
}

impl ExplainedStage {
    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        position: usize,
        submitter: &EmailAddress,
    ) -> fmt::Result {
        let quorum = match self.quorum {
            Quorum::Any => "the first decision counts".to_owned(),
            Quorum::All => "all have to approve".to_owned(),
            Quorum::AtLeast(number) => format!("{number} have to approve"),
        };
        writeln!(f, "Stage {position}, {:?}: {quorum}", self.name)?;
        if self.names_submitter {
            writeln!(f, "  not {submitter}, who submits")?;
        }
        for (i, level) in self.levels.iter().enumerate() {
            level.write(f, i == 0)?;
        }
        if !self.fallback.is_empty() {
            let names: Vec<&str> = self.fallback.iter().map(EmailAddress::as_str).collect();
            writeln!(f, "  if mail reaches nobody, these are asked: {}", names.join(", "))?;
        }
        let end = match self.on_deadline {
            OnDeadline::Approve => "is approved unless somebody has rejected it",
            OnDeadline::Reject => "is rejected",
            OnDeadline::Expire => "expires",
        };
        writeln!(f, "  without a decision then, it {end}\n")
    }
}

impl ExplainedLevel {
    fn write(&self, f: &mut fmt::Formatter<'_>, is_first: bool) -> fmt::Result {
        if self.reviewers.is_empty() {
            return writeln!(f, "  the next level is skipped: everybody in it is already asked");
        }
        match (is_first, self.ends_earlier, self.kept.is_empty()) {
            (true, ..) => {}
            (_, false, _) => writeln!(
                f,
                "  without a decision then, earlier links stay valid, and these are asked:"
            )?,
            (_, true, true) => {
                writeln!(f, "  without a decision then, earlier links end, and these are asked:")?;
            }
            (_, true, false) => writeln!(f, "  without a decision then, only these can decide:")?,
        }
        for Invitee { reviewer, on_behalf_of, .. } in &self.kept {
            let absent = on_behalf_of.iter().map(|absent| format!(" for {absent}"));
            writeln!(f, "  {reviewer}{}", absent.collect::<String>())?;
        }
        let on = self.on;
        for person in &self.away {
            writeln!(f, "  not {person}, who is away on {on} without a deputy")?;
        }
        for Invitee { reviewer, on_behalf_of, kept } in &self.reviewers {
            match (on_behalf_of, kept) {
                (Some(absent), _) => {
                    writeln!(f, "  {reviewer} for {absent}, who is away on {on}")?;
                }
                (None, Some(kept)) => {
                    writeln!(f, "  {reviewer}, although away on {on}: {kept}")?;
                }
                (None, None) => writeln!(f, "  {reviewer}")?,
            }
        }
        let Some(Moments { until, reminded_at }) = &self.due else {
            writeln!(f, "    until {} after they are asked", self.deadline)?;
            return self
                .reminders
                .iter()
                .try_for_each(|reminder| writeln!(f, "    reminded: {reminder}"));
        };
        writeln!(f, "    until {until} ({})", self.deadline)?;
        reminded_at.iter().try_for_each(|at| writeln!(f, "    reminded {at}"))
    }
}
