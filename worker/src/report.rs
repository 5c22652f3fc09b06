//! How a [`Case`] looks from outside: the query's answer, the outcome, search attributes, and the
//! Web UI's current details. The sentences that people read about an outcome are here too.

use std::fmt::Write;

use countersign_protos::{
    names::{ATTRIBUTE_LINKS, ATTRIBUTE_REVIEWERS, ATTRIBUTE_STATUS, ATTRIBUTE_UNDELIVERABLE},
    v1,
    words::{self, to_message},
};
use jiff::Timestamp;
use temporalio_common::search_attributes::{
    SearchAttributeKey, SearchAttributeUpdate, SearchAttributes,
};

use crate::{
    approval::{Approval, End, Grounds, OnDeadline, Seat, Stage, Standing, Status, Verdict, Vote},
    case::{Begun, Case},
    limits::MAX_REVIEWER_BYTES,
};

const STATUS: SearchAttributeKey<String> = SearchAttributeKey::keyword(ATTRIBUTE_STATUS);
const REVIEWERS: SearchAttributeKey<Vec<String>> =
    SearchAttributeKey::keyword_list(ATTRIBUTE_REVIEWERS);
const LINKS: SearchAttributeKey<Vec<String>> = SearchAttributeKey::keyword_list(ATTRIBUTE_LINKS);
const UNDELIVERABLE: SearchAttributeKey<bool> = SearchAttributeKey::bool(ATTRIBUTE_UNDELIVERABLE);

impl Case {
    /// The answer of the query `status`.
    pub(crate) fn state(&self) -> v1::ApprovalState {
        let (ignored_signals, because) = self.ignored();
        let ignored_because = because.cloned().collect();
        let Some(begun) = self.begun() else {
            let (status, reason) = match self.refused() {
                Some(why) => (v1::Status::Unspecified, why),
                None => (v1::Status::Pending, ""),
            };
            return v1::ApprovalState {
                status: status.into(),
                reason: reason.to_owned(),
                ignored_signals,
                ignored_because,
                ..Default::default()
            };
        };
        let approval = &begun.approval;
        v1::ApprovalState {
            status: status(approval).into(),
            submission: Some(begun.plan.submission.clone()),
            stages: approval.stages().iter().map(|stage| begun.stage_state(stage)).collect(),
            decided_at: decided_at(approval).map(to_message),
            reason: reason(approval),
            ignored_signals,
            ignored_because,
            rule: begun.plan.rule.clone(),
            announcement_error: begun.untold.clone(),
            handing_on: self.handing_on().unwrap_or_default(),
            webhook_error: begun.webhook_error.clone(),
        }
    }

    /// What the workflow waits for when it is decided, in one sentence.
    fn handing_on(&self) -> Option<String> {
        let to = self.handing_on_to();
        let sentence = format!("Decided; handing the outcome on to {}.", to.join(" and "));
        (!to.is_empty()).then_some(sentence)
    }

    /// The outcome; of a case that is still pending, what it would be.
    pub(crate) fn outcome(&self) -> v1::Outcome {
        let Some(begun) = self.begun() else { return v1::Outcome::default() };
        let (approval, submission) = (&begun.approval, &begun.plan.submission);
        let opened = approval.stages().iter().filter(|stage| stage.opened_at().is_some());
        v1::Outcome {
            status: status(approval).into(),
            submission_id: submission.submission_id.clone(),
            submission_type: submission.submission_type.clone(),
            decided_at: decided_at(approval).map(to_message),
            reason: reason(approval),
            submitter: submission.submitter.clone(),
            document: submission.document.clone(),
            stages: opened.map(|stage| stage_outcome(approval, stage)).collect(),
            rule: begun.plan.rule.clone(),
            child_workflow_id: begun.child_workflow_id.clone(),
            child_namespace: begun.child_namespace.clone(),
        }
    }

