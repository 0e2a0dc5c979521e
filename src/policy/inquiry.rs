//! An inquiry: a kind, facts, counts and a time as somebody states them, to be held against a policy.
//!
//! The body of `POST /v1/policy/evaluate` and the input of `assent policy explain` are both read here, so that they can
//! never mean different things. What is not stated is absent; a limit that is not stated saw nothing.

use super::evaluate::{Evaluation, Input, evaluate};
use super::limit::Limit;
use super::model::Policy;
use crate::domain::diagnostic::nearest;
use crate::domain::duration::{format_duration, parse_duration};
use crate::domain::fact::{FactName, FactSet, FactState, Source};
use crate::domain::fact_catalogue::{self, FactSpec, typed_value};
use crate::domain::kind::Kind;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Inquiry {
    /// The kind of the operation.
    pub kind: Kind,
    /// What is known of it.
    pub facts: FactSet,
    /// What the windows of limits saw, by their names.
    pub counts: BTreeMap<String, u64>,
    /// The time of the decision.
    pub now: Timestamp,
}

/// What is wrong with an inquiry: the field, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {what}")]
pub struct InvalidInquiry {
    /// The field, such as `facts.tresor.members_after`.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

fn wrong(field: impl Into<String>, what: impl Into<String>) -> InvalidInquiry {
    InvalidInquiry { field: field.into(), what: what.into() }
}

fn suggest<'a>(what: &str, written: &str, valid: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, valid).map_or_else(|| what.to_owned(), |near| format!("{what}; did you mean `{near}`?"))
}

impl Inquiry {
    /// Reads `{"kind", "facts": {name: value}, "unknown": [name], "limits": {rule: count}, "now"}`; only `kind` must be
    /// there. `unknown` may also say why: `{name: cause}`. A rule with several windows has a count each: `{rule: {"24h": 3}}`.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn read(value: &Value, policy: &Policy, now: Timestamp) -> Result<Self, InvalidInquiry> {
        const KEYS: [&str; 5] = ["kind", "facts", "unknown", "limits", "now"];
        let object = value.as_object().ok_or_else(|| wrong("body", "must be a JSON object"))?;
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(wrong(key.as_str(), suggest("is no field of an inquiry", key, KEYS)));
        }
        let kind = object.get("kind").ok_or_else(|| wrong("kind", "is missing"))?;
        let kind = kind.as_str().ok_or_else(|| wrong("kind", "must be a text"))?;
        let kind = Kind::parse(kind)
            .ok_or_else(|| wrong("kind", suggest("is none of the seven kinds", kind, Kind::ALL.map(Kind::as_str))))?;
        let now = match object.get("now") {
            None | Some(Value::Null) => now,
            Some(value) => value
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| wrong("now", "must be a time such as `2026-03-02T10:00:00Z`"))?,
        };
        let mut facts = FactSet::default();
        for (name, value) in section(object, "facts")? {
            let field = || format!("facts.{name}");
            let spec = fact_of(name, kind).map_err(|what| wrong(field(), what))?;
            if value.is_null() {
                continue;
            }
            let value = typed_value(spec.fact_type, value.clone())
                .ok_or_else(|| wrong(field(), format!("must be {}", spec.fact_type.name())))?;
            facts.know(name, value, Source::Stated);
        }
        for (name, cause) in unknown(object)? {
            fact_of(&name, kind).map_err(|what| wrong(format!("unknown.{name}"), what))?;
            facts.put(FactName::new(name), FactState::Unknown(cause.into()));
        }
        let mut counts = BTreeMap::new();
        for (rule, value) in section(object, "limits")? {
            read_counts(policy, rule, value, &mut counts).map_err(|what| wrong(format!("limits.{rule}"), what))?;
        }
        Ok(Self { kind, facts, counts, now })
    }

    /// What the policy says; limits whose facts are known and whose count was not stated saw nothing.
    #[must_use]
    pub fn put_to(&self, policy: &Policy) -> Evaluation {
        let counts = self.counts_for(policy);
        evaluate(policy, Input { kind: self.kind, facts: &self.facts, counts: &counts, now: self.now })
    }

    /// Pretends that a rule's limit has seen something: a count, or one for each window.
    ///
    /// # Errors
    /// What is wrong with the rule's name or the count.
    pub fn pretend(&mut self, policy: &Policy, rule: &str, seen: &Value) -> Result<(), String> {
        read_counts(policy, rule, seen, &mut self.counts)
    }

    pub(super) fn counts_for(&self, policy: &Policy) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        // A count is only ever taken where the facts it is taken by are known.
        for query in policy.limit_queries(self.kind, &self.facts) {
            let seen = self.counts.get(&query.window).copied().unwrap_or(0);
            counts.insert(query.window, seen);
        }
        counts
    }
}

/// The fact, if the kind has it; else what is wrong with the name.
pub(super) fn fact_of(name: &str, kind: Kind) -> Result<&'static FactSpec, String> {
    let spec = fact_catalogue::find(name).ok_or_else(|| suggest("is no fact of the catalogue", name, fact_catalogue::names()))?;
    if spec.kinds().contains(kind) { Ok(spec) } else { Err(format!("is no fact of `{kind}` operations")) }
}

fn section<'v>(object: &'v Map<String, Value>, name: &str) -> Result<Vec<(&'v String, &'v Value)>, InvalidInquiry> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(entries)) => Ok(entries.iter().collect()),
        Some(_) => Err(wrong(name, "must be an object")),
    }
}

fn unknown(object: &Map<String, Value>) -> Result<Vec<(String, String)>, InvalidInquiry> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| wrong("unknown", "must hold texts"));
    match object.get("unknown") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => names.iter().map(|name| Ok((text(name)?, "stated as unknown".to_owned()))).collect(),
        Some(Value::Object(causes)) => causes.iter().map(|(name, cause)| Ok((name.clone(), text(cause)?))).collect(),
        Some(_) => Err(wrong("unknown", "must be a list of facts, or an object of causes by fact")),
    }
}

/// The rules with a limit; one that is off may still be named, so that switching it off breaks no test.
pub(super) fn limits(policy: &Policy) -> impl Iterator<Item = (&str, &Limit)> {
    policy.rules.iter().filter_map(|rule| Some((rule.id.as_str(), rule.limit.as_ref()?)))
}

/// What a rule's windows saw: a number for all of them, or one for each by its length.
pub(super) fn read_counts(policy: &Policy, rule: &str, value: &Value, counts: &mut BTreeMap<String, u64>) -> Result<(), String> {
    let Some((_, limit)) = limits(policy).find(|(id, _)| *id == rule) else {
        return Err(suggest("is no rule with a limit", rule, limits(policy).map(|(id, _)| id)));
    };
    let number = |value: &Value| value.as_u64().ok_or_else(|| "must be a count, and not negative".to_owned());
    let Value::Object(entries) = value else {
        let seen = number(value)?;
        counts.extend(limit.windows.iter().map(|window| (window.name.clone(), seen)));
        return Ok(());
    };
    for (length, value) in entries {
        let window = limit.windows.iter().find(|window| Some(window.within) == parse_duration(length));
        let Some(window) = window else {
            let lengths: Vec<_> = limit.windows.iter().map(|window| format!("`{}`", format_duration(window.within))).collect();
            return Err(format!("has no window `{length}`; its windows are {}", lengths.join(", ")));
        };
        counts.insert(window.name.clone(), number(value)?);
    }
    Ok(())
}
