//! Which answer a reviewer gets, from what is known of the approval and what they asked for. Pure.

use countersign_protos::{
    LinkHash, Verdict,
    v1::{ApprovalState, ReviewerState, StageState, Status, Vote},
};

/// What is known of an approval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    /// The workflow's own answer.
    Current(ApprovalState),
    /// Open, but no worker answers: only the submission is known.
    NoWorker(ApprovalState),
    /// No worker answers, but the outcome is known, with the links of those who decided.
    Closed(ApprovalState),
    /// The workflow ended without an outcome.
    Ended(Ending, ApprovalState),
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
    /// The deadline passed.
    Expired,
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
    /// Decided: Temporal has it, but no worker has processed it yet.
    Accepted,
}

impl Reading {
    pub(crate) fn state(&self) -> &ApprovalState {
        match self {
            Reading::Current(state)
            | Reading::NoWorker(state)
            | Reading::Closed(state)
            | Reading::Ended(_, state) => state,
        }
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

/// The vote of the reviewer to whom `link` was issued.
pub(crate) fn own_vote<'a>(state: &'a ApprovalState, link: &LinkHash) -> Option<&'a Vote> {
    reviewer_by_link(state, link).and_then(|(_, reviewer)| reviewer.vote.as_ref())
}

/// The answer to a view of the page.
pub(crate) fn on_view(reading: &Reading, link: &LinkHash) -> Answer {
    match reading {
        Reading::Ended(ending, _) => Answer::Ended(*ending),
        Reading::NoWorker(_) => Answer::NoWorker,
        Reading::Closed(state) => over(state.status(), Answer::Decided).unwrap_or(Answer::Decided),
        Reading::Current(state) => {
            if let Some(answer) = over(state.status(), Answer::Decided) {
                return answer;
            }
            match reviewer_by_link(state, link) {
                None => Answer::Superseded,
                Some((stage, _)) if !pending(stage.status()) => Answer::StageOver,
                Some((_, reviewer)) if reviewer.vote.is_some() => Answer::Voted,
                Some((_, reviewer)) if reviewer.released => Answer::Superseded,
                Some(_) => Answer::Open,
            }
        }
    }
}

/// The answer to a decision that need not be sent; `None` if it must be.
pub(crate) fn settled(reading: &Reading, link: &LinkHash, verdict: Verdict) -> Option<Answer> {
    let state = match reading {
        Reading::Ended(ending, _) => return Some(Answer::Ended(*ending)),
        Reading::NoWorker(_) => return None,
        Reading::Current(state) | Reading::Closed(state) => state,
    };
    if let Some(vote) = own_vote(state, link) {
        let same = vote.verdict().known() == Some(verdict);
        return Some(if same { Answer::AlreadyRecorded } else { Answer::OtherVerdict });
    }
    if let Some(answer) = over(state.status(), Answer::TooLate) {
        return Some(answer);
    }
    match reviewer_by_link(state, link) {
        None => Some(Answer::Superseded),
        Some((stage, _)) if !pending(stage.status()) => Some(Answer::TooLate),
        Some((_, reviewer)) if reviewer.released => Some(Answer::Superseded),
        Some(_) => None,
    }
}

/// The answer to a decision that was sent; `None` if the workflow does not have it.
pub(crate) fn after_sending(
    reading: &Reading,
    link: &LinkHash,
    verdict: Verdict,
) -> Option<Answer> {
    settled(reading, link, verdict).map(|answer| match answer {
        Answer::AlreadyRecorded => Answer::Recorded,
        answer => answer,
    })
}

/// Whether it can still be decided. A status that only a newer version knows counts as open.
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
    use countersign_protos::ApprovalId;

    use super::*;

    fn ann() -> LinkHash {
        "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
    }

    fn bob() -> LinkHash {
        "8K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
    }

    fn reviewer(link: &LinkHash, vote: Option<Verdict>) -> ReviewerState {
        let vote = vote.map(|verdict| Vote { verdict: verdict.into(), ..Vote::default() });
        ReviewerState { link: link.as_str().into(), vote, ..ReviewerState::default() }
    }

    /// One stage that Ann and Bob were asked in, and one that follows it.
    fn state(
        all: Status,
        stage: Status,
        by_ann: Option<Verdict>,
        by_bob: Option<Verdict>,
    ) -> Reading {
        let reviewers = vec![reviewer(&ann(), by_ann), reviewer(&bob(), by_bob)];
        let first = StageState { status: stage.into(), reviewers, ..StageState::default() };
        let second = StageState { status: Status::Pending.into(), ..StageState::default() };
        let stages = vec![first, second];
        Reading::Current(ApprovalState { status: all.into(), stages, ..ApprovalState::default() })
    }

    fn without_stages(status: Status) -> ApprovalState {
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
            // What the workflow says,                             viewed, approved before it is sent, and after
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
            (Reading::NoWorker(without_stages(Pending)), Answer::NoWorker, None, Answer::Accepted),
            (
                Reading::Closed(without_stages(Approved)),
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
                Reading::Closed(without_stages(Withdrawn)),
                Answer::Withdrawn,
                Some(Answer::Withdrawn),
                Answer::Withdrawn,
            ),
            (
                Reading::Ended(Ending::Terminated, without_stages(Pending)),
                Answer::Ended(Ending::Terminated),
                Some(Answer::Ended(Ending::Terminated)),
                Answer::Ended(Ending::Terminated),
            ),
            (
                Reading::Current(without_stages(Pending)),
                Answer::Superseded,
                Some(Answer::Superseded),
                Answer::Superseded,
            ),
            (
                Reading::Current(without_stages(Approved)),
                Answer::Decided,
                Some(Answer::TooLate),
                Answer::TooLate,
            ),
        ];
        for (reading, looks, before, after) in table {
            assert_eq!(on_view(&reading, &ann()), looks, "{reading:?}");
            assert_eq!(settled(&reading, &ann(), Verdict::Approve), before, "{reading:?}");
            let said =
                after_sending(&reading, &ann(), Verdict::Approve).unwrap_or(Answer::Accepted);
            assert_eq!(said, after, "{reading:?}");
        }
    }

    #[test]
    fn somebody_elses_vote_is_not_ones_own() {
        let reading = state(Status::Pending, Status::Pending, None, Some(Verdict::Approve));
        assert_eq!(on_view(&reading, &ann()), Answer::Open);
        assert_eq!(on_view(&reading, &bob()), Answer::Voted);
        assert_eq!(settled(&reading, &ann(), Verdict::Reject), None);
        assert_eq!(settled(&reading, &bob(), Verdict::Reject), Some(Answer::OtherVerdict));
    }
}
