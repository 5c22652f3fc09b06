//! Amounts, times and untrusted text, as mails and pages show them.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::names::COMMENT_MAX_CHARS;

/// An identity names a process and its host.
const MAX_IDENTITY_CHARS: usize = 100;

/// An amount with its digits grouped and its currency: `15,750.00 USD`.
///
/// No digit is lost or added; anything but a decimal number is shown as it is.
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

/// The time zone of this IANA name; UTC if it is empty or unknown.
pub fn time_zone(name: &str) -> TimeZone {
    match name {
        "" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    }
}

/// A time to the minute: `Fri 27 Nov 2026, 17:00 CET`. Empty if absent or out of range.
pub fn moment(time: Option<&pbjson_types::Timestamp>, zone: &TimeZone) -> String {
    let Some(time) = time.and_then(timestamp) else {
        return String::new();
    };
    let time = time.to_zoned(zone.clone());
    let zone = time.strftime("%Z").to_string();
    // Many zones have no abbreviation but their offset, such as -03.
    let utc = if zone.starts_with(['+', '-']) { "UTC" } else { "" };
    format!("{} {utc}{zone}", time.strftime("%a %-d %b %Y, %H:%M"))
}

/// A [`moment`] with the zone's name, unless that is UTC: `Fri 27 Nov 2026, 17:00 CET (Europe/Berlin)`.
pub fn full_moment(time: Option<&pbjson_types::Timestamp>, zone: &TimeZone) -> String {
    let moment = moment(time, zone);
    match zone.iana_name() {
        Some(name) if name != "UTC" && !moment.is_empty() => format!("{moment} ({name})"),
        _ => moment,
    }
}

/// A calendar date: `Fri 20 Nov 2026`. Anything else is shown as it is.
pub fn day(date: &str) -> String {
    match date.parse::<Date>() {
        Ok(date) => date.strftime("%a %-d %b %Y").to_string(),
        Err(_) => clean_line(date),
    }
}

/// The first second of year 1, in seconds since 1970: protobuf's minimum.
pub(crate) const YEAR_1: i64 = -62_135_596_800;

/// A message's time; `None` outside protobuf's own range: years 1 to 9999, with nanoseconds that count
/// forward (`google/protobuf/timestamp.proto`).
pub fn timestamp(time: &pbjson_types::Timestamp) -> Option<Timestamp> {
    let time = (time.seconds >= YEAR_1 && time.nanos >= 0).then_some(time)?;
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

/// The last part of an attachment's URI.
pub fn attachment_name(uri: &str) -> &str {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(uri)
}

/// What somebody is called where their address does not stand beside it: a name that looks like another
/// address gets the real one.
pub fn display_name(name: &str, address: &str) -> String {
    let (name, address) = (clean_line(name), clean_line(address));
    let looks_like_an_address = name.contains(['@', '\u{FE6B}', '\u{FF20}']);
    match looks_like_an_address && !name.eq_ignore_ascii_case(&address) {
        true => format!("{name} <{address}>"),
        false => name,
    }
}

/// Removes invisible characters that could mislead: control characters, and those that reorder or
/// hide the text around them. Line breaks and tabs stay.
pub fn clean(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| !misleads(*c)).collect()
}

/// What a program will use, as people read it: nothing is removed, and what [`clean`] would remove or nobody
/// would see is named, as in `⟨U+202E⟩`.
pub fn visible(text: &str) -> String {
    named(text, |c| misleads(c) || is_blank(c))
}

/// [`visible`], on one line.
pub fn visible_line(text: &str) -> String {
    named(text, |c| c.is_control() || misleads(c) || is_blank(c))
}

fn named(text: &str, is_named: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_named(c) {
            true => shown.push_str(&format!("⟨U+{:04X}⟩", c as u32)),
            false => shown.push(c),
        }
    }
    shown
}

/// [`clean`], on one line.
pub fn clean_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Who a signal's sender claims to be, as it is kept: on one line, and not for ever.
pub fn identity(claimed: &str) -> String {
    clean_line(claimed).chars().take(MAX_IDENTITY_CHARS).collect()
}

/// What somebody typed, as it is kept: [clean], and no longer than a comment may be. A longer one ends with
/// `…` where it is cut.
pub fn comment(text: &str) -> String {
    let kept = clean(text);
    let mut chars = kept.trim().chars();
    let mut kept: String = chars.by_ref().take(COMMENT_MAX_CHARS).collect();
    if chars.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// Includes other line breaks, and Unicode's invisible language tags. Joiners of letters and emoji
/// (U+200C, U+200D) stay.
fn misleads(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether a letter or sign of some script looks like nothing between those of another: soft hyphens, and
/// fillers.
fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'
            ..='\u{180F}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}'
    )
}

