//! The trace of a decision: every rule, what each of its leaves saw, and what came of it.
//!
//! It is kept in plain text for ever, so it never shows the value of a personal fact. Every answer in it is the
//! evaluator's own: the trace only writes it down. Members stand in the order of their names, so that what is written is in canonical
//! form (RFC 8785) as it stands, and nobody who seals or verifies it has to put it in order.

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
    /// What it says when it matches.
    pub effect: Verdict,
    /// Its exceptions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<ExceptionTrace>,
    /// Its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitTrace>,
    /// Whether it counts.
    pub mode: RuleMode,
    /// Whether it matched.
    pub result: Truth,
    /// The rule.
    pub rule: String,
    /// What it added to the decision: its effect, `on_unknown`, or nothing. For a shadow, what it would have added.
    pub says: Option<Verdict>,
    /// Its condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<TraceNode>,
}

/// What became of one exception.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExceptionTrace {
    /// Whether it has expired: then it is not asked.
    pub expired: bool,
    /// Until when it applies.
    pub expires: Timestamp,
    /// Who answers for it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// Whether it holds.
    pub result: Truth,
    /// Where it was agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Its condition.
    pub when: TraceNode,
}

/// What became of one part of a condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceNode {
    /// All parts must hold.
    All {
        /// The parts.
        parts: Vec<TraceNode>,
        /// Whether they do.
        result: Truth,
    },
    /// One part must hold.
    Any {
        /// The parts.
        parts: Vec<TraceNode>,
        /// Whether one does.
        result: Truth,
    },
    /// The part must not hold.
    Not {
        /// The part.
        part: Box<TraceNode>,
        /// Whether it does not.
        result: Truth,
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
    /// What it was compared with.
    pub expected: Value,
    /// The fact; `time` where the question is about the time of the decision.
    pub fact: String,
    /// The operator.
    pub op: &'static str,
    /// The answer.
    pub result: Truth,
    /// What the fact was: `{"known": value, "source": source}`, `"absent"` or `{"unknown": cause}`; `"(personal)"` for
    /// personal values.
    pub value: Value,
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
    /// Whether one of them is used up.
    pub result: Truth,
    /// Its windows.
    pub windows: Vec<WindowTrace>,
}

/// What one window of a limit saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowTrace {
    /// How many are allowed.
    pub max: u64,
    /// Whether they are used up.
    pub result: Truth,
    /// How many there were; nothing where a fact was not known.
    pub seen: Option<u64>,
    /// Its length.
    pub within: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_trace_is_written_in_the_order_of_its_names() {
        let leaf = || {
            let why = Some("`time` is absent".to_owned());
            let (fact, value) = ("time".to_owned(), json!({ "known": 1, "source": "record" }));
            TraceNode::Leaf(LeafTrace { expected: json!(1), fact, op: "within", result: Truth::Unknown, value, why })
        };
        let when = || TraceNode::Any {
            parts: vec![
                TraceNode::All { parts: vec![leaf()], result: Truth::Unknown },
                TraceNode::Not { part: Box::new(leaf()), result: Truth::Unknown },
            ],
            result: Truth::Unknown,
        };
        let trace = RuleTrace {
            effect: Verdict::Reject,
            except: vec![ExceptionTrace {
                expired: false,
                expires: Timestamp::MAX,
                owner: "ann".to_owned(),
                reason: "moving".to_owned(),
                result: Truth::False,
                ticket: Some("T-1".to_owned()),
                when: when(),
            }],
            limit: Some(LimitTrace {
                count: "share".to_owned(),
                per: "actor.id".to_owned(),
                result: Truth::False,
                windows: vec![WindowTrace { max: 3, result: Truth::False, seen: Some(1), within: "1h".to_owned() }],
            }),
            mode: RuleMode::Enforce,
            result: Truth::Unknown,
            rule: "one".to_owned(),
            says: Some(Verdict::Escalate),
            when: Some(when()),
        };
        let written = serde_json::to_string(&trace).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(&written).unwrap().to_string());
    }
}
