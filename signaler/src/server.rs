//! Serves connections until told to stop.

use std::{convert::Infallible, sync::Arc, time::Duration};

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
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tower::Service;

use crate::App;

/// How long a client may take to send a request's headers, or be idle.
const HEADERS: Duration = Duration::from_secs(15);
/// How long requests that are being answered may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(9);
const CONNECTIONS: usize = 2_000;

/// Answers requests on `listener` until `shutdown` is ready, and then finishes those under way.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let router = app.router();
    let graceful = GracefulShutdown::new();
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async {
        loop {
            let permit = connections.clone().acquire_owned().await;
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most often too many open files: better in a moment.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let router = router.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                respond(router.clone(), request)
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADERS)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // What goes wrong on a connection is the client's: it hangs up, or speaks nonsense.
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "connection");
                }
                drop(permit);
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
        tracing::warn!("some requests were still being answered");
    }
}

fn respond(
    mut router: Router,
    request: Request<Incoming>,
) -> impl Future<Output = Result<axum::response::Response, Infallible>> {
    router.call(request.map(Body::new))
}
