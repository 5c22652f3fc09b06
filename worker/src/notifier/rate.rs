//! How many mails a worker sends a second.

use std::{str::FromStr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::NotifyError;

/// The longest that a mail waits here for its turn. It takes an activity's slot meanwhile, which others need.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest that a mail is sent away for: after a longer wait, it would seem lost.
const LONGEST_AWAY: Duration = Duration::from_secs(3_600);
/// How many wait here at most, for the same reason.
const MOST_WAITING: u32 = 100;

/// Mails a second, retried ones included: one after the other and without bursts, since providers count in
/// short intervals.
#[derive(Debug, Clone)]
pub struct MailRate {
    interval: Duration,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug)]
struct Queue {
    /// When the next mail may be sent.
    next: Instant,
    /// When the next one that cannot wait here is to come back: behind those that were sent away before.
    back: Instant,
}

impl MailRate {
    /// Returns when it is this mail's turn.
    ///
    /// # Errors
    /// How long it is to wait elsewhere.
    pub(crate) async fn wait_for_turn(&self) -> Result<(), NotifyError> {
        let turn = self.turn(Instant::now()).map_err(NotifyError::Later)?;
        sleep_until(turn).await;
        Ok(())
    }

    /// When it is the turn of a mail that comes now. Nobody else gets that turn.
    fn turn(&self, now: Instant) -> Result<Instant, Duration> {
        let longest = LONGEST_WAIT.min(MOST_WAITING * self.interval);
        let mut queue = self.queue.lock();
        let turn = queue.next.max(now);
        if turn - now <= longest {
            queue.next = turn + self.interval;
            return Ok(turn);
        }
        let back = queue.back.max(turn);
        if back - now > LONGEST_AWAY {
            // It asks again then: a turn that it cannot wait for would be nobody's.
            return Err(LONGEST_AWAY);
        }
        queue.back = back + self.interval;
        Err(back - now)
    }
}

impl FromStr for MailRate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let rate = text.parse::<f64>().ok().filter(|rate| (0.01..=10_000.0).contains(rate));
        let rate = rate.ok_or("must be a number of mails a second, such as 10 or 0.5")?;
        let now = Instant::now();
        let queue = Arc::new(Mutex::new(Queue { next: now, back: now }));
        Ok(Self { interval: Duration::from_secs_f64(rate.recip()), queue })
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

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
        rate.wait_for_turn().await.expect("a turn");
        assert_eq!(start.elapsed().as_millis() / 10, 125);
    }

    #[tokio::test(start_paused = true)]
    async fn a_mail_whose_turn_is_far_off_waits_elsewhere_and_comes_back_in_its_turn() {
        let (limited, start) = (rate("1"), Instant::now());
        let turns: Vec<_> = (0..600).map(|_| limited.turn(start)).collect();
        let (here, elsewhere) = turns.split_at(31);
        assert!(here.iter().all(Result::is_ok), "half a minute's: {here:?}");
        let back = elsewhere.iter().map(|turn| turn.expect_err("later").as_secs());
        let back: Vec<u64> = back.collect();
        assert_eq!(back, (31..600).collect::<Vec<_>>(), "one after the other");
        for seconds in back {
            let then = start + Duration::from_secs(seconds);
            assert_eq!(limited.turn(then), Ok(then), "nobody else has this turn");
        }
        let slow = rate("0.01");
        assert_eq!(slow.turn(start), Ok(start));
        assert_eq!(slow.turn(start), Err(Duration::from_secs(100)));
        let later = slow.wait_for_turn().await;
        assert_eq!(later, Err(NotifyError::Later(Duration::from_secs(200))));
        assert_eq!(start.elapsed(), Duration::ZERO, "at once");
    }

    #[tokio::test(start_paused = true)]
    async fn no_turn_is_lost_where_more_mails_wait_than_an_hour_has_room_for() {
        let (limited, start) = (rate("1"), Instant::now());
        let mut waiting: Vec<Instant> = vec![start; 10_000];
        let mut sent = Vec::new();
        // Each comes back when it was told to, and after an hour at the latest.
        while let Some(now) = waiting.iter().min().copied() {
            let (due, rest): (Vec<_>, _) = waiting.into_iter().partition(|at| *at == now);
            waiting = rest;
            for _ in due {
                match limited.turn(now) {
                    Ok(at) => sent.push(at - start),
                    Err(wait) => waiting.push(now + wait.min(Duration::from_secs(3_600))),
                }
            }
        }
        let last = sent.iter().max().expect("mails are sent");
        assert!(*last < Duration::from_secs(10_100), "{last:?}");
    }

    #[test]
    fn others_have_room_beside_the_mails_that_wait() {
        for text in ["10", "100", "10000"] {
            let (limited, now) = (rate(text), Instant::now());
            let here = (0..1_000).filter(|_| limited.turn(now).is_ok()).count();
            assert!(here <= MOST_WAITING as usize + 1, "{here} at {text} a second");
        }
    }
}
