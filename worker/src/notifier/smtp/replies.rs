//! What a mail server's refusal is about. The enhanced status code (RFC 3463) decides, then the text,
//! then the reply code (RFC 5321).

use std::time::Duration;

use crate::approval::EmailAddress;

/// Which part of the conversation a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Connecting, with the TLS handshake, the greeting and EHLO.
    Greeting,
    StartTls,
    Auth,
    Mail,
    Recipient,
    /// DATA, before the mail itself.
    Data,
    /// The end of the mail.
    Content,
}

impl Step {
    pub(super) const ALL: [Step; 7] = [
        Step::Greeting,
        Step::StartTls,
        Step::Auth,
        Step::Mail,
        Step::Recipient,
        Step::Data,
        Step::Content,
    ];

    /// How long to wait for the server.
    ///
    /// A slow server may already have stored the mail, and gets it twice from a client that gives up
    /// early. RFC 5321, 4.5.3.2 therefore has minimum time-outs for commands. It has none for EHLO,
    /// STARTTLS and AUTH, which get the usual five minutes for each reply.
    pub(super) const fn time_out(self) -> Duration {
        Duration::from_mins(match self {
            // From connecting to the reply to EHLO; STARTTLS, the handshake, and EHLO again.
            Step::Greeting | Step::StartTls => 10,
            // Up to three replies.
            Step::Auth => 15,
            Step::Mail | Step::Recipient => 5,
            Step::Data => 2,
            // Sending the mail (3 minutes), and the reply to its end (10 minutes).
            Step::Content => 13,
        })
    }

    /// The command as RFC 5321 writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Step::Greeting => "EHLO",
            Step::StartTls => "STARTTLS",
            Step::Auth => "AUTH",
            Step::Mail => "MAIL",
            Step::Recipient => "RCPT",
            Step::Data => "DATA",
            Step::Content => "the mail",
        }
    }
}

/// Whom or what a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// No retry would help.
    Recipient,
    /// Our access, host or sender, or the server itself: every mail waits until somebody fixes it.
    Us,
    /// The reply does not say. Perhaps the mail, perhaps a rule that is being changed.
    Unknown,
}

/// What a permanent reply (5yz) is about. Before RCPT the server knows no recipient, so it can only be
/// about us.
pub(super) fn subject(
    code: u16,
    text: &str,
    sender: &str,
    recipient: Option<&EmailAddress>,
) -> Subject {
    let Some(recipient) = recipient else { return Subject::Us };
    let status = enhanced_status(text);
    let text = text.to_lowercase().replace(recipient.as_str(), "");
    if let Some(subject) = status.and_then(by_status) {
        return subject;
    }
    let words = spaced_words(&text);
    let names = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    // Us first: a reply about our access often repeats the recipient's address.
    if text.contains(&sender.to_lowercase()) || names(ABOUT_US) {
        return Subject::Us;
    }
    if names(ABOUT_THE_RECIPIENT) {
        return Subject::Recipient;
    }
    match (code, status) {
        // User not local (RFC 5321, 3.4); the domain accepts no mail (RFC 7504).
        (551 | 556, _) => Subject::Recipient,
        // About the command or its sender: RFC 5321, 4.2.2 (500 to 504), RFC 7504 (521),
        // RFC 4954, 6 (530 to 538), RFC 3463, 3.6 (protocol).
        (500..=504 | 521 | 530..=538, _) | (_, Some((5, 1..=6))) => Subject::Us,
        _ => Subject::Unknown,
    }
}

/// Subject and detail of the enhanced status code at the start of a reply (RFC 2034), or after a `#`,
/// where qmail puts it.
fn enhanced_status(text: &str) -> Option<(u16, u16)> {
    let first = text.split_whitespace().next();
    let marked = text.split_once('#').map(|(_, rest)| rest);
    [first, marked].into_iter().flatten().find_map(|status| {
        let end = status.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(status.len());
        let numbers: Option<Vec<u16>> =
            status[..end].split('.').map(|number| number.parse().ok()).collect();
        match numbers?.as_slice() {
            [4 | 5, subject, detail] => Some((*subject, *detail)),
            _ => None,
        }
    })
}

