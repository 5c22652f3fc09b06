//! What the worker's program serves for those who watch it: metrics, health, and whether it is ready.

mod counts;
mod polling;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use countersign_telemetry::{
    listener::{Route, listen, serve},
    sdk::SdkMetrics,
};
use temporalio_client::{
    Client, NamespacedClient,
    grpc::WorkflowService,
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::workflowservice::v1::DescribeNamespaceRequest;
use tokio::time::timeout;
use tracing::info;

use self::polling::Polling;
use crate::metrics::metrics;

/// How long Temporal may take to answer.
const READY: Duration = Duration::from_secs(2);

/// The listener of the metrics, and what is known for it.
pub struct Monitoring {
    /// To be given to the connection and the workers.
    pub sdk: SdkMetrics,
    client: Arc<OnceLock<Client>>,
}

impl Monitoring {
    /// Begins to serve. Until workers poll, the process is not healthy, and until [`Self::connected`], not ready.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = listen(address).await?;
        let monitoring = Self { sdk: SdkMetrics::start()?, client: Arc::default() };
        tokio::spawn(serve(listener, monitoring.routes()));
        info!(%address, "serving metrics");
        Ok(monitoring)
    }

    /// Temporal is reached, and the search attributes are there. Counts approvals from now on.
    pub fn connected(&self, client: &Client, task_queue: &str) {
        self.client.get_or_init(|| client.clone());
        tokio::spawn(counts::keep(client.clone(), task_queue.to_owned()));
    }

    fn routes(&self) -> Vec<Route> {
        let (sdk, also_sdk) = (self.sdk.clone(), self.sdk.clone());
        let (client, polling) = (self.client.clone(), Arc::new(Polling::default()));
        vec![
            Route::metrics(move || sdk.clone().behind(metrics().all.page())),
            Route::check("/healthz", move || {
                let (sdk, polling) = (also_sdk.clone(), polling.clone());
                async move {
                    let page = sdk.page().await.map_err(|why| format!("{why:#}"))?;
                    polling.look(&page, Instant::now())
                }
            }),
            Route::check("/readyz", move || {
                let client = client.get().cloned();
                async { ready(client.ok_or("Temporal has not been reached yet")?).await }
            }),
        ]
    }
}

/// Whether Temporal serves the namespace right now.
async fn ready(mut client: Client) -> Result<(), String> {
    let namespace = client.namespace();
    let request = DescribeNamespaceRequest { namespace, ..Default::default() }.into_request();
    let answer = timeout(READY, client.describe_namespace(request)).await;
    let answer = answer.map_err(|_| format!("Temporal has not answered within {READY:?}"))?;
    answer.map(drop).map_err(|status: Status| format!("Temporal answers: {}", status.message()))
}
