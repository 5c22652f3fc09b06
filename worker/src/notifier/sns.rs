//! Amazon SNS: one topic, whose e-mail subscriptions each filter their own reviewer's mails.

mod answers;
mod aws;
mod subscriptions;
mod topic;

use std::{num::NonZeroU32, sync::Arc};

use aws_sdk_sns::{Client, config::SharedHttpClient, types::MessageAttributeValue};
use countersign_protos::settings::WrongSettings;
use deunicode::deunicode;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::json;
use tokio::sync::Mutex;

use self::subscriptions::{NotListed, Subscriptions};
pub use self::{aws::AwsEnvironment, topic::TopicArn};
use super::{Envelope, NOTIFY, NotifyError};
use crate::{
    approval::EmailAddress,
    mail::{Letter, Subject},
};

/// The message attribute on which subscriptions filter.
const REVIEWER: &str = "reviewer";
/// `Publish` allows 256 KiB, attributes included.
const MAX_BYTES: usize = 250 * 1024;
/// "Subject … must be less than 100 characters long."
const MAX_SUBJECT: usize = 99;
/// To one address, in each worker. SNS suspends a subscription that gets more than 10 a second
/// (<https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html>); workers do not know of
/// each other, and two together stay below that.
const MAILS_A_SECOND: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// With more addresses than this, those that are idle are forgotten.
const REMEMBERED: usize = 10_000;

/// Publishes plain text to a topic.
#[derive(Clone)]
pub struct Sns {
    topic: TopicArn,
    environment: AwsEnvironment,
    http: SharedHttpClient,
    session: Arc<Mutex<Session>>,
    subscriptions: Arc<Subscriptions>,
    pace: Arc<DefaultKeyedRateLimiter<EmailAddress>>,
}

/// A client with the credentials that were found when it was made, at the first call. `number` counts
/// clients.
#[derive(Default)]
struct Session {
    client: Option<Client>,
    number: u64,
}

impl Sns {
    /// Uses the topic's own region, and the AWS SDK's settings for credentials and endpoint.
    pub fn new(topic: TopicArn, environment: AwsEnvironment) -> Self {
        Self {
            topic,
            environment,
            http: aws::http_client(),
            session: Arc::default(),
            subscriptions: Arc::default(),
            pace: Arc::new(RateLimiter::keyed(pace())),
        }
    }

    /// The topic of `sns:TOPIC_ARN`, and whatever contradicts it.
    pub(crate) fn parse(
        arn: &str,
        aws: &AwsEnvironment,
        wrong: &mut WrongSettings,
    ) -> Option<Self> {
        let topic: TopicArn = arn.parse().map_err(|error| wrong.add(NOTIFY, error)).ok()?;
        aws.problems(&topic).into_iter().for_each(|(name, why)| wrong.add(name, why));
        Some(Self::new(topic, aws.clone()))
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
        let (client, number) = self.session().await;
        match self.subscriptions.may_reach(&client, &self.topic, &envelope.recipient).await {
            Ok(true) => {}
            Ok(false) => {
                let why = format!(
                    "Amazon SNS: {} has not confirmed a subscription to the topic",
                    envelope.recipient.as_str()
                );
                return Err(NotifyError::Rejected(why));
            }
            Err(NotListed { doubts_credentials, why, .. }) => {
                if doubts_credentials {
                    self.forget(number).await;
                }
                return Err(NotifyError::Unavailable(why));
            }
        }
        self.wait_for_turn(&envelope.recipient).await;
        let published = client
            .publish()
            .topic_arn(self.topic.as_str())
            .subject(subject(&letter.subject))
            .message(truncated(MAX_BYTES, &letter.text))
            .message_attributes(REVIEWER, reviewer)
            .send()
            .await;
        match published {
            Ok(taken) => Ok(format!("published as {}", taken.message_id().unwrap_or_default())),
            Err(error) => {
                if answers::doubts_credentials(&error) {
                    self.forget(number).await;
                }
                Err(answers::classify(&error))
            }
        }
    }

