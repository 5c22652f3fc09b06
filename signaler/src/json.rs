//! Answers as JSON.

use countersign_protos::{Difference, v1::ApprovalState};
use serde::Serialize;

use crate::{
    answer::reviewer_by_link,
    problem::Problem,
    revision::{Mistake, Place},
    wording::{self, Case},
};

#[derive(Serialize)]
pub(crate) struct ProblemJson {
    answer: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// Everything that is wrong with a revision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<RevisionProblemJson>,
}

#[derive(Serialize)]
struct RevisionProblemJson {
    /// A field of the form, or a JSON path in the submission.
    at: String,
    message: String,
}

/// What a problem says of a revision, one after the other.
fn of_revision(problem: &Problem) -> Vec<RevisionProblemJson> {
    match problem {
        Problem::InvalidRevision(problems) => {
            let one = |(at, message): &(String, String)| {
                RevisionProblemJson { at: at.clone(), message: message.clone() }
            };
            problems.iter().map(one).collect()
        }
        Problem::Mistaken(mistakes) => {
            let one = |mistake: &Mistake| RevisionProblemJson {
                at: field_name(mistake.place()).to_owned(),
                message: wording::mistake(mistake),
            };
            mistakes.iter().map(one).collect()
        }
        _ => Vec::new(),
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

impl ProblemJson {
    pub(crate) fn new(problem: &Problem, name: &'static str) -> Self {
        let field = match problem {
            Problem::InvalidVerdict => Some("verdict"),
            Problem::NoMoreChanges | Problem::SubmitterDecides => Some("verdict"),
            Problem::InvalidAct | Problem::NotTheSubmitter | Problem::NotRevisable => Some("act"),
            Problem::InvalidRevision(_) => Some("submission"),
            Problem::Mistaken(mistakes) => mistakes.first().map(|it| field_name(it.place())),
            Problem::CommentTooLong | Problem::CommentMissing(_) => Some("comment"),
            // It was not read, so the field that is too large is unknown.
            Problem::BodyTooLarge => Some("body"),
            _ => None,
        };
        let problems = of_revision(problem);
        ProblemJson { answer: name, message: message(problem), field, problems }
    }
}

/// What programs have to be told in their own words, and else what people read.
fn message(problem: &Problem) -> &'static str {
    match problem {
        Problem::InvalidVerdict => {
            "verdict has to be given once, as approve, reject or request_changes."
        }
        Problem::InvalidAct => {
            "act has to be given once, as revise or withdraw, and submission once at most."
        }
        Problem::NotAForm => {
            "Send a decision as application/x-www-form-urlencoded, with the fields verdict and \
             comment. Nothing was recorded."
        }
        _ => wording::problem(problem).1,
    }
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
    fn from(Difference { path, label, before, after }: &Difference) -> Self {
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
