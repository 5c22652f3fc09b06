//! An adversary who has the whole namespace, but no link keys and no mailbox, and attacks all the time: by
//! starts, signals, activities and search attributes, and by polling our task queues.
//!
//! It takes a small share of the tasks, so that most approvals go on. In the control it has the link keys,
//! so that every seal proves nothing: what it forges then comes through, and the judge has to find it.

mod account;
mod activities;
mod forger;
mod signals;
mod starts;
mod tasks;
mod victim;

use std::{sync::Arc, time::Duration};

use countersign_e2e::Grpc;
use countersign_protos::LinkKeys;
use futures_util::future::join_all;
use parking_lot::Mutex;
use temporalio_common::protos::temporal::api::{enums::v1::EventType, history::v1::HistoryEvent};
use tokio::{
    join,
    time::{sleep, timeout},
};

pub(crate) use self::account::{Account, MARK};
use self::{forger::Forger, victim::Victim};
use crate::{
    judge::Approval,
    rng::{self, Draw, Rng},
    submission::Submission,
    users::World,
};

/// How many attacks are under way at once, besides the pollers.
const HANDS: u64 = 10;
/// How long a call to Temporal may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Attacks prefer so many of the newest approvals, which are probably open.
const NEWEST: usize = 20;
/// How often one is drawn until it has asked somebody.
const DRAWS: usize = 4;

/// The submissions so far, which everybody in the namespace can list.
pub(crate) type Submissions = Mutex<Vec<Arc<Submission>>>;

/// Somebody who has the whole namespace, but no link keys and nobody's mail.
pub(crate) struct Adversary<'a> {
    world: &'a World,
    submissions: &'a Submissions,
    grpc: Grpc,
    queue: String,
    forger: Forger,
    seed: u64,
    account: &'a Account,
}

impl<'a> Adversary<'a> {
    /// An adversary with a key of its own; or, in the control, with the real ones.
    pub(crate) fn new(
        world: &'a World,
        submissions: &'a Submissions,
        account: &'a Account,
        seed: u64,
        is_control: bool,
    ) -> anyhow::Result<Adversary<'a>> {
        let client = &world.cluster.client;
        let keys: LinkKeys = match is_control {
            true => world.cluster.keys.clone(),
            false => countersign_e2e::link_key().parse()?,
        };
        let (grpc, queue) = (client.grpc().clone(), client.queue().to_owned());
        let forger = Forger::new(keys, is_control);
        Ok(Adversary { world, submissions, grpc, queue, forger, seed, account })
    }

    /// Attacks until it is dropped.
    pub(crate) async fn attack(&self) {
        let stream = |task: u64| rng::stream(self.seed ^ 0x5eed, task);
        let hands = (0..HANDS).map(|hand| self.attack_by_calls(stream(hand)));
        join!(
            join_all(hands),
            self.take_workflow_tasks(stream(HANDS)),
            self.take_activities(stream(HANDS + 1), ""),
            self.take_activities(stream(HANDS + 2), "-webhook"),
        );
    }

    async fn attack_by_calls(&self, mut rng: Rng) {
        loop {
            sleep(rng.millis(100..800)).await;
            let what = rng.usize(..10);
            // What can be copied for an activity is not only in the newest approvals.
            let newest = if what < 7 { NEWEST } else { usize::MAX };
            let Some(victim) = self.victim(&mut rng, newest).await else { continue };
            if rng.percent(40) {
                // So that it may get what comes next.
                let _ = taken(self.grpc.try_reset_stickiness(victim.id())).await;
            }
            match what {
                0..5 if rng.percent(6) => self.reset(&mut rng, &victim).await,
                0..5 => self.signal(&mut rng, &victim).await,
                5..7 => self.start(&mut rng, &victim).await,
                _ => self.call_activity(&mut rng, &victim).await,
            }
        }
    }

    /// An approval that has asked somebody, most probably one of the newest.
    async fn victim(&self, rng: &mut Rng, newest: usize) -> Option<Victim> {
        for _ in 0..DRAWS {
            let drawn = self.draw(rng, newest).await;
            if drawn.as_ref().is_some_and(|victim| victim.links_marker().is_some()) {
                return drawn;
            }
        }
        None
    }

    async fn draw(&self, rng: &mut Rng, newest: usize) -> Option<Victim> {
        let mut all = self.approvals();
        if rng.percent(20) {
            all.extend(self.account.approvals());
        }
        let newest = all.len().saturating_sub(newest);
        let first = if rng.percent(80) { newest } else { 0 };
        let approval = all.get(rng.usize(first..all.len().max(first + 1)))?.clone();
        self.read(approval).await
    }

    /// The approvals of users.
    fn approvals(&self) -> Vec<Approval> {
        let first_runs = self.world.first_runs.lock();
        let submissions = self.submissions.lock();
        let approval = |submission: &Arc<Submission>| {
            let first_run = first_runs.get(&submission.workflow)?;
            (!submission.stages.is_empty()).then(|| Approval::new(submission, first_run.clone()))
        };
        submissions.iter().filter_map(approval).collect()
    }

    /// All that has happened to an approval.
    async fn read(&self, approval: Approval) -> Option<Victim> {
        let reading = self.grpc.try_events_of_run(&approval.workflow, &approval.first_run_id);
        let mut events = timeout(PATIENCE, reading).await.ok()?.ok()?;
        if events.last().is_some_and(is_termination) {
            // It was reset: the same approval goes on in another run.
            events = taken(self.grpc.try_events(&approval.workflow)).await?;
        }
        Some(Victim { approval, events })
    }

    /// A workflow ID that nobody uses.
    fn new_id(&self, rng: &mut Rng, what: &str) -> String {
        format!("{what}-{}-{:08x}", self.seed, rng.u32(..))
    }
}

fn is_termination(event: &HistoryEvent) -> bool {
    event.event_type() == EventType::WorkflowExecutionTerminated
}

/// Whether Temporal took a call.
async fn taken<T, E>(call: impl Future<Output = Result<T, E>>) -> Option<T> {
    timeout(PATIENCE, call).await.ok()?.ok()
}