    /// How many have confirmed a subscription to the topic, in words.
    ///
    /// # Errors
    /// If nobody has, or they cannot be listed.
    pub(super) async fn count_subscriptions(&self) -> Result<String, String> {
        let (client, _) = self.session().await;
        let counted =
            subscriptions::count(&client, &self.topic).await.map_err(|error| error.why)?;
        match counted.confirmed {
            0 if counted.pending == 0 => {
                Err("Amazon SNS: the topic has no subscription: nobody was invited to it"
                    .to_owned())
            }
            0 => Err(format!(
                "Amazon SNS: nobody has confirmed a subscription to the topic ({} pending)",
                counted.pending
            )),
            confirmed => Ok(format!(
                "the topic {} has {confirmed} confirmed subscriptions and {} pending",
                self.topic, counted.pending
            )),
        }
    }

    /// Reads the topic's attributes, and lists its subscriptions, also where the right to the former is
    /// missing. Returns which topic it is.
    pub(super) async fn probe(&self) -> Result<String, NotifyError> {
        let (client, _) = self.session().await;
        let asked = client.get_topic_attributes().topic_arn(self.topic.as_str());
        let not_read = match asked.send().await {
            Ok(_) => None,
            Err(error) if answers::denies(&error) => Some(format!(
                "Amazon SNS: {} (this check needs sns:GetTopicAttributes)",
                answers::explain(&error)
            )),
            Err(error) => return Err(answers::classify(&error)),
        };
        let listed = subscriptions::list(&client, &self.topic).await;
        let not_listed = listed.err().map(|NotListed { is_denied, why, .. }| match is_denied {
            true => format!(
                "{why} (without sns:ListSubscriptionsByTopic, a mail to somebody who has not \
                 confirmed a subscription counts as sent)"
            ),
            false => why,
        });
        let causes: Vec<String> = not_read.into_iter().chain(not_listed).collect();
        match causes.is_empty() {
            true => Ok(format!("the topic {} answers", self.topic)),
            false => Err(NotifyError::Unavailable(causes.join("; "))),
        }
    }

    /// Subscribes an address to its own mails; SNS asks it to confirm. Returns the subscription's ARN, or
    /// `pending confirmation`.
    ///
    /// # Errors
    /// If SNS refuses or cannot be reached.
    pub async fn subscribe(&self, reviewer: &EmailAddress) -> Result<String, String> {
        let policy = json!({ REVIEWER: [reviewer.as_str()] }).to_string();
        let (client, _) = self.session().await;
        let subscribed = client
            .subscribe()
            .topic_arn(self.topic.as_str())
            .protocol("email")
            .endpoint(reviewer.as_str())
            .attributes("FilterPolicy", policy)
            .return_subscription_arn(true)
            .send()
            .await
            .map_err(|error| format!("Amazon SNS: {}", answers::explain(&error)))?;
        Ok(subscribed.subscription_arn().unwrap_or("pending confirmation").to_owned())
    }

    async fn wait_for_turn(&self, recipient: &EmailAddress) {
        if self.pace.len() > REMEMBERED {
            self.pace.retain_recent();
        }
        self.pace.until_key_ready(recipient).await;
    }

    /// The client and its number. If there is none, makes one with the AWS SDK's current settings.
    async fn session(&self) -> (Client, u64) {
        let mut session = self.session.lock().await;
        let client = match session.client.take() {
            Some(client) => client,
            None => Client::new(&self.environment.load(&self.topic, self.http.clone()).await),
        };
        (session.client.insert(client).clone(), session.number)
    }

    /// Drops the client, so that the next attempt uses current credentials: a client keeps what it has
    /// read from files and programs. If many mails fail with the same client, it is dropped once.
    async fn forget(&self, number: u64) {
        let mut session = self.session.lock().await;
        if session.number == number {
            *session = Session { client: None, number: number + 1 };
        }
    }
}

/// Without bursts: one second could otherwise contain twice as many.
fn pace() -> Quota {
    Quota::per_second(MAILS_A_SECOND).allow_burst(NonZeroU32::MIN)
}

/// `Publish` takes printable ASCII, at most 99 characters. Other scripts are transliterated.
fn subject(subject: &Subject) -> String {
    let printable = |text: &str| {
        let printable = deunicode(text)
            .chars()
            .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
            .collect::<String>();
        printable.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut subject = subject.spelt(printable).within(MAX_SUBJECT);
    subject.truncate(MAX_SUBJECT);
    subject
}

/// The beginning of a text, at most this many bytes. Its links are at its start.
fn truncated(max_bytes: usize, text: &str) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let mark = "\n\n(shortened; the page shows everything)\n";
    let end = text.floor_char_boundary(max_bytes - mark.len());
    format!("{}{mark}", &text[..end])
}

#[cfg(test)]
mod tests;
