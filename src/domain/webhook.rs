//! Standard Webhooks: the signature over `id.timestamp.body`, made and checked.
//!
//! Pure: the time is an argument. Never says which part of a signature was wrong, and never panics, whatever the
//! headers hold.

use super::secret::Secret;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

/// The header that names a message; the same for every delivery of it.
pub const ID: &str = "webhook-id";
/// The header with the seconds since 1970 at which the delivery was signed.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with one or more signatures, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";

const PREFIX: &str = "whsec_";

/// A shared secret: `whsec_` and 24 to 64 bytes in base64.
#[derive(Clone, Debug)]
pub struct WebhookSecret(Secret<hmac::Key>);

impl WebhookSecret {
    /// Reads the printed form; the prefix may be left out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self(Secret::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes))))
    }

    fn sign_bytes(&self, id: &str, timestamp: i64, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(self.0.expose());
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        context.sign()
    }

    /// The value of the signature header for one delivery; `timestamp` in seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.sign_bytes(id, timestamp, body)))
    }
}

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The id is empty, too long, or holds a dot, which would make the signed text ambiguous.
    #[error("header `webhook-id` must be 1 to 256 visible characters without a dot")]
    BadId,
    /// The timestamp is no number of seconds.
    #[error("header `webhook-timestamp` must be whole seconds since 1970")]
    BadTimestamp,
    /// The timestamp is outside the tolerance.
    #[error("header `webhook-timestamp` is too far from this server's clock; check the sender's clock")]
    OutsideTolerance,
    /// No `v1` signature matches any of the secrets.
    #[error("no signature in header `webhook-signature` matches; check the shared secret, and sign the raw body")]
    NoMatch,
}

/// Checks one delivery against several secrets, so that they can be rotated.
///
/// `now` in seconds since 1970.
///
/// # Errors
/// Says which header is at fault, never how a signature was wrong.
pub fn verify(
    secrets: &[WebhookSecret],
    (id, timestamp, signatures): (&str, &str, &str),
    body: &[u8],
    now: i64,
    tolerance: Duration,
) -> Result<(), Rejection> {
    if id.is_empty() || id.len() > 256 || id.bytes().any(|b| b == b'.' || !b.is_ascii_graphic()) {
        return Err(Rejection::BadId);
    }
    if timestamp.is_empty() || timestamp.len() > 19 || !timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Rejection::BadTimestamp);
    }
    let timestamp: i64 = timestamp.parse().map_err(|_| Rejection::BadTimestamp)?;
    if now.abs_diff(timestamp) > tolerance.as_secs() {
        return Err(Rejection::OutsideTolerance);
    }
    // Once a secret, however many signatures somebody sends.
    let expected: Vec<_> = secrets.iter().map(|secret| secret.sign_bytes(id, timestamp, body)).collect();
    let matches = signatures
        .split(' ')
        .filter_map(|part| part.strip_prefix("v1,"))
        .filter_map(|text| STANDARD.decode(text).ok())
        .any(|signature| expected.iter().any(|tag| verify_slices_are_equal(tag.as_ref(), &signature).is_ok()));
    if matches { Ok(()) } else { Err(Rejection::NoMatch) }
}
