//! What is read back from the audit tables.

use crate::audit::RecordedFacts;
use crate::domain::ids::DecisionId;
use crate::domain::kind::Kind;
use crate::domain::verdict::{Outcome, Verdict};
use jiff::Timestamp;

/// A policy that was put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyActivation {
    /// Which.
    pub hash: String,
    /// Its files.
    pub body: String,
    /// When.
    pub at: Timestamp,
}

/// A decision as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Which.
    pub id: DecisionId,
    /// When.
    pub decided_at: Timestamp,
    /// The kind of the operation.
    pub kind: Kind,
    /// What was decided.
    pub verdict: Verdict,
    /// `policy`, or who decided by hand.
    pub decided_by: String,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// Which policy.
    pub policy_hash: String,
    /// The public facts.
    pub facts: RecordedFacts,
    /// The sealed ones.
    pub facts_personal: serde_json::Value,
    /// What every rule saw, as JSON; empty where it was not asked for. Most of it is never looked at.
    pub trace: String,
    /// How it ended; nothing where it has not, or where it was not asked for.
    pub outcome: Option<Outcome>,
}

/// Which decisions to read.
#[derive(Debug, Clone)]
pub struct RecordedRange {
    /// None before this.
    pub since: Timestamp,
    /// None up to this one, which is the last of the page before.
    pub after: Option<(Timestamp, DecisionId)>,
    /// How many at most.
    pub limit: u32,
    /// Whether to read their traces and outcomes, too.
    pub with_trace: bool,
}
