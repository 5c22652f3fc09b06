//! One decision from end to end: what is known, the signal, and what the workflow made of it.

use countersign_protos::{LinkHash, v1::Verdict};

use crate::{
    approvals::{Approvals, NotSent, Unreadable},
    judgement::{Answer, Reading, after_sending, settled},
};

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
        let (run, before) = self.find(link).await.map_err(NotDecided::from)?;
        if let Some(answer) = settled(&before, link.as_str(), verdict) {
            return Ok((answer, before));
        }
        let sent = self.send(link, &run, verdict, comment).await;
        if sent.is_ok() && matches!(before, Reading::Unattended(_)) {
            return Ok((Answer::Accepted, before));
        }
        match sent {
            Ok(()) => Ok(match self.read(link, &run).await {
                Ok(after) => (after_sending(&after, link.as_str(), verdict), after),
                Err(_) => (Answer::Accepted, before),
            }),
            Err(NotSent::Closed) => {
                let after = self.read(link, &run).await.map_err(NotDecided::from)?;
                let answer = settled(&after, link.as_str(), verdict);
                answer.map(|answer| (answer, after)).ok_or(NotDecided::NothingRecorded)
            }
            Err(NotSent::Unavailable) => Err(NotDecided::NothingRecorded),
            Err(NotSent::Unknown) => Err(NotDecided::Unknown),
        }
    }
}
