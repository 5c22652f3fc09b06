//! Mail by SMTP (RFC 5321).

mod idle;
mod replies;

use std::{error::Error, str::FromStr, time::Duration};

use countersign_protos::{is_loopback, settings::in_clear};
use lettre::{
    message::Mailbox,
    transport::smtp::{
        self,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Tls, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Response,
    },
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use url::Url;

use self::{
    idle::{Idle, quit},
    replies::{Step, Subject},
};
use super::{Envelope, NotifyError, chain, mime};
use crate::{approval::EmailAddress, mail::Letter};

/// The longest that one mail can take.
pub(super) const LONGEST: Duration = {
    let (mut sum, mut step) = (Duration::ZERO, 0);
    while step < Step::ALL.len() {
        sum = sum.saturating_add(Step::ALL[step].time_out());
        step += 1;
    }
    sum
};

/// Sends mails one after the other over a connection, and as many at once as there are, each over its own.
#[derive(Clone)]
pub struct Smtp {
    server: SmtpServer,
    from: Mailbox,
    idle: Idle,
    /// How long a step may take.
    time_out: fn(Step) -> Duration,
}

/// `smtp://user:password@host:port` with `?tls=required` for STARTTLS, or `smtps://…`. A path is this
/// machine's name in EHLO, which is the sender's domain otherwise.
#[derive(Clone)]
pub struct SmtpServer {
    host: String,
    port: u16,
    tls: Tls,
    /// This machine's name in EHLO. Without one, the sender's domain: the name that lettre would take may be
    /// one that no other machine knows, which big providers refuse.
    hello: Option<ClientId>,
    credentials: Option<Credentials>,
}

impl SmtpServer {
    /// This server, unless mails go to it on another machine without TLS, or may do so, and that is not
    /// allowed.
    pub(super) fn unless_in_clear(self, allowed: bool) -> Result<Self, String> {
        let without_tls = matches!(self.tls, Tls::None | Tls::Opportunistic(_));
        match without_tls && !is_loopback(&self.host) && !allowed {
            true => Err(in_clear("links", WITH_TLS)),
            false => Ok(self),
        }
    }
}

/// For each address of the host, so that the next one is tried. RFC 5321 has no such time-out; this is
/// Postfix's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// For the first reply over a connection that has waited: a network may have forgotten it meanwhile.
const AGAIN_TIMEOUT: Duration = Duration::from_secs(10);

impl Smtp {
    /// Sends mail from this address.
    pub fn new(server: SmtpServer, from: Mailbox) -> Self {
        let (from, idle) = (mime::sender(from), Idle::default());
        Self { server, from, idle, time_out: Step::time_out }
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        let message = mime::message(&self.from, envelope, letter)?;
        let mut connection = self.begin(&message, &envelope.recipient).await?;
        let reply = match self.transmit(&mut connection, &message, &envelope.recipient).await {
            Ok(reply) => reply,
            Err(error) => {
                quit(connection);
                return Err(error);
            }
        };
        self.idle.keep(connection);
        let first_line = reply.first_line().unwrap_or_default();
        Ok(format!("accepted by the mail server: {} {first_line}", reply.code()))
    }

    /// Connects and authenticates without sending anything. Returns who has greeted.
    pub(super) async fn probe(&self) -> Result<String, NotifyError> {
        let connection = self.open().await?;
        let SmtpServer { host, port, credentials, .. } = &self.server;
        let tls = if connection.is_encrypted() { "with TLS" } else { "without TLS" };
        let login = if credentials.is_some() { ", and takes the password" } else { "" };
        let name = connection.server_info().name();
        let says = format!("{host}:{port} greets as {name}, {tls}{login}");
        quit(connection);
        Ok(says)
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, NotifyError> {
        let SmtpServer { host, port, tls, hello, credentials } = &self.server;
        let domain = || ClientId::Domain(self.from.email.domain().to_owned());
        let hello = &hello.clone().unwrap_or_else(domain);
        let from_the_start = match tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let (address, wait) = ((host.as_str(), *port), Some(CONNECT_TIMEOUT));
        let connect =
            AsyncSmtpConnection::connect_tokio1(address, wait, hello, from_the_start, None);
        let mut connection = self.step(Step::Greeting, None, connect).await?;
        let start_tls = match tls {
            Tls::Required(parameters) => Some(parameters),
            Tls::Opportunistic(parameters) if connection.can_starttls() => Some(parameters),
            _ => None,
        };
        if let Some(parameters) = start_tls {
            let started = connection.starttls(parameters.clone(), hello);
            self.step(Step::StartTls, None, started).await?;
        }
        if let Some(credentials) = credentials {
            let authenticated = connection.auth(DEFAULT_MECHANISMS, credentials);
            self.step(Step::Auth, None, authenticated).await?;
        }
        Ok(connection)
    }

    /// A connection over which this mail has begun: over which another was sent before, or a new one.
    async fn begin(
        &self,
        message: &lettre::Message,
        recipient: &EmailAddress,
    ) -> Result<AsyncSmtpConnection, NotifyError> {
        if let Some(mut idle) = self.idle.take() {
            let begun = self.announce(&mut idle, message, recipient);
            if let Ok(Ok(())) = timeout(AGAIN_TIMEOUT, begun).await {
                return Ok(idle);
            }
            // The server has closed it, or takes no more mails over it. A new one says whether it is that.
            quit(idle);
        }
        let mut new = self.open().await?;
        match self.announce(&mut new, message, recipient).await {
            Ok(()) => Ok(new),
            Err(error) => {
                quit(new);
                Err(error)
            }
        }
    }

    /// Sends MAIL, with what the server needs to know of other than ASCII.
    async fn announce(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &lettre::Message,
        recipient: &EmailAddress,
    ) -> Result<(), NotifyError> {
        let addresses = message.envelope();
        let mut named = addresses.to().iter().chain(addresses.from());
        let international = !named.all(|address| AsRef::<str>::as_ref(address).is_ascii());
        if international && !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(self.ascii_only(recipient));
        }
        // RFC 6531, 3.4: a server with SMTPUTF8 also has 8BITMIME.
        let eight_bit = MailParameter::Body(MailBodyParameter::EightBitMime);
        let parameters = international.then_some(MailParameter::SmtpUtfEight);
        let is_ascii = message.formatted().is_ascii();
        let parameters = parameters.into_iter().chain((!is_ascii).then_some(eight_bit));
        let mail = Mail::new(addresses.from().cloned(), parameters.collect());
        self.step(Step::Mail, None, connection.command(mail)).await.map(drop)
    }

    async fn transmit(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &lettre::Message,
        recipient: &EmailAddress,
    ) -> Result<Response, NotifyError> {
        for address in message.envelope().to() {
            let rcpt = Rcpt::new(address.clone(), Vec::new());
            self.step(Step::Recipient, Some(recipient), connection.command(rcpt)).await?;
        }
        self.step(Step::Data, Some(recipient), connection.command(Data)).await?;
        let content = message.formatted();
        self.step(Step::Content, Some(recipient), connection.message(&content)).await
    }

    /// Waits for a reply, as long as this step may take. `recipient` is set once the server knows it.
    async fn step<T>(
        &self,
        step: Step,
        recipient: Option<&EmailAddress>,
        reply: impl Future<Output = Result<T, smtp::Error>>,
    ) -> Result<T, NotifyError> {
        let limit = (self.time_out)(step);
        match timeout(limit, reply).await {
            Ok(reply) => reply.map_err(|error| self.classify(step, &error, recipient)),
            Err(_) => Err(silent(step, limit)),
        }
    }

    /// Classifies an error by what it is about.
    fn classify(
        &self,
        step: Step,
        error: &smtp::Error,
        recipient: Option<&EmailAddress>,
    ) -> NotifyError {
        let Some(code) = error.status().map(u16::from) else {
            let SmtpServer { host, port, .. } = &self.server;
            let place = match step {
                Step::Greeting => format!(" at {host}:{port}"),
                _ => String::new(),
            };
            return NotifyError::Unavailable(format!("the mail server{place}: {}", chain(error)));
        };
        let text = error.source().map(ToString::to_string).unwrap_or_default();
        let why = format!("the mail server answered {} with {code} {text}", step.name());
        if !error.is_permanent() {
            return NotifyError::Unavailable(why);
        }
        let sender = self.from.email.to_string();
        match replies::subject(code, &text, &sender, recipient) {
            Subject::Recipient => NotifyError::Rejected(why),
            Subject::Us => NotifyError::Unavailable(why),
            Subject::Unknown => NotifyError::Unexplained(why),
        }
    }

    /// The server does not support RFC 6531.
    fn ascii_only(&self, recipient: &EmailAddress) -> NotifyError {
        let only = "the mail server accepts only ASCII addresses (it has no SMTPUTF8), and";
        match recipient.as_str().is_ascii() {
            true => NotifyError::Unavailable(format!("{only} the sender's is not ASCII")),
            false => NotifyError::Rejected(format!("{only} {recipient} is not ASCII")),
        }
    }
}

/// A hint for when the server sends no greeting.
pub(super) const SILENT: &str = "; if the mail server expects TLS from the start, use smtps://, and for \
                                 STARTTLS add ?tls=required";

fn silent(step: Step, limit: Duration) -> NotifyError {
    let hint = if step == Step::Greeting { SILENT } else { "" };
    let name = step.name();
    NotifyError::Unavailable(format!(
        "the mail server did not answer {name} within {limit:?}{hint}"
    ))
}

const NOTHING_ELSE: &str = "allows nothing but ?tls=required after the host; in a password, write %3F \
                            for ? and %23 for #";
const WITH_TLS: &str = "write smtps://HOST, or smtp://HOST?tls=required for STARTTLS";
const WHICH_TLS: &str = "must say ?tls=required for STARTTLS, or start with smtps:// for TLS";
const HALF: &str = "needs both user and password, as in smtps://USER:PASSWORD@HOST";
const IN_CLEAR: &str = "would send the password in clear: write \
                        smtp://USER:PASSWORD@HOST?tls=required or smtps://USER:PASSWORD@HOST";
const NO_HOST: &str = "needs a host, as in smtps://USER:PASSWORD@HOST";
const NOT_UTF_8: &str = "has a user or password that is not UTF-8 once its %XX are decoded";

/// What the URL asks for.
#[derive(Clone, Copy)]
enum Encryption {
    Never,
    Opportunistic,
    StartTls,
    FromTheStart,
}

impl FromStr for SmtpServer {
    /// Does not quote the URL, since any part may belong to a password.
    type Err = String;

    /// Fails also if the URL would send the password in clear.
    fn from_str(url: &str) -> Result<Self, String> {
        let url: Url = url.parse().map_err(|error| format!("is not a URL: {error}"))?;
        let encryption = check(&url)?;
        // Without the brackets that an IPv6 address has in a URL.
        let host = url.host_str().map(|host| host.trim_matches(['[', ']']));
        let host = host.filter(|host| !host.is_empty()).ok_or(NO_HOST)?.to_owned();
        let parameters = || {
            TlsParameters::new(host.clone())
                .map_err(|error| format!("cannot be used with TLS: {}", chain(&error)))
        };
        // RFC 8314: 465 for TLS from the start, 587 for submission, 25 in clear.
        let (port, tls) = match encryption {
            Encryption::Never => (25, Tls::None),
            Encryption::Opportunistic => (587, Tls::Opportunistic(parameters()?)),
            Encryption::StartTls => (587, Tls::Required(parameters()?)),
            Encryption::FromTheStart => (465, Tls::Wrapper(parameters()?)),
        };
        let hello = match url.path().trim_matches('/') {
            "" => None,
            name => Some(ClientId::Domain(name.to_owned())),
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decode(url.username())?, decode(password)?)),
            None => None,
        };
        Ok(Self { host, port: url.port().unwrap_or(port), tls, hello, credentials })
    }
}

