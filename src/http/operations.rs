//! `GET /v1/operations/{id}`: where an operation stands, with its decision and outcome.

use super::{Api, Problem, auth, prefer};
use crate::domain::ids::RecordId;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    auth::authenticate(&api.tokens, &headers)?;
    let not_found = || Problem::new(StatusCode::NOT_FOUND, "no-such-operation", "there is no operation with this id");
    let id = id.ok().and_then(|Path(id)| RecordId::parse(&id)).ok_or_else(not_found)?;
    let wait = prefer::wait(&headers).unwrap_or(Duration::ZERO);
    let view = api.engine.wait(id, wait).await?.ok_or_else(not_found)?;
    Ok(Json(view).into_response())
}
