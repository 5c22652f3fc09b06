//! Whoever acts on outcomes: takes the webhook, and refuses some deliveries.

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::dice::Dice;

/// An outcome that was taken: for which workflow, and its `data`.
pub(crate) type Taken = (String, Value);

/// A server that takes most deliveries.
#[derive(Clone)]
pub(crate) struct Receiver {
    shared: Arc<Mutex<(Dice, Vec<Taken>)>>,
    url: String,
}

impl Receiver {
    /// Starts it.
    pub(crate) async fn start(dice: Dice) -> std::io::Result<Receiver> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, countersign_e2e::free_port())).await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let receiver = Receiver { shared: Arc::new(Mutex::new((dice, Vec::new()))), url };
        let routes = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(receiver)
    }

    /// Where it takes deliveries.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// All that was taken, in order.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut shared = receiver.shared.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.0.percent(10) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    shared.1.push((id.to_owned(), body["data"].clone()));
    StatusCode::NO_CONTENT
}
