//! Mail by SMTP (RFC 5321).

mod replies;

use std::{error::Error, net::IpAddr, time::Duration};

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
use url::{Host, Url};

use self::replies::{Step, Subject};
use super::{Envelope, NotifyError, chain, mime};
use crate::{approval::EmailAddress, mail::Letter};

/// The longest that one mail can take.
pub(super) const LONGEST: Duration = Timeouts::RFC_5321.longest();

/// Sends each mail over its own connection: with a pool, cancelling a mail half-way would return a
/// connection in the middle of its dialogue.
#[derive(Clone)]
pub struct Smtp {
    server: Server,
    from: Mailbox,
    timeouts: Timeouts,
}

#[derive(Clone)]
struct Server {
    host: String,
    port: u16,
    tls: Tls,
    /// This machine's name in EHLO.
    hello: ClientId,
    credentials: Option<Credentials>,
}

/// How long to wait for the server.
///
/// A slow server may already have stored the mail, and gets it twice from a client that gives up early.
/// RFC 5321, 4.5.3.2 therefore has minimum time-outs for commands. It has none for EHLO, STARTTLS and
/// AUTH, which get the usual five minutes for each reply.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// For each address of the host, so that the next one is tried. RFC 5321 has no such time-out; this
    /// is Postfix's.
    connect: Duration,
    /// From connecting to the reply to EHLO.
    greeting: Duration,
    /// STARTTLS, the handshake, and EHLO again.
    start_tls: Duration,
    /// Up to three replies.
    auth: Duration,
    mail: Duration,
    recipient: Duration,
    data: Duration,
    /// Sending the mail (3 minutes), and the reply to its end (10 minutes).
    content: Duration,
}

impl Timeouts {
    const RFC_5321: Timeouts = Timeouts {
        connect: Duration::from_secs(30),
        greeting: Duration::from_mins(10),
        start_tls: Duration::from_mins(10),
        auth: Duration::from_mins(15),
        mail: Duration::from_mins(5),
        recipient: Duration::from_mins(5),
        data: Duration::from_mins(2),
        content: Duration::from_mins(13),
    };

    const fn of(&self, step: Step) -> Duration {
        match step {
            Step::Greeting => self.greeting,
            Step::StartTls => self.start_tls,
            Step::Auth => self.auth,
            Step::Mail => self.mail,
            Step::Recipient => self.recipient,
            Step::Data => self.data,
            Step::Content => self.content,
        }
    }

    const fn longest(&self) -> Duration {
        let (mut sum, mut step) = (Duration::ZERO, 0);
        while step < Step::ALL.len() {
            sum = sum.saturating_add(self.of(Step::ALL[step]));
            step += 1;
        }
        sum
    }
}

/// For the reply to QUIT, on which nothing depends.
const QUIT_TIMEOUT: Duration = Duration::from_secs(10);

impl Smtp {
    /// `url` is `smtp://user:password@host:port` with `?tls=required` for STARTTLS, or `smtps://…`. A path
    /// is this machine's name in EHLO.
    ///
    /// # Errors
    /// If the URL has another form, or would send the password in clear. The message does not quote it,
    /// since any part may belong to a password.
    pub fn new(url: &str, from: Mailbox) -> Result<Self, String> {
        Ok(Self { server: Server::parse(url)?, from, timeouts: Timeouts::RFC_5321 })
    }

