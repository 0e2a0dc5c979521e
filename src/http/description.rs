//! `GET /openapi.json`: what can be asked here, for programs that make clients. Says nothing of this daemon's own state.

use axum::http::header::{CONTENT_TYPE, HeaderName};

/// OpenAPI 3.1, by hand: a test holds it against the routes and what they answer.
const DESCRIPTION: &str = include_str!("openapi.json");

pub(super) async fn show() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION)
}
