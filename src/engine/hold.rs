//! What a worker knows of its own lease without asking: until when it surely stands, by this machine's monotonic clock. A
//! process that was stopped (SIGSTOP, a paused machine) finds here that it must ask before it acts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A lease in a worker's hands.
#[derive(Debug)]
pub(super) struct Hold {
    /// Before the last write that took or prolonged it was begun.
    since: Mutex<Instant>,
    lease: Duration,
}

impl Hold {
    pub(super) const fn new(since: Instant, lease: Duration) -> Self {
        Self { since: Mutex::new(since), lease }
    }

    /// It was prolonged by a write that began at `since`.
    pub(super) fn renew(&self, since: Instant) {
        let mut slot = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = since.max(*slot);
    }

    /// Whether it stands for as long as a call may take.
    pub(super) fn covers(&self, call: Duration) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.elapsed() + call < self.lease
    }
}
