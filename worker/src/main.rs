//! The worker's program: reads settings, connects to Temporal, and runs until it is told to stop.

use std::{
    io::{IsTerminal, stderr},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use clap::{CommandFactory, Parser};
use clap_complete::generate;
use countersign_core::diagnosis::WorkerIdentity;
use countersign_protos::{
    Jwks,
    settings::{LOG_FORMAT, WrongSettings, is_json},
};
use countersign_telemetry::traces::Traces;
use countersign_worker::{
    approval::EmailAddress,
    cli::{
        Cli, Command, PolicyFile, RawSettings, Settings, check_policy, doctor, explanation, list,
        load_keys, new_key, print, public_key, verify,
    },
    monitoring::Monitoring,
    temporal::{
        Telemetry, TemporalSettings, connect, register_search_attributes, slots, temporal_settings,
        worker_with,
    },
    webhook::WebhookError,
};
use futures::FutureExt;
use jiff::Timestamp;
use temporalio_client::Client;
use temporalio_sdk::{WorkerOptions, opentelemetry::WorkflowIdGenerator};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{interval, sleep},
};
use tracing::{error, info, subscriber::with_default, warn};
use tracing_subscriber::prelude::*;

/// How long work in flight may take at shutdown.
const GRACE: Duration = Duration::from_secs(7);
/// How long the worker may take to stop in all. Docker kills it after 10 seconds.
const STOP: Duration = Duration::from_secs(9);
/// Activities mostly wait for mail servers, and need little more than a socket each. The usual limit of
/// open files is 1,024.
const MAX_ACTIVITIES: usize = 500;
/// How often the worker looks whether its rules have changed. It reads them at the second look that finds the same.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const WRONG: &str = "these settings are wrong (--help explains each):";

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|usage| exit_with_usage(&usage));
    match cli.command {
        Some(Command::Subscribe { reviewer }) => {
            shown(subscribe(&cli.settings, reviewer).await.map(Ok))
        }
        Some(Command::CheckPolicy(what)) => answered(check_policy(&what, stderr().is_terminal())),
        Some(Command::Doctor { json }) => examined(&cli.settings, json).await,
        Some(Command::List { details, json }) => {
            let listed = async { list(&cli.settings, temporal()?, details, json).await };
            shown(listed.await.map(Ok))
        }
        Some(Command::Explain { workflow, details, json }) => {
            let explained = async { explanation(&workflow, temporal()?, details, json).await };
            shown(explained.await)
        }
        Some(Command::NewKey) => answered(new_key()),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            generate(shell, &mut Cli::command(), "countersign-worker", &mut script);
            printed(&String::from_utf8_lossy(&script), ExitCode::SUCCESS)
        }
        Some(Command::PublicKey) => with_keys(&cli.settings, None, |keys| Ok(public_key(keys))),
        Some(Command::Verify { file, keys }) => {
            with_keys(&cli.settings, keys.as_deref(), |keys| verify(&file, keys))
        }
        None => {
            log(&cli.settings);
            exit_code(check_and_run(&cli.settings).await, cli.settings.logs_json())
        }
    }
}

/// Prints the help or version that was asked for, or what is wrong with the flags; the latter as JSON if
/// the environment sets that log format.
fn exit_with_usage(usage: &clap::Error) -> ! {
    if !usage.use_stderr() || !is_json(&std::env::var(LOG_FORMAT).ok()) {
        usage.exit();
    }
    log_as_json(usage.render().to_string().trim_end());
    std::process::exit(usage.exit_code())
}

/// Logs why the program ends, whatever the log filter.
fn log_as_json(why: &str) {
    let json = tracing_subscriber::fmt().json().with_writer(stderr).finish();
    with_default(json, || error!("{why}"));
}

fn exit_code(done: anyhow::Result<()>, in_json: bool) -> ExitCode {
    match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(error) if in_json => log_as_json(&format!("{error:#}")),
        Err(error) => eprintln!("countersign-worker: {error:#}"),
    }
    ExitCode::from(2)
}

/// Prints a text; the exit code, unless that fails.
fn printed(text: &str, code: ExitCode) -> ExitCode {
    match print(text) {
        Ok(()) => code,
        Err(error) => exit_code(Err(anyhow!("cannot print: {error}")), false),
    }
}

