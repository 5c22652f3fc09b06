//! A mail server.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor, message::Mailbox, transport::smtp,
};

use super::{Envelope, NotifyError, mime};
use crate::mail::Letter;

/// Below the activity's own time-out, so that the cause is what people see.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends mail by SMTP (RFC 5321), with pooled connections.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// `smtp://user:password@host:port` with `?tls=required` for STARTTLS, or `smtps://…`.
    ///
    /// # Errors
    /// When the address is not of that form. The message does not repeat it: it may hold a
    /// password.
    pub fn new(url: &str, from: Mailbox) -> Result<Self, String> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| error.to_string())?;
        Ok(Self { transport: builder.timeout(Some(TIMEOUT)).build(), from })
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        let message = mime::message(&self.from, envelope, letter)?;
        let reply = self.transport.send(message).await.map_err(|error| classify(&error))?;
        Ok(format!(
            "taken by the mail server: {} {}",
            reply.code(),
            reply.first_line().unwrap_or("")
        ))
    }
}

/// RFC 5321, 4.2.1: a 5yz reply is final, a 4yz reply and everything else may pass.
fn classify(error: &smtp::Error) -> NotifyError {
    let mut why = format!("the mail server: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !why.contains(&cause_text) {
            why = format!("{why}: {cause_text}");
        }
        source = cause.source();
    }
    match error.is_permanent() {
        true => NotifyError::Rejected(why),
        false => NotifyError::Unavailable(why),
    }
}
