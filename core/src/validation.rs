//! From a submission as it was sent to a plan, or to every problem in it.
//!
//! The worker's settings come in as [`Routing`]; the activity around this records the plan.

mod document;

use std::{collections::BTreeSet, fmt::Display, str::FromStr};

use countersign_protos::{
    answers::Kind,
    submission::problem,
    text,
    v1::{self, Document, Field, Problem, Submission, Submitter},
};
use jiff::Timestamp;

use crate::{
    approval::{EmailAddress, OnDeadline, Quorum},
    fields::{self, MAX_FIELDS, Part},
    limits::{MAX_REVIEWER_BYTES, MAX_SEATS},
    policy::{
        Absence, Calendar, MAX_REMINDERS, Plan, PlannedLevel, PlannedStage, Policy, Reminder,
        Route, TimePlan, Wait, most_bytes,
    },
};

/// The worker's settings for submissions.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// Who is asked if there are no rules and the submission names nobody.
    pub reviewers: Vec<EmailAddress>,
    /// Whether outcomes go to a webhook.
    pub webhook: bool,
}

/// The last one says how many more there are.
const MAX_PROBLEMS: usize = 200;
/// A submission is carried in the input of each mail's activity, and once more with its workflow.
/// Temporal takes 4 MiB a message and 2 MiB a payload: <https://docs.temporal.io/cloud/limits>.
const MAX_CARRIED_BYTES: usize = 2 * 1024 * 1024;

/// Checks a submission that was read with these problems already, and routes it, by rules where
/// there are any, as of a moment.
pub fn validate(
    submission: Submission,
    problems: Vec<Problem>,
    routing: &Routing,
    rules: Option<&Policy>,
    at: Timestamp,
) -> Result<Plan, Vec<Problem>> {
    let mut checks = Checks::new(problems);
    let plan = checks.submission(submission, routing, rules, at);
    match plan {
        Some(plan) if checks.problems.is_empty() => Ok(plan),
        _ => Err(checks.finish()),
    }
}

/// As [`validate`] by rules, but without applying them: the submission with its amounts in their
/// currency's decimals, and who asks.
///
/// # Errors
/// Every problem.
pub fn check(
    mut submission: Submission,
    problems: Vec<Problem>,
    rules: &Policy,
) -> Result<(Submission, EmailAddress), Vec<Problem>> {
    let mut checks = Checks::new(problems);
    let submitter = checks.content(&mut submission);
    if let Some(policy) = &submission.approval {
        checks.own_policy(policy, Some(rules), submitter.as_ref());
    }
    match submitter {
        Some(submitter) if checks.problems.is_empty() => Ok((submission, submitter)),
        _ => Err(checks.finish()),
    }
}

struct Checks {
    problems: Vec<Problem>,
    /// Their paths. There may be a hundred thousand.
    wrong: BTreeSet<String>,
}

impl Checks {
    fn new(problems: Vec<Problem>) -> Self {
        let wrong = problems.iter().map(|problem| problem.path.clone()).collect();
        Self { problems, wrong }
    }

    fn finish(mut self) -> Vec<Problem> {
        if self.problems.len() > MAX_PROBLEMS {
            let more = self.problems.len() - (MAX_PROBLEMS - 1);
            self.problems.truncate(MAX_PROBLEMS - 1);
            self.problems.push(problem("$", format!("has {more} more problems")));
        }
        self.problems
    }

    /// Reports a problem, unless something at or above this path is wrong already.
    fn report(&mut self, path: &str, message: impl Into<String>) {
        let above = path.match_indices(['.', '[']).map(|(end, _)| &path[..end]);
        if !above.chain([path]).any(|path| self.wrong.contains(path)) {
            self.wrong.insert(path.to_owned());
            self.problems.push(problem(path, message));
        }
    }

