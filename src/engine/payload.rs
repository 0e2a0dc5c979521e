//! What a notification leaves in the work queue: users, context and a validation's secrets, sealed under the master key
//! and erased when the operation is final.

use crate::audit::{MasterKey, VaultError};
use crate::domain::ids::{RecordId, UserId};
use crate::domain::operation::{Registration, UserClaims};
use crate::domain::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The part of a notification that is needed once more, and is nobody else's to read.
#[derive(Debug, Clone, Default)]
pub(super) struct Payload {
    pub(super) users: BTreeMap<UserId, UserClaims>,
    pub(super) context: BTreeMap<String, String>,
    pub(super) registration: Option<Registration>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    users: BTreeMap<UserId, UserClaims>,
    context: BTreeMap<String, String>,
    registration: Option<StoredRegistration>,
}

#[derive(Serialize, Deserialize)]
struct StoredRegistration {
    session_id: String,
    session_verifier: String,
    validation_verifier: String,
}

impl Payload {
    pub(super) fn seal(&self, key: &MasterKey, id: RecordId) -> Result<Vec<u8>, VaultError> {
        let stored = Stored {
            users: self.users.clone(),
            context: self.context.clone(),
            registration: self.registration.as_ref().map(|registration| StoredRegistration {
                session_id: registration.session_id.clone(),
                session_verifier: registration.session_verifier.expose().clone(),
                validation_verifier: registration.validation_verifier.expose().clone(),
            }),
        };
        let plain = serde_json::to_vec(&stored).map_err(|_| VaultError::CannotSeal)?;
        key.seal(&context(id), &plain)
    }

    pub(super) fn open(key: &MasterKey, id: RecordId, sealed: &[u8]) -> Result<Self, VaultError> {
        let plain = key.open(&context(id), sealed)?;
        let stored: Stored = serde_json::from_slice(&plain).map_err(|_| VaultError::CannotOpen)?;
        Ok(Self {
            users: stored.users,
            context: stored.context,
            registration: stored.registration.map(|registration| Registration {
                session_id: registration.session_id,
                session_verifier: Secret::new(registration.session_verifier),
                validation_verifier: Secret::new(registration.validation_verifier),
            }),
        })
    }
}

fn context(id: RecordId) -> String {
    format!("payload {id}")
}
