//! Routing rules: which submissions are decided by whom, until when, and what happens then.
//!
//! Pure: files are read by who calls, moments come in as arguments.

mod absence;
mod calendar;
mod plan;
mod schedule;

pub use absence::{Absence, Invitee, Kept, Place, concerning, places, stand_ins};
pub use calendar::{Calendar, DayOfWeek, Hours, MonthDay, NotADayOfWeek, NotAMonthDay, NotHours};
pub use plan::{Continuation, Continuations, Level, StageRule};
pub use schedule::{Due, MAX_DAYS, MAX_REMINDERS, NotAWait, Reminder, TimePlan, Wait, schedule};
