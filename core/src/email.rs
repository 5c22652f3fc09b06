//! E-mail addresses as identities.

use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use email_address::EmailAddress as Rfc5321;
use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};
use unicode_security::{MixedScript, skeleton};

/// An e-mail address in lower case, its domain in ASCII.
///
/// Two addresses of one mailbox are equal, because two spellings must not be two votes: `==`, `Ord` and
/// `Hash` ignore a `+tag` (RFC 5233), and at `gmail.com` and `googlemail.com`, which are the same, dots
/// (<https://support.google.com/mail/answer/7436150>). Nor are two that only look alike: a letter beyond
/// ASCII counts as those it can be mistaken for (UTS 39, 4). Mail goes to the address as written, which is
/// [`as_str`](Self::as_str); never compare people by that.
///
/// RFC 5321 lets mailboxes distinguish case; no provider in use does. Quoted local parts, which are other
/// spellings of plain ones (RFC 5321, 4.1.2), and IP addresses as domains are refused. Letters that Unicode
/// spells in several ways are composed (NFC).
///
/// Deserialising checks nothing: recorded addresses were checked, and stricter rules must not stop an open
/// approval.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEmailAddress {
    #[error("must be an e-mail address, such as ann@example.com")]
    Malformed,
    /// Its local part has variants of other letters, such as ⅿ (Unicode, 3.7, compatibility).
    #[error("must have plain letters before the @, not variants such as ⅿ or ｍ")]
    Variants,
    /// Its local part has letters of more than one script (UTS 39, 5.1).
    #[error("must not mix letters of different scripts before the @, such as Latin and Cyrillic")]
    MixedScripts,
}

impl EmailAddress {
    /// The address as mail is sent to it, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In ASCII and lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The mailbox and its domain, in one spelling.
    fn person(&self) -> (Cow<'_, str>, Cow<'_, str>) {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        // Of +4930123456@example.com, nothing would be left.
        let tag = local.char_indices().find(|(at, c)| *at > 0 && *c == '+');
        let mailbox = tag.map_or(local, |(at, _)| &local[..at]);
        match domain {
            "gmail.com" | "googlemail.com" => {
                (appearance(&mailbox.replace('.', "")).into_owned().into(), "gmail.com".into())
            }
            domain if domain.contains("xn--") => {
                let (domain, _) = idna::domain_to_unicode(domain);
                (appearance(mailbox), appearance(&domain).into_owned().into())
            }
            domain => (appearance(mailbox), domain.into()),
        }
    }
}

/// What a text can be mistaken for, in ASCII as far as possible. ASCII itself is left as it is.
fn appearance(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => seen.push(c),
            false => seen.extend(skeleton(c.encode_utf8(&mut [0; 4]))),
        }
    }
    seen.to_lowercase().into()
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.person() == other.person()
    }
}

impl Eq for EmailAddress {}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.person().hash(state);
    }
}

impl PartialOrd for EmailAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EmailAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        self.person().cmp(&other.person())
    }
}

impl FromStr for EmailAddress {
    type Err = NotAnEmailAddress;

    fn from_str(text: &str) -> Result<Self, NotAnEmailAddress> {
        // Lower case can be longer, even two letters: check what is kept.
        let text =
            ComposingNormalizerBorrowed::new_nfc().normalize(&text.to_lowercase()).into_owned();
        let (local, domain) = text.rsplit_once('@').ok_or(NotAnEmailAddress::Malformed)?;
        let domain = idna::domain_to_ascii(domain).map_err(|_| NotAnEmailAddress::Malformed)?;
        let text = format!("{local}@{domain}");
        // RFC 5321, 4.5.3.1: 64 and 255 octets; 254 in all by the erratum to RFC 3696.
        // IP addresses are refused: no top-level domain is a number (RFC 3696, 2).
        let top = domain.rsplit('.').next().unwrap_or_default();
        let is_name = domain.split('.').all(is_label) && !top.chars().all(|c| c.is_ascii_digit());
        let is_line = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if text.len() > 254 || !is_line || local.starts_with('"') || !is_name {
            return Err(NotAnEmailAddress::Malformed);
        }
        if !Rfc5321::is_valid_local_part(local) || !Rfc5321::is_valid_domain(&domain) {
            return Err(NotAnEmailAddress::Malformed);
        }
        if ComposingNormalizerBorrowed::new_nfkc().normalize(local) != local {
            return Err(NotAnEmailAddress::Variants);
        }
        if !local.is_single_script() {
            return Err(NotAnEmailAddress::MixedScripts);
        }
        Ok(Self(text))
    }
}

