//! One approval as the workflow holds it: the core, the plan it follows, and what became of its
//! mails. Deterministic, like the workflow that owns it.

use std::collections::{BTreeMap, VecDeque};

use countersign_protos::{
    names::{self, COMMENT_MAX_CHARS},
    payload::{self, Unreadable},
    v1,
    words::to_message,
};
use jiff::Timestamp;
use temporalio_common::protos::temporal::api::common::v1::Payload;
use uuid::Uuid;

use crate::{
    activities::{Announcement, ReviewRequest},
    approval::{Approval, Ballot, Claim, EmailAddress, Receipt, Stage, Verdict},
    validation::Plan,
};

/// Decisions that are kept while no stage is open; more of them are no mistake but a flood.
const MAX_EARLY: usize = 200;
/// Reasons that are kept for signals that did not count.
const MAX_REASONS: usize = 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Case {
    begun: Option<Begun>,
    /// Decisions that came while no stage was open.
    early: Vec<Ballot>,
    ignored: u32,
    ignored_because: VecDeque<String>,
}

/// A case whose submission can be decided.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) plan: Plan,
    pub(crate) approval: Approval,
    /// By link. No entry while nothing was sent.
    pub(crate) mails: BTreeMap<String, Mail>,
}

/// What became of the requests to one reviewer.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) sent: bool,
    pub(crate) error: String,
    pub(crate) reminders: u32,
}

impl Case {
    /// The submission is valid; this is who is asked.
    pub(crate) fn begin(&mut self, plan: Plan) {
        let approval = Approval::new(plan.submitter.clone(), plan.stages.clone());
        self.begun = Some(Begun { plan, approval, mails: BTreeMap::new() });
    }

    pub(crate) fn begun(&self) -> Option<&Begun> {
        self.begun.as_ref()
    }

    /// How many signals did not count, and why the latest did not.
    pub(crate) fn ignored(&self) -> (u32, impl Iterator<Item = &String>) {
        (self.ignored, self.ignored_because.iter())
    }

    fn approval(&self) -> Option<&Approval> {
        self.begun().map(|begun| &begun.approval)
    }

    fn open_stage(&self) -> Option<&Stage> {
        self.approval()?.open_stage()
    }

    /// The position of the stage that has to be opened now.
    pub(crate) fn stage_to_open(&self) -> Option<usize> {
        self.approval()?.stage_to_open()
    }

    /// The name of a stage and who is asked there.
    pub(crate) fn reviewers(&self, stage: usize) -> (String, Vec<EmailAddress>) {
        let plan = self.begun().map(|begun| &begun.plan.stages[stage]);
        plan.map(|plan| (plan.name.clone(), plan.reviewers.clone())).unwrap_or_default()
    }

    /// When time next has an effect, and what it does then.
    pub(crate) fn next_deadline(&self) -> Option<(Timestamp, String)> {
        let stage = self.open_stage()?;
        let due = self.approval()?.next_deadline()?;
        let name = &stage.plan().name;
        let summary = match stage.deadline() == Some(due) {
            true => format!("Deadline of {name}"),
            false => format!("Reminder for {name}"),
        };
        Some((due, summary))
    }

    /// How many decisions counted so far.
    pub(crate) fn decisions(&self) -> usize {
        let stages = self.approval().map(Approval::stages).unwrap_or_default();
        stages.iter().map(|stage| stage.votes().len()).sum()
    }

    /// Opens the next stage with one link a reviewer, and takes the decisions that came early.
    pub(crate) fn open(&mut self, links: Vec<String>, now: Timestamp) {
        if let Some(begun) = &mut self.begun {
            begun.approval.open(links, now);
        }
        for ballot in std::mem::take(&mut self.early) {
            self.vote(ballot, now);
        }
    }

    /// Takes the payloads of a signal, whatever they are.
    pub(crate) fn decide(&mut self, verdict: Verdict, payloads: &[Payload], now: Timestamp) {
        match ballot(verdict, payloads) {
            Err(why) => self.ignore(verdict, &why),
            Ok(ballot) if self.is_between_stages() && self.early.len() < MAX_EARLY => {
                self.early.push(ballot);
            }
            Ok(ballot) => self.vote(ballot, now),
        }
    }

    fn is_between_stages(&self) -> bool {
        self.open_stage().is_none() && !self.approval().is_some_and(Approval::is_final)
    }

    fn vote(&mut self, ballot: Ballot, now: Timestamp) {
        let verdict = ballot.verdict;
        let receipt = match &mut self.begun {
            Some(begun) => begun.approval.vote(ballot, now),
            None => Receipt::StageNotOpen,
        };
        let why = match receipt {
            Receipt::Counted | Receipt::Duplicate => return,
            Receipt::Contradiction => "the reviewer decided otherwise before",
            Receipt::NotAReviewer => "it is from nobody who is asked",
            Receipt::SelfVote => "the submitter does not decide their own submission",
            Receipt::StageNotOpen => "the reviewer's stage is not open",
        };
        self.ignore(verdict, why);
    }