    /// What a search finds the approval by.
    pub(crate) fn search_attributes(&self) -> Vec<SearchAttributeUpdate> {
        let Some(begun) = self.begun() else { return Vec::new() };
        let approval = &begun.approval;
        let asked = || approval.open_stage().into_iter().flat_map(Stage::undecided);
        let unreachable = asked().any(|seat| seat.standing == Standing::Unreachable);
        let seats = approval.stages().iter().flat_map(Stage::seats);
        let links = seats.map(|seat| seat.link.clone()).filter(|link| !link.is_empty());
        vec![
            STATUS.value_set(status(approval).as_str_name().to_owned()),
            REVIEWERS.value_set(fitting(asked().map(|seat| seat.reviewer.to_string()))),
            LINKS.value_set(links.collect()),
            UNDELIVERABLE.value_set(unreachable || begun.has_not_arrived()),
        ]
    }

    /// What the Web UI shows of a workflow at a glance, in Markdown.
    pub(crate) fn details(&self) -> String {
        let Some(begun) = self.begun() else { return String::new() };
        begun.details(self.handing_on(), self.ignored().0)
    }
}

/// Unsets those of an approval's search attributes that a workflow has.
///
/// An empty list unsets one, whatever its type
/// (<https://docs.temporal.io/search-attribute#remove-search-attribute>). What the SDK 1.1 sends for
/// `value_unset`, a payload without an encoding, the server refuses for ever.
pub(crate) fn unset(present: &SearchAttributes) -> Vec<SearchAttributeUpdate> {
    let all = [
        (present.contains_key(&STATUS), ATTRIBUTE_STATUS),
        (present.contains_key(&REVIEWERS), ATTRIBUTE_REVIEWERS),
        (present.contains_key(&LINKS), ATTRIBUTE_LINKS),
        (present.contains_key(&UNDELIVERABLE), ATTRIBUTE_UNDELIVERABLE),
    ];
    let nothing = |(_, name)| SearchAttributeKey::keyword_list(name).value_set(Vec::new());
    all.into_iter().filter(|(is_present, _)| *is_present).map(nothing).collect()
}

/// As many addresses as a search attribute holds: whoever is asked in another's place may have a
/// longer one, and a search attribute that is too large fails the workflow task.
fn fitting(addresses: impl Iterator<Item = String>) -> Vec<String> {
    let mut bytes = 0;
    let fits = |address: &String| {
        bytes += address.len() + 3;
        bytes <= MAX_REVIEWER_BYTES
    };
    addresses.take_while(fits).collect()
}

impl Begun {
    /// Whether the outcome cannot be delivered, to the submitter or to the webhook.
    fn has_not_arrived(&self) -> bool {
        !self.untold.is_empty() || !self.webhook_error.is_empty()
    }

    fn stage_state(&self, stage: &Stage) -> v1::StageState {
        let (plan, seats) = (stage.plan(), stage.seats().iter());
        v1::StageState {
            name: plan.name.clone(),
            status: stage_status(&self.approval, stage).into(),
            quorum: plan.quorum.to_string(),
            opened_at: stage.opened_at().map(to_message),
            deadline: stage.deadline().map(to_message),
            on_deadline: on_deadline(stage).into(),
            closed_at: stage.end().map(|(_, at)| to_message(at)),
            reviewers: match stage.opened_at() {
                Some(_) => seats.map(|seat| self.reviewer_state(stage, seat)).collect(),
                None => planned(stage).collect(),
            },
            escalations: stage.level() as u32,
        }
    }

    fn reviewer_state(&self, stage: &Stage, seat: &Seat) -> v1::ReviewerState {
        let mail = self.mails.get(&seat.link);
        v1::ReviewerState {
            reviewer: seat.reviewer.to_string(),
            link: seat.link.clone(),
            delivery: self.delivery(stage, seat).into(),
            delivery_error: mail.map(|mail| mail.error.clone()).unwrap_or_default(),
            vote: seat.vote.as_ref().map(|vote| vote_message(seat, vote)),
            reminders: mail.map(|mail| mail.reminders).unwrap_or_default(),
            on_behalf_of: seat.on_behalf_of.as_ref().map(ToString::to_string).unwrap_or_default(),
            released: seat.standing == Standing::Released && seat.vote.is_none(),
        }
    }