    /// The value, or a report of the error.
    fn accept<T, E: Display>(&mut self, path: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.report(path, error.to_string())).ok()
    }

    fn submission(
        &mut self,
        mut submission: Submission,
        routing: &Routing,
        rules: Option<&Policy>,
        at: Timestamp,
    ) -> Option<Plan> {
        let submitter = self.content(&mut submission);
        let stages = match (&submission.approval, rules) {
            (Some(policy), rules) => self.own_policy(policy, rules, submitter.as_ref()),
            // Rules apply to valid submissions only.
            (None, Some(_)) => Vec::new(),
            (None, None) => self.default_stage(routing, submitter.as_ref()),
        };
        let mut plan = Plan::asking(submission, submitter?, stages);
        plan.webhook = routing.webhook;
        if self.problems.is_empty() {
            plan = self.apply(rules, plan, at);
            self.carried(&plan);
            self.answered(&plan);
        }
        Some(plan)
    }

    /// Adds what rules say to a plan.
    fn apply(&mut self, rules: Option<&Policy>, mut plan: Plan, at: Timestamp) -> Plan {
        let Some(rules) = rules else {
            let needed = |stage: &PlannedStage| stage.time.needs_calendar();
            plan.calendar = plan.stages.iter().any(needed).then(Calendar::default);
            return plan;
        };
        plan.restrictions.operators = rules.operators().clone();
        plan.time_zone = rules.calendar().zone_name().to_owned();
        if plan.submission.approval.is_none() {
            let routed = rules.route(&plan.submission, &plan.submitter);
            plan.rule.clone_from(&routed.rule.name);
            plan.restrictions.different_people = routed.rule.different_people;
            plan.tell_submitter = routed.rule.tell_submitter;
            plan.follow_ups.clone_from(&routed.rule.follow_ups);
            plan.confirm = routed.rule.confirm;
            plan.restrictions.comment_required.clone_from(&routed.rule.comment_required);
            plan.restrictions.delegate_to.clone_from(&routed.rule.delegate_to);
            plan.changes_within = routed.rule.changes_within;
            plan.submitter_link = routed.rule.submitter_link;
            match routed.fields {
                Ok(fields) => plan = plan.with_fields(fields),
                Err(problems) => self.problems.extend(problems),
            }
            match routed.route {
                Ok(Route::Decided(verdict)) => plan.rule_decision = Some(verdict),
                Ok(Route::Stages(stages)) => {
                    self.problems.extend(rules.nobody_left(routed.rule, &stages, at));
                    plan.stages = stages;
                }
                Err(problems) => self.problems.extend(problems),
            }
        }
        plan.absences = rules.absences_for(&plan.stages, at);
        // A rules file was checked for that when it was read.
        if plan.submission.approval.is_some() {
            for (i, stage) in plan.stages.iter().enumerate() {
                let path = format!("$.approval.stages[{i}].reviewers");
                self.check_attribute_size(&path, &stage.reviewers, &plan.absences);
            }
            let first = plan.stages.first().and_then(|stage| rules.too_few_left(stage, at));
            if let Some(why) = first {
                self.report("$.approval.stages[0].reviewers", why);
            }
        }
        plan.calendar = rules.calendar_for(&plan.stages, plan.changes_within, &plan.absences, at);
        plan
    }

    /// Reports a submission that is too large to be sent to as many people.
    fn carried(&mut self, plan: &Plan) {
        if let Err(too_large) = carried(plan) {
            self.report(&too_large.path, too_large.message);
        }
    }

    /// Reports fields whose answers would not fit from so many people.
    fn answered(&mut self, plan: &Plan) {
        let people = plan.stages.iter().flat_map(PlannedStage::everybody).count();
        if let Some(why) = fields::too_much(&plan.submission.fields, people) {
            self.report("$.fields", why);
        }
    }

    /// Checks everything but who is asked. Returns the submitter's address.
    fn content(&mut self, submission: &mut Submission) -> Option<EmailAddress> {
        // A submission may come back as `status` has it.
        submission.fields.retain(|field| !field.from_rule);
        trim(submission);
        self.fields(&mut submission.fields);
        self.required("$.submissionId", &submission.submission_id, 128);
        self.line("$.submissionType", &submission.submission_type, 128);
        if submission.submitter.is_none() {
            self.report("$.submitter", "is required: an object with name and email");
        }
        if submission.document.is_none() {
            self.report("$.document", "is required: an object with a title");
        }
        let submitter = submission.submitter.as_ref().and_then(|who| self.submitter(who));
        if let Some(document) = &mut submission.document {
            document::check(self, document);
        }
        // Any other time could be written into the history, but not read back.
        if submission.submitted_at.as_ref().is_some_and(|time| text::timestamp(time).is_none()) {
            self.report("$.submittedAt", "must be a time in the years 1 to 9999");
        }
        submitter
    }

    /// What reviewers fill in. Each field gets its type.
    fn fields(&mut self, fields: &mut [Field]) {
        if fields.len() > MAX_FIELDS {
            return self.report("$.fields", format!("has more than {MAX_FIELDS} elements"));
        }
        for i in 0..fields.len() {
            let path = format!("$.fields[{i}]");
            for (part, message) in fields::wrong(&fields[i]) {
                let within = match part {
                    Part::Name => ".name".to_owned(),
                    Part::Label => ".label".to_owned(),
                    Part::Type => ".type".to_owned(),
                    Part::Choices => ".choices".to_owned(),
                    Part::Choice(choice) => format!(".choices[{choice}]"),
                    Part::RequiredFor(verdict) => format!(".requiredFor[{verdict}]"),
                };
                self.report(&format!("{path}{within}"), message);
            }
            let (before, field) = (&fields[..i], &fields[i]);
            if !field.name.is_empty() && before.iter().any(|other| other.name == field.name) {
                self.report(&format!("{path}.name"), "is the name of another field");
            }
            if let Some(kind) = Kind::of(field) {
                fields[i].r#type = kind.name().to_owned();
            }
        }
    }

    fn submitter(&mut self, submitter: &Submitter) -> Option<EmailAddress> {
        self.required("$.submitter.name", &submitter.name, 200);
        self.line("$.submitter.department", &submitter.department, 200);
        self.line("$.submitter.employeeId", &submitter.employee_id, 200);
        if submitter.email.is_empty() {
            self.report("$.submitter.email", "is required");
            return None;
        }
        self.accept("$.submitter.email", submitter.email.parse())
    }

    fn default_stage(
        &mut self,
        routing: &Routing,
        submitter: Option<&EmailAddress>,
    ) -> Vec<PlannedStage> {
        let mut reviewers = routing.reviewers.clone();
        reviewers.retain(|reviewer| Some(reviewer) != submitter);
        if reviewers.is_empty() {
            let message = match routing.reviewers.is_empty() {
                true => "is required: the worker has no default reviewers (COUNTERSIGN_REVIEWERS)",
                false => "is required: the only default reviewer is the submitter",
            };
            self.report("$.approval", message);
        }
        let (number, bytes) = (reviewers.len(), most_bytes(&reviewers, &[]));
        if number > MAX_SEATS || bytes > MAX_REVIEWER_BYTES {
            let message = format!(
                "is required: the worker's {number} default reviewers (COUNTERSIGN_REVIEWERS) take \
                 {bytes} bytes; at most {MAX_SEATS} reviewers and {MAX_REVIEWER_BYTES} bytes fit"
            );
            self.report("$.approval", message);
        }
        vec![PlannedStage {
            name: "Approval".into(),
            reviewers,
            quorum: Quorum::Any,
            time: TimePlan::default(),
            on_deadline: OnDeadline::Expire,
            escalations: Vec::new(),
        }]
    }

    /// The stages that a submission names itself. Rules must allow that: otherwise a submitter could
    /// choose an accomplice.
    fn own_policy(
        &mut self,
        policy: &v1::Policy,
        rules: Option<&Policy>,
        submitter: Option<&EmailAddress>,
    ) -> Vec<PlannedStage> {
        if rules.is_some_and(|rules| !rules.may_name_reviewers()) {
            self.report(
                "$.approval",
                "must be left out: the routing rules (COUNTERSIGN_POLICY) decide who is asked. They let \
                 submissions name reviewers only with `may_name_reviewers = true` in [submissions]",
            );
            return Vec::new();
        }
        if policy.stages.is_empty() {
            self.report("$.approval.stages", "is required: at least one stage");
        }
        let asks = |stage: &v1::Stage| stage.reviewers.len() + stage.fallback.len();
        let reviewers: usize = policy.stages.iter().map(asks).sum();
        if reviewers > MAX_SEATS {
            let message = format!("ask {reviewers} reviewers; at most {MAX_SEATS} can be asked");
            self.report("$.approval.stages", message);
        }
        let stages = policy.stages.iter().enumerate();
        stages.map(|(i, stage)| self.stage(i, stage, rules, submitter)).collect()
    }

    fn stage(
        &mut self,
        i: usize,
        stage: &v1::Stage,
        rules: Option<&Policy>,
        submitter: Option<&EmailAddress>,
    ) -> PlannedStage {
        let path = format!("$.approval.stages[{i}]");
        let name = stage.name.trim();
        self.line(&format!("{path}.name"), name, 100);
        let name = if name.is_empty() { format!("Stage {}", i + 1) } else { name.to_owned() };
        let named = format!("{path}.reviewers");
        let reviewers = self.reviewers(&named, &stage.reviewers, rules, submitter);
        let quorum = self.optional(&format!("{path}.quorum"), &stage.quorum).unwrap_or(Quorum::Any);
        for (what, number) in
            [("reviewers", stage.reviewers.len()), ("in `fallback`", stage.fallback.len())]
        {
            if number > 0 && quorum.approvals(number) > number {
                let message = format!("{quorum} approvals can never come from {number} {what}");
                self.report(&format!("{path}.quorum"), message);
            }
        }
        let deadline: Option<Wait> = self.optional(&format!("{path}.deadline"), &stage.deadline);
        let deadline = deadline.unwrap_or_default();
        let on_deadline = self.optional(&format!("{path}.onDeadline"), &stage.on_deadline);
        let on_deadline = on_deadline.unwrap_or_default();
        if on_deadline == OnDeadline::Approve && rules.is_some() {
            let message = "must not be \"approve\": only the routing rules (COUNTERSIGN_POLICY) let \
                           silence approve";
            self.report(&format!("{path}.onDeadline"), message);
        }
        let reminders = self.reminders(&format!("{path}.reminders"), &stage.reminders, deadline);
        let time = TimePlan { deadline, reminders };
        let escalations = match stage.fallback.is_empty() {
            true => Vec::new(),
            false => {
                let path = format!("{path}.fallback");
                let fallback = self.reviewers(&path, &stage.fallback, rules, submitter);
                vec![PlannedLevel::fallback(fallback, time.clone())]
            }
        };
        PlannedStage { name, reviewers, quorum, time, on_deadline, escalations }
    }

    /// Rules that let a submission name its reviewers do not let it ask strangers.
    fn reviewers(
        &mut self,
        path: &str,
        reviewers: &[String],
        rules: Option<&Policy>,
        submitter: Option<&EmailAddress>,
    ) -> Vec<EmailAddress> {
        if reviewers.is_empty() {
            self.report(path, "is required: at least one e-mail address");
        }
        let mut seen = BTreeSet::new();
        let mut accepted = Vec::new();
        for (i, reviewer) in reviewers.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let Some(reviewer) = self.accept(&path, reviewer.parse::<EmailAddress>()) else {
                continue;
            };
            if Some(&reviewer) == submitter {
                self.report(&path, "is the submitter, who does not approve their own submission");
            } else if !seen.insert(reviewer.clone()) {
                self.report(&path, "is already in this stage: one reviewer has one vote");
            } else if rules.is_some_and(|rules| !rules.knows_domain_of(&reviewer)) {
                let message = format!(
                    "is outside the domains of the routing rules (COUNTERSIGN_POLICY): no address in \
                     them ends in @{}",
                    reviewer.domain()
                );
                self.report(&path, message);
            }
            accepted.push(reviewer);
        }
        self.check_attribute_size(path, &accepted, &[]);
        accepted
    }

    /// Reports reviewers who, themselves or their deputies, do not fit into a search attribute.
    fn check_attribute_size(
        &mut self,
        path: &str,
        reviewers: &[EmailAddress],
        absences: &[Absence],
    ) {
        let bytes = most_bytes(reviewers, absences);
        if bytes > MAX_REVIEWER_BYTES {
            let who = if absences.is_empty() { "" } else { " with their deputies" };
            self.report(path, format!("take {bytes} bytes{who}; at most {MAX_REVIEWER_BYTES} fit"));
        }
    }

    fn reminders(&mut self, path: &str, reminders: &[String], deadline: Wait) -> Vec<Reminder> {
        if reminders.len() > MAX_REMINDERS {
            self.report(path, format!("has more than {MAX_REMINDERS} elements"));
            return Vec::new();
        }
        let mut accepted = Vec::new();
        for (i, reminder) in reminders.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let Some(reminder) = self.accept(&path, reminder.parse::<Reminder>()) else { continue };
            self.accept(&path, reminder.suits(deadline));
            if !accepted.contains(&reminder) {
                accepted.push(reminder);
            }
        }
        accepted
    }

    /// What a string says, if it is not empty.
    fn optional<T: FromStr<Err: Display>>(&mut self, path: &str, text: &str) -> Option<T> {
        if text.is_empty() { None } else { self.accept(path, text.parse()) }
    }

    fn required(&mut self, path: &str, text: &str, max_chars: usize) {
        if text.trim().is_empty() {
            self.report(path, "is required");
        }
        self.line(path, text, max_chars);
    }

    /// A string of one line: for subjects, headings and table cells.
    fn line(&mut self, path: &str, text: &str, max_chars: usize) {
        if text.chars().any(char::is_control) {
            self.report(path, "must not contain line breaks or other control characters");
        } else if !text.trim().is_empty() && text::clean_line(text).is_empty() {
            self.report(path, "has only invisible characters");
        }
        self.length(path, text, max_chars);
    }

    /// A string that may have several lines.
    fn text(&mut self, path: &str, text: &str, max_chars: usize) {
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.report(
                path,
                "must not contain control characters other than line breaks and tabs",
            );
        }
        self.length(path, text, max_chars);
    }

    fn length(&mut self, path: &str, text: &str, max_chars: usize) {
        let chars = text.chars().count();
        if chars > max_chars {
            self.report(path, format!("has {chars} characters; at most {max_chars} are accepted"));
        }
    }
}

