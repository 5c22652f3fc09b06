//! Injects faults, one after the other, and measures how long it takes until work goes on.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use parking_lot::Mutex;
use tokio::{
    join,
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    failpoints::{MAIL, Moment, Point, WEBHOOK},
    history, mails,
    part::{BY_OUTBOX, Part},
    rng::{self, Draw, Rng},
    submission::Submission,
    temporal::TemporalClient,
    users::World,
};

/// How long a recovery may take to be measured.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait until a part reaches a failpoint.
const FAILPOINT_PATIENCE: Duration = Duration::from_secs(10);
/// How long both are at most beside an adversary.
const UNDER_ATTACK: Duration = Duration::from_secs(4);

/// The faults of a run, and the recoveries from them.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    /// How often each fault took effect.
    pub(crate) faults: BTreeMap<String, usize>,
    /// How many processes of each kind were killed.
    pub(crate) kills: BTreeMap<&'static str, usize>,
    /// The time from each kill until work went on.
    pub(crate) recoveries: Vec<Recovery>,
}

impl FaultLog {
    /// The slowest recoveries, each with the longest pause in its probe's history.
    pub(crate) async fn slowest(&self, temporal: &TemporalClient) -> Vec<(Recovery, String)> {
        let mut slowest = self.recoveries.clone();
        slowest.sort_by_key(|recovery| Reverse(recovery.asked.max(recovery.decided)));
        slowest.truncate(3);
        let mut explained = Vec::new();
        for recovery in slowest {
            // The approval that was open waited for its decision, which is not a delay.
            let new_is_slow = recovery.asked >= recovery.decided;
            let probe = if new_is_slow { &recovery.probes[0] } else { &recovery.probes[1] };
            let pause = match temporal.history(probe).await {
                Ok(events) if new_is_slow => history::longest_pause(&events),
                Ok(events) => history::longest_pause(history::since_first_signal(&events)),
                Err(error) => error.to_string(),
            };
            explained.push((recovery, pause));
        }
        explained
    }
}

/// How long it took until work went on: since the kill, with the time until the part was started
/// again; after an outage of all workers, since its end.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    /// The fault, as the report names it.
    pub(crate) fault: String,
    /// The workflow IDs of the new submission and the open approval that measured it.
    pub(crate) probes: [String; 2],
    /// Until a new submission's mail was there; `None` where it was before the kill.
    pub(crate) asked: Option<Duration>,
    /// Until an open approval was decided by its page and its outcome mailed; `None` where it was
    /// before the kill.
    pub(crate) decided: Option<Duration>,
}

impl Recovery {
    /// Whether workers were killed, and nothing else.
    pub(crate) fn is_of_workers(&self) -> bool {
        let killed = self.fault.strip_prefix("kill ").unwrap_or_default();
        killed.contains("worker") && !killed.contains("signaler") && !killed.contains("Temporal")
    }
}

/// Which faults a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All faults, kills four times; the next fault waits until work goes on.
    Full,
    /// Most faults once, and shorter; the next fault hardly waits.
    Brief,
    /// Kills of signalers, for the control.
    Signalers,
}

#[derive(Debug, Clone)]
enum Fault {
    Kill(Vec<Part>),
    /// Kills all workers for so long that pages say so.
    NoWorker,
    /// Kills the part that reaches a failpoint.
    Held(Point),
    /// Kills Temporal when a part reaches a failpoint.
    TemporalAt(Point),
    Freeze(Part),
    Cut,
    LostAnswers,
    /// Sets a worker's clock forward.
    Clock,
    Mail(mails::Fault),
}

/// The effect of a fault.
#[derive(Default)]
struct Effect {
    killed: Vec<Part>,
    at: Option<Instant>,
}

const SIGNAL: &str = "SignalWorkflowExecution";
const WORKFLOW_TASK: &str = "RespondWorkflowTaskCompleted";
const ACTIVITY: &str = "RespondActivityTaskCompleted";

impl Fault {
    /// Every fault of a scope at least once, in random order.
    fn plan(rng: &mut Rng, scope: Scope) -> Vec<Fault> {
        if scope == Scope::Signalers {
            return [0, 1].map(|i| Fault::Kill(vec![Part::Signaler(i)])).into();
        }
        let mut plan = vec![
            Fault::NoWorker,
            Fault::Freeze(Part::Temporal),
            Fault::Freeze(Part::WORKERS[rng.usize(..3)]),
            Fault::Freeze(Part::Signaler(rng.usize(..2))),
            Fault::Cut,
            Fault::LostAnswers,
            Fault::Clock,
            Fault::Held(MAIL),
            Fault::Held(WEBHOOK),
        ];
        for _ in 0..if scope == Scope::Full { 4 } else { 1 } {
            plan.push(Fault::Kill(vec![Part::WORKERS[rng.usize(..3)]]));
            plan.push(Fault::Kill(vec![Part::Signaler(rng.usize(..2))]));
            plan.push(Fault::Kill(vec![Part::Temporal]));
            let (first, second) = (rng.usize(..6), rng.usize(1..6));
            plan.push(Fault::Kill(vec![Part::ALL[first], Part::ALL[(first + second) % 6]]));
        }
        for what in [SIGNAL, WORKFLOW_TASK, ACTIVITY] {
            let point = |moment| Point { what, moment };
            plan.push(Fault::Held(point(Moment::Before)));
            plan.push(Fault::Held(point(Moment::After)));
            if what == SIGNAL || scope == Scope::Full {
                plan.push(Fault::TemporalAt(point(Moment::During)));
                plan.push(Fault::TemporalAt(point(Moment::After)));
            }
        }
        plan.extend(mails::Fault::ALL.map(Fault::Mail));
        rng.shuffle(&mut plan);
        plan
    }

