//! A mail server.

use std::{net::IpAddr, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::Mailbox,
    transport::smtp::{self, AsyncSmtpTransportBuilder},
};
use tokio::time::timeout;
use url::Url;

use super::{Envelope, NotifyError, mime};
use crate::{approval::EmailAddress, mail::Letter};

/// Below the activity's own time-out, so that the cause is what people see.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends mail by SMTP (RFC 5321), each over its own connection: one of a pool whose mail is called
/// off half-way would come back in the middle of its conversation.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// `smtp://user:password@host:port` with `?tls=required` for STARTTLS, or `smtps://…`. A path is
    /// the name by which this machine greets (EHLO).
    ///
    /// # Errors
    /// When the address is not of that form, or would give the password away. The message does not
    /// repeat it: any part may be a password's.
    pub fn new(url: &str, from: Mailbox) -> Result<Self, String> {
        // Its own time-out is only for connecting.
        Ok(Self { transport: transport(url)?.timeout(None).build(), from })
    }

    /// Whether [`new`](Self::new) takes that address.
    ///
    /// # Errors
    /// As there.
    pub fn check(url: &str) -> Result<(), String> {
        transport(url).map(drop)
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        let message = mime::message(&self.from, envelope, letter)?;
        let sent = timeout(TIMEOUT, self.transport.send(message)).await;
        let sent = sent.map_err(|_| NotifyError::Unavailable(silent()))?;
        let reply = sent.map_err(|error| classify(&error, &envelope.recipient))?;
        Ok(format!(
            "taken by the mail server: {} {}",
            reply.code(),
            reply.first_line().unwrap_or("")
        ))
    }
}

const NOTHING_ELSE: &str = "takes nothing but ?tls=required after the host; in a password, write %3F \
                            for ? and %23 for #";
const WHICH_TLS: &str = "must say ?tls=required for STARTTLS, or start with smtps:// for TLS";
const HALF: &str = "needs both user and password, as in smtps://USER:PASSWORD@HOST";
const IN_CLEAR: &str = "would send the password in clear: write \
                        smtp://USER:PASSWORD@HOST?tls=required or smtps://USER:PASSWORD@HOST";

fn transport(url: &str) -> Result<AsyncSmtpTransportBuilder, String> {
    let parsed: Url = url.parse().map_err(|error| format!("is no address: {error}"))?;
    check(&parsed)?;
    AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
        .map_err(|error| format!("is no mail server's address: {error}"))
}

/// What lettre would take, and understand otherwise than it is meant.
fn check(url: &Url) -> Result<(), &'static str> {
    let queries: Vec<_> = url.query_pairs().collect();
    let tls = match (queries.as_slice(), url.fragment()) {
        ([], None) => None,
        ([(key, value)], None) if key == "tls" => Some(value.as_ref()),
        _ => return Err(NOTHING_ELSE),
    };
    let is_encrypted = match (url.scheme(), tls) {
        ("smtps", None | Some("required")) | ("smtp", Some("required")) => true,
        ("smtp", None | Some("opportunistic")) => false,
        _ => return Err(WHICH_TLS),
    };
    let is_this_machine = url.host_str().is_some_and(|host| {
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    });
    match (url.username(), url.password()) {
        ("", None) => Ok(()),
        ("", _) | (_, None) => Err(HALF),
        _ if is_encrypted || is_this_machine => Ok(()),
        _ => Err(IN_CLEAR),
    }
}

fn silent() -> String {
    format!(
        "the mail server did not answer within {TIMEOUT:?}; if it wants TLS from the start, its address \
         begins with smtps://, and if STARTTLS, it has ?tls=required"
    )
}

/// Final is what is said of this mail. What is said of us, such as that our password is wrong, holds
/// for every mail until somebody mends it.
fn classify(error: &smtp::Error, recipient: &EmailAddress) -> NotifyError {
    let mut why = format!("the mail server: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !why.contains(&cause_text) {
            why = format!("{why}: {cause_text}");
        }
        source = cause.source();
    }
    // RFC 6531; lettre tells it by its words alone.
    if error.is_client() && why.contains("SMTPUTF8") && !recipient.as_str().is_ascii() {
        return NotifyError::Rejected(format!(
            "the mail server takes ASCII addresses only (it has no SMTPUTF8), and {recipient} is none"
        ));
    }
    let reply = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let about_us = is_about_us(error.status().map(u16::from), &reply);
    match error.is_permanent() && (!about_us || is_about_the_recipient(&reply)) {
        true => NotifyError::Rejected(why),
        false => NotifyError::Unavailable(why),
    }
}

