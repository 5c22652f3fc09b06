//! Links for the addresses in our sentences: mail programs make links of bare ones, in a colour of their own.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may stay as it is in a `mailto:` URI (RFC 6068, 2).
const ADDRESS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'@').remove(b'.').remove(b'-').remove(b'_').remove(b'+');
/// A link of so many characters fits on a line of a phone.
const MAX_UNBROKEN: usize = 32;

/// A part of a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Empty for plain text.
    pub(super) href: String,
    /// Whether it stays on one line.
    pub(super) is_unbroken: bool,
}

/// A sentence, in which the words that are among these addresses are links. What others have written beside
/// them never is.
pub(super) fn pieces(text: &str, addresses: &[String]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for word in text.split_inclusive(' ') {
        let bare = word.trim_matches(|c: char| " .,:;()<>".contains(c));
        let known = !bare.is_empty() && addresses.iter().any(|address| address == bare);
        match word.split_once(bare).filter(|_| known) {
            Some((before, after)) => pieces.extend([plain(before), link(bare), plain(after)]),
            None => pieces.push(plain(word)),
        }
    }
    pieces
}

fn plain(text: &str) -> Piece {
    Piece { text: text.to_owned(), href: String::new(), is_unbroken: false }
}

/// The address is of a mailbox, or the URL of a page.
fn link(address: &str) -> Piece {
    let href = match address.starts_with("https://") {
        true => address.to_owned(),
        false => format!("mailto:{}", utf8_percent_encode(address, ADDRESS)),
    };
    Piece { text: address.to_owned(), href, is_unbroken: address.chars().count() <= MAX_UNBROKEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_known_are_links_and_nothing_else_is() {
        let text = "Ask ann@example.com, bob@example.com (eve@laptop) or <a?b@example.com>.";
        let addresses = ["ann@example.com".to_owned(), "a?b@example.com".to_owned()];
        let pieces = pieces(text, &addresses);
        let all: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        assert_eq!(all, text);
        let links = pieces.iter().filter(|piece| !piece.href.is_empty());
        let links: Vec<_> = links.map(|piece| (&*piece.text, &*piece.href)).collect();
        assert_eq!(
            links,
            [
                ("ann@example.com", "mailto:ann@example.com"),
                ("a?b@example.com", "mailto:a%3Fb@example.com"),
            ]
        );
    }

    #[test]
    fn a_page_is_a_link_and_what_is_long_may_break() {
        let page = format!("https://intranet.example/{}", "approvals".repeat(3));
        let broken = pieces(&page, std::slice::from_ref(&page)).swap_remove(1);
        assert_eq!(broken, Piece { text: page.clone(), href: page, is_unbroken: false });
        let short = "it-help@example.com".to_owned();
        assert!(pieces(&short, std::slice::from_ref(&short))[1].is_unbroken);
    }
}
