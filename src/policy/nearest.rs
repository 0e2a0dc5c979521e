//! What would have changed a verdict: the nearest single fact, or the nearest single count.
//!
//! It tries the values at which the policy's own questions turn, one at a time, and asks the evaluator. So what it names is
//! true, though there may be facts further away that it does not try.

use super::evaluate::{Evaluation, Input, judge};
use super::inquiry::Inquiry;
use super::limit::Window;
use super::model::{Policy, references};
use super::question::{Operand, Question, Set, Test, Word, Words};
use super::tree::Tree;
use crate::domain::domain_name::DomainName;
use crate::domain::fact::{FactName, FactState, FactValue, Source};
use crate::domain::fact_catalogue::{FactType, find, is_personal};
use crate::domain::verdict::Verdict;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

/// One change that leads to another verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The fact, or the window of a limit.
    pub what: String,
    /// What it was.
    pub from: String,
    /// What it would have to be.
    pub to: String,
    /// What the policy would say then.
    pub verdict: Verdict,
    /// By which rules.
    pub rules: Vec<String>,
    /// How far away it is; only to compare.
    #[serde(skip)]
    distance: f64,
}

/// The nearest change for every other verdict that a single one leads to, the nearest first.
#[must_use]
pub fn nearest_changes(policy: &Policy, inquiry: &Inquiry) -> Vec<Change> {
    let counts = inquiry.counts_for(policy);
    let ask = |inquiry: &Inquiry, counts: &BTreeMap<String, u64>| {
        judge(policy, Input { kind: inquiry.kind, facts: &inquiry.facts, counts, now: inquiry.now })
    };
    let before = ask(inquiry, &counts).verdict;
    let keys = |inquiry: &Inquiry| -> BTreeMap<_, _> {
        policy.limit_queries(inquiry.kind, &inquiry.facts).into_iter().map(|query| (query.window, query.key)).collect()
    };
    let keys_before = keys(inquiry);
    // A count belongs to the facts it was taken by; with others nothing was seen.
    let counted = |other: &Inquiry| {
        let mut counts = other.counts_for(policy);
        for (window, key) in keys(other) {
            if keys_before.get(&window).is_some_and(|before| *before != key) {
                counts.insert(window, 0);
            }
        }
        counts
    };
    let mut nearest: BTreeMap<Verdict, Change> = BTreeMap::new();
    let mut note = |what: String, from: String, to: String, distance: f64, seen: Evaluation| {
        let verdict = seen.verdict;
        if verdict != before && nearest.get(&verdict).is_none_or(|other| distance < other.distance) {
            nearest.insert(verdict, Change { what, from, to, verdict, rules: seen.rules, distance });
        }
    };
    for (name, values) in candidates(policy, inquiry) {
        let now = inquiry.facts.get(&name).clone();
        for Candidate { value, is_of_rule, is_of_person } in values {
            let distance = distance(&now, &value);
            let mut other = inquiry.clone();
            other.facts.put(name.clone(), FactState::Known(value.clone(), Source::Stated));
            let seen = ask(&other, &counted(&other));
            // Another personal value is shown only where the rule itself says it.
            let is_hidden = is_of_person || is_personal(&name) && !is_of_rule;
            let to = if is_hidden { "(another value)".to_owned() } else { display(&value) };
            note(name.to_string(), show(&name, &now), to, distance, seen);
        }
        let mut other = inquiry.clone();
        other.facts.forget(&name);
        if !matches!(now, FactState::Absent) {
            note(name.to_string(), show(&name, &now), "absent".to_owned(), 6.0, ask(&other, &counted(&other)));
        }
    }
    for (window, seen) in &counts {
        let Some(max) = window_of(policy, window).map(|window| window.max) else { continue };
        for count in [max, max.saturating_sub(1)] {
            let mut other = counts.clone();
            other.insert(window.clone(), count);
            let far = 1.0 + to_float(count.abs_diff(*seen)).ln_1p();
            note(format!("the count of {window}"), seen.to_string(), count.to_string(), far, ask(inquiry, &other));
        }
    }
    let mut changes: Vec<_> = nearest.into_values().collect();
    changes.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    changes
}

fn window_of<'p>(policy: &'p Policy, name: &str) -> Option<&'p Window> {
    let limits = policy.rules.iter().filter_map(|rule| rule.limit.as_ref());
    limits.flat_map(|limit| &limit.windows).find(|window| window.name == name)
}

#[expect(clippy::cast_precision_loss, reason = "only to compare distances")]
const fn to_float(number: u64) -> f64 {
    number as f64
}

fn display(value: &FactValue) -> String {
    match value {
        FactValue::List(items) => format!("[{}]", items.join(", ")),
        FactValue::Text(text) if text.is_empty() => "an empty text".to_owned(),
        other => other.display().into_owned(),
    }
}

fn show(name: &FactName, state: &FactState) -> String {
    match state {
        FactState::Known(_, _) if is_personal(name) => "(personal)".to_owned(),
        FactState::Known(value, _) => display(value),
        FactState::Absent => "absent".to_owned(),
        FactState::Unknown(cause) => format!("unknown ({cause})"),
    }
}

