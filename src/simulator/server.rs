//! The emulated platform over HTTP: both address forms, signatures checked, errors in the platform's shape.

use super::fault::{Fault, Faults};
use super::signature::Door;
use super::world::{Refusal, World};
use crate::domain::clock::Clock;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::zerokit::{AdminKey, Endpoint, ErrorCode, TenantId, wire};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A running emulated platform; clones share it.
#[derive(Clone)]
pub struct Simulator {
    shared: Arc<Shared>,
}

struct Shared {
    door: Door,
    clock: Arc<dyn Clock>,
    latency: Duration,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    flight: Mutex<Flight>,
    calls: Mutex<Vec<&'static str>>,
}

/// How many verdicts were under way at the same time, by tresor.
#[derive(Default)]
struct Flight {
    now: BTreeMap<String, u32>,
    most: BTreeMap<String, u32>,
}

/// One verdict under way; ends when dropped.
struct Flying<'f> {
    flight: &'f Mutex<Flight>,
    tresor: String,
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        if let Some(count) = lock(self.flight).now.get_mut(&self.tresor) {
            *count -= 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
        let router = Router::new().fallback(answer).with_state(self.shared);
        let stopped = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        axum::serve(listener, router).with_graceful_shutdown(stopped).await
    }

    /// The platform's state, to act on as a browser or to look at. Do not hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.shared.world)
    }

    /// The present, as the platform sees it.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
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

    /// The names of all endpoints that were called, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        lock(&self.shared.calls).clone()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let full = uri.path_and_query().map_or("", |path| path.as_str());
    let signed = full.strip_prefix('/').unwrap_or(full);
    let path = uri.path();
    let hosted = format!("/tenant-{}", shared.door.tenant);
    let path = path.strip_prefix(hosted.as_str()).unwrap_or(path);
    let endpoint = path
        .strip_prefix("/api/v4/admin/")
        .and_then(|path| Endpoint::ALL.iter().find(|endpoint| endpoint.path == path && endpoint.verb == method.as_str()));
    let Some(endpoint) = endpoint else {
        return refuse(ErrorCode::TheseArentTheDroidsYouAreLookingFor);
    };
    if !shared.door.opens(method.as_str(), signed, &headers, &body, shared.clock.now()) {
        return refuse(ErrorCode::InvalidAuthorization);
    }
    lock(&shared.calls).push(endpoint.name);
    let _flying = verdict_in_flight(&shared, *endpoint, &body);
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    let fault = lock(&shared.faults).next(endpoint.name);
    match fault {
        None => perform(&shared, *endpoint, &uri, &body),
        Some(Fault::DropBefore) => broken(),
        Some(Fault::DropAfter) => {
            perform(&shared, *endpoint, &uri, &body);
            broken()
        }
        Some(Fault::HangBefore) => std::future::pending().await,
        Some(Fault::HangAfter) => {
            perform(&shared, *endpoint, &uri, &body);
            std::future::pending().await
        }
        Some(Fault::Code(code)) => refuse(code),
        Some(Fault::NotJson(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, "<html><body>a proxy's page</body></html>").into_response()
        }
        Some(Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            perform(&shared, *endpoint, &uri, &body)
        }
    }
}

fn verdict_in_flight<'s>(shared: &'s Shared, endpoint: Endpoint, body: &[u8]) -> Option<Flying<'s>> {
    if !(endpoint.name.starts_with("Approve") || endpoint.name.starts_with("Reject")) {
        return None;
    }
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

fn perform(shared: &Shared, endpoint: Endpoint, uri: &Uri, body: &[u8]) -> Response {
    dispatch(shared, endpoint, uri, body).unwrap_or_else(refuse)
}

