//! Applies rules to a submission.

use countersign_protos::{
    submission::problem,
    v1::{Field, Problem, Submission},
};

use super::{
    Absence, Calendar, PlannedLevel, PlannedStage, Policy, Wait,
    absence::{concerning, too_few_left},
    rules::{Ask, Aspect, Decision, Escalation, Facts, Rule, RuleStage},
};
use crate::{
    approval::{EmailAddress, Verdict},
    fields,
};

/// The rule that matches a submission, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Routed<'a> {
    pub rule: &'a Rule,
    /// Or why there is nobody to ask, as problems of the submission.
    pub route: Result<Route, Vec<Problem>>,
    /// What those who decide fill in, or why the submission's own fields do not go with those of the rule.
    pub fields: Result<Vec<Field>, Vec<Problem>>,
}

/// What a rule does with a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Decided(Verdict),
    /// Never empty.
    Stages(Vec<PlannedStage>),
}

impl Policy {
    /// The route of a valid submission: every one has exactly one.
    pub fn route(&self, submission: &Submission, submitter: &EmailAddress) -> Routed<'_> {
        let facts = Facts::of(submission, submitter);
        let rule =
            self.rules.iter().find(|rule| rule.when.matches(&facts)).unwrap_or(&self.default);
        let own = self.managers.own(submission, submitter);
        let route = own.map_err(|problem| vec![problem]).and_then(|own| match &rule.decision {
            Decision::Verdict(verdict) => Ok(Route::Decided(*verdict)),
            Decision::Stages(stages) => {
                let above = self.managers.above(own, submitter);
                staffed(rule, stages, &above, submitter).map(Route::Stages)
            }
        });
        let fields = fields::together(&rule.name, &rule.fields, &submission.fields);
        Routed { rule, route, fields }
    }

    /// The rules before the one that matches, each with its conditions that do not match, as text.
    pub fn passed_over(
        &self,
        submission: &Submission,
        submitter: &EmailAddress,
    ) -> Vec<(&str, Vec<String>)> {
        let facts = Facts::of(submission, submitter);
        let before = self.rules.iter().take_while(|rule| !rule.when.matches(&facts));
        let reasons = |rule: &Rule| -> Vec<String> {
            let aspects = Aspect::ALL.iter().filter(|aspect| !rule.when.admits(**aspect, &facts));
            aspects.map(|aspect| rule.when.refusal(*aspect, &facts)).collect()
        };
        before.map(|rule| (rule.name.as_str(), reasons(rule))).collect()
    }

    /// Why too few people of a stage are there if it opens at that moment, for somebody is away without a
    /// deputy.
    pub fn too_few_left(&self, stage: &PlannedStage, at: jiff::Timestamp) -> Option<String> {
        let reviewers: Vec<&EmailAddress> = stage.reviewers.iter().collect();
        too_few_left(&reviewers, &self.absences, self.calendar.date(at), stage.quorum)
    }

    /// The same as a problem of a submission for which a rule asks these stages: the first one opens at once.
    pub fn nobody_left(
        &self,
        rule: &Rule,
        stages: &[PlannedStage],
        at: jiff::Timestamp,
    ) -> Option<Problem> {
        let first = stages.first()?;
        self.too_few_left(first, at).map(|why| unstaffed(why, &rule.name, &first.name))
    }

    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    pub fn absences(&self) -> &[Absence] {
        &self.absences
    }

    /// What to record of the calendar with these stages: nothing if they use no working time and nobody is
    /// away.
    pub fn calendar_for(
        &self,
        stages: &[PlannedStage],
        changes_within: Wait,
        absences: &[Absence],
        at: jiff::Timestamp,
    ) -> Option<Calendar> {
        let needed = |stage: &PlannedStage| {
            let levels = stage.escalations.iter().map(|level| &level.time);
            levels.chain([&stage.time]).any(super::TimePlan::needs_calendar)
        };
        let in_working_time = changes_within.is_working_time() || stages.iter().any(needed);
        (!absences.is_empty() || in_working_time)
            .then(|| self.calendar.from_date_on(self.calendar.date(at)))
    }

    /// The absences from that moment on that can concern these stages.
    pub fn absences_for(&self, stages: &[PlannedStage], at: jiff::Timestamp) -> Vec<Absence> {
        let reviewers: Vec<EmailAddress> =
            stages.iter().flat_map(PlannedStage::everybody).cloned().collect();
        concerning(&reviewers, &self.absences, self.calendar.date(at))
    }
}

