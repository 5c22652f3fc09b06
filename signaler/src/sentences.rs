//! Every sentence that a reviewer reads about an approval.

use countersign_protos::{
    Verdict,
    v1::{ApprovalState, ReviewerState, StageState, Status, Vote},
    words,
};

use crate::judgement::{Answer, Ending, asked, own_vote, pending};

/// One answer about one approval, to the reviewer behind one link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    /// What the request came to.
    pub(crate) answer: Answer,
    /// What is known of the approval.
    pub(crate) state: &'a ApprovalState,
    /// The hash of the reviewer's approval ID.
    pub(crate) link: &'a str,
}

/// The page's first line.
pub(crate) fn headline(case: Case<'_>) -> String {
    let own = own_vote(case.state, case.link);
    match case.answer {
        Answer::Open => "Your decision is needed".to_owned(),
        // Perhaps they have decided already: nobody is there to say so.
        Answer::Unattended => "You were asked to decide".to_owned(),
        Answer::Voted | Answer::StageOver if own.is_some() => {
            format!("You {} this", past(own))
        }
        Answer::Voted | Answer::StageOver => match own_stage(case) {
            Some(stage) => format!("Stage {}", outcome_word(stage.status()).to_lowercase()),
            None => "This stage is over".to_owned(),
        },
        Answer::Decided => outcome_word(case.state.status()).to_owned(),
        Answer::Expired => "This request has expired".to_owned(),
        Answer::Withdrawn => "This request was withdrawn".to_owned(),
        Answer::Ended(_) => "This request ended without a decision".to_owned(),
        Answer::Superseded => "This link is no longer in use".to_owned(),
        Answer::Recorded => format!("Recorded: you {}", past(own)),
        Answer::AlreadyRecorded => {
            format!("Already recorded: you {}", past(own))
        }
        Answer::OtherVerdict => format!("You had already {} this", past(own)),
        Answer::TooLate => "Already decided".to_owned(),
        Answer::Accepted => "Your decision is recorded".to_owned(),
    }
}

/// What that means, in a sentence or two.
pub(crate) fn explanation(case: Case<'_>) -> String {
    let own = own_vote(case.state, case.link);
    match case.answer {
        Answer::Open => match own_stage(case) {
            Some(stage) => asked_in(stage),
            None => String::new(),
        },
        Answer::Unattended => {
            "The service that counts decisions is not running right now. You can \
            decide all the same: it takes effect when the service is back. If you have decided \
            already, there is nothing more to do."
                .to_owned()
        }
        Answer::Voted | Answer::StageOver | Answer::Decided => whereabouts(case),
        Answer::Expired => when_over(case, "The deadline passed before it was decided"),
        Answer::Withdrawn => when_over(case, "It was called off before it was decided"),
        Answer::Ended(ending) => ended(ending).to_owned(),
        Answer::Superseded => {
            "The request goes on, but others were asked in your place, or you got a \
            newer mail with other links. There is nothing to do here."
                .to_owned()
        }
        Answer::Recorded => whereabouts(case),
        Answer::AlreadyRecorded => {
            let when = own.map(|vote| words::moment(vote.decided_at.as_ref())).unwrap_or_default();
            join([sentence("Your decision counted", &when), whereabouts(case)])
        }
        Answer::OtherVerdict => {
            let when = own.map(|vote| words::moment(vote.decided_at.as_ref())).unwrap_or_default();
            join([
                sentence("Your first decision stands; it was recorded", &when),
                "Nothing was changed just now.".to_owned(),
                whereabouts(case),
            ])
        }
        Answer::TooLate => join([
            "It was decided before you pressed the button; nothing was changed just now."
                .to_owned(),
            whereabouts(case),
        ]),
        Answer::Accepted => "It is stored safely. It takes effect when the service that counts \
            decisions is back, unless you or others have decided already; this page will then \
            show what became of it. There is no need to press again."
            .to_owned(),
    }
}

/// How many have to agree, for people who are asked.
pub(crate) fn quorum(stage: &StageState) -> String {
    let asked = counted(stage);
    match stage.quorum.as_str() {
        "all" if asked > 1 => format!("All {asked} reviewers have to approve."),
        "any" | "" if asked > 1 => {
            format!("{asked} reviewers are asked; the first decision counts.")
        }
        number if asked > 1 && number.parse::<usize>().is_ok() => {
            format!("{number} of {asked} reviewers have to approve.")
        }
        _ => String::new(),
    }
}

/// What happens at a stage's deadline.
pub(crate) fn at_deadline(stage: &StageState) -> &'static str {
    match stage.on_deadline.as_str() {
        "escalate" => "If it is not decided by then, others are asked.",
        "approve" => {
            "If it is not decided by then, it counts as approved unless somebody has rejected it."
        }
        "reject" => "If it is not decided by then, it counts as rejected.",
        _ => "If it is not decided by then, the request expires.",
    }
}

/// A status, as a heading.
pub(crate) fn outcome_word(status: Status) -> &'static str {
    match status {
        Status::Pending | Status::Unspecified => "Waiting",
        Status::Approved => "Approved",
        Status::Rejected => "Rejected",
        Status::Expired => "Expired",
        Status::Withdrawn => "Withdrawn",
    }
}

