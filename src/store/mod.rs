//! The store: one trait, two databases. It writes state, intent and audit records in one transaction, and nothing
//! between two transactions can be lost.
//!
//! How to add to it: a method on [`Store`] says what must hold and in which transaction; its SQL goes into `sql/`, once
//! for both databases, with `dialect::sql` where they differ; the contract suite in `tests/` runs it on both. No method
//! may call the network, decide anything, or read a clock other than the database's. Locks are taken in one order
//! everywhere: lanes (new ones first, for which nobody waits who has one that is there), then limit keys, then persons, each sorted.

mod connection;
mod dialect;
mod error;
mod group;
mod incoming;
mod ledger;
mod operating;
mod outbox;
mod postgres;
mod recorded;
mod retention;
mod search;
mod sql;
mod sqlite;
mod types;

pub use error::StoreError;
pub use incoming::{NewOperation, Received};
pub use ledger::{LEAVES_AT_ONCE, LeafRow, Ledger, RowPlace, RowsInOrder, RowsSeen, Sealed, Stray};
pub use operating::{
    EVERYTHING, Escalation, Forgotten, Grant, OpenView, Operating, PauseView, Rekeyed, Rekeying, Reseal, Resolved, Review,
    Reviewed, Rewritten, not_reviewable,
};
pub use outbox::{ClaimedEvent, Delivery, EventLease, EventView, Outbox};
pub use postgres::open as open_postgres;
pub use recorded::{PolicyActivation, Recorded, RecordedRange};
pub use retention::{Dropping, Retention};
pub use search::{Cursor, DayCount, DecisionQuery, FoundDecision, FoundOutcome, FoundPage, Search};
pub use sqlite::open as open_sqlite;
pub use types::{
    ByHand, Claimed, ClaimedEffect, Decided, Deciding, DecisionView, EffectLease, EffectResult, Finished, Finishing, Ground,
    HandOrder, HandRole, LaneFacts, LaneRules, LastFailure, Lease, NoRuling, OperationView, Ordered, OutcomeView, Passed, Person,
    Ruling, Sent,
};

use crate::audit::WrappedKey;
use crate::domain::ids::{DecisionId, RecordId, UserId};
use crate::domain::operation::{Intent, Lane};
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Judges an operation inside the deciding transaction. Pure: no I/O, as locks are held.
pub type Judge<'j> = &'j (dyn Fn(Ground) -> Result<Ruling, NoRuling> + Send + Sync);

/// What the engine keeps.
#[async_trait]
pub trait Store: Outbox + Operating + Ledger + Search + Retention + Send + Sync {
    /// Brings the schema up to date; how many migrations were applied.
    async fn migrate(&self) -> Result<usize, StoreError>;

    /// Lets a role read and write, but not change or remove what is in the log; without a name it renews that for the roles that
    /// have it. Which ones. Nothing where a database has no roles.
    async fn grant(&self, daemon: Option<&str>) -> Result<Vec<String>, StoreError>;

    /// Whether facts and traces of decisions are kept as an older release wrote them, which is slower.
    async fn is_to_rewrite(&self) -> Result<bool, StoreError>;

    /// Has them kept as this release does, unless somebody else is connected.
    async fn rewrite(&self) -> Result<Rewritten, StoreError>;

    /// Whether whoever is connected could change what is in the log.
    async fn may_change_log(&self) -> Result<bool, StoreError>;

    /// Fails unless the schema is the one this program was built for.
    async fn check_schema(&self) -> Result<(), StoreError>;

