//! The AWS SDK's own settings.

use std::{collections::HashMap, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::config::SharedHttpClient;
use aws_smithy_http_client::{Connector, proxy::ProxyConfig, tls};
use url::Url;

use super::TopicArn;

/// The process's environment, for the AWS SDK.
///
/// An empty `AWS_*` variable counts as unset, as in compose and `.env` files; with an empty endpoint the
/// SDK would panic. White space around a value, such as a pasted key's line break, is removed.
#[derive(Debug, Clone, Default)]
pub struct AwsEnvironment(HashMap<String, String>);

impl AwsEnvironment {
    /// Reads this process's environment. Variables that are not Unicode are left out.
    pub fn of_this_process() -> Self {
        let variables = std::env::vars_os();
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        variables.filter_map(unicode).collect()
    }

    /// Variables that contradict the topic's region or are not URLs, each with a message.
    pub fn problems(&self, topic: &TopicArn) -> Vec<(&'static str, String)> {
        let region = topic.region();
        let mut problems = Vec::new();
        // As the SDK reads them: the second one only where the first one is not set.
        let named = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(|name| (name, self.get(name)));
        if let Some((name, Some(named))) = named.into_iter().find(|(_, value)| value.is_some())
            && named != region
        {
            let why = format!(
                "is {named}, but the topic of COUNTERSIGN_NOTIFY is in {region}: unset it, or correct \
                 the topic"
            );
            problems.push((name, why));
        }
        for name in ["AWS_ENDPOINT_URL_SNS", "AWS_ENDPOINT_URL"] {
            if let Some(why) = self.get(name).and_then(|url| endpoint_problem(url, region)) {
                problems.push((name, why));
            }
        }
        problems
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Loads region, credentials and endpoint afresh: a loaded configuration caches the files that it has
    /// read.
    pub(super) async fn load(&self, topic: &TopicArn, http: SharedHttpClient) -> SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_timeout(Duration::from_secs(20))
            .build();
        aws_config::defaults(BehaviorVersion::latest())
            .env(self.0.clone().into())
            .region(Region::new(topic.region().to_owned()))
            .http_client(http)
            .timeout_config(timeouts)
            .load()
            .await
    }
}

impl FromIterator<(String, String)> for AwsEnvironment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let cleaned = |(name, value): (String, String)| match name.starts_with("AWS_") {
            true => Some((name, value.trim().to_owned())).filter(|(_, value)| !value.is_empty()),
            false => Some((name, value)),
        };
        Self(variables.into_iter().filter_map(cleaned).collect())
    }
}

/// Why an endpoint cannot serve a topic in this region. Only Amazon's host names contain the region.
fn endpoint_problem(url: &str, region: &str) -> Option<String> {
    let parsed = url.parse::<Url>().ok();
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(host) = parsed.as_ref().and_then(Url::host_str) else {
        return Some("must be a URL that starts with https:// or http://".to_owned());
    };
    let amazon = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
    let is_amazons = amazon.iter().any(|domain| host.ends_with(domain));
    (is_amazons && !host.split('.').any(|label| label == region))
        .then(|| format!("is {host}, but the topic of COUNTERSIGN_NOTIFY is in {region}"))
}

/// HTTPS with this machine's certificates, through the environment's proxy.
pub(super) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_with_connector_fn(|settings, components| {
        let ring = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let mut connector =
            Connector::builder().proxy_config(ProxyConfig::from_env()).tls_provider(ring);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.build()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> AwsEnvironment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn problems(variables: &[(&str, &str)]) -> Vec<(&'static str, String)> {
        let topic = "arn:aws:sns:eu-central-1:123456789012:approvals".parse().expect("an ARN");
        environment(variables).problems(&topic)
    }

    #[test]
    fn empty_variables_count_as_unset_and_values_are_trimmed() {
        let read = environment(&[
            ("AWS_ENDPOINT_URL_SNS", ""),
            ("AWS_SESSION_TOKEN", " \n"),
            ("AWS_ACCESS_KEY_ID", " AKIA\r\n"),
            ("HOME", "/home/with space "),
        ]);
        assert_eq!(read.get("AWS_ENDPOINT_URL_SNS"), None);
        assert_eq!(read.get("AWS_SESSION_TOKEN"), None);
        assert_eq!(read.get("AWS_ACCESS_KEY_ID"), Some("AKIA"));
        assert_eq!(read.get("HOME"), Some("/home/with space "), "only AWS_* is trimmed");
    }

    #[test]
    fn settings_that_contradict_the_topics_region_are_reported() {
        let endpoint = "https://sns.us-east-1.amazonaws.com";
        for (name, value, why) in [
            ("AWS_REGION", "us-east-1", "is us-east-1, but the topic"),
            ("AWS_DEFAULT_REGION", "us-east-1", "is us-east-1, but the topic"),
            ("AWS_ENDPOINT_URL_SNS", endpoint, "is sns.us-east-1.amazonaws.com, but the topic"),
            ("AWS_ENDPOINT_URL", "localhost:4566", "must be a URL"),
        ] {
            let found = problems(&[(name, value)]);
            assert!(matches!(&*found, [(of, said)] if *of == name && said.starts_with(why)));
        }
    }

    #[test]
    fn settings_that_agree_with_the_topics_region_are_accepted() {
        for (name, value) in [
            ("AWS_REGION", " eu-central-1 "),
            ("AWS_REGION", ""),
            ("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:5000"),
            ("AWS_ENDPOINT_URL_SNS", "https://sns.eu-central-1.amazonaws.com"),
            ("AWS_ENDPOINT_URL_SNS", "https://vpce-1.sns.eu-central-1.vpce.amazonaws.com"),
        ] {
            assert_eq!(problems(&[(name, value)]), [], "{name}={value}");
        }
        let first = [("AWS_REGION", "eu-central-1"), ("AWS_DEFAULT_REGION", "us-east-1")];
        assert_eq!(problems(&first), [], "the SDK does not read the second one");
    }
}
