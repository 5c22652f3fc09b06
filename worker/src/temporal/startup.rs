//! Waits at startup for Temporal, and for the search attributes.

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, anyhow, bail};
use countersign_protos::names::{
    ATTRIBUTE_LINKS, ATTRIBUTE_REVIEWERS, ATTRIBUTE_STATUS, ATTRIBUTE_UNDELIVERABLE,
};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, GrpcCompression,
    envconfig::LoadClientConfigProfileOptions,
    errors::ClientConnectError,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
    workflowservice::v1::CountWorkflowExecutionsRequest,
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

const RETRY_EVERY: Duration = Duration::from_secs(2);
/// How often to ask whether the server accepts the search attributes. Few servers take longer than two
/// seconds, and visibility is limited to 10 requests a second by default.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// How long to wait for attributes that this worker is not permitted to register: somebody else may just
/// have done so.
const REGISTERED_ELSEWHERE: Duration = Duration::from_secs(10);

pub(super) const ATTRIBUTES: [(&str, IndexedValueType); 4] = [
    (ATTRIBUTE_STATUS, IndexedValueType::Keyword),
    (ATTRIBUTE_REVIEWERS, IndexedValueType::KeywordList),
    (ATTRIBUTE_LINKS, IndexedValueType::KeywordList),
    (ATTRIBUTE_UNDELIVERABLE, IndexedValueType::Bool),
];

/// The connection and the namespace to use.
pub type TemporalSettings = (ConnectionOptions, ClientOptions);

/// Reads `TEMPORAL_…` and `temporal.toml`, as every Temporal client does.
///
/// # Errors
/// If they are invalid.
pub fn temporal_settings() -> anyhow::Result<TemporalSettings> {
    ClientOptions::load_from_config(LoadClientConfigProfileOptions::default())
        .map_err(|error| anyhow!("TEMPORAL_…, temporal.toml: {error}"))
}

/// Connects to Temporal, and retries for as long as it cannot be reached.
pub async fn connect((mut connection, client): TemporalSettings) -> anyhow::Result<Client> {
    connection.connect_timeout.get_or_insert(Duration::from_secs(5));
    // Compressing every message takes a quarter of the worker's processor time.
    connection.grpc_compression = GrpcCompression::None;
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

/// Whether a retry may succeed without anybody's help.
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

/// Registers missing search attributes, and waits until the server accepts all of them. With SQL stores
/// that takes about two seconds, in which first workflow tasks fail and no link is found.
///
/// Only one server of the cluster is asked; others may lag for a moment.
///
/// # Errors
/// If they are missing and the worker is not permitted to register them. The message has the commands
/// for somebody who is.
pub async fn register_search_attributes(client: &Client) -> anyhow::Result<()> {
    loop {
        match register_and_wait(client).await {
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
                    "waiting for the namespace in TEMPORAL_NAMESPACE; to create it: \
                     temporal operator namespace create --namespace {namespace}"
                );
                sleep(RETRY_EVERY).await;
            }
            // No command changes the type of an existing attribute.
            Err(status) if status.code() == Code::FailedPrecondition => {
                bail!("{}", status.message())
            }
            Err(status) => bail!("{}", commands(&client.options().namespace, &status)),
        }
    }
}

async fn register_and_wait(client: &Client) -> Result<(), Status> {
    match register_missing(client).await {
        Ok(()) => wait_until_accepted(client, None).await.map(drop),
        // Searching shows whether they exist, without permission for the operator service.
        Err(status) if matches!(status.code(), Code::PermissionDenied | Code::Unimplemented) => {
            match wait_until_accepted(client, Some(REGISTERED_ELSEWHERE)).await? {
                true => Ok(()),
                false => Err(status),
            }
        }
        Err(status) => Err(status),
    }
}

