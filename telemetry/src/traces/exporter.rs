//! Sends spans to the collector, and of each span only what a trace may have.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::trace::Status;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    SpanExporter as Otlp, WithExportConfig, WithHttpConfig, WithTonicConfig,
    tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanEvents, SpanExporter, SpanLinks, TracerProviderBuilder},
};
use tokio::runtime::Handle;

use super::settings::{Protocol, TraceSettings};

/// The attributes that a trace may have: the SDK's own, and those of OpenTelemetry's conventions. None has a URL: links
/// have approval IDs, and a receiver's may have a secret.
const ALLOWED: [&str; 13] = [
    "countersign.answer",
    "countersign.mail.kind",
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "server.address",
    "server.port",
    "temporalActivityID",
    "temporalActivityType",
    "temporalRunID",
    "temporalUpdateID",
    "temporalWorkflowID",
];

/// Has a provider send its spans as the settings say.
pub(super) fn exporter(
    settings: &TraceSettings,
    provider: TracerProviderBuilder,
) -> anyhow::Result<TracerProviderBuilder> {
    // Without it, the standard's default.
    let endpoint = settings.endpoint.clone().unwrap_or_default();
    let otlp = match settings.protocol {
        Protocol::Grpc => {
            let is_tls = endpoint.starts_with("https:");
            let grpc =
                Otlp::builder().with_tonic().with_timeout(settings.timeout).with_endpoint(endpoint);
            match is_tls {
                true => grpc.with_tls_config(ClientTlsConfig::new().with_enabled_roots()).build(),
                false => grpc.build(),
            }
        }
        Protocol::HttpProtobuf => {
            let http = Otlp::builder().with_http().with_endpoint(endpoint);
            http.with_http_client(Client::new(settings.timeout)?).build()
        }
    };
    let otlp = otlp.map_err(|why| anyhow::anyhow!("OTEL_…: {why}"))?;
    Ok(provider.with_batch_exporter(Sparing { inner: otlp, is_failing: AtomicBool::new(false) }))
}

/// Posts spans. They come from a thread of their own, outside the runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
}

impl Client {
    fn new(timeout: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(timeout).build()?;
        Ok(Self { client, runtime: Handle::try_current()? })
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.client.clone(), request.try_into()?);
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request).await?.error_for_status()?;
            let (status, body) = (answer.status(), answer.bytes().await?);
            Ok::<_, reqwest::Error>((status, body))
        });
        // Without the URL, which may have a secret.
        let (status, body) = sent.await?.map_err(reqwest::Error::without_url)?;
        Ok(Response::builder().status(status).body(body)?)
    }
}

