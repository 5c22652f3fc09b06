//! Everything that people read on pages, apart from the headings in `templates/`.

mod answers;
mod delegated;
mod problems;
mod unattended;
mod versions;

pub(crate) use self::answers::{
    CHOOSE, NOT_ASKED, WRONG_ANSWERS, answer_hint, comment_hint, deciding, yes_or_no,
};
use countersign_protos::{
    Act, Difference, LinkHash, Verdict, names,
    text::{self, clean_line},
    v1::{
        ApprovalState, Delivery, ReviewerState, StageState, Status, Submission, Vote,
        reason::Reason,
    },
};
use pbjson_types::Timestamp;

pub(crate) use self::delegated::{
    NOT_DELEGATED, delegation_stored, domains, not_delegated, written,
};
use self::problems::comment_missing;
pub(crate) use self::problems::{CORRECT, LAST_VERSION, NOT_RECORDED, at_head, problem, refusal};
pub(crate) use self::versions::{
    AMOUNT_OF_ITEMS, KEPT, NOTHING, REMOVED, asked_for, confirming, is_quoted, mistake, not_done,
    revised_for, to_correct, version_note,
};
use crate::{
    answer::{Answer, Ending, is_open, own_vote, pending, reviewer_by_link},
    problem::Problem,
};

/// One answer about one approval, to the reviewer behind one link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) answer: Answer,
    pub(crate) state: &'a ApprovalState,
    pub(crate) link: &'a LinkHash,
    /// What the last revision has changed, as far as it is shown.
    pub(crate) changes: &'a [Difference],
    /// What the reader has just pressed, unless it is recorded and known as theirs.
    pub(crate) pressed: Option<Verdict>,
    /// The same of the submitter, also where it is recorded.
    pub(crate) act: Option<Act>,
}

impl Case<'_> {
    /// A time in the zone of the rules' calendar; empty if there is none.
    pub(crate) fn moment(self, time: Option<&Timestamp>) -> String {
        text::moment(time, &text::time_zone(&self.state.time_zone))
    }

    /// The same with the zone's name.
    fn full_moment(self, time: Option<&Timestamp>) -> String {
        text::full_moment(time, &text::time_zone(&self.state.time_zone))
    }
}

/// The page's first line.
pub(crate) fn headline(case: Case<'_>) -> String {
    let own = own_vote(case.state, case.link);
    let (who, for_whom) = match is_by_operator(own) {
        true => ("an operator", " for you"),
        false => ("you", ""),
    };
    match case.answer {
        Answer::Open => "Your decision is needed".to_owned(),
        Answer::NoWorker if versions::is_to_submitter(case) => "This is your request".to_owned(),
        Answer::NoWorker if own.is_some() => "Your decision is stored".to_owned(),
        Answer::NoWorker => "You were asked to decide".to_owned(),
        Answer::Voted | Answer::StageOver if own.is_some() => {
            format!("{} {} this{for_whom}", capitalized(who), past(own))
        }
        Answer::Voted | Answer::StageOver => match own_stage(case) {
            Some(stage) => format!("Stage {}", stage_word(stage).to_lowercase()),
            None => "This stage is over".to_owned(),
        },
        Answer::Decided => outcome_word(case.state.status()).to_owned(),
        Answer::Expired => "This request has expired".to_owned(),
        Answer::Withdrawn => "This request was withdrawn".to_owned(),
        // It may have been decided.
        Answer::Ended(Ending::Unconfirmed | Ending::Unreadable) => {
            "This request is over".to_owned()
        }
        Answer::Ended(_) => "This request ended without a decision".to_owned(),
        Answer::Superseded => "This link has been superseded".to_owned(),
        Answer::Delegated | Answer::DelegationStored => delegated::headline(case),
        Answer::Unconfirmed => "Not recorded yet: please confirm".to_owned(),
        Answer::Uncommented | Answer::Unanswered | Answer::Unchangeable => NOT_RECORDED.to_owned(),
        Answer::Recorded => format!("Recorded: you {}", past(own)),
        Answer::AlreadyRecorded => format!("Already recorded: {who} {}{for_whom}", past(own)),
        Answer::OtherVerdict => {
            format!("{} had already {} this{for_whom}", capitalized(who), past(own))
        }
        Answer::TooLate => "Already decided".to_owned(),
        Answer::Accepted => match case.act {
            Some(Act::Revise) => "Your revision is recorded".to_owned(),
            Some(Act::Withdraw) => "Your withdrawal is recorded".to_owned(),
            None => "Your decision is recorded".to_owned(),
        },
        Answer::SentBack
        | Answer::Paused
        | Answer::Revised
        | Answer::Outdated
        | Answer::Submitted
        | Answer::ToRevise
        | Answer::Resubmitted
        | Answer::YouWithdrew => versions::headline(case),
        Answer::Sealing => "Recorded; the outcome is being sealed".to_owned(),
    }
}

