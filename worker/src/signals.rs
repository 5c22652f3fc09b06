//! Signals as people send them: each is read to what it tells, or to why it cannot be read, and
//! whatever it is, nothing panics.

use countersign_protos::{
    names::{self, COMMENT_MAX_CHARS},
    payload::{self, Payload, Unreadable},
    v1, words,
};
use serde::{Deserialize, Serialize};

use crate::approval::{Ballot, Claim, EmailAddress, Verdict};

/// A signal that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// By a reviewer, or by an operator for one.
    Decision(Ballot),
    /// By an operator: whom to replace, by whom.
    Reassign(EmailAddress, EmailAddress),
    /// By an operator: whom; `None` for all who have not decided.
    Remind(Option<EmailAddress>),
    /// By an operator: why.
    Withdraw(String),
}

impl Told {
    /// The signal that told it.
    pub(crate) fn signal(&self) -> &'static str {
        match self {
            Told::Decision(ballot) => ballot.verdict.name(),
            Told::Reassign(..) => names::SIGNAL_REASSIGN,
            Told::Remind(_) => names::SIGNAL_REMIND,
            Told::Withdraw(_) => names::SIGNAL_WITHDRAW,
        }
    }
}

/// Why a payload cannot be read. The reasons quote no data: it might be somebody's approval ID.
fn unread(why: Unreadable, shape: &str) -> String {
    match why {
        Unreadable::Data(_) => shape.to_owned(),
        _ => why.to_string(),
    }
}

/// An address as somebody typed it; the reason names the field where it cannot be read.
fn address(field: &str, text: &str) -> Result<EmailAddress, String> {
    text.trim().parse().map_err(|_| format!("its {field} is no e-mail address"))
}

/// Reads the payload of `approve` or `reject`.
pub(crate) fn decision(verdict: Verdict, payloads: &[Payload]) -> Result<Told, String> {
    const SHAPE: &str =
        "the payload is no decision: a JSON object with link or reviewer, and comment";
    let decision: v1::Decision = payload::decode(payloads).map_err(|why| unread(why, SHAPE))?;
    let claim = match (decision.link.trim(), decision.reviewer.trim()) {
        ("", "") => return Err("it names neither link nor reviewer".into()),
        (link, "") => Claim::Link(link.to_owned()),
        ("", reviewer) => Claim::Reviewer(address("reviewer", reviewer)?),
        _ => return Err("it names both link and reviewer".into()),
    };
    Ok(Told::Decision(Ballot { claim, verdict, comment: clean(&decision.comment) }))
}

/// Reads the payload of `reassign`.
pub(crate) fn reassignment(payloads: &[Payload]) -> Result<Told, String> {
    const SHAPE: &str = "the payload is no reassignment: a JSON object with reviewer and to";
    let order: v1::Reassignment = payload::decode(payloads).map_err(|why| unread(why, SHAPE))?;
    Ok(Told::Reassign(address("reviewer", &order.reviewer)?, address("to", &order.to)?))
}

/// Reads the payload of `remind`.
pub(crate) fn reminder(payloads: &[Payload]) -> Result<Told, String> {
    const SHAPE: &str = "the payload is no reminder: nothing, or a JSON object with reviewer";
    let order: v1::Reminder =
        payload::decode_optional(payloads).map_err(|why| unread(why, SHAPE))?;
    match order.reviewer.trim() {
        "" => Ok(Told::Remind(None)),
        reviewer => Ok(Told::Remind(Some(address("reviewer", reviewer)?))),
    }
}

/// Reads the payload of `withdraw`.
pub(crate) fn withdrawal(payloads: &[Payload]) -> Result<Told, String> {
    const SHAPE: &str = "the payload is no withdrawal: nothing, or a JSON object with reason";
    let order: v1::Withdrawal =
        payload::decode_optional(payloads).map_err(|why| unread(why, SHAPE))?;
    Ok(Told::Withdraw(order.reason))
}

/// A text that somebody typed, without what cannot be shown, and no longer than a comment may be.
pub(crate) fn clean(text: &str) -> String {
    words::clean(text).trim().chars().take(COMMENT_MAX_CHARS).collect()
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
            let read = decision(Verdict::Approve, &json(decided));
            assert_eq!(read, Ok(Told::Decision(ballot)), "{decided}");
        }
        let nil = [vec![], json("null"), vec![encoded("binary/null", "")]];
        for nothing in nil.iter().chain(&[json("{}"), json(r#"{"reason":null}"#)]) {
            assert_eq!(withdrawal(nothing), Ok(Told::Withdraw(String::new())), "{nothing:?}");
        }
        for nothing in nil.iter().chain(&[json("{}"), json(r#"{"reviewer":null}"#)]) {
            assert_eq!(reminder(nothing), Ok(Told::Remind(None)), "{nothing:?}");
        }
        for nothing in &nil {
            let missing = Err("one input is expected, and there is none".to_owned());
            assert_eq!(decision(Verdict::Reject, nothing), missing, "{nothing:?}");
            assert_eq!(reassignment(nothing), missing, "{nothing:?}");
        }
        let to =
            json(r#"{"reviewer": " manager@example.com", "to": "cy@example.com ", "x": null}"#);
        let cy = address("to", "cy@example.com").expect("an address");
        assert_eq!(reassignment(&to), Ok(Told::Reassign(reviewer(), cy)));
    }

    #[test]
    fn an_encoding_that_cannot_be_read_is_named() {
        let sealed = [encoded("binary/encrypted", "\u{1}\u{2}")];
        let named = "the encoding \"binary/encrypted\" is not";
        for why in [
            decision(Verdict::Approve, &sealed).expect_err("unreadable"),
            reassignment(&sealed).expect_err("unreadable"),
            reminder(&sealed).expect_err("unreadable"),
            withdrawal(&sealed).expect_err("unreadable"),
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
