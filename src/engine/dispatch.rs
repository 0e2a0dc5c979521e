//! Gives due operations to workers, keeps their leases alive, and sees to the clock and the partitions.

use super::Engine;
use super::apply::{Settled, Worked};
use super::clock::DatabaseClock;
use super::hold::Hold;
use super::workers::Permit;
use crate::store::{Claimed, Lease, Passed, StoreError};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often a replica looks for work that nobody told it of: another replica's, or after a crash.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a delivered event is kept, for whoever wants to know.
const KEEP_EVENTS: Duration = Duration::from_hours(7 * 24);
/// How often clock and partitions are seen to.
const MAINTAIN_EVERY: Duration = Duration::from_secs(30);
/// How long busy workers may go on when the daemon stops; then what they have in hand is given back.
const FINISH_WITHIN: Duration = Duration::from_secs(8);
/// How long giving back may take.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(3);

impl Engine {
    /// Works until `stop` says so, then waits for the workers that are busy.
    pub async fn run(self: Arc<Self>, clock: Arc<DatabaseClock>, mut stop: watch::Receiver<bool>) {
        let mut maintenance = tokio::time::interval(MAINTAIN_EVERY);
        let mut looked_at_reviews = Instant::now();
        let mut is_told = true;
        loop {
            if *stop.borrow() {
                break;
            }
            self.tidy().await;
            if looked_at_reviews.elapsed() >= LOOK_EVERY {
                looked_at_reviews = Instant::now();
                self.expire_reviews().await;
            }
            let wait = self.claim_some(is_told).await;
            is_told = tokio::select! {
                () = self.wake.notified() => true,
                () = tokio::time::sleep(wait) => wait.is_zero(),
                _ = stop.changed() => false,
                _ = maintenance.tick() => {
                    self.maintain(&clock).await;
                    false
                }
            }
        }
        if tokio::time::timeout(FINISH_WITHIN, self.workers.rest()).await.is_err() {
            self.release().await;
        }
    }