/// The text below the headline.
pub(crate) fn explanation(case: Case<'_>) -> String {
    let own = own_vote(case.state, case.link);
    let voted = own.map(|vote| case.moment(vote.decided_at.as_ref())).unwrap_or_default();
    match case.answer {
        Answer::Open => own_stage(case).map(|stage| invitation(stage, case)).unwrap_or_default(),
        Answer::NoWorker | Answer::Accepted
            if versions::is_to_submitter(case) || case.act.is_some() =>
        {
            versions::unattended(case)
        }
        Answer::NoWorker => unattended::viewed(case),
        Answer::Voted | Answer::StageOver | Answer::Decided | Answer::Recorded => progress(case),
        Answer::Expired => join([over(case, "The deadline passed"), unchanged(case)]),
        Answer::Withdrawn => join([over(case, "It was withdrawn"), unchanged(case)]),
        Answer::Ended(ending) => join([
            ended(ending, case),
            "Its operator can tell you why.".to_owned(),
            unchanged(case),
        ]),
        Answer::Superseded => match reviewer_by_link(case.state, case.link) {
            Some(_) => join([delegated::superseded(case), unchanged(case)]),
            // A worker may still ignore what has replaced the link.
            None => delegated::superseded(case),
        },
        Answer::SentBack
        | Answer::Paused
        | Answer::Revised
        | Answer::Outdated
        | Answer::Submitted
        | Answer::ToRevise
        | Answer::Resubmitted
        | Answer::YouWithdrew => versions::explanation(case),
        Answer::Unchangeable => problem(&Problem::NoMoreChanges).1.to_owned(),
        Answer::Delegated | Answer::DelegationStored => delegated::explanation(case),
        Answer::Uncommented => case.pressed.map(comment_missing).unwrap_or_default().to_owned(),
        Answer::Unanswered => WRONG_ANSWERS.to_owned(),
        Answer::Unconfirmed if case.act.is_some() => versions::unconfirmed(case),
        Answer::Unconfirmed => {
            "Some mail scanners press buttons, so your decision counts only once \
            you confirm it, within an hour."
                .to_owned()
        }
        Answer::AlreadyRecorded => {
            let whose = if is_by_operator(own) { "The operator's" } else { "Your" };
            join([sentence(&format!("{whose} decision counted"), &voted), progress(case)])
        }
        Answer::OtherVerdict => join([
            match is_by_operator(own) {
                true => sentence("That decision stands; it was recorded", &voted),
                false => sentence("Your first decision stands; it was recorded", &voted),
            },
            unchanged(case),
            progress(case),
        ]),
        Answer::TooLate => join([unchanged(case), progress(case)]),
        Answer::Sealing => {
            "All decisions are stored safely. What follows from them is not confirmed \
            yet: please look again in a moment. There is no need to press again."
                .to_owned()
        }
        Answer::Accepted => unattended::pressed(case),
    }
}

/// What came of a press that changed nothing; empty where nothing was pressed.
fn unchanged(case: Case<'_>) -> String {
    let pressed = case.pressed.map(|verdict| verdict.terms().button);
    let Some(button) = pressed.or(case.act.map(Act::button)) else {
        return String::new();
    };
    match case.answer {
        Answer::TooLate if let Some(act) = case.act => {
            let done = versions::done(act);
            format!("It was decided before you pressed {button}, so nothing was {done}.")
        }
        Answer::TooLate => {
            format!("It was decided before you pressed {button}; nothing was changed.")
        }
        _ => format!("You pressed {button}; nothing was changed."),
    }
}

/// How many have to approve; empty if only one reviewer is asked.
fn quorum(stage: &StageState) -> String {
    let asked = counted(stage);
    match stage.quorum.as_str() {
        "all" if asked == 2 => "Both reviewers have to approve.".to_owned(),
        "all" if asked > 1 => format!("All {asked} reviewers have to approve."),
        "any" | "" if asked > 1 => {
            format!("{asked} reviewers are asked; the first decision counts.")
        }
        number if asked > 1 && number.parse::<usize>().is_ok() => {
            format!("{number} of {asked} reviewers have to approve.")
        }
        _ => String::new(),
    }
}

