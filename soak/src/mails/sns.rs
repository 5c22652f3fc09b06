//! An emulated SNS behind a front that fails as Amazon's may.

use std::{collections::HashMap, future::pending, net::Ipv4Addr, path::Path, sync::Arc};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use countersign_e2e::{Mail, Topic, free_port};
use tokio::net::TcpListener;

use super::{Fault, Mails};
use crate::part::Part;

/// A topic as the product sees it.
pub(crate) struct Sns {
    port: u16,
    topic: Topic,
}

#[derive(Clone)]
struct Front {
    endpoint: String,
    sender: Part,
    mails: Arc<Mails>,
    client: reqwest::Client,
}

impl Sns {
    /// Starts it; mails that are published by `sender` go to `mails`.
    pub(crate) async fn start(dir: &Path, sender: Part, mails: &Arc<Mails>) -> Result<Sns> {
        let topic = Topic::start(dir).await;
        // With e-mail subscriptions alone, it would reach only those who have one.
        topic.subscribe("others", "nobody@example.com").await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).await?;
        let port = listener.local_addr()?.port();
        let client = reqwest::Client::builder().no_proxy().build()?;
        let front = Front { endpoint: topic.endpoint(), sender, mails: mails.clone(), client };
        let routes = Router::new().fallback(answer).with_state(front);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Sns { port, topic })
    }

    /// The settings with which a worker finds it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        self.topic.settings(&format!("http://127.0.0.1:{}", self.port)).into()
    }
}

async fn answer(State(front): State<Front>, headers: HeaderMap, body: Bytes) -> Response {
    let mails = &front.mails;
    let Some(mail) = mail(&body) else { return front.forward(&headers, body).await };
    if mails.has_fault(Fault::SnsThrottled) {
        return error(StatusCode::BAD_REQUEST, "Sender", "Throttled");
    }
    if mails.has_fault(Fault::SnsBroken) {
        return match body.len() % 2 {
            0 => error(StatusCode::INTERNAL_SERVER_ERROR, "Receiver", "InternalError"),
            _ => error(StatusCode::SERVICE_UNAVAILABLE, "Receiver", "ServiceUnavailable"),
        };
    }
    if mails.take_fault(Fault::SnsNever) {
        mails.add(&mail, true);
        return error(StatusCode::BAD_REQUEST, "Sender", "EndpointDisabled");
    }
    let answer = front.forward(&headers, body).await;
    if answer.status().is_success() {
        if mails.take(&mail, front.sender) {
            return pending().await;
        }
        if mails.has_fault(Fault::SnsCut) {
            // The connection is closed in the middle of the answer.
            let cut = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
            return Body::from_stream(cut).into_response();
        }
    }
    answer
}

impl Front {
    /// Passes a request on to the emulator.
    async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let mut request = self.client.post(&self.endpoint).body(body);
        for name in ["content-type", "authorization", "x-amz-date"] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = request.send().await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        (status, [(CONTENT_TYPE, "text/xml")], text).into_response()
    }
}

/// The mail that a call of `Publish` stands for. `None` for other calls.
fn mail(body: &[u8]) -> Option<Mail> {
    let mut form: HashMap<String, String> =
        url::form_urlencoded::parse(body).into_owned().collect();
    let mut field = |name: &str| form.remove(name).unwrap_or_default();
    let is_mail = field("Action") == "Publish";
    is_mail.then(|| Mail {
        from: String::new(),
        to: vec![field("MessageAttributes.entry.1.Value.StringValue")],
        subject: field("Subject"),
        content_type: "text/plain".to_owned(),
        text: field("Message"),
        html: String::new(),
        raw: Vec::new(),
    })
}

fn error(status: StatusCode, side: &str, code: &str) -> Response {
    let text = format!(
        "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>{side}\
         </Type><Code>{code}</Code><Message>as the soak wants it</Message></Error>\
         <RequestId>soak</RequestId></ErrorResponse>"
    );
    (status, [(CONTENT_TYPE, "text/xml")], text).into_response()
}
