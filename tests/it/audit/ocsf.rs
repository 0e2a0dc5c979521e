//! What OCSF 1.5.0 says of the events that are exported, as far as they use it: which attributes there are and of which type, which must
//! be there, and how numbers are called. An attribute that is not listed here is not known to be one.

use assent::audit::{Form, Record, Stream, ocsf_event};
use assent::domain::kind::Kind;
use serde_json::{Map, Value, json};

/// The type of an attribute.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Number,
    /// One of the numbers of an enumeration; the attribute named has the caption, or where it is 99 whatever the source calls it.
    Named(&'static str, &'static [(i64, &'static str)]),
    Object(&'static Object),
    Objects(&'static Object),
    Texts,
    /// Anything.
    Json,
}

/// An object: its attributes, those that it must have, and those of which it must have one.
struct Object {
    attributes: &'static [(&'static str, Type)],
    required: &'static [&'static str],
    one_of: &'static [&'static str],
}

use Type::{Json, Named, Number, Object as Of, Objects, Text, Texts};

const fn object(
    attributes: &'static [(&'static str, Type)],
    required: &'static [&'static str],
    one_of: &'static [&'static str],
) -> Object {
    Object { attributes, required, one_of }
}

static USER: Object = object(&[("name", Text), ("uid", Text)], &[], &["account", "name", "uid"]);
static ACTOR: Object =
    object(&[("app_name", Text), ("user", Of(&USER))], &[], &["app_name", "app_uid", "process", "session", "user"]);
static REQUEST: Object = object(&[("uid", Text)], &["uid"], &[]);
static SERVICE: Object = object(&[("name", Text)], &[], &["name", "uid"]);
static API: Object = object(&[("operation", Text), ("request", Of(&REQUEST)), ("service", Of(&SERVICE))], &["operation"], &[]);
static ENDPOINT: Object = object(&[("svc_name", Text)], &[], &["hostname", "ip", "name", "svc_name", "uid"]);
static POLICY: Object = object(&[("data", Json), ("name", Text), ("uid", Text)], &[], &["name", "uid"]);
static RESOURCE: Object = object(&[("name", Text), ("type", Text), ("uid", Text)], &[], &["name", "uid"]);
static PRODUCT: Object = object(&[("name", Text), ("vendor_name", Text), ("version", Text)], &[], &["name", "uid"]);
static METADATA: Object = object(
    &[
        ("correlation_uid", Text),
        ("event_code", Text),
        ("log_name", Text),
        ("product", Of(&PRODUCT)),
        ("profiles", Texts),
        ("sequence", Number),
        ("tenant_uid", Text),
        ("uid", Text),
        ("version", Text),
    ],
    &["product", "version"],
    &[],
);
static ENTITY: Object = object(
    &[("policy", Of(&POLICY)), ("type", Text), ("type_id", Named("type", &[(5, "Policy")])), ("uid", Text), ("version", Text)],
    &[],
    &["name", "policy", "uid", "user"],
);

const ACTIONS: &[(i64, &str)] = &[(0, "Unknown"), (1, "Allowed"), (2, "Denied"), (3, "Observed"), (4, "Modified")];
const DISPOSITIONS: &[(i64, &str)] = &[(0, "Unknown"), (1, "Allowed"), (8, "Approved"), (14, "Delayed"), (25, "Rejected")];
const STATUSES: &[(i64, &str)] = &[(0, "Unknown"), (1, "Success"), (2, "Failure")];
const SEVERITIES: &[(i64, &str)] = &[(1, "Informational")];
const CATEGORIES: &[(i64, &str)] = &[(3, "Identity & Access Management"), (6, "Application Activity")];
const CLASSES: &[(i64, &str)] = &[(3004, "Entity Management"), (6003, "API Activity")];

