//! Outcomes as webhooks, signed by the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>).

use std::{
    error::Error,
    fmt,
    str::FromStr,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use countersign_protos::{
    guessable, listed,
    text::clean_line,
    v1::{Outcome, Status},
};
use countersign_telemetry::traces::{self, SpanKind};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use reqwest::{
    Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::json;
use tower::{Service, layer::layer_fn};

/// At most this many deliveries per worker at a time, so that a receiver that hangs blocks no more.
pub(crate) const MAX_CONCURRENT: usize = 20;
/// Appended to the approvals' task queue, it names the one for deliveries.
pub(crate) const WEBHOOK_QUEUE_SUFFIX: &str = "-webhook";
/// For all addresses of the receiver's host together: each gets an equal share, so that one that drops
/// packets leaves time for the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// Includes connecting. Shorter than the time-out of an activity's attempt, so that the failure names
/// the cause.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// Lower bound for `Retry-After`: with 0, retries would never pause.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Upper bound for `Retry-After`: after a longer wait, the outcome would seem lost.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// How much of an error response's body is kept.
const KEPT_CHARS: usize = 200;
/// How much of it is read.
const READ_BYTES: usize = 4 * 1024;
/// Standard Webhooks' minimum.
const MIN_SECRET_BYTES: usize = 24;

/// The receiver to which outcomes are POSTed.
pub struct Webhook {
    url: Url,
    secrets: WebhookSecrets,
    client: Client,
    task_queue: Option<String>,
}

/// The secrets that sign webhooks, each `whsec_` and base64, separated by commas or line breaks. All of them
/// sign, so that during a rotation a receiver needs to know only the old or only the new one. Each is there once,
/// and none can be guessed.
pub struct WebhookSecrets(Vec<standardwebhooks::Webhook>);

/// Every problem with webhook secrets, without the secrets themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}; generate one with: echo \"whsec_$(openssl rand -base64 32)\"", .0.join(", "))]
pub struct WebhookSecretsError(Vec<String>);

impl FromStr for WebhookSecrets {
    type Err = WebhookSecretsError;

    fn from_str(text: &str) -> Result<Self, WebhookSecretsError> {
        let secrets = listed(text, "secret", read_secret).map_err(WebhookSecretsError)?;
        Ok(Self(secrets.into_iter().flat_map(standardwebhooks::Webhook::from_bytes).collect()))
    }
}

/// The bytes of a secret, or what is wrong with it.
fn read_secret(secret: &str) -> Result<Vec<u8>, String> {
    let base64 = secret.strip_prefix("whsec_");
    let key = base64.and_then(|base64| BASE64_STANDARD.decode(base64).ok());
    let key = key.ok_or("must be whsec_ followed by base64")?;
    if key.len() < MIN_SECRET_BYTES {
        return Err(format!("has {} bytes, and needs at least {MIN_SECRET_BYTES}", key.len()));
    }
    match guessable(&key) {
        Some(why) => Err(why.to_owned()),
        None => Ok(key),
    }
}

impl WebhookSecrets {
    /// One signature for each secret, separated by spaces as the specification requires.
    fn sign(
        &self,
        id: &str,
        at: Timestamp,
        body: &str,
    ) -> Result<String, standardwebhooks::WebhookError> {
        let sign =
            |secret: &standardwebhooks::Webhook| secret.sign(id, at.as_second(), body.as_bytes());
        let signatures: Vec<String> = self.0.iter().map(sign).collect::<Result<_, _>>()?;
        Ok(signatures.join(" "))
    }
}

/// Why an outcome was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// 410, which means in Standard Webhooks that the receiver wants no more of them.
    #[error("the webhook answered {0}, which means that it accepts no more outcomes")]
    Gone(String),
    /// Any other status than 2xx. The receiver may accept the outcome later.
    #[error("the webhook answered {answer}")]
    Refused {
        /// Status and beginning of the body.
        answer: String,
        /// From its `Retry-After`, a second to an hour.
        retry_after: Option<Duration>,
    },
    /// The receiver cannot be reached, or did not answer in time.
    #[error("the webhook cannot be reached: {0}")]
    Unreachable(String),
    /// The outcome could not be signed.
    #[error("the webhook cannot be signed: {0}")]
    Unsigned(#[from] standardwebhooks::WebhookError),
}

impl WebhookError {
    /// For metrics and traces.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Gone(_) => "gone",
            Self::Refused { .. } | Self::Unsigned(_) => "refused",
            Self::Unreachable(_) => "unreachable",
        }
    }
}