/// By the registry of enhanced status codes (RFC 5248), and by vendors' own details. Codes with several
/// meanings (above all 5.7.1) are left to the text.
fn by_status(status: (u16, u16)) -> Option<Subject> {
    Some(match status {
        // The address: bad, moved, ambiguous (RFC 3463, 3.2), without a mail server (RFC 7505).
        (1, 1..=4 | 6 | 10) => Subject::Recipient,
        (1, 7 | 8) => Subject::Us,
        // The mailbox: disabled, full, too small, a broken list (RFC 3463, 3.3).
        (2, 1..=4) => Subject::Recipient,
        // Exchange: SendAsDenied.
        (2, 252) => Subject::Us,
        // The mail system: full, closed, incapable, misconfigured (RFC 3463, 3.4).
        (3, 1 | 2 | 3 | 5) => Subject::Us,
        // Congestion (RFC 3463, 3.5); Gmail: the daily sending limit.
        (4, 5) => Subject::Us,
        // A mailing list that is not for us (RFC 3463, 3.8); a mailbox or domain that changed hands
        // (RFC 7293). Exchange Online: an invalid or banned recipient.
        (7, 2 | 17 | 18 | 504 | 505) => Subject::Recipient,
        // Credentials and encryption (RFC 3463, 3.8; RFC 4954, 6), DKIM, SPF and reverse DNS
        // (RFC 7372), a sender without a mail server (RFC 7505), floods, ARC, REQUIRETLS (RFC 8689).
        (7, 3..=11 | 14 | 20..=30) => Subject::Us,
        // Exchange: not authenticated, not allowed to send as, relaying; Exchange Online: blocked
        // senders, addresses and tenants.
        (7, 57 | 60 | 64 | 500..=999) => Subject::Us,
        _ => return None,
    })
}

/// A text as words in lower case, with one space around each, so that phrases are found whole.
fn spaced_words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(String::from(" "), |words, word| words + word + " ")
}

/// Phrases of Postfix, Exim, Sendmail, qmail, Exchange and the big providers. A leading space starts
/// a word, a trailing one ends it.
const ABOUT_US: &[&str] = &[
    // Access
    " relay access denied",
    " relay denied",
    " relay not permitted",
    " relay prohibited",
    " relaying ",
    " to relay ",
    " not relay ",
    " allowed rcpthosts",
    "authenticat",
    " auth is required",
    " starttls ",
    " encryption ",
    // Host
    " client host",
    " client address",
    " your ip ",
    " your host ",
    " your server ",
    " your network ",
    " this ip ",
    " ip address",
    " helo ",
    " ehlo ",
    " reverse dns ",
    " rdns ",
    " ptr ",
    " rbl ",
    " dnsbl ",
    " blocked using ",
    " block list",
    " blocklist",
    " blacklist",
    " reputation",
    " service unavailable",
    " service not available",
    // Sender
    " sender address",
    " sender domain",
    " sender rejected",
    " sender denied",
    " sender verif",
    " bad sender",
    " invalid sender",
    " unknown sender",
    " envelope sender",
    " return path",
    " send as ",
    " sendasdenied ",
    " allowed to send",
    " permitted to send",
    " authorized to send",
    " permission to send",
    " spf ",
    " dkim ",
    " dmarc ",
    " your domain ",
    // How much we send
    " rate limit",
    " sending limit",
    " sending quota",
    " too many messages",
    " too many mails",
    " too many connections",
];

