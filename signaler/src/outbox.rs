//! The outbox: mails that are written to a directory instead of being sent.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use countersign_protos::{
    PublicUrl,
    text::{clean, clean_line},
};
use mail_parser::{Address, Message, MessageParser, PartType};

/// How many mails to list.
const LISTED: usize = 200;
/// Larger files are ignored.
const MAIL_BYTES: u64 = 1024 * 1024;
/// Around right-to-left text in a subject, so that its numbers stay with it (UAX 9, 2.4).
const ISOLATES: [char; 2] = ['\u{2068}', '\u{2069}'];

/// A folder of mails, shown as pages for trying out. Clones share its path.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    directory: Arc<Path>,
    public_url: Arc<str>,
}

/// A mail in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) file: String,
    pub(crate) subject: String,
    pub(crate) to: String,
    pub(crate) date: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    /// From, to and date.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The plain text, with its links apart.
    pub(crate) body: Vec<Part>,
    /// The HTML, if there is any; its links open in place of the page around it.
    pub(crate) html: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) text: String,
    /// Whether it is a link to this site.
    pub(crate) link: bool,
}

impl Outbox {
    /// Only URLs below `public_url` become links.
    pub(crate) fn new(directory: PathBuf, public_url: &PublicUrl) -> Self {
        let public_url = format!("{public_url}/");
        Outbox { directory: directory.into(), public_url: public_url.into() }
    }

