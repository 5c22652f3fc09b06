//! Outcomes as webhooks, signed by the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>).

use std::{fmt, str::FromStr, time::Duration};

use countersign_protos::v1::{Outcome, Status};
use jiff::Timestamp;
use reqwest::{Client, Url, header::CONTENT_TYPE, redirect::Policy};
use serde_json::json;

/// Where outcomes are POSTed.
pub struct Webhook {
    url: Url,
    secret: WebhookSecret,
    client: Client,
}

/// The secret that signs webhooks: `whsec_` and base64.
pub struct WebhookSecret(standardwebhooks::Webhook);

/// A text that is no webhook secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be whsec_ and base64, such as the output of: echo \"whsec_$(openssl rand -base64 32)\""
)]
pub struct NotAWebhookSecret;

impl FromStr for WebhookSecret {
    type Err = NotAWebhookSecret;

    fn from_str(text: &str) -> Result<Self, NotAWebhookSecret> {
        // The library would also take a secret without its prefix, and an empty one.
        match text.strip_prefix("whsec_") {
            Some(base64) if base64.len() >= 32 => {
                standardwebhooks::Webhook::new(text).map(Self).map_err(|_| NotAWebhookSecret)
            }
            _ => Err(NotAWebhookSecret),
        }
    }
}

/// Why an outcome was not taken; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The receiver said no.
    #[error("the webhook answered {0}")]
    Refused(reqwest::StatusCode),
    /// The receiver did not answer.
    #[error("the webhook cannot be reached: {0}")]
    Unreachable(String),
    /// The outcome could not be signed.
    #[error("the webhook cannot be signed: {0}")]
    Unsigned(#[from] standardwebhooks::WebhookError),
}

impl Webhook {
    /// A receiver, and the secret that it shares with us.
    ///
    /// # Errors
    /// When this machine has no certificates to trust.
    pub fn new(url: Url, secret: WebhookSecret) -> Result<Self, String> {
        let client = Client::builder()
            .timeout(Duration::from_secs(20))
            .redirect(Policy::none())
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| root_cause(&error))?;
        Ok(Self { url, secret, client })
    }

    /// POSTs one outcome. The workflow's ID identifies it, so that a receiver that gets it twice
    /// acts once. Returns what the receiver answered, for the history.
    pub async fn deliver(
        &self,
        workflow_id: &str,
        outcome: &Outcome,
    ) -> Result<String, WebhookError> {
        let now = Timestamp::now();
        let body = body(workflow_id, outcome, now);
        let signature = self.secret.0.sign(workflow_id, now.as_second(), body.as_bytes())?;
        let response = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", workflow_id)
            .header("webhook-timestamp", now.as_second().to_string())
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await
            .map_err(|error| WebhookError::Unreachable(root_cause(&error.without_url())))?;
        match response.status() {
            status if status.is_success() => Ok(format!("taken: {status}")),
            status => Err(WebhookError::Refused(status)),
        }
    }
}

fn body(workflow_id: &str, outcome: &Outcome, now: Timestamp) -> String {
    let kind = match outcome.status() {
        Status::Approved => "approval.approved",
        Status::Rejected => "approval.rejected",
        Status::Expired => "approval.expired",
        Status::Withdrawn => "approval.withdrawn",
        Status::Pending | Status::Unspecified => "approval.pending",
    };
    let mut data = json!(outcome);
    data["workflowId"] = json!(workflow_id);
    json!({"type": kind, "timestamp": now.to_string(), "data": data}).to_string()
}

/// The innermost reason, which is what an operator can act on.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({})", self.url.host_str().unwrap_or_default())
    }
}
