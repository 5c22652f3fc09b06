//! Turns the result of a request into a page or JSON.

use std::time::Duration;

use askama::Template;
use axum::{
    Json,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, RETRY_AFTER, VARY},
    },
    response::{Html, IntoResponse, Redirect, Response},
};
use countersign_protos::{Act, LinkHash, Verdict};

use crate::{
    answer::{Answer, Reading, on_view},
    delegation_form::{Delegating, NotDelegated},
    disclosure::{Disclosed, disclosed},
    form::{Filled, Unconfirmed},
    json::{ApprovalJson, ProblemJson},
    problem::Problem,
    revision::Wish,
    views::{ApprovalPage, ConfirmActPage, ConfirmPage, MessagePage, Site},
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
        /// See [`Case`].
        pressed: Option<Verdict>,
    },
    /// An answer to a press. A browser is sent on to a page of its own, so that it can go back and reload without
    /// sending the form again; the receipt says there what was pressed.
    Decided {
        answer: Answer,
        reading: Box<Reading>,
        link: LinkHash,
        verdict: Verdict,
        receipt: String,
    },
    /// A decision that has to be confirmed.
    Unconfirmed { pressed: Unconfirmed, reading: Box<Reading>, link: LinkHash },
    /// A form that is refused where the approval can be shown, to be corrected.
    Refused { problem: Problem, filled: Filled, reading: Box<Reading>, link: LinkHash },
    /// To something that the submitter does by their link.
    OfSubmitter { said: Said, reading: Box<Reading>, link: LinkHash },
    /// An answer to a delegation to this colleague. A browser is sent on, too.
    Delegated { answer: Answer, reading: Box<Reading>, link: LinkHash, to: String },
    /// A delegation that is refused where the approval can be shown, to be corrected.
    NotDelegated { why: NotDelegated, filled: Delegating, reading: Box<Reading>, link: LinkHash },
    /// With what was filled in, so that its author can copy it.
    Problem(Problem, Filled),
}

/// An answer to the submitter.
pub(crate) enum Said {
    /// On the page to which a browser is sent on.
    After { answer: Answer, act: Act },
    /// To the press itself, with the receipt for that page.
    Done { answer: Answer, act: Act, receipt: String },
    /// It has to be confirmed by this nonce.
    Unconfirmed { wish: Wish, nonce: String },
    /// Their form is refused, to be corrected.
    Refused { problem: Problem, wish: Wish },
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
        Reply::Problem(problem, Filled::default())
    }
}

