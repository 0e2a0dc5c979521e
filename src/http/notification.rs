//! `POST /v1/operations`: verifies a notification over its raw body, reads it field by field, stores it, answers.

use super::fields::Object;
use super::{Api, Problem, fields, prefer};
use crate::domain::ids::{FlowId, OperationId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::{Notification, OperationKey, ReportedRegistration, UserClaims};
use crate::domain::secret::Secret;
use crate::domain::webhook;
use crate::engine::Reported;
use crate::store::OperationView;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) async fn receive(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body?;
    let id = single(&headers, webhook::ID)?;
    let parts = (id, single(&headers, webhook::TIMESTAMP)?, single(&headers, webhook::SIGNATURE)?);
    let now = api.clock.now().as_second();
    webhook::verify(&api.secrets, parts, &body, now, api.tolerance).map_err(|rejection| untrusted(rejection.to_string()))?;
    let notification = read(&body, api.engine.requester_required())?;
    let wait = prefer::wait(&headers);
    let reported = Reported { webhook_id: id.to_owned(), body: body.to_vec(), notification, waits: wait.is_some() };
    // In a task of its own: a client that hangs up must not stop the transaction halfway.
    let engine = Arc::clone(&api.engine);
    let accepted = tokio::spawn(async move { engine.accept(reported).await }).await;
    let accepted = accepted.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "send the same again"))??;
    let Some(wait) = wait else {
        return Ok(answer(StatusCode::ACCEPTED, &accepted.view, None));
    };
    let stored = accepted.view.clone();
    let view = prefer::waited(api.engine.wait_for(accepted, wait).await, stored);
    let status = if view.state.is_settled() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(answer(status, &view, Some(wait.as_secs())))
}

fn answer(status: StatusCode, view: &OperationView, waited: Option<u64>) -> Response {
    let mut response = (status, Json(view)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/operations/{}", view.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if let Some(applied) = waited.and_then(|seconds| HeaderValue::from_str(&format!("wait={seconds}")).ok()) {
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}

fn untrusted(detail: String) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "untrusted-notification", detail)
}

/// The one value of a header: missing, doubled and unreadable ones are not trusted.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        (None, _) => Err(untrusted(format!("header `{name}` is missing"))),
        (Some(_), Some(_)) => Err(untrusted(format!("header `{name}` is there twice"))),
        (Some(Err(_)), None) => Err(untrusted(format!("header `{name}` is not readable"))),
    }
}

fn read(body: &[u8], requester_required: bool) -> Result<Notification, Problem> {
    let value: Value = fields::json(body)?;
    let envelope =
        value.as_object().ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "not-json", "the body must be a JSON object"))?;
    if envelope.get("type").and_then(Value::as_str) != Some("operation.pending") {
        return Err(Problem::field("type", "must be `operation.pending`"));
    }
    if holds_nul(&value) {
        let detail = "a text in the body holds the character U+0000, which no database keeps";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "not-text", detail));
    }
    let data = envelope.get("data").ok_or_else(|| Problem::field("data", "is missing"))?;
    let known = ["kind", "operation_id", "tresor_id", "user_id", "requester_id", "flow_id", "users", "context", "registration"];
    let data = Object::of("data", data, &known)?;
    let kind_text = data.text("kind")?;
    let kind = Kind::parse(kind_text).ok_or_else(|| {
        let near = crate::domain::diagnostic::nearest(kind_text, Kind::ALL.map(Kind::as_str));
        let hint = near.map_or_else(|| Kind::ALL.map(Kind::as_str).join(", "), |near| format!("did you mean `{near}`?"));
        Problem::field("data.kind", format!("is none of the seven kinds; {hint}"))
    })?;
    let (id_field, others) = match kind {
        Kind::TresorCreation => ("tresor_id", ["operation_id", "user_id"]),
        Kind::UserValidation => ("user_id", ["operation_id", "tresor_id"]),
        _ => ("operation_id", ["tresor_id", "user_id"]),
    };
    if let Some(other) = others.into_iter().find(|other| data.get(other).is_some()) {
        return Err(Problem::field(data.name(other), format!("does not belong to a `{kind}`, which is named by `{id_field}`")));
    }
    let operation_id = data.id(id_field, |text| OperationId::new(text))?;
    let requester = match data.get("requester_id") {
        Some(_) => Some(data.id("requester_id", |text| UserId::new(text))?),
        None if requester_required && kind != Kind::UserValidation => {
            return Err(Problem::field("data.requester_id", "is missing: say which user was logged in"));
        }
        None => None,
    };
    let flow = match data.opt_text("flow_id")? {
        None => None,
        Some(text) => {
            Some(FlowId::parse(text).ok_or_else(|| Problem::field("data.flow_id", "must be a `flow_id` that Assent answered"))?)
        }
    };
    let registration = match (kind, data.get("registration")) {
        (Kind::UserValidation, Some(value)) => Some(read_registration(value)?),
        (Kind::UserValidation, None) => return Err(Problem::field("data.registration", "is missing")),
        (_, Some(_)) => return Err(Problem::field("data.registration", "belongs to a `user_validation` only")),
        (_, None) => None,
    };
    let users = data.get("users").map(read_users).transpose()?.unwrap_or_default();
    let context = data.get("context").map(read_context).transpose()?.unwrap_or_default();
    Ok(Notification { key: OperationKey { kind, operation_id }, requester, flow, users, context, registration })
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Session and its verifier may be left out where the registration was begun with `POST /v1/registrations`.
fn read_registration(value: &Value) -> Result<ReportedRegistration, Problem> {
    let fields = Object::of("data.registration", value, &["session_id", "session_verifier", "validation_verifier"])?;
    let session_verifier = fields.opt_text("session_verifier")?;
    Ok(ReportedRegistration {
        session_id: match session_verifier {
            Some(_) => Some(fields.text("session_id")?.to_owned()),
            None => fields.opt_text("session_id")?.map(str::to_owned),
        },
        session_verifier: session_verifier.map(|verifier| Secret::new(verifier.to_owned())),
        validation_verifier: Secret::new(fields.text("validation_verifier")?.to_owned()),
    })
}

fn read_users(value: &Value) -> Result<BTreeMap<UserId, UserClaims>, Problem> {
    let users = Object::of("data.users", value, &[])?;
    let mut claims = BTreeMap::new();
    for (id, value) in users.map {
        let path = users.name(id);
        let user = UserId::new(id.as_str()).map_err(|error| Problem::field(path.clone(), error))?;
        let fields = Object::of(&path, value, &["email", "groups", "attributes"])?;
        let groups = match fields.get("groups") {
            None => None,
            Some(value) => {
                let texts =
                    value.as_array().and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
                Some(texts.ok_or_else(|| Problem::field(fields.name("groups"), "must be a list of texts"))?)
            }
        };
        let attributes = match fields.get("attributes") {
            None => BTreeMap::new(),
            Some(value) => {
                let map = value.as_object().ok_or_else(|| Problem::field(fields.name("attributes"), "must be an object"))?;
                map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
            }
        };
        claims.insert(user, UserClaims { email: fields.opt_text("email")?.map(str::to_owned), groups, attributes });
    }
    Ok(claims)
}

fn read_context(value: &Value) -> Result<BTreeMap<String, String>, Problem> {
    let context = Object::of("data.context", value, &[])?;
    let mut read = BTreeMap::new();
    for key in context.map.keys() {
        if let Some(text) = context.opt_text(key)? {
            read.insert(key.clone(), text.to_owned());
        }
    }
    Ok(read)
}
