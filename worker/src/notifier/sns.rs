//! Amazon SNS: one topic, whose e-mail subscriptions each filter their own reviewer's mails.

mod answers;
mod aws;
mod topic;

use std::{num::NonZeroU32, sync::Arc};

use aws_sdk_sns::{Client, config::SharedHttpClient, types::MessageAttributeValue};
use deunicode::deunicode;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::json;
use tokio::sync::Mutex;

pub use self::{aws::AwsEnvironment, topic::TopicArn};
use super::{Envelope, NotifyError};
use crate::{
    approval::EmailAddress,
    mail::{Letter, without_encoded_words},
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
    pace: Arc<DefaultKeyedRateLimiter<EmailAddress>>,
}

/// A client with the credentials that were found when it was made. `number` counts clients.
#[derive(Clone)]
struct Session {
    client: Client,
    number: u64,
}

impl Sns {
    /// Uses the topic's own region, and the AWS SDK's settings for credentials and endpoint.
    pub async fn new(topic: TopicArn, environment: AwsEnvironment) -> Self {
        let http = aws::http_client();
        let client = Client::new(&environment.load(&topic, http.clone()).await);
        let session = Arc::new(Mutex::new(Session { client, number: 0 }));
        let pace = Arc::new(RateLimiter::keyed(pace()));
        Self { topic, environment, http, session, pace }
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
        let session = self.session.lock().await.clone();
        let published = session
            .client
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
                    self.renew(session.number).await;
                }
                Err(answers::classify(&error))
            }
        }
    }

    /// Reads the topic's attributes.
    pub(super) async fn probe(&self) -> Result<(), NotifyError> {
        let session = self.session.lock().await.clone();
        let asked = session.client.get_topic_attributes().topic_arn(self.topic.as_str());
        asked.send().await.map(drop).map_err(|error| match answers::classify(&error) {
            NotifyError::Unavailable(why) if answers::denies(&error) => {
                NotifyError::Unavailable(format!(
                    "{why} (this check needs sns:GetTopicAttributes; mails need only sns:Publish)"
                ))
            }
            error => error,
        })
    }

    /// Subscribes an address to its own mails; SNS asks it to confirm. Returns the subscription's ARN, or
    /// `pending confirmation`.
    ///
    /// # Errors
    /// If SNS refuses or cannot be reached.
    pub async fn subscribe(&self, reviewer: &EmailAddress) -> Result<String, String> {
        let policy = json!({ REVIEWER: [reviewer.as_str()] }).to_string();
        let client = self.session.lock().await.client.clone();
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

    /// Replaces the client, so that the next attempt uses current credentials: a client keeps what it has
    /// read from files and programs. If many mails fail with the same client, it is replaced once.
    async fn renew(&self, number: u64) {
        let mut session = self.session.lock().await;
        if session.number == number {
            let config = self.environment.load(&self.topic, self.http.clone()).await;
            *session = Session { client: Client::new(&config), number: number + 1 };
        }
    }
}

/// Without bursts: one second could otherwise contain twice as many.
fn pace() -> Quota {
    Quota::per_second(MAILS_A_SECOND).allow_burst(NonZeroU32::MIN)
}

