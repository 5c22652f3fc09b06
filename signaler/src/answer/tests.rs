use countersign_protos::{
    ApprovalId, MAX_REVISIONS,
    v1::{Possible, Submission},
};

use super::*;

fn ann() -> LinkHash {
    "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
}

fn bob() -> LinkHash {
    "8K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
}

fn reviewer(link: &LinkHash, vote: Option<Verdict>) -> ReviewerState {
    let by = "link".to_owned();
    let vote = vote.map(|verdict| Vote { verdict: verdict.into(), by, ..Vote::default() });
    ReviewerState { link: link.as_str().into(), vote, ..ReviewerState::default() }
}

/// One stage that Ann and Bob were asked in, and one that follows it.
fn state(all: Status, stage: Status, by_ann: Option<Verdict>, by_bob: Option<Verdict>) -> Reading {
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
    use Status::{Approved, ChangesRequested, Expired, Pending, Rejected, Unspecified, Withdrawn};
    use Verdict::{Approve, Reject, RequestChanges};
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
        (state(Pending, Approved, None, Some(Approve)), Answer::StageOver, None, Answer::TooLate),
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
            None,
            Answer::Superseded,
        ),
        (
            state(ChangesRequested, ChangesRequested, None, Some(RequestChanges)),
            Answer::SentBack,
            None,
            Answer::Paused,
        ),
        (
            state(ChangesRequested, ChangesRequested, Some(RequestChanges), None),
            Answer::SentBack,
            Some(Answer::OtherVerdict),
            Answer::OtherVerdict,
        ),
        (
            Reading::Revised(Former::Reviewer, without_stages(Pending)),
            Answer::Revised,
            Some(Answer::Revised),
            Answer::Revised,
        ),
        (
            Reading::Outdated(without_stages(Pending)),
            Answer::Outdated,
            Some(Answer::Outdated),
            Answer::Outdated,
        ),
        (Reading::NoWorker(without_stages(Pending)), Answer::NoWorker, None, Answer::Accepted),
        (Reading::Replaced(without_stages(Pending)), Answer::Superseded, None, Answer::Accepted),
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
        (Reading::Unsealed(without_stages(Pending)), Answer::Sealing, None, Answer::Sealing),
        (Reading::Current(without_stages(Pending)), Answer::Superseded, None, Answer::Superseded),
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
        let said = after_sending(&reading, &ann(), Verdict::Approve).unwrap_or(Answer::Accepted);
        assert_eq!(said, after, "{reading:?}");
    }
}

