//! Why a call did not succeed, and what that means for whoever called.

use super::endpoint::Endpoint;
use super::error_code::ErrorCode;
use crate::domain::disposition::Disposition;
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::time::Duration;

/// How far a date may be off before the platform refuses it, less what a round trip may add.
const NOTABLE_SKEW: SignedDuration = SignedDuration::from_mins(14);

/// How far our clock is ahead of the platform's; negative where it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSkew(pub SignedDuration);

impl ClockSkew {
    /// The difference, if it is large enough to be the cause of a refusal. `date` is the platform's `Date` header.
    #[must_use]
    pub fn between(ours: Timestamp, date: &str) -> Option<Self> {
        let platform = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        let ahead = ours.duration_since(platform);
        (ahead.abs() >= NOTABLE_SKEW).then_some(Self(ahead))
    }
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.0.is_negative() { "behind" } else { "ahead of" };
        let seconds = self.0.abs().as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        f.write_str("our clock is ")?;
        if hours > 0 {
            write!(f, "{hours} h ")?;
        }
        write!(f, "{minutes} min {seconds} s {side} the platform's, which accepts 15 min; set the clock right")
    }
}

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The platform could not be reached at all.
    #[error("the platform at {address} cannot be reached: {cause}; check `zerokit.service_url` and the network")]
    Unreachable {
        /// The address.
        address: String,
        /// What the network said.
        cause: String,
    },
    /// The connection broke or the time was over; it may have been done.
    #[error("{endpoint} got no answer: {cause}")]
    NoAnswer {
        /// The endpoint.
        endpoint: &'static str,
        /// What happened.
        cause: String,
    },
    /// The answer is not what the reference says; it may have been done.
    #[error("{endpoint} answered HTTP {status} with something that is not the platform's: {cause}")]
    NotThePlatform {
        /// The endpoint.
        endpoint: &'static str,
        /// The status.
        status: u16,
        /// What is wrong with it.
        cause: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The platform answered with an error code.
    #[error("{endpoint} answered {code} (HTTP {status}): {}{}", sentence(code), skew.map_or(String::new(), |skew| format!("; {skew}")))]
    Refused {
        /// The endpoint.
        endpoint: &'static str,
        /// The status.
        status: u16,
        /// The code, as it stood in the answer. The platform's sentence is left behind: it may quote anything, and a
        /// failure is logged and stored.
        code: String,
        /// How far the clocks are apart, where that is the likely cause.
        skew: Option<ClockSkew>,
    },
}

fn sentence(code: &str) -> &'static str {
    ErrorCode::parse(code).map_or("not a code of the reference", ErrorCode::message)
}

impl Failure {
    /// An answer that is not what the reference says.
    pub(super) fn malformed(endpoint: Endpoint, cause: impl ToString) -> Self {
        Failure::NotThePlatform { endpoint: endpoint.name, status: 200, cause: cause.to_string(), retry_after: None }
    }

    /// A call that cannot even be made; a bug of the caller, which fails the operation.
    pub(super) fn unsupported(endpoint: Endpoint) -> Self {
        Failure::Refused { endpoint: endpoint.name, status: 400, code: ErrorCode::BadInput.as_str().to_owned(), skew: None }
    }

    /// The platform's error code, or a name of ours for what has none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Failure::Unreachable { .. } => "Unreachable",
            Failure::NoAnswer { .. } => "NoAnswer",
            Failure::NotThePlatform { .. } => ErrorCode::StandardHttpErrorWrapping.as_str(),
            Failure::Refused { code, .. } => code,
        }
    }

    /// The code of the reference; what is not in it counts as an HTTP error without one.
    #[must_use]
    pub fn known_code(&self) -> ErrorCode {
        ErrorCode::parse(self.code()).unwrap_or(ErrorCode::StandardHttpErrorWrapping)
    }

    /// What it means when details or lists were read.
    #[must_use]
    pub fn on_read(&self) -> Disposition {
        match self {
            Failure::Unreachable { .. } | Failure::NoAnswer { .. } => Disposition::Transient,
            Failure::NotThePlatform { .. } | Failure::Refused { .. } => self.known_code().on_read(),
        }
    }

    /// What it means when a verdict was sent. Where no connection was made, nothing was done.
    #[must_use]
    pub fn on_verdict(&self) -> Disposition {
        match self {
            Failure::Unreachable { .. } => Disposition::Transient,
            Failure::NoAnswer { .. } => Disposition::Uncertain,
            Failure::NotThePlatform { .. } | Failure::Refused { .. } => self.known_code().on_verdict(),
        }
    }

    /// Whether the platform as a whole seems to be away, rather than this one call being refused.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Failure::Unreachable { .. } | Failure::NoAnswer { .. } => true,
            Failure::NotThePlatform { status, .. } => *status >= 500 || *status == 429,
            // A platform that answers with a code of its own is there; one operation that it chokes on is no outage.
            Failure::Refused { status, .. } => *status == 503,
        }
    }

    /// How long the platform, or a proxy before it, asks to be left alone.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::NotThePlatform { retry_after, .. } => *retry_after,
            Failure::Unreachable { .. } | Failure::NoAnswer { .. } | Failure::Refused { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_is_told_only_where_it_can_be_the_cause() {
        let ours: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        assert_eq!(ClockSkew::between(ours, "Mon, 02 Mar 2026 10:10:00 GMT"), None);
        assert_eq!(ClockSkew::between(ours, "yesterday"), None);
        let said = |date| ClockSkew::between(ours, date).unwrap().to_string();
        assert_eq!(
            said("Mon, 02 Mar 2026 10:20:05 GMT"),
            "our clock is 20 min 5 s behind the platform's, which accepts 15 min; set the clock right"
        );
        assert!(said("Mon, 02 Mar 2026 07:00:00 GMT").starts_with("our clock is 3 h 0 min 0 s ahead of the platform's"));
    }
}
