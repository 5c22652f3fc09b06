//! How far it goes: clicks, memory and processor time with many approvals waiting.
//!
//! Temporal is one development server with its database in a file. All figures of one run are from the same
//! server and machine, so that their ratios mean something.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use countersign_e2e::{Grpc, Mail, Page, Stack, Temporal, json_payload, submission};
use futures_util::future::try_join_all;
use tokio::time::sleep;

use crate::usage;

/// How many approvals of each size are clicked on.
const SAMPLES: usize = 200;
/// How many are opened before anything is measured.
const WARM_UP: usize = 20;
/// How many are opened by their typed ID, one a second, as people type them.
const TYPED: usize = 20;
const AT_ONCE: usize = 16;
/// Started at a time; then their mails are awaited.
const BATCH: usize = 500;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For the mails of a batch.
const PATIENCE: Duration = Duration::from_secs(300);
/// How much longer a click may take than with the fewest approvals: where caches know it, and where not.
const WARM: f64 = 1.2;
const COLD: f64 = 1.3;

/// Prints tables in Markdown: one row for each number of approvals that wait, in rising order.
pub(crate) async fn measure(sizes: &[usize]) -> Result<()> {
    let temporal = Temporal::start().await;
    let stack = Stack::beside(temporal.clone()).without("COUNTERSIGN_LOG").start().await;
    let mut bench = Bench {
        grpc: temporal.grpc().await,
        temporal,
        stack,
        started: 0,
        waiting: BTreeSet::new(),
    };
    let mut rows = Vec::new();
    for size in sizes {
        let row = bench.with_waiting(*size).await?;
        eprintln!("{}", row.text());
        rows.push(row);
    }
    print(&rows);
    let version = bench.temporal.must(["--version"]).await;
    println!(
        "\nMedians of {SAMPLES} clicks; {} processors; {}; its database in a file.",
        std::thread::available_parallelism()?,
        version.trim()
    );
    Ok(())
}

struct Bench {
    temporal: std::sync::Arc<Temporal>,
    grpc: Grpc,
    stack: Stack,
    started: usize,
    /// Their numbers.
    waiting: BTreeSet<usize>,
}

/// What was measured with this many approvals waiting.
struct Row {
    waiting: usize,
    warm_get: Duration,
    cold_get: Duration,
    typed_get: Duration,
    post: Duration,
    /// MB: with its cache full, and after a restart and the clicks.
    worker: (u64, u64),
    signaler: u64,
    /// Processor time of one approval that begins to wait.
    begin: Cpu,
    /// Of one warm GET.
    get: Cpu,
    /// Of one decision.
    decide: Cpu,
    /// Bytes of Temporal's database for each approval.
    stored: u64,
    /// How long `list` takes.
    list: Duration,
}

/// Processor time.
#[derive(Clone, Copy)]
struct Cpu {
    worker: Duration,
    signaler: Duration,
    temporal: Duration,
}

impl Cpu {
    fn each(self, since: Cpu, count: usize) -> Cpu {
        let each =
            |now: Duration, before: Duration| now.saturating_sub(before) / count.max(1) as u32;
        Cpu {
            worker: each(self.worker, since.worker),
            signaler: each(self.signaler, since.signaler),
            temporal: each(self.temporal, since.temporal),
        }
    }
}

impl Bench {
    async fn with_waiting(&mut self, size: usize) -> Result<Row> {
        eprintln!("Starting approvals until {size} wait ...");
        let (before, missing) = (self.cpu()?, size.saturating_sub(self.waiting.len()));
        self.start(missing).await?;
        let begin = self.cpu()?.each(before, missing);
        let full = usage::memory(self.stack.worker().pid())?;
        let stored = self.stored()? / self.started as u64;

        eprintln!("Opening and deciding, with {} waiting ...", self.waiting.len());
        let sample = self.sample(SAMPLES + WARM_UP)?;
        let links = self.links(&sample)?;
        let (warm_up, links) = links.split_at(WARM_UP);
        self.restart().await;
        self.open_all(warm_up).await?;
        let cold_get = median(self.open_all(links).await?);
        let before = self.cpu()?;
        let warm_get = median(self.open_all(links).await?);
        let get = self.cpu()?.each(before, links.len());
        let typed_get = median(self.type_in(&links[..TYPED]).await?);
        self.open_all(links).await?;
        let before = self.cpu()?;
        let post = median(self.decide_all(links).await?);
        let decide = self.cpu()?.each(before, links.len());
        self.waiting.retain(|number| !sample[WARM_UP..].contains(number));
        let after = usage::memory(self.stack.worker().pid())?;
        let signaler = usage::memory(self.stack.signaler().pid())?;
        let start = Instant::now();
        let (exit, listed) = self.stack.tool(&["list"]).await;
        ensure!(exit.code == 0, "{listed}");
        let list = start.elapsed();
        let worker = (full, after);
        let waiting = size;
        Ok(Row {
            waiting,
            warm_get,
            cold_get,
            typed_get,
            post,
            worker,
            signaler,
            begin,
            get,
            decide,
            stored,
            list,
        })
    }

    /// Starts approvals, each with a reviewer of its own; returns when all are asked.
    async fn start(&mut self, count: usize) -> Result<()> {
        let last = self.started + count;
        while self.started < last {
            let batch: Vec<usize> = (self.started..last.min(self.started + BATCH)).collect();
            for some in batch.chunks(AT_ONCE) {
                try_join_all(some.iter().map(|number| self.start_one(*number))).await?;
            }
            self.started += batch.len();
            self.waiting.extend(batch);
            self.until_asked().await?;
        }
        Ok(())
    }

