//! The fact catalogue: for every fact its type, where it comes from, what makes it unknown, whether it is personal, and the
//! kinds that have it.
//!
//! The one place that says so; the checker, the gatherer, the audit records, the JSON Schema and the documentation all ask
//! here.

use super::domain_name::DomainName;
use super::duration::parse_duration;
use super::fact::{FactName, FactState, FactValue, Source};
use super::kind::{Kind, KindSet};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The type of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// Yes or no.
    Bool,
    /// A whole number, never negative.
    Int,
    /// A text.
    Text,
    /// A domain name.
    Domain,
    /// A list of texts.
    List,
    /// A moment.
    Time,
    /// A length of time.
    Duration,
    /// A text, number, truth value or list of texts that the web app chose; its type is known only when it is read.
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
            FactType::Time => "a time",
            FactType::Duration => "a duration",
            FactType::Scalar => "a value of the web app's choice",
        }
    }

    /// The type's name in tables and for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            FactType::Bool => "bool",
            FactType::Int => "int",
            FactType::Text => "text",
            FactType::Domain => "domain",
            FactType::List => "list",
            FactType::Time => "time",
            FactType::Duration => "duration",
            FactType::Scalar => "any",
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

/// Where a fact comes from; a known fact names the very [`Source`] that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The signed notification.
    Notification,
    /// The signed notification, then the directory's sources in their order.
    Directory,
    /// The operation's details at the platform.
    Details,
    /// The platform's list of the tresor's members.
    Members,
    /// The platform's list of users.
    Users,
    /// What Assent recorded of the tresor, then the directory's sources in their order.
    Record,
    /// The database's clock against the details, or against the first report where the platform names no time.
    Clock,
}

impl Origin {
    /// The origin's name in tables and for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Origin::Notification => "notification",
            Origin::Directory => "directory",
            Origin::Details => "details",
            Origin::Members => "members",
            Origin::Users => "users",
            Origin::Record => "record",
            Origin::Clock => "clock",
        }
    }

    /// What makes a fact of this origin unknown.
    #[must_use]
    pub const fn unknown_when(self) -> &'static str {
        match self {
            Origin::Notification => "never; absent where the notification does not say it",
            Origin::Directory => "a source that comes before the answer is down, or gives a value that is no fact",
            Origin::Details => "never: without the details nothing is decided",
            Origin::Members => "the platform refuses to list the tresor's members",
            Origin::Users => "the platform refuses to list its users",
            Origin::Record => "Assent has no record of it and a directory source is down",
            Origin::Clock => "never",
        }
    }
}

/// What the catalogue says of one fact.
#[derive(Debug, Clone, Copy)]
pub struct FactSpec {
    /// Its name; a family ends in `.*` and stands for every name below.
    pub name: &'static str,
    /// Its type.
    pub fact_type: FactType,
    /// Where it comes from.
    pub origin: Origin,
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

const fn has_older_tresor(kind: Kind) -> bool {
    kind.has_tresor() && !matches!(kind, Kind::TresorCreation)
}

macro_rules! fact {
    ($name:expr, $type:ident, $origin:ident, $has:expr, $about:expr) => {
        fact!($name, $type, $origin, $has, $about, None)
    };
    ($name:expr, $type:ident, $origin:ident, $has:expr, $about:expr, $personal:expr) => {
        FactSpec {
            name: $name,
            fact_type: FactType::$type,
            origin: Origin::$origin,
            personal: $personal,
            has: $has,
            about: $about,
        }
    };
}

/// What is known of each of the three people, in the same words.
macro_rules! person {
    ($prefix:literal, $person:ident, $id_origin:ident, $has:expr, $member_has:expr, $about:literal) => {
        [
            fact!(concat!($prefix, ".id"), Text, $id_origin, $has, concat!("the user ", $about)),
            fact!(
                concat!($prefix, ".email"),
                Text,
                Directory,
                $has,
                concat!("the e-mail address of the ", $prefix),
                Some(Person::$person)
            ),
            fact!(
                concat!($prefix, ".email_domain"),
                Domain,
                Directory,
                $has,
                "the domain of that address; absent where the address is none"
            ),
            fact!(
                concat!($prefix, ".registrable_domain"),
                Domain,
                Directory,
                $has,
                "the part of that domain that somebody registered: `example.co.uk` of `mail.example.co.uk`"
            ),
            fact!(concat!($prefix, ".groups"), List, Directory, $has, concat!("the groups the ", $prefix, " is in")),
            fact!(
                concat!($prefix, ".attributes.*"),
                Scalar,
                Directory,
                $has,
                concat!("what else is known of the ", $prefix),
                Some(Person::$person)
            ),
            fact!(
                concat!($prefix, ".validated"),
                Bool,
                Users,
                $has,
                concat!("whether the registration of the ", $prefix, " was validated")
            ),
            fact!(
                concat!($prefix, ".is_member"),
                Bool,
                Members,
                $member_has,
                concat!("whether the ", $prefix, " is a member of the tresor now")
            ),
        ]
    };
}

const OPERATION: [FactSpec; 3] = [
    fact!("operation.kind", Text, Notification, every, "the kind of the operation"),
    fact!("operation.id", Text, Notification, every, "the platform's id of the operation"),
    fact!(
        "operation.age",
        Duration,
        Clock,
        every,
        "how long ago the operation was started at the platform; where the platform does not say (share, tresor creation, user validation), how long ago it was first reported"
    ),
];
const REQUESTER: [FactSpec; 8] =
    person!("requester", Requester, Notification, every, Kind::has_tresor, "who was logged in when the operation was reported");
const ACTOR: [FactSpec; 8] = person!("actor", Actor, Details, Kind::has_actor, Kind::has_actor, "who started the operation");
const SUBJECT: [FactSpec; 8] =
    person!("subject", Subject, Details, Kind::has_subject, Kind::changes_members, "whom the operation concerns");
const TRESOR: [FactSpec; 8] = [
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
    fact!("tresor.creator_id", Text, Record, Kind::has_tresor, "the user who created the tresor"),
    fact!("tresor.created_at", Time, Record, has_older_tresor, "when the tresor's creation was approved"),
    fact!("tresor.age", Duration, Record, has_older_tresor, "how long ago that was"),
    fact!(
        "tresor.attributes.*",
        Scalar,
        Record,
        Kind::has_tresor,
        "what else the directory knows of the tresor, such as `tresor.attributes.classification`; not for personal data"
    ),
];
const CONTEXT: [FactSpec; 1] = [fact!(
    "context.*",
    Text,
    Notification,
    every,
    "what the web app says of the request, such as `context.ip`",
    Some(Person::Requester)
)];

/// Every fact there is, room by room.
pub const CATALOGUE: [&[FactSpec]; 6] = [&OPERATION, &REQUESTER, &ACTOR, &SUBJECT, &TRESOR, &CONTEXT];

/// The facts whose value is a user.
pub const USER_FACTS: [&str; 4] = ["actor.id", "subject.id", "requester.id", "tresor.creator_id"];

/// Every fact there is.
pub fn all() -> impl Iterator<Item = &'static FactSpec> {
    CATALOGUE.into_iter().flatten()
}

