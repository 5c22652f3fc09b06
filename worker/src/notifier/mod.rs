//! How mail goes out: into a folder, by SMTP, or through Amazon SNS.

mod mime;
mod outbox;
mod rate;
mod smtp;
mod sns;

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use countersign_protos::settings::{Secret, WrongSettings};
use lettre::message::Mailbox;
pub use outbox::Outbox;
pub use rate::MailRate;
pub use smtp::{Smtp, SmtpServer};
pub use sns::{AwsEnvironment, Sns, TopicArn};
use tokio::time::timeout;
use tracing::warn;

#[cfg(test)]
use crate::mail::Subject;
use crate::{approval::EmailAddress, mail::Letter};

/// The longest attempt to send a mail, its wait for its turn included. The activity's time-out has to be longer,
/// so that the failure names the cause.
pub(crate) const LONGEST_ATTEMPT: Duration = rate::LONGEST_WAIT.saturating_add(smtp::LONGEST);

/// The setting that selects the notifier.
const NOTIFY: &str = Secret::NOTIFY.name;

/// For the check at startup.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A way to send mails.
#[derive(Clone)]
pub enum Notifier {
    /// Files in a folder, for demonstrations and tests.
    Outbox(Outbox),
    /// A mail server, with one connection for several mails.
    Smtp(Smtp),
    /// A topic whose e-mail subscriptions are filtered by reviewer.
    Sns(Sns),
}

/// Without passwords and keys.
impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notifier")
    }
}

/// What a mail needs besides its content.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) recipient: EmailAddress,
    /// Identifies the mail; the same at each attempt.
    pub(crate) key: String,
    /// The key of the mail that begins its thread, sent or not; its own for that one.
    pub(crate) thread: String,
    /// The mail's date; the same at each attempt.
    pub(crate) written_at: SystemTime,
}

/// Why a mail was not sent. The message is for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotifyError {
    /// The recipient or the mail was refused. Final.
    #[error("{0}")]
    Rejected(String),
    /// We were refused, or the server is down. Retried until somebody fixes it.
    #[error("{0}")]
    Unavailable(String),
    /// Refused without a clear reason. Retried for a while, then final.
    #[error("{0}")]
    Unexplained(String),
    /// It is not this mail's turn before that time is over.
    #[error("not sent yet: COUNTERSIGN_MAIL_RATE lets other mails out first")]
    Later(Duration),
}

#[cfg(test)]
fn example(recipient: &str) -> (Envelope, Letter) {
    let envelope = Envelope {
        recipient: recipient.parse().expect("an address"),
        key: "run.3".into(),
        thread: "run.3".into(),
        written_at: SystemTime::UNIX_EPOCH,
    };
    let letter = Letter {
        kind: "request",
        subject: Subject::new("Größe", "領収書", "", ""),
        text: "text".into(),
        html: "<p>html</p>".into(),
    };
    (envelope, letter)
}

impl Notifier {
    /// The notifier that [`NOTIFY`] selects, with the sender of `COUNTERSIGN_MAIL_FROM`. Mails go to other
    /// machines by TLS, unless `allow_insecure`.
    pub(crate) fn parse(
        notify: &str,
        mail_from: &Option<String>,
        aws: &AwsEnvironment,
        allow_insecure: bool,
        wrong: &mut WrongSettings,
    ) -> Option<Self> {
        if let Some(arn) = notify.strip_prefix("sns:") {
            return Sns::parse(arn, aws, wrong).map(Notifier::Sns);
        }
        let from = wrong.required("COUNTERSIGN_MAIL_FROM", mail_from, |from| {
            let example = "must be an address, such as Approvals <approvals@example.com>";
            from.parse::<Mailbox>().map_err(|_| example)
        });
        let parsed = match notify.strip_prefix("outbox:") {
            Some(folder) => outbox::folder(folder)
                .map(|folder| Some(Notifier::Outbox(Outbox::new(folder, from?)))),
            None if notify.starts_with("smtp://") || notify.starts_with("smtps://") => notify
                .parse::<SmtpServer>()
                .and_then(|server| server.unless_in_clear(allow_insecure))
                .map(|server| Some(Notifier::Smtp(Smtp::new(server, from?)))),
            None => Err("must start with outbox:, sns:, smtp:// or smtps://".to_owned()),
        };
        parsed.map_err(|why| wrong.add(NOTIFY, why)).ok()?
    }

    /// Sends one mail, and returns the server's reply for the history. An attempt may be repeated: it
    /// sends the same mail.
    pub(crate) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        match self {
            Notifier::Outbox(outbox) => outbox.send(envelope, letter).await,
            Notifier::Smtp(smtp) => smtp.send(envelope, letter).await,
            Notifier::Sns(sns) => sns.send(envelope, letter).await,
        }
    }

    /// Checks the connection without sending a mail, and logs a warning if that fails.
    pub async fn warn_if_unreachable(self) {
        if let Err(error) = self.probe().await {
            warn!(%error, "the check of COUNTERSIGN_NOTIFY failed; mails will be tried anyway");
        }
    }

    /// What answers, without sending a mail.
    ///
    /// # Errors
    /// Why mails would not be taken.
    pub async fn examine(&self) -> Result<String, String> {
        let says = self.probe().await.map_err(|error| error.to_string())?;
        match self {
            Notifier::Sns(sns) => {
                let confirmed = timeout(PROBE_TIMEOUT, sns.count_subscriptions()).await;
                confirmed.unwrap_or(Ok(says))
            }
            Notifier::Outbox(_) | Notifier::Smtp(_) => Ok(says),
        }
    }

    /// Returns what answers.
    async fn probe(&self) -> Result<String, NotifyError> {
        let probed = async {
            match self {
                Notifier::Outbox(outbox) => outbox.probe().await,
                Notifier::Smtp(smtp) => smtp.probe().await,
                Notifier::Sns(sns) => sns.probe().await,
            }
        };
        timeout(PROBE_TIMEOUT, probed).await.unwrap_or_else(|_| {
            let hint = match self {
                Notifier::Smtp(_) => smtp::SILENT,
                _ => "",
            };
            Err(NotifyError::Unavailable(format!("no answer within {PROBE_TIMEOUT:?}{hint}")))
        })
    }
}

/// An error and its causes in one line, without repeating what one of them has said.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    // The AWS SDK lists where it has looked for credentials, one place a line.
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
