//! Amounts of money, exact.

use iso_currency::Currency;
use rust_decimal::Decimal;

/// An amount in a currency, with just that currency's number of decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotMoney {
    /// Not a decimal number.
    #[error("must be a decimal number, such as 125.50")]
    NotANumber,
    /// More decimals than the currency has.
    #[error("{0} has {1} decimals at most")]
    TooManyDecimals(&'static str, u32),
    /// Beyond what is handled exactly everywhere.
    #[error("must be below 1,000,000,000,000,000")]
    TooLarge,
}

/// Why a text names no currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 currency code in capitals, such as USD")]
pub struct NotACurrency;

/// A currency by its ISO 4217 code. Codes without a minor unit, such as gold's, are none.
pub fn currency(code: &str) -> Result<Currency, NotACurrency> {
    Currency::from_code(code).filter(|currency| currency.exponent().is_some()).ok_or(NotACurrency)
}

impl Money {
    /// An amount as people write it: `15750`, `15750.00`, `1.575e4`. The sign is the caller's to
    /// judge.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, NotMoney> {
        let decimals = currency.exponent().map_or(0, u32::from);
        // Every digit has to arrive: a number with more than a Decimal holds is refused, not
        // rounded, as `from_scientific` alone would do before the exponent.
        let amount = match text.split_once(['e', 'E']) {
            Some((digits, _)) => {
                Decimal::from_str_exact(digits).and_then(|_| Decimal::from_scientific(text))
            }
            None => Decimal::from_str_exact(text),
        };
        let amount = amount.map_err(|_| why_not(text, currency.code(), decimals))?;
        if amount.abs() >= Decimal::from(1_000_000_000_000_000_u64) {
            return Err(NotMoney::TooLarge);
        }
        let mut amount = amount.normalize();
        if amount.scale() > decimals {
            return Err(NotMoney::TooManyDecimals(currency.code(), decimals));
        }
        amount.rescale(decimals);
        Ok(Self { amount, currency })
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.amount.is_sign_negative() && !self.amount.is_zero()
    }

    /// The sum of amounts in one currency.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Self {
        let mut amount: Decimal = amounts.into_iter().map(|money| money.amount).sum();
        amount.rescale(currency.exponent().map_or(0, u32::from));
        Self { amount, currency }
    }

    /// The amount alone.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The digits alone, such as `15750.00`.
    pub fn digits(&self) -> String {
        self.amount.to_string()
    }
}

/// Why a text that is no Decimal is none.
fn why_not(text: &str, code: &'static str, decimals: u32) -> NotMoney {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let numeric =
        !whole.is_empty() && format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit());
    let places = whole.trim_start_matches('0').len() as i64;
    match exponent.parse::<i32>() {
        Ok(exponent) if numeric && places + i64::from(exponent) > 15 => NotMoney::TooLarge,
        Ok(_) if numeric => NotMoney::TooManyDecimals(code, decimals),
        _ => NotMoney::NotANumber,
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
        for text in ["", "twelve", "1,000.00", "0x10", "NaN", "Infinity", "1..2", "1e", "$5"] {
            assert_eq!(parsed(text, "USD"), Err(NotMoney::NotANumber), "{text}");
        }
        for (text, code, decimals) in [("1.005", "USD", 2), ("0.5", "JPY", 0), ("1e-40", "USD", 2)]
        {
            let refused = parsed(text, code);
            assert_eq!(
                refused,
                Err(NotMoney::TooManyDecimals(if code == "JPY" { "JPY" } else { "USD" }, decimals)),
                "{text}"
            );
        }
        for digits in [format!("100.00{}1", "0".repeat(30)), format!("0.{}", "3".repeat(40))] {
            for text in [format!("{digits}e0"), format!("{digits}E1"), digits] {
                assert_eq!(
                    parsed(&text, "USD"),
                    Err(NotMoney::TooManyDecimals("USD", 2)),
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
        for code in ["usd", "US", "XXX", "XAU", "ABC", "", "USDT"] {
            assert_eq!(currency(code), Err(NotACurrency), "{code}");
        }
    }
}
