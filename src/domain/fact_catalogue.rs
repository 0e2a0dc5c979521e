//! The fact catalogue: for every fact its type, its source, whether it is personal, and the kinds that have it.
//!
//! The one place that says so; the checker, the gatherer and the audit records all ask here.

use super::domain_name::DomainName;
use super::fact::{FactName, FactState, FactValue, Source};
use super::kind::{Kind, KindSet};

/// The type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// Yes or no.
    Bool,
    /// A whole number.
    Int,
    /// A text.
    Text,
    /// A domain name.
    Domain,
    /// A list of texts.
    List,
    /// A text, number or truth value that the web app chose; its type is known only when it is read.
    Scalar,
}

impl FactType {
    /// The type's name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            FactType::Bool => "a truth value",
            FactType::Int => "a whole number",
            FactType::Text => "a text",
            FactType::Domain => "a domain name",
            FactType::List => "a list of texts",
            FactType::Scalar => "a value of the web app's choice",
        }
    }
}

/// Whom a personal fact belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// Who started the operation.
    Actor,
    /// Whom it concerns.
    Subject,
    /// Who was logged in.
    Requester,
}

/// What the catalogue says of one fact.
#[derive(Debug, Clone, Copy)]
pub struct FactSpec {
    /// Its name; a family ends in `.*` and stands for every name below.
    pub name: &'static str,
    /// Its type.
    pub fact_type: FactType,
    /// Where it is read.
    pub source: Source,
    /// Whose personal data it is, if anybody's.
    pub personal: Option<Person>,
    /// Whether a kind has it.
    has: fn(Kind) -> bool,
    /// One sentence for the reader.
    pub about: &'static str,
}

impl FactSpec {
    /// The kinds that have the fact.
    #[must_use]
    pub fn kinds(&self) -> KindSet {
        Kind::ALL.into_iter().filter(|kind| (self.has)(*kind)).collect()
    }
}

const fn every(_: Kind) -> bool {
    true
}

macro_rules! fact {
    ($name:literal, $type:ident, $source:ident, $has:expr, $about:literal) => {
        fact!($name, $type, $source, $has, $about, None)
    };
    ($name:literal, $type:ident, $source:ident, $has:expr, $about:literal, $personal:expr) => {
        FactSpec {
            name: $name,
            fact_type: FactType::$type,
            source: Source::$source,
            personal: $personal,
            has: $has,
            about: $about,
        }
    };
}

/// Every fact there is.
pub const CATALOGUE: &[FactSpec] = &[
    fact!("operation.kind", Text, Notification, every, "the kind of the operation"),
    fact!("operation.id", Text, Notification, every, "the platform's id of the operation"),
    fact!("requester.id", Text, Notification, every, "the user who was logged in when the operation was reported"),
    fact!("actor.id", Text, Details, Kind::has_actor, "the user who started the operation"),
    fact!("actor.email", Text, Notification, Kind::has_actor, "the actor's e-mail address", Some(Person::Actor)),
    fact!("actor.email_domain", Domain, Notification, Kind::has_actor, "the domain of the actor's e-mail address"),
    fact!("actor.groups", List, Notification, Kind::has_actor, "the groups the actor is in"),
    fact!(
        "actor.attributes.*",
        Scalar,
        Notification,
        Kind::has_actor,
        "what else the web app knows of the actor",
        Some(Person::Actor)
    ),
    fact!("actor.validated", Bool, Users, Kind::has_actor, "whether the actor's registration was validated"),
    fact!("actor.is_member", Bool, Members, Kind::has_actor, "whether the actor is a member of the tresor"),
    fact!("subject.id", Text, Details, Kind::has_subject, "the user whom the operation concerns"),
    fact!("subject.email", Text, Notification, Kind::has_subject, "the subject's e-mail address", Some(Person::Subject)),
    fact!("subject.email_domain", Domain, Notification, Kind::has_subject, "the domain of the subject's e-mail address"),
    fact!("subject.groups", List, Notification, Kind::has_subject, "the groups the subject is in"),
    fact!(
        "subject.attributes.*",
        Scalar,
        Notification,
        Kind::has_subject,
        "what else the web app knows of the subject",
        Some(Person::Subject)
    ),
    fact!("subject.validated", Bool, Users, Kind::has_subject, "whether the subject's registration was validated"),
    fact!("subject.is_member", Bool, Members, Kind::changes_members, "whether the subject is a member of the tresor now"),
    fact!("tresor.id", Text, Details, Kind::has_tresor, "the tresor"),
    fact!("tresor.members", List, Members, Kind::has_tresor, "the ids of the tresor's members"),
    fact!("tresor.member_count", Int, Members, Kind::has_tresor, "how many members the tresor has now"),
    fact!(
        "tresor.members_after",
        Int,
        Members,
        Kind::changes_members,
        "how many members the tresor would have once this is approved"
    ),
    fact!("tresor.creator_id", Text, Record, Kind::has_tresor, "the user who created the tresor, if Assent decided its creation"),
    fact!(
        "context.*",
        Text,
        Notification,
        every,
        "what the web app says of the request, such as `context.ip`",
        Some(Person::Requester)
    ),
];

/// The facts whose value is a user.
pub const USER_FACTS: [&str; 4] = ["actor.id", "subject.id", "requester.id", "tresor.creator_id"];

/// What the catalogue says of a name, families included.
#[must_use]
pub fn find(name: &str) -> Option<&'static FactSpec> {
    CATALOGUE.iter().find(|spec| match spec.name.strip_suffix('*') {
        Some(prefix) => name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)),
        None => spec.name == name,
    })
}

/// Whether the values of a fact are personal data. A name outside the catalogue is treated as personal.
#[must_use]
pub fn is_personal(name: &FactName) -> bool {
    find(name.as_str()).is_none_or(|spec| spec.personal.is_some())
}

/// A JSON value as a fact of the given type; `None` where it does not fit.
#[must_use]
pub fn typed_value(fact_type: FactType, value: &serde_json::Value) -> Option<FactValue> {
    use serde_json::Value;
    match (fact_type, value) {
        (FactType::Bool | FactType::Scalar, Value::Bool(value)) => Some(FactValue::Bool(*value)),
        (FactType::Int | FactType::Scalar, Value::Number(value)) => value.as_i64().map(FactValue::Int),
        (FactType::Text | FactType::Scalar, Value::String(value)) => Some(FactValue::Text(value.clone())),
        (FactType::Domain, Value::String(value)) => DomainName::parse(value).map(FactValue::Domain),
        (FactType::List, Value::Array(values)) => {
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<_>>().map(FactValue::List)
        }
        _ => None,
    }
}

/// A JSON value as what is known of a fact: what does not fit its type is unknown, never false.
#[must_use]
pub fn typed_state(fact_type: FactType, value: &serde_json::Value, source: Source) -> FactState {
    match (value, typed_value(fact_type, value)) {
        (serde_json::Value::Null, _) => FactState::Absent,
        (_, Some(value)) => FactState::Known(value, source),
        (_, None) => FactState::Unknown(format!("the source's value is not {}", fact_type.name()).into()),
    }
}
