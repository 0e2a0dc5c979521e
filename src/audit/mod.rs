//! What an auditor will read: the records of decisions, and the sealing of what is personal in them.
//!
//! Pure: it makes records and ciphertexts, the store writes them. Nothing here is ever updated.

mod record;
mod vault;

pub use record::{DecisionRecord, personal_facts, public_facts, recorded_facts};
pub use vault::{MasterKey, PersonKey, VaultError, WrappedKey};
