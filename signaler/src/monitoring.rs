//! What the signaler serves for those who watch it.

use countersign_telemetry::{
    listener::{Route, listen, serve},
    sdk::SdkMetrics,
};

use crate::{Settings, metrics::metrics};

/// Serves metrics, those of Temporal's client among them, if the settings say where.
///
/// # Errors
/// If it cannot listen there.
///
/// # Panics
/// Outside a Tokio runtime.
pub async fn monitor(settings: &mut Settings) -> anyhow::Result<()> {
    metrics().started(&settings.link_keys);
    let Some(address) = settings.metrics_listen else { return Ok(()) };
    let listener = listen(address).await?;
    let sdk = SdkMetrics::start()?;
    settings.temporal.connection.metrics_meter = sdk.of_connection()?;
    tokio::spawn(serve(
        listener,
        vec![Route::metrics(move || sdk.clone().behind(metrics().all.page()))],
    ));
    tracing::info!(%address, "serving metrics");
    Ok(())
}
