//! Random numbers that a seed repeats.

use std::{ops::Range, time::Duration};

pub(crate) use fastrand::Rng;

/// The random numbers of one task. Each task has its own, so that they do not depend on the order in
/// which tasks run.
pub(crate) fn stream(seed: u64, task: u64) -> Rng {
    // An odd factor spreads neighbouring tasks over all seeds.
    Rng::with_seed(seed ^ task.wrapping_mul(0xA24B_AED4_963E_E407))
}

/// What the soak draws besides plain numbers.
pub(crate) trait Draw {
    /// True in `percent` of all cases.
    fn percent(&mut self, percent: u8) -> bool;
    /// A time of so many milliseconds.
    fn millis(&mut self, range: Range<u64>) -> Duration;
}

impl Draw for Rng {
    fn percent(&mut self, percent: u8) -> bool {
        self.u8(..100) < percent
    }

    fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.u64(range))
    }
}
