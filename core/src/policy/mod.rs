//! Routing rules: who decides a submission, until when, and what happens then.

mod absence;
mod arguments;
mod as_of;
mod bounds;
mod calendar;
mod explain;
mod file;
mod plan;
mod routing;
mod rules;
mod schedule;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::approval::{EmailAddress, Operators};

pub use absence::{Absence, Invitee, Kept, concerning, invitees, most_bytes};
pub use as_of::{AsOf, NotAMoment};
pub use calendar::{Calendar, DayOfWeek, Hours, MonthDay, NotADayOfWeek, NotAMonthDay, NotHours};
pub use explain::{
    Applies, Explained, ExplainedLevel, ExplainedStage, Explanation, Moment, Moments, PassedOver,
};
pub use file::{
    Case, Diagnostic, Diagnostics, Expectations, Severity, expectations_schema, policy_schema,
};
pub use plan::{FollowUp, FollowUps, Plan, PlannedLevel, PlannedStage};
pub use routing::{Route, Routed};
pub use rules::Rule;
pub use schedule::{
    MAX_DAYS, MAX_REMINDERS, NotAWait, Reminder, TimePlan, Unsuited, Wait, schedule,
};

/// Rules without errors: every submission is decided by exactly one of them, or by the default.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    may_name_reviewers: bool,
    operators: Operators,
    /// Of all addresses in the file, in ASCII.
    domains: BTreeSet<String>,
    calendar: Calendar,
    managers: rules::Managers,
    absences: Vec<Absence>,
    rules: Vec<Rule>,
    default: Rule,
    warnings: Diagnostics,
}

impl Policy {
    /// Whether a submission may name its reviewers, instead of the rules.
    pub fn may_name_reviewers(&self) -> bool {
        self.may_name_reviewers
    }

    /// Whether the rules name somebody with an address of the same domain.
    pub fn knows_domain_of(&self, person: &EmailAddress) -> bool {
        self.domains.contains(person.domain())
    }

    /// How long an approval that begins at this moment can wait for people, whichever rule applies: for its
    /// reviewers, and then for the changes that the last of them requests. A revision begins anew.
    pub fn longest_wait(&self, from: Timestamp) -> SignedDuration {
        let wait = |rule: &Rule| {
            let deadlines = rule.stages().iter().flat_map(rules::RuleStage::deadlines);
            let changes = (!rule.stages().is_empty()).then_some(rule.changes_within);
            let waits = deadlines.chain(changes);
            waits.fold(from, |at, wait| wait.after(at, &self.calendar)).duration_since(from)
        };
        self.rules().map(wait).max().unwrap_or_default()
    }

    /// In order, the default last.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().chain([&self.default])
    }

    pub fn operators(&self) -> &Operators {
        &self.operators
    }

    /// A summary in one line.
    pub fn summary(&self) -> String {
        let count = |number: usize, what: &str| match number {
            1 => format!("1 {what}"),
            number => format!("{number} {what}s"),
        };
        let named = match self.may_name_reviewers {
            true => ", submissions may name reviewers",
            false => "",
        };
        let decided = match self.operators.may_decide {
            true => ", operators may decide",
            false => "",
        };
        format!(
            "{} and a default, {}, time zone {}{named}{decided}",
            count(self.rules.len(), "rule"),
            count(self.absences.len(), "absence"),
            self.calendar.time_zone.iana_name().unwrap_or("unknown"),
        )
    }

    /// What is allowed and may still be a mistake.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }
}