/// The name that is spelt most alike, if one is close enough.
pub fn did_you_mean<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance =
        |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let closest = names.into_iter().map(|known| (distance(known), known)).min()?;
    (closest.0 <= closest.1.chars().count().div_ceil(3)).then_some(closest.1)
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
        assert_eq!(moment(Some(&time), &TimeZone::UTC), "Fri 27 Nov 2026, 16:00 UTC");
        assert_eq!(full_moment(Some(&time), &TimeZone::UTC), "Fri 27 Nov 2026, 16:00 UTC");
        assert_eq!(moment(None, &TimeZone::UTC), "");
        assert_eq!(full_moment(None, &time_zone("Europe/Berlin")), "");
        let far = pbjson_types::Timestamp { seconds: i64::MAX, nanos: 0 };
        assert_eq!(moment(Some(&far), &TimeZone::UTC), "");
    }

    #[test]
    fn days_are_written_as_in_moments() {
        assert_eq!(day("2026-11-20"), "Fri 20 Nov 2026");
        assert_eq!(day("in\tautumn\n"), "in autumn");
        assert_eq!(day(""), "");
    }

    #[test]
    fn moments_are_those_of_a_zone_and_name_it() {
        // Tuesday, 01:00 UTC.
        let time = to_message("2026-12-01T01:00:00Z".parse().expect("a time"));
        for (name, shown) in [
            ("America/Los_Angeles", "Mon 30 Nov 2026, 17:00 PST (America/Los_Angeles)"),
            ("America/Sao_Paulo", "Mon 30 Nov 2026, 22:00 UTC-03 (America/Sao_Paulo)"),
            ("Asia/Kathmandu", "Tue 1 Dec 2026, 06:45 UTC+0545 (Asia/Kathmandu)"),
            ("", "Tue 1 Dec 2026, 01:00 UTC"),
            ("Atlantis/Capital", "Tue 1 Dec 2026, 01:00 UTC"),
        ] {
            assert_eq!(full_moment(Some(&time), &time_zone(name)), shown);
            let short = shown.split(" (").next();
            assert_eq!(Some(&*moment(Some(&time), &time_zone(name))), short);
        }
        let summer = to_message("2026-07-01T10:00:00Z".parse().expect("a time"));
        let berlin = time_zone("Europe/Berlin");
        assert_eq!(moment(Some(&summer), &berlin), "Wed 1 Jul 2026, 12:00 CEST");
    }

    #[test]
    fn times_come_back_as_they_were_also_before_1970() {
        for nanos in [0, 1, -1, 1_795_795_200_123_456_789] {
            let time = Timestamp::from_nanosecond(nanos).expect("in range");
            assert_eq!(timestamp(&to_message(time)), Some(time));
        }
    }

    #[test]
    fn what_would_mislead_is_left_out_and_the_rest_stays() {
        assert_eq!(clean("a\u{202E}gpj.exe\u{2066}\0\u{7}b\r\nc\td\re"), "agpj.exeb\nc\td\ne");
        assert_eq!(clean("a\u{200B}b\u{61C}c\u{2028}d\u{2029}e\u{FEFF}f\u{E0041}g"), "abcdefg");
        assert_eq!(clean("Łódź 東京 مرحبا 👩‍💻"), "Łódź 東京 مرحبا 👩‍💻");
        assert_eq!(clean_line(" a\n\n b\t\u{200B}c "), "a b c");
    }

    #[test]
    fn what_a_program_will_use_is_shown_with_nothing_left_out() {
        assert_eq!(
            visible("rm\u{202E} -rf\r\n\ta\u{3164}b"),
            "rm⟨U+202E⟩ -rf⟨U+000D⟩\n\ta⟨U+3164⟩b"
        );
        assert_eq!(visible("Łódź 東京 مرحبا 👩‍💻"), "Łódź 東京 مرحبا 👩‍💻");
        assert_eq!(visible_line("a\n b"), "a⟨U+000A⟩ b");
    }

    #[test]
    fn a_name_does_not_pass_for_somebody_elses_address() {
        for (name, shown) in [
            ("Eve", "Eve"),
            ("eve@Example.com", "eve@Example.com"),
            ("ceo@example.com", "ceo@example.com <eve@example.com>"),
            ("ceo＠example.com", "ceo＠example.com <eve@example.com>"),
            ("The CEO <ceo@example.com>", "The CEO <ceo@example.com> <eve@example.com>"),
        ] {
            assert_eq!(display_name(name, "eve@example.com"), shown);
        }
    }

    #[test]
    fn comments_are_cut_and_cleaned_but_keep_their_lines() {
        assert_eq!(comment("  fine\u{0}\nsecond\u{1b}[31m line \r\n"), "fine\nsecond[31m line");
        let longest = "é".repeat(COMMENT_MAX_CHARS);
        assert_eq!(comment(&longest), longest, "nothing is cut");
        let cut = comment(&format!("{longest}!"));
        assert_eq!(cut.chars().count(), COMMENT_MAX_CHARS);
        assert!(cut.ends_with("é…"), "it can be seen");
        assert_eq!(comment(&cut), cut);
    }

    #[test]
    fn identities_are_cut_and_cleaned() {
        assert_eq!(identity(" 7@desk\u{202e}\nCFO "), "7@desk CFO");
        assert_eq!(identity(&"é".repeat(3_000)).chars().count(), MAX_IDENTITY_CHARS);
    }

    #[test]
    fn an_attachment_goes_by_its_file_name() {
        assert_eq!(attachment_name("s3://bucket/quotes/dell.pdf"), "dell.pdf");
        assert_eq!(attachment_name("https://x.example/a.pdf?v=2"), "a.pdf");
        assert_eq!(attachment_name("https://x.example/"), "x.example");
    }
}
