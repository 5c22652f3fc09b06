//! Serves connections until shutdown.

use std::{collections::HashMap, convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use ipnet::IpNet;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tower::Service;

use crate::{
    App,
    rate_limit::{is_trusted, network},
};

/// How long a client may take to send a request's headers, or be idle.
const HEADERS: Duration = Duration::from_secs(15);
/// The same for a trusted proxy. Longer than proxies keep an idle connection, usually 60 s, so that none
/// sends a decision into a connection that is being closed.
const PROXY_HEADERS: Duration = Duration::from_secs(75);
/// How long requests in flight may take at shutdown.
const GRACE: Duration = Duration::from_secs(9);
/// How long a client may not read its answer.
const WRITE: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 2_000;
/// For one client. A trusted proxy may have all.
const CONNECTIONS_EACH: usize = CONNECTIONS / 8;
/// For reading ahead, and so also the limit of a request's headers.
const BUFFER: usize = 64 * 1024;

/// Answers requests on `listener` until `shutdown` is ready, then finishes those in flight.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let router = app.router();
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let mut clients = Clients::new(CONNECTIONS_EACH);
    let accept = async {
        loop {
            let permit = connections.clone().acquire_owned().await;
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually too many open files: wait for some to close.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = clients.admit(peer.ip(), &app.0.trusted_proxies) else {
                tracing::debug!(%peer, "too many connections");
                continue;
            };
            let _ = stream.set_nodelay(true);
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(WRITE));
            let router = router.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                respond(router.clone(), request)
            });
            let is_proxy = is_trusted(peer.ip(), &app.0.trusted_proxies);
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(if is_proxy { PROXY_HEADERS } else { HEADERS })
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(Box::pin(stream)), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // The client's fault: it hung up, or does not speak HTTP.
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection");
                }
                drop((place, permit));
            });
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accept => {}
    }
    drop(listener);
    tracing::info!("stopping");
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// Counts connections for each client.
struct Clients {
    each: usize,
    places: HashMap<IpAddr, Arc<Semaphore>>,
}

impl Clients {
    fn new(each: usize) -> Self {
        Clients { each, places: HashMap::new() }
    }

    /// A permit for one more connection of `peer`, to be held while it lasts.
    fn admit(&mut self, peer: IpAddr, trusted: &[IpNet]) -> Option<OwnedSemaphorePermit> {
        let (client, places) = match is_trusted(peer, trusted) {
            true => (peer.to_canonical(), CONNECTIONS),
            false => (network(peer), self.each),
        };
        self.places.retain(|_, places| Arc::strong_count(places) > 1);
        let new = || Arc::new(Semaphore::new(places));
        self.places.entry(client).or_insert_with(new).clone().try_acquire_owned().ok()
    }
}

fn respond(
    mut router: Router,
    request: Request<Incoming>,
) -> impl Future<Output = Result<axum::response::Response, Infallible>> {
    router.call(request.map(Body::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_so_many_connections_and_trusted_proxies_have_all() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let trusted: [IpNet; 2] =
            ["10.0.0.0/8", "fd00::5/128"].map(|network| network.parse().expect("a network"));
        let mut clients = Clients::new(2);
        let mut admit = |address| clients.admit(ip(address), &trusted);
        let (one, two) = (admit("192.0.2.1"), admit("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some());
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        let proxy: Vec<_> = (0..CONNECTIONS).map_while(|_| admit("10.0.0.1")).collect();
        assert_eq!(proxy.len(), CONNECTIONS);
        let neighbour = (admit("fd00::9"), admit("fd00::8"));
        assert!(neighbour.1.is_some() && admit("fd00::9").is_none());
        let proxy_by_ipv6: Vec<_> = (0..3).map_while(|_| admit("fd00::5")).collect();
        assert_eq!(proxy_by_ipv6.len(), 3, "its neighbours take none of its places");
        drop((one, neighbour, proxy_by_ipv6));
        assert!(admit("192.0.2.1").is_some());
        drop((two, proxy));
        assert!(admit("192.0.2.2").is_some());
        assert_eq!(clients.places.len(), 1, "who has no connection is forgotten");
    }
}
