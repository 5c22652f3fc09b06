//! What a revision changed: field by field, as people read it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::{
    Json, text,
    v1::{Action, Detail, Document, Field, Item, Submission, Submitter},
};

/// A field that two submissions have differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its place, such as `$.document.items[2].amount`, in the later submission unless it is the earlier one's alone.
    pub path: String,
    /// What people call it.
    pub label: String,
    /// What it was, as written; empty if it was not there.
    pub before: String,
    /// What it is now; empty if it is not there any more.
    pub after: String,
    /// Both as people read them: amounts with their currency, and dates as days.
    shown: [String; 2],
    /// The element of a list that only one of the submissions has, such as `Item 2`; empty if both have it.
    element: String,
}

/// A change as people read it. What was added to a list, or removed from it, is one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeText {
    /// What people call it.
    pub label: String,
    /// What it was; empty if it was not there.
    pub before: String,
    /// What it is now; empty if it is not there any more.
    pub after: String,
    /// Whether it is a whole element of a list, which was added or removed.
    pub is_element: bool,
}

impl ChangeText {
    /// All of them, in their order.
    pub fn of(differences: &[Difference]) -> Vec<Self> {
        let are_one = |one: &Difference, next: &Difference| {
            !one.element.is_empty() && one.element == next.element
        };
        differences.chunk_by(are_one).map(Self::of_one).collect()
    }

    fn of_one(differences: &[Difference]) -> Self {
        let [before, after] = [0, 1].map(|at| {
            let said = differences.iter().filter(|it| !it.shown[at].is_empty());
            said.map(|it| it.said(at)).collect::<Vec<_>>().join("; ")
        });
        let first = differences.first();
        let is_element = first.is_some_and(|it| !it.element.is_empty());
        let name = |it: &Difference| if is_element { it.element.clone() } else { it.label.clone() };
        Self { label: first.map(name).unwrap_or_default(), before, after, is_element }
    }
}

impl Difference {
    /// One of its values, behind what it is in its element: `amount: 1,500.00 USD`.
    fn said(&self, at: usize) -> String {
        let value = self.shown[at].clone();
        let part = self.label.strip_prefix(&self.element).unwrap_or(&self.label);
        match part.trim_start_matches(", ") {
            part if self.element.is_empty() || part.is_empty() => value,
            part => format!("{part}: {value}"),
        }
    }
}

/// Every field of what is decided that is not the same: none exactly if both have one
/// [digest](crate::digest).
pub fn differences(earlier: &Submission, later: &Submission) -> Vec<Difference> {
    let mut found = Differences::default();
    found.text("$.submissionId", "Submission", &earlier.submission_id, &later.submission_id);
    found.text("$.submissionType", "Type", &earlier.submission_type, &later.submission_type);
    found.submitter(earlier.submitter.as_ref(), later.submitter.as_ref());
    found.document(earlier.document.as_ref(), later.document.as_ref());
    found.list("$.fields", "Field", [&earlier.fields, &later.fields], Differences::field);
    found.all
}

#[derive(Default)]
struct Differences {
    all: Vec<Difference>,
    /// Of the amounts, before and now.
    currencies: [String; 2],
}

impl Differences {
    fn text(&mut self, path: &str, label: &str, before: &str, after: &str) {
        let both = [before, after];
        self.push(path, label, both, both.map(str::to_owned));
    }

    fn amount(&mut self, path: &str, label: &str, both: [&str; 2]) {
        let shown = [0, 1].map(|at| match both[at] {
            "" => String::new(),
            amount => text::money(amount, &self.currencies[at]),
        });
        self.push(path, label, both, told_apart(both, shown));
    }

    fn date(&mut self, path: &str, label: &str, both: [&str; 2]) {
        // What is no date is shown as it is written.
        let day = |date: &str| match date.parse::<Date>() {
            Ok(_) => text::day(date),
            Err(_) => date.to_owned(),
        };
        self.push(path, label, both, told_apart(both, both.map(day)));
    }

