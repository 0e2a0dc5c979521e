//! The rows of `decisions`, the leaves that they will be, and which facts may stand in them in plain text.

use super::leaf::Stream;
use super::row::{LeafRecord, Stored};
use crate::domain::fact::{FactName, FactSet, FactState, FactValue, Source};
use crate::domain::fact_catalogue::{self, Person};
use crate::domain::ids::{DecisionId, FlowId, UserId};
use crate::domain::operation::{Intent, OperationKey};
use crate::domain::verdict::Verdict;
use jiff::Timestamp;
use serde::{Serialize, Serializer as _};
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
    /// The public facts as JSON: value or state, and source.
    pub facts: String,
    /// The personal facts as JSON, sealed under their persons' keys; `{}` where there are none.
    pub facts_personal: String,
    /// What every rule saw, as JSON.
    pub trace: String,
    /// What every shadow rule saw, as JSON.
    pub shadow: String,
}

impl DecisionRecord {
    /// The rules that decided, as JSON.
    #[must_use]
    pub fn rules_json(&self) -> String {
        Value::from(self.rules.as_slice()).to_string()
    }

    /// The leaf that its row will be. Nothing where a database may spell what is in it in another way, as numbers that are not whole.
    #[must_use]
    pub fn leaf(&self) -> Option<LeafRecord> {
        fn user(user: Option<&UserId>) -> Stored<'_> {
            user.map_or(Stored::Null, |user| Stored::Text(user.as_str()))
        }
        let rules = self.rules_json();
        let columns = [
            Stored::Id(self.id.0),
            Stored::Time(self.decided_at),
            Stored::Text(&self.tenant),
            Stored::Text(self.key.kind.as_str()),
            Stored::Text(self.key.operation_id.as_str()),
            Stored::Id(self.flow.0),
            Stored::Number(self.attempt.into()),
            self.intent.tresor.as_ref().map_or(Stored::Null, |tresor| Stored::Text(tresor.as_str())),
            user(self.intent.actor.as_ref()),
            user(self.intent.subject.as_ref()),
            user(self.requester.as_ref()),
            Stored::Text(self.verdict.as_str()),
            Stored::Text(&self.decided_by),
            Stored::Text(&rules),
            Stored::Text(&self.reason),
            Stored::Text(&self.policy_hash),
            Stored::Text(&self.evaluator_version),
            Stored::Text(&self.facts),
            Stored::Text(&self.facts_personal),
            Stored::Text(&self.trace),
            Stored::Text(&self.shadow),
        ];
        Some(LeafRecord::new(Stream::Decision, &columns)).filter(LeafRecord::is_plain)
    }
}

/// A fact as it stands in plain text.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'f> {
    Known { source: Source, value: &'f FactValue },
    Personal { personal: bool, source: Source },
    Absent { absent: bool },
    Unknown { unknown: &'f str },
}

impl<'f> Shown<'f> {
    fn of(name: &FactName, state: &'f FactState) -> Self {
        match state {
            FactState::Known(_, source) if fact_catalogue::is_personal(name) => {
                Self::Personal { personal: true, source: *source }
            }
            FactState::Known(value, source) => Self::Known { source: *source, value },
            FactState::Absent => Self::Absent { absent: true },
            FactState::Unknown(cause) => Self::Unknown { unknown: cause },
        }
    }
}

/// The facts that may stand in plain text, as JSON. Of personal ones only whether they were known.
///
/// # Errors
/// There are none that a fact can cause.
pub fn public_facts(facts: &FactSet) -> Result<String, serde_json::Error> {
    let mut json = Vec::with_capacity(1_024);
    serde_json::Serializer::new(&mut json).collect_map(facts.iter().map(|(name, state)| (name, Shown::of(name, state))))?;
    String::from_utf8(json).map_err(serde::ser::Error::custom)
}

/// The personal facts by the person they belong to. The requester stands in for a person the operation has not.
#[must_use]
pub fn personal_facts(facts: &FactSet, intent: &Intent, requester: Option<&UserId>) -> BTreeMap<UserId, Value> {
    let mut persons: BTreeMap<UserId, Map<String, Value>> = BTreeMap::new();
    for (name, state) in facts.iter() {
        let (FactState::Known(value, source), true) = (state, fact_catalogue::is_personal(name)) else { continue };
        let owner = match fact_catalogue::find(name.as_str()).and_then(|spec| spec.personal) {
            Some(Person::Actor) => intent.actor.as_ref(),
            Some(Person::Subject) => intent.subject.as_ref(),
            Some(Person::Requester) | None => requester,
        };
        let owner = owner.or(requester).or(intent.subject.as_ref()).or(intent.actor.as_ref());
        if let Some(owner) = owner {
            persons.entry(owner.clone()).or_default().insert(name.to_string(), json!({ "value": value, "source": source }));
        }
    }
    persons.into_iter().map(|(person, facts)| (person, Value::Object(facts))).collect()
}