static API_ACTIVITY: Object = object(
    &[
        ("action", Text),
        ("action_id", Named("action", ACTIONS)),
        ("activity_id", Named("activity_name", &[(0, "Unknown"), (1, "Create"), (2, "Read"), (3, "Update"), (4, "Delete")])),
        ("activity_name", Text),
        ("actor", Of(&ACTOR)),
        ("api", Of(&API)),
        ("category_name", Text),
        ("category_uid", Named("category_name", CATEGORIES)),
        ("class_name", Text),
        ("class_uid", Named("class_name", CLASSES)),
        ("disposition", Text),
        ("disposition_id", Named("disposition", DISPOSITIONS)),
        ("message", Text),
        ("metadata", Of(&METADATA)),
        ("policy", Of(&POLICY)),
        ("resources", Objects(&RESOURCE)),
        ("severity", Text),
        ("severity_id", Named("severity", SEVERITIES)),
        ("src_endpoint", Of(&ENDPOINT)),
        ("status", Text),
        ("status_code", Text),
        ("status_detail", Text),
        ("status_id", Named("status", STATUSES)),
        ("time", Number),
        ("type_name", Text),
        ("type_uid", Number),
        ("unmapped", Json),
    ],
    &["activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id", "src_endpoint", "time", "type_uid"],
    &[],
);
static ENTITY_MANAGEMENT: Object = object(
    &[
        ("activity_id", Named("activity_name", &[(1, "Create"), (3, "Update"), (4, "Delete"), (10, "Activate")])),
        ("activity_name", Text),
        ("actor", Of(&ACTOR)),
        ("category_name", Text),
        ("category_uid", Named("category_name", CATEGORIES)),
        ("class_name", Text),
        ("class_uid", Named("class_name", CLASSES)),
        ("entity", Of(&ENTITY)),
        ("message", Text),
        ("metadata", Of(&METADATA)),
        ("severity", Text),
        ("severity_id", Named("severity", SEVERITIES)),
        ("time", Number),
        ("type_name", Text),
        ("type_uid", Number),
        ("unmapped", Json),
    ],
    &["activity_id", "category_uid", "class_uid", "entity", "metadata", "severity_id", "time", "type_uid"],
    &[],
);

/// What is wrong with an event; nothing where it is one.
pub(super) fn faults(event: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let (class, Some(entries)) = (event["class_uid"].as_i64(), event.as_object()) else { return vec!["no event".into()] };
    match class {
        Some(6003) => hold(&API_ACTIVITY, entries, "event", &mut faults),
        Some(3004) => hold(&ENTITY_MANAGEMENT, entries, "event", &mut faults),
        other => faults.push(format!("class {other:?}")),
    }
    let number = |name: &str| event[name].as_i64().unwrap_or_default();
    if number("type_uid") != number("class_uid") * 100 + number("activity_id") {
        faults.push(format!(
            "type {} of class {} and activity {}",
            number("type_uid"),
            number("class_uid"),
            number("activity_id")
        ));
    }
    if number("class_uid") / 1000 != number("category_uid") {
        faults.push(format!("class {} in category {}", number("class_uid"), number("category_uid")));
    }
    // Attributes of a profile are used where it is named, and only there.
    let profiles = event["metadata"]["profiles"].as_array().map_or(0, Vec::len);
    if (profiles == 1) != event["disposition_id"].is_i64() {
        faults.push(format!("{profiles} profiles beside the disposition {}", event["disposition_id"]));
    }
    faults
}

