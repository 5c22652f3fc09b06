//! From a submission to the one thing that becomes of it.

use countersign_protos::{
    submission::problem,
    v1::{Problem, Submission},
};

use super::{
    Absence, Calendar, Continuations, Level, Policy, StageRule, concerning,
    rules::{Ask, Aspect, Decision, Escalation, Facts, Rule, Stage},
};
use crate::approval::{EmailAddress, Quorum};

/// What becomes of a submission, by which rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Routed<'a> {
    /// The rule that matched.
    pub rule: &'a Rule,
    /// What it says; or why it has nobody to ask, as problems of the submission.
    pub route: Result<Route, Vec<Problem>>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// It is approved without anybody being asked.
    Approve {
        /// Whose name is the reason.
        rule: String,
        /// What goes on with it.
        then: Continuations,
    },
    /// It is rejected without anybody being asked.
    Reject {
        /// Whose name is the reason.
        rule: String,
        /// What goes on with it.
        then: Continuations,
    },
    /// People decide.
    Stages {
        /// Who says so.
        rule: String,
        /// Who is asked, stage after stage; at least one.
        stages: Vec<StageRule>,
        /// What goes on with the outcome.
        then: Continuations,
    },
}

/// Why an earlier rule is not the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver<'a> {
    /// Its name.
    pub rule: &'a str,
    /// Everything that does not match, in words.
    pub reasons: Vec<String>,
}

impl Policy {
    /// What becomes of a submission that was checked: always exactly one thing.
    pub fn route(&self, submission: &Submission, submitter: &EmailAddress) -> Routed<'_> {
        let facts = Facts::of(submission, submitter);
        let rule =
            self.rules.iter().find(|rule| rule.when.matches(&facts)).unwrap_or(&self.default);
        let (name, then) = (rule.name.clone(), rule.then.clone());
        let own = self.managers.own(submission, submitter);
        let route = own.map_err(|problem| vec![problem]).and_then(|own| match &rule.decision {
            Decision::Approve => Ok(Route::Approve { rule: name, then }),
            Decision::Reject => Ok(Route::Reject { rule: name, then }),
            Decision::Stages(stages) => {
                let above = self.managers.above(own, submitter);
                staffed(rule, stages, &above, submitter).map(|stages| Route::Stages {
                    rule: name,
                    stages,
                    then,
                })
            }
        });
        Routed { rule, route }
    }

    /// Why each rule before the one that matched did not.
    pub fn passed_over(
        &self,
        submission: &Submission,
        submitter: &EmailAddress,
    ) -> Vec<PassedOver<'_>> {
        let facts = Facts::of(submission, submitter);
        let before = self.rules.iter().take_while(|rule| !rule.when.matches(&facts));
        let passed_over = |rule: &'_ Rule| -> Vec<String> {
            let aspects = Aspect::ALL.iter().filter(|aspect| !rule.when.admits(**aspect, &facts));
            aspects.map(|aspect| rule.when.refusal(*aspect, &facts)).collect()
        };
        before.map(|rule| PassedOver { rule: &rule.name, reasons: passed_over(rule) }).collect()
    }

    /// The calendar that waits and absences are meant by.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Who is away when, and who stands in.
    pub fn absences(&self) -> &[Absence] {
        &self.absences
    }

    /// What to record of the calendar with these stages: nothing where they wait by the clock only
    /// and nobody is away.
    pub fn calendar_for(
        &self,
        stages: &[StageRule],
        absences: &[Absence],
        at: jiff::Timestamp,
    ) -> Option<Calendar> {
        let needed = |stage: &StageRule| {
            let levels = stage.escalations.iter().map(|level| &level.time);
            levels.chain([&stage.time]).any(super::TimePlan::needs_calendar)
        };
        (!absences.is_empty() || stages.iter().any(needed))
            .then(|| self.calendar.from_date_on(self.calendar.date(at)))
    }

    /// The absences from now on that can matter to these stages.
    pub fn absences_for(&self, stages: &[StageRule], at: jiff::Timestamp) -> Vec<Absence> {
        let reviewers: Vec<EmailAddress> =
            stages.iter().flat_map(StageRule::everybody).cloned().collect();
        concerning(&reviewers, &self.absences, self.calendar.date(at))
    }
}

