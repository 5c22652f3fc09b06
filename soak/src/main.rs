//! The soak: many people, real processes that are really killed, and a ledger of what people were
//! told, which is held against every workflow's history afterwards.
//!
//! `soak --short` takes about two minutes. `soak --short --control` runs the same against a
//! signaler that is wrong on purpose, and succeeds where it has noticed decisions that were lost.

mod checker;
mod control;
mod dice;
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
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Parser;
use prost::Message;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    checker::{Finding, Kind},
    dice::Dice,
    installation::{Installation, Part},
    leaks::Secrets,
    ledger::Ledger,
    people::{Case, World},
    receiver::Receiver,
    report::Report,
    story::Event,
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
    let began = Instant::now();
    let rest = if args.control { REST_OF_CONTROL } else { REST };
    let traps = Arc::new(Traps::default());
    let receiver = Receiver::start(Dice::of(args.seed, u64::MAX - 1), &traps).await?;
    let world = Arc::new(World {
        installation: Installation::start(&receiver, &traps, args.control).await?,
        ledger: Ledger::default(),
        browser: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build()?,
        unmailed: Mutex::default(),
    });
    let cases = Mutex::new(Vec::new());

    let (end, ended) = watch::channel(false);
    let load = async {
        let people = crowd(&args, &world, &cases).await;
        eprintln!("{:.0?}: all are started ...", began.elapsed());
        end.send_replace(true);
        people
    };
    let mut late = JoinSet::new();
    let (latecomer, dice) = (world.clone(), Dice::of(args.seed, u64::MAX - 2));
    late.spawn(async move { latecomer.come_too_late(dice).await });
    let strike = faults::strike(&world, &cases, args.seed, args.short, ended);
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

    eprintln!("{:.0?}: reading the histories ...", began.elapsed());
    let cases = cases.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mails = &world.installation.mails;
    let mailed: Vec<String> =
        mails.look(|found| found.links.values().flatten().map(|link| link.id.clone()).collect());
    let unmailed = world.unmailed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let secrets = Secrets::of(mailed.into_iter().chain(unmailed));
    let (stories, mut findings) = histories(&world, &cases, &secrets, rest).await?;
    let mut find = |kind, why| {
        let (workflow, key) = (String::new(), String::new());
        findings.push(Finding { kind, workflow, key, why });
    };
    if waiting > 0 {
        find(Kind::Stuck, format!("{waiting} approvals had people who still waited"));
    }
    let ledger = world.ledger.by_workflow();
    let taken = receiver.taken();
    let mut deliveries: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for each in &taken {
        deliveries.entry(&each.workflow).or_default().push(each);
    }
    let told = mails.look(|found| found.told.clone());
    for case in &cases {
        let id = case.workflow.as_str();
        let entries = ledger.get(id).map(Vec::as_slice).unwrap_or_default();
        let taken = deliveries.get(id).map(Vec::as_slice).unwrap_or_default();
        let story = stories.get(id).map(Vec::as_slice).unwrap_or_default();
        let is_told = told.contains(&case.submitter());
        findings.extend(checker::check(case, story, entries, taken, is_told));
    }
    findings.extend(ledger.values().flat_map(|entries| checker::misused(entries)));
    let entries: Vec<_> = ledger.values().flatten().collect();
    for (row, times) in report::contract(entries.iter().copied()) {
        // A brief run may not come by everything.
        if times == 0 && !args.short {
            let (workflow, key, why) = (String::new(), String::new(), row.to_owned());
            findings.push(Finding { kind: Kind::Unseen, workflow, key, why });
        }
    }

    let mut slowest = toll.recoveries.clone();
    slowest.sort_by_key(|recovery| std::cmp::Reverse(recovery.asked.max(recovery.decided)));
    slowest.truncate(3);
    let mut slow = Vec::new();
    for recovery in slowest {
        // An approval that was open before has waited for its decision, which is no delay.
        let new_is_slow = recovery.asked >= recovery.decided;
        let probe = if new_is_slow { &recovery.probes[0] } else { &recovery.probes[1] };
        let pause = match world.installation.direct.history(probe).await {
            Ok(history) if new_is_slow => story::longest_pause(&history),
            Ok(history) => story::longest_pause(story::since_the_decision(&history)),
            Err(error) => error.to_string(),
        };
        slow.push((recovery, pause));
    }

    if let Some(to) = &args.keep_logs {
        std::fs::create_dir_all(to)?;
        for finding in &findings {
            if let Ok(history) = world.installation.direct.history(&finding.workflow).await {
                let path = to.join(format!("{}.history", finding.workflow));
                std::fs::write(path, story::outline(&history))?;
            }
        }
    }
    for part in Part::ALL {
        world.installation.kill(part).await;
    }
    for path in world.installation.files() {
        let found = secrets.count_in_file(&path).with_context(|| path.display().to_string())?;
        if found > 0 {
            let why = format!("{found} in {:?}", path.file_name());
            let (workflow, key) = (String::new(), String::new());
            findings.push(Finding { kind: Kind::Leak, workflow, key, why });
        }
    }
    if let Some(to) = &args.keep_logs {
        world.installation.keep_logs(to)?;
    }

    let events = |is_it: fn(&Event) -> bool| {
        stories.values().flatten().filter(|event| is_it(event)).count().to_string()
    };
    let nonsense = |entry: &&&ledger::Entry| {
        entry.act == ledger::Act::Nonsense && entry.answer == "acknowledged"
    };
    let [all, again, refused] = mails.look(|found| [found.mails, found.again, found.refused]);
    let repeated = taken.len() - deliveries.len();
    let mut counts = vec![
        ("approvals started", cases.len().to_string()),
        ("of these malformed, and failed so", events(|event| matches!(event, Event::Failed(_)))),
        ("signals in histories", events(|event| matches!(event, Event::Signal { .. }))),
        ("malformed signals acknowledged", entries.iter().filter(nonsense).count().to_string()),
        ("answers in the ledger", entries.len().to_string()),
        ("outcomes handed on", deliveries.len().to_string()),
        ("delivered once more, with the same key and outcome", share(repeated, deliveries.len())),
        ("mails", all.to_string()),
        ("came once more", share(again, all)),
        ("attempts at mails that were not the first", events(|e| *e == Event::MailedAgain)),
        ("mails refused for good, and decided by an operator instead", refused.to_string()),
    ];
    if let Some(control) = &world.installation.control {
        let lost: Vec<_> = findings.iter().filter(|f| f.kind == Kind::Lost).collect();
        let killed = lost.iter().filter(|finding| control.was_killed(&finding.key)).count();
        counts.push(("of the lost decisions, lost by a kill", killed.to_string()));
    }
    let report = Report {
        command: command(&args),
        took: began.elapsed(),
        toll: &toll,
        entries,
        findings: &findings,
        counts,
        slow,
        untried: world.installation.untried(),
    };
    report.print();
    let as_it_should_be = match args.control {
        true => findings.iter().any(|finding| finding.kind == Kind::Lost),
        false => findings.is_empty(),
    };
    Ok(if as_it_should_be { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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

/// Every workflow's story, once it is over or there is no more patience.
async fn histories(
    world: &World,
    cases: &[Arc<Case>],
    secrets: &Secrets,
    patience: Duration,
) -> Result<(BTreeMap<String, Vec<Event>>, Vec<Finding>)> {
    let until = Instant::now() + patience;
    let (mut stories, mut findings) = (BTreeMap::new(), Vec::new());
    for case in cases {
        loop {
            let history = world.installation.direct.history(&case.workflow).await;
            let patient = Instant::now() < until;
            let history = match history {
                Ok(history) => history,
                Err(_) if patient => {
                    sleep(Duration::from_millis(500)).await;
                    continue;
                }
                Err(error) => {
                    eprintln!("{} cannot be read: {error}", case.workflow);
                    break;
                }
            };
            let story = story::story(&history);
            if !story::is_over(&story) && patient {
                sleep(Duration::from_millis(500)).await;
                continue;
            }
            let mut find = |kind, why| {
                let (workflow, key) = (case.workflow.clone(), String::new());
                findings.push(Finding { kind, workflow, key, why });
            };
            let leaks: usize =
                history.iter().map(|event| secrets.count_in(&event.encode_to_vec())).sum();
            if leaks > 0 {
                find(Kind::Leak, format!("{leaks} in its history"));
            }
            if let Err(why) = countersign_e2e::replay(history).await {
                find(Kind::Unrepeatable, why);
            }
            stories.insert(case.workflow.clone(), story);
            break;
        }
    }
    Ok((stories, findings))
}

fn share(part: usize, whole: usize) -> String {
    format!("{part} ({:.2}%)", 100.0 * part as f64 / whole.max(1) as f64)
}

fn command(args: &Args) -> String {
    let control = if args.control { " --control" } else { "" };
    let Args { approvals, seed, minutes, concurrency, .. } = args;
    let name = env!("CARGO_BIN_NAME");
    format!(
        "{name} --approvals {approvals} --minutes {minutes} --concurrency {concurrency} --seed {seed}{control}"
    )
}
