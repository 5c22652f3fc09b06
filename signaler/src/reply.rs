//! Turns the result of a request into a page or JSON.

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
use countersign_protos::{LinkHash, Verdict};

use crate::{
    answer::{Answer, Reading},
    disclosure::disclosed,
    json::{ApprovalJson, ProblemJson},
    problem::Problem,
    views::{ApprovalPage, ConfirmPage, MessagePage, Site},
    wording::Case,
};

const RETRY_SOON: Duration = Duration::from_secs(5);
const RETRY_AFTER_UPGRADE: Duration = Duration::from_secs(60);

pub(crate) enum Reply {
    Approval {
        answer: Answer,
        reading: Box<Reading>,
        link: LinkHash,
        choice: Option<Verdict>,
    },
    /// A decision that has to be confirmed.
    Unconfirmed {
        pressed: Pressed,
        reading: Box<Reading>,
        link: LinkHash,
    },
    /// With the comment that was sent, so that its author can copy it.
    Problem(Problem, String),
}

/// A decision that was not sent, and what confirms it.
pub(crate) struct Pressed {
    pub(crate) verdict: Verdict,
    pub(crate) comment: String,
    pub(crate) nonce: String,
}

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    Html,
    Json,
}

impl Accept {
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
        if json { Accept::Json } else { Accept::Html }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Reply::Problem(problem, String::new())
    }
}

impl Reply {
    /// Its name in JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Reply::Approval { answer, .. } => answer_status(*answer).1,
            Reply::Unconfirmed { .. } => answer_status(Answer::Unconfirmed).1,
            Reply::Problem(problem, _) => problem_status(problem).1,
        }
    }

    pub(crate) fn respond(self, site: &Site, accept: Accept) -> Response {
        let mut response = match &self {
            Reply::Approval { answer, reading, link, choice } => {
                let state = &disclosed(*answer, reading.state(), link);
                let case = Case { answer: *answer, state, link };
                let (status, name) = answer_status(*answer);
                match accept {
                    Accept::Json => (status, Json(ApprovalJson::new(case, name))).into_response(),
                    Accept::Html => page(status, &ApprovalPage::new(site, case, *choice)),
                }
            }
            Reply::Unconfirmed { pressed, reading, link } => {
                let case = Case { answer: Answer::Unconfirmed, state: reading.state(), link };
                let (status, name) = answer_status(Answer::Unconfirmed);
                match accept {
                    Accept::Json => {
                        let json = ApprovalJson::new(case, name).with_nonce(&pressed.nonce);
                        (status, Json(json)).into_response()
                    }
                    // To a browser, it is the next page.
                    Accept::Html => {
                        let Pressed { verdict, comment, nonce } = pressed;
                        let confirm = ConfirmPage::new(site, case, *verdict, comment, nonce);
                        page(StatusCode::OK, &confirm)
                    }
                }
            }
            Reply::Problem(problem, comment) => respond_problem(problem, comment, site, accept),
        };
        response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
        response
    }
}

fn respond_problem(problem: &Problem, comment: &str, site: &Site, accept: Accept) -> Response {
    let (status, name) = problem_status(problem);
    let mut response = match accept {
        Accept::Json => (status, Json(ProblemJson::new(problem, name))).into_response(),
        Accept::Html => page(status, &MessagePage::new(site, problem, comment)),
    };
    let wait = match problem {
        Problem::TooMany(wait) => Some(*wait),
        Problem::Newer => Some(RETRY_AFTER_UPGRADE),
        Problem::Unavailable | Problem::NothingRecorded | Problem::Unknown => Some(RETRY_SOON),
        _ => None,
    };
    if let Some(wait) = wait {
        let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The status code, and the name in JSON.
pub(crate) fn problem_status(problem: &Problem) -> (StatusCode, &'static str) {
    match problem {
        Problem::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Problem::NotIssued(_) => (StatusCode::NOT_FOUND, "not_issued"),
        Problem::Gone => (StatusCode::GONE, "gone"),
        Problem::Newer => (StatusCode::SERVICE_UNAVAILABLE, "newer"),
        Problem::InvalidVerdict | Problem::CommentTooLong => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
        }
        Problem::CrossSite => (StatusCode::FORBIDDEN, "cross_site"),
        Problem::NotAForm => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        Problem::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Problem::Incomplete => (StatusCode::REQUEST_TIMEOUT, "incomplete"),
        Problem::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Problem::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
        Problem::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Problem::NothingRecorded => (StatusCode::SERVICE_UNAVAILABLE, "nothing_recorded"),
        Problem::Unknown => (StatusCode::SERVICE_UNAVAILABLE, "unknown"),
        Problem::OutboxUnreadable => (StatusCode::INTERNAL_SERVER_ERROR, "unreadable"),
        Problem::NotLocal => (StatusCode::FORBIDDEN, "not_local"),
    }
}

/// The status code, and the name in JSON.
pub(crate) fn answer_status(answer: Answer) -> (StatusCode, &'static str) {
    match answer {
        Answer::Open => (StatusCode::OK, "open"),
        Answer::NoWorker => (StatusCode::OK, "unattended"),
        Answer::Voted => (StatusCode::OK, "voted"),
        Answer::StageOver => (StatusCode::OK, "stage_over"),
        Answer::Decided => (StatusCode::OK, "decided"),
        Answer::Expired => (StatusCode::GONE, "expired"),
        Answer::Withdrawn => (StatusCode::GONE, "withdrawn"),
        Answer::Ended(_) => (StatusCode::GONE, "ended"),
        Answer::Superseded => (StatusCode::GONE, "superseded"),
        // RFC 6585, 3: the request has to carry what the answer gives.
        Answer::Unconfirmed => (StatusCode::PRECONDITION_REQUIRED, "unconfirmed"),
        Answer::Recorded => (StatusCode::OK, "recorded"),
        Answer::AlreadyRecorded => (StatusCode::OK, "already_recorded"),
        Answer::OtherVerdict => (StatusCode::CONFLICT, "other_verdict"),
        Answer::TooLate => (StatusCode::CONFLICT, "too_late"),
        Answer::Accepted => (StatusCode::ACCEPTED, "accepted"),
        Answer::Sealing => (StatusCode::ACCEPTED, "sealing"),
    }
}

/// Rendering fails only where writing to a string does.
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
