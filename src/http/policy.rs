//! `GET /v1/policy`: what is in force, since when, and what is wrong with what is not. `POST /v1/policy/evaluate`: what the
//! policy in force says of an operation that somebody states.

use super::{Api, Problem, auth, fields};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn show(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    auth::authenticate(&api.tokens, &headers)?;
    let status = api.engine.policy_status();
    let rules: Vec<_> =
        status.policy.rules.iter().map(|rule| json!({ "id": rule.id, "effect": rule.effect, "mode": rule.mode })).collect();
    let age = api.clock.now().duration_since(status.active_since).as_secs().max(0);
    let answer = json!({
        "hash": status.hash,
        "active_since": status.active_since,
        "age_seconds": age,
        "source": status.source,
        "reloads": status.reloads,
        "error": status.error,
        "rules": rules,
    });
    Ok(Json(answer).into_response())
}

pub(super) async fn evaluate(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    auth::authenticate(&api.tokens, &headers)?;
    let inquiry: Value = fields::json(&body?)?;
    let evaluation = api.engine.evaluate(&inquiry).map_err(|error| Problem::field(error.field, error.what))?;
    Ok(Json(evaluation).into_response())
}
