//! Mails as their recipients see them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use countersign_protos::{
    GenuineLink, LinkKeys, Statement, Verdict, comment_hash, payload, revision_digest, submission,
    v1::{Decision, Reassignment, Revision, Withdrawal},
};
use mail_parser::{Address, MessageParser, MimeHeaders};
use serde_json::Value;
use temporalio_common::protos::temporal::api::common::v1::Payload;

use crate::grpc::json_payload;

/// A mail that was delivered.
#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Decoded (RFC 2047).
    pub subject: String,
    /// The content type of the whole, such as `multipart/alternative`.
    pub content_type: String,
    pub text: String,
    pub html: String,
    /// The message as it was written.
    pub raw: Vec<u8>,
}

impl Mail {
    /// Reads an RFC 5322 message.
    pub fn parse(raw: &[u8]) -> Mail {
        let message = MessageParser::default().parse(raw).expect("an RFC 5322 message");
        let content_type = message.content_type().map(|kind| match kind.subtype() {
            Some(subtype) => format!("{}/{subtype}", kind.ctype()),
            None => kind.ctype().to_owned(),
        });
        Mail {
            from: addresses(message.from()).into_iter().next().unwrap_or_default(),
            to: addresses(message.to()),
            subject: message.subject().unwrap_or_default().to_owned(),
            content_type: content_type.unwrap_or_default(),
            text: message.body_text(0).unwrap_or_default().into_owned(),
            html: message.body_html(0).unwrap_or_default().into_owned(),
            raw: raw.to_owned(),
        }
    }

    /// The link that preselects a choice: `approve` or `reject`.
    pub fn link(&self, choice: &str) -> String {
        let ending = format!("?choice={choice}");
        links(&self.text)
            .find(|link| link.ends_with(&ending))
            .unwrap_or_else(|| panic!("no link ends with {ending} in this mail:\n{}", self.text))
            .to_owned()
    }

    /// A header field as it was written.
    pub fn header(&self, name: &str) -> String {
        let raw = String::from_utf8_lossy(&self.raw);
        let field = format!("{name}: ");
        raw.lines().find_map(|line| line.strip_prefix(&field)).unwrap_or_default().to_owned()
    }

    /// Whether there is something to decide in it.
    pub fn has_links(&self) -> bool {
        links(&self.text).any(|link| link.contains("?choice="))
    }

    /// The approval ID, which is part of both links.
    pub fn approval_id(&self) -> String {
        self.path().split('/').next().expect("an ID").to_owned()
    }

    /// The workflow ID that both links hint at, percent-encoded; empty if they do not.
    pub fn hint(&self) -> String {
        self.path().split_once('/').map_or(String::new(), |(_, hint)| hint.to_owned())
    }

    /// What a signaler sends for a press on *approve*: a vote that is signed with the key of the link.
    pub fn approval(&self, keys: &LinkKeys, comment: &str) -> Payload {
        self.vote(keys, Verdict::Approve, comment)
    }

    /// What a signaler sends for a press on the button of a verdict.
    pub fn vote(&self, keys: &LinkKeys, verdict: Verdict, comment: &str) -> Payload {
        let link = genuine(keys, &self.approval_id());
        let decision = Decision {
            link: link.hash().as_str().to_owned(),
            comment: comment.to_owned(),
            proof: Some(link.sign(verdict, comment, signed_at())),
            ..Decision::default()
        };
        json_payload(&serde_json::to_value(decision).expect("a decision has JSON"))
    }

    /// What a signaler sends where the reviewer has a colleague asked instead.
    pub fn delegation(&self, keys: &LinkKeys, to: &str, reason: &str) -> Payload {
        let link = genuine(keys, &self.approval_id());
        let statement = Statement::Delegate { to, reason: &comment_hash(reason) };
        let delegation = Reassignment {
            to: to.to_owned(),
            reason: reason.to_owned(),
            link: link.hash().as_str().to_owned(),
            proof: Some(link.prove(statement, signed_at())),
            ..Reassignment::default()
        };
        json_payload(&serde_json::to_value(delegation).expect("a delegation has JSON"))
    }

