use countersign_protos::{
    Claims, LinkKeys, Verdict,
    v1::{self, Decision, StageState, Submission, Submitter},
};
use jiff::Timestamp;

use super::*;
use crate::signalled::tests::signal;

const CHAIN: Chain<'_> = Chain { workflow_id: "laptops", first_run_id: "run" };

fn keys() -> LinkKeys {
    countersign_protos::TEST_KEYS[0].parse().expect("a key")
}

fn link(reviewer: &str) -> GenuineLink {
    keys().first().link(LinkContext::new(CHAIN, "v1:0", reviewer))
}

/// Ann has approved by her link, and so has Bob.
fn state() -> ApprovalState {
    let voted = |name: &str| {
        let link = link(name);
        let vote = Vote {
            verdict: Verdict::Approve.into(),
            comment: "ok".into(),
            by: "link".into(),
            proof: Some(link.sign(Verdict::Approve, "ok", Timestamp::UNIX_EPOCH)),
            ..Vote::default()
        };
        let hash = link.hash().as_str().to_owned();
        ReviewerState { reviewer: name.into(), link: hash, vote: Some(vote), ..<_>::default() }
    };
    let reviewers = vec![voted("ann@example.com"), voted("bob@example.com")];
    let approved = Status::Approved.into();
    let stages = vec![StageState { status: approved, reviewers, ..StageState::default() }];
    ApprovalState { status: approved, digest: "v1:0".into(), stages, ..<_>::default() }
}

fn claims() -> Claims {
    Claims {
        workflow_id: CHAIN.workflow_id.into(),
        first_run_id: CHAIN.first_run_id.into(),
        submission_id: "PO-1".into(),
        status: "APPROVED".into(),
        basis: "people".into(),
        operator: false,
        digest: "v1:0".into(),
        action_digest: String::new(),
        execution_key: "0".into(),
        decided_at: "2026-11-24T10:00:00Z".into(),
    }
}

#[test]
fn a_link_fits_what_it_was_issued_for_alone() {
    let (ann, state) = (link("ann@example.com"), state());
    assert!(fits(&ann, CHAIN, &state));
    assert!(!fits(&link("cy@example.com"), CHAIN, &state), "Cy was not asked");
    assert!(!fits(&ann, Chain { first_run_id: "other", ..CHAIN }, &state));
    assert!(!fits(&ann, Chain { workflow_id: "other", ..CHAIN }, &state));
    let changed = |change: fn(&mut ApprovalState)| {
        let mut state = state.clone();
        change(&mut state);
        fits(&ann, CHAIN, &state)
    };
    assert!(!changed(|state| state.digest = "v1:1".into()), "another document");
    assert!(!changed(|state| state.stages.insert(0, StageState::default())));
    assert!(!changed(|state| state.stages[0].reviewers[0].reviewer = "eve@example.com".into()));
    assert!(!changed(|state| state.stages[0].reviewers[0].on_behalf_of = "x".into()));
}

#[test]
fn the_submitters_link_fits_their_own_submission_alone() {
    let own = |digest: &str, address: &str| {
        keys().first().link(LinkContext::submitter(CHAIN, digest, address))
    };
    let sam = own("v1:0", "sam@example.com");
    let with = |link: &GenuineLink| {
        let submitter = Submitter { email: "Sam@example.com".into(), ..Submitter::default() };
        let submission = Submission { submitter: Some(submitter), ..Submission::default() };
        let submitter_link = link.hash().as_str().to_owned();
        ApprovalState { submitter_link, submission: Some(submission), ..state() }
    };
    assert!(fits(&sam, CHAIN, &with(&sam)));
    assert!(!fits(&sam, CHAIN, &state()), "nobody has one");
    assert!(!fits(&sam, Chain { first_run_id: "other", ..CHAIN }, &with(&sam)));
    for (other, why) in [
        (own("v1:1", "sam@example.com"), "another document"),
        (own("v1:0", "eve@example.com"), "another submitter"),
        (link("sam@example.com"), "a reviewer's"),
    ] {
        assert!(!fits(&other, CHAIN, &with(&other)), "{why}");
        assert!(!fits(&sam, CHAIN, &with(&other)), "{why}");
    }
    let mut reviewer = state();
    reviewer.stages[0].reviewers[0].reviewer = "sam@example.com".into();
    reviewer.stages[0].reviewers[0].link = sam.hash().as_str().into();
    assert!(!fits(&sam, CHAIN, &reviewer), "it is no reviewer's");
}

