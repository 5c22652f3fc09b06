//! Asks Temporal what `doctor`, `list` and `explain` tell. Changes nothing, and waits for nothing for long.

mod approvals;
mod history;
mod set_up;

use std::{any::type_name, time::Duration};

use countersign_connection::decoded;
use countersign_core::diagnosis::Refused;
use jiff::Timestamp;
use parking_lot::Mutex;
use temporalio_client::{
    Client, GrpcCompression, NamespacedClient, RetryOptions,
    tonic::{Code, Response, Status},
};
use temporalio_common::payload_visitor::PayloadVisitable;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::TemporalSettings;

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(5);
/// How long a call that is refused over a limit is tried again.
const PATIENCE: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(500);
/// Between searches of the index, of which a namespace allows ten a second by default.
const SEARCH_EVERY: Duration = Duration::from_millis(150);

/// How the identity of everybody begins who only looks. The server shows them among those who poll.
const IDENTITY: &str = "countersign-doctor ";

/// A connection of somebody who only looks.
pub struct Inspector {
    client: Client,
    /// Names this process among others that look at the same time.
    identity: String,
    /// What was refused over a limit so far.
    refused: Mutex<Refused>,
    next_search: tokio::sync::Mutex<Instant>,
}

impl Inspector {
    /// Connects once.
    ///
    /// # Errors
    /// Why Temporal cannot be reached.
    pub async fn connect(temporal: TemporalSettings) -> Result<Self, String> {
        let TemporalSettings { mut connection, client, .. } = temporal;
        connection.connect_timeout = Some(CONNECT);
        connection.grpc_compression = GrpcCompression::None;
        // Refusals are counted here.
        connection.retry_options = RetryOptions::no_retries();
        let identity = format!("{IDENTITY}{:016x}", fastrand::u64(..));
        connection.identity.clone_from(&identity);
        let connected = countersign_connection::connect(connection, 2 * CONNECT).await;
        let connected = connected.map_err(|error| error.to_string())?;
        let client = Client::new(connected, client).map_err(|error| error.to_string())?;
        let next_search = tokio::sync::Mutex::new(Instant::now());
        Ok(Inspector { client, identity, refused: Mutex::default(), next_search })
    }

    /// The namespace that it looks into.
    pub fn namespace(&self) -> String {
        self.client.namespace()
    }

    /// Makes a call without effect. What a codec has encoded in its answer is decoded.
    async fn read<T, Fut>(&self, attempt: impl Fn(Client) -> Fut) -> Result<T, Status>
    where
        T: PayloadVisitable,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        Ok(decoded(&self.client, self.call(attempt).await?).await)
    }

    /// Makes a call without effect.
    async fn call<T, Fut>(&self, attempt: impl Fn(Client) -> Fut) -> Result<T, Status>
    where
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = timeout(ANSWER, attempt(self.client.clone())).await;
            let late = |_| Err(Status::deadline_exceeded(format!("no answer within {ANSWER:?}")));
            match answer.unwrap_or_else(late) {
                Err(status) if status.code() == Code::ResourceExhausted => {
                    self.note_refusal(call_of::<T>(), &status);
                    if Instant::now() >= until {
                        return Err(status);
                    }
                    sleep(AGAIN).await;
                }
                answer => return answer.map(Response::into_inner),
            }
        }
    }

    /// The same for one that searches the index: they come one after the other.
    async fn search<T, Fut>(&self, attempt: impl Fn(Client) -> Fut) -> Result<T, Status>
    where
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let mut next = self.next_search.lock().await;
        sleep_until(*next).await;
        let answer = self.call(attempt).await;
        *next = Instant::now() + SEARCH_EVERY;
        answer
    }

    fn note_refusal(&self, call: &str, status: &Status) {
        let mut refused = self.refused.lock();
        *refused.calls.entry(call.to_owned()).or_default() += 1;
        status.message().clone_into(&mut refused.words);
    }
}

/// The call that is answered by this type: `ListWorkflowExecutions` by `ListWorkflowExecutionsResponse`.
fn call_of<T>() -> &'static str {
    let name = type_name::<T>();
    let name = name.rsplit("::").next().unwrap_or(name);
    name.trim_end_matches("Response")
}

/// What a status says, in the server's words.
fn words(status: &Status) -> String {
    match status.message() {
        "" => format!("{:?}", status.code()),
        message => message.to_owned(),
    }
}

/// A protobuf time.
fn time((seconds, nanos): (i64, i32)) -> Option<Timestamp> {
    Timestamp::new(seconds, nanos).ok()
}

#[cfg(test)]
mod tests;
