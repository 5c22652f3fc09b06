//! The decision core is pure: no clock, no randomness, no I/O, and nothing of the code around it.
//!
//! Read from its source, without its tests.

use std::{fs, path::Path};

/// The modules that a path may go through: the core's own, and of others what cannot do anything.
const MODULES: &[&str] = &[
    "borrow",
    "cmp",
    "countersign_protos",
    "email",
    "fmt",
    "hash",
    "icu_normalizer",
    "idna",
    "iter",
    "jiff",
    "lettre",
    "num",
    "quorum",
    "serde",
    "stage",
    "std",
    "str",
    "super",
    "thiserror",
];

/// What those modules lead to, and is not for the core.
const WORDS: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant",
    "RandomState",
    "SystemTime",
    "async",
    "await",
    "now()",
    "rand",
];

#[test]
fn the_core_imports_nothing_from_outside() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/approval");
    for entry in fs::read_dir(folder).expect("the core's folder") {
        let path = entry.expect("a file").path();
        let source = fs::read_to_string(&path).expect("readable");
        for (number, line) in (1..).zip(without_tests(&source).lines()) {
            if let Some(what) = foreign(line) {
                panic!("{}:{number}: {what} is not for the core: {line}", path.display());
            }
        }
    }
}

#[test]
fn what_the_core_may_not_use_is_seen() {
    for line in [
        "use crate::case::Case;",
        "pub use crate::policy::{Absence, Wait};",
        "    let plan: crate::validation::Plan = before;",
        "use super::super::approval::Approval;",
        "use std::time::Duration;",
        "use std::{fmt, time::Duration};",
        "    let at = std::time::Instant::now();",
        "    let at = Timestamp::now();",
        "    std::fs::remove_file(name)?;",
        "    let chance: u8 = rand::random();",
        "use std::hash::RandomState;",
        "use rand as chance;",
        "    let id = uuid::Uuid::new_v4();",
        "    tokio::spawn(task);",
        "use temporalio_sdk::WorkflowContext;",
        "    pub async fn vote(&mut self) {",
        "    votes: HashMap<String, Vote>,",
        "    tracing::info!(\"counted\");",
    ] {
        assert!(foreign(line).is_some(), "{line}");
    }
    for line in [
        "use std::{fmt, num::NonZeroUsize, str::FromStr};",
        "    pub fn vote(&mut self, ballot: Ballot, now: Timestamp) -> Receipt {",
        "    let brand = votes.collect::<Vec<_>>(); // tokio::spawn knows nothing of it",
        "//! No clock such as std::time::Instant, nothing async.",
    ] {
        assert_eq!(foreign(line), None, "{line}");
    }
}

/// What of a file is built into the product. Tests are a file of their own, or a module at the end.
fn without_tests(source: &str) -> &str {
    if source.lines().find(|line| !line.is_empty() && !line.starts_with("//"))
        == Some("#![cfg(test)]")
    {
        return "";
    }
    let Some((code, tests)) = source.split_once("\n#[cfg(test)]\n") else { return source };
    assert!(tests.starts_with("mod tests {"), "only the tests at the end are left out");
    assert_eq!(tests.find("\n}\n"), Some(tests.len() - 3), "nothing follows the tests");
    code
}

/// The first thing in a line of code that the core may not use.
fn foreign(line: &str) -> Option<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let module = modules(code).find(|module| !MODULES.contains(module));
    module.or_else(|| WORDS.iter().copied().find(|word| has_word(code, word)))
}

/// The modules that a line's paths go through: what begins in lower case before a `::`.
fn modules(code: &str) -> impl Iterator<Item = &str> {
    let names = code.match_indices("::").filter(|(at, _)| !code[at + 2..].starts_with('<'));
    names
        .map(|(at, _)| &code[..at])
        .map(|before| &before[before.rfind(|c| !is_of_a_name(c)).map_or(0, |i| i + 1)..])
        .filter(|name| name.starts_with(|c: char| c.is_lowercase() || c == '_'))
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_of_a_name) && !code[at + word.len()..].starts_with(is_of_a_name)
    })
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