    fn ignore(&mut self, verdict: Verdict, why: &str) {
        self.ignored = self.ignored.saturating_add(1);
        if self.ignored_because.len() == MAX_REASONS {
            self.ignored_because.pop_front();
        }
        let signal = names::signal_of(verdict.into());
        self.ignored_because.push_back(format!("{signal}: {why}"));
    }

    /// Tells that time has passed; answers with who has to be reminded.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<EmailAddress> {
        self.begun.as_mut().map(|begun| begun.approval.tick(now)).unwrap_or_default()
    }

    /// Calls the approval off.
    pub(crate) fn withdraw(&mut self, reason: String, now: Timestamp) {
        if let Some(begun) = &mut self.begun {
            begun.approval.withdraw(clean(&reason), now);
        }
    }

    /// The requests to the open stage's reviewers who have not decided: all of them, or reminders
    /// to some.
    pub(crate) fn requests(
        &self,
        approval: Uuid,
        late: Option<&[EmailAddress]>,
    ) -> Vec<ReviewRequest> {
        let (Some(begun), Some(stage)) = (self.begun(), self.open_stage()) else {
            return Vec::new();
        };
        let position = begun.approval.stages().iter().position(|other| std::ptr::eq(other, stage));
        let request = |seat: &crate::approval::Seat| ReviewRequest {
            approval,
            stage: position.unwrap_or_default() as u32,
            round: 0,
            stage_name: stage.plan().name.clone(),
            reviewer: seat.reviewer.clone(),
            link: seat.link.clone(),
            deadline: stage.deadline().map(to_message),
            on_deadline: stage.plan().on_deadline,
            reminder: late.is_some(),
            submission: begun.plan.submission.clone(),
        };
        let wanted =
            |seat: &&crate::approval::Seat| late.is_none_or(|late| late.contains(&seat.reviewer));
        stage.undecided().filter(wanted).map(request).collect()
    }

    /// Keeps account of a request that was sent, or refused for good.
    pub(crate) fn delivered(&mut self, link: &str, reminder: bool, result: Result<(), String>) {
        let Some(begun) = &mut self.begun else { return };
        let mail = begun.mails.entry(link.to_owned()).or_default();
        match result {
            Ok(()) => {
                mail.sent = true;
                mail.error.clear();
                mail.reminders += u32::from(reminder);
            }
            Err(error) => mail.error = error,
        }
    }

    /// Whether the outcome is handed on.
    pub(crate) fn has_webhook(&self) -> bool {
        self.begun().is_some_and(|begun| begun.plan.webhook)
    }

    /// To the reviewers of a stage that is over: those who were asked and need not act any more.
    pub(crate) fn releases(&self, stage: usize) -> Vec<Announcement> {
        let Some(begun) = self.begun() else { return Vec::new() };
        let stage = &begun.approval.stages()[stage];
        let asked = |seat: &&crate::approval::Seat| {
            begun.mails.get(&seat.link).is_some_and(|mail| mail.sent)
        };
        let outcome = self.outcome();
        let release = |seat: &crate::approval::Seat| Announcement {
            recipient: seat.reviewer.clone(),
            reviewer: true,
            outcome: outcome.clone(),
        };
        stage.undecided().filter(asked).map(release).collect()
    }

    /// To the submitter.
    pub(crate) fn announcement(&self) -> Option<Announcement> {
        let recipient = self.approval()?.submitter().clone();
        Some(Announcement { recipient, reviewer: false, outcome: self.outcome() })
    }
}

/// Reads a signal. The reasons name no content: it might be somebody's approval ID.
fn ballot(verdict: Verdict, payloads: &[Payload]) -> Result<Ballot, String> {
    let decision: v1::Decision = payload::decode(payloads).map_err(|why| match why {
        Unreadable::Missing | Unreadable::TooMany(_) => why.to_string(),
        _ => "the payload is no decision: a JSON object with link or reviewer, and comment".into(),
    })?;
    let claim = match (decision.link.as_str(), decision.reviewer.as_str()) {
        ("", "") => return Err("it names neither link nor reviewer".into()),
        (link, "") => Claim::Link(link.to_owned()),
        ("", reviewer) => match reviewer.parse() {
            Ok(reviewer) => Claim::Reviewer(reviewer),
            Err(_) => return Err("its reviewer is no e-mail address".into()),
        },
        _ => return Err("it names both link and reviewer".into()),
    };
    Ok(Ballot { claim, verdict, comment: clean(&decision.comment) })
}

