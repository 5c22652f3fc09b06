//! Letters as internet mail (RFC 5322, MIME).

use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use super::{Envelope, NotifyError};
use crate::{approval::EmailAddress, mail::Letter};

/// Keeps automatic replies away: by RFC 3834, by Exchange (without its `NDR`: bounces are wanted), and by
/// programs that are older than both.
const NO_REPLIES: [(&str, &str); 3] = [
    ("Auto-Submitted", "auto-generated"),
    ("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
    ("Precedence", "list"),
];

/// A sender whose domain is in ASCII, as every mail server takes it (RFC 5890).
pub(super) fn sender(from: Mailbox) -> Mailbox {
    let anybody = format!("anybody@{}", from.email.domain()).parse::<EmailAddress>();
    let ascii = anybody.ok().and_then(|it| Address::new(from.email.user(), it.domain()).ok());
    Mailbox::new(from.name, ascii.unwrap_or(from.email))
}

/// A mail in text and HTML, with the same Message-ID at each attempt.
pub(super) fn message(
    from: &Mailbox,
    envelope: &Envelope,
    letter: &Letter,
) -> Result<Message, NotifyError> {
    let rejected = |error: &dyn std::fmt::Display| NotifyError::Rejected(format!("{error}"));
    let recipient: Address = envelope.recipient.as_str().parse().map_err(|e| rejected(&e))?;
    let id = |key: &str| format!("<{key}@{}>", from.email.domain());
    let mut message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, recipient))
        .subject(letter.subject.to_string())
        .date(envelope.written_at)
        .message_id(Some(id(&envelope.key)));
    // RFC 2919: mail programs sort by it.
    let list = format!("Countersign <countersign.{}>", from.email.domain());
    let fields = NO_REPLIES.map(|(name, value)| (name, value.to_owned()));
    for (name, value) in fields.into_iter().chain([("List-Id", list)]) {
        let name = HeaderName::new_from_ascii_str(name);
        message = message.raw_header(HeaderValue::new(name, value));
    }
    if envelope.thread != envelope.key {
        let first = id(&envelope.thread);
        message = message.in_reply_to(first.clone()).references(first);
    }
    message
        .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
        .map_err(|error| rejected(&error))
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::{super::example, *};

    fn from(sender: &str) -> Mailbox {
        sender.parse().expect("a mailbox")
    }

    /// The mail as it is sent.
    fn written(from: &Mailbox, envelope: &Envelope, letter: &Letter) -> String {
        let message = message(from, envelope, letter).expect("a mail");
        String::from_utf8(message.formatted()).expect("UTF-8")
    }

    /// A header field as it is sent, if it is.
    fn field(mail: &str, name: &str) -> Option<String> {
        let field = format!("{name}: ");
        mail.lines().find_map(|line| line.strip_prefix(&field)).map(str::to_owned)
    }

    #[test]
    fn a_mail_that_follows_another_is_in_its_thread() {
        let (first, letter) = example("ann@example.com");
        let from = from("Approvals <approvals@corp.example>");
        let begins = written(&from, &first, &letter);
        let id = field(&begins, "Message-ID").expect("an ID");
        assert_eq!(id, "<run.3@corp.example>");
        assert_eq!((field(&begins, "References"), field(&begins, "In-Reply-To")), (None, None));
        let reminder = Envelope { key: "run.7".into(), ..first };
        let follows = written(&from, &reminder, &letter);
        assert_eq!(field(&follows, "Message-ID").as_deref(), Some("<run.7@corp.example>"));
        assert_eq!(field(&follows, "References"), Some(id.clone()));
        assert_eq!(field(&follows, "In-Reply-To"), Some(id));
    }

    #[test]
    fn a_senders_domain_may_have_umlauts() {
        let from = sender(from("Freigaben <freigaben@Müller.example>"));
        assert_eq!(from.email.to_string(), "freigaben@xn--mller-kva.example");
        let (envelope, letter) = example("ann@example.com");
        let mail = written(&from, &envelope, &letter);
        assert!(mail.is_ascii(), "{mail}");
        assert_eq!(
            field(&mail, "From"),
            Some("Freigaben <freigaben@xn--mller-kva.example>".into())
        );
        let id = field(&mail, "Message-ID");
        assert_eq!(id.as_deref(), Some("<run.3@xn--mller-kva.example>"));
        for other in ["approvals@localhost", "approvals@corp.example"] {
            let from: Mailbox = other.parse().expect("a mailbox");
            assert_eq!(sender(from.clone()), from);
        }
    }

    #[test]
    fn no_program_answers_a_mail() {
        let (envelope, letter) = example("ann@example.com");
        let mail = written(&from("approvals@corp.example"), &envelope, &letter);
        for (name, value) in [
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "DR, RN, NRN, OOF, AutoReply"),
            ("Precedence", "list"),
        ] {
            assert_eq!(field(&mail, name).as_deref(), Some(value), "{mail}");
        }
    }

    /// Where bounces go is in the envelope: the last mail server writes it down as the Return-Path
    /// (RFC 5321, 4.4).
    #[test]
    fn a_mail_has_a_list_of_its_own_and_its_bounces_go_to_the_sender() {
        let (envelope, letter) = example("ann@example.com");
        let from = from("Approvals <approvals@corp.example>");
        let mail = written(&from, &envelope, &letter);
        let list = field(&mail, "List-Id");
        assert_eq!(list.as_deref(), Some("Countersign <countersign.corp.example>"));
        assert_eq!(field(&mail, "Return-Path"), None);
        let message = message(&from, &envelope, &letter).expect("a mail");
        assert_eq!(message.envelope().from(), Some(&from.email));
    }

    #[test]
    fn a_subject_is_read_as_it_was_written() {
        let (envelope, letter) = example("ann@example.com");
        let mail = written(&from("approvals@corp.example"), &envelope, &letter);
        let read = MessageParser::default().parse(mail.as_bytes()).expect("a mail");
        assert_eq!(read.subject(), Some("Größe: 領収書"));
    }
}
