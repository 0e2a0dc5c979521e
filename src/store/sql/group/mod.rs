//! The happy path of many operations in one transaction, on a database that takes sets of rows: the same statements as for one,
//! over columns. Whatever is not plain (a flow that goes on, a turn, a pause, a lost lease, a message that is known) is
//! answered with nothing and takes its own transaction, which is the one place where that is written.
//!
//! What waits while one statement runs goes into the next: nobody waits for company, and nothing is polled.
//! Rows are taken in the same order as there: lanes, then limit keys, each sorted, across the group.

mod asking;
mod deciding;
mod deliveries;
mod finishing;
mod lanes;
mod receiving;
mod ruling;
mod statements;

use crate::store::StoreError;
use crate::store::connection::Driver;
use crate::store::group::{Answer, Group};
use std::sync::Arc;

pub(super) use asking::{Request as DecideRequest, ask as ask_to_decide};
pub(super) use deliveries::Request as DeliverRequest;
pub(super) use finishing::Request as FinishRequest;
pub(super) use lanes::Request as LaneRequest;
pub(super) use receiving::Request as ReceiveRequest;

/// One group for each step of an operation's way.
pub(super) struct Groups {
    pub(super) receive: Group<ReceiveRequest>,
    pub(super) lanes: Group<LaneRequest>,
    pub(super) decide: Group<DecideRequest>,
    pub(super) finish: Group<FinishRequest>,
    pub(super) deliver: Group<DeliverRequest>,
}

impl Groups {
    pub(super) fn start<D: Driver>(driver: &Arc<D>) -> Self {
        let (receive, lanes, decide) = (Arc::clone(driver), Arc::clone(driver), Arc::clone(driver));
        let (finish, deliver) = (Arc::clone(driver), Arc::clone(driver));
        Self {
            receive: Group::start(all, move |requests| receiving::run(Arc::clone(&receive), requests)),
            lanes: Group::start(all, move |requests| lanes::run(Arc::clone(&lanes), requests)),
            decide: Group::start(deciding::split, move |requests| deciding::run(Arc::clone(&decide), requests)),
            finish: Group::start(all, move |requests| finishing::run(Arc::clone(&finish), requests)),
            deliver: Group::start(all, move |requests| deliveries::run(Arc::clone(&deliver), requests)),
        }
    }
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
