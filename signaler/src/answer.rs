//! Which answer a reviewer gets, from what is known of the approval and what they asked for. Pure.

use countersign_protos::{
    Act, LinkHash, Pressed, Verdict,
    answers::{self, Answers, Wrong},
    can_be_revised, names, text,
    v1::{ApprovalState, Delegation, Field, ReviewerState, StageState, Status, Vote},
};

/// What is known of an approval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// The workflow's own answer.
    Current(ApprovalState),
    /// Open, but no worker answers: the submission is known, and of the stages the reader's own place, with the
    /// decision by their link that Temporal has, counted or not.
    NoWorker(ApprovalState),
    /// The same, and the history has another link, or an order of one, in this one's place: without the
    /// document.
    Replaced(ApprovalState),
    /// No worker answers, but the outcome is known, with the links of those who decided.
    Closed(ApprovalState),
    /// The workflow ended without an outcome.
    Ended(Ending, ApprovalState),
    /// The workflow says that it is decided, and has no signed outcome yet.
    Unsealed(ApprovalState),
    /// Open, and revised since: the link is of the version right before.
    Revised(Former, ApprovalState),
    /// Open, and the link is of an earlier version, or what is known does not fit: without the document.
    Outdated(ApprovalState),
}

/// Whose link of an earlier version it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Former {
    Reviewer,
    Submitter,
}

/// How a workflow ends without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Failed,
    Terminated,
    /// Temporal's own time limit stopped it.
    TimedOut,
    /// It completed, but its outcome cannot be read.
    Unreadable,
    /// It has ended, but nothing confirms the outcome.
    Unconfirmed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Viewed: it waits for this reviewer.
    Open,
    /// Viewed: it is open, but no worker runs.
    NoWorker,
    /// Viewed: this reviewer has decided, and their stage waits for others.
    Voted,
    /// Viewed: this reviewer's stage is over, and the approval continues.
    StageOver,
    /// Viewed: approved or rejected.
    Decided,
    Expired,
    Withdrawn,
    /// The workflow ended without an outcome.
    Ended(Ending),
    /// Somebody else was asked in this reviewer's place, or they have a new link.
    Superseded,
    /// Viewed: changes are requested, which wait for the submitter.
    SentBack,
    /// It was revised since this link was issued.
    Revised,
    /// It was revised more than once since, or nothing shows what has changed.
    Outdated,
    /// Viewed by the submitter: it waits for reviewers.
    Submitted,
    /// Viewed by the submitter: it waits for their changes.
    ToRevise,
    /// The submitter's submission was revised since this link was issued, perhaps by it.
    Resubmitted,
    /// The submitter has withdrawn it by this link.
    YouWithdrew,
    /// This reviewer has had somebody else asked, by this link.
    Delegated,
    /// The same: Temporal has it, but no worker has processed it yet.
    DelegationStored,
    /// Done: it has to be confirmed, and nothing was sent.
    Unconfirmed,
    /// Decided: it needs a comment, and nothing was sent.
    Uncommented,
    /// Changes requested: it was revised as often as it can be, and nothing was sent.
    Unchangeable,
    /// Decided while changes are requested: it does not count.
    Paused,
    /// Decided: its answers are not what it needs, and nothing was sent.
    Unanswered,
    /// Decided: it counts.
    Recorded,
    /// Decided again, the same way.
    AlreadyRecorded,
    /// Decided again, the other way: the first decision stands.
    OtherVerdict,
    /// Decided after others had settled it.
    TooLate,
    /// Decided: Temporal has it, but no worker has processed it yet.
    Accepted,
    /// It seems to be decided, and nothing confirms that yet.
    Sealing,
}

impl Answer {
    /// Whether no worker has been there to say more.
    pub(crate) fn is_unattended(self) -> bool {
        matches!(self, Answer::NoWorker | Answer::Accepted | Answer::DelegationStored)
    }
}

impl Reading {
    pub(crate) fn state(&self) -> &ApprovalState {
        match self {
            Reading::Current(state)
            | Reading::NoWorker(state)
            | Reading::Replaced(state)
            | Reading::Closed(state)
            | Reading::Ended(_, state)
            | Reading::Unsealed(state)
            | Reading::Revised(_, state)
            | Reading::Outdated(state) => state,
        }
    }

    /// Whether it is open, and no worker answers.
    pub(crate) fn is_unattended(&self) -> bool {
        matches!(self, Reading::NoWorker(_) | Reading::Replaced(_))
    }
}

/// The reviewer to whom `link` was issued, and their stage.
pub(crate) fn reviewer_by_link<'a>(
    state: &'a ApprovalState,
    link: &LinkHash,
) -> Option<(&'a StageState, &'a ReviewerState)> {
    let has_link = |reviewer: &&ReviewerState| reviewer.link == link.as_str();
    state
        .stages
        .iter()
        .find_map(|stage| stage.reviewers.iter().find(has_link).map(|reviewer| (stage, reviewer)))
}

