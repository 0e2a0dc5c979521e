//! `Prefer: wait=SECONDS` of RFC 7240, and what is answered when the wait is over.

use crate::store::{OperationView, StoreError};
use axum::http::HeaderMap;
use std::time::Duration;

/// The longest wait that is honoured.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How long the caller wants to wait; what is malformed is ignored, as the RFC asks.
pub(super) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences =
        headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([',', ';']));
    let mut waits = preferences.filter_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds).min(MAX_WAIT))
    });
    waits.next()
}

/// How an operation stands after a wait; as it was `stored` where that cannot be read, as it is stored whatever becomes of the wait.
pub(super) fn waited(view: Result<Option<OperationView>, StoreError>, stored: OperationView) -> OperationView {
    let view = view.unwrap_or_else(|error| {
        tracing::warn!(error.message = %error, "how an operation stands cannot be read while a request waits for it");
        None
    });
    view.unwrap_or(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", axum::http::HeaderValue::from_static(value));
        wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_among_other_preferences_and_capped_at_60_seconds() {
        assert_eq!(of("wait=10"), Some(10));
        assert_eq!(of("respond-async, WAIT = 10"), Some(10));
        assert_eq!(of("wait=\"5\"; foo"), Some(5));
        assert_eq!(of("wait=100000"), Some(60));
        assert_eq!(of("wait=-1"), None);
        assert_eq!(of("wait"), None);
        assert_eq!(of("return=minimal"), None);
    }
}