async fn register_missing(client: &Client) -> Result<(), Status> {
    let namespace = client.options().namespace.clone();
    let mut operator = client.connection().operator_service();
    let request = ListSearchAttributesRequest { namespace: namespace.clone() };
    let known = operator.list_search_attributes(request.into_request()).await?.into_inner();
    let (mut known, system) = (known.custom_attributes, known.system_attributes);
    known.extend(system);
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

/// Waits until the server accepts all search attributes, but no longer than `patience`. Returns whether
/// it does.
async fn wait_until_accepted(client: &Client, patience: Option<Duration>) -> Result<bool, Status> {
    let start = Instant::now();
    let mut warned = start;
    loop {
        match count(client).await {
            Ok(()) => return Ok(true),
            Err(status) if status.code() == Code::InvalidArgument => {
                if patience.is_some_and(|patience| start.elapsed() >= patience) {
                    return Ok(false);
                }
                if warned.elapsed() >= RETRY_EVERY {
                    warned = Instant::now();
                    let cause = status.message();
                    warn!(cause, "waiting until Temporal accepts the search attributes");
                }
                sleep(POLL_EVERY).await;
            }
            // A worker needs no permission to search; without it, it cannot tell.
            Err(status) if status.code() == Code::PermissionDenied && patience.is_none() => {
                warn!(
                    cause = status.message(),
                    "not permitted to check whether search attributes are accepted"
                );
                return Ok(true);
            }
            Err(status) => return Err(status),
        }
    }
}

/// Sends a query with every attribute, which matches nothing. The server finds it invalid until it accepts
/// them all.
async fn count(client: &Client) -> Result<(), Status> {
    let has = |(name, kind)| match kind {
        IndexedValueType::Bool => format!("{name} = true"),
        _ => format!("{name} = 'x'"),
    };
    let query = ATTRIBUTES.map(has).join(" AND ");
    let namespace = client.options().namespace.clone();
    let request = CountWorkflowExecutionsRequest { namespace, query };
    let mut service = client.connection().workflow_service();
    service.count_workflow_executions(request.into_request()).await.map(drop)
}

fn commands(namespace: &str, status: &Status) -> String {
    let attributes = ATTRIBUTES.map(|(name, kind)| format!("--name {name} --type {kind:?}"));
    format!(
        "the worker cannot register the search attributes {}: {}\nSomebody with permission has to run:\n  \
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures::FutureExt;
    use prost::Message;
    use temporalio_client::{
        Url,
        callback_based::{CallbackBasedGrpcService, GrpcSuccessResponse},
    };
    use temporalio_common::protos::temporal::api::{
        operatorservice::v1::ListSearchAttributesResponse,
        workflowservice::v1::{CountWorkflowExecutionsResponse, GetSystemInfoResponse},
    };

    use super::*;

    /// A server that records its calls.
    #[derive(Default)]
    struct Server {
        /// Whether they are registered; `None` if the operator service denies access.
        registered: Option<bool>,
        may_search: bool,
        /// How many queries it rejects before it accepts them.
        late: usize,
        asked: Vec<String>,
    }

    impl Server {
        fn answer(&mut self, rpc: &str) -> Result<Vec<u8>, Status> {
            self.asked.push(rpc.to_owned());
            match (rpc, self.registered) {
                ("GetSystemInfo", _) => Ok(GetSystemInfoResponse::default().encode_to_vec()),
                ("ListSearchAttributes", Some(registered)) => {
                    let known = ATTRIBUTES.map(|(name, kind)| (name.to_owned(), kind.into()));
                    let custom_attributes = known.into_iter().filter(|_| registered).collect();
                    let known =
                        ListSearchAttributesResponse { custom_attributes, ..Default::default() };
                    Ok(known.encode_to_vec())
                }
                ("AddSearchAttributes", Some(false)) => {
                    self.registered = Some(true);
                    Ok(Vec::new())
                }
                ("CountWorkflowExecutions", _) if self.may_search && self.late == 0 => {
                    Ok(CountWorkflowExecutionsResponse::default().encode_to_vec())
                }
                ("CountWorkflowExecutions", _) if self.may_search => {
                    self.late -= 1;
                    Err(Status::invalid_argument("column name 'ApprovalLinks' is not defined"))
                }
                _ => Err(Status::permission_denied("Request unauthorized.")),
            }
        }

        fn times(&self, rpc: &str) -> usize {
            self.asked.iter().filter(|asked| *asked == rpc).count()
        }
    }

    async fn register(server: Server) -> (anyhow::Result<()>, Arc<Mutex<Server>>) {
        let server = Arc::new(Mutex::new(server));
        let asked = server.clone();
        let callback = Arc::new(move |request: temporalio_client::callback_based::GrpcRequest| {
            let answer = asked.lock().expect("not poisoned").answer(&request.rpc);
            let response = |proto| GrpcSuccessResponse { headers: Default::default(), proto };
            async move { answer.map(response) }.boxed()
        });
        let url: Url = "http://temporal.example".parse().expect("a URL");
        let options = ConnectionOptions::new(url)
            .dns_load_balancing(None)
            .service_override(CallbackBasedGrpcService { callback })
            .build();
        let client = connect((options, ClientOptions::new("default").build())).await;
        (register_search_attributes(&client.expect("a client")).await, server)
    }

    #[tokio::test(start_paused = true)]
    async fn startup_waits_until_the_server_accepts_the_attributes() {
        for registered in [false, true] {
            let server = Server {
                registered: Some(registered),
                may_search: true,
                late: 30,
                ..Server::default()
            };
            let (done, server) = register(server).await;
            assert!(done.is_ok(), "{done:?}");
            let server = server.lock().expect("not poisoned");
            assert_eq!(server.times("AddSearchAttributes"), usize::from(!registered));
            assert_eq!(server.times("CountWorkflowExecutions"), 31);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attributes_registered_by_others_are_found_without_operator_permission() {
        let (done, _) = register(Server { may_search: true, late: 9, ..Server::default() }).await;
        assert!(done.is_ok(), "{done:?}");
        let missing = Server { may_search: true, late: usize::MAX, ..Server::default() };
        let (done, server) = register(missing).await;
        let said = done.expect_err("they are not there").to_string();
        assert!(said.contains("temporal operator search-attribute create"), "{said}");
        assert!(said.contains("Request unauthorized."), "{said}");
        let asked = server.lock().expect("not poisoned").times("CountWorkflowExecutions");
        assert_eq!(asked, 41, "for ten seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_without_search_permission_starts_if_it_can_register() {
        let (done, _) = register(Server { registered: Some(false), ..Server::default() }).await;
        assert!(done.is_ok(), "{done:?}");
        let (done, _) = register(Server::default()).await;
        assert!(done.is_err(), "nothing shows that they exist");
    }
}
