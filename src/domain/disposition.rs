//! What an answer of the platform means for the operation. The table of error codes maps each code to one of these.

use serde::{Deserialize, Serialize};

/// The meaning of an answer that is not a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// The operation was built against an older state of its tresor and is lost; the client must start again.
    Conflict,
    /// Nothing was done; the same may succeed later.
    Transient,
    /// The effect seems to be there already; the platform is read to make sure.
    Already,
    /// It cannot be said whether anything was done; the platform is read to find out.
    Uncertain,
    /// There is no such operation.
    Gone,
    /// Nothing was done, and nothing will be.
    Denied,
    /// The daemon's own access is at fault; an operator has to look.
    Misconfigured,
}
