//! The happy path of many operations in one transaction, on a database that takes sets of rows: the same statements as for one,
//! over columns. Whatever is not plain (a flow that goes on, a turn, a pause, a lost lease, a message that is known) is
//! answered with nothing and takes its own transaction, which is the one place where that is written.
//!
//! What waits while one statement runs goes into the next; nothing is polled.
//! Rows are taken in the same order as there: lanes, then limit keys, each sorted, across the group.

mod asking;
mod deciding;
mod deliveries;
mod finishing;
mod lanes;
mod looking;
mod receiving;
mod recent;
mod ruling;
mod seen;
mod statements;

use crate::store::StoreError;
use crate::store::connection::Driver;
use crate::store::group::{Answer, Group, Turns, Urgency, answered};
use crate::store::types::{Finished, Finishing, LaneFacts};
use deliveries::Deliveries;
use seen::Seen;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) use asking::ask as ask_to_decide;
pub(super) use deliveries::Request as DeliverRequest;
pub(super) use receiving::Request as ReceiveRequest;

/// One group for each step of an operation's way, and what was seen on it.
pub(super) struct Groups {
    pub(super) receive: Group<ReceiveRequest>,
    lanes: Group<lanes::Request>,
    look: Group<looking::Request>,
    decide: Group<asking::Request>,
    finish: Group<finishing::Request>,
    pub(super) deliver: Arc<Deliveries>,
    seen: Arc<Seen>,
}

impl Groups {
    pub(super) fn start<D: Driver>(driver: &Arc<D>) -> Self {
        let seen = Arc::new(Seen::new());
        let turns = Arc::new(Turns::new());
        let deliver = Arc::new(Deliveries::default());
        let finish = {
            // The groups end with whoever asks them, and so do the connections.
            let delivered = Arc::downgrade(&deliver);
            move |driver, seen, ends| finishing::run(driver, seen, delivered.upgrade().unwrap_or_default(), ends)
        };
        let overdue = on(driver, &seen, finish.clone());
        deliveries::start(&deliver, move || overdue(Vec::new()));
        Self {
            receive: Group::start(&turns, Urgency::Now, all, on(driver, &seen, receiving::run)),
            lanes: Group::start(&turns, Urgency::Now, all, on(driver, &seen, lanes::run)),
            look: Group::start(&turns, Urgency::Now, all, on(driver, &seen, looking::run)),
            decide: Group::start(&turns, Urgency::Now, deciding::split, on(driver, &seen, deciding::run)),
            // Their verdicts are at the platform, and nobody waits for their lanes.
            finish: Group::start(&turns, Urgency::Soon, all, on(driver, &seen, finish)),
            deliver,
            seen,
        }
    }

    /// What is recorded of a lane and its tresor; nothing if it has to be read by itself.
    pub(super) async fn lane_facts(&self, lane: &str, tresor: Option<&str>) -> Result<Option<LaneFacts>, StoreError> {
        if let Some(facts) = self.seen.lane_facts(lane) {
            return Ok(Some(facts));
        }
        let (answer, comes) = oneshot::channel();
        self.lanes.add(lanes::Request { lane: lane.to_owned(), tresor: tresor.map(str::to_owned), answer });
        answered(comes, ended).await
    }

    /// What is recorded of a lane that nobody has come to; nothing where somebody is known to have.
    pub(super) fn new_lane_facts(&self, lane: &str) -> Option<LaneFacts> {
        self.seen.new_lane_facts(lane)
    }

    /// Ends an operation; nothing if that is not plain, or somebody is known to be in line for its lane, who is not to wait for others.
    pub(super) async fn finish(&self, finishing: &Finishing<'_>) -> Result<Option<Finished>, StoreError> {
        let (answer, comes) = oneshot::channel();
        let request = finishing::Request::of(finishing, answer).filter(|request| !self.seen.is_awaited(&request.lane));
        let Some(request) = request else { return Ok(None) };
        self.finish.add(request);
        answered(comes, ended).await
    }

    /// Somebody stands in line for a lane, or nobody does.
    pub(super) fn set_awaited(&self, lane: &str, is_awaited: bool) {
        self.seen.set_awaited(lane, is_awaited);
    }

    /// Something is written of a lane outside the groups.
    pub(super) fn forget_lane(&self, lane: &str) {
        self.seen.forget_lane(lane);
    }
}

/// What a group runs, with what all of them share.
fn on<D, T, F, R>(driver: &Arc<D>, seen: &Arc<Seen>, run: R) -> impl Fn(Vec<T>) -> F + use<D, T, F, R>
where
    R: Fn(Arc<D>, Arc<Seen>, Vec<T>) -> F,
{
    let (driver, seen) = (Arc::clone(driver), Arc::clone(seen));
    move |requests| run(Arc::clone(&driver), Arc::clone(&seen), requests)
}

/// All of them go together.
fn all<T>(requests: Vec<T>) -> (Vec<T>, Vec<T>) {
    (requests, Vec::new())
}

/// What everybody in a group is told whose transaction failed, and may have been committed all the same: where the database is
/// there, each tries by itself, so that one who cannot go on stands in nobody's way.
fn failed<T>(error: &StoreError) -> Result<Option<T>, StoreError> {
    if matches!(error, StoreError::Unreachable(_) | StoreError::SchemaOutdated) {
        return Err(error.clone());
    }
    scattered(error);
    Ok(None)
}

/// Says that a group came to nothing, where that is not in the nature of things; each of it goes on by itself.
fn scattered(error: &StoreError) {
    if !error.is_transient() {
        tracing::warn!(error.message = %error, "many operations could not be written together; each is written by itself");
    }
}

/// What is said where a group's transaction ended in a panic.
pub(super) fn ended() -> StoreError {
    StoreError::Database("the transaction ended in a panic".into())
}

/// Answers somebody who may be gone.
fn answer<T>(to: Answer<T, StoreError>, result: Result<Option<T>, StoreError>) {
    let _ = to.send(result);
}
