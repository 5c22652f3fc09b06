//! How links and approval IDs arrive: mail programs, chats and people change both on their way. Whatever is
//! forgiven here still has to pass the keyed check. Pure.

use countersign_protos::{ApprovalId, Verdict};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::form_urlencoded;

/// Where the page of a link is: `/a/ID/WORKFLOW`.
const PAGE: &str = "/a/";
/// A longer text is not a link.
const MAX_PASTED_BYTES: usize = 4 * 1024;
/// What RFC 3986, 2.3, leaves as it is, without the dot: `.` and `..` have a meaning in paths.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// What a link says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Linked {
    /// As it arrived: perhaps none.
    pub(crate) id: String,
    /// The ID of the workflow that has issued the link, as anybody may write it.
    pub(crate) workflow_id: Option<String>,
    /// The button that was chosen in the mail.
    pub(crate) choice: Option<Verdict>,
}

impl Linked {
    /// From a path's segments, decoded. A question mark that was encoded on the way has become part of the last one.
    pub(crate) fn in_path(
        id: String,
        workflow_id: Option<String>,
        choice: Option<Verdict>,
    ) -> Self {
        let (id, of_id) = match id.split_once(['?', '#']) {
            Some((id, query)) => (id.to_owned(), choice_of(query)),
            None => (id, None),
        };
        // A workflow's ID may have question marks of its own.
        let hint = workflow_id.map(|hint| match hint.rsplit_once('?') {
            Some((hint, query)) if query.starts_with("choice=") => {
                (hint.to_owned(), choice_of(query))
            }
            _ => (hint, None),
        });
        let (workflow_id, of_hint) = hint.unzip();
        Self { id, workflow_id, choice: choice.or(of_id).or(of_hint.flatten()) }
    }

    /// From what somebody has typed or pasted: an approval ID, a mailed link, or a text with one of these in it.
    /// `None` if there is none, or more than one.
    pub(crate) fn in_field(text: &str) -> Option<Self> {
        let found = |id: ApprovalId| Self { id: id.reveal(), ..Self::default() };
        if let Ok(id) = text.parse() {
            return Some(found(id));
        }
        if text.len() > MAX_PASTED_BYTES {
            return None;
        }
        let decoded = decoded(text);
        // A link may be wrapped in another one, such as a mail scanner's.
        let linked = Self::in_link(text).or_else(|| Self::in_link(&decoded));
        linked.or_else(|| ApprovalId::find(&decoded).map(found))
    }

    /// From the only link in a text.
    fn in_link(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let starts = lower.match_indices(PAGE).map(|(at, page)| &text[at + page.len()..]);
        let mut links = starts.filter_map(Self::at_start);
        links.next().filter(|_| links.next().is_none())
    }

    /// From a text that begins with a link's approval ID.
    fn at_start(text: &str) -> Option<Self> {
        let link = text.split(|c: char| c.is_whitespace() || "<>\"".contains(c)).next()?;
        let (path, query) = link.split_once(['?', '#']).unwrap_or((link, ""));
        let mut segments = path.split('/').map(decoded);
        let id: ApprovalId = segments.next()?.parse().ok()?;
        let workflow_id = segments.next().filter(|hint| !hint.is_empty());
        Some(Self { id: id.reveal(), workflow_id, choice: choice_of(query) })
    }

    /// The address of the page, below the public URL's path.
    pub(crate) fn page(&self, root: &str) -> String {
        let hint = self.workflow_id.as_deref().map(|hint| utf8_percent_encode(hint, SEGMENT));
        let hint = hint.map(|hint| format!("/{hint}")).unwrap_or_default();
        let choice = self.choice.map(|verdict| format!("?choice={}", verdict.terms().name));
        format!("{root}{PAGE}{}{hint}{}", self.id, choice.unwrap_or_default())
    }
}

/// The approval ID in the path of a page that does not exist; empty if there is none.
pub(crate) fn id_in(path: &str) -> String {
    ApprovalId::find(&decoded(path)).map(|id| id.reveal()).unwrap_or_default()
}

/// A path as it was meant; `None` if it is so already. Repeated slashes come from a base URL that ends with one, and
/// a slash at the end, or capitals, from whoever has copied a link. `root` is the public URL's path.
pub(crate) fn mended(path: &str, root: &str) -> Option<String> {
    let mut merged = path.to_owned();
    while merged.contains("//") {
        merged = merged.replace("//", "/");
    }
    let below = merged.strip_prefix(root).filter(|below| below.starts_with('/'));
    let (root, below) = below.map_or(("", &*merged), |below| (root, below));
    let is_page = below.get(..PAGE.len()).is_some_and(|start| start.eq_ignore_ascii_case(PAGE));
    let mended = match is_page {
        true => format!("{root}{PAGE}{}", below[PAGE.len()..].trim_end_matches('/')),
        false => merged,
    };
    (mended != path).then_some(mended)
}

