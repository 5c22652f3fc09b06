//! A delegation: what is known against it, its signal, and its effect.

use countersign_protos::{
    GenuineLink, LinkHash, Statement, comment_hash, ignored,
    names::SIGNAL_REASSIGN,
    payload::{self, Encoding},
    text,
    v1::{ApprovalState, Reassignment},
};
use jiff::Timestamp;

use crate::{
    address::mailbox,
    answer::{Answer, Reading, is_offered, on_view, own_delegation, reviewer_by_link},
    delegation_form::NotDelegated,
    index::Run,
    problem::Problem,
    signal::{Intent, Ready, Signal, newly_ignored},
};

/// That the reviewer wants somebody else to be asked in their place.
pub(crate) struct Delegation<'a> {
    /// Whom, in [one spelling](crate::delegation_form::Delegating::checked).
    pub(crate) to: &'a str,
    pub(crate) reason: &'a str,
}

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
            Some(NotDelegated::AskedAlready(to.to_owned()))
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

/// What a reason says against a delegation to this colleague; `None` if it is about something else.
fn refusal(why: &str, to: &str) -> Option<NotDelegated> {
    // It alone finds some addresses wrong, such as those of mixed scripts.
    if why == ignored::not_an_address("to") {
        return Some(NotDelegated::NotAnAddress);
    }
    let is_about = ignored::is_about(why, &ignored::delegated_to(to));
    is_about.then(|| NotDelegated::Refused(text::clean_line(why)))
}

/// How often the workflow has refused a delegation to this colleague, as far as it says so.
fn times_refused(state: &ApprovalState, to: &str) -> u32 {
    let whys = state.ignored_because.iter().filter_map(|it| ignored::why(it, SIGNAL_REASSIGN));
    whys.filter(|why| refusal(why, to).is_some()).count() as u32
}

/// What the workflow has newly said against a delegation to this colleague.
fn newly_refused(before: &ApprovalState, after: &ApprovalState, to: &str) -> Option<NotDelegated> {
    newly_ignored(before, after, SIGNAL_REASSIGN).find_map(|why| refusal(why, to))
}

impl Intent for Delegation<'_> {
    /// How often it was refused before.
    type Sent = u32;
    type Effect = Result<Answer, NotDelegated>;
    const SENT_AGAIN_AS: Option<&'static str> = Some("delegation");

    fn ready(&self, link: &GenuineLink, before: &Reading) -> Result<Ready<Self>, Problem> {
        let known = reported(before, link.hash(), self.to).map(Ok);
        let why = || refused(before.state(), link.hash(), self.to).map(Err);
        Ok(match known.or_else(why) {
            Some(said) => Ready::Settled(said),
            None => Ready::Send(times_refused(before.state(), self.to)),
        })
    }

    fn signal(&self, refused: &u32, link: &GenuineLink, run: &Run, attempt: u32) -> Signal {
        let reason = text::comment(self.reason);
        let statement = Statement::Delegate { to: self.to, reason: &comment_hash(&reason) };
        let delegation = Reassignment {
            link: link.hash().as_str().to_owned(),
            to: self.to.to_owned(),
            proof: Some(link.prove(statement, Timestamp::now())),
            reason,
            ..Reassignment::default()
        };
        // What was refused may be wanted again: then it is another event.
        let request_id = link.delegation_request_id(&run.run_id, self.to, refused + attempt);
        let payload = payload::encode(&delegation, Encoding::JsonPlain);
        Signal { name: SIGNAL_REASSIGN, payload, request_id }
    }

    fn effect(&self, link: &LinkHash, before: &Reading, after: &Reading) -> Option<Self::Effect> {
        let refused = || newly_refused(before.state(), after.state(), self.to).map(Err);
        reported(after, link, self.to).map(Ok).or_else(refused)
    }

    fn stored(&self, _: &Reading) -> Self::Effect {
        Ok(Answer::DelegationStored)
    }

    fn log(&self, workflow_id: &str, link: &str, effect: &Self::Effect) {
        tracing::info!(workflow_id, link, has_effect = effect.is_ok(), "delegation");
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
        let asked = |to: &str| Some(NotDelegated::AskedAlready(to.to_owned()));
        for (to, expected) in [
            ("fay@example.com", None),
            ("fay@xn--bcher-kva.example", None),
            ("bob+x@example.com", asked("bob+x@example.com")),
            ("dee@example.com", asked("dee@example.com")),
            ("cy@example.com", asked("cy@example.com")),
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
            ignored_signals: reasons.len() as u32,
            ..state()
        };
        let before =
            with(&["reassign at 2026-11-24T09:00:00Z: it has no reason (to fay@example.com)"]);
        let newly_refused = |after| newly_refused(&before, after, "fay@example.com");
        assert_eq!(newly_refused(&before), None);
        let after = with(&[
            "reassign at 2026-11-24T09:00:00Z: it has no reason (to fay@example.com)",
            "reassign at 2026-11-24T09:01:00Z: no more reviewers can be asked (to fay@example.com)",
            "approve at 2026-11-24T09:01:00Z: eve@example.com is not asked",
            "reassign at 2026-11-24T09:01:00Z: no more reviewers can be asked (to gus@example.com)",
        ]);
        let why = "no more reviewers can be asked (to fay@example.com)".to_owned();
        assert_eq!(newly_refused(&after), Some(NotDelegated::Refused(why)));
        let unreadable = with(&[
            "reassign at 2026-11-24T09:00:00Z: it has no reason (to fay@example.com)",
            "reassign at 2026-11-24T09:01:00Z: `to` is not an e-mail address",
        ]);
        assert_eq!(newly_refused(&unreadable), Some(NotDelegated::NotAnAddress));
    }
}
