//! What a reviewer's browser carries from one page to the next, as only we can have made it: the nonce of a
//! decision that was shown once more before it counts, and the receipt of a press. Nothing is stored.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use crate::{
    GenuineLink, Verdict,
    answers::{self, Answers},
    comment_hash, text,
};

/// By whichever of two clocks is ahead.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(1);

impl GenuineLink {
    /// What confirms a decision by this link: `SECONDS.MAC`, with the time at which it was issued. Only the
    /// comment's [kept form](text::comment) counts, and that of the [answers](crate::answers::check).
    pub fn nonce(
        &self,
        verdict: Verdict,
        comment: &str,
        answers: &Answers,
        at: Timestamp,
    ) -> String {
        let seconds = at.as_second();
        let mac = self.confirmation(verdict, comment, answers, seconds);
        format!("{seconds}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac))
    }

    /// Whether the nonce was issued for this very decision, an hour ago at most.
    pub fn is_confirmed(
        &self,
        nonce: &str,
        verdict: Verdict,
        comment: &str,
        answers: &Answers,
        now: Timestamp,
    ) -> bool {
        let Some((seconds, mac)) = nonce.split_once('.') else { return false };
        let made = |seconds| self.confirmation(verdict, comment, answers, seconds);
        is_recent(seconds, mac, now, made)
    }

    /// What the address of the page after a press carries: `VERDICT.EFFECT.SECONDS.MAC`. Without it anybody could
    /// make a page say that its reader has pressed something.
    pub fn receipt(&self, pressed: Pressed, at: Timestamp) -> String {
        let (verdict, effect, seconds) =
            (pressed.verdict.terms().name, pressed.effect(), at.as_second());
        let mac = BASE64_URL_SAFE_NO_PAD.encode(self.of_receipt(pressed, seconds));
        format!("{verdict}.{effect}.{seconds}.{mac}")
    }

    /// What was pressed by this link, an hour ago at most; `None` if the receipt is not ours, or older.
    pub fn pressed(&self, receipt: &str, now: Timestamp) -> Option<Pressed> {
        let mut parts = receipt.splitn(4, '.');
        let verdict = Verdict::from_name(parts.next()?)?;
        let (effect, seconds, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let both = [true, false].map(|counted| Pressed { verdict, counted });
        let pressed = both.into_iter().find(|pressed| pressed.effect() == effect)?;
        let made = |seconds| self.of_receipt(pressed, seconds);
        is_recent(seconds, mac, now, made).then_some(pressed)
    }

    fn of_receipt(&self, pressed: Pressed, seconds: i64) -> [u8; 32] {
        let parts = [
            self.hash().as_str().as_bytes(),
            pressed.verdict.terms().name.as_bytes(),
            pressed.effect().as_bytes(),
            &seconds.to_be_bytes(),
        ];
        self.key().mac("receipt", &parts)
    }

    fn confirmation(
        &self,
        verdict: Verdict,
        comment: &str,
        answers: &Answers,
        seconds: i64,
    ) -> [u8; 32] {
        let (comment, seconds) = (comment_hash(&text::comment(comment)), seconds.to_be_bytes());
        let answers = answers::hash(answers);
        let parts = [
            self.hash().as_str().as_bytes(),
            verdict.terms().name.as_bytes(),
            comment.as_bytes(),
            answers.as_bytes(),
            &seconds,
        ];
        self.key().mac("confirmation", &parts)
    }
}

/// A press that the workflow has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressed {
    /// The button.
    pub verdict: Verdict,
    /// Whether it was the one that counted.
    pub counted: bool,
}

impl Pressed {
    fn effect(self) -> &'static str {
        if self.counted { "recorded" } else { "unchanged" }
    }
}