/// Whether this is a label of a domain: letters, digits, and hyphens inside (RFC 5321, 4.1.2), and
/// underscores, which old networks use. So text that is pasted along with an address, such as `?subject=`
/// or a full stop, is refused.
fn is_label(label: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let inside = !label.starts_with('-') && !label.ends_with('-');
    (1..=63).contains(&label.len()) && label.chars().all(allowed) && inside
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    };

    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> EmailAddress {
        text.parse().unwrap_or_else(|_| panic!("{text} is an address"))
    }

    fn hash(address: &EmailAddress) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(address)
    }

    #[test]
    fn spellings_of_one_address_are_one_person() {
        for spelt in [
            ["Ann@Example.com", "ann@example.com", "ANN@EXAMPLE.COM"],
            ["ann@münchen.de", "ann@MÜNCHEN.de", "ann@xn--mnchen-3ya.de"],
            ["ann@müller.example", "Ann+Boss@MÜLLER.example", "ann@xn--mller-kva.example"],
            ["jürgen@example.com", "ju\u{308}rgen@example.com", "JU\u{308}RGEN@example.com"],
            ["carol.davis+boss@example.com", "CAROL.DAVIS@EXAMPLE.COM", "carol.davis+@example.com"],
            ["ann+a@example.com", "ann+b+c@example.com", "ann@example.com"],
            ["annlee@gmail.com", "Ann.Lee+x@GoogleMail.com", "a.n.n.l.e.e@googlemail.com"],
            // In Cyrillic letters, and in those beside ASCII.
            ["cop@example.com", "сор@example.com", "COP+x@example.com"],
            ["ann@example.com", "ann@ехаmрӏе.com", "ann@xn--m-7sboc8c1a38g.com"],
        ] {
            let set: BTreeSet<EmailAddress> = spelt.map(address).into_iter().collect();
            let hashed: BTreeSet<u64> = spelt.map(|text| hash(&address(text))).into();
            assert_eq!((set.len(), hashed.len()), (1, 1), "{spelt:?}");
        }
    }

    #[test]
    fn other_people_stay_other_people() {
        for [one, other] in [
            ["carol.davis@example.com", "caroldavis@example.com"],
            ["ann@example.com", "ann@mail.example.com"],
            ["ann@gmail.com", "ann@example.com"],
            ["+491@example.com", "+492@example.com"],
            ["ann-lee@example.com", "ann@example.com"],
            ["ann@mueller.example", "ann@müller.example"],
            ["jurgen@example.com", "jürgen@example.com"],
        ] {
            assert_ne!(address(one), address(other));
        }
    }

    #[test]
    fn mail_goes_to_the_address_as_it_is_written() {
        for [written, sent] in [
            ["Carol.Davis+Boss@Example.com", "carol.davis+boss@example.com"],
            ["Ann.Lee+x@GoogleMail.com", "ann.lee+x@googlemail.com"],
            ["ann@localhost", "ann@localhost"],
        ] {
            assert_eq!(address(written).as_str(), sent);
            assert_eq!(serde_json::json!(address(written)), sent);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn what_is_an_address_is_read_again_as_the_same(
            local in "[a-zäÄİȺßΣK.+\"-]{1,40}", domain in "[a-zA-ZİßΣ-]{1,9}\\.(de|com|İ)"
        ) {
            if let Ok(address) = format!("{local}@{domain}").parse::<EmailAddress>() {
                let again = address.as_str().parse().map(|again: EmailAddress| again.0);
                prop_assert_eq!(again, Ok(address.0));
            }
        }

        #[test]
        fn equal_addresses_are_equal_in_every_way(
            one in "[ab.+]{1,5}@(gmail|googlemail|a)\\.com",
            other in "[ab.+]{1,5}@(gmail|googlemail|a)\\.com",
        ) {
            if let (Ok(one), Ok(other)) = (one.parse::<EmailAddress>(), other.parse()) {
                prop_assert_eq!(one == other, one.cmp(&other).is_eq());
                prop_assert!(one != other || hash(&one) == hash(&other));
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
            // What is copied from a sentence or a link along with it.
            "carol.davis@example.com.",
            "nia@example.com?subject=x",
            "boss@example.com#x",
            "boss@example.com/x",
            "nia@ex%61mple.com",
            "\"carol.davis\"@example.com",
            "nia@example..com",
            "nia@-example.com",
        ] {
            assert_eq!(text.parse::<EmailAddress>(), Err(NotAnEmailAddress::Malformed), "{text:?}");
        }
        // One Cyrillic letter among Latin ones.
        let mixed = "bоss@example.com".parse::<EmailAddress>();
        assert_eq!(mixed, Err(NotAnEmailAddress::MixedScripts));
        for variant in ["toⅿ@example.com", "𝐭𝐨𝐦@example.com", "ｔｏｍ@example.com"] {
            assert_eq!(variant.parse::<EmailAddress>(), Err(NotAnEmailAddress::Variants));
        }
        for long in ["a".repeat(250), "Ⱥ".repeat(32)] {
            let long = format!("{long}@example.com");
            assert_eq!(long.parse::<EmailAddress>(), Err(NotAnEmailAddress::Malformed));
        }
    }
}
