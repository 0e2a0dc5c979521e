//! Months that are dropped from the log, once they are kept elsewhere. Their leaves stay.

use super::StoreError;
use super::ledger::LeafRow;
use crate::audit::DroppedMonth;
use async_trait::async_trait;

/// What became of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dropping {
    /// It is gone; the id of the action that says so.
    Done(String),
    /// It stays, and why.
    Stays(String),
}

/// Dropping months.
#[async_trait]
pub trait Retention: Send + Sync {
    /// The months that can be dropped, as `2026-03`, the oldest first; nothing where a database has none.
    async fn months(&self) -> Result<Vec<String>, StoreError>;

    /// The newest month that was dropped.
    async fn last_dropped(&self) -> Result<Option<String>, StoreError>;

    /// Leaves of decisions and outcomes of a month, from one on, in their order: at most [`super::LEAVES_AT_ONCE`].
    async fn leaves_of_month(&self, month: &str, from: u64) -> Result<Vec<LeafRow>, StoreError>;

    /// How many rows up to the end of a month wait to be sealed.
    async fn unsealed_of_month(&self, month: &str) -> Result<u64, StoreError>;

    /// Drops a month, which must have as many rows as were exported, and writes that down: in one transaction.
    async fn drop_month(&self, dropped: &DroppedMonth, operator: &str, comment: Option<&str>) -> Result<Dropping, StoreError>;
}
