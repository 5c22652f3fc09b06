//! A real Temporal server, and its command line as an operator uses it.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use temporalio_client::{Client, Connection, ConnectionOptions, GrpcCompression, Url};
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    codec::{self, CodecServer},
    page::Reader,
    process::{Process, free_port, scratch, tool},
    wait::{eventually, until},
};

/// How long Temporal and the workflows may take when nobody has to act any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a development server is more generous with than one with PostgreSQL or MySQL: those hold IDs
/// of 255 characters, and accept a new search attribute some two seconds late.
pub const AS_WITH_SQL_STORES: [&str; 2] =
    ["limit.maxIDLength=255", "system.forceSearchAttributesCacheRefreshOnRead=false"];

/// A worker registers what is missing, which SQL stores accept late; stories of that have a namespace of their own.
const SEARCH_ATTRIBUTES: [&str; 5] = [
    "ApprovalStatus=Keyword",
    "ApprovalReviewers=KeywordList",
    "ApprovalLinks=KeywordList",
    "ApprovalUndeliverable=Bool",
    "ApprovalDeadline=Datetime",
];

/// Names a server for all stories, which then start none.
const ADDRESS: &str = "COUNTERSIGN_TEST_TEMPORAL";

/// A Temporal development server, or another one that runs already.
pub struct Temporal {
    dir: TempDir,
    address: String,
    metrics_port: u16,
    flavour: Flavour,
    server: Mutex<Option<Process>>,
}

/// Where a server keeps its data, and how it is set.
#[derive(Clone, Copy)]
enum Flavour {
    /// In an SQLite file, with settings for many stories at once and these besides.
    Stories(&'static [&'static str]),
    /// In memory, with the settings that it comes with.
    InMemory,
    /// Whatever somebody else has started.
    Elsewhere,
}

impl Temporal {
    /// The server that all stories of one test binary share, each with a task queue of its own.
    pub async fn shared() -> Arc<Temporal> {
        static SHARED: OnceCell<Arc<Temporal>> = OnceCell::const_new();
        let shared = SHARED.get_or_init(async || match env::var(ADDRESS) {
            Ok(address) => Temporal::elsewhere(address).await,
            Err(_) => Temporal::start().await,
        });
        shared.await.clone()
    }

    /// A server that somebody else has started, which gets the search attributes.
    async fn elsewhere(address: String) -> Arc<Temporal> {
        let (dir, server) = (scratch("temporal-"), Mutex::default());
        let flavour = Flavour::Elsewhere;
        let temporal = Arc::new(Temporal { dir, address, metrics_port: 0, flavour, server });
        temporal.until_it_serves().await;
        let attributes = SEARCH_ATTRIBUTES
            .map(|attribute| attribute.split_once('=').expect("a name and a type"));
        for (name, kind) in attributes {
            let create = ["operator", "search-attribute", "create", "--name", name, "--type", kind];
            // It may be there, and does then no harm.
            temporal.cli(create).await;
        }
        let query = attributes.map(|(name, _)| format!("{name} IS NULL")).join(" AND ");
        let count = ["workflow", "count", "--query", &query];
        eventually("the search attributes to be accepted", async || {
            temporal.cli(count).await.status.success().then_some(())
        })
        .await;
        temporal
    }

    /// A server for one story, which may then stop it.
    pub async fn start() -> Arc<Temporal> {
        Temporal::start_with(&[]).await
    }

