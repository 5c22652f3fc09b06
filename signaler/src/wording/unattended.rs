//! What is said while no worker runs: nobody knows yet what counts.

use countersign_protos::{Verdict, text::clean_line};

use super::{Case, deciding_as, join, own_stage, sentence};
use crate::answer::own_vote;

/// What the reader has decided, or can.
pub(super) fn viewed(case: Case<'_>) -> String {
    let Some(vote) = own_vote(case.state, case.link) else {
        return join([
            "The service that processes decisions is not running right now. You can still decide: \
             your decision takes effect when the service is back. If you have already decided, there \
             is nothing more to do."
                .to_owned(),
            deadline(case),
        ]);
    };
    let when = case.moment(vote.decided_at.as_ref());
    join([
        sentence(&pressed_as(vote.verdict().known(), case), &when),
        "It is stored safely, and takes effect when the service that processes decisions is back, \
         unless others have already decided. There is no need to press again."
            .to_owned(),
        deadline(case),
    ])
}

/// What comes of a press. Of two, the first one counts.
pub(super) fn pressed(case: Case<'_>) -> String {
    let first = own_vote(case.state, case.link).and_then(|vote| vote.verdict().known());
    let first = match first.filter(|first| Some(*first) != case.pressed) {
        Some(first) => format!(
            "You had pressed {} before: your first decision is the one that counts.",
            first.terms().button
        ),
        None => String::new(),
    };
    let pressed = case.pressed.map(|verdict| pressed_as(Some(verdict), case));
    join([
        pressed.map(|pressed| format!("{pressed}.")).unwrap_or_default(),
        first,
        "It is stored safely. It takes effect when the service that processes decisions is back, \
         unless you or others have already decided; this page will then show the result. There is no \
         need to press again."
            .to_owned(),
        deadline(case),
    ])
}

/// Without its full stop: `You pressed Approve as dee@example.com, instead of ann@example.com`.
fn pressed_as(verdict: Option<Verdict>, case: Case<'_>) -> String {
    let button = verdict.map_or("a button", |verdict| verdict.terms().button);
    match clean_line(&deciding_as(case)) {
        who if who.is_empty() => format!("You pressed {button}"),
        who => format!("You pressed {button} as {who}"),
    }
}

/// Of the reader's stage, said where nobody knows whether it has passed.
fn deadline(case: Case<'_>) -> String {
    let deadline = own_stage(case).and_then(|stage| stage.deadline.as_ref());
    match case.full_moment(deadline) {
        deadline if deadline.is_empty() => deadline,
        deadline => format!("The deadline is {deadline}."),
    }
}
