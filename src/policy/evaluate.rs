//! The evaluator: policy and facts in, verdict and trace out.
//!
//! Every rule is evaluated; their order means nothing. reject > escalate > approve > default. What is unknown is never
//! approved, and a fact that is absent or unknown makes every comparison with it unknown.

use super::model::{Policy, Rule, RuleMode};
use super::question::{Condition, Question, View};
use super::trace::{RuleTrace, TraceNode, trace_condition, trace_exception, trace_limit};
use super::tree::Answer;
use super::truth::Truth;
use crate::domain::effect::Effect;
use crate::domain::fact::{FactSet, FactState};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which evaluator decided; it is written beside every decision and changes when the meaning of a policy does.
pub const EVALUATOR_VERSION: &str = "2";

/// What a policy is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Input<'i> {
    /// The kind of the operation.
    pub kind: Kind,
    /// What is known of it.
    pub facts: &'i FactSet,
    /// What the windows of limits saw, by their names. A window that is not here is undecided.
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
    /// The rules that could not be decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// The shadow rules that would have had something to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<String>,
    /// What is shown with an invitation link that is approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_info: Option<String>,
    /// What follows once the verdict took effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// Every rule on this kind and what became of it; empty from [`judge`].
    pub trace: Vec<RuleTrace>,
}

/// What became of a rule, before anybody asks why.
#[derive(Debug, Clone, Copy)]
struct Judged<'p> {
    rule: &'p Rule,
    result: Truth,
    says: Option<Verdict>,
}

/// Evaluates every rule on the operation's kind, and writes down what each of them saw.
#[must_use]
pub fn evaluate(policy: &Policy, input: Input<'_>) -> Evaluation {
    let view = view(policy, input);
    let mut evaluation = judge_in(policy, input, &view);
    let plan = policy.plan(input.kind);
    let rules = plan.enforced.iter().chain(&plan.shadow).filter_map(|index| policy.rule(*index));
    evaluation.trace =
        rules.filter(|rule| !has_ended(rule, input.now)).map(|rule| trace_rule(policy, rule, input, &view)).collect();
    evaluation
}

/// What [`evaluate`] says, without the trace: for whoever asks very often.
#[must_use]
pub fn judge(policy: &Policy, input: Input<'_>) -> Evaluation {
    judge_in(policy, input, &view(policy, input))
}

/// The facts of the operation by slot; only those that the kind's rules read.
fn view<'f>(policy: &'f Policy, input: Input<'f>) -> View<'f> {
    let mut states = vec![&FactState::Absent; policy.slots.len()];
    for slot in &policy.plan(input.kind).slots {
        let index = usize::try_from(*slot).unwrap_or(usize::MAX);
        if let (Some(state), Some(name)) = (states.get_mut(index), policy.slots.get(index)) {
            *state = input.facts.get(name);
        }
    }
    View { states, names: &policy.slots, now: input.now }
}

fn judge_in(policy: &Policy, input: Input<'_>, view: &View<'_>) -> Evaluation {
    let plan = policy.plan(input.kind);
    let on_unknown = policy.defaults.on_unknown;
    let judged = |index: &usize| {
        let rule = policy.rule(*index)?;
        let result = ask_rule(rule, input, view);
        Some(Judged { rule, result, says: says(rule, result, on_unknown) })
    };
    // What neither speaks nor is undecided has no part in what follows.
    let speaks = |judged: &Judged<'_>| judged.says.is_some() || judged.result == Truth::Unknown;
    let heard: Vec<_> = plan.enforced.iter().filter_map(judged).filter(speaks).collect();
    let winner = heard.iter().filter_map(|judged| judged.says).max();
    let deciding = || heard.iter().filter(|judged| winner.is_some() && judged.says == winner);
    let undecided = || heard.iter().filter(|judged| judged.result == Truth::Unknown);
    let (verdict, reason) = match (winner, undecided().next()) {
        (Some(verdict), _) => (verdict, join(deciding().map(|judged| reason_of(policy, judged, input, view)))),
        (None, Some(judged)) => (on_unknown, undecided_reason(policy, judged.rule, input, view)),
        (None, None) => (policy.defaults.verdict, format!("no rule matched; the default is {}", policy.defaults.verdict)),
    };
    // What cannot be decided is no ground to tell anybody anything, or to do anything to anybody.
    let matched = || deciding().filter(|judged| judged.result == Truth::True).map(|judged| judged.rule);
    let info = matched().filter(|_| input.kind == Kind::InvitationLinkCreation).find_map(|rule| rule.additional_info.as_ref());
    let id = |judged: &Judged<'_>| judged.rule.id.clone();
    let shadow = plan.shadow.iter().filter_map(judged).filter(|judged| !has_ended(judged.rule, input.now));
    Evaluation {
        verdict,
        rules: deciding().map(id).collect(),
        reason,
        message: matched().find_map(|rule| rule.message.as_ref()).map(|message| message.render(input.facts)),
        unknown: undecided().map(id).collect(),
        shadow: shadow.filter(|judged| judged.says.is_some()).map(|judged| judged.rule.id.clone()).collect(),
        additional_info: info.map(|info| info.render(input.facts)),
        effects: matched().flat_map(|rule| rule.then.iter().map(|then| then.effect(&rule.id, input.facts))).collect(),
        trace: Vec::new(),
    }
}

