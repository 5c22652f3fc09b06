//! Deadlines and reminders: waiting times, by the clock or in working time, and the moments that follow from
//! them when a level opens.

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

use super::Calendar;
use crate::{approval::Due, limits::DEFAULT_DEADLINE, string_form::string_form};

string_form!(Wait, Reminder);

/// The longest wait, in days.
pub const MAX_DAYS: i64 = 366;
/// The most reminders of one level.
pub const MAX_REMINDERS: usize = 20;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A span of time, positive and at most [`MAX_DAYS`] long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Wait {
    /// By the clock: `36h`, `3 days` of 24 hours each.
    Plain(SignedDuration),
    /// Time inside working hours: `4 working hours`.
    WorkingHours(u32),
    /// The same time on a later working day: `2 working days`.
    WorkingDays(u32),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAWait {
    #[error("must be a span of time, such as 36h, 3 days, PT45M or 2 working days")]
    Form,
    /// What can be read by people, and how it has to be written.
    #[error("must be a span of time, such as 36h or 2 working days: did you mean {0:?}?")]
    Meant(String),
    #[error("must be at least a second")]
    TooShort,
    #[error("must be at most {MAX_DAYS} days")]
    TooLong,
}

impl Default for Wait {
    fn default() -> Self {
        Self::Plain(DEFAULT_DEADLINE)
    }
}

impl Wait {
    /// Whether it needs a calendar.
    pub fn is_working_time(self) -> bool {
        !matches!(self, Wait::Plain(_))
    }

    /// The moment this long after `start`.
    pub fn after(self, start: Timestamp, calendar: &Calendar) -> Timestamp {
        match self {
            Wait::Plain(wait) => start.saturating_add(wait).unwrap_or(Timestamp::MAX),
            Wait::WorkingHours(hours) => {
                calendar.add_hours(start, SignedDuration::from_hours(hours.into()))
            }
            Wait::WorkingDays(days) => calendar.add_days(start, days),
        }
    }

    /// When it has to start to end at `end`.
    pub fn before(self, end: Timestamp, calendar: &Calendar) -> Timestamp {
        match self {
            Wait::Plain(wait) => end.saturating_sub(wait).unwrap_or(Timestamp::MIN),
            Wait::WorkingHours(hours) => {
                calendar.sub_hours(end, SignedDuration::from_hours(hours.into()))
            }
            Wait::WorkingDays(days) => calendar.sub_days(end, days),
        }
    }
}

impl Wait {
    /// Whether it takes longer than another wait from the same moment on, in any calendar.
    fn outlasts(self, other: Wait) -> bool {
        match (self, other) {
            (Wait::WorkingHours(own), Wait::WorkingHours(other))
            | (Wait::WorkingDays(own), Wait::WorkingDays(other)) => own > other,
            (own, Wait::Plain(other)) => own.at_least() > other,
            _ => false,
        }
    }

    /// Its length without closing hours.
    fn at_least(self) -> SignedDuration {
        match self {
            Wait::Plain(wait) => wait,
            Wait::WorkingHours(hours) => SignedDuration::from_hours(hours.into()),
            // Clocks change by at most two hours.
            Wait::WorkingDays(days) => DAY * (days as i32) - SignedDuration::from_hours(2),
        }
    }

    fn times(self, number: u32) -> Self {
        match self {
            Wait::Plain(wait) => Wait::Plain(wait * (number as i32)),
            Wait::WorkingHours(hours) => Wait::WorkingHours(hours * number),
            Wait::WorkingDays(days) => Wait::WorkingDays(days * number),
        }
    }
}

impl FromStr for Wait {
    type Err = NotAWait;

    fn from_str(text: &str) -> Result<Self, NotAWait> {
        Self::strict(text).map_err(|error| match (&error, meant(text)) {
            (NotAWait::Form, Some(wait)) => NotAWait::Meant(wait.to_string()),
            _ => error,
        })
    }
}

impl Wait {
    fn strict(text: &str) -> Result<Self, NotAWait> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if let [number, "working", unit] = words[..] {
            let number: u32 = number.parse().map_err(|_| NotAWait::Form)?;
            let (wait, hours) = match unit {
                "day" | "days" => (Wait::WorkingDays(number), 24),
                "hour" | "hours" => (Wait::WorkingHours(number), 1),
                _ => return Err(NotAWait::Form),
            };
            return match i64::from(number) * hours {
                0 => Err(NotAWait::TooShort),
                hours if hours > 24 * MAX_DAYS => Err(NotAWait::TooLong),
                _ => Ok(wait),
            };
        }
        let span: Span = text.parse().map_err(|_| NotAWait::Form)?;
        let wait =
            span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| NotAWait::Form)?;
        match wait {
            wait if wait < SignedDuration::from_secs(1) => Err(NotAWait::TooShort),
            wait if wait > DAY * (MAX_DAYS as i32) => Err(NotAWait::TooLong),
            wait => Ok(Wait::Plain(wait)),
        }
    }
}

