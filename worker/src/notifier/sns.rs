//! Amazon SNS: one topic, whose e-mail subscriptions each get their own reviewer's mails.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{
    Client,
    config::SharedHttpClient,
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
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(timeouts)
        .load()
        .await
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

/// Final is what is said of this message or its recipient. A wrong key or clock, a topic that is gone
/// or its encryption hold up every mail until somebody mends them.
fn classify(error: &SdkError<PublishError>) -> NotifyError {
    let why = format!("Amazon SNS: {}", DisplayErrorContext(error));
    match error.code().is_some_and(is_final) {
        true => NotifyError::Rejected(why),
        false => NotifyError::Unavailable(why),
    }
}

/// By the API reference of `Publish`. That we may not publish this is final, too: others are asked
/// then, instead of waiting for somebody who can allow it.
fn is_final(code: &str) -> bool {
    matches!(
        code,
        "InvalidParameter"
            | "ParameterValueInvalid"
            | "ValidationException"
            | "EndpointDisabled"
            | "PlatformApplicationDisabled"
            | "AuthorizationError"
            | "AccessDenied"
            | "AccessDeniedException"
    )
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
    use std::{
        io::{self, Read, Write},
        net::TcpListener,
        thread,
    };

    use aws_sdk_sns::config::{Config, Credentials, Region, retry::RetryConfig};

    use super::{super::example, *};

    /// What becomes of a mail where SNS answers so.
    async fn sent(code: &str) -> NotifyError {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>why</Message></Error>\
             </ErrorResponse>"
        );
        thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            let _ = client.read(&mut [0; 16384]);
            let head =
                format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", body.len());
            client.write_all((head + &body).as_bytes()).expect("written");
            // Closed with something unread, the answer might not arrive.
            let _ = io::copy(&mut client, &mut io::sink());
        });
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(url)
            .build();
        let topic_arn = "arn:aws:sns:eu-central-1:123456789012:approvals".to_owned();
        let sns = Sns { client: Client::from_conf(config), topic_arn };
        let (envelope, letter) = example("ann@example.com");
        sns.send(&envelope, &letter).await.expect_err("refused")
    }

    #[tokio::test]
    async fn an_answer_to_the_mail_is_final_and_one_to_the_sender_is_not() {
        for code in
            ["InvalidParameter", "ParameterValueInvalid", "AuthorizationError", "AccessDenied"]
        {
            let error = sent(code).await;
            assert!(
                matches!(&error, NotifyError::Rejected(why) if why.contains("why")),
                "{error:?}"
            );
        }
        for code in [
            "ExpiredToken",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "KMSAccessDenied",
            "KMSDisabled",
            "KMSThrottling",
            "NotFound",
            "SignatureDoesNotMatch",
            "Throttled",
        ] {
            let error = sent(code).await;
            let unavailable = matches!(&error, NotifyError::Unavailable(why) if why.contains(code));
            assert!(unavailable, "{code}: {error:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(within(100, "short"), "short");
        for max in 60..64 {
            let cut = within(max, &"日本".repeat(50));
            assert!(cut.len() <= max && cut.ends_with("everything)\n"), "{cut}");
        }
    }
}
