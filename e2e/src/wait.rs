//! Waiting for conditions. The only pause of the whole suite is the one between two looks.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until there is something to see; panics with `what` was awaited when
/// there is nothing after a minute.
pub async fn eventually<T>(what: impl Display, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look).await
}

/// As [`eventually`], with a deadline of its own.
pub async fn within<T>(
    patience: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let look = async || look().await.ok_or("nothing");
    until(patience, what, look).await
}

/// As [`eventually`], and also tells what was seen last.
pub async fn until<T, S: Display>(
    patience: Duration,
    what: impl Display,
    mut look: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let start = Instant::now();
    loop {
        let seen = match look().await {
            Ok(found) => return found,
            Err(seen) => seen,
        };
        assert!(
            start.elapsed() < patience,
            "after {patience:?} still waiting for {what}; there is {seen}"
        );
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}