/// What a reviewer did.
pub(crate) fn past(vote: Option<&Vote>) -> &'static str {
    vote.and_then(|vote| vote.verdict().known()).map_or("decided", Verdict::past)
}

/// How many reviewers a stage's quorum is about: whoever was released without a vote is not.
fn counted(stage: &StageState) -> usize {
    let counts = |asked: &&ReviewerState| asked.vote.is_some() || !asked.released;
    stage.reviewers.iter().filter(counts).count()
}

fn own_stage(case: Case<'_>) -> Option<&StageState> {
    asked(case.state, case.link).map(|(stage, _)| stage)
}

fn asked_in(stage: &StageState) -> String {
    let deadline = words::moment(stage.deadline.as_ref());
    if deadline.is_empty() {
        return quorum(stage);
    }
    join([format!("Please decide by {deadline}."), at_deadline(stage).to_owned(), quorum(stage)])
}

/// What is said while the outcome is not where it has to go. Who has to take it is the operator's.
pub(crate) const HANDING_ON: &str = "Decided; handing the outcome on.";

fn handing_on(case: Case<'_>) -> String {
    match case.state.handing_on.as_str() {
        "" => String::new(),
        _ => HANDING_ON.to_owned(),
    }
}

/// Where the approval stands now, whoever decided what.
fn whereabouts(case: Case<'_>) -> String {
    let status = case.state.status();
    if !pending(status) {
        let when = words::moment(case.state.decided_at.as_ref());
        let word = outcome_word(status).to_uppercase();
        let now = match case.answer {
            Answer::Recorded => format!("The request is now {word}."),
            _ => sentence(&format!("The request was {word}"), &when),
        };
        return join([now, case.state.reason.clone(), handing_on(case)]);
    }
    match own_stage(case) {
        Some(stage) if pending(stage.status()) => waits(stage),
        Some(stage) => {
            let next = case.state.stages.iter().find(|stage| pending(stage.status()));
            let over = format!("This stage is {}.", outcome_word(stage.status()).to_lowercase());
            let goes_on = match next {
                Some(next) if !next.name.is_empty() => {
                    format!("The request goes on to the stage “{}”.", next.name)
                }
                _ => "The request goes on.".to_owned(),
            };
            join([over, goes_on])
        }
        None => "The request is not decided yet.".to_owned(),
    }
}

fn waits(stage: &StageState) -> String {
    let needed = match stage.quorum.as_str() {
        "all" => counted(stage),
        number => number.parse().unwrap_or(1),
    };
    let approved = stage
        .reviewers
        .iter()
        .filter_map(|reviewer| reviewer.vote.as_ref())
        .filter(|vote| vote.verdict().known() == Some(Verdict::Approve))
        .count();
    format!("The stage still waits for others: {approved} of {needed} approvals so far.")
}

fn when_over(case: Case<'_>, what: &str) -> String {
    let when = words::moment(case.state.decided_at.as_ref());
    let reason = case.state.reason.clone();
    if reason.is_empty() {
        return join([sentence(what, &when), handing_on(case)]);
    }
    let ended = match when.is_empty() {
        true => String::new(),
        false => format!("It ended on {when}."),
    };
    join([reason, ended, handing_on(case)])
}

fn ended(ending: Ending) -> &'static str {
    match ending {
        Ending::Failed => "The process behind it failed. Whoever runs it can say why.",
        Ending::Terminated => {
            "Somebody stopped the process behind it. Whoever runs it can say why."
        }
        Ending::TimedOut => "The process behind it ran out of time. Whoever runs it can say why.",
        Ending::Unreadable => {
            "The process behind it is over, and its outcome cannot be read. Whoever runs it can say why."
        }
    }
}

fn sentence(what: &str, when: &str) -> String {
    if when.is_empty() { format!("{what}.") } else { format!("{what} on {when}.") }
}

fn join<const N: usize>(sentences: [String; N]) -> String {
    let said: Vec<String> = sentences.into_iter().filter(|one| !one.is_empty()).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_may_pass_although_some_have_decided() {
        for on_deadline in ["escalate", "approve", "reject", "expire", ""] {
            let stage = StageState { on_deadline: on_deadline.into(), ..StageState::default() };
            let said = at_deadline(&stage);
            assert!(said.starts_with("If it is not decided by then, "), "{said}");
        }
    }

    #[test]
    fn who_was_released_without_a_vote_does_not_count() {
        let approved = Vote { verdict: Verdict::Approve.into(), ..Vote::default() };
        let asked = |vote: bool, released| ReviewerState {
            vote: vote.then(|| approved.clone()),
            released,
            ..ReviewerState::default()
        };
        let reviewers =
            vec![asked(true, true), asked(false, true), asked(false, false), asked(false, false)];
        let of = |quorum: &str| StageState {
            quorum: quorum.into(),
            reviewers: reviewers.clone(),
            ..StageState::default()
        };
        assert_eq!(quorum(&of("all")), "All 3 reviewers have to approve.");
        assert_eq!(quorum(&of("any")), "3 reviewers are asked; the first decision counts.");
        assert_eq!(quorum(&of("2")), "2 of 3 reviewers have to approve.");
        assert!(waits(&of("all")).contains("1 of 3 approvals"), "{}", waits(&of("all")));
    }
}
