//! What the submitter fills in and signs. Pure.

use countersign_protos::{
    Act, GenuineLink, Statement, ignored,
    names::{self, COMMENT_MAX_CHARS},
    payload::{self, Encoding},
    revision_digest,
    text::{self, clean, clean_line},
    v1::{Detail, Document, Revision, Submission, Withdrawal},
};
use jiff::Timestamp;

/// Empty rows for details, below those that there are.
const SPARE_ROWS: usize = 2;

/// What the form has, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) title: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
    pub(crate) description: String,
    /// Labels and values, in order.
    pub(crate) details: Vec<(String, String)>,
}

/// A place in the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// No field of it.
    Whole,
    Title,
    Amount,
    Currency,
    Description,
    /// Of the row with this number, from 0.
    Label(usize),
    Value(usize),
    /// Of a withdrawal.
    Reason,
}

/// Why a revision is not sent, or why the workflow refuses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mistake {
    ChangesNothing,
    TitleMissing,
    /// Items add up to the amount, and only programs revise them.
    AmountOfItems,
    AmountMissing,
    CurrencyMissing,
    LabelMissing(usize),
    ValueMissing(usize),
    /// It has so many characters.
    ReasonTooLong(usize),
    /// As the workflow says it of a place in the submission.
    Refused(Place, String),
}

impl Mistake {
    /// Where it is shown.
    pub(crate) fn place(&self) -> Place {
        match self {
            Mistake::ChangesNothing => Place::Whole,
            Mistake::TitleMissing => Place::Title,
            Mistake::AmountOfItems | Mistake::AmountMissing => Place::Amount,
            Mistake::CurrencyMissing => Place::Currency,
            Mistake::LabelMissing(row) => Place::Label(*row),
            Mistake::ValueMissing(row) => Place::Value(*row),
            Mistake::ReasonTooLong(_) => Place::Reason,
            Mistake::Refused(place, _) => *place,
        }
    }
}

/// What a form asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    /// With all that the form has not as it is.
    Revise(Draft),
    /// By a program: with the whole submission.
    Replace(Box<Submission>),
    /// For this reason, which may be empty.
    Withdraw(String),
}

/// What is signed and sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Deed {
    Revise { submission: Box<Submission>, digest: String },
    Withdraw { reason: String },
}

impl Wish {
    pub(crate) fn act(&self) -> Act {
        match self {
            Wish::Revise(_) | Wish::Replace(_) => Act::Revise,
            Wish::Withdraw(_) => Act::Withdraw,
        }
    }

    /// What it means for a submission.
    ///
    /// # Errors
    /// Why it is not sent.
    pub(crate) fn deed(&self, submission: &Submission) -> Result<Deed, Vec<Mistake>> {
        let revise = |submission: Submission| {
            let digest = revision_digest(&submission);
            Deed::Revise { submission: submission.into(), digest }
        };
        match self {
            Wish::Revise(draft) => draft.apply(submission).map(revise),
            Wish::Replace(whole) => Ok(revise(whole.as_ref().clone())),
            Wish::Withdraw(reason) => match reason.chars().count() {
                0..=COMMENT_MAX_CHARS => Ok(Deed::Withdraw { reason: text::comment(reason) }),
                chars => Err(vec![Mistake::ReasonTooLong(chars)]),
            },
        }
    }

    /// The submission as it is then; `None` if nothing of it changes or it is wrong.
    pub(crate) fn revised(&self, submission: &Submission) -> Option<Submission> {
        match self.deed(submission) {
            Ok(Deed::Revise { submission, .. }) => Some(*submission),
            Ok(Deed::Withdraw { .. }) | Err(_) => None,
        }
    }