/// Every fact's name, for suggestions.
pub fn names() -> impl Iterator<Item = &'static str> {
    all().map(|spec| spec.name)
}

/// What the catalogue says of a name, families included.
#[must_use]
pub fn find(name: &str) -> Option<&'static FactSpec> {
    let is_of_family = |spec: &&FactSpec| {
        let rest = spec.name.strip_suffix('*').and_then(|prefix| name.strip_prefix(prefix));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || "{}*".contains(c)))
    };
    BY_NAME.get(name).copied().filter(|spec| !spec.name.ends_with('*')).or_else(|| all().find(is_of_family))
}

/// Looked up several times for each operation.
static BY_NAME: LazyLock<HashMap<&str, &FactSpec>> = LazyLock::new(|| all().map(|spec| (spec.name, spec)).collect());

/// Whether the values of a fact are personal data. A name outside the catalogue is treated as personal.
#[must_use]
pub fn is_personal(name: &FactName) -> bool {
    find(name.as_str()).is_none_or(|spec| spec.personal.is_some())
}

/// A JSON value as a fact of the given type; `None` where it does not fit.
#[must_use]
pub fn typed_value(fact_type: FactType, value: serde_json::Value) -> Option<FactValue> {
    use serde_json::Value;
    match (fact_type, value) {
        (FactType::Bool | FactType::Scalar, Value::Bool(value)) => Some(FactValue::Bool(value)),
        (FactType::Int, Value::Number(value)) => value.as_i64().filter(|value| *value >= 0).map(FactValue::Int),
        (FactType::Scalar, Value::Number(value)) => value.as_i64().map(FactValue::Int),
        (FactType::Text | FactType::Scalar, Value::String(value)) => Some(FactValue::Text(value)),
        (FactType::Domain, Value::String(value)) => DomainName::parse(&value).map(FactValue::Domain),
        (FactType::Time, Value::String(value)) => value.parse::<Timestamp>().ok().map(FactValue::Time),
        (FactType::Duration, Value::String(value)) => parse_duration(&value).map(FactValue::Duration),
        (FactType::List | FactType::Scalar, Value::Array(values)) => {
            let text = |value| if let Value::String(text) = value { Some(text) } else { None };
            values.into_iter().map(text).collect::<Option<_>>().map(FactValue::List)
        }
        _ => None,
    }
}

/// A JSON value as what is known of a fact: what does not fit its type is unknown, never false.
#[must_use]
pub fn typed_state(fact_type: FactType, value: serde_json::Value, source: Source) -> FactState {
    if value.is_null() {
        return FactState::Absent;
    }
    match typed_value(fact_type, value) {
        Some(value) => FactState::Known(value, source),
        None => FactState::Unknown(format!("the source's value is not {}", fact_type.name()).into()),
    }
}
