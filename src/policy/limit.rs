//! Limits: how many operations of a kind may be approved, per a fact or a pair of facts, within sliding windows.
//!
//! The counting itself needs the database; here is only what is counted.

use crate::domain::duration::format_duration;
use crate::domain::fact::{FactName, FactSet, FactState};
use crate::domain::fact_catalogue::is_personal;
use crate::domain::kind::Kind;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The `limit` of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The kind that is counted.
    pub count: Kind,
    /// The one or two facts by which it is counted.
    pub per: Vec<FactName>,
    /// The sliding windows; it is used up once one of them is.
    pub windows: Vec<Window>,
}

/// One sliding window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What its count is called: the rule, with `@24h` behind it where the rule has several windows.
    pub name: String,
    /// Its length.
    pub within: Duration,
    /// How many are allowed in it.
    pub max: u64,
}

impl Window {
    pub(super) fn new(rule: &str, within: Duration, max: u64, is_one_of_several: bool) -> Self {
        let name = if is_one_of_several { format!("{rule}@{}", format_duration(within)) } else { rule.to_owned() };
        Self { name, within, max }
    }
}

impl Limit {
    /// What is counted for an operation with these facts; `None` where a `per` fact is not known.
    #[must_use]
    pub fn key(&self, facts: &FactSet) -> Option<LimitKey> {
        let value = |name| match facts.get(name) {
            FactState::Known(value, _) => Some(value.display()),
            FactState::Absent | FactState::Unknown(_) => None,
        };
        let values = self.per.iter().map(value).collect::<Option<Vec<_>>>()?;
        let value = match values.as_slice() {
            [one] => one.clone().into_owned(),
            // Two values must not run into each other.
            pair => serde_json::json!(pair).to_string(),
        };
        Some(LimitKey { counter: format!("{}|{}", self.count, self.per()), value, is_personal: self.per.iter().any(is_personal) })
    }

    /// The facts by which it counts, as one word.
    #[must_use]
    pub fn per(&self) -> String {
        self.per.iter().map(FactName::as_str).collect::<Vec<_>>().join(",")
    }
}

/// One counter: a kind, facts and their values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LimitKey {
    /// The kind and the facts.
    pub counter: String,
    /// The facts' values.
    pub value: String,
    /// Whether the value is personal, and must not be stored in plain text.
    pub is_personal: bool,
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.counter, self.value)
    }
}

/// A count that a rule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitQuery {
    /// The window that asks; the count is given under this name.
    pub window: String,
    /// The counter.
    pub key: LimitKey,
    /// How far back to count.
    pub within: Duration,
}