    fn name(&self) -> String {
        match self {
            Fault::Kill(parts) => {
                let mut kinds: Vec<_> = parts.iter().map(|part| part.kind()).collect();
                kinds.sort();
                format!("kill {}", kinds.join(" and "))
            }
            Fault::NoWorker => "kill all workers".to_owned(),
            Fault::Held(point) => {
                let victim = if point.what == SIGNAL { "signaler" } else { "worker" };
                format!("kill {victim} {}", point.name())
            }
            Fault::TemporalAt(point) => format!("kill Temporal {}", point.name()),
            Fault::Freeze(part) => format!("freeze {}", part.kind()),
            Fault::Cut => "network: connections cut".to_owned(),
            Fault::LostAnswers => "network: answers lost".to_owned(),
            Fault::Clock => "a worker's clock set forward".to_owned(),
            Fault::Mail(fault) => fault.name().to_owned(),
        }
    }
}

/// Injects faults until `end` and until each has had its turn, and mends everything.
pub(crate) async fn inject(
    world: &Arc<World>,
    submissions: &Mutex<Vec<Arc<Submission>>>,
    seed: u64,
    scope: Scope,
    mut end: watch::Receiver<bool>,
) -> Result<FaultLog> {
    let mut rng = rng::stream(seed, u64::MAX);
    let mut log = FaultLog::default();
    let probe = |i: usize| {
        let submission = Arc::new(Submission::simple(format!("probe-{seed}-{i}")));
        submissions.lock().push(submission.clone());
        submission
    };
    let (patience, pace) = match scope {
        Scope::Full => (PATIENCE, 1),
        Scope::Brief | Scope::Signalers => (Duration::from_secs(1), 3),
    };
    // An adversary can keep an approval from going on at all.
    let patience = if world.attacked { patience.min(UNDER_ATTACK) } else { patience };
    let mut under_way = Vec::new();
    let mut open = probe(0);
    ask(world, &open).await;
    let mut plan = Fault::plan(&mut rng, scope);
    // Beside an adversary, a short run's faults end with its users.
    let mut all_happened = world.attacked && scope == Scope::Brief;
    for i in 1.. {
        let pause = rng.millis(300..1_200) / pace;
        tokio::select! {
            _ = end.wait_for(|end| *end), if all_happened => break,
            () = sleep(pause) => {}
        }
        let Some(fault) = plan.pop() else {
            all_happened = true;
            plan = Fault::plan(&mut rng, scope);
            continue;
        };
        let effect;
        if let Fault::Mail(fault) = fault {
            let time = rng.millis(1_500..3_000) / pace;
            effect = inject_mail_fault(world, fault, time).await.then(Effect::default);
        } else {
            let new = probe(i);
            let recovery = tokio::spawn(recover(world.clone(), new.clone(), open.clone(), i));
            effect = inject_one(world, &fault, &mut rng, pace).await?;
            let probes = [new.workflow.clone(), open.workflow.clone()];
            let mut recovering = Recovering {
                fault: fault.name(),
                probes,
                at: effect.as_ref().and_then(|s| s.at),
                recovery,
            };
            if !recovering.is_over(patience, &mut log).await {
                under_way.push(recovering);
            }
            open = new;
        }
        // A fault without effect is reported as one that did not happen.
        *log.faults.entry(fault.name()).or_default() += usize::from(effect.is_some());
        for part in effect.iter().flat_map(|effect| &effect.killed) {
            *log.kills.entry(part.kind()).or_default() += 1;
        }
    }
    world.cluster.mend().await?;
    // The control loses decisions of probes too, for which nobody needs to wait, nor for what an adversary
    // holds up.
    let rest = match scope {
        _ if world.attacked => Duration::ZERO,
        Scope::Signalers => patience,
        Scope::Full | Scope::Brief => PATIENCE,
    };
    for mut recovering in under_way {
        recovering.is_over(rest, &mut log).await;
    }
    let _ = timeout(rest, decide(world, &open, 0)).await;
    Ok(log)
}

/// A recovery that is being measured.
struct Recovering {
    fault: String,
    probes: [String; 2],
    at: Option<Instant>,
    recovery: JoinHandle<[Instant; 2]>,
}

