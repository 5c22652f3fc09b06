//! Which version of an approval a link was issued for, where the workflow has gone on to another.
//!
//! The answer to a query may be forged, and has no seats of earlier versions. A history has: the link proves for
//! which of them it was issued, and seals prove what the last one is.

use countersign_protos::{GenuineLink, v1::ApprovalState, version_after, version_field};
use temporalio_common::protos::temporal::api::history::v1::HistoryEvent;

use crate::{
    answer::{Former, Reading, pending},
    disclosure::without_document,
    history,
    index::{Handle, handle},
    lookup::{Issued, Latest, Planned, Reader, continued, events},
    temporal::Failure,
};

/// How many runs of an approval are read, newest first.
const MAX_RUNS: usize = 4;

/// What histories prove of a link and of the last version.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) issued: Issued,
    pub(crate) latest: Option<Latest>,
}

/// Looks for the link in a run, and in those that it continues; `None` if none of them has issued it.
pub(crate) async fn trace(run: &Handle, link: &GenuineLink) -> Result<Option<Traced>, Failure> {
    let mut all = events(run).await?;
    let workflow_id = &run.info().workflow_id;
    let (mut issued, latest) = read(workflow_id, link, &all);
    for _ in 1..MAX_RUNS {
        let Some(before) = continued(&all).filter(|_| issued.is_none()) else { break };
        all = match events(&handle(run.client(), workflow_id, Some(&before))).await {
            Ok(events) => events,
            Err(Failure::NotFound(_)) => break,
            Err(failure) => return Err(failure),
        };
        (issued, _) = read(workflow_id, link, &all);
    }
    Ok(issued.map(|issued| Traced { issued, latest }))
}

/// What the events of a run prove of a link, and of the version that they have last.
pub(crate) fn read(
    workflow_id: &str,
    link: &GenuineLink,
    events: &[HistoryEvent],
) -> (Option<Issued>, Option<Latest>) {
    let mut reader = Reader::new(workflow_id.to_owned(), link);
    let mut issued = None;
    for event in events {
        let proven = reader.read(event);
        issued = issued.or(proven);
    }
    (issued, reader.latest())
}

/// A reading by a link that may be of another version than it shows, or is the submitter's. While it can be decided, a
/// link of the version right before is told what has changed since.
pub(crate) fn placed(traced: Traced, link: &GenuineLink, reading: Reading) -> Reading {
    let Traced { issued, latest } = traced;
    let (state, again): (_, fn(ApprovalState) -> Reading) = match reading {
        Reading::Current(state) if pending(state.status()) => (state, Reading::Current),
        Reading::NoWorker(state) => (state, Reading::NoWorker),
        reading => return reading,
    };
    let shown =
        |latest: &&Latest| (&latest.digest, latest.version()) == (&state.digest, state.version());
    let Some(latest) = latest.as_ref().filter(shown) else {
        let link = link.hash().short();
        tracing::warn!(
            link,
            "what the workflow tells is not the version that its history has last"
        );
        return Reading::Outdated(without_document(state));
    };
    let former = match issued.is_submitters {
        true => Former::Submitter,
        false => Former::Reviewer,
    };
    let before = latest.earlier.last().is_some_and(|before| before.digest == issued.digest);
    if before && latest.version() == issued.version + 1 {
        let (previous, earlier_versions) = (Some(issued.submission), latest.earlier.clone());
        return Reading::Revised(former, ApprovalState { previous, earlier_versions, ..state });
    }
    if issued.digest == state.digest {
        let submission = Some(latest.submission.clone());
        return again(sealed(ApprovalState { submission, ..state }, &issued.planned));
    }
    let (link, version) = (link.hash().short(), issued.version);
    tracing::warn!(link, version, now = latest.version(), "a link of an earlier version");
    Reading::Outdated(without_document(state))
}

/// The same while no worker runs: the state is of the version that the history has last.
pub(crate) fn unattended(
    state: ApprovalState,
    (issued, latest): (Issued, Latest),
    link: &GenuineLink,
) -> Reading {
    let state = ApprovalState {
        submission: Some(latest.submission.clone()),
        rule: issued.planned.rule.clone(),
        confirm: issued.planned.confirm,
        version: version_field(latest.version()),
        ..history::of_version(state, &issued, link)
    };
    let state = ApprovalState { digest: latest.digest.clone(), ..state };
    let traced = Traced { issued, latest: Some(latest) };
    placed(traced, link, Reading::NoWorker(state))
}

/// An outcome of another version than the link's, as its plan has it.
pub(crate) fn decided(state: ApprovalState, traced: Option<Traced>) -> ApprovalState {
    match traced.and_then(|traced| traced.latest) {
        Some(Latest { digest, submission, .. }) => {
            ApprovalState { digest, submission: Some(submission), ..state }
        }
        None => state,
    }
}

/// A state in which what came before this version is as its plan has it, or left out.
pub(crate) fn sealed(state: ApprovalState, planned: &Planned) -> ApprovalState {
    let is_whole = version_after(&planned.earlier) == state.version();
    let (earlier_versions, previous) = match is_whole {
        true => (planned.earlier.clone(), planned.previous.clone()),
        false => Default::default(),
    };
    ApprovalState { earlier_versions, previous, ..state }
}

#[cfg(test)]
mod tests;
