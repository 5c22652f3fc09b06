//! What can be done now, and by whom.

use countersign_protos::names;

use crate::approval::{Approval, EmailAddress, Stage};

/// Something that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possible<'a> {
    /// The name of a signal, or [`names::ACTION_DELEGATE`].
    pub action: &'static str,
    /// By their links.
    pub people: Vec<&'a EmailAddress>,
    /// Whether the rules let operators do it.
    pub operator: bool,
}

impl Approval {
    /// What can be done now. What nobody can do is left out.
    pub fn possible(&self) -> Vec<Possible<'_>> {
        let operators = &self.restrictions().operators;
        let deciding = self.deciding();
        let (may_decide, is_room) = (operators.may_decide, self.seats_left() > 0);
        let may_reassign = operators.may_reassign_to.as_ref().is_none_or(|to| !to.is_empty());
        let sent_back = if self.has_revisions_left() { deciding.clone() } else { Vec::new() };
        let may_delegate = is_room && !self.restrictions().delegate_to.is_empty();
        let delegating = if may_delegate { deciding.clone() } else { Vec::new() };
        let is_somebody = !deciding.is_empty();
        let waits = self.open_stage().is_some_and(|stage| stage.undecided().next().is_some());
        let (revised, pending) = (self.can_be_revised().is_ok(), !self.is_final());
        let by_submitter = |can: bool| -> Vec<&EmailAddress> {
            self.submitter_link().iter().filter(|_| can).map(|_| self.submitter()).collect()
        };
        let all = [
            (names::SIGNAL_APPROVE, deciding.clone(), may_decide && is_somebody),
            (names::SIGNAL_REJECT, deciding, may_decide && is_somebody),
            (names::SIGNAL_REQUEST_CHANGES, sent_back.clone(), may_decide && !sent_back.is_empty()),
            (names::ACTION_DELEGATE, delegating, false),
            (names::SIGNAL_REASSIGN, Vec::new(), may_reassign && is_room && is_somebody),
            (names::SIGNAL_REMIND, Vec::new(), waits),
            (names::SIGNAL_REISSUE, Vec::new(), is_room && is_somebody),
            (names::SIGNAL_REVISE, by_submitter(revised), operators.may_revise && revised),
            (names::SIGNAL_WITHDRAW, by_submitter(pending), operators.may_withdraw && pending),
        ];
        let possible =
            all.into_iter().filter(|(_, people, operator)| *operator || !people.is_empty());
        possible.map(|(action, people, operator)| Possible { action, people, operator }).collect()
    }

    /// Who may decide now and is not about to lose their link.
    fn deciding(&self) -> Vec<&EmailAddress> {
        let Some(stage) = self.open_stage() else { return Vec::new() };
        let waiting = Stage::undecided(stage).map(|seat| &seat.reviewer);
        waiting.filter(|reviewer| stage.can_be_replaced(reviewer)).collect()
    }
}