    /// The database's clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// The sentinel that was sealed under the database's master key; `fresh` becomes it if there is none yet.
    async fn key_sentinel(&self, fresh: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, StoreError>;

    /// Stores a notification, once per `webhook-id` and once per operation; the answer 2xx depends on its commit.
    async fn receive(&self, new: NewOperation) -> Result<Received, StoreError>;

    /// An operation as the API shows it.
    async fn operation(&self, id: RecordId) -> Result<Option<OperationView>, StoreError>;

    /// Takes due operations, the longest due first, each fenced and leased to `owner`.
    async fn claim(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<Claimed>, StoreError>;

    /// One operation, if it is due.
    async fn claim_one(&self, id: RecordId, owner: &str, lease: Duration) -> Result<Option<Claimed>, StoreError>;

    /// Stores what an operator decided on an operation that nobody works on, and leases it; a daemon carries it out if
    /// the operator's process does not.
    async fn order_by_hand(&self, order: HandOrder) -> Result<Ordered, StoreError>;

    /// One operation that this replica already leased, as [`Store::claim`] would have given it.
    async fn leased(&self, lease: &Lease) -> Result<Claimed, StoreError>;

    /// Prolongs a lease; fails with [`StoreError::Fenced`] when somebody else took it.
    async fn extend(&self, lease: &Lease, duration: Duration) -> Result<(), StoreError>;

    /// The lane's version, to be remembered before facts are read, and what is recorded of its tresor.
    async fn lane_facts(&self, lane: &Lane, tresor: Option<&str>) -> Result<LaneFacts, StoreError>;

    /// What [`Store::lane_facts`] says of a lane that nobody has come to. A guess for the creation of a tresor: where somebody has,
    /// [`Store::decide_arrival`] writes nothing, and [`Store::decide`] finds the facts too old. Nothing where it is known to be wrong.
    fn new_lane_facts(&self, lane: &Lane) -> Option<LaneFacts>;

    /// What an operation wanted, from its decision.
    async fn intent_of(&self, decision: DecisionId) -> Result<Intent, StoreError>;

    /// The deciding transaction: takes the lane, counts limits under their locks, judges, and writes decision, intent
    /// and places.
    async fn decide(&self, deciding: Deciding<'_>, judge: Judge<'_>) -> Result<Decided, StoreError>;

    /// Whether [`Store::decide_arrival`] ever comes to anything.
    fn decides_arrivals(&self) -> bool;

    /// [`Store::receive`] and [`Store::decide`] in one transaction, for a notification with a lease: a ruling whose verdict goes out,
    /// or nothing where that is not plain. Then it is received by itself, where it is also found should it have been written.
    async fn decide_arrival(
        &self,
        new: &NewOperation,
        deciding: Deciding<'_>,
        judge: Judge<'_>,
    ) -> Result<Option<Decided>, StoreError>;

    /// Commits that the verdict goes out once more; how many calls may have reached the platform then.
    async fn resend(&self, lease: &Lease) -> Result<u32, StoreError>;

    /// Gives the operation back, to be due after `delay`. `counts` spends a try; `unsent` says that no call with the
    /// verdict is at the platform; `failure` is remembered, if there was one.
    async fn reschedule(
        &self,
        lease: &Lease,
        delay: Duration,
        counts: bool,
        unsent: bool,
        failure: Option<&LastFailure>,
    ) -> Result<(), StoreError>;

    /// The last transaction: outcome, lane freed and handed on, places kept or released.
    async fn finish(&self, finishing: Finishing<'_>) -> Result<Finished, StoreError>;

    /// Sees to what time brings about: turns that were missed, waits that are over, lanes that nobody holds.
    async fn tidy(&self, rules: LaneRules) -> Result<Passed, StoreError>;

    /// Hears of operations that another replica settled while requests may wait for them here; nothing where a database
    /// has only one process. A hint: what is missed is found by looking.
    async fn listen(&self) -> Result<Option<mpsc::Receiver<RecordId>>, StoreError>;

    /// How long until something is due or a turn is over; nothing if nothing is.
    async fn next_due(&self) -> Result<Option<Duration>, StoreError>;

    /// Keeps the sealed secrets of a registration that was begun.
    async fn keep_registration(&self, user: &UserId, sealed: Vec<u8>) -> Result<(), StoreError>;

    /// The sealed secrets of a registration, unless they are older than `max_age`.
    async fn registration(&self, user: &UserId, max_age: Duration) -> Result<Option<Vec<u8>>, StoreError>;

    /// Erases the secrets of old registrations; how many.
    async fn erase_registrations(&self, older_than: Duration) -> Result<u64, StoreError>;

    /// Takes due effects, the longest due first; for one user and action only the one that came first.
    async fn claim_effects(&self, owner: &str, lease: Duration, limit: u32) -> Result<Vec<ClaimedEffect>, StoreError>;

    /// Gives an effect back, to be due after `delay`; `counts` spends a try.
    async fn effect_again(&self, lease: EffectLease, delay: Duration, counts: bool) -> Result<(), StoreError>;

    /// Writes what became of an effect.
    async fn finish_effect(&self, lease: EffectLease, result: &EffectResult) -> Result<(), StoreError>;

    /// How long until an effect is due; nothing if none is.
    async fn next_effect_due(&self) -> Result<Option<Duration>, StoreError>;

    /// Writes that a policy is in force from now on, and keeps its text; nothing where it is the last one already.
    async fn activate_policy(&self, hash: &str, body: &str, replica: &str) -> Result<(), StoreError>;

    /// The policy that was put in force last, by any replica.
    async fn last_activation(&self) -> Result<Option<PolicyActivation>, StoreError>;

    /// The text of a policy that was in force once.
    async fn archived_policy(&self, hash: &str) -> Result<Option<String>, StoreError>;

    /// A decision as it was recorded.
    async fn recorded(&self, decision: DecisionId) -> Result<Option<Recorded>, StoreError>;

    /// Decisions in the order in which they were made, a page at a time.
    async fn recorded_page(&self, range: &RecordedRange) -> Result<Vec<Recorded>, StoreError>;

    /// A person's sealed key; nothing if there is none, or it was destroyed.
    async fn person_key(&self, person: &UserId) -> Result<Option<WrappedKey>, StoreError> {
        Ok(self.person_keys(std::slice::from_ref(person)).await?.pop().map(|(_, key)| key))
    }

    /// The sealed keys of those of these persons who have one.
    async fn person_keys(&self, persons: &[UserId]) -> Result<Vec<(String, WrappedKey)>, StoreError>;

    /// Moves operations out of the queue that came to their end so long ago, a page of them; where the next page begins, or
    /// nothing at the end. They are found by their ids as before.
    async fn retire(&self, after: Option<RecordId>, older_than: Duration) -> Result<Option<RecordId>, StoreError>;

    /// What must be done now and then: partitions for the months to come.
    async fn maintain(&self) -> Result<(), StoreError>;
}

/// Opens a database as [`open`] does, for questions about all of it: the database chooses how to answer them.
///
/// # Errors
/// As [`open`].
pub async fn open_to_read(url: &str, connections: u32) -> Result<Arc<dyn Store>, StoreError> {
    match url.strip_prefix("sqlite://") {
        Some(path) => open_sqlite(path, connections).await,
        None => postgres::open_to_read(url, connections).await,
    }
}

/// Whether a file is open nowhere. A server says so itself, where it matters.
///
/// # Errors
/// The file cannot be opened.
pub async fn is_unused(url: &str) -> Result<bool, StoreError> {
    match url.strip_prefix("sqlite://") {
        Some(path) => sqlite::is_unused(path).await,
        None => Ok(true),
    }
}

/// Opens the database that an address names: `postgres://` or `sqlite://`, whose file is made where it is not there.
///
/// # Errors
/// The address is of neither form, or nothing answers there.
pub async fn open(url: &str, connections: u32) -> Result<Arc<dyn Store>, StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        open_postgres(url, connections).await
    } else if let Some(path) = url.strip_prefix("sqlite://") {
        open_sqlite(path, connections).await
    } else {
        Err(StoreError::Address)
    }
}