/// Replies to the command or to who gives it: RFC 5321, 4.2.2 (500 to 504), RFC 7504 (521) and
/// RFC 4954, 6 (530 to 538). To the sender's address or quota: RFC 3463, 3.2, and what Gmail (5.4.5),
/// Exchange (5.7.60) and Postfix say.
fn is_about_us(code: Option<u16>, reply: &str) -> bool {
    let sender = ["5.1.7 ", "5.1.8 ", "5.4.5 ", "5.7.60 "];
    matches!(code, Some(500..=504 | 521 | 530 | 534 | 535 | 538))
        || sender.iter().any(|code| reply.starts_with(code))
        || reply.contains(": Sender address rejected: ")
}

/// Servers refuse addresses by 501 and 504, too, and then the enhanced code tells: RFC 3463, 3.2.
fn is_about_the_recipient(reply: &str) -> bool {
    ["5.1.1 ", "5.1.2 ", "5.1.3 ", "5.1.6 "].iter().any(|code| reply.starts_with(code))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    use super::{super::example, *};

    /// What becomes of a mail where a server has these extensions and answers a command so.
    async fn sent(to: &str, extensions: &str, command: &str, answer: &str) -> NotifyError {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let ehlo = format!("250-localhost\r\n{extensions}250 8BITMIME\r\n");
        let (command, answer) = (command.to_owned(), format!("{answer}\r\n"));
        thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            let lines = BufReader::new(client.try_clone().expect("a socket")).lines();
            client.write_all(b"220 localhost\r\n").expect("written");
            for line in lines.map_while(Result::ok) {
                let answer = match line {
                    line if line.starts_with(&command) => &answer,
                    line if line.starts_with("EHLO") => &ehlo,
                    _ => "250 2.0.0 OK\r\n",
                };
                let _ = client.write_all(answer.as_bytes());
            }
        });
        let smtp = Smtp::new(&url, "approvals@example.com".parse().expect("a mailbox"));
        let (envelope, letter) = example(to);
        smtp.expect("a server").send(&envelope, &letter).await.expect_err("refused")
    }

    #[test]
    fn an_address_that_means_something_else_than_it_seems_is_refused() {
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

    #[tokio::test]
    async fn a_reply_to_the_mail_is_final_and_one_to_the_sender_is_not() {
        for (command, answer) in [
            ("RCPT", "550 5.1.1 no such mailbox"),
            ("RCPT", "501 5.1.3 bad recipient address syntax"),
            ("RCPT", "504 5.1.2 need a fully-qualified address"),
            ("RCPT", "553 mailbox name not allowed"),
            ("DATA", "554 5.7.1 not wanted here"),
        ] {
            let error = sent("ann@example.com", "", command, answer).await;
            assert!(
                matches!(&error, NotifyError::Rejected(why) if why.contains(answer[4..].trim()))
            );
        }
        for (command, answer) in [
            ("EHLO", "500 5.5.2 syntax error"),
            ("EHLO", "502 5.5.1 command not implemented"),
            ("EHLO", "521 5.3.2 no mail here"),
            ("MAIL", "501 5.1.7 bad sender address syntax"),
            ("MAIL", "550 5.1.8 sender domain does not exist"),
            ("MAIL", "550 5.4.5 daily sending limit exceeded"),
            ("RCPT", "550 5.7.60 client has no permission to send as this sender"),
            ("RCPT", "553 5.7.1 <a@b.example>: Sender address rejected: not owned by user me"),
            ("MAIL", "503 5.5.1 bad sequence of commands"),
            ("MAIL", "530 5.7.0 authentication required"),
            ("MAIL", "534 5.7.9 mechanism too weak"),
            ("MAIL", "535 5.7.8 credentials invalid"),
            ("MAIL", "538 5.7.11 encryption required"),
            ("RCPT", "450 4.2.0 mailbox busy"),
        ] {
            let error = sent("ann@example.com", "", command, answer).await;
            assert!(matches!(&error, NotifyError::Unavailable(_)), "{answer}: {error:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_left_with_a_hint_before_the_attempt_is_over() {
        let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("smtp://{}", mute.local_addr().expect("an address"));
        let smtp = Smtp::new(&url, "approvals@example.com".parse().expect("a mailbox"));
        let (envelope, letter) = example("ann@example.com");
        let sent = smtp.expect("a server").send(&envelope, &letter).await;
        assert_eq!(sent, Err(NotifyError::Unavailable(silent())));
    }

    #[tokio::test]
    async fn an_address_that_the_server_cannot_take_is_refused_for_good() {
        let error = sent("jürgen@example.com", "", "none", "").await;
        let why = "the mail server takes ASCII addresses only (it has no SMTPUTF8), and \
                   jürgen@example.com is none";
        assert_eq!(error, NotifyError::Rejected(why.into()));
        let error = sent("jürgen@example.com", "250-SMTPUTF8\r\n", "RCPT", "450 later").await;
        assert!(matches!(error, NotifyError::Unavailable(_)), "{error:?}");
    }
}
