//! A policy that loaded: rules checked and compiled, ready to be evaluated any number of times.

use super::limit::{Limit, LimitKey, LimitQuery};
use super::sets::{DomainSet, TextSet};
use super::template::Template;
use crate::domain::diagnostic::Spot;
use crate::domain::effect::{Action, Effect};
use crate::domain::fact::{FactName, FactSet, FactState, FactValue};
use crate::domain::ids::UserId;
use crate::domain::kind::{Kind, KindSet};
use crate::domain::verdict::Verdict;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

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
}

impl Default for Defaults {
    fn default() -> Self {
        Self { verdict: Verdict::Reject, on_unknown: Verdict::Escalate }
    }
}

/// All rule and list files of one directory, compiled.
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
}

impl Policy {
    /// The rules that speak of a kind.
    pub fn rules_on(&self, kind: Kind) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.on.contains(kind))
    }

    /// The facts that deciding an operation of this kind can need: nothing else has to be gathered.
    #[must_use]
    pub fn facts_for(&self, kind: Kind) -> BTreeSet<FactName> {
        let mut needed = BTreeSet::new();
        for rule in &self.rules {
            if let Some(limit) = rule.limit.as_ref().filter(|limit| limit.count == kind || rule.on.contains(kind)) {
                needed.insert(limit.per.clone());
            }
            if rule.on.contains(kind) {
                rule.when.iter().for_each(|condition| condition.facts(&mut needed));
                rule.reason.iter().chain(&rule.message).for_each(|text| text.facts(&mut needed));
                needed.extend(rule.then.iter().map(|then| then.user.clone()));
                let info = rule.additional_info.as_ref().filter(|_| kind == Kind::InvitationLinkCreation);
                info.iter().for_each(|text| text.facts(&mut needed));
            }
        }
        needed
    }

    /// The counts that the limits on this operation ask for. A rule whose `per` fact is not known is left out, and
    /// is then undecided.
    #[must_use]
    pub fn limit_queries(&self, kind: Kind, facts: &FactSet) -> Vec<LimitQuery> {
        self.rules_on(kind)
            .filter_map(|rule| {
                let limit = rule.limit.as_ref()?;
                Some(LimitQuery { rule: rule.id.clone(), key: limit.key(facts)?, within: limit.within })
            })
            .collect()
    }

    /// The places that an approval of this operation takes, sorted and each once.
    #[must_use]
    pub fn limit_places(&self, kind: Kind, facts: &FactSet) -> Vec<LimitKey> {
        let limits = self.rules.iter().filter_map(|rule| rule.limit.as_ref());
        let keys: BTreeSet<_> = limits.filter(|limit| limit.count == kind).filter_map(|limit| limit.key(facts)).collect();
        keys.into_iter().collect()
    }
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
    pub(super) when: Option<Condition>,
    /// How many operations it allows; it matches once they are used up.
    pub limit: Option<Limit>,
    pub(super) reason: Option<Template>,
    pub(super) message: Option<Template>,
    /// What follows once the verdict took effect.
    pub(super) then: Vec<Then>,
    /// What is shown with an invitation link that it approves.
    pub(super) additional_info: Option<Template>,
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

/// What a rule asks.
#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Leaf(Leaf),
}

impl Condition {
    fn facts(&self, needed: &mut BTreeSet<FactName>) {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| part.facts(needed)),
            Condition::Not(part) => part.facts(needed),
            Condition::Leaf(leaf) => {
                needed.insert(leaf.fact.clone());
                if let Test::Compare(_, Operand::Fact(other)) | Test::Member { set: Set::Fact(other), .. } = &leaf.test {
                    needed.insert(other.clone());
                }
            }
        }
    }
}

/// One question about one fact.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) fact: FactName,
    pub(super) test: Test,
}

/// The question.
#[derive(Debug)]
pub(super) enum Test {
    Compare(Comparison, Operand),
    Member { set: Set, negated: bool },
    Contains(String),
    ContainsAny(Arc<TextSet>),
    ContainsAll(Vec<String>),
    StartsWith(String),
    EndsWith(String),
    Exists(bool),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
}

/// What a fact is compared with.
#[derive(Debug)]
pub(super) enum Operand {
    Value(FactValue),
    Fact(FactName),
}

/// What a fact is looked up in.
#[derive(Debug)]
pub(super) enum Set {
    Texts(Arc<TextSet>),
    Ints(Vec<i64>),
    Domains(Arc<DomainSet>),
    Fact(FactName),
}
