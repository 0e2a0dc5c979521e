//! Faults on demand: what a platform or a network may do to a call.

use crate::zerokit::ErrorCode;
use serde::Deserialize;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What happens to one call of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before anything is done.
    DropBefore,
    /// It is done, and the connection breaks before the answer.
    DropAfter,
    /// Nothing is done and nothing is answered.
    HangBefore,
    /// It is done and nothing is answered.
    HangAfter,
    /// Nothing is done and this error is answered.
    Code(ErrorCode),
    /// Nothing is done and a proxy's page is answered with this status.
    NotJson(u16),
    /// It is done after a while.
    Delay(Duration),
    /// It is done, and the answer ends in the middle.
    Truncate,
    /// Nothing is done and a proxy asks to come back after so many seconds.
    TooManyRequests(u32),
}

impl Fault {
    /// The name that `POST /_simulator/faults` takes and `GET /_simulator/calls` shows.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Fault::DropBefore => "drop_before",
            Fault::DropAfter => "drop_after",
            Fault::HangBefore => "hang_before",
            Fault::HangAfter => "hang_after",
            Fault::Code(_) => "code",
            Fault::NotJson(_) => "not_json",
            Fault::Delay(_) => "delay",
            Fault::Truncate => "truncate",
            Fault::TooManyRequests(_) => "too_many_requests",
        }
    }
}

/// A fault as `POST /_simulator/faults` takes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FaultRequest {
    Delay { endpoint: String, count: Option<usize>, ms: u64 },
    DropBefore { endpoint: String, count: Option<usize> },
    DropAfter { endpoint: String, count: Option<usize> },
    HangBefore { endpoint: String, count: Option<usize> },
    HangAfter { endpoint: String, count: Option<usize> },
    Code { endpoint: String, count: Option<usize>, code: String },
    NotJson { endpoint: String, count: Option<usize>, status: Option<u16> },
    Truncate { endpoint: String, count: Option<usize> },
    TooManyRequests { endpoint: String, count: Option<usize>, retry_after: Option<u32> },
}

impl FaultRequest {
    /// The endpoint's name, the fault, and how often; or what is wrong.
    pub(super) fn read(self) -> Result<(String, Fault, usize), String> {
        let (endpoint, count, fault) = match self {
            Self::Delay { endpoint, count, ms } => (endpoint, count, Fault::Delay(Duration::from_millis(ms))),
            Self::DropBefore { endpoint, count } => (endpoint, count, Fault::DropBefore),
            Self::DropAfter { endpoint, count } => (endpoint, count, Fault::DropAfter),
            Self::HangBefore { endpoint, count } => (endpoint, count, Fault::HangBefore),
            Self::HangAfter { endpoint, count } => (endpoint, count, Fault::HangAfter),
            Self::Code { endpoint, count, code } => {
                let code = ErrorCode::parse(&code).ok_or_else(|| format!("`code` names no error code: `{code}`"))?;
                (endpoint, count, Fault::Code(code))
            }
            Self::NotJson { endpoint, count, status } => {
                let status = status.unwrap_or(502);
                if !(200..600).contains(&status) {
                    return Err(format!("`status` must be from 200 to 599, and is {status}"));
                }
                (endpoint, count, Fault::NotJson(status))
            }
            Self::Truncate { endpoint, count } => (endpoint, count, Fault::Truncate),
            Self::TooManyRequests { endpoint, count, retry_after } => {
                (endpoint, count, Fault::TooManyRequests(retry_after.unwrap_or(1)))
            }
        };
        match count.unwrap_or(1) {
            0 => Err("`count` must be at least 1".to_owned()),
            count => Ok((endpoint, fault, count)),
        }
    }
}

/// The faults that wait for their calls, by the endpoint's name in the reference.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<&'static str, VecDeque<(Fault, usize)>>);

impl Faults {
    pub(super) fn plan(&mut self, endpoint: &'static str, fault: Fault, count: usize) {
        if count > 0 {
            self.0.entry(endpoint).or_default().push_back((fault, count));
        }
    }

    pub(super) fn next(&mut self, endpoint: &str) -> Option<Fault> {
        let waiting = self.0.get_mut(endpoint)?;
        let (fault, left) = waiting.front_mut()?;
        let fault = *fault;
        *left -= 1;
        if *left == 0 {
            waiting.pop_front();
        }
        Some(fault)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
