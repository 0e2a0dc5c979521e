//! Signs a request: the canonical text of verb, path and headers, and one HMAC over it.

use super::address::{AdminKey, TenantId};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

/// A request before it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub verb: &'r str,
    /// Path and query, byte for byte as sent, without the leading slash.
    pub path: &'r str,
    /// The type of the body; none for a request without one.
    pub content_type: Option<&'r str>,
    /// What [`body_hash`] says of the body; that of nothing for a POST without one, `None` for a GET.
    pub body_hash: Option<&'r str>,
}

/// The lower-case hex SHA-256 of a body.
#[must_use]
pub fn body_hash(body: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, body))
}

/// What is signed: verb, path with query, then each header in the order of `HMACHeaders`, one a line.
#[must_use]
pub fn canonical_text(verb: &str, path: &str, headers: &[(&str, String)]) -> String {
    let mut text = format!("{verb}\n{path}");
    for (name, value) in headers {
        text.push('\n');
        text.push_str(name);
        text.push(':');
        text.push_str(value);
    }
    text
}

/// The headers of the signed request, `Authorization` last. `now` is the platform's time as well as we know it.
#[must_use]
pub fn sign(request: Request<'_>, tenant: &TenantId, key: &AdminKey, now: Timestamp) -> Vec<(&'static str, String)> {
    let date = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut headers = vec![("UserId", tenant.admin_user()), ("TresoritDate", date)];
    if let Some(content_type) = request.content_type {
        headers.push(("Content-Type", content_type.to_owned()));
    }
    if let Some(hash) = request.body_hash {
        headers.push(("Content-SHA256", hash.to_owned()));
    }
    let names: Vec<_> = headers.iter().map(|(name, _)| *name).chain(["HMACHeaders"]).collect();
    headers.push(("HMACHeaders", names.join(",")));
    let text = canonical_text(request.verb, request.path, &headers);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), text.as_bytes());
    headers.push(("Authorization", format!("AdminKey {}", STANDARD.encode(signature))));
    headers
}