    /// The same, with these dynamic settings, each `NAME=VALUE`.
    pub async fn start_with(settings: &'static [&'static str]) -> Arc<Temporal> {
        Temporal::start_as(Flavour::Stories(settings)).await
    }

    /// A server as `temporal server start-dev` starts it: it forgets everything when it ends.
    pub async fn start_in_memory() -> Arc<Temporal> {
        Temporal::start_as(Flavour::InMemory).await
    }

    async fn start_as(flavour: Flavour) -> Arc<Temporal> {
        assert!(
            env::var_os(ADDRESS).is_none(),
            "this story starts a server of its own: leave it out in scripts/test-server"
        );
        let (dir, address) = (scratch("temporal-"), format!("127.0.0.1:{}", free_port()));
        let (metrics_port, server) = (free_port(), Mutex::default());
        let temporal = Arc::new(Temporal { dir, address, metrics_port, flavour, server });
        temporal.restart().await;
        temporal
    }

    /// Starts the server again, with the data it had, and waits until it serves.
    pub async fn restart(&self) {
        self.launch();
        self.until_it_serves().await;
    }

    /// The same with a store that is full: it reads what there is, and takes nothing more.
    pub async fn restart_full(&self) {
        // SQLite takes the size that it has instead, and then some rows more in what that has room for.
        self.launch_with(&["--sqlite-pragma", "max_page_count=1"]);
        self.until_it_serves().await;
    }

    async fn until_it_serves(&self) {
        let what = format!("Temporal at {}", self.address());
        eventually(what, async || {
            let health = self.cli(["operator", "cluster", "health"]).await;
            let namespace = self.cli(["operator", "namespace", "describe", "default"]).await;
            (health.status.success() && namespace.status.success()).then_some(())
        })
        .await;
    }

    /// Kills the server without warning, if it runs.
    pub async fn kill(&self) {
        let server = self.server.lock().take();
        if let Some(server) = server {
            server.kill().await;
        }
    }

    /// Stops the server's clock, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        if let Some(server) = self.server.lock().as_mut() {
            server.freeze(frozen);
        }
    }

    /// Starts the server, unless it runs, without waiting until it serves.
    pub fn launch(&self) {
        self.launch_with(&[]);
    }

    fn launch_with(&self, options: &[&str]) {
        let mut server = self.server.lock();
        if server.is_some() {
            return;
        }
        let mut command = Command::new(tool("temporal"));
        command.args(["server", "start-dev", "--headless", "--log-level", "warn"]);
        command.args(["--ip", "127.0.0.1", "--port", &self.port().to_string()]);
        command.args(["--metrics-port", &self.metrics_port.to_string()]).args(options);
        if let Flavour::Stories(settings) = self.flavour {
            command.arg("--db-filename").arg(self.database());
            // The development server paces itself for one developer; the stories are many at once.
            let lifted =
                ["history.transferProcessorMaxPollRPS=200", "frontend.namespaceRPS.visibility=200"];
            for setting in lifted.iter().chain(&AS_WITH_SQL_STORES).chain(settings) {
                command.args(["--dynamic-config-value", setting]);
            }
            for attribute in SEARCH_ATTRIBUTES {
                command.args(["--search-attribute", attribute]);
            }
        }
        *server = Some(Process::start("temporal", self.dir.path(), &command));
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Where clients find it.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// The directory of its log and its database.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The file with everything it knows; more is in a second one with `-wal` behind its name.
    pub fn database(&self) -> PathBuf {
        self.dir.path().join("temporal.db")
    }

    /// The server's process ID, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.lock().as_ref().map(Process::pid)
    }

    /// What the server has written.
    pub fn log(&self) -> String {
        self.server.lock().as_ref().map(Process::log).unwrap_or_default()
    }

    /// How often programs have made a call so far, such as `ListWorkflowExecutions`.
    pub async fn calls(&self, operation: &str) -> u64 {
        let metrics = format!("http://127.0.0.1:{}/metrics", self.metrics_port);
        let metrics = Reader::default().open(&metrics).await;
        assert_eq!(metrics.status, 200, "{}", metrics.body);
        let operation = format!("operation=\"{operation}\"");
        let labels = ["service_requests{", "namespace=\"default\"", "\"frontend\"", &operation];
        let is_it = |line: &&str| labels.iter().all(|label| line.contains(label));
        let count =
            |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        metrics.body.lines().filter(is_it).filter_map(count).sum()
    }

    /// A gRPC client, for what the command line cannot send.
    pub async fn client(&self) -> Client {
        self.try_client().await.expect("Temporal answers")
    }

    /// The same; `None` while the server does not answer.
    pub(crate) async fn try_client(&self) -> Option<Client> {
        let url: Url = format!("http://{}", self.address()).parse().expect("a URL");
        let options = ConnectionOptions::new(url)
            .identity("countersign-e2e".to_owned())
            .grpc_compression(GrpcCompression::None)
            .build();
        let connection = Connection::connect(options).await.ok()?;
        Some(Client::new(connection, codec::client_options()).expect("a client"))
    }

    /// Where its command line has payloads decrypted, if they are encrypted.
    async fn codec_endpoint(&self) -> Option<(&'static str, String)> {
        match codec::is_on() {
            true => Some(("TEMPORAL_CODEC_ENDPOINT", CodecServer::shared().await.url())),
            false => None,
        }
    }

    /// Runs `temporal` with these arguments.
    pub async fn cli<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Output {
        let mut command = tokio::process::Command::new(tool("temporal"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("TEMPORAL_ADDRESS", self.address())
            .envs(self.codec_endpoint().await)
            .kill_on_drop(true);
        match timeout(PATIENCE, command.output()).await {
            Ok(output) => output.expect("the Temporal CLI runs"),
            Err(_) => panic!("after {PATIENCE:?} still waiting for {command:?}"),
        }
    }

    /// Runs `temporal`, which has to succeed, and returns what it prints.
    pub async fn must<S: AsRef<std::ffi::OsStr> + fmt::Debug>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> String {
        let arguments: Vec<S> = arguments.into_iter().collect();
        let output = self.cli(&arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "temporal {arguments:?} failed: {errors}");
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        if codec::is_on() { codec::revealed_json(printed) } else { printed }
    }

    /// The history of a workflow in another namespace than the approvals'.
    pub async fn history_in(&self, namespace: &str, workflow_id: &str) -> History {
        let which = ["--namespace", namespace, "--workflow-id", workflow_id];
        History(self.must([&["workflow", "show", "--output", "json"], &which[..]].concat()).await)
    }

    /// Starts an approval with the submission in `file`.
    pub async fn start_workflow(self: &Arc<Self>, queue: &str, id: &str, file: &Path) -> Workflow {
        let file = file.to_str().expect("a UTF-8 path");
        self.start_workflow_with(queue, id, &["--input-file", file]).await
    }

    /// Starts an approval with whatever input `arguments` say.
    pub async fn start_workflow_with(
        self: &Arc<Self>,
        queue: &str,
        id: &str,
        arguments: &[&str],
    ) -> Workflow {
        self.must(start_arguments(queue, id, arguments)).await;
        self.workflow(id)
    }

    /// Tries to start an approval; the error where the server refuses it.
    pub async fn try_start_workflow(
        self: &Arc<Self>,
        queue: &str,
        id: &str,
        arguments: &[&str],
    ) -> Result<Workflow, String> {
        let output = self.cli(start_arguments(queue, id, arguments)).await;
        match output.status.success() {
            true => Ok(self.workflow(id)),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// A handle on a workflow.
    pub fn workflow(self: &Arc<Self>, id: &str) -> Workflow {
        Workflow { temporal: self.clone(), id: id.to_owned() }
    }

    /// The IDs of the workflows that match a visibility query.
    pub async fn list(&self, query: &str) -> Vec<String> {
        let printed = self.must(["workflow", "list", "--query", query, "--output", "json"]).await;
        let found: Vec<Value> = serde_json::from_str(&printed).expect("a JSON list");
        found.iter().map(|each| text(&each["execution"]["workflowId"])).collect()
    }
}

fn start_arguments<'a>(queue: &'a str, id: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["workflow", "start", "--type", "ApprovalWorkflow", "--fail-existing"];
    all.extend(["--task-queue", queue, "--workflow-id", id]);
    all.extend(arguments);
    all
}

/// The identity that operators claim in stories.
pub(crate) const OPERATOR: &str = "operator@example.com";

/// One workflow, seen from outside.
#[derive(Clone)]
pub struct Workflow {
    pub temporal: Arc<Temporal>,
    pub id: String,
}

impl Workflow {
    /// Everything that has happened, as Temporal tells it.
    pub async fn history(&self) -> History {
        History(self.temporal.must(self.command("show", &["--output", "json"])).await)
    }

    /// The workflow that goes on delivering an approval's notices, once it is there.
    pub async fn notices(&self) -> Workflow {
        let query =
            format!("WorkflowType = 'ApprovalNotices' AND WorkflowId STARTS_WITH '{}-'", self.id);
        let id = eventually("a workflow for the notices", async || {
            self.temporal.list(&query).await.pop()
        });
        self.temporal.workflow(&id.await)
    }

    /// Sends a signal with one JSON payload.
    pub async fn signal(&self, name: &str, input: &Value) {
        self.signal_with(name, &["--input", &input.to_string()]).await;
    }

    /// Sends a signal with whatever input `arguments` say.
    pub async fn signal_with(&self, name: &str, arguments: &[&str]) {
        let arguments = [&["--name", name, "--identity", OPERATOR][..], arguments].concat();
        let what = format!("{} to take the signal {name}", self.id);
        until(PATIENCE, what, async || {
            let output = self.temporal.cli(self.command("signal", &arguments)).await;
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.success() {
                true => Ok(()),
                // Refused for the moment, and not recorded.
                false if errors.contains("Workflow is busy") => Err(errors),
                false => panic!("temporal workflow signal {arguments:?} failed: {errors}"),
            }
        })
        .await;
    }

    /// Asks it to stop.
    pub async fn cancel(&self) {
        self.temporal.must(self.command("cancel", &[])).await;
    }

    /// The answer of the query `status`, once a worker answers it.
    pub async fn status(&self) -> Value {
        self.status_where("anything", |_| true).await
    }

    /// The answer of the query `status`, once it is as expected.
    pub async fn status_where(&self, what: &str, expected: impl Fn(&Value) -> bool) -> Value {
        let what = format!("the status of {} to have {what}", self.id);
        until(PATIENCE, what, async || match self.try_status().await {
            Some(status) if expected(&status) => Ok(status),
            other => Err(other.unwrap_or_default()),
        })
        .await
    }

    /// How it ended, once it has.
    pub async fn end(&self) -> End {
        self.end_within(PATIENCE)
            .await
            .unwrap_or_else(|| panic!("after {PATIENCE:?} still waiting for {} to end", self.id))
    }

    /// How it ended, or `None` where it goes on.
    pub async fn end_within(&self, patience: Duration) -> Option<End> {
        // The printed result has a form of its own; the history shows the payload as it is.
        timeout(patience, self.temporal.cli(self.command("result", &[]))).await.ok()?;
        Some(End::of(self.history().await.events().last().expect("an event")))
    }

    /// Its result, once it has completed.
    pub async fn outcome(&self) -> Value {
        match self.end().await {
            End::Completed(result) => result.json(),
            other => panic!("{} ended without an outcome: {other:?}", self.id),
        }
    }

    /// Waits until everybody who is asked has been sent the request, and nothing is under way.
    pub async fn until_asked(&self) {
        let deliveries = |status: &Value| -> Vec<String> {
            list(&status["stages"])
                .filter(|stage| stage["openedAt"].is_string())
                .flat_map(|stage| list(&stage["reviewers"]))
                .map(|reviewer| text(&reviewer["delivery"]))
                .collect()
        };
        self.status_where("all requests sent", |status| {
            let deliveries = deliveries(status);
            !deliveries.is_empty() && deliveries.iter().all(|delivery| delivery == "SENT")
        })
        .await;
    }

    /// The hash of its newest link, once it has one.
    pub async fn newest_link(&self) -> String {
        let links = |attributes: &Value| list(&attributes["ApprovalLinks"]).map(text).last();
        let attributes = self.attributes_where("a link", |found| links(found).is_some()).await;
        links(&attributes).expect("a link")
    }

    /// Waits until an activity is being tried again because of something that says `why`; its ID.
    pub async fn pending_failure(&self, why: &str) -> String {
        let what = format!("an activity of {} to fail because of {why:?}", self.id);
        self.pending(what, |activity| {
            let is_it = text(&activity["lastFailure"]["message"]).contains(why);
            is_it.then(|| text(&activity["activityId"]))
        })
        .await
    }

    /// Waits until an activity has come to an attempt.
    pub async fn pending_attempt(&self, attempt: u64) {
        let what = format!("attempt {attempt} of an activity of {}", self.id);
        let number = |activity: &Value| activity["attempt"].as_u64().unwrap_or(0);
        self.pending(what, |activity| (number(activity) >= attempt).then_some(())).await
    }

    /// Waits until an activity's heartbeat has this field, and returns what it says.
    pub async fn pending_heartbeat(&self, field: &str) -> Value {
        let what = format!("{field} in the heartbeat of an activity of {}", self.id);
        self.pending(what, |activity| activity["heartbeatDetails"][0].get(field).cloned()).await
    }

    /// Waits until there is something to see in an activity that is not done.
    async fn pending<T>(&self, what: String, look: impl Fn(&Value) -> Option<T>) -> T {
        until(PATIENCE, what, async || {
            let arguments = self.command("describe", &["--raw", "--output", "json"]);
            let described: Value =
                serde_json::from_str(&self.temporal.must(arguments).await).expect("JSON");
            let pending = &described["pendingActivities"];
            list(pending).find_map(&look).ok_or_else(|| pending.clone())
        })
        .await
    }

    /// What the Web UI shows of it at a glance.
    pub async fn details(&self) -> String {
        let arguments = self.command("metadata", &["--output", "json"]);
        let metadata: Value =
            serde_json::from_str(&self.temporal.must(arguments).await).expect("JSON");
        text(&metadata["queryResult"][0]["currentDetails"])
    }

    /// Runs `temporal activity` with a verb and more arguments on one of its activities.
    pub async fn on_activity(&self, verb: &str, activity: &str, arguments: &[&str]) {
        let which = ["--workflow-id", &self.id, "--activity-id", activity];
        self.temporal.must([&["activity", verb], &which[..], arguments].concat()).await;
    }

    fn command<'a>(&'a self, verb: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["workflow", verb, "--workflow-id", &self.id][..], arguments].concat()
    }
}

