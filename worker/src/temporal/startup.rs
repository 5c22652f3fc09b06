//! Waits at startup for Temporal, and for the search attributes.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{anyhow, bail};
pub use countersign_connection::TemporalSettings;
use countersign_connection::{NotConnected, may_pass, read};
use countersign_protos::{
    names::{
        ATTRIBUTE_DEADLINE, ATTRIBUTE_LINKS, ATTRIBUTE_REVIEWERS, ATTRIBUTE_STATUS,
        ATTRIBUTE_UNDELIVERABLE,
    },
    settings::{Environment, WrongSettings},
};
use temporalio_client::{
    Client, Connection, ConnectionOptions, GrpcCompression,
    tonic::{Code, IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
    workflowservice::v1::CountWorkflowExecutionsRequest,
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// How long the server may take to answer the first call.
const CONNECT: Duration = Duration::from_secs(10);
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// How often to ask whether the server accepts the search attributes. Few servers take longer than two
/// seconds, and visibility is limited to 10 requests a second by default.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// How long to wait for attributes that this worker is not permitted to register: somebody else may just
/// have done so.
const REGISTERED_ELSEWHERE: Duration = Duration::from_secs(10);
/// How long after the server that is asked the others of its cluster may accept new attributes: each reads the
/// namespaces anew every two seconds (`system.namespaceCacheRefreshInterval`), and a busy one later.
const REST_OF_CLUSTER: Duration = Duration::from_millis(2_500);

pub(super) const ATTRIBUTES: [(&str, IndexedValueType); 5] = [
    (ATTRIBUTE_STATUS, IndexedValueType::Keyword),
    (ATTRIBUTE_REVIEWERS, IndexedValueType::KeywordList),
    (ATTRIBUTE_LINKS, IndexedValueType::KeywordList),
    (ATTRIBUTE_UNDELIVERABLE, IndexedValueType::Bool),
    (ATTRIBUTE_DEADLINE, IndexedValueType::Datetime),
];

/// Reads `TEMPORAL_…` and `temporal.toml`, as every Temporal client does.
///
/// # Errors
/// Every wrong setting.
pub fn temporal_settings() -> Result<TemporalSettings, WrongSettings> {
    let environment = Environment::new(std::env::vars_os(), |path| fs::read(path));
    let mut wrong = WrongSettings::default();
    let settings = read(&environment, Default::default(), &mut wrong);
    wrong.none_or(settings)
}

/// Connects to Temporal, and retries for as long as it cannot be reached.
///
/// # Errors
/// If it refuses this client, or cannot be reached with these settings.
pub async fn connect(temporal: TemporalSettings) -> anyhow::Result<Client> {
    temporal.tell_codec();
    let TemporalSettings { mut connection, client, .. } = temporal;
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
        match countersign_connection::connect(options.clone(), CONNECT).await {
            Ok(connection) => return Ok(connection),
            Err(NotConnected::Unreachable(cause)) => {
                warn!(%address, cause, "waiting for Temporal");
                sleep(RETRY_EVERY).await;
            }
            Err(NotConnected::Misconfigured(why)) => bail!("cannot connect to Temporal: {why}"),
            Err(NotConnected::Refused(why)) => bail!(
                "Temporal at {address} refuses this worker: {why}: check TEMPORAL_API_KEY, \
                 TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_NAMESPACE"
            ),
        }
    }
}

/// Registers missing search attributes, and waits until the server accepts all of them. With SQL stores
/// that takes about two seconds, in which first workflow tasks fail and no link is found. Where they are there,
/// it asks whether they are accepted, and waits for nothing.
///
/// Only one server of the cluster is asked. Where that one was late, the others get time, too.
///
/// # Errors
/// If they are missing and the worker is not permitted to register them, or there is no room for them: the message
/// says what to do. If they have other types.
pub async fn register_search_attributes(client: &Client) -> anyhow::Result<()> {
    loop {
        match register_and_wait(client).await {
            Ok(()) => return Ok(()),
            Err(Missing::Status(status)) if may_pass(&status) => {
                warn!(cause = status.message(), "waiting for Temporal");
                sleep(RETRY_EVERY).await;
            }
            // A server that comes back may answer before it has read its namespaces.
            Err(Missing::Status(status)) if status.code() == Code::NotFound => {
                let namespace = &client.options().namespace;
                warn!(
                    cause = status.message(),
                    "waiting for the namespace in TEMPORAL_NAMESPACE; to create it: \
                     temporal operator namespace create --namespace {namespace}"
                );
                sleep(RETRY_EVERY).await;
            }
            Err(Missing::Status(status)) => {
                bail!("{}", commands(&client.options().namespace, &status))
            }
            Err(Missing::Unusable(why)) => return Err(anyhow!(why)),
        }
    }
}

/// Why search attributes are missing.
enum Missing {
    /// The server says so, or does not let this worker register them.
    Status(Status),
    /// No permission mends it.
    Unusable(String),
}

impl From<Status> for Missing {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

async fn register_and_wait(client: &Client) -> Result<(), Missing> {
    let denied = match register_missing(client).await {
        Ok(()) => return Ok(wait_until_accepted(client, None).await.map(drop)?),
        Err(Missing::Status(status)) if status.code() != Code::NotFound => status,
        Err(missing) => return Err(missing),
    };
    // Searching shows whether they exist, without rights on the operator service. How a proxy denies these is
    // anybody's guess.
    let patience = if may_pass(&denied) { Duration::ZERO } else { REGISTERED_ELSEWHERE };
    match wait_until_accepted(client, Some(patience)).await? {
        true => {
            info!(cause = denied.message(), "the search attributes are there; not checked further");
            Ok(())
        }
        false => Err(denied.into()),
    }
}

async fn register_missing(client: &Client) -> Result<(), Missing> {
    let namespace = client.options().namespace.clone();
    let mut operator = client.connection().operator_service();
    let request = ListSearchAttributesRequest { namespace: namespace.clone() };
    let known = operator.list_search_attributes(request.into_request()).await?.into_inner();
    let (mut known, system) = (known.custom_attributes, known.system_attributes);
    known.extend(system);
    let others = ATTRIBUTES.iter().filter_map(|(name, kind)| {
        let other = known.get(*name).filter(|known| **known != *kind as i32)?;
        Some(format!("{name} is {}, and has to be {kind:?}", type_name(*other)))
    });
    let others: Vec<String> = others.collect();
    if !others.is_empty() {
        return Err(Missing::Unusable(other_types(&others, &namespace)));
    }
    let missing: Vec<_> =
        ATTRIBUTES.into_iter().filter(|(name, _)| !known.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    match add(client, &missing).await {
        Ok(()) => {
            let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
            info!(?names, "registered search attributes");
            Ok(())
        }
        // The server names one type that it has no room for.
        Err(status) if status.code() == Code::InvalidArgument => {
            add_by_type(client, &missing).await
        }
        Err(status) => Err(status.into()),
    }
}

type Attribute = (&'static str, IndexedValueType);

async fn add(client: &Client, attributes: &[Attribute]) -> Result<(), Status> {
    let search_attributes =
        attributes.iter().map(|(name, kind)| ((*name).to_owned(), *kind as i32));
    let request = AddSearchAttributesRequest {
        search_attributes: search_attributes.collect::<HashMap<_, _>>(),
        namespace: client.options().namespace.clone(),
    };
    let mut operator = client.connection().operator_service();
    match operator.add_search_attributes(request.into_request()).await {
        // Another worker was faster.
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        answer => answer.map(drop),
    }
}

/// Registers those of each type by themselves, to name all types that are short.
async fn add_by_type(client: &Client, missing: &[Attribute]) -> Result<(), Missing> {
    let mut short = Vec::new();
    let mut left = missing.to_vec();
    while let Some(&(_, kind)) = left.first() {
        let of_kind: Vec<Attribute> = left.extract_if(.., |(_, other)| *other == kind).collect();
        match add(client, &of_kind).await {
            Ok(()) => {}
            Err(status) if status.code() == Code::InvalidArgument => {
                let names: Vec<&str> = of_kind.iter().map(|(name, _)| *name).collect();
                short.push(format!("{} ({kind:?}): {}", names.join(", "), status.message()));
            }
            Err(status) => return Err(status.into()),
        }
    }
    match short.is_empty() {
        true => Ok(()),
        false => Err(Missing::Unusable(no_room(&short, &client.options().namespace))),
    }
}

/// Waits until the server accepts all search attributes, but no longer than `patience`. Returns whether
/// it does.
async fn wait_until_accepted(client: &Client, patience: Option<Duration>) -> Result<bool, Status> {
    let start = Instant::now();
    let (mut warned, mut was_late) = (start, false);
    loop {
        match count(client).await {
            Ok(()) => {
                if was_late {
                    sleep(REST_OF_CLUSTER).await;
                }
                return Ok(true);
            }
            Err(status) if status.code() == Code::InvalidArgument => {
                if patience.is_some_and(|patience| start.elapsed() >= patience) {
                    return Ok(false);
                }
                was_late = true;
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
        IndexedValueType::Datetime => format!("{name} < '1970-01-01T00:00:00Z'"),
        _ => format!("{name} = 'x'"),
    };
    let query = ATTRIBUTES.map(has).join(" AND ");
    let namespace = client.options().namespace.clone();
    let request = CountWorkflowExecutionsRequest { namespace, query };
    let mut service = client.connection().workflow_service();
    service.count_workflow_executions(request.into_request()).await.map(drop)
}

/// As commands write it, such as `KeywordList`.
fn type_name(kind: i32) -> String {
    IndexedValueType::try_from(kind)
        .map_or_else(|_| "of another type".into(), |kind| format!("{kind:?}"))
}

fn other_types(others: &[String], namespace: &str) -> String {
    format!(
        "search attributes of the namespace {namespace} have other types:\n  {}\nRemove those that nobody else \
         uses, with temporal operator search-attribute remove --namespace {namespace} --name NAME, or use \
         another namespace: no command changes a type.",
        others.join("\n  ")
    )
}

fn no_room(short: &[String], namespace: &str) -> String {
    format!(
        "the namespace {namespace} takes no more search attributes of these types:\n  {}\nRemove some that \
         nobody uses, with temporal operator search-attribute remove --namespace {namespace} --name NAME, \
         or use another namespace: SQL stores take 10 of type Keyword and 3 of each other type.",
        short.join("\n  ")
    )
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
        ClientOptions, Url,
        callback_based::{CallbackBasedGrpcService, GrpcRequest, GrpcSuccessResponse},
    };
    use temporalio_common::protos::temporal::api::{
        operatorservice::v1::ListSearchAttributesResponse,
        workflowservice::v1::{CountWorkflowExecutionsResponse, GetSystemInfoResponse},
    };

    use super::*;

    /// A server that records its calls.
    struct Server {
        /// What is registered.
        known: HashMap<String, i32>,
        /// How the operator service denies access, if it does.
        denies: Option<Code>,
        /// For which types there is no room.
        full: Vec<IndexedValueType>,
        may_search: bool,
        /// How many queries it rejects before it accepts them.
        late: usize,
        asked: Vec<String>,
    }

    impl Server {
        /// Which has none of ours, and serves everybody.
        fn new() -> Self {
            Server {
                known: HashMap::new(),
                denies: None,
                full: Vec::new(),
                may_search: true,
                late: 0,
                asked: Vec::new(),
            }
        }

        fn with(attributes: &[Attribute]) -> Self {
            let known = attributes.iter().map(|(name, kind)| ((*name).into(), (*kind).into()));
            Server { known: known.collect(), ..Server::new() }
        }

        fn answer(&mut self, request: &GrpcRequest) -> Result<Vec<u8>, Status> {
            self.asked.push(request.rpc.clone());
            match (&*request.rpc, self.denies) {
                ("GetSystemInfo", _) => Ok(GetSystemInfoResponse::default().encode_to_vec()),
                ("ListSearchAttributes", None) => {
                    let custom_attributes = self.known.clone();
                    let known =
                        ListSearchAttributesResponse { custom_attributes, ..Default::default() };
                    Ok(known.encode_to_vec())
                }
                ("AddSearchAttributes", None) => {
                    let asked = AddSearchAttributesRequest::decode(request.proto.clone());
                    let new = asked.expect("a request").search_attributes;
                    let full = self
                        .full
                        .iter()
                        .find(|full| new.values().any(|kind| **full as i32 == *kind));
                    if let Some(full) = full {
                        return Err(Status::invalid_argument(format!(
                            "cannot have more than 3 search attribute of type {full:?}."
                        )));
                    }
                    self.known.extend(new);
                    Ok(Vec::new())
                }
                ("CountWorkflowExecutions", _) if self.may_search => {
                    let asked = CountWorkflowExecutionsRequest::decode(request.proto.clone());
                    let query = asked.expect("a request").query;
                    let has_all = ATTRIBUTES.iter().all(|(name, _)| query.contains(name));
                    assert!(has_all, "{query}");
                    let are_there =
                        ATTRIBUTES.iter().all(|(name, _)| self.known.contains_key(*name));
                    if are_there && self.late == 0 {
                        return Ok(CountWorkflowExecutionsResponse::default().encode_to_vec());
                    }
                    self.late = self.late.saturating_sub(1);
                    Err(Status::invalid_argument("column name 'ApprovalLinks' is not defined"))
                }
                (_, denies) => {
                    let code = denies.unwrap_or(Code::PermissionDenied);
                    Err(Status::new(code, "Request unauthorized."))
                }
            }
        }

        fn times(&self, rpc: &str) -> usize {
            self.asked.iter().filter(|asked| *asked == rpc).count()
        }
    }

    async fn register(server: Server) -> (anyhow::Result<()>, Arc<Mutex<Server>>) {
        let server = Arc::new(Mutex::new(server));
        let asked = server.clone();
        let callback = Arc::new(move |request: GrpcRequest| {
            let answer = asked.lock().expect("not poisoned").answer(&request);
            let response = |proto| GrpcSuccessResponse { headers: Default::default(), proto };
            async move { answer.map(response) }.boxed()
        });
        let url: Url = "http://temporal.example".parse().expect("a URL");
        let options = ConnectionOptions::new(url)
            .dns_load_balancing(None)
            .service_override(CallbackBasedGrpcService { callback })
            .build();
        let client = connect((options, ClientOptions::new("default").build()).into()).await;
        (register_search_attributes(&client.expect("a client")).await, server)
    }

    async fn failure(server: Server) -> String {
        register(server).await.0.expect_err("it cannot start").to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn startup_waits_until_the_server_accepts_the_attributes() {
        for known in [&[][..], &ATTRIBUTES] {
            let (done, server) = register(Server { late: 30, ..Server::with(known) }).await;
            assert!(done.is_ok(), "{done:?}");
            let server = server.lock().expect("not poisoned");
            assert_eq!(server.times("AddSearchAttributes"), usize::from(known.is_empty()));
            assert_eq!(server.times("CountWorkflowExecutions"), 31);
        }
    }

    /// First workflow tasks fail on a server that accepts attributes later than the one that is asked.
    #[tokio::test(start_paused = true)]
    async fn the_rest_of_the_cluster_has_time_for_new_attributes_and_old_ones_cost_none() {
        for (late, known) in [(0, &ATTRIBUTES[..]), (0, &[]), (1, &[]), (1, &ATTRIBUTES[..4])] {
            let began = Instant::now();
            let (done, _) = register(Server { late, ..Server::with(known) }).await;
            assert!(done.is_ok(), "{done:?}");
            let right = if late == 0 { Duration::ZERO } else { POLL_EVERY + REST_OF_CLUSTER };
            assert_eq!(began.elapsed(), right, "{known:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attributes_registered_by_others_are_found_without_operator_permission() {
        for code in [Code::PermissionDenied, Code::Unimplemented, Code::Unauthenticated] {
            let denied = |server| Server { denies: Some(code), ..server };
            let (done, _) = register(denied(Server { late: 9, ..Server::with(&ATTRIBUTES) })).await;
            assert!(done.is_ok(), "{done:?}");
            let (done, server) = register(denied(Server::with(&ATTRIBUTES[..4]))).await;
            let said = done.expect_err("one is not there").to_string();
            assert!(said.contains("temporal operator search-attribute create"), "{said}");
            assert!(said.contains("--name ApprovalDeadline --type Datetime"), "{said}");
            assert!(said.contains("Request unauthorized."), "{said}");
            let asked = server.lock().expect("not poisoned").times("CountWorkflowExecutions");
            assert_eq!(asked, 41, "for ten seconds");
        }
    }

    /// As proxies answer that know only some calls.
    #[tokio::test(start_paused = true)]
    async fn an_operator_service_that_only_seems_away_keeps_nobody_from_starting() {
        for code in [Code::Unavailable, Code::Unknown, Code::Internal] {
            let server = Server { denies: Some(code), ..Server::with(&ATTRIBUTES) };
            let (done, server) = register(server).await;
            assert!(done.is_ok(), "{done:?}");
            assert_eq!(server.lock().expect("not poisoned").times("ListSearchAttributes"), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_without_search_permission_starts_if_it_can_register() {
        let (done, _) = register(Server { may_search: false, ..Server::new() }).await;
        assert!(done.is_ok(), "{done:?}");
        let denies = Some(Code::PermissionDenied);
        let (done, _) = register(Server { may_search: false, denies, ..Server::new() }).await;
        assert!(done.is_err(), "nothing shows that they exist");
    }

    #[tokio::test(start_paused = true)]
    async fn every_type_that_the_store_has_no_room_for_is_named() {
        let full = vec![IndexedValueType::KeywordList, IndexedValueType::Datetime];
        let said = failure(Server { full, ..Server::new() }).await;
        for named in [
            "ApprovalReviewers, ApprovalLinks (KeywordList): cannot have more than 3",
            "ApprovalDeadline (Datetime): cannot have more than 3",
            "search-attribute remove --namespace default",
        ] {
            assert!(said.contains(named), "{named} is missing in:\n{said}");
        }
        assert!(!said.contains("ApprovalStatus"), "there is room for it:\n{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn every_attribute_of_another_type_is_named_with_the_type_that_it_has() {
        let mut known = ATTRIBUTES;
        (known[0].1, known[4].1) = (IndexedValueType::Text, IndexedValueType::Keyword);
        let said = failure(Server::with(&known)).await;
        for named in [
            "ApprovalStatus is Text, and has to be Keyword",
            "ApprovalDeadline is Keyword, and has to be Datetime",
        ] {
            assert!(said.contains(named), "{named} is missing in:\n{said}");
        }
        assert_eq!(said.matches("has to be").count(), 2, "{said}");
    }
}
