//! A policy that loaded: rules checked and compiled, ready to be evaluated any number of times.

use super::limit::{Limit, LimitKey, LimitQuery};
use super::question::{Condition, Operand, Question, Set, Test, Word, Words};
use super::review::{ReviewTerms, StatedTerms};
use super::sets::NamedList;
use super::template::Template;
use super::tree::{Slot, Tree};
use crate::domain::diagnostic::Spot;
use crate::domain::effect::{Action, Effect};
use crate::domain::fact::{FactName, FactSet, FactState, FactValue};
use crate::domain::ids::UserId;
use crate::domain::kind::{Kind, KindSet};
use crate::domain::verdict::Verdict;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// SHA-256 over the names and contents of all files of a policy, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct PolicyHash(pub String);

impl fmt::Display for PolicyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What to say where no rule speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Where nothing matched: reject or escalate.
    pub verdict: Verdict,
    /// Where a rule cannot be decided: reject or escalate.
    pub on_unknown: Verdict,
    /// On which terms a person is asked.
    pub review: ReviewTerms,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { verdict: Verdict::Reject, on_unknown: Verdict::Escalate, review: ReviewTerms::default() }
    }
}

/// Whether a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleMode {
    /// It counts.
    Enforce,
    /// It is evaluated and recorded, and never counts.
    Shadow,
    /// It is checked, and that is all.
    Off,
}

/// All rule, list and calendar files of one directory, compiled.
#[derive(Debug)]
pub struct Policy {
    /// What identifies it.
    pub hash: PolicyHash,
    /// The files it was made of, as JSON, for the archive.
    pub body: String,
    /// What to say where no rule speaks.
    pub defaults: Defaults,
    /// The rules by id; their order means nothing.
    pub rules: Vec<Rule>,
    /// The facts that conditions read, by slot.
    pub(super) slots: Vec<FactName>,
    /// The rules and slots of each kind, in the order of [`Kind::ALL`].
    pub(super) plans: [Plan; 7],
    pub(super) lists: Vec<(String, NamedList)>,
}

/// What is looked at for one kind.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) enforced: Vec<usize>,
    pub(super) shadow: Vec<usize>,
    pub(super) slots: Vec<Slot>,
    facts: BTreeSet<FactName>,
    shadow_facts: BTreeSet<FactName>,
}

impl Policy {
    pub(super) fn plan(&self, kind: Kind) -> &Plan {
        let [a, b, c, d, e, f, g] = &self.plans;
        match kind {
            Kind::Share => a,
            Kind::Kick => b,
            Kind::TresorCreation => c,
            Kind::InvitationLinkCreation => d,
            Kind::InvitationLinkAcception => e,
            Kind::InvitationLinkRevocation => f,
            Kind::UserValidation => g,
        }
    }

    /// Finds the rules and slots of each kind.
    pub(super) fn make_plans(rules: &[Rule]) -> [Plan; 7] {
        Kind::ALL.map(|kind| {
            let mut plan = Plan::default();
            let mut slots = BTreeSet::new();
            for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.on.contains(kind)) {
                match rule.mode {
                    RuleMode::Enforce => plan.enforced.push(index),
                    RuleMode::Shadow => plan.shadow.push(index),
                    RuleMode::Off => continue,
                }
                rule.conditions().for_each(|condition| references(condition, &mut |slot, _| slots.extend([slot])));
            }
            plan.slots = slots.into_iter().collect();
            plan.facts = needed(rules, kind, RuleMode::Enforce);
            plan.shadow_facts = &needed(rules, kind, RuleMode::Shadow) - &plan.facts;
            plan
        })
    }

    pub(super) fn rule(&self, index: usize) -> Option<&Rule> {
        self.rules.get(index)
    }

    /// The rules in one of two states that speak of a kind.
    fn rules_on(&self, kind: Kind, mode: RuleMode) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.mode == mode && rule.on.contains(kind))
    }

    /// The facts that deciding an operation of this kind can need: without them it is not decided.
    #[must_use]
    pub fn facts_for(&self, kind: Kind) -> &BTreeSet<FactName> {
        &self.plan(kind).facts
    }

    /// The facts that only shadow rules on this kind need: good to have, and no reason to wait.
    #[must_use]
    pub fn shadow_facts_for(&self, kind: Kind) -> &BTreeSet<FactName> {
        &self.plan(kind).shadow_facts
    }

    /// The counts that the limits on this operation ask for. A rule whose `per` facts are not known is left out, and
    /// is then undecided.
    #[must_use]
    pub fn limit_queries(&self, kind: Kind, facts: &FactSet) -> Vec<LimitQuery> {
        let mut queries = Vec::new();
        for rule in self.rules_on(kind, RuleMode::Enforce).chain(self.rules_on(kind, RuleMode::Shadow)) {
            let Some(limit) = &rule.limit else { continue };
            let Some(key) = limit.key(facts) else { continue };
            queries.extend(limit.windows.iter().map(|window| LimitQuery {
                window: window.name.clone(),
                key: key.clone(),
                within: window.within,
            }));
        }
        queries
    }

    /// The places that an approval of this operation takes, sorted and each once.
    #[must_use]
    pub fn limit_places(&self, kind: Kind, facts: &FactSet) -> Vec<LimitKey> {
        let limits = self.rules.iter().filter(|rule| rule.mode != RuleMode::Off).filter_map(|rule| rule.limit.as_ref());
        let keys: BTreeSet<_> = limits.filter(|limit| limit.count == kind).filter_map(|limit| limit.key(facts)).collect();
        keys.into_iter().collect()
    }
}