/// Drops what a trace may not have, and says once when the collector takes no spans, and when it does again.
#[derive(Debug)]
struct Sparing<E> {
    inner: E,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Sparing<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.inner.export(batch.into_iter().map(spare).collect()).await;
        let was_failing = self.is_failing.swap(exported.is_err(), Ordering::Relaxed);
        match (&exported, was_failing) {
            (Err(error), false) => {
                tracing::warn!(%error, "the collector takes no traces; see OTEL_EXPORTER_OTLP_ENDPOINT");
            }
            (Ok(()), true) => tracing::info!("the collector takes traces again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// A failure's text may quote a mail, and so have a link or a comment.
fn spare(mut span: SpanData) -> SpanData {
    span.attributes.retain(|attribute| ALLOWED.contains(&attribute.key.as_str()));
    span.events = SpanEvents::default();
    span.links = SpanLinks::default();
    if matches!(span.status, Status::Error { .. }) {
        span.status = Status::error("");
    }
    span
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};
    use hyper::{
        HeaderMap,
        body::{Frame, Incoming},
        header::{CONTENT_TYPE, HeaderValue},
        service::service_fn,
    };
    use hyper_util::{
        rt::{TokioExecutor, TokioIo},
        server::conn::auto,
    };
    use opentelemetry::{
        KeyValue,
        trace::{Span, Tracer, TracerProvider},
    };
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
    use parking_lot::Mutex;
    use tokio::{net::TcpListener, task::spawn_blocking};

    use super::*;

    /// What a collector was sent: paths and bodies.
    type Received = Arc<Mutex<Vec<(String, Bytes)>>>;

    /// Takes everything, by HTTP/1.1 or as gRPC does.
    async fn take(
        request: Request<Incoming>,
        received: Received,
    ) -> Response<impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send> {
        let is_grpc = request.headers()[CONTENT_TYPE] == "application/grpc";
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        received.lock().push((path, body));
        let ok: HeaderMap =
            [("grpc-status".parse().expect("a name"), HeaderValue::from(0))].into_iter().collect();
        // An empty message, not compressed.
        let answer = vec![Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(ok))];
        let answer = if is_grpc { answer } else { Vec::new() };
        let mut response = Response::new(StreamBody::new(stream::iter(answer)));
        let kind = if is_grpc { "application/grpc" } else { "application/x-protobuf" };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    /// Where it listens, and what it was sent.
    async fn collector() -> (String, Received) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let received = Received::default();
        let kept = received.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let kept = kept.clone();
                tokio::spawn(async move {
                    let take = |request| {
                        let taking = take(request, kept.clone());
                        async { Ok::<_, Infallible>(taking.await) }
                    };
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service_fn(take)).await;
                });
            }
        });
        (url, received)
    }

    #[tokio::test]
    async fn spans_reach_a_collector_by_either_protocol() {
        let service = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        for (protocol, path, expected) in
            [(Protocol::HttpProtobuf, "/v1/traces", "/v1/traces"), (Protocol::Grpc, "", service)]
        {
            let (url, received) = collector().await;
            let settings = TraceSettings {
                protocol,
                endpoint: Some(format!("{url}{path}")),
                timeout: Duration::from_secs(5),
                is_named: false,
            };
            let provider =
                exporter(&settings, SdkTracerProvider::builder()).expect("good settings");
            let provider = provider.build();
            provider.tracer("test").start("RunActivity:request_approval").end();
            let flushed = spawn_blocking(move || provider.force_flush()).await.expect("flushed");
            assert!(flushed.is_ok(), "{protocol:?}: {flushed:?}");
            let received = received.lock();
            let [(path, body)] = &received[..] else { panic!("{protocol:?}: one request") };
            assert_eq!(path, expected);
            let name = b"RunActivity:request_approval";
            assert!(body.windows(name.len()).any(|part| part == name), "{protocol:?}: {body:?}");
        }
    }

    /// Keeps what it is given.
    #[derive(Debug, Default, Clone)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn no_text_of_a_failure_and_no_url_leaves_the_process() {
        let kept = Kept::default();
        let sparing = Sparing { inner: kept.clone(), is_failing: AtomicBool::new(false) };
        let provider = SdkTracerProvider::builder().with_simple_exporter(sparing).build();
        let mut span = provider.tracer("test").start("RunActivity:request_approval");
        let id = "7K3Q-9XHT-2M4V-ZB8D-JW5P-QR6T";
        span.set_attribute(KeyValue::new("url.full", format!("https://ok.example/a/{id}")));
        span.set_attribute(KeyValue::new("temporalWorkflowID", "laptops"));
        let said = format!("550 refused: {id} - too expensive, says Ann");
        span.add_event("exception", vec![KeyValue::new("exception.message", said.clone())]);
        span.set_status(Status::error(said));
        span.end();
        let spans = kept.0.lock();
        assert_eq!(spans.len(), 1);
        assert_eq!(spans[0].attributes, [KeyValue::new("temporalWorkflowID", "laptops")]);
        assert_eq!(spans[0].status, Status::error(""), "it says that it failed");
        let all = format!("{:?}", spans[0]);
        assert!(!all.contains(id) && !all.contains("expensive"), "{all}");
    }
}
