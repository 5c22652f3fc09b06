//! One installation of Countersign: workers, a signaler and an outbox, beside a Temporal server.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    codec,
    mail::{self, Mail},
    page::{Page, Reader},
    process::{Exit, Process, free_port, product, scratch},
    submission,
    temporal::{Temporal, Workflow},
    wait::eventually,
};

/// Who is asked when a submission does not say.
pub const DEFAULT_REVIEWER: &str = "default-reviewer@example.com";

/// Settings as an operator gives them: names and values.
pub type Settings = Vec<(String, String)>;

/// A running installation. Everything in it has its own task queue, key and directory.
pub struct Stack {
    /// The Temporal server beside which it runs.
    pub temporal: Arc<Temporal>,
    /// The worker's task queue.
    pub queue: String,
    dir: TempDir,
    settings: Settings,
    worker: Option<Process>,
    signaler: Option<Process>,
    reader: Reader,
    started: AtomicU32,
}

/// A stack that has not been started.
pub struct StackBuilder {
    temporal: Arc<Temporal>,
    queue: String,
    dir: TempDir,
    settings: Settings,
}

impl Stack {
    /// Starts a worker and a signaler with the usual settings, beside the shared server.
    pub async fn start() -> Stack {
        Stack::beside(Temporal::shared().await).start().await
    }

    /// Prepares a stack beside a server.
    pub fn beside(temporal: Arc<Temporal>) -> StackBuilder {
        let dir = scratch("stack-");
        let port = free_port();
        let queue = format!("queue-{}", Uuid::new_v4().simple());
        let outbox = dir.path().join("outbox");
        fs::create_dir(&outbox).expect("a writable directory");
        let settings = [
            ("TEMPORAL_ADDRESS", temporal.address()),
            ("TEMPORAL_NAMESPACE", "default".to_owned()),
            ("COUNTERSIGN_TASK_QUEUE", queue.clone()),
            ("COUNTERSIGN_LINK_KEYS", link_key()),
            ("COUNTERSIGN_PUBLIC_URL", format!("http://127.0.0.1:{port}")),
            ("COUNTERSIGN_LISTEN", format!("127.0.0.1:{port}")),
            ("COUNTERSIGN_NOTIFY", format!("outbox:{}", outbox.display())),
            ("COUNTERSIGN_MAIL_FROM", "Countersign <approvals@example.com>".to_owned()),
            ("COUNTERSIGN_REVIEWERS", DEFAULT_REVIEWER.to_owned()),
            ("COUNTERSIGN_LOG", "info".to_owned()),
            // All readers of a story share one address.
            ("COUNTERSIGN_LIMIT_ADDRESS", "1000000/1000000".to_owned()),
            ("COUNTERSIGN_LIMIT_LINK", "1000000/1000000".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value)).into_iter();
        let settings = settings.chain(codec::settings()).collect();
        StackBuilder { temporal, queue, dir, settings }
    }

    /// Starts an approval with `temporal workflow start --input-file`.
    pub async fn submit(&self, submission: &Value) -> Workflow {
        self.submit_as(&self.new_workflow_id(), submission).await
    }

    /// Starts an approval under a workflow ID.
    pub async fn submit_as(&self, id: &str, submission: &Value) -> Workflow {
        let file = submission::write(self.dir.path(), &self.new_workflow_id(), submission);
        self.temporal.start_workflow(&self.queue, id, &file).await
    }

    /// A workflow ID that nobody has.
    pub fn new_workflow_id(&self) -> String {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        format!("approval-{number}-{}", &self.queue["queue-".len()..][..12])
    }

    /// Waits for the first mail to an address.
    pub async fn mail_to(&self, address: &str) -> Mail {
        self.mails_to(address, 1).await.swap_remove(0)
    }