fn at_deadline(stage: &StageState) -> &'static str {
    match stage.on_deadline.as_str() {
        "escalate" => "If it is not decided by then, others are asked.",
        "approve" => {
            "If it is not decided by then, it counts as approved unless somebody has rejected it."
        }
        "reject" => "If it is not decided by then, it counts as rejected.",
        _ => "If it is not decided by then, the request expires.",
    }
}

fn outcome_word(status: Status) -> &'static str {
    match status {
        Status::Pending | Status::Unspecified => "Waiting",
        Status::Approved => "Approved",
        Status::Rejected => "Rejected",
        Status::Expired => "Expired",
        Status::Withdrawn => "Withdrawn",
        Status::ChangesRequested => "Changes requested",
    }
}

fn stage_word(stage: &StageState) -> &'static str {
    match pending(stage.status()) && !is_open(stage) {
        true => "Over",
        false => outcome_word(stage.status()),
    }
}

/// Whether somebody has signalled it for the reviewer.
fn is_by_operator(vote: Option<&Vote>) -> bool {
    vote.is_some_and(|vote| vote.by == names::BY_OPERATOR)
}

fn past(vote: Option<&Vote>) -> &'static str {
    vote.and_then(|vote| vote.verdict().known()).map_or("decided", |verdict| verdict.terms().past)
}

pub(crate) const UNTITLED: &str = "Untitled request";
/// The heading in place of a title that is not shown.
pub(crate) const REQUEST: &str = "Request";
/// Said in place of a document that is not shown.
pub(crate) fn hidden(case: Case<'_>) -> &'static str {
    match case.answer {
        Answer::Revised => {
            "This link shows what has changed since, and no longer the rest of the request."
        }
        // It is said that nothing is shown.
        Answer::Outdated => "",
        _ => "This link shows what became of the request, and no longer what it is about.",
    }
}

pub(crate) const ITEM: &str = "Item";

/// What is known of a request besides its document, with labels.
pub(crate) fn facts(submission: &Submission, case: Case<'_>) -> Vec<(&'static str, String)> {
    let submitter = submission.submitter.clone().unwrap_or_default();
    let name = text::display_name(&submitter.name, &submitter.email);
    let category = submission.document.as_ref().map_or("", |document| &document.category);
    let kind = list([&submission.submission_type, category]).replace('_', " ");
    let facts = [
        ("From", list([&name, &submitter.department, &submitter.employee_id])),
        ("E-mail", clean_line(&submitter.email)),
        ("Type", capitalized(&kind)),
        ("Reference", clean_line(&submission.submission_id)),
        ("Submitted", case.full_moment(submission.submitted_at.as_ref())),
    ];
    facts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// What pages say of an action.
pub(crate) const ACTION: &str = "Action";
pub(crate) const RISK: &str = "Risk";
pub(crate) const ON_BEHALF_OF: &str = "On behalf of";

/// So many of them: `1,409 characters`.
pub(crate) fn count(number: &usize, what: &str) -> String {
    let plural = if *number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", text::money(&number.to_string(), ""))
}

/// A stage's name, as a heading.
pub(crate) fn stage_name(stage: &StageState, case: Case<'_>) -> String {
    match clean_line(&stage.name) {
        name if !name.is_empty() => name,
        _ if case.state.stages.len() > 1 => "Stage".to_owned(),
        _ => "Reviewers".to_owned(),
    }
}

/// `continues` is whether the approval can still be decided.
pub(crate) fn stage_status(stage: &StageState, opened: bool, continues: bool) -> &'static str {
    match (is_open(stage), opened, continues) {
        (true, false, true) => "Not asked yet",
        (true, false, false) => "Not asked",
        (true, true, false) => "Not decided",
        (true, true, true) | (false, _, _) => stage_word(stage),
    }
}

/// A stage's deadline, if it is open, and its quorum.
pub(crate) fn stage_note(stage: &StageState, opened: bool, case: Case<'_>) -> String {
    match case.full_moment(stage.deadline.as_ref()) {
        deadline if opened && !deadline.is_empty() => {
            format!("Until {deadline}. {}", quorum(stage)).trim().to_owned()
        }
        _ => quorum(stage),
    }
}

/// What a stage means to a reviewer who has not decided in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// They still can.
    Waiting,
    /// It was decided, or ended, without them.
    Closed,
    /// They were not asked, or nothing says what became of it.
    Unknown,
}

