//! Which way somebody decides: one table, from which signals, forms, pages and mails take their words.

use serde::{Deserialize, Serialize};

use crate::{names, v1};

/// A decision's direction. Messages carry it as [`v1::Verdict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Verdict {
    Approve,
    Reject,
}

struct Row {
    name: &'static str,
    button: &'static str,
    past: &'static str,
    tone: &'static str,
    wire: v1::Verdict,
}

impl Verdict {
    /// In the order of the buttons.
    pub const ALL: [Verdict; 2] = [Verdict::Approve, Verdict::Reject];

    const fn row(self) -> Row {
        match self {
            Verdict::Approve => Row {
                name: names::SIGNAL_APPROVE,
                button: "Approve",
                past: "approved",
                tone: "yes",
                wire: v1::Verdict::Approve,
            },
            Verdict::Reject => Row {
                name: names::SIGNAL_REJECT,
                button: "Reject",
                past: "rejected",
                tone: "no",
                wire: v1::Verdict::Reject,
            },
        }
    }

    /// The name of its signal, which is also its value in forms and links.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The verdict of a form or a link.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// The label of its button.
    pub const fn button(self) -> &'static str {
        self.row().button
    }

    /// What somebody did: `approved`.
    pub const fn past(self) -> &'static str {
        self.row().past
    }

    /// How a page colours it: a class of its stylesheet.
    pub const fn tone(self) -> &'static str {
        self.row().tone
    }
}

impl v1::Verdict {
    /// `None` where it is not set, or only a newer version knows it.
    pub fn known(self) -> Option<Verdict> {
        match self {
            v1::Verdict::Unspecified => None,
            v1::Verdict::Approve => Some(Verdict::Approve),
            v1::Verdict::Reject => Some(Verdict::Reject),
        }
    }
}

/// A message's field.
impl From<Verdict> for i32 {
    fn from(verdict: Verdict) -> Self {
        verdict.row().wire.into()
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
        for column in [Verdict::name, Verdict::button, Verdict::past, Verdict::tone] {
            let different: BTreeSet<_> = Verdict::ALL.map(column).into();
            assert_eq!(different.len(), Verdict::ALL.len(), "{different:?}");
        }
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_name(verdict.name()), Some(verdict));
        }
        for other in ["", "Approve", "approve ", "maybe"] {
            assert_eq!(Verdict::from_name(other), None, "{other:?}");
        }
    }
}