fn dispatch(shared: &Shared, endpoint: Endpoint, uri: &Uri, body: &[u8]) -> Result<Response, Refusal> {
    let mut world = lock(&shared.world);
    let operation = || query(uri, "operationid");
    match endpoint {
        Endpoint::SHARE_DETAILS => json(&world.share_details(&operation()?)?),
        Endpoint::KICK_DETAILS => json(&world.member_details(Kind::Kick, &operation()?)?),
        Endpoint::LINK_ACCEPTION_DETAILS => json(&world.member_details(Kind::InvitationLinkAcception, &operation()?)?),
        Endpoint::LINK_CREATION_DETAILS => json(&world.link_details(Kind::InvitationLinkCreation, &operation()?)?),
        Endpoint::LINK_REVOCATION_DETAILS => json(&world.link_details(Kind::InvitationLinkRevocation, &operation()?)?),
        Endpoint::LIST_MEMBERS => json(&wire::Members { members: world.members(&query(uri, "tresorid")?)? }),
        Endpoint::LIST_USERS => json(&world.list_users()),
        Endpoint::INIT_USER_REGISTRATION => json(&world.init_registration()),
        Endpoint::VALIDATE_USER => world.validate(&read(body)?).map(|()| done()),
        Endpoint::APPROVE_TRESOR_CREATION => {
            world.decide_creation(&read::<wire::TresorRequest>(body)?.tresor_id, Verdict::Approve).map(|()| done())
        }
        Endpoint::REJECT_TRESOR_CREATION => {
            world.decide_creation(&read::<wire::TresorRequest>(body)?.tresor_id, Verdict::Reject).map(|()| done())
        }
        _ => {
            let kind = verdict_kind(endpoint).ok_or(ErrorCode::TheseArentTheDroidsYouAreLookingFor)?;
            let id = read::<wire::OperationRequest>(body)?.operation_id;
            let decided = if endpoint.name.starts_with("Approve") { world.approve(kind, &id) } else { world.reject(kind, &id) };
            decided.map(|()| done())
        }
    }
}

fn verdict_kind(endpoint: Endpoint) -> Option<Kind> {
    match endpoint {
        Endpoint::APPROVE_SHARE | Endpoint::REJECT_SHARE => Some(Kind::Share),
        Endpoint::APPROVE_KICK | Endpoint::REJECT_KICK => Some(Kind::Kick),
        Endpoint::APPROVE_LINK_CREATION | Endpoint::REJECT_LINK_CREATION => Some(Kind::InvitationLinkCreation),
        Endpoint::APPROVE_LINK_ACCEPTION | Endpoint::REJECT_LINK_ACCEPTION => Some(Kind::InvitationLinkAcception),
        Endpoint::APPROVE_LINK_REVOCATION | Endpoint::REJECT_LINK_REVOCATION => Some(Kind::InvitationLinkRevocation),
        _ => None,
    }
}

/// A query parameter; names are matched without regard to case.
fn query(uri: &Uri, name: &str) -> Result<String, Refusal> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    percent_decode(values.next().ok_or(ErrorCode::BadInput)?).ok_or(ErrorCode::BadInput)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| ErrorCode::BadInput)
}

fn json<T: Serialize>(value: &T) -> Result<Response, Refusal> {
    let text = serde_json::to_string(value).map_err(|_| ErrorCode::UnexpectedError)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// An empty answer is a 200 with no body.
fn done() -> Response {
    StatusCode::OK.into_response()
}

fn refuse(code: ErrorCode) -> Response {
    let status =
        code.http_status().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::NOT_MODIFIED {
        return status.into_response();
    }
    let body = wire::ErrorBody { error_message: code.message().to_owned(), error_code: code.as_str().to_owned() };
    match json(&body) {
        Ok(response) => (status, response).into_response(),
        Err(_) => status.into_response(),
    }
}

/// A connection that breaks in the middle of the answer.
fn broken() -> Response {
    let pieces = Pieces([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("the connection broke"))].into());
    ([(header::CONTENT_LENGTH, "100")], Body::new(pieces)).into_response()
}

/// A body of prepared pieces.
struct Pieces(std::collections::VecDeque<Result<Bytes, std::io::Error>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.pop_front().map(|piece| piece.map(http_body::Frame::data)))
    }
}