fn decode(text: &str) -> Result<String, &'static str> {
    Ok(percent_decode_str(text).decode_utf8().map_err(|_| NOT_UTF_8)?.into_owned())
}

/// Refuses URLs that are ambiguous, or would send a password in clear.
fn check(url: &Url) -> Result<Encryption, &'static str> {
    let queries: Vec<_> = url.query_pairs().collect();
    let tls = match (queries.as_slice(), url.fragment()) {
        ([], None) => None,
        ([(key, value)], None) if key == "tls" => Some(value.as_ref()),
        _ => return Err(NOTHING_ELSE),
    };
    let encryption = match (url.scheme(), tls) {
        ("smtps", None | Some("required")) => Encryption::FromTheStart,
        ("smtp", Some("required")) => Encryption::StartTls,
        ("smtp", Some("opportunistic")) => Encryption::Opportunistic,
        ("smtp", None) => Encryption::Never,
        _ => return Err(WHICH_TLS),
    };
    let is_encrypted = matches!(encryption, Encryption::FromTheStart | Encryption::StartTls);
    let is_this_machine = url.host_str().is_some_and(is_loopback);
    match (url.username(), url.password()) {
        ("", None) => Ok(encryption),
        ("", _) | (_, None) => Err(HALF),
        _ if is_encrypted || is_this_machine => Ok(encryption),
        _ => Err(IN_CLEAR),
    }
}

#[cfg(test)]
mod tests;
