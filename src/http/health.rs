//! `/livez`: the process runs. `/readyz`: it can take notifications and its access to the platform is in order.
//!
//! A platform that is merely down does not make the daemon unready: notifications must still be taken in.

use super::{Api, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn live() -> Json<serde_json::Value> {
    Json(json!({ "status": "live" }))
}

pub(super) async fn ready(State(api): State<Arc<Api>>) -> Response {
    let not_ready = |detail: String| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail).with_header(header::RETRY_AFTER, "5").into_response()
    };
    if api.engine.is_draining() {
        return not_ready("the daemon is stopping; send requests to another replica".to_owned());
    }
    match tokio::time::timeout(Duration::from_secs(2), api.engine.store().check_schema()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return not_ready(error.to_string()),
        Err(_) => return not_ready("the database does not answer within 2 seconds".to_owned()),
    }
    if let Some(refusal) = api.engine.health.misconfiguration() {
        return not_ready(format!("the platform refuses this daemon's access: {refusal}; check `zerokit` in the configuration"));
    }
    let platform = if api.engine.health.is_away() { "down" } else { "ok" };
    Json(json!({ "status": "ready", "platform": platform, "policy": api.engine.policy().hash })).into_response()
}