fn unstaffed(why: String, rule: &str, stage: &str) -> Problem {
    problem("$.submitter", format!("{why} (rule {rule:?}, stage {stage:?})"))
}

/// The stages of a rule for one submitter.
fn staffed(
    rule: &Rule,
    stages: &[RuleStage],
    above: &[EmailAddress],
    submitter: &EmailAddress,
) -> Result<Vec<PlannedStage>, Vec<Problem>> {
    let mut planned: Vec<PlannedStage> = Vec::new();
    let mut problems = Vec::new();
    for stage in stages {
        let mut barred = vec![submitter.clone()];
        if rule.different_people {
            barred.extend(planned.iter().flat_map(PlannedStage::everybody).cloned());
        }
        match staff(stage, above, &barred) {
            Ok(stage) => planned.push(stage),
            Err(why) => problems.push(unstaffed(why, &rule.name, &stage.name)),
        }
    }
    if problems.is_empty() { Ok(planned) } else { Err(problems) }
}

/// A stage for one submitter. Some people are not asked: the submitter, and, where the rule asks different
/// people, those of the stages before. If that puts the quorum out of reach, the people above the submitter
/// take their place.
fn staff(
    stage: &RuleStage,
    above: &[EmailAddress],
    barred: &[EmailAddress],
) -> Result<PlannedStage, String> {
    let asks_manager = stage.reviewers.iter().any(|ask| !matches!(ask, Ask::Person(_)));
    if asks_manager && above.is_empty() {
        return Err("has no manager in the rules other than themselves".into());
    }
    let mut reviewers = people(&stage.reviewers, above, barred);
    let mut higher = above.iter();
    while !stage.quorum.is_in_reach(reviewers.len()) {
        match higher.next() {
            Some(manager) if reviewers.contains(manager) || barred.contains(manager) => {}
            Some(manager) => reviewers.push(manager.clone()),
            None => {
                let others = match barred {
                    [_submitter] => "",
                    _ => " or decides two stages of this rule",
                };
                return Err(format!(
                    "leaves {} of the {} approvers needed: nobody approves their own submission{others}, \
                     and the rules have no manager above them",
                    reviewers.len(),
                    stage.quorum.approvals(reviewers.len()).max(1),
                ));
            }
        }
    }
    let escalations = levels(stage, &reviewers, above, barred);
    Ok(PlannedStage {
        name: stage.name.clone(),
        reviewers,
        quorum: stage.quorum,
        time: stage.time.clone(),
        on_deadline: stage.on_deadline,
        escalations,
    })
}

/// The levels of escalation, without those that ask nobody new or leave too few for the quorum.
fn levels(
    stage: &RuleStage,
    reviewers: &[EmailAddress],
    above: &[EmailAddress],
    barred: &[EmailAddress],
) -> Vec<PlannedLevel> {
    let mut able = reviewers.to_vec();
    let mut levels = Vec::new();
    for Escalation { reviewers, time, keep_earlier } in &stage.escalations {
        let reviewers = people(reviewers, above, barred);
        let Some(after) = deciding(&able, &reviewers, *keep_earlier) else { continue };
        if stage.quorum.is_in_reach(after.len()) {
            able = after;
            levels.push(PlannedLevel {
                reviewers,
                time: time.clone(),
                keep_earlier: *keep_earlier,
                fallback: false,
            });
        }
    }
    let fallback = people(&stage.fallback, above, barred);
    if stage.quorum.is_in_reach(fallback.len()) {
        levels.push(PlannedLevel::fallback(fallback, stage.time.clone()));
    }
    levels
}

/// Who can decide once a level is asked. `None` if everybody in it could before.
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

/// Who is meant for this submitter: each once, without those who are barred.
pub(super) fn people(
    asks: &[Ask],
    above: &[EmailAddress],
    barred: &[EmailAddress],
) -> Vec<EmailAddress> {
    let mut people: Vec<EmailAddress> = Vec::new();
    for ask in asks {
        let person = match ask {
            Ask::Person(person) => Some(person),
            Ask::Manager => above.first(),
            // Or else the highest there is.
            Ask::ManagersManager => above.get(1).or(above.first()),
        };
        let new = |who: &&EmailAddress| !barred.contains(who) && !people.contains(who);
        people.extend(person.filter(new).cloned());
    }
    people
}
