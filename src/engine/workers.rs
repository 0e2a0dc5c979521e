//! The workers of this replica: who gets one that is free. Knows nothing of what they work on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The most that are given work in one go.
const AT_MOST: usize = 32;
/// How long whoever claims for them waits for several to be free, while more work waits than there are workers: a claim costs
/// the database nearly the same for one as for all of them.
const GATHER: Duration = Duration::from_millis(10);

/// Its place among the workers, for as long as one is busy.
pub(super) type Permit = OwnedSemaphorePermit;

/// Those that are free, and whether work waits for one.
#[derive(Debug)]
pub(super) struct Workers {
    free: Arc<Semaphore>,
    count: usize,
    /// Operations may be stored that nobody here has in hand. What comes in is then stored too and takes its turn: with the
    /// free workers for itself it would always be first, and what waits would wait for as long as anything comes.
    is_behind: AtomicBool,
}

impl Workers {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), count, is_behind: AtomicBool::new(false) }
    }

    /// For an operation that comes in; nobody where it has to wait.
    pub(super) fn for_arrival(&self) -> Option<Permit> {
        let permit = if self.is_behind() { None } else { Arc::clone(&self.free).try_acquire_owned().ok() };
        if permit.is_none() {
            self.is_behind.store(true, Ordering::Relaxed);
        }
        permit
    }

    /// For work that is to be claimed; as many as are free, and nobody where all are busy.
    pub(super) async fn for_claims(&self) -> Vec<Permit> {
        if self.is_behind() {
            let several = u32::try_from((self.count / 8).clamp(1, AT_MOST)).unwrap_or(1);
            let gathered = Arc::clone(&self.free).acquire_many_owned(several);
            // In line before whoever else wants one, so that they add up; given back where they do not in time.
            drop(tokio::time::timeout(GATHER, gathered).await);
        }
        let permits: Vec<_> = std::iter::from_fn(|| Arc::clone(&self.free).try_acquire_owned().ok()).take(AT_MOST).collect();
        if permits.is_empty() {
            self.is_behind.store(true, Ordering::Relaxed);
        }
        permits
    }

    /// That so many operations were claimed for `permits` workers: with work for all of them there may be more.
    pub(super) fn claimed(&self, operations: usize, permits: usize) {
        self.is_behind.store(operations >= permits, Ordering::Relaxed);
    }

    /// Whether work may wait for a worker to be free.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// The next that is free.
    pub(super) async fn next(&self) -> Result<Permit, AcquireError> {
        Arc::clone(&self.free).acquire_owned().await
    }

    /// Waits until none is busy.
    pub(super) async fn rest(&self) {
        let all = u32::try_from(self.count).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_worker_comes_before_what_comes_in_later() {
        let workers = Workers::new(2);
        let busy = [workers.for_arrival().unwrap(), workers.for_arrival().unwrap()];
        assert!(workers.for_arrival().is_none(), "both are busy, so it is stored and waits");
        drop(busy);
        assert!(workers.for_arrival().is_none(), "both are free, for what waits");
        let permits = workers.for_claims().await;
        workers.claimed(2, permits.len());
        drop(permits);
        assert!(workers.for_arrival().is_none(), "there was work for both, so there may be more");
        let permits = workers.for_claims().await;
        workers.claimed(1, permits.len());
        drop(permits);
        assert!(workers.for_arrival().is_some(), "nothing waits any more");
    }

    #[tokio::test(start_paused = true)]
    async fn while_work_waits_it_is_claimed_for_several_workers_in_one_go() {
        let workers = Workers::new(64);
        let mut busy: Vec<_> = (0..64).map(|_| workers.for_arrival().unwrap()).collect();
        assert!(workers.for_arrival().is_none());
        let claiming = workers.for_claims();
        tokio::pin!(claiming);
        busy.truncate(60);
        assert!(at_once(&mut claiming).await.is_none(), "four are free, and more may soon be");
        busy.truncate(50);
        assert_eq!(at_once(&mut claiming).await.unwrap().len(), 14);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_several_workers_for_long() {
        let workers = Workers::new(64);
        let mut busy: Vec<_> = (0..64).map(|_| workers.for_arrival().unwrap()).collect();
        assert!(workers.for_arrival().is_none());
        busy.pop();
        assert_eq!(workers.for_claims().await.len(), 1);
        assert_eq!(workers.for_claims().await.len(), 1, "a permit that is given back is there again");
        drop(busy);
        workers.rest().await;
    }

    /// What comes of it without any time going by.
    async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = tokio::task::yield_now() => None,
        }
    }
}