/// Whether a MAC was made at that time, which is recent.
pub(crate) fn is_recent(
    seconds: &str,
    mac: &str,
    now: Timestamp,
    made: impl FnOnce(i64) -> [u8; 32],
) -> bool {
    let Ok(seconds) = seconds.parse::<i64>() else { return false };
    let Ok(mac) = BASE64_URL_SAFE_NO_PAD.decode(mac) else { return false };
    let is_valid =
        Timestamp::from_second(seconds).is_ok_and(|at| now.duration_since(at).abs() <= VALID_FOR);
    is_valid && bool::from(made(seconds).ct_eq(&mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Chain, LinkContext,
        keys::tests::{KEY_A, KEY_B, keys},
    };

    fn none() -> Answers {
        Answers::new()
    }

    fn link(key: &str, reviewer: &str) -> GenuineLink {
        let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
        keys(key).first().link(LinkContext::new(chain, "v1:0", reviewer))
    }

    #[test]
    fn a_nonce_confirms_one_decision_of_one_link_for_an_hour() {
        use Verdict::{Approve, Reject};
        let ann = link(KEY_A, "ann@example.com");
        let at = Timestamp::from_second(1_795_509_000).expect("in range");
        let after = |seconds| at + SignedDuration::from_secs(seconds);
        let nonce = ann.nonce(Approve, "fine", &none(), at);
        for seconds in [0, 1, 3_600, -60] {
            assert!(
                ann.is_confirmed(&nonce, Approve, "fine", &none(), after(seconds)),
                "{seconds} s later"
            );
        }
        assert!(!ann.is_confirmed(&nonce, Approve, "fine", &none(), after(3_601)));
        assert!(!ann.is_confirmed(&nonce, Reject, "fine", &none(), at), "another verdict");
        assert!(!ann.is_confirmed(&nonce, Approve, "Fine", &none(), at), "another comment");
        let answers = |value: &str| Answers::from([("budget".to_owned(), value.to_owned())]);
        assert!(!ann.is_confirmed(&nonce, Approve, "fine", &answers("7"), at), "an answer");
        let answered = ann.nonce(Approve, "fine", &answers("7"), at);
        assert!(ann.is_confirmed(&answered, Approve, "fine", &answers("7"), at));
        for others in [answers("8"), none()] {
            assert!(!ann.is_confirmed(&answered, Approve, "fine", &others, at), "{others:?}");
        }
        assert!(!link(KEY_A, "bob@example.com").is_confirmed(&nonce, Approve, "fine", &none(), at));
        assert!(!link(KEY_B, "ann@example.com").is_confirmed(&nonce, Approve, "fine", &none(), at));
        let (seconds, mac) = nonce.split_once('.').expect("two parts");
        let later = format!("{}.{mac}", seconds.parse::<i64>().expect("seconds") + 1);
        for forged in ["", ".", "x", seconds, mac, &later, &format!("{seconds}.")] {
            assert!(!ann.is_confirmed(forged, Approve, "fine", &none(), at), "{forged}");
        }
        // The last of 43 characters has two bits that mean nothing, and have to be 0.
        for position in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[position] = if changed[position] == b'7' { b'8' } else { b'7' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(!ann.is_confirmed(&changed, Approve, "fine", &none(), at), "byte {position}");
        }
    }

    /// A form may have other line breaks the second time, and invisible characters fewer.
    #[test]
    fn a_comment_is_the_same_however_a_form_carries_it() {
        let ann = link(KEY_A, "ann@example.com");
        let at = Timestamp::from_second(1_795_509_000).expect("in range");
        let nonce = ann.nonce(Verdict::Approve, "\u{200B} one\r\ntwo\n", &none(), at);
        assert!(ann.is_confirmed(&nonce, Verdict::Approve, "one\ntwo", &none(), at));
    }

    #[test]
    fn a_receipt_is_of_one_press_by_one_link_and_only_we_can_make_one() {
        use Verdict::{Approve, Reject};
        let ann = link(KEY_A, "ann@example.com");
        let at = Timestamp::from_second(1_795_509_000).expect("in range");
        let after = |seconds| at + SignedDuration::from_secs(seconds);
        for (verdict, counted) in [(Approve, true), (Approve, false), (Reject, true)] {
            let pressed = Pressed { verdict, counted };
            let receipt = ann.receipt(pressed, at);
            assert_eq!(ann.pressed(&receipt, after(3_600)), Some(pressed), "{receipt}");
            assert_eq!(ann.pressed(&receipt, after(3_601)), None, "{receipt}");
            for (key, reviewer) in [(KEY_A, "bob@example.com"), (KEY_B, "ann@example.com")] {
                assert_eq!(link(key, reviewer).pressed(&receipt, at), None, "{reviewer}");
            }
        }
        let receipt = ann.receipt(Pressed { verdict: Approve, counted: false }, at);
        let mac = receipt.rsplit('.').next().expect("a MAC");
        let nonce = ann.nonce(Approve, "", &none(), at);
        for forged in [
            "",
            "approve",
            "...",
            &receipt.replace("approve", "reject"),
            &receipt.replace("unchanged", "recorded"),
            &receipt.replace("unchanged", "perhaps"),
            &receipt.replace("1795509000", "1795509001"),
            &receipt.replace(mac, ""),
            &format!("{receipt}A"),
            &format!("approve.unchanged.{nonce}"),
        ] {
            assert_eq!(ann.pressed(forged, at), None, "{forged}");
        }
    }
}
