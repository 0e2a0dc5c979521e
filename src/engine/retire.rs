//! Has operations leave the queue some time after they ended, page by page, beside everything else.

use super::Engine;
use super::rounds::in_rounds;
use crate::domain::ids::RecordId;
use crate::store::StoreError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Long enough that whoever asks for an operation, or reports it twice, mostly finds it in the queue.
const AFTER: Duration = Duration::from_hours(1);
/// How long to rest when all were looked at.
const REST: Duration = Duration::from_mins(1);
/// And between two pages, so that it takes a tenth of a processor and still keeps up with whatever is decided.
const PAUSE: Duration = Duration::from_millis(200);

impl Engine {
    /// Goes through the queue until `stop` says so.
    pub async fn run_retirement(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let next: Mutex<Option<RecordId>> = Mutex::default();
        let round = async || {
            let after = *next.lock().unwrap_or_else(PoisonError::into_inner);
            let following = self.store.retire(after, AFTER).await?;
            *next.lock().unwrap_or_else(PoisonError::into_inner) = following;
            Ok::<_, StoreError>(following.map_or(REST, |_| PAUSE))
        };
        in_rounds(&Notify::new(), stop, "finished operations cannot leave the queue", round).await;
    }
}
