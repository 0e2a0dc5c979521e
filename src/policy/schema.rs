//! JSON Schema of rule files and of test files, for editors: made from the catalogue and the operators, so that it cannot
//! fall behind them. It knows which operators a fact has; what needs more than one place in a file is the checker's.

use super::cases::{CASE_KEYS, EXPECTATIONS};
use super::load::HEAD_KEYS;
use super::operator::OPERATORS;
use super::rule::KEYS;
use crate::domain::effect::Action;
use crate::domain::fact_catalogue::{self, FactSpec, FactType, USER_FACTS};
use crate::domain::kind::Kind;
use serde_json::{Map, Value, json};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";

/// The schema of a rule file.
#[must_use]
pub fn rule_schema() -> Value {
    let text = || json!({ "type": "string" });
    let template =
        || json!({ "type": "string", "description": "quotes public facts in braces, such as `{tresor.members_after}`" });
    let kinds: Vec<_> = Kind::ALL.map(Kind::as_str).into();
    let expiry = json!({ "type": "string", "description": "a day, which ends as it begins in UTC, or a time" });
    let window = object(&[("within", duration()), ("max", count())], &["within", "max"]);
    let rule = object(
        &[
            ("id", json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,63}$" })),
            ("description", text()),
            ("mode", json!({ "enum": ["enforce", "shadow", "off"], "default": "enforce" })),
            ("owner", text()),
            ("expires", expiry.clone()),
            ("on", one_or_more(json!({ "enum": kinds }))),
            ("effect", json!({ "enum": ["approve", "reject", "escalate"] })),
            ("when", reference("condition")),
            (
                "except",
                json!({ "type": "array", "items": object(&[("when", reference("condition")), ("owner", text()), ("reason", text()), ("ticket", text()), ("expires", expiry)], &["when", "owner", "reason", "expires"]) }),
            ),
            (
                "limit",
                object(
                    &[
                        ("count", json!({ "enum": kinds })),
                        ("per", one_or_more(text())),
                        ("within", duration()),
                        ("max", count()),
                        ("windows", json!({ "type": "array", "minItems": 1, "items": window })),
                    ],
                    &["count", "per"],
                ),
            ),
            ("reason", template()),
            ("message", template()),
            ("then", json!({ "type": "array", "minItems": 1, "items": effect() })),
            ("additional_info", template()),
            ("review", review()),
        ],
        &["id", "on", "effect"],
    );
    debug_assert!(KEYS.iter().all(|key| rule.pointer(&format!("/properties/{key}")).is_some()));
    let list = json!({ "anyOf": [{ "type": "array", "items": text() }, object(&[("file", text())], &["file"])] });
    let calendar =
        object(&[("timezone", text()), ("hours", one_or_more(text())), ("holidays", list.clone())], &["timezone", "hours"]);
    let word = json!({ "enum": ["reject", "escalate"] });
    let mut schema = object(
        &[
            ("version", json!({ "const": 1 })),
            ("defaults", object(&[("verdict", word.clone()), ("on_unknown", word), ("review", review())], &[])),
            ("lists", json!({ "type": "object", "additionalProperties": list })),
            ("calendars", json!({ "type": "object", "additionalProperties": calendar })),
            ("rules", json!({ "type": ["array", "null"], "items": rule })),
        ],
        &["version"],
    );
    debug_assert!(HEAD_KEYS.iter().all(|key| schema.pointer(&format!("/properties/{key}")).is_some()));
    if let Value::Object(entries) = &mut schema {
        entries.insert("$schema".into(), json!(DRAFT));
        entries.insert("title".into(), json!("Assent policy: rules"));
        entries.insert("$defs".into(), definitions());
    }
    schema
}

