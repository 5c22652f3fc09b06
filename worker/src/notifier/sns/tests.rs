use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
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
fn topic(url: &str, variables: &[(&str, &str)]) -> Sns {
    let common = [
        ("AWS_ENDPOINT_URL_SNS", url),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let variables = common.iter().chain(variables);
    let environment =
        variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let topic = "arn:aws:sns:eu-central-1:123456789012:approvals".parse().expect("an ARN");
    Sns::new(topic, environment)
}

/// How SNS takes a mail to Ann, who has confirmed her subscription.
fn taken(request: &str) -> (u16, String) {
    match request.contains(LIST) {
        true => (200, page(&[("email", "ann@example.com", ARN)], None)),
        false => (200, TAKEN.into()),
    }
}

const KEYS: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

async fn mail(sns: &Sns) -> Result<String, NotifyError> {
    let (envelope, letter) = example("ann@example.com");
    sns.send(&envelope, &letter).await
}

/// The error for a mail that SNS answers like this.
async fn sent(code: &'static str, message: &'static str) -> NotifyError {
    let url = endpoint(move |request| match request.contains(LIST) {
        true => taken(request),
        false => refusal(code, message),
    });
    mail(&topic(&url, KEYS)).await.expect_err("refused")
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
    let none = topic("http://127.0.0.1:1", &[("HOME", "/nowhere")]);
    let refused = topic("http://127.0.0.1:1", KEYS);
    let proxy = endpoint(|_| (407, "<html>Proxy login</html>".into()));
    let proxy = topic(&proxy, KEYS);
    let missing = [("AWS_PROFILE", "missing"), ("HOME", "/nowhere")];
    let missing = topic("http://127.0.0.1:1", &missing);
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
        true => taken(request),
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
    );
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
        false => taken(request),
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
    let sns = topic(&rejecting("OLD"), &[("AWS_SHARED_CREDENTIALS_FILE", path)]);
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
    let sns = topic(&rejecting("OLD"), &[("AWS_SHARED_CREDENTIALS_FILE", path)]);
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
    let sns = topic(&rejecting("OLD"), &[("AWS_CONFIG_FILE", path)]);
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
        true => taken(request),
        false => refusal("InvalidParameter", "Invalid parameter: TopicArn"),
    });
    let sns = topic(&url, &[KEYS, &[("AWS_CONFIG_FILE", path)]].concat());
    assert_eq!(mail(&sns).await, Ok("published as m-1".into()));
}

#[tokio::test]
async fn a_probe_reads_the_topics_attributes() {
    let attributes = "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes/>\
                      </GetTopicAttributesResult></GetTopicAttributesResponse>";
    let may_list = |may_list: bool| {
        endpoint(move |request| match request {
            _ if request.contains("Action=GetTopicAttributes") => (200, attributes.into()),
            _ if may_list && request.contains(LIST) => (200, page(&[], None)),
            _ => refusal("AuthorizationError", "no"),
        })
    };
    let says = topic(&may_list(true), KEYS).probe().await.expect("both rights");
    assert_eq!(says, "the topic arn:aws:sns:eu-central-1:123456789012:approvals answers");
    let error = topic(&may_list(false), KEYS).probe().await.expect_err("no right").to_string();
    assert!(error.contains("without sns:ListSubscriptionsByTopic, a mail to somebody"), "{error}");
    let url = endpoint(|_| refusal("NotFound", "Topic does not exist"));
    let error = topic(&url, KEYS).probe().await;
    let why = "Amazon SNS: NotFound: Topic does not exist";
    assert_eq!(error, Err(NotifyError::Unavailable(why.into())));
    let url = endpoint(|_| refusal("AuthorizationError", "no"));
    let error = topic(&url, KEYS).probe().await.expect_err("no right").to_string();
    assert!(error.contains("needs sns:GetTopicAttributes"), "{error}");
    assert!(error.contains("without sns:ListSubscriptionsByTopic, a mail to somebody"), "{error}");
}

