//! What another policy would have decided: differences between recorded decisions and their re-evaluation, by verdict and
//! by rule, with examples.

use super::evaluate::Evaluation;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many examples are kept of each shift.
const EXAMPLES: usize = 3;

/// Everything that was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// How many decisions were evaluated again.
    pub evaluated: u64,
    /// How many came to another verdict.
    pub changed: u64,
    /// How many came to the same verdict by other rules.
    pub other_rules: u64,
    /// How many used a fact that was not recorded with the decision, and so is unknown to the other policy.
    pub incomplete: u64,
    /// From verdict to verdict.
    pub shifts: Vec<Shift>,
    /// By rule: how many decisions it decided then and would decide now; only rules for which that differs.
    pub rules: BTreeMap<String, RuleShift>,
}

/// Decisions that would go from one verdict to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shift {
    /// What was decided.
    pub from: Verdict,
    /// What would be.
    pub to: Verdict,
    /// How many.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// One decision that would be another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The decision.
    pub decision: String,
    /// When it was made.
    pub decided_at: String,
    /// The kind.
    pub kind: Kind,
    /// The rules that decided.
    pub rules_then: Vec<String>,
    /// The rules that would.
    pub rules_now: Vec<String>,
    /// What the other policy says.
    pub reason: String,
}

/// How often a rule decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RuleShift {
    /// In the record.
    pub then: u64,
    /// By the other policy.
    pub now: u64,
}

impl Difference {
    /// Adds one decision: what the record says of it, and what the other policy does.
    pub fn add(
        &mut self,
        recorded: (Verdict, Vec<String>),
        evaluation: Evaluation,
        is_incomplete: bool,
        describe: impl FnOnce() -> (String, String, Kind),
    ) {
        self.evaluated += 1;
        self.incomplete += u64::from(is_incomplete);
        let (from, rules_then) = recorded;
        for (rules, is_then) in [(&rules_then, true), (&evaluation.rules, false)] {
            for rule in rules {
                if !self.rules.contains_key(rule) {
                    self.rules.insert(rule.clone(), RuleShift::default());
                }
                if let Some(shift) = self.rules.get_mut(rule) {
                    *(if is_then { &mut shift.then } else { &mut shift.now }) += 1;
                }
            }
        }
        if from == evaluation.verdict {
            self.other_rules += u64::from(rules_then != evaluation.rules);
            return;
        }
        self.changed += 1;
        let to = evaluation.verdict;
        let index = self.shifts.iter().position(|shift| shift.from == from && shift.to == to).unwrap_or_else(|| {
            self.shifts.push(Shift { from, to, count: 0, examples: Vec::new() });
            self.shifts.len() - 1
        });
        let Some(shift) = self.shifts.get_mut(index) else { return };
        shift.count += 1;
        if shift.examples.len() < EXAMPLES {
            let (decision, decided_at, kind) = describe();
            let (rules_now, reason) = (evaluation.rules, evaluation.reason);
            shift.examples.push(Example { decision, decided_at, kind, rules_then, rules_now, reason });
        }
    }

    /// Puts the largest shifts first and leaves out the rules that decide as often as they did.
    #[must_use]
    pub fn finish(mut self) -> Self {
        self.shifts.sort_by_key(|shift| std::cmp::Reverse(shift.count));
        self.rules.retain(|_, shift| shift.then != shift.now);
        self
    }
}
