//! The decision log as a tree: what is sealed, what waits to be, and what is read back to check or prove it.

use super::StoreError;
use crate::audit::{Checkpoint, CountedAs, LeafRecord, LogKey, Nodes, Run, Stream, TreeHash};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A leaf as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafRow {
    /// Its place, from 0.
    pub index: u64,
    /// Of which table.
    pub stream: Stream,
    /// The row.
    pub place: RowPlace,
    /// What was sealed.
    pub hash: TreeHash,
}

/// Where a row stands among those of its table. A policy activation's id is its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowPlace {
    /// Its time.
    pub at: Timestamp,
    /// Its id.
    pub id: Uuid,
}

/// Rows of a table that follow each other.
#[derive(Debug)]
pub struct RowsInOrder {
    /// Those that were found, while leaves are made of them; fails where one cannot be read.
    pub rows: JoinHandle<Result<Vec<(RowPlace, LeafRecord)>, StoreError>>,
    /// The last, where more may follow.
    pub last: Option<RowPlace>,
}

/// Rows of a table that somebody has read and held against leaves: all from a time on and until another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsSeen {
    /// The table.
    pub stream: Stream,
    /// Rows of later times were read.
    pub after: Timestamp,
    /// Rows of earlier times were read.
    pub before: Timestamp,
    /// Those of them that no leaf was found for.
    pub unclaimed: Vec<RowPlace>,
}

/// What a round of the sealer did.
#[derive(Debug, Clone, PartialEq)]
pub enum Sealed {
    /// Another replica is at it.
    Elsewhere,
    /// Nothing waits.
    Nothing,
    /// So many rows became leaves, under this checkpoint; whether as many as were asked for.
    Leaves {
        /// How many.
        count: u64,
        /// What was signed.
        checkpoint: Checkpoint,
        /// Whether more may wait.
        more: bool,
    },
}

/// How many leaves are read at once.
pub const LEAVES_AT_ONCE: u32 = 4_000;

/// A row for auditors that is no leaf and does not wait to become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The table.
    pub stream: Stream,
    /// The row.
    pub id: String,
}

/// The tree and what stands under it.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Makes up to `limit` waiting rows leaves and signs a checkpoint, in one transaction; one sealer at a time.
    ///
    /// Fails with [`StoreError::Tree`] where what is kept does not fit the last checkpoint, that is not signed by the log's key, or
    /// the log did not grow out of `known`, the last one that the caller saw: nothing is signed over that.
    async fn seal(&self, key: &LogKey, known: Option<&Checkpoint>, limit: u32) -> Result<Sealed, StoreError>;

    /// How many rows wait to be sealed.
    async fn unsealed(&self) -> Result<u64, StoreError>;

    /// The newest checkpoint, with what witnesses signed.
    async fn last_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError>;

    /// Checkpoints larger than `above`, up to `size`, the smallest first; nothing, with the size, where a row holds none of its size.
    async fn checkpoints(&self, above: u64, size: u64) -> Result<Vec<Result<Checkpoint, u64>>, StoreError>;

    /// Keeps what a witness signed.
    async fn keep_cosignatures(&self, size: u64, lines: &[String]) -> Result<(), StoreError>;

    /// Leaves from one on, below another one, in their order: at most [`LEAVES_AT_ONCE`], and one more.
    async fn leaves(&self, from: u64, below: u64) -> Result<Vec<LeafRow>, StoreError>;

    /// Rows of a table that is kept by months, from one place on, in the order of their times, at most so many: a server reads them in
    /// half the time that it takes to look for each. Nothing where that is not so.
    async fn rows_from(&self, stream: Stream, from: RowPlace, limit: u32) -> Result<Option<RowsInOrder>, StoreError>;

    /// How many leaves stand before the first place, or after the last one that a checkpoint covers.
    async fn leaves_outside(&self) -> Result<u64, StoreError>;

    /// The leaf of a row.
    async fn leaf_of(&self, stream: Stream, id: &str) -> Result<Option<LeafRow>, StoreError>;

    /// The rows of leaves, each in the place of its leaf; nothing where there is none.
    async fn rows(&self, leaves: &[LeafRow]) -> Result<Vec<Option<LeafRecord>>, StoreError>;

    /// Whether an operator's action says that a person was forgotten.
    async fn was_forgotten(&self, person: &str) -> Result<bool, StoreError>;

    /// Hashes that are kept of the tree.
    async fn nodes(&self, runs: &[Run]) -> Result<Nodes, StoreError>;

    /// Rows that were never sealed and do not wait to be, at most so many of each table. What was seen is not looked through again.
    async fn strays(&self, seen: &[RowsSeen], limit: u32) -> Result<Vec<Stray>, StoreError>;

    /// How many decisions are sealed, by day, and the size of the log as it was then.
    async fn sealed_counts(&self) -> Result<(u64, Vec<(CountedAs, u64)>), StoreError>;

    /// Archived policies after this hash, in the order of their hashes.
    async fn policies(&self, after: &str, limit: u32) -> Result<Vec<(String, String)>, StoreError>;

    /// Writes what a replica was told, unless the last one was told the same.
    async fn change_configuration(&self, replica: &str, version: &str, body: &Value) -> Result<(), StoreError>;
}