    fn push(&mut self, path: &str, label: &str, both: [&str; 2], shown: [String; 2]) {
        if both[0] != both[1] {
            let [before, after] = both.map(str::to_owned);
            let (path, label, element) = (path.to_owned(), label.to_owned(), String::new());
            self.all.push(Difference { path, label, before, after, shown, element });
        }
    }

    /// Each of these fields, with its label.
    fn texts(&mut self, path: &str, fields: &[(&str, &str, [&str; 2])]) {
        for (name, label, [before, after]) in fields {
            self.text(&format!("{path}.{name}"), label, before, after);
        }
    }

    /// Reports an object that only one of them has, and that is empty: none of its fields shows that.
    fn presence<T: Default + PartialEq>(&mut self, path: &str, label: &str, both: [Option<&T>; 2]) {
        let word = |one: Option<&T>| if one.is_some() { "empty" } else { "" };
        let is_empty = both.iter().flatten().all(|one| **one == T::default());
        if is_empty {
            self.text(path, label, word(both[0]), word(both[1]));
        }
    }

    /// Element by element, each with its name: one that moved is named at both places.
    fn list<T: Default + PartialEq>(
        &mut self,
        path: &str,
        name: &str,
        [before, after]: [&[T]; 2],
        compare: fn(&mut Self, &str, &str, [Option<&T>; 2]),
    ) {
        for i in 0..before.len().max(after.len()) {
            let (label, both) = (format!("{name} {}", i + 1), [before.get(i), after.get(i)]);
            let found = self.all.len();
            compare(self, &format!("{path}[{i}]"), &label, both);
            if both.iter().any(Option::is_none) {
                self.all[found..].iter_mut().for_each(|it| it.element.clone_from(&label));
            }
        }
    }

    fn submitter(&mut self, before: Option<&Submitter>, after: Option<&Submitter>) {
        self.presence("$.submitter", "Submitter", [before, after]);
        let [one, two] = [before, after].map(|who| who.cloned().unwrap_or_default());
        self.texts(
            "$.submitter",
            &[
                ("name", "Submitter", [&one.name, &two.name]),
                ("email", "Submitter's address", [&one.email, &two.email]),
                ("department", "Department", [&one.department, &two.department]),
                ("employeeId", "Employee ID", [&one.employee_id, &two.employee_id]),
            ],
        );
    }

    fn document(&mut self, before: Option<&Document>, after: Option<&Document>) {
        self.presence("$.document", "Document", [before, after]);
        let [one, two] = [before, after].map(|document| document.cloned().unwrap_or_default());
        self.currencies = [&one, &two].map(|it| it.currency.clone());
        self.text("$.document.title", "Title", &one.title, &two.title);
        self.amount("$.document.amount", "Amount", [&one.amount, &two.amount]);
        self.texts(
            "$.document",
            &[
                ("currency", "Currency", [&one.currency, &two.currency]),
                ("category", "Category", [&one.category, &two.category]),
                ("description", "Description", [&one.description, &two.description]),
            ],
        );
        self.list("$.document.items", "Item", [&one.items, &two.items], Self::item);
        let attachments: [&[String]; 2] = [&one.attachments, &two.attachments];
        self.list("$.document.attachments", "Attachment", attachments, Self::attachment);
        self.list("$.document.details", "Detail", [&one.details, &two.details], Self::detail);
        self.action(one.action.as_ref(), two.action.as_ref());
    }

    fn item(&mut self, path: &str, label: &str, both: [Option<&Item>; 2]) {
        self.presence(path, label, both);
        let [one, two] = both.map(|item| item.cloned().unwrap_or_default());
        self.text(&format!("{path}.description"), label, &one.description, &two.description);
        let amounts = [&*one.amount, &two.amount];
        self.amount(&format!("{path}.amount"), &format!("{label}, amount"), amounts);
        self.date(&format!("{path}.date"), &format!("{label}, date"), [&one.date, &two.date]);
    }

    fn attachment(&mut self, path: &str, label: &str, both: [Option<&String>; 2]) {
        self.presence(path, label, both);
        let [one, two] = both.map(|uri| uri.map_or("", String::as_str));
        self.text(path, label, one, two);
    }

