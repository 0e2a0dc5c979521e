//! Facts: named, typed values that a rule can use. Each is known, absent or unknown, and carries its source.

use super::domain_name::DomainName;
use super::duration::format_duration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The name of a fact, such as `tresor.members_after`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct FactName(Arc<str>);

impl FactName {
    /// Takes the name as it is; the catalogue says whether there is such a fact.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of a known fact.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FactValue {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A text, compared byte for byte.
    Text(String),
    /// A domain name, compared without case in IDNA form.
    #[serde(serialize_with = "domain_text")]
    Domain(DomainName),
    /// A list of texts.
    List(Vec<String>),
    /// A moment, UTC.
    Time(Timestamp),
    /// A length of time, in whole milliseconds.
    #[serde(serialize_with = "duration_text")]
    Duration(Duration),
}

fn duration_text<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

fn domain_text<S: serde::Serializer>(name: &DomainName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

impl FactValue {
    /// The value as a sentence would quote it.
    #[must_use]
    pub fn display(&self) -> Cow<'_, str> {
        match self {
            FactValue::Bool(value) => Cow::Owned(value.to_string()),
            FactValue::Int(value) => Cow::Owned(value.to_string()),
            FactValue::Text(value) => Cow::Borrowed(value),
            FactValue::Domain(value) => Cow::Borrowed(value.as_str()),
            FactValue::List(values) => Cow::Owned(values.join(", ")),
            FactValue::Time(value) => Cow::Owned(value.to_string()),
            FactValue::Duration(value) => Cow::Owned(format_duration(*value)),
        }
    }
}

/// Where a fact came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The signed notification of the web app.
    Notification,
    /// The details of the operation at the platform.
    Details,
    /// The platform's list of a tresor's members.
    Members,
    /// The platform's list of users.
    Users,
    /// What Assent itself recorded earlier.
    Record,
    /// The directory's file.
    File,
    /// The directory's HTTP endpoint.
    Http,
    /// The directory's SQL query.
    Sql,
    /// A test case or an evaluation request that states the facts itself.
    Stated,
}

/// What is known of one fact.
#[derive(Debug, Clone, PartialEq)]
pub enum FactState {
    /// It has this value.
    Known(FactValue, Source),
    /// Every source answered and none has it.
    Absent,
    /// Its source failed, for this cause.
    Unknown(Cow<'static, str>),
}

/// The facts of one operation. What was never put in is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FactSet(BTreeMap<FactName, FactState>);

impl FactSet {
    /// Takes a fact out, so that it is absent.
    pub fn forget(&mut self, name: &FactName) {
        self.0.remove(name);
    }

    /// States a fact; the last word counts.
    pub fn put(&mut self, name: FactName, state: FactState) {
        self.0.insert(name, state);
    }

    /// States what others state.
    pub fn put_all(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Whether anything was stated of a fact, if only that it is absent.
    #[must_use]
    pub fn has(&self, name: &FactName) -> bool {
        self.0.contains_key(name)
    }

    /// States a known fact by its name.
    pub fn know(&mut self, name: &str, value: FactValue, source: Source) {
        self.put(FactName::new(name), FactState::Known(value, source));
    }

    /// What is known of a fact.
    #[must_use]
    pub fn get(&self, name: &FactName) -> &FactState {
        self.0.get(name).unwrap_or(&FactState::Absent)
    }

    /// All facts that were put in, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&FactName, &FactState)> {
        self.0.iter()
    }
}
