//! One decision from end to end: what is known, the signal, and what the workflow made of it.

use countersign_protos::{LinkHash, v1::Verdict};

use crate::{
    approvals::{Approvals, NotSent, Unreadable},
    judgement::{Answer, Reading, after_sending, settled},
};

/// A decision that comes too late for a run is told to the one that follows, once.
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
        link: &LinkHash,
        verdict: Verdict,
        comment: &str,
    ) -> Result<(Answer, Reading), NotDecided> {
        for _ in 0..ATTEMPTS {
            let (run, before) = self.find(link).await.map_err(NotDecided::from)?;
            if let Some(answer) = settled(&before, link.as_str(), verdict) {
                return Ok((answer, before));
            }
            let acknowledged = match self.send(link, &run, verdict, comment).await {
                Ok(()) if matches!(before, Reading::Unattended(_)) => {
                    return Ok((Answer::Accepted, before));
                }
                Ok(()) => Some(Answer::Accepted),
                // What the workflow says now may tell what became of it all the same.
                Err(NotSent::Unknown) => None,
                // It ended in the meantime, or goes on in another run: look again.
                Err(NotSent::Closed) => continue,
                Err(NotSent::Unavailable) => return Err(NotDecided::NothingRecorded),
            };
            let (said, shown) = match self.follow(link, run).await {
                Ok((_, after)) => (after_sending(&after, link.as_str(), verdict), after),
                Err(_) => (None, before),
            };
            let answer = said.or(acknowledged).ok_or(NotDecided::Unknown)?;
            return Ok((answer, shown));
        }
        Err(NotDecided::NothingRecorded)
    }
}

#[cfg(test)]
mod tests;
