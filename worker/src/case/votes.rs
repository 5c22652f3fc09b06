//! Votes as they come in, and what follows.

use countersign_protos::MAX_REVISIONS;
use jiff::Timestamp;

use super::{Open, notices::Kind};
use crate::approval::{Ballot, By, Claim, Receipt, SeatStatus, Stage, Verdict};

impl Open {
    /// Takes a vote. Returns whether it changes anything, or why it is ignored.
    pub(super) fn vote(&mut self, ballot: Ballot, now: Timestamp) -> Result<bool, String> {
        let (who, has_new_link) = (self.claimant(&ballot.claim), self.has_new_link(&ballot.claim));
        let is_of_earlier =
            matches!(&ballot.claim, Claim::Link(link) if self.was_revised_since(link));
        let verdict = ballot.verdict;
        let receipt = match self.approval.is_about_to_supersede(&ballot.claim) {
            true => Receipt::Superseded,
            false => self.approval.vote(ballot, now),
        };
        self.unpublished |= receipt == Receipt::Counted;
        match receipt {
            Receipt::Counted => {
                self.notify_represented();
                Ok(true)
            }
            Receipt::Duplicate => Ok(false),
            Receipt::Contradiction => Err(format!("{who} decided otherwise before")),
            Receipt::OtherVersion(named) => Err(self.other_version(named)),
            Receipt::NotAReviewer if is_of_earlier => {
                Err(format!("{who} had it for a version that was revised since"))
            }
            Receipt::NotAReviewer => Err(format!("{who} is not asked")),
            Receipt::SelfVote => Err(format!("{who} does not decide their own submission")),
            Receipt::LinkRequired => {
                Err(format!("only {who}'s link can decide for them (`may_decide` in [operators])"))
            }
            Receipt::CommentRequired if verdict == Verdict::RequestChanges => {
                Err(format!("{who} wrote no comment, which has to say what to change"))
            }
            Receipt::CommentRequired => {
                let verb = verdict.terms().name;
                Err(format!(
                    "{who} wrote no comment, which the rule requires to {verb} (`comment_required`)"
                ))
            }
            Receipt::ChangesRequested => {
                Err("changes are requested: it waits for the submitter to revise it".into())
            }
            Receipt::NoMoreChanges => {
                Err(format!("it was revised {MAX_REVISIONS} times, and cannot be sent back again"))
            }
            Receipt::InvalidAnswers(why) => Err(format!("{who}: {why}")),
            Receipt::Superseded if has_new_link => Err(format!("{who} has a new link")),
            Receipt::Superseded => Err(format!("somebody else was asked instead of {who}")),
            Receipt::StageNotOpen => Err(format!("the stage of {who} is not open")),
        }
    }

    /// Why a decision for another version has no effect, and what to send.
    fn other_version(&self, named: u32) -> String {
        let asked = self.plan.version();
        format!(
            "it is for version {named}, and version {asked} is asked about: to decide that one, send \
             `\"version\": {asked}`"
        )
    }

    fn claimant(&self, claim: &Claim) -> String {
        let link = match claim {
            Claim::Reviewer(reviewer) => return reviewer.to_string(),
            Claim::Link(link) => link,
        };
        let mut seats = self.approval.stages().iter().flat_map(Stage::seats);
        let seat = seats.find(|seat| seat.link == *link);
        seat.map_or("the holder of this link".to_owned(), |seat| seat.reviewer.to_string())
    }

    /// Whether the holder of this link has, or is about to get, a new one.
    fn has_new_link(&self, claim: &Claim) -> bool {
        let (Claim::Link(link), Some(stage)) = (claim, self.approval.open_stage()) else {
            return false;
        };
        let seat = stage.seats().iter().find(|seat| seat.link == *link);
        seat.is_some_and(|seat| match seat.status {
            SeatStatus::Superseded => stage.is_reissued(seat),
            SeatStatus::Asked | SeatStatus::Unreachable => {
                self.approval.may_ask_soon(&seat.reviewer)
            }
        })
    }

    /// Notifies the reviewer whose vote was the last one, if an operator gave it.
    fn notify_represented(&mut self) {
        let votes = self.approval.stages().iter().flat_map(Stage::votes);
        let last = votes.max_by_key(|(_, vote)| vote.at);
        let Some((seat, _)) = last.filter(|(_, vote)| matches!(vote.by, By::Operator(_))) else {
            return;
        };
        let reviewer = seat.reviewer.clone();
        let entries = self.approval.journal().len();
        self.notices.notify(reviewer, Kind::DecidedByOperator, entries);
    }
}
