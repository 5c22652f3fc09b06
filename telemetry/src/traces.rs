//! Traces, sent by OTLP where the standard `OTEL_*` variables name a collector
//! (<https://opentelemetry.io/docs/languages/sdk-configuration/>).
//!
//! A span says what was done, how long it took and whether it failed, and of whom it is no more than the workflow's ID:
//! what else it is given is dropped before it leaves the process. So no approval ID, comment or address is in a trace,
//! and neither is a mail server's or a receiver's answer, which may quote them. The logs and the history have those.

mod exporter;
mod settings;

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use hyper::HeaderMap;
pub use opentelemetry::trace::SpanKind;
use opentelemetry::{
    Context, KeyValue, Value, global,
    propagation::TextMapPropagator,
    trace::{FutureExt, SpanBuilder, Status, TraceContextExt},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{IdGenerator, SdkTracerProvider},
};
use temporalio_common::protos::temporal::api::common::v1::{Header, Payload};
use tokio::{task::spawn_blocking, time::timeout};

use self::exporter::exporter;
pub use self::settings::TraceSettings;

/// The header of workflows, signals and activities in which Temporal's SDKs carry the context of a trace.
const TEMPORAL_HEADER: &str = "_tracer-data";
const SCOPE: &str = "countersign";
/// What is left of a stop's time.
const FLUSH: Duration = Duration::from_millis(900);

/// Whether requests begin traces of their own.
static ON: AtomicBool = AtomicBool::new(false);

/// Sends spans until it is stopped.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send the process's spans. `service` is what the collector calls it, unless the environment says.
    ///
    /// # Errors
    /// If the environment's settings do not work together.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(
        settings: &TraceSettings,
        service: &'static str,
        version: &'static str,
        ids: impl IdGenerator + 'static,
    ) -> anyhow::Result<Self> {
        let resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", version));
        let resource = match settings.is_named {
            true => resource,
            false => resource.with_service_name(service),
        };
        let provider = SdkTracerProvider::builder().with_id_generator(ids);
        let provider = exporter(settings, provider)?.with_resource(resource.build()).build();
        global::set_tracer_provider(provider.clone());
        ON.store(true, Ordering::Relaxed);
        Ok(Self(provider))
    }

    /// Sends what is left, if the collector takes it soon.
    pub async fn stop(self) {
        let flushed = spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH));
        let _ = timeout(FLUSH, flushed).await;
    }
}

/// What spans are given between processes: the trace, and nothing that a caller adds to it.
pub fn propagator() -> TraceContextPropagator {
    TraceContextPropagator::new()
}

/// Handles a request within a span of its own: in the trace that the headers name, or else in a new one. Without a
/// collector, it is only handled.
pub async fn in_request<T>(
    name: impl FnOnce() -> String,
    headers: Option<&HeaderMap>,
    work: impl Future<Output = T>,
) -> T {
    if !ON.load(Ordering::Relaxed) {
        return work.await;
    }
    let parent = headers.map(|headers| propagator().extract(&HeaderExtractor(headers)));
    within(name().into(), SpanKind::Server, parent.unwrap_or_default(), work).await
}

/// Does something within a span that is part of the current one. Where there is none, it is only done.
pub async fn in_span<T>(
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    work: impl Future<Output = T>,
) -> T {
    let parent = Context::current();
    match parent.has_active_span() {
        true => within(name.into(), kind, parent, work).await,
        false => work.await,
    }
}

async fn within<T>(
    name: Cow<'static, str>,
    kind: SpanKind,
    parent: Context,
    work: impl Future<Output = T>,
) -> T {
    let span = SpanBuilder::from_name(name).with_kind(kind);
    let span = span.start_with_context(&global::tracer(SCOPE), &parent);
    let context = parent.with_span(span);
    let done = work.with_context(context.clone()).await;
    context.span().end();
    done
}

/// Notes a fact in the current span, where it is one of those that a trace may have.
pub fn note(key: &'static str, value: impl Into<Value>) {
    Context::map_current(|context| context.span().set_attribute(KeyValue::new(key, value)));
}

/// Notes in the current span that it failed, and by which kind of failure.
pub fn failed(kind: impl Into<Cow<'static, str>>) {
    Context::map_current(|context| {
        context.span().set_attribute(KeyValue::new("error.type", kind.into()));
        context.span().set_status(Status::error(""));
    });
}

/// The current trace as headers of HTTP (W3C Trace Context): `traceparent`, and `tracestate` where there is any.
pub fn http_headers() -> HashMap<String, String> {
    let mut headers = HashMap::new();
    let context = Context::current();
    if context.has_active_span() {
        propagator().inject_context(&context, &mut headers);
    }
    headers.retain(|_, value| !value.is_empty());
    headers
}

/// The current trace as a header of Temporal's, where there is one.
pub fn temporal_header() -> Option<Header> {
    let headers = http_headers();
    let data = serde_json::to_vec(&headers).ok().filter(|_| !headers.is_empty())?;
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into();
    let payload = Payload { metadata, data, ..Payload::default() };
    Some(Header { fields: [(TEMPORAL_HEADER.to_owned(), payload)].into() })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn of_a_starter() -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").expect("an ID"),
            SpanId::from_hex("00f067aa0ba902b7").expect("an ID"),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        ))
    }

    #[tokio::test]
    async fn a_trace_goes_on_as_the_sdks_and_w3c_write_it() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        async {
            assert_eq!(http_headers(), [("traceparent".into(), parent.into())].into());
            let header = temporal_header().expect("a header");
            let payload = &header.fields["_tracer-data"];
            assert_eq!(payload.metadata["encoding"], b"json/plain");
            let json = format!("{{\"traceparent\":\"{parent}\"}}");
            assert_eq!(payload.data, json.as_bytes());
        }
        .with_context(of_a_starter())
        .await;
    }

    #[tokio::test]
    async fn without_a_trace_nothing_is_added_and_work_is_done_all_the_same() {
        assert_eq!(http_headers(), HashMap::new());
        assert_eq!(temporal_header(), None);
        assert_eq!(in_span("mail", SpanKind::Client, async { 1 }).await, 1);
        let name = || unreachable!("no name is made where there is no collector");
        assert_eq!(in_request(name, None, async { 2 }).await, 2);
    }
}