    /// The fields of the form that says the same.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Wish::Revise(draft) => draft.fields(),
            Wish::Replace(whole) => {
                let json = serde_json::to_string(whole).unwrap_or_default();
                vec![("submission", json)]
            }
            // It is shown in a field of its own.
            Wish::Withdraw(_) => Vec::new(),
        }
    }

    /// What somebody has written, for them to copy.
    pub(crate) fn text(&self) -> String {
        let Wish::Revise(Draft { title, amount, currency, description, details }) = self else {
            return match self {
                Wish::Withdraw(reason) => reason.clone(),
                _ => String::new(),
            };
        };
        let money = format!("{amount} {currency}");
        let fixed = [("Title", title), ("Amount", &money), ("Description", description)];
        let fixed = fixed.into_iter().filter(|(_, text)| !text.trim().is_empty());
        let details = details.iter().map(|(label, value)| (label.as_str(), value));
        let lines = fixed.chain(details).map(|(label, text)| labelled(label, text));
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    }

    /// What the workflow says of it if it refuses it.
    pub(crate) fn refused(&self, why: &str) -> Vec<Mistake> {
        match self {
            Wish::Revise(draft) => draft.refused(why),
            Wish::Replace(_) | Wish::Withdraw(_) => Draft::default().refused(why),
        }
    }
}

impl Deed {
    pub(crate) fn statement(&self) -> Statement<'_> {
        match self {
            Deed::Revise { digest, .. } => Statement::Revise { digest },
            Deed::Withdraw { reason } => Statement::Withdraw { reason },
        }
    }

    /// The name of its signal, and its payload.
    pub(crate) fn signed(
        &self,
        link: &GenuineLink,
        at: Timestamp,
    ) -> (&'static str, payload::Payload) {
        let proof = Some(link.prove(self.statement(), at));
        let hash = link.hash().as_str().to_owned();
        match self {
            Deed::Revise { submission, .. } => {
                let submission = Some(submission.as_ref().clone());
                let revision = Revision { submission, link: hash, proof };
                (names::SIGNAL_REVISE, payload::encode(&revision, Encoding::JsonPlain))
            }
            Deed::Withdraw { reason } => {
                let withdrawal = Withdrawal { reason: reason.clone(), link: hash, proof };
                (names::SIGNAL_WITHDRAW, payload::encode(&withdrawal, Encoding::JsonPlain))
            }
        }
    }
}

impl Draft {
    /// The form as it is before anything is typed.
    pub(crate) fn of(submission: &Submission) -> Self {
        let document = submission.document.clone().unwrap_or_default();
        let Document { title, amount, currency, description, details, .. } = document;
        let details = details.into_iter().map(|Detail { label, value }| (label, value));
        Self { title, amount, currency, description, details: details.collect() }
    }

    /// From a form's fields: labels and values are given in turn.
    pub(crate) fn read(field: impl Fn(&str) -> Vec<String>) -> Self {
        let one = |name: &str| clean(field(name).first().map_or("", String::as_str));
        let all = |name: &str| field(name).iter().map(|text| clean(text)).collect::<Vec<_>>();
        let (labels, values) = (all("label"), all("value"));
        let rows = labels.len().max(values.len());
        let text = |texts: &[String], row: usize| texts.get(row).cloned().unwrap_or_default();
        Self {
            title: one("title"),
            amount: one("amount"),
            currency: one("currency"),
            description: one("description"),
            details: (0..rows).map(|row| (text(&labels, row), text(&values, row))).collect(),
        }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let single = [
            ("title", &self.title),
            ("amount", &self.amount),
            ("currency", &self.currency),
            ("description", &self.description),
        ];
        let rows =
            self.details.iter().flat_map(|(label, value)| [("label", label), ("value", value)]);
        single.into_iter().chain(rows).map(|(name, value)| (name, value.clone())).collect()
    }

    /// With room for more details.
    pub(crate) fn with_spare_rows(mut self) -> Self {
        let is_blank = |(label, value): &&(String, String)| label.is_empty() && value.is_empty();
        let blank = self.details.iter().rev().take_while(is_blank).count();
        let spare = SPARE_ROWS.saturating_sub(blank);
        self.details.extend(vec![Default::default(); spare]);
        self
    }

    /// The submission as it is then; all else in it stays.
    ///
    /// # Errors
    /// Everything that is wrong, as far as it is known before it is validated.
    pub(crate) fn apply(&self, submission: &Submission) -> Result<Submission, Vec<Mistake>> {
        let before = submission.document.clone().unwrap_or_default();
        let document = Document {
            title: kept(&before.title, &self.title),
            amount: kept(&before.amount, &self.amount),
            currency: kept(&before.currency, &self.currency),
            description: kept(&before.description, &self.description),
            details: self.kept_details(&before.details),
            ..before.clone()
        };
        let mistakes = self.mistakes(&before, &document);
        match mistakes.is_empty() {
            true => Ok(Submission { document: Some(document), ..submission.clone() }),
            false => Err(mistakes),
        }
    }