/// What a reviewer did, or why they did nothing.
pub(crate) fn reviewer_did(reviewer: &ReviewerState, seat: Seat, case: Case<'_>) -> String {
    if let Some(vote) = &reviewer.vote {
        let did = on(past(Some(vote)), &case.moment(vote.decided_at.as_ref()));
        return match is_by_operator(Some(vote)) {
            true => format!("{did}, recorded by an operator ({})", clean_line(&vote.identity)),
            false => did,
        };
    }
    if let Some(did) = delegated::by(reviewer, case) {
        return did;
    }
    let did = match (reviewer.released, seat) {
        (true, _) if reviewer.reissued => "has a new link",
        (true, _) => "did not decide; others were asked",
        (false, Seat::Waiting) if reviewer.delivery() == Delivery::Undeliverable => {
            "cannot be reached"
        }
        (false, Seat::Waiting) => "has not decided yet",
        (false, Seat::Closed) => "did not decide",
        (false, Seat::Unknown) => "",
    };
    did.to_owned()
}

/// Whose decision it is: `deputy (you) for absent`.
pub(crate) fn reviewer_name(reviewer: &ReviewerState, link: &LinkHash) -> String {
    let you = if reviewer.link == link.as_str() { " (you)" } else { "" };
    let absent = match reviewer.on_behalf_of.as_str() {
        "" => String::new(),
        absent => format!(" for {absent}"),
    };
    format!("{}{you}{absent}", reviewer.reviewer)
}

/// In whose name the reader decides; empty if unknown.
pub(crate) fn deciding_as(case: Case<'_>) -> String {
    match reviewer_by_link(case.state, case.link) {
        None => String::new(),
        Some((_, reviewer)) if reviewer.on_behalf_of.is_empty() => reviewer.reviewer.clone(),
        Some((_, reviewer)) => {
            format!("{}, instead of {}", reviewer.reviewer, reviewer.on_behalf_of)
        }
    }
}

/// Why the reader is asked: by what, in which stage, and in whose place.
pub(crate) fn why_asked(case: Case<'_>) -> String {
    let names_reviewers = case.state.submission.as_ref().is_some_and(|it| it.approval.is_some());
    let by = match (clean_line(&case.state.rule), names_reviewers) {
        (rule, _) if !rule.is_empty() => format!("by the rule “{rule}”"),
        (_, true) => "as the submission says".to_owned(),
        (_, false) => "as one of the default reviewers".to_owned(),
    };
    let own = reviewer_by_link(case.state, case.link);
    let stage = own.map(|(stage, _)| clean_line(&stage.name)).unwrap_or_default();
    let stage = if stage.is_empty() { stage } else { format!(" in the stage “{stage}”") };
    let [absent, replaced] = match own {
        Some((_, one)) => [clean_line(&one.on_behalf_of), clean_line(&one.instead_of)],
        None => Default::default(),
    };
    let deputy = match &*absent {
        "" => String::new(),
        absent => format!(", as the deputy of {absent}, who is away"),
    };
    match &*replaced {
        "" => format!("You are asked {by}{stage}{deputy}."),
        replaced if delegated::is_why_asked(case) => {
            format!("{replaced} passed this to you{deputy}. They were asked {by}{stage}.")
        }
        replaced => format!(
            "An operator asked you in place of {replaced}{deputy}. They were asked {by}{stage}."
        ),
    }
}

/// How many reviewers a stage's quorum is about: those superseded without a vote are not.
fn counted(stage: &StageState) -> usize {
    let counts = |reviewer: &&ReviewerState| reviewer.vote.is_some() || !reviewer.released;
    stage.reviewers.iter().filter(counts).count()
}

fn own_stage(case: Case<'_>) -> Option<&StageState> {
    reviewer_by_link(case.state, case.link).map(|(stage, _)| stage)
}

fn invitation(stage: &StageState, case: Case<'_>) -> String {
    let deadline = case.full_moment(stage.deadline.as_ref());
    if deadline.is_empty() {
        return quorum(stage);
    }
    let [decide, then] = match times_out_before(stage, case) {
        Some(ends) => [
            format!("Please decide by {}.", case.moment(Some(ends))),
            format!(
                "It ends undecided then: it was started with a time-out, which is over before the \
                 deadline on {deadline}."
            ),
        ],
        None => [format!("Please decide by {deadline}."), at_deadline(stage).to_owned()],
    };
    join([decide, then, quorum(stage)])
}

