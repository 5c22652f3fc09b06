//! What has to be there before the worker works: Temporal, and the search attributes.

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
/// How often a server is asked whether it accepts the search attributes: few servers take longer than
/// two seconds, and visibility is limited to 10 requests a second by default.
const ACCEPTED_EVERY: Duration = Duration::from_millis(250);
/// How long attributes that this worker may not register can be on their way, since somebody who may
/// has just registered them.
const REGISTERED_ELSEWHERE: Duration = Duration::from_secs(10);

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

/// Registers the search attributes that are missing, and waits until the server accepts all of them:
/// with SQL stores, that takes some two seconds, in which first workflow tasks fail and no link is
/// found.
///
/// What answers is one server of the cluster; others may be a moment behind.
///
/// # Errors
/// Where the worker may not register them, and they are not there: the commands by which somebody who
/// may can do it.
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

async fn register_and_wait(client: &Client) -> Result<(), Status> {
    match register_missing(client).await {
        Ok(()) => wait_until_accepted(client, None).await.map(drop),
        // Whether they are there is known without rights on the operator's service too.
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

/// Waits until the server accepts all search attributes, at most for so long. Says whether it does.
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
                sleep(ACCEPTED_EVERY).await;
            }
            // A worker needs no right to search; whether they are accepted is then the server's secret.
            Err(status) if status.code() == Code::PermissionDenied && patience.is_none() => {
                warn!(
                    cause = status.message(),
                    "cannot see whether search attributes are accepted"
                );
                return Ok(true);
            }
            Err(status) => return Err(status),
        }
    }
}

/// Counts the workflows that have a value which none has. Where an attribute is not accepted, the
/// server finds the query invalid.
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

    /// What a server answers, and what it was asked.
    #[derive(Default)]
    struct Server {
        /// Its operators' answer to whether they are registered; nothing where we may not ask.
        registered: Option<bool>,
        may_search: bool,
        /// How often it is asked before it accepts them.
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
    async fn what_was_registered_is_used_only_when_the_server_accepts_it() {
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
    async fn what_somebody_else_registered_is_seen_without_an_operators_rights() {
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
    async fn a_worker_that_may_not_search_starts_where_it_could_register() {
        let (done, _) = register(Server { registered: Some(false), ..Server::default() }).await;
        assert!(done.is_ok(), "{done:?}");
        let (done, _) = register(Server::default()).await;
        assert!(done.is_err(), "nothing is known of them");
    }
}
