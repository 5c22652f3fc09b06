//! What is tried: a Temporal server, three workers that send mail in three ways, and two signalers,
//! each of which can be killed, frozen and started again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use countersign_e2e::{AS_WITH_SQL_STORES, Process, free_port, link_key, product, scratch, tool};
use countersign_protos::LinkKeys;
use tempfile::TempDir;

use crate::{
    control,
    mails::{Mails, Outbox, Smtp, Sns},
    proxy::Proxy,
    receiver::Receiver,
    temporal::Direct,
    traps::Traps,
};

/// The secret of the webhook, in a form that the product takes.
const SECRET: &str = "whsec_c29hay1zb2FrLXNvYWstc29hay1zb2FrLXNvYWs=";

/// How much later it is for a process whose clock is set forward.
const LATER: &str = "+1h";
const PARTS: usize = 6;

/// The worker that sends by SMTP, the one that publishes to SNS, and the one with an outbox.
const BY_SMTP: usize = 0;
const BY_SNS: usize = 1;
/// See [`BY_SMTP`].
pub(crate) const BY_OUTBOX: usize = 2;

/// A part that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The server.
    Temporal,
    /// One of the workers.
    Worker(usize),
    /// One of the signalers.
    Signaler(usize),
}

impl Part {
    /// All of them.
    pub(crate) const ALL: [Part; PARTS] = [
        Part::Temporal,
        Part::Worker(0),
        Part::Worker(1),
        Part::Worker(2),
        Part::Signaler(0),
        Part::Signaler(1),
    ];

    /// The workers.
    pub(crate) const WORKERS: [Part; 3] = [Part::Worker(0), Part::Worker(1), Part::Worker(2)];

    /// What it is, whichever of its kind.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Part::Temporal => "Temporal",
            Part::Worker(_) => "worker",
            Part::Signaler(_) => "signaler",
        }
    }

    fn slot(self) -> usize {
        match self {
            Part::Temporal => 0,
            Part::Worker(i) => 1 + i,
            Part::Signaler(i) => 4 + i,
        }
    }
}

enum Running {
    Real(Process),
    Wrong(control::Signaler),
}

