//! What Countersign costs over the Temporal calls that it cannot do without.
//!
//! Everything runs against one local server in one run, and the product and the raw calls take
//! turns, so that the ratios mean something on any machine.

use std::{
    fs,
    future::Future,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, ensure};
use countersign_e2e::{
    Grpc, MailServer, Stack, Temporal, json_payload, submission, within, workspace,
};
use countersign_protos::v1::Submission;
use countersign_worker::cli::load_policy;
use futures_util::future::try_join_all;
use serde_json::json;

use crate::usage;

const ROUNDS: usize = 200;
const APPROVALS: usize = 1_000;
const TURNS: usize = 20;
const WAITING: usize = 1_000;
const FORGED: usize = 20_000;
const ROUTED: usize = 100_000;
const CONNECTIONS: usize = 16;
const REVIEWERS: usize = 80;
const MAILED: usize = 10;
const PATIENCE: Duration = Duration::from_secs(180);

/// Prints a table in Markdown.
pub(crate) async fn measure() -> Result<()> {
    let temporal = Temporal::start().await;
    let stack = Stack::beside(temporal.clone()).without("COUNTERSIGN_LOG").start().await;
    let bench = Bench { grpc: temporal.grpc().await, stack };

    let stack = Stack::beside(temporal.clone()).without("COUNTERSIGN_LOG").with_metrics();
    let watched = Bench { grpc: temporal.grpc().await, stack: stack.start().await };

    eprintln!("Deciding {APPROVALS} approvals, and as many with metrics ...");
    let worker = bench.stack.worker().pid();
    let (cpu, with_metrics) = cpu_of_each(&bench, &watched).await?;
    drop(watched);

    let (get, query) = bench.get_against_query().await?;
    let (post, calls) = bench.post_against_calls().await?;
    let forged = bench.forged_per_second().await?;
    let routing = routed_per_second()?;
    eprintln!("Starting {WAITING} approvals that wait ...");
    let idle = usage::memory(worker)?;
    bench.start_many(WAITING, "waiting").await?;
    let full = usage::memory(worker)?;
    let mailed = mails_per_second(&temporal).await?;

    println!("| what | Countersign | the Temporal calls it needs | ratio |");
    println!("| --- | ---: | ---: | ---: |");
    println!(
        "| open a review page (GET: one query) | {} | {} | {} |",
        ms(get),
        ms(query),
        ratio(get, query)
    );
    println!(
        "| decide (POST: query, signal, query) | {} | {} | {} |",
        ms(post),
        ms(calls),
        ratio(post, calls)
    );
    println!("| refuse forged approval IDs | {forged:.0} a second | none | |");
    println!(
        "| route a submission by the rules of examples/policy.toml | {routing} a second | none | |"
    );
    println!(
        "| send mails by SMTP, {REVIEWERS} for each approval | {mailed:.0} a second | none | |"
    );
    println!("| worker's processor time for one approval | {} | | |", ms(cpu));
    println!(
        "| the same with metrics, read after every {} approvals | {} | | {} |",
        APPROVALS / TURNS,
        ms(with_metrics),
        ratio(with_metrics, cpu)
    );
    println!("| worker's memory, {WAITING} approvals waiting | {full} MB ({idle} MB before) | | |");
    println!();
    println!(
        "Medians of {ROUNDS}; {APPROVALS} approvals for the processor time; {} processors; {}.",
        std::thread::available_parallelism()?,
        temporal.must(["--version"]).await.trim()
    );
    Ok(())
}

