//! What an auditor reads: the records of decisions, what is personal in them under seal, and the tree that shows whether any of
//! it was changed.
//!
//! Pure: it makes records, ciphertexts, leaves, checkpoints and proofs; the store writes them. Nothing here is ever updated.

mod canonical;
mod checkpoint;
mod decision_leaf;
mod finding;
mod leaf;
mod ocsf;
mod plain;
mod proof;
mod record;
mod recorded_facts;
mod retention;
mod row;
mod stored;
mod tally;
mod time;
mod tree;
mod vault;
mod verify;
mod witness;

pub use canonical::{canonical, is_canonical};
pub use checkpoint::{Checkpoint, CheckpointError, LogKey, LogVerifier, SIGNATURE_LINE, check_any};
pub use decision_leaf::DecisionLeaf;
pub use finding::Finding;
pub use leaf::{Column, Form, Record, Stream, hashed, leaf_hash};
pub use ocsf::{OCSF_VERSION, ocsf_event};
pub use proof::{Proof, ProofError};
pub use record::{DecisionRecord, personal_facts, public_facts};
pub use recorded_facts::RecordedFacts;
pub use retention::{DroppedBy, DroppedMonth, MonthDigest, month_of};
pub use row::{LeafRecord, Stored, audit_id};
pub use stored::{StoredValue, stored_json};
pub use tally::{CountedAs, Tally};
pub use time::audit_time;
pub use tlog_tiles::Hash as TreeHash;
pub use tree::{Frontier, Nodes, Place, Run, edge, path};
pub use vault::{MasterKey, PersonKey, VaultError, WrappedKey};
pub use verify::{Dropped, SeenLeaf, SeenRow, Verification, Verified};
pub use witness::WitnessKey;