/// Everything that runs.
pub(crate) struct Installation {
    dir: TempDir,
    temporal_port: u16,
    signaler_ports: [u16; 2],
    settings: Vec<(&'static str, String)>,
    /// What only one of the workers has.
    workers: [Vec<(&'static str, String)>; 3],
    /// The network before Temporal.
    pub(crate) proxy: Proxy,
    /// Temporal, asked directly.
    pub(crate) direct: Direct,
    /// The mails.
    pub(crate) mails: Arc<Mails>,
    /// Issue the links.
    pub(crate) keys: LinkKeys,
    /// Where a process is caught.
    pub(crate) traps: Arc<Traps>,
    outbox: Outbox,
    _smtp: Smtp,
    _sns: Sns,
    /// What the control knows, where it runs.
    pub(crate) control: Option<control::Known>,
    running: Mutex<[Option<Running>; PARTS]>,
}

impl Installation {
    /// Starts everything; with `wrong`, the control in the place of the signalers.
    pub(crate) async fn start(
        receiver: &Receiver,
        traps: &Arc<Traps>,
        wrong: bool,
    ) -> Result<Installation> {
        let dir = scratch("soak-");
        let (temporal_port, signaler_ports) = (free_port(), [free_port(), free_port()]);
        let proxy = Proxy::to(temporal_port, &Part::ALL[1..], traps).await?;
        let server = start_temporal(dir.path(), temporal_port);
        let mails = Mails::new(traps);
        let folder = dir.path().join("outbox");
        let outbox = Outbox::at(&folder, Part::Worker(BY_OUTBOX), &mails)?;
        let smtp = Smtp::start(dir.path(), Part::Worker(BY_SMTP), &mails).await?;
        let sns = Sns::start(dir.path(), Part::Worker(BY_SNS), &mails).await?;
        let queue = "soak";
        let direct = Direct::connect(temporal_port, queue).await?;
        let key = link_key();
        let keys = key.parse()?;
        let settings = vec![
            ("TEMPORAL_NAMESPACE", "default".to_owned()),
            ("COUNTERSIGN_TASK_QUEUE", queue.to_owned()),
            ("COUNTERSIGN_LINK_KEYS", key),
            ("COUNTERSIGN_PUBLIC_URL", format!("http://127.0.0.1:{}", signaler_ports[0])),
            ("COUNTERSIGN_MAIL_FROM", "Countersign <approvals@example.com>".to_owned()),
            ("COUNTERSIGN_WEBHOOK_SECRET", SECRET.to_owned()),
            ("COUNTERSIGN_REVIEWERS", "nobody@example.com".to_owned()),
            ("COUNTERSIGN_LOG", "info".to_owned()),
            ("COUNTERSIGN_LIMIT_ADDRESS", "1000000/1000000".to_owned()),
            ("COUNTERSIGN_LIMIT_LINK", "1000000/1000000".to_owned()),
        ];
        let mut workers = [
            vec![("COUNTERSIGN_NOTIFY", smtp.url())],
            sns.settings(),
            vec![("COUNTERSIGN_NOTIFY", format!("outbox:{}", folder.display()))],
        ];
        for (i, worker) in workers.iter_mut().enumerate() {
            worker.push(("COUNTERSIGN_WEBHOOK_URL", receiver.url(i)));
        }
        let mut running = [const { None }; PARTS];
        running[Part::Temporal.slot()] = Some(Running::Real(server));
        let installation = Installation {
            dir,
            temporal_port,
            signaler_ports,
            settings,
            workers,
            proxy,
            direct,
            mails,
            keys,
            traps: traps.clone(),
            outbox,
            _smtp: smtp,
            _sns: sns,
            control: wrong.then(control::Known::default),
            running: Mutex::new(running),
        };
        for part in &Part::ALL[1..] {
            installation.run(*part).await?;
        }
        Ok(installation)
    }

    /// What this system does not allow to be tried.
    pub(crate) fn untried(&self) -> Vec<&'static str> {
        let mut untried = Vec::new();
        if !self.can_fill_disk() {
            untried.push("a full disk: a small file system cannot be mounted here");
        }
        if !self.can_run_later() {
            untried.push("a clock set forward: libfaketime is not there");
        }
        untried
    }

    /// Starts a part, if it does not run.
    pub(crate) async fn run(&self, part: Part) -> Result<()> {
        if self.running.lock().unwrap_or_else(PoisonError::into_inner)[part.slot()].is_some() {
            return Ok(());
        }
        let running = match (part, &self.control) {
            (Part::Temporal, _) => {
                Running::Real(start_temporal(self.dir.path(), self.temporal_port))
            }
            (Part::Worker(_), _) | (Part::Signaler(_), None) => {
                Running::Real(self.product(part, Vec::new()))
            }
            (Part::Signaler(i), Some(known)) => {
                let at = (self.signaler_ports[i], self.direct.clone(), self.mails.clone());
                Running::Wrong(control::Signaler::start(at, known.clone()).await?)
            }
        };
        self.running.lock().unwrap_or_else(PoisonError::into_inner)[part.slot()] = Some(running);
        Ok(())
    }

    /// Whether a disk can be filled here.
    pub(crate) fn can_fill_disk(&self) -> bool {
        self.outbox.has_disk()
    }

    /// Whether a clock can be set forward here.
    pub(crate) fn can_run_later(&self) -> bool {
        faketime().is_some()
    }

    /// Starts a worker whose clock is wrong.
    pub(crate) fn run_later(&self, worker: usize) {
        let (part, library) = (Part::Worker(worker), faketime().unwrap_or_default());
        // What takes time takes as long as it does: only the date is wrong.
        let later = vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", LATER.to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let running = Running::Real(self.product(part, later));
        self.running.lock().unwrap_or_else(PoisonError::into_inner)[part.slot()] = Some(running);
    }

    fn product(&self, part: Part, more: Vec<(&'static str, String)>) -> Process {
        let (i, own) = match part {
            Part::Worker(i) => (i, self.workers[i].clone()),
            Part::Signaler(i) => {
                (i, vec![("COUNTERSIGN_LISTEN", format!("127.0.0.1:{}", self.signaler_ports[i]))])
            }
            Part::Temporal => unreachable!("Temporal is no part of the product"),
        };
        let mut command = Command::new(product(&format!("countersign-{}", part.kind())));
        command.env("TEMPORAL_ADDRESS", self.proxy.address(part));
        command.envs(self.settings.iter().cloned().chain(own).chain(more));
        Process::start(&format!("{}-{i}", part.kind()), self.dir.path(), &command)
    }

    /// Kills a part without warning.
    pub(crate) async fn kill(&self, part: Part) {
        let running =
            self.running.lock().unwrap_or_else(PoisonError::into_inner)[part.slot()].take();
        match running {
            Some(Running::Real(process)) => process.kill().await,
            Some(Running::Wrong(signaler)) => signaler.kill().await,
            None => {}
        }
    }

    /// Stops a part's clock, or lets it go on.
    pub(crate) fn freeze(&self, part: Part, frozen: bool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Running::Real(process)) = &running[part.slot()] {
            let signal = if frozen { "-STOP" } else { "-CONT" };
            let sent = Command::new("kill").args([signal, &process.pid().to_string()]).status();
            sent.expect("the program kill is there");
        }
    }

    /// Starts whatever does not run.
    pub(crate) async fn mend(&self) -> Result<()> {
        for part in Part::ALL {
            self.freeze(part, false);
            self.run(part).await?;
        }
        self.proxy.clear();
        self.mails.suffer(None);
        Ok(())
    }

    /// A page of one of the signalers, as the mails' links have it: one says approve, one reject.
    pub(crate) fn url(&self, signaler: usize, id: &str) -> String {
        let (port, choice) =
            (self.signaler_ports[signaler % 2], ["approve", "reject"][signaler % 2]);
        format!("http://127.0.0.1:{port}/a/{id}?choice={choice}")
    }

    /// The files in which nobody may find an approval ID: logs and the server's data.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        files.map(|file| file.path()).filter(|path| path.is_file()).collect()
    }

    /// Copies the logs to where they can be read later.
    pub(crate) fn keep_logs(&self, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        for path in self.files() {
            if let (Some("log"), Some(name)) =
                (path.extension().and_then(|e| e.to_str()), path.file_name())
            {
                fs::copy(&path, to.join(name))?;
            }
        }
        Ok(())
    }
}

/// The library that lies about the time, from Debian's package `faketime`.
fn faketime() -> Option<PathBuf> {
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketime.so.1");
    libraries.map(library).find(|path| path.exists())
}

fn start_temporal(dir: &Path, port: u16) -> Process {
    let mut command = Command::new(tool("temporal"));
    command.args(["server", "start-dev", "--headless", "--log-level", "error"]);
    command.args(["--ip", "127.0.0.1", "--port", &port.to_string()]);
    command.arg("--db-filename").arg(dir.join("temporal.db"));
    // The development server paces itself for one developer; here are many people at once.
    for setting in [
        "history.transferProcessorMaxPollRPS=200",
        "history.timerProcessorMaxPollRPS=200",
        "history.visibilityProcessorMaxPollRPS=200",
        "frontend.namespaceRPS.visibility=200",
        // As in production: deploy/temporal/dynamicconfig.yaml.
        "history.defaultWorkflowTaskTimeout=\"5s\"",
        "history.transferProcessorUpdateAckInterval=\"1s\"",
        "history.timerProcessorUpdateAckInterval=\"1s\"",
        "history.visibilityProcessorUpdateAckInterval=\"1s\"",
    ]
    .iter()
    .chain(&AS_WITH_SQL_STORES)
    {
        command.args(["--dynamic-config-value", setting]);
    }
    Process::start("temporal", dir, &command)
}
