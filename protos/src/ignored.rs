//! Why a signal had no effect: `ignored_because`, as the workflow writes it for people, and as the signaler reads it to
//! say it to whom it is about.

use jiff::Timestamp;

use crate::{text::clean_line, v1::Problem};

/// Of how many problems a reason tells, and how much of each: their sender may have written any number.
const MAX_PROBLEMS: usize = 10;
const MAX_PROBLEM_CHARS: usize = 200;

const UNUSABLE: &str = "the submission cannot be used: ";

/// That the signal of this name turned out to have no effect at this time: `SIGNAL at TIME: WHY`.
pub fn entry(signal: &str, at: Timestamp, why: &str) -> String {
    format!("{signal} at {at:.0}: {why}")
}

/// What an [`entry`] says of why; `None` if it is about a signal of another name.
pub fn why<'a>(entry: &'a str, signal: &str) -> Option<&'a str> {
    let at = entry.strip_prefix(signal)?.strip_prefix(" at ")?;
    // Behind the time, which has colons of its own.
    at.split_once(": ").map(|(_, why)| why)
}

/// A reason with whom the signal was about.
pub fn about(why: &str, whom: &str) -> String {
    format!("{why} ({whom})")
}

/// Whether a reason names this one behind it.
pub fn is_about(why: &str, whom: &str) -> bool {
    why.ends_with(&about("", whom))
}

/// Whom a delegation is about.
pub fn delegated_to(colleague: &str) -> String {
    format!("to {colleague}")
}

/// Why a signal cannot be read that has something else in this field. It is not repeated.
pub fn not_an_address(field: &str) -> String {
    format!("`{field}` is not an e-mail address")
}

/// Why a submission takes no other's place.
pub fn unusable(problems: &[Problem]) -> String {
    let problem = |problem: &Problem| {
        let said = match problem.path.as_str() {
            "$" => clean_line(&problem.message),
            path => clean_line(&format!("{path} {}", problem.message)),
        };
        match said.char_indices().nth(MAX_PROBLEM_CHARS) {
            Some((end, _)) => format!("{}…", &said[..end]),
            None => said,
        }
    };
    let told: Vec<String> = problems.iter().take(MAX_PROBLEMS).map(problem).collect();
    let more = match problems.len().saturating_sub(MAX_PROBLEMS) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{UNUSABLE}{}{more}", told.join("; "))
}

/// The problems that [`unusable`] tells of, by their paths without the `$`; `None` if it is another reason, or begins
/// with what is wrong with the whole submission.
pub fn problems(why: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
    let problems = why.strip_prefix(UNUSABLE)?.strip_prefix('$')?;
    Some(problems.split("; $").map(|problem| problem.split_once(' ').unwrap_or((problem, ""))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let at: Timestamp = "2026-11-24T09:00:00Z".parse().expect("a time");
        let fay = delegated_to("fay@example.com");
        let refused = about("it is over: nobody can be asked", &fay);
        let entry = entry("reassign", at, &refused);
        let expected = "reassign at 2026-11-24T09:00:00Z: it is over: nobody can be asked (to fay@example.com)";
        assert_eq!(entry, expected);
        assert_eq!(why(&entry, "reassign"), Some(&*refused));
        assert_eq!((why(&entry, "re"), why(&entry, "revise")), (None, None));
        assert!(is_about(&refused, &fay));
        for other in
            ["it is over (to gus@example.com)", "it is over (ann@example.com to fay@example.com)"]
        {
            assert!(!is_about(other, &fay), "{other}");
        }
    }

    #[test]
    fn problems_are_read_with_their_places() {
        let at = |path: &str, message: &str| Problem { path: path.into(), message: message.into() };
        let read = |all: &[Problem]| {
            let why = unusable(all);
            let read = problems(&why)?.map(|(path, message)| format!("{path}|{message}"));
            Some(read.collect::<Vec<_>>())
        };
        let title = at("$.document.title", "is too long: 300; at most 200");
        let whole = at("$", "changes nothing");
        let read_title = ".document.title|is too long: 300; at most 200";
        let both = [title.clone(), at("$.priority", "is not known")];
        assert_eq!(
            read(&both),
            Some(vec![read_title.to_owned(), ".priority|is not known".to_owned()])
        );
        assert_eq!(read(&[whole, title]), None);
        assert!(problems("a reviewer has already decided").is_none());
    }
}
