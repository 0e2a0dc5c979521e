//! The emulated platform over HTTP: both address forms, signatures checked, faults as planned, every call remembered.

use super::admin::{Call, Payload};
use super::answer::{dropped, page, refuse, too_many, truncated};
use super::contents::{self, Contents};
use super::control;
use super::fault::{Fault, Faults};
use super::signature::{Arrived, Door};
use super::world::World;
use crate::domain::clock::Clock;
use crate::domain::ids::TresorId;
use crate::zerokit::{AdminKey, Endpoint, ErrorCode, TenantId, body_hash};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The longest body of a call that is no upload.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How many calls are remembered.
const REMEMBERED_CALLS: usize = 100_000;

/// A running emulated platform; clones share it.
#[derive(Clone)]
pub struct Simulator {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    door: Door,
    pub(super) clock: Arc<dyn Clock>,
    latency: Duration,
    pub(super) world: Mutex<World>,
    pub(super) contents: Mutex<Contents>,
    pub(super) faults: Mutex<Faults>,
    flight: Mutex<Flight>,
    pub(super) calls: Mutex<VecDeque<CallRecord>>,
}

/// One call as `GET /_simulator/calls` shows it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CallRecord {
    /// The how-manieth call it is.
    #[serde(skip)]
    number: u64,
    at: Timestamp,
    verb: String,
    path: String,
    /// Nothing where the path is none of an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'static str>,
    /// What was answered; nothing while it is under way, and for a connection that broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    /// The planned fault that it met.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    /// Why it was not let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// How many verdicts were under way at the same time, by tresor.
#[derive(Default)]
struct Flight {
    now: BTreeMap<TresorId, u32>,
    most: BTreeMap<TresorId, u32>,
}

/// One verdict under way; ends when dropped.
struct Flying<'f> {
    flight: &'f Mutex<Flight>,
    tresor: TresorId,
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        if let Some(count) = lock(self.flight).now.get_mut(&self.tresor) {
            *count -= 1;
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Simulator {
    /// A platform with one tenant. Each call takes `latency`, as a network would.
    #[must_use]
    pub fn new(tenant: TenantId, key: AdminKey, clock: Arc<dyn Clock>, invalidates: bool, latency: Duration) -> Self {
        let world = World::new(tenant.to_string(), invalidates);
        Self {
            shared: Arc::new(Shared {
                door: Door { tenant, key },
                clock,
                latency,
                world: Mutex::new(world),
                contents: Mutex::default(),
                faults: Mutex::default(),
                flight: Mutex::default(),
                calls: Mutex::default(),
            }),
        }
    }

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

    /// The platform's state, to act on as a browser or to look at. Do not hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }

    /// The present, as the platform sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The next `count` calls of an endpoint meet a fault.
    pub fn plan_fault(&self, endpoint: Endpoint, fault: Fault, count: usize) {
        lock(&self.shared.faults).plan(endpoint.name, fault, count);
    }

    /// The most verdicts that were ever under way at the same time on one tresor.
    #[must_use]
    pub fn most_in_flight(&self) -> u32 {
        lock(&self.shared.flight).most.values().copied().max().unwrap_or(0)
    }

    /// The names of all endpoints that were called and let in, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.shared.calls).iter().filter(|call| call.refused.is_none()).filter_map(|call| call.endpoint).collect()
    }

    /// Back to an empty tenant without faults, contents and calls.
    pub fn clear(&self) {
        self.world().clear();
        lock(&self.shared.contents).clear();
        lock(&self.shared.faults).clear();
        lock(&self.shared.calls).clear();
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
        remember(shared, CallRecord { refused: Some(why), status, error_code, ..record });
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
    let number = remember(shared, record);
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

/// Notes the call; its number. The oldest are forgotten.
fn remember(shared: &Shared, record: CallRecord) -> u64 {
    let mut calls = lock(&shared.calls);
    let number = calls.back().map_or(0, |last| last.number + 1);
    if calls.len() == REMEMBERED_CALLS {
        calls.pop_front();
    }
    calls.push_back(CallRecord { number, ..record });
    number
}

/// The call meets the fault that was planned for it, if any.
async fn meet(shared: &Shared, call: Call<'_>, payload: Payload, fault: Option<Fault>) -> Response {
    let _flying = verdict_in_flight(shared, call.endpoint, &payload);
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
        Some(Fault::HangBefore) => std::future::pending().await,
        Some(Fault::HangAfter) => {
            perform(payload);
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
    let (Payload::Bytes(body), true) = (payload, endpoint.name.starts_with("Approve") || endpoint.name.starts_with("Reject"))
    else {
        return None;
    };
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let id = body.get("OperationId").or_else(|| body.get("TresorId"))?.as_str()?;
    let tresor = lock(&shared.world).tresor_of(id)?;
    let mut flight = lock(&shared.flight);
    let now = flight.now.entry(tresor.clone()).or_default();
    *now += 1;
    let now = *now;
    let most = flight.most.entry(tresor.clone()).or_default();
    *most = now.max(*most);
    Some(Flying { flight: &shared.flight, tresor })
}
