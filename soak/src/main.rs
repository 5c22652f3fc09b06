//! The soak: many users, real processes that are really killed, and a ledger of every answer, which
//! is checked against every workflow's history afterwards.
//!
//! `soak --short` takes about a minute. `soak --short --control` runs against a signaler that is wrong
//! on purpose, and succeeds where the checker has found every decision that it lost. `soak --adversary` has
//! somebody attack everything in the namespace meanwhile, and judges only what everybody was told.

mod adversary;
mod attacked;
mod checker;
mod cluster;
mod collect;
mod control;
mod failpoints;
mod faults;
mod history;
mod judge;
mod ledger;
mod mails;
mod part;
mod proxy;
mod receiver;
mod report;
mod rng;
mod secret_scan;
mod submission;
mod temporal;
mod users;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser;
use countersign_e2e::Receiver;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    adversary::{Account, Adversary, Submissions},
    attacked::Attacked,
    checker::{Finding, Kind},
    cluster::Cluster,
    collect::Collection,
    failpoints::Failpoints,
    faults::{FaultLog, Scope},
    ledger::Ledger,
    part::Part,
    report::Report,
    submission::{Submission, TEAMS},
    users::World,
};

/// Kills a Countersign cluster again and again while it is used, and checks that nothing is lost.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How many approvals to start.
    #[arg(long, default_value_t = 3_500)]
    approvals: usize,
    /// Decides what happens, and in which order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Over how many minutes to spread the approvals, if there is room; faults end after that.
    #[arg(long, default_value_t = 14.0)]
    minutes: f64,
    /// How many approvals to have open at once, at most.
    #[arg(long, default_value_t = 60)]
    concurrency: usize,
    /// About a minute: few approvals, and most faults once.
    #[arg(long)]
    short: bool,
    /// Have an adversary attack everything in the namespace meanwhile. Judged is only whether all that
    /// anybody was told is true.
    #[arg(long)]
    adversary: bool,
    /// Run a wrong signaler in place of the product's, and succeed if each decision that it loses is
    /// found. With --adversary: give the adversary the link keys, and succeed if each forgery that comes
    /// through is found.
    #[arg(long)]
    control: bool,
    /// Print all tables and findings of a short run or of the control too.
    #[arg(long)]
    verbose: bool,
    /// Where to keep the report, the processes' logs and the histories of findings.
    #[arg(long)]
    keep_logs: Option<PathBuf>,
}

impl Args {
    fn scope(&self) -> Scope {
        match self {
            Args { control: true, adversary: false, .. } => Scope::Signalers,
            Args { short: true, .. } => Scope::Brief,
            _ => Scope::Full,
        }
    }

    /// Whether some reviewers may delegate: the control's signaler knows of no delegations, and nor does the judge of a
    /// run with an adversary.
    fn delegates(&self) -> bool {
        !self.control && !self.adversary
    }

    /// How long everything may take once faults have ended. The control never comes to rest, nor does a
    /// run with an adversary.
    fn rest(&self) -> Duration {
        let seconds = match self {
            Args { adversary: true, short: true, .. } => 8,
            Args { adversary: true, .. } => 20,
            Args { control: true, .. } => 10,
            _ => 180,
        };
        Duration::from_secs(seconds)
    }
}

/// Of so many approvals, reviewers of one may delegate.
const DELEGATING: usize = 5;
/// By which factor starting all approvals may take longer than planned.
const PATIENCE: u32 = 3;
/// How long after the last fault the answer comes that an old link's approval is gone.
const GONE: Duration = Duration::from_secs(90);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut args = Args::parse();
    if args.short {
        (args.approvals, args.minutes) = if args.adversary { (45, 0.3) } else { (60, 0.5) };
    }
    let began = Instant::now();
    let failpoints = Arc::new(Failpoints::default());
    let receiver = receiver::start(rng::stream(args.seed, u64::MAX - 1), &failpoints).await;
    let world = start_world(&args, &receiver, &failpoints).await?;
    if args.adversary {
        return attack(&args, &world, &receiver, began).await;
    }
    let submissions = Mutex::default();
    let (faults, waiting) = run(&args, &world, &submissions, began).await?;
    let submissions = submissions.into_inner();

    eprintln!("{:.0?}: reading the histories ...", began.elapsed());
    let Cluster { client, control, .. } = &world.cluster;
    let mut collection = Collection::collect(&world, &receiver, submissions, args.rest()).await;
    if waiting > 0 {
        let why = format!("the users of {waiting} approvals still waited");
        collection.findings.push(Finding::of_all(Kind::Stuck, why));
    }
    collection.check(args.scope() == Scope::Full);
    let losses = control.as_ref().map(|losses| collection.noticed(losses.lost()));
    let slow = faults.slowest(client).await;
    if let Some(to) = &args.keep_logs {
        collection.keep_histories(client, to).await?;
    }
    for part in Part::ALL {
        world.cluster.kill(part).await;
    }
    collection.search(world.cluster.files())?;
    let report = Report {
        command: command(&args),
        took: began.elapsed(),
        faults: &faults,
        entries: collection.answers().collect(),
        findings: &collection.findings,
        counts: collection.counts(),
        slow,
        untried: world.cluster.untried(),
    };
    if let Some(to) = &args.keep_logs {
        world.cluster.keep_logs(to)?;
        fs::write(to.join("report.md"), report.details())?;
    }
    if args.verbose || args.scope() == Scope::Full {
        println!("{}", report.details());
    } else if !args.control {
        print!("{}", report.listed_findings());
    }
    let (summary, succeeded) = match losses {
        Some(losses) => report.summary_of_control(&losses),
        None => (report.summary(), collection.findings.is_empty()),
    };
    println!("{summary}");
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the cluster, which nobody has used yet.
async fn start_world(
    args: &Args,
    receiver: &Receiver,
    failpoints: &Arc<Failpoints>,
) -> Result<Arc<World>> {
    let wrong = args.control && !args.adversary;
    let rules = args.delegates().then(submission::rules);
    let cluster = Cluster::start(receiver, failpoints, wrong, args.adversary, rules.as_deref());
    Ok(Arc::new(World {
        cluster: cluster.await?,
        ledger: Ledger::default(),
        browser: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build()?,
        unmailed: Mutex::default(),
        attacked: args.adversary,
        first_runs: Mutex::default(),
        cancelled: Mutex::default(),
    }))
}

