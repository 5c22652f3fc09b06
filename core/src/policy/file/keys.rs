//! The keys of the files that people write. What reads these files, their schemas and the help with mistakes
//! follow these tables, so that they cannot differ.

mod expectations;
mod policy;

pub(super) use self::{expectations::EXPECTATIONS, policy::POLICY};

/// A key of a table, or what an array or a table with names of one's own holds.
#[derive(Debug)]
pub(super) struct Key {
    /// Empty for a whole file.
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) form: Form,
    /// As it is written.
    pub(super) example: &'static str,
    /// What it means, in Markdown. Editors show it.
    pub(super) about: &'static str,
}

/// What a value looks like.
#[derive(Debug)]
pub(super) enum Form {
    Boolean,
    /// A decimal number, or a string of one.
    Number,
    /// Any number that a double holds, or a string of one.
    Double,
    /// `"any"`, `"all"` or a number.
    Quorum,
    Date,
    /// A date, with a time or without one.
    Moment,
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// One of these strings, or an array of them, which may be empty.
    Choices(&'static [&'static str]),
    /// A string, or an array of at least one.
    Texts,
    /// A string, or an array of them, which may be empty.
    AnyTexts,
    /// An array of dates and strings.
    Days,
    /// A table of these keys.
    Keys(&'static [Key]),
    /// A table of these keys, or a string, a number, true or false, or an array of at least one of them.
    Condition(&'static [Key]),
    /// An array of such tables.
    Tables(&'static [Key]),
    /// A table with names of one's own, each with such a value.
    Names(&'static Key),
    /// The path of a JSON file, or the same as a table.
    Json,
}

impl Key {
    const fn new(
        name: &'static str,
        form: Form,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        Self { name, required: false, form, example, about }
    }

    const fn required(self) -> Self {
        let Self { name, form, example, about, .. } = self;
        Self { name, required: true, form, example, about }
    }

    /// The keys of a table, or of each table in an array.
    pub(super) fn keys(&self) -> &'static [Key] {
        match &self.form {
            Form::Keys(keys) | Form::Tables(keys) | Form::Condition(keys) => keys,
            _ => &[],
        }
    }

    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| key.name == name)
    }

    /// How a key that another table has is written, in each place of the file where it may be.
    pub(super) fn places(&self, name: &str) -> Vec<String> {
        let mut places = Vec::new();
        self.add_places("", name, &mut places);
        places
    }

    fn add_places(&self, path: &str, name: &str, places: &mut Vec<String>) {
        let header = match (path, &self.form) {
            (_, Form::Tables(_)) => format!("[[{path}]]"),
            _ => format!("[{path}]"),
        };
        for key in self.keys() {
            let inside =
                if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            if key.name == name {
                places.push(match &key.form {
                    Form::Tables(_) => format!("[[{inside}]]"),
                    Form::Keys(_) | Form::Names(_) => format!("[{inside}]"),
                    _ => header.clone(),
                });
            }
            key.add_places(&inside, name, places);
        }
    }
}
