//! Which way somebody decides: one table, from which signals, forms, pages and mails take their words.

use serde::{Deserialize, Serialize};

use crate::{names, v1};

/// A decision's direction. Messages carry it as [`v1::Verdict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Verdict {
    Approve,
    Reject,
    RequestChanges,
}

/// A verdict's row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The name of its signal, and its value in forms and links.
    pub name: &'static str,
    /// The label of its button.
    pub button: &'static str,
    /// The past tense, as in `you approved`.
    pub past: &'static str,
    /// The class that colours it on pages.
    pub tone: &'static str,
    wire: v1::Verdict,
}

impl Verdict {
    /// In the order of the buttons.
    pub const ALL: [Verdict; 3] = [Verdict::Approve, Verdict::Reject, Verdict::RequestChanges];

    /// What it is called where.
    pub const fn terms(self) -> Terms {
        let (name, button, past, tone, wire) = match self {
            Verdict::Approve => {
                (names::SIGNAL_APPROVE, "Approve", "approved", "yes", v1::Verdict::Approve)
            }
            Verdict::Reject => {
                (names::SIGNAL_REJECT, "Reject", "rejected", "no", v1::Verdict::Reject)
            }
            Verdict::RequestChanges => {
                let wire = v1::Verdict::RequestChanges;
                let name = names::SIGNAL_REQUEST_CHANGES;
                (name, "Request changes", "requested changes", "back", wire)
            }
        };
        Terms { name, button, past, tone, wire }
    }

    /// The verdict of a form or a link.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.terms().name == name)
    }
}

impl v1::Verdict {
    /// `None` where it is not set, or only a newer version knows it.
    pub fn known(self) -> Option<Verdict> {
        match self {
            v1::Verdict::Unspecified => None,
            v1::Verdict::Approve => Some(Verdict::Approve),
            v1::Verdict::Reject => Some(Verdict::Reject),
            v1::Verdict::RequestChanges => Some(Verdict::RequestChanges),
        }
    }
}

/// The value of the field in a message.
impl From<Verdict> for i32 {
    fn from(verdict: Verdict) -> Self {
        verdict.terms().wire.into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_verdict_of_a_message_is_in_the_table() {
        let wire = (1..).map_while(|number| v1::Verdict::try_from(number).ok());
        let known: Vec<_> = wire.map(v1::Verdict::known).collect();
        assert_eq!(known, Verdict::ALL.map(Some));
        for verdict in Verdict::ALL {
            let wire = v1::Verdict::try_from(i32::from(verdict)).expect("on the wire");
            assert_eq!(wire.known(), Some(verdict));
        }
    }

    #[test]
    fn no_two_verdicts_share_a_name_or_a_word() {
        let columns: [fn(Terms) -> &'static str; 4] =
            [|terms| terms.name, |terms| terms.button, |terms| terms.past, |terms| terms.tone];
        for column in columns {
            let different: BTreeSet<_> = Verdict::ALL.map(Verdict::terms).map(column).into();
            assert_eq!(different.len(), Verdict::ALL.len(), "{different:?}");
        }
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_name(verdict.terms().name), Some(verdict));
        }
        for other in ["", "Approve", "approve ", "maybe"] {
            assert_eq!(Verdict::from_name(other), None, "{other:?}");
        }
    }
}