    /// Waits until there are at least `count` mails to an address; oldest first.
    pub async fn mails_to(&self, address: &str, count: usize) -> Vec<Mail> {
        eventually(format!("{count} mails to {address}"), async || {
            let mails = self.mails_so_far(address);
            (mails.len() >= count).then_some(mails)
        })
        .await
    }

    /// The mails to an address that are there now; oldest first.
    pub fn mails_so_far(&self, address: &str) -> Vec<Mail> {
        let to = |mail: &Mail| mail.to.iter().any(|to| to == address);
        self.outbox().into_iter().filter(to).collect()
    }

    /// Waits for a mail with the submitter's own link to an approval.
    pub async fn own_mail(&self, workflow: &Workflow) -> Mail {
        let is_own = |mail: &Mail| mail.own_link().is_some_and(|link| link.ends_with(&workflow.id));
        let what = format!("the submitter's own link to {}", workflow.id);
        eventually(what, async || self.outbox().into_iter().find(is_own)).await
    }

    /// All mails that are there now, oldest first.
    pub fn outbox(&self) -> Vec<Mail> {
        mail::outbox(&self.dir.path().join("outbox"))
    }

    /// How many mails are there now.
    pub fn outbox_size(&self) -> usize {
        mail::outbox_size(&self.dir.path().join("outbox"))
    }

    pub async fn open(&self, link: &str) -> Page {
        self.reader.open(link).await
    }

    /// Opens the page of a mail's link and presses the button there.
    pub async fn press(&self, link: &str, verdict: &str, comment: &str) -> Page {
        self.reader.press(link, verdict, comment).await
    }

