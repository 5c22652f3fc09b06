//! What a reviewer is told: it follows from what Temporal says and from what they asked for.
//!
//! Pure: no clock, no I/O, no web and no Temporal.

use countersign_protos::{
    Verdict,
    v1::{ApprovalState, ReviewerState, StageState, Status, Vote},
};

/// What could be learned about an approval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// The workflow's own answer.
    Current(ApprovalState),
    /// No worker answers, and the approval is open: no more than its submission is known.
    Unattended(ApprovalState),
    /// No worker answers, and the approval has an outcome, which knows the links of those who decided.
    Closed(ApprovalState),
    /// The workflow ended without an outcome.
    Ended(Ending, ApprovalState),
}

/// How a workflow ends without an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It failed.
    Failed,
    /// Somebody terminated it.
    Terminated,
    /// Temporal's own time limit stopped it.
    TimedOut,
    /// It completed, but not with an outcome that can be read.
    Unreadable,
}

/// What a request about an approval comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Looked at: it waits for this reviewer.
    Open,
    /// Looked at: it is open, but no worker runs.
    Unattended,
    /// Looked at: this reviewer has decided, and their stage waits for others.
    Voted,
    /// Looked at: this reviewer's stage is over, the approval goes on.
    StageOver,
    /// Looked at: approved or rejected.
    Decided,
    /// The deadline passed.
    Expired,
    /// The approval was called off.
    Withdrawn,
    /// The workflow ended without an outcome.
    Ended(Ending),
    /// Somebody else was asked in this reviewer's place.
    Superseded,
    /// Decided: it counts.
    Recorded,
    /// Decided again, the same way.
    AlreadyRecorded,
    /// Decided again, the other way: the first decision stands.
    OtherVerdict,
    /// Decided after others had settled it.
    TooLate,
    /// Decided: Temporal has it, the workflow has not said yet what became of it.
    Accepted,
}

impl Reading {
    /// What is known, however it was learned.
    pub(crate) fn state(&self) -> &ApprovalState {
        match self {
            Reading::Current(state)
            | Reading::Unattended(state)
            | Reading::Closed(state)
            | Reading::Ended(_, state) => state,
        }
    }
}

/// The reviewer who was asked by `link`, and in which stage.
pub(crate) fn asked<'a>(
    state: &'a ApprovalState,
    link: &str,
) -> Option<(&'a StageState, &'a ReviewerState)> {
    state.stages.iter().find_map(|stage| {
        stage.reviewers.iter().find(|asked| asked.link == link).map(|asked| (stage, asked))
    })
}

/// The vote of the reviewer who was asked by `link`.
pub(crate) fn own_vote<'a>(state: &'a ApprovalState, link: &str) -> Option<&'a Vote> {
    asked(state, link).and_then(|(_, reviewer)| reviewer.vote.as_ref())
}

/// The answer to whoever only looks.
pub(crate) fn on_look(reading: &Reading, link: &str) -> Answer {
    match reading {
        Reading::Ended(ending, _) => Answer::Ended(*ending),
        Reading::Unattended(_) => Answer::Unattended,
        Reading::Closed(state) => over(state.status(), Answer::Decided).unwrap_or(Answer::Decided),
        Reading::Current(state) => {
            if let Some(answer) = over(state.status(), Answer::Decided) {
                return answer;
            }
            match asked(state, link) {
                None => Answer::Superseded,
                Some((stage, _)) if !pending(stage.status()) => Answer::StageOver,
                Some((_, reviewer)) if reviewer.vote.is_some() => Answer::Voted,
                Some((_, reviewer)) if reviewer.released => Answer::Superseded,
                Some(_) => Answer::Open,
            }
        }
    }
}

/// The answer to a decision where none needs to be sent; otherwise it is time to send it.
pub(crate) fn settled(reading: &Reading, link: &str, verdict: Verdict) -> Option<Answer> {
    let state = match reading {
        Reading::Ended(ending, _) => return Some(Answer::Ended(*ending)),
        Reading::Unattended(_) => return None,
        Reading::Current(state) | Reading::Closed(state) => state,
    };
    if let Some(vote) = own_vote(state, link) {
        let same = vote.verdict().known() == Some(verdict);
        return Some(if same { Answer::AlreadyRecorded } else { Answer::OtherVerdict });
    }
    if let Some(answer) = over(state.status(), Answer::TooLate) {
        return Some(answer);
    }
    match asked(state, link) {
        None => Some(Answer::Superseded),
        Some((stage, _)) if !pending(stage.status()) => Some(Answer::TooLate),
        Some((_, reviewer)) if reviewer.released => Some(Answer::Superseded),
        Some(_) => None,
    }
}

/// The answer to a decision that was sent, where the workflow has one.
pub(crate) fn after_sending(reading: &Reading, link: &str, verdict: Verdict) -> Option<Answer> {
    settled(reading, link, verdict).map(|answer| match answer {
        Answer::AlreadyRecorded => Answer::Recorded,
        answer => answer,
    })
}

/// Whether there is still something to decide.
pub(crate) fn pending(status: Status) -> bool {
    over(status, Answer::Decided).is_none()
}

