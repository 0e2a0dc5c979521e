//! The evaluator: policy and facts in, verdict and trace out.
//!
//! Every rule is evaluated; their order means nothing. reject > escalate > approve > default. What is unknown is never
//! approved, and a fact that is absent or unknown makes every comparison with it unknown.

use super::model::{Comparison, Condition, Leaf, Operand, Policy, Rule, Set, Test};
use super::trace::{LeafTrace, LimitTrace, RuleTrace, TraceNode, show};
use super::truth::Truth;
use crate::domain::effect::Effect;
use crate::domain::fact::{FactName, FactSet, FactState, FactValue};
use crate::domain::fact_catalogue::is_personal;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Which evaluator decided; it is written beside every decision and changes when the meaning of a policy does.
pub const EVALUATOR_VERSION: &str = "1";

/// What a policy is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Input<'i> {
    /// The kind of the operation.
    pub kind: Kind,
    /// What is known of it.
    pub facts: &'i FactSet,
    /// What the limits saw, by rule. A limit that is not here is undecided.
    pub counts: &'i BTreeMap<String, u64>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What the policy says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The verdict.
    pub verdict: Verdict,
    /// The rules that decided: those of the winning effect that matched, by id.
    pub rules: Vec<String>,
    /// Why, for the auditor.
    pub reason: String,
    /// What to tell the end user.
    pub message: Option<String>,
    /// What is shown with an invitation link that is approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_info: Option<String>,
    /// What follows once the verdict took effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// Every rule and what became of it.
    pub trace: Vec<RuleTrace>,
}

/// Evaluates every rule on the operation's kind.
#[must_use]
pub fn evaluate(policy: &Policy, input: Input<'_>) -> Evaluation {
    let judged: Vec<(&Rule, RuleTrace)> =
        policy.rules_on(input.kind).map(|rule| (rule, judge(rule, input, policy.defaults.on_unknown))).collect();
    let says = |verdict| judged.iter().any(|(_, trace)| trace.says == Some(verdict));
    let winner = [Verdict::Reject, Verdict::Escalate, Verdict::Approve].into_iter().find(|verdict| says(*verdict));
    let deciding = || judged.iter().filter(|(_, trace)| winner.is_some() && trace.says == winner);
    let undecided = judged.iter().find(|(rule, trace)| rule.effect == Verdict::Approve && trace.result == Truth::Unknown);
    let (verdict, reason) = match (winner, undecided) {
        (Some(verdict), _) => {
            let reasons: Vec<_> = deciding().map(|(rule, trace)| reason_of(rule, trace, input.facts)).collect();
            (verdict, reasons.join("; "))
        }
        (None, Some((_, trace))) => (policy.defaults.on_unknown, undecided_reason(trace)),
        (None, None) => (policy.defaults.verdict, format!("no rule matched; the default is {}", policy.defaults.verdict)),
    };
    // What cannot be decided is no ground to tell anybody anything, or to do anything to anybody.
    let matched = || deciding().filter(|(_, trace)| trace.result == Truth::True).map(|(rule, _)| rule);
    let message = matched().find_map(|rule| rule.message.as_ref()).map(|message| message.render(input.facts));
    let info = matched().filter(|_| input.kind == Kind::InvitationLinkCreation).find_map(|rule| rule.additional_info.as_ref());
    let additional_info = info.map(|info| info.render(input.facts));
    let effects = matched().flat_map(|rule| rule.then.iter().map(|then| then.effect(&rule.id, input.facts))).collect();
    let rules = deciding().map(|(rule, _)| rule.id.clone()).collect();
    let trace = judged.into_iter().map(|(_, trace)| trace).collect();
    Evaluation { verdict, rules, reason, message, additional_info, effects, trace }
}

