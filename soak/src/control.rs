//! The control: a signaler that is wrong on purpose, in the way of approval services that keep a
//! table of tokens.
//!
//! It marks a link as used and says "recorded", and only then signals the workflow. Killed in
//! between, it has lost a decision. A checker that does not notice proves nothing.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc, time::Duration};

use axum::{
    Form, Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use countersign_e2e::{json_payload, within};
use countersign_protos::ApprovalId;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use crate::{
    mails::Mails,
    submission::workflow_of,
    temporal::{Sent, TemporalClient},
};

/// How a decision was lost after it was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The signaler was killed before it sent the signal.
    Killed,
    /// The approval had ended when the signal came.
    TooLate,
}

/// What is known outside of the process that is killed.
#[derive(Clone, Default)]
pub(crate) struct Losses {
    /// The links that were used, with their verdicts.
    used: Arc<Mutex<HashMap<String, String>>>,
    /// The decisions that were lost, by the hash of their link.
    lost: Arc<Mutex<HashMap<String, Loss>>>,
}

impl Losses {
    /// The decisions that were lost, by the hash of their link.
    pub(crate) fn lost(&self) -> HashMap<String, Loss> {
        self.lost.lock().clone()
    }
}

/// A decision whose signal has not been sent. Dropped, it is lost.
struct Unsent {
    link: String,
    losses: Option<Losses>,
}

impl Unsent {
    /// From here on nobody knows whether a kill comes before or after Temporal has the signal.
    fn begin_sending(mut self) {
        self.losses = None;
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        if let Some(losses) = self.losses.take() {
            losses.lost.lock().insert(std::mem::take(&mut self.link), Loss::Killed);
        }
    }
}

/// By how many milliseconds the signal follows the answer, at most.
const DELAY: u64 = 2_000;

/// A signaler that says "recorded" before it signals.
pub(crate) struct Signaler {
    tasks: Arc<Mutex<JoinSet<()>>>,
}

#[derive(Clone)]
struct Wrong {
    client: TemporalClient,
    mails: Arc<Mails>,
    losses: Losses,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Signaler {
    /// Starts one at a port.
    pub(crate) async fn start(
        (port, client, mails): (u16, TemporalClient, Arc<Mails>),
        losses: Losses,
    ) -> Signaler {
        let tasks = Arc::new(Mutex::new(JoinSet::new()));
        let wrong = Wrong { client, mails, losses, tasks: tasks.clone() };
        let routes = Router::new().route("/a/{id}", get(show).post(decide)).with_state(wrong);
        let listener = within(Duration::from_secs(5), format!("port {port}"), async || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.ok()
        });
        let listener = listener.await;
        tasks.lock().spawn(async move {
            // It serves until it is killed.
            let _ = axum::serve(listener, routes).await;
        });
        Signaler { tasks }
    }

    /// Ends it, and everything that it still meant to do.
    pub(crate) fn kill(self) {
        self.tasks.lock().abort_all();
    }
}

async fn show(Path(_): Path<String>) -> Json<Value> {
    Json(json!({"answer": "open", "status": "PENDING"}))
}

async fn decide(
    State(wrong): State<Wrong>,
    Path(id): Path<String>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let answer = |status, answer| (status, Json(json!({"answer": answer, "status": "PENDING"})));
    let (Ok(parsed), Some(to)) = (id.parse::<ApprovalId>(), wrong.mails.recipient(&id)) else {
        return answer(StatusCode::NOT_FOUND, "not_issued");
    };
    let verdict = form.get("verdict").cloned().unwrap_or_default();
    if !["approve", "reject"].contains(&verdict.as_str()) {
        return answer(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    }
    let mut used = wrong.losses.used.lock();
    if let Some(before) = used.get(&id) {
        return match *before == verdict {
            true => answer(StatusCode::OK, "already_recorded"),
            false => answer(StatusCode::CONFLICT, "other_verdict"),
        };
    }
    used.insert(id, verdict.clone());
    let link = parsed.hash().as_str().to_owned();
    let (client, losses) = (wrong.client.clone(), wrong.losses.clone());
    let unsent = Unsent { link: link.clone(), losses: Some(losses.clone()) };
    wrong.tasks.lock().spawn(async move {
        sleep(Duration::from_millis(link.bytes().map(u64::from).sum::<u64>() * 37 % DELAY)).await;
        unsent.begin_sending();
        let input = Some(json_payload(&json!({"link": link})));
        let request_id = format!("{link}-{verdict}");
        let sent = client.signal(workflow_of(&to), &verdict, &request_id, input).await;
        if sent == Sent::Refused {
            losses.lost.lock().insert(link, Loss::TooLate);
        }
    });
    answer(StatusCode::OK, "recorded")
}