fn choice_of(query: &str) -> Option<Verdict> {
    let mut values = form_urlencoded::parse(query.as_bytes());
    let choice = values.find_map(|(name, value)| (name == "choice").then_some(value));
    chosen(&choice?)
}

/// The button of a mail that a link names: mails have the two that need no words.
pub(crate) fn chosen(name: &str) -> Option<Verdict> {
    Verdict::from_name(name).filter(|verdict| *verdict != Verdict::RequestChanges)
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T";

    fn linked(workflow_id: &str, choice: Option<Verdict>) -> Linked {
        let workflow_id = Some(workflow_id.to_owned()).filter(|hint| !hint.is_empty());
        Linked { id: ID.into(), workflow_id, choice }
    }

    #[test]
    fn a_pasted_link_keeps_its_workflow_and_its_choice() {
        let approve = Some(Verdict::Approve);
        for (text, expected) in [
            ("https://ok.example/a/ID/laptops?choice=approve", linked("laptops", approve)),
            ("ok.example/a/ID/laptops?choice=approve", linked("laptops", approve)),
            ("HTTPS://OK.EXAMPLE/A/ID", linked("", None)),
            ("see <https://ok.example/base/a/ID/laptops>.", linked("laptops", None)),
            ("https://ok.example/a/ID/a%2Fb%3F?choice=maybe", linked("a/b?", None)),
            // The ID of a document in MongoDB can be read as an approval ID.
            (
                "https://ok.example/a/ID/507f1f77bcf86cd799439011",
                linked("507f1f77bcf86cd799439011", None),
            ),
            (
                "https://scan.example/?url=https%3A%2F%2Fok.example%2Fa%2FID%3Fchoice%3Dapprove&x=1",
                linked("", approve),
            ),
        ] {
            let text = text.replace("ID", ID);
            assert_eq!(Linked::in_field(&text), Some(expected), "{text}");
        }
        for text in ["", "https://ok.example/", "https://ok.example/a/7K3Q", "/a/ID /a/ID"] {
            assert_eq!(Linked::in_field(&text.replace("ID", ID)), None, "{text}");
        }
    }

    #[test]
    fn a_page_is_where_its_link_leads() {
        for linked in [linked("", None), linked("a/../b?ü", Some(Verdict::Reject))] {
            let page = linked.page("/base");
            assert!(page.starts_with("/base/a/7K3Q") && page.is_ascii(), "{page}");
            assert_eq!(Linked::in_field(&page), Some(linked), "{page}");
        }
        assert_eq!(linked("..", None).page(""), format!("/a/{ID}/%2E%2E"));
    }

    #[test]
    fn a_question_mark_that_became_part_of_the_path_begins_the_query_all_the_same() {
        let approve = Some(Verdict::Approve);
        let in_path = |id: &str, hint: Option<&str>, choice| {
            Linked::in_path(id.replace("ID", ID), hint.map(str::to_owned), choice)
        };
        assert_eq!(in_path("ID?choice=approve", None, None), linked("", approve));
        assert_eq!(in_path("ID?utm_source=x", None, None), linked("", None));
        assert_eq!(in_path("ID", Some("laptops?choice=approve"), None), linked("laptops", approve));
        assert_eq!(in_path("ID", Some("what?now"), approve), linked("what?now", approve));
    }

    #[test]
    fn paths_are_mended_below_the_public_urls_path_and_at_the_root() {
        for (path, expected) in [
            ("/a/X", None),
            ("/a/X/Y", None),
            ("/", None),
            ("/base/", None),
            ("/b", None),
            ("//a//X", Some("/a/X")),
            ("/a/X/", Some("/a/X")),
            ("/A/X", Some("/a/X")),
            ("/A/X/Y/", Some("/a/X/Y")),
            ("/base/A/X/", Some("/base/a/X")),
            ("/BASE/A/X/", None),
            ("/Ä/X", None),
        ] {
            assert_eq!(mended(path, "/base").as_deref(), expected, "{path}");
            let at_root = expected.filter(|_| !path.starts_with("/base"));
            assert_eq!(mended(path, "").as_deref(), at_root, "{path}");
        }
    }
}
