//! What the statements hand to each other within one transaction.

use crate::domain::ids::FlowId;
use std::time::Duration;

/// A lane whose row is locked.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) name: String,
    /// How many outcomes there were on it.
    pub(super) version: i64,
    /// How long clients on it take to come back, on average.
    pub(super) returns_after: Option<Duration>,
    /// Whether somebody may be in line for it, or has a turn.
    pub(super) is_awaited: bool,
    /// The database's time, in microseconds since 1970.
    pub(super) now: i64,
}

/// The operation that is decided on.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) flow: FlowId,
    pub(super) attempt: u32,
    /// Its flow's place in line, once it has joined one.
    pub(super) place: Option<i64>,
    pub(super) received_at: i64,
    /// Whether it was decided before, and so may have places in limits.
    pub(super) was_decided: bool,
    /// Whether a person was asked about it before.
    pub(super) was_escalated: bool,
}
