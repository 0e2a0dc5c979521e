//! How many decisions there are of a day: counted from rows, and held against counts that somebody kept.

use serde_json::Value;
use std::collections::BTreeMap;

/// What decisions are counted as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountedAs {
    /// The day, UTC.
    pub day: String,
    /// The kind of the operation.
    pub kind: String,
    /// The verdict.
    pub verdict: String,
    /// The rules that decided, as JSON without spaces.
    pub rules: String,
}

impl CountedAs {
    /// Of a day, a kind, a verdict and rules.
    #[must_use]
    pub fn new(day: &str, kind: &str, verdict: &str, rules: &Value) -> Self {
        Self { day: day.to_owned(), kind: kind.to_owned(), verdict: verdict.to_owned(), rules: rules.to_string() }
    }
}

/// Counts of decisions.
#[derive(Debug, Clone, Default)]
pub struct Tally(BTreeMap<CountedAs, u64>);

impl Tally {
    /// So many more.
    pub fn add(&mut self, of: CountedAs, more: u64) {
        let count = self.0.entry(of).or_default();
        *count = count.saturating_add(more);
    }

    /// Another's, too.
    pub fn add_all(&mut self, other: Self) {
        other.0.into_iter().for_each(|(of, count)| self.add(of, count));
    }

    /// Where what somebody kept is something else than what was counted: that, and both counts, the kept one first.
    #[must_use]
    pub fn differences(mut self, kept: Vec<(CountedAs, u64)>) -> Vec<(CountedAs, u64, u64)> {
        let mut differences = Vec::new();
        for (of, kept) in kept {
            let counted = self.0.remove(&of).unwrap_or_default();
            if counted != kept {
                differences.push((of, kept, counted));
            }
        }
        differences.extend(self.0.into_iter().map(|(of, counted)| (of, 0, counted)));
        differences
    }
}