/// `Publish` takes printable ASCII, at most 99 characters. Other scripts are transliterated.
fn subject(text: &str) -> String {
    // Transliteration can produce `=?`.
    let ascii = without_encoded_words(&deunicode(text));
    let printable = ascii.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    let words: String = printable.collect();
    let subject = words.split_whitespace().collect::<Vec<_>>().join(" ");
    match subject.len() <= MAX_SUBJECT {
        true => subject,
        false => format!("{}...", subject[..MAX_SUBJECT - 3].trim_end()),
    }
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
mod tests {
    use std::{
        fs,
        io::{Read, Write},
        net::TcpListener,
        os::unix::fs::PermissionsExt,
        path::Path,
        thread,
        time::{Duration, Instant},
    };

    use governor::clock::FakeRelativeClock;

    use super::{super::example, *};

    const TAKEN: &str = "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult>\
                         </PublishResponse>";

    fn refusal(code: &str, message: &str) -> (u16, String) {
        let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>");
        (400, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
    }

    /// An endpoint. `answer` makes a status and a body from a request.
    fn endpoint(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.expect("a client");
                let request = read(&mut client);
                let (status, body) = answer(&request);
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                );
                let _ = client.write_all((head + &body).as_bytes());
            }
        });
        url
    }

    /// Reads a whole request: if some of it were unread on closing, the answer might not arrive.
    fn read(client: &mut impl Read) -> String {
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|it| it.lines().next());
                if body.len() >= length.and_then(|it| it.parse().ok()).unwrap_or(0) {
                    return text;
                }
            }
            match client.read(&mut buffer) {
                Ok(count) if count > 0 => request.extend_from_slice(&buffer[..count]),
                _ => return text,
            }
        }
    }

    /// A topic at an endpoint, with these variables and none of this process's.
    async fn topic(url: &str, variables: &[(&str, &str)]) -> Sns {
        let common = [
            ("AWS_ENDPOINT_URL_SNS", url),
            ("AWS_MAX_ATTEMPTS", "1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let variables = common.iter().chain(variables);
        let environment =
            variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let topic = "arn:aws:sns:eu-central-1:123456789012:approvals".parse().expect("an ARN");
        Sns::new(topic, environment).await
    }

    const KEYS: &[(&str, &str)] =
        &[("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

    async fn mail(sns: &Sns) -> Result<String, NotifyError> {
        let (envelope, letter) = example("ann@example.com");
        sns.send(&envelope, &letter).await
    }

    /// The error for a mail that SNS answers like this.
    async fn sent(code: &'static str, message: &'static str) -> NotifyError {
        let url = endpoint(move |_| refusal(code, message));
        mail(&topic(&url, KEYS).await).await.expect_err("refused")
    }

    /// One line, without Rust's debug notation.
    #[track_caller]
    fn readable(why: &str) {
        let rusts = ["{", "}", "(\"", "Some(", "Error(", "Kind", "\n"];
        assert!(!rusts.iter().any(|part| why.contains(part)), "{why}");
        assert!(why.starts_with("Amazon SNS: ") && why.len() < 1_000, "{why}");
    }

    #[tokio::test]
    async fn only_an_answer_about_the_message_or_its_recipient_is_final() {
        type Kind = fn(String) -> NotifyError;
        let (final_for, again) = (NotifyError::Rejected as Kind, NotifyError::Unavailable as Kind);
        for (code, message, kind) in [
            ("InvalidParameter", "Invalid parameter: TopicArn", again),
            ("AuthorizationError", "User is not authorized to perform: SNS:Publish", again),
            ("NotFound", "Topic does not exist", again),
            ("KMSAccessDenied", "The ciphertext refers to a key that you may not use", again),
            ("KMSThrottling", "Rate exceeded", again),
            ("EndpointDisabled", "Endpoint is disabled", final_for),
            ("InvalidParameter", "Invalid parameter: Subject", final_for),
            ("InvalidParameter", "Invalid parameter: Message too long", final_for),
            ("ExpiredToken", "The security token included in the request is expired", again),
            ("SignatureDoesNotMatch", "Signature expired", again),
            ("Throttling", "Rate exceeded", again),
            ("ParameterValueInvalid", "The message attribute 'reviewer' is empty", final_for),
            ("InvalidParameter", "Invalid parameter: Whatever", NotifyError::Unexplained as Kind),
            ("AccessDenied", "no", again),
            ("PlatformApplicationDisabled", "no", again),
            ("InvalidClientTokenId", "no", again),
            ("SomethingNew", "no", again),
        ] {
            let why = format!("Amazon SNS: {code}: {message}");
            assert_eq!(sent(code, message).await, kind(why));
        }
    }

    #[tokio::test]
    async fn every_cause_is_readable() {
        let none = topic("http://127.0.0.1:1", &[("HOME", "/nowhere")]).await;
        let refused = topic("http://127.0.0.1:1", KEYS).await;
        let proxy = endpoint(|_| (407, "<html>Proxy login</html>".into()));
        let proxy = topic(&proxy, KEYS).await;
        let missing = [("AWS_PROFILE", "missing"), ("HOME", "/nowhere")];
        let missing = topic("http://127.0.0.1:1", &missing).await;
        for (sns, what) in [
            (none, "credential"),
            (refused, "refused"),
            (proxy, "HTTP status 407"),
            (missing, "credential"),
        ] {
            let Err(NotifyError::Unavailable(why)) = mail(&sns).await else { panic!("{what}") };
            assert!(why.contains(what), "{why}");
            readable(&why);
        }
    }

    #[tokio::test]
    async fn empty_settings_count_as_unset() {
        let url = endpoint(|request| match request.contains("Credential=AKIA/") {
            true => (200, TAKEN.into()),
            false => refusal("InvalidClientTokenId", "no such key"),
        });
        let sns = topic(
            &format!(" {url}\n"),
            &[
                ("AWS_REGION", ""),
                ("AWS_ACCESS_KEY_ID", "AKIA\n"),
                ("AWS_SECRET_ACCESS_KEY", " secret "),
                ("AWS_SESSION_TOKEN", ""),
                ("AWS_PROFILE", ""),
                ("AWS_ENDPOINT_URL", ""),
            ],
        )
        .await;
        assert_eq!(mail(&sns).await, Ok("published as m-1".into()));
        // An empty endpoint means the default, not a panic.
        let real: AwsEnvironment =
            [("AWS_ENDPOINT_URL_SNS".to_owned(), String::new())].into_iter().collect();
        let config = real.load(&sns.topic, aws::http_client()).await;
        assert_eq!(config.endpoint_url(), None);
    }

    /// An endpoint that finds these keys expired.
    fn rejecting(expired: &'static str) -> String {
        endpoint(move |request| match request.contains(&format!("Credential={expired}/")) {
            true => refusal("ExpiredToken", "The security token included is expired"),
            false => (200, TAKEN.into()),
        })
    }

    fn credentials(key: &str) -> String {
        format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")
    }

    #[tokio::test]
    async fn credentials_that_expired_are_read_again_from_a_rewritten_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("credentials");
        fs::write(&file, credentials("OLD")).expect("written");
        let path = file.to_str().expect("UTF-8");
        let sns = topic(&rejecting("OLD"), &[("AWS_SHARED_CREDENTIALS_FILE", path)]).await;
        for _ in 0..2 {
            let why = mail(&sns).await.expect_err("expired").to_string();
            assert!(why.contains("ExpiredToken"), "{why}");
        }
        fs::write(&file, credentials("NEW")).expect("written");
        // The last failed attempt has read the old file: one more may fail.
        let _ = mail(&sns).await;
        assert_eq!(mail(&sns).await, Ok("published as m-1".into()));
    }

    #[tokio::test]
    async fn a_credentials_file_that_is_created_later_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("credentials");
        let path = file.to_str().expect("UTF-8");
        let sns = topic(&rejecting("OLD"), &[("AWS_SHARED_CREDENTIALS_FILE", path)]).await;
        mail(&sns).await.expect_err("no credentials");
        fs::write(&file, credentials("NEW")).expect("written");
        let _ = mail(&sns).await;
        assert_eq!(mail(&sns).await, Ok("published as m-1".into()));
    }

    #[tokio::test]
    async fn a_credential_process_runs_again_after_expiry() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("login");
        let config = folder.path().join("config");
        let profile = format!("[default]\ncredential_process = {}\n", program.display());
        fs::write(&config, profile).expect("written");
        write_program(&program, "OLD");
        let path = config.to_str().expect("UTF-8");
        let sns = topic(&rejecting("OLD"), &[("AWS_CONFIG_FILE", path)]).await;
        let why = mail(&sns).await.expect_err("expired").to_string();
        assert!(why.contains("ExpiredToken"), "{why}");
        write_program(&program, "NEW");
        assert_eq!(mail(&sns).await, Ok("published as m-1".into()));
    }

    fn write_program(program: &Path, key: &str) {
        let answer = json!({"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret"});
        // A program that is being written cannot be run.
        let new = program.with_extension("new");
        fs::write(&new, format!("#!/bin/sh\necho '{answer}'\n")).expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o700)).expect("executable");
        fs::rename(new, program).expect("renamed");
    }

    #[tokio::test]
    async fn the_topics_region_is_used_whatever_a_profile_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config");
        fs::write(&config, "[default]\nregion = us-east-1\n").expect("written");
        let path = config.to_str().expect("UTF-8");
        let url = endpoint(|request| match request.contains("/eu-central-1/sns/") {
            true => (200, TAKEN.into()),
            false => refusal("InvalidParameter", "Invalid parameter: TopicArn"),
        });
        let sns = topic(&url, &[KEYS, &[("AWS_CONFIG_FILE", path)]].concat()).await;
        assert_eq!(mail(&sns).await, Ok("published as m-1".into()));
    }

    #[tokio::test]
    async fn a_probe_reads_the_topics_attributes() {
        let attributes = "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes/>\
                          </GetTopicAttributesResult></GetTopicAttributesResponse>";
        let url = endpoint(|request| match request.contains("Action=GetTopicAttributes") {
            true => (200, attributes.into()),
            false => refusal("InvalidAction", "unexpected"),
        });
        assert_eq!(topic(&url, KEYS).await.probe().await, Ok(()));
        let url = endpoint(|_| refusal("NotFound", "Topic does not exist"));
        let error = topic(&url, KEYS).await.probe().await;
        let why = "Amazon SNS: NotFound: Topic does not exist";
        assert_eq!(error, Err(NotifyError::Unavailable(why.into())));
        let url = endpoint(|_| refusal("AuthorizationError", "no"));
        let error = topic(&url, KEYS).await.probe().await.expect_err("no right").to_string();
        assert!(error.contains("needs sns:GetTopicAttributes"), "{error}");
    }

    #[test]
    fn nobody_gets_more_than_ten_mails_in_any_second_from_two_workers() {
        let clock = FakeRelativeClock::default();
        let pace = RateLimiter::hashmap_with_clock(pace(), clock.clone());
        let mut mails: Vec<u64> = Vec::new();
        for now in 0..5_000 {
            while pace.check_key(&"ann").is_ok() {
                mails.push(now);
            }
            clock.advance(Duration::from_millis(1));
        }
        let most =
            |start: u64| mails.iter().filter(|at| (start..=start + 1_000).contains(*at)).count();
        assert!((0..4_000).all(|start| 2 * most(start) <= 10), "{mails:?}");
        assert!(mails.len() >= 20, "they are slowed down, not stopped: {mails:?}");
    }

    #[tokio::test]
    async fn mails_to_one_address_wait_for_each_other_before_they_are_published() {
        let url = endpoint(|_| (200, TAKEN.into()));
        let sns = topic(&url, KEYS).await;
        let start = Instant::now();
        for sent in futures::future::join_all((0..5).map(|_| mail(&sns))).await {
            sent.expect("published");
        }
        // The first one at once, and a quarter of a second before each other one.
        assert!(start.elapsed() >= Duration::from_millis(990), "{:?}", start.elapsed());
        assert_eq!(sns.pace.len(), 1);
    }

    #[test]
    fn a_subject_is_short_printable_ascii() {
        assert_eq!(subject("Decide: Café für Zoë, 1.00 USD"), "Decide: Cafe fur Zoe, 1.00 USD");
        for title in ["領収書 東京 🗼", &"very long ".repeat(20), "a\u{7f}b\tc"] {
            let subject = subject(&format!("Decide: {title}"));
            assert!(subject.len() < 100, "{subject}");
            assert!(subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{subject}");
            assert!(subject.starts_with("Decide: "), "{subject}");
        }
        for encoded in ["=?utf-8?q?x?=", "＝？utf-8?q?x?="] {
            let subject = subject(encoded);
            assert!(subject.contains("= ?utf-8") && !subject.contains("=?utf-8"), "{subject}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(truncated(100, "short"), "short");
        for max in 60..64 {
            let cut = truncated(max, &"日本".repeat(50));
            assert!(cut.len() <= max && cut.ends_with("everything)\n"), "{cut}");
        }
    }
}