/// The schema of a test file.
#[must_use]
pub fn case_schema() -> Value {
    let text = || json!({ "type": "string" });
    let time = json!({ "type": "string", "description": "such as `2026-03-02T10:00:00Z`" });
    let (known, families) = fact_names();
    let stated = |value: &dyn Fn(&FactSpec) -> Value| facts(&known, &families, value);
    let facts =
        stated(&|spec| json!({ "description": describe(spec), "anyOf": [stated_value(spec.fact_type), { "type": "null" }] }));
    let unknown = json!({ "anyOf": [stated(&|spec| json!({ "type": "string", "description": describe(spec) })), { "type": "array", "items": text() }] });
    let limits = json!({ "type": "object", "additionalProperties": { "anyOf": [count(), { "type": "object", "additionalProperties": count() }] } });
    let kind = json!({ "enum": Kind::ALL.map(Kind::as_str) });
    let ids = || one_or_more(text());
    let expect = object(
        &[
            ("verdict", json!({ "enum": ["approve", "reject", "escalate"] })),
            ("rules", ids()),
            ("shadow", ids()),
            ("unknown", ids()),
            ("reason", text()),
            ("message", json!({ "type": ["string", "null"] })),
            ("additional_info", json!({ "type": ["string", "null"] })),
            ("then", json!({ "type": "array", "items": effect() })),
        ],
        &[],
    );
    debug_assert!(EXPECTATIONS.iter().all(|key| expect.pointer(&format!("/properties/{key}")).is_some()));
    let base = [("kind", kind), ("facts", facts), ("unknown", unknown), ("limits", limits)];
    let mut case = base.to_vec();
    case.extend([("name", text()), ("now", time.clone()), ("expect", expect)]);
    let case = object(&case, &["name", "expect"]);
    debug_assert!(CASE_KEYS.iter().all(|key| case.pointer(&format!("/properties/{key}")).is_some()));
    let mut schema = object(
        &[
            ("now", time.clone()),
            ("base", object(&[&base[..], &[("now", time.clone())]].concat(), &[])),
            ("tests", json!({ "type": "array", "items": case })),
        ],
        &["tests"],
    );
    if let Value::Object(entries) = &mut schema {
        entries.insert("$schema".into(), json!(DRAFT));
        entries.insert("title".into(), json!("Assent policy: tests"));
    }
    schema
}

