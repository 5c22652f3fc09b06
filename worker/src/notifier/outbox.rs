//! A folder of `.eml` files, one for each mail.

use std::path::PathBuf;

use jiff::Timestamp;
use lettre::message::Mailbox;

use super::{Envelope, NotifyError, mime};
use crate::mail::Letter;

/// The folder of `outbox:FOLDER`.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("needs a folder, such as outbox:/var/mail/outbox".to_owned()),
        folder => Ok(folder.into()),
    }
}

/// Writes mails into a folder.
#[derive(Clone)]
pub struct Outbox {
    folder: PathBuf,
    from: Mailbox,
}

impl Outbox {
    /// The folder is created with the first mail.
    pub fn new(folder: PathBuf, from: Mailbox) -> Self {
        Self { folder, from: mime::sender(from) }
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        let message = mime::message(&self.from, envelope, letter)?.formatted();
        // As a mail server does that delivers a mail (RFC 5321, 4.4).
        let return_path = format!("Return-Path: <{}>\r\n", self.from.email).into_bytes();
        let message = [return_path, message].concat();
        let name = file_name(envelope, letter);
        let written = async {
            tokio::fs::create_dir_all(&self.folder).await?;
            // Renamed when it is complete, so that nobody reads half a mail.
            let draft = self.folder.join(format!(".{name}.{}", std::process::id()));
            tokio::fs::write(&draft, message).await?;
            tokio::fs::rename(&draft, self.folder.join(&name)).await
        };
        written.await.map_err(|error| self.unwritable(&error))?;
        Ok(format!("written as {name}"))
    }

    /// Creates the folder if it does not exist.
    pub(super) async fn probe(&self) -> Result<(), NotifyError> {
        let made = tokio::fs::create_dir_all(&self.folder).await;
        made.map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &std::io::Error) -> NotifyError {
        NotifyError::Unavailable(format!("{}: {error}", self.folder.display()))
    }
}

/// Sorts by time, and is the same at each attempt.
fn file_name(envelope: &Envelope, letter: &Letter) -> String {
    let time = Timestamp::try_from(envelope.written_at).unwrap_or(Timestamp::UNIX_EPOCH);
    let safe = |c: char| if c.is_ascii_alphanumeric() || "@.-+_".contains(c) { c } else { '_' };
    let recipient: String = envelope.recipient.as_str().chars().map(safe).take(100).collect();
    let time = time.strftime("%Y%m%dT%H%M%S%3f");
    format!("{time}-{}-{recipient}-{}.eml", letter.kind, envelope.key)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::example, *};

    #[tokio::test]
    async fn sending_again_writes_the_same_file_and_leaves_no_draft() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/outbox");
        let from = "Approvals <approvals@example.com>".parse().expect("a mailbox");
        let outbox = Outbox::new(path.clone(), from);
        let (envelope, letter) = example("ann/x@example.com");
        for _ in 0..2 {
            outbox.send(&envelope, &letter).await.expect("written");
        }
        let names: Vec<_> = fs::read_dir(&path)
            .expect("the outbox")
            .map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"))
            .collect();
        assert_eq!(names, ["19700101T000000000-request-ann_x@example.com-run.3.eml"]);
        let mail = fs::read(path.join(&names[0])).expect("readable");
        assert!(mail.is_ascii(), "headers are encoded");
        assert!(mail.starts_with(b"Return-Path: <approvals@example.com>\r\n"), "where bounces go");
    }

    #[tokio::test]
    async fn an_unwritable_folder_is_retried() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        let outbox = Outbox::new(file, "approvals@example.com".parse().expect("a mailbox"));
        let (envelope, letter) = example("ann@example.com");
        let refused = outbox.send(&envelope, &letter).await;
        assert!(matches!(refused, Err(NotifyError::Unavailable(_))), "{refused:?}");
        let probed = outbox.probe().await;
        assert!(matches!(probed, Err(NotifyError::Unavailable(_))), "{probed:?}");
    }
}
