//! What is said of changes that are requested, of what was revised, and to the submitter.

use countersign_protos::{
    Act, FIRST_VERSION, Verdict, can_be_revised, names,
    text::{clean, clean_line},
    v1::{EarlierVersion, ReviewerState, Vote},
};

use super::{
    Case, is_by_operator, join, on, over,
    problems::{CORRECT, too_long},
    sentence, unchanged,
};
use crate::{
    answer::{Answer, acts, is_open, is_submitters, own_vote},
    revision::{Mistake, Place},
};

/// Said of a change where nothing is there any more: of a field, and of an item or another element of a list.
pub(crate) const NOTHING: &str = "(nothing)";
pub(crate) const REMOVED: &str = "(removed)";

/// Said where the submitter is asked to revise it, and in their form.
pub(crate) const KEPT: &str = "Items and attachments can be changed only in the system from which the request was \
    submitted.";
pub(crate) const AMOUNT_OF_ITEMS: &str = "The items add up to this amount: both can be changed only in the system \
    from which the request was submitted.";

/// The first line for the submitter, and for reviewers while the submitter is waited for.
pub(super) fn headline(case: Case<'_>) -> String {
    let own = own_vote(case.state, case.link);
    let asked_by_own = own.and_then(|vote| vote.verdict().known()) == Some(Verdict::RequestChanges);
    let said = match case.answer {
        Answer::SentBack if asked_by_own && is_by_operator(own) => {
            "An operator requested changes for you"
        }
        Answer::SentBack if asked_by_own => "You requested changes",
        Answer::SentBack => "Sent back for changes",
        Answer::Paused => "Changes are requested: your decision does not count",
        Answer::Revised if case.pressed.is_some() => "Not recorded: this request was revised",
        Answer::Revised => "This request was revised",
        Answer::Outdated => "This link is for an earlier version",
        Answer::Submitted => "Your request is being decided",
        Answer::ToRevise => "Changes are requested",
        Answer::Resubmitted if case.act == Some(Act::Revise) => {
            "Recorded: you revised your request"
        }
        Answer::Resubmitted => "Your request was revised",
        Answer::YouWithdrew if case.act == Some(Act::Withdraw) => {
            "Recorded: you withdrew your request"
        }
        _ => "You withdrew your request",
    };
    said.to_owned()
}

/// The text below it.
pub(super) fn explanation(case: Case<'_>) -> String {
    match case.answer {
        Answer::SentBack => sent_back(case),
        Answer::Paused => join([unchanged(case), sent_back(case)]),
        Answer::Revised => join([unchanged(case), revised(case), NEWER_MAIL.to_owned()]),
        Answer::Outdated => join([unchanged(case), OUTDATED.to_owned()]),
        Answer::Submitted => join([unchanged(case), waits_for(case), can(case)]),
        Answer::ToRevise => {
            join([unchanged(case), request(case), please_revise(case), KEPT.to_owned()])
        }
        Answer::Resubmitted => join([resubmitted(case), waits_for(case)]),
        _ => over(case, "It was withdrawn"),
    }
}

const ASKED_AGAIN: &str = "Everybody is asked again, from the first stage. To follow, revise or withdraw it from now \
    on, use the link in the mail to you about this version.";
const NEWER_MAIL: &str = "This link decides nothing any more. If you are asked again, a newer mail has your new \
    link; what has changed is listed below.";
const OUTDATED: &str = "The request was revised since this link was mailed, so the link can no longer decide, and \
    no longer shows what the request is about. Please use the newest mail about the request, if you got one.";

/// Who asked for changes, and until when they wait for the submitter.
fn sent_back(case: Case<'_>) -> String {
    let own = own_vote(case.state, case.link).map(|vote| vote.verdict().known());
    let who = match own {
        Some(Some(Verdict::RequestChanges)) => String::new(),
        _ => request(case),
    };
    join([
        who,
        waiting(case),
        "If it is revised and you are asked again, you get another mail.".into(),
    ])
}

/// That it waits for the submitter.
pub(super) fn waiting(case: Case<'_>) -> String {
    let deadline = case.state.change_request.as_ref().and_then(|asked| asked.deadline.as_ref());
    match case.full_moment(deadline) {
        deadline if deadline.is_empty() => "The request waits for the submitter.".to_owned(),
        deadline => format!(
            "The request waits for the submitter until {deadline}, and expires then unless it is revised."
        ),
    }
}

