//! A notification that its worker may store together with the decision, in one transaction; where that takes longer than whoever
//! sent it is to wait, it is stored first. Whoever takes it stores it, and nobody else. It knows nothing of what is decided.
//!
//! What is read at a platform may take any time, so it is not waited for long: to be stored meanwhile costs a transaction, and no
//! time. Who waits for the database's turn waits on, as to be stored first would take a turn, too.

use crate::store::{NewOperation, OperationView};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// For so long a notification waits for all that is read for its decision.
pub(super) const UNREAD_AT_MOST: Duration = Duration::from_millis(10);
/// For so long it waits for its decision, whatever holds up the database.
const AT_MOST: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Shared {
    new: NewOperation,
    is_read: AtomicBool,
    is_taken: AtomicBool,
}

impl Shared {
    /// Whether it is whoever asks that is to store it.
    fn take(&self) -> bool {
        !self.is_taken.swap(true, Ordering::AcqRel)
    }
}

/// The notification in the hands of its worker. Dropped, it is stored without a decision.
#[derive(Debug)]
pub(super) struct Arriving {
    shared: Arc<Shared>,
    stored: oneshot::Sender<OperationView>,
}

impl Arriving {
    /// What is to be stored.
    pub(super) fn notification(&self) -> &NewOperation {
        &self.shared.new
    }

    /// All is read, and it waits for its turn to be decided.
    pub(super) fn wait_for_turn(&self) {
        self.shared.is_read.store(true, Ordering::Release);
    }

    /// Whether it is to be stored with the decision from here on; else it is being stored without.
    pub(super) fn take(&self) -> bool {
        self.shared.take()
    }

    /// It is stored with its decision, and stands so.
    pub(super) fn tell(self, view: OperationView) {
        // Whoever took it in may be gone.
        let _ = self.stored.send(view);
    }
}

/// The notification in the hands of whoever took it in.
#[derive(Debug)]
pub(super) struct Arrival {
    shared: Arc<Shared>,
    stored: oneshot::Receiver<OperationView>,
}

impl Arrival {
    pub(super) fn new(new: NewOperation) -> (Self, Arriving) {
        let shared = Arc::new(Shared { new, is_read: AtomicBool::new(false), is_taken: AtomicBool::new(false) });
        let (stored, is_stored) = oneshot::channel();
        (Self { shared: Arc::clone(&shared), stored: is_stored }, Arriving { shared, stored })
    }

    /// How it stands, once it is stored with its decision; what is to be stored, where its worker does not do that in time.
    pub(super) async fn stored(self, decisions: &Decisions) -> Result<OperationView, NewOperation> {
        let Self { shared, mut stored } = self;
        let mut told = tokio::time::timeout(UNREAD_AT_MOST, &mut stored).await;
        if told.is_err() && shared.is_read.load(Ordering::Acquire) {
            told = tokio::time::timeout(AT_MOST, &mut stored).await;
        } else if told.is_err() {
            decisions.took(UNREAD_AT_MOST);
        }
        let told = match told {
            Ok(told) => told,
            Err(_) if shared.take() => return Err(shared.new.clone()),
            // What a worker has begun to write comes to an end by itself.
            Err(_) => stored.await,
        };
        told.map_err(|_| shared.new.clone())
    }
}

/// How quickly all is read that operations are decided by.
#[derive(Debug)]
pub(super) struct Decisions {
    are_near: AtomicBool,
}

impl Decisions {
    pub(super) const fn new() -> Self {
        Self { are_near: AtomicBool::new(true) }
    }

    /// So long the last one took.
    pub(super) fn took(&self, time: Duration) {
        self.are_near.store(time < UNREAD_AT_MOST, Ordering::Relaxed);
    }

    /// Whether the next one is worth waiting for.
    pub(super) fn are_near(&self) -> bool {
        self.are_near.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{FlowId, OperationId, RecordId};
    use crate::domain::kind::Kind;
    use crate::domain::operation::OperationKey;
    use tokio::time::Instant;

    fn new() -> NewOperation {
        NewOperation {
            webhook_id: "msg".into(),
            body_mac: "mac".into(),
            id: RecordId::generate(),
            key: OperationKey { kind: Kind::Share, operation_id: OperationId::new("op").unwrap() },
            requester: None,
            requested_flow: None,
            payload: Some(vec![1]),
            replica: "me".into(),
            lease: Some(Duration::from_secs(1)),
        }
    }

    /// The record under which it is stored with its decision, or is to be stored without.
    async fn comes_to(arrival: Arrival, decisions: &Decisions) -> Result<RecordId, RecordId> {
        arrival.stored(decisions).await.map(|view| view.id).map_err(|new| new.id)
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_is_quick_stores_it_and_one_that_gives_up_leaves_it_at_once() {
        let (begun, decisions) = (Instant::now(), Decisions::new());
        let (arrival, arriving) = Arrival::new(new());
        let taken = arriving.notification().clone();
        assert!(arriving.take());
        assert!(!arriving.take(), "once");
        arriving.tell(taken.view(FlowId::generate()));
        assert_eq!(comes_to(arrival, &decisions).await, Ok(taken.id));
        for has_tried in [false, true] {
            let (arrival, arriving) = Arrival::new(taken.clone());
            assert!(!has_tried || arriving.take());
            drop(arriving);
            assert_eq!(comes_to(arrival, &decisions).await, Err(taken.id));
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(decisions.are_near());
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_platform_takes_its_time_it_is_stored_without_and_only_once() {
        let (begun, decisions) = (Instant::now(), Decisions::new());
        let (arrival, arriving) = Arrival::new(new());
        let id = arrival.shared.new.id;
        assert_eq!(comes_to(arrival, &decisions).await, Err(id));
        assert_eq!(begun.elapsed(), UNREAD_AT_MOST);
        assert!(!arriving.take(), "somebody else stores it");
        assert!(!decisions.are_near(), "the next one is not kept waiting");
        decisions.took(UNREAD_AT_MOST / 2);
        assert!(decisions.are_near());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_its_turn_is_waited_for_longer_and_not_for_ever() {
        for is_quick in [true, false] {
            let (begun, decisions) = (Instant::now(), Decisions::new());
            let (arrival, arriving) = Arrival::new(new());
            let taken = arriving.notification().clone();
            arriving.wait_for_turn();
            let turn = async {
                tokio::time::sleep(if is_quick { AT_MOST / 2 } else { AT_MOST * 2 }).await;
                let has_taken = arriving.take();
                if has_taken {
                    arriving.tell(taken.view(FlowId::generate()));
                }
                has_taken
            };
            let (stored, has_taken) = tokio::join!(comes_to(arrival, &decisions), turn);
            assert_eq!((stored.is_ok(), has_taken), (is_quick, is_quick));
            assert!(decisions.are_near(), "all was read in time");
            assert!(begun.elapsed() <= AT_MOST * 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_worker_has_begun_to_store_is_its_own_however_long_that_takes() {
        let (begun, decisions) = (Instant::now(), Decisions::new());
        let (arrival, arriving) = Arrival::new(new());
        let taken = arriving.notification().clone();
        assert!(arriving.take());
        let told = async {
            tokio::time::sleep(AT_MOST * 4).await;
            arriving.tell(taken.view(FlowId::generate()));
        };
        let (stored, ()) = tokio::join!(comes_to(arrival, &decisions), told);
        assert_eq!((stored, begun.elapsed()), (Ok(taken.id), AT_MOST * 4));
    }
}
