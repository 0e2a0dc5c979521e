//! One pending operation as the core sees it: its key, what the platform says of it, its intent, its lane.

use super::ids::{FlowId, OperationId, TresorId, UserId};
use super::kind::Kind;
use super::secret::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What names an operation at the platform.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperationKey {
    /// What it wants to do.
    pub kind: Kind,
    /// Its id there.
    pub operation_id: OperationId,
}

/// What the platform says of an operation, in one form for all kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Who started it.
    pub actor: Option<UserId>,
    /// Whom it concerns.
    pub subject: Option<UserId>,
    /// Where it happens.
    pub tresor: Option<TresorId>,
    /// When it was started, where the platform says so.
    pub started_at: Option<Timestamp>,
}

/// What a user wants, whatever operation id it has at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// What it wants to do.
    pub kind: Kind,
    /// Where.
    pub tresor: Option<TresorId>,
    /// Who.
    pub actor: Option<UserId>,
    /// Whom.
    pub subject: Option<UserId>,
}

/// What may have only one operation in flight: a tresor, or a user for a validation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(String);

impl Lane {
    /// The lane of an intent.
    #[must_use]
    pub fn of(intent: &Intent) -> Self {
        match (&intent.tresor, &intent.subject) {
            (Some(tresor), _) => Self::of_tresor(tresor),
            (None, Some(user)) => Self(format!("user:{user}")),
            (None, None) => Self(format!("kind:{}", intent.kind)),
        }
    }

    /// The lane of a tresor.
    #[must_use]
    pub fn of_tresor(tresor: &TresorId) -> Self {
        Self(format!("tresor:{tresor}"))
    }

    /// The lane's name in the database.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the web app says of a user in a notification. All of it is personal but the groups.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserClaims {
    /// The user's e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The groups the user is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Whatever else the web app knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// The secrets of a registration, which only a validation carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    /// The session that `init-user-registration` opened.
    pub session_id: String,
    /// Its verifier.
    pub session_verifier: Secret<String>,
    /// The verifier that the client made.
    pub validation_verifier: Secret<String>,
}

/// What a notification says of a registration. Session and its verifier are left out where Assent began it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportedRegistration {
    /// The session that `init-user-registration` opened.
    pub session_id: Option<String>,
    /// Its verifier.
    pub session_verifier: Option<Secret<String>>,
    /// The verifier that the client made.
    pub validation_verifier: Secret<String>,
}

/// A report that an operation is pending, parsed and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Which operation.
    pub key: OperationKey,
    /// Who was logged in when it was reported.
    pub requester: Option<UserId>,
    /// The flow that the client says it continues.
    pub flow: Option<FlowId>,
    /// What the web app says of users.
    pub users: BTreeMap<UserId, UserClaims>,
    /// What the web app says of the request.
    pub context: BTreeMap<String, String>,
    /// Only for a validation.
    pub registration: Option<ReportedRegistration>,
}