/// Fills the places of a rule's stages.
fn staffed(
    rule: &Rule,
    stages: &[Stage],
    above: &[EmailAddress],
    submitter: &EmailAddress,
) -> Result<Vec<StageRule>, Vec<Problem>> {
    let mut planned = Vec::new();
    let mut problems = Vec::new();
    for stage in stages {
        match staff(stage, above, submitter) {
            Ok(stage) => planned.push(stage),
            Err(why) => problems.push(problem(
                "$.submitter",
                format!("{why} (rule {:?}, stage {:?})", rule.name, stage.name),
            )),
        }
    }
    if problems.is_empty() { Ok(planned) } else { Err(problems) }
}

/// Fills a stage's places for a submitter, who gets none. Where the quorum would be out of reach
/// without them, who is above them takes their place.
fn staff(
    stage: &Stage,
    above: &[EmailAddress],
    submitter: &EmailAddress,
) -> Result<StageRule, String> {
    let asks_manager = stage.reviewers.iter().any(|ask| !matches!(ask, Ask::Person(_)));
    if asks_manager && above.is_empty() {
        return Err("has no manager in the rules but themselves".into());
    }
    let mut reviewers = people(&stage.reviewers, above, submitter);
    let mut higher = above.iter();
    while !in_reach(stage.quorum, reviewers.len()) {
        match higher.next() {
            Some(manager) if reviewers.contains(manager) => {}
            Some(manager) => reviewers.push(manager.clone()),
            None => {
                return Err(format!(
                    "leaves {} to approve, of whom {} are needed: nobody approves their own \
                     submission, and the rules have no manager above them",
                    reviewers.len(),
                    stage.quorum.approvals(reviewers.len()).max(1),
                ));
            }
        }
    }
    let escalations = levels(stage, &reviewers, above, submitter);
    Ok(StageRule {
        name: stage.name.clone(),
        reviewers,
        quorum: stage.quorum,
        time: stage.time.clone(),
        on_deadline: stage.on_deadline,
        escalations,
    })
}

/// The levels of escalation. One that asks nobody who could not decide before, or leaves too few for
/// the quorum, is left out.
fn levels(
    stage: &Stage,
    reviewers: &[EmailAddress],
    above: &[EmailAddress],
    submitter: &EmailAddress,
) -> Vec<Level> {
    let mut able = reviewers.to_vec();
    let mut levels = Vec::new();
    for Escalation { reviewers, time, keep_earlier } in &stage.escalations {
        let reviewers = people(reviewers, above, submitter);
        let Some(after) = deciding(&able, &reviewers, *keep_earlier) else { continue };
        if in_reach(stage.quorum, after.len()) {
            able = after;
            levels.push(Level { reviewers, time: time.clone(), keep_earlier: *keep_earlier });
        }
    }
    levels
}

/// Who can decide once a level is asked, those whom it names among them: nobody is told to stay who
/// stays anyway. `None` where all of them could before.
pub(super) fn deciding<T: Clone + PartialEq>(
    able: &[T],
    named: &[T],
    keep_earlier: bool,
) -> Option<Vec<T>> {
    if named.iter().all(|who| able.contains(who)) {
        return None;
    }
    let kept = able.iter().filter(|who| keep_earlier && !named.contains(who));
    Some(kept.chain(named).cloned().collect())
}

/// Who that is, for a submitter: each once.
fn people(asks: &[Ask], above: &[EmailAddress], submitter: &EmailAddress) -> Vec<EmailAddress> {
    let mut people: Vec<EmailAddress> = Vec::new();
    for ask in asks {
        let person = match ask {
            Ask::Person(person) => Some(person),
            Ask::Manager => above.first(),
            // Or the highest there is.
            Ask::ManagersManager => above.get(1).or(above.first()),
        };
        let new = |who: &&EmailAddress| *who != submitter && !people.contains(who);
        people.extend(person.filter(new).cloned());
    }
    people
}

/// Whether so many people can approve.
pub(super) fn in_reach(quorum: Quorum, people: usize) -> bool {
    people >= quorum.approvals(people).max(1)
}
