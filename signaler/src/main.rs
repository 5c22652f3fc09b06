//! The signaler: reads the settings, and serves until SIGTERM or SIGINT.

use countersign_signaler::{App, Settings, cannot_start, log, monitor, serve};
use countersign_telemetry::traces::Traces;
use opentelemetry_sdk::trace::RandomIdGenerator;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // First, so that from here on a signal no longer ends the process.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut settings = Settings::from_environment();
    log(std::mem::take(&mut settings.log), settings.logs_json);
    let listener = match TcpListener::bind(settings.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            let why = format!("cannot listen on {}: {error}", settings.listen);
            cannot_start(&format!("COUNTERSIGN_LISTEN: {why}"), settings.logs_json)
        }
    };
    if let Err(why) = monitor(&mut settings).await {
        cannot_start(&why.to_string(), settings.logs_json);
    }
    let traces = traces(&settings);
    tracing::info!(fingerprints = settings.fingerprints(), "link keys");
    tracing::info!(address = %settings.listen, public_url = %settings.public_url, "listening");
    if settings.outbox.is_some() {
        tracing::warn!(
            "/outbox shows every mail, with its links, to everybody on this machine: use it only for \
             trials"
        );
    }
    let logs_json = settings.logs_json;
    let app = App::new(settings);
    let (misconfigured, mut why) = (app.misconfigured(), None);
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            wrong = misconfigured => why = Some(wrong),
        }
    };
    serve(listener, app, shutdown).await;
    if let Some(traces) = traces {
        traces.stop().await;
    }
    match why {
        Some(why) => cannot_start(&format!("cannot connect to Temporal: {why}"), logs_json),
        None => Ok(()),
    }
}

fn traces(settings: &Settings) -> Option<Traces> {
    let (ids, version) = (RandomIdGenerator::default(), env!("CARGO_PKG_VERSION"));
    let traces = settings.traces.as_ref()?;
    let started = Traces::start(traces, "countersign-signaler", version, ids);
    Some(started.unwrap_or_else(|why| cannot_start(&why.to_string(), settings.logs_json)))
}