impl Reply {
    /// Its name in JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Reply::Approval { answer, .. }
            | Reply::Decided { answer, .. }
            | Reply::Delegated { answer, .. } => answer_status(*answer).1,
            Reply::NotDelegated { why, .. } => {
                problem_status(&Problem::NotDelegated(why.clone())).1
            }
            Reply::Refused { problem, .. } => problem_status(problem).1,
            Reply::Unconfirmed { .. } => answer_status(Answer::Unconfirmed).1,
            Reply::OfSubmitter { said, .. } => said.name(),
            Reply::Problem(problem, _) => problem_status(problem).1,
        }
    }

    pub(crate) fn respond(self, site: &Site, accept: Accept) -> Response {
        let mut response = match &self {
            Reply::Approval { answer, reading, link, choice, pressed } => {
                let case = About { pressed: *pressed, ..About::of(*answer) };
                respond_approval(case, reading, link, *choice, site, accept)
            }
            Reply::Decided { answer, receipt, .. }
                if accept == Accept::Html && is_told(*answer) =>
            {
                sent_on(receipt)
            }
            Reply::Decided { answer, reading, link, verdict, .. } => {
                let case = About { pressed: Some(*verdict), ..About::of(*answer) };
                respond_approval(case, reading, link, None, site, accept)
            }
            // The page says what its reader has signed, so that no receipt has to.
            Reply::Delegated { answer, .. } if accept == Accept::Html && is_told(*answer) => {
                sent_on("delegate")
            }
            // No state has it yet.
            Reply::Delegated { answer: Answer::DelegationStored, reading, link, to }
                if accept == Accept::Html =>
            {
                let (status, _) = answer_status(Answer::DelegationStored);
                About::of(Answer::DelegationStored).show(reading, link, |case| {
                    page(status, &ApprovalPage::delegation_stored(site, case, to))
                })
            }
            Reply::Delegated { answer, reading, link, .. } => {
                respond_approval(About::of(*answer), reading, link, None, site, accept)
            }
            Reply::NotDelegated { why, filled, reading, link } if accept == Accept::Html => {
                let (status, _) = problem_status(&Problem::NotDelegated(why.clone()));
                About::of(on_view(reading, link)).show(reading, link, |case| {
                    page(status, &ApprovalPage::not_delegated(site, case, why, filled))
                })
            }
            Reply::NotDelegated { why, filled, .. } => {
                let problem = Problem::NotDelegated(why.clone());
                let written = Filled { comment: filled.reason.clone(), ..Filled::default() };
                respond_problem(&problem, &written, site, accept)
            }
            Reply::Refused { problem, filled, reading, link } if accept == Accept::Html => {
                let (status, _) = problem_status(problem);
                About::of(on_view(reading, link)).show(reading, link, |case| {
                    page(status, &ApprovalPage::refused(site, case, problem, filled))
                })
            }
            Reply::Refused { problem, filled, .. } => {
                respond_problem(problem, filled, site, accept)
            }
            Reply::Unconfirmed { pressed, reading, link } => {
                let verdict = Some(pressed.verdict);
                let about = About { pressed: verdict, ..About::of(Answer::Unconfirmed) };
                about.show(reading, link, |case| match accept {
                    Accept::Json => to_confirm(case, &pressed.nonce),
                    // To a browser, it is the next page.
                    Accept::Html => page(StatusCode::OK, &ConfirmPage::new(site, case, pressed)),
                })
            }
            Reply::OfSubmitter { said, reading, link } => {
                said.respond((reading, link), site, accept)
            }
            Reply::Problem(problem, filled) => respond_problem(problem, filled, site, accept),
        };
        response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
        response
    }
}

impl Said {
    fn name(&self) -> &'static str {
        match self {
            Said::After { answer, .. } | Said::Done { answer, .. } => answer_status(*answer).1,
            Said::Unconfirmed { .. } => answer_status(Answer::Unconfirmed).1,
            Said::Refused { problem, .. } => problem_status(problem).1,
        }
    }

    fn respond(
        &self,
        (reading, link): (&Reading, &LinkHash),
        site: &Site,
        accept: Accept,
    ) -> Response {
        match self {
            Said::Done { answer, receipt, .. } if accept == Accept::Html && is_told(*answer) => {
                sent_on(receipt)
            }
            Said::After { answer, act } | Said::Done { answer, act, .. } => {
                let about = About { act: Some(*act), ..About::of(*answer) };
                respond_approval(about, reading, link, None, site, accept)
            }
            Said::Unconfirmed { wish, nonce } => {
                let about = About { act: Some(wish.act()), ..About::of(Answer::Unconfirmed) };
                about.show(reading, link, |case| match accept {
                    Accept::Json => to_confirm(case, nonce),
                    Accept::Html => {
                        page(StatusCode::OK, &ConfirmActPage::new(site, case, wish, nonce))
                    }
                })
            }
            Said::Refused { problem, wish } if accept == Accept::Html => {
                let (status, _) = problem_status(problem);
                About::of(on_view(reading, link)).show(reading, link, |case| {
                    page(status, &ApprovalPage::unrevised(site, case, problem, wish))
                })
            }
            Said::Refused { problem, .. } => {
                respond_problem(problem, &Filled::default(), site, accept)
            }
        }
    }
}

/// What is said of an approval, besides what is known of it.
struct About {
    answer: Answer,
    pressed: Option<Verdict>,
    act: Option<Act>,
}

impl About {
    fn of(answer: Answer) -> Self {
        Self { answer, pressed: None, act: None }
    }

