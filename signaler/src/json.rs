//! Answers as JSON.

use std::borrow::Cow;

use countersign_protos::{Difference, v1::ApprovalState};
use serde::Serialize;

use crate::{
    answer::reviewer_by_link,
    inputs::PREFIX,
    problem::Problem,
    revision::{Mistake, Place},
    wording::{self, Case},
};

#[derive(Serialize)]
pub(crate) struct ProblemJson<'a> {
    answer: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Everything that is wrong with answers, or with a revision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<FieldJson<'a>>,
}

#[derive(Serialize)]
struct FieldJson<'a> {
    /// Of the form.
    field: String,
    message: Cow<'a, str>,
}

impl<'a> ProblemJson<'a> {
    pub(crate) fn new(problem: &'a Problem, name: &'static str) -> Self {
        let field = match problem {
            Problem::InvalidVerdict => Some("verdict"),
            Problem::NoMoreChanges | Problem::SubmitterDecides => Some("verdict"),
            Problem::InvalidAct | Problem::NotTheSubmitter | Problem::NotRevisable => Some("act"),
            Problem::InvalidRevision(_) => Some("submission"),
            Problem::Mistaken(mistakes) => mistakes.first().map(|it| field_name(it.place())),
            Problem::NotDelegated(why) => Some(why.field()),
            Problem::CommentTooLong | Problem::CommentMissing(_) => Some("comment"),
            // It was not read, so the field that is too large is unknown.
            Problem::BodyTooLarge => Some("body"),
            Problem::WrongAnswers(_) => Some("answers"),
            _ => None,
        };
        let problems = match problem {
            Problem::WrongAnswers(wrong) => wrong.iter().map(FieldJson::new).collect(),
            Problem::InvalidRevision(wrong) => wrong.iter().map(FieldJson::of_submission).collect(),
            Problem::Mistaken(mistakes) => mistakes.iter().map(FieldJson::of_revision).collect(),
            _ => Vec::new(),
        };
        let field = field.map(ToOwned::to_owned);
        ProblemJson { answer: name, message: message(problem), field, problems }
    }
}

impl<'a> FieldJson<'a> {
    fn new((name, message): &'a (String, String)) -> Self {
        // Of what is not asked for, the name is not repeated.
        let field = if name.is_empty() { "answers".to_owned() } else { format!("{PREFIX}{name}") };
        FieldJson { field, message: message.into() }
    }

    fn of_submission((path, message): &'a (String, String)) -> Self {
        FieldJson { field: path.clone(), message: message.into() }
    }

    fn of_revision(mistake: &Mistake) -> Self {
        let message = wording::mistake(mistake).into();
        FieldJson { field: field_name(mistake.place()).to_owned(), message }
    }
}

/// The name of a field in the form.
fn field_name(place: Place) -> &'static str {
    match place {
        Place::Whole => "act",
        Place::Title => "title",
        Place::Amount => "amount",
        Place::Currency => "currency",
        Place::Description => "description",
        Place::Label(_) => "label",
        Place::Value(_) => "value",
        Place::Reason => "reason",
    }
}

/// What programs have to be told in their own words, and else what people read.
fn message(problem: &Problem) -> String {
    let said = match problem {
        Problem::NotDelegated(why) => return wording::not_delegated(why),
        Problem::InvalidVerdict => {
            "verdict has to be given once, as approve, reject or request_changes."
        }
        Problem::InvalidAct => {
            "act has to be given once, as revise or withdraw, and submission once at most."
        }
        Problem::NotAForm => {
            "Send a decision as application/x-www-form-urlencoded, with the fields verdict and \
             comment, and answers.NAME for each field. Nothing was recorded."
        }
        Problem::WrongAnswers(_) => return wording::refusal(problem, ""),
        _ => wording::problem(problem).1,
    };
    said.to_owned()
}

#[derive(Serialize)]
pub(crate) struct ApprovalJson {
    answer: &'static str,
    message: String,
    status: &'static str,
    reviewer: Option<String>,
    /// What the last revision has changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeJson>,
    /// What confirms the decision that was sent: the form's field of this name, next time.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm: Option<String>,
    approval: ApprovalState,
}

#[derive(Serialize)]
struct ChangeJson {
    path: String,
    label: String,
    before: String,
    after: String,
}

impl From<&Difference> for ChangeJson {
    fn from(Difference { path, label, before, after, .. }: &Difference) -> Self {
        let [path, label, before, after] = [path, label, before, after].map(Clone::clone);
        Self { path, label, before, after }
    }
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
        approval.submitter_link.clear();
        let asked = approval.change_request.as_mut().and_then(|request| request.vote.as_mut());
        let earlier = approval.earlier_versions.iter_mut();
        let earlier = earlier.filter_map(|version| {
            version.link.clear();
            version.request.as_mut()
        });
        asked.into_iter().chain(earlier).for_each(|vote| vote.link.clear());
        if let Some(withdrawal) = &mut approval.withdrawal {
            withdrawal.link.clear();
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
            changes: case.changes.iter().map(ChangeJson::from).collect(),
            confirm: None,
            approval,
        }
    }

    /// With what confirms the decision.
    pub(crate) fn with_nonce(self, nonce: &str) -> Self {
        Self { confirm: Some(nonce.to_owned()), ..self }
    }
}