/// When Temporal ends the workflow, if that is before the stage's deadline.
fn times_out_before<'a>(stage: &StageState, case: Case<'a>) -> Option<&'a Timestamp> {
    let at = |time: &Timestamp| (time.seconds, time.nanos);
    let ends = case.state.times_out_at.as_ref()?;
    stage.deadline.as_ref().filter(|deadline| at(ends) < at(deadline)).map(|_| ends)
}

/// Shown until the webhook and the follow-up workflow have the outcome. Which of them is pending concerns
/// only operators.
pub(crate) const DELIVERING: &str = "Decided. Waiting for the outcome to be delivered.";

fn delivering(case: Case<'_>) -> String {
    if case.state.handing_on.is_empty() { String::new() } else { DELIVERING.to_owned() }
}

/// Where the approval stands now.
fn progress(case: Case<'_>) -> String {
    let status = case.state.status();
    if !pending(status) {
        let when = case.full_moment(case.state.decided_at.as_ref());
        let word = outcome_word(status).to_uppercase();
        let now = match case.answer {
            Answer::Recorded => format!("The request is now {word}."),
            _ => sentence(&format!("The request was {word}"), &when),
        };
        return join([now, case.state.reason.clone(), delivering(case)]);
    }
    match own_stage(case) {
        _ if status == Status::ChangesRequested => versions::waiting(case),
        Some(stage) if is_open(stage) => join([approvals_so_far(stage), unreachable(case)]),
        Some(stage) => {
            let over = format!("This stage is {}.", stage_word(stage).to_lowercase());
            let next = case.state.stages.iter().find(|stage| is_open(stage));
            let next = match next {
                Some(next) if !next.name.is_empty() => {
                    format!("The request continues with the stage “{}”.", next.name)
                }
                _ => "The request continues.".to_owned(),
            };
            join([over, next, unreachable(case)])
        }
        None => "The request is not decided yet.".to_owned(),
    }
}

/// Said where mail reaches nobody who may decide now.
fn unreachable(case: Case<'_>) -> String {
    let because = case.state.because.as_ref().and_then(|because| because.reason.as_ref());
    match because {
        Some(Reason::Unreachable(stage)) => format!(
            "Mail reaches nobody in {stage} who may decide now; whoever runs the approvals can have \
             others asked."
        ),
        _ => String::new(),
    }
}

fn approvals_so_far(stage: &StageState) -> String {
    let needed = match stage.quorum.as_str() {
        "all" => counted(stage),
        number => number.parse().unwrap_or(1),
    };
    let votes = stage.reviewers.iter().filter_map(|reviewer| reviewer.vote.as_ref());
    let approved = votes.filter(|vote| vote.verdict().known() == Some(Verdict::Approve)).count();
    format!("The stage is waiting for others: {approved} of {needed} approvals so far.")
}

fn over(case: Case<'_>, what: &str) -> String {
    let when = case.full_moment(case.state.decided_at.as_ref());
    let reason = case.state.reason.clone();
    if reason.is_empty() {
        return join([sentence(what, &when), delivering(case)]);
    }
    let ended = if when.is_empty() { String::new() } else { format!("It ended on {when}.") };
    join([reason, ended, delivering(case)])
}

fn ended(ending: Ending, case: Case<'_>) -> String {
    let said = match ending {
        Ending::Failed => "The process behind it failed.",
        Ending::Terminated => "Somebody stopped the process behind it.",
        Ending::TimedOut => return timed_out(case),
        Ending::Unconfirmed => {
            "The process behind it is over, but its outcome cannot be confirmed."
        }
        Ending::Unreadable => "The process behind it is over, but its outcome cannot be read.",
    };
    said.to_owned()
}

/// Temporal ended it, by a time-out that it was started with. Whether its deadline had passed is known only where a
/// worker has answered.
fn timed_out(case: Case<'_>) -> String {
    let when = case.full_moment(case.state.times_out_at.as_ref());
    if when.is_empty() {
        return "The process behind it ran out of time.".to_owned();
    }
    let stage = case.state.stages.iter().rfind(|stage| stage.deadline.is_some());
    let before = stage.filter(|stage| times_out_before(stage, case).is_some());
    let before = before.map(|stage| case.moment(stage.deadline.as_ref()));
    let before = before.map(|deadline| format!(", before its deadline on {deadline}"));
    format!(
        "It was started with a time-out, which ended it on {when}{}.",
        before.unwrap_or_default()
    )
}