impl Webhook {
    /// A receiver, and the secrets that it shares with us.
    ///
    /// # Errors
    /// If this machine has no trusted certificates.
    pub fn new(url: Url, secrets: WebhookSecrets) -> Result<Self, String> {
        let client =
            client().build().map_err(|error| anyhow::Error::new(error).root_cause().to_string())?;
        Ok(Self { url, secrets, client, task_queue: None })
    }

    /// Puts deliveries on a task queue of their own, which needs a worker.
    pub(crate) fn on_task_queue(&mut self, task_queue: String) {
        self.task_queue = Some(task_queue);
    }

    /// The task queue for deliveries, if it is not that of the approvals.
    pub(crate) fn task_queue(&self) -> Option<String> {
        self.task_queue.clone()
    }

    /// Connects to the receiver as for a delivery, through the same proxy and with the same
    /// certificates, and sends nothing.
    ///
    /// # Errors
    /// If it cannot connect.
    pub fn connect(&self) -> impl Future<Output = Result<(), WebhookError>> + use<> {
        let client = client().connector_layer(layer_fn(ConnectOnly)).build();
        let url = self.url.clone();
        async move {
            match client.map(|client| client.head(url))?.send().await {
                Err(error) if !has_connected(&error) => Err(error.into()),
                _ => Ok(()),
            }
        }
    }

    /// Tries out the connection, as [`connect`](Self::connect) does; says whose it is.
    ///
    /// # Errors
    /// If it cannot connect.
    pub async fn examine(&self) -> Result<String, WebhookError> {
        self.connect().await?;
        let host = self.url.host_str().unwrap_or_default();
        Ok(format!("{host} can be reached; nothing was sent"))
    }

    /// POSTs one outcome. `webhook-id` is its execution key and status, so that a receiver that gets it
    /// twice, also after a reset, can act once. `traceparent` (W3C Trace Context) goes with it where the approval is
    /// traced. Returns the receiver's status, for the history.
    ///
    /// # Errors
    /// If the receiver did not accept it. Redirects are not followed: only the operator says who gets
    /// outcomes.
    pub async fn deliver(
        &self,
        workflow_id: &str,
        outcome: &Outcome,
    ) -> Result<String, WebhookError> {
        let delivering = self.deliver_once(workflow_id, outcome);
        let failed = |error: &WebhookError| traces::failed(error.kind());
        traces::in_span("POST", SpanKind::Client, async { delivering.await.inspect_err(failed) })
            .await
    }

    async fn deliver_once(
        &self,
        workflow_id: &str,
        outcome: &Outcome,
    ) -> Result<String, WebhookError> {
        traces::note("http.request.method", "POST");
        traces::note("server.address", self.url.host_str().unwrap_or_default().to_owned());
        let mut request = self.request(workflow_id, outcome, Timestamp::now())?;
        for (name, value) in traces::http_headers() {
            request = request.header(name, value);
        }
        let response = request.send().await?;
        traces::note("http.response.status_code", i64::from(response.status().as_u16()));
        match response.status() {
            status if status.is_success() => Ok(format!("accepted: {status}")),
            StatusCode::GONE => Err(WebhookError::Gone(answer(response).await)),
            _ => {
                let retry_after = retry_after(response.headers(), SystemTime::now());
                Err(WebhookError::Refused { answer: answer(response).await, retry_after })
            }
        }
    }

