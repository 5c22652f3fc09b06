//! The form that has a colleague asked in a reviewer's place, and what is wrong with it. Pure.

use countersign_protos::{names::COMMENT_MAX_CHARS, text};

use crate::address;

/// What somebody has filled in, whatever is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delegating {
    /// As it is shown.
    pub(crate) to: String,
    /// As it is shown, however long it is.
    pub(crate) reason: String,
    /// Whether the form carries a decision, too, or more than one address.
    pub(crate) is_ambiguous: bool,
}

/// Why nobody else is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotDelegated {
    Ambiguous,
    NotAnAddress,
    /// It is none of these domains.
    OtherDomain(Vec<String>),
    /// The rule lets reviewers have nobody asked.
    NotOffered,
    Submitter,
    Yourself,
    /// This colleague is, or was.
    AskedAlready(String),
    ReasonMissing,
    ReasonTooLong,
    /// The workflow says why.
    Refused(String),
}

impl NotDelegated {
    /// The field that is wrong.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            NotDelegated::ReasonMissing | NotDelegated::ReasonTooLong => "reason",
            NotDelegated::Ambiguous
            | NotDelegated::NotAnAddress
            | NotDelegated::OtherDomain(_)
            | NotDelegated::NotOffered
            | NotDelegated::Submitter
            | NotDelegated::Yourself
            | NotDelegated::AskedAlready(_)
            | NotDelegated::Refused(_) => "delegate_to",
        }
    }
}

impl Delegating {
    /// The address in one spelling, if it and the reason can be accepted.
    pub(crate) fn checked(&self) -> Result<String, NotDelegated> {
        if self.is_ambiguous {
            return Err(NotDelegated::Ambiguous);
        }
        let to = address::read(&self.to).ok_or(NotDelegated::NotAnAddress)?;
        match text::comment(&self.reason) {
            reason if reason.is_empty() => Err(NotDelegated::ReasonMissing),
            _ if self.reason.chars().count() > COMMENT_MAX_CHARS => {
                Err(NotDelegated::ReasonTooLong)
            }
            _ => Ok(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(to: &str, reason: &str) -> Delegating {
        Delegating { to: to.into(), reason: reason.into(), is_ambiguous: false }
    }

    #[test]
    fn an_address_is_taken_as_the_workflow_reads_it_and_a_wrong_one_is_named() {
        for (typed, read) in [
            (" Fay@Example.COM ", "fay@example.com"),
            ("fay+x@bücher.example", "fay+x@xn--bcher-kva.example"),
            ("ÉVA@example.com", "éva@example.com"),
            ("E\u{301}va@bu\u{308}cher.example", "éva@xn--bcher-kva.example"),
        ] {
            assert_eq!(filled(typed, "why").checked().as_deref(), Ok(read), "{typed}");
        }
        for typed in [
            "",
            "fay",
            "@example.com",
            "fay@",
            "fay@exa mple.com",
            "f ay@example.com",
            "f@[::1]",
            "fay@127.0.0.1",
            "a@b@example.com",
        ] {
            assert_eq!(filled(typed, "why").checked(), Err(NotDelegated::NotAnAddress), "{typed}");
        }
        assert_eq!(
            filled("fay@example.com", " \u{200B}\n").checked(),
            Err(NotDelegated::ReasonMissing)
        );
        let long = "é".repeat(COMMENT_MAX_CHARS + 1);
        assert_eq!(filled("fay@example.com", &long).checked(), Err(NotDelegated::ReasonTooLong));
        let both = Delegating { is_ambiguous: true, ..filled("fay@example.com", "why") };
        assert_eq!(both.checked(), Err(NotDelegated::Ambiguous));
    }
}