fn list<const N: usize>(texts: [&str; N]) -> String {
    let texts = texts.map(clean_line);
    texts.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next();
    first.into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

fn on(what: &str, when: &str) -> String {
    if when.is_empty() { what.to_owned() } else { format!("{what} on {when}") }
}

fn sentence(what: &str, when: &str) -> String {
    format!("{}.", on(what, when))
}

fn join<const N: usize>(sentences: [String; N]) -> String {
    let said: Vec<String> = sentences.into_iter().filter(|one| !one.is_empty()).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use countersign_protos::ApprovalId;

    use super::*;

    #[test]
    fn for_whom_an_operator_has_decided_reads_that_it_was_not_them() {
        let id: ApprovalId = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse().expect("well-formed");
        let link = &id.hash();
        let answers = [Answer::Voted, Answer::AlreadyRecorded, Answer::OtherVerdict];
        let by_link = [
            "You approved this",
            "Already recorded: you approved",
            "You had already approved this",
        ];
        let by_operator = [
            "An operator approved this for you",
            "Already recorded: an operator approved for you",
            "An operator had already approved this for you",
        ];
        for (by, expected) in [("link", by_link), ("operator", by_operator)] {
            let verdict = Verdict::Approve.into();
            let (changes, act) = (&[][..], None);
            let vote = Some(Vote { verdict, by: by.into(), ..Vote::default() });
            let own = ReviewerState { link: link.as_str().into(), vote, ..Default::default() };
            let stage = StageState { reviewers: vec![own], ..StageState::default() };
            let state = &ApprovalState { stages: vec![stage], ..ApprovalState::default() };
            let pressed = Some(Verdict::Reject);
            let cases = answers.map(|answer| Case { answer, state, link, changes, pressed, act });
            assert_eq!(cases.map(headline), expected);
            let says_yours = cases.map(|case| explanation(case).contains("Your "));
            assert_eq!(says_yours, [false, by == "link", by == "link"], "{by}");
        }
    }

    #[test]
    fn whether_it_was_decided_is_not_said_where_nobody_knows() {
        let id: ApprovalId = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse().expect("well-formed");
        let (link, state) = (&id.hash(), &ApprovalState::default());
        let (changes, pressed, act) = (&[][..], None, None);
        let said = |ending| {
            headline(Case { answer: Answer::Ended(ending), state, link, changes, pressed, act })
        };
        for ending in [Ending::Unconfirmed, Ending::Unreadable] {
            assert_eq!(said(ending), "This request is over");
        }
        for ending in [Ending::Failed, Ending::Terminated, Ending::TimedOut] {
            assert_eq!(said(ending), "This request ended without a decision");
        }
    }

    #[test]
    fn a_deadline_may_pass_although_some_have_decided() {
        for on_deadline in ["escalate", "approve", "reject", "expire", ""] {
            let stage = StageState { on_deadline: on_deadline.into(), ..StageState::default() };
            let said = at_deadline(&stage);
            assert!(said.starts_with("If it is not decided by then, "), "{said}");
        }
    }

    #[test]
    fn a_reviewer_superseded_without_a_vote_does_not_count() {
        let approved = Vote { verdict: Verdict::Approve.into(), ..Vote::default() };
        let asked = |vote: bool, released| ReviewerState {
            vote: vote.then(|| approved.clone()),
            released,
            ..ReviewerState::default()
        };
        let reviewers =
            vec![asked(true, true), asked(false, true), asked(false, false), asked(false, false)];
        let of = |quorum: &str| StageState {
            quorum: quorum.into(),
            reviewers: reviewers.clone(),
            ..StageState::default()
        };
        assert_eq!(quorum(&of("all")), "All 3 reviewers have to approve.");
        let two = StageState { reviewers: reviewers[2..].to_vec(), ..of("all") };
        assert_eq!(quorum(&two), "Both reviewers have to approve.");
        assert_eq!(quorum(&of("any")), "3 reviewers are asked; the first decision counts.");
        assert_eq!(quorum(&of("2")), "2 of 3 reviewers have to approve.");
        assert!(
            approvals_so_far(&of("all")).contains("1 of 3 approvals"),
            "{}",
            approvals_so_far(&of("all"))
        );
    }
}
