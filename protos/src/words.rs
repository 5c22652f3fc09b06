//! Amounts and times as mails and pages show them.

use jiff::{Timestamp, tz::TimeZone};

/// An amount with its digits grouped and its currency: `15,750.00 USD`.
///
/// `amount` is shown digit for digit; a text that is no decimal number is shown as it is.
pub fn money(amount: &str, currency: &str) -> String {
    let (sign, digits) = match amount.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", amount),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let numeric = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    let mut text = sign.to_owned();
    for (i, c) in whole.chars().enumerate() {
        if numeric && i > 0 && (whole.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(c);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    if !currency.is_empty() {
        text.push(' ');
        text.push_str(currency);
    }
    text
}

/// A moment, to the minute and in UTC: `Fri 27 Nov 2026, 16:00 UTC`. Empty where there is none.
pub fn moment(time: Option<&pbjson_types::Timestamp>) -> String {
    let Some(time) = time.and_then(timestamp) else {
        return String::new();
    };
    time.to_zoned(TimeZone::UTC).strftime("%a %-d %b %Y, %H:%M UTC").to_string()
}

/// The time of a message; `None` where it is out of range.
pub fn timestamp(time: &pbjson_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// A time for a message.
pub fn to_message(time: Timestamp) -> pbjson_types::Timestamp {
    // Protobuf counts nanoseconds forward from the second, also before 1970.
    let nanos = time.as_nanosecond();
    pbjson_types::Timestamp {
        seconds: nanos.div_euclid(1_000_000_000) as i64,
        nanos: nanos.rem_euclid(1_000_000_000) as i32,
    }
}

/// The last part of an attachment's URI, which is what people know it by.
pub fn attachment_name(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_every_digit() {
        for (amount, currency, shown) in [
            ("15750.00", "USD", "15,750.00 USD"),
            ("125.50", "EUR", "125.50 EUR"),
            ("1500", "JPY", "1,500 JPY"),
            ("-20.00", "USD", "-20.00 USD"),
            ("999999999999999.999", "BHD", "999,999,999,999,999.999 BHD"),
            ("0.00", "USD", "0.00 USD"),
            ("much", "USD", "much USD"),
            ("", "", ""),
        ] {
            assert_eq!(money(amount, currency), shown);
        }
    }

    #[test]
    fn moments_are_readable_and_absent_ones_empty() {
        let time = pbjson_types::Timestamp { seconds: 1_795_795_200, nanos: 5 };
        assert_eq!(moment(Some(&time)), "Fri 27 Nov 2026, 16:00 UTC");
        assert_eq!(moment(None), "");
        let far = pbjson_types::Timestamp { seconds: i64::MAX, nanos: 0 };
        assert_eq!(moment(Some(&far)), "");
    }

    #[test]
    fn times_come_back_as_they_were_also_before_1970() {
        for nanos in [0, 1, -1, 1_795_795_200_123_456_789] {
            let time = Timestamp::from_nanosecond(nanos).expect("in range");
            assert_eq!(timestamp(&to_message(time)), Some(time));
        }
    }

    #[test]
    fn an_attachment_goes_by_its_file_name() {
        assert_eq!(attachment_name("s3://bucket/quotes/dell.pdf"), "dell.pdf");
        assert_eq!(attachment_name("https://x.example/a.pdf?v=2"), "a.pdf");
        assert_eq!(attachment_name("https://x.example/"), "x.example");
    }
}
