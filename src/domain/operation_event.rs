//! What the web app is told of an operation: the body of an event, as its contract says.

use super::kind::Kind;
use serde_json::{Value, json};

/// One event, with what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationEvent {
    /// The record.
    pub id: String,
    /// The flow.
    pub flow_id: String,
    /// The how-manieth operation of the flow.
    pub attempt: i64,
    /// The kind.
    pub kind: Kind,
    /// The operation at the platform.
    pub operation_id: String,
    /// Where, as far as it was found out.
    pub tresor_id: Option<String>,
    /// Who started it, as far as it was found out.
    pub actor_id: Option<String>,
    /// Whom it concerns, as far as it was found out.
    pub subject_id: Option<String>,
    /// The verdict, if it came to one.
    pub verdict: Option<String>,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// What to tell the end user.
    pub message: Option<String>,
    /// The platform's error code, or one of ours.
    pub error_code: Option<String>,
}

impl OperationEvent {
    /// The type of an event on a state: `operation.approved`.
    #[must_use]
    pub fn type_of(state: &str) -> String {
        format!("operation.{state}")
    }

    /// The body; `timestamp` in RFC 3339. Every field is there, `null` where nothing is known.
    #[must_use]
    pub fn body(&self, event_type: &str, timestamp: &str) -> Value {
        json!({
            "type": event_type,
            "timestamp": timestamp,
            "data": {
                "id": self.id, "flow_id": self.flow_id, "attempt": self.attempt, "kind": self.kind,
                "operation_id": self.operation_id, "tresor_id": self.tresor_id, "actor_id": self.actor_id,
                "subject_id": self.subject_id, "verdict": self.verdict, "rules": self.rules, "message": self.message,
                "error_code": self.error_code,
            },
        })
    }
}
