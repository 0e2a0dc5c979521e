//! The rows of `decisions`, and which facts may stand in them in plain text.

use crate::domain::fact::{FactSet, FactState};
use crate::domain::fact_catalogue::{self, Person};
use crate::domain::ids::{DecisionId, FlowId, UserId};
use crate::domain::operation::{Intent, OperationKey};
use crate::domain::verdict::Verdict;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// One decision, as it will stand for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRecord {
    /// Its id.
    pub id: DecisionId,
    /// When, by the database's clock.
    pub decided_at: Timestamp,
    /// The tenant at the platform.
    pub tenant: String,
    /// Which operation.
    pub key: OperationKey,
    /// The user's intent across attempts.
    pub flow: FlowId,
    /// The how-manieth attempt of the flow this is, from 1.
    pub attempt: u32,
    /// Tresor, actor and subject.
    pub intent: Intent,
    /// Who was logged in when it was reported.
    pub requester: Option<UserId>,
    /// What was decided.
    pub verdict: Verdict,
    /// `policy`, or who decided by hand.
    pub decided_by: String,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// Why.
    pub reason: String,
    /// Which policy.
    pub policy_hash: String,
    /// Which evaluator.
    pub evaluator_version: String,
    /// The public facts: value or state, and source.
    pub facts: Value,
    /// The personal facts, sealed under their persons' keys; `{}` where there are none.
    pub facts_personal: Value,
    /// What every rule saw, as JSON.
    pub trace: String,
    /// What every shadow rule saw, as JSON.
    pub shadow: String,
}

fn fact_json(state: &FactState) -> Value {
    match state {
        FactState::Known(value, source) => json!({ "value": value, "source": source }),
        FactState::Absent => json!({ "absent": true }),
        FactState::Unknown(cause) => json!({ "unknown": cause }),
    }
}

/// The facts that may stand in plain text. Of personal ones only whether they were known.
#[must_use]
pub fn public_facts(facts: &FactSet) -> Value {
    let entries = facts.iter().map(|(name, state)| {
        let value = match state {
            FactState::Known(_, source) if fact_catalogue::is_personal(name) => json!({ "personal": true, "source": source }),
            state => fact_json(state),
        };
        (name.to_string(), value)
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

/// The personal facts by the person they belong to. The requester stands in for a person the operation has not.
#[must_use]
pub fn personal_facts(facts: &FactSet, intent: &Intent, requester: Option<&UserId>) -> BTreeMap<UserId, Value> {
    let mut persons: BTreeMap<UserId, Map<String, Value>> = BTreeMap::new();
    for (name, state) in facts.iter() {
        let (FactState::Known(_, _), true) = (state, fact_catalogue::is_personal(name)) else { continue };
        let owner = match fact_catalogue::find(name.as_str()).and_then(|spec| spec.personal) {
            Some(Person::Actor) => intent.actor.as_ref(),
            Some(Person::Subject) => intent.subject.as_ref(),
            Some(Person::Requester) | None => requester,
        };
        let owner = owner.or(requester).or(intent.subject.as_ref()).or(intent.actor.as_ref());
        if let Some(owner) = owner {
            persons.entry(owner.clone()).or_default().insert(name.to_string(), fact_json(state));
        }
    }
    persons.into_iter().map(|(person, facts)| (person, Value::Object(facts))).collect()
}
