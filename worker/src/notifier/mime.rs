//! Letters as internet mail (RFC 5322, MIME).

use lettre::{
    Address, Message,
    message::{Mailbox, MultiPart},
};

use super::{Envelope, NotifyError};
use crate::mail::Letter;

/// A mail in text and HTML, with the same Message-ID at each attempt.
pub(super) fn message(
    from: &Mailbox,
    envelope: &Envelope,
    letter: &Letter,
) -> Result<Message, NotifyError> {
    let rejected = |error: &dyn std::fmt::Display| NotifyError::Rejected(format!("{error}"));
    let recipient: Address = envelope.recipient.as_str().parse().map_err(|e| rejected(&e))?;
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, recipient))
        .subject(&letter.subject)
        .date(envelope.written_at)
        .message_id(Some(format!("<{}@{}>", envelope.key, from.email.domain())))
        // RFC 3834: keeps vacation responders quiet.
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
        .map_err(|error| rejected(&error))
}

#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
