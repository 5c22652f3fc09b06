//! What the submitter does by their link, from end to end: what is known, the signal, and its effect.

use std::time::Duration;

use countersign_protos::{Act, GenuineLink, LinkHash, text};
use jiff::Timestamp;
use tokio::time::sleep;

use crate::{
    answer::{self, Answer, Reading, acted, acts, on_view, pending},
    approvals::{Approvals, Signal, SignalError},
    decision::{RUNS, not_found},
    index::Run,
    problem::Problem,
    reply::answer_status,
    revision::{Deed, Mistake, Wish},
};

/// How long the workflow has to validate a revision, in pauses between queries, in milliseconds.
const PAUSES: [u64; 7] = [5, 50, 150, 300, 600, 900, 1_500];

/// What came of a wish.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// What the workflow says of it.
    Answered(Answer),
    /// It has to be confirmed, and is not sent.
    Unconfirmed(Deed),
    /// It is not sent, or the workflow refuses it.
    Refused(Vec<Mistake>),
}

impl Approvals {
    /// Sends what the submitter wants unless that is settled already, wrong or has to be confirmed, and answers with its
    /// effect. `nonce` is what confirms it; empty the first time.
    pub(crate) async fn act(
        &self,
        link: &GenuineLink,
        hint: Option<&str>,
        wish: &Wish,
        nonce: &str,
    ) -> Result<(Effect, Reading), Problem> {
        for _ in 0..RUNS {
            let (run, before) = self.find(link, hint).await.map_err(not_found)?;
            let deed = match ready(&before, link, wish, nonce)? {
                Ok(deed) => deed,
                Err(effect) => return Ok((effect, before)),
            };
            let workflow_id = text::clean_line(&run.workflow_id);
            if let Some((effect, after)) = self.send_act(link, run, (wish, &deed), before).await? {
                let answer = match &effect {
                    Effect::Answered(answer) => answer_status(*answer).1,
                    Effect::Unconfirmed(_) => answer_status(Answer::Unconfirmed).1,
                    Effect::Refused(_) => "refused",
                };
                let (link, act) = (link.hash().short(), wish.act().name());
                tracing::info!(workflow_id, link, act, answer, "act of the submitter");
                return Ok((effect, after));
            }
        }
        Err(Problem::NothingRecorded)
    }

    /// Sends a deed to a run, and waits for its effect; `None` if the run was closed before.
    async fn send_act(
        &self,
        link: &GenuineLink,
        mut run: Run,
        (wish, deed): (&Wish, &Deed),
        before: Reading,
    ) -> Result<Option<(Effect, Reading)>, Problem> {
        if before.is_unattended() {
            self.release(&run).await;
        }
        let state = before.state();
        // What was refused may be wanted again: then it is another event.
        let attempt = state.ignored_signals;
        let request_id = link.request_id_of(&run.run_id, deed.statement(), attempt);
        let (name, payload) = deed.signed(link, Timestamp::now());
        let submitter = state.submission.as_ref().and_then(|it| it.submitter.as_ref());
        let who = submitter.map(|submitter| submitter.email.clone());
        let signal = Signal { name, payload, request_id };
        let sent = self.signal(link, &run, who.as_deref(), signal).await;
        match sent {
            Ok(()) if before.is_unattended() => {
                return Ok(Some((Effect::Answered(Answer::Accepted), before)));
            }
            Err(SignalError::Closed) => return Ok(None),
            Err(SignalError::Unavailable) => return Err(Problem::NothingRecorded),
            // The workflow's state may still show whether it arrived.
            Ok(()) | Err(SignalError::Unknown) => {}
        }
        for pause in PAUSES.map(Duration::from_millis) {
            sleep(pause).await;
            let followed = self.follow(link, run.clone()).await;
            let (next, after) = followed.map_err(|_| Problem::Unknown)?;
            let refused = why_refused(&after, wish.act(), attempt);
            if let Some(answer) = acted(&after, link.hash()) {
                return Ok(Some((Effect::Answered(answer), after)));
            }
            if let Some(why) = refused {
                return Ok(Some((Effect::Refused(wish.refused(&why)), after)));
            }
            if after.is_unattended() && sent.is_ok() {
                return Ok(Some((Effect::Answered(Answer::Accepted), after)));
            }
            run = next;
        }
        match sent {
            Ok(()) => Ok(Some((Effect::Answered(Answer::Accepted), before))),
            Err(_) => Err(Problem::Unknown),
        }
    }
}

/// What is to be sent, or why nothing is.
///
/// # Errors
/// Where the link is not the submitter's.
fn ready(
    before: &Reading,
    link: &GenuineLink,
    wish: &Wish,
    nonce: &str,
) -> Result<Result<Deed, Effect>, Problem> {
    let state = before.state();
    let is_over = !pending(state.status()) || matches!(before, Reading::Outdated(_));
    if !is_over && !is_of_submitter(before, link.hash()) {
        return Err(Problem::NotTheSubmitter);
    }
    if let Some(answer) = acted(before, link.hash()) {
        return Ok(Err(Effect::Answered(answer)));
    }
    if !acts(on_view(before, link.hash()), state, link.hash()).contains(&wish.act()) {
        return Err(Problem::NotRevisable);
    }
    let deed = match wish.deed(&state.submission.clone().unwrap_or_default()) {
        Ok(deed) => deed,
        Err(mistakes) => return Ok(Err(Effect::Refused(mistakes))),
    };
    match !state.confirm || link.confirms(nonce, deed.statement(), Timestamp::now()) {
        true => Ok(Ok(deed)),
        false => Ok(Err(Effect::Unconfirmed(deed))),
    }
}

/// Whether the link is, or was, the submitter's.
pub(crate) fn is_of_submitter(reading: &Reading, link: &LinkHash) -> bool {
    let is_former = matches!(reading, Reading::Revised(answer::Former::Submitter, _));
    is_former || answer::is_submitters(reading.state(), link)
}

/// Why the workflow has refused an act, if it has ignored more signals than before.
fn why_refused(after: &Reading, act: Act, before: u32) -> Option<String> {
    let state = after.state();
    let new = state.ignored_signals.saturating_sub(before) as usize;
    let said = state.ignored_because.iter().rev().take(new);
    let mut own = said.filter_map(|why| why.strip_prefix(act.name())?.strip_prefix(" at "));
    // Behind the time, which has colons of its own.
    own.find_map(|why| Some(why.split_once(": ")?.1.to_owned()))
}

#[cfg(test)]
mod tests;
