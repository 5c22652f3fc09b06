//! What a revision changed: field by field, as people read it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Json,
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
}

/// Every field of what is decided that is not the same: none exactly if both have one
/// [digest](crate::digest).
pub fn differences(earlier: &Submission, later: &Submission) -> Vec<Difference> {
    let mut found = Differences::default();
    found.text("$.submissionId", "Submission", &earlier.submission_id, &later.submission_id);
    found.text("$.submissionType", "Type", &earlier.submission_type, &later.submission_type);
    found.submitter(earlier.submitter.as_ref(), later.submitter.as_ref());
    found.document(earlier.document.as_ref(), later.document.as_ref());
    found.list("$.fields", &earlier.fields, &later.fields, Differences::field);
    found.0
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn text(&mut self, path: &str, label: &str, before: &str, after: &str) {
        if before != after {
            let (before, after) = (before.to_owned(), after.to_owned());
            self.0.push(Difference {
                path: path.to_owned(),
                label: label.to_owned(),
                before,
                after,
            });
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

    /// Element by element: one that moved is named at both places.
    fn list<T: Default + PartialEq>(
        &mut self,
        path: &str,
        before: &[T],
        after: &[T],
        compare: fn(&mut Self, &str, usize, [Option<&T>; 2]),
    ) {
        for i in 0..before.len().max(after.len()) {
            compare(self, &format!("{path}[{i}]"), i + 1, [before.get(i), after.get(i)]);
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
        self.texts(
            "$.document",
            &[
                ("title", "Title", [&one.title, &two.title]),
                ("amount", "Amount", [&one.amount, &two.amount]),
                ("currency", "Currency", [&one.currency, &two.currency]),
                ("category", "Category", [&one.category, &two.category]),
                ("description", "Description", [&one.description, &two.description]),
            ],
        );
        self.list("$.document.items", &one.items, &two.items, Self::item);
        let attachments = [&one.attachments, &two.attachments];
        self.list("$.document.attachments", attachments[0], attachments[1], Self::attachment);
        self.list("$.document.details", &one.details, &two.details, Self::detail);
        self.action(one.action.as_ref(), two.action.as_ref());
    }

    fn item(&mut self, path: &str, number: usize, both: [Option<&Item>; 2]) {
        let label = format!("Item {number}");
        self.presence(path, &label, both);
        let [one, two] = both.map(|item| item.cloned().unwrap_or_default());
        self.texts(
            path,
            &[
                ("description", &label, [&one.description, &two.description]),
                ("amount", &format!("{label}, amount"), [&one.amount, &two.amount]),
                ("date", &format!("{label}, date"), [&one.date, &two.date]),
            ],
        );
    }

    fn attachment(&mut self, path: &str, number: usize, both: [Option<&String>; 2]) {
        let label = format!("Attachment {number}");
        self.presence(path, &label, both);
        let [one, two] = both.map(|uri| uri.map_or("", String::as_str));
        self.text(path, &label, one, two);
    }

    fn detail(&mut self, path: &str, number: usize, both: [Option<&Detail>; 2]) {
        let numbered = format!("Detail {number}");
        self.presence(path, &numbered, both);
        let [one, two] = both.map(|detail| detail.cloned().unwrap_or_default());
        let named = [&two.label, &one.label].into_iter().find(|label| !label.is_empty());
        let labels = format!("{numbered}, label");
        self.text(&format!("{path}.label"), &labels, &one.label, &two.label);
        let label = named.unwrap_or(&numbered);
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
        let found = self.0.len();
        let [before, after] = both.map(leaves);
        let places: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for place in places {
            let [one, two] = [&before, &after].map(|all| all.get(place).map_or("", String::as_str));
            let inside = if place.starts_with('[') { place.clone() } else { format!(".{place}") };
            let at = if place.is_empty() { path.to_owned() } else { format!("{path}{inside}") };
            let label = if place.is_empty() { "Arguments" } else { place };
            self.text(&at, label, one, two);
        }
        if self.0.len() == found {
            self.text(path, "Arguments", texts[0], texts[1]);
        }
    }

    fn field(&mut self, path: &str, number: usize, both: [Option<&Field>; 2]) {
        let label = format!("Field {number}");
        self.presence(path, &label, both);
        let [one, two] = both.map(|field| field.cloned().unwrap_or_default());
        let before = [&one.choices, &one.required_for].map(|all| listed(all));
        let after = [&two.choices, &two.required_for].map(|all| listed(all));
        let [was_rules, is_rules] = [&one, &two].map(|it| if it.from_rule { "yes" } else { "" });
        self.texts(
            path,
            &[
                ("name", &format!("{label}, name"), [&one.name, &two.name]),
                ("label", &label, [&one.label, &two.label]),
                ("type", &format!("{label}, type"), [&one.r#type, &two.r#type]),
                ("choices", &format!("{label}, choices"), [&before[0], &after[0]]),
                ("requiredFor", &format!("{label}, required for"), [&before[1], &after[1]]),
                ("fromRule", &format!("{label}, from the rule"), [was_rules, is_rules]),
            ],
        );
    }
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
