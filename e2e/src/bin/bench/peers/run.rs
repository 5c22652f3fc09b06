//! One measurement: approvals that are all started, and once all of them wait, all decided.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use countersign_e2e::{Grpc, Temporal, json_payload, submission, within};
use futures_util::{StreamExt, stream};
use temporalio_common::protos::temporal::api::{
    enums::v1::EventType, history::v1::HistoryEvent,
    workflowservice::v1::DescribeWorkflowExecutionResponse,
};
use tokio::time::sleep;

use super::contender::{Contender, Worker};
use crate::usage;

const WARM_UP: usize = 30;
/// How many calls are in flight while nothing is measured.
const UNHURRIED: usize = 8;
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(300);

/// What one measurement says, of one approval where nothing else is said.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Milliseconds.
    pub(crate) worker_cpu: f64,
    /// Milliseconds.
    pub(crate) server_cpu: f64,
    /// All approvals, from the first decision to the last end.
    pub(crate) decided_per_second: f64,
    /// Workflow tasks of all approvals together.
    pub(crate) timed_out_tasks: f64,
    /// The worker's, in MB.
    pub(crate) peak_memory: f64,
    pub(crate) events: f64,
    pub(crate) bytes: f64,
    pub(crate) workflow_tasks: f64,
}

/// # Errors
/// If a process ends, or an approval ends otherwise than decided.
pub(crate) async fn measure(contender: Contender, approvals: usize) -> Result<Figures> {
    let temporal = Temporal::start_in_memory().await;
    let worker = contender.start(&temporal);
    let run = Run { grpc: temporal.grpc().await, temporal, worker };
    // A worker takes what was started before it polls.
    let ids = ids("warm-up", WARM_UP);
    run.start(&ids, UNHURRIED).await;
    run.until_parked(&ids).await?;
    run.decide(&ids, UNHURRIED).await?;
    sleep(PAUSE).await;
    run.measured(approvals).await
}

struct Run {
    grpc: Grpc,
    temporal: Arc<Temporal>,
    worker: Worker,
}

/// The processor time that was used.
struct Used {
    worker: Duration,
    server: Duration,
}

impl Run {
    async fn measured(&self, approvals: usize) -> Result<Figures> {
        let in_flight = if approvals > 1_000 { 128 } else { 64 };
        let ids = ids("measured", approvals);

        let before = self.used()?;
        self.start(&ids, in_flight).await;
        self.until_quiet(&ids).await?;
        let starting = self.used()?.since(&before);

        self.until_parked(&ids).await?;
        let decided = self.decide(&ids, in_flight).await?;
        let peak_memory = usage::peak_memory(self.worker.process.pid())? as f64;

        let mut histories = Vec::new();
        for id in &ids {
            let info = self.grpc.describe(id).await.workflow_execution_info;
            let bytes = info.context("a description")?.history_size_bytes;
            histories.push((self.grpc.closed(id).await, bytes));
        }
        let completed = EventType::WorkflowExecutionCompleted;
        let all = || histories.iter().flat_map(|(events, _)| events);
        let each = |count: usize| count as f64 / approvals as f64;
        let count = |kind| all().filter(|event| event.event_type() == kind).count();
        ensure!(count(completed) == approvals, "{} were not decided", approvals - count(completed));
        let times = |kind| all().filter(move |event| event.event_type() == kind).map(time);
        let from = times(EventType::WorkflowExecutionSignaled).min().context("a decision")?;
        let until = times(completed).max().context("an end")?;
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0 / approvals as f64;
        Ok(Figures {
            worker_cpu: ms(starting.worker + decided.worker),
            server_cpu: ms(starting.server + decided.server),
            decided_per_second: approvals as f64 / until.duration_since(from)?.as_secs_f64(),
            timed_out_tasks: count(EventType::WorkflowTaskTimedOut) as f64,
            peak_memory,
            events: each(all().count()),
            bytes: each(histories.iter().map(|(_, bytes)| *bytes as usize).sum()),
            workflow_tasks: each(count(EventType::WorkflowTaskCompleted)),
        })
    }

    async fn start(&self, ids: &[String], in_flight: usize) {
        let submission = json_payload(&submission::laptops());
        let started = stream::iter(ids)
            .map(|id| self.grpc.start(&self.worker.queue, id, vec![submission.clone()]));
        started.buffer_unordered(in_flight).collect::<()>().await;
    }

    /// Approves, and waits until all are closed.
    async fn decide(&self, ids: &[String], in_flight: usize) -> Result<Used> {
        let votes = self.worker.votes(ids)?;
        let missing = ids.iter().find(|id| !votes.contains_key(*id));
        ensure!(missing.is_none(), "no link for {missing:?}");
        sleep(PAUSE).await;
        let before = self.used()?;
        let approved = stream::iter(ids)
            .map(|id| self.grpc.signal(id, self.worker.signal(), vec![votes[id].clone()]));
        approved.buffer_unordered(in_flight).collect::<()>().await;
        let queue = &self.worker.queue;
        let running = format!("TaskQueue = '{queue}' AND ExecutionStatus = 'Running'");
        within(PATIENCE, "all approvals to close", async || {
            sleep(PAUSE).await;
            (self.grpc.count(running.clone()).await == 0).then_some(())
        })
        .await;
        // The server still has some work of its own.
        sleep(PAUSE).await;
        Ok(self.used()?.since(&before))
    }

    /// Waits until the last approval waits for its decision and the worker has nothing to do, which costs
    /// the server little.
    async fn until_quiet(&self, ids: &[String]) -> Result<()> {
        const QUIET: Duration = Duration::from_millis(20);
        let last = ids.last().context("an approval")?;
        within(PATIENCE, format!("{last} to wait"), async || {
            sleep(PAUSE).await;
            is_parked(&self.grpc.describe(last).await).then_some(())
        })
        .await;
        let mut used = self.used()?.worker;
        loop {
            sleep(PAUSE).await;
            let before = std::mem::replace(&mut used, self.used()?.worker);
            if used - before <= QUIET {
                return Ok(());
            }
        }
    }

    /// Waits until every approval waits for its decision.
    async fn until_parked(&self, ids: &[String]) -> Result<()> {
        self.used()?;
        let parked = stream::iter(ids).map(|id| {
            within(PATIENCE, format!("{id} to wait"), async || {
                is_parked(&self.grpc.describe(id).await).then_some(())
            })
        });
        parked.buffer_unordered(UNHURRIED).collect::<()>().await;
        Ok(())
    }

    fn used(&self) -> Result<Used> {
        let server = self.temporal.pid().context("a server")?;
        Ok(Used { worker: usage::cpu(self.worker.process.pid())?, server: usage::cpu(server)? })
    }
}

impl Used {
    fn since(self, before: &Used) -> Used {
        Used { worker: self.worker - before.worker, server: self.server - before.server }
    }
}

/// Whether there is nothing for a worker to do. A workflow whose first task is still to be scheduled has
/// too few events.
fn is_parked(described: &DescribeWorkflowExecutionResponse) -> bool {
    let events = described.workflow_execution_info.as_ref().map_or(0, |info| info.history_length);
    let idle = described.pending_workflow_task.is_none() && described.pending_activities.is_empty();
    idle && events > 4
}

fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name}-{number}")).collect()
}

fn time(event: &HistoryEvent) -> SystemTime {
    event.event_time.and_then(|time| time.try_into().ok()).unwrap_or(SystemTime::UNIX_EPOCH)
}
