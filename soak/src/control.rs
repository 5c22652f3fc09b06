//! The control: a signaler that is wrong on purpose, as the sample is that this product replaces.
//!
//! It marks a link as used and says "recorded", and only then signals the workflow. Killed in
//! between, it has lost a decision for ever. A harness that does not notice proves nothing.

use std::{
    collections::{HashMap, HashSet},
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

use crate::{mails::Mails, people, temporal};

/// What is known outside of a process that can be killed.
#[derive(Clone, Default)]
pub(crate) struct Known {
    /// The links that were used, and how: what the sample keeps in a table.
    used: Arc<Mutex<HashMap<String, String>>>,
    /// The hashes of links whose decision had not been sent on when the process was killed.
    killed: Arc<Mutex<HashSet<String>>>,
}

impl Known {
    /// Whether the decision by a link was acknowledged, and lost by a kill.
    pub(crate) fn was_killed(&self, link: &str) -> bool {
        self.killed.lock().unwrap_or_else(PoisonError::into_inner).contains(link)
    }
}

/// Something that is lost where it is dropped before its time.
struct Unsent {
    link: String,
    killed: Option<Arc<Mutex<HashSet<String>>>>,
}

impl Unsent {
    fn sent(mut self) {
        self.killed = None;
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        if let Some(killed) = self.killed.take() {
            let mut killed = killed.lock().unwrap_or_else(PoisonError::into_inner);
            killed.insert(std::mem::take(&mut self.link));
        }
    }
}

/// How long the signal comes after the answer, at most.
const LATER: u64 = 2_000;

/// The wrong signaler.
pub(crate) struct Signaler {
    tasks: Arc<Mutex<JoinSet<()>>>,
}

#[derive(Clone)]
struct Wrong {
    direct: temporal::Direct,
    mails: Arc<Mails>,
    known: Known,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Signaler {
    /// Starts one at a port.
    pub(crate) async fn start(
        (port, direct, mails): (u16, temporal::Direct, Arc<Mails>),
        known: Known,
    ) -> Result<Signaler> {
        let tasks = Arc::new(Mutex::new(JoinSet::new()));
        let wrong = Wrong { direct, mails, known, tasks: tasks.clone() };
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
    let (Ok(parsed), Some(to)) = (id.parse::<ApprovalId>(), wrong.mails.recipient(&id)) else {
        return answer(StatusCode::NOT_FOUND, "not_issued");
    };
    let verdict = form.get("verdict").cloned().unwrap_or_default();
    if !["approve", "reject"].contains(&verdict.as_str()) {
        return answer(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    }
    let mut used = wrong.known.used.lock().unwrap_or_else(PoisonError::into_inner);
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
    let unsent = Unsent { link: link.clone(), killed: Some(wrong.known.killed.clone()) };
    wrong.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
        sleep(later).await;
        let input = temporal::json(&json!({"link": link}));
        let mark = format!("{link}-{verdict}");
        direct.signal(people::workflow_of(&to), &verdict, &mark, Some(input)).await;
        unsent.sent();
    });
    answer(StatusCode::OK, "recorded")
}
