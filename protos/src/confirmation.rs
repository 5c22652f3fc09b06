//! Nonces of confirmations: proof that a decision was shown once more before it counts. Nothing is stored.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use crate::{GenuineLink, Verdict, comment_hash, text};

/// By whichever of two clocks is ahead.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(1);

impl GenuineLink {
    /// What confirms a decision by this link: `SECONDS.MAC`, with the time at which it was issued. Only the
    /// comment's [kept form](text::comment) counts.
    pub fn nonce(&self, verdict: Verdict, comment: &str, at: Timestamp) -> String {
        let seconds = at.as_second();
        let mac = BASE64_URL_SAFE_NO_PAD.encode(self.confirmation(verdict, comment, seconds));
        format!("{seconds}.{mac}")
    }

    /// Whether the nonce was issued for this very decision, an hour ago at most.
    pub fn is_confirmed(
        &self,
        nonce: &str,
        verdict: Verdict,
        comment: &str,
        now: Timestamp,
    ) -> bool {
        let Some((seconds, mac)) = nonce.split_once('.') else { return false };
        let Ok(seconds) = seconds.parse::<i64>() else { return false };
        let Ok(mac) = BASE64_URL_SAFE_NO_PAD.decode(mac) else { return false };
        let is_valid = Timestamp::from_second(seconds)
            .is_ok_and(|at| now.duration_since(at).abs() <= VALID_FOR);
        is_valid && bool::from(self.confirmation(verdict, comment, seconds).ct_eq(&mac))
    }

    fn confirmation(&self, verdict: Verdict, comment: &str, seconds: i64) -> [u8; 32] {
        let (comment, seconds) = (comment_hash(&text::comment(comment)), seconds.to_be_bytes());
        let parts = [
            self.hash().as_str().as_bytes(),
            verdict.terms().name.as_bytes(),
            comment.as_bytes(),
            &seconds,
        ];
        self.key().mac("confirmation", &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Chain, LinkContext,
        keys::tests::{KEY_A, KEY_B, keys},
    };

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
        let nonce = ann.nonce(Approve, "fine", at);
        for seconds in [0, 1, 3_600, -60] {
            assert!(ann.is_confirmed(&nonce, Approve, "fine", after(seconds)), "{seconds} s later");
        }
        assert!(!ann.is_confirmed(&nonce, Approve, "fine", after(3_601)));
        assert!(!ann.is_confirmed(&nonce, Reject, "fine", at), "another verdict");
        assert!(!ann.is_confirmed(&nonce, Approve, "Fine", at), "another comment");
        assert!(!link(KEY_A, "bob@example.com").is_confirmed(&nonce, Approve, "fine", at));
        assert!(!link(KEY_B, "ann@example.com").is_confirmed(&nonce, Approve, "fine", at));
        let (seconds, mac) = nonce.split_once('.').expect("two parts");
        let later = format!("{}.{mac}", seconds.parse::<i64>().expect("seconds") + 1);
        for forged in ["", ".", "x", seconds, mac, &later, &format!("{seconds}.")] {
            assert!(!ann.is_confirmed(forged, Approve, "fine", at), "{forged}");
        }
        // The last of 43 characters has two bits that mean nothing, and have to be 0.
        for position in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[position] = if changed[position] == b'7' { b'8' } else { b'7' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(!ann.is_confirmed(&changed, Approve, "fine", at), "byte {position}");
        }
    }

    /// A form may have other line breaks the second time, and invisible characters fewer.
    #[test]
    fn a_comment_is_the_same_however_a_form_carries_it() {
        let ann = link(KEY_A, "ann@example.com");
        let at = Timestamp::from_second(1_795_509_000).expect("in range");
        let nonce = ann.nonce(Verdict::Approve, "\u{200B} one\r\ntwo\n", at);
        assert!(ann.is_confirmed(&nonce, Verdict::Approve, "one\ntwo", at));
    }
}
