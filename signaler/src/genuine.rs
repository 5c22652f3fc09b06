//! What of a workflow's answer is genuine. Anybody who may poll the worker's task queue can answer.
//!
//! A link says what it was issued for, so an approval is shown only where the link fits; a vote is its
//! reviewer's only with a proof, and an operator's only if the server has recorded the signal; a stage is
//! approved or rejected only with a vote for it, and a status is final only with a signature. Pure.

use countersign_protos::{
    Chain, Claims, GenuineLink, Jwks, LinkContext, Verdict, comment_hash,
    v1::{ApprovalState, ReviewerState, Status, Vote},
};

use crate::{
    answer::{Ending, Reading, pending},
    signalled::Signalled,
};

/// Whether the link was issued for this approval; `state.digest` is that of the submission that it shows.
pub(crate) fn fits(link: &GenuineLink, chain: Chain<'_>, state: &ApprovalState) -> bool {
    let seats =
        state.stages.iter().enumerate().flat_map(|(stage, state)| {
            state.reviewers.iter().map(move |reviewer| (stage, reviewer))
        });
    let mut own = seats.filter(|(_, reviewer)| reviewer.link == link.hash().as_str());
    own.any(|(stage, reviewer)| link.is_for(context(chain, &state.digest, stage, reviewer)))
}

/// Whether it tells of a vote that no reviewer has signed.
pub(crate) fn tells_of_operators(
    link: &GenuineLink,
    chain: Chain<'_>,
    state: &ApprovalState,
) -> bool {
    let stages = state.stages.iter().enumerate();
    let mut seats = stages.flat_map(|(i, stage)| stage.reviewers.iter().map(move |it| (i, it)));
    seats.any(|(stage, reviewer)| {
        reviewer.vote.is_some() && !is_own(link, chain, &state.digest, stage, reviewer)
    })
}

/// A reading without what nothing confirms; the link fits it. `signalled` is what the server has, where it
/// [`tells_of_operators`].
pub(crate) fn confirmed(
    link: &GenuineLink,
    chain: Chain<'_>,
    keys: &Jwks,
    signalled: &[Signalled],
    reading: Reading,
) -> Reading {
    let signed = signed(keys, chain, reading.state());
    // The claims say it where the deadline of any stage had a part in the outcome.
    let by_deadline = signed.as_ref().is_some_and(|claims| claims.basis == "deadline");
    let checked = |mut state: ApprovalState| {
        check_votes(link, chain, signalled, &mut state);
        if !by_deadline {
            check_stages(&mut state);
        }
        state
    };
    match reading {
        Reading::Current(state) if pending(state.status()) || signed.is_some() => {
            Reading::Current(checked(state))
        }
        Reading::Current(state) => Reading::Unsealed(unsealed(checked(state))),
        Reading::Closed(state) if signed.is_some() => Reading::Closed(checked(state)),
        Reading::Closed(state) => Reading::Ended(Ending::Unconfirmed, unconfirmed(state)),
        Reading::Ended(ending, state) => Reading::Ended(ending, checked(state)),
        reading @ (Reading::NoWorker(_) | Reading::Replaced(_) | Reading::Unsealed(_)) => reading,
    }
}

/// Marks votes without a proof that holds as those of operators, and takes back those that nobody has
/// signalled.
fn check_votes(
    link: &GenuineLink,
    chain: Chain<'_>,
    signalled: &[Signalled],
    state: &mut ApprovalState,
) {
    for (position, stage) in state.stages.iter_mut().enumerate() {
        for reviewer in &mut stage.reviewers {
            if is_own(link, chain, &state.digest, position, reviewer) {
                continue;
            }
            let Some(mut vote) = reviewer.vote.take() else { continue };
            if vote.by == "link" {
                (vote.by, vote.identity) = ("operator".to_owned(), "unknown".to_owned());
            }
            let is_signalled = signalled.iter().any(|signal| signal.may_be(reviewer, &vote));
            reviewer.vote = Some(vote).filter(|_| is_signalled);
        }
    }
}

/// Whether the reviewer has decided so by the link of this seat.
fn is_own(
    link: &GenuineLink,
    chain: Chain<'_>,
    digest: &str,
    stage: usize,
    reviewer: &ReviewerState,
) -> bool {
    let Some(vote) = reviewer.vote.as_ref().filter(|vote| vote.by == "link") else {
        return false;
    };
    let seat = link.key().link(context(chain, digest, stage, reviewer));
    reviewer.link == seat.hash().as_str() && is_proven(&seat, vote)
}

/// Leaves open what became of a stage that nobody's vote decided. A deadline may have, before the outcome
/// is signed.
fn check_stages(state: &mut ApprovalState) {
    for stage in &mut state.stages {
        let verdict = match stage.status() {
            Status::Approved => Verdict::Approve,
            Status::Rejected => Verdict::Reject,
            Status::Unspecified | Status::Pending | Status::Expired | Status::Withdrawn => continue,
        };
        let mut votes = stage.reviewers.iter().filter_map(|reviewer| reviewer.vote.as_ref());
        if !votes.any(|vote| vote.verdict().known() == Some(verdict)) {
            stage.status = Status::Unspecified.into();
        }
    }
}

/// What is signed, if the status is final, and signed as such for this approval.
fn signed(keys: &Jwks, chain: Chain<'_>, state: &ApprovalState) -> Option<Claims> {
    let claims = keys.verify(&state.jws).ok()?;
    let own = (claims.workflow_id.as_str(), claims.first_run_id.as_str())
        == (chain.workflow_id, chain.first_run_id)
        && claims.digest == state.digest
        && claims.status == state.status().as_str_name();
    own.then_some(claims)
}

/// A result that nothing confirms: only the submission is known, which the link was issued for.
fn unconfirmed(state: ApprovalState) -> ApprovalState {
    let (status, submission) = (Status::Pending.into(), state.submission);
    ApprovalState { status, submission, ..ApprovalState::default() }
}

/// An answer whose status nothing confirms yet: it counts as open.
fn unsealed(mut state: ApprovalState) -> ApprovalState {
    state.status = Status::Pending.into();
    let last = state.stages.iter_mut().rfind(|stage| !pending(stage.status()));
    if let Some(stage) = last {
        stage.status = Status::Pending.into();
        stage.closed_at = None;
    }
    ApprovalState { decided_at: None, reason: String::new(), because: None, ..state }
}

fn is_proven(seat: &GenuineLink, vote: &Vote) -> bool {
    let Some((verdict, proof)) = vote.verdict().known().zip(vote.proof.as_ref()) else {
        return false;
    };
    let comment = comment_hash(&vote.comment);
    proof.holds(&seat.public_key(), seat.hash().as_str(), verdict, &comment)
}

fn context<'a>(
    chain: Chain<'a>,
    digest: &'a str,
    stage: usize,
    reviewer: &'a ReviewerState,
) -> LinkContext<'a> {
    LinkContext {
        stage: stage as u32,
        round: reviewer.round,
        on_behalf_of: &reviewer.on_behalf_of,
        instead_of: &reviewer.instead_of,
        ..LinkContext::new(chain, digest, &reviewer.reviewer)
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::{
        Claims, LinkKeys, Verdict,
        v1::{Decision, StageState},
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
                vote(bob).proof = Some(link("ann@example.com").sign(
                    Verdict::Approve,
                    "ok",
                    Timestamp::UNIX_EPOCH,
                ))
            },
        ];
        for change in forged {
            assert_eq!(by(change, &signals()), (true, "link, operator".to_owned()));
            assert_eq!(by(change, &[]), (true, "link".to_owned()));
        }
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
}
