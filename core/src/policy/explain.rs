//! Why a submission is decided by whom: `check-policy --explain`.

use std::fmt::Write;

use countersign_protos::{text, v1::Submission};
use jiff::{Timestamp, civil::Date};

use super::{
    Continuation, Continuations, Invitee, Place, Policy, Route, Routed, StageRule, TimePlan,
    places, schedule,
};
use crate::approval::{
    Approval, Due, EmailAddress, Invited, OnDeadline, Quorum, Seat, ToAsk, Whom,
};

impl Policy {
    /// Which rule matches a submission that was checked, why each earlier one does not, who would be
    /// asked, and until when, were it submitted at that moment.
    pub fn explain(
        &self,
        submission: &Submission,
        submitter: &EmailAddress,
        at: Timestamp,
    ) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, submission, submitter, at);
        text
    }

    fn write(
        &self,
        out: &mut String,
        submission: &Submission,
        submitter: &EmailAddress,
        at: Timestamp,
    ) -> std::fmt::Result {
        let document = submission.document.clone().unwrap_or_default();
        let (title, amount) = (document.title, text::money(&document.amount, &document.currency));
        writeln!(out, "{}: {title}, {amount}, by {submitter}", submission.submission_id)?;
        writeln!(out, "as if submitted {}", self.moment(at))?;
        if submission.approval.is_some() {
            return writeln!(out, "\nIt says itself who decides (approval): no rule is asked.");
        }
        writeln!(out)?;
        let passed_over = self.passed_over(submission, submitter);
        for (i, rule) in passed_over.iter().enumerate() {
            writeln!(
                out,
                "{:>3}. {:?} does not match: {}",
                i + 1,
                rule.rule,
                rule.reasons.join("; ")
            )?;
        }
        let Routed { rule, route } = self.route(submission, submitter);
        match passed_over.len() == self.rules.len() {
            true => writeln!(out, "     {:?}, the default, applies.", rule.name)?,
            false => writeln!(out, "{:>3}. {:?} matches.", passed_over.len() + 1, rule.name)?,
        }
        writeln!(out)?;
        let then = match route {
            Ok(Route::Approve { then, .. }) => {
                writeln!(out, "Approved at once; nobody is asked.")?;
                then
            }
            Ok(Route::Reject { then, .. }) => {
                writeln!(out, "Rejected at once; nobody is asked.")?;
                then
            }
            Ok(Route::Stages { stages, then, .. }) => {
                for (i, stage) in stages.iter().enumerate() {
                    self.stage(out, i, stage, submitter, rule.asks(i, submitter), at)?;
                }
                then
            }
            Err(problems) => {
                writeln!(out, "It cannot be decided:")?;
                for problem in problems {
                    writeln!(out, "  {} {}", problem.path, problem.message)?;
                }
                return Ok(());
            }
        };
        let Continuations { approved, rejected } = then;
        for (outcome, continuation) in [("approved", approved), ("rejected", rejected)] {
            if let Some(Continuation { workflow, task_queue, namespace }) = continuation {
                write!(out, "Once {outcome}: workflow {workflow} on task queue {task_queue}")?;
                match namespace {
                    Some(namespace) => writeln!(out, ", in the namespace {namespace}")?,
                    None => writeln!(out)?,
                }
            }
        }
        Ok(())
    }

    /// The first stage opens at that moment; when a later one does, nobody knows yet.
    fn stage(
        &self,
        out: &mut String,
        i: usize,
        stage: &StageRule,
        submitter: &EmailAddress,
        asks_submitter: bool,
        at: Timestamp,
    ) -> std::fmt::Result {
        let StageRule { name, quorum, on_deadline, .. } = stage;
        let number = match quorum {
            Quorum::Any => "the first decision counts".to_owned(),
            Quorum::All => "all have to approve".to_owned(),
            Quorum::AtLeast(number) => format!("{number} have to approve"),
        };
        writeln!(out, "Stage {}, {name:?}: {number}", i + 1)?;
        if asks_submitter {
            writeln!(out, "  not {submitter}, who submits")?;
        }
        // The core says who is asked next, and who is released by that, as it does for the workflow.
        let mut approval = Approval::new(submitter.clone(), vec![stage.into()]);
        let mut now = at;
        while let Some(ToAsk { whom: Whom::Level(level), taken, .. }) = approval.to_ask() {
            let Some((reviewers, time)) = stage.level(level) else { break };
            // Who is away when a later stage opens, nobody knows yet either.
            let opens = (i == 0).then_some(now);
            let on = self.calendar.date(opens.unwrap_or(at));
            let places = places(reviewers, &taken, &self.absences, on, submitter);
            let due = match places.is_empty() {
                true => Due { deadline: now, reminders: Vec::new() },
                false => schedule(time, &self.calendar, now),
            };
            let ends = level.checked_sub(1).is_some_and(|i| !stage.escalations[i].keep_earlier);
            let is_named = |seat: &&Seat| seat.people().any(|person| reviewers.contains(person));
            let earlier = approval.stages()[0].undecided().filter(|_| ends);
            let kept: Vec<&Seat> = earlier.filter(is_named).collect();
            let then = match level {
                _ if places.is_empty() => "the next level is left out: all of it are asked already",
                0 => "",
                _ => once_asked(ends, !kept.is_empty()),
            };
            if !then.is_empty() {
                writeln!(out, "  {then}")?;
            }
            if !places.is_empty() {
                for Seat { reviewer, on_behalf_of, .. } in kept {
                    let absent = on_behalf_of.iter().map(|absent| format!(" for {absent}"));
                    writeln!(out, "  {reviewer}{}", absent.collect::<String>())?;
                }
                self.ask(out, &places, on, time, opens.map(|_| &due))?;
            }
            let invited = places.into_iter().map(|Place { invitee, .. }| Invited {
                link: format!("{level} {}", invitee.reviewer),
                reviewer: invitee.reviewer,
                on_behalf_of: invitee.on_behalf_of,
            });
            let deadline = due.deadline;
            approval.ask(invited.collect(), Some(due), now);
            approval.tick(deadline);
            now = deadline;
        }
        let end = match on_deadline {
            OnDeadline::Approve => "is approved unless somebody has rejected it",
            OnDeadline::Reject => "is rejected",
            OnDeadline::Expire => "expires",
        };
        writeln!(out, "  without a decision then, it {end}\n")
    }

    /// Who is asked, and until when, as far as that is known.
    fn ask(
        &self,
        out: &mut String,
        places: &[Place],
        on: Date,
        time: &TimePlan,
        due: Option<&Due>,
    ) -> std::fmt::Result {
        for Place { invitee: Invitee { reviewer, on_behalf_of }, kept } in places {
            write!(out, "  {reviewer}")?;
            match (on_behalf_of, kept) {
                (Some(absent), _) => writeln!(out, " for {absent}, who is away on {on}")?,
                (None, Some(kept)) => writeln!(out, ", although away on {on}: {kept}")?,
                (None, None) => writeln!(out)?,
            }
        }
        let Some(Due { deadline, reminders }) = due else {
            writeln!(out, "    until {} after they are asked", time.deadline)?;
            for reminder in &time.reminders {
                writeln!(out, "    reminded: {reminder}")?;
            }
            return Ok(());
        };
        writeln!(out, "    until {} ({})", self.moment(*deadline), time.deadline)?;
        for reminder in reminders {
            writeln!(out, "    reminded {}", self.moment(*reminder))?;
        }
        Ok(())
    }

    fn moment(&self, at: Timestamp) -> String {
        at.to_zoned(self.calendar.time_zone.clone()).strftime("%A, %-d %B %Y, %H:%M %Z").to_string()
    }
}

/// What a later level's opening does to those who were asked before.
fn once_asked(ends_links: bool, keeps_some: bool) -> &'static str {
    match (ends_links, keeps_some) {
        (false, _) => "without a decision then, earlier links stay valid, and these are asked:",
        (true, false) => "without a decision then, earlier links end, and these are asked:",
        (true, true) => "without a decision then, only these can decide:",
    }
}
