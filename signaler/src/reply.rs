//! From what a request came to, to the page or the JSON that says so.

use std::time::Duration;

use askama::Template;
use axum::{
    Json,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, RETRY_AFTER, VARY},
    },
    response::{Html, IntoResponse, Response},
};
use countersign_protos::{LinkHash, Verdict, v1::ApprovalState, words::clean_line};
use serde::Serialize;

use crate::{
    approvals::Unreadable,
    decision::NotDecided,
    judgement::{Answer, Reading, asked},
    limits::TooMany,
    sentences::{self, Case},
    views::{ApprovalPage, MessagePage, Site},
};

const RETRY_SOON: Duration = Duration::from_secs(5);

/// What a request came to.
pub(crate) enum Reply {
    /// An approval was found.
    Approval { answer: Answer, reading: Box<Reading>, link: LinkHash, choice: Option<Verdict> },
    /// There is no approval to show, and a comment to give back.
    Problem(Problem, String),
}

/// Why there is no approval to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is no such page.
    NotFound,
    /// This approval ID was never issued.
    NotIssued(String),
    /// It was issued once, and what it belonged to is gone.
    Gone,
    /// The form cannot be used: the field, and what is wrong with it.
    Field { field: &'static str, wrong: &'static str },
    /// A browser says that a page of another site sent the form.
    CrossSite,
    /// The body is no form.
    NotAForm,
    /// The body is too large.
    TooLarge,
    /// The body did not come, or not all of it.
    Incomplete,
    /// The page cannot be asked for that way.
    Method,
    /// Too many requests.
    TooMany(Duration),
    /// Temporal does not answer: nothing can be shown.
    Unavailable,
    /// Temporal did not take the decision.
    NothingRecorded,
    /// Temporal may or may not have taken the decision.
    Unknown,
    /// The outbox cannot be read.
    Unreadable,
}

/// How the client wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Html,
    Json,
}

impl Wants {
    /// JSON where the client accepts JSON and not HTML; browsers accept HTML.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accepts = |mime: &str| {
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
                value.split(',').any(|range| {
                    range.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(mime)
                })
            })
        };
        let json = accepts("application/json") && !accepts("text/html");
        if json { Wants::Json } else { Wants::Html }
    }
}

/// Where there was no comment.
impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Reply::Problem(problem, String::new())
    }
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Gone => Problem::Gone,
            Unreadable::Unavailable => Problem::Unavailable,
        }
    }
}

impl From<NotDecided> for Problem {
    fn from(not_decided: NotDecided) -> Self {
        match not_decided {
            NotDecided::Gone => Problem::Gone,
            NotDecided::NothingRecorded => Problem::NothingRecorded,
            NotDecided::Unknown => Problem::Unknown,
        }
    }
}

impl From<TooMany> for Problem {
    fn from(TooMany(wait): TooMany) -> Self {
        Problem::TooMany(wait)
    }
}

impl Reply {
    pub(crate) fn respond(self, site: &Site, wants: Wants) -> Response {
        let mut response = match &self {
            Reply::Approval { answer, reading, link, choice } => {
                let case = Case { answer: *answer, state: reading.state(), link: link.as_str() };
                let status = status_of(*answer);
                match wants {
                    Wants::Json => (status, Json(approval_json(case))).into_response(),
                    Wants::Html => page(status, &ApprovalPage::new(site, case, *choice)),
                }
            }
            Reply::Problem(problem, comment) => problem.respond(site, wants, comment),
        };
        response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
        response
    }
}

