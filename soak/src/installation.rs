//! What is tried: a Temporal server, two workers and two signalers, each of which can be killed,
//! frozen and started again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use countersign_e2e::{Process, free_port, link_key, product, scratch, tool};
use tempfile::TempDir;

use crate::{control, outbox::Outbox, proxy::Proxy, receiver::Receiver, temporal::Direct};

/// The secret of the webhook, in a form that the product takes.
const SECRET: &str = "whsec_c29hay1zb2FrLXNvYWstc29hay1zb2FrLXNvYWs=";

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
    pub(crate) const ALL: [Part; 5] =
        [Part::Temporal, Part::Worker(0), Part::Worker(1), Part::Signaler(0), Part::Signaler(1)];

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
            Part::Signaler(i) => 3 + i,
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
    /// The network before Temporal.
    pub(crate) proxy: Proxy,
    /// Temporal, asked directly.
    pub(crate) direct: Direct,
    /// The mails.
    pub(crate) outbox: Arc<Outbox>,
    used: Option<control::Used>,
    running: Mutex<[Option<Running>; 5]>,
}

impl Installation {
    /// Starts everything; with `wrong`, the control in the place of the signalers.
    pub(crate) async fn start(receiver: &Receiver, wrong: bool) -> Result<Installation> {
        let dir = scratch("soak-");
        let folder = dir.path().join("outbox");
        fs::create_dir(&folder)?;
        let (temporal_port, signaler_ports) = (free_port(), [free_port(), free_port()]);
        let proxy = Proxy::to(temporal_port).await?;
        let server = start_temporal(dir.path(), temporal_port);
        let queue = "soak";
        let direct = Direct::connect(temporal_port, queue).await?;
        let settings = vec![
            ("TEMPORAL_ADDRESS", proxy.address()),
            ("TEMPORAL_NAMESPACE", "default".to_owned()),
            ("COUNTERSIGN_TASK_QUEUE", queue.to_owned()),
            ("COUNTERSIGN_LINK_KEYS", link_key()),
            ("COUNTERSIGN_PUBLIC_URL", format!("http://127.0.0.1:{}", signaler_ports[0])),
            ("COUNTERSIGN_NOTIFY", format!("outbox:{}", folder.display())),
            ("COUNTERSIGN_MAIL_FROM", "Countersign <approvals@example.com>".to_owned()),
            ("COUNTERSIGN_WEBHOOK_URL", receiver.url().to_owned()),
            ("COUNTERSIGN_WEBHOOK_SECRET", SECRET.to_owned()),
            ("COUNTERSIGN_REVIEWERS", "nobody@example.com".to_owned()),
            ("COUNTERSIGN_LOG", "info".to_owned()),
            ("COUNTERSIGN_LIMIT_ADDRESS", "1000000/1000000".to_owned()),
            ("COUNTERSIGN_LIMIT_LINK", "1000000/1000000".to_owned()),
        ];
        let installation = Installation {
            outbox: Outbox::reading(&folder),
            dir,
            temporal_port,
            signaler_ports,
            settings,
            proxy,
            direct,
            used: wrong.then(control::Used::default),
            running: Mutex::new([Some(Running::Real(server)), None, None, None, None]),
        };
        for part in &Part::ALL[1..] {
            installation.run(*part).await?;
        }
        Ok(installation)
    }

    /// Starts a part, if it does not run.
    pub(crate) async fn run(&self, part: Part) -> Result<()> {
        if self.running.lock().unwrap_or_else(PoisonError::into_inner)[part.slot()].is_some() {
            return Ok(());
        }
        let running = match (part, &self.used) {
            (Part::Temporal, _) => {
                Running::Real(start_temporal(self.dir.path(), self.temporal_port))
            }
            (Part::Worker(i), _) => Running::Real(self.product("worker", i, None)),
            (Part::Signaler(i), Some(used)) => {
                let at = (self.signaler_ports[i], self.direct.clone(), self.outbox.clone());
                Running::Wrong(control::Signaler::start(at, used.clone()).await?)
            }
            (Part::Signaler(i), None) => {
                Running::Real(self.product("signaler", i, Some(self.signaler_ports[i])))
            }
        };
        self.running.lock().unwrap_or_else(PoisonError::into_inner)[part.slot()] = Some(running);
        Ok(())
    }

    fn product(&self, name: &str, which: usize, port: Option<u16>) -> Process {
        let mut command = Command::new(product(&format!("countersign-{name}")));
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.envs(port.map(|port| ("COUNTERSIGN_LISTEN", format!("127.0.0.1:{port}"))));
        Process::start(&format!("{name}-{which}"), self.dir.path(), &command)
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
        Ok(())
    }

    /// A page of one of the signalers.
    pub(crate) fn url(&self, signaler: usize, id: &str) -> String {
        format!("http://127.0.0.1:{}/a/{id}", self.signaler_ports[signaler % 2])
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
    ] {
        command.args(["--dynamic-config-value", setting]);
    }
    Process::start("temporal", dir, &command)
}
