//! Failures as RFC 9457 problem details: what is wrong, which field, and what the caller can do.

use crate::domain::disposition::Disposition;
use crate::engine::{IntakeError, RegistrationError};
use crate::store::StoreError;
use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip)]
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    /// A problem of a sort that programs can tell apart; the sentence is for people.
    #[must_use]
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:assent:problem:{kind}"),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            header: None,
        }
    }

    /// A field of the request that is wrong.
    #[must_use]
    pub fn field(field: impl Into<String>, what: impl std::fmt::Display) -> Self {
        let field = field.into();
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid-field", format!("`{field}` {what}"));
        problem.field = Some(field);
        problem
    }

    /// With a header that belongs to the answer.
    #[must_use]
    pub(super) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let header = self.header.clone();
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "a body is at most 256 KiB")
            }
            status => Problem::new(status, "unreadable-body", "the body could not be read"),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error.message = %error, "a request could not be served");
        let detail = "the database cannot be used right now; nothing was stored, send the same again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "database-unavailable", detail).with_header(header::RETRY_AFTER, "5")
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::WebhookReused => Problem::new(StatusCode::CONFLICT, "webhook-id-reused", error.to_string()),
            IntakeError::UnknownRegistration => {
                let mut problem = Problem::new(StatusCode::BAD_REQUEST, "unknown-registration", error.to_string());
                problem.field = Some("data.registration.session_verifier".to_owned());
                problem
            }
            IntakeError::Store(error) => error.into(),
            IntakeError::Seal => {
                tracing::error!(error.message = %error, "a request could not be served");
                Problem::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the notification could not be stored; send the same again",
                )
            }
        }
    }
}

impl From<RegistrationError> for Problem {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Store(error) => error.into(),
            RegistrationError::Seal => {
                tracing::error!(error.message = %error, "a registration could not be begun");
                let detail = "the registration could not be kept; begin another one";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
            }
            RegistrationError::Platform(failure) => {
                tracing::warn!(error.message = %failure, "a registration could not be begun");
                let detail = format!("the platform did not begin a registration: {failure}");
                match failure.on_read() {
                    Disposition::Misconfigured | Disposition::Denied | Disposition::Gone | Disposition::Already => {
                        Problem::new(StatusCode::BAD_GATEWAY, "platform-refused", detail)
                    }
                    Disposition::Transient | Disposition::Uncertain | Disposition::Conflict => {
                        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "platform-unavailable", detail)
                            .with_header(header::RETRY_AFTER, "5")
                    }
                }
            }
        }
    }
}
