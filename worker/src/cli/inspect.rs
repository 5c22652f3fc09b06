//! `countersign-worker doctor`, `list` and `explain`: gather what there is to know, and have it put into words.

use std::time::Duration;

use anyhow::anyhow;
use countersign_core::diagnosis::{
    Area, Explanation, Finding, Own, Setup, Signaler, as_json, as_text, examine, explain,
    not_found, problems, remedy,
};
use countersign_protos::{Jwks, PublicUrl};
use jiff::Timestamp;
use reqwest::{Client, StatusCode};
use temporalio_client::tonic::{Code, Status};

use super::{RawSettings, Settings};
use crate::temporal::{Inspector, TemporalSettings};

/// How long a signaler may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether everything is as it should be, as text or JSON, and whether it is.
pub async fn doctor(settings: &Settings, temporal: TemporalSettings, json: bool) -> (String, bool) {
    let (address, namespace) =
        (temporal.connection.target.to_string(), temporal.client.namespace.clone());
    let identity = settings.identity(temporal.payload_keys.as_ref());
    let server = async {
        let inspector = Inspector::connect(temporal).await?;
        let server = inspector.server().await?;
        Ok((server, inspector.examine(&settings.task_queue).await))
    };
    let webhook = async {
        let webhook = settings.webhook.as_ref()?;
        Some(webhook.examine().await.map_err(|error| error.to_string()))
    };
    let (server, mail, webhook, signaler) =
        tokio::join!(server, settings.notifier.examine(), webhook, signaler(&settings.public_url));
    let (server, connected) = match server {
        Ok((server, connected)) => (Ok(server), Some(connected)),
        Err(why) => (Err(why), None),
    };
    let now = Timestamp::now();
    let own = Own {
        identity,
        address,
        namespace,
        task_queue: settings.task_queue.clone(),
        public_url: settings.public_url.to_string(),
        longest_wait: settings.longest_wait(now),
    };
    let setup = Setup { now, own, server, connected, mail, webhook, signaler };
    let findings = examine(&setup);
    (rendered(&findings, setup.server_time(), json), problems(&findings) == 0)
}

fn rendered(findings: &[Finding], now: Timestamp, json: bool) -> String {
    match json {
        true => format!("{:#}", as_json(findings)),
        false => as_text(findings, now),
    }
}

/// What a signaler says under the public URL.
async fn signaler(url: &PublicUrl) -> Result<Signaler, String> {
    let cause = |error: reqwest::Error| {
        let why = anyhow::Error::new(error.without_url()).root_cause().to_string();
        if why.contains("timed out") { format!("no answer within {ANSWER:?}") } else { why }
    };
    let client = Client::builder().timeout(ANSWER).build().map_err(cause)?;
    let ready = client.get(format!("{url}/readyz")).send().await.map_err(cause)?;
    let is_ready = match ready.status() {
        status if status.is_success() => true,
        StatusCode::SERVICE_UNAVAILABLE => false,
        status => return Err(format!("it answers {status}, which a signaler does not")),
    };
    let published = client.get(format!("{url}/.well-known/jwks.json")).send().await;
    let keys = match published {
        Ok(answer) if answer.status().is_success() => answer.json::<Jwks>().await.ok(),
        _ => None,
    };
    Ok(Signaler { is_ready, keys: keys.map(|keys| keys.names()) })
}

/// The open approvals of the task queue that the settings name, as text or JSON.
///
/// # Errors
/// Why they cannot be listed, and what to do.
pub async fn list(
    settings: &RawSettings,
    temporal: TemporalSettings,
    details: bool,
    json: bool,
) -> anyhow::Result<String> {
    let task_queue = settings.task_queue().map_err(|wrong| anyhow!("{wrong}"))?;
    let inspector = connect(temporal).await?;
    let now = inspector.server_time().await;
    let overview = inspector.overview(&task_queue, details, now).await;
    let overview = overview.map_err(|status| refused(&status))?;
    Ok(match json {
        true => serde_json::to_string_pretty(&overview)?,
        false => overview.text(now),
    })
}

/// Where one approval stands, why, and what to do, as text or JSON. The inner error says that there is no such
/// workflow.
///
/// # Errors
/// Why Temporal cannot be asked, and what to do.
pub async fn explanation(
    workflow_id: &str,
    temporal: TemporalSettings,
    details: bool,
    json: bool,
) -> anyhow::Result<Result<String, String>> {
    let inspector = connect(temporal).await?;
    let case = inspector.case(workflow_id).await;
    let Some(case) = case.map_err(|status| refused(&status))? else {
        let retention = inspector.retention().await.ok();
        return Ok(Err(not_found(workflow_id, &inspector.namespace(), retention)));
    };
    let now = inspector.server_time().await;
    let explained: Explanation = explain(&case, now, details);
    Ok(Ok(match json {
        true => serde_json::to_string_pretty(&explained)?,
        false => explained.text(),
    }))
}

async fn connect(temporal: TemporalSettings) -> anyhow::Result<Inspector> {
    let address = temporal.connection.target.clone();
    let connected = Inspector::connect(temporal).await;
    connected.map_err(|why| {
        let why = format!("Temporal at {address} cannot be reached: {why}");
        anyhow!("{why}\n{}", remedy(Area::Temporal, &why))
    })
}

/// What a server says that has been reached, and what to do.
fn refused(status: &Status) -> anyhow::Error {
    let why = status.message();
    match status.code() {
        Code::Unavailable | Code::Internal | Code::DeadlineExceeded | Code::Unknown => anyhow!(
            "{why}\n{} countersign-worker doctor looks at the rest.",
            remedy(Area::Store, why)
        ),
        _ => anyhow!("{why}\n{}", remedy(Area::Temporal, why)),
    }
}
