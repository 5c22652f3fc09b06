//! What was probably meant by something that is wrong, as it would have to be written.

use crate::money::{self, Money};

/// What other systems call a key that the rules have by another name.
const ALIASES: [(&str, &[&str]); 9] = [
    ("up_to", &["max", "maximum", "at_most", "lte", "le", "to"]),
    ("from", &["min", "minimum", "at_least", "gte", "ge"]),
    ("below", &["less_than", "under", "lt"]),
    ("above", &["more_than", "greater_than", "over", "gt"]),
    ("reviewers", &["approvers", "approver", "users", "people", "groups"]),
    ("deadline", &["timeout", "due", "expires"]),
    ("when", &["if", "condition", "conditions", "match"]),
    ("decision", &["action", "result", "then"]),
    ("escalate", &["escalation", "escalations", "levels"]),
];

/// The key that is meant by an alias, if the table has it.
pub(super) fn alias(name: &str, is_known: impl Fn(&str) -> bool) -> Option<&'static str> {
    let name = name.to_lowercase();
    let means = |(key, aliases): &&(&str, &[&str])| {
        is_known(key) && aliases.iter().any(|alias| *alias == name)
    };
    ALIASES.iter().find(means).map(|(key, _)| *key)
}

/// How people and other systems write bounds; what is longer comes before its beginning.
const COMPARISONS: [(&str, &[&str]); 4] = [
    ("up_to", &["<=", "=<", "≤", "up to", "at most", "max"]),
    ("from", &[">=", "=>", "≥", "from", "at least", "min"]),
    ("below", &["<", "less than", "below", "under"]),
    ("above", &[">", "more than", "above", "over"]),
];

/// A condition such as `<= 2000 CHF` as the rules write it: `when.amount = { CHF = { up_to = 2000 } }`. What
/// it does not say is filled in, so that the form can be seen; `currency` is known where the rest is its value.
pub(super) fn amount(text: &str, currency: Option<&str>) -> String {
    let text = text.trim().to_lowercase();
    let found = COMPARISONS.iter().find_map(|(bound, signs)| {
        signs.iter().find_map(|sign| text.strip_prefix(sign)).map(|rest| (*bound, rest))
    });
    let (bound, rest) = found.unwrap_or(("up_to", text.as_str()));
    let mut words = rest.split(|c: char| c.is_whitespace() || c.is_ascii_alphabetic());
    let digits = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let number = words.find(digits).unwrap_or("2000").replace('\'', "_");
    let mut letters = rest.split(|c: char| !c.is_ascii_alphabetic());
    let named = letters.find_map(|word| money::currency(word).ok());
    let known = currency.and_then(|code| money::currency(code).ok());
    let currency = known.or(named).unwrap_or(iso_currency::Currency::EUR);
    let is_plain = Money::parse(&number.replace('_', ""), currency).is_ok();
    let number = if is_plain { &*number } else { "2000" };
    format!("`when.amount = {{ {} = {{ {bound} = {number} }} }}`", currency.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_is_written_as_a_comparison_is_shown_as_a_range() {
        for (written, right) in [
            ("<= 2000 CHF", "{ CHF = { up_to = 2000 } }"),
            ("≤2000CHF", "{ CHF = { up_to = 2000 } }"),
            ("> 99.50 usd", "{ USD = { above = 99.50 } }"),
            ("CHF 2'000", "{ CHF = { up_to = 2_000 } }"),
            ("at least EUR 500", "{ EUR = { from = 500 } }"),
            ("< 10000 JPY", "{ JPY = { below = 10000 } }"),
            // A thousand or one? It is not for us to say.
            (">= 1.000 EUR", "{ EUR = { from = 2000 } }"),
            ("500", "{ EUR = { up_to = 500 } }"),
            ("small", "{ EUR = { up_to = 2000 } }"),
        ] {
            assert_eq!(amount(written, None), format!("`when.amount = {right}`"), "{written}");
        }
        let right = "`when.amount = { USD = { below = 20 } }`";
        assert_eq!(amount("< 20", Some("usd")), right);
    }
}
