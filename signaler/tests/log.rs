//! What is logged, and what is not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{
    body::Body,
    http::{Request, header},
};
use countersign_protos::{Chain, LinkContext, LinkKeys};
use serde_json::Value;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

mod service;

use service::{KEY, service};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn each_request_is_one_line_without_its_approval_id_query_comment_or_referer() {
    let log = Log::default();
    // More than is logged by default, so that no dependency can give an ID away either.
    let subscriber =
        tracing_subscriber::fmt().json().with_env_filter("trace").with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());

    let keys: LinkKeys = KEY.parse().expect("a key");
    let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
    let link = keys.first().link(LinkContext::new(chain, "v1:0", "ann@example.com"));
    let id = link.id();
    let service = service("https://ok.example", "", &[]).router();
    let revealed = id.reveal();
    for (method, path) in [
        ("GET", format!("/a/{revealed}?choice=approve")),
        ("HEAD", format!("/a/{revealed}")),
        ("POST", format!("/a/{revealed}")),
        ("GET", format!("/?id={revealed}")),
        ("GET", "/?id=mistyped".to_owned()),
        ("GET", format!("/a/{revealed}/more")),
        ("BREW", format!("/a/{revealed}")),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::REFERER, format!("https://ok.example/a/{revealed}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from("verdict=approve&comment=confidential"))
            .expect("a request");
        service.clone().oneshot(request).await.expect("infallible");
    }

    let log = String::from_utf8(log.0.lock().expect("a lock").clone()).expect("text");
    let flat = revealed.replace('-', "");
    for secret in [revealed.as_str(), &flat, "choice=", "mistyped", "confidential", "BREW", KEY] {
        assert!(!log.contains(secret), "{secret} is logged:\n{log}");
    }
    let requests: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["fields"]["message"] == "request")
        .collect();
    assert_eq!(requests.len(), 7, "{log}");
    assert_eq!(requests[0]["fields"]["route"], "/a/{approval-id}");
    assert_eq!(requests[0]["fields"]["status"], 503);
    assert_eq!(requests[0]["fields"]["link"], id.hash().short());
    assert!(requests[0]["fields"]["ms"].is_u64());
}

/// The signaler lacks the key with which the workers make links.
#[tokio::test]
async fn keys_that_differ_from_the_workers_are_warned_about_and_what_to_compare() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let workers: LinkKeys = countersign_protos::TEST_KEYS[1].parse().expect("a key");
    let service = service("https://ok.example", "", &[]).router();
    let mut ids = Vec::new();
    for i in 0..40 {
        let reviewer = format!("{i}@example.com");
        let chain = Chain { workflow_id: "laptops", first_run_id: "run" };
        let link = workers.first().link(LinkContext::new(chain, "v1:0", &reviewer));
        ids.push(link.id().reveal());
        let asked = Request::get(format!("/a/{}", ids[i])).body(Body::empty());
        let answer = service.clone().oneshot(asked.expect("a request")).await.expect("infallible");
        assert_eq!(answer.status(), 404);
    }
    let log = String::from_utf8(log.0.lock().expect("a lock").clone()).expect("text");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let warnings: Vec<Value> =
        lines.filter(|line| line["fields"]["fingerprints"].is_string()).collect();
    let [warning] = &warnings[..] else { panic!("one warning, not {warnings:#?}") };
    assert_eq!(warning["level"], "WARN");
    let own = KEY.parse::<LinkKeys>().expect("a key").fingerprints();
    assert_eq!(warning["fields"]["fingerprints"], own);
    assert_eq!(warning["fields"]["failed"], 11);
    let message = warning["fields"]["message"].as_str().expect("a message");
    assert!(message.contains("give all of them the same COUNTERSIGN_LINK_KEYS"), "{message}");
    for id in ids {
        assert!(!log.contains(&id), "an ID is logged");
    }
}
