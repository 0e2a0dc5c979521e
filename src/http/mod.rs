//! The HTTP interface: notifications in, operations out, health. It parses and answers; it decides nothing.
//!
//! Every failure is RFC 9457 `application/problem+json`. A handler that panics answers 500, and its request is no
//! approval.

mod auth;
mod decisions;
mod description;
mod fields;
mod health;
mod metrics;
mod notification;
mod operations;
mod policy;
mod prefer;
mod problem;
mod registrations;
mod review;

pub use auth::{Role, Token};
pub use problem::Problem;

use crate::domain::clock::Clock;
use crate::domain::webhook::WebhookSecret;
use crate::engine::Engine;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

/// The largest body that is read.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// What the handlers share.
pub struct Api {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The clock that webhook timestamps are held against.
    pub clock: Arc<dyn Clock>,
    /// The secrets that a notification may be signed with.
    pub secrets: Vec<WebhookSecret>,
    /// How far a notification's timestamp may be from the clock.
    pub tolerance: Duration,
    /// Who may use the API.
    pub tokens: Vec<Token>,
}

/// The routes.
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let engine = Arc::clone(&api.engine);
    // Whoever keeps a connection to a daemon that stops is told to open its next one elsewhere.
    let say_goodbye = map_response(move |mut response: Response| {
        if engine.is_draining() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(response)
    });
    let layers = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            // The panic itself was already reported by the panic hook; its text may hold anything, so it is not sent.
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this request ended in a bug; see the daemon's log")
                .into_response()
        }))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    Router::new()
        .route("/v1/operations", post(notification::receive))
        .route("/v1/operations/{id}", get(operations::show))
        .route("/v1/operations/{id}/review", post(review::review))
        .route("/v1/decisions", get(decisions::list))
        .route("/v1/decisions/{id}", get(decisions::show))
        .route("/v1/registrations", post(registrations::begin))
        .route("/v1/policy", get(policy::show))
        .route("/v1/policy/evaluate", post(policy::evaluate))
        .route("/metrics", get(metrics::show))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(description::show))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this address has other methods")
        })
        .layer(layers)
        .layer(say_goodbye)
        .with_state(api)
}

/// Serves until `stop` says so, then lets the requests that are under way finish.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await
}
