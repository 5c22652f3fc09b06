//! Votes and delegations that have come to count, for logs and metrics: no command follows from them.

use super::{Case, Open};
use crate::approval::{EmailAddress, Vote};

/// A vote that counts.
#[derive(Debug)]
pub(crate) struct CountedVote {
    pub(crate) stage: String,
    pub(crate) reviewer: EmailAddress,
    /// The hash of their link.
    pub(crate) link: String,
    pub(crate) vote: Vote,
}

/// A delegation that counts.
#[derive(Debug)]
pub(crate) struct CountedDelegation {
    pub(crate) stage: String,
    pub(crate) from: EmailAddress,
    /// The hash of their link.
    pub(crate) link: String,
    pub(crate) to: EmailAddress,
}

impl Case {
    /// The votes that have come to count since this was last asked.
    pub(crate) fn new_votes(&mut self) -> Vec<CountedVote> {
        let Some(open) = &self.open else { return Vec::new() };
        let new: Vec<_> = open.counted_votes().skip(self.votes_told).collect();
        self.votes_told += new.len();
        new
    }

    /// The delegations that have been made since this was last asked.
    pub(crate) fn new_delegations(&mut self) -> Vec<CountedDelegation> {
        let Some(open) = &self.open else { return Vec::new() };
        let new: Vec<_> = open.counted_delegations().skip(self.delegations_told).collect();
        self.delegations_told += new.len();
        new
    }
}

impl Open {
    /// The votes that count, in the order in which they came.
    fn counted_votes(&self) -> impl Iterator<Item = CountedVote> {
        let stages = self.approval.stages().iter();
        let votes =
            stages.flat_map(|stage| stage.votes().into_iter().map(move |vote| (stage, vote)));
        votes.map(|(stage, (seat, vote))| CountedVote {
            stage: stage.plan().name.clone(),
            reviewer: seat.reviewer.clone(),
            link: seat.link.clone(),
            vote: vote.clone(),
        })
    }

    /// The same of delegations.
    fn counted_delegations(&self) -> impl Iterator<Item = CountedDelegation> {
        self.approval.delegations().map(|(stage, from, delegation)| CountedDelegation {
            stage: stage.plan().name.clone(),
            from: from.reviewer.clone(),
            link: delegation.link.clone(),
            to: delegation.to.clone(),
        })
    }
}
