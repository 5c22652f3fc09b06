//! The cluster under test: a Temporal server, three workers that send mail in three ways, and two
//! signalers, each of which can be killed, frozen and started again.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use countersign_e2e::{Process, Receiver, Stack, StackBuilder, Temporal, faketime, free_port};
use countersign_protos::LinkKeys;
use parking_lot::Mutex;

use crate::{
    control,
    failpoints::Failpoints,
    mails::{Mails, Outbox, Smtp, Sns},
    part::{BY_OUTBOX, BY_SMTP, BY_SNS, Part},
    proxy::Proxy,
    receiver,
    temporal::TemporalClient,
};

/// Workers sign deliveries to the webhook with it.
pub(crate) const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];

/// How far a wrong clock is ahead.
const AHEAD: &str = "+1h";

const TEMPORAL: &[&str] = &[
    "history.timerProcessorMaxPollRPS=200",
    "history.visibilityProcessorMaxPollRPS=200",
    // As in production: deploy/temporal/dynamicconfig.yaml.
    "history.defaultWorkflowTaskTimeout=\"5s\"",
    "history.transferProcessorUpdateAckInterval=\"1s\"",
    "history.timerProcessorUpdateAckInterval=\"1s\"",
    "history.visibilityProcessorUpdateAckInterval=\"1s\"",
];

enum Running {
    Real(Process),
    Wrong(control::Signaler),
}

