//! One delegation from end to end: what is known against it, the signal, and its effect.

use countersign_protos::{
    GenuineLink, LinkHash, Statement, comment_hash,
    names::SIGNAL_REASSIGN,
    payload::{self, Encoding},
    text,
    v1::{ApprovalState, Reassignment},
};
use jiff::Timestamp;
use tokio::time::sleep;

use crate::{
    answer::{Answer, Reading, is_offered, on_view, own_delegation, reviewer_by_link},
    approvals::{Approvals, Signal, SignalError},
    decision::{ATTEMPTS, RUNS, SETTLE, not_found},
    delegating::NotDelegated,
    index::Run,
    problem::Problem,
    signalled::mailbox,
};

/// Why the workflow would refuse it, as far as that is known.
fn refused(state: &ApprovalState, link: &LinkHash, to: &str) -> Option<NotDelegated> {
    let domain = to.rsplit_once('@').map_or("", |(_, domain)| domain);
    let is = |other: &str| !other.is_empty() && mailbox(other) == mailbox(to);
    let submitter = state.submission.as_ref().and_then(|it| it.submitter.as_ref());
    let own = reviewer_by_link(state, link);
    let others = own.map(|(stage, _)| &stage.reviewers[..]).unwrap_or_default();
    let mut asked = others.iter();
    match () {
        () if state.delegate_to.is_empty() => Some(NotDelegated::NotOffered),
        () if !state.delegate_to.iter().any(|it| it == domain) => {
            Some(NotDelegated::OtherDomain(state.delegate_to.clone()))
        }
        () if own.is_some_and(|(_, one)| is(&one.reviewer)) => Some(NotDelegated::Yourself),
        () if submitter.is_some_and(|it| is(&it.email)) => Some(NotDelegated::Submitter),
        () if asked.any(|it| is(&it.reviewer) || !it.released && is(&it.on_behalf_of)) => {
            Some(NotDelegated::AskedAlready)
        }
        () => None,
    }
}

/// What a workflow says of a delegation; `None` if it does not have it, and could take it.
fn reported(reading: &Reading, link: &LinkHash, to: &str) -> Option<Answer> {
    if let Some(known) = own_delegation(reading.state(), link) {
        let is_same = mailbox(&known.to) == mailbox(to);
        return Some(if is_same { Answer::Delegated } else { Answer::Superseded });
    }
    match on_view(reading, link) {
        answer if is_offered(answer, reading.state(), link) => None,
        Answer::NoWorker | Answer::Voted | Answer::StageOver | Answer::Decided => {
            Some(Answer::TooLate)
        }
        answer => Some(answer),
    }
}

/// What the workflow has newly said against a delegation.
fn newly_refused(before: &ApprovalState, after: &ApprovalState) -> Option<NotDelegated> {
    let is_new = |reason: &&String| !before.ignored_because.contains(reason);
    let mut newest_first = after.ignored_because.iter().rev().filter(is_new);
    let reason = newest_first.find(|reason| reason.starts_with(SIGNAL_REASSIGN))?;
    let why = reason.split_once(": ").map_or(reason.as_str(), |(_, why)| why);
    Some(NotDelegated::Refused(text::clean_line(why)))
}

impl Approvals {
    /// Sends a delegation to this address, in [one spelling](crate::delegating::Delegating::checked), unless it
    /// cannot count, and answers with its effect, or why it has none.
    pub(crate) async fn delegate(
        &self,
        link: &GenuineLink,
        hint: Option<&str>,
        to: &str,
        reason: &str,
    ) -> Result<(Result<Answer, NotDelegated>, Reading), Problem> {
        for _ in 0..RUNS {
            let (run, before) = self.find(link, hint).await.map_err(not_found)?;
            if let Some(answer) = reported(&before, link.hash(), to) {
                return Ok((Ok(answer), before));
            }
            if let Some(why) = refused(before.state(), link.hash(), to) {
                return Ok((Err(why), before));
            }
            let workflow_id = run.workflow_id.clone();
            if let Some(said) = self.ask_instead(link, run, (to, reason), before).await? {
                let (link, workflow_id) = (link.hash().short(), text::clean_line(&workflow_id));
                tracing::info!(workflow_id, link, has_effect = said.0.is_ok(), "delegation");
                return Ok(said);
            }
        }
        Err(Problem::NothingRecorded)
    }

