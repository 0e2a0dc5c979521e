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

/// A request as it arrived.
pub(super) struct Arrived<'a> {
    /// The verb that it is signed with.
    pub(super) verb: &'a str,
    /// Path and query without the leading slash.
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// The hash of the body; nothing where there need be none.
    pub(super) hash: Option<&'a str>,
}

impl Door {
    /// Lets a request in that is signed by the tenant's admin.
    ///
    /// A hosted tenant's path is signed with its prefix, and by some public clients without it; both are let in.
    ///
    /// # Errors
    /// Says what is wrong, for whoever looks at the list of calls.
    pub(super) fn check(&self, arrived: &Arrived<'_>, now: Timestamp) -> Result<(), String> {
        let value = |name: &str| {
            let value = arrived.headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| format!("header `{name}` is missing"))
        };
        let date = value("TresoritDate")?;
        let time: Timestamp = date.parse().map_err(|_| format!("`TresoritDate` is no date: {date}"))?;
        if now.duration_since(time).abs() > TOLERANCE {
            return Err(format!("`TresoritDate` is more than 15 minutes off: {date}, and it is {now}"));
        }
        if value("UserId")? != self.tenant.admin_user() {
            return Err(format!("`UserId` must be {}", self.tenant.admin_user()));
        }
        let names: Vec<&str> = value("HMACHeaders")?.split(',').collect();
        let signs = |name: &str| names.iter().any(|signed| signed.eq_ignore_ascii_case(name));
        let needed = ["UserId", "TresoritDate", "HMACHeaders"].into_iter().chain(arrived.hash.map(|_| "Content-SHA256"));
        if let Some(unsigned) = needed.into_iter().find(|name| !signs(name)) {
            return Err(format!("`HMACHeaders` does not name `{unsigned}`"));
        }
        if let Some(hash) = arrived.hash
            && value("Content-SHA256")? != hash
        {
            return Err(format!("`Content-SHA256` is not that of the body, which is {hash}"));
        }
        let mut headers = String::new();
        for name in &names {
            headers.push_str(&format!("\n{name}:{}", value(name)?));
        }
        let authorization = value("Authorization")?.strip_prefix("AdminKey ");
        let signature = authorization.and_then(|text| STANDARD.decode(text).ok());
        let signature = signature.ok_or("`Authorization` must be `AdminKey` and base64")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.expose());
        let prefix = format!("tenant-{}/", self.tenant);
        let text = |path: &str| format!("{}\n{path}{headers}", arrived.verb);
        let paths = [arrived.path, arrived.path.strip_prefix(prefix.as_str()).unwrap_or(arrived.path)];
        if paths.iter().any(|path| hmac::verify(&key, text(path).as_bytes(), &signature).is_ok()) {
            return Ok(());
        }
        Err(format!("the signature is not that of this text under the admin key: {:?}", text(arrived.path)))
    }
}

/// A tresor id as the platform makes them.
pub(super) fn new_tresor_id(number: u64) -> Option<TresorId> {
    let hash = hex::encode(digest::digest(&digest::SHA256, &number.to_be_bytes()));
    TresorId::new(format!("0000{}", hash.get(..20)?)).ok()
}
