//! One decision from end to end: what is known, the signal, and what the workflow made of it.

use countersign_protos::{GenuineLink, LinkHash, Verdict};

use crate::{
    approvals::{Approvals, NotSent, Unreadable},
    judgement::{Answer, Reading, after_sending, settled},
    lookup::Run,
};

/// A decision that comes too late for a run is told to the one that follows, once.
const RUNS: usize = 2;
/// A decision that was acknowledged and is not there is sent again, once.
const ATTEMPTS: usize = 2;

/// Why there is no answer to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDecided {
    /// Temporal does not know the approval any more.
    Gone,
    /// Nothing was recorded.
    NothingRecorded,
    /// It may or may not have been recorded.
    Unknown,
}

impl From<Unreadable> for NotDecided {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Gone => NotDecided::Gone,
            Unreadable::Unavailable => NotDecided::NothingRecorded,
        }
    }
}

impl Approvals {
    /// Has a decision counted, and says what came of it.
    pub(crate) async fn decide(
        &self,
        link: &GenuineLink,
        verdict: Verdict,
        comment: &str,
    ) -> Result<(Answer, Reading), NotDecided> {
        for _ in 0..RUNS {
            let (run, before) = self.find(link.hash()).await?;
            if let Some(answer) = settled(&before, link.hash().as_str(), verdict) {
                return Ok((answer, before));
            }
            if let Some(said) = self.press(link, run, (verdict, comment), before).await? {
                return Ok(said);
            }
        }
        Err(NotDecided::NothingRecorded)
    }

    /// Sends a decision to a run, and says what came of it; `None` where the run has ended in the
    /// meantime, or goes on in another one.
    async fn press(
        &self,
        link: &GenuineLink,
        mut run: Run,
        decision: (Verdict, &str),
        before: Reading,
    ) -> Result<Option<(Answer, Reading)>, NotDecided> {
        let mut attempt = 0;
        let mut acknowledged = false;
        for _ in 0..ATTEMPTS {
            let sent = self.send(link, &run, decision, attempt).await;
            match sent {
                Ok(()) if matches!(before, Reading::Unattended(_)) => {
                    return Ok(Some((Answer::Accepted, before)));
                }
                Ok(()) => acknowledged = true,
                Err(NotSent::Closed) if !acknowledged => return Ok(None),
                Err(NotSent::Unavailable) if !acknowledged => {
                    return Err(NotDecided::NothingRecorded);
                }
                // What the workflow says now may tell what became of it all the same.
                Err(_) => {}
            }
            let followed = self.follow(link.hash(), run.clone()).await;
            let (next, after) = followed.map_err(|_| NotDecided::Unknown)?;
            if let Some(answer) = answer(&after, link.hash(), decision.0, acknowledged) {
                return Ok(Some((answer, after)));
            }
            if sent.is_err() {
                break;
            }
            tracing::warn!(
                link = link.hash().short(),
                attempt,
                "a decision was taken and is not there"
            );
            // A press that is repeated begins with the first attempt at whichever run it finds.
            attempt = if next == run { attempt + 1 } else { 0 };
            run = next;
        }
        Err(NotDecided::Unknown)
    }
}

/// What the workflow says came of a decision, or what is so while no worker is there to say it.
fn answer(
    after: &Reading,
    link: &LinkHash,
    verdict: Verdict,
    acknowledged: bool,
) -> Option<Answer> {
    let unattended = acknowledged && matches!(after, Reading::Unattended(_));
    after_sending(after, link.as_str(), verdict).or(unattended.then_some(Answer::Accepted))
}

#[cfg(test)]
mod tests;
