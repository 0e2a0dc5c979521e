//! The web app beside the platform: it knows its users, reports what their browsers started, and tells them what came of
//! it. Its notifications are signed like any integrator's.

use crate::domain::ids::UserId;
use crate::domain::kind::Kind;
use crate::domain::webhook::{self, WebhookSecret};
use crate::zerokit::root_cause;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A web app that reports to one address.
pub struct WebApp {
    http: reqwest::Client,
    url: String,
    secret: WebhookSecret,
    users: Mutex<BTreeMap<String, Value>>,
    counter: AtomicU64,
    /// Distinguishes this run's message ids from an earlier one's.
    run: String,
}

/// What the daemon answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// A text of the body.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// The state of the operation.
    #[must_use]
    pub fn state(&self) -> &str {
        self.text("state")
    }
}

/// Why a report got no answer.
#[derive(Debug, thiserror::Error)]
#[error("the report to {url} got no answer: {cause}")]
pub struct ReportError {
    /// Where it went.
    pub url: String,
    /// What happened.
    pub cause: String,
}

impl WebApp {
    /// A web app that reports to `{base}/v1/operations`.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(base: &str, secret: WebhookSecret) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(70)).build()?;
        Ok(Self {
            http,
            url: format!("{}/v1/operations", base.trim_end_matches('/')),
            secret,
            users: Mutex::default(),
            counter: AtomicU64::new(0),
            run: uuid::Uuid::now_v7().simple().to_string(),
        })
    }

    /// Remembers what it knows of a user, to be sent along with reports.
    pub fn know(&self, user: &UserId, claims: Value) {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_string(), claims);
    }

    /// What a person would call a user: the part of the address before the `@`, if the address is known.
    #[must_use]
    pub fn name_of(&self, user: &UserId) -> Option<String> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let email = users.get(user.as_str())?.get("email")?.as_str()?;
        email.split_once('@').map(|(name, _)| name.to_owned())
    }

    /// A sentence with the ids of all users it knows replaced by their names.
    #[must_use]
    pub fn with_names(&self, sentence: &str) -> String {
        let users: Vec<_> = self.users.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        users.iter().filter(|id| sentence.contains(id.as_str())).fold(sentence.to_owned(), |text, id| {
            let name = UserId::new(id.as_str()).ok().and_then(|user| self.name_of(&user));
            name.map_or(text.clone(), |name| text.replace(id.as_str(), &name))
        })
    }

    /// The `data` of a report, without what only some kinds have.
    #[must_use]
    pub fn data(&self, kind: Kind, id: &str, requester: &UserId, flow: Option<&str>) -> Value {
        let id_field = match kind {
            Kind::TresorCreation => "tresor_id",
            Kind::UserValidation => "user_id",
            _ => "operation_id",
        };
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut data = json!({ "kind": kind, "requester_id": requester, "users": users });
        if let Some(map) = data.as_object_mut() {
            map.insert(id_field.to_owned(), json!(id));
            if let Some(flow) = flow {
                map.insert("flow_id".to_owned(), json!(flow));
            }
        }
        data
    }

    /// Sends one report and waits up to `wait` seconds for the end; `now` in seconds since 1970.
    ///
    /// # Errors
    /// Nothing answered.
    pub async fn report(&self, data: &Value, wait: u32, now: i64) -> Result<Answer, ReportError> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let id = format!("msg_{}_{number}", self.run);
        let timestamp = jiff::Timestamp::from_second(now).unwrap_or_default().to_string();
        let body = json!({ "type": "operation.pending", "timestamp": timestamp, "data": data }).to_string();
        let failed = |error: reqwest::Error| ReportError { url: self.url.clone(), cause: root_cause(error) };
        let mut request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header(webhook::ID, &id)
            .header(webhook::TIMESTAMP, now)
            .header(webhook::SIGNATURE, self.secret.sign(&id, now, body.as_bytes()));
        if wait > 0 {
            request = request.header("prefer", format!("wait={wait}"));
        }
        let response = request.body(body).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let body = response.json().await.unwrap_or(Value::Null);
        Ok(Answer { status, body })
    }
}