/// How a workflow ended.
#[derive(Debug, Clone)]
pub enum End {
    /// With this result.
    Completed(Payload),
    /// With an application failure.
    Failed {
        kind: String,
        /// Whether Temporal must not retry.
        non_retryable: bool,
        details: Vec<Payload>,
    },
    /// Otherwise: the type of the last event.
    Other(String),
}

/// A payload in an event.
#[derive(Debug, Clone)]
pub struct Payload {
    /// Its encoding, such as `json/plain`.
    pub encoding: String,
    pub data: Vec<u8>,
}

impl End {
    fn of(event: &Value) -> End {
        let failure = &event["workflowExecutionFailedEventAttributes"]["failure"];
        let application = &failure["applicationFailureInfo"];
        let completed = &event["workflowExecutionCompletedEventAttributes"]["result"];
        match text(&event["eventType"]).as_str() {
            "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED" => {
                End::Completed(Payload::of(&completed["payloads"][0]))
            }
            "EVENT_TYPE_WORKFLOW_EXECUTION_FAILED" => End::Failed {
                kind: text(&application["type"]),
                non_retryable: application["nonRetryable"] == true,
                details: list(&application["details"]["payloads"]).map(Payload::of).collect(),
            },
            other => End::Other(other.to_owned()),
        }
    }
}

