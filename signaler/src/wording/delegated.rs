//! What is said where a reviewer has, or wants to have, a colleague asked in their place.

use countersign_protos::{
    text::clean_line,
    v1::{Delegation, ReviewerState},
};

use super::{Case, join, on, sentence};
use crate::{
    answer::{Answer, delegation_by, own_delegation, reviewer_by_link},
    delegation_form::NotDelegated,
};

pub(crate) const NOT_DELEGATED: &str = "Nobody else was asked";

/// Why nobody else is asked, to whoever has filled in the form.
pub(crate) fn not_delegated(why: &NotDelegated) -> String {
    let why = match why {
        NotDelegated::Ambiguous => {
            "Please name one colleague, or decide yourself: both cannot be done at once."
        }
        NotDelegated::NotAnAddress => "Please name your colleague by an e-mail address.",
        NotDelegated::OtherDomain(domains) => {
            return format!("Only people with an address {} can be asked.", self::domains(domains));
        }
        NotDelegated::NotOffered => "The rule lets nobody else be asked.",
        NotDelegated::Submitter => "The submitter does not decide their own request.",
        NotDelegated::Yourself => "This is your own address.",
        NotDelegated::AskedAlready(who) => {
            return format!(
                "{} is, or was, a reviewer of this already. Please name somebody else.",
                clean_line(who)
            );
        }
        NotDelegated::ReasonMissing => "Please say why: your colleague and the submitter see it.",
        NotDelegated::ReasonTooLong => {
            "The reason is longer than 2,000 characters. Please shorten it."
        }
        NotDelegated::Refused(why) => return format!("It was refused: {why}."),
    };
    why.to_owned()
}

/// `at example.com or example.org`, as people read them.
pub(crate) fn domains(domains: &[String]) -> String {
    let shown: Vec<String> = domains.iter().map(|domain| clean_line(domain)).collect();
    match shown.split_last() {
        Some((last, [])) => format!("at {last}"),
        Some((last, others)) => format!("at {} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Of the page that says no more.
pub(super) const NOTHING_CHANGED: (&str, &str) = (
    NOT_DELEGATED,
    "Nothing was changed. Unless you have decided before, your own decision is still needed.",
);

/// While no worker runs, to whoever wants this colleague asked.
pub(crate) fn delegation_stored(to: &str) -> String {
    format!("Stored: {} is still to be asked", clean_line(to))
}

/// To whoever has had somebody asked.
pub(super) fn headline(case: Case<'_>) -> String {
    match own_delegation(case.state, case.link) {
        _ if case.answer == Answer::DelegationStored => delegation_stored("your colleague"),
        Some(one) => format!("You asked {} to decide instead", clean_line(&one.to)),
        None => "You asked somebody else to decide instead".to_owned(),
    }
}

pub(super) fn explanation(case: Case<'_>) -> String {
    if case.answer == Answer::DelegationStored {
        return "It is stored safely. When the service that processes it is back, your colleague is \
                asked in your place, unless you or others have already decided; your link then decides \
                nothing any more. There is no need to press again."
            .to_owned();
    }
    let when = own_delegation(case.state, case.link).and_then(|one| one.at.as_ref());
    join([
        sentence("They were asked in your place", &case.moment(when)),
        "There is nothing more for you to do: your link decides nothing any more.".to_owned(),
    ])
}

/// Why the reader's link decides nothing any more.
pub(super) fn superseded(case: Case<'_>) -> String {
    if let Some(said) = by_reader(case) {
        return said;
    }
    let why = match reviewer_by_link(case.state, case.link) {
        Some((_, reviewer)) if reviewer.reissued => {
            "A new link was mailed to you, which replaces this one: please use that mail."
        }
        Some(_) => {
            "The request continues, but others were asked in your place. There is nothing to do \
             here."
        }
        None => {
            "The request continues, but others were asked in your place, or a newer mail with \
             other links was sent to you. There is nothing to do here."
        }
    };
    why.to_owned()
}

/// Whom the reader has had asked, where that is why their link is superseded.
fn by_reader(case: Case<'_>) -> Option<String> {
    let one = own_delegation(case.state, case.link)?;
    let when = case.moment(one.at.as_ref());
    Some(sentence(&format!("You asked {} to decide instead", clean_line(&one.to)), &when))
}

/// Whom a reviewer has had asked.
pub(super) fn by(reviewer: &ReviewerState, case: Case<'_>) -> Option<String> {
    let one = delegation_of(reviewer, case)?;
    let did = format!("passed this to {}", clean_line(&one.to));
    Some(on(&did, &case.moment(one.at.as_ref())))
}

/// Whether the reader is asked because another reviewer wanted it.
pub(super) fn is_why_asked(case: Case<'_>) -> bool {
    let own = reviewer_by_link(case.state, case.link);
    own.is_some_and(|(stage, one)| {
        let person = if one.on_behalf_of.is_empty() { &one.reviewer } else { &one.on_behalf_of };
        let is = |it: &Delegation| it.reviewer == one.instead_of && it.to == *person;
        stage.delegations.iter().any(is)
    })
}

/// By which a reviewer has had somebody else asked.
fn delegation_of<'a>(reviewer: &ReviewerState, case: Case<'a>) -> Option<&'a Delegation> {
    case.state.stages.iter().find_map(|stage| delegation_by(stage, &reviewer.link))
}

/// What a reviewer has written, to decide or to have somebody else asked.
pub(crate) fn written<'a>(reviewer: &'a ReviewerState, case: Case<'a>) -> &'a str {
    match (&reviewer.vote, delegation_of(reviewer, case)) {
        (Some(vote), _) => &vote.comment,
        (None, Some(delegation)) => &delegation.reason,
        (None, None) => "",
    }
}