    fn delivery(&self, stage: &Stage, seat: &Seat) -> v1::Delivery {
        let waits = self.approval.open_stage() == Some(stage);
        let released = seat.standing == Standing::Released;
        match self.mails.get(&seat.link) {
            Some(mail) if !mail.error.is_empty() => v1::Delivery::Undeliverable,
            Some(mail) if mail.sent => v1::Delivery::Sent,
            _ if waits && seat.vote.is_none() && !released => v1::Delivery::Sending,
            _ => v1::Delivery::NotNeeded,
        }
    }

    fn details(&self, handing_on: Option<String>, ignored: u32) -> String {
        let submission = &self.plan.submission;
        let document = submission.document.clone().unwrap_or_default();
        let submitter = submission.submitter.clone().unwrap_or_default();
        let mut text = String::new();
        let _ = writeln!(
            text,
            "### {}\n\n**{}** for {}, submitted by {} ({})\n\n**{}** {}\n",
            markdown(&document.title),
            markdown(&words::money(&document.amount, &document.currency)),
            markdown(&submission.submission_id),
            markdown(&submitter.name),
            markdown(self.plan.submitter.as_str()),
            status(&self.approval).as_str_name(),
            markdown(&reason(&self.approval)),
        );
        if let Some(handing_on) = handing_on {
            let _ = writeln!(text, "{}\n", markdown(&handing_on));
        }
        for stage in self.approval.stages() {
            self.stage_details(&mut text, stage);
        }
        if !self.untold.is_empty() {
            let submitter = markdown(self.plan.submitter.as_str());
            let _ =
                writeln!(text, "\n{submitter} **cannot be reached**: {}", markdown(&self.untold));
        }
        if !self.child_workflow_id.is_empty() {
            let _ = writeln!(text, "\nIt goes on as {}", markdown(&self.child_workflow_id));
        }
        if !self.not_continued.is_empty() {
            let _ =
                writeln!(text, "\n**Nothing goes on with it**: {}", markdown(&self.not_continued));
        }
        if !self.webhook_error.is_empty() {
            let why = markdown(&self.webhook_error);
            let _ = writeln!(text, "\n**The webhook does not have the outcome**: {why}");
        }
        if ignored > 0 {
            let _ =
                writeln!(text, "\n{ignored} signals did not count; the query `status` says why.");
        }
        text
    }

    fn stage_details(&self, text: &mut String, stage: &Stage) {
        let name = markdown(&stage.plan().name);
        let Some(deadline) = stage.deadline().map(to_message) else {
            let _ = writeln!(text, "\n**{name}** is not opened yet");
            return;
        };
        let until = match stage.end() {
            Some((_, at)) => format!("ended {}", words::moment(Some(&to_message(at)))),
            None => format!("{} at {}", on_deadline(stage), words::moment(Some(&deadline))),
        };
        let escalated = match stage.level() {
            0 => String::new(),
            1 => ", escalated once".to_owned(),
            level => format!(", escalated {level} times"),
        };
        let quorum = stage.plan().quorum;
        let _ = writeln!(text, "\n**{name}** (quorum {quorum}{escalated}), {until}\n");
        for seat in stage.seats() {
            let reviewer = markdown(&person(seat));
            let _ = writeln!(text, "- {reviewer} {}", self.said(stage, seat));
        }
    }

