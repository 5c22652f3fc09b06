//! The submitter's forms on their page. Pure.

use askama::Template;
use countersign_protos::Act;

use crate::{
    answer::acts,
    problem::Problem,
    revision::{Draft, Mistake, Place, Wish},
    wording::{self, Case},
};

/// No field is higher at first.
const MOST_LINES: usize = 12;

/// What the submitter can do from their page.
#[derive(Template)]
#[template(path = "submitter.html")]
pub(crate) struct OwnForms {
    revise: Option<ReviseForm>,
    withdraw: Option<WithdrawForm>,
    /// Whether what they do counts only once it is confirmed.
    confirm: bool,
    /// Whose form was refused, and has to be corrected.
    refused: Option<Act>,
}

struct ReviseForm {
    title: Field,
    amount: Field,
    currency: Field,
    /// Items add up to the amount.
    is_amount_fixed: bool,
    description: Field,
    details: Vec<(Field, Field)>,
}

struct WithdrawForm {
    reason: Field,
}

/// A field with what is in it.
struct Field {
    /// No other field of the page has it.
    id: String,
    text: String,
    /// How many lines it shows at first.
    lines: usize,
    /// What is wrong with it; empty if nothing is.
    wrong: String,
    /// Whether it is the first that is wrong.
    is_first_wrong: bool,
}

impl Field {
    /// With what is wrong at its place, of all that is.
    fn new(id: &str, text: &str, place: Place, mistakes: &[Mistake]) -> Self {
        let lines = text.lines().count().clamp(1, MOST_LINES);
        let here = mistakes.iter().filter(|mistake| mistake.place() == place);
        let wrong = here.map(wording::mistake).collect::<Vec<_>>().join(" ");
        let first = mistakes.iter().map(Mistake::place).find(|place| *place != Place::Whole);
        let (id, text, is_first_wrong) = (id.to_owned(), text.to_owned(), first == Some(place));
        Self { id, text, lines, wrong, is_first_wrong }
    }
}

impl OwnForms {
    /// `None` where there is nothing to do.
    pub(crate) fn new(case: Case<'_>) -> Option<Self> {
        let acts = acts(case.answer, case.state, case.link);
        let submission = case.state.submission.clone().unwrap_or_default();
        let has_items = submission.document.as_ref().is_some_and(|it| !it.items.is_empty());
        let revise = acts.contains(&Act::Revise);
        let revise = revise.then(|| ReviseForm::new(Draft::of(&submission), has_items, &[]));
        let withdraw = acts.contains(&Act::Withdraw);
        let withdraw = withdraw.then(|| WithdrawForm::new("", &[]));
        let is_some = revise.is_some() || withdraw.is_some();
        let (confirm, refused) = (case.state.confirm, None);
        is_some.then_some(Self { revise, withdraw, confirm, refused })
    }

    /// As they were sent, with what is wrong. A form that is no longer there is left out.
    pub(crate) fn refused(mut self, problem: &Problem, wish: &Wish) -> Self {
        let mistakes: &[Mistake] = match problem {
            Problem::Mistaken(mistakes) => mistakes,
            _ => &[],
        };
        let is_there = match (wish, &mut self.revise, &mut self.withdraw) {
            (Wish::Revise(draft), Some(form), _) => {
                *form = ReviseForm::new(draft.clone(), form.is_amount_fixed, mistakes);
                true
            }
            (Wish::Withdraw(reason), _, Some(form)) => {
                *form = WithdrawForm::new(reason, mistakes);
                true
            }
            _ => false,
        };
        self.refused = is_there.then(|| wish.act());
        self
    }

    /// Whether one of them has to be corrected.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// The form to which the link before the document leads, by its ID.
    pub(crate) fn leads_to(&self) -> Act {
        let first = if self.revise.is_some() { Act::Revise } else { Act::Withdraw };
        self.refused.unwrap_or(first)
    }

    /// What that link says.
    pub(crate) fn invitation(&self) -> &'static str {
        match (self.refused, self.leads_to()) {
            (Some(_), _) => "Correct it below",
            (None, Act::Revise) => "Go to revise or withdraw",
            (None, Act::Withdraw) => "Go to withdraw",
        }
    }
}

impl WithdrawForm {
    fn new(reason: &str, mistakes: &[Mistake]) -> Self {
        Self { reason: Field::new("reason", reason, Place::Reason, mistakes) }
    }
}

impl ReviseForm {
    fn new(draft: Draft, is_amount_fixed: bool, mistakes: &[Mistake]) -> Self {
        let field = |id: &str, text: &str, place: Place| Field::new(id, text, place, mistakes);
        let draft = draft.with_spare_rows();
        let row = |(row, (label, value)): (usize, &(String, String))| {
            let label = field(&format!("label-{}", row + 1), label, Place::Label(row));
            (label, field(&format!("value-{}", row + 1), value, Place::Value(row)))
        };
        Self {
            title: field("title", &draft.title, Place::Title),
            amount: field("amount", &draft.amount, Place::Amount),
            currency: field("currency", &draft.currency, Place::Currency),
            is_amount_fixed,
            description: field("description", &draft.description, Place::Description),
            details: draft.details.iter().enumerate().map(row).collect(),
        }
    }
}

/// What is wrong, for the head of the page.
pub(crate) fn why_refused(problem: &Problem) -> String {
    match problem {
        Problem::Mistaken(mistakes) => wording::to_correct(mistakes),
        problem => wording::problem(problem).1.to_owned(),
    }
}
