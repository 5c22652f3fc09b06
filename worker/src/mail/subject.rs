//! Subjects, which tell requests apart, also where they are cut.

use std::fmt;

/// Programs show fewer characters than this.
const MAX_CHARS: usize = 120;
/// Marks what was cut. ASCII, so that every spelling keeps its length.
const CUT: &str = "...";

/// What to do, about what, for how much or by which action, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    start: String,
    title: String,
    lead: String,
    whose: String,
}

impl Subject {
    pub(crate) fn new(start: &str, title: &str, lead: &str, whose: &str) -> Self {
        let [start, title, lead, whose] = [start, title, lead, whose].map(without_encoded_words);
        Self { start, title, lead, whose }
    }

    /// The same in another spelling.
    pub(crate) fn spelt(&self, spell: impl Fn(&str) -> String) -> Self {
        let Self { start, title, lead, whose } = self;
        Self::new(&spell(start), &spell(title), &spell(lead), &spell(whose))
    }

    /// In at most this many characters, besides those that isolate right-to-left text. The title is cut,
    /// so that the rest stays.
    pub(crate) fn within(&self, max: usize) -> String {
        let whose = isolated(cut(&self.whose, max / 4));
        let lead = isolated(cut(&self.lead, max / 4));
        let rest = [&lead, &whose].into_iter().filter(|part| !part.is_empty());
        let rest: String = rest.map(|part| format!(", {part}")).collect();
        let taken = self.start.chars().count() + ": ".len() + rest.chars().count();
        let title = isolated(cut(&self.title, max.saturating_sub(taken)));
        format!("{}: {title}{rest}", self.start)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.within(MAX_CHARS))
    }
}

/// In at most this many characters.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(CUT.len())).collect();
    format!("{}{CUT}", kept.trim_end())
}

/// Between the characters that isolate a direction (UAX 9, 2.4), if some of it is written from right to left:
/// its numbers would otherwise change places with those that follow.
fn isolated(text: String) -> String {
    match text.chars().any(is_right_to_left) {
        true => format!("\u{2068}{text}\u{2069}"),
        false => text,
    }
}

/// By the blocks whose unassigned characters are right-to-left, too (UAX 9, 3.2).
fn is_right_to_left(c: char) -> bool {
    matches!(c,
        '\u{0590}'..='\u{08FF}'
        | '\u{FB1D}'..='\u{FDFF}'
        | '\u{FE70}'..='\u{FEFF}'
        | '\u{10800}'..='\u{10FFF}'
        | '\u{1E800}'..='\u{1EFFF}')
}

/// Breaks up `=?…?=`, which mail programs decode (RFC 2047, 2): they would show other text than the page,
/// or characters that are removed elsewhere.
fn without_encoded_words(text: &str) -> String {
    text.replace("=?", "= ?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_title_is_cut_and_amount_and_person_stay() {
        let title = "Everything that the new office in Leipzig needs ".repeat(4);
        let subject = Subject::new("Please decide", &title, "15,750.00 USD", "from Sue Storm");
        for max in [99, MAX_CHARS] {
            let cut = subject.within(max);
            assert!(cut.chars().count() <= max, "{cut}");
            assert!(cut.starts_with("Please decide: Everything that the new office"), "{cut}");
            assert!(cut.ends_with("..., 15,750.00 USD, from Sue Storm"), "{cut}");
        }
        let long = Subject::new("Please decide", &title, "1.00 USD", &"from Sue ".repeat(30));
        assert!(long.within(99).len() <= 99, "{}", long.within(99));
        assert!(long.within(99).contains(", 1.00 USD, from Sue from Sue"), "{}", long.within(99));
    }

    #[test]
    fn a_long_action_leaves_room_for_the_title() {
        let action = "warehouse.inventory.adjustments.write_off_permanently";
        let subject = Subject::new("Please decide", "Chairs", action, "from Sue").to_string();
        assert_eq!(subject, "Please decide: Chairs, warehouse.inventory.adjustm..., from Sue");
    }

    #[test]
    fn what_is_missing_leaves_no_comma() {
        let approved = |whose| Subject::new("Approved", "Chairs", "", whose).to_string();
        assert_eq!(approved("PO-1"), "Approved: Chairs, PO-1");
        assert_eq!(approved(""), "Approved: Chairs");
    }

    /// Without the isolates, 15 stands where the amount belongs.
    #[test]
    fn a_right_to_left_title_keeps_its_numbers_to_itself() {
        let subject = Subject::new("Please decide", "מחשבים 15", "750.00 ILS", "from סו");
        assert_eq!(
            subject.to_string(),
            "Please decide: \u{2068}מחשבים 15\u{2069}, 750.00 ILS, \u{2068}from סו\u{2069}"
        );
    }

    #[test]
    fn another_spelling_brings_in_no_encoded_words() {
        let subject = Subject::new("Please decide", "Größe", "1.00 EUR", "from Zoë");
        let spelt = subject.spelt(|text| text.replace("ß", "=?").replace(['ö', 'ë'], "o"));
        assert_eq!(spelt.within(99), "Please decide: Gro= ?e, 1.00 EUR, from Zoo");
    }
}
