//! What of a workflow's answer is genuine. Anybody who may poll the worker's task queue can answer.
//!
//! A link says what it was issued for, so an approval is shown only where the link fits; a vote is its
//! reviewer's only with a proof, and an operator's only if the server has recorded the signal; a stage is
//! approved or rejected only with a vote for it, and a status is final only with a signature. Pure.

use countersign_protos::{
    Chain, Claims, GenuineLink, Jwks, LinkContext, Statement, Verdict, answers, comment_hash,
    names,
    v1::{
        ApprovalState, ChangeRequest, Delegation, Field, ReviewerState, StageState, Status, Vote,
        Withdrawal,
    },
};

use crate::{
    answer::{self, Ending, Reading, pending},
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
        || is_submitters(link, chain, state)
}

/// Whether it is the submitter's link to this version. Their plan has the address in lower case.
fn is_submitters(link: &GenuineLink, chain: Chain<'_>, state: &ApprovalState) -> bool {
    let submitter = state.submission.as_ref().and_then(|it| it.submitter.as_ref());
    let address = submitter.map(|submitter| submitter.email.to_lowercase()).unwrap_or_default();
    answer::is_submitters(state, link.hash())
        && link.is_for(LinkContext::submitter(chain, &state.digest, &address))
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
        check_changes(&mut state);
        check_withdrawal(link, chain, &mut state);
        check_delegations(link, chain, &mut state);
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
        reading @ (Reading::NoWorker(_)
        | Reading::Replaced(_)
        | Reading::Unsealed(_)
        | Reading::Revised(..)
        | Reading::Outdated(_)) => reading,
    }
}

/// Marks votes without a proof that holds as those of operators, and takes back those that nobody has
/// signalled. Labels of answers are those of the submission's fields: no proof covers them.
fn check_votes(
    link: &GenuineLink,
    chain: Chain<'_>,
    signalled: &[Signalled],
    state: &mut ApprovalState,
) {
    // The submission is that of the link.
    let fields = state.submission.as_ref().map(|it| it.fields.clone()).unwrap_or_default();
    let version = state.version();
    for (position, stage) in state.stages.iter_mut().enumerate() {
        for reviewer in &mut stage.reviewers {
            reviewer.vote.iter_mut().for_each(|vote| relabel(vote, &fields));
            if is_own(link, chain, &state.digest, position, reviewer) {
                continue;
            }
            let Some(mut vote) = reviewer.vote.take() else { continue };
            if vote.by == names::BY_LINK {
                (vote.by, vote.identity) = (names::BY_OPERATOR.to_owned(), "unknown".to_owned());
            }
            let is_signalled =
                signalled.iter().any(|signal| signal.may_be(reviewer, &vote, version));
            reviewer.vote = Some(vote).filter(|_| is_signalled);
        }
    }
}

/// Has each answer labelled as its field is.
fn relabel(vote: &mut Vote, fields: &[Field]) {
    for answer in &mut vote.answers {
        let field = fields.iter().find(|field| field.name == answer.name);
        answer.label = field.map_or(&answer.name, |field| &field.label).clone();
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
    let Some(vote) = reviewer.vote.as_ref().filter(|vote| vote.by == names::BY_LINK) else {
        return false;
    };
    let seat = link.key().link(context(chain, digest, stage, reviewer));
    reviewer.link == seat.hash().as_str() && is_proven(&seat, vote)
}

/// Takes back delegations that their reviewers have not signed.
fn check_delegations(link: &GenuineLink, chain: Chain<'_>, state: &mut ApprovalState) {
    for (position, stage) in state.stages.iter_mut().enumerate() {
        let reviewers = &stage.reviewers;
        stage.delegations.retain(|delegation| {
            let from = reviewers.iter().find(|one| one.link == delegation.link);
            from.is_some_and(|from| {
                let seat = link.key().link(context(chain, &state.digest, position, from));
                from.reviewer == delegation.reviewer
                    && from.link == seat.hash().as_str()
                    && is_delegated(&seat, delegation)
            })
        });
    }
}

fn is_delegated(seat: &GenuineLink, delegation: &Delegation) -> bool {
    let reason = comment_hash(&delegation.reason);
    let statement = Statement::Delegate { to: &delegation.to, reason: &reason };
    let proof = delegation.proof.as_ref();
    proof.is_some_and(|it| it.proves(&seat.public_key(), seat.hash().as_str(), statement))
}

/// Leaves open what became of a stage that nobody's vote decided. A deadline may have, before the outcome
/// is signed.
fn check_stages(state: &mut ApprovalState) {
    for stage in &mut state.stages {
        let verdict = match stage.status() {
            Status::Approved => Verdict::Approve,
            Status::Rejected => Verdict::Reject,
            Status::Unspecified
            | Status::Pending
            | Status::ChangesRequested
            | Status::Expired
            | Status::Withdrawn => continue,
        };
        let mut votes = stage.reviewers.iter().filter_map(|reviewer| reviewer.vote.as_ref());
        if !votes.any(|vote| vote.verdict().known() == Some(verdict)) {
            stage.status = Status::Unspecified.into();
        }
    }
}

/// Takes what was asked for from the vote that did, and leaves open what nobody's vote sent back.
fn check_changes(state: &mut ApprovalState) {
    if state.status() != Status::ChangesRequested {
        state.change_request = None;
        return;
    }
    let mut votes = state.stages.iter().flat_map(|stage| {
        stage.reviewers.iter().filter_map(move |one| one.vote.as_ref().map(|vote| (stage, vote)))
    });
    let asked = votes.find(|(_, vote)| vote.verdict().known() == Some(Verdict::RequestChanges));
    let asked = asked.map(|(stage, vote)| (stage.name.clone(), vote.clone()));
    let deadline = state.change_request.take().and_then(|request| request.deadline);
    match asked {
        Some((stage, vote)) => {
            state.change_request = Some(ChangeRequest { stage, vote: Some(vote), deadline });
        }
        None => {
            state.status = Status::Pending.into();
            let sent_back = |stage: &&mut StageState| stage.status() == Status::ChangesRequested;
            let stages = state.stages.iter_mut().filter(sent_back);
            stages.for_each(|stage| stage.status = Status::Pending.into());
        }
    }
}

/// Takes back a withdrawal by link that the submitter's link does not prove.
fn check_withdrawal(link: &GenuineLink, chain: Chain<'_>, state: &mut ApprovalState) {
    let submitter = state.submission.as_ref().and_then(|it| it.submitter.as_ref());
    let address = submitter.map(|submitter| submitter.email.to_lowercase()).unwrap_or_default();
    let own = link.key().link(LinkContext::submitter(chain, &state.digest, &address));
    let holds = |withdrawal: &Withdrawal| {
        let statement = Statement::Withdraw { reason: &withdrawal.reason };
        let hash = own.hash().as_str();
        let proof = withdrawal.proof.as_ref().filter(|_| withdrawal.link == hash);
        proof.is_some_and(|proof| proof.proves(&own.public_key(), hash, statement))
    };
    state.withdrawal = state.withdrawal.take().filter(holds);
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
    let comment = &comment_hash(&vote.comment);
    let answers = &answers::hash(&answers::by_name(&vote.answers));
    let said = Statement::Vote { verdict, comment, answers };
    proof.proves(&seat.public_key(), seat.hash().as_str(), said)
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
mod tests;
