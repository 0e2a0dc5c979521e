//! The client of the admin API: signs, sends, and says exactly what came back. One typed method an endpoint, in `tresor`,
//! `user` and `tenant`.
//!
//! It never retries and never interprets: whether a failure is final is the table's and the flow's business. It never
//! follows a redirect, because the signature covers the path. What can be long is streamed, and nothing else may be.

mod items;
mod tenant;
mod tresor;
mod upload;
mod user;
mod verdict;

pub use items::Items;
pub use tresor::MAX_PAGE;
pub use upload::{OnProgress, Upload, UploadError};
pub use verdict::VerdictCall;

use super::address::{AdminKey, ServiceUrl};
use super::endpoint::Endpoint;
use super::failure::{ClockSkew, Failure};
use super::signing::{Request, body_hash, sign};
use super::wire;
use crate::domain::clock::Clock;
use crate::fault::{self, Moment};
use reqwest::{Method, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// The longest answer that is held in memory: a list of a tresor's members is the longest there is.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// An upload that is slower than this is given up: bytes a second.
const SLOWEST_UPLOAD: u64 = 32 * 1024;

/// A client of one tenant.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    service: ServiceUrl,
    key: AdminKey,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// What goes with a request.
enum Content<'c> {
    Nothing,
    Json(Vec<u8>),
    File(&'c Upload),
}

impl Client {
    /// A client with its own connection pool; `timeout` bounds each call from connect to the last byte, and each wait for
    /// the next bytes of a list that is read item by item, as whoever uses it may take their time.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(service: ServiceUrl, key: AdminKey, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(timeout.min(Duration::from_secs(3)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
            .user_agent(concat!("assent/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { http, service, key, timeout, clock })
    }

    /// What its calls go out over, for others whom the process calls: to make another reads all certificates that the machine
    /// trusts once more, which takes milliseconds and memory. It follows no redirect, sends nothing again, and is done with
    /// connecting after three seconds at most; whoever calls says how long the rest may take.
    #[must_use]
    pub const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The tenant's address.
    #[must_use]
    pub const fn service(&self) -> &ServiceUrl {
        &self.service
    }

    /// A read whose whole answer is one entity.
    async fn read<T: DeserializeOwned>(&self, endpoint: Endpoint, query: &[&str]) -> Result<T, Failure> {
        let response = self.send(endpoint, query, Content::Nothing).await?;
        decode(endpoint, &self.body(endpoint, response).await?)
    }

    /// A call that is answered with nothing. Success is a 200 whose body, if any, arrived whole.
    async fn command<B: Serialize>(&self, endpoint: Endpoint, request: &B) -> Result<(), Failure> {
        let body = serde_json::to_vec(request).map_err(|_| Failure::unsupported(endpoint))?;
        let response = self.send(endpoint, &[], Content::Json(body)).await?;
        self.nothing(endpoint, response).await
    }

    /// A proxy's page with status 200 is no consent, and an error in a 200 is none either.
    async fn nothing(&self, endpoint: Endpoint, response: Response) -> Result<(), Failure> {
        let answer = self.body(endpoint, response).await?;
        let is_error = |value: &serde_json::Value| value.get("ErrorCode").is_some();
        let is_sound = answer.is_empty() || serde_json::from_slice(&answer).is_ok_and(|value| !is_error(&value));
        let cause = "it is to be answered with nothing, and this is something else";
        if is_sound { Ok(()) } else { Err(Failure::malformed(endpoint, cause)) }
    }

    /// Sends a signed request; `query` are the values of the endpoint's parameters, in the table's order. Only a 200 is
    /// a success.
    async fn send(&self, endpoint: Endpoint, query: &[&str], content: Content<'_>) -> Result<Response, Failure> {
        let mut path = self.service.path(endpoint.path);
        for (index, (name, value)) in endpoint.query.iter().zip(query).enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            path = format!("{path}{separator}{name}={}", percent_encode(value));
        }
        let hash = match &content {
            Content::Nothing => None,
            Content::Json(body) => Some(body_hash(body)),
            Content::File(upload) => Some(upload.hash().to_owned()),
        };
        let content_type = match &content {
            Content::Nothing => None,
            Content::Json(_) => Some("application/json"),
            Content::File(upload) => Some(upload.content_type()),
        };
        let now = self.clock.now();
        let request = Request { verb: endpoint.verb, path: &path, content_type, body_hash: hash.as_deref() };
        let headers = sign(request, &self.service.tenant, &self.key, now);
        let method = Method::from_bytes(endpoint.verb.as_bytes()).map_err(|_| Failure::unsupported(endpoint))?;
        let mut builder = self.http.request(method, self.service.url(&path));
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        let mut at_most = self.timeout;
        builder = match content {
            Content::Nothing if endpoint == Endpoint::LIST_USERS => builder,
            Content::Nothing => builder.timeout(self.timeout),
            Content::Json(body) => builder.body(body).timeout(self.timeout),
            Content::File(upload) => {
                let body = upload.open().await.map_err(|cause| Failure::NoAnswer { endpoint: endpoint.name, cause })?;
                at_most += Duration::from_secs(upload.len() / SLOWEST_UPLOAD);
                builder.header(header::CONTENT_LENGTH, upload.len()).timeout(at_most).body(body)
            }
        };
        // A list that is read item by item is bounded from one piece to the next; the others have their own bound, which
        // says more exactly what was over, and comes first.
        fault::reach_call(endpoint.name, Moment::Before).await;
        let sent = tokio::time::timeout(at_most + Duration::from_secs(1), builder.send()).await;
        fault::reach_call(endpoint.name, Moment::After).await;
        let sent = sent.map_err(|_| time_is_over(endpoint))?;
        let response = sent.map_err(|error| self.no_answer(endpoint, error))?;
        if response.status() == StatusCode::OK { Ok(response) } else { Err(self.refusal(endpoint, response, now).await) }
    }

    /// What an answer other than 200 says.
    async fn refusal(&self, endpoint: Endpoint, response: Response, sent_at: jiff::Timestamp) -> Failure {
        let status = response.status().as_u16();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let skew = text(header::DATE).and_then(|date| ClockSkew::between(sent_at, date));
        let retry_after = text(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let bytes = match self.body(endpoint, response).await {
            Ok(bytes) => bytes,
            Err(failure) => return failure,
        };
        match serde_json::from_slice::<wire::ErrorBody>(&bytes) {
            Ok(error) if error.error_code.len() <= 100 && error.error_code.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Failure::Refused { endpoint: endpoint.name, status, code: error.error_code, skew }
            }
            _ => {
                let cause = "no error code in it".to_owned();
                Failure::NotThePlatform { endpoint: endpoint.name, status, cause, retry_after }
            }
        }
    }

    /// The body of an answer that is not long.
    async fn body(&self, endpoint: Endpoint, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        loop {
            let chunk = tokio::time::timeout(self.timeout, response.chunk()).await.map_err(|_| time_is_over(endpoint))?;
            let Some(chunk) = chunk.map_err(|error| self.no_answer(endpoint, error))? else { return Ok(bytes) };
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Failure::malformed(endpoint, "it is longer than 16 MiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    fn no_answer(&self, endpoint: Endpoint, error: reqwest::Error) -> Failure {
        if error.is_connect() {
            return Failure::Unreachable { address: self.service.to_string(), cause: root_cause(error) };
        }
        if error.is_timeout() {
            return time_is_over(endpoint);
        }
        Failure::NoAnswer { endpoint: endpoint.name, cause: root_cause(error) }
    }
}

/// What is behind a failed request, without its address: that may have a password in it.
#[must_use]
pub fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn time_is_over(endpoint: Endpoint) -> Failure {
    Failure::NoAnswer { endpoint: endpoint.name, cause: "the time is over".to_owned() }
}

fn decode<T: DeserializeOwned>(endpoint: Endpoint, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| unreadable(endpoint, &error))
}

/// Names the field that is missing; of serde's other messages only the place is kept, as they can quote the answer, and
/// the answer can hold secrets.
fn unreadable(endpoint: Endpoint, error: &serde_json::Error) -> Failure {
    let place = format!("line {}, column {}", error.line(), error.column());
    let text = error.to_string();
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')).map(|(field, _)| field);
    let cause = match missing {
        Some(field) => format!("field `{field}` is missing ({place})"),
        None if error.is_data() => format!("a field is of another type ({place})"),
        None => format!("it is not JSON ({place})"),
    };
    Failure::malformed(endpoint, cause)
}

/// Everything but the unreserved characters of RFC 3986 is encoded; the result is signed and sent as it is.
fn percent_encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
