//! `countersign-worker verify` and `public-key`: whether an outcome is genuine, checked without Temporal.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use countersign_protos::{
    Claims, Jwks, digest,
    text::{clean_line, money},
};
use jiff::Timestamp;
use serde_json::Value;

/// A JWK set as JSON.
pub fn public_key(keys: &Jwks) -> String {
    serde_json::to_string_pretty(keys).unwrap_or_default()
}

/// Reads a JWK set.
///
/// # Errors
/// If the file cannot be read or is something else.
pub fn load_keys(path: &Path) -> Result<Jwks, String> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| format!("{} is not a JWK set of Ed25519 keys: {error}", path.display()))
}

/// Says what the outcome in a file decided; `-` is standard input.
///
/// # Errors
/// Each thing that is wrong with it, as text.
pub fn verify(path: &Path, keys: &Jwks) -> Result<String, String> {
    check(&read(path)?, keys).map_err(|wrong| {
        let wrong: Vec<String> = wrong.iter().map(|one| format!("\n  {one}")).collect();
        format!("{}: do not act on this outcome:{}", path.display(), wrong.concat())
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut json = Vec::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().read_to_end(&mut json).map(|_| json),
        _ => fs::read(path),
    };
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// What an outcome decided, or each thing that is wrong with it.
fn check(json: &[u8], keys: &Jwks) -> Result<String, Vec<String>> {
    let read = serde_json::from_slice::<Value>(json);
    let mut outcome = read.map_err(|error| vec![format!("it is not JSON: {error}")])?;
    // The body of a webhook, and what `temporal workflow result --output json` prints.
    if let Some(inside) = ["data", "result"].into_iter().find(|name| outcome[name].is_object()) {
        outcome = outcome[inside].take();
    }
    let mut wrong = Vec::new();
    let computed = digest(&outcome);
    if text(&outcome, "digest") != computed {
        wrong.push(format!(
            "digest: that of this submissionId, submissionType, submitter, document, fields and version \
             is {computed}, and not {:?}",
            text(&outcome, "digest")
        ));
    }
    let signed = match text(&outcome, "jws") {
        "" => Err("there is none, so it is not a final outcome".to_owned()),
        jws => keys.verify(jws).map_err(|error| error.to_string()),
    };
    match signed {
        Err(why) => wrong.push(format!("jws: {why}")),
        Ok(claims) => {
            wrong.extend(differences(&outcome, &claims));
            if wrong.is_empty() {
                return Ok(in_words(&outcome, &claims));
            }
        }
    }
    Err(wrong)
}

/// Where an outcome says something else than what was signed.
fn differences(outcome: &Value, claims: &Claims) -> Vec<String> {
    let texts = [
        ("submissionId", &claims.submission_id),
        ("status", &claims.status),
        ("basis", &claims.basis),
        ("digest", &claims.digest),
        ("actionDigest", &claims.action_digest),
        ("executionKey", &claims.execution_key),
    ];
    let mut other: Vec<_> = texts
        .into_iter()
        .map(|(name, signed)| (name, text(outcome, name).to_owned(), signed.clone()))
        .filter(|(_, said, signed)| said != signed)
        .collect();
    let operator = outcome["operator"].as_bool().unwrap_or_default();
    if operator != claims.operator {
        other.push(("operator", operator.to_string(), claims.operator.to_string()));
    }
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let decided_at = text(outcome, "decidedAt");
    if time(decided_at) != time(&claims.decided_at) {
        other.push(("decidedAt", decided_at.to_owned(), claims.decided_at.clone()));
    }
    // Only webhooks have it.
    if !outcome["workflowId"].is_null() && text(outcome, "workflowId") != claims.workflow_id {
        let said = text(outcome, "workflowId").to_owned();
        other.push(("workflowId", said, claims.workflow_id.clone()));
    }
    let line = |(name, said, signed)| format!("{name}: it is {said:?}, and {signed:?} was signed");
    other.into_iter().map(line).collect()
}

/// What was signed. Without what was not: reason, stages and the people who decided.
fn in_words(outcome: &Value, claims: &Claims) -> String {
    let status = claims.status.to_lowercase();
    let how = match claims.basis.as_str() {
        "people" => " by its reviewers",
        "rule" => " by a rule, without asking anybody",
        "deadline" => " by a deadline",
        _ => "",
    };
    let operator = match claims.operator {
        true => "an operator voted for a reviewer, or named one who voted",
        false => "none had a part in it",
    };
    let (document, submitter) = (&outcome["document"], &outcome["submitter"]);
    let amount = money(text(document, "amount"), text(document, "currency"));
    let action = text(&document["action"], "name");
    let about = [text(document, "title"), &amount, action];
    let about = about.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
    let lines = [
        ("document", about),
        ("submitter", format!("{} ({})", text(submitter, "name"), text(submitter, "email"))),
        ("decided at", claims.decided_at.clone()),
        ("operators", operator.to_owned()),
        ("workflow", format!("{}, first run {}", claims.workflow_id, claims.first_run_id)),
        ("execution key", claims.execution_key.clone()),
        ("action digest", claims.action_digest.clone()),
    ];
    let lines = lines.into_iter().filter(|(_, value)| !value.is_empty());
    let lines = lines.map(|(name, value)| format!("\n  {name:<14}{}", clean_line(&value)));
    let id = clean_line(&claims.submission_id);
    format!("Genuine: {id} was {status}{how}.{}", lines.collect::<String>())
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use countersign_protos::{Chain, LinkKeys, execution_key};
    use serde_json::json;

    use super::*;

    const CHAIN: Chain<'_> = Chain { workflow_id: "laptops-42", first_run_id: "run" };

    fn keys() -> LinkKeys {
        countersign_protos::TEST_KEYS[0].parse().expect("a key")
    }

    fn outcome() -> Value {
        let mut outcome = json!({
            "submissionId": "PO-1", "status": "APPROVED", "basis": "people",
            "decidedAt": "2026-11-24T10:00:00.5+00:00",
            "submitter": {"name": "Sue", "email": "sue@example.com"},
            "document": {"title": "Ten\u{1b}[2J laptops", "amount": "15750.00", "currency": "USD"},
        });
        let digest = digest(&outcome);
        outcome["executionKey"] = json!(execution_key(CHAIN, &digest));
        outcome["digest"] = json!(digest);
        outcome
    }

    fn signed(mut outcome: Value) -> Value {
        let claim = |name: &str| text(&outcome, name).to_owned();
        let claims = Claims {
            workflow_id: CHAIN.workflow_id.to_owned(),
            first_run_id: CHAIN.first_run_id.to_owned(),
            submission_id: claim("submissionId"),
            status: claim("status"),
            basis: claim("basis"),
            operator: outcome["operator"] == true,
            digest: claim("digest"),
            action_digest: String::new(),
            execution_key: claim("executionKey"),
            decided_at: "2026-11-24T10:00:00.5Z".to_owned(),
        };
        outcome["jws"] = json!(keys().first().sign(&claims));
        outcome
    }

    fn checked(outcome: &Value) -> Result<String, Vec<String>> {
        check(outcome.to_string().as_bytes(), &keys().jwks())
    }

    #[test]
    fn a_genuine_outcome_is_told_in_plain_words() {
        let said = checked(&signed(outcome())).expect("genuine");
        for words in [
            "Genuine: PO-1 was approved by its reviewers.",
            "Ten[2J laptops, 15,750.00 USD",
            "Sue (sue@example.com)",
            "none had a part in it",
            "laptops-42, first run run",
        ] {
            assert!(said.contains(words), "{words} is missing in:\n{said}");
        }
        let mut delivered = signed(outcome());
        delivered["workflowId"] = json!("laptops-42");
        let webhook = json!({"type": "approval.approved", "data": delivered});
        assert_eq!(checked(&webhook).as_ref(), Ok(&said), "a webhook's body too");
        let result = json!({"status": "COMPLETED", "result": signed(outcome())});
        assert_eq!(checked(&result), Ok(said), "and what Temporal's CLI prints");
        let mut by_operator = outcome();
        by_operator["operator"] = json!(true);
        let said = checked(&signed(by_operator)).expect("genuine");
        assert!(said.contains("an operator voted"), "{said}");
    }

    #[test]
    fn each_thing_that_is_wrong_is_named() {
        let genuine = signed(outcome());
        for (name, value, named) in [
            ("submissionId", json!("PO-2"), &["digest", "submissionId"][..]),
            ("submissionType", json!("loan"), &["digest"]),
            ("submitter", json!({"name": "Eve"}), &["digest"]),
            ("document", json!({"title": "Twenty laptops"}), &["digest"]),
            ("fields", json!({"a": 1}), &["digest"]),
            ("digest", json!("v1:0"), &["digest", "digest"]),
            ("status", json!("REJECTED"), &["status"]),
            ("basis", json!(null), &["basis"]),
            ("operator", json!(true), &["operator"]),
            ("decidedAt", json!("2026-11-24T10:00:01Z"), &["decidedAt"]),
            ("executionKey", json!("0"), &["executionKey"]),
            ("workflowId", json!("other"), &["workflowId"]),
            ("jws", json!("a.b.c"), &["jws"]),
            ("jws", json!(null), &["jws"]),
        ] {
            let mut changed = genuine.clone();
            changed[name] = value;
            let wrong = checked(&changed).expect_err("wrong");
            let names: Vec<&str> = wrong.iter().filter_map(|one| one.split(':').next()).collect();
            assert_eq!(names, named, "{wrong:?}");
        }
        let mut other = genuine.clone();
        (other["document"], other["jws"]) = (json!({}), json!(""));
        assert_eq!(checked(&other).expect_err("wrong").len(), 2, "both at once");
        assert!(check(b"{", &keys().jwks()).expect_err("wrong")[0].starts_with("it is not JSON"));
        assert!(check(b"[]", &keys().jwks()).is_err());
    }

    #[test]
    fn a_changed_character_of_the_signature_is_refused() {
        let genuine = signed(outcome());
        let jws = text(&genuine, "jws");
        for at in 0..jws.len() {
            let mut changed = jws.to_owned();
            let other = if &jws[at..=at] == "A" { "w" } else { "A" };
            changed.replace_range(at..=at, other);
            let mut outcome = genuine.clone();
            outcome["jws"] = json!(changed);
            assert!(checked(&outcome).is_err(), "character {at}");
        }
    }
}
