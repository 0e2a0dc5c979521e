//! Checks a request's signature as the platform does: it follows the order of the `HMACHeaders` header, whatever it is.

use crate::domain::ids::TresorId;
use crate::zerokit::{AdminKey, TenantId};
use aws_lc_rs::{digest, hmac};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

/// How far a date may be from the platform's clock, either way.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// Who may call: one tenant with one admin key.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) tenant: TenantId,
    pub(super) key: AdminKey,
}

impl Door {
    /// Whether the request is signed by the tenant's admin. `path` is path and query without the leading slash, `hash`
    /// that of the body; nothing where there need be none.
    pub(super) fn opens(&self, verb: &str, path: &str, headers: &HeaderMap, hash: Option<&str>, now: Timestamp) -> bool {
        self.check(verb, path, headers, hash, now).is_some()
    }

    fn check(&self, verb: &str, path: &str, headers: &HeaderMap, hash: Option<&str>, now: Timestamp) -> Option<()> {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let date: Timestamp = value("TresoritDate")?.parse().ok()?;
        let is_near = now.duration_since(date).abs() <= TOLERANCE;
        let is_admin = value("UserId")? == self.tenant.admin_user();
        let names: Vec<&str> = value("HMACHeaders")?.split(',').collect();
        let signs = |name: &str| names.iter().any(|signed| signed.eq_ignore_ascii_case(name));
        let mut text = format!("{verb}\n{path}");
        for name in &names {
            text.push_str(&format!("\n{name}:{}", value(name)?));
        }
        let body_is_bound = match hash {
            None => true,
            Some(hash) => signs("Content-SHA256") && value("Content-SHA256")? == hash,
        };
        let signature = STANDARD.decode(value("Authorization")?.strip_prefix("AdminKey ")?).ok()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.expose());
        hmac::verify(&key, text.as_bytes(), &signature).ok()?;
        (is_near && is_admin && body_is_bound && signs("UserId") && signs("TresoritDate") && signs("HMACHeaders")).then_some(())
    }
}

/// A tresor id as the platform makes them.
pub(super) fn new_tresor_id(number: u64) -> Option<TresorId> {
    let hash = hex::encode(digest::digest(&digest::SHA256, &number.to_be_bytes()));
    TresorId::new(format!("0000{}", hash.get(..20)?)).ok()
}