    /// Sends a delegation to a run, and answers with its effect; `None` if the run was closed before.
    async fn ask_instead(
        &self,
        link: &GenuineLink,
        mut run: Run,
        delegation: (&str, &str),
        before: Reading,
    ) -> Result<Option<(Result<Answer, NotDelegated>, Reading)>, Problem> {
        if before.is_unattended() {
            self.release(&run).await;
        }
        let asked = reviewer_by_link(before.state(), link.hash());
        let reviewer = asked.map(|(_, asked)| asked.reviewer.clone());
        let mut acknowledged = false;
        for attempt in 0..ATTEMPTS as u32 {
            let sent = self.send_delegation(link, &run, reviewer.as_deref(), delegation, attempt);
            let sent = sent.await;
            match sent {
                Ok(()) if before.is_unattended() => {
                    return Ok(Some((Ok(Answer::DelegationStored), before)));
                }
                Ok(()) => {
                    acknowledged = true;
                    sleep(SETTLE).await;
                }
                Err(SignalError::Closed) if !acknowledged => return Ok(None),
                Err(SignalError::Unavailable) if !acknowledged => {
                    return Err(Problem::NothingRecorded);
                }
                // The workflow's state may still show whether it arrived.
                Err(_) => {}
            }
            let followed = self.follow(link, run.clone()).await;
            let (next, after) = followed.map_err(|_| Problem::Unknown)?;
            if let Some(answer) = reported(&after, link.hash(), delegation.0) {
                return Ok(Some((Ok(answer), after)));
            }
            if let Some(why) = newly_refused(before.state(), after.state()) {
                return Ok(Some((Err(why), after)));
            }
            if acknowledged && after.is_unattended() {
                return Ok(Some((Ok(Answer::DelegationStored), after)));
            }
            if sent.is_err() {
                break;
            }
            run = next;
        }
        Err(Problem::Unknown)
    }

    /// Sends that the reviewer wants this person to be asked in their place, for this reason. Repeating an attempt
    /// records no second event.
    async fn send_delegation(
        &self,
        link: &GenuineLink,
        run: &Run,
        reviewer: Option<&str>,
        (to, reason): (&str, &str),
        attempt: u32,
    ) -> Result<(), SignalError> {
        let reason = text::comment(reason);
        let statement = Statement::Delegate { to, reason: &comment_hash(&reason) };
        let delegation = Reassignment {
            link: link.hash().as_str().to_owned(),
            to: to.to_owned(),
            proof: Some(link.prove(statement, Timestamp::now())),
            reason,
            ..Reassignment::default()
        };
        let signal = Signal {
            name: SIGNAL_REASSIGN,
            payload: payload::encode(&delegation, Encoding::JsonPlain),
            request_id: link.delegation_request_id(&run.run_id, to, attempt),
        };
        self.signal(link, run, reviewer, signal).await
    }
}

#[cfg(test)]
mod tests {
    use countersign_protos::{
        ApprovalId,
        v1::{Delegation, ReviewerState, StageState, Status, Submission, Submitter, Vote},
    };

    use super::*;

    fn link() -> LinkHash {
        "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T".parse::<ApprovalId>().expect("well-formed").hash()
    }

    /// Ann, whose link it is, and Dee for Bob, in a stage that Cy has left; from Sue.
    fn state() -> ApprovalState {
        let seat = |reviewer: &str, link: &str| ReviewerState {
            reviewer: reviewer.into(),
            link: link.into(),
            ..ReviewerState::default()
        };
        let dee = ReviewerState {
            on_behalf_of: "bob@example.com".into(),
            ..seat("dee@example.com", "d")
        };
        let cy = ReviewerState { released: true, ..seat("cy@example.com", "c") };
        let reviewers = vec![seat("ann@example.com", link().as_str()), dee, cy];
        let email = "sue@example.com".into();
        let submitter = Some(Submitter { email, ..Submitter::default() });
        ApprovalState {
            status: Status::Pending.into(),
            submission: Some(Submission { submitter, ..Submission::default() }),
            stages: vec![StageState { reviewers, ..StageState::default() }],
            delegate_to: vec!["example.com".into(), "xn--bcher-kva.example".into()],
            ..ApprovalState::default()
        }
    }

