//! What loads and is probably not what was meant: rules that can never match, conditions and lists that stand twice,
//! approvals without a condition, shadows and exceptions that end.

use super::model::{Policy, Rule, RuleMode};
use super::question::{Comparison, Condition, Leaf, Operand, Question, Seen, Set, Test, View, Word, Words};
use super::range::is_impossible;
use super::sets::DomainSet;
use super::tree::Answer;
use crate::domain::diagnostic::{Diagnostic, Spot};
use crate::domain::domain_name::DomainPattern;
use crate::domain::fact::{FactName, FactValue};
use crate::domain::fact_catalogue::{FactType, find};
use crate::domain::verdict::Verdict;
use jiff::{SignedDuration, Timestamp};
use regex_syntax::hir::Look;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long before its end a shadow or an exception is spoken of.
const NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Every warning about a policy, by place.
#[must_use]
pub fn warnings(policy: &Policy, now: Timestamp) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut written: HashMap<(String, Verdict, String), &Rule> = HashMap::new();
    for rule in policy.rules.iter().filter(|rule| rule.mode != RuleMode::Off) {
        let mut warn = |code, spot, message: String, help: &str| {
            found.push(Diagnostic::warning(code, &rule.file, spot, message).with_help(help));
        };
        if rule.effect == Verdict::Approve && rule.when.is_none() {
            warn(
                "unconditional-approve",
                rule.spot,
                format!("rule `{}` approves whatever no other rule stops", rule.id),
                "say `when`, or turn it round: approve what is known to be good",
            );
        }
        if let Some(fact) = rule.when.as_ref().and_then(|when| contradiction(policy, when)) {
            warn(
                "never-matches",
                rule.spot,
                format!("rule `{}` can never match: what it asks of `{fact}` excludes itself", rule.id),
                "parts under `all`, and several keys in one mapping, must hold together; did you mean `any`?",
            );
        }
        if rule.effect == Verdict::Approve && rule.when.as_ref().is_some_and(has_loose_pattern) {
            warn(
                "unanchored-pattern",
                rule.spot,
                format!("rule `{}` approves by a pattern that may match more than was meant", rule.id),
                "begin a pattern with `^` and end it with `$`; the end of an address begins with `@`, or ask `email_domain`",
            );
        }
        if let Some(text) = rule.conditions().find_map(starred) {
            warn(
                "literal-star",
                rule.spot,
                format!("rule `{}` looks for `{text}`, star and all: texts are compared letter by letter", rule.id),
                "use `starts_with`, `ends_with` or `matches`; only lists of domains know `*.`",
            );
        }
        ends(rule, now, &mut warn);
        let key = (format!("{:?}", rule.on), rule.effect, format!("{} {:?}", rule.written, rule.limit_windows()));
        if rule.mode == RuleMode::Enforce && !(rule.when.is_none() && rule.limit.is_none()) {
            match written.get(&key) {
                Some(first) => warn(
                    "duplicate-condition",
                    rule.spot,
                    format!("rule `{}` asks the same as rule `{}`, with the same effect", rule.id, first.id),
                    "keep one of them",
                ),
                None => drop(written.insert(key, rule)),
            }
        }
    }
    lists(policy, &mut found);
    shadowed(policy, &mut found);
    found.sort_by(|a, b| (&a.file, a.spot).cmp(&(&b.file, b.spot)));
    found
}

impl Rule {
    /// What tells two limits apart, whatever their rules are called.
    fn limit_windows(&self) -> Option<(String, Vec<(std::time::Duration, u64)>)> {
        let limit = self.limit.as_ref()?;
        let windows = limit.windows.iter().map(|window| (window.within, window.max)).collect();
        Some((format!("{} {}", limit.count, limit.per()), windows))
    }
}

