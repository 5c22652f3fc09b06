//! What the submitter does by their own link, and what ends an approval from outside: revisions and withdrawals.

use countersign_protos::{Statement, revision_digest, v1::Submission};
use jiff::Timestamp;

use super::{
    Approval, Entry, NotRevised, NotWithdrawn, Reviser, Signed, Status, SubmitterLink, UNKNOWN,
    Withdrawal,
};

impl Approval {
    /// The submitter's own link, once they have one.
    pub fn submitter_link(&self) -> Option<&SubmitterLink> {
        self.submitter_link.as_ref()
    }

    /// Records that the submitter was sent their link: with a deadline where they have to revise it, and else at the
    /// start. It has no effect where it is neither.
    pub fn ask_submitter(
        &mut self,
        link: SubmitterLink,
        deadline: Option<Timestamp>,
        now: Timestamp,
    ) {
        let Some(stage) = self.current() else { return };
        if self.submitter_link.as_ref().is_some_and(|known| *known != link) {
            return;
        }
        let stage = &mut self.stages[stage];
        let is_wanted = match deadline {
            Some(deadline) => stage.pause_until(deadline),
            None => self.submitter_link.is_none() && stage.change_request().is_none(),
        };
        if is_wanted {
            self.submitter_link = Some(link.clone());
            self.journal.push(Entry::SubmitterAsked { link, deadline, at: now });
        }
    }

    /// Whether its submission can be revised now: while changes are requested, or before anybody has voted.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn can_be_revised(&self) -> Result<(), NotRevised> {
        let is_voted = self.stages.iter().any(|stage| !stage.votes().is_empty());
        match self.status() {
            Status::Pending(..) | Status::ChangesRequested(_) if !self.has_revisions_left() => {
                Err(NotRevised::TooOften)
            }
            Status::ChangesRequested(_) => Ok(()),
            Status::Pending(..) if is_voted => Err(NotRevised::Voted),
            Status::Pending(..) => Ok(()),
            Status::Approved(..)
            | Status::Rejected(..)
            | Status::Expired(..)
            | Status::Withdrawn(_) => Err(NotRevised::Decided),
        }
    }

    /// Whether they may replace its submission by this one, as it was sent. What the new one is worth is
    /// [validated](crate::revision::revise) elsewhere.
    ///
    /// # Errors
    /// Why they may not.
    pub fn may_revise(&self, by: &Reviser, submission: &Submission) -> Result<(), NotRevised> {
        self.can_be_revised()?;
        match by {
            Reviser::Operator(_) if self.restrictions.operators.may_revise => Ok(()),
            Reviser::Operator(_) => Err(NotRevised::NotAllowed),
            Reviser::Submitter(signed) => {
                let digest = revision_digest(submission);
                match self.is_by_submitter(signed, Statement::Revise { digest: &digest }) {
                    true => Ok(()),
                    false => Err(NotRevised::NotProven),
                }
            }
        }
    }

    /// Withdraws the approval, as an operator who claims this identity wants it.
    ///
    /// # Errors
    /// Why that is impossible.
    pub fn withdraw(
        &mut self,
        reason: String,
        identity: String,
        now: Timestamp,
    ) -> Result<(), NotWithdrawn> {
        match () {
            () if !self.restrictions.operators.may_withdraw => Err(NotWithdrawn::NotAllowed),
            () if self.is_final() => Err(NotWithdrawn::Decided),
            () => {
                self.end_withdrawn(reason, identity, None, now);
                Ok(())
            }
        }
    }

    /// Withdraws the approval, as the submitter wants it by their link: the rules cannot forbid that.
    ///
    /// # Errors
    /// Why that is impossible.
    pub fn withdraw_by_link(
        &mut self,
        reason: String,
        signed: Signed,
        now: Timestamp,
    ) -> Result<(), NotWithdrawn> {
        match () {
            () if self.is_final() => Err(NotWithdrawn::Decided),
            () if !self.is_by_submitter(&signed, Statement::Withdraw { reason: &reason }) => {
                Err(NotWithdrawn::NotProven)
            }
            () => {
                self.end_withdrawn(reason, String::new(), Some(signed), now);
                Ok(())
            }
        }
    }

    /// Withdraws the approval because its workflow is cancelled, unless it is decided: the rules cannot forbid
    /// that, and nobody knows by whom. Returns whether it was withdrawn.
    pub fn cancel(&mut self, reason: String, now: Timestamp) -> bool {
        let pending = !self.is_final();
        if pending {
            self.end_withdrawn(reason, UNKNOWN.to_owned(), None, now);
        }
        pending
    }

    fn end_withdrawn(
        &mut self,
        reason: String,
        identity: String,
        signed: Option<Signed>,
        now: Timestamp,
    ) {
        let withdrawal = Withdrawal { at: now, reason: reason.clone(), signed: signed.clone() };
        self.withdrawn = Some(withdrawal);
        self.journal.push(Entry::Withdrawn { reason, identity, signed, at: now });
    }

    fn is_by_submitter(&self, signed: &Signed, statement: Statement<'_>) -> bool {
        let Signed { link, proof } = signed;
        self.submitter_link
            .as_ref()
            .is_some_and(|own| own.link == *link && proof.proves(&own.key, link, statement))
    }
}
