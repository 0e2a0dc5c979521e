//! What became of deliveries of events. Nobody is kept waiting by when that is written, so it goes with the next ends that are,
//! or by itself where none come in time.

use super::answer;
use crate::domain::duration::micros;
use crate::store::StoreError;
use crate::store::connection::Arg;
use crate::store::group::{AT_MOST, Answer};
use crate::store::outbox::{Delivery, EventLease};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long it waits for an end to go with: longer than one waits for its turn, and far less than an event's lease.
const GOES_WITHIN: Duration = Duration::from_millis(40);

pub(in crate::store::sql) struct Request {
    pub(in crate::store::sql) lease: EventLease,
    pub(in crate::store::sql) delivery: Delivery,
    pub(in crate::store::sql) answer: Answer<bool, StoreError>,
}

/// Those that wait to be written.
#[derive(Default)]
pub(in crate::store::sql) struct Deliveries {
    waiting: Mutex<Vec<Request>>,
    some: Arc<Notify>,
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.some.notify_one();
    }
}

impl Deliveries {
    /// Takes a request; what becomes of it is answered over a channel that it holds.
    pub(in crate::store::sql) fn add(&self, request: Request) {
        self.waiting().push(request);
        self.some.notify_one();
    }

    /// As many as go into one transaction, in the order in which their rows are taken.
    pub(super) fn take(&self) -> Vec<Request> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(AT_MOST);
        let mut taken: Vec<_> = waiting.drain(..count).collect();
        taken.sort_by_key(|one| one.lease.seq);
        taken
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Request>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has those written that no end came for in time, until nobody has any more.
pub(super) fn start<F>(deliveries: &Arc<Deliveries>, write: impl Fn() -> F + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (some, deliveries) = (Arc::clone(&deliveries.some), Arc::downgrade(deliveries));
    let is_waiting = move || Some(!deliveries.upgrade()?.waiting().is_empty());
    tokio::spawn(async move {
        loop {
            some.notified().await;
            tokio::time::sleep(GOES_WITHIN).await;
            loop {
                match is_waiting() {
                    None => return,
                    Some(false) => break,
                    // In a task of its own, so that a panic ends this transaction and not all that come after it.
                    Some(true) => drop(tokio::spawn(write()).await),
                }
            }
        }
    });
}

/// Answers everybody, by the events that were written, and whether another one of its flow waits.
pub(super) fn settle(requests: Vec<Request>, written: &HashMap<i64, bool>) {
    for one in requests {
        answer(one.answer, written.get(&one.lease.seq).map(|follows| Some(*follows)).ok_or(StoreError::Fenced));
    }
}

/// Each tries by itself: at least once is what was promised.
pub(super) fn scatter(requests: Vec<Request>) {
    requests.into_iter().for_each(|one| answer(one.answer, Ok(None)));
}

pub(super) fn columns(requests: &[Request]) -> Vec<Arg> {
    let said: Vec<_> = requests
        .iter()
        .map(|one| match &one.delivery {
            Delivery::Done(answer) => ("delivered", answer, None),
            Delivery::Dead(answer) => ("dead", answer, None),
            Delivery::Again { answer, delay } => ("pending", answer, Some(micros(*delay))),
        })
        .collect();
    vec![
        Arg::Ints(requests.iter().map(|one| Some(one.lease.seq)).collect()),
        Arg::Ints(requests.iter().map(|one| Some(one.lease.fence)).collect()),
        Arg::Texts(said.iter().map(|(state, _, _)| Some((*state).to_owned())).collect()),
        Arg::Texts(said.iter().map(|(_, answer, _)| Some((*answer).clone())).collect()),
        Arg::Ints(said.iter().map(|(_, _, delay)| *delay).collect()),
    ]
}