/// Whether a rule matches: its condition, none of its exceptions, and its limit.
fn ask_rule(rule: &Rule, input: Input<'_>, view: &View<'_>) -> Truth {
    let mut result = rule.when.as_ref().map_or(Truth::True, |condition| view.ask(condition).truth());
    for exception in &rule.except {
        if result != Truth::False && exception.expires > input.now {
            result = result.and(view.ask(&exception.when).truth().not());
        }
    }
    if let (Some(limit), true) = (&rule.limit, result != Truth::False) {
        let used_up = limit.windows.iter().fold(Truth::False, |truth, window| {
            truth.or(input.counts.get(&window.name).map_or(Truth::Unknown, |seen| Truth::of(*seen >= window.max)))
        });
        result = result.and(used_up);
    }
    result
}

const fn says(rule: &Rule, result: Truth, on_unknown: Verdict) -> Option<Verdict> {
    match (result, rule.effect) {
        (Truth::True, effect) => Some(effect),
        (Truth::Unknown, Verdict::Reject | Verdict::Escalate) => Some(on_unknown),
        (Truth::Unknown, Verdict::Approve) | (Truth::False, _) => None,
    }
}

/// A shadow after its end is no longer evaluated.
fn has_ended(rule: &Rule, now: Timestamp) -> bool {
    rule.mode == RuleMode::Shadow && rule.expires.is_some_and(|expires| expires <= now)
}

fn join(reasons: impl Iterator<Item = String>) -> String {
    let mut joined = String::new();
    for reason in reasons {
        if joined.is_empty() {
            joined = reason;
        } else {
            joined.push_str("; ");
            joined.push_str(&reason);
        }
    }
    joined
}

fn reason_of(policy: &Policy, judged: &Judged<'_>, input: Input<'_>, view: &View<'_>) -> String {
    match (judged.result, &judged.rule.reason) {
        (Truth::True, Some(reason)) => reason.render(input.facts),
        (Truth::True, None) => ["rule `", &judged.rule.id, "` matched"].concat(),
        _ => undecided_reason(policy, judged.rule, input, view),
    }
}

fn undecided_reason(policy: &Policy, rule: &Rule, input: Input<'_>, view: &View<'_>) -> String {
    let trace = trace_rule(policy, rule, input, view);
    let mut causes = Vec::new();
    trace.when.iter().for_each(|when| unanswered(when, &mut causes));
    let live = trace.except.iter().filter(|exception| !exception.expired);
    live.for_each(|exception| unanswered(&exception.when, &mut causes));
    if let Some(limit) = &trace.limit {
        let missing = rule
            .limit
            .iter()
            .flat_map(|limit| &limit.per)
            .filter(|name| limit.result == Truth::Unknown && !matches!(input.facts.get(name), FactState::Known(_, _)));
        causes.extend(missing.map(|name| format!("`{name}` is not known")));
        if causes.is_empty() && limit.result == Truth::Unknown {
            causes.push("what its limit has seen is not known".to_owned());
        }
    }
    causes.dedup();
    format!("rule `{}` cannot be decided: {}", rule.id, causes.join(", "))
}

/// Why parts of a condition could not be answered, of those that leave it open.
fn unanswered(node: &TraceNode, causes: &mut Vec<String>) {
    if node.result() != Truth::Unknown {
        return;
    }
    match node {
        TraceNode::All { parts, .. } | TraceNode::Any { parts, .. } => parts.iter().for_each(|part| unanswered(part, causes)),
        TraceNode::Not { part, .. } => unanswered(part, causes),
        TraceNode::Leaf(leaf) => causes.extend(leaf.why.clone()),
    }
}

fn trace_rule(policy: &Policy, rule: &Rule, input: Input<'_>, view: &View<'_>) -> RuleTrace {
    let result = ask_rule(rule, input, view);
    RuleTrace {
        rule: rule.id.clone(),
        effect: rule.effect,
        mode: rule.mode,
        result,
        says: says(rule, result, policy.defaults.on_unknown),
        when: rule.when.as_ref().map(|condition| trace_condition(condition, view)),
        except: rule.except.iter().map(|exception| trace_exception(exception, view)).collect(),
        limit: rule.limit.as_ref().map(|limit| trace_limit(limit, input.counts)),
    }
}

/// Whether there are facts that leave a rule undecided: if any do, then not to know a single one of them, inside or outside
/// of its hours.
pub(super) fn can_be_unknown(rule: &Rule) -> bool {
    [true, false].into_iter().any(|inside| {
        let ask = |condition: &Condition| {
            let answer = condition.ask(&mut |question| match question {
                Question::Time { within, .. } => Answer::of(*within == inside),
                Question::Fact(leaf) => Answer::Missing(leaf.slot),
            });
            answer.truth()
        };
        let when = rule.when.as_ref().map_or(Truth::True, ask);
        let lifted = rule.except.iter().fold(Truth::False, |lifted, exception| lifted.or(ask(&exception.when)));
        let limit = if rule.limit.is_some() { Truth::Unknown } else { Truth::True };
        when.and(lifted.not()).and(limit) == Truth::Unknown
    })
}
