//! The keyed check of approval IDs, and a warning where many fail it.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use countersign_protos::{ApprovalId, GenuineLink, LinkKeys};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::metrics::metrics;

/// Beyond this burst and one a minute, failures are not typing errors.
const MISTYPED: NonZeroU32 = NonZeroU32::new(10).expect("above 0");
/// At most one warning a minute.
const WARNINGS: NonZeroU32 = NonZeroU32::MIN;

pub(crate) struct KeyCheck {
    keys: LinkKeys,
    /// Since the last warning.
    failed: AtomicU64,
    mistyped: DefaultDirectRateLimiter,
    warnings: DefaultDirectRateLimiter,
}

impl KeyCheck {
    pub(crate) fn new(keys: LinkKeys) -> Self {
        let a_minute = Quota::per_minute(NonZeroU32::MIN);
        KeyCheck {
            keys,
            failed: AtomicU64::new(0),
            mistyped: RateLimiter::direct(a_minute.allow_burst(MISTYPED)),
            warnings: RateLimiter::direct(a_minute.allow_burst(WARNINGS)),
        }
    }

    /// `None` if no key made this ID.
    pub(crate) fn verify(&self, id: &ApprovalId) -> Option<GenuineLink> {
        let link = self.keys.verify(id);
        if link.is_none() {
            metrics().met_unknown_id();
        }
        if link.is_none()
            && let Some(failed) = self.count_failure()
        {
            tracing::warn!(
                failed,
                fingerprints = self.keys.fingerprints(),
                "approval IDs were made with none of these keys: compare the fingerprints with \
                 those that each worker logs at its start, and give all of them the same \
                 COUNTERSIGN_LINK_KEYS. If they are the same, somebody guesses IDs"
            );
        }
        link
    }

    /// How many have failed, if it is time to warn.
    fn count_failure(&self) -> Option<u64> {
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        let warns = self.mistyped.check().is_err() && self.warnings.check().is_ok();
        warns.then(|| {
            self.failed.store(0, Ordering::Relaxed);
            failed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_fail_are_warned_about_and_not_again_at_once() {
        let key = countersign_protos::TEST_KEYS[0];
        let check = KeyCheck::new(key.parse().expect("a key"));
        let warnings: Vec<_> = (0..1_000).filter_map(|_| check.count_failure()).collect();
        assert_eq!(warnings, [11]);
    }
}
