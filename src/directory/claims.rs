//! What one source says of somebody, and how the sources' answers become facts.

use super::Down;
use crate::domain::domain_name::DomainName;
use crate::domain::duration::elapsed;
use crate::domain::fact::{FactName, FactState, FactValue, Source};
use crate::domain::fact_catalogue::{FactType, typed_state};
use crate::domain::operation::UserClaims;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a source has of a person or a tresor.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Claims {
    pub(super) email: Option<String>,
    pub(super) groups: Option<Vec<String>>,
    pub(super) creator_id: Option<FactValue>,
    pub(super) created_at: Option<FactValue>,
    pub(super) attributes: BTreeMap<String, Value>,
}

impl Claims {
    /// A record as sources write it, of a user or of a tresor.
    pub(super) fn read(value: Value, is_of_user: bool) -> Result<Self, serde_json::Error> {
        if is_of_user {
            serde_json::from_value::<UserClaims>(value).map(Self::from)
        } else {
            serde_json::from_value::<TresorClaims>(value).map(Self::from)
        }
    }

    /// The same from the columns of a table: those that are no field of a record are attributes.
    pub(super) fn of_columns(
        columns: impl IntoIterator<Item = (String, Value)>,
        is_of_user: bool,
    ) -> Result<Self, serde_json::Error> {
        let own: [&str; 2] = if is_of_user { ["email", "groups"] } else { ["creator_id", "created_at"] };
        let (mut fields, attributes): (Map<_, _>, Map<_, _>) =
            columns.into_iter().partition(|(name, _)| own.contains(&name.as_str()));
        fields.insert("attributes".to_owned(), Value::Object(attributes));
        Self::read(Value::Object(fields), is_of_user)
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> u32 {
        let groups = self.groups.iter().flatten().map(|group| group.len() + 32).sum::<usize>();
        let attributes = self.attributes.iter().map(|(name, value)| name.len() + value.to_string().len() + 64).sum::<usize>();
        let email = self.email.as_ref().map_or(0, String::len);
        u32::try_from(groups + attributes + email + 256).unwrap_or(u32::MAX)
    }
}

impl From<UserClaims> for Claims {
    fn from(claims: UserClaims) -> Self {
        Self { email: claims.email, groups: claims.groups, attributes: claims.attributes, ..Self::default() }
    }
}

/// What a source says of a tresor, as JSON or YAML.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TresorClaims {
    #[serde(default)]
    creator_id: Option<String>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

impl From<TresorClaims> for Claims {
    fn from(claims: TresorClaims) -> Self {
        Self {
            creator_id: claims.creator_id.map(FactValue::Text),
            created_at: claims.created_at.map(FactValue::Time),
            attributes: claims.attributes,
            ..Self::default()
        }
    }
}

/// One source's answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) source: Source,
    pub(super) said: Result<Option<Arc<Claims>>, Down>,
}

/// What is wanted of somebody.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    fields: BTreeSet<Field>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Email,
    Groups,
    CreatorId,
    CreatedAt,
    Attribute(String),
}

impl Field {
    fn of(&self, claims: &Claims, source: Source) -> Option<FactState> {
        let known = |value| FactState::Known(value, source);
        match self {
            Field::Email => claims.email.clone().map(FactValue::Text).map(known),
            Field::Groups => claims.groups.clone().map(FactValue::List).map(known),
            Field::CreatorId => claims.creator_id.clone().map(known),
            Field::CreatedAt => claims.created_at.clone().map(known),
            Field::Attribute(name) => {
                let state = typed_state(FactType::Scalar, claims.attributes.get(name)?.clone(), source);
                (state != FactState::Absent).then_some(state)
            }
        }
    }
}

impl Wanted {
    pub(super) fn of_person(prefix: &str, needed: &BTreeSet<FactName>) -> Self {
        Self::of(prefix, needed, |suffix| match suffix {
            "email" | "email_domain" | "registrable_domain" => Some(Field::Email),
            "groups" => Some(Field::Groups),
            _ => None,
        })
    }

