//! Whether the worker polls, by what the SDK counts. Temporal answers each poll within a minute, if only that there is
//! nothing to do. So a worker none of whose polls is answered for longer gets no work, whatever its connections look like.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use countersign_telemetry::sdk::sum;

const POLLERS: &str = "temporal_num_pollers";
const ANSWERED: [&str; 2] = [
    "temporal_workflow_task_queue_poll_succeed_total",
    "temporal_workflow_task_queue_poll_empty_total",
];
/// More than two polls that nobody has work for.
const PATIENCE: Duration = Duration::from_secs(150);

/// What was seen the last time.
#[derive(Default)]
pub(super) struct Polling(Mutex<Option<Seen>>);

struct Seen {
    answered: f64,
    /// When that number was seen first.
    since: Instant,
}

impl Polling {
    /// Looks at the SDK's metrics as they are now.
    ///
    /// # Errors
    /// Why the worker does not poll.
    pub(super) fn look(&self, page: &str, now: Instant) -> Result<(), String> {
        if sum(page, POLLERS) == 0.0 {
            return Err("no task queue is polled yet".to_owned());
        }
        let answered = ANSWERED.iter().map(|metric| sum(page, metric)).sum();
        let mut seen = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let seen = match &mut *seen {
            Some(seen) if seen.answered == answered => seen,
            seen => seen.insert(Seen { answered, since: now }),
        };
        let silent = now.duration_since(seen.since);
        match silent < PATIENCE {
            true => Ok(()),
            false => Err(format!("Temporal has answered no poll for {} seconds", silent.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(pollers: u32, tasks: u32, empty: u32) -> String {
        format!(
            "temporal_num_pollers{{poller_type=\"workflow_task\"}} {pollers}\n\
             temporal_workflow_task_queue_poll_succeed_total{{task_queue=\"approvals\"}} {tasks}\n\
             temporal_workflow_task_queue_poll_empty_total{{task_queue=\"approvals\"}} {empty}\n"
        )
    }

    #[test]
    fn a_worker_is_healthy_while_its_polls_are_answered_and_not_by_its_socket() {
        let (polling, start) = (Polling::default(), Instant::now());
        let look = |page: &str, seconds| polling.look(page, start + Duration::from_secs(seconds));
        assert_eq!(look("", 0).expect_err("not started"), "no task queue is polled yet");
        assert_eq!(look(&page(5, 0, 0), 1), Ok(()), "the first poll may take a minute");
        assert_eq!(look(&page(5, 0, 1), 60), Ok(()));
        assert_eq!(look(&page(5, 1, 1), 120), Ok(()));
        assert_eq!(look(&page(5, 1, 1), 269), Ok(()));
        let why =
            look(&page(5, 1, 1), 270).expect_err("pollers are there, and nobody answers them");
        assert_eq!(why, "Temporal has answered no poll for 150 seconds");
        assert_eq!(look(&page(5, 2, 1), 300), Ok(()), "it is back");
        assert_eq!(look(&page(5, 3, 1), 3_000), Ok(()), "nobody has looked meanwhile");
    }
}
