//! The trace of a decision: every rule, what each of its leaves saw, and what came of it.
//!
//! It is kept in plain text for ever, so it never shows the value of a personal fact.

use super::truth::Truth;
use crate::domain::fact::FactState;
use crate::domain::verdict::Verdict;
use serde::Serialize;
use serde_json::{Value, json};

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleTrace {
    /// The rule.
    pub rule: String,
    /// What it says when it matches.
    pub effect: Verdict,
    /// Whether it matched.
    pub result: Truth,
    /// What it added to the decision: its effect, `on_unknown`, or nothing.
    pub says: Option<Verdict>,
    /// Its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<TraceNode>,
    /// Its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitTrace>,
}

/// What became of one part of a condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceNode {
    /// All parts must hold.
    All {
        /// Whether they do.
        result: Truth,
        /// The parts.
        parts: Vec<TraceNode>,
    },
    /// One part must hold.
    Any {
        /// Whether one does.
        result: Truth,
        /// The parts.
        parts: Vec<TraceNode>,
    },
    /// The part must not hold.
    Not {
        /// Whether it does not.
        result: Truth,
        /// The part.
        part: Box<TraceNode>,
    },
    /// A question about a fact.
    Leaf(LeafTrace),
}

impl TraceNode {
    /// What it came to.
    #[must_use]
    pub const fn result(&self) -> Truth {
        match self {
            TraceNode::All { result, .. } | TraceNode::Any { result, .. } | TraceNode::Not { result, .. } => *result,
            TraceNode::Leaf(leaf) => leaf.result,
        }
    }

    /// The leaves that could not be answered.
    pub(super) fn unanswered<'t>(&'t self, found: &mut Vec<&'t LeafTrace>) {
        match self {
            TraceNode::All { parts, .. } | TraceNode::Any { parts, .. } => parts.iter().for_each(|part| part.unanswered(found)),
            TraceNode::Not { part, .. } => part.unanswered(found),
            TraceNode::Leaf(leaf) if leaf.result == Truth::Unknown => found.push(leaf),
            TraceNode::Leaf(_) => {}
        }
    }
}

/// One question about one fact, and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeafTrace {
    /// The fact.
    pub fact: String,
    /// The operator.
    pub op: &'static str,
    /// What it was compared with.
    pub expected: Value,
    /// What the fact was: `{"known": value}`, `"absent"` or `{"unknown": cause}`; `"(personal)"` for personal values.
    pub value: Value,
    /// The answer.
    pub result: Truth,
    /// Why it could not be answered: the fact and what it was, where that is not `value` itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a limit saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitTrace {
    /// The kind that is counted.
    pub count: String,
    /// The fact by which it is counted.
    pub per: String,
    /// How many there were; nothing where the fact was not known.
    pub seen: Option<u64>,
    /// How many are allowed.
    pub max: u64,
    /// Whether they are used up.
    pub result: Truth,
}

/// What is known of a fact, for the trace.
pub(super) fn show(state: &FactState, personal: bool) -> Value {
    match state {
        FactState::Known(_, _) if personal => json!({"known": "(personal)"}),
        FactState::Known(value, source) => json!({"known": value, "source": source}),
        FactState::Absent => json!("absent"),
        FactState::Unknown(cause) => json!({"unknown": cause}),
    }
}