impl Problem {
    fn respond(&self, site: &Site, wants: Wants, comment: &str) -> Response {
        let (status, kind, headline, message) = self.words();
        let mut response = match wants {
            Wants::Json => {
                let field = match self {
                    Problem::Field { field, .. } => Some(*field),
                    // It was not read, so that nobody knows which part of it is so large.
                    Problem::TooLarge => Some("body"),
                    _ => None,
                };
                (status, Json(ProblemJson { answer: kind, message, field })).into_response()
            }
            Wants::Html => {
                let page_of = MessagePage {
                    site,
                    headline,
                    message,
                    comment,
                    ask_for_id: matches!(self, Problem::NotFound | Problem::NotIssued(_)),
                    typed: &match self {
                        Problem::NotIssued(id) => clean_line(id),
                        _ => String::new(),
                    },
                    again: matches!(
                        self,
                        Problem::Field { .. }
                            | Problem::CrossSite
                            | Problem::TooLarge
                            | Problem::Incomplete
                            | Problem::TooMany(_)
                            | Problem::Unavailable
                            | Problem::NothingRecorded
                            | Problem::Unknown
                    ),
                };
                page(status, &page_of)
            }
        };
        let wait = match self {
            Problem::TooMany(wait) => Some(*wait),
            Problem::Unavailable | Problem::NothingRecorded | Problem::Unknown => Some(RETRY_SOON),
            _ => None,
        };
        if let Some(wait) = wait {
            let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// Status, name for machines, headline, and what to do.
    fn words(&self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Problem::NotFound => (
                StatusCode::NOT_FOUND,
                "not_found",
                "There is no such page",
                "The link in your mail leads to your request. You can also type the approval ID \
                 from the mail.",
            ),
            Problem::NotIssued(_) => (
                StatusCode::NOT_FOUND,
                "not_issued",
                "This link does not work",
                "Its approval ID was not issued here. Perhaps a part of the link got lost: please \
                 open it from the mail, or type the ID that the mail gives.",
            ),
            Problem::Gone => (
                StatusCode::GONE,
                "gone",
                "This request is not there any more",
                "Its link was issued once, but no request can be found for it. Requests are \
                 removed some time after they have ended. If your mail has only just arrived, \
                 please try again in a minute.",
            ),
            Problem::Field { wrong, .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "Your decision could not be taken; nothing was recorded",
                wrong,
            ),
            Problem::CrossSite => (
                StatusCode::FORBIDDEN,
                "cross_site",
                "This decision was sent from another site",
                "A page of another site sent it, so it was not taken. Nothing was recorded. To \
                 decide, please open the request from your mail.",
            ),
            Problem::NotAForm => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "This is not a form",
                "A decision is sent as application/x-www-form-urlencoded, with the fields verdict \
                 and comment. Nothing was recorded.",
            ),
            Problem::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "What was sent is too large",
                "body: it may have 64 KiB in all, and a comment in it 2,000 characters. Nothing \
                 was recorded.",
            ),
            Problem::Incomplete => (
                StatusCode::REQUEST_TIMEOUT,
                "incomplete",
                "Please try again",
                "Your decision did not arrive completely. Nothing was recorded this time.",
            ),
            Problem::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "That cannot be done here",
                "This page can be opened, but not used in that way.",
            ),
            Problem::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "That was a little too often",
                "Please wait a moment, and try again. Nothing was recorded this time.",
            ),
            Problem::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Please try again in a moment",
                "The request cannot be shown right now, because the system behind this page does \
                 not answer. Nothing was changed.",
            ),
            Problem::NothingRecorded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "nothing_recorded",
                "Please try again in a moment",
                "Nothing was recorded this time, because the system behind this page does not \
                 answer. Unless you have decided before, your decision is still needed.",
            ),
            Problem::Unknown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unknown",
                "We do not know whether your decision was recorded",
                "The system behind this page did not answer in time. Please open the request again, and press the \
                 same button if it still asks you: pressing again is safe, one decision counts \
                 once.",
            ),
            Problem::Unreadable => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "unreadable",
                "The outbox cannot be read",
                "The log of this service says why.",
            ),
        }
    }
}

#[derive(Serialize)]
struct ProblemJson {
    answer: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

#[derive(Serialize)]
struct ApprovalJson {
    answer: &'static str,
    message: String,
    status: &'static str,
    reviewer: Option<String>,
    approval: ApprovalState,
}

/// Links are their reviewers', and what went wrong with mails and signals is the operator's.
fn approval_json(case: Case<'_>) -> ApprovalJson {
    let mut approval = case.state.clone();
    approval.announcement_error.clear();
    approval.webhook_error.clear();
    approval.ignored_because.clear();
    if !approval.handing_on.is_empty() {
        approval.handing_on = sentences::HANDING_ON.to_owned();
    }
    for reviewer in approval.stages.iter_mut().flat_map(|stage| &mut stage.reviewers) {
        reviewer.link.clear();
        reviewer.delivery_error.clear();
        if let Some(vote) = &mut reviewer.vote {
            vote.link.clear();
        }
    }
    ApprovalJson {
        answer: name_of(case.answer),
        message: format!("{}. {}", sentences::headline(case), sentences::explanation(case)),
        status: case.state.status().as_str_name(),
        reviewer: asked(case.state, case.link).map(|(_, asked)| asked.reviewer.clone()),
        approval,
    }
}

fn status_of(answer: Answer) -> StatusCode {
    match answer {
        Answer::Open
        | Answer::Unattended
        | Answer::Voted
        | Answer::StageOver
        | Answer::Decided
        | Answer::Recorded
        | Answer::AlreadyRecorded => StatusCode::OK,
        Answer::Accepted => StatusCode::ACCEPTED,
        Answer::OtherVerdict | Answer::TooLate => StatusCode::CONFLICT,
        Answer::Expired | Answer::Withdrawn | Answer::Ended(_) | Answer::Superseded => {
            StatusCode::GONE
        }
    }
}

fn name_of(answer: Answer) -> &'static str {
    match answer {
        Answer::Open => "open",
        Answer::Unattended => "unattended",
        Answer::Voted => "voted",
        Answer::StageOver => "stage_over",
        Answer::Decided => "decided",
        Answer::Expired => "expired",
        Answer::Withdrawn => "withdrawn",
        Answer::Ended(_) => "ended",
        Answer::Superseded => "superseded",
        Answer::Recorded => "recorded",
        Answer::AlreadyRecorded => "already_recorded",
        Answer::OtherVerdict => "other_verdict",
        Answer::TooLate => "too_late",
        Answer::Accepted => "accepted",
    }
}

/// A page; what the template itself could fail at is writing to a string.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests;