fn judge(rule: &Rule, input: Input<'_>, on_unknown: Verdict) -> RuleTrace {
    let when = rule.when.as_ref().map(|condition| ask(condition, input.facts));
    let limit = rule.limit.as_ref().map(|limit| {
        let seen = input.counts.get(&rule.id).copied();
        let result = seen.map_or(Truth::Unknown, |seen| Truth::of(seen >= limit.max));
        LimitTrace { count: limit.count.to_string(), per: limit.per.to_string(), seen, max: limit.max, result }
    });
    let result =
        when.as_ref().map_or(Truth::True, TraceNode::result).and(limit.as_ref().map_or(Truth::True, |limit| limit.result));
    let says = match (result, rule.effect) {
        (Truth::True, effect) => Some(effect),
        (Truth::Unknown, Verdict::Reject | Verdict::Escalate) => Some(on_unknown),
        (Truth::Unknown, Verdict::Approve) | (Truth::False, _) => None,
    };
    RuleTrace { rule: rule.id.clone(), effect: rule.effect, result, says, when, limit }
}

fn reason_of(rule: &Rule, trace: &RuleTrace, facts: &FactSet) -> String {
    match (trace.result, &rule.reason) {
        (Truth::True, Some(reason)) => reason.render(facts),
        (Truth::True, None) => format!("rule `{}` matched", rule.id),
        _ => undecided_reason(trace),
    }
}

fn undecided_reason(trace: &RuleTrace) -> String {
    let mut leaves = Vec::new();
    trace.when.iter().for_each(|when| when.unanswered(&mut leaves));
    let mut causes: Vec<String> = leaves.iter().filter_map(|leaf| leaf.why.clone()).collect();
    causes.extend(trace.limit.iter().filter(|limit| limit.seen.is_none()).map(|limit| format!("`{}` is not known", limit.per)));
    causes.dedup();
    format!("rule `{}` cannot be decided: {}", trace.rule, causes.join(", "))
}

fn ask(condition: &Condition, facts: &FactSet) -> TraceNode {
    match condition {
        Condition::All(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| ask(part, facts)).collect();
            TraceNode::All { result: parts.iter().fold(Truth::True, |truth, part| truth.and(part.result())), parts }
        }
        Condition::Any(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| ask(part, facts)).collect();
            TraceNode::Any { result: parts.iter().fold(Truth::False, |truth, part| truth.or(part.result())), parts }
        }
        Condition::Not(part) => {
            let part = ask(part, facts);
            TraceNode::Not { result: part.result().not(), part: Box::new(part) }
        }
        Condition::Leaf(leaf) => TraceNode::Leaf(ask_leaf(leaf, facts)),
    }
}

fn ask_leaf(leaf: &Leaf, facts: &FactSet) -> LeafTrace {
    let state = facts.get(&leaf.fact);
    let (op, expected) = describe(&leaf.test, is_personal(&leaf.fact));
    let (result, why) = match (&leaf.test, state) {
        (Test::Exists(wanted), FactState::Known(_, _)) => (Truth::of(*wanted), None),
        (Test::Exists(wanted), FactState::Absent) => (Truth::of(!*wanted), None),
        (test, FactState::Known(value, _)) => compare(test, value, facts, &leaf.fact),
        (_, state) => (Truth::Unknown, Some(why_not(&leaf.fact, state))),
    };
    LeafTrace { fact: leaf.fact.to_string(), op, expected, value: show(state, is_personal(&leaf.fact)), result, why }
}

fn why_not(name: &FactName, state: &FactState) -> String {
    match state {
        FactState::Unknown(cause) => format!("`{name}` is unknown ({cause})"),
        FactState::Absent | FactState::Known(_, _) => format!("`{name}` is absent"),
    }
}

