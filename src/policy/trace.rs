//! The trace of a decision: every rule, what each of its leaves saw, and what came of it.
//!
//! It is kept in plain text for ever, so it never shows the value of a personal fact. Every answer in it is the
//! evaluator's own: the trace only writes it down.

use super::limit::Limit;
use super::model::{Exception, RuleMode};
use super::question::{Condition, Leaf, Operand, Question, Set, Test, View, Word, Words};
use super::tree::{Answer, Tree};
use super::truth::Truth;
use crate::domain::duration::format_duration;
use crate::domain::fact::{FactName, FactState};
use crate::domain::verdict::Verdict;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleTrace {
    /// The rule.
    pub rule: String,
    /// What it says when it matches.
    pub effect: Verdict,
    /// Whether it counts.
    pub mode: RuleMode,
    /// Whether it matched.
    pub result: Truth,
    /// What it added to the decision: its effect, `on_unknown`, or nothing. For a shadow, what it would have added.
    pub says: Option<Verdict>,
    /// Its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<TraceNode>,
    /// Its exceptions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<ExceptionTrace>,
    /// Its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitTrace>,
}

/// What became of one exception.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExceptionTrace {
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// Where it was agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Until when it applies.
    pub expires: Timestamp,
    /// Whether it has expired: then it is not asked.
    pub expired: bool,
    /// Whether it holds.
    pub result: Truth,
    /// Its condition.
    pub when: TraceNode,
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
}

/// One question about one fact, and its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeafTrace {
    /// The fact; `time` where the question is about the time of the decision.
    pub fact: String,
    /// The operator.
    pub op: &'static str,
    /// What it was compared with.
    pub expected: Value,
    /// What the fact was: `{"known": value, "source": source}`, `"absent"` or `{"unknown": cause}`; `"(personal)"` for
    /// personal values.
    pub value: Value,
    /// The answer.
    pub result: Truth,
    /// Why it could not be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a limit saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitTrace {
    /// The kind that is counted.
    pub count: String,
    /// The facts by which it is counted.
    pub per: String,
    /// Its windows.
    pub windows: Vec<WindowTrace>,
    /// Whether one of them is used up.
    pub result: Truth,
}

/// What one window of a limit saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowTrace {
    /// Its length.
    pub within: String,
    /// How many there were; nothing where a fact was not known.
    pub seen: Option<u64>,
    /// How many are allowed.
    pub max: u64,
    /// Whether they are used up.
    pub result: Truth,
}

pub(super) fn trace_condition(condition: &Condition, view: &View<'_>) -> TraceNode {
    let result = view.ask(condition).truth();
    let parts = |parts: &[Condition]| parts.iter().map(|part| trace_condition(part, view)).collect();
    match condition {
        Tree::All(all) => TraceNode::All { result, parts: parts(all) },
        Tree::Any(any) => TraceNode::Any { result, parts: parts(any) },
        Tree::Not(part) => TraceNode::Not { result, part: Box::new(trace_condition(part, view)) },
        Tree::Leaf(question) => TraceNode::Leaf(trace_question(question, view)),
    }
}

fn trace_question(question: &Question, view: &View<'_>) -> LeafTrace {
    let answer = view.answer(question);
    match question {
        Question::Time { calendar, within } => LeafTrace {
            fact: "time".to_owned(),
            op: if *within { "within" } else { "outside" },
            expected: json!(calendar.name),
            value: json!({ "known": calendar.local_time(view.now) }),
            result: answer.truth(),
            why: None,
        },
        Question::Fact(leaf) => {
            let (op, expected) = describe(&leaf.test);
            // What a personal fact was compared with can give its value away.
            let expected = if leaf.is_personal && op != "exists" { json!("(personal)") } else { expected };
            let value = show(view.state(leaf.slot), leaf.is_personal);
            LeafTrace { fact: leaf.fact.to_string(), op, expected, value, result: answer.truth(), why: why(answer, leaf, view) }
        }
    }
}

pub(super) fn trace_exception(exception: &Exception, view: &View<'_>) -> ExceptionTrace {
    ExceptionTrace {
        owner: exception.owner.clone(),
        reason: exception.reason.clone(),
        ticket: exception.ticket.clone(),
        expires: exception.expires,
        expired: exception.expires <= view.now,
        result: view.ask(&exception.when).truth(),
        when: trace_condition(&exception.when, view),
    }
}

