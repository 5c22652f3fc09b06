//! The soak: many people, real processes that are really killed, and a ledger of what people were
//! told, which is held against every workflow's history afterwards.
//!
//! `soak --short` takes about two minutes. `soak --short --control` runs the same against a
//! signaler that is wrong on purpose, and succeeds where it has noticed decisions that were lost.

mod checker;
mod control;
mod dice;
mod evidence;
mod faults;
mod installation;
mod leaks;
mod ledger;
mod mails;
mod people;
mod proxy;
mod receiver;
mod report;
mod story;
mod temporal;
mod traps;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    checker::{Finding, Kind},
    dice::Dice,
    evidence::Evidence,
    faults::Toll,
    installation::{Installation, Part},
    ledger::Ledger,
    people::{Case, World},
    receiver::Receiver,
    report::Report,
    traps::Traps,
};

/// Kills an installation of Countersign again and again while people use it, and shows that
/// nothing is lost.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How many approvals are started.
    #[arg(long, default_value_t = 3_500)]
    approvals: usize,
    /// What happens, and in which order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Over how many minutes the approvals are spread, if not too many are under way; after that
    /// nothing goes wrong any more.
    #[arg(long, default_value_t = 14.0)]
    minutes: f64,
    /// How many approvals are under way at once, at most.
    #[arg(long, default_value_t = 60)]
    concurrency: usize,
    /// About two minutes: 100 approvals in one of them, and most faults once.
    #[arg(long)]
    short: bool,
    /// Has a wrong signaler tried instead of the product's: succeeds where lost decisions are found.
    #[arg(long)]
    control: bool,
    /// Where to keep the logs of the processes, and the histories of what was found.
    #[arg(long)]
    keep_logs: Option<PathBuf>,
}

/// So many times as long as it should take to start all approvals it may take.
const PATIENCE: u32 = 3;
/// How long everybody and everything may take when nothing goes wrong any more.
const REST: Duration = Duration::from_secs(180);
/// The same for the control, which is known not to come to rest.
const REST_OF_CONTROL: Duration = Duration::from_secs(20);

/// How long after the last fault somebody is told at last that an approval is gone.
const LATE: Duration = Duration::from_secs(90);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut args = Args::parse();
    if args.short {
        (args.approvals, args.minutes) = (100, 1.0);
    }
    let rest = if args.control { REST_OF_CONTROL } else { REST };
    let began = Instant::now();
    let traps = Arc::new(Traps::default());
    let receiver = Receiver::start(Dice::of(args.seed, u64::MAX - 1), &traps).await?;
    let world = Arc::new(World {
        installation: Installation::start(&receiver, &traps, args.control).await?,
        ledger: Ledger::default(),
        browser: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build()?,
        unmailed: Mutex::default(),
    });
    let (cases, toll, waiting) = run(&args, &world, rest, began).await?;

    eprintln!("{:.0?}: reading the histories ...", began.elapsed());
    let Installation { direct: temporal, control, .. } = &world.installation;
    let mut evidence = Evidence::gather(&world, &receiver, cases, rest).await;
    if waiting > 0 {
        let why = format!("{waiting} approvals had people who still waited");
        evidence.findings.push(Finding::of_all(Kind::Stuck, why));
    }
    evidence.judge(!args.short);
    let slow = toll.slowest(temporal).await;
    if let Some(to) = &args.keep_logs {
        evidence.keep_histories(temporal, to).await?;
    }
    for part in Part::ALL {
        world.installation.kill(part).await;
    }
    evidence.search(world.installation.files())?;
    if let Some(to) = &args.keep_logs {
        world.installation.keep_logs(to)?;
    }
    let report = Report {
        command: command(&args),
        took: began.elapsed(),
        toll: &toll,
        entries: evidence.answers().collect(),
        findings: &evidence.findings,
        counts: evidence.counts(control.as_ref()),
        slow,
        untried: world.installation.untried(),
    };
    report.print();
    let as_it_should_be = match args.control {
        true => evidence.findings.iter().any(|finding| finding.kind == Kind::Lost),
        false => evidence.findings.is_empty(),
    };
    Ok(if as_it_should_be { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets people come and things go wrong, and then everybody come to rest. Answers with all
/// approvals, what went wrong, and how many people still waited at the end.
async fn run(
    args: &Args,
    world: &Arc<World>,
    rest: Duration,
    began: Instant,
) -> Result<(Vec<Arc<Case>>, Toll, usize)> {
    let cases = Mutex::new(Vec::new());
    let (end, ended) = watch::channel(false);
    let load = async {
        let people = crowd(args, world, &cases).await;
        eprintln!("{:.0?}: all are started ...", began.elapsed());
        end.send_replace(true);
        people
    };
    let mut late = JoinSet::new();
    let (latecomer, dice) = (world.clone(), Dice::of(args.seed, u64::MAX - 2));
    late.spawn(async move { latecomer.come_too_late(dice).await });
    let strike = faults::strike(world, &cases, args.seed, args.short, ended);
    let (toll, mut people) = tokio::join!(strike, load);
    let toll = toll?;
    eprintln!("{:.0?}: nothing goes wrong any more ...", began.elapsed());
    let all_done = async { while people.join_next().await.is_some() {} };
    let mut waiting = 0;
    if timeout(rest, all_done).await.is_err() {
        waiting = people.len();
        people.abort_all();
    }
    // They need a while without faults, which there may not have been before.
    let _ = timeout(rest.min(LATE), late.join_next()).await;
    Ok((cases.into_inner().unwrap_or_else(PoisonError::into_inner), toll, waiting))
}

/// Starts approvals one after the other, spread over the time there is.
async fn crowd(args: &Args, world: &Arc<World>, cases: &Mutex<Vec<Arc<Case>>>) -> JoinSet<()> {
    let room = Arc::new(Semaphore::new(args.concurrency));
    let between = Duration::from_secs_f64(args.minutes * 60.0 / args.approvals.max(1) as f64);
    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0) * PATIENCE;
    let mut people = JoinSet::new();
    for i in 0..args.approvals {
        let Ok(seat) =
            timeout(end.saturating_duration_since(Instant::now()), room.clone().acquire_owned())
                .await
        else {
            eprintln!("there was time for {i} approvals only");
            break;
        };
        let mut dice = Dice::of(args.seed, i as u64);
        let case = Arc::new(Case::by(format!("soak-{}-{i}", args.seed), &mut dice));
        cases.lock().unwrap_or_else(PoisonError::into_inner).push(case.clone());
        let world = world.clone();
        people.spawn(async move {
            world.live(case, dice).await;
            drop(seat);
        });
        sleep(between).await;
    }
    people
}

fn command(args: &Args) -> String {
    let control = if args.control { " --control" } else { "" };
    let Args { approvals, seed, minutes, concurrency, .. } = args;
    let name = env!("CARGO_BIN_NAME");
    format!(
        "{name} --approvals {approvals} --minutes {minutes} --concurrency {concurrency} --seed {seed}{control}"
    )
}