    async fn start_one(&self, number: usize) -> Result<()> {
        let input = vec![json_payload(&submission::expense(&[&reviewer(number)]))];
        let id = format!("waiting-{number}");
        self.grpc.try_start_with(&self.stack.queue, &id, input, |_| ()).await?;
        Ok(())
    }

    async fn until_asked(&self) -> Result<()> {
        let start = Instant::now();
        while self.requests()?.len() < self.started {
            ensure!(start.elapsed() < PATIENCE, "not all mails are written after {PATIENCE:?}");
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The files of all requests, by the reviewer's number. To read them all would take minutes.
    fn requests(&self) -> Result<BTreeMap<usize, PathBuf>> {
        let outbox = self.stack.dir().join("outbox");
        let number = |path: &PathBuf| {
            let (_, behind) = path.file_name()?.to_str()?.split_once("-request-w")?;
            let (number, _) = behind.split_once('@')?;
            number.parse().ok().filter(|_| behind.ends_with(".eml"))
        };
        let paths = fs::read_dir(outbox)?.flatten().map(|entry| entry.path());
        Ok(paths.filter_map(|path| Some((number(&path)?, path))).collect())
    }

    /// The links of approvals that wait, of all ages.
    fn links(&self, numbers: &[usize]) -> Result<Vec<String>> {
        let requests = self.requests()?;
        let link = |number: &usize| {
            let path = requests.get(number).context("a mail")?;
            Ok(Mail::parse(&fs::read(path)?).link("approve"))
        };
        numbers.iter().map(link).collect()
    }

    /// Some that wait, evenly from the oldest to the newest.
    fn sample(&self, count: usize) -> Result<Vec<usize>> {
        let step = self.waiting.len() / count;
        ensure!(step > 0, "{} approvals are too few", self.waiting.len());
        Ok(self.waiting.iter().copied().step_by(step).take(count).collect())
    }

    /// A worker that has no workflow cached, and a signaler that remembers nothing.
    async fn restart(&mut self) {
        self.stack.stop_worker().await;
        self.stack.start_worker();
        self.stack.renew_signaler().await;
    }

    async fn open_all(&self, links: &[String]) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for link in links {
            times.push(timed(self.stack.open(link)).await?);
        }
        Ok(times)
    }

    /// Opens links without their hint, by a signaler that does not know them.
    async fn type_in(&mut self, links: &[String]) -> Result<Vec<Duration>> {
        self.stack.renew_signaler().await;
        let mut times = Vec::new();
        for link in links {
            let (_, path) = link.split_once("/a/").context("a link")?;
            let id = path.split(['/', '?']).next().unwrap_or_default();
            times.push(timed(self.stack.open(&self.stack.url(&format!("/a/{id}")))).await?);
            sleep(Duration::from_secs(1)).await;
        }
        Ok(times)
    }

    async fn decide_all(&self, links: &[String]) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for link in links {
            times.push(timed(self.stack.press(link, "approve", "")).await?);
        }
        Ok(times)
    }

    fn cpu(&self) -> Result<Cpu> {
        Ok(Cpu {
            worker: usage::cpu(self.stack.worker().pid())?,
            signaler: usage::cpu(self.stack.signaler().pid())?,
            temporal: usage::cpu(self.temporal.pid().context("Temporal runs")?)?,
        })
    }

    /// Bytes that Temporal has written.
    fn stored(&self) -> Result<u64> {
        let file = self.temporal.database();
        let log = file.with_extension("db-wal");
        let size = |path: &PathBuf| fs::metadata(path).map(|file| file.len()).unwrap_or_default();
        Ok(size(&file) + size(&log))
    }
}

fn reviewer(number: usize) -> String {
    format!("w{number}@example.com")
}

/// How long a page takes, which has to be right.
async fn timed(page: impl Future<Output = Page>) -> Result<Duration> {
    let start = Instant::now();
    let page = page.await;
    ensure!(page.status == 200, "{}: {}", page.status, page.text());
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

impl Row {
    fn text(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} MB | {} MB | {} MB | {} |",
            self.waiting,
            ms(self.warm_get),
            ms(self.cold_get),
            ms(self.typed_get),
            ms(self.post),
            self.worker.0,
            self.worker.1,
            self.signaler,
            ms(self.list),
        )
    }
}

fn print(rows: &[Row]) {
    println!(
        "| waiting | GET, warm | GET, cold, by link | GET, cold, by typed ID | POST | worker, cache full | worker, \
         restarted | signaler | `list` |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    rows.iter().for_each(|row| println!("{}", row.text()));
    println!("\n| processor time | worker | signaler | Temporal |\n| --- | ---: | ---: | ---: |");
    let Some(last) = rows.last() else { return };
    for (what, cpu) in [
        ("an approval begins to wait", last.begin),
        ("a warm GET", last.get),
        ("a decision", last.decide),
    ] {
        let Cpu { worker, signaler, temporal } = cpu;
        println!("| {what} | {} | {} | {} |", ms(worker), ms(signaler), ms(temporal));
    }
    println!("\nTemporal stores {} KB for each approval.", last.stored / 1_000);
    if let Some(first) = rows.first().filter(|first| first.waiting < last.waiting) {
        println!();
        for (what, before, after, allowed) in [
            ("warm GET", first.warm_get, last.warm_get, WARM),
            ("POST", first.post, last.post, WARM),
            ("cold GET by link", first.cold_get, last.cold_get, COLD),
        ] {
            let ratio = after.as_secs_f64() / before.as_secs_f64();
            let verdict = if ratio <= allowed { "within" } else { "MORE THAN" };
            println!(
                "{what}: {ratio:.2} of what it takes with {}, {verdict} {allowed}",
                first.waiting
            );
        }
    }
}
