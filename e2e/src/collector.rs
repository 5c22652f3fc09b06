//! A collector of traces, which takes spans by OTLP as HTTP/protobuf.

use std::{net::Ipv4Addr, sync::Arc};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span as Sent,
};
use parking_lot::Mutex;
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::wait::eventually;

/// A span, with its IDs in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty where it is the first of its trace.
    pub parent: String,
}

/// A server that takes spans.
pub struct Collector {
    url: String,
    received: Received,
    server: JoinHandle<()>,
}

type Received = Arc<Mutex<Vec<Bytes>>>;

impl Collector {
    pub async fn start() -> Collector {
        let received = Received::default();
        let take = async |State(received): State<Received>, body: Bytes| {
            received.lock().push(body);
            StatusCode::OK
        };
        let routes = Router::new().route("/v1/traces", post(take)).with_state(received.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("a server without end");
        });
        Collector { url: format!("http://{address}"), received, server }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything that it was sent.
    pub fn bytes(&self) -> Vec<u8> {
        self.received.lock().concat()
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let received = self.received.lock();
        let requests = received.iter().map(|body| {
            ExportTraceServiceRequest::decode(body.clone()).expect("a request with spans")
        });
        let scopes = requests.flat_map(|it| it.resource_spans).flat_map(|it| it.scope_spans);
        scopes.flat_map(|scope| scope.spans).map(Span::from).collect()
    }

    /// Waits until there are spans with all of these names; returns all that are there then.
    pub async fn spans_with(&self, names: &[&str]) -> Vec<Span> {
        eventually(format!("spans with the names {names:?}"), async || {
            let spans = self.spans();
            let is_there = |name: &&str| spans.iter().any(|span| span.name == *name);
            names.iter().all(is_there).then_some(spans)
        })
        .await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl From<Sent> for Span {
    fn from(sent: Sent) -> Self {
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
        Span {
            name: sent.name,
            trace: hex(&sent.trace_id),
            id: hex(&sent.span_id),
            parent: hex(&sent.parent_span_id),
        }
    }
}