const ABOUT_THE_RECIPIENT: &[&str] = &[
    " user unknown",
    " unknown user",
    " unknown recipient",
    " recipient unknown",
    " unknown mailbox",
    " unknown address",
    " no such user",
    " no such mailbox",
    " no such recipient",
    " no such address",
    " no such account",
    " no mailbox ",
    " user not found",
    " mailbox not found",
    " recipient not found",
    " address not found",
    " not exist",
    " doesn t exist",
    " doesn t have ",
    " mailbox unavailable",
    " mailbox not available",
    " mailbox name not allowed",
    " mailbox disabled",
    " mailbox is disabled",
    " account disabled",
    " account is disabled",
    " account has been disabled",
    " mailbox full",
    " mailbox is full",
    " over quota",
    " quota exceeded",
    " storage allocation",
    " invalid recipient",
    " invalid mailbox",
    " invalid address",
    " recipient address rejected",
    " recipient rejected",
    " bad destination",
    " unrouteable address",
    " unroutable address",
    " undeliverable address",
    " user not local",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn about(reply: &str, recipient: Option<&str>) -> Subject {
        let (code, text) = reply.split_once(' ').expect("a code and a text");
        let recipient = recipient.map(|address| address.parse().expect("an address"));
        let code = code.parse().expect("a code");
        subject(code, text, "approvals@corp.example", recipient.as_ref())
    }

    #[test]
    fn replies_are_classified_by_code_and_text() {
        for (reply, of) in [
            // Codes
            ("550 5.1.1 <ann@example.com>: User unknown", Subject::Recipient),
            ("550 5.2.1 This account is disabled", Subject::Recipient),
            ("550 5.7.64 TenantAttribution; Relay Access Denied", Subject::Us),
            ("550 5.7.26 Unauthenticated mail (SPF, DKIM)", Subject::Us),
            ("550 5.7.708 Access denied, traffic not accepted", Subject::Us),
            ("550 5.7.504 [ann@example.com]: Access denied", Subject::Recipient),
            ("501 5.1.3 bad recipient address syntax", Subject::Recipient),
            ("504 5.1.2 need a fully-qualified address", Subject::Recipient),
            ("550 5.4.5 daily sending limit exceeded", Subject::Us),
            ("554 5.2.252 SendAsDenied", Subject::Us),
            ("552 5.3.4 message too big", Subject::Unknown),
            ("556 5.1.10 recipient address has null MX", Subject::Recipient),
            // Decided by the text
            ("554 5.7.1 <ann@example.com>: Relay access denied", Subject::Us),
            ("554 5.7.1 Client host [192.0.2.7] blocked using x", Subject::Us),
            ("553 5.7.1 <approvals@corp.example>: not owned by me", Subject::Us),
            ("550 5.7.1 Unable to relay", Subject::Us),
            ("550 5.7.1 Message rejected due to: SPF fail", Subject::Us),
            (
                "550 5.4.1 Recipient address rejected: Access denied. [x.y.protection.outlook.com]",
                Subject::Recipient,
            ),
            ("550 5.5.0 mailbox unavailable", Subject::Recipient),
            ("554 5.7.1 rejected as spam by content filtering", Subject::Unknown),
            ("554 5.7.1 not wanted here", Subject::Unknown),
            // Without an enhanced code
            ("550 relay not permitted", Subject::Us),
            ("550 SMTP AUTH is required", Subject::Us),
            ("550 Sender verify failed", Subject::Us),
            ("553 sorry, no mailbox here by that name (#5.1.1)", Subject::Recipient),
            ("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Subject::Us),
            ("553 mailbox name not allowed", Subject::Recipient),
            ("551 please try <ann@example.net>", Subject::Recipient),
            ("552 exceeded storage allocation", Subject::Recipient),
            ("550 User unknown in relay recipient table", Subject::Recipient),
            ("503 bad sequence of commands", Subject::Us),
            ("550 5.1.1.7 is not an enhanced code", Subject::Unknown),
            ("550 requested action not taken", Subject::Unknown),
        ] {
            assert_eq!(about(reply, Some("ann@example.com")), of, "{reply}");
        }
    }

    #[test]
    fn before_rcpt_every_reply_is_about_us() {
        for reply in ["554 no service", "550 5.2.1 mailbox disabled", "550 5.1.1 user unknown"] {
            assert_eq!(about(reply, None), Subject::Us, "{reply}");
        }
    }

    #[test]
    fn words_in_the_recipients_address_do_not_count() {
        let reply = "550 <Your.IP.SPF@blacklist.example>: not taken";
        assert_eq!(about(reply, Some("your.ip.spf@blacklist.example")), Subject::Unknown);
    }
}
