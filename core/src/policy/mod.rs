//! Routing rules: who decides a submission, until when, and what happens then.

mod absence;
mod calendar;
mod explain;
mod file;
mod plan;
mod routing;
mod rules;
mod schedule;

#[cfg(test)]
mod tests;

pub use absence::{Absence, Invitee, Kept, concerning, invitees, most_bytes};
pub use calendar::{Calendar, DayOfWeek, Hours, MonthDay, NotADayOfWeek, NotAMonthDay, NotHours};
pub use file::{Diagnostic, Diagnostics};
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
    calendar: Calendar,
    managers: rules::Managers,
    absences: Vec<Absence>,
    rules: Vec<Rule>,
    default: Rule,
}

impl Policy {
    /// Whether a submission may name its reviewers, instead of the rules.
    pub fn may_name_reviewers(&self) -> bool {
        self.may_name_reviewers
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
        format!(
            "{} and a default, {}, time zone {}{named}",
            count(self.rules.len(), "rule"),
            count(self.absences.len(), "absence"),
            self.calendar.time_zone.iana_name().unwrap_or("unknown"),
        )
    }
}