impl Payload {
    fn of(json: &Value) -> Payload {
        let bytes = |json: &Value| BASE64_STANDARD.decode(text(json)).expect("base64");
        Payload {
            encoding: String::from_utf8(bytes(&json["metadata"]["encoding"])).expect("UTF-8"),
            data: bytes(&json["data"]),
        }
    }

    /// The data as JSON, which it has to be.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.data).unwrap_or_else(|error| {
            panic!("{error}: {} {}", self.encoding, String::from_utf8_lossy(&self.data))
        })
    }
}

/// A history as `temporal workflow show --output json` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History(pub String);

impl History {
    /// The events, in order.
    pub fn events(&self) -> Vec<Value> {
        let history: Value = serde_json::from_str(&self.0).expect("JSON");
        list(&history["events"]).cloned().collect()
    }

    /// How many events are of a type, such as `WORKFLOW_EXECUTION_SIGNALED`.
    pub fn count(&self, kind: &str) -> usize {
        let kind = format!("EVENT_TYPE_{kind}");
        self.events().iter().filter(|event| event["eventType"] == kind).count()
    }

    /// The events' types, for failure messages and for reading a history like a story.
    pub fn outline(&self) -> String {
        let events = self.events();
        let kind = |event: &Value| text(&event["eventType"]).replace("EVENT_TYPE_", "");
        events.iter().map(kind).collect::<Vec<_>>().join("\n")
    }

