//! Requests that wait for an operation to be settled. Only this process; other replicas' ends are found by looking.

use crate::domain::ids::RecordId;
use crate::store::OperationView;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

/// What a waiting request hears; it looks by itself where nothing is told.
pub(super) type Heard = oneshot::Receiver<Option<OperationView>>;

#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<RecordId, Vec<oneshot::Sender<Option<OperationView>>>>>, AtomicBool);

impl Waiters {
    /// Hears when the operation is settled, and how it stands then if that is known; dropping it is fine.
    pub(super) fn register(&self, id: RecordId) -> Heard {
        let (sender, receiver) = oneshot::channel();
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = map.entry(id).or_default();
        waiting.retain(|sender| !sender.is_closed());
        waiting.push(sender);
        receiver
    }

    /// Wakes everybody who waits for it, and tells them how it stands, if that is known.
    pub(super) fn settle(&self, id: RecordId, view: Option<&OperationView>) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        for sender in waiting.into_iter().flatten() {
            let _ = sender.send(view.cloned());
        }
    }

    /// Nobody waits any more: the daemon stops, and everybody is answered with what is known.
    pub(super) fn close(&self) {
        self.1.store(true, Ordering::Relaxed);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether waiting is over.
    pub(super) fn is_closed(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// Forgets those that nobody waits for any more.
    pub(super) fn sweep(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, waiting| {
            waiting.retain(|sender| !sender.is_closed());
            !waiting.is_empty()
        });
    }
}