fn answered(checked: Result<String, String>) -> ExitCode {
    match checked {
        Ok(text) => printed(&text, ExitCode::SUCCESS),
        Err(errors) => {
            eprintln!("{errors}");
            ExitCode::FAILURE
        }
    }
}

/// Prints what a command found, or why it could not look.
fn shown(found: anyhow::Result<Result<String, String>>) -> ExitCode {
    match found {
        Ok(found) => answered(found),
        Err(error) => exit_code(Err(error), false),
    }
}

async fn examined(settings: &RawSettings, json: bool) -> ExitCode {
    let (settings, temporal) = match checked(settings) {
        Ok(checked) => checked,
        Err(error) => return exit_code(Err(error), false),
    };
    let (findings, is_sound) = doctor(&settings, temporal, json).await;
    printed(&findings, if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a command with the public keys of a file or, without one, of the settings.
fn with_keys(
    settings: &RawSettings,
    file: Option<&Path>,
    run: impl FnOnce(&Jwks) -> Result<String, String>,
) -> ExitCode {
    let keys = match file {
        Some(file) => load_keys(file).map_err(anyhow::Error::msg),
        None => match settings.link_keys() {
            Ok(keys) => Ok(keys.jwks()),
            Err(wrong) => Err(anyhow!("{WRONG}{wrong}")),
        },
    };
    match keys {
        Ok(keys) => answered(run(&keys)),
        Err(error) => exit_code(Err(error), false),
    }
}

async fn check_and_run(settings: &RawSettings) -> anyhow::Result<()> {
    let (settings, temporal) = checked(settings)?;
    run(settings, temporal).await
}

fn temporal() -> anyhow::Result<TemporalSettings> {
    temporal_settings().map_err(|wrong| anyhow!("{WRONG}{wrong}"))
}

fn checked(settings: &RawSettings) -> anyhow::Result<(Settings, TemporalSettings)> {
    match (settings.check(), temporal_settings()) {
        (Ok(settings), Ok(temporal)) => Ok((settings, temporal)),
        (settings, temporal) => {
            let mut wrong = WrongSettings::default();
            settings.err().into_iter().chain(temporal.err()).for_each(|other| wrong.extend(other));
            bail!("{WRONG}{wrong}")
        }
    }
}

async fn run(settings: Settings, temporal: TemporalSettings) -> anyhow::Result<()> {
    let (ids, version) = (WorkflowIdGenerator::default(), env!("CARGO_PKG_VERSION"));
    let traces = settings.traces.as_ref();
    let traces = traces.map(|traces| Traces::start(traces, "countersign-worker", version, ids));
    let traces = traces.transpose()?;
    let ran = work(settings, temporal, traces.is_some()).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    ran
}

async fn work(
    settings: Settings,
    mut temporal: TemporalSettings,
    traces: bool,
) -> anyhow::Result<()> {
    // One listener for the process's whole life, so that no signal is lost.
    let stop = stop_requested()?.shared();
    info!(fingerprints = settings.fingerprints(), "link keys");
    settings.tell_started();
    let identity = settings.identity(temporal.payload_keys.as_ref());
    temporal.connection.identity = identity.to_string();
    let monitoring = match settings.metrics_listen {
        Some(address) => Some(Monitoring::start(address).await?),
        None => None,
    };
    let metrics = monitoring.as_ref().map(|monitoring| monitoring.sdk.clone());
    if let Some(metrics) = &metrics {
        temporal.connection.metrics_meter = metrics.of_connection()?;
    }
    let started = tokio::select! {
        client = start(temporal) => Some(client?),
        () = stop.clone() => None,
    };
    let Some(client) = started else { return Ok(()) };
    if !settings.decides_by_default() {
        warn!(
            "neither COUNTERSIGN_POLICY nor COUNTERSIGN_REVIEWERS is set: only submissions that name \
             reviewers are accepted"
        );
    }
    // Without rules, the signal ends the process as it does others.
    let policy = settings.policy().cloned().map(|policy| (policy, signal(SignalKind::hangup())));
    let (task_queue, nexus) = (settings.task_queue.clone(), settings.nexus);
    let countersign = settings.countersign();
    if let Some(webhook) = &countersign.webhook {
        tokio::spawn(warn_if_refused(webhook.connect()));
    }
    tokio::spawn(countersign.notifier.clone().warn_if_unreachable());
    let options = WorkerOptions::new(task_queue.clone())
        .graceful_shutdown_period(GRACE)
        .tuner(slots(MAX_ACTIVITIES))
        .build();
    let telemetry = Telemetry { metrics, traces };
    let mut worker = worker_with(&client, countersign, options, &telemetry, nexus)?;
    if let Some((policy, hangup)) = policy {
        info!(hash = policy.hash(), rules = policy.summary(), "routing rules in force");
        let reloaded = identify_anew(identity, worker.identify());
        tokio::spawn(keep_reading(policy, hangup?, reloaded));
    }
    if let Some(monitoring) = &monitoring {
        monitoring.connected(&client, &task_queue);
    }
    let shut_down = worker.shutdown_handle();
    let late = async move {
        stop.await;
        info!("stopping");
        shut_down();
        sleep(STOP).await;
    };
    info!(task_queue, nexus, "running");
    tokio::select! {
        ran = worker.run() => ran.context("the worker stopped")?,
        // The SDK waits for local activities as long as they are tried again, such as for a missing key.
        () = late => warn!("what is being tried again is left to other workers"),
    }
    info!("stopped");
    Ok(())
}

async fn start(temporal: TemporalSettings) -> anyhow::Result<Client> {
    let client = connect(temporal).await?;
    register_search_attributes(&client).await?;
    Ok(client)
}

/// Shows a wrong URL at startup instead of with the first outcome.
async fn warn_if_refused(connecting: impl Future<Output = Result<(), WebhookError>>) {
    if let Err(error) = connecting.await {
        warn!(cause = %error, "COUNTERSIGN_WEBHOOK_URL: cannot connect");
    }
}

async fn subscribe(settings: &RawSettings, reviewer: EmailAddress) -> anyhow::Result<String> {
    let sns = settings.sns().map_err(|wrong| anyhow!("{WRONG}{wrong}"))?;
    let subscription = sns.subscribe(&reviewer).await.map_err(anyhow::Error::msg)?;
    Ok(format!(
        "{reviewer}: {subscription}\n\
         SNS has sent {reviewer} a mail; they get requests once they have confirmed it."
    ))
}

/// Installs the handlers at once rather than when the future is first polled: without a handler, a signal
/// ends the process.
fn stop_requested() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Has Temporal show a worker with the rules that it has read again.
fn identify_anew(
    mut identity: WorkerIdentity,
    identify: impl Fn(&str) -> anyhow::Result<()>,
) -> impl FnMut(&PolicyFile) {
    move |policy| {
        (identity.rules, identity.since) = (policy.hash(), Timestamp::now());
        if let Err(error) = identify(&identity.to_string()) {
            warn!(%error, "Temporal still has this worker's earlier identity");
        }
    }
}

/// Reads the rules whenever they change, and on SIGHUP. A file with errors changes nothing: the rules in force stay.
async fn keep_reading(
    mut policy: PolicyFile,
    mut hangup: Signal,
    mut reloaded: impl FnMut(&PolicyFile),
) {
    let mut looks = interval(LOOK_EVERY);
    loop {
        let read = tokio::select! {
            Some(()) = hangup.recv() => Some(policy.read_again()),
            _ = looks.tick() => policy.read_if_changed(),
        };
        match read {
            None => {}
            Some(Ok(rules)) => {
                reloaded(&policy);
                info!(hash = policy.hash(), rules, "routing rules reloaded");
            }
            Some(Err(errors)) => {
                let in_force = policy.hash();
                error!(in_force, "routing rules not reloaded: {errors}");
            }
        }
    }
}

fn log(settings: &RawSettings) {
    let log =
        tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let log = match settings.logs_json() {
        true => log.json().boxed(),
        false => log.boxed(),
    };
    tracing_subscriber::registry().with(log.with_filter(settings.log_filter())).init();
}