    /// With as much of it as the link still shows.
    fn show(
        self,
        reading: &Reading,
        link: &LinkHash,
        show: impl FnOnce(Case<'_>) -> Response,
    ) -> Response {
        let Self { answer, pressed, act } = self;
        let Disclosed { state, changes } = &disclosed(answer, reading.state(), link);
        show(Case { answer, state, link, changes, pressed, act })
    }
}

/// Relative, since a proxy may have taken away part of the path.
fn sent_on(receipt: &str) -> Response {
    Redirect::to(&format!("?pressed={receipt}")).into_response()
}

fn to_confirm(case: Case<'_>, nonce: &str) -> Response {
    let (status, name) = answer_status(case.answer);
    (status, Json(ApprovalJson::new(case, name).with_nonce(nonce))).into_response()
}

fn respond_approval(
    about: About,
    reading: &Reading,
    link: &LinkHash,
    choice: Option<Verdict>,
    site: &Site,
    accept: Accept,
) -> Response {
    let (status, name) = answer_status(about.answer);
    about.show(reading, link, |case| match accept {
        Accept::Json => (status, Json(ApprovalJson::new(case, name))).into_response(),
        Accept::Html => page(status, &ApprovalPage::new(site, case, choice)),
    })
}

/// Whether the workflow has said what became of a press, so that another page can tell it.
fn is_told(answer: Answer) -> bool {
    let (status, _) = answer_status(answer);
    matches!(status, StatusCode::OK | StatusCode::CONFLICT | StatusCode::GONE)
}

fn respond_problem(problem: &Problem, filled: &Filled, site: &Site, accept: Accept) -> Response {
    let (status, name) = problem_status(problem);
    let mut response = match accept {
        Accept::Json => (status, Json(ProblemJson::new(problem, name))).into_response(),
        Accept::Html => page(status, &MessagePage::new(site, problem, filled)),
    };
    let reason = if let Problem::AfterPress(reason) = problem { reason } else { problem };
    let wait = match reason {
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
        Problem::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
        Problem::NotIssued(_) => (StatusCode::NOT_FOUND, "not_issued"),
        Problem::Gone => (StatusCode::GONE, "gone"),
        Problem::Newer => (StatusCode::SERVICE_UNAVAILABLE, "newer"),
        Problem::InvalidVerdict
        | Problem::InvalidAct
        | Problem::CommentTooLong
        | Problem::CommentMissing(_)
        | Problem::WrongAnswers(_)
        | Problem::NotDelegated(_)
        | Problem::NoMoreChanges
        | Problem::InvalidRevision(_)
        | Problem::Mistaken(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        Problem::NotTheSubmitter | Problem::SubmitterDecides => {
            (StatusCode::FORBIDDEN, "not_by_this_link")
        }
        Problem::NotRevisable => (StatusCode::CONFLICT, "not_revisable"),
        Problem::CrossSite => (StatusCode::FORBIDDEN, "cross_site"),
        Problem::NotAForm => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        Problem::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Problem::Incomplete => (StatusCode::REQUEST_TIMEOUT, "incomplete"),
        Problem::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Problem::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
        Problem::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Problem::NothingRecorded => (StatusCode::SERVICE_UNAVAILABLE, "nothing_recorded"),
        Problem::Unknown => (StatusCode::SERVICE_UNAVAILABLE, "unknown"),
        Problem::AfterPress(reason) => problem_status(reason),
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
        Answer::SentBack => (StatusCode::OK, "sent_back"),
        Answer::Paused => (StatusCode::CONFLICT, "paused"),
        Answer::Revised => (StatusCode::CONFLICT, "revised"),
        Answer::Outdated => (StatusCode::GONE, "outdated"),
        Answer::Submitted => (StatusCode::OK, "submitted"),
        Answer::ToRevise => (StatusCode::OK, "to_revise"),
        Answer::Resubmitted => (StatusCode::OK, "resubmitted"),
        Answer::YouWithdrew => (StatusCode::OK, "withdrawn_by_you"),
        Answer::Delegated => (StatusCode::OK, "delegated"),
        Answer::DelegationStored => (StatusCode::ACCEPTED, "accepted"),
        // RFC 6585, 3: the request has to carry what the answer gives.
        Answer::Unconfirmed => (StatusCode::PRECONDITION_REQUIRED, "unconfirmed"),
        Answer::Uncommented | Answer::Unanswered | Answer::Unchangeable => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
        }
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
mod samples;
#[cfg(test)]
mod tests;
