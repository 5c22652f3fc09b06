//! Which rule decides a submission, and why: `check-policy --explain`.

use std::fmt::Write;

use countersign_protos::{text, v1::Submission};
use jiff::{Timestamp, civil::Date};

use super::{
    FollowUp, FollowUps, Invitee, PlannedLevel, PlannedStage, Policy, Route, Routed, TimePlan,
    invitees, schedule,
};
use crate::approval::{
    Approval, Due, EmailAddress, Invited, OnDeadline, Quorum, Seat, ToAsk, Verdict, Whom,
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
        let amount = text::money(&document.amount, &document.currency);
        let action = document.action.map(|action| action.name).unwrap_or_default();
        let about = [document.title, amount, action].into_iter().filter(|part| !part.is_empty());
        let about = about.collect::<Vec<_>>().join(", ");
        writeln!(out, "{}: {about}, by {submitter}", submission.submission_id)?;
        writeln!(out, "as if submitted {}", self.moment(at))?;
        if submission.approval.is_some() {
            return writeln!(out, "\nIt says itself who decides (approval): no rule is asked.");
        }
        writeln!(out)?;
        let passed_over = self.passed_over(submission, submitter);
        for (i, (rule, reasons)) in passed_over.iter().enumerate() {
            writeln!(out, "{:>3}. {rule:?} does not match: {}", i + 1, reasons.join("; "))?;
        }
        let Routed { rule, route } = self.route(submission, submitter);
        match passed_over.len() == self.rules.len() {
            true => writeln!(out, "     {:?}, the default, applies.", rule.name)?,
            false => writeln!(out, "{:>3}. {:?} matches.", passed_over.len() + 1, rule.name)?,
        }
        writeln!(out)?;
        match route {
            Ok(Route::Decided(verdict)) => {
                let decided = match verdict {
                    Verdict::Approve => "Approved",
                    Verdict::Reject => "Rejected",
                };
                writeln!(out, "{decided} at once; nobody is asked.")?;
            }
            Ok(Route::Stages(stages)) => {
                if rule.different_people {
                    writeln!(out, "One person decides at most one of these stages.\n")?;
                }
                if rule.tell_submitter {
                    writeln!(out, "{submitter} gets a mail when people are first asked.\n")?;
                }
                for (i, stage) in stages.iter().enumerate() {
                    self.stage(out, i, stage, submitter, rule.asks(i, submitter), at)?;
                }
                if rule.confirm {
                    writeln!(out, "Each decision is confirmed on a second page.\n")?;
                }
            }
            Err(problems) => {
                writeln!(out, "It cannot be decided:")?;
                for problem in problems {
                    writeln!(out, "  {} {}", problem.path, problem.message)?;
                }
                return Ok(());
            }
        }
        let FollowUps { approved, rejected } = &rule.follow_ups;
        for (outcome, follow_up) in [("approved", approved), ("rejected", rejected)] {
            if let Some(FollowUp { workflow, task_queue, namespace }) = follow_up {
                write!(out, "Once {outcome}: workflow {workflow} on task queue {task_queue}")?;
                match namespace {
                    Some(namespace) => writeln!(out, ", in the namespace {namespace}")?,
                    None => writeln!(out)?,
                }
            }
        }
        Ok(())
    }

    /// The first stage opens at that moment; when a later one opens is not known.
    fn stage(
        &self,
        out: &mut String,
        i: usize,
        stage: &PlannedStage,
        submitter: &EmailAddress,
        asks_submitter: bool,
        at: Timestamp,
    ) -> std::fmt::Result {
        let PlannedStage { name, quorum, on_deadline, .. } = stage;
        let number = match quorum {
            Quorum::Any => "the first decision counts".to_owned(),
            Quorum::All => "all have to approve".to_owned(),
            Quorum::AtLeast(number) => format!("{number} have to approve"),
        };
        writeln!(out, "Stage {}, {name:?}: {number}", i + 1)?;
        if asks_submitter {
            writeln!(out, "  not {submitter}, who submits")?;
        }
        // As in the workflow, the core says who is asked next and who is superseded.
        let mut approval = Approval::new(submitter.clone(), vec![stage.into()]);
        let mut now = at;
        while let Some(ToAsk { whom: Whom::Level(level), taken, .. }) = approval.to_ask() {
            let Some((reviewers, time)) = stage.level(level) else { break };
            // Nor is it known who is away when a later stage opens.
            let opens = (i == 0).then_some(now);
            let on = self.calendar.date(opens.unwrap_or(at));
            let invitees = invitees(reviewers, &taken, &self.absences, on, submitter);
            let due = match invitees.is_empty() {
                true => Due { deadline: now, reminders: Vec::new() },
                false => schedule(time, &self.calendar, now),
            };
            let ends = level.checked_sub(1).is_some_and(|i| !stage.escalations[i].keep_earlier);
            let is_named = |seat: &&Seat| seat.people().any(|person| reviewers.contains(person));
            let earlier = approval.stages()[0].undecided().filter(|_| ends);
            let kept: Vec<&Seat> = earlier.filter(is_named).collect();
            match level {
                _ if invitees.is_empty() => {
                    writeln!(out, "  the next level is skipped: everybody in it is already asked")?;
                }
                0 => {}
                _ => writeln!(out, "  {}", once_asked(ends, !kept.is_empty()))?,
            }
            if !invitees.is_empty() {
                for Seat { reviewer, on_behalf_of, .. } in kept {
                    let absent = on_behalf_of.iter().map(|absent| format!(" for {absent}"));
                    writeln!(out, "  {reviewer}{}", absent.collect::<String>())?;
                }
                self.ask(out, &invitees, on, time, opens.map(|_| &due))?;
            }
            let invited = invitees.into_iter().map(|Invitee { reviewer, on_behalf_of, .. }| {
                let link = format!("{level} {reviewer}");
                Invited { on_behalf_of, ..Invited::new(reviewer, link) }
            });
            let deadline = due.deadline;
            approval.ask(invited.collect(), Some(due), now);
            approval.tick(deadline);
            now = deadline;
        }
        let fallback = stage.escalations.iter().find(|level| level.fallback);
        if let Some(PlannedLevel { reviewers, .. }) = fallback {
            let names: Vec<&str> = reviewers.iter().map(EmailAddress::as_str).collect();
            writeln!(out, "  if mail reaches nobody, these are asked: {}", names.join(", "))?;
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
        invitees: &[Invitee],
        on: Date,
        time: &TimePlan,
        due: Option<&Due>,
    ) -> std::fmt::Result {
        for Invitee { reviewer, on_behalf_of, kept } in invitees {
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
