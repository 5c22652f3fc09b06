//! `countersign-worker new-key`.

use base64::{Engine, prelude::BASE64_STANDARD};

/// A new link key: 32 random bytes in base64.
///
/// # Errors
/// If the system gives no random bytes.
pub fn new_key() -> Result<String, String> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| format!("no random bytes: {error}"))?;
    Ok(BASE64_STANDARD.encode(key))
}