/// The processor time of each one's worker for one approval. They take turns, so that both meet the same machine.
async fn cpu_of_each(plain: &Bench, watched: &Bench) -> Result<(Duration, Duration)> {
    let (mut of_plain, mut of_watched) = (Duration::ZERO, Duration::ZERO);
    for bench in [plain, watched] {
        bench.whole_approvals(20, "warm-up").await?;
    }
    for turn in 0..TURNS {
        for (bench, spent) in [(plain, &mut of_plain), (watched, &mut of_watched)] {
            let worker = bench.stack.worker().pid();
            let before = usage::cpu(worker)?;
            bench.whole_approvals(APPROVALS / TURNS, &format!("measured-{turn}")).await?;
            if std::ptr::eq(bench, watched) {
                bench.stack.watch("worker", "/metrics").await;
            }
            *spent += usage::cpu(worker)? - before;
        }
    }
    Ok((of_plain / APPROVALS as u32, of_watched / APPROVALS as u32))
}

struct Bench {
    grpc: Grpc,
    stack: Stack,
}

impl Bench {
    /// Starts approvals, each with a reviewer of its own; returns when all mails are written.
    async fn start_many(&self, count: usize, name: &str) -> Result<Vec<(String, String)>> {
        let mails = self.stack.outbox_size();
        let approvals: Vec<(String, String)> = (0..count)
            .map(|i| (self.stack.new_workflow_id(), format!("{name}-{i}@example.com")))
            .collect();
        for batch in approvals.chunks(CONNECTIONS) {
            try_join_all(batch.iter().map(|(id, reviewer)| self.start(id, reviewer))).await?;
        }
        self.until_mails(mails + count).await;
        Ok(approvals)
    }

    /// Starts and decides approvals, a few at a time; returns when all outcomes are mailed.
    async fn whole_approvals(&self, count: usize, name: &str) -> Result<()> {
        for batch in 0..count / 10 {
            let mails = self.stack.outbox_size();
            let approvals = self.start_many(10, &format!("{name}-{batch}")).await?;
            try_join_all(approvals.iter().map(|(id, reviewer)| self.approve(id, reviewer))).await?;
            self.until_mails(mails + 2 * approvals.len()).await;
        }
        Ok(())
    }

    async fn get_against_query(&self) -> Result<(Duration, Duration)> {
        eprintln!("Opening pages, and asking Temporal directly ...");
        let approvals = self.start_many(1, "get").await?;
        let (id, reviewer) = &approvals[0];
        let link = self.stack.mail_to(reviewer).await.link("approve");
        let open = || async {
            let page = self.stack.open(&link).await;
            ensure!(page.status == 200, "a page is shown: {} {}", page.status, page.text());
            Ok(())
        };
        within(PATIENCE, "Temporal's index to know the link", async || open().await.ok()).await;
        self.query(id).await?;
        let (mut gets, mut queries) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            gets.push(timed(open()).await?);
            queries.push(timed(self.query(id)).await?);
        }
        Ok((median(gets), median(queries)))
    }

    async fn post_against_calls(&self) -> Result<(Duration, Duration)> {
        eprintln!("Deciding, and telling Temporal directly ...");
        let approvals = self.start_many(2 * ROUNDS, "post").await?;
        let mails = self.stack.outbox();
        let link_of = |reviewer: &String| {
            let mail = mails.iter().find(|mail| mail.to.contains(reviewer)).context("a mail")?;
            anyhow::Ok(mail.link("approve"))
        };
        let (mut posts, mut calls) = (Vec::new(), Vec::new());
        for pair in approvals.chunks(2) {
            // People read the page first; that also teaches the signaler whose link it is.
            let link = link_of(&pair[0].1)?;
            within(PATIENCE, "the page to decide on", async || {
                (self.stack.open(&link).await.status == 200).then_some(())
            })
            .await;
            posts.push(
                timed(async {
                    let fields = [("verdict", "approve")];
                    let answer = self.stack.reader().submit_as_json(&link, &fields).await;
                    ensure!(answer.status == 200, "a decision is taken: {}", answer.body);
                    Ok(())
                })
                .await?,
            );
            let (id, reviewer) = &pair[1];
            self.query(id).await?;
            calls.push(
                timed(async {
                    self.query(id).await?;
                    self.approve(id, reviewer).await?;
                    self.query(id).await
                })
                .await?,
            );
        }
        Ok((median(posts), median(calls)))
    }

    async fn forged_per_second(&self) -> Result<f64> {
        eprintln!("Trying forged approval IDs ...");
        let link = self.stack.url("/a/7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T");
        let start = Instant::now();
        try_join_all((0..CONNECTIONS).map(|_| async {
            for _ in 0..FORGED / CONNECTIONS {
                ensure!(self.stack.open(&link).await.status == 404, "a forged ID is refused");
            }
            Ok(())
        }))
        .await?;
        Ok(FORGED as f64 / start.elapsed().as_secs_f64())
    }

    async fn until_mails(&self, count: usize) {
        within(PATIENCE, format!("{count} mails"), async || {
            (self.stack.outbox_size() >= count).then_some(())
        })
        .await;
    }

    async fn start(&self, id: &str, reviewer: &str) -> Result<()> {
        let input = vec![json_payload(&submission::expense(&[reviewer]))];
        self.grpc.try_start_with(&self.stack.queue, id, input, |_| ()).await?;
        Ok(())
    }

    async fn approve(&self, id: &str, reviewer: &str) -> Result<()> {
        let input = vec![json_payload(&json!({"reviewer": reviewer}))];
        Ok(self.grpc.try_signal(id, "approve", input).await?)
    }

    async fn query(&self, id: &str) -> Result<()> {
        Ok(self.grpc.try_status(id).await.map(drop)?)
    }
}

