//! Amazon SNS: one topic, whose e-mail subscriptions each get their own reviewer's mails.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::publish::PublishError,
    types::MessageAttributeValue,
};
use aws_smithy_http_client::tls;
use serde_json::json;

use super::{Envelope, NotifyError};
use crate::{approval::EmailAddress, mail::Letter};

/// The message attribute by which subscriptions are filtered.
const REVIEWER: &str = "reviewer";
/// SNS's `Publish`: at most 256 KiB, of which the attributes take a little.
const MAX_BYTES: usize = 250 * 1024;

/// Publishes plain text to a topic.
pub struct Sns {
    client: Client,
    topic_arn: String,
}

impl Sns {
    /// A topic, reached with the AWS SDK's own settings (region, credentials, endpoint).
    pub async fn new(topic_arn: String) -> Self {
        Self { client: Client::new(&aws_settings().await), topic_arn }
    }

    pub(super) async fn send(
        &self,
        envelope: &Envelope,
        letter: &Letter,
    ) -> Result<String, NotifyError> {
        let reviewer = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(envelope.recipient.as_str())
            .build()
            .map_err(|error| NotifyError::Rejected(error.to_string()))?;
        let published = self
            .client
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(letter.ascii_subject())
            .message(within(MAX_BYTES, &letter.text))
            .message_attributes(REVIEWER, reviewer)
            .send()
            .await
            .map_err(|error| classify(&error))?;
        Ok(format!("published as {}", published.message_id().unwrap_or_default()))
    }

    /// Subscribes an address to its own mails; SNS sends it a request to confirm. Returns the
    /// subscription's ARN or SNS's word that it is pending.
    ///
    /// # Errors
    /// What SNS says.
    pub async fn subscribe(&self, reviewer: &EmailAddress) -> Result<String, String> {
        let policy = json!({ REVIEWER: [reviewer.as_str()] }).to_string();
        let subscribed = self
            .client
            .subscribe()
            .topic_arn(&self.topic_arn)
            .protocol("email")
            .endpoint(reviewer.as_str())
            .attributes("FilterPolicy", policy)
            .return_subscription_arn(true)
            .send()
            .await
            .map_err(|error| DisplayErrorContext(error).to_string())?;
        Ok(subscribed.subscription_arn().unwrap_or("pending confirmation").to_owned())
    }
}

async fn aws_settings() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(20))
        .build();
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client)
        .timeout_config(timeouts)
        .load()
        .await
}

/// The API reference of `Publish` lists its errors; those that a retry cannot mend are final.
fn classify(error: &SdkError<PublishError>) -> NotifyError {
    let why = format!("Amazon SNS: {}", DisplayErrorContext(error));
    let service = error.as_service_error();
    let final_by_type = service.is_some_and(|error| {
        error.is_authorization_error_exception()
            || error.is_endpoint_disabled_exception()
            || error.is_invalid_parameter_exception()
            || error.is_invalid_parameter_value_exception()
            || error.is_invalid_security_exception()
            || error.is_not_found_exception()
            || error.is_kms_access_denied_exception()
            || error.is_kms_disabled_exception()
            || error.is_kms_invalid_state_exception()
            || error.is_kms_not_found_exception()
            || error.is_kms_opt_in_required()
    });
    // Errors that the SDK has no type for.
    let final_by_code = matches!(
        error.code(),
        Some("AccessDenied" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "OptInRequired")
    );
    match final_by_type || final_by_code {
        true => NotifyError::Rejected(why),
        false => NotifyError::Unavailable(why),
    }
}

/// The start of a text that has so many bytes at most. The links stand at its start.
fn within(max_bytes: usize, text: &str) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let mark = "\n\n(cut here; the page shows everything)\n";
    let end = text.floor_char_boundary(max_bytes - mark.len());
    format!("{}{mark}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(within(100, "short"), "short");
        for max in 60..64 {
            let cut = within(max, &"日本".repeat(50));
            assert!(cut.len() <= max && cut.ends_with("everything)\n"), "{cut}");
        }
    }
}
