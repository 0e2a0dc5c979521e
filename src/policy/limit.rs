//! Limits: how many operations of a kind may be approved, per a fact, within a sliding window.
//!
//! The counting itself needs the database; here is only what is counted.

use crate::domain::fact::{FactName, FactSet, FactState};
use crate::domain::kind::Kind;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The `limit` of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The kind that is counted.
    pub count: Kind,
    /// The public fact by which it is counted.
    pub per: FactName,
    /// The length of the sliding window.
    pub within: Duration,
    /// How many are allowed in it.
    pub max: u64,
}

impl Limit {
    /// What is counted for an operation with these facts; `None` where the `per` fact is not known.
    #[must_use]
    pub fn key(&self, facts: &FactSet) -> Option<LimitKey> {
        match facts.get(&self.per) {
            FactState::Known(value, _) => Some(LimitKey(format!("{}|{}|{}", self.count, self.per, value.display()))),
            FactState::Absent | FactState::Unknown(_) => None,
        }
    }
}

/// One counter: a kind, a fact and its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LimitKey(String);

impl LimitKey {
    /// The counter's name in the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A count that a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitQuery {
    /// The rule that asks.
    pub rule: String,
    /// The counter.
    pub key: LimitKey,
    /// How far back to count.
    pub within: Duration,
}