/// How many mails a second one worker brings to a mail server, from the start of the approvals on.
async fn mails_per_second(temporal: &Arc<Temporal>) -> Result<f64> {
    eprintln!("Sending mails by SMTP ...");
    let builder = Stack::beside(temporal.clone()).without("COUNTERSIGN_LOG");
    let server = MailServer::start(builder.dir()).await;
    let stack = builder.with("COUNTERSIGN_NOTIFY", server.url()).start().await;
    let grpc = temporal.grpc().await;
    let reviewers: Vec<String> = (0..REVIEWERS).map(|i| format!("r{i}@example.com")).collect();
    let names: Vec<&str> = reviewers.iter().map(String::as_str).collect();
    let ask = async || {
        let input = vec![json_payload(&submission::expense(&names))];
        grpc.try_start_with(&stack.queue, &stack.new_workflow_id(), input, |_| ()).await?;
        anyhow::Ok(())
    };
    let until = async |count: usize| {
        within(PATIENCE, format!("{count} mails"), async || {
            (server.count() >= count).then_some(())
        })
        .await;
    };
    // The first approval warms up.
    ask().await?;
    until(REVIEWERS).await;
    let start = Instant::now();
    for _ in 0..MAILED {
        ask().await?;
    }
    until((1 + MAILED) * REVIEWERS).await;
    Ok((MAILED * REVIEWERS) as f64 / start.elapsed().as_secs_f64())
}

/// How many submissions a second the example's rules route, in one thread.
fn routed_per_second() -> Result<u64> {
    eprintln!("Routing submissions ...");
    let examples = workspace().join("examples");
    let policy = load_policy(&examples.join("policy.toml"), false).map_err(Error::msg)?;
    let mut submissions = Vec::new();
    for file in fs::read_dir(examples.join("submissions"))? {
        let submission: Submission = serde_json::from_slice(&fs::read(file?.path())?)?;
        let submitter = submission.submitter.clone().unwrap_or_default().email.parse()?;
        submissions.push((submission, submitter));
    }
    let start = Instant::now();
    for (submission, submitter) in submissions.iter().cycle().take(ROUTED) {
        black_box(policy.route(submission, submitter));
    }
    Ok((ROUTED as f64 / start.elapsed().as_secs_f64()) as u64)
}

async fn timed(work: impl Future<Output = Result<()>>) -> Result<Duration> {
    let start = Instant::now();
    work.await?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn ratio(ours: Duration, theirs: Duration) -> String {
    format!("{:.2}", ours.as_secs_f64() / theirs.as_secs_f64())
}