#[test]
fn a_vote_that_nobody_has_signed_keeps_no_decision_from_being_sent() {
    for (vote, told) in
        [(Verdict::Approve, Answer::AlreadyRecorded), (Verdict::Reject, Answer::OtherVerdict)]
    {
        let mut state = state(Status::Pending, Status::Pending, Some(vote), None).state().clone();
        let own = state.stages[0].reviewers[0].vote.as_mut().expect("a vote");
        own.by = "operator".to_owned();
        let reading = Reading::Current(state);
        assert_eq!(settled(&reading, &ann(), Verdict::Approve), None);
        assert_eq!(after_sending(&reading, &ann(), Verdict::Approve), Some(told));
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

#[test]
fn a_decision_is_confirmed_only_where_one_can_be_made_and_the_rule_says_so() {
    use Status::{Approved, Pending};
    let confirming = |reading: Reading| {
        let state = ApprovalState { confirm: true, ..reading.state().clone() };
        match reading {
            Reading::NoWorker(_) => Reading::NoWorker(state),
            Reading::Replaced(_) => Reading::Replaced(state),
            _ => Reading::Current(state),
        }
    };
    let open = || state(Pending, Pending, None, None);
    let no_worker = Reading::NoWorker(without_stages(Pending));
    // A worker may ignore the order that has replaced the link.
    let replaced = Reading::Replaced(without_stages(Pending));
    for reading in [open(), no_worker, replaced] {
        assert!(!needs_confirmation(&reading, &ann()));
        assert!(needs_confirmation(&confirming(reading), &ann()));
    }
    let mut superseded = open().state().clone();
    superseded.stages[0].reviewers[0].released = true;
    for reading in [
        Reading::Current(superseded),
        state(Pending, Pending, Some(Verdict::Approve), None),
        state(Pending, Approved, None, Some(Verdict::Approve)),
        state(Approved, Approved, None, Some(Verdict::Approve)),
    ] {
        assert!(!needs_confirmation(&confirming(reading), &ann()));
    }
}

#[test]
fn after_a_press_the_page_says_what_the_workflow_says_and_of_the_press_only_what_that_bears_out() {
    use Status::{Approved, Expired, Pending, Unspecified, Withdrawn};
    use Verdict::{Approve, Reject};
    let [counted, unchanged] = [true, false].map(|counted| Pressed { verdict: Approve, counted });
    let ended = Reading::Ended(Ending::TimedOut, without_stages(Pending));
    for (reading, after_counted, after_unchanged) in [
        (state(Pending, Pending, Some(Approve), None), Answer::Recorded, Answer::AlreadyRecorded),
        (state(Approved, Approved, Some(Approve), None), Answer::Recorded, Answer::AlreadyRecorded),
        // The workflow was reset: what was recorded is not any more.
        (state(Pending, Pending, None, None), Answer::Open, Answer::Open),
        (state(Unspecified, Unspecified, None, None), Answer::Open, Answer::Open),
        (state(Pending, Pending, Some(Reject), None), Answer::Voted, Answer::OtherVerdict),
        (state(Pending, Approved, None, Some(Approve)), Answer::StageOver, Answer::TooLate),
        (state(Approved, Approved, None, Some(Approve)), Answer::Decided, Answer::TooLate),
        (state(Expired, Expired, None, None), Answer::Expired, Answer::Expired),
        (Reading::Closed(without_stages(Withdrawn)), Answer::Withdrawn, Answer::Withdrawn),
        (Reading::NoWorker(without_stages(Pending)), Answer::NoWorker, Answer::NoWorker),
        (Reading::Unsealed(without_stages(Pending)), Answer::Sealing, Answer::Sealing),
        (ended, Answer::Ended(Ending::TimedOut), Answer::Ended(Ending::TimedOut)),
    ] {
        assert_eq!(after_press(&reading, &ann(), counted), after_counted, "{reading:?}");
        assert_eq!(after_press(&reading, &ann(), unchanged), after_unchanged, "{reading:?}");
    }
    let mut decided_for = state(Pending, Pending, Some(Approve), None).state().clone();
    decided_for.stages[0].reviewers[0].vote.as_mut().expect("a vote").by = "operator".into();
    let decided_for = Reading::Current(decided_for);
    assert_eq!(after_press(&decided_for, &ann(), counted), Answer::AlreadyRecorded);
}

#[test]
fn a_verdict_needs_a_comment_only_where_it_can_count_and_the_rule_says_so() {
    let requiring = |reading: Reading| {
        let comment_required = vec![Verdict::Reject.into()];
        let state = ApprovalState { comment_required, ..reading.state().clone() };
        match reading {
            Reading::NoWorker(_) => Reading::NoWorker(state),
            _ => Reading::Current(state),
        }
    };
    let open = || state(Status::Pending, Status::Pending, None, None);
    let needs = |reading: &Reading, verdict, comment: &str| {
        needs_comment(reading, &ann(), verdict, comment)
    };
    assert!(!needs(&open(), Verdict::Reject, ""), "the rule says nothing");
    for reading in
        [requiring(open()), requiring(Reading::NoWorker(without_stages(Status::Pending)))]
    {
        assert!(needs(&reading, Verdict::Reject, ""));
        assert!(needs(&reading, Verdict::Reject, " \r\n\u{200B}"));
        assert!(!needs(&reading, Verdict::Reject, "too dear"));
        assert!(!needs(&reading, Verdict::Approve, ""));
    }
    let voted = requiring(state(Status::Pending, Status::Pending, Some(Verdict::Approve), None));
    assert!(!needs(&voted, Verdict::Reject, ""), "the workflow says what it has");
}

#[test]
fn answers_are_checked_only_where_a_decision_can_count() {
    let field = Field { name: "budget".into(), r#type: "number".into(), ..Field::default() };
    let asking = |reading: Reading| {
        let submission = Submission { fields: vec![field.clone()], ..Submission::default() };
        let state = ApprovalState { submission: Some(submission), ..reading.state().clone() };
        match reading {
            Reading::NoWorker(_) => Reading::NoWorker(state),
            Reading::Replaced(_) => Reading::Replaced(state),
            _ => Reading::Current(state),
        }
    };
    let given = |value: &str| Answers::from([("budget".to_owned(), value.to_owned())]);
    let answered = |reading: &Reading, value: &str| {
        answered(reading, &ann(), Verdict::Approve, &given(value)).ok()
    };
    let open = asking(state(Status::Pending, Status::Pending, None, None));
    let no_worker = asking(Reading::NoWorker(without_stages(Status::Pending)));
    for reading in [open, no_worker] {
        assert_eq!(answered(&reading, "07.0"), Some(given("7")));
        assert_eq!(answered(&reading, "much"), None);
    }
    // What counts there is not known here.
    let replaced = asking(Reading::Replaced(without_stages(Status::Pending)));
    assert_eq!(answered(&replaced, "much"), Some(given("much")));
    let voted = asking(state(Status::Pending, Status::Pending, Some(Verdict::Approve), None));
    assert_eq!(answered(&voted, "much"), Some(given("much")));
}

#[test]
fn whoever_requests_changes_says_which_and_five_revisions_are_enough() {
    let of_version = |version| {
        let state = state(Status::Pending, Status::Pending, None, None).state().clone();
        Reading::Current(ApprovalState { version, ..state })
    };
    for comment in ["", " \r\n"] {
        assert!(needs_comment(&of_version(1), &ann(), Verdict::RequestChanges, comment));
    }
    assert!(!needs_comment(&of_version(1), &ann(), Verdict::RequestChanges, "a second quote"));
    for (version, is_last) in [(1, false), (MAX_REVISIONS, false), (MAX_REVISIONS + 1, true)] {
        let reading = of_version(version);
        for verdict in Verdict::ALL {
            let refused = is_last && verdict == Verdict::RequestChanges;
            assert_eq!(
                is_unchangeable(&reading, &ann(), verdict),
                refused,
                "{version} {verdict:?}"
            );
            assert_eq!(verdicts(reading.state()).contains(&verdict), !refused);
        }
    }
}

#[test]
fn the_submitter_revises_while_nobody_has_voted_and_what_is_sent_back() {
    use Status::{Approved, ChangesRequested, Pending};
    use Verdict::{Approve, RequestChanges};
    let of_submitter = |reading: Reading, version| {
        let submitter_link = bob().as_str().to_owned();
        let mut state = ApprovalState { submitter_link, version, ..reading.state().clone() };
        state.stages[0].reviewers.truncate(1);
        Reading::Current(state)
    };
    let open = || state(Pending, Pending, None, None);
    let both = &Act::ALL[..];
    for (reading, answer, offered) in [
        (of_submitter(open(), 1), Answer::Submitted, both),
        (of_submitter(open(), MAX_REVISIONS + 1), Answer::Submitted, &both[1..]),
        (
            of_submitter(state(Pending, Pending, Some(Approve), None), 1),
            Answer::Submitted,
            &both[1..],
        ),
        (
            of_submitter(state(ChangesRequested, ChangesRequested, Some(RequestChanges), None), 1),
            Answer::ToRevise,
            both,
        ),
        (of_submitter(state(Approved, Approved, Some(Approve), None), 1), Answer::Decided, &[]),
    ] {
        assert_eq!(on_view(&reading, &bob()), answer, "{reading:?}");
        assert_eq!(acts(answer, reading.state(), &bob()), offered, "{reading:?}");
        assert!(!is_offered(answer, reading.state(), &bob()), "no button decides");
        assert_eq!(acts(on_view(&reading, &ann()), reading.state(), &ann()), [], "a reviewer's");
    }
    let unattended =
        ApprovalState { submitter_link: bob().as_str().to_owned(), ..without_stages(Pending) };
    assert_eq!(acts(Answer::NoWorker, &unattended, &bob()), both);
    assert!(!is_offered(Answer::NoWorker, &unattended, &bob()));
}

#[test]
fn what_the_workflow_says_is_possible_for_its_reader_is_offered_and_nothing_is_known_without_a_worker()
 {
    let can = |possible: Vec<Possible>| {
        let link = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("an ID").hash();
        let (reviewer, hash) = ("ann@example.com".to_owned(), link.as_str().to_owned());
        let ann = ReviewerState { reviewer, link: hash, ..ReviewerState::default() };
        let stages = vec![StageState { reviewers: vec![ann], ..StageState::default() }];
        let state = ApprovalState { stages, possible, ..ApprovalState::default() };
        is_possible(&state, &link, "approve")
    };
    let by = |action: &str, who: &str| Possible {
        action: action.into(),
        people: vec![who.into()],
        operator: true,
    };
    assert!(can(vec![]));
    assert!(can(vec![by("approve", "ann@example.com")]));
    assert!(!can(vec![by("approve", "bob@example.com")]));
    assert!(!can(vec![by("reject", "ann@example.com")]));
}
