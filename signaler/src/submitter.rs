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
}

impl Field {
    fn new(id: impl Into<String>, text: &str, wrong: String) -> Self {
        let lines = text.lines().count().clamp(1, MOST_LINES);
        Self { id: id.into(), text: text.to_owned(), lines, wrong }
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
        let withdraw =
            withdraw.then(|| WithdrawForm { reason: Field::new("reason", "", String::new()) });
        let is_some = revise.is_some() || withdraw.is_some();
        is_some.then_some(Self { revise, withdraw, confirm: case.state.confirm })
    }

    /// As they were sent, with what is wrong.
    pub(crate) fn refused(mut self, problem: &Problem, wish: &Wish) -> Self {
        let mistakes: &[Mistake] = match problem {
            Problem::Mistaken(mistakes) => mistakes,
            _ => &[],
        };
        match (wish, &mut self.revise, &mut self.withdraw) {
            (Wish::Revise(draft), Some(form), _) => {
                *form = ReviseForm::new(draft.clone(), form.is_amount_fixed, mistakes);
            }
            (Wish::Withdraw(reason), _, Some(form)) => {
                form.reason = Field::new("reason", reason, wrong(mistakes, Place::Reason));
            }
            _ => {}
        }
        self
    }

    /// Where the page's link leads.
    fn first(&self) -> &'static str {
        if self.revise.is_some() { "revise" } else { "withdraw" }
    }
}

/// What is wrong at a place.
fn wrong(mistakes: &[Mistake], place: Place) -> String {
    let here = mistakes.iter().filter(|mistake| mistake.place() == place);
    here.map(wording::mistake).collect::<Vec<_>>().join(" ")
}

impl ReviseForm {
    fn new(draft: Draft, is_amount_fixed: bool, mistakes: &[Mistake]) -> Self {
        let wrong = |place: Place| wrong(mistakes, place);
        let draft = draft.with_spare_rows();
        let row = |(row, (label, value)): (usize, &(String, String))| {
            let label = Field::new(format!("label-{}", row + 1), label, wrong(Place::Label(row)));
            (label, Field::new(format!("value-{}", row + 1), value, wrong(Place::Value(row))))
        };
        Self {
            title: Field::new("title", &draft.title, wrong(Place::Title)),
            amount: Field::new("amount", &draft.amount, wrong(Place::Amount)),
            currency: Field::new("currency", &draft.currency, wrong(Place::Currency)),
            is_amount_fixed,
            description: Field::new("description", &draft.description, wrong(Place::Description)),
            details: draft.details.iter().enumerate().map(row).collect(),
        }
    }
}

/// The link to the forms, before the document.
pub(crate) fn jump(own: Option<&OwnForms>) -> &'static str {
    own.map_or("", OwnForms::first)
}

/// What is wrong, for the head of the page.
pub(crate) fn why_refused(problem: &Problem) -> String {
    match problem {
        Problem::Mistaken(mistakes) => wording::to_correct(mistakes),
        problem => wording::problem(problem).1.to_owned(),
    }
}
