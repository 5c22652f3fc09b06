//! What a link still shows. Mails are kept for years and get into other hands, so a link that can decide
//! nothing any more shows the outcome alone. Pure.

use countersign_protos::{
    Difference, LinkHash, differences, names,
    v1::{ApprovalState, StageState, Status, Submission, Vote},
};

use crate::answer::{Answer, own_vote, pending, reviewer_by_link};

/// What a page or a program may know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Disclosed {
    pub(crate) state: ApprovalState,
    /// What the last revision has changed.
    pub(crate) changes: Vec<Difference>,
}

/// What is shown of a state with this answer. Without the document, the submission has only its ID. What others
/// have written is shown with the document, and, as far as it was there when they did, to whoever has decided. A link
/// of the version before is told what has changed since, while that can be decided.
pub(crate) fn disclosed(answer: Answer, state: &ApprovalState, link: &LinkHash) -> Disclosed {
    let shows_document = shows_document(answer, state, link);
    let changes = match shows_document || answer == Answer::Revised {
        true => changes(state),
        false => Vec::new(),
    };
    let mut shown = state.clone();
    if !shows_document {
        shown = without_document(shown);
        hide_comments(&mut shown, link);
    }
    Disclosed { state: shown, changes }
}

fn shows_document(answer: Answer, state: &ApprovalState, link: &LinkHash) -> bool {
    let own = own_vote(state, link);
    match answer {
        Answer::Open
        | Answer::NoWorker
        | Answer::Unconfirmed
        | Answer::Uncommented
        | Answer::Unchangeable
        | Answer::Unanswered
        | Answer::Accepted
        | Answer::DelegationStored => true,
        // Whoever was asked in the stage that is sent back may be asked again.
        Answer::SentBack | Answer::Paused => {
            let is_paused = |stage: &StageState| stage.status() == Status::ChangesRequested;
            let seat = reviewer_by_link(state, link);
            own.is_some() || seat.is_some_and(|(stage, one)| is_paused(stage) && !one.released)
        }
        Answer::Submitted | Answer::ToRevise | Answer::Resubmitted => pending(state.status()),
        Answer::Voted
        | Answer::StageOver
        | Answer::Recorded
        | Answer::AlreadyRecorded
        | Answer::OtherVerdict
        | Answer::TooLate => own.is_some() && pending(state.status()),
        Answer::Decided
        | Answer::Expired
        | Answer::Withdrawn
        | Answer::YouWithdrew
        | Answer::Ended(_)
        | Answer::Superseded
        | Answer::Revised
        | Answer::Outdated
        | Answer::Delegated
        | Answer::Sealing => false,
    }
}

fn changes(state: &ApprovalState) -> Vec<Difference> {
    let both = state.previous.as_ref().zip(state.submission.as_ref());
    both.map(|(before, after)| differences(before, after)).unwrap_or_default()
}

/// Removes what others have written, unless it was there when the link's holder decided.
fn hide_comments(state: &mut ApprovalState, link: &LinkHash) {
    let own = own_vote(state, link).filter(|vote| vote.by == names::BY_LINK).and_then(moment);
    let was_there = |vote: &Vote| moment(vote).zip(own).is_some_and(|(at, own)| at < own);
    let reviewers = state.stages.iter_mut().flat_map(|stage| &mut stage.reviewers);
    let others = reviewers.filter(|reviewer| reviewer.link != link.as_str());
    let votes = others.filter_map(|other| other.vote.as_mut());
    votes.filter(|vote| !was_there(vote)).for_each(clear);
    let delegations = state.stages.iter_mut().flat_map(|stage| &mut stage.delegations);
    let others = delegations.filter(|delegation| delegation.link != link.as_str());
    others.for_each(|delegation| delegation.reason.clear());
    let asked = state.change_request.as_mut().and_then(|request| request.vote.as_mut());
    let earlier = state.earlier_versions.iter_mut().filter_map(|it| it.request.as_mut());
    asked.into_iter().chain(earlier).for_each(clear);
}

fn clear(vote: &mut Vote) {
    vote.comment.clear();
    vote.answers.clear();
}

/// When somebody decided, in seconds and nanoseconds.
fn moment(vote: &Vote) -> Option<(i64, i32)> {
    vote.decided_at.as_ref().map(|at| (at.seconds, at.nanos))
}

/// A state in which the submission has only its ID.
pub(crate) fn without_document(state: ApprovalState) -> ApprovalState {
    let only_named = |submission: Submission| Submission {
        submission_id: submission.submission_id,
        ..Submission::default()
    };
    ApprovalState { submission: state.submission.map(only_named), previous: None, ..state }
}

#[cfg(test)]
mod tests {
    use countersign_protos::{
        ApprovalId,
        v1::{Answer as Filled, Document, ReviewerState, StageState, Status},
    };
    use pbjson_types::Timestamp;

    use super::*;
    use crate::answer::Ending;

    fn link() -> LinkHash {
        "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
    }

