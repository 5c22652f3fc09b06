//! Makes the client: its settings, and how it waits for Temporal.

use std::{fs, time::Duration};

use anyhow::bail;
pub use countersign_connection::TemporalSettings;
use countersign_connection::{NotConnected, read};
use countersign_protos::settings::{Environment, WrongSettings};
use temporalio_client::{Client, Connection, ConnectionOptions, GrpcCompression};
use tokio::time::sleep;
use tracing::{info, warn};

/// How long the server may take to answer the first call.
const CONNECT: Duration = Duration::from_secs(10);
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(2);

/// Reads `TEMPORAL_…` and `temporal.toml`, as every Temporal client does.
///
/// # Errors
/// Every wrong setting.
pub fn temporal_settings() -> Result<TemporalSettings, WrongSettings> {
    let environment = Environment::new(std::env::vars_os(), |path| fs::read(path));
    let mut wrong = WrongSettings::default();
    let settings = read(&environment, Default::default(), &mut wrong);
    wrong.none_or(settings)
}

/// Connects to Temporal, and retries for as long as it cannot be reached.
///
/// # Errors
/// If it refuses this client, or cannot be reached with these settings.
pub async fn connect(temporal: TemporalSettings) -> anyhow::Result<Client> {
    temporal.tell_codec();
    let TemporalSettings { mut connection, client, .. } = temporal;
    connection.connect_timeout.get_or_insert(Duration::from_secs(5));
    // Compressing every message takes a quarter of the worker's processor time.
    connection.grpc_compression = GrpcCompression::None;
    let connection = wait_for(connection).await?;
    info!(namespace = client.namespace, "connected to Temporal");
    Ok(Client::new(connection, client)?)
}

async fn wait_for(options: ConnectionOptions) -> anyhow::Result<Connection> {
    let address = options.target.clone();
    loop {
        match countersign_connection::connect(options.clone(), CONNECT).await {
            Ok(connection) => return Ok(connection),
            Err(NotConnected::Unreachable(cause)) => {
                warn!(%address, cause, "waiting for Temporal");
                sleep(RETRY_EVERY).await;
            }
            Err(NotConnected::Misconfigured(why)) => bail!("cannot connect to Temporal: {why}"),
            Err(NotConnected::Refused(why)) => bail!(
                "Temporal at {address} refuses this worker: {why}: check TEMPORAL_API_KEY, \
                 TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_NAMESPACE"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::atomic::{AtomicU32, Ordering},
    };

    use countersign_connection::testing::fake_temporal;
    use temporalio_client::{
        ClientOptions,
        tonic::{Code, Status},
    };
    use tokio::time::Instant;

    use super::*;

    /// Connects to a server whose first answer is this refusal. Why it cannot, or how long it takes.
    async fn connecting(first: Code) -> Result<Duration, String> {
        let calls = AtomicU32::new(0);
        let connection = fake_temporal(move |_| {
            ready(match calls.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Status::new(first, "as told")),
                _ => Ok(Vec::new()),
            })
        });
        let began = Instant::now();
        let client = connect((connection, ClientOptions::new("default").build()).into()).await;
        client.map(|_| began.elapsed()).map_err(|why| why.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_waited_for_and_one_that_refuses_is_not() {
        assert_eq!(connecting(Code::Unavailable).await, Ok(RETRY_EVERY));
        let refused = connecting(Code::PermissionDenied).await.expect_err("it is refused");
        let why = "refuses this worker: PermissionDenied: as told: check TEMPORAL_API_KEY";
        assert!(refused.contains(why), "{refused}");
    }
}
