//! Decimal numbers as people and programs write them, without losing a digit.

/// A decimal number, in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// A minus or nothing.
    pub sign: &'a str,
    /// The digits before the decimals, without leading zeros.
    pub whole: &'a str,
    /// The decimals; empty without a point.
    pub fraction: &'a str,
    /// What is behind an `e`.
    pub exponent: Option<i64>,
}

impl<'a> Written<'a> {
    /// Reads a number that has this character before its decimals; `None` if it is none.
    pub fn parse(text: &'a str, point: char) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(self::exponent(exponent)?)),
            None => (text, None),
        };
        let (sign, digits) = mantissa.split_at(usize::from(mantissa.starts_with('-')));
        let (whole, fraction) = match digits.split_once(point) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        (are_digits(whole) && fraction.is_none_or(are_digits)).then(|| Self {
            sign,
            whole: whole.trim_start_matches('0'),
            fraction: fraction.unwrap_or_default(),
            exponent,
        })
    }

    /// Whether what stands before the digits behind it may group thousands.
    pub fn has_three_decimals(&self) -> bool {
        self.fraction.len() == 3 && self.exponent.is_none()
    }
}

/// A number's own digits, as JSON has them. Three digits after its point are decimals (RFC 8259, 6), and get a fourth
/// one to show that: in a string they may be thousands.
pub(crate) fn of_json(number: &str) -> String {
    let decimals = number.split_once('.').map_or("", |(_, decimals)| decimals);
    let is_plain = decimals.len() == 3 && are_digits(decimals);
    format!("{number}{}", if is_plain { "0" } else { "" })
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is behind an `e`. Anything beyond 64 bits is too large in any case.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let size: i64 = are_digits(digits).then(|| digits.parse().unwrap_or(i64::MAX))?;
    Some(if text.starts_with('-') { -size } else { size })
}
