//! Signed outcomes, and the webhooks that carry them.

use std::collections::HashMap;

use countersign_e2e::{Delivery, text};
use countersign_protos::{Claims, execution_key};
use serde_json::Value;
use standardwebhooks::Webhook;

use super::{
    facts::{Approval, Facts},
    outcome::{View, explain},
};

/// What is signed in an outcome, if anything is.
pub(super) fn claims(facts: &Facts, outcome: &Value) -> Option<Claims> {
    facts.keys.jwks().verify(outcome["jws"].as_str()?).ok()
}

/// Whether an outcome says what is signed in it.
fn agrees(outcome: &Value, claims: &Claims) -> bool {
    let signed = [
        ("submissionId", &claims.submission_id),
        ("status", &claims.status),
        ("basis", &claims.basis),
        ("digest", &claims.digest),
        ("executionKey", &claims.execution_key),
    ];
    signed.iter().all(|(name, value)| outcome[name] == **value)
        && (outcome["operator"] == true) == claims.operator
}

/// Whether a signed outcome is that of a real approval, and follows from what people did.
///
/// # Errors
/// What does not.
pub(super) fn explain_outcome(
    facts: &Facts,
    outcome: &Value,
    claims: &Claims,
) -> Result<(), String> {
    if !agrees(outcome, claims) {
        return Err(format!("it is not what was signed: {claims:?}"));
    }
    let mut approvals = facts.approvals.iter();
    let approval = approvals.find(|approval| {
        (&approval.workflow, &approval.first_run_id) == (&claims.workflow_id, &claims.first_run_id)
    });
    let approval = approval.ok_or("nobody has started this approval")?;
    is_of(outcome, approval)?;
    let digest = approval.digest();
    if claims.digest != digest || claims.execution_key != execution_key(approval.chain(), &digest) {
        return Err("its digest or execution key is that of something else".to_owned());
    }
    if !matches!(&*claims.status, "APPROVED" | "REJECTED" | "EXPIRED" | "WITHDRAWN") {
        return Err(format!("{} is no outcome", claims.status));
    }
    explain(facts, approval, &View::of_outcome(outcome))
}

/// Whether it shows what was submitted.
///
/// # Errors
/// If it shows something else.
pub(super) fn is_of(shown: &Value, approval: &Approval) -> Result<(), String> {
    for part in ["submissionId", "submissionType", "submitter", "document"] {
        if shown[part] != approval.submission[part] {
            return Err(format!("{part} is another one: {}", shown[part]));
        }
    }
    Ok(())
}

/// Whether a delivery is genuine, and says what follows from what people did. `seen` has the events of
/// earlier deliveries by their IDs.
///
/// # Errors
/// What is not.
pub(super) fn explain_delivery(
    facts: &Facts,
    delivery: &Delivery,
    seen: &mut HashMap<String, (String, String)>,
) -> Result<(), String> {
    let (id, at) = (delivery.header("webhook-id"), delivery.header("webhook-timestamp"));
    let secret = Webhook::new(&facts.secret).map_err(|error| error.to_string())?;
    let expected = secret.sign(id, at.parse().unwrap_or_default(), &delivery.body);
    if !expected.is_ok_and(|expected| delivery.header("webhook-signature") == expected) {
        return Err("its signature is wrong".to_owned());
    }
    let body: Value = serde_json::from_slice(&delivery.body).map_err(|error| error.to_string())?;
    let outcome = &body["data"];
    let claims = claims(facts, outcome).ok_or("its outcome is not signed")?;
    if outcome["workflowId"] == claims.workflow_id {
        let event = format!("approval.{}", claims.status.to_lowercase());
        if body["type"] != event {
            return Err(format!("its type is {}, and its outcome {event}", body["type"]));
        }
        let event = (claims.execution_key.clone(), event);
        if *seen.entry(id.to_owned()).or_insert_with(|| event.clone()) != event {
            return Err(format!("{id} is the ID of another event too"));
        }
        return explain_outcome(facts, outcome, &claims);
    }
    Err(format!(
        "it is about {}, and signed for {}",
        text(&outcome["workflowId"]),
        claims.workflow_id
    ))
}
