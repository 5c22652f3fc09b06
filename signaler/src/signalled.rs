//! What the server has recorded of decisions: anybody who may poll can answer a query, and only the server
//! writes events.

use countersign_protos::{
    Verdict, answers,
    payload::PayloadError,
    text,
    v1::{Decision, ReviewerState, Vote},
};
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, WorkflowExecutionSignaledEventAttributes, history_event::Attributes,
};

use crate::{
    address::mailbox,
    index::{Handle, handle},
    lookup::{continued, events},
    temporal::{Failure, from_temporal},
};

/// How many runs of an approval are read, newest first.
const MAX_RUNS: usize = 4;

/// A decision that somebody has signalled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signalled {
    verdict: Verdict,
    /// `None` where a codec that is not here may have made it of anything.
    decision: Option<Decision>,
}

impl Signalled {
    /// Whether this vote of an operator for this version can have come of it, however the address was spelt.
    pub(crate) fn may_be(&self, reviewer: &ReviewerState, vote: &Vote, version: u32) -> bool {
        let says = |decision: &Decision| {
            let named = mailbox(&decision.reviewer);
            let people = [&reviewer.reviewer, &reviewer.on_behalf_of].map(|who| mailbox(who));
            let is_theirs = decision.link.trim() == reviewer.link && !reviewer.link.is_empty()
                || !decision.reviewer.trim().is_empty() && people.contains(&named);
            is_theirs
                && decision.is_for(version)
                && text::comment(&decision.comment) == vote.comment
                && answers::are_of(&decision.answers, &vote.answers)
        };
        vote.verdict().known() == Some(self.verdict) && self.decision.as_ref().is_none_or(says)
    }

    fn read(signal: &WorkflowExecutionSignaledEventAttributes) -> Option<Self> {
        let verdict = Verdict::from_name(&signal.signal_name)?;
        let payloads = from_temporal(signal.input.clone().unwrap_or_default().payloads);
        match answers::decision(&payloads) {
            Ok(decision) => Some(Self { verdict, decision: Some(decision) }),
            Err(PayloadError::Encoding(_) | PayloadError::Encrypted(_)) => {
                Some(Self { verdict, decision: None })
            }
            Err(_) => None,
        }
    }
}

/// The decisions that were signalled to a run, and to those that it continues. An earlier run that is not
/// read, since the server does not have it any more or there are too many, may have had any.
pub(crate) async fn signalled(run: &Handle) -> Result<Vec<Signalled>, Failure> {
    let mut latest = events(run).await?;
    let mut all: Vec<Signalled> = decisions(&latest).collect();
    for _ in 1..MAX_RUNS {
        let Some(before) = continued(&latest) else { break };
        let before = handle(run.client(), &run.info().workflow_id, Some(&before));
        latest = match events(&before).await {
            Ok(events) => events,
            Err(Failure::NotFound(_)) => return Ok([all, anything()].concat()),
            Err(failure) => return Err(failure),
        };
        all.extend(decisions(&latest));
    }
    match continued(&latest) {
        Some(_) => Ok([all, anything()].concat()),
        None => Ok(all),
    }
}

fn decisions(events: &[HistoryEvent]) -> impl Iterator<Item = Signalled> {
    events.iter().filter_map(|event| match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionSignaledEventAttributes(signal) => Signalled::read(signal),
        _ => None,
    })
}

fn anything() -> Vec<Signalled> {
    Verdict::ALL.map(|verdict| Signalled { verdict, decision: None }).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use countersign_protos::{
        payload::{self, Encoding},
        v1,
    };
    use temporalio_common::protos::temporal::api::common::v1::Payloads;

    use super::*;
    use crate::temporal::to_temporal;

    /// As the signal's payload is read.
    pub(crate) fn signal(name: &str, decision: &Decision) -> Option<Signalled> {
        signal_with(name, to_temporal(payload::encode(decision, Encoding::JsonPlain)))
    }

    fn signal_with(
        name: &str,
        payload: temporalio_common::protos::temporal::api::common::v1::Payload,
    ) -> Option<Signalled> {
        Signalled::read(&WorkflowExecutionSignaledEventAttributes {
            signal_name: name.into(),
            input: Some(Payloads { payloads: vec![payload] }),
            ..WorkflowExecutionSignaledEventAttributes::default()
        })
    }

    #[test]
    fn a_vote_can_have_come_of_a_signal_for_its_reviewer_or_their_link() {
        let reviewer = ReviewerState {
            reviewer: "dee@example.com".into(),
            on_behalf_of: "ann@example.com".into(),
            link: "hash".into(),
            ..ReviewerState::default()
        };
        let vote = Vote { verdict: v1::Verdict::Approve.into(), ..Vote::default() };
        let named = |name: &str| Decision { reviewer: name.into(), ..Decision::default() };
        let linked = |link: &str| Decision { link: link.into(), ..Decision::default() };
        for (name, decision, may_be) in [
            ("approve", named(" Dee@Example.com"), true),
            ("approve", named("ann@example.com"), true),
            ("approve", named("D.ee+x@example.com"), true),
            ("approve", linked("hash"), true),
            ("reject", named("dee@example.com"), false),
            ("approve", named("eve@example.com"), false),
            ("approve", linked("other"), false),
            ("approve", Decision::default(), false),
        ] {
            let signalled = signal(name, &decision).expect("a decision");
            assert_eq!(signalled.may_be(&reviewer, &vote, 1), may_be, "{name} {decision:?}");
        }
        let other = Decision { comment: "as agreed".into(), ..named("dee@example.com") };
        assert!(!signal("approve", &other).expect("a decision").may_be(&reviewer, &vote, 1));
        let answered = Decision {
            answers: [("budget".into(), "7".into())].into(),
            ..named("dee@example.com")
        };
        assert!(!signal("approve", &answered).expect("a decision").may_be(&reviewer, &vote, 1));
        let later = Decision { version: 2, ..named("dee@example.com") };
        for (decision, versions) in
            [(named("dee@example.com"), [true, false]), (later, [false, true])]
        {
            let signalled = signal("approve", &decision).expect("a decision");
            let may_be = [1, 2].map(|version| signalled.may_be(&reviewer, &vote, version));
            assert_eq!(may_be, versions, "{decision:?}");
        }
        assert_eq!(signal("remind", &named("dee@example.com")), None);
    }

    #[test]
    fn what_a_codec_has_encoded_may_be_anything_and_garbage_nothing() {
        let mut payload = to_temporal(payload::encode(&Decision::default(), Encoding::JsonPlain));
        payload.data = b"{".to_vec();
        assert_eq!(signal_with("approve", payload.clone()), None);
        payload.metadata.insert("encoding".into(), b"binary/encrypted".to_vec());
        let encoded = Signalled { verdict: Verdict::Approve, decision: None };
        assert_eq!(signal_with("approve", payload), Some(encoded));
    }
}