    fn said(&self, stage: &Stage, seat: &Seat) -> String {
        let waits = self.approval.open_stage() == Some(stage);
        match (&seat.vote, self.delivery(stage, seat)) {
            (Some(vote), _) if vote.verdict == Verdict::Approve => "**approved**".to_owned(),
            (Some(_), _) => "**rejected**".to_owned(),
            (None, v1::Delivery::Undeliverable) => {
                let why = self.mails.get(&seat.link).map(|mail| mail.error.as_str());
                format!("**cannot be reached**: {}", markdown(why.unwrap_or_default()))
            }
            (None, _) if seat.standing == Standing::Released => {
                "did not decide; others were asked".to_owned()
            }
            (None, _) if !waits => "did not decide".to_owned(),
            (None, v1::Delivery::Sent) => "was asked".to_owned(),
            (None, _) => "is being asked".to_owned(),
        }
    }
}

fn status(approval: &Approval) -> v1::Status {
    match approval.status() {
        Status::Pending(..) => v1::Status::Pending,
        Status::Approved(..) => v1::Status::Approved,
        Status::Rejected(..) => v1::Status::Rejected,
        Status::Expired(..) => v1::Status::Expired,
        Status::Withdrawn(_) => v1::Status::Withdrawn,
    }
}

fn stage_status(approval: &Approval, stage: &Stage) -> v1::Status {
    match stage.end() {
        None if matches!(approval.status(), Status::Withdrawn(_)) => v1::Status::Withdrawn,
        None => v1::Status::Pending,
        Some((End::Approved, _)) => v1::Status::Approved,
        Some((End::Rejected, _)) => v1::Status::Rejected,
        Some((End::Expired, _)) => v1::Status::Expired,
    }
}

fn decided_at(approval: &Approval) -> Option<Timestamp> {
    match approval.status() {
        Status::Pending(..) => None,
        Status::Approved(_, at) | Status::Rejected(_, at) | Status::Expired(_, at) => Some(at),
        Status::Withdrawn(withdrawal) => Some(withdrawal.at),
    }
}

/// Why an approval has its status, in one sentence.
fn reason(approval: &Approval) -> String {
    match approval.status() {
        Status::Pending(_, stage) => waits_for(stage),
        Status::Approved(Grounds::Rule(rule), _) => format!("Approved by the rule {rule}."),
        Status::Rejected(Grounds::Rule(rule), _) => format!("Rejected by the rule {rule}."),
        Status::Approved(Grounds::Stage(stage), _) if stage.ended_by_deadline() => {
            deadline_passed(stage, "which counts as approval")
        }
        Status::Rejected(Grounds::Stage(stage), _) if stage.ended_by_deadline() => {
            match stage.plan().on_deadline {
                OnDeadline::Approve => {
                    let by = voters(stage, Verdict::Reject);
                    deadline_passed(stage, &format!("and counts as rejected, as {by} rejected it"))
                }
                _ => deadline_passed(stage, "which counts as rejection"),
            }
        }
        Status::Approved(Grounds::Stage(stage), _) | Status::Rejected(Grounds::Stage(stage), _) => {
            decided_by(stage)
        }
        Status::Expired(stage, _) => deadline_passed(stage, "which ends the approval"),
        Status::Withdrawn(withdrawal) if withdrawal.reason.is_empty() => {
            "Withdrawn before it was decided.".into()
        }
        Status::Withdrawn(withdrawal) => format!("Withdrawn: {}", withdrawal.reason),
    }
}

fn waits_for(stage: &Stage) -> String {
    let name = &stage.plan().name;
    if stage.opened_at().is_none() {
        return format!("{name} is asked next.");
    }
    let seats = stage.electorate();
    let approvals =
        stage.votes().iter().filter(|(_, vote)| vote.verdict == Verdict::Approve).count();
    match stage.plan().quorum.approvals(seats) {
        1 => format!("{name} waits for a decision."),
        needed => format!("{name} has {approvals} of the {needed} approvals it needs."),
    }
}

fn decided_by(stage: &Stage) -> String {
    let Some((end, _)) = stage.end() else { return String::new() };
    match end {
        End::Approved => format!("Approved by {}.", voters(stage, Verdict::Approve)),
        _ => format!("Rejected by {}.", voters(stage, Verdict::Reject)),
    }
}

