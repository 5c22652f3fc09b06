//! What goes wrong, one after the other, and how long it takes until work goes on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    dice::Dice,
    installation::Part,
    people::{Case, World},
};

/// After so long it is not a recovery any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Toll {
    /// How often each fault happened.
    pub(crate) faults: BTreeMap<String, usize>,
    /// How many processes were killed.
    pub(crate) kills: usize,
    /// From each kill until work went on.
    pub(crate) recoveries: Vec<Recovery>,
}

/// How long it took until work went on, measured from the kill itself.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    /// What was killed.
    pub(crate) fault: String,
    /// The new submission and the open approval by which it was measured.
    pub(crate) probes: [String; 2],
    /// Until a new submission's mail was written.
    pub(crate) asked: Duration,
    /// Until an approval that was open before was decided by its page, and the outcome mailed.
    pub(crate) decided: Duration,
}

#[derive(Debug, Clone)]
enum Fault {
    Kill(Vec<Part>),
    Freeze(Part),
    Cut,
    LostAnswers,
}

impl Fault {
    fn by(dice: &mut Dice) -> Fault {
        let one = |dice: &mut Dice| match dice.below(100) {
            0..40 => Part::Worker(dice.below(2)),
            40..70 => Part::Signaler(dice.below(2)),
            _ => Part::Temporal,
        };
        match dice.below(100) {
            0..50 => Fault::Kill(vec![one(dice)]),
            50..65 => {
                let (first, second) = (one(dice), one(dice));
                Fault::Kill(if first == second { vec![first] } else { vec![first, second] })
            }
            65..70 => Fault::Kill(vec![Part::Worker(0), Part::Worker(1)]),
            70..85 => Fault::Freeze(Part::ALL[dice.below(5)]),
            85..93 => Fault::Cut,
            _ => Fault::LostAnswers,
        }
    }

    fn name(&self) -> String {
        match self {
            Fault::Kill(parts) => {
                let kinds: Vec<_> = parts.iter().map(|part| part.kind()).collect();
                format!("kill {}", kinds.join(" and "))
            }
            Fault::Freeze(part) => format!("freeze {}", part.kind()),
            Fault::Cut => "cut connections".to_owned(),
            Fault::LostAnswers => "lose answers".to_owned(),
        }
    }
}

/// Lets things go wrong until there is an end to it, and then mends everything.
pub(crate) async fn strike(
    world: &World,
    cases: &Mutex<Vec<Arc<Case>>>,
    seed: u64,
    mut end: watch::Receiver<bool>,
) -> Result<Toll> {
    let mut dice = Dice::of(seed, u64::MAX);
    let mut toll = Toll::default();
    let probe = |i: usize| {
        let case = Arc::new(Case::simple(format!("probe-{seed}-{i}")));
        cases.lock().unwrap_or_else(PoisonError::into_inner).push(case.clone());
        case
    };
    let mut open = probe(0);
    ask(world, &open).await;
    for i in 1.. {
        let pause = dice.millis(500, 3_000);
        tokio::select! {
            _ = end.wait_for(|end| *end) => break,
            () = sleep(pause) => {}
        }
        let fault = Fault::by(&mut dice);
        *toll.faults.entry(fault.name()).or_default() += 1;
        let began = Instant::now();
        let new = probe(i);
        let (struck, asked, decided) = tokio::join!(
            inflict(world, &fault, &mut dice),
            async {
                let _ = timeout(PATIENCE, ask(world, &new)).await;
                began.elapsed()
            },
            async {
                sleep(Duration::from_millis(50)).await;
                let _ = timeout(PATIENCE, decide(world, &open, i)).await;
                began.elapsed()
            }
        );
        struck?;
        if let Fault::Kill(parts) = &fault {
            toll.kills += parts.len();
            let probes = [new.workflow.clone(), open.workflow.clone()];
            toll.recoveries.push(Recovery { fault: fault.name(), probes, asked, decided });
        }
        open = new;
    }
    world.installation.mend().await?;
    let _ = timeout(PATIENCE, decide(world, &open, 0)).await;
    Ok(toll)
}

async fn inflict(world: &World, fault: &Fault, dice: &mut Dice) -> Result<()> {
    let installation = &world.installation;
    match fault {
        Fault::Kill(parts) => {
            for part in parts {
                installation.kill(*part).await;
            }
            sleep(dice.millis(100, 2_000)).await;
            for part in parts {
                installation.run(*part).await?;
            }
        }
        Fault::Freeze(part) => {
            installation.freeze(*part, true);
            sleep(dice.millis(1_000, 5_000)).await;
            installation.freeze(*part, false);
        }
        Fault::Cut => installation.proxy.cut(),
        Fault::LostAnswers => {
            installation.proxy.lose_answers();
            sleep(dice.millis(200, 2_000)).await;
            installation.proxy.clear();
        }
    }
    Ok(())
}

/// Submits, and waits for the mail.
async fn ask(world: &World, case: &Case) {
    // A server that is away is asked again, and a submission that came to nothing is stuck.
    let _ = world.submit(case, &mut Dice::of(0, 0)).await;
    world.link(case, &case.stages[0].reviewers[0], 0).await;
}

/// Decides, and waits for the outcome's mail.
async fn decide(world: &World, case: &Case, signaler: usize) {
    let reviewer = &case.stages[0].reviewers[0];
    if let Some(id) = world.link(case, reviewer, 0).await {
        world.press(reviewer, &id, true, signaler).await;
    }
    let submitter = case.submitter();
    world.installation.outbox.until(|found| found.news.get(&submitter).copied()).await;
}
