//! A folder of `.eml` files, one a mail.

use std::path::PathBuf;

use jiff::Timestamp;
use lettre::message::Mailbox;

use super::{Envelope, NotifyError, mime};
use crate::mail::Letter;

/// Writes mails into a folder.
pub struct Outbox {
    folder: PathBuf,
    from: Mailbox,
}

impl Outbox {
    /// A folder that is made when the first mail is written.
    pub fn new(folder: PathBuf, from: Mailbox) -> Self {
        Self { folder, from }
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<(), NotifyError> {
        let message = mime::message(&self.from, envelope, letter)?.formatted();
        let name = file_name(envelope, letter);
        let written = async {
            tokio::fs::create_dir_all(&self.folder).await?;
            // Nobody reads half a mail: it appears under its name when it is whole.
            let draft = self.folder.join(format!(".{name}.{}", std::process::id()));
            tokio::fs::write(&draft, message).await?;
            tokio::fs::rename(&draft, self.folder.join(&name)).await
        };
        written.await.map_err(|error: std::io::Error| {
            NotifyError::Unavailable(format!("{}: {error}", self.folder.display()))
        })
    }
}

/// Sorted by time, readable, and the same when the mail is written again.
fn file_name(envelope: &Envelope, letter: &Letter) -> String {
    let time = Timestamp::try_from(envelope.written_at).unwrap_or(Timestamp::UNIX_EPOCH);
    let safe = |c: char| if c.is_ascii_alphanumeric() || "@.-+_".contains(c) { c } else { '_' };
    let recipient: String = envelope.recipient.as_str().chars().map(safe).take(100).collect();
    let time = time.strftime("%Y%m%dT%H%M%S%3f");
    format!("{time}-{}-{recipient}-{}.eml", letter.kind, envelope.key)
}