/// A truth value turns over, a number moves, a text is another one: the further, the less it is what was meant.
fn distance(from: &FactState, to: &FactValue) -> f64 {
    let FactState::Known(from, _) = from else { return 3.0 };
    match (from, to) {
        (FactValue::Bool(_), FactValue::Bool(_)) => 1.0,
        (FactValue::Int(a), FactValue::Int(b)) => 1.0 + to_float(a.abs_diff(*b)).ln_1p(),
        (FactValue::Duration(a), FactValue::Duration(b)) => 1.5 + a.abs_diff(*b).as_secs_f64().ln_1p() / 10.0,
        (FactValue::Time(a), FactValue::Time(b)) => 1.5 + a.duration_since(*b).abs().as_secs_f64().ln_1p() / 10.0,
        (FactValue::List(a), FactValue::List(b)) => 2.0 + to_float(a.len().abs_diff(b.len()) as u64),
        (FactValue::Text(a), FactValue::Text(b)) if a == b => 9.0,
        _ => 2.5,
    }
}

/// A value to try.
#[derive(Debug, Clone, PartialEq)]
struct Candidate {
    value: FactValue,
    /// Whether it stands in a rule; else it was made of what the operation has.
    is_of_rule: bool,
    /// Whether it is what a personal fact holds.
    is_of_person: bool,
}

impl Candidate {
    const fn of_rule(value: FactValue) -> Self {
        Self { value, is_of_rule: true, is_of_person: false }
    }

    const fn of_operation(value: FactValue) -> Self {
        Self { value, is_of_rule: false, is_of_person: false }
    }

    /// Made of what another fact holds.
    fn of_fact(fact: &FactName, value: FactValue) -> Self {
        Self { is_of_person: is_personal(fact), ..Self::of_operation(value) }
    }
}

/// Whether a fact could have the value at all.
fn fits(name: &FactName, now: &FactState, value: &FactValue) -> bool {
    let is_of = |fact_type| match (fact_type, value) {
        (FactType::Int, FactValue::Int(number)) => *number >= 0,
        (FactType::Bool, FactValue::Bool(_))
        | (FactType::Text, FactValue::Text(_))
        | (FactType::Domain, FactValue::Domain(_))
        | (FactType::List, FactValue::List(_))
        | (FactType::Time, FactValue::Time(_))
        | (FactType::Duration, FactValue::Duration(_)) => true,
        // What the web app chose stays of the type that it has.
        (FactType::Scalar, value) => match now {
            FactState::Known(now, _) => std::mem::discriminant(now) == std::mem::discriminant(value),
            FactState::Absent | FactState::Unknown(_) => true,
        },
        _ => false,
    };
    find(name.as_str()).is_some_and(|spec| is_of(spec.fact_type))
}

/// For every fact that the rules of the kind ask about, the values at which an answer can turn.
fn candidates(policy: &Policy, inquiry: &Inquiry) -> Vec<(FactName, Vec<Candidate>)> {
    let mut found: BTreeMap<FactName, Vec<Candidate>> = BTreeMap::new();
    for index in &policy.plan(inquiry.kind).enforced {
        for condition in policy.rule(*index).into_iter().flat_map(super::model::Rule::conditions) {
            references(condition, &mut |_, fact| {
                found.entry(fact.clone()).or_default();
            });
            condition.leaves(&mut |question| {
                let Question::Fact(leaf) = question else { return };
                let state = inquiry.facts.get(&leaf.fact);
                let values = found.entry(leaf.fact.clone()).or_default();
                turning_points(&leaf.test, state, inquiry, values);
            });
        }
    }
    // What the operation is cannot be otherwise.
    let fixed: BTreeSet<&str> = BTreeSet::from(["operation.kind", "operation.id"]);
    found.retain(|name, _| !fixed.contains(name.as_str()));
    for (name, values) in &mut found {
        values.extend(others(name).into_iter().map(Candidate::of_rule));
        let now = inquiry.facts.get(name);
        let mut seen = HashSet::new();
        values.retain(|candidate| fits(name, now, &candidate.value) && seen.insert(candidate.value.display().into_owned()));
    }
    found.into_iter().collect()
}

/// Values that no question names: for whatever asks that something is not so.
fn others(name: &FactName) -> Vec<FactValue> {
    match find(name.as_str()).map(|spec| spec.fact_type) {
        Some(FactType::Bool) => vec![FactValue::Bool(true), FactValue::Bool(false)],
        Some(FactType::Text | FactType::Scalar) => vec![FactValue::Text("another".to_owned())],
        Some(FactType::Domain) => DomainName::parse("another.example").map(FactValue::Domain).into_iter().collect(),
        Some(FactType::List) => vec![FactValue::List(Vec::new())],
        _ => Vec::new(),
    }
}

