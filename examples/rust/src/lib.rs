//! Does what was approved: exactly that, and once, from however many processes it is tried.

use std::{path::Path, time::Duration};

use countersign_protos::{InvalidJws, Json, Jwks, action_digest, digest, v1::Action};
use rusqlite::Connection;
use serde_json::Value;

/// Why an action was not run. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotRun {
    /// The outcome is not genuine, or not yet final.
    #[error("this outcome is not genuine: {0}")]
    NotGenuine(#[from] InvalidJws),
    /// It was not approved, or something else was.
    #[error("{0:?} with these arguments was not approved")]
    NotApproved(String),
    /// It was begun before and has no result: it is being done, or somebody has to look what became of it. If it
    /// had no effect, delete its row to allow another try.
    #[error("{0} was begun before, and has no result")]
    Unfinished(String),
    /// The table of runs cannot be used.
    #[error("the table of runs: {0}")]
    Runs(#[from] rusqlite::Error),
}

/// Calls `action` with the arguments, and returns its result: of the one time that this was done.
///
/// # Errors
/// If the outcome does not allow exactly this, or it was begun before and has no result.
pub fn run_once(
    outcome: &Value,
    keys: &Jwks,
    name: &str,
    arguments: &Value,
    action: impl FnOnce(&Value) -> Value,
    database: &Path,
) -> Result<Value, NotRun> {
    let claims = keys.verify(outcome["jws"].as_str().unwrap_or_default())?;
    let arguments = Json::from(arguments);
    // What is not the same in every program was not approved either.
    let is_portable = arguments.problems("arguments").is_empty();
    let call = Action { name: name.to_owned(), arguments: Some(arguments), ..Action::default() };
    let is_this = claims.digest == digest(outcome) && claims.action_digest == action_digest(&call);
    if claims.status != "APPROVED" || !is_this || !is_portable {
        return Err(NotRun::NotApproved(name.to_owned()));
    }
    let (runs, key) = (Connection::open(database)?, claims.execution_key);
    runs.busy_timeout(Duration::from_secs(60))?;
    runs.execute("CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, result TEXT)", ())?;
    // Taken before the effect: whoever dies in between leaves a row, and not a second effect.
    if runs.execute("INSERT OR IGNORE INTO runs (key) VALUES (?)", [&key])? == 1 {
        let result = action(&call.arguments.unwrap_or_default().value()).to_string();
        runs.execute("UPDATE runs SET result = ? WHERE key = ?", [&result, &key])?;
    }
    let result = "SELECT result FROM runs WHERE key = ?";
    let result: Option<String> = runs.query_one(result, [&key], |row| row.get(0))?;
    let result = result.ok_or(NotRun::Unfinished(key))?;
    Ok(serde_json::from_str(&result).unwrap_or_default())
}
