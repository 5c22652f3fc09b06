//! Serves connections until shutdown.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{ConnectInfo, Request},
    http::Response,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_io_timeout::TimeoutStream;
use tower::Service;

use crate::{
    App,
    connections::{Connections, InFlight, Place},
    rate_limit::is_trusted,
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
    let connections = Connections::new(CONNECTIONS, CONNECTIONS_EACH);
    serve_within(connections, listener, app, shutdown).await;
}

async fn serve_within(
    mut connections: Connections,
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()>,
) {
    let router = app.router();
    let trusted = &app.0.trusted_proxies;
    let graceful = GracefulShutdown::new();
    let accept = async {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Usually too many open files: wait for some to close.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = connections.admit(peer.ip(), trusted).await else {
                tracing::debug!(%peer, "too many connections");
                continue;
            };
            let idle = if is_trusted(peer.ip(), trusted) { PROXY_HEADERS } else { HEADERS };
            let service = (router.clone(), peer, place);
            tokio::spawn(converse(stream, service, idle, graceful.watcher()));
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

/// Answers what a client asks on a connection, until that ends or gives way to another one.
async fn converse(
    stream: TcpStream,
    (router, peer, place): (Router, SocketAddr, Arc<Place>),
    idle: Duration,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE));
    let at = place.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        respond(router.clone(), request, at.clone())
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::select! {
        ended = watcher.watch(connection) => {
            // The client's fault: it hung up, or does not speak HTTP.
            if let Err(error) = ended {
                tracing::debug!(%error, "connection");
            }
        }
        () = place.closing() => tracing::debug!(%peer, "an idle connection gives way"),
    }
}

async fn respond(
    mut router: Router,
    request: Request<Incoming>,
    place: Arc<Place>,
) -> Result<Response<Answer>, Infallible> {
    let Some(in_flight) = place.begin() else {
        // The connection is about to be closed, and this with it.
        return std::future::pending().await;
    };
    let response = router.call(request.map(Body::new)).await?;
    Ok(response.map(|body| Answer { body, _in_flight: in_flight }))
}

/// A body that keeps its connection open until it is written.
struct Answer {
    body: Body,
    _in_flight: InFlight,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