    /// Somebody who opens links and presses buttons.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// A URL of the signaler.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.setting("COUNTERSIGN_PUBLIC_URL"))
    }

    /// A page beside the metrics of `worker` or `signaler`, which has to be running [with them](StackBuilder::with_metrics).
    pub async fn watch(&self, part: &str, path: &str) -> Page {
        let address = self.setting(&format!("{part}:COUNTERSIGN_METRICS_LISTEN"));
        let url = format!("http://{address}{path}");
        eventually(format!("{url} to be served"), async || self.reader.try_open(&url).await).await
    }

    /// Panics if there is no such setting.
    pub fn setting(&self, name: &str) -> &str {
        setting(&self.settings, name).expect("a setting of this stack")
    }

    /// The directory of logs, submissions and the outbox.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What worker and signaler have written so far, also those that are gone.
    pub fn logs(&self) -> String {
        ["worker", "signaler"]
            .map(|name| fs::read(self.dir.path().join(format!("{name}.log"))).unwrap_or_default())
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .concat()
    }

    /// The worker's process.
    pub fn worker(&self) -> &Process {
        self.worker.as_ref().expect("a running worker")
    }

    /// Has the worker read its routing rules again.
    pub fn hang_up_worker(&mut self) {
        self.worker.as_mut().expect("a running worker").hang_up();
    }

    /// Stops the worker's clock, or lets it go on.
    pub fn freeze_worker(&mut self, frozen: bool) {
        self.worker.as_mut().expect("a running worker").freeze(frozen);
    }

    /// The signaler's process.
    pub fn signaler(&self) -> &Process {
        self.signaler.as_ref().expect("a running signaler")
    }

    /// Changes a setting of what is started from now on.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), value.into()));
    }

    /// Starts worker and signaler again with one setting changed.
    pub async fn restart_with(&mut self, name: &str, value: impl Into<String>) {
        self.stop_worker().await;
        self.stop_signaler().await;
        self.set(name, value);
        self.signaler = Some(start_product("signaler", self.dir.path(), &self.settings));
        self.until_ready().await;
        self.start_worker();
        self.until_worker_runs().await;
    }

    /// Waits until the worker begins to poll. A page waits less long for a worker than one may take to start.
    pub async fn until_worker_runs(&self) {
        eventually("the worker to run", async || {
            self.worker().log().contains("countersign_worker: running").then_some(())
        })
        .await;
    }

    /// Runs the worker's program with these arguments and settings until it ends; what it prints.
    pub async fn tool(&self, arguments: &[&str]) -> (Exit, String) {
        tool(self.dir.path(), &self.settings, arguments).await
    }

    /// Waits until the signaler reaches Temporal.
    pub async fn until_ready(&self) {
        let ready = self.url("/readyz");
        eventually("the signaler to be ready", async || {
            (self.reader.try_open(&ready).await?.status == 200).then_some(())
        })
        .await;
    }

    /// Kills the worker without warning.
    pub async fn kill_worker(&mut self) {
        self.worker.take().expect("a running worker").kill().await;
    }

    /// Kills worker, signaler and Temporal without warning, and starts them again.
    pub async fn kill_everything(&mut self) {
        self.kill_worker().await;
        self.signaler.take().expect("a running signaler").kill().await;
        self.temporal.kill().await;
        self.temporal.restart().await;
        self.start_worker();
        self.start_signaler();
        self.until_ready().await;
    }

    /// Asks the worker to stop, and waits for it.
    pub async fn stop_worker(&mut self) -> Exit {
        self.worker.take().expect("a running worker").terminate().await
    }

    /// Asks the signaler to stop, and waits for it.
    pub async fn stop_signaler(&mut self) -> Exit {
        self.signaler.take().expect("a running signaler").terminate().await
    }

    /// Asks worker and signaler to stop at once, and waits for both.
    pub async fn stop(&mut self) -> [Exit; 2] {
        let worker = self.worker.take().expect("a running worker");
        let signaler = self.signaler.take().expect("a running signaler");
        let (worker, signaler) = tokio::join!(worker.terminate(), signaler.terminate());
        [worker, signaler]
    }

    /// Starts a worker where none is running.
    pub fn start_worker(&mut self) {
        self.run_as_worker(&product("countersign-worker"));
    }

    /// Starts another program with the worker's settings where no worker is running.
    pub fn run_as_worker(&mut self, program: &Path) {
        assert!(self.worker.is_none(), "there is a worker already");
        let command = command("worker", program, &self.settings);
        self.worker = Some(Process::start("worker", self.dir.path(), &command));
    }

    /// Waits until the worker ends by itself.
    pub async fn worker_exit(&mut self) -> Exit {
        self.worker.take().expect("a running worker").exit().await
    }

    /// Replaces the signaler by one that remembers nothing.
    pub async fn renew_signaler(&mut self) {
        self.stop_signaler().await;
        self.start_signaler();
        self.until_ready().await;
    }

    /// Starts a signaler where none is running.
    pub fn start_signaler(&mut self) {
        self.run_as_signaler(&product("countersign-signaler"));
    }

    /// Starts another program with the signaler's settings where no signaler is running.
    pub fn run_as_signaler(&mut self, program: &Path) {
        assert!(self.signaler.is_none(), "there is a signaler already");
        let command = command("signaler", program, &self.settings);
        self.signaler = Some(Process::start("signaler", self.dir.path(), &command));
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in self.worker.iter().chain(&self.signaler) {
                eprintln!("{}", process.recent_log());
            }
            for mail in self.outbox() {
                eprintln!("mail to {:?}: {}", mail.to, mail.subject);
            }
        }
    }
}

impl StackBuilder {
    /// Adds a setting or replaces one.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// Has worker and signaler serve metrics, each on a port of its own.
    pub fn with_metrics(self) -> Self {
        let address = || format!("127.0.0.1:{}", free_port());
        self.with("worker:COUNTERSIGN_METRICS_LISTEN", address())
            .with("signaler:COUNTERSIGN_METRICS_LISTEN", address())
    }

    /// Leaves out a setting.
    pub fn without(mut self, name: &str) -> Self {
        self.settings.retain(|(other, _)| other != name);
        self
    }

