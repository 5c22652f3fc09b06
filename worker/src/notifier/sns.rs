//! Amazon SNS: one topic, whose e-mail subscriptions each get their own reviewer's mails.

mod answers;
mod aws;
mod topic;

use std::{num::NonZeroU32, sync::Arc};

use aws_sdk_sns::{Client, config::SharedHttpClient, types::MessageAttributeValue};
use countersign_protos::settings::WrongSettings;
use deunicode::deunicode;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::json;
use tokio::sync::Mutex;

pub use self::{aws::AwsEnvironment, topic::TopicArn};
use super::{Envelope, NOTIFY, NotifyError};
use crate::{
    approval::EmailAddress,
    mail::{Letter, not_encoded},
};

/// The message attribute by which subscriptions are filtered.
const REVIEWER: &str = "reviewer";
/// SNS's `Publish`: at most 256 KiB, of which the attributes take a little.
const MAX_BYTES: usize = 250 * 1024;
/// "Subject … must be less than 100 characters long."
const MAX_SUBJECT: usize = 99;
/// Mails a second to one address, one at a time. SNS suspends a subscription that gets more than
/// 10 (<https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html>); a worker does not
/// know of its siblings, and two of them together stay below that.
const MAILS_A_SECOND: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// More addresses than this are looked through for those that have been quiet.
const REMEMBERED: usize = 10_000;

/// Publishes plain text to a topic.
#[derive(Clone)]
pub struct Sns {
    topic: TopicArn,
    environment: AwsEnvironment,
    http: SharedHttpClient,
    session: Arc<Mutex<Session>>,
    pace: Arc<DefaultKeyedRateLimiter<EmailAddress>>,
}

/// A client with the credentials that were found when it was made, from the first call on. Its number
/// tells it from the next one.
#[derive(Default)]
struct Session {
    client: Option<Client>,
    number: u64,
}

impl Sns {
    /// A topic, reached in its own region with the AWS SDK's own settings (credentials, endpoint).
    pub fn new(topic: TopicArn, environment: AwsEnvironment) -> Self {
        let pace = Arc::new(RateLimiter::keyed(pace()));
        Self { topic, environment, http: aws::http_client(), session: Arc::default(), pace }
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
        self.wait_for_turn(&envelope.recipient).await;
        let (client, number) = self.session().await;
        let published = client
            .publish()
            .topic_arn(self.topic.as_str())
            .subject(subject(&letter.subject))
            .message(within(MAX_BYTES, &letter.text))
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

    /// Whether the topic can be asked for its attributes.
    pub(super) async fn probe(&self) -> Result<(), NotifyError> {
        let (client, _) = self.session().await;
        let asked = client.get_topic_attributes().topic_arn(self.topic.as_str());
        asked.send().await.map(drop).map_err(|error| match answers::classify(&error) {
            NotifyError::Unavailable(why) if answers::denies(&error) => NotifyError::Unavailable(
                format!("{why} (this check needs sns:GetTopicAttributes, mails sns:Publish alone)"),
            ),
            error => error,
        })
    }

    /// Subscribes an address to its own mails; SNS sends it a request to confirm. Returns the
    /// subscription's ARN or SNS's word that it is pending.
    ///
    /// # Errors
    /// What SNS says.
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

    /// The client, or a new one that has read the AWS SDK's settings, and its number.
    async fn session(&self) -> (Client, u64) {
        let mut session = self.session.lock().await;
        let client = match session.client.take() {
            Some(client) => client,
            None => Client::new(&self.environment.load(&self.topic, self.http.clone()).await),
        };
        (session.client.insert(client).clone(), session.number)
    }

    /// Has the AWS SDK's settings read again, so that the next attempt has the credentials of a file or
    /// a program as they are then: a client keeps what it has read. Many mails that fail at once
    /// have it done once.
    async fn forget(&self, number: u64) {
        let mut session = self.session.lock().await;
        if session.number == number {
            *session = Session { client: None, number: number + 1 };
        }
    }
}

/// Without a burst: a second that begins with one would have twice as many.
fn pace() -> Quota {
    Quota::per_second(MAILS_A_SECOND).allow_burst(NonZeroU32::MIN)
}

/// `Publish` takes printable ASCII, at most 99 characters. Other scripts are transliterated.
fn subject(text: &str) -> String {
    // Other scripts have characters that become `=?`.
    let ascii = not_encoded(&deunicode(text));
    let printable = ascii.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    let words: String = printable.collect();
    let subject = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match subject.len() <= MAX_SUBJECT {
        true => subject,
        false => format!("{}...", subject[..MAX_SUBJECT - 3].trim_end()),
    }
}

/// The first bytes of a text, at most this many. Its links are at its start.
fn within(max_bytes: usize, text: &str) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let mark = "\n\n(cut here; the page shows everything)\n";
    let end = text.floor_char_boundary(max_bytes - mark.len());
    format!("{}{mark}", &text[..end])
}

#[cfg(test)]
mod tests;
