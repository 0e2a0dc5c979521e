//! What a worker knows of its own lease without asking: until when it surely stands, by this machine's monotonic clock. A
//! process that was stopped (SIGSTOP, a paused machine) finds here that it must ask before it acts.

use super::arrival::Arriving;
use crate::store::StoreError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A lease in a worker's hands.
#[derive(Debug)]
pub(super) struct Hold {
    /// Before the last write that took or prolonged it was begun.
    since: Mutex<Instant>,
    lease: Duration,
    /// Where it is heard that the write that takes it is done.
    taken: Option<watch::Receiver<bool>>,
    /// What takes it, where that may be written with the decision.
    arriving: Mutex<Option<Arriving>>,
}

impl Hold {
    pub(super) const fn new(since: Instant, lease: Duration) -> Self {
        Self { since: Mutex::new(since), lease, taken: None, arriving: Mutex::new(None) }
    }

    /// A lease that is being taken, and nobody's if nothing is heard of that.
    pub(super) const fn from_when_stored(
        stored: watch::Receiver<bool>,
        arriving: Option<Arriving>,
        since: Instant,
        lease: Duration,
    ) -> Self {
        Self { since: Mutex::new(since), lease, taken: Some(stored), arriving: Mutex::new(arriving) }
    }

    /// The notification that takes it, unless somebody has that already.
    pub(super) fn arriving(&self) -> Option<Arriving> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until it is taken; an error if it is not.
    pub(super) async fn is_taken(&self) -> Result<(), StoreError> {
        let Some(taken) = &self.taken else { return Ok(()) };
        taken.clone().wait_for(|taken| *taken).await.map(drop).map_err(|_| StoreError::Fenced)
    }

    /// Comes to an end only where it is not taken.
    pub(super) async fn is_lost(&self) -> StoreError {
        match self.is_taken().await {
            Ok(()) => std::future::pending().await,
            Err(lost) => lost,
        }
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