    /// The latest mails, newest first; none if the directory does not exist yet.
    pub(crate) fn list(&self) -> io::Result<Vec<Summary>> {
        let mut files: Vec<(SystemTime, String)> = match fs::read_dir(&self.directory) {
            Ok(entries) => entries
                .filter_map(|entry| {
                    let entry = entry.ok()?;
                    let name = entry.file_name().into_string().ok()?;
                    let written = entry.metadata().and_then(|data| data.modified()).ok()?;
                    is_mail(&name).then_some((written, name))
                })
                .collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        files.sort_unstable_by(|a, b| b.cmp(a));
        files.truncate(LISTED);
        Ok(files.into_iter().filter_map(|(_, file)| self.summary(file)).collect())
    }

    /// `None` if there is no such mail.
    pub(crate) fn mail(&self, file: &str) -> Option<Mail> {
        let bytes = self.read(file)?;
        let message = MessageParser::default().parse(&bytes)?;
        let headers = [
            ("From", addresses(message.from())),
            ("To", addresses(message.to())),
            ("Date", date(&message)),
        ];
        let text = message.body_text(0).unwrap_or_default();
        Some(Mail {
            subject: subject(&message),
            headers: headers.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
            body: linked(clean(&text).trim_end(), &self.public_url),
            html: html(&message),
        })
    }

    fn summary(&self, file: String) -> Option<Summary> {
        let bytes = self.read(&file)?;
        let message = MessageParser::default().parse_headers(&bytes)?;
        Some(Summary {
            subject: subject(&message),
            to: addresses(message.to()),
            date: date(&message),
            file,
        })
    }

    fn read(&self, file: &str) -> Option<Vec<u8>> {
        if !is_mail(file) {
            return None;
        }
        let path = self.directory.join(file);
        // Symbolic links are not followed: they could lead anywhere.
        let data = fs::symlink_metadata(&path).ok()?;
        (data.is_file() && data.len() <= MAIL_BYTES).then(|| fs::read(path).ok()).flatten()
    }
}

/// Whether it is a mail's file name, which cannot lead out of the directory.
fn is_mail(name: &str) -> bool {
    name.strip_suffix(".eml").is_some_and(|stem| {
        !stem.is_empty()
            && !stem.starts_with('.')
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+-".contains(&b))
    })
}

/// Cleaned but for isolates, on one line.
fn subject(message: &Message<'_>) -> String {
    let mut subject = String::new();
    for part in message.subject().unwrap_or_default().split_inclusive(ISOLATES) {
        subject.push_str(&clean(part));
        subject.extend(part.chars().next_back().filter(|last| ISOLATES.contains(last)));
    }
    let words: Vec<&str> = subject.split_whitespace().collect();
    match words.is_empty() {
        true => "(no subject)".to_owned(),
        false => words.join(" "),
    }
}

fn html(message: &Message<'_>) -> Option<String> {
    match &message.html_part(0)?.body {
        PartType::Html(html) => Some(html.replacen("<head>", "<head><base target=\"_top\">", 1)),
        _ => None,
    }
}

fn date(message: &Message<'_>) -> String {
    message.date().map(|date| date.to_rfc822()).unwrap_or_default()
}

fn addresses(addresses: Option<&Address<'_>>) -> String {
    let all: Vec<String> = addresses
        .into_iter()
        .flat_map(Address::iter)
        .map(|address| match (address.name(), address.address()) {
            (Some(name), Some(address)) => clean_line(&format!("{name} <{address}>")),
            (name, address) => clean_line(address.or(name).unwrap_or_default()),
        })
        .collect();
    all.join(", ")
}

/// Splits text into links to this site and everything else.
fn linked(text: &str, public_url: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut push = |text: &str, link| {
        if !text.is_empty() {
            parts.push(Part { text: text.to_owned(), link });
        }
    };
    let mut rest = text;
    while let Some(start) = rest.find(public_url) {
        push(&rest[..start], false);
        rest = &rest[start..];
        let end =
            rest.find(|c: char| c.is_whitespace() || "<>\"'".contains(c)).unwrap_or(rest.len());
        let url = rest[..end].trim_end_matches(['.', ',', ';', ':', ')', '!']);
        push(url, true);
        rest = &rest[url.len()..];
    }
    push(rest, false);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(directory: &Path) -> Outbox {
        Outbox::new(directory.to_owned(), &"https://ok.example/base".parse().expect("a URL"))
    }

    #[test]
    fn mails_are_listed_newest_first_and_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, age: u64, subject: &str| {
            let path = directory.path().join(name);
            let text = format!(
                "From: Countersign <no-reply@ok.example>\r\nTo: Ann <ann@example.com>\r\n\
                 Subject: {subject}\r\nDate: Tue, 24 Nov 2026 09:00:00 +0000\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\n\
                 Approve: https://ok.example/base/a/ID?choice=approve.\r\n\
                 Elsewhere: https://ok.example.evil/base/a/ID\r\n"
            );
            fs::write(&path, text).expect("written");
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000 - age);
            fs::File::options()
                .append(true)
                .open(&path)
                .and_then(|file| file.set_modified(time))
                .expect("dated");
        };
        write("a.eml", 10, "first");
        write("b@example.com-1.eml", 5, "=?utf-8?q?zw=C3=B6lf?=");
        write("not-a-mail.txt", 1, "no");
        let list = outbox(directory.path()).list().expect("a list");
        let shown: Vec<_> = list.iter().map(|mail| (&*mail.file, &*mail.subject)).collect();
        assert_eq!(shown, [("b@example.com-1.eml", "zwölf"), ("a.eml", "first")]);
        assert_eq!(list[1].to, "Ann <ann@example.com>");
        let mail = outbox(directory.path()).mail("a.eml").expect("a mail");
        assert_eq!(mail.headers.len(), 3);
        let links: Vec<_> = mail.body.iter().filter(|p| p.link).map(|p| &*p.text).collect();
        assert_eq!(links, ["https://ok.example/base/a/ID?choice=approve"]);
        assert_eq!(mail.html, None, "it has none");
        let text: String = mail.body.iter().map(|part| &*part.text).collect();
        assert!(text.contains("https://ok.example.evil"), "{text}");
    }

    #[test]
    fn right_to_left_text_in_a_subject_stays_isolated_and_what_misleads_is_removed() {
        let read = |subject: &str| {
            let mail = format!("Subject: {subject}\r\n\r\nText\r\n");
            super::subject(&MessageParser::default().parse(mail.as_bytes()).expect("a mail"))
        };
        let encoded = "=?utf-8?q?Decide:_=E2=81=A8=D7=9E_=E2=80=AE15=E2=81=A9,_750.00_ILS?=";
        assert_eq!(read(encoded), "Decide: \u{2068}מ 15\u{2069}, 750.00 ILS");
        assert_eq!(read("=?utf-8?q?_?="), "(no subject)");
    }

    #[test]
    fn nothing_outside_the_directory_is_read() {
        let root = tempfile::tempdir().expect("a directory");
        let inside = root.path().join("in");
        fs::create_dir(&inside).expect("created");
        fs::write(root.path().join("x.eml"), "Subject: secret\r\n\r\n").expect("written");
        std::os::unix::fs::symlink(root.path().join("x.eml"), inside.join("l.eml")).expect("link");
        let outbox = outbox(&inside);
        for name in ["../x.eml", "..%2fx.eml", "l.eml", ".eml", "..eml", "a/b.eml", "", "é.eml"] {
            assert_eq!(outbox.mail(name), None, "{name}");
        }
        assert_eq!(outbox.list().expect("a list"), []);
    }

    #[test]
    fn an_outbox_that_is_not_there_yet_is_empty() {
        let outbox = outbox(Path::new("/nowhere/at/all"));
        assert_eq!(outbox.list().expect("a list"), []);
    }
}