/// Whether a plan's submission, with the one that it revises, can be sent to as many people.
///
/// # Errors
/// That it is too large.
pub(crate) fn carried(plan: &Plan) -> Result<(), Problem> {
    let size = |it: &Submission| serde_json::to_vec(it).map_or(0, |json| json.len());
    let earlier = plan.previous.as_ref().map_or(0, size);
    let size = size(&plan.submission) + earlier;
    let with = if earlier == 0 { "" } else { " with the version before" };
    let people = plan.stages.iter().flat_map(PlannedStage::everybody).count();
    let carried = size * (people + 1);
    if carried <= MAX_CARRIED_BYTES {
        return Ok(());
    }
    let message = format!(
        "is too large: the submission{with} has {size} bytes and is carried once for each of {people} \
         people and once more, {carried} bytes in all; at most {MAX_CARRIED_BYTES} fit. Shorten it, \
         attach long texts, or ask fewer people"
    );
    Err(problem("$.document", message))
}

/// Trims strings of one line, which exports leave padded. The submission's ID is somebody's key and
/// stays as it is.
fn trim(submission: &mut Submission) {
    let Submission { submission_type, submitter, document, fields, .. } = submission;
    let fields =
        fields.iter_mut().flat_map(|field| field.choices.iter_mut().chain([&mut field.label]));
    let submitter = submitter.iter_mut().flat_map(|who| {
        let Submitter { name, department, employee_id, .. } = who;
        [name, department, employee_id]
    });
    let document = document.iter_mut().flat_map(|document| {
        let Document { title, category, items, details, .. } = document;
        let items = items.iter_mut().map(|item| &mut item.description);
        items.chain(details.iter_mut().map(|detail| &mut detail.label)).chain([title, category])
    });
    for text in submitter.chain(document).chain(fields).chain([submission_type]) {
        if text.trim().len() < text.len() {
            *text = text.trim().to_owned();
        }
    }
}

#[cfg(test)]
mod tests;