#[tokio::test]
async fn how_many_have_confirmed_a_subscription_is_counted() {
    let count = |subscriptions: &'static [(&str, &str, &str)]| async move {
        let url = endpoint(move |_| (200, page(subscriptions, None)));
        topic(&url, KEYS).count_subscriptions().await
    };
    let (ann, bob) = ("ann@example.com", "bob@example.com");
    let none = count(Vec::leak(vec![("email", ann, PENDING), ("email", bob, "Deleted")])).await;
    let why = "Amazon SNS: nobody has confirmed a subscription to the topic (1 pending)";
    assert_eq!(none, Err(why.to_owned()));
    let gone = count(Vec::leak(vec![("email", bob, "Deleted")])).await;
    let why = "Amazon SNS: the topic has no subscription: nobody was invited to it";
    assert_eq!(gone, Err(why.to_owned()));
    let one = count(Vec::leak(vec![("email", ann, ARN), ("email", bob, PENDING)])).await;
    assert!(
        one.as_ref().is_ok_and(|says| says.contains("1 confirmed subscriptions and 1 pending"))
    );
}

const LIST: &str = "Action=ListSubscriptionsByTopic";
const PENDING: &str = "PendingConfirmation";
const ARN: &str = "arn:aws:sns:eu-central-1:123456789012:approvals:1";

/// A page of subscriptions, each with its protocol, endpoint and ARN, and where the next page is.
fn page(subscriptions: &[(&str, &str, &str)], next: Option<&str>) -> String {
    let member = |(protocol, endpoint, arn): &(&str, &str, &str)| {
        format!(
            "<member><Protocol>{protocol}</Protocol><Endpoint>{endpoint}</Endpoint>\
             <SubscriptionArn>{arn}</SubscriptionArn></member>"
        )
    };
    let members: String = subscriptions.iter().map(member).collect();
    let next = next.map(|next| format!("<NextToken>{next}</NextToken>")).unwrap_or_default();
    format!(
        "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions>{members}\
         </Subscriptions>{next}</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"
    )
}

#[tokio::test]
async fn who_has_confirmed_no_subscription_gets_no_mail_where_all_are_by_mail() {
    let not_confirmed = Err(NotifyError::Rejected(
        "Amazon SNS: ann@example.com has not confirmed a subscription to the topic".into(),
    ));
    let published = Ok("published as m-1".to_owned());
    let (ann, bob) = (("email", "ann@example.com"), ("email", "bob@example.com", ARN));
    let by_ann = |arn: &'static str| (ann.0, ann.1, arn);
    let queue = ("sqs", "arn:aws:sqs:eu-central-1:123456789012:all", ARN);
    for (subscriptions, expected) in [
        (vec![], &not_confirmed),
        (vec![bob], &not_confirmed),
        (vec![bob, by_ann(PENDING)], &not_confirmed),
        (vec![by_ann("Deleted"), ("sqs", "gone", "Deleted")], &not_confirmed),
        (vec![by_ann(PENDING), by_ann(ARN)], &published),
        (vec![("email", "Ann@Example.COM", ARN)], &published),
        (vec![("email-json", "ann@example.com", ARN)], &published),
        (vec![bob, queue], &published),
    ] {
        let said = format!("{subscriptions:?}");
        let url = endpoint(move |request| match request {
            _ if !request.contains(LIST) => (200, TAKEN.into()),
            // The second half is on another page.
            _ if request.contains("NextToken=more") => {
                (200, page(&subscriptions[subscriptions.len() / 2..], None))
            }
            _ => (200, page(&subscriptions[..subscriptions.len() / 2], Some("more"))),
        });
        assert_eq!(&mail(&topic(&url, KEYS)).await, expected, "{said}");
    }
    let denied = endpoint(|request| match request.contains(LIST) {
        true => refusal("AuthorizationError", "no"),
        false => (200, TAKEN.into()),
    });
    assert_eq!(mail(&topic(&denied, KEYS)).await, published, "nobody can know");
}

