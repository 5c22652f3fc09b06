//! What the submitter does by their link: what is known against it, its signal, and its effect.

use countersign_protos::{GenuineLink, LinkHash};
use jiff::Timestamp;

use crate::{
    answer::{self, Answer, Reading, acted, acts, on_view, pending},
    index::Run,
    problem::Problem,
    reply::answer_status,
    revision::{Deed, Mistake, Wish},
    signal::{Intent, Ready, Signal, newly_ignored},
};

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

/// What the submitter wants, as a form carries it.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) wish: &'a Wish,
    /// What confirms it; empty the first time.
    pub(crate) nonce: &'a str,
}

impl Intent for Wanted<'_> {
    /// With how many signals the workflow had ignored before.
    type Sent = (Deed, u32);
    type Effect = Effect;
    /// A revision is validated first.
    const PAUSES: &'static [u64] = &[5, 50, 150, 300, 600, 900, 1_500];
    const SENT_AGAIN_AS: Option<&'static str> = None;

    fn ready(&self, link: &GenuineLink, before: &Reading) -> Result<Ready<Self>, Problem> {
        let (Wanted { wish, nonce }, state) = (*self, before.state());
        let is_over = !pending(state.status()) || matches!(before, Reading::Outdated(_));
        if !is_over && !is_of_submitter(before, link.hash()) {
            return Err(Problem::NotTheSubmitter);
        }
        if let Some(answer) = acted(before, link.hash()) {
            return Ok(Ready::Settled(Effect::Answered(answer)));
        }
        if !acts(on_view(before, link.hash()), state, link.hash()).contains(&wish.act()) {
            return Err(Problem::NotRevisable);
        }
        let deed = match wish.deed(&state.submission.clone().unwrap_or_default()) {
            Ok(deed) => deed,
            Err(mistakes) => return Ok(Ready::Settled(Effect::Refused(mistakes))),
        };
        Ok(match !state.confirm || link.confirms(nonce, deed.statement(), Timestamp::now()) {
            true => Ready::Send((deed, state.ignored_signals)),
            false => Ready::Settled(Effect::Unconfirmed(deed)),
        })
    }

    fn signal(&self, sent: &(Deed, u32), link: &GenuineLink, run: &Run, attempt: u32) -> Signal {
        let (deed, ignored) = sent;
        let (name, payload) = deed.signed(link, Timestamp::now());
        // What was refused may be wanted again: then it is another event.
        let request_id = link.request_id_of(&run.run_id, deed.statement(), ignored + attempt);
        Signal { name, payload, request_id }
    }

    fn effect(&self, link: &LinkHash, before: &Reading, after: &Reading) -> Option<Effect> {
        let mut whys = newly_ignored(before.state(), after.state(), self.wish.act().name());
        let answer = acted(after, link).map(Effect::Answered);
        answer.or_else(|| Some(Effect::Refused(self.wish.refused(whys.next()?))))
    }

    fn stored(&self, _: &Reading) -> Effect {
        Effect::Answered(Answer::Accepted)
    }

    fn log(&self, workflow_id: &str, link: &str, effect: &Effect) {
        let answer = match effect {
            Effect::Answered(answer) => answer_status(*answer).1,
            Effect::Unconfirmed(_) => answer_status(Answer::Unconfirmed).1,
            Effect::Refused(_) => "refused",
        };
        let act = self.wish.act().name();
        tracing::info!(workflow_id, link, act, answer, "act of the submitter");
    }
}

/// Whether the link is, or was, the submitter's.
fn is_of_submitter(reading: &Reading, link: &LinkHash) -> bool {
    let is_former = matches!(reading, Reading::Revised(answer::Former::Submitter, _));
    is_former || answer::is_submitters(reading.state(), link)
}

#[cfg(test)]
mod tests;