impl Recovering {
    /// Waits for it and logs it. Returns whether it was over in time.
    async fn is_over(&mut self, patience: Duration, log: &mut FaultLog) -> bool {
        let Ok(Ok([asked, decided])) = timeout(patience, &mut self.recovery).await else {
            return false;
        };
        if let Some(at) = self.at {
            log.recoveries.push(Recovery {
                fault: self.fault.clone(),
                probes: self.probes.clone(),
                asked: asked.checked_duration_since(at),
                decided: decided.checked_duration_since(at),
            });
        }
        true
    }
}

/// Injects one fault; `None` where it could not take effect.
async fn inject_one(
    world: &World,
    fault: &Fault,
    rng: &mut Rng,
    pace: u32,
) -> Result<Option<Effect>> {
    let cluster = &world.cluster;
    let downtime = rng.millis(100..2_000) / pace;
    let effect = match fault {
        Fault::Kill(parts) => kill(world, parts.clone(), downtime).await?,
        Fault::NoWorker => {
            let effect = kill(world, Part::WORKERS.to_vec(), rng.millis(4_000..6_000)).await?;
            // How long they are away is the soak's choice.
            Effect { at: Some(Instant::now()), ..effect }
        }
        Fault::Held(point) => match held_part(world, *point).await {
            Some(part) => kill(world, vec![part], downtime).await?,
            None => return Ok(None),
        },
        Fault::TemporalAt(point) => match held_part(world, *point).await {
            Some(_) => kill(world, vec![Part::Temporal], downtime).await?,
            None => return Ok(None),
        },
        Fault::Freeze(part) => {
            cluster.freeze(*part, true);
            sleep(rng.millis(1_000..5_000) / pace).await;
            cluster.freeze(*part, false);
            Effect::default()
        }
        Fault::Cut => {
            cluster.proxy.cut();
            Effect::default()
        }
        Fault::LostAnswers => {
            cluster.proxy.lose_answers();
            sleep(downtime).await;
            cluster.proxy.clear();
            Effect::default()
        }
        Fault::Clock if cluster.can_set_clock() => {
            let worker = Part::Worker(BY_OUTBOX);
            cluster.kill(worker).await;
            cluster.run_ahead(worker);
            sleep(rng.millis(4_000..8_000) / pace).await;
            let mut effect = kill(world, vec![worker], Duration::ZERO).await?;
            effect.killed.push(worker);
            effect
        }
        Fault::Clock | Fault::Mail(_) => return Ok(None),
    };
    Ok(Some(effect))
}

async fn kill(world: &World, parts: Vec<Part>, downtime: Duration) -> Result<Effect> {
    let at = Instant::now();
    for part in &parts {
        world.cluster.kill(*part).await;
    }
    sleep(downtime).await;
    for part in &parts {
        world.cluster.run(*part).await?;
    }
    Ok(Effect { killed: parts, at: Some(at) })
}

fn failpoint_patience(world: &World) -> Duration {
    if world.attacked { UNDER_ATTACK } else { FAILPOINT_PATIENCE }
}

/// The part that reaches a failpoint.
async fn held_part(world: &World, point: Point) -> Option<Part> {
    timeout(failpoint_patience(world), world.cluster.failpoints.set(point)).await.ok()?.ok()
}

/// Injects a fault of mails. Returns whether it took effect.
async fn inject_mail_fault(world: &World, fault: mails::Fault, time: Duration) -> bool {
    let mails = &world.cluster.mails;
    mails.set_fault(Some(fault));
    let effective = match fault {
        mails::Fault::SmtpNever | mails::Fault::SnsNever => {
            timeout(failpoint_patience(world), mails.fault_taken()).await.is_ok()
        }
        _ => {
            sleep(time).await;
            fault != mails::Fault::DiskFull || world.cluster.can_fill_disk()
        }
    };
    mails.set_fault(None);
    effective
}

/// When a new submission's mail was there, and when an open approval was over.
async fn recover(
    world: Arc<World>,
    new: Arc<Submission>,
    open: Arc<Submission>,
    i: usize,
) -> [Instant; 2] {
    let asked = async {
        let _ = timeout(PATIENCE, ask(&world, &new)).await;
        Instant::now()
    };
    let decided = async {
        sleep(Duration::from_millis(50)).await;
        let _ = timeout(PATIENCE, decide(&world, &open, i)).await;
        Instant::now()
    };
    join!(asked, decided).into()
}

/// Submits, and waits for the mail.
async fn ask(world: &World, submission: &Submission) {
    if let Err(status) = world.submit(submission, &mut rng::stream(0, 0)).await {
        eprintln!("{} was not started: {status}", submission.workflow);
        return;
    }
    world.link(submission, &submission.stages[0].reviewers[0], 0, 0).await;
}

/// Looks and decides, and waits for the outcome's mail.
async fn decide(world: &World, submission: &Submission, signaler: usize) {
    let reviewer = &submission.stages[0].reviewers[0];
    if let Some(link) = world.link(submission, reviewer, 0, 0).await {
        join!(
            world.look(reviewer, &link, signaler + 1),
            world.press(reviewer, &link, true, signaler)
        );
    }
    world.outcome(submission).await;
}
