//! The connection to Temporal: made in the background; every call has its own deadline.

use std::{error::Error, future::pending, time::Duration};

use countersign_connection::NotConnected;
use countersign_protos::payload::Payload;
use temporalio_client::{
    Client, ClientOptions, ConnectionOptions, GrpcCompression, NamespacedClient, RetryOptions,
    RpcOptions,
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

use crate::metrics::metrics;

const CONNECT: Duration = Duration::from_secs(3);
const RECONNECT: Duration = Duration::from_secs(1);
const READY: Duration = Duration::from_secs(2);
/// An outage of at least this long is noticed, even without requests.
const WATCH: Duration = Duration::from_secs(2);
/// How long the visibility index may lag after an outage.
const CATCH_UP: Duration = Duration::from_secs(30);

/// A connection that may not be established yet.
pub(crate) struct Temporal {
    connected: watch::Receiver<Result<Client, NotConnected>>,
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
    /// Temporal refused it for good: the code, and why.
    #[error("refused: {0}")]
    Refused(String),
    /// Only a newer version of this program can tell whether it is genuine.
    #[error("made by a newer version: {0}")]
    Newer(String),
    /// No answer: it may have had its effect.
    #[error("no answer: {0}")]
    Uncertain(String),
}

impl Failure {
    /// For probes, which anybody may send: no more than the code of a refusal.
    pub(crate) fn for_probes(&self) -> String {
        let code = |why: &str| why.split(':').next().unwrap_or_default().to_owned();
        match self {
            Failure::Refused(why) => {
                format!("Temporal refuses this process: {}; its log says why\n", code(why))
            }
            Failure::Busy(why) | Failure::NotFound(why) => {
                format!("Temporal does not serve the namespace now: {}\n", code(why))
            }
            Failure::NotSent(_) | Failure::Uncertain(_) | Failure::Newer(_) => {
                "Temporal does not answer\n".to_owned()
            }
        }
    }
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
        let not_yet = NotConnected::Unreachable("it has not been reached yet".to_owned());
        let (sender, connected) = watch::channel(Err(not_yet));
        let outage = Outage::default();
        // There may have been one just before this process started.
        outage.note();
        let noted = outage.clone();
        let mut connecting = JoinSet::new();
        connecting.spawn(async move {
            if let Some(client) = establish(connection, client, &sender, &noted).await {
                watch(&client, &noted).await;
            }
        });
        Temporal { connected, outage, _connecting: connecting }
    }

    /// # Errors
    /// Why there was no connection so far.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.connected.borrow().clone().map_err(|error| match error {
            NotConnected::Refused(why) => Failure::Refused(why),
            NotConnected::Unreachable(why) | NotConnected::Misconfigured(why) => {
                Failure::NotSent(why)
            }
        })
    }

    /// Why nothing but another setting can connect this process, as soon as that is known.
    pub(crate) fn misconfigured(&self) -> impl Future<Output = String> + use<> {
        let mut connected = self.connected.clone();
        async move {
            let hopeless = |known: &Result<Client, NotConnected>| {
                matches!(known, Err(NotConnected::Misconfigured(_)))
            };
            match connected.wait_for(hopeless).await.map(|known| known.clone()) {
                Ok(Err(error)) => error.to_string(),
                _ => pending().await,
            }
        }
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

/// Tries until there is a connection, or until that is hopeless.
async fn establish(
    connection: ConnectionOptions,
    client: ClientOptions,
    known: &watch::Sender<Result<Client, NotConnected>>,
    outage: &Outage,
) -> Option<Client> {
    let target = connection.target.clone();
    let mut last_error = String::new();
    loop {
        let connected = countersign_connection::connect(connection.clone(), CONNECT).await;
        let connected = connected.and_then(|connected| {
            let client = Client::new(connected, client.clone());
            client.map_err(|error| NotConnected::Unreachable(error.to_string()))
        });
        drop(known.send_replace(connected.clone()));
        match connected {
            Ok(client) => {
                let namespace = client.namespace();
                tracing::info!(%target, namespace, "connected to Temporal");
                return Some(client);
            }
            Err(NotConnected::Misconfigured(_)) => return None,
            Err(error) => {
                let error = error.to_string();
                if error != last_error {
                    tracing::warn!(%target, error, "cannot reach Temporal; retrying");
                    last_error = error;
                }
            }
        }
        outage.note();
        metrics().reaches_temporal(false);
        sleep(RECONNECT).await;
    }
}

/// Notices outages even without requests.
async fn watch(client: &Client, outage: &Outage) {
    loop {
        let answers = match timeout(READY, describe(client.clone(), READY)).await {
            Ok(Ok(())) => true,
            // Neither a rate limit is an outage, nor that this one call is not permitted.
            Ok(Err(status)) => {
                matches!(status.code(), Code::ResourceExhausted | Code::PermissionDenied)
            }
            Err(_) => false,
        };
        metrics().reaches_temporal(answers);
        if !answers {
            outage.note();
        }
        sleep(if answers { WATCH } else { RECONNECT }).await;
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
    use std::{
        future::ready,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use countersign_connection::testing::fake_temporal;
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

    /// To a Temporal that denies this call alone.
    fn denying(denied: &'static str) -> ConnectionOptions {
        fake_temporal(move |request| {
            ready(match request.rpc == denied {
                true => Err(tonic::Status::permission_denied("Request unauthorized.")),
                false => Ok(Vec::new()),
            })
        })
    }

    /// What probes read of it.
    async fn probed(denied: &'static str) -> Result<(), String> {
        let client = ClientOptions::new("default").build();
        let temporal = Temporal::connect(denying(denied), client);
        // Nobody is connected before the first attempt.
        sleep(Duration::from_millis(1)).await;
        temporal.ready().await.map_err(|failure| failure.for_probes())
    }

    #[tokio::test(start_paused = true)]
    async fn who_probes_can_tell_a_denial_from_silence() {
        assert_eq!(probed("SomethingElse").await, Ok(()));
        let denied = "Temporal refuses this process: PermissionDenied; its log says why\n";
        assert_eq!(probed("DescribeNamespace").await, Err(denied.to_owned()));
        assert_eq!(probed("GetSystemInfo").await, Err(denied.to_owned()), "from the first call on");
        let nowhere = Url::parse("http://127.0.0.1:9").expect("a URL");
        let connection = ConnectionOptions::new(nowhere).build();
        let temporal = Temporal::connect(connection, ClientOptions::new("default").build());
        let silent = temporal.ready().await.expect_err("nobody is there");
        assert_eq!(silent.for_probes(), "Temporal does not answer\n");
        let absent = tonic::Status::with_details(Code::NotFound, "", NO_NAMESPACE.to_vec().into());
        let absent = Failure::from(absent).for_probes();
        assert_eq!(absent, "Temporal does not serve the namespace now: NotFound\n");
    }

    /// Its index is as good as that of one who permits the call.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_not_permitted_is_no_outage() {
        let outage = Outage::default();
        let connection = denying("DescribeNamespace");
        let connection = countersign_connection::connect(connection, CONNECT).await;
        let client = Client::new(connection.expect("one"), ClientOptions::new("default").build());
        let _ = timeout(CATCH_UP, watch(&client.expect("one"), &outage)).await;
        assert!(outage.is_over());
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