/// What people call spans of time, and what they are.
const UNITS: [(&str, &str); 8] = [
    ("business", "working"),
    ("work", "working"),
    ("office", "working"),
    ("bank", "working"),
    ("workday", "working day"),
    ("weekday", "working day"),
    ("month", "30 days"),
    ("fortnight", "14 days"),
];
const NUMBERS: [(&str, &str); 8] = [
    ("a", "1"),
    ("an", "1"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("ten", "10"),
];

/// What somebody means who writes `3 business days`, `two weeks` or `a month`.
fn meant(text: &str) -> Option<Wait> {
    let text = text.to_lowercase();
    let said = |list: &[(&str, &'static str)], word: &str| {
        let found = list.iter().find(|(said, _)| *said == word);
        found.map(|(_, meant)| (*meant).to_owned())
    };
    let translated = text.split_whitespace().map(|word| {
        let singular = word.strip_suffix('s').and_then(|word| said(&UNITS, word));
        said(&NUMBERS, word)
            .or_else(|| said(&UNITS, word))
            .or(singular)
            .unwrap_or_else(|| word.to_owned())
    });
    let words: Vec<String> = translated.collect();
    let words: Vec<&str> = words.iter().flat_map(|words| words.split(' ')).collect();
    // Months and fortnights have days of their own.
    if let [number, days, "days"] = words[..]
        && let (Ok(number), Ok(days)) = (number.parse::<u32>(), days.parse::<u32>())
    {
        return Wait::strict(&format!("{} days", number.checked_mul(days)?)).ok();
    }
    let one = [&["1"], &words[..]].concat().join(" ");
    Wait::strict(&words.join(" ")).or_else(|_| Wait::strict(&one)).ok()
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |number: &u32| if *number == 1 { "" } else { "s" };
        match self {
            Wait::WorkingHours(hours) => write!(f, "{hours} working hour{}", plural(hours)),
            Wait::WorkingDays(days) => write!(f, "{days} working day{}", plural(days)),
            Wait::Plain(wait) => {
                let days = wait.as_secs() / DAY.as_secs();
                match *wait == DAY * (days as i32) {
                    true if days == 1 => f.write_str("1 day"),
                    true => write!(f, "{days} days"),
                    false => write!(f, "{wait:#}"),
                }
            }
        }
    }
}

/// When those who have not decided are reminded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reminder {
    /// Once, this long after the request: `1 day`.
    After(Wait),
    /// Repeatedly until the deadline, as far as [`MAX_REMINDERS`] allows: `every 24h`.
    Every(Wait),
    /// Once, this long before the deadline: `4h before the deadline`.
    Before(Wait),
}

/// What people call repeated reminders.
const OFTEN: [(&str, &str); 5] = [
    ("hourly", "1 hour"),
    ("daily", "1 day"),
    ("every day", "1 day"),
    ("every working day", "1 working day"),
    ("weekly", "7 days"),
];

impl FromStr for Reminder {
    type Err = NotAWait;

