//! What people read where they fill something in.

use countersign_protos::Verdict;

/// Said beside the comment's label: which of so many buttons need one.
pub(crate) fn comment_hint(required: &[Verdict], buttons: usize) -> String {
    let whens = required.iter().map(|verdict| verdict.terms().button.to_lowercase());
    let when = match required.len() {
        0 => "optional".to_owned(),
        all if all == buttons => "required".to_owned(),
        _ => format!("required to {}", whens.collect::<Vec<_>>().join(" or to ")),
    };
    format!("{when}; the submitter sees it")
}

/// The heading of the form that asks for a confirmation.
pub(crate) fn deciding(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "You are about to approve this",
        Verdict::Reject => "You are about to reject this",
        Verdict::RequestChanges => "You are about to request changes",
    }
}

/// Said beside the label of an answer.
pub(crate) fn answer_hint(required: &[Verdict]) -> String {
    match required {
        [] => "optional".to_owned(),
        [only] => format!("required to {}", only.terms().name),
        _ => "required".to_owned(),
    }
}

/// The choices of a question, and what people read: an answer reads everywhere as it is chosen here. Where it is not required for as many verdicts as can be, no
/// answer is one of them: a browser does not take back what was chosen.
pub(crate) fn yes_or_no(required_for: usize) -> Vec<(&'static str, &'static str)> {
    let all = [("yes", "yes"), ("no", "no"), ("", "no answer")];
    all[..if required_for < 2 { 3 } else { 2 }].to_vec()
}

pub(crate) const NOT_ASKED: &str = "An answer was sent that nobody asks for.";
pub(crate) const CHOOSE: &str = "Please choose";
pub(crate) const WRONG_ANSWERS: &str =
    "An answer is missing or cannot be accepted. Please correct it, and press again.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_read_in_a_form_as_in_what_was_answered() {
        let choices = yes_or_no(0);
        let answers = choices.iter().filter(|(value, _)| !value.is_empty());
        assert!(answers.clone().all(|(value, text)| value == text), "{choices:?}");
        assert_eq!((answers.count(), yes_or_no(2).len()), (2, 2));
    }
}