    #[test]
    fn what_the_workflow_would_refuse_is_known_before_it_is_sent() {
        let why = |to: &str| refused(&state(), &link(), to);
        for (to, expected) in [
            ("fay@example.com", None),
            ("fay@xn--bcher-kva.example", None),
            ("bob+x@example.com", Some(NotDelegated::AskedAlready)),
            ("dee@example.com", Some(NotDelegated::AskedAlready)),
            ("cy@example.com", Some(NotDelegated::AskedAlready)),
            ("sue@example.com", Some(NotDelegated::Submitter)),
            ("ann+x@example.com", Some(NotDelegated::Yourself)),
            ("fay@example.org", Some(NotDelegated::OtherDomain(state().delegate_to))),
            ("fay@sub.example.com", Some(NotDelegated::OtherDomain(state().delegate_to))),
        ] {
            assert_eq!(why(to), expected, "{to}");
        }
        let forbidden = ApprovalState { delegate_to: vec![], ..state() };
        assert_eq!(refused(&forbidden, &link(), "fay@example.com"), Some(NotDelegated::NotOffered));
    }

    #[test]
    fn a_delegation_is_sent_only_where_its_reader_may_decide_and_once() {
        let reported = |change: fn(&mut ApprovalState), to: &str| {
            let mut state = state();
            change(&mut state);
            reported(&Reading::Current(state), &link(), to)
        };
        assert_eq!(reported(|_| {}, "fay@example.com"), None);
        let delegated = |state: &mut ApprovalState| {
            let (link, to) = (link().as_str().to_owned(), "fay@example.com".to_owned());
            state.stages[0].delegations = vec![Delegation { link, to, ..Delegation::default() }];
        };
        assert_eq!(reported(delegated, "Fay@example.com"), Some(Answer::Delegated));
        assert_eq!(reported(delegated, "gus@example.com"), Some(Answer::Superseded));
        let voted: fn(&mut ApprovalState) =
            |state| state.stages[0].reviewers[0].vote = Some(Vote::default());
        assert_eq!(reported(voted, "fay@example.com"), Some(Answer::TooLate));
        let over: fn(&mut ApprovalState) = |state| state.status = Status::Approved.into();
        assert_eq!(reported(over, "fay@example.com"), Some(Answer::TooLate));
        let released: fn(&mut ApprovalState) = |state| state.stages[0].reviewers[0].released = true;
        assert_eq!(reported(released, "fay@example.com"), Some(Answer::Superseded));
        let withdrawn: fn(&mut ApprovalState) = |state| state.status = Status::Withdrawn.into();
        assert_eq!(reported(withdrawn, "fay@example.com"), Some(Answer::Withdrawn));
    }

    #[test]
    fn what_the_workflow_newly_says_against_it_is_told() {
        let with = |reasons: &[&str]| ApprovalState {
            ignored_because: reasons.iter().map(|&reason| reason.into()).collect(),
            ..state()
        };
        let before =
            with(&["reassign at 2026-11-24T09:00:00Z: it has no reason (to fay@example.com)"]);
        assert_eq!(newly_refused(&before, &before), None);
        let after = with(&[
            "reassign at 2026-11-24T09:00:00Z: it has no reason (to fay@example.com)",
            "reassign at 2026-11-24T09:01:00Z: no more reviewers can be asked (to fay@example.com)",
            "approve at 2026-11-24T09:01:00Z: eve@example.com is not asked",
        ]);
        let why = "no more reviewers can be asked (to fay@example.com)".to_owned();
        assert_eq!(newly_refused(&before, &after), Some(NotDelegated::Refused(why)));
    }
}
