//! How mail goes out: into a folder, by SMTP, or through Amazon SNS.

mod mime;
mod outbox;
mod smtp;
mod sns;

use std::time::SystemTime;

pub use outbox::Outbox;
pub use smtp::Smtp;
pub use sns::Sns;

use crate::{approval::EmailAddress, mail::Letter};

/// One of the ways.
pub enum Notifier {
    /// Files in a folder, for demonstrations and tests.
    Outbox(Outbox),
    /// A mail server.
    Smtp(Smtp),
    /// A topic whose e-mail subscriptions are filtered by reviewer.
    Sns(Sns),
}

/// Everything about a mail but its words.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// To whom.
    pub recipient: EmailAddress,
    /// Identifies the mail; the same when it is sent again.
    pub key: String,
    /// When it was to be written; the same when it is sent again.
    pub written_at: SystemTime,
}

/// Why a mail did not go out, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// It never will: somebody has to change something.
    #[error("{0}")]
    Rejected(String),
    /// It may the next time.
    #[error("{0}")]
    Unavailable(String),
}

#[cfg(test)]
fn example(recipient: &str) -> (Envelope, Letter) {
    let envelope = Envelope {
        recipient: recipient.parse().expect("an address"),
        key: "run.3".into(),
        written_at: SystemTime::UNIX_EPOCH,
    };
    let letter = Letter {
        kind: "request",
        subject: "Größe: 領収書".into(),
        text: "text".into(),
        html: "<p>html</p>".into(),
    };
    (envelope, letter)
}

impl Notifier {
    /// Sends one mail and says what became of it, for the history. Sending it again does no harm:
    /// it is the same mail.
    pub async fn send(&self, envelope: &Envelope, letter: &Letter) -> Result<String, NotifyError> {
        match self {
            Notifier::Outbox(outbox) => outbox.send(envelope, letter).await,
            Notifier::Smtp(smtp) => smtp.send(envelope, letter).await,
            Notifier::Sns(sns) => sns.send(envelope, letter).await,
        }
    }
}