/// All processes under test.
pub(crate) struct Cluster {
    stack: StackBuilder,
    temporal: Arc<Temporal>,
    signaler_ports: [u16; 2],
    /// The settings that only one of the workers has.
    worker_settings: [Vec<(&'static str, String)>; 3],
    /// The network between the product and Temporal.
    pub(crate) proxy: Proxy,
    /// Temporal without that network.
    pub(crate) client: TemporalClient,
    pub(crate) mails: Arc<Mails>,
    /// The keys that issue the links.
    pub(crate) keys: LinkKeys,
    /// Where a process is held.
    pub(crate) failpoints: Arc<Failpoints>,
    outbox: Outbox,
    _smtp: Smtp,
    _sns: Sns,
    /// What the control has lost, where it runs.
    pub(crate) control: Option<control::Losses>,
    /// All parts but Temporal.
    running: Mutex<HashMap<Part, Running>>,
}

impl Cluster {
    /// Starts everything; with `wrong`, the control instead of the signalers; whether each mail is kept as
    /// a whole, and which rules there are, if any.
    pub(crate) async fn start(
        receiver: &Receiver,
        failpoints: &Arc<Failpoints>,
        wrong: bool,
        keeps_mails: bool,
        rules: Option<&str>,
    ) -> Result<Cluster> {
        let temporal = Temporal::start_with(TEMPORAL).await;
        let proxy = Proxy::to(temporal.port(), &Part::ALL[1..], failpoints).await?;
        let stack = Stack::beside(temporal.clone()).with("COUNTERSIGN_WEBHOOK_SECRET", SECRET);
        let stack = match rules {
            Some(rules) => stack.with_rules(rules),
            None => stack,
        };
        let mails = Mails::new(failpoints, keeps_mails);
        let outbox = Outbox::at(&stack.dir().join("outbox"), Part::Worker(BY_OUTBOX), &mails);
        let smtp = Smtp::start(stack.dir(), Part::Worker(BY_SMTP), &mails).await?;
        let sns = Sns::start(stack.dir(), Part::Worker(BY_SNS), &mails).await?;
        let mut worker_settings =
            [vec![("COUNTERSIGN_NOTIFY", smtp.url())], sns.settings(), Vec::new()];
        for (i, settings) in worker_settings.iter_mut().enumerate() {
            settings.push(("COUNTERSIGN_WEBHOOK_URL", receiver::url(receiver, i)));
        }
        let cluster = Cluster {
            client: TemporalClient::new(temporal.grpc().await, stack.queue()),
            keys: stack.setting("COUNTERSIGN_LINK_KEYS").parse()?,
            signaler_ports: [free_port(), free_port()],
            temporal,
            stack,
            worker_settings,
            proxy,
            mails,
            failpoints: failpoints.clone(),
            outbox,
            _smtp: smtp,
            _sns: sns,
            control: wrong.then(control::Losses::default),
            running: Mutex::default(),
        };
        for part in Part::ALL {
            cluster.run(part).await?;
        }
        Ok(cluster)
    }

    /// The faults that this machine does not allow.
    pub(crate) fn untried(&self) -> Vec<&'static str> {
        let mut untried = Vec::new();
        if !self.can_fill_disk() {
            untried.push("a full disk: a small file system cannot be mounted here");
        }
        if !self.can_set_clock() {
            untried.push("a clock set forward: libfaketime is not there");
        }
        untried
    }

    /// Starts a part, unless it runs.
    pub(crate) async fn run(&self, part: Part) -> Result<()> {
        if part == Part::Temporal {
            self.temporal.launch();
            return Ok(());
        }
        if self.running.lock().contains_key(&part) {
            return Ok(());
        }
        let running = match (part, &self.control) {
            (Part::Signaler(i), Some(losses)) => {
                let at = (self.signaler_ports[i], self.client.clone(), self.mails.clone());
                Running::Wrong(control::Signaler::start(at, losses.clone()).await)
            }
            _ => Running::Real(self.product(part, Vec::new())),
        };
        self.running.lock().insert(part, running);
        Ok(())
    }

    /// Whether a disk can be filled here.
    pub(crate) fn can_fill_disk(&self) -> bool {
        self.outbox.has_disk()
    }

    /// Whether a clock can be set forward here.
    pub(crate) fn can_set_clock(&self) -> bool {
        faketime().is_some()
    }

    /// Starts a worker whose clock is wrong.
    pub(crate) fn run_ahead(&self, part: Part) {
        let library = faketime().unwrap_or_default();
        // Only the date is wrong: durations are not.
        let ahead = vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME", AHEAD.to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        self.running.lock().insert(part, Running::Real(self.product(part, ahead)));
    }

    fn product(&self, part: Part, more: Vec<(&'static str, String)>) -> Process {
        let (i, own) = match part {
            Part::Worker(i) => (i, self.worker_settings[i].clone()),
            Part::Signaler(i) => {
                (i, vec![("COUNTERSIGN_LISTEN", format!("127.0.0.1:{}", self.signaler_ports[i]))])
            }
            Part::Temporal => unreachable!("Temporal is not part of the product"),
        };
        let mut command = self.stack.command(part.kind());
        command.env("TEMPORAL_ADDRESS", self.proxy.address(part));
        command.envs(own.into_iter().chain(more));
        Process::start(&format!("{}-{i}", part.kind()), self.stack.dir(), &command)
    }

    /// Kills a part without warning.
    pub(crate) async fn kill(&self, part: Part) {
        if part == Part::Temporal {
            return self.temporal.kill().await;
        }
        let running = self.running.lock().remove(&part);
        match running {
            Some(Running::Real(process)) => process.kill().await,
            Some(Running::Wrong(signaler)) => signaler.kill(),
            None => {}
        }
    }

    /// Freezes a part, or lets it go on.
    pub(crate) fn freeze(&self, part: Part, frozen: bool) {
        if part == Part::Temporal {
            self.temporal.freeze(frozen);
        } else if let Some(Running::Real(process)) = self.running.lock().get_mut(&part) {
            process.freeze(frozen);
        }
    }

    /// Ends every fault, and starts whatever does not run.
    pub(crate) async fn mend(&self) -> Result<()> {
        for part in Part::ALL {
            self.freeze(part, false);
            self.run(part).await?;
        }
        self.proxy.clear();
        self.mails.set_fault(None);
        Ok(())
    }

    /// A page of one of the signalers, as links in mails have it: one chooses approve, one reject.
    /// A hint at a workflow may follow the approval ID, with a slash before it.
    pub(crate) fn url(&self, signaler: usize, id: &str, hint: &str) -> String {
        let (port, choice) =
            (self.signaler_ports[signaler % 2], ["approve", "reject"][signaler % 2]);
        format!("http://127.0.0.1:{port}/a/{id}{hint}?choice={choice}")
    }

    /// The files that must not contain an approval ID: logs and the server's data.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let dirs = [self.stack.dir(), self.temporal.dir()];
        let files = dirs.into_iter().flat_map(fs::read_dir).flatten().flatten();
        files.map(|file| file.path()).filter(|path| path.is_file()).collect()
    }

    /// Copies the logs to a directory.
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
