//! The connection to Temporal: made in the background; every call has its own deadline.

use std::{error::Error, time::Duration};

use countersign_protos::payload::Payload;
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, GrpcCompression, NamespacedClient,
    RetryOptions, RpcOptions,
    errors::{ClientError, WorkflowInteractionError, WorkflowQueryError},
    grpc::WorkflowService,
    tonic::{self, Code, ConnectError, IntoRequest},
};
use temporalio_common::protos::temporal::api::{
    common::v1, workflowservice::v1::DescribeNamespaceRequest,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const CONNECT: Duration = Duration::from_secs(3);
const RECONNECT: Duration = Duration::from_secs(1);
const READY: Duration = Duration::from_secs(2);
/// An outage of at least this long is noticed, even without requests.
const WATCH: Duration = Duration::from_secs(2);
/// How long the visibility index may lag after an outage.
const CATCH_UP: Duration = Duration::from_secs(30);

/// A connection that may not be established yet.
pub(crate) struct Temporal {
    client: watch::Receiver<Option<Client>>,
    pub(crate) outage: Outage,
    /// Connecting stops when this is dropped.
    _connecting: JoinSet<()>,
}

/// When Temporal last failed to answer this process.
#[derive(Clone, Default)]
pub(crate) struct Outage(watch::Sender<Option<Instant>>);

impl Outage {
    pub(crate) fn note(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// Whether it is long enough ago for the visibility index to be up to date.
    pub(crate) fn is_over(&self) -> bool {
        self.0.borrow().is_none_or(|last| last.elapsed() >= CATCH_UP)
    }
}

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    #[error("not connected to Temporal: {0}")]
    NotSent(String),
    /// The workflow does not exist, or is closed.
    #[error("not found: {0}")]
    NotFound(String),
    /// Temporal refused it for now, such as over a rate limit.
    #[error("refused for now: {0}")]
    Busy(String),
    /// Temporal refused it for good.
    #[error("refused: {0}")]
    Refused(String),
    /// Only a newer version of this program can tell whether it is genuine.
    #[error("made by a newer version: {0}")]
    Newer(String),
    /// No answer: it may have had its effect.
    #[error("no answer: {0}")]
    Uncertain(String),
}

impl Temporal {
    /// Keeps trying to connect until it succeeds. From then on the channel reconnects by itself, and
    /// outages are noticed.
    pub(crate) fn connect(mut connection: ConnectionOptions, client: ClientOptions) -> Self {
        // Retries are counted against each call's own deadline, in `call`.
        connection.retry_options = RetryOptions::no_retries();
        connection.connect_timeout = Some(CONNECT);
        // Compressing every message takes more time than it saves.
        connection.grpc_compression = GrpcCompression::None;
        connection.identity = format!("countersign-signaler@{}", std::process::id());
        let target = connection.target.clone();
        let (sender, receiver) = watch::channel(None);
        let outage = Outage::default();
        // There may have been one just before this process started.
        outage.note();
        let noted = outage.clone();
        let mut connecting = JoinSet::new();
        connecting.spawn(async move {
            let mut last_error = String::new();
            loop {
                let error = match timeout(CONNECT, Connection::connect(connection.clone())).await {
                    Ok(Ok(connected)) => match Client::new(connected, client.clone()) {
                        Ok(client) => {
                            let namespace = client.namespace();
                            tracing::info!(%target, namespace, "connected to Temporal");
                            sender.send_replace(Some(client.clone()));
                            watch(&client, &noted).await;
                            return;
                        }
                        Err(error) => error.to_string(),
                    },
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("no answer within {CONNECT:?}"),
                };
                if error != last_error {
                    tracing::warn!(%target, error, "cannot reach Temporal; retrying");
                    last_error = error;
                }
                noted.note();
                sleep(RECONNECT).await;
            }
        });
        Temporal { client: receiver, outage, _connecting: connecting }
    }

    /// # Errors
    /// [`Failure::NotSent`] before the first connection.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let client = self.client.borrow().clone();
        client.ok_or_else(|| Failure::NotSent("it has not been reached yet".to_owned()))
    }

    /// Whether Temporal serves the namespace right now.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        let client = self.client()?;
        call(READY, |options| describe(client.clone(), options.timeout.unwrap_or(READY))).await
    }

    /// Records a failed call, if it was not answered: a rate limit is an answer.
    pub(crate) fn note_failure(&self, failure: &Failure) {
        if !matches!(failure, Failure::Busy(_) | Failure::Newer(_)) {
            self.outage.note();
        }
    }
}

