//! What has to be there before the worker works: Temporal, and the search attributes.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow, bail};
use countersign_protos::names::{
    ATTRIBUTE_LINKS, ATTRIBUTE_REVIEWERS, ATTRIBUTE_STATUS, ATTRIBUTE_UNDELIVERABLE,
};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions,
    envconfig::LoadClientConfigProfileOptions,
    errors::ClientConnectError,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
    workflowservice::v1::GetSearchAttributesRequest,
};
use tokio::time::sleep;
use tracing::{info, warn};

const RETRY_EVERY: Duration = Duration::from_secs(2);

const ATTRIBUTES: [(&str, IndexedValueType); 4] = [
    (ATTRIBUTE_STATUS, IndexedValueType::Keyword),
    (ATTRIBUTE_REVIEWERS, IndexedValueType::KeywordList),
    (ATTRIBUTE_LINKS, IndexedValueType::KeywordList),
    (ATTRIBUTE_UNDELIVERABLE, IndexedValueType::Bool),
];

/// Temporal's own settings.
pub type TemporalSettings = (ConnectionOptions, ClientOptions);

/// Reads Temporal's own settings, as every client of it does.
///
/// # Errors
/// What is wrong with them.
pub fn temporal_settings() -> anyhow::Result<TemporalSettings> {
    ClientOptions::load_from_config(LoadClientConfigProfileOptions::default())
        .map_err(|error| anyhow!("TEMPORAL_…, temporal.toml: {error}"))
}

/// Connects to the Temporal that its own settings name, and waits for it as long as it takes.
pub async fn connect((mut connection, client): TemporalSettings) -> anyhow::Result<Client> {
    connection.connect_timeout.get_or_insert(Duration::from_secs(5));
    let connection = wait_for(connection).await?;
    info!(namespace = client.namespace, "connected to Temporal");
    Ok(Client::new(connection, client)?)
}

async fn wait_for(options: ConnectionOptions) -> anyhow::Result<Connection> {
    let address = options.target.clone();
    loop {
        match Connection::connect(options.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(error) if may_pass(&error) => {
                let error = anyhow!(error);
                warn!(%address, cause = %error.root_cause(), "waiting for Temporal");
                sleep(RETRY_EVERY).await;
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot connect to Temporal at {address}"));
            }
        }
    }
}

/// Whether Temporal may only be late.
fn may_pass(error: &ClientConnectError) -> bool {
    match error {
        ClientConnectError::TonicTransportError(_)
        | ClientConnectError::DnsResolutionError { .. } => true,
        ClientConnectError::SystemInfoCallError(status) => may_pass_later(status),
        _ => false,
    }
}

fn may_pass_later(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unknown
            | Code::Cancelled
            | Code::Internal
    )
}

/// Registers the search attributes that are missing.
///
/// # Errors
/// Where the worker may not: the commands by which somebody who may can do it.
pub async fn register_search_attributes(client: &Client) -> anyhow::Result<()> {
    loop {
        match try_to_register(client).await {
            Ok(()) => return Ok(()),
            Err(status) if may_pass_later(&status) => {
                warn!(cause = status.message(), "waiting for Temporal");
                sleep(RETRY_EVERY).await;
            }
            // A server that comes back may answer before it has read its namespaces.
            Err(status) if status.code() == Code::NotFound => {
                let namespace = &client.options().namespace;
                warn!(
                    cause = status.message(),
                    "waiting for the namespace that TEMPORAL_NAMESPACE names; if there is none yet: \
                     temporal operator namespace create --namespace {namespace}"
                );
                sleep(RETRY_EVERY).await;
            }
            // No command makes another type of what is there.
            Err(status) if status.code() == Code::FailedPrecondition => {
                bail!("{}", status.message())
            }
            Err(status) => bail!("{}", commands(&client.options().namespace, &status)),
        }
    }
}

async fn try_to_register(client: &Client) -> Result<(), Status> {
    let namespace = client.options().namespace.clone();
    let known = known_attributes(client, &namespace).await?;
    let missing: HashMap<String, i32> = ATTRIBUTES
        .iter()
        .filter(|(name, _)| !known.contains_key(*name))
        .map(|(name, kind)| ((*name).to_owned(), *kind as i32))
        .collect();
    if let Some((name, kind)) = ATTRIBUTES
        .iter()
        .find(|(name, kind)| known.get(*name).is_some_and(|k| k != &(*kind as i32)))
    {
        let message = format!(
            "the search attribute {name} exists with another type than {kind:?}: remove it, or use \
             another namespace"
        );
        return Err(Status::failed_precondition(message));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = missing.keys().cloned().collect();
    let request = AddSearchAttributesRequest { search_attributes: missing, namespace };
    let mut operator = client.connection().operator_service();
    match operator.add_search_attributes(request.into_request()).await {
        // Another worker was faster.
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => Err(status),
        Ok(_) => {
            info!(?names, "registered search attributes");
            Ok(())
        }
    }
}

/// All that are known, by whichever of the two calls this server lets us make.
async fn known_attributes(
    client: &Client,
    namespace: &str,
) -> Result<HashMap<String, i32>, Status> {
    let request = ListSearchAttributesRequest { namespace: namespace.to_owned() };
    let mut operator = client.connection().operator_service();
    match operator.list_search_attributes(request.into_request()).await {
        Ok(response) => {
            let response = response.into_inner();
            let mut known = response.custom_attributes;
            known.extend(response.system_attributes);
            Ok(known)
        }
        Err(status) if matches!(status.code(), Code::PermissionDenied | Code::Unimplemented) => {
            let request = GetSearchAttributesRequest::default().into_request();
            let all = client.connection().workflow_service().get_search_attributes(request).await?;
            Ok(all.into_inner().keys)
        }
        Err(status) => Err(status),
    }
}

fn commands(namespace: &str, status: &Status) -> String {
    let attributes = ATTRIBUTES.map(|(name, kind)| format!("--name {name} --type {kind:?}"));
    format!(
        "the search attributes {} cannot be registered here: {}\nSomebody who may has to run:\n  \
         temporal operator search-attribute create --namespace {namespace} {}\nor, in Temporal \
         Cloud:\n{}",
        ATTRIBUTES.map(|(name, _)| name).join(", "),
        status.message(),
        attributes.join(" "),
        ATTRIBUTES
            .map(|(name, kind)| format!(
                "  tcld namespace search-attributes add --namespace {namespace} --sa \"{name}={kind:?}\""
            ))
            .join("\n"),
    )
}
