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
    text::clean_line,
    v1::{Outcome, Status},
};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use reqwest::{
    Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::json;
use tower::{Service, layer::layer_fn};

/// How many deliveries a worker has under way at most: a receiver that hangs holds no more.
pub(crate) const AT_ONCE: usize = 20;
/// What the name of the task queue of deliveries has behind that of the approvals.
pub(crate) const WEBHOOK_QUEUE_SUFFIX: &str = "-webhook";
/// How long a connection may take, over all addresses of the receiver's name: each gets an equal
/// part of it, so that one that drops packets leaves time for the next.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);
/// How long an answer may take, connection included. Less than an activity's attempt may take, so
/// that the cause is seen.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The least that `Retry-After` gets: nothing would be a loop without a pause.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most that it gets: after longer, the outcome would seem to be forgotten.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);
/// How many characters of an unsuccessful answer are kept.
const KEPT_CHARS: usize = 200;
/// How much of such an answer is read.
const READ_BYTES: usize = 4 * 1024;
/// The least that Standard Webhooks allows for a secret.
const MIN_SECRET_BYTES: usize = 24;

/// Where outcomes are POSTed.
pub struct Webhook {
    url: Url,
    secrets: WebhookSecrets,
    client: Client,
    task_queue: Option<String>,
}

/// The secrets that sign webhooks, each `whsec_` and base64, separated by commas. Each of them signs,
/// so that a receiver may know only the old one or only the new one while they are rotated.
pub struct WebhookSecrets(Vec<standardwebhooks::Webhook>);

/// Why a text cannot be used as webhook secrets: every problem, without the secrets themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}; make one with: echo \"whsec_$(openssl rand -base64 32)\"", .0.join(", "))]
pub struct WebhookSecretsError(Vec<String>);

impl FromStr for WebhookSecrets {
    type Err = WebhookSecretsError;

    fn from_str(text: &str) -> Result<Self, WebhookSecretsError> {
        let (mut secrets, mut wrong) = (Vec::new(), Vec::new());
        let all = text.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        for (secret, number) in all.zip(1..) {
            let base64 = secret.strip_prefix("whsec_");
            match base64.and_then(|base64| BASE64_STANDARD.decode(base64).ok()) {
                None => wrong.push(format!("secret {number} must be whsec_ and base64")),
                Some(key) if key.len() < MIN_SECRET_BYTES => wrong.push(format!(
                    "secret {number} has {} bytes, and needs at least {MIN_SECRET_BYTES}",
                    key.len()
                )),
                Some(key) => secrets.extend(standardwebhooks::Webhook::from_bytes(key)),
            }
        }
        match (secrets.is_empty(), wrong.is_empty()) {
            (false, true) => Ok(Self(secrets)),
            (true, true) => Err(WebhookSecretsError(vec!["there is no secret".to_owned()])),
            (_, false) => Err(WebhookSecretsError(wrong)),
        }
    }
}

impl WebhookSecrets {
    /// One signature for each secret, separated by spaces as the specification has it.
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
    /// The receiver does not want it, now or ever: 410, as Standard Webhooks has it.
    #[error("the webhook answered {0}, which means that it takes no more outcomes")]
    Gone(String),
    /// The receiver may take it later.
    #[error("the webhook answered {answer}")]
    Refused {
        /// Its status and what it said.
        answer: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The receiver cannot be reached, or did not answer in time.
    #[error("the webhook cannot be reached: {0}")]
    Unreachable(String),
    /// The outcome could not be signed.
    #[error("the webhook cannot be signed: {0}")]
    Unsigned(#[from] standardwebhooks::WebhookError),
}

impl Webhook {
    /// A receiver, and the secrets that it shares with us.
    ///
    /// # Errors
    /// When this machine has no certificates to trust.
    pub fn new(url: Url, secrets: WebhookSecrets) -> Result<Self, String> {
        let client =
            client().build().map_err(|error| anyhow::Error::new(error).root_cause().to_string())?;
        Ok(Self { url, secrets, client, task_queue: None })
    }

    /// Has outcomes delivered on a task queue of their own, for which somebody has to work.
    pub(crate) fn on_task_queue(&mut self, task_queue: String) {
        self.task_queue = Some(task_queue);
    }

    /// The task queue of deliveries, where it is not that of the approvals.
    pub(crate) fn task_queue(&self) -> Option<String> {
        self.task_queue.clone()
    }

    /// Connects to the receiver as for a delivery, through the same proxy and with the same
    /// certificates, and sends nothing.
    ///
    /// # Errors
    /// Why there is no connection.
    pub fn connect(&self) -> impl Future<Output = Result<(), WebhookError>> + use<> {
        let client = client().connector_layer(layer_fn(OnlyConnects)).build();
        let url = self.url.clone();
        async move {
            match client.map(|client| client.head(url))?.send().await {
                Err(error) if !has_connected(&error) => Err(error.into()),
                _ => Ok(()),
            }
        }
    }

    /// POSTs one outcome. The ID of the run that came to it identifies it, so that a receiver that
    /// gets it twice acts once. Returns what the receiver answered, for the history.
    ///
    /// # Errors
    /// Why it was not taken. Redirects are not followed: who gets outcomes is the operator's to say.
    pub async fn deliver(
        &self,
        run_id: &str,
        workflow_id: &str,
        outcome: &Outcome,
    ) -> Result<String, WebhookError> {
        let request = self.request(run_id, workflow_id, outcome, Timestamp::now())?;
        let response = request.send().await?;
        match response.status() {
            status if status.is_success() => Ok(format!("taken: {status}")),
            StatusCode::GONE => Err(WebhookError::Gone(answer(response).await)),
            _ => {
                let retry_after = retry_after(response.headers(), SystemTime::now());
                Err(WebhookError::Refused { answer: answer(response).await, retry_after })
            }
        }
    }

    /// A workflow's ID would not do as `webhook-id`: whoever starts it chooses it, again for another
    /// approval, or such that no header takes it.
    fn request(
        &self,
        run_id: &str,
        workflow_id: &str,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<RequestBuilder, WebhookError> {
        let body = body(workflow_id, outcome);
        let signatures = self.secrets.sign(run_id, now, &body)?;
        Ok(self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", run_id)
            .header("webhook-timestamp", now.as_second().to_string())
            .header("webhook-signature", signatures)
            .body(body))
    }
}

fn client() -> ClientBuilder {
    Client::builder()
        .timeout(ANSWER_WITHIN)
        .connect_timeout(CONNECT_WITHIN)
        .redirect(Policy::none())
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
}

/// An answer in one line: its status, where it points to, and how it begins.
async fn answer(mut response: Response) -> String {
    let mut answer = response.status().to_string();
    if let Some(place) = response.headers().get(LOCATION) {
        let place = String::from_utf8_lossy(place.as_bytes()).into_owned();
        answer.push_str(&format!(", which points to {}", beginning(&place)));
    }
    let mut body = Vec::new();
    // What breaks off, or does not come in time, has said what there is.
    while body.len() < READ_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    match beginning(&String::from_utf8_lossy(&body)) {
        nothing if nothing.is_empty() => answer,
        said => format!("{answer}: {said}"),
    }
}

/// The beginning of what a receiver wrote, as data: no control characters, in one line.
fn beginning(text: &str) -> String {
    clean_line(text).chars().take(KEPT_CHARS).collect()
}

/// How long the receiver wants us to wait: seconds or an HTTP date (RFC 9110, 10.2.3), as far as it
/// gets it.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // What is past has come.
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER))
}

impl From<reqwest::Error> for WebhookError {
    fn from(error: reqwest::Error) -> Self {
        let (connecting, late) = (error.is_connect(), error.is_timeout());
        let why = match (connecting, late) {
            (true, true) => format!("no connection within {CONNECT_WITHIN:?}"),
            (false, true) => format!("no answer within {ANSWER_WITHIN:?}"),
            // Without the URL, in which a secret may be.
            (_, false) => anyhow::Error::new(error.without_url()).root_cause().to_string(),
        };
        // So rustls says it, also of a certificate that signs itself.
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

/// Ends each request as soon as there is a connection for it.
#[derive(Debug, Clone)]
struct OnlyConnects<S>(S);

/// There is a connection, which is all that was wanted.
#[derive(Debug, thiserror::Error)]
#[error("connected")]
struct Connected;

type BoxError = Box<dyn Error + Send + Sync>;

impl<R, S: Service<R, Error = BoxError, Future: Send + 'static>> Service<R> for OnlyConnects<S> {
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

/// The same for each attempt: what happened, and when it did.
fn body(workflow_id: &str, outcome: &Outcome) -> String {
    let kind = match outcome.status() {
        Status::Approved => "approval.approved",
        Status::Rejected => "approval.rejected",
        Status::Expired => "approval.expired",
        Status::Withdrawn => "approval.withdrawn",
        Status::Pending | Status::Unspecified => "approval.pending",
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
