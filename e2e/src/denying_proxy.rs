//! A proxy before Temporal that denies the operator service, as clusters do whose clients have rights on their
//! namespace alone.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http_body_util::{Either, Empty};
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::temporal::Temporal;

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

/// A running proxy, until it is dropped.
pub struct DenyingProxy {
    address: String,
    denied: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl DenyingProxy {
    /// Starts one before this server.
    pub async fn start(temporal: &Temporal) -> DenyingProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (upstream, denied) = (temporal.address(), Arc::new(AtomicUsize::new(0)));
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let mut serving = JoinSet::new();
        let counted = denied.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (client, upstream, denied) =
                    (client.clone(), upstream.clone(), counted.clone());
                let service = service_fn(move |request| {
                    answer(client.clone(), upstream.clone(), denied.clone(), request)
                });
                let server = http2::Builder::new(TokioExecutor::new());
                let connection = server.serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move { drop(connection.await) });
            }
        });
        DenyingProxy { address, denied, _serving: serving }
    }

    /// Where clients find it.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// How many calls it has denied.
    pub fn denied(&self) -> usize {
        self.denied.load(Ordering::Relaxed)
    }
}

/// What the server answers, trailers included, or a denial (gRPC's code 7).
async fn answer(
    client: Client<HttpConnector, Incoming>,
    upstream: String,
    denied: Arc<AtomicUsize>,
    mut request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    if path.starts_with("/temporal.api.operatorservice.") {
        denied.fetch_add(1, Ordering::Relaxed);
        return Ok(refusal("7", "Request unauthorized."));
    }
    let uri = format!("http://{upstream}{path}");
    *request.uri_mut() = uri.parse::<Uri>().expect("a URL");
    Ok(match client.request(request).await {
        Ok(answer) => answer.map(Either::Left),
        Err(_) => refusal("14", "Temporal is away."),
    })
}

fn refusal(code: &'static str, why: &'static str) -> Answer {
    let mut refusal = Response::new(Either::Right(Empty::new()));
    let headers = refusal.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static(code));
    headers.insert("grpc-message", HeaderValue::from_static(why));
    refusal
}
