//! Recorded decisions, decided again by the archived policy that made them: whether it comes to the same.

use super::history::{archived, inquiry_of, traced_text};
use super::persons::{PersonKeys, opened};
use crate::audit::DecisionLeaf;
use crate::domain::ids::DecisionId;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::policy::{Evaluation, Input, Policy, judge};
use crate::store::Recorded;
use serde_json::Value;
use std::collections::HashMap;

/// What came out of one decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rechecked {
    /// The same verdict by the same rules.
    Same,
    /// Something else: what the record says, and what came out.
    Differs(String, String),
    /// People decided; no rule had a part in it.
    ByPeople,
    /// Personal facts that it stood on were erased: of these persons.
    Erased(Vec<String>),
    /// Personal facts that it stood on cannot be read here.
    Sealed,
    /// It cannot be decided again: its policy is not in the archive, or was changed there.
    NoPolicy(String),
    /// The record is none that this program wrote.
    Unreadable,
}

/// The archived policies that are at hand.
#[derive(Debug, Default)]
pub struct Recheck {
    policies: HashMap<String, Policy>,
}

impl Recheck {
    /// Takes in a policy of the archive.
    ///
    /// # Errors
    /// It is not what its hash says.
    pub fn add_policy(&mut self, hash: &str, body: &str) -> Result<(), String> {
        let policy = archived(hash, body).map_err(|_| "is not what its hash says, or does not load".to_owned())?;
        self.policies.insert(hash.to_owned(), policy);
        Ok(())
    }

    /// Decides again, with the ciphertexts that stand beside the leaf.
    #[must_use]
    pub fn decision(&self, leaf: DecisionLeaf<'_>, sealed: Value, persons: &PersonKeys) -> Rechecked {
        let traced = traced_text(leaf.trace);
        let Some(mut recorded) = recorded(leaf, sealed) else { return Rechecked::Unreadable };
        if recorded.decided_by != "policy" {
            return Rechecked::ByPeople;
        }
        let Some(policy) = self.policies.get(&recorded.policy_hash) else { return Rechecked::NoPolicy(recorded.policy_hash) };
        let (personal, erased) = opened(&recorded, persons);
        let facts = std::mem::take(&mut recorded.facts);
        let (inquiry, is_incomplete) = inquiry_of(recorded.kind, recorded.decided_at, facts, policy, &personal, traced);
        let input = Input { kind: inquiry.kind, facts: &inquiry.facts, counts: &inquiry.counts, now: inquiry.now };
        let evaluation = judge(policy, input);
        let said = |verdict: Verdict, rules: &[String]| format!("{verdict} by [{}]", rules.join(", "));
        let is_certain = is_certain(&evaluation);
        // What a rule made of facts that cannot be read here is no answer, even where it is the same.
        let is_undecided = is_incomplete && !evaluation.unknown.is_empty() && !is_certain;
        let is_same = evaluation.verdict == recorded.verdict && (is_incomplete || evaluation.rules == recorded.rules);
        match (is_undecided, is_same) {
            (true, _) if !erased.is_empty() => Rechecked::Erased(erased),
            (true, _) => Rechecked::Sealed,
            (false, true) => Rechecked::Same,
            (false, false) => {
                Rechecked::Differs(said(recorded.verdict, &recorded.rules), said(evaluation.verdict, &evaluation.rules))
            }
        }
    }
}

/// Whether it is rejected by a rule that holds, whatever the facts are that cannot be read: nothing counts more than that.
fn is_certain(evaluation: &Evaluation) -> bool {
    evaluation.verdict == Verdict::Reject && evaluation.rules.iter().any(|rule| !evaluation.unknown.contains(rule))
}

/// Nothing where it is none that this program wrote.
fn recorded(leaf: DecisionLeaf<'_>, facts_personal: Value) -> Option<Recorded> {
    Some(Recorded {
        id: DecisionId::parse(&leaf.id)?,
        decided_at: leaf.decided_at.parse().ok()?,
        kind: Kind::parse(&leaf.kind)?,
        verdict: Verdict::parse(&leaf.verdict)?,
        decided_by: leaf.decided_by.into_owned(),
        rules: serde_json::from_str(leaf.rules).ok()?,
        policy_hash: leaf.policy_hash.into_owned(),
        facts: leaf.facts,
        facts_personal,
        trace: String::new(),
        outcome: None,
    })
}
