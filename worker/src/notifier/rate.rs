//! How many mails a worker sends a second.

use std::{str::FromStr, sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout},
};

use super::NotifyError;

/// The longest that a mail waits for its turn before it is tried again later.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Mails a second, retried ones included: one after the other and without bursts, since providers count in
/// short intervals.
#[derive(Debug, Clone)]
pub struct MailRate {
    interval: Duration,
    /// When the next mail may be sent. Who waits for it holds it, the others queue up behind.
    next: Arc<Mutex<Instant>>,
}

impl MailRate {
    /// Returns when it is this mail's turn.
    pub(crate) async fn wait_for_turn(&self) -> Result<(), NotifyError> {
        let turn = async {
            let mut next = self.next.lock().await;
            sleep_until(*next).await;
            *next = Instant::now() + self.interval;
        };
        timeout(LONGEST_WAIT, turn).await.map_err(|_| {
            NotifyError::Unavailable(format!(
                "not sent for {LONGEST_WAIT:?}: COUNTERSIGN_MAIL_RATE lets other mails out first"
            ))
        })
    }
}

impl FromStr for MailRate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let rate = text.parse::<f64>().ok().filter(|rate| (0.01..=10_000.0).contains(rate));
        let rate = rate.ok_or("must be a number of mails a second, such as 10 or 0.5")?;
        let next = Arc::new(Mutex::new(Instant::now()));
        Ok(Self { interval: Duration::from_secs_f64(rate.recip()), next })
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::join_all};

    use super::*;

    fn rate(text: &str) -> MailRate {
        text.parse().expect("a rate")
    }

    #[test]
    fn a_rate_is_a_number_of_mails_a_second() {
        assert_eq!(rate("10").interval, Duration::from_millis(100));
        assert_eq!(rate("0.5").interval, Duration::from_secs(2));
        for wrong in ["", "0", "-1", "ten", "10/s", "NaN", "inf", "0.001", "100000"] {
            let why = wrong.parse::<MailRate>().expect_err(wrong);
            assert!(why.contains("such as 10 or 0.5"), "{wrong}: {why}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn mails_go_out_one_after_the_other() {
        let (rate, start) = (rate("4"), Instant::now());
        let times = join_all((0..5).map(|_| async {
            rate.wait_for_turn().await.expect("a turn");
            start.elapsed().as_millis() / 10
        }));
        assert_eq!(times.await, [0, 25, 50, 75, 100]);
        // Whoever gives up has used up no turn.
        assert!(rate.wait_for_turn().now_or_never().is_none());
        rate.wait_for_turn().await.expect("a turn");
        assert_eq!(start.elapsed().as_millis() / 10, 125);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mail_that_waits_for_too_long_is_tried_again_later() {
        let (rate, start) = (rate("0.01"), Instant::now());
        let turns = join_all((0..10).map(|_| rate.wait_for_turn())).await;
        assert!(turns[..6].iter().all(Result::is_ok), "{turns:?}");
        assert!(matches!(turns[9], Err(NotifyError::Unavailable(_))), "{turns:?}");
        assert!(start.elapsed() < LONGEST_WAIT + Duration::from_secs(1));
    }
}
