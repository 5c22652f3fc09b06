//! The inputs of a form for what reviewers fill in, and what was filled in. Pure.

use countersign_protos::{
    Verdict,
    answers::{self, Answers, Kind, NotAnAnswer, Wrong},
    text::{clean, clean_line},
    v1::{Answer, Field},
};

use crate::wording;

/// Names the input of a field in a form: a field may be named like another part of it.
pub(crate) const PREFIX: &str = "answers.";

/// One input.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) label: String,
    /// Whether an answer is needed.
    pub(crate) hint: String,
    pub(crate) shape: Shape,
    /// What stands in it.
    pub(crate) value: String,
    /// Why it is refused; empty if it is not.
    pub(crate) error: String,
    /// Whether it is the first that is refused.
    pub(crate) is_first_error: bool,
    /// The verdicts that need an answer.
    pub(crate) required_for: Vec<Verdict>,
}

/// How it is filled in without a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Lines,
    /// One line, with this `inputmode`.
    Line(&'static str),
    Date,
    /// One of these; of none, nothing can be sent.
    Select(Vec<String>),
    /// Of values with what people read.
    Radios(Vec<(&'static str, &'static str)>),
}

impl Input {
    fn new(field: &Field, value: String, error: String) -> Self {
        let required = |verdict: &Verdict| field.is_required_for(*verdict);
        let required_for: Vec<Verdict> = Verdict::ALL.into_iter().filter(required).collect();
        let shape = match Kind::of(field) {
            Some(Kind::Text) | None => Shape::Lines,
            Some(Kind::Number) => Shape::Line("decimal"),
            Some(Kind::Choice) => Shape::Select(field.choices.clone()),
            Some(Kind::YesNo) => Shape::Radios(wording::yes_or_no(required_for.len())),
            // A browser's input for dates drops what is none.
            Some(Kind::Date) if !error.is_empty() && !value.is_empty() => Shape::Line("numeric"),
            Some(Kind::Date) => Shape::Date,
        };
        Self {
            name: format!("{PREFIX}{}", field.name),
            label: clean_line(&field.label),
            hint: wording::answer_hint(&required_for),
            shape,
            value,
            error,
            is_first_error: false,
            required_for,
        }
    }

    /// The ID of the element that says why it is refused.
    pub(crate) fn error_id(&self) -> String {
        format!("{}.error", self.name)
    }
}

/// The inputs of a new form.
pub(crate) fn empty(fields: &[Field]) -> Vec<Input> {
    fields.iter().map(|field| Input::new(field, String::new(), String::new())).collect()
}

/// Those of one that is refused, with all that stood in it. Without a verdict, it is not known what is missing.
pub(crate) fn refused(fields: &[Field], verdict: Option<Verdict>, given: &Answers) -> Vec<Input> {
    let checked = verdict.map(|verdict| answers::check(fields, verdict, given));
    let wrong = checked.and_then(Result::err).unwrap_or_default();
    let mut is_first = true;
    let input = |field: &Field| {
        let value = given.get(&field.name).cloned().unwrap_or_default();
        let why = wrong.iter().find(|wrong| wrong.name == field.name).map(|wrong| &wrong.why);
        let error = why.map(|why| wrong_answer(field, why)).unwrap_or_default();
        let is_first_error = !error.is_empty() && std::mem::take(&mut is_first);
        Input { is_first_error, ..Input::new(field, value, error) }
    };
    fields.iter().map(input).collect()
}

/// What is wrong with an answer, for people.
fn wrong_answer(field: &Field, why: &NotAnAnswer) -> String {
    format!("“{}” {why}.", clean_line(&field.label))
}

/// All that is wrong with answers, by the names of fields. What is given for no field is not quoted.
pub(crate) fn wrong_answers(fields: &[Field], wrong: Vec<Wrong>) -> Vec<(String, String)> {
    let said = |Wrong { name, why }: Wrong| match fields.iter().find(|field| field.name == name) {
        Some(field) => (name, wrong_answer(field, &why)),
        None => (String::new(), wording::NOT_ASKED.to_owned()),
    };
    wrong.into_iter().map(said).collect()
}

/// What was filled in, as it is shown: labels with values.
pub(crate) fn shown(answers: &[Answer]) -> Vec<(String, String)> {
    answers.iter().map(|answer| (clean_line(&answer.label), clean(&answer.value))).collect()
}

/// What carries them to the next page.
pub(crate) fn hidden(answers: &[Answer]) -> Vec<(String, &str)> {
    let input = |answer: &Answer| format!("{PREFIX}{}", answer.name);
    answers.iter().map(|answer| (input(answer), answer.value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: Kind) -> Field {
        Field {
            name: kind.name().into(),
            label: format!("The {}", kind.name()),
            r#type: kind.name().into(),
            choices: if kind == Kind::Choice { vec!["one".into()] } else { Vec::new() },
            ..Field::default()
        }
    }

    #[test]
    fn each_kind_has_its_input_and_a_date_that_is_none_stays_as_it_was_typed() {
        let fields = Kind::ALL.map(field);
        let shapes: Vec<Shape> = empty(&fields).into_iter().map(|input| input.shape).collect();
        let (one, any) = (vec!["one".to_owned()], wording::yes_or_no(0));
        let (number, date) = (Shape::Line("decimal"), Shape::Date);
        assert_eq!(shapes, [Shape::Lines, number, Shape::Select(one), Shape::Radios(any), date]);
        let given: Answers = [("date", "next week"), ("number", "12")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let inputs = refused(&fields, Some(Verdict::Approve), &given);
        let typed: Vec<&str> = inputs.iter().map(|input| input.value.as_str()).collect();
        assert_eq!(typed, ["", "12", "", "", "next week"]);
        assert_eq!(inputs[4].shape, Shape::Line("numeric"));
        assert_eq!(inputs[4].error, "“The date” must be a date, such as 2026-11-30.");
        assert!(inputs[4].is_first_error && inputs[..4].iter().all(|input| input.error.is_empty()));
    }

    #[test]
    fn what_is_missing_is_said_once_it_is_known_what_was_pressed() {
        let fields = [Field { required_for: vec!["reject".into()], ..field(Kind::Text) }];
        let errors = |verdict| {
            let inputs = refused(&fields, verdict, &Answers::new());
            inputs.into_iter().map(|input| input.error).collect::<String>()
        };
        assert_eq!(errors(Some(Verdict::Reject)), "“The text” is required to reject.");
        assert_eq!((errors(Some(Verdict::Approve)), errors(None)), (String::new(), String::new()));
    }
}
