//! Coverage: a rule needs a case that fires it, one that does not and, where it can be, one that leaves it unknown.

use super::cases::CaseResult;
use super::evaluate::can_be_unknown;
use super::model::{Policy, RuleMode};
use super::truth::Truth;
use serde::Serialize;

/// What the cases show of one rule: whether each outcome was seen, and nothing where it cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCoverage {
    /// The rule.
    pub rule: String,
    /// A case in which it matches.
    pub fires: bool,
    /// A case in which it does not; nothing for a rule that always matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub does_not: Option<bool>,
    /// A case in which it cannot be decided; nothing for a rule that always can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<bool>,
}

impl RuleCoverage {
    /// How many outcomes were seen, of how many there can be.
    #[must_use]
    pub fn seen(&self) -> (usize, usize) {
        let outcomes = [Some(self.fires), self.does_not, self.unknown];
        let possible = outcomes.into_iter().flatten();
        (possible.clone().filter(|seen| *seen).count(), possible.count())
    }
}

/// What all cases together show of every rule that is evaluated.
#[must_use]
pub fn coverage(policy: &Policy, results: &[CaseResult]) -> Vec<RuleCoverage> {
    let mut seen: std::collections::HashMap<&str, [bool; 3]> = std::collections::HashMap::new();
    for trace in results.iter().flat_map(|result| &result.seen.trace) {
        let [fires, does_not, unknown] = seen.entry(trace.rule.as_str()).or_default();
        match trace.result {
            Truth::True => *fires = true,
            Truth::False => *does_not = true,
            Truth::Unknown => *unknown = true,
        }
    }
    let rules = policy.rules.iter().filter(|rule| rule.mode != RuleMode::Off);
    rules
        .map(|rule| {
            let [fires, does_not, unknown] = seen.get(rule.id.as_str()).copied().unwrap_or_default();
            let can_fail = rule.conditions().next().is_some() || rule.limit.is_some();
            RuleCoverage {
                rule: rule.id.clone(),
                fires,
                does_not: can_fail.then_some(does_not),
                unknown: can_be_unknown(rule).then_some(unknown),
            }
        })
        .collect()
}

/// The share of outcomes that were seen, in whole percent, rounded down; 100 where there is nothing to see.
#[must_use]
pub fn percent(coverage: &[RuleCoverage]) -> u32 {
    let (seen, all) = coverage.iter().map(RuleCoverage::seen).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let share = (seen * 100).checked_div(all).unwrap_or(100);
    u32::try_from(share).unwrap_or(100)
}