/// `bob@example.com requested changes on Friday.`
fn request(case: Case<'_>) -> String {
    let Some(vote) = case.state.change_request.as_ref().and_then(|asked| asked.vote.as_ref())
    else {
        return String::new();
    };
    let who = clean_line(&vote.reviewer);
    let by = if is_by_operator(Some(vote)) { ", recorded by an operator" } else { "" };
    let when = case.moment(vote.decided_at.as_ref());
    format!("{}{by}.", on(&format!("{who} requested changes"), &when))
}

fn please_revise(case: Case<'_>) -> String {
    let deadline = case.state.change_request.as_ref().and_then(|asked| asked.deadline.as_ref());
    match case.full_moment(deadline) {
        deadline if deadline.is_empty() => "Please revise your request, or withdraw it.".to_owned(),
        deadline => format!(
            "Please revise your request, or withdraw it, by {deadline}: it expires then. A revised request is \
             decided anew from its first stage."
        ),
    }
}

/// What was asked for, as it was written; empty where nothing is.
pub(crate) fn asked_for(case: Case<'_>) -> String {
    let asked = case.state.change_request.as_ref().and_then(|asked| asked.vote.as_ref());
    match case.answer {
        Answer::SentBack | Answer::Paused | Answer::ToRevise => {
            clean(asked.map_or("", |vote| vote.comment.trim()))
        }
        _ => String::new(),
    }
}

/// Whether the page's head quotes what was written with a vote.
pub(crate) fn is_quoted(vote: &Vote, case: Case<'_>) -> bool {
    vote.verdict().known() == Some(Verdict::RequestChanges) && !asked_for(case).is_empty()
}

/// Whom it waits for, and until when.
fn waits_for(case: Case<'_>) -> String {
    let Some(stage) = case.state.stages.iter().find(|one| is_open(one) && one.opened_at.is_some())
    else {
        return String::new();
    };
    let waits = |one: &&ReviewerState| one.vote.is_none() && !one.released;
    let people: Vec<String> =
        stage.reviewers.iter().filter(waits).map(|one| clean_line(&one.reviewer)).collect();
    let deadline = match case.full_moment(stage.deadline.as_ref()) {
        deadline if deadline.is_empty() => deadline,
        deadline => format!(", until {deadline}"),
    };
    match &people[..] {
        [] => String::new(),
        [one] => format!("It waits for {one}{deadline}."),
        [others @ .., last] => {
            format!("It waits for {} and {last}{deadline}.", others.join(", "))
        }
    }
}

/// What the submitter can do.
fn can(case: Case<'_>) -> String {
    let acts = acts(case.answer, case.state, case.link);
    let said = match (acts.contains(&Act::Revise), acts.contains(&Act::Withdraw)) {
        (true, _) => {
            "You can revise it as long as no reviewer has decided, and withdraw it until the request is decided."
        }
        (false, true) if !can_be_revised(case.state.version()) => {
            "You can withdraw it until the request is decided. It was revised five times, the most that is \
             possible."
        }
        (false, true) => {
            "A reviewer has decided, so it can be revised only if changes are requested. You can withdraw it."
        }
        (false, false) => "",
    };
    said.to_owned()
}

/// While no worker runs, to the submitter.
pub(super) fn unattended(case: Case<'_>) -> String {
    let said = match case.answer {
        Answer::Accepted => {
            "It is stored safely, and takes effect when the service that processes requests is back, unless the \
             request has been decided by then. There is no need to press again."
        }
        _ => {
            "The service that processes requests is not running right now. You can still revise or withdraw your \
             request: that takes effect when the service is back, unless the request has been decided by then."
        }
    };
    let pressed = match (case.answer, case.act) {
        (Answer::Accepted, Some(act)) => format!("You pressed {}.", act.button()),
        _ => String::new(),
    };
    join([pressed, said.to_owned()])
}

/// Whether it is said to the submitter.
pub(super) fn is_to_submitter(case: Case<'_>) -> bool {
    is_submitters(case.state, case.link)
}

/// The version that is shown, where it is not the first one: who has revised it, when and why.
pub(crate) fn version_note(case: Case<'_>) -> String {
    let version = case.state.version();
    if version == FIRST_VERSION {
        return String::new();
    }
    let note = match case.state.earlier_versions.last() {
        // The text below the headline says who has revised it.
        Some(_) if case.answer == Answer::Revised => String::new(),
        Some(before) => revised_by(before, case),
        None => "What has changed cannot be shown right now; the request is shown as it is.".into(),
    };
    join([format!("Version {version}."), note])
}

