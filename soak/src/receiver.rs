//! Whoever acts on outcomes: takes the webhook, and refuses some deliveries.

use std::{
    future::pending,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{
    dice::Dice,
    installation::Part,
    traps::{Traps, WEBHOOK},
};

/// An outcome that was taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// The workflow.
    pub(crate) workflow: String,
    /// By what a receiver knows one that it has taken before.
    pub(crate) webhook_id: String,
    /// The outcome.
    pub(crate) outcome: Value,
}

/// A server that takes most deliveries.
#[derive(Clone)]
pub(crate) struct Receiver {
    shared: Arc<Mutex<(Dice, Vec<Taken>)>>,
    url: String,
    traps: Arc<Traps>,
}

impl Receiver {
    /// Starts it.
    pub(crate) async fn start(dice: Dice, traps: &Arc<Traps>) -> std::io::Result<Receiver> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, countersign_e2e::free_port())).await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let shared = Arc::new(Mutex::new((dice, Vec::new())));
        let receiver = Receiver { shared, url, traps: traps.clone() };
        let routes = Router::new().route("/hook/{worker}", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(receiver)
    }

    /// Where it takes the deliveries of one of the workers.
    pub(crate) fn url(&self, worker: usize) -> String {
        format!("{}/{worker}", self.url)
    }

    /// All that was taken, in order.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    Path(worker): Path<usize>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if !receiver.take(&headers, &body) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if receiver.traps.catches(WEBHOOK.what, WEBHOOK.moment, Part::Worker(worker)) {
        return pending().await;
    }
    StatusCode::NO_CONTENT
}

impl Receiver {
    fn take(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.0.percent(10) {
            return false;
        }
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut outcome = body["data"].take();
        let workflow = outcome.as_object_mut().and_then(|data| data.remove("workflowId"));
        shared.1.push(Taken {
            workflow: workflow.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
            webhook_id: id.to_owned(),
            outcome,
        });
        true
    }
}
