//! Faults on demand: what a platform or a network may do to a call.

use crate::zerokit::ErrorCode;
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
}

/// The faults that wait for their calls, by the endpoint's name in the reference.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<&'static str, VecDeque<Fault>>);

impl Faults {
    pub(super) fn plan(&mut self, endpoint: &'static str, fault: Fault, count: usize) {
        self.0.entry(endpoint).or_default().extend(std::iter::repeat_n(fault, count));
    }

    pub(super) fn next(&mut self, endpoint: &str) -> Option<Fault> {
        self.0.get_mut(endpoint).and_then(VecDeque::pop_front)
    }
}