fn hold(object: &Object, entries: &Map<String, Value>, path: &str, faults: &mut Vec<String>) {
    for name in object.required.iter().filter(|name| !entries.contains_key(**name)) {
        faults.push(format!("{path} lacks {name}"));
    }
    if !object.one_of.is_empty() && !object.one_of.iter().any(|name| entries.contains_key(*name)) {
        faults.push(format!("{path} has none of {:?}", object.one_of));
    }
    for (name, value) in entries {
        let path = format!("{path}.{name}");
        let Some((_, of)) = object.attributes.iter().find(|(known, _)| known == name) else {
            faults.push(format!("{path} is no attribute"));
            continue;
        };
        let fits = match of {
            Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Number => value.is_i64() || value.is_u64(),
            Named(caption, names) => {
                let known = names.iter().find(|(number, _)| value == number).map(|(_, name)| Value::from(*name));
                let is_other = value == 99 && !["severity", "class_name", "category_name"].contains(caption);
                entries.get(*caption).is_some_and(|said| known.map_or(is_other && said.is_string(), |known| *said == known))
            }
            Of(inner) => value.as_object().map(|entries| hold(inner, entries, &path, faults)).is_some(),
            Objects(inner) => value.as_array().is_some_and(|items| {
                items.iter().all(|item| item.as_object().map(|entries| hold(inner, entries, &path, faults)).is_some())
            }),
            Texts => value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_string)),
            Json => !value.is_null(),
        };
        if !fits {
            faults.push(format!("{path} is {value}"));
        }
    }
}

/// A row of a table, its columns that may be null so or not.
fn row(stream: Stream, is_bare: bool, says: &[(&str, Value)]) -> Record {
    let may_be_null = |name: &str| {
        [
            "tresor_id",
            "actor_id",
            "subject_id",
            "requester_id",
            "error_code",
            "detail",
            "user_id",
            "comment",
            "valid_until",
            "target",
        ]
        .contains(&name)
            || (stream == Stream::Outcome && name == "decision_id")
    };
    let column = |(name, form): &(&str, Form)| match says.iter().find(|(said, _)| said == name) {
        Some((_, value)) => value.clone(),
        None if is_bare && may_be_null(name) => Value::Null,
        None => match form {
            Form::Text => format!("the {name}").into(),
            Form::Time => "2026-03-01T10:00:00.000001Z".into(),
            Form::Integer => 7.into(),
            Form::Flag => false.into(),
            Form::Json | Form::Sealed => json!({}),
        },
    };
    Record::new(stream, stream.columns().iter().map(column).collect())
}

#[test]
fn every_row_is_an_event_of_the_schema() {
    let mut rows = Vec::new();
    for is_bare in [false, true] {
        for kind in Kind::ALL {
            let kind = json!(kind.as_str());
            for verdict in ["approve", "reject", "escalate", "something of tomorrow"] {
                for rules in [json!([]), json!(["a rule", "another"])] {
                    let says = [("kind", kind.clone()), ("verdict", verdict.into()), ("rules", rules), ("reason", "".into())];
                    rows.push(row(Stream::Decision, is_bare, &says));
                }
                rows.push(row(Stream::Review, is_bare, &[("kind", kind.clone()), ("verdict", verdict.into())]));
            }
            for outcome in ["applied", "failed", "refused", "superseded", "unknown"] {
                rows.push(row(Stream::Outcome, is_bare, &[("kind", kind.clone()), ("outcome", outcome.into())]));
            }
        }
        for stream in [Stream::OperatorAction, Stream::PolicyActivation, Stream::ConfigurationChange] {
            rows.push(row(stream, is_bare, &[]));
        }
    }
    for row in &rows {
        let event = ocsf_event(row, 3, "assent/tenant1234");
        assert_eq!(faults(&event), [""; 0], "{event:#}");
    }
    // Whatever else stands there, is missing or is called otherwise is seen.
    let whole = ocsf_event(&rows[0], 3, "assent/tenant1234");
    assert_eq!(whole["metadata"]["event_code"], "decision");
    for (path, value) in [
        ("/policy/rules", json!(["one"])),
        ("/disposition", json!("Delayed")),
        ("/activity_id", json!(99)),
        ("/api/operation", Value::Null),
        ("/time", json!("2026-03-01")),
        ("/metadata/profiles", json!([])),
        ("/actor", json!({})),
    ] {
        let mut event = whole.clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            parent.remove(name)
        } else {
            parent.insert(name.to_owned(), value)
        };
        assert_ne!(faults(&event), [""; 0], "{path}");
    }
}