fn revised_by(before: &EarlierVersion, case: Case<'_>) -> String {
    let who = match before.by.as_str() {
        names::BY_LINK if is_to_submitter(case) => "You",
        names::BY_LINK => "The submitter",
        _ => "An operator",
    };
    let revised = sentence(&format!("{who} revised it"), &case.moment(before.revised_at.as_ref()));
    let request = match &before.request {
        Some(vote) => format!("{} had requested changes.", clean_line(&vote.reviewer)),
        None => String::new(),
    };
    join([revised, request])
}

/// What the latest revision was asked for, as it was written; empty where [`version_note`] names nobody who asked.
pub(crate) fn revised_for(case: Case<'_>) -> String {
    let before = case.state.earlier_versions.last().filter(|_| case.answer != Answer::Revised);
    let asked = before.and_then(|before| before.request.as_ref());
    clean(asked.map_or("", |vote| vote.comment.trim()))
}

/// When it was revised, to whoever was asked before.
fn revised(case: Case<'_>) -> String {
    let before = case.state.earlier_versions.last();
    before.map(|before| revised_by(before, case)).unwrap_or_default()
}

fn resubmitted(case: Case<'_>) -> String {
    let revised = match case.act {
        Some(Act::Revise) => String::new(),
        Some(Act::Withdraw) => unchanged(case),
        None => revised(case),
    };
    join([revised, format!("It is now version {}.", case.state.version()), ASKED_AGAIN.to_owned()])
}

/// Why a press has to be confirmed, and what follows from it.
pub(super) fn unconfirmed(case: Case<'_>) -> String {
    let scanners =
        "Some mail scanners press buttons, so it counts only once you confirm it, within an hour.";
    let follows = match case.act {
        Some(Act::Revise) => "The request is then decided anew from its first stage.",
        Some(Act::Withdraw) => "The request then ends, and nobody can decide it any more.",
        None => "",
    };
    join([scanners.to_owned(), follows.to_owned()])
}

/// The headings of the form that asks for a confirmation.
pub(crate) fn confirming(act: Act) -> &'static str {
    match act {
        Act::Revise => "You are about to revise this",
        Act::Withdraw => "You are about to withdraw this",
    }
}

/// `nothing was revised`
pub(super) fn done(act: Act) -> &'static str {
    match act {
        Act::Revise => "revised",
        Act::Withdraw => "withdrawn",
    }
}

/// The submitter's form was not taken.
pub(crate) fn not_done(act: Act) -> &'static str {
    match act {
        Act::Revise => "Your revision was not recorded",
        Act::Withdraw => "Your withdrawal was not recorded",
    }
}

/// What is wrong with a form, at its head.
pub(crate) fn to_correct(mistakes: &[Mistake]) -> String {
    let whole: Vec<String> =
        mistakes.iter().filter(|it| it.place() == Place::Whole).map(mistake).collect();
    let fields = match mistakes.len() > whole.len() {
        true => CORRECT.to_owned(),
        false => String::new(),
    };
    join([whole.join(" "), fields])
}

/// What is wrong, at its field.
pub(crate) fn mistake(mistake: &Mistake) -> String {
    let said = match mistake {
        Mistake::ChangesNothing => "Nothing is changed: please change what was asked for.",
        Mistake::TitleMissing => "A title is required.",
        Mistake::AmountOfItems => AMOUNT_OF_ITEMS,
        Mistake::AmountMissing => "With a currency, an amount is required.",
        Mistake::CurrencyMissing => "With an amount, a currency is required, such as USD.",
        Mistake::LabelMissing(_) => "Please say what this is.",
        Mistake::ValueMissing(_) => "Please fill this in, or leave both empty.",
        Mistake::ReasonTooLong(chars) => return too_long("reason", *chars),
        Mistake::Refused(Place::Whole, why) => {
            return format!("It was not accepted: {}.", ended(why));
        }
        Mistake::Refused(_, why) => return format!("It {}.", ended(why)),
    };
    said.to_owned()
}

fn ended(why: &str) -> &str {
    why.trim_end_matches(['.', ' '])
}
