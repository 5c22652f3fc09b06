//! The description of the routes for programs, as OpenAPI 3.1.

use std::sync::LazyLock;

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::Value;

const ROUTES: &str = include_str!("../assets/openapi.json");
/// Of an approval's state, which answers have in them.
const STATE: &str = include_str!("../../docs/schemas/status.json");

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// Answers with the document, which is the same for everybody.
pub(crate) async fn openapi() -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, DOCUMENT.as_str()).into_response()
}

/// The routes as they are written down, with the schema of a state and the version of this program.
fn document() -> Value {
    let mut document: Value = serde_json::from_str(ROUTES).unwrap_or_default();
    let mut state: Value = serde_json::from_str(STATE).unwrap_or_default();
    if let Some(state) = state.as_object_mut() {
        // The document says which dialect it is in.
        state.remove("$schema");
    }
    document["components"]["schemas"]["ApprovalState"] = state;
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document
}

#[cfg(test)]
mod tests;
