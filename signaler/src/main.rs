//! The signaler: reads the settings, and serves until it is told to stop.

use std::io::IsTerminal;

use countersign_signaler::{App, LogFormat, Settings, serve};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // From here on a signal asks to stop, and does not end the process.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut settings = Settings::from_environment();
    let log = tracing_subscriber::fmt()
        .with_env_filter(std::mem::take(&mut settings.log))
        .with_ansi(std::io::stdout().is_terminal());
    match settings.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let listener = match TcpListener::bind(settings.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("COUNTERSIGN_LISTEN: cannot listen on {}: {error}", settings.listen);
            std::process::exit(2);
        }
    };
    tracing::info!(address = %settings.listen, public_url = %settings.public_url, "listening");
    if settings.outbox.is_some() {
        tracing::warn!("/outbox shows every mail and its links to everybody: for trying out only");
    }
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve(listener, App::new(settings), shutdown).await;
    Ok(())
}