/// That somebody has signalled either verdict, and either comment, with the public hash of Bob's link.
fn signals() -> Vec<Signalled> {
    let hash = link("bob@example.com").hash().as_str().to_owned();
    let said = |comment: &str| {
        let (link, comment) = (hash.clone(), comment.to_owned());
        let decision = Decision { link, comment, ..Decision::default() };
        ["approve", "reject"].map(|name| signal(name, &decision).expect("a decision"))
    };
    [said("ok"), said("no")].concat()
}

#[test]
fn a_vote_without_its_proof_is_an_operators() {
    let by = |change: fn(&mut ReviewerState), signalled: &[Signalled]| {
        let mut state = state();
        change(&mut state.stages[0].reviewers[1]);
        let ann = link("ann@example.com");
        let tells = tells_of_operators(&ann, CHAIN, &state);
        check_votes(&ann, CHAIN, signalled, &mut state);
        let votes = state.stages[0].reviewers.iter().flat_map(|one| &one.vote);
        (tells, votes.map(|vote| vote.by.clone()).collect::<Vec<_>>().join(", "))
    };
    fn vote(reviewer: &mut ReviewerState) -> &mut Vote {
        reviewer.vote.as_mut().expect("voted")
    }
    assert_eq!(by(|_| (), &[]), (false, "link, link".to_owned()));
    let forged: [fn(&mut ReviewerState); 6] = [
        |bob| vote(bob).by = "operator".into(),
        |bob| vote(bob).proof = None,
        |bob| vote(bob).comment = "no".into(),
        |bob| vote(bob).verdict = Verdict::Reject.into(),
        |bob| bob.reviewer = "eve@example.com".into(),
        |bob| {
            vote(bob).proof =
                Some(link("ann@example.com").sign(Verdict::Approve, "ok", Timestamp::UNIX_EPOCH))
        },
    ];
    for change in forged {
        assert_eq!(by(change, &signals()), (true, "link, operator".to_owned()));
        assert_eq!(by(change, &[]), (true, "link".to_owned()));
    }
    let answered = |bob: &mut ReviewerState| vote(bob).answers = vec![<_>::default()];
    assert_eq!(by(answered, &signals()), (true, "link".to_owned()), "nobody has answered so");
}

#[test]
fn a_status_is_final_only_as_it_was_signed() {
    let jwks = keys().jwks();
    let signed = |claims: Claims| {
        let jws = keys().first().sign(&claims);
        super::signed(&jwks, CHAIN, &ApprovalState { jws, ..state() }).is_some()
    };
    assert!(signed(claims()));
    assert!(!signed(Claims { status: "REJECTED".into(), ..claims() }));
    assert!(!signed(Claims { digest: "v1:1".into(), ..claims() }));
    assert!(!signed(Claims { workflow_id: "other".into(), ..claims() }));
    assert!(!signed(Claims { first_run_id: "other".into(), ..claims() }));
    let confirm = |reading| confirmed(&link("ann@example.com"), CHAIN, &jwks, &[], reading);
    let Reading::Unsealed(open) = confirm(Reading::Current(state())) else {
        panic!("without a signature")
    };
    assert!(pending(open.status()) && pending(open.stages[0].status()));
    let Reading::Ended(Ending::Unconfirmed, open) = confirm(Reading::Closed(state())) else {
        panic!("without a signature")
    };
    assert!(pending(open.status()) && open.stages.is_empty(), "no votes");
}

/// Nobody has to answer a query for this: anybody who may poll can complete a workflow.
#[test]
fn a_signed_result_makes_nobodys_vote() {
    let jwks = keys().jwks();
    let by = |change: fn(&mut ReviewerState)| {
        let mut state = ApprovalState { jws: keys().first().sign(&claims()), ..state() };
        change(&mut state.stages[0].reviewers[1]);
        let closed = Reading::Closed(state);
        let reading = confirmed(&link("ann@example.com"), CHAIN, &jwks, &signals(), closed);
        let Reading::Closed(state) = reading else { panic!("{reading:?}") };
        let votes = state.stages[0].reviewers.iter().flat_map(|one| &one.vote);
        votes.map(|vote| vote.by.clone()).collect::<Vec<_>>()
    };
    assert_eq!(by(|_| ()), ["link", "link"]);
    assert_eq!(by(|bob| bob.reviewer = "cfo@example.com".into()), ["link", "operator"]);
    assert_eq!(by(|bob| bob.round = 1), ["link", "operator"]);
    assert_eq!(by(|bob| bob.vote.as_mut().expect("voted").proof = None), ["link", "operator"]);
}