    /// The history with every payload's data readable too: what somebody who searches it sees.
    pub fn with_payloads_decoded(&self) -> String {
        fn collect(json: &Value, found: &mut String) {
            match json {
                Value::String(text) => {
                    if let Ok(bytes) = BASE64_STANDARD.decode(text) {
                        found.push_str(&String::from_utf8_lossy(&bytes));
                        found.push('\n');
                    }
                }
                Value::Array(all) => all.iter().for_each(|each| collect(each, found)),
                Value::Object(all) => all.values().for_each(|each| collect(each, found)),
                _ => {}
            }
        }
        let mut found = self.0.clone();
        collect(&serde_json::from_str(&self.0).expect("JSON"), &mut found);
        found
    }
}

/// The elements of a JSON list; none where it is none.
pub fn list(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().into_iter().flatten()
}

/// A JSON text; empty where it is none.
pub fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// Why signals were ignored, as `status` has it, without their times.
pub fn ignored_because(status: &Value) -> Vec<String> {
    let because = |reason: &Value| {
        let reason = text(reason);
        let (name, rest) = reason.split_once(" at 20").expect("a time");
        let (_, why) = rest.split_once(": ").expect("a reason");
        format!("{name}: {why}")
    };
    list(&status["ignoredBecause"]).map(because).collect()
}
