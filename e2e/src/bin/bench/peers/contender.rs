//! Those who are compared: how their workers start, and how their approvals are decided.

use std::{collections::HashMap, fmt, path::PathBuf, process::Command, sync::Arc};

use anyhow::Result;
use clap::ValueEnum;
use countersign_e2e::{
    DEFAULT_REVIEWER, Mail, Process, Stack, StackBuilder, Temporal, json_payload, scratch, tool,
    workspace,
};
use countersign_protos::{LinkKeys, Verdict};
use serde_json::json;
use tempfile::TempDir;
use temporalio_common::protos::temporal::api::common::v1::Payload;

const COMMENT: &str = "Within budget";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Contender {
    Countersign,
    Python,
    #[value(name = "typescript")]
    TypeScript,
}

pub(crate) struct Worker {
    pub(crate) process: Process,
    pub(crate) queue: String,
    kind: Kind,
}

enum Kind {
    Countersign(StackBuilder),
    Peer(#[expect(dead_code, reason = "it is removed when it is dropped")] TempDir),
}

impl Contender {
    pub(crate) const ALL: [Contender; 3] =
        [Contender::Countersign, Contender::Python, Contender::TypeScript];

    /// What is not installed, if anything.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let works =
            |mut command: Command| command.output().is_ok_and(|output| output.status.success());
        match self {
            Contender::Countersign => None,
            Contender::Python => {
                let mut import = Command::new(tool("python"));
                import.args(["-c", "import temporalio"]);
                (!works(import)).then_some("temporalio is not among the tools")
            }
            Contender::TypeScript => {
                let mut version = Command::new("node");
                version.arg("--version");
                if !works(version) {
                    return Some("node is not on the PATH");
                }
                let compiled = peer("typescript").join("lib/worker.js").exists();
                (!compiled).then_some("it is not compiled")
            }
        }
    }

    pub(crate) fn start(self, temporal: &Arc<Temporal>) -> Worker {
        let command = match self {
            Contender::Countersign => return Worker::countersign(temporal),
            Contender::Python => {
                let mut command = Command::new(tool("python"));
                command.arg("worker.py").current_dir(peer("python"));
                command
            }
            Contender::TypeScript => {
                let mut command = Command::new("node");
                command.arg("lib/worker.js").current_dir(peer("typescript"));
                command
            }
        };
        Worker::peer(temporal, command)
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Contender::Countersign => "Countersign",
            Contender::Python => "Python SDK",
            Contender::TypeScript => "TypeScript SDK",
        })
    }
}

impl Worker {
    fn countersign(temporal: &Arc<Temporal>) -> Worker {
        let stack = Stack::beside(temporal.clone()).without("COUNTERSIGN_LOG");
        let process = Process::start("worker", stack.dir(), &stack.command("worker"));
        Worker { process, queue: stack.queue().to_owned(), kind: Kind::Countersign(stack) }
    }

    fn peer(temporal: &Arc<Temporal>, mut command: Command) -> Worker {
        const QUEUE: &str = "approvals";
        let dir = scratch("peer-");
        command.env("TEMPORAL_ADDRESS", temporal.address()).env("TASK_QUEUE", QUEUE);
        let process = Process::start("worker", dir.path(), &command);
        Worker { process, queue: QUEUE.to_owned(), kind: Kind::Peer(dir) }
    }

    /// The name of the signal that approves.
    pub(crate) fn signal(&self) -> &'static str {
        match &self.kind {
            Kind::Countersign(_) => Verdict::Approve.terms().name,
            Kind::Peer(_) => "decide",
        }
    }

    /// The payloads that approve, by workflow ID.
    ///
    /// Countersign's are what its signaler sends for a press on a mailed link, since an operator's vote has it
    /// send one mail more.
    pub(crate) fn votes(&self, ids: &[String]) -> Result<HashMap<String, Payload>> {
        match &self.kind {
            Kind::Countersign(stack) => {
                let keys: LinkKeys = stack.setting("COUNTERSIGN_LINK_KEYS").parse()?;
                let requests = stack.outbox().into_iter().filter(Mail::has_links);
                Ok(requests.map(|mail| (mail.hint(), mail.approval(&keys, COMMENT))).collect())
            }
            Kind::Peer(_) => {
                let vote = json!({
                    "reviewer": DEFAULT_REVIEWER, "verdict": "approve", "comment": COMMENT,
                });
                Ok(ids.iter().map(|id| (id.clone(), json_payload(&vote))).collect())
            }
        }
    }
}

fn peer(language: &str) -> PathBuf {
    workspace().join("e2e/peers").join(language)
}
