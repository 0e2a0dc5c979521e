//! Answers of the emulated platform, sound and broken ones.

use super::world::Refusal;
use crate::zerokit::{ErrorCode, wire};
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

pub(super) fn json<T: Serialize>(value: &T) -> Result<Response, Refusal> {
    let text = serde_json::to_string(value).map_err(|_| ErrorCode::UnexpectedError)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// An empty answer is a 200 with no body.
pub(super) fn done() -> Response {
    StatusCode::OK.into_response()
}

/// An error in the platform's shape: message first. The one code that stands for an error without one has no shape.
pub(super) fn refuse(code: ErrorCode) -> Response {
    if code == ErrorCode::StandardHttpErrorWrapping {
        return marked(page(StatusCode::INTERNAL_SERVER_ERROR.as_u16()), code);
    }
    let status =
        code.http_status().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::NOT_MODIFIED {
        return marked(status.into_response(), code);
    }
    let body = wire::ErrorBody { error_message: code.message().to_owned(), error_code: code.as_str().to_owned() };
    match json(&body) {
        Ok(response) => marked((status, response).into_response(), code),
        Err(_) => status.into_response(),
    }
}

/// What is answered, for the list of calls.
fn marked(mut response: Response, code: ErrorCode) -> Response {
    response.extensions_mut().insert(code);
    response
}

/// A proxy's page.
pub(super) fn page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    (status, [(header::CONTENT_TYPE, "text/html")], "<html><body>a proxy's page</body></html>").into_response()
}

/// A proxy that has had enough.
pub(super) fn too_many(retry_after: u32) -> Response {
    let mut response = page(StatusCode::TOO_MANY_REQUESTS.as_u16());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    response
}

/// A connection that breaks before a byte of the answer is sent.
pub(super) fn dropped() -> Response {
    Body::new(Pieces::of([Err(broken())].into())).into_response()
}

/// An answer whose second half never comes; an empty one breaks after its head.
pub(super) async fn truncated(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let bytes = to_bytes(body, 64 * 1024 * 1024).await.unwrap_or_default();
    let half = bytes.slice(..bytes.len() / 2);
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len().max(2)));
    // A piece is sent before the break, so that the head is, too.
    let first = if half.is_empty() { Bytes::from_static(b"{") } else { half };
    Response::from_parts(head, Body::new(Pieces::of([Ok(first), Err(broken())].into())))
}

fn broken() -> std::io::Error {
    std::io::Error::other("the connection broke, as was planned")
}

/// A body of prepared pieces. It rests between two of them, so that the first is on the wire when the next one breaks.
struct Pieces {
    left: VecDeque<Result<Bytes, std::io::Error>>,
    rest: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Pieces {
    const fn of(left: VecDeque<Result<Bytes, std::io::Error>>) -> Self {
        Self { left, rest: None }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        if let Some(rest) = &mut self.rest
            && rest.as_mut().poll(context).is_pending()
        {
            return Poll::Pending;
        }
        self.rest = Some(Box::pin(tokio::time::sleep(Duration::from_millis(20))));
        Poll::Ready(self.left.pop_front().map(|piece| piece.map(http_body::Frame::data)))
    }
}
