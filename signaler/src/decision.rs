//! One decision from end to end: what is known, the signal, and its effect.

use std::time::Duration;

use countersign_protos::{GenuineLink, LinkHash, Verdict, text::clean_line};
use jiff::Timestamp;
use tokio::time::sleep;

use crate::{
    answer::{
        Answer, Reading, after_sending, answered, is_submitters, is_unchangeable, needs_comment,
        needs_confirmation, reviewer_by_link, settled,
    },
    approvals::{Approvals, Press, SignalError},
    index::Run,
    lookup::LookupError,
    problem::Problem,
    reply::answer_status,
};

/// How long a query waits after a signal, for a worker to have begun the workflow task. A query that comes
/// with the task is answered before the outcome is sealed, and costs another task.
pub(crate) const SETTLE: Duration = Duration::from_millis(5);
/// A decision that finds its run closed goes to the next run, once.
pub(crate) const RUNS: usize = 2;
/// A decision that was acknowledged but is missing is sent again, once.
pub(crate) const ATTEMPTS: usize = 2;

impl Approvals {
    /// Sends a decision unless it is settled already, lacks a comment or an answer, or has to be confirmed, and
    /// answers with its effect.
    pub(crate) async fn decide(
        &self,
        link: &GenuineLink,
        hint: Option<&str>,
        press: Press<'_>,
    ) -> Result<(Answer, Reading), Problem> {
        let Press { verdict, comment, nonce, .. } = press;
        for _ in 0..RUNS {
            let (run, before) = self.find(link, hint).await.map_err(not_found)?;
            if let Some(answer) = settled(&before, link.hash(), verdict) {
                return Ok((answer, before));
            }
            if is_submitters(before.state(), link.hash()) {
                return Err(Problem::SubmitterDecides);
            }
            if is_unchangeable(&before, link.hash(), verdict) {
                return Ok((Answer::Unchangeable, before));
            }
            if needs_comment(&before, link.hash(), verdict, comment) {
                return Ok((Answer::Uncommented, before));
            }
            let Ok(answers) = answered(&before, link.hash(), verdict, press.answers) else {
                return Ok((Answer::Unanswered, before));
            };
            let now = Timestamp::now();
            let is_confirmed = link.is_confirmed(nonce, verdict, comment, &answers, now);
            if !is_confirmed && needs_confirmation(&before, link.hash()) {
                return Ok((Answer::Unconfirmed, before));
            }
            let workflow_id = run.workflow_id.clone();
            let press = Press { answers: &answers, ..press };
            if let Some(said) = self.press(link, run, press, before).await? {
                // The worker's line about the decision has the same workflow ID and link.
                let (link, workflow_id) = (link.hash().short(), clean_line(&workflow_id));
                let (verdict, answer) = (verdict.terms().name, answer_status(said.0).1);
                tracing::info!(workflow_id, link, verdict, answer, "press");
                return Ok(said);
            }
        }
        Err(Problem::NothingRecorded)
    }

    /// Sends a decision to a run, and answers with its effect; `None` if the run was closed before.
    async fn press(
        &self,
        link: &GenuineLink,
        mut run: Run,
        decision: Press<'_>,
        before: Reading,
    ) -> Result<Option<(Answer, Reading)>, Problem> {
        if before.is_unattended() {
            self.release(&run).await;
        }
        let asked = reviewer_by_link(before.state(), link.hash());
        let reviewer = asked.map(|(_, asked)| asked.reviewer.clone());
        let mut attempt = 0;
        let mut acknowledged = false;
        for _ in 0..ATTEMPTS {
            let sent = self.send(link, &run, reviewer.as_deref(), decision, attempt).await;
            match sent {
                Ok(()) if before.is_unattended() => {
                    let answer = answer(&before, link.hash(), decision.verdict, true);
                    return Ok(answer.map(|answer| (answer, before)));
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
            if let Some(answer) = answer(&after, link.hash(), decision.verdict, acknowledged) {
                return Ok(Some((answer, after)));
            }
            if sent.is_err() {
                break;
            }
            tracing::warn!(
                link = link.hash().short(),
                attempt,
                "an acknowledged decision is missing"
            );
            // As in a repeated press, which starts at 0 with the run that it finds: its request IDs
            // must be the same.
            attempt = if next == run { attempt + 1 } else { 0 };
            run = next;
        }
        Err(Problem::Unknown)
    }
}

/// Why nothing was sent.
pub(crate) fn not_found(error: LookupError) -> Problem {
    match error {
        LookupError::Gone => Problem::Gone,
        LookupError::Newer => Problem::Newer,
        LookupError::Unavailable => Problem::NothingRecorded,
    }
}

/// The effect of a decision, as the workflow reports it, or that it is accepted while no worker runs.
fn answer(
    after: &Reading,
    link: &LinkHash,
    verdict: Verdict,
    acknowledged: bool,
) -> Option<Answer> {
    let unattended = match after {
        Reading::Replaced(_) => Answer::Superseded,
        _ => Answer::Accepted,
    };
    let no_worker = acknowledged && after.is_unattended();
    after_sending(after, link, verdict).or(no_worker.then_some(unattended))
}

#[cfg(test)]
pub(crate) mod tests;