/// Runs users and faults beside an adversary, and judges what everybody was told.
async fn attack(
    args: &Args,
    world: &Arc<World>,
    receiver: &Receiver,
    began: Instant,
) -> Result<ExitCode> {
    let (submissions, account) = (Submissions::default(), Account::default());
    let adversary = Adversary::new(world, &submissions, &account, args.seed, args.control)?;
    let (faults, _) = tokio::select! {
        ended = run(args, world, &submissions, began) => ended?,
        () = adversary.attack() => unreachable!("it attacks without end"),
    };
    eprintln!("{:.0?}: reading the histories ...", began.elapsed());
    let attacked = Attacked::judge(world, receiver, &submissions, &account).await;
    for part in Part::ALL {
        world.cluster.kill(part).await;
    }
    let details = format!("`{}`\n{}", command(args), attacked.details(&account));
    if let Some(to) = &args.keep_logs {
        world.cluster.keep_logs(to)?;
        fs::write(to.join("report.md"), &details)?;
    }
    if args.verbose || args.scope() == Scope::Full {
        println!("{details}");
    } else if !args.control {
        print!("{}", attacked.listed_findings());
    }
    let (summary, succeeded) = match args.control {
        true => attacked.summary_of_control(),
        false => attacked.summary(&account, args.scope() == Scope::Full),
    };
    let kills: usize = faults.kills.values().sum();
    println!("{summary}\n{kills} kills, {:.0} s.", began.elapsed().as_secs_f64());
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs users and faults, and waits until everything has come to rest. Returns the faults, and how many
/// approvals had users who still waited at the end.
async fn run(
    args: &Args,
    world: &Arc<World>,
    submissions: &Submissions,
    began: Instant,
) -> Result<(FaultLog, usize)> {
    let (end, ended) = watch::channel(false);
    let load = async {
        let users = start_users(args, world, submissions).await;
        eprintln!("{:.0?}: all approvals are started ...", began.elapsed());
        end.send_replace(true);
        users
    };
    let mut old_links = JoinSet::new();
    let (user, rng) = (world.clone(), rng::stream(args.seed, u64::MAX - 2));
    // A short run does not wait for each answer of the contract.
    if args.scope() == Scope::Full && !args.adversary {
        old_links.spawn(async move { user.use_old_links(rng).await });
    }
    let inject = faults::inject(world, submissions, args.seed, args.scope(), ended);
    let (faults, mut users) = tokio::join!(inject, load);
    let faults = faults?;
    eprintln!("{:.0?}: all faults have ended ...", began.elapsed());
    let all_done = async { while users.join_next().await.is_some() {} };
    let mut waiting = 0;
    if timeout(args.rest(), all_done).await.is_err() {
        waiting = users.len();
        users.abort_all();
    }
    // The answer needs a while without faults, which there may not have been before.
    let _ = timeout(GONE, old_links.join_next()).await;
    Ok((faults, waiting))
}

/// Starts approvals one after the other, spread over the time there is.
async fn start_users(args: &Args, world: &Arc<World>, submissions: &Submissions) -> JoinSet<()> {
    let room = Arc::new(Semaphore::new(args.concurrency));
    let between = Duration::from_secs_f64(args.minutes * 60.0 / args.approvals.max(1) as f64);
    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0) * PATIENCE;
    let mut users = JoinSet::new();
    for i in 0..args.approvals {
        let Ok(permit) =
            timeout(end.saturating_duration_since(Instant::now()), room.clone().acquire_owned())
                .await
        else {
            eprintln!("there was time for {i} approvals only");
            break;
        };
        let mut rng = rng::stream(args.seed, i as u64);
        let workflow = format!("soak-{}-{i}", args.seed);
        let submission = match args.delegates() && i.is_multiple_of(DELEGATING) {
            true => Submission::of_team(workflow, i / DELEGATING % TEAMS),
            false => Submission::random(workflow, &mut rng),
        };
        let submission = Arc::new(submission);
        submissions.lock().push(submission.clone());
        let world = world.clone();
        users.spawn(async move {
            world.run(submission, rng).await;
            drop(permit);
        });
        sleep(between).await;
    }
    users
}

fn command(args: &Args) -> String {
    let adversary = if args.adversary { " --adversary" } else { "" };
    let control = if args.control { " --control" } else { "" };
    let Args { approvals, seed, minutes, concurrency, .. } = args;
    let name = env!("CARGO_BIN_NAME");
    format!(
        "{name} --approvals {approvals} --minutes {minutes} --concurrency {concurrency} --seed {seed}{adversary}{control}"
    )
}
