//! How both programs reach Temporal: its settings, each wrong one named with its file; connections, where what only
//! another setting can mend is told from what passes; and the encryption of what Temporal stores.

mod codec;
mod settings;
pub mod testing;
mod tls;

use std::{error::Error, iter::successors, time::Duration};

use temporalio_client::{
    ClientOptions, Connection, ConnectionOptions,
    errors::ClientConnectError,
    tonic::{Code, Status},
};
use tokio::time::timeout;

pub use crate::{
    codec::{PayloadKeys, PayloadKeysError, decoded, encoded, encodes},
    settings::read,
};

/// The connection and the namespace to use, and how payloads are encrypted.
#[derive(Debug)]
pub struct TemporalSettings {
    /// Where Temporal is.
    pub connection: ConnectionOptions,
    /// It encrypts and decrypts, where there are keys.
    pub client: ClientOptions,
    /// The payload keys; without them, payloads are not encrypted.
    pub payload_keys: Option<PayloadKeys>,
    /// The setting that names a codec server, if one does.
    pub(crate) codec_endpoint: Option<String>,
}

/// Without encryption.
impl From<(ConnectionOptions, ClientOptions)> for TemporalSettings {
    fn from((connection, client): (ConnectionOptions, ClientOptions)) -> Self {
        TemporalSettings { connection, client, payload_keys: None, codec_endpoint: None }
    }
}

impl TemporalSettings {
    /// Logs which keys encrypt payloads, and warns of settings that do not.
    pub fn tell_codec(&self) {
        let fingerprints = self.payload_keys.as_ref().map(PayloadKeys::names).unwrap_or_default();
        if !fingerprints.is_empty() {
            tracing::info!(fingerprints = fingerprints.join(", "), "payload keys");
        }
        if let Some(setting) = &self.codec_endpoint {
            let so = if fingerprints.is_empty() {
                "and payloads are not encrypted"
            } else {
                "but these keys"
            };
            tracing::warn!(
                "{setting} names a codec server, which is not asked here: COUNTERSIGN_PAYLOAD_KEYS_FILE encrypts \
                 payloads, {so}"
            );
        }
    }
}

/// Why there is no connection. The message is for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotConnected {
    /// Only another setting can change that.
    #[error("{0}")]
    Misconfigured(String),
    /// Temporal answers, and refuses this client.
    #[error("{0}")]
    Refused(String),
    /// It may pass by itself.
    #[error("{0}")]
    Unreachable(String),
}

/// Connects, and gives up after that time.
///
/// # Errors
/// Why it could not.
pub async fn connect(
    options: ConnectionOptions,
    within: Duration,
) -> Result<Connection, NotConnected> {
    let error = match timeout(within, Connection::connect(options.clone())).await {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(error)) => error,
        Err(_) => return Err(NotConnected::Unreachable(format!("no answer within {within:?}"))),
    };
    let is_broken = is_broken(&error);
    match sort(error) {
        // Neither side says plainly that the other one uses TLS and it does not, or the reverse.
        NotConnected::Unreachable(why) if is_broken => Err(match tls::mismatch(&options).await {
            Some(mismatch) => NotConnected::Misconfigured(mismatch),
            None => NotConnected::Unreachable(why),
        }),
        failed => Err(failed),
    }
}

/// Whether the connection itself failed: a server that answers speaks what we do.
fn is_broken(error: &ClientConnectError) -> bool {
    match error {
        ClientConnectError::TonicTransportError(_) => true,
        ClientConnectError::SystemInfoCallError(status) => status.source().is_some(),
        _ => false,
    }
}

/// Whether a call may succeed later without anybody's help.
pub fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
    )
}

fn sort(error: ClientConnectError) -> NotConnected {
    match error {
        ClientConnectError::TonicTransportError(error) => by_cause(&error),
        ClientConnectError::SystemInfoCallError(status) if may_pass(&status) => by_cause(&status),
        ClientConnectError::SystemInfoCallError(status) => {
            NotConnected::Refused(format!("{:?}: {}", status.code(), status.message()))
        }
        ClientConnectError::InvalidHeaders(error) => {
            NotConnected::Misconfigured(format!("TEMPORAL_GRPC_META_…: {error}"))
        }
        error @ ClientConnectError::DnsResolutionError { .. } => {
            NotConnected::Unreachable(error.to_string())
        }
        error => NotConnected::Misconfigured(format!("TEMPORAL_ADDRESS: {error}")),
    }
}

fn by_cause(error: &(dyn Error + 'static)) -> NotConnected {
    let causes = successors(Some(error), |&error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    match causes.iter().find_map(|cause| tls::refusal(cause)) {
        Some(refusal) => NotConnected::Misconfigured(refusal),
        None => NotConnected::Unreachable(causes.into_iter().next_back().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use temporalio_client::{TlsOptions, Url};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);
    /// A server's first frame in HTTP/2: no settings.
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    /// The alert `handshake_failure`.
    const ALERT: &[u8] = b"\x15\x03\x03\0\x02\x02\x28";

    /// Where something listens that says this to everybody, and hangs up.
    async fn server(says: &'static [u8]) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 16];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(says).await;
            }
        });
        url.parse().expect("a URL")
    }

    async fn failure(mut url: Url, tls: bool) -> NotConnected {
        if tls {
            url.set_scheme("https").expect("a scheme");
        }
        let options = ConnectionOptions::new(url);
        let options = options.maybe_tls_options(tls.then(TlsOptions::default)).build();
        connect(options, WITHIN).await.expect_err("there is no Temporal")
    }

    #[tokio::test]
    async fn tls_where_there_is_none_and_none_where_it_is_wanted_are_told_from_what_passes() {
        for (says, tls, named) in [
            (ALERT, false, "expects TLS, and the connection has none: set TEMPORAL_TLS=true"),
            (SETTINGS, true, "has no TLS, and the connection would use it: set TEMPORAL_TLS=false"),
        ] {
            let url = server(says).await;
            let address = url.authority().to_owned();
            let NotConnected::Misconfigured(why) = failure(url, tls).await else {
                panic!("{named} passes by itself")
            };
            assert!(why.contains(&address) && why.contains(named), "{why}");
        }
        for (says, tls) in [(ALERT, true), (SETTINGS, false), (b"", true), (b"", false)] {
            let failed = failure(server(says).await, tls).await;
            let is_ours = says == ALERT;
            assert_eq!(matches!(failed, NotConnected::Misconfigured(_)), is_ours, "{failed}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_may_come() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let url: Url = url.parse().expect("a URL");
        for tls in [true, false] {
            let failed = failure(url.clone(), tls).await;
            assert!(matches!(failed, NotConnected::Unreachable(_)), "{failed}");
        }
    }

    #[test]
    fn a_refusal_is_no_outage() {
        let error = ClientConnectError::SystemInfoCallError(Status::permission_denied("no key"));
        assert_eq!(sort(error), NotConnected::Refused("PermissionDenied: no key".into()));
        let error = ClientConnectError::SystemInfoCallError(Status::unavailable("starting"));
        assert!(matches!(sort(error), NotConnected::Unreachable(_)));
    }
}