    /// Has routing rules instead of default reviewers. Where they do not say what operators may do, that is
    /// everything within example.com.
    pub fn with_rules(self, rules: &str) -> Self {
        let file = self.dir.path().join("policy.toml");
        let operators = match rules.contains("[operators]") {
            true => "",
            false => "\n[operators]\nmay_decide = true\nmay_reassign_to = [\"example.com\"]\n",
        };
        fs::write(&file, format!("{rules}{operators}")).expect("a writable directory");
        let file = file.to_str().expect("a UTF-8 path").to_owned();
        self.without("COUNTERSIGN_REVIEWERS").with("COUNTERSIGN_POLICY", file)
    }

    /// Starts the worker and the signaler, and waits until the signaler serves.
    pub async fn start(self) -> Stack {
        let mut stack = self.start_without_worker().await;
        stack.start_worker();
        stack
    }

    /// Starts only the signaler, and waits until it serves.
    pub async fn start_without_worker(self) -> Stack {
        let stack = self.start_unready().await;
        stack.until_ready().await;
        stack
    }

    /// Starts only the signaler, and waits until it answers at all, without Temporal if need be.
    pub async fn start_unready(self) -> Stack {
        let StackBuilder { temporal, queue, dir, settings } = self;
        let signaler = start_product("signaler", dir.path(), &settings);
        let stack = Stack {
            temporal,
            queue,
            dir,
            settings,
            worker: None,
            signaler: Some(signaler),
            reader: Reader::default(),
            started: AtomicU32::new(0),
        };
        let alive = stack.url("/healthz");
        let what = "the signaler to answer";
        eventually(what, async || stack.reader.try_open(&alive).await).await;
        stack
    }

    /// Starts only a product's binary, which is expected to end by itself.
    pub async fn run(&self, name: &str, arguments: &[&str]) -> (Exit, String) {
        let mut command = self.command(name);
        command.args(arguments);
        let mut process = Process::start(name, self.dir.path(), &command);
        let exit = process.exit().await;
        (exit, process.log())
    }

    /// Runs the worker's program with these arguments and settings until it ends; what it prints.
    pub async fn tool(&self, arguments: &[&str]) -> (Exit, String) {
        tool(self.dir.path(), &self.settings, arguments).await
    }

    /// The directory of logs and the outbox.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The worker's task queue.
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// All mails that are there now, oldest first.
    pub fn outbox(&self) -> Vec<Mail> {
        mail::outbox(&self.dir.path().join("outbox"))
    }

    /// Panics if there is no such setting.
    pub fn setting(&self, name: &str) -> &str {
        setting(&self.settings, name).expect("a setting of this stack")
    }

    /// The command that runs `worker` or `signaler` with these settings.
    pub fn command(&self, name: &str) -> Command {
        product_command(name, &self.settings)
    }
}

async fn tool(dir: &Path, settings: &Settings, arguments: &[&str]) -> (Exit, String) {
    let mut command = product_command("worker", settings);
    command.args(arguments);
    let name = format!("tool-{}", Uuid::new_v4().simple());
    let mut process = Process::start(&name, dir, &command);
    let exit = process.exit().await;
    (exit, process.log())
}

fn start_product(name: &str, dir: &Path, settings: &Settings) -> Process {
    Process::start(name, dir, &product_command(name, settings))
}

fn product_command(name: &str, settings: &Settings) -> Command {
    command(name, &product(&format!("countersign-{name}")), settings)
}

/// Runs a program as `worker` or `signaler`. A setting for one of them alone has its name and a colon before its own.
fn command(part: &str, program: &Path, settings: &Settings) -> Command {
    let mut command = Command::new(program);
    command.envs(settings.iter().filter_map(|(name, value)| match name.split_once(':') {
        Some((of, name)) => (of == part).then_some((name, value)),
        None => Some((name.as_str(), value)),
    }));
    command
}

fn setting<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// A new key for links.
pub fn link_key() -> String {
    let bytes = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
    BASE64_STANDARD.encode(bytes)
}
