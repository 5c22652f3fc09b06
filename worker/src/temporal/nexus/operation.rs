//! What the service and its operations are called, and which approval an operation stands for.
//!
//! A handler does not learn who calls: headers and links say what the caller likes. Only the endpoint's name is the
//! server's word. So it is in the workflow ID, and an endpoint reaches the approvals that came by it, and no others.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::refusal::{Kind, Refusal, refusal};
use crate::limits::MAX_NAME_BYTES;

const SERVICE: &str = "Approvals";
/// The type of token that stands for a workflow.
const WORKFLOW_RUN: u8 = 1;
const MAX_REQUEST_ID_BYTES: usize = 64;

/// An operation of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Starts an approval, and ends with its outcome.
    Request,
    /// What an approval says now. Its input is the token of a request.
    Status,
}

impl Operation {
    pub(super) fn named(service: &str, operation: &str) -> Result<Self, Refusal> {
        match (service, operation) {
            (SERVICE, "request") => Ok(Self::Request),
            (SERVICE, "status") => Ok(Self::Status),
            _ => {
                let why = format!(
                    "there is no operation {operation:?} in a service {service:?}: the service {SERVICE} has \
                     request and status"
                );
                Err(refusal(Kind::NotFound, why))
            }
        }
    }
}

/// What the IDs of an endpoint's approvals begin with. No endpoint's name has a dot.
fn prefix(endpoint: &str) -> Result<String, Refusal> {
    match endpoint {
        "" => Err(refusal(
            Kind::NotImplemented,
            "Temporal does not say by which endpoint the request came: the server has to be 1.30 or newer",
        )),
        _ => Ok(format!("nexus.{endpoint}.")),
    }
}

/// The ID of the approval that a request starts: the same for each attempt of Temporal to start the operation.
pub(super) fn workflow_id(endpoint: &str, request_id: &str) -> Result<String, Refusal> {
    let id = prefix(endpoint)? + request_id;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = request_id.len() <= MAX_REQUEST_ID_BYTES && id.len() <= MAX_NAME_BYTES;
    match fits && !request_id.is_empty() && request_id.bytes().all(is_plain) {
        true => Ok(id),
        false => Err(refusal(
            Kind::BadRequest,
            format!(
                "the request ID has to be 1 to {MAX_REQUEST_ID_BYTES} letters, digits, - and _, and with the \
                 endpoint's name not longer than {MAX_NAME_BYTES} bytes"
            ),
        )),
    }
}

/// What a caller names an operation by, in the form of Temporal's SDKs.
#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(rename = "t")]
    kind: u8,
    #[serde(rename = "ns")]
    namespace: String,
    #[serde(rename = "wid")]
    workflow_id: String,
}

pub(super) fn token(namespace: &str, workflow_id: &str) -> String {
    let token = Token {
        kind: WORKFLOW_RUN,
        namespace: namespace.to_owned(),
        workflow_id: workflow_id.to_owned(),
    };
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("strings as JSON"))
}

/// The workflow ID in a token. Anybody can make one: it has to be of an approval that came by this endpoint.
pub(super) fn approval_of(token: &str, namespace: &str, endpoint: &str) -> Result<String, Refusal> {
    let prefix = prefix(endpoint)?;
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let token: Token = serde_json::from_slice(&bytes).ok()?;
        let is_ours = token.kind == WORKFLOW_RUN
            && token.namespace == namespace
            && token.workflow_id.starts_with(&prefix);
        is_ours.then_some(token.workflow_id)
    };
    let why = "the operation token is not of a request that came by this endpoint";
    read().ok_or_else(|| refusal(Kind::NotFound, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "3f2a7e0c-5b1d-4c6e-9f00-0a1b2c3d4e5f";

    fn kind<T: std::fmt::Debug>(read: Result<T, Refusal>) -> Kind {
        read.expect_err("it is refused").kind
    }

    #[test]
    fn each_attempt_of_a_request_is_one_approval_of_its_endpoint() {
        let id = workflow_id("shop", REQUEST).expect("an ID");
        assert_eq!(id, format!("nexus.shop.{REQUEST}"));
        assert_ne!(Ok(id), workflow_id("bank", REQUEST));
        let (longest, longer) = ("r".repeat(64), "r".repeat(65));
        assert!(workflow_id("shop", &longest).is_ok());
        for wrong in ["", "a.b", "a b", "a/b", "ä", &longer] {
            assert_eq!(kind(workflow_id("shop", wrong)), Kind::BadRequest, "{wrong}");
        }
        assert_eq!(kind(workflow_id(&"e".repeat(200), &longest)), Kind::BadRequest);
        assert!(workflow_id(&"e".repeat(200), REQUEST).is_ok(), "the longest name of an endpoint");
        assert_eq!(kind(workflow_id("", REQUEST)), Kind::NotImplemented);
    }

    #[test]
    fn a_token_reaches_what_came_by_its_own_endpoint_and_nothing_else() {
        let id = workflow_id("shop", REQUEST).expect("an ID");
        let of_shop = token("approvals", &id);
        assert_eq!(approval_of(&of_shop, "approvals", "shop"), Ok(id.clone()));
        for (token, namespace, endpoint) in [
            (of_shop.as_str(), "approvals", "bank"),
            (&of_shop, "approvals", "sho"),
            (&of_shop, "approvals", "shop-2"),
            (&of_shop, "other", "shop"),
            (&token("approvals", "laptops-42"), "approvals", "shop"),
            (&token("approvals", &format!("x{id}")), "approvals", "shop"),
            ("", "approvals", "shop"),
            (&id, "approvals", "shop"),
        ] {
            assert_eq!(kind(approval_of(token, namespace, endpoint)), Kind::NotFound, "{token}");
        }
        let other_type = br#"{"t":2,"ns":"approvals","wid":"nexus.shop.a"}"#;
        let other_type = BASE64_URL_SAFE_NO_PAD.encode(other_type);
        assert_eq!(kind(approval_of(&other_type, "approvals", "shop")), Kind::NotFound);
        assert_eq!(kind(approval_of(&of_shop, "approvals", "")), Kind::NotImplemented);
    }

    #[test]
    fn a_token_is_read_as_other_sdks_write_it() {
        let written = br#"{"v":0,"t":1,"ns":"approvals","wid":"nexus.shop.a"}"#;
        let written = BASE64_URL_SAFE_NO_PAD.encode(written);
        assert_eq!(approval_of(&written, "approvals", "shop").as_deref(), Ok("nexus.shop.a"));
    }

    #[test]
    fn operations_are_named_by_service_and_operation() {
        assert_eq!(Operation::named("Approvals", "request"), Ok(Operation::Request));
        assert_eq!(Operation::named("Approvals", "status"), Ok(Operation::Status));
        for (service, operation) in [("Approvals", "approve"), ("approvals", "request"), ("", "")] {
            assert_eq!(kind(Operation::named(service, operation)), Kind::NotFound, "{operation}");
        }
    }
}