#[test]
fn a_stage_is_decided_only_with_a_vote_for_it() {
    use Status::{Approved, Expired, Pending, Rejected, Unspecified};
    let jwks = keys().jwks();
    let shown = |status: Status, votes: bool, reading: fn(ApprovalState) -> Reading| {
        let mut state = state();
        state.stages[0].status = status.into();
        if !votes {
            state.stages[0].reviewers.iter_mut().for_each(|one| one.vote = None);
        }
        // What follows it keeps this stage from being the last one.
        state.stages.push(StageState::default());
        let reading = confirmed(&link("ann@example.com"), CHAIN, &jwks, &[], reading(state));
        reading.state().stages[0].status()
    };
    let open: fn(ApprovalState) -> Reading =
        |state| Reading::Current(ApprovalState { status: Pending.into(), ..state });
    assert_eq!(shown(Approved, true, open), Approved);
    assert_eq!(shown(Approved, false, open), Unspecified);
    assert_eq!(shown(Rejected, true, open), Unspecified, "both have approved");
    assert_eq!(shown(Expired, false, open), Expired, "nobody has decided");
    let signed_as = |basis: &str| {
        let claims = Claims { basis: basis.into(), ..claims() };
        let mut state = ApprovalState { jws: keys().first().sign(&claims), ..state() };
        state.stages[0].reviewers.clear();
        let closed = Reading::Closed(state);
        let reading = confirmed(&link("ann@example.com"), CHAIN, &jwks, &[], closed);
        reading.state().stages[0].status()
    };
    assert_eq!(signed_as("deadline"), Approved, "silence has");
    assert_eq!(signed_as("people"), Unspecified);
}

#[test]
fn a_delegation_is_shown_only_as_its_reviewer_has_signed_it() {
    let shown = |change: fn(&mut Delegation)| {
        let bob = link("bob@example.com");
        let (to, reason) = ("cy@example.com".to_owned(), "away".to_owned());
        let statement = Statement::Delegate { to: &to, reason: &comment_hash(&reason) };
        let mut delegation = Delegation {
            proof: Some(bob.prove(statement, Timestamp::UNIX_EPOCH)),
            link: bob.hash().as_str().to_owned(),
            reviewer: "bob@example.com".into(),
            to,
            reason,
            ..Delegation::default()
        };
        change(&mut delegation);
        let mut state = state();
        state.stages[0].delegations = vec![delegation];
        check_delegations(&link("ann@example.com"), CHAIN, &mut state);
        state.stages[0].delegations.len() == 1
    };
    assert!(shown(|_| {}));
    let forged: [fn(&mut Delegation); 6] = [
        |delegation| delegation.to = "eve@example.com".into(),
        |delegation| delegation.reason = "because".into(),
        |delegation| delegation.reviewer = "ann@example.com".into(),
        |delegation| delegation.link = link("ann@example.com").hash().as_str().into(),
        |delegation| delegation.link.clear(),
        |delegation| delegation.proof = None,
    ];
    for (number, change) in forged.into_iter().enumerate() {
        assert!(!shown(change), "{number}");
    }
}

#[test]
fn an_answer_is_labelled_as_its_field_is() {
    let field = Field { name: "budget".into(), label: "Budget".into(), ..Field::default() };
    let answer = |name: &str| v1::Answer {
        name: name.into(),
        label: "forged".into(),
        ..v1::Answer::default()
    };
    let answers = vec![answer("budget"), answer("other")];
    let mut vote = Vote { answers, ..Vote::default() };
    relabel(&mut vote, &[field]);
    let labels = vote.answers.iter().map(|answer| answer.label.as_str());
    assert_eq!(labels.collect::<Vec<_>>(), ["Budget", "other"]);
}