    fn mistakes(&self, before: &Document, document: &Document) -> Vec<Mistake> {
        let money = |document: &Document| (document.amount.clone(), document.currency.clone());
        let mut mistakes = Vec::new();
        if document.title.is_empty() {
            mistakes.push(Mistake::TitleMissing);
        }
        match (document.amount.is_empty(), document.currency.is_empty()) {
            _ if !before.items.is_empty() && money(before) != money(document) => {
                mistakes.push(Mistake::AmountOfItems);
            }
            (true, false) => mistakes.push(Mistake::AmountMissing),
            (false, true) => mistakes.push(Mistake::CurrencyMissing),
            (true, true) | (false, false) => {}
        }
        for (row, (label, value)) in self.details.iter().enumerate() {
            match (label.trim().is_empty(), value.trim().is_empty()) {
                (true, false) => mistakes.push(Mistake::LabelMissing(row)),
                (false, true) => mistakes.push(Mistake::ValueMissing(row)),
                (true, true) | (false, false) => {}
            }
        }
        if mistakes.is_empty() && before == document {
            mistakes.push(Mistake::ChangesNothing);
        }
        mistakes
    }

    /// Without rows in which nothing is typed.
    fn kept_details(&self, before: &[Detail]) -> Vec<Detail> {
        let rows = self.details.iter().enumerate();
        let details = rows.filter_map(|(row, (label, value))| {
            let nothing = Detail::default();
            let known = before.get(row).unwrap_or(&nothing);
            let label = kept(&known.label, label);
            let value = kept(&known.value, value);
            (!label.is_empty() || !value.is_empty()).then_some(Detail { label, value })
        });
        details.collect()
    }

    /// The place in this form that is meant by a path in the submission which was sent, without its `$`.
    fn place(&self, path: &str) -> Place {
        let path = path.strip_prefix(".document.").unwrap_or_default();
        match path {
            "title" => return Place::Title,
            "amount" => return Place::Amount,
            "currency" => return Place::Currency,
            "description" => return Place::Description,
            _ => {}
        }
        let row = path.strip_prefix("details[").and_then(|rest| rest.split_once(']'));
        let row = row.and_then(|(number, rest)| Some((self.row(number.parse().ok()?)?, rest)));
        match row {
            Some((row, ".label")) => Place::Label(row),
            Some((row, _)) => Place::Value(row),
            None => Place::Whole,
        }
    }

    /// The row of a detail that was sent: blank ones were not.
    fn row(&self, number: usize) -> Option<usize> {
        let rows = self.details.iter().enumerate();
        let mut sent =
            rows.filter(|(_, (label, value))| !label.trim().is_empty() || !value.trim().is_empty());
        sent.nth(number).map(|(row, _)| row)
    }

    /// What the workflow says of a revision that it refuses, each problem at its place.
    pub(crate) fn refused(&self, why: &str) -> Vec<Mistake> {
        let Some(problems) = ignored::problems(why) else {
            return vec![Mistake::Refused(Place::Whole, clean_line(why))];
        };
        let problems = problems.map(|(path, message)| match self.place(path) {
            Place::Whole => {
                let whole = format!("{} {message}", path.trim_start_matches('.'));
                Mistake::Refused(Place::Whole, clean_line(&whole))
            }
            place => Mistake::Refused(place, clean_line(message)),
        });
        problems.collect()
    }
}

/// `label: text`, or what there is of it.
fn labelled(label: &str, text: &str) -> String {
    let parts = [label.trim(), text.trim()].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}

/// What was there, if a browser has only sent it back: pages show no characters that mislead.
fn kept(before: &str, typed: &str) -> String {
    let same = |text: &str| clean(text).trim().to_owned();
    if same(before) == same(typed) { before.to_owned() } else { same(typed) }
}

#[cfg(test)]
mod tests;