    /// Gives back what is still in hand, so that another replica need not wait for the leases to end. What may be at the
    /// platform is found out by whoever takes it up.
    async fn release(&self) {
        let in_hand: Vec<_> = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, held)| held).collect();
        let count = in_hand.len();
        let mut giving_back = JoinSet::new();
        for (lease, task) in in_hand {
            task.abort();
            let store = Arc::clone(&self.store);
            giving_back.spawn(async move { store.reschedule(&lease, Duration::ZERO, false, false, None).await });
        }
        // What has ended meanwhile needs nothing; where the database is away the leases end by themselves.
        let mut released = 0;
        let _ = tokio::time::timeout(GIVE_BACK_WITHIN, async {
            while let Some(given_back) = giving_back.join_next().await {
                released += usize::from(matches!(given_back, Ok(Ok(()))));
            }
        })
        .await;
        tracing::warn!(
            operations.unfinished = count,
            operations.released = released,
            "stopped with work in hand; others take it up"
        );
    }

    /// From now on it says that it is not ready; work goes on until it stops.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How long it goes on serving once it is draining.
    #[must_use]
    pub const fn drain_time(&self) -> Duration {
        self.settings.drain
    }

    async fn expire_reviews(&self) {
        match self.store.expire_reviews().await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(operations.rejected = expired, "escalations were not reviewed in time"),
            Err(error) if error.is_transient() => {}
            Err(error) => tracing::error!(error.message = %error, "overdue reviews cannot be seen to"),
        }
    }

    /// Turns that were missed and waits that are over; cheap where there are none.
    async fn tidy(&self) {
        match self.store.tidy(self.settings.lanes).await {
            Ok(passed) => self.pass_on(&passed),
            Err(error) if error.is_transient() => {}
            Err(error) => tracing::error!(error.message = %error, "the lines for lanes cannot be seen to"),
        }
    }

    /// Wakes whoever is concerned by what became of a lane.
    pub(super) fn pass_on(&self, passed: &Passed) {
        passed.superseded.iter().for_each(|id| self.waiters.settle(*id, None));
        if !passed.superseded.is_empty() {
            self.events_due.notify_one();
        }
        // A turn has an end, which somebody must be awake for.
        if passed.handed_to.is_some() || !passed.superseded.is_empty() {
            self.wake.notify_one();
        }
    }

    /// Hears what other replicas settled, until `stop` says so.
    pub async fn run_hints(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut hints = loop {
            match self.store.listen().await {
                Ok(Some(hints)) => break hints,
                Ok(None) => return,
                // Without hints everything is found by looking.
                Err(_) => tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    _ = stop.changed() => return,
                },
            }
        };
        loop {
            tokio::select! {
                hint = hints.recv() => match hint {
                    Some(id) => self.waiters.settle(id, None),
                    None => return,
                },
                _ = stop.changed() => return,
            }
        }
    }

    /// Claims as much as there are free workers; how long to wait before looking again. Where nobody has told of work it is only
    /// asked whether there is any, which writes nothing.
    async fn claim_some(self: &Arc<Self>, is_told: bool) -> Duration {
        let rest = |due: Option<Duration>| due.map_or(LOOK_EVERY, |due| due.clamp(Duration::from_millis(5), LOOK_EVERY));
        if !is_told
            && !self.workers.is_behind()
            && let Ok(due) = self.store.next_due().await
            && due != Some(Duration::ZERO)
        {
            return rest(due);
        }
        let permits = self.workers.for_claims().await;
        if permits.is_empty() {
            return LOOK_EVERY;
        }
        let limit = u32::try_from(permits.len()).unwrap_or(1);
        let since = Instant::now();
        let claimed = self.store.claim(&self.settings.replica, self.settings.lease, limit).await;
        self.workers.claimed(claimed.as_ref().map_or(0, Vec::len), permits.len());
        match claimed {
            Ok(claimed) if claimed.is_empty() => rest(self.store.next_due().await.ok().flatten()),
            Ok(claimed) => {
                for (claimed, permit) in claimed.into_iter().zip(permits) {
                    self.spawn(claimed, permit, Hold::new(since, self.settings.lease));
                }
                Duration::ZERO
            }
            Err(error) => {
                if !error.is_transient() {
                    tracing::error!(error.message = %error, "no work can be claimed");
                }
                LOOK_EVERY
            }
        }
    }

    async fn maintain(&self, clock: &DatabaseClock) {
        self.waiters.sweep();
        if let Err(error) = clock.measure(self.store.as_ref()).await {
            tracing::warn!(error.message = %error, "the database's clock cannot be read; the last offset stays");
        }
        match self.store.erase_registrations(self.settings.registration_max_age).await {
            Ok(0) => {}
            Ok(erased) => tracing::info!(registrations.erased = erased, "old registrations were erased"),
            Err(error) => tracing::error!(error.message = %error, "old registrations cannot be erased"),
        }
        if let Err(error) = self.store.erase_events(KEEP_EVENTS).await {
            tracing::error!(error.message = %error, "delivered events cannot be erased");
        }
        if let Err(error) = self.store.maintain().await {
            tracing::error!(error.message = %error, "the partitions of the coming months cannot be made");
        }
    }

    /// Works on one operation in a task of its own; the permit is its place among the workers.
    pub(super) fn spawn(self: &Arc<Self>, claimed: Claimed, permit: Permit, hold: Hold) {
        let engine = Arc::clone(self);
        let lease = claimed.lease;
        // It waits until it is noted as being in hand, so that it cannot be over before that.
        let (noted, is_noted) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let _ = is_noted.await;
            let held = Held { engine: Arc::clone(&engine), lease };
            let worked = tokio::select! {
                biased;
                // Large, and moved a few times with the task otherwise.
                worked = Box::pin(engine.work(claimed, &hold)) => worked,
                lost = engine.heartbeat(lease, &hold) => Err(lost),
            };
            match worked {
                Ok(Worked { settled, passed, event }) => {
                    if let Settled::Yes(view) = settled {
                        engine.waiters.settle(lease.id, view.as_deref());
                        engine.tell_web_app(event);
                    }
                    engine.pass_on(&passed);
                }
                // Nobody's fault: another worker has it, and will end it.
                Err(StoreError::Fenced) => tracing::debug!(record.id = %lease.id, "lost the lease"),
                Err(error) => engine.give_back(lease, &error).await,
            }
            drop(held);
            drop(permit);
            if engine.workers.is_behind() {
                engine.wake.notify_one();
            }
        });
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).insert(lease.id, (lease, task.abort_handle()));
        let _ = noted.send(());
    }

    /// After a failed write the operation is given back at once if the database allows, else when the lease is over.
    async fn give_back(&self, lease: Lease, error: &StoreError) {
        let level_is_error = !error.is_transient();
        if level_is_error {
            tracing::error!(record.id = %lease.id, error.message = %error, "the operation is given back");
        } else {
            tracing::debug!(record.id = %lease.id, error.message = %error, "the operation is given back");
        }
        let delay = self.settings.backoff(0);
        if self.store.reschedule(&lease, delay, level_is_error, false, None).await.is_ok() {
            self.wake.notify_one();
        }
    }

    /// Prolongs the lease for as long as the work goes on; ends only when the lease is lost.
    async fn heartbeat(&self, lease: Lease, hold: &Hold) -> StoreError {
        if let Err(lost) = hold.is_taken().await {
            return lost;
        }
        loop {
            tokio::time::sleep(self.settings.lease / 3).await;
            let since = Instant::now();
            match self.store.extend(&lease, self.settings.lease).await {
                Ok(()) => hold.renew(since),
                Err(StoreError::Fenced) => {
                    // The work may just have committed its end, which also ends the lease: let it say so.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    return StoreError::Fenced;
                }
                // Anything else may pass before the lease is over.
                Err(_) => {}
            }
        }
    }
}

/// What a worker has in hand, until it is dropped: ended, aborted, or in a panic.
struct Held {
    engine: Arc<Engine>,
    lease: Lease,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut in_hand = self.engine.in_hand.lock().unwrap_or_else(PoisonError::into_inner);
        // The same operation may be in another worker's hands here by now.
        if in_hand.get(&self.lease.id).is_some_and(|(lease, _)| *lease == self.lease) {
            in_hand.remove(&self.lease.id);
        }
    }
}