/// A text that somebody typed, without what cannot be shown, and no longer than a comment may be.
fn clean(text: &str) -> String {
    let shown = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.trim().chars().filter(shown).take(COMMENT_MAX_CHARS).collect()
}

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Approve => v1::Verdict::Approve,
            Verdict::Reject => v1::Verdict::Reject,
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::payload::Encoding;
    use jiff::SignedDuration;

    use super::*;
    use crate::approval::{OnDeadline, Quorum, StagePlan, Status};

    fn address(text: &str) -> EmailAddress {
        text.parse().expect("an address")
    }

    fn plan() -> Plan {
        Plan {
            submission: v1::Submission::default(),
            submitter: address("sue@example.com"),
            stages: vec![StagePlan {
                name: "Finance".into(),
                reviewers: vec![address("ann@example.com"), address("bob@example.com")],
                quorum: Quorum::All,
                deadline: SignedDuration::from_hours(1),
                reminders: vec![],
                on_deadline: OnDeadline::Expire,
            }],
            webhook: false,
        }
    }

    fn signal(reviewer: &str, comment: &str) -> Vec<Payload> {
        let decision = v1::Decision {
            reviewer: reviewer.into(),
            comment: comment.into(),
            ..Default::default()
        };
        vec![payload::encode(&decision, Encoding::JsonPlain)]
    }

    fn reasons(case: &Case) -> Vec<&String> {
        case.ignored().1.collect()
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn decisions_that_come_before_the_stage_is_open_are_taken_when_it_opens() {
        let mut case = Case::default();
        case.decide(Verdict::Approve, &signal("ann@example.com", "early"), NOW);
        case.begin(plan());
        case.decide(Verdict::Approve, &signal("bob@example.com", ""), NOW);
        assert_eq!(case.decisions(), 0);
        case.open(vec!["a".into(), "b".into()], NOW);
        let status =
            case.approval().map(|approval| matches!(approval.status(), Status::Approved(..)));
        assert_eq!(status, Some(true));
        assert_eq!(case.ignored().0, 0);
    }

    #[test]
    fn a_flood_of_early_decisions_is_bounded_and_counted() {
        let mut case = Case::default();
        for _ in 0..MAX_EARLY + 5 {
            case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
        }
        assert_eq!(case.early.len(), MAX_EARLY);
        assert_eq!(case.ignored().0, 5);
    }

    #[test]
    fn what_does_not_count_is_counted_with_its_reason_and_without_its_content() {
        let mut case = Case::default();
        case.begin(plan());
        case.open(vec!["a".into(), "b".into()], NOW);
        let mut garbage = signal("ann@example.com", "");
        garbage[0].data = b"\"7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T\"".to_vec();
        case.decide(Verdict::Approve, &garbage, NOW);
        case.decide(Verdict::Approve, &[], NOW);
        case.decide(Verdict::Reject, &[signal("a@b.c", ""), signal("a@b.c", "")].concat(), NOW);
        case.decide(Verdict::Reject, &signal("", ""), NOW);
        case.decide(Verdict::Reject, &signal("eve", ""), NOW);
        case.decide(Verdict::Reject, &signal("eve@example.com", ""), NOW);
        case.decide(Verdict::Approve, &signal("sue@example.com", ""), NOW);
        case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
        case.decide(Verdict::Approve, &signal("ann@example.com", ""), NOW);
        case.decide(Verdict::Reject, &signal("ann@example.com", ""), NOW);
        assert_eq!(
            reasons(&case),
            [
                "approve: the payload is no decision: a JSON object with link or reviewer, and comment",
                "approve: one input is expected, and there is none",
                "reject: one input is expected, and there are 2",
                "reject: it names neither link nor reviewer",
                "reject: its reviewer is no e-mail address",
                "reject: it is from nobody who is asked",
                "approve: the submitter does not decide their own submission",
                "reject: the reviewer decided otherwise before",
            ]
        );
        assert_eq!((case.ignored().0, case.decisions()), (8, 1));
    }

    #[test]
    fn only_the_latest_reasons_are_kept() {
        let mut case = Case::default();
        for _ in 0..12_000 {
            case.decide(Verdict::Approve, &[], NOW);
        }
        assert_eq!(case.ignored().0, 12_000);
        assert_eq!(reasons(&case).len(), MAX_REASONS);
    }

    #[test]
    fn comments_are_cut_and_cleaned_but_keep_their_lines() {
        assert_eq!(clean("  fine\u{0}\nsecond\u{1b}[31m line \r\n"), "fine\nsecond[31m line");
        assert_eq!(clean(&"é".repeat(3_000)).chars().count(), COMMENT_MAX_CHARS);
    }
}