    /// Checks a URL without using it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn check(url: &str) -> Result<(), String> {
        Server::parse(url).map(drop)
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        let message = mime::message(&self.from, envelope, letter)?;
        let mut connection = self.open().await?;
        let sent = self.transmit(&mut connection, &message, &envelope.recipient).await;
        quit(connection);
        let reply = sent?;
        let first_line = reply.first_line().unwrap_or_default();
        Ok(format!("accepted by the mail server: {} {first_line}", reply.code()))
    }

    /// Connects and authenticates.
    pub(super) async fn probe(&self) -> Result<(), NotifyError> {
        quit(self.open().await?);
        Ok(())
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, NotifyError> {
        let Server { host, port, tls, hello, credentials } = &self.server;
        let from_the_start = match tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let (address, wait) = ((host.as_str(), *port), Some(self.timeouts.connect));
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

    async fn transmit(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &lettre::Message,
        recipient: &EmailAddress,
    ) -> Result<Response, NotifyError> {
        let (addresses, content) = (message.envelope(), message.formatted());
        let mut named = addresses.to().iter().chain(addresses.from());
        let international = !named.all(|address| AsRef::<str>::as_ref(address).is_ascii());
        if international && !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(self.ascii_only(recipient));
        }
        // RFC 6531, 3.4: a server with SMTPUTF8 also has 8BITMIME.
        let eight_bit = MailParameter::Body(MailBodyParameter::EightBitMime);
        let parameters = international.then_some(MailParameter::SmtpUtfEight);
        let parameters = parameters.into_iter().chain((!content.is_ascii()).then_some(eight_bit));
        let mail = Mail::new(addresses.from().cloned(), parameters.collect());
        self.step(Step::Mail, None, connection.command(mail)).await?;
        for address in addresses.to() {
            let rcpt = Rcpt::new(address.clone(), Vec::new());
            self.step(Step::Recipient, Some(recipient), connection.command(rcpt)).await?;
        }
        self.step(Step::Data, Some(recipient), connection.command(Data)).await?;
        self.step(Step::Content, Some(recipient), connection.message(&content)).await
    }

    /// Waits for a reply, as long as this step may take. `recipient` is set once the server knows it.
    async fn step<T>(
        &self,
        step: Step,
        recipient: Option<&EmailAddress>,
        reply: impl Future<Output = Result<T, smtp::Error>>,
    ) -> Result<T, NotifyError> {
        let limit = self.timeouts.of(step);
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
            return NotifyError::Unavailable(format!("the mail server: {}", chain(error)));
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

/// Sends QUIT in the background: an accepted mail stays accepted, whatever the reply.
fn quit(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
    });
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

impl Server {
    fn parse(url: &str) -> Result<Self, String> {
        let url: Url = url.parse().map_err(|error| format!("is not a URL: {error}"))?;
        let encryption = check(&url)?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            // Without the brackets that it has in a URL.
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(NO_HOST.to_owned()),
        };
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
            "" => ClientId::default(),
            name => ClientId::Domain(name.to_owned()),
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
    let is_this_machine = url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']);
        host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    });
    match (url.username(), url.password()) {
        ("", None) => Ok(encryption),
        ("", _) | (_, None) => Err(HALF),
        _ if is_encrypted || is_this_machine => Ok(encryption),
        _ => Err(IN_CLEAR),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    use super::{super::example, *};

    /// A server that gives one command a reply of its own, or none.
    struct Listening(String);

    impl Listening {
        /// The command `.` is the end of the mail. Without an answer, the client waits.
        fn with(extensions: &str, command: &str, answer: Option<&str>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let url = format!("smtp://{}", listener.local_addr().expect("an address"));
            let ehlo = format!("250-localhost\r\n{extensions}250 8BITMIME\r\n");
            let (command, answer) = (command.to_owned(), answer.map(|it| format!("{it}\r\n")));
            thread::spawn(move || {
                let (mut client, _) = listener.accept().expect("a client");
                let lines = BufReader::new(client.try_clone().expect("a socket")).lines();
                client.write_all(b"220 localhost\r\n").expect("written");
                let mut in_mail = false;
                for line in lines.map_while(Result::ok) {
                    let ends_mail = in_mail && line == ".";
                    if in_mail && !ends_mail {
                        continue;
                    }
                    in_mail = false;
                    let reply = match &answer {
                        _ if !line.starts_with(&command) => match line.as_str() {
                            "DATA" => "354 go on\r\n",
                            line if line.starts_with("EHLO") => &ehlo,
                            _ => "250 2.0.0 OK\r\n",
                        },
                        Some(answer) => answer,
                        None => continue,
                    };
                    in_mail = reply.starts_with("354");
                    let _ = client.write_all(reply.as_bytes());
                }
            });
            Self(url)
        }

        fn smtp(&self) -> Smtp {
            let from = "approvals@example.com".parse().expect("a mailbox");
            Smtp::new(&self.0, from).expect("a server")
        }
    }

    /// The error for a mail to a server with these extensions that gives this answer to this command.
    async fn sent(to: &str, extensions: &str, command: &str, answer: &str) -> NotifyError {
        let smtp = Listening::with(extensions, command, Some(answer)).smtp();
        let (envelope, letter) = example(to);
        smtp.send(&envelope, &letter).await.expect_err("refused")
    }

    #[test]
    fn ambiguous_and_unsafe_urls_are_refused() {
        let refusal = |url: &str| {
            let from = "approvals@example.com".parse().expect("a mailbox");
            let why = Smtp::new(url, from).err().unwrap_or_default();
            assert!(!why.contains("secret"), "{url}: {why}");
            why
        };
        for (url, why) in [
            ("smtp://me:secret@mail.example.com", "in clear"),
            ("smtp://me:secret@mail.example.com?tls=opportunistic", "in clear"),
            ("smtp://me:secret@10.0.0.1:25", "in clear"),
            ("smtp://me:secret@localhost.example.com", "in clear"),
            ("smtp://me@mail.example.com?tls=required", "both user and password"),
            ("smtps://:secret@mail.example.com", "both user and password"),
            ("smtp://mail.example.com?starttls=true", "nothing but ?tls=required"),
            ("smtp://mail.example.com?tls=required&timeout=3", "nothing but ?tls=required"),
            ("smtps://me:12?secret@mail.example.com", "%3F for ?"),
            ("smtps://me:12#secret@mail.example.com", "%23 for #"),
            ("smtp://me:secret@mail.example.com?tls=true", "must say ?tls=required"),
            ("smtps://mail.example.com?tls=opportunistic", "must say ?tls=required"),
        ] {
            assert!(refusal(url).contains(why), "{url}: {}", refusal(url));
        }
        for url in [
            "smtp://mail.example.com",
            "smtp://mailpit:1025?tls=opportunistic",
            "smtp://me:secret@localhost:25",
            "smtp://me:secret@127.0.0.1:25",
            "smtp://me:secret@mail.example.com:587/approve.example.com?tls=required",
            "smtps://me:secret@mail.example.com?tls=required",
        ] {
            assert_eq!(refusal(url), "", "{url}");
        }
    }

    /// Final, retried until somebody fixes it, or retried for a while.
    #[tokio::test]
    async fn only_a_reply_about_the_recipient_is_final() {
        let final_for = |why| NotifyError::Rejected(why);
        let again = |why| NotifyError::Unavailable(why);
        let for_a_while = |why| NotifyError::Unexplained(why);
        type Kind = fn(String) -> NotifyError;
        let rows: [(&str, &str, Kind); 25] = [
            (
                "RCPT",
                "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown",
                final_for,
            ),
            ("RCPT", "550 5.2.1 The e-mail account that you tried to reach is disabled", final_for),
            ("RCPT", "554 5.7.1 <x@example.com>: Relay access denied", again),
            ("RCPT", "550 5.7.64 TenantAttribution; Relay Access Denied SMTP", again),
            ("DATA", "550 5.7.26 This mail is unauthenticated, which is a risk (SPF, DKIM)", again),
            (
                "RCPT",
                "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using x",
                again,
            ),
            ("RCPT", "550 5.7.708 Access denied, traffic not accepted from this IP", again),
            ("MAIL", "553 5.1.8 Sender address rejected: Domain not found", again),
            ("MAIL", "530 5.7.0 Must issue a STARTTLS command first", again),
            ("RCPT", "452 4.2.2 Mailbox full, try later", again),
            ("RCPT", "451 4.7.1 Greylisted, please try again", again),
            ("EHLO", "421 4.7.0 Try again later, closing connection. (EHLO)", again),
            ("DATA", "554 5.7.1 Message rejected as spam by content filtering", for_a_while),
            ("RCPT", "550 requested action not taken", for_a_while),
            (".", "554 5.7.1 not wanted here", for_a_while),
            (".", "550 5.1.1 no such mailbox", final_for),
            ("EHLO", "502 5.5.1 command not implemented", again),
            ("EHLO", "521 5.3.2 no mail here", again),
            ("MAIL", "501 5.1.7 bad sender address syntax", again),
            ("MAIL", "550 5.4.5 daily sending limit exceeded", again),
            ("RCPT", "553 5.7.1 <a@b.example>: Sender address rejected: not owned by me", again),
            ("MAIL", "535 5.7.8 credentials invalid", again),
            ("MAIL", "550 requested action not taken", again),
            ("RCPT", "501 5.1.3 bad recipient address syntax", final_for),
            ("RCPT", "450 4.2.0 mailbox busy", again),
        ];
        for (command, answer, kind) in rows {
            let step = if command == "." { "the mail" } else { command };
            let why = format!("the mail server answered {step} with {answer}");
            assert_eq!(sent("ann@example.com", "", command, answer).await, kind(why));
        }
    }

    /// A short time-out at one step, and long ones at all others.
    fn impatient(step: Step) -> Timeouts {
        let (long, short) = (Duration::from_mins(1), Duration::from_millis(50));
        let wait = |of: Step| if of == step { short } else { long };
        Timeouts {
            connect: long,
            greeting: wait(Step::Greeting),
            start_tls: wait(Step::StartTls),
            auth: wait(Step::Auth),
            mail: wait(Step::Mail),
            recipient: wait(Step::Recipient),
            data: wait(Step::Data),
            content: wait(Step::Content),
        }
    }

    #[tokio::test]
    async fn each_step_has_its_own_time_out_and_is_named() {
        for (step, command) in [
            (Step::Greeting, "EHLO"),
            (Step::Mail, "MAIL"),
            (Step::Recipient, "RCPT"),
            (Step::Data, "DATA"),
            (Step::Content, "."),
        ] {
            let server = Listening::with("", command, None);
            let smtp = Smtp { timeouts: impatient(step), ..server.smtp() };
            let (envelope, letter) = example("ann@example.com");
            let error = smtp.send(&envelope, &letter).await.expect_err("no answer");
            assert_eq!(error, silent(step, Duration::from_millis(50)), "{command}");
        }
        let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Listening(format!("smtp://{}", mute.local_addr().expect("an address")));
        let smtp = Smtp { timeouts: impatient(Step::Greeting), ..server.smtp() };
        let error = smtp.probe().await.expect_err("no greeting").to_string();
        assert!(
            error.contains("within 50ms; if the mail server expects TLS from the start"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn time_outs_are_at_least_those_of_rfc_5321() {
        let timeouts = Timeouts::RFC_5321;
        let minutes = |step| timeouts.of(step).as_secs() / 60;
        for (step, least) in [
            (Step::Greeting, 5),
            (Step::Mail, 5),
            (Step::Recipient, 5),
            (Step::Data, 2),
            (Step::Content, 3 + 10),
        ] {
            assert!(minutes(step) >= least, "{step:?}");
        }
        assert_eq!(LONGEST, Step::ALL.map(|step| timeouts.of(step)).iter().sum::<Duration>());
    }

    #[tokio::test]
    async fn an_accepted_mail_is_sent_whatever_the_reply_to_quit() {
        let server = Listening::with("", "QUIT", None);
        let (envelope, letter) = example("ann@example.com");
        let sent = server.smtp().send(&envelope, &letter).await.expect("taken");
        assert_eq!(sent, "accepted by the mail server: 250 2.0.0 OK");
    }

    #[tokio::test]
    async fn a_probe_connects_and_sends_no_mail() {
        let error = Listening::with("", "EHLO", Some("554 5.7.1 no service")).smtp().probe().await;
        let why = "the mail server answered EHLO with 554 5.7.1 no service";
        assert_eq!(error, Err(NotifyError::Unavailable(why.into())));
        assert_eq!(Listening::with("", "MAIL", None).smtp().probe().await, Ok(()));
    }

    #[tokio::test]
    async fn a_recipient_beyond_ascii_needs_smtputf8() {
        let error = sent("jürgen@example.com", "", "nothing", "").await;
        let why = "the mail server accepts only ASCII addresses (it has no SMTPUTF8), and \
                   jürgen@example.com is not ASCII";
        assert_eq!(error, NotifyError::Rejected(why.into()));
        let error = sent("jürgen@example.com", "250-SMTPUTF8\r\n", "RCPT", "450 later").await;
        assert!(matches!(error, NotifyError::Unavailable(_)), "{error:?}");
    }
}