    /// The link to the submitter's own page; `None` in mails without.
    pub fn own_link(&self) -> Option<String> {
        let mut links = links(&self.text);
        links.find(|link| link.contains("/a/") && !link.contains("?choice=")).map(str::to_owned)
    }

    /// The approval ID in that link.
    pub fn own_id(&self) -> Option<String> {
        self.own_link().map(|link| own_id(&link))
    }

    /// What a signaler sends where the submitter revises it so on their own page.
    pub fn revision(&self, keys: &LinkKeys, submission: &Value) -> Payload {
        let (read, problems) = submission::read_revision(&[payload_of(submission)]);
        assert_eq!(problems, [], "{submission}");
        let read = read.submission.expect("a submission");
        let link = genuine(keys, &own_id(&self.own_link().expect("the submitter's link")));
        let digest = revision_digest(&read);
        let revision = Revision {
            submission: Some(read),
            link: link.hash().as_str().to_owned(),
            proof: Some(link.prove(Statement::Revise { digest: &digest }, signed_at())),
        };
        json_payload(&serde_json::to_value(revision).expect("a revision has JSON"))
    }

    /// What a signaler sends where the submitter withdraws it on their own page.
    pub fn withdrawal(&self, keys: &LinkKeys, reason: &str) -> Payload {
        let link = genuine(keys, &own_id(&self.own_link().expect("the submitter's link")));
        let withdrawal = Withdrawal {
            reason: reason.to_owned(),
            link: link.hash().as_str().to_owned(),
            proof: Some(link.prove(Statement::Withdraw { reason }, signed_at())),
        };
        json_payload(&serde_json::to_value(withdrawal).expect("a withdrawal has JSON"))
    }

    /// What follows `/a/` in both links.
    fn path(&self) -> String {
        let paths = ["approve", "reject"].map(|choice| {
            let link = self.link(choice);
            let (_, path) = link.rsplit_once("/a/").expect("a review link");
            path.split('?').next().expect("a path").to_owned()
        });
        assert_eq!(paths[0], paths[1], "both links are the same reviewer's");
        paths[0].clone()
    }
}

fn genuine(keys: &LinkKeys, id: &str) -> GenuineLink {
    keys.verify(&id.parse().expect("an approval ID")).expect("a link under these keys")
}

fn own_id(link: &str) -> String {
    let (_, path) = link.rsplit_once("/a/").expect("a review link");
    path.split('/').next().expect("an ID").to_owned()
}

fn signed_at() -> jiff::Timestamp {
    "2026-11-30T10:00:00Z".parse().expect("a time")
}

fn payload_of(json: &Value) -> payload::Payload {
    let Payload { metadata, data, .. } = json_payload(json);
    payload::Payload { metadata, data }
}

/// The mails in an outbox, oldest first.
pub(crate) fn outbox(dir: &Path) -> Vec<Mail> {
    let mut files: Vec<_> = files(dir)
        .map(|path| {
            let written = fs::metadata(&path).and_then(|file| file.modified());
            (written.unwrap_or(SystemTime::UNIX_EPOCH), path)
        })
        .collect();
    files.sort();
    files.iter().map(|(_, path)| Mail::parse(&fs::read(path).expect("a readable mail"))).collect()
}

/// How many mails are in an outbox.
pub(crate) fn outbox_size(dir: &Path) -> usize {
    files(dir).count()
}

/// Those of complete mails: a draft has another ending, and is soon gone.
fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
}

fn addresses(field: Option<&Address>) -> Vec<String> {
    let addresses = field.map(|field| field.clone().into_list()).unwrap_or_default();
    addresses.iter().filter_map(|each| each.address()).map(str::to_owned).collect()
}

fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "<>()\"".contains(c))
        .filter(|word| word.starts_with("http://") || word.starts_with("https://"))
}
