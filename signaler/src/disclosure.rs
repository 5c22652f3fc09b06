//! What a link still shows. Mails are kept for years and get into other hands, so a link that can decide
//! nothing any more shows the outcome alone. Pure.

use countersign_protos::{
    LinkHash,
    v1::{ApprovalState, Submission},
};

use crate::answer::{Answer, own_vote, pending};

/// What is shown of a state with this answer. Without the document, the submission has only its ID. What others
/// have written is shown with the document, and to whoever has decided.
pub(crate) fn disclosed(answer: Answer, state: &ApprovalState, link: &LinkHash) -> ApprovalState {
    let own = own_vote(state, link);
    let shows_document = match answer {
        Answer::Open | Answer::NoWorker | Answer::Unconfirmed | Answer::Accepted => true,
        Answer::Voted
        | Answer::StageOver
        | Answer::Recorded
        | Answer::AlreadyRecorded
        | Answer::OtherVerdict
        | Answer::TooLate => own.is_some() && pending(state.status()),
        Answer::Decided
        | Answer::Expired
        | Answer::Withdrawn
        | Answer::Ended(_)
        | Answer::Superseded
        | Answer::Sealing => false,
    };
    let has_decided = own.is_some_and(|vote| vote.by == "link");
    let mut shown = state.clone();
    if !shows_document {
        shown.submission = shown.submission.map(only_named);
    }
    if !shows_document && !has_decided {
        let reviewers = shown.stages.iter_mut().flat_map(|stage| &mut stage.reviewers);
        let others = reviewers.filter(|reviewer| reviewer.link != link.as_str());
        others.filter_map(|other| other.vote.as_mut()).for_each(|vote| vote.comment.clear());
    }
    shown
}

fn only_named(submission: Submission) -> Submission {
    Submission { submission_id: submission.submission_id, ..Submission::default() }
}

#[cfg(test)]
mod tests {
    use countersign_protos::{
        ApprovalId,
        v1::{Document, ReviewerState, StageState, Status, Vote},
    };

    use super::*;
    use crate::answer::Ending;

    fn link() -> LinkHash {
        "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
    }

    /// Bob has decided, and perhaps Ann, whose link it is.
    fn state(status: Status, by: Option<&str>) -> ApprovalState {
        let vote = |by: &str, comment: &str| {
            Some(Vote { by: by.into(), comment: comment.into(), ..Vote::default() })
        };
        let seat = |link: &str, vote| ReviewerState {
            link: link.into(),
            vote,
            ..ReviewerState::default()
        };
        let ann = by.and_then(|by| vote(by, "Ann's"));
        let reviewers = vec![seat(link().as_str(), ann), seat("bob", vote("link", "Bob's"))];
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
        let shown = disclosed(answer, &state(status, by), &link());
        let submission = shown.submission.expect("a submission");
        assert_eq!(submission.submission_id, "PO-1", "{answer:?}");
        assert_eq!(submission.document.is_some(), !submission.submission_type.is_empty());
        let votes = shown.stages[0].reviewers.iter().filter_map(|one| one.vote.as_ref());
        let comments = votes.map(|vote| vote.comment.clone()).filter(|text| !text.is_empty());
        (submission.document.is_some(), comments.collect())
    }

    #[test]
    fn a_link_that_can_decide_nothing_any_more_shows_the_outcome_alone() {
        use Status::{Approved, Expired, Pending, Withdrawn};
        let link = Some("link");
        for (answer, status, by, document, comments) in [
            (Answer::Open, Pending, None, true, &["Bob's"][..]),
            (Answer::NoWorker, Pending, None, true, &["Bob's"]),
            (Answer::Unconfirmed, Pending, None, true, &["Bob's"]),
            (Answer::Accepted, Pending, None, true, &["Bob's"]),
            (Answer::Voted, Pending, link, true, &["Ann's", "Bob's"]),
            (Answer::Recorded, Pending, link, true, &["Ann's", "Bob's"]),
            (Answer::OtherVerdict, Pending, link, true, &["Ann's", "Bob's"]),
            (Answer::StageOver, Pending, link, true, &["Ann's", "Bob's"]),
            (Answer::StageOver, Pending, None, false, &[]),
            (Answer::TooLate, Pending, None, false, &[]),
            (Answer::Superseded, Pending, None, false, &[]),
            (Answer::Sealing, Pending, None, false, &[]),
            (Answer::Ended(Ending::Terminated), Pending, None, false, &[]),
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
