//! Rows for auditors as events of the Open Cybersecurity Schema Framework, for tools that read those. Nothing is left out: what
//! the schema has no place for stands in `unmapped`.

use super::leaf::{Record, Stream};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The version of the schema that events are written in.
pub const OCSF_VERSION: &str = "1.5.0";

/// A class of events, with its category.
struct Class {
    uid: i64,
    name: &'static str,
    category: i64,
    category_name: &'static str,
}

const API_ACTIVITY: Class = Class { uid: 6003, name: "API Activity", category: 6, category_name: "Application Activity" };
const ENTITY_MANAGEMENT: Class =
    Class { uid: 3004, name: "Entity Management", category: 3, category_name: "Identity & Access Management" };

/// What is done, as the classes number it.
#[derive(Clone, Copy)]
enum Activity {
    Create,
    Update,
    Delete,
    /// Of entities alone.
    Activate,
    Other(&'static str),
}

impl Activity {
    const fn named(self) -> (i64, &'static str) {
        match self {
            Activity::Create => (1, "Create"),
            Activity::Update => (3, "Update"),
            Activity::Delete => (4, "Delete"),
            Activity::Activate => (10, "Activate"),
            Activity::Other(name) => (99, name),
        }
    }

    fn of_kind(kind: &str) -> Self {
        match kind {
            "tresor_creation" | "invitation_link_creation" => Activity::Create,
            "kick" | "invitation_link_revocation" => Activity::Delete,
            _ => Activity::Update,
        }
    }
}

/// The event of a row, at its place in the log.
#[must_use]
pub fn ocsf_event(record: &Record, index: u64, log: &str) -> Value {
    let text = |name: &str| record.text(name);
    let mut event = Map::new();
    let (class, activity) = match record.stream {
        Stream::Decision | Stream::Outcome | Stream::Review => {
            (API_ACTIVITY, Activity::of_kind(text("kind").unwrap_or_default()))
        }
        Stream::OperatorAction => (API_ACTIVITY, Activity::Other("Operate")),
        Stream::PolicyActivation => (ENTITY_MANAGEMENT, Activity::Activate),
        Stream::ConfigurationChange => (ENTITY_MANAGEMENT, Activity::Update),
    };
    // Operations begin there, and what people and daemons do here.
    let origin = if matches!(record.stream, Stream::Decision | Stream::Outcome) { "ZeroKit" } else { "Assent" };
    let (activity_id, activity_name) = activity.named();
    let time = text("decided_at").or_else(|| text("at")).and_then(|at| at.parse::<Timestamp>().ok());
    event.extend(
        [
            ("activity_id", json!(activity_id)),
            ("activity_name", json!(activity_name)),
            ("category_name", json!(class.category_name)),
            ("category_uid", json!(class.category)),
            ("class_name", json!(class.name)),
            ("class_uid", json!(class.uid)),
            ("type_uid", json!(class.uid.saturating_mul(100).saturating_add(activity_id))),
            ("type_name", json!(format!("{}: {}", class.name, if activity_id == 99 { "Other" } else { activity_name }))),
            ("severity", json!("Informational")),
            ("severity_id", json!(1)),
            ("time", json!(time.map(Timestamp::as_millisecond))),
            ("metadata", metadata(record, index, log)),
            ("actor", json!({ "user": { "uid": text("actor_id").or_else(|| text("user_id")), "name": text("reviewer").or_else(|| text("operator")) }, "app_name": origin })),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let own = match record.stream {
        Stream::Decision => decision(record),
        Stream::Outcome => outcome(record),
        Stream::Review => Value::Object(ruling(record, text("comment"))),
        Stream::OperatorAction => json!({
            "api": { "operation": text("action"), "service": { "name": "Assent" } },
            "message": text("comment"),
            "resources": [{ "uid": text("target") }],
        }),
        Stream::PolicyActivation => json!({
            "entity": { "uid": text("hash"), "type": "Policy", "type_id": 5, "policy": { "uid": text("hash") } },
            "message": "a policy is in force",
        }),
        Stream::ConfigurationChange => json!({
            "entity": { "uid": text("replica"), "type": "configuration", "type_id": 99, "version": text("version") },
            "message": "a daemon was told something new",
        }),
    };
    event.extend(own.as_object().cloned().unwrap_or_default());
    if class.uid == API_ACTIVITY.uid {
        event.insert("src_endpoint".to_owned(), json!({ "svc_name": origin }));
    }
    let mut event = without_nothing(Value::Object(event));
    if let Some(entries) = event.as_object_mut() {
        entries.insert("unmapped".to_owned(), Value::Object(record.fields.clone()));
    }
    event
}

fn metadata(record: &Record, index: u64, log: &str) -> Value {
    let profiles: &[&str] = if matches!(record.stream, Stream::Decision | Stream::Review) { &["security_control"] } else { &[] };
    let id = record.fields.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    json!({
        "version": OCSF_VERSION,
        "profiles": profiles,
        "product": { "name": "Assent", "vendor_name": "Assent" },
        "uid": id,
        "sequence": index,
        "log_name": log,
        "event_code": record.stream.as_str(),
        "tenant_uid": record.text("tenant"),
        "correlation_uid": record.text("flow_id").or_else(|| record.text("decision_id")),
    })
}

fn api(record: &Record) -> Value {
    json!({
        "operation": record.text("kind"),
        "request": { "uid": record.text("operation_id") },
        "service": { "name": "ZeroKit" },
    })
}

/// What was said to an operation: action and disposition of a verdict, on which operation, and why.
fn ruling(record: &Record, why: Option<&str>) -> Map<String, Value> {
    let (action_id, action, disposition_id, disposition) = match record.text("verdict") {
        Some("approve") => (1, "Allowed", 8, "Approved"),
        Some("reject") => (2, "Denied", 25, "Rejected"),
        // What becomes of it is somebody else's to say, later.
        Some("escalate") => (4, "Modified", 14, "Delayed"),
        _ => (0, "Unknown", 0, "Unknown"),
    };
    [
        ("action", json!(action)),
        ("action_id", json!(action_id)),
        ("disposition", json!(disposition)),
        ("disposition_id", json!(disposition_id)),
        ("api", api(record)),
        ("message", json!(why)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

fn decision(record: &Record) -> Value {
    let text = |name: &str| record.text(name);
    let resources: Vec<_> = [("tresor", text("tresor_id")), ("user", text("subject_id"))]
        .into_iter()
        .filter_map(|(kind, uid)| Some(json!({ "type": kind, "uid": uid? })))
        .collect();
    let mut own = ruling(record, text("reason"));
    own.insert("policy".to_owned(), json!({ "uid": text("policy_hash"), "data": { "rules": record.fields.get("rules") } }));
    own.insert("resources".to_owned(), json!(resources));
    Value::Object(own)
}

fn outcome(record: &Record) -> Value {
    let (status_id, status) = match record.text("outcome") {
        Some("applied") => (1, "Success"),
        Some("failed" | "refused") => (2, "Failure"),
        Some("unknown") => (0, "Unknown"),
        other => (99, other.unwrap_or("Other")),
    };
    json!({
        "api": api(record),
        "status": status,
        "status_id": status_id,
        "status_code": record.text("error_code"),
        "status_detail": record.text("detail"),
    })
}

/// Without what is null or empty: the schema has no such values.
fn without_nothing(value: Value) -> Value {
    let is_something = |value: &Value| match value {
        Value::Null => false,
        Value::Object(entries) => !entries.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(name, value)| (name, without_nothing(value)))
                .filter(|(_, value)| is_something(value))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nothing).filter(is_something).collect()),
        other => other,
    }
}