pub(super) fn trace_limit(limit: &Limit, counts: &BTreeMap<String, u64>) -> LimitTrace {
    let windows: Vec<_> = limit
        .windows
        .iter()
        .map(|window| {
            let seen = counts.get(&window.name).copied();
            let result = seen.map_or(Truth::Unknown, |seen| Truth::of(seen >= window.max));
            WindowTrace { within: format_duration(window.within), seen, max: window.max, result }
        })
        .collect();
    let result = windows.iter().fold(Truth::False, |truth, window| truth.or(window.result));
    LimitTrace { count: limit.count.to_string(), per: limit.per(), windows, result }
}

/// What stood in the way of an answer.
fn why(answer: Answer, leaf: &Leaf, view: &View<'_>) -> Option<String> {
    let name = |slot| view.names.get(usize::try_from(slot).unwrap_or(usize::MAX)).unwrap_or(&leaf.fact);
    match answer {
        Answer::Yes | Answer::No => None,
        Answer::OtherType(slot) => Some(format!("`{}` has a value of another type", name(slot))),
        Answer::Empty(slot) => Some(format!("`{}` is empty", name(slot))),
        Answer::Missing(slot) => Some(match view.state(slot) {
            FactState::Unknown(cause) => format!("`{}` is unknown ({cause})", name(slot)),
            FactState::Absent | FactState::Known(_, _) => format!("`{}` is absent", name(slot)),
        }),
    }
}

/// The operator and what it compares with.
fn describe(test: &Test) -> (&'static str, Value) {
    let fact = |name: &FactName| json!({ "fact": name });
    let words = |words: &Words| match words {
        Words::Texts(set) => json!(set.label),
        Words::Fact(reference) => fact(&reference.fact),
    };
    match test {
        Test::Compare(comparison, operand) => {
            let expected = match operand {
                Operand::Value(value) => json!(value),
                Operand::Bytes(bytes) => json!(bytes),
                Operand::Fact(reference) => fact(&reference.fact),
            };
            (comparison.as_str(), expected)
        }
        Test::Member { set, negated } => {
            let expected = match set {
                Set::Texts(set) => json!(set.label),
                Set::Domains(set) => json!(set.label),
                Set::Ints(set) => json!(set),
                Set::Fact(reference) => fact(&reference.fact),
            };
            (if *negated { "not_in" } else { "in" }, expected)
        }
        Test::Contains(Word::Text(word)) => ("contains", json!(word)),
        Test::Contains(Word::Fact(reference)) => ("contains", fact(&reference.fact)),
        Test::ContainsAny(set) => ("contains_any", words(set)),
        Test::ContainsAll(set) => ("contains_all", words(set)),
        Test::StartsWith(word) => ("starts_with", json!(word)),
        Test::EndsWith(word) => ("ends_with", json!(word)),
        Test::Matches(pattern) => ("matches", json!(pattern.as_str())),
        Test::Size(comparison, than) => ("size", one(comparison.as_str(), json!(than))),
        Test::Each(quantifier, elements) => (quantifier.as_str(), describe_elements(elements)),
        Test::Exists(wanted) => ("exists", json!(wanted)),
    }
}

fn describe_elements(elements: &Tree<Test>) -> Value {
    let parts = |parts: &[Tree<Test>]| parts.iter().map(describe_elements).collect::<Vec<_>>();
    match elements {
        Tree::All(all) => one("all", json!(parts(all))),
        Tree::Any(any) => one("any", json!(parts(any))),
        Tree::Not(part) => one("not", describe_elements(part)),
        Tree::Leaf(test) => {
            let (op, expected) = describe(test);
            one(op, expected)
        }
    }
}

fn one(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

/// What is known of a fact.
fn show(state: &FactState, personal: bool) -> Value {
    match state {
        FactState::Known(_, source) if personal => json!({ "known": "(personal)", "source": source }),
        FactState::Known(value, source) => json!({ "known": value, "source": source }),
        FactState::Absent => json!("absent"),
        FactState::Unknown(cause) => json!({ "unknown": cause }),
    }
}