    fn detail(&mut self, path: &str, numbered: &str, both: [Option<&Detail>; 2]) {
        self.presence(path, numbered, both);
        let is_whole = both.iter().any(Option::is_none);
        let [one, two] = both.map(|detail| detail.cloned().unwrap_or_default());
        let labels = [&*one.label, &two.label];
        // Of a whole detail, the value says what it is.
        let shown = match is_whole && one.value != two.value {
            true => Default::default(),
            false => labels.map(str::to_owned),
        };
        self.push(&format!("{path}.label"), &format!("{numbered}, label"), labels, shown);
        let named = [labels[1], labels[0]].into_iter().find(|label| !label.is_empty());
        let label = named.unwrap_or(numbered);
        self.text(&format!("{path}.value"), label, &one.value, &two.value);
    }

    fn action(&mut self, before: Option<&Action>, after: Option<&Action>) {
        const PATH: &str = "$.document.action";
        self.presence(PATH, "Action", [before, after]);
        let [one, two] = [before, after].map(|action| action.cloned().unwrap_or_default());
        self.text(&format!("{PATH}.name"), "Action", &one.name, &two.name);
        let arguments = [&one.arguments, &two.arguments].map(Option::as_ref);
        self.arguments(&format!("{PATH}.arguments"), arguments);
        self.texts(
            PATH,
            &[
                ("risk", "Risk", [&one.risk, &two.risk]),
                ("reason", "Reason", [&one.reason, &two.reason]),
                ("onBehalfOf", "On behalf of", [&one.on_behalf_of, &two.on_behalf_of]),
            ],
        );
    }

    /// Those that hold no others, each by its place; or the whole, where that does not show it.
    fn arguments(&mut self, path: &str, both: [Option<&Json>; 2]) {
        let texts = both.map(|json| json.map_or("", Json::as_str));
        if texts[0] == texts[1] {
            return;
        }
        let found = self.all.len();
        let [before, after] = both.map(leaves);
        let places: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for place in places {
            let [one, two] = [&before, &after].map(|all| all.get(place).map_or("", String::as_str));
            let inside = if place.starts_with('[') { place.clone() } else { format!(".{place}") };
            let at = if place.is_empty() { path.to_owned() } else { format!("{path}{inside}") };
            let label = if place.is_empty() { "Arguments" } else { place };
            self.text(&at, label, one, two);
        }
        if self.all.len() == found {
            self.text(path, "Arguments", texts[0], texts[1]);
        }
    }

    fn field(&mut self, path: &str, label: &str, both: [Option<&Field>; 2]) {
        self.presence(path, label, both);
        let [one, two] = both.map(|field| field.cloned().unwrap_or_default());
        let before = [&one.choices, &one.required_for].map(|all| listed(all));
        let after = [&two.choices, &two.required_for].map(|all| listed(all));
        let [was_rules, is_rules] = [&one, &two].map(|it| if it.from_rule { "yes" } else { "" });
        self.texts(
            path,
            &[
                ("name", &format!("{label}, name"), [&one.name, &two.name]),
                ("label", label, [&one.label, &two.label]),
                ("type", &format!("{label}, type"), [&one.r#type, &two.r#type]),
                ("choices", &format!("{label}, choices"), [&before[0], &after[0]]),
                ("requiredFor", &format!("{label}, required for"), [&before[1], &after[1]]),
                ("fromRule", &format!("{label}, from the rule"), [was_rules, is_rules]),
            ],
        );
    }
}

/// As people read them, unless they would look the same.
fn told_apart(both: [&str; 2], shown: [String; 2]) -> [String; 2] {
    if shown[0] == shown[1] { both.map(str::to_owned) } else { shown }
}

/// By their places. Places are cut where they are long, so that one may stand for several.
fn leaves(json: Option<&Json>) -> BTreeMap<String, String> {
    let mut leaves: BTreeMap<String, String> = BTreeMap::new();
    for (place, value) in json.map(Json::leaves).unwrap_or_default() {
        let known = leaves.entry(place).or_default();
        let separator = if known.is_empty() { "" } else { ", " };
        *known += &format!("{separator}{value}");
    }
    leaves
}

/// Each in quotes, so that no two lists look alike.
fn listed(all: &[String]) -> String {
    all.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
