use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
};

use countersign_protos::{
    text::to_message,
    v1::{StageOutcome, Vote},
};
use serde_json::Value;
use tokio::net::TcpSocket;

use super::*;
use crate::testing::{docs_schema, is_valid, strict};

const SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[0];
const OTHER_SECRET: &str = countersign_protos::TEST_WEBHOOK_SECRETS[1];

fn webhook(url: &str, client: ClientBuilder) -> Webhook {
    let url = url.parse().expect("a URL");
    let mut webhook = Webhook::new(url, SECRET.parse().expect("a secret")).expect("certificates");
    webhook.client = client.build().expect("certificates");
    webhook
}

#[test]
fn what_the_webhook_gets_is_as_its_schema_says() {
    let schema = strict(docs_schema("webhook"));
    let decided_at = Some(to_message("2026-11-24T09:00:00Z".parse().expect("a time")));
    for status in [Status::Approved, Status::Rejected, Status::Expired, Status::Withdrawn] {
        let vote = Vote { reviewer: "ann@example.com".into(), decided_at, ..Vote::default() };
        let stage = StageOutcome { decisions: vec![vote], ..StageOutcome::default() };
        let outcome = Outcome {
            status: status.into(),
            submission_id: "S-1".into(),
            decided_at,
            operator: true,
            stages: vec![stage],
            ..Outcome::default()
        };
        let body: Value = serde_json::from_str(&body("po-1", &outcome)).expect("JSON");
        assert!(is_valid(&schema, &body));
        let mut other = body.clone();
        other["data"].as_object_mut().expect("an object").remove("workflowId");
        assert!(!is_valid(&schema, &other));
    }
}

async fn delivered(webhook: &Webhook) -> Result<String, WebhookError> {
    webhook.deliver("po-1", &Outcome::default()).await
}

/// A receiver that answers every request like this, or never; and the requests' first lines.
fn receiver(answer: Option<String>) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut unanswered = Vec::new();
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            sender.send(read(&stream)).expect("the test is running");
            match &answer {
                Some(answer) => (&stream).write_all(answer.as_bytes()).expect("it reads"),
                None => unanswered.push(stream),
            }
        }
    });
    (address, requests)
}

/// Reads a request. Returns its first line, empty if the client sent nothing.
fn read(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    lines.read_exact(&mut vec![0; length]).expect("a body");
    first
}