fn turning_points(test: &Test, state: &FactState, inquiry: &Inquiry, values: &mut Vec<Candidate>) {
    let list: &[String] = match state {
        FactState::Known(FactValue::List(items), _) => items,
        _ => &[],
    };
    let with = |word: &str| {
        let more = FactValue::List(list.iter().cloned().chain([word.to_owned()]).collect());
        if list.is_empty() { Candidate::of_rule(more) } else { Candidate::of_operation(more) }
    };
    let without = |is_out: &dyn Fn(&str) -> bool| {
        Candidate::of_operation(FactValue::List(list.iter().filter(|item| !is_out(item)).cloned().collect()))
    };
    let text = |word: &str| Candidate::of_rule(FactValue::Text(word.to_owned()));
    let near = |value: &FactValue| around(value).into_iter().map(Candidate::of_rule).collect::<Vec<_>>();
    match test {
        Test::Compare(_, Operand::Value(value)) => values.extend(near(value)),
        Test::Compare(_, Operand::Bytes(bytes)) => values.extend(near(&FactValue::Int(*bytes))),
        Test::Compare(_, Operand::Fact(other)) => {
            if let FactState::Known(value, _) = inquiry.facts.get(&other.fact) {
                values.extend(around(value).into_iter().map(|value| Candidate::of_fact(&other.fact, value)));
            }
        }
        Test::Member { set, .. } => match set {
            Set::Texts(set) => values.extend(set.iter().min().map(text)),
            Set::Ints(numbers) => values.extend(numbers.iter().flat_map(|number| near(&FactValue::Int(*number)))),
            Set::Domains(set) => values.extend(set.example().map(FactValue::Domain).map(Candidate::of_rule)),
            Set::Fact(other) => {
                if let FactState::Known(FactValue::List(items), _) = inquiry.facts.get(&other.fact) {
                    let first = items.first().cloned().map(FactValue::Text);
                    values.extend(first.map(|value| Candidate::of_fact(&other.fact, value)));
                }
            }
        },
        Test::Contains(Word::Text(word)) => {
            values.extend([with(word), text(word), without(&|item| item == word)]);
        }
        Test::ContainsAny(Words::Texts(set)) => {
            values.extend(set.iter().min().map(with));
            values.push(without(&|item| set.contains(item)));
        }
        Test::ContainsAll(Words::Texts(set)) => {
            let all: BTreeSet<String> = list.iter().cloned().chain(set.iter().map(str::to_owned)).collect();
            values.push(Candidate::of_operation(FactValue::List(all.into_iter().collect())));
        }
        Test::Contains(Word::Fact(other)) | Test::ContainsAny(Words::Fact(other)) | Test::ContainsAll(Words::Fact(other)) => {
            let more: &[String] = match inquiry.facts.get(&other.fact) {
                FactState::Known(FactValue::Text(word), _) => std::slice::from_ref(word),
                FactState::Known(FactValue::List(items), _) => items,
                _ => &[],
            };
            if !more.is_empty() {
                values.push(Candidate::of_fact(&other.fact, FactValue::List(list.iter().chain(more).cloned().collect())));
            }
        }
        Test::StartsWith(word) | Test::EndsWith(word) => values.push(text(word)),
        Test::Size(_, than) => {
            let lengths = [than.saturating_sub(1), *than, than.saturating_add(1)];
            for length in lengths.into_iter().filter_map(|length| usize::try_from(length).ok()).filter(|length| *length <= 1_000)
            {
                let more = (list.len()..length).map(|index| format!("another-{index}"));
                let list = list.iter().take(length).cloned().chain(more).collect();
                values.push(Candidate::of_operation(FactValue::List(list)));
            }
        }
        Test::Each(_, elements) => element_words(elements, &mut |word| values.push(with(word))),
        Test::Matches(_) | Test::Exists(_) => {}
    }
}

/// Texts that the questions about elements name.
fn element_words(elements: &Tree<Test>, visit: &mut impl FnMut(&str)) {
    elements.leaves(&mut |test| match test {
        Test::Compare(_, Operand::Value(FactValue::Text(word)))
        | Test::StartsWith(word)
        | Test::EndsWith(word)
        | Test::Contains(Word::Text(word)) => visit(word),
        Test::Member { set: Set::Texts(set), .. } => set.iter().min().into_iter().for_each(&mut *visit),
        _ => {}
    });
}

/// A value and, where values have neighbours, those.
fn around(value: &FactValue) -> Vec<FactValue> {
    const SECOND: Duration = Duration::from_secs(1);
    match value {
        FactValue::Int(number) => {
            [number.saturating_sub(1), *number, number.saturating_add(1)].into_iter().map(FactValue::Int).collect()
        }
        FactValue::Duration(length) => {
            [length.saturating_sub(SECOND), *length, length.saturating_add(SECOND)].map(FactValue::Duration).into()
        }
        FactValue::Time(time) => {
            let shifted = [time.checked_sub(SECOND), Ok(*time), time.checked_add(SECOND)];
            shifted.into_iter().flatten().map(FactValue::Time).collect()
        }
        other => vec![other.clone()],
    }
}
