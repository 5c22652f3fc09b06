//! Ranges of amounts and of other numbers.

use std::fmt;

use countersign_protos::text;
use iso_currency::Currency;
use rust_decimal::Decimal;

/// A range of numbers; each bound with whether it is included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bounds<N> {
    pub(super) low: Option<(N, bool)>,
    pub(super) high: Option<(N, bool)>,
}

impl<N: PartialOrd + Copy> Bounds<N> {
    pub(super) fn contain(&self, number: N) -> bool {
        let low = self.low.is_none_or(|(low, inside)| number > low || (inside && number == low));
        let high =
            self.high.is_none_or(|(high, inside)| number < high || (inside && number == high));
        low && high
    }

    /// In words.
    pub(super) fn told(&self, number: impl Fn(N) -> String) -> String {
        let bound = |word: &str, bound: N| format!("{word} {}", number(bound));
        let low = self.low.map(|(low, inside)| bound(if inside { "from" } else { "above" }, low));
        let high =
            self.high.map(|(high, inside)| bound(if inside { "up to" } else { "below" }, high));
        low.into_iter().chain(high).collect::<Vec<_>>().join(" ")
    }
}

impl Bounds<Decimal> {
    /// Whether it contains no amount of the currency.
    pub(super) fn is_empty(&self, currency: Currency) -> bool {
        let step = smallest(currency);
        let first = self.low.map(|(low, inside)| if inside { low } else { low + step });
        let last = self.high.map(|(high, inside)| if inside { high } else { high - step });
        last.is_some_and(|last| last < first.unwrap_or(Decimal::ZERO))
    }
}

impl fmt::Display for Bounds<Decimal> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(|amount| text::money(&amount.to_string(), "")))
    }
}

/// The smallest amount of a currency.
pub(super) fn smallest(currency: Currency) -> Decimal {
    Decimal::new(1, currency.exponent().unwrap_or(0).into())
}
