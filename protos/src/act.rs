//! What the submitter does by their link, on its way from a page to the workflow.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;

use crate::{GenuineLink, Statement, confirmation::is_recent, names};

/// Something that the submitter can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Act {
    Revise,
    Withdraw,
}

impl Act {
    /// In the order of the buttons.
    pub const ALL: [Act; 2] = [Act::Revise, Act::Withdraw];

    /// The name of its signal, and its value in forms.
    pub const fn name(self) -> &'static str {
        match self {
            Act::Revise => names::SIGNAL_REVISE,
            Act::Withdraw => names::SIGNAL_WITHDRAW,
        }
    }

    /// The label of its button.
    pub const fn button(self) -> &'static str {
        match self {
            Act::Revise => "Revise",
            Act::Withdraw => "Withdraw",
        }
    }

    /// The act of a form.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }
}

impl GenuineLink {
    /// What confirms a statement by this link: see [`nonce`](Self::nonce).
    pub fn nonce_of(&self, statement: Statement<'_>, at: Timestamp) -> String {
        let seconds = at.as_second();
        let mac = BASE64_URL_SAFE_NO_PAD.encode(self.confirmation_of(statement, seconds));
        format!("{seconds}.{mac}")
    }

    /// Whether the nonce was issued for this very statement, an hour ago at most.
    pub fn confirms(&self, nonce: &str, statement: Statement<'_>, now: Timestamp) -> bool {
        let Some((seconds, mac)) = nonce.split_once('.') else { return false };
        is_recent(seconds, mac, now, |seconds| self.confirmation_of(statement, seconds))
    }

    /// The request ID of the signal that carries this statement to a run: see [`request_id`](Self::request_id).
    /// Another revision is another event; a reason for withdrawing makes none.
    pub fn request_id_of(&self, run_id: &str, statement: Statement<'_>, attempt: u32) -> String {
        let what = match statement {
            Statement::Withdraw { .. } => Statement::Withdraw { reason: "" },
            statement => statement,
        };
        let mac = self.mac_of("act", what, &[&attempt.to_be_bytes(), run_id.as_bytes()]);
        self.request_id_from(mac)
    }

    /// What the address of the page after an act carries, `ACT.SECONDS.MAC`: see [`receipt`](Self::receipt). What came
    /// of it, the workflow says.
    pub fn receipt_of(&self, act: Act, at: Timestamp) -> String {
        let (name, seconds) = (act.name(), at.as_second());
        let mac = BASE64_URL_SAFE_NO_PAD.encode(self.act_receipt(act, seconds));
        format!("{name}.{seconds}.{mac}")
    }

    /// What was done by this link, an hour ago at most; `None` if the receipt is not ours, or older.
    pub fn acted(&self, receipt: &str, now: Timestamp) -> Option<Act> {
        let mut parts = receipt.splitn(3, '.');
        let act = Act::from_name(parts.next()?)?;
        let (seconds, mac) = (parts.next()?, parts.next()?);
        is_recent(seconds, mac, now, |seconds| self.act_receipt(act, seconds)).then_some(act)
    }

    fn act_receipt(&self, act: Act, seconds: i64) -> [u8; 32] {
        let parts = [self.hash().as_str().as_bytes(), act.name().as_bytes()];
        self.key().mac("receipt of an act", &[parts[0], parts[1], &seconds.to_be_bytes()])
    }

    fn confirmation_of(&self, statement: Statement<'_>, seconds: i64) -> [u8; 32] {
        self.mac_of("confirmation of an act", statement, &[&seconds.to_be_bytes()])
    }

    fn mac_of(&self, purpose: &str, statement: Statement<'_>, besides: &[&[u8]]) -> [u8; 32] {
        let stated = statement.signed(self.hash().as_str(), &pbjson_types::Timestamp::default());
        let parts: Vec<&[u8]> = [&*stated].into_iter().chain(besides.iter().copied()).collect();
        self.key().mac(purpose, &parts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::SignedDuration;

    use super::*;
    use crate::{
        Chain, LinkContext, Pressed, Verdict,
        keys::tests::{KEY_A, KEY_B, keys},
    };

    const ACTS: [Statement<'_>; 4] = [
        Statement::Revise { digest: "one" },
        Statement::Revise { digest: "two" },
        Statement::Withdraw { reason: "" },
        Statement::Withdraw { reason: "twice" },
    ];

    fn link(key: &str) -> GenuineLink {
        let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
        keys(key).first().link(LinkContext::submitter(chain, "v1:0", "priya@example.com"))
    }

    fn at() -> Timestamp {
        Timestamp::from_second(1_795_509_000).expect("in range")
    }

    #[test]
    fn a_nonce_confirms_one_act_of_one_link_for_an_hour() {
        let own = link(KEY_A);
        for (made, act) in ACTS.into_iter().enumerate() {
            let nonce = own.nonce_of(act, at());
            let confirmed = ACTS.map(|other| own.confirms(&nonce, other, at()));
            assert_eq!(confirmed, std::array::from_fn(|other| other == made), "{act:?}");
            assert!(own.confirms(&nonce, act, at() + SignedDuration::from_hours(1)));
            assert!(!own.confirms(&nonce, act, at() + SignedDuration::from_secs(3_601)));
            assert!(!link(KEY_B).confirms(&nonce, act, at()));
        }
        for forged in ["", ".", "x", "1795509000.", "1795509000.AAAA"] {
            assert!(!own.confirms(forged, ACTS[0], at()), "{forged}");
        }
    }

    #[test]
    fn another_revision_is_another_event_and_the_same_act_again_is_the_same() {
        let own = link(KEY_A);
        let ids: Vec<String> = ACTS.map(|act| own.request_id_of("run", act, 0)).into();
        assert_eq!(ids[2], ids[3], "another reason is no other withdrawal");
        assert_eq!(ids[0], own.request_id_of("run", ACTS[0], 0));
        let others = [
            own.request_id_of("run", ACTS[0], 1),
            own.request_id_of("other", ACTS[0], 0),
            link(KEY_B).request_id_of("run", ACTS[0], 0),
            own.request_id("run", Verdict::Approve, 0),
        ];
        let all: BTreeSet<&String> = ids.iter().chain(&others).collect();
        assert_eq!(all.len(), 7, "{all:?}");
    }

    #[test]
    fn a_receipt_is_of_one_act_by_one_link_and_only_we_can_make_one() {
        let own = link(KEY_A);
        for act in Act::ALL {
            let receipt = own.receipt_of(act, at());
            assert_eq!(own.acted(&receipt, at()), Some(act));
            assert_eq!(own.acted(&receipt, at() + SignedDuration::from_secs(3_601)), None);
            assert_eq!(link(KEY_B).acted(&receipt, at()), None);
            assert_eq!(own.pressed(&receipt, at()), None, "it is of no vote");
        }
        let receipt = own.receipt_of(Act::Revise, at());
        let vote = own.receipt(Pressed { verdict: Verdict::Approve, counted: true }, at());
        for forged in ["", "revise", "..", &receipt.replace("revise", "withdraw"), &vote] {
            assert_eq!(own.acted(forged, at()), None, "{forged}");
        }
    }
}