fn over(status: Status, decided: Answer) -> Option<Answer> {
    match status {
        Status::Pending | Status::Unspecified => None,
        Status::Approved | Status::Rejected => Some(decided),
        Status::Expired => Some(Answer::Expired),
        Status::Withdrawn => Some(Answer::Withdrawn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str = "link-of-ann";
    const BOB: &str = "link-of-bob";

    fn reviewer(link: &str, vote: Option<Verdict>) -> ReviewerState {
        let vote = vote.map(|verdict| Vote { verdict: verdict.into(), ..Vote::default() });
        ReviewerState { link: link.into(), vote, ..ReviewerState::default() }
    }

    /// One stage that Ann and Bob were asked in, and one that follows it.
    fn state(all: Status, stage: Status, ann: Option<Verdict>, bob: Option<Verdict>) -> Reading {
        let reviewers = vec![reviewer(ANN, ann), reviewer(BOB, bob)];
        let first = StageState { status: stage.into(), reviewers, ..StageState::default() };
        let second = StageState { status: Status::Pending.into(), ..StageState::default() };
        let stages = vec![first, second];
        Reading::Current(ApprovalState { status: all.into(), stages, ..ApprovalState::default() })
    }

    fn elsewhere(status: Status) -> ApprovalState {
        ApprovalState { status: status.into(), ..ApprovalState::default() }
    }

    #[test]
    fn every_state_has_its_answer() {
        let closed = |reading: Reading| Reading::Closed(reading.state().clone());
        // Others were asked in everybody's place.
        let released = |reading: Reading| {
            let mut state = reading.state().clone();
            state.stages[0].reviewers.iter_mut().for_each(|asked| asked.released = true);
            Reading::Current(state)
        };
        use Status::{Approved, Expired, Pending, Rejected, Unspecified, Withdrawn};
        use Verdict::{Approve, Reject};
        let table = [
            // What the workflow says,                             who looks,  who approves before it is sent, and after
            (state(Pending, Pending, None, None), Answer::Open, None, Answer::Accepted),
            (state(Unspecified, Unspecified, None, None), Answer::Open, None, Answer::Accepted),
            (
                state(Pending, Pending, Some(Approve), None),
                Answer::Voted,
                Some(Answer::AlreadyRecorded),
                Answer::Recorded,
            ),
            (
                state(Pending, Pending, Some(Reject), None),
                Answer::Voted,
                Some(Answer::OtherVerdict),
                Answer::OtherVerdict,
            ),
            (
                state(Pending, Approved, None, Some(Approve)),
                Answer::StageOver,
                Some(Answer::TooLate),
                Answer::TooLate,
            ),
            (
                state(Pending, Approved, Some(Approve), None),
                Answer::StageOver,
                Some(Answer::AlreadyRecorded),
                Answer::Recorded,
            ),
            (
                state(Approved, Approved, Some(Approve), None),
                Answer::Decided,
                Some(Answer::AlreadyRecorded),
                Answer::Recorded,
            ),
            (
                state(Rejected, Rejected, None, Some(Reject)),
                Answer::Decided,
                Some(Answer::TooLate),
                Answer::TooLate,
            ),
            (
                state(Expired, Expired, None, None),
                Answer::Expired,
                Some(Answer::Expired),
                Answer::Expired,
            ),
            (
                state(Expired, Expired, Some(Approve), None),
                Answer::Expired,
                Some(Answer::AlreadyRecorded),
                Answer::Recorded,
            ),
            (
                state(Withdrawn, Withdrawn, None, None),
                Answer::Withdrawn,
                Some(Answer::Withdrawn),
                Answer::Withdrawn,
            ),
            (
                released(state(Pending, Pending, None, None)),
                Answer::Superseded,
                Some(Answer::Superseded),
                Answer::Superseded,
            ),
            (Reading::Unattended(elsewhere(Pending)), Answer::Unattended, None, Answer::Accepted),
            (
                Reading::Closed(elsewhere(Approved)),
                Answer::Decided,
                Some(Answer::TooLate),
                Answer::TooLate,
            ),
            (
                closed(state(Approved, Approved, Some(Approve), None)),
                Answer::Decided,
                Some(Answer::AlreadyRecorded),
                Answer::Recorded,
            ),
            (
                closed(state(Rejected, Rejected, Some(Reject), None)),
                Answer::Decided,
                Some(Answer::OtherVerdict),
                Answer::OtherVerdict,
            ),
            (
                Reading::Closed(elsewhere(Withdrawn)),
                Answer::Withdrawn,
                Some(Answer::Withdrawn),
                Answer::Withdrawn,
            ),
            (
                Reading::Ended(Ending::Terminated, elsewhere(Pending)),
                Answer::Ended(Ending::Terminated),
                Some(Answer::Ended(Ending::Terminated)),
                Answer::Ended(Ending::Terminated),
            ),
            (
                Reading::Current(elsewhere(Pending)),
                Answer::Superseded,
                Some(Answer::Superseded),
                Answer::Superseded,
            ),
            (
                Reading::Current(elsewhere(Approved)),
                Answer::Decided,
                Some(Answer::TooLate),
                Answer::TooLate,
            ),
        ];
        for (reading, looks, before, after) in table {
            assert_eq!(on_look(&reading, ANN), looks, "{reading:?}");
            assert_eq!(settled(&reading, ANN, Verdict::Approve), before, "{reading:?}");
            let said = after_sending(&reading, ANN, Verdict::Approve).unwrap_or(Answer::Accepted);
            assert_eq!(said, after, "{reading:?}");
        }
    }

    #[test]
    fn somebody_elses_vote_is_not_ones_own() {
        let reading = state(Status::Pending, Status::Pending, None, Some(Verdict::Approve));
        assert_eq!(on_look(&reading, ANN), Answer::Open);
        assert_eq!(on_look(&reading, BOB), Answer::Voted);
        assert_eq!(settled(&reading, ANN, Verdict::Reject), None);
        assert_eq!(settled(&reading, BOB, Verdict::Reject), Some(Answer::OtherVerdict));
    }
}