/// The answer for a known value; a value of another type than the question is unknown, never false.
fn compare(test: &Test, value: &FactValue, facts: &FactSet, name: &FactName) -> (Truth, Option<String>) {
    let answer = match (test, value) {
        (Test::Compare(comparison, Operand::Value(other)), _) => compare_values(*comparison, value, other),
        (Test::Compare(comparison, Operand::Fact(other)), _) => match facts.get(other) {
            FactState::Known(other, _) => compare_values(*comparison, value, other),
            state => return (Truth::Unknown, Some(why_not(other, state))),
        },
        (Test::Member { set: Set::Fact(other), negated }, FactValue::Text(text)) => match facts.get(other) {
            FactState::Known(FactValue::List(members), _) => Some(members.contains(text) != *negated),
            state => return (Truth::Unknown, Some(why_not(other, state))),
        },
        (Test::Member { set: Set::Texts(set), negated }, FactValue::Text(text)) => Some(set.contains(text) != *negated),
        (Test::Member { set: Set::Ints(set), negated }, FactValue::Int(number)) => Some(set.contains(number) != *negated),
        (Test::Member { set: Set::Domains(set), negated }, FactValue::Domain(domain)) => Some(set.contains(domain) != *negated),
        (Test::Contains(word), FactValue::List(items)) => Some(items.contains(word)),
        (Test::Contains(word), FactValue::Text(text)) => Some(text.contains(word.as_str())),
        (Test::ContainsAny(set), FactValue::List(items)) => Some(items.iter().any(|item| set.contains(item))),
        (Test::ContainsAll(words), FactValue::List(items)) => Some(words.iter().all(|word| items.contains(word))),
        (Test::StartsWith(word), FactValue::Text(text)) => Some(text.starts_with(word.as_str())),
        (Test::EndsWith(word), FactValue::Text(text)) => Some(text.ends_with(word.as_str())),
        _ => None,
    };
    match answer {
        Some(holds) => (Truth::of(holds), None),
        None => (Truth::Unknown, Some(format!("`{name}` has a value of another type"))),
    }
}

fn compare_values(comparison: Comparison, left: &FactValue, right: &FactValue) -> Option<bool> {
    let order = match (left, right) {
        (FactValue::Int(left), FactValue::Int(right)) => left.cmp(right),
        (FactValue::Text(left), FactValue::Text(right)) => left.cmp(right),
        (FactValue::Bool(left), FactValue::Bool(right)) => left.cmp(right),
        (FactValue::Domain(left), FactValue::Domain(right)) => left.cmp(right),
        _ => return None,
    };
    let ordered = matches!(left, FactValue::Int(_));
    match comparison {
        Comparison::Eq => Some(order.is_eq()),
        Comparison::Ne => Some(order.is_ne()),
        Comparison::Gt => ordered.then_some(order.is_gt()),
        Comparison::Gte => ordered.then_some(order.is_ge()),
        Comparison::Lt => ordered.then_some(order.is_lt()),
        Comparison::Lte => ordered.then_some(order.is_le()),
    }
}

/// The operator and what it compares with, for the trace.
fn describe(test: &Test, personal: bool) -> (&'static str, Value) {
    let (op, expected) = match test {
        Test::Compare(comparison, operand) => {
            let op = match comparison {
                Comparison::Eq => "eq",
                Comparison::Ne => "ne",
                Comparison::Gt => "gt",
                Comparison::Gte => "gte",
                Comparison::Lt => "lt",
                Comparison::Lte => "lte",
            };
            match operand {
                Operand::Value(value) => (op, json!(value)),
                Operand::Fact(name) => return (op, json!({ "fact": name })),
            }
        }
        Test::Member { set, negated } => {
            let op = if *negated { "not_in" } else { "in" };
            match set {
                Set::Texts(set) => (op, json!(set.label)),
                Set::Domains(set) => (op, json!(set.label)),
                Set::Ints(set) => (op, json!(set)),
                Set::Fact(name) => return (op, json!({ "fact": name })),
            }
        }
        Test::Contains(word) => ("contains", json!(word)),
        Test::ContainsAny(set) => ("contains_any", json!(set.label)),
        Test::ContainsAll(words) => ("contains_all", json!(words)),
        Test::StartsWith(word) => ("starts_with", json!(word)),
        Test::EndsWith(word) => ("ends_with", json!(word)),
        Test::Exists(wanted) => return ("exists", json!(wanted)),
    };
    // What a personal fact was compared with can give its value away.
    if personal { (op, json!("(personal)")) } else { (op, expected) }
}