/// The facts that the rules in one of the modes need for a kind.
fn needed(rules: &[Rule], kind: Kind, mode: RuleMode) -> BTreeSet<FactName> {
    let mut needed = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.mode == mode) {
        if let Some(limit) = rule.limit.as_ref().filter(|limit| limit.count == kind || rule.on.contains(kind)) {
            needed.extend(limit.per.iter().cloned());
        }
        if rule.on.contains(kind) {
            rule.conditions().for_each(|condition| references(condition, &mut |_, fact| needed.extend([fact.clone()])));
            rule.reason.iter().chain(&rule.message).for_each(|text| text.facts(&mut needed));
            needed.extend(rule.then.iter().map(|then| then.user.clone()));
            let info = rule.additional_info.as_ref().filter(|_| kind == Kind::InvitationLinkCreation);
            info.iter().for_each(|text| text.facts(&mut needed));
        }
    }
    needed
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name in decisions.
    pub id: String,
    /// The file it stands in.
    pub file: String,
    /// Where in the file.
    pub spot: Spot,
    /// The kinds it speaks of.
    pub on: KindSet,
    /// What it says when it matches.
    pub effect: Verdict,
    /// Whether it counts.
    pub mode: RuleMode,
    /// Until when a shadow rule is evaluated.
    pub expires: Option<Timestamp>,
    /// Who answers for it.
    pub owner: Option<String>,
    pub(super) when: Option<Condition>,
    /// The condition as it was written, in one form whatever the order of its keys.
    pub(super) written: String,
    pub(super) except: Vec<Exception>,
    /// How many operations it allows; it matches once they are used up.
    pub limit: Option<Limit>,
    pub(super) reason: Option<Template>,
    pub(super) message: Option<Template>,
    /// What follows once the verdict took effect.
    pub(super) then: Vec<Then>,
    /// What is shown with an invitation link that it approves.
    pub(super) additional_info: Option<Template>,
    /// On which terms a person is asked, if it escalates.
    pub(super) review: StatedTerms,
}

impl Rule {
    /// Everything it asks: its condition and its exceptions.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.when.iter().chain(self.except.iter().map(|exception| &exception.when))
    }
}

/// For whom a rule does not hold, on whose word, and until when.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) spot: Spot,
    pub(super) when: Condition,
    pub(super) owner: String,
    pub(super) reason: String,
    pub(super) ticket: Option<String>,
    pub(super) expires: Timestamp,
}

/// One effect as the rule states it.
#[derive(Debug)]
pub(super) struct Then {
    pub(super) action: Action,
    /// The fact that names the user.
    pub(super) user: FactName,
    pub(super) enable: bool,
}

impl Then {
    /// The effect on one operation.
    pub(super) fn effect(&self, rule: &str, facts: &FactSet) -> Effect {
        let user = match facts.get(&self.user) {
            FactState::Known(FactValue::Text(id), _) => UserId::new(id.as_str()).ok(),
            _ => None,
        };
        Effect { rule: rule.to_owned(), action: self.action, user, enable: self.enable }
    }
}

/// Every fact that a condition reads, on either side.
pub(super) fn references<'c>(condition: &'c Condition, visit: &mut impl FnMut(Slot, &'c FactName)) {
    condition.leaves(&mut |question| {
        if let Question::Fact(leaf) = question {
            visit(leaf.slot, &leaf.fact);
            test_references(&leaf.test, visit);
        }
    });
}

fn test_references<'c>(test: &'c Test, visit: &mut impl FnMut(Slot, &'c FactName)) {
    let reference = match test {
        Test::Compare(_, Operand::Fact(reference))
        | Test::Member { set: Set::Fact(reference), .. }
        | Test::Contains(Word::Fact(reference))
        | Test::ContainsAny(Words::Fact(reference))
        | Test::ContainsAll(Words::Fact(reference)) => reference,
        Test::Each(_, elements) => return element_references(elements, visit),
        _ => return,
    };
    visit(reference.slot, &reference.fact);
}

fn element_references<'c>(elements: &'c Tree<Test>, visit: &mut impl FnMut(Slot, &'c FactName)) {
    elements.leaves(&mut |test| test_references(test, visit));
}