#[tokio::test]
async fn subscriptions_are_listed_once_for_many_mails() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = lists.clone();
    let url = endpoint(move |request| {
        counted.fetch_add(usize::from(request.contains(LIST)), Ordering::Relaxed);
        taken(request)
    });
    let sns = topic(&url, KEYS);
    for sent in futures::future::join_all((0..3).map(|_| mail(&sns))).await {
        assert_eq!(sent, Ok("published as m-1".into()));
    }
    assert_eq!(lists.load(Ordering::Relaxed), 1);
}

/// Nobody is said to have a mail because Amazon was busy.
#[tokio::test]
async fn where_subscriptions_cannot_be_listed_now_a_mail_waits() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let url = endpoint(move |request| {
        let call = counted.fetch_add(1, Ordering::Relaxed);
        match (request.contains(LIST), call) {
            (true, 0) => refusal("Throttling", "Rate exceeded"),
            _ => taken(request),
        }
    });
    let sns = topic(&url, KEYS);
    let mails = futures::future::join_all((0..3).map(|_| mail(&sns))).await;
    let throttled = NotifyError::Unavailable("Amazon SNS: Throttling: Rate exceeded".into());
    assert!(mails.iter().all(|sent| *sent == Err(throttled.clone())), "{mails:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 1, "one call for all, and nothing is published");
    assert_eq!(mail(&sns).await, Ok("published as m-1".into()));
}

#[tokio::test]
async fn an_address_is_subscribed_however_it_is_spelt() {
    for (subscribed, reaches) in [
        ("Ann@MÜLLER.example", true),
        ("ann@xn--mller-kva.example", true),
        // The same mailbox, and its filter lets no other address through.
        ("ann+x@müller.example", false),
    ] {
        let url = endpoint(move |request| match request.contains(LIST) {
            true => (200, page(&[("email", subscribed, ARN)], None)),
            false => taken(request),
        });
        let (envelope, letter) = example("ann@müller.example");
        let sent = topic(&url, KEYS).send(&envelope, &letter).await;
        assert_eq!(sent.is_ok(), reaches, "{subscribed}: {sent:?}");
    }
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
    let most = |start: u64| mails.iter().filter(|at| (start..=start + 1_000).contains(*at)).count();
    assert!((0..4_000).all(|start| 2 * most(start) <= 10), "{mails:?}");
    assert!(mails.len() >= 20, "they are slowed down, not stopped: {mails:?}");
}

#[tokio::test]
async fn mails_to_one_address_wait_for_each_other_before_they_are_published() {
    let url = endpoint(taken);
    let sns = topic(&url, KEYS);
    let start = Instant::now();
    for sent in futures::future::join_all((0..5).map(|_| mail(&sns))).await {
        sent.expect("published");
    }
    // The first one at once, and a quarter of a second before each other one.
    assert!(start.elapsed() >= Duration::from_millis(990), "{:?}", start.elapsed());
    assert_eq!(sns.pace.len(), 1);
}

#[test]
fn a_subject_is_short_printable_ascii_and_keeps_its_amount() {
    let titled = |title: &str| subject(&Subject::new("Decide", title, "1.00 USD", "from Zoë"));
    assert_eq!(titled("Café für Zoë"), "Decide: Cafe fur Zoe, 1.00 USD, from Zoe");
    for title in ["領収書 東京 🗼", &"very long ".repeat(20), "a\u{7f}b\tc", "מחשבים 15"]
    {
        let subject = titled(title);
        assert!(subject.len() < 100, "{subject}");
        assert!(subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{subject}");
        assert!(subject.starts_with("Decide: "), "{subject}");
        assert!(subject.ends_with(", 1.00 USD, from Zoe"), "{subject}");
    }
    for encoded in ["=?utf-8?q?x?=", "＝？utf-8?q?x?="] {
        let subject = titled(encoded);
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