/// A mapping with these keys and no others.
fn object(properties: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: Map<_, _> = properties.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn one_or_more(item: Value) -> Value {
    json!({ "anyOf": [item.clone(), { "type": "array", "items": item }] })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn duration() -> Value {
    json!({ "type": "string", "pattern": DURATION })
}

fn review() -> Value {
    object(&[("ttl", duration()), ("on_timeout", json!({ "enum": ["reject", "keep"], "default": "reject" }))], &[])
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn effect() -> Value {
    let what = || {
        object(
            &[("user", json!({ "type": "string", "examples": USER_FACTS })), ("enable", json!({ "type": "boolean" }))],
            &["user", "enable"],
        )
    };
    let actions: Map<_, _> = Action::ALL.map(|action| (action.as_str().to_owned(), what())).into_iter().collect();
    json!({ "type": "object", "properties": actions, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 })
}

fn describe(spec: &FactSpec) -> String {
    let kinds: Vec<_> = spec.kinds().iter().map(Kind::as_str).collect();
    let kinds = if kinds.len() == Kind::ALL.len() { "every kind".to_owned() } else { kinds.join(", ") };
    let personal = if spec.personal.is_some() { "; personal" } else { "" };
    format!("{} ({}; on {kinds}{personal})", spec.about, spec.fact_type.name())
}

/// Exact names, and the beginnings of families.
fn fact_names() -> (Vec<&'static FactSpec>, Vec<&'static FactSpec>) {
    fact_catalogue::all().partition(|spec| !spec.name.ends_with('*'))
}

fn facts(known: &[&FactSpec], families: &[&FactSpec], value: &dyn Fn(&FactSpec) -> Value) -> Value {
    let known: Map<_, _> = known.iter().map(|spec| (spec.name.to_owned(), value(spec))).collect();
    let families: Map<_, _> = families.iter().map(|spec| (pattern(spec), value(spec))).collect();
    json!({ "type": "object", "properties": known, "patternProperties": families, "additionalProperties": false })
}

fn pattern(spec: &FactSpec) -> String {
    format!("^{}.+$", spec.name.trim_end_matches('*').replace('.', "\\."))
}

fn stated_value(fact_type: FactType) -> Value {
    match fact_type {
        FactType::Bool => json!({ "type": "boolean" }),
        FactType::Int => count(),
        FactType::Text | FactType::Domain | FactType::Time => json!({ "type": "string" }),
        FactType::Duration => duration(),
        FactType::List => json!({ "type": "array", "items": { "type": "string" } }),
        FactType::Scalar => json!({ "type": ["boolean", "integer", "string", "array"] }),
    }
}

/// Conditions: `all`, `any`, `not`, `time`, and every fact with the operators of its type.
fn definitions() -> Value {
    let conditions = json!({ "type": "array", "minItems": 1, "items": reference("condition") });
    let (known, families) = fact_names();
    let ask = |spec: &FactSpec| {
        let mut question = reference(spec.fact_type.word());
        if let Value::Object(entries) = &mut question {
            entries.insert("description".into(), json!(describe(spec)));
        }
        question
    };
    let mut condition = facts(&known, &families, &ask);
    let joined = [
        ("all", conditions.clone()),
        ("any", conditions),
        ("not", reference("condition")),
        ("time", object(&[("within", json!({ "type": "string" })), ("outside", json!({ "type": "string" }))], &[])),
    ];
    if let Some(Value::Object(properties)) = condition.get_mut("properties") {
        properties.extend(joined.map(|(key, value)| (key.to_owned(), value)));
    }
    if let Value::Object(entries) = &mut condition {
        entries.insert("minProperties".into(), json!(1));
    }
    let mut definitions = Map::from_iter([("condition".to_owned(), condition), ("element".to_owned(), element())]);
    let types = [
        FactType::Bool,
        FactType::Int,
        FactType::Text,
        FactType::Domain,
        FactType::List,
        FactType::Time,
        FactType::Duration,
        FactType::Scalar,
    ];
    for fact_type in types {
        definitions.insert(fact_type.word().to_owned(), question(fact_type));
    }
    Value::Object(definitions)
}

/// What can be asked of a fact of a type: a value that it must be equal to, or operators.
fn question(fact_type: FactType) -> Value {
    let operators: Vec<_> = OPERATORS
        .iter()
        .filter(|(_, types, _)| types.contains(&fact_type))
        .map(|(name, _, about)| (*name, operand(fact_type, name, about)))
        .collect();
    let mut asked = object(&operators, &[]);
    if let Value::Object(entries) = &mut asked {
        entries.insert("minProperties".into(), json!(1));
    }
    if fact_type == FactType::List { asked } else { json!({ "anyOf": [literal(fact_type), asked] }) }
}

/// What can be asked of an element of a list.
fn element() -> Value {
    let elements = json!({ "type": "array", "minItems": 1, "items": reference("element") });
    let mut operators: Vec<_> = OPERATORS
        .iter()
        .filter(|(name, types, _)| types.contains(&FactType::Text) && *name != "exists")
        .map(|(name, _, about)| (*name, operand(FactType::Text, name, about)))
        .collect();
    operators.extend([("all", elements.clone()), ("any", elements), ("not", reference("element"))]);
    json!({ "anyOf": [{ "type": "string" }, object(&operators, &[])] })
}

fn literal(fact_type: FactType) -> Value {
    match fact_type {
        FactType::Scalar => json!({ "type": ["boolean", "integer", "string"] }),
        other => stated_value(other),
    }
}

fn operand(fact_type: FactType, operator: &str, about: &str) -> Value {
    let fact = || object(&[("fact", json!({ "type": "string" }))], &["fact"]);
    let list = |item: Value| json!({ "anyOf": [{ "type": "array", "minItems": 1, "items": item }, object(&[("list", json!({ "type": "string" }))], &["list"]), fact()] });
    let mut schema = match operator {
        "exists" => json!({ "type": "boolean" }),
        "starts_with" | "ends_with" | "matches" => json!({ "type": "string", "minLength": 1 }),
        "size" => json!({ "anyOf": [count(), reference("int")] }),
        "any" | "every" | "none" => reference("element"),
        "contains" => json!({ "anyOf": [{ "type": "string", "minLength": 1 }, fact()] }),
        "contains_any" | "contains_all" => list(json!({ "type": "string" })),
        "in" | "not_in" => list(literal(fact_type)),
        _ => json!({ "anyOf": [literal(fact_type), fact()] }),
    };
    if let Value::Object(entries) = &mut schema {
        entries.insert("description".into(), json!(about));
    }
    schema
}