/// The delegation by this link.
pub(crate) fn own_delegation<'a>(
    state: &'a ApprovalState,
    link: &LinkHash,
) -> Option<&'a Delegation> {
    state.stages.iter().find_map(|stage| delegation_by(stage, link.as_str()))
}

/// The delegation in this stage by the link with this hash.
pub(crate) fn delegation_by<'a>(stage: &'a StageState, link: &str) -> Option<&'a Delegation> {
    stage.delegations.iter().find(|one| one.link == link && !link.is_empty())
}

/// The colleagues whom reviewers have had asked, and who have no place in the stage yet.
pub(crate) fn asked_since(stage: &StageState) -> Vec<ReviewerState> {
    let has_place = |delegation: &Delegation| {
        let is_theirs =
            |one: &ReviewerState| [&one.reviewer, &one.on_behalf_of].contains(&&delegation.to);
        stage.reviewers.iter().any(is_theirs)
    };
    let missing = stage.delegations.iter().filter(|delegation| !has_place(delegation));
    let seat = |delegation: &Delegation| ReviewerState {
        reviewer: delegation.to.clone(),
        on_behalf_of: delegation.reviewer.clone(),
        ..ReviewerState::default()
    };
    missing.map(seat).collect()
}

/// Whether the reviewer to whom `link` was issued can do this now. Without a worker nothing is known against it.
pub(crate) fn is_possible(state: &ApprovalState, link: &LinkHash, action: &str) -> bool {
    let own = reviewer_by_link(state, link).map(|(_, one)| &one.reviewer);
    let known = state.possible.iter().find(|possible| possible.action == action);
    let can = own.zip(known).is_some_and(|(own, known)| known.people.contains(own));
    state.possible.is_empty() || can
}

/// The vote of the reviewer to whom `link` was issued.
pub(crate) fn own_vote<'a>(state: &'a ApprovalState, link: &LinkHash) -> Option<&'a Vote> {
    reviewer_by_link(state, link).and_then(|(_, reviewer)| reviewer.vote.as_ref())
}

/// Whether the link is the submitter's own.
pub(crate) fn is_submitters(state: &ApprovalState, link: &LinkHash) -> bool {
    state.submitter_link == link.as_str()
}

/// What the submitter can do from a page with this answer, in the order of the buttons. Without a worker, nobody knows
/// whether it will count.
pub(crate) fn acts(answer: Answer, state: &ApprovalState, link: &LinkHash) -> Vec<Act> {
    let is_offered = match answer {
        Answer::Submitted | Answer::ToRevise => true,
        Answer::NoWorker => is_submitters(state, link),
        _ => false,
    };
    let mut votes = state.stages.iter().flat_map(|stage| &stage.reviewers);
    let is_voted = votes.any(|reviewer| reviewer.vote.is_some());
    let revises = can_be_revised(state.version()) && (answer != Answer::Submitted || !is_voted);
    let all = Act::ALL.into_iter().filter(|act| revises || *act != Act::Revise);
    if is_offered { all.collect() } else { Vec::new() }
}

/// The verdicts of a page's buttons.
pub(crate) fn verdicts(state: &ApprovalState) -> Vec<Verdict> {
    let is_left =
        |verdict: &Verdict| *verdict != Verdict::RequestChanges || can_be_revised(state.version());
    Verdict::ALL.into_iter().filter(is_left).collect()
}

/// The verdicts that need a comment: whoever requests changes says which.
pub(crate) fn comment_required(state: &ApprovalState) -> Vec<Verdict> {
    let needs = |verdict: &Verdict| {
        *verdict == Verdict::RequestChanges || state.comment_required.contains(&i32::from(*verdict))
    };
    Verdict::ALL.into_iter().filter(needs).collect()
}

/// The answer to a view of the page.
pub(crate) fn on_view(reading: &Reading, link: &LinkHash) -> Answer {
    match reading {
        Reading::Ended(ending, _) => Answer::Ended(*ending),
        Reading::NoWorker(_) => Answer::NoWorker,
        Reading::Replaced(_) => Answer::Superseded,
        Reading::Unsealed(_) => Answer::Sealing,
        Reading::Revised(former, _) => former.answer(),
        Reading::Outdated(_) => Answer::Outdated,
        Reading::Closed(state) => over(state.status(), Answer::Decided).unwrap_or(Answer::Decided),
        Reading::Current(state) => viewed(state, link),
    }
}

