//! Signals as people send them: each is read, or refused with a reason. No payload makes it panic.

use countersign_protos::{
    names::{self, COMMENT_MAX_CHARS},
    payload::{self, Payload, PayloadError},
    text, v1,
};
use serde::{Deserialize, Serialize};

use crate::approval::{Ballot, Claim, EmailAddress, Verdict};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Signal {
    Decision(Ballot),
    Reassign {
        from: EmailAddress,
        to: EmailAddress,
    },
    /// `None` reminds all who have not decided.
    Remind(Option<EmailAddress>),
    /// With a reason, which may be empty.
    Withdraw(String),
}

impl Signal {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Signal::Decision(ballot) => ballot.verdict.terms().name,
            Signal::Reassign { .. } => names::SIGNAL_REASSIGN,
            Signal::Remind(_) => names::SIGNAL_REMIND,
            Signal::Withdraw(_) => names::SIGNAL_WITHDRAW,
        }
    }
}

/// Reads the payloads of the signal of this name.
///
/// # Errors
/// Why they cannot be read. The reasons quote nothing: it might be somebody's approval ID.
pub(super) fn read(name: &str, payloads: &[Payload]) -> Result<Signal, String> {
    match name {
        names::SIGNAL_APPROVE => decision(Verdict::Approve, payloads),
        names::SIGNAL_REJECT => decision(Verdict::Reject, payloads),
        names::SIGNAL_REASSIGN => {
            let expected = "a JSON object with `reviewer` and `to`";
            let read: v1::Reassignment = expecting(expected, payload::decode(payloads))?;
            let (from, to) = (address("reviewer", &read.reviewer)?, address("to", &read.to)?);
            Ok(Signal::Reassign { from, to })
        }
        names::SIGNAL_REMIND => {
            let expected = "nothing, or a JSON object with `reviewer`";
            let read: v1::Reminder = expecting(expected, payload::decode_optional(payloads))?;
            let whom = Some(read.reviewer.trim()).filter(|reviewer| !reviewer.is_empty());
            Ok(Signal::Remind(whom.map(|reviewer| address("reviewer", reviewer)).transpose()?))
        }
        names::SIGNAL_WITHDRAW => {
            let expected = "nothing, or a JSON object with `reason`";
            let read: v1::Withdrawal = expecting(expected, payload::decode_optional(payloads))?;
            Ok(Signal::Withdraw(read.reason))
        }
        _ => Err("unknown signal".to_owned()),
    }
}

fn expecting<T>(expected: &str, decoded: Result<T, PayloadError>) -> Result<T, String> {
    decoded.map_err(|why| match why {
        PayloadError::Data(_) => format!("expected {expected}"),
        _ => why.to_string(),
    })
}

fn address(field: &str, text: &str) -> Result<EmailAddress, String> {
    text.trim().parse().map_err(|_| format!("`{field}` is not an e-mail address"))
}

fn decision(verdict: Verdict, payloads: &[Payload]) -> Result<Signal, String> {
    let expected = "a JSON object with `link` or `reviewer`, and optionally `comment`";
    let decision: v1::Decision = expecting(expected, payload::decode(payloads))?;
    let claim = match (decision.link.trim(), decision.reviewer.trim()) {
        ("", "") => return Err("neither `link` nor `reviewer` is given".into()),
        (link, "") => Claim::Link(link.to_owned()),
        ("", reviewer) => Claim::Reviewer(address("reviewer", reviewer)?),
        _ => return Err("both `link` and `reviewer` are given".into()),
    };
    Ok(Signal::Decision(Ballot { claim, verdict, comment: clean(&decision.comment) }))
}

/// Text that somebody typed: without control characters, and no longer than a comment may be.
pub(super) fn clean(text: &str) -> String {
    text::clean(text).trim().chars().take(COMMENT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(data: &str) -> Vec<Payload> {
        vec![encoded("json/plain", data)]
    }

    fn encoded(encoding: &str, data: &str) -> Payload {
        let metadata = [("encoding".to_owned(), encoding.into())].into();
        Payload { metadata, data: data.into() }
    }

    /// As SDKs with typed objects send them, and people.
    #[test]
    fn what_is_null_is_absent_and_a_nil_argument_is_none() {
        let reviewer = || address("reviewer", "manager@example.com").expect("an address");
        for decided in [
            r#"{"reviewer":"manager@example.com","comment":null}"#,
            r#"{"link":null,"reviewer":"manager@example.com","comment":null}"#,
            r#"{"reviewer":" Manager@Example.com "}"#,
            "{\"reviewer\":\"\u{a0}manager@example.com\\n\",\"link\":\" \"}",
        ] {
            let (claim, comment) = (Claim::Reviewer(reviewer()), String::new());
            let ballot = Ballot { claim, verdict: Verdict::Approve, comment };
            let decoded = decision(Verdict::Approve, &json(decided));
            assert_eq!(decoded, Ok(Signal::Decision(ballot)), "{decided}");
        }
        let nil = [vec![], json("null"), vec![encoded("binary/null", "")]];
        for nothing in nil.iter().chain(&[json("{}"), json(r#"{"reason":null}"#)]) {
            assert_eq!(
                read(names::SIGNAL_WITHDRAW, nothing),
                Ok(Signal::Withdraw(String::new())),
                "{nothing:?}"
            );
        }
        for nothing in nil.iter().chain(&[json("{}"), json(r#"{"reviewer":null}"#)]) {
            assert_eq!(
                read(names::SIGNAL_REMIND, nothing),
                Ok(Signal::Remind(None)),
                "{nothing:?}"
            );
        }
        for nothing in &nil {
            let missing = Err("expected one input, got none".to_owned());
            assert_eq!(decision(Verdict::Reject, nothing), missing, "{nothing:?}");
            assert_eq!(read(names::SIGNAL_REASSIGN, nothing), missing, "{nothing:?}");
        }
        let to =
            json(r#"{"reviewer": " manager@example.com", "to": "cy@example.com ", "x": null}"#);
        let cy = address("to", "cy@example.com").expect("an address");
        assert_eq!(
            read(names::SIGNAL_REASSIGN, &to),
            Ok(Signal::Reassign { from: reviewer(), to: cy })
        );
    }

    #[test]
    fn an_encoding_that_cannot_be_read_is_named() {
        let sealed = [encoded("binary/encrypted", "\u{1}\u{2}")];
        let named = "the encoding \"binary/encrypted\" is not";
        for why in [
            decision(Verdict::Approve, &sealed).expect_err("unreadable"),
            read(names::SIGNAL_REASSIGN, &sealed).expect_err("unreadable"),
            read(names::SIGNAL_REMIND, &sealed).expect_err("unreadable"),
            read(names::SIGNAL_WITHDRAW, &sealed).expect_err("unreadable"),
        ] {
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn comments_are_cut_and_cleaned_but_keep_their_lines() {
        assert_eq!(clean("  fine\u{0}\nsecond\u{1b}[31m line \r\n"), "fine\nsecond[31m line");
        assert_eq!(clean(&"é".repeat(3_000)).chars().count(), COMMENT_MAX_CHARS);
    }
}
