//! The decision log as a tree: what is sealed, what waits to be, and what is read back to check or prove it.

use super::StoreError;
use crate::audit::{Checkpoint, CountedAs, LeafRecord, LogKey, Nodes, Run, Stream, TreeHash};
use async_trait::async_trait;
use serde_json::Value;

/// A leaf as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafRow {
    /// Its place, from 0.
    pub index: u64,
    /// Of which table.
    pub stream: Stream,
    /// The row's id.
    pub id: String,
    /// The row's own time, RFC 3339.
    pub at: String,
    /// What was sealed.
    pub hash: TreeHash,
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

    /// Checkpoints larger than `above`, up to `size`, the smallest first.
    async fn checkpoints(&self, above: u64, size: u64) -> Result<Vec<Checkpoint>, StoreError>;

    /// Keeps what a witness signed.
    async fn keep_cosignatures(&self, size: u64, lines: &[String]) -> Result<(), StoreError>;

    /// Leaves from one on, below another one, in their order: at most [`LEAVES_AT_ONCE`].
    async fn leaves(&self, from: u64, below: u64) -> Result<Vec<LeafRow>, StoreError>;

    /// Leaves from one on, below another one at most [`LEAVES_AT_ONCE`] later, in their order, each with its row where there is one.
    async fn leaves_with_rows(&self, from: u64, below: u64) -> Result<Vec<(LeafRow, Option<LeafRecord>)>, StoreError>;

    /// How many leaves stand before the first place, or after the last one that a checkpoint covers.
    async fn leaves_outside(&self) -> Result<u64, StoreError>;

    /// The leaf of a row.
    async fn leaf_of(&self, stream: Stream, id: &str) -> Result<Option<LeafRow>, StoreError>;

    /// The rows of leaves, each in the place of its leaf; nothing where there is none.
    async fn rows(&self, leaves: &[LeafRow]) -> Result<Vec<Option<LeafRecord>>, StoreError>;

    /// Hashes that are kept of the tree.
    async fn nodes(&self, runs: &[Run]) -> Result<Nodes, StoreError>;

    /// Rows that were never sealed and do not wait to be, at most so many of each table.
    async fn strays(&self, limit: u32) -> Result<Vec<Stray>, StoreError>;

    /// How many decisions are sealed, by day, and the size of the log as it was then.
    async fn sealed_counts(&self) -> Result<(u64, Vec<(CountedAs, u64)>), StoreError>;

    /// Archived policies after this hash, in the order of their hashes.
    async fn policies(&self, after: &str, limit: u32) -> Result<Vec<(String, String)>, StoreError>;

    /// Writes what a replica was told, unless the last one was told the same.
    async fn change_configuration(&self, replica: &str, version: &str, body: &Value) -> Result<(), StoreError>;
}
