//! Outcomes as webhooks, signed by the Standard Webhooks specification
//! (<https://www.standardwebhooks.com>).

use std::{fmt, str::FromStr, time::Duration};

use countersign_protos::v1::{Outcome, Status};
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, Url, header::CONTENT_TYPE, redirect::Policy};
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
    "must be whsec_ and the base64 of at least 24 bytes, such as the output of: \
     echo \"whsec_$(openssl rand -base64 32)\""
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
            .map_err(|error| anyhow::Error::new(error).root_cause().to_string())?;
        Ok(Self { url, secret, client })
    }

    /// POSTs one outcome. The ID of the run that came to it identifies it, so that a receiver that
    /// gets it twice acts once. Returns what the receiver answered, for the history.
    pub async fn deliver(
        &self,
        run_id: &str,
        workflow_id: &str,
        outcome: &Outcome,
    ) -> Result<String, WebhookError> {
        let request = self.request(run_id, workflow_id, outcome, Timestamp::now())?;
        let response = request.send().await.map_err(|error| {
            let error = anyhow::Error::new(error.without_url());
            WebhookError::Unreachable(error.root_cause().to_string())
        })?;
        match response.status() {
            status if status.is_success() => Ok(format!("taken: {status}")),
            status => Err(WebhookError::Refused(status)),
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
        let signature = self.secret.0.sign(run_id, now.as_second(), body.as_bytes())?;
        Ok(self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", run_id)
            .header("webhook-timestamp", now.as_second().to_string())
            .header("webhook-signature", signature)
            .body(body))
    }
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
mod tests {
    use countersign_protos::words::to_message;
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_attempt_tells_of_the_same_event_whatever_the_workflow_is_called() {
        let url = "https://hooks.example.com/x".parse().expect("a URL");
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().expect("a secret");
        let webhook = Webhook::new(url, secret).expect("certificates");
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let outcome = Outcome {
            status: Status::Approved.into(),
            decided_at: Some(to_message(time("2026-11-25T08:05:00Z"))),
            ..Outcome::default()
        };
        for attempt in ["2026-11-25T08:05:01Z", "2026-11-25T09:00:00Z"].map(time) {
            let request = webhook.request("0198-run", "Einkauf/Köln\n42", &outcome, attempt);
            let request = request.expect("signed").build().expect("a request");
            let header = |name| request.headers()[name].to_str().expect("ASCII");
            assert_eq!(header("webhook-id"), "0198-run");
            assert_eq!(header("webhook-timestamp"), attempt.as_second().to_string());
            let body = request.body().and_then(reqwest::Body::as_bytes).expect("a body");
            let body: Value = serde_json::from_slice(body).expect("JSON");
            assert_eq!(body["timestamp"], "2026-11-25T08:05:00+00:00");
            assert_eq!(body["data"]["workflowId"], "Einkauf/Köln\n42");
        }
    }
}
