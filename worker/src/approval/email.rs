//! E-mail addresses as identities.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An e-mail address, in lower case: one person, however it is written.
///
/// RFC 5321 lets a mailbox distinguish case; no provider in use does, and two spellings must not
/// be two votes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
        // RFC 5321, 4.5.3.1: 64 and 255 octets; 254 in all by the erratum to RFC 3696.
        if text.len() > 254 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(NotAnEmailAddress);
        }
        let address: lettre::Address = text.parse().map_err(|_| NotAnEmailAddress)?;
        Ok(Self(address.to_string().to_lowercase()))
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = NotAnEmailAddress;

    fn try_from(text: String) -> Result<Self, NotAnEmailAddress> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_one_person() {
        let spelt = ["Ann@Example.com", "ann@example.com", "ANN@EXAMPLE.COM"];
        let parsed = spelt.map(|text| text.parse::<EmailAddress>());
        assert!(parsed.iter().all(|address| *address == parsed[0]));
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
        ] {
            assert_eq!(text.parse::<EmailAddress>(), Err(NotAnEmailAddress), "{text:?}");
        }
        let long = format!("{}@example.com", "a".repeat(250));
        assert_eq!(long.parse::<EmailAddress>(), Err(NotAnEmailAddress));
    }
}