fn ends(rule: &Rule, now: Timestamp, warn: &mut impl FnMut(&'static str, Spot, String, &str)) {
    let soon = |expires: Timestamp| expires.duration_since(now) <= NOTICE;
    if let (RuleMode::Shadow, Some(expires)) = (rule.mode, rule.expires) {
        let owner = rule.owner.as_deref().unwrap_or("nobody");
        if expires <= now {
            let message = format!("shadow rule `{}` of {owner} ended on {expires} and is no longer evaluated", rule.id);
            warn("expired-shadow", rule.spot, message, "enforce it, take it out, or give it a new end");
        } else if soon(expires) {
            let message = format!("shadow rule `{}` of {owner} ends on {expires}", rule.id);
            warn("expiring-shadow", rule.spot, message, "enforce it, take it out, or give it a new end");
        }
    }
    for exception in &rule.except {
        let ticket = exception.ticket.as_deref().map(|ticket| format!(" ({ticket})")).unwrap_or_default();
        let owner = &exception.owner;
        if exception.expires <= now {
            let message = format!(
                "an exception of {owner}{ticket} to rule `{}` ended on {} and does not apply",
                rule.id, exception.expires
            );
            warn("expired-exception", exception.spot, message, "take it out, or agree on a new end");
        } else if soon(exception.expires) {
            let message = format!("an exception of {owner}{ticket} to rule `{}` ends on {}", rule.id, exception.expires);
            warn("expiring-exception", exception.spot, message, "take it out, or agree on a new end");
        }
    }
}

/// A fact of which the condition asks what excludes itself.
fn contradiction(policy: &Policy, when: &Condition) -> Option<FactName> {
    let mut by_fact: BTreeMap<&FactName, Vec<&Leaf>> = BTreeMap::new();
    let mut times: Vec<(&str, bool)> = Vec::new();
    when.required(&mut |question| match question {
        Question::Fact(leaf) => by_fact.entry(&leaf.fact).or_default().push(leaf),
        Question::Time { calendar, within } => times.push((calendar.name.as_str(), *within)),
    });
    if times.iter().any(|(name, within)| times.contains(&(name, !within))) {
        return Some(FactName::new("time"));
    }
    let view = View { states: Vec::new(), names: &policy.slots, now: Timestamp::UNIX_EPOCH };
    let excludes = |leaves: &[&Leaf]| {
        let fact_type = leaves.first().and_then(|leaf| find(leaf.fact.as_str())).map_or(FactType::Scalar, |spec| spec.fact_type);
        let is_absent = leaves.iter().any(|leaf| matches!(leaf.test, Test::Exists(false)));
        let must_be_there = leaves.iter().any(|leaf| !matches!(leaf.test, Test::Exists(false)));
        if is_absent && must_be_there || is_impossible(fact_type, leaves.iter().map(|leaf| &leaf.test)) {
            return true;
        }
        // Whatever it must be equal to or in is tried with all the other questions.
        let fails = |seen: Seen<'_>| leaves.iter().any(|leaf| leaf.test.answer(seen, &view, leaf.slot) == Answer::No);
        leaves.iter().any(|leaf| match &leaf.test {
            Test::Compare(Comparison::Eq, Operand::Value(value)) => fails(value.into()),
            Test::Member { set: Set::Texts(set), negated: false } => set.iter().all(|text| fails(Seen::Text(text))),
            Test::Member { set: Set::Ints(set), negated: false } => set.iter().all(|number| fails(Seen::Int(*number))),
            _ => false,
        })
    };
    by_fact.into_iter().find(|(_, leaves)| excludes(leaves)).map(|(fact, _)| fact.clone())
}

fn has_loose_pattern(when: &Condition) -> bool {
    let mut is_loose = false;
    when.leaves(&mut |question| {
        if let Question::Fact(leaf) = question {
            // Somebody can have any address that has some part in it, but for an end with the whole domain.
            let is_address = leaf.fact.as_str().ends_with(".email");
            is_loose |= is_loose_test(&leaf.test);
            is_loose |= match &leaf.test {
                Test::EndsWith(word) => is_address && !word.contains('@'),
                Test::StartsWith(_) | Test::Contains(Word::Text(_)) => is_address,
                _ => false,
            };
        }
    });
    is_loose
}

/// A text with a star in it that a condition compares something with.
fn starred(condition: &Condition) -> Option<String> {
    let mut found = None;
    let mut look = |text: &str| {
        if text.contains('*') && found.is_none() {
            found = Some(text.to_owned());
        }
    };
    condition.leaves(&mut |question| {
        if let Question::Fact(leaf) = question {
            literals(&leaf.test, &mut look);
        }
    });
    found
}

fn literals(test: &Test, visit: &mut impl FnMut(&str)) {
    match test {
        Test::Compare(_, Operand::Value(FactValue::Text(text)))
        | Test::Contains(Word::Text(text))
        | Test::StartsWith(text)
        | Test::EndsWith(text) => visit(text),
        Test::Member { set: Set::Texts(set), .. }
        | Test::ContainsAny(Words::Texts(set))
        | Test::ContainsAll(Words::Texts(set)) => {
            set.iter().min_by_key(|text| !text.contains('*')).into_iter().for_each(visit);
        }
        Test::Each(_, elements) => elements.leaves(&mut |test| literals(test, visit)),
        _ => {}
    }
}

fn is_loose_test(test: &Test) -> bool {
    match test {
        Test::Matches(pattern) => !is_anchored(pattern.as_str()),
        Test::Each(_, elements) => {
            let mut is_loose = false;
            elements.leaves(&mut |test| is_loose |= is_loose_test(test));
            is_loose
        }
        _ => false,
    }
}

/// Whether whatever the pattern matches begins and ends with the text.
fn is_anchored(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|parsed| {
        let properties = parsed.properties();
        properties.look_set_prefix().contains(Look::Start) && properties.look_set_suffix().contains(Look::End)
    })
}

