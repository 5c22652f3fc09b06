//! The webhook's receiver, which refuses some deliveries.

use std::{sync::Arc, time::Duration};

use countersign_e2e::{Answer, Delivery, Receiver};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    failpoints::{Failpoints, WEBHOOK},
    part::Part,
    rng::{Draw, Rng},
};

/// An outcome that the receiver has taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) workflow: String,
    /// The key by which a receiver recognises a repeated delivery.
    pub(crate) webhook_id: String,
    pub(crate) outcome: Value,
}

/// Starts a receiver that takes most deliveries.
pub(crate) async fn start(rng: Rng, failpoints: &Arc<Failpoints>) -> Receiver {
    let (rng, failpoints) = (Mutex::new(rng), failpoints.clone());
    Receiver::that_decides(move |_, delivery| {
        if rng.lock().percent(10) {
            return Answer::Says(503, None, "");
        }
        let worker = delivery.path.rsplit('/').next().and_then(|worker| worker.parse().ok());
        match worker {
            Some(worker) if failpoints.hit(WEBHOOK.what, WEBHOOK.moment, Part::Worker(worker)) => {
                Answer::TakesAndHangs
            }
            _ => Answer::Takes(Duration::ZERO),
        }
    })
    .await
}

/// The URL for the deliveries of one of the workers.
pub(crate) fn url(receiver: &Receiver, worker: usize) -> String {
    format!("{}/{worker}", receiver.url())
}

/// All outcomes that the receiver has taken, in order.
pub(crate) fn taken(receiver: &Receiver) -> impl Iterator<Item = Taken> {
    let taken = |delivery: Delivery| {
        let mut outcome = delivery.json()["data"].take();
        let workflow = outcome.as_object_mut().and_then(|data| data.remove("workflowId"));
        Taken {
            workflow: workflow.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned(),
            webhook_id: delivery.header("webhook-id").to_owned(),
            outcome,
        }
    };
    receiver.deliveries_so_far().into_iter().filter(|delivery| delivery.taken).map(taken)
}
