//! What goes wrong, one after the other, and how long it takes until work goes on.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    join,
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    dice::Dice,
    installation::{BY_OUTBOX, Part},
    mails,
    people::{Case, World},
    story,
    temporal::Direct,
    traps::{MAIL, Moment, Point, WEBHOOK},
};

/// After so long it is not a recovery any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// So long somebody is waited for at a named point.
const AMBUSH: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    /// How often each fault happened.
    pub(crate) faults: BTreeMap<String, usize>,
    /// How many processes of each kind were killed.
    pub(crate) kills: BTreeMap<&'static str, usize>,
    /// From each kill until work went on.
    pub(crate) recoveries: Vec<Recovery>,
}

impl Toll {
    /// The slowest recoveries, and in which pause of the probe's history the time went.
    pub(crate) async fn slowest(&self, temporal: &Direct) -> Vec<(Recovery, String)> {
        let mut slowest = self.recoveries.clone();
        slowest.sort_by_key(|recovery| Reverse(recovery.asked.max(recovery.decided)));
        slowest.truncate(3);
        let mut explained = Vec::new();
        for recovery in slowest {
            // An approval that was open before has waited for its decision, which is no delay.
            let new_is_slow = recovery.asked >= recovery.decided;
            let probe = if new_is_slow { &recovery.probes[0] } else { &recovery.probes[1] };
            let pause = match temporal.history(probe).await {
                Ok(history) if new_is_slow => story::longest_pause(&history),
                Ok(history) => story::longest_pause(story::since_the_decision(&history)),
                Err(error) => error.to_string(),
            };
            explained.push((recovery, pause));
        }
        explained
    }
}

/// How long it took until work went on: from the kill itself, with the time until what was killed
/// was started again; after an outage of all workers, from its end.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    /// What was killed.
    pub(crate) fault: String,
    /// The new submission and the open approval by which it was measured.
    pub(crate) probes: [String; 2],
    /// Until a new submission's mail was written; nothing where it was before the kill.
    pub(crate) asked: Option<Duration>,
    /// Until an approval that was open before was decided by its page, and the outcome mailed;
    /// nothing where it was before the kill.
    pub(crate) decided: Option<Duration>,
}

#[derive(Debug, Clone)]
enum Fault {
    /// Kills these.
    Kill(Vec<Part>),
    /// Kills all workers for long enough that people are told so.
    NoWorker,
    /// Kills whoever comes to a point there.
    Caught(Point),
    /// Kills Temporal when somebody comes to a point.
    TemporalAt(Point),
    Freeze(Part),
    Cut,
    LostAnswers,
    /// Sets a worker's clock forward.
    Clock,
    Mail(mails::Fault),
}

/// What a fault did.
#[derive(Default)]
struct Struck {
    killed: Vec<Part>,
    at: Option<Instant>,
}

const SIGNAL: &str = "SignalWorkflowExecution";
const WORKFLOW_TASK: &str = "RespondWorkflowTaskCompleted";
const ACTIVITY: &str = "RespondActivityTaskCompleted";

impl Fault {
    /// What happens until it all happens again: each kind at least once, in some order.
    fn deck(dice: &mut Dice, brief: bool) -> Vec<Fault> {
        let point = |what, moment| Point { what, moment };
        let mut deck = vec![
            Fault::NoWorker,
            Fault::Freeze(Part::Temporal),
            Fault::Freeze(Part::WORKERS[dice.below(3)]),
            Fault::Freeze(Part::Signaler(dice.below(2))),
            Fault::Cut,
            Fault::LostAnswers,
            Fault::Clock,
            Fault::Caught(MAIL),
            Fault::Caught(WEBHOOK),
        ];
        for what in [SIGNAL, WORKFLOW_TASK, ACTIVITY] {
            deck.push(Fault::Caught(point(what, Moment::Before)));
            deck.push(Fault::Caught(point(what, Moment::After)));
        }
        deck.push(Fault::TemporalAt(point(SIGNAL, Moment::During)));
        deck.push(Fault::TemporalAt(point(SIGNAL, Moment::After)));
        for _ in 0..if brief { 1 } else { 4 } {
            deck.push(Fault::Kill(vec![Part::WORKERS[dice.below(3)]]));
            deck.push(Fault::Kill(vec![Part::Signaler(dice.below(2))]));
            deck.push(Fault::Kill(vec![Part::Temporal]));
            let (first, second) = (dice.below(6), 1 + dice.below(5));
            deck.push(Fault::Kill(vec![Part::ALL[first], Part::ALL[(first + second) % 6]]));
        }
        if !brief {
            for moment in [Moment::During, Moment::After] {
                deck.push(Fault::TemporalAt(point(WORKFLOW_TASK, moment)));
                deck.push(Fault::TemporalAt(point(ACTIVITY, moment)));
            }
        }
        deck.extend(mails::Fault::ALL.map(Fault::Mail));
        dice.shuffle(&mut deck);
        deck
    }

