//! `POST /v1/registrations`: begins a user's registration for the web app and keeps its secret verifier here.

use super::{Api, Problem, Role, auth};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    auth::require(&api.tokens, &headers, Role::App)?;
    let is_blank = |body: &Bytes| body.iter().all(u8::is_ascii_whitespace);
    let is_empty_object = |body: &Bytes| serde_json::from_slice(body).is_ok_and(|map: serde_json::Map<_, _>| map.is_empty());
    let body = body?;
    if !is_blank(&body) && !is_empty_object(&body) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "unexpected-body", "a registration is begun with an empty body"));
    }
    // In a task of its own: a client that hangs up must not leave a registration whose secret nobody keeps.
    let engine = Arc::clone(&api.engine);
    let begun = tokio::spawn(async move { engine.begin_registration().await }).await;
    let begun = begun.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "begin another one"))??;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(begun)).into_response())
}