/// Lists that nothing uses, that are the same as another one, or that name a thing twice.
fn lists(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let mut contents: HashMap<BTreeSet<&str>, &str> = HashMap::new();
    for (name, list) in &policy.lists {
        let Some(entries) = &list.entries else { continue };
        let mut warn = |code, message: String, help: &str| {
            found.push(Diagnostic::warning(code, &list.file, list.spot, message).with_help(help));
        };
        if !list.is_used {
            warn("unused-list", format!("no rule uses list `{name}`"), "take it out, or look something up in it");
        }
        let content: BTreeSet<&str> = entries.iter().map(String::as_str).collect();
        if !content.is_empty() {
            match contents.get(&content) {
                Some(first) => {
                    warn("duplicate-list-content", format!("list `{name}` holds the same as list `{first}`"), "keep one of them")
                }
                None => drop(contents.insert(content, name)),
            }
        }
        if let Some((entry, by)) = covered_entry(entries) {
            warn("shadowed-entry", format!("`{entry}` in list `{name}` is covered by `{by}`"), "take it out: it changes nothing");
        }
    }
}

/// An entry that stands twice, or below a wildcard of the same list.
fn covered_entry(entries: &[String]) -> Option<(String, String)> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !seen.insert(entry.as_str())) {
        return Some((twice.clone(), twice.clone()));
    }
    let set = DomainSet::new(String::new(), entries.iter().filter_map(|entry| DomainPattern::parse(entry)));
    entries.iter().find_map(|entry| {
        let (DomainPattern::Exact(name) | DomainPattern::Below(name)) = DomainPattern::parse(entry)?;
        set.wildcard_above(name.as_str()).map(|parent| (entry.clone(), format!("*.{parent}")))
    })
}

/// What one rule looks up to let in, and another looks up to keep out, on all the same kinds.
fn shadowed(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let live = || policy.rules.iter().filter(|rule| rule.mode == RuleMode::Enforce);
    let lookups = |rule: &'_ Rule| {
        let mut sets = Vec::new();
        if let Some(when) = &rule.when {
            when.required(&mut |question| {
                if let Question::Fact(Leaf { fact, test: Test::Member { set, negated: false }, .. }) = question {
                    sets.push((fact.clone(), set.clone()));
                }
            });
        }
        sets
    };
    // Only a rule that asks nothing else keeps out everything in its list.
    let is_plain = |rule: &&Rule| {
        rule.limit.is_none()
            && rule.except.is_empty()
            && matches!(rule.when, Some(Condition::Leaf(_)))
            && rule.effect == Verdict::Reject
    };
    let mut rejecting: HashMap<FactName, Vec<(&Rule, Set)>> = HashMap::new();
    for rule in live().filter(is_plain) {
        lookups(rule).into_iter().for_each(|(fact, set)| rejecting.entry(fact).or_default().push((rule, set)));
    }
    for rule in live().filter(|rule| rule.effect != Verdict::Reject) {
        for (fact, set) in lookups(rule) {
            let by = rejecting
                .get(&fact)
                .into_iter()
                .flatten()
                .find(|(other, other_set)| rule.on.iter().all(|kind| other.on.contains(kind)) && is_covered(&set, other_set));
            if let Some((other, other_set)) = by {
                let message = format!(
                    "rule `{}` can never win: everything in {} is in {}, which rule `{}` rejects",
                    rule.id,
                    label(&set),
                    label(other_set),
                    other.id
                );
                found.push(
                    Diagnostic::warning("shadowed-list", &rule.file, rule.spot, message)
                        .with_help("take the entries out of one of the two"),
                );
            }
        }
    }
}

fn is_covered(set: &Set, by: &Set) -> bool {
    match (set, by) {
        (Set::Texts(set), Set::Texts(by)) => set.iter().all(|text| by.contains(text)),
        (Set::Ints(set), Set::Ints(by)) => set.iter().all(|number| by.binary_search(number).is_ok()),
        (Set::Domains(set), Set::Domains(by)) => set.is_covered_by(by),
        _ => false,
    }
}

fn label(set: &Set) -> String {
    match set {
        Set::Texts(set) => set.label.clone(),
        Set::Domains(set) => set.label.clone(),
        Set::Ints(numbers) => format!("{numbers:?}"),
        Set::Fact(other) => format!("`{}`", other.fact),
    }
}