    fn name(&self) -> String {
        match self {
            Fault::Kill(parts) => {
                let mut kinds: Vec<_> = parts.iter().map(|part| part.kind()).collect();
                kinds.sort();
                format!("kill {}", kinds.join(" and "))
            }
            Fault::NoWorker => "kill all workers".to_owned(),
            Fault::Caught(point) => {
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

/// Lets things go wrong until there is an end to it and everything has happened, and then mends
/// everything.
pub(crate) async fn strike(
    world: &Arc<World>,
    cases: &Mutex<Vec<Arc<Case>>>,
    seed: u64,
    brief: bool,
    mut end: watch::Receiver<bool>,
) -> Result<Toll> {
    let mut dice = Dice::of(seed, u64::MAX);
    let mut toll = Toll::default();
    let probe = |i: usize| {
        let case = Arc::new(Case::simple(format!("probe-{seed}-{i}")));
        cases.lock().unwrap_or_else(PoisonError::into_inner).push(case.clone());
        case
    };
    // In a brief run faults are short, and the next one does not wait until work goes on.
    let (patience, pace) = if brief { (Duration::from_secs(1), 3) } else { (PATIENCE, 1) };
    let mut under_way = Vec::new();
    let mut open = probe(0);
    ask(world, &open).await;
    let mut deck = Fault::deck(&mut dice, brief);
    let mut all_happened = false;
    for i in 1.. {
        let pause = dice.millis(300, 1_200) / pace;
        tokio::select! {
            _ = end.wait_for(|end| *end), if all_happened => break,
            () = sleep(pause) => {}
        }
        let Some(fault) = deck.pop() else {
            all_happened = true;
            deck = Fault::deck(&mut dice, brief);
            continue;
        };
        let struck;
        if let Fault::Mail(fault) = fault {
            let time = dice.millis(1_500, 3_000) / pace;
            struck = suffer(world, fault, time).await.then(Struck::default);
        } else {
            let new = probe(i);
            let recovery = tokio::spawn(recover(world.clone(), new.clone(), open.clone(), i));
            struck = inflict(world, &fault, &mut dice, pace).await?;
            let probes = [new.workflow.clone(), open.workflow.clone()];
            let mut recovering = Recovering {
                fault: fault.name(),
                probes,
                at: struck.as_ref().and_then(|s| s.at),
                recovery,
            };
            if !recovering.is_over(patience, &mut toll).await {
                under_way.push(recovering);
            }
            open = new;
        }
        // A fault that struck nobody is shown as one that did not happen.
        *toll.faults.entry(fault.name()).or_default() += usize::from(struck.is_some());
        for part in struck.iter().flat_map(|struck| &struck.killed) {
            *toll.kills.entry(part.kind()).or_default() += 1;
        }
    }
    world.installation.mend().await?;
    for mut recovering in under_way {
        recovering.is_over(PATIENCE, &mut toll).await;
    }
    let _ = timeout(PATIENCE, decide(world, &open, 0)).await;
    Ok(toll)
}

/// A recovery that is being measured.
struct Recovering {
    fault: String,
    probes: [String; 2],
    at: Option<Instant>,
    recovery: JoinHandle<[Instant; 2]>,
}

impl Recovering {
    /// Waits for it, and writes it down.
    async fn is_over(&mut self, patience: Duration, toll: &mut Toll) -> bool {
        let Ok(Ok([asked, decided])) = timeout(patience, &mut self.recovery).await else {
            return false;
        };
        if let Some(at) = self.at {
            toll.recoveries.push(Recovery {
                fault: self.fault.clone(),
                probes: self.probes.clone(),
                asked: asked.checked_duration_since(at),
                decided: decided.checked_duration_since(at),
            });
        }
        true
    }
}

/// Nothing where it could not happen, or nobody came by.
async fn inflict(
    world: &World,
    fault: &Fault,
    dice: &mut Dice,
    pace: u32,
) -> Result<Option<Struck>> {
    let installation = &world.installation;
    let downtime = dice.millis(100, 2_000) / pace;
    let struck = match fault {
        Fault::Kill(parts) => kill(world, parts.clone(), downtime).await?,
        Fault::NoWorker => {
            let struck = kill(world, Part::WORKERS.to_vec(), dice.millis(4_000, 6_000)).await?;
            // How long nobody starts them is no property of what is started.
            Struck { at: Some(Instant::now()), ..struck }
        }
        Fault::Caught(point) => match caught(world, *point).await {
            Some(part) => kill(world, vec![part], downtime).await?,
            None => return Ok(None),
        },
        Fault::TemporalAt(point) => match caught(world, *point).await {
            Some(_) => kill(world, vec![Part::Temporal], downtime).await?,
            None => return Ok(None),
        },
        Fault::Freeze(part) => {
            installation.freeze(*part, true);
            sleep(dice.millis(1_000, 5_000) / pace).await;
            installation.freeze(*part, false);
            Struck::default()
        }
        Fault::Cut => {
            installation.proxy.cut();
            Struck::default()
        }
        Fault::LostAnswers => {
            installation.proxy.lose_answers();
            sleep(downtime).await;
            installation.proxy.clear();
            Struck::default()
        }
        Fault::Clock if installation.can_run_later() => {
            let worker = Part::Worker(BY_OUTBOX);
            installation.kill(worker).await;
            installation.run_later(BY_OUTBOX);
            sleep(dice.millis(4_000, 8_000) / pace).await;
            let mut struck = kill(world, vec![worker], Duration::ZERO).await?;
            struck.killed.push(worker);
            struck
        }
        Fault::Clock | Fault::Mail(_) => return Ok(None),
    };
    Ok(Some(struck))
}

async fn kill(world: &World, parts: Vec<Part>, downtime: Duration) -> Result<Struck> {
    let at = Instant::now();
    for part in &parts {
        world.installation.kill(*part).await;
    }
    sleep(downtime).await;
    for part in &parts {
        world.installation.run(*part).await?;
    }
    Ok(Struck { killed: parts, at: Some(at) })
}

/// Who comes to a point.
async fn caught(world: &World, point: Point) -> Option<Part> {
    timeout(AMBUSH, world.installation.traps.set(point)).await.ok()?.ok()
}

/// Whether it could happen, and where it is one mail that suffers, whether there was one.
async fn suffer(world: &World, fault: mails::Fault, time: Duration) -> bool {
    let mails = &world.installation.mails;
    mails.suffer(Some(fault));
    let suffered = match fault {
        mails::Fault::SmtpNever | mails::Fault::SnsNever => {
            timeout(AMBUSH, mails.suffered()).await.is_ok()
        }
        _ => {
            sleep(time).await;
            fault != mails::Fault::DiskFull || world.installation.can_fill_disk()
        }
    };
    mails.suffer(None);
    suffered
}

/// When a new submission's mail was there, and when an open approval was over.
async fn recover(world: Arc<World>, new: Arc<Case>, open: Arc<Case>, i: usize) -> [Instant; 2] {
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
async fn ask(world: &World, case: &Case) {
    if let Err(status) = world.submit(case, &mut Dice::of(0, 0)).await {
        eprintln!("{} was not started: {status}", case.workflow);
        return;
    }
    world.link(case, &case.stages[0].reviewers[0], 0).await;
}

/// Looks and decides, and waits for the outcome's mail.
async fn decide(world: &World, case: &Case, signaler: usize) {
    let reviewer = &case.stages[0].reviewers[0];
    if let Some(link) = world.link(case, reviewer, 0).await {
        join!(
            world.look(reviewer, &link.id, signaler + 1),
            world.press(reviewer, &link.id, true, signaler)
        );
    }
    world.outcome(case).await;
}