/// What the workflow says to whoever looks.
fn viewed(state: &ApprovalState, link: &LinkHash) -> Answer {
    let is_sent_back = state.status() == Status::ChangesRequested;
    match over(state.status(), Answer::Decided) {
        Some(Answer::Withdrawn) if is_withdrawn_by(state, link) => return Answer::YouWithdrew,
        Some(answer) => return answer,
        None if is_submitters(state, link) && is_sent_back => return Answer::ToRevise,
        None if is_submitters(state, link) => return Answer::Submitted,
        None => {}
    }
    match reviewer_by_link(state, link) {
        None => Answer::Superseded,
        Some((stage, _)) if !is_open(stage) && !is_sent_back => Answer::StageOver,
        Some((_, reviewer)) if reviewer.vote.is_none() && own_delegation(state, link).is_some() => {
            Answer::Delegated
        }
        Some((_, reviewer)) if reviewer.released && reviewer.vote.is_none() => Answer::Superseded,
        Some(_) if is_sent_back => Answer::SentBack,
        Some((_, reviewer)) if reviewer.vote.is_some() => Answer::Voted,
        Some(_) => Answer::Open,
    }
}

fn is_withdrawn_by(state: &ApprovalState, link: &LinkHash) -> bool {
    state.withdrawal.as_ref().is_some_and(|withdrawal| withdrawal.link == link.as_str())
}

impl Former {
    fn answer(self) -> Answer {
        match self {
            Former::Reviewer => Answer::Revised,
            Former::Submitter => Answer::Resubmitted,
        }
    }
}

/// Whether a page with this answer lets its reader decide.
pub(crate) fn is_offered(answer: Answer, state: &ApprovalState, link: &LinkHash) -> bool {
    match answer {
        Answer::Open => true,
        Answer::NoWorker => own_vote(state, link).is_none() && !is_submitters(state, link),
        _ => false,
    }
}

/// The answer to a view of the page that follows a press. It is what the workflow says now: of the press only what
/// that bears out is said.
pub(crate) fn after_press(reading: &Reading, link: &LinkHash, pressed: Pressed) -> Answer {
    let said = match reading {
        Reading::Current(state) | Reading::Closed(state) => reported(state, link, pressed.verdict),
        Reading::NoWorker(_)
        | Reading::Replaced(_)
        | Reading::Ended(..)
        | Reading::Unsealed(_)
        | Reading::Revised(..)
        | Reading::Outdated(_) => None,
    };
    match said {
        Some(Answer::AlreadyRecorded) if pressed.counted => by_own_link(reading, link),
        Some(answer) if !pressed.counted => answer,
        _ => on_view(reading, link),
    }
}

/// The answer to a decision that need not be sent; `None` if it must be. Only what somebody has signed keeps
/// one from being sent: an outcome, or a vote by this link. All else in a workflow's answer may be forged.
pub(crate) fn settled(reading: &Reading, link: &LinkHash, verdict: Verdict) -> Option<Answer> {
    match reading {
        Reading::Ended(ending, _) => Some(Answer::Ended(*ending)),
        Reading::NoWorker(_) | Reading::Replaced(_) | Reading::Unsealed(_) => None,
        // A seal proves it.
        Reading::Revised(former, _) => Some(former.answer()),
        Reading::Outdated(_) => Some(Answer::Outdated),
        Reading::Closed(state) => reported(state, link, verdict),
        Reading::Current(state) => {
            let voted = own_vote(state, link).is_some_and(|vote| vote.by == names::BY_LINK);
            let signed = voted || !pending(state.status());
            reported(state, link, verdict).filter(|_| signed)
        }
    }
}

/// Whether a decision has to be confirmed before it is sent.
pub(crate) fn needs_confirmation(reading: &Reading, link: &LinkHash) -> bool {
    reading.state().confirm && can_count(reading, link)
}

/// Whether a decision needs a comment before it is sent, and has none.
pub(crate) fn needs_comment(
    reading: &Reading,
    link: &LinkHash,
    verdict: Verdict,
    comment: &str,
) -> bool {
    let required = comment_required(reading.state()).contains(&verdict);
    required && text::comment(comment).is_empty() && can_count(reading, link)
}

/// Whether changes are requested of what was revised as often as it can be.
pub(crate) fn is_unchangeable(reading: &Reading, link: &LinkHash, verdict: Verdict) -> bool {
    !verdicts(reading.state()).contains(&verdict) && can_count(reading, link)
}

/// What those who decide fill in.
pub(crate) fn fields(state: &ApprovalState) -> &[Field] {
    state.submission.as_ref().map_or(&[], |submission| &submission.fields)
}

