//! A listener for those who watch: Prometheus, and what restarts a process that is not healthy.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::metrics::MEDIA_TYPE;

/// Of those who watch there are few.
const CONNECTIONS: usize = 32;
/// For a whole request.
const PATIENCE: Duration = Duration::from_secs(20);

/// The setting that says where to listen.
pub const METRICS_LISTEN: &str = "COUNTERSIGN_METRICS_LISTEN";

/// Reads where to listen.
///
/// # Errors
/// If it is no address with a port.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be ADDRESS:PORT, such as 0.0.0.0:9464")
}

/// Listens at an address.
///
/// # Errors
/// Why that is not possible, with the setting's name.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listening = TcpListener::bind(address).await;
    listening.map_err(|why| anyhow::anyhow!("{METRICS_LISTEN}: cannot listen on {address}: {why}"))
}

/// A path, and what answers it.
pub struct Route {
    path: &'static str,
    media_type: &'static str,
    answer: Box<Answer>,
}

/// An error is answered with 503, and why.
type Answer = dyn Fn() -> BoxFuture<'static, Result<String, String>> + Send + Sync;

impl Route {
    /// A page of metrics.
    pub fn metrics<F: Future<Output = String> + Send + 'static>(
        page: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        let answer = move || -> BoxFuture<'static, _> {
            let page = page();
            Box::pin(async { Ok(page.await) })
        };
        Self { path: "/metrics", media_type: MEDIA_TYPE, answer: Box::new(answer) }
    }

    /// A check: all is well, or why not.
    pub fn check<F: Future<Output = Result<(), String>> + Send + 'static>(
        path: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        let answer = move || -> BoxFuture<'static, _> {
            let check = check();
            Box::pin(async { check.await.map(|()| "ok".to_owned()) })
        };
        Self { path, media_type: "text/plain; charset=utf-8", answer: Box::new(answer) }
    }
}

/// Answers for as long as the process lives.
pub async fn serve(listener: TcpListener, routes: Vec<Route>) {
    let (routes, places) = (Arc::new(routes), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let routes = routes.clone();
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, converse(stream, routes)).await;
                    drop(place);
                });
            }
            // Usually too many open files: wait for some to close.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the metrics");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, routes: Arc<Vec<Route>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let routes = routes.clone();
        async move {
            Ok::<_, Infallible>(respond(&routes, request.method(), request.uri().path()).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection to the metrics");
    }
}

async fn respond(routes: &[Route], method: &Method, path: &str) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    let Some(route) = routes.iter().find(|route| route.path == path) else {
        return response(StatusCode::NOT_FOUND, plain, "not found".to_owned());
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, plain, "only GET and HEAD".to_owned());
    }
    match (route.answer)().await {
        Ok(page) => response(StatusCode::OK, route.media_type, page),
        Err(why) => response(StatusCode::SERVICE_UNAVAILABLE, plain, why),
    }
}

fn response(
    status: StatusCode,
    media_type: &'static str,
    mut text: String,
) -> Response<Full<Bytes>> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn routes() -> Vec<Route> {
        vec![
            Route::metrics(|| async { "up 1\n".to_owned() }),
            Route::check("/healthz", || async { Ok(()) }),
            Route::check("/readyz", || async { Err("Temporal does not answer".to_owned()) }),
        ]
    }

    #[tokio::test]
    async fn a_check_that_fails_says_why_with_503() {
        for (method, path, status, text) in [
            (Method::GET, "/metrics", 200, "up 1\n"),
            (Method::HEAD, "/healthz", 200, "ok\n"),
            (Method::GET, "/readyz", 503, "Temporal does not answer\n"),
            (Method::POST, "/healthz", 405, "only GET and HEAD\n"),
            (Method::GET, "/", 404, "not found\n"),
        ] {
            let answer = respond(&routes(), &method, path).await;
            assert_eq!(answer.status(), status, "{path}");
            let Ok(body) = answer.into_body().collect().await;
            assert_eq!(body.to_bytes(), text, "{path}");
        }
    }

    #[tokio::test]
    async fn a_page_is_served_to_whoever_asks_and_the_connection_ends() {
        let listener = listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(listener, routes()));
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("read to its end");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nup 1\n"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_its_setting() {
        let taken = listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let why = listen(taken.local_addr().expect("an address")).await.expect_err("taken");
        assert!(why.to_string().starts_with("COUNTERSIGN_METRICS_LISTEN: cannot listen"), "{why}");
        assert_eq!(address("0.0.0.0:9464").expect("an address").port(), 9464);
        assert!(address("9464").is_err());
    }
}
