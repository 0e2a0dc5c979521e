//! The emulated platform over HTTP: both address forms, signatures checked, faults as planned, every call remembered.

use super::admin::{Call, Payload};
use super::answer::{dropped, page, refuse, too_many, truncated};
use super::contents;
use super::control;
use super::fault::Fault;
use super::platform::{CallRecord, Flying, Shared, Simulator, lock};
use super::signature::Arrived;
use crate::zerokit::{Endpoint, ErrorCode, body_hash};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The longest body of a call that is no upload.
const MAX_BODY_BYTES: usize = 1024 * 1024;

impl Simulator {
    /// Serves until `stop` says so.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
        let control = control::router(self.clone());
        let router = Router::new().nest("/_simulator", control).fallback(answer).with_state(self.shared);
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        axum::serve(listener, router.layer(DefaultBodyLimit::disable())).with_graceful_shutdown(stopped).await
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let now = shared.clock.now();
    let (head, body) = request.into_parts();
    let mut response = route(&shared, head.method, head.uri, &head.headers, body).await;
    // The platform's own clock, not the machine's.
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn route(shared: &Shared, method: Method, uri: Uri, headers: &HeaderMap, body: Body) -> Response {
    let hosted = format!("/tenant-{}", shared.door.tenant);
    let (prefix, path) = match uri.path().strip_prefix(hosted.as_str()) {
        Some(path) => (hosted.as_str(), path),
        None => ("", uri.path()),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").unwrap_or("http");
    let base = format!("{scheme}://{}{prefix}", header("host").unwrap_or("localhost"));
    if let Some(name) = path.strip_prefix("/custom/") {
        return custom(shared, &method, name).await;
    }
    let signed = uri.path_and_query().map_or("", |path| path.as_str());
    let signed = signed.strip_prefix('/').unwrap_or(signed);
    let mut record = CallRecord {
        number: 0,
        at: shared.clock.now(),
        verb: method.to_string(),
        path: signed.to_owned(),
        endpoint: None,
        status: None,
        error_code: None,
        fault: None,
        refused: None,
    };
    let refused = |record: CallRecord, why: String, code: ErrorCode| {
        let (status, error_code) = (code.http_status(), Some(code.as_str()));
        shared.remember(CallRecord { refused: Some(why), status, error_code, ..record });
        refuse(code)
    };
    let at_path = path.strip_prefix("/api/v4/admin/").and_then(|path| Endpoint::ALL.iter().find(|one| one.path == path));
    let Some(endpoint) = at_path.filter(|endpoint| speaks(endpoint, &method, headers)).copied() else {
        let why = at_path.map_or_else(|| "there is no such path".to_owned(), |one| format!("this path takes {}", one.verb));
        return refused(record, why, ErrorCode::TheseArentTheDroidsYouAreLookingFor);
    };
    record.endpoint = Some(endpoint.name);
    let received = match endpoint {
        Endpoint::UPLOAD_CUSTOM_CONTENT => {
            let path = lock(&shared.contents).fresh_path();
            contents::receive(path, body).await.map(Payload::File)
        }
        _ => to_bytes(body, MAX_BODY_BYTES).await.map(|bytes| Payload::Bytes(bytes.to_vec())).map_err(|_| ErrorCode::BadInput),
    };
    let payload = match received {
        Ok(payload) => payload,
        Err(code) => return refused(record, "the body did not arrive, or is too long".to_owned(), code),
    };
    let hash = match &payload {
        Payload::Bytes(bytes) if bytes.is_empty() && endpoint.verb != "POST" => None,
        Payload::Bytes(bytes) => Some(body_hash(bytes)),
        Payload::File(received) => Some(received.hash.clone()),
    };
    let arrived = Arrived { verb: endpoint.verb, path: signed, headers, hash: hash.as_deref() };
    if let Err(why) = shared.door.check(&arrived, shared.clock.now()) {
        return refused(record, why, ErrorCode::InvalidAuthorization);
    }
    let fault = lock(&shared.faults).next(endpoint.name);
    record.fault = fault.map(Fault::name);
    let number = shared.remember(record);
    let response = meet(shared, Call { endpoint, uri: &uri, base: &base }, payload, fault).await;
    let is_answered = !matches!(fault, Some(Fault::DropBefore | Fault::DropAfter));
    let mut calls = lock(&shared.calls);
    if let Some(call) = calls.iter_mut().rev().find(|call| call.number == number).filter(|_| is_answered) {
        call.status = Some(response.status().as_u16());
        call.error_code = response.extensions().get::<ErrorCode>().map(|code| code.as_str());
    }
    drop(calls);
    response
}

/// Whether an endpoint answers to a verb. A public client's HTTP library turns its reads, signed as `GET`, into empty
/// `POST`s.
fn speaks(endpoint: &Endpoint, method: &Method, headers: &HeaderMap) -> bool {
    let is_empty = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    endpoint.verb == method.as_str() || (endpoint.verb == "GET" && *method == Method::POST && is_empty)
}

/// The call meets the fault that was planned for it, if any.
async fn meet(shared: &Shared, call: Call<'_>, payload: Payload, fault: Option<Fault>) -> Response {
    let flying = verdict_in_flight(shared, call.endpoint, &payload);
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    let perform = |payload| {
        let performed = call.perform(&mut lock(&shared.world), &mut lock(&shared.contents), payload);
        performed.unwrap_or_else(refuse)
    };
    match fault {
        None => perform(payload),
        Some(Fault::DropBefore) => dropped(),
        Some(Fault::DropAfter) => {
            perform(payload);
            dropped()
        }
        // Nothing more will come of it at the platform, however long its caller waits.
        Some(Fault::HangBefore) => {
            drop(flying);
            std::future::pending().await
        }
        Some(Fault::HangAfter) => {
            perform(payload);
            drop(flying);
            std::future::pending().await
        }
        Some(Fault::Code(code)) => refuse(code),
        Some(Fault::NotJson(status)) => page(status),
        Some(Fault::TooManyRequests(retry_after)) => too_many(retry_after),
        Some(Fault::Truncate) => truncated(perform(payload)).await,
        Some(Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            perform(payload)
        }
    }
}

/// A file under `/custom/`, which anybody may read.
async fn custom(shared: &Shared, method: &Method, name: &str) -> Response {
    let content = super::admin::percent_decode(name).and_then(|name| lock(&shared.contents).get(&name));
    let (Some(content), true) = (content, matches!(*method, Method::GET | Method::HEAD)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match contents::open(&content).await {
        Some(body) => {
            let headers = [
                (header::CONTENT_TYPE, content.content_type),
                (header::ETAG, content.etag),
                (header::CONTENT_LENGTH, content.size.to_string()),
            ];
            (headers, body).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn verdict_in_flight<'s>(shared: &'s Shared, endpoint: Endpoint, payload: &Payload) -> Option<Flying<'s>> {
    let verdict = ["Approve", "Reject"].into_iter().find(|verdict| endpoint.name.starts_with(verdict))?;
    let Payload::Bytes(body) = payload else { return None };
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    shared.begin_flight(body.get("OperationId").or_else(|| body.get("TresorId"))?.as_str()?, verdict)
}
