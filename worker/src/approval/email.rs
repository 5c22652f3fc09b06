//! E-mail addresses as identities.

use std::{fmt, str::FromStr};

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

/// An e-mail address in lower case, its domain in ASCII: one person, however it is written.
///
/// RFC 5321 lets a mailbox distinguish case; no provider in use does, and two spellings must not
/// be two votes. So a quoted local part, which is another spelling of the plain one (RFC 5321,
/// 4.1.2), is no address here, nor is one with an IP address for a domain; and letters that Unicode
/// spells in several ways are composed (NFC).
///
/// What was recorded is read as it is: it was checked, and stricter rules must not stop an approval
/// that is open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

/// A text that is no e-mail address by RFC 5321.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address, such as ann@example.com")]
pub struct NotAnEmailAddress;

impl EmailAddress {
    /// The address, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = NotAnEmailAddress;

    fn from_str(text: &str) -> Result<Self, NotAnEmailAddress> {
        // A letter may become longer, or two, in lower case: what is kept is what is checked.
        let text =
            ComposingNormalizerBorrowed::new_nfc().normalize(&text.to_lowercase()).into_owned();
        let (local, domain) = text.rsplit_once('@').ok_or(NotAnEmailAddress)?;
        let domain = idna::domain_to_ascii(domain).map_err(|_| NotAnEmailAddress)?;
        let text = format!("{local}@{domain}");
        // RFC 5321, 4.5.3.1: 64 and 255 octets; 254 in all by the erratum to RFC 3696.
        // An IP address is none: no top-level domain is a number (RFC 3696, 2).
        let top = domain.rsplit('.').next().unwrap_or_default();
        let is_name = !domain.contains(['[', ':']) && !top.chars().all(|c| c.is_ascii_digit());
        let is_line = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if text.len() > 254 || !is_line || local.starts_with('"') || !is_name {
            return Err(NotAnEmailAddress);
        }
        let address: lettre::Address = text.parse().map_err(|_| NotAnEmailAddress)?;
        Ok(Self(address.to_string()))
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_person() {
        for spelt in [
            ["Ann@Example.com", "ann@example.com", "ANN@EXAMPLE.COM"],
            ["ann@münchen.de", "ann@MÜNCHEN.de", "ann@xn--mnchen-3ya.de"],
            ["jürgen@example.com", "ju\u{308}rgen@example.com", "JU\u{308}RGEN@example.com"],
        ] {
            let parsed = spelt.map(|text| text.parse::<EmailAddress>());
            assert!(parsed[0].is_ok() && parsed.iter().all(|address| *address == parsed[0]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_an_address_is_read_again_as_the_same(
            local in "[a-zäÄİȺßΣK.+\"-]{1,40}", domain in "[a-zA-ZİßΣ-]{1,9}\\.(de|com|İ)"
        ) {
            if let Ok(address) = format!("{local}@{domain}").parse::<EmailAddress>() {
                prop_assert_eq!(address.as_str().parse(), Ok(address.clone()));
            }
        }
    }

    #[test]
    fn what_was_recorded_is_read_as_it_is() {
        for recorded in ["\"ann\"@example.com", "ann@münchen.de", "i\u{307}nfo@example.com"] {
            let json = serde_json::json!(recorded);
            let read: EmailAddress = serde_json::from_value(json.clone()).expect("a text");
            assert_eq!(serde_json::json!(read), json);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ann",
            "ann@",
            "@example.com",
            "ann@exa mple.com",
            "ann@example.com\r\nBcc: x@y.z",
            "Ann <ann@example.com>",
            "a@b@c",
            " ann@example.com",
            "\"ann\"@example.com",
            "ann@[192.0.2.1]",
            "ann@192.0.2.1",
            "ann@[IPv6:2001:db8::1]",
            "ann@2001:db8::1",
            "İnfo@example.com",
        ] {
            assert_eq!(text.parse::<EmailAddress>(), Err(NotAnEmailAddress), "{text:?}");
        }
        for long in ["a".repeat(250), "Ⱥ".repeat(32)] {
            let long = format!("{long}@example.com");
            assert_eq!(long.parse::<EmailAddress>(), Err(NotAnEmailAddress));
        }
    }
}
