//! The form that carries a decision.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use countersign_protos::{
    Act, Verdict,
    answers::Answers,
    names::COMMENT_MAX_CHARS,
    payload::{Encoding, Payload},
    submission,
    text::{clean, clean_line},
    v1::Answer,
};
use tokio::time::timeout;
use url::form_urlencoded;

use crate::{
    delegation_form::Delegating,
    inputs::PREFIX,
    problem::Problem,
    revision::{Draft, Wish},
};

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
/// A document has 100 details at most, and the page offers a few more rows to fill in.
const MAX_ROWS: usize = 110;
/// Of a decision: percent-encoded, answers and a comment have thrice as many bytes as they may have in UTF-8.
const MAX_DECISION_BYTES: usize = 128 * 1024;
/// Of a revision: a submission, whose bytes may each take three in a form.
pub(crate) const MAX_BYTES: usize = 3 * submission::MAX_BYTES;
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// What somebody has filled in and pressed, whatever is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) verdict: Option<Verdict>,
    /// As it is shown, however long it is.
    pub(crate) comment: String,
    /// By the names of fields, as they were filled in.
    pub(crate) answers: Answers,
}

/// A decision that was not sent, and what confirms it.
pub(crate) struct Unconfirmed {
    pub(crate) verdict: Verdict,
    pub(crate) comment: String,
    /// In their canonical form.
    pub(crate) answers: Vec<Answer>,
    pub(crate) nonce: String,
}

/// Names and values, in their order.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) async fn read(request: Request) -> Result<Self, Problem> {
        if !is_form(request.headers()) {
            return Err(Problem::NotAForm);
        }
        let body = timeout(READ_TIMEOUT, Bytes::from_request(request, &())).await;
        match body.map_err(|_| Problem::Incomplete)? {
            Ok(body) => {
                let form = Form(form_urlencoded::parse(&body).into_owned().collect());
                match body.len() > MAX_DECISION_BYTES && form.wish().is_none() {
                    true => Err(Problem::BodyTooLarge),
                    false => Ok(form),
                }
            }
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::BodyTooLarge)
            }
            Err(_) => Err(Problem::Incomplete),
        }
    }

    pub(crate) fn filled(&self) -> Filled {
        let verdict = match self.all("verdict")[..] {
            [one] => Verdict::from_name(one),
            _ => None,
        };
        let comment = clean(self.all("comment").first().unwrap_or(&"")).trim().to_owned();
        Filled { verdict, comment, answers: self.answers() }
    }

    /// Of an answer that is there twice, the first one counts that is not empty.
    fn answers(&self) -> Answers {
        let mut answers = Answers::new();
        for (field, value) in &self.0 {
            let Some(name) = field.strip_prefix(PREFIX) else { continue };
            let answer = answers.entry(name.to_owned()).or_default();
            if answer.is_empty() {
                *answer = clean(value).trim().to_owned();
            }
        }
        answers.retain(|_, value| !value.is_empty());
        answers
    }

    /// What the submitter wants; `None` if the form is not theirs.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn wish(&self) -> Option<Result<Wish, Problem>> {
        let [act] = self.all("act")[..] else { return None };
        let texts = |name: &str| self.all(name).into_iter().map(str::to_owned).collect();
        Some(match (Act::from_name(act), &self.all("submission")[..]) {
            (Some(Act::Revise), [])
                if ["label", "value"].iter().any(|name| self.all(name).len() > MAX_ROWS) =>
            {
                Err(Problem::BodyTooLarge)
            }
            (Some(Act::Revise), []) => Ok(Wish::Revise(Draft::read(texts))),
            (Some(Act::Revise), [whole]) => whole_submission(whole),
            (Some(Act::Withdraw), _) => {
                let reason = clean(self.all("reason").first().unwrap_or(&""));
                Ok(Wish::Withdraw(reason.trim().to_owned()))
            }
            (Some(Act::Revise), _) | (None, _) => Err(Problem::InvalidAct),
        })
    }

    /// Whom the form has asked instead; `None` if it is no such form.
    pub(crate) fn delegating(&self) -> Option<Delegating> {
        let (named, decides) = (self.all("delegate_to"), !self.all("verdict").is_empty());
        let (first, reasons) = (named.first()?, self.all("reason"));
        Some(Delegating {
            to: clean_line(first),
            reason: clean(reasons.first().unwrap_or(&"")).trim().to_owned(),
            is_ambiguous: decides || named.len() > 1,
        })
    }

    /// What confirms the decision; empty the first time.
    pub(crate) fn nonce(&self) -> &str {
        match self.all("confirm")[..] {
            [one] => one,
            _ => "",
        }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| &**value).collect()
    }
}

impl Filled {
    /// The verdict, if the comment can be accepted too.
    pub(crate) fn checked(&self) -> Result<Verdict, Problem> {
        let verdict = self.verdict.ok_or(Problem::InvalidVerdict)?;
        match self.comment.chars().count() {
            0..=COMMENT_MAX_CHARS => Ok(verdict),
            _ => Err(Problem::CommentTooLong),
        }
    }
}

/// As a program writes it.
fn whole_submission(json: &str) -> Result<Wish, Problem> {
    let metadata = [("encoding".to_owned(), Encoding::JsonPlain.as_str().into())].into();
    let payload = Payload { metadata, data: json.as_bytes().to_vec() };
    let (submission, problems) = submission::read(&[payload]);
    match problems.is_empty() {
        true => Ok(Wish::Replace(submission.into())),
        false => {
            let problems = problems.into_iter().map(|problem| (problem.path, problem.message));
            Err(Problem::InvalidRevision(problems.collect()))
        }
    }
}

/// Media types are compared in any case (RFC 9110, 8.3.1); parameters are ignored.
fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}
