//! The platform's state as `GET /_simulator/state` shows it. It holds the secrets of registrations: there is nobody to
//! keep them from.

use super::World;
use serde_json::{Value, json};

impl World {
    /// Everything there is.
    #[must_use]
    pub fn picture(&self) -> Value {
        let users: Vec<_> = self
            .users
            .iter()
            .map(|(id, user)| {
                let state = match (&user.validation_verifier, user.validated) {
                    (None, _) => "initiated",
                    (Some(_), false) => "unvalidated",
                    (Some(_), true) => "validated",
                };
                json!({
                    "user_id": id, "state": state, "enabled": user.enabled, "may_create_tresors": user.may_create_tresors,
                    "may_share_tresors": user.may_share_tresors, "session_id": user.session_id,
                    "session_verifier": user.session_verifier, "validation_verifier": user.validation_verifier,
                })
            })
            .collect();
        let tresors: Vec<_> = self
            .tresors
            .iter()
            .map(|(id, tresor)| {
                let state = match (tresor.deleted, tresor.approved) {
                    (true, _) => "deleted",
                    (false, true) => "approved",
                    (false, false) => "pending",
                };
                json!({ "tresor_id": id, "state": state, "members": tresor.members, "links": tresor.links, "version": tresor.version })
            })
            .collect();
        let operations: Vec<_> = self
            .operations
            .iter()
            .map(|(id, operation)| {
                let version = self.tresors.get(&operation.tresor).map(|tresor| tresor.version);
                json!({
                    "operation_id": id, "kind": operation.kind, "by": operation.by, "about": operation.about,
                    "tresor_id": operation.tresor, "link": operation.link, "started_at": operation.started_at,
                    "invalidated": self.invalidates && version != Some(operation.built_on),
                })
            })
            .collect();
        json!({
            "tenant": self.tenant,
            "settings": { "invalidates": self.invalidates, "unknown_operation": self.unknown_operation.as_str() },
            "users": users, "tresors": tresors, "operations": operations, "effects": self.effects,
        })
    }
}
