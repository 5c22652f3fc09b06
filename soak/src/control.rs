//! The control: a signaler that is wrong on purpose, as the sample is that this product replaces.
//!
//! It marks a link as used and says "recorded", and only then signals the workflow. Killed in
//! between, it has lost a decision for ever. A harness that does not notice proves nothing.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use axum::{
    Form, Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use countersign_protos::ApprovalId;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

use crate::{outbox::Outbox, people, temporal};

/// The links that were used, and how: what the sample keeps in a table, which survives a kill.
pub(crate) type Used = Arc<Mutex<HashMap<String, String>>>;

/// How long the signal comes after the answer, at most.
const LATER: u64 = 2_000;

/// The wrong signaler.
pub(crate) struct Signaler {
    tasks: Arc<Mutex<JoinSet<()>>>,
}

#[derive(Clone)]
struct Wrong {
    direct: temporal::Direct,
    outbox: Arc<Outbox>,
    used: Used,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Signaler {
    /// Starts one at a port.
    pub(crate) async fn start(
        (port, direct, outbox): (u16, temporal::Direct, Arc<Outbox>),
        used: Used,
    ) -> Result<Signaler> {
        let tasks = Arc::new(Mutex::new(JoinSet::new()));
        let wrong = Wrong { direct, outbox, used, tasks: tasks.clone() };
        let routes = Router::new().route("/a/{id}", get(look).post(press)).with_state(wrong);
        for _ in 0..50 {
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                let serve = async move {
                    // It ends when it is killed.
                    let _ = axum::serve(listener, routes).await;
                };
                tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(serve);
                return Ok(Signaler { tasks });
            }
            sleep(Duration::from_millis(100)).await;
        }
        bail!("port {port} is not free")
    }

    /// Ends it, with everything that it still meant to do.
    pub(crate) async fn kill(self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

async fn look(Path(_): Path<String>) -> Json<Value> {
    Json(json!({"answer": "open", "status": "PENDING"}))
}

async fn press(
    State(wrong): State<Wrong>,
    Path(id): Path<String>,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let answer = |status, answer| (status, Json(json!({"answer": answer, "status": "PENDING"})));
    let (Ok(parsed), Some(to)) = (id.parse::<ApprovalId>(), wrong.outbox.recipient(&id)) else {
        return answer(StatusCode::NOT_FOUND, "not_issued");
    };
    let verdict = form.get("verdict").cloned().unwrap_or_default();
    let mut used = wrong.used.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(before) = used.get(&id) {
        return match *before == verdict {
            true => answer(StatusCode::OK, "already_recorded"),
            false => answer(StatusCode::CONFLICT, "other_verdict"),
        };
    }
    used.insert(id, verdict.clone());
    let link = parsed.hash().as_str().to_owned();
    let later = Duration::from_millis(link.bytes().map(u64::from).sum::<u64>() * 37 % LATER);
    let direct = wrong.direct.clone();
    wrong.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
        sleep(later).await;
        let input = temporal::json(&json!({"link": link}));
        let mark = format!("{link}-{verdict}");
        direct.signal(people::workflow_of(&to), &verdict, &mark, Some(input)).await;
    });
    answer(StatusCode::OK, "recorded")
}