/// Notices outages even without requests.
async fn watch(client: &Client, outage: &Outage) {
    loop {
        match timeout(READY, describe(client.clone(), READY)).await {
            Ok(Ok(())) => sleep(WATCH).await,
            // A rate limit is not an outage.
            Ok(Err(status)) if status.code() == Code::ResourceExhausted => sleep(WATCH).await,
            Ok(Err(_)) | Err(_) => {
                outage.note();
                sleep(RECONNECT).await;
            }
        }
    }
}

async fn describe(mut client: Client, timeout: Duration) -> Result<(), tonic::Status> {
    let namespace = client.namespace();
    let mut request = DescribeNamespaceRequest { namespace, ..Default::default() }.into_request();
    request.set_timeout(timeout);
    client.describe_namespace(request).await.map(drop)
}

/// Makes a call without side effects, with retries until the deadline.
pub(crate) async fn call<T, E, Fut>(
    deadline: Duration,
    attempt: impl Fn(RpcOptions) -> Fut,
) -> Result<T, Failure>
where
    Fut: Future<Output = Result<T, E>>,
    Failure: From<E>,
{
    attempts(deadline, attempt).await.map_err(|failed| failed.last)
}

/// As [`call`], for an idempotent call with an effect: after an attempt without an answer, no later
/// refusal proves that nothing happened.
pub(crate) async fn call_with_effect<E, Fut>(
    deadline: Duration,
    attempt: impl Fn(RpcOptions) -> Fut,
) -> Result<(), Failure>
where
    Fut: Future<Output = Result<(), E>>,
    Failure: From<E>,
{
    attempts(deadline, attempt).await.map_err(|failed| match failed.last {
        failure @ Failure::Uncertain(_) => failure,
        // Not even `NotFound`: the earlier attempt may be what closed the workflow.
        failure if failed.maybe_done => Failure::Uncertain(failure.to_string()),
        failure => failure,
    })
}

struct AllFailed {
    last: Failure,
    /// Whether any attempt had no answer.
    maybe_done: bool,
}

async fn attempts<T, E, Fut>(
    deadline: Duration,
    attempt: impl Fn(RpcOptions) -> Fut,
) -> Result<T, AllFailed>
where
    Fut: Future<Output = Result<T, E>>,
    Failure: From<E>,
{
    let until = Instant::now() + deadline;
    let mut pause = Duration::from_millis(50);
    let mut unanswered = 0;
    let mut maybe_done = false;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let options = RpcOptions::builder().timeout(left).build();
        let failure = match timeout(left, attempt(options)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::Uncertain(format!("no answer within {deadline:?}")),
        };
        maybe_done |= matches!(failure, Failure::Uncertain(_));
        let again = match &failure {
            Failure::Busy(_) => true,
            Failure::NotSent(_) | Failure::Uncertain(_) => {
                unanswered += 1;
                unanswered < 3
            }
            Failure::NotFound(_) | Failure::Refused(_) | Failure::Newer(_) => false,
        };
        if !again || Instant::now() + pause >= until {
            return Err(AllFailed { last: failure, maybe_done });
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(400));
    }
}

/// Payloads, for messages to be read from.
pub(crate) fn from_temporal(payloads: Vec<v1::Payload>) -> Vec<Payload> {
    let convert = |v1::Payload { metadata, data, .. }| Payload { metadata, data };
    payloads.into_iter().map(convert).collect()
}

/// A message's payload, to be sent.
pub(crate) fn to_temporal(Payload { metadata, data }: Payload) -> v1::Payload {
    v1::Payload { metadata, data, ..v1::Payload::default() }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let why = format!("{:?}: {}", status.code(), status.message());
        match status.code() {
            // A restarted server may answer before it has loaded its namespaces.
            Code::NotFound if misses_namespace(&status) => Failure::Busy(why),
            Code::NotFound => Failure::NotFound(why),
            Code::ResourceExhausted => Failure::Busy(why),
            Code::Unavailable if never_connected(&status) => Failure::NotSent(why),
            Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::AlreadyExists
            | Code::OutOfRange => Failure::Refused(why),
            _ => Failure::Uncertain(why),
        }
    }
}

/// Whether the namespace was not found, rather than a workflow in it. The details are a
/// `google.rpc.Status`, which names the failure's type.
fn misses_namespace(status: &tonic::Status) -> bool {
    String::from_utf8_lossy(status.details()).contains("errordetails.v1.NamespaceNotFoundFailure")
}

/// Whether the connection failed, so that nothing can have been sent.
fn never_connected(status: &tonic::Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Rpc(status) => status.into(),
            other => Failure::Refused(other.to_string()),
        }
    }
}

