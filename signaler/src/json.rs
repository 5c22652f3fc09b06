//! Answers as JSON.

use std::borrow::Cow;

use countersign_protos::v1::ApprovalState;
use serde::Serialize;

use crate::{
    answer::reviewer_by_link,
    problem::Problem,
    wording::{self, Case},
};

#[derive(Serialize)]
pub(crate) struct ProblemJson {
    answer: &'static str,
    message: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

impl ProblemJson {
    pub(crate) fn new(problem: &Problem, name: &'static str) -> Self {
        let field = match problem {
            Problem::InvalidVerdict => Some("verdict"),
            Problem::NotDelegated(why) => Some(why.field()),
            Problem::CommentTooLong | Problem::CommentMissing(_) => Some("comment"),
            // It was not read, so the field that is too large is unknown.
            Problem::BodyTooLarge => Some("body"),
            _ => None,
        };
        ProblemJson { answer: name, message: message(problem), field }
    }
}

/// What programs have to be told in their own words, and else what people read.
fn message(problem: &Problem) -> Cow<'static, str> {
    match problem {
        Problem::InvalidVerdict => "verdict has to be given once, as approve or reject.".into(),
        Problem::NotDelegated(why) => wording::not_delegated(why).into(),
        Problem::NotAForm => {
            "Send a decision as application/x-www-form-urlencoded, with the fields \
                              verdict and comment. Nothing was recorded."
                .into()
        }
        _ => wording::problem(problem).1.into(),
    }
}

#[derive(Serialize)]
pub(crate) struct ApprovalJson {
    answer: &'static str,
    message: String,
    status: &'static str,
    reviewer: Option<String>,
    /// What confirms the decision that was sent: the form's field of this name, next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<String>,
    approval: ApprovalState,
}

impl ApprovalJson {
    /// Without links, which are secret, without stages that are known in part, and without failures of mails, signals, webhooks and follow-up
    /// workflows, which concern only operators.
    pub(crate) fn new(case: Case<'_>, name: &'static str) -> Self {
        let mut approval = case.state.clone();
        approval.announcement_error.clear();
        approval.webhook_error.clear();
        approval.follow_up_error.clear();
        approval.ignored_because.clear();
        if !approval.handing_on.is_empty() {
            approval.handing_on = wording::DELIVERING.to_owned();
        }
        // Without a worker, only the reader's own place is known.
        if case.answer.is_unattended() {
            approval.stages.clear();
        }
        for reviewer in approval.stages.iter_mut().flat_map(|stage| &mut stage.reviewers) {
            reviewer.link.clear();
            reviewer.delivery_error.clear();
            if let Some(vote) = &mut reviewer.vote {
                vote.link.clear();
            }
        }
        for delegation in approval.stages.iter_mut().flat_map(|stage| &mut stage.delegations) {
            delegation.link.clear();
        }
        ApprovalJson {
            answer: name,
            message: format!("{}. {}", wording::headline(case), wording::explanation(case)),
            status: case.state.status().as_str_name(),
            reviewer: reviewer_by_link(case.state, case.link)
                .map(|(_, reviewer)| reviewer.reviewer.clone()),
            confirm: None,
            approval,
        }
    }

    /// With what confirms the decision.
    pub(crate) fn with_nonce(self, nonce: &str) -> Self {
        Self { confirm: Some(nonce.to_owned()), ..self }
    }
}