/// Who decided so, in the order in which they did.
fn voters(stage: &Stage, verdict: Verdict) -> String {
    let votes = stage.votes();
    let so = votes.iter().filter(|(_, vote)| vote.verdict == verdict);
    let names: Vec<&str> = so.map(|(seat, _)| seat.reviewer.as_str()).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nobody".to_owned(),
    }
}

fn deadline_passed(stage: &Stage, consequence: &str) -> String {
    format!("{} was not decided before its deadline, {consequence}.", stage.plan().name)
}

fn stage_outcome(approval: &Approval, stage: &Stage) -> v1::StageOutcome {
    let votes = stage.votes();
    let silent = stage.seats().iter().filter(|seat| seat.vote.is_none());
    v1::StageOutcome {
        name: stage.plan().name.clone(),
        status: stage_status(approval, stage).into(),
        decisions: votes.iter().map(|(seat, vote)| vote_message(seat, vote)).collect(),
        undecided: silent.map(|seat| seat.reviewer.to_string()).collect(),
    }
}

fn vote_message(seat: &Seat, vote: &Vote) -> v1::Vote {
    v1::Vote {
        reviewer: seat.reviewer.to_string(),
        link: seat.link.clone(),
        verdict: vote.verdict.into(),
        comment: vote.comment.clone(),
        decided_at: Some(to_message(vote.at)),
        on_behalf_of: seat.on_behalf_of.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn on_deadline(stage: &Stage) -> &'static str {
    let escalates = match stage.opened_at() {
        Some(_) => stage.has_next_level(),
        None => stage.plan().levels.len() > 1,
    };
    match stage.on_deadline() {
        _ if escalates => "escalate",
        OnDeadline::Expire => "expire",
        OnDeadline::Reject => "reject",
        OnDeadline::Approve => "approve",
    }
}

/// Who is asked first in a stage that is not open yet.
fn planned(stage: &Stage) -> impl Iterator<Item = v1::ReviewerState> {
    let first = stage.plan().levels.first().into_iter().flat_map(|level| &level.reviewers);
    first.map(|reviewer| v1::ReviewerState { reviewer: reviewer.to_string(), ..Default::default() })
}

/// A reviewer, and whose deputy they are.
fn person(seat: &Seat) -> String {
    match &seat.on_behalf_of {
        Some(absent) => format!("{} (for {absent})", seat.reviewer),
        None => seat.reviewer.to_string(),
    }
}

/// Text as data in Markdown: what would be markup is escaped.
fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '(' | ')' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        approval::{EmailAddress, Quorum},
        policy::{Continuation, Plan, StageRule, TimePlan},
    };
    use countersign_protos::payload::{self, Encoding};

    fn address(name: &str) -> EmailAddress {
        format!("{name}@example.com").parse().expect("an address")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn stage(name: &str, reviewers: &[&str], quorum: Quorum) -> StageRule {
        StageRule {
            name: name.into(),
            reviewers: reviewers.iter().map(|name| address(name)).collect(),
            quorum,
            time: TimePlan { deadline: "24h".parse().expect("a wait"), reminders: vec![] },
            on_deadline: OnDeadline::Reject,
            escalations: vec![],
        }
    }

    fn open(case: &mut Case, links: &[&str], time: &str) {
        let (_, issue) = case.to_issue(at(time)).expect("somebody to ask");
        case.issued(issue.with_links(links), at(time));
    }

    #[test]
    fn a_submission_that_cannot_be_used_waits_for_nobody() {
        let mut case = Case::default();
        assert_eq!(case.state().status(), v1::Status::Pending);
        case.refuse("The submission cannot be used.".to_owned());
        assert_eq!(case.state().status(), v1::Status::Unspecified);
        assert_eq!(case.state().reason, "The submission cannot be used.");
    }

    #[test]
    fn what_goes_on_and_whoever_cannot_be_told_stand_in_the_details() {
        let mut case = case();
        case.continued_by("po-1-approved".into(), Some("finance".into()), Ok(()));
        assert!(case.details().contains("\nIt goes on as po-1-approved\n"), "{}", case.details());
        assert_eq!(case.outcome().child_namespace, "finance");
        case.continued_by("po-1-approved".into(), None, Err("it is there".into()));
        let told = "**Nothing goes on with it**: po-1-approved could not be started: it is there";
        assert!(case.details().contains(told), "{}", case.details());
        case.conclude();
        let (number, _) = case.announcements(0).pop().expect("the submitter is told");
        assert!(case.told(number, Err("no such mailbox".into())));
        assert!(case.details().contains("**cannot be reached**: no such mailbox"));
    }

    #[test]
    fn a_webhook_that_takes_no_outcome_is_to_be_seen_wherever_one_looks() {
        let undeliverable = |case: &Case| {
            let name = ATTRIBUTE_UNDELIVERABLE;
            let attributes = case.search_attributes();
            let shown = attributes.iter().find(|update| format!("{update:?}").contains(name));
            format!("{:?}", shown.expect("the attribute"))
        };
        let mut case = case();
        case.delivered("d", true, Ok(()));
        let before = undeliverable(&case);
        case.webhook_refused("the webhook answered 410 Gone".into());
        assert_ne!(undeliverable(&case), before, "a search finds it");
        assert_eq!(case.state().webhook_error, "the webhook answered 410 Gone");
        let told = "**The webhook does not have the outcome**: the webhook answered 410 Gone";
        assert!(case.details().contains(told), "{}", case.details());
    }

    #[test]
    fn a_stage_that_is_not_open_yet_has_no_approvals_to_count() {
        let stages = vec![
            stage("Manager", &["ann"], Quorum::Any),
            stage("Finance", &["bob", "cy"], Quorum::All),
        ];
        let mut case = Case::default();
        let now = "2026-11-24T09:00:00Z";
        case.begin(
            Default::default(),
            Plan::asking(Default::default(), address("sue"), stages),
            at(now),
        );
        assert_eq!(case.outcome().reason, "Manager is asked next.");
        let stages = case.state().stages;
        let on_deadline = stages.iter().map(|stage| stage.on_deadline.as_str());
        assert_eq!(on_deadline.collect::<Vec<_>>(), ["reject", "reject"], "nobody else is asked");
        open(&mut case, &["a"], now);
        assert_eq!(case.outcome().reason, "Manager waits for a decision.");
        decide(&mut case, Verdict::Approve, "ann", now);
        assert_eq!(case.outcome().reason, "Finance is asked next.");
        open(&mut case, &["b", "c"], now);
        assert_eq!(case.outcome().reason, "Finance has 0 of the 2 approvals it needs.");
    }

    /// A manager approved; of Finance, two of three are needed and one has approved.
    fn case() -> Case {
        planned_case(|_| ())
    }

    fn planned_case(plan_further: impl FnOnce(&mut Plan)) -> Case {
        let document = v1::Document {
            title: "15 *new* laptops".into(),
            amount: "15750.00".into(),
            currency: "USD".into(),
            ..Default::default()
        };
        let submitter = v1::Submitter { name: "Sue".into(), ..Default::default() };
        let mut case = Case::default();
        let submission = v1::Submission {
            submission_id: "PO_1".into(),
            submitter: Some(submitter),
            document: Some(document),
            ..Default::default()
        };
        let stages = vec![
            stage("Manager", &["ann", "zed"], Quorum::Any),
            stage("Finance", &["bob", "cy", "di"], Quorum::at_least(2).expect("positive")),
        ];
        let mut plan = Plan::asking(submission, address("sue"), stages);
        plan_further(&mut plan);
        case.begin(Default::default(), plan, at("2026-11-24T09:00:00Z"));
        open(&mut case, &["a", "z"], "2026-11-24T09:00:00Z");
        case.delivered("a", false, Ok(()));
        decide(&mut case, Verdict::Approve, "ann", "2026-11-24T10:00:00Z");
        open(&mut case, &["b", "c", "d"], "2026-11-24T10:00:01Z");
        case.delivered("b", false, Ok(()));
        case.delivered("d", false, Err("no such mailbox".into()));
        decide(&mut case, Verdict::Approve, "bob", "2026-11-24T11:00:00Z");
        case
    }

    fn decide(case: &mut Case, verdict: Verdict, name: &str, time: &str) {
        let decision = v1::Decision { reviewer: address(name).to_string(), ..Default::default() };
        case.decide(verdict, &[payload::encode(&decision, Encoding::JsonPlain)], at(time));
    }

    #[test]
    fn the_details_tell_the_story_so_far() {
        let mut case = case();
        decide(&mut case, Verdict::Approve, "eve", "2026-11-24T11:00:00Z");
        assert_eq!(
            case.details(),
            "### 15 \\*new\\* laptops

**15,750.00 USD** for PO\\_1, submitted by Sue (sue@example.com)

**PENDING** Finance has 1 of the 2 approvals it needs.


**Manager** (quorum any), ended Tue 24 Nov 2026, 10:00 UTC

- ann@example.com **approved**
- zed@example.com did not decide

**Finance** (quorum 2), reject at Wed 25 Nov 2026, 10:00 UTC

- bob@example.com **approved**
- cy@example.com is being asked
- di@example.com **cannot be reached**: no such mailbox

1 signals did not count; the query `status` says why.
"
        );
    }

    #[test]
    fn silence_does_not_approve_what_somebody_rejected_and_people_are_told_so() {
        let mut finance =
            stage("Finance", &["ann", "bob", "cy"], Quorum::at_least(2).expect("two"));
        finance.on_deadline = OnDeadline::Approve;
        let plan = Plan::asking(Default::default(), address("sue"), vec![finance]);
        let mut case = Case::default();
        let now = "2026-11-24T09:00:00Z";
        case.begin(Default::default(), plan, at(now));
        open(&mut case, &["a", "b", "c"], now);
        let consequences = |case: &mut Case| {
            let mail = case.reminders(&[address("cy")]).remove(0);
            case.delivered("c", true, Ok(()));
            (case.state().stages[0].on_deadline.clone(), mail.on_deadline)
        };
        assert_eq!(consequences(&mut case), ("approve".to_owned(), OnDeadline::Approve));
        decide(&mut case, Verdict::Approve, "ann", now);
        decide(&mut case, Verdict::Reject, "bob", now);
        assert_eq!(case.state().status(), v1::Status::Pending, "two of three may still approve");
        assert_eq!(consequences(&mut case), ("reject".to_owned(), OnDeadline::Reject));
        case.tick(at("2026-11-30T00:00:00Z"));
        let outcome = case.outcome();
        assert_eq!(outcome.status(), v1::Status::Rejected);
        assert_eq!(
            outcome.reason,
            "Finance was not decided before its deadline, and counts as rejected, as \
             bob@example.com rejected it."
        );
    }

    #[test]
    fn what_has_not_taken_the_outcome_yet_is_said_until_it_has() {
        let next = Continuation {
            workflow: "Purchase_1".into(),
            task_queue: "purchases".into(),
            namespace: Some("finance".into()),
        };
        let decided = || {
            let mut case = planned_case(|plan| {
                plan.webhook = true;
                plan.then.approved = Some(next.clone());
            });
            assert_eq!(case.state().handing_on, "", "it is not decided");
            assert!(!case.details().contains("Decided"), "{}", case.details());
            decide(&mut case, Verdict::Approve, "di", "2026-11-24T12:00:00Z");
            case
        };
        let said = |case: &Case, to: &str| {
            let (handing_on, details) = (case.state().handing_on, case.details());
            assert_eq!(handing_on, format!("Decided; handing the outcome on to {to}."));
            let shown = format!("\n\n{}\n\n", markdown(&handing_on));
            assert!(details.contains(&shown), "{details}");
            assert!(!details.contains("closed"), "{details}");
        };
        let starts: [fn(&mut Case); 2] = [
            |case| case.continued_by("po-1".into(), Some("finance".into()), Ok(())),
            |case| case.continued_by("po-1".into(), None, Err("it is there".into())),
        ];
        for start in starts {
            let mut case = decided();
            said(&case, "the workflow Purchase_1 and the webhook");
            start(&mut case);
            said(&case, "the webhook");
            case.webhook_is_over();
            assert_eq!(case.state().handing_on, "");
            assert!(!case.details().contains("Decided"), "{}", case.details());
        }
        let mut case = planned_case(|plan| plan.webhook = true);
        let _ = case.withdraw("ordered twice".into(), at("2026-11-24T12:00:00Z"));
        said(&case, "the webhook");
    }

    #[test]
    fn only_what_a_workflow_has_is_unset() {
        let foreign = SearchAttributeKey::<String>::keyword("Department").value_set("IT".into());
        assert!(unset(&SearchAttributes::new([foreign.clone()])).is_empty());
        let present = SearchAttributes::new([
            STATUS.value_set("PENDING".into()),
            LINKS.value_set(vec!["a".into()]),
            foreign,
        ]);
        let unset = unset(&present);
        let names: Vec<&str> = unset.iter().map(SearchAttributeUpdate::name).collect();
        assert_eq!(names, [ATTRIBUTE_STATUS, ATTRIBUTE_LINKS]);
        let sent = SearchAttributes::updates_to_proto(unset).indexed_fields;
        assert!(sent.values().all(|payload| payload.data == b"[]"), "{sent:?}");
    }

    #[test]
    fn the_state_says_what_became_of_each_mail() {
        let state = case().state();
        let deliveries = |stage: usize| -> Vec<v1::Delivery> {
            state.stages[stage].reviewers.iter().map(v1::ReviewerState::delivery).collect()
        };
        use v1::Delivery::{NotNeeded, Sending, Sent, Undeliverable};
        assert_eq!(deliveries(0), [Sent, NotNeeded]);
        assert_eq!(deliveries(1), [Sent, Sending, Undeliverable]);
        assert_eq!(state.stages[1].reviewers[2].delivery_error, "no such mailbox");
        assert_eq!(state.status(), v1::Status::Pending);
    }

    #[test]
    fn each_end_has_its_reason() {
        let approved =
            |case: &mut Case| decide(case, Verdict::Approve, "di", "2026-11-24T12:00:00Z");
        let rejected = |case: &mut Case| {
            decide(case, Verdict::Reject, "di", "2026-11-24T12:00:00Z");
            decide(case, Verdict::Reject, "cy", "2026-11-24T12:00:00Z");
        };
        let late = |case: &mut Case| {
            case.tick(at("2026-11-30T00:00:00Z"));
        };
        let withdrawn = |case: &mut Case| {
            let _ = case.withdraw("ordered twice".into(), at("2026-11-24T12:00:00Z"));
        };
        let check = |end: fn(&mut Case), status: v1::Status, reason: &str| {
            let mut case = case();
            end(&mut case);
            let outcome = case.outcome();
            assert_eq!((outcome.status(), outcome.reason.as_str()), (status, reason));
            assert_eq!(outcome.stages[0].status(), v1::Status::Approved);
            assert_eq!(outcome.stages[1].status(), status);
        };
        check(approved, v1::Status::Approved, "Approved by bob@example.com and di@example.com.");
        check(rejected, v1::Status::Rejected, "Rejected by di@example.com and cy@example.com.");
        let by_deadline = "Finance was not decided before its deadline, which counts as rejection.";
        check(late, v1::Status::Rejected, by_deadline);
        check(withdrawn, v1::Status::Withdrawn, "Withdrawn: ordered twice");
    }
}