/// The answers of a decision in their canonical form. Where it cannot count, or what they answer is not known, they
/// are as they were given.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) fn answered(
    reading: &Reading,
    link: &LinkHash,
    verdict: Verdict,
    given: &Answers,
) -> Result<Answers, Vec<Wrong>> {
    let fields = fields(reading.state());
    let is_known = !matches!(reading, Reading::Replaced(_));
    match answers::check(fields, verdict, given) {
        Ok(answers) => Ok(answers::by_name(&answers)),
        Err(wrong) if is_known && can_count(reading, link) => Err(wrong),
        Err(_) => Ok(given.clone()),
    }
}

/// Whether a decision may count. Where the workflow says that it takes none, it refuses it anyway, and the link no
/// longer shows what it would be about.
fn can_count(reading: &Reading, link: &LinkHash) -> bool {
    reading.is_unattended() || on_view(reading, link) == Answer::Open
}

/// What a workflow says of a decision; `None` if it does not have it, and could take it.
fn reported(state: &ApprovalState, link: &LinkHash, verdict: Verdict) -> Option<Answer> {
    if let Some(vote) = own_vote(state, link) {
        let same = vote.verdict().known() == Some(verdict);
        return Some(if same { Answer::AlreadyRecorded } else { Answer::OtherVerdict });
    }
    if let Some(answer) = over(state.status(), Answer::TooLate) {
        return Some(answer);
    }
    match reviewer_by_link(state, link) {
        None => Some(Answer::Superseded),
        Some((stage, _)) if !is_open(stage) => Some(Answer::TooLate),
        Some((_, reviewer)) if reviewer.released => Some(Answer::Superseded),
        Some(_) if own_delegation(state, link).is_some() => Some(Answer::Superseded),
        Some(_) if state.status() == Status::ChangesRequested => Some(Answer::Paused),
        Some(_) => None,
    }
}

/// The answer to a decision that was sent; `None` if the workflow does not have it.
pub(crate) fn after_sending(
    reading: &Reading,
    link: &LinkHash,
    verdict: Verdict,
) -> Option<Answer> {
    let answer = match reading {
        Reading::Unsealed(_) => Some(Answer::Sealing),
        Reading::Current(state) => reported(state, link, verdict),
        Reading::Ended(..)
        | Reading::NoWorker(_)
        | Reading::Replaced(_)
        | Reading::Closed(_)
        | Reading::Revised(..)
        | Reading::Outdated(_) => settled(reading, link, verdict),
    };
    answer.map(|answer| match answer {
        Answer::AlreadyRecorded => by_own_link(reading, link),
        answer => answer,
    })
}

/// What came of an act of the submitter's; `None` if nothing has yet. Before it is sent, only what somebody has signed
/// or sealed settles it.
pub(crate) fn acted(reading: &Reading, link: &LinkHash) -> Option<Answer> {
    match reading {
        Reading::Ended(ending, _) => Some(Answer::Ended(*ending)),
        Reading::Unsealed(_) => Some(Answer::Sealing),
        Reading::Revised(former, _) => Some(former.answer()),
        Reading::Outdated(_) => Some(Answer::Outdated),
        Reading::Replaced(_) | Reading::NoWorker(_) => None,
        Reading::Current(state) | Reading::Closed(state) => match viewed(state, link) {
            Answer::Decided => Some(Answer::TooLate),
            Answer::Submitted | Answer::ToRevise => None,
            answer => Some(answer),
        },
    }
}

/// The answer on the page that follows an act: what the workflow says now.
pub(crate) fn after_act(reading: &Reading, link: &LinkHash) -> Answer {
    let settled = match reading {
        Reading::Current(_) | Reading::Closed(_) => acted(reading, link),
        _ => None,
    };
    settled.unwrap_or_else(|| on_view(reading, link))
}

/// Whether the verdict that is recorded is the reader's own or an operator's.
fn by_own_link(reading: &Reading, link: &LinkHash) -> Answer {
    match own_vote(reading.state(), link).is_some_and(|vote| vote.by == names::BY_LINK) {
        true => Answer::Recorded,
        false => Answer::AlreadyRecorded,
    }
}

/// Whether it can still be decided. A status that only a newer version knows counts as open.
pub(crate) fn pending(status: Status) -> bool {
    over(status, Answer::Decided).is_none()
}

/// Whether a stage can still be decided: it may be over without anything that confirms how.
pub(crate) fn is_open(stage: &StageState) -> bool {
    pending(stage.status()) && stage.closed_at.is_none()
}

fn over(status: Status, decided: Answer) -> Option<Answer> {
    match status {
        Status::Pending | Status::ChangesRequested | Status::Unspecified => None,
        Status::Approved | Status::Rejected => Some(decided),
        Status::Expired => Some(Answer::Expired),
        Status::Withdrawn => Some(Answer::Withdrawn),
    }
}

#[cfg(test)]
mod tests;
