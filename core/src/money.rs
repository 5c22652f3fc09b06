//! Exact amounts of money.

use countersign_protos::Written;
use iso_currency::Currency;
use rust_decimal::Decimal;

/// An amount with its currency's number of decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// Why a string is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMoney {
    #[error(
        "must be a decimal number, such as 1500 or 125.50: a point before the decimals, digits on \
         both sides of it, and no spaces or other signs"
    )]
    NotANumber,
    /// Its separator, with three digits behind it, may group thousands.
    #[error(
        "{text:?} could mean {thousands} or {decimals}: write one of them ({})",
        at_most(.currency)
    )]
    Ambiguous {
        text: String,
        /// The amount if the separator groups thousands.
        thousands: String,
        /// The amount if it is a decimal point.
        decimals: String,
        currency: Currency,
    },
    #[error("{}", at_most(.0))]
    TooManyDecimals(Currency),
    /// Not exact in every system.
    #[error("must be below 1,000,000,000,000,000")]
    TooLarge,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 currency code, such as USD")]
pub struct NotACurrency;

/// The most digits before the decimals: every amount is below 10^15.
const MAX_PLACES: usize = 15;

/// The currency of an ISO 4217 code, ignoring case. Codes without a minor unit, such as gold's, are
/// refused.
pub fn currency(code: &str) -> Result<Currency, NotACurrency> {
    let currency = Currency::from_code(&code.to_ascii_uppercase());
    currency.filter(|currency| currency.exponent().is_some()).ok_or(NotACurrency)
}

impl Money {
    /// Reads an amount as systems write it: `15750`, `15750.00`, `1.575e4`. It may be negative.
    ///
    /// # Errors
    /// Whatever has two readings, such as `15.000` in a currency with fewer decimals, is refused rather
    /// than read as the smaller amount.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, NotMoney> {
        let Some(written) = Written::parse(text, '.') else {
            // A decimal comma is refused, with both readings if it is ambiguous too.
            let comma = Written::parse(text, ',').filter(Written::has_three_decimals);
            return Err(comma.map_or(NotMoney::NotANumber, |it| ambiguous(it, ',', currency)));
        };
        if written.has_three_decimals() && decimals(currency) < 3 {
            return Err(ambiguous(written, '.', currency));
        }
        amount(written, currency)
    }

    pub fn is_negative(&self) -> bool {
        self.amount.is_sign_negative() && !self.amount.is_zero()
    }

    /// The sum of amounts in one currency.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Self {
        let mut amount: Decimal = amounts.into_iter().map(|money| money.amount).sum();
        amount.rescale(decimals(currency));
        Self { amount, currency }
    }

    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// Without the currency, such as `15750.00`.
    pub fn digits(&self) -> String {
        self.amount.to_string()
    }
}

/// The currency's number of decimals.
fn decimals(currency: Currency) -> u32 {
    currency.exponent().map_or(0, u32::from)
}

fn at_most(currency: &Currency) -> String {
    match (currency.code(), decimals(*currency)) {
        (code, 0) => format!("{code} has no decimals"),
        (code, decimals) => format!("{code} has {decimals} decimals at most"),
    }
}

/// The exact amount. Digits are counted here, because no library says whether it kept every digit of a long
/// number.
fn amount(written: Written<'_>, currency: Currency) -> Result<Money, NotMoney> {
    let digits = format!("{}{}", written.whole, written.fraction);
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    let decimals = decimals(currency);
    if significant.is_empty() {
        return Ok(Money { amount: Decimal::new(0, decimals), currency });
    }
    // The amount is the significant digits times ten to this power.
    let zeros = (digits.len() - significant.len()) as i64 - written.fraction.len() as i64;
    let power = written.exponent.unwrap_or(0).saturating_add(zeros);
    if power.saturating_add(significant.len() as i64) > MAX_PLACES as i64 {
        return Err(NotMoney::TooLarge);
    }
    let shift = u32::try_from(power.saturating_add(decimals.into()))
        .map_err(|_| NotMoney::TooManyDecimals(currency))?;
    let units: i128 = significant.parse().map_err(|_| NotMoney::TooLarge)?;
    let mut amount = Decimal::from_i128_with_scale(units * 10_i128.pow(shift), decimals);
    amount.set_sign_negative(!written.sign.is_empty());
    Ok(Money { amount, currency })
}

/// Why three digits behind this character are refused, with both readings.
fn ambiguous(written: Written<'_>, point: char, currency: Currency) -> NotMoney {
    let Written { sign, whole, fraction, .. } = written;
    // It is too large in either reading, and the message stays short.
    if whole.len() > MAX_PLACES {
        return NotMoney::TooLarge;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let joined = format!("{whole}{fraction}");
    let thousands = Written { whole: &joined, fraction: "", ..written };
    let shown = |written: Written<'_>, otherwise: String| {
        amount(written, currency).map_or(otherwise, |money| money.digits())
    };
    NotMoney::Ambiguous {
        text: format!("{sign}{whole}{point}{fraction}"),
        thousands: shown(thousands, format!("{sign}{joined}")),
        decimals: shown(written, format!("{sign}{whole}.{fraction}")),
        currency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, code: &str) -> Result<String, NotMoney> {
        let currency = currency(code).expect("a currency");
        Money::parse(text, currency).map(|money| money.digits())
    }

    #[test]
    fn an_amount_has_its_currencys_decimals() {
        for (text, code, digits) in [
            ("15750", "USD", "15750.00"),
            ("15750.0", "USD", "15750.00"),
            ("1.575e4", "USD", "15750.00"),
            ("125.5000", "EUR", "125.50"),
            ("980.00", "JPY", "980"),
            ("1.234", "BHD", "1.234"),
            ("0", "USD", "0.00"),
            ("-5", "USD", "-5.00"),
            ("999999999999999.99", "USD", "999999999999999.99"),
        ] {
            assert_eq!(parsed(text, code), Ok(digits.into()), "{text} {code}");
        }
    }

    #[test]
    fn what_is_no_exact_amount_is_refused_with_its_reason() {
        for text in ["", "twelve", "1,000.00", "0x10", "NaN", "Infinity", "1..2", "1e", "$5", "--1"]
        {
            assert_eq!(parsed(text, "USD"), Err(NotMoney::NotANumber), "{text}");
        }
        for (text, currency) in
            [("1.0051", Currency::USD), ("0.5", Currency::JPY), ("1e-40", Currency::USD)]
        {
            let refused = parsed(text, currency.code());
            assert_eq!(refused, Err(NotMoney::TooManyDecimals(currency)), "{text}");
        }
        for digits in [format!("100.00{}1", "0".repeat(30)), format!("0.{}", "3".repeat(40))] {
            for text in [format!("{digits}e0"), format!("{digits}E1"), digits] {
                assert_eq!(
                    parsed(&text, "USD"),
                    Err(NotMoney::TooManyDecimals(Currency::USD)),
                    "{text}"
                );
            }
        }
        for text in ["1000000000000000", "1e300", "99999999999999999999999999999999999999"] {
            assert_eq!(parsed(text, "USD"), Err(NotMoney::TooLarge), "{text}");
        }
    }

    #[test]
    fn only_currencies_that_money_is_counted_in_are_known() {
        for code in ["US", " USD", "ſek", "XXX", "XAU", "ABC", "", "USDT"] {
            assert_eq!(currency(code), Err(NotACurrency), "{code}");
        }
    }
}