    pub(super) fn of_tresor(needed: &BTreeSet<FactName>) -> Self {
        Self::of("tresor", needed, |suffix| match suffix {
            "creator_id" => Some(Field::CreatorId),
            "created_at" | "age" => Some(Field::CreatedAt),
            _ => None,
        })
    }

    fn of(prefix: &str, needed: &BTreeSet<FactName>, known: impl Fn(&str) -> Option<Field>) -> Self {
        let field = |name: &FactName| {
            let suffix = name.as_str().strip_prefix(prefix)?.strip_prefix('.')?;
            known(suffix).or_else(|| suffix.strip_prefix("attributes.").map(|name| Field::Attribute(name.to_owned())))
        };
        Self { fields: needed.iter().filter_map(field).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Whether no further source could change anything.
    pub(super) fn are_settled<'a>(&self, answers: impl IntoIterator<Item = &'a Answer> + Clone) -> bool {
        self.fields.iter().all(|field| !matches!(resolve(field, answers.clone()), FactState::Absent))
    }

    pub(super) fn facts(&self, prefix: &str, answers: &[Answer]) -> Vec<(FactName, FactState)> {
        let mut facts = Vec::new();
        let name = |suffix: &str| FactName::new(format!("{prefix}.{suffix}"));
        for field in &self.fields {
            let state = resolve(field, answers);
            match field {
                Field::Email => {
                    let domain = domain_of(&state);
                    let registrable = match &domain {
                        FactState::Known(FactValue::Domain(name), source) => match name.registrable() {
                            Some(name) => FactState::Known(FactValue::Domain(name), *source),
                            None => FactState::Absent,
                        },
                        other => other.clone(),
                    };
                    facts.extend([(name("email_domain"), domain), (name("registrable_domain"), registrable)]);
                    facts.push((name("email"), state));
                }
                Field::Groups => facts.push((name("groups"), state)),
                Field::Attribute(attribute) => facts.push((name(&format!("attributes.{attribute}")), state)),
                Field::CreatorId | Field::CreatedAt => {}
            }
        }
        facts
    }

    pub(super) fn tresor_facts(&self, answers: &[Answer], now: Timestamp) -> Vec<(FactName, FactState)> {
        let mut facts = Vec::new();
        for field in &self.fields {
            let state = resolve(field, answers);
            match field {
                Field::CreatorId => facts.push((FactName::new("tresor.creator_id"), state)),
                Field::CreatedAt => {
                    let age = match &state {
                        FactState::Known(FactValue::Time(created_at), source) => {
                            FactState::Known(FactValue::Duration(elapsed(*created_at, now)), *source)
                        }
                        other => other.clone(),
                    };
                    facts.extend([(FactName::new("tresor.age"), age), (FactName::new("tresor.created_at"), state)]);
                }
                Field::Attribute(name) => facts.push((FactName::new(format!("tresor.attributes.{name}")), state)),
                Field::Email | Field::Groups => {}
            }
        }
        facts
    }
}

/// The first source that has it; unknown if one before that is down.
fn resolve<'a>(field: &Field, answers: impl IntoIterator<Item = &'a Answer>) -> FactState {
    for answer in answers {
        match &answer.said {
            Ok(Some(claims)) => {
                if let Some(state) = field.of(claims, answer.source) {
                    return state;
                }
            }
            Ok(None) => {}
            Err(down) => return FactState::Unknown(format!("directory {}: {down}", source_name(answer.source)).into()),
        }
    }
    FactState::Absent
}

pub(super) const fn source_name(source: Source) -> &'static str {
    match source {
        Source::File => "file",
        Source::Http => "http",
        Source::Sql => "sql",
        _ => "source",
    }
}

fn domain_of(email: &FactState) -> FactState {
    match email {
        // What is no valid address has no domain: absent, and so never a match.
        FactState::Known(FactValue::Text(email), source) => match DomainName::of_email(email) {
            Some(domain) => FactState::Known(FactValue::Domain(domain), *source),
            None => FactState::Absent,
        },
        other => other.clone(),
    }
}
