//! What is said where a request is answered without an approval, or a form is refused.

use countersign_protos::{Verdict, names::COMMENT_MAX_CHARS, text};

use super::{WRONG_ANSWERS, delegated};
use crate::problem::Problem;

pub(crate) const NOT_RECORDED: &str = "Your decision was not recorded";
/// Said of the last possible version: of its form, and where changes are requested nonetheless.
pub(crate) const LAST_VERSION: &str =
    "It was revised five times, the most that is possible: approve or reject it.";
const TRY_AGAIN: &str = "Please try again in a moment";
const UPGRADING: &str = "The request was made by a newer version than this page knows yet. Please open it \
    again in a few minutes. Nothing was recorded this time.";
const PRESS_AGAIN: &str = "The system behind this page did not answer in time. Please open the request \
    again, and press the same button if it is still there: pressing again is safe, what is pressed twice counts \
    once.";

const NOT_SHOWN: &str = "What came of your press cannot be shown right now. Please reload this page in a \
    moment: it then says what is recorded. There is no need to press again.";

pub(super) fn comment_missing(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "To approve, a comment is required: please write one, and press again.",
        Verdict::Reject => "To reject, a comment is required: please write one, and press again.",
        Verdict::RequestChanges => {
            "To request changes, please say which in a comment, and press again."
        }
    }
}

/// At the head of a page whose fields say what is wrong with them.
pub(crate) const CORRECT: &str = "Please correct what is marked below, and press again.";

/// What is wrong with a form, at the head of its page: what a field says is not said twice.
pub(crate) fn at_head(problem: &Problem) -> String {
    match problem {
        Problem::CommentTooLong | Problem::CommentMissing(_) => CORRECT.to_owned(),
        Problem::WrongAnswers(wrong) => {
            let (marked, others): (Vec<_>, Vec<_>) =
                wrong.iter().partition(|(name, _)| !name.is_empty());
            let others = others.into_iter().map(|(_, said)| said.as_str());
            let said: Vec<&str> = others.chain((!marked.is_empty()).then_some(CORRECT)).collect();
            said.join(" ")
        }
        problem => self::problem(problem).1.to_owned(),
    }
}

/// What is wrong with a form, to whoever has filled it in.
pub(crate) fn refusal(problem: &Problem, comment: &str) -> String {
    match problem {
        Problem::CommentTooLong => too_long("comment", comment.chars().count()),
        Problem::WrongAnswers(wrong) => {
            let said: Vec<&str> = wrong.iter().map(|(_, said)| said.as_str()).collect();
            said.join(" ")
        }
        problem => self::problem(problem).1.to_owned(),
    }
}

pub(super) fn too_long(what: &str, chars: usize) -> String {
    let [chars, most] = [chars, COMMENT_MAX_CHARS].map(|chars| text::money(&chars.to_string(), ""));
    format!("Your {what} has {chars} characters; at most {most} fit. Please shorten it.")
}

const ONE_OF_THEM: &str = "What was sent names no decision, or more than one. Please press one of the buttons on \
    the request's page.";
const NOT_LOCAL: &str = "Whoever sees its mails can decide for every reviewer, so it is shown only in a \
    browser on the machine that runs Countersign.";

const MISTYPED: &str = "The link in your mail opens your request. You can also type the approval ID from the \
    mail.";
const INCOMPLETE: &str = "Its approval ID was not issued here. Part of the link may be missing: please open it \
    from the mail, or type the approval ID from the mail.";
const GONE: &str = "Its link was issued once, but no request can be found for it. Requests are removed some time \
    after they have ended. If your mail has only just arrived, please try again in a minute.";

/// A problem's headline, and what it means or what to do. Where any form may have been sent, it names none: whoever
/// revises or withdraws has no decision.
pub(crate) fn problem(problem: &Problem) -> (&'static str, &'static str) {
    match problem {
        Problem::NotFound(_) => ("Page not found", MISTYPED),
        Problem::NotIssued(_) => ("This link does not work", INCOMPLETE),
        Problem::Gone => ("This request no longer exists", GONE),
        Problem::Newer => ("This page is being upgraded", UPGRADING),
        Problem::InvalidVerdict => (NOT_RECORDED, ONE_OF_THEM),
        Problem::CommentTooLong => {
            (NOT_RECORDED, "The comment is longer than 2,000 characters. Please shorten it.")
        }
        Problem::CommentMissing(verdict) => (NOT_RECORDED, comment_missing(*verdict)),
        Problem::InvalidAct
        | Problem::NotTheSubmitter
        | Problem::SubmitterDecides
        | Problem::NotRevisable
        | Problem::NoMoreChanges
        | Problem::InvalidRevision(_)
        | Problem::Mistaken(_) => of_versions(problem),
        Problem::WrongAnswers(_) => (NOT_RECORDED, WRONG_ANSWERS),
        Problem::NotDelegated(_) => delegated::NOTHING_CHANGED,
        Problem::CrossSite => (
            "This was sent from another site",
            "A page of another site sent it, so it was not accepted. Nothing was recorded. To \
             go on, please open the request from your mail.",
        ),
        Problem::NotAForm => (
            "This is not a form",
            "This page takes only what its own forms send. Nothing was recorded. To go on, \
             please open the request from your mail.",
        ),
        Problem::BodyTooLarge => (
            "Too much text",
            "What was sent is larger than 128 KiB, or than 768 KiB where it revises; a comment can have \
             2,000 characters, and so can an answer. Nothing was recorded.",
        ),
        Problem::Incomplete => (
            "Please try again",
            "What you sent did not arrive completely. Nothing was recorded this time.",
        ),
        Problem::MethodNotAllowed => {
            ("Method not allowed", "This page can be opened, but does not accept this request.")
        }
        Problem::TooMany(_) => (
            "Too many requests",
            "Please wait a moment, and try again. Nothing was recorded this time.",
        ),
        Problem::Unavailable => (
            TRY_AGAIN,
            "The request cannot be shown right now, because the system behind this page is not \
             answering. Nothing was changed.",
        ),
        Problem::NothingRecorded => (
            TRY_AGAIN,
            "Nothing was recorded this time, because the system behind this page is not answering. \
             Unless you did it before, it is still to be done.",
        ),
        Problem::Unknown => ("We do not know whether this was recorded", PRESS_AGAIN),
        Problem::AfterPress(_) => (TRY_AGAIN, NOT_SHOWN),
        Problem::OutboxUnreadable => ("The outbox cannot be read", "The log says why."),
        Problem::NotLocal => ("The outbox is not shown here", NOT_LOCAL),
    }
}

/// Problems of the submitter's forms and of the third button: a headline, and what it means.
fn of_versions(problem: &Problem) -> (&'static str, &'static str) {
    match problem {
        Problem::NotTheSubmitter => (
            "This link cannot revise or withdraw",
            "Only the submitter's own link can revise or withdraw the request. Nothing was recorded.",
        ),
        Problem::SubmitterDecides => (
            "This link cannot decide",
            "It is the submitter's: it can revise or withdraw the request. Nothing was recorded.",
        ),
        Problem::NotRevisable => (
            "This was not recorded",
            "A request can be revised as long as no reviewer has decided, or if changes are requested, and five times \
             at most; it can be withdrawn until it is decided. Please open it again: the page says what you can do.",
        ),
        Problem::NoMoreChanges => (NOT_RECORDED, LAST_VERSION),
        _ => (
            "Your revision was not recorded",
            "Something in it has to be corrected. Please open the request again.",
        ),
    }
}