fn response(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn each_response_is_reported_with_its_retry_delay() {
    let long = "signature\u{7} expired\n".repeat(50);
    let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
    let far = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(5 * 3_600));
    let after = |value: &str| format!("Retry-After: {value}\r\n");
    // Status, headers, body; what the history says, and the retry delay in seconds if there is one.
    let rows = [
        ("200 OK", String::new(), "", "accepted: 200 OK", None),
        ("201 Created", String::new(), "{}", "accepted: 201 Created", None),
        ("204 No Content", String::new(), "", "accepted: 204 No Content", None),
        (
            "302 Found",
            "Location: https://elsewhere.example/hook\r\n".to_owned(),
            "",
            "the webhook answered 302 Found, a redirect to https://elsewhere.example/hook",
            None,
        ),
        (
            "400 Bad Request",
            String::new(),
            &long,
            "the webhook answered 400 Bad Request: signature expired signature expired",
            None,
        ),
        (
            "410 Gone",
            String::new(),
            "moved away",
            "the webhook answered 410 Gone: moved away, which means that it accepts no more outcomes",
            None,
        ),
        (
            "429 Too Many Requests",
            after("20"),
            "",
            "the webhook answered 429 Too Many Requests",
            Some(20..=20),
        ),
        (
            "503 Service Unavailable",
            after(&soon),
            "",
            "the webhook answered 503 Service Unavailable",
            Some(590..=600),
        ),
        (
            "503 Service Unavailable",
            after(&far),
            "",
            "the webhook answered 503 Service Unavailable",
            Some(3_600..=3_600),
        ),
    ];
    for (status, headers, body, said, wait) in rows {
        let (address, requests) = receiver(Some(response(status, &headers, body)));
        let delivered = delivered(&webhook(&format!("http://{address}/hook"), client())).await;
        assert_eq!(requests.try_iter().count(), 1, "{status} is not retried or followed here");
        let told = match &delivered {
            Ok(taken) => taken.clone(),
            Err(error) => error.to_string(),
        };
        assert!(told.starts_with(said), "{status}: {told}");
        let kept = told.split_once(": signature").map_or(0, |(_, kept)| kept.len());
        assert!(kept <= KEPT_CHARS && !told.contains(char::is_control), "{told}");
        assert_eq!(delivered.is_ok(), status.starts_with('2'), "{told}");
        let gone = matches!(delivered, Err(WebhookError::Gone(_)));
        assert_eq!(gone, status.starts_with("410"), "{told}");
        let waits = match delivered {
            Err(WebhookError::Refused { retry_after, .. }) => retry_after,
            _ => None,
        };
        match (wait, waits.map(|wait| wait.as_secs())) {
            (None, None) => {}
            (Some(expected), Some(seconds)) if expected.contains(&seconds) => {}
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[test]
fn retry_after_is_bounded_to_a_second_and_an_hour() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
    for (value, seconds) in [
        ("20", Some(20)),
        (" 20 ", Some(20)),
        ("0", Some(1)),
        ("86400", Some(3_600)),
        ("18446744073709551615", Some(3_600)),
        ("Sun, 06 Nov 1994 08:59:37 GMT", Some(600)),
        ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
        ("Sun Nov  6 08:49:47 1994", Some(10)),
        ("Sun, 06 Nov 1994 07:00:00 GMT", Some(1)),
        ("Tue, 08 Nov 1994 08:49:37 GMT", Some(3_600)),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ] {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a value"))]);
        let expected = seconds.map(Duration::from_secs);
        assert_eq!(retry_after(&headers, now), expected, "{value:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), now), None);
}

#[tokio::test]
async fn a_receiver_that_never_answers_times_out() {
    let (address, _requests) = receiver(None);
    let impatient = client().timeout(Duration::from_millis(300));
    let error = delivered(&webhook(&format!("http://{address}/hook"), impatient)).await;
    let error = error.expect_err("no answer").to_string();
    assert_eq!(error, "the webhook cannot be reached: no answer within 20s");
}

/// A listener whose queue is full drops packets, as a firewall does.
async fn address_that_drops_packets() -> (SocketAddr, Vec<tokio::net::TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = socket.local_addr().expect("an address");
    let listener = socket.listen(0).expect("it listens");
    let mut queue = Vec::new();
    let patience = Duration::from_millis(200);
    while let Ok(waiting) =
        tokio::time::timeout(patience, tokio::net::TcpStream::connect(address)).await
    {
        queue.push(waiting.expect("nobody refuses"));
    }
    // Keep listening without accepting.
    std::mem::forget(listener);
    (address, queue)
}

#[tokio::test]
async fn the_second_address_of_a_name_is_tried_where_the_first_drops_packets() {
    let (first, _queue) = address_that_drops_packets().await;
    let (second, requests) = receiver(Some(response("204 No Content", "", "")));
    let two = client().resolve_to_addrs("hooks.example", &[first, second]);
    let delivered = delivered(&webhook("http://hooks.example/hook", two)).await;
    assert_eq!(delivered.expect("it has another address"), "accepted: 204 No Content");
    assert_eq!(requests.recv().expect("a request"), "POST /hook HTTP/1.1\r\n");
    const { assert!(CONNECT_TIMEOUT.as_secs() < 10, "time for every address") };

    let one = client().connect_timeout(Duration::from_millis(300));
    let one = one.resolve_to_addrs("hooks.example", &[first]);
    let error = self::delivered(&webhook("http://hooks.example/hook", one)).await;
    let error = error.expect_err("nobody is there").to_string();
    assert_eq!(error, "the webhook cannot be reached: no connection within 8s");
}

#[tokio::test]
async fn connect_opens_a_connection_and_sends_nothing() {
    let (address, requests) = receiver(None);
    let there = webhook(&format!("http://{address}/hook"), client());
    there.connect().await.expect("it accepts connections");
    assert_eq!(requests.recv().expect("a connection"), "", "and nothing came");
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let error = webhook(&format!("http://me:secret@{address}/hook"), client()).connect().await;
    let error = error.expect_err("nobody listens").to_string();
    assert!(error.contains(&format!("{address}: Connection refused")), "{error}");
    assert!(!error.contains("secret") && !error.contains("/hook"), "{error}");
}

#[test]
fn secrets_are_separated_by_commas_and_every_wrong_one_is_named() {
    for (text, count) in [
        (SECRET.to_owned(), 1),
        (format!("{SECRET},{OTHER_SECRET}"), 2),
        (format!(" {SECRET} ,\n{OTHER_SECRET}, "), 2),
        (format!("{SECRET}\r\n{OTHER_SECRET}\n"), 2),
    ] {
        let secrets: WebhookSecrets = text.parse().expect("secrets");
        assert_eq!(secrets.0.len(), count, "{text}");
    }
    let example = "secret 1 is one of examples and tests, or repeats a few bytes";
    for (text, why) in [
        ("", "no secret is given"),
        // Of Standard Webhooks' documentation, and of our earlier tests.
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", example),
        ("whsec_0kQG6/TI+g+8jHhg4W4hWRvlTsabmfhX", example),
        ("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", example),
        // `correct horse battery staple`
        (
            "whsec_Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==",
            "secret 1 is made of printable characters alone, as passwords are",
        ),
        (&format!("{SECRET},{SECRET}"), "secret 2 is secret 1 again: remove one of them"),
        (",", "no secret is given"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret 1 must be whsec_ followed by base64"),
        ("whsec_****", "secret 1 must be whsec_ followed by base64"),
        // 32 characters of base64, which are 23 bytes.
        ("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=", "secret 1 has 23 bytes, and needs at least 24"),
        (
            &format!("whsec_AAEC,{OTHER_SECRET},pigeon"),
            "secret 1 has 3 bytes, and needs at least 24, secret 3 must be whsec_ followed by base64",
        ),
    ] {
        let error = text.parse::<WebhookSecrets>().err().expect("wrong").to_string();
        let remedy = "generate one with: echo \"whsec_$(openssl rand -base64 32)\"";
        assert_eq!(error, format!("{why}; {remedy}"), "{text:?}");
    }
}

#[test]
fn each_attempt_sends_the_same_event_whatever_the_workflow_id() {
    let url = "https://hooks.example.com/x".parse().expect("a URL");
    let secrets = format!("{SECRET},{OTHER_SECRET}").parse().expect("secrets");
    let webhook = Webhook::new(url, secrets).expect("certificates");
    let time = |text: &str| text.parse::<Timestamp>().expect("a time");
    let outcome = Outcome {
        status: Status::Approved.into(),
        decided_at: Some(to_message(time("2026-11-25T08:05:00Z"))),
        execution_key: "0198".into(),
        ..Outcome::default()
    };
    for attempt in ["2026-11-25T08:05:01Z", "2026-11-25T09:00:00Z"].map(time) {
        let request = webhook.request("Einkauf/Köln\n42", &outcome, attempt);
        let request = request.expect("signed").build().expect("a request");
        let header = |name| request.headers()[name].to_str().expect("ASCII");
        assert_eq!(header("webhook-id"), "0198-approved");
        assert_eq!(header("webhook-timestamp"), attempt.as_second().to_string());
        let signed = request.body().and_then(reqwest::Body::as_bytes).expect("a body");
        let signature = |secret| {
            let signer = standardwebhooks::Webhook::new(secret).expect("a secret");
            signer.sign("0198-approved", attempt.as_second(), signed).expect("text")
        };
        let both = [SECRET, OTHER_SECRET].map(signature).join(" ");
        assert_eq!(header("webhook-signature"), both, "a receiver may know either secret");
        let body: Value = serde_json::from_slice(signed).expect("JSON");
        assert_eq!(body["timestamp"], "2026-11-25T08:05:00+00:00");
        assert_eq!(body["data"]["workflowId"], "Einkauf/Köln\n42");
    }
}
