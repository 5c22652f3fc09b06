//! The base of every link.

use std::{fmt, net::IpAddr, str::FromStr};

use url::Url;

/// The signaler's URL (`COUNTERSIGN_PUBLIC_URL`): the worker's links start with it, and the signaler
/// answers below its path. Has no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    path: String,
    origin: String,
    is_loopback: bool,
}

/// Why a string is not a public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicUrl {
    /// It does not parse as a URL.
    #[error("must be a URL such as https://approvals.example.com: {0}")]
    Malformed(#[from] url::ParseError),
    /// Neither http nor https.
    #[error("must start with https:// or http://")]
    Scheme,
    /// A link could not start with it.
    #[error("must not have a query or a fragment")]
    Tail,
    /// Everybody who gets a link would see them.
    #[error("must not have a user name or a password")]
    Credentials,
    /// Proxies and mail programs may rewrite other characters.
    #[error("may have only letters, digits and -._~ between the slashes of its path")]
    Path,
}

impl PublicUrl {
    /// All of it, such as `https://example.com/approvals`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What browsers send as `Origin` from its pages, such as `https://example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What follows the host, such as `/approvals`; may be empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether browsers reach it by TLS, and from other machines.
    pub fn is_public_https(&self) -> bool {
        self.text.starts_with("https:") && !self.is_loopback
    }

    /// Whether links travel without TLS to other machines.
    pub fn is_in_clear(&self) -> bool {
        self.text.starts_with("http:") && !self.is_loopback
    }
}

/// Whether a URL's host is this machine: `localhost`, 127.0.0.0/8 or `::1`, in brackets or without.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let url = Url::parse(text.trim())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidPublicUrl::Scheme);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidPublicUrl::Tail);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidPublicUrl::Credentials);
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
        let path = url.path().trim_end_matches('/');
        if !path.bytes().all(plain) || path.contains("//") {
            return Err(InvalidPublicUrl::Path);
        }
        Ok(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            path: path.to_owned(),
            origin: url.origin().ascii_serialization(),
            is_loopback: url.host_str().is_some_and(is_loopback),
        })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_address_perhaps_with_a_path() {
        for (text, whole, path) in [
            ("https://approvals.example.com", "https://approvals.example.com", ""),
            (" http://127.0.0.1:8088/ ", "http://127.0.0.1:8088", ""),
            ("https://example.com/sign/off-2/", "https://example.com/sign/off-2", "/sign/off-2"),
        ] {
            let url: PublicUrl = text.parse().expect("a public URL");
            assert_eq!((url.as_str(), url.path()), (whole, path), "{text}");
        }
    }

    #[test]
    fn its_origin_is_as_browsers_write_it() {
        for (text, origin) in [
            ("https://approvals.example.com/sign/off", "https://approvals.example.com"),
            ("HTTPS://Approvals.Example.com:443/", "https://approvals.example.com"),
            ("http://127.0.0.1:8088", "http://127.0.0.1:8088"),
            ("https://prüfung.example/", "https://xn--prfung-4ya.example"),
            ("http://[::1]:80/a", "http://[::1]"),
        ] {
            let url: PublicUrl = text.parse().expect("a public URL");
            assert_eq!(url.origin(), origin, "{text}");
        }
    }

    #[test]
    fn links_stay_on_loopback_or_travel_by_tls_or_in_the_clear() {
        for (text, https, in_clear) in [
            ("http://localhost:8088", false, false),
            ("http://LOCALHOST/", false, false),
            ("http://127.0.0.1", false, false),
            ("http://127.255.3.4", false, false),
            ("http://127.1", false, false),
            ("http://[::1]:8088", false, false),
            ("http://[::ffff:127.0.0.1]", false, false),
            ("https://localhost", false, false),
            ("https://approvals.example.com", true, false),
            ("HTTPS://192.0.2.1", true, false),
            ("http://approvals.example.com", false, true),
            ("http://localhost.example.com", false, true),
            ("http://127.0.0.1.example.com", false, true),
            ("http://0.0.0.0:8088", false, true),
            ("http://192.168.1.2:8088", false, true),
            ("http://[::2]", false, true),
        ] {
            let url: PublicUrl = text.parse().expect("a public URL");
            assert_eq!((url.is_public_https(), url.is_in_clear()), (https, in_clear), "{text}");
        }
    }

    #[test]
    fn it_is_nothing_more() {
        for (text, why) in [
            ("", InvalidPublicUrl::Malformed(url::ParseError::RelativeUrlWithoutBase)),
            (
                "approve.example.com",
                InvalidPublicUrl::Malformed(url::ParseError::RelativeUrlWithoutBase),
            ),
            ("https://", InvalidPublicUrl::Malformed(url::ParseError::EmptyHost)),
            ("ftp://x.example", InvalidPublicUrl::Scheme),
            ("https://x.example/?a=b", InvalidPublicUrl::Tail),
            ("https://x.example/#a", InvalidPublicUrl::Tail),
            ("https://me@x.example/", InvalidPublicUrl::Credentials),
            ("https://:secret@x.example/", InvalidPublicUrl::Credentials),
            ("https://x.example/a//b", InvalidPublicUrl::Path),
            ("https://x.example/a%20b", InvalidPublicUrl::Path),
            ("https://x.example/ö", InvalidPublicUrl::Path),
        ] {
            assert_eq!(text.parse::<PublicUrl>(), Err(why), "{text}");
        }
    }
}
