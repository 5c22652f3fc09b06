//! Registers the search attributes, and waits until the server accepts them.

use std::{collections::HashMap, time::Duration};

use anyhow::{anyhow, bail};
use countersign_connection::may_pass;
use countersign_protos::names::{
    ATTRIBUTE_DEADLINE, ATTRIBUTE_LINKS, ATTRIBUTE_REVIEWERS, ATTRIBUTE_STATUS,
    ATTRIBUTE_UNDELIVERABLE,
};
use temporalio_client::{
    Client,
    tonic::{Code, IntoRequest, Response, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::IndexedValueType,
    operatorservice::v1::{
        AddSearchAttributesRequest, ListSearchAttributesRequest, ListSearchAttributesResponse,
    },
    workflowservice::v1::CountWorkflowExecutionsRequest,
};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::client::RETRY_EVERY;

/// How often to ask whether the server accepts the search attributes. Few servers take longer than two
/// seconds, and visibility is limited to 10 requests a second by default.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// How long to wait for attributes that this worker is not permitted to register: somebody else may just
/// have done so.
const REGISTERED_ELSEWHERE: Duration = Duration::from_secs(10);
/// How long after the server that is asked the others of its cluster may accept new attributes: each reads the
/// namespaces anew every two seconds (`system.namespaceCacheRefreshInterval`), and a busy one later.
const REST_OF_CLUSTER: Duration = Duration::from_millis(2_500);

/// Its name, and its type.
pub(super) type Attribute = (&'static str, IndexedValueType);

pub(super) const ATTRIBUTES: [Attribute; 5] = [
    (ATTRIBUTE_STATUS, IndexedValueType::Keyword),
    (ATTRIBUTE_REVIEWERS, IndexedValueType::KeywordList),
    (ATTRIBUTE_LINKS, IndexedValueType::KeywordList),
    (ATTRIBUTE_UNDELIVERABLE, IndexedValueType::Bool),
    (ATTRIBUTE_DEADLINE, IndexedValueType::Datetime),
];

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
    let namespace = &client.options().namespace;
    let known = types(list(client).await?.into_inner());
    let others = ATTRIBUTES.iter().filter_map(|(name, kind)| {
        let other = known.get(*name).filter(|known| **known != *kind as i32)?;
        Some(format!("{name} is {}, and has to be {kind:?}", type_name(*other)))
    });
    let others: Vec<String> = others.collect();
    if !others.is_empty() {
        return Err(Missing::Unusable(other_types(&others, namespace)));
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

/// Asks for the search attributes of the namespace, with permission for the operator service.
pub(super) async fn list(
    client: &Client,
) -> Result<Response<ListSearchAttributesResponse>, Status> {
    let request = ListSearchAttributesRequest { namespace: client.options().namespace.clone() };
    let mut operator = client.connection().operator_service();
    operator.list_search_attributes(request.into_request()).await
}

/// The types of those that there are, by their names.
pub(super) fn types(listed: ListSearchAttributesResponse) -> HashMap<String, i32> {
    let mut types = listed.custom_attributes;
    types.extend(listed.system_attributes);
    types
}

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
    let query = ATTRIBUTES.map(probe).join(" AND ");
    let namespace = client.options().namespace.clone();
    let request = CountWorkflowExecutionsRequest { namespace, query };
    let mut service = client.connection().workflow_service();
    service.count_workflow_executions(request.into_request()).await.map(drop)
}

/// A query that matches nothing. The server finds it invalid until it accepts the attribute.
pub(super) fn probe((name, kind): Attribute) -> String {
    match kind {
        IndexedValueType::Bool => format!("{name} = true"),
        IndexedValueType::Datetime => format!("{name} < '1970-01-01T00:00:00Z'"),
        _ => format!("{name} = 'x'"),
    }
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

/// The command that registers these.
pub(super) fn create_command(namespace: &str, attributes: &[Attribute]) -> String {
    let flags: Vec<String> =
        attributes.iter().map(|(name, kind)| format!("--name {name} --type {kind:?}")).collect();
    format!("temporal operator search-attribute create --namespace {namespace} {}", flags.join(" "))
}

fn commands(namespace: &str, status: &Status) -> String {
    format!(
        "the worker cannot register the search attributes {}: {}\nSomebody with permission has to run:\n  \
         {}\nor, in Temporal Cloud:\n{}",
        ATTRIBUTES.map(|(name, _)| name).join(", "),
        status.message(),
        create_command(namespace, &ATTRIBUTES),
        ATTRIBUTES
            .map(|(name, kind)| format!(
                "  tcld namespace search-attributes add --namespace {namespace} --sa \"{name}={kind:?}\""
            ))
            .join("\n"),
    )
}

#[cfg(test)]
mod tests;
