//! What a person is asked for: how long an escalation waits, and what it stood on, so that a later attempt is approved only
//! on the same ground.

use super::evaluate::Evaluation;
use super::model::{Policy, RuleMode, references};
use super::trace::RuleTrace;
use super::truth::Truth;
use crate::domain::effect::Effect;
use crate::domain::fact::{FactName, FactSet, FactState, FactValue};
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::domain::yaml::{Node, Problems};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What becomes of an escalation that nobody reviewed in time. It is never approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTimeout {
    /// It is rejected.
    Reject,
    /// It stays until somebody decides.
    Keep,
}

/// The terms of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReviewTerms {
    /// How long an escalation waits, and how long an approval by a reviewer stands.
    pub ttl: Duration,
    /// What becomes of it then.
    pub on_timeout: OnTimeout,
}

impl Default for ReviewTerms {
    /// Over a weekend.
    fn default() -> Self {
        Self { ttl: Duration::from_hours(72), on_timeout: OnTimeout::Reject }
    }
}

/// The terms as a rule or the defaults state them; what is left out is for the next one to say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StatedTerms {
    ttl: Option<Duration>,
    on_timeout: Option<OnTimeout>,
}

impl StatedTerms {
    pub(super) fn or(self, fallback: ReviewTerms) -> ReviewTerms {
        ReviewTerms { ttl: self.ttl.unwrap_or(fallback.ttl), on_timeout: self.on_timeout.unwrap_or(fallback.on_timeout) }
    }
}

/// Reads the part `review`; `None` where something is wrong with it, which has been reported.
pub(super) fn read_review(problems: &mut Problems<'_>, node: &Node) -> Option<StatedTerms> {
    let fields = problems.mapping(node, "`review`", &["ttl", "on_timeout"])?;
    if !problems.filled("empty-value", fields) {
        return None;
    }
    let ttl = fields.get("ttl").map(|node| {
        let ttl = problems.duration(node, "ttl")?;
        if ttl.is_zero() {
            problems.error("bad-value", node.spot, "`ttl` must leave a reviewer some time");
        }
        (!ttl.is_zero()).then_some(ttl)
    });
    let choices = [("reject", OnTimeout::Reject), ("keep", OnTimeout::Keep)];
    let on_timeout = fields.get("on_timeout").map(|node| problems.choice(node, "on_timeout", &choices));
    let stated = StatedTerms { ttl: ttl.flatten(), on_timeout: on_timeout.flatten() };
    let is_sound = (ttl.is_none() || stated.ttl.is_some()) && (on_timeout.is_none() || stated.on_timeout.is_some());
    is_sound.then_some(stated)
}

/// What an escalation stood on: the rules that spoke or could not be decided, and what they looked at. Of values only a
/// digest, as some are personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Another policy may mean something else by the same rules.
    policy: String,
    rules: BTreeSet<String>,
    facts: BTreeMap<String, String>,
}

impl Basis {
    /// What an evaluation stands on.
    #[must_use]
    pub fn of(policy: &Policy, kind: Kind, evaluation: &Evaluation, facts: &FactSet, digest: impl Fn(&str) -> String) -> Self {
        let rules: BTreeSet<_> = evaluation.rules.iter().chain(&evaluation.unknown).cloned().collect();
        let approving: BTreeSet<_> = approving(evaluation).map(str::to_owned).collect();
        let names = match rules.is_empty() {
            // Nothing spoke: then everything that could have is what it stands on.
            true => policy.facts_for(kind).clone(),
            false => policy.facts_of(&rules.union(&approving).cloned().collect()),
        };
        Self { policy: policy.hash.to_string(), facts: digests(names.iter(), facts, digest), rules }
    }

    /// Whether what a reviewer approved may be approved now: no reject rule fires, nothing escalates that was not reviewed,
    /// and policy and facts are what they were: those of the rules that escalated, and of those that would have approved.
    #[must_use]
    pub fn allows(&self, policy: &Policy, evaluation: &Evaluation, facts: &FactSet, digest: impl Fn(&str) -> String) -> bool {
        let is_rejected = evaluation.verdict == Verdict::Reject && !evaluation.rules.is_empty();
        let speak = evaluation.rules.iter().filter(|_| evaluation.verdict == Verdict::Escalate);
        let names: Vec<_> = self.facts.keys().map(|name| FactName::new(name.as_str())).collect();
        !is_rejected
            && self.policy == policy.hash.to_string()
            && speak.chain(&evaluation.unknown).all(|rule| self.rules.contains(rule))
            && digests(names.iter(), facts, digest) == self.facts
    }
}

/// The approve rules that matched, and did not have the last word.
fn approving(evaluation: &Evaluation) -> impl Iterator<Item = &str> {
    let matched =
        |trace: &&RuleTrace| (trace.mode, trace.effect, trace.result) == (RuleMode::Enforce, Verdict::Approve, Truth::True);
    evaluation.trace.iter().filter(matched).map(|trace| trace.rule.as_str())
}

/// What grows by itself is no change: how old something is.
fn digests<'n>(
    names: impl Iterator<Item = &'n FactName>,
    facts: &FactSet,
    digest: impl Fn(&str) -> String,
) -> BTreeMap<String, String> {
    let entry = |name: &FactName| {
        let state = match facts.get(name) {
            FactState::Known(FactValue::Duration(_), _) => "passes".to_owned(),
            FactState::Known(value, _) => format!("known {}", serde_json::json!(value)),
            FactState::Absent => "absent".to_owned(),
            FactState::Unknown(_) => "unknown".to_owned(),
        };
        (name.to_string(), digest(&format!("{name} {state}")))
    };
    names.map(entry).collect()
}

impl Policy {
    /// The terms on which a person is asked: of those that the rules state the shortest time, and rejection before patience.
    #[must_use]
    pub fn review_terms(&self, evaluation: &Evaluation) -> ReviewTerms {
        let named = evaluation.rules.iter().chain(&evaluation.unknown);
        let rules = named.filter_map(|id| self.rules.iter().find(|rule| rule.id == *id));
        let terms = rules.map(|rule| rule.review.or(self.defaults.review));
        let strictest = terms.reduce(|one, other| ReviewTerms {
            ttl: one.ttl.min(other.ttl),
            on_timeout: if one.on_timeout == OnTimeout::Reject { OnTimeout::Reject } else { other.on_timeout },
        });
        strictest.unwrap_or(self.defaults.review)
    }

    /// What goes with an approval of the approve rules that matched: what is shown with a link, and what is to be done.
    #[must_use]
    pub fn approval(&self, kind: Kind, evaluation: &Evaluation, facts: &FactSet) -> (Option<String>, Vec<Effect>) {
        let matched: Vec<_> = approving(evaluation).filter_map(|id| self.rules.iter().find(|rule| rule.id == id)).collect();
        let info = matched.iter().filter(|_| kind == Kind::InvitationLinkCreation).find_map(|rule| rule.additional_info.as_ref());
        let effects = matched.iter().flat_map(|rule| rule.then.iter().map(|then| then.effect(&rule.id, facts)));
        (info.map(|info| info.render(facts)), effects.collect())
    }

    /// The facts that rules look at.
    fn facts_of(&self, rules: &BTreeSet<String>) -> BTreeSet<FactName> {
        let mut facts = BTreeSet::new();
        for rule in self.rules.iter().filter(|rule| rules.contains(&rule.id)) {
            rule.conditions().for_each(|condition| references(condition, &mut |_, fact| facts.extend([fact.clone()])));
            facts.extend(rule.limit.iter().flat_map(|limit| limit.per.iter().cloned()));
        }
        facts
    }
}
