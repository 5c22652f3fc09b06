//! Whoever acts on outcomes: an HTTP server that takes the product's webhook.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{python::python, wait::eventually};

/// One request to the webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Whether it was taken.
    pub taken: bool,
    /// The request's headers.
    pub headers: Vec<(String, String)>,
    /// The request's body.
    pub body: Vec<u8>,
}

/// A server that refuses some deliveries and takes the others.
pub struct Receiver {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    refusals: usize,
    deliveries: Mutex<Vec<Delivery>>,
}

impl Receiver {
    /// Starts a server that answers the first `refusals` deliveries with 503.
    pub async fn refusing(refusals: usize) -> Receiver {
        let shared = Arc::new(Shared { refusals, deliveries: Mutex::default() });
        let routes = Router::new().route("/hook", post(take)).with_state(shared.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("a server without end");
        });
        Receiver { url: format!("http://{address}/hook"), shared, server }
    }

    /// Where it takes deliveries.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until a delivery is taken, and returns all of them, in order.
    pub async fn deliveries_until_taken(&self) -> Vec<Delivery> {
        eventually("a delivery to be taken", async || {
            let deliveries = self.deliveries_so_far();
            deliveries.last().is_some_and(|last| last.taken).then_some(deliveries)
        })
        .await
    }

    /// The deliveries so far, in order.
    pub fn deliveries_so_far(&self) -> Vec<Delivery> {
        self.shared.deliveries.lock().expect("not poisoned").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut deliveries = shared.deliveries.lock().expect("not poisoned");
    let taken = deliveries.len() >= shared.refusals;
    let text = |value: &axum::http::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let headers =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    deliveries.push(Delivery { taken, headers, body: body.to_vec() });
    if taken { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}

impl Delivery {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Whether the Standard Webhooks library for Python, which nobody here wrote, verifies it.
    pub async fn is_verified_by_the_standard_library(&self, secret: &str) -> bool {
        const VERIFY: &str = "
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
asked = json.load(sys.stdin)
try:
    Webhook(asked['secret']).verify(asked['body'].encode(), asked['headers'])
except WebhookVerificationError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
";
        let headers: serde_json::Map<_, _> =
            self.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = String::from_utf8(self.body.clone()).expect("UTF-8");
        let asked = json!({"secret": secret, "headers": headers, "body": body});
        let (code, errors) = python(VERIFY, &[], &asked.to_string()).await;
        match code {
            0 => true,
            3 => false,
            _ => panic!("the verification itself failed: {errors}"),
        }
    }
}