    fn from_str(text: &str) -> Result<Self, NotAWait> {
        let text = text.trim();
        let often = OFTEN.iter().find(|(said, _)| text.eq_ignore_ascii_case(said));
        if let Some((_, wait)) = often {
            return Err(NotAWait::Meant(format!("every {wait}")));
        }
        let read = |wait: &str, reminder: fn(Wait) -> Reminder| {
            wait.trim().parse().map(reminder).map_err(|error| match error {
                NotAWait::Meant(wait) => {
                    let wait = wait.parse().map(reminder);
                    wait.map_or(NotAWait::Form, |meant| NotAWait::Meant(meant.to_string()))
                }
                error => error,
            })
        };
        if let Some(every) = text.strip_prefix("every ") {
            return read(every, Reminder::Every);
        }
        let before = [" before the deadline", " before"];
        match before.iter().find_map(|before| text.strip_suffix(before)) {
            Some(before) => read(before, Reminder::Before),
            None => read(text, Reminder::After),
        }
    }
}

impl fmt::Display for Reminder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reminder::After(wait) => wait.fmt(f),
            Reminder::Every(wait) => write!(f, "every {wait}"),
            Reminder::Before(wait) => write!(f, "{wait} before the deadline"),
        }
    }
}

impl Reminder {
    pub fn wait(self) -> Wait {
        match self {
            Reminder::After(wait) | Reminder::Every(wait) | Reminder::Before(wait) => wait,
        }
    }
}

/// Why a reminder does not fit a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsuited {
    #[error("must come between the request and the deadline, {0} later")]
    Late(Wait),
    #[error("would come more than {MAX_REMINDERS} times in {0}")]
    TooOften(Wait),
}

impl Reminder {
    /// Whether it fits a deadline, as far as that is known without a calendar.
    ///
    /// # Errors
    /// Why it does not.
    pub fn suits(self, deadline: Wait) -> Result<(), Unsuited> {
        let wait = self.wait();
        let too_often = || deadline.outlasts(wait.times(MAX_REMINDERS as u32 + 1));
        match self {
            _ if wait == deadline || wait.outlasts(deadline) => Err(Unsuited::Late(deadline)),
            Reminder::Every(_) if too_often() => Err(Unsuited::TooOften(deadline)),
            _ => Ok(()),
        }
    }
}

/// A level's deadline and reminders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimePlan {
    /// From the request on.
    pub deadline: Wait,
    /// For those who have not decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reminders: Vec<Reminder>,
}

impl TimePlan {
    /// Whether it needs a calendar.
    pub fn needs_calendar(&self) -> bool {
        let reminders = self.reminders.iter().map(|reminder| reminder.wait());
        reminders.chain([self.deadline]).any(Wait::is_working_time)
    }
}

/// The deadline and the reminders of a level that opens at this moment. Computed once, then recorded.
pub fn schedule(plan: &TimePlan, calendar: &Calendar, opened_at: Timestamp) -> Due {
    let deadline = plan.deadline.after(opened_at, calendar);
    let (mut single, mut repeated) = (BTreeSet::new(), BTreeSet::new());
    for reminder in &plan.reminders {
        match reminder {
            Reminder::After(wait) => _ = single.insert(wait.after(opened_at, calendar)),
            Reminder::Before(wait) => _ = single.insert(wait.before(deadline, calendar)),
            Reminder::Every(wait) => {
                let next = |last: &Timestamp| Some(wait.after(*last, calendar));
                let times = std::iter::successors(next(&opened_at), next);
                repeated.extend(times.take_while(|at| *at < deadline).take(MAX_REMINDERS));
            }
        }
    }
    // Single reminders come first; repeated ones fill what is left.
    single.retain(|at| opened_at < *at && *at < deadline);
    let room = MAX_REMINDERS.saturating_sub(single.len());
    let more: Vec<Timestamp> = repeated.difference(&single).take(room).copied().collect();
    single.extend(more);
    Due { deadline, reminders: single.into_iter().take(MAX_REMINDERS).collect() }
}

#[cfg(test)]
mod tests;
