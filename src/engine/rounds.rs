//! Work in rounds beside the operations, for effects and for events: each round works off what is due and says how long to
//! rest. Knows nothing of what is worked off.

use crate::store::StoreError;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// How many pieces of work are done at the same time.
pub(super) const AT_ONCE: u32 = 8;
/// How often a replica looks for work that nobody told it of: another replica's, or after a crash.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Goes round until `stop` says so; `due` ends a rest early. `failed` is what a round that fails for good is logged as.
pub(super) async fn in_rounds<R>(due: &Notify, mut stop: watch::Receiver<bool>, failed: &str, round: impl Fn() -> R)
where
    R: Future<Output = Result<Duration, StoreError>>,
{
    while !*stop.borrow() {
        let rest = round().await.unwrap_or_else(|error| {
            if !error.is_transient() {
                tracing::error!(error.message = %error, "{failed}");
            }
            LOOK_EVERY
        });
        tokio::select! {
            () = due.notified() => {}
            () = tokio::time::sleep(rest) => {}
            _ = stop.changed() => {}
        }
    }
}

/// How long to rest where the next piece of work is due after `due`, if there is one.
pub(super) fn rest_until(due: Option<Duration>, at_least: Duration) -> Duration {
    due.map_or(LOOK_EVERY, |due| due.clamp(at_least, LOOK_EVERY))
}

/// Waits for all of them. One that another replica has taken over is that one's to end.
pub(super) async fn all_done(tasks: Vec<JoinHandle<Result<(), StoreError>>>) -> Result<(), StoreError> {
    for task in tasks {
        if let Ok(Err(error)) = task.await
            && !matches!(error, StoreError::Fenced)
        {
            return Err(error);
        }
    }
    Ok(())
}
