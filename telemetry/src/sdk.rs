//! The metrics of Temporal's SDK, as it names and serves them.
//!
//! Its exporter keeps its registry to itself: all that can be had of it is what it serves. So it serves on the loopback
//! interface, and a page of ours has what it answers, unchanged.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use temporalio_common::telemetry::{
    PrometheusExporterOptions, TelemetryInstance, TelemetryOptions,
    metrics::{CoreMeter, TemporalMeter},
    start_prometheus_metric_exporter, telemetry_init,
};
use tokio::{net::TcpStream, time::timeout};

const PATIENCE: Duration = Duration::from_secs(5);

/// The SDK's metrics of this process.
#[derive(Clone)]
pub struct SdkMetrics {
    address: SocketAddr,
    meter: Arc<dyn CoreMeter>,
}

impl SdkMetrics {
    /// Starts the SDK's exporter, in base units and with the suffixes that Prometheus asks for.
    ///
    /// # Errors
    /// If there is no free port on the loopback interface.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start() -> anyhow::Result<Self> {
        let options = PrometheusExporterOptions::builder()
            .socket_addr((Ipv4Addr::LOCALHOST, 0).into())
            .counters_total_suffix(true)
            .unit_suffix(true)
            .use_seconds_for_durations(true)
            .build();
        let started = start_prometheus_metric_exporter(options)?;
        Ok(Self { address: started.bound_addr, meter: started.meter })
    }

    /// For a connection, so that its calls are measured.
    ///
    /// # Errors
    /// None, as far as is known.
    pub fn of_connection(&self) -> anyhow::Result<Option<TemporalMeter>> {
        Ok(self.of_workers()?.get_temporal_metric_meter())
    }

    /// For the runtime of workers.
    ///
    /// # Errors
    /// None, as far as is known.
    pub fn of_workers(&self) -> anyhow::Result<TelemetryInstance> {
        telemetry_init(TelemetryOptions::builder().metrics(self.meter.clone()).build())
    }

    /// A program's own page, and the SDK's behind it.
    pub async fn behind(self, own: String) -> String {
        match self.page().await {
            Ok(of_sdk) => own + &of_sdk,
            Err(why) => {
                tracing::warn!(cause = format!("{why:#}"), "the SDK's metrics are missing");
                own
            }
        }
    }

    /// What the exporter serves now.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn page(&self) -> anyhow::Result<String> {
        let page = timeout(PATIENCE, self.fetch()).await;
        page.context("no answer in time")?.context("the SDK's metrics cannot be read")
    }

    async fn fetch(&self) -> anyhow::Result<String> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut exporter, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends when `exporter` is dropped.
        tokio::spawn(connection);
        let request = Request::get("/metrics").header(HOST, self.address.to_string());
        let answer = exporter.send_request(request.body(Empty::<Bytes>::new())?).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8(body.to_vec())?)
    }
}

/// The sum of a metric over all its labels, in a page; 0 where it is not there.
pub fn sum(page: &str, metric: &str) -> f64 {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let value = rest.rsplit(' ').next().filter(|_| rest.starts_with(['{', ' ']))?;
        value.parse::<f64>().ok()
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use temporalio_common::telemetry::metrics::{
        CounterBase, HistogramDurationBase, MetricParameters,
    };

    use super::*;

    #[tokio::test]
    async fn what_the_sdk_counts_is_on_its_page_in_base_units() {
        let sdk = SdkMetrics::start().expect("a port");
        let meter = sdk.of_connection().expect("telemetry").expect("a meter");
        let named = |name: &'static str, unit: &'static str| {
            MetricParameters::builder().name(name).unit(unit).description("").build()
        };
        meter.counter(named("request", "")).adds(2);
        meter.histogram_duration(named("request_latency", "duration")).records(PATIENCE);
        let page = sdk.page().await.expect("a page");
        assert!(page.contains("# TYPE temporal_request_total counter"), "{page}");
        assert!(page.contains("# TYPE temporal_request_latency_seconds histogram"), "{page}");
        assert_eq!(sum(&page, "temporal_request_total"), 2.0);
    }

    #[test]
    fn a_metric_is_summed_over_its_labels_and_with_no_other() {
        let page = "# TYPE polls_total counter\npolls_total{queue=\"a b\"} 3\npolls_total{queue=\"b\"} 4\n\
                    polls_total_more{queue=\"a\"} 9\npolls 1\n";
        assert_eq!(sum(page, "polls_total"), 7.0);
        assert_eq!(sum(page, "polls"), 1.0);
        assert_eq!(sum(page, "nothing"), 0.0);
    }
}