impl From<WorkflowInteractionError> for Failure {
    fn from(error: WorkflowInteractionError) -> Self {
        match error {
            WorkflowInteractionError::NotFound(status) | WorkflowInteractionError::Rpc(status) => {
                status.into()
            }
            other => Failure::Refused(other.to_string()),
        }
    }
}

impl From<WorkflowQueryError> for Failure {
    fn from(error: WorkflowQueryError) -> Self {
        match error {
            WorkflowQueryError::NotFound(status) | WorkflowQueryError::Rpc(status) => status.into(),
            other => Failure::Refused(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use temporalio_client::Url;

    use super::*;

    async fn outcome(answers: &[Result<(), Code>]) -> (Result<(), Failure>, usize) {
        let calls = AtomicUsize::new(0);
        let result = call(Duration::from_secs(2), |_| one_of(answers, &calls)).await;
        (result, calls.into_inner())
    }

    async fn one_of(
        answers: &[Result<(), Code>],
        calls: &AtomicUsize,
    ) -> Result<(), tonic::Status> {
        let i = calls.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        answers[i].map_err(|code| tonic::Status::new(code, "as told"))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_busy_is_asked_again_until_the_deadline() {
        let (result, calls) = outcome(&[Err(Code::ResourceExhausted), Ok(())]).await;
        assert!(matches!((result, calls), (Ok(()), 2)));
        let (result, calls) = outcome(&[Err(Code::ResourceExhausted)]).await;
        assert!(matches!(result, Err(Failure::Busy(_))));
        assert!((4..12).contains(&calls), "{calls}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_outage_the_index_has_time_to_catch_up() {
        let outage = Outage::default();
        assert!(outage.is_over());
        outage.note();
        assert!(!outage.is_over());
        sleep(CATCH_UP).await;
        assert!(outage.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_before_its_start_a_process_does_not_know() {
        let nowhere = Url::parse("http://127.0.0.1:9").expect("a URL");
        let connection = ConnectionOptions::new(nowhere).build();
        let temporal = Temporal::connect(connection, ClientOptions::new("default").build());
        assert!(!temporal.outage.is_over(), "the index may lag after an outage that is just over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        let (result, calls) = outcome(&[Err(Code::NotFound)]).await;
        assert!(matches!((result, calls), (Err(Failure::NotFound(_)), 1)));
        let (result, calls) = outcome(&[Err(Code::PermissionDenied)]).await;
        assert!(matches!((result, calls), (Err(Failure::Refused(_)), 1)));
    }

    /// What a server says of a namespace that it has not read yet.
    const NO_NAMESPACE: &[u8] = b"\x08\x05\x12\x1eNamespace absent is not found.\x1aU\n\
        Itype.googleapis.com/temporal.api.errordetails.v1.NamespaceNotFoundFailure\
        \x12\x08\n\x06absent";

    #[test]
    fn a_namespace_that_is_not_there_yet_says_nothing_about_a_workflow() {
        let message = "Namespace absent is not found.";
        let details = NO_NAMESPACE.to_vec().into();
        let status = tonic::Status::with_details(Code::NotFound, message, details);
        assert!(matches!(Failure::from(status), Failure::Busy(_)));
        let status = tonic::Status::new(Code::NotFound, "workflow not found for ID: x");
        assert!(matches!(Failure::from(status), Failure::NotFound(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn once_a_call_may_have_happened_no_later_refusal_takes_that_back() {
        for refusal in [Code::PermissionDenied, Code::ResourceExhausted, Code::NotFound] {
            let (answers, calls) = ([Err(Code::Unavailable), Err(refusal)], AtomicUsize::new(0));
            let result =
                call_with_effect(Duration::from_secs(2), |_| one_of(&answers, &calls)).await;
            assert!(matches!(result, Err(Failure::Uncertain(_))), "{result:?}");
            let result =
                call_with_effect(Duration::from_secs(2), |_| one_of(&answers[1..], &calls)).await;
            assert!(!matches!(result, Err(Failure::Uncertain(_))), "{result:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_read_did_not_find_is_not_there_whatever_came_before() {
        let (result, _) = outcome(&[Err(Code::Unavailable), Err(Code::NotFound)]).await;
        assert!(matches!(result, Err(Failure::NotFound(_))), "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_outlives_its_deadline() {
        let began = Instant::now();
        let result: Result<(), Failure> = call(Duration::from_secs(2), |_| async {
            std::future::pending::<Result<(), tonic::Status>>().await
        })
        .await;
        assert!(matches!(result, Err(Failure::Uncertain(_))));
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }
}
