//! Whoever acts on outcomes: an HTTP server that takes the product's webhook.

use std::{
    collections::BTreeSet,
    future::pending,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::post,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

use crate::{
    process::{Process, free_port, tool},
    python::python,
    wait::eventually,
};

/// One request to the webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The path of its URL.
    pub path: String,
    /// Whether it was taken.
    pub taken: bool,
    pub at: Instant,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a receiver answers a delivery.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With this status, a header where one is named, and a body.
    Says(u16, Option<(&'static str, &'static str)>, &'static str),
    /// With 204, after so long.
    Takes(Duration),
    /// Never, although it takes the delivery.
    TakesAndHangs,
    /// Never, and does not take the delivery.
    Hangs,
}

/// A server that answers deliveries as a story has it.
pub struct Receiver {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// From the number of earlier deliveries and the new one to its answer.
type Decide = dyn Fn(usize, &Delivery) -> Answer + Send + Sync;

struct Shared {
    decide: Box<Decide>,
    deliveries: Mutex<Vec<Delivery>>,
    /// The numbers of those that wait for their answer.
    under_way: Mutex<BTreeSet<usize>>,
}

impl Receiver {
    /// Starts a server that answers the first `refusals` deliveries with 503, and takes the others.
    pub async fn refusing(refusals: usize) -> Receiver {
        let refusal = Answer::Says(503, None, "");
        let taken = Answer::Takes(Duration::ZERO);
        let answers = std::iter::repeat_n(refusal, refusals).chain([taken]);
        Receiver::that_answers(answers).await
    }

    /// Starts a server with these answers, the last of which is for all that follow.
    pub async fn that_answers(answers: impl IntoIterator<Item = Answer>) -> Receiver {
        let answers: Vec<Answer> = answers.into_iter().collect();
        let decide = move |number: usize, _: &Delivery| {
            answers.get(number).or(answers.last()).expect("an answer").clone()
        };
        Receiver::that_decides(decide).await
    }

    /// Starts a server that answers a delivery as `decide` says, which is also given the number of
    /// earlier deliveries.
    pub async fn that_decides(
        decide: impl Fn(usize, &Delivery) -> Answer + Send + Sync + 'static,
    ) -> Receiver {
        let shared = Arc::new(Shared {
            decide: Box::new(decide),
            deliveries: Mutex::default(),
            under_way: Mutex::default(),
        });
        let routes = Router::new().fallback(post(take)).with_state(shared.clone());
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
        self.shared.deliveries.lock().clone()
    }

    /// The numbers of the deliveries that wait for their answer now.
    pub fn under_way(&self) -> BTreeSet<usize> {
        self.shared.under_way.lock().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A delivery that waits for its answer, or whose sender has gone when this is dropped.
struct UnderWay {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shared.under_way.lock().remove(&self.number);
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |value: &axum::http::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let headers =
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let (path, body) = (uri.path().to_owned(), body.to_vec());
    let mut delivery = Delivery { path, taken: false, at: Instant::now(), headers, body };
    let (number, answer) = {
        let mut deliveries = shared.deliveries.lock();
        let number = deliveries.len();
        let answer = (shared.decide)(number, &delivery);
        delivery.taken = matches!(answer, Answer::TakesAndHangs);
        deliveries.push(delivery);
        (number, answer)
    };
    shared.under_way.lock().insert(number);
    let _under_way = UnderWay { shared: shared.clone(), number };
    match answer {
        Answer::Hangs | Answer::TakesAndHangs => pending().await,
        Answer::Takes(time) => {
            sleep(time).await;
            shared.deliveries.lock()[number].taken = true;
            StatusCode::NO_CONTENT.into_response()
        }
        Answer::Says(status, header, body) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, header.map(|header| [header]), body).into_response()
        }
    }
}

/// A receiver by HTTPS whose certificate is its own, so that nobody trusts it.
pub struct SelfSigned {
    port: u16,
    pem: PathBuf,
    _server: Process,
}

impl SelfSigned {
    /// Starts a server that keeps its certificate in `dir`.
    pub async fn start(dir: &Path) -> SelfSigned {
        SelfSigned::start_with(dir, &[]).await
    }

    /// Starts one whose certificate expired a day ago.
    pub async fn start_expired(dir: &Path) -> SelfSigned {
        SelfSigned::start_with(dir, &["expired"]).await
    }

    async fn start_with(dir: &Path, arguments: &[&str]) -> SelfSigned {
        let port = free_port();
        let mut command = Command::new(tool("python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/self_signed.py"));
        command.arg(port.to_string()).arg(dir).args(arguments);
        let server = Process::start("self-signed", dir, &command);
        eventually("the receiver to serve", async || {
            server.log().contains("serving").then_some(())
        })
        .await;
        SelfSigned { port, pem: dir.join("self-signed.pem"), _server: server }
    }

    /// Where it takes deliveries.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.port)
    }

    /// The file with its certificate, for `localhost`, and the private key.
    pub fn pem(&self) -> &Path {
        &self.pem
    }
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