    /// Bob has decided, then perhaps Ann, whose link it is, and then Cy.
    fn state(status: Status, by: Option<&str>) -> ApprovalState {
        let vote = |by: &str, comment: &str, nanos: i32| {
            let decided_at = Some(Timestamp { seconds: 1_800_000_000, nanos });
            let (by, comment) = (by.to_owned(), comment.to_owned());
            let answers = vec![Filled { value: comment.clone(), ..Filled::default() }];
            Some(Vote { by, comment, answers, decided_at, ..Vote::default() })
        };
        let seat = |link: &str, vote| ReviewerState {
            link: link.into(),
            vote,
            ..ReviewerState::default()
        };
        let ann = by.and_then(|by| vote(by, "Ann's", 1));
        let reviewers = vec![
            seat(link().as_str(), ann),
            seat("bob", vote("link", "Bob's", 0)),
            seat("cy", vote("link", "Cy's", 2)),
        ];
        let document = Some(Document { title: "Ten laptops".into(), ..Document::default() });
        ApprovalState {
            status: status.into(),
            submission: Some(Submission {
                submission_id: "PO-1".into(),
                submission_type: "purchase".into(),
                document,
                ..Submission::default()
            }),
            stages: vec![StageState { reviewers, ..StageState::default() }],
            ..ApprovalState::default()
        }
    }

    /// Whether the document is shown, and whose comments.
    fn shown(answer: Answer, status: Status, by: Option<&str>) -> (bool, Vec<String>) {
        let shown = disclosed(answer, &state(status, by), &link()).state;
        let submission = shown.submission.expect("a submission");
        assert_eq!(submission.submission_id, "PO-1", "{answer:?}");
        assert_eq!(submission.document.is_some(), !submission.submission_type.is_empty());
        let votes = shown.stages[0].reviewers.iter().filter_map(|one| one.vote.as_ref());
        let comments = votes.map(|vote| {
            let answers: String = vote.answers.iter().map(|answer| answer.value.as_str()).collect();
            assert_eq!(answers, vote.comment, "answers are shown to whom comments are");
            answers
        });
        let comments = comments.filter(|text| !text.is_empty());
        (submission.document.is_some(), comments.collect())
    }

    #[test]
    fn a_link_that_can_decide_nothing_any_more_shows_the_outcome_alone() {
        use Status::{Approved, ChangesRequested, Expired, Pending, Withdrawn};
        let link = Some("link");
        for (answer, status, by, document, comments) in [
            (Answer::Open, Pending, None, true, &["Bob's", "Cy's"][..]),
            (Answer::NoWorker, Pending, None, true, &["Bob's", "Cy's"]),
            (Answer::Unconfirmed, Pending, None, true, &["Bob's", "Cy's"]),
            (Answer::Uncommented, Pending, None, true, &["Bob's", "Cy's"]),
            (Answer::Unanswered, Pending, None, true, &["Bob's", "Cy's"]),
            (Answer::Accepted, Pending, None, true, &["Bob's", "Cy's"]),
            (Answer::Voted, Pending, link, true, &["Ann's", "Bob's", "Cy's"]),
            (Answer::Recorded, Pending, link, true, &["Ann's", "Bob's", "Cy's"]),
            (Answer::OtherVerdict, Pending, link, true, &["Ann's", "Bob's", "Cy's"]),
            (Answer::StageOver, Pending, link, true, &["Ann's", "Bob's", "Cy's"]),
            (Answer::StageOver, Pending, None, false, &[]),
            (Answer::TooLate, Pending, None, false, &[]),
            (Answer::Superseded, Pending, None, false, &[]),
            (Answer::Sealing, Pending, None, false, &[]),
            (Answer::Ended(Ending::Terminated), Pending, None, false, &[]),
            (Answer::SentBack, ChangesRequested, link, true, &["Ann's", "Bob's", "Cy's"]),
            (Answer::SentBack, ChangesRequested, None, false, &[]),
            (Answer::Paused, ChangesRequested, None, false, &[]),
            (Answer::ToRevise, ChangesRequested, None, true, &["Bob's", "Cy's"]),
            (Answer::Submitted, Pending, None, true, &["Bob's", "Cy's"]),
            (Answer::Revised, Pending, None, false, &[]),
            (Answer::Outdated, Pending, None, false, &[]),
            (Answer::YouWithdrew, Withdrawn, None, false, &[]),
            // Cy wrote after she had decided.
            (Answer::Recorded, Approved, link, false, &["Ann's", "Bob's"]),
            (Answer::AlreadyRecorded, Approved, link, false, &["Ann's", "Bob's"]),
            (Answer::Decided, Approved, link, false, &["Ann's", "Bob's"]),
            // Of what an operator decided for her, Ann has only read.
            (Answer::Decided, Approved, Some("operator"), false, &["Ann's"]),
            (Answer::Decided, Approved, None, false, &[]),
            (Answer::TooLate, Approved, None, false, &[]),
            (Answer::Expired, Expired, None, false, &[]),
            (Answer::Withdrawn, Withdrawn, None, false, &[]),
        ] {
            let expected: Vec<String> = comments.iter().map(|&comment| comment.into()).collect();
            assert_eq!(shown(answer, status, by), (document, expected), "{answer:?} {by:?}");
        }
    }
}