    /// The workflow ID would not do as `webhook-id`: somebody may reuse it for another approval, or choose
    /// one that is not valid in a header.
    fn request(
        &self,
        workflow_id: &str,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<RequestBuilder, WebhookError> {
        let body = body(workflow_id, outcome);
        let status = outcome.status().as_str_name().to_lowercase();
        let id = format!("{}-{status}", outcome.execution_key);
        let signatures = self.secrets.sign(&id, now, &body)?;
        Ok(self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.as_second().to_string())
            .header("webhook-signature", signatures)
            .body(body))
    }
}

fn client() -> ClientBuilder {
    Client::builder()
        .timeout(RESPONSE_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(Policy::none())
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
}

/// A response in one line: status, redirect target, and the beginning of the body.
async fn answer(mut response: Response) -> String {
    let mut answer = response.status().to_string();
    if let Some(target) = response.headers().get(LOCATION) {
        let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
        answer.push_str(&format!(", a redirect to {}", excerpt(&target)));
    }
    let mut body = Vec::new();
    // If reading fails or times out, use what has arrived.
    while body.len() < READ_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    match excerpt(&String::from_utf8_lossy(&body)) {
        text if text.is_empty() => answer,
        text => format!("{answer}: {text}"),
    }
}

/// The beginning of a receiver's text, in one line and without control characters.
fn excerpt(text: &str) -> String {
    clean_line(text).chars().take(KEPT_CHARS).collect()
}

/// `Retry-After`, in seconds or as an HTTP date (RFC 9110, 10.2.3), within our bounds.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A date in the past means now.
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
}

/// Where a URL leads to, without what may be secret in it.
fn host_and_port(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

impl From<reqwest::Error> for WebhookError {
    fn from(error: reqwest::Error) -> Self {
        let (connecting, late) = (error.is_connect(), error.is_timeout());
        let place = error.url().filter(|_| connecting).and_then(host_and_port);
        let why = match (connecting, late) {
            (true, true) => format!("no connection within {CONNECT_TIMEOUT:?}"),
            (false, true) => format!("no answer within {RESPONSE_TIMEOUT:?}"),
            // Without the URL, which may contain a secret.
            (_, false) => {
                let why = anyhow::Error::new(error.without_url()).root_cause().to_string();
                match place {
                    Some(place) => format!("{place}: {why}"),
                    None => why,
                }
            }
        };
        // What rustls says of an unknown authority, and of a self-signed certificate.
        let untrusted = why.contains("UnknownIssuer") || why.contains("CaUsedAsEndEntity");
        WebhookError::Unreachable(match untrusted {
            true => format!(
                "{why}: its certificate is self-signed, or from an authority that this machine does \
                 not trust; SSL_CERT_FILE can name others"
            ),
            false => why,
        })
    }
}

/// Ends each request with [`Connected`] once its connection is open.
#[derive(Debug, Clone)]
struct ConnectOnly<S>(S);

/// An error only in form: the connection was opened, and nothing more is wanted.
#[derive(Debug, thiserror::Error)]
#[error("connected")]
struct Connected;

type BoxError = Box<dyn Error + Send + Sync>;

impl<R, S: Service<R, Error = BoxError, Future: Send + 'static>> Service<R> for ConnectOnly<S> {
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let connecting = self.0.call(to);
        async move { connecting.await.and_then(|_| Err(Connected.into())) }.boxed()
    }
}

fn has_connected(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.any(|cause| cause.is::<Connected>())
}

/// The same for each attempt: `timestamp` is the time of the decision.
fn body(workflow_id: &str, outcome: &Outcome) -> String {
    let kind = match outcome.status() {
        Status::Approved => "approval.approved",
        Status::Rejected => "approval.rejected",
        Status::Expired => "approval.expired",
        Status::Withdrawn => "approval.withdrawn",
        Status::Pending | Status::ChangesRequested | Status::Unspecified => "approval.pending",
    };
    let mut data = json!(outcome);
    data["workflowId"] = json!(workflow_id);
    json!({"type": kind, "timestamp": data["decidedAt"], "data": data}).to_string()
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.url.host_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
